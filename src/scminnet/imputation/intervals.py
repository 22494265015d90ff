"""Intervals that hold a share of the measured values, by cells that were held out: split conformal prediction.

A cell's error is divided by the spread of its neighbours' values. The quantile of these over held-out cells, for each
feature, is the factor by which the spread is multiplied (Lei et al., JASA 2018).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

#: Held-out cells that all features together count as, beside a feature's own. With 30 held-out cells of one donor, the
#: coverage on the other donor then varies half as much between features.
POOLED_CELLS = 50

#: With fewer held-out cells, a quantile means nothing.
MIN_HELD_OUT = 20


class Calibration(NamedTuple):
    """Half the width of the interval, in units of the spread."""

    factors: np.ndarray
    """One number a feature, float32."""
    coverage: float
    """Share of values within the interval: on one half of the held-out cells by the other's factors, and reversed."""


def calibrate(errors: np.ndarray, level: float) -> Calibration:
    """Find the factors, and measure what they cover.

    Parameters
    ----------
    errors
        Held-out cells x features: absolute error, divided by the spread.
    level
        Share of the values to be within the interval.
    """
    halves = errors[::2], errors[1::2]
    within = [np.mean(test <= factors_of(other, level)) for test, other in (halves, halves[::-1])]
    return Calibration(factors_of(errors, level).astype(np.float32), float(np.mean(within)))


def factors_of(errors: np.ndarray, level: float) -> np.ndarray:
    """Return each feature's quantile of the errors, drawn towards the quantile of all features."""
    n = len(errors)
    # the next cell is one of n + 1, which a plain quantile forgets
    rank = min(math.ceil((n + 1) * level), n) - 1
    own = np.partition(errors, rank, axis=0)[rank]
    return (n * own + POOLED_CELLS * np.quantile(errors, level)) / (n + POOLED_CELLS)


def scaled_errors(measured: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Divide absolute errors by the spread. A feature without spread was constant, and has no error."""
    return np.divide(np.abs(measured - mean), spread, out=np.zeros_like(mean), where=spread > 0)
