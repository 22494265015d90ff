from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scminnet import pl


def test_heatmap_shows_shares_of_each_true_type() -> None:
    axis = pl.transfer_heatmap(["a", "a", "a", "b", None], ["a", "a", "c", "b", "a"], title="x to y")
    np.testing.assert_allclose(axis.images[0].get_array(), [[2 / 3, 0, 1 / 3], [0, 1, 0]])
    assert [t.get_text() for t in axis.get_yticklabels()] == ["a (3)", "b (1)"]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["a", "b", "c"]
    assert sorted(t.get_text() for t in axis.texts) == ["100", "33", "67"]
    assert axis.get_title() == "x to y"


def test_numbers_are_written_where_there_is_room() -> None:
    names = [f"t{i:02}" for i in range(25)]
    assert not pl.transfer_heatmap(names, names).texts
    assert len(pl.transfer_heatmap(names[:20], names[:20]).texts) == 20
    _, axis = plt.subplots(figsize=(2, 2), layout="constrained")
    assert not pl.transfer_heatmap(names[:10], names[:10], ax=axis).texts


def test_types_are_in_natural_order() -> None:
    axis = pl.transfer_heatmap(["t10", "t2"], ["t10", "t3"])
    assert [t.get_text() for t in axis.get_yticklabels()] == ["t2 (1)", "t10 (1)"]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["t2", "t3", "t10"]


@pytest.mark.parametrize("n", [1, 3, 25])
def test_no_text_overlaps(n: int, text_apart) -> None:
    names = [f"T cell, CD4-positive, {i}" for i in range(n)]
    text_apart(pl.transfer_heatmap(names, names, title="rna to atac").figure)


def test_labels_are_one_a_cell_and_some_known() -> None:
    with pytest.raises(ValueError, match="`data` has 1"):
        pl.transfer_heatmap(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="no cell with a true type"):
        pl.transfer_heatmap([None], ["a"])


def test_labels_without_a_name_are_last() -> None:
    axis = pl.transfer_heatmap(["x", "a", "z"], ["unassigned", "a", "z"])
    assert [t.get_text() for t in axis.get_xticklabels()] == ["a", "x", "z", "unassigned"]


# ---- a MuData


def transferred() -> MuData:
    parts = {}
    for m, names in (("rna", ["a1", "a2", "b1", "b2"]), ("atac", ["a2", "b1", "b2", "c9"])):
        parts[m] = AnnData(np.ones((4, 1), np.float32), obs=pd.DataFrame(index=names))
        parts[m].var_names = [m]
    parts["rna"].obs["type"] = ["a", "a", "b", "b"]
    parts["atac"].obs["transferred_label"] = pd.Categorical(["a", "a", "b", "unassigned"])
    parts["atac"].obs["annotated"] = ["a", "b", "b", "c"]
    mdata = MuData(parts)
    mdata.uns["transferred_label"] = {"source": "rna", "target": "atac", "params": {"labels_key": "type"}}
    return mdata


def test_a_mudata_gives_truth_and_labels_of_the_target() -> None:
    axis = pl.transfer_heatmap(transferred())
    assert [t.get_text() for t in axis.get_yticklabels()] == ["a (1)", "b (2)"]
    np.testing.assert_allclose(axis.images[0].get_array(), [[1, 0], [0.5, 0.5]])
    assert axis.get_title() == "labels from rna to atac"
    axis = pl.transfer_heatmap(transferred(), labels_key="annotated", title="")
    assert [t.get_text() for t in axis.get_yticklabels()] == ["a (1)", "b (2)", "c (1)"]
    assert axis.get_title() == ""


def test_a_mudata_of_predictions_needs_the_column_of_the_truth() -> None:
    mdata = transferred()
    mdata.obs["predicted"] = ["a"] * mdata.n_obs
    with pytest.raises(ValueError, match="`labels_key` is None"):
        pl.transfer_heatmap(mdata, "predicted")
    assert [t.get_text() for t in pl.transfer_heatmap(mdata, "predicted", labels_key="type").get_xticklabels()] == [
        "a",
        "b",
    ]
    with pytest.raises(KeyError, match="`labels_key` is 'no'"):
        pl.transfer_heatmap(mdata, labels_key="no")
    with pytest.raises(KeyError, match="`predicted` is 'no'"):
        pl.transfer_heatmap(mdata, "no", labels_key="type")
    with pytest.raises(TypeError, match="`predicted` is a list"):
        pl.transfer_heatmap(mdata, ["a"])
    with pytest.raises(TypeError, match="`data` must be a MuData"):
        pl.transfer_heatmap(["a"], "predicted")
    with pytest.raises(ValueError, match="`modality` names 'adt'"):
        pl.transfer_heatmap(mdata, modality="adt")
