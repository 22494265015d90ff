"""Imputation: what a modality would have measured in the cells that lack it, from any joint embedding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.embeddings import embedded_modalities, joint_embeddings
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.mdata import check_modalities, check_mudata, layer_matrix
from scminnet._core.values import check_values
from scminnet.imputation.impute import Options, check_size, chosen_features, impute_cells, values_of
from scminnet.imputation.imputer import Donors
from scminnet.tl._cells import Cells


@check_types
def impute(
    mdata: MuData,
    modality: str,
    *,
    features: Sequence[str] | None = None,
    layer: str | None = None,
    counts_layer: str | None = None,
    n_neighbors: int | None = None,
    quantile: float = 0.95,
    lazy: bool = False,
    use_rep: str = EMBEDDING_KEY,
    seed: int = 0,
) -> AnnData:
    """Impute a modality in the cells that lack it, from the joint embedding.

    Expected values are learned from the cells in which the modality was measured. They are the mean of two estimates:
    the values of the nearest measured cells, weighted by distance, and a linear model (ridge) of the embedding. A cell
    that lies far from all measured cells gets NaN, because nothing is known of cells like it.

    :meth:`scminnet.MinNet.impute` does the same with a model's reference, and gives intervals as well. The page "Impute
    the missing modality" says what imputed values must not be used for.

    Parameters
    ----------
    mdata
        MuData whose modalities hold their cells' embedding in ``mdata[m].obsm[use_rep]``, in one space. Any method may
        have made it.
    modality
        Modality to impute. Cells that have an embedding but lack this modality are imputed.
    features
        Features to impute. ``None``: all.
    layer
        Layer of normalised values; ``None``: ``X``. Expected values are on its scale.
    counts_layer
        Layer of raw counts. If given, expected counts take the place of normalised values, at the depth at which the
        measured cells were sequenced. They are no whole numbers.
    n_neighbors
        Nearest measured cells of a cell. ``None``: a tenth of the measured cells, at most 50.
    quantile
        A cell is out of range if it is farther from its neighbours than this share of the measured cells from theirs.
        Both are compared as in :func:`transfer_labels`.
    lazy
        Return dask arrays, which are computed block by block when they are used or written. For more values than fit
        into memory.
    use_rep
        Key of the embeddings in the modalities' ``obsm``.
    seed
        Seed of the neighbour search, which is approximate on large data.

    Returns
    -------
    AnnData of the imputed cells x features. ``mdata`` is unchanged.

    ``X``
        Expected values, float32; NaN for cells out of range.
    ``obs["in_range"]``, ``obs["distance"]``
        Whether a cell lies near measured cells, and its mean distance to its neighbours.
    ``uns["impute"]``
        ``modality``, ``max_distance`` and ``params``.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData. Values are not numeric, or stored by columns on disk.
    ImportError
        ``lazy`` is set, and dask is not installed.
    KeyError
        No modality has the embedding. A feature is unknown.
    ValueError
        The modality is unknown, empty, or has no embedding of its own. No cell lacks it. It has fewer than 20 cells, or
        no more than ``n_neighbors``. The layer is missing. Embeddings or values are not finite or too large. A
        parameter is out of its range. The result would not fit into memory.

    Examples
    --------
    >>> rna = mn.tl.impute(mdata, "rna", features=["CD4", "CD8A"])  # of cells that have ATAC only
    >>> mdata.mod["rna_imputed"] = rna
    """
    check_mudata(mdata)
    check_modalities(mdata, [modality], "modality")
    options = Options(n_neighbors, quantile, None, lazy, seed)
    options.check()
    if layer is not None and counts_layer is not None:
        raise ValueError("`layer` and `counts_layer` are both given. Give the one whose values are to be imputed.")
    cells = _read(mdata, modality, use_rep)
    adata = mdata.mod[modality]
    measured = layer_matrix(mdata, modality, counts_layer or layer, "counts_layer" if counts_layer else "layer")
    columns = chosen_features(adata.var_names, features, modality)
    lacking = cells.has_point.copy()
    lacking[cells.rows[modality]] = False
    if not lacking.any():
        raise ValueError(
            f"`modality` is {modality!r}, which every cell with an embedding {use_rep!r} has. Add cells without it, "
            "or name a modality that some lack."
        )
    n_neighbors = options.neighbors_of(len(cells.rows[modality]), modality)
    check_size(int(lacking.sum()), len(columns), options)
    counts_for = "Imputing counts" if counts_layer else None
    check_values(measured, modality, (adata.obs_names, adata.var_names), counts_for=counts_for, stored=True)
    own = cells.embedded[modality]
    donors = Donors(
        values=values_of(measured, columns),
        var=adata.var.iloc[columns],
        rows=np.arange(len(own)),
        points=own,
        other_points=_by_others(cells, modality),
    )
    names = pd.DataFrame(index=cells.names[lacking])
    params = {"use_rep": use_rep, "layer": layer, "counts_layer": counts_layer}
    return impute_cells(
        donors,
        names,
        cells.points[lacking],
        options,
        modality=modality,
        n_neighbors=n_neighbors,
        params=params,
    )


def _read(mdata: MuData, modality: str, use_rep: str) -> Cells:
    """Read the embeddings of all cells, raising where the modality to impute has none."""
    embedded = embedded_modalities(mdata, use_rep)
    if modality not in embedded:
        raise ValueError(
            f"`modality` is {modality!r}, which has no embedding {use_rep!r} in its obsm. Embed its cells, e.g. with "
            "`model.embed(mdata)`."
        )
    return Cells.of(
        modalities=[modality],
        names=mdata.obs_names,
        names_of={m: mdata.mod[m].obs_names for m in embedded},
        embedded=dict(zip(embedded, joint_embeddings(mdata, embedded, use_rep), strict=True)),
        labels=pd.DataFrame(index=mdata.obs_names),
        measured={},
    )


def _by_others(cells: Cells, modality: str) -> np.ndarray:
    """Return the embedding of a modality's cells by the other modalities, or their own where no other has one."""
    others = cells.mean_points(but=modality)[cells.rows[modality]]
    return np.where(np.isnan(others), cells.embedded[modality], others)
