"""Thompson sampling as its constructions have it: along the lines of a specification, or the scores of arms at the draws."""

import numpy as np
from jaxtyping import Float

from constructions import thompson
from constructions.history import BanditHistory
from constructions.thompson import nodes
from verify import algorithms


def line_policy(spec: thompson.Spec, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Log of the mean over the spec's lines of the exact probabilities along them: what is certified of many arms."""
    values, rule = algorithms.thompson_values(spec, history), nodes.NodeRule.of(spec)  # type: ignore[arg-type]
    points = rule.nodes @ rule.basis.T
    with np.errstate(divide="ignore"):
        return np.log(algorithms.along_lines(values.whitened, values.mean, rule.direction, points))


def thompson_truth(
    spec: thompson.Spec | thompson.SoftmaxSpec, history: BanditHistory
) -> Float[np.ndarray, "steps arms"]:
    """The policy of Thompson sampling, or along its lines, or the scores of arms at the draws."""
    if spec.form == "sampling":
        return algorithms.thompson_scores(spec, history)
    if isinstance(spec, thompson.Spec) and spec.lines:
        return line_policy(spec, history)
    return algorithms.thompson(spec, history)
