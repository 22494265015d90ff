"""A saved model is the model: for each mix of modalities, labels, batches and coupling, and for models of 0.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData

from scminnet import MinNet

from ..conftest import QUIET
from ..unpaired import SMALL, registered, simulated, split

MIXES: dict[str, dict[str, Any]] = {
    "two modalities, labels, batches": {"modalities": ["rna", "atac"], "labels_key": "cell_type", "batch_key": "batch"},
    "three modalities, no labels": {"modalities": ["rna", "atac", "adt"]},
    "three modalities, labels": {"modalities": ["adt", "rna", "atac"], "labels_key": "cell_type"},
}


def same(first: Any, second: Any) -> bool:
    """Tell whether two attributes of models are equal, with their types."""
    if isinstance(first, pd.DataFrame):
        return list(first.columns) == list(second.columns) and same(
            first.iloc[:, 0].tolist(), second.iloc[:, 0].tolist()
        )
    if isinstance(first, np.ndarray):
        return (
            isinstance(second, np.ndarray)
            and first.dtype.kind in second.dtype.kind + "U"
            and np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
        )
    if isinstance(first, dict):
        return isinstance(second, dict) and set(first) == set(second) and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second or (first != first and second != second)


def check_equal(model: MinNet, loaded: MinNet) -> None:
    weights = loaded.module.state_dict()
    for name, values in model.module.state_dict().items():
        assert torch.equal(values, weights[name]), name
    own, others = (
        {name: value for name, value in m._get_user_attributes() if name.endswith("_")} for m in (model, loaded)
    )
    assert set(own) <= set(others)
    for name, value in own.items():
        assert same(value, others[name]), name
    assert list(loaded.labels) == list(model.labels)


@pytest.fixture(scope="module")
def full() -> MuData:
    return simulated(200)


@pytest.fixture(scope="module", params=[*MIXES, "coupled"])
def model(request: pytest.FixtureRequest, full: MuData) -> MinNet:
    if request.param == "coupled":
        made = MinNet(registered(split(full, paired=20), labels_key="cell_type"), **SMALL)
    else:
        mdata = full.copy()
        MinNet.setup_mudata(mdata, **MIXES[request.param])
        made = MinNet(mdata, **SMALL)
    made.train(max_epochs=2, batch_size=64, **QUIET)
    return made


def test_a_loaded_model_is_the_saved_one(model: MinNet, tmp_path: Path) -> None:
    model.note_ = {"by": "me", "numbers": [1, 2.5, None, True]}
    model.save(tmp_path / "m", prefix="a_")
    loaded = MinNet.load(tmp_path / "m", adata=False, prefix="a_")
    check_equal(model, loaded)
    registry = MinNet.load_registry(tmp_path / "m", prefix="a_")
    assert registry["setup_args"] == model.registry_["setup_args"]
    np.testing.assert_array_equal(
        loaded.get_latent_representation(model.adata), model.get_latent_representation(model.adata)
    )
    # without data of its own, a model takes all it is given for a query: of a coupling's cells it says nothing
    assert str(loaded.diagnose(model.adata)) == str(model.diagnose(model.adata.copy()))
    with_data = MinNet.load(tmp_path / "m", adata=model.adata, prefix="a_")
    assert str(with_data.diagnose()) == str(with_data.diagnose(model.adata)) == str(model.diagnose(model.adata))
    if model.coupling_:
        pd.testing.assert_frame_equal(loaded.unmatched_cells(), model.unmatched_cells(), check_index_type=False)
    del model.note_


def test_a_query_model_is_saved_and_loaded(model: MinNet, tmp_path: Path) -> None:
    query = MuData({model.modalities[0]: model.adata[model.modalities[0]].copy()})
    loaded = MinNet.load_query_data(query, model)
    expected = loaded.get_latent_representation()
    loaded.save(tmp_path / "q", save_anndata=True)
    np.testing.assert_array_equal(MinNet.load(tmp_path / "q").get_latent_representation(), expected)


def as_0_1(model: MinNet, folder: Path, *, linear: bool = True) -> None:
    """Save a model as scminnet 0.1 did."""
    attributes = {name: value for name, value in model._get_user_attributes() if name.endswith("_")}
    attributes["written_by_"] = {"format": 1, "scminnet": "0.1.0"}
    state = dict(model.module.state_dict())
    if not linear:
        del state["linear_share"]
    folder.mkdir()
    torch.save(
        {
            "model_state_dict": {**state, "pyro_param_store": {"params": {}, "constraints": {}}},
            "var_names": model.get_var_names(),
            "attr_dict": attributes,
        },
        folder / "model.pt",
    )


def test_models_of_0_1_are_loaded_when_trusted(model: MinNet, tmp_path: Path) -> None:
    linear = bool(model.module.linear_share)
    as_0_1(model, tmp_path / "old", linear=linear)
    with pytest.raises(ValueError, match=r"If scminnet 0\.1 saved it .*trusted=True.*save it again"):
        MinNet.load(tmp_path / "old", adata=False)
    loaded = MinNet.load(tmp_path / "old", adata=False, trusted=True)
    expected = model.get_latent_representation(model.adata)
    np.testing.assert_array_equal(loaded.get_latent_representation(model.adata), expected)
    loaded.save(tmp_path / "new")
    again = MinNet.load(tmp_path / "new", adata=False)
    np.testing.assert_array_equal(again.get_latent_representation(model.adata), expected)
    assert again.written_by_["scminnet"] == "0.1.0"


def test_saving_refuses_what_could_not_be_loaded(full: MuData, tmp_path: Path) -> None:
    mdata = full.copy()
    MinNet.setup_mudata(mdata, ["rna", "atac"])
    model = MinNet(mdata, **SMALL)
    model.save(tmp_path / "untrained")
    assert not MinNet.load(tmp_path / "untrained", adata=False).is_trained
    model.note_ = object()
    with pytest.raises(TypeError, match=r"`note_` is a object\. Only numbers, texts"):
        model.save(tmp_path / "m")
    del model.note_
    with torch.no_grad():
        model.module.embedding_head.bias[0] = float("nan")
    with pytest.raises(ValueError, match="hold NaN or infinite"):
        model.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()
    loaded = MinNet.load(tmp_path / "untrained", adata=False)
    with pytest.raises(ValueError, match="`save_anndata` is set, but the model was loaded without data"):
        loaded.save(tmp_path / "m", save_anndata=True)


def test_without_saved_data_a_model_is_loaded_without(full: MuData, tmp_path: Path) -> None:
    mdata = full.copy()
    MinNet.setup_mudata(mdata, ["rna", "atac"])
    MinNet(mdata, **SMALL).save(tmp_path / "m")
    with pytest.warns(UserWarning, match="no data were saved with the model"):
        assert MinNet.load(tmp_path / "m").adata is None
    with pytest.raises(TypeError, match="`adata` must be a MuData"):
        MinNet.load(tmp_path / "m", adata=mdata["rna"])
