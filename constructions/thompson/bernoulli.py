"""Thompson sampling for Bernoulli bandits as a transformer: app-TS-bernoulli of arXiv 2310.08566, with weights.

Arm k has been played n_k times, with s_k successes and b_k failures. Under independent uniform priors its mean is of
distribution Beta(s_k + 1, b_k + 1), with density f_k and distribution function F_k. Thompson sampling plays it with
probability

    p_k = ∫₀¹ f_k Π_{j≠k} F_j.

The paper assumes that sums of ReLUs for log p_k exist. Here they are, in six layers, with nodes u_g, weights w_g and the
matrix D of quadrature.py:

    layer 1   3 heads: n_k, s_k, b_k, exactly;  MLP: log((n_k + 1)!/(s_k! b_k!)) by tables, exactly
    layer 2   f_k(u_g) = exp(log((n_k + 1)!/(s_k! b_k!)) + s_k log u_g + b_k log(1 − u_g))
    layer 3   F_k(u_g) = Σ_h D_gh f_k(u_h)
    layer 4   log F_k(u_g)
    layer 5   p_k = Σ_g w_g exp(log f_k(u_g) + Σ_{j≠k} log F_j(u_g))
    layer 6   logits_k = log p_k

**Theorem.** For every history, every step and every arm, however improbable,

    log TS_k − log TF_k ≤ certificate ≤ ε,

hence KL(TS ‖ TF) ≤ ε, ½ Σ_k |TS_k − TF_k| ≤ 1 − e^{−ε} ≤ ε, and TF_k − TS_k ≤ (1 − e^{−ε})(1 − TS_k). The sizes
are 6 layers, 3 heads, D = O(A² + AG) and D' = O(AG √(A/ε) log T) with
G = O(√(T(A log T + log(1/ε)))) nodes.

**Proof**, for the weights that float64 holds, in exact arithmetic. Nothing is underestimated but for rounding: what a layer
leaves of that is its shortfall d, about 10⁻¹⁵. All of the bounds below are worked out in balls and rounded up.

    exponents x of layers 2 and 5 hold log f within ±e₀, by the tables of factorials, log u_g and log(1 − u_g)
    layer 2   (1 − d₁)f ≤ f̃ ≤ (1 + r₁)f + a₁, e₀ included                         (envelope.py)
    layer 3   F ≤ F̃ ≤ (1 + r₁)F + e, as a constant is added that outweighs what is taken away by negative entries of D, by
              d₁, quadrature, and rounding of D
    layer 4   log F̃ − d₂ ≤ ℓ ≤ log(F̃ + a₂), so that e^{−d₂}F ≤ e^ℓ ≤ (1 + r₁)F + η with η = e + a₂
    layer 5   e^{−d₃}e^x ≤ y ≤ (1 + r₃)e^x + a₃ for each exponential; q, a bound on the error of Gauss's rule, is added to
              their sum; w_g, and its products with weights of neurons, are a factor 1 ± σ off. So, with Σ_g w_g = 1,
              (1 − σ)e^{−d₃−e₀−(A−1)d₂} p_k ≤ p̃_k ≤ (1 + σ)((1 + r₃)e^{e₀} Σ_g w_g f_k Π_{j≠k}((1 + r₁)F_j + η) + a₃ + q)
    layer 6   log p̃_k − d₄ ≤ logit_k ≤ log(p̃_k + a₄)

Now (1 + r₁) Σ_k f_k Π_{j≠k}((1 + r₁)F_j + η) is the derivative of Π_j ((1 + r₁)F_j + η), and Gauss's rule errs by at most q:

    Z := Σ_k e^{logit_k} ≤ (1 + σ)((1 + r₃)e^{e₀}((1 + r₁ + η)^A/(1 + r₁) + Aq) + A(a₃ + q)) + Aa₄ =: Z̄.

TF_k = e^{logit_k}/Z ≥ e^{−d}p_k/Z̄ with d = e₀ + (A − 1)d₂ + d₃ + d₄ − log(1 − σ): the certificate is log Z̄ + d. (r₁ + η ≤ 1,
for which q is a bound, follows from its being at most ½.) Write C for e^{certificate}. KL is an average of log-ratios, the
total variation is Σ_k max(TS_k − TF_k, 0) ≤ Σ_k p_k(1 − 1/C), and 1 − TF_k = Σ_{j≠k} TF_j ≥ (1 − p_k)/C.  ∎

An error is paid for A times, not A² times, and not divided by the probability it falls on: this is what one sign buys.

**How sharp.** On 4,500 sets of counts with A = 5, T = 200, ε = 0.01, log Z reaches 0.0076 of the 0.0099 that is certified,
but log TS_k − log TF_k only 0.0010: where it is largest, p̃_k itself is 0.0060 too large. Each p̃_k is a mean over dozens of
nodes, whose chords are too high by about two thirds of the most they can be, so that all arms gain nearly the same factor,
which the softmax takes away. (Alone, layers 2 and 3 reach 0.0004, layer 5 reaches 0.0007, layers 4 and 6 reach 0.0002.) The
certificate allows for an arm whose exponents are all at knots while those of the others are all between them.
"""

import math
from fractions import Fraction

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions import checks
from constructions.construction import Construction
from constructions.inputs.bandits import BanditTokens
from constructions.language import bandits
from constructions.parts.block import (
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
    Surrogate,
)
from constructions.parts.links import Link, Values, around, read, repeat_rows
from constructions.parts.stream import Stream
from constructions.parts.units import matrix_units
from constructions.primitives import envelope, lookup
from constructions.primitives.envelope import Envelope
from constructions.rounding.outward import above
from constructions.thompson.bernoulli_plan import BernoulliPlan, BernoulliSpec, plan

SOURCE = "theorem ours (constructions/thompson/bernoulli.py), for app-TS-bernoulli, step 2"


def build(spec: BernoulliSpec) -> Construction:
    """The transformer for a spec, with its certificate.

    >>> built = build(BernoulliSpec(actions=3, horizon=5, error=0.1))
    >>> built.certificate <= 0.1, built.size().layers, built.size().heads
    (True, 6, 3)
    """
    chosen = plan(spec)
    checks.carried(spec.error, chosen.certificate)
    return assemble_plan(spec, chosen)


def assemble_plan(spec: BernoulliSpec, plan: BernoulliPlan) -> Construction:
    """The transformer for a plan, a block a layer: errors have one sign, which a value's bound on its size does not say."""
    arms, points = spec.actions, spec.actions * plan.rule.nodes.size
    sizes = dict.fromkeys(("plays", "wins", "losses", "factor"), arms)
    sizes |= dict.fromkeys(("density", "cdf", "log_cdf"), points) | {"share": arms}
    p = bandits.program(SOURCE, spec, **sizes)
    stream = p.stream
    _, factor = p.put(_counts(spec, stream), _factor(spec, plan, stream))
    drift = factor.promise.total.rounding
    [density] = p.put(_densities(spec, plan, stream, drift))
    [cdf] = p.put(_cdf(plan, stream, 2 * (density.promise.own.rounding / spec.horizon + drift)))
    [log_cdf] = p.put(_logarithm("log F_k(u_g)", plan.log_cdf, stream, cdf, "log_cdf"))
    [share] = p.put(_shares(spec, plan, stream, cdf, log_cdf, drift))
    p.put(_logarithm("logits log p_k", plan.logits, stream, share, "logits"))
    tokens, norms = BanditTokens(stream, spec, bernoulli=True), [4 * spec.horizon**2, arms + 1]
    return p.construction(spec, tokens, norms, plan.certificate, room=4.0)


def _counts(spec: BernoulliSpec, stream: Stream) -> Block:
    """n, s and b: scores i, i·r_j and i·(1 − r_j), which undo the 1/i, and the action as value."""
    place, reward, action = Position.of(stream["position"]), read(stream["reward"]), stream["action"]
    to = tuple(stream[name] for name in ("plays", "wins", "losses"))
    keys = (place.one, reward, place.one - reward)
    heads = tuple(
        Head(register.name, place.index, key, read(action), register)
        for register, key in zip(to, keys, strict=True)
    )

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        chosen, won = values["action"], values["reward"]
        return np.cumsum(np.concatenate([chosen, won * chosen, (1 - won) * chosen], axis=1), axis=0)

    own = Bound(0.0, UNIT * 4 * spec.horizon)
    promise = Promise("rewards 0 or 1", own, own, math.sqrt(3) * spec.horizon)
    source = "app-TS-bernoulli, proof of step 1, arXiv 2310.08566, and a third head for failures"
    return Block(
        "counts n, s, b", source, (Step(heads),), to, truth, promise, groups=sum(part.size for part in to)
    )


def _factor(spec: BernoulliSpec, plan: BernoulliPlan, stream: Stream) -> Block:
    """log((n + 1)!/(s! b!)), from three tables."""
    to, factorials, units = stream["factor"], plan.factorials, []
    tables = {"plays": factorials[1:], "wins": -factorials[:-1], "losses": -factorials[:-1]}
    for name, x in tables.items():
        of, values = read(stream[name]), list(map(Fraction, x))
        units.append(lookup.table_units(f"log factorial of {name}", of, to, stream.one, values))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return sum((x[np.rint(values[name]).astype(int)] for name, x in tables.items()), np.zeros(to.size))

    largest = float(factorials[-1])  # a table's bends all have one sign: its terms sum up to no more
    own = Bound(plan.drift, UNIT * 8 * (spec.horizon + 16) * (1 + largest))
    promise = Promise("integers", own, own, 3 * math.sqrt(to.size) * (1 + largest))
    return Block("log (n+1)!/(s! b!)", SOURCE, (Step((), tuple(units)),), to, truth, promise, groups=to.size)


def _densities(spec: BernoulliSpec, plan: BernoulliPlan, stream: Stream, drift: float) -> Block:
    """Layer 2; `drift` is the rounding of the factors."""
    moved = (1 + arb(plan.density.relative)) * arb(plan.drift).expm1()
    inherited = Bound(above(spec.horizon * moved), 2 * spec.horizon * drift)
    form = {"of": _log_densities(plan, stream), "exponents": lambda values: _exponents(plan, values)}
    sums = {"weights": np.ones(1), "lift": 0.0, "largest": float(spec.horizon)}
    size, name, to = _largest_terms(spec, plan), "densities f_k(u_g)", stream["density"]
    places = {"one": stream.one, "to": to, "size": size, "inherited": inherited}
    return envelope.exponentials(name, SOURCE, plan.density, **form, **sums, **places)


def _shares(
    spec: BernoulliSpec, plan: BernoulliPlan, stream: Stream, cdf: Block, log_cdf: Block, drift: float
) -> Block:
    """Layer 5: the exponents of layer 2, and log F of all other arms."""
    arms, curve, register = spec.actions, plan.log_cdf, stream["log_cdf"]
    others = [around(register, n * (register.size // arms)) for n in range(1, arms)]

    def exponents(values: Values) -> Float[np.ndarray, "tokens rows"]:
        logs = values[register.name].reshape(len(values[register.name]), arms, -1)
        return _exponents(plan, values) + (logs.sum(1, keepdims=True) - logs).reshape(len(logs), -1)

    reach = curve.knots + curve.absolute  # rounding F by x moves exp(log F) by at most `gain` times as much
    gain = float((reach[1:] / reach[:-1]).max())
    rounding = 2 * drift + 2 * (arms - 1) * (gain * cdf.promise.total.rounding + log_cdf.promise.own.rounding)
    form = {"of": sum(others, _log_densities(plan, stream)), "exponents": exponents}
    sums = {"weights": plan.rule.weights, "lift": plan.rule.whole_error, "largest": plan.largest}
    size = _largest_terms(spec, plan) + arms * float(np.abs(curve.values).max())
    places = {"one": stream.one, "to": stream["share"], "size": size}
    places["inherited"] = Bound(plan.overshoot, rounding)
    return envelope.exponentials("probabilities p_k", SOURCE, plan.share, **form, **sums, **places)


def _logarithm(name: str, curve: Envelope, stream: Stream, of: Block, to: str) -> Block:
    """Logarithms of what a block computes: numbers of at least a are moved by at most a factor 1 + its error/a."""
    total, [register] = of.promise.total, of.outputs
    inherited = Bound(above((arb(total.error) / curve.absolute).log1p()), total.rounding / curve.absolute)
    places = {"of": register, "one": stream.one, "to": stream[to]}
    return envelope.logarithms(name, SOURCE, curve, inherited=inherited, **places)


def _log_densities(plan: BernoulliPlan, stream: Stream) -> Link:
    """A row for log f_k(u_g) for each arm and node."""
    arms, logs = stream["factor"].size, plan.rule.logs
    factor, wins, losses = (
        repeat_rows(read(stream[name]), logs.size) for name in ("factor", "wins", "losses")
    )
    successes = wins.scale_rows(np.tile(logs, arms))
    return factor + successes + losses.scale_rows(np.tile(logs[::-1], arms))


def _exponents(plan: BernoulliPlan, values: Values) -> Float[np.ndarray, "tokens rows"]:
    """The same in plain NumPy."""
    factor, wins, losses = (values[name][:, :, None] for name in ("factor", "wins", "losses"))
    logs = plan.rule.logs
    return (factor + wins * logs + losses * logs[::-1]).reshape(len(factor), -1)


def _largest_terms(spec: BernoulliSpec, plan: BernoulliPlan) -> float:
    """Bound on the terms of log f_k(u_g), added up in absolute value."""
    return 3 * float(plan.factorials[-1]) - spec.horizon * float(plan.rule.logs[0])


def _cdf(plan: BernoulliPlan, stream: Stream, drift: float) -> Block:
    """F_k(u_g) = Σ_h D_gh f_k(u_h) and the lift, a neuron for every f ≥ 0; `drift` is what rounding of f adds."""
    partial, to, name = plan.rule.partial, stream["cdf"], "distribution functions F_k(u_g)"
    units = matrix_units("integrals of densities", stream["density"], stream.one, to, partial, plan.lift)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        density = values["density"].reshape(len(values["density"]), -1, len(partial))
        return (density @ partial.T).reshape(len(density), -1)

    rounding = UNIT * 4 * (len(partial) + 4) * float((np.abs(partial) / plan.rule.weights).max())
    own, error = Bound(plan.lift, rounding), above(sum(map(arb, plan.cdf_error), arb(0)))
    total, highest = Bound(error, rounding + drift), math.sqrt(to.size) * (2 + error)
    promise = Promise("densities of posteriors", own, total, highest)
    lifted = Surrogate(lambda values: truth(values) + plan.lift, Bound(0.0, 2 * rounding))
    return Block(name, SOURCE, (Step((), (units,)),), to, truth, promise, groups=to.size, surrogate=lifted)
