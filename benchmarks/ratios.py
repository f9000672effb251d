"""Times side by side."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Two times, in seconds, and their ratio: how many times longer the numerator takes."""

    name: str
    numerator: float
    denominator: float
    note: str

    @property
    def ratio(self) -> float:
        """Numerator over denominator."""
        return self.numerator / self.denominator


def interleaved(first: Callable[[], object], second: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median seconds of two jobs run in turn, after one warm-up each."""
    times: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 1):
        for job, taken in zip((first, second), times, strict=True):
            start = time.perf_counter()
            job()
            if run:
                taken.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])
