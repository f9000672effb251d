"""What pages say of each construction: a short name, its claim in a sentence or two, where its parts are, captions."""

from verify.audit import Words
from verify.errata.entry import SOURCE

LINUCB = Words(
    short="LinUCB",
    source=SOURCE,
    claim=(
        "A transformer with ReLU attention plays soft LinUCB: given the contexts, actions and rewards so far, its "
        "log-probabilities of all arms are within ε of the algorithm's, at every step, with O(√T) layers up to "
        "logarithms (Theorem 8) and, by Newton's iteration, with O(log T) (ours)."
    ),
    code=(
        "Weights: constructions/linucb/ and constructions/primitives/. The theorem's formulas: "
        "verify/theorems/linucb.py, lemmas.py, newton.py. The claims: verify/claims/linucb.py, depth.py. "
        "Proofs of ours: docs/depth.md."
    ),
    captions={
        "depth": (
            "The worst error of the ridge estimate falls geometrically with depth. The certificate follows "
            "the worst history found closely, and falls about twice as fast as the lemma's bound; below the "
            "shaded line what is measured is rounding."
        ),
        "size": (
            "Layers needed for the same error by horizon: parallel lines are equal powers of T. Built "
            "constructions lie a constant factor below the theorem's count."
        ),
        "width": (
            "The square root of the confidence width costs error^(−1/2) neurons an arm: measured and "
            "certified coincide, on the fitted power law."
        ),
        "regret": (
            "The transformer acts for itself, in the paper's set-up and on a data set. Where it chooses as "
            "true LinUCB does, the curves lie on each other; the note counts the decisions that differ."
        ),
        "rounding": (
            "Left, the error of Newton's iteration in exact arithmetic, and what two precisions add to it; right, "
            "the policy's error by condition number: above the certificate, the precision no longer suffices."
        ),
        "outside": (
            "The largest eigenvalue is 1 + δ times what the weights were made for; how much of the error along it is "
            "left, measured on built weights (lines) and by Theorem E (open marks). Layers that follow a schedule fail "
            "first; above 1 a solver does harm."
        ),
    },
)

THOMPSON = Words(
    short="Thompson sampling",
    source=SOURCE,
    claim=(
        "A transformer plays linear Thompson sampling: with two arms its log-probabilities are within ε of the true "
        "ones; with more it integrates the posterior along fixed lines, or takes the draw as input and plays the "
        "same action (Theorem 10). For Bernoulli arms a construction of ours is certified for every arm."
    ),
    code=(
        "Weights: constructions/thompson/. The theorem's formulas: verify/theorems/thompson.py, thompson_whole.py. "
        "The claims: verify/claims/thompson.py, bernoulli.py, depth.py."
    ),
    captions={
        "nodes": (
            "Distance from the true policy by the number of lines or points: lines, along which one direction"
            " is integrated exactly, beat points, and a Sobol' sequence beats independent draws."
        ),
        "poles": (
            "The rational approximation of the square root: Padé's poles as in the theorem, and Zolotarev's, "
            "which need far fewer for the same error."
        ),
        "depth": ("Error of the whitened arms by depth, for both sets of poles, with their certificates."),
        "sizes": "Layers and heads of steps 1 to 3 by horizon.",
        "posterior": (
            "What the transformer integrates: ellipses of one and two standard deviations of the posterior, "
            "the fixed lines after whitening (grey), and each arm with its probability of being the best."
        ),
        "regret": (
            "The transformer acts for itself, with the same draws as true Thompson sampling; the note counts "
            "the decisions that differ."
        ),
    },
)

UCBVI = Words(
    short="UCB-VI",
    source=SOURCE,
    claim=(
        "A transformer plays soft UCB-VI on tabular episodes without any error in exact arithmetic (Theorem 12, "
        "repaired); two smaller forms of ours, slim and narrow, do the same with fewer registers and heads."
    ),
    code=(
        "Weights: constructions/ucbvi/, its slim.py and narrow.py with their proofs. The theorem's formulas: "
        "verify/theorems/ucbvi.py. Rational arithmetic: verify/audit/exact.py. The claims: verify/claims/ucbvi.py."
    ),
    captions={
        "sizes": (
            "Width and neurons of the theorem's form and of the two smaller ones, one variable at a time. "
            "Narrow is linear in S where the theorem's form is quadratic."
        ),
        "regret": (
            "The transformer acts for itself in three environments; the note counts the decisions on which it"
            " differs from true UCB-VI."
        ),
        "stream": (
            "The residual stream at one decision: every register, what it holds, and which layer wrote it."
        ),
    },
)

SOFTMAX = Words(
    short="UCB-VI by softmax",
    source="this project, docs/softmax.md",
    claim=(
        "A transformer with softmax attention, as everybody trains them, and one token in front plays soft UCB-VI within "
        "any error asked for: heads average over the visits to a state and action, and the weight of attention is the "
        "estimated probability of the next state."
    ),
    code=(
        "Weights: constructions/ucbvi/by_softmax.py, tables.py. Lemmas: constructions/primitives/softmax/. Proofs: "
        "docs/softmax.md. Formulas: verify/theorems/softmax.py. The claims: verify/claims/softmax.py."
    ),
)

SOFTMAX_LINUCB = Words(
    short="LinUCB by softmax",
    source="this project, docs/softmax.md",
    claim=(
        "A transformer with softmax attention and one token in front plays soft LinUCB within any error asked for, in "
        "O(log T) layers: an average with token 0 is the ridge problem, and each layer more is a step of Newton's iteration."
    ),
    code=(
        "Weights: constructions/linucb/by_softmax.py, softmax_plan.py. Lemmas: constructions/primitives/softmax/. Proofs: "
        "docs/softmax.md. Formulas: verify/theorems/softmax.py. The claims: verify/claims/softmax_linucb.py."
    ),
)

SOFTMAX_THOMPSON = Words(
    short="Thompson by softmax",
    source="this project, docs/softmax.md",
    claim=(
        "A transformer with softmax attention and one token in front plays Thompson sampling within any error asked for, in "
        "O(log T) layers, two arms by their probabilities and any number at a draw that its token brings: the posterior is "
        "soft LinUCB's ridge problem, attention divides by a root, and a sum over poles is one of ridge problems."
    ),
    code=(
        "Weights: constructions/thompson/softmax/. Lemmas: constructions/primitives/softmax/. Proofs: docs/softmax.md. "
        "Formulas: verify/theorems/softmax.py, softmax_errors.py. The claims: verify/claims/softmax_thompson.py."
    ),
)

BERNOULLI = Words(source=SOURCE)

DRIFT = Words(
    short="LinUCB that forgets",
    source="this project; the window: arXiv 1810.03024, the discount: arXiv 1909.09146",
    claim=(
        "A transformer plays soft LinUCB on the last W decisions, or on all with weights that fall by a factor a step, "
        "within any error asked for. A window is exact, and takes O(log W) layers, whatever the horizon."
    ),
    code=(
        "Weights: constructions/linucb/forgetting.py. The weighted sums: constructions/linucb/lagged.py. The algorithm: "
        "verify/algorithms/forgetting.py. Theorem, proofs: docs/drift.md. The claims: verify/claims/drift.py."
    ),
    captions={
        "regret": (
            "A bandit that turns round, and back again: regret of the transformer that forgets and of LinUCB that does not "
            "(band: one standard deviation)."
        )
    },
)

PREDICTION = Words(
    short="TD",
    source="this project; the algorithms and the form of the prompt: arXiv 2405.13861 and its code, InContextTD",
    claim=(
        "A transformer evaluates a policy from transitions in its context: batch TD(0), TD(λ), semi-gradient SARSA, a layer "
        "a sweep, without any error in exact arithmetic where float64 holds the powers by which a trace decays."
    ),
    code=(
        "Weights: constructions/prediction/td.py, with the proofs. Formulas: verify/theorems/prediction.py. The claims: "
        "verify/claims/prediction.py. The peer's own verification beside ours: benchmarks/in_context_td.py."
    ),
)

LASSO = Words(
    short="Lasso",
    source="this project; proximal gradient descent: Beck and Teboulle (2009); in context: arXiv 2306.04637",
    claim=(
        "A transformer solves Lasso problems from pairs in its context: a layer carries out a step of proximal gradient "
        "descent exactly, and so the bound on what so many steps leave is one on the transformer."
    ),
    code=(
        "Weights: constructions/prediction/lasso.py, with the proofs. Formulas: verify/theorems/prediction.py. The claims: "
        "verify/claims/prediction.py. Coordinate descent and duality gap: verify/algorithms/lasso.py."
    ),
)

RIDGE = Words(
    short="ridge",
    source="this project; ridge regression in context: arXiv 2306.04637, Theorem 4",
    claim=(
        "A transformer predicts by ridge regression on the pairs in its context, at every token, within any error asked "
        "for: by Newton's iteration in as many layers as the logarithm of the condition number, or by descent."
    ),
    code=(
        "Weights: constructions/prediction/ridge.py, with the proof. Formulas: verify/theorems/prediction.py. The claims: "
        "verify/claims/prediction.py. Ridge regression solved directly: verify/algorithms/regression.py."
    ),
)

VALIDATED = Words(
    short="validated ridge",
    source="this project; validation in context: arXiv 2306.04637, Theorem 16",
    claim=(
        "A transformer fits ridge regressions with several penalties to the first pairs in its context, and predicts with "
        "those that do best on the later ones: the loss of what is chosen is within a margin of the least."
    ),
    code=(
        "Weights: constructions/prediction/validated.py and choice.py, with the proofs. Formulas: "
        "verify/theorems/prediction.py. The claims: verify/claims/prediction.py. The algorithm: "
        "verify/algorithms/regression.py."
    ),
)

BINARY = Words(
    short="binary test",
    source="this project; binary labels in context: arXiv 2306.04637, Lemma 18",
    claim=(
        "A transformer of one layer tells, without any error in exact arithmetic, how far the responses in its context are "
        "from 0 and 1 together, and whether all of them are 0 or 1: by that regression and classification can be told apart."
    ),
    code=(
        "Weights: constructions/prediction/binary.py, with the proof. Formulas: verify/theorems/prediction.py. The claims: "
        "verify/claims/prediction.py. The algorithm: verify/algorithms/regression.py."
    ),
)

GAMES = Words(
    short="Hedge",
    source="this project; the algorithm and its regret: Cesa-Bianchi and Lugosi, Prediction, Learning, and Games (2006)",
    claim=(
        "A transformer of one layer and one head plays Hedge, exponential weights with full information, without any error "
        "in exact arithmetic. So the bound on Hedge's regret is one on the transformer's; where two of them meet in a "
        "matrix game, their average strategies approach an equilibrium as fast as it says."
    ),
    code=(
        "Weights: constructions/games/hedge.py, with the proofs. Formulas: verify/theorems/games.py. Values of games: "
        "verify/algorithms/matrix_games.py. The claims: verify/claims/games.py. Two players: docs/games.md."
    ),
)

EXP3 = Words(
    short="EXP3",
    source=(
        "this project; the algorithm and its regret: Bubeck and Cesa-Bianchi, Regret Analysis of Stochastic and "
        "Nonstochastic Multi-armed Bandit Problems (2012)"
    ),
    claim=(
        "A transformer of one layer and one head plays EXP3, exponential weights that see the loss of what was played "
        "alone, without any error in exact arithmetic. So the bound on EXP3's regret is one on the transformer's."
    ),
    code=(
        "Weights: constructions/games/exp3.py. The bound's proof: docs/games.md. Formulas: verify/theorems/games.py. The "
        "claims: verify/claims/feedback.py."
    ),
)
