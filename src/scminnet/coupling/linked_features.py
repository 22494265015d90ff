"""The linked features, by which cells of two modalities are compared."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse


class LinkedFeatures(NamedTuple):
    """The linked features, by which cells are compared: those of the modality with fewer, and the sums linked to them.

    All peaks of a gene are summed, because a single peak is hardly correlated with its gene. All genes of a protein
    complex are summed too.
    """

    first: sparse.csr_matrix
    """Features of the first modality x linked features."""
    second: sparse.csr_matrix
    """Features of the second modality x linked features."""
    weights: np.ndarray
    """Largest weight of each linked feature, float32."""
    side: int
    """Side on which each linked feature is a single feature."""
    features: np.ndarray
    """The feature of that side, int64."""

    @classmethod
    def of(cls, links: sparse.csr_matrix) -> LinkedFeatures:
        """Find the linked features of a matrix of links."""
        rows, columns = (np.flatnonzero(links.getnnz(axis=axis)) for axis in (1, 0))
        if len(rows) <= len(columns):
            weights = links[rows].max(axis=1).toarray().ravel()
            return cls(_selection(rows, links.shape[0]), links[rows].T.tocsr(), weights, 0, rows)
        weights = links[:, columns].max(axis=0).toarray().ravel()
        return cls(links[:, columns].tocsr(), _selection(columns, links.shape[1]), weights, 1, columns)

    def of_side(self, side: int) -> sparse.csr_matrix:
        """Return the matrix of a side."""
        return self.first if side == 0 else self.second


def _selection(chosen: np.ndarray, n: int) -> sparse.csr_matrix:
    one = np.ones(len(chosen), np.float32)
    return sparse.csr_matrix((one, (chosen, np.arange(len(chosen)))), shape=(n, len(chosen)))
