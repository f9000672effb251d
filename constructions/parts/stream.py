"""The residual stream as named registers.

A token is a column of D numbers. A *register* is a named slice of it, a *stream* is all registers of one
construction in order. Only this file and assemble.py know at which index a register starts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from constructions.plain import listed, shown


@dataclass(frozen=True)
class Register:
    """A named slice of the residual stream, or a part of one.

    Attributes:
        name: the name of the whole register.
        start: stream index of the first entry.
        size: number of entries.
        offset: where in the whole register a part begins.

    >>> arms = Stream.of(action=2, arms=6)["arms"]
    >>> arms.part(1, of=3).start, arms.part(1, of=3).size
    (4, 2)
    """

    name: str
    start: int
    size: int
    offset: int = 0

    def part(self, index: int, *, of: int) -> "Register":
        """The `index`-th (from 0) of `of` equal parts."""
        if self.size % of or not 0 <= index < of:
            raise ValueError(
                f"part of {self.name}: wanted index < {of} dividing size {self.size}, got {index}"
            )
        size = self.size // of
        return Register(self.name, self.start + index * size, size, self.offset + index * size)

    @property
    def slice(self) -> slice:
        """The stream indices, for reading arrays of shape (..., D)."""
        return slice(self.start, self.start + self.size)


@dataclass(frozen=True)
class Stream:
    """All registers of one construction, in order.

    >>> Stream.of(action=2, reward=1).label(2)
    'reward'
    >>> Stream.of(action=2, reward=1).width
    3
    """

    registers: Mapping[str, Register]

    @classmethod
    def of(cls, **sizes: int) -> "Stream":
        """Lay registers of the given sizes side by side; those of size 0 are left out."""
        registers, start = {}, 0
        for name, size in sizes.items():
            if size < 0:
                raise ValueError(f"register {name}: wanted a size >= 0, got {size}")
            if size:
                registers[name] = Register(name, start, size)
                start += size
        return cls(registers)

    def __getitem__(self, name: str) -> Register:
        if not isinstance(name, str) or name not in self.registers:
            raise ValueError(f"register: wanted one of {listed(self.registers)}, got {shown(name)}")
        return self.registers[name]

    def several(self, names: Iterable[str]) -> tuple[Register, ...]:
        """Registers by their names."""
        return tuple(self[name] for name in names)

    @property
    def one(self) -> Register:
        """The last entry of `position`, (i, i², 1): what neurons read for thresholds and constants."""
        return self["position"].part(2, of=3)

    @cached_property
    def width(self) -> int:
        """The token dimension D."""
        return sum(register.size for register in self.registers.values())

    def label(self, index: int) -> str:
        """Name of one stream entry: `reward`, or `arms[3]` in a register of several."""
        for register in self.registers.values():
            if register.start <= index < register.start + register.size:
                return register.name if register.size == 1 else f"{register.name}[{index - register.start}]"
        raise ValueError(f"stream index: wanted 0..{self.width - 1}, got {index}")
