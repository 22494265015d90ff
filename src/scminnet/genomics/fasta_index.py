"""Whether the index of a FASTA file (``.fai``) is that of the file."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np

#: Bytes looked at before a sequence. A longer line of its name is not compared.
_NAME = 2**14

#: Largest block of bgzip, in bytes of the plain file.
_BLOCK = 2**16


def check_index(path: Path, chrom: str, entry: Any, argument: str) -> None:
    """Raise unless a chromosome lies where its entry in the index says, from the line of its name to the next one.

    Parameters
    ----------
    path
        The FASTA file, plain or compressed with bgzip. The latter has an index of its blocks beside it (``.gzi``).
    chrom
        Name of the chromosome.
    entry
        ``rlen``, ``offset``, ``lenc`` and ``lenb``: bases, first byte, and bases and bytes of a line.
    argument
        Name of the argument in error messages.
    """
    try:
        fits = _fits(path, chrom, entry)
    except (OSError, EOFError, ValueError, OverflowError, zlib.error):
        fits = False
    if not fits:
        raise ValueError(
            f"`{argument}`: the index {path.name + '.fai'!r} does not fit {path.name!r}: {chrom!r} is not where it "
            "says. Delete the index, which is made anew."
        )


def _fits(path: Path, chrom: str, entry: Any) -> bool:
    length, offset, bases, width = entry.rlen, entry.offset, entry.lenc, entry.lenb
    if length == 0:
        return True
    if length < 0 or offset < 1 or bases < 1 or not bases <= width <= bases + 2:
        return False
    before = _bytes_at(path, max(0, offset - _NAME), min(offset, _NAME))
    name = before.removesuffix(b"\n").rsplit(b"\n", 1)[-1]
    is_whole = len(name) + 1 < len(before) or offset <= _NAME
    if not before.endswith(b"\n") or (is_whole and name[1:].split(maxsplit=1)[:1] != [chrom.encode()]):
        return False
    if length > bases and not _is_break(_bytes_at(path, offset + bases - 1, width - bases + 2)):
        return False
    n_breaks = (length - 1) // bases
    end = _bytes_at(path, offset + length - 1 + n_breaks * (width - bases), 64)
    after = end[1:].lstrip(b"\r\n")
    return end[:1].isalpha() and (len(end) == 1 or end[1:2] in b"\r\n") and after[:1] in (b"", b">", b";")


def _is_break(text: bytes) -> bool:
    """Tell whether a text is the end of a line between two bases."""
    return text[:1].isalpha() and text[1:-1] in (b"\n", b"\r\n") and text[-1:].isalpha()


def _bytes_at(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as raw:
        if not path.name.lower().endswith((".gz", ".bgz")):
            raw.seek(offset)
            return raw.read(size)
        # number of blocks, then the place of each but the first in the compressed and in the plain file
        places = np.fromfile(f"{path}.gzi", dtype="<u8")[1:].reshape(-1, 2).astype(np.int64)
        places = np.vstack([np.zeros((1, 2), np.int64), places])
        packed, plain = places[np.searchsorted(places[:, 1], offset, side="right") - 1].tolist()
        if offset - plain > _BLOCK:
            return b""
        raw.seek(packed)
        with gzip.GzipFile(fileobj=raw) as file:
            file.read(offset - plain)
            return file.read(size)
