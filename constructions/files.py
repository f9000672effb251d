"""Files: written whole or not at all, and read only where they are what was written.

JSON carries its own checksum, and arrays lie in .npz files of numbers and words alone. Whether a folder or a file can be
written is asked before any long work. A refusal is one line that names the file, what was wanted and what was got.
"""

import fcntl
import hashlib
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

LINE, MOST = 300, 2**32
"""Characters of an error, and bytes of a file or of what is unpacked from one, at most."""
NAME, WHOLE = 255, 3800
"""Bytes of a name and of a path at most; Linux takes 4096, and files have names inside their folder."""
SUM = "sha256"
"""The field, entry or array that holds a checksum."""
CHANGED = "another checksum than its content has: it is damaged or was changed"


def refusal(path: object, wanted: str, got: object) -> ValueError:
    """The place, its end if it is long, what was wanted there and what was got, as far as there is room in one line.

    >>> print(refusal("a.json", "a report", KeyError("title")))
    a.json: wanted a report, got KeyError: 'title'
    """
    place = whole if len(whole := str(path)) <= 100 else f"…{whole[-99:]}"
    if isinstance(got, Exception):
        reason = isinstance(got, OSError) and got.strerror
        got = f"{type(got).__name__}: {reason or str(got)[:LINE]}"
    text = " ".join(f"{place}: wanted {wanted}, got {str(got)[:LINE]}".split())
    text = "".join(letter if letter.isprintable() else "�" for letter in text)
    return ValueError(text if len(text) <= LINE else f"{text[: LINE - 1]}…")


def writable(path: Path | None) -> Path | None:
    """A folder, or a page to be, of which nothing stands in the way; asked before any work is done.

    Raises:
        ValueError: if it cannot be written.
    """
    if path is not None:
        page = path.suffix == ".html" and _found(path) not in (None, stat.S_IFDIR)
        _free(path.parent if page else path, path, "a folder that can be written")
        if page:
            placed(path)
    return path


def placed(path: str | Path) -> Path:
    """A file to be, of which nothing stands in the way; links are followed.

    Raises:
        ValueError: if it cannot be written.
    """
    path, wanted = Path(path), "a file that can be written"
    _free(path.parent, path, wanted)
    if (kind := _found(path)) not in (None, stat.S_IFREG):
        others = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link to nothing"}
        raise refusal(path, wanted, others.get(kind, "no regular file"))
    return Path(os.path.realpath(path))


def _found(path: Path) -> int | None:
    """The kind of what is at a path, links followed: that of a link if it leads nowhere, None if there is nothing."""
    for look in (os.stat, os.lstat):
        with suppress(OSError, ValueError):
            return stat.S_IFMT(look(path).st_mode)
    return None


def _free(folder: Path, path: Path, wanted: str) -> None:
    """Hold a folder to be there and open, or to come into being in one that is; `path` is what was asked for."""
    if "\0" in str(path):
        raise refusal(path, wanted, "a name with a zero byte")
    whole, there = path.absolute(), folder.absolute()
    longest = max(len(os.fsencode(part)) for part in whole.parts)
    for what, size, most in (("name", longest, NAME), ("path", len(os.fsencode(whole)), WHOLE)):
        if size > most:
            raise refusal(path, wanted, f"a {what} of {size:,} bytes, more than {most:,}")
    while (kind := _found(there)) is None and there != there.parent:
        there = there.parent
    if kind != stat.S_IFDIR:
        raise refusal(path, wanted, f"{'a link to nothing' if kind == stat.S_IFLNK else 'a file'}, {there}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise refusal(path, wanted, f"one that is not to be written to, {there}")


def write(path: str | Path, data: bytes | str) -> None:
    """Write beside the final name, down to the disk, and move there; folders are made if need be.

    A reader finds what was there before or all of this, whoever is killed when. Of two that write at once one comes last.

    Raises:
        ValueError: if something is in the way.
        OSError: if the disk fails; what was there before is left.
    """
    path = placed(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _written(path, data.encode() if isinstance(data, str) else data):
            pass
    except OSError as error:
        raise type(error)(str(refusal(path, "to write it", error))) from error


def _written(path: Path, data: bytes) -> bool:
    """Whether it could be written: not if another, who was waited for, had the scratch file, which is gone then.

    Its name follows from the path's, so that what a kill left is used again, and is locked while it is written.
    """
    scratch = path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.part")
    with open(os.open(scratch, os.O_CREAT | os.O_WRONLY, 0o666), "wb") as file:  # less the user's mask
        fcntl.flock(file, fcntl.LOCK_EX)
        own = False
        with suppress(FileNotFoundError):
            own = os.path.samestat(os.stat(scratch), os.fstat(file.fileno()))
        if not own:
            return False
        try:
            file.truncate(0)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            scratch.replace(path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
    return True


def add(file: BinaryIO, line: str) -> None:
    """Add a line to an open file, down to the disk; a kill may leave a part of it, without the line's end.

    Raises:
        OSError: if the disk fails.
    """
    try:
        rest = line.encode() + b"\n"
        while rest:  # a disk that is nearly full takes a part
            rest = rest[os.write(file.fileno(), rest) :]
        os.fsync(file.fileno())
    except OSError as error:
        raise type(error)(str(refusal(file.name, "to write it", error))) from error


def read(path: str | Path, wanted: str) -> bytes:
    """All bytes of a regular file.

    Raises:
        ValueError: if there is none, it cannot be read, or it is larger than all that is written here.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            folder = stat.S_ISDIR(status.st_mode)
            raise IsADirectoryError("a folder") if folder else OSError("no regular file")
        if status.st_size > MOST:
            raise OSError(f"{status.st_size:,} bytes, more than {MOST:,}")
        return Path(path).read_bytes()
    except (OSError, ValueError, MemoryError) as error:
        raise refusal(path, wanted, error) from None


def parsed(data: bytes) -> Any:
    """JSON, with Python's names of infinities and NaN: a claim that fails may have those.

    Raises:
        ValueError: if it is none, or nested too deeply.
    """
    try:
        return json.loads(data.decode())
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def typed(value: Any, kind: Any) -> Any:
    """A JSON value as a type: a dataclass, a TypedDict, or whatever msgspec knows; fields that these lack are left out.

    Raises:
        ValueError: if it is another.

    >>> typed({"a": [1, 2]}, dict[str, list[float]])
    {'a': [1.0, 2.0]}
    >>> typed({"a": [1, "2"]}, dict[str, list[float]])
    Traceback (most recent call last):
    ValueError: Expected `float`, got `str` - at `$[...][1]`
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the SHA-256 of all else in it, in which order and whatever spaces stand between.

    >>> unsealed(sealed({"a": 1.5}))
    {'a': 1.5}
    """
    rest = {name: value for name, value in record.items() if name != SUM}
    return rest | {SUM: _digest(rest)}


def unsealed(record: Any) -> dict[str, Any]:
    """The object without its checksum.

    Raises:
        ValueError: if it has none, or another.
    """
    if not isinstance(record, dict) or SUM not in record:
        raise ValueError("no object with its checksum")
    rest = {name: value for name, value in record.items() if name != SUM}
    if record[SUM] != _digest(rest):
        raise ValueError(CHANGED)
    return rest


def _digest(record: Mapping[str, Any]) -> str:
    try:
        return hashlib.sha256(json.dumps(record, default=float).encode()).hexdigest()
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object, sealed."""
    write(path, json.dumps(sealed(record), indent=1, default=float))


def read_json(path: Path, kind: Any, wanted: str) -> Any:
    """A sealed object as a type.

    Raises:
        ValueError: if the file is missing, damaged, changed or holds something else.
    """
    data = read(path, wanted)
    try:
        return typed(unsealed(parsed(data)), kind)
    except ValueError as error:
        raise refusal(path, wanted, error) from None


def packed(arrays: Mapping[str, Any], compressed: bool = False) -> bytes:
    """Arrays by name as the bytes of an .npz file, which are the same for the same arrays."""
    (np.savez_compressed if compressed else np.savez)(buffer := io.BytesIO(), **arrays)
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, np.ndarray]:
    """The arrays in the bytes of an .npz file; zip's own checksums of them have been held to.

    Raises:
        ValueError: or whatever zip and NumPy make of damage.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if (size := sum(member.file_size for member in members)) > MOST:
            raise ValueError(f"{size:,} bytes unpacked, more than {MOST:,}")
        arrays = {member.filename.removesuffix(".npy"): _array(archive.read(member)) for member in members}
    if len(arrays) != len(members):
        raise ValueError("several arrays of one name")
    return arrays


def _array(data: bytes) -> np.ndarray:
    """One .npy file, whose header is held to the bytes that there are before anything is made from it."""
    buffer = io.BytesIO(data)
    if np.lib.format.read_magic(buffer) != (1, 0):
        raise ValueError("another version of .npy than 1.0")
    shape, _, kind = np.lib.format.read_array_header_1_0(buffer)
    if not kind.hasobject and math.prod(shape) * kind.itemsize != len(data) - buffer.tell():
        raise ValueError(f"an array of shape {shape} in {len(data):,} bytes")
    buffer.seek(0)
    return np.lib.format.read_array(buffer, allow_pickle=False)


def digest(arrays: Mapping[str, Any], words: Mapping[str, str] | None = None) -> str:
    """The SHA-256 of arrays and words by name, in whatever order."""
    found = hashlib.sha256(json.dumps(sorted((words or {}).items())).encode())
    for name, array in sorted(arrays.items()):
        array = np.ascontiguousarray(array)
        found.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        found.update(array.tobytes())
    return found.hexdigest()
