"""Text files that others wrote, plain or gzipped: known by their bytes, read within bounds of memory and time."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

#: Longest line in bytes. The longest lines of annotations, fragments and tables have a few thousand.
MAX_LINE = 2**20

#: Times that a gzip file may expand, beyond the first ``FREE`` bytes. Annotations expand 30 times, a zip bomb 1,000.
MAX_RATIO = 100
FREE = 2**24

_GZIP = b"\x1f\x8b"

#: First bytes of formats that are not read here, and what to do with them.
_FOREIGN = {
    b"BZh": "is compressed with bzip2. Unpack it, or compress it with gzip or bgzip.",
    b"\xfd7zXZ\x00": "is compressed with xz. Unpack it, or compress it with gzip or bgzip.",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd. Unpack it, or compress it with gzip or bgzip.",
    b"PK\x03\x04": "is a zip archive or a spreadsheet. Unpack it, or save the table as text.",
    b"\x89HDF": "is an HDF5 file. Give a text file.",
    b"BAM\x01": "is a BAM file. Give a text file.",
    b"\xff\xfe": "is text in UTF-16. Save it as UTF-8.",
    b"\xfe\xff": "is text in UTF-16. Save it as UTF-8.",
}

#: The empty block that ends every file of bgzip, and what marks its first block.
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_BGZF_MARK = slice(12, 14), b"BC"

_BUFFER = 2**18


class UnreadableError(ValueError):
    """A file is no text, or is too large for one."""


def name_without_gz(path: Path) -> str:
    """Return the name of a file in lower case, without an ending such as ``.gz`` or ``.bgz``."""
    name = path.name.lower()
    return next((name.removesuffix(end) for end in (".gz", ".bgz", ".bgzf", ".gzip") if name.endswith(end)), name)


@contextmanager
def open_text(path: Path, argument: str) -> Iterator[TextIO]:
    """Open a UTF-8 text file, plain or gzipped, whatever its name says.

    Parameters
    ----------
    path
        An existing file.
    argument
        Name of the argument in error messages.

    Raises
    ------
    UnreadableError
        On opening or reading. The file is another format, cut, damaged, binary or not UTF-8. A line is longer than
        ``MAX_LINE``, or the file expands beyond ``MAX_RATIO``. The text names the file, and the line if there is one.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise UnreadableError(f"`{argument}`: {path.name!r} can not be opened ({error.strerror}).") from error
    with raw, io.TextIOWrapper(io.BufferedReader(_Checked(raw, path, argument), _BUFFER), encoding="utf-8") as file:
        yield file


def read_lines(path: Path, argument: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of every non-empty line, from 1, and its tab-separated fields. Raises as :func:`open_text`."""
    with open_text(path, argument) as file:
        for number, line in enumerate(file, 1):
            if text := line.rstrip():
                yield number, text.split("\t")


def is_gzipped(path: Path, argument: str) -> bool:
    """Tell whether a file is compressed by gzip or bgzip. Raise if its first bytes are those of another format."""
    with path.open("rb") as raw:
        start = raw.read(20)
    _check_format(start, f"`{argument}`: {path.name!r}")
    return start.startswith(_GZIP)


def _check_format(start: bytes, called: str) -> None:
    for magic, text in _FOREIGN.items():
        if start.startswith(magic):
            raise UnreadableError(f"{called} {text}")


class _Checked(io.RawIOBase):
    """The unpacked bytes of a text file, checked as they are read."""

    def __init__(self, raw: io.BufferedReader, path: Path, argument: str) -> None:
        self._raw = raw
        self._called = f"`{argument}`: {path.name!r}"
        start = raw.read(20)
        self._packed = start.startswith(_GZIP)
        _check_format(start, self._called)
        if self._packed and start[_BGZF_MARK[0]] == _BGZF_MARK[1]:
            self._check_end()
        raw.seek(0)
        self._source: Any = gzip.GzipFile(fileobj=raw) if self._packed else raw
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._n_read = 0
        self._n_lines = 0
        self._line_length = 0

    def readable(self) -> bool:
        """Tell that bytes can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        data = self._read(len(buffer))
        if self._n_read == 0:
            if self._packed and data.startswith(_GZIP):
                raise UnreadableError(f"{self._called} is compressed twice. Unpack it once.")
            _check_format(data, self._called)
            # the byte order mark that some editors write
            data = data.removeprefix(codecs.BOM_UTF8) or self._read(len(buffer))
        self._n_read += len(data)
        self._check_size()
        self._check_text(data)
        buffer[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except EOFError:
            fault = "is cut: its compressed data end"
        except (zlib.error, gzip.BadGzipFile) as error:
            fault = f"is damaged ({error})"
        except OSError as error:
            fault = f"can not be read ({error.strerror or error})"
        raise UnreadableError(
            f"{self._called} {fault} after line {self._n_lines:,}. Copy or download it again."
        ) from None

    def _check_end(self) -> None:
        """Raise if a file of bgzip lacks its last block; without it, a cut between two blocks would go unseen."""
        size = self._raw.seek(0, os.SEEK_END)
        self._raw.seek(max(0, size - len(_BGZF_END)))
        if self._raw.read() != _BGZF_END:
            raise UnreadableError(
                f"{self._called} is cut: it lacks the last block of bgzip. Copy or download it again."
            )

    def _check_size(self) -> None:
        if self._packed and self._n_read > FREE and self._n_read > MAX_RATIO * self._raw.tell():
            raise UnreadableError(
                f"{self._called} expands to more than {MAX_RATIO} times its size, up to line {self._n_lines:,}. "
                "Give a file of data; if this is one, unpack it first."
            )

    def _check_text(self, data: bytes) -> None:
        """Raise unless the bytes continue a UTF-8 text with lines of a bounded length."""
        zero = data.find(b"\0")
        if zero >= 0:
            self._n_lines += data.count(b"\n", 0, zero)
            self._refuse("is binary, not text", "Give a text file, plain or gzipped.")
        try:
            if self._decoder.getstate()[0] or not data or not data.isascii():
                self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            self._n_lines += error.object[: error.start].count(b"\n")
            self._refuse("is not text in UTF-8", f"Save it as UTF-8{', or copy it again' if self._packed else ''}.")
        end = max(data.rfind(b"\n"), data.rfind(b"\r"))
        self._line_length = len(data) - end - 1 + (self._line_length if end < 0 else 0)
        self._n_lines += data.count(b"\n")
        if self._line_length > MAX_LINE:
            self._refuse(f"has a line of more than {MAX_LINE:,} bytes", "Give a file with one record a line.")

    def _refuse(self, fault: str, remedy: str) -> NoReturn:
        raise UnreadableError(f"{self._called} {fault}: see line {self._n_lines + 1:,}. {remedy}") from None
