from __future__ import annotations

import logging
import warnings

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse

import scminnet as mn
from scminnet._core.logging import logger

N_FEATURES = {"rna": 5, "atac": 8, "adt": 3}


def make(
    seed: int = 0, n_cells: int = 60, modalities: tuple[str, ...] = ("rna", "atac"), *, dense: bool = False
) -> MuData:
    """Cells measured at random in one modality or more, in another order in each; types, conditions, gaps in both."""
    rng = np.random.default_rng(seed)
    measured = rng.random((n_cells, len(modalities))) < 0.6
    measured[np.arange(n_cells), rng.integers(len(modalities), size=n_cells)] = True
    mod = {}
    for i, m in enumerate(modalities):
        cells = rng.permutation(np.flatnonzero(measured[:, i]))
        counts = rng.poisson(0.8, (len(cells), N_FEATURES[m]))
        mod[m] = AnnData(
            counts if dense else sparse.csr_matrix(counts), obs=pd.DataFrame(index=[f"c{i}" for i in cells])
        )
        mod[m].var_names = [f"{m}_{i}" for i in range(N_FEATURES[m])]
        mod[m].var["length"] = np.arange(N_FEATURES[m])
        mod[m].obsm["X_minnet"] = rng.normal(size=(len(cells), 3)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata = MuData(mod)
    types = pd.Series(rng.choice(["a", "b", "c", None], n_cells, p=[0.5, 0.3, 0.15, 0.05]), dtype=object)
    states = pd.Series(rng.choice(["sick", "well"], n_cells), dtype=object)
    cell = mdata.obs_names.str[1:].astype(int)
    mdata.obs["type"], mdata.obs["state"] = types[cell].to_numpy(), states[cell].to_numpy()
    return mdata


def naive(mdata: MuData, n_bulks: int, columns: list[str], min_cells: int, ward_order) -> tuple[dict, dict, set]:
    """Bulks by loops over cells and dense matrices: their types, their sums and the cells in none."""
    groups: dict[tuple, list[str]] = {}
    for cell in mdata.obs_names:
        key = tuple(mdata.obs.loc[cell, columns])
        if None not in key and not any(pd.isna(k) for k in key):
            groups.setdefault(key, []).append(cell)

    def have(cells: list[str]) -> int:
        return min(sum(cell in adata.obs_names for cell in cells) for adata in mdata.mod.values())

    def place(cell: str) -> np.ndarray:
        found = [a.obsm["X_minnet"][a.obs_names.get_loc(cell)] for a in mdata.mod.values() if cell in a.obs_names]
        return np.sum(found, axis=0) / np.float32(len(found))

    groups = {key: cells for key, cells in sorted(groups.items()) if have(cells) >= min_cells}
    planned = dict.fromkeys(groups, 1)
    while sum(planned.values()) < n_bulks:
        roomy = [key for key in groups if planned[key] + 1 <= have(groups[key]) // min_cells]
        planned[max(roomy, key=lambda key: len(groups[key]) / planned[key])] += 1
    kinds, sums, used = {}, {}, set()
    for key, cells in groups.items():
        row = [cells[i] for i in ward_order(np.stack([place(cell) for cell in cells]))]
        for piece in np.array_split(row, planned[key]):
            if have(list(piece)) < min_cells:
                continue
            kinds[len(kinds)] = key
            for m, adata in mdata.mod.items():
                dense = adata.to_df()
                sums.setdefault(m, []).append(sum(dense.loc[cell].to_numpy() for cell in piece if cell in dense.index))
            used.update(piece)
    return kinds, sums, set(mdata.obs_names) - used


@given(
    seed=st.integers(0, 10_000),
    extra=st.integers(0, 6),
    min_cells=st.integers(1, 2),
    condition=st.booleans(),
    three=st.booleans(),
    dense=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_equals_loops_over_dense_data(
    naive_ward_order, seed: int, extra: int, min_cells: int, condition: bool, three: bool, dense: bool
) -> None:
    mdata = make(seed, 30, ("rna", "atac", "adt") if three else ("rna", "atac"), dense=dense)
    columns = ["type", "state"] if condition else ["type"]
    # as many bulks as there are groups with enough cells, and some more
    most = mdata.obs[columns].join(
        pd.DataFrame({m: mdata.obs_names.isin(a.obs_names) for m, a in mdata.mod.items()}, index=mdata.obs_names)
    )
    limits = most.groupby(columns)[list(mdata.mod)].sum().min(axis=1) // min_cells
    n_bulks = int(min((limits > 0).sum() + extra, limits.sum()))
    kinds, sums, left_out = naive(mdata, n_bulks, columns, min_cells, naive_ward_order)
    if not kinds:
        with pytest.raises(ValueError, match="`n_bulks` is .* no bulk has"):
            mn.tl.minibulk(
                mdata, n_bulks, groupby="type", condition="state" if condition else None, min_cells=min_cells
            )
        return
    bulks = mn.tl.minibulk(
        mdata, n_bulks, groupby="type", condition="state" if condition else None, min_cells=min_cells
    )
    assert [tuple(kind) for kind in bulks.obs[columns].astype(str).to_numpy()] == list(kinds.values())
    for m in mdata.mod:
        assert list(bulks[m].obs_names) == list(bulks.obs_names) == [f"bulk_{i}" for i in range(len(kinds))]
        np.testing.assert_array_equal(bulks[m].layers["counts"].toarray(), sums[m])
    table = mdata.uns["minibulk"]["left_out"]
    assert set(table["cell"]) == left_out == set(mdata.obs_names[mdata.obs["minibulk"].isna()])
    assert table["cell"].is_unique


def test_membership_says_which_cells_are_in_a_bulk() -> None:
    mdata = make()
    bulks = mn.tl.minibulk(mdata, 8, groupby="type", condition="state")
    member = mdata.obs["minibulk"]
    assert list(member.cat.categories) == list(bulks.obs_names)
    for bulk, row in bulks.obs.iterrows():
        cells = mdata.obs_names[member == bulk]
        assert set(mdata.obs.loc[cells, "type"]) == {row["type"]}
        assert set(mdata.obs.loc[cells, "state"]) == {row["state"]}
        for m, adata in mdata.mod.items():
            own = cells.intersection(adata.obs_names)
            assert len(own) == row[f"n_cells_{m}"] >= 1
            np.testing.assert_array_equal(
                bulks[m][bulk].layers["counts"].toarray().ravel(), adata[own].X.toarray().sum(axis=0)
            )
    left_out = mdata.uns["minibulk"]["left_out"].set_index("cell")["reason"]
    assert member.notna().sum() + len(left_out) == mdata.n_obs
    untyped = mdata.obs_names[mdata.obs["type"].isna()]
    assert len(untyped) > 0
    assert (left_out[untyped] == "no type").all()
    groups = mdata.uns["minibulk"]["groups"]
    assert groups["n_bulks"].sum() == 8
    assert groups["n_dropped"].sum() == 8 - bulks.n_obs
    assert groups["n_cells_rna"].sum() == mdata["rna"].obs_names.difference(untyped).size


def test_bulks_hold_normalised_float32_and_the_features() -> None:
    mdata = make()
    bulks = mn.tl.minibulk(mdata, 8, groupby="type")
    for m, adata in bulks.mod.items():
        counts = adata.layers["counts"]
        for matrix in (counts, adata.X):
            assert isinstance(matrix, sparse.csr_matrix)
            assert matrix.dtype == np.float32
        total = counts.toarray().sum(axis=1, keepdims=True)
        np.testing.assert_allclose(adata.X.toarray(), np.log1p(counts.toarray() / total * np.median(total)), rtol=1e-5)
        pd.testing.assert_frame_equal(adata.var, mdata[m].var)
        assert "log1p" not in adata.uns


def test_results_survive_files(tmp_path) -> None:
    mdata = make()
    types = {"rna": "type", "atac": "type"}
    bulks = mn.tl.minibulk(mdata, 6, groupby=types, layer={"rna": None}, key_added="few")
    mdata.write(tmp_path / "cells.h5mu")
    bulks.write(tmp_path / "bulks.h5mu")
    cells_back, back = mudata.read_h5mu(tmp_path / "cells.h5mu"), mudata.read_h5mu(tmp_path / "bulks.h5mu")
    assert list(back.obs.columns) == ["group", "n_cells_rna", "n_cells_atac"]
    assert (back.obs["group"].astype(str) == bulks.obs["group"].astype(str)).all()
    assert back.uns["minibulk"]["params"] == bulks.uns["minibulk"]["params"]
    assert back.uns["minibulk"]["params"]["groupby"] == types
    assert (back["atac"].layers["counts"] != bulks["atac"].layers["counts"]).nnz == 0
    pd.testing.assert_series_equal(
        cells_back.obs["few"].astype(str), mdata.obs["few"].astype(str), check_index_type=False
    )
    assert list(cells_back.uns["few"]["left_out"]["cell"]) == list(mdata.uns["few"]["left_out"]["cell"])
    assert list(cells_back.uns["few"]["groups"]["n_bulks"]) == list(mdata.uns["few"]["groups"]["n_bulks"])


def test_bulks_tell_which_counts_were_smoothed(tmp_path) -> None:
    mdata = make()
    # records of other results
    mdata.uns |= {"colors": ["red"], "neighbors": {"params": {"n_neighbors": 3}}, "text": {"params": "none"}}
    mn.tl.minnet_smooth(mdata, n_neighbors=3, key_added="near", across=True)
    layers = {"rna": "near", "atac": None}
    bulks = mn.tl.minibulk(mdata, 6, groupby="type", layer=layers)
    assert bulks.uns["minibulk"]["smoothed"] == mdata.uns["minibulk"]["smoothed"] == ["rna"]
    assert mn.tl.minibulk(mdata, 6, groupby="type").uns["minibulk"]["smoothed"] == []
    imputed = mn.tl.minibulk(mdata, 6, groupby="type", modalities=["rna_near", "atac_near"])
    assert imputed.uns["minibulk"]["smoothed"] == ["rna_near", "atac_near"]
    mdata.write(tmp_path / "cells.h5mu")
    bulks = mn.tl.minibulk(mudata.read_h5mu(tmp_path / "cells.h5mu"), 6, groupby="type", layer=layers)
    bulks.write(tmp_path / "bulks.h5mu")
    assert list(mudata.read_h5mu(tmp_path / "bulks.h5mu").uns["minibulk"]["smoothed"]) == ["rna"]


def test_no_groups_and_no_cell_left_out(tmp_path) -> None:
    mdata = make()
    bulks = mn.tl.minibulk(mdata, 3, groupby=None)
    assert list(bulks.obs["group"]) == ["all"] * 3
    assert len(mdata.uns["minibulk"]["left_out"]) == 0
    mdata.write(tmp_path / "cells.h5mu")
    assert len(mudata.read_h5mu(tmp_path / "cells.h5mu").uns["minibulk"]["left_out"]) == 0


def test_modalities_may_name_their_types_differently() -> None:
    mdata = make()
    expected = mn.tl.minibulk(mdata, 6, groupby="type")
    for m, column in (("rna", "known"), ("atac", "found")):
        mdata[m].obs[column] = mdata.obs["type"].reindex(mdata[m].obs_names)
    del mdata.obs["type"]
    bulks = mn.tl.minibulk(mdata, 6, groupby={"atac": "found", "rna": "known"})
    assert (bulks.obs["group"].astype(str) == expected.obs["type"].astype(str)).all()
    np.testing.assert_array_equal(bulks["rna"].X.toarray(), expected["rna"].X.toarray())
    both = mdata["rna"].obs_names.intersection(mdata["atac"].obs_names)
    mdata["atac"].obs.loc[both[:2], "found"] = "other"
    with pytest.raises(ValueError, match="`groupby`: 2 cells have another type in 'found' of modality 'atac'"):
        mn.tl.minibulk(mdata, 6, groupby={"rna": "known", "atac": "found"})


def test_peaks_without_an_embedding_follow_their_cells() -> None:
    mdata = make()
    expected = mn.tl.minibulk(mdata, 6, groupby="type")
    activity = AnnData(mdata["atac"].X[:, :2].copy(), obs=mdata["atac"].obs[[]], obsm=dict(mdata["atac"].obsm))
    activity.var_names = list(mdata["rna"].var_names[:2])
    del mdata["atac"].obsm["X_minnet"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata.mod["activity"] = activity[::-1].copy()
        mdata.update()
    assert list(mn.tl.minibulk(mdata, 6, groupby="type").mod) == ["rna", "activity"]
    bulks = mn.tl.minibulk(mdata, 6, groupby="type", modalities=["rna", "atac"])
    np.testing.assert_array_equal(bulks["atac"].X.toarray(), expected["atac"].X.toarray())


def test_imputed_modalities_are_used_when_named() -> None:
    mdata = make()
    mn.tl.minnet_smooth(mdata, n_neighbors=3, across=True)
    assert list(mn.tl.minibulk(mdata, 6, groupby="type").mod) == ["rna", "atac"]
    names = ["rna_smoothed", "atac_smoothed"]
    bulks = mn.tl.minibulk(mdata, 6, groupby="type", modalities=names)
    # all cells have both, so none of the bulks lacks one
    assert bulks.n_obs == 6
    np.testing.assert_array_equal(bulks.obs["n_cells_rna_smoothed"], bulks.obs["n_cells_atac_smoothed"])
    np.testing.assert_array_equal(bulks.obs["n_cells_rna_smoothed"].sum(), mdata.obs["type"].notna().sum())


def test_a_group_of_one_cell_is_a_bulk_if_the_cell_has_all_modalities() -> None:
    mdata = make()
    both = mdata["rna"].obs_names.intersection(mdata["atac"].obs_names)
    alone, lacking = both[0], mdata["rna"].obs_names.difference(both)[0]
    mdata.obs.loc[alone, "type"], mdata.obs.loc[lacking, "type"] = "one", "two"
    bulks = mn.tl.minibulk(mdata, 5, groupby="type")
    own = bulks.obs[bulks.obs["type"] == "one"]
    assert own[["n_cells_rna", "n_cells_atac"]].to_numpy().tolist() == [[1, 1]]
    assert "two" not in set(bulks.obs["type"])
    reasons = mdata.uns["minibulk"]["left_out"].set_index("cell")["reason"]
    assert reasons[lacking] == "'two' has no cell of atac"


def test_it_is_said_why_cells_without_a_transferred_label_are_in_no_bulk(caplog, monkeypatch) -> None:
    monkeypatch.setattr(logging.getLogger("scminnet"), "propagate", True)
    mdata = make()
    mdata.obs["type"] = mdata.obs["type"].astype(object)
    only_atac = mdata["atac"].obs_names.difference(mdata["rna"].obs_names)[:7]
    mdata.obs.loc[only_atac, "type"] = "unassigned"
    mn.tl.minibulk(mdata, 5, groupby="type")
    reasons = mdata.uns["minibulk"]["left_out"].set_index("cell")["reason"]
    assert set(reasons[only_atac]) == {"'unassigned' has no cell of rna"}
    text = " ".join(caplog.messages)
    assert "'unassigned' has no cell of rna: 7" in text
    assert "7 of these cells are 'unassigned'" in text
    assert "`quantile`" in text


def test_bulks_have_the_colours_of_the_cells() -> None:
    mdata = make()
    mdata.obs["type"] = mdata.obs["type"].astype("category")
    mdata.uns["type_colors"] = [f"#00000{i}" for i in range(len(mdata.obs["type"].cat.categories))]
    bulks = mn.tl.minibulk(mdata, 9, groupby="type")
    given = dict(zip(mdata.obs["type"].cat.categories, mdata.uns["type_colors"], strict=True))
    assert bulks.uns["type_colors"] == [given[name] for name in bulks.obs["type"].cat.categories]


def test_cells_in_no_used_modality_or_without_embedding_are_listed() -> None:
    mdata = make(modalities=("rna", "atac", "adt"))
    mn.tl.minibulk(mdata, 4, groupby=None, modalities=["rna", "atac"])
    reasons = mdata.uns["minibulk"]["left_out"].set_index("cell")["reason"]
    only_adt = mdata["adt"].obs_names.difference(mdata["rna"].obs_names.union(mdata["atac"].obs_names))
    assert set(reasons.index[reasons == "not measured in 'rna', 'atac'"]) == set(only_adt) != set()
    del mdata["atac"].obsm["X_minnet"], mdata["adt"].obsm["X_minnet"]
    mn.tl.minibulk(mdata, 4, groupby=None, modalities=["rna", "atac"])
    reasons = mdata.uns["minibulk"]["left_out"].set_index("cell")["reason"]
    only_atac = mdata["atac"].obs_names.difference(mdata["rna"].obs_names)
    assert set(reasons.index[reasons == "no embedding"]) == set(only_atac) != set()


def test_order_of_cells_does_not_matter() -> None:
    mdata = make()
    bulks = mn.tl.minibulk(mdata, 9, groupby="type")
    rng = np.random.default_rng(1)
    moved = MuData({m: mdata[m][rng.permutation(mdata[m].n_obs)].copy() for m in ("atac", "rna")})
    moved.obs["type"] = mdata.obs["type"].reindex(moved.obs_names)
    again = mn.tl.minibulk(moved, 9, groupby="type")
    for m in bulks.mod:
        np.testing.assert_array_equal(again[m].layers["counts"].toarray(), bulks[m].layers["counts"].toarray())


def test_log_tells_what_was_left_out(caplog) -> None:
    mdata = make()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, logger="scminnet"):
            bulks = mn.tl.minibulk(mdata, 8, groupby="type")
    finally:
        logger.removeHandler(caplog.handler)
    out = mdata.obs["minibulk"].isna().sum()
    assert f"{bulks.n_obs} bulks of 3 groups" in caplog.text
    assert f"{out} of {mdata.n_obs} cells left out; no type: " in caplog.text


def test_values_that_are_no_counts_are_warned_about_and_a_bulk_without_counts_is_not() -> None:
    mdata = make()
    mdata["rna"].layers["log"] = mdata["rna"].X.log1p()
    with pytest.warns(UserWarning, match="'rna': values are not whole numbers.*`layer`"):
        mn.tl.minibulk(mdata, 6, groupby="type", layer={"rna": "log"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning, module="anndata")
        bulks = mn.tl.minibulk(mdata, 6, groupby="type")
        mdata["atac"].X = sparse.csr_matrix(mdata["atac"].shape, dtype=np.float32)
        empty = mn.tl.minibulk(mdata, 6, groupby="type")
    assert bulks["atac"].X.nnz > 0 == empty["atac"].X.nnz


def spoilt() -> MuData:
    """Data with something wrong under many a name."""
    mdata = make()
    mdata.obs["one"], mdata.obs["none"], mdata.obs["each"] = "sick", None, mdata.obs_names
    for m, adata in mdata.mod.items():
        adata.obsm["X_wide"] = np.ones((adata.n_obs, N_FEATURES[m]))
        for name, value in (("nan", np.nan), ("large", 1e20)):
            adata.layers[name] = adata.X.astype(float).toarray()
            adata.layers[name][0, 0] = value
    apart = mdata["rna"].obs_names
    mdata.obs["apart"] = np.where(mdata.obs_names.isin(apart), "rna", "other")
    mdata.obs.loc[apart.intersection(mdata["atac"].obs_names), "apart"] = None
    return mdata


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_bulks": 2.5}, ValueError, "`n_bulks` is 2.5"),
        ({"n_bulks": 2}, ValueError, "`n_bulks` is 2, but 3 groups.*at least 3"),
        ({"n_bulks": 1000}, ValueError, r"`n_bulks` is 1000, but the 3 groups allow \d+.*at most \d+"),
        ({"min_cells": 0}, ValueError, "`min_cells` is 0"),
        ({"min_cells": 50}, ValueError, "`groupby`: none of the 3 groups has 50 cells of each modality.*`min_cells`"),
        ({"groupby": "none"}, ValueError, "no cell has an embedding and a value of 'none'"),
        ({"groupby": "apart"}, ValueError, "`groupby`: none of the 2 groups has a cell of each modality"),
        ({"groupby": {"rna": "type"}}, ValueError, "`groupby` names columns for 'rna'"),
        ({"groupby": {"rna": "type", "atac": "no"}}, KeyError, "`groupby` is 'no'"),
        ({"condition": "no"}, KeyError, "`condition` is 'no'"),
        ({"condition": "one"}, ValueError, "`condition` is 'one', which has one level, 'sick'"),
        ({"condition": "type"}, ValueError, "`condition` is 'type', as is the column of types"),
        ({"modalities": "rna"}, TypeError, "`modalities` is the text 'rna'"),
        ({"modalities": []}, ValueError, "`modalities` is empty"),
        ({"layer": "no"}, ValueError, "`layer` names 'no' for modality 'rna'"),
        ({"layer": {"adt": "no"}}, ValueError, "`layer` names the modalities 'adt'"),
        ({"layer": "nan"}, ValueError, "modality 'rna' holds 1 NaN"),
        ({"layer": "large"}, ValueError, "modality 'rna' holds 1 too large"),
        ({"use_rep": "no"}, KeyError, r"`use_rep` is 'no', which no modality has.*model\.embed"),
        ({"use_rep": "X_wide"}, ValueError, "`use_rep`='X_wide' has a different number"),
        ({"key_added": "type"}, ValueError, "`key_added` is 'type', as is a column"),
    ],
)
def test_bad_input_changes_nothing(arguments: dict, error: type[Exception], words: str) -> None:
    mdata = spoilt()
    before = mdata.obs.copy()
    with pytest.raises(error, match=words):
        mn.tl.minibulk(mdata, **({"n_bulks": 6, "groupby": "type"} | arguments))
    pd.testing.assert_frame_equal(mdata.obs, before)
    assert not mdata.uns


def test_modality_that_no_embedding_covers_and_stale_data_are_refused() -> None:
    mdata = make()
    other = mdata["atac"][:5].copy()
    other.obs_names = [f"x{i}" for i in range(5)]
    del other.obsm["X_minnet"]
    other.var_names = [f"other_{i}" for i in range(other.n_vars)]
    mdata.mod["other"] = other
    with pytest.raises(ValueError, match=r"modality 'other' has 5 cells that `mdata.obs` lacks.*mdata.update"):
        mn.tl.minibulk(mdata, 3, groupby=None, modalities=["rna", "other"])
    mdata.update()
    with pytest.raises(ValueError, match="`modalities` names 'other', none of whose cells has an embedding"):
        mn.tl.minibulk(mdata, 3, groupby=None, modalities=["rna", "other"])
