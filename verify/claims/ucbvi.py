"""Everything that is claimed of soft UCB-VI, measured.

exact       all three forms in rational arithmetic against the algorithm in rational arithmetic: difference 0
main        S=4, A=3, H=4, K=20: searched histories in float64, block by block, held to what float64 may add
sizes       layers, heads and neurons against Theorem 12 and its steps; our theorems' against theirs
orders      exponents of the sizes in S, A, H and K
streams     toy-text environments and random processes; the transformer acts, in float64
mutants     does the audit notice when one weight is wrong?

The bonus is the paper's times `exploration`. With the factor 1 every Q̂ is H, and the policy uniform, until a triple (h, s,
a) has been visited more than 4 log(SAT/δ) times: hardly ever within these runs. A smaller factor makes every part matter.

With the exact 1/n for weights there is no error in exact arithmetic. The certificate is what float64 weights leave of that,
and errors on worst histories are enclosed in balls to be held to it. What is measured in float64 is rounding, held to
statements of this project: 10⁻¹⁰/τ for the policy, and for a block what its promise says.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from fractions import Fraction
from functools import cache, partial
from typing import Any

import numpy as np

from constructions import ucbvi
from constructions.construction import Construction
from verify import algorithms, environments
from verify.audit import (
    FLOAT64,
    ORDER_WINDOW,
    Findings,
    Verdict,
    about,
    exact,
    kept,
    replayed,
    search,
    words,
)
from verify.audit.plan import Found, Part, Plan, wrong_weights
from verify.catalog import CATALOG
from verify.claims.general import certified, counted, exponent, kept_laws, shortest, subject
from verify.histories import episodes as episode_strategies
from verify.sweeps import ucbvi as episode_sweeps
from verify.sweeps.records import Fit, fit_power
from verify.theorems import evaluate, symbols
from verify.theorems import ucbvi as theorem

ROW = CATALOG["ucbvi"]
MAIN = ROW.main
FORMS: tuple[ucbvi.Form, ...] = ("theorem", "slim", "narrow")
MUTATED = ucbvi.Spec(states=2, actions=2, horizon=2, episodes=12, exploration=0.03, form="narrow")
LARGE = ucbvi.Spec(states=8, actions=4, horizon=20, episodes=20)
SWEEPS = {
    "states": [8, 16, 32, 64],
    "actions": [8, 16, 32, 64],
    "horizon": [8, 16, 32, 64],
    "episodes": [20, 40, 80, 160],
}
SWEPT = ucbvi.Spec(states=4, actions=4, horizon=4, episodes=8)


def plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The whole audit.

    Args:
        histories: a tenth of them, at least, are searched in float64 for each form, a fiftieth in rational arithmetic.
        trials: how many single-weight mutants are audited.
    """
    built = cache(partial(ucbvi.build, MAIN))
    exactly, tried = max(1, histories // 50), max(1, histories // 10)
    forms = [replace(MAIN, form=form) for form in FORMS]
    paper = "Soft UCB-VI (Theorem 12 of arXiv 2310.08566)"
    parts = [
        *(
            Part(f"{one.form} form in rational arithmetic", lambda one=one: exactness(one, exactly, seed=0))
            for one in forms
        ),
        Part(f"searching {tried} histories for the worst error", lambda: _searched(built(), tried)),
        *(
            Part(f"{one.form} form: searching {tried} histories", lambda one=one: _other(one, tried))
            for one in forms[1:]
        ),
        Part("sizes", _growth),
        Part("streams: the transformer acts", _streams),
        kept_laws(ROW, built),
        *wrong_weights(partial(ucbvi.build, MUTATED), algorithms.ucbvi, trials, ROW.histories),
    ]
    return Plan(paper, MAIN, parts, f"{_title(MUTATED)}: ", ROW.said())


def _searched(built: Construction, histories: int) -> Found:
    """The policy and every block in float64; sizes, and a picture of what one token holds."""
    findings = search(built, algorithms.ucbvi, histories, source=episode_strategies)
    small = replace(MAIN, states=2, actions=2, horizon=2, episodes=9)
    outline = episode_strategies.EpisodeOutline("sticky", "table", 17, 3)
    seen = episode_sweeps.stream_at_token(ucbvi.build(small), outline.history(small))
    return subject(built, findings, [*_main(built, findings), *_sizes(built)], stream=[seen])


def _other(spec: ucbvi.Spec, histories: int) -> list[Verdict]:
    """The policy of another form."""
    built = ucbvi.build(spec)
    return list(_main(built, search(built, algorithms.ucbvi, histories, source=episode_strategies)))[:2]


def _growth() -> Found:
    """Sizes of the forms, and how they and the norm grow."""
    drawn = [episode_sweeps.size_of_forms(SWEPT, name, values) for name, values in SWEEPS.items()]
    return Found([*_our_sizes(), *_orders(drawn), *_norms()], records={"sizes": drawn})


def _title(spec: ucbvi.Spec) -> str:
    return f"UCB-VI {spec.form}, S={spec.states}, A={spec.actions}, H={spec.horizon}, K={spec.episodes}"


def exactness(spec: ucbvi.Spec, histories: int, seed: int) -> Verdict:
    """The largest difference of a logit, in rational arithmetic, over histories of random lengths.

    The bonuses are the rationals that float64 holds for them; everything else is exact without such a choice.
    """
    built, generator = ucbvi.build(spec), np.random.default_rng(seed)
    bonus, scale = [Fraction(spec.bonus(n)) for n in range(spec.episodes + 1)], Fraction(1 / spec.tau)
    worst, decisions, uneven, witness = Fraction(0), 0, 0, None
    kinds = episode_strategies.battery(spec)
    for number in range(histories):
        steps = int(generator.integers(1, episode_strategies.decisions(spec) + 1))
        outline = replace(kinds[number % len(kinds)], steps=steps, seed=int(generator.integers(2**32)))
        history = outline.history(spec)
        true = algorithms.ucbvi_exact(spec, history, bonus)
        for row, wanted in zip(exact.logits(built, history), true, strict=True):
            difference = max(abs(x - scale * q) for x, q in zip(row, wanted, strict=True))
            decisions, uneven = decisions + 1, uneven + (len(set(wanted)) > 1)
            if difference > worst or witness is None:
                worst, witness = max(worst, difference), asdict(outline)
    return Verdict(
        f"{_title(spec)}: difference of logits in rational arithmetic, {histories} histories, {decisions} decisions",
        "Theorem 12" if spec.form == "theorem" else "theorem ours",
        "bound",
        float(worst),
        0.0,
        main=True,
        note=f"at {uneven} of the decisions the actions' values differ; bonus times {spec.exploration:g}",
        witness=witness,
        rank="exact",
        **about(built),
    )


def _main(built: Construction, findings: Findings) -> Iterator[Verdict]:
    """The policy and every block in float64, over the searched histories: what rounding adds to exact forms."""
    spec = built.spec
    stated, witness = episode_sweeps.rounding(spec), shortest(built, ROW, findings)
    yield Verdict(
        f"{_title(spec)}: |log-probability error| in float64, {findings.histories} histories",
        FLOAT64,
        "size",
        findings.error,
        stated,
        witness=words(witness),
        main=spec.form == "theorem",
        replay=replayed(built, algorithms.ucbvi, witness),
        note="exact but for rounding, which is to stay below 10⁻¹⁰/τ",
        **about(built),
    )
    claim = f"{_title(spec)}: |log-probability error|, weights as float64 holds them"
    yield certified(claim, "this project", built, ROW, findings, replay=False, stated=stated)
    for block in built.blocks:
        yield kept(f"{_title(spec)}, {block.name}", built, block, findings.blocks[block.name])


def _sizes(built: Construction) -> Iterator[Verdict]:
    """Explicit sizes of the theorem and of the steps of its proof."""
    spec, values = built.spec, symbols(built.spec) | {"temperature": built.spec.tau}
    layers = ucbvi.theorem.layer_sizes(spec)
    stated = theorem.THEOREM_12_EXPLICIT.evaluate("layers", **values)
    told = counted(built, theorem.THEOREM_12_EXPLICIT)
    yield Verdict(f"{_title(spec)}: layers", "Theorem 12", "size", built.size().layers, stated, **told)
    value_layers = layers[5:-3]
    for what, found in zip(("heads", "hidden"), map(max, zip(*value_layers, strict=True)), strict=True):
        claim, stated = f"{_title(spec)}: {what} of value iteration", theorem.STEP_3.evaluate(what, **values)
        yield Verdict(claim, theorem.STEP_3.source, "size", found, stated, **counted(built, theorem.STEP_3))
    there = [(layer.attention.heads, layer.mlp.first.outputs) for layer in built.transformer.run()]
    other = sum(a != b for a, b in zip(layers, there, strict=True))
    claim = f"{_title(spec)}: layers that were counted without building are those built"
    yield Verdict(claim, "this toolkit", "size", other, 0.0, **counted(built))


def _our_sizes() -> Iterator[Verdict]:
    """Slim and narrow against the theorem's form at S=8, A=4, H=20."""
    full, slim, narrow = (episode_sweeps.sizes(replace(LARGE, form=form)) for form in FORMS)
    spec, source, told = LARGE, "theorem ours", dict[str, Any](kind="size", rank="counted")
    for name, found, wanted in (("slim", slim, 5.0), ("narrow", narrow, 15.0)):
        title = _title(replace(spec, form=name))
        note = f"D = {found['width']:,} for {full['width']:,}, M = {found['heads']:,} for {full['heads']:,}, "
        note += f"D' = {found['hidden']:,} for {full['hidden']:,}, L = {found['layers']} for {full['layers']}"
        ratio = full["width"] / found["width"]
        claim, shown = f"{title}: registers of the theorem's form over these", name == "narrow"
        yield Verdict(claim, source, "least", ratio, wanted, note=note, main=shown, rank="counted")
        layers = float(2 * spec.horizon + 4)
        yield Verdict(f"{title}: layers", source, measured=found["layers"], stated=layers, **told)
        heads = {"slim": (spec.states + 2) * spec.pairs, "narrow": 2 * (spec.pairs + spec.actions) + 1}[name]
        yield Verdict(f"{title}: heads", source, measured=found["heads"], stated=float(heads), **told)
    title = _title(replace(spec, form="narrow"))
    bound = 12 * spec.pairs + 4 * (spec.states + spec.actions + spec.horizon) + 64
    yield Verdict(f"{title}: width", source, measured=narrow["width"], stated=float(bound), **told)


NORMS = {"episodes": ([6, 12, 24, 48], 3.0), "states": ([2, 4, 8, 16], 2.0)}
"""Where the norm is fitted, and the largest power of the variable in Theorem 12's K²HS²A + K³ + 1/τ."""


def _norms() -> Iterator[Verdict]:
    """The power with which the built theorem form's norm grows."""
    small = ucbvi.Spec(states=2, actions=2, horizon=2, episodes=6, temperature=1.0)
    for variable, (over, stated) in NORMS.items():
        norms = [ucbvi.build(replace(small, **{variable: value})).size().norm for value in over]
        claim, span = f"theorem: exponent of the norm in {variable}", f"{variable} = {over[0]} … {over[-1]}"
        fit = fit_power(over, norms)
        yield exponent(claim, "Theorem 12, an order", fit, stated + ORDER_WINDOW, span, most=True)


ORDERS = {
    "theorem": {"states": (2, 2, 2), "actions": (1, 1, 1), "horizon": (1, 1, 1), "episodes": (0, 0, 2)},
    "slim": {"states": (2, 2, 2), "actions": (1, 1, 1), "horizon": (1, 0, 0), "episodes": (0, 0, 1)},
    "narrow": {"states": (1, 1, 1), "actions": (1, 1, 1), "horizon": (1, 0, 0), "episodes": (0, 0, 1)},
}
"""Powers of D, M and D' in each variable: Theorem 12's O(HS²A), O(HS²A), O(K²HS²A); ours."""


def _orders(records: list[dict]) -> Iterator[Verdict]:
    """Fitted exponents; a lower-order term bends them a little, so an upper bound is what is held."""
    for record in records:
        over = record["values"]
        for form, powers in ORDERS.items():
            for name, stated in zip(episode_sweeps.SIZES, powers[record["variable"]], strict=True):
                fit = Fit(**record["fits"][form][name])
                note = f"constant {fit.constant:.3g}, {record['variable']} = {over[0]} … {over[-1]}"
                claim = f"{form}: exponent of {name} in {record['variable']}"
                source = "Theorem 12, an order" if form == "theorem" else "theorem ours, an order"
                yield exponent(claim, source, fit, stated + ORDER_WINDOW, note, most=True)


def _streams() -> Found:
    """The transformer acts."""
    lake = environments.gymnasium_mdp("FrozenLake", 8, map_name="4x4")
    cliff = environments.gymnasium_mdp("CliffWalking", 12)

    def spec(mdp, episodes: int, form: ucbvi.Form) -> ucbvi.Spec:
        sizes = {"states": mdp.states, "actions": mdp.actions, "horizon": mdp.horizon}
        return ucbvi.Spec(**sizes, episodes=episodes, exploration=0.03, form=form)

    def drawn(generator: np.random.Generator):
        return environments.random_mdp(generator, states=3, actions=2, horizon=3)

    one = drawn(np.random.default_rng(0))
    records = [
        episode_sweeps.regret(lambda _: lake, spec(lake, 30, "narrow"), range(2), "FrozenLake 4×4"),
        episode_sweeps.regret(lambda _: cliff, spec(cliff, 16, "narrow"), range(2), "CliffWalking"),
        episode_sweeps.regret(drawn, spec(one, 40, "theorem"), range(3), "random processes"),
    ]
    return Found([_stream(record) for record in records], records={"regret": records})


def _stream(record: dict) -> Verdict:
    spec = record["spec"]
    sizes = {name: float(spec[name]) for name in ("states", "actions", "horizon", "episodes")}
    bound = evaluate(theorem.REGRET, **sizes)  # Theorem 13's order, without constant and logarithms
    constant = record["built"][-1] / bound
    return Verdict(
        f"{record['label']}, the transformer acts, {len(record['seeds'])} runs of K={spec['episodes']}, {spec['form']}: "
        "|log-probability error| in float64",
        FLOAT64,
        "size",
        record["measured"],
        record["stated"],
        main=True,
        note=f"final regret {record['built'][-1]:.2f}, true UCB-VI {record['true'][-1]:.2f}; {record['differing']} of "
        f"{record['decisions']} decisions differ; {record['uniform']:.0%} of decisions uniform; Theorem 13's order "
        f"H²√(SAK) + H³S²A is {bound:.3g}, implied constant {constant:.2g}",
    )
