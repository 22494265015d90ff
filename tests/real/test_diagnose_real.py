"""What ``MinNet.diagnose`` says of real queries: as ``benchmarks/results/diagnose.md`` has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mudata import MuData

import scminnet as mn
from benchmarks.shared import development_sets
from benchmarks.shared.development_sets import DevelopmentSet

pytestmark = pytest.mark.real

NAME = "pbmc10k_citeseq"


@pytest.fixture(scope="module")
def data(real_data: Path) -> DevelopmentSet:
    return development_sets.load(NAME, real_data)


@pytest.fixture(scope="module")
def model(data: DevelopmentSet) -> mn.MinNet:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(data.train)
    model.train(enable_progress_bar=False, accelerator="cpu")
    torch.set_num_threads(threads)
    return model


def values(diagnosis: mn.model.Diagnosis, modality: str):
    return diagnosis.table.query("modality == @modality").set_index("check")["value"]


def test_test_cells_are_inside(data: DevelopmentSet, model: mn.MinNet) -> None:
    found = model.diagnose(data.test)
    assert found.verdict == "inside", found
    assert set(found.table["verdict"]) == {"inside"}, found
    for m in data.modalities:
        assert values(found, m)["near"] > 0.92


def test_half_of_the_proteins_are_too_few(data: DevelopmentSet, model: mn.MinNet) -> None:
    lacking = MuData({"rna": data.test["rna"], "adt": data.test["adt"][:, ::2].copy()})
    found = model.diagnose(mn.MinNet.prepare_query_mudata(lacking, model, inplace=False))
    assert found.verdict == "outside"
    assert set(found.table.query("modality == 'rna'")["verdict"]) == {"inside"}
    assert set(found.table.query("modality == 'adt' and check in ['features', 'near']")["verdict"]) <= {
        "borderline",
        "outside",
    }


def test_monocytes_alone_want_the_reference_s_statistics(data: DevelopmentSet, model: mn.MinNet) -> None:
    labels = data.test.obs[data.labels_key].astype(str)
    alone = data.test[(labels == "Monocytes").to_numpy()].copy()
    found, remedy = model.diagnose(alone), model.diagnose(alone, statistics="reference")
    assert found.verdict == "outside"
    assert found.table.query("check == 'statistics'")["verdict"].item() == "borderline"
    assert np.mean(model.predict(alone, modality="rna") == "Monocytes") < 0.6
    assert values(remedy, "rna")["near"] > 0.9
    assert np.mean(model.predict(alone, modality="rna", statistics="reference") == "Monocytes") > 0.9


def test_mouse_cortex_is_outside(real_data: Path, model: mn.MinNet) -> None:
    rna = development_sets.load("snareseq_mouse_cortex", real_data).test["rna"].copy()
    rna.var_names = rna.var_names.str.upper()
    query = MuData({"rna": rna[:, ~rna.var_names.duplicated()].copy()})
    found = model.diagnose(mn.MinNet.prepare_query_mudata(query, model, inplace=False))
    assert found.verdict == "outside"
    assert {"features", "levels", "signal", "near", "confidence"} == set(
        found.table.query("verdict == 'outside'")["check"]
    )
