"""Imputed against measured values of features, a dot a cell."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import shorten
from scminnet._core.matrices import dense, read_rows
from scminnet.pl import _colors, _style
from scminnet.pl._groups import levels

#: Features shown by default.
N_FEATURES = 6

#: Panels of a row.
N_COLUMNS = 3


class _Values(NamedTuple):
    """Values of one feature in the cells that have both, float64."""

    imputed: np.ndarray
    measured: np.ndarray
    lower: np.ndarray | None
    upper: np.ndarray | None

    def sentence(self, level: float | None) -> str:
        """Write the correlation, and what the interval holds."""
        flat = len(self.measured) < 3 or np.ptp(self.imputed) == 0 or np.ptp(self.measured) == 0
        r = "r not defined" if flat else f"r = {_style.number(np.corrcoef(self.imputed, self.measured)[0, 1])}"
        if self.lower is None or self.upper is None or level is None:
            return r
        held = np.mean((self.measured >= self.lower) & (self.measured <= self.upper))
        return f"{r}; {level:.0%} interval holds {held:.0%}"


@check_types
def imputed(
    imputed: AnnData,
    measured: AnnData,
    features: Sequence[str] | None = None,
    *,
    layer: str | None = None,
    color: str | None = None,
    palette: _colors.Palette = None,
    ax: Axes | Iterable[Axes] | None = None,
    show: bool = False,
    save: str | os.PathLike[str] | None = None,
) -> list[Axes]:
    """Show measured against imputed values, a panel a feature and a dot a cell.

    Cells are matched by name, and those out of range are left out. A good imputation follows the diagonal. If the
    values have intervals, they are drawn in grey, and the title says which share of the measured values they hold.

    Parameters
    ----------
    imputed
        Result of :meth:`scminnet.MinNet.impute` or :func:`scminnet.tl.impute`.
    measured
        The same modality as it was measured in these cells, on the same scale.
    features
        Features to show. ``None``: the six with the largest variance of the imputed values.
    layer
        Layer of the measured values; ``None``: ``X``.
    color
        Column of ``measured.obs`` to colour by, e.g. the type. Cells without a value are grey.
    palette
        Colours of the groups, as in :func:`embedding`.
    ax
        Axes to draw on, one a feature; by default those of a new figure. The legend lies below the last.
    show
        Show the figure now. A notebook shows it anyway.
    save
        Path to write the figure to, in the format that its ending names.

    Returns
    -------
    The Axes, one a feature.

    Raises
    ------
    TypeError
        ``imputed`` or ``measured`` is no AnnData, ``ax`` no Axes, or ``palette`` holds no colours.
    KeyError
        A feature, the column or the layer is missing.
    ValueError
        No cell is in both and in range. ``features`` is empty. There are too many or too few ``ax``, ``palette`` is
        unknown, or ``save`` is no path of a figure.
    """
    for name, adata in (("imputed", imputed), ("measured", measured)):
        if not isinstance(adata, AnnData):
            raise TypeError(f"`{name}` must be an AnnData, found {type(adata).__name__}. Give the one of the modality.")
    shared = imputed.obs_names[imputed.obs_names.isin(measured.obs_names) & _in_range(imputed)]
    if shared.empty:
        raise ValueError(
            "`imputed` and `measured` have no cell in common that is in range. Give the measured values of the "
            "imputed cells, under the same obs_names."
        )
    names = _features(imputed, measured, features, shared)
    if layer is not None and layer not in measured.layers:
        raise KeyError(f"`layer` is {layer!r}, which `measured` lacks. It has {shorten(measured.layers)}.")
    groups = _groups(measured, color, shared)
    _colors.check_palette(palette)
    _style.check_axes(ax, names)
    _style.check_save(save)

    level = imputed.uns.get("impute", {}).get("params", {}).get("interval")
    colour_of = _colors.colours_of(list(groups.cat.categories), palette)
    colours = np.array([*colour_of.values(), _colors.MISSING])[groups.cat.codes]
    legend = {} if color is None else {name: {"color": colour} for name, colour in colour_of.items()}
    n_columns = min(N_COLUMNS, len(names))
    n_rows = -(-len(names) // n_columns)
    width = _style.PAGE / n_columns if len(names) > 1 else _style.COLUMN
    below = _style.legend_height(list(legend), width - 0.6) if legend else 0
    axes = _style.axes_for(ax, len(names), size=(width, width + 0.25 + below / n_rows), n_columns=n_columns)
    for axis, name in zip(axes, names, strict=True):
        values = _values(imputed, measured, name, layer, shared)
        if values.lower is not None and values.upper is not None:
            axis.vlines(values.imputed, values.lower, values.upper, color="#dddddd", lw=0.5, zorder=0, rasterized=True)
        many = len(shared) > _style.RASTERISED_FROM
        axis.scatter(values.imputed, values.measured, c=colours, s=6, linewidths=0, alpha=0.8, rasterized=many)
        ends = [min(values.imputed.min(), values.measured.min()), max(values.imputed.max(), values.measured.max())]
        axis.plot(ends, ends, color=_style.NEUTRAL, lw=0.8, linestyle=":")
        _style.dress(axis, title=f"{name}\n{values.sentence(level)}", xlabel="imputed", ylabel="measured")
    if legend:
        _style.legend_below(axes[-1], legend, beneath=_style.UNDER_AXIS)
    _style.finish(axes[0], save, show=show)
    return list(axes)


def _in_range(imputed: AnnData) -> np.ndarray:
    """Tell which cells have values."""
    if "in_range" in imputed.obs:
        return imputed.obs["in_range"].to_numpy(dtype=bool)
    return np.ones(imputed.n_obs, dtype=bool)


def _features(imputed: AnnData, measured: AnnData, features: Sequence[str] | None, shared: pd.Index) -> list[str]:
    """Return the features to show, raising where one is missing."""
    if features is None:
        both = imputed.var_names[imputed.var_names.isin(measured.var_names)]
        if both.empty:
            raise ValueError("`imputed` and `measured` have no feature in common. Give the same modality.")
        variances = np.var(_dense(imputed[shared, both].X), axis=0)
        return list(both[np.argsort(-variances, kind="stable")[:N_FEATURES]])
    names = list(dict.fromkeys(features))
    if not names:
        raise ValueError("`features` is empty. Name at least one, or give None for those that vary most.")
    for where, adata in (("imputed", imputed), ("measured", measured)):
        missing = [name for name in names if name not in adata.var_names]
        if missing:
            raise KeyError(
                f"`features` names {shorten(missing)}, which `{where}` lacks. It has {shorten(adata.var_names, 3)}."
            )
    return names


def _groups(measured: AnnData, color: str | None, shared: pd.Index) -> pd.Series:
    if color is None:
        return pd.Series(pd.Categorical(["cells"] * len(shared)), index=shared)
    if color not in measured.obs:
        raise KeyError(f"`color` is {color!r}, which measured.obs lacks. It has {shorten(measured.obs.columns)}.")
    column = measured.obs[color].loc[shared]
    return levels(column, column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else ())


def _values(imputed: AnnData, measured: AnnData, name: str, layer: str | None, shared: pd.Index) -> _Values:
    """Read one feature's values in the shared cells."""
    guess, truth = imputed[shared, name], measured[shared, name]
    limits = [_dense(guess.layers[key])[:, 0] if key in guess.layers else None for key in ("lower", "upper")]
    return _Values(
        _dense(guess.X)[:, 0], _dense(truth.X if layer is None else truth.layers[layer])[:, 0], limits[0], limits[1]
    )


def _dense(values: Any) -> np.ndarray:
    return dense(read_rows(values, slice(None))).astype(np.float64)
