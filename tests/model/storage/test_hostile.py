"""A stranger's model runs nothing: each kind of hostile file ends with one clear error, in bounded time and memory."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mudata import MuData

from scminnet import MinNet
from scminnet._core.plain_data import read_plain
from scminnet._core.torch_archive import NotPlainError

from . import not_plain
from .inconsistent import INCONSISTENT
from .not_plain import NOT_PLAIN

#: Reads each file in a process that has little memory, and prints what comes of it.
READ_ALL = """
import json, sys
from pathlib import Path
from scminnet import MinNet
from scminnet.model.training.checkpoint import read_checkpoint
try:
    import resource
    limit = 8 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
except ImportError:
    pass

def outcome(action):
    try:
        action()
        return "loaded"
    except ValueError as error:
        return str(error)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"

found = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    found[folder.name] = [
        outcome(lambda: MinNet.load(folder, adata=False)),
        outcome(lambda: MinNet.load_registry(folder)),
        outcome(lambda: MinNet.view_setup_args(folder)),
        outcome(lambda: read_checkpoint(folder / "model.pt", {}, None)),
    ]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[str]], Path]:
    root = tmp_path_factory.mktemp("strangers")
    marks = root / "marks"
    marks.mkdir()
    names = list(NOT_PLAIN)
    for i, name in enumerate(names):
        folder = root / "models" / f"{i:03}"
        folder.mkdir(parents=True)
        NOT_PLAIN[name](folder / "model.pt", marks / str(i))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_ALL, str(root / "models")],
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: found[f"{i:03}"] for i, name in enumerate(names)}, marks


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_not_plain_is_refused_before_it_is_unpickled(outcomes: tuple[dict[str, list[str]], Path], name) -> None:
    found, marks = outcomes
    loaded, registry, arguments, checkpoint = found[name]
    assert loaded == registry == arguments
    assert loaded.startswith("model.pt in ")
    assert "can not be read: it" in loaded
    assert "MinNet.load(..., trusted=True)" in loaded
    assert checkpoint.startswith("`checkpoint`")
    assert "can not be read: it" in checkpoint
    for text in (loaded, checkpoint):
        assert len(text) < 1000
        assert "\n" not in text
    assert not list(marks.iterdir())


def test_the_hostile_files_would_run_code_otherwise(tmp_path) -> None:
    """The marks tell something only if they would be left."""
    for i, name in enumerate(("function in a torch archive", "TorchScript")):
        NOT_PLAIN[name](tmp_path / "model.pt", tmp_path / str(i))
        torch.load(tmp_path / "model.pt", weights_only=False)
        assert (tmp_path / str(i)).exists()


def content_of(trained: MinNet, folder: Path) -> dict[str, Any]:
    trained.save(folder)
    return torch.load(folder / "model.pt", weights_only=True)


@pytest.fixture(scope="module")
def content(trained: MinNet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return content_of(trained, tmp_path_factory.mktemp("model") / "m")


@pytest.mark.parametrize("name", INCONSISTENT)
def test_parts_that_do_not_fit_together_are_refused(
    content: dict[str, Any], query: MuData, tmp_path, name: str
) -> None:
    change, words = INCONSISTENT[name]
    changed = copy.deepcopy(content)
    other = change(changed)
    torch.save(other if isinstance(other, list) else changed, tmp_path / "model.pt")
    before = (query.obs.copy(), list(query.obsm), query["rna"].X.copy())
    ways = [
        lambda: MinNet.load(tmp_path, adata=False),
        lambda: MinNet.load_query_data(query, tmp_path),
        lambda: MinNet.prepare_query_mudata(query, tmp_path),
    ]
    # all ways read the file by one function
    for action in ways if name == "NaN weights" else ways[:1]:
        with pytest.raises(ValueError, match=rf"model\.pt in .* can not be used: .*({words})") as caught:
            action()
        assert len(str(caught.value)) < 1000
    assert query.obs.equals(before[0])
    assert list(query.obsm) == before[1]
    assert (query["rna"].X != before[2]).nnz == 0


def unshared(value: Any) -> Any:
    """Return a copy in which no list or dictionary is there twice."""
    return {key: unshared(v) for key, v in value.items()} if isinstance(value, dict) else value


def test_a_coupling_is_checked_too(trained: MinNet, tmp_path) -> None:
    side = {
        "cells": json.dumps(["a", "b"]),
        "price": torch.zeros(2),
        "p_value": torch.ones(2),
        "unmatched": torch.tensor([True, False]),
        "with_partner": 0.5,
        "with_partner_by_type": {"x": 0.5},
        "with_partner_by_batch": {},
    }
    whole = {
        "verdict": "holds", "agreement": 0.5, "shuffled": torch.zeros(3), "p_value": 0.1, "links": {"a": 0.1},
        "sides": {"rna": side, "atac": side},
    }  # fmt: skip
    content = content_of(trained, tmp_path / "m")

    def load(summary: dict[str, Any]) -> MinNet:
        content["attr_dict"]["coupling_"] = {"rna, atac": unshared(summary)}
        torch.save(content, tmp_path / "m" / "model.pt")
        return MinNet.load(tmp_path / "m", adata=False)

    assert list(load(whole).unmatched_cells().index) == ["a", "b", "a", "b"]
    for part, words in (
        ({"verdict": "evil"}, "has no verdict"),
        ({"agreement": "much"}, "no number at 'agreement'"),
        ({"shuffled": torch.zeros(0)}, "no shuffled links"),
        ({"links": {"a": None}}, "no number at 'a'"),
        ({"sides": {"rna": side}}, "has other sides"),
        ({"sides": {"rna": side, "atac": {**side, "price": torch.zeros(3)}}}, "not one price for each cell"),
        ({"sides": {"rna": side, "atac": {k: v for k, v in side.items() if k != "p_value"}}}, "p_value of 'atac'"),
        ({"sides": {"rna": side, "atac": {**side, "unmatched": torch.zeros(2)}}}, "not one unmatched for each"),
        ({"sides": {"rna": side, "atac": {**side, "cells": "[1, 2]"}}}, "no list of names"),
    ):
        with pytest.raises(ValueError, match=words):
            load({**whole, **part})


def test_a_saved_model_needs_no_more_than_weights_only(trained: MinNet, tmp_path) -> None:
    """torch reads the same as the reader of our own."""

    def same(first: Any, second: Any) -> bool:
        if isinstance(first, torch.Tensor):
            return first.dtype == second.dtype and torch.equal(first, second)
        if isinstance(first, dict):
            return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
        if isinstance(first, list):
            return len(first) == len(second) and all(map(same, first, second))
        return type(first) is type(second) and first == second

    content = content_of(trained, tmp_path / "m")
    assert same(content, read_plain(tmp_path / "m" / "model.pt"))


def test_cut_and_flipped_files_never_crash(trained: MinNet, tmp_path) -> None:
    """Each prefix and each changed byte is refused, or changes nothing that matters."""
    trained.save(tmp_path / "m")
    file = tmp_path / "m" / "model.pt"
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    # most of the file are values, of which the checksum tells changes; the interesting bytes are around them
    places = np.concatenate(
        [rng.integers(0, len(whole), 60), rng.integers(0, 3000, 120), len(whole) - rng.integers(1, 5000, 120)]
    )
    for i, place in enumerate(places):
        changed = bytearray(whole)
        if i % 4 == 0:
            del changed[place:]
        else:
            changed[place] = rng.integers(256)
        file.write_bytes(changed)
        try:
            read_plain(file)
        except NotPlainError as error:
            assert len(str(error)) < 500  # noqa: PT017


def test_a_stranger_can_not_choose_the_class(trained: MinNet, tmp_path, monkeypatch) -> None:
    """The documented way names its class; the metadata of the hub name another, which is never imported."""
    pytest.importorskip("huggingface_hub")
    from scvi.hub import HubModel

    trained.save(tmp_path / "m")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "m" / "_scvi_required_metadata.json").write_text(
        json.dumps(
            {"scvi_version": "1", "anndata_version": "1", "model_cls_name": "MinNet", "model_parent_module": "evil"}
        )
    )
    (tmp_path / "m" / "README.md").write_text("---\nlicense: mit\n---\n")
    pulled = HubModel(str(tmp_path / "m"))
    assert MinNet.load(pulled.local_dir, adata=False).is_trained
    assert not (tmp_path / "mark").exists()


def test_legacy_saves_are_never_converted(tmp_path) -> None:
    with pytest.raises(TypeError, match="no MinNet was saved in the format"):
        MinNet.convert_legacy_save(str(tmp_path), str(tmp_path / "out"))


@pytest.mark.parametrize("name", ["TorchScript", "function in a torch archive"])
def test_what_is_trusted_runs(tmp_path, name: str) -> None:
    """Only then, and only from a pickle: a TorchScript archive is no model of any version."""
    NOT_PLAIN[name](tmp_path / "model.pt", tmp_path / "mark")
    with pytest.raises(ValueError, match=r"model\.pt in"):
        MinNet.load(tmp_path, adata=False, trusted=True)
    assert (tmp_path / "mark").exists() == (name != "TorchScript")


def test_all_kinds_are_told_apart() -> None:
    assert len(NOT_PLAIN) + len(INCONSISTENT) > 100
    assert not_plain.__doc__
