from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.shared import resources


def test_status_output_and_environment(tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['WORD']); sys.stderr.write('and errors'); sys.exit(3)"
    log = tmp_path / "log.txt"
    usage = resources.run([sys.executable, "-c", code], log=log, limit=60, environment={"WORD": "output"})
    assert usage.status == 3
    assert not usage.timed_out
    assert "output" in log.read_text()
    assert "and errors" in log.read_text()


def test_a_command_ends_at_its_limit(tmp_path: Path) -> None:
    code = "import time; time.sleep(60)"
    usage = resources.run([sys.executable, "-c", code], log=tmp_path / "log.txt", limit=0.5)
    assert usage.timed_out
    assert usage.status < 0
    assert 0.4 < usage.seconds < 30


def test_cpu_seconds_are_those_of_work(tmp_path: Path) -> None:
    code = "import time\nwhile time.process_time() < 0.5: pass\ntime.sleep(0.3)"
    usage = resources.run([sys.executable, "-c", code], log=tmp_path / "log.txt", limit=60)
    assert usage.cpu_seconds == pytest.approx(0.5, abs=0.3)
    assert usage.seconds > usage.cpu_seconds


def test_memory_is_that_of_the_command(tmp_path: Path) -> None:
    # this process holds more than the small command
    held = bytearray(b"1" * 300_000_000)
    small = resources.run([sys.executable, "-c", "pass"], log=tmp_path / "log.txt", limit=60)
    large = resources.run([sys.executable, "-c", "bytearray(b'1' * 200_000_000)"], log=tmp_path / "log.txt", limit=60)
    del held
    assert small.memory_gb < 0.1
    assert 0.2 < large.memory_gb < 0.6
