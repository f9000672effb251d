"""The command line, the report folder and the errata."""

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from html import unescape

import pytest
from effort import PROFILE
from planned import planned
from typer.testing import CliRunner

from constructions import linucb
from verify import errata
from verify.catalog import CATALOG
from verify.claims import linucb as claims
from verify.cli import commands as cli
from verify.show import report

SMALL = linucb.Spec(dim=2, actions=3, horizon=5, error=1e-1)


@pytest.fixture(scope="module")
def whole():
    """The whole audit of LinUCB at a small size; streams and theorem-sized parts are made small too."""
    with small_claims():
        yield claims.plan(histories=40, trials=2).report()


@pytest.fixture(scope="module")
def small():
    """A part of it, which takes seconds."""
    with small_claims() as patch:
        for part in ("_stated", "_chebyshev", "_products"):
            patch.setattr(claims, part, lambda *_: ())
        patch.setattr(claims.depth, "linucb_verdicts", lambda *_: ())
        patch.setattr(claims.depth, "rounding", lambda *_: ())
        yield claims.plan(histories=40, trials=2).report()


@contextmanager
def small_claims():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "MAIN", SMALL)
        patch.setattr(claims, "STATED", replace(SMALL, horizon=10, depth="stated"))
        patch.setattr(claims, "HORIZONS", {"agd": [10, 100, 1000], "gd": [10, 30, 100]})
        patch.setattr(claims, "DEPTHS", {"gd": [1, 10, 100], "agd": [1, 10, 50]})
        patch.setattr(claims, "_streams", dict)
        patch.setattr(claims.depth, "LONG", 30)
        yield patch


@pytest.mark.nightly
def test_the_record_is_json_and_the_page_shows_every_claim(whole, tmp_path):
    small = replace(whole, records={name: panels for name, panels in whole.records.items() if panels})
    report.save(small, tmp_path / "linucb")
    text = unescape(report.publish(tmp_path).read_text())
    record = json.loads((tmp_path / "linucb" / "report.json").read_text())
    assert [verdict["claim"] for verdict in record["verdicts"]] == [
        verdict.claim for verdict in small.verdicts
    ]
    assert all(verdict.claim in text for verdict in small.verdicts)
    assert 3 <= sum(verdict.main for verdict in small.verdicts) <= 9
    assert not list(tmp_path.rglob("*.part"))
    for name in small.records:
        assert (tmp_path / "linucb" / f"{name}.png").stat().st_size > 1000
        assert f"id='linucb-{name}'" in text


@pytest.mark.nightly
def test_every_small_claim_but_the_fits_holds(whole):
    assert all(verdict.holds for verdict in whole.verdicts if verdict.kind in ("bound", "size"))


@pytest.mark.nightly
def test_every_main_bound_is_enclosed_inside_its_certificate(whole):
    bounds = [verdict for verdict in whole.verdicts if verdict.main and verdict.kind == "bound"]
    assert len(bounds) >= 2
    for verdict in bounds:
        assert verdict.enclosed is not None, verdict.claim
        assert 0 < verdict.enclosed <= verdict.certified
        assert verdict.measured == pytest.approx(verdict.enclosed, abs=1e-9)


def test_verify_exits_by_the_verdict(small, monkeypatch):
    for verdict, status in ((True, 0), (False, 1)):
        fixed = [replace(one, kind="least", measured=float(verdict), stated=0.5) for one in small.verdicts]
        claimed = replace(CATALOG["linucb"], claims=planned(replace(small, verdicts=fixed)))
        monkeypatch.setitem(CATALOG, "linucb", claimed)
        result = CliRunner().invoke(cli.app, ["verify", "linucb", "--json", "--jobs", "1"])
        assert result.exit_code == status
        assert json.loads(result.stdout)["linucb"]["holds"] is verdict


def test_plot_redraws_saved_records_and_names_what_is_missing(small, tmp_path):
    report.save(replace(small, records={"width": small.records["width"]}), tmp_path / "linucb")
    report.publish(tmp_path)
    tmp_path /= "linucb"
    drawn = CliRunner().invoke(cli.app, ["plot", str(tmp_path), "--out", str(tmp_path / "again"), "--json"])
    assert drawn.exit_code == 0
    assert len(json.loads(drawn.stdout)) == 2
    assert (tmp_path / "again" / "width.svg").read_bytes() == (tmp_path / "width.svg").read_bytes()
    missing = CliRunner().invoke(cli.app, ["plot", str(tmp_path), "--figure", "depth"])
    assert missing.exit_code
    assert "wanted one of width, got depth" in str(missing.exception)
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{")
    refused = CliRunner().invoke(cli.app, ["plot", str(damaged)])
    assert refused.exit_code
    assert "damaged.json: wanted" in str(refused.exception)


def test_verify_writes_a_page_that_says_how_it_was_made(small, monkeypatch, tmp_path):
    kept = replace(small, records={"width": small.records["width"]})
    monkeypatch.setitem(CATALOG, "linucb", replace(CATALOG["linucb"], claims=planned(kept)))
    monkeypatch.setattr(errata, "ERRATA", errata.ERRATA[:1])
    arguments = ["verify", "linucb", "--histories", "40", "--jobs", "1", "--json", "--out", str(tmp_path)]
    assert CliRunner().invoke(cli.app, arguments).exit_code == (0 if kept.holds else 1)
    text = (tmp_path / "index.html").read_text()
    assert "weightwright verify linucb --histories 40 --mutants 100" in text
    assert errata.ERRATA[0].name in text
    assert json.loads((tmp_path / "linucb" / "report.json").read_text())["made"]["seconds"] >= 0


def test_errata_are_confirmed_by_running_both_forms(monkeypatch):
    """Every fifth by day; each runs by itself in tests/verify/test_errata.py."""
    monkeypatch.setattr(errata, "ERRATA", errata.ERRATA if PROFILE == "nightly" else errata.ERRATA[::5])
    result = CliRunner().invoke(cli.app, ["errata", "--json"])
    assert result.exit_code == 0
    records = json.loads(result.stdout)
    assert [record["name"] for record in records] == [erratum.name for erratum in errata.ERRATA]
    assert all(record["confirmed"] for record in records)


def test_an_erratum_whose_literal_form_is_right_is_not_confirmed(monkeypatch):
    shown = replace(errata.ERRATA[0].demonstrate(), literal=3.0)
    withdrawn = replace(errata.ERRATA[0], demonstrate=lambda: shown)
    monkeypatch.setattr(errata, "ERRATA", (withdrawn,))
    assert CliRunner().invoke(cli.app, ["errata"]).exit_code == 1


@pytest.mark.parametrize("command", ["", "verify", "plot", "errata", "sweep", "train"])
def test_help_fits_a_screen_and_has_an_example(command):
    shown = CliRunner().invoke(cli.app, [*command.split(), "--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    assert f"Example: weightwright {command}" in shown.stdout
    assert shown.stdout.count("\n") <= (28 if command in ("verify", "errata", "sweep") else 44)  # 18 options


@pytest.mark.parametrize(
    "command", ["errata", "compare ad-ucbvi", "inspect linucb", "ship tiny nowhere", "sweep"]
)
def test_a_folder_that_cannot_be_written_is_told_before_any_work(command, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=r"file.*: wanted a folder that can be written, got .*file$"):
            CliRunner().invoke(cli.app, [*command.split(), "--out", str(out)], catch_exceptions=False)
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize(
    "command",
    [
        "verify linucb --histories",
        "verify linucb --mutants",
        "compare dpt-bernoulli --runs",
        "sweep --workers",
    ],
)
def test_a_number_that_would_take_months_is_refused(command):
    shown = CliRunner().invoke(cli.app, [*command.split(), str(10**18)])
    assert shown.exit_code == 2
    assert command.split()[-1] in shown.stderr
    assert "1000" in shown.stderr


def test_bad_input_is_one_line_and_no_traceback():
    code = (
        "import sys; sys.argv = ['weightwright', 'plot', 'nowhere']; from verify.__main__ import main; main()"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 2
    assert shown.stderr.startswith("weightwright: construction: wanted one of linucb")
    assert shown.stderr.count("\n") == 1
