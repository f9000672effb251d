"""The inspector: weights, formulas and histories of the record, and the command."""

import io
import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from constructions import linucb, thompson, ucbvi
from constructions.anatomy import formulas, layers
from constructions.showing import number
from verify import inspector
from verify.catalog import CATALOG, entry_of
from verify.cli import commands as cli
from verify.cli import specs
from verify.cli.inspection import tables
from verify.inspector.page import page, read
from verify.inspector.replay import MOST

SMALL = {
    "agd": linucb.Spec(dim=2, actions=2, horizon=4, error=0.5),
    "chebyshev": linucb.Spec(dim=2, actions=2, horizon=3, error=2.0, solver="chebyshev"),
    "newton": linucb.Spec(dim=2, actions=2, horizon=4, error=0.5, solver="newton"),
    "two arms": thompson.Spec(dim=2, actions=2, horizon=3, error=0.5),
    "sampling": thompson.Spec(dim=2, actions=3, horizon=4, error=0.5, form="sampling", solver="newton"),
    "bernoulli": thompson.BernoulliSpec(actions=2, horizon=3, error=0.5),
    "lines": thompson.Spec(dim=1, actions=3, horizon=2, nodes=2),
    "theorem": ucbvi.Spec(2, 2, 2, 2),
    "slim": ucbvi.Spec(2, 2, 2, 2, form="slim"),
    "narrow": ucbvi.Spec(2, 5, 2, 2, form="narrow"),
}


@cache
def of(name):
    """A small construction."""
    return entry_of(SMALL[name]).build(SMALL[name])


def replayed(built):
    return inspector.replay(built, entry_of(built.spec))


@pytest.fixture(scope="module", params=SMALL)
def built(request):
    return of(request.param)


def matrix(record, stored, shape):
    """A sparse matrix of the record, written out."""
    dense = np.zeros(shape)
    rows, columns, weights = (record["arrays"][stored[name]] for name in ("rows", "columns", "weights"))
    dense[rows, columns] = weights
    return dense


def literal(record, layer):
    """A layer's literal Q, K, V, W1 and W2, from nothing but the record."""
    width = sum(register["size"] for register in record["registers"])
    heads, hidden = (sum(part["count"] for part in layer[kind]) for kind in ("families", "neurons"))
    query, key, value = np.zeros((3, heads, width, width))
    first, second = np.zeros((hidden, width)), np.zeros((width, hidden))
    for one in layer["families"]:
        count, rank, span = one["count"], one["rank"], one["span"]
        own = slice(one["place"], one["place"] + count)
        for whole, name in ((query, "query"), (key, "key")):
            whole[own, :rank] = matrix(record, one[name], (count * rank, width)).reshape(count, rank, width)
        moved = matrix(record, one["value"], (count * span, width)).reshape(count, span, width)
        targets = np.reshape(record["arrays"][one["targets"]], (count, span))
        for head in range(count):
            np.add.at(value[one["place"] + head], targets[head], moved[head])
    for one in layer["neurons"]:
        own = slice(one["place"], one["place"] + one["count"])
        first[own] = matrix(record, one["first"], (one["count"], width))
        second[:, own] = matrix(record, one["second"], (width, one["count"]))
    return query, key, value, first, second


def test_the_weights_of_the_page_are_the_literal_ones(built):
    record = read(page(inspector.record(built, "<small>")))
    dense = built.transformer.dense()
    assert [layer["repeat"] for layer in record["layers"]] == dense.repeats
    for layer, matrices in zip(record["layers"], dense.matrices, strict=True):
        for ours, theirs in zip(literal(record, layer), matrices, strict=True):
            assert np.array_equal(ours, theirs.numpy())
    norms = [sum(layer["norms"].values()) for layer in record["layers"]]
    assert max(norms) == pytest.approx(built.size().norm, rel=1e-12)


def test_heads_and_neurons_belong_to_the_block_that_writes_where_they_do(built):
    stream = built.tokens.stream
    for view in built.heads().views:
        for family in view.families:
            names = {stream.label(entry).partition("[")[0] for entry in family.targets.tolist()}
            assert names <= built.blocks[family.block].writes
            roles = [h.role for step in built.blocks[family.block].steps for h in step.heads]
            assert family.role in roles
        for neurons in view.neurons:
            names = {stream.label(entry).partition("[")[0] for entry in neurons.second.tocoo().row.tolist()}
            assert names <= built.blocks[neurons.block].writes


def test_a_construction_with_heads_of_no_block_is_refused():
    built = of("newton")
    with pytest.raises(ValueError, match="wanted blocks with"):
        replace(built, sealed_blocks=built.blocks[:-1]).heads()


def test_scores_are_the_products_of_query_and_key(built):
    form, generator = formulas.Form.of(built.tokens.stream, built.tokens.longest), np.random.default_rng(0)
    one, other = generator.normal(size=(2, built.tokens.stream.width))
    for token, index in ((one, 5), (other, 3)):
        token[built.tokens.stream["position"].slice] = index, index**2, 1
    for view in built.heads().views:
        for family in view.families:
            rank = family.rank
            query, key = (
                list(zip(*(column.tolist() for column in (*part.tocoo().coords, part.data)), strict=True))
                for part in (family.query[:rank], family.key[:rank])
            )
            terms = formulas.score(form, query, key)
            content = sum(weight * one[i] * other[j] for (i, j), weight in terms.content.items())
            places = sum(weight * 5**i * 3**j for (i, j), weight in terms.powers.items())
            wanted = (family.query[:rank] @ one) @ (family.key[:rank] @ other)
            assert content + places == pytest.approx(wanted, rel=1e-9, abs=1e-9)


FORMULAS = [
    ("agd", "gradient ridge_ahead 0 +", "sum over tokens", "relu(⟨ridge_aheadᵢ, actionⱼ⟩ − rewardⱼ) · (−"),
    ("agd", "ridge ridge_ahead", "own token", "ridge_ahead += (1/i) Σⱼ relu(j − i + 1) · (−"),
    ("agd", "mean −", "own-token product", "relu(−⟨ridgeᵢ, arms[0:2]ⱼ⟩ + 32·(j − i)) · (−j)"),
    (
        "newton",
        "gram_times +",
        "sum over tokens",
        "gram_times[0:2] += (1/i) Σⱼ relu(i²·action[0]ⱼ) · actionⱼ",
    ),
    ("theorem", "previous_state × i", "own token", "s · previous_state_rawⱼ,  previous_action += (1/i) Σⱼ s"),
    ("theorem", "previous_state_raw ramp 3.0", "matched sum", "4·clock[0]ⱼ + j − i − 1)"),
]


@pytest.mark.parametrize(("name", "role", "kind", "part"), FORMULAS)
def test_formulas_read_as_the_docstrings_of_the_primitives_have_them(name, role, kind, part):
    families = [family for view in of(name).heads().views for family in view.families]
    family = next(family for family in families if family.role == role)
    assert family.kind == kind
    assert part in family.formulas[0]
    assert len(family.formulas) == family.count


def test_every_block_of_a_primitive_says_what_its_docstring_says():
    found = {block.name: layers.said(block) for block in of("agd").blocks}
    assert "Claim: at every token `point` is within" in found["ridge estimate"]
    assert "Source: Lemma approx_ridge, arXiv 2310.08566" in found["ridge estimate"]
    assert all("Claim: " in one and "Source: " in one for one in found.values())


@pytest.mark.parametrize("name", ["agd", "newton", "two arms", "lines", "sampling", "bernoulli", "slim"])
def test_the_history_is_what_probe_and_the_algorithm_say(name):
    built = of(name)
    run = replayed(built)
    record = read(page(inspector.record(built, name, run)))
    history, arrays, at = record["history"], record["arrays"], run.decisions - 1
    probes, held = built.probe(run.history), {}
    for point in history["points"]:
        held |= point["values"]
    assert [point["layers"] for point in history["points"]][-1] == built.size().layers
    for block, probe, told in zip(record["blocks"], probes, history["probes"], strict=True):
        assert block["name"] == probe.block
        assert np.array_equal(arrays[told["true"]], probe.true[at].ravel())
        assert np.array_equal(arrays[told["computed"]], probe.computed[at].ravel())
        for field in ("error", "promise", "own_error", "own_promise"):
            assert float(told[field]) == getattr(probe, field)
        sizes = [(name, built.tokens.stream[name].size) for name in block["outputs"]]
        last = [
            np.reshape(arrays[held[name]], (-1, size)) if name in held else np.zeros((len(at), size))
            for name, size in sizes
        ]
        assert np.array_equal(np.concatenate(last, axis=1).ravel(), probe.computed[at].ravel())
    assert history["worst"] <= built.certificate + 1e-9
    says = built.outputs([run.history])[0]
    says = says[:, built.tokens.stream["logits"].slice] if name == "sampling" else built.policy(says)
    assert np.array_equal(arrays[history["built"]], says[at].ravel())


def test_scores_of_the_sampling_form_are_those_whose_largest_was_played():
    run = replayed(of("sampling"))
    assert np.array_equal(run.true.argmax(axis=1)[:-1], run.history.actions)
    assert run.guarantee.of == "scores"


def test_where_the_catalog_has_no_player_the_search_has_the_history():
    built, alone = of("agd"), replace(CATALOG["linucb"], decoder=None)
    runs = [inspector.replay(built, alone, seed) for seed in range(2)]
    spreads = []
    for run in runs:
        told = dict(part.rsplit(" ", 1) for part in run.setting.partition(": ")[2].split(", ")[-3:])
        assert (int(told["steps"]), run.history.steps) == (4, 4)
        spreads.append(np.ptp(alone.truth(built.spec, run.history)))
        outlines = alone.histories.battery(built.spec)
        [own] = [one for one in outlines if one.seed == int(told["seed"])]
        assert np.array_equal(own.history(built.spec).rewards, run.history.rewards)
    tried = sorted(
        (np.ptp(alone.truth(built.spec, one.history(built.spec))) for one in outlines), reverse=True
    )
    assert spreads == tried[:2]


def test_registers_after_some_layers_are_those_of_the_literal_layers():
    built = of("agd")
    run = replayed(built)
    tokens = built.tokens.encode(run.history)
    stream, layers = torch.as_tensor(tokens), built.transformer.run()
    rows, done = built.tokens.states(run.history.steps)[run.decisions - 1], 0
    assert len(run.points) <= MOST + 8
    for count, held in zip(run.points, run.held, strict=True):
        while done < count:
            stream, done = next(layers)(stream), done + 1
        assert np.allclose(stream.numpy()[rows], held, rtol=1e-9, atol=1e-9)


def test_tables_of_the_terminal_name_loops_roles_and_registers():
    console = Console(width=120, record=True, file=io.StringIO())
    built = of("agd")
    console.print(*tables(built, "LinUCB"))
    text = console.export_text()
    assert f"× {built.transformer.stored_layers[0].repeat:,}" in text
    assert "2 heads in 1 signed pair: sum over tokens" in text
    assert "Lemma approx_ridge" in text
    for register in built.tokens.stream.registers:
        assert register in text


def test_the_command_writes_a_page_and_json(tmp_path):
    options = ["inspect", "linucb", "--dim", "2", "--actions", "2", "--horizon", "3", "--error", "0.5"]
    shown = CliRunner().invoke(cli.app, [*options, "--html", "--json", "--out", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    record = read((tmp_path / "linucb.html").read_text(encoding="utf-8"))
    assert record == json.loads(shown.stdout)
    assert record["spec"]["actions"] == 2
    with pytest.raises(ValueError, match=r"linucb: wanted fields of dim, actions, .*, got states"):
        specs.made(CATALOG["linucb"], {"states": 3})


def test_a_bound_that_was_proven_stands_beside_the_derived_one():
    console = Console(width=200, record=True, file=io.StringIO())
    built = of("newton")
    [mean] = [block for block in built.blocks if block.name.startswith("mean")]
    assert mean.promise.total.error < mean.promise.derived.error < np.inf
    console.print(*tables(built, "LinUCB"))
    text = " ".join(console.export_text().split())
    assert f"from its inputs alone {number(mean.promise.derived.whole)}" in text
    assert "‖E‖ ≤ e_k (newton.py)" in text
    [shown] = [block for block in inspector.record(built, "")["blocks"] if block["name"] == mean.name]
    assert (shown["derived"]["error"], shown["proof"]) == (mean.promise.derived.error, mean.promise.proof)


def test_the_help_of_inspect_fits_a_small_screen():
    shown = CliRunner().invoke(cli.app, ["inspect", "--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    assert "Example: weightwright inspect" in shown.stdout
    assert shown.stdout.count("\n") <= 25
