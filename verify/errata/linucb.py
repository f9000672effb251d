"""Errors believed to be in Theorem 8, soft LinUCB."""

import copy
from dataclasses import replace

import numpy as np
import torch

from constructions import linucb
from constructions.parts.assemble import assemble
from constructions.parts.block import Block, Step
from constructions.parts.stream import Register, Stream
from constructions.primitives import interpolation
from constructions.sizes import operator_norm
from constructions.transformer import Layer, Transformer
from verify import algorithms
from verify.audit import ORDER_WINDOW, measure
from verify.errata.entry import PAPER, Demonstration, Erratum
from verify.histories.linear import battery
from verify.sweeps.records import fit_power

INPUTS = frozenset({"x", "one"})


def as_printed(model: Transformer, root: Register) -> Transformer:
    """The same with the coefficients that the paper prints for the interpolants that write a register.

    They are the slopes, what changes of slope add up to. The last neuron of each entry is the constant one.
    """
    printed = copy.deepcopy(model)
    for layer in printed.stored_layers:
        second = layer.mlp.second
        for entry in range(root.start, root.start + root.size):
            pieces = torch.nonzero(second.rows == entry).ravel()[:-1]
            second.weight[pieces] = second.weight[pieces].cumsum(0)
    return printed


def _root_witness() -> Demonstration:
    """Knots 1, 4, 9: the printed coefficients give 14/3 at x = 9, where √x = 3."""
    knots = np.array([1.0, 4.0, 9.0])
    stream = Stream.of(x=1, one=1, root=1)
    function = interpolation.Interpolant(knots, np.sqrt(knots))
    repaired = assemble(stream, INPUTS, [[_root(function, stream, 0, 1)]], clip_radius=64.0)
    token = torch.tensor([[9.0, 1.0, 0.0]], dtype=torch.float64)
    printed_value, value = (
        float(model(token)[0, stream["root"].start])
        for model in (as_printed(repaired, stream["root"]), repaired)
    )
    witness = "√ interpolated at the knots 1, 4, 9, evaluated at the knot x = 9"
    return Demonstration(witness, 3.0, printed_value, value, 1e-12, _root_in_place())


def _root(function: interpolation.Interpolant, stream: Stream, part: int, of: int) -> Block:
    """Square roots of one of so many equal parts of `x`, with the constant 1 of that part if there is one for each."""
    source, to, ones = stream["x"].part(part, of=of), stream["root"].part(part, of=of), stream["one"]
    one = ones.part(part, of=of) if ones.size == of else ones
    return interpolation.function(
        f"√x {part}", "", function, of=np.sqrt, error=0.01, source=source, one=one, to=to
    )


def _root_in_place() -> str:
    """The same inside LinUCB: the worst log-probability error with either form."""
    spec = linucb.Spec(dim=2, actions=3, horizon=5, error=1e-2)
    repaired = linucb.assemble_plan(spec, linucb.plan(spec))
    model = as_printed(repaired.transformer, repaired.tokens.stream["width"])
    errors = [
        measure(built, algorithms.linucb, battery(spec)).error
        for built in (replace(repaired, transformer=model), repaired)
    ]
    return (
        f"in LinUCB with d=2, A=3, T=5, ε={spec.error:g} the worst |log-probability error| is {errors[0]:.3g} with the "
        f"printed coefficients and {errors[1]:.3g} with the repaired ones"
    )


ARMS = (4, 16, 64, 256)


def _constant_witness() -> Demonstration:
    """Growth with A of ‖W₁‖ in the layer of the square roots, with one constant 1 and with one an arm."""
    function = interpolation.square_root(0.01, 4.0, 0.01)
    shared, own = ([_roots(function, arms, ones) for arms in ARMS] for ones in (False, True))
    printed, repaired = (
        fit_power(
            ARMS, [operator_norm(built.stored_layers[0].mlp.first.matrix()) for built in forms]
        ).exponent
        for forms in (shared, own)
    )
    arms = ARMS[0]
    outputs = [
        form[0](torch.tensor([[1.0] * (arms + width) + [0.0] * arms], dtype=torch.float64))[0, -arms:]
        for form, width in ((shared, 1), (own, arms))
    ]
    return Demonstration(
        "weights of √ on [0.01, 4] within 0.01, A = 4, 16, 64, 256: fitted exponent of A in ‖W₁‖",
        0.0,
        printed,
        repaired,
        ORDER_WINDOW,
        f"with A={arms} the outputs of the two differ by {float((outputs[0] - outputs[1]).abs().max()):g}",
    )


def _roots(function: interpolation.Interpolant, arms: int, ones: bool) -> Transformer:
    """Square roots of as many numbers as there are arms, with one constant for all or one for each."""
    stream = Stream.of(x=arms, one=arms if ones else 1, root=arms)
    parts = arms if ones else 1
    blocks = [_root(function, stream, part, parts) for part in range(parts)]
    together = replace(blocks[0], steps=(Step((), tuple(block.steps[0].units[0] for block in blocks)),))
    return assemble(stream, INPUTS, [[together]], clip_radius=1024.0)


def _hidden_witness() -> Demonstration:
    """Growth of D' with d = A where T/(τε) is small."""
    dims, ratio = (16, 32, 64), 0.02
    specs = [linucb.Spec(dim=dim, actions=dim, horizon=2, error=1.0, temperature=100.0) for dim in dims]
    measured = [max(layer.mlp.first.outputs for layer in _layers(spec)) for spec in specs]
    printed = [dim + dim * np.sqrt(ratio * dim) for dim in dims]
    repaired = [4 * dim**2 + number for dim, number in zip(dims, printed, strict=True)]
    wanted, literal, mended = (fit_power(dims, numbers).exponent for numbers in (measured, printed, repaired))
    return Demonstration(
        "built LinUCB, d = A = 16, 32, 64, T=2, τ=100, ε=1: fitted exponent of d in D', against the two orders",
        wanted,
        literal,
        mended,
        ORDER_WINDOW,
        f"D' is {', '.join(map(str, measured))}; d + A√(Td/(τε)) is {', '.join(f'{n:.0f}' for n in printed)}",
    )


def _layers(spec: linucb.Spec) -> list[Layer]:
    return linucb.build(spec).transformer.stored_layers


ERRATA = (
    Erratum(
        name="square-root interpolant",
        kind="error",
        where=f"proof of Theorem 8, step 3, definition of f̃ ({PAPER})",
        printed="f̃(x) = √x₁ + Σ_j relu(x − x_j)/(√x_{j+1} + √x_j): the coefficients are the slopes of √ between knots",
        repair="the coefficients are the differences of successive slopes; knots with (q − p)² = 8ε(p + q) for the roots "
        "p < q of neighbours, lifted by ε",
        effect="the theorem stands; the √ needs l₂^{1/4}/(2√ε) + 1 neurons an arm, without the factor √T of the printed "
        "knots",
        demonstrate=_root_witness,
    ),
    Erratum(
        name="norm of the square roots",
        kind="error",
        where=f"proof of Theorem 8, step 3, bound on W₁ ({PAPER})",
        printed="‖W₁‖ = O(√N) for A square roots of N knots; their neurons read one constant 1, which makes it O(√(AN))",
        repair="a constant 1 for each arm, written by an earlier layer with a matrix of norm √A",
        effect="the theorem stands: √A is within its norm, O(A + …), and A registers are within D = O(dA)",
        demonstrate=_constant_witness,
    ),
    Erratum(
        name="hidden width",
        kind="error",
        where=f"Theorem 8, display of the sizes ({PAPER})",
        printed="D' = Õ(d + A√(Td/(τε))), without the 4dA neurons of step 2 of the proof",
        repair="D' = Õ(dA + A√(Td/(τε)))",
        effect="none where d ≤ T/(τε): then dA is below the second term",
        demonstrate=_hidden_witness,
    ),
)
