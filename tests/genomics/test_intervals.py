from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scminnet.genomics import interval_names, intervals, overlaps, parse_intervals


def test_a_name_of_two_lines_is_no_interval():
    with pytest.raises(ValueError, match="2 of 2 names are not intervals"):
        parse_intervals(["chr1:1-2\nchr1:3-4", "x"])


@settings(deadline=None)
@given(
    chrom=st.sampled_from(["chr1", "X", "chr1_KI270706v1_random", "HLA-A*01:01:01:01", "GL000194.1", "chrUn-a_1"]),
    start=st.integers(0, 10**9),
    width=st.integers(1, 10**6),
    style=st.sampled_from(["{}:{}-{}", "{}-{}-{}", "{}_{}_{}", "{}:{}_{}", "{}:{:,}-{:,}"]),
)
def test_every_spelling_is_read(chrom, start, width, style):
    name = style.format(chrom, start, start + width)
    found = parse_intervals([name])
    assert found.index.tolist() == [name]
    assert found.iloc[0].tolist() == [chrom, start, start + width]


PLACES = st.tuples(st.sampled_from(["chr1", "X", "chr1_KI270706v1_random"]), st.integers(0, 99), st.integers(1, 99))


@settings(deadline=None)
@given(places=st.lists(PLACES, min_size=1), separators=st.sampled_from([(":", "-"), ("-", "-"), ("_", "_")]))
def test_names_are_read_back(places, separators):
    table = pd.DataFrame(places, columns=["chrom", "start", "end"])
    table["end"] += table["start"]
    names = interval_names(table, separators)
    assert names.equals(pd.Index([f"{c}{separators[0]}{a}{separators[1]}{b}" for c, a, b in table.to_numpy()]))
    assert parse_intervals(names).reset_index(drop=True).equals(table)


def test_intervals_without_a_position_have_no_name():
    with pytest.raises(ValueError, match="`bulks`: 1 of 1 names are not intervals"):
        interval_names(["gene"], argument="bulks")


@pytest.mark.parametrize("names", [("chrom", "start", "end"), ("seqnames", "chromStart", "chromEnd")])
def test_interval_columns_come_before_names(names):
    table = pd.DataFrame([["chr1", 1, 5], ["chr2", 2, 6]], columns=names, index=["chr9:7-8", "peak"])
    found = parse_intervals(table.astype({names[0]: "category", names[1]: str}))
    assert found.to_numpy().tolist() == [["chr1", 1, 5], ["chr2", 2, 6]]
    assert found.index.equals(table.index)
    with pytest.raises(ValueError, match="1 of 2 names are not intervals, e.g. 'peak'"):
        parse_intervals(table[[names[0], names[1]]])
    with pytest.raises(ValueError, match=f"1 of 2 columns '{names[0]}'.*e.g. 'chr1 1 0'"):
        parse_intervals(table.assign(**{names[2]: [0, 9]}))
    with pytest.raises(ValueError, match="1 of 2 columns .* e.g. 'nan 2 6'"):
        parse_intervals(table.assign(**{names[0]: ["chr1", np.nan]}))


def test_what_does_not_parse_is_counted_and_shown():
    names = ["chr1:1-2", "a", "chr1:5-5", "chr1:9-3", "chr1:1-2-", ":1-2", "chr1:-1-2", "chr1:,-3"]
    with pytest.raises(ValueError, match="`peaks`: 7 of 8 names are not intervals, e.g. 'a', 'chr1:5-5', 'chr1:9-3'"):
        parse_intervals(names)


interval = st.tuples(st.sampled_from(["chr1", "chr2", "chr10"]), st.integers(0, 60), st.integers(0, 25))


@settings(deadline=None)
@given(st.lists(interval, min_size=1, max_size=25), st.lists(interval, min_size=1, max_size=25))
def test_overlaps_as_a_double_loop_finds_them(first, second):
    def table(rows):
        frame = pd.DataFrame(rows, columns=["chrom", "start", "end"]).assign(end=lambda t: t["start"] + t["end"])
        return frame.set_index(np.repeat("same", len(frame)))

    ours, theirs = table(first), table(second)
    expected = {
        (i, j)
        for i, (c, s, w) in enumerate(first)
        for j, (d, t, v) in enumerate(second)
        if c == d and set(range(s, s + w)) & set(range(t, t + v))
    }
    found = list(zip(*overlaps(ours, theirs), strict=True))
    assert len(found) == len(expected)
    assert set(found) == expected


def test_texts_and_nothing_are_no_peaks() -> None:
    for peaks in ("chr1:1-2", None):
        with pytest.raises(TypeError, match="`peaks` is .*list of names"):
            parse_intervals(peaks)
    with pytest.raises(ValueError, match="are not intervals"):
        parse_intervals(["chr1:1-99999999999999999999999"])
    twice = pd.DataFrame([["chr1", 1, 2, 3]], columns=["chrom", "start", "end", "end"])
    assert parse_intervals(twice)["end"].tolist() == [2]


@given(
    names=st.lists(
        st.tuples(
            st.sampled_from(["chr1", "1", "chr1_KI270706v1_random", "HLA-A", "x:y", "a b", "", "|", "_", "1:2"]),
            st.sampled_from(":-_"),
            st.sampled_from(["0", "12", "1_0", "1,000", "x", "", "١", "9" * 17]),
            st.sampled_from("-_:"),
            st.sampled_from(["2000", "13", "", "1,001"]),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=300, deadline=None)
def test_quick_split_is_that_of_the_search(names) -> None:
    texts = ["".join(name) for name in names]
    quick = intervals._split_plain(texts, "\n".join(texts))
    matches = [intervals.INTERVAL_NAME.fullmatch(text) for text in texts]
    assert (quick is not None) == all(
        m is not None and text.isascii() and "," not in text for m, text in zip(matches, texts, strict=True)
    )
    if quick is not None:
        assert quick.astype(str).to_numpy().tolist() == [[m[1], str(int(m[2])), str(int(m[3]))] for m in matches]


def test_lines_and_long_numbers_do_not_take_the_quick_way() -> None:
    for names in ([], ["chr1:1-2\nchr1:3-4", "x"], ["chr1:1-2\nchr1:3-4"], ["chr1:1-2\n"], [f"chr1:1-{10**18}"]):
        assert intervals._split_plain(names, "\n".join(names)) is None


@pytest.mark.parametrize("form", ["{}:{}-{}", "{}-{}-{}", "{}_{}_{}"])
def test_plain_names_take_the_quick_way(form: str) -> None:
    names = [form.format("chr1", 10 * i, 10 * i + 5) for i in range(50)]
    quick = intervals._split_plain(names, "\n".join(names))
    assert quick is not None
    assert quick[2].tolist() == [10 * i + 5 for i in range(50)]
