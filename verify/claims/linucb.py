"""Everything that is claimed of soft LinUCB, measured.

main        dim 5, 10 arms, 50 steps, error 1e-3: searched histories, block by block
lemma       the ridge lemma, gradient descent and accelerated, at the depth it states
stated      the theorem's own depth at 200 steps
chebyshev   50 steps again, in half the layers of accelerated descent
newton      the same by Newton's iteration, in logarithmic depth (depth.py)
products    the square root of the width without neurons that grow as the error falls
orders      exponents of depth in T and of √ width in 1/error, fitted
streams     the paper's set-up and a real data set; the transformer acts
mutants     does the audit notice when one weight is wrong?
"""

import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial

import numpy as np

from constructions import linucb
from constructions.construction import Construction
from constructions.rounding.rates import Solver
from verify import algorithms, environments
from verify.audit import Findings, Verdict, about, kept, measure, replayed, search, words
from verify.audit.plan import Found, Part, Plan, wrong_weights
from verify.balls import linear
from verify.balls.enclosure import enclose_register
from verify.catalog import CATALOG
from verify.claims import depth
from verify.claims.citing import cited
from verify.claims.general import certified, counted, exponent, kept_laws, subject
from verify.histories.linear import battery
from verify.sweeps import linucb as sweeps
from verify.sweeps.records import Fit, fit_power
from verify.theorems import lemmas, symbols
from verify.theorems import linucb as theorem

ROW = CATALOG["linucb"]
MAIN = ROW.main
STATED = replace(MAIN, horizon=200, depth="stated")
HORIZONS: dict[Solver, list[int]] = {"agd": [10, 30, 100, 300, 1000, 3000], "gd": [10, 30, 100, 300, 1000]}
SOLVERS: tuple[Solver, ...] = ("chebyshev", "agd")
ROOT_ERRORS = [1e-2, 1e-3, 1e-4, 1e-6, 1e-8]
WIDTHS = [10.0**-n for n in np.arange(1.5, 6.1, 0.5)]
LEMMA_BITS = 2**12
"""A layer of descent may cost a bit or so where it is wide, and none once it has contracted."""
DEPTHS: dict[Solver, list[int]] = {"gd": [2**n for n in range(15)], "agd": [2**n for n in range(11)]}


def plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The whole audit.

    Args:
        histories: how many histories the main search tries at least.
        trials: how many single-weight mutants are audited.
    """
    built = cache(partial(linucb.build, MAIN))
    newton = replace(STATED, solver="newton", depth="certified")
    paper = "Soft LinUCB (Theorem 8 of arXiv 2310.08566)"
    parts = [
        Part(f"searching {histories} histories for the worst error", lambda: _searched(built(), histories)),
        Part("the ridge lemma at its stated depth", _lemmas),
        Part("the theorem's own depth at T = 200", _stated),
        Part("Chebyshev's semi-iteration at T = 50", lambda: _chebyshev(replace(MAIN, solver="chebyshev"))),
        Part("Newton's iteration", lambda: depth.linucb_verdicts(newton)),
        Part("the square root by products", lambda: _products(newton)),
        Part("what rounding does to Newton's iteration", lambda: depth.rounding(newton)),
        Part("tied and untied layers beyond their interval", depth.outside),
        Part("sweeps over depth, width and horizon", _sweeps),
        Part("streams: the transformer acts", _streams),
        kept_laws(ROW, built),
        *wrong_weights(built, algorithms.linucb, trials, ROW.histories),
    ]
    return Plan(paper, MAIN, parts, words=ROW.said())


def _title(spec: linucb.Spec) -> str:
    return f"LinUCB d={spec.dim}, A={spec.actions}, T={spec.horizon}, ε={spec.error:g}, {spec.solver}, depth {spec.depth}"


def _searched(built: Construction, histories: int) -> Found:
    """The policy and every block over the searched histories; sizes."""
    findings = search(built, algorithms.linucb, histories)
    return subject(built, findings, [*_main(built, findings), *_sizes(built)])


def _main(built: Construction, findings: Findings) -> Iterator[Verdict]:
    """The policy and every block over the searched histories."""
    spec, title = built.spec, _title(built.spec)
    claim = f"{title}: |log-probability error|, all t and k"
    held = cited(theorem.THEOREM_8_EXPLICIT)
    yield certified(claim, "Theorem 8", built, ROW, findings, statement=held)
    depth = built.transformer.stored_layers[0].repeat
    values = symbols(spec) | {"depth": depth}
    formulas = {
        "ridge estimate": lemmas.RIDGE_AGD_DEPTH if spec.solver == "agd" else lemmas.RIDGE_GD_DEPTH,
        "inverse times arms": theorem.STEP_2_DEPTH if spec.solver == "agd" else None,
    }
    for block in built.blocks:
        formula = formulas.get(block.name)
        stated = formula.evaluate("error", **values) if formula else None
        claim = f"{block.name}: error after {depth} descent layers"
        worst = findings.blocks[block.name]
        replay = replayed(built, algorithms.linucb, worst.outline, block.name)
        found = kept(claim, built, block, worst, stated)
        yield replace(found, replay=replay, statement=formula and cited(formula))


def _sizes(built: Construction) -> Iterator[Verdict]:
    size, values = built.size(), symbols(built.spec)
    for what in ("layers", "heads"):
        stated = theorem.THEOREM_8_EXPLICIT.evaluate(what, **values)
        claim, found = f"{_title(built.spec)}: {what}", getattr(size, what)
        more = counted(built, theorem.THEOREM_8_EXPLICIT, main=what == "layers")
        yield Verdict(claim, "Theorem 8 and its proof", "size", found, stated, **more)


def _lemmas() -> Iterator[Verdict]:
    for solver in ("gd", "agd"):
        yield from _lemma(replace(MAIN, solver=solver))


def _lemma(spec: linucb.Spec) -> Iterator[Verdict]:
    """The ridge lemma: error and sizes of the transformer with the stated number of layers."""
    lemma = lemmas.RIDGE_AGD if spec.solver == "agd" else lemmas.RIDGE_GD
    values = symbols(spec)
    depth = int(lemma.evaluate("layers", **values))
    built = linucb.estimator(spec, depth)
    promise, size = built.blocks[0].promise.total, built.size()
    findings = measure(built, None, battery(spec)[::6])
    worst = findings.blocks["ridge estimate"]
    name = f"ridge lemma, {spec.solver}, T={spec.horizon}"
    history = worst.outline.history(spec)
    yield Verdict(
        f"{name}: ‖ŵ − w‖ at its {depth} layers",
        lemma.source,
        "bound",
        worst.error,
        spec.error,
        promise.error,
        rounding=promise.rounding,
        relative=worst.relative,
        witness=words(worst.outline),
        enclosed=enclose_register(built, "ridge", linear.ridge, history, history.steps - 1, LEMMA_BITS),
        note="enclosed at the last decision",
        statement=cited(lemma),
        **about(built),
    )
    for what in ("heads", "hidden", "norm"):
        if what in lemma.size:
            stated = lemma.evaluate(what, **values)
            claim, found = f"{name}: {what}", getattr(size, what)
            yield Verdict(claim, lemma.source, "size", found, stated, **counted(built, lemma))


def _stated() -> Iterator[Verdict]:
    """The theorem's own depth: built, measured, timed."""
    start = time.perf_counter()
    built = linucb.build(STATED)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MB; Linux counts KiB
    findings = measure(built, algorithms.linucb, battery(STATED)[:: len(battery(STATED)) // 6])
    ridge = lemmas.RIDGE_AGD.evaluate("layers", **symbols(STATED))
    title = _title(STATED)
    note = (
        f"built in {seconds:.2f} s; the process has used {memory:.0f} MB at most so far, libraries included"
    )
    stated = theorem.THEOREM_8_EXPLICIT.evaluate("layers", **symbols(STATED))
    layers, more = built.size().layers, counted(built, theorem.THEOREM_8_EXPLICIT)
    yield Verdict(f"{title}: layers", "Theorem 8, proof", "size", layers, stated, note=note, **more)
    claim = f"{title}: layers, above the ridge lemma's"
    yield Verdict(claim, "ridge lemma", "least", layers, ridge, **counted(built, lemmas.RIDGE_AGD))
    yield certified(f"{title}: |log-probability error|", "Theorem 8", built, ROW, findings)


def _chebyshev(spec: linucb.Spec) -> Iterator[Verdict]:
    """The error, and layers against those of accelerated descent."""
    source = "theorem ours (rounding/rates.py)"
    yield from depth.searched(_title(spec), linucb.build(spec), source, battery(spec)[::6])
    for horizon in (spec.horizon, 200):
        chosen = replace(spec, horizon=horizon)
        ours, theirs = (linucb.build(replace(chosen, solver=solver)).size().layers for solver in SOLVERS)
        yield Verdict(
            f"{_title(chosen)}: layers, against accelerated", source, "size", ours, theirs, rank="counted"
        )


def _products(spec: linucb.Spec) -> Iterator[Verdict]:
    """The square root by products: the error, neurons against 1/error, and the layers that products cost."""
    spec, source = replace(spec, root="products"), "theorem ours (refinement.py)"
    title = f"{_title(spec)}, root by products"
    yield from depth.searched(title, linucb.build(spec), source, battery(spec)[::6])
    sizes = {
        root: [linucb.build(replace(spec, root=root, error=error)).size() for error in ROOT_ERRORS]
        for root in ("interpolation", "products")
    }
    for root, found in sizes.items():
        fit = fit_power(1 / np.array(ROOT_ERRORS), [size.hidden for size in found])
        stated, note = 0.5 * (root == "interpolation"), _fit_note(fit, ROOT_ERRORS, "error")
        yield exponent(f"neurons in 1/error, root by {root}", source, fit, stated, note)
    layers = [size.layers for size in sizes["products"]]
    most = max(np.subtract(layers, [size.layers for size in sizes["interpolation"]]))
    note = f"ε = {ROOT_ERRORS[0]:g} … {ROOT_ERRORS[-1]:g}: {', '.join(map(str, layers))} layers"
    claim = "layers more, root by products"
    yield Verdict(claim, source, "size", float(most), 4.0, note=note, rank="counted")


def _sweeps() -> Found:
    histories = sweeps.adversarial_histories(MAIN)
    records = {
        "depth": [
            sweeps.error_against_depth(MAIN, solver, depths, histories) for solver, depths in DEPTHS.items()
        ],
        "size": [
            sweeps.size_against_horizon(MAIN, horizons, solver) for solver, horizons in HORIZONS.items()
        ],
        "width": [sweeps.error_against_width(MAIN, WIDTHS)],
    }
    return Found(list(_orders(records)), records=records)


def _orders(records: dict[str, list[dict]]) -> Iterator[Verdict]:
    """Fitted exponents, the stated log factor divided out."""
    sources = {"agd": ("Theorem 8, L = Õ(√T)", 0.5), "gd": ("ridge lemma, part 1, L = Õ(T)", 1.0)}
    for record in records["size"]:
        solver, horizons = record["spec"]["solver"], record["horizons"]
        source, stated = sources[solver]
        for which in ("certified", "stated"):
            fit = Fit(**record["fits"][which])
            claim = f"depth in T, {solver}, {which} count"
            yield exponent(claim, source, fit, stated, _fit_note(fit, horizons, "T"))
    [record] = records["width"]
    fit, errors = Fit(**record["fit"]), record["errors"]
    yield exponent("√ neurons in 1/error", "Theorem 8, step 3", fit, 0.5, _fit_note(fit, errors, "error"))


def _fit_note(fit: Fit, over: list, name: str) -> str:
    span = f"{name} = {min(over):.3g} … {max(over):.3g}"
    return f"constant {fit.constant:.3g}, {span}, R² {fit.r_squared:.4f}"


def _streams() -> Found:
    """The transformer acts: in the paper's set-up, and on a classification data set."""
    paper = replace(MAIN, horizon=200, exploration=2.0)
    norms = {"action_norm": (1.0, 1.0), "weight_norm": 1.0, "noise_bound": 1.0}
    iris = linucb.Spec(dim=15, actions=3, horizon=60, **norms)

    def paper_stage(generator: np.random.Generator):
        bounds = {"action_norm": paper.action_norm, "noise_bound": paper.noise_bound}
        return environments.paper_linear_bandit(generator, horizon=200, **bounds)

    def iris_stage(generator: np.random.Generator):
        return environments.classification_bandit("iris", generator, horizon=60)

    found = {
        "paper": sweeps.regret(paper_stage, paper, range(20), "the paper's set-up"),
        "iris": sweeps.regret(iris_stage, iris, range(20), "iris"),
    }
    verdicts = [_stream(name, record) for name, record in found.items()]
    return Found(verdicts, records={"regret": list(found.values())})


def _stream(name: str, record: dict) -> Verdict:
    runs, differing = len(record["seeds"]), record["differing"]
    return Verdict(
        f"{name} stream, the transformer acts, {runs} runs of {record['steps'][-1]}: |log-probability error|",
        "Theorem 8",
        "bound",
        record["measured"],
        record["stated"],
        record["certified"],
        rounding=record["rounding"],
        enclosed=record["enclosed"],
        note=f"final regret {record['built'][-1]:.2f}, true LinUCB {record['true'][-1]:.2f}; "
        f"{differing} of {record['decisions']} decisions differ",
        main=name == "paper",
    )
