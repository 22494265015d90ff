"""Label transfer: how often a cell gets its true label from its neighbours in the other modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scminnet._core.argument_types import check_types
from scminnet._core.embeddings import check_embedding
from scminnet._core.obs_text import as_text
from scminnet.graph.neighbors import nearest_neighbors
from scminnet.graph.vote import vote
from scminnet.metrics._checks import NotDefinedError, check_counts, check_labels


@dataclass(frozen=True)
class LabelTransfer:
    """How well labels went from one modality's cells to another's.

    Attributes
    ----------
    accuracy
        Fraction of the target cells whose predicted label is the true one.
    macro_accuracy
        Mean over the target's types of the accuracy within the type: rare types count as much as frequent ones.
    n_neighbors
        Number of neighbours that voted: the one given, or the best of those given.
    per_type
        Accuracy within each type of the target, indexed by type.
    predictions
        Predicted label of each target cell, object array (n_target,).
    """

    accuracy: float
    macro_accuracy: float
    n_neighbors: int
    per_type: pd.Series
    predictions: np.ndarray


@check_types
def label_transfer_accuracy(
    source: np.ndarray,
    source_labels: Any,
    target: np.ndarray,
    target_labels: Any,
    *,
    n_neighbors: int | Sequence[int] = (5, 10, 20, 30, 50),
    seed: int = 0,
) -> LabelTransfer:
    """Predict the target cells' labels from their nearest source cells, and compare with the true ones.

    Each of the k nearest source cells votes for its label with a weight of 1 / Euclidean distance. If some are at
    distance 0, only these vote, equally. The label with the greatest weight wins, the first in sorted order on a tie.
    These are the rules of scikit-learn's ``KNeighborsClassifier(weights="distance")``.

    Several k are tried, and the one with the highest accuracy is reported, the smallest on a tie. The paper does so: it
    uses the k "when it reached the best performance". Accuracy is then slightly too high for every method, because the
    choice uses the true labels. Give one number to avoid this. The paper does not name the weights of its vote.

    Parameters
    ----------
    source
        Embedding of the cells whose labels are known, array (n_source, d).
    source_labels
        Their labels, one a cell, none missing.
    target
        Embedding of the cells to label, array (n_target, d).
    target_labels
        Their true labels, one a cell, none missing. A label that no source cell has cannot be predicted and counts as
        wrong.
    n_neighbors
        Number of neighbours that vote, or several to choose from. Of several, those greater than n_source are skipped.
    seed
        Seed of the neighbour search, which is approximate on large data.

    Returns
    -------
    LabelTransfer with accuracy, macro accuracy, the k used, accuracy of each type, and predictions.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        Embeddings are not finite numeric matrices of one width. Labels do not fit or are missing. There are no target
        cells, or fewer source cells than every ``n_neighbors``.
    """
    source, target = check_embedding(source, "source"), check_embedding(target, "target")
    if source.shape[1] != target.shape[1]:
        raise ValueError(
            f"`target` has {target.shape[1]} dimensions, `source` {source.shape[1]}. Give embeddings in one space."
        )
    source_labels = check_labels(source_labels, len(source), "source_labels")
    target_labels = check_labels(target_labels, len(target), "target_labels")
    candidates = check_counts(n_neighbors, "n_neighbors")
    if len(target) == 0:
        raise NotDefinedError("`target` holds no cells. Give at least one labelled cell.")
    if len(source) < candidates[0]:
        raise NotDefinedError(
            f"`n_neighbors` is {candidates[0]} or more, `source` holds {len(source)} cells. "
            "Give fewer neighbours or more cells."
        )
    candidates = tuple(k for k in candidates if k <= len(source))

    codes, types = pd.factorize(source_labels, sort=True)
    neighbors = nearest_neighbors(source, candidates[-1], query=target, seed=seed)
    predictions = {k: types[vote(codes, neighbors, len(types), k).winners] for k in candidates}
    # as text, in which 1, 1.0 and "1" are one label
    true = as_text(pd.Series(target_labels)).to_numpy()
    is_right = {k: as_text(pd.Series(found)).to_numpy() == true for k, found in predictions.items()}
    best = max(candidates, key=lambda k: np.mean(is_right[k]))

    correct = pd.Series(is_right[best])
    per_type = correct.groupby(target_labels).mean().rename("accuracy")
    return LabelTransfer(
        accuracy=float(correct.mean()),
        macro_accuracy=float(per_type.mean()),
        n_neighbors=best,
        per_type=per_type,
        predictions=predictions[best],
    )
