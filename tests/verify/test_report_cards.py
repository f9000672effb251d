"""Cards and the first page of a report: kinds, ranks, what uses what; it opens, prints and fits without a script."""

import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from chromium import browser, found
from reports import ERRATUM, HOLDING, Elements, made, rest

from constructions import files, linucb
from verify import algorithms
from verify.audit import Cited, about, kept, measure
from verify.catalog import CATALOG
from verify.claims import general
from verify.claims.citing import cited, made_of
from verify.cli import specs
from verify.show import report
from verify.show.cards import KINDS
from verify.show.cards import card as drawn
from verify.show.links import Links
from verify.theorems import Statement, drift, games, lemmas, newton, prediction
from verify.theorems import linucb as theorem

SMALL = linucb.Spec(dim=2, actions=2, horizon=4, error=0.5)
READ_FROM = {  # what the proof of Theorem 8 reads from what
    "ridge estimate": [],
    "inverse times arms": [],
    "mean ⟨a_k, w⟩": ["ridge estimate"],
    "square a_kᵀA⁻¹a_k": ["inverse times arms"],
    "width √(a_kᵀA⁻¹a_k)": ["square a_kᵀA⁻¹a_k"],
    "logits": ["mean ⟨a_k, w⟩", "width √(a_kᵀA⁻¹a_k)"],
    "": ["logits"],
}
TINY = {
    "ucbvi": {"states": 2, "actions": 2, "horizon": 2, "episodes": 2, "form": "narrow"},
    "hedge": {"actions": 2, "horizon": 3},
    "validated-ridge": {"dim": 1, "horizon": 5, "training": 2},
}
WORDS = 700
"""Five minutes at 140 words a minute, numbers among them."""


def audited():
    """A small LinUCB's report: the policy, every block, a size, and a wrong weight."""
    built = linucb.build(SMALL)
    findings = measure(built, algorithms.linucb, CATALOG["linucb"].histories.battery(SMALL)[:2])
    verdicts = [
        general.certified("policy", "Theorem 8", built, CATALOG["linucb"], findings, replay=False),
        *(kept(block.name, built, block, findings.blocks[block.name]) for block in built.blocks),
        *general.sizes("sizes", built, theorem.THEOREM_8_EXPLICIT, theorem_numbers()),
    ]
    return replace(made(*verdicts, *HOLDING), title="Soft LinUCB")


def theorem_numbers():
    return {
        "horizon": 4, "dim": 2, "actions": 2, "ridge": 1, "action_max": 1, "action_min": 0.5, "weight_norm": 1,
        "noise_bound": 1, "temperature": 1, "exploration": 1, "error": 0.5,
    }  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of that report and of one whose name has a space."""
    folder = tmp_path_factory.mktemp("reports")
    report.save(audited(), folder / "linucb")
    report.save(made(*HOLDING, title="Another"), folder / "soft ucb1")
    files.write_json(folder / "errata.json", {"errata": [ERRATUM]})
    return report.publish(folder)


def cards(text):
    """Cards by their addresses."""
    return dict(re.findall(r"<article id='([^']+)'>(.*?)</article>", text, flags=re.DOTALL))


def fact(card, name):
    """What a card says under a name, and where its links go."""
    inside = (re.findall(rf"<dt>{name}</dt><dd>(.*?)</dd>", card) or [""])[0]
    links = re.findall(r"<a href='#([^']+)'>(.*?)</a>", inside)
    return unescape(re.sub("<.*?>", "", inside)), {unescape(text): place for place, text in links}


def test_a_block_uses_what_made_its_inputs_and_is_used_by_what_reads_its_output(page):
    found_cards = cards(page.read_text(encoding="utf-8"))
    blocks = {re.search(r"</a> (.*?): <b", card)[1]: (place, card) for place, card in found_cards.items()}
    places = {
        name: next(p for key, (p, _) in blocks.items() if unescape(key).startswith(name or "policy"))
        for name in READ_FROM
    }
    for name, reads in READ_FROM.items():
        card = found_cards[places[name]]
        assert fact(card, "uses")[1] == {one: places[one] for one in reads}
        used_by = fact(card, "used by")[1]
        wanted = [user for user, users_reads in READ_FROM.items() if name in users_reads] if name else []
        assert [*used_by.values()] == [
            places[user] for user in sorted(wanted, key=lambda one: list(places.values()).index(places[one]))
        ]


def test_whatever_is_read_is_what_the_tokens_bring_or_what_a_block_that_is_used_wrote_before():
    for name in ("ucbvi", "hedge", "validated-ridge"):
        built = CATALOG[name].build(specs.made(CATALOG[name], TINY[name]))
        before: dict[str, str] = {}
        for block in built.sealed_blocks:
            used = about(built, block)["uses"]
            assert {before[register] for register in block.reads - block.writes if register in before} == {
                *used
            }
            before |= dict.fromkeys(block.writes, block.name)


def test_statements_use_those_that_their_formulas_are_made_of_and_not_those_that_share_an_assumption():
    assert made_of(theorem.THEOREM_8_EXPLICIT) == (theorem.STEP_1, theorem.STEP_2)
    assert made_of(theorem.STEP_1) == (lemmas.RIDGE_AGD,)
    assert made_of(newton.THEOREM_A) == (newton.LEMMA_3,)
    assert made_of(newton.THEOREM_B) == (newton.LEMMA_4,)
    assert made_of(drift.WINDOW) == (newton.THEOREM_A,)
    assert made_of(games.GAP) == (games.REGRET_TUNED,)
    assert made_of(prediction.LASSO_GAP) == made_of(lemmas.RIDGE_AGD) == ()
    assert cited(Statement("of a stranger", "elsewhere")) == Cited("of a stranger", "elsewhere")


def test_a_size_is_counted_and_links_to_its_statement_and_that_to_what_it_is_made_of(page):
    text = page.read_text(encoding="utf-8")
    [card] = [one for one in cards(text).values() if "sizes: layers" in one]
    assert "<dt>measured, counted</dt>" in card
    assert "<dt>stated, a formula</dt>" in card
    name = theorem.THEOREM_8_EXPLICIT.name
    statements = dict(
        re.findall(r"<article class='statement' id='([^']+)'>(.*?)</article>", text, flags=re.DOTALL)
    )
    whole = statements[fact(card, "stated by")[1][name]]
    assert fact(whole, "kind")[0] == "explicit"
    assert fact(whole, "assumes")[0] == "; ".join(theorem.THEOREM_8_EXPLICIT.assumptions)
    assert {*fact(whole, "uses")[1]} == {theorem.STEP_1.name, theorem.STEP_2.name}
    first = statements[fact(whole, "uses")[1][theorem.STEP_1.name]]
    assert {*fact(first, "used by")[1]} == {name}
    lemma = statements[fact(first, "uses")[1][lemmas.RIDGE_AGD.name]]
    assert fact(lemma, "used by")[0] == theorem.STEP_1.name


def test_every_card_says_its_kind_and_what_stands_behind_each_number(page):
    found_cards = cards(page.read_text(encoding="utf-8"))
    assert {fact(card, "kind")[0] for card in found_cards.values()} == {*KINDS.values()} - {KINDS["order"]}
    for card in found_cards.values():
        heads = re.findall(r"<dt>(measured|enclosed|certified|stated)(, [^<]*)?</dt>", card)
        assert [name for name, _ in heads] == [
            n for n in ("measured", "enclosed", "certified", "stated") if n in dict(heads)
        ]
        behind = dict(heads)
        assert behind["measured"] in (", sampled", ", counted")
        assert behind.get("enclosed", ", in balls") == ", in balls"
        assert behind.get("certified", ", proven") == ", proven"


def test_what_a_saved_report_says_of_uses_and_statements_comes_back(tmp_path):
    report.save(audited(), tmp_path)
    assert report.load(tmp_path / "report.json").verdicts == json_again(audited().verdicts)


def json_again(verdicts):
    """With the lists that JSON makes of tuples in witnesses."""
    return [replace(one, witness=json.loads(json.dumps(one.witness))) for one in verdicts]


def test_the_first_page_is_read_in_five_minutes_and_has_every_main_number(page):
    text = page.read_text(encoding="utf-8")
    first = text[text.index("<body>") : text.index("<details class='part'>")]
    assert "<details" not in first
    plain = unescape(re.sub(r"<[^>]*>", " ", first))
    assert 300 < len(plain.split()) < WORDS
    for piece in (
        "21 of 21 claims hold",
        "The few numbers that matter",
        "What was checked",
        "What you have to trust",
    ):
        assert piece in plain
    table = first[first.index("<table>") : first.index("</table>")]
    assert table.count("<tr>") == 3
    assert "href='#linucb-1'" in table
    assert re.search(r"explicit claims, .*? 11 with a certificate, 3 of them enclosed too", plain)
    after = re.sub(r"<details class=.part.>.*?</section>\s*</details>", "", rest(text), flags=re.DOTALL)
    assert not re.sub(r"<[^>]*>", "", after).strip()


def test_addresses_have_no_spaces_and_every_link_has_an_end(page):
    elements = Elements()
    elements.feed(page.read_text(encoding="utf-8"))
    assert elements.open == []
    assert len(elements.ids) == len({*elements.ids})
    assert all(re.fullmatch(r"[\w.-]+", one) for one in elements.ids if not one.count("-size-"))
    assert {reference[1:] for reference in elements.references} <= {*elements.ids}
    assert "soft-ucb1-1" in elements.ids


def test_a_claim_that_fails_stands_open_on_the_first_page_and_nowhere_else(tmp_path):
    broken = replace(HOLDING[2], measured=1e6)
    report.save(made(*HOLDING[:2], broken, *HOLDING[3:]), tmp_path / "linucb")
    text = report.publish(tmp_path).read_text(encoding="utf-8")
    place = text.index("<article id='linucb-3'>")
    assert text.index("What fails") < place < text.index("<details class='part'>")
    assert text.count("id='linucb-3'") == 1


# ---------------------------------------------------------------- in a browser

needs_browser = pytest.mark.skipif(found() is None, reason="no chromium or google-chrome on the PATH")
OPEN = "document.querySelectorAll('details').forEach(one => one.open = true)"
CUT = """[...document.querySelectorAll('main *, header *')].filter(one => !one.closest('svg, figure') &&
  one.clientWidth && one.scrollWidth > one.clientWidth + 1 &&
  getComputedStyle(one).display != 'inline').map(one => one.outerHTML.slice(0, 60))"""
SEEN = "(() => {{ const one = document.getElementById('{}'); return one.checkVisibility() && one.offsetHeight > 0; }})()"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one
        assert not one.problems


@needs_browser
@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_faint_or_beside_the_screen(page, tab, width, scheme):
    tab.open(page, width, scheme=scheme)
    for _ in range(2):
        assert tab.ask("document.documentElement.scrollWidth") == width
        assert tab.ask(CUT) == []
        assert tab.faint() == []
        tab.ask(OPEN)


@needs_browser
def test_a_link_opens_what_it_leads_to_without_a_script(page, tab):
    assert "<script" not in page.read_text(encoding="utf-8")
    tab.open(page)
    for place in ("linucb-3", "linucb-statement-1", "limits"):
        assert not tab.ask(SEEN.format(place))
        tab.ask(f"location.hash = '#{place}'")
        assert tab.ask(SEEN.format(place))
        top = tab.ask(f"document.getElementById('{place}').getBoundingClientRect().top")
        assert 0 <= top < 900


@needs_browser
def test_what_is_folded_is_printed(page, tab):
    tab.open(page)
    places = ("linucb-3", "linucb-statement-1", "linucb-size", "limits", "soft-ucb1-4", "errata")
    heights = [f"document.getElementById('{place}').getBoundingClientRect().height" for place in places]
    assert not any(tab.ask(SEEN.format(place)) for place in places)
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert all(tab.ask(SEEN.format(place)) for place in places)
    assert np.greater([tab.ask(one) for one in heights], 20).all()
    tab.call("Emulation.setEmulatedMedia", media="")


def test_a_claim_that_fails_is_not_written_as_if_it_held():
    links = Links("linucb", [])
    for numbers, told in (
        ({"measured": 0.2, "certified": 0.1, "stated": 0.15}, ["≰", "≤"]),
        ({"measured": 0.2, "certified": 0.3, "stated": 0.1}, ["≤", "≰"]),
        ({"measured": 0.05, "certified": 0.1, "stated": 0.3}, ["≤", "≤"]),
    ):
        one = replace(HOLDING[0], kind="bound", enclosed=None, rounding=0.0, **numbers)
        shown = drawn(Links("linucb", [one]), one)
        assert re.findall("<span>(.)</span>", shown) == told
    least = replace(HOLDING[0], kind="least", measured=0.2, certified=None, enclosed=None, stated=0.9)
    assert "<span>≱</span>" in drawn(Links("linucb", [least]), least)
    assert links.command == "weightwright verify linucb"


def test_a_card_says_how_its_own_specification_is_measured_again():
    one = HOLDING[0]
    links = Links("linucb", [one], "weightwright verify eager.py --set dim=3 --quick --out reports")
    assert "<code>weightwright verify eager.py --set dim=3 --quick</code>" in drawn(links, one)
