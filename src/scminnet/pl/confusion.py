"""Which types are taken for which when labels are carried over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure


def transfer_heatmap(
    true: Sequence[Any] | pd.Series, predicted: Sequence[Any] | pd.Series, *, title: str = ""
) -> Figure:
    """Show the share of each true type's cells that got each label.

    Parameters
    ----------
    true, predicted
        One label a cell, in the same order. Cells without a true label are left out.
    title
        Title of the figure.

    Returns
    -------
    The figure; rows (true types) sum to 1.

    Raises
    ------
    ValueError
        The lengths differ, or no cell has a true label.
    """
    if len(true) != len(predicted):
        raise ValueError(f"`true` has {len(true):,} labels, `predicted` {len(predicted):,}. Give one of each a cell.")
    pairs = pd.DataFrame({"true": np.asarray(true, dtype=object), "predicted": np.asarray(predicted, dtype=object)})
    pairs = pairs.dropna(subset="true").astype(str)
    if pairs.empty:
        raise ValueError("`true` holds no label. Give the cells' known types.")
    types = sorted(set(pairs["true"]) | set(pairs["predicted"]))
    shares = pd.crosstab(pairs["true"], pairs["predicted"], normalize="index")
    shares = shares.reindex(index=sorted(pairs["true"].unique()), columns=types, fill_value=0.0)

    side = max(3.5, 0.32 * len(types) + 2)
    figure, axis = plt.subplots(figsize=(side + 1, side), layout="constrained")
    image = axis.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(types)), types, rotation=90, fontsize=8)
    axis.set_yticks(range(len(shares)), shares.index, fontsize=8)
    axis.set(xlabel="transferred label", ylabel="true type", title=title)
    if len(types) <= 20:
        for (row, column), share in np.ndenumerate(shares.to_numpy()):
            if share >= 0.01:
                shade = "black" if share > 0.6 else "white"
                axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=shade)
    figure.colorbar(image, label="share of the true type's cells", shrink=0.8)
    return figure
