"""Where output goes, for every function that writes: names, links, pipes, full disks."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scminnet as mn
from scminnet._core import outputs
from scminnet._core.files import atomic_binary_file, atomic_path, atomic_text_file
from scminnet._core.outputs import check_output, format_of, is_stream, target_of
from scminnet.pl._style import save_figure

LINKS = pd.DataFrame({
    "gene": ["g"], "peak": ["chr1:1-9"], "chrom": ["chr1"], "start": [1], "end": [9], "tss": [5], "strand": ["+"],
    "r": [0.5],
})  # fmt: skip
PEAKS = pd.DataFrame(index=["chr1:1-9", "chr2:3-4"])
BACKGROUND = pd.DataFrame(index=["chr3:1-9"])


def heatmap(path: Path) -> None:
    labels = pd.Series(["a", "b"])
    mn.pl.transfer_heatmap(labels, labels, save=path)
    plt.close("all")


def text(path: Path) -> None:
    with atomic_text_file(path) as file:
        file.write("new\n" * 100)


def figure(path: Path) -> None:
    drawn, axis = plt.subplots()
    axis.plot(np.arange(3))
    try:
        save_figure(drawn, path)
    finally:
        # also if writing fails, as tests make it do: a figure that stays open is one of the next test's
        plt.close(drawn)


#: Functions that write a file, with an ending that they take.
WRITERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "text": (text, ".txt"),
    "export_links": (lambda path: mn.tl.export_links(LINKS, path), ".bedpe"),
    "export_links.gz": (lambda path: mn.tl.export_links(LINKS, path), ".interact.gz"),
    "export_peaks": (lambda path: mn.tl.export_peaks(PEAKS, path), ".bed"),
    "png": (figure, ".png"),
    "pdf": (figure, ".PDF"),
    "heatmap": (heatmap, ".svg"),
}
each_writer = pytest.mark.parametrize("name", WRITERS)
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let files of this process be no larger, as on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@posix
@each_writer
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, name: str) -> None:
    write, ending = WRITERS[name]
    path = tmp_path / f"old{ending}"
    path.write_bytes(b"old")
    probe = outputs._probe
    monkeypatch.setattr(outputs, "_probe", lambda *_: None)
    with largest_file(10), pytest.raises(OSError, match="File too large"):
        write(path)
    monkeypatch.setattr(outputs, "_probe", probe)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    write(path)
    assert path.read_bytes() != b"old"


@posix
@each_writer
def test_the_file_that_a_link_names_is_replaced(tmp_path, name: str) -> None:
    write, ending = WRITERS[name]
    (tmp_path / "scratch").mkdir()
    target, link = tmp_path / "scratch" / f"real{ending}", tmp_path / f"link{ending}"
    link.symlink_to(Path("scratch") / target.name)
    # also where nothing is there yet
    for _ in range(2):
        write(link)
        assert link.is_symlink()
        assert target.stat().st_size
        assert not target.is_symlink()
    assert [p.name for p in (tmp_path / "scratch").iterdir()] == [target.name]
    loop = tmp_path / f"loop{ending}"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="symbolic links"):
        write(loop)
    assert loop.is_symlink()


@posix
@each_writer
def test_a_pipe_is_written_to(tmp_path, name: str) -> None:
    write, ending = WRITERS[name]
    pipe, file = tmp_path / f"pipe{ending}", tmp_path / f"file{ending}"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(pipe)
    reader.join(60)
    write(file)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    # figures hold the time and random names
    assert read[0][:8] == file.read_bytes()[:8]
    if name in ("text", "export_links", "export_links.gz", "export_peaks"):
        assert read[0] == file.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {pipe.name, file.name}


@posix
@each_writer
def test_permissions_stay(tmp_path, name: str) -> None:
    write, ending = WRITERS[name]
    path = tmp_path / f"secret{ending}"
    path.touch(mode=0o600)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@each_writer
def test_a_folder_is_not_replaced(tmp_path, name: str) -> None:
    write, ending = WRITERS[name]
    folder = tmp_path / f"folder{ending}"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        write(folder)
    assert folder.is_dir()
    assert not list(folder.iterdir())


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux")
@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("text", "png", "pdf")])
def test_a_read_only_folder_is_named_before_the_work(monkeypatch, name: str) -> None:
    write, ending = WRITERS[name]
    # by module, because the functions in them have the same names
    for module, work in (
        ("tl.export_links", "link_table"),
        ("tl.export_peaks", "_homer"),
        ("pl.confusion", "axes_for"),
    ):
        monkeypatch.setattr(sys.modules[f"scminnet.{module}"], work, lambda *_, **__: pytest.fail("work began"))
    with pytest.raises(OSError, match=r"`(save|path)`: 'x.*' can not be written in '/proc'"):
        write(Path(f"/proc/x{ending}"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.bed", "bed"), ("a.BED", "bed"), ("a.bed.gz", "bed"), ("a.b.CSV.GZ", "csv"), ("a.bed.bed", "bed")],
)
def test_format_of(name: str, expected: str) -> None:
    assert format_of(name, ["bed", "csv"], "path") == expected


@pytest.mark.parametrize(
    "name", ["a", "bed", ".bed", "a.gz", "a.bed.bz2", "a.bedgz", "a.parquet", "a.bed.gz.gz", "a.", ""]
)
def test_names_without_a_format(name: str) -> None:
    with pytest.raises(ValueError, match=r"whose ending names no format. Let it end in one of .bed, .csv, also"):
        format_of(name, ["bed", "csv"], "path")


def test_compressed_text_holds_no_time(tmp_path) -> None:
    for name in ("a.gz", "b.GZ"):
        text(tmp_path / name)
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"new\n" * 100
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.GZ").read_bytes()


def test_the_background_of_compressed_peaks(tmp_path) -> None:
    mn.tl.export_peaks(PEAKS, tmp_path / "my.bed.peaks.BED.gz", background=BACKGROUND)
    assert {p.name for p in tmp_path.iterdir()} == {"my.bed.peaks.BED.gz", "my.bed.peaks.background.BED.gz"}
    background = gzip.decompress((tmp_path / "my.bed.peaks.background.BED.gz").read_bytes())
    assert background.startswith(b"chr3\t1\t9\t")
    with pytest.raises(ValueError, match="`path` is 'p.txt', whose ending names no format"):
        mn.tl.export_peaks(PEAKS, tmp_path / "p.txt")


@posix
def test_what_stands_beside_a_pipe_is_refused(tmp_path) -> None:
    pipe = tmp_path / "p.biginteract"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is a pipe or device"):
        mn.tl.export_links(LINKS, pipe)
    bed = tmp_path / "p.bed"
    os.mkfifo(bed)
    with pytest.raises(OSError, match="is a pipe or device"):
        mn.tl.export_peaks(PEAKS, bed, background=BACKGROUND)
    assert {p.name for p in tmp_path.iterdir()} == {pipe.name, bed.name}


def test_a_folder_behind_a_link_is_replaced_there(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with atomic_path(tmp_path / "link") as partial:
        partial.mkdir()
        (partial / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["new"]
    assert target_of(tmp_path / "link") == (tmp_path / "real").resolve()


def test_what_is_checked_leaves_nothing(tmp_path) -> None:
    assert check_output(tmp_path / "new", "--out", folder=True) == tmp_path / "new"
    assert not list(tmp_path.iterdir())
    assert not is_stream(tmp_path)
    assert not is_stream(tmp_path / "new")
    with atomic_binary_file(tmp_path / "new") as file:
        file.write(b"x")
    with pytest.raises(NotADirectoryError, match=r"`--out` is the file"):
        check_output(tmp_path / "new", "--out", folder=True)


@posix
def test_a_full_disk_is_named_where_the_writer_does_not(tmp_path) -> None:
    def fail(error: Exception, size: int) -> None:
        with largest_file(size), atomic_path(tmp_path / "new") as partial:
            partial.touch()
            raise error

    unknown = RuntimeError("unexpected pos 64 vs 0")
    with pytest.raises(OSError, match=r"`path`: 'new' can not be written in '.*': File too large. Give another place"):
        fail(unknown, 10)
    with pytest.raises(RuntimeError, match="unexpected pos"):
        fail(unknown, 2**30)
    assert not list(tmp_path.iterdir())
