"""Gene activity: how open the chromatin at a gene's starts is, as the sum of the peaks there."""

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

from scminnet._core.arguments import check_count, check_positive
from scminnet._core.compat import new_mudata_manner
from scminnet._core.logging import logger
from scminnet._core.mdata import check_modalities, check_mudata, check_not_view, layer_matrix
from scminnet._core.values import check_values, warn_unless_counts
from scminnet.genomics import check_annotation, parse_intervals, why_no_overlap
from scminnet.pp.fragments import Fragments, Sums, cells_of_files, sum_fragments
from scminnet.pp.gene_windows import membership


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

    A peak belongs to a gene when it shares a base with the window of one of the gene's transcript starts. It counts once
    a gene, however many windows it meets, and may belong to several genes. Fragments are counted alike, each once whatever its
    reads, where a file of them is given.

    Parameters
    ----------
    mdata
        Annotated data with counts of peaks. Where the peaks lie is read from interval columns of ``mdata[atac].var`` or, where
        there are none, from the peaks' names: see :func:`scminnet.genomics.parse_intervals`.
    tss
        Transcription start sites: the table of :func:`scminnet.genomics.read_annotation`, or what that reads.
        Its column ``gene`` names the features of the result.
    atac
        Modality of the peaks.
    layer
        Layer of counts, cells x peaks. ``None``: ``X``.
    fragments
        File of fragments to count in place of the peaks, plain or gzipped, as Cell Ranger writes it; or one for each batch,
        ``{batch: path}``. Needs no index and no peaks.
    batch_key
        Column of ``mdata.obs`` or ``mdata[atac].obs`` with the batches that ``fragments`` names, if it names any.
    barcode_key
        Column of ``mdata[atac].obs`` with the cells' barcodes as the files spell them. ``None``: ``obs_names``.
    upstream
        Bases of the window before the transcript start, in the direction of transcription; 2,000 in the paper.
    downstream
        Bases of the window from the transcript start on, the first base transcribed being the first; 0 in the paper. Give both for
        the promoter's two sides.
    gene_body
        Whether windows reach to the end of the gene, if that is further. ``tss`` then needs ``start`` and ``end`` of the genes.
    decay
        Distance in bases at which a peak counts half. At distance d it counts 2^(-d / ``decay``), d being the bases from the
        transcript start to the nearest base of the peak, and 0 where the peak holds the start or, with ``gene_body``, meets the gene;
        of several starts the nearest counts. This is the regulatory potential (Chen et al., Nature Communications 2020, 11:2472);
        ArchR's exp(-d / 5000) halves at 3,466 bases. Widen ``upstream`` and ``downstream`` to several times ``decay``.
        ``None``: all peaks of a window count the same, as in the paper.
    key_added
        Name of the new modality.
    copy
        Return a changed copy and leave ``mdata`` as it is.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added``:

    ``mdata[key]``
        The cells of ``mdata[atac]`` in the same order; genes with a peak, in the order of ``tss``. ``X``: sums of counts, CSR, float32;
        whole numbers without ``decay``.
    ``mdata[key].var``
        ``chrom``, ``strand``, ``tss`` (0-based, the start furthest upstream), ``n_tss`` (distinct starts) and ``n_peaks`` (or ``n_fragments``).
        A gene annotated on several chromosomes or strands has the place of its first row there, and the peaks of all.
    ``mdata.uns[key]``
        ``params``, and ``genes_without_peaks`` (or ``genes_without_fragments``): the genes of ``tss`` left out.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, its counts are no numbers in memory, or ``tss`` is neither table nor path.
    FileNotFoundError
        ``tss`` or ``fragments`` is the path of no file.
    KeyError
        ``batch_key`` or ``barcode_key`` is no column.
    ValueError
        A modality, layer or column is not there, or ``key_added`` already is; a parameter is out of its range; peaks or fragments do not
        parse; values are NaN, infinite or negative; a batch has no file, or barcodes are missing, repeated or not in the file; peaks and
        annotation have no chromosome name in common; no gene has a peak.

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
    check_mudata(mdata)
    check_not_view(mdata)
    check_modalities(mdata, [atac], "atac")
    if key_added in mdata.mod:
        raise ValueError(
            f"`key_added` is {key_added!r}, which already is a modality. Give another name, or remove it first: "
            f"`del mdata.mod[{key_added!r}]`, then `mdata.update()`."
        )
    for value, argument in ((upstream, "upstream"), (downstream, "downstream")):
        check_count(value, argument, minimum=0)
    if not (upstream or downstream or gene_body):
        raise ValueError("`upstream` and `downstream` are 0, so windows are empty. Raise one, or set `gene_body=True`.")
    if decay is not None:
        check_positive(decay, "decay")
    starts = check_annotation(tss, body=gene_body)
    genes = pd.Index(starts["gene"].astype(str)).unique()
    windows: dict[str, Any] = {"upstream": upstream, "downstream": downstream, "gene_body": gene_body, "decay": decay}
    weigh = partial(membership, starts=starts, genes=genes, **windows)
    if fragments is None:
        _check_unused({"batch_key": batch_key, "barcode_key": barcode_key}, "`fragments` is not given")
        counted, sums = "peaks", _sum_peaks(mdata, atac, layer, weigh)
    else:
        _check_unused({"layer": layer}, "`fragments` are counted in place of peaks")
        files = cells_of_files(mdata, atac, fragments, batch_key, barcode_key)
        counted, sums = "fragments", sum_fragments(files, mdata.mod[atac].n_obs, len(genes), weigh)
    kept = sums.n_counted > 0
    if not kept.any():
        raise ValueError(why_no_overlap(sums.chroms, starts, counted))
    if fragments is None:
        found = check_values(layer_matrix(mdata, atac, layer, "layer"), atac)
        warn_unless_counts({atac: found}, "Gene activity")
    activity = sums.matrix[:, kept]
    activity.sort_indices()
    var = _places(starts, genes)[kept].assign(**{f"n_{counted}": sums.n_counted[kept]})
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
    # h5mu files hold no None
    params = {name: value for name, value in params.items() if value is not None}
    # that RNA and activity have genes of the same names is the aim
    with new_mudata_manner():
        result = mdata.copy() if copy else mdata
        obs = pd.DataFrame(index=result.mod[atac].obs_names.copy())
        result.mod[key_added] = AnnData(activity, obs=obs, var=var)
        result.update()
    result.uns[key_added] = {"params": params, f"genes_without_{counted}": without.to_numpy(dtype=object)}
    return result if copy else None


def _sum_peaks(mdata: MuData, atac: str, layer: str | None, weigh: Callable[[pd.DataFrame], sparse.csc_matrix]) -> Sums:
    """Sum the weighted counts of each cell's peaks."""
    counts = layer_matrix(mdata, atac, layer, "layer")
    check_values(counts, atac)
    peaks = parse_intervals(mdata.mod[atac].var, argument=f"mdata[{atac!r}].var")
    weights = weigh(peaks)
    return Sums(sparse.csr_matrix(counts, dtype=np.float32) @ weights, np.diff(weights.indptr), peaks["chrom"].unique())


def _check_unused(arguments: Mapping[str, Any], reason: str) -> None:
    """Raise when an argument is given that has no effect."""
    for argument, value in arguments.items():
        if value is not None:
            raise ValueError(f"`{argument}` is {value!r}, but {reason}. Leave it out.")


def _places(starts: pd.DataFrame, genes: pd.Index) -> pd.DataFrame:
    """Return one row a gene: chromosome, strand, the start furthest upstream and how many starts there are."""
    table = starts.assign(gene=starts["gene"].astype(str))[["gene", "chrom", "tss", "strand"]].drop_duplicates()
    place = table.drop_duplicates("gene").set_index("gene")[["chrom", "strand"]].astype(str).loc[genes]
    here = table.merge(place.reset_index(names="gene"), on=["gene", "chrom", "strand"]).groupby("gene")["tss"]
    forward = (place["strand"] == "+").to_numpy()
    place["tss"] = np.where(forward, here.min().loc[genes], here.max().loc[genes])
    place["n_tss"] = table.groupby("gene").size().loc[genes]
    return place.astype({"chrom": "category", "strand": "category"}).rename_axis(None)
