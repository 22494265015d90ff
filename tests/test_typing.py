"""What a type checker sees of the package from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import scminnet

SCRIPT = """
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd  # type: ignore[import-untyped, unused-ignore]
from mudata import MuData  # type: ignore[import-untyped, unused-ignore]

import scminnet as mn


def work(ref: MuData, folder: Path) -> pd.DataFrame:
    mn.pp.normalize(ref)
    mn.MinNet.setup_mudata(ref, modalities=["rna", "adt"], labels_key="cell_type")
    model = mn.MinNet(ref, n_latent=16)
    model.train(checkpoint=folder / "training.ckpt", seed=1)
    model.save(folder / "model")
    found: npt.NDArray[Any] = mn.MinNet.load(folder / "model", adata=False).get_latent_representation(ref)
    names: npt.NDArray[Any] = model.get_var_names()["rna"]
    aligned: MuData = mn.MinNet.prepare_query_mudata(ref, model, inplace=False)
    print(names.size, aligned.n_obs)
    print(found.shape, model.diagnose(ref).verdict, model.modalities[0].upper())
    mn.tl.transfer_labels(ref, "rna", "adt", "cell_type")
    return mn.metrics.integration_report(ref, modalities=["rna", "adt"], labels_key="cell_type")
"""

WRONG = """
import scminnet as mn

mn.pp.normalise
mn.metrics.foscttm("x", 3).median
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


def checked(tmp_path: Path, cache: Path, text: str) -> str:
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(text)
    source = Path(scminnet.__file__).parents[1]
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), "user.py"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, check=False, env={"PYTHONPATH": str(source)}
    )
    return done.stdout + done.stderr


def test_a_users_script_passes_the_strict_checks(tmp_path, cache: Path) -> None:
    assert "Success" in (said := checked(tmp_path, cache, SCRIPT)), said


def test_wrong_names_are_found(tmp_path, cache: Path) -> None:
    said = checked(tmp_path, cache, WRONG)
    for words in ('no attribute "normalise"', "incompatible type", 'no attribute "median"'):
        assert words in said, said


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(scminnet.__file__).parent / "py.typed").is_file()
