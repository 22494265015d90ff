"""Virtual environments of the methods. Each has a file of pinned requirements and is made when first needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"


class NoEnvironmentError(RuntimeError):
    """The environment cannot be made or found, for the reason in the text."""


def interpreter(name: str | None, folder: Path) -> str:
    """Return the interpreter of an environment. It is made if it is missing or if its requirements have changed.

    ``None`` is the environment that runs the comparison. ``"Rscript"`` is R, which must be installed.
    """
    if name is None:
        return sys.executable
    if name == "Rscript":
        found = shutil.which("Rscript")
        if found is None:
            raise NoEnvironmentError("R is not installed; peers/requirements/seurat.apt names Debian's packages")
        return found
    requirements, environment = REQUIREMENTS / f"{name}.txt", folder / name
    python, installed = environment / "bin" / "python", environment / "requirements.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        _make(environment, requirements)
        # last, so that an incomplete environment is made again
        installed.write_text(requirements.read_text())
    return str(python)


def python_version(requirements: str) -> str | None:
    """Return the Python version in the first line, e.g. ``# python 3.12``. ``None``: that of the comparison."""
    first = requirements.partition("\n")[0].split()
    return first[2] if first[:2] == ["#", "python"] else None


def _make(environment: Path, requirements: Path) -> None:
    wanted = python_version(requirements.read_text())
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = sys.executable if wanted in (None, ours) else shutil.which(f"python{wanted}")
    if python is None:
        raise NoEnvironmentError(f"python{wanted} is not installed, and {requirements.name} needs it")
    environment.parent.mkdir(parents=True, exist_ok=True)
    _call([python, "-m", "venv", "--clear", str(environment)])
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    # the pinned versions were tried together, so their own bounds are not checked again
    install = [*pip, "--no-deps", "--ignore-requires-python", "--requirement", str(requirements)]
    # packages from source are built with the pinned setuptools, too
    _call(install, PIP_CONSTRAINT=str(requirements))


def _call(command: list[str], **variables: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NoEnvironmentError(f"`{' '.join(command)}` failed: {' '.join(last)}")
