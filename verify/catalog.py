"""The catalog: one row for every construction, with all that the tools need to know of it.

The command line, inspector, sweeps, reports and laws read it; nothing else lists constructions, and a row adds one.
"""

from importlib.metadata import entry_points
from typing import Any

from constructions import linucb, thompson, ucbvi
from constructions.games import exp3, hedge
from constructions.history import EpisodeHistory
from constructions.linucb import forgetting
from constructions.prediction import binary, lasso, ridge, td, validated
from verify import algorithms, environments
from verify.balls import counts, linear
from verify.entry import Entry as Entry
from verify.histories import bernoulli as bernoulli_histories
from verify.histories import episodes as episode_histories
from verify.histories import feedback as feedback_histories
from verify.histories import linear as linear_histories
from verify.histories import losses as loss_histories
from verify.imports import is_own, own
from verify.lines import line_policy as line_policy
from verify.lines import thompson_truth

BANDIT = ("dim", "actions", "horizon", "action_norm", "weight_norm", "noise_bound")
PRIOR = (*BANDIT, "prior_variance", "noise_variance", "separation")


def _fields(spec: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in names}


_TABULAR: dict[str, Any] = {"build": ucbvi.build, "truth": algorithms.ucbvi, "histories": episode_histories}
_TABULAR |= {
    **{"seen": EpisodeHistory, "balls": counts.ucbvi},
    "environment": lambda one, chance: environments.random_mdp(chance, one.states, one.actions, one.horizon),
    "decoder": lambda spec, chance: algorithms.ucbvi_decoder(spec),
    **{"player": "ucbvi", "played": "UCB-VI on a random decision process"},
    "symmetries": "verify.probes.episode_symmetries:episodic",
}

_LINUCB: dict[str, Any] = {"build": linucb.build, "truth": algorithms.linucb, "histories": linear_histories}
_LINUCB |= {
    **{"balls": linear.linucb, "symmetries": "verify.probes.symmetries:linear"},
    "registers": "verify.probes.registers:linear",
    "interchange": "verify.probes.registers:LINEAR",
    "environment": lambda one, chance: environments.paper_linear_bandit(chance, **_fields(one, *BANDIT)),
    "decoder": lambda spec, chance: algorithms.decoder(spec),
    **{"player": "linucb", "played": "LinUCB on the paper's linear bandit"},
}

_THOMPSON: dict[str, Any] = {"build": thompson.build, "truth": thompson_truth, "histories": linear_histories}
_THOMPSON |= {
    **{"balls": linear.thompson, "symmetries": "verify.probes.symmetries:linear"},
    "environment": lambda one, chance: environments.gaussian_linear_bandit(chance, **_fields(one, *PRIOR)),
    "decoder": algorithms.thompson_decoder,
    **{"player": "thompson", "played": "Thompson sampling on a Gaussian linear bandit"},
}

_ENTRIES = (
    Entry(
        "linucb",
        "Soft LinUCB",
        linucb.Spec,
        example={"dim": 5, "actions": 10, "horizon": 200, "error": 1e-3, "solver": "agd"},
        main=linucb.Spec(dim=5, actions=10, horizon=50, error=1e-3),
        claims="verify.claims.linucb:plan",
        grid="verify.sweeps.linucb:GRID",
        words="verify.words:LINUCB",
        stand_in="verify.comparison.stand_ins:soft_linucb",
        **_LINUCB,
    ),
    Entry(
        "softmax-linucb",
        "Soft LinUCB by softmax attention",
        linucb.SoftmaxSpec,
        example={"dim": 2, "actions": 3, "horizon": 12, "error": 1e-3},
        claims="verify.claims.softmax_linucb:plan",
        words="verify.words:SOFTMAX_LINUCB",
        **_LINUCB,
    ),
    Entry(
        "forgetting",
        "Soft LinUCB that forgets",
        forgetting.Spec,
        forgetting.build,
        algorithms.forgetting_linucb,
        linear_histories,
        example={"dim": 3, "actions": 4, "horizon": 40, "window": 10},
        balls=linear.forgetting_linucb,
        environment=lambda one, chance: environments.piecewise_linear_bandit(chance, **_fields(one, *BANDIT)),
        decoder=lambda spec, chance: algorithms.forgetting_decoder(spec),
        played="LinUCB that forgets on a bandit that turns round",
        claims="verify.claims.drift:plan",
        words="verify.words:DRIFT",
    ),
    Entry(
        "thompson",
        "Thompson sampling",
        thompson.Spec,
        example={"dim": 5, "actions": 2, "horizon": 200, "error": 1e-3, "solver": "pade", "form": "policy"},
        main=thompson.Spec(dim=5, actions=2, horizon=50, error=1e-3),
        claims="verify.claims.thompson:plan",
        grid="verify.sweeps.thompson:GRID",
        words="verify.words:THOMPSON",
        registers="verify.probes.registers:linear",
        **_THOMPSON,
    ),
    Entry(
        "softmax-thompson",
        "Thompson sampling by softmax attention",
        thompson.SoftmaxSpec,
        example={"dim": 2, "actions": 2, "horizon": 12, "error": 1e-3, "form": "policy"},
        claims="verify.claims.softmax_thompson:plan",
        words="verify.words:SOFTMAX_THOMPSON",
        **_THOMPSON,
    ),
    Entry(
        "bernoulli",
        "Thompson sampling for Bernoulli arms",
        thompson.BernoulliSpec,
        thompson.build,
        algorithms.bernoulli_thompson,
        bernoulli_histories,
        example={"actions": 5, "horizon": 50, "error": 0.01},
        main=thompson.BernoulliSpec(actions=5, horizon=200, error=0.01),
        balls=counts.bernoulli_thompson,
        environment=lambda spec, chance: environments.bernoulli_bandit(chance, spec.actions, spec.horizon),
        decoder=algorithms.bernoulli_thompson_decoder,
        player="thompson",
        played="Thompson sampling on a Bernoulli bandit",
        words="verify.words:BERNOULLI",
        symmetries="verify.probes.symmetries:bernoulli",
        registers="verify.probes.registers:counted",
        interchange="verify.probes.registers:COUNTED",
        stand_in="verify.comparison.stand_ins:bernoulli_thompson",
    ),
    Entry(
        "ucbvi",
        "Soft UCB-VI",
        ucbvi.Spec,
        # the bonus is made small, as it leaves a short run's policy uniform
        example=dict(states=3, actions=3, horizon=3, episodes=8, form="theorem", exploration=0.03),
        main=ucbvi.Spec(states=4, actions=3, horizon=4, episodes=20, exploration=0.03),
        claims="verify.claims.ucbvi:plan",
        words="verify.words:UCBVI",
        stand_in="verify.comparison.stand_ins:narrow_ucbvi",
        **_TABULAR,
    ),
    Entry(
        "softmax-ucbvi",
        "Soft UCB-VI by softmax attention",
        ucbvi.SoftmaxSpec,
        example=dict(states=2, actions=2, horizon=2, episodes=4, exploration=0.03, error=1e-6),
        claims="verify.claims.softmax:plan",
        words="verify.words:SOFTMAX",
        **_TABULAR,
    ),
    Entry(
        "hedge",
        "Hedge, exponential weights",
        hedge.Spec,
        hedge.build,
        algorithms.hedge,
        loss_histories,
        example={"actions": 10, "horizon": 200},
        balls=counts.hedge,
        environment=lambda spec, chance: environments.random_losses(chance, spec.actions, spec.horizon),
        decoder=lambda spec, chance: algorithms.hedge_decoder(spec),
        played="Hedge against losses of 0 or 1",
        claims="verify.claims.games:plan",
        words="verify.words:GAMES",
    ),
    Entry(
        "exp3",
        "EXP3, exponential weights with bandit feedback",
        exp3.Spec,
        exp3.build,
        algorithms.exp3,
        feedback_histories,
        example={"actions": 5, "horizon": 50},
        balls=counts.exp3,
        environment=environments.hidden_losses,
        decoder=lambda spec, chance: algorithms.exp3_decoder(spec),
        played="EXP3 against losses of 0 or 1",
        claims="verify.claims.feedback:plan",
        words="verify.words:EXP3",
    ),
    Entry(
        "td",
        "Policy evaluation by temporal differences",
        td.Spec,
        td.build,
        algorithms.td,
        linear_histories,
        example={"features": 3, "horizon": 25},
        balls=counts.td,
        claims="verify.claims.prediction:plan",
        words="verify.words:PREDICTION",
    ),
    Entry(
        "lasso",
        "Lasso by proximal gradient descent",
        lasso.Spec,
        lasso.build,
        algorithms.lasso,
        linear_histories,
        example={"dim": 3, "horizon": 25, "iterations": 20},
        balls=linear.lasso,
        claims="verify.claims.prediction:lasso_plan",
        words="verify.words:LASSO",
    ),
    Entry(
        "ridge",
        "Ridge regression",
        ridge.Spec,
        ridge.build,
        algorithms.ridge,
        linear_histories,
        example={"dim": 3, "horizon": 25},
        balls=linear.ridge_predictions,
        claims="verify.claims.prediction:ridge_plan",
        words="verify.words:RIDGE",
    ),
    Entry(
        "validated-ridge",
        "Ridge regression, its penalty chosen on held-out pairs",
        validated.Spec,
        validated.build,
        algorithms.validated,
        linear_histories,
        example={"dim": 2, "horizon": 13, "training": 6},
        balls=linear.validated,
        claims="verify.claims.prediction:validated_plan",
        words="verify.words:VALIDATED",
    ),
    Entry(
        "binary-test",
        "Whether all responses are binary",
        binary.Spec,
        binary.build,
        algorithms.binary,
        linear_histories,
        example={"horizon": 25},
        balls=linear.binary,
        claims="verify.claims.prediction:binary_plan",
        words="verify.words:BINARY",
    ),
)

CATALOG: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""Every construction by name."""


def named(name: str) -> Entry:
    """The row of a name: one of the catalog, an ENTRY of one's own as FILE.py or module:ENTRY, or of an installed package.

    Packages tell theirs by the entry points `weightwright.constructions`.

    Raises:
        ValueError: if there is none.

    >>> named("linucb").title
    'Soft LinUCB'
    """
    if name in CATALOG:
        return CATALOG[name]
    installed = {point.name: point for point in entry_points(group="weightwright.constructions")}
    if name in installed:
        return _checked(name, installed[name].load())
    if is_own(name):
        return _checked(name, own("construction", name, "ENTRY"))
    wanted = ", ".join([*CATALOG, *installed])
    raise ValueError(f"construction: wanted one of {wanted}, FILE.py or module:ENTRY, got {name}")


def _checked(name: str, found: Any) -> Entry:
    if not isinstance(found, Entry):
        got = "none" if found is None else type(found).__name__
        raise ValueError(f"{name}: wanted an Entry, ENTRY unless FILE.py:NAME says otherwise, got {got}")
    return found


def entry_of(spec: Any) -> Entry:
    """The row of a specification.

    Raises:
        ValueError: if it is of no class in the catalog.
    """
    for entry in CATALOG.values():
        if isinstance(spec, entry.spec):
            return entry
    wanted = ", ".join(entry.spec.__module__ + "." + entry.spec.__name__ for entry in CATALOG.values())
    raise ValueError(f"spec: wanted one of {wanted}, got {type(spec).__name__}")
