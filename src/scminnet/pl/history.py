"""How training went."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from scminnet._core.argument_types import check_types
from scminnet.pl._style import PAGE, SMALL, axes_for, check_axes, check_save, dress, finish, palette

LOSSES = {
    "loss": "total loss",
    "classification_loss": "classification loss",
    "contrastive_loss": "contrastive loss",
    "infonce_loss": "InfoNCE loss",
    "supervised_loss": "supervised contrast",
}

#: Panels of shares, and the prefix of what they show for each modality.
SHARES = {"types called right": "accuracy_", "cells that find themselves": "pair_accuracy_"}


@check_types
def history(model: Any, *, ax: Iterable[Axes] | None = None, save: str | os.PathLike[str] | None = None) -> np.ndarray:
    """Show losses and accuracies by epoch, training and validation.

    Parameters
    ----------
    model
        A trained :class:`~scminnet.MinNet`, or anything with its ``history``.
    ax
        Axes to draw on, one a panel; by default those of a new figure. The panels are the losses that were recorded (at
        most five), the share of correctly predicted cell types, and the share of cells whose nearest neighbour in
        another modality is the cell itself.
    save
        Path to write the figure to, in the format that its ending names.

    Returns
    -------
    Object array of the panels' Axes.

    Raises
    ------
    TypeError
        ``model`` has no history, or ``ax`` holds something else than Axes.
    ValueError
        The model has no history, or none of losses and accuracies. ``ax`` does not hold one Axes a panel. ``save`` is
        no path of a figure.
    """
    if not hasattr(model, "history"):
        raise TypeError(f"`model` is a {type(model).__name__}, which has no history. Give a trained `scminnet.MinNet`.")
    recorded: dict[str, pd.DataFrame] = model.history or {}
    if not recorded:
        raise ValueError("`model` has no training history. Call `model.train()` first.")
    panels = {title: lines for title, lines in _panels(recorded).items() if lines}
    if not panels:
        raise ValueError(
            f"`model.history` has none of the losses and accuracies that are shown; it has {', '.join(recorded)}. "
            "Give a model that records them."
        )
    check_axes(ax, list(panels))
    check_save(save)

    n_columns = 3 if len(panels) <= 6 else 4
    axes = axes_for(ax, len(panels), size=(PAGE / n_columns, 1.8), n_columns=n_columns)
    # in the order of their first appearance; losses, of no modality, are black
    modalities = dict.fromkeys(modality for lines in panels.values() for modality, _ in lines if modality)
    colours = {"": "black", **palette(list(modalities))}
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for (modality, part), values in lines.items():
            values = values.iloc[:, 0].astype(float)
            axis.plot(
                values.index,
                values,
                "-" if part == "training" else "--",
                # a single value makes no line
                marker="o" if len(values) == 1 else None,
                markersize=3,
                color=colours[modality],
                label=f"{modality} {part}".strip(),
                linewidth=1.2,
            )
        dress(axis, title=title, xlabel="epoch", ylabel="share of cells" if title in SHARES else "loss")
        axis.xaxis.get_major_locator().set_params(integer=True, nbins=5)
        if title in SHARES:
            axis.set_ylim(0, 1.02)
        legend = axis.legend(frameon=False, fontsize=SMALL, labelspacing=0.25, handlelength=1.8, borderpad=0.1)
        for text in legend.get_texts():
            text.set_parse_math(False)
    finish(axes[0], save)
    return axes


def _panels(recorded: dict[str, pd.DataFrame]) -> dict[str, dict[tuple[str, str], pd.DataFrame]]:
    """Titles to lines: (modality, part of the data) to values; losses are of no modality."""
    panels: dict[str, dict[tuple[str, str], pd.DataFrame]] = {title: {} for title in [*LOSSES.values(), *SHARES]}
    parts = {"train": "training", "validation": "validation"}
    # accuracies without labelled or paired cells are missing values
    recorded = {key: values for key, values in recorded.items() if values.notna().to_numpy().any()}
    for loss, title in LOSSES.items():
        for suffix, part in parts.items():
            key = f"{suffix}_loss" if loss == "loss" else f"{loss}_{suffix}"
            if key in recorded:
                panels[title]["", part] = recorded[key]
    for title, prefix in SHARES.items():
        stems = (key.rpartition("_") for key in recorded if key.startswith(prefix))
        for modality in dict.fromkeys(stem.removeprefix(prefix) for stem, _, suffix in stems if suffix in parts):
            for suffix, part in parts.items():
                if f"{prefix}{modality}_{suffix}" in recorded:
                    panels[title][modality, part] = recorded[f"{prefix}{modality}_{suffix}"]
    return panels
