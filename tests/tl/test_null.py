from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats
from scipy.spatial import distance
from sklearn.linear_model import Ridge

from scminnet.tl import _null
from scminnet.tl._conditional import RIDGE, conditional_correlation, in_place
from scminnet.tl._correlation import Columns, correlate_pairs, prepare
from scminnet.tl._null import Background, false_discovery_rate, matched_null, theoretical_null


def setting(
    seed: int, n: int = 30, n_genes: int = 6, n_peaks: int = 240, n_covariates: int = 1, method: str = "spearman"
):
    """Genes and peaks driven by shared programmes, on three chromosomes, each gene paired with peaks of one."""
    rng = np.random.default_rng(seed)
    programmes = rng.normal(size=(n, 4))
    genes = np.exp(programmes @ rng.normal(size=(4, n_genes)))
    peaks = rng.poisson(np.exp(programmes @ rng.normal(size=(4, n_peaks)) + rng.normal(size=n_peaks)))
    x, y = prepare(genes, method), prepare(sparse.csr_matrix(peaks), method)
    chrom = rng.choice(["1", "2", "X"], n_peaks)
    first = np.repeat(np.arange(n_genes), 10)
    on = {c: np.flatnonzero((chrom == c) & (y.norm > 0)) for c in ("1", "2", "X")}
    second = np.concatenate([rng.choice(on["12X"[g % 3]], 10, replace=False) for g in range(n_genes)])
    covariates = rng.random((n_peaks, n_covariates))
    background = Background(np.flatnonzero(y.norm > 0), chrom, covariates, 40)
    return x, y, first, second, background


def dense(columns: Columns) -> np.ndarray:
    """Columns of mean 0 and length 1."""
    values = columns.values.toarray() - columns.mean
    return np.divide(values, columns.norm, out=np.zeros_like(values), where=columns.norm > 0)


def coefficients(peaks: np.ndarray, gene: np.ndarray) -> np.ndarray:
    """Ridge regression of a gene on peaks, as scikit-learn does it, on the scale of correlations."""
    return (1 + RIDGE) * Ridge(alpha=RIDGE, fit_intercept=False).fit(peaks, gene).coef_


@given(seed=st.integers(0, 1000), method=st.sampled_from(["spearman", "pearson"]), n_pairs=st.integers(1, 10))
@settings(max_examples=10, deadline=None)
def test_a_peak_in_place_of_another_is_regressed_with_the_others(seed: int, method: str, n_pairs: int) -> None:
    x, y, first, second, background = setting(seed, method=method)
    chosen = np.arange(len(first)) % 10 < n_pairs
    first, second = first[chosen], second[chosen]
    r, _ = correlate_pairs(x, y, first, second)
    others = np.random.default_rng(seed).choice(background.pool, (len(first), 3))
    genes, peaks = dense(x), dense(y)
    found = in_place(r, first, second, others, x, y)
    given = conditional_correlation(r, first, second, y)
    for k, gene in enumerate(first):
        of_gene = np.flatnonzero(first == gene)
        own = coefficients(peaks[:, second[of_gene]], genes[:, gene])
        np.testing.assert_allclose(given[k], own[of_gene == k], atol=1e-9)
        for i, other in enumerate(others[k]):
            columns = np.where(of_gene == k, other, second[of_gene])
            expected = coefficients(peaks[:, columns], genes[:, gene])[of_gene == k]
            np.testing.assert_allclose(found[k, i], expected, atol=1e-9)


@pytest.mark.parametrize("nonzero", [False, True])
@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
@pytest.mark.parametrize("n_covariates", [1, 2])
def test_z_and_p_equal_loops_over_pairs(monkeypatch, nonzero: bool, alternative: str, n_covariates: int) -> None:
    monkeypatch.setattr(_null, "N_NULL", 3000)
    method = "pearson" if nonzero else "spearman"
    x, y, first, second, background = setting(3, method=method, n_covariates=n_covariates)
    r, n = correlate_pairs(x, y, first, second, nonzero=nonzero)
    first, second, n, r = (array[~np.isnan(r)] for array in (first, second, n, r))
    values = theoretical_null(r, n, method)[0] if nonzero else conditional_correlation(r, first, second, y)
    z, p = matched_null(values, r, first, second, x, y, background, nonzero=nonzero, alternative=alternative, seed=5)
    others = _null._draw_others(second, background, 5)
    assert (background.chrom[others] != background.chrom[second][:, None]).all()
    assert np.isin(others, background.pool).all()
    if nonzero:
        found = [correlate_pairs(x, y, np.full(len(o), g), o, nonzero=True) for g, o in zip(first, others, strict=True)]
        in_places = np.array([theoretical_null(*each, method)[0] for each in found])
    else:
        in_places = in_place(r, first, second, others, x, y)

    def scores(peak: int, of_peak: np.ndarray) -> np.ndarray:
        away = distance.cdist(background.covariates[[peak]], background.covariates[background.pool])[0]
        near = background.pool[np.argsort(away)[: background.size]]
        of_near = in_places[np.isin(others, near) & ~np.isnan(in_places)]
        return (of_peak - of_near.mean()) / of_near.std(ddof=1)

    expected = [float(scores(peak, value)) for peak, value in zip(second, values, strict=True)]
    np.testing.assert_allclose(z, expected, atol=1e-9)
    null = np.concatenate([scores(peak, in_places[others == peak]) for peak in np.unique(others)])
    far = np.abs if alternative == "two-sided" else np.asarray
    null = far(null[~np.isnan(null)])
    shares = [(1 + np.sum(null >= value - 1e-9)) / (1 + len(null)) for value in far(np.array(expected))]
    np.testing.assert_allclose(p, shares)


def test_a_background_without_any_spread_tests_nothing() -> None:
    """Peaks open in one bulk, in which no gene is expressed: all values in place are equal."""
    n = 50
    genes = np.zeros((n, 2))
    genes[[0, 1, 2], 0], genes[[0, 1], 1] = 1, 1
    peaks = np.zeros((n, 80))
    peaks[5, :70], peaks[0, 70:] = 1, 1
    x, y = prepare(genes, "spearman"), prepare(peaks, "spearman")
    chrom = np.where(np.arange(80) < 70, "1", "2")
    background = Background(np.arange(70), chrom, np.zeros((80, 1)), 40)
    first, second = np.array([0]), np.array([70])
    r, _ = correlate_pairs(x, y, first, second)
    z, p = matched_null(r, r, first, second, x, y, background, nonzero=False, seed=0)
    assert np.isnan(z).all()
    assert np.isnan(p).all()


def test_too_few_peaks_on_other_chromosomes() -> None:
    x, y, first, second, background = setting(0)
    r, _ = correlate_pairs(x, y, first, second)
    few = background._replace(pool=background.pool[background.chrom[background.pool] == "1"])
    with pytest.raises(ValueError, match="only 0 peaks that vary lie on other chromosomes than '1'"):
        matched_null(r, r, first, second, x, y, few, nonzero=False, seed=0)


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


def test_weights_of_the_false_discovery_rate() -> None:
    p, weight = np.array([0.01, 0.02, np.nan, 0.9]), np.array([1.0, 4.0, 7.0, 1.0])
    # the mean weight of those tested is 2
    np.testing.assert_allclose(false_discovery_rate(p, weight)[[0, 1, 3]], [0.03, 0.03, 1])
    np.testing.assert_allclose(false_discovery_rate(p, np.full(4, 3.0)), false_discovery_rate(p))
