from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scminnet import pl
from scminnet.pl._style import MISSING, palette
from scminnet.pl.embedding import joint_umap


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def embedded() -> MuData:
    rng = np.random.default_rng(0)
    parts = {}
    for m, names in (("rna", range(0, 60)), ("adt", range(30, 80))):
        adata = AnnData(np.zeros((len(names), 1), dtype=np.float32), obs=pd.DataFrame(index=[f"c{i}" for i in names]))
        adata.var_names = [m]
        adata.obsm["X_minnet"] = rng.normal(size=(len(names), 4)) + 5 * (np.array(names) % 2)[:, None]
        parts[m] = adata
    mdata = MuData(parts)
    mdata.obs["type"] = pd.Series(np.where(np.arange(80) % 2, "odd", "even"), index=[f"c{i}" for i in range(80)])
    return mdata


def test_joint_umap_has_a_row_a_cell_and_modality(embedded: MuData) -> None:
    layout = joint_umap(embedded, ["rna", "adt"], seed=1)
    assert layout["modality"].value_counts().to_dict() == {"rna": 60, "adt": 50}
    assert list(layout.index[60:]) == list(embedded["adt"].obs_names)
    assert np.isfinite(layout[["x", "y"]].to_numpy()).all()
    pd.testing.assert_frame_equal(layout, joint_umap(embedded, ["rna", "adt"], seed=1))
    # the two types are far apart in the embedding, hence on the map
    centres = layout.groupby(embedded.obs["type"].loc[layout.index].to_numpy())[["x", "y"]].mean()
    assert np.linalg.norm(centres.loc["odd"] - centres.loc["even"]) > 3


def test_embedding_draws_every_cell_in_each_panel(embedded: MuData) -> None:
    figure = pl.embedding(embedded, ["rna", "adt"], ["type"])
    assert [axis.get_title() for axis in figure.axes] == ["modality", "type"]
    for axis in figure.axes:
        assert len(axis.collections[0].get_offsets()) == 110
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert labels == ["even", "odd"]


def test_embedding_names_what_is_missing(embedded: MuData) -> None:
    with pytest.raises(KeyError, match="`color`"):
        pl.embedding(embedded, ["rna", "adt"], ["batch"])
    with pytest.raises(KeyError, match=r"`use_rep`.*model\.embed"):
        pl.embedding(embedded, ["rna", "adt"], ["type"], use_rep="X_other")


def test_cells_without_a_category_are_grey(embedded: MuData) -> None:
    mdata = embedded.copy()
    mdata.obs["some"] = mdata.obs["type"].where(mdata.obs["type"] == "odd")
    axis = pl.embedding(mdata, ["rna"], ["some"]).axes[1]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["odd", "none"]
    colours = {tuple(np.round(c, 2)) for c in axis.collections[0].get_facecolors()}
    assert len(colours) == 2
    assert MISSING == "#DDDDDD"


@pytest.mark.parametrize("n", [1, 8, 9, 60])
def test_palette_gives_each_category_its_own_colour(n: int) -> None:
    colours = palette([str(i) for i in range(n)])
    assert len(set(colours.values())) == n


def test_heatmap_shows_shares_of_each_true_type() -> None:
    figure = pl.transfer_heatmap(["a", "a", "a", "b", None], ["a", "a", "c", "b", "a"])
    shares = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shares, [[2 / 3, 0, 1 / 3], [0, 1, 0]])
    with pytest.raises(ValueError, match="`true` has 1"):
        pl.transfer_heatmap(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="no label"):
        pl.transfer_heatmap([None], ["a"])


class Recorded:
    history = {
        f"{name}_{part}": pd.DataFrame({name: [3.0, 2.0, 1.0]})
        for part in ("train", "validation")
        for name in ("classification_loss", "contrastive_loss", "accuracy_rna", "pair_accuracy_rna")
    } | {f"{part}_loss": pd.DataFrame({"loss": [3.0, 2.0, 1.0]}) for part in ("train", "validation")}


def test_history_draws_each_loss_for_both_parts() -> None:
    figure = pl.history(Recorded())
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == [
        "total loss",
        "classification loss",
        "contrastive loss",
        "types called right",
        "cells that find themselves",
    ]
    assert len(figure.axes[0].lines) == 2
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), [3, 2, 1])


def test_history_needs_a_trained_model() -> None:
    class Fresh:
        history = None

    with pytest.raises(ValueError, match="`model` has no training history"):
        pl.history(Fresh())
