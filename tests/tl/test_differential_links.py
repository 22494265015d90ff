from __future__ import annotations

import warnings

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse, stats

import scminnet as mn

COLUMNS = [
    *(
        "gene",
        "peak",
        "chrom",
        "start",
        "end",
        "tss",
        "strand",
        "distance",
        "promoter",
        "group",
        "condition",
        "reference",
    ),
    *("r", "r_reference", "difference", "z", "p", "fdr", "n_bulks", "n_bulks_reference", "sign_flip"),
]


def make(n: int = 60, n_pairs: int = 8, seed: int = 0) -> MuData:
    """Bulks of three levels and two types with a gene and a peak a pair; ATAC in reverse order.

    The pair 0 agrees in "mild" and "none", and is turned round in "severe"; the others are independent.
    """
    rng = np.random.default_rng(seed)
    levels = rng.permutation(np.resize(["none", "mild", "severe"], n))
    expression, accessibility = rng.poisson(5, (n, n_pairs)), rng.poisson(3, (n, n_pairs))
    accessibility[:, 0] = rng.poisson(
        np.where(levels == "severe", 12 - np.minimum(expression[:, 0], 12), expression[:, 0])
    )
    names = [f"bulk_{i}" for i in range(n)]
    rna = AnnData(sparse.csr_matrix(expression.astype(np.float32)), obs=pd.DataFrame(index=names))
    rna.var_names = [f"g{i}" for i in range(n_pairs)]
    atac = AnnData(sparse.csr_matrix(accessibility.astype(np.float32)[::-1]), obs=pd.DataFrame(index=names[::-1]))
    atac.var_names = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(1, n_pairs + 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata = MuData({"rna": rna, "atac": atac})
    mdata.obs["severity"] = levels
    mdata.obs["type"] = pd.Categorical(np.where(np.arange(n) % 2, "B", "T"))
    starts = np.arange(1, n_pairs + 1) * 1000 + 600
    tss = pd.DataFrame({"gene": rna.var_names, "chrom": "chr1", "tss": starts, "strand": "+"})
    mn.tl.cre_links(mdata, tss, upstream=900, null=None)
    return mdata


def run(mdata: MuData, **arguments) -> pd.DataFrame:
    arguments = {"condition": "severity", "reference": "none"} | arguments
    return mn.tl.differential_links(mdata, **arguments, copy=True).uns["differential_links"]


@pytest.mark.parametrize(("method", "factor"), [("spearman", 1.06), ("pearson", 1.0)])
@pytest.mark.parametrize("groupby", [None, "type"])
def test_equals_loops_over_pairs(method: str, factor: float, groupby: str | None) -> None:
    mdata = make()
    assert mn.tl.differential_links(mdata, "severity", "none", method=method, groupby=groupby) is None
    table = mdata.uns["differential_links"]
    assert table.columns.tolist() == COLUMNS
    assert len(table) == 8 * 2 * (1 if groupby is None else 2)
    naive = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}[method]
    for row in table.itertuples():
        r, n = {}, {}
        for level in (row.condition, "none"):
            chosen = mdata.obs["severity"] == level
            if groupby is not None:
                chosen &= mdata.obs["type"] == row.group
            names = mdata.obs_names[chosen]
            x, y = mdata["rna"].to_df().loc[names, row.gene], mdata["atac"].to_df().loc[names, row.peak]
            r[level], n[level] = naive(x, y)[0], len(names)
        assert row.r == pytest.approx(r[row.condition], abs=1e-6)
        assert row.r_reference == pytest.approx(r["none"], abs=1e-6)
        assert row.difference == pytest.approx(row.r - row.r_reference)
        assert (row.n_bulks, row.n_bulks_reference) == (n[row.condition], n["none"])
        variance = factor / (n[row.condition] - 3) + factor / (n["none"] - 3)
        z = (np.arctanh(r[row.condition]) - np.arctanh(r["none"])) / np.sqrt(variance)
        assert row.z == pytest.approx(z, abs=1e-5)
        assert row.p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=1e-5)
        assert row.sign_flip == (r[row.condition] * r["none"] < 0)
        assert row.reference == "none"
    for _, of_level in table.groupby(["group", "condition"]):
        np.testing.assert_allclose(of_level["fdr"], stats.false_discovery_control(of_level["p"]))
    assert table["group"].unique().tolist() == (["all"] if groupby is None else ["B", "T"])


def test_a_turned_link_is_found_and_flagged() -> None:
    table = run(make()).set_index(["condition", "gene"])
    turned = table.loc[("severe", "g0")]
    assert turned["sign_flip"]
    assert turned["fdr"] < 0.01
    assert turned["difference"] < -0.8
    assert table.loc[("mild", "g0"), "fdr"] > 0.05
    assert not table.loc[("mild", "g0"), "sign_flip"]
    assert table.drop(("severe", "g0"))["fdr"].min() > 0.05


def test_p_is_uniform_where_conditions_do_not_differ() -> None:
    mdata = make(120, n_pairs=600, seed=1)
    table = run(mdata).query("gene != 'g0'")
    assert stats.kstest(table["p"], "uniform").pvalue > 0.001
    assert abs((table["p"] < 0.05).mean() - 0.05) < 0.02


def test_shuffles_of_the_condition() -> None:
    mdata = make(60, n_pairs=80, seed=2)
    normal, shuffled, again = run(mdata), run(mdata, n_permutations=99), run(mdata, n_permutations=99)
    pd.testing.assert_frame_equal(shuffled, again)
    np.testing.assert_array_equal(shuffled["z"], normal["z"])
    assert shuffled["p"].min() >= 1 / 100
    assert stats.kstest(shuffled.query("gene != 'g0'")["p"], "uniform").pvalue > 0.001
    assert np.corrcoef(shuffled["p"], normal["p"])[0, 1] > 0.9
    assert shuffled.query("gene == 'g0' and condition == 'severe'")["p"].item() == pytest.approx(1 / 100)
    other = run(mdata, n_permutations=9, seed=1)
    assert (other["p"] != shuffled["p"]).any()


def test_shuffles_equal_a_loop() -> None:
    mdata = make(24, n_pairs=3)
    table = run(mdata, n_permutations=20, seed=3).query("condition == 'mild'").reset_index(drop=True)
    rows = {level: np.flatnonzero(mdata.obs["severity"] == level) for level in ("mild", "none")}
    together, size = np.concatenate([rows["mild"], rows["none"]]), len(rows["mild"])
    x = mdata["rna"].to_df().loc[mdata.obs_names].to_numpy()
    y = mdata["atac"].to_df().loc[mdata.obs_names].to_numpy()
    rng = np.random.default_rng(3)
    drawn = [rng.permutation(together) for _ in range(20)]
    for i in range(3):
        r = [[np.arctanh(stats.spearmanr(x[k, i], y[k, i])[0]) for k in (d[:size], d[size:])] for d in drawn]
        scale = np.sqrt(1.06 / (size - 3) + 1.06 / (len(together) - size - 3))
        as_large = sum(abs(a - b) / scale >= abs(table["z"][i]) - 1e-6 for a, b in r)
        assert table["p"][i] == pytest.approx((1 + as_large) / 21)


def test_shuffles_in_which_a_pair_is_constant_do_not_count_for_it() -> None:
    mdata = make(12, n_pairs=2)
    rows = {level: np.flatnonzero(mdata.obs["severity"] == level) for level in ("mild", "none")}
    together = np.concatenate([rows["mild"], rows["none"]])
    # the gene is expressed in one bulk of each level: shuffles that bring both to one side leave it constant at the
    # other
    bulks = [rows["mild"][0], rows["none"][0]]
    mdata["rna"].X = sparse.csr_matrix(([3.0, 5.0], (bulks, [0, 0])), shape=(12, 2))
    table = run(mdata, n_permutations=40, seed=3).query("condition == 'mild' and gene == 'g0'")
    x = mdata["rna"].to_df().loc[mdata.obs_names, "g0"].to_numpy()
    y = mdata["atac"].to_df().loc[mdata.obs_names].to_numpy()[:, 0]
    rng = np.random.default_rng(3)
    drawn = [rng.permutation(together) for _ in range(40)]
    halves = [(d[:4], d[4:]) for d in drawn if all(len(set(x[half])) > 1 for half in (d[:4], d[4:]))]
    assert 0 < len(halves) < 40

    def score(half: np.ndarray) -> float:
        return np.arctanh(np.clip(stats.spearmanr(x[half], y[half])[0], -0.9999, 0.9999))

    scale = np.sqrt(2 * 1.06)
    as_large = sum(abs(score(a) - score(b)) / scale >= abs(table["z"].item()) - 1e-6 for a, b in halves)
    assert table["p"].item() == pytest.approx((1 + as_large) / (1 + len(halves)))


def test_chosen_links_and_links_of_other_objects() -> None:
    mdata = make()
    links = mdata.uns.pop("cre_links")
    with pytest.raises(
        KeyError, match=r"`links` is a MuData without uns\['cre_links'\].* Call `scminnet.tl.cre_links` on it first"
    ):
        run(mdata)
    links = links.set_index("gene").loc[["g5", "g2"]].reset_index()
    chosen = pd.concat([links, links.iloc[[0]].assign(group="other")])
    table = run(mdata, links=chosen)
    assert table["gene"].tolist() == ["g5", "g2"] * 2
    holder = make()
    pd.testing.assert_frame_equal(run(mdata, links=holder), run(holder))


def test_groups_with_too_few_bulks_are_listed() -> None:
    mdata = make()
    rare = mdata.obs_names[(mdata.obs["severity"] == "severe") & (mdata.obs["type"] == "B")][:-3]
    mdata.obs.loc[rare, "severity"] = None
    result = mn.tl.differential_links(mdata, "severity", "none", groupby="type", copy=True)
    table = result.uns["differential_links"]
    assert set(zip(table["group"], table["condition"], strict=True)) == {("B", "mild"), ("T", "mild"), ("T", "severe")}
    assert result.uns["differential_links_info"]["levels_left_out"].to_numpy().tolist() == [["B", "severe", 3]]


def test_pairs_that_do_not_vary_at_a_level_are_left_out() -> None:
    mdata = make()
    values = mdata["rna"].X.toarray()
    values[(mdata.obs["severity"] == "mild").to_numpy(), 1] = 2
    mdata["rna"].X = values
    table = run(mdata)
    assert set(table.query("condition == 'severe'")["gene"]) - set(table.query("condition == 'mild'")["gene"]) == {"g1"}
    mdata["rna"].X = np.ones_like(values)
    with pytest.raises(ValueError, match="`links`: none of its 8 pairs varies at both levels"):
        run(mdata)


def test_nonzero() -> None:
    table = run(make(), method="pearson", nonzero=True)
    assert (table["n_bulks"] < 20).any()


@pytest.mark.parametrize("groupby", [None, "type"])
def test_result_survives_a_file(tmp_path, groupby) -> None:
    mdata = make()
    mn.tl.differential_links(mdata, "severity", "none", key_added="changed", groupby=groupby)
    mdata.write(tmp_path / "m.h5mu")
    again = mudata.read_h5mu(tmp_path / "m.h5mu")
    pd.testing.assert_frame_equal(again.uns["changed"], mdata.uns["changed"], check_dtype=False)
    assert again.uns["changed_info"]["params"]["reference"] == "none"
    assert ("levels_left_out" in again.uns["changed_info"]) == (groupby is not None)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"condition": "constant"}, ValueError, "`condition`='constant' has the level 'x' only"),
        ({"condition": "empty"}, ValueError, "`condition`='empty' has no level"),
        ({"reference": "control"}, ValueError, "`reference` is 'control'.*Choose one of 'mild', 'none', 'severe'"),
        (
            {"condition": "rare", "reference": "x"},
            ValueError,
            "`condition`='rare' has .* too few bulks: 'few' has 3. At least 4",
        ),
        ({"condition": "rare", "reference": "few"}, ValueError, "'few' has 3"),
        (
            {"condition": "rare", "reference": "x", "groupby": "type"},
            ValueError,
            "'few' has 2 in group 'T', 'few' has 1 in group 'B'|'few' has 1 in group 'B', 'few' has 2 in group 'T'",
        ),
        ({"groupby": "donor"}, KeyError, "`groupby` is 'donor'"),
        ({"nonzero": True}, ValueError, "`nonzero`"),
        ({"atac": "peaks"}, ValueError, "`atac` names 'peaks'"),
        ({"links": {}}, TypeError, "`links` is a dict"),
        ({"links": pd.DataFrame({"gene": ["g0"]})}, ValueError, "`links` lacks the columns 'peak'"),
    ],
)
def test_bad_input_changes_nothing(change, error, words) -> None:
    mdata = make()
    mdata.obs["constant"], mdata.obs["empty"] = "x", None
    mdata.obs["rare"] = ["few"] * 3 + ["x"] * 57
    before = set(mdata.uns)
    with pytest.raises(error, match=words):
        mn.tl.differential_links(mdata, **{"condition": "severity", "reference": "none"} | change)
    assert set(mdata.uns) == before


def test_links_of_other_data() -> None:
    mdata = make()
    links = mdata.uns["cre_links"]
    with pytest.raises(ValueError, match="`links` names 'gX', no feature of modality 'rna'"):
        run(mdata, links=links.assign(gene="gX"))
    with pytest.raises(ValueError, match="`links` has no rows"):
        run(mdata, links=links.head(0))
