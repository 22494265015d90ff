"""LIGER as in pyliger's tutorials: factors of the shared features' counts, then quantile normalisation.

Words: ``inmf`` or ``online``.
"""

from __future__ import annotations

import os
import tempfile

import numpy as np
import pyliger
from anndata import AnnData
from exchange import arguments, read_task, shared_features, write_embedding
from scipy import sparse

#: The tutorials' number of factors; it has to be less than that of the features.
FACTORS = 20


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    parts = shared_features(task.rna, task.cells[task.second])
    # a gene that no cell of a modality has cannot be scaled
    found = np.logical_and(*(np.asarray(part.layers["counts"].sum(axis=0)).ravel() > 0 for part in parts))
    samples = []
    for modality, part in zip(task.cells, (part[:, found] for part in parts), strict=True):
        counts = sparse.csr_matrix(part.layers["counts"], dtype=np.float64)
        sample = AnnData(counts, obs=part.obs[[]].rename_axis("cell"), var=part.var[[]].rename_axis("gene"))
        sample.uns["sample_name"] = modality
        samples.append(sample)
    # it writes files into the working folder
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        # else it drops cells without counts
        liger = pyliger.create_liger(samples, remove_missing=False)
        pyliger.normalize(liger, remove_missing=False)
        # all shared features: they were chosen before
        liger.var_genes = np.asarray(samples[0].var_names)
        pyliger.scale_not_center(liger, remove_missing=False)
        k = min(FACTORS, samples[0].n_vars - 1)
        np.random.seed(given.seed)  # noqa: NPY002  the online algorithm has no other seed
        if given.words == ["online"]:
            pyliger.online_iNMF(liger, k=k, rand_seed=given.seed + 1)
        else:
            pyliger.optimize_ALS(liger, k=k, rand_seed=given.seed + 1)
        pyliger.quantile_norm(liger, rand_seed=given.seed + 1)
        os.chdir("/")
    embedding = {adata.uns["sample_name"]: np.asarray(adata.obsm["H_norm"]) for adata in liger.adata_list}
    write_embedding(given.out, embedding, task.cells, "pyliger", "scikit-learn")


if __name__ == "__main__":
    main()
