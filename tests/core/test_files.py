from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scminnet._core import files
from scminnet._core.files import atomic_path, atomic_text_file


def test_a_file_takes_its_place_when_it_is_whole(tmp_path) -> None:
    with atomic_text_file(tmp_path / "a") as file:
        assert not (tmp_path / "a").exists()
        file.write("new")
    assert (tmp_path / "a").read_text() == "new"


def make(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "file").write_text(text)


def test_a_folder_takes_the_place_of_another_and_leaves_nothing_beside(tmp_path) -> None:
    make(tmp_path / "m", "old")
    (tmp_path / "m" / "more").write_text("old")
    with atomic_path(tmp_path / "m") as partial:
        make(partial, "new")
        assert (tmp_path / "m" / "file").read_text() == "old"
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == ["m", "m/file"]
    assert (tmp_path / "m" / "file").read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_error_leaves_what_was_there(tmp_path, error: type[BaseException]) -> None:
    make(tmp_path / "m", "old")

    def fail() -> None:
        with atomic_path(tmp_path / "m") as partial:
            make(partial, "half")
            raise error

    with pytest.raises(error):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m" / "file").read_text() == "old"


def test_a_folder_is_put_back_when_the_new_one_can_not_take_its_place(tmp_path) -> None:
    make(tmp_path / "m", "old")
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "m"):
        pass  # nothing was written
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m" / "file").read_text() == "old"


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from scminnet._core import files

place, step, one_step, sent = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True", sys.argv[4]
calls = []

def counted(function):
    def call(*given, **named):
        calls.append(function)
        if len(calls) == step:
            os.kill(os.getpid(), getattr(signal, sent))
        return function(*given, **named)
    return call

Path.replace, shutil.rmtree = counted(Path.replace), counted(shutil.rmtree)
if not one_step:
    files._exchange = lambda first, second: False
with files.atomic_path(place) as partial:
    partial.mkdir()
    (partial / "file").write_text("new")
"""


def stopped(place: Path, step: int, *, one_step: bool, sent: str) -> int:
    command = [sys.executable, "-c", KILLED, str(place), str(step), str(one_step), sent]
    return subprocess.run(command, check=False, env=dict(os.environ), stderr=subprocess.DEVNULL).returncode


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
@pytest.mark.parametrize("step", [1, 2])
def test_a_kill_leaves_the_old_folder_whole_where_two_renamings_are_needed(tmp_path, step: int) -> None:
    """Where it is, or, between the two renamings, beside its place."""
    make(tmp_path / "m", "old")
    assert stopped(tmp_path / "m", step, one_step=False, sent="SIGKILL") == -signal.SIGKILL
    places = [p for p in tmp_path.iterdir() if (p / "file").read_text() == "old"]
    assert len(places) == 1
    assert (places[0].name == "m") == (step == 1)


@pytest.mark.skipif(sys.platform != "linux", reason="folders change places in one step on Linux and macOS")
@pytest.mark.parametrize("sent", ["SIGKILL", "SIGTERM"])
def test_a_kill_always_leaves_a_whole_folder_at_the_place(tmp_path, sent: str) -> None:
    make(tmp_path / "m", "old")
    # the first of what is counted is the removal of the old folder, which comes after the exchange
    assert stopped(tmp_path / "m", 1, one_step=True, sent=sent) == -getattr(signal, sent)
    assert (tmp_path / "m" / "file").read_text() == "new"


@pytest.mark.parametrize("step", [1, 2])
def test_ctrl_c_between_two_renamings_leaves_the_old_folder_at_its_place(tmp_path, monkeypatch, step: int) -> None:
    make(tmp_path / "m", "old")
    replace, calls = Path.replace, []

    def interrupted(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == step:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(files, "_exchange", lambda first, second: False)
    monkeypatch.setattr(Path, "replace", interrupted)

    def write() -> None:
        with atomic_path(tmp_path / "m") as partial:
            make(partial, "new")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m" / "file").read_text() == "old"
