"""Everything that is claimed of EXP3, measured.

exact       searched plays: the policy and its sum; sizes
worst       few rounds: the largest regret of any adversary whose losses are 0 or 1, exact over plays
regret      losses that a search aims at it, the mean of plays beside the bound on EXP3's pseudo-regret
impostors   wrong algorithms, one that does not divide by probabilities among them: does the audit object?
mutants     does it notice when one weight is wrong?

*stated* of a regret is the bound of Bubeck and Cesa-Bianchi, *certified* that of Theorem 2 in constructions/games/exp3.py.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions.construction import Construction
from constructions.games import exp3
from constructions.history import BanditHistory
from verify import algorithms
from verify.audit import Verdict, climb, kept, measure, search, words
from verify.audit.plan import Found, Part, Plan
from verify.catalog import CATALOG
from verify.claims import games, general
from verify.environments import FixedLosses, HiddenLosses
from verify.histories import losses as loss_histories
from verify.play.rollout import rollouts
from verify.theorems import games as theorem
from verify.theorems import symbols

ROW = CATALOG["exp3"]
MAIN = ROW.main
PLAYED = (MAIN, exp3.Spec(actions=2, horizon=100))
FEW = (exp3.Spec(actions=2, horizon=6), exp3.Spec(actions=3, horizon=4))
PLAYS = 20
"""So many plays against the same losses."""


def plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The whole audit.

    Args:
        histories: how many plays the searches for an error and for a regret try at least.
        trials: how many single-weight mutants are audited.
    """
    whole = general.plan(ROW, MAIN, histories, trials)
    _, *broken = whole.parts
    parts = [
        Part(f"searching {histories} plays for the worst error", lambda: _searched(histories)),
        *(
            Part(f"the worst adversary, {_title(spec)}", lambda spec=spec: adversary(exp3.build(spec)))
            for spec in FEW
        ),
        *(
            Part(f"regret, {_title(spec)}", lambda spec=spec: regret(exp3.build(spec), histories // 50))
            for spec in PLAYED
        ),
        Part("an algorithm that does not divide by probabilities", _unweighted),
    ]
    return replace(whole, parts=[*parts, *broken])


def _title(spec: exp3.Spec) -> str:
    return f"EXP3, N={spec.actions}, T={spec.horizon}"


def _searched(histories: int) -> Found:
    """The policy and its sum over searched plays; sizes."""
    built = exp3.build(MAIN)
    findings = search(built, ROW.truth, histories, source=ROW.histories)
    claim, stated = f"{_title(MAIN)}: |log-probability error|", theorem.EXP3.evaluate("error")
    verdicts = [
        general.certified(claim, theorem.EXP3.source, built, ROW, findings, stated=stated),
        *(kept(block.name, built, block, findings.blocks[block.name]) for block in built.blocks),
        *general.sizes(_title(MAIN), built, theorem.EXP3, symbols(MAIN)),
    ]
    return general.subject(built, findings, verdicts)


def adversary(built: Construction) -> Verdict:
    """The largest regret of an adversary whose losses are 0 or 1, and who knows what was played."""
    return _held(
        built, f"{_title(built.spec)}: regret, the worst of all adversaries with losses 0 or 1", worst(built)
    )


def worst(built: Construction) -> float:
    """What the best of them gains of the transformer, by backward induction over all that can have been played and lost.

    From a state with odds p and the values V of the states after it, arm by arm and loss by loss, and beside arm k, it gains
    max over losses ℓ of Σ_a p_a (ℓ_a + V(a, ℓ_a)) − ℓ_k, each of which is 0 or 1.
    """
    spec: Any = built.spec
    arms, odds = spec.actions, list[np.ndarray]()
    contexts, played = np.zeros((1, 1, arms, 2)), np.zeros((1, 0), int)
    for _ in range(spec.horizon):
        seen = [
            BanditHistory(told, past, -told[1:].sum(axis=1)[:, 0])
            for told, past in zip(contexts, played, strict=True)
        ]
        odds.append(np.exp(built.policy(built.outputs(seen, logits_only=True)))[:, -1])
        node, arm, loss = (index.ravel() for index in np.indices((len(seen), arms, 2)))
        after = np.zeros((len(node), 1, arms, 2))
        after[np.arange(len(node)), 0, arm] = np.stack(
            [loss, 1 / np.maximum(odds[-1][node, arm], spec.least)], axis=1
        )
        contexts = np.concatenate([contexts[node], after], axis=1)
        played = np.column_stack([played[node], arm])
    values = np.zeros((arms, len(contexts)))  # beside each arm
    for now in reversed(odds):
        gained = now[:, :, None] * (np.arange(2) + values.reshape(arms, *now.shape, 2))
        gained -= np.eye(arms)[:, None, :, None] * np.arange(2)
        values = gained.max(axis=3).sum(axis=2)
    return float(values.max())


def cost(built: Construction, outlines: Sequence[Any]) -> Float[np.ndarray, "outlines plays"]:
    """The regret of plays against losses, outlines of `verify.histories.losses` of equal length, by odds and not by luck."""
    losses = np.repeat([outline.losses(built.spec) for outline in outlines], PLAYS, axis=0)
    stages = [HiddenLosses(FixedLosses(each), built.spec.least) for each in losses]
    chances = [np.random.default_rng([outline.seed, play]) for outline in outlines for play in range(PLAYS)]
    runs = rollouts(stages, built.decoder(len(stages)), chances)
    odds = np.exp([run.log_probabilities for run in runs])
    return ((odds * losses).sum(axis=(1, 2)) - losses.sum(axis=1).min(axis=1)).reshape(-1, PLAYS)


def regret(built: Construction, sequences: int) -> Verdict:
    """The largest mean regret that a search finds."""

    def costs(outlines: Sequence[Any]) -> games.Cost:
        means = cost(built, outlines).mean(axis=1)
        return games.Cost(len(outlines), float(means.max()), outlines[int(means.argmax())])

    found = climb(
        games.Cost(), costs, lambda found: found.regret, built.spec, sequences, 5, source=loss_histories
    )
    spread = cost(built, [found.outline]).std(ddof=1) / PLAYS**0.5
    claim = f"{_title(built.spec)}: regret, {found.histories} sequences of losses"
    note = f"mean of {PLAYS} plays of each, standard error {spread:.2g} at the worst"
    return replace(_held(built, claim, found.regret), note=note, witness=words(found.outline))


def _held(built: Construction, claim: str, measured: float) -> Verdict:
    """A regret, held to both bounds."""
    statement = theorem.EXP3_TUNED
    return Verdict(
        claim,
        statement.source,
        "bound",
        measured,
        statement.evaluate("error", **symbols(built.spec)),
        games.certain(built, exp3.regret),
        games.rounding(built),
        main=built.spec in (MAIN, FEW[0]),
    )


def unweighted(spec: exp3.Spec, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Exponential weights of the losses as they were seen, whatever the odds."""
    contexts = history.contexts.copy()
    contexts[:, :, 1] = contexts[:, :, 1] != 0
    return algorithms.exp3(spec, BanditHistory(contexts, history.actions, history.rewards))


def _unweighted() -> Verdict:
    """That in place of the true algorithm: its score is to be above 1."""
    found = measure(exp3.build(MAIN), unweighted, ROW.histories.battery(MAIN)[::8])
    claim = f"{_title(MAIN)}: losses not divided by probabilities, worst error over what is allowed"
    return Verdict(
        claim, "this audit", "least", found.score, 1.0, note="a wrong algorithm, to be objected to"
    )
