"""Colours of categories: those given, those that the MuData holds, then defaults; and grey, which means "not named"."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.colors import known_colors
from scminnet._core.keys import UNASSIGNED

#: What users give as ``palette``, as in scanpy.
Palette = Mapping[str, Any] | Sequence[Any] | str | None

#: Okabe and Ito's colours, distinct with any colour vision. Wine stands for their black, which is left for text.
COLOUR_BLIND_SAFE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#882255")

#: Colours of cells without a value, and of cells that were left without a label.
MISSING, NOT_NAMED = "#E4E4E4", "#B4B4B4"

#: Words for cells that were left without a label, in small letters.
NOT_NAMED_WORDS = (UNASSIGNED, "unknown")


def check_palette(palette: Any) -> None:
    """Raise unless ``palette`` is ``None``, colours by name, a list of colours, or the name of a colour map."""
    if palette is None:
        return
    if isinstance(palette, str):
        if palette not in mpl.colormaps:
            raise ValueError(
                f"`palette` is {palette!r}, which is no colour map of matplotlib. Name one, or give colours."
            )
        return
    if not isinstance(palette, Mapping | Collection) or not len(palette):
        raise TypeError(
            f"`palette` is {palette!r}. Give colours by name, a list of colours, or the name of a colour map."
        )
    given = palette.values() if isinstance(palette, Mapping) else palette
    wrong = [color for color in given if not mpl.colors.is_color_like(color)]
    if wrong:
        raise ValueError(f"`palette` holds {shorten(wrong)}, which matplotlib does not know as a colour. Give colours.")


def check_cmap(cmap: Any) -> None:
    """Raise unless ``cmap`` is a colour map, or the name of one."""
    if not isinstance(cmap, mpl.colors.Colormap) and cmap not in mpl.colormaps:
        raise ValueError(f"`cmap` is {cmap!r}, which is no colour map of matplotlib. Name one, e.g. 'viridis'.")


def default_palette(categories: Sequence[str]) -> dict[str, str]:
    """Give each category a colour: colour-blind safe up to eight, evenly spaced on a perceptual wheel beyond."""
    n = len(categories)
    if n <= len(COLOUR_BLIND_SAFE):
        return dict(zip(categories, COLOUR_BLIND_SAFE, strict=False))
    # neighbours in the legend alternate in lightness, which helps where hue does not
    wheel = mpl.colormaps["turbo"](np.linspace(0.03, 0.97, n))
    shade = np.where(np.arange(n) % 2 == 0, 0.75, 1.0)[:, None]
    return dict(zip(categories, map(mpl.colors.to_hex, wheel[:, :3] * shade), strict=True))


def _free(n: int, n_all: int, taken: Collection[Any]) -> list[str]:
    """Return ``n`` default colours of ``n_all`` categories that are not among those taken."""
    used = {mpl.colors.to_hex(color) for color in taken}
    many = default_palette([str(i) for i in range(n_all + len(used))]).values()
    defaults = default_palette([str(i) for i in range(n_all)]).values() if not used else [*COLOUR_BLIND_SAFE, *many]
    return [color for color in dict.fromkeys(defaults) if mpl.colors.to_hex(color) not in used][:n]


def is_not_named(category: str) -> bool:
    """Tell whether a category is a word for "without a label", which is drawn in grey."""
    return category.lower() in NOT_NAMED_WORDS


def colours_of(
    categories: Sequence[str], palette: Palette = None, *, mdata: MuData | None = None, key: str = ""
) -> dict[str, str]:
    """Give each category a colour.

    Parameters
    ----------
    categories
        The categories, in their order.
    palette
        What the user gave, after :func:`check_palette`: colours by name, a list that is cycled through, or the name of
        a colour map. Categories that a mapping lacks get the colours that they have without it.
    mdata, key
        The data and the column of ``obs``, whose colours in ``uns`` are used: see
        :func:`~scminnet._core.colors.known_colors`.

    Returns
    -------
    Category to colour, as hexadecimal text, in the order of the categories.
    """
    named = [category for category in categories if not is_not_named(category)]
    if isinstance(palette, str):
        spread = mpl.colormaps[palette](np.linspace(0, 1, max(2, len(named))))
        chosen: dict[str, Any] = dict(zip(named, spread, strict=False))
    elif palette is not None and not isinstance(palette, Mapping):
        chosen = {category: palette[i % len(palette)] for i, category in enumerate(named)}
    else:
        known = {} if mdata is None else known_colors(mdata, key)
        chosen = {category: known[category] for category in named if category in known}
        new = [category for category in named if category not in chosen]
        chosen |= dict(zip(new, _free(len(new), len(named), chosen.values()), strict=True))
    if isinstance(palette, Mapping):
        chosen = {**chosen, **palette}
    return {c: mpl.colors.to_hex(chosen.get(c, NOT_NAMED)) for c in categories}
