"""Verdicts of ``MinNet.diagnose`` on a query, and the damage that the query suffers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from mudata import MuData

import scminnet as mn
from benchmarks.accuracy.diagnose.queries import Case


def unpaired(query: MuData) -> MuData:
    """Rename the cells of the second modality, so that no cell has both."""
    parts = {m: a.copy() for m, a in query.mod.items()}
    for m in list(parts)[1:]:
        parts[m].obs_names = parts[m].obs_names + f"_{m}"
    return MuData(parts)


def damage(model: mn.MinNet, case: Case, query: MuData) -> Iterator[tuple[str, str, float]]:
    """Measure how well the query is embedded and its types are predicted, with both ways of standardising."""
    modalities = list(query.mod)
    cells = {m: query[m].obs_names for m in modalities}
    for statistics in ("query", "reference"):
        suffix = "" if statistics == "query" else ", reference statistics"
        if len(modalities) == 2:
            names = list(cells.values())
            embeddings = [model.get_latent_representation(query, modality=m, statistics=statistics) for m in modalities]
            both = names[0].intersection(names[1])
            if len(both) > 1:
                a, b = (e[n.get_indexer(both)] for e, n in zip(embeddings, names, strict=True))
                yield "foscttm" + suffix, ", ".join(modalities), mn.metrics.foscttm(a, b).mean
        if case.labels is None:
            continue
        truth = {m: case.labels.loc[names].to_numpy() for m, names in cells.items()}
        if len(modalities) == 2:
            (a, b), (first, second) = embeddings, modalities
            transfer = mn.metrics.label_transfer_accuracy(a, truth[first], b, truth[second], n_neighbors=20)
            yield "label transfer" + suffix, f"{first} -> {second}", transfer.accuracy
        for m in modalities:
            named = model.predict(query, modality=m, statistics=statistics)
            yield "accuracy" + suffix, m, float(np.mean(named == truth[m]))


def measure(model: mn.MinNet, case: Case) -> pd.DataFrame:
    """Diagnose a query and measure the damage."""
    query = mn.MinNet.prepare_query_mudata(case.query, model, inplace=False)
    query = MuData({m: query[m] for m in model.modalities if m in query.mod})
    start = time.perf_counter()
    found = model.diagnose(unpaired(query))
    seconds = time.perf_counter() - start
    table = found.table.drop(columns="advice")
    if len(query.mod) == 2:
        paired = model.diagnose(query).table
        table = pd.concat([table, paired.loc[paired["check"] == "pairs", table.columns]])
    rows = [{"check": "verdict", "modality": "", "verdict": found.verdict}]
    rows.append({"check": "seconds", "modality": "", "value": seconds})
    rows += [{"check": c, "modality": m, "value": v} for c, m, v in damage(model, case, query)]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True).assign(query=case.name)
