"""Distances of the pairs of cells that the contrastive loss pulls together and pushes apart."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count
from scminnet._core.embeddings import embedded_modalities, joint_embeddings
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.mdata import check_modalities, check_mudata
from scminnet._core.obs import label_column, obs_column
from scminnet._core.obs_text import unlabeled_names, without
from scminnet.pl import _colors, _style

#: Kinds of pairs and their colours.
KINDS = {
    "same cell": _colors.COLOUR_BLIND_SAFE[0],
    "other cell": _colors.COLOUR_BLIND_SAFE[1],
    "other cell, same type": _colors.COLOUR_BLIND_SAFE[1],
    "other cell, other type": _colors.COLOUR_BLIND_SAFE[3],
}

N_BINS = 60


def distances_of_pairs(
    mdata: MuData,
    first: str,
    second: str,
    *,
    labels_key: str | None = None,
    unlabeled_category: str | Sequence[str] | None = None,
    use_rep: str = EMBEDDING_KEY,
    n_negatives: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure positive and negative pairs between two modalities; arguments as in :func:`pair_distances`.

    Returns
    -------
    One row a pair: ``kind`` (one of ``KINDS``) and ``distance`` (Euclidean).

    Raises
    ------
    KeyError, ValueError
        As in :func:`pair_distances`.
    """
    shared = mdata.mod[first].obs_names.intersection(mdata.mod[second].obs_names, sort=False)
    if len(shared) < 2:
        raise ValueError(
            f"`modalities`: {first!r} and {second!r} have {len(shared)} cells in common, so there are no pairs. "
            "Give data in which cells have both modalities."
        )
    x, y = (
        values[mdata.mod[m].obs_names.get_indexer(shared)]
        for m, values in zip((first, second), joint_embeddings(mdata, [first, second], use_rep), strict=True)
    )
    n = len(shared)
    # any other cell, each as likely
    steps = np.random.default_rng(seed).integers(1, n, size=(n_negatives, n))
    others = (np.arange(n) + steps) % n
    kind = np.full(others.shape, "other cell", dtype=object)
    if labels_key is not None:
        labels = without(
            obs_column(mdata, labels_key, [first, second], "labels_key", labels=True),
            unlabeled_names(unlabeled_category),
        ).loc[shared]
        codes = pd.factorize(labels)[0]
        same = codes[others] == codes
        kind = np.where(same, "other cell, same type", "other cell, other type").astype(object)
        kind[(codes[others] < 0) | (codes < 0)] = None
    return pd.concat(
        [
            pd.DataFrame({"kind": "same cell", "distance": np.linalg.norm(x - y, axis=1)}),
            pd.DataFrame({"kind": kind.ravel(), "distance": np.linalg.norm(x - y[others], axis=2).ravel()}),
        ],
        ignore_index=True,
    ).dropna(subset="kind")


@check_types
def pair_distances(
    mdata: MuData,
    modalities: Sequence[str] | None = None,
    *,
    labels_key: str | None = None,
    unlabeled_category: str | Sequence[str] | None = None,
    use_rep: str = EMBEDDING_KEY,
    n_negatives: int = 3,
    seed: int = 0,
    ax: Axes | Iterable[Axes] | None = None,
    show: bool = False,
    save: str | os.PathLike[str] | None = None,
) -> Axes | np.ndarray:
    """Show the distances of positive and negative pairs in the embedding.

    A positive pair is one cell by two modalities. A negative pair is one cell by one modality and another cell by the
    other. Medians are dashed, and given in the legend.

    Parameters
    ----------
    mdata
        MuData whose modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``. Some cells must have
        both modalities.
    modalities
        Two modalities, or more, of which every two have a panel. ``None``: all that have the embedding.
    labels_key
        Column of ``obs`` with the cell types. Negative pairs are then split by whether both cells are of one type.
        Pairs with an unlabelled cell are left out.
    unlabeled_category
        Category of cells without a label, or several, e.g. ``"nan"`` or ``["Unknown", "nan"]``. Missing values have
        none either.
    use_rep
        Key of the embeddings.
    n_negatives
        Negative pairs drawn for each positive one; 3, as the paper trains.
    seed
        Seed of the negative pairs.
    ax
        Axes to draw on, one a pair of modalities; by default those of a new figure.
    show
        Show the figure now. A notebook shows it anyway.
    save
        Path to write the figure to, in the format that its ending names.

    Returns
    -------
    The Axes if there are two modalities, else an object array of them.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, or ``ax`` holds something else than Axes.
    KeyError
        The column or an embedding is missing.
    ValueError
        There are less than two modalities, one is named twice, unknown or empty, or two share less than two cells.
        Embeddings are not finite or differ in width. ``n_negatives`` is no whole number above 0. ``ax`` does not hold
        one Axes a panel. ``save`` is no path of a figure.
    """
    check_mudata(mdata)
    modalities = embedded_modalities(mdata, use_rep) if modalities is None else modalities
    check_modalities(mdata, modalities)
    if len(modalities) < 2 or len(set(modalities)) < len(modalities):
        raise ValueError(f"`modalities` is {list(modalities)!r}. Name two or more, each once.")
    check_count(n_negatives, "n_negatives")
    panels = {f"{first} and {second}": (first, second) for first, second in combinations(modalities, 2)}
    _style.check_axes(ax, list(panels))
    _style.check_save(save)
    arguments: dict[str, Any] = {
        "labels_key": labels_key,
        "unlabeled_category": unlabeled_category,
        "use_rep": use_rep,
        "n_negatives": n_negatives,
        "seed": seed,
    }
    if labels_key is not None:
        # once for all panels
        label_column(mdata, labels_key, modalities, "labels_key", unlabeled_category)
    tables = {title: distances_of_pairs(mdata, *pair, **arguments) for title, pair in panels.items()}

    n_columns = 1 if len(panels) == 1 else 2
    axes = _style.axes_for(ax, len(panels), size=(_style.COLUMN, 2.5), n_columns=n_columns)
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        bins = np.linspace(0, max(table["distance"].max(), np.finfo(np.float32).tiny), N_BINS + 1)
        entries = {}
        for kind, colour in KINDS.items():
            distances = table.loc[table["kind"] == kind, "distance"].to_numpy()
            if not len(distances):
                continue
            median = np.median(distances)
            axis.hist(distances, bins, density=True, histtype="stepfilled", alpha=0.35, color=colour)
            axis.hist(distances, bins, density=True, histtype="step", linewidth=1, color=colour)
            axis.axvline(median, color=colour, linestyle="--", linewidth=1)
            entries[f"{kind} ({median:.2g})"] = {"color": colour, "marker": "s"}
        _style.dress(axis, title=title, xlabel="distance in the embedding", ylabel="density of pairs")
        axis.set_xlim(0, bins[-1])
        _style.legend_below(axis, entries, beneath=0.4, title="pairs (median)")
    _style.finish(axes[0], save, show=show)
    return axes[0] if len(panels) == 1 else axes
