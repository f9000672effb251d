"""Training: data against the true algorithms, the model against the definition, runs against their interruption."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode
from typer.testing import CliRunner

from constructions import files, saving
from constructions.history import BanditHistory, EpisodeHistory
from constructions.transformer import DenseTransformer
from verify import algorithms
from verify.cli import commands as cli
from verify.environments.sampling import draw
from verify.play import many_bandits as tasks
from verify.play import players
from verify.play.lockstep import play
from verify.training import checkpoint, curves, recipes, train
from verify.training.attention import attention
from verify.training.cache import cached
from verify.training.kinds import seated
from verify.training.model import Shape, TrainedTransformer
from verify.training.policy import Player, Trained

LINUCB = replace(recipes.RECIPES["ad-linucb"], horizon=30)
BERNOULLI = replace(recipes.RECIPES["dpt-bernoulli"], horizon=30)
EPISODES = recipes.EpisodeRecipe(states=3, actions=2, episode=3, episodes=8)
SMALL = {"layers": 2, "heads": 2, "width": 8, "batch": 4}


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    """A picture at every checkpoint takes longer than the steps: where a test is not about it, there is none."""
    if request.node.originalname != "test_train_from_the_command_line":
        monkeypatch.setattr(curves, "picture", lambda curve: b"")


def drawn(recipe, size=6, seed=0):
    """Problems of a recipe and what its player does in them."""
    generator = np.random.default_rng(seed)
    problems = recipe.draw(generator, size)
    return problems, play(problems, seated(recipe, recipe.player, problems, generator))


def histories(problems, seen):
    """Each member of a batch as a history of its own."""
    for arms, actions, rewards in zip(problems.arms, seen.actions, seen.rewards, strict=True):
        contexts = np.repeat(arms[None], len(actions), axis=0)
        yield BanditHistory(contexts, actions[:-1], rewards[:-1])


def test_linucb_in_lockstep_is_linucb():
    problems, seen = drawn(LINUCB)
    spec = SimpleNamespace(ridge=1.0, exploration=2.0, temperature=1.0)
    for history, actions in zip(histories(problems, seen), seen.actions, strict=True):
        assert (algorithms.linucb_values(spec, history).score.argmax(axis=1) == actions).all()


def test_thompson_in_lockstep_draws_what_thompson_draws():
    problems = tasks.bernoulli_tasks(np.random.default_rng(1), 1, 30, 4)
    seen = play(problems, players.Thompson(problems, np.random.default_rng(2)))
    policy = algorithms.bernoulli_thompson_decoder(SimpleNamespace(actions=4), np.random.default_rng(2))
    for action, reward in zip(seen.actions[0], seen.rewards[0], strict=True):
        assert policy.observe(np.eye(4)).argmax() == action
        policy.record(action, reward)


def test_counting_players_count():
    """UCB and the empirical mean, each step from the whole history again."""
    for name, bonus in (("ucb", 1.0), ("empirical", 0.0)):
        problems, seen = drawn(replace(BERNOULLI, player="ucb", labels="expert"))
        seen = play(problems, seated(BERNOULLI, name, problems, np.random.default_rng()))
        for actions, rewards in zip(seen.actions, seen.rewards, strict=True):
            assert sorted(actions[:5]) == [0, 1, 2, 3, 4]
            for step in range(5, 30):
                past = [rewards[:step][actions[:step] == arm] for arm in range(5)]
                scores = [pay.mean() + bonus / np.sqrt(len(pay)) for pay in past]
                assert scores[actions[step]] == pytest.approx(max(scores), abs=1e-12)


def test_ucbvi_in_lockstep_is_ucbvi():
    processes = EPISODES.draw(np.random.default_rng(3), 5)
    seen = play(processes, seated(EPISODES, "ucbvi", processes, np.random.default_rng()))
    for n in range(5):
        history = EpisodeHistory(seen.states[n], seen.actions[n, :-1], seen.rewards[n, :-1], 3)
        policy = np.exp(algorithms.ucbvi(EPISODES.spec, history))
        assert np.ptp(policy, axis=1).max() > 0.2  # it has learnt something
        for odds, uniform, action in zip(policy, processes.uniforms[n], seen.actions[n], strict=True):
            assert draw(odds, uniform) == action


def test_processes_move_and_lose_as_tables_say():
    from verify.environments import TabularMDP

    processes = EPISODES.draw(np.random.default_rng(4), 4)
    seen = play(processes, seated(EPISODES, "ucbvi", processes, np.random.default_rng()))
    regret = processes.regret(seen)
    for n in range(4):
        mdp = TabularMDP(processes.initial[n], processes.transitions[n], processes.rewards[n])
        for step, (state, action) in enumerate(
            zip(seen.states[n].tolist(), seen.actions[n].tolist(), strict=True)
        ):
            stage = step % 3
            assert regret[n, step] == pytest.approx(mdp.regret(stage, state, action), abs=1e-12)
            assert seen.rewards[n, step] == mdp.rewards[stage, state, action]
            before = (stage - 1, seen.states[n, step - 1], seen.actions[n, step - 1])
            odds = mdp.transitions[before] if stage else mdp.initial
            assert draw(odds, processes.moves[n, step]) == state


def test_linear_rewards_and_regret_follow_the_means():
    problems, seen = drawn(LINUCB)
    means = np.take_along_axis(problems.means, seen.actions, axis=1)
    np.testing.assert_allclose(seen.rewards - problems.noise, means, atol=1e-12)
    assert (problems.regret(seen) >= 0).all()
    assert (problems.regret(replace(seen, actions=np.repeat(problems.best[:, None], 30, axis=1))) == 0).all()


def test_the_two_recipes_differ_in_their_labels_only():
    expert, optimal, estimate = (
        recipes.batch(replace(LINUCB, labels=kind), 0, 1, 6) for kind in ("expert", "optimal", "estimate")
    )
    problems, seen = drawn_of(LINUCB, 0, 1, 6)
    for other in (optimal, estimate):
        assert (expert.tokens == other.tokens).all()
    assert (expert.labels == seen.actions).all()
    assert (optimal.labels == problems.best[:, None]).all()
    spec = SimpleNamespace(ridge=1.0, exploration=0.0, temperature=1.0)
    for n in range(6):  # the ridge estimate after all T steps
        contexts = np.repeat(problems.arms[n][None], 31, axis=0)
        last = algorithms.linucb_values(spec, BanditHistory(contexts, seen.actions[n], seen.rewards[n])).mean[
            -1
        ]
        assert (estimate.labels[n] == last.argmax()).all()


def drawn_of(recipe, seed, number, size):
    generator = np.random.default_rng([seed, number])
    problems = recipe.draw(generator, size)
    return problems, play(problems, seated(recipe, recipe.player, problems, generator))


def test_half_of_the_mixed_context_is_uniform():
    problems, seen = drawn(replace(BERNOULLI, horizon=400), size=40)
    best = (seen.actions == problems.best[:, None]).mean(axis=1)
    assert abs(best[::2].mean() - 0.2) < 4 * np.sqrt(0.16 / 8000)  # four standard deviations
    assert best[1::2].mean() > 0.5


@pytest.mark.parametrize("recipe", [LINUCB, BERNOULLI, EPISODES], ids=lambda recipe: type(recipe).__name__)
def test_tokens_are_those_of_built_transformers(recipe):
    """The contract's own `encode` of every member, its last state token included."""
    data = recipes.batch(recipe, 0, 5, 3)
    generator = np.random.default_rng([0, 5])
    if recipe is EPISODES:
        processes = recipe.draw(generator, 3)
        seen = play(processes, seated(recipe, "ucbvi", processes, np.random.default_rng()))
        members = [
            EpisodeHistory(seen.states[n], seen.actions[n, :-1], seen.rewards[n, :-1], 3) for n in range(3)
        ]
    else:
        members = list(histories(*drawn_of(recipe, 0, 5, 3)))
    for tokens, history in zip(data.tokens, members, strict=True):
        np.testing.assert_array_equal(tokens, recipe.tokens.encode(history).astype(np.float32))


@pytest.mark.parametrize("kind", ["relu", "softmax"])
@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_attention_is_the_definition(kind, seed, count):
    """Values and gradients against the formula written out, in float64."""
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(2, 3, count, generator=generator).double() for _ in range(3))
    places = torch.arange(count)[torch.rand(count, generator=generator) < 0.6]
    parts = [query[:, :, places].clone(), key, value]
    for part in parts:
        part.requires_grad_()
    scores, seen = parts[0].mT @ parts[1], torch.arange(count) <= places[:, None]
    relu = torch.relu(scores) * seen / (places[:, None] + 1)
    softmax = (scores / 3**0.5).masked_fill(~seen, -torch.inf).softmax(dim=2)
    literal = ((relu if kind == "relu" else softmax) @ value.mT).mT
    weights = torch.randn(literal.shape, generator=generator).double()
    wanted = torch.autograd.grad((literal * weights).sum(), parts)
    found = attention(kind, *parts, places)
    torch.testing.assert_close(found, literal)
    for one, other in zip(torch.autograd.grad((found * weights).sum(), parts), wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_a_block_is_the_literal_transformer_layer_with_layer_norm():
    """Q_m and K_m padded to D × D, V_m = W_out V_m: `constructions.transformer` carries out the attention."""
    shape = Shape(inputs=7, actions=2, tokens=9, layers=1, heads=2, width=6)
    model = TrainedTransformer(shape, torch.Generator().manual_seed(0)).double()
    block = model.stored_blocks[0]
    for bias in (block.first.bias, block.second.bias):
        torch.nn.init.zeros_(bias)
    tokens = torch.randn(1, 9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rows = block.query_key_value.detach().reshape(3, 2, 3, 6)
    query, key, value = (torch.nn.functional.pad(part, (0, 0, 0, 3)) for part in rows)
    outward = block.output.weight.detach().reshape(6, 2, 3).permute(1, 0, 2)  # (heads, D, rank)
    value = outward @ rows[2]
    none = torch.zeros(0, 6, dtype=torch.float64)
    attended = DenseTransformer.layer(tokens, query, key, value, none, none.T)
    normed = block.after_attention(attended)
    first, second = block.first.weight, block.second.weight
    wanted = block.after_mlp(DenseTransformer.layer(normed, *torch.zeros(3, 0, 6, 6).double(), first, second))
    torch.testing.assert_close(block(tokens), wanted)


@pytest.mark.parametrize("attention", ["relu", "softmax"])
@pytest.mark.parametrize("recipe", [LINUCB, EPISODES], ids=["bandits", "episodes"])
def test_logits_depend_on_the_past_only(attention, recipe):
    run = train.Run(recipe, attention=attention, **SMALL)
    model, data = run.model(), torch.as_tensor(recipes.batch(recipe, 0, 0, 2).tokens)
    places = torch.as_tensor(recipe.places)
    before = model(data, places)
    step = 11
    data[:, places[step] + 1 :] += 1.0
    after = model(data, places)
    torch.testing.assert_close(after[:, : step + 1], before[:, : step + 1], rtol=0, atol=1e-5)
    assert (after[:, step + 1 :] - before[:, step + 1 :]).abs().amax(dim=(0, 2)).min() > 1e-4


@pytest.mark.parametrize("attention", ["relu", "softmax"])
@pytest.mark.parametrize("recipe", [LINUCB, EPISODES], ids=["bandits", "episodes"])
def test_decoding_step_by_step_is_the_whole_pass(attention, recipe):
    trained = Trained(recipe, train.Run(recipe, attention=attention, **SMALL).model())
    generator = np.random.default_rng(0)
    if recipe is EPISODES:
        processes = recipe.draw(generator, 2)
        seen = play(processes, Player(trained, processes))
        history = EpisodeHistory(seen.states[0], seen.actions[0, :-1], seen.rewards[0, :-1], 3)
        contexts, uniforms = history.states, processes.uniforms[0]
    else:
        problems = recipe.draw(generator, 2)
        seen = play(problems, Player(trained, problems))
        history = next(histories(problems, seen))
        contexts, uniforms = history.contexts, problems.uniforms[0]
    decoder, policy = trained.decoder(), trained.log_probabilities(history)
    for step, (context, row) in enumerate(zip(contexts, policy, strict=True)):
        np.testing.assert_allclose(decoder.observe(context), row, atol=1e-4)  # float32
        assert draw(np.exp(row), uniforms[step]) == seen.actions[0, step]
        decoder.record(seen.actions[0, step], seen.rewards[0, step])


def test_softmax_attention_is_another_model():
    tokens, places = torch.as_tensor(recipes.batch(LINUCB, 0, 0, 1).tokens), torch.as_tensor(LINUCB.places)
    relu, soft = (
        train.Run(LINUCB, attention=kind, **SMALL).model()(tokens, places) for kind in ("relu", "softmax")
    )
    assert (relu - soft).abs().max() > 1e-2


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_learns(name, tmp_path):
    """Over a few steps, on one batch again and again, the loss falls."""
    short = {} if name == "ad-ucbvi" else {"horizon": 10}
    run = train.named(name, steps=40, rate=1e-2, descent=0.0, **short, **SMALL)
    losses = []
    fixed = recipes.batch(run.recipe, 0, 0, 4)
    tell = lambda progress: losses.append(progress.loss)  # noqa: E731
    train.train(run, tmp_path, every=40, tell=tell, source=lambda step: fixed)
    assert losses[-1] < 0.9 * losses[0]


SETTING = torch.backends.mkldnn.matmul
PRODUCTS = {f"aten.{name}.default" for name in ("mm", "bmm", "addmm", "baddbmm")}


class Roundings(TorchDispatchMode):
    """Errors of all products made within, by name and number of terms n, as shares of γ_n|A||B|, which float32 obeys."""

    def __init__(self):
        super().__init__()
        self.shares = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result, name = operation(*args, **kwargs or {}), str(operation)
        assert name in PRODUCTS or "mm" not in name
        if name in PRODUCTS:
            *summand, left, right = (value.double() for value in args)
            exact, size = sum(summand, left @ right), sum(map(abs, summand), left.abs() @ right.abs())
            terms = left.shape[-1] + len(summand)
            bound = terms * 2**-24 / (1 - terms * 2**-24) * size + terms * 2**-126
            share = float(((result - exact).abs() / bound).max())
            self.shares[name, terms] = max(share, self.shares.get((name, terms), 0.0))
        return result


class FewBits(TorchDispatchMode):
    """A processor that rounds the factors of some products to a few bits where PyTorch allows it."""

    def __init__(self, bits, some=lambda name, sizes: True):
        super().__init__()
        self.unit, self.some = 1 << 24 - bits, some

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if str(operation) in PRODUCTS and args[0].dtype == torch.float32 and SETTING.fp32_precision == "bf16":
            *summand, left, right = args
            if self.some(str(operation), (*left.shape, *right.shape)):
                args = (*summand, self.rounded(left), self.rounded(right))
        return operation(*args, **kwargs or {})

    def rounded(self, values):
        nearest = values.contiguous().view(torch.int32) + self.unit // 2 & -self.unit
        return nearest.view(torch.float32)


def roundings(run):
    """Those of one step, made as `train` makes it."""
    model = run.model()
    with Roundings() as seen:
        data = recipes.batch(run.recipe, run.seed, 0, run.batch)
        train._gradients(model, data, run, 0, 1)
    assert {name for name, _ in seen.shares} == PRODUCTS
    assert {terms for name, terms in seen.shares if name == "aten.bmm.default"} > {8, 32, 80, 399}
    return seen.shares


@pytest.fixture
def setting():
    """PyTorch's for products on a CPU, put back after the test."""
    before = SETTING.fp32_precision
    yield SETTING
    SETTING.fp32_precision = before


@pytest.mark.parametrize("bits", [24, 11, 8], ids=["this processor", "TF32", "bfloat16"])
@pytest.mark.parametrize("attention", ["relu", "softmax"])
def test_products_of_training_are_float32_and_quick_where_these_are(attention, bits, setting):
    """At the sizes of `ad-linucb` but for its depth; in parts of 16 trajectories and of 4."""
    run = train.named("ad-linucb", attention=attention, layers=2, batch=20)
    with FewBits(bits):
        setting.fp32_precision = "bf16"
        quick = roundings(run)
        with train._products(run, 0, 1, torch.device("cpu")):
            chosen, found = setting.fp32_precision, roundings(run)
    assert max(found.values()) <= 1
    assert chosen == ("bf16" if max(quick.values()) <= 1 else "ieee")
    if bits < 24:  # every product but the sums over all tokens shows it
        assert min(share for (_, terms), share in quick.items() if terms < 400) > 1


SOME = {name: lambda name, sizes, own=name: name == own for name in sorted(PRODUCTS)}
SOME["of short trajectories"] = lambda name, sizes: 19 in sizes
SOME["of a smaller part"] = lambda name, sizes: sizes[0] == 2


@pytest.mark.parametrize("kind", SOME)
def test_products_of_one_kind_are_enough_to_be_slow(kind, setting, monkeypatch):
    """Of 15 trajectories the second of two processes takes 7, of 79 tokens or, short ones, 19: 5 and 2 of them, or all."""
    monkeypatch.setattr(train, "PART", 5 * 79)
    run = train.named("ad-linucb", horizon=40, lengths=((0.5, 0.25),), **SMALL | {"batch": 15})
    with FewBits(8, SOME[kind]), train._products(run, 1, 2, torch.device("cpu")):
        assert setting.fp32_precision == "ieee"


@pytest.mark.parametrize("before", ["none", "ieee", "bf16"])
@pytest.mark.parametrize("bits", [24, 8])
def test_a_setting_for_products_holds_while_training_only(before, bits, tmp_path, setting):
    run, seen = train.named("ad-linucb", horizon=5, steps=2, **SMALL), []
    setting.fp32_precision = before

    def source(step):
        seen.append(setting.fp32_precision)
        if step:
            raise KeyError(step)
        return recipes.batch(run.recipe, 0, step, run.batch)

    with FewBits(bits), pytest.raises(KeyError):
        train.train(run, tmp_path, source=source)
    assert setting.fp32_precision == before
    assert len(seen) == 2
    assert set(seen) <= ({"ieee"} if bits < 24 else {"bf16", "ieee"})


SCRIPT = """
import sys, time, torch
from pathlib import Path
from verify.training import train
torch.set_num_threads(1)
train.curves.picture = lambda curve: b""
run = train.named("ad-linucb", optimizer=sys.argv[2], horizon=8, steps=30, layers=2, heads=2, width=8, batch=4)
def tell(progress):
    print(f"{progress.step} {progress.loss!r}\\n", end="", flush=True)
    if len(sys.argv) > 3: time.sleep(float(sys.argv[3]))
train.train(run, Path(sys.argv[1]), resume=True, every=5, tell=tell)
"""


def in_one_go(folder, optimizer):
    """The losses of the script's run, here and uninterrupted."""
    run, found = train.named("ad-linucb", optimizer=optimizer, horizon=8, steps=30, **SMALL), {}
    train.train(run, folder, every=5, tell=lambda progress: found.update({progress.step: progress.loss}))
    return found


def losses(text):
    return {int(step): float(loss) for step, loss in (line.split() for line in text.splitlines())}


def test_a_run_killed_and_resumed_ends_as_the_uninterrupted_one(tmp_path):
    def start(*pause):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "killed"), "soap", *pause]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    killed = start("0.05")
    seen = []
    while len(seen) < 13 and (line := killed.stdout.readline()):
        seen.append(line)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    uninterrupted = in_one_go(tmp_path / "whole", "soap")
    resumed = losses(start().communicate()[0])
    assert min(resumed) in (6, 11, 16)  # at most one interval was lost
    for step, loss in resumed.items():
        assert loss == pytest.approx(uninterrupted[step], rel=1e-6)
    ends = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed")]
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["adamw", "soap", "muon"])
def test_every_optimiser_goes_on_where_it_was(optimizer, tmp_path):
    """Cut off after the checkpoint of step 15, past a turn of SOAP's bases; on to 24, past another."""
    settings = {"horizon": 5, "steps": 24, "lengths": ((0.5, 0.5),), "average": 0.5, **SMALL}
    run = train.named("ad-linucb", optimizer=optimizer, **settings)
    ends = []

    def source(step):
        if step == 18 and not ends:
            raise KeyError(step)
        return recipes.batch(run.recipe, run.seed, step, run.batch)

    with pytest.raises(KeyError):
        train.train(run, tmp_path / "cut", every=5, source=source)
    ends = [train.train(run, tmp_path / name, resume=True) for name in ("cut", "whole")]
    fresh = run.model()
    for (name, one), other, first in zip(
        ends[0].named_parameters(), ends[1].parameters(), fresh.parameters(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6, msg=name)
        assert not torch.equal(one, first)


@pytest.mark.parametrize("optimizer", ["adamw", "soap", "muon"])
def test_rates_are_those_of_their_part(optimizer):
    """The first steps: hidden matrices move by the rate for matrices, the rest by AdamW's; neither at share 0."""
    run = train.named(
        "ad-linucb", horizon=5, optimizer=optimizer, rate=1e-3, matrix_rate=2e-2, decay=0.0, **SMALL
    )
    model = run.model()
    taken, before = run.optimiser(model), [value.detach().clone() for value in model.parameters()]
    for value in model.parameters():
        value.grad = torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
    taken.step(0.0)
    assert all(map(torch.equal, before, model.parameters()))
    taken.step(0.5)
    for (name, value), old in zip(model.named_parameters(), before, strict=True):
        moved = float((value.detach() - old).square().mean().sqrt())
        hidden = name.startswith("blocks") and value.dim() == 2 and optimizer != "adamw"
        assert moved == pytest.approx(1e-2 if hidden else 5e-4, rel=0.75 if hidden else 0.02), name


@pytest.fixture
def finished(tmp_path):
    """A short finished run."""
    run = train.named("ad-linucb", horizon=5, steps=4, **SMALL)
    train.train(run, tmp_path, every=2)
    return run, tmp_path


def test_damaged_and_foreign_checkpoints_are_one_clear_error(finished):
    run, folder = finished
    path = folder / "checkpoint.safetensors"
    whole, tensors = path.read_bytes(), checkpoint.load(path)[0]
    metadata = checkpoint_metadata(path)
    for damaged in (b"", whole[:7], whole[:100], whole[:-1], b"x" * 400):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="wanted a checkpoint written by"):
            train.train(run, folder, resume=True)
    for metadata_then, tensors_then, wanted in (
        ({"format": "another"}, tensors, "got format 'another'"),
        ({}, tensors, "got format None"),
        ({**metadata, "settings": "{"}, tensors, "JSONDecodeError"),
        (
            {name: text for name, text in metadata.items() if name != "step"},
            tensors,
            "missing required field `step`",
        ),
        (
            metadata,
            {**tensors, "weights.positions": torch.zeros(2, 8)},
            r"weights\.positions, finite, of shape",
        ),
        (
            metadata,
            {**tensors, "exp_avg.positions": tensors["exp_avg.positions"] * np.nan},
            "finite, .*got other values",
        ),
        (metadata, {name: x for name, x in tensors.items() if "exp_avg_sq.read_out" not in name}, "None"),
    ):
        digest = {"tensors": json.dumps(checkpoint.digest(tensors_then))} if metadata_then else {}
        saving.write_tensors(path, tensors_then, metadata_then | digest)
        with pytest.raises(ValueError, match=wanted):
            train.train(run, folder, resume=True)
    with pytest.raises(ValueError, match="No such file"):
        train.load(folder / "nowhere.safetensors")


def checkpoint_metadata(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return {name: text for name, text in file.metadata().items() if name != files.SUM}


def test_a_checkpoint_of_another_run_is_refused(finished):
    run, folder = finished
    with pytest.raises(ValueError, match="wanted no checkpoint there"):
        train.train(run, folder)
    with pytest.raises(ValueError, match="wanted a checkpoint of seed = 1, got one of 0"):
        train.train(replace(run, seed=1), folder, resume=True)
    with pytest.raises(ValueError, match="wanted a checkpoint of at most 3 steps, got one of 4"):
        train.train(replace(run, steps=3), folder, resume=True)
    with pytest.raises(
        ValueError, match=r"lengths: wanted pairs \(until, share\) in .0, 1., .*, got \(\(0.5, 2.0\),\)"
    ):
        replace(run, lengths=((0.5, 2.0),))
    longer = replace(run, steps=6)  # the same run, to be gone on with
    train.train(longer, folder, resume=True)
    assert train.load(folder / "model.safetensors").model.shape == run.shape


def test_what_is_loaded_is_what_was_trained(finished):
    run, folder = finished
    problems, seen = drawn(run.recipe, size=1)
    history = next(histories(problems, seen))
    rows = [
        train.load(folder / name).log_probabilities(history)
        for name in ("model.safetensors", "checkpoint.safetensors")
    ]
    np.testing.assert_array_equal(*rows)
    kept, step, settings, curve = checkpoint.load(folder / "model.safetensors")
    assert step == 4
    assert train.from_record(settings) == run
    assert [row["step"] for row in curve] == [2, 4]
    assert not any(name.startswith("exp_avg") for name in kept)
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize(("optimizer", "near"), [("adamw", 30), ("soap", 2)])
def test_processes_that_share_a_batch_take_the_same_steps(optimizer, near, tmp_path):
    """`torchrun` with two processes, equal to the last bit, against one, which adds up in another order.

    SOAP's bases are those of matrices whose least eigenvalues are roundings: it goes another way, to losses as small.
    """
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    command = [*run, str(tmp_path / "two"), optimizer]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    lines = sorted(told.splitlines())
    assert lines[::2] == lines[1::2]
    two, one = losses(told), in_one_go(tmp_path / "one", optimizer)
    assert two.keys() == one.keys()
    for step, loss in one.items():
        assert two[step] == pytest.approx(loss, rel=1e-4 if step <= near else 0.1)


def test_train_from_the_command_line(tmp_path):
    """A few steps, resumed with a larger number of them, with a cache; then damage to the cache."""
    options = [
        "--set",
        "horizon=6",
        "--batch",
        "4",
        "--layers",
        "1",
        "--heads",
        "2",
        "--width",
        "8",
        "--every",
        "2",
        "--json",
    ]
    command = [
        "train",
        "ad-linucb",
        *options,
        "--out",
        str(tmp_path / "run"),
        "--cache",
        str(tmp_path / "cache"),
    ]
    first = CliRunner().invoke(cli.app, [*command, "--steps", "3"])
    assert first.exit_code == 0, first.output
    assert [row["step"] for row in json.loads(first.stdout)["curve"]] == [2, 3]
    assert (tmp_path / "run" / "curve.png").stat().st_size > 1000
    assert json.loads((tmp_path / "run" / "curve.json").read_text()) == json.loads(first.stdout)["curve"]
    done = CliRunner().invoke(cli.app, [*command, "--steps", "3", "--resume"])  # nothing is left to do
    assert json.loads(done.stdout)["curve"] == json.loads(first.stdout)["curve"]
    manifest = (tmp_path / "cache" / "manifest.jsonl").read_text().splitlines()
    assert json.loads(manifest[0])["seed"] == 0
    assert [json.loads(line)["number"] for line in manifest[1:]] == [0, 1, 2]
    again = CliRunner().invoke(cli.app, [*command, "--steps", "5", "--resume"])
    assert [row["step"] for row in json.loads(again.stdout)["curve"]] == [2, 3, 4, 5]
    (tmp_path / "cache" / "00000001.npz").write_bytes(b"damage")
    damaged = CliRunner().invoke(cli.app, [*command[:-3], str(tmp_path / "other"), *command[-2:]])
    assert "wanted the file of SHA-256" in str(damaged.exception)


def test_a_cache_gives_the_very_batches(tmp_path):
    run = train.named("dpt-bernoulli", horizon=5, **SMALL)
    for _ in range(2):  # made, then read
        get = cached(tmp_path, run.recipe, 7, 4)
        made, wanted = get(3), recipes.batch(run.recipe, 7, 3, 4)
        np.testing.assert_array_equal(made.tokens, wanted.tokens)
        np.testing.assert_array_equal(made.labels, wanted.labels)
    with pytest.raises(ValueError, match="wanted batches of"):
        cached(tmp_path, run.recipe, 8, 4)
    with (tmp_path / "manifest.jsonl").open("a") as file:
        file.write('{"number": 4, "sha')  # torn by a kill: made again
    get = cached(tmp_path, run.recipe, 7, 4)
    np.testing.assert_array_equal(get(4).labels, recipes.batch(run.recipe, 7, 4, 4).labels)
    cached(tmp_path, run.recipe, 7, 4)(4)
