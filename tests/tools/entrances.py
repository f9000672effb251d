"""Everything of the library that takes numbers, arrays or objects: what the tests of doors knock at."""

from collections.abc import Callable
from typing import Any

import numpy as np
from doors import (
    BANDIT,
    BANDITS,
    BUILT,
    CONTEXTS,
    LINUCB,
    SAMPLING,
    SMALL,
    TRAINED,
    UCBVI,
)

from constructions import linucb, thompson, ucbvi
from constructions.history import BanditHistory, EpisodeHistory
from verify import algorithms, environments
from verify.audit import exact
from verify.probes import probe
from verify.training import recipes
from verify.training.train import Run

RNG = np.random.default_rng

BASES: dict[str, tuple[Callable[..., Any], dict[str, Any], str, str]] = {
    "linucb.Spec": (
        linucb.Spec,
        {"dim": 2, "actions": 2, "horizon": 2},
        "dim actions horizon",
        "error ridge exploration temperature weight_norm noise_bound",
    ),
    "thompson.Spec": (
        thompson.Spec,
        {"dim": 2, "actions": 2, "horizon": 2},
        "dim actions horizon nodes seed",
        "error prior_variance noise_variance truncation separation failure weight_norm noise_bound",
    ),
    "BernoulliSpec": (thompson.BernoulliSpec, {"actions": 2, "horizon": 2}, "actions horizon", "error"),
    "ucbvi.Spec": (
        ucbvi.Spec,
        {"states": 2, "actions": 2, "horizon": 2, "episodes": 2},
        "states actions horizon episodes",
        "temperature exploration",
    ),
    "BanditRecipe": (
        recipes.BanditRecipe,
        {
            "problem": "linear",
            "player": "linucb",
            "labels": "expert",
            "dim": 2,
            "actions": 2,
            "horizon": 2,
            "action_norm": (0.5, 2.0),
        },
        "dim actions horizon",
        "noise share ridge bonus prior_variance",
    ),
    "EpisodeRecipe": (
        recipes.EpisodeRecipe,
        {},
        "states actions episode episodes",
        "exploration temperature",
    ),
    "Run": (
        Run,
        {"recipe": BANDITS, "heads": 1},
        "steps batch layers heads width seed",
        "rate matrix_rate warmup descent decay momentum memory clip",
    ),
    "Effort": (probe.Effort, {}, "histories runs shifts", ""),
    "random_mdp": (
        lambda **sizes: environments.random_mdp(RNG(0), **sizes),
        {"states": 2, "actions": 2, "horizon": 2},
        "states actions horizon",
        "concentration",
    ),
    "paper_linear_bandit": (
        lambda **sizes: environments.paper_linear_bandit(RNG(0), **sizes),
        {},
        "dim actions horizon",
        "noise noise_bound",
    ),
    "gaussian_linear_bandit": (
        lambda **sizes: environments.gaussian_linear_bandit(RNG(0), **sizes),
        {},
        "dim actions horizon",
        "prior_variance noise_variance separation noise_bound",
    ),
    "bernoulli_bandit": (
        lambda **sizes: environments.bernoulli_bandit(RNG(0), **sizes),
        {},
        "actions horizon",
        "",
    ),
    "BernoulliBandit": (lambda **size: environments.BernoulliBandit([0.5], **size), {}, "horizon", ""),
    "LinearBandit": (
        lambda **given: environments.LinearBandit([1, 0.5], CONTEXTS[0], **({"horizon": 2} | given)),
        {},
        "horizon",
        "scale truncation",
    ),
    "EpisodeHistory": (lambda **size: EpisodeHistory([0], [], [], **size), {}, "horizon", ""),
    "prefix": (lambda **size: BANDIT.prefix(**size), {}, "steps", ""),
    "episode prefix": (lambda **size: EpisodeHistory([0, 0], [0], [0], 1).prefix(**size), {}, "steps", ""),
    "decoder": (lambda **size: vars(LINUCB.decoder(**size))["_batch"], {}, "batch", ""),
    "trained decoder": (
        lambda **size: vars(TRAINED["bandits"][0].decoder(**size))["_batch"],
        {},
        "batch",
        "",
    ),
    "regret of an arm": (
        lambda **which: environments.bernoulli_bandit(RNG(0)).regret(**({"step": 0, "arm": 0} | which)),
        {},
        "step arm",
        "",
    ),
    "batch of a recipe": (
        lambda **which: recipes.batch(BANDITS, **({"seed": 0, "number": 0, "size": 1} | which)),
        {},
        "seed number size",
        "",
    ),
}


def decided(built, history):
    """A decoder led along a history: its last policy."""

    def door(context=None, action=None, reward=None, draw=None):
        contexts, decoder = history.contexts, built.decoder()
        draws = history.draws if draw is None else [draw, history.draws[1]]
        policy = decoder.observe(
            contexts[0] if context is None else context, *([] if draws is None else [draws[0]])
        )
        decoder.record(1 if action is None else action, 0.5 if reward is None else reward)
        return policy, decoder.observe(contexts[1], *([] if draws is None else [draws[1]]))

    return door


def batched(policy: Any, contexts: Any):
    def door(contexts=contexts, actions=(1, 0), rewards=(0.5, 0.25)):
        decoder = policy.decoder(batch=2)
        decoder.observe(contexts)
        decoder.record(actions, rewards)
        return decoder.observe(contexts)

    return door


def bandit_history(**changed):
    return BanditHistory(**{"contexts": CONTEXTS, "actions": [1], "rewards": [0.5]} | changed)


def episode_history(**changed):
    return EpisodeHistory(**{"states": [0, 1], "actions": [1], "rewards": [0.5], "horizon": 2} | changed)


def process(**changed):
    given = {"initial": [0.5, 0.5], "transitions": [[[[0.5, 0.5]]] * 2], "rewards": [[[0.5], [0.25]]]}
    return environments.TabularMDP(**given | changed)


DRAW = [0.5, -1.0]
ARRAYS: dict[str, tuple[Callable[..., Any], str, list]] = {
    "history contexts": (bandit_history, "contexts", CONTEXTS),
    "history actions": (bandit_history, "actions", [1]),
    "history rewards": (bandit_history, "rewards", [0.5]),
    "history draws": (bandit_history, "draws", [DRAW, DRAW]),
    "episode states": (episode_history, "states", [0, 1]),
    "episode actions": (episode_history, "actions", [1]),
    "episode rewards": (episode_history, "rewards", [0.5]),
    "observe": (decided(LINUCB, BANDIT), "context", CONTEXTS[0]),
    "observe a draw": (decided(SAMPLING, BUILT["sampling"][1]), "draw", DRAW),
    "observe, trained": (decided(TRAINED["bandits"][0], BANDIT), "context", CONTEXTS[0]),
    "observe, batch": (batched(LINUCB, CONTEXTS), "contexts", CONTEXTS),
    "record actions, batch": (batched(LINUCB, CONTEXTS), "actions", [1, 0]),
    "record rewards, batch": (batched(LINUCB, CONTEXTS), "rewards", [0.5, 0.25]),
    "observe states, batch": (batched(UCBVI, [0, 1]), "contexts", [0, 1]),
    "episode actions, batch": (batched(UCBVI, [0, 1]), "actions", [1, 0]),
    "episode rewards, batch": (batched(UCBVI, [0, 1]), "rewards", [0.5, 0.25]),
    "trained observe, batch": (batched(TRAINED["bandits"][0], CONTEXTS), "contexts", CONTEXTS),
    "trained actions, batch": (batched(TRAINED["bandits"][0], CONTEXTS), "actions", [1, 0]),
    "trained rewards, batch": (batched(TRAINED["episodes"][0], [0, 1]), "rewards", [0.5, 0.25]),
    "true LinUCB": (
        lambda context: algorithms.decoder(LINUCB.spec).observe(context),
        "context",
        CONTEXTS[0],
    ),
    "arms of a bandit": (
        lambda contexts: environments.LinearBandit([1.0, 0.5], contexts),
        "contexts",
        CONTEXTS,
    ),
    "weights of a bandit": (
        lambda weights: environments.LinearBandit(weights, CONTEXTS),
        "weights",
        [0.5, 1.0],
    ),
    "means": (lambda means: environments.BernoulliBandit(means, 3), "means", [0.5, 0.25]),
    "initial": (process, "initial", [0.5, 0.5]),
    "transitions": (process, "transitions", [[[[0.5, 0.5]]] * 2]),
    "rewards of a process": (process, "rewards", [[[0.5], [0.25]]]),
    "steps of outputs": (lambda steps: LINUCB.outputs([BANDIT], steps=steps), "steps", [1, 0]),
}


def hooked(built, history):
    return lambda hook: built.run_with_hooks(history, hook)


def restored(saved):
    decoder = LINUCB.decoder()
    decoder.restore(saved)
    return decoder.observe(CONTEXTS[0])


DOORS: dict[str, Callable[[Any], Any]] = {}
for name, (built, history) in (BUILT | TRAINED).items():
    DOORS[f"{name}: policy"] = built.log_probabilities
    DOORS[f"{name}: cache"] = built.run_with_cache
    DOORS[f"{name}: hooks"] = hooked(built, history)
    DOORS[f"{name}: hook"] = lambda hook, built=built, history=history: built.run_with_hooks(history, [hook])
    DOORS[f"{name}: batch"] = lambda x, built=built: built.decoder(batch=x if x is not None else "")
    DOORS[f"{name}: observe"] = lambda x, built=built: built.decoder().observe(x)
for name, (built, history) in BUILT.items():
    DOORS |= {
        f"{name}: exact": lambda x, built=built: exact.logits(built, x),
        f"{name}: probe": built.probe,
        f"{name}: probe outputs": lambda x, b=built, h=history: b.probe(h, x if x is not None else ""),
        f"{name}: outputs": built.outputs,
        f"{name}: outputs of one": lambda x, built=built: built.outputs([x]),
        f"{name}: dtype": lambda x, b=built, h=history: b.log_probabilities(h, dtype=x),
        f"{name}: device": lambda x, b=built, h=history: b.log_probabilities(
            h, device=x if x is not None else ""
        ),
        f"{name}: decoder dtype": lambda x, b=built: b.decoder(dtype=x),
        f"{name}: replay": lambda x, b=built: b.decoder().replay(x),
        f"{name}: layers": lambda x, b=built, h=history: b.run_with_cache(h, layers=[x]),
        f"{name}: registers": lambda x, b=built, h=history: b.run_with_cache(h, registers=[x]),
        f"{name}: cached": lambda x, b=built, h=history: b.run_with_cache(h)[1][x],
        f"{name}: cached pair": lambda x, b=built, h=history: b.run_with_cache(h)[1][x, "logits"],
    }
DOORS |= {
    "record action": lambda x: decided(LINUCB, BANDIT)(action=x if x is not None else ""),
    "record reward": lambda x: decided(LINUCB, BANDIT)(
        reward=x if not isinstance(x, int) and x is not None else ""
    ),
    "restore": restored,
    "exact of": lambda x: exact.logits(x, BANDIT),
    "build linucb": linucb.build,
    "build thompson": thompson.build,
    "build ucbvi": lambda x: ucbvi.build(x if not isinstance(x, ucbvi.Spec) else None),
    "true linucb": lambda x: algorithms.linucb(LINUCB.spec, x),
    "true linucb of": lambda x: algorithms.linucb(x, BANDIT),
    "true thompson": lambda x: algorithms.thompson(SAMPLING.spec, x),
    "true scores": lambda x: algorithms.thompson_scores(SAMPLING.spec, x),
    "true bernoulli": lambda x: algorithms.bernoulli_thompson(BUILT["bernoulli"][0].spec, x),
    "true ucbvi": lambda x: algorithms.ucbvi(UCBVI.spec, x),
    "true decoder": algorithms.decoder,
    "true ucbvi decoder of": lambda x: algorithms.ucbvi_decoder(x if not isinstance(x, ucbvi.Spec) else None),
    "recipe of a run": Run,
    "random_mdp": lambda x: environments.random_mdp(
        x if not isinstance(x, np.random.Generator) else None, 2, 2, 2
    ),
    "paper bandit": lambda x: environments.paper_linear_bandit(
        x if not isinstance(x, np.random.Generator) else 0
    ),
    "noise": lambda x: environments.LinearBandit([1, 0], CONTEXTS, noise=x),
    "data set": lambda x: environments.classification_bandit(x, RNG(0), 3),
    "table": lambda x: environments.gymnasium_mdp(x, 3),
    "shape of training": lambda x: Run(BANDITS, **SMALL | {"attention": x}),
}
