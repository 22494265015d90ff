"""Label transfer: one modality's cells are labelled by their neighbours of another in the joint embedding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count, check_fraction
from scminnet._core.keys import EMBEDDING_KEY, TRANSFERRED_KEY, UNASSIGNED
from scminnet._core.logging import logger
from scminnet._core.mdata import check_copyable, check_mudata, check_not_view, copied
from scminnet._core.params import recorded
from scminnet.graph.neighbors import nearest_neighbors
from scminnet.graph.reach import gap
from scminnet.graph.vote import vote
from scminnet.tl._cells import read_source_and_target


@check_types
def transfer_labels(
    mdata: MuData,
    source: str,
    target: str,
    labels_key: str,
    *,
    unlabeled_category: str | Sequence[str] | None = None,
    use_rep: str = EMBEDDING_KEY,
    n_neighbors: int = 20,
    quantile: float = 0.95,
    unassigned: str | None = UNASSIGNED,
    key_added: str = TRANSFERRED_KEY,
    seed: int = 0,
    copy: bool = False,
) -> MuData | None:
    """Label one modality's cells by a vote of their nearest neighbours among another modality's cells.

    Each of the nearest labelled source cells votes with a weight of 1 / Euclidean distance, as in
    :func:`~scminnet.metrics.label_transfer_accuracy`. A target cell stays unassigned in two cases: if the mean distance
    to its neighbours is larger, or their agreement is lower, than for nearly all (``quantile``) of the source's own
    labelled cells among themselves. Both limits are needed. A cell type that the source lacks may lie far from all
    types but nearest to one, whose vote is then unanimous. Or it may lie between several types, at a usual distance.

    Target cells may lie farther from the source's cells than those from each other, because the modalities differ. The
    limit of the distance is larger by this factor, which compares the nearest quarters of the cells.

    The default leaves out few cells of known types: at most 5 % are unassigned though their vote was right (page
    Benchmarks). Distinct unseen types stay unassigned more often than close relatives of a known type. Lower
    ``quantile`` to find more unseen cells. Raise it to lose fewer known ones.

    Use :meth:`scminnet.MinNet.predict` instead if the model was trained with these labels on a paired reference that
    has all types of the target. It names every cell, and is right more often. This function is for embeddings of any
    kind, for training without pairs, for labels that came after the training, and where the target may have types that
    the source lacks.

    Parameters
    ----------
    mdata
        MuData whose two modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``, in one space. Any
        method may have made it.
    source
        Modality with labelled cells.
    target
        Modality whose cells are to be labelled, whether or not they have labels already.
    labels_key
        Column of the labels, in ``mdata.obs`` or in the source's ``obs``. Source cells without one have no vote.
    unlabeled_category
        Category of cells without a label, or several, e.g. ``"nan"`` or ``["Unknown", "nan"]``. Missing values have
        none either.
    use_rep
        Key of the embeddings in the modalities' ``obsm``, arrays (cells of the modality, d).
    n_neighbors
        Neighbours that vote; 20, as many as in the paper's smoothing graph.
    quantile
        Share of the source's own cells within each of the two limits. If it is lower, more cells of unseen types are
        found, and more cells of known types are lost.
    unassigned
        What cells beyond a limit are called. ``None``: there is no limit, and every cell gets a label.
    key_added
        Name of the result.
    seed
        Seed of the neighbour search, which is approximate on large data.
    copy
        Return a changed copy and leave ``mdata`` as it is.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added``:

    ``mdata[target].obs[key]``
        The labels, categorical. The categories are the source's labels as text, sorted, and ``unassigned`` last.
    ``mdata[target].obs["{key}_confidence"]``
        The winner's share of the vote, float32 in (0, 1], also of unassigned cells.
    ``mdata[target].obs["{key}_distance"]``
        Mean distance to the neighbours that voted, float32, in units of the embedding.
    ``mdata.uns[key]``
        ``source``, ``target`` and ``params``. Unless ``unassigned=None``, also the limits of confidence and distance,
        ``min_confidence`` and ``max_distance``, and ``gap``, the factor by which target cells lie farther.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData.
    KeyError
        The column or an embedding is missing.
    ValueError
        ``mdata`` is a view. A modality is unknown or empty, or both are the same. Embeddings are not finite or differ
        in width. There are not more labelled source cells than ``n_neighbors``. Tables with the labels disagree on a
        cell, or the labels are continuous. A parameter is out of its range. ``unassigned`` is a label. A column to be
        written is that of the labels.

    Warns
    -----
    UserWarning
        A label looks like a missing value, such as ``"nan"``.
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_copyable(mdata, copy=copy)
    check_count(n_neighbors, "n_neighbors")
    check_fraction(quantile, "quantile", upper_open=False)
    label, confidence, distance = columns = (key_added, f"{key_added}_confidence", f"{key_added}_distance")
    if labels_key in columns:
        raise ValueError(
            f"`key_added` is {key_added!r}, so that column {labels_key!r}, the `labels_key`, would be written over. "
            "Give another name."
        )
    cells = read_source_and_target(
        mdata, source, target, use_rep, labels_key=labels_key, unlabeled_category=unlabeled_category
    )
    labels = cells.labels[labels_key].iloc[cells.rows[source]].to_numpy()
    labelled = pd.notna(labels)
    if labelled.sum() <= n_neighbors:
        raise ValueError(
            f"`n_neighbors` is {n_neighbors}, but `labels_key`={labels_key!r} labels only {int(labelled.sum())} cells "
            f"of modality {source!r}. Give fewer neighbours or more labels."
        )
    codes, types = pd.factorize(labels[labelled], sort=True)
    if unassigned in types:
        raise ValueError(f"`unassigned` is {unassigned!r}, which is a label of `labels_key`. Give another name.")

    points = cells.embedded[source][labelled]
    shares, distances, winners = _elect(points, codes, len(types), n_neighbors, seed, query=cells.embedded[target])
    names, categories, limits = types[winners], list(types), {}
    if unassigned is not None:
        own_shares, own_distances, _ = _elect(points, codes, len(types), n_neighbors, seed)
        farther = gap(own_distances, distances)
        limits = {
            "max_distance": farther * float(np.quantile(own_distances, quantile)),
            "min_confidence": float(np.quantile(own_shares, 1 - quantile)),
            "gap": farther,
        }
        beyond = (distances > limits["max_distance"]) | (shares < limits["min_confidence"])
        _say_unassigned(beyond, target, unassigned)
        names = np.where(beyond, unassigned, names)
        categories.append(unassigned)

    params = {
        "labels_key": labels_key,
        "unlabeled_category": unlabeled_category,
        "use_rep": use_rep,
        "n_neighbors": n_neighbors,
        "quantile": quantile,
        "unassigned": unassigned,
        "seed": seed,
    }
    result = copied(mdata) if copy else mdata
    obs = result.mod[target].obs
    obs[label] = pd.Categorical(names, categories=categories)
    obs[confidence] = shares
    obs[distance] = distances
    result.uns[key_added] = {"source": source, "target": target, **limits, "params": recorded(params)}
    return result if copy else None


def _say_unassigned(beyond: np.ndarray, target: str, unassigned: str) -> None:
    """Say how many cells have no label, and how to name more."""
    n = int(beyond.sum())
    if n:
        logger.info(
            "%s of %s cells of %r (%.0f %%) are %r. Raise `quantile` to name more of them, or give `unassigned=None` "
            "to name all. If a paired reference has all their cell types, `model.predict` is the better choice.",
            f"{n:,}",
            f"{len(beyond):,}",
            target,
            100 * n / len(beyond),
            unassigned,
        )


def _elect(
    points: np.ndarray, codes: np.ndarray, n_types: int, n_neighbors: int, seed: int, query: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let the nearest labelled points vote on each cell of ``query``, or on each other.

    Returns
    -------
    The winner's share of the vote, the mean distance to the voters, and the winner, each an array (cells,).
    """
    neighbors = nearest_neighbors(points, n_neighbors, query=query, seed=seed)
    elected = vote(codes, neighbors, n_types)
    return elected.shares, neighbors.distances.mean(axis=1), elected.winners
