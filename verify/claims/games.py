"""Everything that is claimed of Hedge, measured.

exact       N = 10, T = 200: searched losses, the policy and its sum; sizes
regret      what losses that a search aims at it cost the transformer, beside the bound on Hedge's regret
games       two transformers meet in matrix games: their average strategies, and the mean payment, against the value
impostors   wrong algorithms: does the audit object?
mutants     does it notice when one weight is wrong?

*stated* of a regret is the textbook's bound, *certified* the sharper one of Theorem 2 in constructions/games/hedge.py.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.checks import UNIT
from constructions.construction import Construction
from constructions.games import hedge
from constructions.rounding.outward import above, balls
from verify import algorithms
from verify.audit import Outline, Verdict, about, climb, kept, search, words
from verify.audit.plan import Found, Part, Plan
from verify.catalog import CATALOG
from verify.claims import general
from verify.claims.citing import cited
from verify.histories import losses as loss_histories
from verify.play.games import meet
from verify.theorems import games as theorem
from verify.theorems import symbols

ROW = CATALOG["hedge"]
MAIN = ROW.main
OTHERS = (replace(MAIN, actions=2, rate=None), replace(MAIN, horizon=25, rate=None))
ROUNDS = (50, 200, 800)
GAMES = 40


def plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The whole audit.

    Args:
        histories: how many sequences of losses the search for an error tries at least, and each search for a regret.
        trials: how many single-weight mutants are audited.
    """
    whole = general.plan(ROW, MAIN, histories, trials)
    _, *broken = whole.parts
    parts = [
        Part(f"searching {histories} sequences of losses for the worst error", lambda: _searched(histories)),
        *(
            Part(f"regret, {_title(spec)}", lambda spec=spec: regret(hedge.build(spec), histories))
            for spec in (MAIN, *OTHERS)
        ),
        *(
            Part(f"two players meet for {rounds} rounds", lambda rounds=rounds: met(rounds))
            for rounds in ROUNDS
        ),
    ]
    return replace(whole, parts=[*parts, *broken])


def _title(spec: hedge.Spec) -> str:
    return f"Hedge, N={spec.actions}, T={spec.horizon}"


def _searched(histories: int) -> Found:
    """The policy and its sum over searched losses; sizes."""
    built = hedge.build(MAIN)
    findings = search(built, ROW.truth, histories, source=ROW.histories)
    verdicts = [
        general.certified(
            f"{_title(MAIN)}: |log-probability error|",
            theorem.EXACT.source,
            built,
            ROW,
            findings,
            stated=theorem.EXACT.evaluate("error"),
            statement=cited(theorem.EXACT),
        ),
        *(kept(block.name, built, block, findings.blocks[block.name]) for block in built.blocks),
    ]
    verdicts += general.sizes(_title(MAIN), built, theorem.EXACT, symbols(MAIN))
    return general.subject(built, findings, verdicts)


@dataclass(frozen=True)
class Cost:
    """The worst regret of some sequences of losses.

    Attributes:
        histories: how many.
        regret: Σ ⟨p_t, ℓ_t⟩ less the losses of the best arm.
        outline: where.
    """

    histories: int = 0
    regret: float = -math.inf
    outline: Outline | None = None

    def merge(self, other: "Cost") -> "Cost":
        """Both together."""
        return replace(
            max(self, other, key=lambda one: one.regret), histories=self.histories + other.histories
        )


def cost(built: Construction, outlines: Sequence[Any]) -> Cost:
    """What sequences of equal length, outlines of `verify.histories.losses`, cost the transformer."""
    losses = np.array([outline.losses(built.spec) for outline in outlines])
    seen = [outline.history(built.spec) for outline in outlines]
    odds = np.exp(built.policy(built.outputs(seen, logits_only=True)))
    regrets = (odds * losses).sum(axis=(1, 2)) - losses.sum(axis=1).min(axis=1)
    worst = int(regrets.argmax())
    return Cost(len(outlines), float(regrets[worst]), outlines[worst])


def regret(built: Construction, histories: int) -> Verdict:
    """The largest regret that a search finds."""
    spec = built.spec
    found = climb(
        Cost(),
        lambda outlines: cost(built, outlines),
        lambda found: found.regret,
        spec,
        histories,
        source=loss_histories,
    )
    return Verdict(
        f"{_title(spec)}: regret, {found.histories} sequences of losses",
        theorem.REGRET_TUNED.source,
        "bound",
        found.regret,
        theorem.REGRET_TUNED.evaluate("error", **symbols(spec)),
        certain(built),
        rounding(built),
        witness=words(found.outline),
        main=spec == MAIN,
        statement=cited(theorem.REGRET_TUNED),
        **about(built),
    )


def certain(built: Construction, bound: Callable[[Any], float] = hedge.regret) -> float:
    """Bound on the regret of the transformer in exact arithmetic: the algorithm's, and what its certificate leaves."""
    with balls():
        odds = arb(built.certificate).expm1()  # a factor on every probability
        return above(arb(bound(built.spec)) + built.spec.horizon * odds)


def rounding(built: Construction) -> float:
    """What float64 adds: log-probabilities off by their rounding, and a sum of NT terms, T at most."""
    rounds, arms = built.spec.horizon, built.spec.actions
    return rounds * math.expm1(built.rounding) + 2 * UNIT * rounds * arms * rounds


def games(arms: int, count: int, seed: int = 0) -> Float[np.ndarray, "games rows columns"]:
    """Square games with payments in [0, 1]: at random, of 0 and 1, hide and seek, and others of one's own scale."""
    generator, found = np.random.default_rng(seed), []
    for number in range(count):
        uniform = generator.random((arms, arms))
        found.append(
            (
                uniform,
                (uniform < generator.random()).astype(float),
                np.diag(generator.random(arms)),
                np.triu(uniform),
                np.outer(generator.random(arms), generator.random(arms)) ** 0.1 * uniform,
            )[number % 5]
        )
    return np.array(found)


def met(rounds: int, arms: int = MAIN.actions, count: int = GAMES) -> Iterator[Verdict]:
    """Two transformers who meet: what best replies to their average strategies gain, and the mean payment."""
    built, tried = hedge.build(hedge.Spec(arms, rounds)), games(arms, count)
    meeting = meet(built.decoder(count), built.decoder(count), tried, rounds)
    solved = [algorithms.equilibrium(game) for game in tried]
    gaps = [
        algorithms.gap(game, rows, columns)
        for game, rows, columns in zip(tried, meeting.rows, meeting.columns, strict=True)
    ]
    apart = [
        max(one.low - paid, paid - one.high, 0.0) for one, paid in zip(solved, meeting.payment, strict=True)
    ]
    each, numbers = above(arb(certain(built)) / rounds), symbols(built.spec)
    title = f"two Hedge players, {arms} × {arms}, {count} games, {rounds} rounds"
    off, width = rounding(built) / rounds, max(one.high - one.low for one in solved)
    for what, worst, statement, players in (
        ("what best replies to average strategies gain", max(gaps), theorem.GAP, 2),
        ("|mean payment − value|", max(apart), theorem.VALUE, 1),
    ):
        stated = statement.evaluate("error", **numbers)
        note = f"values by linear programming, known within {width:.1g}" if players == 1 else ""
        yield Verdict(
            f"{title}: {what}",
            statement.source,
            "bound",
            worst,
            stated,
            players * each,
            players * off,
            note=note,
            main=rounds == MAIN.horizon,
            statement=cited(statement),
        )
