"""The cells of a training and what is known of them, as all of its steps take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scminnet.model.network.canonical import RowsAndMoments


class TrainingData(NamedTuple):
    """The reference's cells, and those of the query if there is one."""

    modalities: Sequence[str]
    """The model's modalities, of which the reference may lack some."""
    features: Mapping[str, np.ndarray]
    """By modality, names of the features."""
    matrices: Mapping[str, Any]
    """By modality, row matrix of the reference, wherever it is stored."""
    positions: np.ndarray
    """Cells of the reference x modalities: row in the modality, -1 where not measured, int64."""
    labels: np.ndarray
    """Code of each cell's type, -1 if unlabelled, int64."""
    types: np.ndarray
    """Names of the types."""
    batches: np.ndarray
    """Batch of each cell of the reference."""
    groups: np.ndarray
    """Group of each cell of the reference, int64. Cells are coupled within groups."""
    query: Mapping[str, RowsAndMoments]
    """By modality, the query's rows and moments. Empty without a query."""

    def first_of_query(self) -> dict[str, int]:
        """Return by modality the number of the query's first cell.

        The query's cells are numbered after the reference's, modality by modality. Its pairs are not used.
        """
        firsts, first = {}, len(self.positions)
        for m, part in self.query.items():
            firsts[m] = first
            first += part.matrix.shape[0]
        return firsts

    def numbered(self) -> np.ndarray:
        """Return all cells x modalities: their row, int64. Rows of the query are counted after the reference's."""
        blocks = [self.positions]
        for m, part in self.query.items():
            block = np.full((part.matrix.shape[0], len(self.modalities)), -1, dtype=np.int64)
            block[:, list(self.modalities).index(m)] = self.matrices[m].shape[0] + np.arange(len(block))
            blocks.append(block)
        return np.concatenate(blocks)
