"""The zip archive of ``torch.save``: looks at its bytes and lists its records, before any of them is read."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import BinaryIO

#: Most bytes of the instructions of pickle, and of the list of the archive's records.
MAX_PICKLE = 2**30
MAX_DIRECTORY = 2**24

_ZIP, _ZIP_END, _ZIP64_END = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06"

#: Names of the records in an archive, after its folder, and the prefix of those that hold values.
_RECORDS = {"data.pkl", "version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"}
VALUES = "data/"


class NotPlainError(ValueError):
    """A file holds more than plain data, or is damaged. The text says what, as the end of a sentence."""


class TorchScriptError(NotPlainError):
    """A file is a TorchScript archive: a program."""


def check_archive(file: BinaryIO) -> None:
    """Raise unless the bytes are those of a zip archive with a list of records of a moderate length."""
    start = file.read(len(_ZIP))
    size = file.seek(0, os.SEEK_END)
    if start != _ZIP:
        kind = (
            "is a pickle, which could run code" if start[:1] == b"\x80" else "is truncated or no file of `torch.save`"
        )
        raise NotPlainError(f"it {kind}")
    file.seek(-min(size, 98), os.SEEK_END)
    tail = file.read()
    end = tail[-22:]
    if end[:4] != _ZIP_END or end[-2:] != b"\0\0":
        raise NotPlainError("it is truncated")
    directory = struct.unpack_from("<I", end, 12)[0]
    if tail[:4] == _ZIP64_END:
        directory = max(struct.unpack_from("<Q", tail, 40)[0], 0 if directory == 2**32 - 1 else directory)
    if directory > min(MAX_DIRECTORY, size):
        raise NotPlainError(f"its list of records is said to take {directory:,} bytes")
    file.seek(0)


def records_of(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the records by name, without their folder. Raise unless they are those of ``torch.save``, uncompressed."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        folder, _, name = info.filename.partition("/")
        if name == "constants.pkl" or name.startswith("code/"):
            raise TorchScriptError("it is a TorchScript archive, which could run code")
        holds_values = name.startswith(VALUES) and name[len(VALUES) :].isdecimal() and name.isascii()
        if folder in ("", ".", "..") or not (name in _RECORDS or holds_values):
            raise NotPlainError(f"it has the record {info.filename[:80]!r}, which is not one of `torch.save`")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
            raise NotPlainError(f"its record {name!r} is compressed or encrypted")
        if name in found or not archive.infolist()[0].filename.startswith(f"{folder}/"):
            raise NotPlainError(f"its record {name!r} is there twice, or in another folder")
        found[name] = info
    if sum(info.file_size for info in found.values()) > size:
        raise NotPlainError("its records are said to be larger than the file")
    if "data.pkl" not in found or found["data.pkl"].file_size > MAX_PICKLE:
        raise NotPlainError("its record 'data.pkl' is missing or too large")
    return found
