"""Cobolt with the settings of its tutorial and its default number of epochs, on counts.

Peaks are filtered as there. Genes and proteins are not, because they are selected already.
"""

from __future__ import annotations

import pandas as pd
import torch
from anndata import AnnData
from cobolt.model import Cobolt
from cobolt.utils import MultiomicDataset, SingleData
from exchange import arguments, read_task, write_embedding


def single(adata: AnnData, modality: str, dataset: str, *, peaks: bool = False) -> SingleData:
    """Return the counts of one modality of one data set."""
    counts = adata.layers["counts"].tocsr().astype(float)
    features, cells = (names.to_numpy(dtype=str) for names in (adata.var_names, adata.obs_names))
    result = SingleData(modality, dataset, features, counts, cells)
    if peaks:
        result.filter_features(upper_quantile=0.99, lower_quantile=0.7)
    return result


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    peaks = task.second == "chromatin"
    other = task.of_kind("peak" if peaks else "protein")
    torch.manual_seed(given.seed)
    data = MultiomicDataset.from_singledata(
        single(task.rna, "rna", "rna"),
        single(other, task.second, task.second, peaks=peaks),
        single(task.pairs[task.second][:, other.var_names], task.second, "pairs", peaks=peaks),
        single(task.pairs["rna"], "rna", "pairs"),
    )
    model = Cobolt(dataset=data, lr=0.005, n_latent=10, device="cpu")
    model.train(num_epochs=100)
    model.calc_all_latent()
    points = pd.DataFrame(*model.get_all_latent())
    embedding = {m: points.loc[m + "~" + adata.obs_names].to_numpy() for m, adata in task.cells.items()}
    write_embedding(given.out, embedding, task.cells, "cobolt", "torch", "xgboost")


if __name__ == "__main__":
    main()
