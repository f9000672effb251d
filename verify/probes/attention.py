"""Whose plays the heads of a model look at, beside heads that were built and beside controls.

own_plays.py measures; here are the histories, those of a model's training, and what stands beside the model:

    random weights    the same model before the first step of a training
    shuffled          the model's own attention, held against plays whose arms were permuted
    built             softmax constructions on the same plays: soft UCB-VI, of whose heads one an arm averages over the arm's
                      plays, and soft LinUCB, one of whose heads averages over all tokens

And what that attention is worth: by how much the policy changes if the best heads give what they give to plays to own plays
alike, to as many plays of any arm, or to all plays alike.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from constructions import linucb, ucbvi
from constructions.construction import Construction
from constructions.history import BanditHistory, EpisodeHistory
from constructions.inputs.bandits import History
from verify.comparison.guests import Guest
from verify.comparison.panels import curve
from verify.play.lockstep import play
from verify.probes.own_plays import QUESTIONS, Pattern, Plays, Record, Target, View, ranked, tally
from verify.sweeps.records import panel
from verify.training.kinds import BanditRecipe, Recipe, seated
from verify.training.model import TrainedTransformer
from verify.training.policy import HELD_OUT, Trained, half_interval

FEW = 20
"""Histories for what is built, whose attention hardly depends on them, and for policies with changed attention."""
TOGETHER = (1, 2, 8, 32)
"""So many heads have their attention changed at once."""
Looked = tuple[Sequence[Plays], Callable[[int], Iterable[Pattern]]]
"""Histories, and the attention of a model to the one of a number."""
CHANGES: Mapping[str, Callable[[View, np.random.Generator], View]] = {
    "own plays": lambda view, _: view,
    "as many of any arm": View.shuffled,
    "all plays": lambda view, _: view.spread(),
}
"""What heads are made to look at, alike."""


def plays(tokens: Any, history: History) -> Plays:
    """Where the plays of a history stand among such tokens; of episodes, with their stage and state."""
    spec, states = tokens.spec, tokens.states(history.steps)
    if isinstance(history, BanditHistory):
        return Plays(states, history.actions, spec.actions)
    where = np.arange(history.steps - 1) % spec.horizon * spec.states + history.states[:-1]
    return Plays(states, where * spec.actions + history.actions, spec.horizon * spec.states * spec.actions)


def patterns(built: Construction) -> Callable[[Any], Iterator[Pattern]]:
    """From histories to the attention of a construction with softmax attention.

    Raises:
        ValueError: if its attention is not softmax.
    """
    model = built.to_torch()

    def of(history: Any) -> Iterator[Pattern]:
        with torch.no_grad():
            for layer in model.patterns(torch.as_tensor(built.tokens.encode(history))[None]):
                yield layer[0].numpy()

    return of


def references(recipe: Recipe) -> dict[str, tuple[Construction, Callable[[Any], Any]]]:
    """What is built beside a recipe's models, and the history of the same plays for it.

    Rewards are 0 there, as some have bounds on them and the heads in question do not look at them.
    """
    if not isinstance(recipe, BanditRecipe):
        sizes = recipe.states, recipe.actions, recipe.episode, recipe.episodes
        return {"UCB-VI": (ucbvi.build(ucbvi.SoftmaxSpec(*sizes)), lambda history: history)}

    def single(history: BanditHistory) -> EpisodeHistory:
        return EpisodeHistory(np.zeros(history.steps, int), history.actions, 0 * history.rewards, 1)

    def unpaid(history: BanditHistory) -> BanditHistory:
        return BanditHistory(history.contexts, history.actions, 0 * history.rewards)

    size = float(np.sqrt(recipe.dim))
    low, high = recipe.action_norm or (0.05, size)
    spec = linucb.SoftmaxSpec(
        recipe.dim,
        recipe.actions,
        recipe.horizon,
        ridge=recipe.ridge,
        action_norm=(low, high),
        weight_norm=size,
    )
    return {
        "UCB-VI": (ucbvi.build(ucbvi.SoftmaxSpec(1, recipe.actions, 1, recipe.horizon)), single),
        "LinUCB": (linucb.build(spec), unpaid),
    }


def probe(
    trained: Trained | Guest,
    histories: int = 200,
    every: int = 4,
    seed: int = 0,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> Record:
    """Heads by question and model, best first, and what the best head of each question is worth.

    Args:
        trained: the model; one of one's own has no random weights beside it, and its attention is not changed.
        histories: how many, of its training's player on held-out problems; of what is built, FEW.
        every: one query in so many is looked at.
        seed: of the histories and of random weights.
        tell: told histories done and wanted, of all models together.

    Raises:
        ValueError: for fewer than 4 histories.
    """
    recipe, generator = trained.recipe, np.random.default_rng([HELD_OUT, seed, 3])
    drawn: Any = recipe.draw(generator, histories)
    seen = drawn.histories(play(drawn, seated(recipe, recipe.player, drawn, generator)))
    own = [plays(recipe.tokens, history) for history in seen]
    mixed = [one.shuffled(generator) for one in own]
    looked: dict[str, Looked] = {"trained": (own, lambda number: trained.patterns(seen[number]))}
    if isinstance(trained, Trained):
        fresh = Trained(recipe, TrainedTransformer(trained.model.shape, torch.Generator().manual_seed(seed)))
        looked["random weights"] = own, lambda number: fresh.patterns(seen[number])
    looked["shuffled"] = mixed, looked["trained"][1]
    looked |= {f"built, {name}": one for name, one in _built(recipe, seen[:FEW]).items()}
    done, whole = 0, sum(len(one) for one, _ in looked.values())
    found: dict[str, dict[str, list[Record]]] = {question: {} for question in QUESTIONS}
    for name, (one, patterns_of) in looked.items():
        held = tally(one, patterns_of, every, lambda count, _, done=done: tell(done + count, whole))
        done += len(one)
        for question in QUESTIONS:
            found[question][name] = ranked(held, question)
    record: Record = {"histories": len(own), "heads": found}
    if isinstance(trained, Trained):
        few = seen[1::2][:FEW]
        record["replaced"] = {
            one: replaced(trained, few, one, found[one]["trained"], seed) for one in QUESTIONS[:3]
        }
    return record


def _built(recipe: Recipe, seen: Sequence[Any]) -> dict[str, Looked]:
    """What is built, on the same plays."""
    found = {}
    for name, (built, translated) in references(recipe).items():
        own, of = [translated(history) for history in seen], patterns(built)
        placed = [plays(built.tokens, history) for history in own]
        found[name] = placed, lambda number, own=own, of=of: of(own[number])
    return found


def replaced(
    trained: Trained,
    histories: Sequence[Any],
    question: str,
    best: Sequence[Mapping[str, Any]],
    seed: int = 0,
) -> list[Record]:
    """By how much the policy changes if the best heads look at what CHANGES says: a record for each number of them.

    Fields: heads, and by change mean and half, the mean total variation over decisions and half its 95 % interval.
    """
    generator, found = np.random.default_rng(seed), []
    for count in sorted({min(many, len(best)) for many in TOGETHER}):
        gaps: dict[str, list[float]] = {name: [] for name in CHANGES}
        for history in histories:
            own, before = plays(trained.recipe.tokens, history), trained.log_probabilities(history)
            wanted = [(row, Target(question, row["place"], row["arm"]).view(own)) for row in best[:count]]
            for name, change in CHANGES.items():
                views = [(row, change(view, generator)) for row, view in wanted]
                after, _ = trained.run_with_patterns(history, partial(_changed, views))
                gaps[name].append(float(np.abs(np.exp(after) - np.exp(before)).sum(axis=1).mean() / 2))
        numbers = {
            name: {"mean": float(np.mean(one)), "half": half_interval(np.array(one))}
            for name, one in gaps.items()
        }
        found.append({"heads": count, **numbers})
    return found


def _changed(views: Sequence[tuple[Mapping[str, Any], View]], pattern: Pattern, layer: int) -> Pattern:
    """A layer's pattern where heads look at what their views say."""
    for row, view in views:
        pattern = view.averaged(pattern, row["head"]) if row["layer"] == layer else pattern
    return pattern


def panels(found: Mapping[str, Any]) -> list[Record]:
    """A panel for each question, for plots.draw: agreement of the heads, best first, with 95 % intervals."""
    titles = {
        "same": "tokens of plays, at the same arm",
        "next": "decisions, at the arm played there",
        "fixed": "decisions, at one arm of the head",
        "all": "decisions, at all plays alike",
    }
    looks = {"trained": "measured", "random weights": "certified", "shuffled": "stated"}
    drawn = []
    for question, models in found["heads"].items():
        longest, curves = len(models["trained"]), []
        for name, heads in models.items():
            best = sorted(heads, key=lambda row: -row["agreement"])[:longest]
            values = ([row[key] for row in best] for key in ("agreement", "low", "high"))
            curves.append(curve(name, *values, look=looks.get(name, "measured"), least=-1.0))
        drawn.append(
            panel(
                titles[question],
                ("heads, best first", "agreement"),
                curves,
                ("linear", "linear"),
                "upper right",
            )
        )
    return drawn
