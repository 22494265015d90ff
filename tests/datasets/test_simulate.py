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


def test_distal_regulators_become_rarer_with_distance():
    even, near = (simulate_multiome(50, n_genes=400, n_peaks=2000, distance_decay=decay) for decay in (0, 1))
    shares = {}
    for name, simulated in (("even", even), ("near", near)):
        distance = upstream_distance(simulated)
        distal = distance[distance > 2_500]
        assert distal.max() < 150_000
        assert len(distal) == 800
        shares[name] = (distal < 20_000).mean()
    # from bin 3 to 149: 17 of 147 bins, and the sum of 1 / bin over these
    assert shares["even"] == pytest.approx(17 / 147, abs=0.04)
    assert shares["near"] == pytest.approx((1 / np.arange(3, 20)).sum() / (1 / np.arange(3, 150)).sum(), abs=0.06)
    with pytest.raises(ValueError, match="`distance_decay` is -1"):
        simulate_multiome(50, distance_decay=-1)


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


def pooled_ranks(mdata: mudata.MuData) -> dict[str, np.ndarray]:
    """Ranks over groups of similar cells, as mini-bulks are: types x thirds of the state."""
    state = np.minimum((mdata.obs["state"].to_numpy() * 3).astype(int), 2)
    group = pd.factorize(mdata.obs["cell_type"].astype(str) + "_" + state.astype(str))[0]
    pool = sparse.csr_matrix((np.ones(len(group)), (group, np.arange(len(group)))))
    ranks = {}
    for modality, adata in mdata.mod.items():
        counts = np.asarray((pool @ adata.X).todense())
        ranks[modality] = np.argsort(np.argsort(counts / counts.sum(axis=1, keepdims=True), axis=0), axis=0)
    return ranks


def link_correlations(mdata: mudata.MuData, truth: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of regulated genes with their peaks, and with other peaks."""
    ranks = pooled_ranks(mdata)
    genes = mdata["rna"].var_names.get_indexer(truth["gene"])
    peaks = mdata["atac"].var_names.get_indexer(truth["peak"])
    rho = np.corrcoef(ranks["rna"].T, ranks["atac"].T)[: mdata["rna"].n_vars, mdata["rna"].n_vars :]
    return rho[genes, peaks], rho[genes, np.random.default_rng(0).permutation(peaks)]


def test_a_gene_follows_its_peaks_more_than_other_peaks(mdata):
    true, other = link_correlations(mdata, mdata.uns["regulation"])
    assert np.median(true) > 0.4
    assert abs(np.median(other)) < 0.1
    assert (true > other).mean() > 0.75


@pytest.fixture(scope="module")
def treated() -> mudata.MuData:
    return simulate_multiome(4000, n_conditions=2, condition_specific=0.4, n_proteins=30)


def test_conditions_are_in_every_batch_and_type(treated):
    condition = treated.obs["condition"]
    assert condition.cat.categories.tolist() == ["control", "condition_1"]
    for column in ("batch", "cell_type"):
        shares = pd.crosstab(treated.obs[column], condition, normalize="index")
        assert shares["control"].between(0.4, 0.6).all()
    three = simulate_multiome(30, n_genes=20, n_peaks=40, n_conditions=3).obs["condition"]
    assert three.value_counts().to_dict() == {"control": 10, "condition_1": 10, "condition_2": 10}


def test_the_truth_tells_what_conditions_change(treated):
    truth = treated.uns["regulation"]
    assert truth["kind"].value_counts().to_dict() == {"same": 720, "lost": 240, "flipped": 240}
    factor = truth["kind"].map({"same": 1.0, "lost": 0.0, "flipped": -1.0})
    np.testing.assert_array_equal(truth["weight_other"], truth["weight"] * factor)
    unchanged = simulate_multiome(30, n_genes=20, n_peaks=40, n_conditions=2).uns["regulation"]
    assert (unchanged["kind"] == "same").all()


def test_links_change_in_the_other_condition_only(treated):
    truth = treated.uns["regulation"]
    # genes with one peak: what another peak does to a gene does not blur the link
    truth = truth[~truth["gene"].duplicated(keep=False)]
    control = (treated.obs["condition"] == "control").to_numpy()
    medians = {}
    for name, cells in (("control", control), ("other", ~control)):
        rho = pd.Series(link_correlations(treated[cells], truth)[0])
        medians[name] = rho.groupby(truth["kind"].to_numpy()).median()
    assert (medians["control"] > 0.5).all()
    assert medians["other"]["same"] > 0.5
    assert abs(medians["other"]["lost"]) < 0.15
    assert medians["other"]["flipped"] < -0.5


def test_conditions_change_links_and_hardly_levels(treated):
    control = (treated.obs["condition"] == "control").to_numpy()
    truth = treated.uns["regulation"]
    changed = treated["rna"].var_names.isin(truth["gene"][truth["kind"] != "same"])

    def log_ratios(modality: str) -> np.ndarray:
        X = treated[modality].X
        means = [np.asarray(X[cells].mean(axis=0)).ravel() for cells in (control, ~control)]
        often = np.minimum(*means) > 0.1
        return np.where(often, np.log(means[0] / means[1]), np.nan)

    rna = log_ratios("rna")
    assert np.nanstd(log_ratios("atac")) < 0.12
    assert np.nanstd(rna[~changed]) < 0.12
    # a mean of counts falls a little with the spread of their logarithm; with the links' part of the level lost it
    # falls to a third
    assert 0.1 < np.nanmean(rna[changed]) < 0.25


def test_proteins_follow_their_genes(treated):
    adt = treated["adt"]
    assert adt.X.dtype == np.float32
    assert adt.var["gene"].is_unique
    genes = treated["rna"].var_names.get_indexer(adt.var["gene"])
    assert (genes >= 0).all()
    ranks = pooled_ranks(treated)
    rho = np.corrcoef(ranks["adt"].T, ranks["rna"].T)[:30, 30:]
    often = np.asarray(treated["rna"].X.mean(axis=0)).ravel()[genes] > 0.3
    own = rho[np.arange(30), genes]
    assert np.median(own[often]) > 0.7
    other = rho[np.arange(30), np.roll(genes, 1)]
    assert abs(np.median(other[often])) < 0.4
    assert adt.X.nnz / np.prod(adt.shape) > 0.95
    assert 5 < adt.X.mean() < 100


def test_what_is_added_leaves_the_rest_as_it_is():
    small = {"n_cells": 100, "n_genes": 40, "n_peaks": 90}
    plain = simulate_multiome(**small)
    proteins = simulate_multiome(**small, n_proteins=40)
    assert list(plain.mod) == ["rna", "atac"]
    assert list(plain.obs) == ["cell_type", "lineage", "batch", "state"]
    assert list(plain.uns["regulation"]) == ["gene", "peak", "weight"]
    assert same(plain, proteins)
    treated = simulate_multiome(**small, n_conditions=2, condition_specific=1.0)
    assert (treated["atac"].X != plain["atac"].X).nnz == 0
    assert (treated["rna"].X != plain["rna"].X).nnz > 0
    assert treated.obs.drop(columns="condition").equals(plain.obs)
    pd.testing.assert_frame_equal(treated.uns["regulation"][["gene", "peak", "weight"]], plain.uns["regulation"])
    control = (treated.obs["condition"] == "control").to_numpy()
    unchanged = simulate_multiome(**small, n_conditions=2)
    assert (unchanged["rna"].X != plain["rna"].X).nnz == 0
    assert 0 < control.sum() < 100


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


@pytest.mark.parametrize(("share", "n_paired"), [(0.6, 61), (0.0, 0), (1.0, 101)])
def test_partly_paired_data_are_the_paired_cells_with_modalities_withheld(share, n_paired):
    small = {"n_cells": 101, "n_genes": 40, "n_peaks": 90, "n_proteins": 5}
    paired, partly = simulate_multiome(**small), simulate_multiome(**small, paired=share)
    names = {m: partly[m].obs_names for m in ("rna", "atac", "adt")}
    everywhere = names["rna"].intersection(names["atac"]).intersection(names["adt"])
    assert len(everywhere) == n_paired
    alone = {m: len(n) - n_paired for m, n in names.items()}
    assert sum(alone.values()) == 101 - n_paired
    assert max(alone.values()) - min(alone.values()) <= 1
    for m in names:
        assert (partly[m].X != paired[m][names[m]].X).nnz == 0
    assert partly.n_obs == 101
    assert partly.obs["cell_type"].notna().all()


def test_paired_is_a_share_of_all_or_none():
    small = {"n_cells": 101, "n_genes": 40, "n_peaks": 90}
    for paired, share in ((True, 1.0), (False, 0.0)):
        assert same(simulate_multiome(**small, paired=paired), simulate_multiome(**small, paired=share))


@pytest.mark.filterwarnings("error::FutureWarning")
def test_no_warning_reaches_the_user():
    simulate_multiome(50, n_genes=20, n_peaks=40)


def test_survives_writing_and_reading(tmp_path):
    mdata = simulate_multiome(
        60, n_genes=30, n_peaks=80, n_proteins=4, n_conditions=2, condition_specific=0.5, paired=0.5
    )
    mdata.write(tmp_path / "simulated.h5mu")
    read = mudata.read(tmp_path / "simulated.h5mu")
    pd.testing.assert_frame_equal(
        read.uns["regulation"].astype({"gene": object, "peak": object, "kind": object}),
        mdata.uns["regulation"].astype({"gene": object, "peak": object, "kind": object}),
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
        {"n_cells": 4100, "n_genes": 5, "n_peaks": 5, "n_proteins": 5, "n_conditions": 2, "condition_specific": 0.5},
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
        ({"n_cells": 5}, "`n_cells` is 5, less than `n_types`"),
        ({"n_types": 2}, "`n_types` is 2, less than `n_lineages`"),
        ({"n_lineages": 0}, "`n_lineages`"),
        ({"n_batches": True}, "`n_batches`"),
        ({"n_genes": "many"}, "`n_genes`"),
        ({"n_peaks": 0}, "`n_peaks`"),
        ({"n_genes": 10, "n_peaks": 201}, "`n_peaks` is 201 for 10 genes"),
        ({"batch_effect": -0.1}, "`batch_effect`"),
        ({"n_proteins": -1}, "`n_proteins` is -1"),
        ({"n_proteins": 601}, "`n_proteins` is 601, more than `n_genes`, 600"),
        ({"n_conditions": 0}, "`n_conditions` is 0"),
        ({"n_conditions": 2, "condition_specific": 1.1}, "`condition_specific` is 1.1"),
        ({"condition_specific": 0.3}, "`n_conditions` is 1. Give two"),
        ({"paired": 1.5}, "`paired` is 1.5"),
        ({"paired": "half"}, "`paired` is 'half'"),
    ],
)
def test_bad_input_is_named(arguments, named):
    with pytest.raises((TypeError, ValueError), match=named):
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


def test_one_seed_gives_one_genome_for_any_cells(mdata):
    for other in (simulate_multiome(300), simulate_multiome(100, n_types=3, n_batches=2, n_conditions=2, paired=False)):
        for name in ("rna", "atac"):
            pd.testing.assert_frame_equal(other[name].var, mdata[name].var)
        pd.testing.assert_frame_equal(other.uns["regulation"][["gene", "peak", "weight"]], mdata.uns["regulation"])
