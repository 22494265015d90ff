"""Mini-bulks: sums over a few near cells of one type, of all modalities alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from mudata import MuData

from scminnet._core import compat
from scminnet._core.arguments import check_count, shorten
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.logging import logger
from scminnet._core.mdata import check_mudata, check_not_view, layer_matrix, layer_names
from scminnet._core.values import check_values, warn_unless_counts
from scminnet.tl._bulks import at_least, cells_of, cut, leave_short, plan, sum_cells
from scminnet.tl._cells import cell_groups, cell_places, cell_rows, check_used_modalities

#: Key of the parameters in the result's ``uns``.
RESULT_KEY = "minibulk"

#: Name of the types' column in the result where ``groupby`` names a column a modality.
GROUP_COLUMN = "group"


def minibulk(
    mdata: MuData,
    n_bulks: int = 100,
    *,
    groupby: str | Mapping[str, str] | None,
    condition: str | None = None,
    modalities: Sequence[str] | None = None,
    layer: str | Mapping[str, str | None] | None = None,
    use_rep: str = EMBEDDING_KEY,
    min_cells: int = 1,
    key_added: str = "minibulk",
    seed: int = 0,
) -> MuData:
    """Sum counts over small groups of near cells, so that modalities measured in different cells become paired.

    The cells of all modalities, taken together, are ordered by Ward's clustering of their embedding, group by group; a group is a type (and
    condition). Each row of cells is cut into bulks as equal as possible. Every group has one bulk; each further bulk goes to the group whose
    bulks are largest, though a group never has more than it could give ``min_cells`` cells of every modality.

    A cell measured in several modalities, which is one of ``obs_names``, is in one bulk with all of them. Its place is the mean over the
    modalities that have its embedding. So is that of a cell of a modality without an embedding, such as peaks beside the gene activity that
    was embedded, or modalities imputed by :func:`minnet_smooth`: name these in ``modalities``, for they are not used by default.

    Up to 4,096 cells a group the tree is Ward's own, of which scipy holds the distances: 134 MB. Beyond, k-means makes clusters first, as
    many as the square root of the number of cells, which are ordered by Ward's tree, as are the cells of each: see
    :func:`scminnet.graph.ward.ward_order`.

    Parameters
    ----------
    mdata
        MuData with embeddings in one space in its modalities' ``obsm``, whatever made them.
    n_bulks
        Number of bulks cut, from the number of groups on; 100 in the paper.
    groupby
        Column of the types, in ``mdata.obs`` or the ``obs`` of modalities; or one column for each modality, e.g. ``{"rna":
        "cell_type", "atac": "transferred_label"}`` after :func:`transfer_labels`. ``None``: all cells are of one type.
    condition
        Column of a condition with two levels or more, in the same places: a bulk has cells of one level only.
    modalities
        Modalities to sum. ``None``: all that have the embedding.
    layer
        Layer of raw counts, or smoothed ones, for all modalities or each its own. ``None``: ``X``. Values on disk and dask arrays are summed
        block by block.
    use_rep
        Key of the embeddings in the modalities' ``obsm``, arrays (cells of the modality, d).
    min_cells
        Fewest cells of every modality in a bulk.
    key_added
        Name of what is written into ``mdata``.
    seed
        Seed of k-means, for groups of more than 4,096 cells.

    Returns
    -------
    MuData of bulks ``bulk_0``, ``bulk_1``, ..., the same in each modality, in the order of the sorted types (and conditions) and of each
    group's row.

    ``obs``
        The type, in a column named as ``groupby`` (``"group"`` for a mapping; none for ``None``), the condition in a column of its
        name, both categorical, and ``n_cells_{m}``, the bulk's cells of each modality.
    ``[m].layers["counts"]``
        Sums of the modality's values, CSR, float32.
    ``[m].X``
        The same, scaled to the bulks' median total, log(1 + x). No rank along the bulks depends on the scale common to them.
    ``[m].var``
        As in ``mdata``.
    ``uns["minibulk"]``
        ``modalities`` and ``params``.

    Written into ``mdata``, for ``key = key_added``:

    ``mdata.obs[key]``
        Each cell's bulk, categorical; missing for cells left out.
    ``mdata.uns[key]``
        ``modalities`` and ``params``; ``groups``: a table of the type and condition, cells of each modality, ``n_bulks`` and the bulks
        dropped, ``n_dropped``; ``left_out``: a table of the cells left out, ``cell`` and ``reason``. A cell is left out if it
        was measured in none of the modalities, has no embedding, type or condition, or if its group or its bulk has fewer than ``min_cells``
        cells of some modality; such bulks are dropped.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, or values are no numbers, or stored by columns on disk.
    KeyError
        No modality has the embedding, or a column is nowhere.
    ValueError
        ``mdata`` is a view, or its ``obs`` lacks cells of a modality; a modality is unknown or empty, lacks the layer, or has no cell with
        an embedding; embeddings or values are not finite, or values negative; places of a column disagree on a cell; no cell
        has a type; ``condition`` has fewer than two levels; a parameter is out of its range; there are fewer bulks than groups, or
        more than the groups allow; no group, or no bulk, has ``min_cells`` cells of every modality.

    Warns
    -----
    UserWarning
        The values are no whole numbers, so they do not look like counts.

    Examples
    --------
    >>> import numpy as np
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(200)
    >>> for adata in mdata.mod.values():
    ...     adata.obsm["X_minnet"] = np.random.default_rng(0).normal(size=(200, 2))
    >>> bulks = mn.tl.minibulk(mdata, 20, groupby="lineage")
    >>> bulks["rna"].shape, bulks["atac"].shape
    ((20, 600), (20, 1500))
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_count(n_bulks, "n_bulks")
    check_count(min_cells, "min_cells")
    names = check_used_modalities(mdata, modalities, use_rep)
    layers = layer_names(layer, names, "layer")
    values = {m: layer_matrix(mdata, m, layers[m], "layer") for m in names}
    found = {m: check_values(values[m], m, stored=True) for m in names}
    labels = cell_groups(mdata, groupby, condition, names)
    if key_added in labels.columns:
        raise ValueError(
            f"`key_added` is {key_added!r}, as is a column of groups. Give a name that leaves it as it is."
        )
    rows = {m: cell_rows(mdata, m) for m in names}
    places = cell_places(mdata, names, use_rep)
    reasons = _reasons(labels, places, rows)
    groups, table = _groups(labels, reasons, condition)
    of_groups = cells_of(groups, rows, len(table))
    groups, reasons = leave_short(groups, reasons, of_groups, min_cells, names, "group")
    planned = plan(groups, of_groups, n_bulks, min_cells)
    warn_unless_counts(found, "`minibulk`")

    bulks = cut(places, groups, planned, seed)
    of_bulks = cells_of(bulks, rows, n_bulks)
    bulks, reasons = leave_short(bulks, reasons, of_bulks, min_cells, names, "bulk")
    kept = (of_bulks >= min_cells).all(axis=1)
    if not kept.any():
        raise ValueError(
            f"`n_bulks` is {n_bulks}, but no bulk has {at_least(min_cells)} of each of {shorten(names)}. Give fewer bulks, or an "
            "embedding in which the modalities mix."
        )
    # dropped bulks leave no gap in the numbers
    bulks = np.where(bulks >= 0, (np.cumsum(kept) - 1)[bulks], -1)
    bulk_names = [f"bulk_{i}" for i in range(kept.sum())]
    group_of = np.repeat(np.arange(len(table)), planned)
    obs = table.iloc[group_of[kept]].set_axis(bulk_names).astype("category")
    for i, m in enumerate(names):
        obs[f"n_cells_{m}"] = of_bulks[kept, i]
    # that modalities have features of the same names, as genes and their activity have, is the aim
    with compat.mudata_0_4_behaviour():
        result = MuData({m: _summed(mdata.mod[m], values[m], bulks[rows[m]], bulk_names) for m in names})
    result.obs = obs

    params = {
        "n_bulks": n_bulks,
        "groupby": dict(groupby) if isinstance(groupby, Mapping) else groupby,
        "condition": condition,
        "layer": {m: name for m, name in layers.items() if name is not None} or None,
        "use_rep": use_rep,
        "min_cells": min_cells,
        "seed": seed,
    }
    # h5mu files hold no None
    entry = {"modalities": names, "params": {name: value for name, value in params.items() if value is not None}}
    result.uns["minibulk"] = deepcopy(entry)
    for i, m in enumerate(names):
        table[f"n_cells_{m}"] = of_groups[:, i]
    table["n_bulks"] = planned
    table["n_dropped"] = np.bincount(group_of[~kept], minlength=len(table))
    out = reasons != ""
    left_out = pd.DataFrame({"cell": mdata.obs_names[out].astype(str), "reason": pd.Categorical(reasons[out])})
    mdata.obs[key_added] = pd.Categorical.from_codes(bulks, bulk_names)
    mdata.uns[key_added] = {**entry, "groups": table, "left_out": left_out}
    logger.info(
        "%d bulks of %d groups; %d bulks dropped, %d of %d cells left out%s",
        len(bulk_names),
        (planned > 0).sum(),
        n_bulks - len(bulk_names),
        len(left_out),
        mdata.n_obs,
        "".join(f"; {reason}: {n}" for reason, n in left_out["reason"].value_counts().items()),
    )
    return result


def _reasons(labels: pd.DataFrame, places: np.ndarray, rows: dict[str, np.ndarray]) -> np.ndarray:
    """Tell for each cell why it can be in no bulk, whatever the others are; "" where it can."""
    reasons = np.full(len(labels), "", dtype=object)
    for column in labels:
        reasons[labels[column].isna()] = f"no {column}"
    reasons[np.isnan(places[:, 0])] = "no embedding"
    measured = np.zeros(len(labels), dtype=bool)
    for of_modality in rows.values():
        measured[of_modality] = True
    reasons[~measured] = f"not measured in {shorten(rows)}"
    return reasons


def _groups(labels: pd.DataFrame, reasons: np.ndarray, condition: str | None) -> tuple[np.ndarray, pd.DataFrame]:
    """Return each cell's group, -1 for none, and the groups: one row each of type and condition, sorted."""
    included = reasons == ""
    if not included.any():
        raise ValueError(
            f"no cell has an embedding and a value of {shorten(labels.columns)}. Fill the columns, or name others."
        )
    if condition is not None and labels.loc[included, condition].nunique() < 2:
        level = labels.loc[included, condition].iloc[0]
        raise ValueError(
            f"`condition` is {condition!r}, which has one level, {level!r}. Give a column of two levels or more, or None."
        )
    grouped = labels[included].groupby(list(labels.columns), sort=True)
    groups = np.full(len(labels), -1, dtype=np.int64)
    groups[included] = grouped.ngroup()
    return groups, grouped.size().reset_index()[list(labels.columns)]


def _summed(adata: AnnData, values: Any, bulks: np.ndarray, bulk_names: Sequence[str]) -> AnnData:
    """Put a modality's sums into an AnnData, log-normalised in ``X``."""
    counts = sum_cells(values, bulks, len(bulk_names))
    result = AnnData(counts.copy(), obs=pd.DataFrame(index=bulk_names), var=adata.var.copy(), layers={"counts": counts})
    totals = np.asarray(counts.sum(axis=1))
    # bulks without any count stay zero; whether they count in scanpy's own median depends on its version
    target_sum = float(np.median(totals[totals > 0])) if totals.any() else 1.0
    with compat.without_warning("Some cells have zero counts"):
        sc.pp.normalize_total(result, target_sum=target_sum)
    result.X = result.X.log1p()
    return result
