"""Judge a sample of mutants: `python -m benchmarks.mutants --help`."""

import argparse
import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from benchmarks.mutants.judge import Judge, Outcome
from benchmarks.mutants.sample import Mutant, draw
from benchmarks.mutants.touching import Touching


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=25, help="seconds of tests a mutant")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--again", action="store_true", help="judge survivors again, with the tests not tried yet"
    )
    parser.add_argument("--tests", nargs="+", help="judge survivors again, with these tests alone")
    parser.add_argument("--out", type=Path, default=Path("build/mutants"), help="where .coverage and log are")
    given = parser.parse_args()
    sample, counts = draw("constructions", given.count, given.seed)
    print(f"places: {dict(counts)}; {len(sample)} mutants drawn", flush=True)
    touching = Touching(given.out / ".coverage", given.out / "suite.log", Path.cwd())
    results = Results(given.out / "results.jsonl")
    for entry in results.known.values():
        touching.seconds.update(entry.get("times", {}))
    judge = Judge()
    on_import = [mutant for mutant in sample if judge.on_import(mutant)]
    others = [mutant for mutant in sample if mutant not in on_import]
    workers = []
    for worker in range(given.jobs):
        if (pid := os.fork()) == 0:
            for mutants in (on_import, others):
                for mutant in mutants[worker :: given.jobs]:
                    one(mutant, judge, touching, results, given)
                if mutants is on_import:
                    judge.load()
            os._exit(0)
        workers.append(pid)
    for pid in workers:
        os.waitpid(pid, 0)
    Results(results.path).summary(sample)


def one(
    mutant: Mutant, judge: Judge, touching: Touching, results: "Results", given: argparse.Namespace
) -> None:
    """Judge one mutant, unless that is done."""
    known = results.of(mutant)
    if known and (known["caught"] or not (given.again or given.tests)):
        return
    tried = known["tried"] if known else []
    tests = given.tests or touching.choice(mutant, given.budget, tried)
    outcome = Outcome("passed", "", "no test", 0.0)
    if tests:
        seconds = 10 + 2 * sum(touching.cost(test) for test in tests)
        outcome = judge.run(mutant, tests, seconds)
        touching.seconds.update(outcome.times)
        if outcome.caught or outcome.kind == "broken":  # would it have been without the change?
            suspects = [outcome.test] if "::" in outcome.test else tests
            without = results.clean(suspects) or judge.run(None, suspects, seconds)
            results.note_clean(suspects, without)
            if without.kind != "passed":
                outcome = Outcome(
                    "broken", outcome.test, f"without the change too: {without.why}", outcome.seconds
                )
    results.add(mutant, [*tried, *tests], outcome)


class Results:
    """Verdicts, one line each, written as they come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, dict] = {}
        self.passed: set[str] = set()
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            entry = json.loads(line)
            self.known[entry["mutant"]] = entry

    def of(self, mutant: Mutant) -> dict | None:
        """What is known of a mutant."""
        return self.known.get(mutant.name)

    def clean(self, tests: list[str]) -> Outcome | None:
        """That tests pass without a change, where that is known."""
        return Outcome("passed", "", "", 0.0) if self.passed.issuperset(tests) else None

    def note_clean(self, tests: list[str], outcome: Outcome) -> None:
        """Remember what passes."""
        if outcome.kind == "passed":
            self.passed.update(tests)

    def add(self, mutant: Mutant, tried: list[str], outcome: Outcome) -> None:
        """Write a verdict down."""
        before, after = mutant.change()
        entry = {"mutant": mutant.name, "caught": outcome.caught, **asdict(outcome)}
        entry |= {"before": before, "after": after, "tried": tried}
        self.known[mutant.name] = entry
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry, ensure_ascii=False) + "\n")
        print(f"{outcome.kind:12} {outcome.seconds:5.1f} s  {mutant.name}  {before}  →  {after}", flush=True)

    def summary(self, sample: list[Mutant]) -> None:
        """How many were caught, and what survived."""
        held = [self.known[mutant.name] for mutant in sample if mutant.name in self.known]
        caught = sum(entry["caught"] for entry in held)
        print(f"\n{caught} of {len(held)} caught; {dict(Counter(entry['kind'] for entry in held))}")
        for entry in held:
            if not entry["caught"]:
                print(
                    f"- {entry['mutant']}: {entry['before']} → {entry['after']} ({len(entry['tried'])} tests)"
                )


if __name__ == "__main__":
    main()
