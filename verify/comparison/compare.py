"""Built, true and trained, on the same histories and the same problems: the paper's figures 1 to 3 redone.

The true policy is that of the algorithm that the model was to learn: Thompson sampling for decision pretraining, the expert
for distillation. UCB-VI is soft, and built exactly. LinUCB as an expert takes the largest score; soft LinUCB stands in for
it, true and built (stand_ins.py), and how far that is from the expert itself is one more pair.

Regret is that of many players on the same problems, with the same random numbers. The built transformer plays the first of
them, beside the true policy with the probabilities that it ought to have: what they do differently, it does wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import checks
from constructions.construction import Construction
from verify.comparison import pretraining_bound, ratio
from verify.comparison.guests import Guest, subject
from verify.comparison.panels import distance_panels, ratio_panels, regret_panel, suboptimality_panel
from verify.comparison.stand_ins import home, stand_in, truth
from verify.play.lockstep import ByDecoder, first, play
from verify.play.rollout import SideBySide
from verify.sweeps.records import Record
from verify.sweeps.thompson import FLOOR
from verify.training import checkpoint, train
from verify.training.kinds import BanditRecipe, Recipe, seated
from verify.training.policy import HELD_OUT, TOGETHER, Trained, contests, half_interval

Tell = Callable[[str, int, int], None]
Policies = dict[str, Float[np.ndarray, "histories steps actions"]]
Regrets = dict[str, Float[np.ndarray, "runs steps"]]


@dataclass(frozen=True)
class Effort:
    """How much is played.

    Attributes:
        runs: problems for regret, 100 at a time.
        built: so many of the first 100 are played by the built transformer too.
        histories: for distances.
        particles: in each of 16 groups.
    """

    runs: int = 500
    built: int = TOGETHER
    histories: int = 100
    particles: int = 64

    def __post_init__(self):
        checks.settle(self, checks.whole, "runs", "built", "histories", "particles", least=2)


QUICK = Effort(runs=100, built=20, histories=20, particles=8)


def compare(
    model: Any,
    effort: Effort = Effort(),
    tell: Tell = lambda what, done, whole: None,
    recipe: Recipe | str | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Record:
    """Everything about one model, as JSON; `records` holds the panels of each figure, for plots.draw.

    Args:
        model: a trained one, or anything with `log_probabilities(history)`: as for `guests.subject`.
        effort: how much is played.
        tell: told what, how much of it is done and wanted.
        recipe: the problems that a model of one's own is for.
        fields: of the specification that is built beside it, where they are to be others than its row's stand-in has.

    Raises:
        ValueError: if there is no such model, or no such specification for its problems.
    """
    trained, name = subject(model, recipe)
    built = stand_in(trained.recipe, fields=fields)
    played = regrets(trained, effort.runs, tell)
    regret = {who: summary(found) for who, found in played.items()}
    beside = side_by_side(trained.recipe, played, effort.built, tell, built)
    policies = policies_on(trained, effort.histories, tell, built)
    pairs = distances(policies)
    panels = [regret_panel(f"{name}: mean ± s.d., {effort.runs} runs", regret)]
    if beside is not None:
        panels.append(regret_panel(f"the first {beside['problems']} of them", beside["regret"]))
    found: Record = {
        "model": name,
        "recipe": trained.recipe.problem,
        "spec": None if built is None else asdict(built.spec),
        "true": trained.recipe.seats[trained.recipe.algorithm].title,
        "runs": effort.runs,
        "histories": effort.histories,
        "regret": regret,
        "built": beside,
        "pairs": pairs,
        "records": {
            "regret": panels,
            "suboptimality": [suboptimality_panel(played)],
            "distances": distance_panels(pairs),
        },
    }
    if isinstance(trained, Guest):  # of what it was trained on, nothing is known
        return found | {"steps": None, "ratio": [], "bound": None}
    _, step, settings, _ = checkpoint.load(path := train.locate(model))
    trajectories = step * train.from_record(settings, path).batch
    found["steps"] = step
    return found | theorem(trained, policies, trajectories, effort.particles, found["records"], tell)


def regrets(trained: Trained | Guest, runs: int, tell: Tell = lambda what, done, whole: None) -> Regrets:
    """Regret step by step, by player, the baselines among them."""
    recipe = trained.recipe
    others = [one for one in recipe.baselines if one != recipe.algorithm]
    return contests(trained, runs, others, tell=lambda done, whole: tell("regret", done, whole))


def summary(regret: Float[np.ndarray, "runs steps"]) -> Record:
    """Cumulative regret: mean and standard deviation at each step, half the mean's 95 % interval at the last."""
    totals = regret.cumsum(axis=1)
    return {
        "mean": totals.mean(axis=0).tolist(),
        "deviation": totals.std(axis=0, ddof=1).tolist(),
        "half": half_interval(totals[:, -1]),
    }


def side_by_side(
    recipe: Recipe,
    played: Regrets,
    count: int,
    tell: Tell = lambda what, done, whole: None,
    built: Construction | None = None,
) -> Record | None:
    """The built transformer and the true policy on the first problems, both by the same uniforms; None if nothing is built.

    Fields: problems, how many; regret, of both and of the trained model there; differing, the share of decisions in which
    built and true part; parted, the number of problems in which they ever do; excess, the mean of regret of built less
    that of true, and half its 95 % interval.
    """
    built = built or stand_in(recipe)
    if built is None:
        return None
    batch = min(
        len(played["trained"]), TOGETHER
    )  # of `contests`: problems depend on how many are drawn together
    count = min(count, batch)
    problems = first(recipe.draw(np.random.default_rng([HELD_OUT, 0]), batch), count)
    true: Any = home(recipe).decoder
    decoders = {
        "built": built.decoder(batch=count),
        "true": SideBySide([true(built.spec, None) for _ in range(count)]),
    }
    actions, found = {}, {}
    for done, (name, decoder) in enumerate(decoders.items(), 1):
        seen = play(problems, ByDecoder(decoder, problems))
        actions[name], found[name] = seen.actions, problems.regret(seen)
        tell("built beside true", done, len(decoders))
    apart = actions["built"] != actions["true"]
    excess = (found["built"] - found["true"]).sum(axis=1)
    return {
        "problems": count,
        "regret": {
            name: summary(regret) for name, regret in {**found, "trained": played["trained"][:count]}.items()
        },
        "differing": float(apart.mean()),
        "parted": int(apart.any(axis=1).sum()),
        "excess": [float(excess.mean()), half_interval(excess)],
    }


def policies_on(
    trained: Trained | Guest,
    count: int,
    tell: Tell = lambda what, done, whole: None,
    built: Construction | None = None,
) -> Policies:
    """Log-probabilities of all policies along histories that the true algorithm makes on held-out problems."""
    recipe, generator = trained.recipe, np.random.default_rng([HELD_OUT, 0, 1])
    problems = recipe.draw(generator, count)
    seen = play(problems, seated(recipe, recipe.algorithm, problems, generator))
    runs, built, rows = problems.histories(seen), built or stand_in(recipe), {}
    certain = recipe.seats[recipe.algorithm].certain
    true = None if built is None and certain else truth(recipe)
    for n, (actions, history) in enumerate(zip(seen.actions, runs, strict=True)):
        found = {"trained": trained.log_probabilities(history)}
        if certain:
            with np.errstate(divide="ignore"):
                found["expert"] = np.log(np.arange(recipe.actions) == actions[:, None])
        if built is not None:
            found["built"] = built.log_probabilities(history)
        found["true"] = true(built.spec, history) if built and true else found["expert"]
        for name, odds in found.items():
            rows.setdefault(name, []).append(odds)
        tell("histories", n + 1, count)
    return {name: np.array(found) for name, found in rows.items()}


def distances(policies: Policies) -> Record:
    """Of each pair, step by step: total variation, and |log-probability error| where the second gives at least FLOOR."""
    pairs = [("built", "true"), ("trained", "true"), ("trained", "built")]
    if "built" in policies and "expert" in policies:
        pairs += [("true", "expert"), ("trained", "expert")]
    found = {}
    for one, other in pairs:
        if one in policies and other in policies:
            p, q = policies[one], policies[other]
            apart = np.abs(np.exp(p) - np.exp(q)).sum(axis=-1) / 2
            with np.errstate(invalid="ignore"):  # −∞ less −∞, both below the floor
                errors = np.where(q >= np.log(FLOOR), np.abs(p - q), 0.0).max(axis=-1)
            found[f"{one} ↔ {other}"] = {
                "variation": apart.mean(axis=0).tolist(),
                "variation_half": (1.96 * apart.std(axis=0, ddof=1) / np.sqrt(len(apart))).tolist(),
                "variation_mean": float(apart.mean()),
                "log_error": errors.mean(axis=0).tolist(),
                "log_error_worst": float(errors.max()),
            }
    return found


def theorem(
    trained: Trained, policies: Policies, trajectories: int, particles: int, records: Record, tell: Tell
) -> Record:
    """The theorem on pretraining beside what it bounds, and the distribution ratio that it asks for.

    log R is 0 where the algorithm that makes the contexts is the expert: in all distillation. Where the expert is Thompson
    sampling, the ratio is estimated for other contexts too, and drawn into `records`; of a mixed context, 1/α is taken.
    """
    recipe, target = trained.recipe, policies.get("expert", policies["true"])
    apart = pretraining_bound.hellinger(target, policies["trained"]).sum(axis=1).mean()
    log_ratio, rows = 0.0, []
    if isinstance(recipe, BanditRecipe) and recipe.problem == "bernoulli" and recipe.algorithm == "thompson":
        ratios = ratio.experiment(recipe.actions, recipe.horizon, particles, tell)
        rows = [_ratio_row(one, trained, trajectories) for one in ratios]
        records["ratio"] = ratio_panels(ratios)
        if recipe.player == "mixed":  # R ≤ 1/α, and for α = 0 the estimate
            log_ratio = -float(np.log(recipe.share)) if recipe.share else float(ratios[0].estimate[-1])
    own = pretraining_bound.bound(trained.model, recipe.horizon, trajectories, log_ratio)
    return {"ratio": rows, "bound": {"measured": float(apart), **own}}


def _ratio_row(one: ratio.Ratio, trained: Trained, trajectories: int) -> Record:
    """One context, as JSON."""
    ends = {name: getattr(one, name) for name in ("estimate", "low", "high")}
    return {
        "share": one.share,
        "mixing": one.mixing,
        **{name: values.tolist() for name, values in ends.items()},
        "effective": list(one.effective),
        "bound": pretraining_bound.bound(
            trained.model, trained.recipe.horizon, trajectories, float(one.estimate[-1])
        ),
    }
