"""Prediction from a past of pairs: sizes and errors of our constructions, and what is known of others'.

d is `dim`, m sweeps are `depth`, T is `horizon`, and A vectors are asked about at a time, `actions`.

>>> TD.evaluate("width", dim=3, actions=1)
20.0
"""

from sympy import Integer, Max, ceiling, log

from verify.theorems import (
    Statement,
    action_max,
    actions,
    condition,
    depth,
    dim,
    error,
    horizon,
    margin,
    noise_bound,
    penalties,
    ridge,
    weight_norm,
)

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

RIDGE = Statement(
    name="ridge regression by k = `depth` steps of Newton's iteration",
    source="ours, constructions/prediction/ridge.py",
    assumptions=LASSO.assumptions,
    error=error,
    size={
        "layers": depth + 2,
        "heads": Max(4 * (dim + 1), 2 * dim**2 + 1, 2 * dim * actions),
        "hidden": Integer(2),
        "width": 3 * dim**2 + 3 * dim + dim * actions + actions + 4,
    },
)

STATISTICIANS = "arXiv 2306.04637 (July 2023)"

RIDGE_PAPER = Statement(
    name="ridge regression by gradient descent, κ = `condition`, |x| ≤ `action_max`, |w| ≤ `weight_norm`/2",
    source=f"{STATISTICIANS}, Theorem 4; its formula for the layers as quoted by others, in accordance with its proof",
    assumptions=(
        "eigenvalues of XᵀX/N + λ from α + λ to β + λ, κ = (β + λ)/(α + λ)",
        "ε below half of `action_max` · `weight_norm`",
        "N pairs and a query, N known to the weights; no causal mask",
    ),
    error=error,
    size={
        "layers": ceiling(2 * condition * log(action_max * weight_norm / (2 * error))) + 1,
        "heads": Integer(3),
    },
)

VALIDATED = Statement(
    name="ridge regression with one of K = `penalties` penalties chosen on held-out pairs, m = `depth` steps",
    source="ours, constructions/prediction/validated.py",
    assumptions=LASSO.assumptions,
    error=error,
    size={
        "layers": depth + 8,
        "heads": penalties * Max(4 * (dim + 1), 2 * dim**2 + 1, 2 * dim * (actions + 1)),
        "hidden": Max(4 * (dim + 1), 4 * penalties, penalties * (penalties - 1)),
        "width": penalties * (3 * dim**2 + 2 * dim + actions + 6) + 3 * dim + dim * actions + actions + 8,
    },
)

VALIDATED_PAPER = Statement(
    name="the same by gradient descent; `error` is that of weights, and a loss is the sum of squares over `horizon` pairs",
    source=f"{STATISTICIANS}, Theorem H.2, put together from the text of its proof",
    assumptions=(*RIDGE_PAPER.assumptions, "the weights know which pairs are held out"),
    error=margin + 4 * horizon * (action_max * weight_norm + noise_bound) * action_max * error,
    size={"layers": ceiling(2 * condition * log(weight_norm / (2 * error))) + 3},
)

BINARY = Statement(
    name="whether all responses are 0 or 1, and how far they are from it",
    source="ours, constructions/prediction/binary.py, Theorem",
    assumptions=("responses within their bound",),
    error=Integer(0),
    size={"layers": Integer(1), "heads": Integer(4), "hidden": Integer(1), "width": Integer(8)},
)

BINARY_PAPER = Statement(
    name="the mean of tents around 0 and 1",
    source=f"{STATISTICIANS}, Lemma 18",
    assumptions=("so many responses as the weights know of; no causal mask",),
    error=Integer(0),
    size={"layers": Integer(1), "heads": Integer(6)},
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
