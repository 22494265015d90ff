from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from scminnet import pl


def test_heatmap_shows_shares_of_each_true_type() -> None:
    axis = pl.transfer_heatmap(["a", "a", "a", "b", None], ["a", "a", "c", "b", "a"], title="x to y")
    np.testing.assert_allclose(axis.images[0].get_array(), [[2 / 3, 0, 1 / 3], [0, 1, 0]])
    assert [t.get_text() for t in axis.get_yticklabels()] == ["a (3)", "b (1)"]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["a", "b", "c"]
    assert sorted(t.get_text() for t in axis.texts) == ["100", "33", "67"]
    assert axis.get_title() == "x to y"


def test_numbers_are_written_where_there_is_room() -> None:
    names = [f"t{i:02}" for i in range(25)]
    assert not pl.transfer_heatmap(names, names).texts
    assert len(pl.transfer_heatmap(names[:20], names[:20]).texts) == 20
    _, axis = plt.subplots(figsize=(2, 2), layout="constrained")
    assert not pl.transfer_heatmap(names[:10], names[:10], ax=axis).texts


def test_types_are_in_natural_order() -> None:
    axis = pl.transfer_heatmap(["t10", "t2"], ["t10", "t3"])
    assert [t.get_text() for t in axis.get_yticklabels()] == ["t2 (1)", "t10 (1)"]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["t2", "t3", "t10"]


@pytest.mark.parametrize("n", [1, 3, 25])
def test_no_text_overlaps(n: int, text_apart) -> None:
    names = [f"T cell, CD4-positive, {i}" for i in range(n)]
    text_apart(pl.transfer_heatmap(names, names, title="rna to atac").figure)


def test_labels_are_one_a_cell_and_some_known() -> None:
    with pytest.raises(ValueError, match="`true` has 1"):
        pl.transfer_heatmap(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="no label"):
        pl.transfer_heatmap([None], ["a"])
