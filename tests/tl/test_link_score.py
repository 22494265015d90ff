from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse, stats
from scipy.special import expit
from sklearn.metrics import average_precision_score

import scminnet as mn
from scminnet.tl._activity_contact import REACH, contact_share, contact_total, link_score, power_law
from scminnet.tl._conditional import conditional_correlation
from scminnet.tl._contacts import measured_contact, read_contacts
from scminnet.tl._correlation import correlate_pairs, prepare
from scminnet.tl._link_report import steps_left


@pytest.fixture(scope="module")
def cells() -> MuData:
    """Cells whose links become rarer with distance, embedded by their type and state."""
    cells = mn.datasets.simulate_multiome(1200, n_genes=200, n_peaks=1000, distance_decay=1, seed=3)
    for adata in cells.mod.values():
        adata.obsm["X_minnet"] = np.column_stack([cells.obs["cell_type"].cat.codes, cells.obs["state"]])
    return cells


@pytest.fixture(scope="module")
def bulks(cells: MuData) -> MuData:
    return mn.tl.minibulk(cells, 60, groupby="cell_type")


@pytest.fixture(scope="module")
def tss(cells: MuData) -> pd.DataFrame:
    return cells["rna"].var.rename_axis("gene").reset_index()


def links_of(bulks: MuData, tss: pd.DataFrame, **arguments) -> pd.DataFrame:
    return mn.tl.cre_links(bulks, tss, copy=True, **{"null": None} | arguments).uns["cre_links"]


def relative(sums: pd.Series, links: pd.DataFrame) -> np.ndarray:
    """Accessibility of each link's peak relative to the mean of the peaks in the table."""
    return (sums / sums[links["peak"].unique()].mean()).loc[links["peak"]].to_numpy()


def is_true(links: pd.DataFrame, cells: MuData) -> np.ndarray:
    truth = pd.MultiIndex.from_frame(cells.uns["regulation"][["gene", "peak"]])
    return pd.MultiIndex.from_frame(links[["gene", "peak"]]).isin(truth)


def test_the_first_rows_are_true_and_the_score_beats_its_parts(bulks, tss, cells) -> None:
    links = links_of(bulks, tss)
    true = is_true(links, cells)
    assert true[:50].mean() > 0.8
    distal = ~links["promoter"].to_numpy()
    area = {
        column: average_precision_score(true[distal], links[column][distal])
        for column in ("score", "contact", "abc", "r", "r_conditional", "activity")
    }
    assert area["score"] > 1.05 * max(value for name, value in area.items() if name != "score")
    assert area["r_conditional"] > area["r"]


def test_columns_are_those_of_the_formulas(bulks, tss) -> None:
    links = links_of(bulks, tss)
    away = links["distance"].abs()
    np.testing.assert_allclose(links["contact"], (np.maximum(away, 5000) / 5000) ** -1.024238616787792)
    sums = pd.Series(np.asarray(bulks["atac"].layers["counts"].sum(axis=0)).ravel(), bulks["atac"].var_names)
    np.testing.assert_allclose(links["activity"], relative(sums, links), rtol=1e-5)
    strength = links["activity"] * links["contact"]
    np.testing.assert_allclose(links["abc"], strength / strength.groupby(links["gene"]).transform("sum"))
    np.testing.assert_allclose(links.groupby("gene")["abc"].sum(), 1)
    prior = links["activity"] ** 0.5 * links["contact"] * links["contact_share"]
    evidence = links["r_conditional"] / np.sqrt((links["r_conditional"] ** 2).mean())
    np.testing.assert_allclose(links["score"], expit(1.60 + 0.75 * np.log(prior) + 1.25 * evidence))


def test_groups_have_activities_of_their_own(bulks, tss, cells) -> None:
    many = mn.tl.minibulk(cells, 80, groupby="lineage")
    links = links_of(many, tss, groupby="lineage")
    assert links["group"].is_monotonic_increasing
    for group, of_group in links.groupby("group"):
        rows = (many.obs["lineage"] == group).to_numpy()
        sums = pd.Series(np.asarray(many["atac"].layers["counts"][rows].sum(axis=0)).ravel(), many["atac"].var_names)
        np.testing.assert_allclose(of_group["activity"], relative(sums, of_group), rtol=1e-5)
        assert of_group["score"].is_monotonic_decreasing


def test_activity_is_of_the_values_without_counts_and_missing_where_negative(bulks, tss, caplog) -> None:
    bare = MuData({m: bulks[m].copy() for m in ("rna", "atac")})
    del bare["atac"].layers["counts"]
    links = links_of(bare, tss)
    sums = pd.Series(np.asarray(bare["atac"].X.sum(axis=0)).ravel(), bare["atac"].var_names)
    np.testing.assert_allclose(links["activity"], relative(sums, links), rtol=1e-5)
    values = bare["atac"].X.toarray()
    bare["atac"].X = values - 100
    logger = logging.getLogger("scminnet")
    logger.addHandler(caplog.handler)
    try:
        negative = links_of(bare, tss)
    finally:
        logger.removeHandler(caplog.handler)
    assert negative[["activity", "score"]].isna().all(axis=None)
    assert any("links have no score" in message for message in caplog.messages)


@given(seed=st.integers(0, 1000), n_peaks=st.integers(1, 8), n_genes=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_contact_total_is_that_of_a_double_loop(seed: int, n_peaks: int, n_genes: int) -> None:
    rng = np.random.default_rng(seed)
    peaks = pd.DataFrame({"chrom": rng.choice(["1", "2", "3"], n_peaks), "start": rng.integers(0, 3_000_000, n_peaks)})
    peaks["end"] = peaks["start"] + rng.integers(1, 500, n_peaks)
    starts = pd.DataFrame({"gene": rng.choice(list("abcd"), n_genes), "chrom": rng.choice(["1", "2"], n_genes)})
    starts["tss"] = rng.integers(0, 3_000_000, n_genes)
    expected = []
    for peak in peaks.itertuples():
        nearest: dict[str, int] = {}
        for start in starts[starts["chrom"] == peak.chrom].itertuples():
            away = abs(start.tss - (peak.start + peak.end) // 2)
            if away <= REACH:
                nearest[start.gene] = min(away, nearest.get(start.gene, away))
        expected.append(sum((max(away, 5000) / 5000) ** -1.024238616787792 for away in nearest.values()))
    np.testing.assert_allclose(contact_total(peaks, starts), expected)


def test_a_share_is_one_without_other_genes() -> None:
    away = np.array([0, 80_000, 2_000_000])
    contact = power_law(away)
    np.testing.assert_allclose(contact_share(contact, away, contact), 1)
    np.testing.assert_allclose(contact_share(contact, away, np.zeros(3)), 1)
    np.testing.assert_allclose(contact_share(contact, away, 2 * contact), 0.5)


@given(seed=st.integers(0, 1000), method=st.sampled_from(["spearman", "pearson"]))
@settings(max_examples=30, deadline=None)
def test_conditional_correlation_is_ridge_regression(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    base = rng.poisson(1, (40, 1))
    genes = sparse.csc_matrix(rng.poisson(1, (40, 3)) + base)
    counts = rng.poisson(0.5, (40, 7)) + base * rng.integers(0, 2, 7)
    counts[:, 6] = 2  # constant
    x, y = prepare(genes, method), prepare(sparse.csc_matrix(counts), method)
    first = np.repeat(np.arange(3), 5)
    second = np.concatenate([rng.choice(7, 5, replace=False) for _ in range(3)])
    r, _ = correlate_pairs(x, y, first, second)
    found = conditional_correlation(r, first, second, y)
    np.testing.assert_array_equal(np.isnan(found), second == 6)
    values = pd.DataFrame(counts).rank().to_numpy() if method == "spearman" else counts.astype(float)
    target = pd.DataFrame(genes.toarray()).rank().to_numpy() if method == "spearman" else genes.toarray()
    for gene in range(3):
        pairs = np.flatnonzero((first == gene) & (second != 6))
        scaled = [v[:, c] - v[:, c].mean() for v, cs in ((values, second[pairs]), (target, [gene])) for c in cs]
        scaled = np.column_stack([v / np.linalg.norm(v) for v in scaled])
        peaks, wanted = scaled[:, :-1], scaled[:, -1]
        expected = 2 * np.linalg.solve(peaks.T @ peaks + np.eye(len(pairs)), peaks.T @ wanted)
        np.testing.assert_allclose(found[pairs], expected, atol=1e-8)


def test_a_peak_that_follows_another_loses_its_correlation() -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=500)
    peaks = np.column_stack([cause, cause + rng.normal(size=500), rng.normal(size=500)])
    gene = cause + 0.5 * rng.normal(size=500)
    x, y = prepare(gene[:, None], "pearson"), prepare(peaks, "pearson")
    first, second = np.zeros(3, dtype=int), np.arange(3)
    r, _ = correlate_pairs(x, y, first, second)
    found = conditional_correlation(r, first, second, y)
    assert found[1] < 0.75 * r[1]
    assert found[0] > 0.8 * r[0]
    assert found[2] == pytest.approx(r[2], abs=0.05)


def test_score_rises_with_each_part() -> None:
    base = link_score(np.ones(1), np.ones(1), np.ones(1), np.zeros(1))
    assert link_score(np.full(1, 2.0), np.ones(1), np.ones(1), 0.0) > base
    assert link_score(np.ones(1), np.full(1, 0.5), np.ones(1), 0.0) < base
    assert link_score(np.ones(1), np.ones(1), np.full(1, 0.5), 0.0) < base
    assert link_score(np.ones(1), np.ones(1), np.ones(1), np.ones(1)) > base
    assert link_score(np.zeros(1), np.ones(1), np.ones(1), np.ones(1)) == 0


PAIRS = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr1", "chr2"],
        "start": [100_000, 52_000, 22_000, 5_000],
        "end": [100_400, 52_400, 22_400, 5_400],
        "tss": [12_000, 12_000, 12_000, 90_000],
        "distance": [88_200, 40_200, 10_200, -84_800],
    }
)


def contact_table(rows: list[tuple[int, int, float]]) -> pd.DataFrame:
    table = pd.DataFrame([("chr1", a, a + 5000, "chr1", b, b + 5000, s) for a, b, s in rows])
    return table.set_axis(["chrom1", "start1", "end1", "chrom2", "start2", "end2", "score"], axis=1)


def test_measured_contacts_take_the_place_of_the_power_law() -> None:
    # either anchor may hold the start; the third pair has none, and chr2 was not measured
    contacts = contact_table([(10_000, 100_000, 3.0), (50_000, 10_000, 1.0), (10_000, 10_000, 7.0)])
    expected = power_law(PAIRS["distance"].to_numpy())
    scaled = np.array([3.0, 1.0, 0.0]) * expected[:3].sum() / 4
    found = measured_contact(PAIRS, read_contacts(contacts))
    np.testing.assert_allclose(found[:3], (expected[:3] + scaled) / 2)
    assert found[3] == expected[3]
    assert found[:3].sum() == pytest.approx(expected[:3].sum())


def test_contacts_from_a_file_change_the_links(tmp_path, bulks, tss) -> None:
    plain = links_of(bulks, tss)
    pair = plain[~plain["promoter"]].iloc[-1]
    line = f"{pair.chrom}\t{pair.start}\t{pair.end}\t{pair.chrom}\t{pair.tss}\t{pair.tss + 1}\tname\t12.5\t.\t.\n"
    (tmp_path / "contacts.bedpe").write_text("chrom1\tstart1\tend1\tchrom2\tstart2\tend2\tname\tscore\n" + line)
    measured = mn.tl.cre_links(bulks, tss, contacts=tmp_path / "contacts.bedpe", null=None, copy=True)
    links = measured.uns["cre_links"].set_index(["gene", "peak"])
    before = plain.set_index(["gene", "peak"]).loc[links.index]
    at = (pair.gene, pair.peak)
    assert links.loc[at, "contact"] > 2 * before.loc[at, "contact"]
    assert links.loc[at, "score"] > before.loc[at, "score"]
    others = links[links.index.get_level_values(0) != pair.gene]
    same = before.loc[others.index]
    close = np.isclose(others["contact"], same["contact"])
    # genes whose start lies in the anchor
    assert close.mean() > 0.95
    assert measured.uns["cre_links_info"]["params"]["contacts"].endswith("contacts.bedpe")


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda t: t.drop(columns="score"), ValueError, "`contacts` lacks the columns 'score'"),
        (lambda t: t.assign(score=-1.0), ValueError, "1 of 1 rows have no strength of 0 or more"),
        (lambda t: t.assign(score="x"), ValueError, "1 of 1 rows have no strength"),
        (
            lambda t: t.assign(chrom1="chr9", chrom2="chr9"),
            ValueError,
            "`contacts`: no anchor holds a transcript start",
        ),
        (lambda t: 3, TypeError, "`contacts` is a int"),
        (lambda t: "none.bedpe", FileNotFoundError, "`contacts`: there is no file 'none.bedpe'"),
    ],
)
def test_wrong_contacts(bulks, tss, change, error, text) -> None:
    before = dict(bulks.uns)
    with pytest.raises(error, match=text):
        mn.tl.cre_links(bulks, tss, contacts=change(contact_table([(10_000, 90_000, 1.0)])), null=None)
    assert dict(bulks.uns) == before


def test_what_a_call_says(bulks, cells, tss, caplog) -> None:
    logger = logging.getLogger("scminnet")
    logger.addHandler(caplog.handler)

    def said(mdata: MuData, **arguments) -> str:
        caplog.clear()
        links_of(mdata, tss, **arguments)
        return " ".join(caplog.messages)

    try:
        assert "links were not tested (`null` is None)" in said(bulks)
        assert "single cells" not in said(bulks)
        assert "of the peaks' values are not 0, as in single cells" in said(cells)
        found = said(bulks, null="theoretical")
        assert "pairs are links at an FDR of 5%; rank all by `score`" in found
        unrelated = bulks.copy()
        unrelated["atac"].X = unrelated["atac"].X[::-1].copy()
        few = said(unrelated, null="matched", genes=list(tss["gene"][:3]), alternative="two-sided")
        assert "0 of " in few
        assert few.endswith(
            "To find more, smooth the counts before `minibulk`, set alternative='greater' or use more cells"
        )
        cells = cells.copy()
        mn.tl.minnet_smooth(cells, modalities=["atac"])
        half = mn.tl.minibulk(cells, 20, groupby="cell_type", layer={"atac": "smoothed"})
        half["atac"].X = half["atac"].X[::-1].copy()
        few = said(half, null="matched", genes=list(tss["gene"][:3]))
        assert few.endswith("To find more, smooth the counts of 'rna' before `minibulk` or use more cells")
        mn.tl.minnet_smooth(cells)
        smoothed = mn.tl.minibulk(cells, 20, groupby="cell_type", layer="smoothed")
        smoothed["atac"].X = smoothed["atac"].X[::-1].copy()
        few = said(smoothed, null="matched", genes=list(tss["gene"][:1]))
        assert few.endswith("To find more, use more cells")
    finally:
        logger.removeHandler(caplog.handler)


def test_steps_that_are_left() -> None:
    every = steps_left((), ["rna", "atac"], "two-sided", chosen=False)
    assert every == [
        "smooth the counts before `minibulk`", "set alternative='greater'", "use more cells", "test fewer `genes`",
    ]  # fmt: skip
    assert steps_left(["rna", "atac"], ["rna", "atac"], "two-sided", chosen=False) == every[1:]
    assert steps_left(["rna", "atac", "adt"], ["rna", "atac"], "greater", chosen=True) == ["use more cells"]


@given(seed=st.integers(0, 1000), n=st.integers(5, 60))
@settings(max_examples=40, deadline=None)
def test_kendall_is_that_of_scipy(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    genes, peaks = rng.poisson(1, (n, 3)), rng.poisson(0.5, (n, 4))
    x = prepare(sparse.csr_matrix(genes), "kendall")
    y = prepare(sparse.csr_matrix(peaks), "kendall", binary=True)
    first, second = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    found, counts = correlate_pairs(x, y, first, second)
    expected = [stats.kendalltau(genes[:, a], peaks[:, b] > 0).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert (counts == n).all()


def test_kendall_over_cells(cells, tss) -> None:
    links = links_of(cells, tss, method="kendall", null="matched")
    row = links[links["r"].abs() > 0.02].iloc[0]
    values = cells["rna"][:, row.gene].X.toarray().ravel(), cells["atac"][:, row.peak].X.toarray().ravel() > 0
    assert row.r == pytest.approx(stats.kendalltau(*values).statistic)
    assert 0.02 < (links["p"] < 0.05).mean() < 0.15
    with pytest.raises(ValueError, match="'kendall', which has no theoretical `null`"):
        links_of(cells, tss, method="kendall", null="theoretical")
    with pytest.raises(ValueError, match="`nonzero` is set with `method`='kendall'"):
        links_of(cells, tss, method="kendall", nonzero=True)
