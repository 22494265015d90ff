"""Gene activity: how open the chromatin at a gene's starts is, as the sum of the peaks there."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scminnet import _validate
from scminnet._compat import new_mudata_manner, without_warning
from scminnet._logging import logger
from scminnet.genomics import check_annotation, overlaps, parse_intervals, why_no_overlap, windows


def gene_activity(
    mdata: MuData,
    tss: pd.DataFrame | str | os.PathLike[str],
    *,
    atac: str = "atac",
    layer: str | None = None,
    upstream: int = 2000,
    downstream: int = 0,
    gene_body: bool = False,
    key_added: str = "activity",
    copy: bool = False,
) -> MuData | None:
    """Sum each gene's peaks into a new modality, so that ATAC can be compared with RNA.

    A peak belongs to a gene when it shares a base with the window of one of the gene's transcript starts. It counts once
    a gene, however many windows it meets, and may belong to several genes.

    Parameters
    ----------
    mdata
        Annotated data with counts of peaks. Where the peaks lie is read from interval columns of ``mdata[atac].var`` or, where
        there are none, from the peaks' names: see :func:`scminnet.genomics.parse_intervals`.
    tss
        Transcription start sites: the table of :func:`scminnet.genomics.read_annotation`, or the path of a file that it reads.
        Its column ``gene`` names the features of the result.
    atac
        Modality of the peaks.
    layer
        Layer of counts, cells x peaks. ``None``: ``X``.
    upstream
        Bases of the window before the transcript start, in the direction of transcription; 2,000 in the paper.
    downstream
        Bases of the window from the transcript start on, the first base transcribed being the first; 0 in the paper. Give both for
        the promoter's two sides.
    gene_body
        Whether windows reach to the end of the gene, if that is further. ``tss`` then needs ``start`` and ``end`` of the genes.
    key_added
        Name of the new modality.
    copy
        Return a changed copy and leave ``mdata`` as it is.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added``:

    ``mdata[key]``
        The cells of ``mdata[atac]`` in the same order; genes with a peak, in the order of ``tss``. ``X``: sums of counts, CSR, float32.
    ``mdata[key].var``
        ``chrom``, ``strand``, ``tss`` (0-based, the start furthest upstream), ``n_tss`` (distinct starts) and ``n_peaks``.
        A gene annotated on several chromosomes or strands has the place of its first row there, and the peaks of all.
    ``mdata.uns[key]``
        ``params``, and ``genes_without_peaks``: the genes of ``tss`` left out.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, its counts are no numbers in memory, or ``tss`` is neither table nor path.
    FileNotFoundError
        ``tss`` is the path of no file.
    ValueError
        A modality, layer or column is not there, or ``key_added`` already is; a parameter is out of its range; peaks do not parse;
        values are NaN, infinite or negative; peaks and annotation have no chromosome name in common; no gene has a peak.

    Warns
    -----
    UserWarning
        The values are no whole numbers, so they do not look like counts.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(100)
    >>> tss = mdata["rna"].var.rename_axis("gene").reset_index()
    >>> mn.pp.gene_activity(mdata, tss)
    >>> mdata["activity"].n_obs
    100
    """
    _validate.check_mudata(mdata)
    if mdata.is_view:
        raise ValueError("`mdata` is a view, which cannot be written to. Give `mdata.copy()`.")
    _validate.check_modalities(mdata, [atac], "atac")
    if key_added in mdata.mod:
        raise ValueError(
            f"`key_added` is {key_added!r}, which already is a modality. Give another name, or remove it first: "
            f"`del mdata.mod[{key_added!r}]`, then `mdata.update()`."
        )
    for value, argument in ((upstream, "upstream"), (downstream, "downstream")):
        _validate.check_count(value, argument, minimum=0)
    if not (upstream or downstream or gene_body):
        raise ValueError("`upstream` and `downstream` are 0, so windows are empty. Raise one, or set `gene_body=True`.")
    counts = _validate.layer_matrix(mdata, atac, layer, "layer")
    _validate.check_values(counts, atac)
    peaks = parse_intervals(mdata.mod[atac].var, argument=f"mdata[{atac!r}].var")
    starts = check_annotation(tss, body=gene_body)
    genes = pd.Index(starts["gene"].astype(str)).unique()
    member = membership(peaks, starts, genes, upstream=upstream, downstream=downstream, gene_body=gene_body)
    n_peaks = np.diff(member.indptr)
    if not n_peaks.any():
        raise ValueError(why_no_overlap(peaks, starts))
    _validate.warn_unless_counts({atac: counts}, "Gene activity")

    kept = n_peaks > 0
    activity = sparse.csr_matrix(counts, dtype=np.float32) @ member[:, kept]
    activity.sort_indices()
    var = _places(starts, genes)[kept].assign(n_peaks=n_peaks[kept])
    without = genes[~kept]
    if len(without):
        logger.info(
            "%d of %d genes have no peak and are left out; uns[%r] lists them", len(without), len(genes), key_added
        )

    params: dict[str, Any] = {
        "atac": atac,
        "layer": layer,
        "upstream": upstream,
        "downstream": downstream,
        "gene_body": gene_body,
    }
    # h5mu files hold no None
    params = {name: value for name, value in params.items() if value is not None}
    # that RNA and activity have genes of the same names is the aim
    with new_mudata_manner(), without_warning("var_names are not unique"):
        result = mdata.copy() if copy else mdata
        obs = pd.DataFrame(index=result.mod[atac].obs_names.copy())
        result.mod[key_added] = AnnData(activity, obs=obs, var=var)
        result.update()
    result.uns[key_added] = {"params": params, "genes_without_peaks": without.to_numpy(dtype=object)}
    return result if copy else None


def membership(
    peaks: pd.DataFrame, starts: pd.DataFrame, genes: pd.Index, *, upstream: int, downstream: int, gene_body: bool
) -> sparse.csc_matrix:
    """Tell which peaks belong to which genes.

    Parameters
    ----------
    peaks
        ``chrom``, ``start`` and ``end``, one row a peak.
    starts
        A TSS table.
    genes
        The distinct genes of ``starts``.
    upstream, downstream, gene_body
        As in :func:`gene_activity`.

    Returns
    -------
    Peaks x genes, float32: 1 where a peak meets a window of the gene, each pair once.
    """
    around = windows(starts, upstream=upstream, downstream=downstream, gene_body=gene_body)
    peak, window = overlaps(peaks, around)
    gene = genes.get_indexer(starts["gene"].astype(str))[window]
    member = sparse.csc_matrix((np.ones(len(peak), np.float32), (peak, gene)), shape=(len(peaks), len(genes)))
    # a peak in several windows of one gene was summed
    member.data[:] = 1
    return member


def _places(starts: pd.DataFrame, genes: pd.Index) -> pd.DataFrame:
    """Return one row a gene: chromosome, strand, the start furthest upstream and how many starts there are."""
    table = starts.assign(gene=starts["gene"].astype(str))[["gene", "chrom", "tss", "strand"]].drop_duplicates()
    place = table.drop_duplicates("gene").set_index("gene")[["chrom", "strand"]].astype(str).loc[genes]
    here = table.merge(place.reset_index(names="gene"), on=["gene", "chrom", "strand"]).groupby("gene")["tss"]
    forward = (place["strand"] == "+").to_numpy()
    place["tss"] = np.where(forward, here.min().loc[genes], here.max().loc[genes])
    place["n_tss"] = table.groupby("gene").size().loc[genes]
    return place.astype({"chrom": "category", "strand": "category"}).rename_axis(None)
