"""The ridge problem of all past rewards: its spectrum; and specifications whose tokens hold pairs."""

from typing import ClassVar, Protocol, runtime_checkable

from constructions.inputs.bandits import admitted_norms


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


class Pairs:
    """A specification of pairs, ‖x‖ ≤ `bound`, |y| ≤ `response`, in the words of one of bandits."""

    bound: float
    response: float
    weight_norm: ClassVar[float] = 0.0

    @property
    def action_norm(self) -> tuple[float, float]:
        """Bounds on the norm of a vector."""
        return 0.0, self.bound

    @property
    def noise_bound(self) -> float:
        """Bound on the size of y."""
        return self.response
