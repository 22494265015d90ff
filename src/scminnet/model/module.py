"""The siamese network and its layers. No data access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from torch import Tensor, nn
from torch.nn import functional as F

from scminnet.model import losses
from scminnet.model.processes import ALONE, BatchNorm, Processes
from scminnet.model.recipe import Recipe
from scminnet.model.rows import Rows, SparseRows

#: Standardised values are clipped here (paper, "Training process").
CLIP = 10.0

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU, "gelu": nn.GELU}

#: Mean and standard deviation of each feature, float32 tensors of length n_features.
Moments = tuple[Tensor, Tensor]


class StandardisedLinear(nn.Module):
    """A linear layer over ``z = clip((x - mean) / std, -10, 10)`` that never makes sparse ``x`` dense.

    With ``z0`` the standardised zero of each feature, ``z W + b = (z - z0) W + (z0 W + b)``, and ``z - z0`` has the
    non-zeros of ``x``. A feature of standard deviation 0 has ``z = 0``.

    Parameters
    ----------
    n_features, n_out
        Sizes.
    learned
        Weights are trained; otherwise they are set once (:meth:`set_weights`) and stay.
    dropout
        Share of features left out of each training batch.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, n_features: int, n_out: int, *, learned: bool, dropout: float = 0.0) -> None:
        super().__init__()
        # features x outputs: the layout in which embedding_bag gathers a feature's weights
        weight, bias = torch.zeros(n_features, n_out), torch.zeros(n_out)
        if learned:
            nn.init.kaiming_uniform_(weight.T, a=5**0.5)
            self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        else:
            self.register_buffer("weight", weight)
            self.register_buffer("bias", bias)
        self.dropout = dropout
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))

    @torch.no_grad()
    def set_moments(self, mean: np.ndarray, std: np.ndarray) -> None:
        """Set the reference's mean and standard deviation of each feature."""
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))

    @torch.no_grad()
    def set_weights(self, weight: np.ndarray, bias: np.ndarray) -> None:
        """Set the weights (features x outputs) and the bias."""
        self.weight.copy_(torch.from_numpy(weight))
        self.bias.copy_(torch.from_numpy(bias))

    def forward(self, x: Rows, moments: Moments | None = None) -> Tensor:
        """Standardise by ``moments`` (default: the reference's) and multiply."""
        mean, std = (self.mean, self.std) if moments is None else moments
        scale = torch.where(std > 0, 1 / std, 0.0)
        weight = self._dropped(self.weight)
        if not isinstance(x, SparseRows):
            return ((x - mean) * scale).clamp(-CLIP, CLIP) @ weight + self.bias
        zero = (-mean * scale).clamp(-CLIP, CLIP)
        mean_at, scale_at, zero_at = (moment.index_select(0, x.columns) for moment in (mean, scale, zero))
        values = (x.values - mean_at).mul_(scale_at).clamp_(-CLIP, CLIP).sub_(zero_at)
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


class HiddenLayer(nn.Module):
    """Linear → activation → batch norm."""

    def __init__(self, linear: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.linear = linear
        self.activation = ACTIVATIONS[recipe.activation]()
        self.norm = BatchNorm(recipe.n_hidden)

    def activated(self, x: Tensor) -> Tensor:
        """Return what the batch norm takes, cells x n_hidden."""
        return self.activation(self.linear(x))

    def forward(self, x: Tensor, moments: Moments | None = None, processes: Processes = ALONE) -> Tensor:
        """Apply the layer, with batch norm by ``moments`` where they are given (mean and variance of each unit)."""
        activated, norm = self.activated(x), self.norm
        if moments is None and self.training and processes.size > 1:
            return processes.batch_norm(activated, norm)
        if moments is None and self.training and len(x) < 2:
            # one cell has no variance of its own: use the running one
            moments = (norm.running_mean, norm.running_var)
        if moments is None:
            return norm(activated)
        return F.batch_norm(activated, *moments, norm.weight, norm.bias, eps=norm.eps)


class Encoder(nn.Module):
    """One modality: input layer, then hidden layers, each beyond the first added to what it was given.

    With ``input_layer="canonical"`` the input layer is a fixed projection on the canonical components; with ``"learned"`` it is the first
    hidden layer's matrix.
    """

    def __init__(self, n_features: int, recipe: Recipe) -> None:
        super().__init__()
        learned = recipe.input_layer == "learned"
        self.input = StandardisedLinear(
            n_features,
            recipe.n_hidden if learned else recipe.n_canonical,
            learned=learned,
            dropout=recipe.input_dropout if learned else 0.0,
        )
        first = nn.Identity() if learned else nn.Linear(recipe.n_canonical, recipe.n_hidden)
        others = [nn.Linear(recipe.n_hidden, recipe.n_hidden) for _ in range(recipe.n_layers - 1)]
        # torch does not type what is in a ModuleList
        self.layers: Sequence[HiddenLayer] = nn.ModuleList(HiddenLayer(linear, recipe) for linear in (first, *others))  # type: ignore[assignment]

    def hidden(
        self,
        projected: Tensor,
        moments: Sequence[Moments] | None = None,
        *,
        dropout: float = 0.0,
        processes: Processes = ALONE,
    ) -> Tensor:
        """Return the hidden representation of what the input layer gave, cells x n_hidden.

        Parameters
        ----------
        projected
            Cells x outputs of the input layer.
        moments
            By layer, mean and variance for its batch norm; ``None``: those of the batch in training, else the running ones. With moments of
            the first layers only, what these give.
        dropout
            Share of the units left out after each layer in training.
        processes
            Over which the batch is spread in training.
        """
        hidden = projected
        for i, layer in enumerate(self.layers if moments is None else self.layers[: len(moments)]):
            added = layer(hidden, None if moments is None else moments[i], processes)
            hidden = F.dropout(added if i == 0 else hidden + added, dropout, self.training)
        return hidden


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
        self.normalise = recipe.normalise
        self.adapt_norm = recipe.adapt_norm
        #: Set anew by the training, as it may follow the number of paired cells.
        self.hidden_dropout = recipe.hidden_dropout or 0.0
        # a list, for modality names may hold what a ModuleDict refuses
        self.encoders: Sequence[Encoder] = nn.ModuleList(Encoder(n, recipe) for n in n_features.values())  # type: ignore[assignment]  # as above
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

    def _get_inference_input(self, tensors: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {name: tensors[name] for name in ("x", "projected", "processes")}

    def _get_generative_input(self, tensors: Any, inference_outputs: Any, **kwargs: Any) -> dict[str, Any]:
        return {}

    @auto_move_data
    def project(self, modality: str, x: Rows, moments: Moments | None = None) -> Tensor:
        """Apply a modality's input layer, standardising by ``moments`` (default: the reference's)."""
        return self.encoder(modality).input(x, moments)

    @auto_move_data
    def inference(
        self,
        x: Mapping[str, Rows],
        *,
        projected: bool = False,
        moments: Mapping[str, Sequence[Moments]] | None = None,
        processes: Processes = ALONE,
    ) -> dict[str, Any]:
        """Embed and classify.

        Parameters
        ----------
        x
            Rows of cells by modality.
        projected
            The rows went through the input layer before: a fixed one is applied once, not in each epoch.
        moments
            By modality and hidden layer, mean and variance for its batch norm; ``None``: those of the batch in training, else the running ones.
        processes
            Over which the batch is spread in training; ``x`` is this one's part.

        Returns
        -------
        ``embedding`` (cells x n_latent) and ``logits`` (cells x n_labels), each a dictionary by modality.
        """
        embedding, logits = {}, {}
        for modality, rows in x.items():
            # also without cells: of several processes each takes part in the exchange of every modality
            hidden = self.encoder(modality).hidden(
                rows if projected else self.project(modality, rows),  # type: ignore[arg-type]  # projected, they are dense
                None if moments is None else moments[modality],
                dropout=self.hidden_dropout,
                processes=processes,
            )
            embedding[modality] = self.embedding_head(hidden)
            logits[modality] = self.label_head(hidden)
        return {"embedding": embedding, "logits": logits}

    def position(self, embedding: Tensor) -> Tensor:
        """Return where embedded cells stand for the user: on the unit sphere when directions are what counts."""
        return F.normalize(embedding, dim=1) if self.normalise else embedding

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
        labels, cells = tensors["labels"], tensors["cells"]
        embedding, logits = (
            {m: tensors["processes"].whole(part, len(cells[m])) for m, part in inference_outputs[name].items()}
            for name in ("embedding", "logits")
        )
        # a modality of which the batch has no cells gets gradients of zero, for DDP waits for all
        nothing = [parts.pop(m).sum() for parts in (embedding, logits) for m in list(parts) if not len(cells[m])]

        metrics: dict[str, Tensor] = {}
        metrics["classification_loss"] = self._classification_loss(logits, labels)
        metrics["contrastive_loss"] = self._contrastive_loss(embedding, tensors, recipe)
        total = (
            recipe.classification_weight * metrics["classification_loss"]
            + recipe.contrastive_weight * metrics["contrastive_loss"]
        )
        if recipe.infonce_weight > 0:
            metrics["infonce_loss"] = self._infonce_loss(embedding, tensors["matches"], recipe.temperature)
            total = total + recipe.infonce_weight * metrics["infonce_loss"]
        if recipe.supervised_weight > 0:
            metrics["supervised_loss"] = self._supervised_loss(
                embedding, labels, tensors["labelled"], recipe.temperature
            )
            total = total + recipe.supervised_weight * metrics["supervised_loss"]
        if nothing:
            total = total + torch.stack(nothing).sum()
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

    def _infonce_loss(
        self,
        embedding: Mapping[str, Tensor],
        matches: Mapping[tuple[str, str], tuple[Tensor, Tensor]],
        temperature: float,
    ) -> Tensor:
        terms = [
            losses.info_nce(embedding[first][left], embedding[second][right], temperature=temperature)
            for (first, second), (left, right) in matches.items()
            if len(left) > 1
        ]
        return torch.stack(terms).mean() if terms else torch.zeros((), device=self.device)

    def _supervised_loss(
        self,
        embedding: Mapping[str, Tensor],
        labels: Mapping[str, Tensor],
        labelled: Mapping[str, Tensor],
        temperature: float,
    ) -> Tensor:
        known = {m: (cells[labelled[m]], labels[m][labelled[m]]) for m, cells in embedding.items()}
        terms = [
            losses.supervised_contrast(
                known[first][0], known[second][0], known[first][1], known[second][1], temperature=temperature
            )
            for first, second in modality_pairs(tuple(embedding))
        ]
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
            right = (predicted.argmax(1) == labels[modality]) & known
            found[f"accuracy_{modality}"] = right.sum() / known.sum()
        shares: dict[str, list[Tensor]] = {}
        for first, second in modality_pairs(tuple(embedding)):
            a, b = self.position(embedding[first]), self.position(embedding[second])
            squared = losses.squared_distances(a, b, outer=True)
            both = losses.pair_accuracy(squared, cells[first], cells[second])
            for modality, share in zip((first, second), both, strict=True):
                shares.setdefault(modality, []).append(share)
        found |= {f"pair_accuracy_{m}": torch.stack(s).nanmean() for m, s in shares.items()}
        return found


def modality_pairs(modalities: Sequence[str]) -> list[tuple[str, str]]:
    """List every two modalities once, in order."""
    return [(a, b) for i, a in enumerate(modalities) for b in modalities[i + 1 :]]
