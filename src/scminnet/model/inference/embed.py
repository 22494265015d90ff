"""Embedding and predicted cell types of a model's own cells or of a query."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice, check_count, shorten
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.mdata import check_copyable, check_modalities, check_mudata, copied, layer_matrix
from scminnet.model.data.cell_index import check_measured, rows_in_modalities
from scminnet.model.data.moments import feature_moments
from scminnet.model.data.query_alignment import with_model_features
from scminnet.model.data.query_names import check_modality_names
from scminnet.model.data.registration import check_matrices
from scminnet.model.data.registry import RegisteredModel
from scminnet.model.data.sparse_rows import as_row_matrix
from scminnet.model.inference.forward_pass import (
    BATCH_SIZE,
    MIN_CELLS_FOR_STATISTICS,
    embed_projected,
    hidden_moments,
    mean_over_modalities,
    project_rows,
)
from scminnet.model.network.module import SiameseModule

Statistics = Literal["query", "reference"]


class CheckedCells(NamedTuple):
    """Cells that the network can embed."""

    #: What the user gave.
    data: MuData
    #: The same cells with the model's features.
    aligned: MuData
    modalities: list[str]
    #: Rows of the cells in each modality (cells x modalities). -1: not measured.
    positions: np.ndarray


class EmbeddingMixin(RegisteredModel):
    """``get_latent_representation``, ``predict`` and ``embed`` of :class:`~scminnet.MinNet`."""

    module: SiameseModule

    @check_types
    def get_latent_representation(
        self,
        mdata: MuData | None = None,
        *,
        modality: str | None = None,
        statistics: Statistics = "query",
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray:
        """Embed cells.

        Parameters
        ----------
        mdata
            Cells measured in any of the model's modalities. Features are found by name, in any order. Features that
            the cells lack count as zeros, and their number is logged. The cells need neither registration nor labels,
            and are not changed. ``None``: the model's own data.
        modality
            ``None``: embed every cell of the MuData, as the mean over its modalities. A name: embed the cells of that
            modality, in its order.
        statistics
            Mean and variance that standardise each feature. With the default preset they standardise each hidden unit,
            too. ``"query"`` takes them from the cells given. For features this is the paper's choice, and it removes
            much of the difference between platforms. ``"reference"`` takes them from the reference, and is the only
            choice for a handful of cells.
        batch_size
            Cells that go through the network at once.

        Returns
        -------
        float32 array, cells x n_latent.

        Raises
        ------
        TypeError
            An argument is of the wrong type.
        RuntimeError
            The model is not trained.
        ValueError
            There are no data; the modality is unknown, or the query has one of the model's under another name; a
            modality has none of the model's features, or less than 5 % and more of them under names that are written
            otherwise; values are NaN, infinite or too large; there are too few cells for ``statistics="query"``; or the
            model's weights are not finite.

        Warns
        -----
        UserWarning
            More of the model's features would be found under names that are written otherwise.
        """
        cells = self._checked(mdata, modality, statistics)
        parts = self._embed(cells, statistics, batch_size)
        embeddings = {m: embedding for m, (embedding, _) in parts.items()}
        return embeddings[modality] if modality else mean_over_modalities(list(embeddings.values()), cells.positions)

    @check_types
    def predict(
        self,
        mdata: MuData | None = None,
        *,
        modality: str | None = None,
        soft: bool = False,
        statistics: Statistics = "query",
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray | pd.DataFrame:
        """Predict cell types.

        Parameters
        ----------
        mdata, modality, statistics, batch_size
            As in :meth:`get_latent_representation`. Probabilities of a cell are averaged over its modalities.
        soft
            Return probabilities.

        Returns
        -------
        Array of one label per cell. With ``soft=True``, a DataFrame of probabilities, cells x types.

        Raises
        ------
        TypeError
            An argument is of the wrong type.
        RuntimeError, ValueError
            As in :meth:`get_latent_representation`.
        """
        self._check_has_labels("predict")
        cells = self._checked(mdata, modality, statistics)
        parts = self._embed(cells, statistics, batch_size)
        by_modality = {m: probabilities for m, (_, probabilities) in parts.items()}
        shares = (
            by_modality[modality] if modality else mean_over_modalities(list(by_modality.values()), cells.positions)
        )
        if not soft:
            return self.labels[shares.argmax(axis=1)]
        named = cells.data.mod[modality] if modality else cells.data
        return pd.DataFrame(shares, columns=self.labels, index=named.obs_names)

    @check_types
    def embed(
        self,
        mdata: MuData | None = None,
        *,
        key_added: str = EMBEDDING_KEY,
        label_added: str | None = None,
        statistics: Statistics = "query",
        batch_size: int = BATCH_SIZE,
        copy: bool = False,
    ) -> MuData | None:
        """Write the embedding into a MuData, and optionally the predicted cell types.

        Parameters
        ----------
        mdata, statistics, batch_size
            As in :meth:`get_latent_representation`.
        key_added
            Key in ``mdata.obsm`` (every cell, the mean over its modalities) and in each modality's ``obsm`` (its own
            embedding).
        label_added
            Column of ``mdata.obs`` for the cell types that :meth:`predict` returns, at no extra cost. ``None``: not
            written.
        copy
            Return a changed copy, and leave ``mdata`` unchanged.

        Returns
        -------
        ``None``, or the copy.

        Raises
        ------
        TypeError
            An argument is of the wrong type.
        RuntimeError, ValueError
            As in :meth:`get_latent_representation`. Also if ``copy`` is set for data on disk.
        """
        if label_added is not None:
            self._check_has_labels("embed(label_added=...)")
        cells = self._checked(mdata, None, statistics)
        check_copyable(cells.data, copy=copy)
        parts = self._embed(cells, statistics, batch_size)
        target = copied(cells.data) if copy else cells.data
        for modality, (embedding, _) in parts.items():
            target.mod[modality].obsm[key_added] = embedding
        target.obsm[key_added] = mean_over_modalities([embedding for embedding, _ in parts.values()], cells.positions)
        if label_added is not None:
            shares = mean_over_modalities([probabilities for _, probabilities in parts.values()], cells.positions)
            target.obs[label_added] = self.labels[shares.argmax(axis=1)]
        target.uns[key_added] = {"params": {"modalities": list(parts), "statistics": statistics}}
        return target if copy else None

    def _check_has_labels(self, call: str) -> None:
        if len(self.labels) == 0:
            raise ValueError(
                f"`{call}` needs cell types, and the model was set up without. Transfer labels by the embedding "
                "instead (`scminnet.tl.transfer_labels`), or train with `setup_mudata(labels_key=...)`."
            )

    def _checked(
        self, mdata: MuData | None, modality: str | None, statistics: str, *, name: str = "mdata"
    ) -> CheckedCells:
        """Return the cells and the modalities to embed. Raise if the network can not use them."""
        self._check_if_trained(warn=False, message="the model is not trained. Call `model.train()` first.")
        data = self._data(mdata)
        wanted = self._check_cells(data, modality, statistics, name=name)
        if mdata is not None:
            check_matrices(data, wanted, self._layers)
        positions = rows_in_modalities(data, wanted)
        if modality is None:
            check_measured(data, positions, wanted)
        features = self.get_var_names()
        aligned = with_model_features(data, {m: features[m] for m in wanted}, self._layers)
        return CheckedCells(data, aligned, wanted, positions)

    def _check_cells(self, data: MuData, modality: str | None, statistics: str, *, name: str = "mdata") -> list[str]:
        """Return the requested modalities. Raise if the network can not use the data."""
        check_mudata(data, name)
        check_choice(statistics, ("query", "reference"), "statistics")
        if modality is not None:
            check_choice(modality, self.modalities, "modality")
        if modality is None:
            check_modality_names(data, self.get_var_names(), name)
        wanted = [modality] if modality else [m for m in self.modalities if m in data.mod]
        if not wanted:
            raise ValueError(
                f"`{name}` has modalities {shorten(data.mod)}, the model {shorten(self.modalities)}: none in common. "
                "Name the query's modalities as in the reference."
            )
        check_modalities(data, wanted, name)
        for m in wanted:
            if statistics == "query" and data.mod[m].n_obs < MIN_CELLS_FOR_STATISTICS:
                advice = "Use statistics='reference'." if name == "mdata" else f"Train without `{name}`."
                raise ValueError(
                    f"modality {m!r} of `{name}` has {data.mod[m].n_obs} cells, too few to standardise by their own "
                    f"statistics (at least {MIN_CELLS_FOR_STATISTICS}). {advice}"
                )
        return wanted

    def _embed(self, cells: CheckedCells, statistics: str, batch_size: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return embedding and probabilities by modality."""
        check_count(batch_size, "batch_size")
        parts = {}
        for m in cells.modalities:
            matrix = as_row_matrix(layer_matrix(cells.aligned, m, self._layers[m]))
            moments = feature_moments(matrix) if statistics == "query" else None
            projected = project_rows(self.module, matrix, m, moments=moments, batch_size=batch_size)
            parts[m] = self._embed_projected(projected, m, statistics, batch_size)
        return parts

    def _embed_projected(
        self, projected: np.ndarray, modality: str, statistics: str, batch_size: int = BATCH_SIZE
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return embedding and probabilities of cells that went through the input layer."""
        adapted = statistics == "query" and self.module.adapt_norm
        hidden = hidden_moments(self.module, projected, modality, batch_size=batch_size) if adapted else None
        return embed_projected(self.module, projected, modality, moments=hidden, batch_size=batch_size)
