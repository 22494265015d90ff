"""The output of a command: checked and claimed before the work, replaced only where the command wrote it itself."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from scminnet._core.arguments import shorten
from scminnet._core.files import atomic_path
from scminnet._core.outputs import check_output, format_of, is_stream

#: What a folder holds: by name, the content of a folder in it, or ``None`` for a file.
Contents = Mapping[str, Any]

#: The report in a folder of results, and its ending beside a file or a model.
REPORT, REPORT_ENDING = "report.html", ".report.html"

#: What ``MinNet.save`` writes.
MODEL: Contents = {"model.pt": None}


class Output:
    """An output that no other run writes meanwhile.

    Parameters
    ----------
    path
        Where the user wants it.
    overwrite
        Whether what is there may be replaced.
    report
        Where the report goes. ``None``: none is written.
    """

    def __init__(self, path: Path, overwrite: bool, report: Path | None = None) -> None:
        self.path = path
        self.overwrite = overwrite
        self.report = report

    @contextmanager
    def partial(self) -> Iterator[Path]:
        """Yield a temporary path, which takes the output's place once it is complete."""
        with atomic_path(self.path) as partial:
            yield partial
            self.check_free()

    @contextmanager
    def partial_report(self) -> Iterator[Path]:
        """Yield a temporary path, which takes the report's place once it is complete."""
        if self.report is None:
            raise ValueError("there is no place for a report")
        with atomic_path(self.report) as partial:
            yield partial
            self._check_free(self.report)

    def check_free(self) -> None:
        """Raise if another program wrote the output during the work."""
        self._check_free(self.path)

    def _check_free(self, path: Path) -> None:
        if not self.overwrite and path.exists() and not is_stream(path):
            raise FileExistsError(f"--out: {str(path)!r} was written by another program meanwhile. It stays.")


@contextmanager
def claimed(
    given: argparse.Namespace,
    *,
    formats: Collection[str] = (),
    contents: Contents | None = None,
    stream: bool = False,
    overwrite: bool | None = None,
    inputs: Collection[Path | None] = (),
) -> Iterator[Output]:
    """Exit with 2 unless ``given.out`` can be written. Hold it against other runs until the work is done.

    Parameters
    ----------
    given
        The arguments.
    formats
        Endings that a file's name may have.
    contents
        The output is a folder, and the command writes these. A folder that holds anything else is not replaced.
    stream
        A pipe or device may be written to.
    overwrite
        Replace what is there. ``None``: as ``--overwrite`` says.
    inputs
        Files that the command reads, and which must stay.
    """
    overwrite = given.overwrite if overwrite is None else overwrite
    out = Path(given.out)
    try:
        target = check_output(out, "--out", folder=contents is not None, stream=stream)
        if formats and not is_stream(out):
            format_of(out, formats, "--out")
        report = _report_of(given, out, contents)
    except (OSError, ValueError) as error:
        given.parser.error(str(error))
    if is_stream(out):
        yield Output(out, overwrite)
        return
    with _lock(target):
        if target.exists():
            _check_replaceable(given, target, overwrite, contents, inputs)
        if report is not None and report.name != REPORT and report.exists():
            _check_replaceable(given, report, overwrite, None, inputs)
        yield Output(target, overwrite, report)


def _report_of(given: argparse.Namespace, out: Path, contents: Contents | None) -> Path | None:
    """Return where the report goes: into a folder of results, else beside the output; nowhere beside a pipe.

    Raise if it can not be written there.
    """
    if given.no_report or is_stream(out):
        return None
    if contents is not None and REPORT in contents:
        return out / REPORT
    # the whole name, so that outputs of two formats have two reports
    return check_output(out.with_name(f"{out.name}{REPORT_ENDING}"), "--out")


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Turn what HDF5 and torch raise when they can not write into one error of the machine."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise OSError(f"{name} can not be written: {' '.join(str(error).split())}.") from error


@contextmanager
def _lock(target: Path) -> Iterator[None]:
    """Raise if another run holds ``target``."""
    # one that a killed run left holds nobody back
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise FileExistsError(
            f"--out: another run is writing {str(target)!r}. Wait for it, or give another name."
        ) from error
    except NotImplementedError:
        # some network file systems have no locks; then the last look before the output takes its place decides
        pass
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


def _check_replaceable(
    given: argparse.Namespace,
    target: Path,
    overwrite: bool,
    contents: Contents | None,
    inputs: Collection[Path | None],
) -> None:
    """Exit with 2 unless what is there may be replaced."""
    if not overwrite:
        given.parser.error(f"--out: {target} exists; give another --out, or --overwrite")
    for path in inputs:
        if path is not None and (target.samefile(path) or (target.is_dir() and target in path.resolve().parents)):
            given.parser.error(f"--out: {target} would replace {path}, which is read. Give another --out")
    strangers = [] if contents is None else list(_strangers(target, contents))
    if strangers:
        given.parser.error(
            f"--out: {target} holds what this command did not write: {shorten(strangers, 3)}. "
            "Give another --out, or move these"
        )


def _strangers(folder: Path, contents: Contents) -> Iterator[str]:
    """Yield the names of what is in a folder and not in ``contents``."""
    for path in sorted(folder.iterdir()):
        inside = contents.get(path.name)
        if path.name not in contents or path.is_symlink() or path.is_dir() != (inside is not None):
            yield path.name
        elif inside is not None:
            yield from (f"{path.name}/{name}" for name in _strangers(path, inside))
