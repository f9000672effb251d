"""Sweeps: nothing lost, nothing twice, whoever is killed; and what the frontier's records say."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import dask
import distributed
import numpy as np
import psutil
import pytest
import sweeping_tasks
from sweeping_tasks import deadly, moody, square, squares
from typer.testing import CliRunner

from constructions import files, linucb, thompson
from verify import algorithms, theorems
from verify.cli import commands as cli
from verify.sweeps import grid as frontier
from verify.sweeps import runner as sweeping
from verify.sweeps.grid import Configuration
from verify.theorems import linucb as stated
from verify.theorems import thompson as stated_thompson
from verify.theorems import thompson_whole

SMALL = [
    Configuration(algorithm, solver, horizon, error, dim=2, actions=3)
    for algorithm in frontier.SWEPT
    for solver in frontier.solvers(algorithm)
    for horizon in (5, 10)
    for error in (1e-1, 1e-2)
]
TESTS = Path(__file__).parents[1] / "tools"


@pytest.fixture(scope="module")
def cluster():
    """Three worker processes; Dask gives up on a task after the second worker that died under it."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as started,
    ):
        yield started


@pytest.fixture(params=["processes", "cluster"])
def run(request):
    """Both ways to work tasks off."""
    if request.param == "processes":
        return sweeping.in_processes(3)
    return sweeping.on_cluster(request.getfixturevalue("cluster").scheduler_address)


def workers(run_of):
    """Process ids of the workers that run just now."""
    if run_of == "processes":
        return [child.pid for child in multiprocessing.active_children() if "Spawn" in child.name]
    with distributed.Client(run_of.scheduler_address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def saved(path):
    return [json.loads(text) for text in path.read_text().splitlines()]


def each_once(path, tasks):
    return Counter(line["key"] for line in saved(path)) == Counter(key for key, _ in tasks)


def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(run, request, tmp_path):
    where = "processes" if "processes" in request.node.name else request.getfixturevalue("cluster")
    tasks, path, killed = squares(240, 0.01), tmp_path / "deep" / "results.jsonl", []

    def kill(done, failed, whole):
        if done >= 60 and not killed:
            killed.append(workers(where)[0])
            os.kill(killed[0], signal.SIGKILL)

    lines = sweeping.sweep(square, tasks, path, run, kill)
    assert killed
    assert list(lines) == [key for key, _ in tasks]
    assert [line["record"]["square"] for line in lines.values()] == [n**2 for n in range(240)]
    assert each_once(path, tasks)
    at_work = [line["record"]["worker"] for line in saved(path)]
    assert killed[0] in at_work[:60]
    assert killed[0] not in at_work[-60:]


def test_what_kills_its_worker_every_time_fails_and_nothing_else_does(run, tmp_path):
    kinds = {7: "always", 20: "once", 33: "always"}
    tasks = [(f"n{n}", (n, kinds.get(n, "never"), str(tmp_path))) for n in range(40)]
    lines = sweeping.sweep(deadly, tasks, tmp_path / "results.jsonl", run)
    failed = {key: line["reason"] for key, line in lines.items() if line["status"] == "failed"}
    assert sorted(failed) == ["n33", "n7"]
    assert all("its worker process died" in reason for reason in failed.values())
    assert [line["record"] for line in lines.values() if line["status"] == "done"] == [
        n for n in range(40) if kinds.get(n) != "always"
    ]
    assert each_once(tmp_path / "results.jsonl", tasks)


def test_what_raises_or_returns_no_json_fails_alone(run, tmp_path):
    told, tasks = [], [(f"n{n}", n) for n in range(16)]
    lines = sweeping.sweep(moody, tasks, tmp_path / "results.jsonl", run, lambda *now: told.append(now))
    assert [line["status"] for line in lines.values()] == ["done", "failed"] * 8
    assert all(lines[f"n{n}"]["record"] == {"number": n} for n in range(0, 16, 2))
    reasons = [lines[f"n{n}"]["reason"] for n in (1, 3, 5, 7)]
    assert reasons[0] == "RuntimeError: no 1"
    assert [reason.split(":")[0] for reason in reasons[1:]] == ["ValueError", "TypeError", "Unpicklable"]
    assert told[0] == (0, 0, 16)
    assert told[-1] == (16, 8, 16)
    assert [done for done, _, _ in told] == list(range(17))


@pytest.mark.parametrize("where", ["processes", "cluster"])
def test_a_client_killed_in_the_middle_is_gone_on_from(where, request, tmp_path):
    path, tasks = tmp_path / "results.jsonl", squares(200, 0.02)
    address = [] if where == "processes" else [request.getfixturevalue("cluster").scheduler_address]
    command = [sys.executable, str(TESTS / "sweeping_tasks.py"), str(path), "200", "0.02", *address]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parents[1])])}
    client = subprocess.Popen(command, env=environment)
    while not path.exists() or path.read_bytes().count(b"\n") < 20:
        assert client.poll() is None
        time.sleep(0.02)
    client.kill()
    client.wait()
    before = path.read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    known = {json.loads(text)["key"] for text in whole.splitlines()}
    assert 20 <= len(known) < 200
    if where == "processes":
        owners = {line["record"]["worker"] for line in map(json.loads, whole.splitlines())}
        gone = time.monotonic() + 10
        while any(map(psutil.pid_exists, owners)) and time.monotonic() < gone:
            time.sleep(0.05)
        assert not any(map(psutil.pid_exists, owners))
    path.write_bytes(whole + b'{"key": "n199", "status": "do')  # torn off while it was written
    again = sweeping.on_cluster(address[0]) if address else sweeping.in_processes(2)
    asked = []

    def noting(function, missing):
        asked.extend(key for key, _ in missing)
        yield from again(function, missing)

    lines = sweeping.sweep(square, tasks, path, noting)
    assert path.read_bytes().startswith(whole)
    assert set(asked) == {key for key, _ in tasks} - known
    assert each_once(path, tasks)
    assert [line["record"]["square"] for line in lines.values()] == [n**2 for n in range(200)]


def test_a_process_that_dies_while_it_has_nothing_to_do_is_replaced(tmp_path):
    run = sweeping.in_processes(1)(square, squares(3, 0))
    first = json.loads(next(run))["record"]["worker"]  # paused at the line: the pool is idle
    os.kill(first, signal.SIGKILL)
    time.sleep(0.5)
    rest = [json.loads(text) for text in run]
    assert [line["record"]["square"] for line in rest] == [1, 4]
    assert first not in [line["record"]["worker"] for line in rest]


def nothing(function, tasks):
    assert not tasks
    yield from ()


def test_a_finished_sweep_asks_for_nothing_more(tmp_path):
    path = tmp_path / "results.jsonl"
    lines = sweeping.sweep(moody, [(f"n{n}", n) for n in range(4)], path, sweeping.in_processes(1))
    text = path.read_bytes()
    assert sweeping.sweep(moody, [(f"n{n}", n) for n in range(4)], path, nothing) == lines
    assert list(sweeping.sweep(moody, [("n2", 2)], path, nothing)) == ["n2"]
    assert path.read_bytes() == text


GOOD = json.dumps(files.sealed({"key": "n0", "status": "done", "record": 0})).encode() + b"\n"


@pytest.mark.parametrize(
    ("text", "number"), [(b"{\n", 1), (GOOD + GOOD, 2), (GOOD + b"3\n" + b'{"torn', 2), (b"\n", 1)]
)
def test_a_file_that_is_none_of_ours_is_left_as_it_is(text, number, tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=f"line {number}: wanted the outcome of one new key"):
        sweeping.sweep(moody, [("n2", 2)], path, nothing)
    assert path.read_bytes() == text


def test_two_sweeps_do_not_share_a_file_nor_two_tasks_a_key(tmp_path):
    path = tmp_path / "results.jsonl"
    with sweeping.results(path), pytest.raises(ValueError, match="one that another writes to"):
        sweeping.sweep(moody, [("n2", 2)], path, nothing)
    with pytest.raises(ValueError, match="keys all different, got 1"):
        sweeping.sweep(moody, [("n2", 2), ("n2", 3)], path, nothing)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", ""])
def test_a_bad_address_is_one_clear_line(address, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeping, "PATIENCE", 1)
    with pytest.raises(ValueError, match="--dask: wanted the address of a scheduler, got") as caught:
        sweeping.sweep(square, squares(2, 0), tmp_path / "results.jsonl", sweeping.on_cluster(address))
    assert "\n" not in str(caught.value)


def test_a_bad_address_on_the_command_line(tmp_path):
    words = ["weightwright", "sweep", "--quick", "--dask", "tcp://127.0.0.1:1", "--out", str(tmp_path)]
    code = f"import sys; sys.argv = {words}; from verify.sweeps import runner; runner.PATIENCE = 1; "
    code += "from verify import __main__; __main__.main()"
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert shown.returncode == 2
    said = [line for line in shown.stderr.splitlines() if not line.startswith("sweep ")]
    assert len(said) == 1
    assert said[0].startswith(
        "weightwright: --dask: wanted the address of a scheduler, got tcp://127.0.0.1:1"
    )


def test_dask_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"^--dask: wanted dask\[distributed\], got none; pip install"):
        sweeping.sweep(square, squares(2, 0), tmp_path / "results.jsonl", sweeping.on_cluster("tcp://x:1"))
    lines = sweeping.sweep(square, squares(2, 0), tmp_path / "results.jsonl", sweeping.in_processes(1))
    assert len(lines) == 2


@pytest.fixture
def start():
    """Starts parts of a cluster as a person would, each a process of its own; they end with the test."""
    started = []

    def start(*words):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parents[1])])}
        command = [sys.executable, "-m", "dask", *words]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_cluster_without_workers_and_one_that_goes_away(start, tmp_path, monkeypatch):
    path, tasks, place = tmp_path / "results.jsonl", squares(60, 0.05), tmp_path / "scheduler.json"
    scheduler = start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(place))
    waited = time.monotonic()
    while not place.exists() and time.monotonic() < waited + 30:
        time.sleep(0.05)
    address = json.loads(place.read_text())["address"]
    run = sweeping.on_cluster(address)
    monkeypatch.setattr(sweeping, "PATIENCE", 1)
    with pytest.raises(ValueError, match="wanted a scheduler with workers, got none"):
        sweeping.sweep(square, tasks, path, run)
    monkeypatch.setattr(sweeping, "PATIENCE", 20)
    words = ("worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard")
    for name, message in (
        ("worker", "the last worker is gone; the same command goes on from here"),
        ("scheduler", "the scheduler is gone; the same command goes on from here"),
    ):
        victim = {"worker": start(*words), "scheduler": scheduler}[name]

        before = len(saved(path))

        def kill(done, failed, whole, victim=victim, before=before):
            if done == before + 5:
                victim.kill()
                sweeping.PATIENCE = 1

        with pytest.raises(ValueError, match=message):
            sweeping.sweep(square, tasks, path, run, kill)
        sweeping.PATIENCE = 20
    assert 10 <= len(saved(path)) < 60
    lines = sweeping.sweep(square, tasks, path, sweeping.in_processes(2))
    assert [line["record"]["square"] for line in lines.values()] == [n**2 for n in range(60)]
    assert each_once(path, tasks)


def test_workers_that_lack_the_function_stop_the_sweep(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(square, "__module__", "not_installed_there")
    monkeypatch.setitem(sys.modules, "not_installed_there", sweeping_tasks)
    run = sweeping.on_cluster(cluster.scheduler_address)
    with pytest.raises(ValueError, match=r"--dask: wanted weightwright installed .*not_installed_there"):
        sweeping.sweep(square, squares(2, 0), tmp_path / "results.jsonl", run)
    assert not (tmp_path / "results.jsonl").read_bytes()


def test_records_are_the_same_wherever_they_are_made(cluster, tmp_path):
    few = SMALL[::3]
    tasks = [(one.key, one) for one in few]
    runs = {"here": sweeping.in_processes(1), "there": sweeping.on_cluster(cluster.scheduler_address)}
    found = {
        name: sweeping.sweep(frontier.evaluate, tasks, tmp_path / name, run) for name, run in runs.items()
    }
    assert found["here"] == found["there"]
    assert all(line["status"] == "done" for line in found["here"].values())
    records = [line["record"] for line in found["here"].values()]
    assert records[5] == frontier.evaluate(few[5])
    for one, record in zip(few, records, strict=True):
        assert (record["algorithm"], record["solver"], record["horizon"], record["error"]) == (
            one.algorithm,
            one.solver,
            one.horizon,
            one.error,
        )
        if one.solver == "theorem":
            assert record["stored"] is record["certificate"] is record["measured"] is record["holds"] is None
        else:
            assert 0 < record["measured"] <= record["certificate"] + record["rounding"]
            assert record["certificate"] <= one.error
            assert record["holds"]


@pytest.mark.parametrize(("solver", "horizon"), [("gd", 5), ("newton", 5), ("newton", 1000)])
def test_a_record_holds_the_sizes_of_what_is_built(solver, horizon):
    one = Configuration("linucb", solver, horizon, 1e-2, dim=2, actions=3)
    record = json.loads(json.dumps(frontier.evaluate(one), allow_nan=False))
    built = linucb.build(linucb.Spec(2, 3, horizon, 1e-2, solver=solver))
    size = built.size()
    for name in ("layers", "heads", "width", "hidden", "stored", "dense"):
        assert record[name] == getattr(size, name)
    assert record["certificate"] == built.certificate
    assert (record["measured"] is None) == bool(record["note"]) == (horizon > frontier.LONGEST)


@pytest.mark.parametrize("algorithm", ["linucb", "thompson"])
def test_of_many_layers_that_are_not_tied_only_the_number_is_recorded(algorithm, monkeypatch):
    one = Configuration(algorithm, "chebyshev", 10, 1e-2, dim=2, actions=3)
    record = frontier.evaluate(one)
    monkeypatch.setattr(frontier, "MOST_STORED", record["layers"] - 1)
    planned = frontier.evaluate(one)
    assert planned.keys() == record.keys()
    assert planned["layers"] == record["layers"]
    assert planned["stored"] is planned["certificate"] is planned["measured"] is planned["holds"] is None
    assert record["stored"]


def test_measured_errors_are_those_of_the_worst_history():
    one = Configuration("linucb", "agd", 10, 1e-2, dim=2, actions=3)
    built, histories = linucb.build(one.spec()), frontier.hard_histories(one.spec())
    wrong = [np.abs(built.log_probabilities(h) - algorithms.linucb(one.spec(), h)).max() for h in histories]
    record = frontier.evaluate(one)
    assert record["measured"] == pytest.approx(max(wrong), rel=1e-6)
    assert record["histories"] == len(wrong)
    assert record["measured"] > 0.3 * record["certificate"]


def test_a_certificate_that_is_too_small_is_noticed(monkeypatch):
    one, entry = Configuration("linucb", "agd", 10, 1e-2, dim=2, actions=3), frontier.CATALOG["linucb"]

    def claiming(certificate):
        build = lambda spec: replace(entry.build(spec), sealed_certificate=certificate)  # noqa: E731
        monkeypatch.setitem(frontier.CATALOG, "linucb", replace(entry, build=build))

    claiming(1e-3)
    assert frontier.evaluate(one)["holds"] is False
    claiming(1.0)
    assert frontier.evaluate(one)["holds"] is False  # more than was asked for


def test_the_theorems_layers_are_those_of_its_formulas():
    record = frontier.evaluate(Configuration("linucb", "theorem", 50, 1e-3))
    assert record["layers"] == 2416  # that of docs/built.md
    assert record["heads"] == stated.THEOREM_8_EXPLICIT.evaluate("heads", actions=10)
    assert record["depth"] == "stated"
    posterior = frontier.evaluate(Configuration("thompson", "theorem", 200, 1e-3))
    spec = thompson.Spec(5, 10, 200, 1e-3, form="sampling")
    vectors = 1e-3 / 2 / (np.sqrt(5) + 8)
    values = theorems.symbols(spec) | {"error_3": vectors}
    formula = stated_thompson.at_event(thompson_whole.STATED_LAYERS)
    assert posterior["layers"] == np.ceil(theorems.evaluate(formula, **values))


def test_the_grid_has_every_solver_horizon_and_error_once():
    grid = frontier.configurations()
    solvers = [solver for algorithm in frontier.SWEPT for solver in frontier.solvers(algorithm)]
    assert len({one.key for one in grid}) == len(grid) == len(solvers) * 11 * 5
    assert {one.horizon for one in grid} >= {10, 100, 1000, 10**4, 10**5, 10**6}
    quick = frontier.configurations(quick=True)
    assert {one.key for one in quick} < {one.key for one in grid}
    assert set(sum(frontier.ROUTES.values(), ())) == set(solvers)
    for wrong in ({"algorithm": "ucbvi"}, {"solver": "pade"}):
        with pytest.raises(ValueError, match="wanted"):
            replace(grid[0], **wrong)


@pytest.mark.nightly
def test_the_command_tabulates_draws_and_goes_on(tmp_path, monkeypatch):
    chosen = [replace(one, error=error) for one in SMALL[:20:2] for error in (1e-2, 1e-3)]
    chosen = list(dict.fromkeys(chosen))
    monkeypatch.setattr(frontier, "configurations", lambda names, quick: chosen)
    monkeypatch.setattr(frontier, "ERROR_HORIZON", 10)
    words = ["sweep", "linucb", "--workers", "1", "--out", str(tmp_path)]
    shown = CliRunner().invoke(cli.app, [*words, "--json"])
    assert shown.exit_code == 0
    record = json.loads(shown.stdout)
    assert record == json.loads((tmp_path / "records.json").read_text())
    assert len(record["rows"]) == len(chosen)
    assert record["failed"] == []
    [newton] = [row for row in record["layers"] if row["solver"] == "newton"]
    spec = linucb.Spec(2, 3, 10, 1e-3, solver="newton")
    assert (newton["route"], newton["layers"]["10"]) == ("ours", linucb.build(spec).size().layers)
    panels = record["records"]["linucb"]
    assert [len(panel["curves"]) for panel in panels] == [5, 8]
    assert (tmp_path / "linucb.png").stat().st_size > 1000
    redrawn = CliRunner().invoke(
        cli.app, ["plot", str(tmp_path / "records.json"), "--out", str(tmp_path / "new")]
    )
    assert redrawn.exit_code == 0
    assert (tmp_path / "new" / "linucb.svg").read_bytes() == (tmp_path / "linucb.svg").read_bytes()
    path = tmp_path / "results.jsonl"
    lines = saved(path)
    lines[0] = {"key": lines[0]["key"], "status": "failed", "reason": "ValueError: no"}
    lines[-1]["record"]["holds"] = False
    path.write_text("".join(json.dumps(files.sealed(line)) + "\n" for line in lines))
    again = CliRunner().invoke(cli.app, words, env={"COLUMNS": "100"})
    assert again.exit_code == 1
    assert "newton" in again.stdout
    assert f"failed: {lines[0]['key']}: ValueError: no" in again.stderr
    assert f"failed: {lines[-1]['key']}: measured ≤ certified does not hold" in again.stderr
