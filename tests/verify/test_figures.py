"""Figures of any row at any specification: what they show is what was built and measured."""

import csv
import json
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
import soft_ucb1
import td0
from typer.testing import CliRunner

from constructions import linucb, thompson, ucbvi
from constructions.history import EpisodeHistory
from verify import audit
from verify.catalog import CATALOG
from verify.cli import commands as cli
from verify.show import plots
from verify.sweeps import figures
from verify.sweeps import grid as frontier
from verify.sweeps.figures import FIGURES, Effort

LITTLE = Effort(histories=5, seeds=2)
PLAYERS = [name for name in CATALOG if CATALOG[name].environment]
SPEC = soft_ucb1.Spec(actions=2, horizon=6, error=0.1)
OURS = soft_ucb1.ENTRY


def test_every_error_is_that_of_what_was_built():
    [panel] = figures.depth(OURS, SPEC, LITTLE)
    [wider] = figures.width(OURS, SPEC, LITTLE)
    certified, measured = panel["curves"]
    assert (certified["look"], measured["look"]) == ("certified", "measured")
    built = [OURS.build(replace(SPEC, error=0.1 * factor)) for factor in figures.FACTORS]
    assert certified["y"] == [one.certificate for one in built]
    assert certified["x"] == [one.size().layers for one in built]
    assert wider["curves"][0]["x"] == [one.size().hidden for one in built]
    for one, error in zip(built, measured["y"], strict=True):
        assert error == audit.search(one, OURS.truth, 5, source=OURS.histories).error <= one.certificate


def test_every_solver_has_a_curve_and_what_is_refused_has_none():
    spec = linucb.Spec(dim=2, actions=2, horizon=3, error=0.5)
    assert [name for name, _ in figures.ways(spec)] == ["gd", "agd", "chebyshev", "newton"]
    assert [name for name, _ in figures.ways(ucbvi.Spec(2, 2, 2, 2))] == ["theorem", "slim", "narrow"]
    assert [name for name, _ in figures.ways(SPEC)] == [""]
    two, more = (thompson.Spec(dim=2, actions=arms, horizon=3, error=0.5, form="policy") for arms in (2, 3))
    assert len(figures.ways(two)) > 1 or len(figures.ways(more)) > 1
    [panel] = figures.depth(CATALOG["linucb"], spec, LITTLE)
    assert {one["group"] for one in panel["curves"]} == {"gd", "agd", "chebyshev", "newton"}


def test_any_field_that_is_a_whole_number_can_be_varied():
    layers, neurons = figures.horizon(OURS, SPEC, replace(LITTLE, over="actions", values=(1, 2, 4)))
    assert layers["curves"][0]["x"] == neurons["curves"][0]["x"] == [1, 2, 4]
    assert neurons["curves"][0]["y"] == [
        OURS.build(replace(SPEC, actions=arms)).size().hidden for arms in (1, 2, 4)
    ]
    for wrong in ("error", "colour"):
        with pytest.raises(ValueError, match=rf"over: wanted one of actions, horizon, got {wrong}"):
            figures.horizon(OURS, SPEC, replace(LITTLE, over=wrong))
    with pytest.raises(ValueError, match="actions: wanted two values or more that can be built"):
        figures.horizon(OURS, SPEC, replace(LITTLE, over="actions", values=(0, 1)))


def test_what_has_no_neurons_has_a_panel_of_layers_alone():
    [layers] = figures.horizon(td0.ENTRY, td0.Spec(), replace(LITTLE, over="sweeps", values=(2, 4)))
    assert [(one["x"], one["y"]) for one in layers["curves"]] == [([2, 4], [4, 6])]


@pytest.mark.parametrize("name", PLAYERS)
def test_the_transformer_of_every_row_plays(name):
    entry = CATALOG[name]
    small = {"episodes": 2} if entry.seen is EpisodeHistory else {"horizon": 4}
    [record] = figures.regret(entry, entry.spec(**{**entry.example, **small, "actions": 2}), LITTLE)
    assert len(record["steps"]) == {"ucbvi": 6}.get(name, 4)
    assert record["seeds"] == [0, 1]
    if name in (
        "linucb",
        "ucbvi",
        "softmax-ucbvi",
        "hedge",
        "exp3",
    ):  # whose randomness is in the uniforms alone
        assert record["differing"] == 0
        np.testing.assert_allclose(record["built"], record["true"], atol=1e-12)


def test_what_a_figure_needs_is_told_in_one_line():
    with pytest.raises(
        ValueError, match="figure: wanted a specification with a field error, got one of ucbvi"
    ):
        figures.depth(CATALOG["ucbvi"], CATALOG["ucbvi"].main, LITTLE)
    with pytest.raises(ValueError, match="regret: wanted an environment and a decoder in the row soft ucb1"):
        figures.regret(OURS, SPEC, LITTLE)


def run(*words):
    return CliRunner().invoke(
        cli.app, ["plot", "docs/examples/soft_ucb1.py", *map(str, words), "--histories", "5"]
    )


@pytest.mark.parametrize("suffix", ["pdf", "svg", "png", "csv", "json"])
def test_one_file_of_any_kind(suffix, tmp_path):
    path = tmp_path / f"figure.{suffix}"
    shown = run("--set", "horizon=6", "--set", "error=0.1", "--out", path, "--title", "mine", "--size", "5x4")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.split() == [str(path)]
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    data = path.read_bytes()
    if suffix == "png":
        assert matplotlib.image.imread(path).shape[:2] == (800, 1000)
    elif suffix == "svg":
        assert b">mine<" in data
    elif suffix == "pdf":
        assert data.startswith(b"%PDF")
    else:
        [panel] = figures.depth(OURS, soft_ucb1.Spec(3, 6, error=0.1), LITTLE)
        if suffix == "json":
            assert json.loads(data)["records"] == {"figure": [panel]}
        else:
            head, *rows = csv.reader(data.decode().splitlines())
            assert head == ["panel", "title", "curve", "layers L", "worst error of log-probabilities"]
            drawn = [
                ["1", "Soft UCB1", one["label"], repr(x), repr(y)]
                for one in panel["curves"]
                for x, y in zip(one["x"], one["y"], strict=True)
            ]
            assert rows == drawn


def test_a_figure_is_the_same_bytes_each_time(tmp_path):
    panels = figures.depth(OURS, SPEC, LITTLE)
    for suffix in ("pdf", "svg", "png", "csv"):
        first, second = (plots.write(panels, tmp_path / f"{n}.{suffix}").read_bytes() for n in range(2))
        assert first == second


def test_a_layout_survives_resizing():
    panels = figures.horizon(OURS, SPEC, replace(LITTLE, values=(2, 4)))
    for size in ((3.0, 2.0), (12.0, 5.0)):
        figure = plots.draw(*panels, size=size, xlabel="steps")
        assert tuple(figure.get_size_inches()) == size
        for axes in figure.axes:
            box = axes.get_tightbbox().transformed(figure.dpi_scale_trans.inverted())
            assert box.x0 >= -0.05
            assert box.y0 >= -0.05
            assert box.x1 <= size[0] + 0.05
            assert box.y1 <= size[1] + 0.05
            assert axes.get_xlabel() == "steps"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--figure", "depht"], f"figure: wanted one of {', '.join(FIGURES)}, got depht"),
        (["--size", "5"], "--size: wanted WxH, each from 1 to 40 inches, got 5"),
        (["--size", "5x900"], "--size: wanted WxH"),
        (["--set", "colour=3"], "soft ucb1: wanted fields of actions, horizon, .*, got colour"),
    ],
)
def test_bad_words_are_one_line_and_nothing_is_written(words, message, tmp_path):
    shown = run(*words, "--out", tmp_path / "figure.pdf")
    assert shown.exit_code
    with pytest.raises(ValueError, match=message):
        raise shown.exception
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["file", "file/depth.pdf"])
def test_what_cannot_be_written_is_told_before_anything_is_built(below, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setitem(FIGURES, "depth", lambda *_: pytest.fail("work was done"))
    with pytest.raises(ValueError, match=r"file.*: wanted a f.* that can be written"):
        CliRunner().invoke(
            cli.app, ["plot", "linucb", "--out", str(tmp_path / below)], catch_exceptions=False
        )


def test_names_of_figures_have_no_suffix(tmp_path):
    figure = plots.draw(*figures.depth(OURS, SPEC, LITTLE))
    with pytest.raises(ValueError, match=r"name: wanted a plain file name without suffix, got 'depth.pdf'"):
        plots.save(figure, tmp_path, "depth.pdf")
    with pytest.raises(
        ValueError, match=r"figure.gif: wanted a name that ends with .svg, .png, .pdf, .csv, .json"
    ):
        plots.write(figures.depth(OURS, SPEC, LITTLE), tmp_path / "figure.gif")


def test_a_command_is_loaded_when_it_is_run_and_the_list_says_what_it_says():
    for name, command in cli.COMMANDS.items():
        shown = command.loaded(name)
        assert shown.help.splitlines()[0] == command.does
        assert shown.name == name


def test_a_sweep_takes_any_field_of_a_row(tmp_path):
    one = frontier.Configuration("linucb", "newton", 10, 1e-2, 2, 3, more=(("ridge", 0.5),))
    assert one.spec() == linucb.Spec(2, 3, 10, error=1e-2, solver="newton", ridge=0.5)
    assert one.key == "linucb newton dim=2 actions=3 horizon=10 error=0.01 ridge=0.5"
    record = frontier.evaluate(one)
    assert record["holds"]
    assert record["more"] == {"ridge": 0.5}
    for name, message in (
        ("ucbvi", "sweep: wanted a row with a grid, as linucb, thompson have, got ucbvi"),
        ("nobody", "construction: wanted one of linucb"),
    ):
        with pytest.raises(ValueError, match=message):
            raise CliRunner().invoke(cli.app, ["sweep", name, "--out", str(tmp_path)]).exception
    for word, message in (("error=1", "that it does not vary itself, got error"), ("colour=3", "colour")):
        with pytest.raises((ValueError, TypeError), match=message):
            raise (
                CliRunner()
                .invoke(cli.app, ["sweep", "linucb", "--set", word, "--out", str(tmp_path)])
                .exception
            )
    assert not list(tmp_path.iterdir())
