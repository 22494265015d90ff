"""Measures where truth is known, beside what chance would give."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.obs import obs_column
from scminnet.metrics import foscttm, integration_report, matching_score

#: What each measure means.
MEANING = {
    "foscttm": "share of cells nearer than the true partner",
    "foscttm_mean": "the same, mean of both directions",
    "matching_score": "probability of the true partner among the nearest cells",
    "matching_score_mean": "the same, mean of both directions",
    "label_transfer_accuracy": "cells whose neighbours in the other modality have their type",
    "label_transfer_macro_accuracy": "the same, mean over cell types",
    "neighbor_mixing": "neighbours of another modality, as a multiple of what chance gives",
    "silhouette_label": "cell types lie apart",
    "silhouette_modality": "modalities are mixed",
    "silhouette_batch": "batches are mixed",
    "ari": "clusters agree with cell types",
}

#: Fewest cells for a measure.
FEWEST = 20


def has_truth(mdata: MuData, modalities: Sequence[str], labels_key: str | None) -> bool:
    """Tell whether two modalities share cells, or both have known types."""
    return any(_n_pairs(mdata, a, b) >= FEWEST for a, b in combinations(modalities, 2)) or (
        labels_key is not None and len(_labelled(mdata, modalities, labels_key)) > 1
    )


def measured(
    mdata: MuData, modalities: Sequence[str], labels_key: str | None, batch_key: str | None, use_rep: str, *, seed: int
) -> pd.DataFrame:
    """Measure an embedding.

    Returns
    -------
    One row a measure: ``measure``, ``modalities``, ``value``, ``chance`` (NaN where it is not defined), ``better`` and
    ``meaning``.
    """
    if labels_key is not None and len(_labelled(mdata, modalities, labels_key)) > 1:
        found = integration_report(
            mdata, modalities=modalities, labels_key=labels_key, batch_key=batch_key, use_rep=use_rep, seed=seed
        )
    else:
        rows = []
        for a, b in combinations(modalities, 2):
            if _n_pairs(mdata, a, b) >= FEWEST:
                shared = mdata.mod[a].obs_names.intersection(mdata.mod[b].obs_names)
                x, y = (
                    np.asarray(mdata.mod[m].obsm[use_rep])[mdata.mod[m].obs_names.get_indexer(shared)] for m in (a, b)
                )
                rows.append(("foscttm_mean", f"{a}, {b}", foscttm(x, y).mean, "lower"))
                rows.append(("matching_score_mean", f"{a}, {b}", matching_score(x, y, seed=seed).mean, "higher"))
        found = pd.DataFrame(rows, columns=["metric", "modalities", "value", "better"])
    chance = [
        _chance(mdata, metric, among, labels_key)
        for metric, among in zip(found["metric"], found["modalities"], strict=True)
    ]
    table = found.rename(columns={"metric": "measure"}).assign(meaning=found["metric"].map(MEANING), chance=chance)
    return table[["measure", "modalities", "value", "chance", "better", "meaning"]]


def in_words(found: pd.DataFrame) -> list[str]:
    """Say in a sentence each how well pairs are found and labels are transferred."""
    said = []
    pairs = found[found["measure"] == "foscttm_mean"]
    if len(pairs):
        values = "; ".join(f"{row.value:.3f} for {row.modalities.replace(', ', ' and ')}" for row in pairs.itertuples())
        said.append(f"FOSCTTM, the share of cells nearer than the true partner: {values} (chance 0.5).")
    labels = found[found["measure"] == "label_transfer_accuracy"]
    if len(labels):
        shares = ", ".join(
            f"{100 * row.value:.0f} % from {row.modalities.replace(' -> ', ' to ')} (chance {100 * row.chance:.0f} %)"
            for row in labels.itertuples()
        )
        said.append(f"Correctly transferred cell types: {shares}.")
    return said


def _n_pairs(mdata: MuData, a: str, b: str) -> int:
    return len(mdata.mod[a].obs_names.intersection(mdata.mod[b].obs_names))


def _labelled(mdata: MuData, modalities: Sequence[str], labels_key: str) -> list[str]:
    """Return the modalities with enough labelled cells."""
    labels = obs_column(mdata, labels_key, modalities, "labels_key")
    return [m for m in modalities if labels.loc[mdata.mod[m].obs_names].notna().sum() >= FEWEST]


def _chance(mdata: MuData, metric: str, among: str, labels_key: str | None) -> float:
    """Return what an embedding without any information would give."""
    if metric.startswith("foscttm"):
        return 0.5
    if metric.startswith("matching_score"):
        return 1 / _n_pairs(mdata, *among.replace(" -> ", ", ").split(", "))
    if metric in ("ari", "silhouette_label"):
        return 0.0
    if metric.startswith("label_transfer") and labels_key is not None:
        target = among.split(" -> ")[-1]
        labels = obs_column(mdata, labels_key, [target], "labels_key").loc[mdata.mod[target].obs_names].dropna()
        # of always the most frequent type
        return float(1 / labels.nunique() if "macro" in metric else labels.value_counts(normalize=True).iloc[0])
    return float("nan")
