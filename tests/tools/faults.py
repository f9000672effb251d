"""Work that writes files, killed at random moments; what is there afterwards, and what going on from it leads to.

    python tests/tools/faults.py KILLS [SEED]     so many kills, SIGKILL and SIGTERM in turn: outcomes by work

Everything is imported once; each piece of work runs in a fork of its own, which does not take seconds to start.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import damage
import torch
from planned import planned
from safetensors.torch import load_file
from tiny_cases import CASES

from verify import __main__ as started_by
from verify import errata
from verify.catalog import CATALOG
from verify.cli import audits
from verify.show.report import load as load_report
from verify.sweeps import runner as sweeping
from verify.training import train

RUN = replace(damage.RUN, steps=6)
TASKS = [(f"n{number}", number) for number in range(60)]


def command(*words):
    """The console command, as a person would run it."""
    sys.argv = ["weightwright", *map(str, words)]
    started_by.main()


def save(folder):
    """Constructions and histories, again and again."""
    for number in range(8):
        CASES["linucb newton"].built().save(folder / "built.safetensors")
        damage.EPISODES.save(folder / f"{number % 3}.npz")


def training(folder):
    train.train(RUN, folder, resume=True, every=1)


def square(number):
    time.sleep(0.002)
    return {"square": number**2}


def one_by_one(function, tasks):
    for key, task in tasks:
        yield sweeping.attempt(function, key, task)


def sweep(folder):
    sweeping.sweep(square, TASKS, folder / "results.jsonl", one_by_one)


def verify(folder):
    audits.AUDITED = ["linucb", "thompson"]
    for name in audits.AUDITED:
        CATALOG[name] = replace(CATALOG[name], claims=planned(damage.AUDIT))
    errata.ERRATA = errata.ERRATA[:1]
    command("verify", "all", "--json", "--jobs", "1", "--out", folder)


def inspect(folder):
    command("inspect", "linucb", "--html", "--out", folder)


WORK = (save, training, sweep, verify, inspect)


def whole(work, folder):
    """Read all that is there; returns how many files."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part"]
    for path in found:
        if path.suffix == ".npz":
            assert damage._told(path)
        elif path.name == "built.safetensors":
            assert damage._loaded(path) != "nothing is promised"
        elif path.suffix == ".safetensors":
            train.load(path)
        elif path.name == "report.json":
            assert load_report(path).holds
        elif path.suffix == ".html":
            assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
        elif path.suffix == ".svg":
            assert path.read_text(encoding="utf-8").rstrip().endswith("</svg>")
        elif path.suffix == ".png":
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        else:
            assert path.name == "results.jsonl"
            with sweeping.results(path):  # drops a torn line, as the next sweep does
                pass
    return len(found)


def started(work, folder):
    """A fork at work, quiet; its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1), os.dup2(quiet, 2)
        work(folder)
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        os._exit(status)


def _begun(folder, took):
    """Wait until something is being written, or for as long as all the work takes."""
    seen, start = set(folder.rglob("*")), time.monotonic()
    while set(folder.rglob("*")) <= seen and time.monotonic() - start < took:
        time.sleep(0.0005)


def kills(count, seed):
    """Outcomes of so many kills, work by work; the folder of a work is kept over several, as a person's would be.

    Half come at any time, half just when the first file is being written.
    """
    generator = random.Random(seed)
    train._products = lambda *_: nullcontext()  # which library is quicker is no matter here: bits are
    torch.set_num_threads(1)
    small = {"dim": 2, "actions": 3, "horizon": 5, "error": 0.1, "solver": "newton"}
    CATALOG["linucb"] = replace(CATALOG["linucb"], example=small)
    for work in WORK:
        found = Counter()
        with TemporaryDirectory() as scratch:
            calm, folder = Path(scratch, "calm"), Path(scratch, "folder")
            start = time.monotonic()
            assert os.waitpid(started(work, calm), 0)[1] == 0
            took = time.monotonic() - start
            dead, number = 0, -1
            while dead < count // len(WORK):
                number += 1
                assert number < 10 * count, "hardly any was still at work when it was killed"
                folder.mkdir(exist_ok=True)
                pid = started(work, folder)
                if number // 2 % 2:
                    _begun(folder, took)
                    time.sleep(generator.uniform(0, 0.01))
                else:
                    time.sleep(generator.uniform(0, 0.9 * took))
                how = (signal.SIGKILL, signal.SIGTERM)[number % 2]
                os.kill(pid, how)
                status = os.waitpid(pid, 0)[1]
                ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                assert ended in (0, -how, 143), ended  # 143: told to end, and ended cleanly
                dead += ended != 0
                files = whole(work, folder)
                left = len(list(folder.rglob("*.part")))
                assert left <= 4  # one for each name at most, used again
                found[
                    f"{work.__name__}: {'killed' if ended else 'ended before'}, {'files' if files else 'nothing yet'}"
                ] += 1
                if number % 5 == 4 or dead == count // len(WORK):  # go on to the end, and begin anew
                    assert os.waitpid(started(work, folder), 0)[1] == 0
                    assert whole(work, folder) == whole(work, calm)
                    same(work, folder, calm)
                    found[f"{work.__name__}: gone on from to the same end"] += 1
                    for path in sorted(folder.rglob("*"), reverse=True):
                        path.rmdir() if path.is_dir() else path.unlink()
        yield found


def same(work, folder, calm):
    """Hold what was gone on with to what was never interrupted."""
    if work is training:
        one, other = (load_file(place / "model.safetensors") for place in (folder, calm))
        assert all(torch.equal(one[name], value) for name, value in other.items())
    elif work is sweep:
        assert (folder / "results.jsonl").read_bytes() == (calm / "results.jsonl").read_bytes()
    else:
        names = {path.relative_to(calm) for path in calm.rglob("*") if path.is_file()}
        assert names == {
            path.relative_to(folder)
            for path in folder.rglob("*")
            if path.suffix != ".part" and path.is_file()
        }


if __name__ == "__main__":
    for found in kills(int(sys.argv[1]), int((sys.argv[2:] or [0])[0])):
        for what, times in sorted(found.items()):
            print(f"{times:5}  {what}", flush=True)
