"""Entry point of the command `weightwright` and of `python -m verify`: what ends it early is one line.

Signals are heard before the libraries are imported, which takes seconds.
"""

import os
import signal
import sys


def main() -> None:
    """Run the command line; one clear line, no traceback, for whatever ends it early.

    Exit status: 0, all holds; 1, a claim or a task failed; 2, bad input or a disk that fails; 130 interrupted (Ctrl-C);
    143 told to end (SIGTERM). What was written is whole in every case.
    """
    received: list[int] = []

    def stop(number: int, frame: object) -> None:
        received.append(number)
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_DFL)  # a second one does not wait
        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        raise KeyboardInterrupt

    def again(number: int, frame: object) -> None:
        raise KeyboardInterrupt  # the first may have been raised in a destructor, where Python ignores it

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, stop)
    try:
        from verify.cli.commands import app  # which takes seconds: whoever waits may give up

        app()
    except BaseException as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if received:  # whatever libraries made of it on its way here
            print("weightwright: interrupted; files that were written are whole", file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
            # at once: workers see it and go, though they are in the middle of a task
            os._exit(128 + received[0])
        if not isinstance(error, (ValueError, OSError, MemoryError)):
            raise
        line = " ".join(str(error).split()) or type(error).__name__
        print(f"weightwright: {line}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
