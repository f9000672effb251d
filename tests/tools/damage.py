"""Files of every kind, ways to damage them, and what became of each that was damaged.

python tests/tools/damage.py COUNT [SEED]     so many damaged files of all kinds together: outcomes, longest call
"""

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from tiny_cases import CASES

import constructions
from constructions import files
from constructions.history import BanditHistory, EpisodeHistory, load_history
from verify.audit import Report, Verdict
from verify.show import page, report
from verify.sweeps import grid as frontier
from verify.sweeps import runner as sweeping
from verify.training import curves, train
from verify.training.cache import cached

CASE = CASES["linucb newton"]
RUN = train.named("ad-linucb", horizon=5, steps=1, layers=1, heads=2, width=8, batch=2)
LINE = {"kind": "curves", "title": "t", "x_label": "x", "y_label": "y", "x_scale": "linear"}
LINE |= {"y_scale": "log", "legend": "best"}
LINE |= {"curves": [{"label": "one", "x": [1, 2], "y": [1.0, 0.5], "group": "one", "look": "measured"}]}
BLOCK = {"block": "logits", "domain": "any", "error": 0.1, "promise": 0.5, "slack": 5.0, "note": ""}
BLOCK |= {"own_error": 0.0, "own_promise": 0.25, "own_slack": None}
CLAIMS = [
    Verdict("policy", "Theorem 8", "bound", 0.25, 1.0, 0.5, witness={"seed": 7}, main=True, enclosed=0.2),
    Verdict("depth in T", "Theorem 8", "order", 0.467, 0.5, note="a fit, not a proof"),
]
AUDIT = Report("Soft LinUCB", {"dim": 5, "depth": "certified"}, {"layers": 408}, CLAIMS, [BLOCK], [], {})
AUDIT.records["size"] = [LINE]


class Kind(NamedTuple):
    """A kind of file: how it is made in a folder, and what is read from it, as words."""

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]


def _construction(folder):
    CASE.built().save(folder / "built.safetensors")
    return folder / "built.safetensors"


def _loaded(path):
    built = constructions.load(path)
    if built.certificate == np.inf:
        assert built.spec != CASE.built().spec or np.isfinite(built.log_probabilities(CASE.history())).all()
        return "nothing is promised"
    return repr((built.spec, built.certificate, built.seal))


def _trained(folder):
    curve = [{"step": 1, "loss": 0.5, "trained": 3.0}]
    train.checkpoint.save(folder / "model.safetensors", RUN.model(), None, 1, asdict(RUN), curve)
    return folder / "model.safetensors"


def _model(path):
    model = train.load(path)
    history = BanditHistory(np.ones((2, 10, 5)) / 3, [0], [0.5])
    played = model.log_probabilities(history)
    assert np.isfinite(played).all()
    return repr((model.recipe, files.digest({"": played})))


def _history(history):
    def make(folder):
        history.save(folder / "history.npz")
        return folder / "history.npz"

    return make


def _told(path):
    return files.digest({name: np.asarray(value) for name, value in vars(load_history(path)).items()})


def _report(folder):
    report.save(AUDIT, folder)
    return folder / "report.json"


def _page(path):
    found = report.load(path)
    return repr((found, page.page({"linucb": found}, {"linucb": {}}, [])))


def _results(folder):
    with sweeping.results(folder / "results.jsonl") as (file, _):
        for one in frontier.configurations(["linucb"], quick=True)[:3]:
            empty = dict.fromkeys(frontier.Row.__annotations__) | asdict(one)
            record = empty | {
                "depth": "stated",
                "layers": 3,
                "histories": 0,
                "note": "",
                "measured": 0.25,
                "more": {},
            }
            line = {"key": one.key, "status": "done", "record": record}
            file.write(json.dumps(files.sealed(line)).encode() + b"\n")
        file.write(
            json.dumps(files.sealed({"key": "k", "status": "failed", "reason": "no"})).encode() + b"\n"
        )
    return folder / "results.jsonl"


def _lines(path):
    with sweeping.results(path, frontier.Row) as (_, lines):
        return lines


def _manifest(folder):
    get = cached(folder, RUN.recipe, 0, 2)
    get(0), get(1)
    return folder / "manifest.jsonl"


def _batches(path):
    get = cached(path.parent, RUN.recipe, 0, 2)
    return [files.digest({name: getattr(get(n), name) for name in ("tokens", "labels")}) for n in (0, 1)]


def _batch(folder):
    _manifest(folder)
    return folder / "00000001.npz"


def _curve(folder):
    curves.write(folder, [{"step": 1, "loss": 0.5, "trained": 3.0}])
    files.write_json(folder / "records.json", {"records": {"size": [LINE]}})
    return folder / "records.json"


EPISODES = EpisodeHistory([0, 1, 0], actions=[0, 1], rewards=[0.5, 1.0], horizon=2)
KINDS = {
    "construction": Kind(_construction, _loaded),
    "trained": Kind(_trained, _model),
    "bandits": Kind(_history(CASE.history()), _told),
    "episodes": Kind(_history(EPISODES), _told),
    "report": Kind(_report, _page),
    "figures": Kind(_curve, report.figures),
    "results": Kind(_results, _lines),
    "manifest": Kind(_manifest, _batches),
    "batch": Kind(_batch, lambda path: _batches(path.parent / "manifest.jsonl")),
}


def flips(data, generator):
    """One to three bits."""
    changed = bytearray(data)
    for place in generator.integers(len(data), size=generator.integers(1, 4)):
        changed[place] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def cut(data, generator):
    """The end is missing."""
    return data[: generator.integers(len(data))]


def inserted(data, generator):
    """A few bytes more, or fewer."""
    start, more = int(generator.integers(len(data))), int(generator.integers(1, 9))
    return data[:start] + generator.bytes(more) + data[start + int(generator.integers(9)) :]


def exchanged(data, generator):
    """Two words, or else two pieces, change places."""
    words = [place for place in range(len(data) - 6) if data[place : place + 1] == b'"'][:400]
    size = int(generator.integers(4, 9))
    first, second = sorted(int(x) for x in generator.choice(words or len(data) - 9, 2))
    second = max(second, first + size)
    a, b = data[first : first + size], data[second : second + size]
    return data[:first] + b + data[first + size : second] + a + data[second + size :]


def swollen(data, generator):
    """A number in it, or a size in a header, is enormous or none."""
    digits = [place for place in range(min(len(data), 20_000)) if data[place : place + 1].isdigit()]
    choices = (b"9" * 12, b"9" * 6000, b"NaN", b"-Infinity", b"1e999", b"[" * 3000, b"[" * 200_000)
    if digits and generator.random() < 0.7:
        place = int(generator.choice(digits))
        return data[:place] + choices[generator.integers(len(choices))] + data[place + 1 :]
    place = int(generator.integers(min(len(data) - 8, 200))) if generator.random() < 0.5 else 0
    return data[:place] + b"\xff" * int(generator.integers(3, 9)) + data[place + 8 :]


def not_a_number(data, generator):
    """Eight bytes aligned as numbers are become NaN, and four."""
    place = int(generator.integers(max(1, len(data) // 8 - 1))) * 8
    nan = np.array(np.nan, [np.float64, np.float32][generator.integers(2)]).tobytes()
    return data[:place] + nan + data[place + len(nan) :]


VALUES = (None, "x" * 20_000, -1, 1e400, [], {}, [[[]]], True, float("nan"), 10**9, 2**70, 1e-300, 0.5)


def elsewhere(record, generator):
    """Another value, or none, somewhere in lists and objects, which are changed."""
    nodes, stack = [], [record]
    while stack:
        node = stack.pop()
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            nodes.append((node, key))
            if isinstance(value, dict | list):
                stack.append(value)
    node, key = nodes[generator.integers(len(nodes))]
    if generator.random() < 0.2:
        del node[key]
    else:
        node[key] = VALUES[generator.integers(len(VALUES))]


def forged(data, generator):
    """Another value somewhere, and checksums that fit."""
    make = forged_arrays if data[:2] == b"PK" else forged_json if data[:1] in b"{[" else forged_words
    return make(data, generator)


def forged_json(data, generator):
    lines = [json.loads(line) for line in ([data] if data[-1:] != b"\n" else data.splitlines())]
    elsewhere(lines[generator.integers(len(lines))], generator)
    texts = [json.dumps(files.sealed(one)) if files.SUM in one else json.dumps(one) for one in lines]
    return "\n".join(texts).encode() + (b"\n" if data[-1:] == b"\n" else b"")


def forged_words(data, generator):
    """The words of a file of tensors, one of which may be an object in JSON."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    words = {name: text for name, text in header["__metadata__"].items() if name != files.SUM}
    name = list(words)[generator.integers(len(words))]
    record = [json.loads(words[name]) if words[name][:1] in "{[" else words[name]]
    elsewhere(record, generator)
    words[name] = json.dumps(record[0]) if record else ""
    header["__metadata__"] = words | {files.SUM: files.digest({}, words)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[start:]


def forged_arrays(data, generator):
    arrays = files.unpacked(data)
    name = list(arrays)[generator.integers(len(arrays))]
    old = arrays[name]
    ways = (
        lambda: old[None],
        lambda: old.ravel()[:-1],
        lambda: old.astype(complex) if old.dtype.kind != "U" else old,
        lambda: old.astype("U9"),
        lambda: np.full_like(old, {"f": np.nan, "i": -3}.get(old.dtype.kind, "")),
        lambda: np.full(old.shape, 1e300),
        lambda: np.zeros((0,) * old.ndim),
    )
    arrays[name] = ways[generator.integers(len(ways))]()
    if files.SUM in arrays and name != files.SUM:
        arrays[files.SUM] = np.array(
            files.digest({n: a for n, a in arrays.items() if n not in (files.SUM, "format")})
        )
    return files.packed(arrays)


WAYS = (flips, cut, inserted, exchanged, swollen, not_a_number, forged)


def outcome(kind: Kind, path: Path, whole: Any, way: Callable) -> str:
    """What became of a damaged file: refused, the same all the same, another that promises nothing, or something wrong."""
    try:
        found = kind.read(path)
    except ValueError as error:
        text = str(error)
        if len(text) > 300 or "\n" in text:
            return f"WRONG: {len(text)} characters: {text[:80]!r}"
        return (
            "refused"
            if path.name in text or "manifest" in text or "line " in text
            else f"WRONG: no name: {text}"
        )
    except Exception as error:
        return f"WRONG: {type(error).__name__}: {str(error)[:80]}"
    if repr(found) == repr(whole):
        return "the same"
    if found == "nothing is promised":
        return "nothing is promised"
    if kind.read is _lines and all(whole.get(key) == line for key, line in found.items()):
        return "lines before a torn one"
    return "forged" if way is forged else f"WRONG: accepted: {repr(found)[:80]}"


def hunt(count: int, seed: int) -> tuple[Counter, float]:
    """Outcomes of so many damaged files, by kind and way in turn, and the seconds of the longest call."""
    generator, found, longest = np.random.default_rng(seed), Counter(), 0.0
    with TemporaryDirectory() as folder:
        made = {}
        for name, kind in KINDS.items():
            path = kind.make(Path(folder, name))
            made[name] = path, path.read_bytes(), kind.read(path)
        for number in range(count):
            name = list(KINDS)[number % len(KINDS)]
            way = WAYS[number // len(KINDS) % len(WAYS)]
            path, data, whole = made[name]
            damaged = way(data, generator)
            if damaged == data:
                found["no damage"] += 1
                continue
            path.write_bytes(damaged)
            if name == "batch" and way is forged:  # the manifest is forged too
                manifest = path.parent / "manifest.jsonl"
                sums = (hashlib.sha256(one).hexdigest() for one in (data, damaged))
                manifest.write_text(manifest.read_text().replace(*sums))
            start = time.perf_counter()
            what = outcome(KINDS[name], path, whole, way)
            longest = max(longest, time.perf_counter() - start)
            found[f"{name}, {way.__name__}: {what}" if "WRONG" in what else what] += 1
            path.write_bytes(data)
            if name == "batch" and way is forged:
                manifest.unlink()
            if name in ("manifest", "batch"):  # a line that is lost is made again
                KINDS["manifest"].make(path.parent)
    return found, longest


if __name__ == "__main__":
    outcomes, seconds = hunt(int(sys.argv[1]), int((sys.argv[2:] or [0])[0]))
    print(*(f"{times:6}  {what}" for what, times in outcomes.most_common()), sep="\n")
    print(f"longest call {seconds:.2f} s")
