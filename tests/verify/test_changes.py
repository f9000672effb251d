"""Two audits side by side: what was gained, lost and moved."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from verify.audit import Report, Verdict
from verify.cli.commands import app
from verify.show import changes, report

HOLDS = Verdict("policy, 40 histories", "Theorem 8", "bound", 0.25, 1.0, 0.5, main=True)
SIZE = Verdict("layers", "Theorem 8", "size", 408, 2416.0)
FAILS = Verdict("heads", "Theorem 8", "size", 9, 8.0)


def audit(*verdicts: Verdict) -> Report:
    return Report("one", {"dim": 2}, {"layers": 3}, list(verdicts), [], [], {})


def kinds(before: tuple[Verdict, ...], after: tuple[Verdict, ...]) -> list[tuple[str, str]]:
    found = changes.changes({"one": audit(*before)}, {"one": audit(*after)})
    return [(change.kind, change.claim) for change in found]


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ((HOLDS, SIZE), (SIZE, HOLDS), []),
        ((HOLDS,), (replace(HOLDS, measured=0.3),), [("moved", HOLDS.claim)]),
        ((HOLDS,), (replace(HOLDS, enclosed=0.2),), [("moved", HOLDS.claim)]),
        ((HOLDS,), (replace(HOLDS, measured=0.7),), [("lost", HOLDS.claim)]),
        ((replace(HOLDS, measured=0.7),), (HOLDS,), [("gained", HOLDS.claim)]),
        ((HOLDS, SIZE), (SIZE,), [("lost", HOLDS.claim)]),
        ((SIZE,), (SIZE, HOLDS), [("gained", HOLDS.claim)]),
        ((SIZE,), (SIZE, FAILS), [("fails", FAILS.claim)]),
        ((SIZE, FAILS), (SIZE,), []),
        ((FAILS,), (FAILS,), []),
        # other numbers in the words: the same claim, if no other has its words
        ((HOLDS,), (replace(HOLDS, claim="policy, 2,000 histories"),), []),
        (
            (HOLDS, replace(HOLDS, claim="policy, 9 histories")),
            (HOLDS,),
            [("lost", "policy, 9 histories")],
        ),
        ((SIZE,), (replace(SIZE, kind="least", stated=1.0),), [("lost", "layers"), ("gained", "layers")]),
    ],
)
def test_claims_are_gained_lost_and_moved(before, after, wanted):
    assert kinds(before, after) == wanted


def test_reports_that_are_gone_or_new_are_told_claim_by_claim():
    found = changes.changes({"a": audit(HOLDS)}, {"b": audit(SIZE)})
    assert [(one.report, one.kind) for one in found] == [("a", "lost"), ("b", "gained")]


def test_a_new_claim_that_fails_counts_as_a_loss():
    found = changes.changes({"one": audit(SIZE)}, {"one": audit(SIZE, FAILS)})
    assert changes.lost(found)
    assert not changes.lost(changes.changes({"one": audit(SIZE)}, {"one": audit(SIZE, HOLDS)}))


def run(*words: str):
    return CliRunner().invoke(app, ["diff", *words])


def test_the_command_reads_folders_reports_and_what_verify_printed(tmp_path):
    before, after = audit(HOLDS, SIZE), audit(replace(HOLDS, measured=0.7), SIZE)
    report.save(before, tmp_path / "old" / "linucb")
    report.save(after, tmp_path / "new" / "linucb")
    printed = tmp_path / "printed.json"
    printed.write_text(json.dumps({"linucb": after.record()}), encoding="utf-8")
    old = tmp_path / "old"
    for earlier in (old, old / "linucb", old / "linucb" / "report.json"):
        same = run(str(earlier), str(earlier))
        assert (same.exit_code, same.stdout) == (0, "2 claims, all as they were\n")
        for later in (tmp_path / "new", printed):
            result = run(str(earlier), str(later), "--json")
            assert result.exit_code == 1
            [told] = json.loads(result.stdout)
            assert (told["report"], told["kind"]) == ("linucb", "lost")
            assert (told["before"]["measured"], told["after"]["measured"]) == (0.25, 0.7)
    shown = run(str(old), str(printed))
    assert shown.exit_code == 1
    assert all(word in shown.stdout for word in ("lost", "0.25", "0.7"))
    gained = run(str(printed), str(old))
    assert gained.exit_code == 0
    assert "gained" in gained.stdout


@pytest.mark.parametrize("text", ["", "[]", "{}x", '{"a": 1}', '{"verdicts": []}'])
def test_what_is_no_report_is_one_line(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    result = run(str(path), str(path))
    assert result.exit_code != 0
    assert isinstance(result.exception, ValueError)
    assert "wanted a report.json, a folder of reports" in str(result.exception)


def test_an_empty_folder_is_refused(tmp_path):
    result = run(str(tmp_path), str(tmp_path))
    assert "wanted a report.json" in str(result.exception)
