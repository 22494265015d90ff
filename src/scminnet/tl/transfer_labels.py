"""Labels carried from one modality's cells to another's by their neighbours in the joint embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import check_count, check_fraction
from scminnet._core.embeddings import joint_embeddings
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.mdata import check_copyable, check_modalities, check_mudata, check_not_view
from scminnet._core.obs import obs_column
from scminnet.graph.neighbors import nearest_neighbors
from scminnet.graph.vote import vote


def transfer_labels(
    mdata: MuData,
    source: str,
    target: str,
    labels_key: str,
    *,
    use_rep: str = EMBEDDING_KEY,
    n_neighbors: int = 20,
    quantile: float = 0.95,
    unassigned: str | None = "unassigned",
    key_added: str = "transferred_label",
    seed: int = 0,
    copy: bool = False,
) -> MuData | None:
    """Label one modality's cells by a vote of their nearest neighbours among another modality's cells.

    Each of the nearest labelled source cells votes with a weight of 1 / Euclidean distance, as in
    :func:`~scminnet.metrics.label_transfer_accuracy`. A target cell stays unassigned when its neighbours
    are farther, in the mean, than those of nearly all (``quantile``) of the source's own labelled cells among themselves, or agree
    less. Both count: a type that the source lacks may lie far off but nearest one type, whose vote is then unanimous; or
    amid several types, where no distance tells it.

    How well this works depends on the type and on how well the embedding tells types apart: kinds of their own mostly stay unassigned,
    close relatives of a known type may hardly. Known types lose cells, too: ``1 - quantile`` for each limit where target cells lie as
    close to the source's as those do among themselves, and more where the target's modality is noisier.
    Lower ``quantile`` to find more unseen cells, and raise it to lose fewer known ones. ``benchmarks/accuracy/unseen_types.py``
    measures both on real data.

    Parameters
    ----------
    mdata
        MuData whose two modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``, in one space, whatever made it.
    source
        Modality whose cells have labels.
    target
        Modality whose cells get labels: all of them, labelled before or not.
    labels_key
        Column of the labels, in ``mdata.obs`` or in the source's ``obs``. Source cells without one (missing value) have no vote.
    use_rep
        Key of the embeddings in the modalities' ``obsm``, arrays (cells of the modality, d).
    n_neighbors
        Neighbours that vote; 20, as many as make the paper's smoothing graph.
    quantile
        Share of the source's own cells within each of the two limits. Lower: more cells of unseen types are found, and more cells
        of known types lost.
    unassigned
        What cells beyond a limit are called. ``None``: there is no limit, every cell gets a label.
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
        The labels, categorical; the categories are the source's labels as text, sorted, and ``unassigned`` last.
    ``mdata[target].obs["{key}_confidence"]``
        The winner's share of the vote, float32 in (0, 1], also of unassigned cells.
    ``mdata[target].obs["{key}_distance"]``
        Mean distance to the neighbours that voted, float32, in units of the embedding.
    ``mdata.uns[key]``
        ``source``, ``target`` and ``params``; unless ``unassigned=None``, also the limits of these two: ``max_distance`` and
        ``min_confidence``.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData.
    KeyError
        The column or an embedding is missing.
    ValueError
        ``mdata`` is a view; a modality is unknown or empty, or both are the same; embeddings are not finite or differ in
        width; there are not more labelled source cells than ``n_neighbors``; places of the labels disagree; a parameter is out of
        its range; ``unassigned`` is a label; or a column to be written is that of the labels.
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_copyable(mdata, copy=copy)
    if source == target:
        raise ValueError(f"`target` is {target!r}, as is `source`. Name two modalities.")
    check_modalities(mdata, [source], "source")
    check_modalities(mdata, [target], "target")
    check_count(n_neighbors, "n_neighbors")
    check_fraction(quantile, "quantile", upper_open=False)
    columns = (key_added, f"{key_added}_confidence", f"{key_added}_distance")
    if labels_key in columns:
        raise ValueError(
            f"`key_added` is {key_added!r}, so that column {labels_key!r}, the `labels_key`, would be written over. Give another name."
        )
    labels = obs_column(mdata, labels_key, [source], "labels_key").map(str, na_action="ignore")
    labels = labels.loc[mdata.mod[source].obs_names]
    labelled = labels.notna().to_numpy()
    if labelled.sum() <= n_neighbors:
        raise ValueError(
            f"`n_neighbors` is {n_neighbors}, but `labels_key`={labels_key!r} labels only {int(labelled.sum())} cells of modality "
            f"{source!r}. Give fewer neighbours or more labels."
        )
    codes, types = pd.factorize(labels[labelled].to_numpy(), sort=True)
    if unassigned in types:
        raise ValueError(f"`unassigned` is {unassigned!r}, which is a label of `labels_key`. Give another word.")
    points, query = joint_embeddings(mdata, [source, target], use_rep)
    points = points[labelled]

    neighbors = nearest_neighbors(points, n_neighbors, query=query, seed=seed)
    elected = vote(codes, neighbors, len(types))
    far = neighbors.distances.mean(axis=1)
    names = types[elected.winners]
    categories = list(types)
    entry: dict[str, Any] = {"source": source, "target": target}
    if unassigned is not None:
        own = nearest_neighbors(points, n_neighbors, seed=seed)
        max_distance = float(np.quantile(own.distances.mean(axis=1), quantile))
        min_confidence = float(np.quantile(vote(codes, own, len(types)).shares, 1 - quantile))
        beyond = (far > max_distance) | (elected.shares < min_confidence)
        names = np.where(beyond, unassigned, names)
        entry |= {"max_distance": max_distance, "min_confidence": min_confidence}
        categories.append(unassigned)
    params = {
        "labels_key": labels_key,
        "use_rep": use_rep,
        "n_neighbors": n_neighbors,
        "quantile": quantile,
        "unassigned": unassigned,
        "seed": seed,
    }
    # h5mu files hold no None
    entry["params"] = {name: value for name, value in params.items() if value is not None}

    result = mdata.copy() if copy else mdata
    obs = result.mod[target].obs
    label, confidence, distance = columns
    obs[label] = pd.Categorical(names, categories=categories)
    obs[confidence] = elected.shares
    obs[distance] = far
    result.uns[key_added] = entry
    return result if copy else None
