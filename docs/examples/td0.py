"""Batch TD(0) for tabular episodes: a transformer that gives an estimate of every state's value.

V ← V + (α/i) Σ_j (r_j + γ V(s'_j) − V(s_j)) e(s_j), m times from V = 0, over all steps j that are over; i tokens have been
seen, and V(s') = 0 where an episode ends. Its fixed point is the certainty-equivalence estimate, whatever α > 0.

    layers 1, 2     at the token after it, each step's state and reward beside the state that followed
    layer 2 + n     sweep n, two heads: score ±(⟨γ e(s'_j) − e(s_j), V_i⟩ + r_j), value ±α e(s_j)

**Theorem.** For α, γ in [0, 1] the register `values` holds V exactly, at every decision, for rewards in [0, 1]. There are
m + 2 layers of at most 3 heads. *Proof.* relu(z) − relu(−z) = z and attention divides by i: two heads add (α/i) Σ_{j≤i} z_ij
e(s_j), z_ij the bracket above. A token that closes no step holds 0 for e(s_j); of i tokens less than half close one. So a
sweep is V(s) ← (1 − c)V(s) + c · mean(r + γV(s')), 0 ≤ c ≤ 1: max |V − W| does not grow, 0 ≤ V ≤ 1 + γ + … + γ^{m−1}.  ∎
"""

from dataclasses import dataclass

import numpy as np
from flint import arb

from constructions import checks
from constructions.construction import Construction
from constructions.history import EpisodeHistory
from constructions.language import episodes, repeat
from constructions.parts.guarantee import Guarantee
from verify.catalog import Entry
from verify.histories import episodes as histories


@dataclass(frozen=True)
class Spec:
    """S states, A actions (which do not matter), H steps in each of K episodes; m sweeps of step size α, discount γ."""

    states: int = 3
    actions: int = 2
    horizon: int = 4
    episodes: int = 5
    sweeps: int = 8
    step: float = 1.0
    discount: float = 0.9
    guarantee = Guarantee("values", output="values")  # what is given is this register as it is, no policy

    def __post_init__(self):
        checks.settle(self, checks.whole, "states", "actions", "horizon", "episodes", "sweeps")
        checks.settle(self, checks.share, "step", "discount")


def estimate(spec: Spec, history: EpisodeHistory, now: int, number=float) -> list:
    """V before step `now`, in the arithmetic of `number`; it shares nothing with the weights."""
    seen = (
        2 * now + now // spec.horizon + 1
    )  # two tokens a step, one at the end of an episode, the present state
    value = [number(0)] * spec.states
    for _ in range(spec.sweeps):
        old = [*value]
        for j, state in enumerate(history.states[:now]):
            after = number(spec.discount) * old[history.states[j + 1]] if (j + 1) % spec.horizon else 0
            target = number(float(history.rewards[j])) + after
            value[state] += number(spec.step) / seen * (target - old[state])
    return value


def truth(spec: Spec, history: EpisodeHistory, steps=None, number=float) -> np.ndarray:
    """V at every decision, or at some, shape (decisions, states)."""
    return np.array([estimate(spec, history, now, number) for now in steps or range(history.steps)])


def build(spec: Spec) -> Construction:
    """The transformer: `before` has registers for the step before, `repeat` what is taken again and again."""
    p = episodes.program("TD(0)", spec, **episodes.before(spec, "state", "reward"), values=spec.states)
    state, reward = episodes.step_before(p, ("state", "reward"))
    key = spec.discount * p.input("state", 1.0) - state
    most = 1.001 * sum(spec.discount**n for n in range(spec.sweeps))
    sizes = {"weight": spec.step, "largest": most}
    values = repeat(p, "values", "TD(0)", spec.sweeps, key, reward, state, **sizes)
    return episodes.complete(p, spec, values.error.error)


BALLS = {"balls": lambda *given: truth(*given, arb)}  # float64 cannot show what is certified, 0
ENTRY = Entry("td0", "Batch TD(0)", Spec, build, truth, histories, EpisodeHistory, **BALLS)
