"""Prediction from a past of pairs: sizes and errors of our constructions, and what is known of others'.

d is `dim`, m sweeps are `depth`, T is `horizon`, and A vectors are asked about at a time, `actions`.

>>> TD.evaluate("width", dim=3, actions=1)
20.0
"""

from sympy import Integer, Max

from verify.theorems import Statement, actions, depth, dim

TD = Statement(
    name="batch TD(0) and semi-gradient SARSA",
    source="ours, constructions/prediction/td.py, Theorem 1",
    assumptions=("pairs and rewards within their bounds", "c = 0"),
    error=Integer(0),
    size={
        "layers": depth + 1,
        "heads": Max(2, 2 * actions),
        "hidden": Integer(0),
        "width": 3 * dim + 2 * dim * actions + actions + 4,
    },
)

TRACES = Statement(
    name="batch TD(λ)",
    source="ours, constructions/prediction/td.py, Theorem 1",
    assumptions=("pairs and rewards within their bounds", "T ≤ 32, float64 holds the powers c^(2ⁿ)"),
    error=Integer(0),
    size={
        "layers": depth + 6,
        "heads": Max(2, 2 * actions),
        "hidden": Integer(0),
        "width": 4 * dim + 2 * dim * actions + actions + 4,
    },
)

PEER = Statement(
    name="batch TD(λ) by linear attention",
    source="code of arXiv 2405.13861, verification/model.py; its theorem was not at hand",
    assumptions=(
        "a prompt of n transitions and a query, n known to the weights",
        "attention without softmax or relu",
    ),
    error=Integer(0),
    size={"layers": depth, "heads": Integer(1), "width": 2 * dim + 1},
)
