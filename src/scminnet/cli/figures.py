"""Figures of the commands, as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from scminnet.pl._style import save_figure

ENDINGS = ("png", "pdf")


def write_figures(drawn: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Write the figures of Axes into an existing folder, close them, and return their names without ending."""
    for name, axes in drawn.items():
        figure = np.asarray(axes).flat[0].figure
        for ending in ENDINGS:
            save_figure(figure, folder / f"{name}.{ending}")
        plt.close(figure)
    return tuple(drawn)
