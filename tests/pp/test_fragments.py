from __future__ import annotations

import gzip
import re
import warnings

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import scminnet as mn

TSS = pd.DataFrame(
    [
        ("A", "chr1", 1000, "+", 1000, 3000),
        ("A", "chr1", 1100, "+", 1000, 3000),
        ("B", "chr1", 1500, "-", 500, 1501),
        ("C", "chr2", 1000, "+", 1000, 1500),
        ("D", "chr3", 9000, "+", 9000, 9100),
    ],
    columns=["gene", "chrom", "tss", "strand", "start", "end"],
)
BARCODES = [f"{base * 4}-1" for base in "ACGT"]


def simulate(seed: int = 0, n: int = 400) -> pd.DataFrame:
    """Fragments of four cells and of a barcode that is no cell."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 4000, n)
    barcode = rng.choice([*BARCODES, "NNNN-1"], n)
    chrom = rng.choice(["chr1", "chr2", "chrM"], n)
    table = {"chrom": chrom, "start": start, "end": start + rng.integers(1, 600, n), "barcode": barcode}
    return pd.DataFrame(table | {"reads": rng.integers(1, 5, n)})


def write(path, fragments: pd.DataFrame, header: str = "# id=x\n# a # b\n"):
    text = header + fragments.to_csv(sep="\t", header=False, index=False)
    if path.suffix == ".gz":
        # as bgzip does, in several members
        middle = len(text) // 2
        path.write_bytes(b"".join(gzip.compress(part.encode()) for part in (text[:middle], text[middle:])))
    else:
        path.write_text(text)
    return path


def make_mdata(names=tuple(BARCODES)) -> mudata.MuData:
    atac = AnnData(sparse.csr_matrix(np.ones((len(names), 2), np.float32)))
    atac.obs_names, atac.var_names = list(names), ["no", "interval"]
    rna = AnnData(sparse.csr_matrix(np.ones((len(names), 2), np.float32)))
    rna.obs_names, rna.var_names = list(names)[::-1], ["A", "B"]
    return mudata.MuData({"rna": rna, "atac": atac})


def naive(fragments: pd.DataFrame, upstream: int, downstream: int, decay: float | None = None) -> pd.DataFrame:
    found = pd.DataFrame(0.0, index=BARCODES, columns=["A", "B", "C", "D"])
    for _, chrom, start, end, barcode, _ in fragments.itertuples():
        best = {}
        for _, gene, place, tss, strand, *_ in TSS.itertuples():
            sign = 1 if strand == "+" else -1
            window = {tss + sign * offset for offset in range(-upstream, downstream)}
            if barcode in BARCODES and place == chrom and window & set(range(start, end)):
                distance = min(abs(base - tss) for base in range(start, end))
                best[gene] = max(best.get(gene, 0), 1 if decay is None else 2 ** (-distance / decay))
        for gene, weight in best.items():
            found.loc[barcode, gene] += weight
    return found


@pytest.mark.parametrize(("name", "chunk"), [("f.tsv.gz", 10**6), ("f.tsv", 30)])
@pytest.mark.parametrize("decay", [None, 100])
def test_sums_are_those_of_a_loop(tmp_path, monkeypatch, name, chunk, decay):
    monkeypatch.setattr("scminnet.pp.fragments._CHUNK", chunk)
    fragments = simulate()
    path = write(tmp_path / name, fragments)
    mdata = make_mdata()
    mn.pp.gene_activity(mdata, TSS, fragments=path, upstream=300, downstream=50, decay=decay)
    activity = mdata["activity"]
    expected = naive(fragments, 300, 50, decay)
    assert activity.var_names.tolist() == ["A", "B", "C"]
    np.testing.assert_allclose(activity.X.toarray(), expected[["A", "B", "C"]], rtol=1e-5)
    assert isinstance(activity.X, sparse.csr_matrix)
    assert activity.X.dtype == np.float32
    assert activity.obs_names.tolist() == BARCODES
    assert activity.var["n_fragments"].tolist() == naive(fragments, 300, 50)[["A", "B", "C"]].sum().tolist()
    assert mdata.uns["activity"]["genes_without_fragments"].tolist() == ["D"]
    assert mdata.uns["activity"]["params"]["fragments"] == [str(path)]
    mdata.write_h5mu(tmp_path / "a.h5mu")
    assert list(mudata.read_h5mu(tmp_path / "a.h5mu").uns["activity"]["params"]["fragments"]) == [str(path)]


def test_names_that_look_like_numbers_stay_names(tmp_path):
    fragments = simulate().replace({"chr1": "1", "chr2": "2", "AAAA-1": "01", "CCCC-1": "1"})
    mdata = make_mdata(("01", "1", *BARCODES[2:]))
    tss = TSS.assign(chrom=TSS["chrom"].str.removeprefix("chr"))
    mn.pp.gene_activity(mdata, tss, fragments=write(tmp_path / "f.tsv", fragments), upstream=300, downstream=50)
    expected = naive(simulate(), 300, 50)
    found = mdata["activity"].to_df()
    np.testing.assert_array_equal(found, expected[found.columns])


def test_each_batch_has_its_file(tmp_path):
    fragments = {batch: simulate(seed) for seed, batch in enumerate(["x", "y", "unused"])}
    paths = {batch: write(tmp_path / f"{batch}.tsv.gz", table) for batch, table in fragments.items()}
    mdata = make_mdata([f"{barcode}_{batch}" for barcode in BARCODES for batch in "xy"])
    mdata["atac"].obs["batch"] = mdata["atac"].obs_names.str[-1]
    mdata["atac"].obs["barcode"] = mdata["atac"].obs_names.str[:-2]
    mn.pp.gene_activity(
        mdata, TSS, fragments=paths, batch_key="batch", barcode_key="barcode", upstream=300, key_added="ga"
    )
    for batch in "xy":
        own = mdata["atac"].obs["batch"].to_numpy() == batch
        expected = naive(fragments[batch], 300, 0)[["A", "B", "C"]]
        np.testing.assert_array_equal(mdata["ga"].X[own].toarray(), expected)
    assert mdata.uns["ga"]["params"]["fragments"] == [str(paths["x"]), str(paths["y"])]


def twice(mdata):
    mdata["atac"].obs["barcode"] = ["AAAA-1", "AAAA-1", "CCCC-1", "GGGG-1"]


def other(mdata):
    mdata["atac"].obs["barcode"] = [f"{name}-s1" for name in mdata["atac"].obs_names]


def missing(mdata):
    mdata["atac"].obs["barcode"] = ["AAAA-1", None, "CCCC-1", "GGGG-1"]


FILE = simulate()


@pytest.mark.parametrize(
    ("spoil", "table", "arguments", "error", "match"),
    [
        (None, FILE, {"fragments": "none.tsv"}, FileNotFoundError, "`fragments`: there is no file 'none.tsv'"),
        (None, FILE, {"layer": "counts"}, ValueError, "`layer` is 'counts', but `fragments` are counted"),
        (None, FILE, {"barcode_key": "barcode"}, KeyError, "`barcode_key` is 'barcode', which is not a column"),
        (twice, FILE, {"barcode_key": "barcode"}, ValueError, "1 barcodes belong to several cells .* e.g. 'AAAA-1'"),
        (missing, FILE, {"barcode_key": "barcode"}, ValueError, "`barcode_key`='barcode' has missing values"),
        (other, FILE, {"barcode_key": "barcode"}, ValueError, "none of the 4 barcodes 'AAAA-1-s1'.*it has 'AAAA-1'"),
        (None, FILE, {"batch_key": "batch"}, ValueError, "`batch_key` is 'batch', but `fragments` is a single file"),
        (None, FILE.assign(chrom="1"), {}, ValueError, "no chromosome name in common. The fragments lie on '1', the"),
        (None, FILE.assign(start=10**7, end=10**7 + 9), {}, ValueError, "none of its 4 genes has one of the fragments"),
        (None, FILE[["chrom", "start", "end"]], {}, ValueError, "'f.tsv' is not a fragments file"),
        (None, FILE[["barcode", "chrom", "start", "end"]], {}, ValueError, "'f.tsv' is not a fragments file"),
        (None, FILE[:0], {}, ValueError, "'f.tsv' is not a fragments file"),
    ],
)
def test_wrong_input_leaves_the_data_as_they_were(tmp_path, spoil, table, arguments, error, match):
    mdata = make_mdata()
    if spoil is not None:
        spoil(mdata)
    path = write(tmp_path / "f.tsv", table)
    with pytest.raises(error, match=match):
        mn.pp.gene_activity(mdata, TSS, **{"fragments": path} | arguments)
    assert set(mdata.mod) == {"rna", "atac"}
    assert not mdata.uns


def test_batches_must_have_files(tmp_path):
    mdata = make_mdata()
    mdata.obs["batch"] = ["x", "x", "y", "z"]
    path = write(tmp_path / "f.tsv", FILE)
    with pytest.raises(ValueError, match="`fragments` names batches. Give the column"):
        mn.pp.gene_activity(mdata, TSS, fragments={"x": path})
    with pytest.raises(ValueError, match="`fragments` has no file for the batches 'y', 'z'|'z', 'y'"):
        mn.pp.gene_activity(mdata, TSS, fragments={"x": path}, batch_key="batch")


def test_a_broken_archive(tmp_path):
    path = write(tmp_path / "f.tsv.gz", FILE)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="'f.tsv.gz' is cut: its compressed data end after line"):
        mn.pp.gene_activity(make_mdata(), TSS, fragments=path)


HEADER = """\
# id=pbmc
# description=
#
# pipeline_name=cellranger-arc
# reference_path=/refdata/cellranger-arc-GRCh38
# primary_contig=chr1
"""
ROW = "chr1\t10\t20\tAAAA-1\t1\n"
LINES = {
    "no start": ("chr1\t\t20\tAAAA-1\t1", "line 9 has the start ''. Give a whole number"),
    "no number": ("chr1\t1.5\t20\tAAAA-1\t1", "line 9 has the start '1.5'"),
    "negative": ("chr1\t-10\t20\tAAAA-1\t1", "line 9 has the start -10, but chromosomes begin at 0"),
    "turned": ("chr1\t30\t20\tAAAA-1\t1", "line 9 has the start 30 and the end 20. Give an end after"),
    "empty": ("chr1\t30\t30\tAAAA-1\t1", "line 9 has the start 30 and the end 30"),
    "beyond int32": ("chr1\t30\t2147483648\tAAAA-1\t1", "line 9 has the end 2147483648, beyond the longest"),
    "beyond int64": ("chr1\t30\t9223372036854775808\tAAAA-1\t1", "line 9 has the end 9223372036854775808"),
    "beyond all": ("chr1\t30\t" + "9" * 400 + "\tAAAA-1\t1", "line 9 has the end '99999"),
    "no barcode": ("chr1\t10\t20\t\t1", "line 9 is 'chr1 10 20  1'"),
    "no chromosome": ("\t10\t20\tAAAA-1\t1", "line 9 is ' 10 20 AAAA-1 1'"),
    "short": ("chr1\t10\t20", "line 9 is 'chr1 10 20'"),
    "words": ("some words", "line 9 is 'some words'"),
    "comment": ("# id=other", "line 9 is '# id=other'"),
}


@pytest.mark.parametrize(("line", "match"), LINES.values(), ids=LINES)
@pytest.mark.parametrize("name", ["f.tsv", "f.tsv.bgz"])
def test_a_line_that_is_no_fragment_is_named(tmp_path, monkeypatch, line, match, name):
    monkeypatch.setattr("scminnet.pp.fragments._CHUNK", 5)
    text = HEADER + 2 * ROW + line + "\n" + 20 * ROW
    path = tmp_path / name
    path.write_bytes(text.encode() if name == "f.tsv" else gzip.compress(text.encode()))
    mdata = make_mdata()
    with pytest.raises(ValueError, match=f"`fragments`: '{name}' is not a fragments file: {match}"):
        mn.pp.gene_activity(mdata, TSS, fragments=path)
    assert list(mdata.mod) == ["rna", "atac"]


@pytest.mark.parametrize("line", ["chr1\t0\t2147483647\tAAAA-1\t1", "chr1\t5\t6\tNA\t1", "chr1\t5\t6\t#x\t1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_at_the_border_are_fragments(tmp_path, line, end):
    (tmp_path / "f").write_text((HEADER + 5 * (ROW + line + "\n")).replace("\n", end), newline="")
    mdata = make_mdata(["AAAA-1", "NA", "#x", "T"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mn.pp.gene_activity(mdata, TSS, fragments=tmp_path / "f", upstream=1000)
    counts = mdata["activity"].to_df()["A"].to_dict()
    expected = {"AAAA-1": 5, "NA": 0, "#x": 0, "T": 0}
    expected[line.split("\t")[3]] += 5
    assert counts == expected


@pytest.mark.parametrize(
    ("barcodes", "kind", "match"),
    [
        (["{}"] * 4, ValueError, "none of the 4 barcodes .* 4 names are alike apart from the number at the end"),
        (["s1_{}-1"] * 4, ValueError, "4 names are alike apart from what surrounds the barcode, e.g. 's1_"),
        (["{}-1", "x", "y", "z"], UserWarning, "only 1 of the 4 barcodes"),
        (["{}-1", "{}", "{}", "{}"], UserWarning, "only 1 of the 4 barcodes .* 3 names are alike"),
        (["{}-1", "{}-1", "x", "y"], None, ""),
    ],
)
def test_barcodes_are_counted(tmp_path, barcodes, kind, match):
    cells = [base * 16 for base in "ACGT"]
    fragments = simulate()
    fragments["barcode"] = fragments["barcode"].str[0] * 16 + "-1"
    mdata = make_mdata([text.format(cell) for text, cell in zip(barcodes, cells, strict=True)])
    path = write(tmp_path / "f.tsv", fragments)
    if kind is ValueError:
        with pytest.raises(ValueError, match=match):
            mn.pp.gene_activity(mdata, TSS, fragments=path)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mn.pp.gene_activity(mdata, TSS, fragments=path, upstream=300)
    told = [w for w in caught if "barcodes" in str(w.message)]
    assert len(told) == bool(kind)
    assert all(re.search(match, str(w.message)) and w.filename == __file__ for w in told)


def test_one_scaffold_in_common_silences_nothing(tmp_path):
    fragments = simulate(n=1000).assign(chrom="1")
    fragments.loc[0, ["chrom", "barcode"]] = "chrUn", "AAAA-1"
    tss = pd.concat([TSS, *(TSS.assign(gene=TSS["gene"] + str(i)) for i in range(9)), TSS[:1].assign(chrom="chrUn")])
    with pytest.raises(
        ValueError, match=r"only 1 of \S+ fragments and 1 of 41 genes .* '1' of the fragments .* 'chr1'"
    ):
        mn.pp.gene_activity(make_mdata(), tss, fragments=write(tmp_path / "f.tsv", fragments))
