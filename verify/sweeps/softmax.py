"""What a product by softmax attention loses, against its factor b: the series exactly, and rounding in float64."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from flint import arb

from constructions.primitives.softmax.products import Product, best_b
from verify.balls.arrays import precision
from verify.sweeps.records import Record, curve, panel

PRECISE = 300
"""Bits for the series, whose terms cancel."""


def product_errors(tokens: int = 200, powers: Sequence[int] = range(1, 19)) -> Record:
    """Errors of the product of 1, 1 and 1 at the last of so many tokens, for b = 2⁻ⁿ, beside what Lemma 5 says of them.

    All tokens hold the same three numbers, and are told apart by the gate of binary digits alone.

    Source: Lemma 5 of docs/softmax.md.
    """
    digits = tokens.bit_length()
    found = Product.best(1.0, 1.0, digits, 1)
    factors = [2.0**-n for n in powers]
    products = [replace(found, b=b) for b in factors]
    series = [float(one.series) for one in products]
    both = [float(one.series + one.leak) + one.rounding for one in products]
    curves = [
        curve("exact", factors, [exact(b) for b in factors], "exact"),
        curve("exact, bound", factors, series, "exact", "stated"),
        curve("float64", factors, [abs(moved(one, tokens) - 1.0) for one in products], "float64"),
        curve("float64, bound", factors, both, "float64", "stated"),
    ]
    best = best_b(1.0, found.share_rounding)
    return panel(f"best b = {best:.2g}; a power of two: {found.b:.2g}", ("b", "error of a product"), curves)


@precision(PRECISE)
def exact(b: float) -> float:
    """How far (8 tanh(b/2) − tanh b)/(3b) is from 1."""
    x = arb(b)
    return abs(float((8 * (x / 2).tanh() - x.tanh()) / (3 * x) - 1))


def moved(product: Product, tokens: int) -> float:
    """What the four heads add at the last token, by the definition of softmax in float64."""
    places = (np.arange(1, tokens + 1)[:, None] >> np.arange(product.digits) & 1) * 2.0 - 1.0
    gate = product.gate * (places @ places[-1]) - product.gate * product.digits
    total = 0.0
    for factor, weight in ((1, 8 / 3), (-1, -8 / 3), (2, -1 / 3), (-2, 1 / 3)):
        scores = np.append(0.0, gate + factor * product.b)  # token 0 has the score 0, and the value 0
        weights = np.exp(scores - scores.max())
        total += weight / product.b * float(weights[1:].sum() / weights.sum())
    return total
