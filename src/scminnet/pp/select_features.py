"""Feature selection: genes that vary in several batches, proteins that vary, peaks open in many cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from mudata import MuData

from scminnet._core import compat
from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice, check_count, shorten
from scminnet._core.logging import logger
from scminnet._core.mdata import (
    check_modalities,
    check_mudata,
    check_not_view,
    computable_matrices,
    copied,
    layer_matrix,
)
from scminnet._core.obs import modality_column
from scminnet._core.values import check_values, looks_like_counts
from scminnet.pp._kinds import GENES, PEAKS, PROTEINS, resolve_kinds

#: Flavours of scanpy that expect log-normalised values, like MinNet.
FLAVORS = ("cell_ranger", "seurat")


@check_types
def select_features(
    mdata: MuData,
    modalities: Sequence[str] = ("rna", "activity"),
    *,
    batch_key: str | None = None,
    min_batches: int = 2,
    n_top_genes: int = 2000,
    flavor: str = "cell_ranger",
    n_top_peaks: int = 30_000,
    keep: Iterable[str] = (),
    kinds: Mapping[str, str] | None = None,
    layer: str | None = None,
    subset: bool = True,
    key_added: str = "selected",
    copy: bool = False,
) -> MuData | None:
    """Select the features for training.

    **Genes**: those in all named modalities of genes (e.g. expression and gene activity) and highly variable in at
    least ``min_batches`` batches of the first one. All these modalities keep the same genes. **Proteins**: all that
    vary. **Peaks**: those open in most cells.

    Parameters
    ----------
    mdata
        MuData with normalised values.
    modalities
        Modalities whose features are selected. Variability is measured in the first modality of genes, so name
        expression before activity.
    batch_key
        Column of the batches, in ``mdata.obs`` or in that modality's ``obs``. ``None``: all cells are one batch.
    min_batches
        Batches in which a gene must be highly variable. 2 in the paper for multiome ("in more than one batch"), 3 for
        CITE-seq. Ignored without ``batch_key``.
    n_top_genes
        Highly variable genes per batch. The paper does not give a number; 2,000 is usual in scanpy.
    flavor
        ``"cell_ranger"`` (the paper's) or ``"seurat"`` of :func:`scanpy.pp.highly_variable_genes`.
    n_top_peaks
        Number of peaks to select, those with counts in most cells.
    keep
        Names of features that are always selected, for genes if all modalities of genes have them. In the paper these
        are the genes of surface proteins.
    kinds
        Kind by modality, as in :func:`scminnet.pp.normalize`.
    layer
        Layer of normalised values. ``None``: ``X``.
    subset
        Whether to remove the other features, as training expects. If not, the selection is only marked. Links between
        peaks and genes need all features, so keep the full data for them.
    key_added
        Name of the column that marks the selection.
    copy
        Return a changed copy, and leave ``mdata`` unchanged.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added`` and each modality ``m``:

    ``mdata[m].var[key]``
        Whether the feature was selected. All are true with ``subset``.
    ``mdata[m].var["{key}_n_batches"]``
        For genes: number of batches in which the gene is highly variable, int64.
    ``mdata[m].var["{key}_n_cells"]``
        For peaks: number of cells with counts, int64.
    ``mdata.uns[key]``
        ``params``, and ``keep_not_found``: names of ``keep`` that could not be selected.

    Raises
    ------
    TypeError
        ``mdata`` is not a MuData, or values are not numbers in memory.
    KeyError
        ``batch_key`` is not a column.
    ValueError
        ``mdata`` is a view; a modality or layer is missing, or its kind is unknown; a parameter is out of its range;
        modalities of genes have no gene in common, or hold counts; there are fewer batches than ``min_batches``, or a
        batch is too small; or no feature is left.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(500)
    >>> mn.pp.normalize(mdata)
    >>> mn.pp.select_features(mdata, ["rna", "atac"], batch_key="batch", n_top_genes=300, n_top_peaks=1000)
    >>> mdata["atac"].n_vars
    1000
    """
    check_mudata(mdata)
    check_not_view(mdata)
    names = list(modalities)
    check_modalities(mdata, names)
    of_kind = resolve_kinds(mdata, names, kinds)
    for value, argument in ((min_batches, "min_batches"), (n_top_genes, "n_top_genes"), (n_top_peaks, "n_top_peaks")):
        check_count(value, argument)
    check_choice(flavor, FLAVORS, "flavor")
    if isinstance(keep, str):
        raise ValueError(f"`keep` is the text {keep!r}. Give a list of names.")
    kept = pd.Index(list(keep), dtype=object)
    matrices = {m: layer_matrix(mdata, m, layer) for m in names}
    for m, matrix in matrices.items():
        adata, needs = mdata.mod[m], "Selecting genes and peaks" if of_kind[m] != PROTEINS else None
        check_values(matrix, m, (adata.obs_names, adata.var_names), counts_for=needs)

    genes = {m: matrices[m] for m in names if of_kind[m] == GENES}
    tables = _select_genes(mdata, genes, batch_key, min_batches, n_top_genes, flavor, kept)
    tables |= {m: _select_peaks(matrices[m], n_top_peaks) for m in names if of_kind[m] == PEAKS}
    tables |= {m: {"": _varies(matrices[m])} for m in names if of_kind[m] == PROTEINS}
    for m in names:
        if of_kind[m] != GENES:
            tables[m][""] |= mdata.mod[m].var_names.isin(kept)
        if not tables[m][""].any():
            remedy = f"Lower `min_batches` ({min_batches}) or raise `n_top_genes` ({n_top_genes:,})."
            remedy = remedy if of_kind[m] == GENES else "None of them varies: leave the modality out."
            raise ValueError(f"no feature of modality {m!r} is selected. {remedy}")
    logger.info(
        "features selected: %s",
        ", ".join(f"{m} {int(tables[m][''].sum()):,} of {mdata.mod[m].n_vars:,}" for m in names),
    )

    params: dict[str, Any] = {
        "modalities": names,
        "batch_key": batch_key,
        "min_batches": min_batches,
        "n_top_genes": n_top_genes,
        "flavor": flavor,
        "n_top_peaks": n_top_peaks,
        "layer": layer,
        "subset": subset,
    }
    # h5mu files can not store None
    params = {name: value for name, value in params.items() if value is not None}
    selected = pd.Index([]).append([mdata.mod[m].var_names[tables[m][""]] for m in names])
    with compat.mudata_0_4_behaviour():
        result = copied(mdata) if copy else mdata
        with computable_matrices(result):
            _write(result, tables, key_added, subset=subset)
    result.uns[key_added] = {
        "params": params,
        "keep_not_found": kept[~kept.isin(selected)].to_numpy(dtype=object),
    }
    return result if copy else None


#: Columns of a modality's ``var`` by the endings of their names. "" is the selection itself.
Columns = dict[str, np.ndarray]


def _write(mdata: MuData, tables: Mapping[str, Columns], key: str, *, subset: bool) -> None:
    """Write the selection into each modality's ``var``, and remove the other features if asked."""
    for m, columns in tables.items():
        adata = mdata.mod[m]
        adata.var = adata.var.assign(**{key + ending: values for ending, values in columns.items()})
        if subset:
            mdata.mod[m] = adata[:, columns[""]].copy()
    mdata.update()


def _select_genes(
    mdata: MuData,
    matrices: Mapping[str, Any],
    batch_key: str | None,
    min_batches: int,
    n_top_genes: int,
    flavor: str,
    kept: pd.Index,
) -> dict[str, Columns]:
    """Select the same genes in all modalities of genes, by their variability in the first."""
    if not matrices:
        return {}
    first, *others = matrices
    if looks_like_counts(matrices[first]):
        raise ValueError(
            f"modality {first!r} holds counts, but flavour {flavor!r} needs log-normalised values. "
            "Run `scminnet.pp.normalize(mdata)` first, or name their `layer`."
        )
    genes = {m: mdata.mod[m].var_names for m in matrices}
    shared = genes[first]
    for m in others:
        shared = shared[shared.isin(genes[m])]
    if shared.empty:
        raise ValueError(
            f"`modalities`: {shorten(matrices)} have no gene in common, e.g. "
            f"{'; '.join(f'{m}: {shorten(names, 3)}' for m, names in genes.items())}. Use the same kind of gene names."
        )
    batches = None if batch_key is None else _batches(mdata, first, batch_key, min_batches)
    n_batches = _highly_variable(matrices[first][:, genes[first].get_indexer(shared)], batches, n_top_genes, flavor)
    enough = 1 if batches is None else min_batches
    result = {}
    for m, names in genes.items():
        # genes that another modality lacks count as variable in no batch
        everywhere = pd.Series(n_batches, index=shared).reindex(names, fill_value=0).to_numpy()
        result[m] = {"": (everywhere >= enough) | names.isin(shared.intersection(kept)), "_n_batches": everywhere}
    return result


def _select_peaks(values: Any, n_top_peaks: int) -> Columns:
    """Select the peaks with counts in most cells."""
    n_cells = np.asarray((values > 0).sum(axis=0)).ravel().astype(np.int64)
    # stable: among peaks in equally many cells the first are selected
    top = np.argsort(-n_cells, kind="stable")[:n_top_peaks]
    return {"": np.isin(np.arange(len(n_cells)), top) & (n_cells > 0), "_n_cells": n_cells}


def _batches(mdata: MuData, modality: str, batch_key: str, min_batches: int) -> pd.Series:
    """Return each cell's batch. Raise if one is missing or there are too few batches."""
    batches = modality_column(mdata, batch_key, modality, "batch_key")
    sizes = batches.value_counts()
    if len(sizes) < min_batches:
        raise ValueError(
            f"`min_batches` is {min_batches}, but `batch_key`={batch_key!r} holds {len(sizes)}: "
            f"{shorten(sizes.index)}. Give at most {len(sizes)}."
        )
    if (sizes < 2).any():
        raise ValueError(
            f"`batch_key`={batch_key!r}: {shorten(sizes.index[sizes < 2])} has a single cell, so nothing varies. "
            "Merge it with another batch or remove it."
        )
    return batches


def _highly_variable(values: Any, batches: pd.Series | None, n_top_genes: int, flavor: str) -> np.ndarray:
    """Count the batches in which each gene is highly variable."""
    # batch by batch, because scanpy's own batch_key also ranks genes over batches, which is not needed
    groups: dict[str, Any] = {"": slice(None)}
    if batches is not None:
        groups = {f" of batch {batch!r}": np.flatnonzero(batches == batch) for batch in batches.unique()}
    n_batches = np.zeros(values.shape[1], dtype=np.int64)
    for batch, rows in groups.items():
        part = AnnData(values[rows])
        # genes without counts in this batch would fill the lowest bin
        seen = np.flatnonzero(np.asarray((part.X > 0).sum(axis=0)).ravel() > 0)
        if not len(seen):
            raise ValueError(
                f"`modalities`: the {part.n_obs:,} cells{batch} have no counts of the genes to select from. Remove "
                "these cells, or give the right `layer`."
            )
        try:
            table = sc.pp.highly_variable_genes(
                part[:, seen].copy(), n_top_genes=min(n_top_genes, len(seen)), flavor=flavor, inplace=False
            )
        except ValueError as error:
            raise ValueError(
                f"`flavor`: scanpy's {flavor!r} finds no highly variable genes among {len(seen):,} genes of a batch of "
                f"{part.n_obs:,} cells ({error}). Use the other flavour, or merge small batches."
            ) from error
        n_batches[seen] += table["highly_variable"].to_numpy(bool)
    return n_batches


def _varies(values: Any) -> np.ndarray:
    """Tell which features have at least two different values."""
    extremes = [getattr(values, name)(axis=0) for name in ("min", "max")]
    low, high = (np.asarray(e.todense() if hasattr(e, "todense") else e).ravel() for e in extremes)
    return high > low
