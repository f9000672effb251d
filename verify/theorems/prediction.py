"""Prediction from a past of pairs: sizes and errors of our constructions, and what is known of others'.

d is `dim`, m sweeps are `depth`, T is `horizon`, and A vectors are asked about at a time, `actions`.

>>> TD.evaluate("width", dim=3, actions=1)
20.0
"""

from sympy import Integer, Max

from verify.theorems import Statement, action_max, actions, depth, dim, noise_bound, ridge

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

LASSO = Statement(
    name="Lasso by proximal gradient descent",
    source="ours, constructions/prediction/lasso.py, Theorem 1",
    assumptions=("vectors and responses within their bounds",),
    error=Integer(0),
    size={
        "layers": depth + 1,
        "heads": Max(2, 2 * actions),
        "hidden": 2 * dim + 1,
        "width": 2 * dim + dim * actions + actions + 4,
    },
)

LASSO_GAP = Statement(
    name="Lasso by proximal gradient descent: F(w) − min F, λ = `ridge`, step 1/B² or more, R = `noise_bound`",
    source="ours after Beck and Teboulle (2009), constructions/prediction/lasso.py, Theorem 2",
    assumptions=LASSO.assumptions,
    error=action_max**2 * noise_bound**4 / (32 * ridge**2 * depth),
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
