"""Readers of the formats of public files: raw counts as CSR float32, one AnnData per modality."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from scminnet._core.arguments import shorten

#: Rows of a dense matrix read at a time, and values checked at a time. They bound the memory beyond the result.
BLOCK_ROWS, BLOCK_VALUES = 2_000, 2**24


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn errors of a file that is not the published one into an error that says what to do."""
    try:
        yield
    except (KeyError, OSError) as error:
        # a KeyError prints its text in quotes
        reason = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(
            f"{str(file)!r} can not be read as the published file: {reason}. "
            "Delete it and call again to download it anew."
        ) from error


def read_parts(file: Path, parts: Sequence[str]) -> AnnData:
    """Read some elements of an h5ad file, such as ``"obs"`` and ``"layers/counts"``. Others take no memory.

    All versions of the format that AnnData reads are supported.
    """
    with reading(file), h5py.File(file) as h5:
        missing = [part for part in parts if part not in h5]
        if missing:
            raise KeyError(f"it lacks {shorten(missing)}")
    # AnnData's own reader, on a file that links to these elements, because it knows all old formats
    with tempfile.TemporaryDirectory() as folder:
        links = Path(folder) / "parts.h5ad"
        with h5py.File(links, "w") as h5:
            for part in parts:
                h5[part] = h5py.ExternalLink(str(file.resolve()), part)
        with reading(file), warnings.catch_warnings():
            # warnings about the old format, which the user can not change
            warnings.simplefilter("ignore")
            return ad.read_h5ad(links)


def read_joint_h5ad(
    file: Path, feature_types: Mapping[str, str], activity: str | None = None
) -> tuple[dict[str, AnnData], pd.DataFrame]:
    """Read an h5ad file with features of several modalities, like those of the NeurIPS 2021 competition.

    Parameters
    ----------
    file
        File with ``layers["counts"]`` and ``var["feature_types"]``.
    feature_types
        By modality, its value in ``var["feature_types"]``. Columns of ``obs`` that begin with this value and ``_``
        belong to the modality.
    activity
        Key in ``obsm`` of a gene activity matrix. Its genes are in ``uns[f"{activity}_var_names"]``.

    Returns
    -------
    One AnnData per modality (and ``"activity"``), and the columns of ``obs`` that belong to no modality.
    """
    parts = ["obs", "var", "layers/counts"]
    if activity is not None:
        parts += [f"obsm/{activity}", f"uns/{activity}_var_names"]
    whole = read_parts(file, parts)
    with reading(file):
        kinds, cells = whole.var["feature_types"].astype(str), whole.obs
    modalities = {}
    for modality, kind in feature_types.items():
        own = [column for column in cells if column.startswith(f"{kind}_")]
        chosen = (kinds == kind).to_numpy()
        # columns without any value for this modality belong to another one
        var = whole.var.loc[chosen].drop(columns="feature_types").dropna(axis=1, how="all")
        counts = as_counts(sparse.csr_matrix(whole.layers["counts"])[:, chosen], file)
        modalities[modality] = AnnData(counts, obs=cells[own].copy(), var=var)
        cells = cells.drop(columns=own)
    if activity is not None:
        names = pd.Index(np.asarray(whole.uns[f"{activity}_var_names"]).astype(str))
        matrix = sparse.csr_matrix(whole.obsm[activity], dtype=np.float32)
        modalities["activity"] = AnnData(
            matrix, obs=pd.DataFrame(index=cells.index.copy()), var=pd.DataFrame(index=names)
        )
    return modalities, cells


def read_layer_h5ad(file: Path, layer: str) -> AnnData:
    """Read an h5ad file whose counts are in a layer, dense or sparse. ``obs`` and ``var`` are kept unchanged."""
    adata = read_parts(file, ["obs", "var"])
    with reading(file), h5py.File(file) as h5:
        element = h5[f"layers/{layer}"]
        if isinstance(element, h5py.Dataset):
            starts = range(0, element.shape[0], BLOCK_ROWS)
            blocks = [sparse.csr_matrix(element[start : start + BLOCK_ROWS], dtype=np.float32) for start in starts]
            counts = sparse.vstack(blocks, format="csr")
        else:
            counts = ad.io.read_elem(element)
    return AnnData(as_counts(counts, file), obs=adata.obs, var=adata.var)


def read_10x_multiome(file: Path) -> dict[str, AnnData]:
    """Read the genes and peaks of a feature-barcode matrix of Cell Ranger ARC (HDF5)."""
    modalities = {}
    with warnings.catch_warnings():
        # names are made unique below
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        whole = sc.read_10x_h5(file, gex_only=False)
        for modality, kind in (("rna", "Gene Expression"), ("atac", "Peaks")):
            adata = whole[:, (whole.var["feature_types"] == kind).to_numpy()].copy()
            adata.var = adata.var.drop(columns="feature_types")
            adata.var_names_make_unique()
            adata.X = as_counts(adata.X, file)
            modalities[modality] = adata
    return modalities


def as_counts(matrix: sparse.spmatrix, file: Path) -> sparse.csr_matrix:
    """Return a matrix as CSR of float32. Raise if it holds no counts."""
    counts = sparse.csr_matrix(matrix, dtype=np.float32)
    for start in range(0, counts.data.size, BLOCK_VALUES):
        values = counts.data[start : start + BLOCK_VALUES]
        wrong = (values < 0) | (values != np.floor(values))
        if wrong.any():
            raise ValueError(
                f"{str(file)!r} holds {values[wrong][0]:g} where counts should be, so it is not the published file. "
                "Delete it and call again to download it anew."
            )
    return counts
