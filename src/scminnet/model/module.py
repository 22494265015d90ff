"""The siamese network and its layers. No data access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from torch import Tensor, nn
from torch.nn import functional as F

from scminnet.model import losses
from scminnet.model.recipe import Recipe
from scminnet.model.rows import Rows, SparseRows, n_rows

#: Standardised values are clipped here (paper, "Training process").
CLIP = 10.0

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU, "gelu": nn.GELU}

#: Mean and standard deviation of each feature, float32 tensors of length n_features.
Moments = tuple[Tensor, Tensor]


class StandardisedLinear(nn.Module):
    """A linear layer over ``z = clip((x - mean) / std, -10, 10)`` that never makes sparse ``x`` dense.

    With ``z0`` the standardised zero of each feature, ``z W + b = (z - z0) W + (z0 W + b)``, and ``z - z0`` has the
    non-zeros of ``x``. A feature of standard deviation 0 has ``z = 0``.
    """

    def __init__(self, n_features: int, n_out: int, dropout: float) -> None:
        super().__init__()
        # features x outputs: the layout in which embedding_bag gathers a feature's weights
        self.weight = nn.Parameter(torch.empty(n_features, n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.dropout = dropout
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))
        nn.init.kaiming_uniform_(self.weight.T, a=5**0.5)

    def forward(self, x: Rows, moments: Moments | None = None) -> Tensor:
        """Standardise by ``moments`` (default: the reference's) and multiply."""
        mean, std = (self.mean, self.std) if moments is None else moments
        scale = torch.where(std > 0, 1 / std, 0.0)
        weight = self._dropped(self.weight)
        if not isinstance(x, SparseRows):
            return ((x - mean) * scale).clamp(-CLIP, CLIP) @ weight + self.bias
        zero = (-mean * scale).clamp(-CLIP, CLIP)
        values = ((x.values - mean[x.columns]) * scale[x.columns]).clamp(-CLIP, CLIP) - zero[x.columns]
        # the gradient must not reach the values: they are data
        sums = F.embedding_bag(x.columns, weight, x.offsets, mode="sum", per_sample_weights=values)
        return sums + (zero @ weight + self.bias)

    def _dropped(self, weight: Tensor) -> Tensor:
        """Drop features from the input of the whole batch.

        One mask a batch: dropping a feature of z is leaving out its weights, exact for sparse and dense input alike.
        """
        if not self.training or self.dropout == 0:
            return weight
        keep = torch.rand(len(weight), 1, device=weight.device) >= self.dropout
        return weight * (keep / (1 - self.dropout))


class Encoder(nn.Module):
    """One modality: standardise → linear → activation → batch norm."""

    def __init__(self, n_features: int, recipe: Recipe) -> None:
        super().__init__()
        self.linear = StandardisedLinear(n_features, recipe.n_hidden, recipe.input_dropout)
        self.activation = ACTIVATIONS[recipe.activation]()
        self.norm = nn.BatchNorm1d(recipe.n_hidden)
        self.dropout = nn.Dropout(recipe.hidden_dropout)

    def forward(self, x: Rows, moments: Moments | None = None) -> Tensor:
        """Return the hidden representation, cells x n_hidden."""
        hidden = self.activation(self.linear(x, moments))
        if self.training and len(hidden) < 2:
            # one cell has no variance of its own: use the running one
            norm = self.norm
            hidden = F.batch_norm(hidden, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        else:
            hidden = self.norm(hidden)
        return self.dropout(hidden)


class SiameseModule(BaseModuleClass):
    """Per-modality encoders with one embedding head and one type head for all.

    Parameters
    ----------
    n_features
        Number of features of each modality, in the model's order of modalities.
    n_labels
        Number of types, the unlabelled category not counted.
    recipe
        Sizes, activation, dropout, initial values.
    """

    def __init__(self, n_features: Mapping[str, int], n_labels: int, recipe: Recipe) -> None:
        super().__init__()
        self.modalities = tuple(n_features)
        # a list, for modality names may hold what a ModuleDict refuses
        self.encoders = nn.ModuleList(Encoder(n, recipe) for n in n_features.values())
        self.embedding_head = nn.Linear(recipe.n_hidden, recipe.n_latent)
        self.label_head = nn.Linear(recipe.n_hidden, n_labels)
        if recipe.initialisation == "published":
            self._initialise_as_published()

    def _initialise_as_published(self) -> None:
        """Xavier uniform for matrices, N(0, 1) for every vector: what the published code does."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.normal_(parameter)

    def encoder(self, modality: str) -> Encoder:
        """Return the encoder of a modality."""
        return self.encoders[self.modalities.index(modality)]

    def set_moments(self, modality: str, moments: Moments) -> None:
        """Set the reference's mean and standard deviation of a modality's features."""
        layer = self.encoder(modality).linear
        layer.mean.copy_(moments[0])
        layer.std.copy_(moments[1])

    def _get_inference_input(self, tensors: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {"x": tensors["x"]}

    def _get_generative_input(self, tensors: Any, inference_outputs: Any, **kwargs: Any) -> dict[str, Any]:
        return {}

    @auto_move_data
    def inference(self, x: Mapping[str, Rows], moments: Mapping[str, Moments] | None = None) -> dict[str, Any]:
        """Embed and classify.

        Parameters
        ----------
        x
            Rows of cells by modality.
        moments
            Statistics to standardise by, by modality; the reference's for those not named.

        Returns
        -------
        ``embedding`` (cells x n_latent) and ``logits`` (cells x n_labels), each a dictionary by modality.
        """
        moments = moments or {}
        hidden = {m: self.encoder(m)(rows, moments.get(m)) for m, rows in x.items() if n_rows(rows)}
        return {
            "embedding": {m: self.embedding_head(h) for m, h in hidden.items()},
            "logits": {m: self.label_head(h) for m, h in hidden.items()},
        }

    def generative(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Nothing is generated: the network is discriminative."""
        return {}

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """Raise: a siamese network has no distribution to sample from."""
        raise TypeError("MinNet is not a generative model: there is nothing to sample.")

    def loss(
        self,
        tensors: dict[str, Any],
        inference_outputs: dict[str, Any],
        generative_outputs: dict[str, Any],
        recipe: Recipe,
    ) -> LossOutput:
        """Classification loss plus weighted contrastive losses of one batch.

        Parameters
        ----------
        tensors
            A batch of :class:`~scminnet.model.pairs.PairDataset`.
        inference_outputs
            What :meth:`inference` gave for it.
        generative_outputs
            Not used.
        recipe
            Weights and forms of the losses.
        """
        embedding, logits = inference_outputs["embedding"], inference_outputs["logits"]
        labels, cells = tensors["labels"], tensors["cells"]

        metrics: dict[str, Tensor] = {}
        metrics["classification_loss"] = self._classification_loss(logits, labels)
        metrics["contrastive_loss"] = self._contrastive_loss(embedding, tensors, recipe)
        total = (
            recipe.classification_weight * metrics["classification_loss"]
            + recipe.contrastive_weight * metrics["contrastive_loss"]
        )
        if recipe.infonce_weight > 0:
            metrics["infonce_loss"] = self._infonce_loss(embedding, cells, recipe.temperature)
            total = total + recipe.infonce_weight * metrics["infonce_loss"]
        metrics |= self._accuracies(embedding, logits, labels, cells)
        return LossOutput(loss=total, n_obs_minibatch=tensors["n_cells"], extra_metrics=metrics)

    def _classification_loss(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> Tensor:
        # a sum over modalities (paper, total loss); unlabelled cells (-1) have no say
        terms = []
        for modality, predicted in logits.items():
            known = labels[modality] >= 0
            sums = F.cross_entropy(predicted, labels[modality].clamp_min(0), reduction="none")
            terms.append((sums * known).sum() / known.sum().clamp_min(1))
        return torch.stack(terms).sum()

    def _contrastive_loss(self, embedding: Mapping[str, Tensor], tensors: dict[str, Any], recipe: Recipe) -> Tensor:
        labels, cells = tensors["labels"], tensors["cells"]
        squared, same, margin = [], [], []
        for pairs in tensors["pairs"]:
            left, right = (pairs.first, pairs.left), (pairs.second, pairs.right)
            a, b = (embedding[modality][rows] for modality, rows in (left, right))
            outer = pairs.distances.ndim == 2
            label_a, label_b = (labels[modality][rows] for modality, rows in (left, right))
            cell_a, cell_b = (cells[modality][rows] for modality, rows in (left, right))
            if outer:
                label_a, cell_a = label_a.unsqueeze(1), cell_a.unsqueeze(1)
            squared.append(losses.squared_distances(a, b, outer=outer).flatten())
            same.append((cell_a == cell_b).flatten())
            margin.append(losses.margins(pairs.distances, label_a, label_b, m0=recipe.m0, c=recipe.c).flatten())
        if not squared:
            return torch.zeros((), device=self.device)
        return losses.contrastive_loss(
            torch.cat(squared),
            torch.cat(same),
            torch.cat(margin),
            form=recipe.loss_form,
            positive_share=recipe.positive_share,
        )

    def _infonce_loss(self, embedding: Mapping[str, Tensor], cells: Mapping[str, Tensor], temperature: float) -> Tensor:
        terms = []
        for first, second in modality_pairs(tuple(embedding)):
            matches = (cells[first].unsqueeze(1) == cells[second].unsqueeze(0)).nonzero(as_tuple=True)
            if len(matches[0]) > 1:
                a, b = embedding[first][matches[0]], embedding[second][matches[1]]
                terms.append(losses.info_nce(a, b, temperature=temperature))
        return torch.stack(terms).mean() if terms else torch.zeros((), device=self.device)

    @torch.no_grad()
    def _accuracies(
        self,
        embedding: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        labels: Mapping[str, Tensor],
        cells: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Per modality: share of types called right, and of cells that find themselves in the other modality."""
        found: dict[str, Tensor] = {}
        for modality, predicted in logits.items():
            known = labels[modality] >= 0
            found[f"accuracy_{modality}"] = (predicted.argmax(1) == labels[modality])[known].float().mean()
        shares: dict[str, list[Tensor]] = {}
        for first, second in modality_pairs(tuple(embedding)):
            squared = losses.squared_distances(embedding[first], embedding[second], outer=True)
            both = losses.pair_accuracy(squared, cells[first], cells[second])
            for modality, share in zip((first, second), both, strict=True):
                shares.setdefault(modality, []).append(share)
        found |= {f"pair_accuracy_{m}": torch.stack(s).nanmean() for m, s in shares.items()}
        return found


def modality_pairs(modalities: Sequence[str]) -> list[tuple[str, str]]:
    """List every two modalities once, in order."""
    return [(a, b) for i, a in enumerate(modalities) for b in modalities[i + 1 :]]
