"""Pairs of cells across two modalities that lie near each other in the joint embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching, min_weight_full_bipartite_matching

from scminnet._core.arguments import check_choice, check_count
from scminnet._core.embeddings import joint_embeddings
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.logging import logger
from scminnet._core.mdata import check_copyable, check_modalities, check_mudata, check_not_view
from scminnet.graph.neighbors import Neighbors, nearest_neighbors

METHODS = ("mutual", "nearest", "assignment")


def match_cells(
    mdata: MuData,
    source: str,
    target: str,
    *,
    method: str = "mutual",
    n_neighbors: int = 20,
    use_rep: str = EMBEDDING_KEY,
    key_added: str = "match",
    seed: int = 0,
    copy: bool = False,
) -> MuData | None:
    """Pair one modality's cells with another's that lie near them in the joint embedding.

    Parameters
    ----------
    mdata
        MuData whose two modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``, in one space, whatever made it.
    source, target
        The two modalities. They may share cells: a cell that has both may well be matched with itself.
    method
        - ``"mutual"``: every pair of which each cell is among the other's ``n_neighbors`` nearest. 1 gives the strict pairs.
        - ``"nearest"``: each source cell with its ``n_neighbors`` nearest target cells.
        - ``"assignment"``: one to one. The candidates are the pairs of which one cell is among the other's
          ``n_neighbors`` nearest; of all ways to match as many cells as the candidates allow, the one with the smallest sum of
          distances is taken. Cells of which there are more in one modality than in the other stay without a match.
    n_neighbors
        Neighbours looked at in each direction; 20 as in :func:`transfer_labels`. With ``"assignment"`` more neighbours match more cells,
        of types that are rarer in one modality with other types at last; the number of all cells gives the exact optimum over all pairs.
    use_rep
        Key of the embeddings in the modalities' ``obsm``, arrays (cells of the modality, d).
    key_added
        Name of the result.
    seed
        Seed of the neighbour search, which is approximate on large data.
    copy
        Return a changed copy and leave ``mdata`` as it is.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added``:

    ``mdata.uns[key]["matches"]``
        Table with the names of the cells, ``source`` and ``target``, their Euclidean ``distance`` d (float32) and ``score``
        (float32), in the order of the source's cells and the nearest first. The score is ``1 / (1 + (d / scale)²)``, in (0, 1]: 1 for
        cells in one place, 0.5 at the distance ``scale``. Divided by its sum over a source cell's matches it is a weight.
    ``mdata.obsp[key]``
        The scores, CSR float32 (n_obs, n_obs) over all cells of ``mdata``: the row is the source's cell, the column the target's.
    ``mdata.uns[key]``
        Also ``scale``, the median distance of the source's cells to their nearest target cell (those at distance 0 left
        out); ``n_unmatched``, the number of cells without a match in each modality; ``source``, ``target`` and ``params``.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData.
    KeyError
        A modality has no embedding.
    ValueError
        ``mdata`` is a view; a modality is unknown or empty, or both are the same; embeddings are not finite or differ in
        width; ``method`` is none of the three; or ``n_neighbors`` is less than 1 or more than a modality has cells.

    Notes
    -----
    Memory is that of the candidate pairs. 10,000 x 10,000 cells take 3 (``"nearest"``) to 8 s (``"assignment"``) of one core, most of
    it the neighbour search (``benchmarks/speed/matching.py``).

    Examples
    --------
    >>> import scminnet as mn
    >>> model.embed(query)  # doctest: +SKIP
    >>> mn.tl.match_cells(query, "rna", "atac", method="assignment")  # doctest: +SKIP
    >>> query.uns["match"]["matches"].nlargest(5, "score")  # doctest: +SKIP
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_copyable(mdata, copy=copy)
    if source == target:
        raise ValueError(f"`target` is {target!r}, as is `source`. Name two modalities.")
    check_modalities(mdata, [source], "source")
    check_modalities(mdata, [target], "target")
    check_choice(method, METHODS, "method")
    check_count(n_neighbors, "n_neighbors")
    for modality in (source, target):
        n_cells = mdata.mod[modality].n_obs
        if n_neighbors > n_cells:
            raise ValueError(
                f"`n_neighbors` is {n_neighbors}, but modality {modality!r} has {n_cells} cells. Give at most {n_cells}."
            )
    of_source, of_target = joint_embeddings(mdata, [source, target], use_rep)

    forward = nearest_neighbors(of_target, n_neighbors, query=of_source, seed=seed)
    if method == "nearest":
        rows, columns, distances = _edges(forward)
    else:
        backward = nearest_neighbors(of_source, n_neighbors, query=of_target, seed=seed)
        join = _mutual if method == "mutual" else _assignment
        rows, columns, distances = join(forward, backward)
    order = np.lexsort((columns, distances, rows))
    rows, columns, distances = rows[order], columns[order], distances[order]

    apart = forward.distances[:, 0][forward.distances[:, 0] > 0]
    scale = float(np.median(apart)) if len(apart) else 1.0
    # a tiny scale beside a far pair must not make a score of 0, which no sparse matrix would show
    scores = np.maximum(1 / (1 + (distances.astype(np.float64) / scale) ** 2), np.finfo(np.float32).tiny)
    scores = scores.astype(np.float32)
    names = {m: mdata.mod[m].obs_names for m in (source, target)}
    matches = pd.DataFrame(
        {"source": names[source][rows], "target": names[target][columns], "distance": distances, "score": scores}
    )
    places = [mdata.obs_names.get_indexer(matches[side]) for side in ("source", "target")]
    graph = sparse.csr_matrix((scores, places), shape=(mdata.n_obs, mdata.n_obs))
    unmatched = {m: len(names[m]) - len(np.unique(found)) for m, found in ((source, rows), (target, columns))}
    if any(unmatched.values()):
        logger.info("cells without a match: %s", ", ".join(f"{n:,} of {m}" for m, n in unmatched.items()))
    params: dict[str, Any] = {"method": method, "n_neighbors": n_neighbors, "use_rep": use_rep, "seed": seed}

    result = mdata.copy() if copy else mdata
    result.obsp[key_added] = graph
    result.uns[key_added] = {
        "matches": matches,
        "scale": scale,
        "n_unmatched": unmatched,
        "source": source,
        "target": target,
        "params": params,
    }
    return result if copy else None


Edges = tuple[np.ndarray, np.ndarray, np.ndarray]


def _edges(neighbors: Neighbors) -> Edges:
    """List points, their neighbours and the distances."""
    n, k = neighbors.indices.shape
    return np.repeat(np.arange(n), k), neighbors.indices.ravel(), neighbors.distances.ravel()


def _both_ways(forward: Neighbors, backward: Neighbors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the pairs of source and target cells of both directions in one manner; return also the distances of both."""
    rows, columns, distances = _edges(forward)
    columns_back, rows_back, distances_back = _edges(backward)
    n_target = len(backward.indices)
    return rows * n_target + columns, rows_back * n_target + columns_back, np.concatenate([distances, distances_back])


def _mutual(forward: Neighbors, backward: Neighbors) -> Edges:
    """Pairs found in both directions."""
    ahead, back, distances = _both_ways(forward, backward)
    pairs, first, _ = np.intersect1d(ahead, back, assume_unique=True, return_indices=True)
    return *np.divmod(pairs, len(backward.indices)), distances[first]


def _assignment(forward: Neighbors, backward: Neighbors) -> Edges:
    """One-to-one pairs among those found in either direction: as many as there can be, at the smallest sum of distances."""
    ahead, back, distances = _both_ways(forward, backward)
    pairs, first = np.unique(np.concatenate([ahead, back]), return_index=True)
    rows, columns = np.divmod(pairs, len(backward.indices))
    distances = distances[first]
    costs = sparse.csr_matrix(
        # every match costs this much more, which changes nothing among matchings of one size: sparse graphs hold no edge of cost 0
        (distances.astype(np.float64) + max(distances.max(), 1), (rows, columns)),
        shape=(len(forward.indices), len(backward.indices)),
    )
    matched_rows, matched_columns = _largest_matching(costs)
    found = np.searchsorted(pairs, matched_rows * len(backward.indices) + matched_columns)
    return matched_rows, matched_columns, distances[found]


def _largest_matching(costs: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Of the matchings with the most edges, find the one of smallest cost."""
    if costs.shape[0] > costs.shape[1]:
        columns, rows = _largest_matching(costs.T.tocsr())
        return rows, columns
    n_rows, n_columns = costs.shape
    if (maximum_bipartite_matching(costs, perm_type="column") >= 0).all():
        rows, columns = min_weight_full_bipartite_matching(costs)
        return rows.astype(np.int64), columns.astype(np.int64)
    # each row may also stay alone, in a column of its own, at more than all matches together cost: no match is ever given up for a cheaper one
    alone = sparse.identity(n_rows, format="csr") * (n_rows + 1) * costs.max()
    rows, columns = min_weight_full_bipartite_matching(sparse.hstack([costs, alone], format="csr"))
    kept = columns < n_columns
    return rows[kept].astype(np.int64), columns[kept].astype(np.int64)
