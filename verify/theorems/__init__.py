"""What is stated: formulas as sympy expressions, and nothing else.

These files are the right-hand side of measured ≤ certified ≤ stated. They are transcribed from the paper
alone, slips included, and import no construction, so that they cannot agree with our weights by accident;
`newton` and `softmax` hold theorems of this project, transcribed in the same way from docs/depth.md and docs/softmax.md,
`games` those of a book, and `prediction` what is ours beside what code of others does.

Every formula is written in the shared symbols below. All are positive; their names are words, and `NOTATION`
gives the paper's letter for each.

>>> from verify.theorems import lemmas
>>> lemmas.RIDGE_AGD.evaluate("norm", horizon=200, action_max=2.0, ridge=1.0)
10.6
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, SupportsFloat

import sympy

PAPER = "arXiv 2310.08566 (May 2024)"
SIZES = ("layers", "heads", "width", "hidden", "norm")


def _symbols(names: str) -> tuple[sympy.Symbol, ...]:
    return sympy.symbols(names, positive=True)


horizon, dim, actions, ridge, action_max, action_min = _symbols(
    "horizon dim actions ridge action_max action_min"
)
weight_norm, noise_bound, temperature, exploration = _symbols(
    "weight_norm noise_bound temperature exploration"
)
depth, error, error_1, error_2, error_3, error_4, logit_error = _symbols(
    "depth error error_1 error_2 error_3 error_4 logit_error"
)
states, episodes, visits, failure, trajectories = _symbols("states episodes visits failure trajectories")
log_covering, prior_variance, noise_variance = _symbols("log_covering prior_variance noise_variance")
separation, truncation, poles, neurons, neuron_norm = _symbols(
    "separation truncation poles neurons neuron_norm"
)
distribution_ratio, nodes, node_norm, draw_norm = _symbols("distribution_ratio nodes node_norm draw_norm")
layers, heads, width, hidden, norm = _symbols("layers heads width hidden norm")
radius, covering_radius = _symbols("radius covering_radius")
rate, gate = _symbols("rate gate")
condition, excess, momentum = _symbols("condition excess momentum")
memory, forgetfulness = _symbols("memory forgetfulness")
penalties, margin = _symbols("penalties margin")

NOTATION: Mapping[sympy.Symbol, str] = MappingProxyType(
    {
        horizon: "T for bandits; H, the steps of one episode, for MDPs",
        dim: "d",
        actions: "A",
        ridge: "λ",
        action_max: "B_a",
        action_min: "b_a",
        weight_norm: "B_w",
        noise_bound: "σ",
        temperature: "τ",
        exploration: "α",
        depth: "k, the number of steps or of layers that carry them out",
        error: "ε",
        error_1: "ε₁, of the ridge estimate w_t, or μ_t for Thompson sampling",
        error_2: "ε₂, of the vectors A_t⁻¹ a_{t,k}, or Σ_t^{1/2} a_{t,k} for Thompson sampling",
        error_3: "ε₃, of the scores divided by the temperature, the vectors being given; for Thompson "
        "sampling, of √r Σ_t^{-1/2} a_{t,k} and ⟨μ_t, a_{t,k}⟩",
        error_4: "ε₄, of the truncated log-probabilities of Thompson sampling, their arguments being given",
        logit_error: "‖u − v‖_∞ between two vectors of logits",
        states: "S",
        episodes: "K",
        visits: "N_h(s, a), earlier visits of a state and action at one step",
        failure: "δ, of a statement that holds with probability at least 1 − δ; δ₀ for Thompson sampling",
        trajectories: "n, of the pretraining data",
        log_covering: "log 𝒩_Θ, the covering number of the transformers of the theorem",
        prior_variance: "λ of Thompson sampling, the variance of the prior (there r/λ is λ̃)",
        noise_variance: "r, the variance of the noise",
        separation: "η, the least distance between two action vectors on offer",
        truncation: "η₁, below which probabilities are taken for it",
        poles: "m, terms of the Padé decomposition of the square root",
        neurons: "M₀, of the sum of relus that approximates one truncated log-probability",
        neuron_norm: "C₀, the sum of the absolute coefficients of these relus",
        distribution_ratio: "ℛ, of the expert and the context algorithm",
        nodes: "N, lines along which a policy is integrated",
        node_norm: "the largest norm of a node",
        draw_norm: "Z, bound on the norm of the draw that a state token holds",
        layers: "L, of the transformers that are searched",
        heads: "M, their heads",
        width: "D, entries of their tokens",
        hidden: "D′, their neurons",
        norm: "B, bound on their norm",
        radius: "R, to which their tokens are clipped",
        covering_radius: "ρ, of the cover of the transformers",
        rate: "η of exponential weights",
        condition: "κ, the ratio of the ends of the interval that holds all eigenvalues",
        excess: "δ, by which share an eigenvalue is larger than the largest that was to be expected",
        momentum: "β, of accelerated descent",
        memory: "W, of a sliding window",
        forgetfulness: "γ, the factor by which the weight of a decision falls in a step",
        penalties: "K, so many penalties",
        margin: "γ, by how much the loss of what is chosen may be above the least",
        gate: "B, what scores of softmax attention are apart",
    }
)

_SHARED = {symbol.name: symbol for symbol in NOTATION}


def symbols(spec: Any) -> dict[str, float]:
    """A specification's numbers under the names that the statements use; any dataclass with fields of these names.

    `action_norm`, a pair, is read as action_min and action_max; fields that are not numbers, or no symbols, are left out.
    """
    numbers = {field.name: getattr(spec, field.name) for field in fields(spec)}
    numbers |= dict(zip(("action_min", "action_max"), numbers.pop("action_norm", ()), strict=False))
    return {name: float(x) for name, x in numbers.items() if name in _SHARED and isinstance(x, int | float)}


def evaluate(expression: sympy.Expr, /, **values: SupportsFloat) -> float:
    """The number that an expression in the shared symbols takes, the symbols being given by name.

    Shared symbols that the expression does not hold may be given too, so that one set of values serves every
    formula.

    Raises:
        ValueError: if a symbol of the expression is missing, a name is not a shared symbol, a value is
            negative or not finite, or the outcome is not a finite real number.

    >>> evaluate(4 * dim * actions, dim=5, actions=10)
    200.0
    """
    return _evaluate("expression", expression, values)


def _evaluate(label: str, expression: sympy.Expr, values: Mapping[str, SupportsFloat]) -> float:
    unknown = sorted(values.keys() - _SHARED.keys())
    if unknown:
        raise ValueError(f"{label}: wanted names among {', '.join(_SHARED)}; got {', '.join(unknown)}")
    needed = sorted(str(symbol) for symbol in expression.free_symbols)
    missing = [name for name in needed if name not in values]
    if missing:
        given = ", ".join(sorted(values)) or "none"
        raise ValueError(
            f"{label}: wanted values for {', '.join(needed)}; got {given} (no {', '.join(missing)})"
        )
    numbers = {name: float(values[name]) for name in needed}
    for name, number in numbers.items():
        if not 0 <= number < float("inf"):
            raise ValueError(f"{label}: wanted {name} finite and not negative, got {number}")
    exact = {_SHARED[name]: sympy.Float(number) for name, number in numbers.items()}
    outcome = sympy.N(expression.xreplace(exact))
    if not (outcome.is_real and outcome.is_finite):
        raise ValueError(f"{label}: wanted a finite real number, got {outcome} at {numbers}")
    return float(outcome)


@dataclass(frozen=True)
class Statement:
    """One statement: under its assumptions, a construction of this size has at most this error.

    Attributes:
        name: what it is called here.
        source: where it stands, with the version of the paper if it is the paper's.
        kind: "explicit" if every constant is printed, so that "≤ stated" can be checked; "order" if the
            statement is an O(·) or Õ(·), so that only growth can be compared. A coefficient in an order is
            one that the paper prints.
        assumptions: what must hold, in words.
        error: the stated bound on the error; None if the statement has none.
        size: the stated sizes, by some of `SIZES`; a size that the statement does not mention is absent.
        logs: for each stated size, the logarithmic factor that an Õ(·) leaves out of it, as the proof
            gives it; 1 where there is none.
    """

    name: str
    source: str
    kind: Literal["explicit", "order"] = "explicit"
    assumptions: tuple[str, ...] = ()
    error: sympy.Expr | None = None
    size: Mapping[str, sympy.Expr] = field(default_factory=dict, hash=False)
    logs: Mapping[str, sympy.Expr] = field(default_factory=dict, hash=False)

    def __post_init__(self):
        """Check the keys, and write out the logarithmic factors that are 1."""
        if self.kind not in ("explicit", "order"):
            raise ValueError(f"{self.name}: wanted kind explicit or order, got {self.kind!r}")
        if not self.size.keys() <= set(SIZES):
            raise ValueError(
                f"{self.name}: wanted sizes among {', '.join(SIZES)}; got {', '.join(self.size)}"
            )
        if not self.logs.keys() <= self.size.keys():
            raise ValueError(f"{self.name}: wanted logs for stated sizes only, got {', '.join(self.logs)}")
        logs = {key: self.logs.get(key, sympy.Integer(1)) for key in self.size}
        object.__setattr__(self, "logs", logs)

    def expression(self, what: str) -> sympy.Expr:
        """The formula for "error" or for one of the stated sizes.

        Raises:
            ValueError: if the statement says nothing about `what`.
        """
        stated = dict(self.size) if self.error is None else {"error": self.error, **self.size}
        if what not in stated:
            raise ValueError(f"{self.name}: wanted one of {', '.join(stated) or 'nothing'}; got {what!r}")
        return stated[what]

    def evaluate(self, what: str, **values: SupportsFloat) -> float:
        """The stated number for "error" or for one of the sizes, the shared symbols being given by name.

        For an "order" this is the order itself: no constant, and no logarithmic factor.

        Raises:
            ValueError: if the statement says nothing about `what`, or as `evaluate` does.
        """
        return _evaluate(f"{self.name}, {what}", self.expression(what), values)
