from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.legend import Legend
from mudata import MuData
from scipy import stats

from scminnet import pl
from scminnet.pl._colors import COLOUR_BLIND_SAFE

LEVELS = ["healthy", "moderate", "critical"]


@pytest.fixture
def link(bulks: MuData) -> tuple[str, str]:
    return tuple(bulks.uns["cre_links"].loc[0, ["gene", "peak"]])


def values(bulks: MuData, link: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    gene, peak = link
    return bulks["atac"][:, peak].X.toarray()[:, 0], bulks["rna"][:, gene].X.toarray()[:, 0]


def entry(name: str, x: np.ndarray, y: np.ndarray) -> str:
    r = f"{stats.spearmanr(x, y).statistic:.2f}".replace("-", "−")
    return f"{name}: r = {r} (n = {len(x)})"


def legends(axis: plt.Axes) -> list[list[str]]:
    found = axis.findobj(lambda artist: isinstance(artist, Legend))
    return [[text.get_text() for text in legend.get_texts()] for legend in found]


def test_all_bulks_are_dots_with_one_r(bulks: MuData, link: tuple[str, str]) -> None:
    axis = pl.link_scatter(bulks, *link)
    x, y = values(bulks, link)
    np.testing.assert_allclose(axis.collections[0].get_offsets(), np.column_stack([x, y]), rtol=1e-6)
    assert legends(axis) == [[entry("all bulks", x, y)]]
    assert axis.get_xlabel() == f"accessibility of {link[1]} (log)"
    assert axis.get_ylabel() == f"expression of {link[0]} (log)"
    slope = np.polyfit(x, y, 1)[0]
    (x0, x1), (y0, y1) = axis.lines[0].get_data()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(slope)
    assert not pl.link_scatter(bulks, *link, line=False).lines


def test_each_condition_has_its_own_r(bulks: MuData, link: tuple[str, str]) -> None:
    axis = pl.link_scatter(bulks, *link, condition="condition")
    x, y = values(bulks, link)
    here = [(bulks.obs["condition"] == level).to_numpy() for level in LEVELS]
    assert legends(axis) == [[entry(level, x[at], y[at]) for level, at in zip(LEVELS, here, strict=True)]]
    for dots, at, colour in zip(axis.collections, here, COLOUR_BLIND_SAFE, strict=False):
        np.testing.assert_allclose(dots.get_offsets(), np.column_stack([x[at], y[at]]), rtol=1e-6)
        assert {to_hex(c).upper() for c in dots.get_facecolors()} == {colour}
    # forms differ as well as colours
    assert len({line.get_linestyle() for line in axis.lines}) == 3
    assert len({len(dots.get_paths()[0].vertices) for dots in axis.collections}) > 1


def test_groups_are_coloured_and_conditions_told_by_form(bulks: MuData, link: tuple[str, str]) -> None:
    axis = pl.link_scatter(bulks, *link, condition="condition", groupby="cell_type")
    x, y = values(bulks, link)
    by_condition, groups = sorted(legends(axis), key=lambda names: "type" in names[0])
    types = sorted(bulks.obs["cell_type"].unique())
    assert groups == types
    assert [name.split(":")[0] for name in by_condition] == LEVELS
    for dots, level in zip(axis.collections, LEVELS, strict=True):
        of_type = bulks.obs.loc[bulks.obs["condition"] == level, "cell_type"]
        expected = [COLOUR_BLIND_SAFE[types.index(t)] for t in of_type]
        assert [to_hex(c).upper() for c in dots.get_facecolors()] == expected


def test_no_text_overlaps_below_many_groups(bulks: MuData, link: tuple[str, str], text_apart) -> None:
    bulks.obs["fine"] = [f"T cell, CD4-positive and activated, {i % 25}" for i in range(bulks.n_obs)]
    text_apart(pl.link_scatter(bulks, *link, condition="condition", groupby="fine").figure)


def test_too_few_or_constant_values_have_no_r(bulks: MuData, link: tuple[str, str]) -> None:
    bulks.obs["rare"] = ["one", "one"] + ["other"] * (bulks.n_obs - 2)
    assert legends(pl.link_scatter(bulks, *link, condition="rare"))[0][0] == "one: r not defined (n = 2)"
    bulks["rna"].X = np.ones(bulks["rna"].shape, dtype=np.float32)
    assert legends(pl.link_scatter(bulks, *link))[0] == [f"all bulks: r not defined (n = {bulks.n_obs})"]


def test_bulks_are_matched_by_name(bulks: MuData, link: tuple[str, str]) -> None:
    mixed = MuData({"rna": bulks["rna"].copy(), "atac": bulks["atac"][::-1].copy()})
    assert legends(pl.link_scatter(mixed, *link)) == legends(pl.link_scatter(bulks, *link))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"gene": "LEF1"}, KeyError, "`gene` is 'LEF1', which modality 'rna'"),
        ({"peak": "chr1:1-2"}, KeyError, "`peak` is 'chr1:1-2', which modality 'atac'"),
        ({"condition": "severity"}, KeyError, "`condition` is 'severity'"),
        ({"groupby": "severity"}, KeyError, "`groupby` is 'severity'"),
        ({"condition": "n_cells_rna_text"}, ValueError, "`condition` is .* a column of 60 values, of which 8"),
        ({"condition": "empty"}, ValueError, "`condition` is 'empty', a column without a value"),
        ({"atac": "peaks"}, ValueError, "`atac` names 'peaks'"),
    ],
)
def test_bad_input(bulks: MuData, link: tuple[str, str], arguments: dict, error: type[Exception], words: str) -> None:
    bulks.obs["n_cells_rna_text"] = [f"n{i}" for i in range(bulks.n_obs)]
    bulks.obs["empty"] = np.nan
    gene, peak = link
    with pytest.raises(error, match=words):
        pl.link_scatter(bulks, **{"gene": gene, "peak": peak, **arguments})
    assert not plt.get_fignums()


def test_bulks_with_both_modalities_are_needed(bulks: MuData, link: tuple[str, str]) -> None:
    apart = MuData({"rna": bulks["rna"][:30].copy(), "atac": bulks["atac"][30:].copy()})
    with pytest.raises(ValueError, match="`bulks` has none with both 'rna' and 'atac'"):
        pl.link_scatter(apart, *link)
