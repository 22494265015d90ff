"""Imputation by a trained model: what a modality of the reference would have measured in cells that lack it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice, shorten
from scminnet._core.mdata import check_modalities, check_mudata, layer_matrix
from scminnet._core.values import check_values
from scminnet.imputation.impute import (
    HeldOut,
    Options,
    check_size,
    chosen_features,
    impute_cells,
    values_of,
)
from scminnet.imputation.imputer import Donors
from scminnet.imputation.intervals import MIN_HELD_OUT
from scminnet.model.data.cell_index import rows_in_modalities
from scminnet.model.inference.embed import EmbeddingMixin, Statistics
from scminnet.model.inference.forward_pass import BATCH_SIZE, mean_over_modalities


class _Embedded(NamedTuple):
    """Cells of a MuData, embedded by each of the modalities in which they were measured."""

    modalities: list[str]
    positions: np.ndarray
    """Cells x modalities: row in the modality, -1 where not measured."""
    parts: list[np.ndarray]
    """Embedding by modality."""

    def mean(self, cells: np.ndarray, but: str | None = None) -> np.ndarray:
        """Average the embeddings of some cells over their modalities, except one."""
        columns = [i for i, m in enumerate(self.modalities) if m != but]
        return mean_over_modalities([self.parts[i] for i in columns], self.positions[cells][:, columns])


class ImputationMixin(EmbeddingMixin):
    """``impute`` of :class:`~scminnet.MinNet`."""

    #: From ``BaseModelClass`` of scvi-tools.
    validation_indices: Any

    @check_types
    def impute(
        self,
        mdata: MuData | None,
        modality: str,
        *,
        features: Sequence[str] | None = None,
        interval: float | None = None,
        counts_layer: str | None = None,
        reference: MuData | None = None,
        n_neighbors: int | None = None,
        quantile: float = 0.95,
        lazy: bool = False,
        statistics: Statistics = "query",
        batch_size: int = BATCH_SIZE,
        seed: int = 0,
    ) -> AnnData:
        """Impute a modality in cells that lack it.

        Expected values are learned from the reference's cells with the modality. They are the mean of two estimates:
        the values of the nearest cells in the embedding, weighted by distance, and a linear model (ridge) of the
        embedding. Paired cells teach the linear model what the other modality's embedding means. A cell that lies far
        from all these cells gets NaN, because nothing is known of cells like it.

        With ``interval``, each value has a lower and an upper limit, which hold the value that would be measured with
        that probability. Paired cells that were held out of the training (``train_size``) say how wide they must be. On
        other donors they are right as far as these donors resemble the reference's.

        The page "Impute the missing modality" says what imputed values must not be used for.

        Parameters
        ----------
        mdata
            The cells: those without ``modality`` are imputed. ``None``: those of the model's own data.
        modality
            Modality to impute, one of the model's.
        features
            Features to impute, of those that the reference has. ``None``: all.
        interval
            Probability of the interval, e.g. 0.9. ``None``: no interval. It needs 20 paired cells that were held out,
            so it can not be had from a model without pairs.
        counts_layer
            Layer of raw counts in the reference. If given, expected counts take the place of normalised values, at
            the depth at which the reference was sequenced. They are no whole numbers.
        reference
            Cells with the modality to learn from. ``None``: the model's own data. Needed for a model that was loaded
            without data, or for the query. It gives no interval, because its held-out cells are unknown.
        n_neighbors
            Nearest cells of the reference. ``None``: a tenth of them, at most 50.
        quantile
            A cell is out of range if it is farther from its neighbours than this share of the reference's cells from
            theirs. Both are compared as in :func:`scminnet.tl.transfer_labels`.
        lazy
            Return dask arrays, which are computed block by block when they are used or written. For more values than
            fit into memory.
        statistics, batch_size
            As in :meth:`get_latent_representation`.
        seed
            Seed of the neighbour search, which is approximate on large data.

        Returns
        -------
        AnnData of the imputed cells x features. ``mdata`` is unchanged.

        ``X``
            Expected values on the scale of the model's layer (log-normalised, for example), or counts; float32. NaN for
            cells out of range.
        ``layers["lower"]``, ``layers["upper"]``
            With ``interval``: its limits.
        ``obs["in_range"]``, ``obs["distance"]``
            Whether a cell lies near the reference, and its mean distance to its neighbours.
        ``uns["impute"]``
            ``modality``, ``max_distance`` and ``params``. With ``interval``, also ``coverage``: the share of values
            within the interval among held-out cells that did not set its width.

        Raises
        ------
        TypeError
            An argument is of the wrong type.
        RuntimeError
            The model is not trained.
        ImportError
            ``lazy`` is set, and dask is not installed.
        KeyError
            The reference lacks a feature.
        ValueError
            As in :meth:`get_latent_representation`. The modality is not the model's, or every cell has it. The
            reference has fewer than 20 cells with it, or no more than ``n_neighbors``. There are too few held-out cells
            for ``interval``. A parameter is out of its range. The result would not fit into memory.

        Examples
        --------
        >>> adt = model.impute(query, "adt", interval=0.9)  # proteins of RNA cells
        >>> adt.to_df().head()
        """
        check_choice(modality, self.modalities, "modality")
        options = Options(n_neighbors, quantile, interval, lazy, seed)
        options.check()
        source = self._donor_cells(reference, modality)
        cells = self._data(mdata)
        others = [m for m in self.modalities if m in cells.mod and m != modality]
        lacking = _lacking(cells, modality, others)
        measured = layer_matrix(
            source, modality, counts_layer or self._layers[modality], "counts_layer" if counts_layer else "layers"
        )
        target = source.mod[modality]
        columns = chosen_features(target.var_names, features, modality)
        check_size(len(lacking), len(columns), options)
        held_out = np.array([], dtype=np.int64) if interval is None else self._held_out(source, modality)
        n_neighbors = options.neighbors_of(target.n_obs - len(held_out), modality)
        if counts_layer is not None:
            names = (target.obs_names, target.var_names)
            check_values(measured, modality, names, counts_for="Imputing counts", stored=True)

        there = [m for m in self.modalities if m in source.mod]
        learned = self._embedded(source, there, statistics, batch_size, name="reference")
        query = learned if cells is source else self._embedded(cells, others, statistics, batch_size, name="mdata")
        return impute_cells(
            Donors(
                values=values_of(measured, columns),
                var=target.var.iloc[columns],
                **_donors(learned, modality, held_out),
            ),
            pd.DataFrame(index=cells.obs_names[lacking]),
            query.mean(lacking),
            options,
            modality=modality,
            n_neighbors=n_neighbors,
            held_out=HeldOut(learned.positions[held_out, there.index(modality)], learned.mean(held_out, but=modality))
            if interval is not None
            else None,
            params={"counts_layer": counts_layer, "statistics": statistics},
        )

    def _donor_cells(self, reference: MuData | None, modality: str) -> MuData:
        """Return the cells to learn from, raising if there are none."""
        if reference is None:
            if self.adata is None:
                raise ValueError(
                    "`reference` is missing, and the model was loaded without data. Give the cells whose "
                    f"{modality!r} is to be learned from."
                )
            reference = self.adata
        check_mudata(reference, "reference")
        check_modalities(reference, [modality], "modality")
        return reference

    def _held_out(self, source: MuData, modality: str) -> np.ndarray:
        """Return the cells with the modality and another that the training held out, raising if they are too few."""
        if source is not self.adata or self.validation_indices is None:
            raise ValueError(
                "`interval` is set by cells that the training held out, and those of `reference` are unknown. Load the "
                "model with its own data, or leave `interval` out."
            )
        held_out = np.asarray(self.validation_indices)
        has, has_another = _measured(rows_in_modalities(source, self.modalities), self.modalities.index(modality))
        held_out = held_out[(has & has_another)[held_out]]
        if len(held_out) < MIN_HELD_OUT:
            raise ValueError(
                f"`interval` needs {MIN_HELD_OUT} cells with both modalities that the training held out, and there are "
                f"{len(held_out)}. Train with more paired cells, or leave `interval` out."
            )
        return held_out

    def _embedded(
        self, data: MuData, modalities: list[str], statistics: Statistics, batch_size: int, *, name: str
    ) -> _Embedded:
        """Embed all cells by each of some modalities."""
        given = None if data is self.adata else data
        parts = [
            self._embed(self._checked(given, m, statistics, name=name), statistics, batch_size)[m][0]
            for m in modalities
        ]
        return _Embedded(modalities, rows_in_modalities(data, modalities), parts)


def _lacking(cells: MuData, modality: str, others: Sequence[str]) -> np.ndarray:
    """Return the cells to impute: those that were measured in another modality of the model, and not in this one."""
    if not others:
        raise ValueError(
            f"`mdata` has none of the model's modalities but {modality!r}; it has {shorten(cells.mod)}. Give cells "
            "that were measured in another one."
        )
    has_other = (rows_in_modalities(cells, others) >= 0).any(axis=1)
    has_own = (rows_in_modalities(cells, [modality]) >= 0).any(axis=1)
    lacking = np.flatnonzero(has_other & ~has_own)
    if not len(lacking):
        raise ValueError(
            f"`modality` is {modality!r}, which every cell of `mdata` has. To compare imputed with measured values, "
            f"leave the measured ones out: `MuData({{m: a for m, a in mdata.mod.items() if m != {modality!r}}})`."
        )
    return lacking


def _measured(positions: np.ndarray, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Tell which cells were measured in a modality, and which in another one."""
    measured = positions >= 0
    return measured[:, column], np.asarray(np.delete(measured, column, axis=1).any(axis=1))


def _donors(learned: _Embedded, modality: str, held_out: np.ndarray) -> dict[str, np.ndarray]:
    """Return rows and points of the cells with the modality that were not held out, as :class:`Donors` takes them."""
    column = learned.modalities.index(modality)
    has, has_another = _measured(learned.positions, column)
    has[held_out] = False
    cells = np.flatnonzero(has)
    rows = learned.positions[cells, column]
    points = learned.parts[column][rows]
    other_points = points.copy()
    paired = has_another[cells]
    if paired.any():
        other_points[paired] = learned.mean(cells[paired], but=modality)
    return {"rows": rows, "points": points, "other_points": other_points}
