"""Text files by their bytes: what is read, what is refused with which words, and that memory and time are bounded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tracemalloc
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scminnet._core.text_files import MAX_LINE, UnreadableError, is_gzipped, name_without_gz, open_text, read_lines

TEXT = "".join(f"chr{i % 22}\t{i * 7919 % 100003}\tα{i}\n" for i in range(30_000))
ROWS = [line.split("\t") for line in TEXT.splitlines()]


def bgzip(data: bytes, size: int = 5000) -> bytes:
    """Blocks as bgzip writes them: gzip members with their length in an extra field, and an empty one at the end."""
    parts = []
    for start in [*range(0, len(data), size), len(data)]:
        member = gzip.compress(data[start : start + size])
        # flags: an extra field follows the header; then its length, "BC", 2, and the length of the block
        length = len(member) + 8 - 1
        parts.append(member[:3] + b"\4" + member[4:10] + b"\6\0BC\2\0" + length.to_bytes(2, "little") + member[10:])
    parts[-1] = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
    return b"".join(parts)


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.tsv", data)
    return file.getvalue()


WHOLE = TEXT.encode()
READ = {
    "plain": WHOLE,
    "gzip": gzip.compress(WHOLE),
    "bgzip": bgzip(WHOLE),
    "several members": gzip.compress(WHOLE[:999]) + gzip.compress(WHOLE[999:]),
    "zeros at the end": gzip.compress(WHOLE) + bytes(512),
    "byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "mark in gzip": gzip.compress(b"\xef\xbb\xbf" + WHOLE),
    "Windows": WHOLE.replace(b"\n", b"\r\n"),
    "no end": WHOLE[:-1],
    "blank lines": b"\n" + WHOLE.replace(b"\n", b"\n \n"),
}


@pytest.mark.parametrize("content", READ.values(), ids=READ)
@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz", "a.bgz"])
def test_what_the_bytes_are_counts_not_the_name(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert [fields for _, fields in read_lines(tmp_path / name, "x")] == ROWS
    with open_text(tmp_path / name, "x") as file:
        table = pd.read_csv(file, sep="\t", header=None, skip_blank_lines=True).dropna()
    assert table[2].tolist() == [row[2] for row in ROWS]
    assert is_gzipped(tmp_path / name, "x") == content.startswith(b"\x1f\x8b")


packed = gzip.compress(WHOLE)
REFUSED = {
    "cut": (packed[:-2000], r"is cut: its compressed data end after line [\d,]+"),
    "cut in the header": (packed[:7], "is cut"),
    "cut by a block": (bgzip(WHOLE)[:-28], "is cut: it lacks the last block of bgzip"),
    "cut between blocks": (bgzip(WHOLE[:5000])[:-28], "is cut: it lacks the last block of bgzip"),
    "damaged deflate": (packed[:9000] + b"\xff" * 200 + packed[9200:], r"is damaged \(.*\) after line"),
    "damaged checksum": (packed[:-8] + b"\1\2\3\4" + packed[-4:], "is damaged .*CRC"),
    "rubbish at the end": (packed + b"rubbish", "is damaged .*Not a gzipped file"),
    "twice": (gzip.compress(packed), "is compressed twice"),
    "bzip2": (bz2.compress(WHOLE), "is compressed with bzip2. Unpack it"),
    "xz": (lzma.compress(WHOLE), "is compressed with xz. Unpack it"),
    "zip": (zipped(WHOLE), "is a zip archive or a spreadsheet"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
    "BAM": (bgzip(b"BAM\1 and so on"), "is a BAM file"),
    "UTF-16": (TEXT.encode("utf-16"), "is text in UTF-16. Save it as UTF-8"),
    "UTF-16, other order": (b"\xfe\xff" + TEXT.encode("utf-16-be"), "is text in UTF-16"),
    "UTF-16 in gzip": (gzip.compress(TEXT.encode("utf-16")), "is text in UTF-16"),
    "Latin-1": (b"a\nb\n\nM\xfcller\n", "is not text in UTF-8: see line 4"),
    "half a letter": (b"a\nb\n\xc3", "is not text in UTF-8: see line 3"),
    "binary": (b"a\nb\0\n", "is binary, not text: see line 2"),
    "tar": (gzip.compress(b"a.tsv" + bytes(500) + WHOLE), "is binary, not text: see line 1"),
    "one long line": (b"a\n" + b"b" * (MAX_LINE + 2**18), "has a line of more than 1,048,576 bytes: see line 2"),
}


@pytest.mark.parametrize(("content", "match"), REFUSED.values(), ids=REFUSED)
def test_one_clear_error(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(content)

    def by_pandas() -> None:
        with open_text(path, "tss") as file:
            pd.read_csv(file, sep="\t", header=None, names=[0, 1, 2])

    for read in (lambda: list(read_lines(path, "tss")), by_pandas):
        with pytest.raises(UnreadableError, match=rf"^`tss`: 'a.tsv.gz' {match}"):
            read()


BOMBS = {
    "one line": (b"a" * 2**20, "has a line of more than"),
    "no text": (bytes(2**20), "is binary"),
    "empty lines": (b"\n" * 2**20, "expands to more than 100 times its size"),
    "rows": (b"chr1\t1\t2\tAAAC-1\t1\n" * 2**16, "expands to more than 100 times its size"),
    "comments": (b"# comment\n" * 2**16, "expands to more than 100 times its size"),
}


@pytest.mark.parametrize(("unit", "match"), BOMBS.values(), ids=BOMBS)
def test_bombs_end_within_a_bound(tmp_path: Path, unit: bytes, match: str) -> None:
    path = tmp_path / "a.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(200):
            file.write(unit)
    sizes = []

    def read() -> None:
        with open_text(path, "x") as file:
            sizes.extend(map(len, iter(lambda: file.read(2**16), "")))

    tracemalloc.start()
    with pytest.raises(ValueError, match=match):
        read()
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()
    assert sum(sizes) < 2**25


def test_a_plain_file_of_the_same_rows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"chr1\t1\t2\tAAAC-1\t1\n" * 2**20)
    with open_text(path, "x") as file:
        assert sum(1 for _ in file) == 2**20


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.sampled_from([lambda b: b, gzip.compress, lambda b: gzip.compress(b)[:-5]]))
def test_any_bytes_are_text_or_a_value_error(tmp_path_factory: pytest.TempPathFactory, content: bytes, pack) -> None:
    path = tmp_path_factory.mktemp("any") / "a"
    path.write_bytes(pack(content))
    try:
        lines = list(read_lines(path, "x"))
    except ValueError as error:
        assert str(error).startswith("`x`: 'a' ")  # noqa: PT017
    else:
        assert len(lines) <= content.count(b"\n") + content.count(b"\r") + 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters(exclude_characters="\0\r\n", codec="utf-8"), max_size=20), max_size=30))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("any") / "a.gz"
    path.write_bytes(gzip.compress(("#\n" + "\n".join(lines)).encode()))
    with open_text(path, "x") as file:
        assert file.read().split("\n") == ["#", *lines] if lines else ["#", ""]


def test_folders_and_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can not be opened"):
        list(read_lines(tmp_path, "x"))
    for name in ("Genes.GTF", "genes.gtf.gz", "genes.gtf.bgz", "genes.gtf.GZ"):
        assert name_without_gz(Path(name)) == "genes.gtf"
