"""Scenarios of the comparison: changes to the reference and the test cells of a data set.

Each is a function of a data set and of a seed, if it draws at random. The data set itself is not changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from benchmarks.shared.development_sets import DevelopmentSet, together


class NotApplicableError(ValueError):
    """The data set lacks what the scenario needs."""


class Unpaired(NamedTuple):
    """Cells to embed of each modality, and their true names, which the methods do not get."""

    cells: dict[str, AnnData]
    #: name of each cell in the data set, in the order of ``cells``
    identity: dict[str, pd.Index]


def standard(data: DevelopmentSet, seed: int) -> DevelopmentSet:
    """Keep the standard split. If there are batches, the reference has none of the test cells' batches."""
    return data


def all_cells(data: DevelopmentSet, seed: int) -> DevelopmentSet:
    """Embed the training cells, too, so that no reference is left. Methods with a reference skip this scenario."""
    parts = {m: ad.concat([data.train[m], data.test[m]], merge="same") for m in data.modalities}
    test = together(parts)
    test.obs = pd.concat([data.train.obs, data.test.obs]).loc[test.obs_names]
    return data._replace(train=data.train[:0].copy(), test=test)


def across_batches(data: DevelopmentSet, seed: int) -> DevelopmentSet:
    """Take RNA of one unseen batch and the other modality of another, so that no cell is in both."""
    _needs_batches(data)
    batches = data.test.obs[data.batch_key].astype(str)
    a, b = sorted(batches.unique())[:2]
    first, second = data.modalities
    parts = {first: _cells(data.test[first], batches, a), second: _cells(data.test[second], batches, b)}
    test = together(parts)
    test.obs = data.test.obs.loc[test.obs_names]
    return data._replace(test=test)


def missing_type(data: DevelopmentSet, seed: int) -> DevelopmentSet:
    """Leave one type out of the reference: the middle one by its number of test cells."""
    counts = data.test.obs[data.labels_key].astype(str).value_counts()
    absent = counts.index[len(counts) // 2]
    return data._replace(train=_without_levels(data.train, data.train.obs[data.labels_key].astype(str) != absent))


def imbalance(data: DevelopmentSet, seed: int) -> DevelopmentSet:
    """Thin all types but the most frequent to a hundredth of its cells, and at least two cells, in the reference."""
    labels = data.train.obs[data.labels_key].astype(str)
    counts = labels.value_counts()
    rng = np.random.default_rng(seed)
    kept = [np.flatnonzero(labels == counts.index[0])]
    for label in sorted(counts.index[1:]):
        rows = np.flatnonzero(labels == label)
        kept.append(rng.choice(rows, min(len(rows), max(2, counts.iloc[0] // 100)), replace=False))
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[np.concatenate(kept)] = True
    return data._replace(train=_without_levels(data.train, chosen))


def pairs_only(n: int) -> Callable[[DevelopmentSet, int], DevelopmentSet]:
    """Return the scenario of a reference of so many cells."""

    def scenario(data: DevelopmentSet, seed: int) -> DevelopmentSet:
        chosen = np.zeros(data.train.n_obs, dtype=bool)
        chosen[np.random.default_rng(seed).permutation(data.train.n_obs)[:n]] = True
        return data._replace(train=_without_levels(data.train, chosen))

    return scenario


SCENARIOS: dict[str, Callable[[DevelopmentSet, int], DevelopmentSet]] = {
    "standard": standard,
    "all cells": all_cells,
    "across batches": across_batches,
    "missing type": missing_type,
    "imbalance 100:1": imbalance,
    "400 pairs": pairs_only(400),
    "1,000 pairs": pairs_only(1_000),
}

#: Scenarios that only change the reference. Methods without a reference skip them.
REFERENCE_ONLY = ("missing type", "imbalance 100:1", "400 pairs", "1,000 pairs")

#: Scenarios without a reference. Methods that need one skip them.
NO_REFERENCE = ("all cells",)


def fewer_cells(mdata: MuData, n: int, seed: int) -> MuData:
    """Draw at most ``n`` cells at random."""
    if mdata.n_obs <= n:
        return mdata
    return mdata[np.sort(np.random.default_rng(seed).choice(mdata.n_obs, n, replace=False))].copy()


def unpair(data: DevelopmentSet, seed: int) -> Unpaired:
    """Shuffle and rename the test cells of each modality. The batch is kept, the type is hidden."""
    cells, identity = {}, {}
    for i, modality in enumerate(data.modalities):
        adata = data.test[modality]
        order = np.random.default_rng((seed, i)).permutation(adata.n_obs)
        identity[modality] = adata.obs_names[order]
        names = pd.Index([f"{modality}_{k}" for k in range(adata.n_obs)])
        cells[modality] = _bare(adata[order], _columns(data, data.test, identity[modality]), names)
    return Unpaired(cells, identity)


def reference(data: DevelopmentSet) -> dict[str, AnnData]:
    """Return the paired cells of the reference, with type and batch."""
    result = {}
    for modality in data.modalities:
        names = data.train[modality].obs_names
        columns = _columns(data, data.train, names)
        columns["label"] = data.train.obs[data.labels_key].loc[names].astype(str).to_numpy()
        result[modality] = _bare(data.train[modality], columns, names)
    return result


def reveal(unpaired: Unpaired, embedding: dict[str, np.ndarray]) -> dict[str, pd.DataFrame]:
    """Give the embedded cells their true names again, as index."""
    return {m: pd.DataFrame(embedding[m], index=names) for m, names in unpaired.identity.items()}


def _columns(data: DevelopmentSet, mdata: MuData, names: pd.Index) -> dict[str, np.ndarray]:
    if data.batch_key is None:
        return {}
    return {"batch": mdata.obs[data.batch_key].loc[names].astype(str).to_numpy()}


def _bare(adata: AnnData, columns: dict[str, np.ndarray], names: pd.Index) -> AnnData:
    """Keep the values, the counts and the features, and nothing else that could identify a cell."""
    obs = pd.DataFrame(columns, index=pd.Index(names.astype(str), dtype=object))
    var = adata.var[["kind", "gene"]].astype(object).set_axis(adata.var_names.astype(object))
    return AnnData(adata.X.copy(), obs=obs, var=var, layers={"counts": adata.layers["counts"].copy()})


def _cells(adata: AnnData, batches: pd.Series, batch: str) -> AnnData:
    return adata[(batches.loc[adata.obs_names] == batch).to_numpy()].copy()


def _without_levels(mdata: MuData, chosen: pd.Series | np.ndarray) -> MuData:
    """Take cells, and drop the categories that none of them has."""
    result = mdata[np.asarray(chosen)].copy()
    for column in result.obs.select_dtypes("category"):
        result.obs[column] = result.obs[column].cat.remove_unused_categories()
    return result


def _needs_batches(data: DevelopmentSet) -> None:
    if data.batch_key is None or data.test.obs[data.batch_key].nunique() < 2:
        raise NotApplicableError("the test cells are not of two batches")
