"""Many configurations, each worked off once: by processes of this machine, or by a Dask cluster.

A task is a key and whatever a function turns into a record. Its outcome is one line of a file (results.py), written by the
client alone, one at a time, as outcomes come in. A kill loses the tasks in flight, no line: the next sweep with the same
file drops a torn last line and goes on with the keys that are missing. A function that raises fails its own key, and so does
one that kills its worker ATTEMPTS times; neither stops the sweep. Failed keys are not tried again: remove the line, or the
file, to do so.
"""

import importlib
import json
import multiprocessing
import os
import signal
import socket
import threading
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from constructions import files
from verify.sweeps.results import Line, results

Task = tuple[str, Any]
Function = Callable[[Any], Any]
Runner = Callable[[Function, Sequence[Task]], Generator[str, None, None]]
"""Turns tasks into lines, each once, in any order."""
Progress = Callable[[int, int, int], None]
"""Told how many keys are done, how many failed, and how many there are."""

ATTEMPTS = 3
"""How often a configuration may take its worker process with it."""
PATIENCE = 10
"""Seconds that a scheduler may take to answer, or to find a worker."""
AGAIN = "the same command goes on from here"


def sweep(
    function: Function,
    tasks: Sequence[Task],
    path: Path,
    run: Runner,
    progress: Progress = lambda done, failed, whole: None,
    kind: Any = Any,
) -> dict[str, Line]:
    """Work off the tasks that a file of results lacks; returns the lines of all, in the order of the tasks.

    Args:
        function: from a task to a JSON value, importable in the workers.
        tasks: keys, all different, and arguments.
        path: the file, made if need be; lines of other keys are left alone.
        run: `in_processes(…)` or `on_cluster(…)`.
        progress: told about every line.
        kind: what records that the file has already are held to: a dataclass, a TypedDict.

    Raises:
        ValueError: if keys repeat, the file is none of ours or in use by another sweep, or no cluster is found.
    """
    keys = [key for key, _ in tasks]
    if len(set(keys)) != len(keys):
        raise ValueError(f"tasks: wanted keys all different, got {len(keys) - len(set(keys))} of them again")
    with results(path, kind) as (file, lines):
        missing = [(key, task) for key, task in tasks if key not in lines]

        def tell() -> None:
            known = [lines[key]["status"] for key in keys if key in lines]
            progress(len(known), known.count("failed"), len(keys))

        tell()
        with closing(run(function, missing)) as found:
            for text in found:
                line = json.loads(text)
                files.add(file, json.dumps(files.sealed(line)))
                lines[line["key"]] = line
                tell()
    return {key: lines[key] for key in keys}


def attempt(function: Function, key: str, task: Any) -> str:
    """What runs in a worker: the line of one task, whether the function returns or raises."""
    try:
        return json.dumps({"key": key, "status": "done", "record": function(task)}, allow_nan=False)
    except Exception as error:  # whatever it is, the sweep goes on and the file says so
        return _failed(key, f"{type(error).__name__}: {error}")


def _failed(key: str, reason: str) -> str:
    return json.dumps({"key": key, "status": "failed", "reason": reason})


def in_processes(workers: int) -> Runner:
    """Processes of this machine, each a pool of its own: where one dies, it is known on which task."""

    def run(function: Function, tasks: Sequence[Task]) -> Generator[str, None, None]:
        waiting = deque((key, task, 1) for key, task in tasks)
        idle = [_pool() for _ in range(max(1, min(workers, len(tasks))))]
        running: dict[futures.Future, tuple[futures.ProcessPoolExecutor, str, Any, int]] = {}
        try:
            while waiting or running:
                while waiting and idle:
                    pool, (key, task, tries) = idle.pop(), waiting.popleft()
                    pool, future = _submitted(pool, function, key, task)
                    running[future] = (pool, key, task, tries)
                for future in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
                    pool, key, task, tries = running.pop(future)
                    try:
                        text = future.result()
                    except BrokenProcessPool:
                        pool.shutdown(wait=False)
                        pool, text = _pool(), None
                    idle.append(pool)
                    if text is None and tries < ATTEMPTS:
                        waiting.append((key, task, tries + 1))
                    else:
                        yield text or _failed(
                            key, f"its worker process died, {ATTEMPTS} times out of {ATTEMPTS}"
                        )
        finally:
            for pool in [*idle, *(each[0] for each in running.values())]:
                pool.shutdown(wait=False, cancel_futures=True)

    return run


def _pool() -> futures.ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # torch and threads do not survive a fork
    return futures.ProcessPoolExecutor(1, mp_context=context, initializer=_start)


def _submitted(
    pool: futures.ProcessPoolExecutor, function: Function, key: str, task: Any
) -> tuple[futures.ProcessPoolExecutor, futures.Future]:
    """The task handed to a pool, or to a new one where the process died while it had nothing to do."""
    try:
        return pool, pool.submit(attempt, function, key, task)
    except BrokenProcessPool:
        pool.shutdown(wait=False)
        return (fresh := _pool()), fresh.submit(attempt, function, key, task)


def _start() -> None:
    """A worker leaves interrupts to the client, and goes when the client has gone, however that happened."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave, daemon=True).start()


def _leave() -> None:
    client = multiprocessing.parent_process()
    if client is not None:
        client.join()
        os._exit(1)


def on_cluster(address: str) -> Runner:
    """The workers of a Dask scheduler that already runs; weightwright must be installed there too.

    Dask itself runs a task again whose worker died. It blames every task of that worker, so those that it gives up on are
    run once more, one by one, before they count as failed.
    """

    def run(function: Function, tasks: Sequence[Task]) -> Generator[str, None, None]:
        distributed = _distributed()
        with _client(distributed, address) as client:
            _check_workers(client, function)
            blamed = []
            for task, text in _outcomes(distributed, client, function, tasks):
                if text is None:
                    blamed.append(task)
                else:
                    yield text
            for one in blamed:
                [(_, text)] = _outcomes(distributed, client, function, [one])
                yield text or _failed(one[0], "its worker process died, each time that Dask tried again")

    return run


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError:
        raise ValueError(
            "--dask: wanted dask[distributed], got none; pip install 'weightwright[dask]'"
        ) from None


@contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    """A client of a scheduler that answers and has a worker."""
    try:  # that somebody listens is asked first: a client that finds nobody may keep its process from ending
        place = distributed.comm.addressing.get_address_host_port(address)
        socket.create_connection(place, timeout=PATIENCE).close()
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except Exception as error:  # Dask has no one kind of error for this
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"--dask: wanted the address of a scheduler, got {address}: {reason}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise ValueError(f"--dask: wanted a scheduler with workers, got none at {address}") from None
        yield client


def _check_workers(client: Any, function: Function) -> None:
    """Import what workers will run: a worker that is handed what it lacks does not raise but closes."""
    try:
        for name in (__name__, function.__module__):
            client.run(eval, f"__import__({name!r}) and None")
    except ImportError as error:
        raise ValueError(f"--dask: wanted weightwright installed where the workers are: {error}") from None


def _outcomes(
    distributed: Any, client: Any, function: Function, tasks: Sequence[Task]
) -> Iterator[tuple[Task, str | None]]:
    """Tasks as they come back, with their lines, or None where Dask gave up after workers died."""
    batch = uuid.uuid4().hex  # never the results of an earlier client
    waiting = {
        client.submit(attempt, function, *task, key=f"{batch} {task[0]}", pure=False): task for task in tasks
    }
    while waiting:
        try:
            with client.as_current():
                ready = distributed.wait(list(waiting), timeout=PATIENCE, return_when="FIRST_COMPLETED").done
            for future in ready:
                text = _text(distributed, future)
                yield waiting.pop(future), text
        except TimeoutError:
            if client.status == "running" and not client.nthreads():
                raise ValueError(f"--dask: the last worker is gone; {AGAIN}") from None
        except futures.CancelledError:
            raise ValueError(f"--dask: the scheduler is gone; {AGAIN}") from None


def _text(distributed: Any, future: Any) -> str | None:
    """The line of a task that has ended, None where Dask gave up."""
    try:
        return future.result(timeout=PATIENCE)  # which may be lost again with its worker
    except distributed.scheduler.KilledWorker:
        return None
    except (TimeoutError, futures.CancelledError):
        raise
    except Exception as error:
        raise ValueError(f"--dask: workers cannot run this: {type(error).__name__}: {error}") from error
