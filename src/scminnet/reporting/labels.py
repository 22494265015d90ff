"""Sections on labels: those that were transferred, and cells where they disagree with others; or those predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet import pl
from scminnet._core.keys import UNASSIGNED
from scminnet._core.obs import obs_column
from scminnet.reporting.cells import known_types
from scminnet.reporting.page import Section, picture, table

#: Most cells that are listed.
MAX_ROWS = 20


def transferred(
    mdata: MuData,
    transfers: Mapping[str, Mapping[str, Any]],
    truth_key: str | None,
    predicted: pd.Series | None,
    *,
    unlabeled: Sequence[str],
) -> Section | None:
    """Show the transferred labels by cell type, and the cells whose other label or true type disagrees."""
    if not transfers:
        return None
    section = Section("labels", "Transferred labels")
    for key, entry in transfers.items():
        source, target = entry["source"], entry["target"]
        obs = mdata.mod[target].obs
        label = obs[key].astype(str)
        confidence = obs.get(f"{key}_confidence", pd.Series(np.nan, index=obs.index)).astype(float)
        other, what = _other(mdata, target, truth_key, predicted, unlabeled)
        word = entry["params"].get("unassigned", UNASSIGNED)
        n_left = int((label == word).sum())
        left = f"{n_left:,} ({100 * n_left / max(1, len(label)):.0f} %) are {word!r}." if n_left else "All have one."
        section.text.append(f"Labels of {source} cells were transferred to {len(label):,} {target} cells. {left}")
        frame = pd.DataFrame({"label": label, "confidence": confidence, "other": other})
        grouped = frame.groupby("label", observed=True)
        by_type = grouped.agg(cells=("label", "size"), confidence=("confidence", "mean")).reset_index()
        by_type["share"] = by_type["cells"] / len(frame)
        if what:
            known = frame[frame["other"].notna() & ((frame["label"] != word) | (what == "true type"))]
            same = (known["label"] == known["other"]).groupby(known["label"]).mean()
            by_type[f"agrees with {what}"] = by_type["label"].map(same.drop(word, errors="ignore"))
            instead = (
                known[known["label"] != known["other"]]
                .groupby("label")["other"]
                .agg(lambda s: s.value_counts().index[0])
            )
            by_type["otherwise mostly"] = by_type["label"].map(instead)
        by_type = by_type.sort_values("cells", ascending=False)
        shares = ["share", f"agrees with {what}"]
        section.parts.append(table(by_type, f"{source} to {target}: by label", percent=shares))
        if what == "true type":
            axes = pl.transfer_heatmap(known["other"], known["label"], title=f"labels from {source} to {target}")
            shows = f"Share of each true type's {target} cells that got each label"
            section.parts.append(picture(axes, shows, f"{shows}. Shares below 1 % are not written."))
        differ = frame[frame["other"].notna() & (frame["label"] != frame["other"]) & (frame["label"] != word)]
        if len(differ):
            most = differ.sort_values("confidence", ascending=False, kind="stable").head(MAX_ROWS)
            most = most.rename_axis("cell").reset_index().rename(columns={"other": what})
            counted = f"{min(len(differ), MAX_ROWS):,} of {len(differ):,}, the most confident first"
            section.parts.append(table(most, f"{target} cells whose label and {what} differ ({counted})"))
    return section


def _other(
    mdata: MuData, target: str, truth_key: str | None, predicted: pd.Series | None, unlabeled: Sequence[str]
) -> tuple[pd.Series, str]:
    """Return what labels of the target's cells are compared with, and its name: truth, predictions, or nothing."""
    names = mdata.mod[target].obs_names
    if truth_key is not None:
        truth = known_types(obs_column(mdata, truth_key, list(mdata.mod), "labels_key").loc[names], unlabeled)
        if truth.notna().any():
            return truth, "true type"
    if predicted is not None and predicted.reindex(names).notna().any():
        return predicted.reindex(names).map(str, na_action="ignore"), "predicted type"
    return pd.Series(np.nan, index=names, dtype=object), ""


def predicted_types(predicted: pd.Series | None, transfers: Mapping[str, Any]) -> Section | None:
    """Show how many cells were predicted to be of each type, where nothing was transferred."""
    if predicted is None or transfers:
        return None
    counts = predicted.dropna().astype(str).value_counts()
    frame = pd.DataFrame({"predicted type": counts.index, "cells": counts.to_numpy(), "share": counts / counts.sum()})
    text = ["Predicted by the model, which names every cell. A cell type that the reference lacks gets a wrong name."]
    return Section("labels", "Predicted cell types", text, [table(frame, percent=["share"])])
