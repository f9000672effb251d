"""The ridge problem of all past rewards: its spectrum, and the layer that writes it down for Newton's iteration."""

from typing import Protocol, runtime_checkable

from constructions.inputs.bandits import admitted_norms
from constructions.parts.block import Block
from constructions.parts.stream import Stream
from constructions.primitives import copying, newton

REGISTERS = ("gram", "gram_times", "moment", "moment_times")
"""λI + Σ a_j a_jᵀ, and Σ r_j a_j; each also times i."""


@runtime_checkable
class RidgeSpec(Protocol):
    """What is known of every problem that a specification admits."""

    @property
    def horizon(self) -> int: ...  # noqa: D102
    @property
    def ridge(self) -> float: ...  # noqa: D102
    @property
    def action_norm(self) -> tuple[float, float]: ...  # noqa: D102


def largest_eigenvalue(spec: RidgeSpec) -> float:
    """S = λ + (T − 1)B_a²: bound on the eigenvalues of λI + Σ a_j a_jᵀ, for actions as long as the door lets in."""
    high = admitted_norms(spec)[1]
    return spec.ridge + max(spec.horizon - 1, 1) * (high * high)


def first_layer(spec: RidgeSpec, stream: Stream, source: str, reward_max: float) -> list[Block]:
    """The blocks that fill REGISTERS and `arms_times`."""
    at, tokens, largest = stream.registers, 2 * spec.horizon, admitted_norms(spec)[1]
    equations = newton.normal_equations(
        "normal equations",
        source,
        **{name: at[name] for name in ("action", "reward", "position", *REGISTERS)},
        ridge=spec.ridge,
        action_max=largest,
        reward_max=reward_max,
        horizon=spec.horizon,
    )
    times = copying.times_index(
        "arms × i",
        source,
        what=(at["arms"],),
        to=(at["arms_times"],),
        position=at["position"],
        bound=tokens * largest,
        tokens=tokens,
    )
    return [equations, times]
