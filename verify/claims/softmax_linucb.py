"""Everything that is claimed of LinUCB by softmax attention, measured.

main        searched histories: the policy and every block, the worst enclosed; sizes against Theorem 2
long        d=5, A=10, T=200, searched too, and T=10,000: certificates, layers against Theorem 2, beside relu attention
impostors   wrong algorithms: does the audit object?
laws        those of whole constructions
mutants     does it notice when one weight is wrong?
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from constructions import linucb
from verify.audit import Verdict, about, search
from verify.audit.plan import Part, Plan, wrong_weights
from verify.catalog import CATALOG
from verify.claims import general
from verify.theorems import softmax as theorem
from verify.theorems import symbols

ROW = CATALOG["softmax-linucb"]
MAIN = ROW.main
LONG = linucb.SoftmaxSpec(5, 10, 200, 1e-3, action_norm=(0.5, 1.0), weight_norm=1.0, noise_bound=1.0)
MUTATED = replace(MAIN, actions=2, horizon=4, error=1e-2)
PART = 10
"""Of the histories that are asked for one in so many is tried at T=200."""


def plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The whole audit.

    Args:
        histories: so many are searched, at least, and a tenth of them at T=200.
        trials: how many single-weight mutants are audited.
    """
    whole = general.plan(ROW, MAIN, histories, 0)
    sized = [
        Part("sizes", lambda: sizes(MAIN)),
        Part("T=200", lambda: searched(max(1, histories // PART))),
        Part("long horizons", long),
    ]
    broken = wrong_weights(partial(linucb.build, MUTATED), ROW.truth, trials, ROW.histories)
    parts = [whole.parts[0], *sized, *whole.parts[1:], *broken]
    # gates have exponentials to spare: what a tenth of one changes may be far below the error asked for
    return replace(whole, parts=parts, broken=f"{title(MUTATED)}: ", least=MUTATED.error)


def title(spec: linucb.SoftmaxSpec) -> str:
    """A specification in a few words."""
    return f"LinUCB by softmax, d={spec.dim}, A={spec.actions}, T={spec.horizon:,}"


def sizes(spec: linucb.SoftmaxSpec) -> Iterator[Verdict]:
    """What Theorem 2 says of them."""
    yield from general.sizes(title(spec), linucb.build(spec), theorem.LINUCB, symbols(spec))


def searched(histories: int) -> Verdict:
    """The policy at T=200; its worst history is enclosed by `make nightly`, which takes a minute."""
    built = linucb.build(LONG)
    found = search(built, ROW.truth, histories, 20, ROW.histories)
    return Verdict(
        f"{title(LONG)}: |log-probability error|, {found.histories} histories",
        theorem.LINUCB.source,
        "bound",
        found.error,
        LONG.error,
        certified=built.certificate,
        rounding=built.rounding,
        main=True,
        **about(built),
    )


def long() -> Iterator[Verdict]:
    """The certificate and the layers for a horizon that can be played, and for one of ten thousand steps."""
    for horizon in (LONG.horizon, 10_000):
        spec = replace(LONG, horizon=horizon)
        built, newton = linucb.build(spec), linucb.build(spec.plain).size().layers
        source, claim = theorem.LINUCB.source, f"{title(spec)}: certificate"
        told = {"note": f"float64 adds up to {built.rounding:.2g}", "main": True}
        told |= about(built) | {"rank": "certified"}
        yield Verdict(claim, source, "size", built.certificate, spec.error, **told)
        stated, note = theorem.LINUCB.evaluate("layers", **symbols(spec)), f"with relu attention {newton}"
        told = general.counted(built, theorem.LINUCB, note=note, main=True)
        yield Verdict(f"{title(spec)}: layers", source, "size", built.size().layers, stated, **told)
