"""Run a command under a time limit and measure what it took.

``run`` goes through a process of its own, which is this file as a script: the largest memory of a process is never told to be less than
that of the process that started it, and the harness itself holds data.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """What a command took. ``status`` is its exit status, or the negative number of the signal that ended it."""

    status: int
    timed_out: bool
    seconds: float
    cpu_seconds: float
    memory_gb: float


def run(command: Sequence[str], *, log: Path, limit: float, environment: dict[str, str] | None = None) -> Usage:
    """Run ``command`` with its output in ``log``, for at most ``limit`` seconds."""
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, __file__, str(limit), *command],
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            check=True,
        )
    return Usage(**json.loads(done.stdout))


def _measure(limit: float, command: Sequence[str]) -> Usage:
    start = time.perf_counter()
    # a group of its own, so that what it starts ends with it; its output goes where the errors of this process go
    child = subprocess.Popen(command, stdout=sys.stderr, start_new_session=True)
    timed_out = threading.Event()

    def end() -> None:
        os.killpg(child.pid, signal.SIGKILL)
        timed_out.set()

    timer = threading.Timer(limit, end)
    timer.start()
    try:
        _, status, used = os.wait4(child.pid, 0)
    except KeyboardInterrupt:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    finally:
        timer.cancel()
    seconds = time.perf_counter() - start
    largest = used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024
    status = os.waitstatus_to_exitcode(status)
    return Usage(status, timed_out.is_set(), seconds, used.ru_utime + used.ru_stime, largest / 1e9)


if __name__ == "__main__":
    print(json.dumps(_measure(float(sys.argv[1]), sys.argv[2:])._asdict()))
