from __future__ import annotations

import numpy as np

from benchmarks.downstream import imputation


def test_measures_are_those_of_loops() -> None:
    rng = np.random.default_rng(0)
    types = np.array(list("ab"))[rng.integers(2, size=50)]
    measured = rng.normal(size=(50, 4)) + (types == "a")[:, None] * 3
    values = (measured + rng.normal(size=measured.shape)).astype(np.float32)
    kept = np.arange(50) > 4
    made = imputation.Imputed(values, values - 1.64, values + 1.64)
    found = imputation.measures(measured.astype(np.float32), made, types, kept)
    x, y, t = values[kept], measured[kept], types[kept]
    r = [np.corrcoef(x[:, j], y[:, j])[0, 1] for j in range(4)]
    assert abs(found["r"] - np.mean(r)) < 1e-5
    centred = [z - np.array([z[t == k].mean(axis=0) for k in t]) for z in (x, y)]
    inner = [np.corrcoef(centred[0][:, j], centred[1][:, j])[0, 1] for j in range(4)]
    assert abs(found["within types"] - np.mean(inner)) < 1e-5
    assert found["within types"] < found["r"]
    scaled = [(z - y.mean(axis=0)) / y.std(axis=0) for z in (x, y)]
    cells = [np.corrcoef(scaled[0][i], scaled[1][i])[0, 1] for i in range(len(x))]
    assert abs(found["per cell"] - np.mean(cells)) < 1e-5
    assert abs(found["coverage"] - np.mean(np.abs(x - y) <= 1.64)) < 1e-6
    assert abs(found["out"] - 0.1) < 1e-12


def test_a_constant_feature_has_no_correlation() -> None:
    assert imputation.correlate_columns(np.ones((5, 1)), np.arange(5.0)[:, None]) == 0
