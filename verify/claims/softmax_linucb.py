"""Everything that is claimed of LinUCB by softmax attention, measured.

main        searched histories: the policy and every block, the worst enclosed; sizes against Theorem 2
long        d=5, A=10, T=200, searched too, and T=10,000: certificates, layers against Theorem 2, beside relu attention
impostors   wrong algorithms: does the audit object?
laws        those of whole constructions
mutants     does it notice when one weight is wrong?
"""

from collections.abc import Iterator
from dataclasses import replace

from constructions import linucb
from verify.audit import Verdict
from verify.audit.plan import Part, Plan
from verify.catalog import CATALOG
from verify.claims import general
from verify.theorems import softmax as theorem
from verify.theorems import symbols

ROW = CATALOG["softmax-linucb"]
MAIN = ROW.main
LONG = linucb.SoftmaxSpec(5, 10, 200, 1e-3, action_norm=(0.5, 1.0), weight_norm=1.0, noise_bound=1.0)
MUTATED = replace(MAIN, actions=2, horizon=4, error=1e-2)


def plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The whole audit.

    Args:
        histories: so many are searched, at least, and a tenth of them at T=200.
        trials: how many single-weight mutants are audited.
    """
    sized = [
        Part("sizes", lambda: sizes(MAIN)),
        Part("T=200", lambda: searched(max(1, histories // general.PART))),
        Part("long horizons", long),
    ]
    return general.gated(ROW, sized, MUTATED, title(MUTATED), histories, trials)


def title(spec: linucb.SoftmaxSpec) -> str:
    """A specification in a few words."""
    return f"LinUCB by softmax, d={spec.dim}, A={spec.actions}, T={spec.horizon:,}"


def sizes(spec: linucb.SoftmaxSpec) -> Iterator[Verdict]:
    """What Theorem 2 says of them."""
    yield from general.sizes(title(spec), linucb.build(spec), theorem.LINUCB, symbols(spec))


def searched(histories: int) -> Verdict:
    """The policy at T=200."""
    return general.searched(title(LONG), ROW, LONG, theorem.LINUCB, histories)


def long() -> Iterator[Verdict]:
    """The certificate and the layers for a horizon that can be played, and for one of ten thousand steps."""
    for spec in (LONG, replace(LONG, horizon=10_000)):
        yield from general.promised(title(spec), ROW, spec, theorem.LINUCB)
