"""Annotation files as Ensembl, GENCODE, RefSeq, Cell Ranger and people write them, and as they should not be."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scminnet.genomics import read_annotation
from scminnet.genomics.annotation_formats import _gtf_names

GENCODE = (
    "##description: evidence-based annotation of the human genome (GRCh38), version 44 (Ensembl 110)\n"
    "##provider: GENCODE\n"
    "chr1\tHAVANA\tgene\t11869\t14409\t.\t+\t.\t"
    'gene_id "ENSG00000290825.1"; gene_type "lncRNA"; gene_name "DDX11L2"; level 2; tag "overlaps_pseudogene";\n'
    "chr1\tHAVANA\ttranscript\t11869\t14409\t.\t+\t.\t"
    'gene_id "ENSG00000290825.1"; transcript_id "ENST00000456328.2"; gene_type "lncRNA"; gene_name "DDX11L2"; '
    'transcript_type "lncRNA"; level 2; tag "basic"; tag "Ensembl_canonical";\n'
    "chr1\tHAVANA\texon\t11869\t12227\t.\t+\t.\t"
    'gene_id "ENSG00000290825.1"; transcript_id "ENST00000456328.2"; gene_type "lncRNA"; gene_name "DDX11L2"; '
    'exon_number 1; exon_id "ENSE00002234944.1"; level 2;\n'
)

ENSEMBL = (
    "#!genome-build GRCh38.p14\n"
    "#!genebuild-last-updated 2023-03\n"
    "1\tensembl_havana\tgene\t1471765\t1497848\t.\t+\t.\t"
    'gene_id "ENSG00000160072"; gene_version "20"; gene_name "ATAD3B"; gene_source "ensembl_havana"; '
    'gene_biotype "protein_coding";\n'
    "1\thavana\ttranscript\t1471765\t1497848\t.\t+\t.\t"
    'gene_id "ENSG00000160072"; gene_version "20"; transcript_id "ENST00000673477"; transcript_version "1"; '
    'gene_name "ATAD3B"; gene_source "ensembl_havana"; gene_biotype "protein_coding"; tag "CCDS";\n'
    "1\thavana\tfive_prime_utr\t1471765\t1471784\t.\t+\t.\t"
    'gene_id "ENSG00000160072"; transcript_id "ENST00000673477";\n'
    "1\tensembl\tgene\t2581560\t2584533\t.\t+\t.\t"
    'gene_id "ENSG00000228037"; gene_version "1"; gene_source "havana"; gene_biotype "lncRNA";\n'
)

REFSEQ_GTF = (
    "#gtf-version 2.2\n"
    "#!genome-build GRCh38.p14\n"
    "NC_000001.11\tBestRefSeq\tgene\t11874\t14409\t.\t+\t.\t"
    'gene_id "DDX11L1"; transcript_id ""; db_xref "GeneID:100287102"; db_xref "HGNC:HGNC:37102"; '
    'description "DEAD/H-box helicase 11 like 1 (pseudogene)"; gbkey "Gene"; gene "DDX11L1"; '
    'gene_biotype "transcribed_pseudogene"; pseudo "true";\n'
    "NC_000001.11\tBestRefSeq\ttranscript\t11874\t14409\t.\t+\t.\t"
    'gene_id "DDX11L1"; transcript_id "NR_046018.2"; db_xref "GeneID:100287102"; gbkey "misc_RNA"; gene "DDX11L1"; '
    'product "DEAD/H-box helicase 11 like 1 (pseudogene)"; pseudo "true"; transcript_biotype "transcript";\n'
    "NC_000001.11\tBestRefSeq\tgene\t100\t900\t.\t-\t.\t"
    'gene_id "RABGGTB"; transcript_id ""; description "Rab geranylgeranyl transferase; gene fragment"; gbkey "Gene"; '
    'gene "RABGGTB";\n'
    "NC_012920.1\tRefSeq\tgene\t577\t647\t.\t+\t.\t"
    'gene_id "TRNF"; transcript_id ""; db_xref "GeneID:4558"; gbkey "Gene"; gene "TRNF"; gene_biotype "tRNA"; '
    'nomenclature_status "official";\n'
)

REFSEQ_GFF3 = (
    "##gff-version 3\n"
    "#!processor NCBI annotwriter\n"
    "##sequence-region NC_000001.11 1 248956422\n"
    "NC_000001.11\tRefSeq\tregion\t1\t248956422\t.\t+\t.\t"
    "ID=NC_000001.11:1..248956422;Dbxref=taxon:9606;Name=1;chromosome=1;gbkey=Src\n"
    "NC_000001.11\tBestRefSeq\tpseudogene\t11874\t14409\t.\t+\t.\t"
    "ID=gene-DDX11L1;Dbxref=GeneID:100287102,HGNC:HGNC:37102;Name=DDX11L1;"
    "description=DEAD/H-box helicase 11 like 1 %28pseudogene%29;gbkey=Gene;gene=DDX11L1;pseudo=true\n"
    "NC_000001.11\tBestRefSeq\ttranscript\t11874\t14409\t.\t+\t.\t"
    "ID=rna-NR_046018.2;Parent=gene-DDX11L1;Name=NR_046018.2;gbkey=misc_RNA;gene=DDX11L1\n"
    "NC_000001.11\tBestRefSeq\texon\t11874\t12227\t.\t+\t.\tID=exon-NR_046018.2-1;Parent=rna-NR_046018.2;gene=DDX11L1\n"
    "NC_000932.1\tRefSeq\tgene\t69611\t140650\t.\t?\t.\t"
    "ID=gene-ArthCp047;Dbxref=GeneID:844801;Name=rps12;exception=trans-splicing;gbkey=Gene;gene=rps12;part=1/2\n"
    "###\n"
)

# Cell Ranger's way to add a transgene: exons only, in a file that has transcripts elsewhere
TRANSGENE = GENCODE + (
    "GFP\tunknown\texon\t1\t922\t.\t+\t.\t"
    'gene_id "GFP"; transcript_id "GFP"; gene_name "GFP"; gene_biotype "protein_coding";\n'
    'Cre\tunknown\texon\t1\t50\t.\t-\t.\tgene_id "Cre"; transcript_id "Cre.1"\n'
    'Cre\tunknown\texon\t80\t100\t.\t-\t.\tgene_id "Cre"; transcript_id "Cre.1"\n'
    'Cre\tunknown\texon\t1\t90\t.\t-\t.\tgene_id "Cre"; transcript_id "Cre.2"\n'
)

CASES = {
    "GENCODE": ("a.gtf", GENCODE, [("DDX11L2", "chr1", 11868, "+")]),
    "Ensembl": ("a.gtf", ENSEMBL, [("ATAD3B", "1", 1471764, "+"), ("ENSG00000228037", "1", 2581559, "+")]),
    "RefSeq GTF": (
        "a.gtf",
        REFSEQ_GTF,
        [
            ("DDX11L1", "NC_000001.11", 11873, "+"),
            ("RABGGTB", "NC_000001.11", 899, "-"),
            ("TRNF", "NC_012920.1", 576, "+"),
        ],
    ),
    "RefSeq GFF3": ("a.gff", REFSEQ_GFF3, [("DDX11L1", "NC_000001.11", 11873, "+")]),
    "transgene": (
        "a.gtf",
        TRANSGENE,
        [("DDX11L2", "chr1", 11868, "+"), ("GFP", "GFP", 0, "+"), ("Cre", "Cre", 99, "-"), ("Cre", "Cre", 89, "-")],
    ),
    "exons first": (
        "a.gtf",
        "".join(reversed(TRANSGENE.splitlines(keepends=True))),
        [("DDX11L2", "chr1", 11868, "+"), ("Cre", "Cre", 89, "-"), ("Cre", "Cre", 99, "-"), ("GFP", "GFP", 0, "+")],
    ),
}


def starts(table: pd.DataFrame) -> list[tuple]:
    return list(table[["gene", "chrom", "tss", "strand"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(("name", "text", "expected"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_public_conventions(tmp_path: Path, name: str, text: str, expected: list, end: str, packed: bool) -> None:
    data = text.replace("\n", end).encode()
    # the name says the opposite of what the file is
    path = tmp_path / (name if packed else f"{name}.bgz")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert starts(read_annotation(path)) == expected


def test_extents_of_a_transgene(tmp_path: Path) -> None:
    (tmp_path / "a.gtf").write_text(TRANSGENE)
    table = read_annotation(tmp_path / "a.gtf")
    assert table[["start", "end"]].to_numpy().tolist() == [[11868, 14409], [0, 922], [0, 100], [0, 100]]
    assert table["gene_id"].tolist() == ["ENSG00000290825.1", "GFP", "Cre", "Cre"]


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ('gene_id "G1"; description "factor 1; gene fragment"; gene_name "A"', ("G1", None, "A", None)),
        ('gene_id "G1"; description "factor 1; gene fragment";', ("G1", None, None, None)),
        ('description "x; gene_id "; gene_id "G1"', ("G1", None, None, None)),
        ('gene_id "G1"; note "a "quoted; gene" word; gene x"; gene "B";', ("G1", None, None, "B")),
        ('gene_id "G1" ; transcript_id "T1" ; gene_name "A" ;', ("G1", "T1", "A", None)),
        ('gene_id "G1" transcript_id "T1" gene_name "A"', ("G1", "T1", "A", None)),
        ("gene_id G1; transcript_id T1; gene_name A b;", ("G1", "T1", "A b", None)),
        ("gene_id 'G1'; note '5; gene x'; gene_name 'A'", ("G1", None, "A", None)),
        ('gene_id "G1"; note "5\' end; gene x"; gene_name ""', ("G1", None, None, None)),
        ('  gene_id   "G1";gene_name "A";', ("G1", None, "A", None)),
        ('gene_id "G1"; gene_id "G2"', ("G1", None, None, None)),
        ('gene_id "G1"; old_gene_name "B"; gene_name_alias "C"', ("G1", None, None, None)),
        ("", (None, None, None, None)),
        ('gene_id "G1', ('"G1', None, None, None)),
    ],
)
def test_attributes_of_gtf(attributes: str, names: tuple) -> None:
    assert _gtf_names(attributes) == names


#: Texts that a quoted value may hold.
value = st.text(st.sampled_from("ab ;'=.-"), min_size=1, max_size=12).filter(lambda text: text.strip())


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["gene_id", "gene", "note", "description"]), value), max_size=6))
def test_quoted_values_are_read_as_written(pairs: list[tuple[str, str]]) -> None:
    text = " ".join(f'{key} "{value}";' for key, value in pairs)
    first: dict[str, str] = {}
    for key, value in pairs:
        first.setdefault(key, value.strip())
    assert _gtf_names(text) == (first.get("gene_id"), None, None, first.get("gene"))


def test_a_gene_without_a_strand_is_left_out_and_said(tmp_path: Path, caplog, monkeypatch) -> None:
    monkeypatch.setattr(logging.getLogger("scminnet"), "propagate", True)
    lines = GENCODE + GENCODE.replace("DDX11L2", "B").replace("ENSG00000290825", "ENSG00000000002").replace("+", "?")
    (tmp_path / "a.gtf").write_text(lines)
    assert starts(read_annotation(tmp_path / "a.gtf")) == [("DDX11L2", "chr1", 11868, "+")]
    assert "a.gtf: 1 genes have no strand ('+' or '-'), so no start, and are left out, e.g. 'B'" in caplog.text
    (tmp_path / "a.bed").write_text("chr1\t5\t9\tA\t0\t.\nchr1\t5\t9\tB\t0\t+\n")
    assert starts(read_annotation(tmp_path / "a.bed")) == [("B", "chr1", 5, "+")]
    caplog.clear()
    # of a gene with a strand elsewhere nothing is lost
    (tmp_path / "b.gff3").write_text(REFSEQ_GFF3.replace("?", "."))
    read_annotation(tmp_path / "b.gff3")
    assert "e.g. 'rps12'" in caplog.text
    (tmp_path / "c.gtf").write_text(GENCODE.replace("\t+\t", "\t?\t"))
    with pytest.raises(ValueError, match="no row of 'c.gtf' has a strand"):
        read_annotation(tmp_path / "c.gtf")


WRONG = {
    "negative": ("-5", "100", "has the start -5, but chromosomes begin at {first}"),
    "before the first": ("-1", "100", "has the start -1"),
    "turned": ("100", "50", "has the start 100 and the end 50. Give an end after the start"),
    "no number": ("1e3", "5000", "has the start '1e3'. Give a whole number"),
    "fraction": ("10", "50.5", "has the end '50.5'"),
    "blank": ("", "50", "has the start ''"),
    "beyond int32": ("10", "4294967295", "has the end 4294967295, beyond the longest chromosome of SAM files"),
    "beyond int64": ("10", "9223372036854775808", "has the end 9223372036854775808, beyond"),
    "beyond all": ("10", "9" * 5000, "has the end '999999999999999999999999999999'"),
    "other digits": ("1٢", "50", "has the start '1٢'"),
}


@pytest.mark.parametrize(("start", "end", "match"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("a.gtf", 'chr1\tx\tgene\t{}\t{}\t.\t+\t.\tgene_id "G"'),
        ("a.gtf", 'chr1\tx\texon\t{}\t{}\t.\t+\t.\tgene_id "G"; transcript_id "T"'),
        ("a.gff3", "chr1\tx\tgene\t{}\t{}\t.\t+\t.\tID=gene:G"),
        ("a.bed", "chr1\t{}\t{}\tG\t0\t+"),
    ],
)
def test_a_position_that_is_none_is_named_by_its_line(
    tmp_path: Path, start: str, end: str, match: str, name: str, row: str
) -> None:
    good = row.format(10, 50)
    (tmp_path / name).write_text("\n".join(["# comment", "", good, row.format(start, end), good, ""]))
    with pytest.raises(ValueError, match=f"^`source`: line 4 of '{name}' {match.format(first=int(name != 'a.bed'))}"):
        read_annotation(tmp_path / name)
    (tmp_path / name).write_text("\n".join([good, row.format(1, 2**31 - 1)]))
    assert read_annotation(tmp_path / name)["end"].max() == 2**31 - 1


@pytest.mark.parametrize("unit", ["a", "a ", 'a "', "'", '"', 'a "b" ', "a 'b; ", ";", " ", "=", "a=b;", 'a "b "'])
def test_long_attributes_take_no_longer_than_their_length(tmp_path: Path, unit: str) -> None:
    attributes = unit * (500_000 // len(unit))
    for name in ("a.gtf", "a.gff3"):
        (tmp_path / name).write_text(f"chr1\tx\tgene\t1\t9\t.\t+\t.\t{attributes}\n")
        with pytest.raises(ValueError, match="`source`"):
            read_annotation(tmp_path / name)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.text(st.sampled_from('chr1\tgenexo+-?."; =_0129\n'), max_size=60), max_size=8))
@pytest.mark.parametrize("name", ["a.gtf", "a.gff3", "a.bed"])
def test_any_text_is_an_annotation_or_a_value_error(tmp_path_factory, name: str, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("any") / name
    path.write_text("\n".join(lines))
    try:
        table = read_annotation(path)
    except ValueError as error:
        assert "`source`" in str(error)  # noqa: PT017
    else:
        assert len(table)
