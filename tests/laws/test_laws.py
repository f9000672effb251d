"""The laws that every primitive obeys, each on every row of the table in primitive_cases.py."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings, target
from hypothesis import strategies as st
from primitive_case import Case
from primitive_cases import CASES, DEEP

from constructions.parts.assemble import assemble
from constructions.parts.stream import Stream
from constructions.sizes import measured
from verify.audit import block_laws
from verify.audit.block_laws import RADIUS

FEW = settings.default.max_examples // 3  # for laws that hold for all tokens or for none

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def search(case: Case, law, *more, examples: int = settings.default.max_examples) -> None:
    """A law on the case's examples, then on what Hypothesis finds; `more` strategies give the law further arguments."""
    test = settings(max_examples=examples)(given(case.tokens, *more)(law))
    for tokens in () if more else case.examples:
        test = example(tokens)(test)
    test()


@pytest.mark.parametrize("case", [*CASES, *DEEP], ids=lambda case: case.name)
def test_measured_error_is_at_most_the_promise(case):
    one = case.alone()
    promise = case.block.promise.own

    def law(tokens):
        computed, truth, exact = one.output(one.run(tokens)), one.truth(tokens), case.exact(tokens)
        error = one.worst(computed, exact)
        target(error / (promise.whole or 1.0))  # a promise of 0 is kept to the last bit
        assert error <= promise.whole
        assert one.worst(truth, exact) <= promise.rounding  # the truth is computed in float64, no more
        assert one.error(tokens) <= promise.error + 2 * promise.rounding  # both of them are

    search(case, law, examples=FEW if case in DEEP else settings.default.max_examples)


@pytest.mark.parametrize("case", [c for c in CASES if c.block.surrogate], ids=lambda case: case.name)
def test_it_computes_its_surrogate_to_the_last_digits(case):
    """That is far sharper than the promise, and its own distance from the truth is within it."""
    one, promise, surrogate = case.alone(), case.block.promise.own, case.block.surrogate
    assert surrogate.bound.whole <= max(1e-3 * promise.error, 2 * promise.rounding)

    def law(tokens):
        values = {name: tokens[:, register.slice] for name, register in case.stream.registers.items()}
        meant = surrogate.function(values)
        assert one.worst(one.output(one.run(tokens)), meant) <= surrogate.bound.whole
        assert one.worst(meant, case.exact(tokens)) <= promise.whole + surrogate.bound.error

    search(case, law)


@every_case
def test_only_what_it_reads_matters_and_only_what_it_writes_changes(case):
    one = case.alone()

    def law(tokens):
        assert one.spill(tokens) == 0
        assert one.leak(tokens) == 0

    search(case, law, examples=FEW)


@every_case
def test_later_tokens_do_not_matter(case):
    """Whatever follows, earlier rows are identical; alone, they agree up to the rounding of either run."""
    one, rounding = case.alone(), case.block.promise.own.rounding

    def law(tokens, cut):
        assert one.foresight(tokens, cut) == 0
        short, whole = (one.output(one.run(part))[:cut] for part in (tokens[:cut], tokens))
        assert one.worst(short, whole) <= 2 * rounding

    search(case, law, st.integers(1, 8), examples=FEW)


@every_case
def test_what_it_writes_stays_within_its_magnitude_at_every_layer(case):
    one, promise = case.alone(), case.block.promise

    def law(tokens):
        largest = one.reach(tokens)
        target(largest / promise.magnitude)
        assert largest <= promise.magnitude + promise.own.rounding

    search(case, law)


@every_case
def test_it_writes_what_its_docstring_says(case):
    targets = {
        name
        for name in case.stream.registers
        if name in ("point", "ahead") or name.startswith(("out", "scratch"))
    }
    assert case.block.writes == targets


@every_case
def test_size_is_the_cost_of_its_docstring(case):
    size = measured(case.alone().model)
    assert (size.layers, size.heads, size.hidden) == case.cost
    assert size.width == case.stream.width


@every_case
def test_bad_registers_are_rejected_by_name(case):
    block, registers = case.block, case.stream.registers
    build = partial(assemble, clip_radius=RADIUS)
    for name in block.reads | block.writes:
        lacking = Stream({other: register for other, register in registers.items() if other != name})
        with pytest.raises(ValueError, match=f"wanted registers of the stream, got {name}"):
            build(lacking, case.inputs - {name}, [[block]])
    for name in block.reads - block.writes:
        with pytest.raises(ValueError, match=f"reads {name} before any block has written it"):
            build(case.stream, case.inputs - {name}, [[block]])
    for stages in ([[block], [block]], [[block, block]]):
        names = ", ".join(sorted(block.writes))
        with pytest.raises(ValueError, match=f"writes {names}, which another writes already"):
            build(case.stream, case.inputs, stages)
    for name in block.writes:
        with pytest.raises(ValueError, match=f"writes {name}, which another writes already"):
            build(case.stream, case.inputs | {name}, [[block]])


def test_registers_of_another_stream_are_rejected():
    """Same names, other places: the weights would act on the wrong entries."""
    for case in CASES:
        order = sorted(case.stream.registers, key=lambda name: -case.stream[name].start)
        other = Stream.of(**{name: case.stream[name].size for name in order})
        with pytest.raises(ValueError, match="wanted registers of the stream"):
            assemble(other, case.inputs, [[case.block]], RADIUS)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.name.startswith("descent.inverse")], ids=lambda c: c.name
)
def test_inverse_is_right_within_a_factor_along_each_vector(case):
    """The docstring's second claim: ⟨a, x̂⟩ lies within a factor 1 ± ε of aᵀA⁻¹a, ε the promise without B_a/λ."""
    one, promise, exact_case = case.alone(), case.block.promise.own, case.exact
    dim = case.stream["action"].size
    norm, inverse = (float(np.abs(case.examples[0][0, case.stream["arms"].slice]).max()), None)
    inverse = exact_case(case.examples[0])[0, 0] / norm  # 1/λ: no action has been seen at the first token
    factor = promise.error / (norm * inverse)

    def law(tokens):
        arms = tokens[:, case.stream["arms"].slice].reshape(-1, dim)
        computed = one.output(one.run(tokens)).reshape(-1, dim)
        products, right = ((arms * x).sum(1) for x in (computed, exact_case(tokens).reshape(-1, dim)))
        assert (np.abs(products - right) <= factor * right + norm * promise.rounding).all()

    search(case, law)


def test_an_audit_notices_wrong_weights():
    [case] = [case for case in CASES if case.name == "product.own_token pairwise"]
    one = case.alone()
    assert all(found["holds"] for found in block_laws.audit(one, case.tokens, 10))
    for name in [name for name, weights in one.model.named_parameters() if weights.numel()]:
        broken = copy.deepcopy(one.model)
        broken.get_parameter(name)[0] *= 1.1
        found = {
            row["law"]: row["holds"] for row in block_laws.audit(replace(one, model=broken), case.tokens, 10)
        }
        assert not found["error"], name
        assert found["spill"]
        assert found["leak"]


def test_the_table_has_every_primitive():
    names = {case.name.split()[0] for case in CASES}
    wanted = """
        descent.ridge descent.inverse product.own_token interpolation.function
        copying.combine copying.previous_step copying.times_index
        counting.by_ramps counting.by_stage lookup.table lookup.one_hot
        maximum.over_groups clipping.between envelope.exponentials envelope.logarithms
        newton.normal_equations newton.inverse newton.inverse_root refinement.root repetition.averages
        repetition.discounted
    """
    assert names == {*wanted.split()}
