"""Links that differ between conditions: the correlations of the same pairs, compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import stats
from tqdm.auto import tqdm

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count, shorten
from scminnet._core.logging import logger
from scminnet._core.mdata import check_copyable, check_mudata, check_not_view, copied
from scminnet._core.params import recorded
from scminnet.genomics.link_table import PAIR_COLUMNS, link_table
from scminnet.tl._correlation import PairValues, check_method
from scminnet.tl._null import false_discovery_rate, fisher, fisher_variance
from scminnet.tl._observations import Features, Observations, read_observations

#: Fewest bulks of a level: the variance of Fisher's transformation is 1 / (n - 3).
MIN_BULKS = 4

#: Pairs times shuffles from which on a progress bar is shown.
SHOW_PROGRESS_FROM = 1_000_000


@check_types
def differential_links(
    mdata: MuData,
    condition: str,
    reference: str,
    *,
    links: pd.DataFrame | MuData | None = None,
    groupby: str | None = None,
    method: str = "spearman",
    nonzero: bool = False,
    layer: str | Mapping[str, str | None] | None = None,
    n_permutations: int = 0,
    rna: str = "rna",
    atac: str = "atac",
    key_added: str = "differential_links",
    seed: int = 0,
    copy: bool = False,
) -> MuData | None:
    r"""Find links whose correlation differs between conditions.

    The correlation of each pair is computed over the bulks of each level of ``condition`` separately. Each level is
    compared with the reference by Fisher's transformation:

    .. math:: z = \frac{\operatorname{artanh} r - \operatorname{artanh} r_0}{\sqrt{v / (n - 3) + v / (n_0 - 3)}}

    with :math:`v = 1.06` for Spearman :cite:p:`Fieller57` and 1 for Pearson. p is that of the normal distribution, and
    assumes that the bulks of a level are independent. With ``n_permutations``, the condition is shuffled among the
    bulks, and p is the share of shuffles in which :math:`|z|` is as large. It is at least 1 / (``n_permutations`` + 1).

    Bulks of several cell types correlate by type above all. A level with other types, or in other proportions, then has
    other correlations without any difference within a type. Compare within a type by ``groupby``, or make sure that the
    levels have the same types. Neither p accounts for the similarity of bulks of one donor.

    Give bulks of counts that were not smoothed. Smoothed bulks share cells, and both tests then find false differences,
    even if each condition was smoothed separately. Smoothing over all cells mixes the conditions, and no difference is
    left. The correlation of a pair also changes when another peak of the gene gains or loses its influence. The table
    does not separate the two.

    Parameters
    ----------
    mdata
        Bulks of :func:`scminnet.tl.minibulk` with ``condition``, or any MuData as for :func:`cre_links`.
    condition
        Column of ``mdata.obs`` or of a modality's ``obs`` that holds the conditions. Bulks without a value are not
        used.
    reference
        The level with which the others are compared.
    links
        Pairs to compare: the table of :func:`cre_links` or some of its rows, or a MuData that has it. ``None``: that of
        ``mdata``. Each gene and peak is compared once, in every group, whatever groups the table has. Compare all
        pairs, or choose them by other data: pairs chosen because they correlate at one of the levels are found to
        differ too often.
    groupby
        Column of the groups within which conditions are compared, e.g. cell types. ``None``: over all bulks.
    method, nonzero, layer
        As in :func:`cre_links`.
    n_permutations
        Shuffles of the condition, within the group. 0: p is that of the normal distribution.
    rna, atac
        Modalities of the genes and of the peaks.
    key_added
        Name of the result.
    seed
        Seed of the shuffles.
    copy
        Return a changed copy and leave ``mdata`` as it is.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added``:

    ``mdata.uns[key]``
        A table, one row a group, level and pair, sorted by group and level, pairs as in ``links``.

        ``gene``, ``peak``, ``chrom``, ``start``, ``end``, ``tss``, ``strand``, ``distance``, ``promoter``
            As in ``links``.
        ``group``, ``condition``, ``reference``
            The group (``"all"`` without ``groupby``), the level, and the reference.
        ``r``, ``r_reference``, ``difference``
            Correlations at the level and at the reference, and the former minus the latter.
        ``z``, ``p``
            As above, two-sided.
        ``fdr``
            False discovery rate by Benjamini and Hochberg over the pairs of the group and level.
        ``n_bulks``, ``n_bulks_reference``
            Observations of the correlations.
        ``sign_flip``
            Whether ``r`` and ``r_reference`` have opposite signs. Read it along with ``fdr``, for both may be near 0.
    ``mdata.uns["{key}_info"]``
        ``params``. With ``groupby`` also ``levels_left_out``, a table of ``group``, ``condition`` and ``n_bulks``. It
        has the levels with fewer than 4 bulks in a group. If the reference is among them, the group is left out. Pairs
        in which gene or peak is constant at either level are left out.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData. Its values are not numeric, or stored by columns on disk. ``links`` is neither table nor
        MuData.
    KeyError
        ``condition`` or ``groupby`` is no column, or there are no links.
    ValueError
        ``mdata`` is a view. A modality or layer is missing, or the modalities share no observation. A parameter is out
        of its range, or ``nonzero`` is set with Spearman. Values are NaN or infinite. ``links`` lacks columns or rows,
        or names features that the modalities lack. ``condition`` has one level only, or lacks ``reference``. A level
        has fewer than 4 bulks (with ``groupby``: in every group). No pair varies.
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_copyable(mdata, copy=copy)
    check_method(method, nonzero=nonzero)
    check_count(n_permutations, "n_permutations", minimum=0)
    reference = str(reference)
    observed = read_observations(mdata, rna, atac, layer, groupby, condition)
    _check_levels(observed.levels, condition, reference)
    compared, few = _comparisons(observed, condition, reference, within_groups=groupby is not None)
    pairs = link_table(mdata if links is None else links, PAIR_COLUMNS)[list(PAIR_COLUMNS)]
    pairs = pairs.astype({"gene": str, "peak": str}).drop_duplicates(["gene", "peak"], ignore_index=True)
    values = _read_values(observed, pairs, rna, atac, method, nonzero=nonzero)

    tables = []
    for comparison in compared:
        scores = _compare(values, comparison, n_permutations, seed)
        labels = {"group": comparison.group, "condition": comparison.level, "reference": reference}
        tables.append(pd.concat([pairs.assign(**labels), scores], axis=1)[np.isfinite(scores["z"])])
    result_table = pd.concat(tables, ignore_index=True)
    if result_table.empty:
        raise ValueError(
            f"`links`: none of its {len(pairs):,} pairs varies at both levels of `condition`={condition!r}. "
            "Check the values of both modalities, or name another `layer`."
        )

    params = {
        "condition": condition,
        "reference": reference,
        "groupby": groupby,
        "method": method,
        "nonzero": nonzero,
        "layer": layer,
        "n_permutations": n_permutations,
        "rna": rna,
        "atac": atac,
        "seed": seed,
    }
    info: dict[str, Any] = {"params": recorded(params)}
    if groupby is not None:
        info["levels_left_out"] = pd.DataFrame(few, columns=["group", "condition", "n_bulks"])
        if few:
            logger.info(
                "%d levels of groups have fewer than %d bulks; uns['%s_info'] lists them",
                len(few),
                MIN_BULKS,
                key_added,
            )
    result = copied(mdata) if copy else mdata
    result.uns[key_added] = result_table
    result.uns[f"{key_added}_info"] = info
    return result if copy else None


class Comparison(NamedTuple):
    """A level of the condition and the reference within a group, with the rows of their bulks."""

    group: str
    level: str
    ours: np.ndarray
    theirs: np.ndarray


def _check_levels(levels: Collection[str], condition: str, reference: str) -> None:
    """Raise unless there are two levels or more, the reference among them."""
    if len(levels) < 2:
        raise ValueError(
            f"`condition`={condition!r} has {f'the level {shorten(levels)} only' if levels else 'no level'}. "
            "Name a column with two levels or more."
        )
    if reference not in levels:
        raise ValueError(
            f"`reference` is {reference!r}, which is no level of `condition`={condition!r}. "
            f"Choose one of {shorten(levels, 20)}."
        )


def _comparisons(
    observed: Observations, condition: str, reference: str, *, within_groups: bool
) -> tuple[list[Comparison], list[tuple[str, str, int]]]:
    """List the comparisons that have enough bulks, and group, level and number of bulks where there are too few."""
    bulks = {
        (group, level): np.intersect1d(rows, of_level)
        for group, rows in observed.groups.items()
        for level, of_level in observed.levels.items()
    }
    enough = {key: rows for key, rows in bulks.items() if len(rows) >= MIN_BULKS}
    few = [(group, level, len(rows)) for (group, level), rows in bulks.items() if len(rows) < MIN_BULKS]
    compared = [
        Comparison(group, level, rows, enough[group, reference])
        for (group, level), rows in enough.items()
        if level != reference and (group, reference) in enough
    ]
    if not compared or (few and not within_groups):
        found = [f"{level!r} has {n}" + (f" in group {group!r}" if within_groups else "") for group, level, n in few]
        raise ValueError(
            f"`condition`={condition!r} has levels with too few bulks: {', '.join(found)}. "
            f"At least {MIN_BULKS} are needed: make more bulks, or leave these levels out."
        )
    return compared, few


def _read_values(
    observed: Observations, pairs: pd.DataFrame, rna: str, atac: str, method: str, *, nonzero: bool
) -> PairValues:
    """Read the values of the genes and peaks of the pairs."""
    genes, first = np.unique(_positions(observed.genes, pairs["gene"], rna), return_inverse=True)
    peaks, second = np.unique(_positions(observed.peaks, pairs["peak"], atac), return_inverse=True)
    return PairValues(observed.genes.columns(genes), observed.peaks.columns(peaks), first, second, method, nonzero)


def _positions(features: Features, names: pd.Series, modality: str) -> np.ndarray:
    """Positions of features, raising when some are not there."""
    found = features.names.get_indexer(names)
    if (found < 0).any():
        raise ValueError(
            f"`links` names {shorten(names[found < 0].unique())}, no feature of modality {modality!r}. "
            "Give links of these data."
        )
    return found


def _compare(values: PairValues, comparison: Comparison, n_permutations: int, seed: int) -> pd.DataFrame:
    """Compare every pair between two sets of bulks; NaN in ``z`` where it does not vary in both."""
    ours, theirs = values.correlate(comparison.ours), values.correlate(comparison.theirs)
    z = difference(ours.r, ours.n, theirs.r, theirs.n, values.method)
    if n_permutations:
        p = _permuted(values, z, comparison, n_permutations, seed)
    else:
        p = 2 * stats.norm.sf(np.abs(z))
    return pd.DataFrame(
        {
            "r": ours.r,
            "r_reference": theirs.r,
            "difference": ours.r - theirs.r,
            "z": z,
            "p": p,
            "fdr": false_discovery_rate(np.where(np.isfinite(z), p, np.nan)),
            "n_bulks": ours.n,
            "n_bulks_reference": theirs.n,
            "sign_flip": ours.r * theirs.r < 0,
        }
    )


def difference(
    r: np.ndarray, n: np.ndarray, r_reference: np.ndarray, n_reference: np.ndarray, method: str
) -> np.ndarray:
    """Score the difference of two correlations by Fisher's transformation."""
    variance = fisher_variance(n, method) + fisher_variance(n_reference, method)
    return (fisher(r) - fisher(r_reference)) / np.sqrt(variance)


def _permuted(values: PairValues, z: np.ndarray, comparison: Comparison, n_permutations: int, seed: int) -> np.ndarray:
    """Share of the shuffles of both levels' bulks in which |z| is as large, among those in which the pair varies."""
    rng = np.random.default_rng(seed)
    together, n_ours = np.concatenate([comparison.ours, comparison.theirs]), len(comparison.ours)
    as_large, counted = np.ones(len(z)), np.ones(len(z))
    small = n_permutations * len(z) < SHOW_PROGRESS_FROM
    for _ in tqdm(range(n_permutations), desc="Shuffles", disable=small):
        shuffled = rng.permutation(together)
        first, second = values.correlate(shuffled[:n_ours]), values.correlate(shuffled[n_ours:])
        drawn = difference(first.r, first.n, second.r, second.n, values.method)
        # rounding must not part equal values
        as_large += np.abs(drawn) >= np.abs(z) - 1e-9
        counted += np.isfinite(drawn)
    return as_large / counted
