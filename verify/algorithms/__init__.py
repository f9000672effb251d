"""The true algorithms, in plain NumPy: what the constructed transformers are measured against.

Nothing here knows how a transformer computes; the formulas are those of the definitions, solved directly.
"""

from verify.algorithms.linear_bandits import (
    LinUCBDecoder,
    LinUCBParameters,
    LinUCBValues,
    decoder,
    linucb,
    linucb_values,
)

__all__ = [
    "LinUCBDecoder",
    "LinUCBParameters",
    "LinUCBValues",
    "decoder",
    "linucb",
    "linucb_values",
]
