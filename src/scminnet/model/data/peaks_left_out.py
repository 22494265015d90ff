"""Says if gene activity is registered while the peaks of the same cells are not: peaks tell more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pandas as pd
from mudata import MuData

from scminnet._core.logging import logger
from scminnet.model.data.peak_features import are_peaks

#: Two modalities hold the same genes if they have this share of the smaller one's names in common.
SAME_GENES = 0.5


def say_peaks_left_out(mdata: MuData, modalities: Sequence[str]) -> None:
    """Log what to register instead if two modalities hold the same genes, and a third one their cells' peaks."""
    cells = {m: mdata.mod[m].obs_names for m in modalities}
    registered = pd.Index([]).append([mdata.mod[m].var_names for m in modalities])
    others = {m: mdata.mod[m].var_names for m in mdata.mod if m not in modalities}
    peaks = [
        m
        for m, names in others.items()
        if len(names) and are_peaks(names[:20]).all() and not names.isin(registered).any()
    ]
    for a, b in combinations(modalities, 2):
        genes, same = mdata.mod[a].var_names, mdata.mod[b].var_names
        if genes.isin(same).sum() < SAME_GENES * min(len(genes), len(same)):
            continue
        found = [m for m in peaks if any(c.isin(mdata.mod[m].obs_names).all() for c in (cells[a], cells[b]))]
        if found:
            logger.info(
                "%r and %r hold the same genes. %r holds peaks of the same cells, but is not registered. Peaks tell "
                "more than gene activity: if the query has the same peaks, register %r in place of the gene activity, "
                "after `scminnet.pp.feature_links(mdata, %r, %r, annotation=...)`",
                a,
                b,
                found[0],
                found[0],
                a,
                found[0],
            )
