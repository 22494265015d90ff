from __future__ import annotations

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scminnet import pl
from scminnet.pl import _colors, _style

HALF = (["a", "a", "b", "b"], ["a", "b", "b", "b"])


@pytest.mark.parametrize("n", [1, 8, 9, 60])
def test_palette_gives_each_category_its_own_colour(n: int) -> None:
    colours = _colors.default_palette([str(i) for i in range(n)])
    assert len(set(colours.values())) == n


def test_a_figure_is_written_in_the_format_of_its_ending(tmp_path) -> None:
    for ending, start in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
        axis = pl.transfer_heatmap(*HALF, save=tmp_path / f"f.{ending}")
        assert (tmp_path / f"f.{ending}").read_bytes().startswith(start)
        assert axis.figure.number in plt.get_fignums()
    # text stays text, to be read and searched
    assert b"true type (cells)" in (tmp_path / "f.svg").read_bytes()
    assert b"/Subtype /Type3" not in (tmp_path / "f.pdf").read_bytes()


@pytest.mark.parametrize(
    ("save", "words"),
    [
        ("figure.xyz", "ends in one of .*pdf"),
        ("figure", "ends in one of"),
        ("nowhere/figure.pdf", "no folder 'nowhere'"),
    ],
)
def test_a_wrong_path_is_refused_before_a_figure_is_made(save: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"`save` is .*{words}"):
        pl.transfer_heatmap(*HALF, save=save)
    assert not plt.get_fignums()


def test_a_figure_is_drawn_on_the_axes_given(tmp_path) -> None:
    figure, axes = plt.subplots(1, 2)
    assert pl.transfer_heatmap(*HALF, ax=axes[1], save=tmp_path / "f.png") is axes[1]
    assert axes[1].images
    assert not axes[0].images
    assert plt.get_fignums() == [figure.number]


def test_as_many_axes_as_panels_are_needed() -> None:
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match="`ax` holds 2 Axes, but the figure has 1 panels: the heatmap"):
        pl.transfer_heatmap(*HALF, ax=axes)
    with pytest.raises(TypeError, match="`ax` holds a Figure"):
        pl.transfer_heatmap(*HALF, ax=axes[0].figure)


def test_all_text_can_be_read_at_the_width_of_a_column() -> None:
    axis = pl.smoothing_gain(pd.DataFrame({"setting": ["raw", "5"] * 20, "r": np.linspace(0, 1, 40)}), reference=None)
    assert axis.figure.get_figwidth() == _style.COLUMN
    texts = [*axis.get_xticklabels(), *axis.get_yticklabels(), axis.xaxis.label, axis.yaxis.label]
    assert min(text.get_fontsize() for text in texts) >= 7


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("ab -_$", min_size=1, max_size=60), min_size=1, max_size=12), st.floats(1, 7))
def test_names_that_do_not_stand_upright_fit(names: list[str], width: float) -> None:
    shown, upright = _style.fitted(names, width)
    assert [re.sub(r"\s", "", name) for name in shown] == [re.sub(r"\s", "", name) for name in names]
    if not upright:
        assert max(map(_style.text_width, shown)) <= width / len(names)


def test_legends_below_do_not_replace_each_other() -> None:
    _, axis = plt.subplots()
    first = _style.legend_below(axis, {"a": {"color": "red"}}, beneath=0.1)
    second = _style.legend_below(axis, {"$b$": {"color": "blue"}}, beneath=0.4, title="more")
    assert {first, second} <= set(axis.get_children())
    assert not second.get_texts()[0].get_parse_math()


def test_a_legend_has_no_more_columns_than_its_rows_need() -> None:
    assert _style.legend_columns(["ab"] * 5, 2.0) == 3
    assert _style.legend_columns(["ab"] * 4, 2.0) == 4
    assert _style.legend_columns(["a long name of a kind of cell"] * 4, 2.0) == 1
