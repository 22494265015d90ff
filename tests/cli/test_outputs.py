"""Where the commands write: formats, links, pipes, folders, other runs; and what a failure or a signal leaves."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import mudata
import pandas as pd
import pytest
from filelock import FileLock

from scminnet import MinNet
from scminnet._core import outputs
from scminnet.cli.demo import CONTENTS
from scminnet.cli.outputs import MODEL

from .commands import COMMANDS, ENDINGS

FOLDERS = ["integrate", "fit", "demo"]


def arguments(command: str, files: Path, out: object) -> list[object]:
    given = [files / a if (files / a).exists() else a for a in COMMANDS[command]]
    return [*given, "--out", out]


@pytest.fixture
def no_work(monkeypatch) -> None:
    """Let reading, training and embedding fail the test: what is refused is refused before."""

    def fails(*args, **kwargs):
        raise AssertionError("work began")

    for name in ("train", "embed", "load"):
        monkeypatch.setattr(MinNet, name, fails)
    monkeypatch.setattr(mudata, "read_h5mu", fails)
    monkeypatch.setattr("scminnet.cli.inputs.read_file", fails)


def test_the_ending_tells_the_format(tmp_path, files: Path, run) -> None:
    embedded = COMMANDS["links"]
    assert embedded
    tables = {}
    for name in ("l.tsv", "l.TSV.GZ", "l.csv", "l.BED", "l.bedpe.gz", "l.biginteract"):
        assert run(*arguments("links", files, tmp_path / name))[0] == 0
        content = (tmp_path / name).read_bytes()
        tables[name] = (gzip.decompress(content) if name.lower().endswith(".gz") else content).decode().splitlines()
    assert tables["l.tsv"] == tables["l.TSV.GZ"]
    assert [line.split(",") for line in tables["l.csv"]] == [line.split("\t") for line in tables["l.tsv"]]
    assert len(tables["l.BED"][0].split("\t")) == 6
    assert tables["l.bedpe.gz"][0].startswith("#chrom1\t")
    assert {p.name for p in tmp_path.iterdir()} == {*tables, "l.biginteract.as"}
    # the same table is the same file, whenever it is compressed
    before = (tmp_path / "l.bedpe.gz").read_bytes()
    assert run(*arguments("links", files, tmp_path / "l.bedpe.gz"), "--overwrite")[0] == 0
    assert (tmp_path / "l.bedpe.gz").read_bytes() == before


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("command", "name"),
    [("links", name) for name in ("l.parquet", "l.tsv.bz2", "l.tsv.bgz", "l", "l.gz", ".bed", "l.xlsx")]
    + [("embed", name) for name in ("e.h5ad", "e", "e.zarr", "e.tsv")],
)
def test_another_format_is_refused_before_any_work(tmp_path, files: Path, run, command: str, name: str) -> None:
    code, _, err = run(*arguments(command, files, tmp_path / name))
    assert code == 2
    assert f"--out` is {name!r}, whose ending names no format. Let it end in one of ." in err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def bad_outputs(tmp_path: Path, ending: str) -> dict[str, tuple[Path, str]]:
    """Return paths that can not be written, with what the message says."""
    (tmp_path / "old_file").write_text("old")
    (tmp_path / f"folder{ending}").mkdir()
    (tmp_path / f"folder{ending}" / "mine.txt").write_text("mine")
    (tmp_path / f"loop{ending}").symlink_to(tmp_path / f"loop{ending}")
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(tmp_path)  # names of sockets are short
        try:
            made.bind(f"s{ending}")
        finally:
            os.chdir(here)
    return {
        "no folder": (tmp_path / "none" / f"o{ending}", "there is no folder"),
        "a file as folder": (tmp_path / "old_file" / f"o{ending}", "there is no folder"),
        "read-only": (Path("/proc") / f"o{ending}", "can not be written"),
        "long": (tmp_path / f"{'o' * 250}{ending}", "name too long"),
        "longer": (tmp_path / f"{'o' * 300}{ending}", "name too long"),
        "loop": (tmp_path / f"loop{ending}", "symbolic links"),
        "socket": (tmp_path / f"s{ending}", "is a socket"),
    }


BAD = ["no folder", "a file as folder", "read-only", "long", "longer", "loop", "socket"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux")
@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", BAD)
def test_what_can_not_be_written_is_refused_before_any_work(
    tmp_path, files: Path, run, snapshot, command: str, fault: str
) -> None:
    path, words = bad_outputs(tmp_path, ENDINGS[command])[fault]
    before = snapshot(tmp_path)
    code, _, err = run(*arguments(command, files, path))
    assert code == 2
    assert "--out" in err.splitlines()[-1]
    assert words in err.splitlines()[-1]
    assert snapshot(tmp_path) == before


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_of_others_is_never_replaced(
    tmp_path, files: Path, run, snapshot, command: str, overwrite: bool
) -> None:
    out = tmp_path / f"out{ENDINGS[command]}"
    (out / "model").mkdir(parents=True)
    (out / "model" / "thesis.tex").write_text("mine")
    (out / "report.csv").write_text("mine")
    before = snapshot(tmp_path)
    more = ["--overwrite"] if overwrite and command != "demo" else []
    code, _, err = run(*arguments(command, files, out), *more)
    assert code == 2
    assert "--out" in err.splitlines()[-1]
    if command in FOLDERS and more:
        assert "did not write: 'model" in err
    assert snapshot(tmp_path) == before


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", FOLDERS)
def test_a_file_is_not_replaced_by_a_folder(tmp_path, files: Path, run, command: str) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    more = [] if command == "demo" else ["--overwrite"]
    code, _, err = run(*arguments(command, files, out), *more)
    assert code == 2
    assert "--out` is the file" in err
    assert out.read_text() == "mine"


@pytest.mark.usefixtures("no_work")
def test_the_folder_one_is_in_and_mount_points_are_not_replaced(tmp_path, files: Path, run, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for out in (".", tmp_path, "/proc"):
        code, _, err = run(*arguments("fit", files, out), "--overwrite")
        assert (code, "which can not be replaced" in err) == (2, True)


def test_a_command_replaces_what_it_wrote(tmp_path, files: Path, run) -> None:
    out = tmp_path / "model"
    assert run(*arguments("fit", files, out))[0] == 0
    assert {p.name for p in out.iterdir()} <= set(MODEL)
    first = (out / "model.pt").stat().st_ino
    assert run(*arguments("fit", files, out))[0] == 2
    assert run(*arguments("fit", files, out), "--overwrite")[0] == 0
    assert (out / "model.pt").stat().st_ino != first
    (out / "notes.txt").write_text("mine")
    code, _, err = run(*arguments("fit", files, out), "--overwrite")
    assert (code, "did not write: 'notes.txt'" in err) == (2, True)


def test_a_demo_replaces_what_a_demo_wrote(tmp_path, files: Path, run) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        assert run(*arguments("demo", files, out))[0] == 0
        assert {p.name for p in out.iterdir()} <= set(CONTENTS)
    (out / "notes.txt").write_text("mine")
    assert run(*arguments("demo", files, out))[0] == 2
    assert (out / "notes.txt").read_text() == "mine"


def test_a_link_leads_to_what_is_written(tmp_path, files: Path, run) -> None:
    (tmp_path / "scratch").mkdir()
    for command in ("links", "embed", "fit"):
        target, link = tmp_path / "scratch" / f"real{ENDINGS[command]}", tmp_path / f"link{ENDINGS[command]}"
        link.symlink_to(target)
        # also where nothing is there yet
        for more in ([], ["--overwrite"]):
            assert run(*arguments(command, files, link), *more)[0] == 0
            assert link.is_symlink()
            assert target.exists()
            assert not target.is_symlink()
    assert {p.name for p in (tmp_path / "scratch").iterdir()} == {"real.tsv", "real.h5mu", "real"}


def test_what_others_could_not_read_stays_so(tmp_path, files: Path, run) -> None:
    for command in ("links", "embed"):
        out = tmp_path / f"o{ENDINGS[command]}"
        out.write_text("old")
        out.chmod(0o600)
        assert run(*arguments(command, files, out), "--overwrite")[0] == 0
        assert stat.S_IMODE(out.stat().st_mode) == 0o600


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_gets_the_table_and_stays(tmp_path, files: Path, run) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    code, out, _ = run(*arguments("links", files, pipe))
    reader.join(60)
    assert code == 0
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert len(read[0].splitlines()) == json.loads(out)["links"] + 1
    assert read[0].startswith("gene\t")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", [*FOLDERS, "embed"])
def test_a_pipe_or_device_is_refused_where_a_table_is_not_written(tmp_path, files: Path, run, command: str) -> None:
    pipe = tmp_path / f"pipe{ENDINGS[command]}"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/null"), Path("/dev/stdout")):
        code, _, err = run(*arguments(command, files, path))
        assert (code, "--out` is a pipe or device" in err) == (2, True)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no such device")
def test_standard_output_gets_the_table_alone(tmp_path, files: Path, run) -> None:
    code, out, err = run(*arguments("links", files, "/dev/stdout"))
    assert code == 0
    assert out.startswith("gene\t")
    assert "}" not in out
    # the result is told where the progress is told
    assert json.loads(err[err.index("{") :])["links"] == len(out.splitlines()) - 1
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert run(*arguments("links", files, "/dev/null"))[0] == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.usefixtures("no_work")
def test_what_is_read_is_not_replaced(tmp_path, files: Path, run) -> None:
    tss = tmp_path / "tss.bed"
    tss.write_bytes((files / "tss.bed").read_bytes())
    link = tmp_path / "link.bed"
    link.symlink_to(tss)
    for out in (tss, link):
        code, _, err = run("links", files / "embedded.h5mu", "--tss", tss, "-o", out, "--overwrite")
        assert (code, "would replace" in err) == (2, True)
    out = tmp_path / "out"
    (out / "figures").mkdir(parents=True)
    (out / "integrated.h5mu").write_bytes((files / "cells.h5mu").read_bytes())
    code, _, err = run("integrate", out / "integrated.h5mu", "--tss", tss, "-o", out, "--overwrite")
    assert (code, "would replace" in err) == (2, True)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", COMMANDS)
def test_of_two_runs_with_one_output_one_fails(tmp_path, files: Path, run, command: str) -> None:
    out = tmp_path / f"out{ENDINGS[command]}"
    with FileLock(tmp_path / f".{out.name}.lock"):
        code, _, err = run(*arguments(command, files, out))
    assert code == 1
    assert "--out: another run is writing" in err.splitlines()[-1]
    assert not out.exists()


@pytest.mark.parametrize("command", ["embed", "links", "fit"])
def test_what_another_program_wrote_meanwhile_stays(tmp_path, files: Path, run, monkeypatch, command: str) -> None:
    out = tmp_path / f"out{ENDINGS[command]}"
    say = "scminnet.cli." + command + ".say"

    def told(text: str) -> None:
        if not out.exists():
            out.write_text("theirs")

    monkeypatch.setattr(say, told)
    code, _, err = run(*arguments(command, files, out))
    assert code == 1
    assert "was written by another program meanwhile" in err
    assert [p.name for p in tmp_path.iterdir()] == [out.name]
    assert out.read_text() == "theirs"


@pytest.mark.usefixtures("no_work")
def test_the_checkpoint_is_checked_before_any_work(tmp_path, files: Path, run) -> None:
    out = tmp_path / "out"
    (tmp_path / "folder").mkdir()
    for path, words in (
        (tmp_path / "none" / "c", "there is no folder"),
        (tmp_path / "folder", "is the folder"),
        (Path("/dev/null"), "pipe or device"),
        (out, "lies in --out"),
    ):
        code, _, err = run(*arguments("fit", files, out), "--checkpoint", path)
        assert (code, "--checkpoint" in err.splitlines()[-1], words in err) == (2, True, True)


class Signal(pl.Callback):
    """Sends a signal in the first batch, as a user does."""

    number = signal.SIGINT

    def on_train_batch_end(self, *args, **kwargs) -> None:
        signal.raise_signal(self.number)


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "scminnet: interrupted"), (signal.SIGTERM, 143, "scminnet: stopped by SIGTERM")],
)
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("command", ["fit", "integrate"])
def test_a_signal_in_training_ends_with_one_line_and_leaves_nothing(
    tmp_path, files: Path, run, monkeypatch, command: str, number: signal.Signals, code: int, words: str
) -> None:
    train = MinNet.train
    sent = Signal()
    sent.number = number
    monkeypatch.setattr(MinNet, "train", lambda self, **given: train(self, **given, callbacks=[sent]))
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    found, out, err = run(*arguments(command, files, tmp_path / "out"))
    assert found == code
    assert not out
    assert err.splitlines()[-1] == words
    assert "Exception" not in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def limited(size: int) -> Callable[[], None]:
    """Let files of this process be no larger, as on a full disk. Return what takes this back."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(os.name != "posix", reason="no limits")
@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_noticed_before_any_work(tmp_path, files: Path, run, command: str) -> None:
    take_back = limited(2**19)
    try:
        code, _, err = run(*arguments(command, files, tmp_path / f"out{ENDINGS[command]}"))
    finally:
        take_back()
    assert code == 2
    assert "File too large. Give another place" in err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="no limits")
# HDF5, to which `embed` writes, keeps what it could not write, and fails again when the tests end
@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "embed"])
def test_a_disk_that_fills_up_during_the_work_leaves_what_was_there(
    tmp_path, files: Path, run, monkeypatch, snapshot, command: str
) -> None:
    out = tmp_path / f"out{ENDINGS[command]}"
    if command in FOLDERS:
        out.mkdir()
        (out / ("model.pt" if command == "fit" else "result.json")).write_text("old")
    else:
        out.write_text("old")
    before = snapshot(tmp_path)
    probe, take_back = outputs._probe, []

    def tried(target: Path, argument: str) -> None:
        if take_back:
            probe(target, argument)
        else:
            take_back.append(limited(3000))

    monkeypatch.setattr(outputs, "_probe", tried)
    try:
        code, _, err = run(*arguments(command, files, out), *([] if command == "demo" else ["--overwrite"]))
    finally:
        take_back[0]()
    assert code == 1
    assert "File too large. Give another place" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert snapshot(tmp_path) == before


def test_what_hdf5_raises_when_it_can_not_write_is_one_line(tmp_path, files: Path, run, monkeypatch) -> None:
    def fails(self, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise RuntimeError("Can't decrement id ref count (unable to extend file,\n errno = 28)")

    monkeypatch.setattr(mudata.MuData, "write", fails)
    code, _, err = run(*arguments("embed", files, tmp_path / "out.h5mu"))
    words = "scminnet: out.h5mu can not be written: Can't decrement id ref count (unable to extend file, errno = 28)."
    assert (code, err.splitlines()[-1]) == (1, words)
    assert not list(tmp_path.iterdir())


def test_links_are_read_back(tmp_path, files: Path, run) -> None:
    path = tmp_path / "with blank é.tsv.gz"
    assert run(*arguments("links", files, path))[0] == 0
    assert pd.read_csv(path, sep="\t")["gene"].notna().all()
