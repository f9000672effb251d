"""Soft UCB-VI as a transformer, exactly: Theorem approx_ucbvi of arXiv 2310.08566 (Theorem 12), and smaller.

Three forms of the same algorithm (Spec.form):

    theorem   as printed and repaired: all stages side by side (theorem.py)        D, M = O(HS²A), L = 2H + 8
    slim      registers used again from stage to stage (slim.py)                   D, M = O(S²A),  L = 2H + 4
    narrow    expected values straight from the context (narrow.py)                D, M = O(SA),   L = 2H + 4

for 2 ≤ A ≤ 4; the maximum over more actions takes ⌈log₄ A⌉ − 1 further layers a stage. All three are exact: with exact
look-up values and exact arithmetic their logits are Q̂_h(s, ·)/τ, for all real rewards in [0, 1]. Values like 1/3 are rounded
in float64; what that leaves in exact arithmetic is the certificate.

With softmax attention (SoftmaxSpec, by_softmax.py) it is within any error asked for: D, M = O(SA + H), L = O(HS).
"""

from constructions import checks, limits
from constructions.construction import Construction
from constructions.rounding import outward
from constructions.ucbvi import by_softmax, narrow, slim, theorem
from constructions.ucbvi.spec import Form, SoftmaxSpec, Spec

__all__ = ["Form", "SoftmaxSpec", "Spec", "build", "by_softmax", "narrow", "slim", "theorem"]


@outward.balls(53)  # flint's precision is that of all threads: nobody else's while promises are worked out
def build(spec: Spec | SoftmaxSpec) -> Construction:
    """The transformer for a spec.

    >>> built = build(Spec(states=2, actions=2, horizon=2, episodes=3))
    >>> built.size().layers, 0 < built.certificate < 1e-12
    (12, True)
    >>> build(SoftmaxSpec(states=2, actions=2, horizon=2, episodes=3)).certificate <= 1e-6
    True
    """
    checks.instance("spec", spec, Spec, SoftmaxSpec)
    if isinstance(spec, SoftmaxSpec):
        return by_softmax.build(spec)
    limits.hold(f"ucbvi, form {spec.form}", weights=_weights(spec), stored=2.0 * spec.horizon)
    return {"theorem": theorem, "slim": slim, "narrow": narrow}[spec.form].build(spec)


def _weights(spec: Spec) -> float:
    """About how many weights there are: of look-ups nearly all, a few for each neuron."""
    pairs, stages, states, most = float(spec.pairs), spec.horizon, spec.states, spec.episodes
    return {
        "theorem": 5 * stages * pairs * states * (most + 1.0) ** 2,
        "slim": 7 * stages * pairs * states * most,
        "narrow": 20 * stages * pairs * most,
    }[spec.form]
