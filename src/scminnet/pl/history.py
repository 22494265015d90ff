"""How training went."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from scminnet.pl._style import COLOUR_BLIND_SAFE

LOSSES = {
    "loss": "total loss",
    "classification_loss": "classification loss",
    "contrastive_loss": "contrastive loss",
    "infonce_loss": "InfoNCE loss",
}


def history(model: Any) -> Figure:
    """Show losses and accuracies by epoch, training and validation.

    Parameters
    ----------
    model
        A trained :class:`~scminnet.MinNet`, or anything with its ``history``.

    Returns
    -------
    The figure.

    Raises
    ------
    ValueError
        The model has no history.
    """
    recorded: dict[str, pd.DataFrame] = model.history or {}
    if not recorded:
        raise ValueError("`model` has no training history. Call `model.train()` first.")
    names = sorted(name.removesuffix("_train") for name in recorded if name.endswith("_train"))
    modalities = [n.removeprefix("pair_accuracy_") for n in names if n.startswith("pair_accuracy_")]
    panels = {title: {"": name} for name, title in LOSSES.items() if name in {"loss", *names}}
    panels["types called right"] = {m: f"accuracy_{m}" for m in modalities}
    panels["cells that find themselves"] = {m: f"pair_accuracy_{m}" for m in modalities}

    n_columns = 3
    n_rows = -(-len(panels) // n_columns)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(10, 2.7 * n_rows), layout="constrained", squeeze=False)
    for axis, (title, lines) in zip(axes.flat, panels.items(), strict=False):
        for colour, (modality, name) in zip(COLOUR_BLIND_SAFE, lines.items(), strict=False):
            for part, style in (("train", "-"), ("validation", "--")):
                key = f"{part}_loss" if name == "loss" else f"{name}_{part}"
                if key in recorded:
                    values = recorded[key].astype(float)
                    label = f"{modality} {'training' if part == 'train' else part}".strip()
                    axis.plot(values.index, values.iloc[:, 0], style, color=colour, label=label, linewidth=1.4)
        axis.set(title=title, xlabel="epoch")
        if title not in LOSSES.values():
            axis.set_ylim(0, 1)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    return figure
