"""References and queries of the benchmark: good queries, queries that are damaged in known ways, other tissues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from mudata import MuData, read_h5mu
from scipy import sparse

from benchmarks.shared import development_sets
from benchmarks.shared.development_sets import (
    MARROW,
    DevelopmentSet,
    between_donors,
    gene_activity,
    marrow,
    renamed,
    with_features_of,
)

PBMC, CORTEX = "pbmc10k_citeseq", "snareseq_mouse_cortex"

#: Types that are a query by themselves.
SINGLE = {PBMC: ("Monocytes", "NK cells", "naive B-cells"), CORTEX: ("L2/3", "Astro", "Oligo")}

#: Types that are removed from the reference.
HELD_OUT = {PBMC: ("Monocytes", "NK cells"), CORTEX: ("L4/5", "Astro")}


class Case(NamedTuple):
    """A query, and the types of its cells if the reference has them."""

    name: str
    query: MuData
    labels: pd.Series | None


def mudata(parts: dict[str, AnnData], obs: pd.DataFrame) -> MuData:
    """Join modalities, with the table of all cells."""
    mdata = MuData(parts)
    mdata.obs = obs.loc[mdata.obs_names]
    return mdata


def counts_of(name: str, folder: Path, cells: pd.Index) -> dict[str, AnnData]:
    """Raw counts of some cells, as the modalities of the development set."""
    source = read_h5mu(folder / f"{name}.h5mu")
    second = {"adt": source["adt"]} if name == PBMC else {"activity": gene_activity(source["atac"])}
    return {m: a[cells].copy() for m, a in ({"rna": source["rna"]} | second).items()}


def damaged(name: str, data: DevelopmentSet, folder: Path, seed: int) -> Iterator[Case]:
    """Yield the test cells as they are, and damaged in the ways that happen in practice."""
    cells, (first, second) = data.test, data.modalities
    labels = cells.obs[data.labels_key].astype(str)
    rng = np.random.default_rng(seed)

    def replaced(**parts: AnnData) -> MuData:
        return mudata({m: parts.get(m, cells[m]).copy() for m in data.modalities}, cells.obs)

    def lacking(share: float, *modalities: str) -> MuData:
        return replaced(**{m: _lacking(cells[m], share, rng) for m in modalities})

    def shuffled(*modalities: str) -> MuData:
        return replaced(**{m: renamed(cells[m], rng.permutation(cells[m].var_names)) for m in modalities})

    yield Case("as it is", cells, labels)
    drawn = rng.permutation(cells.n_obs)
    for n in (300, 100, 30):
        yield Case(f"{n} cells", cells[np.sort(drawn[:n])].copy(), labels)

    for share in (0.25, 0.5, 0.75):
        yield Case(f"{share:.0%} of all features missing", lacking(share, first, second), labels)
    yield Case(f"half of the features missing: {first}", lacking(0.5, first), labels)
    yield Case(f"half of the features missing: {second}", lacking(0.5, second), labels)
    yield Case(f"90% of the features missing: {first}", lacking(0.9, first), labels)

    yield Case("names of features shuffled", shuffled(first, second), labels)
    yield Case(f"names of features shuffled: {first}", shuffled(first), labels)
    yield Case(f"names of features shuffled: {second}", shuffled(second), labels)
    yield Case("values permuted over cells", replaced(**{m: _permuted(cells[m], rng) for m in data.modalities}), labels)

    counts = counts_of(name, folder, cells.obs_names)
    yield Case("raw counts", replaced(**counts), labels)
    yield Case(f"not logarithmic: {first}", replaced(rna=_scaled(counts[first], 1e4, log=False)), labels)
    yield Case(f"to a million counts: {first}", replaced(rna=_scaled(counts[first], 1e6, log=True)), labels)
    yield Case(f"a fifth of the counts: {first}", replaced(rna=_scaled(_thinned(counts[first], 0.2, rng), 1e4)), labels)

    for label in SINGLE[name]:
        yield Case(f"{label} only", cells[(labels == label).to_numpy()].copy(), labels)
    common = labels.value_counts().index
    two = labels.isin(common[:2]).to_numpy()
    yield Case("two types", cells[two].copy(), labels)
    weight = np.where(labels == common[0], 20.0, 1.0)
    dominated = rng.choice(cells.n_obs, cells.n_obs // 3, replace=False, p=weight / weight.sum())
    yield Case("one type dominant", cells[np.sort(dominated)].copy(), labels)
    apart = MuData({first: cells[first][two].copy(), second: cells[second][~two].copy()})
    yield Case("modalities of other types", apart, labels)


def _lacking(adata: AnnData, share: float, rng: np.random.Generator) -> AnnData:
    kept = rng.choice(adata.n_vars, max(1, round(adata.n_vars * (1 - share))), replace=False)
    return adata[:, np.sort(kept)].copy()


def _permuted(adata: AnnData, rng: np.random.Generator) -> AnnData:
    dense = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    adata = adata.copy()
    adata.X = sparse.csr_matrix(rng.permuted(dense, axis=0))
    return adata


def _thinned(adata: AnnData, share: float, rng: np.random.Generator) -> AnnData:
    adata = adata.copy()
    adata.X = sparse.csr_matrix(adata.X)
    adata.X.data = rng.binomial(adata.X.data.astype(np.int64), share).astype(np.float32)
    adata.X.eliminate_zeros()
    return adata


def _scaled(adata: AnnData, total: float, *, log: bool = True) -> AnnData:
    adata = adata.copy()
    sc.pp.normalize_total(adata, target_sum=total)
    if log:
        sc.pp.log1p(adata)
    return adata


def other_species(name: str, folder: Path, data: DevelopmentSet) -> MuData:
    """Return RNA of the other development set's test cells. Gene names are spelt as in this one."""
    other = development_sets.load(CORTEX if name == PBMC else PBMC, folder).test["rna"]
    names = other.var_names.str.upper() if name == PBMC else other.var_names.str.capitalize()
    return MuData({"rna": renamed(other, names)})


def restricted(data: DevelopmentSet, query: MuData) -> DevelopmentSet:
    """Keep the features that a query has, so that none is missing."""
    return data._replace(train=with_features_of(data.train, query), test=with_features_of(data.test, query))


def references(
    folder: Path, prepared: Callable[[DevelopmentSet], DevelopmentSet]
) -> dict[str, Callable[[int], tuple[DevelopmentSet, Iterator[Case]]]]:
    """Return functions of a seed that make a reference and its queries, by name."""

    def load(name: str) -> DevelopmentSet:
        return prepared(development_sets.load(name, folder))

    def whole(name: str, seed: int) -> tuple[DevelopmentSet, Iterator[Case]]:
        data = load(name)

        def cases() -> Iterator[Case]:
            yield from damaged(name, data, folder, seed)
            yield Case("other species and tissue, its genes renamed", other_species(name, folder, data), None)
            if name == PBMC:
                yield Case("bone marrow, few genes shared", marrow(folder), None)

        return data, cases()

    def without(name: str, label: str, seed: int) -> tuple[DevelopmentSet, Iterator[Case]]:
        data = load(name)
        train = data.train[(data.train.obs[data.labels_key] != label).to_numpy()].copy()
        train.obs[data.labels_key] = train.obs[data.labels_key].astype(str)
        labels = data.test.obs[data.labels_key].astype(str)
        known = data.test[(labels != label).to_numpy()].copy()
        new = data.test[(labels == label).to_numpy()].copy()
        cases = (
            Case("as it is", data.test, labels),
            Case("known types", known, labels),
            Case("the type alone", new, None),
        )
        return data._replace(train=train), iter(cases)

    def shared(name: str, query: MuData, title: str) -> tuple[DevelopmentSet, Iterator[Case]]:
        data = restricted(load(name), query)
        labels = data.test.obs[data.labels_key].astype(str)
        return data, iter((Case("as it is", data.test, labels), Case(title, query, None)))

    def from_marrow(seed: int) -> tuple[DevelopmentSet, Iterator[Case]]:
        blood = load(PBMC).test
        data = restricted(between_donors("bmmc_citeseq", folder, reference="s1d1"), blood)
        labels = data.test.obs[data.labels_key].astype(str)
        return data, iter((Case("as it is", data.test, labels), Case("blood", blood, None)))

    found: dict[str, Callable[[int], tuple[DevelopmentSet, Iterator[Case]]]] = {}
    for name in development_sets.NAMES:
        found[name] = lambda seed, name=name: whole(name, seed)
        for label in HELD_OUT[name]:
            found[f"{name}, without {label}"] = lambda seed, name=name, label=label: without(name, label, seed)
        found[f"{name}, genes shared with the other species"] = lambda seed, name=name: shared(
            name, other_species(name, folder, load(name)), "other species and tissue, its genes renamed"
        )
    found[f"{PBMC}, features shared with bone marrow"] = lambda seed: shared(PBMC, marrow(folder), "bone marrow")
    found[f"{MARROW}, one donor, features shared with blood"] = from_marrow
    return found
