"""Gene activity: accessibility of a gene's transcript starts, as the sum of the peaks or fragments there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count, check_positive
from scminnet._core.compat import mudata_0_4_behaviour
from scminnet._core.logging import logger
from scminnet._core.mdata import check_modalities, check_mudata, check_not_view, copied, layer_matrix
from scminnet._core.values import Values, check_values, warn_unless_counts
from scminnet.genomics import check_annotation, parse_intervals, why_no_overlap
from scminnet.genomics.chromosomes import ByChromosome, check_chromosomes, genes_by_chromosome
from scminnet.pp.fragments import Fragments, Sums, cells_of_files, sum_fragments
from scminnet.pp.gene_windows import membership


@check_types
def gene_activity(
    mdata: MuData,
    tss: pd.DataFrame | str | os.PathLike[str],
    *,
    atac: str = "atac",
    layer: str | None = None,
    fragments: Fragments | None = None,
    batch_key: str | None = None,
    barcode_key: str | None = None,
    upstream: int = 2000,
    downstream: int = 0,
    gene_body: bool = False,
    decay: float | None = None,
    key_added: str = "activity",
    copy: bool = False,
) -> MuData | None:
    """Sum each gene's peaks or fragments into a new modality, so that ATAC can be compared with RNA.

    A peak belongs to a gene if it overlaps the window of one of the gene's transcript starts. It counts once per gene,
    even if it overlaps several windows, and may belong to several genes. Fragments are counted in the same way if
    ``fragments`` is given. Each fragment counts once, whatever its number of reads.

    Parameters
    ----------
    mdata
        Annotated data with counts of peaks. The positions of peaks come from interval columns of ``mdata[atac].var``,
        or otherwise from the names of the peaks: see :func:`scminnet.genomics.parse_intervals`.
    tss
        Transcription start sites: the table of :func:`scminnet.genomics.read_annotation`, or what that function reads.
        The column ``gene`` names the features of the result.
    atac
        Modality of the peaks.
    layer
        Layer of counts, cells x peaks. ``None``: ``X``.
    fragments
        File of fragments to count instead of peaks, as Cell Ranger writes it, plain or gzipped whatever its name. Or
        one file per batch: ``{batch: path}``. It needs neither an index nor peaks.
    batch_key
        Column of ``mdata.obs`` or ``mdata[atac].obs`` with the batches that ``fragments`` names, if any.
    barcode_key
        Column of ``mdata[atac].obs`` with the cells' barcodes as written in the files. ``None``: ``obs_names``.
    upstream
        Bases of the window before the transcript start, in the direction of transcription. 2,000 in the paper.
    downstream
        Bases of the window after the transcript start, including the first transcribed base. 0 in the paper. Give both
        for a window on both sides of the start.
    gene_body
        Whether windows extend to the end of the gene, if that is further. ``tss`` then needs the genes' ``start`` and
        ``end``.
    decay
        Distance in bases at which a peak counts half. At distance d it counts 2^(-d / ``decay``). d is the distance
        from the transcript start to the nearest base of the peak. It is 0 if the peak contains the start or, with
        ``gene_body``, overlaps the gene. The nearest start counts. This is the regulatory potential (Chen et al.,
        Nature Communications 2020, 11:2472). ArchR's exp(-d / 5000) halves at 3,466 bases. Widen ``upstream`` and
        ``downstream`` to several times ``decay``. ``None``: all peaks of a window count equally, as in the paper.
    key_added
        Name of the new modality.
    copy
        Return a changed copy, and leave ``mdata`` unchanged.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added``:

    ``mdata[key]``
        The cells of ``mdata[atac]`` in the same order. Genes with a peak, in the order of ``tss``. ``X``: sums of
        counts, CSR, float32. They are whole numbers without ``decay``.
    ``mdata[key].var``
        ``chrom``, ``strand``, ``tss`` (0-based, the start furthest upstream), ``n_tss`` (distinct starts) and
        ``n_peaks`` (or ``n_fragments``). A gene on several chromosomes or strands has the position of its first row,
        and the peaks of all.
    ``mdata.uns[key]``
        ``params``, and ``genes_without_peaks`` (or ``genes_without_fragments``): genes of ``tss`` that were left out.

    Raises
    ------
    TypeError
        ``mdata`` is not a MuData, its counts are not numbers in memory, or ``tss`` is neither table nor path.
    FileNotFoundError
        ``tss`` or ``fragments`` is a path without a file.
    KeyError
        ``batch_key`` or ``barcode_key`` is not a column.
    ValueError
        A modality, layer or column is missing, or ``key_added`` exists already; a parameter is out of its range; peaks
        or fragments can not be parsed; values are NaN, infinite or negative; a batch has no file; barcodes are missing,
        repeated or not in the file; peaks and annotation have no chromosome name in common, or those that hold under 5
        % of either; or no gene has a peak.

    Warns
    -----
    UserWarning
        The values are not whole numbers, so they do not look like counts. Shared chromosomes hold less than half of the
        peaks (or fragments) and of the genes, or renaming them would help. Less than half of the cells have fragments.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(100)
    >>> tss = mdata["rna"].var.rename_axis("gene").reset_index()
    >>> mn.pp.gene_activity(mdata, tss)
    >>> mdata["activity"].n_obs
    100
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_modalities(mdata, [atac], "atac")
    if key_added in mdata.mod:
        raise ValueError(
            f"`key_added` is {key_added!r}, which is already a modality. Give another name, or remove it first: "
            f"`del mdata.mod[{key_added!r}]`, then `mdata.update()`."
        )
    _check_windows(upstream, downstream, gene_body, decay)
    starts = check_annotation(tss, body=gene_body)
    genes = pd.Index(starts["gene"].astype(str)).unique()
    annotated = genes_by_chromosome(starts)
    windows: dict[str, Any] = {"upstream": upstream, "downstream": downstream, "gene_body": gene_body, "decay": decay}
    weigh = partial(membership, starts=starts, genes=genes, **windows)
    if fragments is None:
        _check_unused({"batch_key": batch_key, "barcode_key": barcode_key}, "`fragments` is not given")
        counts = layer_matrix(mdata, atac, layer, "layer")
        found = _check_counts(counts, mdata.mod[atac], atac)
        peaks = parse_intervals(mdata.mod[atac].var, argument=f"mdata[{atac!r}].var")
        check_chromosomes(ByChromosome.of("peaks", "peaks", peaks["chrom"]), annotated, argument="tss")
        counted, sums = "peaks", _sum_peaks(counts, peaks, weigh)
    else:
        _check_unused({"layer": layer}, "`fragments` are counted instead of peaks")
        files = cells_of_files(mdata, atac, fragments, batch_key, barcode_key)
        counted, sums = "fragments", sum_fragments(files, mdata.mod[atac].n_obs, len(genes), weigh)
        check_chromosomes(ByChromosome("fragments", "fragments", sums.chroms), annotated, argument="tss")
    kept = sums.n_counted > 0
    if not kept.any():
        raise ValueError(why_no_overlap(sums.chroms.index, starts, counted))
    if fragments is None:
        warn_unless_counts({atac: found}, "Gene activity")
    activity = sums.matrix[:, kept]
    activity.sort_indices()
    var = _gene_positions(starts, genes)[kept].assign(**{f"n_{counted}": sums.n_counted[kept]})
    without = genes[~kept]
    if len(without):
        text = "%d of %d genes have no %s and are left out; uns[%r] lists them"
        logger.info(text, len(without), len(genes), counted.removesuffix("s"), key_added)

    params: dict[str, Any] = {
        "atac": atac,
        "layer": layer,
        "batch_key": batch_key,
        "barcode_key": barcode_key,
        **windows,
    }
    if fragments is not None:
        params["fragments"] = [str(file.path) for file in files]
    # h5mu files can not store None
    params = {name: value for name, value in params.items() if value is not None}
    # RNA and activity share names of genes on purpose
    with mudata_0_4_behaviour():
        result = copied(mdata) if copy else mdata
        obs = pd.DataFrame(index=result.mod[atac].obs_names.copy())
        result.mod[key_added] = AnnData(activity, obs=obs, var=var)
        result.update()
    result.uns[key_added] = {"params": params, f"genes_without_{counted}": without.to_numpy(dtype=object)}
    return result if copy else None


def _check_windows(upstream: int, downstream: int, gene_body: bool, decay: float | None) -> None:
    """Raise if windows are empty or a number is out of its range."""
    for value, argument in ((upstream, "upstream"), (downstream, "downstream")):
        check_count(value, argument, minimum=0)
    if not (upstream or downstream or gene_body):
        raise ValueError("`upstream` and `downstream` are 0, so windows are empty. Raise one, or set `gene_body=True`.")
    if decay is not None:
        check_positive(decay, "decay")


def _sum_peaks(counts: Any, peaks: pd.DataFrame, weigh: Callable[[pd.DataFrame], sparse.csc_matrix]) -> Sums:
    """Sum the weighted counts of each cell's peaks."""
    weights = weigh(peaks)
    sums = sparse.csr_matrix(counts, dtype=np.float32) @ weights
    return Sums(sums, np.diff(weights.indptr), peaks["chrom"].value_counts())


def _check_counts(counts: Any, adata: AnnData, atac: str) -> Values:
    """Raise if the values can not be summed as counts."""
    return check_values(counts, atac, (adata.obs_names, adata.var_names), counts_for="Gene activity")


def _check_unused(arguments: Mapping[str, Any], reason: str) -> None:
    """Raise if an argument is given that has no effect."""
    for argument, value in arguments.items():
        if value is not None:
            raise ValueError(f"`{argument}` is {value!r}, but {reason}. Leave it out.")


def _gene_positions(starts: pd.DataFrame, genes: pd.Index) -> pd.DataFrame:
    """Return one row per gene: chromosome, strand, the start furthest upstream and the number of starts."""
    table = starts.assign(gene=starts["gene"].astype(str))[["gene", "chrom", "tss", "strand"]].drop_duplicates()
    place = table.drop_duplicates("gene").set_index("gene")[["chrom", "strand"]].astype(str).loc[genes]
    here = table.merge(place.reset_index(names="gene"), on=["gene", "chrom", "strand"]).groupby("gene")["tss"]
    forward = (place["strand"] == "+").to_numpy()
    place["tss"] = np.where(forward, here.min().loc[genes], here.max().loc[genes])
    place["n_tss"] = table.groupby("gene").size().loc[genes]
    return place.astype({"chrom": "category", "strand": "category"}).rename_axis(None)
