from __future__ import annotations

import io
import warnings

import muon as mu
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

import scminnet as mn
from scminnet.genomics import check_annotation, parse_intervals, read_annotation
from scminnet.genomics.peak_annotation import infer_tss

#: As Cell Ranger ARC 2 writes it. POMT2 starts at 77787226 on -, which three peaks tell, GSTZ1 there on +, which one
#: peak tells.
PUBLISHED = """\
chrom	start	end	gene	distance	peak_type
chr14	77769877	77770568	POMT2	16659	distal
chr14	77781976	77782953	POMT2	4274	distal
chr14	77781976	77782953	GSTZ1	-4274	distal
chr14	77786487	77786973	POMT2	254	distal
chr14	77786487	77786973	GSTZ1	-254	promoter
chr14	77787130	77787963	POMT2	0	promoter
chr14	77787130	77787963	GSTZ1	0	promoter
chr14	77843033	77843952	TMED8	0	promoter
chr14	77900000	77900100			intergenic
"""


def through_muon(path) -> pd.DataFrame:
    adata = AnnData(np.zeros((1, 1), np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mu.atac.tl.add_peak_annotation(adata, path)
    return adata.uns["atac"]["peak_annotation"]


def test_the_published_example(tmp_path):
    path = tmp_path / "atac_peak_annotation.tsv"
    path.write_text(PUBLISHED)
    expected = [["POMT2", "chr14", 77787226, "-"], ["GSTZ1", "chr14", 77787226, "+"]]
    for table in (through_muon(path), pd.read_csv(path, sep="\t")):
        found = read_annotation(table)
        assert found.columns.tolist() == ["gene", "chrom", "tss", "strand"]
        assert found.to_numpy().tolist() == expected
        assert found["tss"].dtype == np.int64
        assert check_annotation(table).equals(found)


def test_versions_are_stripped_on_request_only(tmp_path):
    table = pd.read_csv(io.StringIO(PUBLISHED), sep="\t").replace("POMT2", "ENSG00000009830.15")
    assert read_annotation(table)["gene"].tolist() == ["ENSG00000009830.15", "GSTZ1"]
    assert read_annotation(table, strip_version=True)["gene"].tolist() == ["ENSG00000009830", "GSTZ1"]


def annotate(peaks: list[tuple[int, int]], tss: int, strand: str) -> pd.DataFrame:
    """What Cell Ranger writes of one gene."""
    sign = 1 if strand == "+" else -1
    rows = []
    for start, end in peaks:
        nearest = min(range(start, end), key=lambda base: abs(base - tss))
        distance = sign * (nearest - tss)
        rows.append((f"chr1:{start}-{end}", distance, "promoter" if -1000 <= distance <= 100 else "distal"))
    table = pd.DataFrame(rows, columns=["peak", "distance", "peak_type"])
    return table.set_index(pd.Index(["A"] * len(table), name="gene"))


@settings(max_examples=200, deadline=None)
@given(
    peaks=st.lists(st.tuples(st.integers(0, 6000), st.integers(1, 50)), min_size=1, max_size=8),
    tss=st.integers(2000, 4000),
    strand=st.sampled_from("+-"),
)
def test_what_is_recovered_is_right(peaks, tss, strand):
    peaks = [(start, start + width) for start, width in peaks]
    table = annotate(peaks, tss, strand)
    pairs = parse_intervals(table["peak"]).reset_index(drop=True)
    pairs = pairs.assign(gene="A", distance=table["distance"].to_numpy(), peak_type=table["peak_type"].to_numpy())
    found = infer_tss(pairs)
    # the wrong strand may by chance agree as often as the gene's own, but never more often
    assert found.empty or found.to_numpy().tolist() == [["A", "chr1", tss, strand]]


@pytest.mark.parametrize(
    ("table", "match"),
    [
        (annotate([(10, 20)], 2000, "+"), "peaks agree on no start of the 1 genes"),
        (annotate([(1990, 2010)], 2000, "+"), "peaks agree on no start of the 1 genes"),
        (
            annotate([(10, 20), (50, 70)], 2000, "+").assign(peak=["a", "chr1:50-70"]),
            "1 of 2 names are not intervals, e.g. 'a'",
        ),
        (
            annotate([(10, 20)], 2000, "+").drop(columns="distance"),
            "`source` is a table with the columns 'peak', 'peak_type'",
        ),
    ],
)
def test_wrong_tables(table, match):
    with pytest.raises(ValueError, match=match):
        read_annotation(table)


def test_a_start_that_one_peak_speaks_for_is_left_out():
    both = pd.concat([annotate([(100, 200), (300, 400)], 1_000, "+"), annotate([(49_000, 49_100)], 50_000, "+")])
    assert read_annotation(both)["tss"].tolist() == [1_000]
    twice = pd.concat([both, both])
    assert read_annotation(twice)["tss"].tolist() == [1_000]


def test_gene_activity_takes_it():
    mdata = mn.datasets.simulate_multiome(50)
    atac = mdata["atac"]
    peaks = mn.genomics.parse_intervals(atac.var)
    tss, chrom = mdata["rna"].var["tss"].iloc[0], str(mdata["rna"].var["chrom"].iloc[0])
    own = peaks[(peaks["chrom"] == chrom).to_numpy()]
    table = annotate(
        list(zip(own["start"], own["end"], strict=True)), int(tss), str(mdata["rna"].var["strand"].iloc[0])
    )
    table["peak"] = table["peak"].str.replace("chr1:", f"{chrom}:")
    mn.pp.gene_activity(mdata, table, upstream=10**7)
    assert mdata["activity"].var_names.tolist() == ["A"]
    assert mdata["activity"].var["tss"].tolist() == [tss]
