"""The steps of ``scminnet integrate``, from cells to figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet import pl, tl
from scminnet._core.arguments import shorten
from scminnet._core.compat import without_warning
from scminnet._core.keys import EMBEDDING_KEY, UMAP_KEY
from scminnet._core.obs import obs_column
from scminnet._core.obs_text import SAID_OF_TEXTS, unlabeled_names, without
from scminnet.cli.figures import write_figures
from scminnet.cli.normalisation import normalise_counts
from scminnet.cli.outputs import writing
from scminnet.coupling.feature_links import FEATURE_LINKS_KEY, has_feature_links, read_feature_links
from scminnet.model import Diagnosis, MinNet
from scminnet.pp import feature_links, select_features
from scminnet.pp._kinds import GENES, PEAKS, infer_kind

#: Column of labels for all cells: a cell's own label, otherwise the transferred one.
JOINED = "label_or_transferred"

#: Column of the transferred labels.
TRANSFERRED = "transferred_label"

#: Votes of a label transfer, as in :func:`scminnet.tl.transfer_labels`. Fewer labelled cells are no source.
N_NEIGHBORS = 20

#: More features than these are reduced before training.
MAX_GENES = 5000
MAX_PEAKS = 30_000

#: Most cells of a modality in a figure.
MAX_DRAWN = 20_000


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
        _check_labels(cells, names, labels, str(labels_key))
    data = _working_copy(cells, names, obs, labels)
    n_pairs = {(a, b): len(data[a].obs_names.intersection(data[b].obs_names)) for a, b in _pairs_of(names)}
    say("cells: " + "; ".join(f"{data[m].n_obs:,} of {m}" for m in names) + f"; {_pairs_text(n_pairs)}")
    say("values: " + "; ".join(normalise_counts(data, names, {m: k for m, k in kinds.items() if m in names})))
    _link(data, names, say, annotation=annotation, table=table, organism=organism, kinds=kinds, n_pairs=n_pairs)
    _select(data, names, kinds, batch_key, say)

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
    transferred = _transfer(data, cells, names, labels, say, seed=seed)
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


def draw(
    cells: MuData,
    modalities: Sequence[str],
    model: MinNet,
    labels_key: str | None,
    batch_key: str | None,
    folder: Path,
    *,
    seed: int,
) -> tuple[str, ...]:
    """Draw the embedding and the training history as ``.png`` and ``.pdf``. Return their names."""
    shown = _cells_to_draw(cells, modalities, labels_key, batch_key, seed)
    label = [str(labels_key)] if labels_key is not None else []
    batch = [str(batch_key)] if batch_key is not None else []
    drawn = {
        "embedding": pl.embedding(shown, modalities, [*label, "modality", *batch], seed=seed),
        "history": pl.history(model),
    }
    _keep_umap(shown, cells, modalities)
    return write_figures(drawn, folder)


def _pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]


def _pairs_text(n_pairs: Mapping[tuple[str, str], int]) -> str:
    found = [f"{n:,} measured in {a} and {b}" for (a, b), n in n_pairs.items() if n]
    return ", ".join(found) or "none measured twice"


def _check_labels(cells: MuData, names: Sequence[str], labels: pd.Series, key: str) -> None:
    """Raise if no cell has a label, or if two modalities use different words."""
    own = {m: set(labels.loc[cells.mod[m].obs_names].dropna().astype(str)) for m in names}
    if not any(own.values()):
        raise ValueError(f"`labels_key`={key!r} has no labels. Leave it out, or fill the column.")
    for a, b in _pairs_of(names):
        if own[a] and own[b] and not own[a] & own[b]:
            raise ValueError(
                f"`labels_key`={key!r}: {a!r} and {b!r} have no label in common ({a}: {shorten(sorted(own[a]), 3)}; "
                f"{b}: {shorten(sorted(own[b]), 3)}). Use the same names in both, or remove the column from one."
            )


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


def _link(
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
    for a, b in _pairs_of(names):
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


def _select(
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
    for a, b in _pairs_of(names):
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


def _copy_embedding(data: MuData, cells: MuData, names: Sequence[str]) -> None:
    """Write the embedding into the user's data. Cells of no integrated modality are missing values."""
    for m in names:
        cells.mod[m].obsm[EMBEDDING_KEY] = data.mod[m].obsm[EMBEDDING_KEY]
    joint = data.obsm[EMBEDDING_KEY]
    rows = data.obs_names.get_indexer(cells.obs_names)
    whole = np.full((cells.n_obs, joint.shape[1]), np.nan, dtype=np.float32)
    whole[rows >= 0] = joint[rows[rows >= 0]]
    cells.obsm[EMBEDDING_KEY] = whole


def _transfer(
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


def _cells_to_draw(
    cells: MuData, modalities: Sequence[str], labels_key: str | None, batch_key: str | None, seed: int
) -> MuData:
    """Return embeddings and columns of at most ``MAX_DRAWN`` cells of each modality."""
    rng = np.random.default_rng(seed)
    columns = {key: obs_column(cells, key, modalities, "batch_key") for key in (batch_key,) if key is not None}
    if labels_key is not None:
        columns[labels_key] = cells.obs[JOINED]
    shown = {}
    for m in modalities:
        adata = cells.mod[m]
        rows = np.sort(rng.permutation(adata.n_obs)[:MAX_DRAWN])
        obs = pd.DataFrame(index=adata.obs_names[rows])
        for key, column in columns.items():
            obs[key] = column.loc[obs.index].astype(object).to_numpy()
        shown[m] = embedded_only(obs, adata.obsm[EMBEDDING_KEY][rows])
    return MuData(shown)


def _keep_umap(shown: MuData, cells: MuData, modalities: Sequence[str]) -> None:
    """Copy the UMAP into the user's data, if all cells were drawn and there is no other."""
    if shown.n_obs < cells.n_obs or any(UMAP_KEY in table.obsm for table in (cells, *cells.mod.values())):
        return
    for m in modalities:
        cells.mod[m].obsm[UMAP_KEY] = shown.mod[m].obsm[UMAP_KEY]
    cells.obsm[UMAP_KEY] = shown.obsm[UMAP_KEY][shown.obs_names.get_indexer(cells.obs_names)]
    cells.uns[UMAP_KEY] = shown.uns[UMAP_KEY]


def embedded_only(obs: pd.DataFrame, embedding: np.ndarray) -> AnnData:
    """Return cells with an embedding and a single feature, because modalities can not be empty."""
    return AnnData(np.zeros((len(obs), 1), np.float32), obs=obs, obsm={EMBEDDING_KEY: embedding})


def _records(diagnosis: Diagnosis | None) -> list[dict[str, Any]]:
    if diagnosis is None:
        return []
    table = diagnosis.table.astype(object)
    return table.where(table.notna(), None).to_dict("records")
