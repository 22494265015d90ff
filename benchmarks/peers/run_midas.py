"""MIDAS with its defaults for data of one's own, on counts: paired cells, and cells of either modality alone.

Its documentation advises 1,000 to 2,000 epochs, and to encode chromatin by chromosome. How a cell was measured is its
batch.
"""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import scmidas
from anndata import AnnData
from exchange import arguments, read_task, write_embedding
from lightning import seed_everything
from mudata import MuData
from scmidas.config import load_config

#: Passes over the data.
EPOCHS = 2000

#: Names of the second modality in MIDAS.
NAMES = {"chromatin": "atac", "adt": "adt"}


def counts(adata: AnnData, measured: str) -> AnnData:
    """Return the counts, and how the cells were measured."""
    obs = adata.obs[[]].assign(measured=measured)
    return AnnData(adata.layers["counts"].astype(np.float32), obs=obs, var=adata.var[[]])


def by_chromosome(peaks: AnnData) -> tuple[AnnData, list[int]]:
    """Order the peaks by chromosome, and count those of each."""
    chromosome = pd.Series(peaks.var_names.str.split("[:-]").str[0])
    order = np.argsort(chromosome, kind="stable")
    return peaks[:, order].copy(), chromosome.value_counts().sort_index().tolist()


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    peaks = task.second == "chromatin"
    query = {"rna": task.rna, task.second: task.of_kind("peak" if peaks else "protein")}
    second = NAMES[task.second]
    cells = {
        NAMES.get(m, m): ad.concat([counts(task.pairs[m][:, adata.var_names], "paired"), counts(adata, m)])
        for m, adata in query.items()
    }
    sizes = {}
    if peaks:
        cells[second], sizes[second] = by_chromosome(cells[second])

    seed_everything(given.seed)
    mdata = MuData(cells)
    scmidas.MIDAS.setup_mudata(mdata, batch_key="measured", dims_x=sizes or None)
    configs = load_config() | {"num_workers": 0, "pin_memory": False, "persistent_workers": False}
    model = scmidas.MIDAS(mdata, configs=configs, save_model_path=str(given.out / "models"), n_save=EPOCHS)
    model.train(max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False)
    points = pd.DataFrame(model.get_latent_representation(), index=mdata.obs_names)
    embedding = {m: points.loc[adata.obs_names].to_numpy() for m, adata in task.cells.items()}
    write_embedding(given.out, embedding, task.cells, "scmidas", "torch")


if __name__ == "__main__":
    main()
