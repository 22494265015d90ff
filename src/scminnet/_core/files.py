"""Atomic writing: a file is complete, or it is as it was before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def atomic_text_file(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file that replaces ``path`` once it is complete. On error the old file stays.

    Parameters
    ----------
    path
        File to write or replace. Its folder must exist. The text is first written to a temporary file beside it.

    Raises
    ------
    FileNotFoundError
        The folder does not exist.
    IsADirectoryError
        ``path`` is a folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`path`: there is no folder {str(path.parent)!r}. Create it first.")
    if path.is_dir():
        raise IsADirectoryError(f"`path` is the folder {str(path)!r}. Give the name of a file in it.")
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        yield file


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to, which then replaces ``path``. On error the old file or folder stays.

    Parameters
    ----------
    path
        File or folder to write or replace. Its folder must exist. The temporary path lies beside it.
    """
    path = Path(path)
    partial, old = (path.with_name(f".{path.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    try:
        yield partial
        if path.is_dir():
            # a folder can not be replaced in one step: the old one is kept until the new one is in place
            path.replace(old)
        try:
            partial.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
    finally:
        for left in (partial, old) if path.exists() else (partial,):
            if left.is_dir():
                shutil.rmtree(left)
            left.unlink(missing_ok=True)
