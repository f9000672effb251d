"""Products of matrices in float32 on any processor, by the quicker of two libraries that gives them.

Every entry of a product of matrices over n terms that is computed in float32 obeys, in whatever order they are added up,

    |computed − AB| ≤ γ_n |A||B|,   γ_n = nu/(1 − nu),   u = 2⁻²⁴.

With factors rounded to fewer bits, to bfloat16 (8) or TF32 (11), products of a few hundred terms do not. PyTorch has MKL
multiply, which leaves AVX-512 unused on some makers' processors, or oneDNN, which uses it on all, but only if that may round
factors to bfloat16. Whether it does so depends on the processor, the environment and the sizes at hand; so it is measured.

Source: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, (3.13).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
PRODUCTS = (aten.mm.default, aten.bmm.default, aten.addmm.default, aten.baddbmm.default)
"""AB, many of them, and both with a summand before the factors; nothing else in training multiplies matrices."""


class Measured(TorchDispatchMode):
    """While it is entered, every product is compared with the same in float64.

    Attributes:
        float32: whether all entries of all products so far obey the bound above; a summand is one term more.
    """

    def __init__(self):
        super().__init__()
        self.float32 = True

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        computed = operation(*args, **kwargs)
        if operation in PRODUCTS and self.float32:
            exact = operation(*(value.double() for value in args), **kwargs)
            sizes = operation(*(value.double().abs() for value in args), **kwargs)
            rounding = (args[-1].shape[-2] + len(args) - 2) * 2.0**-24
            underflow = torch.finfo(torch.float32).tiny * 2.0**24  # of a term or sum that is taken for 0
            bound = sizes.add_(underflow).mul_(rounding / (1 - rounding))
            self.float32 = bool((exact.sub_(computed).abs_() <= bound).all())
        return computed


@contextmanager
def quick(work: Callable[[], None]) -> Iterator[None]:
    """Float32 products on a CPU: by oneDNN if all those that `work` makes are such with it, by MKL otherwise.

    What holds of the products of `work` holds of all that have their sizes. The setting before is put back at the end.
    """
    setting: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = setting.fp32_precision
    try:
        setting.fp32_precision = "bf16"
        with Measured() as measured:
            work()
        if not measured.float32:
            setting.fp32_precision = "ieee"
        yield
    finally:
        setting.fp32_precision = before
