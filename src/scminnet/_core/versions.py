"""Versions for a bug report."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TextIO


def print_versions(*, file: TextIO | None = None) -> None:
    """Print the versions of Python, scminnet and its dependencies, for a bug report.

    The dependencies are not imported. No folder, user or machine is named.

    Parameters
    ----------
    file
        Where to print. ``None``: stdout.

    Examples
    --------
    >>> import scminnet as mn
    >>> mn.print_versions()  # doctest: +ELLIPSIS
    scminnet ...
    """
    lines = [
        f"scminnet {version('scminnet')}",
        f"Python {platform.python_version()} ({platform.python_implementation()})",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    ]
    for requirement in sorted(requires("scminnet") or [], key=str.lower):
        name = re.split(r"[\s;<>=!~\[(]", requirement, maxsplit=1)[0]
        is_optional = "extra ==" in requirement
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "not installed"
        if found != "not installed" or not is_optional:
            lines.append(f"  {name} {found}")
    print(*dict.fromkeys(lines), sep="\n", file=file or sys.stdout)
