"""Forward pass of cells through the trained network, in batches: input layer, hidden layers, heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from scminnet._core.matrices import row_blocks
from scminnet.model.data.sparse_rows import take_rows
from scminnet.model.network.layers import Moments
from scminnet.model.network.module import SiameseModule

#: Cells that go through the network at once: enough to be fast, few enough to need little memory.
BATCH_SIZE = 2048

#: With fewer cells, mean and variance are too inaccurate to standardise by.
MIN_CELLS_FOR_STATISTICS = 30

#: Largest number of cells for the hidden layers' mean and variance. Their error is then a hundredth of a standard
#: deviation, and the other cells need only one forward pass.
MAX_CELLS_FOR_HIDDEN_STATISTICS = 10_000


@torch.inference_mode()
def project_rows(
    module: SiameseModule,
    matrix: Any,
    modality: str,
    *,
    moments: tuple[np.ndarray, np.ndarray] | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Send all rows of a matrix through a modality's input layer.

    Parameters
    ----------
    module
        The network.
    matrix
        Cells x features, a row matrix in memory, on disk or of dask.
    modality
        Modality whose input layer is used.
    moments
        Mean and standard deviation that standardise the features. ``None``: the reference's.
    batch_size
        Cells at once.

    Returns
    -------
    Cells x outputs of the layer, float32.
    """
    given = None if moments is None else tuple(torch.from_numpy(m).to(module.device) for m in moments)
    module.eval()
    projected = np.empty((matrix.shape[0], module.encoder(modality).input.weight.shape[1]), dtype=np.float32)
    for rows, block in row_blocks(matrix):
        for part in _batches(block.shape[0], batch_size):
            projected[rows][part] = module.project(modality, take_rows(block, part), given).cpu().numpy()
    if moments is not None and module.adapt_norm:
        # clipping moves the mean of rare features, so standardised features do not give centred components
        projected -= projected.mean(axis=0, dtype=np.float64).astype(np.float32)
    return projected


def _batches(n_cells: int, batch_size: int) -> list[slice]:
    return [slice(start, min(start + batch_size, n_cells)) for start in range(0, n_cells, batch_size)]


@torch.inference_mode()
def hidden_moments(
    module: SiameseModule, projected: np.ndarray, modality: str, *, batch_size: int = BATCH_SIZE
) -> list[Moments]:
    """Compute the mean and variance of each hidden unit over the cells given, for the batch norm.

    Of more than ``MAX_CELLS_FOR_HIDDEN_STATISTICS`` cells, that many are used, evenly spaced from first to last.

    Parameters
    ----------
    module
        The network.
    projected
        Output of :func:`project_rows` for all cells.
    modality
        Modality whose encoder is used.
    batch_size
        Cells at once.

    Returns
    -------
    By layer, two float32 tensors of length n_hidden. The variance divides by n, as batch norm does in training.
    """
    module.eval()
    encoder = module.encoder(modality)
    if len(projected) > MAX_CELLS_FOR_HIDDEN_STATISTICS:
        projected = projected[np.linspace(0, len(projected) - 1, MAX_CELLS_FOR_HIDDEN_STATISTICS).astype(np.int64)]
    moments: list[Moments] = []
    for layer in encoder.layers:
        n, mean, squares = 0, torch.zeros((), device=module.device), torch.zeros((), device=module.device)
        for rows in _batches(len(projected), batch_size):
            below = encoder.hidden(torch.from_numpy(projected[rows]).to(module.device), moments)
            activated = layer.activated(below)
            # deviations from the batch's mean keep small variances exact; merged as in Chan, Golub and LeVeque 1983
            own_n, own_mean = len(activated), activated.mean(0)
            own_squares = (activated - own_mean).square_().sum(0).double()
            apart = own_mean.double() - mean
            squares = squares + own_squares + apart.square() * (n * own_n / (n + own_n))
            mean = mean + apart * (own_n / (n + own_n))
            n += own_n
        moments.append((mean.float(), (squares / n).float()))
    return moments


@torch.inference_mode()
def embed_projected(
    module: SiameseModule,
    projected: np.ndarray,
    modality: str,
    *,
    moments: Sequence[Moments] | None = None,
    batch_size: int = BATCH_SIZE,
) -> tuple[np.ndarray, np.ndarray]:
    """Embed and classify cells that went through the input layer.

    Parameters
    ----------
    module
        The network.
    projected
        Output of :func:`project_rows`.
    modality
        Modality whose encoder is used.
    moments
        Mean and variance of each hidden layer, for its batch norm. ``None``: those of training.
    batch_size
        Cells at once.

    Returns
    -------
    Embedding (cells x n_latent) and probabilities of cell types (cells x n_labels), float32.

    Raises
    ------
    ValueError
        They are not finite.
    """
    module.eval()
    n_labels = module.n_labels
    embedding, probabilities = (np.empty((len(projected), n), dtype=np.float32) for n in (module.n_embedding, n_labels))
    given = None if moments is None else {modality: moments}
    for rows in _batches(len(projected), batch_size):
        out = module.inference({modality: torch.from_numpy(projected[rows])}, projected=True, moments=given)
        embedding[rows] = module.position(out["embedding"][modality]).cpu().numpy()
        if n_labels:
            probabilities[rows] = out["logits"][modality].softmax(dim=1).cpu().numpy()
    bad = np.logical_not(np.isfinite(embedding).all(axis=1) & np.isfinite(probabilities).all(axis=1))
    if bad.any():
        raise ValueError(
            f"the model's embedding of {int(bad.sum()):,} of {len(embedding):,} cells of modality {modality!r} is not "
            "finite. Its weights are damaged, or its training diverged. Train it again, or load another copy."
        )
    return embedding, probabilities


def mean_over_modalities(parts: list[np.ndarray], positions: np.ndarray) -> np.ndarray:
    """Average each cell's values over its modalities.

    Parameters
    ----------
    parts
        By modality, one row per cell in the modality's order.
    positions
        Cells x modalities: row in the modality, -1 where the cell was not measured.

    Returns
    -------
    Cells x columns, float32.
    """
    total = np.zeros((len(positions), parts[0].shape[1]), dtype=np.float32)
    for part, rows in zip(parts, positions.T, strict=True):
        measured = rows >= 0
        total[measured] += part[rows[measured]]
    return total / (positions >= 0).sum(axis=1, keepdims=True, dtype=np.float32)
