"""The maps of an embedding: points coloured by categories or numbers, a colour bar, and numbers on categories."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation, blended_transform_factory
from scipy.spatial import KDTree

from scminnet.pl import _colors, _style

#: Distance between numbers on the map, in inches: what two digits take.
BETWEEN_NUMBERS = 0.18

#: A colour bar ends at this quantile of the values above zero, so that a few cells do not take all contrast.
TOP = 0.99

#: Height in inches of a colour bar, and of the space above it.
BAR, ABOVE_BAR = 0.07, 0.2

#: Cells around a place that decide whether a number belongs there.
AROUND = 15


def draw_categories(
    axis: Axes,
    points: np.ndarray,
    values: pd.Series,
    colours: Mapping[str, str],
    numbers: Mapping[str, int],
    size: float,
) -> None:
    """Draw cells in the colours of their categories, and the numbers that some categories have."""
    codes = values.cat.codes.to_numpy()
    grey = np.array([_colors.is_not_named(name) for name in colours] + [True])[codes]
    # grey cells lie beneath the others; code -1, the last colour, is of cells without a value
    order = np.argsort(~grey, kind="stable")
    of_point = np.array([*colours.values(), _colors.MISSING])[codes]
    axis.scatter(points[order, 0], points[order, 1], c=of_point[order], s=size, linewidths=0, rasterized=True)
    wanted = {name: i for i, name in enumerate(colours) if name in numbers}
    for name, place in _places(axis, points, codes, wanted).items():
        halo = [withStroke(linewidth=1.2, foreground="white")]
        axis.text(
            place[0], place[1], str(numbers[name]), ha="center", va="center", fontsize=_style.SMALL, path_effects=halo
        )


def draw_numbers(axis: Axes, points: np.ndarray, values: np.ndarray, cmap: str, size: float) -> None:
    """Draw cells by their values, with a colour bar below. Cells without a value are grey."""
    known = np.isfinite(values)
    axis.scatter(points[~known, 0], points[~known, 1], c=_colors.MISSING, s=size, linewidths=0, rasterized=True)
    # high values on top, as in scanpy
    order = np.flatnonzero(known)[np.argsort(values[known], kind="stable")]
    low, high, beyond = _limits(values[known])
    drawn = axis.scatter(
        points[order, 0],
        points[order, 1],
        c=values[order],
        s=size,
        cmap=cmap,
        vmin=low,
        vmax=high,
        linewidths=0,
        rasterized=True,
    )
    # across by shares of the panel, and down by inches from its lower edge, whatever the layout makes of it
    corner = ScaledTranslation(0, 0, axis.transAxes)  # type: ignore[arg-type]  # any transform does
    inches = axis.figure.figure.dpi_scale_trans + corner
    below = axis.inset_axes(
        (0.1, -(ABOVE_BAR + BAR), 0.8, BAR), transform=blended_transform_factory(axis.transAxes, inches)
    )
    bar = axis.figure.colorbar(drawn, cax=below, orientation="horizontal", extend="max" if beyond else "neither")
    bar.locator = MaxNLocator(4)
    _style.colour_bar(bar, "")


def _limits(values: np.ndarray) -> tuple[float, float, bool]:
    """Return the ends of a colour bar, and whether values lie beyond the upper one."""
    if not len(values):
        return 0.0, 1.0, False
    above = values[values > 0]
    top = float(np.quantile(above, TOP)) if len(above) and values.min() >= 0 else float(values.max())
    return float(values.min()), top, bool((values > top).any())


def _places(axis: Axes, points: np.ndarray, codes: np.ndarray, wanted: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Choose a place for each category's number: its own cell amid the most of its own, not too near to another number.

    A category has no place where none of its cells lies among its own.
    """
    box = axis.get_window_extent()
    inches = points * np.array([box.width, box.height]) / axis.figure.figure.dpi / np.ptp(points, axis=0)
    tree = KDTree(inches)
    chosen: dict[str, np.ndarray] = {}
    taken: list[np.ndarray] = []
    for name, code in wanted.items():
        own = np.flatnonzero(codes == code)
        if not len(own):
            continue
        # the distance to a share of its own cells tells how dense they are
        nearest = KDTree(inches[own]).query(inches[own], k=min(len(own), max(2, len(own) // 10)))[0]
        own = own[np.argsort(nearest.reshape(len(own), -1)[:, -1], kind="stable")]
        for cell in own[:: max(1, len(own) // 200)]:
            free = all(np.linalg.norm(inches[cell] - other) >= BETWEEN_NUMBERS for other in taken)
            around = tree.query(inches[cell], k=min(AROUND, len(points)))[1]
            if free and np.mean(codes[around] == code) >= 0.5:
                chosen[name] = points[cell]
                taken.append(inches[cell])
                break
    return chosen
