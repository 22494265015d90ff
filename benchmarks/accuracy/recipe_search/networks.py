"""Networks that the search tries: changes to the default recipe, and options that the package does not offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch.nn import functional as F


class Network(NamedTuple):
    """Changes to the default recipe, and options that the package does not offer."""

    recipe: dict[str, Any] = {}
    augment: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]] | None = None
    residual: bool = False
    """The canonical components are added to the embedding."""
    smoothed: int = 0
    """Each validation cell's components are averaged with those of this many nearest neighbours."""
    linear: float = 0.0
    """The directions of the canonical components are appended to the embedding, with this weight."""
    n_networks: int = 1
    """Networks with other initial weights, whose embeddings are concatenated."""
    averaged: bool = False
    """Weights are averaged over about a hundred steps."""
    balanced: bool = False
    """Each type is equally likely in a training batch."""
    distances: Literal["landmarks", "exact", "straight"] = "landmarks"
    """Distances of the margins: along the graph by landmarks or exact, or Euclidean between principal components."""
    by_batch: bool = False
    """Features are standardised in each batch separately."""


def noise(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Add noise of half the standard deviation of each component."""
    return tuple(x + 0.5 * x.std(0) * torch.randn_like(x) for x in (a, b))


def dropout(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Drop a fifth of the components."""
    return F.dropout(a, 0.2), F.dropout(b, 0.2)


def mixup(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each cell with a random other one, with the same share of at most one half in both modalities."""
    share = 0.5 + 0.5 * torch.rand(len(a), 1)
    other = torch.randperm(len(a))
    return share * a + (1 - share) * a[other], share * b + (1 - share) * b[other]


#: The default before this search, except for its ridge.
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

#: Networks that are also tried with 400 and 1,000 cells, because they depend on the number of pairs.
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

#: Networks that are also trained with the query (semi-supervised).
PROMISING: dict[str, Network] = {
    name: NETWORKS[name] for name in ("default", "three hidden layers", "512 hidden", "InfoNCE 2")
} | {
    "512 hidden, InfoNCE 2": Network({"n_hidden": 512, "infonce_weight": 2.0}),
    "512 hidden, InfoNCE 2, temperature 0.15": Network({"n_hidden": 512, "infonce_weight": 2.0, "temperature": 0.15}),
    "linear components beside": Network(linear=0.5),
    "512 hidden, InfoNCE 2, linear components beside": Network({"n_hidden": 512, "infonce_weight": 2.0}, linear=0.5),
}
