"""Training of a network on canonical components, with the options of ``networks.Network``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from benchmarks.accuracy.recipe_search.networks import Network
from scminnet.graph.geodesic import GeodesicIndex
from scminnet.model import PairDataModule, Recipe, SiameseModule
from scminnet.model.inference.forward_pass import hidden_moments
from scminnet.model.training.pair_data import PairDataset
from scminnet.model.training.pair_sampler import DrawnBatch, PairSampler
from scminnet.model.training.training_plan import WARM_UP


class BalancedSampler(PairSampler):
    """Draws each batch independently, with all types equally likely."""

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


def trained(
    variant: Network,
    projected: list[tuple[np.ndarray, np.ndarray]],
    labels: np.ndarray,
    geodesics: GeodesicIndex,
    seed: int,
) -> list[np.ndarray]:
    """Train the network on canonical components. Return the embeddings of the validation cells."""
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
    n_epochs = recipe.n_epochs(batches.n_train_batches, len(labels))
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
