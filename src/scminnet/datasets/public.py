"""Loaders of the paper's data: downloaded once, raw counts, annotated with the paper's training and test cells.

The two BMMC sets :cite:p:`Luecken21` are the reference: sites 1 to 3 but for two donors train, these two donors are
test 1 and site 4 is test 2. The others are test sets only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.compat import new_mudata_manner
from scminnet._core.logging import logger
from scminnet.datasets._read import read_10x_multiome, read_joint_h5ad, read_layer_h5ad
from scminnet.datasets._sources import SOURCES, fetch_all

#: Paper, Methods, "test data": donors 2 and 7, and the fourth site.
TEST_1 = ("s1d2", "s3d7")
TEST_2 = ("s4d1", "s4d8", "s4d9")

#: The published code's merging of CITE-seq types, by how their names begin.
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

#: The samples with RNA and ATAC, and the types, that the published code keeps of the COVID-19 set.
COVID_SAMPLES = tuple("covid_555_1 covid_555_2 covid_556 covid_558 covid_559 HIP043 HIP044 HIP045".split())
COVID_TYPES = {
    "CD14 Monocyte": "CD14 Mono",
    "CD16 Monocyte": "CD16 Mono",
    "NK": "NK",
    "CD8m T": "CD8 T",
    "CD8eff T": "CD8 T",
    "CD4m T": "CD4 T",
    "CD4 T": "CD4 T",
    "CD4n T": "CD4 Naive",
    "B": "B Cell",
    "IgG PB": "Plasmablast",
    "IgA PB": "Plasmablast",
    "gd T": "gdT",
    "pDC": "pDC",
}


def bmmc_multiome(path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> MuData:
    """Load the BMMC multiome set of the NeurIPS 2021 competition (GSE194122), the paper's reference of RNA and ATAC.

    69,249 bone marrow cells of 13 batches: 13,431 genes, 116,490 peaks (hg38), 22 types. The download is of 2.9 GB
    (gzip). Only the counts, the gene activity and the annotation are read, but these alone take several gigabytes of
    memory.

    Parameters
    ----------
    path
        Folder to keep the files in. ``None``: the folder that the environment variable ``SCMINNET_CACHE`` names, else
        the system's cache folder. A file that is there is not downloaded again.
    progress
        Whether to show progress bars of the downloads, on stderr.

    Returns
    -------
    A MuData of these modalities.

    ``mdata["rna"]``, ``mdata["atac"]``
        Raw counts in ``X``, CSR, float32. ``obs`` holds the source's quality measures (``GEX_...``, ``ATAC_...``).
    ``mdata["activity"]``
        Gene activity of 19,039 genes in ``X`` as the source has it, CSR, float32. The source does not say whether it
        is normalised; the published code puts it into the network without normalising it.
        :func:`scminnet.pp.gene_activity` computes counts from the peaks.
    ``mdata.obs``
        ``cell_type``, ``batch`` (``s1d1``: site 1, donor 1), ``donor``, ``site``, ``split`` (categorical: ``train``,
        ``test1``: donors 2 and 7, ``test2``: site 4), ``in_paper`` (bool: not left out by the paper's filter of
        training cells, which keeps 28,089), and the source's other columns.
    ``mdata.uns["source"]``
        Addresses of the files.

    Raises
    ------
    ConnectionError
        A file could not be downloaded, or not all of it. The text gives its address, and where to put the file.
    ValueError
        A checksum is wrong, or a file in the cache is not the published one.
    TypeError, NotADirectoryError
        ``path`` is no folder.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.bmmc_multiome()  # doctest: +SKIP
    >>> reference = mdata[(mdata.obs["split"] == "train") & mdata.obs["in_paper"]].copy()  # doctest: +SKIP
    """
    files = fetch_all(("bmmc_multiome_training_cells", "bmmc_multiome"), path, progress)
    training_cells, file = files.values()
    modalities, cells = read_joint_h5ad(file, {"rna": "GEX", "atac": "ATAC"}, activity="ATAC_gene_activity")
    return _assemble(modalities, _bmmc_cells(cells, training_cells, file), files)


def bmmc_cite(path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> MuData:
    """Load the BMMC CITE-seq set of the NeurIPS 2021 competition (GSE194122), the paper's reference of RNA and protein.

    90,261 bone marrow cells of 12 batches: 13,953 genes, 134 surface proteins, 45 types.

    Parameters
    ----------
    path, progress
        As in :func:`bmmc_multiome`.

    Returns
    -------
    A MuData of ``rna`` and ``adt``, raw counts in ``X`` (CSR, float32). ``obs`` as in :func:`bmmc_multiome`, where
    ``in_paper`` keeps 44,277 training cells, and ``cell_type_paper``: types as the published code merges them for its
    measures. The source's ``is_train`` is the competition's split, not the paper's.

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
    return _assemble(modalities, cells, files)


def pbmc_10k_multiome(path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> MuData:
    """Load 10x Genomics' multiome of PBMC without granulocytes (Cell Ranger ARC 1.0.0), one of the paper's test sets.

    11,909 cells of one healthy donor, 36,601 genes and 108,377 peaks (hg38); a download of 162 MB. The types are those
    of the published method's repository, which has one for each of the 10,412 cells that it uses.

    Parameters
    ----------
    path, progress
        As in :func:`bmmc_multiome`.

    Returns
    -------
    A MuData of ``rna`` and ``atac``, raw counts in ``X`` (CSR, float32). Peaks are named ``chrom:start-end``. ``obs``:
    ``cell_type`` (missing where the paper left the cell out), ``batch``, ``donor``, ``site`` (one each), ``split``
    (``test``) and ``in_paper`` (whether the cell has a type). Gene activity is not part of the source: see
    :func:`scminnet.pp.gene_activity`.

    Raises
    ------
    ConnectionError, ValueError, TypeError, NotADirectoryError
        As in :func:`bmmc_multiome`.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.pbmc_10k_multiome()  # doctest: +SKIP
    """
    files = fetch_all(("pbmc_10k_multiome_types", "pbmc_10k_multiome"), path, progress)
    types, file = files.values()
    modalities = read_10x_multiome(file)
    # the header has no name for the barcodes, which makes them the index
    table = pd.read_csv(types, sep="\t")
    cell_type = table["seurat_annotations"].reindex(modalities["rna"].obs_names)
    cells = _single_donor(modalities, "pbmc_10k").assign(
        cell_type=cell_type.astype("category"), in_paper=cell_type.notna()
    )
    return _assemble(modalities, cells, files)


def brain_3k_multiome(path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> MuData:
    """Load 10x Genomics' multiome of frozen human brain (Cell Ranger ARC 2.0.0), the paper's test on another tissue.

    3,233 cells of one healthy donor, 36,601 genes and 134,030 peaks (hg38); a download of 69 MB. Neither source nor
    paper gives types of these cells, so there is no ``cell_type``.

    Parameters
    ----------
    path, progress
        As in :func:`bmmc_multiome`.

    Returns
    -------
    A MuData of ``rna`` and ``atac``, raw counts in ``X`` (CSR, float32). ``obs``: ``batch``, ``donor``, ``site`` (one
    each), ``split`` (``test``), and ``in_paper``, the cells that pass the paper's filter: more than 1,000 and fewer
    than 25,000 RNA counts, less than 10 % of them mitochondrial, and more than 5,000 and fewer than 100,000 ATAC counts
    (the last number is the published code's, for the paper's text lacks it).

    Raises
    ------
    ConnectionError, ValueError, TypeError, NotADirectoryError
        As in :func:`bmmc_multiome`.

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
    return _assemble(modalities, _single_donor(modalities, "brain_3k").assign(in_paper=in_paper), files)


def covid_pbmc(path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> MuData:
    """Load the RNA of the COVID-19 PBMC set that the paper applies its model to.

    44,721 cells of 14 samples (7 patients, one of them twice, and 6 healthy donors), 26,361 genes; a download of 0.2
    GB. The paper names :cite:t:`Wilk21` as its source; the file that its code reads is that of the same laboratory's
    first cohort :cite:p:`Wilk20`, and so is this one.

    The ATAC is not loaded, for it has been published as fragments only (GSE174072, hg38 according to the paper).
    Count the fragments of the samples in ``in_paper`` in peaks, for example with ArchR or
    :func:`muon.atac.tl.count_fragments_features`; the types of the ATAC cells are in
    ``data/scATAC/atac_cell_metadata.csv`` of https://github.com/ajwilk/COVID_scMultiome.

    Parameters
    ----------
    path, progress
        As in :func:`bmmc_multiome`.

    Returns
    -------
    A MuData of ``rna``: counts in ``X`` (CSR, float32), the source's layer ``matrix``, whose genes are those of its
    sctransform assay. ``obs``: ``cell_type`` (the source's fine types), ``cell_type_paper`` (merged as in the published
    code, missing for types that it leaves out), ``batch`` (sample), ``donor``, ``site``, ``split`` (``test``),
    ``in_paper`` (the eight samples with RNA and ATAC, and the types kept) and the source's other columns.

    Raises
    ------
    ConnectionError, ValueError, TypeError, NotADirectoryError
        As in :func:`bmmc_multiome`. There is no known checksum of this file: what is downloaded is logged, and
        checked in reading.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.covid_pbmc()  # doctest: +SKIP
    """
    files = fetch_all(("covid_pbmc",), path, progress)
    rna = read_layer_h5ad(files["covid_pbmc"], "matrix")
    source = rna.obs
    _check_columns(source, ("cell_type_fine", "Donor_full"), files["covid_pbmc"])
    merged = source["cell_type_fine"].astype(str).map(COVID_TYPES)
    sample = source.index.str.split(".").str[0]
    cells = pd.DataFrame(
        {
            "cell_type": source["cell_type_fine"],
            "cell_type_paper": merged.astype("category"),
            "batch": sample,
            "donor": source["Donor_full"].astype(str).str.split(" ").str[0],
            "site": "Stanford",
            "split": pd.Categorical(["test"] * len(source)),
            "in_paper": merged.notna() & sample.isin(COVID_SAMPLES),
        },
        index=source.index,
    )
    cells = cells.join(source.drop(columns="cell_type_fine"))
    rna.obs = pd.DataFrame(index=source.index.copy())
    return _assemble({"rna": rna}, cells, files)


def _check_columns(obs: pd.DataFrame, needed: tuple[str, ...], file: Path) -> None:
    missing = [column for column in needed if column not in obs]
    if missing:
        raise ValueError(
            f"{str(file)!r} has no columns {shorten(missing)} in obs, so it is not the published file. "
            "Delete it and call again to download it anew."
        )


def _bmmc_cells(source: pd.DataFrame, training_cells: Path, file: Path) -> pd.DataFrame:
    """Annotate BMMC cells with donor, site and split."""
    _check_columns(source, ("cell_type", "batch"), file)
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


def _single_donor(modalities: Mapping[str, AnnData], name: str) -> pd.DataFrame:
    """Annotate cells of which all are of one donor, and test."""
    index = modalities["rna"].obs_names.copy()
    split = pd.Categorical(["test"] * len(index))
    return pd.DataFrame({"batch": name, "donor": name, "site": "10x Genomics", "split": split}, index=index)


def _assemble(modalities: Mapping[str, AnnData], cells: pd.DataFrame, files: Mapping[str, Path]) -> MuData:
    # that RNA and activity have genes of the same names is the aim
    with new_mudata_manner():
        mdata = MuData(dict(modalities))
    first = [c for c in ("cell_type", "cell_type_paper", "batch", "donor", "site", "split", "in_paper") if c in cells]
    for column in [*first, *cells.columns.drop(first)]:
        values = cells[column]
        mdata.obs[column] = values.astype("category") if column in ("cell_type", "batch", "donor", "site") else values
    mdata.uns["source"] = [SOURCES[name].url for name in files]
    return mdata


def _row_sums(matrix: np.ndarray) -> np.ndarray:
    return np.asarray(matrix.sum(axis=1)).ravel()
