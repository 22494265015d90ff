"""Links that differ between conditions: the same pairs' correlations in each, compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import stats
from tqdm.auto import tqdm

from scminnet._core.arguments import check_count, shorten
from scminnet._core.logging import logger
from scminnet._core.mdata import check_copyable, check_mudata, check_not_view
from scminnet.genomics.link_table import PAIR_COLUMNS, link_table
from scminnet.tl._correlation import check_method, correlate_pairs, prepare
from scminnet.tl._null import false_discovery_rate, fisher, fisher_variance
from scminnet.tl._paired import observation_groups, paired_matrices, recorded_layer

#: The variance of Fisher's transformation, 1 / (n - 3), needs as many bulks.
MIN_BULKS = 4

#: Pairs times shuffles from which on a progress bar is shown.
SHOW_PROGRESS_FROM = 1_000_000


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

    The correlation of each pair is computed over the bulks of each level of ``condition`` apart, and each level is compared with the
    reference by Fisher's transformation:

    .. math:: z = \frac{\operatorname{artanh} r - \operatorname{artanh} r_0}{\sqrt{v / (n - 3) + v / (n_0 - 3)}}

    with :math:`v = 1.06` for Spearman :cite:p:`Fieller57` and 1 for Pearson; p is that of the normal distribution. It takes the bulks of a level
    for independent observations. With ``n_permutations``, p is instead the share of shuffles of the condition among the
    bulks in which :math:`|z|` is as large; it is at least 1 / (``n_permutations`` + 1).

    Bulks of several cell types correlate by type above all, so a level with other types, or in other proportions, has other
    correlations without any difference within a type. Compare within a type by ``groupby``, or make sure that the levels have the
    same types. Bulks of one donor resemble each other, which neither p takes into account.

    Give bulks of counts that were not smoothed: smoothed bulks share cells, and both tests then find differences that are not there, even if
    each condition was smoothed apart. Smoothed over all cells, conditions are mixed and no difference is left. The correlation of a
    pair also changes when another peak of the gene gains or loses its influence; the table does not tell these apart.

    Parameters
    ----------
    mdata
        Bulks of :func:`scminnet.tl.minibulk` with ``condition``, or any MuData as for :func:`cre_links`.
    condition
        Column of ``mdata.obs`` or of a modality's ``obs`` that holds the conditions. Bulks without a value are not used.
    reference
        The level with which the others are compared.
    links
        Pairs to compare: the table of :func:`cre_links` or some of its rows, or a MuData that has it. ``None``: that of ``mdata``.
        Each gene and peak is compared once, in every group, whatever groups the table has. Pairs chosen because they correlate
        at one of the levels are found to differ too often: choose them by other data, or compare all.
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
            Whether ``r`` and ``r_reference`` have opposite signs, however small they are: read it along with ``fdr``.
    ``mdata.uns["{key}_info"]``
        ``params``, and with ``groupby``, ``levels_left_out``: a table of ``group``, ``condition`` and ``n_bulks`` with the levels that have
        fewer than 4 bulks in a group (all levels, where that is the reference). Pairs in which gene or peak is
        constant at either level are left out.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, its values are no numbers, or stored by columns on disk, or ``links`` is neither table nor MuData.
    KeyError
        ``condition`` or ``groupby`` is no column, or there are no links.
    ValueError
        ``mdata`` is a view; a modality or layer is not there; modalities share no observation; a parameter is out of its range, or
        ``nonzero`` is set with Spearman; values are NaN or infinite; ``links`` lacks columns or rows, or names features that are
        not there; ``condition`` has one level only, or lacks ``reference``; a level has fewer than 4 bulks (with ``groupby``: in
        every group); or no pair varies.
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_copyable(mdata, copy=copy)
    check_method(method, nonzero=nonzero)
    check_count(n_permutations, "n_permutations", minimum=0)
    paired = paired_matrices(mdata, rna, atac, layer)
    levels = observation_groups(mdata, paired.names, condition, [rna, atac], "condition")
    reference = str(reference)
    _check_levels(levels, condition, reference)
    groups = observation_groups(mdata, paired.names, groupby, [rna, atac])
    bulks = {(group, level): np.intersect1d(rows, levels[level]) for group, rows in groups.items() for level in levels}
    few = {key: len(rows) for key, rows in bulks.items() if len(rows) < MIN_BULKS}
    others = [level for level in levels if level != reference]
    compared = [(g, lv) for g in groups for lv in others if (g, lv) not in few and (g, reference) not in few]
    if not compared or (few and groupby is None):
        found = [f"{lv!r} has {n}" + ("" if groupby is None else f" in group {g!r}") for (g, lv), n in few.items()]
        raise ValueError(
            f"`condition`={condition!r} has levels with too few bulks: {', '.join(found)}. "
            f"At least {MIN_BULKS} are needed: make more bulks, or leave these levels out."
        )
    pairs = link_table(mdata if links is None else links, PAIR_COLUMNS)[list(PAIR_COLUMNS)]
    pairs = pairs.astype({"gene": str, "peak": str}).drop_duplicates(["gene", "peak"], ignore_index=True)
    genes, first = np.unique(_positions(mdata, rna, pairs["gene"]), return_inverse=True)
    peaks, second = np.unique(_positions(mdata, atac, pairs["peak"]), return_inverse=True)
    expression, accessibility = paired.rna.columns(genes), paired.atac.columns(peaks)

    def correlate(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = prepare(expression[rows], method), prepare(accessibility[rows], method)
        return correlate_pairs(x, y, first, second, nonzero=nonzero)

    tables = []
    for group, level in compared:
        ours, theirs = bulks[group, level], bulks[group, reference]
        (r, n), (r0, n0) = correlate(ours), correlate(theirs)
        z = difference(r, n, r0, n0, method)
        if n_permutations:
            p = _permuted(correlate, z, ours, theirs, method, n_permutations, seed)
        else:
            p = 2 * stats.norm.sf(np.abs(z))
        table = pairs.assign(
            group=group,
            condition=level,
            reference=reference,
            r=r,
            r_reference=r0,
            difference=r - r0,
            z=z,
            p=p,
            n_bulks=n,
            n_bulks_reference=n0,
            sign_flip=r * r0 < 0,
        )[np.isfinite(z)]
        table.insert(table.columns.get_loc("p") + 1, "fdr", false_discovery_rate(table["p"].to_numpy()))
        tables.append(table)
    result_table = pd.concat(tables, ignore_index=True)
    if result_table.empty:
        raise ValueError(
            f"`links`: none of its {len(pairs):,} pairs varies at both levels of `condition`={condition!r}. "
            "Check the values of both modalities, or name another `layer`."
        )

    params: dict[str, Any] = {
        "condition": condition,
        "reference": reference,
        "groupby": groupby,
        "method": method,
        "nonzero": nonzero,
        "layer": recorded_layer(layer),
        "n_permutations": n_permutations,
        "rna": rna,
        "atac": atac,
        "seed": seed,
    }
    # h5mu files hold no None
    info: dict[str, Any] = {"params": {name: value for name, value in params.items() if value is not None}}
    if groupby is not None:
        rows = [(group, level, n) for (group, level), n in few.items()]
        info["levels_left_out"] = pd.DataFrame(rows, columns=["group", "condition", "n_bulks"])
        if few:
            logger.info(
                "%d levels of groups have fewer than %d bulks; uns['%s_info'] lists them",
                len(few),
                MIN_BULKS,
                key_added,
            )

    result = mdata.copy() if copy else mdata
    result.uns[key_added] = result_table
    result.uns[f"{key_added}_info"] = info
    return result if copy else None


def difference(
    r: np.ndarray, n: np.ndarray, r_reference: np.ndarray, n_reference: np.ndarray, method: str
) -> np.ndarray:
    """Score the difference of two correlations by Fisher's transformation."""
    variance = fisher_variance(n, method) + fisher_variance(n_reference, method)
    return (fisher(r) - fisher(r_reference)) / np.sqrt(variance)


def _permuted(
    correlate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    z: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    method: str,
    n_permutations: int,
    seed: int,
) -> np.ndarray:
    """Share of the shuffles of both levels' bulks in which |z| is as large; those in which a pair is constant do not count for it."""
    rng = np.random.default_rng(seed)
    together = np.concatenate([ours, theirs])
    as_large, counted = np.ones(len(z)), np.ones(len(z))
    small = n_permutations * len(z) < SHOW_PROGRESS_FROM
    for _ in tqdm(range(n_permutations), desc="Shuffles", disable=small):
        shuffled = rng.permutation(together)
        drawn = difference(*correlate(shuffled[: len(ours)]), *correlate(shuffled[len(ours) :]), method)
        # rounding must not part equal values
        as_large += np.abs(drawn) >= np.abs(z) - 1e-9
        counted += np.isfinite(drawn)
    return as_large / counted


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


def _positions(mdata: MuData, modality: str, names: pd.Series) -> np.ndarray:
    """Positions of features, raising when some are not there."""
    found = mdata.mod[modality].var_names.get_indexer(names)
    if (found < 0).any():
        raise ValueError(
            f"`links` names {shorten(names[found < 0].unique())}, no feature of modality {modality!r}. "
            "Give links of these data."
        )
    return found
