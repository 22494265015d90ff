"""scConfluence as in its tutorials for RNA + ATAC and for CITE-seq."""

from __future__ import annotations

import muon as mu
import numpy as np
import scanpy as sc
import torch
from anndata import AnnData
from exchange import Task, arguments, read_task, shared_features, write_embedding
from mudata import MuData
from prepare import standardised
from scconfluence.model import ScConfluence
from scconfluence.unimodal import AutoEncoder
from scipy.spatial.distance import cdist

#: Dimensions of the embedding in the tutorials. The package does not allow more than there are features.
LATENT = 16

#: Peaks open in fewer cells are left out, as in the tutorial.
MIN_CELLS = 20


def prepared(task: Task, seed: int) -> MuData:
    """Return components and counts of both modalities, and distances by correlation of the shared features."""
    rna, other = task.rna, task.cells[task.second]
    parts = [standardised(part) for part in shared_features(rna, other)]
    # not centred, as in the tutorials
    sc.tl.pca(rna, n_comps=100, zero_center=False, random_state=seed)
    rna.layers["counts"] = rna.layers["counts"].toarray().astype(np.float32)
    if task.second == "chromatin":
        peaks = task.of_kind("peak")
        peaks.X = peaks.layers["counts"].astype(np.float32)
        sc.pp.filter_genes(peaks, min_cells=MIN_CELLS)
        mu.atac.pp.tfidf(peaks, log_tf=True, log_idf=True)
        sc.tl.pca(peaks, n_comps=100, zero_center=False, random_state=seed)
        other = AnnData(peaks.obsm["X_pca"], obs=other.obs)
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
        chosen = {"n_hidden": 32}
    second = AutoEncoder(other, modality=task.second, type_loss="l2", **chosen, **common)
    model = ScConfluence(mdata=mdata, unimodal_aes={"rna": rna, task.second: second})
    given.out.mkdir(parents=True)
    model.fit(save_path=given.out / "log", use_cuda=False, max_epochs=1_000)
    latent = model.get_latent(use_cuda=False)
    embedding = {m: latent.loc[mdata[m].obs_names].to_numpy() for m in task.cells}
    write_embedding(given.out, embedding, task.cells, "scconfluence", "torch", "pytorch-lightning")


if __name__ == "__main__":
    main()
