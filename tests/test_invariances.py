"""What must not matter: the order of cells, their names' order across modalities, an embedding's scale and axes."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse
from scipy.stats import special_ortho_group

import scminnet as mn

N = 60
seeds = st.integers(0, 2**32 - 1)
scales = st.floats(0.25, 64)
few = settings(max_examples=6, deadline=None)


def cells(seed: int) -> MuData:
    """Cells of three types, half of them in both modalities, each modality in an order of its own."""
    rng = np.random.default_rng(seed)
    types = np.arange(N) % 3
    centres = rng.normal(size=(3, 4)) * 3
    parts = {}
    for m, chosen, n_features in (("rna", np.arange(N * 3 // 4), 7), ("atac", np.arange(N // 4, N), 9)):
        chosen = rng.permutation(chosen)
        values = rng.poisson(2, size=(len(chosen), n_features)).astype(np.float32)
        obs = pd.DataFrame({"type": np.array(list("abc"))[types[chosen]]}, index=[f"cell_{i}" for i in chosen])
        parts[m] = AnnData(sparse.csr_matrix(values), obs=obs)
        parts[m].var_names = [f"{m}_{i}" for i in range(n_features)]
        parts[m].obsm["X_minnet"] = (centres[types[chosen]] + rng.normal(size=(len(chosen), 4))).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MuData(parts)


def moved(mdata: MuData, seed: int, *, scale: float = 1.0, turn: bool = False) -> MuData:
    """The same cells in other orders, their embedding scaled and turned."""
    rng = np.random.default_rng(seed)
    rotation = special_ortho_group.rvs(4, random_state=rng) if turn else np.eye(4)
    parts = {}
    for m, adata in mdata.mod.items():
        parts[m] = adata[rng.permutation(adata.n_obs)].copy()
        parts[m].obsm["X_minnet"] = (parts[m].obsm["X_minnet"] @ rotation * scale).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MuData(parts)


@few
@given(seed=seeds, scale=scales)
def test_labels_transfer_alike(seed: int, scale: float) -> None:
    one = cells(seed)
    other = moved(one, seed, scale=scale, turn=True)
    for mdata in (one, other):
        mn.tl.transfer_labels(mdata, "rna", "atac", "type", n_neighbors=5)
    names = one["atac"].obs_names
    a, b = (m["atac"].obs["transferred_label"].astype(str)[names] for m in (one, other))
    # rounding may turn a tie, or a cell at the limit
    assert (a == b).mean() > 0.95


@few
@given(seed=seeds, scale=scales, method=st.sampled_from(["mutual", "nearest", "assignment"]))
def test_cells_match_alike(seed: int, scale: float, method: str) -> None:
    one = cells(seed)
    other = moved(one, seed, scale=scale, turn=True)
    found = []
    for mdata in (one, other):
        mn.tl.match_cells(mdata, "rna", "atac", method=method, n_neighbors=5)
        pairs = sparse.coo_matrix(mdata.obsp["match"])
        found.append({(mdata.obs_names[i], mdata.obs_names[j]) for i, j in zip(pairs.row, pairs.col, strict=True)})
    assert len(found[0] ^ found[1]) <= 0.05 * len(found[0])


@few
@given(seed=seeds)
def test_smoothing_and_normalising_follow_the_cells(seed: int) -> None:
    one = cells(seed)
    other = moved(one, seed)
    for mdata in (one, other):
        mn.tl.minnet_smooth(mdata, n_neighbors=4)
        mn.pp.normalize(mdata, kinds={"rna": "genes", "atac": "genes"})
    for m in one.mod:
        same = other[m][one[m].obs_names]
        np.testing.assert_allclose(one[m].X.toarray(), same.X.toarray(), rtol=1e-5)
        np.testing.assert_allclose(one[m].layers["smoothed"].toarray(), same.layers["smoothed"].toarray(), rtol=1e-5)


@few
@given(seed=seeds, n_bulks=st.integers(6, 15))
def test_bulks_lose_no_count_and_mix_no_types(seed: int, n_bulks: int) -> None:
    mdata = cells(seed)
    bulks = mn.tl.minibulk(mdata, n_bulks, groupby="type")
    assert bulks.n_obs <= n_bulks
    # cells of a bulk that lacks a modality are left out, and listed
    bulk = mdata.obs["minibulk"].astype(object)
    assert set(mdata.obs_names[bulk.isna()]) == set(mdata.uns["minibulk"]["left_out"]["cell"])
    for m, adata in mdata.mod.items():
        whole = bulks[m].layers["counts"].sum(axis=0)
        in_bulk = bulk.loc[adata.obs_names].notna().to_numpy()
        np.testing.assert_allclose(np.ravel(whole), np.ravel(adata.X[in_bulk].sum(axis=0)))
        own = adata.obs["type"].astype(str)[in_bulk]
        np.testing.assert_array_equal(bulks.obs["type"].astype(str).loc[bulk.loc[own.index]], own)


@settings(max_examples=2, deadline=None)
@given(seed=seeds, scale=scales)
def test_metrics_see_neither_order_nor_scale_nor_axes(seed: int, scale: float) -> None:
    one = cells(seed)
    other = moved(one, seed, scale=scale, turn=True)
    reports = [
        mn.metrics.integration_report(m, modalities=["rna", "atac"], labels_key="type", n_neighbors=5)
        for m in (one, other)
    ]
    values = [report["value"].to_numpy(float) for report in reports]
    # label transfer by neighbours and Leiden's partitions may turn at a tie
    np.testing.assert_allclose(*values, atol=0.06)


@few
@given(seed=seeds, n=st.integers(3, 40))
def test_foscttm_is_half_by_chance_and_nothing_for_copies(seed: int, n: int) -> None:
    x = np.random.default_rng(seed).normal(size=(n, 3))
    assert mn.metrics.foscttm(x, x).mean == pytest.approx(0, abs=1e-6)
    forth, back = mn.metrics.foscttm(x, x[::-1].copy()), mn.metrics.foscttm(x[::-1].copy(), x)
    assert forth.mean == pytest.approx(back.mean)
    assert 0 <= forth.mean <= 1


@few
@given(seed=seeds)
def test_joined_modalities_are_their_columns_side_by_side(seed: int) -> None:
    mdata = cells(seed)
    both = [n for n in mdata["rna"].obs_names if n in set(mdata["atac"].obs_names)]
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shared = MuData({m: mdata[m][rng.permutation(both)].copy() for m in mdata.mod})
    mn.pp.join_modalities(shared, ["rna", "atac"], key_added="joined")
    joined = shared["joined"]
    assert joined.n_vars == sum(shared[m].n_vars for m in ("rna", "atac"))
    for m in ("rna", "atac"):
        np.testing.assert_array_equal(joined[both, shared[m].var_names].X.toarray(), shared[m][both].X.toarray())
