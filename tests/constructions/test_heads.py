"""built.heads(): Q, K and V of every head are those of the literal transformer, under the names of registers."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soft_ucb1
import td0
from tiny_cases import CASES

from constructions import linucb
from constructions.anatomy import latex

OWN = {module.__name__: module.build for module in (soft_ucb1, td0)}
SPECS = {"soft_ucb1": soft_ucb1.Spec(actions=2, horizon=4), "td0": td0.Spec(states=2, sweeps=2)}


def built_of(name):
    return CASES[name].built() if name in CASES else OWN[name](SPECS[name])


@pytest.fixture(scope="module", params=[*CASES, *OWN])
def built(request):
    return built_of(request.param)


def written_out(matrix, stream, rows=None):
    """A named matrix in the places of its names, all else zero; terms of a score in the rows of their numbers."""
    places = {stream.label(entry): entry for entry in range(stream.width)}
    dense = np.zeros((stream.width, stream.width))
    for row in matrix.rows:
        for column in matrix.columns:
            dense[int(row.split()[1]) if rows == "terms" else places[row], places[column]] = matrix[
                row, column
            ]
    return dense


def test_every_head_is_the_literal_one_under_the_names_of_its_registers(built):
    heads, dense, stream = built.heads(), built.transformer.dense().matrices, built.tokens.stream
    assert len(heads) == sum(len(query) for query, *_ in dense)
    assert len({(head.at.stored, head.at.number) for head in heads}) == len(heads)
    for head in heads[:: max(1, len(heads) // 60)]:
        query, key, value = (part[head.at.number].numpy() for part in dense[head.at.stored][:3])
        assert np.array_equal(written_out(head.query, stream, "terms"), query)
        assert np.array_equal(written_out(head.key, stream, "terms"), key)
        assert np.array_equal(written_out(head.value, stream), value)
        assert np.allclose(written_out(head.score, stream), query.T @ key, rtol=1e-12, atol=0)
        for part in (head.query, head.key, head.value, head.score):
            assert part.values.any(axis=0).all() or part is head.score  # products may cancel, entries do not
            assert part.values.any(axis=1).all() or part is head.score


def test_neurons_are_the_literal_ones(built):
    dense, stream = built.transformer.dense().matrices, built.tokens.stream
    for group in built.heads().neurons:
        first, second = (part.numpy() for part in dense[group.at.stored][3:])
        own = slice(group.at.number, group.at.number + group.count)
        assert np.count_nonzero(first[own]) == np.count_nonzero(group.first.values)
        assert np.count_nonzero(second[:, own]) == np.count_nonzero(group.second.values)
        for to in group.second.rows[:3]:
            for neuron in group.second.columns[:3]:
                place = next(n for n in range(stream.width) if stream.label(n) == to)
                assert group.second[to, neuron] == second[place, int(neuron.split()[1])]
    assert sum(group.count for group in built.heads().neurons) == sum(len(part[3]) for part in dense)


def test_each_head_says_which_block_wrote_it_and_where_it_stands(built):
    blocks = {block.name: block for block in built.blocks}
    repeats = [layer.repeat for layer in built.transformer.stored_layers]
    for head in built.heads():
        block = blocks[head.at.block]
        assert set(head.writes) <= block.writes
        assert head.at.source == block.source
        assert head.role in [own.role for step in block.steps for own in step.heads]
        assert (head.at.layer, head.at.repeat) == (
            sum(repeats[: head.at.stored]) + 1,
            repeats[head.at.stored],
        )
        assert head.formula.split(" += ")[0].partition("[")[0].split(",")[0] in head.writes


def test_what_a_head_says_is_what_the_weights_say():
    built = linucb.build(linucb.Spec(2, 2, 4, error=0.5, solver="newton"))
    before = built.heads()[3]
    group = built.transformer.layers[before.at.stored].attention.groups[0]
    query = before.query.values.copy()
    group.query.weight.data *= 3
    after = built.heads()[3]
    assert np.array_equal(after.query.values, 3 * query)
    assert np.array_equal(after.key.values, before.key.values)
    assert after.formula != before.formula
    assert f"{3:g}" in after.formula


def test_heads_of_no_block_are_refused():
    built = CASES["linucb newton"].built()
    with pytest.raises(ValueError, match="wanted blocks with"):
        replace(built, sealed_blocks=built.sealed_blocks[:-1]).heads()


def test_a_name_that_is_not_there_is_refused():
    value = built_of("soft_ucb1").heads()[0].value
    with pytest.raises(ValueError, match=r"wanted one of plays\[0\], plays\[1\], got wins\[0\]"):
        value["wins[0]", "action[0]"]


def test_latex_is_plain_balanced_and_holds_every_number_of_the_matrix(built):
    heads = built.heads()
    for text in [heads.to_latex(), *(head.to_latex() for head in heads[:40])]:
        assert text.isascii()
        assert text.replace(r"\{", "").replace(r"\}", "").count("{") == text.count("}")
        assert text.count(r"\begin") == text.count(r"\end") > 0
        assert text.count("$") % 2 == 0
    assert heads.to_latex().count(r"\\") == len(heads) + len(heads.neurons) + 1
    head = heads[0]
    table = head.value.to_latex().splitlines()[2:-1]
    cells = [[cell.strip() for cell in line.removesuffix(r" \\").split(" & ")] for line in table]
    assert [row[0] for row in cells] == [latex.name(name) for name in head.value.rows]
    for row, values in zip(cells, head.value.values, strict=True):
        for cell, value in zip(row[1:], values, strict=True):
            assert float(cell) == pytest.approx(value, rel=1e-4) or "^" in cell


def test_without_pandas_a_frame_is_refused_in_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    heads = built_of("soft_ucb1").heads()
    for one in (heads, heads[0], heads[0].value):
        with pytest.raises(ImportError, match=r"^frame: wanted pandas, got none: pip install pandas$"):
            one.frame()


def test_frames_have_a_row_a_part_a_row_a_weight_and_the_matrix_itself(monkeypatch):
    """By a stand-in that hands back what it is given, as pandas may not be installed."""
    stand_in = SimpleNamespace(DataFrame=lambda data, **names: (data, names))
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    heads = built_of("soft_ucb1").heads()
    rows, names = heads.frame()
    assert not names
    assert [row["layers"] for row in rows] == sorted(row["layers"] for row in rows)
    assert len(rows) == len(heads) + len(heads.neurons)
    assert rows[1] == {
        "layers": "1",
        "number": 1,
        "count": 1,
        "block": "Σ wins",
        "role": "wins",
        "kind": "sum over tokens",
        "formula": "wins += (1/i) Σⱼ relu(i·rewardⱼ) · actionⱼ",
    }
    weights, _ = heads[1].frame()
    assert {"matrix": "K", "row": "term 0", "column": "reward", "weight": 1.0} in weights
    assert len(weights) == 4
    data, names = heads[1].value.frame()
    assert np.array_equal(data, np.eye(2))
    assert names == {"index": ["wins[0]", "wins[1]"], "columns": ["action[0]", "action[1]"]}


def test_frames_of_pandas():
    pandas = pytest.importorskip("pandas")
    heads = built_of("soft_ucb1").heads()
    assert isinstance(heads.frame(), pandas.DataFrame)
    assert heads[1].value.frame().loc["wins[1]", "action[1]"] == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("width √(a_kᵀA⁻¹a_k)", r"width $\surd $(a\_k$^{T}$A$^{-1}$a\_k)"),
        ("P̂ − w̃ & 5 %", r"$\hat{P}$ $-$ $\tilde{w}$ \& 5 \%"),
        ("layers 1–8 of Φ{x}", r"layers 1--8 of $\Phi $\{x\}"),
    ],
)
def test_words_as_latex(text, wanted):
    assert latex.words(text) == wanted


def test_names_within_names_are_told_apart():
    text = latex.formula("arms_times += arms[0:2]ⱼ", ["arms", "arms_times"])
    assert text == r"\mathrm{arms\_times} \mathrel{+}= \mathrm{arms}[0:2]_{j}"
