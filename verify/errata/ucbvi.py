"""Errors believed to be in Theorem 12, soft UCB-VI.

Each but the last is run inside the whole theorem form, built with that one piece as printed and all others repaired. The
witness is the smallest history on which a register goes wrong; the context says what becomes of the policy. There the bonus
is left out or small: with the paper's own, every Q̂ is H until N > 4 log(SAT/δ), and on short runs nothing would show.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from constructions.construction import Construction
from constructions.history import EpisodeHistory
from constructions.sizes import operator_norm
from constructions.transformer import MLP, SparseMap, Transformer
from constructions.ucbvi import Spec, theorem
from verify import algorithms
from verify.audit import ORDER_WINDOW
from verify.errata import printed_ucbvi
from verify.errata.entry import PAPER, Demonstration, Erratum
from verify.sweeps.records import fit_power

LOOKUPS, CUT = 4, 5
"""The layer of the look-ups, and that of the cut at H of the last stage, from 0."""

Case = tuple[Spec, EpisodeHistory]


def history(spec: Spec, actions: list[int], rewards: list[float], states: list[int] | None = None) -> Case:
    """A history with a pending state, for a spec; in state 0 all the time if states are left out."""
    seen = [0] * (len(actions) + 1) if states is None else states
    return spec, EpisodeHistory(seen, actions, rewards, spec.horizon)


def smallest(steps: int, **sizes) -> Case:
    """One state, one action, the reward 1/2 at each step, no bonus."""
    spec = replace(Spec(states=1, actions=1, horizon=1, episodes=2, exploration=0.0), **sizes)
    return history(spec, [0] * (steps - 1), [0.5] * (steps - 1))


def transitions() -> Case:
    """Two states, two actions: the action of stage 1 is the state of stage 2, and that state is the reward there."""
    spec = Spec(states=2, actions=2, horizon=2, episodes=5, exploration=0.01)
    first, second = [0, 1, 0, 1], [0, 0, 1, 1]
    states = [number for one in first for number in (0, one)]
    actions = [number for pair in zip(first, second, strict=True) for number in pair]
    rewards = [float(number) for one in first for number in (0, one)]
    return history(spec, actions, rewards, [*states, 0])


def stages() -> Case:
    """One state, three actions, two stages: rewards 0, 1/4, 1/2 at stage 1 and 1, 0, 1 at stage 2."""
    spec = Spec(states=1, actions=3, horizon=2, episodes=4, exploration=0.01)
    return history(spec, [0, 0, 1, 1, 2, 2], [0.0, 1.0, 0.25, 0.0, 0.5, 1.0])


def arms(rewards: list[float]) -> Case:
    """One state, one stage, no bonus: each action once, with these rewards."""
    count = len(rewards)
    spec = Spec(states=1, actions=count, horizon=1, episodes=count + 1, exploration=0.0)
    return history(spec, list(range(count)), rewards)


def repeated() -> Case:
    """One state, two actions, one stage: the first action three times."""
    return history(Spec(states=1, actions=2, horizon=1, episodes=4, exploration=0.01), [0] * 3, [0.5] * 3)


def held(built: Construction, seen: EpisodeHistory, name: str) -> Float[np.ndarray, " entries"]:
    """What a register holds at the last state."""
    output = built.transformer(torch.as_tensor(built.tokens.encode(seen)))
    return output[-1, built.tokens.stream[name].slice].numpy()


def compare(piece: str, witness: str, case: Case, register: str, wanted: float, place: Case) -> Demonstration:
    """The first entry of a register at the last state with one piece as printed, and repaired; then the policy elsewhere."""
    spec, seen = case
    printed, repaired = (printed_ucbvi.build(spec, name) for name in (piece, None))
    [block] = [block for block in repaired.blocks if register in {to.name for to in block.outputs}]
    return Demonstration(
        witness,
        wanted,
        float(held(printed, seen, register)[0]),
        float(held(repaired, seen, register)[0]),
        float(block.promise.total.whole),
        in_place(piece, place),
    )


def in_place(piece: str, case: Case) -> str:
    """The policy of the whole construction with either form."""
    spec, seen = case
    true = algorithms.ucbvi(spec, seen)
    errors = [
        np.abs(printed_ucbvi.build(spec, name).log_probabilities(seen) - true).max() for name in (piece, None)
    ]
    return (
        f"in UCB-VI with S={spec.states}, A={spec.actions}, H={spec.horizon}, K={spec.episodes} and the bonus times "
        f"{spec.exploration:g} the worst |log-probability error| is {errors[0]:.3g} as printed and {errors[1]:.3g} repaired"
    )


def _maximum() -> Demonstration:
    witness = "Q̂ = (1, 0, 1): S=H=1, A=3, each action tried once, rewards 1, 0, 1, no bonus; register V̂_1"
    return compare("maximum", witness, arms([1.0, 0.0, 1.0]), "v_1", 1.0, stages())


def _constant() -> Demonstration:
    spec, seen = smallest(3, horizon=2)
    negative = held(printed_ucbvi.build(spec, "constant"), seen, "visits")
    shown = compare(
        "constant", "S=A=H=1, K=2, second episode; register N_1", smallest(2), "visits", 1.0, arms([0.0, 1.0])
    )
    more = f"with H=2, (N_1, N_2) is ({negative[0]:.3g}, {negative[1]:.3g}) instead of (1, 1); "
    return replace(shown, context=more + shown.context)


def _gate() -> Demonstration:
    witness = "S=A=H=1, K=4, fourth episode: N=3, and 2 at the token before; register N²"
    return compare("gate", witness, smallest(4, episodes=4), "visits_squared", 9.0, repeated())


def _reward() -> Demonstration:
    witness = "S=A=H=1, K=2, second episode: N=1, N·r=1/2; register r̂_1"
    return compare("reward", witness, smallest(2), "reward_estimate", 0.5, arms([0.5, 0.7]))


def _model() -> Demonstration:
    witness = "S=A=1, H=2, K=2, second episode: P̂_1 = 1, V̂_2 = 1/2, no bonus; register Σ P̂_1 V̂_2"
    return compare("model", witness, smallest(3, horizon=2), "ahead_1", 0.5, transitions())


def _values() -> Demonstration:
    witness = "S=A=1, H=2, first episode, second stage; register N_1"
    return compare("values", witness, smallest(2, horizon=2), "visits", 0.0, transitions())


def scaled(spec: Spec, number: int, copies: float = 1.0) -> tuple[Transformer, MLP]:
    """The theorem form, the MLP of one layer scaled: W₁/√copies and W₂·√copies, the root rounded to a power of two."""
    transformer = theorem.build(spec).transformer
    layer = transformer.stored_layers[number]
    factor = 2.0 ** round(0.5 * np.log2(copies))
    layer.mlp = MLP(_times(layer.mlp.first, 1 / factor), _times(layer.mlp.second, factor))
    return transformer, layer.mlp


def _times(link: SparseMap, factor: float) -> SparseMap:
    rows, columns = (part.numpy(force=True) for part in (link.rows, link.columns))
    return SparseMap(rows, columns, link.weight.numpy(force=True) * factor, link.outputs, link.inputs)


def _norm() -> Demonstration:
    """Growth of ‖W₁‖ with HS²A, for S from 2 to 16; beside it that of both matrices with K."""
    sizes, episodes = (2, 4, 8, 16), (8, 16, 32, 64, 128)
    specs = [Spec(states=states, actions=1, horizon=1, episodes=4) for states in sizes]
    groups = [spec.states**2 for spec in specs]
    printed, repaired = (
        _exponent(
            groups, [scaled(spec, LOOKUPS, scale)[1].first for spec, scale in zip(specs, scales, strict=True)]
        )
        for scales in ([1.0] * len(groups), groups)
    )
    long = [scaled(Spec(states=1, actions=1, horizon=1, episodes=count), LOOKUPS)[1] for count in episodes]
    growth = [_exponent(episodes, [getattr(mlp, part) for mlp in long]) for part in ("first", "second")]
    return Demonstration(
        "built weights, S = 2, 4, 8, 16 at A=H=1, K=4: fitted exponent of HS²A in ‖W₁‖ of the look-ups",
        0.0,
        printed,
        repaired,
        ORDER_WINDOW,
        f"rescaled, the outputs differ by {_moved(LOOKUPS):g}; as printed, the fitted exponents of K "
        f"are {growth[0]:.3g} in ‖W₁‖ (printed: 3) and {growth[1]:.3g} in ‖W₂‖ (printed: 1)",
    )


def _moved(number: int) -> float:
    """By how much the outputs change when a layer is rescaled."""
    spec, seen = transitions()
    tokens = torch.as_tensor(theorem.build(spec).tokens.encode(seen))
    plain, other = (scaled(spec, number, copies)[0](tokens) for copies in (1.0, 16.0))
    return float((plain - other).abs().max())


def _cut() -> Demonstration:
    """Growth with SA of ‖W₁‖ where Q̂ is cut off at H."""
    arms, horizon = (4, 16, 64), 4
    specs = [Spec(states=1, actions=count, horizon=horizon, episodes=2) for count in arms]
    printed, repaired = (
        [scaled(spec, CUT, scale)[1] for spec, scale in zip(specs, scales, strict=True)]
        for scales in ([1.0] * len(arms), arms)
    )
    norms = [operator_norm(mlp.first.matrix()) for mlp in printed]
    second = _exponent(arms, [mlp.second for mlp in repaired])
    return Demonstration(
        f"built weights, A = 4, 16, 64 at S=1, H={horizon}, K=2: fitted exponent of SA in ‖W₁‖ of the cut at H",
        0.0,
        _exponent(arms, [mlp.first for mlp in printed]),
        _exponent(arms, [mlp.first for mlp in repaired]),
        ORDER_WINDOW,
        f"‖W₁‖ is {', '.join(f'{one:.1f}' for one in norms)}, and H√(SA) is "
        f"{', '.join(f'{horizon * count**0.5:.0f}' for count in arms)}; rescaled, the exponent in ‖W₂‖ is {second:.2g} and "
        f"the outputs differ by {_moved(CUT):g}",
    )


def _exponent(sizes: Sequence[int], maps: list[SparseMap]) -> float:
    return fit_power(sizes, [operator_norm(link.matrix()) for link in maps]).exponent


_PROOF = f"proof of Theorem 12, step {{}} ({PAPER})"

ERRATA = (
    Erratum(
        name="maximum over actions",
        kind="error",
        where=_PROOF.format("3, second MLP"),
        printed="V̂_h = relu(Q̂(a_1)) + Σ_{j≥2} relu(Q̂(a_j) − Q̂(a_{j−1})) = max_j Q̂(a_j): true for A ≤ 2",
        repair="a tree of max(p, q) = q + relu(p − q), one level by attention and one by the MLP: four numbers a layer",
        effect="L = H(1 + ⌈log₄ A⌉) + 8, which is at most 2H + 8 as stated for A ≤ 4; other sizes stand",
        demonstrate=_maximum,
    ),
    Erratum(
        name="constant of count head 5",
        kind="misprint",
        where=_PROOF.format("1b, K_5"),
        printed="−3B, so that the score on a match is 0 and heads 1 to 5 add up to −[h ≠ g]",
        repair="1 − 3B: the score on a match is 1 and heads 1 to 5 add up to [h = g]; head 10 likewise",
        effect="the theorem stands",
        demonstrate=_constant,
    ),
    Erratum(
        name="gate of the squares",
        kind="error",
        where=_PROOF.format("2, Q and K of x ↦ x²"),
        printed="score N_i N_j + K(j − i), meant to be ≤ 0 at tokens j < i",
        repair="a gate above K² (for K ≥ 3, (K − 1)(K − 2) will do); with its root in Q and in K, both norms stay O(K)",
        effect="the theorem stands",
        demonstrate=_gate,
    ),
    Erratum(
        name="look-up of the rewards",
        kind="error",
        where=_PROOF.format("2, f₃"),
        printed="f₃(x, y) by relu(1 − (x − n)² − (y − N)²) at integers, with x = N·r",
        repair="rewards in [0, 1] make x real: Σ_y K relu(x/K − (N − y)²)/max(y, 1) is exact for real x in [0, K]",
        effect="the theorem stands; this look-up takes K + 1 neurons instead of (K + 1)²",
        demonstrate=_reward,
    ),
    Erratum(
        name="stage of the transitions",
        kind="misprint",
        where=_PROOF.format("3, keys of both heads"),
        printed="P̂_{h+1}(·|s,a) against V̂_{h+1}; P̂_H is 0",
        repair="P̂_h(·|s,a). Its ℓ1 norm is 1 or 0, which the bound H on the product allows",
        effect="the theorem stands",
        demonstrate=_model,
    ),
    Erratum(
        name="values of heads 6 to 10",
        kind="misprint",
        where=_PROOF.format("1b; the same in steps 3 and 4, second head"),
        printed="V_{⋆+5} = −V_{⋆+5}: read literally 0, and the present episode is counted",
        repair="V_{⋆+5} = −V_⋆",
        effect="the theorem stands. The policy does not need the repair: at stage h it depends on counts of stages h to H, "
        "of which the present episode has none yet; so these heads may be left out",
        demonstrate=_values,
    ),
    Erratum(
        name="norm of the look-ups",
        kind="error",
        where=_PROOF.format("2, bound on W₁"),
        printed="‖W₁‖ = O(K³) for all HS²A quotients and ‖W₂‖ = O(K); but all neurons read one constant 1, which makes the "
        "first K³√(HS²A), and the weights x/max(y, 1) of one quotient have norm K^{3/2}, or K without those of x > y",
        repair="W₁/√(HS²A) and W₂√(HS²A): ‖W₁‖ = O(K³), ‖W₂‖ = Õ((K^{3/2} + H)√(HS²A)), and the outputs are the same",
        effect="the theorem stands: its display for H ≤ K⁴ with this repair, and for every H with W₁/√K and W₂√K, which do "
        "not meet step 2's own",
        demonstrate=_norm,
    ),
    Erratum(
        name="norm of the cut at H",
        kind="error",
        where=_PROOF.format("3, bound on W₁ of the first MLP"),
        printed="‖W₁‖ = O(H) for the cut of all SA numbers Q̂ at H; but SA neurons read −H from one constant 1, which "
        "makes it Θ(H√(SA)), beyond step 3's O(H + SA)",
        repair="W₁/√(SA) and W₂√(SA): ‖W₁‖ ≤ H + 3, ‖W₂‖ ≤ 2√(SA), and the outputs are the same",
        effect="the theorem stands, as printed too: H√(SA) is within its norm, Õ(K²HS²A + …). Step 3's own bound stands "
        "with the repair",
        demonstrate=_cut,
    ),
)
