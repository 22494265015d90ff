"""Checks of arguments, one property each. An error names the argument, what was found and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


def shorten(values: Iterable[Any], limit: int = 5) -> str:
    """List the first few ``values``, and how many more there are."""
    values = list(values)
    text = ", ".join(repr(v) if isinstance(v, str) else str(v) for v in values[:limit])
    return text if len(values) <= limit else f"{text} and {len(values) - limit} more"


def check_choice(value: Any, choices: Sequence[Any] | Mapping[Any, Any], argument: str) -> None:
    """Raise unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"`{argument}` is {value!r}. Choose one of {shorten(choices, 20)}.")


def check_count(value: Any, argument: str, *, minimum: int = 1) -> None:
    """Raise unless ``value`` is a whole number of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"`{argument}` is {value!r}. Give a whole number of at least {minimum}.")


def check_positive(value: float, argument: str, *, minimum: float = 1) -> None:
    """Raise unless ``value`` is a finite number of at least ``minimum``."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not minimum <= value < math.inf:
        raise ValueError(f"`{argument}` is {value!r}. Give a number of at least {minimum}.")


def check_fraction(value: float, argument: str, *, upper_open: bool = True) -> None:
    """Raise unless 0 <= ``value`` < 1 (or <= 1 when the upper end is closed)."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or value < 0 or value > 1 or (upper_open and value == 1):
        raise ValueError(f"`{argument}` is {value!r}. Give a number in [0, 1{')' if upper_open else ']'}.")
