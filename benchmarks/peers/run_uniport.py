"""uniPort as in its tutorial on RNA with gene activity: horizontal mode, 30,000 iterations.

It uses shared and specific variable genes.
"""

from __future__ import annotations

import numpy as np
import scanpy as sc
import uniport as up
from anndata import AnnData, concat
from exchange import Task, arguments, read_task, shared_features, write_embedding


def prepared(adata: AnnData, domain: int) -> AnnData:
    """Return the counts alone, with the number of their domain, and its name, by which features are scaled."""
    adata = AnnData(adata.layers["counts"].astype(np.float32), obs=adata.obs[[]], var=adata.var[[]])
    adata.obs["domain_id"] = domain
    adata.obs["domain_id"] = adata.obs["domain_id"].astype("category")
    adata.obs["source"] = f"domain {domain}"
    return adata


def scaled(adata: AnnData) -> AnnData:
    """Normalise, choose and scale as the tutorial does, together and apart."""
    adata = adata.copy()
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    if adata.n_vars > 2000:
        sc.pp.highly_variable_genes(adata, n_top_genes=2000, subset=True)
    up.batch_scale(adata)
    return adata


def specific(task: Task) -> AnnData:
    """The other modality as genes: activity, or all proteins."""
    return task.of_kind("activity") if task.second == "chromatin" else task.cells[task.second]


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    # the other modality comes first, RNA, which is the reference, last
    rna, other = shared_features(task.rna, task.cells[task.second])
    common = concat([prepared(other, 0), prepared(rna, 1)])
    common.obs["domain_id"] = common.obs["domain_id"].astype("category")
    apart = [scaled(prepared(specific(task), 0)), scaled(prepared(task.rna, 1))]
    given.out.mkdir(parents=True)
    result = up.Run(
        adatas=apart, adata_cm=scaled(common), lambda_s=1.0, seed=given.seed, outdir=f"{given.out}/", num_workers=0
    )
    second, first = np.split(result.obsm["latent"], [other.n_obs])
    write_embedding(given.out, {"rna": first, task.second: second}, task.cells, "uniport", "torch")


if __name__ == "__main__":
    main()
