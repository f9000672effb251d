"""The transformer with softmax attention: what is trained everywhere, where the paper has relu(⟨q, k⟩)/i.

    attention   h̄_i = h_i + Σ_m Σ_{j≤i} softmax_{j≤i}(⟨Q_m h_i, K_m h_j⟩) V_m h_j,     i = 0, 1, …, N

There is no scale 1/√d in the scores, and no LayerNorm. MLP, clipping, factored heads, the literal dense form, sizes and norm
are those of transformer.py: the two models differ in what a score is worth, and in nothing else.

Weights of a softmax add up to 1, so that a head that finds nothing has to take something. Sequences begin with token 0,
which holds a 1 in the register `start` and 0 everywhere else: a head looks there where it is to move nothing, or finds there
what stands for nothing seen (`constructions.inputs.begun`).
"""

import torch
from jaxtyping import Float
from torch import Tensor


def softmax_shares(scores: Float[Tensor, "*heads tokens tokens"]) -> Float[Tensor, "*heads tokens tokens"]:
    """What token i takes of the value of token j: exp(score) over the sum of exp(score) for all j ≤ i; 0 for j > i.

    >>> softmax_shares(torch.zeros(2, 2)).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(-1)
