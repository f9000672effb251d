"""Everything that is claimed of linear Thompson sampling, measured.

two         two arms, d = 5, T = 50 and 200: searched histories, block by block; certified and exact but for that
lines       d = 3, A = 4: searched histories against the mean over the same lines, worked out independently
policy      d = 5, A = 10, T = 200, 4,096 nodes: 200 posteriors of real runs against an oracle with an error bar
sampling    the same draw, the same action, over 10,000 steps
sizes       poles, layers and heads against Theorem 10's proof; exponents in T
regret      the transformer acts; Theorem 11's bound with the constants of its proof
newton      sizes by Newton's iteration, in logarithmic depth (depth.py)
bernoulli   Bernoulli arms (bernoulli.py)
mutants     does the audit notice when one weight is wrong?
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache, partial

import numpy as np

from constructions import thompson
from constructions.construction import Construction
from constructions.history import BanditHistory
from constructions.thompson import nodes, posterior
from verify import algorithms
from verify.audit import Findings, Verdict, enclosed, kept, measure, search, slack
from verify.audit.plan import Found, Part, Plan, wrong_weights
from verify.balls import linear
from verify.catalog import CATALOG, line_policy
from verify.claims import bernoulli, depth
from verify.claims.general import certified, exponent, kept_laws
from verify.histories.linear import battery
from verify.play.rollout import rollouts
from verify.sweeps import posteriors
from verify.sweeps import thompson as posterior_sweeps
from verify.sweeps.posteriors import FLOOR
from verify.sweeps.records import fit_power
from verify.theorems import evaluate, symbols, thompson_whole
from verify.theorems import thompson as theorem

ROW = CATALOG["thompson"]
TWO = ROW.main
SEARCHED = thompson.Spec(dim=3, actions=4, horizon=30, nodes=64)
MAIN = thompson.Spec(dim=5, actions=10, horizon=200, nodes=4096)
SAMPLED = replace(MAIN, form="sampling", error=1e-3)
ACTING = thompson.Spec(dim=5, actions=10, horizon=200, form="sampling", error=1e-3, solver="zolotarev")
HORIZONS = [10, 30, 100, 300, 1000, 3000]
NODES = [64, 128, 256, 512, 1024, 2048, 4096]
POLES = [1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28]
DEPTHS = [25, 50, 100, 150, 200, 300, 400]
PROJECT = "this project"
_MANY = {f"pole {n}" for n in range(2, 1000)}  # of the poles, one is shown; all are searched


def plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The whole audit.

    Args:
        histories: how many histories the search for two arms tries at least; a fifth of them for lines.
        trials: how many single-weight mutants are audited.
    """
    built = cache(partial(thompson.build, TWO))
    few = max(1, histories // 5)
    long = replace(TWO, horizon=200, noise_bound=None)
    shaped, depths = replace(SEARCHED, rule="random", nodes=128), replace(SEARCHED, horizon=200)
    paper = "Linear Thompson sampling (Theorem 10 of arXiv 2310.08566)"
    parts = [
        Part(f"searching {histories} histories with two arms", lambda: _two(built(), histories)),
        Part("two arms at T = 200", lambda: _two_arms(long)),
        Part(f"searching {few} histories along lines", lambda: _lines(few)),
        Part(f"200 posteriors of real runs, {MAIN.nodes:,} nodes", _policy, long=True),
        Part("histories that the lines have shaped", lambda: _chance(shaped)),
        Part("10,000 steps with the same draws", _sampling, long=True),
        Part("sweeps over nodes, poles, depth and horizon", _sweeps),
        Part("Newton's iteration: sizes up to T = 10⁶", lambda: depth.thompson_verdicts(SAMPLED, depths)),
        Part("the transformer acts", _acting),
        *bernoulli.parts(histories),
        kept_laws(ROW, built),
        *wrong_weights(built, algorithms.thompson, trials, ROW.histories),
    ]
    return Plan(paper, TWO, parts, words=ROW.said())


def _two(built: Construction, histories: int) -> Found:
    findings = search(built, algorithms.thompson, histories)
    rows = {"slack_two_arms": _few(slack.rows(built, findings))}
    return Found(list(_searched(built, findings, "two arms")), rows, size=asdict(built.size()))


def _lines(histories: int) -> Found:
    built = thompson.build(SEARCHED)
    findings = search(built, line_policy, histories)
    what = f"A={SEARCHED.actions}, {SEARCHED.nodes} lines, P̄ ≥ {FLOOR:g}"
    return Found(list(_searched(built, findings, what)), {"slack_lines": _few(slack.rows(built, findings))})


def _few(rows: list[dict]) -> list[dict]:
    """Of the poles, one."""
    return [row for row in rows if row["block"] not in _MANY]


def _title(spec: thompson.Spec) -> str:
    return f"d={spec.dim}, A={spec.actions}, T={spec.horizon}, ε={spec.error:g}"


def _searched(built: Construction, findings: Findings, what: str) -> Iterator[Verdict]:
    """The policy and every block over the searched histories."""
    claim, replay = f"{what}, {_title(built.spec)}: |log-probability error|", built.spec.actions == 2
    yield certified(claim, "Theorem 10", built, ROW, findings, replay=replay, rounding=0.0)
    for block in built.blocks:
        if block.name not in _MANY:
            yield kept(f"{what}: {block.name}", built, block, findings.blocks[block.name])


def _two_arms(spec: thompson.Spec) -> Verdict:
    built = thompson.build(spec)
    findings = measure(built, algorithms.thompson, battery(spec)[::6])  # type: ignore[arg-type]  # None is filled in
    size, least = built.size(), -(posterior.largest_ratio(spec) ** 2) / 2
    note = (
        f"{size.layers} layers, {size.heads} heads, {size.width} registers, {size.hidden:,} neurons; "
        f"two-sided, not truncated, down to log-probabilities of {least:,.0f}"
    )
    claim, source = (
        f"two arms, {_title(spec)}: |log-probability error|",
        "Theorem 10, one-sided and truncated there",
    )
    return certified(claim, source, built, ROW, findings, rounding=0.0, note=note)


def _policy() -> Iterator[Verdict]:
    """The transformer against the oracle, along runs of true Thompson sampling."""
    histories = posteriors.runs(MAIN, 5) + posteriors.runs(MAIN, 5, seed=1, fixed=True)
    steps = np.linspace(0, MAIN.horizon - 1, 20).astype(int)
    truth = posteriors.Posteriors.along(MAIN, histories, steps)
    built = thompson.build(MAIN)
    found = posteriors.evaluated(built, histories, steps)
    distance, bar = truth.distance(found), truth.bars[0]
    shortfall = truth.shortfall(found)
    worst = np.argsort(shortfall)[-5:]
    closer = truth.some(worst, 2**17)
    largest = max(float(np.sort(shortfall)[-6]), float(closer.shortfall(found[worst]).max()))
    rule = nodes.NodeRule.of(MAIN)
    ideal = algorithms.along_lines(truth.white, truth.mean, rule.direction, rule.nodes @ rule.basis.T)
    certified = built.blocks[-2].promise.own.error * MAIN.actions + MAIN.actions * float(MAIN.truncation or 0)
    title, chance = f"{_title(MAIN)}, {MAIN.nodes:,} nodes, {len(distance)} posteriors", built.chance
    oracle = f"oracle within {bar:.1g}"
    for what, apart, stated in (("mean", distance.mean(), 0.005), ("worst", distance.max(), 0.02)):
        yield Verdict(f"{title}: total variation, {what}", PROJECT, "size", float(apart), stated, note=oracle)
    claim = f"{title}: log TS − log TF where TS ≥ {FLOOR:g}"
    note = f"the five worst against an oracle within {closer.bars[1]:.1g}; other seeds of the nodes reach 0.05 to 0.12"
    yield Verdict(claim, "Theorem 10", "size", largest, 0.1, note=note)
    counted = ideal >= FLOOR
    gaps = np.abs(np.log(found / np.where(counted, ideal, found))).max(axis=1)
    history, step = divmod(int(gaps.argmax()), len(steps))
    bounded = f"at most {chance.untold:.2g} a decision"
    untold = bounded if chance.untold < 1 else "not bounded at this separation"
    yield Verdict(
        f"{title}: |log TF − log P̄|, P̄ the mean over the nodes, where P̄ ≥ {FLOOR:g}",
        "lines.py, deterministic",
        "bound",
        float(gaps.max()),
        MAIN.error,
        built.certificate,
        main=True,
        enclosed=enclosed(built, linear.thompson, histories[history], int(steps[step])),
        note=f"certified total variation from P̄ {certified:.2g}; left to chance: a direction that does not tell two arms "
        f"apart ({untold}), and |P̄ − P| ≤ {chance.distance(0.01):.2g} with probability 0.99 "
        f"(independent nodes: {replace(chance, independent=True).distance(0.01):.2g}), for a history fixed beforehand",
    )


def _chance(spec: thompson.Spec, runs: int = 8) -> Iterator[Verdict]:
    """|P̄ − P| of every arm and decision, on histories of others, of which the chance bound speaks, and on its own."""
    built, stages = thompson.build(spec), posteriors.bandits(spec, runs)
    own = rollouts(stages, built.decoder(runs), [np.random.default_rng([18, n]) for n in range(runs)])
    decisions = runs * spec.horizon * spec.actions
    for whose, histories, source in (
        ("others, fixed beforehand", posteriors.runs(spec, runs), "nodes.py, Hoeffding"),
        ("its own, which its lines have shaped", [run.history for run in own], "not proven: the same number"),
    ):
        truth = posteriors.Posteriors.along(spec, histories, np.arange(spec.horizon))
        lines = np.exp(np.concatenate([line_policy(spec, history) for history in histories]))
        apart = np.abs(lines - truth.true.probabilities)
        yield Verdict(
            f"{_title(spec)}, {spec.nodes} independent lines: |P̄ − P|, histories of {whose}",
            source,
            "size",
            float(apart.max()),
            built.chance.distance(0.01 / decisions),
            note=f"mean {apart.mean():.2g}; stated with probability 0.99 for {decisions:,} arms and decisions together; "
            f"the oracle's own bar is {truth.true.half_width.max():.1g}",
        )


def _sampling(batches: int = 5, size: int = 10) -> Iterator[Verdict]:
    """The sampling form: score errors, and actions that differ."""
    built, generator = thompson.build(SAMPLED), np.random.default_rng(3)
    worst, where, same, steps, margins = -1.0, (None, 0), 0, 0, []
    for batch in range(batches):
        plain = posteriors.runs(SAMPLED, size, seed=20 + batch, fixed=batch % 2 == 0)
        draws = [generator.normal(size=(one.steps, SAMPLED.dim)) for one in plain]
        drawn = [
            BanditHistory(one.contexts, one.actions, one.rewards, each)
            for one, each in zip(plain, draws, strict=True)
        ]
        found = built.outputs(drawn, logits_only=True)[..., built.tokens.stream["logits"].slice]
        true = np.stack([algorithms.thompson_scores(SAMPLED, one) for one in drawn])
        gaps = np.abs(found - true).max(axis=-1)
        at, step = np.unravel_index(int(gaps.argmax()), gaps.shape)
        if gaps[at, step] > worst:
            worst, where = float(gaps[at, step]), (drawn[at], int(step))
        agree = found.argmax(-1) == true.argmax(-1)
        same, steps = same + int(agree.sum()), steps + agree.size
        ordered = np.sort(true, axis=-1)
        margins += (ordered[..., -1] - ordered[..., -2])[~agree].tolist()
    title = f"sampling form, {_title(SAMPLED)}, {steps:,} steps"
    yield Verdict(
        f"{title}: error of a score (reward)",
        PROJECT,
        "bound",
        worst,
        SAMPLED.error,
        built.certificate,
        main=True,
        enclosed=enclosed(built, linear.thompson, *where),
        note=f"float64 may add {built.rounding:.1g}",
    )
    told = f"{len(margins)} differ, margins {', '.join(f'{m:.1e}' for m in margins)}"
    note, claim = told if margins else "no action differs", f"{title}: share of equal actions, same draws"
    yield Verdict(claim, PROJECT, "least", same / steps, 0.999, note=note)
    claim = f"{title}: largest margin of two best scores where actions differ"
    yield Verdict(claim, PROJECT, "bound", max(margins, default=0.0), None, 2 * built.certificate)


def _sweeps() -> Found:
    """Records for figures; how sizes grow with the horizon."""
    histories = posteriors.runs(MAIN, 3) + posteriors.runs(MAIN, 3, seed=1, fixed=True)
    steps = np.unique(np.geomspace(1, MAIN.horizon, 10).astype(int)) - 1
    truth = posteriors.Posteriors.along(MAIN, histories, steps)
    shallow = thompson.Spec(dim=5, actions=3, horizon=50)
    plane = thompson.Spec(dim=2, actions=5, horizon=50, nodes=16, separation=0.3)
    sizes = posterior_sweeps.sizes(MAIN, HORIZONS)
    records = {
        "nodes": posterior_sweeps.error_against_nodes(MAIN, NODES, truth),
        "poles": [posterior_sweeps.error_against_poles(MAIN, POLES)],
        "depth": [posterior_sweeps.error_against_depth(shallow, DEPTHS, posteriors.runs(shallow, 3))],
        "sizes": posterior_sweeps.size_panels(HORIZONS, sizes),
        "posterior": posterior_sweeps.picture(plane, [1, 6, 40]),
    }
    return Found(list(_orders(sizes)), records=records)


def _orders(sizes: dict[str, dict[str, list]]) -> Iterator[Verdict]:
    """Poles, layers and heads of the theorem's route: against its proof, and how they grow."""
    spec, plan = MAIN, posterior.plan(MAIN, 1e-6, 1e-6)
    built, reach = thompson.whitener(spec, plan), math.sqrt(spec.prior_variance) * spec.action_norm[1]
    values = symbols(spec) | {"error_3": plan.relative * reach}
    size, title = built.size(), f"{_title(spec)}, ‖x̂ − x‖ ≤ {plan.relative * reach:.2g}"
    for what, found, formula in (
        ("poles", len(plan.rule.shifts), thompson_whole.STATED_POLES),
        ("layers of steps 1 to 3", size.layers, thompson_whole.STATED_LAYERS),
        ("heads", size.heads, thompson_whole.STATED_HEADS),
    ):
        stated = evaluate(theorem.at_event(formula), **values)
        yield Verdict(f"{title}: {what}", "Theorem 10, proof", "size", found, stated, rank="counted")
    for what, stated in (("poles", 0.25), ("heads", 0.25), ("width", 0.25), ("layers", 0.5)):
        fit, claim = fit_power(HORIZONS, sizes["pade"][what]), f"{what} in T, Padé, ‖E‖ ≤ 10⁻⁶"
        yield exponent(claim, "Theorem 10", fit, stated, "T = 10 … 3,000")
    fit = fit_power(np.log(HORIZONS), sizes["zolotarev"]["poles"])
    yield exponent("poles in log T, Zolotarev", PROJECT, fit, 1.0, "at most linear in log T", most=True)


def _acting() -> Found:
    """The transformer acts."""
    record = posterior_sweeps.regret(ACTING, range(30), "Gaussian prior")
    return Found([_regret(record)], records={"regret": [record]})


def _regret(record: dict) -> Verdict:
    spec, final = ACTING, record["built"][-1]
    unit = spec.dim * math.sqrt(spec.horizon) * math.log(spec.horizon * spec.dim)
    return Verdict(
        f"regret of the sampling form, {_title(spec)}, mean of {len(record['seeds'])} runs",
        "Theorem 11, with the constants of its proof",
        "size",
        final,
        record["bound"],
        main=True,
        note=f"true Thompson sampling {record['true'][-1]:.1f}; {record['differing']} of {record['decisions']:,} decisions "
        f"differ; implied constant of d√T log(Td): {final / unit:.3f}",
    )
