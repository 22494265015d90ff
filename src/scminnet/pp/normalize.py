"""Normalisation of counts, with the usual method for each kind of modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scanpy as sc
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scminnet._core import compat
from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice, check_positive, shorten
from scminnet._core.matrices import computable
from scminnet._core.mdata import check_modalities, check_mudata, check_not_view, copied
from scminnet._core.sparse_structure import check_sparse
from scminnet._core.values import check_values, holds_whole_numbers, nonzero_values
from scminnet.pp._kinds import GENES, PEAKS, PROTEINS, resolve_kinds

#: Default method of each kind of modality.
METHODS = {GENES: "log", PEAKS: "tfidf", PROTEINS: "clr"}

#: Entry of a modality's ``uns`` that records its normalisation.
UNS_KEY = "normalize"


@check_types
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
        Counts are scaled to ``target_sum`` per cell, then log(1 + x): :func:`scanpy.pp.normalize_total`,
        :func:`scanpy.pp.log1p`.
    ``"clr"``
        ``muon.prot.pp.clr`` over cells (``axis=0``): log(1 + x / exp(mean of log(1 + x) of the protein)). It is not
        negative.
    ``"tfidf"``
        ``muon.atac.pp.tfidf``: log(1 + ``target_sum`` x share of the cell's counts) x log(1 + cells / sum of the peak's
        counts).

    CLR and TF-IDF use all cells given. A query is normalised by its own cells, just as MinNet standardises it by its
    own statistics.

    Parameters
    ----------
    mdata
        MuData with counts in the modalities' ``X``.
    modalities
        Modalities to normalise. ``None``: all.
    kinds
        Kind by modality: ``"genes"``, ``"peaks"`` or ``"proteins"``. Otherwise it is read from 10x's
        ``var["feature_types"]`` or from the name of the modality: ``rna``, ``gex`` and ``activity`` hold genes,
        ``atac`` peaks, ``adt`` and ``prot`` proteins, and so on.
    methods
        Method by modality, where it differs from that of the kind, e.g. ``{"atac": "log"}``.
    target_sum
        Counts per cell after scaling, for ``"log"`` and ``"tfidf"``. 10,000 as in muon's tutorials.
    counts_layer
        Layer in which the counts are kept. It may exist if it holds the same values as ``X``.
    copy
        Return a changed copy, and leave ``mdata`` unchanged.

    Returns
    -------
    ``None``, or the copy. Written, for each modality ``m``:

    ``mdata[m].X``
        Normalised values, float32. CSR if the counts are sparse or the method is ``"tfidf"``. A cell without counts
        stays zero.
    ``mdata[m].layers[counts_layer]``
        The counts.
    ``mdata[m].uns["normalize"]``
        ``method``, ``target_sum`` (not for ``"clr"``) and ``counts_layer``.

    Raises
    ------
    TypeError
        ``mdata`` is not a MuData, or a modality holds no numbers in memory.
    ValueError
        ``mdata`` is a view; a modality is unknown, empty, of unknown kind or of several feature types; a method is
        unknown; a modality is already normalised, its values are not counts, or it has a layer of that name with other
        values; or ``target_sum`` is below 1.

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

    normalised = {m: _normalised(computable(mdata.mod[m].X), method, target_sum) for m, method in chosen.items()}
    result = copied(mdata) if copy else mdata
    for m, method in chosen.items():
        adata = result.mod[m]
        adata.layers[counts_layer] = adata.X
        adata.X = normalised[m]
        entry: dict[str, Any] = {"method": method, "counts_layer": counts_layer}
        adata.uns[UNS_KEY] = entry | ({} if method == "clr" else {"target_sum": target_sum})
    return result if copy else None


def _check_counts(adata: AnnData, modality: str, counts_layer: str) -> None:
    """Raise unless the modality holds counts that are not yet normalised."""
    if UNS_KEY in adata.uns:
        done = adata.uns[UNS_KEY]
        raise ValueError(
            f"modality {modality!r} is already normalised (uns[{UNS_KEY!r}] has method {done.get('method')!r}). "
            f"To start again, put the counts back: `mdata[{modality!r}].X = "
            f"mdata[{modality!r}].layers.pop({done.get('counts_layer')!r})` and "
            f"`del mdata[{modality!r}].uns[{UNS_KEY!r}]`."
        )
    if adata.X is None:
        raise ValueError(f"modality {modality!r} has no X. Put its counts there.")
    check_sparse(adata.X, f"X of modality {modality!r}")
    if counts_layer in adata.layers and not _equal(adata.layers[counts_layer], adata.X):
        raise ValueError(
            f"`counts_layer` is {counts_layer!r}, a layer of modality {modality!r} with values different from X, "
            "so X may be normalised. If X holds the counts, give another name for the layer. "
            "If the layer holds them, put them back into X and remove the layer."
        )
    counts = computable(adata.X)
    check_values(counts, modality, (adata.obs_names, adata.var_names), counts_for="Normalisation")
    if not holds_whole_numbers(counts):
        raise ValueError(
            f"modality {modality!r} holds values that are not whole numbers, so they are not counts (the largest is "
            f"{nonzero_values(counts).max():.3g}). Put counts into X. Round corrected counts, e.g. those of SoupX."
        )


def _equal(layer: Any, X: Any) -> bool:
    """Tell whether two matrices of the same shape hold the same values."""
    layer, X = computable(layer), computable(X)
    if sparse.issparse(layer) or sparse.issparse(X):
        return (sparse.csr_matrix(layer) != sparse.csr_matrix(X)).nnz == 0
    return np.array_equal(layer, X)


def _normalised(counts: Any, method: str, target_sum: float) -> Any:
    """Return the normalised values of a matrix of counts, which is not changed."""
    is_sparse = sparse.issparse(counts)
    # TF-IDF of a dense matrix gives NaN in peaks without counts
    counts = counts if is_sparse or method != "tfidf" else sparse.csr_matrix(counts)
    values = AnnData(counts.astype(np.float32, copy=True))
    if method == "log":
        with compat.without_warning("Some cells have zero counts"), compat.preserve_torch_threads():
            sc.pp.normalize_total(values, target_sum=target_sum)
        sc.pp.log1p(values)
    elif method == "clr":
        # muon warns unless the matrix is stored by columns
        values.X = values.X.tocsc() if is_sparse else values.X
        compat.import_muon().prot.pp.clr(values)
    else:
        # muon divides by zero in cells or peaks without counts, and sets them to zero afterwards
        with np.errstate(divide="ignore", invalid="ignore"):
            compat.import_muon().atac.pp.tfidf(values, scale_factor=target_sum)
    X = values.X
    return sparse.csr_matrix(X, dtype=np.float32) if sparse.issparse(X) else np.asarray(X, dtype=np.float32)
