"""The search for the default recipe, on validation cells held out of the training split.

Run from the repository's root::

    pip install -e ".[benchmark]"
    python benchmarks/recipe_search.py --data FOLDER

writes ``benchmarks/results/recipe_search.csv``, a row as it is found, and ``recipe_search.md``. Rows that are there already are not found again, so a
search that was cut short goes on; delete the table to begin anew. The validation cells are those of ``ablation.py``; references of 400
and 1,000 cells are random parts of the others. Chromatin is the peaks beside gene activity, but for the question that asks. Five questions, each
with the rest as in the default recipe: what the model shall see of chromatin, how the canonical components are regularised (both answered without a
network, by the components scaled to unit length, as is the linear baseline), the number of components when the query takes part in them, the network,
and the most promising networks again when the query takes part.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import development_sets
import numpy as np
import pandas as pd
import torch
from ablation import validation_split
from development_sets import DevelopmentSet
from over_seeds import mean_and_deviation
from scipy import sparse
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from scminnet._core.principal_axes import principal_axes, sums_of_products
from scminnet.graph.geodesic import GeodesicIndex
from scminnet.metrics import foscttm, label_transfer_accuracy, silhouette_label, silhouette_modality
from scminnet.model import PairDataModule, Recipe, SiameseModule
from scminnet.model.data.moments import feature_moments
from scminnet.model.data.sparse_rows import as_row_matrix
from scminnet.model.inference.forward_pass import hidden_moments
from scminnet.model.network.canonical import RIDGE, leading_components, standardised_deviation
from scminnet.model.training.pair_data import PairDataset
from scminnet.model.training.pair_sampler import DrawnBatch, PairSampler
from scminnet.model.training.training_plan import WARM_UP
from scminnet.pp.margin_graph import build_margin_graph

RESULTS = Path(__file__).parent / "results"
MAX_COMPONENTS = 200
N_COMPONENTS = Recipe().components(with_query=False)
N_CANONICAL = Recipe().n_canonical
#: Of the forms of chromatin; for proteins there is one.
BEST = "activity and peaks"
MEASURES = ["foscttm", "transfer from RNA", "transfer to RNA", "silhouette", "mixing"]
SIZES = ("400", "1000", "all")
BASELINE = "no network: linear baseline"

#: By variant, principal components and ridge of the canonical components.
REGULARISATIONS: dict[str, tuple[int, float]] = {
    f"{k} components, ridge {ridge:g}": (k, ridge) for k in (50, 100, 200) for ridge in (0, 3, 10, 30)
}


#: Principal components that the validation cells take part in.
WITH_QUERY = (20, 30, 50)

#: Who says how much cells vary along these components, all or the reference's alone; and the ridge.
WHITENED = {
    "": {"ridge": RIDGE},
    ", by the reference": {"ridge": RIDGE, "by_reference": True},
    ", by the reference, ridge 3": {"ridge": 3.0, "by_reference": True},
}


class Network(NamedTuple):
    """Changes to the default recipe, and what the package does not offer."""

    recipe: dict[str, Any] = {}
    augment: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]] | None = None
    residual: bool = False
    """The canonical components are added to the embedding."""
    smoothed: int = 0
    """Each validation cell's components are averaged with those of so many neighbours of its modality."""
    linear: float = 0.0
    """The canonical components' directions are joined to the embedding, with this weight beside its 1."""
    n_networks: int = 1
    """Networks from several initial values, their directions joined."""
    averaged: bool = False
    """Weights are averaged over about the last hundred steps."""
    balanced: bool = False
    """Each type has the same chance to be drawn into a batch."""
    distances: Literal["landmarks", "exact", "straight"] = "landmarks"
    """Margins follow distances along the graph, by landmarks or exact, or straight ones of principal components."""
    by_batch: bool = False
    """Features are standardised in each batch apart."""


class BalancedSampler(PairSampler):
    """Draws each batch anew, cells of rare types as often as those of frequent ones."""

    def __init__(self, *arguments: Any, labels: np.ndarray, **kwargs: Any) -> None:
        super().__init__(*arguments, **kwargs)
        weights = 1 / np.bincount(labels)[labels[self.cells]]
        self.chances = weights / weights.sum()

    def __iter__(self) -> Iterator[DrawnBatch]:
        rng = np.random.default_rng((self.seed, self.epoch))
        size = len(self.cells) // len(self)
        for _ in range(len(self)):
            batch = rng.choice(self.cells, size, replace=False, p=self.chances)
            yield DrawnBatch(len(batch), [batch] * self.present.shape[1], None)


class StraightDistances:
    """Distances of cells' principal components in the place of a :class:`GeodesicIndex`, with its median."""

    def __init__(self, points: np.ndarray, geodesics: GeodesicIndex) -> None:
        self.points = points
        i, j = np.random.default_rng(0).integers(len(points), size=(2, 2000))
        self.scale = 1.0
        self.scale = np.median(geodesics.pairs(i, j)) / np.median(self.pairs(i, j))

    def pairs(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Distances of pairs."""
        return (self.scale * np.linalg.norm(self.points[i] - self.points[j], axis=1)).astype(np.float32)

    def block(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Distances of all pairs of two sets."""
        return (self.scale * cdist(self.points[i], self.points[j])).astype(np.float32)


def noise(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Add half of each component's deviation as noise."""
    return tuple(x + 0.5 * x.std(0) * torch.randn_like(x) for x in (a, b))


def dropout(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Drop a fifth of the components."""
    return F.dropout(a, 0.2), F.dropout(b, 0.2)


def mixup(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each cell with a random other, in both modalities alike; the cell keeps the greater part."""
    share = 0.5 + 0.5 * torch.rand(len(a), 1)
    other = torch.randperm(len(a))
    return share * a + (1 - share) * a[other], share * b + (1 - share) * b[other]


#: What the default was before this search, but for its ridge, and its changes one by one.
BEFORE = {
    "n_layers": 1,
    "hidden_dropout": 0.0,
    "adapt_norm": False,
    "contrastive_weight": 0.5,
    "max_steps": 1000,
}

NETWORKS: dict[str, Network] = {
    "default": Network(),
    "as before": Network(BEFORE),
    "one hidden layer": Network({"n_layers": 1}),
    "batch norm of training": Network({"adapt_norm": False}),
    "no dropout": Network({"hidden_dropout": 0.0}),
    "200 components": Network({"n_components": 200}),
    "dropout 0.2": Network({"hidden_dropout": 0.2}),
    "dropout 0.4": Network({"hidden_dropout": 0.4}),
    "three hidden layers": Network({"n_layers": 3}),
    "128 hidden": Network({"n_hidden": 128}),
    "512 hidden": Network({"n_hidden": 512}),
    "tanh": Network({"activation": "tanh"}),
    "16 dimensions": Network({"n_latent": 16}),
    "64 dimensions": Network({"n_latent": 64}),
    "60 canonical components": Network({"n_canonical": 60}),
    "no classification": Network({"classification_weight": 0.0}),
    "margin loss 0.5": Network({"contrastive_weight": 0.5}),
    "no margin loss": Network({"contrastive_weight": 0.0}),
    "no InfoNCE": Network({"infonce_weight": 0.0}),
    "InfoNCE 2": Network({"infonce_weight": 2.0}),
    "no supervised contrast": Network({"supervised_weight": 0.0}),
    "temperature 0.1": Network({"temperature": 0.1}),
    "temperature 0.4": Network({"temperature": 0.4}),
    "1000 steps": Network({"max_steps": 1000}),
    "learning rate 0.001": Network({"lr": 1e-3}),
    "constant learning rate": Network({"lr_schedule": "constant"}),
    "weight decay 0.01": Network({"weight_decay": 1e-2}),
    "no cells held out": Network({"train_size": 1.0}),
    "batches of 128": Network({"batch_size": 128}),
    "batches of 512": Network({"batch_size": 512}),
    "standardised by batch": Network(by_batch=True),
    "noise": Network(augment=noise),
    "dropout of components": Network(augment=dropout),
    "m0 0.3": Network({"m0": 0.3}),
    "m0 3": Network({"m0": 3.0}),
    "c 1": Network({"c": 1.0}),
    "c 10": Network({"c": 10.0}),
    "margins by exact distance": Network(distances="exact"),
    "margins by straight distance": Network(distances="straight"),
    "paper's loss, text": Network({"loss_form": "text"}),
    "averaged weights": Network(averaged=True),
    "balanced types": Network(balanced=True),
    "mixup": Network(augment=mixup),
    "residual": Network(residual=True),
    "10 neighbours smoothed": Network(smoothed=10),
    "three networks": Network(n_networks=3),
}
#: Those that depend on the number of pairs, tried with 400 and 1,000 cells as well.
SMALL = (
    "default",
    "as before",
    "one hidden layer",
    "batch norm of training",
    "no dropout",
    "200 components",
    "learning rate 0.001",
    "no cells held out",
    "dropout 0.2",
    "dropout 0.4",
    "512 hidden",
    "InfoNCE 2",
    "mixup",
    "three networks",
    "10 neighbours smoothed",
)
#: Tried again with the query in view.
PROMISING: dict[str, Network] = {
    name: NETWORKS[name] for name in ("default", "three hidden layers", "512 hidden", "InfoNCE 2")
} | {
    "512 hidden, InfoNCE 2": Network({"n_hidden": 512, "infonce_weight": 2.0}),
    "512 hidden, InfoNCE 2, temperature 0.15": Network({"n_hidden": 512, "infonce_weight": 2.0, "temperature": 0.15}),
    "linear components beside": Network(linear=0.5),
    "512 hidden, InfoNCE 2, linear components beside": Network({"n_hidden": 512, "infonce_weight": 2.0}, linear=0.5),
}


def tf_idf(adata: Any) -> sparse.csr_matrix:
    """Binarised peaks by term frequency and inverse document frequency, log(1 + 10,000 x)."""
    binary = sparse.csr_matrix((np.ones(adata.X.nnz, np.float32), adata.X.indices, adata.X.indptr), shape=adata.shape)
    rarity = np.log1p(adata.n_obs / (1 + binary.sum(axis=0).A1))
    weighted = sparse.diags(1 / np.maximum(binary.sum(axis=1).A1, 1)) @ binary @ sparse.diags(rarity)
    weighted.data = np.log1p(1e4 * weighted.data)
    return sparse.csr_matrix(weighted, dtype=np.float32)


class Components(NamedTuple):
    """Principal components' scores of the reference's and of the validation cells, and their variances."""

    train: np.ndarray
    validation: np.ndarray
    variance: np.ndarray


class ExactDistances:
    """Distances along the whole graph in the place of a :class:`GeodesicIndex`, each pair's kept."""

    def __init__(self, graph: sparse.csr_matrix) -> None:
        self.distances = shortest_path(graph, directed=False).astype(np.float32)

    def pairs(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Distances of pairs."""
        return self.distances[i, j]

    def block(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Distances of all pairs of two sets."""
        return self.distances[np.ix_(i, j)]


def components(
    train: Any,
    validation: Any,
    *,
    standardise: bool,
    with_query: bool = False,
    batches: tuple[np.ndarray, np.ndarray] | None = None,
) -> Components:
    """Fit on the reference, or on the validation cells as well; each side, or each batch, is standardised by its own statistics, as a query is."""
    sides, zeros, rows = [], [], []
    for k, matrix in enumerate((as_row_matrix(train), as_row_matrix(validation))):
        groups = np.zeros(matrix.shape[0]) if batches is None else batches[k]
        rows.append([np.flatnonzero(groups == group) for group in np.unique(groups)])
        parts = [matrix[cells] for cells in rows[k]]
        if not standardise:
            sides.append(parts)
            zeros.append([np.zeros(matrix.shape[1], np.float32)] * len(parts))
            continue
        moments = [feature_moments(part) for part in parts]
        sides.append([standardised_deviation(part, *of) for part, of in zip(parts, moments, strict=True)])
        zeros.append([np.clip(-mean / np.where(std > 0, std, np.inf), -10, 10) for mean, std in moments])
    n_components = min(MAX_COMPONENTS, train.shape[0] - 1, train.shape[1])
    fitted = sides[0] + sides[1] if with_query else sides[0]
    variance, directions = leading_components(fitted, n_components, 0)
    scores = []
    for k, side in enumerate(sides):
        found = [part @ directions + zero @ directions for part, zero in zip(side, zeros[k], strict=True)]
        scores.append(np.concatenate(found)[np.argsort(np.concatenate(rows[k]))])
    centre = scores[0].mean(axis=0)
    return Components(scores[0] - centre, scores[1] - centre, variance)


def by_the_reference(cells: Components, n_components: int) -> Components:
    """Turn the first components into the principal ones of the reference's cells."""
    train, validation = (scores[:, :n_components] for scores in (cells.train, cells.validation))
    axes = principal_axes(sums_of_products(train), *train.shape)
    return Components(train @ axes.loadings, validation @ axes.loadings, axes.variances)


def canonical(a: Components, b: Components, n_components: int, ridge: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Regularised canonical components of reference and validation cells, by modality, as ``model/projection.py`` fits them."""
    n_cells = len(a.train)
    white = []
    for side in (a, b):
        variance = side.variance[:n_components]
        scale = (variance + ridge / n_cells * variance.sum()) ** -0.5
        white.append([scores[:, :n_components] * scale for scores in (side.train, side.validation)])
    left, agreement, right = np.linalg.svd(white[0][0].T @ white[1][0] / n_cells, full_matrices=False)
    turns = (left * agreement, right.T * agreement)
    return [tuple(s @ turn for s in scores) for scores, turn in zip(white, turns, strict=True)]


def trained(
    variant: Network,
    projected: list[tuple[np.ndarray, np.ndarray]],
    labels: np.ndarray,
    geodesics: GeodesicIndex,
    seed: int,
) -> list[np.ndarray]:
    """Train the network on canonical components; return the validation cells' embeddings."""
    recipe = Recipe(**variant.recipe)
    torch.manual_seed(seed)
    sides = [
        tuple(np.ascontiguousarray(s[:, : recipe.n_canonical], dtype=np.float32) for s in side) for side in projected
    ]
    recipe = replace(recipe, n_canonical=sides[0][0].shape[1])
    module = SiameseModule({"a": 1, "b": 1}, labels.max() + 1, recipe)
    module.hidden_dropout = recipe.dropout(round(recipe.train_size * len(labels)))

    def embedded(x: dict[str, torch.Tensor], moments: dict[str, Any] | None = None) -> dict[str, Any]:
        out = module.inference(x, projected=True, moments=moments)
        if variant.residual:
            width = min(recipe.n_canonical, recipe.n_latent)
            out["embedding"] = {
                m: 0.1 * e + F.pad(x[m][:, :width], (0, recipe.n_latent - width)) for m, e in out["embedding"].items()
            }
        return out

    rows = np.arange(len(labels))
    positions = np.stack([rows, rows], axis=1)
    batches = PairDataModule(positions >= 0, recipe, seed=seed)
    batches.dataset = PairDataset(
        {"a": sides[0][0], "b": sides[1][0]}, positions, labels, geodesics, rows, projected=True
    )
    n_epochs = recipe.n_epochs(batches.n_train_batches)
    matrices = [p for p in module.parameters() if p.ndim > 1]
    vectors = [p for p in module.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=recipe.lr,
    )
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True)
    schedule = None
    if recipe.lr_schedule == "one_cycle":
        n_steps = n_epochs * batches.n_train_batches
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=recipe.lr, total_steps=n_steps, pct_start=WARM_UP
        )
    module.train()
    for epoch in range(n_epochs):
        loader = batches.train_dataloader()
        if variant.balanced:
            sampler = BalancedSampler(
                batches.train_idx, batches.present, recipe, seed=seed, frozen=False, labels=labels
            )
            loader = DataLoader(batches.dataset, sampler=sampler, batch_size=None)
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            if variant.augment:
                batch["x"] = dict(zip("ab", variant.augment(batch["x"]["a"], batch["x"]["b"]), strict=True))
            optimizer.zero_grad()
            module.loss(batch, embedded(batch["x"]), {}, recipe).loss.backward()
            optimizer.step()
            if schedule:
                schedule.step()
            if variant.averaged:
                average.update_parameters(module)
    if variant.averaged:
        module.load_state_dict(average.module.state_dict())
    module.eval()
    held_out = {m: smoothed(side[1], variant.smoothed) for m, side in zip("ab", sides, strict=True)}
    moments = {m: hidden_moments(module, x, m) for m, x in held_out.items()} if recipe.adapt_norm else None
    with torch.inference_mode():
        out = embedded({m: torch.from_numpy(x) for m, x in held_out.items()}, moments)
        return [module.position(e).numpy() for e in out["embedding"].values()]


def smoothed(values: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Average each cell with its nearest neighbours."""
    if n_neighbors == 0:
        return values
    neighbors = NearestNeighbors(n_neighbors=n_neighbors + 1).fit(values)
    return values[neighbors.kneighbors(values, return_distance=False)].mean(axis=1)


def unit_length(projected: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Directions of the validation cells' leading canonical components."""
    return [
        side[1][:, :N_CANONICAL] / np.linalg.norm(side[1][:, :N_CANONICAL], axis=1, keepdims=True) for side in projected
    ]


def measured(embeddings: list[np.ndarray], types: np.ndarray) -> dict[str, float]:
    """FOSCTTM, label transfer in both directions, silhouettes."""
    a, b = embeddings
    both = np.concatenate(embeddings)
    return {
        "foscttm": foscttm(a, b).mean,
        "transfer from RNA": label_transfer_accuracy(a, types, b, types).accuracy,
        "transfer to RNA": label_transfer_accuracy(b, types, a, types).accuracy,
        "silhouette": silhouette_label(both, np.tile(types, 2)),
        "mixing": silhouette_modality(both, np.repeat(["a", "b"], len(a))),
    }


def chromatin(data: DevelopmentSet, folder: Path) -> dict[str, tuple[Any, Any, bool]]:
    """Forms of the second modality of the chromatin set: matrices of training and validation cells, and whether to standardise."""
    wide = validation_split(development_sets.load("snareseq_mouse_cortex", folder, peaks=True))
    n_genes = data.train["activity"].n_vars
    sides = [wide.train["chromatin"], wide.test["chromatin"]]
    # log(1 + x) keeps who was zero, which is all that TF-IDF takes from here
    lsi = [tf_idf(side[:, n_genes:].copy()) for side in sides]
    return {
        "activity": (data.train["activity"].X, data.test["activity"].X, True),
        "peaks": (*(side.X[:, n_genes:] for side in sides), True),
        "peaks, TF-IDF, not standardised": (*lsi, False),
        "peaks, TF-IDF, standardised": (*lsi, True),
        "activity and peaks": (*(side.X for side in sides), True),
    }


class Table:
    """Rows found so far, written as they come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = pd.read_csv(path).to_dict("records") if path.is_file() else []

    def find(self, key: dict[str, Any], embed: Callable[[], list[np.ndarray]], types: np.ndarray) -> None:
        """Measure an embedding of the validation cells, unless that was done before."""
        if any(all(row[name] == value for name, value in key.items()) for row in self.rows):
            return
        start = time.perf_counter()
        embeddings = embed()
        seconds = time.perf_counter() - start
        found = {name: round(value, 4) for name, value in measured(embeddings, types).items()}
        self.rows.append({**key, **found, "seconds": round(seconds, 1)})
        pd.DataFrame(self.rows).to_csv(self.path, index=False)
        print(*self.rows[-1].values(), flush=True)


class Reference:
    """Some of the training cells, and the validation cells that are to be embedded."""

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
        """Embed with a network, or with several; ``canonical`` as in that method."""
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


def ask_chromatin(cells: Reference, n_seeds: int, found: Found) -> None:
    """What shall the model see of chromatin?"""
    for form in cells.forms if len(cells.forms) > 1 else ():
        found(form, 0, partial(cells.linear, form, N_COMPONENTS, RIDGE))


def ask_regularisation(cells: Reference, n_seeds: int, found: Found) -> None:
    """How many components, how regularised?"""
    for variant, (n_components, ridge) in REGULARISATIONS.items():
        found(variant, 0, partial(cells.linear, BEST, n_components, ridge))


def ask_query(cells: Reference, n_seeds: int, found: Found) -> None:
    """How many components, when the query takes part in them, and by whose variance are they whitened?"""
    for k, (whitened, how) in product(WITH_QUERY, WHITENED.items()):
        found(f"no network, {k} components{whitened}", 0, partial(cells.linear, BEST, k, with_query=True, **how))
        for seed in range(n_seeds):
            embed = partial(cells.network, Network(), k, seed, with_query=True, **how)
            found(f"{k} components{whitened}", seed, embed)


def ask_network(cells: Reference, n_seeds: int, found: Found) -> None:
    """Which network, which losses, which training?"""
    found(BASELINE, 0, partial(cells.linear, BEST, 50, 0))
    variants = SMALL if len(cells.part) <= 1000 else NETWORKS
    for seed, name in product(range(n_seeds), variants):
        network = NETWORKS[name]
        if network.by_batch and cells.data.batch_key is None:
            continue
        found(name, seed, partial(cells.network, network, network.recipe.get("n_components", N_COMPONENTS), seed))


def ask_network_with_query(cells: Reference, n_seeds: int, found: Found) -> None:
    """Which of the promising networks, when the query takes part in the components?"""
    n_components = Recipe().components(with_query=True)
    for seed, (name, network) in product(range(n_seeds), PROMISING.items()):
        found(name, seed, partial(cells.network, network, n_components, seed, with_query=True, by_reference=True))


QUESTIONS = {
    "chromatin": ask_chromatin,
    "regularisation": ask_regularisation,
    "with the query": ask_query,
    "network": ask_network,
    "network with the query": ask_network_with_query,
}


def search(name: str, folder: Path, sizes: list[str], questions: list[str], n_seeds: int, table: Table) -> None:
    """Ask the questions on one data set, with references of these sizes."""
    data = validation_split(development_sets.load(name, folder))
    for size in sizes:
        cells = Reference(name, folder, data, data.train.n_obs if size == "all" else int(size))
        for question in questions:

            def found(
                variant: str,
                seed: int,
                embed: Callable[[], list[np.ndarray]],
                question: str = question,
                cells: Reference = cells,
            ) -> None:
                key = {**cells.key, "question": question, "variant": variant, "seed": seed}
                table.find(key, embed, cells.held_out)
                write(table)

            QUESTIONS[question](cells, n_seeds, found)


def write(table: Table) -> None:
    """Write means and deviations."""
    rows = pd.DataFrame(table.rows)
    grouped = rows.groupby(["question", "data", "cells", "variant"], sort=False)
    found = mean_and_deviation(grouped[MEASURES])
    found.insert(0, "seeds", grouped["seed"].nunique())
    found = found.reset_index().sort_values(["data", "cells"], kind="stable")
    parts = [
        f"## {question.capitalize()}\n\n"
        + part.drop(columns="question").to_markdown(index=False, disable_numparse=True)
        for question, part in found.groupby("question", sort=False)
    ]
    (RESULTS / "recipe_search.md").write_text(
        "# The search for the default recipe\n\n"
        "Validation cells held out of the training split; mean ± standard deviation of so many seeds, the rest as in the default recipe.\n"
        "Written by `python benchmarks/recipe_search.py`.\n\n" + "\n\n".join(parts) + "\n"
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCMINNET_DATA"), help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=development_sets.NAMES, choices=development_sets.NAMES)
    parser.add_argument("--sizes", nargs="+", default=SIZES, choices=SIZES, help="cells of the reference")
    parser.add_argument("--questions", nargs="+", default=list(QUESTIONS), choices=list(QUESTIONS))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data, or set SCMINNET_DATA")
    RESULTS.mkdir(exist_ok=True)
    table = Table(RESULTS / "recipe_search.csv")
    for name in arguments.sets:
        search(name, arguments.data, arguments.sizes, arguments.questions, arguments.seeds, table)
    write(table)


if __name__ == "__main__":
    main()
