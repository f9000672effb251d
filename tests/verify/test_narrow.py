"""Pages in a browser: on a screen of 400 pixels nothing is cut or hidden, and actions are counted from 0."""

import json

import pytest
from chromium import browser, found

from constructions import files, linucb
from verify import errata, inspector
from verify.audit import Report, Verdict, Words
from verify.catalog import CATALOG
from verify.show import report

pytestmark = pytest.mark.skipif(found() is None, reason="no chromium or google-chrome on the PATH")

CUT = """[...document.querySelectorAll(%s)].filter((one) => {
  const box = one.getBoundingClientRect();
  return getComputedStyle(one).display === 'none' || box.left < 0 || box.right > innerWidth + 0.5 || !box.height;
}).map((one) => one.textContent)"""
"""What is not wholly in sight."""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one
        assert not one.problems


@pytest.fixture(scope="module")
def inspected(tmp_path_factory):
    built = linucb.build(linucb.Spec(2, 3, 6, error=0.1, solver="newton"))
    run = inspector.replay(built, CATALOG["linucb"])
    path = tmp_path_factory.mktemp("inspected") / "page.html"
    path.write_text(inspector.page(inspector.record(built, "LinUCB", run)), encoding="utf-8")
    return path, run


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder, block = tmp_path_factory.mktemp("published"), "square a_kᵀA⁻¹a_k"
    row = {
        "block": block,
        "domain": "norm bounds",
        "error": 0.1,
        "promise": 0.5,
        "slack": 5.0,
        "note": "a note",
    }
    row |= {"own_error": 1.234e-12, "own_promise": 0.25, "own_slack": 1e11}
    verdicts = [Verdict("depth in T", "Theorem 8", "order", 0.467, 0.5, note="a fit, not a proof" * 5)]
    text = Report("LinUCB", {"dim": 5}, {"layers": 8}, verdicts, [row], [], {}, Words(source=errata.SOURCE))
    report.save(text, folder / "linucb")
    files.write_json(folder / "errata.json", {"errata": [one.record() for one in errata.ERRATA[:3]]})
    return report.publish(folder)


def cut(tab, selector):
    return tab.ask(CUT % json.dumps(selector))


def test_registers_truths_errors_and_promises_are_all_in_sight(inspected, tab):
    tab.open(inspected[0], width=400)
    assert cut(tab, "#held > tbody > tr > :not(:empty), #policy > tbody > tr > *") == []
    labels = tab.ask("[...document.querySelectorAll('#held td[data-label]')].map((one) => one.dataset.label)")
    assert set(labels) == {"holds", "true", "error", "promise"}
    before = "getComputedStyle(document.querySelector('#held td[data-label=promise]:not(:empty)'), '::before').content"
    assert "promise" in tab.ask(before)
    assert tab.ask("document.documentElement.scrollWidth") == 400
    tab.open(inspected[0], width=1400)
    assert cut(tab, "#held > thead th, #policy > thead th, #held > tbody > tr > :not(:empty)") == []
    assert tab.ask(before) == "none"


def test_errata_fits_and_slack_are_all_in_sight(published, tab):
    tab.open(published, width=400)
    tab.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert cut(tab, ".wide td:not(:empty), pre") == []
    assert (
        tab.ask(
            "[...document.querySelectorAll('.wide')].filter((one) => one.scrollWidth > one.clientWidth).length"
        )
        == 0
    )
    assert tab.ask("document.documentElement.scrollWidth") == 400
    labels = tab.ask(
        "[...document.querySelectorAll('#errata tr:nth-child(1) td')].map((one) => one.dataset.label)"
    )
    assert labels[:3] == ["erratum", "as printed, repair, effect", "wanted"]


def test_actions_heads_and_terms_are_counted_from_0(inspected, tab):
    path, run = inspected
    tab.open(path)
    names = tab.ask("[...document.querySelectorAll('#policy tbody th')].map((one) => one.textContent)")
    assert names == ["0", "1", "2"]
    decision = tab.ask("history.decisions[state.decision]")
    taken = tab.ask("document.getElementById('before').textContent")
    assert f"action {run.history.actions[decision - 2]} was taken" in taken
    assert tab.ask("document.querySelector('.matrix th[scope=row]').textContent") == "term 0"
    assert "Head 0 of the layer, from 0" in tab.ask("document.getElementById('part').textContent")
