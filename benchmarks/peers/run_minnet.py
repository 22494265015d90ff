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


def of_kinds(task: Task, *, peaks: bool) -> Task:
    """Keep the peaks, or leave them out."""

    def chosen(modalities: dict[str, AnnData]) -> dict[str, AnnData]:
        return {m: x if peaks else x[:, (x.var["kind"] != "peak").to_numpy()].copy() for m, x in modalities.items()}

    return Task(chosen(task.cells), chosen(task.pairs))


def development_set(task: Task, *, peaks: bool) -> DevelopmentSet:
    """Join the reference and the cells as in ``main_job``. Chromatin is gene activity, with or without the peaks."""
    cells, pairs = of_kinds(task, peaks=peaks)
    train, test = together(pairs), together(cells)
    columns = pairs["rna"].obs
    train.obs = columns.loc[train.obs_names]
    batch_key = "batch" if "batch" in columns else None
    return DevelopmentSet(train, test, tuple(cells), "label", batch_key)


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
