"""scminnet with feature links: given pairs beside the cells, or nothing. Words: ``types``, ``peaks``.

Features that the task gives the same gene are linked. ``compare`` puts the root of the repository on this script's
path.
"""

from __future__ import annotations

import os

import pandas as pd
import torch
from exchange import Task, arguments, read_task, write_embedding
from run_minnet import of_kinds

import scminnet as mn
from benchmarks.shared.development_sets import together


def links(task: Task) -> pd.DataFrame:
    """Return the pairs of a gene of RNA and a feature of the other modality."""
    var = task.cells[task.second].var
    table = pd.DataFrame({"rna": var["gene"].astype(str), task.second: var.index})
    return table[table["rna"].isin(task.rna.var_names)]


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    full = read_task(given.task)
    chosen = of_kinds(full, peaks="peaks" in given.words)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    cells = together(chosen.cells)
    training = together(chosen.pairs) if chosen.pairs else cells
    mn.pp.feature_links(training, "rna", chosen.second, table=links(chosen))
    labels_key = "label" if "types" in given.words else None
    if labels_key:
        training.obs = chosen.pairs["rna"].obs.loc[training.obs_names]
    mn.MinNet.setup_mudata(training, list(chosen.cells), labels_key=labels_key)
    model = mn.MinNet(training, seed=given.seed)
    query = cells if chosen.pairs else None
    model.train(query=query, seed=given.seed, enable_progress_bar=False, accelerator="cpu")
    embedding = {m: model.get_latent_representation(cells, modality=m) for m in cells.mod}
    write_embedding(given.out, embedding, chosen.cells, "scminnet", "scvi-tools", "torch", "scikit-learn")


if __name__ == "__main__":
    main()
