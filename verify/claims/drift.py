"""Everything that is claimed of LinUCB that forgets, measured.

exact       searched histories, window and discount: the policy and every block; sizes against Theorem A and what is added
streams     a bandit that turns round: the transformer acts, beside LinUCB that does not forget
impostors   wrong algorithms, one that forgets nothing among them: does the audit object?
mutants     does it notice when one weight is wrong?
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from constructions import linucb
from constructions.construction import Construction
from constructions.linucb import forgetting
from verify import algorithms, environments
from verify.audit import Verdict, about, kept, measure, search
from verify.audit.plan import Found, Part, Plan
from verify.catalog import CATALOG
from verify.claims import general
from verify.histories import linear as strategies
from verify.play.rollout import SideBySide, rollouts
from verify.sweeps import records
from verify.theorems import drift as theorem
from verify.theorems import symbols

ROW = CATALOG["forgetting"]
MAIN = ROW.main
DISCOUNT = replace(MAIN, window=None, discount=0.9)
PLAYED = forgetting.Spec(dim=5, actions=10, horizon=200, window=25)
SEEDS = range(20)


def plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The whole audit.

    Args:
        histories: how many histories the search for an error tries at least, for a window and for a discount.
        trials: how many single-weight mutants are audited.
    """
    whole = general.plan(ROW, MAIN, histories, trials)
    _, *broken = whole.parts
    parts = [
        *(
            Part(
                f"{_title(spec)}: searching {histories} histories",
                lambda spec=spec: _searched(spec, histories),
            )
            for spec in (MAIN, DISCOUNT)
        ),
        Part("an algorithm that forgets nothing", _unforgetting),
        Part("a bandit that turns round", _streams),
    ]
    return replace(whole, parts=[*parts, *broken])


def _title(spec: forgetting.Spec) -> str:
    kind = f"window {spec.window}" if spec.discount is None else f"discount {spec.discount:g}"
    return f"LinUCB, {kind}, d={spec.dim}, A={spec.actions}, T={spec.horizon}"


def _searched(spec: forgetting.Spec, histories: int) -> Found:
    """The policy and every block over searched histories; sizes."""
    built = forgetting.build(spec)
    findings = search(built, ROW.truth, histories, source=ROW.histories)
    claim = f"{_title(spec)}: |log-probability error|"
    verdicts = [
        general.certified(claim, theorem.SOURCE, built, ROW, findings),
        *(
            kept(f"{_title(spec)}: {block.name}", built, block, findings.blocks[block.name])
            for block in built.blocks
        ),
        *_sizes(spec, built),
    ]
    return general.subject(built, findings, verdicts) if spec == MAIN else Found(verdicts)


def _sizes(spec: forgetting.Spec, built: Construction) -> Iterator[Verdict]:
    """Sizes against those stated for a memory of so many decisions."""
    statement = theorem.WINDOW if spec.discount is None else theorem.DISCOUNT
    shared = symbols(spec.remembering(spec.horizon - 1, spec.error))
    memory = {"memory": spec.window or 0} if spec.discount is None else {"forgetfulness": spec.discount}
    yield from general.sizes(_title(spec), built, statement, shared | memory)


def _unforgetting() -> Verdict:
    """LinUCB in place of the true algorithm: its score is to be above 1."""
    built = forgetting.build(MAIN)
    found = measure(built, algorithms.linucb, strategies.battery(MAIN)[::8])
    claim = f"{_title(MAIN)}: LinUCB that forgets nothing, worst error over what is allowed"
    return Verdict(
        claim, "this audit", "least", found.score, 1.0, note="a wrong algorithm, to be objected to"
    )


def _streams() -> Found:
    """The transformer acts where w* turns round every 50 steps, beside its algorithm and one that never forgets."""
    built = forgetting.build(PLAYED)
    settings = {
        name: getattr(PLAYED, name) for name in ("action_norm", "weight_norm", "noise_bound", "horizon")
    }
    stages = [environments.piecewise_linear_bandit(np.random.default_rng(seed), **settings) for seed in SEEDS]
    plain = linucb.Spec(dim=5, actions=10, horizon=PLAYED.horizon)
    players = [
        built.decoder(len(stages)),
        SideBySide([algorithms.forgetting_decoder(PLAYED) for _ in stages]),
        SideBySide([algorithms.decoder(plain) for _ in stages]),
    ]
    own, true, other = (
        rollouts(stages, each, [np.random.default_rng([seed, 1]) for seed in SEEDS]) for each in players
    )
    wrong = max(
        float(np.abs(run.log_probabilities - algorithms.forgetting_linucb(PLAYED, run.history)).max())
        for run in own
    )
    regrets = [float(np.mean([run.regret.sum() for run in runs])) for runs in (own, true, other)]
    title = f"{_title(PLAYED)}, a bandit that turns round every 50 steps, {len(stages)} runs"
    note = f"regret {regrets[0]:.1f}, of its algorithm {regrets[1]:.1f}, of LinUCB that forgets nothing {regrets[2]:.1f}"
    verdicts = [
        Verdict(
            f"{title}: |log-probability error|",
            theorem.SOURCE,
            "bound",
            wrong,
            PLAYED.error,
            built.certificate,
            rounding=built.rounding,
            note=note,
            **about(built),
        ),
        Verdict(
            f"{title}: regret over that of LinUCB that forgets nothing",
            "measured, not proven",
            "size",
            regrets[0] / regrets[2],
            1.0,
            main=True,
        ),
    ]
    record = records.regret(built, (own, other), list(SEEDS), "turns every 50 steps", {"name": "LinUCB"})
    return Found(verdicts, records={"regret": [record]})
