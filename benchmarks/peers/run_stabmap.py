"""The core of StabMap (Ghazanfar et al., Nature Biotechnology 2024), in a few lines of our own.

The reference's paired cells have principal components of both modalities together. A linear model predicts these from
either modality alone, and is applied to the cells that have only this one. StabMap's second step, which corrects
batches, is left out.
"""

from __future__ import annotations

import numpy as np
from exchange import arguments, read_task, write_embedding
from prepare import joint_components, pca


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    parts = joint_components(task, given.seed)
    n_pairs = task.pairs["rna"].n_obs
    # either modality as a whole counts the same
    scaled = [points[:n_pairs] / np.linalg.norm(points[:n_pairs]) for points in parts.values()]
    target = pca(np.hstack(scaled), given.seed)
    embedding = {}
    for m, points in parts.items():
        known, new = points[:n_pairs], points[n_pairs:]
        weights, *_ = np.linalg.lstsq(known - known.mean(axis=0), target, rcond=None)
        embedding[m] = (new - known.mean(axis=0)) @ weights
    write_embedding(given.out, embedding, task.cells, "numpy", "scikit-learn")


if __name__ == "__main__":
    main()
