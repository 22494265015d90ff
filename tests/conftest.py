from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest


def data_dir() -> Path | None:
    """Folder of the real data sets, if this machine has them."""
    given = os.environ.get("SCMINNET_DATA")
    candidate = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    return candidate if candidate.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = data_dir()
    if folder is None:
        pytest.skip("real data sets are not at $SCMINNET_DATA or ../shared/data")
    return folder


def _naive_ward_order(points: np.ndarray) -> list[int]:
    """Ward's tree by its definition, from all pairs at each merge, its branches laid in a row by loops over lists."""
    points = np.asarray(points, dtype=float)

    def mean(cluster: list[int]) -> np.ndarray:
        return points[cluster].mean(axis=0)

    def spread(cluster: list[int]) -> float:
        return ((points[cluster] - mean(cluster)) ** 2).sum()

    clusters, merges = [[i] for i in range(len(points))], []
    while len(clusters) > 1:
        pairs = [(a, b) for i, a in enumerate(clusters) for b in clusters[:i]]
        a, b = min(pairs, key=lambda pair: spread(pair[0] + pair[1]) - spread(pair[0]) - spread(pair[1]))
        merges.append((a, b))
        clusters = [c for c in clusters if c is not a and c is not b] + [a + b]
    row = [sorted(range(len(points)))]
    for a, b in reversed(merges):
        at = next(i for i, cluster in enumerate(row) if sorted(cluster) == sorted(a + b))

        def cost(first: list[int], last: list[int], at: int = at) -> float:
            if len(row) == 1:
                return mean(first)[0]
            left = ((mean(row[at - 1]) - mean(first)) ** 2).sum() if at else 0
            return left + (((mean(row[at + 1]) - mean(last)) ** 2).sum() if at + 1 < len(row) else 0)

        row[at : at + 1] = [a, b] if cost(a, b) < cost(b, a) else [b, a]
    return [i for cluster in row for i in cluster]


@pytest.fixture(scope="session")
def naive_ward_order() -> Callable[[np.ndarray], list[int]]:
    return _naive_ward_order


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C interrupt. Programs in the background of a shell ignore it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)
