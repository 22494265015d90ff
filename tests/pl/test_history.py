from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scminnet import pl

PANELS = ["total loss", "classification loss", "contrastive loss", "correct cell types", "pairs found"]


class Recorded:
    history = {
        f"{name}_{part}": pd.DataFrame({name: [3.0, 2.0, 1.0]})
        for part in ("train", "validation")
        for name in (
            "classification_loss",
            "contrastive_loss",
            "accuracy_rna",
            "accuracy_my_atac",
            "pair_accuracy_rna",
            "pair_accuracy_my_atac",
        )
    } | {f"{part}_loss": pd.DataFrame({"loss": [3.0, 2.0, 1.0]}) for part in ("train", "validation")}


def test_each_loss_is_drawn_for_both_parts() -> None:
    axes = pl.history(Recorded())
    assert [axis.get_title() for axis in axes] == PANELS
    assert len(axes[0].figure.axes) == len(PANELS)
    assert [line.get_label() for line in axes[0].lines] == ["training", "validation"]
    np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), [3, 2, 1])
    labels = ["rna training", "rna validation", "my_atac training", "my_atac validation"]
    assert [line.get_label() for line in axes[3].lines] == labels
    assert [line.get_label() for line in axes[4].lines] == labels


def test_no_text_overlaps(text_apart) -> None:
    text_apart(pl.history(Recorded())[0].figure)


def test_axes_are_one_a_panel() -> None:
    _, axes = plt.subplots(1, 5)
    assert list(pl.history(Recorded(), ax=axes)) == list(axes)
    with pytest.raises(ValueError, match="`ax` holds 4 Axes, but the figure has 5 panels: total loss"):
        pl.history(Recorded(), ax=axes[:4])


def test_accuracies_have_a_line_at_chance() -> None:
    class WithChance:
        history = Recorded.history | {
            f"{name}_{part}": pd.DataFrame({name: [value, value, value]})
            for part, more in (("train", 0.5), ("validation", 0))
            for name, value in (("chance_accuracy", 0.3 + more), ("chance_pair_accuracy", 0.01 + more))
        }

    axes = pl.history(WithChance())
    assert [axis.get_title() for axis in axes] == PANELS
    drawn = [[line for line in axis.lines if line.get_label() == "chance"] for axis in axes]
    assert [len(lines) for lines in drawn] == [0, 0, 0, 1, 1]
    # of the held-out cells
    assert [line[0].get_ydata()[0] for line in drawn[3:]] == [0.3, 0.01]


def test_one_epoch_is_a_dot() -> None:
    class Short:
        history = {"train_loss": pd.DataFrame({"loss": [1.0]})}

    assert pl.history(Short())[0].lines[0].get_marker() == "o"


def test_a_trained_model_is_needed() -> None:
    class Fresh:
        history = None

    class Other:
        history = {"elbo": pd.DataFrame({"elbo": [1.0]})}

    with pytest.raises(ValueError, match="`model` has no training history"):
        pl.history(Fresh())
    with pytest.raises(ValueError, match="it has elbo"):
        pl.history(Other())


def test_what_has_no_value_is_left_out() -> None:
    class Unpaired:
        history = {
            "train_loss": pd.DataFrame({"loss": [1.0, 0.5]}),
            "accuracy_rna_train": pd.DataFrame({"a": [0.5, 0.6]}),
            "accuracy_atac_train": pd.DataFrame({"a": [np.nan, np.nan]}),
            "pair_accuracy_rna_train": pd.DataFrame({"a": [np.nan, np.nan]}),
        }

    axes = pl.history(Unpaired())
    assert len(axes) == 2
    assert [line.get_label() for line in axes[1].lines] == ["rna training"]
