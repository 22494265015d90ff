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
from scminnet.coupling.feature_links import FEATURE_LINKS_KEY, LINK_COLUMNS, has_feature_links, read_feature_links

GENES = ["CD3D", "CD3E", "CD4", "CD8A", "CD19", "MS4A1", "PTPRC", "GAPDH", "NCAM1", "FOXO9"]
PROTEINS = [
    *(f"{name}_TotalSeqB" for name in ("CD3", "CD4", "CD8a", "CD20", "CD45RA", "IgG1_control")),
    "XYZ",
    "CD14",
]
#: CD3D on +, CD4 on - with bodies of 50,000 bases, CD8A on another chromosome, CD19 without a peak near.
ANNOTATION = pd.DataFrame(
    [
        ("CD3D", "chr1", 100_000, "+", 100_000, 150_000, "ENSG00000167286"),
        ("CD4", "chr1", 400_000, "-", 350_001, 400_001, "ENSG00000010610"),
        ("CD8A", "chr2", 50_000, "+", 50_000, 51_000, "ENSG00000153563"),
        ("CD19", "chr2", 900_000, "+", 900_000, 901_000, "ENSG00000177455"),
        ("NOTHERE", "chr1", 100_000, "+", 100_000, 150_000, "ENSG00000000001"),
    ],
    columns=["gene", "chrom", "tss", "strand", "start", "end", "gene_id"],
)
PEAKS = {
    "chr1:99900-100100": {"CD3D": 1},  # holds the start
    "chr1:120000-120500": {"CD3D": 1},  # in the body
    "chr1:94501-95001": {"CD3D": 0.5},  # 5,000 bases upstream
    "chr1:405000-405500": {"CD4": 0.5},  # upstream on -
    "chr1:360000-360500": {"CD4": 1},
    "chr2:50200-50300": {"CD8A": 1},
    "chr1:200000-200500": {},
    "chr3:100-200": {},
}


def adata(names: list[str], n_cells: int = 5, **columns) -> AnnData:
    var = pd.DataFrame(columns, index=pd.Index(names))
    X = sparse.csr_matrix(np.random.default_rng(0).poisson(1, (n_cells, len(names))).astype(np.float32))
    return AnnData(X, obs=pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]), var=var)


def make(**modalities) -> mudata.MuData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mudata.MuData({m: a if isinstance(a, AnnData) else adata(a) for m, a in modalities.items()})


@pytest.fixture
def cite() -> mudata.MuData:
    return make(rna=GENES, adt=PROTEINS)


@pytest.fixture
def multiome() -> mudata.MuData:
    return make(rna=GENES, atac=list(PEAKS))


def links_of(mdata: mudata.MuData, key: str = FEATURE_LINKS_KEY) -> dict[tuple[str, str], float]:
    table = mdata.uns[key]
    return {(a, b): w for a, b, w in zip(table["first_feature"], table["second_feature"], table["weight"], strict=True)}


def test_proteins_are_linked_to_the_genes_of_their_antigens(cite) -> None:
    assert mn.pp.feature_links(cite, "rna", "adt") is None
    expected = {
        ("CD3D", "CD3_TotalSeqB"): 1,
        ("CD3E", "CD3_TotalSeqB"): 1,
        ("CD4", "CD4_TotalSeqB"): 1,
        ("CD8A", "CD8a_TotalSeqB"): 1,
        ("MS4A1", "CD20_TotalSeqB"): 1,
        ("PTPRC", "CD45RA_TotalSeqB"): pytest.approx(0.1),
    }
    assert links_of(cite) == expected
    table = cite.uns["feature_links"]
    assert tuple(table.columns) == LINK_COLUMNS
    assert set(table["source"]) == {"antibody"}
    assert set(table["first"]) == {"rna"}
    assert set(table["second"]) == {"adt"}
    matrix = read_feature_links(cite, "rna", "adt")
    assert matrix.shape == (len(GENES), len(PROTEINS))
    assert matrix.dtype == np.float32
    assert matrix[GENES.index("CD3E"), 0] == 1


def test_what_was_left_out_is_reported_with_its_reason(cite) -> None:
    mn.pp.feature_links(cite, "rna", "adt")
    report = cite.uns["feature_links_report"]
    left = report["left_out"].astype(str).set_index(["modality", "feature"])
    assert left.loc["adt", "reason"].to_dict() == {
        "IgG1_control_TotalSeqB": "isotype control",
        "XYZ": "unknown antibody",
        "CD14": "without a measured gene",
    }
    assert left.loc[("adt", "CD14"), "detail"] == "CD14"
    assert set(left.loc["rna"].index) == {"CD19", "GAPDH", "NCAM1", "FOXO9"}
    pair = report["pairs"].iloc[0]
    assert (pair["n_first_linked"], pair["n_second_linked"], pair["n_links"], pair["methods"]) == (
        6,
        5,
        6,
        "antibodies",
    )


def test_one_line_says_what_was_linked(cite, caplog) -> None:
    logger = logging.getLogger("scminnet")
    logger.addHandler(caplog.handler)
    try:
        mn.pp.feature_links(cite, "rna", "adt")
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.messages == [
        "adt to rna: 5 of 8 proteins linked to 6 genes; left out: 1 isotype control ('IgG1_control_TotalSeqB'), "
        "1 unknown antibody ('XYZ'), "
        "1 without a measured gene ('CD14')"
    ]
    assert cite.uns["feature_links_report"]["pairs"]["line"][0] == caplog.messages[0]


def test_a_protein_named_as_its_gene_needs_no_antibody_table(cite) -> None:
    mdata = make(rna=GENES, adt=["FOXO9", "prot_GAPDH", "CD4"])
    mn.pp.feature_links(mdata, "adt", "rna")
    assert links_of(mdata) == {("FOXO9", "FOXO9"): 1, ("prot_GAPDH", "GAPDH"): 1, ("CD4", "CD4"): 1}
    assert mdata.uns["feature_links"]["source"].tolist() == ["name", "name", "antibody"]


def test_mouse_is_told_from_the_genes() -> None:
    genes = ["Cd3e", "Ptprc", "Klrb1c", "Ly6g", "Gapdh", "H2-Ab1"]
    mdata = make(rna=genes, adt=["CD3", "CD45.2", "NK-1.1", "Ly-6G", "I-A/I-E", "anti-human CD4"])
    mn.pp.feature_links(mdata, "rna", "adt")
    assert {a: b for b, a in links_of(mdata)} == {
        "CD3": "Cd3e",
        "CD45.2": "Ptprc",
        "NK-1.1": "Klrb1c",
        "Ly-6G": "Ly6g",
        "I-A/I-E": "H2-Ab1",
    }
    left = mdata.uns["feature_links_report"]["left_out"].astype(str)
    assert left.loc[left["feature"] == "anti-human CD4", "reason"].tolist() == ["antibody against human"]


def test_names_of_genes_are_found_in_common_columns() -> None:
    ids = [f"ENSG{i:011d}" for i in range(len(GENES))]
    mdata = make(rna=adata([f"{i}.3" for i in ids], gene_name=GENES), adt=PROTEINS, activity=adata(GENES, gene_ids=ids))
    mn.pp.feature_links(mdata, "rna", "adt")
    assert read_feature_links(mdata, "rna", "adt")[GENES.index("MS4A1"), 3] == 1
    mn.pp.feature_links(mdata, "rna", "activity")
    np.testing.assert_array_equal(read_feature_links(mdata, "rna", "activity").toarray(), np.eye(len(GENES)))


def test_a_column_of_names_can_be_chosen() -> None:
    mdata = make(rna=adata([f"g{i}" for i in range(10)], mine=GENES), activity=GENES[::-1])
    with pytest.raises(ValueError, match="0 of 10 genes of 'rna'"):
        mn.pp.feature_links(mdata, "rna", "activity")
    mn.pp.feature_links(mdata, "rna", "activity", name_keys={"rna": "mine"})
    np.testing.assert_array_equal(read_feature_links(mdata, "rna", "activity").toarray(), np.eye(10)[::-1])


def test_names_differ_in_case_only_where_no_other_is_the_same() -> None:
    mdata = make(rna=["dl", "Dl", "Abc", "x"], activity=["Dl", "dl", "ABC", "X"])
    mn.pp.feature_links(mdata, "rna", "activity")
    assert set(links_of(mdata)) == {("dl", "dl"), ("Dl", "Dl"), ("Abc", "ABC"), ("x", "X")}


def test_genes_of_two_organisms_are_warned_of() -> None:
    mdata = make(rna=["Cd4", "Cd8a", "Gapdh", "Actb"], activity=["CD4", "CD8A", "GAPDH", "ACTB"])
    with pytest.warns(UserWarning, match="look like mouse genes, those of 'activity' like human genes"):
        mn.pp.feature_links(mdata, "rna", "activity")


def test_peaks_are_linked_to_near_genes_with_decay(multiome) -> None:
    mn.pp.feature_links(multiome, "atac", "rna", annotation=ANNOTATION)
    expected = {(peak, gene): weight for peak, genes in PEAKS.items() for gene, weight in genes.items()}
    assert links_of(multiome) == pytest.approx(expected)
    assert set(multiome.uns["feature_links"]["source"]) == {"peak"}
    left = multiome.uns["feature_links_report"]["left_out"].astype(str).set_index("feature")["reason"]
    assert left["chr3:100-200"] == "without a gene near"
    assert left["CD19"] == "without a peak near"
    assert left["GAPDH"] == "not in the annotation"


def test_an_annotation_of_starts_has_no_bodies(multiome) -> None:
    starts = ANNOTATION[["gene", "chrom", "tss", "strand"]]
    mn.pp.feature_links(multiome, "atac", "rna", annotation=starts, decay=None)
    found = set(links_of(multiome))
    assert ("chr1:120000-120500", "CD3D") not in found
    assert set(links_of(multiome).values()) == {1}


def test_peaks_are_linked_to_genes_named_by_ids() -> None:
    ids = [f"{i}.7" for i in ANNOTATION["gene_id"]]
    mdata = make(rna=ids, atac=list(PEAKS))
    mn.pp.feature_links(mdata, "atac", "rna", annotation=ANNOTATION)
    # the second gene of the same place is measured here
    assert links_of(mdata)["chr1:99900-100100", ids[0]] == links_of(mdata)["chr1:99900-100100", ids[4]] == 1


def test_peaks_are_linked_to_proteins_through_genes() -> None:
    mdata = make(atac=list(PEAKS), adt=PROTEINS)
    mn.pp.feature_links(mdata, "adt", "atac", annotation=ANNOTATION)
    assert links_of(mdata)["CD3_TotalSeqB", "chr1:94501-95001"] == 0.5
    assert links_of(mdata)["CD8a_TotalSeqB", "chr2:50200-50300"] == 1
    left = mdata.uns["feature_links_report"]["left_out"].astype(str).set_index("feature")["reason"]
    assert left["IgG1_control_TotalSeqB"] == "isotype control"


def test_gene_activity_is_what_the_links_sum(multiome) -> None:
    mn.pp.gene_activity(multiome, ANNOTATION, upstream=10_000, downstream=10_000, gene_body=True, decay=5000)
    mn.pp.feature_links(multiome, "atac", "rna", annotation=ANNOTATION)
    summed = multiome["atac"].X @ read_feature_links(multiome, "atac", "rna")
    for gene in ("CD3D", "CD4", "CD8A"):
        expected = multiome["activity"][:, gene].X.toarray().ravel()
        np.testing.assert_allclose(summed[:, GENES.index(gene)].toarray().ravel(), expected, rtol=1e-6)


def test_two_panels_are_linked_by_antigen() -> None:
    mdata = make(adt=PROTEINS, prot=["anti-human CD3", "CD20-2H7", "CD8a", "XYZ", "IgG1"])
    mn.pp.feature_links(mdata, "adt", "prot")
    assert set(links_of(mdata)) == {
        ("CD3_TotalSeqB", "anti-human CD3"),
        ("CD20_TotalSeqB", "CD20-2H7"),
        ("CD8a_TotalSeqB", "CD8a"),
        ("XYZ", "XYZ"),
    }


TABLE = pd.DataFrame({"adt": ["XYZ", "CD14", "CD4_TotalSeqB", "none"], "rna": ["GAPDH", "CD19", "CD4", "CD4"]})


@pytest.mark.parametrize(
    ("table", "weight"),
    [
        (TABLE, 1),
        (TABLE[["rna", "adt"]], 1),
        (TABLE.set_axis(["a", "b"], axis=1), 1),
        (TABLE.set_axis(["a", "b"], axis=1)[["b", "a"]], 1),
        (TABLE.assign(weight=0.25), 0.25),
        (TABLE.assign(w=2).set_axis(["a", "b", "c"], axis=1), 2),
        (TABLE.assign(remark="text"), 1),
    ],
)
def test_a_table_of_ones_own_replaces_the_automatic_choice(cite, table, weight) -> None:
    mn.pp.feature_links(cite, "rna", "adt", table=table)
    assert links_of(cite) == dict.fromkeys([("GAPDH", "XYZ"), ("CD19", "CD14"), ("CD4", "CD4_TotalSeqB")], weight)
    assert set(cite.uns["feature_links"]["source"]) == {"table"}


@pytest.mark.parametrize("name", ["links.tsv", "links.csv", "links.csv.gz"])
def test_a_table_is_read_from_a_file(cite, tmp_path, name) -> None:
    TABLE.assign(weight=0.5).to_csv(tmp_path / name, index=False, sep="\t" if "tsv" in name else ",")
    mn.pp.feature_links(cite, "rna", "adt", table=tmp_path / name)
    assert links_of(cite)["GAPDH", "XYZ"] == 0.5


def test_a_table_can_add_to_antibodies(cite) -> None:
    table = pd.DataFrame({"rna": ["GAPDH", "CD4"], "adt": ["XYZ", "CD4_TotalSeqB"], "weight": [0.7, 0.2]})
    mn.pp.feature_links(cite, "rna", "adt", table=table, method=["antibodies", "table"])
    found = links_of(cite)
    assert found["GAPDH", "XYZ"] == pytest.approx(0.7)
    assert found["CD4", "CD4_TotalSeqB"] == 1  # the larger one
    assert len(found) == 7


def test_features_that_nobody_knows_are_linked_by_a_table() -> None:
    mdata = make(ephys=["a", "b", "c"], morph=["x", "y", "z"])
    mn.pp.feature_links(mdata, "ephys", "morph", table=pd.DataFrame({"e": list("abc"), "m": list("xyz")}))
    np.testing.assert_array_equal(read_feature_links(mdata, "ephys", "morph").toarray(), np.eye(3))


def test_pairs_of_modalities_are_added_and_replaced() -> None:
    mdata = make(rna=GENES, adt=PROTEINS, atac=list(PEAKS))
    mn.pp.feature_links(mdata, "rna", "adt")
    mn.pp.feature_links(mdata, "rna", "atac", annotation=ANNOTATION)
    before = read_feature_links(mdata, "rna", "atac")
    assert has_feature_links(mdata, "adt", "rna")
    assert not has_feature_links(mdata, "adt", "atac")
    # in the other order it is the same pair
    mn.pp.feature_links(mdata, "adt", "rna", table=TABLE)
    assert read_feature_links(mdata, "rna", "adt").nnz == 3
    assert (read_feature_links(mdata, "rna", "atac") != before).nnz == 0
    report = mdata.uns["feature_links_report"]
    assert report["pairs"][["first", "second"]].to_numpy().tolist() == [["rna", "atac"], ["adt", "rna"]]
    assert set(map(frozenset, report["left_out"][["modality", "other"]].to_numpy())) == {
        frozenset({"rna", "atac"}),
        frozenset({"rna", "adt"}),
    }


def test_the_reader_turns_links_made_in_the_other_order(cite) -> None:
    mn.pp.feature_links(cite, "adt", "rna")
    matrix = read_feature_links(cite, "rna", "adt")
    assert (matrix.T != read_feature_links(cite, "adt", "rna")).nnz == 0
    assert matrix[GENES.index("CD4"), 1] == 1


def test_copy_leaves_the_data_as_they_were(cite) -> None:
    copy = mn.pp.feature_links(cite, "rna", "adt", key_added="l", copy=True)
    assert not cite.uns
    assert set(copy.uns) == {"l", "l_report"}


@pytest.mark.parametrize("kind", ["h5mu", "zarr"])
@pytest.mark.parametrize("everything", [False, True])
def test_links_survive_a_file(tmp_path, kind, everything) -> None:
    genes = GENES[:6] if everything else GENES
    proteins = ["CD3", "CD4", "CD8a", "CD20", "CD19"] if everything else PROTEINS
    mdata = make(rna=genes, adt=proteins)
    mn.pp.feature_links(mdata, "rna", "adt")
    path = tmp_path / f"x.{kind}"
    if kind == "zarr":
        pytest.importorskip("zarr")
        mdata.write_zarr(path)
        back = mudata.read_zarr(path)
    else:
        mdata.write_h5mu(path)
        back = mudata.read_h5mu(path)
    assert (read_feature_links(back, "rna", "adt") != read_feature_links(mdata, "rna", "adt")).nnz == 0
    for name in ("pairs", "left_out"):
        old, new = (m.uns["feature_links_report"][name].astype(str) for m in (mdata, back))
        assert new.to_numpy().tolist() == old.to_numpy().tolist()
    mn.pp.feature_links(back, "adt", "rna")
    assert len(back.uns["feature_links"]) == len(mdata.uns["feature_links"])


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"first": "none"}, ValueError, "`first` names 'none'"),
        ({"second": "none"}, ValueError, "`second` names 'none'"),
        ({"second": "rna"}, ValueError, "`second` is 'rna', the same modality"),
        ({"second": "atac"}, ValueError, "`annotation` is missing"),
        (
            {"annotation": ANNOTATION},
            ValueError,
            "`annotation` is given, but 'rna' .genes. and 'adt' .proteins. are linked by",
        ),
        ({"method": "table"}, ValueError, "`table` is missing"),
        ({"method": "peaks"}, ValueError, "`method` is 'peaks', which links peaks"),
        ({"method": "other"}, ValueError, "`method` is 'other'"),
        ({"method": []}, ValueError, "`method` is empty"),
        ({"kinds": {"adt": "cells"}}, ValueError, "`kinds` is"),
        ({"second": "other"}, ValueError, "`kinds`: the kind of modality 'other' is not known"),
        ({"organism": "rat"}, ValueError, "`organism` is 'rat'"),
        ({"name_keys": {"rna": "none"}}, KeyError, "`name_keys` is 'none' for 'rna'"),
        ({"name_keys": {"x": "none"}}, ValueError, "`name_keys` names the modalities 'x'"),
        ({"upstream": -1}, ValueError, "`upstream` is -1"),
        ({"decay": 0}, ValueError, "`decay` is 0"),
        ({"second": "atac", "annotation": ANNOTATION[["gene"]]}, ValueError, "`annotation` lacks the columns"),
        ({"second": "atac", "annotation": "none.gtf"}, FileNotFoundError, "none.gtf"),
        ({"second": "atac", "annotation": 3}, TypeError, "`annotation` is a int"),
        (
            {"second": "atac", "annotation": ANNOTATION.assign(chrom="1")},
            ValueError,
            "`annotation`: peaks and annotation have no chromosome name in common",
        ),
        (
            {"second": "atac", "annotation": ANNOTATION.assign(gene="x", gene_id="y")},
            ValueError,
            "names genes as the data do",
        ),
        (
            {"second": "atac", "annotation": ANNOTATION, "upstream": 0, "downstream": 0, "gene_body": False},
            ValueError,
            "windows are empty",
        ),
        ({"table": 3}, TypeError, "`table` is a int"),
        ({"table": "none.tsv"}, FileNotFoundError, "none.tsv"),
        ({"table": "none.xlsx"}, ValueError, "Give a file whose name ends in"),
        ({"table": TABLE[["rna"]]}, ValueError, "Give two columns"),
        ({"table": TABLE.iloc[:0]}, ValueError, "`table` has 0 rows"),
        ({"table": TABLE.assign(weight=[1, -1, 1, 1])}, ValueError, "1 of 4 weights are negative"),
        (
            {"table": TABLE.assign(weight=[1, np.nan, 1, np.inf])},
            ValueError,
            "2 of 4 weights are negative, infinite or no numbers",
        ),
        ({"table": TABLE.assign(weight=["1", "a", "1", "1"])}, ValueError, "1 of 4 weights"),
        ({"table": TABLE.assign(weight=0)}, ValueError, "only 0 of 10 genes of 'rna' and 0 of 8"),
        ({"table": TABLE.head(2)}, ValueError, "At least 3 of each"),
        ({"table": TABLE.assign(rna=None)}, ValueError, "4 of 4 rows lack a feature"),
        ({"table": TABLE.assign(rna="q")}, ValueError, "'rna' has 'CD3D', 'CD3E', 'CD4'.*'adt' has 'CD3_TotalSeqB'"),
        ({"key_added": "taken"}, TypeError, r"mdata.uns\['taken'\] is a int"),
    ],
)
def test_wrong_input_leaves_the_data_as_they_were(arguments, error, match) -> None:
    mdata = make(rna=GENES, adt=PROTEINS, atac=list(PEAKS), other=["a", "b", "c"])
    mdata.uns["taken"] = 1
    with pytest.raises(error, match=match):
        mn.pp.feature_links(mdata, **{"first": "rna", "second": "adt"} | arguments)
    assert mdata.uns == {"taken": 1}


@pytest.mark.parametrize(
    ("genes", "proteins", "match"),
    [
        (
            [f"ENSG{i:011d}" for i in range(9)],
            PROTEINS,
            r"named by ids only. Put their symbols into mdata\['rna'\].var\['gene_name'\]",
        ),
        (
            GENES,
            ["anti-mouse CD4", "anti-mouse CD3", "anti-mouse CD19"],
            "antibody against mouse, but the genes are those of human",
        ),
        (GENES, ["a", "b", "c"], "Give a `table` of the proteins and their genes"),
    ],
)
def test_a_map_that_is_nearly_empty_says_what_to_do(genes, proteins, match) -> None:
    mdata = make(rna=genes, adt=proteins)
    with pytest.raises(ValueError, match=match):
        mn.pp.feature_links(mdata, "rna", "adt")


def test_a_small_share_of_many_features_is_too_few() -> None:
    many = [f"G{i}" for i in range(1000)]
    mdata = make(rna=many, activity=[*many[:10], *(f"H{i}" for i in range(990))])
    with pytest.raises(ValueError, match="only 10 of 1,000 genes of 'rna' and 10 of 1,000 genes of 'activity'"):
        mn.pp.feature_links(mdata, "rna", "activity")
    # a small panel may be linked whole
    mdata = make(rna=many, activity=many[:10])
    mn.pp.feature_links(mdata, "rna", "activity")
    assert read_feature_links(mdata, "rna", "activity").nnz == 10


def test_repeated_names_and_wrong_objects(cite) -> None:
    with pytest.raises(TypeError, match="`mdata` must be a MuData"):
        mn.pp.feature_links(cite["rna"], "rna", "adt")
    with pytest.raises(ValueError, match="`mdata` is a view"):
        mn.pp.feature_links(cite[:3], "rna", "adt")
    cite["adt"].var_names = ["CD3", "CD3", *PROTEINS[2:]]
    with pytest.raises(ValueError, match="modality 'adt' has duplicate var_names: 'CD3'"):
        mn.pp.feature_links(cite, "rna", "adt")


def spoilt(mdata: mudata.MuData, **changes) -> mudata.MuData:
    mdata.uns["feature_links"] = mdata.uns["feature_links"].astype({"second_feature": str}).assign(**changes)
    return mdata


@pytest.mark.parametrize(
    ("spoil", "error", "match"),
    [
        (lambda m: m.uns.clear(), KeyError, "Link the features first"),
        (lambda m: m.uns.update(feature_links=3), TypeError, r"mdata.uns\['feature_links'\] is a int"),
        (lambda m: m.uns.update(feature_links=TABLE), ValueError, "lacks the columns 'first'"),
        (lambda m: spoilt(m, weight=-1.0), ValueError, "6 of 6 weights between 'rna' and 'adt' are negative"),
        (lambda m: spoilt(m, weight=[1, np.nan, 1, 1, 1, 1]), ValueError, "1 of 6 weights.*CD3E - CD3_TotalSeqB: nan"),
        (lambda m: spoilt(m, weight=0.0), ValueError, "no link between 'rna' and 'adt' is left, of 6"),
        (lambda m: spoilt(m, second_feature="gone"), ValueError, "names 1 features that 'adt' lacks, e.g. 'gone'"),
        (lambda m: spoilt(m, second="protein"), ValueError, "it links those of .'rna and protein'"),
    ],
)
def test_the_reader_refuses_links_that_are_none(cite, spoil, error, match) -> None:
    mn.pp.feature_links(cite, "rna", "adt")
    spoil(cite)
    with pytest.raises(error, match=match):
        read_feature_links(cite, "rna", "adt")


def test_links_of_features_that_were_left_out_later_can_be_dropped(cite) -> None:
    mn.pp.feature_links(cite, "adt", "rna")
    cite.mod["rna"] = cite["rna"][:, ["CD4", "PTPRC", "GAPDH"]].copy()
    with pytest.raises(ValueError, match="names 4 features that 'rna' lacks, e.g. 'CD3D'"):
        read_feature_links(cite, "rna", "adt")
    matrix = read_feature_links(cite, "rna", "adt", unknown="drop")
    assert matrix.nnz == 2
    assert matrix[0, 1] == 1


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_table_is_read_as_it_was_written(data) -> None:
    first = data.draw(st.lists(st.text("abXY.-_1", min_size=1, max_size=4), min_size=3, max_size=8, unique=True))
    second = data.draw(st.lists(st.text("abXY.-_1", min_size=1, max_size=4), min_size=3, max_size=8, unique=True))
    n = data.draw(st.integers(3, 12))
    rows = [(data.draw(st.integers(0, len(first) - 1)), data.draw(st.integers(0, len(second) - 1))) for _ in range(n)]
    weights = data.draw(st.lists(st.sampled_from([0.25, 0.5, 1.0, 3.0]), min_size=n, max_size=n))
    table = pd.DataFrame({"one": [first[i] for i, _ in rows], "two": [second[j] for _, j in rows], "weight": weights})
    expected = np.zeros((len(first), len(second)), np.float32)
    for (i, j), weight in zip(rows, weights, strict=True):
        expected[i, j] = max(expected[i, j], weight)
    mdata = make(one=first, two=second)
    if min((expected.sum(axis) > 0).sum() for axis in (0, 1)) < 3:
        with pytest.raises(ValueError, match="At least 3 of each"):
            mn.pp.feature_links(mdata, "one", "two", table=table)
        return
    mn.pp.feature_links(mdata, "one", "two", table=table)
    np.testing.assert_array_equal(read_feature_links(mdata, "one", "two").toarray(), expected)
    # neither the order of the modalities nor that of the features matters
    turned = make(one=first[::-1], two=second)
    mn.pp.feature_links(turned, "two", "one", table=table)
    np.testing.assert_array_equal(read_feature_links(turned, "one", "two").toarray(), expected[::-1])


@pytest.mark.real
@pytest.mark.parametrize(
    ("data", "second", "annotation", "n_linked", "n_links"),
    [
        ("pbmc10k_citeseq", "adt", None, 12, 13),
        ("bmmc_cite_starter_C0", "adt", None, 9, 9),
        ("snareseq_mouse_cortex", "atac", "tss_mm10.bed", 4505, 4519),
        ("bmmc_multiome_starter_C1", "atac", "genes_hg38.bed", 64, 64),
    ],
)
def test_the_development_sets(real_data, data, second, annotation, n_linked, n_links) -> None:
    mdata = mudata.read_h5mu(real_data / f"{data}.h5mu")
    arguments = {} if annotation is None else {"annotation": real_data / annotation}
    mn.pp.feature_links(mdata, "rna", second, **arguments)
    pair = mdata.uns["feature_links_report"]["pairs"].iloc[0]
    assert (pair["n_second_linked"], pair["n_links"]) == (n_linked, n_links)


@pytest.mark.real
def test_features_that_no_one_can_link_are_refused(real_data) -> None:
    mdata = mudata.read_h5mu(real_data / "patchseq_trimodal.h5mu")
    with pytest.raises(ValueError, match="the kind of modality 'ephys' is not known"):
        mn.pp.feature_links(mdata, "rna", "ephys")
    with pytest.raises(ValueError, match="only 0 of 1,252 genes of 'rna' and 0 of 68 features of 'ephys'"):
        mn.pp.feature_links(mdata, "rna", "ephys", method="names")
