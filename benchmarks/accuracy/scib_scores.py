"""Scores of scib-metrics for embeddings of the same cells. ``compare --scib`` calls it: ``EMBEDDINGS.npz SCORES.json``.

It runs in an environment that has scib-metrics and not this package. The batch of the batch scores is the modality. If
the data have batches, the scores are also given for those. Principal component regression is left out, because it
compares with values before integration, which the modalities do not share.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scib_metrics.benchmark import BatchCorrection, Benchmarker


def scores(embeddings: dict[str, np.ndarray], obs: pd.DataFrame, batch_key: str) -> pd.DataFrame:
    """Return the package's default measures and the means of both groups, one row an embedding."""
    first = next(iter(embeddings))
    benchmarker = Benchmarker(
        AnnData(embeddings[first], obs=obs.copy(), obsm=dict(embeddings)),
        batch_key=batch_key,
        label_key="label",
        embedding_obsm_keys=list(embeddings),
        batch_correction_metrics=BatchCorrection(pcr_comparison=False),
        # otherwise it computes principal components for the measure that is left out
        pre_integrated_embedding_obsm_key=first,
        progress_bar=False,
    )
    benchmarker.benchmark()
    found = benchmarker.get_results(min_max_scale=False).loc[list(embeddings)].astype(float)
    return found.rename(columns=lambda name: f"scib_{name.lower().replace(' ', '_')} ({batch_key})")


def main() -> None:
    """Score what the command line names."""
    with np.load(sys.argv[1]) as arrays:
        given = dict(arrays)
    obs = pd.DataFrame({key: given.pop(key) for key in ("label", "modality", "batch")}).astype("category")
    obs.index = obs.index.astype(str)
    keys = [key for key in ("modality", "batch") if obs[key].nunique() > 1]
    table = pd.concat([scores(given, obs, key) for key in keys], axis=1)
    Path(sys.argv[2]).write_text(table.to_json(orient="index"))


if __name__ == "__main__":
    main()
