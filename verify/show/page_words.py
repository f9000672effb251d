"""What the page says of each figure."""

CAPTIONS = {
    "linucb": {
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
    },
    "thompson": {
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
    "ucbvi": {
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
}
"""By construction and figure."""

LEGENDS = {
    "regret": ("Bands are one standard deviation of true runs; dotted lines, the same of the transformer's."),
    "slack": (
        "Worst error of each block over its promise, with the errors of its inputs and without: left of the "
        "line is kept, and the distance to it is slack."
    ),
    "size_against_horizon": "Exponents are fitted with the stated formula's logarithm divided out.",
}
"""By kind of record, after the caption."""
