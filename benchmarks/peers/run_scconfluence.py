"""scConfluence as in its tutorials and its paper's settings for RNA + ATAC and for CITE-seq (cantinilab/scc_reproducibility)."""

from __future__ import annotations

import numpy as np
import torch
from anndata import AnnData
from exchange import Task, arguments, read_task, shared_features, write_embedding
from mudata import MuData
from prepare import lsi, pca, standardised
from scconfluence.model import ScConfluence
from scconfluence.unimodal import AutoEncoder
from scipy.spatial.distance import cdist

#: The paper's size of the embedding. The package wants no more than there are features, which for few proteins is less.
LATENT = 16


def prepared(task: Task, seed: int) -> MuData:
    """Components and counts of both modalities, and the distances of their cells by the shared features' correlation."""
    rna, other = task.rna, task.cells[task.second]
    parts = [standardised(part) for part in shared_features(rna, other)]
    rna.obsm["X_pca"] = pca(standardised(rna), seed, 100)
    rna.layers["counts"] = rna.layers["counts"].toarray().astype(np.float32)
    if task.second == "chromatin":
        other = AnnData(lsi(task.of_kind("peak"), seed, 100), obs=other.obs)
    else:
        other = AnnData(np.asarray(other.X.toarray(), dtype=np.float32), obs=other.obs)
    mdata = MuData({"rna": rna, task.second: other})
    key = f"cross_rna+{task.second}"
    mdata.uns[key] = cdist(*parts, metric="correlation").astype(np.float32)
    mdata.uns["cross_keys"] = [key]
    return mdata


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    mdata = prepared(task, given.seed)
    batch_key = "batch" if "batch" in task.rna.obs else None
    torch.manual_seed(given.seed)
    np.random.seed(given.seed)  # noqa: NPY002  it has no other seed
    other = mdata[task.second]
    n_latent = min(LATENT, other.n_vars)
    common = {"batch_key": batch_key, "n_latent": n_latent}
    rna = AutoEncoder(mdata["rna"], modality="rna", rep_in="X_pca", rep_out="counts", type_loss="zinb", **common)
    if task.second == "chromatin":
        chosen = {"n_hidden": 64, "reconstruction_weight": 5.0}
    else:
        chosen = {"n_hidden": 20}
    second = AutoEncoder(other, modality=task.second, type_loss="l2", **chosen, **common)
    model = ScConfluence(mdata=mdata, unimodal_aes={"rna": rna, task.second: second})
    given.out.mkdir(parents=True)
    model.fit(save_path=given.out / "log", use_cuda=False, max_epochs=10_000)
    latent = model.get_latent(use_cuda=False)
    embedding = {m: latent.loc[mdata[m].obs_names].to_numpy() for m in task.cells}
    write_embedding(given.out, embedding, task.cells, "scconfluence", "torch", "pytorch-lightning")


if __name__ == "__main__":
    main()
