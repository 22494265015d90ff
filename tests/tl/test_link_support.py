from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from sklearn.metrics import average_precision_score

import scminnet as mn


def make(seed: int = 0, n_genes: int = 8, n_peaks: int = 60) -> pd.DataFrame:
    """All pairs of genes and peaks within 150 kb, on two chromosomes, with random scores."""
    rng = np.random.default_rng(seed)
    rows = []
    for g in range(n_genes):
        chrom, tss, strand = f"chr{1 + g % 2}", int(rng.integers(200_000, 400_000)), "+-"[g % 2]
        for p in range(n_peaks):
            peak = np.random.default_rng(1000 + p)
            start = int(peak.integers(150_000, 450_000))
            if p % 2 == g % 2 and abs(start + 250 - tss) < 150_000:
                distance = (start + 250 - tss) * (1 if strand == "+" else -1)
                rows.append(
                    (f"g{g}", f"{chrom}:{start}-{start + 500}", chrom, start, start + 500, tss, strand, distance)
                )
    links = pd.DataFrame(rows, columns=["gene", "peak", "chrom", "start", "end", "tss", "strand", "distance"])
    return links.assign(
        promoter=links["distance"].between(-2000, 0),
        r=rng.uniform(-1, 1, len(links)),
        z=np.nan,
        p=rng.random(len(links)),
        fdr=np.nan,
        n_bulks=50,
        group="all",
    )


def contacts(seed: int, n: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    chrom = rng.choice(["chr1", "chr2"], n)
    start1, start2 = rng.integers(150_000, 450_000, (2, n))
    columns = {"chrom1": chrom, "start1": start1, "end1": start1 + 5000, "chrom2": chrom, "start2": start2}
    return pd.DataFrame(columns | {"end2": start2 + 5000})


def meet(a: tuple[str, int, int], b: tuple[str, int, int]) -> bool:
    return a[0] == b[0] and a[1] < b[2] and b[1] < a[2]


@given(seed=st.integers(0, 1000), slack=st.sampled_from([0, 1000]))
@settings(max_examples=10, deadline=None)
def test_contacts_equal_loops(seed: int, slack: int) -> None:
    links, evidence = make(seed), contacts(seed)
    result = mn.tl.link_support(links, evidence, slack=slack)
    expected = {}
    for link in links.itertuples():
        peak, start = (link.chrom, link.start, link.end), (link.chrom, link.tss - slack, link.tss + slack + 1)
        known = supported = False
        for row in evidence.itertuples():
            one, two = (row.chrom1, row.start1, row.end1), (row.chrom2, row.start2, row.end2)
            known |= meet(start, one) or meet(start, two)
            supported |= (meet(peak, one) and meet(start, two)) or (meet(peak, two) and meet(start, one))
        if known:
            expected[link.gene, link.peak] = supported
    found = dict(
        zip(zip(result.pairs["gene"], result.pairs["peak"], strict=True), result.pairs["supported"], strict=True)
    )
    assert found == expected
    assert result.n_unknown == len(links) - len(expected)


@pytest.mark.parametrize("flagged", [False, True])
def test_gene_intervals_equal_loops(flagged: bool) -> None:
    links = make()
    rng = np.random.default_rng(1)
    picked = links.sample(120, random_state=0)
    evidence = pd.DataFrame(
        {
            "chrom": picked["chrom"],
            "chromStart": picked["start"] + 400,
            "chromEnd": picked["start"] + 900,
            "symbol": rng.permutation(picked["gene"].to_numpy()),
            "Regulated": rng.choice(["TRUE", "FALSE"], 120),
        }
    )
    result = mn.tl.link_support(links, evidence, gene_key="symbol", positive_key="Regulated" if flagged else None)
    expected = {}
    for link in links.itertuples():
        met = [
            row
            for row in evidence.itertuples()
            if row.symbol == link.gene
            and meet((link.chrom, link.start, link.end), (row.chrom, row.chromStart, row.chromEnd))
        ]
        if flagged and met:
            expected[link.gene, link.peak] = any(row.Regulated == "TRUE" for row in met)
        elif not flagged and link.gene in set(evidence["symbol"]):
            expected[link.gene, link.peak] = bool(met)
    found = dict(
        zip(zip(result.pairs["gene"], result.pairs["peak"], strict=True), result.pairs["supported"], strict=True)
    )
    assert found == expected
    assert len(set(found.values())) == 2


@pytest.mark.parametrize(("score", "sign"), [("r", 1), ("p", -1)])
def test_tables_by_group_and_distance(score: str, sign: int) -> None:
    links = pd.concat([make(0).assign(group="T"), make(0).assign(group="B", r=0.5, p=0.5)], ignore_index=True)
    result = mn.tl.link_support(links, contacts(0, 200), score=score, bins=(0, 50_000))
    assert list(result.auprc["group"]) == ["T", "B"]
    pairs = result.pairs[result.pairs["group"] == "T"]
    row = result.auprc.iloc[0]
    assert row["n_pairs"] == len(pairs)
    assert row["prevalence"] == pytest.approx(pairs["supported"].mean())
    assert row["auprc"] == pytest.approx(average_precision_score(pairs["supported"], sign * pairs[score]))
    assert row["auprc_distance"] == pytest.approx(average_precision_score(pairs["supported"], -pairs["distance"].abs()))
    # a score that is the same everywhere ranks at random
    assert result.auprc["auprc"][1] == pytest.approx(result.auprc["prevalence"][1])
    assert result.by_distance[["from", "to"]].to_numpy().tolist() == [[0, 50_000], [50_000, np.inf]] * 2
    near = pairs[pairs["distance"].abs() < 50_000]
    first = result.by_distance.iloc[0]
    assert (first["n_pairs"], first["n_supported"]) == (len(near), near["supported"].sum())
    assert first["r_supported"] == pytest.approx(near.loc[near["supported"], "r"].mean())
    assert first["r_unsupported"] == pytest.approx(near.loc[~near["supported"], "r"].mean())
    assert result.by_distance["n_pairs"].sum() == len(result.pairs)


def test_a_link_at_an_edge_is_in_the_bin_above() -> None:
    links = make()
    links = links.assign(distance=[0, -10_000, 9_999, *[10_001] * (len(links) - 3)])
    everything = pd.DataFrame({"gene": links["gene"].unique(), "chrom": "chr1", "start": 1, "end": 2})
    result = mn.tl.link_support(links, everything, bins=(0, 10_000))
    assert result.by_distance["n_pairs"].tolist() == [2, len(links) - 2]


def test_a_planted_relation_beats_distance() -> None:
    links = make(3)
    true = links.sample(40, random_state=0)
    links.loc[true.index, "r"] += 2
    evidence = true[["gene", "chrom", "start", "end"]]
    row = mn.tl.link_support(links, evidence).auprc.iloc[0]
    assert row["auprc"] > 0.95
    assert row["auprc_distance"] < 0.5


def test_no_supported_pair_is_told_not_hidden() -> None:
    links = make()
    nowhere = pd.DataFrame({"gene": ["g0"], "chrom": ["chr1"], "start": [1], "end": [2]})
    result = mn.tl.link_support(links, nowhere)
    assert result.auprc["n_supported"][0] == 0
    assert np.isnan(result.auprc["auprc"][0])
    assert set(result.pairs["gene"]) == {"g0"}


@pytest.mark.parametrize(
    "header", ["", "#chrom1\tstart1\tend1\tchrom2\tstart2\tend2\n", "chrom1\tx1\tx2\tchrom2\ty1\ty2\n"]
)
@pytest.mark.parametrize("zipped", [False, True])
def test_bedpe_files(tmp_path, header: str, zipped: bool) -> None:
    links, evidence = make(), contacts(0)
    text = header + evidence.assign(name="loop", score=3).to_csv(sep="\t", header=False, index=False)
    text += "chr1\t5\t6\t.\t-1\t-1\n"
    path = tmp_path / ("loops.bedpe.gz" if zipped else "loops.bedpe")
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    from_file = mn.tl.link_support(links, path)
    pd.testing.assert_frame_equal(from_file.pairs, mn.tl.link_support(links, evidence).pairs)


def test_text_files_and_mudata(tmp_path) -> None:
    links = make()
    evidence = links.sample(30, random_state=0)[["gene", "chrom", "start", "end"]]
    expected = mn.tl.link_support(links, evidence).pairs
    evidence.to_csv(tmp_path / "e.csv", index=False)
    evidence.to_csv(tmp_path / "e.tsv", index=False, sep="\t")
    bulks = mn.datasets.simulate_multiome(50)
    bulks.uns["cre_links"] = links
    for path in ("e.csv", "e.tsv"):
        pd.testing.assert_frame_equal(mn.tl.link_support(bulks, tmp_path / path).pairs, expected)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"links": 3}, TypeError, "`links` is a int"),
        ({"links": make().drop(columns=["tss", "r"])}, ValueError, "`links` lacks the columns 'tss', 'r'"),
        ({"links": make()[:0]}, ValueError, "`links` has no rows"),
        ({"evidence": 3}, TypeError, "`evidence` is a int"),
        ({"evidence": contacts(0)[:0]}, ValueError, "`evidence` has no rows"),
        ({"evidence": contacts(0).drop(columns="end2")}, ValueError, "`evidence` has the columns 'chrom1'"),
        ({"evidence": contacts(0).assign(end1=0)}, ValueError, "`evidence`: 80 of 80 .* are not intervals"),
        (
            {"evidence": contacts(0).assign(chrom1="1", chrom2="1")},
            ValueError,
            "no chromosome name in common. The links lie on 'chr1', 'chr2', the evidence on '1'",
        ),
        (
            {"evidence": contacts(0).assign(start1=9**8, end1=9**9, start2=9**8, end2=9**9)},
            ValueError,
            "covers none",
        ),
        (
            {"evidence": make().assign(gene="x")},
            ValueError,
            "no gene in common. The links have 'g0'.* the evidence 'x'",
        ),
        ({"evidence": make(), "positive_key": "no"}, ValueError, "`positive_key` is 'no', which `evidence` lacks"),
        ({"evidence": make(), "positive_key": "gene"}, ValueError, "`positive_key`='gene': .* neither true nor false"),
        ({"positive_key": "score"}, ValueError, "`positive_key` is 'score', but `evidence` is of pairs"),
        ({"evidence": make(), "gene_key": "no"}, ValueError, "`gene_key` names, now 'no'"),
        ({"score": "x"}, ValueError, "`score` is 'x'"),
        ({"score": "z"}, ValueError, "rows have no number in column 'z'"),
        ({"bins": (5, 10)}, ValueError, "`bins` is"),
        ({"bins": (0, 10, 10)}, ValueError, "`bins` is"),
        ({"bins": ()}, ValueError, "`bins` is"),
        ({"slack": -1}, ValueError, "`slack` is -1"),
    ],
)
def test_bad_input(change: dict, error: type[Exception], words: str) -> None:
    arguments = {"links": make(), "evidence": contacts(0)} | change
    with pytest.raises(error, match=words):
        mn.tl.link_support(**arguments)


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("none.bedpe", None, FileNotFoundError, "there is no file"),
        ("e.xlsx", b"x", ValueError, "Give a file whose name ends in '.bedpe'"),
        ("e.bedpe", b"chr1\t1\t2\n", ValueError, "fewer than six fields"),
        ("e.bedpe", b"", ValueError, "`evidence` has no rows"),
        ("e.bedpe.gz", b"not gzip", ValueError, "fewer than six fields"),
        ("e.bedpe", b"chr1\t1\t2\tchr1\t-3\t5\n", ValueError, "line 1 of 'e.bedpe' has the start -3"),
        (
            "e.bedpe",
            b"#\n.\t-1\t-1\tchr1\t3\t5\nchr1\t1\t2\tchr1\t9\t5\n",
            ValueError,
            "line 3 .* start 9 and the end 5",
        ),
        ("e.bedpe", b"chr1\t1\t2\tchr1\t3\t9999999999999999999\n", ValueError, "line 1 .* has the end 99999"),
        ("e.tsv", b"", ValueError, "can not be read as TSV"),
        ("e.tsv", b"a\tb\n1\t2\n1\t2\t3\t4\n", ValueError, "can not be read as TSV"),
        ("e.txt", b"\xff\xfe\x00", ValueError, "'e.txt' is text in UTF-16"),
    ],
)
def test_bad_files(tmp_path, name: str, content: bytes | None, error: type[Exception], words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=words):
        mn.tl.link_support(make(), tmp_path / name)


def test_mudata_without_links() -> None:
    with pytest.raises(KeyError, match=r"without uns\['cre_links'\]"):
        mn.tl.link_support(MuData({"rna": mn.datasets.simulate_multiome(50)["rna"]}), contacts(0))
