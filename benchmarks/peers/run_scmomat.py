"""scMoMaT with its defaults and the preprocessing of its demo: the pairs and each modality's cells are its batches.

As in the demo, cells with chromatin only get binary pseudo-counts of the genes, here from gene activity. The embedding
is the cell factors: what follows in the demo is a graph of neighbours.
"""

from __future__ import annotations

import numpy as np
import scmomat
from anndata import AnnData
from exchange import arguments, read_task, write_embedding


def counts(adata: AnnData) -> np.ndarray:
    """Return the counts as a dense matrix."""
    return adata.layers["counts"].toarray()


def pseudo_counts(cells: AnnData, rna: AnnData) -> np.ndarray:
    """Return for each gene of RNA whether a cell has activity there."""
    activity = cells[:, (cells.var["kind"] == "activity").to_numpy()]
    result = np.zeros((cells.n_obs, rna.n_vars))
    place = rna.var_names.get_indexer(activity.var["gene"])
    known = place >= 0
    result[:, place[known]] = counts(activity)[:, known] > 0
    return result


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    peaks = task.second == "chromatin"
    cells = task.cells[task.second]
    other = task.of_kind("peak" if peaks else "protein")
    pairs = task.pairs[task.second][:, other.var_names]
    kind = "ATAC" if peaks else "protein"

    rna = [scmomat.preprocess(counts(part), modality="RNA", log=False) for part in (task.pairs["rna"], task.rna)]
    second = [scmomat.preprocess(counts(part), modality=kind) for part in (pairs, other)]
    data = {
        "nbatches": 3,
        "feats_name": {"rna": task.rna.var_names.to_numpy(), "second": other.var_names.to_numpy()},
        "rna": [*rna, pseudo_counts(cells, task.rna) if peaks else None],
        "second": [second[0], None, second[1]],
    }
    model = scmomat.scmomat_model(counts=data, seed=given.seed)
    model.train_func()
    _, *points = model.extract_cell_factors()
    embedding = dict(zip(("rna", task.second), points, strict=True))
    write_embedding(given.out, embedding, task.cells, "scmomat", "torch")


if __name__ == "__main__":
    main()
