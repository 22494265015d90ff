from __future__ import annotations

import logging

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.colors import to_hex
from mudata import MuData, read_h5mu

from scminnet import pl
from scminnet.pl import _layout
from scminnet.pl._colors import COLOUR_BLIND_SAFE, MISSING, NOT_NAMED
from scminnet.pl._groups import levels
from scminnet.pl._layout import joint_umap
from scminnet.pl._maps import BETWEEN_NUMBERS, _places


@pytest.fixture
def embedded(made: MuData) -> MuData:
    return made.copy()


@pytest.fixture(scope="module")
def made() -> MuData:
    rng = np.random.default_rng(0)
    parts = {}
    for m, names in (("rna", range(0, 60)), ("adt", range(30, 80))):
        adata = AnnData(np.zeros((len(names), 1), dtype=np.float32), obs=pd.DataFrame(index=[f"c{i}" for i in names]))
        adata.var_names = [m]
        adata.X[:] = rng.poisson(2, adata.shape)
        adata.obs["n_counts"] = rng.normal(100, 10, len(names))
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


def test_more_categories_than_safe_colours_are_numbered() -> None:
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(10), 30)
    adata = AnnData(np.ones((300, 1), np.float32), obs=pd.DataFrame(index=[f"c{i}" for i in range(300)]))
    adata.obs["many"] = [f"t{i + 1}" for i in code]
    adata.obsm["X_minnet"] = (rng.normal(size=(10, 8)) * 20)[code] + rng.normal(size=(300, 8))
    mdata = MuData({"rna": adata})
    axis = pl.embedding(mdata, color="many", seed=3)
    assert legend(axis) == [f"{i} t{i}" for i in range(1, 11)]
    layout = adata.obsm["X_umap"]
    places = {text.get_text(): text.get_position() for text in axis.texts}
    assert len(places) >= 8
    for number, place in places.items():
        assert np.isclose(layout[code == int(number) - 1], place).all(axis=1).any()
    inches = axis.transData.transform(list(places.values())) / axis.figure.dpi
    apart = np.linalg.norm(inches[:, None] - inches, axis=2)[np.triu_indices(len(inches), 1)]
    # the axes are a little smaller than when the places were chosen
    assert apart.min() > 0.7 * BETWEEN_NUMBERS


def test_cells_without_a_category_are_grey(embedded: MuData) -> None:
    mdata = embedded.copy()
    mdata.obs["some"] = mdata.obs["type"].where(mdata.obs["type"] == "odd")
    axis = pl.embedding(mdata, ["rna"], "some")
    assert legend(axis) == ["odd", "no value"]
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


# ---- the UMAP that is kept


def counted(monkeypatch) -> list[int]:
    calls = []

    def umap(*args, **kwargs):
        calls.append(1)
        return joint_umap(*args, **kwargs)

    monkeypatch.setattr(_layout, "joint_umap", umap)
    return calls


def test_the_umap_is_kept_and_used_again_for_the_same_embedding(embedded: MuData, monkeypatch, tmp_path) -> None:
    calls = counted(monkeypatch)
    pl.embedding(embedded)
    layout = joint_umap(embedded, ["rna", "adt"])
    np.testing.assert_allclose(embedded["adt"].obsm["X_umap"], layout.loc[layout["modality"] == "adt", ["x", "y"]])
    # a cell of both modalities lies between its two places
    of_cell = embedded.obs_names.get_loc("c40")
    np.testing.assert_allclose(embedded.obsm["X_umap"][of_cell], layout.loc["c40", ["x", "y"]].mean(), rtol=1e-5)
    pl.embedding(embedded, color="type")
    embedded.write(tmp_path / "m.h5mu")
    pl.embedding(read_h5mu(tmp_path / "m.h5mu"))
    # a part of the cells in another order, and one modality, have the places that they have
    part = embedded[embedded.obs_names[::-3]].copy()
    axis = pl.embedding(part, ["rna"])
    assert {tuple(p) for p in axis.collections[0].get_offsets().data} <= {
        tuple(p) for p in embedded["rna"].obsm["X_umap"]
    }
    assert len(calls) == 1
    pl.embedding(embedded, recompute=True)
    assert len(calls) == 2


@pytest.mark.parametrize("change", ["embedding", "places", "n_neighbors", "use_rep"])
def test_the_umap_is_computed_again_when_it_is_not_that_of_the_embedding(
    embedded: MuData, monkeypatch, change: str
) -> None:
    calls = counted(monkeypatch)
    pl.embedding(embedded)
    arguments = {"n_neighbors": 10} if change == "n_neighbors" else {}
    if change == "embedding":
        embedded["adt"].obsm["X_minnet"][3] += 1
    elif change == "places":
        embedded["adt"].obsm["X_umap"] = embedded["adt"].obsm["X_umap"][::-1].copy()
    elif change == "use_rep":
        arguments = {"use_rep": "X_other"}
        for adata in embedded.mod.values():
            adata.obsm["X_other"] = adata.obsm["X_minnet"].copy()
    pl.embedding(embedded, **arguments)
    assert len(calls) == 2


def test_a_layout_of_another_function_is_not_replaced(embedded: MuData, caplog, monkeypatch) -> None:
    monkeypatch.setattr(logging.getLogger("scminnet"), "propagate", True)
    own = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    embedded["rna"].obsm["X_umap"] = own.copy()
    pl.embedding(embedded)
    np.testing.assert_array_equal(embedded["rna"].obsm["X_umap"], own)
    assert "X_umap" not in embedded["adt"].obsm
    assert "mdata['rna'] was made by another function" in caplog.text
    pl.embedding(embedded, basis="X_joint")
    assert "X_joint" in embedded["rna"].obsm
    # also where an own one was replaced by the user afterwards
    pl.embedding(embedded, recompute=True)
    embedded["rna"].obsm["X_umap"] = own.copy()
    pl.embedding(embedded)
    np.testing.assert_array_equal(embedded["rna"].obsm["X_umap"], own)


def test_a_view_is_not_written_to(embedded: MuData) -> None:
    view = embedded[embedded.obs_names[:50]]
    pl.embedding(view, color="type")
    assert view.is_view
    assert "X_umap" not in view.obsm
    assert "X_umap" not in embedded.uns


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 5)), elements=st.floats(-8, 8, width=16)))
def test_equal_rows_have_equal_hashes_and_others_do_not(rows: np.ndarray) -> None:
    hashes = _layout.row_hashes(rows)
    same = (rows.view(np.uint32)[:, None] == rows.view(np.uint32)[None]).all(axis=2)
    np.testing.assert_array_equal(hashes[:, None] == hashes[None], same)


# ---- numbers and features


def test_numbers_have_a_colour_bar_and_each_modality_its_own_values(embedded: MuData) -> None:
    axis = pl.embedding(embedded, color="n_counts")
    drawn = axis.collections[-1]
    expected = np.concatenate([embedded[m].obs["n_counts"] for m in ("rna", "adt")])
    np.testing.assert_allclose(np.sort(drawn.get_array()), np.sort(expected))
    assert axis.get_legend() is None
    assert len(axis.child_axes) == 1
    embedded.obs["depth"] = np.arange(80.0)
    assert len(pl.embedding(embedded, color="depth").collections[-1].get_offsets()) == 110


def test_a_gene_colours_the_cells_of_its_modality(embedded: MuData) -> None:
    axis = pl.embedding(embedded, color="adt")
    assert axis.get_title() == "adt:adt"
    grey, drawn = axis.collections
    assert len(grey.get_offsets()) == 60
    np.testing.assert_allclose(np.sort(drawn.get_array()), np.sort(embedded["adt"].X[:, 0]))
    assert pl.embedding(embedded, color="rna:rna").get_title() == "rna:rna"
    embedded["adt"].layers["twice"] = 2 * embedded["adt"].X
    doubled = pl.embedding(embedded, color="adt", layer="twice", modalities=["adt"]).collections[-1]
    assert doubled.get_array().max() == 2 * embedded["adt"].X.max()


def test_a_feature_of_two_modalities_needs_its_modality(embedded: MuData) -> None:
    for adata in embedded.mod.values():
        adata.var_names = ["CD3E"]
    with pytest.raises(ValueError, match=r"`color` is 'CD3E', a feature of 'rna', 'adt'.*'rna:CD3E'"):
        pl.embedding(embedded, color="CD3E")
    assert pl.embedding(embedded, color="adt:CD3E").get_title() == "adt:CD3E"


def test_no_legend_makes_a_picture_that_can_not_be_read(embedded: MuData, text_apart) -> None:
    mdata = embedded
    mdata.obs["each"] = [f"barcode {i}" for i in range(80)]
    mdata.obs["forty"] = pd.Categorical([f"a rather long name of a type {i % 40}" for i in range(80)])
    axes = pl.embedding(mdata, color=["forty", "type", "n_counts"])
    figure = axes[0].figure
    assert figure.get_figheight() < 8
    text_apart(figure)
    for name in ("each", "forty"):
        figure = pl.embedding(mdata, color=name).figure
        assert figure.get_figheight() * 300 < 4_000


def test_maps_are_equally_high_whatever_lies_below_them(embedded: MuData) -> None:
    embedded.obs["few"] = [f"a rather long name of a type {i % 11}" for i in range(embedded.n_obs)]
    axes = pl.embedding(embedded, color=["few", "few", "few", "modality", "rna:" + embedded["rna"].var_names[0]])
    figure = axes[0].figure
    figure.draw_without_rendering()
    heights = np.array([axis.get_position().height for axis in axes]) * figure.get_figheight()
    np.testing.assert_allclose(heights, heights[0], rtol=0.02)
    assert 1.6 < heights[0] < 2.3
    plt.close(figure)


def test_hundreds_of_categories_have_no_legend() -> None:
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(400)]
    adata = AnnData(np.ones((400, 1), np.float32), obs=pd.DataFrame({"name": names}, index=names))
    adata.obsm["X_minnet"] = rng.normal(size=(400, 3))
    axis = pl.embedding(MuData({"rna": adata}), color="name")
    assert axis.get_legend() is None
    assert [t.get_text() for t in axis.texts] == ["400 categories, too many for a legend"]
    assert axis.figure.get_figheight() < 4


# ---- colours


def colour_of(axis: plt.Axes) -> dict[str, str]:
    return {h.get_label(): to_hex(h.get_color()) for h in axis.get_legend().legend_handles}


def test_a_type_has_one_colour_in_all_panels_and_figures(embedded: MuData) -> None:
    embedded.obs["type"] = embedded.obs["type"].astype("category")
    # another number of categories, in another order
    label = embedded.obs["type"].astype(str).where(np.arange(80) > 5, "unassigned")
    embedded.obs["label"] = pd.Categorical(label, categories=["unassigned", "odd", "even"])
    first, second = map(colour_of, pl.embedding(embedded, color=["type", "label"]))
    assert first == {name: second[name] for name in ("even", "odd")}
    assert second["unassigned"] == NOT_NAMED.lower()
    # what was drawn first stays for the figures of a part of the cells
    part = embedded[embedded.obs["type"] == "odd"].copy()
    part.obs["label"] = part.obs["label"].cat.remove_unused_categories()
    assert colour_of(pl.embedding(part, color="label"))["odd"] == first["odd"]


def test_palettes_of_scanpy_are_taken_and_own_ones_kept_there(embedded: MuData) -> None:
    embedded.obs["type"] = embedded.obs["type"].astype("category")
    embedded.uns["type_colors"] = ["#123456", "#abcdef"]
    assert colour_of(pl.embedding(embedded, color="type")) == {"even": "#123456", "odd": "#abcdef"}
    assert list(embedded.uns["type_colors"]) == ["#123456", "#abcdef"]
    embedded["rna"].obs["batch"] = pd.Categorical(["a", "b"] * 30)
    drawn = colour_of(pl.embedding(embedded, color="batch"))
    assert embedded["rna"].uns["batch_colors"] == [drawn["a"], drawn["b"]]


@pytest.mark.parametrize(
    ("palette", "expected"),
    [
        ({"odd": "red"}, {"even": COLOUR_BLIND_SAFE[0].lower(), "odd": "#ff0000"}),
        (["red", "blue"], {"even": "#ff0000", "odd": "#0000ff"}),
        ("gray", {"even": "#000000", "odd": "#ffffff"}),
    ],
)
def test_a_palette_is_used_and_not_kept(embedded: MuData, palette, expected: dict[str, str]) -> None:
    embedded.obs["type"] = embedded.obs["type"].astype("category")
    assert colour_of(pl.embedding(embedded, color="type", palette=palette)) == expected
    assert "type_colors" not in embedded.uns


def test_a_number_lies_among_its_own_cells_or_is_left_out() -> None:
    rng = np.random.default_rng(0)
    blobs = rng.normal(size=(10, 2)) * 30
    code = np.repeat(np.arange(10), 40)
    places = blobs[code] + rng.normal(size=(400, 2))
    # the type between: in the middle of two clouds of its own there are only cells of another
    places[code == 0] = np.where(rng.random((40, 1)) < 0.5, [-200.0, 0], [200.0, 0]) + rng.normal(size=(40, 2))
    places[code == 1] = rng.normal(size=(40, 2))
    # a type that is spread thinly over others has no place of its own
    places[code == 9] = places[rng.choice(np.flatnonzero(code < 9), 40)]
    _, axis = plt.subplots(figsize=(4, 4))
    found = _places(axis, places, code, {str(i): i for i in range(10)})
    assert abs(found["0"][0]) > 150
    assert "9" not in found
    assert len(found) >= 7


def test_more_arguments_are_checked(embedded: MuData) -> None:
    with pytest.raises(TypeError, match=r"`modalities` is the text 'type'. Give a list of texts"):
        pl.embedding(embedded, "type")
    with pytest.raises(KeyError, match="`color` is 'CD4', which is not a column .*nor one of their features"):
        pl.embedding(embedded, color="CD4")
    with pytest.raises(ValueError, match="`palette` holds 'rot'"):
        pl.embedding(embedded, color="type", palette=["rot"])
    with pytest.raises(ValueError, match="`palette` is 'nice', which is no colour map"):
        pl.embedding(embedded, color="type", palette="nice")
    with pytest.raises(ValueError, match="`cmap` is 'nice'"):
        pl.embedding(embedded, color="n_counts", cmap="nice")
    with pytest.raises(ValueError, match="`layer` names 'counts' for modality 'rna'"):
        pl.embedding(embedded, color="rna:rna", layer="counts")


def test_show_shows_the_figure(embedded: MuData, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    pl.embedding(embedded, color="type", show=True)
    assert len(shown) == 1
