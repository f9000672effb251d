"""Theorem of this project on LinUCB that forgets: sizes, those of Theorem A for as many decisions as are remembered.

Transcribed from docs/drift.md; nothing here looks at a construction.

>>> setting = dict(dim=5, actions=10, action_min=0.5, action_max=5**0.5, weight_norm=5**0.5, noise_bound=6)
>>> setting |= dict(ridge=1, exploration=1, temperature=0.1, error=1e-3, horizon=10_000)
>>> WINDOW.evaluate("layers", memory=25, **setting), DISCOUNT.evaluate("layers", forgetfulness=0.9, **setting)
(11.0, 10.0)
"""

import sympy
from sympy import Integer, Max, ceiling

from verify.theorems import Statement, actions, dim, error, forgetfulness, horizon, memory
from verify.theorems.newton import ADMISSIBLE, THEOREM_A

SOURCE = "this project, docs/drift.md"


def _sizes(decisions: sympy.Expr, knots: sympy.Expr) -> dict[str, sympy.Expr]:
    """Sizes for so many decisions that are remembered, and so many heads; a tenth of ε is spare."""
    layers, hidden = (
        sympy.sympify(THEOREM_A.expression(what).subs(error, error * 9 / 10).subs(horizon, decisions + 1))
        for what in ("layers", "hidden")
    )
    return {
        "layers": sympy.Add(layers, 2),
        "heads": Max(2 * (dim + 1) + 1, 2 * dim**2 + 1, 2 * dim * (actions + 1), knots),
        "width": 4 * dim**2 + 4 * dim + 2 * actions * dim + 3 * actions + 4,
        "hidden": hidden,
    }


WINDOW = Statement(
    name="soft LinUCB on the last W decisions",
    source=f"{SOURCE}, Theorem",
    assumptions=ADMISSIBLE,
    error=error,
    size=_sizes(memory + 1, Integer(2)),
)

DISCOUNT = Statement(
    name="soft LinUCB with a discount",
    source=f"{SOURCE}, Theorem",
    assumptions=ADMISSIBLE,
    error=error,
    size=_sizes(ceiling(1 / (1 - forgetfulness)) + 1, horizon),
)
