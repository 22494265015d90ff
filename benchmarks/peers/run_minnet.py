"""Both scminnet and the linear baseline. Words: a method of ``benchmarks.accuracy.main_job``, and ``peaks``.

Both are trained on the pairs of the reference. ``compare`` puts the root of the repository on this script's path.
"""

from __future__ import annotations

import os

import torch
from anndata import AnnData
from exchange import Task, arguments, read_task, write_embedding

from benchmarks.accuracy import main_job
from benchmarks.shared.development_sets import DevelopmentSet, together


def development_set(task: Task, *, peaks: bool) -> DevelopmentSet:
    """Join the reference and the cells as in ``main_job``. Chromatin is gene activity, with or without the peaks."""
    parts = []
    for modalities in (task.pairs, task.cells):
        chosen = {m: _features(adata, peaks) if m == task.second else adata for m, adata in modalities.items()}
        parts.append(together(chosen))
    train, test = parts
    columns = task.pairs["rna"].obs
    train.obs = columns.loc[train.obs_names]
    batch_key = "batch" if "batch" in columns else None
    return DevelopmentSet(train, test, tuple(task.cells), "label", batch_key)


def _features(adata: AnnData, peaks: bool) -> AnnData:
    return adata if peaks else adata[:, (adata.var["kind"] != "peak").to_numpy()].copy()


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    method, *features = given.words
    task = read_task(given.task)
    data = development_set(task, peaks=features == ["peaks"])
    # after the import of numba's functions, which set torch's threads
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    key = main_job.embed(method, data, given.seed)
    embedding = {m: data.test[m].obsm[key] for m in task.cells}
    write_embedding(given.out, embedding, task.cells, "scminnet", "scvi-tools", "torch", "scikit-learn")


if __name__ == "__main__":
    main()
