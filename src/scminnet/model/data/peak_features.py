"""Which features are peaks: those whose names are genomic positions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from scminnet._core.feature_names import INTERVAL_NAME


def are_peaks(names: Iterable[object]) -> np.ndarray:
    """Return whether each name is that of a peak, such as ``chr1:100-200``, bool."""
    return np.array([INTERVAL_NAME.fullmatch(str(name)) is not None for name in names], bool)
