"""Normalisation of counts, for each modality the one that its kind is usually given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scanpy as sc
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scminnet._core import compat
from scminnet._core.arguments import check_choice, check_positive, shorten
from scminnet._core.mdata import check_modalities, check_mudata, check_not_view
from scminnet._core.values import check_values, holds_whole_numbers, nonzero_values
from scminnet.pp._kinds import GENES, PEAKS, PROTEINS, resolve_kinds

#: What each kind of modality is given.
METHODS = {GENES: "log", PEAKS: "tfidf", PROTEINS: "clr"}

#: Entry of a modality's ``uns`` that tells that it is normalised, and how.
UNS_KEY = "normalize"


def normalize(
    mdata: MuData,
    modalities: Sequence[str] | None = None,
    *,
    kinds: Mapping[str, str] | None = None,
    methods: Mapping[str, str] | None = None,
    target_sum: float = 1e4,
    counts_layer: str = "counts",
    copy: bool = False,
) -> MuData | None:
    """Normalise counts: genes are log-normalised, proteins CLR-transformed, peaks TF-IDF-transformed.

    ``"log"``
        Counts scaled to ``target_sum`` a cell, then log(1 + x): :func:`scanpy.pp.normalize_total`, :func:`scanpy.pp.log1p`.
    ``"clr"``
        ``muon.prot.pp.clr`` over cells (``axis=0``): log(1 + x / exp(mean of log(1 + x) of the protein)), which is not negative.
    ``"tfidf"``
        ``muon.atac.pp.tfidf``: log(1 + ``target_sum`` x share of the cell's counts) x log(1 + cells / sum of the peak's counts).

    CLR and TF-IDF look at all cells given. A query is normalised by its own cells, as MinNet standardises it by its own statistics.

    Parameters
    ----------
    mdata
        MuData with counts in the modalities' ``X``.
    modalities
        Modalities to normalise. ``None``: all.
    kinds
        What modalities measure, ``"genes"``, ``"peaks"`` or ``"proteins"`` by modality. Where not said, it is read from 10x's
        ``var["feature_types"]`` or from the name: ``rna``, ``gex``, ``activity`` hold genes, ``atac`` peaks, ``adt``, ``prot`` proteins, and so on.
    methods
        Method by modality, where it is to be another than the kind's, e.g. ``{"atac": "log"}``.
    target_sum
        Counts a cell is scaled to by ``"log"`` and ``"tfidf"``; 10,000, as muon's tutorials have it.
    counts_layer
        Layer in which the counts are kept. It may be there already if it holds what ``X`` holds.
    copy
        Return a changed copy and leave ``mdata`` as it is.

    Returns
    -------
    ``None``, or the copy. Written, for each modality ``m``:

    ``mdata[m].X``
        Normalised values, float32, CSR where the counts are sparse or the method is ``"tfidf"``. A cell without counts stays zero.
    ``mdata[m].layers[counts_layer]``
        The counts.
    ``mdata[m].uns["normalize"]``
        ``method``, ``target_sum`` (not for ``"clr"``) and ``counts_layer``.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, or a modality holds no numbers in memory.
    ValueError
        ``mdata`` is a view; a modality is unknown, empty or of no known kind; a method is unknown; a modality was normalised before, its
        values are no counts, or it has a layer of the name with other values; ``target_sum`` is below 1.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(100)
    >>> mn.pp.normalize(mdata)
    >>> mdata["rna"].uns["normalize"]["method"], mdata["atac"].uns["normalize"]["method"]
    ('log', 'tfidf')
    """
    check_mudata(mdata)
    check_not_view(mdata)
    names = list(mdata.mod) if modalities is None else list(modalities)
    check_modalities(mdata, names)
    check_positive(target_sum, "target_sum")
    chosen = {m: METHODS[kind] for m, kind in resolve_kinds(mdata, names, kinds).items()}
    for m, method in (methods or {}).items():
        if m not in chosen:
            raise ValueError(
                f"`methods` names {m!r}, which is not among the modalities {shorten(names)}. Leave it out."
            )
        check_choice(method, list(METHODS.values()), "methods")
        chosen[m] = method
    for m in names:
        _check_counts(mdata.mod[m], m, counts_layer)

    normalised = {m: _normalised(mdata.mod[m].X, method, target_sum) for m, method in chosen.items()}
    result = mdata.copy() if copy else mdata
    for m, method in chosen.items():
        adata = result.mod[m]
        adata.layers[counts_layer] = adata.X
        adata.X = normalised[m]
        entry: dict[str, Any] = {"method": method, "counts_layer": counts_layer}
        adata.uns[UNS_KEY] = entry | ({} if method == "clr" else {"target_sum": target_sum})
    return result if copy else None


def _check_counts(adata: AnnData, modality: str, counts_layer: str) -> None:
    """Raise unless the modality holds counts that were not normalised yet."""
    if UNS_KEY in adata.uns:
        done = adata.uns[UNS_KEY]
        raise ValueError(
            f"modality {modality!r} is normalised already (uns[{UNS_KEY!r}] says {done.get('method')!r}). To begin again, put the counts back: "
            f"`mdata[{modality!r}].X = mdata[{modality!r}].layers.pop({done.get('counts_layer')!r})` and "
            f"`del mdata[{modality!r}].uns[{UNS_KEY!r}]`."
        )
    if adata.X is None:
        raise ValueError(f"modality {modality!r} has no X. Put its counts there.")
    if counts_layer in adata.layers and not _equal(adata.layers[counts_layer], adata.X):
        raise ValueError(
            f"`counts_layer` is {counts_layer!r}, which modality {modality!r} already has with values other than X's, so X may be normalised. If X holds the "
            "counts, give another name for the layer; if the layer does, put them back into X and remove it."
        )
    check_values(adata.X, modality)
    if not holds_whole_numbers(adata.X):
        raise ValueError(
            f"modality {modality!r} holds values that are no whole numbers, so they are no counts (the largest is "
            f"{nonzero_values(adata.X).max():.3g}). Put counts into X; corrected counts (SoupX and the like) can be rounded."
        )


def _equal(layer: Any, X: Any) -> bool:
    """Tell whether two matrices of one shape hold the same values."""
    if sparse.issparse(layer) or sparse.issparse(X):
        return (sparse.csr_matrix(layer) != sparse.csr_matrix(X)).nnz == 0
    return np.array_equal(layer, X)


def _normalised(counts: Any, method: str, target_sum: float) -> Any:
    """Return the normalised values of a matrix of counts, which stays as it is."""
    is_sparse = sparse.issparse(counts)
    # TF-IDF of a dense matrix leaves NaN in peaks without counts
    counts = counts if is_sparse or method != "tfidf" else sparse.csr_matrix(counts)
    values = AnnData(counts.astype(np.float32, copy=True))
    if method == "log":
        with compat.without_warning("Some cells have zero counts"):
            sc.pp.normalize_total(values, target_sum=target_sum)
        sc.pp.log1p(values)
    elif method == "clr":
        # muon wants columns together for this, and says so
        values.X = values.X.tocsc() if is_sparse else values.X
        compat.import_muon().prot.pp.clr(values)
    else:
        # a cell or peak without counts is divided by zero, and set to zero afterwards
        with np.errstate(divide="ignore", invalid="ignore"):
            compat.import_muon().atac.pp.tfidf(values, scale_factor=target_sum)
    X = values.X
    return sparse.csr_matrix(X, dtype=np.float32) if sparse.issparse(X) else np.asarray(X, dtype=np.float32)
