"""Multigrate with the settings of its trimodal tutorial: paired cells, and cells of either modality alone.

RNA has counts, proteins the values of the benchmark (CLR), and peaks log-normalised counts. How a cell was measured is
the covariate that the latent space is integrated on.
"""

from __future__ import annotations

import multigrate
import numpy as np
import scanpy as sc
import scvi
from anndata import AnnData
from exchange import arguments, read_task, write_embedding
from multigrate.model import MultiVAE


def prepared(adata: AnnData, measured: str, *, log_counts: bool = False) -> AnnData:
    """Return the values with names that no other part has, and how the cells were measured."""
    obs = adata.obs[[]].set_axis(measured + " " + adata.obs_names).assign(Modality=measured)
    result = AnnData(adata.X, obs=obs, var=adata.var[[]], layers={"counts": adata.layers["counts"]})
    if log_counts:
        result.X = result.layers["counts"].copy()
        sc.pp.normalize_total(result, target_sum=1e4)
        sc.pp.log1p(result)
    return result


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    peaks = task.second == "chromatin"
    other = task.of_kind("peak") if peaks else task.cells[task.second]
    paired = task.pairs[task.second][:, other.var_names]

    scvi.settings.seed = given.seed
    parts = [
        [prepared(task.pairs["rna"], "paired"), prepared(task.rna, "rna"), None],
        [prepared(paired, "paired", log_counts=peaks), None, prepared(other, "other", log_counts=peaks)],
    ]
    cells = multigrate.data.organize_multimodal_anndatas(
        adatas=parts, layers=[["counts", "counts", None], [None, None, None]]
    )
    MultiVAE.setup_anndata(cells, categorical_covariate_keys=["Modality"], rna_indices_end=task.rna.n_vars)
    model = MultiVAE(
        cells,
        losses=["nb", "mse"],
        loss_coefs={"integ": 500},
        integrate_on="Modality",
        alignment_type="marginal",
        modality_alignment="MMD",
    )
    model.train(accelerator="cpu")
    model.get_model_output()
    measured = cells.obs["Modality"].astype(str).to_numpy()
    points = np.asarray(cells.obsm["X_multigrate"])
    embedding = {"rna": points[measured == "rna"], task.second: points[measured == "other"]}
    write_embedding(given.out, embedding, task.cells, "multigrate", "scvi-tools", "torch")


if __name__ == "__main__":
    main()
