"""The COVID-19 set to which the paper applies its model."""

from __future__ import annotations

import os

import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet.datasets._assemble import assemble, check_columns
from scminnet.datasets._read import read_layer_h5ad
from scminnet.datasets._sources import fetch_all

#: Samples with RNA and ATAC, and cell types, that the published code keeps of the COVID-19 set.
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


@check_types
def covid_pbmc(path: str | os.PathLike[str] | None = None, *, progress: bool = True) -> MuData:
    """Load the RNA of the COVID-19 PBMC set to which the paper applies its model.

    44,721 cells of 14 samples (7 patients, one of them twice, and 6 healthy donors), with 26,361 genes. The download
    takes 0.2 GB. The paper names :cite:t:`Wilk21` as its source. The file that its code reads, and this one, is that of
    the same laboratory's first cohort :cite:p:`Wilk20`.

    The ATAC is not loaded, because only its fragments have been published (GSE174072, hg38 according to the paper).
    Count the fragments of the samples in ``in_paper`` in peaks, for example with ArchR or
    :func:`muon.atac.tl.count_fragments_features`. The types of the ATAC cells are in
    ``data/scATAC/atac_cell_metadata.csv`` of https://github.com/ajwilk/COVID_scMultiome.

    Parameters
    ----------
    path, progress
        As in :func:`~scminnet.datasets.bmmc_multiome`.

    Returns
    -------
    A MuData of ``rna``: counts in ``X`` (CSR, float32) from the source's layer ``matrix``, whose genes are those of its
    sctransform assay. ``obs``: ``cell_type`` (the source's fine types), ``cell_type_paper`` (merged as in the published
    code, missing for types that it leaves out), ``batch`` (sample), ``donor``, ``site``, ``split`` (``test``),
    ``in_paper`` (the eight samples with RNA and ATAC, and the types kept) and the source's other columns.

    Raises
    ------
    ConnectionError, ValueError, TypeError, NotADirectoryError
        As in :func:`~scminnet.datasets.bmmc_multiome`. This file has no known checksum. The checksum found is logged,
        and the content is checked in reading.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.covid_pbmc()  # doctest: +SKIP
    """
    files = fetch_all(("covid_pbmc",), path, progress)
    rna = read_layer_h5ad(files["covid_pbmc"], "matrix")
    source = rna.obs
    check_columns(source, ("cell_type_fine", "Donor_full"), files["covid_pbmc"])
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
    return assemble({"rna": rna}, cells, files)
