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
from scipy import sparse

import scminnet as mn
from scminnet.pp.gene_windows import membership

#: Two starts of A whose windows meet at one peak; B mirrored on -; C on another chromosome; D far from every peak.
TSS = pd.DataFrame(
    [
        ("A", "chr1", 1000, "+", 1000, 3000),
        ("A", "chr1", 1100, "+", 1000, 3000),
        ("B", "chr1", 2000, "-", 500, 2001),
        ("C", "chr2", 1000, "+", 1000, 1500),
        ("D", "chr2", 90_000, "+", 90_000, 91_000),
    ],
    columns=["gene", "chrom", "tss", "strand", "start", "end"],
)
#: Which genes the peaks belong to with upstream=100 and nothing else.
PEAKS = {
    "chr1:950-1050": "A",  # in the windows of both starts
    "chr1:800-900": "",  # ends where the window of A starts
    "chr1:899-901": "A",
    "chr1:1100-1200": "",  # the second start itself is not upstream of it
    "chr1:2001-2002": "B",  # the base before the first one transcribed on -
    "chr1:1990-2001": "",  # the start of B itself
    "chr1:2100-2101": "B",  # the 100th base before it
    "chr1:2101-2102": "",
    "chr2:900-901": "C",
    "chr2:1400-1600": "",
    "chrUn_1:900-1001": "",
}


def make_mdata(peaks=tuple(PEAKS), n_cells: int = 30) -> mudata.MuData:
    """RNA, and ATAC with the cells in another order and one more."""
    rng = np.random.default_rng(0)
    rna = AnnData(sparse.csr_matrix(rng.poisson(1, (n_cells, 3)).astype(np.float32)))
    rna.obs_names, rna.var_names = [f"cell{i}" for i in range(n_cells)], ["A", "B", "Z"]
    atac = AnnData(sparse.csr_matrix(rng.poisson(0.5, (n_cells + 1, len(peaks)))))
    atac.obs_names, atac.var_names = ["more", *rna.obs_names[::-1]], list(peaks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata = mudata.MuData({"rna": rna, "atac": atac})
    mdata.obs["donor"] = "d"
    return mdata


@pytest.fixture
def mdata() -> mudata.MuData:
    return make_mdata()


def peaks_of(mdata: mudata.MuData, gene: str, **arguments) -> set[str]:
    """Names of the peaks that a gene's activity sums, read off cells with one open peak each."""
    names = mdata["atac"].var_names
    one_each = mudata.MuData({"atac": AnnData(sparse.eye(len(names), format="csr"), var=pd.DataFrame(index=names))})
    mn.pp.gene_activity(one_each, TSS, **arguments)
    activity = one_each["activity"]
    if gene not in activity.var_names:
        return set()
    values = activity[:, gene].X.toarray().ravel()
    assert set(values) <= {0, 1}
    return set(names[values > 0])


@pytest.mark.parametrize("gene", ["A", "B", "C", "D"])
def test_windows_lie_upstream_on_either_strand(mdata, gene):
    assert peaks_of(mdata, gene, upstream=100) == {peak for peak, owner in PEAKS.items() if owner == gene}


def test_windows_downstream_and_over_the_gene(mdata):
    both = peaks_of(mdata, "B", upstream=100, downstream=1)
    assert both == peaks_of(mdata, "B", upstream=100) | {"chr1:1990-2001"}
    assert peaks_of(mdata, "A", upstream=0, downstream=1) == {"chr1:950-1050", "chr1:1100-1200"}
    assert peaks_of(mdata, "C", upstream=100, gene_body=True) == {"chr2:900-901", "chr2:1400-1600"}
    on_minus = peaks_of(mdata, "B", upstream=0, gene_body=True)
    assert on_minus == {
        p
        for p in PEAKS
        if p.startswith("chr1") and 500 <= int(p[5:].split("-")[1]) - 1 and int(p[5:].split("-")[0]) < 2001
    }


positions = st.integers(0, 150)
gene_rows = st.tuples(st.sampled_from("ABCD"), st.sampled_from(["1", "2"]), positions, st.sampled_from("+-"), positions)
peak_rows = st.tuples(st.sampled_from(["1", "2"]), positions, st.integers(1, 30))


@settings(max_examples=200, deadline=None)
@given(
    genes=st.lists(gene_rows, min_size=1, max_size=12),
    peaks=st.lists(peak_rows, min_size=1, max_size=20),
    upstream=st.integers(0, 40),
    downstream=st.integers(0, 40),
    gene_body=st.booleans(),
    decay=st.sampled_from([None, 1, 7.5, 1000]),
)
def test_membership_is_that_of_a_double_loop_over_bases(genes, peaks, upstream, downstream, gene_body, decay):
    starts = pd.DataFrame(genes, columns=["gene", "chrom", "tss", "strand", "length"])
    forward = starts["strand"] == "+"
    starts["start"] = starts["tss"].where(forward, starts["tss"] - starts["length"])
    starts["end"] = (starts["tss"] + starts["length"]).where(forward, starts["tss"]) + 1
    table = pd.DataFrame(peaks, columns=["chrom", "start", "end"]).assign(end=lambda t: t["start"] + t["end"])
    names = pd.Index(starts["gene"].unique())

    expected = np.zeros((len(peaks), len(names)))
    for i, peak in table.iterrows():
        for _, row in starts.iterrows():
            sign = 1 if row["strand"] == "+" else -1
            window = {row["tss"] + sign * offset for offset in range(-upstream, downstream)}
            near = {row["tss"]}
            if gene_body:
                near |= set(range(row["tss"], row["end"]) if sign > 0 else range(row["start"], row["tss"] + 1))
                window |= near
            bases = range(peak["start"], peak["end"])
            if peak["chrom"] == row["chrom"] and window & set(bases):
                distance = min(abs(base - other) for base in bases for other in near)
                weight = 1 if decay is None else 2 ** (-distance / decay)
                pair = i, names.get_loc(row["gene"])
                expected[pair] = max(expected[pair], weight)
    windows = {"upstream": upstream, "downstream": downstream, "gene_body": gene_body}
    found = membership(table, starts, names, **windows, decay=decay)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-5)
    assert found.has_canonical_format
    assert found.dtype == np.float32


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, np.asarray])
def test_sums_are_those_of_the_cells_own_rows(mdata, form):
    atac = mdata["atac"]
    dense = atac.to_df()
    atac.layers["other"] = form(atac.X.toarray())
    before = list(mdata.obs_names)
    assert mn.pp.gene_activity(mdata, TSS, upstream=100, layer="other") is None
    activity = mdata["activity"]
    assert activity.obs_names.tolist() == atac.obs_names.tolist()
    assert activity.var_names.tolist() == ["A", "B", "C"]
    assert isinstance(activity.X, sparse.csr_matrix)
    assert activity.X.dtype == np.float32
    for gene in activity.var_names:
        mine = [peak for peak, owner in PEAKS.items() if owner == gene]
        np.testing.assert_array_equal(activity[:, gene].X.toarray().ravel(), dense[mine].sum(axis=1))
    assert list(mdata.obs_names) == before
    assert (mdata.obs["donor"] == "d").all()
    assert mdata.obs.columns.tolist() == ["donor"]
    assert mdata.n_vars == 3 + len(PEAKS) + 3


def test_places_of_the_genes(mdata):
    more = pd.DataFrame([("B", "chr1", 2100, "-"), ("A", "chrX", 1, "-")], columns=TSS.columns[:4])
    mn.pp.gene_activity(mdata, pd.concat([TSS, TSS[:1], more]).astype({"gene": "category"}), upstream=100, atac="atac")
    var = mdata["activity"].var
    assert var.columns.tolist() == ["chrom", "strand", "tss", "n_tss", "n_peaks"]
    assert var["tss"].tolist() == [1000, 2100, 1000]
    assert var["strand"].tolist() == ["+", "-", "+"]
    assert var["chrom"].tolist() == ["chr1", "chr1", "chr2"]
    assert var["n_tss"].tolist() == [3, 2, 1]
    assert var["n_peaks"].tolist() == [2, 3, 1]


def test_record_and_message(mdata, caplog, tmp_path):
    logger = logging.getLogger("scminnet")
    logger.addHandler(caplog.handler)
    try:
        mn.pp.gene_activity(mdata, TSS, upstream=100)
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.messages == ["1 of 4 genes have no peak and are left out; uns['activity'] lists them"]
    record = mdata.uns["activity"]
    assert record["params"] == {"atac": "atac", "upstream": 100, "downstream": 0, "gene_body": False}
    assert record["genes_without_peaks"].tolist() == ["D"]

    mdata.write_h5mu(tmp_path / "a.h5mu")
    read = mudata.read_h5mu(tmp_path / "a.h5mu")
    assert read.uns["activity"]["params"] == record["params"]
    assert list(read.uns["activity"]["genes_without_peaks"]) == ["D"]
    assert (read["activity"].X != mdata["activity"].X).nnz == 0
    assert read["activity"].var["n_peaks"].tolist() == mdata["activity"].var["n_peaks"].tolist()


def test_no_gene_without_peaks_can_be_written(mdata, tmp_path):
    mn.pp.gene_activity(mdata, TSS[:-1], upstream=100)
    mdata.write_h5mu(tmp_path / "a.h5mu")
    assert len(mudata.read_h5mu(tmp_path / "a.h5mu").uns["activity"]["genes_without_peaks"]) == 0


def test_copy_and_key(mdata):
    copied = mn.pp.gene_activity(mdata, TSS, key_added="ga", copy=True)
    assert set(mdata.mod) == {"rna", "atac"}
    assert not mdata.uns
    assert set(copied.mod) == {"rna", "atac", "ga"}
    assert set(copied.uns) == {"ga"}


def test_a_window_cut_off_at_the_chromosomes_first_base():
    mdata = make_mdata(["chr1:0-5", "chr1:3-9"])
    tss = TSS[:1].assign(tss=0)
    with pytest.raises(ValueError, match="none of its 1 genes"):
        mn.pp.gene_activity(mdata, tss)
    mn.pp.gene_activity(mdata, tss.assign(tss=4))
    assert mdata["activity"].var["n_peaks"].tolist() == [2]


def test_decay_halves_what_peaks_count(mdata):
    dense = mdata["atac"].to_df()
    mn.pp.gene_activity(mdata, TSS, upstream=200, decay=50)
    # A starts at 1000 and 1100; the first peak holds the base 1000, the others end 100 and 101 bases before it
    weights = {"chr1:950-1050": 1, "chr1:899-901": 2 ** (-100 / 50), "chr1:800-900": 2 ** (-101 / 50)}
    expected = sum(weight * dense[peak] for peak, weight in weights.items())
    np.testing.assert_allclose(mdata["activity"][:, "A"].X.toarray().ravel(), expected, rtol=1e-6)
    assert mdata.uns["activity"]["params"]["decay"] == 50


def test_interval_columns_and_a_file(mdata, tmp_path):
    expected = mn.pp.gene_activity(mdata, TSS, copy=True)["activity"].X
    intervals = mn.genomics.parse_intervals(mdata["atac"].var_names)
    mdata["atac"].var[["chrom", "start", "end"]] = intervals
    mdata["atac"].var_names = [f"peak{i}" for i in range(len(PEAKS))]
    mdata.update()
    bed = TSS.assign(end=TSS["tss"] + 1, score=0)[["chrom", "tss", "end", "gene", "score", "strand"]]
    bed.to_csv(tmp_path / "tss.bed", sep="\t", header=False, index=False)
    found = mn.pp.gene_activity(mdata, tmp_path / "tss.bed", copy=True)["activity"].X
    assert (found != expected).nnz == 0


def test_simulated_promoters_are_found():
    mdata = mn.datasets.simulate_multiome(100)
    tss = mdata["rna"].var.rename_axis("gene").reset_index()
    mn.pp.gene_activity(mdata, tss)
    regulation = mdata.uns["regulation"]
    assert regulation["gene"].isin(mdata["activity"].var_names).mean() > 0.9


def test_values_that_are_no_counts_are_warned_about_once(mdata):
    mdata["atac"].layers["tfidf"] = mdata["atac"].X.astype(np.float32) * 0.3
    with pytest.warns(UserWarning, match="not whole numbers") as caught:
        mn.pp.gene_activity(mdata, TSS, layer="tfidf")
    assert sum("not whole numbers" in str(warning.message) for warning in caught) == 1
    assert caught[0].filename == __file__


def test_no_warning_that_nobody_can_act_on(mdata):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="(anndata|mudata)")
        warnings.filterwarnings("ignore", category=FutureWarning, module="anndata")
        mn.pp.gene_activity(mdata, TSS)


def with_negative(mdata):
    mdata["atac"].X[0, 0] = -1


def with_bad_names(mdata):
    mdata["atac"].var_names = ["gene1", "gene2", *mdata["atac"].var_names[2:]]


def with_other_style(mdata):
    mdata["atac"].var_names = mdata["atac"].var_names.str.replace("chr", "")


@pytest.mark.parametrize(
    ("spoil", "arguments", "error", "match"),
    [
        (None, {"atac": "peaks"}, ValueError, "`atac` names 'peaks'"),
        (None, {"layer": "none"}, ValueError, "'none'"),
        (None, {"key_added": "rna"}, ValueError, "`key_added` is 'rna', which is already a modality"),
        (None, {"upstream": -1}, ValueError, "`upstream` is -1"),
        (None, {"downstream": 2.5}, ValueError, "`downstream` is 2.5"),
        (None, {"decay": 0}, ValueError, "`decay` is 0"),
        (None, {"batch_key": "donor"}, ValueError, "`batch_key` is 'donor', but `fragments` is not given"),
        (None, {"upstream": 0}, ValueError, "windows are empty"),
        (None, {"tss": "none.gtf"}, FileNotFoundError, "none.gtf"),
        (None, {"tss": TSS.drop(columns="strand")}, ValueError, "`tss` lacks the columns 'strand'"),
        (None, {"tss": TSS.drop(columns="end"), "gene_body": True}, ValueError, "`tss` lacks the columns 'end'"),
        (None, {"tss": TSS.assign(tss=10**7)}, ValueError, "none of its 4 genes has one of the peaks"),
        (with_negative, {}, ValueError, "1 negative values"),
        (
            with_bad_names,
            {},
            ValueError,
            r"`mdata\['atac'\].var`: 2 of 11 names are not intervals, e.g. 'gene1', 'gene2'",
        ),
        (
            with_other_style,
            {},
            ValueError,
            "no chromosome name in common.*'1', '2', 'Un_1', the genes on 'chr1', 'chr2'",
        ),
    ],
)
def test_wrong_input_leaves_the_data_as_they_were(mdata, spoil, arguments, error, match):
    if spoil is not None:
        spoil(mdata)
    with pytest.raises(error, match=match):
        mn.pp.gene_activity(mdata, **{"tss": TSS} | arguments)
    assert set(mdata.mod) == {"rna", "atac"}
    assert not mdata.uns
    assert mdata.n_vars == 3 + len(PEAKS)


def test_wrong_objects(mdata):
    with pytest.raises(TypeError, match="`mdata` must be a MuData"):
        mn.pp.gene_activity(mdata["atac"], TSS)
    with pytest.raises(ValueError, match="`mdata` is a view"):
        mn.pp.gene_activity(mdata[:10], TSS)
    with pytest.raises(TypeError, match="`tss` is a dict"):
        mn.pp.gene_activity(mdata, {})
