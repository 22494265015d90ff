from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex
from mudata import MuData

from scminnet import pl
from scminnet.pl._groups import levels
from scminnet.pl._style import COLOUR_BLIND_SAFE, MISSING
from scminnet.pl.embedding import BETWEEN_NUMBERS, joint_umap


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
    names = [f"c{i}" for i in range(80)]
    mdata.obs["type"] = pd.Series(np.where(np.arange(80) % 2, "odd", "even"), index=names)
    mdata.obs["many"] = pd.Series([f"t{i % 10 + 1}" for i in range(80)], index=names)
    return mdata


def legend(axis: plt.Axes) -> list[str]:
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_joint_umap_has_a_row_a_cell_and_modality(embedded: MuData) -> None:
    layout = joint_umap(embedded, ["rna", "adt"], seed=1)
    assert layout["modality"].value_counts().to_dict() == {"rna": 60, "adt": 50}
    assert list(layout.index[60:]) == list(embedded["adt"].obs_names)
    assert np.isfinite(layout[["x", "y"]].to_numpy()).all()
    pd.testing.assert_frame_equal(layout, joint_umap(embedded, ["rna", "adt"], seed=1))
    # the two types are far apart in the embedding, hence on the map
    centres = layout.groupby(embedded.obs["type"].loc[layout.index].to_numpy())[["x", "y"]].mean()
    assert np.linalg.norm(centres.loc["odd"] - centres.loc["even"]) > 3


def test_every_cell_is_drawn_in_each_panel(embedded: MuData) -> None:
    axes = pl.embedding(embedded, ["rna", "adt"], ["type", "modality"])
    assert [axis.get_title() for axis in axes] == ["type", "modality"]
    layout = joint_umap(embedded, ["rna", "adt"])
    for axis in axes:
        points = axis.collections[0].get_offsets()
        np.testing.assert_allclose(np.sort(points, axis=0), np.sort(layout[["x", "y"]].to_numpy(), axis=0))
        assert axis.collections[0].get_rasterized()
    assert legend(axes[0]) == ["even", "odd"]
    assert legend(axes[1]) == ["rna", "adt"]
    # each point has the colour of its own category
    of_place = {tuple(place): cell for cell, place in zip(layout.index, layout[["x", "y"]].to_numpy(), strict=True)}
    colours = {"even": COLOUR_BLIND_SAFE[0], "odd": COLOUR_BLIND_SAFE[1]}
    drawn = axes[0].collections[0]
    for place, colour in zip(drawn.get_offsets().data, drawn.get_facecolors(), strict=True):
        assert to_hex(colour).upper() == colours[embedded.obs.loc[of_place[tuple(place)], "type"]]


def test_no_text_overlaps(embedded: MuData, text_apart) -> None:
    text_apart(pl.embedding(embedded, ["rna", "adt"], ["type", "modality", "many", "type"])[0].figure)


def test_one_colour_is_one_axes(embedded: MuData) -> None:
    _, axis = plt.subplots()
    assert pl.embedding(embedded, ["rna"], "modality", ax=axis) is axis
    assert legend(axis) == ["rna"]


def test_more_categories_than_safe_colours_are_numbered(embedded: MuData) -> None:
    axis = pl.embedding(embedded, ["rna", "adt"], "many", seed=3)
    assert legend(axis) == [f"{i} t{i}" for i in range(1, 11)]
    layout = joint_umap(embedded, ["rna", "adt"], seed=3)
    labels = embedded.obs["many"].loc[layout.index].to_numpy()
    places = {text.get_text(): text.get_position() for text in axis.texts}
    assert places
    for number, place in places.items():
        own = layout.loc[labels == f"t{number}", ["x", "y"]].to_numpy()
        assert np.isclose(own, place).all(axis=1).any()
    inches = axis.transData.transform(list(places.values())) / axis.figure.dpi
    apart = np.linalg.norm(inches[:, None] - inches, axis=2)[np.triu_indices(len(inches), 1)]
    # the axes are a little smaller than when the places were chosen
    assert apart.min() > 0.7 * BETWEEN_NUMBERS


def test_cells_without_a_category_are_grey(embedded: MuData) -> None:
    mdata = embedded.copy()
    mdata.obs["some"] = mdata.obs["type"].where(mdata.obs["type"] == "odd")
    axis = pl.embedding(mdata, ["rna"], "some")
    assert legend(axis) == ["odd", "none"]
    colours = pd.Series([to_hex(c).upper() for c in axis.collections[0].get_facecolors()]).value_counts()
    assert colours.to_dict() == {COLOUR_BLIND_SAFE[0]: 30, MISSING: 30}


def test_categories_have_their_own_order_or_a_natural_one() -> None:
    assert list(levels(pd.Series(["t10", "t2", None, "t1"])).cat.categories) == ["t1", "t2", "t10"]
    ordered = levels(pd.Series(["ill", "well", "new"]), ["well", "unseen", "ill"])
    assert list(ordered.cat.categories) == ["well", "ill", "new"]


def test_bad_input(embedded: MuData) -> None:
    with pytest.raises(KeyError, match="`color`"):
        pl.embedding(embedded, ["rna", "adt"], ["batch"])
    with pytest.raises(KeyError, match=r"`use_rep`.*model\.embed"):
        pl.embedding(embedded, ["rna", "adt"], ["type"], use_rep="X_other")
    with pytest.raises(ValueError, match="`color` is empty"):
        pl.embedding(embedded, ["rna", "adt"], [])
    with pytest.raises(ValueError, match="`ax` holds 1 Axes, but the figure has 2 panels: type, modality"):
        pl.embedding(embedded, ["rna", "adt"], ["type", "modality"], ax=plt.subplots()[1])
