"""Layers of the siamese network: the encoder of one modality, from features to the hidden representation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scminnet.model.data.sparse_rows import Rows, SparseRows
from scminnet.model.network.processes import ALONE, BatchNorm, Processes
from scminnet.model.recipe import Recipe

#: Standardised values are clipped here (paper, "Training process").
CLIP = 10.0

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU, "gelu": nn.GELU}

#: Mean and standard deviation of each feature, float32 tensors of length n_features.
Moments = tuple[Tensor, Tensor]


def scale_and_bound(mean: Tensor, std: Tensor, peaks: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each feature is multiplied by, and where it is clipped then.

    Features are divided by their standard deviation, and clipped at ``CLIP``. A peak that a share p of the cells has
    open is 1 / sqrt(p) there. For less than 1 % that is beyond, so rare peaks are clipped at twice this value. A
    constant feature becomes 0.

    Parameters
    ----------
    mean, std
        Mean and standard deviation of each feature.
    peaks
        Whether each feature is a peak, bool.
    """
    when_open = torch.where(mean > 0, (1 + (std / mean).square()).sqrt(), 0.0)
    bound = torch.where(peaks, 2 * when_open, 0.0).clamp(min=CLIP)
    return torch.where(std > 0, 1 / std, 0.0), bound


class StandardisedLinear(nn.Module):
    """A linear layer over ``z = clip((x - mean) / std, -10, 10)`` that never makes sparse ``x`` dense.

    ``z0`` is the standardised zero of each feature. The output is ``z W + b = (z - z0) W + (z0 W + b)``, and ``z - z0``
    is as sparse as ``x``. A feature of standard deviation 0 has ``z = 0``. Rare peaks are clipped elsewhere
    (:func:`scale_and_bound`).

    Parameters
    ----------
    n_features, n_out
        Sizes.
    learned
        Whether weights are trained. Otherwise :meth:`set_weights` sets them once.
    dropout
        Share of features dropped from each training batch.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor
    peaks: Tensor

    def __init__(self, n_features: int, n_out: int, *, learned: bool, dropout: float = 0.0) -> None:
        super().__init__()
        # features x outputs, because embedding_bag gathers a feature's weights by row
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
        self.register_buffer("peaks", torch.zeros(n_features, dtype=torch.bool))

    @torch.no_grad()
    def set_moments(self, mean: np.ndarray, std: np.ndarray, peaks: np.ndarray) -> None:
        """Set the reference's mean and standard deviation of each feature, and which of them are peaks."""
        for own, values in ((self.mean, mean), (self.std, std), (self.peaks, peaks)):
            own.copy_(torch.from_numpy(values))

    @torch.no_grad()
    def set_weights(self, weight: np.ndarray, bias: np.ndarray) -> None:
        """Set the weights (features x outputs) and the bias."""
        self.weight.copy_(torch.from_numpy(weight))
        self.bias.copy_(torch.from_numpy(bias))

    def forward(self, x: Rows, moments: Moments | None = None) -> Tensor:
        """Standardise by ``moments`` (default: the reference's) and apply the weights."""
        mean, std = (self.mean, self.std) if moments is None else moments
        scale, bound = scale_and_bound(mean, std, self.peaks)
        weight = self._dropped(self.weight)
        if not isinstance(x, SparseRows):
            return ((x - mean) * scale).clamp(-bound, bound) @ weight + self.bias
        zero = (-mean * scale).clamp(-bound, bound)
        mean_at, scale_at, bound_at, zero_at = (of.index_select(0, x.columns) for of in (mean, scale, bound, zero))
        values = (x.values - mean_at).mul_(scale_at).clamp_(-bound_at, bound_at).sub_(zero_at)
        sums = F.embedding_bag(x.columns, weight, x.offsets, mode="sum", per_sample_weights=values)
        return sums + (zero @ weight + self.bias)

    def _dropped(self, weight: Tensor) -> Tensor:
        """Drop features from the input of the whole batch.

        All cells have the same mask. Dropping a feature of z means leaving out its weights, which is exact for sparse
        and dense input.
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
        """Return the input of batch norm, cells x n_hidden."""
        return self.activation(self.linear(x))

    def forward(self, x: Tensor, moments: Moments | None = None, processes: Processes = ALONE) -> Tensor:
        """Apply the layer. Batch norm uses ``moments`` (mean and variance of each unit) if they are given."""
        activated, norm = self.activated(x), self.norm
        if moments is None and self.training and processes.size > 1:
            return processes.batch_norm(activated, norm)
        if moments is None and self.training and len(x) < 2:
            # a single cell has no variance, so the running moments are used
            moments = (norm.running_mean, norm.running_var)
        if moments is None:
            return norm(activated)
        return F.batch_norm(activated, *moments, norm.weight, norm.bias, eps=norm.eps)


class Encoder(nn.Module):
    """Encoder of one modality: an input layer, then hidden layers.

    The output of each hidden layer but the first is added to its input. With ``input_layer="canonical"``, the input
    layer is a fixed projection onto the canonical components. With ``"learned"``, it is the matrix of the first hidden
    layer.
    """

    def __init__(self, n_features: int, recipe: Recipe, n_canonical: int) -> None:
        super().__init__()
        learned = recipe.input_layer == "learned"
        self.input = StandardisedLinear(
            n_features,
            recipe.n_hidden if learned else n_canonical,
            learned=learned,
            dropout=recipe.input_dropout if learned else 0.0,
        )
        first = nn.Identity() if learned else nn.Linear(n_canonical, recipe.n_hidden)
        others = [nn.Linear(recipe.n_hidden, recipe.n_hidden) for _ in range(recipe.n_layers - 1)]
        self.layers: Sequence[HiddenLayer] = nn.ModuleList(  # type: ignore[assignment]  # torch does not type items
            HiddenLayer(linear, recipe) for linear in (first, *others)
        )

    def hidden(
        self,
        projected: Tensor,
        moments: Sequence[Moments] | None = None,
        *,
        dropout: float = 0.0,
        processes: Processes = ALONE,
    ) -> Tensor:
        """Return the hidden representation, cells x n_hidden.

        Parameters
        ----------
        projected
            Output of the input layer, cells x outputs.
        moments
            Mean and variance for batch norm, by layer. ``None``: those of the batch in training, otherwise the running
            ones. If only the first layers have moments, only these layers are applied.
        dropout
            Share of units dropped after each layer in training.
        processes
            Processes that share the batch in training.
        """
        hidden = projected
        for i, layer in enumerate(self.layers if moments is None else self.layers[: len(moments)]):
            added = layer(hidden, None if moments is None else moments[i], processes)
            hidden = F.dropout(added if i == 0 else hidden + added, dropout, self.training)
        return hidden
