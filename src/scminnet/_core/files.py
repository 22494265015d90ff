"""Atomic writing: a file is complete, or it is as it was before."""

from __future__ import annotations

import ctypes
import gzip
import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from scminnet._core.outputs import explained_if_full, is_packed, is_standard_output, is_stream, target_of

#: The current folder, for relative paths (``AT_FDCWD`` of Linux).
_HERE = -100


@contextmanager
def atomic_text_file(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file that replaces ``path`` once it is complete. On error the old file stays.

    Parameters
    ----------
    path
        File to write or replace. It, and what is raised, is as in :func:`atomic_binary_file`. A name that ends in
        ``.gz`` is compressed.
    """
    with atomic_binary_file(path) as sink:
        # neither name nor time: equal tables are equal files
        with gzip.GzipFile("", "wb", fileobj=sink, mtime=0) if is_packed(path) else sink as binary:
            with io.TextIOWrapper(binary, encoding="utf-8", newline="\n") as file:
                yield file


@contextmanager
def atomic_binary_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that replaces ``path`` once it is complete. On error the old file stays.

    Parameters
    ----------
    path
        File to write or replace. Its folder must exist. The content is first written to a temporary file beside it.
        What a symbolic link names is replaced, not the link. A named pipe or a device is written to as it is.

    Raises
    ------
    FileNotFoundError
        The folder does not exist.
    IsADirectoryError
        ``path`` is a folder.
    """
    if is_stream(path):
        # the standard output by its descriptor, because opening its name would truncate a file that it is appended to
        with open(os.dup(1) if is_standard_output(path) else path, "wb") as stream:
            yield stream
        return
    path = target_of(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`path`: there is no folder {str(path.parent)!r}. Create it first.")
    if path.is_dir():
        raise IsADirectoryError(f"`path` is the folder {str(path)!r}. Give the name of a file in it.")
    with atomic_path(path) as partial, partial.open("wb") as file:
        yield file


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to, which then replaces ``path``. On error the old file or folder stays.

    Parameters
    ----------
    path
        File or folder to write or replace. Its folder must exist. The temporary path lies beside it. What a symbolic
        link names is replaced, not the link.
    """
    path = target_of(path)
    partial, old = (path.with_name(f".{path.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    try:
        with explained_if_full(path):
            yield partial
        if path.is_file() and partial.is_file():
            # what others could not read stays so
            shutil.copymode(path, partial)
        if not (path.is_dir() and _exchange(partial, path)):
            if path.is_dir():
                # in two steps: the old folder is kept until the new one is in place
                path.replace(old)
            partial.replace(path)
    finally:
        if old.exists() and not path.exists():
            old.replace(path)
        for left in (partial, old):
            if left.is_dir():
                shutil.rmtree(left)
            left.unlink(missing_ok=True)


def _exchange(first: Path, second: Path) -> bool:
    """Let two paths change places in one step, so that there is something at both whenever the process ends.

    Return whether they did: not all systems and file systems can.
    """
    names = os.fsencode(first), os.fsencode(second)
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return library.renamex_np(*names, 2) == 0  # RENAME_SWAP
        return library.renameat2(_HERE, names[0], _HERE, names[1], 2) == 0  # RENAME_EXCHANGE
    except (OSError, TypeError, AttributeError):
        return False
