"""Cell types of ``scminnet integrate``: checked before the work, and transferred after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet import tl
from scminnet._core.arguments import shorten
from scminnet._core.compat import without_warning
from scminnet._core.obs_text import SAID_OF_TEXTS

#: Column of labels for all cells: a cell's own label, otherwise the transferred one.
JOINED = "label_or_transferred"

#: Column of the transferred labels.
TRANSFERRED = "transferred_label"

#: Votes of a label transfer, as in :func:`scminnet.tl.transfer_labels`. Fewer labelled cells are no source.
N_NEIGHBORS = 20


def check_labels(cells: MuData, names: Sequence[str], labels: pd.Series, key: str) -> None:
    """Raise if no cell has a label, or if two modalities use different words."""
    own = {m: set(labels.loc[cells.mod[m].obs_names].dropna().astype(str)) for m in names}
    if not any(own.values()):
        raise ValueError(f"`labels_key`={key!r} has no labels. Leave it out, or fill the column.")
    for a, b in combinations(names, 2):
        if own[a] and own[b] and not own[a] & own[b]:
            raise ValueError(
                f"`labels_key`={key!r}: {a!r} and {b!r} have no label in common ({a}: {shorten(sorted(own[a]), 3)}; "
                f"{b}: {shorten(sorted(own[b]), 3)}). Use the same names in both, or remove the column from one."
            )


def transfer(
    data: MuData,
    cells: MuData,
    names: Sequence[str],
    labels: pd.Series | None,
    say: Callable[[str], None],
    *,
    seed: int,
) -> dict[str, dict[str, int]]:
    """Transfer labels to modalities that have unlabelled cells, from the one with most labelled cells."""
    if labels is None:
        return {}
    labelled = {m: labels.loc[cells.mod[m].obs_names].notna().to_numpy() for m in names}
    transferred = {}
    joined = labels.copy()
    for source, target in permutations(names, 2):
        best = max((m for m in names if m != target), key=lambda m: labelled[m].sum())
        if source != best or labelled[target].all() or labelled[source].sum() <= N_NEIGHBORS:
            continue
        say(f"transferring labels from {source} to {target} ...")
        # said when the labels were registered
        with without_warning(*SAID_OF_TEXTS):
            tl.transfer_labels(data, source, target, str(labels.name), n_neighbors=N_NEIGHBORS, seed=seed)
        obs = data[target].obs.filter(like=TRANSFERRED)
        cells.mod[target].obs = cells.mod[target].obs.drop(columns=obs.columns, errors="ignore").join(obs)
        cells.uns[TRANSFERRED] = data.uns[TRANSFERRED]
        transferred[f"{source} to {target}"] = obs[TRANSFERRED].value_counts().to_dict()
        missing = obs.index[~labelled[target]]
        joined.loc[missing] = obs.loc[missing, TRANSFERRED].astype(str)
    if not transferred:
        say("labels: all cells have one, or too few; none are transferred")
    cells.obs[JOINED] = pd.Categorical(joined.astype(object).where(joined.notna(), np.nan))
    return transferred
