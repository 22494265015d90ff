from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from scminnet.genomics import check_annotation, read_annotation

GTF = """\
#!genome-build GRCh38
chr1\tHAVANA\tgene\t101\t400\t.\t+\t.\tgene_id "ENSG00000000001.4"; gene_name "AAA"; note "a # in it; gene_name";
chr1\tHAVANA\ttranscript\t101\t300\t.\t+\t.\tgene_id "ENSG00000000001.4"; transcript_id "ENST1.1"; gene_name "AAA";
chr1\tHAVANA\texon\t101\t150\t.\t+\t.\tgene_id "ENSG00000000001.4"; transcript_id "ENST1.1"; gene_name "AAA";
chr1\tHAVANA\texon\t200\t300\t.\t+\t.\tgene_id "ENSG00000000001.4"; transcript_id "ENST1.1"; gene_name "AAA";
chr1\tHAVANA\ttranscript\t121\t400\t.\t+\t.\tgene_id "ENSG00000000001.4"; transcript_id "ENST2.1"; gene_name "AAA";
chr1\tHAVANA\texon\t121\t400\t.\t+\t.\tgene_id "ENSG00000000001.4"; transcript_id "ENST2.1"; gene_name "AAA";
chr1\tHAVANA\ttranscript\t101\t400\t.\t+\t.\tgene_id "ENSG00000000001.4"; transcript_id "ENST3.1"; gene_name "AAA";
chr1\tHAVANA\texon\t101\t400\t.\t+\t.\tgene_id "ENSG00000000001.4"; transcript_id "ENST3.1"; gene_name "AAA";
chr2\tHAVANA\tgene\t11\t20\t.\t-\t.\tgene_id "ENSG00000000002.1";
chr2\tHAVANA\ttranscript\t11\t20\t.\t-\t.\tgene_id "ENSG00000000002.1"; transcript_id "ENST4.1";
chr2\tHAVANA\texon\t11\t20\t.\t-\t.\tgene_id "ENSG00000000002.1"; transcript_id "ENST4.1";
chr3\tHAVANA\tgene\t1\t9\t.\t+\t.\tgene_id "ENSG00000000003.1"; gene_name "AC011043.1";
chr3\tHAVANA\ttranscript\t1\t9\t.\t+\t.\tgene_id "ENSG00000000003.1"; transcript_id "ENST5.1"; gene_name "AC011043.1";
chr3\tHAVANA\texon\t1\t9\t.\t+\t.\tgene_id "ENSG00000000003.1"; transcript_id "ENST5.1"; gene_name "AC011043.1";
"""

GFF3 = """\
##gff-version 3
chr1\tx\tgene\t101\t400\t.\t+\t.\tID=gene:ENSG00000000001;Name=AAA;gene_id=ENSG00000000001;version=4
chr1\tx\tmRNA\t101\t300\t.\t+\t.\tID=transcript:1;Parent=gene:ENSG00000000001
chr1\tx\texon\t101\t150\t.\t+\t.\tParent=transcript:1
chr1\tx\tmRNA\t121\t400\t.\t+\t.\tID=transcript:2;Parent=gene:ENSG00000000001
chr1\tx\tlnc_RNA\t101\t400\t.\t+\t.\tID=transcript:3;Parent=gene:ENSG00000000001
chr2\tx\tncRNA_gene\t11\t20\t.\t-\t.\tID=gene:ENSG00000000002
chr2\tx\tmiRNA\t11\t20\t.\t-\t.\tID=transcript:4;Parent=gene:ENSG00000000002
chr3\tx\tpseudogene\t1\t9\t.\t+\t.\tID=gene:ENSG00000000003;Name=AC011043%2E1
chr3\tx\texon\t5\t9\t.\t+\t.\tParent=gene:ENSG00000000003
chr3\tx\tbiological_region\t5\t9\t.\t+\t.\tID=region
##FASTA
>chr1
ACGT
"""

EXPECTED = pd.DataFrame(
    {
        "gene": ["AAA", "AAA", "ENSG00000000002", "AC011043.1"],
        "chrom": ["chr1", "chr1", "chr2", "chr3"],
        "tss": [100, 120, 19, 0],
        "strand": ["+", "+", "-", "+"],
        "start": [100, 100, 10, 0],
        "end": [400, 400, 20, 9],
        "gene_id": ["ENSG00000000001", "ENSG00000000001", "ENSG00000000002", "ENSG00000000003"],
    }
)


def write(folder, name: str, text: str):
    path = folder / name
    if name.endswith(".gz"):
        with gzip.open(path, "wt") as file:
            file.write(text)
    else:
        path.write_text(text)
    return path


def without(text: str, *features: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not {*line.split("\t")[2:3]} & {*features})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.gtf", GTF),
        ("a.b.gtf.gz", GTF),
        ("no_genes.gtf", without(GTF, "gene")),
        ("only_exons.gtf", without(GTF, "gene", "transcript")),
        ("A.GTF", without(GTF, "exon")),
        ("a.gff3", GFF3),
        ("a.gff.gz", GFF3),
    ],
)
def test_gtf_and_gff3_say_the_same(tmp_path, name, text):
    found = read_annotation(write(tmp_path, name, text), strip_version=True)
    pd.testing.assert_frame_equal(found.astype(EXPECTED.dtypes), EXPECTED)
    assert found["tss"].dtype == found["start"].dtype == np.int64


def test_versions_are_stripped_on_request_only(tmp_path):
    found = read_annotation(write(tmp_path, "a.gtf", GTF))
    assert found["gene_id"].tolist()[0] == "ENSG00000000001.4"
    assert found["gene"].tolist() == ["AAA", "AAA", "ENSG00000000002.1", "AC011043.1"]


def test_a_gene_on_two_chromosomes_has_two_extents(tmp_path):
    line = 'chr{}\tx\ttranscript\t{}\t{}\t.\t+\t.\tgene_id "G"; transcript_id "T"\n'
    found = read_annotation(write(tmp_path, "a.gtf", line.format("X", 11, 20) + line.format("Y", 101, 200)))
    assert found[["start", "end"]].to_numpy().tolist() == [[10, 20], [100, 200]]


def test_bed_of_starts_and_bed_of_genes(tmp_path):
    starts = "track name=x\n#c\nchr1\t5\t6\tA\t0\t+\nchr1\t9\t10\tA\t0\t-\nchr1\t5\t6\tA\t0\t+\n"
    found = read_annotation(write(tmp_path, "starts.bed.gz", starts))
    assert found.columns.tolist() == ["gene", "chrom", "tss", "strand"]
    assert found["tss"].tolist() == [5, 9]
    genes = "chr1\t5\t9\tA\t0\t+\tENSG00000000001.1\tlincRNA\nchr1\t5\t9\tB\t0\t-\tENSG00000000002.1\tx\n"
    found = read_annotation(write(tmp_path, "genes.bed", genes))
    assert found.columns.tolist() == ["gene", "chrom", "tss", "strand", "start", "end", "gene_id"]
    assert found["tss"].tolist() == [5, 8]
    assert found["gene_id"].tolist() == ["ENSG00000000001.1", "ENSG00000000002.1"]
    found = read_annotation(write(tmp_path, "other.bed", genes.replace("ENSG", "thick")))
    assert "gene_id" not in found


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.txt", GTF, "'a.txt'.*'.gtf'"),
        ("a.gtf", "#only a comment\n", "'a.gtf' holds no gene.*GTF"),
        ("a.gff3", GTF, "holds no gene"),
        ("a.bed", "", "holds no gene"),
        ("a.bed", "chr1\t1\t9\nchr1\t2\t9\n", "no row of 'a.bed' has a strand"),
        ("a.bed", "chr1\t1\t9\tA\t0\t+\nchr1\tx\t9\tB\t0\t+\n", "line 2 of 'a.bed' has the start 'x'"),
        ("a.bed", "chr1\t1\t9\t\t0\t+\nchr1\t1\t9\tB\t0\t+\n", "1 of 2 rows lack a gene"),
    ],
)
def test_wrong_files(tmp_path, name, text, match):
    with pytest.raises(ValueError, match=match) as caught:
        read_annotation(write(tmp_path, name, text))
    assert "`source`" in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="`source`: there is no file"):
        read_annotation(tmp_path / "none.gtf")


def test_check_annotation_names_what_is_missing(tmp_path):
    table = EXPECTED.drop(columns=["start"])
    assert check_annotation(table).equals(table)
    path = write(tmp_path, "a.gtf", GTF)
    assert len(check_annotation(path)) == len(check_annotation(str(path), body=True)) == 4
    for wrong, error, match in (
        (table.drop(columns="tss"), ValueError, "lacks the columns 'tss'"),
        (table[:0], ValueError, "no rows"),
        (table.assign(tss=[-1, np.nan, 1, 2]), ValueError, "2 of 4 rows lack"),
        (table.assign(strand="1"), ValueError, "4 of 4 rows lack"),
        (table.assign(gene=["a", None, "b", "c"]), ValueError, "1 of 4 rows lack"),
        (["a"], TypeError, "`tss` is a list"),
    ):
        with pytest.raises(error, match=match):
            check_annotation(wrong)
    with pytest.raises(ValueError, match="lacks the columns 'start'.*not only transcript starts"):
        check_annotation(table, body=True)


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({"tss": np.inf}, False),
        ({"tss": 1e30}, False),
        ({"tss": 5.5}, False),
        ({"gene": ""}, False),
        ({"chrom": ""}, False),
        ({"start": 9, "end": 3}, True),
    ],
)
def test_rows_that_are_no_place_of_a_gene_are_refused(change: dict, body: bool) -> None:
    row = {"gene": "A", "chrom": "chr1", "tss": 5, "strand": "+", "start": 1, "end": 9}
    assert check_annotation(pd.DataFrame([row]), body=body)["tss"].tolist() == [5]
    with pytest.raises(ValueError, match="1 of 1 rows lack a gene"):
        check_annotation(pd.DataFrame([row | change]), body=body)


def test_marks_quotes_and_empty_names_of_files_are_seen_through(tmp_path) -> None:
    path = tmp_path / "a.GTF"
    attributes = 'gene_id \'G1\'; gene_name ""; note "5\' end"'
    path.write_text(f"\ufeffchr1\tx\tgene\t11\t20\t.\t+\t.\t{attributes}\n", encoding="utf-8")
    table = read_annotation(path)
    assert table[["gene", "chrom", "tss"]].to_numpy().tolist() == [["G1", "chr1", 10]]


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.gtf.gz", b"chr1\tx\tgene\t11\t20", "'a.gtf.gz' holds no gene"),
        ("a.bed", b"chr1 5 6 A 0 +", "no row of 'a.bed' has a strand.*tab-separated"),
        ("a.bed", b"\xff\xfe\x00", "'a.bed' is text in UTF-16"),
        ("a.gtf", b"chr1\tx\tgene\t11\t20\t.\t+\t.\tID=gene:A", "no row of 'a.gtf' has a gene.*GFF3"),
    ],
)
def test_files_that_are_not_what_their_name_says(tmp_path, name: str, content: bytes, match: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=match):
        read_annotation(tmp_path / name)


def test_nothing_is_no_annotation() -> None:
    with pytest.raises(TypeError, match="`source` is a NoneType"):
        read_annotation(None)
