"""The steps of ``scminnet integrate``, from cells to figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.obs import obs_column
from scminnet._core.obs_text import unlabeled_names, without
from scminnet.cli.integrate_drawing import draw
from scminnet.cli.integrate_features import link_features, select_many
from scminnet.cli.integrate_labels import check_labels, transfer
from scminnet.cli.normalisation import normalise_counts
from scminnet.cli.outputs import writing
from scminnet.coupling.feature_links import FEATURE_LINKS_KEY
from scminnet.model import Diagnosis, MinNet


class Integration(NamedTuple):
    """What was done."""

    cells: MuData
    """The input with embedding and transferred labels."""
    model: MinNet
    diagnosis: Diagnosis | None
    modalities: tuple[str, ...]
    transferred: dict[str, dict[str, int]]
    """By direction (``"rna to atac"``), number of cells by transferred label."""
    figures: tuple[str, ...]
    """Names of the figures, without ending."""


def integrate(
    cells: MuData,
    modalities: Sequence[str],
    folder: Path,
    say: Callable[[str], None],
    *,
    labels_key: str | None = None,
    unlabeled_category: str | Sequence[str] = "Unknown",
    batch_key: str | None = None,
    annotation: Path | pd.DataFrame | None = None,
    table: Path | pd.DataFrame | None = None,
    organism: str | None = None,
    kinds: Mapping[str, str] | None = None,
    couple_within: str | None = None,
    max_epochs: int | None = None,
    progress: bool = True,
    seed: int = 0,
) -> Integration:
    """Normalise, link, couple, train, embed, transfer labels, diagnose, draw, and write everything.

    Parameters
    ----------
    cells
        The cells. Embedding and labels are written into it; values do not change.
    modalities
        Modalities to integrate.
    folder
        Where to write. Created if it does not exist.
    say
        Function that prints a line for the user.
    labels_key, unlabeled_category, batch_key
        As in :meth:`scminnet.MinNet.setup_mudata`.
    annotation, table, organism, kinds
        As in :func:`scminnet.pp.feature_links`.
    couple_within, max_epochs, seed
        As in :meth:`scminnet.MinNet.train`.
    progress
        Show a progress bar.

    Raises
    ------
    KeyError
        A column is missing.
    ValueError
        There are neither pairs nor feature links, or values can not be used.
    """
    names, kinds = list(modalities), dict(kinds or {})
    columns = {"labels_key": labels_key, "batch_key": batch_key, "couple_within": couple_within}
    obs = {argument: obs_column(cells, key, names, argument) for argument, key in columns.items() if key is not None}
    labels = without(obs["labels_key"], unlabeled_names(unlabeled_category)) if labels_key is not None else None
    if labels is not None:
        check_labels(cells, names, labels, str(labels_key))
    data = _working_copy(cells, names, obs, labels)
    n_pairs = {(a, b): len(data[a].obs_names.intersection(data[b].obs_names)) for a, b in combinations(names, 2)}
    say("cells: " + "; ".join(f"{data[m].n_obs:,} of {m}" for m in names) + f"; {_pairs_text(n_pairs)}")
    say("values: " + "; ".join(normalise_counts(data, names, {m: k for m, k in kinds.items() if m in names})))
    link_features(data, names, say, annotation=annotation, table=table, organism=organism, kinds=kinds, n_pairs=n_pairs)
    select_many(data, names, kinds, batch_key, say)

    MinNet.setup_mudata(
        data,
        names,
        labels_key=None if labels is None else labels_key,
        batch_key=batch_key,
        unlabeled_category=unlabeled_category,
    )
    model = MinNet(data, seed=seed)
    say("training ...")
    model.train(
        max_epochs=max_epochs, couple_within=couple_within, seed=seed, enable_progress_bar=progress, accelerator="cpu"
    )
    say("embedding ...")
    model.embed(data)
    _copy_embedding(data, cells, names)
    transferred = transfer(data, cells, names, labels, say, seed=seed)
    # a model without held-out cells has nothing to compare with
    diagnosis = model.diagnose(data, seed=seed) if model.reference_range_ is not None else None
    say(str(diagnosis) if diagnosis else "no diagnosis: too few cells were held out")

    say("drawing ...")
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    figures = draw(cells, names, model, labels_key, batch_key, folder / "figures", seed=seed)
    say("writing ...")
    with writing("model"):
        model.save(str(folder / "model"), overwrite=True)
    for key in (FEATURE_LINKS_KEY, f"{FEATURE_LINKS_KEY}_report"):
        if key in data.uns:
            cells.uns[key] = data.uns[key]
    with writing("integrated.h5mu"):
        cells.write(folder / "integrated.h5mu")
    return Integration(cells, model, diagnosis, tuple(names), transferred, figures)


def as_result(done: Integration, folder: Path) -> dict[str, Any]:
    """Return what ``scminnet integrate`` prints, with paths in ``folder``."""
    evidence = done.model.evidence_
    return {
        "out": str(folder),
        "integrated": str(folder / "integrated.h5mu"),
        "model": str(folder / "model"),
        "figures": [str(folder / "figures" / f"{name}.png") for name in done.figures],
        "cells": {m: done.cells.mod[m].n_obs for m in done.modalities},
        "features": {m: len(v) for m, v in done.model.get_var_names().items()},
        "embedding": EMBEDDING_KEY,
        "evidence": evidence,
        "verdict": done.diagnosis.verdict if done.diagnosis else "unknown",
        "diagnosis": _records(done.diagnosis),
        "transferred": done.transferred,
        "epochs": done.model.trainer.current_epoch,
    }


def write_result(result: Mapping[str, Any], folder: Path) -> None:
    """Write ``result.json``."""
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _pairs_text(n_pairs: Mapping[tuple[str, str], int]) -> str:
    found = [f"{n:,} measured in {a} and {b}" for (a, b), n in n_pairs.items() if n]
    return ", ".join(found) or "none measured twice"


def _working_copy(
    cells: MuData, names: Sequence[str], obs: Mapping[str, pd.Series], labels: pd.Series | None
) -> MuData:
    """Return the modalities with the columns that are used, so that the user's values stay as they are."""
    data = MuData({m: AnnData(cells[m].X.copy(), obs=cells[m].obs[[]], var=cells[m].var.copy()) for m in names})
    for column in obs.values():
        data.obs[column.name] = column.reindex(data.obs_names)
    if labels is not None:
        data.obs[labels.name] = labels.reindex(data.obs_names)
    return data


def _copy_embedding(data: MuData, cells: MuData, names: Sequence[str]) -> None:
    """Write the embedding into the user's data. Cells of no integrated modality are missing values."""
    for m in names:
        cells.mod[m].obsm[EMBEDDING_KEY] = data.mod[m].obsm[EMBEDDING_KEY]
    joint = data.obsm[EMBEDDING_KEY]
    rows = data.obs_names.get_indexer(cells.obs_names)
    whole = np.full((cells.n_obs, joint.shape[1]), np.nan, dtype=np.float32)
    whole[rows >= 0] = joint[rows[rows >= 0]]
    cells.obsm[EMBEDDING_KEY] = whole


def _records(diagnosis: Diagnosis | None) -> list[dict[str, Any]]:
    if diagnosis is None:
        return []
    table = diagnosis.table.astype(object)
    return table.where(table.notna(), None).to_dict("records")
