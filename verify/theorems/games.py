"""Exponential weights: the regret bounds, and what they make of two players who meet in a matrix game.

From N. Cesa-Bianchi and G. Lugosi, Prediction, Learning, and Games, Cambridge University Press 2006, in our letters: N is
their number of experts, T their n. Losses are in [0, 1]. With bandit feedback, from S. Bubeck and N. Cesa-Bianchi, Regret
Analysis of Stochastic and Nonstochastic Multi-armed Bandit Problems, Foundations and Trends in Machine Learning 5 (2012): N
is their K.

>>> REGRET_TUNED.evaluate("error", actions=2, horizon=200).__round__(3)
8.326
"""

from sympy import Integer, log, sqrt

from verify.theorems import Statement, actions, horizon, rate

BOOK = "Cesa-Bianchi and Lugosi, Prediction, Learning, and Games (2006)"
LOSSES = ("losses in [0, 1], whoever sets them", "the loss of a round is linear in the odds played")

EXACT = Statement(
    name="Hedge, full information",
    source="ours, constructions/games/hedge.py, Theorem 1",
    assumptions=("losses in [−1, 1]",),
    error=Integer(0),
    size={
        "layers": Integer(1),
        "heads": Integer(1),
        "hidden": Integer(0),
        "width": 2 * actions + 5,
    },
)

REGRET = Statement(
    name="regret of exponential weights",
    source=f"{BOOK}, Theorem 2.2",
    assumptions=LOSSES,
    error=log(actions) / rate + horizon * rate / 8,
)

REGRET_TUNED = Statement(
    name="regret of exponential weights, rate √(8 log N / T)",
    source=f"{BOOK}, Theorem 2.2",
    assumptions=(*LOSSES, "rate √(8 log N / T)"),
    error=sqrt(horizon / 2 * log(actions)),
)

GAP = Statement(
    name="two players who meet, each with the regret of Theorem 2.2: their average strategies against best replies",
    source=f"follows from {BOOK}, Theorem 2.2; proof in docs/games.md",
    assumptions=("a zero-sum game with payments in [0, 1]", "T rounds, rate √(8 log N / T)"),
    error=2 * REGRET_TUNED.expression("error") / horizon,
)

VALUE = Statement(
    name="two players who meet: the mean payment against the value of the game",
    source=f"follows from {BOOK}, Theorem 2.2; proof in docs/games.md",
    assumptions=GAP.assumptions,
    error=REGRET_TUNED.expression("error") / horizon,
)

SURVEY = "Bubeck and Cesa-Bianchi, Regret Analysis of … Multi-armed Bandit Problems (2012)"

EXP3 = Statement(
    name="EXP3, bandit feedback",
    source="ours, constructions/games/exp3.py, Theorem 1",
    assumptions=("losses in [−1, 1]", "weights in [1, 1/π]"),
    error=Integer(0),
    size={
        "layers": Integer(1),
        "heads": Integer(1),
        "hidden": Integer(0),
        "width": 3 * actions + 6,
    },
)

EXP3_REGRET = Statement(
    name="pseudo-regret of EXP3",
    source=f"{SURVEY}, Theorem 3.1, its proof",
    assumptions=("losses in [0, 1], set by anyone who knows what was played",),
    error=log(actions) / rate + horizon * rate * actions / 2,
)

EXP3_TUNED = Statement(
    name="pseudo-regret of EXP3, rate √(2 log N / (TN))",
    source=f"{SURVEY}, Theorem 3.1",
    assumptions=(*EXP3_REGRET.assumptions, "rate √(2 log N / (TN))"),
    error=sqrt(2 * horizon * actions * log(actions)),
)
