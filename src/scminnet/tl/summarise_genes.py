"""One row a gene: how many elements it has, how much they are worth together, and the best of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_fraction
from scminnet.genomics.link_table import PROBABILITIES, link_strength, link_table, ranking


@check_types
def summarise_genes(
    links: pd.DataFrame | MuData, *, score: str | None = None, max_fdr: float = 0.05, min_distance: int = 0
) -> pd.DataFrame:
    """Summarise the links of each gene.

    Parameters
    ----------
    links
        The MuData of bulks after ``cre_links``, or its table.
    score
        Column that is summed: ``"score"``, ``"abc"``, ``"r"``, ``"r_conditional"`` or ``"z"``. Negative values count as
        0. ``None``: ``"score"``, or ``"r"`` of a table without it.
    max_fdr
        Links of at most this ``fdr`` are counted.
    min_distance
        Peaks nearer to the gene's start than this many bases are left out. 2,000 leaves out the promoter, whose
        accessibility says little of the enhancers.

    Returns
    -------
    A table, one row a group and gene, sorted by group and potential, the highest first. Genes all of whose peaks are
    left out have no row. Nothing is written into a MuData.

    ``gene``, ``group``
        Names. ``group`` only if the links have it.
    ``n_peaks``
        Tested peaks.
    ``n_significant``
        Links of at most ``max_fdr``. Missing if the table has no ``fdr``.
    ``potential``
        Sum of the scores: the regulatory potential. A ``score`` is roughly a probability, and the sum then the expected
        number of elements that regulate the gene.
    ``best_peak``, ``best_score``, ``best_distance``
        The best link.

    Raises
    ------
    TypeError
        ``links`` is neither table nor MuData.
    KeyError
        ``links`` is a MuData without links.
    ValueError
        The table lacks columns or rows, or a score is missing. ``score`` can not be summed. No peak is far enough. A
        parameter is out of its range.

    Examples
    --------
    >>> import scminnet as mn
    >>> mn.tl.summarise_genes(bulks, min_distance=2000).head()  # doctest: +SKIP
    """
    column = ranking(links, score)
    if column in PROBABILITIES:
        raise ValueError(f"`score` is {column!r}, and probabilities have no sum. Name another column, or leave it out.")
    check_fraction(max_fdr, "max_fdr", upper_open=False)
    if min_distance < 0:
        raise ValueError(f"`min_distance` is {min_distance}. Give a number of bases, 0 or more.")
    table = link_table(links, ["gene", "peak", "distance", column])
    strength = link_strength(table, column)
    table = table.assign(strength=strength)[table["distance"].abs() >= min_distance]
    if table.empty:
        raise ValueError(f"`min_distance` is {min_distance:,}, and no peak is that far from its gene. Give less.")
    by = [*(["group"] if "group" in table else []), "gene"]
    table = table.assign(
        positive=table["strength"].clip(lower=0),
        significant=(pd.to_numeric(table["fdr"], errors="coerce") <= max_fdr) if "fdr" in table else np.nan,
    ).sort_values("strength", ascending=False, kind="stable")
    groups = table.groupby(by, sort=False)
    best = groups[["peak", "strength", "distance"]].first()
    result = pd.DataFrame({"n_peaks": groups.size()})
    if "fdr" in table:
        result["n_significant"] = groups["significant"].sum().astype(int)
    result["potential"] = groups["positive"].sum()
    result[["best_peak", "best_score", "best_distance"]] = best
    first = ["gene", *by[:-1]]
    result = result.reset_index()
    result = result.sort_values(
        [*by[:-1], "potential", "gene"], ascending=[*[True] * (len(by) - 1), False, True], ignore_index=True
    )
    return result[[*first, *(c for c in result if c not in first)]]
