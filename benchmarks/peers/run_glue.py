"""GLUE (scglue) as in its tutorial, for RNA and chromatin. A gene is linked to the peaks that gene activity sums.

One thing differs: it reconstructs only peaks that are open in a share of the cells. All 25,734 peaks of cortex would
take 15 to 20 s an epoch, for up to 1,051 epochs, twice. Its encoder gets all peaks.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import scanpy as sc
import scglue
from exchange import arguments, read_task, write_embedding

#: Share of cells in which a peak that is reconstructed is open.
MIN_SHARE = 0.01


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    rna, peaks = task.rna, task.of_kind("peak")
    sc.pp.highly_variable_genes(rna, n_top_genes=min(2000, rna.n_vars), flavor="seurat_v3", layer="counts")
    genes = rna.var_names[rna.var["highly_variable"]]
    share = (peaks.layers["counts"] > 0).mean(axis=0)
    peaks.var["highly_variable"] = peaks.var["gene"].isin(genes).to_numpy() & (np.ravel(share) >= MIN_SHARE)
    sc.pp.scale(rna)
    sc.tl.pca(rna, n_comps=100, svd_solver="auto", random_state=given.seed)
    peaks.X = peaks.layers["counts"]
    scglue.data.lsi(peaks, n_components=100, n_iter=15, random_state=given.seed)

    guidance = nx.MultiDiGraph()
    linked = peaks.var[peaks.var["highly_variable"]]
    for peak, gene in linked["gene"].items():
        guidance.add_edge(gene, peak, weight=1.0, sign=1, type="fwd")
        guidance.add_edge(peak, gene, weight=1.0, sign=1, type="rev")
    for name in [*genes, *linked.index]:
        guidance.add_edge(name, name, weight=1.0, sign=1, type="loop")

    batch = {"use_batch": "batch"} if "batch" in rna.obs else {}
    scglue.models.configure_dataset(rna, "NB", use_highly_variable=True, use_layer="counts", use_rep="X_pca", **batch)
    scglue.models.configure_dataset(peaks, "NB", use_highly_variable=True, use_rep="X_lsi", **batch)
    cells = {"rna": rna, task.second: peaks}
    given.out.mkdir(parents=True)
    model = scglue.models.fit_SCGLUE(
        cells, guidance, init_kws={"random_seed": given.seed}, fit_kws={"directory": str(given.out / "log")}
    )
    embedding = {m: model.encode_data(m, adata) for m, adata in cells.items()}
    write_embedding(given.out, embedding, task.cells, "scglue", "torch")


if __name__ == "__main__":
    main()
