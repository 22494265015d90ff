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
from scipy import sparse, stats

import scminnet as mn
from scminnet.genomics import parse_intervals
from scminnet.tl import _null
from scminnet.tl._pairs import window_pairs

COLUMNS = [
    *("gene", "peak", "chrom", "start", "end", "tss", "strand", "distance", "promoter"),
    *("r", "z", "p", "fdr", "n_bulks", "group"),
    *("r_conditional", "activity", "contact", "contact_share", "abc", "score"),
]

TSS = pd.DataFrame(
    [
        ("A", "chr1", 1000, "+", 1000, 1500),
        ("A", "chr1", 1400, "+", 1000, 1500),
        ("B", "chr1", 2000, "-", 500, 2001),
        ("C", "chr2", 1000, "+", 1000, 1500),
        ("D", "chr3", 1000, "+", 1000, 1500),
        ("E", "chr2", 900_000, "+", 900_000, 900_500),
        ("F", "chr2", 1100, "+", 1100, 1500),
        ("Z", "chr2", 1000, "+", 1000, 1500),
    ],
    columns=["gene", "chrom", "tss", "strand", "start", "end"],
)
PEAKS = ["chr1:800-1001", "chr1:900-1101", "chr1:1200-1400", "chr1:2100-2102", "chr1:2400-2500", "chr2:900-1000"]


def make(n: int = 24, genes=("A", "B", "C", "D", "E", "F", "G"), peaks=tuple(PEAKS), seed: int = 0) -> MuData:
    """Bulks of two types; gene F is constant. ATAC has them in another order and one more."""
    rng = np.random.default_rng(seed)
    rna = AnnData(sparse.csr_matrix(rng.poisson(2, (n, len(genes))).astype(np.float32)))
    rna.obs_names, rna.var_names = [f"bulk_{i}" for i in range(n)], list(genes)
    if "F" in genes:
        rna.X = rna.X.toarray()
        rna.X[:, list(genes).index("F")] = 3
    atac = AnnData(sparse.csr_matrix(rng.poisson(1, (n + 1, len(peaks))).astype(np.float32)))
    atac.obs_names, atac.var_names = ["more", *rna.obs_names[::-1]], list(peaks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata = MuData({"rna": rna, "atac": atac})
    mdata.obs["type"] = [f"t{i}" if i is not None else None for i in np.where(np.arange(n + 1) < n // 2, 1, 2)]
    return mdata


def genome_wide(
    n_bulks: int, programmes: int, *, n_genes: int = 150, n_peaks: int = 2400, length: int = 9_000_000
) -> MuData:
    """Genes and peaks on four chromosomes, independent of each other but for the programmes that drive both.

    ``uns["tss"]`` has the genes' starts, every one with about ten peaks in its window.
    """
    rng = np.random.default_rng(0)
    states = rng.normal(size=(n_bulks, max(programmes, 1)))

    def levels(n: int) -> np.ndarray:
        shared = states @ rng.normal(size=(max(programmes, 1), n)) / np.sqrt(max(programmes, 1))
        return (shared if programmes else 0) + 0.5 * rng.normal(size=(n_bulks, n))

    rna = AnnData(np.exp(levels(n_genes)).astype(np.float32))
    rates = np.exp(levels(n_peaks) + rng.normal(0.5, 1, n_peaks))
    atac = AnnData(sparse.csr_matrix(rng.poisson(rates).astype(np.float32)))
    chrom = rng.choice(["chr1", "chr2", "chr3", "chr4"], n_peaks)
    start = rng.choice(length // 600, n_peaks, replace=False) * 600
    atac.var_names = [f"{c}:{s}-{s + 500}" for c, s in zip(chrom, start, strict=True)]
    rna.var_names = [f"g{i}" for i in range(n_genes)]
    for adata in (rna, atac):
        adata.obs_names = [f"bulk_{i}" for i in range(n_bulks)]
    tss = {"gene": rna.var_names, "chrom": rng.choice(["chr1", "chr2", "chr3", "chr4"], n_genes)}
    tss |= {"tss": rng.integers(0, length, n_genes), "strand": rng.choice(["+", "-"], n_genes)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata = MuData({"rna": rna, "atac": atac})
    mdata.uns["tss"] = pd.DataFrame(tss)
    return mdata


def by_place(links: pd.DataFrame) -> pd.DataFrame:
    return links.sort_values(["group", "gene", "start", "end"], ignore_index=True)


def links_of(mdata: MuData, tss=TSS, *args, **arguments) -> pd.DataFrame:
    return mn.tl.cre_links(mdata, tss, *args, copy=True, **{"null": None} | arguments).uns["cre_links"]


def test_table_of_the_links() -> None:
    mdata = make()
    assert mn.tl.cre_links(mdata, TSS, upstream=150, downstream=200, null=None) is None
    links = mdata.uns["cre_links"]
    assert links.columns.tolist() == COLUMNS
    assert links.index.equals(pd.RangeIndex(len(links)))
    assert links["score"].is_monotonic_decreasing
    assert links["score"].between(0, 1).all()
    links = by_place(links)
    assert links[["gene", "peak", "tss", "distance"]].to_numpy().tolist() == [
        ["A", "chr1:800-1001", 1000, -100],
        ["A", "chr1:900-1101", 1000, 0],
        ["A", "chr1:1200-1400", 1400, -100],  # in both windows: 300 downstream of the first is not
        ["B", "chr1:2100-2102", 2000, -101],
        ["C", "chr2:900-1000", 1000, -50],
    ]
    assert links["promoter"].tolist() == [True] * 5
    assert links["strand"].tolist() == ["+", "+", "+", "-", "+"]
    for column in ("start", "end", "tss", "distance", "n_bulks"):
        assert links[column].dtype == np.int64
    for column in ("r", "z", "p", "fdr"):
        assert links[column].dtype == np.float64
    assert links["promoter"].dtype == bool
    assert (links["group"] == "all").all()
    assert links[["z", "p", "fdr"]].isna().all(axis=None)
    values = {m: mdata[m].to_df() for m in ("rna", "atac")}
    names = mdata["rna"].obs_names
    for row in links.itertuples():
        expected = stats.spearmanr(values["rna"].loc[names, row.gene], values["atac"].loc[names, row.peak])[0]
        assert row.r == pytest.approx(expected)
        assert row.n_bulks == 24


def test_genes_left_out_have_reasons() -> None:
    mdata = make()
    mn.tl.cre_links(mdata, TSS, upstream=150, downstream=200, null=None)
    table = mdata.uns["cre_links_info"]["genes_left_out"]
    assert dict(zip(table["gene"], table["reason"], strict=True)) == {
        "D": "no peak on its chromosome 'chr3'",
        "E": "no peak in its window",
        "F": "constant over the bulks",
        "G": "no transcript start in `tss`",
        "Z": "no feature of modality 'rna'",
    }
    mn.tl.cre_links(mdata, TSS, ["B", "nobody", "G"], upstream=150, null=None)
    assert set(mdata.uns["cre_links"]["gene"]) == {"B"}
    assert mdata.uns["cre_links_info"]["genes_left_out"]["gene"].tolist() == ["nobody", "G"]


def test_constant_peaks_are_left_out_and_genes_with_no_others() -> None:
    mdata = make()
    values = mdata["atac"].X.toarray()
    values[:, [0, 5]] = 1
    mdata["atac"].X = values
    mn.tl.cre_links(mdata, TSS, upstream=150, downstream=200, null=None)
    links, info = mdata.uns["cre_links"], mdata.uns["cre_links_info"]
    assert sorted(links["gene"]) == ["A", "A", "B"]
    reasons = info["genes_left_out"].set_index("gene")["reason"]
    assert reasons["C"] == "its peaks are constant over the bulks"


@given(
    genes=st.lists(
        st.tuples(
            st.sampled_from("ABC"),
            st.sampled_from("12"),
            st.integers(0, 120),
            st.sampled_from("+-"),
            st.integers(0, 60),
        ),
        min_size=1,
        max_size=8,
    ),
    peaks=st.lists(st.tuples(st.sampled_from("12"), st.integers(0, 120), st.integers(1, 20)), min_size=1, max_size=12),
    upstream=st.integers(0, 40),
    downstream=st.integers(0, 40),
    gene_body=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_pairs_are_those_of_a_double_loop(genes, peaks, upstream, downstream, gene_body) -> None:
    starts = pd.DataFrame(genes, columns=["gene", "chrom", "tss", "strand", "length"])
    forward = starts["strand"] == "+"
    starts["start"] = starts["tss"].where(forward, starts["tss"] - starts["length"])
    starts["end"] = (starts["tss"] + starts["length"]).where(forward, starts["tss"]) + 1
    table = pd.DataFrame(peaks, columns=["chrom", "start", "end"]).assign(end=lambda t: t["start"] + t["end"])
    expected: dict[tuple, int] = {}
    for _, row in starts.iterrows():
        for i, peak in table.iterrows():
            middle = (peak["start"] + peak["end"]) // 2
            distance = (middle - row["tss"]) * (1 if row["strand"] == "+" else -1)
            to_end = row["end"] - 1 - row["tss"] if row["strand"] == "+" else row["tss"] - row["start"]
            last = max(downstream, to_end) if gene_body else downstream
            if row["chrom"] == peak["chrom"] and -upstream <= distance <= last:
                best = expected.get((row["gene"], i))
                if best is None or (abs(distance), distance) < (abs(best), best):
                    expected[row["gene"], i] = distance
    arguments = {"upstream": upstream, "downstream": downstream, "gene_body": gene_body, "modality": "rna"}
    features = pd.Index(list("CBA"))
    if not expected:
        with pytest.raises(ValueError, match="`tss`: (none of its|peaks and annotation)"):
            window_pairs(table, starts, features, None, **arguments)
        return
    found = window_pairs(table, starts, features, None, **arguments)
    pairs = {(features[g], p): d for g, p, d in found.table[["gene", "peak", "distance"]].itertuples(index=False)}
    assert pairs == expected
    assert len(found.table) == len(expected)
    assert found.table["gene"].is_monotonic_increasing
    assert set(found.left_out) == set("ABC") - {gene for gene, _ in expected}


def test_annotation_in_any_order_or_type_gives_the_same_table() -> None:
    mdata = make()
    expected = links_of(mdata, upstream=150, downstream=200)
    mixed = TSS.sample(frac=1, random_state=1).astype({"gene": "category", "chrom": "category", "strand": "category"})
    pd.testing.assert_frame_equal(
        expected, links_of(mdata, pd.concat([mixed, mixed[:2]]), upstream=150, downstream=200)
    )


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, np.asarray])
def test_forms_and_layers_of_the_values(form) -> None:
    mdata = make()
    expected = links_of(mdata, upstream=150)
    for adata in mdata.mod.values():
        dense = adata.to_df().to_numpy()
        adata.layers["kept"] = form(dense)
        adata.X = np.zeros_like(dense)
    pd.testing.assert_frame_equal(expected, links_of(mdata, upstream=150, layer="kept"))
    pd.testing.assert_frame_equal(expected, links_of(mdata, upstream=150, layer={"rna": "kept", "atac": "kept"}))
    with pytest.raises(ValueError, match=r"none of the \d+ pairs varies .*constant over the bulks"):
        links_of(mdata, upstream=150, layer={"rna": "kept"})


def test_groups_are_correlated_apart(caplog) -> None:
    mdata = make(30)
    mdata.obs.loc[["bulk_0", "bulk_1", "bulk_2"], "type"] = "rare"
    mdata.obs.loc["bulk_3", "type"] = None
    logger = logging.getLogger("scminnet")
    logger.addHandler(caplog.handler)
    try:
        mn.tl.cre_links(mdata, TSS, upstream=150, null="theoretical", groupby="type")
    finally:
        logger.removeHandler(caplog.handler)
    assert any("fewer than 10 bulks are left out: 'rare'" in message for message in caplog.messages)
    links, info = mdata.uns["cre_links"], mdata.uns["cre_links_info"]
    assert links["group"].unique().tolist() == ["t1", "t2"]
    for group, of_group in links.groupby("group"):
        names = mdata.obs_names[(mdata.obs["type"] == group).fillna(False)].intersection(mdata["rna"].obs_names)
        subset = MuData({m: mdata[m][names].copy() for m in ("rna", "atac")})
        expected = links_of(subset, upstream=150, null="theoretical").drop(columns="group")
        pd.testing.assert_frame_equal(of_group.drop(columns="group").reset_index(drop=True), expected)
        assert (of_group["n_bulks"] == len(names)).all()
    assert info["groups_left_out"].to_numpy().tolist() == [["rare", 3]]
    reasons = info["genes_left_out"].query("gene == 'F'")["reason"].tolist()
    assert reasons == ["constant over the bulks in group 't1'", "constant over the bulks in group 't2'"]


def test_nonzero_takes_zeros_for_dropout() -> None:
    mdata = make(40)
    links = links_of(mdata, upstream=150, method="pearson", nonzero=True)
    for row in links.itertuples():
        x = mdata["rna"].to_df()[row.gene]
        y = mdata["atac"].to_df()[row.peak].loc[x.index]
        both = (x > 0) & (y > 0)
        assert row.r == pytest.approx(stats.pearsonr(x[both], y[both])[0], abs=1e-6)
        assert row.n_bulks == both.sum() < 40


@pytest.mark.parametrize("programmes", [0, 4])
def test_p_of_the_matched_null_is_uniform_where_nothing_is_linked(programmes: int) -> None:
    mdata = genome_wide(60, programmes)
    links = links_of(mdata, mdata.uns["tss"], null="matched")
    assert len(links) > 1000
    assert stats.kstest(links["p"], "uniform").statistic < 0.06
    assert 0.03 < (links["p"] < 0.05).mean() < 0.07
    assert (links["p"] < 0.01).mean() < 0.02
    assert (links["fdr"] < 0.1).mean() < 0.01
    theoretical = links_of(mdata, mdata.uns["tss"], null="theoretical", alternative="two-sided")
    np.testing.assert_array_equal(theoretical["r"], links["r"])
    # bulks that share programmes are no independent observations
    rate = (theoretical["p"] < 0.05).mean()
    assert rate > 0.4 if programmes else rate < 0.07


def test_planted_links_are_found() -> None:
    mdata = genome_wide(60, 4)
    pairs = links_of(mdata, mdata.uns["tss"]).drop_duplicates("gene").drop_duplicates("peak").head(60)
    rng = np.random.default_rng(0)
    values = mdata["atac"].X.tolil()
    for gene, peak in pairs[["gene", "peak"]].itertuples(index=False):
        rate = 5 * mdata["rna"].X[:, mdata["rna"].var_names.get_loc(gene)]
        values[:, mdata["atac"].var_names.get_loc(peak)] = rng.poisson(rate)[:, None]
    mdata["atac"].X = values.tocsr()
    links = links_of(mdata, mdata.uns["tss"], null="matched").set_index(["gene", "peak"])
    planted = links.index.isin(pd.MultiIndex.from_frame(pairs[["gene", "peak"]]))
    found = (links["fdr"] < 0.1).to_numpy()
    assert found[planted].mean() > 0.5
    assert found[~planted].sum() < 0.25 * found.sum()


def test_a_chosen_gene_has_the_same_correlations_as_among_all(monkeypatch) -> None:
    monkeypatch.setattr(_null, "POOL", 400)
    mdata = genome_wide(30, 3, n_genes=40)
    every = links_of(mdata, mdata.uns["tss"], null="matched")
    one = links_of(mdata, mdata.uns["tss"], ["g7"], null="matched")
    expected = every[every["gene"] == "g7"].reset_index(drop=True)
    # activity is relative to the mean of the compared peaks, and the null is that of the compared pairs
    of_all = ["z", "p", "fdr", "activity", "score"]
    pd.testing.assert_frame_equal(by_place(one).drop(columns=of_all), by_place(expected).drop(columns=of_all))
    other = links_of(mdata, mdata.uns["tss"], ["g7"], null="matched", seed=1)
    assert (by_place(other)["z"] != by_place(one)["z"]).all()


def test_cells_instead_of_bulks_and_the_same_table_twice() -> None:
    mdata = mn.datasets.simulate_multiome(150, n_genes=200, n_peaks=600, seed=1)
    tss = mdata["rna"].var.rename_axis("gene").reset_index()
    first, second = (links_of(mdata, tss, null="matched") for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert (first["n_bulks"] == 150).all()
    assert first["p"].between(0, 1, inclusive="right").all()


def test_gc_content_matches_backgrounds(tmp_path) -> None:
    pytest.importorskip("pyfaidx")
    mdata = genome_wide(30, 3, n_genes=30, n_peaks=400, length=300_000)
    peaks = parse_intervals(mdata["atac"].var_names)
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 300_000))
    (tmp_path / "g.fa").write_text("".join(f">{c}\n{text}\n" for c in sorted(peaks["chrom"].unique())))
    plain = links_of(mdata, mdata.uns["tss"], null="matched", n_background=50)
    matched = links_of(mdata, mdata.uns["tss"], null="matched", n_background=50, genome=tmp_path / "g.fa")
    np.testing.assert_array_equal(plain["r"], matched["r"])
    assert (plain["z"] != matched["z"]).mean() > 0.9
    assert np.corrcoef(plain["z"], matched["z"])[0, 1] > 0.9
    (tmp_path / "n.fa").write_text("".join(f">{c}\n{'N' * len(text)}\n" for c in sorted(peaks["chrom"].unique())))
    with pytest.raises(ValueError, match="`genome`: 400 peaks hold no known base"):
        links_of(mdata, mdata.uns["tss"], null="matched", genome=tmp_path / "n.fa")


@pytest.mark.parametrize("groupby", [None, "type"])
def test_result_survives_a_file(tmp_path, groupby) -> None:
    mdata = make()
    arguments = {"groupby": groupby, "null": "theoretical", "layer": {"rna": None}, "upstream": 150}
    copied = mn.tl.cre_links(mdata, TSS, key_added="near", copy=True, **arguments)
    assert not mdata.uns
    mn.tl.cre_links(mdata, TSS, key_added="near", **arguments)
    pd.testing.assert_frame_equal(mdata.uns["near"], copied.uns["near"])
    mdata.write(tmp_path / "m.h5mu")
    again = mudata.read_h5mu(tmp_path / "m.h5mu")
    pd.testing.assert_frame_equal(again.uns["near"], mdata.uns["near"], check_dtype=False)
    info = again.uns["near_info"]
    assert info["params"]["upstream"] == 150
    assert "genes" not in info["params"]
    assert list(info["genes_left_out"]["gene"]) == list(mdata.uns["near_info"]["genes_left_out"]["gene"])


def test_no_gene_left_out_can_be_written(tmp_path) -> None:
    mdata = make(genes=("A", "B"))
    mn.tl.cre_links(mdata, TSS[:3], null=None)
    assert mdata.uns["cre_links_info"]["genes_left_out"].empty
    mdata.write(tmp_path / "m.h5mu")
    assert mudata.read_h5mu(tmp_path / "m.h5mu").uns["cre_links_info"]["genes_left_out"].empty


def unpaired(mdata: MuData) -> None:
    mdata["rna"].obs_names = [f"other_{i}" for i in range(mdata["rna"].n_obs)]
    mdata.update()


def with_nan(mdata: MuData) -> None:
    mdata["rna"].X[0, 0] = np.nan


def with_bad_names(mdata: MuData) -> None:
    mdata["atac"].var_names = ["gene1", *PEAKS[1:]]


def with_other_style(mdata: MuData) -> None:
    mdata["atac"].var_names = mdata["atac"].var_names.str.replace("chr", "")


@pytest.mark.parametrize(
    ("spoil", "arguments", "error", "words"),
    [
        (None, {"rna": "expression"}, ValueError, "`rna` names 'expression'"),
        (None, {"atac": "peaks"}, ValueError, "`atac` names 'peaks', which the MuData lacks. It has 'rna', 'atac'"),
        (None, {"atac": "rna"}, ValueError, "`atac` is 'rna', as is `rna`"),
        (None, {"layer": "none"}, ValueError, "'none'"),
        (None, {"layer": {"adt": "counts"}}, ValueError, "`layer` names the modalities 'adt'"),
        (None, {"upstream": -1}, ValueError, "`upstream` is -1"),
        (None, {"downstream": 0.5}, ValueError, "`downstream` is 0.5"),
        (None, {"method": "cosine"}, ValueError, "`method` is 'cosine'. Choose one of 'spearman', 'pearson'"),
        (None, {"nonzero": True}, ValueError, "`nonzero` is set with `method`='spearman'.*'pearson'"),
        (None, {"null": "none"}, ValueError, "`null` is 'none'"),
        (
            None,
            {"null": "matched"},
            ValueError,
            "only 1 peaks that vary lie on other chromosomes than 'chr1'.*'theoretical'",
        ),
        (None, {"genome": "g.fa"}, ValueError, "`genome` is given, but `null` is None"),
        (None, {"genome": "g.fa", "null": "matched"}, (FileNotFoundError, ImportError), "`genome`"),
        (None, {"n_background": 10}, ValueError, "`n_background` is 10"),
        (None, {"min_bulks": 3}, ValueError, "`min_bulks` is 3"),
        (None, {"min_bulks": 25}, ValueError, "`min_bulks` is 25, but there are fewer bulks: 'all' has 24"),
        (None, {"groupby": "type", "min_bulks": 14}, ValueError, "`min_bulks` is 14.*'t1' has 12, 't2' has 12"),
        (None, {"groupby": "donor"}, KeyError, "`groupby` is 'donor'"),
        (None, {"genes": "A"}, TypeError, "`genes` is the text 'A'. Give a list"),
        (None, {"genes": ["nobody", "G"]}, ValueError, "`genes`: no gene is both .*those asked for .'nobody', 'G'"),
        (None, {"genes": ["E"]}, ValueError, "none of its 1 genes has one of the peaks in its windows"),
        (None, {"tss": "none.gtf"}, FileNotFoundError, "none.gtf"),
        (None, {"tss": TSS.drop(columns="strand")}, ValueError, "`tss` lacks the columns 'strand'"),
        (None, {"tss": TSS.drop(columns="end"), "gene_body": True}, ValueError, "`tss` lacks the columns 'end'"),
        (None, {"tss": TSS.assign(gene="ENSG1")}, ValueError, "`tss`: no gene is both a feature .*'A', 'B'.*'ENSG1'"),
        (None, {"tss": TSS.assign(tss=10**7)}, ValueError, "none of its 6 genes has one of the peaks in its windows"),
        (unpaired, {}, ValueError, "have no observation in common .'other_0'"),
        (with_nan, {}, ValueError, "modality 'rna' holds 1 NaN values"),
        (with_bad_names, {}, ValueError, r"`mdata\['atac'\].var`: 1 of 6 names are not intervals, e.g. 'gene1'"),
        (
            with_other_style,
            {},
            ValueError,
            "no chromosome name in common. The peaks lie on '1', '2', the genes on 'chr1', 'chr2'",
        ),
    ],
)
def test_bad_input_changes_nothing(spoil, arguments, error, words) -> None:
    mdata = make()
    if spoil is not None:
        spoil(mdata)
    with pytest.raises(error, match=words):
        mn.tl.cre_links(mdata, **{"tss": TSS, "null": None} | arguments)
    assert not mdata.uns


def test_tss_is_a_table_or_a_path() -> None:
    with pytest.raises(TypeError, match="`tss` is a dict"):
        mn.tl.cre_links(make(), {})


def test_only_correlations_above_the_background_are_found_where_asked() -> None:
    mdata = genome_wide(40, 3, n_genes=60, n_peaks=900, length=900_000)
    tss = mdata.uns["tss"]
    both = links_of(mdata, tss, null="theoretical", alternative="two-sided")
    above = links_of(mdata, tss, null="theoretical", alternative="greater")
    np.testing.assert_allclose(above["p"], np.where(both["z"] > 0, both["p"] / 2, 1 - both["p"] / 2))
    both = links_of(mdata, tss, null="matched", alternative="two-sided")
    above = links_of(mdata, tss, null="matched")
    np.testing.assert_array_equal(above["z"], both["z"])
    # nothing regulates here, so p is uniform, one-sided as well
    assert abs(above["p"].mean() - 0.5) < 0.05
    assert 0.02 < (above["p"] < 0.05).mean() < 0.09
    assert (np.diff(above["p"].to_numpy()[np.argsort(above["z"])]) <= 0).all()
    with pytest.raises(ValueError, match="`alternative` is 'less'"):
        links_of(mdata, tss, alternative="less")


def test_pairs_with_much_contact_need_less_evidence() -> None:
    mdata = genome_wide(40, 3, n_genes=60, n_peaks=900, length=900_000)
    links = links_of(mdata, mdata.uns["tss"], null="matched")
    weight = links["contact"] * links["contact_share"]
    weighted = np.minimum(links["p"] / (weight / weight.mean()), 1)
    np.testing.assert_allclose(links["fdr"], stats.false_discovery_control(weighted))
    theoretical = links_of(mdata, mdata.uns["tss"], null="theoretical")
    weighted = np.minimum(theoretical["p"] * weight.mean() / (theoretical["contact"] * theoretical["contact_share"]), 1)
    np.testing.assert_allclose(theoretical["fdr"], stats.false_discovery_control(weighted))
