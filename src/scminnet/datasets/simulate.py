"""Simulated multiome with known cell types, states, batches and regulating peaks.

The simulation follows the order of gene regulation::

    cells (lineage, type, state, batch)
      -> latent programmes
      -> peaks open or closed                  -> ATAC counts (batch, depth)
      -> expression of the genes they regulate -> RNA counts (batch, depth, dropout)
      -> proteins                              -> ADT counts (batch, depth)

``genome.py`` places genes and peaks, ``counts.py`` draws the counts.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count, check_fraction, check_positive
from scminnet.datasets.counts import N_PROGRAMMES, draw_counts
from scminnet.datasets.genome import MAX_PEAKS_PER_GENE, change_links, draw_genome

#: Largest standard deviation of the batch factors' logarithms. Counts 20,000 times as high are no batch effect.
MAX_BATCH_EFFECT = 5.0

#: Standard deviations of a cell's programmes between lineages, cell types and states, and within a state.
LINEAGE_SD, TYPE_SD, STATE_SD, CELL_SD = 0.9, 0.5, 1.2, 0.25


@check_types
def simulate_multiome(
    n_cells: int = 2000,
    *,
    n_types: int = 8,
    n_lineages: int = 3,
    n_batches: int = 4,
    n_genes: int = 600,
    n_peaks: int = 1500,
    distance_decay: float = 0.0,
    n_proteins: int = 0,
    n_conditions: int = 1,
    condition_specific: float = 0.0,
    batch_effect: float = 0.3,
    paired: bool | float = True,
    seed: int = 0,
) -> MuData:
    """Simulate raw counts of gene expression and chromatin accessibility of the same cells, with the ground truth.

    A cell's type and state set the activity of 16 latent programmes. The programmes open and close peaks. The log
    expression of a gene follows the accessibility of the peaks that regulate it. Cell types of one lineage share most
    of their programmes, and change with the state in a similar way. Each batch multiplies the rate of every gene and
    every peak by its own factor.

    Parameters
    ----------
    n_cells
        Number of cells, at least ``n_types``. Cell types differ in frequency, and every type has a cell.
    n_types
        Number of cell types, at least ``n_lineages``.
    n_lineages
        Number of lineages, among which the cell types are divided.
    n_batches
        Number of batches. All have the same expected proportions of cell types.
    n_genes
        Number of genes, on three chromosomes, at least 50 kb apart.
    n_peaks
        Number of peaks, at most 20 per gene. 40 % are promoters (at most one per gene). 40 % are distal regulators, in
        the 150 kb upstream of their gene's transcription start. The others lie anywhere and regulate nothing.
    distance_decay
        Exponent of the power law by which distal regulators become rarer with the distance to their gene. 0: as
        frequent at any distance. With 1 and five peaks per gene, the share of regulating peaks falls with the distance
        as in CRISPRi screens of K562: from about 0.6 within 10 kb to 0.03 beyond 100 kb.
    n_proteins
        Number of proteins, at most ``n_genes``. 0: no protein modality. A protein's rate is proportional to that of its
        gene before batch and depth, plus a background that is the same in all cells. Proteins have their own batch
        effect and depth.
    n_conditions
        Number of conditions. Every batch and cell type has the same expected proportions of conditions, so that
        conditions can be distinguished from batch effects.
    condition_specific
        Share of the links that differ between the control and the other conditions. They are the same in all other
        conditions: half of them are lost, half change their sign. Accessibility does not change with the condition. Nor
        does a gene's expression in a cell with average accessibility.
    batch_effect
        Standard deviation of the batch factors, in natural logarithms. 0: no batch effect. The default is similar to
        the difference between two cell types of one lineage.
    paired
        Whether every cell has all modalities, or the share of cells that do. Of the other cells, equal parts keep one
        modality each, drawn at random. The same seed gives the same cells and counts for any share.
    seed
        Seed of all random draws. The same seed gives the same genes, peaks and links for any number of cells, types and
        batches.

    Returns
    -------
    A MuData with raw counts as CSR matrices of float32, and these annotations.

    ``mdata["rna"].var``
        ``chrom``, ``start``, ``end`` (gene body, 0-based, half-open), ``strand`` and ``tss`` (0-based position of the
        first transcribed base: ``start`` on +, ``end - 1`` on -).
    ``mdata["atac"].var``
        ``chrom``, ``start``, ``end`` (0-based, half-open). The names are ``chrom:start-end``.
    ``mdata["adt"].var``
        With proteins: ``gene``, the gene of each protein.
    ``mdata.obs``
        ``cell_type``, ``lineage`` and ``batch`` (categorical), and ``state`` in [0, 1], the cell's position along the
        continuous change of its lineage. With several conditions also ``condition``: ``control``, ``condition_1`` and
        so on.
    ``mdata.uns["regulation"]``
        The links: one row per pair with ``gene``, ``peak`` and ``weight``, the share of the peak in the gene's
        regulation. The weights of a gene sum to 1. Genes without a row depend on batch and depth only. With several
        conditions, ``weight`` is the control's and ``weight_other`` that of the other conditions. ``kind`` is the
        change of the link: ``"same"``, ``"lost"`` (weight 0) or ``"flipped"`` (-``weight``).

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        A size is not a whole number or too small; ``n_types`` is below ``n_lineages``, or ``n_cells`` below
        ``n_types``; there are too many peaks per gene, or more proteins than genes; ``condition_specific`` or
        ``paired`` is not in [0, 1]; ``condition_specific`` is set with a single condition; or ``batch_effect`` or
        ``distance_decay`` is negative, or ``batch_effect`` above 5.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(500, seed=1)
    >>> mdata["rna"].shape, mdata["atac"].shape
    ((500, 600), (500, 1500))

    A reference without one of the query's cell types:

    >>> in_reference = mdata.obs["batch"].isin(["batch_1", "batch_2"])
    >>> reference = mdata[in_reference & (mdata.obs["cell_type"] != "type_3")].copy()
    >>> query = mdata[~in_reference].copy()
    """
    _check_sizes(
        n_cells=n_cells,
        n_types=n_types,
        n_lineages=n_lineages,
        n_batches=n_batches,
        n_genes=n_genes,
        n_peaks=n_peaks,
        n_conditions=n_conditions,
    )
    check_positive(distance_decay, "distance_decay", minimum=0)
    _check_optional(n_proteins, n_genes, condition_specific, n_conditions, batch_effect, paired)
    rng = np.random.default_rng(seed)
    # separate generators: conditions and proteins do not change other data, and cells do not change the genome
    condition_rng, protein_rng, genome_rng = rng.spawn(3)

    obs = _cells(rng, n_cells, n_types, n_lineages, n_batches)
    programmes = _programmes(rng, obs)
    genome = draw_genome(genome_rng, n_genes, n_peaks, distance_decay)
    changed = np.zeros(n_cells, dtype=bool)
    if n_conditions > 1:
        condition = condition_rng.permutation(np.arange(n_cells) % n_conditions)
        names = ["control", *(f"condition_{i}" for i in range(1, n_conditions))]
        obs["condition"] = pd.Categorical.from_codes(condition, names)
        changed = condition > 0
        genome = genome._replace(regulation=change_links(condition_rng, genome.regulation, condition_specific))
    protein_genes = protein_rng.choice(n_genes, n_proteins, replace=False)
    counts = draw_counts(rng, protein_rng, obs["batch"], changed, programmes, genome, protein_genes, batch_effect)
    proteins = pd.DataFrame(
        {"gene": genome.genes.index[protein_genes]}, index=[f"protein_{i}" for i in range(n_proteins)]
    )
    features = {"rna": genome.genes, "atac": genome.peaks, "adt": proteins}

    cells = pd.DataFrame(index=obs.index)
    kept = _measured_in(rng, n_cells, float(paired), len(counts))
    modalities = {
        modality: AnnData(matrix[keeps], obs=cells[keeps], var=features[modality])
        for (modality, matrix), keeps in zip(counts.items(), kept, strict=True)
    }
    with warnings.catch_warnings():
        # mudata 0.3 warns that 0.4 no longer copies columns, which does not matter here
        warnings.simplefilter("ignore", FutureWarning)
        mdata = MuData(modalities)
    for column in obs:
        mdata.obs[column] = obs[column].reindex(mdata.obs_names)
    mdata.uns["regulation"] = genome.regulation
    return mdata


def _check_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        check_count(value, name)
    for large, small in (("n_types", "n_lineages"), ("n_cells", "n_types")):
        if sizes[large] < sizes[small]:
            raise ValueError(
                f"`{large}` is {sizes[large]}, less than `{small}`, {sizes[small]}. Raise `{large}` or lower `{small}`."
            )
    if sizes["n_peaks"] > MAX_PEAKS_PER_GENE * sizes["n_genes"]:
        raise ValueError(
            f"`n_peaks` is {sizes['n_peaks']:,} for {sizes['n_genes']:,} genes. "
            f"Give at most {MAX_PEAKS_PER_GENE} peaks per gene, or more genes."
        )


def _check_optional(
    n_proteins: int,
    n_genes: int,
    condition_specific: float,
    n_conditions: int,
    batch_effect: float,
    paired: bool | float,
) -> None:
    """Check proteins, conditions, batch effect and pairing."""
    check_count(n_proteins, "n_proteins", minimum=0)
    if n_proteins > n_genes:
        raise ValueError(
            f"`n_proteins` is {n_proteins}, more than `n_genes`, {n_genes}. Lower `n_proteins` or raise `n_genes`."
        )
    check_fraction(condition_specific, "condition_specific", upper_open=False)
    if condition_specific and n_conditions == 1:
        raise ValueError(
            f"`condition_specific` is {condition_specific}, but `n_conditions` is 1. Give two or more conditions."
        )
    check_positive(batch_effect, "batch_effect", minimum=0)
    if batch_effect > MAX_BATCH_EFFECT:
        raise ValueError(f"`batch_effect` is {batch_effect:g}. Give at most {MAX_BATCH_EFFECT:g}.")
    if not isinstance(paired, (bool, np.bool_)):
        check_fraction(paired, "paired", upper_open=False)


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
    """Return the latent programmes (cells x programmes): lineage, type, state along a direction, and noise."""
    cell_type, lineage = obs["cell_type"].cat, obs["lineage"].cat
    n_types, n_lineages = len(cell_type.categories), len(lineage.categories)

    def draw(n: int, sd: float) -> np.ndarray:
        return rng.normal(scale=sd, size=(n, N_PROGRAMMES))

    of_lineage, of_type = draw(n_lineages, LINEAGE_SD), draw(n_types, TYPE_SD)
    # mostly the direction of the lineage, with a smaller part of the type
    along_lineage, along_type = draw(n_lineages, STATE_SD), draw(n_types, STATE_SD / 2)
    state = obs["state"].to_numpy()[:, None] - 0.5
    return (
        of_lineage[lineage.codes]
        + of_type[cell_type.codes]
        + state * (along_lineage[lineage.codes] + along_type[cell_type.codes])
        + draw(len(obs), CELL_SD)
    )


def _measured_in(rng: np.random.Generator, n_cells: int, share: float, n_modalities: int) -> list[np.ndarray]:
    """Draw for each modality which cells keep it: a ``share`` of the cells keeps all, each other cell keeps one."""
    # reversed, so that RNA gets the odd cell
    alone = rng.permutation(n_cells)[: n_cells - round(share * n_cells)][::-1]
    kept = []
    for own in np.array_split(alone, n_modalities):
        keeps = np.ones(n_cells, dtype=bool)
        keeps[alone] = False
        keeps[own] = True
        kept.append(keeps)
    return kept
