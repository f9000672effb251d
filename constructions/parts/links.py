"""Links: sparse matrices that read registers, and how they are put together.

Everything here names registers, never stream indices; assemble.py turns it into weight matrices.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from constructions import limits
from constructions.parts.stream import Register

Values = Mapping[str, Float[np.ndarray, "tokens _"]]
"""Register contents by name, one row a token."""


def held(values: Values, register: Register) -> Float[np.ndarray, "tokens size"]:
    """What a register, or a part of one, holds."""
    return values[register.name][:, register.offset : register.offset + register.size]


def grams(actions: Float[np.ndarray, "tokens dim"], ridge: float) -> Float[np.ndarray, "tokens dim dim"]:
    """What the tokens up to each one add up to: ridge · I + Σ_{j≤i} a_j a_jᵀ."""
    return ridge * np.eye(actions.shape[1]) + np.cumsum(actions[:, :, None] * actions[:, None, :], axis=0)


@dataclass(frozen=True, eq=False)
class Link:
    """A sparse matrix from the stream to `height` rows: row `rows[n]` reads entry `columns[n]` times `weights[n]`."""

    rows: Int[np.ndarray, " entries"]
    columns: Int[np.ndarray, " entries"]
    weights: Float[np.ndarray, " entries"]
    height: int
    reads: frozenset[str]

    def __post_init__(self):
        for name in ("rows", "columns"):  # half the memory of 64 bits
            object.__setattr__(self, name, getattr(self, name).astype(np.int32, copy=False))

    @property
    def outline(self) -> "Link":
        """What it reads and how high it is, without its entries."""
        return Link(np.empty(0, int), np.empty(0, int), np.empty(0), self.height, self.reads)

    def __mul__(self, scale: float) -> "Link":
        if scale == 0:
            return blank(self.height)
        return Link(self.rows, self.columns, self.weights * scale, self.height, self.reads)

    __rmul__ = __mul__

    def __neg__(self) -> "Link":
        return self * -1.0

    def scale_rows(self, scales: Float[np.ndarray, " height"]) -> "Link":
        """Each row times a number of its own."""
        return Link(self.rows, self.columns, self.weights * scales[self.rows], self.height, self.reads)

    def __add__(self, other: "Link") -> "Link":
        if self.height != other.height:
            raise ValueError(f"sum of links: wanted equal heights, got {self.height} and {other.height}")
        return Link(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.columns, other.columns]),
            np.concatenate([self.weights, other.weights]),
            self.height,
            self.reads | other.reads,
        )

    def __sub__(self, other: "Link") -> "Link":
        return self + -other


LARGE = 10**6
"""Links with fewer entries are made without asking."""


def _room(entries: int) -> None:
    """Wanted: a link that fits into memory; asked of all that make large ones of small ones."""
    if entries > LARGE:
        limits.hold("weights", weights=entries)


def read(register: Register) -> Link:
    """The link that reads a register as it is, one row an entry."""
    _room(register.size)
    entries = np.arange(register.size)
    return Link(
        entries, register.start + entries, np.ones(register.size), register.size, frozenset({register.name})
    )


def pick(register: Register, entries: Int[np.ndarray, " entries"]) -> Link:
    """The link that reads some entries of a register, one row each."""
    rows = np.arange(len(entries))
    names = frozenset({register.name})
    return Link(rows, register.start + np.asarray(entries), np.ones(len(rows)), len(rows), names)


def around(register: Register, start: int) -> Link:
    """The link that reads a register from one entry on, and then what stands before it."""
    return pick(register, (np.arange(register.size) + start) % register.size)


def blank(height: int) -> Link:
    """A link of `height` rows that reads nothing: all zero."""
    return Link(np.empty(0, int), np.empty(0, int), np.empty(0), height, frozenset())


def stack(*links: Link) -> Link:
    """The rows of several links, one link under the other."""
    links = (blank(0), *links)
    offsets = np.cumsum([0, *(link.height for link in links)])
    return Link(
        np.concatenate([link.rows + offset for link, offset in zip(links, offsets[:-1], strict=True)]),
        np.concatenate([link.columns for link in links]),
        np.concatenate([link.weights for link in links]),
        int(offsets[-1]),
        frozenset().union(*(link.reads for link in links)),
    )


def repeat_rows(link: Link, times: int) -> Link:
    """Each row of a link `times` times in succession."""
    _room(len(link.columns) * times)
    copies = np.arange(times)
    return Link(
        (link.rows[:, None] * times + copies).ravel(),
        np.repeat(link.columns, times),
        np.repeat(link.weights, times),
        link.height * times,
        link.reads,
    )


def tile(link: Link, times: int) -> Link:
    """The whole link `times` times, one under the other."""
    _room(len(link.columns) * times)
    shifts = np.repeat(np.arange(times) * link.height, len(link.rows))
    return Link(
        np.tile(link.rows, times) + shifts,
        np.tile(link.columns, times),
        np.tile(link.weights, times),
        link.height * times,
        link.reads,
    )


def side_by_side(count: int, *links: Link) -> Link:
    """The rows of `count` heads, one head after the other, from links that each hold their share of every head's rows."""
    heights = [link.height // count for link in links]
    if any(link.height != height * count for link, height in zip(links, heights, strict=True)):
        raise ValueError(
            f"heads: wanted links of a multiple of {count} rows, got {[link.height for link in links]}"
        )
    offsets, rank = np.cumsum([0, *heights]), sum(heights)
    moved = [
        Link(
            link.rows // height * rank + offset + link.rows % height,
            link.columns,
            link.weights,
            0,
            link.reads,
        )
        for link, height, offset in zip(links, heights, offsets[:-1], strict=True)
        if height
    ]
    whole = sum(moved[1:], moved[0]) if moved else blank(0)
    return Link(whole.rows, whole.columns, whole.weights, rank * count, whole.reads)


def rows(link: Link, wanted: np.ndarray) -> Link:
    """Some rows of a link, in the given order."""
    place = np.full(link.height, -1)
    place[wanted] = np.arange(len(wanted))
    keep = place[link.rows] >= 0
    return Link(place[link.rows[keep]], link.columns[keep], link.weights[keep], len(wanted), link.reads)


def entry(link: Link, index: int, *, of: int) -> Link:
    """The `index`-th entry of each vector, for a link that holds vectors of so many entries one after the other."""
    return rows(link, np.arange(index, link.height, of))


def transposed(link: Link, of: int) -> Link:
    """First entries first: the rows of a link that holds vectors of so many entries, entry by entry."""
    return rows(link, np.arange(link.height).reshape(-1, of).T.ravel())


def split(link: Link, count: int) -> tuple[Link, ...]:
    """So many equal parts of a link's rows, in order."""
    size = link.height // count
    return tuple(rows(link, np.arange(size) + n * size) for n in range(count))


def some(register: Register, wanted: Int[np.ndarray, " vectors"], *, of: int) -> Link:
    """The link that reads some of the vectors that a register holds, of so many entries each."""
    return pick(register, (np.asarray(wanted)[:, None] * of + np.arange(of)).ravel())


def mapped(link: Link, matrix: Float[np.ndarray, "m n"]) -> Link:
    """A matrix times each vector of n entries that a link holds."""
    height, width = matrix.shape
    vector, column = np.divmod(link.rows, width)
    return Link(
        (vector[:, None] * height + np.arange(height)).ravel(),
        np.repeat(link.columns, height),
        (link.weights[:, None] * matrix.T[column]).ravel(),
        link.height // width * height,
        link.reads,
    )
