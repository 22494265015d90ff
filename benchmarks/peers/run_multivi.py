"""MultiVI (scvi-tools) with its defaults, on counts: paired cells, and cells of either modality alone.

As in its tutorial, features of fewer than 1 % of the cells are left out, and the batch tells how a cell was measured. A
cell that lacks a modality has zeros there, by which MultiVI knows it.
"""

from __future__ import annotations

import numpy as np
import scvi
from anndata import AnnData
from exchange import arguments, read_task, write_embedding
from mudata import MuData
from scipy import sparse
from scvi.model import MULTIVI


def counts(parts: list[AnnData | int]) -> AnnData:
    """Return the counts of all parts below one another. A number stands for as many cells without this modality."""
    n_vars = next(part.n_vars for part in parts if isinstance(part, AnnData))
    blocks = [
        sparse.csr_matrix((part, n_vars), dtype=np.float32)
        if isinstance(part, int)
        else sparse.csr_matrix(part.layers["counts"], dtype=np.float32)
        for part in parts
    ]
    values = sparse.vstack(blocks, format="csr")
    frequent = values.getnnz(axis=0) >= 0.01 * values.shape[0]
    return AnnData(values[:, frequent])


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    other = task.of_kind("peak")
    pairs = task.pairs[task.second][:, other.var_names]
    n_pairs, n_rna, n_other = task.pairs["rna"].n_obs, task.rna.n_obs, other.n_obs
    cells = {
        "rna": counts([task.pairs["rna"], task.rna, n_other]),
        "atac": counts([pairs, n_rna, other]),
    }
    measured = np.repeat(["paired", "rna", "atac"], [n_pairs, n_rna, n_other])
    for adata in cells.values():
        adata.obs["measured"] = measured

    scvi.settings.seed = given.seed
    mdata = MuData(cells)
    MULTIVI.setup_mudata(
        mdata,
        batch_key="measured",
        modalities={"rna_layer": "rna", "atac_layer": "atac", "batch_key": "rna"},
    )
    model = MULTIVI(mdata)
    model.train(accelerator="cpu")
    points = model.get_latent_representation()
    embedding = {"rna": points[n_pairs : n_pairs + n_rna], task.second: points[n_pairs + n_rna :]}
    write_embedding(given.out, embedding, task.cells, "scvi-tools", "torch")


if __name__ == "__main__":
    main()
