"""Simulated multiome whose cell types, states, batches and regulating peaks are known.

One way through, in the order in which biology is thought to do it::

    cells (lineage, type, state, batch) -> latent programmes -> peaks open or closed -> expression of the genes they regulate
                                                                    |                         |
                                                          ATAC counts (batch, depth)   RNA counts (batch, depth, dropout)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse
from scipy.special import expit

from scminnet._validate import check_positive

N_PROGRAMMES = 16
PROGRAMMES_PER_PEAK = 3
#: Standard deviations of a cell's programmes: how far lineages, types and states lie apart, and cells of one state.
LINEAGE_SD, TYPE_SD, STATE_SD, CELL_SD = 0.9, 0.5, 1.2, 0.25

N_CHROMOSOMES = 3
#: Peaks sit in bins of 1 kb, one a bin, so that none overlap; genes lie ``GENE_SPACING`` bins or more apart.
BIN, GENE_SPACING, DISTAL_BINS = 1_000, 50, 150
#: Shares of the peaks that are promoters and distal regulators; the others regulate nothing.
PROMOTER_SHARE, DISTAL_SHARE = 0.4, 0.4
#: More peaks than this a gene would not find room near the genes.
MAX_PEAKS_PER_GENE = 20

#: Fraction of the non-zero ATAC counts aimed at, and of the RNA counts lost beyond what depth explains.
ATAC_RATE, RNA_DROPOUT = 0.032, 0.1
RNA_DISPERSION, RNA_GAIN = 0.5, 3.0
#: Cells simulated at a time: bounds the memory of the dense rates.
BLOCK = 4_000


def simulate_multiome(
    n_cells: int = 2000,
    *,
    n_types: int = 8,
    n_lineages: int = 3,
    n_batches: int = 4,
    n_genes: int = 600,
    n_peaks: int = 1500,
    batch_effect: float = 0.3,
    paired: bool = True,
    seed: int = 0,
) -> MuData:
    """Simulate raw counts of gene expression and chromatin accessibility of the same cells, with the truth.

    A cell's type and its state set the activity of 16 latent programmes; the programmes open and close peaks; the log
    expression of a gene follows the accessibilities of the peaks that regulate it. Types of one lineage share most of
    their programmes, and all types of a lineage change with the state in a similar way. Each batch multiplies the
    rate of every gene and every peak by its own factor.

    Parameters
    ----------
    n_cells
        Number of cells, at least ``n_types``. The types are unequally frequent; every type has a cell.
    n_types
        Number of cell types, at least ``n_lineages``.
    n_lineages
        Number of lineages, which share out the types.
    n_batches
        Number of batches, each with all types in the same expected proportions.
    n_genes
        Number of genes, on three chromosomes, 50 kb or more apart.
    n_peaks
        Number of peaks, at most 20 a gene. 40 % are promoters (no more than one a gene), 40 % distal regulators in
        the 150 kb upstream of their gene's transcription start, the others lie anywhere and regulate nothing.
    batch_effect
        Standard deviation of the batches' factors, in natural logarithms. 0: no batch effect. The default is of the size of
        the difference between two types of one lineage.
    paired
        Whether every cell has both modalities. If not, a random half of the cells keeps its RNA and the other half its ATAC.
        The same seed gives the same cells and counts either way.
    seed
        Seed of all random draws.

    Returns
    -------
    A MuData with raw counts as CSR matrices of float32 and these annotations.

    ``mdata["rna"].var``
        ``chrom``, ``start``, ``end`` (gene body, 0-based, half-open), ``strand`` and ``tss`` (0-based position of the first
        base transcribed: ``start`` on +, ``end - 1`` on -).
    ``mdata["atac"].var``
        ``chrom``, ``start``, ``end`` (0-based, half-open); the names are ``chrom:start-end``.
    ``mdata.obs``
        ``cell_type``, ``lineage`` and ``batch`` (categorical), and ``state`` in [0, 1], the cell's place along its
        lineage's continuous change.
    ``mdata.uns["regulation"]``
        The regulating peaks: one row a pair with ``gene``, ``peak`` and ``weight``, the share of the peak in the gene's
        regulation (the weights of a gene sum to 1). Genes without a row depend on batch and depth only.

    Raises
    ------
    ValueError
        A size is no whole number or too small, ``n_types`` is below ``n_lineages``, ``n_cells`` below ``n_types``, there are
        too many peaks a gene, or ``batch_effect`` is negative.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(500, seed=1)
    >>> mdata["rna"].shape, mdata["atac"].shape
    ((500, 600), (500, 1500))
    """
    _check_sizes(
        n_cells=n_cells, n_types=n_types, n_lineages=n_lineages, n_batches=n_batches, n_genes=n_genes, n_peaks=n_peaks
    )
    check_positive(batch_effect, "batch_effect", minimum=0)
    rng = np.random.default_rng(seed)

    obs = _cells(rng, n_cells, n_types, n_lineages, n_batches)
    programmes = _programmes(rng, obs)
    genome = _genome(rng, n_genes, n_peaks)
    rna, atac = _counts(rng, obs, programmes, genome, batch_effect)

    keeps_rna = np.ones(n_cells, dtype=bool)
    if not paired:
        keeps_rna[rng.permutation(n_cells)[: n_cells // 2]] = False
    keeps_atac = ~keeps_rna if not paired else keeps_rna
    cells = pd.DataFrame(index=obs.index)
    with warnings.catch_warnings():
        # mudata 0.3 announces on every construction that 0.4 no longer copies columns: nothing here depends on it
        warnings.simplefilter("ignore", FutureWarning)
        mdata = MuData(
            {
                "rna": AnnData(rna[keeps_rna], obs=cells[keeps_rna], var=genome.genes),
                "atac": AnnData(atac[keeps_atac], obs=cells[keeps_atac], var=genome.peaks),
            }
        )
    for column in obs:
        mdata.obs[column] = obs[column].reindex(mdata.obs_names)
    mdata.uns["regulation"] = genome.regulation
    return mdata


class Genome(NamedTuple):
    """Genes and peaks with their places, and which peak regulates which gene."""

    genes: pd.DataFrame
    peaks: pd.DataFrame
    regulation: pd.DataFrame
    #: peaks x genes, columns summing to 1 (to 0 for genes without a regulating peak)
    weights: sparse.csr_matrix


def _check_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"`{name}` is {value!r}. Give a whole number of at least 1.")
    for large, small in (("n_types", "n_lineages"), ("n_cells", "n_types")):
        if sizes[large] < sizes[small]:
            raise ValueError(
                f"`{large}` is {sizes[large]}, fewer than `{small}`, {sizes[small]}. Raise the one or lower the other."
            )
    if sizes["n_peaks"] > MAX_PEAKS_PER_GENE * sizes["n_genes"]:
        raise ValueError(
            f"`n_peaks` is {sizes['n_peaks']:,} for {sizes['n_genes']:,} genes. "
            f"Give at most {MAX_PEAKS_PER_GENE} peaks a gene, or more genes."
        )


def _cells(rng: np.random.Generator, n_cells: int, n_types: int, n_lineages: int, n_batches: int) -> pd.DataFrame:
    """Draw lineage, type, state and batch of every cell."""
    frequency = 1 / np.sqrt(np.arange(1, n_types + 1))
    drawn = rng.choice(n_types, size=n_cells - n_types, p=frequency / frequency.sum())
    cell_type = rng.permutation(np.concatenate([np.arange(n_types), drawn]))
    batch = rng.permutation(np.arange(n_cells) % n_batches)

    def named(codes: np.ndarray, n: int, prefix: str) -> pd.Categorical:
        return pd.Categorical.from_codes(codes, [f"{prefix}_{i + 1}" for i in range(n)])

    return pd.DataFrame(
        {
            "cell_type": named(cell_type, n_types, "type"),
            "lineage": named(cell_type % n_lineages, n_lineages, "lineage"),
            "batch": named(batch, n_batches, "batch"),
            "state": rng.uniform(size=n_cells),
        },
        index=[f"cell_{i}" for i in range(n_cells)],
    )


def _programmes(rng: np.random.Generator, obs: pd.DataFrame) -> np.ndarray:
    """Return the latent programmes (cells x programmes): lineage + type + state along a direction + the cell's own."""
    cell_type, lineage = obs["cell_type"].cat, obs["lineage"].cat
    n_types, n_lineages = len(cell_type.categories), len(lineage.categories)

    def draw(n: int, sd: float) -> np.ndarray:
        return rng.normal(scale=sd, size=(n, N_PROGRAMMES))

    of_lineage, of_type = draw(n_lineages, LINEAGE_SD), draw(n_types, TYPE_SD)
    # mostly the lineage's direction, a little the type's own
    along_lineage, along_type = draw(n_lineages, STATE_SD), draw(n_types, STATE_SD / 2)
    state = obs["state"].to_numpy()[:, None] - 0.5
    return (
        of_lineage[lineage.codes]
        + of_type[cell_type.codes]
        + state * (along_lineage[lineage.codes] + along_type[cell_type.codes])
        + draw(len(obs), CELL_SD)
    )


def _genome(rng: np.random.Generator, n_genes: int, n_peaks: int) -> Genome:
    """Place genes and peaks on a line of bins that is then cut into chromosomes, and draw who regulates whom."""
    per_chromosome = -(-n_genes // N_CHROMOSOMES)
    gene_slot = np.arange(n_genes)
    chromosome = gene_slot // per_chromosome
    # room of DISTAL_BINS on either side of a chromosome's genes keeps every regulating peak on its gene's chromosome
    length = per_chromosome * GENE_SPACING + 2 * (DISTAL_BINS + 1)
    tss_bin = chromosome * length + DISTAL_BINS + 1 + (gene_slot % per_chromosome) * GENE_SPACING
    upstream = rng.choice([-1, 1], size=n_genes)  # -1: the gene is on the + strand and upstream means lower positions
    tss = (tss_bin % length) * BIN + BIN // 2

    n_promoters = min(n_genes, round(PROMOTER_SHARE * n_peaks))
    n_distal = round(DISTAL_SHARE * n_peaks)
    promoter_gene = np.sort(rng.choice(n_genes, n_promoters, replace=False))
    promoter_bin = (tss_bin + upstream)[promoter_gene]

    # every distal bin of every gene in random order; a bin that two genes could use goes to the first
    # bins 0 to 2 upstream are left to promoters
    gene, offset = np.divmod(rng.permutation(n_genes * (DISTAL_BINS - 3)), DISTAL_BINS - 3)
    candidate = tss_bin[gene] + upstream[gene] * (offset + 3)
    first = np.sort(np.unique(candidate, return_index=True)[1])
    first = first[~np.isin(candidate[first], promoter_bin)][:n_distal]
    distal_gene, distal_bin = gene[first], candidate[first]

    taken = np.concatenate([promoter_bin, distal_bin])
    free = np.setdiff1d(np.arange((chromosome[-1] + 1) * length), taken)
    bins = np.concatenate([taken, rng.choice(free, n_peaks - len(taken), replace=False)])
    order = np.argsort(bins)

    width = rng.integers(300, 901, size=n_peaks)
    start = (bins % length) * BIN + (BIN - width) // 2
    peaks = pd.DataFrame({"chrom": _chromosomes(bins // length), "start": start, "end": start + width})
    peaks.index = peaks["chrom"].astype(str) + ":" + peaks["start"].astype(str) + "-" + peaks["end"].astype(str)
    peaks.index.name = None

    regulated = np.concatenate([promoter_gene, distal_gene])
    weight = rng.uniform(0.5, 1.5, size=len(regulated))
    weight /= np.bincount(regulated, weights=weight, minlength=n_genes)[regulated]
    genes = _gene_table(rng, chromosome, tss, upstream)
    regulation = pd.DataFrame(
        {"gene": genes.index[regulated], "peak": peaks.index[: len(regulated)], "weight": weight}
    ).sort_values(["gene", "peak"], ignore_index=True)
    by_peak = sparse.csr_matrix((weight, (np.arange(len(regulated)), regulated)), shape=(n_peaks, n_genes))
    return Genome(genes, peaks.iloc[order], regulation, by_peak[order])


def _gene_table(
    rng: np.random.Generator, chromosome: np.ndarray, tss: np.ndarray, upstream: np.ndarray
) -> pd.DataFrame:
    n_genes = len(tss)
    length = np.clip(rng.lognormal(np.log(15_000), 0.7, size=n_genes), 1_000, 100_000).astype(np.int64)
    forward = upstream < 0
    return pd.DataFrame(
        {
            "chrom": _chromosomes(chromosome),
            "start": np.where(forward, tss, tss + 1 - length),
            "end": np.where(forward, tss + length, tss + 1),
            "strand": pd.Categorical(np.where(forward, "+", "-"), categories=["+", "-"]),
            "tss": tss,
        },
        index=[f"gene_{i}" for i in range(n_genes)],
    )


def _chromosomes(codes: np.ndarray) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, [f"chr{i + 1}" for i in range(N_CHROMOSOMES)])


def _counts(
    rng: np.random.Generator, obs: pd.DataFrame, programmes: np.ndarray, genome: Genome, batch_effect: float
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Draw the counts of both modalities, cells x genes and cells x peaks."""
    n_cells, n_batches = len(obs), len(obs["batch"].cat.categories)
    n_peaks, n_genes = genome.weights.shape
    batch = obs["batch"].cat.codes.to_numpy()

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

    rna, atac = [], []
    for rows in _blocks(n_cells):
        is_open = expit(programmes[rows] @ loadings - threshold)
        atac_rate = np.exp(peak_level + atac_batch[batch[rows]] + atac_depth[rows]) * is_open
        atac.append(_csr(rng.poisson(ATAC_RATE / expit(-1.0) * atac_rate)))

        rna_rate = np.exp(gene_level + RNA_GAIN * (is_open @ genome.weights) + rna_batch[batch[rows]] + rna_depth[rows])
        rna_rate *= rng.gamma(1 / RNA_DISPERSION, RNA_DISPERSION, size=rna_rate.shape)
        rna_rate[rng.random(rna_rate.shape) < RNA_DROPOUT] = 0
        rna.append(_csr(rng.poisson(rna_rate)))
    return sparse.vstack(rna, format="csr"), sparse.vstack(atac, format="csr")


def _blocks(n_cells: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, n_cells, BLOCK))


def _csr(counts: np.ndarray) -> sparse.csr_matrix:
    return sparse.csr_matrix(counts.astype(np.float32))
