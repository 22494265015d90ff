"""Questions of the search. Each embeds the validation cells with several variants of the default recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from benchmarks.accuracy.recipe_search.components import (
    Components,
    by_the_reference,
    canonical,
    chromatin,
    components,
    unit_length,
)
from benchmarks.accuracy.recipe_search.distances import ExactDistances, StraightDistances
from benchmarks.accuracy.recipe_search.networks import NETWORKS, PROMISING, SMALL, Network
from benchmarks.accuracy.recipe_search.training import trained
from benchmarks.shared.development_sets import DevelopmentSet
from scminnet.graph.geodesic import GeodesicIndex
from scminnet.model import Recipe
from scminnet.model.data.sparse_rows import as_row_matrix
from scminnet.model.network.canonical import RIDGE
from scminnet.pp.margin_graph import build_margin_graph

N_COMPONENTS = Recipe().components(with_query=False)
#: Best form of chromatin. Proteins have one form.
BEST = "activity and peaks"
BASELINE = "no network: linear baseline"

#: Principal components and ridge of the canonical components, by variant.
REGULARISATIONS: dict[str, tuple[int, float]] = {
    f"{k} components, ridge {ridge:g}": (k, ridge) for k in (50, 100, 200) for ridge in (0, 3, 10, 30)
}

#: Numbers of principal components that are fitted with the validation cells.
WITH_QUERY = (20, 30, 50)

#: Cells whose variance whitens these components: all, or the reference only. And the ridge.
WHITENED = {
    "": {"ridge": RIDGE},
    ", by the reference": {"ridge": RIDGE, "by_reference": True},
    ", by the reference, ridge 3": {"ridge": 3.0, "by_reference": True},
}


class Reference:
    """A part of the training cells, and the validation cells to embed."""

    def __init__(self, name: str, folder: Path, data: DevelopmentSet, size: int) -> None:
        self.part = np.sort(np.random.default_rng(0).choice(data.train.n_obs, size, replace=False))
        self.key = {"data": name, "cells": size}
        self.data = data
        types = data.train.obs[data.labels_key].astype(str).to_numpy()
        self.codes = pd.factorize(types, sort=True)[0].astype(np.int64)[self.part]
        self.held_out = data.test.obs[data.labels_key].astype(str).to_numpy()
        self.forms = chromatin(data, folder) if "activity" in data.modalities else {}
        self.forms = self.forms or {BEST: (data.train["adt"].X, data.test["adt"].X, True)}
        self.batches = self._batches(data.train)[self.part], self._batches(data.test)
        self.components = cache(self._components)

    def _batches(self, cells: Any) -> np.ndarray:
        key = self.data.batch_key
        return cells.obs[key].astype(str).to_numpy() if key else np.full(cells.n_obs, "all")

    def _components(self, form: str, with_query: bool = False, by_batch: bool = False) -> Components:
        """Principal components of RNA, or of a form of the other modality."""
        rna = (self.data.train["rna"].X, self.data.test["rna"].X, True)
        train, validation, standardise = rna if form == "rna" else self.forms[form]
        train = as_row_matrix(train)[self.part]
        batches = self.batches if by_batch else None
        return components(train, validation, standardise=standardise, with_query=with_query, batches=batches)

    @cached_property
    def graph(self) -> sparse.csr_matrix:
        """Lengths of the margin graph's edges."""
        graph = build_margin_graph(as_row_matrix(self.data.train["rna"].X)[self.part], self.batches[0], seed=0)
        torch.set_num_threads(1)  # numba's first parallel function changes them
        return graph.distances

    @cached_property
    def geodesics(self) -> GeodesicIndex:
        """Distances along the margin graph, by landmarks."""
        return GeodesicIndex(self.graph, seed=0)

    @cached_property
    def exact_distances(self) -> ExactDistances:
        """Distances along the margin graph, exact."""
        return ExactDistances(self.graph)

    def canonical(
        self,
        form: str,
        n_components: int,
        ridge: float,
        *,
        with_query: bool = False,
        by_reference: bool = False,
        by_batch: bool = False,
    ) -> Any:
        """Canonical components of RNA and a form of the other modality."""
        sides = [self.components(side, with_query, by_batch) for side in ("rna", form)]
        if by_reference:
            sides = [by_the_reference(side, min(n_components, side.train.shape[1])) for side in sides]
        return canonical(*sides, n_components, ridge)

    def linear(self, *arguments: Any, **kwargs: Any) -> list[np.ndarray]:
        """Embed without a network."""
        return unit_length(self.canonical(*arguments, **kwargs))

    def network(
        self, variant: Network, n_components: int, seed: int, *, ridge: float = RIDGE, **canonical: bool
    ) -> list[np.ndarray]:
        """Embed with one or several networks. ``canonical`` are arguments of that method."""
        projected = self.canonical(BEST, n_components, ridge, by_batch=variant.by_batch, **canonical)
        distances = self.geodesics
        if variant.distances == "exact":
            distances = self.exact_distances
        elif variant.distances == "straight":
            distances = StraightDistances(self.components("rna").train[:, :50], distances)
        members = [
            trained(variant, projected, self.codes, distances, 100 * seed + member)
            for member in range(variant.n_networks)
        ]
        if variant.linear:
            members.append([variant.linear**0.5 * side for side in unit_length(projected)])
        return [np.concatenate(side, axis=1) for side in zip(*members, strict=True)]


Found = Callable[[str, int, Callable[[], list[np.ndarray]]], None]


def ask_chromatin(cells: Reference, seeds: Iterable[int], found: Found) -> None:
    """Which form of chromatin?"""
    for form in cells.forms if len(cells.forms) > 1 else ():
        found(form, 0, partial(cells.linear, form, N_COMPONENTS, RIDGE))


def ask_regularisation(cells: Reference, seeds: Iterable[int], found: Found) -> None:
    """How many principal components, and which ridge?"""
    for variant, (n_components, ridge) in REGULARISATIONS.items():
        found(variant, 0, partial(cells.linear, BEST, n_components, ridge))


def ask_query(cells: Reference, seeds: Iterable[int], found: Found) -> None:
    """How many principal components with the query, and which cells' variance whitens them?"""
    for k, (whitened, how) in product(WITH_QUERY, WHITENED.items()):
        found(f"no network, {k} components{whitened}", 0, partial(cells.linear, BEST, k, with_query=True, **how))
        for seed in seeds:
            embed = partial(cells.network, Network(), k, seed, with_query=True, **how)
            found(f"{k} components{whitened}", seed, embed)


def ask_network(cells: Reference, seeds: Iterable[int], found: Found) -> None:
    """Which network, which losses, which training?"""
    found(BASELINE, 0, partial(cells.linear, BEST, 50, 0))
    variants = SMALL if len(cells.part) <= 1000 else NETWORKS
    for seed, name in product(seeds, variants):
        network = NETWORKS[name]
        if network.by_batch and cells.data.batch_key is None:
            continue
        found(name, seed, partial(cells.network, network, network.recipe.get("n_components", N_COMPONENTS), seed))


def ask_network_with_query(cells: Reference, seeds: Iterable[int], found: Found) -> None:
    """Which of the promising networks, when trained with the query?"""
    n_components = Recipe().components(with_query=True)
    for seed, (name, network) in product(seeds, PROMISING.items()):
        found(name, seed, partial(cells.network, network, n_components, seed, with_query=True, by_reference=True))


QUESTIONS = {
    "chromatin": ask_chromatin,
    "regularisation": ask_regularisation,
    "with the query": ask_query,
    "network": ask_network,
    "network with the query": ask_network_with_query,
}
