"""Time and memory of processes.

``run`` measures a command under a time limit. It runs this file as a script in between, because Linux counts the
memory of the process that starts a command as the command's own. So this file imports the standard library only.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: Variables that set the number of threads of a process.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Usage(NamedTuple):
    """Resources that a command used.

    ``status`` is its exit status, or the negative number of the signal that ended it.
    """

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
    # in a group of its own, so that the processes that it starts end with it
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


def threads(number: int) -> dict[str, str]:
    """Return the environment variables that give a process this number of threads."""
    return dict.fromkeys(THREADS, str(number))


def module_command(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of the benchmarks in a process of its own."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def json_of(module: str, *arguments: object, environment: dict[str, str] | None = None) -> Any:
    """Run a module in a process of its own. Return the JSON in the last line that it prints."""
    done = subprocess.run(
        module_command(module, *arguments),
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def largest_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def memory(field: str) -> int:
    """Return bytes of this process, on Linux: ``VmRSS`` now, or ``VmHWM`` at most since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def reset_peak() -> int:
    """Reset the largest memory so far, on Linux. Return the bytes that the process holds."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


if __name__ == "__main__":
    print(json.dumps(_measure(float(sys.argv[1]), sys.argv[2:])._asdict()))
