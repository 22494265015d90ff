"""scPairing as in its basic tutorial: trained on the pairs, 300 epochs, without decoder.

Its input is ten principal components of RNA, and ten LSI components of peaks, of the reference and the cells to embed
together. Genes are not selected, because the benchmark's are selected already. Proteins have the values of the
benchmark (CLR).
"""

from __future__ import annotations

import muon
import numpy as np
import scanpy as sc
from anndata import AnnData
from exchange import arguments, read_task, write_embedding
from scPairing import scPairing

#: Components of a modality, and epochs.
N_COMPONENTS, EPOCHS = 10, 300


def rna_components(rna: AnnData, seed: int) -> np.ndarray:
    """Principal components of all genes."""
    rna.X = rna.layers["counts"].copy()
    sc.pp.normalize_total(rna)
    sc.pp.log1p(rna)
    sc.pp.pca(rna, n_comps=N_COMPONENTS, random_state=seed)
    return rna.obsm["X_pca"]


def peak_components(peaks: AnnData) -> np.ndarray:
    """Latent semantic indexing."""
    peaks.X = peaks.layers["counts"].astype("float32")
    muon.atac.pp.tfidf(peaks)
    muon.atac.tl.lsi(peaks, n_comps=N_COMPONENTS)
    return peaks.obsm["X_lsi"]


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    peaks = task.second == "chromatin"
    n_pairs = task.pairs["rna"].n_obs
    cells = task.with_pairs()
    rna, other = cells["rna"], cells[task.second]
    rna.obsm["input"] = rna_components(rna, given.seed)
    other.obsm["input"] = peak_components(other) if peaks else other.X.toarray()

    pairs = {m: adata[:n_pairs].copy() for m, adata in cells.items()}
    model = scPairing(
        *pairs.values(),
        mod2_type="atac" if peaks else "protein",
        transformed_obsm="input",
        use_decoder=False,
        seed=given.seed,
    )
    model.train(epochs=EPOCHS)
    embedding = {
        m: model.get_cross_modality_expression(m == "rna", adata[n_pairs:].copy())[1] for m, adata in cells.items()
    }
    write_embedding(given.out, embedding, task.cells, "scPairing", "torch")


if __name__ == "__main__":
    main()
