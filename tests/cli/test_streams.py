"""Who reads what the commands print: no one any more, a terminal without UTF-8; and what their help says."""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys

import pytest

from scminnet.cli import _common, main

COMMANDS = ["integrate", "fit", "embed", "links", "demo"]
#: A locale without UTF-8, with all that Python does to help switched off.
PLAIN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def started(*arguments: str, **options) -> subprocess.Popen[bytes]:
    code = "import sys; from scminnet.cli import main; sys.exit(main())"
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env={**os.environ, **PLAIN}, **options)


def test_a_reader_that_went_away_and_a_terminal_without_utf_8() -> None:
    read, write = os.pipe()
    os.close(read)
    gone = started("links", "--help", stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    unknown = started("embed", "mödel 🧬", "q", "-o", "o.h5mu", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert gone.communicate(timeout=120) == (None, b"")
    assert gone.returncode == 0
    out, err = unknown.communicate(timeout=120)
    assert (unknown.returncode, out) == (2, b"")
    last = err.decode("ascii").splitlines()[-1]
    assert last.startswith("scminnet embed: error: MODEL: there is no file m")


class Gone(io.TextIOBase):
    """A stream whose reader went away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_result_that_can_not_be_printed(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdout", Gone())
    assert _common._run(lambda given: {"links": 1}, argparse.Namespace()) == 1
    assert capsys.readouterr().err == "scminnet: the result can not be printed: Broken pipe. Files are complete.\n"


@pytest.mark.parametrize("stream", [None, Gone()])
def test_without_a_reader_of_messages_the_work_goes_on(monkeypatch, capsys, stream) -> None:
    monkeypatch.setattr(sys, "stderr", stream)

    def work(given: argparse.Namespace) -> dict[str, int]:
        with _common.quiet(1):
            _common.say("reading ...")
            if stream is None:
                print("of another package")
        return {"links": 1}

    assert _common._run(work, argparse.Namespace()) == 0
    assert capsys.readouterr().out == '{\n  "links": 1\n}\n'


def test_any_name_can_be_printed(monkeypatch) -> None:
    sink = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(sink, encoding="ascii"))

    def parse(self, arguments=None):
        return argparse.Namespace(run=lambda given: _common._run(lambda _: "Ünknown \udcff", given))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    assert main(["any"]) == 0
    assert sink.getvalue() == b"\\xdcnknown \\udcff\n"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (KeyError("`key` is no column"), "`key` is no column"),
        (MemoryError(), "MemoryError"),
        (ImportError("needs zarr"), "needs zarr"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
)
def test_an_error_is_one_line(capsys, error: Exception, words: str) -> None:
    def work(given: argparse.Namespace) -> str:
        raise error

    assert _common._run(work, argparse.Namespace()) == 1
    assert capsys.readouterr().err == f"scminnet: {words}\n"


def test_a_fault_of_scminnet_shows_where(capsys) -> None:
    with pytest.raises(ZeroDivisionError):
        _common._run(lambda given: str(1 // 0), argparse.Namespace())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_of_each_argument_what_it_is_and_its_default(command: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert printed.isascii()
    listed = printed[re.search(r"^(positional arguments|options):", printed, re.M).start() :]
    entries = [" ".join(e.split()) for e in re.split(r"\n(?=  \S)", listed) if e.startswith("  ")]
    # headings of groups are no arguments
    options = [e for e in entries if e.startswith("-") and not e.startswith(("-h", "-o"))]
    assert len(options) >= 2
    required = {"fit": {"--modalities"}, "links": {"--tss"}}.get(command, set())
    for entry in options:
        if not any(entry.startswith(name) for name in required):
            assert re.search(r"\((default: |needed )", entry), entry
