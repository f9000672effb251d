"""Everything that is claimed of UCB-VI by softmax attention, measured.

main        S=4, A=3, H=4, K=20, an error of 10⁻¹⁰/τ: searched histories, the worst enclosed; block by block
sizes       layers, heads, registers and neurons against Theorem 1; D and M beside those of the narrow form with relu
gates       the error falls like e^{−B}: measured, certified and stated for several gates
impostors   wrong algorithms: does the audit object?
laws        those of whole constructions
mutants     does it notice when one weight is wrong?
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial

from constructions import ucbvi
from constructions.construction import Construction
from constructions.ucbvi import by_softmax
from constructions.ucbvi.tables import Tables
from verify.audit import Verdict, kept, search
from verify.audit.plan import Found, Part, Plan, wrong_weights
from verify.catalog import CATALOG
from verify.claims import general
from verify.claims.citing import cited
from verify.theorems import softmax as theorem
from verify.theorems import symbols

ROW = CATALOG["softmax-ucbvi"]
SMALL = ROW.main
MAIN = replace(SMALL, states=4, actions=3, horizon=4, episodes=20, temperature=0.05, error=2e-9)
MUTATED = replace(SMALL, episodes=3, error=1e-3)
GATES = (4, 8, 12, 16)
PART = 20
"""Of the histories that are asked for one in so many is tried: layers are many."""


def plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The whole audit.

    Args:
        histories: a twentieth of them, at least, are searched.
        trials: how many single-weight mutants are audited.
    """
    tried, small = max(2, histories // PART), cache(partial(ucbvi.build, SMALL))
    parts = [
        Part(f"searching {tried} histories for the worst error", lambda: _searched(tried), long=True),
        Part("gates", lambda: by_gate(tried)),
        Part("wrong algorithms", lambda: general.impostors(ROW, small())),
        general.kept_laws(ROW, small, min(general.EXAMPLES, 1 + histories // 100)),
        *wrong_weights(partial(ucbvi.build, MUTATED), ROW.truth, trials, ROW.histories),
    ]
    # gates have exponentials to spare: what a tenth of one changes may be far below the error asked for
    return Plan(
        "Soft UCB-VI by softmax attention", MAIN, parts, f"{title(MUTATED)}: ", ROW.said(), MUTATED.error
    )


def title(spec: ucbvi.SoftmaxSpec) -> str:
    """A specification in a few words."""
    return f"UCB-VI by softmax, S={spec.states}, A={spec.actions}, H={spec.horizon}, K={spec.episodes}"


def _searched(histories: int) -> Found:
    """The policy and every block over searched histories; sizes."""
    built = ucbvi.build(MAIN)
    findings = search(built, ROW.truth, histories, max(1, min(4, histories // 2)), ROW.histories)
    claim = f"{title(MAIN)}: |log-probability error|"
    verdicts = [
        general.certified(claim, theorem.UCBVI.source, built, ROW, findings, statement=cited(theorem.UCBVI)),
        *(kept(block.name, built, block, findings.blocks[block.name]) for block in built.blocks),
        *sizes(built),
    ]
    return general.subject(built, findings, verdicts)


def sizes(built: Construction) -> Iterator[Verdict]:
    """What Theorem 1 says of them, and the narrow form's beside D and M."""
    size, narrow = built.size(), ucbvi.build(built.spec.plain).size()
    for what in theorem.SIZES:
        stated, note = theorem.UCBVI.evaluate(what, **symbols(built.spec)), ""
        if what in ("width", "heads", "layers"):
            note = f"the narrow form with relu attention has {getattr(narrow, what)}"
        claim, found = f"{title(built.spec)}: {what}", float(getattr(size, what))
        more = general.counted(built, theorem.UCBVI, note=note, main=bool(note))
        yield Verdict(claim, theorem.UCBVI.source, "size", found, stated, **more)


def by_gate(histories: int) -> Iterator[Verdict]:
    """The error for several gates: measured ≤ certified ≤ stated, each about e^{−B}."""
    for gate in GATES:
        built = by_softmax.written(Tables(SMALL, gate))
        findings = search(built, ROW.truth, histories, 1, ROW.histories)
        stated = theorem.UCBVI_BY_GATE.evaluate("error", gate=gate, **symbols(SMALL))
        claim = f"{title(SMALL)}, B={gate}: |log-probability error|"
        source, held = theorem.UCBVI_BY_GATE.source, cited(theorem.UCBVI_BY_GATE)
        yield general.certified(
            claim,
            source,
            built,
            ROW,
            findings,
            stated=stated,
            replay=False,
            main=gate == GATES[-1],
            statement=held,
        )
