"""What measures of paired cells have in common: two embeddings of the same cells, and a value in each direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scminnet._core.embeddings import check_embedding


@dataclass(frozen=True)
class BothWays:
    """A value from x to y, and one from y to x."""

    x_to_y: float
    y_to_x: float

    @property
    def mean(self) -> float:
        """Mean of both directions."""
        return (self.x_to_y + self.y_to_x) / 2


def paired_embeddings(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two embeddings of the same cells, raising unless they are finite matrices of one shape."""
    x, y = check_embedding(x, "x"), check_embedding(y, "y")
    if x.shape != y.shape:
        raise ValueError(
            f"`y` has shape {y.shape}, `x` {x.shape}. Give both for the same cells in the same order and dimensions."
        )
    return x, y
