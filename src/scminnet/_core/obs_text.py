"""What the values of a column of ``obs`` are called: the same text for the same value, whatever its type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scminnet._core.arguments import shorten
from scminnet._core.user_warnings import warn

#: Texts that mean that there is no value, in lower case and without blanks around.
MISSING_TEXTS = frozenset(
    {"", "-", "<na>", "n/a", "na", "nan", "none", "not assigned", "null", "unassigned", "undefined", "unknown"}
    | {"unlabeled", "unlabelled"}
)

#: A column with more distinct numbers than this may be continuous.
_MANY = 20

#: Patterns of what :func:`warn_of_missing_texts` says, for steps after one that has said it.
SAID_OF_TEXTS = (".* look like missing ones", ".* with blanks around")

_WHOLE = re.compile(r"[+-]?\d+\.0+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def as_text(values: pd.Series) -> pd.Series:
    """Return values as text, object, NaN where one is missing.

    Whole numbers are the same whether they are integers, floats (1.0) or text ("1", or "1.0" if all texts are such).
    """
    codes, distinct = pd.factorize(values.astype(object))
    texts = [value_text(value) for value in distinct]
    if all(isinstance(value, str) for value in distinct):
        numbers = [text for text in texts if not is_missing_text(text)]
        if numbers and all(_WHOLE.fullmatch(text) for text in numbers):
            texts = [text if is_missing_text(text) else str(int(float(text))) for text in texts]
    # a missing value has the code -1
    named = np.array([*texts, np.nan], dtype=object)[codes]
    return pd.Series(named, index=values.index, name=values.name, dtype=object)


def value_text(value: Any) -> str:
    """Return the text of a value that is not missing."""
    if isinstance(value, (bytes, np.bytes_)):
        return value.decode("utf-8", "replace")
    if isinstance(value, (float, np.floating)) and np.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)


def is_missing_text(text: str) -> bool:
    """Tell whether a text looks as if it stood for a missing value."""
    return text.strip().lower() in MISSING_TEXTS


def check_categorical(text: pd.Series, named: str, *, labels: bool = False) -> None:
    """Raise if the values are continuous numbers.

    Parameters
    ----------
    text
        Values as :func:`as_text` returns them.
    named
        The argument and the column, for error messages.
    labels
        Whether they are cell types, which fractions never name. Others, such as doses, may be a few fractions.
    """
    distinct = text.dropna().unique()
    numbers = [name for name in distinct if _NUMBER.fullmatch(name)]
    if len(numbers) < len(distinct) or not numbers:
        return
    fractions = [name for name in numbers if "." in name or "e" in name.lower()]
    is_many = len(distinct) > _MANY
    own_value = labels and is_many and len(distinct) > len(text) / 2
    if own_value or (fractions and (labels or is_many)):
        raise ValueError(
            f"{named} holds {len(distinct):,} different numbers, e.g. {shorten((fractions or numbers)[:3])}, so it is "
            "continuous. Name a column of categories, or make one, e.g. with `pandas.cut`."
        )


def warn_of_missing_texts(text: pd.Series, named: str, remedy: str, others: Sequence[str] = ()) -> None:
    """Warn of texts that look as if they stood for missing values, and of blanks around others.

    Parameters
    ----------
    text
        Values as :func:`as_text` returns them.
    named
        The argument and the column, for messages.
    remedy
        What to do with missing ones, a sentence. ``{names}`` in it is the list of these and ``others``.
    others
        Names that stand for missing values already.
    """
    n_cells = text.value_counts(sort=False)
    missing = sorted(name for name in n_cells.index if is_missing_text(name))
    if missing:
        found = ", ".join(f"{name!r} ({n_cells[name]:,} cells)" for name in missing)
        names = [*others, *missing]
        warn(
            f"{named} has values that look like missing ones, but count as any other: {found}. "
            + remedy.format(names=repr(names[0]) if len(names) == 1 else names)
        )
    blanks = [name for name in n_cells.index if name != name.strip() and not is_missing_text(name)]
    if blanks:
        warn(
            f"{named} has values with blanks around them: {shorten(sorted(blanks))}. With blanks, a name is another "
            "name. Remove them: `obs[column] = obs[column].str.strip()`."
        )


def unlabeled_names(unlabeled_category: str | Sequence[str] | None) -> list[str]:
    """Return the categories of cells without a label."""
    if unlabeled_category is None:
        return []
    names = [unlabeled_category] if isinstance(unlabeled_category, str) else list(unlabeled_category)
    if not names:
        raise ValueError("`unlabeled_category` is empty. Name at least one category, or leave it out.")
    return names


def without(text: pd.Series, names: Iterable[str]) -> pd.Series:
    """Return values without those of ``names``, which become missing."""
    return text.where(~text.isin(list(names)), np.nan)
