"""Principal components of the shared features, each modality standardised separately, with or without Harmony.

Words: ``pca`` or ``harmony``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from exchange import arguments, read_task, shared_features, write_embedding
from prepare import pca, standardised


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    parts = shared_features(task.rna, task.cells[task.second])
    values = np.concatenate([standardised(part) for part in parts])
    points = pca(values, given.seed)
    packages = ["scanpy", "scikit-learn"]
    if given.words == ["harmony"]:
        import harmonypy

        covariates = pd.DataFrame({"modality": np.repeat(list(task.cells), [part.n_obs for part in parts])})
        if "batch" in parts[0].obs:
            covariates["batch"] = np.concatenate([part.obs["batch"].astype(str) for part in parts])
        result = harmonypy.run_harmony(points, covariates, list(covariates), random_state=given.seed, verbose=False)
        points = result.Z_corr
        packages.append("harmonypy")
    embedding = dict(zip(task.cells, np.split(points, [parts[0].n_obs]), strict=True))
    write_embedding(given.out, embedding, task.cells, *packages)


if __name__ == "__main__":
    main()
