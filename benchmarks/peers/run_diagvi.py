"""DIAGVI (scvi-tools) with its defaults, on counts, linked by shared genes.

The likelihood is negative binomial for RNA and gene activity, and its mixture for proteins.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import scvi
from anndata import AnnData
from exchange import arguments, read_task, write_embedding
from scipy import sparse
from scvi.external import DIAGVI


def counts(adata: AnnData, suffix: str) -> AnnData:
    """Return the counts with the batch. Feature names get a suffix, because the guidance graph needs unique names."""
    values = sparse.csr_matrix(adata.layers["counts"], dtype=np.float32)
    return AnnData(values, obs=adata.obs, var=adata.var.set_axis(adata.var_names.astype(str) + suffix))


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    chromatin = task.second == "chromatin"
    other = task.of_kind("activity") if chromatin else task.cells[task.second]
    cells = {"rna": counts(task.rna, "_rna"), task.second: counts(other, "_other")}
    genes = other.var["gene"].astype(str)
    genes = genes[genes.isin(task.rna.var_names)]
    mapping = pd.DataFrame({"rna": (genes + "_rna").to_numpy(), task.second: (genes.index + "_other").to_numpy()})

    scvi.settings.seed = given.seed
    batch_key = "batch" if "batch" in task.rna.obs else None
    DIAGVI.setup_anndata(cells["rna"], batch_key=batch_key, likelihood="nb")
    DIAGVI.setup_anndata(cells[task.second], batch_key=batch_key, likelihood="nb" if chromatin else "nbmixture")
    model = DIAGVI(cells, mapping_df=mapping)
    model.train(accelerator="cpu")
    write_embedding(given.out, model.get_latent_representation(), task.cells, "scvi-tools", "torch")


if __name__ == "__main__":
    main()
