"""The inspector's page in a browser: mouse, keyboard, address, narrow screens, contrast and names."""

import json
import re
import time
from functools import cache

import numpy as np
import pytest
import torch
from chromium import browser, found
from typer.testing import CliRunner

from verify import inspector
from verify.catalog import CATALOG
from verify.cli import commands as cli
from verify.cli import specs
from verify.inspector.page import page, read

PATTERNS = [
    ("linucb", {"dim": 2, "actions": 2, "horizon": 4, "error": 0.5}),
    ("linucb", {"dim": 2, "actions": 2, "horizon": 4, "error": 0.5, "solver": "newton"}),
    ("forgetting", {"dim": 2, "actions": 3, "horizon": 6, "error": 0.1, "window": 2}),
    ("ucbvi", {"states": 2, "actions": 2, "horizon": 2, "episodes": 2}),
    ("softmax-ucbvi", {"states": 2, "actions": 2, "horizon": 2, "episodes": 2}),
    ("td", {"features": 2, "horizon": 6, "sweeps": 3}),
]
"""Heads of every kind, in which some read of other tokens what layers have written."""


@cache
def usual(solver):
    """The record of LinUCB at its usual size."""
    built = CATALOG["linucb"].build(specs.made(CATALOG["linucb"], {"solver": solver}))
    return inspector.record(built, "LinUCB", inspector.replay(built))


needs_browser = pytest.mark.skipif(found() is None, reason="no chromium or google-chrome on the PATH")
LARGE = 1_000_000
"""Bytes that a page may have."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of LinUCB at its usual size, by solver."""
    folder = tmp_path_factory.mktemp("pages")
    for solver in ("agd", "newton"):
        (folder / solver).with_suffix(".html").write_text(page(usual(solver)), encoding="utf-8")
    return {solver: folder / f"{solver}.html" for solver in ("agd", "newton")}


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one
        assert not one.problems


def text(tab, selector):
    return tab.ask(f"document.querySelector({json.dumps(selector)}).textContent")


@needs_browser
@pytest.mark.parametrize("solver", ["agd", "newton"])
def test_the_page_is_small_opens_at_once_and_needs_nothing(pages, tab, solver):
    assert pages[solver].stat().st_size < LARGE
    ready = []
    for _ in range(3):  # the least of them, as other work on the machine slows some
        tab.open(pages[solver])
        ready.append(tab.ask("performance.getEntriesByName('ready')[0].startTime"))
    assert min(ready) < 2000
    assert tab.ask("performance.getEntriesByType('resource').length") == 0
    assert not tab.problems
    record = read(pages[solver].read_text(encoding="utf-8"))
    assert tab.ask("document.querySelectorAll('#map tbody tr').length") == len(record["registers"])
    assert tab.ask("document.querySelectorAll('#map thead button').length") == len(record["layers"])


@needs_browser
def test_every_weight_is_three_clicks_away(pages, tab):
    tab.open(pages["newton"])
    record = read(pages["newton"].read_text(encoding="utf-8"))
    layer = 2
    part = next(n for n, one in enumerate(record["layers"][layer]["families"]) if one["count"] > 1)
    tab.click(f"#map thead button[data-layer='{layer}']")
    tab.click(f"#parts button[data-part='{part}']")
    tab.click("#part .head button:last-child")  # the second head
    one = record["layers"][layer]["families"][part]
    wanted = []
    for name, height in (("query", one["rank"]), ("key", one["rank"]), ("value", one["span"])):
        rows, weights = (record["arrays"][one[name][field]] for field in ("rows", "weights"))
        wanted += [w for row, w in zip(rows, weights, strict=True) if row // height == 1]
    shown = tab.ask("[...document.querySelectorAll('.matrix td[title]')].map((cell) => cell.title)")
    assert sorted(float(value.replace("−", "-")) for value in shown) == sorted(wanted)
    labels = tab.ask(
        "[...document.querySelectorAll('.matrix th[scope=col]')].map((cell) => cell.textContent)"
    )
    assert "inverse[5]" in labels
    assert "position[0]" in labels
    written = tab.ask(
        "[...document.querySelectorAll('.matrix:last-of-type th[scope=row]')].map((c) => c.textContent)"
    )
    assert written == [f"inverse[{entry}]" for entry in range(5, 10)]
    tab.click("#map thead button[data-layer='10']")
    tab.click("#parts button:last-of-type")
    last = record["layers"][10]["neurons"][-1]
    assert f"Neurons: {last['count']}" in tab.ask(
        "document.querySelector('.list').getAttribute('aria-label')"
    )
    tab.ask("document.querySelector('.list').scrollTop = 1e9")
    weight = record["arrays"][last["second"]["weights"]][-1]
    tab.ask("document.querySelector('.list').dispatchEvent(new Event('scroll'))")
    assert str(abs(weight)) in text(tab, ".list .row:last-child")


def settled(tab, expression, wanted):
    """Asked until the answer is as wanted; an address is written a moment after a move."""
    for _ in range(100):
        if (found := tab.ask(expression)) == wanted:
            break
        time.sleep(0.02)
    assert found == wanted


@needs_browser
def test_the_address_names_what_is_shown_and_shows_what_it_names(pages, tab):
    tab.open(pages["newton"])
    assert tab.ask("location.hash") == ""
    tab.click("#map thead button[data-layer='2']")
    tab.click("#part .head button:last-child")
    settled(tab, "location.hash.split('&').slice(0, 2).join('&')", "#layer=3&head=1")
    tab.click("#decision-on")
    decisions = read(pages["newton"].read_text(encoding="utf-8"))["history"]["decisions"]
    later = decisions[len(decisions) // 2 + 1]
    settled(tab, "location.hash", f"#decision={later}&after=11&layer=3&head=1")
    tab.open(pages["agd"])
    tab.ask("location.hash = 'layer=500&head=7&decision=17&after=300&register=inverse'")
    settled(tab, "$('layer-title').textContent", "Layers 1–853: one layer, 853 times")
    part = tab.ask("(() => { const one = partsOf(layers[0])[state.part]; return one.place + state.head; })()")
    assert part == 7
    record = read(pages["agd"].read_text(encoding="utf-8"))["history"]
    nearest = min(record["decisions"], key=lambda decision: abs(decision - 17))
    layers = min((point["layers"] for point in record["points"]), key=lambda one: abs(one - 300))
    assert text(tab, "#decision-says") == f"{nearest} of 200"
    assert text(tab, "#point-says").startswith(f"{layers} of 855")
    assert tab.ask("document.querySelector('#map tr.chosen').dataset.register") == "inverse"
    settled(tab, "location.hash", f"#layer=1&head=7&register=inverse&decision={nearest}&after={layers}")


@needs_browser
@pytest.mark.parametrize(
    "address", ["layer=x", "layer=99999&head=9999", "register=%00", "nothing=1", "decision=-1"]
)
def test_what_an_address_says_wrongly_changes_nothing(pages, tab, address):
    tab.open(pages["newton"])
    before = tab.ask("JSON.stringify(state)")
    tab.ask(f"location.hash = {json.dumps(address)}; follow()")
    assert tab.ask("JSON.stringify(state)") == before
    assert not tab.problems


@needs_browser
def test_a_register_is_found_by_its_name(pages, tab):
    tab.open(pages["agd"])
    tab.ask("$('find').focus()")
    tab.call("Input.insertText", text="AHEAD")
    rows = "[...document.querySelectorAll('#map tbody tr')].filter((row) => row.offsetHeight)"
    shown = f"{rows}.map((row) => row.dataset.register)"
    assert tab.ask(shown) == ["ridge_ahead", "inverse_ahead"]
    assert tab.ask("[...document.querySelectorAll('#held tbody tr th button')].map((one) => one.id)") == [
        "held-ridge_ahead",
        "held-inverse_ahead",
    ]
    assert text(tab, "#found") == "2 of 12"
    tab.press("Enter", 13)
    assert tab.ask("document.querySelector('#map tr.chosen').dataset.register") == "ridge_ahead"
    tab.ask("$('find').value = 'square'; find()")
    tab.press("Enter", 13)
    assert text(tab, "#layer-title") == "Layer 854"
    assert "touches" in tab.ask("document.querySelector('#parts button[aria-pressed=true]').className")
    tab.ask("$('find').value = ''; find()")
    assert len(tab.ask(shown)) == 12


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("solver", ["agd", "newton"])
def test_text_stands_out_from_its_ground(pages, tab, solver, scheme):
    tab.open(pages[solver], scheme=scheme)
    tab.ask(
        "document.querySelectorAll('details').forEach((one) => { one.open = true; }); $('held-mean').click()"
    )
    tab.ask("open(1, 'mean')")
    assert tab.faint() == []


@needs_browser
def test_whatever_can_be_reached_has_a_name(pages, tab):
    tab.open(pages["newton"])
    tab.ask("open(2); $('held-mean').click()")
    named = tab.named()
    assert {"button", "link", "slider", "searchbox", "spinbutton", "region", "navigation"} <= named.keys()
    assert all(name.strip() for names in named.values() for name in names), named


MOVED = """layers.map((view) => {
  const point = before(view);
  return { after: history.points[point].layers, moved: history.decisions.map((_, decision) => {
    const sums = {};
    for (const family of view.families) for (let head = 0; head < family.count; head += 1) {
      const targets = arrays[family.targets].slice(head * family.span, (head + 1) * family.span);
      for (const one of attention(family, head, point, decision)) one.moved.forEach((value, n) => {
        sums[targets[n]] = (sums[targets[n]] ?? 0) + value;
      });
    }
    return sums;
  }) };
})"""
"""What all heads of each layer add at each decision, by stream entry, and after how many layers."""


@needs_browser
@pytest.mark.parametrize(("name", "fields"), PATTERNS)
def test_what_heads_move_on_the_page_is_what_the_literal_layers_add(name, fields, tab, tmp_path):
    entry = CATALOG[name]
    built = entry.build(entry.spec(**fields))
    run = inspector.replay(built)
    (tmp_path / "page.html").write_text(page(inspector.record(built, name, run)), encoding="utf-8")
    tab.open(tmp_path / "page.html")
    shown, rows, most = tab.ask(MOVED), run.states[run.decisions - 1], []
    for layer, one in zip(built.transformer.stored_layers, shown, strict=True):
        stream, literal = torch.as_tensor(built.tokens.encode(run.history)), built.transformer.run()
        for _ in range(one["after"]):
            stream = next(literal)(stream)
        added = (layer.attention(stream) - stream).numpy(force=True)[rows]
        moved = np.zeros_like(added)
        for decision, sums in enumerate(one["moved"]):
            for to, value in sums.items():
                moved[decision, int(to)] = value
        assert np.allclose(moved, added, rtol=1e-9, atol=1e-9)
        most.append(np.abs(added).max())
    assert sum(one > 1e-3 for one in most) > len(most) / 2


@needs_browser
def test_a_pattern_tells_its_tokens_and_steps_through_decisions(pages, tab):
    tab.open(pages["agd"])
    tab.ask("location.hash = 'layer=1&head=0&decision=20'; follow()")
    family = "partsOf(layers[0])[0]"
    weights = tab.ask(f"attention({family}, 0, before(layers[0]), state.decision).map((one) => one.weight)")
    looked = sum(weight > 0 for weight in weights)
    assert 0 < looked <= 19  # tokens of rewards: every other one
    assert all(weight == 0 for weight in weights[::2])
    assert text(tab, "#pattern .head span") == f"decision 20 of 200: {looked} of 39 tokens have weight"
    first = text(tab, "#pattern tbody th")
    assert first == f"{first.split(',')[0]}, after decision {(int(first.split(',')[0]) + 1) // 2}"
    last = "document.querySelector('#pattern tbody tr:last-child td').title"
    assert float(tab.ask(last)) == pytest.approx(sum(weights))
    tab.click("#pattern button:last-of-type")
    assert text(tab, "#decision-says") == text(tab, "#pattern .head span").partition(":")[0].removeprefix(
        "decision "
    )
    assert tab.ask("document.activeElement.getAttribute('aria-label')") == "Pattern of the decision after"


@needs_browser
def test_the_mouse_opens_cells_and_steps_through_the_history(pages, tab):
    tab.open(pages["agd"])
    record = read(pages["agd"].read_text(encoding="utf-8"))
    tab.click("#map tr[data-register='width'] td[data-layer='1']")
    assert text(tab, "#layer-title") == "Layer 854"
    assert text(tab, "#parts button[aria-pressed=true] .role") == "width √(a_kᵀA⁻¹a_k)"
    before = text(tab, "#decision-says")
    tab.click("#decision-on")
    after = text(tab, "#decision-says")
    decision = record["history"]["decisions"][len(record["history"]["decisions"]) // 2 + 1]
    assert before != after == f"{decision} of 200"
    tab.click("#held-mean")
    entries = "#held .entries tbody tr:nth-child(3) td"
    held, true = (
        tab.ask(f"document.querySelectorAll({json.dumps(entries)})[{n}].textContent") for n in (0, 1)
    )
    block = next(n for n, one in enumerate(record["blocks"]) if one["outputs"] == ["mean"])
    place = record["history"]["decisions"].index(decision) * 10 + 2
    for shown, name in ((held, "computed"), (true, "true")):
        probe = record["arrays"][record["history"]["probes"][block][name]]
        assert float(shown.replace("−", "-")) == probe[place]
    promise = text(tab, "#held tr:has(#held-mean) td:last-child")
    tab.click("#point-back")
    tab.click("#point-back")
    assert promise.startswith("≤")
    assert text(tab, "#held tr:has(#held-mean) td:last-child") == "from layer 854"
    assert tab.ask("document.querySelectorAll('#held td.bad').length") == 0


@needs_browser
@pytest.mark.parametrize("name", ["td", "lasso"])
def test_a_row_of_values_has_a_page_that_speaks_of_values(name, tab, tmp_path):
    entry = CATALOG[name]
    built = entry.build(entry.main)
    run = inspector.replay(built, entry)
    (tmp_path / "page.html").write_text(page(inspector.record(built, name, run)), encoding="utf-8")
    tab.open(tmp_path / "page.html")
    assert not tab.problems
    assert text(tab, "#policy-title") == "What it gives"
    heads = tab.ask("[...document.querySelectorAll('#policy thead th')].map((cell) => cell.textContent)")
    assert heads == ["entry", "value, built", "value, true", "difference"]
    tab.ask("go('decision', history.decisions.length - 1)")
    shown = tab.ask("[...document.querySelectorAll('#policy tbody td')].map((cell) => cell.title)")
    shown = [float(value.replace("−", "-")) for value in shown]
    true = entry.truth(built.spec, run.history)[-1]
    assert shown[1::3] == true.tolist()
    assert text(tab, "#policy-says").startswith("Values differ by")


@needs_browser
def test_the_keyboard_reaches_and_moves_everything(pages, tab):
    tab.open(pages["newton"])
    focused, seen = "document.activeElement", []
    for _ in range(10):
        tab.press("Tab", 9)
        seen.append(tab.ask(f"{focused}.dataset.layer ?? {focused}.textContent.trim().slice(0, 10)"))
    assert seen[1:5] == ["Stream", "Blocks", "Layer", "History"]
    assert seen[7:9] == ["0", "normal equ"]  # one stop for all layers, then the first block
    tab.ask("document.querySelector('#map thead button').focus()")
    tab.press("ArrowRight", 39)
    tab.press("ArrowRight", 39)
    assert text(tab, "#layer-title") == "Layer 3"
    assert tab.ask(f"{focused}.dataset.layer") == "2"
    tab.press("ArrowLeft", 37)
    assert text(tab, "#layer-title") == "Layer 2"
    tab.ask("document.querySelector('details summary').focus()")
    tab.press("Enter", 13)
    assert tab.ask("document.querySelector('details').open") is True
    tab.ask("document.querySelector('#layer-on').focus()")
    tab.press("Enter", 13)
    assert text(tab, "#layer-title") == "Layer 3"
    tab.ask("document.querySelector('#parts button').focus()")
    tab.press("ArrowDown", 40)
    assert tab.ask(f"{focused}.dataset.part") == "1"
    tab.ask("document.querySelector('#decision').focus()")
    before = text(tab, "#decision-says")
    tab.press("ArrowLeft", 37)
    assert text(tab, "#decision-says") != before
    assert text(tab, "#layer-title") == "Layer 3"


@needs_browser
@pytest.mark.parametrize("solver", ["agd", "newton"])
@pytest.mark.parametrize("width", [360, 400])
def test_a_narrow_screen_scrolls_within_boxes_only(pages, tab, solver, width):
    tab.open(pages[solver], width=width, height=740)
    tab.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    tab.ask("document.querySelectorAll('#held th button').forEach((one) => $(one.id).click())")
    for layer in range(tab.ask("layers.length")):
        tab.ask(f"open({layer})")
        for part in range(min(tab.ask("partsOf(layers[state.layer]).length"), 4)):
            tab.ask(f"state.part = {part}; showPart()")
            assert tab.ask("document.documentElement.scrollWidth") == width, (layer, part)


@needs_browser
def test_dark_mode_changes_the_colours(pages, tab):
    looks = {}
    for scheme in ("light", "dark"):
        tab.open(pages["newton"], scheme=scheme)
        looks[scheme] = tab.ask(
            "[document.body, document.querySelector('.dot.w')].flatMap((one) =>"
            " { const style = getComputedStyle(one); return [style.backgroundColor, style.color]; })"
        )
    light, dark = (sum(map(int, looks[scheme][0][4:-1].split(", "))) for scheme in ("light", "dark"))
    assert light > 600
    assert dark < 150
    assert all(one != other for one, other in zip(*looks.values(), strict=True))


PAIRS = [
    ("linucb", ["solver=newton"], ["Soft LinUCB, solver agd", "Soft LinUCB, solver newton"]),
    ("ucbvi", ["softmax-ucbvi", "exploration=0.03"], ["Soft UCB-VI", "Soft UCB-VI by softmax attention"]),
]
FEWER = {
    "linucb": ["dim=2", "actions=2", "horizon=4", "error=0.5"],
    "ucbvi": ["states=2", "actions=2", "horizon=2", "episodes=2"],
}


@needs_browser
@pytest.mark.parametrize(("name", "words", "titles"), PAIRS)
def test_two_constructions_stand_side_by_side_and_step_together(name, words, titles, tab, tmp_path):
    sets = [word for field in FEWER[name] for word in ("--set", field)]
    asked = [one for word in words for one in ("--beside", word)]
    done = CliRunner().invoke(
        cli.app, ["inspect", name, *sets, *asked, "--json", "--out", str(tmp_path / "page.html")]
    )
    assert done.exit_code == 0, done.output
    records = json.loads(done.stdout)
    tab.open(tmp_path / "page.html", width=1400)
    assert tab.ask("[...document.querySelectorAll('iframe')].map((one) => one.title)") == titles
    cells = (
        "[...document.querySelectorAll('#numbers tbody tr:nth-child(N) td')].map((one) => Number(one.title))"
    )
    assert tab.ask(cells.replace("(N)", "(1)")) == [one["size"]["layers"] for one in records]
    assert tab.ask(cells.replace("(N)", "(8)")) == [one["history"]["worst"] for one in records]
    assert records[0]["history"]["before"] == records[1]["history"]["before"]
    told = "both.map((one) => one.contentDocument.getElementById('decision-says').textContent)"
    for frame, last in ((0, 1), (1, 3)):
        tab.ask(f"both[{frame}].contentWindow.go('decision', {last})")
        assert tab.ask(told) == [f"{last + 1} of 4"] * 2
    tab.ask("both[1].contentDocument.querySelector('nav a[href=\"#history\"]').click()")
    time.sleep(0.3)  # an address is noted, and a link followed, within the frame
    assert tab.ask("both.map((one) => one.contentDocument.querySelectorAll('#map tbody tr').length)") == [
        len(one["registers"]) for one in records
    ]
    assert not tab.problems
    tab.open(tmp_path / "page.html", width=400)
    assert tab.ask("document.documentElement.scrollWidth") == 400
    assert tab.faint() == []


@needs_browser
def test_the_layers_of_a_trained_model_fit_every_screen(tab, tmp_path):
    """At R² from below 0 to 1, of twelve layers and long names."""
    levels = np.linspace(-1.2, 1, 13).tolist()
    rows = [
        {"register": name, "trained": levels, "shuffled": levels[::-1], "random weights": levels}
        for name in ("width", "ridge estimate of a model with a long name")
    ]
    found = {
        "model": "a-model-of-ones-own-with-a-long-name" * 2,
        "problems": 100,
        "decisions": 200,
        "registers": rows,
    }
    (tmp_path / "page.html").write_text(page(usual("newton") | {"trained": found}), encoding="utf-8")
    for scheme in ("light", "dark"):
        for width in (360, 400, 1400):
            tab.open(tmp_path / "page.html", width=width, scheme=scheme)
            assert tab.faint() == []
            assert tab.ask("document.documentElement.scrollWidth") == width
            within = "[...document.querySelectorAll('#trained .scroll, #trained h2, #readouts td')]"
            wide = f"{within}.filter((one) => one.scrollWidth > one.clientWidth + 1).length"
            assert tab.ask(wide) == 0, width
    heats = "[...document.querySelectorAll('#readouts tr:nth-child(1) td')]"
    grounds = tab.ask(f"{heats}.map((one) => getComputedStyle(one).backgroundColor)")
    assert grounds[0] == grounds[1] != grounds[-1]
    assert "R² by register and layer" in tab.named()["region"]
    assert not tab.problems


@pytest.mark.parametrize(
    ("name", "words", "told"),
    [
        ("linucb", ["hedge", "td"], "--beside: wanted one NAME, got hedge and td"),
        ("linucb", ["nobody=3"], "linucb: wanted fields of dim, .*, got nobody"),
        ("linucb", ["ucbvi"], "--beside: wanted a construction that sees a BanditHistory, got ucbvi"),
        ("linucb", ["thompson", "solver=pade", "action_norm=[2, 3]"], "wanted"),
    ],
)
def test_what_cannot_stand_beside_is_refused_before_anything_is_written(name, words, told, tmp_path):
    sets = [word for field in FEWER[name] for word in ("--set", field)]
    asked = [one for word in words for one in ("--beside", word)]
    done = CliRunner().invoke(cli.app, ["inspect", name, *sets, *asked, "--out", str(tmp_path / "page.html")])
    assert isinstance(done.exception, ValueError)
    assert re.search(told, str(done.exception))
    assert not (tmp_path / "page.html").exists()
