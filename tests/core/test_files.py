from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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
import os, signal, sys
from pathlib import Path
from scminnet._core.files import atomic_path

place, step = Path(sys.argv[1]), int(sys.argv[2])
calls = []
replace = Path.replace

def counted(self, target):
    calls.append(target)
    if len(calls) == step:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = counted
with atomic_path(place) as partial:
    partial.mkdir()
    (partial / "file").write_text("new")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
@pytest.mark.parametrize("step", [1, 2])
def test_a_kill_leaves_the_old_folder_whole(tmp_path, step: int) -> None:
    """Where it is, or, between the two renamings, beside its place."""
    make(tmp_path / "m", "old")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "m"), str(step)], check=False, env=dict(os.environ)
    )
    assert done.returncode == -signal.SIGKILL
    places = [p for p in tmp_path.iterdir() if (p / "file").read_text() == "old"]
    assert len(places) == 1
    assert (places[0].name == "m") == (step == 1)
