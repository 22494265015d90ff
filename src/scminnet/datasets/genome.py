"""The simulated genome: positions of genes and peaks, regulating peaks, and links that change with the condition."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

N_CHROMOSOMES = 3
#: Peaks lie in bins of 1 kb, one per bin, so that none overlap. Genes are at least ``GENE_SPACING`` bins apart.
BIN, GENE_SPACING, DISTAL_BINS = 1_000, 50, 150
#: Shares of promoters and of distal regulators among the peaks. The other peaks regulate nothing.
PROMOTER_SHARE, DISTAL_SHARE = 0.4, 0.4
#: More peaks per gene would not fit near the genes.
MAX_PEAKS_PER_GENE = 20


class Genome(NamedTuple):
    """Genes and peaks with their positions, and the links between them."""

    genes: pd.DataFrame
    peaks: pd.DataFrame
    regulation: pd.DataFrame
    #: Peaks x genes. Columns sum to 1, or to 0 for genes without a regulating peak.
    weights: sparse.csr_matrix


def draw_genome(rng: np.random.Generator, n_genes: int, n_peaks: int, distance_decay: float) -> Genome:
    """Place genes and peaks on a line of bins, which is cut into chromosomes, and draw the links."""
    per_chromosome = -(-n_genes // N_CHROMOSOMES)
    gene_slot = np.arange(n_genes)
    chromosome = gene_slot // per_chromosome
    # DISTAL_BINS free bins at both ends keep every regulating peak on its gene's chromosome
    length = per_chromosome * GENE_SPACING + 2 * (DISTAL_BINS + 1)
    tss_bin = chromosome * length + DISTAL_BINS + 1 + (gene_slot % per_chromosome) * GENE_SPACING
    upstream = rng.choice([-1, 1], size=n_genes)  # -1: + strand, where upstream means lower positions
    tss = (tss_bin % length) * BIN + BIN // 2

    n_promoters = min(n_genes, round(PROMOTER_SHARE * n_peaks))
    n_distal = round(DISTAL_SHARE * n_peaks)
    promoter_gene = np.sort(rng.choice(n_genes, n_promoters, replace=False))
    promoter_bin = (tss_bin + upstream)[promoter_gene]

    # all distal bins of all genes in random order, without bins 0 to 2, which are for promoters;
    # a bin that two genes could use goes to the first
    order = rng.permutation(n_genes * (DISTAL_BINS - 3))
    if distance_decay:
        # draws without replacement, with probabilities that fall with the distance
        probability = np.tile(np.arange(3.0, DISTAL_BINS), n_genes) ** -distance_decay
        order = np.argsort(rng.exponential(size=len(order)) / probability)
    gene, offset = np.divmod(order, DISTAL_BINS - 3)
    candidate = tss_bin[gene] + upstream[gene] * (offset + 3)
    first = np.sort(np.unique(candidate, return_index=True)[1])
    first = first[~np.isin(candidate[first], promoter_bin)][:n_distal]
    distal_gene, distal_bin = gene[first], candidate[first]

    taken = np.concatenate([promoter_bin, distal_bin])
    free = np.setdiff1d(np.arange((chromosome[-1] + 1) * length), taken)
    bins = np.concatenate([taken, rng.choice(free, n_peaks - len(taken), replace=False)])
    by_place = np.argsort(bins)

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
    return Genome(genes, peaks.iloc[by_place], regulation, by_peak[by_place])


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


def change_links(rng: np.random.Generator, regulation: pd.DataFrame, share: float) -> pd.DataFrame:
    """Draw the change of each link in the other conditions: a ``share`` changes, half of it is lost, half flipped."""
    n_changed = round(share * len(regulation))
    kind = np.full(len(regulation), "same", dtype=object)
    changed = rng.permutation(len(regulation))[:n_changed]
    kind[changed] = "lost"
    kind[changed[: n_changed // 2]] = "flipped"
    factor = pd.Series({"same": 1.0, "lost": 0.0, "flipped": -1.0})
    return regulation.assign(weight_other=regulation["weight"] * factor[kind].to_numpy(), kind=kind)


def weight_changes(genome: Genome) -> sparse.csr_matrix:
    """Return the other conditions' weights minus the control's (peaks x genes)."""
    table = genome.regulation
    if "weight_other" not in table:
        return sparse.csr_matrix(genome.weights.shape)
    rows, columns = genome.peaks.index.get_indexer(table["peak"]), genome.genes.index.get_indexer(table["gene"])
    return sparse.csr_matrix((table["weight_other"] - table["weight"], (rows, columns)), shape=genome.weights.shape)
