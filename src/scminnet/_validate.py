"""Checks of user input: one predicate a property, each error naming the argument, what was found and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scminnet import _matrix

#: Values looked at at a time, and looked at first.
_BLOCK, _FEW = 2**24, 1024


def shorten(values: Iterable[Any], limit: int = 5) -> str:
    """Write the first few of ``values``, and how many more there are."""
    values = list(values)
    text = ", ".join(repr(v) if isinstance(v, str) else str(v) for v in values[:limit])
    return text if len(values) <= limit else f"{text} and {len(values) - limit} more"


def check_mudata(mdata: Any, argument: str = "mdata") -> None:
    """Raise unless ``mdata`` is a MuData whose observations are shared by its modalities."""
    if not isinstance(mdata, MuData):
        raise TypeError(
            f"`{argument}` must be a MuData, found {type(mdata).__name__}. "
            "Put AnnData objects together with `mudata.MuData({'rna': adata, ...})`."
        )
    if mdata.axis != 0:
        raise ValueError(
            f"`{argument}` has axis={mdata.axis}: its modalities do not share observations. "
            "Build it with `mudata.MuData({...}, axis=0)`."
        )


def check_not_view(mdata: MuData, argument: str = "mdata") -> None:
    """Raise when ``mdata`` is a view, to which nothing can be written."""
    if mdata.is_view:
        raise ValueError(f"`{argument}` is a view, which cannot be written to. Give `{argument}.copy()`.")


def check_copyable(mdata: MuData, *, copy: bool) -> None:
    """Raise when a copy is asked for of data on disk, which would be read whole."""
    stored = [m for m, a in mdata.mod.items() if any(map(_matrix.on_disk, (a.X, *a.layers.values())))]
    if copy and stored:
        raise ValueError(
            f"`copy` is set, but {shorten(stored)} is on disk, of which there is no copy in memory. Leave `copy` out: results are written into "
            "the object, not into its file."
        )


def check_modalities(mdata: MuData, modalities: Sequence[str], argument: str = "modalities") -> None:
    """Raise unless every one of ``modalities`` is a non-empty modality of ``mdata`` with unique names."""
    missing = [m for m in modalities if m not in mdata.mod]
    if missing:
        raise ValueError(
            f"`{argument}` names {shorten(missing)}, which the MuData lacks; it has {shorten(mdata.mod)}. "
            "Name modalities that are there."
        )
    for modality in modalities:
        adata = mdata.mod[modality]
        if adata.n_obs == 0 or adata.n_vars == 0:
            raise ValueError(
                f"modality {modality!r} of `{argument}` is empty: {adata.n_obs} cells x {adata.n_vars} features. "
                "Leave it out or fill it."
            )
        for axis, names, remedy in (
            ("obs", adata.obs_names, "obs_names_make_unique"),
            ("var", adata.var_names, "var_names_make_unique"),
        ):
            if not names.is_unique:
                twice = names[names.duplicated()].unique()
                raise ValueError(
                    f"modality {modality!r} has duplicate {axis}_names: {shorten(twice)}. "
                    f"Make them unique, e.g. `mdata[{modality!r}].{remedy}()` followed by `mdata.update()`."
                )


def layer_names(
    layers: str | Mapping[str, str | None] | None, modalities: Sequence[str], argument: str = "layers"
) -> dict[str, str | None]:
    """Return the layer of each of ``modalities``: one for all, or each its own (``None`` or not named: ``X``)."""
    if layers is None or isinstance(layers, str):
        return dict.fromkeys(modalities, layers)
    unknown = set(layers) - set(modalities)
    if unknown:
        raise ValueError(
            f"`{argument}` names the modalities {shorten(sorted(unknown))}. Name layers of {shorten(modalities, 20)}."
        )
    return {m: layers.get(m) for m in modalities}


def layer_matrix(mdata: MuData, modality: str, layer: str | None, argument: str = "layers") -> Any:
    """Return the matrix of ``modality`` that ``layer`` names (``None``: ``X``), raising when there is none."""
    adata = mdata.mod[modality]
    if layer is None:
        if adata.X is None:
            raise ValueError(f"modality {modality!r} has no X. Name one of its layers: {shorten(adata.layers)}.")
        return adata.X
    if layer not in adata.layers:
        raise ValueError(
            f"`{argument}` names {layer!r} for modality {modality!r}, which has layers "
            f"[{shorten(adata.layers)}]. Name one of these, or None for X."
        )
    return adata.layers[layer]


def nonzero_values(matrix: Any) -> np.ndarray:
    """Return the stored values of a sparse matrix, or the flat view of a dense one."""
    if sparse.issparse(matrix):
        return matrix.data
    return np.asarray(matrix).ravel()


class Values(NamedTuple):
    """What the values of a matrix are like, the zeros that a sparse one does not store apart."""

    n_nan: int
    n_infinite: int
    n_negative: int
    largest: float
    whole: bool

    @property
    def look_like_counts(self) -> bool:
        """Whether they are whole numbers, some of them above 1 (binarised data are not counts)."""
        return self.whole and self.largest > 1


def check_values(matrix: Any, modality: str, *, allow_negative: bool = False, stored: bool = False) -> Values:
    """Raise when a matrix holds NaN, infinite or negative values, or no numbers; return what its values are like.

    Parameters
    ----------
    matrix
        The matrix.
    modality
        Its modality, for the texts.
    allow_negative
        Do not mind negative values.
    stored
        It may be on disk or a dask array, and is read once.
    """
    if not (_matrix.in_memory(matrix) or stored):
        raise TypeError(
            f"modality {modality!r} holds a {type(matrix).__name__}: data on disk are not supported here. "
            "Read them into memory, e.g. with `mdata.copy()` or `adata.to_memory()`."
        )
    if _matrix.by_columns(matrix):
        raise TypeError(
            f"modality {modality!r} is stored by columns (CSC), so that cells can not be read a few at a time. Write it by rows: "
            "`adata.X = adata.X.to_memory().tocsr()` where it fits into memory, then write the file again."
        )
    if not (_matrix.in_memory(matrix) or _matrix.on_disk(matrix) or _matrix.is_dask(matrix)):
        raise TypeError(
            f"modality {modality!r} holds a {type(matrix).__name__}. Give a sparse matrix or an array, in memory, on disk or of dask."
        )
    if not (np.issubdtype(matrix.dtype, np.number) or matrix.dtype == bool):
        raise TypeError(f"modality {modality!r} holds {matrix.dtype} values. Give a numeric matrix.")
    if _matrix.is_dask(matrix) and np.isnan(matrix.shape[0]):
        raise ValueError(
            f"modality {modality!r} is a dask array of unknown length. Call its `compute_chunk_sizes()` first."
        )
    # sums of rows are as good as the rows
    values = _matrix.fold(_look_at, _both, _matrix.source(matrix))
    for what, found, remedy in (
        ("NaN", values.n_nan, "Remove or fill them"),
        ("infinite", values.n_infinite, "Remove them"),
        (
            "negative",
            0 if allow_negative else values.n_negative,
            "Give counts or log-normalised values, which are not scaled or centred",
        ),
    ):
        if found:
            raise ValueError(f"modality {modality!r} holds {found:,} {what} values. {remedy} first.")
    return values


def _look_at(block: Any) -> Values:
    values = nonzero_values(block)
    smallest, largest = values.min(initial=0), values.max(initial=0)
    wrong = (0, 0, 0)
    # NaN is neither; to count what is wrong takes arrays as long as the values
    if not (smallest >= 0 and largest < np.inf):
        wrong = int(np.isnan(values).sum()), int(np.isinf(values).sum()), int((values < 0).sum())
    return Values(*wrong, float(largest), holds_whole_numbers(block))


def _both(first: Values, second: Values) -> Values:
    return Values(
        first.n_nan + second.n_nan,
        first.n_infinite + second.n_infinite,
        first.n_negative + second.n_negative,
        max(first.largest, second.largest),
        first.whole and second.whole,
    )


def holds_whole_numbers(matrix: Any) -> bool:
    """Tell whether a matrix holds whole numbers only."""
    values = nonzero_values(matrix)
    # in blocks: of the sums of 500,000 cells a rounded copy takes gigabytes
    blocks = (values[start : start + _BLOCK] for start in range(0, len(values), _BLOCK))
    # the first few tell nearly always
    return np.array_equal(values[:_FEW], np.floor(values[:_FEW])) and all(
        np.array_equal(block, np.floor(block)) for block in blocks
    )


def looks_like_counts(matrix: Any) -> bool:
    """Tell whether a matrix holds whole numbers only, some of them above 1 (binarised data are not counts)."""
    values = nonzero_values(matrix)
    return values.size > 0 and values.max() > 1 and holds_whole_numbers(matrix)


def warn_unless_counts(values: Mapping[str, Values], what: str) -> None:
    """Warn, naming the modalities, when some hold other than whole numbers; to be called by a public function."""
    other = [modality for modality, found in values.items() if not found.whole]
    if other:
        warnings.warn(
            f"{shorten(other)}: values that are no whole numbers, so they look normalised. {what} expects counts: name their `layer`, "
            "and normalise the result afterwards.",
            UserWarning,
            stacklevel=3,
        )


def check_choice(value: Any, choices: Sequence[Any] | Mapping[Any, Any], argument: str) -> None:
    """Raise unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"`{argument}` is {value!r}. Choose one of {shorten(choices, 20)}.")


def check_count(value: Any, argument: str, *, minimum: int = 1) -> None:
    """Raise unless ``value`` is a whole number of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"`{argument}` is {value!r}. Give a whole number of at least {minimum}.")


def check_positive(value: float, argument: str, *, minimum: float = 1) -> None:
    """Raise unless ``value`` is a number of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not value >= minimum:
        raise ValueError(f"`{argument}` is {value!r}. Give a number of at least {minimum}.")


def check_fraction(value: float, argument: str, *, upper_open: bool = True) -> None:
    """Raise unless 0 <= ``value`` < 1 (or <= 1 when the upper end is closed)."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or value < 0 or value > 1 or (upper_open and value == 1):
        raise ValueError(f"`{argument}` is {value!r}. Give a number in [0, 1{')' if upper_open else ']'}.")


def check_embedding(matrix: Any, argument: str) -> np.ndarray:
    """Return ``matrix`` as a two-dimensional float array, raising when it is not one or holds NaN or infinite values."""
    array = np.asarray(matrix)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.number):
        raise ValueError(
            f"`{argument}` has shape {array.shape} and type {array.dtype}. Give a numeric array of cells x dimensions."
        )
    bad = int((~np.isfinite(array).all(axis=1)).sum())
    if bad:
        raise ValueError(f"`{argument}` holds NaN or infinite values in {bad:,} of {len(array):,} rows. Remove them.")
    return array


def modality_embedding(mdata: MuData, modality: str, use_rep: str) -> np.ndarray:
    """Return the embedding of a modality's cells, raising when it is not there or not finite."""
    adata = mdata.mod[modality]
    if use_rep not in adata.obsm:
        raise KeyError(
            f"`use_rep` is {use_rep!r}, which modality {modality!r} lacks in obsm; it has [{shorten(adata.obsm, 10)}]. "
            f"Write each modality's embedding to `mdata[{modality!r}].obsm`, e.g. with `model.embed(mdata)`."
        )
    return check_embedding(adata.obsm[use_rep], f"mdata[{modality!r}].obsm[{use_rep!r}]")


def joint_embeddings(mdata: MuData, modalities: Sequence[str], use_rep: str) -> list[np.ndarray]:
    """Return the embeddings of several modalities' cells, raising unless all are of one width."""
    embeddings = [modality_embedding(mdata, modality, use_rep) for modality in modalities]
    widths = {m: e.shape[1] for m, e in zip(modalities, embeddings, strict=True)}
    if len(set(widths.values())) > 1:
        raise ValueError(
            f"`use_rep`={use_rep!r} has another number of dimensions in each modality: {widths}. "
            "Give embeddings into one joint space."
        )
    return embeddings


def obs_column(mdata: MuData, key: str, modalities: Sequence[str], argument: str) -> pd.Series:
    """Collect one value a cell from the MuData's own ``obs`` and from its modalities' ``obs``.

    Parameters
    ----------
    mdata
        The MuData.
    key
        Name of the column. It may sit in ``mdata.obs``, in the ``obs`` of some modalities, or in both.
    modalities
        Modalities whose ``obs`` are looked at.
    argument
        Name of the user's argument, for the error texts.

    Returns
    -------
    One object value a cell, indexed by ``mdata.obs_names``; NaN where no place has a value.

    Raises
    ------
    KeyError
        The column is nowhere.
    ValueError
        Two places disagree on a cell.
    """
    places = {"mdata.obs": mdata.obs} | {f"mdata[{m!r}].obs": mdata.mod[m].obs for m in modalities if m in mdata.mod}
    found = {place: obs[key] for place, obs in places.items() if key in obs}
    if not found:
        raise KeyError(
            f"`{argument}` is {key!r}, which is a column neither of mdata.obs nor of the obs of {shorten(modalities)}. "
            f"mdata.obs has {shorten(mdata.obs.columns, 10)}."
        )
    merged = pd.Series(np.nan, index=mdata.obs_names, dtype=object, name=key)
    for place, column in found.items():
        values = column.astype(object).reindex(mdata.obs_names)
        both = merged.notna() & values.notna()
        conflicts = both & (merged.astype(str) != values.astype(str))
        if conflicts.any():
            raise ValueError(
                f"`{argument}`={key!r}: {int(conflicts.sum()):,} cells have another value in {place} than elsewhere, "
                f"e.g. {shorten(conflicts.index[conflicts], 3)}. Make them agree or remove one column."
            )
        merged = merged.where(merged.notna(), values)
    return merged


def modality_column(mdata: MuData, key: str, modality: str, argument: str) -> pd.Series:
    """Return the values of :func:`obs_column` for a modality's cells, in their order, raising when one has none."""
    column = obs_column(mdata, key, [modality], argument).loc[mdata.mod[modality].obs_names]
    missing = column.index[column.isna()]
    if len(missing):
        raise ValueError(
            f"`{argument}`={key!r} has no value for {len(missing):,} cells of modality {modality!r}, "
            f"e.g. {shorten(missing, 3)}. Fill them, or leave these cells out."
        )
    return column
