"""The bone marrow split of SCMMIB, an independent benchmark of 40 methods.

SCMMIB: bm2-lab/SCMMI_Benchmark, Nature Methods 2025. The modalities of one batch are taken apart. They are integrated
with feature links alone, and with the pairs of a batch of another site. No cell type is used. FOSCTTM is compared with
the means of SCMMIB's own result tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData

import scminnet as mn


class Split(NamedTuple):
    """Batches and modalities, and what others reached."""

    pairs: str
    query: str
    second: str
    without_pairs: dict[str, float]
    with_pairs: dict[str, float]


SPLITS = {
    "multiome": Split(
        "s1d1",
        "s3d10",
        "atac",
        {"GLUE": 0.034, "Seurat CCA": 0.048, "uniPort": 0.086, "MaxFuse": 0.099},
        {"Seurat 5": 0.037, "MultiVI": 0.038, "Cobolt": 0.054, "MIDAS": 0.094, "StabMap": 0.318},
    ),
    "cite": Split("s3d6", "s2d1", "adt", {}, {"MIDAS": 0.048, "Seurat 5": 0.054, "StabMap": 0.062}),
}


def apart(cells: MuData, modalities: tuple[str, str], seed: int) -> MuData:
    """Return the modalities as if of other cells: renamed, and each in an order of its own."""
    rng = np.random.default_rng(seed)
    parts = {m: cells[m][rng.permutation(cells[m].n_obs)].copy() for m in modalities}
    for m, adata in parts.items():
        adata.obs_names = [f"{name}, {m}" for name in adata.obs_names]
    return MuData(parts)


def score(mdata: MuData, kind: str, tss: Path | None, out: Path, seed: int) -> pd.DataFrame:
    """Integrate the query by each evidence; write and return FOSCTTM.

    Parameters
    ----------
    mdata
        Counts of all batches, with ``obs["batch"]``.
    kind
        ``"multiome"`` or ``"cite"``.
    tss
        Genes of hg38, which link peaks. Not needed for proteins.
    out
        Folder of ``scmmib.csv``.
    seed
        Seed of the models.
    """
    split = SPLITS[kind]
    modalities = ("rna", split.second)
    batch = mdata.obs["batch"].astype(str)
    lacking = {split.pairs, split.query} - set(batch)
    if lacking:
        raise SystemExit(f"obs['batch'] lacks {', '.join(sorted(lacking))}, which this split needs")
    both = {name: mdata[(batch == name).to_numpy()] for name in (split.pairs, split.query)}
    reference, query = (MuData({m: cells[m].copy() for m in modalities}) for cells in both.values())
    for cells in (reference, query):
        mn.pp.normalize(cells, list(modalities))
    mn.pp.select_features(query, list(modalities))
    reference = MuData({m: reference[m][:, query[m].var_names].copy() for m in modalities})
    unpaired = apart(query, modalities, seed)

    rows = []
    for evidence, cells, linked, others in (
        ("links", unpaired, True, split.without_pairs),
        ("pairs", reference, False, split.with_pairs),
        ("pairs and links", reference, True, split.with_pairs),
    ):
        if linked:
            mn.pp.feature_links(cells, *modalities, annotation=tss if split.second == "atac" else None)
        mn.MinNet.setup_mudata(cells, list(modalities))
        model = mn.MinNet(cells, seed=seed)
        model.train(query=None if cells is unpaired else unpaired, seed=seed)
        # each modality is embedded by itself, so the names of the pairs only serve to measure
        found = [model.get_latent_representation(query, modality=m) for m in modalities]
        n_pairs = 0 if cells is unpaired else reference.n_obs
        rows.append((evidence, n_pairs, query.n_obs, "scminnet", mn.metrics.foscttm(*found).mean))
        rows += [(evidence, n_pairs, query.n_obs, f"{name}, as published", value) for name, value in others.items()]
    table = pd.DataFrame(rows, columns=["evidence", "pairs", "cells", "method", "foscttm"])
    table.to_csv(out / "scmmib.csv", index=False)
    print(table.to_string(index=False))
    return table
