"""The report beside what a command writes: it obeys the same rules, and never costs the output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scminnet import MinNet, reporting

from .commands import COMMANDS, ENDINGS, NO_REPORT


def arguments(command: str, files: Path, out: object) -> list[object]:
    given = [files / a if (files / a).exists() else a for a in COMMANDS[command] if a != NO_REPORT]
    return [*given, "--out", out]


def place(command: str, out: Path) -> Path:
    """Where the report of an output is."""
    return out / "report.html" if command in ("integrate", "demo") else out.with_name(f"{out.name}.report.html")


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_writes_a_report(tmp_path, files: Path, run, command: str) -> None:
    out = tmp_path / f"out{ENDINGS[command]}"
    code, _, err = run(*arguments(command, files, out))
    assert code == 0, err
    page = place(command, out)
    assert f"report: {page}" in err
    html = page.read_text()
    assert html.startswith("<!DOCTYPE html>")
    assert f"scminnet {command}" in html
    assert {p.name for p in tmp_path.iterdir()} == {out.name, page.name if page.parent == tmp_path else out.name}


@pytest.mark.parametrize("command", ["embed", "links", "fit"])
def test_a_report_of_others_is_refused_before_any_work(
    tmp_path, files: Path, run, monkeypatch, snapshot: Callable, command: str
) -> None:
    def fails(*args, **kwargs):
        raise AssertionError("work began")

    monkeypatch.setattr("scminnet.cli.inputs.read_file", fails)
    monkeypatch.setattr(MinNet, "load", fails)
    out = tmp_path / f"out{ENDINGS[command]}"
    place(command, out).write_text("mine")
    before = snapshot(tmp_path)
    code, _, err = run(*arguments(command, files, out))
    assert code == 2
    assert f"--out: {place(command, out)} exists; give another --out, or --overwrite" in err
    assert snapshot(tmp_path) == before


def test_a_report_is_replaced_when_asked_and_only_by_a_complete_one(tmp_path, files: Path, run, monkeypatch) -> None:
    out = tmp_path / "links.tsv"
    page = place("links", out)
    page.write_text("old")
    assert run(*arguments("links", files, out), "--overwrite")[0] == 0
    new = page.read_bytes()
    assert new.startswith(b"<!DOCTYPE html>")

    def half(data, path, **known):
        Path(path).write_text("half")
        raise OSError("the disk is gone.")

    monkeypatch.setattr(reporting, "report", half)
    code, printed, err = run(*arguments("links", files, out), "--overwrite")
    assert code == 0
    assert printed.startswith("{")
    assert f"warning: {page} can not be written: the disk is gone. The output is complete." in err
    assert page.read_bytes() == new
    assert {p.name for p in tmp_path.iterdir()} == {out.name, page.name}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), ZeroDivisionError("a fault")])
@pytest.mark.parametrize("command", ["links", "integrate"])
def test_without_its_report_the_output_stays(tmp_path, files: Path, run, monkeypatch, command: str, error) -> None:
    def fails(*args, **kwargs):
        raise error

    monkeypatch.setattr(reporting, "report", fails)
    out = tmp_path / f"out{ENDINGS[command]}"
    given = arguments(command, files, out)
    if isinstance(error, ZeroDivisionError):
        with pytest.raises(ZeroDivisionError):
            run(*given)
    else:
        assert run(*given)[0] == (130 if isinstance(error, KeyboardInterrupt) else 0)
    assert {p.name for p in tmp_path.iterdir()} == {out.name}
    assert not place(command, out).exists()
    if command == "integrate":
        assert {p.name for p in out.iterdir()} == {"integrated.h5mu", "model", "figures", "result.json"}


def test_a_failed_command_leaves_no_report(tmp_path, files: Path, run) -> None:
    code, _, _ = run(*arguments("links", files, tmp_path / "links.tsv"), "--groupby", "no")
    assert code == 1
    assert not list(tmp_path.iterdir())


def test_beside_a_device_there_is_no_report(files: Path, run) -> None:
    code, _, err = run(*arguments("links", files, "/dev/null"))
    assert code == 0
    assert "report" not in err


def test_a_demo_with_a_report_is_replaced(tmp_path, files: Path, run) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("old")
    assert run(*arguments("demo", files, out), NO_REPORT)[0] == 0
    assert not (out / "report.html").exists()
