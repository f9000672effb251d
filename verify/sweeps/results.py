"""A file of results: a line of JSON for each task, with a checksum of the line, "sha256".

{"key": …, "status": "done", "record": …}       or       {"key": …, "status": "failed", "reason": …}
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from constructions import files

Line = dict[str, Any]


@contextmanager
def results(path: Path, kind: Any = Any) -> Iterator[tuple[BinaryIO, dict[str, Line]]]:
    """A file of results, open for more, and its lines by key; what follows the last line break is cut off.

    Raises:
        ValueError: if something is in the way, another sweep holds the file, or a whole line is none of ours, was changed or
            has the key of an earlier one.
    """
    files.placed(path).parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise files.refusal(path, "a file for this sweep alone", "one that another writes to") from None
        whole, mark, _ = files.read(path, "a file of results").rpartition(b"\n")
        lines: dict[str, Line] = {}
        for number, text in enumerate(whole.split(b"\n") if mark else (), 1):
            try:
                line = _line(text, kind)
                if line["key"] in lines:
                    raise ValueError(f"{line['key']!r} again")
            except ValueError as error:
                place = f"{str(path)[-80:]}, line {number}"
                raise files.refusal(place, "the outcome of one new key", error) from None
            lines[line["key"]] = line
        file.truncate(len(whole + mark))
        yield file, lines


class Done(msgspec.Struct, tag_field="status", tag="done", forbid_unknown_fields=True):
    """The outcome of a task whose function returned."""

    key: str
    record: Any


class Failed(msgspec.Struct, tag_field="status", tag="failed", forbid_unknown_fields=True):
    """The outcome of a task that was given up."""

    key: str
    reason: str


def _line(text: bytes, kind: Any) -> Line:
    """A line of ours without its checksum, its record being of a kind.

    Raises:
        ValueError: if it is none, or was changed.
    """
    line = files.unsealed(files.parsed(text))
    found = files.typed(line, Done | Failed)
    if isinstance(found, Done):
        json.dumps(files.typed(found.record, kind), allow_nan=False)
    return line
