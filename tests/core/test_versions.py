from __future__ import annotations

import io
import platform
import socket
from importlib.metadata import version
from pathlib import Path

import scminnet as mn


def test_versions_of_what_the_package_needs(capsys) -> None:
    mn.print_versions()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"scminnet {mn.__version__}"
    assert lines[1].startswith(f"Python {platform.python_version()}")
    for name in ("mudata", "scvi-tools", "torch", "pynndescent"):
        assert f"  {name} {version(name)}" in lines
    assert len(set(lines)) == len(lines)


def test_versions_name_no_place() -> None:
    file = io.StringIO()
    mn.print_versions(file=file)
    text = file.getvalue()
    assert str(Path.cwd()) not in text
    assert str(Path.home()) not in text
    assert socket.gethostname() not in text
