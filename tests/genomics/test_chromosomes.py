"""Names of chromosomes: what is counted as shared, when it is an error or a warning, and which renaming is said."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse

import scminnet as mn
from scminnet.genomics.chromosomes import ByChromosome, check_chromosomes, plain_name, renaming


def sides(ours: dict[str, int], theirs: dict[str, int]) -> tuple[ByChromosome, ByChromosome]:
    return tuple(
        ByChromosome(noun, holder, pd.Series(counts, dtype=int))
        for noun, holder, counts in (("peaks", "peaks", ours), ("genes", "annotation", theirs))
    )


@pytest.mark.parametrize(
    ("names", "plain"),
    [
        (("chr1", "1", "Chr1", "CHR1", "NC_000001.11", "NC_000067.7"), "1"),
        (("chrX", "X", "chrx", "NC_000023.10", "NC_000086.8"), "X"),
        (("chrM", "MT", "M", "chrMT", "NC_012920.1", "NC_005089.1"), "MT"),
        (("chrUn_KI270728v1", "Un_KI270728v1"), "Un_KI270728v1"),
        (("NC_012920.1", "MT"), "MT"),
        (("NW_009646194.1",), "NW_009646194.1"),
    ],
)
def test_conventions_of_ensembl_ucsc_and_refseq(names: tuple[str, ...], plain: str) -> None:
    assert {plain_name(name) for name in names} == {plain}


GOOD = [
    ({"chr1": 9, "chr2": 9}, {"chr1": 5, "chr2": 5, "chr3": 5}),
    # peaks of one chromosome, or the annotation of one
    ({"chr1": 9}, {f"chr{i}": 50 for i in range(1, 23)}),
    ({f"chr{i}": 50 for i in range(1, 23)}, {"chr1": 9}),
    ({"chr1": 900, "GL000194.1": 4}, {"chr1": 50, "KI270721.1": 2}),
    # a few genes of the mitochondrion
    ({"chr1": 900, "chrM": 3}, {"chr1": 900, "MT": 37}),
]


@pytest.mark.parametrize(("ours", "theirs"), GOOD)
def test_nothing_is_said_of_alike_names(ours: dict, theirs: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_chromosomes(*sides(ours, theirs), argument="tss")
        check_chromosomes(*sides(theirs, ours), argument="tss")


BAD = [
    # one scaffold in common
    (
        {"chr1": 900, "chr2": 99, "GL000194.1": 1},
        {"1": 500, "2": 500, "GL000194.1": 1},
        ValueError,
        r"only 1 of 1,000 peaks and 1 of 1,001 genes lie on .* 'chr1' of the peaks seems to be '1' of the annotation: "
        "rename the chromosomes of one, and 1,000 peaks are on shared ones",
    ),
    ({"chr1": 9}, {"1": 5}, ValueError, "no chromosome name in common.*'chr1' of the peaks seems to be '1'"),
    ({"chr1": 9}, {"NC_000001.11": 5}, ValueError, "'chr1' of the peaks seems to be 'NC_000001.11' of the annotation"),
    ({"chr1": 9}, {}, ValueError, "no chromosome name in common"),
    ({"a": 9}, {"b": 5}, ValueError, "no chromosome name in common.*Rename one of them"),
    ({"a": 99, "s": 1}, {"b": 99, "s": 1}, ValueError, "only 1 of 100 peaks and 1 of 100 genes.*Rename one of them"),
    ({"chr1": 60, "s": 40}, {"1": 90, "s": 10}, UserWarning, "only 40 of 100 peaks and 10 of 100 genes .*100 peaks"),
    ({"a": 60, "s": 40}, {"b": 90, "s": 10}, UserWarning, "only 40 of 100 peaks and 10 of 100 genes"),
    # half of the peaks under another name
    ({"chr1": 50, "chr2": 50}, {"1": 50, "chr2": 50}, UserWarning, "only 50 of 100 peaks and 50 of 100 genes"),
]


@pytest.mark.parametrize(("ours", "theirs", "kind", "match"), BAD)
def test_what_is_wrong_is_counted(ours: dict, theirs: dict, kind: type[Exception], match: str) -> None:
    context = pytest.warns(UserWarning, match=match) if kind is UserWarning else pytest.raises(ValueError, match=match)
    with context as caught:
        check_chromosomes(*sides(ours, theirs), argument="tss")
    assert "`tss`: " in str(caught[0].message if kind is UserWarning else caught.value)


@given(st.lists(st.sampled_from([*"123XYM", "MT", "chr1", "chrX", "chrM", "s", "NC_000001.11"]), unique=True))
def test_renaming_names_what_is_there(names: list[str]) -> None:
    ours, theirs = names[::2], names[1::2]
    found = renaming(ours, theirs)
    assert set(found) <= set(ours) - set(theirs)
    assert set(found.values()) <= set(theirs)
    assert all(plain_name(a) == plain_name(b) for a, b in found.items())
    assert {plain_name(c) for c in set(ours) - set(found)} & {plain_name(c) for c in theirs} <= set(
        map(plain_name, set(ours) & set(theirs))
    )


def data(n: int, share: float, *, seed: int = 0) -> tuple[MuData, pd.DataFrame]:
    """Peaks on ``chr1`` and genes on ``1``, but for a share of both that is on a scaffold."""
    rng = np.random.default_rng(seed)
    shared = np.arange(n) < round(share * n)
    place = 10_000 * np.arange(n)
    peaks = [
        f"{'GL000194.1' if s else f'chr{i % 5}'}:{p}-{p + 500}"
        for i, (s, p) in enumerate(zip(shared, place, strict=True))
    ]
    genes = pd.DataFrame(
        {
            "gene": [f"g{i}" for i in range(n)],
            "chrom": ["GL000194.1" if s else str(i % 5) for i, s in enumerate(shared)],
            "tss": place + 700,
            "strand": "+",
        }
    )
    counts = {"rna": genes["gene"], "atac": peaks}
    mods = {}
    for m, names in counts.items():
        mods[m] = AnnData(sparse.csr_matrix(rng.poisson(2.0, (40, n)).astype(np.float32)))
        mods[m].var_names = list(names)
    return MuData(mods), genes


CALLS = {
    "pp.gene_activity": lambda mdata, genes: mn.pp.gene_activity(mdata, genes, upstream=1000),
    "pp.feature_links": lambda mdata, genes: mn.pp.feature_links(mdata, "rna", "atac", annotation=genes),
    "tl.cre_links": lambda mdata, genes: mn.tl.cre_links(mdata, genes, upstream=1000, null=None),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_one_scaffold_in_common_silences_nothing(call) -> None:
    mdata, genes = data(1000, 0.001)
    with pytest.raises(ValueError, match=r"only 1 of 1,000 peaks and 1 of 1,000 genes.*'chr1' of the peaks .* '1' of"):
        call(mdata, genes)
    assert list(mdata.mod) == ["rna", "atac"]
    assert not mdata.uns
    mdata, genes = data(1000, 0.3)
    with pytest.warns(UserWarning, match="only 300 of 1,000 peaks and 300 of 1,000 genes") as caught:
        call(mdata, genes)
    assert [w.filename for w in caught if "only 300" in str(w.message)] == [__file__]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(data(1000, 0)[0], genes.assign(chrom="chr" + genes["chrom"].str.removeprefix("GL000194.")))
    assert not [w for w in caught if "lie on" in str(w.message)]


def test_links_and_evidence(tmp_path) -> None:
    links = pd.DataFrame(
        {"gene": "g", "chrom": ["chr1"] * 98 + ["s"] * 2, "start": range(100), "distance": 5, "r": 0.5}
    )
    links = links.assign(end=links["start"] + 10, tss=links["start"] + 20)
    for share, kind in ((2, ValueError), (30, UserWarning)):
        chrom = ["1"] * (100 - share) + ["s"] * share
        links["chrom"] = ["chr1"] * (100 - share) + ["s"] * share
        evidence = pd.DataFrame({"gene": "g", "chrom": chrom, "start": range(100)}).assign(
            end=lambda t: t["start"] + 10
        )
        anchors = evidence.set_axis(["gene", "chrom1", "start1", "end1"], axis=1)
        anchors = anchors.assign(chrom2=chrom, start2=evidence["start"] + 20, end2=evidence["start"] + 30)
        for table in (evidence, anchors):
            n = len(table) * (2 if table is anchors else 1)
            match = f"only {share} of 100 links and {share * n // 100} of {n} evidence"
            if kind is ValueError:
                with pytest.raises(ValueError, match=match):
                    mn.tl.link_support(links, table)
            else:
                with pytest.warns(UserWarning, match=match) as caught:
                    mn.tl.link_support(links, table)
                assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"gene": lambda t: t["gene"].str.upper()}, "300 are there apart from letter case, e.g. 'G100' for 'g100'"),
        (
            {"gene": lambda t: "s" + t["gene"], "gene_id": lambda t: t["gene"].str[1:]},
            "200 are in its column 'gene_id', e.g. 'g100' for 'g100'",
        ),
    ],
)
def test_genes_under_other_names_are_counted(change, match: str) -> None:
    mdata, genes = data(300, 0)
    genes["chrom"] = "chr" + genes["chrom"]
    other = genes.assign(**change)
    mixed = pd.concat([genes[:100].assign(gene_id="x"), other[100:]])
    with pytest.warns(UserWarning, match=f"`tss` has 100 of the 300 genes of modality 'rna'. {match}") as caught:
        mn.tl.cre_links(mdata, mixed, upstream=1000, null=None)
    assert caught[0].filename == __file__
