"""Links of genes and regulatory elements: ranked by a score, and their correlations compared with a null."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice, check_count, shorten
from scminnet._core.keys import MINIBULK_KEY
from scminnet._core.logging import logger
from scminnet._core.mdata import check_copyable, check_mudata, check_not_view, copied
from scminnet._core.params import recorded
from scminnet.genomics import check_annotation, parse_intervals
from scminnet.genomics.build_check import promoters
from scminnet.genomics.chromosomes import ByChromosome, check_chromosomes, genes_by_chromosome
from scminnet.genomics.link_table import LINK_COLUMNS, LINKS_KEY
from scminnet.tl._contacts import read_contacts
from scminnet.tl._correlation import KENDALL, METHODS, check_method
from scminnet.tl._link_report import report, steps_left
from scminnet.tl._link_scores import (
    given_others,
    read_contact,
    read_pool,
    read_values,
    regulation,
    significance,
    why_undefined,
)
from scminnet.tl._null import draw_pool, false_discovery_rate
from scminnet.tl._observations import by_size, read_accessibility, read_observations
from scminnet.tl._pairs import window_pairs

#: What correlations are compared with.
NULLS = ("matched", "theoretical", None)

#: Which correlations are found: those that differ from the background, or those above it.
ALTERNATIVES = ("two-sided", "greater")


@check_types
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
    alternative: str = "greater",
    n_background: int = 200,
    genome: str | os.PathLike[str] | None = None,
    contacts: pd.DataFrame | str | os.PathLike[str] | None = None,
    rna: str = "rna",
    atac: str = "atac",
    key_added: str = LINKS_KEY,
    seed: int = 0,
    copy: bool = False,
) -> MuData | None:
    r"""Link each gene with the peaks near its transcription starts, over bulks: score and correlate them.

    A peak is paired with a gene when its midpoint lies in the window of one of the gene's transcript starts. Rank links
    by ``score``. It combines the peak's activity :math:`A`, its contact :math:`C_g` with the gene :math:`g`, the gene's
    share of its contacts with all genes :math:`h` within 1 Mb, and the correlation:

    .. math:: \operatorname{logit} = 1.60 + 0.75 \ln\Bigl(A^{0.5} C_g \frac{C_g}{\sum_h C_h}\Bigr) + 1.25 \frac{c}{s}

    :math:`c` is ``r_conditional`` and :math:`s` its root mean square over the group's pairs. The first three are a
    generalised activity-by-contact score :cite:p:`Hecker23`, with weights fitted to CRISPRi screens of K562. The weight
    of the correlation was chosen on simulated cells. A score is roughly the probability that the peak regulates.

    Test links by ``p``. ``r_conditional`` of the pair is compared with a background: what peaks on other chromosomes
    would have in the place of the pair's peak, for this gene or another of the table. These peaks are about as
    accessible as the pair's and, with ``genome``, about as rich in G and C. With :math:`m, s` the mean and standard
    deviation of the background,

    .. math:: z = \frac{c - m}{s}.

    Background values are scored in the same way against their own backgrounds. p is the share of them whose z (or
    :math:`|z|`, see ``alternative``) is as large. There are about 250,000 of them, so p is at least about 4e-6.

    ``fdr`` favours pairs that are likely to be links for their place: p counts as :math:`p / w` with the weight
    :math:`w = C_g C_g / \sum_h C_h`, divided by its mean over the group's pairs :cite:p:`Genovese06`. For a rate
    without weights, use ``p``.

    The bulks of a tissue differ by cell type above all, and so do most genes and peaks. Unrelated pairs then correlate
    far beyond chance. ``null="theoretical"`` tests ``r`` as if bulks were independent, and finds many such pairs
    significant; ``"matched"`` does not. Bulks of smoothed counts share cells, so ``"theoretical"`` is wrong there even
    for genes and peaks that share nothing else. Neither null tells a regulatory element from a peak that only opens in
    the same cells as its gene, if no other peak of the gene does.

    Parameters
    ----------
    mdata
        Bulks of :func:`scminnet.tl.minibulk`, or any MuData in which the same observations have both modalities.
        Observations are matched by name. Those that lack a modality are not used.
    tss
        Transcription start sites: the table of :func:`scminnet.genomics.read_annotation`, or the path of a file that it
        reads. Its column ``gene`` is matched with the names of the genes' features.
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
        ``"spearman"`` (the paper's), ``"pearson"``, or ``"kendall"``: Kendall's tau-b of expression and whether the
        peak is open (not 0), for single cells; not with ``null="theoretical"``.
    nonzero
        Treat zeros as dropout: correlate over the observations in which gene and peak are both non-zero, at least
        three. Only with ``"pearson"``, as in the published code.
    layer
        Layer of the values, observations x features. A mapping of modality to layer gives each its own. ``None``:
        ``X``, which is log-normalised for bulks.
    groupby
        Column of ``mdata.obs`` or of a modality's ``obs``. Correlations are then computed within each group of bulks.
        Bulks without a value are not used. ``None``: over all bulks.
    min_bulks
        Groups with fewer bulks are left out; at least 4. Of 10 bulks (the default), only a Spearman correlation beyond
        0.65 passes a test at 5 %. Of fewer, links are hardly ever found.
    null
        ``"matched"``, ``"theoretical"``, or ``None`` for no null. ``"theoretical"`` is the normal distribution of
        Fisher's transformation for independent observations. Its variance is 1.06 / (n - 3) for Spearman
        :cite:p:`Fieller57` and 1 / (n - 3) for Pearson.
    alternative
        ``"greater"``: p is small for correlations above the background only, as of elements that increase
        expression. ``"two-sided"`` also finds those that decrease it, and about half as many links.
    n_background
        Background peaks of a pair, at least 30. They are the nearest in accessibility (by rank; the mean over the
        group's bulks) and GC content among 5,000 drawn at random. Each has the place of about 50 peaks.
    genome
        FASTA file of the peaks' genome, to match backgrounds by GC content as well. Needs pyfaidx: ``pip install
        'scminnet[genome]'``.
    contacts
        Hi-C or capture Hi-C: a BEDPE file with the contact's strength in field 8, or a table with ``chrom1``,
        ``start1``, ``end1``, ``chrom2``, ``start2``, ``end2`` and ``score``. Where an anchor holds a transcript start,
        the contact is the mean of the power law and the scaled strength. ``None``: the power law only.
    rna, atac
        Modalities of the genes and of the peaks. Positions of the peaks are read from ``mdata[atac].var`` as by
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
        A table, one row a group, gene and peak, sorted by group and ``score``, the highest first.

        ``gene``, ``peak``
            Names of the features.
        ``chrom``, ``start``, ``end``
            The peak, 0-based, half-open.
        ``tss``, ``strand``
            The transcript start, 0-based, and ``"+"`` or ``"-"``. Of several starts whose windows hold the peak, the
            nearest.
        ``distance``
            From ``tss`` to the peak's midpoint, ``(start + end) // 2``, in the direction of transcription; negative is
            upstream.
        ``promoter``, ``r``
            Whether -2000 <= ``distance`` <= 0; and the correlation.
        ``z``, ``p``
            As above. NaN without a null, and where a pair's background has no spread. With ``nonzero``, of ``r``
            as a standard score, as of independent observations.
        ``fdr``
            False discovery rate by Benjamini and Hochberg over the pairs of the group, with weights as above.
        ``n_bulks``
            Observations of the correlation.
        ``group``
            The group; ``"all"`` without ``groupby``.
        ``r_conditional``
            The correlation given the gene's other peaks: ridge regression on all of them, with a penalty of one
            variance. r for a peak that correlates with no other, and always with ``nonzero``.
        ``activity``
            Accessibility of the peak over the group's bulks, relative to the mean of all peaks of the table: counts in
            the layer ``"counts"``, where the modality has it, otherwise the values that are correlated.
        ``contact``
            ``(max(|distance|, 5000) / 5000) ** -1.024``: the power law of the ABC model :cite:p:`Fulco19,Nasser21`,
            relative to contact at 5 kb.
        ``contact_share``
            The gene's share of the peak's contacts with the genes of ``tss`` within 1 Mb.
        ``abc``
            The ABC score: the pair's share of activity x contact among all pairs of the gene.
        ``score``
            As above; NaN where the activity is negative.
    ``mdata.uns["{key}_info"]``
        ``params``, and ``genes_left_out``, a table of ``gene`` and ``reason``. If ``tss`` has ``start`` and ``end``,
        also ``genes``, a table of the linked genes with ``gene``, ``chrom``, ``start`` and ``end``. With ``groupby``
        also ``groups_left_out``, a table of ``group`` and ``n_bulks``. Pairs in which the peak is constant, or too few
        observations are non-zero, are left out.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData. Its values are not numeric, or stored by columns on disk. ``tss`` or ``contacts`` is
        neither table nor path.
    KeyError
        ``groupby`` is no column.
    FileNotFoundError
        ``tss``, ``genome`` or ``contacts`` is the path of no file.
    ImportError
        ``genome`` is given, and pyfaidx is not installed.
    ValueError
        ``mdata`` is a view. A modality or layer is missing, or the modalities share no observation. A parameter is out
        of its range, or ``nonzero`` is set with Spearman. Values are NaN or infinite. Peaks do not parse. No gene asked
        for is both measured and annotated. Peaks and annotation have no chromosome name in common, or those that hold
        under 5 % of either. No gene has a peak, or no pair varies. Every group has fewer than ``min_bulks`` bulks. For
        ``"matched"``, fewer than 30 peaks lie on other chromosomes. ``genome`` is not that of the peaks.
        ``contacts`` lacks columns, or no anchor holds a start.

    Warns
    -----
    UserWarning
        Shared chromosomes hold less than half of the peaks and of the genes, or renaming them would help. ``tss`` has a
        tenth more of the genes under names that are written otherwise.

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
    check_count(upstream, "upstream", minimum=0)
    check_count(downstream, "downstream", minimum=0)
    check_method(method, (*METHODS, KENDALL), nonzero=nonzero)
    check_choice(null, NULLS, "null")
    check_choice(alternative, ALTERNATIVES, "alternative")
    check_count(min_bulks, "min_bulks", minimum=4)
    check_count(n_background, "n_background", minimum=30)
    if method == KENDALL and null == "theoretical":
        raise ValueError("`method` is 'kendall', which has no theoretical `null`. Choose 'matched' or None.")
    if genome is not None and null != "matched":
        raise ValueError(f"`genome` is given, but `null` is {null!r}, which matches no peaks. Leave one of them out.")
    if isinstance(genes, str):
        raise TypeError(f"`genes` is {genes!r}. Give a list of names, e.g. [{genes!r}].")
    observed = read_observations(mdata, rna, atac, layer, groupby)
    accessible = read_accessibility(mdata, atac, observed.peaks)
    groups, small = by_size(observed.groups, min_bulks)
    peaks = parse_intervals(observed.peaks.var, argument=f"mdata[{atac!r}].var")
    starts = check_annotation(tss, body=gene_body)
    check_chromosomes(ByChromosome.of("peaks", "peaks", peaks["chrom"]), genes_by_chromosome(starts), argument="tss")
    extent: dict[str, Any] = {"upstream": upstream, "downstream": downstream, "gene_body": gene_body}
    measured = None if contacts is None else read_contacts(contacts)
    pairs = window_pairs(peaks, starts, observed.genes.names, genes, **extent, modality=rna)
    if not (found := promoters(peaks, starts)).differ:
        logger.warning("%s", found)
    # one draw, so that every group has the same background peaks
    drawn = draw_pool(len(peaks), seed) if null == "matched" else np.empty(0, dtype=np.int64)
    pool = read_pool(peaks, pairs.table, drawn, genome, n_background)
    values = read_values(observed, pairs.table, pool, method, nonzero=nonzero)
    contact = read_contact(pairs.table, starts, measured)
    weight = contact["contact"].to_numpy() * contact["contact_share"].to_numpy()
    accessibility = values.peaks if accessible is observed.peaks else accessible.columns(pool.used)
    linked = observed.genes.names[pairs.table["gene"].unique()]

    tables, left_out = [], list(pairs.left_out.items())
    for group, rows in groups.items():
        correlated = values.correlate(rows)
        given = given_others(correlated, values)
        z, p = significance(correlated, given, values, null, alternative, pool, observed.peaks, rows, seed)
        fdr = false_discovery_rate(p, weight)
        table = pairs.table.assign(r=correlated.r, z=z, p=p, fdr=fdr, n_bulks=correlated.n)
        table = table.join(regulation(pairs.table, correlated, given, values, accessibility[rows], contact))
        table = table.assign(group=group)[np.isfinite(correlated.r)]
        tables.append(table.sort_values("score", ascending=False, kind="stable"))
        where = "" if groupby is None else f" in group {group!r}"
        left_out += [(linked[gene], reason + where) for gene, reason in why_undefined(correlated, values).items()]
    links = pd.concat(tables, ignore_index=True)
    if links.empty:
        raise ValueError(
            f"`mdata`: none of the {len(pairs.table):,} pairs varies over the bulks, e.g. {left_out[-1][0]!r} is left "
            f"out for: {left_out[-1][1]}. Check the values of both modalities, or name another `layer`."
        )
    links = observed.named(links)

    params = {
        "genes": None if genes is None else list(genes),
        **extent,
        "method": method,
        "nonzero": nonzero,
        "layer": layer,
        "groupby": groupby,
        "min_bulks": min_bulks,
        "null": null,
        "alternative": alternative,
        "n_background": n_background,
        "genome": None if genome is None else os.fspath(genome),
        "contacts": "table" if isinstance(contacts, pd.DataFrame) else contacts and os.fspath(contacts),
        "rna": rna,
        "atac": atac,
        "seed": seed,
    }
    genes_left_out = pd.DataFrame(left_out, columns=["gene", "reason"], dtype=object)
    info: dict[str, Any] = {"params": recorded(params), "genes_left_out": genes_left_out}
    if {"start", "end"} <= set(starts):
        of_linked = starts["gene"].astype(str).isin(links["gene"])
        info["genes"] = starts.loc[of_linked, ["gene", "chrom", "start", "end"]].dropna().reset_index(drop=True)
    if groupby is not None:
        info["groups_left_out"] = pd.DataFrame({"group": list(small), "n_bulks": list(small.values())})
        if small:
            logger.info("groups with fewer than %d bulks are left out: %s", min_bulks, shorten(small))
    smoothed = mdata.uns.get(MINIBULK_KEY, {}).get("smoothed", ())
    report(links, values, null, key_added, steps_left(smoothed, [rna, atac], alternative, chosen=genes is not None))
    result = copied(mdata) if copy else mdata
    result.uns[key_added] = links[list(LINK_COLUMNS)]
    result.uns[f"{key_added}_info"] = info
    return result if copy else None
