"""Many histories of every family: errors against certificates in float64, and UCB-VI in rationals, as one page.

    python tests/tools/exhaustive.py [--out PAGE] [--histories N] [--rationals N] [--seed N] [--processes N]

Histories differ from one another within a specification: where no new one turns up, as with one step and two arms, the next
specifications make up for it. The exit status is 1 if anything is above what is allowed, or any rational is another.
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from construction_cases import CASES
from random_pairs import told_apart

from constructions import files, thompson, ucbvi
from constructions.construction import Construction
from constructions.history import EpisodeHistory
from verify import algorithms, audit
from verify.audit import exact
from verify.catalog import line_policy
from verify.histories import episodes as episode_strategies
from verify.histories import linear as strategies
from verify.show import report

BATCH = 50
PROBED = 20
"""Of so many batches the first is held to the promises of all blocks; all are to the certificate."""

FRUITLESS = 20
"""So many batches in a row without a new history, and a specification has no more."""

# ---------------------------------------------------------------- what is tried


@dataclass(frozen=True)
class Tried:
    """An outline with the history that was made of it, so that it is made once."""

    outline: Any
    made: Any

    @property
    def steps(self) -> int:
        return self.outline.steps

    def history(self, spec: Any) -> Any:
        return self.made


@dataclass(frozen=True)
class Row:
    """One construction at several specifications, with all that measuring it takes."""

    name: str
    build: Callable[[Any], Construction]
    truth: audit.Truth
    source: Any
    specs: tuple[Any, ...]
    claimed: Callable[[Any, Any], bool] = lambda spec, history: True


CHANGES: dict[str, tuple[dict[str, Any], ...]] = {
    "linucb": ({"dim": 3}, {"actions": 2, "action_norm": (0.1, 1.5)}, {"temperature": 2.0, "ridge": 0.5}),
    "thompson two": ({"dim": 1}, {"horizon": 8}, {"noise_variance": 0.5, "prior_variance": 2.0}),
    "thompson bernoulli": ({"actions": 2}, {"actions": 2, "error": 0.02}, {"horizon": 8}),
    "ucbvi": ({"states": 3}, {"horizon": 3, "exploration": 0.1}, {"actions": 2, "episodes": 5}),
    "soft UCB1 3": ({"actions": 2, "horizon": 12, "exploration": 0.3},),
}
"""Beside each case of the laws' table: the same with other numbers, by how the case's name begins."""


def rows() -> Iterator[Row]:
    """The laws' table, and the forms of Thompson sampling that are no policies with a certificate of their own."""
    for case in sorted(CASES, key=lambda case: case.built.tokens.decisions):  # what has few histories first
        changes = [c for start, found in CHANGES.items() if case.name.startswith(start) for c in found]
        specs = (case.spec, *(replace(case.spec, **change) for change in changes))
        yield Row(case.name, case.entry.build, case.entry.truth, case.entry.histories, specs)
    for solver in ("zolotarev", "newton"):
        few = {"solver": solver, "separation": 0.05}
        spec = thompson.Spec(2, 3, 4, error=0.05, form="sampling", **few)
        specs = (spec, replace(spec, dim=1), replace(spec, noise_variance=0.5, prior_variance=2.0))
        yield Row(
            f"thompson sampling {solver}",
            thompson.build,
            algorithms.thompson_scores,
            strategies,
            specs,
        )
        specs = (thompson.Spec(2, 3, 4, nodes=8, error=0.02, **few),)
        yield Row(
            f"thompson lines {solver}",
            thompson.build,
            line_policy,
            strategies,
            specs,
            claimed=told_apart,
        )


FAMILIES = {
    name: tuple(row for row in rows() if row.name.startswith(name))
    for name in ("ucbvi", "thompson", "linucb", "soft UCB1")
}


def drawn(source: Any, spec: Any, generator: np.random.Generator, size: int) -> list[Any]:
    """Outlines of one length, in half of all cases the longest: any of the battery's kinds, with seeds of their own."""
    kinds = source.battery(spec)
    longest = kinds[0].steps
    steps = longest if generator.random() < 0.5 else int(generator.integers(1, longest + 1))
    weak = any(field.name == "weakness" for field in fields(kinds[0]))
    return [
        replace(
            kinds[generator.integers(len(kinds))],
            steps=steps,
            seed=int(generator.integers(2**32)),
            **({"weakness": float(generator.uniform(-3, 3))} if weak else {}),
        )
        for _ in range(size)
    ]


# ---------------------------------------------------------------- against certificates


@dataclass(frozen=True)
class Outcome:
    """What many histories made of one specification: the worst error and, as a ratio to its promise, the worst block."""

    family: str
    name: str
    spec: str
    histories: int
    error: float
    certificate: float
    allowed: float
    ratio: float
    block: str
    block_ratio: float
    outline: str

    @property
    def holds(self) -> bool:
        return self.ratio <= 1 and self.block_ratio <= 1


def look(
    family: str,
    row: Row,
    spec: Any,
    wanted: int,
    generator: np.random.Generator,
    truth: audit.Truth | None = None,
) -> Outcome:
    """So many different histories of one specification, or as many as there are; `truth` in place of the row's own."""
    built, findings, seen, fruitless, batch = row.build(spec), audit.Findings(), set(), 0, 0
    while findings.histories < wanted and fruitless < FRUITLESS:
        tried = []
        for outline in drawn(row.source, spec, generator, BATCH):
            history = outline.history(spec)
            told = hash(built.tokens.encode(history).tobytes())
            if told not in seen and row.claimed(spec, history):
                seen.add(told)
                tried.append(Tried(outline, history))
        fruitless = 0 if tried else fruitless + 1
        if tried:
            probed, batch = batch % PROBED == 0, batch + 1
            findings = findings.merge(audit.measure(built, truth or row.truth, tried, probed=probed))
    block, worst = max(findings.blocks.items(), key=lambda item: item[1].ratio)
    return Outcome(
        family,
        row.name,
        repr(spec),
        findings.histories,
        findings.error,
        built.certificate,
        built.allowed,
        findings.ratio,
        block,
        worst.ratio,
        repr(findings.outline.outline),
    )


def family(name: str, wanted: int, seed: int) -> list[Outcome]:
    """A family's share of histories for each of its specifications; what one lacks, those after it make up for."""
    pairs = [(row, spec) for row in FAMILIES[name] for spec in row.specs]
    found: list[Outcome] = []
    for number, (row, spec) in enumerate(pairs):
        missing = wanted - sum(outcome.histories for outcome in found)
        share = max(1, -(-missing // (len(pairs) - number)))
        generator = np.random.default_rng([seed, list(FAMILIES).index(name), number])
        found.append(look(name, row, spec, share, generator))
        print(f"{row.name}: {found[-1].histories:,} histories, ratio {found[-1].ratio:.2g}", flush=True)
    return found


# ---------------------------------------------------------------- in rationals

LARGE = ucbvi.Spec(states=8, actions=4, horizon=3, episodes=6, exploration=0.03)
EXPLORATIONS = (0.03, 0.0, 0.01, 0.1)


@dataclass(frozen=True)
class Exactly:
    """UCB-VI's logits in rationals beside the algorithm's: how many histories, decisions of each kind, and differences."""

    form: str
    heads: int
    histories: int
    different: int
    kinds: Counter

    @property
    def holds(self) -> bool:
        return self.different == 0


def kinds(spec: ucbvi.Spec, history: EpisodeHistory, values: list[list[Fraction]]) -> Counter:
    """Decisions by what their state has seen before at their stage: actions tried, ties, bonuses cut off at H or not."""
    found, top = Counter(decisions=len(values)), spec.horizon
    for step, (state, row) in enumerate(zip(history.states, values, strict=True)):
        before = range(step % top, step - step % top, top)
        tried = {int(history.actions[one]) for one in before if history.states[one] == state}
        known = [row[action] for action in tried]
        low = [value for value in known if value < top]
        found["states again"] += bool(known)
        found["ties below H"] += len(low) > len(set(low))
        found["cut off at H"] += len(known) > len(low)
        found["below H"] += bool(low)
    return found


def rationals(form: str, wanted: int, seed: int, factor: Fraction = Fraction(1)) -> Exactly:
    """So many different histories, a quarter for each exploration; `factor` makes the algorithm's bonus another."""
    count, different, found, heads = 0, 0, Counter(), 0
    for number, exploration in enumerate(EXPLORATIONS):
        spec = replace(LARGE, exploration=exploration, form=form)
        built, generator, seen = ucbvi.build(spec), np.random.default_rng([seed, number]), set()
        bonus = [factor * Fraction(spec.bonus(n)) for n in range(spec.episodes + 1)]
        scale, heads = Fraction(1 / spec.tau), built.size().heads
        share = -(-(wanted - count) // (len(EXPLORATIONS) - number))
        while len(seen) < share:
            [outline] = drawn(episode_strategies, spec, generator, 1)
            history = outline.history(spec)
            told = hash(built.tokens.encode(history).tobytes())
            if told in seen:
                continue
            seen.add(told)
            values = algorithms.ucbvi_exact(spec, history, bonus)
            different += exact.logits(built, history) != [[scale * q for q in row] for row in values]
            found += kinds(spec, history, values)
        count += len(seen)
        print(f"{form} in rationals: {count:,} histories, {different} differ", flush=True)
    return Exactly(form, heads, count, different, found)


# ---------------------------------------------------------------- the page


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [titles, ["---"] * len(titles), *lines])


def line(name: str, part: Sequence[Outcome]) -> list[str]:
    """A construction, or a family, by its worst specification."""
    worst = max(part, key=lambda outcome: outcome.ratio)
    block = max(part, key=lambda outcome: outcome.block_ratio)
    count = sum(outcome.histories for outcome in part)
    numbers = [f"{worst.error:.2e}", f"{worst.allowed:.2e}", f"{worst.ratio:.3g}"]
    return [name, str(len(part)), f"{count:,}", *numbers, f"{block.block_ratio:.3g}, {block.block}"]


def page(outcomes: Sequence[Outcome], exactly: Sequence[Exactly], seed: int, made: dict) -> str:
    """What was found, in Markdown."""
    titles = ["", "specs", "histories", "worst error", "allowed", "ratio", "worst block: ratio, name"]
    by_family = {name: [one for one in outcomes if one.family == name] for name in FAMILIES}
    by_name = {one.name: [other for other in outcomes if other.name == one.name] for one in outcomes}
    parts = [
        "# Many histories",
        "Written by `make nightly` (`tests/tools/exhaustive.py`): different histories of every family, drawn at random from "
        "the kinds of `verify/histories/linear.py` and its siblings, each held to the certificate, and one in twenty to the "
        "promises of every block. *Allowed* is `built.allowed`: the certificate, and at most as much again for rounding. "
        "A row tells error and what is allowed of the specification with the largest ratio of the two.",
        f"{made['date']}, {made['machine']}, {made['cores']} cores, float64, seed {seed}, "
        f"{made['seconds'] / 60:.0f} minutes; Python {made['python']}, torch {made['torch']}, numpy {made['numpy']}, "
        f"commit {made['commit']}.",
        "## By family",
        table(titles, [line(name, part) for name, part in by_family.items() if part]),
        "## By construction",
        table(titles, [line(name, part) for name, part in by_name.items()]),
        "## The worst history of each family",
    ]
    for name, part in by_family.items():
        if part:
            worst = max(part, key=lambda outcome: outcome.ratio)
            parts += [
                f"{name}: {worst.name}, error {worst.error!r}",
                f"    {worst.spec}\n    {worst.outline}",
            ]
    S, A, H, K = LARGE.states, LARGE.actions, LARGE.horizon, LARGE.episodes
    names = ["states again", "ties below H", "cut off at H", "below H", "decisions"]
    parts += [
        "## In rationals",
        f"UCB-VI at S = {S}, A = {A}, H = {H}, K = {K}, of any length, exploration {', '.join(map(str, EXPLORATIONS))}: "
        "the forward pass in rational arithmetic (`verify/audit/exact.py`) beside the algorithm in fractions. Decisions are "
        "counted by what their state has seen at their stage: whether actions have been tried, whether two of these tie "
        "below H, and whether one is cut off at H or lies below it.",
        table(
            ["form", "heads", "histories", "that differ", *names],
            [
                [one.form, str(one.heads), f"{one.histories:,}", str(one.different)]
                + [f"{one.kinds[name]:,}" for name in names]
                for one in exactly
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports/nightly.md"))
    parser.add_argument("--histories", type=int, default=100_000, help="of each family")
    parser.add_argument("--rationals", type=int, default=1_000, help="of each form")
    parser.add_argument("--seed", type=int, default=int(f"{datetime.now(UTC):%Y%m%d}"), help="today's date")
    parser.add_argument("--processes", type=int, default=2)
    asked, start = parser.parse_args(words), time.monotonic()
    forms = ("slim", "narrow")
    with ProcessPoolExecutor(
        asked.processes, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)
    ) as pool:
        measured = [pool.submit(family, name, asked.histories, asked.seed) for name in FAMILIES]
        exactly = [pool.submit(rationals, form, asked.rationals, asked.seed).result for form in forms]
        outcomes, same = [one for done in measured for one in done.result()], [done() for done in exactly]
    made = report.made(time.monotonic() - start, "make nightly")
    files.write(asked.out, page(outcomes, same, asked.seed, made))
    broken = [f"{one.name}: {one}" for one in outcomes if not one.holds]
    broken += [f"{one.form}: {one}" for one in same if not one.holds]
    print(f"{asked.out}: {len(broken)} above what is allowed", *broken, sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
