"""Figures: every curve of a record is in its figure, the same record gives the same bytes, and bad records are refused."""

import json
import re
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from constructions import linucb
from verify.show import panels, plots
from verify.sweeps import linucb as sweeps

SPEC = {"dim": 2, "actions": 3, "horizon": 8, "error": 0.01, "solver": "agd"}
FIT = {"exponent": 0.5, "low": 0.4905, "high": 0.5095, "constant": 2.0, "r_squared": 1.0}
RECORDS = MappingProxyType(
    {
        "error_against_depth": {
            "spec": SPEC,
            "depths": [1, 10, 20, 40],
            "measured": [0.5, 1e-4, 1e-9, 2e-13],
            "certified": [0.6, 2e-4, 2e-9, 1e-18],
            "stated": [90.0, 8.0, 0.7, 0.006],
            "rounding": [1e-10] * 4,
        },
        "error_against_width": {
            "errors": [0.1, 0.01, 0.001],
            "measured": [0.09, 0.009, 0.0009],
            "certified": [0.1, 0.01, 0.001],
            "neurons": [6, 20, 63],
            "domain": [0.01, 5.0],
            "fit": FIT,
        },
        "size_against_horizon": {
            "spec": SPEC,
            "horizons": [10, 100, 1000],
            "certified": [150, 600, 2000],
            "stated": [900, 3500, 13000],
            "log_stated": [40.0, 50.0, 60.0],
            "fits": {"certified": FIT, "stated": FIT},
            "source": "Theorem 8",
        },
        "regret": {
            "spec": SPEC,
            "steps": [1, 2, 3, 4],
            "built": [1.0, 1.5, 1.75, 2.0],
            "true": [1.0, 1.5, 1.5, 1.75],
            "built_deviation": [0.1, 0.2, 0.3, 0.4],
            "true_deviation": [0.1, 0.2, 0.25, 0.3],
            "differing": 2,
            "decisions": 12,
            "seeds": [0, 1, 2],
            "layers": 150,
            "label": "a bandit",
        },
        "slack": {
            "rows": [
                {"block": "ridge", "error": 0.5, "promise": 1.0, "own_error": 0.25, "own_promise": 0.5},
                {"block": "logits_k", "error": 0.1, "promise": 2.0, "own_error": 0, "own_promise": 1e-13},
            ]
        },
        "curves": {
            "title": "two rules",
            "x_label": "nodes",
            "y_label": "error (no unit)",
            "x_scale": "log",
            "y_scale": "log",
            "legend": "best",
            "curves": [
                {"label": "lines", "x": [8, 64], "y": [0.1, 0.01], "group": "lines", "look": "measured"},
                {"label": "bound", "x": [8, 64], "y": [0.2, 0.05], "group": "lines", "look": "certified"},
                {
                    "label": "points",
                    "x": [8, 32, 64],
                    "y": [0.3, 0.2, 0.1],
                    "group": "points",
                    "look": "measured",
                },
            ],
        },
        "posterior": {
            "step": 3,
            "center": [0.5, 0.25],
            "root": [[0.5, 0.0], [0.0, 0.25]],
            "arms": [[1.0, 0.0], [0.0, 2.0]],
            "probabilities": [0.25, 0.75],
            "direction": [1.0, 0.0],
            "points": [[0.0, 1.0], [0.0, -1.0]],
        },
        "heat_map": {
            "values": [0.0, 0.25, 1.0, 0.5, 0.125, 2.0],
            "words": ["S", "F", "F", "H", "F", "G"],
            "columns": 3,
            "title": "a lake",
        },
    }
)
KINDS = list(RECORDS)


def record(kind, **changes):
    """A fresh record of a kind, with changes."""
    return json.loads(json.dumps({"kind": kind} | RECORDS[kind] | changes))


def lines(axes):
    return [(np.array(line.get_xdata(), float), np.array(line.get_ydata(), float)) for line in axes.lines]


def holds(axes, x, y):
    """Whether some line of the panel has exactly this data."""
    wanted = np.array([x, y], dtype=float)
    same = (np.allclose(np.array(line), wanted, 1e-14, 0) for line in lines(axes) if len(line[0]) == len(x))
    return any(same)


def texts(axes):
    legend = axes.get_legend()
    inside = [text.get_text() for text in axes.texts] + [axes.get_title("left"), axes.get_title()]
    return " | ".join(inside + ([text.get_text() for text in legend.get_texts()] if legend else []))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_record_gives_the_same_bytes(kind, tmp_path):
    first = plots.draw(record(kind))
    written = [plots.save(first, tmp_path / name, "figure") for name in ("one", "two")]
    theirs = {"font.size": 20, "axes.grid": True, "svg.fonttype": "path", "savefig.facecolor": "red"}
    with matplotlib.rc_context(theirs):
        written.append(plots.save(plots.draw(record(kind)), tmp_path / "three", "figure"))
    for svg, png in written:
        assert (svg.name, png.name) == ("figure.svg", "figure.png")
        assert svg.read_bytes() == written[0][0].read_bytes()
        assert png.read_bytes() == written[0][1].read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_svg_keeps_text_and_carries_no_date_and_png_has_200_dots_an_inch(kind, tmp_path):
    svg, png = plots.save(plots.draw(record(kind)), tmp_path, "figure")
    content = svg.read_text()
    ElementTree.parse(svg)
    assert "<text" in content
    assert plots.draw(record(kind)).axes[0].get_xlabel() in content
    assert not re.search(r"<dc:date>|\d{4}-\d\d-\d\d|Matplotlib v", content)
    with Image.open(png) as image:
        assert image.size == (200 * plots.COLUMN, 200 * plots.HEIGHT)
        assert not {"Software", "Creation Time"} & set(image.info)


def test_depth_curves_are_those_of_the_record():
    given = record("error_against_depth")
    [axes] = plots.draw(given).axes
    for name in ("measured", "certified", "stated"):
        assert holds(axes, given["depths"], given[name])
        assert name in texts(axes)
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] <= min(given["measured"])
    assert max(patch.get_y() + patch.get_height() for patch in axes.patches) == pytest.approx(1e-10)
    assert "accelerated" in texts(axes)


def test_rounding_below_the_picture_is_left_out():
    [axes] = plots.draw(record("error_against_depth", rounding=[1e-30] * 4)).axes
    assert not axes.patches


def test_width_curves_are_those_of_the_record():
    given = record("error_against_width")
    [axes] = plots.draw(given).axes
    assert holds(axes, given["neurons"], given["measured"])
    assert holds(axes, given["neurons"], given["certified"])
    assert holds(axes, [2.0 * error**-0.5 for error in given["errors"]], given["errors"])
    assert "p = 0.500 ± 0.010" in texts(axes)


def test_size_curves_are_those_of_the_record_and_exponents_are_in_the_legend():
    given = record("size_against_horizon")
    [axes] = plots.draw(given).axes
    for name in ("certified", "stated"):
        assert holds(axes, given["horizons"], given[name])
    law = [2.0 * t**0.5 * log for t, log in zip(given["horizons"], given["log_stated"], strict=True)]
    assert holds(axes, given["horizons"], law)
    assert "stated (Theorem 8), p = 0.500 ± 0.010" in texts(axes)
    assert "certified, p = 0.500 ± 0.010" in texts(axes)


def test_regret_curves_and_bands_are_those_of_the_record():
    given = record("regret")
    [axes] = plots.draw(given).axes
    assert holds(axes, given["steps"], given["built"])
    assert holds(axes, given["steps"], given["true"])
    for sign in (-1, 1):
        edge = [m + sign * s for m, s in zip(given["built"], given["built_deviation"], strict=True)]
        assert holds(axes, given["steps"], edge)
    [band] = axes.collections
    corners = {tuple(point) for point in band.get_paths()[0].vertices.round(9).tolist()}
    for step, mean, deviation in zip(given["steps"], given["true"], given["true_deviation"], strict=True):
        assert {(step, round(mean - deviation, 9)), (step, round(mean + deviation, 9))} <= corners
    assert "2 of 12 decisions differ" in texts(axes)
    assert "3 runs" in texts(axes)


def test_named_curves_are_those_of_the_record():
    given = record("curves")
    [axes] = plots.draw(given).axes
    for curve in given["curves"]:
        assert holds(axes, curve["x"], curve["y"])
        assert curve["label"] in texts(axes)
    first, bound, other = axes.get_lines()
    assert first.get_color() == bound.get_color() != other.get_color()
    assert first.get_linestyle() != bound.get_linestyle()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_a_posterior_is_drawn_with_its_ellipses_lines_and_arms():
    given = record("posterior")
    [axes] = plots.draw(given).axes
    points = [np.array(line.get_xydata()) for line in axes.get_lines()]
    assert np.allclose(points[0], [[-1.5, 0.5], [2.5, 0.5]])  # center + root (point ± 4 direction)
    inner, outer = points[2], points[3]
    assert np.allclose([inner[:, 0].max(), inner[:, 1].max()], [1.0, 0.5], atol=1e-3)
    assert np.allclose([outer[:, 0].max(), outer[:, 1].max()], [1.5, 0.75], atol=1e-3)
    assert "0.25" in texts(axes)
    assert "0.75" in texts(axes)


def test_a_heat_map_shows_every_number_in_its_cell():
    given = record("heat_map")
    [axes] = plots.draw(given).axes
    [image] = axes.images
    assert image.get_array().tolist() == [[0.0, 0.25, 1.0], [0.5, 0.125, 2.0]]
    assert {text.get_position(): text.get_text() for text in axes.texts}[1, 1] == "F\n0.12"
    assert len(axes.texts) == 6
    assert axes.get_title("left") == "a lake"


def test_slack_shows_shares_of_promises_block_by_block():
    [axes] = plots.draw(record("slack")).axes
    (total, _), (own, places) = lines(axes)[:2]
    np.testing.assert_allclose(total, [0.05, 0.5])  # the first block is on top
    np.testing.assert_allclose(own, [0.0, 0.5])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["logitsₖ", "ridge"]
    assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == [("0", places[0])]


@pytest.mark.parametrize("kind", KINDS)
def test_letters_are_large_enough_and_inside_the_figure(kind):
    figure = plots.draw(record(kind))
    figure.canvas.draw()
    for axes in figure.axes:
        shown = [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts, *axes.get_yticklabels()]
        legend = axes.get_legend()
        for text in shown + (legend.get_texts() if legend else []):
            assert text.get_fontsize() >= 8
            if text.get_text() and text in (axes.xaxis.label, axes.yaxis.label, *axes.texts):
                box = text.get_window_extent()
                assert box.x0 >= 0
                assert box.y0 >= 0
                assert box.x1 <= figure.bbox.x1
                assert box.y1 <= figure.bbox.y1


def test_curves_differ_without_their_colour():
    looks = [(look.linestyle, look.marker) for look in panels.LOOKS.values()]
    assert len({line for line, _ in looks}) == len({marker for _, marker in looks}) == len(looks)


def test_several_records_share_a_page():
    given = [record(kind) for kind in KINDS[:2]]
    figure = plots.draw(*given)
    assert tuple(figure.get_size_inches()) == (plots.PAGE, plots.HEIGHT)
    assert holds(figure.axes[0], given[0]["depths"], given[0]["measured"])
    assert holds(figure.axes[1], given[1]["neurons"], given[1]["measured"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_field_is_named(kind):
    rows = RECORDS[kind].get("rows")
    for name in rows[0] if rows else RECORDS[kind]:
        bad = record(kind)
        for holder in bad["rows"] if rows else [bad]:
            del holder[name]
        with pytest.raises(ValueError, match=f"{kind}: wanted a field {name}"):
            plots.draw(bad)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0, None, "1", [1.0], True])
def test_named_curves_and_shares_of_something_else_than_numbers_are_refused(bad):
    given = record("curves")
    given["curves"][1]["y"][0] = bad
    with pytest.raises(ValueError, match="curves: wanted finite y >= 0"):
        plots.draw(given)
    with pytest.raises(ValueError, match="posterior: wanted finite probabilities >= 0"):
        plots.draw(record("posterior", probabilities=[0.5, bad]))


NESTED = ("slack", "curves", "posterior")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NESTED])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0, None, "1", [1.0], True])
def test_a_curve_of_something_else_than_numbers_is_refused(kind, bad):
    curve = next(name for name, values in RECORDS[kind].items() if isinstance(values, list))
    values = [*RECORDS[kind][curve][:-1], bad]
    with pytest.raises(ValueError, match=f"{kind}: wanted finite {curve} >= 0"):
        plots.draw({"kind": kind, **RECORDS[kind], curve: values})


def test_other_bad_records_are_refused():
    rows = RECORDS["slack"]["rows"]
    for bad, message in (
        ({}, "record: wanted a kind"),
        ({"kind": "pie"}, "record: wanted a kind"),
        (record("regret", built=[1.0]), "regret: wanted lists of one length"),
        (record("regret", built=3.0), "regret: wanted lists of one length"),
        (record("error_against_depth", rounding=[]), "error_against_depth: wanted lists of one length"),
        (record("slack", rows=[]), "slack: wanted a field"),
        (record("slack", rows=[rows[0], rows[1] | {"promise": 0.0}]), "slack: wanted finite promise"),
        (record("slack", rows=[rows[0], {"block": "x"}]), "slack: wanted a field error"),
        (record("size_against_horizon", fits={}), "size_against_horizon: wanted a field fits"),
        (record("error_against_depth", spec={}), "error_against_depth: wanted a field spec"),
    ):
        with pytest.raises(ValueError, match=message):
            plots.draw(bad)
    with pytest.raises(ValueError, match="draw: wanted one or more"):
        plots.draw()


@pytest.mark.parametrize("name", ["", "a/b", "../a", "."])
def test_names_that_are_no_file_names_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="name: wanted"):
        plots.save(plots.draw(record("slack")), tmp_path, name)
    assert not list(Path(tmp_path).iterdir())


def test_records_of_sweeps_can_be_drawn():
    spec = linucb.Spec(dim=2, actions=2, horizon=5, error=0.1)
    depth = sweeps.error_against_depth(spec, "gd", [1, 10], sweeps.adversarial_histories(spec))
    width = sweeps.error_against_width(spec, [0.1, 0.05, 0.01], points=11)
    size = sweeps.size_against_horizon(spec, [4, 8, 16], "gd")
    assert len(plots.draw(depth, width, size).axes) == 3


def test_nothing_of_matplotlib_is_left_changed():
    before = dict(matplotlib.rcParams)
    plots.draw(record("regret"))
    assert dict(matplotlib.rcParams) == before


def test_a_style_of_ones_own_is_laid_over_ours(tmp_path):
    panel = record("regret")
    (tmp_path / "mine.mplstyle").write_text("axes.facecolor: 0.9\nfont.size: 9\n", encoding="utf-8")
    before = dict(matplotlib.rcParams)
    plain = plots.draw(panel).axes[0]
    for style in (
        {"axes.facecolor": "0.9", "font.size": 9},
        str(tmp_path / "mine.mplstyle"),
        tmp_path / "mine.mplstyle",
        ["ggplot", {"axes.facecolor": "0.9", "font.size": 9}],
    ):
        axes = plots.draw(panel, style=style).axes[0]
        assert axes.get_facecolor() == (0.9, 0.9, 0.9, 1.0)
        assert axes.xaxis.label.get_size() >= 9 > plain.xaxis.label.get_size()
    assert dict(matplotlib.rcParams) == before
    plots.write([panel], tmp_path / "a.svg", style="ggplot")
    plots.write([panel], tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() != (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize("style", ["no such style", {"no.such": 1}, 3, {"font.size": "large letters"}])
def test_a_style_that_there_is_not_is_one_line(style):
    with pytest.raises(ValueError, match=r"^style: wanted a name, a file or a mapping"):
        plots.draw(record("regret"), style=style)
