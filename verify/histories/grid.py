"""What families of outlines share: lists of equal length for a search, and a battery of all kinds, for everyone the same."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from hypothesis import strategies as st

Drawn = TypeVar("Drawn")


def batches(
    outlines: Callable[[Any, int], st.SearchStrategy[Drawn]], spec: Any, longest: int, size: int
) -> st.SearchStrategy[list[Drawn]]:
    """Lists of `size` outlines of equal length, for evaluation side by side; half the lists are of full length."""
    lengths = st.one_of(st.just(longest), st.integers(1, longest))
    return lengths.flatmap(lambda steps: st.lists(outlines(spec, steps), min_size=size, max_size=size))


def battery(outline: Callable[..., Drawn], kinds: Iterable[tuple], longest: int, repeats: int) -> list[Drawn]:
    """An outline of each of some kinds, at full length, with seeds of their own; and so often."""
    numbered = list(enumerate(kinds))
    return [
        outline(*kind, longest, 1000 * repeat + number)
        for repeat in range(repeats)
        for number, kind in numbered
    ]
