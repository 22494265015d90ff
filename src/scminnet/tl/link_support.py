"""The support of links by measured contacts or effects, and whether scores predict it better than distance."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from mudata import MuData
from sklearn.metrics import average_precision_score

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count
from scminnet.genomics.link_table import link_strength, link_table, ranking
from scminnet.tl._evidence import look_up, read_evidence

_NEEDED = ("gene", "chrom", "start", "end", "tss", "distance", "r")


@dataclass(frozen=True)
class LinkSupport:
    """What :func:`link_support` found.

    Attributes
    ----------
    auprc
        One row a group of links: ``group``, ``n_pairs``, ``n_supported``, and ``prevalence``, the supported share,
        which is the AUPRC of a random order. ``auprc`` is that of the score, and ``auprc_distance`` that of distance
        alone, the nearest first. Both are NaN where no pair is supported.
    by_distance
        One row a group and bin of distance: ``group``, ``from`` and ``to`` (bases, ``from`` <= ``|distance|`` <
        ``to``; infinite for the last bin), ``n_pairs``, ``n_supported`` and the supported ``share``. ``r_supported``
        and ``r_unsupported`` are the means of ``r`` over supported and unsupported pairs, NaN where there is none.
    pairs
        The links that the evidence covers, with the column ``supported`` (bool).
    n_unknown
        Number of links left out because the evidence does not cover them.
    """

    auprc: pd.DataFrame
    by_distance: pd.DataFrame
    pairs: pd.DataFrame
    n_unknown: int


@check_types
def link_support(
    links: pd.DataFrame | MuData,
    evidence: pd.DataFrame | str | os.PathLike[str],
    *,
    score: str | None = None,
    bins: Sequence[int] = (0, 10_000, 25_000, 50_000, 100_000),
    slack: int = 1000,
    gene_key: str = "gene",
    positive_key: str | None = None,
) -> LinkSupport:
    """Compare links with promoter-capture Hi-C, CRISPR screens or eQTLs.

    Near pairs are both more often supported and more strongly correlated, so a high supported share alone says little.
    Compare shares within a bin of distance, and the precision of the score with that of distance alone.

    Parameters
    ----------
    links
        The MuData of bulks after ``cre_links``, or its table. Give all tested pairs, not only the significant ones: the
        others are the negatives.
    evidence
        A table, or the path of a file (``.gz`` allowed), of one of two kinds:

        - pairs of anchors: BEDPE (``.bedpe``), or the columns ``chrom1``, ``start1``, ``end1``, ``chrom2``, ``start2``,
          ``end2``. A link is supported when its peak overlaps one anchor of a pair and its gene's transcript start lies
          within ``slack`` bases of the other. Links whose start is near no anchor are left out, because nothing was
          measured there. Anchors of unknown position (chromosome ``.``) are ignored.
        - intervals of a gene: elements of a CRISPR screen, or eQTLs as intervals one base long. The file (``.tsv``,
          ``.txt`` or ``.csv``) has a header. The columns are the gene and ``chrom``, ``start``, ``end``, in any
          spelling of ``genomics.INTERVAL_COLUMNS``. A link is supported when its peak overlaps one of its gene's
          intervals. Links of genes without any are left out.
    score
        Column by which links are ranked: ``"score"``, ``"abc"``, ``"r"``, ``"r_conditional"`` or ``"z"``, the greatest
        first, or ``"p"`` or ``"fdr"``, the smallest first. ``None``: ``"score"``, or ``"r"`` of a table without it.
    bins
        Ascending edges of the bins of ``|distance|``, in bases, the first 0; the last bin has no upper end.
    slack
        Bases around a transcript start in which an anchor counts as the promoter's; 1,000, about a promoter's length.
    gene_key
        Column of intervals that names the gene, as the links do.
    positive_key
        Column of intervals that says which were positive (true/false or 1/0), for screens that also list tested
        intervals without effect. Only links that overlap a tested interval of their gene then count. ``None``: every
        interval is positive.

    Returns
    -------
    LinkSupport with tables by group, by distance and of the pairs. Nothing is written into a MuData.

    Raises
    ------
    TypeError
        ``links`` is neither table nor MuData, or ``evidence`` neither table nor path.
    KeyError
        ``links`` is a MuData without links.
    FileNotFoundError
        ``evidence`` is the path of no file.
    ValueError
        A table lacks columns or rows. Intervals or outcomes do not parse, or the file can not be read. Links and
        evidence have no chromosome or no gene in common, or chromosomes that hold under 5 % of either. The evidence
        covers no link. A score is missing. A parameter is out of its range.

    Warns
    -----
    UserWarning
        Shared chromosomes hold less than half of the links and of the evidence, or renaming them would help.

    Notes
    -----
    AUPRC is scikit-learn's average precision: the mean, over the supported pairs, of the share of supported pairs among
    those ranked as high or higher.

    Examples
    --------
    >>> import scminnet as mn
    >>> support = mn.tl.link_support(bulks, "pchic.bedpe.gz")  # doctest: +SKIP
    >>> support.auprc[["auprc", "auprc_distance", "prevalence"]]  # doctest: +SKIP
    >>> mn.tl.link_support(
    ...     bulks, "crispr.tsv", gene_key="measuredGeneSymbol", positive_key="Regulated"
    ... )  # doctest: +SKIP
    """
    score = ranking(links, score)
    table = link_table(links, [*_NEEDED, score])
    edges = _check_bins(bins)
    check_count(slack, "slack", minimum=0)
    strengths = link_strength(table, score)
    if "group" not in table:
        table = table.assign(group="all")
    known, supported = look_up(
        table, read_evidence(evidence), slack=slack, gene_key=gene_key, positive_key=positive_key
    )
    if not known.any():
        raise ValueError(
            f"`evidence` covers none of the {len(table):,} links: no transcript start is within {slack:,} bases "
            "of an anchor, or no link was tested. Check that both are of one genome build."
        )
    pairs = table.assign(supported=supported)[known].reset_index(drop=True)
    far = pairs["distance"].abs().to_numpy()
    bin_of = np.searchsorted(edges, far, side="right") - 1
    of_score = strengths[known]
    ranks, rows = [], []
    for group, index in pairs.groupby("group", sort=False, observed=True).indices.items():
        ranks.append({"group": group} | _precision(pairs["supported"].to_numpy()[index], of_score[index], far[index]))
        for i, start in enumerate(edges):
            here = pairs.iloc[index[bin_of[index] == i]]
            end = edges[i + 1] if i + 1 < len(edges) else np.inf
            rows.append({"group": group, "from": start, "to": float(end)} | _share(here))
    return LinkSupport(pd.DataFrame(ranks), pd.DataFrame(rows), pairs, int((~known).sum()))


def _check_bins(bins: Sequence[int]) -> list[int]:
    edges = list(bins)
    for edge in edges:
        check_count(edge, "bins", minimum=0)
    if not edges or edges[0] != 0 or any(b <= a for a, b in zip(edges, edges[1:], strict=False)):
        raise ValueError(f"`bins` is {bins!r}. Give ascending edges in bases, the first of them 0.")
    return edges


def _precision(supported: np.ndarray, scores: np.ndarray, far: np.ndarray) -> dict[str, float]:
    """Average precision of the scores and of distance alone."""
    # not defined without positives, for which scikit-learn gives 0 and a warning
    auprc = [average_precision_score(supported, by) if supported.any() else np.nan for by in (scores, -far)]
    return {
        "n_pairs": len(supported),
        "n_supported": int(supported.sum()),
        "prevalence": float(supported.mean()),
        "auprc": float(auprc[0]),
        "auprc_distance": float(auprc[1]),
    }


def _share(pairs: pd.DataFrame) -> dict[str, float]:
    """How many pairs are supported, and the mean correlation of those that are and are not."""
    is_supported = pairs["supported"].to_numpy()
    return {
        "n_pairs": len(pairs),
        "n_supported": int(is_supported.sum()),
        "share": float(is_supported.mean()) if len(pairs) else np.nan,
        "r_supported": float(pairs["r"][is_supported].mean()),
        "r_unsupported": float(pairs["r"][~is_supported].mean()),
    }
