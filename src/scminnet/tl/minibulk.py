"""Mini-bulks: sums over a few near cells of one type, of all modalities alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scminnet._core import compat
from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count, shorten
from scminnet._core.colors import keep_colors, known_colors
from scminnet._core.keys import EMBEDDING_KEY, MINIBULK_KEY, UNASSIGNED
from scminnet._core.logging import logger
from scminnet._core.mdata import check_mudata, check_not_view
from scminnet._core.params import recorded
from scminnet._core.values import warn_unless_counts
from scminnet.tl._bulks import Parts, at_least, cut, parts, plan, sum_cells
from scminnet.tl._cells import Cells, Measured, read_cells, types_and_conditions, used_modalities
from scminnet.tl._smoothed import smoothed_modalities

#: More reasons than these are not listed in the message.
MAX_REASONS = 5


@check_types
def minibulk(
    mdata: MuData,
    n_bulks: int = 100,
    *,
    groupby: str | Mapping[str, str] | None,
    unlabeled_category: str | Sequence[str] | None = None,
    condition: str | None = None,
    modalities: Sequence[str] | None = None,
    layer: str | Mapping[str, str | None] | None = None,
    use_rep: str = EMBEDDING_KEY,
    min_cells: int = 1,
    key_added: str = MINIBULK_KEY,
    seed: int = 0,
) -> MuData:
    """Sum counts over small groups of near cells, so that modalities measured in different cells become paired.

    Cells are grouped by type, and by condition if one is given. The cells of a group, of all modalities together, are
    ordered by Ward's clustering of their embedding. Each ordered group is cut into bulks of equal size, up to one cell.
    Every group has one bulk. Each further bulk goes to the group whose bulks are largest. A group never has more bulks
    than it could give ``min_cells`` cells of every modality.

    A cell measured in several modalities has the same name in each, and is in one bulk with all of them. Its position
    is the mean of its embeddings. A modality without an embedding takes the positions of its cells from the other
    modalities. Such modalities are used only if ``modalities`` names them. Examples are peaks, where gene activity was
    embedded, and modalities imputed by :func:`minnet_smooth`.

    Groups of up to 4,096 cells are ordered by one Ward tree, which takes 134 MB. Larger groups are first clustered by
    k-means, see :func:`scminnet.graph.ward.ward_order`.

    Parameters
    ----------
    mdata
        MuData with embeddings in one space in its modalities' ``obsm``. Any method may have made them.
    n_bulks
        Number of bulks, at least the number of groups; 100 in the paper.
    groupby
        Column of the cell types, in ``mdata.obs`` or the ``obs`` of modalities. Or one column for each modality, e.g.
        ``{"rna": "cell_type", "atac": "transferred_label"}`` after :func:`transfer_labels`. ``None``: all cells are of
        one type.
    unlabeled_category
        Category of cells without a label, or several, e.g. ``"nan"`` or ``["Unknown", "nan"]``. Missing values have
        none either.
    condition
        Column of a condition with two levels or more, in the same tables. A bulk has cells of one level only.
    modalities
        Modalities to sum. ``None``: all that have the embedding.
    layer
        Layer of raw or smoothed counts, for all modalities or each its own. ``None``: ``X``. Values on disk and dask
        arrays are summed by blocks.
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
    MuData of bulks ``bulk_0``, ``bulk_1``, ..., the same in each modality. They are sorted by type and condition, and
    then by their order within the group.

    ``obs``
        The type, in a column named as ``groupby`` (``"group"`` for a mapping or ``None``), and the condition, both
        categorical. ``n_cells_{m}`` is the number of the bulk's cells of each modality.
    ``[m].layers["counts"]``
        Sums of the modality's values, CSR, float32.
    ``[m].X``
        The same, scaled to the bulks' median total, log(1 + x). Where a modality has negative values, such as
        DSB-normalised proteins, the mean over the bulk's cells instead.
    ``[m].var``
        As in ``mdata``.
    ``uns["minibulk"]``
        ``modalities`` and ``params``, and ``smoothed``: the modalities whose values :func:`minnet_smooth` wrote.

    Written into ``mdata``, for ``key = key_added``:

    ``mdata.obs[key]``
        Each cell's bulk, categorical; missing for cells left out.
    ``mdata.uns[key]``
        ``modalities``, ``smoothed`` and ``params``. ``groups`` is a table of type and condition, cells of each
        modality, number of bulks ``n_bulks``, and how many of these were dropped, ``n_dropped``. ``left_out`` is a
        table of the cells left out, ``cell`` and ``reason``. A cell is left out if it was measured in none of the
        modalities, or has no embedding, type or condition. It is also left out if its group or its bulk has fewer than
        ``min_cells`` cells of some modality. Such bulks are dropped.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData. Values are not numeric, or stored by columns on disk.
    KeyError
        No modality has the embedding, or a column is nowhere.
    ValueError
        ``mdata`` is a view, or its ``obs`` lacks cells of a modality. A modality is unknown or empty, lacks the layer,
        or has no cell with an embedding. Embeddings or values are not finite or too large. Tables with a column
        disagree on a cell, or it is continuous. No cell has a type. ``condition`` has fewer than two levels. A
        parameter is out of its range. There are fewer bulks than groups, or more than the groups allow. No group, or no
        bulk, has ``min_cells`` cells of every modality.

    Warns
    -----
    UserWarning
        The values are no whole numbers, or negative, so they do not look like counts. A type looks like a missing
        value, such as ``"nan"``.

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
    names = used_modalities(mdata, modalities, use_rep)
    labels = types_and_conditions(mdata, groupby, condition, names, unlabeled_category)
    if key_added in labels.columns:
        raise ValueError(
            f"`key_added` is {key_added!r}, as is a column of groups. Give a name that leaves it as it is."
        )
    cells = read_cells(mdata, names, use_rep, layer=layer, labels=labels)
    colors = {column: known_colors(mdata, column) for column in labels.columns}
    groups, kinds = _group(cells, condition, min_cells)
    planned = plan(groups, n_bulks, min_cells)
    found = cells.check_values()
    warn_unless_counts(found, "`minibulk`", "X of their bulks is the mean over the cells")

    bulks = _cut(cells, groups, planned, min_cells, seed)
    kept, group_of = bulks.have(min_cells), np.repeat(np.arange(len(kinds)), planned)
    bulk_of, obs = _describe(cells, bulks, kept, kinds.iloc[group_of])
    table = _count_groups(kinds, cells.modalities, groups, planned, group_of[~kept])
    signed = {modality for modality, values in found.items() if values.n_negative}
    result = _sum(cells, bulk_of, obs, signed)

    params = {
        "n_bulks": n_bulks,
        "groupby": groupby,
        "unlabeled_category": unlabeled_category,
        "condition": condition,
        "layer": cells.layers or None,
        "use_rep": use_rep,
        "min_cells": min_cells,
        "seed": seed,
    }
    smoothed = smoothed_modalities(mdata, {m: cells.layers.get(m) for m in cells.modalities})
    entry = {"modalities": cells.modalities, "smoothed": smoothed, "params": recorded(params)}
    out = bulks.reasons != ""
    of_reason = pd.Series(bulks.reasons[out]).value_counts()
    left_out = pd.DataFrame({"cell": cells.names[out].astype(str), "reason": pd.Categorical(bulks.reasons[out])})
    result.uns[MINIBULK_KEY] = deepcopy(entry)
    for column, known in colors.items():
        # figures of the bulks then have the colours of the cells' types
        keep_colors(result, column, known)
    mdata.obs[key_added] = pd.Categorical.from_codes(bulk_of, list(obs.index))
    mdata.uns[key_added] = {**entry, "groups": table, "left_out": left_out}
    logger.info(
        "%d bulks of %d groups; %d bulks dropped, %d of %d cells left out%s%s",
        len(obs),
        (planned > 0).sum(),
        n_bulks - len(obs),
        len(left_out),
        len(cells.names),
        "".join(f"; {reason}: {n}" for reason, n in of_reason.head(MAX_REASONS).items()),
        f"; uns[{key_added!r}]['left_out'] has {len(of_reason) - MAX_REASONS} more reasons"
        if len(of_reason) > MAX_REASONS
        else "",
    )
    without_label = labels.eq(UNASSIGNED).any(axis=1).to_numpy() & out
    if without_label.any():
        logger.info(
            "%d of these cells are %r: `transfer_labels` gave them no cell type. Raise its `quantile`, give it "
            "`unassigned=None`, or use `model.predict`, to have them in bulks.",
            without_label.sum(),
            UNASSIGNED,
        )
    return result


def _group(cells: Cells, condition: str | None, min_cells: int) -> tuple[Parts, pd.DataFrame]:
    """Group the cells by their labels; return also the labels of each group, sorted."""
    columns = list(cells.labels.columns)
    reasons = _reasons(cells)
    included = reasons == ""
    if not included.any():
        raise ValueError(
            f"no cell has an embedding and a value of {shorten(columns)}. Fill the columns, or name others."
        )
    labels = cells.labels[included]
    if condition is not None and labels[condition].nunique() < 2:
        raise ValueError(
            f"`condition` is {condition!r}, which has one level, {labels[condition].iloc[0]!r}. "
            "Give a column of two levels or more, or None."
        )
    grouped = labels.groupby(columns, sort=True)
    group_of = np.full(len(included), -1, dtype=np.int64)
    group_of[included] = grouped.ngroup()
    table = grouped.size().reset_index()[columns]
    names = [shorten(map(str, row)) for row in table.itertuples(index=False)]
    return parts(group_of, names, cells.rows, reasons, min_cells), table


def _reasons(cells: Cells) -> np.ndarray:
    """Say for each cell why it can be in no bulk; "" where it can."""
    reasons = np.full(len(cells.names), "", dtype=object)
    for column in cells.labels:
        reasons[cells.labels[column].isna()] = f"no {column}"
    reasons[~cells.has_point] = "no embedding"
    measured = np.zeros(len(cells.names), dtype=bool)
    for rows in cells.rows.values():
        measured[rows] = True
    reasons[~measured] = f"not measured in {shorten(cells.modalities)}"
    return reasons


def _cut(cells: Cells, groups: Parts, planned: np.ndarray, min_cells: int, seed: int) -> Parts:
    """Cut the groups into the planned bulks, raising when none has enough cells of every modality."""
    bulk_of = cut(cells.points, groups.of, planned, seed)
    bulks = parts(bulk_of, ["its bulk"] * planned.sum(), cells.rows, groups.reasons, min_cells)
    if not bulks.have(min_cells).any():
        raise ValueError(
            f"`n_bulks` is {planned.sum()}, but no bulk has {at_least(min_cells)} of each of "
            f"{shorten(cells.modalities)}. Give fewer bulks, or an embedding in which the modalities mix."
        )
    return bulks


def _count_groups(
    kinds: pd.DataFrame, modalities: Sequence[str], groups: Parts, planned: np.ndarray, dropped: np.ndarray
) -> pd.DataFrame:
    """Tabulate the groups: their types, cells, and bulks; ``dropped`` holds the group of each bulk dropped."""
    counts = {f"n_cells_{m}": groups.n_cells[:, i] for i, m in enumerate(modalities)}
    return kinds.assign(**counts, n_bulks=planned, n_dropped=np.bincount(dropped, minlength=len(kinds)))


def _describe(cells: Cells, bulks: Parts, kept: np.ndarray, kinds: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Number the bulks kept without a gap; return each cell's, -1 for none, and the bulks' table."""
    bulk_of = np.where(bulks.of >= 0, (np.cumsum(kept) - 1)[bulks.of], -1)
    names = [f"bulk_{i}" for i in range(kept.sum())]
    obs = kinds[kept].set_axis(names).astype("category")
    counts = {f"n_cells_{m}": bulks.n_cells[kept, i] for i, m in enumerate(cells.modalities)}
    return bulk_of, obs.assign(**counts)


def _sum(cells: Cells, bulk_of: np.ndarray, obs: pd.DataFrame, signed: Collection[str]) -> MuData:
    """Sum each modality's values over the bulks. Those in ``signed`` have negative values."""
    # modalities may share names of features, as genes and their activity do
    with compat.mudata_0_4_behaviour():
        result = MuData(
            {
                m: _sum_modality(cells.measured[m], bulk_of[cells.rows[m]], obs.index, signed=m in signed)
                for m in cells.modalities
            }
        )
    result.obs = obs
    return result


def _sum_modality(measured: Measured, bulk_of: np.ndarray, names: pd.Index, *, signed: bool) -> AnnData:
    """Put a modality's sums into an AnnData, in ``X`` log-normalised, or averaged if values are negative."""
    counts = sum_cells(measured.matrix, bulk_of, len(names))
    result = AnnData(counts.copy(), obs=pd.DataFrame(index=names), var=measured.var.copy(), layers={"counts": counts})
    if signed:
        n_cells = np.bincount(bulk_of[bulk_of >= 0], minlength=len(names))
        result.X = sparse.csr_matrix(sparse.diags(1 / np.maximum(n_cells, 1)) @ counts, dtype=np.float32)
        return result
    totals = np.asarray(counts.sum(axis=1))
    # bulks without counts stay zero; whether scanpy's own median includes them depends on its version
    target_sum = float(np.median(totals[totals > 0])) if totals.any() else 1.0
    with compat.without_warning("Some cells have zero counts"):
        sc.pp.normalize_total(result, target_sum=target_sum)
    result.X = result.X.log1p()
    return result
