"""Imputes a modality in cells that lack it, and puts the result together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from scminnet._core.arguments import check_count, check_fraction, shorten
from scminnet._core.compat import import_lazy_reader
from scminnet._core.logging import logger
from scminnet._core.matrices import dense, read_columns
from scminnet._core.params import recorded
from scminnet.graph.neighbors import Neighbors
from scminnet.graph.reach import gap, own_distances
from scminnet.imputation.imputer import Donors, Imputer
from scminnet.imputation.intervals import Calibration, calibrate, scaled_errors

#: Key of the parameters in the result's ``uns``, and names of its layers.
IMPUTE_KEY = "impute"
LOWER, UPPER = "lower", "upper"

#: Most neighbours of a cell by default, and the smallest number of measured cells for each of them.
MAX_NEIGHBORS = 50
CELLS_PER_NEIGHBOR = 10

#: Fewest measured cells to learn from.
MIN_DONORS = 20

#: Largest size of a result in memory, in bytes.
MAX_BYTES = 4 * 2**30

#: Values of a block, of which several are held at a time.
BLOCK_VALUES = 2**23

#: Largest number of held-out cells that are used.
MAX_HELD_OUT = 2_000


class HeldOut(NamedTuple):
    """Cells with both modalities that neither the model nor the imputer learned from."""

    rows: np.ndarray
    """Row of each in the donors' values."""
    points: np.ndarray
    """Embedding by the other modalities."""


class Options(NamedTuple):
    """What the user chose."""

    n_neighbors: int | None
    quantile: float
    interval: float | None
    lazy: bool
    seed: int

    def check(self) -> None:
        """Raise if a value is out of its range, or the result can not be lazy."""
        if self.n_neighbors is not None:
            check_count(self.n_neighbors, "n_neighbors")
        check_fraction(self.quantile, "quantile", upper_open=False)
        if self.interval is not None and not 0 < self.interval < 1:
            raise ValueError(f"`interval` is {self.interval}. Give a share of the values between 0 and 1, such as 0.9.")
        if self.lazy:
            import_lazy_reader("`lazy`")

    def neighbors_of(self, n_donors: int, modality: str) -> int:
        """Return the number of neighbours among the donors, raising where there are too few of them."""
        if n_donors < MIN_DONORS:
            raise ValueError(
                f"`modality` is {modality!r}, which was measured in {n_donors} cells to learn from. At least "
                f"{MIN_DONORS} are needed."
            )
        if self.n_neighbors is None:
            return max(1, min(MAX_NEIGHBORS, n_donors // CELLS_PER_NEIGHBOR))
        if self.n_neighbors >= n_donors:
            raise ValueError(
                f"`n_neighbors` is {self.n_neighbors}, but modality {modality!r} has {n_donors} cells. Give fewer."
            )
        return self.n_neighbors


def chosen_features(var_names: pd.Index, features: Sequence[str] | None, modality: str) -> np.ndarray:
    """Return the columns of the features that are asked for. ``None``: all.

    Raises
    ------
    KeyError
        One is unknown.
    ValueError
        None is named.
    """
    if features is None:
        return np.arange(len(var_names))
    names = list(dict.fromkeys(features))
    if not names:
        raise ValueError("`features` is empty. Name at least one, or give None for all.")
    columns = var_names.get_indexer(pd.Index(names, dtype=object))
    unknown = [name for name, column in zip(names, columns, strict=True) if column < 0]
    if unknown:
        raise KeyError(
            f"`features` names {shorten(unknown)}, which modality {modality!r} lacks. It has e.g. "
            f"{shorten(var_names[:3])}. Name its features as its var_names do."
        )
    return columns


def check_size(n_cells: int, n_features: int, options: Options) -> None:
    """Raise if the result would not fit into ``MAX_BYTES``."""
    size = 4 * n_cells * n_features * (1 if options.interval is None else 3)
    if size > MAX_BYTES and not options.lazy:
        raise ValueError(
            f"`features` asks for {n_features:,} values of each of {n_cells:,} cells, {size / 2**30:.0f} GB. Name "
            "fewer features. Or give `lazy=True`, and write the result to a file: it is then computed block by block."
        )


def values_of(matrix: Any, columns: np.ndarray) -> Any:
    """Return the matrix of the chosen features: all of them stay where they are, some are read into memory."""
    return matrix if len(columns) == matrix.shape[1] else read_columns(matrix, columns)


def impute_cells(
    donors: Donors,
    cells: pd.DataFrame,
    points: np.ndarray,
    options: Options,
    *,
    modality: str,
    n_neighbors: int,
    held_out: HeldOut | None = None,
    params: Mapping[str, Any],
) -> AnnData:
    """Impute the donors' features in some cells.

    Parameters
    ----------
    donors
        Cells with the features.
    cells
        Table whose index names the cells. The result has its columns.
    points
        Embedding of the cells, (cells, d).
    options
        What the user chose, checked.
    modality
        Name of the donors' modality.
    n_neighbors
        Neighbours of a cell, as :meth:`Options.neighbors_of` returns it.
    held_out
        Cells by which the interval is calibrated. ``None``: there is no interval.
    params
        Further parameters to keep.

    Returns
    -------
    As :meth:`scminnet.MinNet.impute`.
    """
    imputer = Imputer(donors, n_neighbors, options.seed)
    neighbors = imputer.neighbors(points)
    distances = neighbors.distances.mean(axis=1)
    own = own_distances(donors.points, n_neighbors, options.seed)
    limit = gap(own, distances) * float(np.quantile(own, options.quantile))
    in_range = distances <= limit
    calibration = None
    if options.interval is not None and held_out is not None:
        calibration = _calibrated(imputer, held_out, options.interval)

    obs = cells.assign(in_range=in_range, distance=distances.astype(np.float32))
    blocks = _Blocks(imputer, points, neighbors, in_range, calibration)
    made = blocks.lazy() if options.lazy else blocks.computed()
    result = AnnData(made.pop("X"), obs=obs, var=donors.var.copy(), layers=made)
    kept = {**params, **options._asdict(), "n_neighbors": n_neighbors}
    result.uns[IMPUTE_KEY] = {"modality": modality, "max_distance": limit, "params": recorded(kept)}
    if calibration is not None:
        result.uns[IMPUTE_KEY]["coverage"] = calibration.coverage
    if not in_range.all():
        logger.info(
            "%s of %s cells are farther from the cells with %r than these from each other: their values are NaN, and "
            "`obs['in_range']` is False",
            f"{int((~in_range).sum()):,}",
            f"{len(cells):,}",
            modality,
        )
    return result


def _calibrated(imputer: Imputer, held_out: HeldOut, level: float) -> Calibration:
    n = len(held_out.rows)
    kept = np.linspace(0, n - 1, min(n, MAX_HELD_OUT)).astype(np.int64)
    rows, points = held_out.rows[kept], held_out.points[kept]
    mean, spread = imputer.expect(points, imputer.neighbors(points))
    return calibrate(scaled_errors(dense(imputer.donors.read(rows)), mean, spread), level)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """The result's matrices, computed in blocks of cells."""

    imputer: Imputer
    points: np.ndarray
    neighbors: Neighbors
    in_range: np.ndarray
    calibration: Calibration | None

    @property
    def names(self) -> tuple[str, ...]:
        return ("X",) if self.calibration is None else ("X", LOWER, UPPER)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.points), len(self.imputer.donors.var)

    def rows(self) -> list[slice]:
        n_cells, n_features = self.shape
        step = max(64, BLOCK_VALUES // max(n_features, 1))
        return [slice(start, min(start + step, n_cells)) for start in range(0, n_cells, step)]

    def block(self, rows: slice) -> dict[str, np.ndarray]:
        near = Neighbors(self.neighbors.indices[rows], self.neighbors.distances[rows])
        mean, spread = self.imputer.expect(self.points[rows], near)
        made = {"X": mean}
        if self.calibration is not None:
            half = self.calibration.factors * spread
            # a value below the smallest that was ever measured, such as 0 counts, is impossible
            made |= {LOWER: np.maximum(mean - half, self.imputer.lowest), UPPER: mean + half}
        for values in made.values():
            values[~self.in_range[rows]] = np.nan
        return made

    def computed(self) -> dict[str, Any]:
        result = {name: np.empty(self.shape, dtype=np.float32) for name in self.names}
        for rows in self.rows():
            for name, values in self.block(rows).items():
                result[name][rows] = values
        return result

    def lazy(self) -> dict[str, Any]:
        import dask.array as da
        from dask import delayed

        def part(rows: slice, name: str) -> Any:
            made = delayed(_matrix_of_block, pure=False)(self, rows, name)
            return da.from_delayed(made, (rows.stop - rows.start, self.shape[1]), dtype=np.float32)

        return {name: da.concatenate([part(rows, name) for rows in self.rows()]) for name in self.names}


def _matrix_of_block(blocks: _Blocks, rows: slice, name: str) -> np.ndarray:
    return blocks.block(rows)[name]
