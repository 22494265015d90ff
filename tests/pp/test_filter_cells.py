from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import scminnet as mn

BOUNDS = {"rna": {"n_features": (2, 4), "pct_mito": (0, 25)}, "atac": {"total_counts": (3, 100)}}


def make() -> mudata.MuData:
    """RNA of cells a to f, ATAC of cells b to g in reverse order."""
    rna = np.array(
        [
            [1, 1, 0, 0],  # a: kept, not judged on ATAC
            [1, 0, 0, 0],  # b: one gene, and too few counts in ATAC
            [1, 1, 0, 1],  # c: a third mitochondrial
            [3, 3, 1, 1],  # d: kept
            [0, 0, 0, 0],  # e: nothing
            [5, 1, 0, 2],  # f: at the very bound of 25 %
        ],
        dtype=np.float32,
    )
    # g, f, e, d, c, b
    atac = np.array([[2, 0], [2, 1], [9, 9], [3, 0], [2, 2], [1, 1]], dtype=np.float32)
    return mudata.MuData(
        {
            "rna": AnnData(
                sparse.csr_matrix(rna),
                obs=pd.DataFrame(index=list("abcdef")),
                var=pd.DataFrame(index=["A", "B", "C", "mt-1"]),
            ),
            "atac": AnnData(atac, obs=pd.DataFrame(index=list("gfedcb")), var=pd.DataFrame(index=["p1", "p2"])),
        }
    )


def test_a_cell_leaves_all_modalities_together_and_the_tables_say_why(tmp_path) -> None:
    mdata = make()
    mdata.obs["type"] = [f"t{i}" for i in range(7)]
    types = mdata.obs["type"].copy()
    assert mn.pp.filter_cells(mdata, BOUNDS) is None
    assert list(mdata["rna"].obs_names) == ["a", "d", "f"]
    assert sorted(mdata["atac"].obs_names) == ["d", "f"]
    assert (mdata.obs["type"] == types.loc[mdata.obs_names]).all()
    mdata.write(tmp_path / "m.h5mu")
    entry = mudata.read_h5mu(tmp_path / "m.h5mu").uns["filter_cells"]
    removed = entry["removed"].set_index("cell")["reasons"].to_dict()
    assert removed == {
        "b": "rna n_features < 2; atac total_counts < 3",
        "c": "rna pct_mito > 25",
        "e": "rna n_features < 2",
        "g": "atac total_counts < 3",
    }
    table = entry["criteria"]
    assert table["n_below"].tolist() == [2, 0, 2]
    assert table["n_above"].tolist() == [0, 1, 0]
    assert table["n_only"].tolist() == [1, 1, 1]
    assert (entry["n_before"], entry["n_after"]) == (7, 3)


def test_copies_leave_the_input_and_layers_may_hold_the_counts() -> None:
    mdata = make()
    for adata in mdata.mod.values():
        adata.layers["raw"] = adata.X.copy()
        adata.X = adata.X * 0.5
    kept = mn.pp.filter_cells(mdata, BOUNDS, layer="raw", copy=True)
    assert sorted(kept.obs_names) == ["a", "d", "f"]
    assert mdata.n_obs == 7
    assert "filter_cells" not in mdata.uns


def test_presets_are_those_of_the_paper() -> None:
    mdata = mn.datasets.simulate_multiome(200, n_genes=300, n_peaks=600)
    names = mdata["rna"].var_names.to_list()
    mdata["rna"].var_names = ["MT-1", *names[1:]]
    mdata.update()
    with pytest.raises(ValueError, match="remove all 200 cells"):  # no simulated cell has 1,000 peaks
        mn.pp.filter_cells(mdata, "multiome")
    counts = mdata["rna"].X
    n_features, total = np.diff(counts.indptr), counts.sum(axis=1).A1
    mito = 100 * counts[:, 0].toarray().ravel() / total
    expected = (n_features >= 75) & (n_features <= 1200) & (total >= 75) & (total <= 1500) & (mito <= 15)
    mn.pp.filter_cells(mdata, "cite")
    assert 0 < mdata.n_obs == expected.sum() < 200


@pytest.mark.parametrize(
    ("thresholds", "arguments", "words"),
    [
        ("citeseq", {}, "`thresholds` is 'citeseq'"),
        ({"adt": {"n_features": (1, 2)}}, {}, "`thresholds` names 'adt'"),
        ({"rna": {"n_genes": (1, 2)}}, {}, "`thresholds` is 'n_genes'"),
        ({"rna": {"n_features": (3, 2)}}, {}, r"\(3, 2\).*smallest and the largest"),
        ({"rna": {"n_features": 3}}, {}, "smallest and the largest"),
        ({"rna": {}}, {}, "is empty"),
        ({"rna": {"pct_mito": (0, 5)}}, {"mito_prefix": "M-"}, "`mito_prefix` is 'M-'"),
        (BOUNDS, {"layer": "raw"}, "'raw'"),
        ({"rna": {"n_features": (50, 60)}, "atac": {"n_features": (50, 60)}}, {}, "remove all"),
    ],
)
def test_bad_input_changes_nothing(thresholds, arguments: dict, words: str) -> None:
    mdata = make()
    with pytest.raises(ValueError, match=words):
        mn.pp.filter_cells(mdata, thresholds, **arguments)
    assert mdata.n_obs == 7
    assert not mdata.uns


def test_normalised_values_are_no_counts() -> None:
    mdata = make()
    mdata["rna"].X = mdata["rna"].X * 0.3
    with pytest.raises(ValueError, match="'rna' holds no counts.*`layer`"):
        mn.pp.filter_cells(mdata, BOUNDS)
