"""Data sets of the benchmarks, normalised and split: the two development sets, and bone marrow of two donors."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import muon as mu
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from mudata import MuData, read_h5mu
from scipy import sparse

MARROW, MARROW_MULTIOME = "bmmc_cite_starter_C0", "bmmc_multiome_starter_C1"

#: Antibodies that have another name in the bone marrow set.
ANTIBODIES = {"CD8": "CD8a", "CD279": "PD-1"}


class DevelopmentSet(NamedTuple):
    """Training and test cells of a data set."""

    train: MuData
    test: MuData
    modalities: tuple[str, str]
    labels_key: str
    batch_key: str | None


#: Genes of the proteins of ``pbmc10k_citeseq``. ``PTPRC``, the gene of CD45RA and CD45RO, is not in the set.
PROTEIN_GENES = {
    "CD127_TotalSeqB": "IL7R",
    "CD14_TotalSeqB": "CD14",
    "CD15_TotalSeqB": "FUT4",
    "CD16_TotalSeqB": "FCGR3A",
    "CD19_TotalSeqB": "CD19",
    "CD25_TotalSeqB": "IL2RA",
    "CD3_TotalSeqB": "CD3D",
    "CD4_TotalSeqB": "CD4",
    "CD56_TotalSeqB": "NCAM1",
    "CD8a_TotalSeqB": "CD8A",
    "PD-1_TotalSeqB": "PDCD1",
    "TIGIT_TotalSeqB": "TIGIT",
}


def gene_activity(atac: AnnData) -> AnnData:
    """Sum the peaks that the source assigned to each gene (``var["gxr_gene"]``)."""
    genes = pd.Categorical(atac.var["gxr_gene"].astype(str))
    one = np.ones(atac.n_vars, dtype=np.float32)
    membership = sparse.csr_matrix((one, (np.arange(atac.n_vars), genes.codes)))
    var = pd.DataFrame(index=genes.categories.astype(str))
    return AnnData(sparse.csr_matrix(atac.X @ membership), obs=atac.obs[[]], var=var)


def with_counts(path: Path) -> MuData:
    """Read a file of counts. Each modality keeps a copy of them in ``layers["counts"]``."""
    source = read_h5mu(path)
    for adata in source.mod.values():
        adata.layers["counts"] = adata.X.copy()
    return source


def lognormalise(adata: AnnData) -> None:
    """Scale each cell to 10,000 counts and take log(1 + x)."""
    with warnings.catch_warnings():
        # cells without any count stay zero
        warnings.filterwarnings("ignore", message="Some cells have zero counts")
        sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)


def _describe(adata: AnnData, kind: str, genes: Iterable[str]) -> None:
    adata.var["kind"], adata.var["gene"] = kind, [str(gene) for gene in genes]


def together(parts: dict[str, AnnData]) -> MuData:
    """Put modalities together."""
    with warnings.catch_warnings():
        # mudata 0.3 announces on every construction that 0.4 no longer copies columns: nothing here depends on it
        warnings.simplefilter("ignore", FutureWarning)
        return MuData(parts)


def load(name: str, folder: Path, *, peaks: bool = False) -> DevelopmentSet:
    """Read, normalise and split a data set.

    ``pbmc10k_citeseq`` has RNA and protein, ``snareseq_mouse_cortex`` RNA and gene activity. With ``peaks``, the
    second modality of ``snareseq_mouse_cortex`` is ``"chromatin"``: gene activity and the peaks. Names in
    ``OTHER_TISSUE`` work as well.

    ``var["kind"]`` is the kind of a feature and ``var["gene"]`` its gene, if known. ``layers["counts"]`` holds the
    counts.
    """
    if name in OTHER_TISSUE:
        return other_tissue(name, folder)
    source = with_counts(folder / f"{name}.h5mu")
    _describe(source["rna"], "gene", source["rna"].var_names)
    lognormalise(source["rna"])
    if name == "pbmc10k_citeseq":
        _describe(source["adt"], "protein", [PROTEIN_GENES.get(protein, "") for protein in source["adt"].var_names])
        mu.prot.pp.clr(source["adt"])
        mdata, second, labels_key, batch_key = source, "adt", "Fine_RNA", None
    else:
        activity = gene_activity(source["atac"])
        activity.layers["counts"] = activity.X.copy()
        _describe(activity, "activity", activity.var_names)
        lognormalise(activity)
        second = "activity"
        if peaks:
            _describe(source["atac"], "peak", source["atac"].var["gxr_gene"])
            lognormalise(source["atac"])
            activity, second = ad.concat([activity, source["atac"]], axis="var"), "chromatin"
        mdata = together({"rna": source["rna"], second: activity})
        mdata.obs = source.obs.loc[mdata.obs_names]
        labels_key, batch_key = "cell_type", "batch"
    parts = [mdata[(folder / "splits" / f"{name}.{part}.txt").read_text().split()].copy() for part in ("train", "test")]
    return DevelopmentSet(*parts, ("rna", second), labels_key, batch_key)


def validation_split(data: DevelopmentSet) -> DevelopmentSet:
    """Split the training cells again: a random fifth of the cells, or two batches, become the test cells.

    Choices are made on these validation cells, so that the test cells stay untouched.
    """
    if data.batch_key is None:
        held_out = np.random.default_rng(0).random(data.train.n_obs) < 0.2
    else:
        held_out = data.train.obs[data.batch_key].isin(["09I", "09J"]).to_numpy()
    return data._replace(train=data.train[~held_out].copy(), test=data.train[held_out].copy())


def with_features_of(mdata: MuData, other: MuData) -> MuData:
    """Keep the features that the other MuData also has, in its order. A modality that it lacks keeps all features."""
    parts = {
        m: adata[:, other[m].var_names[other[m].var_names.isin(adata.var_names)]].copy()
        if m in other.mod
        else adata.copy()
        for m, adata in mdata.mod.items()
    }
    result = together(parts)
    result.obs = mdata.obs.loc[result.obs_names]
    return result


def renamed(adata: AnnData, names: Iterable[str]) -> AnnData:
    """Rename the features. Of features with the same new name, only the first is kept."""
    adata = adata.copy()
    adata.var_names = list(names)
    return adata[:, ~adata.var_names.duplicated()].copy()


def marrow(folder: Path) -> MuData:
    """Read the small bone marrow CITE-seq set. Its antibodies are named as in ``pbmc10k_citeseq``."""
    source = with_counts(folder / f"{MARROW}.h5mu")
    lognormalise(source["rna"])
    mu.prot.pp.clr(source["adt"])
    names = [f"{ANTIBODIES.get(name, name)}_TotalSeqB" for name in source["adt"].var_names]
    result = together({"rna": source["rna"], "adt": renamed(source["adt"], names)})
    _describe(result["rna"], "gene", result["rna"].var_names)
    _describe(result["adt"], "protein", [PROTEIN_GENES.get(protein, "") for protein in result["adt"].var_names])
    result.obs = source.obs.loc[result.obs_names]
    return result


def other_tissue(name: str, folder: Path) -> DevelopmentSet:
    """Train on blood and embed bone marrow, or the reverse, with the features that both have."""
    blood, cells = load("pbmc10k_citeseq", folder), marrow(folder)
    blood.train.obs["label"] = blood.train.obs[blood.labels_key].astype(str)
    blood.test.obs["label"] = blood.test.obs[blood.labels_key].astype(str)
    cells.obs["label"] = cells.obs["cell_type"].astype(str)
    train, test = (blood.train, cells) if name == "blood to marrow" else (cells, blood.test)
    train = with_features_of(train, test)
    return DevelopmentSet(train, with_features_of(test, train), ("rna", "adt"), "label", None)


def between_donors(name: str, folder: Path, *, reference: str) -> DevelopmentSet:
    """Train on the bone marrow of one donor, ``"s1d1"`` or ``"s1d2"``, and embed the other donor's.

    ``name`` is ``bmmc_citeseq`` or ``bmmc_multiome``.
    """
    if name == "bmmc_citeseq":
        cells, second = marrow(folder), "adt"
    else:
        cells, second = with_counts(folder / f"{MARROW_MULTIOME}.h5mu"), "atac"
        for adata in cells.mod.values():
            lognormalise(adata)
    learnt = (cells.obs["batch"] == reference).to_numpy()
    return DevelopmentSet(cells[learnt].copy(), cells[~learnt].copy(), ("rna", second), "cell_type", None)


NAMES = ("pbmc10k_citeseq", "snareseq_mouse_cortex")

#: Reference and test cells are of two tissues. Both have 234 genes and 13 proteins in common.
OTHER_TISSUE = ("blood to marrow", "marrow to blood")
