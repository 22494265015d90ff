"""Simulated counts: programmes open peaks, peaks drive genes, genes drive proteins, with batch effects and depth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit

from scminnet.datasets.genome import Genome, weight_changes

N_PROGRAMMES = 16
PROGRAMMES_PER_PEAK = 3

#: Target fraction of non-zero ATAC counts, and fraction of RNA counts that drop out in addition to depth.
ATAC_RATE, RNA_DROPOUT = 0.032, 0.1
RNA_DISPERSION, RNA_GAIN = 0.5, 3.0
#: Log mean count of a protein whose gene is as active as in the average cell, and of its background.
PROTEIN_LEVEL, PROTEIN_BACKGROUND = 2.5, 1.0
PROTEIN_DISPERSION = 0.1
#: Cells simulated at a time, which bounds the memory of the dense rates.
BLOCK = 4_000


def draw_counts(
    rng: np.random.Generator,
    protein_rng: np.random.Generator,
    batch: pd.Series,
    changed: np.ndarray,
    programmes: np.ndarray,
    genome: Genome,
    protein_genes: np.ndarray,
    batch_effect: float,
) -> dict[str, sparse.csr_matrix]:
    """Draw the counts of all modalities.

    Parameters
    ----------
    rng, protein_rng
        Random generators. Proteins have their own, so that they do not change the other counts.
    batch
        Batch of each cell, categorical.
    changed
        Whether links are changed in the cell's condition.
    programmes
        Latent programmes, cells x ``N_PROGRAMMES``.
    genome
        Genes, peaks and links.
    protein_genes
        Gene of each protein, as an index of the genes.
    batch_effect
        Standard deviation of the batch factors, in natural logarithms.

    Returns
    -------
    Matrices of cells x features, named ``rna``, ``atac`` and, with proteins, ``adt``.
    """
    n_cells, n_batches, n_proteins = len(batch), len(batch.cat.categories), len(protein_genes)
    batch = batch.cat.codes.to_numpy()
    n_peaks, n_genes = genome.weights.shape

    loadings = np.zeros((N_PROGRAMMES, n_peaks))
    which = rng.random((N_PROGRAMMES, n_peaks)).argpartition(PROGRAMMES_PER_PEAK - 1, axis=0)[:PROGRAMMES_PER_PEAK]
    np.put_along_axis(loadings, which, rng.normal(size=which.shape), axis=0)
    threshold = rng.normal(1.0, 1.0, size=n_peaks)
    peak_level = rng.normal(0, 0.5, size=n_peaks)
    gene_level = rng.normal(-1.5, 1.0, size=n_genes)
    atac_batch = rng.normal(0, batch_effect, size=(n_batches, n_peaks))
    rna_batch = rng.normal(0, batch_effect, size=(n_batches, n_genes))
    atac_depth = rng.normal(0, 0.4, size=(n_cells, 1))
    rna_depth = rng.normal(0, 0.4, size=(n_cells, 1))

    protein_level = protein_rng.normal(PROTEIN_LEVEL, 0.7, size=n_proteins)
    background = protein_rng.normal(PROTEIN_BACKGROUND, 0.5, size=n_proteins)
    adt_batch = protein_rng.normal(0, batch_effect, size=(n_batches, n_proteins))
    adt_depth = protein_rng.normal(0, 0.4, size=(n_cells, 1))

    # links change relative to the average cell, so that a gene's mean level does not change
    typical = expit(programmes.mean(axis=0, keepdims=True) @ loadings - threshold)
    changes = weight_changes(genome)
    counts: dict[str, list[sparse.csr_matrix]] = {"rna": [], "atac": []} | ({"adt": []} if n_proteins else {})
    for rows in _blocks(n_cells):
        is_open = expit(programmes[rows] @ loadings - threshold)
        atac_rate = np.exp(peak_level + atac_batch[batch[rows]] + atac_depth[rows]) * is_open
        counts["atac"].append(_csr(rng.poisson(ATAC_RATE / expit(-1.0) * atac_rate)))

        regulated = is_open @ genome.weights
        regulated[changed[rows]] += (is_open[changed[rows]] - typical) @ changes
        rna_rate = np.exp(gene_level + RNA_GAIN * regulated + rna_batch[batch[rows]] + rna_depth[rows])
        rna_rate *= _dispersion(rng, RNA_DISPERSION, rna_rate.shape)
        rna_rate[rng.random(rna_rate.shape) < RNA_DROPOUT] = 0
        counts["rna"].append(_csr(rng.poisson(rna_rate)))

        if n_proteins:
            driven = RNA_GAIN * (regulated - typical @ genome.weights)[:, protein_genes]
            adt_rate = np.exp(protein_level + driven) * _dispersion(protein_rng, PROTEIN_DISPERSION, driven.shape)
            adt_rate = np.exp(adt_batch[batch[rows]] + adt_depth[rows]) * (adt_rate + np.exp(background))
            counts["adt"].append(_csr(protein_rng.poisson(adt_rate)))
    return {modality: sparse.vstack(blocks, format="csr") for modality, blocks in counts.items()}


def _dispersion(rng: np.random.Generator, dispersion: float, shape: tuple[int, ...]) -> np.ndarray:
    """Draw gamma factors with mean 1, which make Poisson counts negative binomial."""
    return rng.gamma(1 / dispersion, dispersion, size=shape)


def _blocks(n_cells: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, n_cells, BLOCK))


def _csr(counts: np.ndarray) -> sparse.csr_matrix:
    return sparse.csr_matrix(counts.astype(np.float32))
