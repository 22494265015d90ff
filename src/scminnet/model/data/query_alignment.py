"""Brings a query's features into the reference's order. Missing features are filled with zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scminnet._core import compat, matrices
from scminnet._core.arguments import shorten
from scminnet._core.logging import logger
from scminnet.model.data.query_names import check_feature_names, check_modality_names


def align_features(adata: AnnData, features: pd.Index) -> AnnData:
    """Return the cells of ``adata`` with ``features``: known ones are reordered, missing ones zero, others removed.

    ``X`` and layers keep their format (sparse or dense) and type. ``obs``, ``obsm``, ``obsp`` and ``uns`` are copied.
    Matrices on disk stay there if the features are already in order, and become dask arrays otherwise.
    """
    source = adata.var_names.get_indexer(features)
    known = np.flatnonzero(source >= 0)
    # a product with the selection matrix reorders columns and fills zeros in one step
    selection = sparse.csr_matrix(
        (np.ones(len(known), dtype=np.float32), (source[known], known)), shape=(adata.n_vars, len(features))
    )

    def moved(matrix: Any) -> Any:
        if matrices.on_disk(matrix) and adata.var_names.equals(features):
            return matrix
        matrix = matrices.computable(matrix)
        result = matrices.right_product(matrix, selection.astype(matrix.dtype))
        return sparse.csr_matrix(result) if sparse.issparse(result) else result

    return AnnData(
        X=None if adata.X is None else moved(adata.X),
        obs=adata.obs.copy(),
        var=adata.var.reindex(features),
        layers={name: moved(layer) for name, layer in compat.named_layers(adata).items()},
        obsm=dict(adata.obsm),
        obsp=dict(adata.obsp),
        uns=dict(adata.uns),
    )


def with_model_features(
    mdata: MuData, features: Mapping[str, Sequence[str] | np.ndarray], layers: Mapping[str, str | None]
) -> MuData:
    """Return the modalities in ``features`` with these features, and no more of them than the matrix in use.

    It is ``mdata`` itself if its features are the model's, in the model's order.

    Parameters
    ----------
    mdata
        Cells with all modalities in ``features``. It is not changed.
    features
        Features of the model, by modality.
    layers
        Layer in use of each modality. ``None``: ``X``.

    Raises
    ------
    ValueError
        As :func:`align_query`.
    """
    reference = {m: pd.Index(names) for m, names in features.items()}
    if all(np.array_equal(mdata.mod[m].var_names.astype(str), names.astype(str)) for m, names in reference.items()):
        return mdata
    missing, parts = {}, {}
    for m, names in reference.items():
        adata, layer = mdata.mod[m], layers[m]
        _check_unique(adata, m)
        missing[m] = len(names) - check_feature_names(mdata, m, names)
        used = AnnData(
            X=adata.X if layer is None else None,
            obs=adata.obs[[]],
            var=adata.var[[]],
            layers={} if layer is None else {layer: adata.layers[layer]},
        )
        parts[m] = align_features(used, names)
    if any(missing.values()):
        found = ", ".join(f"{n:,} of {len(reference[m]):,} {m}" for m, n in missing.items() if n)
        logger.info("features of the model that the cells lack, filled with zeros: %s", found)
    with compat.mudata_0_4_behaviour():
        return MuData(parts)


def _check_unique(adata: AnnData, modality: str) -> None:
    names = adata.var_names
    if not names.is_unique:
        twice = names[names.duplicated()].unique()
        raise ValueError(
            f"modality {modality!r} has duplicate var_names: {shorten(twice)}. "
            f"Make them unique, e.g. `mdata[{modality!r}].var_names_make_unique()` followed by `mdata.update()`."
        )


def _copy_unless_stored(adata: AnnData) -> AnnData:
    stored = any(map(matrices.on_disk, (adata.X, *compat.named_layers(adata).values())))
    return adata if stored else adata.copy()


def align_query(mdata: MuData, features: Mapping[str, Sequence[str]]) -> MuData:
    """Return a MuData whose modalities have the reference's features, in the reference's order.

    Parameters
    ----------
    mdata
        The query. Modalities that the reference lacks are kept as they are.
    features
        Features of the reference, by modality.

    Raises
    ------
    ValueError
        The query has none of the reference's modalities, or one of them under another name. A modality has none of its
        features, or hardly any and more under names that are written otherwise.
    """
    check_modality_names(mdata, features)
    shared = [m for m in features if m in mdata.mod]
    if not shared:
        raise ValueError(
            f"`mdata` has modalities {shorten(mdata.mod)}, the model {shorten(features)}: none in common. "
            "Name the query's modalities as in the reference."
        )
    for modality in shared:
        _check_unique(mdata.mod[modality], modality)
    counts = {}
    for m in shared:
        counts[m] = check_feature_names(mdata, m, pd.Index(features[m]))
    missing = [m for m in shared if counts[m] < len(features[m])]
    unused = [m for m in mdata.mod if m not in features]
    logger.info(
        "features of the model found in the query: %s%s%s",
        ", ".join(f"{m} {counts[m]:,} of {len(features[m]):,}" for m in shared),
        f"; missing ones of {shorten(missing)} are filled with zeros" if missing else "",
        f"; not used, because the model does not know them: {shorten(unused)}" if unused else "",
    )
    aligned = {
        m: align_features(adata, pd.Index(features[m])) if m in features else _copy_unless_stored(adata)
        for m, adata in mdata.mod.items()
    }
    with compat.mudata_0_4_behaviour():
        result = MuData(aligned)
    result.obs = mdata.obs.reindex(result.obs_names).copy()
    result.uns.update(mdata.uns)
    for key in mdata.obsm:
        if key not in mdata.mod:
            result.obsm[key] = mdata.obsm[key][mdata.obs_names.get_indexer(result.obs_names)]
    return result
