"""What can be held against any construction of the catalog, or of one's own, at any specification.

main        searched histories: the policy against its certificate and what was asked for, the worst enclosed; every block
impostors   algorithms that are nearly the right one: does the audit object?
laws        those of whole constructions (verify.audit.laws), of every report
mutants     does it notice when one weight is wrong?
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from typing import Any

from constructions import limits
from constructions.construction import Construction
from constructions.parts.guarantee import RESOLUTION
from constructions.showing import number, settings
from verify.audit import (
    Findings,
    Outline,
    Report,
    Verdict,
    about,
    enclosed,
    kept,
    laws,
    replayed,
    search,
    shrink,
    slack,
    words,
)
from verify.audit.cases import Case
from verify.audit.impostors import unmasked
from verify.audit.plan import Found, Part, Plan, wrong_weights
from verify.catalog import Entry
from verify.claims.citing import cited
from verify.sweeps.records import Fit
from verify.theorems import Statement, symbols

LAWS = {
    "frame": "tokens stand at the end as they came, and later ones change no earlier row: largest change",
    "decoder": "one step at a time gives what the whole history gives: largest difference",
    "magnitudes": "blocks hand on nothing larger than they say: largest share of that",
    "clipping": "no token is clipped at any layer: largest norm, held to half the clip radius",
    "refusals": "a history that is too long is refused in one line: those that are not",
}
"""The laws that no other claim of a report tells, and what is measured of each."""

PART = 10
"""Of the histories that are asked for one in so many is tried where each takes long."""

EXAMPLES = 20
"""Histories for each of these laws, where all is tried."""


def plan(entry: Entry, spec: Any, histories: int = 2000, trials: int = 100) -> Plan:
    """The audit of one specification of a catalog's row.

    Args:
        entry: the row.
        spec: what is built.
        histories: how many histories the search tries at least.
        trials: how many single-weight mutants are audited.
    """
    built = cache(lambda: _searched(entry, spec))  # once for all parts that one process carries out

    def searched() -> Found:
        batch = max(1, min(20, histories // 4))
        findings = search(built(), entry.truth, histories, batch, entry.histories)
        return subject(built(), findings, list(_main(entry, built(), findings)))

    parts = [
        Part(f"searching {histories} histories for the worst error", searched),
        Part("wrong algorithms", lambda: impostors(entry, built())),
        kept_laws(entry, built, min(EXAMPLES, 1 + histories // 100)),
        *wrong_weights(built, entry.truth, trials, entry.histories),
    ]
    # later steps of an iteration undo most of what a wrong weight does: what is left may be far below what float64 can see
    return Plan(entry.title, spec, parts, words=entry.said(), least=RESOLUTION)


def _searched(entry: Entry, spec: Any) -> Construction:
    """A construction; wanted: one of few enough layers for all histories of an audit to go through them."""
    built = entry.build(spec)
    limits.hold(entry.title, searched=built.transformer.counts()["layers"])
    return built


def report(
    entry: Entry,
    spec: Any,
    histories: int = 2000,
    trials: int = 100,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Audit one specification of a catalog's row; arguments are those of `plan`, and progress is told what is being done."""
    return plan(entry, spec, histories, trials).report(progress)


def subject(
    built: Construction, findings: Findings, verdicts: Sequence[Verdict], **records: list[dict]
) -> Found:
    """What is found of the construction that a report is about: verdicts, its sizes and its slack, and more to draw."""
    return Found(verdicts, {"slack": slack.rows(built, findings)}, records, size=asdict(built.size()))


def certified(
    claim: str,
    source: str,
    built: Construction,
    entry: Entry,
    findings: Findings,
    *,
    replay: bool = True,
    **more: Any,
) -> Verdict:
    """The verdict on a policy's certificate, from the worst that a search found: enclosed there, and how to replay it.

    Args:
        claim: what is claimed; the number of histories is added.
        source: where.
        built: the construction.
        entry: its row, with the true algorithm.
        findings: what the search found.
        replay: whether Python is written that measures the witness again.
        more: fields of the verdict in place of the spec's error, float64's rounding and a main claim.
    """
    witness = shortest(built, entry, findings)
    fields = {"stated": getattr(built.spec, "error", None), "rounding": built.rounding, "main": True} | more
    return Verdict(
        f"{claim}, {findings.histories} histories",
        source,
        "bound",
        findings.error,
        certified=built.certificate,
        enclosed=entry.balls and enclosed(built, entry.balls, findings.outline, findings.step),
        witness=words(witness),
        replay=replayed(built, entry.truth, witness) if replay else "",
        **about(built),
        **fields,
    )


def shortest(built: Construction, entry: Entry, findings: Findings) -> Outline | None:
    """The worst history that a search found; if a promise is broken, a short one that breaks it."""
    if findings.score <= 1:
        return findings.outline
    small = shrink(built, entry.truth, entry.histories, start=findings, progress=lambda _: None)
    return small or findings.outline


def sizes(
    title: str, built: Construction, statement: Statement, values: Mapping[str, Any], main: str = "layers"
) -> Iterator[Verdict]:
    """Each size that a statement speaks of, held to its formula; one of them is a main claim."""
    size = built.size()
    for what in statement.size:
        stated = statement.evaluate(what, **values)
        claim, shown = f"{title}: {what}", what == main
        yield Verdict(
            claim,
            statement.source,
            "size",
            getattr(size, what),
            stated,
            main=shown,
            **counted(built, statement),
        )


def counted(built: Construction, statement: Statement | None = None, **more: Any) -> dict[str, Any]:
    """Fields of a verdict on a size of a construction, counted on its weights and held to a statement, and more of them."""
    held = statement and cited(statement)
    return {"rank": "counted", "construction": about(built)["construction"], "statement": held} | more


def gated(
    entry: Entry, sized: Sequence[Part], mutated: Any, title: str, histories: int = 2000, trials: int = 100
) -> Plan:
    """The audit of a row whose gates have exponentials to spare: a tenth of one may change far less than the error asked.

    Args:
        entry: the row.
        sized: parts of its own.
        mutated: the specification whose single weights are made wrong, to be noticed where they change more than its error.
        title: what that is.
        histories: as for `plan`.
        trials: as for `plan`.
    """
    whole = plan(entry, entry.main, histories, 0)
    broken = wrong_weights(partial(entry.build, mutated), entry.truth, trials, entry.histories)
    parts = [whole.parts[0], *sized, *whole.parts[1:], *broken]
    return replace(whole, parts=parts, broken=f"{title}: ", least=mutated.error)


def searched(title: str, entry: Entry, spec: Any, statement: Statement, histories: int) -> Verdict:
    """The policy of a large specification; its worst history is enclosed by `make nightly`, which takes a minute."""
    built = entry.build(spec)
    found = search(built, entry.truth, histories, min(20, histories), entry.histories)
    return Verdict(
        f"{title}: |log-probability error|, {found.histories} histories",
        statement.source,
        "bound",
        found.error,
        spec.error,
        certified=built.certificate,
        rounding=built.rounding,
        main=True,
        **about(built),
    )


def promised(title: str, entry: Entry, spec: Any, statement: Statement) -> Iterator[Verdict]:
    """The certificate and the layers of a specification that has `plain`, the same for the paper's attention."""
    built, newton = entry.build(spec), entry.build(spec.plain).size().layers
    told = {"note": f"float64 adds up to {built.rounding:.2g}", "main": True}
    told |= about(built) | {"rank": "certified"}
    yield Verdict(f"{title}: certificate", statement.source, "size", built.certificate, spec.error, **told)
    stated = statement.evaluate("layers", **symbols(spec))
    told = counted(built, statement, note=f"with relu attention {newton}", main=True)
    yield Verdict(f"{title}: layers", statement.source, "size", built.size().layers, stated, **told)


def exponent(claim: str, source: str, fit: Fit, stated: float, note: str, most: bool = False) -> Verdict:
    """A fitted exponent, held to the stated one, or to being at most that: evidence, not a proof."""
    note = f"95 % interval [{fit.low:.3f}, {fit.high:.3f}], {note}; a fit, not a proof"
    return Verdict(claim, source, "size" if most else "order", fit.exponent, stated, note=note, fit=most)


def title(entry: Entry, spec: Any) -> str:
    """The row's name, and what the specification does not leave to its defaults."""
    told = (f"{name}={number(x) if isinstance(x, int | float) else x}" for name, x in settings(spec).items())
    return ", ".join((entry.name, *told))


def _main(entry: Entry, built: Construction, findings: Findings) -> Iterator[Verdict]:
    """The policy and every block over the searched histories."""
    witness = shortest(built, entry, findings)
    try:
        replay = replayed(built, entry.truth, witness)
    except ValueError:  # a truth that cannot be imported
        replay = ""
    coarse = entry.balls is None and built.rounding > built.certificate
    yield Verdict(
        f"{title(entry, built.spec)}: error of {built.guarantee.of}, {findings.histories} histories",
        "this row of the catalog",
        "bound",
        findings.error,
        getattr(built.spec, "error", None),
        built.certificate,
        rounding=built.rounding,
        witness=words(witness),
        main=True,
        replay=replay,
        enclosed=entry.balls and enclosed(built, entry.balls, findings.outline, findings.step),
        **about(built),
        note="float64 is too coarse for this certificate: give the row the truth in balls, balls=…"
        if coarse
        else "",
    )
    for block in built.blocks:
        yield kept(block.name, built, block, findings.blocks[block.name])


def impostors(entry: Entry, built: Construction) -> Iterator[Verdict]:
    """Each wrong algorithm that differs by more than the certificate allows: its score is to be above 1."""
    for found in unmasked(built, entry.truth, source=entry.histories)[1:]:
        if found.outcome in ("caught", "missed"):
            claim = f"{found.impostor}: worst error over what is allowed"
            yield Verdict(
                claim, "this audit", "least", found.score, 1.0, note="a wrong algorithm, to be objected to"
            )


def kept_laws(entry: Entry, build: Callable[[], Construction], examples: int = EXAMPLES) -> Part:
    """A main verdict on how many laws are broken, and one on each of them.

    Args:
        entry: the row.
        build: builds what is looked at.
        examples: how many histories are tried for a law at most; with one, not that of clipping, which takes longest.
    """

    def work() -> Iterator[Verdict]:
        case, source = Case.of(entry, build()), "verify.audit.laws"
        names = [law for law in LAWS if examples > 1 or law != "clipping"]
        found = [laws.LAWS[law](case, examples) for law in names]
        broken = [one.law for one in found if not one.holds]
        claim = f"laws that are broken, of {', '.join(names)}"
        yield Verdict(claim, source, "size", len(broken), 0, note=", ".join(broken), main=True)
        for one in found:
            note = "" if one.holds else one.where
            yield Verdict(f"{one.law}: {LAWS[one.law]}", source, "size", one.worst, one.allowed, note=note)

    return Part("the laws of every construction", work)
