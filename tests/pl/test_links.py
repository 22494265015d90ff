from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.text import Annotation
from mudata import MuData, read_h5mu

from scminnet import pl
from scminnet.pl._link_panels import NARROW, WIDE
from scminnet.pl._region import NEGATIVE, NOT_SIGNIFICANT, POSITIVE


@pytest.fixture
def gene(bulks: MuData) -> str:
    """The first gene with positive, negative and not significant links."""
    links = bulks.uns["cre_links"]
    kinds = np.where(links["fdr"] > 0.05, 0, np.sign(links["r"]))
    return links.assign(kind=kinds).groupby("gene", sort=False)["kind"].nunique().eq(3).idxmax()


def rows(bulks: MuData, gene: str) -> pd.DataFrame:
    table = bulks.uns["cre_links"]
    return table[table["gene"] == gene]


def annotation(bulks: MuData) -> pd.DataFrame:
    return bulks["rna"].var.rename_axis("gene").reset_index()


def moved(bulks: MuData, shift: int) -> None:
    for table in (bulks.uns["cre_links"], bulks["atac"].var):
        for column in {"start", "end", "tss"} & set(table.columns):
            table[column] += shift


def arrow(axes: pl.LinkAxes) -> Annotation:
    return next(text for text in axes.gene.texts if isinstance(text, Annotation))


def test_each_link_has_an_arc_from_the_start_to_the_peak(bulks: MuData, gene: str) -> None:
    axes = pl.links(bulks, gene)
    table = rows(bulks, gene)
    arcs = axes.arcs.collections[0]
    segments = arcs.get_segments()
    assert len(segments) == len(table) > 3
    drawn = pd.DataFrame(
        {
            "ends": [tuple(sorted([s[0, 0], s[-1, 0]])) for s in segments],
            "r": [s[np.abs(s[:, 1]).argmax(), 1] for s in segments],
            "colour": [to_hex(colour).upper() for colour in arcs.get_colors()],
        }
    )
    middle = (table["start"] + table["end"]) / 2
    expected = pd.DataFrame(
        {
            "ends": [tuple(sorted(e)) for e in zip(middle, table["tss"].astype(float), strict=True)],
            "r": table["r"].to_numpy(),
            "colour": np.where(table["fdr"] > 0.05, NOT_SIGNIFICANT, np.where(table["r"] < 0, NEGATIVE, POSITIVE)),
        }
    )
    assert set(expected["colour"]) == {NOT_SIGNIFICANT, NEGATIVE, POSITIVE}
    order = ["ends", "r"]
    pd.testing.assert_frame_equal(
        drawn.sort_values(order, ignore_index=True), expected.sort_values(order, ignore_index=True)
    )
    assert len(axes.gene.collections[0].get_paths()) == len(table)
    names = [text.get_text() for text in axes.arcs.get_legend().get_texts()]
    assert names == ["positive", "negative", "FDR > 0.05"]


def test_the_better_its_score_the_wider_a_link(bulks: MuData, gene: str) -> None:
    # without scores there are two widths
    assert set(pl.links(bulks, gene).arcs.collections[0].get_linewidths()) == {0.8, 1.4}
    links = bulks.uns["cre_links"]
    links["score"] = np.random.default_rng(0).permutation(len(links)) / len(links)
    arcs = pl.links(bulks, gene).arcs.collections[0]
    table = rows(bulks, gene)
    # by the apex, which is r
    width = dict(
        zip([round(s[np.abs(s[:, 1]).argmax(), 1], 6) for s in arcs.get_segments()], arcs.get_linewidths(), strict=True)
    )
    by_score = [width[round(r, 6)] for r in table.sort_values("score")["r"]]
    assert by_score == sorted(by_score)
    np.testing.assert_allclose(sorted(width.values()), np.sort(NARROW + (WIDE - NARROW) * table["score"]))


def test_links_that_were_not_tested_are_not_grey(bulks: MuData, gene: str) -> None:
    bulks.uns["cre_links"]["fdr"] = np.nan
    axes = pl.links(bulks, gene)
    assert NOT_SIGNIFICANT not in {to_hex(colour).upper() for colour in axes.arcs.collections[0].get_colors()}
    assert [text.get_text() for text in axes.arcs.get_legend().get_texts()] == ["positive", "negative"]


def test_grey_means_not_significant_and_nothing_else(bulks: MuData, gene: str) -> None:
    axes = pl.links(bulks, gene)
    grey = []
    for axis in axes:
        for artist in axis.findobj(lambda a: hasattr(a, "get_edgecolor") or hasattr(a, "get_color")):
            given = artist.get_color() if hasattr(artist, "get_color") else artist.get_edgecolor()
            for colour in to_rgba_array(given):
                if np.ptp(colour[:3]) < 0.02 and 0.05 < colour[0] < 0.95 and colour[3] > 0:
                    grey.append((type(artist).__name__, to_hex(colour).upper()))
    # the last two are of legend frames and grids, which are not drawn
    assert {colour for _, colour in grey} <= {NOT_SIGNIFICANT, "#CCCCCC", "#B0B0B0"}


@pytest.mark.parametrize("strand", ["+", "-"])
def test_the_arrow_points_where_transcription_goes(bulks: MuData, gene: str, strand: str) -> None:
    bulks.uns["cre_links"]["strand"] = strand
    axes = pl.links(bulks, gene)
    tip, start = arrow(axes).xy[0], arrow(axes).xyann[0]
    assert start == rows(bulks, gene)["tss"].iloc[0]
    assert (tip > start) == (strand == "+")
    low, high = axes.tracks.get_xlim()
    assert low < tip < high


def test_the_body_is_drawn_where_it_is_known(bulks: MuData, gene: str) -> None:
    def bodies(axes: pl.LinkAxes) -> list[list[float]]:
        return [list(line.get_xdata()) for line in axes.gene.lines if line.get_linewidth() == 3]

    place = bulks["rna"].var.loc[gene]
    axes = pl.links(bulks, gene, tss=annotation(bulks))
    assert bodies(axes) == [[place["start"], place["end"]]]
    assert [t.get_text() for t in axes.gene.get_yticklabels()] == ["peaks", "gene"]
    axes = pl.links(bulks, gene)
    assert bodies(axes) == []
    assert [t.get_text() for t in axes.gene.get_yticklabels()] == ["peaks", "start"]
    # what `tl.cre_links` keeps of its annotation
    bulks.uns["cre_links_info"]["genes"] = annotation(bulks)[["gene", "chrom", "start", "end"]]
    assert bodies(pl.links(bulks, gene)) == [[place["start"], place["end"]]]
    bulks.uns["cre_links_info"]["genes"]["end"] = bulks.uns["cre_links_info"]["genes"]["start"] + 1
    assert bodies(pl.links(bulks, gene)) == []


def test_groups_have_the_colours_of_the_data(bulks: MuData, gene: str) -> None:
    bulks.obs["cell_type"] = bulks.obs["cell_type"].astype("category")
    bulks.uns["cell_type_colors"] = ["#111111", "#222222", "#333333"]
    axes = pl.links(bulks, gene)
    drawn = [to_hex(track.get_facecolor()[0]) for track in axes.tracks.collections]
    assert drawn == ["#111111", "#222222", "#333333"]
    axes = pl.links(bulks, gene, palette=["red", "blue", "lime"])
    assert [to_hex(track.get_facecolor()[0]) for track in axes.tracks.collections] == ["#ff0000", "#0000ff", "#00ff00"]


def test_every_start_has_an_arrow(bulks: MuData, gene: str) -> None:
    table = bulks.uns["cre_links"]
    first = table.index[table["gene"] == gene][0]
    table.loc[first, "tss"] += 3_000
    axes = pl.links(bulks, gene)
    starts = [text.xyann[0] for text in axes.gene.texts]
    assert sorted(starts) == sorted(rows(bulks, gene)["tss"].unique())
    assert len(starts) == 2


def test_tracks_are_the_mean_accessibility_of_each_group(bulks: MuData, gene: str) -> None:
    axes = pl.links(bulks, gene, groupby="condition")
    # a categorical column keeps its order
    assert [t.get_text() for t in axes.tracks.get_yticklabels()] == ["healthy", "moderate", "critical"]
    low, high = axes.tracks.get_xlim()
    peaks = bulks["atac"].var
    shown = (peaks["chrom"] == rows(bulks, gene)["chrom"].iloc[0]) & (peaks["end"] > low) & (peaks["start"] < high)
    values = bulks["atac"].X.toarray()[:, shown]
    means = {
        level: values[bulks.obs["condition"] == level].mean(axis=0) for level in ["healthy", "moderate", "critical"]
    }
    top = max(mean.max() for mean in means.values())
    assert axes.tracks.get_title(loc="left") == f"mean accessibility (log), 0 to {top:.2g}"
    for base, (track, mean) in enumerate(zip(reversed(axes.tracks.collections), reversed(means.values()), strict=True)):
        heights = [path.vertices[:, 1].max() - base for path in track.get_paths()]
        np.testing.assert_allclose(heights, 0.85 * mean / top, rtol=1e-5)
        lefts = [path.vertices[:, 0].min() for path in track.get_paths()]
        np.testing.assert_array_equal(lefts, peaks["start"][shown])


def test_expression_has_a_dot_a_bulk_level_with_its_track(bulks: MuData, gene: str) -> None:
    axes = pl.links(bulks, gene, groupby="cell_type")
    values = bulks["rna"][:, gene].X.toarray()[:, 0]
    types = sorted(bulks.obs["cell_type"].unique())
    medians = [line.get_xdata()[0] for line in axes.expression.lines]
    np.testing.assert_allclose(medians, [np.median(values[bulks.obs["cell_type"] == t]) for t in types])
    for i, (dots, name) in enumerate(zip(axes.expression.collections, types, strict=True)):
        places = dots.get_offsets()
        np.testing.assert_allclose(np.sort(places[:, 0]), np.sort(values[bulks.obs["cell_type"] == name]))
        assert (np.floor(places[:, 1]) == len(types) - 1 - i).all()
    assert axes.expression.get_ylim() == axes.tracks.get_ylim()


def test_tracks_are_of_the_groups_that_the_bulks_were_made_of(bulks: MuData, gene: str) -> None:
    assert len(pl.links(bulks, gene).tracks.get_yticks()) == 3
    bulks.uns["minibulk"] = {"params": {"groupby": {"rna": "a", "atac": "b"}}}
    bulks.obs["group"] = ["x", "y"] * 30
    assert [t.get_text() for t in pl.links(bulks, gene).tracks.get_yticklabels()] == ["x", "y"]
    del bulks.uns["minibulk"]
    assert [t.get_text() for t in pl.links(bulks, gene).tracks.get_yticklabels()] == ["all bulks"]


def test_links_within_groups_are_shown_for_one(bulks: MuData, gene: str) -> None:
    table = rows(bulks, gene)
    bulks.uns["cre_links"] = pd.concat([table.assign(group="B"), table.head(2).assign(group="T")], ignore_index=True)
    with pytest.raises(ValueError, match="`group` is None, but .* 'B', 'T'"):
        pl.links(bulks, gene)
    axes = pl.links(bulks, gene, group="T")
    assert len(axes.arcs.collections[0].get_segments()) == 2
    assert axes.arcs.get_title(loc="left") == f"{gene}, links within T"
    with pytest.raises(ValueError, match="`group` is 'NK'"):
        pl.links(bulks, gene, group="NK")


def test_bulks_in_another_order_are_matched_by_name(bulks: MuData, gene: str) -> None:
    mixed = MuData({"rna": bulks["rna"].copy(), "atac": bulks["atac"][::-1].copy()})
    mixed.uns = bulks.uns
    mixed.obs["condition"] = bulks.obs["condition"].reindex(mixed.obs_names)
    expected, found = (pl.links(b, gene, groupby="condition").tracks for b in (bulks, mixed))
    for one, other in zip(expected.collections, found.collections, strict=True):
        for path, same in zip(one.get_paths(), other.get_paths(), strict=True):
            np.testing.assert_allclose(path.vertices, same.vertices, rtol=1e-5)


@pytest.mark.parametrize(
    ("shift", "label", "ticks"), [(0, "(kb)", r"^\d+(?:\.\d)?$"), (10**8, "(Mb)", r"^10\d\.\d\d$")]
)
def test_positions_have_readable_ticks(bulks: MuData, shift: int, label: str, ticks: str) -> None:
    links = bulks.uns["cre_links"]
    gene = links.loc[links["tss"].idxmin(), "gene"]  # near the start of its chromosome
    moved(bulks, shift)
    axes = pl.links(bulks, gene)
    axes.arcs.figure.draw_without_rendering()
    low, high = axes.tracks.get_xlim()
    shown = [
        t.get_text()
        for t, at in zip(axes.tracks.get_xticklabels(), axes.tracks.get_xticks(), strict=True)
        if low <= at <= high
    ]
    assert 2 <= len(shown) == len(set(shown)) <= 9
    assert pd.Series(shown).str.contains(ticks).all()
    assert axes.tracks.get_xlabel().endswith(label)


def test_one_axes_is_filled(bulks: MuData, gene: str, tmp_path) -> None:
    figure, axis = plt.subplots(figsize=(3.35, 3.6), layout="constrained")
    axes = pl.links(bulks, gene, ax=axis, save=tmp_path / "links.pdf")
    assert set(axes) <= set(axis.child_axes)
    assert (tmp_path / "links.pdf").stat().st_size > 1_000
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match="`ax` holds 2 Axes, but the figure has 1"):
        pl.links(bulks, gene, ax=plt.subplots(1, 2)[1])


@pytest.mark.parametrize("shift", [0, 10**8])
def test_no_text_overlaps_at_the_width_of_a_column(bulks: MuData, gene: str, shift: int, text_apart) -> None:
    moved(bulks, shift)
    figure, axis = plt.subplots(figsize=(3.35, 3.6), layout="constrained")
    pl.links(bulks, gene, ax=axis)
    text_apart(figure)


def test_no_text_overlaps_with_many_groups(bulks: MuData, gene: str, text_apart) -> None:
    bulks.obs["fine"] = [f"T cell, CD4-positive and activated, {i % 25}" for i in range(bulks.n_obs)]
    text_apart(pl.links(bulks, gene, groupby="fine", tss=annotation(bulks)).arcs.figure)


def test_it_works_after_a_file(bulks: MuData, gene: str, tmp_path) -> None:
    bulks.write(tmp_path / "bulks.h5mu")
    axes = pl.links(read_h5mu(tmp_path / "bulks.h5mu"), gene)
    assert len(axes.arcs.collections[0].get_segments()) == len(rows(bulks, gene))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"gene": "gene_lost"}, KeyError, "'gene_lost', which has no link.*left out: 'no peak in its window'"),
        ({"gene": "LEF1"}, KeyError, "'LEF1', which has no link.*not among the genes"),
        ({"key": "other"}, KeyError, r"`bulks` is a MuData without uns\['other'\].*tl.cre_links"),
        ({"groupby": "type"}, KeyError, "`groupby` is 'type'"),
        ({"max_fdr": 2}, ValueError, "`max_fdr`"),
        ({"rna": "expression"}, ValueError, "`rna` names 'expression'"),
        ({"save": "links.doc"}, ValueError, "`save`"),
    ],
)
def test_bad_input(bulks: MuData, gene: str, arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        pl.links(bulks, **{"gene": gene, **arguments})
    assert not plt.get_fignums()


def test_the_annotation_must_have_the_gene_and_its_extent(bulks: MuData, gene: str) -> None:
    table = annotation(bulks)
    with pytest.raises(ValueError, match="`tss` lacks 'gene_"):
        pl.links(bulks, gene, tss=table[table["gene"] != gene])
    with pytest.raises(ValueError, match="`tss` lacks the columns 'end'"):
        pl.links(bulks, gene, tss=table.drop(columns="end"))


def test_a_gene_is_on_one_chromosome(bulks: MuData, gene: str) -> None:
    table = bulks.uns["cre_links"]
    table.loc[table.index[table["gene"] == gene][0], "chrom"] = "chrX"
    with pytest.raises(ValueError, match="`gene` .* has links on .*'chrX'"):
        pl.links(bulks, gene)
