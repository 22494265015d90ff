"""Links of peaks to genes by distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scminnet.coupling.gene_names import name_keys
from scminnet.coupling.linking import PEAK, Linked, pairs_of
from scminnet.genomics import parse_intervals
from scminnet.pp.gene_windows import membership


def link_peaks(
    peaks: pd.DataFrame, starts: pd.DataFrame, genes: pd.DataFrame, *, argument: str, **windows: Any
) -> Linked:
    """Link peaks to the genes in whose windows they lie.

    Parameters
    ----------
    peaks
        ``var`` of the peaks.
    starts
        Transcript starts: see :func:`scminnet.genomics.read_annotation`.
    genes
        All names of the genes: see :func:`~scminnet.coupling.gene_names.spellings`.
    argument
        What the error text calls the peaks.
    **windows
        As :func:`~scminnet.pp.gene_windows.membership` takes them.
    """
    intervals = parse_intervals(peaks, argument=argument)
    starts, owners = _annotated(starts, genes)
    reasons: dict[int, tuple[str, str]] = {}
    annotated = np.unique(owners["feature"])
    if len(starts):
        annotation_genes = pd.Index(starts["gene"]).unique()
        weights = membership(intervals, starts, annotation_genes, **windows).tocoo()
        of_gene = owners.assign(column=annotation_genes.get_indexer(owners["gene"]))
        of_gene = of_gene.drop_duplicates(["column", "feature"])
        found = pd.DataFrame({"peak": weights.row, "column": weights.col, "weight": weights.data})
        found = found.merge(of_gene[["column", "feature"]], on="column")
        pairs = pairs_of(found["peak"], found["feature"], found["weight"], PEAK)
    else:
        pairs = pairs_of([], [], [], [])
    lacking = np.setdiff1d(genes["feature"].unique(), annotated)
    of_genes = dict.fromkeys(map(int, lacking), ("not in the annotation", ""))
    of_genes |= dict.fromkeys(map(int, np.setdiff1d(annotated, pairs["second"])), ("without a peak near", ""))
    return Linked(pairs, (reasons, of_genes))


def _annotated(starts: pd.DataFrame, genes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the starts of genes that are measured, and which feature each annotated gene is, by its symbol or id."""
    starts = starts.assign(gene=starts["gene"].astype(str)).reset_index(drop=True)
    named = starts[["gene"]].assign(key=name_keys(starts["gene"]).to_numpy())
    if "gene_id" in starts:
        # two genes of one symbol are told apart by their ids
        named = pd.concat([named, starts[["gene"]].assign(key=name_keys(starts["gene_id"]).to_numpy())])
    owners = named.drop_duplicates().merge(genes[["feature", "key"]].drop_duplicates(), on="key")
    owners = owners[["gene", "feature"]].drop_duplicates(ignore_index=True)
    return starts[starts["gene"].isin(owners["gene"])].reset_index(drop=True), owners
