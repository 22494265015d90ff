from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from benchmarks.peers import environments
from benchmarks.peers.methods import METHODS


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Requirements in a folder of the test's own; environments are listed instead of made."""
    made = []
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)

    def make(environment: Path, requirements: Path) -> None:
        made.append(requirements.read_text())
        environment.mkdir(exist_ok=True)

    monkeypatch.setattr(environments, "_make", make)
    (tmp_path / "peer.txt").write_text("numpy==1\n")
    return made


def test_an_environment_is_made_once_and_again_when_its_requirements_change(made: list[str], tmp_path: Path) -> None:
    for _ in range(2):
        assert environments.interpreter("peer", tmp_path) == str(tmp_path / "peer" / "bin" / "python")
    assert made == ["numpy==1\n"]
    (tmp_path / "peer.txt").write_text("numpy==2\n")
    environments.interpreter("peer", tmp_path)
    assert made == ["numpy==1\n", "numpy==2\n"]


def test_half_an_environment_is_made_again(made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = environments._make

    def fail(environment: Path, requirements: Path) -> None:
        environment.mkdir()
        raise environments.NoEnvironmentError("no network")

    monkeypatch.setattr(environments, "_make", fail)
    with pytest.raises(environments.NoEnvironmentError):
        environments.interpreter("peer", tmp_path)
    monkeypatch.setattr(environments, "_make", whole)
    environments.interpreter("peer", tmp_path)
    assert made == ["numpy==1\n"]


def test_our_own_environment_and_r(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert environments.interpreter(None, tmp_path) == sys.executable
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(environments.NoEnvironmentError, match="R is not installed"):
        environments.interpreter("Rscript", tmp_path)


def test_every_environment_has_pinned_requirements() -> None:
    names = {m.environment for m in METHODS.values()} - {None, "Rscript"} | {"scib"}
    for name in names:
        lines = (environments.REQUIREMENTS / f"{name}.txt").read_text().splitlines()
        assert environments.python_version(lines[0]) is not None
        assert all("==" in line or re.search(r" @ git\+https://\S+@[0-9a-f]{40}$", line) for line in lines[1:]), name
