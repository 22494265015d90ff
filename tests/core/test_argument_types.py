"""Arguments against annotations: what is accepted, what it becomes, and what an error says."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mudata import MuData

import scminnet as mn
from scminnet._core.argument_types import check_types, checked_argument
from scminnet._core.user_warnings import warn

WHOLE = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers())
ANYTHING = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(), SCALARS, max_size=3))
HINTS = [
    int, float, bool, str, int | None, str | Path, Sequence[str], Mapping[str, str | None], str | Sequence[str],
    bool | float, Literal["a"],
]  # fmt: skip


@given(WHOLE)
def test_numpys_whole_numbers_are_whole_numbers(value: int) -> None:
    for form in (value, np.int64(value), np.array(value)):
        found = checked_argument(form, int, "n")
        assert type(found) is int
        assert found == value


@given(st.floats(allow_nan=False))
def test_numpys_numbers_are_numbers(value: float) -> None:
    for form in (value, np.float64(value), np.array(value)):
        assert type(checked_argument(form, float, "x")) is float
    assert checked_argument(np.float32(0.5), float | None, "x") == 0.5


@given(ANYTHING, st.sampled_from(HINTS))
def test_a_value_fits_or_is_refused_by_name(value: Any, hint: Any) -> None:
    try:
        found = checked_argument(value, hint, "argument")
    except (TypeError, ValueError) as error:
        said = str(error)
    else:
        # a checked value passes again, and is what it was
        assert checked_argument(found, hint, "argument") == found
        assert isinstance(value, (list, dict)) or found == value
        return
    assert said.startswith("`argument` is ")
    assert " Give " in said
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("value", "hint", "error", "words"),
    [
        (True, int, TypeError, "`n` is True. Give a whole number."),
        (2.5, int, ValueError, "`n` is 2.5. Give a whole number."),
        (10**30, int, ValueError, "Give a whole number."),
        (float("nan"), float | None, ValueError, "Give a number or None."),
        ({}, int | None, TypeError, "`n` is {}. Give a whole number or None."),
        (1, bool, TypeError, "Give True or False."),
        ([1], str, TypeError, "`n` is [1]. Give a text."),
        (b"a", str | os.PathLike[str] | None, TypeError, "Give a path or None."),
        ("a\0b", str | Path, ValueError, "which is no path"),
        ("", str | Path | None, ValueError, "which is no path"),
        ("rna", Sequence[str], TypeError, "`n` is the text 'rna'. Give a list of texts."),
        (["rna", 3], Sequence[str], TypeError, "Give a list of texts."),
        ({"rna", "atac"}, Sequence[str], TypeError, "Give a list of texts."),
        ({"rna": 3}, str | Mapping[str, str | None] | None, TypeError, "Give a text, a mapping or None."),
        ({1: "a"}, Mapping[str, str], TypeError, "Give a mapping."),
        (3.5, int | Sequence[int], ValueError, "Give a whole number or a list of whole numbers."),
        (pd.DataFrame(), int, TypeError, "`n` is a DataFrame."),
    ],
)
def test_an_error_says_what_was_found_and_what_to_give(value: Any, hint: Any, error: type, words: str) -> None:
    with pytest.raises(error) as caught:
        checked_argument(value, hint, "n")
    assert words in str(caught.value)
    assert type(caught.value) is error


def test_lists_of_any_kind_become_lists() -> None:
    for form in (["a", "b"], ("a", "b"), np.array(["a", "b"]), pd.Index(["a", "b"]), {"a": 1, "b": 2}.keys()):
        if isinstance(form, type({}.keys())):
            continue
        found = checked_argument(form, Sequence[str], "names")
        assert found == ["a", "b"]
        assert all(type(name) is str for name in found)
    assert checked_argument((name for name in "ab"), Iterable[str], "names") == ["a", "b"]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_are_those_that_numpy_takes(seed: int) -> None:
    with pytest.raises(ValueError, match="`seed` is .* from 0 to 4,294,967,295"):
        checked_argument(seed, int, "seed")


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\0b"])
def test_names_to_write_can_be_written_into_files(name: str) -> None:
    with pytest.raises(ValueError, match="`key_added` is"):
        checked_argument(name, str, "key_added")


def test_a_decorated_function_keeps_its_signature_and_pythons_errors() -> None:
    @check_types
    def double(n: int, *, seed: int = 0) -> int:
        return 2 * n

    assert double(np.int8(3)) == 6
    assert list(inspect.signature(double).parameters) == ["n", "seed"]
    with pytest.raises(TypeError, match="double"):
        double()
    with pytest.raises(TypeError, match="unexpected"):
        double(1, other=2)  # type: ignore[call-arg]


def test_every_public_function_checks_its_arguments() -> None:
    parts = (mn.pp, mn.tl, mn.pl, mn.metrics, mn.datasets)
    members = [getattr(part, name) for part in parts for name in part.__all__]
    functions = [member for member in members if inspect.isfunction(member)]
    methods = (
        "__init__", "setup_mudata", "train", "embed", "predict", "get_latent_representation", "diagnose", "save",
        "load", "load_query_data", "prepare_query_mudata",
    )  # fmt: skip
    functions += [mn.read_lazy, *(getattr(mn.MinNet, name) for name in methods)]
    assert [f.__qualname__ for f in functions if not hasattr(f, "__wrapped__")] == []


def test_a_warning_points_at_the_line_of_the_user() -> None:
    mdata = mn.datasets.simulate_multiome(60, n_types=2, n_lineages=1, n_genes=30, n_peaks=40)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mn.pp.margin_graph(mdata, n_pcs=5, n_neighbors=5)
        warn("here")
    own = [w for w in caught if issubclass(w.category, UserWarning) and "counts" in str(w.message)]
    assert own[0].filename == __file__
    assert caught[-1].filename == __file__
    assert isinstance(mdata, MuData)
