"""FOSCTTM: how many cells of the other modality come closer than the cell itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from tqdm.auto import tqdm

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count
from scminnet._core.keys import SHOW_PROGRESS_FROM
from scminnet.metrics._both_ways import BothWays, paired_embeddings
from scminnet.metrics._checks import NotDefinedError


@dataclass(frozen=True)
class Foscttm(BothWays):
    """Fraction of cells closer than the true match, in [0, 1], in both directions; lower is better.

    Attributes
    ----------
    x_to_y
        Cells of x look for their match among the cells of y.
    y_to_x
        Cells of y look for their match among the cells of x.
    """


@check_types
def foscttm(x: np.ndarray, y: np.ndarray, *, chunk_size: int = 512) -> Foscttm:
    r"""Measure the fraction of samples closer than the true match.

    For cell *i* of n it counts the cells of the other modality strictly closer by Euclidean distance than the
    cell's own profile there, and averages over the cells:

    .. math:: \frac{1}{n}\sum_i \frac{\#\{j : \lVert x_i - y_j\rVert < \lVert x_i - y_i\rVert\}}{n}

    Both denominators are n, as in the paper and in GLUE. 0 is perfect, random pairing gives 0.5, and (n - 1) / n is the
    worst. Cells exactly as far away as the true match do not count. An embedding that puts all cells on one point
    therefore scores 0, so read FOSCTTM together with label transfer.

    Parameters
    ----------
    x
        Embedding of n cells by one modality, array (n, d).
    y
        Embedding of the same cells, in the same order, by the other modality, array (n, d).
    chunk_size
        Rows of ``x`` compared at a time. Memory is ``chunk_size`` x n distances of 8 bytes. The result does not depend
        on it.

    Returns
    -------
    Foscttm with ``x_to_y``, ``y_to_x`` and ``mean``.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        The arrays are not finite numeric matrices of one shape, hold fewer than two cells, or ``chunk_size`` is not
        a whole number of at least 1.

    Examples
    --------
    >>> foscttm([[0.0], [1.0], [2.0]], [[0.0], [1.0], [0.9]]).x_to_y  # cell 2 of 3 has one cell closer than its match
    0.1111111111111111
    """
    x, y = paired_embeddings(x, y)
    check_count(chunk_size, "chunk_size")
    n = len(x)
    if n < 2:
        raise NotDefinedError(f"`x` holds {n} cells: FOSCTTM needs two or more cells measured in both modalities.")
    # double precision and differences: x² + y² - 2xy loses ties, and small distances far from the origin
    x, y = x.astype(np.float64), y.astype(np.float64)
    chunks = [slice(start, start + chunk_size) for start in range(0, n, chunk_size)]
    # by cdist as well, so that a distance and its equal are equal to the last bit
    own = np.concatenate([cdist(x[rows], y[rows], "sqeuclidean").diagonal() for rows in chunks])
    closer_in_y, closer_in_x = 0, 0
    for rows in tqdm(chunks, desc="FOSCTTM", disable=n < SHOW_PROGRESS_FROM):
        distance = cdist(x[rows], y, "sqeuclidean")
        closer_in_y += int(np.count_nonzero(distance < own[rows, None]))
        closer_in_x += int(np.count_nonzero(distance < own))
    return Foscttm(x_to_y=float(closer_in_y / n**2), y_to_x=float(closer_in_x / n**2))
