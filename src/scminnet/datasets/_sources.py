"""Addresses and checksums of the public files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from scminnet.datasets._download import Source, fetch

_GEO = "https://ftp.ncbi.nlm.nih.gov/geo/series/GSE194nnn/GSE194122/suppl/GSE194122_openproblems_neurips2021"
_10X = "https://cf.10xgenomics.com/samples/cell-arc"
#: Repository of the published method, with lists of the cells in its figures.
_MINNET = "https://raw.githubusercontent.com/ChaozhongLiu/MinNet/7a7f4bf93a17254d676dac30a1e9da4719217bbf"
_WILK = "Single_cell_atlas_of_peripheral_immune_response_to_SARS_CoV_2_infection"

#: Sources of the checksums. GEO: the repositories ericzhuang2010/deconvATAC (multiome) and YosefLab/scvi-hub-models
#: (CITE-seq). 10x Genomics: PMBio/mudatasets. MinNet: computed from its repository. The COVID-19 file has none.
SOURCES: dict[str, Source] = {
    "bmmc_multiome": Source(
        f"{_GEO}_multiome_BMMC_processed.h5ad.gz",
        "bmmc_multiome.h5ad",
        "sha256:53b516e7a35518e7678f90a2f27867ae2a0054dba6ac0c52fafb67b5a80f415a",
    ),
    "bmmc_multiome_training_cells": Source(
        f"{_MINNET}/train/10X/data/cell_index.txt",
        "bmmc_multiome_training_cells.txt",
        "sha256:f410b34dfa869ad23c4285f61aef5aa09e34e024bcc59c4e37c8cc7dbc31a1a8",
    ),
    "bmmc_cite": Source(
        f"{_GEO}_cite_BMMC_processed.h5ad.gz",
        "bmmc_cite.h5ad",
        "sha256:b9b50fade9349719cba23c97c6515d3501a32ee3735fe95fe51221d2e8a5f361",
    ),
    "bmmc_cite_training_cells": Source(
        f"{_MINNET}/train/cite/data/cell_index.txt",
        "bmmc_cite_training_cells.txt",
        "sha256:812cd4da9938769791ba40d29c3fa23d21a9e1421e91daa585ec2a81e64afca2",
    ),
    "pbmc_10k_multiome": Source(
        f"{_10X}/1.0.0/pbmc_granulocyte_sorted_10k/pbmc_granulocyte_sorted_10k_filtered_feature_bc_matrix.h5",
        "pbmc_10k_multiome.h5",
        "md5:920b16bf1e63b6610bf74bf9040ed386",
    ),
    "pbmc_10k_multiome_types": Source(
        f"{_MINNET}/fig2/PBMC_data/data/atac.meta.csv",
        "pbmc_10k_multiome_types.tsv",
        "sha256:d23fb2cf4cb93c4512ef5048bc26dc222d69495c8e5f08c946d1be03889480ab",
    ),
    "brain_3k_multiome": Source(
        f"{_10X}/2.0.0/human_brain_3k/human_brain_3k_filtered_feature_bc_matrix.h5",
        "brain_3k_multiome.h5",
        "md5:ba0b765eddb138d6d6294227879b9a9b",
    ),
    "covid_pbmc": Source(
        f"https://hosted-matrices-prod.s3-us-west-2.amazonaws.com/{_WILK}-25/{_WILK}.h5ad", "covid_pbmc.h5ad"
    ),
}


def fetch_all(names: Sequence[str], path: str | os.PathLike[str] | None, progress: bool) -> dict[str, Path]:
    """Fetch files in the order given. Name small ones first, so that problems show early."""
    return {name: fetch(SOURCES[name], path, progress=progress) for name in names}
