"""Features of ``scminnet integrate``: links between modalities, and a choice where there are many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.obs import obs_column
from scminnet.coupling.feature_links import has_feature_links, read_feature_links
from scminnet.pp import feature_links, select_features
from scminnet.pp._kinds import GENES, PEAKS, infer_kind

#: More features than these are reduced before training.
MAX_GENES = 5000
MAX_PEAKS = 30_000


def link_features(
    data: MuData,
    names: Sequence[str],
    say: Callable[[str], None],
    *,
    annotation: Path | pd.DataFrame | None,
    table: Path | pd.DataFrame | None,
    organism: str | None,
    kinds: Mapping[str, str],
    n_pairs: Mapping[tuple[str, str], int],
) -> None:
    """Link the features of every two modalities. Pairs replace links that can not be made."""
    found = {m: kinds.get(m) or infer_kind(data[m], m) for m in names}
    peaks = [m for m in names if found[m] == PEAKS]
    for a, b in combinations(names, 2):
        given = [found[a], found[b]]
        of_peaks = PEAKS in given and given != [PEAKS, PEAKS]
        if table is None and (None in given or given == [PEAKS, PEAKS] or (of_peaks and annotation is None)):
            if n_pairs[a, b] or len(names) > 2:
                say(f"{a} and {b}: not linked, because {_missing(a, b, found)} is not given")
                continue
            raise ValueError(f"{a!r} and {b!r} can not be coupled without {_missing(a, b, found)}.{_remedy(found)}")
        method = ["peaks", "table"] if table is not None and of_peaks and annotation is not None else None
        feature_links(
            data,
            a,
            b,
            table=table,
            annotation=annotation if of_peaks and (table is None or method) else None,
            method=method,
            kinds={m: str(found[m]) for m in (a, b) if found[m] is not None},
            organism=organism,
        )
    if annotation is not None and not peaks:
        say("warning: --tss is not used, because no modality holds peaks")


def _missing(a: str, b: str, found: Mapping[str, str | None]) -> str:
    unknown = [m for m in (a, b) if found[m] is None]
    if unknown:
        return f"knowing what {shorten(unknown)} holds"
    if found[a] == found[b] == PEAKS:
        return "a table of links"
    return "an annotation of genes"


def _remedy(found: Mapping[str, str | None]) -> str:
    unknown = [m for m, kind in found.items() if kind is None]
    if unknown:
        return f" Give --kinds {unknown[0]}=genes (or peaks, proteins), or your own table with --links."
    if list(found.values()).count(PEAKS) == len(found):
        return " Give a table with --links."
    return " Give --tss genes.gtf.gz, or your own table with --links."


def select_many(
    data: MuData, names: Sequence[str], kinds: Mapping[str, str], batch_key: str | None, say: Callable[[str], None]
) -> None:
    """Keep variable genes and frequent peaks of modalities with many. Genes linked to proteins stay."""
    found = {m: kinds.get(m) or infer_kind(data[m], m) or GENES for m in names}
    genes, peaks = ([m for m in names if found[m] == kind] for kind in (GENES, PEAKS))
    chosen = genes if genes and data[genes[0]].n_vars > MAX_GENES else []
    chosen = chosen + [m for m in peaks if data[m].n_vars > MAX_PEAKS]
    if not chosen:
        return
    keep: set[str] = set()
    for a, b in combinations(names, 2):
        if (
            {found[a], found[b]} & {GENES}
            and not {found[a], found[b]} <= {GENES, PEAKS}
            and has_feature_links(data, a, b)
        ):
            linked = read_feature_links(data, a, b)
            side = 0 if found[a] == GENES else 1
            keep |= set(data[(a, b)[side]].var_names[np.flatnonzero(linked.getnnz(axis=1 - side))])
    before = {m: data[m].n_vars for m in chosen}
    sizes = obs_column(data, batch_key, names, "batch_key").loc[data[chosen[0]].obs_names] if batch_key else pd.Series()
    counts = sizes.value_counts()
    by_batch = batch_key if len(counts) > 1 and counts.min() >= 50 else None
    select_features(data, chosen, batch_key=by_batch, keep=keep, kinds={m: found[m] for m in chosen})
    say("features: " + "; ".join(f"{m}: {data[m].n_vars:,} of {before[m]:,}" for m in chosen))
