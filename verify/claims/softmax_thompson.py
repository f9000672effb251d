"""Everything that is claimed of Thompson sampling by softmax attention, measured.

main        searched histories: the policy and every block, the worst enclosed; sizes against Theorem 3
long        d=5, T=200, searched too, and T=10,000: certificates, layers against Theorem 3, beside relu attention
sampling    scores at draws, searched, the worst enclosed; sizes against Theorem 4
impostors   wrong algorithms: does the audit object?
laws        those of whole constructions
mutants     does it notice when one weight is wrong?
"""

from collections.abc import Iterator
from dataclasses import replace

from constructions import thompson
from constructions.thompson.softmax import sampling
from verify.audit import Verdict, kept, search
from verify.audit.plan import Part, Plan
from verify.catalog import CATALOG
from verify.claims import general
from verify.theorems import softmax as theorem
from verify.theorems import symbols

ROW = CATALOG["softmax-thompson"]
MAIN = ROW.main
LONG = thompson.SoftmaxSpec(
    5, 2, 200, 1e-2, action_norm=(0.5, 1.0), separation=0.1, weight_norm=1.0, noise_bound=1.0
)
SAMPLED = thompson.SoftmaxSpec(3, 4, 20, 1e-3, "sampling")
MUTATED = replace(MAIN, horizon=4, error=1e-2)


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
        Part("the sampling form", lambda: sampled(max(1, histories // general.PART))),
    ]
    return general.gated(ROW, sized, MUTATED, title(MUTATED), histories, trials)


def title(spec: thompson.SoftmaxSpec) -> str:
    """A specification in a few words."""
    return f"Thompson sampling by softmax, two arms, d={spec.dim}, T={spec.horizon:,}"


def sizes(spec: thompson.SoftmaxSpec) -> Iterator[Verdict]:
    """What Theorem 3 says of them."""
    yield from general.sizes(title(spec), thompson.build(spec), theorem.THOMPSON, symbols(spec))


def searched(histories: int) -> Verdict:
    """The policy at T=200."""
    return general.searched(title(LONG), ROW, LONG, theorem.THOMPSON, histories)


def sampled(histories: int) -> Iterator[Verdict]:
    """Scores at draws, every block, and sizes."""
    built, spec = thompson.build(SAMPLED), SAMPLED
    found = search(built, ROW.truth, histories, min(20, histories), ROW.histories)
    title = f"Thompson sampling by softmax, sampling form, d={spec.dim}, A={spec.actions}, T={spec.horizon}"
    yield general.certified(f"{title}: error of a score", theorem.SAMPLING.source, built, ROW, found)
    for block in built.blocks:
        yield kept(f"{title}: {block.name}", built, block, found.blocks[block.name])
    poles = len(sampling.plan(spec).poles)
    values = symbols(spec) | {"draw_norm": spec.draw_norm, "poles": poles}
    yield from general.sizes(f"{title}, {poles} poles", built, theorem.SAMPLING, values)


def long() -> Iterator[Verdict]:
    """The certificate and the layers for a horizon that can be played, and for one of ten thousand steps."""
    for spec in (LONG, replace(LONG, horizon=10_000)):
        yield from general.promised(title(spec), ROW, spec, theorem.THOMPSON)
