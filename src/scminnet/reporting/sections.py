"""Sections on input, diagnosis, embedding, training and measures. One that nothing is known of is ``None``."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mudata import MuData
from pandas.api.types import is_numeric_dtype

from scminnet import pl
from scminnet._core.obs import obs_column
from scminnet.pl._colors import colours_of
from scminnet.reporting.cells import MAX_CELLS, known_types
from scminnet.reporting.page import Section, picture, table

if TYPE_CHECKING:
    from scminnet.model import Diagnosis, MinNet

#: Packages whose versions are named.
PACKAGES = ("scminnet", "scvi-tools", "torch", "mudata", "anndata", "scanpy", "numpy")

#: Order of the findings of a diagnosis.
WORST_FIRST = ("outside", "borderline", "unknown", "inside")

#: Verdicts of a problem.
PROBLEMS = WORST_FIRST[:2]


def inputs(
    mdata: MuData,
    modalities: Sequence[str],
    model: MinNet | None,
    labels_key: str | None,
    batch_key: str | None,
    command: str | None,
    seed: int,
    *,
    unlabeled: Sequence[str],
) -> Section:
    """Say what went in: cells, features, batches, versions, seed and command."""
    features = {} if model is None else {m: len(names) for m, names in model.get_var_names().items()}
    rows = []
    for m in modalities:
        adata = mdata.mod[m]
        row: dict[str, Any] = {"modality": m, "cells": adata.n_obs, "features": features.get(m, adata.n_vars)}
        for name, key in (("labelled cells", labels_key), ("batches", batch_key)):
            if key is not None:
                values = obs_column(mdata, key, modalities, key).loc[adata.obs_names]
                row[name] = known_types(values, unlabeled).count() if key == labels_key else values.nunique()
        rows.append(row)
    both = [len(mdata.mod[a].obs_names.intersection(mdata.mod[b].obs_names)) for a, b in _pairs(modalities)]
    run: dict[str, Any] = {"seed": str(seed)}
    if command:
        run = {"command": command, **run}
    if len(modalities) > 1:
        run["cells in two modalities"] = ", ".join(
            f"{n:,} ({a} and {b})" for n, (a, b) in zip(both, _pairs(modalities), strict=True)
        )
    if labels_key is not None:
        run["column of cell types"] = labels_key
    if batch_key is not None:
        run["column of batches"] = batch_key
    evidence = getattr(model, "evidence_", None)
    if evidence and evidence.get("summary"):
        run["trained on"] = str(evidence["summary"])
    run["versions"] = ", ".join([f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in PACKAGES)])
    named = pd.DataFrame({"item": list(run), "value": list(run.values())})
    return Section("input", "What went in", parts=[table(pd.DataFrame(rows)), table(named)])


def diagnosed(diagnosis: Diagnosis | None) -> Section | None:
    """Show the diagnosis, with the causes of a problem in front."""
    if diagnosis is None:
        return None
    found, is_cause = diagnosis.table, diagnosis.is_cause()
    rank = found["verdict"].map({verdict: i for i, verdict in enumerate(WORST_FIRST)}).fillna(len(WORST_FIRST))
    fine = found["verdict"] == "inside"
    order = pd.DataFrame({"fine": fine, "symptom": ~is_cause, "rank": rank}).sort_values(
        ["fine", "symptom", "rank"], kind="stable"
    )
    found = found.assign(kind=np.where(is_cause, "cause", "effect")).loc[order.index]
    found = found[["check", "modality", "kind", "value", "expected", "verdict", "advice"]]
    text: list[str] = []
    is_problem = found["verdict"].isin(PROBLEMS)
    causes = found[is_problem & (found["kind"] == "cause")]
    if len(causes):
        text.append(
            "Possible causes: " + "; ".join(f"{row.check} ({row.modality})" for row in causes.itertuples()) + "."
        )
    elif is_problem.any():
        text.append("No check names a cause. Compare tissue, species and preparation of the cells.")
    elif (found["verdict"] == "inside").all():
        text.append("All checks are inside the range of the reference.")
    text.append(
        "A cause is a check of the data, an effect one of the embedding. Values are compared with those of the "
        "reference's own held-out cells (expected)."
    )
    return Section("diagnosis", "Can it be trusted?", text, [table(found, marked=is_problem)])


def embedded(
    shown: MuData, full: MuData, modalities: Sequence[str], color: Sequence[str], use_rep: str, seed: int
) -> Section:
    """Show the embedding by cell type, modality, batch and confidence."""
    palette: dict[str, str] = {}
    for key in color:
        columns = [shown.mod[m].obs[key] for m in modalities if key in shown.mod[m].obs]
        names = {name for column in columns if not is_numeric_dtype(column) for name in column.dropna()}
        palette = {**colours_of(sorted(names), mdata=full, key=key), **palette}
    axes = pl.embedding(shown, modalities, list(color), use_rep=use_rep, palette=palette or None, seed=seed)
    some = [m for m in modalities if full.mod[m].n_obs > MAX_CELLS]
    text = [f"Shown are {MAX_CELLS:,} cells of each of {', '.join(some)}, drawn at random."] if some else []
    caption = (
        "UMAP of the joint embedding. A point is a cell in one modality. Grey points have no value. Distances between "
        "clusters mean little."
    )
    shows = f"UMAP of the joint embedding, coloured by {', '.join(color)}"
    return Section("embedding", "Embedding", text, [picture(axes, shows, caption)])


def trained(model: MinNet | None) -> Section | None:
    """Show the training curves."""
    if model is None or not model.history:
        return None
    caption = (
        "Validation: cells that were held out. Chance: the most frequent type, and random neighbours in the batch."
    )
    shown = picture(pl.history(model), "Losses and accuracies of training and held-out cells by epoch", caption)
    return Section("training", "Training", parts=[shown])


def accuracy(found: pd.DataFrame | None, *, trained_on: bool) -> Section | None:
    """Show the measures where pairs or types are known."""
    if found is None:
        return None
    text = ["Chance: what an embedding without information would give. Mixing has no such value; 1 is perfectly mixed."]
    if trained_on:
        text.append("The model was trained on these cells, so its measures are too good. See held-out cells above.")
    return Section("measures", "Accuracy where truth is known", text, [table(found, digits=3)])


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
