"""CLUE (`SCCLUEModel` of scglue) with the settings of its authors' entry to the NeurIPS 2021 competition.

Two things differ. It is trained once, on the pairs and the cells to embed, and not first on the pairs alone. And it
reconstructs only peaks that are open in a share of the cells, as GLUE here. Its encoder gets all peaks.
"""

from __future__ import annotations

import numpy as np
import scanpy as sc
import scglue
from anndata import AnnData
from exchange import arguments, read_task, write_embedding

#: Components of a modality.
N_COMPONENTS = 100

#: Share of cells in which a peak that is reconstructed is open.
MIN_SHARE = 0.01

#: Settings by the second modality: number of genes, network, and weights of the loss.
SETTINGS = {
    "chromatin": (
        10_000,
        {"latent_dim": 50, "x2u_h_dim": 512, "u2x_h_depth": 1, "u2x_h_dim": 256, "du_h_depth": 1, "du_h_dim": 256},
        {"lam_kl": 0.3, "lam_align": 0.02, "lam_joint_cross": 1.0, "lam_cos": 0.02},
    ),
    "adt": (
        5_000,
        {"latent_dim": 20, "x2u_h_dim": 512, "u2x_h_depth": 1, "u2x_h_dim": 128, "du_h_depth": 2, "du_h_dim": 128},
        {"lam_kl": 1.0, "lam_align": 2.0, "lam_joint_cross": 2.0, "lam_cos": 1.0},
    ),
}


def scaled(adata: AnnData, seed: int) -> np.ndarray:
    """Return components of the scaled features that are reconstructed, or these themselves if they are few."""
    used = adata[:, adata.var["highly_variable"]].copy()
    sc.pp.scale(used, max_value=10)
    if used.n_vars <= N_COMPONENTS:
        return np.asarray(used.X)
    return sc.pp.pca(np.asarray(used.X), n_comps=N_COMPONENTS, random_state=seed)


def lsi(peaks: AnnData, seed: int) -> np.ndarray:
    """Latent semantic indexing of all peaks."""
    values = AnnData(peaks.layers["counts"])
    scglue.data.lsi(values, n_components=N_COMPONENTS, use_highly_variable=False, n_iter=15, random_state=seed)
    return values.obsm["X_lsi"]


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    peaks = task.second == "chromatin"
    n_genes, network, weights = SETTINGS[task.second]
    cells = task.with_pairs()
    rna, other = cells["rna"], cells[task.second]

    sc.pp.highly_variable_genes(rna, n_top_genes=min(n_genes, rna.n_vars), flavor="seurat_v3", layer="counts")
    rna.obsm["input"] = scaled(rna, given.seed)
    if peaks:
        other.var["highly_variable"] = np.ravel((other.layers["counts"] > 0).mean(axis=0)) >= MIN_SHARE
        other.obsm["input"] = lsi(other, given.seed)
    else:
        other.var["highly_variable"] = True
        other.X = other.X.toarray()
        other.obsm["input"] = scaled(other, given.seed)

    batch = {"use_batch": "batch"} if "batch" in rna.obs else {}
    for adata in cells.values():
        scglue.models.configure_dataset(adata, "NB", use_layer="counts", use_rep="input", use_obs_names=True, **batch)
    shared = bool(batch) and set(rna.obs["batch"]) == set(other.obs["batch"])
    model = scglue.models.SCCLUEModel(cells, shared_batches=shared, random_seed=given.seed, **network)
    model.compile(**weights)
    given.out.mkdir(parents=True)
    model.fit(cells, directory=str(given.out / "log"))
    n_pairs = task.pairs["rna"].n_obs
    embedding = {m: model.encode_data(m, adata[n_pairs:].copy()) for m, adata in cells.items()}
    write_embedding(given.out, embedding, task.cells, "scglue", "torch")


if __name__ == "__main__":
    main()
