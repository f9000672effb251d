"""The laws that every primitive obeys, each on every row of the table in primitive_cases.py."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings, target
from hypothesis import strategies as st
from primitive_case import Case
from primitive_cases import CASES, DEEP

from constructions.assemble import assemble
from constructions.block import Block
from constructions.stream import Stream

RADIUS = 2.0**60  # so large that clipping never acts

FEW = settings.default.max_examples // 3  # for laws that hold for all tokens or for none

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def search(case: Case, law, *more, examples: int = settings.default.max_examples) -> None:
    """A law on the case's examples, then on what Hypothesis finds; `more` strategies give the law further arguments."""
    test = settings(max_examples=examples)(given(case.tokens, *more)(law))
    for tokens in () if more else case.examples:
        test = example(tokens)(test)
    test()


def transformer(case: Case):
    return assemble(case.stream, case.inputs, [[case.block]], RADIUS)


def run(model, tokens: np.ndarray) -> np.ndarray:
    return model(torch.as_tensor(tokens)).numpy()


def worst(block: Block, left: np.ndarray, right: np.ndarray) -> float:
    """Largest ℓ2 distance between output vectors; NaN is infinitely far."""
    size = sum(register.size for register in block.outputs) // block.groups
    distances = np.linalg.norm((left - right).reshape(-1, size), axis=1)
    return float(np.nan_to_num(distances, nan=np.inf).max())


def output(block: Block, tokens: np.ndarray) -> np.ndarray:
    """What a block's output registers hold, side by side."""
    return np.concatenate([tokens[:, register.slice] for register in block.outputs], axis=1)


def columns(stream: Stream, names) -> np.ndarray:
    """Stream indices of registers."""
    return np.concatenate([np.arange(stream.width)[stream[name].slice] for name in names])


@pytest.mark.parametrize("case", [*CASES, *DEEP], ids=lambda case: case.name)
def test_measured_error_is_at_most_the_promise(case):
    model, block = transformer(case), case.block
    promise = block.promise.own

    def law(tokens):
        computed = output(block, run(model, tokens))
        truth = block.truth(
            {name: tokens[:, register.slice] for name, register in case.stream.registers.items()}
        )
        exact = case.exact(tokens)
        error = worst(block, computed, exact)
        target(error / (promise.whole or 1.0))  # a promise of 0 is kept to the last bit
        assert error <= promise.whole
        assert worst(block, truth, exact) <= promise.rounding  # the truth is computed in float64, no more
        assert worst(block, computed, truth) <= promise.error + 2 * promise.rounding  # both of them are

    search(case, law, examples=FEW if case in DEEP else settings.default.max_examples)


@every_case
def test_only_what_it_reads_matters_and_only_what_it_writes_changes(case):
    model, registers = transformer(case), case.stream.registers.keys()
    written, kept = (
        columns(case.stream, names) for names in (case.block.writes, registers - case.block.writes)
    )
    unread = columns(case.stream, registers - case.block.reads - case.block.writes)

    def law(tokens):
        output = run(model, tokens)
        np.testing.assert_array_equal(output[:, kept], tokens[:, kept])
        other = tokens.copy()
        other[:, unread] = 1e3 - other[::-1, unread]
        np.testing.assert_array_equal(run(model, other)[:, written], output[:, written])

    search(case, law, examples=FEW)


@every_case
def test_later_tokens_do_not_matter(case):
    """Whatever follows, earlier rows are identical; alone, they agree up to the rounding of either run."""
    model, block = transformer(case), case.block
    inputs = columns(case.stream, case.inputs - {"position"})

    def law(tokens, cut):
        cut = min(cut, len(tokens))
        changed = tokens.copy()
        changed[cut:, inputs] = 3 - 10 * changed[::-1][cut:, inputs]
        before, after = run(model, tokens)[:cut], run(model, changed)[:cut]
        np.testing.assert_array_equal(before, after)
        alone = run(model, tokens[:cut])
        difference = worst(block, output(block, alone), output(block, before))
        assert difference <= 2 * block.promise.own.rounding

    search(case, law, st.integers(1, 8), examples=FEW)


@every_case
def test_what_it_writes_stays_within_its_magnitude_at_every_layer(case):
    model, promise = transformer(case), case.block.promise
    written = columns(case.stream, case.block.writes)

    def law(tokens):
        now, largest = torch.as_tensor(tokens), 0.0
        for layer in model.run():
            now = layer(now)
            largest = max(largest, float(now[:, written].norm(dim=-1).max()))
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
    size = transformer(case).size()
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
    model, block = transformer(case), case.block
    promise, exact_case = block.promise.own, case.exact
    dim = case.stream["action"].size
    norm, inverse = (float(np.abs(case.examples[0][0, case.stream["arms"].slice]).max()), None)
    inverse = exact_case(case.examples[0])[0, 0] / norm  # 1/λ: no action has been seen at the first token
    factor = promise.error / (norm * inverse)

    def law(tokens):
        arms = tokens[:, case.stream["arms"].slice].reshape(-1, dim)
        computed = output(block, run(model, tokens)).reshape(-1, dim)
        products, right = ((arms * x).sum(1) for x in (computed, exact_case(tokens).reshape(-1, dim)))
        assert (np.abs(products - right) <= factor * right + norm * promise.rounding).all()

    search(case, law)


def test_the_table_has_every_primitive():
    names = {case.name.split()[0] for case in CASES}
    wanted = """
        descent.ridge descent.inverse product.own_token interpolation.root interpolation.function selection.by_one_hot
        copying.shift copying.combine copying.previous_step copying.times_index
        counting.by_ramps counting.by_stage lookup.quotients lookup.table lookup.one_hot
        maximum.over_groups clipping.between envelope.exponentials envelope.logarithms
        newton.normal_equations newton.inverse newton.inverse_root refinement.root series.function
    """
    assert names == {*wanted.split()}
