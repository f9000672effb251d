"""Steps 2 and 3 as the paper prints them, for a demonstration: one system M_j for each pole, one step size for all.

    step 2a     v_k = (Σ − μI) a_k, by 3A heads, or by 2A + 1 where one head serves all arms; then times i
    step 2b     a_j M_j⁻¹ v_k by descent, M_j = (1 − b_j)μI + b_jΣ
    step 2c     √r √Σ a_k ≈ √(rμ) [a_k + Σ_j a_j M_j⁻¹ v_k]
    step 3      Σ⁻¹ of it

With M_j = b_j(shift_j I + G), a gradient step of size η on (1/i)(½ xᵀM_j x − a_j xᵀv) is one of size b_jη on
(1/i)(½ yᵀ(shift_j I + G)y − yᵀv) for x = (a_j/b_j) y: descent.py runs it unchanged, from the same zero.

As printed η = 1/(B_a² + λ̃) for all. But ((1 − b_j)μI + b_jΣ)/i is not (B_a² + λ̃)-smooth at early tokens i, where μ, of order
√T, has not yet been divided by much. `own_steps` has 1/(B_a² + shift_j) in place of b_jη, and the momentum of that.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions import thompson
from constructions.construction import Construction
from constructions.inputs.bandits import BANDIT_INPUTS, bandit_stream
from constructions.parts.assemble import assemble
from constructions.parts.block import UNIT, Block, Bound, Head, Position, Promise, Step, signed
from constructions.parts.links import Values, grams, read, stack
from constructions.parts.stream import Stream
from constructions.primitives import copying, descent, rational
from constructions.rounding.outward import nearest
from constructions.rounding.rates import Descent
from constructions.thompson import posterior, sampling
from constructions.thompson.posterior import SOURCE
from constructions.thompson.spec import Spec
from constructions.transformer import Transformer
from verify.theorems import evaluate, symbols, thompson_whole
from verify.theorems import thompson as theorem

ROOM = 2.0**400
"""What the blocks may write: no clipping hides a divergence."""


def plan(spec: Spec, depth: int, poles: int) -> posterior.PosteriorPlan:
    """The plan with so many layers of each descent and so many poles, around the printed centre."""
    rule = rational.with_poles("pade", spec.ridge, largest(spec), poles)
    return posterior.with_depth(spec, depth, rule)


def stated(spec: Spec, error: float) -> posterior.PosteriorPlan:
    """As many layers and poles as the paper prints for ‖x̂ − x‖ ≤ error."""
    values = symbols(spec) | {"error_2": evaluate(theorem.STEP_3_NEEDS_2, error_3=error, **symbols(spec))}
    poles = math.ceil(evaluate(theorem.POLES, **values))
    share = evaluate(thompson_whole.STEP_2B_SHARE, poles=poles, **values)
    depth = int(theorem.STEP_2B.evaluate("layers", **(values | {"error": share})))
    return plan(spec, depth, poles)


def whitened(spec: Spec, chosen: posterior.PosteriorPlan, *, own_steps: bool) -> Construction:
    """Steps 1 to 3; with form "sampling" the scores too."""
    scores = spec.form == "sampling"
    drawn = {"draw": spec.dim} | sampling.registers(spec) if scores else {"logits": 0}
    p = thompson.program(spec, drawn | registers(spec, chosen))
    for stage in stages(spec, p.stream, chosen, own_steps=own_steps):
        p.then(*stage)
    if scores:
        sampling.write(p, spec)
    return thompson.complete(p, spec, math.inf, promised=None if scores else thompson.WHITE)


def largest(spec: Spec) -> float:
    """T(B_a² + λ̃), the printed bound on the eigenvalues of Σ."""
    return spec.horizon * (spec.action_norm[1] ** 2 + spec.ridge)


def center(spec: Spec) -> float:
    """μ = √(T λ̃ (B_a² + λ̃))."""
    return math.sqrt(largest(spec) * spec.ridge)


def pade(count: int) -> tuple[Float[np.ndarray, " poles"], Float[np.ndarray, " poles"]]:
    """The numbers a_j and b_j.

    >>> [x.round(6).tolist() for x in pade(1)]
    [[0.5], [0.25]]
    """
    angle = np.arange(1, count + 1) * math.pi / (2 * count + 1)
    return 2 / (2 * count + 1) * nearest(arb.sin, angle) ** 2, nearest(arb.cos, angle) ** 2


def registers(spec: Spec, chosen: posterior.PosteriorPlan) -> dict[str, int]:
    """Names and sizes of the scratch registers."""
    arms = spec.dim * spec.actions
    return dict.fromkeys(("shifted_share", "shifted"), arms) | posterior.registers(spec, chosen)


def stages(
    spec: Spec, stream: Stream, chosen: posterior.PosteriorPlan, *, own_steps: bool = False
) -> list[list[Block]]:
    """The blocks that fill the registers `estimate` and `white`, with the printed step size or with the poles' own."""
    first = shifted(spec, stream)
    _, b = pade(len(chosen.rule.shifts))
    poles = [
        _system(spec, stream, f"pole_{n}", chosen.depth, float(share), float(shift), own_steps)
        for n, (share, shift) in enumerate(zip(b, chosen.rule.shifts, strict=True), 1)
    ]
    root = _root(spec, stream, chosen, poles)
    last = posterior.inverse(spec, stream, "white", chosen.depth, vectors="root", source="3")
    unknown = Bound(math.inf)
    whole = replace(
        last,
        truth=lambda values: posterior.powers(spec, values, -0.5, values["arms"]),
        promise=Promise("none", unknown, unknown, ROOM),
    )
    return [[first], [posterior.estimate(spec, stream, chosen.depth), *poles], [root], [whole]]


def shifted(spec: Spec, stream: Stream, *, together: bool = False) -> Block:
    """Step 2a: (Σ − μI) a_k, each arm with a third head of its own, or one such head for all together."""
    arms, share, place = stream["arms"], stream["shifted_share"], Position.of(stream["position"])
    heads, offset = [], spec.ridge - center(spec)
    gate_query = stack(place.one, -place.index, place.one)
    gate_key = stack(place.one, place.one, place.index)
    for k in range(spec.actions):
        arm, to = (register.part(k, of=spec.actions) for register in (arms, share))
        heads += signed(f"gram times arm {k}", read(arm), read(stream["action"]), read(stream["action"]), to)
        if not together:
            heads.append(Head(f"minus μ {k}", gate_query, gate_key, offset * read(arm), to))
    if together:
        heads.append(Head("minus μ", gate_query, gate_key, offset * read(arms), share))
    steps = float(spec.horizon)
    again = Head(
        "times i",
        stack(place.square, -steps * place.square, place.one),
        stack(place.one, place.one, steps * place.square),
        read(share),
        stream["shifted"],
    )

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        actions, vectors = values["action"], values["arms"].reshape(-1, spec.actions, spec.dim)
        return (vectors @ grams(actions, 0.0) + offset * vectors).reshape(len(vectors), -1)

    own = Bound(0.0, UNIT * 64 * spec.horizon**3 * spec.action_norm[1] ** 3)
    promise = Promise("all arms within B_a", own, own, ROOM)
    return Block(
        "(Σ − μI) a_k",
        SOURCE.format("2a"),
        (Step(tuple(heads)), Step((again,))),
        stream["shifted"],
        truth,
        promise,
        groups=spec.actions,
    )


@dataclass(frozen=True)
class Printed(Descent):
    """Descent on the system of a pole by the steps that are printed, which nothing is promised of where they are too long.

    Attributes:
        estimate: descent on the system of the ridge estimate, whose momentum it has.
        share: b_j, the part that it has of that step size.
    """

    estimate: Descent
    share: float

    @property
    def step_size(self) -> float:
        """b_j/(B_a² + λ̃)."""
        return self.share * self.estimate.step_size

    @property
    def momentum(self) -> float:
        """That of 2T(B_a² + λ̃)/λ̃."""
        return self.estimate.momentum

    def residual(self, depth: int) -> float:
        """∞ for steps that may diverge."""
        smooth = self.action_max * self.action_max + self.ridge
        return super().residual(depth) if self.step_size * smooth <= 1 + 1e-9 else math.inf


def method(spec: Spec, share: float, shift: float) -> Descent:
    """Descent as printed on the system of a pole."""
    estimate = replace(posterior.method(spec), action_max=spec.action_norm[1])  # the paper's own bound
    return Printed(estimate.solver, shift, estimate.action_max, spec.horizon, estimate, share)


def _system(
    spec: Spec, stream: Stream, name: str, depth: int, share: float, shift: float, own_steps: bool
) -> Block:
    """Step 2b for one pole: (shift_j I + G)⁻¹ v_k."""
    chosen = posterior.method(spec, shift) if own_steps else method(spec, share, shift)
    block = descent.inverse(
        chosen,
        depth,
        action=stream["action"],
        vectors=stream["shifted"],
        position=stream["position"],
        point=stream[name],
        ahead=stream[f"{name}_ahead"],
        norm=spec.action_norm[1] * largest(spec),
        name=name.replace("_", " "),
        source=SOURCE.format("2b"),
    )
    return replace(block, promise=replace(block.promise, magnitude=ROOM))


def _root(spec: Spec, stream: Stream, chosen: posterior.PosteriorPlan, poles: list[Block]) -> Block:
    """Step 2c."""
    a, b = pade(len(poles))
    scale = math.sqrt(spec.noise_variance * center(spec))
    terms = [(scale * float(x), block.outputs[0]) for x, block in zip(a / b, poles, strict=True)]
    return copying.combine(
        "√r Σ^0.5 a_k",
        SOURCE.format("2c"),
        terms=((scale, stream["arms"]), *terms),
        to=stream["root"],
        bound=ROOM,
    )


def arguments(spec: Spec, *, together: bool) -> tuple[Stream, Transformer]:
    """Step 2a alone."""
    size = spec.dim * spec.actions
    stream = bandit_stream(spec.dim, spec.actions, shifted_share=size, shifted=size)
    stages = [[shifted(spec, stream, together=together)]]
    return stream, assemble(stream, BANDIT_INPUTS, stages, ROOM)
