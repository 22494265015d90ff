"""The two development sets with their standard splits, prepared as the benchmarks use them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import muon as mu
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from mudata import MuData, read_h5mu
from scipy import sparse

from scminnet.pp import join_modalities


class DevelopmentSet(NamedTuple):
    """Training and test cells of a data set."""

    train: MuData
    test: MuData
    modalities: tuple[str, str]
    labels_key: str
    batch_key: str | None


def gene_activity(atac: AnnData) -> AnnData:
    """Sum the peaks that the source assigned to each gene (``var["gxr_gene"]``)."""
    genes = pd.Categorical(atac.var["gxr_gene"].astype(str))
    one = np.ones(atac.n_vars, dtype=np.float32)
    membership = sparse.csr_matrix((one, (np.arange(atac.n_vars), genes.codes)))
    var = pd.DataFrame(index=genes.categories.astype(str))
    return AnnData(sparse.csr_matrix(atac.X @ membership), obs=atac.obs[[]], var=var)


def lognormalise(adata: AnnData) -> None:
    """Scale each cell to 10,000 counts and take log(1 + x)."""
    with warnings.catch_warnings():
        # cells without any count stay zero
        warnings.filterwarnings("ignore", message="Some cells have zero counts")
        sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)


def load(name: str, folder: Path, *, peaks: bool = False) -> DevelopmentSet:
    """Read, normalise and split ``pbmc10k_citeseq`` (RNA + protein) or ``snareseq_mouse_cortex`` (RNA + gene activity).

    With ``peaks`` the second modality of ``snareseq_mouse_cortex`` is ``"chromatin"``: the peaks themselves beside gene activity.
    """
    source = read_h5mu(folder / f"{name}.h5mu")
    lognormalise(source["rna"])
    if name == "pbmc10k_citeseq":
        mu.prot.pp.clr(source["adt"])
        mdata, second, labels_key, batch_key = source, "adt", "Fine_RNA", None
    else:
        activity = gene_activity(source["atac"])
        lognormalise(activity)
        second = "activity"
        mdata = MuData({"rna": source["rna"], second: activity})
        if peaks:
            lognormalise(source["atac"])
            mdata.mod["atac"] = source["atac"]
            join_modalities(mdata, [second, "atac"], key_added="chromatin")
            second = "chromatin"
            mdata = MuData({m: mdata[m] for m in ("rna", second)})
        mdata.obs = source.obs.loc[mdata.obs_names]
        labels_key, batch_key = "cell_type", "batch"
    parts = [mdata[(folder / "splits" / f"{name}.{part}.txt").read_text().split()].copy() for part in ("train", "test")]
    return DevelopmentSet(*parts, ("rna", second), labels_key, batch_key)


NAMES = ("pbmc10k_citeseq", "snareseq_mouse_cortex")
