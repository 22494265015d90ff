from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats
from scipy.spatial import distance

from scminnet.tl import _null
from scminnet.tl._correlation import correlate_pairs, prepare
from scminnet.tl._null import Background, false_discovery_rate, fisher, matched_null, theoretical_null


def setting(seed: int, n: int = 30, n_genes: int = 6, n_peaks: int = 240, n_covariates: int = 1):
    """Genes and peaks driven by shared programmes, on three chromosomes, each gene paired with peaks of one."""
    rng = np.random.default_rng(seed)
    programmes = rng.normal(size=(n, 4))
    genes = np.exp(programmes @ rng.normal(size=(4, n_genes)))
    peaks = rng.poisson(np.exp(programmes @ rng.normal(size=(4, n_peaks)) + rng.normal(size=n_peaks)))
    x, y = prepare(genes, "spearman"), prepare(sparse.csr_matrix(peaks), "spearman")
    chrom = rng.choice(["1", "2", "X"], n_peaks)
    first = np.repeat(np.arange(n_genes), 10)
    on = {c: np.flatnonzero((chrom == c) & (y.norm > 0)) for c in ("1", "2", "X")}
    second = np.concatenate([rng.choice(on["12X"[g % 3]], 10, replace=False) for g in range(n_genes)])
    covariates = rng.random((n_peaks, n_covariates))
    background = Background(np.flatnonzero(y.norm > 0), chrom, covariates, 40)
    return x, y, first, second, background


@given(seed=st.integers(0, 1000), n_covariates=st.sampled_from([1, 2]))
@settings(max_examples=5, deadline=None)
def test_z_equals_loops_over_pairs(seed: int, n_covariates: int) -> None:
    x, y, first, second, background = setting(seed, n_covariates=n_covariates)
    r, n = correlate_pairs(x, y, first, second)
    z, _ = matched_null(r, n, first, second, x, y, background, nonzero=False, seed=0)
    for k, (gene, peak) in enumerate(zip(first, second, strict=True)):
        others = background.pool[background.chrom[background.pool] != background.chrom[peak]]
        away = distance.cdist(background.covariates[[peak]], background.covariates[others])[0]
        near = others[np.argsort(away)[: background.size]]
        values = fisher(correlate_pairs(x, y, np.full(len(near), gene), near)[0])
        expected = (fisher(r[k]) - values.mean()) / max(values.std(ddof=1), 1 / np.sqrt(29))
        np.testing.assert_allclose(z[k], expected, atol=1e-9)


def test_p_is_the_share_of_the_backgrounds_own_z(monkeypatch) -> None:
    monkeypatch.setattr(_null, "_BLOCK", 2)
    x, y, first, second, background = setting(3)
    r, n = correlate_pairs(x, y, first, second)
    z, p = matched_null(r, n, first, second, x, y, background, nonzero=False, seed=0)
    null = []
    for gene in np.unique(first):
        here = background.chrom[second[first == gene][0]]
        others = background.pool[background.chrom[background.pool] != here]
        values = fisher(correlate_pairs(x, y, np.full(len(others), gene), others)[0])
        for i in range(len(others)):
            away = np.abs(background.covariates[others, 0] - background.covariates[others[i], 0])
            away[i] = np.inf
            near = values[np.argsort(away)[: background.size]]
            null.append(abs((values[i] - near.mean()) / max(near.std(ddof=1), 1 / np.sqrt(29))))
    expected = [(1 + np.sum(np.array(null) >= abs(value) - 1e-9)) / (1 + len(null)) for value in z]
    np.testing.assert_allclose(p, expected)


def test_blocks_of_genes_change_nothing(monkeypatch) -> None:
    x, y, first, second, background = setting(1)
    r, n = correlate_pairs(x, y, first, second)
    whole = matched_null(r, n, first, second, x, y, background, nonzero=False, seed=0)
    monkeypatch.setattr(_null, "_BLOCK", 1)
    np.testing.assert_allclose(whole, matched_null(r, n, first, second, x, y, background, nonzero=False, seed=0))


def test_backgrounds_without_any_spread_do_not_make_infinite_z() -> None:
    """Peaks open in one bulk, in which no gene but the first is expressed: all background correlations are equal."""
    n = 50
    genes = np.zeros((n, 2))
    genes[[0, 1, 2], 0], genes[[0, 1], 1] = 1, 1
    peaks = np.zeros((n, 80))
    peaks[5, :70], peaks[0, 70:] = 1, 1
    x, y = prepare(genes, "spearman"), prepare(peaks, "spearman")
    chrom = np.where(np.arange(80) < 70, "1", "2")
    background = Background(np.arange(70), chrom, np.zeros((80, 1)), 40)
    first, second = np.array([0, 1]), np.array([70, 70])
    r, count = correlate_pairs(x, y, first, second)
    z, p = matched_null(r, count, first, second, x, y, background, nonzero=False, seed=0)
    background_r, _ = correlate_pairs(x, y, first, np.array([0, 0]))
    np.testing.assert_allclose(z, (fisher(r) - fisher(background_r)) * np.sqrt(n - 1))
    assert (p < 0.05).all()


def test_a_background_of_own_ties_leaves_out_one() -> None:
    near = np.array([[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(_null._without_own(near, np.array([1, 9])), [[0, 2], [3, 4]])


def test_too_few_peaks_on_other_chromosomes() -> None:
    x, y, first, second, background = setting(0)
    r, n = correlate_pairs(x, y, first, second)
    few = background._replace(pool=background.pool[background.chrom[background.pool] == "1"])
    with pytest.raises(ValueError, match="only 0 peaks that vary lie on other chromosomes than '1'"):
        matched_null(r, n, first, second, x, y, few, nonzero=False, seed=0)


def test_theoretical_p_is_near_scipys_and_uniform() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2000, 2, 60))
    found = [stats.spearmanr(x, y) for x, y in values]
    r = np.array([f[0] for f in found])
    z, p = theoretical_null(r, np.full(2000, 60), "spearman")
    np.testing.assert_allclose(p, [f[1] for f in found], atol=0.02)
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert abs(z.std() - 1) < 0.05


def test_perfect_correlations_are_finite_and_three_observations_tell_nothing() -> None:
    z, p = theoretical_null(np.array([1.0, -1.0, 1.0]), np.array([20, 20, 3]), "pearson")
    assert np.isfinite(z).all()
    assert p[0] == p[1] < 1e-6
    assert (z[2], p[2]) == (0, 1)


def test_false_discovery_rate_skips_what_has_no_p() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03])
    rate = false_discovery_rate(p)
    np.testing.assert_allclose(rate[[0, 2, 3]], [0.03, 0.04, 0.04])
    assert np.isnan(rate[1])
    assert np.isnan(false_discovery_rate(np.full(2, np.nan))).all()
