"""Links of genes and regulatory elements: correlations of expression and accessibility, and how they stand out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import stats

from scminnet._core.arguments import check_choice, check_count, shorten
from scminnet._core.logging import logger
from scminnet._core.mdata import check_copyable, check_mudata, check_not_view
from scminnet.genomics import check_annotation, gc_content, parse_intervals
from scminnet.genomics.link_table import LINK_COLUMNS, LINKS_KEY
from scminnet.tl._correlation import Columns, check_method, correlate_pairs, prepare
from scminnet.tl._null import POOL, Background, false_discovery_rate, matched_null, theoretical_null
from scminnet.tl._paired import Observed, observation_groups, paired_matrices, recorded_layer
from scminnet.tl._pairs import window_pairs

#: What correlations are compared with.
NULLS = ("matched", "theoretical", None)

#: Which correlations are found: those that differ from the background, or those above it.
ALTERNATIVES = ("two-sided", "greater")


def cre_links(
    mdata: MuData,
    tss: pd.DataFrame | str | os.PathLike[str],
    genes: Sequence[str] | None = None,
    *,
    upstream: int = 150_000,
    downstream: int = 0,
    gene_body: bool = False,
    method: str = "spearman",
    nonzero: bool = False,
    layer: str | Mapping[str, str | None] | None = None,
    groupby: str | None = None,
    min_bulks: int = 10,
    null: str | None = "matched",
    alternative: str = "two-sided",
    n_background: int = 200,
    genome: str | os.PathLike[str] | None = None,
    rna: str = "rna",
    atac: str = "atac",
    key_added: str = LINKS_KEY,
    seed: int = 0,
    copy: bool = False,
) -> MuData | None:
    r"""Correlate each gene with the peaks near its transcription starts, over bulks.

    A peak is paired with a gene when its midpoint lies in the window of one of the gene's transcript starts. A pair's correlation
    is compared with those of the same gene with peaks on other chromosomes that are about as accessible (and as rich in G and C,
    with ``genome``). With :math:`f` Fisher's transformation and :math:`m, s` the mean and standard deviation of :math:`f` over this
    background,

    .. math:: z = \frac{f(r) - m}{s}, \qquad f(r) = \operatorname{artanh} r,

    and p is the share of background correlations, scored in the same way against their own backgrounds, whose :math:`|z|` (or z, see
    ``alternative``) is as large.
    It is taken over all genes of a group, so it is at least about 2e-6, and 2e-4 for a single gene.

    The bulks of a tissue differ by cell type above all, and so do most genes and peaks: over such bulks, pairs that have nothing to do
    with each other correlate far beyond chance. ``null="theoretical"`` takes bulks for independent observations and finds
    many of them significant; ``"matched"`` does not. Bulks of smoothed counts are not independent even of each other, for neighbouring bulks
    share cells: there ``"theoretical"`` is wrong for genes and peaks that share nothing, too. Neither tells a regulatory element from a peak that merely opens in the same
    cells as its gene: neighbouring genes and peaks often do.

    Parameters
    ----------
    mdata
        Bulks of :func:`scminnet.tl.minibulk`, or any MuData in which the same observations have both modalities. They are matched by
        name; those that lack a modality are not used.
    tss
        Transcription start sites: the table of :func:`scminnet.genomics.read_annotation`, or the path of a file that it reads.
        Its column ``gene`` is matched with the names of the genes' features.
    genes
        Genes to link. ``None``: all.
    upstream
        Bases of the window before the transcript start, in the direction of transcription; 150,000 in the paper.
    downstream
        Bases of the window after the transcript start; 0 in the paper.
    gene_body
        Whether windows reach to the end of the gene, if that is further, as in the published code. ``tss`` then needs
        ``start`` and ``end`` of the genes.
    method
        ``"spearman"`` (the paper's) or ``"pearson"``.
    nonzero
        Take zeros for dropout: correlate over the observations in which gene and peak are both above zero, at least three. Only
        with ``"pearson"``, as in the published code.
    layer
        Layer of the values, observations x features; for bulks, ``X`` is log-normalised. A mapping of modality to layer gives
        each its own. ``None``: ``X``.
    groupby
        Column of ``mdata.obs`` or of a modality's ``obs``: correlations are over the bulks of each group apart. Bulks
        without a value are not used. ``None``: over all bulks.
    min_bulks
        Groups with fewer bulks are left out, at least 4. Of 10 bulks (the default) only a Spearman correlation beyond 0.65
        passes a test at 5 %; of fewer, links are hardly ever found.
    null
        ``"matched"``, ``"theoretical"`` (the normal distribution of Fisher's transformation for independent observations, with
        variance 1.06 / (n - 3) for Spearman :cite:p:`Fieller57` and 1 / (n - 3) for Pearson), or ``None`` for none.
    alternative
        ``"two-sided"``, or ``"greater"``: p is small for correlations above the background only, which finds more of the elements
        that further expression.
    n_background
        Background peaks of a pair, at least 30: those nearest in accessibility (by rank; the mean over the group's bulks) and GC
        content among 5,000 drawn at random. Fewer where other chromosomes have fewer. The standard deviation of 200 is known
        to 5 %.
    genome
        FASTA file of the peaks' genome, to match backgrounds by GC content as well. Needs pyfaidx: ``pip install
        'scminnet[genome]'``.
    rna, atac
        Modalities of the genes and of the peaks. Where the peaks lie is read from ``mdata[atac].var`` as by
        :func:`scminnet.genomics.parse_intervals`.
    key_added
        Name of the result.
    seed
        Seed of the background's draw; the same seed gives the same table.
    copy
        Return a changed copy and leave ``mdata`` as it is.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added``:

    ``mdata.uns[key]``
        A table, one row a group, gene and peak; sorted by group, the genes' order in ``mdata[rna].var`` and position.

        ``gene``, ``peak``
            Names of the features.
        ``chrom``, ``start``, ``end``
            The peak, 0-based, half-open.
        ``tss``, ``strand``
            The transcript start, 0-based, and ``"+"`` or ``"-"``: of several starts whose windows hold the peak, the nearest.
        ``distance``
            From ``tss`` to the peak's midpoint, ``(start + end) // 2``, in the direction of transcription; negative is upstream.
        ``promoter``
            Whether -2000 <= ``distance`` <= 0.
        ``r``
            The correlation.
        ``z``, ``p``
            As above. NaN without a null, and where a pair's background has no values (with ``nonzero``).
        ``fdr``
            False discovery rate by Benjamini and Hochberg over the pairs of the group.
        ``n_bulks``
            Observations of the correlation.
        ``group``
            The group; ``"all"`` without ``groupby``.
    ``mdata.uns["{key}_info"]``
        ``params``; ``genes_left_out``, a table of ``gene`` and ``reason``; and with ``groupby``, ``groups_left_out``, a table of ``group``
        and ``n_bulks``. Pairs in which the peak is constant, or too few observations are non-zero, are left out.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, its values are no numbers, or stored by columns on disk, or ``tss`` is neither table nor path.
    KeyError
        ``groupby`` is no column.
    FileNotFoundError
        ``tss`` or ``genome`` is the path of no file.
    ImportError
        ``genome`` is given, and pyfaidx is not installed.
    ValueError
        ``mdata`` is a view; a modality or layer is not there; modalities share no observation; a parameter is out of its range, or
        ``nonzero`` is set with Spearman; values are NaN or infinite; peaks do not parse; no gene asked for is both
        measured and annotated; peaks and annotation have no chromosome name in common; no gene has a peak, or none a pair that varies;
        every group has fewer than ``min_bulks`` bulks; fewer than 30 peaks lie on other chromosomes, for ``"matched"``; or
        ``genome`` is not of the peaks.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(100)
    >>> tss = mdata["rna"].var.rename_axis("gene").reset_index()
    >>> mn.tl.cre_links(mdata, tss)
    >>> links = mdata.uns["cre_links"]
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_copyable(mdata, copy=copy)
    for value, argument in ((upstream, "upstream"), (downstream, "downstream")):
        check_count(value, argument, minimum=0)
    check_method(method, nonzero=nonzero)
    check_choice(null, NULLS, "null")
    check_choice(alternative, ALTERNATIVES, "alternative")
    check_count(min_bulks, "min_bulks", minimum=4)
    check_count(n_background, "n_background", minimum=30)
    if genome is not None and null != "matched":
        raise ValueError(f"`genome` is given, but `null` is {null!r}, which matches no peaks. Leave one of them out.")
    if isinstance(genes, str):
        raise TypeError(f"`genes` is {genes!r}. Give a list of names, e.g. [{genes!r}].")
    paired = paired_matrices(mdata, rna, atac, layer)
    groups = observation_groups(mdata, paired.names, groupby, [rna, atac])
    sizes = {group: len(rows) for group, rows in groups.items()}
    groups = {group: rows for group, rows in groups.items() if len(rows) >= min_bulks}
    if not groups:
        found = ", ".join(f"{group!r} has {size}" for group, size in sizes.items())
        raise ValueError(
            f"`min_bulks` is {min_bulks}, but there are fewer bulks: {found or 'none has a group'}. "
            "Make more bulks, or lower `min_bulks`, at least 4."
        )
    peaks = parse_intervals(mdata.mod[atac].var, argument=f"mdata[{atac!r}].var")
    starts = check_annotation(tss, body=gene_body)
    features = mdata.mod[rna].var_names
    pairs = window_pairs(
        peaks,
        starts,
        features,
        genes,
        upstream=upstream,
        downstream=downstream,
        gene_body=gene_body,
        modality=rna,
    )
    linked = pairs.table["gene"].unique()
    # the same background peaks for every group
    pool = np.random.default_rng(seed).permutation(len(peaks))[:POOL] if null == "matched" else np.empty(0, np.int64)
    used = np.union1d(pairs.table["peak"], pool)
    first, second = np.searchsorted(linked, pairs.table["gene"]), np.searchsorted(used, pairs.table["peak"])
    gc = None if genome is None else _gc_content(peaks.iloc[used], genome)
    expression, accessibility = paired.rna.columns(linked), paired.atac.columns(used)

    tables, left_out = [], list(pairs.left_out.items())
    for group, rows in groups.items():
        x, y = prepare(expression[rows], method), prepare(accessibility[rows], method)
        r, n = correlate_pairs(x, y, first, second, nonzero=nonzero)
        defined = np.isfinite(r)
        why = _why_undefined(x, first, defined, nonzero=nonzero)
        where = "" if groupby is None else f" in group {group!r}"
        left_out += [(features[linked[gene]], reason + where) for gene, reason in why.items()]
        scored = pairs.table[defined].assign(r=r[defined], z=np.nan, p=np.nan, n_bulks=n[defined], group=group)
        if null == "theoretical":
            scored["z"], scored["p"] = theoretical_null(r[defined], n[defined], method, alternative)
        elif null == "matched" and defined.any():
            candidates = np.searchsorted(used, pool)
            background = Background(
                pool=candidates[y.norm[candidates] > 0],
                chrom=peaks["chrom"].to_numpy()[used],
                covariates=_covariates(paired.atac, rows, used, gc),
                size=n_background,
            )
            scored["z"], scored["p"] = matched_null(
                r[defined],
                n[defined],
                first[defined],
                second[defined],
                x,
                y,
                background,
                nonzero=nonzero,
                alternative=alternative,
                seed=seed,
            )
        tables.append(scored.assign(fdr=false_discovery_rate(scored["p"].to_numpy())))
    links = pd.concat(tables, ignore_index=True)
    if links.empty:
        raise ValueError(
            f"`mdata`: none of the {len(pairs.table):,} pairs varies over the bulks, e.g. {left_out[-1][0]!r} is left out for: "
            f"{left_out[-1][1]}. Check the values of both modalities, or name another `layer`."
        )
    links["gene"] = features.to_numpy(dtype=object)[links["gene"]]
    links["peak"] = mdata.mod[atac].var_names.to_numpy(dtype=object)[links["peak"]]

    params: dict[str, Any] = {
        "genes": None if genes is None else list(genes),
        "upstream": upstream,
        "downstream": downstream,
        "gene_body": gene_body,
        "method": method,
        "nonzero": nonzero,
        "layer": recorded_layer(layer),
        "groupby": groupby,
        "min_bulks": min_bulks,
        "null": null,
        "alternative": alternative,
        "n_background": n_background,
        "genome": None if genome is None else os.fspath(genome),
        "rna": rna,
        "atac": atac,
        "seed": seed,
    }
    # h5mu files hold no None
    params = {name: value for name, value in params.items() if value is not None}
    info = {"params": params, "genes_left_out": pd.DataFrame(left_out, columns=["gene", "reason"], dtype=object)}
    if groupby is not None:
        few = {group: size for group, size in sizes.items() if group not in groups}
        info["groups_left_out"] = pd.DataFrame({"group": list(few), "n_bulks": list(few.values())})
        if few:
            logger.info("groups with fewer than %d bulks are left out: %s", min_bulks, shorten(few))
    n_genes = links["gene"].nunique()
    logger.info("%d pairs of %d genes; uns['%s_info'] lists the genes left out", len(links), n_genes, key_added)

    result = mdata.copy() if copy else mdata
    result.uns[key_added] = links[list(LINK_COLUMNS)]
    result.uns[f"{key_added}_info"] = info
    return result if copy else None


def _gc_content(peaks: pd.DataFrame, genome: str | os.PathLike[str]) -> np.ndarray:
    """GC content of peaks, raising where a peak has no known base."""
    gc = gc_content(peaks, genome)
    unknown = np.isnan(gc)
    if unknown.any():
        raise ValueError(
            f"`genome`: {int(unknown.sum()):,} peaks hold no known base, e.g. {shorten(peaks.index[unknown], 3)}. "
            "Give the genome build of the peaks, or leave these peaks out."
        )
    return gc


def _covariates(accessibility: Observed, rows: np.ndarray, used: np.ndarray, gc: np.ndarray | None) -> np.ndarray:
    """What peaks are matched by, as quantiles: (used peaks, 1 or 2)."""
    total = accessibility.totals(rows)
    covariates = [stats.rankdata(total)[used] / len(total)]
    if gc is not None:
        covariates.append(stats.rankdata(gc) / len(gc))
    return np.column_stack(covariates)


def _why_undefined(genes: Columns, first: np.ndarray, defined: np.ndarray, *, nonzero: bool) -> dict[int, str]:
    """Reason of each gene none of whose pairs has a correlation."""
    without = np.flatnonzero(np.bincount(first, weights=defined, minlength=len(genes.norm)) == 0)
    peaks = "too few bulks have both it and a peak" if nonzero else "its peaks are constant over the bulks"
    return {gene: peaks if genes.norm[gene] > 0 else "constant over the bulks" for gene in without.tolist()}
