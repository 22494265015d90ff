"""Joins modalities of the same cells into one, e.g. gene activity and peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import shorten
from scminnet._core.compat import mudata_0_4_behaviour
from scminnet._core.mdata import check_modalities, check_mudata, check_not_view, copied, layer_matrix, layer_names
from scminnet._core.values import check_values


@check_types
def join_modalities(
    mdata: MuData,
    modalities: Sequence[str],
    *,
    key_added: str = "chromatin",
    layers: str | Mapping[str, str | None] | None = None,
    copy: bool = False,
) -> MuData | None:
    """Concatenate the features of several modalities of the same cells into a new modality.

    Peaks with links to genes (:func:`feature_links`) tell :class:`~scminnet.MinNet` as much as gene activity and peaks
    together. Join features that nothing links.

    Parameters
    ----------
    mdata
        MuData with normalised values (:func:`normalize`). The model standardises each feature, so peaks may be
        log-normalised or TF-IDF-transformed.
    modalities
        At least two modalities, measured in the same cells. The order of cells may differ.
    key_added
        Name of the new modality.
    layers
        Layer of each modality, as a mapping or one name for all. ``None``: ``X``.
    copy
        Return a changed copy, and leave ``mdata`` unchanged.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added``:

    ``mdata[key]``
        The cells of the first of ``modalities`` in the same order, with the features of all modalities in their order.
        ``X``: float32, CSR unless all are dense.
    ``mdata[key].var``
        ``modality``: the modality of each feature.
    ``mdata.uns[key]``
        ``params``.

    Raises
    ------
    TypeError
        ``mdata`` is not a MuData, or values are not numbers in memory.
    ValueError
        ``mdata`` is a view; there are fewer than two modalities, or an unknown one; ``key_added`` is already a
        modality; the modalities have different cells, or features of the same name; a layer is missing; or values are
        NaN or infinite.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(100)
    >>> mn.pp.gene_activity(mdata, mdata["rna"].var.rename_axis("gene").reset_index())
    >>> mn.pp.normalize(mdata)
    >>> mn.pp.join_modalities(mdata, ["activity", "atac"])
    >>> mdata["chromatin"].n_vars == mdata["activity"].n_vars + mdata["atac"].n_vars
    True
    """
    check_mudata(mdata)
    check_not_view(mdata)
    names = list(modalities)
    if isinstance(modalities, str) or len(set(names)) < 2 or len(set(names)) < len(names):
        raise ValueError(f"`modalities` is {modalities!r}. Give a list of at least two different modalities.")
    check_modalities(mdata, names)
    if key_added in mdata.mod:
        raise ValueError(
            f"`key_added` is {key_added!r}, which is already a modality. Give another name, or remove it first: "
            f"`del mdata.mod[{key_added!r}]`, then `mdata.update()`."
        )
    chosen = layer_names(layers, names)
    matrices = {m: layer_matrix(mdata, m, chosen[m]) for m in names}
    for m, matrix in matrices.items():
        check_values(matrix, m, (mdata.mod[m].obs_names, mdata.mod[m].var_names))
    cells = mdata.mod[names[0]].obs_names
    for m in names[1:]:
        _check_same_cells(cells, mdata.mod[m].obs_names, names[0], m)
    features = pd.Index(np.concatenate([mdata.mod[m].var_names.astype(str) for m in names]))
    if not features.is_unique:
        twice = features[features.duplicated()].unique()
        raise ValueError(
            f"{len(twice):,} features have the same name in two of the modalities {shorten(names)}, e.g. "
            f"{shorten(twice, 3)}. Rename them first, e.g. `mdata[{names[1]!r}].var_names += '-{names[1]}'`."
        )

    rows = {m: mdata.mod[m].obs_names.get_indexer(cells) for m in names}
    parts = [matrices[m] if np.array_equal(rows[m], np.arange(len(cells))) else matrices[m][rows[m]] for m in names]
    if any(sparse.issparse(part) for part in parts):
        X = sparse.hstack(parts, format="csr", dtype=np.float32)
    else:
        X = np.concatenate(parts, axis=1, dtype=np.float32)
    sources = pd.Categorical(np.repeat(names, [mdata.mod[m].n_vars for m in names]), categories=names)
    var = pd.DataFrame({"modality": sources}, index=features)
    # the joined modality shares names of features on purpose
    with mudata_0_4_behaviour():
        result = copied(mdata) if copy else mdata
        result.mod[key_added] = ad.AnnData(X, obs=pd.DataFrame(index=cells.copy()), var=var)
        result.update()
    params = {"modalities": names, "layers": {m: layer for m, layer in chosen.items() if layer is not None}}
    # an empty dictionary does not survive an h5mu file
    result.uns[key_added] = {"params": {name: value for name, value in params.items() if value}}
    return result if copy else None


def _check_same_cells(cells: pd.Index, others: pd.Index, first: str, second: str) -> None:
    """Raise unless two modalities have the same cells."""
    n_lacking, n_more = len(cells.difference(others)), len(others.difference(cells))
    if n_lacking or n_more:
        raise ValueError(
            f"modalities {first!r} and {second!r} must hold the same cells: {n_lacking:,} of {first!r} are not in "
            f"{second!r}, and {n_more:,} the other way round. Keep the cells that both have."
        )
