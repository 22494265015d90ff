"""How training went."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from scminnet._core.argument_types import check_types
from scminnet.pl._colors import Palette, check_palette, colours_of
from scminnet.pl._style import (
    NEUTRAL,
    PAGE,
    axes_for,
    check_axes,
    check_save,
    dress,
    finish,
    legend_below,
    legend_height,
)

LOSSES = {
    "loss": "total loss",
    "classification_loss": "classification loss",
    "contrastive_loss": "contrastive loss",
    "infonce_loss": "InfoNCE loss",
    "supervised_loss": "supervised loss",
}

#: Panels of shares, and the prefix of what they show for each modality.
SHARES = {"correct cell types": "accuracy_", "pairs found": "pair_accuracy_"}

#: Lines of the parts of the data, and of chance.
LINES: dict[str, dict[str, Any]] = {
    "training": {"linestyle": "-", "marker": None, "linewidth": 1.2},
    "validation": {"linestyle": "--", "marker": None, "linewidth": 1.2},
}
CHANCE: dict[str, Any] = {"color": NEUTRAL, "linestyle": ":", "marker": None, "linewidth": 1}


@check_types
def history(
    model: Any,
    *,
    palette: Palette = None,
    ax: Iterable[Axes] | None = None,
    show: bool = False,
    save: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """Show losses and accuracies by epoch, training and validation.

    Accuracies have a dotted line at what chance would give: the share of the most frequent type, and the share of pairs
    that random neighbours would find.

    Parameters
    ----------
    model
        A trained :class:`~scminnet.MinNet`, or anything with its ``history``.
    palette
        Colours of the modalities: by name, a list, or the name of a colour map.
    ax
        Axes to draw on, one a panel; by default those of a new figure. The panels are the losses that were recorded (at
        most five), the share of correctly predicted cell types, and the share of cells whose nearest neighbour in
        another modality is the cell itself.
    show
        Show the figure now. A notebook shows it anyway.
    save
        Path to write the figure to, in the format that its ending names.

    Returns
    -------
    Object array of the panels' Axes.

    Raises
    ------
    TypeError
        ``model`` has no history, ``ax`` holds something else than Axes, or ``palette`` no colours.
    ValueError
        The model has no history, or none of losses and accuracies. ``ax`` does not hold one Axes a panel.
        ``palette`` is unknown, or ``save`` is no path of a figure.
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
    check_palette(palette)
    check_axes(ax, list(panels))
    check_save(save)

    n_columns = 3 if len(panels) <= 6 else 4
    # in the order of their first appearance; losses, of no modality, are black
    modalities = dict.fromkeys(modality for lines in panels.values() for modality, _ in lines if modality)
    colours = {"": "black", **colours_of(list(modalities), palette)}
    marks = {
        title: {f"{m} {part}".strip(): {"color": colours[m], **LINES[part]} for m, part in lines}
        | ({"chance": CHANCE} if _chance(recorded, title) is not None else {})
        for title, lines in panels.items()
    }
    width = PAGE / n_columns
    below = max(legend_height(list(marks[title]), width - 0.5) for title in panels)
    axes = axes_for(ax, len(panels), size=(width, 1.8 + below), n_columns=n_columns)
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for (modality, part), values in lines.items():
            values = values.iloc[:, 0].astype(float)
            axis.plot(
                values.index,
                values,
                # a single value makes no line
                **{**LINES[part], "marker": "o" if len(values) == 1 else None},
                markersize=3,
                color=colours[modality],
                label=f"{modality} {part}".strip(),
            )
        dress(axis, title=title, xlabel="epoch", ylabel="share of cells" if title in SHARES else "loss")
        axis.xaxis.get_major_locator().set_params(integer=True, nbins=5)
        if title in SHARES:
            axis.set_ylim(0, 1.02)
        if (chance := _chance(recorded, title)) is not None:
            axis.axhline(chance, label="chance", **CHANCE)
        legend_below(axis, marks[title], beneath=0.42)
    finish(axes[0], save, show=show)
    return axes


def _chance(recorded: Mapping[str, pd.DataFrame], title: str) -> float | None:
    """Return what chance would give, by the held-out cells if there are some. Losses and older histories have none."""
    for part in ("validation", "train"):
        values = recorded.get(f"chance_{SHARES.get(title, '')}{part}")
        if values is not None and values.notna().to_numpy().any():
            return float(values.to_numpy(float)[-1, 0])
    return None


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
