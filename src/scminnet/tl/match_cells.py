"""Pairs of cells across two modalities that lie near each other in the joint embedding."""

from __future__ import annotations

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching, min_weight_full_bipartite_matching

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice, check_count
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.logging import logger
from scminnet._core.mdata import check_copyable, check_mudata, check_not_view, copied
from scminnet.graph.neighbors import Neighbors, nearest_neighbors
from scminnet.tl._cells import read_source_and_target

METHODS = ("mutual", "nearest", "assignment")


@check_types
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
        MuData whose two modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``, in one space. Any
        method may have made it.
    source, target
        The two modalities. They may share cells: a cell that has both may be matched with itself.
    method
        - ``"mutual"``: every pair in which each cell is among the other's ``n_neighbors`` nearest. 1 gives the strict
          pairs.
        - ``"nearest"``: each source cell with its ``n_neighbors`` nearest target cells.
        - ``"assignment"``: one to one. The candidates are the pairs in which one cell is among the other's
          ``n_neighbors`` nearest. As many cells are matched as the candidates allow, with the smallest sum of
          distances. Surplus cells of the larger modality stay without a match.
    n_neighbors
        Neighbours searched in each direction; 20 as in :func:`transfer_labels`. With ``"assignment"``, more neighbours
        match more cells, but cells of a type that is rarer in one modality are then matched with other types. The
        number of all cells gives the exact optimum over all pairs.
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
        Table with the names of the cells, ``source`` and ``target``, their Euclidean ``distance`` d (float32) and
        ``score`` (float32). It is sorted by the order of the source's cells, and then by distance. The score is
        ``1 / (1 + (d / scale)²)``, in (0, 1]: 1 at distance 0, and 0.5 at the distance ``scale``. Divided by its sum
        over a source cell's matches, it is a weight.
    ``mdata.obsp[key]``
        The scores, CSR float32 (n_obs, n_obs) over all cells of ``mdata``. Rows are source cells, columns target cells.
    ``mdata.uns[key]``
        Also ``scale``, the median distance of the source's cells to their nearest target cell, without distances of 0.
        ``n_unmatched`` is the number of cells without a match in each modality. ``source``, ``target`` and ``params``
        are those of the call.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData.
    KeyError
        A modality has no embedding.
    ValueError
        ``mdata`` is a view, or its ``obs`` lacks cells of a modality. A modality is unknown or empty, or both are the
        same. Embeddings are not finite or differ in width. ``method`` is none of the three. ``n_neighbors`` is less
        than 1, or more than a modality has cells.

    Notes
    -----
    Memory is that of the candidate pairs. 10,000 x 10,000 cells take 3 (``"nearest"``) to 8 s (``"assignment"``) of one
    core, most of it the neighbour search.

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
    check_choice(method, METHODS, "method")
    check_count(n_neighbors, "n_neighbors")
    cells = read_source_and_target(mdata, source, target, use_rep)
    for modality, names in cells.names_of.items():
        if n_neighbors > len(names):
            raise ValueError(
                f"`n_neighbors` is {n_neighbors}, but modality {modality!r} has {len(names)} cells. "
                f"Give at most {len(names)}."
            )

    (rows, columns, distances), nearest = _pair(
        cells.embedded[source], cells.embedded[target], method, n_neighbors, seed
    )
    scores, scale = _score(distances, nearest)
    matches = pd.DataFrame(
        {
            "source": cells.names_of[source][rows],
            "target": cells.names_of[target][columns],
            "distance": distances,
            "score": scores,
        }
    )
    places = cells.rows[source][rows], cells.rows[target][columns]
    graph = sparse.csr_matrix((scores, places), shape=(len(cells.names), len(cells.names)))
    unmatched = {
        m: len(cells.names_of[m]) - len(np.unique(matched)) for m, matched in ((source, rows), (target, columns))
    }
    if any(unmatched.values()):
        logger.info("cells without a match: %s", ", ".join(f"{n:,} of {m}" for m, n in unmatched.items()))

    result = copied(mdata) if copy else mdata
    result.obsp[key_added] = graph
    result.uns[key_added] = {
        "matches": matches,
        "scale": scale,
        "n_unmatched": unmatched,
        "source": source,
        "target": target,
        "params": {"method": method, "n_neighbors": n_neighbors, "use_rep": use_rep, "seed": seed},
    }
    return result if copy else None


#: Rows (source cells), columns (target cells) and distances of pairs.
Edges = tuple[np.ndarray, np.ndarray, np.ndarray]


def _pair(source: np.ndarray, target: np.ndarray, method: str, n_neighbors: int, seed: int) -> tuple[Edges, np.ndarray]:
    """Pair the cells, sorted by source cell and distance; return also each source cell's nearest distance."""
    forward = nearest_neighbors(target, n_neighbors, query=source, seed=seed)
    if method == "nearest":
        rows, columns, distances = _edges(forward)
    else:
        backward = nearest_neighbors(source, n_neighbors, query=target, seed=seed)
        join = _mutual if method == "mutual" else _assignment
        rows, columns, distances = join(forward, backward)
    order = np.lexsort((columns, distances, rows))
    return (rows[order], columns[order], distances[order]), forward.distances[:, 0]


def _score(distances: np.ndarray, nearest: np.ndarray) -> tuple[np.ndarray, float]:
    """Score pairs by their distance, float32 in (0, 1]; return also the distance that scores 0.5."""
    apart = nearest[nearest > 0]
    scale = float(np.median(apart)) if len(apart) else 1.0
    # never 0, which no sparse matrix would show: a far pair beside a tiny scale
    scores = np.maximum(1 / (1 + (distances.astype(np.float64) / scale) ** 2), np.finfo(np.float32).tiny)
    return scores.astype(np.float32), scale


def _edges(neighbors: Neighbors) -> Edges:
    """List points, their neighbours and the distances."""
    n, k = neighbors.indices.shape
    return np.repeat(np.arange(n), k), neighbors.indices.ravel(), neighbors.distances.ravel()


def _both_ways(forward: Neighbors, backward: Neighbors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the pairs of both directions by source and target cell; return also the distances of all."""
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
    """One-to-one pairs among those found in either direction: the most, with the smallest sum of distances."""
    ahead, back, distances = _both_ways(forward, backward)
    pairs, first = np.unique(np.concatenate([ahead, back]), return_index=True)
    rows, columns = np.divmod(pairs, len(backward.indices))
    distances = distances[first]
    costs = sparse.csr_matrix(
        # sparse graphs hold no edge of cost 0; as much more for every match changes nothing among matchings of one size
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
    # each row may stay alone in a column of its own, which costs more than all matches together: no match is given up
    alone = sparse.identity(n_rows, format="csr") * (n_rows + 1) * costs.max()
    rows, columns = min_weight_full_bipartite_matching(sparse.hstack([costs, alone], format="csr"))
    kept = columns < n_columns
    return rows[kept].astype(np.int64), columns[kept].astype(np.int64)
