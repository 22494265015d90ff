"""Where output goes: links are followed, what can not be written is refused before the work, names tell the format."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Ending of a compressed text file, behind that of its format.
PACKED = ".gz"

#: Bytes that are written, and removed, to find out whether a folder takes a file: a full disk may still take a byte.
_PROBE_BYTES = 2**20

_SPECIAL = {stat.S_ISSOCK: "a socket", stat.S_ISBLK: "a block device"}


def format_of(path: str | os.PathLike[str], formats: Collection[str], argument: str, *, remedy: str = "") -> str:
    """Return the format that the ending of a file's name names. ``.gz`` may follow it, and case does not matter.

    Parameters
    ----------
    path
        The file.
    formats
        The formats that can be written.
    argument
        The argument that names the file, for the error.
    remedy
        What else the user can do, for the error.

    Raises
    ------
    ValueError
        The ending is none of ``formats``.
    """
    name = Path(path).name
    ending = Path(name.lower().removesuffix(PACKED)).suffix.removeprefix(".")
    if ending not in formats:
        raise ValueError(
            f"`{argument}` is {name!r}, whose ending names no format. "
            f"Let it end in one of {', '.join(f'.{known}' for known in formats)}, also followed by {PACKED}{remedy}."
        )
    return ending


def is_packed(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file's name asks for gzip."""
    return Path(path).name.lower().endswith(PACKED)


def is_stream(path: str | os.PathLike[str], argument: str = "path") -> bool:
    """Tell whether ``path`` is written to as it is: a named pipe, a device such as a terminal, or the standard output.

    Nothing can replace these: a file of the same name would not reach their reader.
    """
    found = _status(path, argument)
    if found is None or stat.S_ISDIR(found.st_mode):
        return False
    return stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode) or _is_standard_output(found)


def is_standard_output(path: str | os.PathLike[str]) -> bool:
    """Tell whether ``path`` is what the process prints to, e.g. ``/dev/stdout``."""
    found = _status(path)
    return found is not None and _is_standard_output(found)


def _is_standard_output(found: os.stat_result) -> bool:
    try:
        return os.path.samestat(found, os.fstat(1))
    except OSError:
        # it is closed
        return False


def target_of(path: str | os.PathLike[str], argument: str = "path") -> Path:
    """Return the file or folder that a path leads to: what a symbolic link names, also if nothing is there yet.

    Raises
    ------
    OSError
        A link leads to itself, or the path is a socket or a block device.
    """
    found = _status(path, argument)
    for is_kind, what in _SPECIAL.items():
        if found is not None and is_kind(found.st_mode):
            raise OSError(f"`{argument}` is {what}: {str(path)!r}. Give the name of a file or folder.")
    path = Path(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def check_output(path: str | os.PathLike[str], argument: str, *, folder: bool = False, stream: bool = False) -> Path:
    """Return what is to be written. Raise if it can not, before the work whose result it is.

    Parameters
    ----------
    path
        The output.
    argument
        Its argument, for error messages.
    folder
        The output is a folder.
    stream
        A pipe or device may be written to, see :func:`is_stream`.

    Raises
    ------
    FileNotFoundError
        The folder that it belongs into does not exist.
    IsADirectoryError, NotADirectoryError
        A folder is in the place of a file, or the other way round.
    OSError
        The folder is read-only or full, or the name is too long, or it can not be replaced.
    """
    if is_stream(path, argument):
        if not stream:
            what = "a folder is" if folder else "a file of this format is"
            raise OSError(f"`{argument}` is a pipe or device: {str(path)!r}, but {what} written. Give another name.")
        return Path(path)
    target = target_of(path, argument).absolute()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"`{argument}`: there is no folder {str(target.parent)!r}. Make it first.")
    if target.is_dir() and not folder:
        raise IsADirectoryError(f"`{argument}` is the folder {str(path)!r}. Give the name of a file in it.")
    if folder and target.exists() and not target.is_dir():
        raise NotADirectoryError(f"`{argument}` is the file {str(path)!r}. Give the name of a folder.")
    if folder and target.is_dir() and (os.path.ismount(target) or target.samefile(Path.cwd())):
        raise OSError(
            f"`{argument}` is {str(path)!r}, which can not be replaced, because it is a mount point or the folder that "
            "you are in. Give the name of a new folder in it."
        )
    _probe(target, argument)
    return target


@contextmanager
def explained_if_full(target: Path, argument: str = "path") -> Iterator[None]:
    """Turn an error during the writing beside ``target`` into one that says that the disk is full, if it is."""
    try:
        yield
    # torch and HDF5 raise RuntimeErrors about positions in a file
    except (OSError, RuntimeError):
        if target.parent.is_dir():
            _probe(target, argument)
        raise


def _probe(target: Path, argument: str) -> None:
    """Raise unless a file of some size can be written beside ``target``."""
    try:
        # with the length of the temporary name that the output has at first
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", suffix=".part") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            # a full disk may say so only now
            os.fsync(file.fileno())
    except OSError as error:
        raise type(error)(
            f"`{argument}`: {target.name!r} can not be written in {str(target.parent)!r}: "
            f"{error.strerror or error}. Give another place."
        ) from error


def _status(path: str | os.PathLike[str], argument: str = "path") -> os.stat_result | None:
    """Return the status of what ``path`` leads to, or ``None`` if there is nothing."""
    try:
        return Path(path).stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        raise OSError(f"`{argument}`: {str(path)!r} can not be used: {error.strerror or error}.") from error
