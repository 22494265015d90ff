"""Colours and sizes of all figures."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np

#: Okabe and Ito's colours, told apart with every kind of colour vision; black is left for text.
COLOUR_BLIND_SAFE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")

#: Colour of cells without a category.
MISSING = "#DDDDDD"


def palette(categories: Sequence[str]) -> dict[str, str]:
    """Give each category a colour: colour-blind safe up to eight, evenly spaced on a perceptual wheel beyond."""
    n = len(categories)
    if n <= len(COLOUR_BLIND_SAFE):
        colours = COLOUR_BLIND_SAFE[:n]
    else:
        # neighbours in the legend alternate in lightness, which helps where hue does not
        wheel = mpl.colormaps["turbo"](np.linspace(0.03, 0.97, n))
        shade = np.where(np.arange(n) % 2 == 0, 0.75, 1.0)[:, None]
        colours = [mpl.colors.to_hex(c) for c in wheel[:, :3] * shade]
    return dict(zip(categories, colours, strict=True))
