"""Kills, full disks and several writers: nothing half-written is read as whole, and one line says what happened."""

import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import damage
import pytest
from effort import PROFILE
from faults import one_by_one

from constructions import files
from verify.cli import models as cli_models
from verify.sweeps import runner as sweeping
from verify.training import train

TESTS = Path(__file__).parents[1] / "tools"
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parents[1])]),
    "OMP_NUM_THREADS": "1",
}
KILLS = 200 if PROFILE == "nightly" else 5


def test_work_that_is_killed_leaves_whole_files_and_is_gone_on_from():
    command = [sys.executable, str(TESTS / "faults.py"), str(KILLS), "5"]
    shown = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert sum(int(line.split()[0]) for line in shown.stdout.splitlines() if ": killed" in line) == KILLS
    assert shown.stdout.count("gone on from to the same end") == 5


@pytest.mark.parametrize(
    ("how", "status"), [pytest.param(signal.SIGTERM, 143, marks=pytest.mark.nightly), (signal.SIGINT, 130)]
)
def test_a_command_that_is_told_to_end_says_one_line(how, status, tmp_path):
    words = [
        "train",
        "dpt-bernoulli",
        "--set",
        "horizon=5",
        "--every",
        "1",
        "--batch",
        "2",
        "--layers",
        "1",
        "--width",
        "8",
    ]
    command = [
        sys.executable,
        "-c",
        "from verify.__main__ import main; main()",
        *words,
        "--out",
        str(tmp_path),
    ]
    run = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "curve.png").exists():
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(how)
    try:
        said = run.communicate(timeout=30)[1]
    finally:
        run.kill()
    assert run.returncode == status
    assert "Traceback" not in said
    assert said.count("weightwright: interrupted; files that were written are whole\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.safetensors", "curve.json", "curve.png"]
    train.load(tmp_path / "checkpoint.safetensors")


def test_a_command_that_is_told_to_end_while_it_starts_says_one_line():
    code = "from verify.__main__ import main; print(flush=True); main()"
    command = [sys.executable, "-c", code, "verify", "--help"]
    run = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout.readline() == "\n"
    time.sleep(0.3)  # torch takes seconds
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=30)[1]
    assert (run.returncode, said) == (130, "weightwright: interrupted; files that were written are whole\n")


SWALLOWED = """
import time
from verify import __main__ as started
from verify.cli import commands

class Slow:
    def __del__(self):
        print(flush=True)
        time.sleep(5)

def app():
    Slow()
    while True:
        time.sleep(0.05)

commands.app = app
started.main()
"""


def test_an_interruption_that_comes_in_a_destructor_is_not_lost():
    """Python tells of what is raised there, and goes on."""
    command = [sys.executable, "-c", SWALLOWED]
    run = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert run.stdout.readline() == "\n"
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=30)[1]
    finally:
        run.kill()
    assert "Exception ignored in" in said
    assert run.returncode == 130
    assert said.endswith("weightwright: interrupted; files that were written are whole\n")


@pytest.fixture(params=range(2, 9) if PROFILE == "nightly" else [4])
def full(request, tmp_path):
    """A folder on a disk of two megabytes with so many pages left; or else files may not grow further."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        (folder / "ballast").write_bytes(bytes(2**21 - 4096 * request.param))
        yield folder
        subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096 * request.param, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, kept)


def test_a_full_disk_is_one_line_and_leaves_what_was_there(full):
    files.write(full / "model.safetensors", "what was there")
    for write in (
        lambda: files.write(full / "model.safetensors", bytes(100_000)),
        lambda: damage.CASE.built().save(full / "model.safetensors"),
        lambda: cli_models.write_report({"records": {}, "more": "x" * 100_000}, full, "report.json"),
    ):
        with pytest.raises(
            OSError, match=r"\.(safetensors|json): wanted to write it, got OSError: (No space|File too)"
        ):
            write()
        assert (full / "model.safetensors").read_text() == "what was there"
        assert set(os.listdir(full)) <= {"model.safetensors", "ballast"}


def test_a_sweep_on_a_full_disk_goes_on_where_there_is_room(full):
    path, tasks = full / "results.jsonl", [(f"n{number}", number) for number in range(8)]
    with pytest.raises(OSError, match=r"results.jsonl: wanted to write it, got OSError: (No space|File too)"):
        sweeping.sweep(lambda number: "x" * 20_000, tasks, path, one_by_one)
    (full / "ballast").unlink(missing_ok=True)
    if not list(full.parent.glob("disk/ballast")) and os.path.ismount(full):
        lines = sweeping.sweep(lambda number: "x" * 20_000, tasks, path, one_by_one)
        assert [line["status"] for line in lines.values()] == ["done"] * 8
        assert path.read_bytes().count(b"\n") == 8


def test_a_read_only_file_system_is_told_before_any_work(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount; a folder that is not to be written to is injected elsewhere")
    try:
        for look in (files.writable, files.placed, damage.CASE.built().save):
            with pytest.raises(ValueError, match="got one that is not to be written to"):
                look(folder / "new")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_several_writers_of_one_file_leave_one_of_theirs(tmp_path):
    path, texts = tmp_path / "file.json", [str(n) * (200_000 + 1000 * n) for n in range(8)]
    code = "import sys; from constructions import files\nfor _ in range(40): files.write(sys.argv[1], sys.argv[2] * 300_000)"
    others = [
        subprocess.Popen([sys.executable, "-c", code, str(path), word], env=ENVIRONMENT) for word in "ab"
    ]
    seen = set()
    with ThreadPoolExecutor(8) as pool:
        written = [pool.submit(files.write, path, text) for text in texts * 20]
        while not all(one.done() for one in written) or any(one.poll() is None for one in others):
            text = path.read_text() if path.exists() else "a" * 300_000
            assert text in texts or text in ("a" * 300_000, "b" * 300_000)
            seen.add(text[0])
        for one in written:
            one.result()
    assert [one.wait() for one in others] == [0, 0]
    assert len(seen) > 2
    assert os.listdir(tmp_path) == ["file.json"]
