"""The true algorithms, in plain NumPy: what the constructed transformers are measured against.

Nothing here knows how a transformer computes; the formulas are those of the definitions, solved directly.
"""

from verify.algorithms.beta_bernoulli import (
    BernoulliThompsonDecoder,
    BernoulliThompsonParameters,
    bernoulli_thompson,
    bernoulli_thompson_accuracy,
    bernoulli_thompson_at,
    bernoulli_thompson_decoder,
)
from verify.algorithms.choice import ChoiceProbabilities, along_lines, choice_probabilities
from verify.algorithms.linear_bandits import (
    LinUCBDecoder,
    LinUCBParameters,
    LinUCBValues,
    decoder,
    linucb,
    linucb_values,
)
from verify.algorithms.tabular import (
    UCBVIDecoder,
    UCBVIParameters,
    UCBVIValues,
    ucbvi,
    ucbvi_bonus,
    ucbvi_decoder,
    ucbvi_values,
)
from verify.algorithms.tabular_exact import ucbvi_exact
from verify.algorithms.thompson import (
    ThompsonDecoder,
    ThompsonParameters,
    ThompsonValues,
    thompson,
    thompson_decoder,
    thompson_scores,
    thompson_values,
)

__all__ = [
    "BernoulliThompsonDecoder",
    "BernoulliThompsonParameters",
    "ChoiceProbabilities",
    "LinUCBDecoder",
    "LinUCBParameters",
    "LinUCBValues",
    "ThompsonDecoder",
    "ThompsonParameters",
    "ThompsonValues",
    "UCBVIDecoder",
    "UCBVIParameters",
    "UCBVIValues",
    "along_lines",
    "bernoulli_thompson",
    "bernoulli_thompson_accuracy",
    "bernoulli_thompson_at",
    "bernoulli_thompson_decoder",
    "choice_probabilities",
    "decoder",
    "linucb",
    "linucb_values",
    "thompson",
    "thompson_decoder",
    "thompson_scores",
    "thompson_values",
    "ucbvi",
    "ucbvi_bonus",
    "ucbvi_decoder",
    "ucbvi_exact",
    "ucbvi_values",
]
