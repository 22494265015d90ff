"""The paper's two bone marrow sets, its references :cite:p:`Luecken21`, with its split into training and test cells.

Sites 1 to 3 are used for training, except for two donors. These donors are test set 1, and site 4 is test set 2.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.logging import logger
from scminnet.datasets._assemble import assemble, check_columns
from scminnet.datasets._read import read_joint_h5ad
from scminnet.datasets._sources import fetch_all

#: Test sets of the paper (Methods, "test data"): donors 2 and 7, and site 4.
TEST_1 = ("s1d2", "s3d7")
TEST_2 = ("s4d1", "s4d8", "s4d9")

#: How the published code merges CITE-seq types, by the beginning of their names.
CITE_TYPES = {
    "B1": "B1 B",
    "CD4+": "CD4+ T",
    "CD8+": "CD8+ T",
    "ILC": "ILC",
    "NK": "NK",
    "Naive CD20+": "Naive CD20+ B",
    "Plasma": "Plasma",
    "cDC": "cDC",
    "gdT": "gdT",
}


@check_types
def bmmc_multiome(path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> MuData:
    """Load the BMMC multiome set of the NeurIPS 2021 competition (GSE194122), the paper's reference of RNA and ATAC.

    69,249 bone marrow cells of 13 batches, with 13,431 genes, 116,490 peaks (hg38) and 22 cell types. The download
    takes 2.9 GB (gzip). Only the counts, the gene activity and the annotation are read. They take several gigabytes of
    memory.

    Parameters
    ----------
    path
        Folder for the files. ``None``: the folder in the environment variable ``SCMINNET_CACHE``, else the system's
        cache folder. Existing files are not downloaded again.
    progress
        Whether to show progress bars of the downloads, on stderr.

    Returns
    -------
    A MuData with these modalities.

    ``mdata["rna"]``, ``mdata["atac"]``
        Raw counts in ``X``, CSR, float32. ``obs`` holds the source's quality measures (``GEX_...``, ``ATAC_...``).
    ``mdata["activity"]``
        Gene activity of 19,039 genes in ``X`` as in the source, CSR, float32. The source does not say whether it is
        normalised. The published code uses it without normalising. :func:`scminnet.pp.gene_activity` computes counts
        from the peaks.
    ``mdata.obs``
        ``cell_type``, ``batch`` (``s1d1``: site 1, donor 1), ``donor``, ``site``, ``split`` (categorical: ``train``,
        ``test1``: donors 2 and 7, ``test2``: site 4), ``in_paper`` (bool) and the source's other columns. ``in_paper``
        is false for the training cells that the paper's filter removed. It keeps 28,089.
    ``mdata.uns["source"]``
        Addresses of the files.

    Raises
    ------
    ConnectionError
        A file, or part of it, could not be downloaded. The text gives its address, and where to put the file.
    ValueError
        A checksum is wrong, or a file in the cache is not the published one.
    TypeError, NotADirectoryError
        ``path`` is not a folder.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.bmmc_multiome()  # doctest: +SKIP
    >>> reference = mdata[(mdata.obs["split"] == "train") & mdata.obs["in_paper"]].copy()  # doctest: +SKIP
    """
    files = fetch_all(("bmmc_multiome_training_cells", "bmmc_multiome"), path, progress)
    training_cells, file = files.values()
    modalities, cells = read_joint_h5ad(file, {"rna": "GEX", "atac": "ATAC"}, activity="ATAC_gene_activity")
    return assemble(modalities, _bmmc_cells(cells, training_cells, file), files)


@check_types
def bmmc_cite(path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> MuData:
    """Load the BMMC CITE-seq set of the NeurIPS 2021 competition (GSE194122), the paper's reference of RNA and protein.

    90,261 bone marrow cells of 12 batches, with 13,953 genes, 134 surface proteins and 45 cell types.

    Parameters
    ----------
    path, progress
        As in :func:`bmmc_multiome`.

    Returns
    -------
    A MuData of ``rna`` and ``adt``, raw counts in ``X`` (CSR, float32). ``obs`` is as in :func:`bmmc_multiome`;
    ``in_paper`` keeps 44,277 training cells. ``cell_type_paper`` holds the cell types as the published code merges them
    for its measures. The source's ``is_train`` is the competition's split, not the paper's.

    Raises
    ------
    ConnectionError, ValueError, TypeError, NotADirectoryError
        As in :func:`bmmc_multiome`.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.bmmc_cite()  # doctest: +SKIP
    """
    files = fetch_all(("bmmc_cite_training_cells", "bmmc_cite"), path, progress)
    training_cells, file = files.values()
    modalities, cells = read_joint_h5ad(file, {"rna": "GEX", "adt": "ADT"})
    cells = _bmmc_cells(cells, training_cells, file)
    merged = cells["cell_type"].astype(str)
    for beginning, name in CITE_TYPES.items():
        merged = merged.mask(merged.str.startswith(beginning), name)
    cells.insert(1, "cell_type_paper", merged.where(cells["cell_type"].notna()).astype("category"))
    return assemble(modalities, cells, files)


def _bmmc_cells(source: pd.DataFrame, training_cells: Path, file: Path) -> pd.DataFrame:
    """Annotate BMMC cells with donor, site and split."""
    check_columns(source, ("cell_type", "batch"), file)
    batch = source["batch"].astype(str)
    parts = batch.str.extract(r"^s(\d+)d(\d+)$")
    if parts.isna().any(axis=None):
        raise ValueError(
            f"{str(file)!r} has batches such as {batch[parts[0].isna()].iloc[0]!r}, which are not of the form 's1d2'. "
            "Delete it and call again to download it anew."
        )
    split = np.select([batch.isin(TEST_1), batch.isin(TEST_2)], ["test1", "test2"], "train")
    kept = pd.Index(training_cells.read_text().split())
    missing = len(kept.difference(source.index))
    if missing:
        logger.info("%d of the paper's %d training cells are not in %s", missing, len(kept), file.name)
    cells = pd.DataFrame(
        {
            "cell_type": source["cell_type"],
            "batch": batch,
            "donor": "donor" + parts[1],
            "site": "site" + parts[0],
            "split": pd.Categorical(split, categories=["train", "test1", "test2"]),
            "in_paper": (split != "train") | source.index.isin(kept),
        },
        index=source.index,
    )
    return cells.join(source.drop(columns=["cell_type", "batch"]))
