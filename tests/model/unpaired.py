"""Cells of which each modality was measured in others, and whose true partners are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scanpy as sc
from mudata import MuData

import scminnet as mn
from scminnet import MinNet

SMALL = {"n_hidden": 32, "n_components": 15, "n_canonical": 10}


def simulated(n_cells: int = 260, seed: int = 0) -> MuData:
    """Paired cells with RNA, ATAC and proteins, log-normalised, little batch effect."""
    mdata = mn.datasets.simulate_multiome(
        n_cells,
        n_types=4,
        n_lineages=2,
        n_batches=2,
        n_genes=200,
        n_peaks=600,
        n_proteins=40,
        batch_effect=0.05,
        seed=seed,
    )
    for adata in mdata.mod.values():
        sc.pp.normalize_total(adata, target_sum=1e3)
        sc.pp.log1p(adata)
    return mdata


def protein_links(full: MuData) -> pd.DataFrame:
    """Table of proteins and their genes."""
    var = full["adt"].var
    return pd.DataFrame({"rna": var["gene"].astype(str).to_numpy(), "adt": var.index, "weight": 1.0})


def split(full: MuData, modalities: tuple[str, ...] = ("rna", "adt"), paired: int = 0, *, links: bool = True) -> MuData:
    """Give each modality's cells names of their own, except for the first ``paired``."""
    parts = {}
    for m in modalities:
        adata = full[m].copy()
        own = [name if i < paired else f"{name}_{m}" for i, name in enumerate(adata.obs_names)]
        adata.obs = full.obs.loc[adata.obs_names, ["cell_type", "batch"]].set_axis(own)
        # cells of the modalities are in different orders
        order = np.random.default_rng(len(m) + sum(map(ord, m))).permutation(adata.n_obs)
        parts[m] = adata[order].copy()
    mdata = MuData(parts)
    for column in ("cell_type", "batch"):
        values = pd.concat([a.obs[column].astype(str) for a in parts.values()])
        mdata.obs[column] = values[~values.index.duplicated()].reindex(mdata.obs_names)
        for a in mdata.mod.values():
            del a.obs[column]
    if links and {"rna", "adt"} <= set(modalities):
        mn.pp.feature_links(mdata, "rna", "adt", table=protein_links(full))
    return mdata


def registered(mdata: MuData, labels_key: str | None = None, **given: object) -> MuData:
    """Register all modalities."""
    MinNet.setup_mudata(mdata, list(mdata.mod), labels_key=labels_key, **given)
    return mdata


def true_partners_missed(first: pd.DataFrame, second: pd.DataFrame, names: list[str]) -> float:
    """Return the FOSCTTM of the cells of these names; 0.5 is chance."""
    x, y = (_units(values, names) for values in (first, second))
    cosines = x @ y.T
    own = cosines.diagonal()
    return float(((cosines > own[:, None]).mean() + (cosines > own).mean()) / 2)


def _units(values: pd.DataFrame, names: list[str]) -> np.ndarray:
    bare = values.set_axis(values.index.str.replace(r"_(rna|atac|adt)$", "", regex=True))
    found = bare.loc[names].to_numpy(float)
    return found / np.linalg.norm(found, axis=1, keepdims=True)
