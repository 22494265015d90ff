from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.neighbors import KNeighborsClassifier

from scminnet.datasets import simulate_multiome
from scminnet.metrics import foscttm


@pytest.fixture(scope="module")
def mdata() -> mudata.MuData:
    return simulate_multiome()


@pytest.mark.parametrize("modality", ["rna", "atac"])
def test_counts_are_sparse_whole_numbers_in_float32(mdata, modality):
    X = mdata[modality].X
    assert sparse.issparse(X)
    assert X.format == "csr"
    assert X.dtype == np.float32
    assert (X.data >= 1).all()
    assert (X.data == np.floor(X.data)).all()
    assert X.data.max() > 1


def test_shapes_and_sparsity(mdata):
    assert mdata["rna"].shape == (2000, 600)
    assert mdata["atac"].shape == (2000, 1500)
    assert 0.03 < mdata["atac"].X.nnz / np.prod(mdata["atac"].shape) < 0.07
    assert 0.3 < mdata["rna"].X.nnz / np.prod(mdata["rna"].shape) < 0.6


def test_cells_are_annotated(mdata):
    obs = mdata.obs
    for column, n in (("cell_type", 8), ("lineage", 3), ("batch", 4)):
        assert isinstance(obs[column].dtype, pd.CategoricalDtype)
        assert obs[column].nunique() == n
    assert obs["state"].between(0, 1).all()
    assert (obs.groupby("cell_type", observed=True)["lineage"].nunique() == 1).all()


def test_depth_varies(mdata):
    for modality in ("rna", "atac"):
        depth = np.asarray(mdata[modality].X.sum(axis=1)).ravel()
        assert np.log(depth[depth > 0]).std() > 0.3


def test_peaks_do_not_overlap_and_are_named_by_place(mdata):
    peaks = mdata["atac"].var
    assert list(peaks.index[:3]) == [f"{c}:{s}-{e}" for c, s, e in peaks.iloc[:3].to_numpy()[:, :3]]
    assert (peaks["start"] >= 0).all()
    for _, of_chromosome in peaks.groupby("chrom", observed=True):
        assert (of_chromosome["start"].to_numpy()[1:] >= of_chromosome["end"].to_numpy()[:-1]).all()


def test_gene_bodies_start_at_the_tss(mdata):
    genes = mdata["rna"].var
    forward = genes["strand"] == "+"
    assert 0.3 < forward.mean() < 0.7
    assert (genes["tss"] == np.where(forward, genes["start"], genes["end"] - 1)).all()
    assert (genes["start"] >= 0).all()
    assert (genes["end"] > genes["start"]).all()
    assert (genes["tss"] > 150_000).all()


def upstream_distance(mdata) -> np.ndarray:
    truth = mdata.uns["regulation"]
    genes, peaks = mdata["rna"].var.loc[truth["gene"]], mdata["atac"].var.loc[truth["peak"]]
    assert (genes["chrom"].astype(str).to_numpy() == peaks["chrom"].astype(str).to_numpy()).all()
    midpoint = (peaks["start"].to_numpy() + peaks["end"].to_numpy()) / 2
    return np.where(genes["strand"] == "+", 1, -1) * (genes["tss"].to_numpy() - midpoint)


def test_regulating_peaks_are_promoters_or_lie_within_150_kb_upstream(mdata):
    distance = upstream_distance(mdata)
    promoter = (distance > 0) & (distance < 2_000)
    assert promoter.sum() == 600
    assert len(distance) == 1200
    assert ((distance[~promoter] > 2_000) & (distance[~promoter] < 150_000)).all()
    truth = mdata.uns["regulation"]
    assert not truth.duplicated(["gene", "peak"]).any()
    assert not truth["peak"].duplicated().any()
    np.testing.assert_allclose(truth.groupby("gene")["weight"].sum(), 1)


def test_the_promoter_is_kept_free_where_a_gene_has_none():
    distance = upstream_distance(simulate_multiome(20, n_genes=100, n_peaks=200))
    assert len(distance) == 160
    assert (distance < 2_500).sum() == 80
    crowded = upstream_distance(simulate_multiome(20, n_genes=20, n_peaks=40, seed=1))
    assert (crowded < 2_500).sum() == 16


def test_a_gene_follows_its_peaks_more_than_other_peaks(mdata):
    """Over groups of similar cells, as mini-bulks are: types x thirds of the state."""
    state = np.minimum((mdata.obs["state"].to_numpy() * 3).astype(int), 2)
    group = pd.factorize(mdata.obs["cell_type"].astype(str) + "_" + state.astype(str))[0]
    pool = sparse.csr_matrix((np.ones(len(group)), (group, np.arange(len(group)))))
    pooled = {}
    for modality in ("rna", "atac"):
        counts = np.asarray((pool @ mdata[modality].X).todense())
        pooled[modality] = np.argsort(np.argsort(counts / counts.sum(axis=1, keepdims=True), axis=0), axis=0)
    truth = mdata.uns["regulation"]
    genes = mdata["rna"].var_names.get_indexer(truth["gene"])
    peaks = mdata["atac"].var_names.get_indexer(truth["peak"])
    rho = np.corrcoef(pooled["rna"].T, pooled["atac"].T)[: mdata["rna"].n_vars, mdata["rna"].n_vars :]
    true, other = rho[genes, peaks], rho[genes, np.random.default_rng(0).permutation(peaks)]
    assert np.median(true) > 0.4
    assert abs(np.median(other)) < 0.1
    assert (true > other).mean() > 0.75


def test_batches_shift_the_features_of_both_modalities():
    def shift(batch_effect: float, modality: str) -> float:
        mdata = simulate_multiome(2000, n_batches=2, batch_effect=batch_effect)
        first = (mdata.obs["batch"] == "batch_1").to_numpy()
        X = mdata[modality].X
        means = [np.asarray(X[rows].mean(axis=0)).ravel() for rows in (first, ~first)]
        often = np.minimum(*means) > 0.05
        return np.log(means[0][often] / means[1][often]).std()

    for modality in ("rna", "atac"):
        assert shift(0, modality) < 0.2
        assert shift(0.5, modality) > 0.5  # sqrt(2) x 0.5, less noise


def same(a: mudata.MuData, b: mudata.MuData) -> bool:
    return all((a[m].X != b[m].X).nnz == 0 for m in ("rna", "atac")) and a.obs.equals(b.obs)


def test_seed_decides():
    small = {"n_cells": 100, "n_genes": 40, "n_peaks": 90}
    assert same(simulate_multiome(**small, seed=3), simulate_multiome(**small, seed=3))
    assert not same(simulate_multiome(**small, seed=3), simulate_multiome(**small, seed=4))


def test_unpaired_data_are_the_paired_cells_with_one_modality_withheld():
    small = {"n_cells": 101, "n_genes": 40, "n_peaks": 90}
    paired, unpaired = simulate_multiome(**small), simulate_multiome(**small, paired=False)
    names = {m: unpaired[m].obs_names for m in ("rna", "atac")}
    assert len(names["rna"].intersection(names["atac"])) == 0
    assert (len(names["rna"]), len(names["atac"])) == (51, 50)
    for m in ("rna", "atac"):
        assert (unpaired[m].X != paired[m][names[m]].X).nnz == 0
    pd.testing.assert_frame_equal(
        unpaired.obs[["cell_type", "state"]], paired.obs.loc[unpaired.obs_names, ["cell_type", "state"]]
    )


@pytest.mark.filterwarnings("error::FutureWarning")
def test_no_warning_reaches_the_user():
    simulate_multiome(50, n_genes=20, n_peaks=40)


def test_survives_writing_and_reading(tmp_path):
    mdata = simulate_multiome(60, n_genes=30, n_peaks=80)
    mdata.write(tmp_path / "simulated.h5mu")
    read = mudata.read(tmp_path / "simulated.h5mu")
    pd.testing.assert_frame_equal(
        read.uns["regulation"].astype({"gene": object, "peak": object}),
        mdata.uns["regulation"].astype({"gene": object, "peak": object}),
        check_index_type=False,
        check_column_type=False,
    )
    assert same(mdata, read)
    assert read["atac"].var["start"].tolist() == mdata["atac"].var["start"].tolist()


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_cells": 1, "n_types": 1, "n_lineages": 1, "n_batches": 1, "n_genes": 1, "n_peaks": 1},
        {"n_cells": 30, "n_genes": 3, "n_peaks": 60},
        {"n_cells": 30, "n_genes": 500, "n_peaks": 10},
        {"n_cells": 4100, "n_genes": 5, "n_peaks": 5},
    ],
    ids=["one of each", "many peaks", "few peaks", "more than a block"],
)
def test_odd_sizes(sizes):
    mdata = simulate_multiome(**sizes)
    assert mdata.n_obs == sizes["n_cells"]
    assert (mdata["rna"].n_vars, mdata["atac"].n_vars) == (sizes["n_genes"], sizes["n_peaks"])
    assert mdata["atac"].var_names.is_unique


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"n_cells": 0}, "`n_cells` is 0"),
        ({"n_cells": 10.5}, "`n_cells` is 10.5"),
        ({"n_cells": 5}, "`n_cells` is 5, fewer than `n_types`"),
        ({"n_types": 2}, "`n_types` is 2, fewer than `n_lineages`"),
        ({"n_lineages": 0}, "`n_lineages`"),
        ({"n_batches": True}, "`n_batches`"),
        ({"n_genes": "many"}, "`n_genes`"),
        ({"n_peaks": 0}, "`n_peaks`"),
        ({"n_genes": 10, "n_peaks": 201}, "`n_peaks` is 201 for 10 genes"),
        ({"batch_effect": -0.1}, "`batch_effect`"),
    ],
)
def test_bad_input_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        simulate_multiome(**arguments)


def standardise(matrix: np.ndarray) -> np.ndarray:
    sd = matrix.std(axis=0)
    return np.clip((matrix - matrix.mean(axis=0)) / np.where(sd == 0, 1, sd), -10, 10)


def canonical(mdata: mudata.MuData, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CCA of 20 components fitted on the training cells, of the others, weighted by the correlations."""
    whitened = []
    for modality in ("rna", "atac"):
        counts = mdata[modality].X.toarray().astype(float)
        depth = counts.sum(axis=1, keepdims=True)
        logged = np.log1p(counts / depth * np.median(depth))
        _, s, v = np.linalg.svd(standardise(logged[train]), full_matrices=False)
        projection = v[:50].T / s[:50]
        whitened.append((standardise(logged[train]) @ projection, standardise(logged[~train]) @ projection))
    (rna, rna_test), (atac, atac_test) = whitened
    u, s, v = np.linalg.svd(rna.T @ atac)
    x, y = rna_test @ u[:, :20] * s[:20], atac_test @ v[:20].T * s[:20]
    return x / x.std(), y / y.std()


@pytest.mark.parametrize("seed", [0, 1])
def test_integration_is_neither_trivial_nor_impossible(seed):
    mdata = simulate_multiome(seed=seed)
    train = mdata.obs["batch"].isin(["batch_1", "batch_2"]).to_numpy()
    x, y = canonical(mdata, train)
    cell_type = mdata.obs["cell_type"].astype(str).to_numpy()[~train]
    lineage = dict(zip(mdata.obs["cell_type"], mdata.obs["lineage"], strict=True))

    assert 0.03 < foscttm(x, y).mean < 0.12
    predicted = KNeighborsClassifier(20, weights="distance").fit(x, cell_type).predict(y)
    assert 0.7 < (predicted == cell_type).mean() < 0.95
    wrong = predicted != cell_type
    within_lineage = [lineage[p] == lineage[t] for p, t in zip(predicted[wrong], cell_type[wrong], strict=True)]
    # 14 of the 56 ordered pairs of types share a lineage: a quarter if confusions knew no hierarchy
    assert np.mean(within_lineage) > 0.8
