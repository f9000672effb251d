"""What workers do in the tests of sweeping.py: cheap functions that sleep, raise, or kill the process that they run in."""

import os
import signal
import sys
import time
from pathlib import Path

from verify.sweeps import runner as sweeping


def square(task):
    """n² after a pause, and who worked it out."""
    number, pause = task
    time.sleep(pause)
    return {"square": number**2, "worker": os.getpid()}


def moody(number):
    """Half of the tasks fail, each in a way of its own."""
    if number % 8 == 1:
        raise RuntimeError(f"no {number}")
    if number % 8 == 3:
        return float("nan")
    if number % 8 == 5:
        return object()
    if number % 8 == 7:
        raise Unpicklable(number)
    return {"number": number}


class Unpicklable(Exception):
    """An exception that does not survive the way back."""

    def __init__(self, number):
        super().__init__()
        self.held = lambda: number


def deadly(task):
    """Kills its worker: always, until a file says that it did, or never."""
    number, when, folder = task
    if when == "always" or (when == "once" and not (Path(folder) / str(number)).exists()):
        (Path(folder) / str(number)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def squares(count, pause):
    """Tasks for `square`."""
    return [(f"n{n}", (n, pause)) for n in range(count)]


if __name__ == "__main__":  # a client to be killed: FILE COUNT PAUSE [ADDRESS]
    path, count, pause, *address = sys.argv[1:]
    from sweeping_tasks import square as named  # workers know it by this name

    run = sweeping.on_cluster(address[0]) if address else sweeping.in_processes(2)
    sweeping.sweep(named, squares(int(count), float(pause)), Path(path), run)
