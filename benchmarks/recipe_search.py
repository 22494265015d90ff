"""The search for the default recipe, on validation cells held out of the training split.

Run from the repository's root::

    pip install -e ".[benchmark]"
    python benchmarks/recipe_search.py --data FOLDER

writes ``benchmarks/results/recipe_search.csv`` and ``recipe_search.md``. The validation cells are those of ``ablation.py``; references of 400
and 1,000 cells are random parts of the others. Three questions, each with the rest as in the default recipe: what the
model shall see of chromatin, how the canonical components are regularised (both answered without a network, by the components scaled to unit
length), and how the network is trained. Networks are trained for 400 steps at most, which ranks them at a third of the time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import development_sets
import numpy as np
import pandas as pd
import torch
from ablation import validation_split
from development_sets import DevelopmentSet
from scipy import sparse
from sklearn.decomposition import PCA
from torch.nn import functional as F

from scminnet.graph.geodesic import GeodesicIndex
from scminnet.metrics import foscttm, label_transfer_accuracy, silhouette_label, silhouette_modality
from scminnet.model import PairDataModule, Recipe, SiameseModule
from scminnet.model.pairs import PairDataset
from scminnet.model.projection import RIDGE, standardised_deviation
from scminnet.model.rows import as_row_matrix, feature_moments
from scminnet.model.training_plan import WARM_UP
from scminnet.pp.margin_graph import build_margin_graph

RESULTS = Path(__file__).parent / "results"
MAX_COMPONENTS = 200
N_CANONICAL = Recipe().n_canonical
KEYS = ["data", "cells", "question", "variant"]

#: By variant, principal components and ridge of the canonical components.
REGULARISATIONS: dict[str, tuple[int, float]] = {
    f"{k} components, ridge {ridge:g}": (k, ridge) for k in (20, 50, 100, 200) for ridge in (0, 10, 30)
}


class Network(NamedTuple):
    """Changes to the default recipe, and what the package does not offer."""

    recipe: dict[str, Any] = {}
    augment: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]] | None = None
    residual: bool = False
    max_steps: int = 400


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


NETWORKS: dict[str, Network] = {
    "default": Network(),
    "margin loss 0": Network({"contrastive_weight": 0.0}),
    "margin loss 2": Network({"contrastive_weight": 2.0}),
    "margin loss 2, no supervised": Network({"contrastive_weight": 2.0, "supervised_weight": 0.0}),
    "neither": Network({"contrastive_weight": 0.0, "supervised_weight": 0.0}),
    "supervised 1": Network({"supervised_weight": 1.0}),
    "temperature 0.1": Network({"temperature": 0.1}),
    "noise": Network(augment=noise),
    "dropout": Network(augment=dropout),
    "mixup": Network(augment=mixup),
    "residual": Network(residual=True),
    "50 canonical components": Network({"n_canonical": 50}),
    "768 hidden": Network({"n_hidden": 768}),
    "64 dimensions": Network({"n_latent": 64}),
    "batches of 64": Network({"batch_size": 64}),
    "1000 steps": Network(max_steps=1000),
}
SMALL_NETWORKS: dict[str, Network] = {
    "default": Network(),
    "20 epochs": Network({"max_epochs": 20}),
    "150 epochs": Network({"max_epochs": 150}),
    "margin loss 2, no supervised": Network({"contrastive_weight": 2.0, "supervised_weight": 0.0}),
    "residual": Network(residual=True),
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


def components(train: Any, validation: Any, *, standardise: bool) -> Components:
    """Fit on the reference; validation cells are standardised by their own statistics, as a query is."""
    sides, zeros = [], []
    for matrix in (as_row_matrix(train), as_row_matrix(validation)):
        mean, std = feature_moments(matrix)
        if not standardise:
            sides.append(matrix)
            zeros.append(np.zeros(matrix.shape[1], np.float32))
            continue
        sides.append(standardised_deviation(matrix, mean, std))
        zeros.append(np.clip(-mean / np.where(std > 0, std, np.inf), -10, 10))
    few = train.shape[1] <= MAX_COMPONENTS
    pca = PCA(
        train.shape[1] if few else min(MAX_COMPONENTS, train.shape[0] - 1),
        svd_solver="covariance_eigh" if few else "arpack",
        random_state=0,
    ).fit(sides[0])
    centre = pca.mean_ @ pca.components_.T
    scores = [side @ pca.components_.T - centre for side in sides]
    scores[1] += (zeros[1] - zeros[0]) @ pca.components_.T
    return Components(scores[0], scores[1], pca.explained_variance_)


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
    recipe = Recipe(**{"max_steps": variant.max_steps, **variant.recipe})
    torch.manual_seed(seed)
    sides = [
        tuple(np.ascontiguousarray(s[:, : recipe.n_canonical], dtype=np.float32) for s in side) for side in projected
    ]
    recipe = Recipe(**{**recipe.as_dict(), "n_canonical": sides[0][0].shape[1]})
    module = SiameseModule({"a": 1, "b": 1}, labels.max() + 1, recipe)

    def embedded(x: dict[str, torch.Tensor]) -> dict[str, Any]:
        out = module.inference(x, projected=True)
        if variant.residual:
            width = min(recipe.n_canonical, recipe.n_latent)
            out["embedding"] = {
                m: 0.1 * e + F.pad(x[m][:, :width], (0, recipe.n_latent - width)) for m, e in out["embedding"].items()
            }
        return out

    n_cells = len(labels)
    rows = np.arange(n_cells)
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
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.lr, total_steps=n_epochs * batches.n_train_batches, pct_start=WARM_UP
    )
    module.train()
    for epoch in range(n_epochs):
        loader = batches.train_dataloader()
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            if variant.augment:
                batch["x"] = dict(zip("ab", variant.augment(batch["x"]["a"], batch["x"]["b"]), strict=True))
            optimizer.zero_grad()
            module.loss(batch, embedded(batch["x"]), {}, recipe).loss.backward()
            optimizer.step()
            schedule.step()
    module.eval()
    with torch.inference_mode():
        out = embedded({m: torch.from_numpy(side[1]) for m, side in zip("ab", sides, strict=True)})
        return [module.position(e).numpy() for e in out["embedding"].values()]


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


def search(name: str, folder: Path, n_seeds: int) -> list[dict[str, Any]]:
    """Answer the three questions on one data set."""
    rows: list[dict[str, Any]] = []
    data = validation_split(development_sets.load(name, folder))
    types = data.train.obs[data.labels_key].astype(str).to_numpy()
    codes = pd.factorize(types, sort=True)[0].astype(np.int64)
    held_out = data.test.obs[data.labels_key].astype(str).to_numpy()
    forms = chromatin(data, folder) if "activity" in data.modalities else {}
    best = "activity and peaks"
    forms = forms or {best: (data.train["adt"].X, data.test["adt"].X, True)}
    rna = as_row_matrix(data.train["rna"].X)
    batches = data.train.obs[data.batch_key].astype(str).to_numpy() if data.batch_key else np.full(len(types), "all")

    for size in (400, 1000, data.train.n_obs):
        part = np.sort(np.random.default_rng(0).choice(data.train.n_obs, size, replace=False))

        def note(question: str, variant: str, seed: int, embeddings: list[np.ndarray], cells: int = size) -> None:
            found = measured(embeddings, held_out)
            rows.append({"data": name, "cells": cells, "question": question, "variant": variant, "seed": seed, **found})
            print(name, cells, question, variant, seed, {m: round(v, 4) for m, v in found.items()}, flush=True)

        left = components(rna[part], data.test["rna"].X, standardise=True)
        sides = {}
        for form, (train, validation, standardise) in forms.items():
            sides[form] = components(sparse.csr_matrix(train)[part], validation, standardise=standardise)
            if len(forms) > 1:
                note("chromatin", form, 0, unit_length(canonical(left, sides[form], 100, RIDGE)))
        for variant, (n_components, ridge) in REGULARISATIONS.items():
            note("regularisation", variant, 0, unit_length(canonical(left, sides[best], n_components, ridge)))
        graph = build_margin_graph(rna[part], batches[part], seed=0).distances
        torch.set_num_threads(1)  # numba's first parallel function changes them
        geodesics = GeodesicIndex(graph, seed=0)
        projected = canonical(left, sides[best], Recipe().n_components, RIDGE)
        for variant, network in (NETWORKS if size > 1000 else SMALL_NETWORKS).items():
            for seed in range(n_seeds):
                note("network", variant, seed, trained(network, projected, codes[part], geodesics, seed))
    return rows


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCMINNET_DATA"), help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data, or set SCMINNET_DATA")
    start = time.perf_counter()
    rows = [row for name in development_sets.NAMES for row in search(name, arguments.data, arguments.seeds)]
    table = pd.DataFrame(rows).round(4)
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "recipe_search.csv", index=False)
    means = table.drop(columns="seed").groupby(KEYS, sort=False).mean()
    text = means.map("{:.3f}".format).reset_index()
    parts = [
        f"## {question.capitalize()}\n\n"
        + part.drop(columns="question").to_markdown(index=False, disable_numparse=True)
        for question, part in text.groupby("question", sort=False)
    ]
    (RESULTS / "recipe_search.md").write_text(
        "# The search for the default recipe\n\n"
        f"Validation cells held out of the training split; networks: mean of {arguments.seeds} seeds, 400 steps at most, "
        "the rest as in the default recipe.\nWritten by `python benchmarks/recipe_search.py`.\n\n"
        + "\n\n".join(parts)
        + "\n"
    )
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
