from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scminnet import pl
from scminnet.pl.pair_distances import distances_of_pairs


def make(n: int = 40, modalities: tuple[str, ...] = ("rna", "atac")) -> MuData:
    """Cells on a line at 0, 1, ...; the second modality lies 0.25 beside, its cells in reverse order.

    One cell is left out of each.
    """
    parts = {}
    for i, m in enumerate(modalities):
        cells = np.arange(n)[::-1][1:] if i else np.arange(n)[1:]
        adata = AnnData(np.zeros((len(cells), 1), np.float32), obs=pd.DataFrame(index=[f"c{c}" for c in cells]))
        adata.var_names = [m]
        adata.obsm["X_minnet"] = np.stack([cells, np.full(len(cells), 0.25 * i)], axis=1).astype(np.float32)
        parts[m] = adata
    mdata = MuData(parts)
    numbers = mdata.obs_names.str.removeprefix("c").astype(int)
    mdata.obs["parity"] = np.where(numbers % 2, "odd", "even")
    return mdata


def test_positive_pairs_are_one_cell_and_negative_pairs_two() -> None:
    table = distances_of_pairs(make(), "rna", "atac", labels_key="parity", n_negatives=5, seed=1)
    kinds = table.groupby("kind")["distance"]
    assert kinds.size()["same cell"] == 38
    assert len(table) == 38 * 6
    np.testing.assert_allclose(kinds.get_group("same cell"), 0.25)
    steps = np.sqrt(table["distance"] ** 2 - 0.25**2).round().astype(int)
    assert (steps[table["kind"] != "same cell"] > 0).all()
    same = table["kind"] == "other cell, same type"
    assert (steps[same] % 2 == 0).all()
    assert (steps[table["kind"] == "other cell, other type"] % 2 == 1).all()
    pd.testing.assert_frame_equal(
        table, distances_of_pairs(make(), "rna", "atac", labels_key="parity", n_negatives=5, seed=1)
    )


def test_pairs_with_an_unlabelled_cell_are_left_out_of_the_negative() -> None:
    mdata = make()
    mdata.obs["parity"] = mdata.obs["parity"].where(mdata.obs["parity"] == "odd")
    kinds = distances_of_pairs(mdata, "rna", "atac", labels_key="parity")["kind"].value_counts()
    assert kinds["same cell"] == 38
    assert set(kinds.index) == {"same cell", "other cell, same type"}
    assert kinds["other cell, same type"] < 3 * 38 / 2


def test_the_figure_has_a_histogram_and_a_median_of_each_kind() -> None:
    axis = pl.pair_distances(make(), ["rna", "atac"])
    table = distances_of_pairs(make(), "rna", "atac")
    medians = table.groupby("kind")["distance"].median()[["same cell", "other cell"]]
    np.testing.assert_allclose([line.get_xdata()[0] for line in axis.lines], medians)
    assert [t.get_text() for t in axis.get_legend().get_texts()] == [f"{k} ({m:.2g})" for k, m in medians.items()]
    assert axis.get_xlim()[1] == pytest.approx(table["distance"].max())
    assert pl.pair_distances(make(), ["rna", "atac"], labels_key="parity").get_title() == "rna and atac"


def test_no_text_overlaps(text_apart) -> None:
    text_apart(pl.pair_distances(make(), ["rna", "atac"], labels_key="parity").figure)


def test_every_two_of_several_modalities_have_a_panel() -> None:
    mdata = make(modalities=("rna", "atac", "adt"))
    axes = pl.pair_distances(mdata, ["rna", "atac", "adt"])
    assert [a.get_title() for a in axes] == ["rna and atac", "rna and adt", "atac and adt"]
    with pytest.raises(ValueError, match="`ax` holds 1 Axes, but the figure has 3"):
        pl.pair_distances(mdata, ["rna", "atac", "adt"], ax=plt.subplots()[1])


def test_paired_cells_are_needed() -> None:
    mdata = make()
    unpaired = MuData({"rna": mdata["rna"][:10].copy(), "atac": mdata["atac"][:10].copy()})
    with pytest.raises(ValueError, match="'rna' and 'atac' have 0 cells in common"):
        pl.pair_distances(unpaired, ["rna", "atac"])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"modalities": ["rna"]}, ValueError, "`modalities`.*two or more"),
        ({"modalities": ["rna", "atac", "rna"]}, ValueError, "`modalities`.*each once"),
        ({"n_negatives": 0}, ValueError, "`n_negatives`"),
        ({"labels_key": "type"}, KeyError, "`labels_key`"),
        ({"use_rep": "X_other"}, KeyError, "`use_rep`"),
    ],
)
def test_bad_input(arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        pl.pair_distances(make(), **{"modalities": ["rna", "atac"], **arguments})
    assert not plt.get_fignums()
