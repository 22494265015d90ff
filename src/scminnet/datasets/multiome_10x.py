"""The multiome sets of 10x Genomics on which the paper tests its model."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet.datasets._assemble import assemble
from scminnet.datasets._read import read_10x_multiome
from scminnet.datasets._sources import fetch_all


@check_types
def pbmc_10k_multiome(path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> MuData:
    """Load 10x Genomics' multiome of PBMC without granulocytes (Cell Ranger ARC 1.0.0), one of the paper's test sets.

    11,909 cells of one healthy donor, with 36,601 genes and 108,377 peaks (hg38). The download takes 162 MB. The cell
    types come from the repository of the published method, which has them for the 10,412 cells that it uses.

    Parameters
    ----------
    path, progress
        As in :func:`~scminnet.datasets.bmmc_multiome`.

    Returns
    -------
    A MuData of ``rna`` and ``atac``, raw counts in ``X`` (CSR, float32). Peaks are named ``chrom:start-end``. ``obs``:
    ``cell_type`` (missing if the paper left the cell out), ``batch``, ``donor``, ``site`` (one each), ``split``
    (``test``) and ``in_paper`` (whether the cell has a type). The source has no gene activity: see
    :func:`scminnet.pp.gene_activity`.

    Raises
    ------
    ConnectionError, ValueError, TypeError, NotADirectoryError
        As in :func:`~scminnet.datasets.bmmc_multiome`.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.pbmc_10k_multiome()  # doctest: +SKIP
    """
    files = fetch_all(("pbmc_10k_multiome_types", "pbmc_10k_multiome"), path, progress)
    types, file = files.values()
    modalities = read_10x_multiome(file)
    # the header has no name for the barcodes, so pandas makes them the index
    table = pd.read_csv(types, sep="\t")
    cell_type = table["seurat_annotations"].reindex(modalities["rna"].obs_names)
    cells = _single_donor(modalities, "pbmc_10k").assign(
        cell_type=cell_type.astype("category"), in_paper=cell_type.notna()
    )
    return assemble(modalities, cells, files)


@check_types
def brain_3k_multiome(path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> MuData:
    """Load 10x Genomics' multiome of frozen human brain (Cell Ranger ARC 2.0.0), the paper's test on another tissue.

    3,233 cells of one healthy donor, with 36,601 genes and 134,030 peaks (hg38). The download takes 69 MB. Neither the
    source nor the paper gives cell types, so there is no ``cell_type``.

    Parameters
    ----------
    path, progress
        As in :func:`~scminnet.datasets.bmmc_multiome`.

    Returns
    -------
    A MuData of ``rna`` and ``atac``, raw counts in ``X`` (CSR, float32). ``obs``: ``batch``, ``donor``, ``site`` (one
    each), ``split`` (``test``) and ``in_paper``, the cells that pass the paper's filter. It requires more than 1,000
    and fewer than 25,000 RNA counts, less than 10 % of them mitochondrial, and more than 5,000 and fewer than 100,000
    ATAC counts. The last number is the published code's, because the paper's text lacks it.

    Raises
    ------
    ConnectionError, ValueError, TypeError, NotADirectoryError
        As in :func:`~scminnet.datasets.bmmc_multiome`.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.brain_3k_multiome()  # doctest: +SKIP
    """
    files = fetch_all(("brain_3k_multiome",), path, progress)
    modalities = read_10x_multiome(files["brain_3k_multiome"])
    rna = modalities["rna"]
    totals = {modality: _row_sums(adata.X) for modality, adata in modalities.items()}
    mitochondrial = _row_sums(rna[:, rna.var_names.str.startswith("MT-")].X)
    in_paper = (
        (totals["rna"] > 1_000)
        & (totals["rna"] < 25_000)
        & (mitochondrial < 0.1 * totals["rna"])
        & (totals["atac"] > 5_000)
        & (totals["atac"] < 100_000)
    )
    return assemble(modalities, _single_donor(modalities, "brain_3k").assign(in_paper=in_paper), files)


def _single_donor(modalities: Mapping[str, AnnData], name: str) -> pd.DataFrame:
    """Annotate the cells of a test set with a single donor."""
    index = modalities["rna"].obs_names.copy()
    split = pd.Categorical(["test"] * len(index))
    return pd.DataFrame({"batch": name, "donor": name, "site": "10x Genomics", "split": split}, index=index)


def _row_sums(matrix: np.ndarray) -> np.ndarray:
    return np.asarray(matrix.sum(axis=1)).ravel()
