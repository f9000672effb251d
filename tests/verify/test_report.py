"""The report page: every claim with its numbers and verdict, written from saved files alone, and nothing from elsewhere."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
import soft_ucb1
import td0
from PIL import Image
from planned import planned
from reports import ERRATUM, HOLDING, Elements, made, rest
from typer.testing import CliRunner

from constructions import files
from constructions.showing import number, typeset
from verify import inspector
from verify.audit import Verdict, Words
from verify.catalog import CATALOG
from verify.claims import general
from verify.cli import audits
from verify.cli import commands as cli
from verify.errata import SOURCE
from verify.show import gallery, report
from verify.show.cards import bar

ROOT = Path(__file__).parents[2]


def published(folder, *verdicts, name="linucb", errata=(ERRATUM,)):
    report.save(made(*verdicts), folder / name)
    files.write_json(folder / "errata.json", {"errata": errata})
    return report.publish(folder).read_text(encoding="utf-8")


def verdict_line(text):
    return unescape(re.search(r'<p class="verdict (\w+)">(.*?)</p>', text)[0])


def test_every_claim_is_there_with_its_numbers_verdict_place_and_command(tmp_path):
    text = published(tmp_path, *HOLDING)
    pieces = re.findall(r"<article.*?</article>|<tr>.*?</tr>", rest(text), flags=re.DOTALL)
    for verdict in HOLDING:
        [piece] = [unescape(piece) for piece in pieces if verdict.claim in unescape(piece)]
        for value in (
            verdict.measured,
            verdict.enclosed,
            verdict.certified,
            verdict.stated,
            verdict.relative,
        ):
            assert value is None or f"{typeset(value)}" in re.sub(r"<svg.*?</svg>", "", piece)
        assert "'holds'>holds<" in piece
        assert verdict.source in piece
        assert "weightwright verify linucb<" in piece
        assert verdict.replay in piece
    assert "2 × 10⁻⁹ for rounding, which is more than is certified: what is measured shows nothing" in text
    assert text.count("for rounding") - text.count("for rounding, which") == 0
    assert "certified is 1.43 × enclosed" in text
    assert verdict_line(text).startswith(
        '<p class="verdict holds">6 of 6 claims hold: 4 explicit ones, 2 fits of orders.'
    )


def test_explicit_claims_stand_apart_from_fits_and_main_ones_stand_open(tmp_path):
    text = rest(published(tmp_path, *HOLDING))
    explicit, orders = text.index("<h3>Explicit claims: "), text.index("<h3>Orders: ")
    folded = text.index("<summary>The other 3 explicit claims")
    assert (
        explicit
        < text.index("policy &lt;all&gt; &amp; t")
        < folded
        < text.index("share that is noticed")
        < orders
    )
    assert orders < text.index("depth in T") < text.index("neurons in T")
    assert "4 of 4" in text[explicit : explicit + 80]
    assert "2 of 2" in text[orders : orders + 80]


@pytest.mark.parametrize("broken", range(len(HOLDING)))
def test_a_claim_that_fails_makes_the_verdict_fail_is_named_and_is_not_folded_away(tmp_path, broken):
    changed = {"measured": 0.1 if HOLDING[broken].kind in ("least", "order") else 1e6}
    verdicts = [replace(one, **changed) if n == broken else one for n, one in enumerate(HOLDING)]
    saved = made(*verdicts).record()
    saved["verdicts"][broken]["holds"] = True  # a file that says otherwise than its numbers
    files.write_json(tmp_path / "linucb" / "report.json", saved)
    text = report.publish(tmp_path).read_text(encoding="utf-8")
    assert verdict_line(text).startswith('<p class="verdict fails">1 of 6 claims fail:')
    assert HOLDING[broken].claim in verdict_line(text)
    assert text.count("'fails'>fails<") == 1
    if not HOLDING[broken].fitted:
        assert text.index("'fails'>fails<") < text.index("<summary>The other")


def test_an_erratum_that_is_not_confirmed_makes_the_verdict_fail(tmp_path):
    assert "1 of 1 errata are confirmed" in verdict_line(published(tmp_path, *HOLDING))
    text = published(tmp_path, *HOLDING, errata=(ERRATUM | {"confirmed": False},))
    assert verdict_line(text) == '<p class="verdict fails">Errata not confirmed: a sign</p>'


def test_no_claims_are_no_success(tmp_path):
    assert "No claim was checked" in verdict_line(published(tmp_path))


def test_the_page_is_well_formed_and_refers_to_nothing_outside(tmp_path):
    report.save(made(*HOLDING, title="Soft UCB-VI"), tmp_path / "ucbvi")
    text = published(tmp_path, *HOLDING)
    found = Elements()
    found.feed(text)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert {"section", "figure", "svg", "table", "details"} <= found.tags
    assert not {"script", "link", "img", "iframe", "object"} & found.tags
    for reference in found.references:
        assert reference.startswith("#")
        assert reference[1:] in found.ids
    assert not re.search(r"@import|url\((?!#)", text)
    assert {"linucb", "ucbvi", "errata", "limits", "reproduce", "linucb-size", "linucb-slack"} <= set(
        found.ids
    )


def test_when_and_with_what_a_report_was_made_is_on_the_page(tmp_path):
    one = replace(made(*HOLDING), made=report.made(90.0, "weightwright verify linucb --histories 20"))
    report.save(one, tmp_path / "linucb")
    text = report.publish(tmp_path).read_text(encoding="utf-8")
    for piece in (
        "1.5 min",
        "Python 3",
        "torch",
        one.made["date"],
        f"{one.made['cores']} cores",
        one.made["command"],
    ):
        assert piece in text
    assert "not recorded" in published(tmp_path / "older", *HOLDING)


def test_plot_writes_the_same_page_again_from_saved_files(tmp_path):
    text = published(tmp_path, *HOLDING)
    (tmp_path / "index.html").unlink()
    again = CliRunner().invoke(cli.app, ["plot", str(tmp_path), "--json"])
    assert json.loads(again.stdout) == [str(tmp_path / "index.html")]
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == text
    assert (tmp_path / "linucb" / "size.svg").exists()


@pytest.mark.parametrize(
    "damage", [None, "{", "[]", "{}", '{"verdicts": [{"claim": "x"}]}', '{"verdicts": 3}']
)
def test_a_bad_folder_is_one_clear_error(tmp_path, damage):
    if damage is not None:
        files.write(tmp_path / "linucb" / "report.json", damage)
    with pytest.raises(
        ValueError, match=r"wanted a report\.json written by `weightwright verify --out`"
    ) as caught:
        report.publish(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "index.html").exists()


def test_bars_are_in_the_order_of_the_numbers():
    drawn = bar(Verdict("x", "", "bound", 1e-4, 1e-1, 1e-3))
    dot = float(re.search(r"circle class='measured' cx='([\d.]+)'", drawn)[1])
    square = float(re.search(r"rect .* x='([\d.]+)'", drawn)[1]) + 4.5
    triangle = float(re.search(r"class='stated'[^>]* d='M([\d.]+)", drawn)[1])
    assert triangle - square == pytest.approx(2 * (square - dot), abs=0.3)
    assert dot < square < triangle
    assert bar(Verdict("x", "", "bound", 0.0, 0.0, 0.0)) == ""


def test_every_picture_of_the_gallery_is_small_and_can_be_drawn_again(tmp_path):
    page = ROOT / "docs" / "gallery.md"
    pictures = gallery.PICTURE.findall(page.read_text(encoding="utf-8"))
    assert 6 <= len(pictures) <= 10
    for construction, figure in pictures:
        assert construction in CATALOG
        path = ROOT / "docs" / "gallery" / f"{construction}-{figure}.png"
        assert path.stat().st_size <= 150_000
        with Image.open(path) as image:
            assert image.width >= 600
    assert {path.stem for path in (ROOT / "docs" / "gallery").iterdir()} == {
        "-".join(pair) for pair in pictures
    }
    report.save(made(*HOLDING), tmp_path / "reports" / "linucb")
    (tmp_path / "page.md").write_text("![a](gallery/linucb-size.png) ![b](gallery/linucb-depth.png)")
    drawn, missing = gallery.draw(tmp_path / "reports", tmp_path / "page.md")
    assert [path.name for path in drawn] == ["linucb-size.png"]
    assert missing == ["linucb-depth"]
    with pytest.raises(ValueError, match="wanted pictures in gallery/"):
        gallery.draw(tmp_path / "reports", ROOT / "CHANGELOG.md")


def test_what_is_enclosed_stands_in_the_terminal_beside_what_is_certified():
    claims, _ = audits.tables(made(*HOLDING))
    shown = {column.header: list(column.cells) for column in claims.columns}
    heads = ["claim", "measured", "enclosed", "certified", "stated", "relative", ""]
    assert list(shown) == heads
    assert shown["enclosed"] == [number(verdict.enclosed) for verdict in HOLDING]


def test_what_a_number_is_held_to_is_said_in_the_terminal():
    claims, _ = audits.tables(made(*HOLDING))
    shown = {column.header: list(column.cells) for column in claims.columns}
    assert shown["certified"][:3] == ["≤ 0.5", "≤ 1e-09", "—"]
    assert shown["stated"] == ["≤ 1", "≤ 1e-06", "≤ 2,416", "≥ 0.9", "0.5 ± 0.05", "≤ 1.05"]


@pytest.mark.parametrize("own", [soft_ucb1, td0])
def test_pages_of_a_strangers_construction_name_its_own_source(tmp_path, own):
    entry = own.ENTRY
    wanted = f"{own.__name__}: {own.__doc__.partition(chr(10))[0].rstrip('.')}"
    spec = replace(entry.main, horizon=3)
    audited = general.report(entry, spec, histories=1, trials=0)
    assert audited.words.source == wanted
    report.save(audited, tmp_path / "own")
    files.write_json(tmp_path / "errata.json", {"errata": [ERRATUM]})
    text = unescape(report.publish(tmp_path).read_text(encoding="utf-8"))
    assert f"Source: {wanted}." in text
    inspected = inspector.page(inspector.record(entry.build(spec), entry.title, source=entry.said().source))
    assert f'"source":{json.dumps(wanted, ensure_ascii=False)}' in inspected
    for of_another in ("Lin, Bai", "2310.08566", "Thompson", "errata", "the paper"):
        assert of_another not in text


def test_the_packages_own_pages_name_the_paper(tmp_path):
    assert all(CATALOG[name].said().source == SOURCE for name in ("linucb", "thompson", "bernoulli", "ucbvi"))
    assert SOURCE not in CATALOG["hedge"].said().source
    assert SOURCE in published(tmp_path, *HOLDING)
    assert replace(soft_ucb1.ENTRY, words=Words(source="Auer 2002")).said().source == "Auer 2002"


def test_a_saved_report_of_before_has_nothing_enclosed(tmp_path):
    record = made(*HOLDING).record()
    for verdict in record["verdicts"]:
        del verdict["enclosed"]
    files.write_json(tmp_path / "report.json", record)
    loaded = report.load(tmp_path / "report.json").verdicts
    assert [verdict.enclosed for verdict in loaded] == [None] * len(HOLDING)
    assert [verdict.holds for verdict in loaded].count(False) == 1  # too coarse without it


def test_what_each_number_is_stands_once_in_the_terminal_and_once_on_the_page(tmp_path, monkeypatch):
    for name in audits.AUDITED:
        monkeypatch.setitem(CATALOG, name, replace(CATALOG[name], claims=planned(made(*HOLDING))))
    shown = " ".join(CliRunner().invoke(cli.app, ["verify", "all", "--jobs", "1"]).stdout.split())
    assert shown.count(audits.RANKS) == 1
    text = " ".join(re.sub(r"<[^>]*>", "", published(tmp_path, *HOLDING)).split())
    ranks = (
        "Measured is sampled",
        "Enclosed, where it stands beside it,",
        "a ball",
        "Certified is a bound",
        "Stated is",
    )
    places = [text.index(rank) for rank in ranks]
    assert places == sorted(places)
    assert all(text.count(rank) == 1 for rank in ranks)
    assert "rounded outwards" in text
    assert "in rational arithmetic and then exact" in text
