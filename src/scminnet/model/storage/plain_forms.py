"""Forms of plain data in a saved model: each function returns a part, or raises an error that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from scminnet._core.arguments import shorten


class InconsistentError(ValueError):
    """A saved model can not be used. The text says why, as the end of a sentence."""


def expect(condition: Any, text: str) -> None:
    """Raise an error with this text unless the condition holds."""
    if not condition:
        raise InconsistentError(text if len(text) < 500 else f"{text[:500]}...")


def dictionary(value: Any, place: str) -> dict[Any, Any]:
    """Return a dictionary."""
    expect(isinstance(value, dict), f"{place} is missing or no dictionary")
    return value


def tensor_of(value: Any, place: str, ndim: int) -> torch.Tensor:
    """Return a tensor of so many dimensions."""
    expect(
        isinstance(value, torch.Tensor) and value.ndim == ndim, f"{place} is missing or no array of {ndim} dimensions"
    )
    return value


def check_floats(values: Mapping[Any, Any], place: str) -> None:
    """Raise unless all values are numbers by name."""
    wrong = [key for key, v in values.items() if not isinstance(key, str) or type(v) is not float]
    expect(not wrong, f"{place} holds no number at {shorten(wrong)}")


def texts(values: Any, place: str) -> list[str]:
    """Return a list of different texts."""
    expect(isinstance(values, list) and all(isinstance(v, str) for v in values), f"{place} are no list of texts")
    expect(len(set(values)) == len(values), f"{place} hold a name twice")
    return values


def names_of(text: Any, place: str, *, unique: bool = True) -> list[str]:
    """Return the names in a JSON text."""
    expect(isinstance(text, str), f"{place} are missing")
    try:
        names = json.loads(text)
        # raises on half a character, which could not be printed
        whole = isinstance(names, list) and "".join(names).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InconsistentError(f"{place} are no list of names") from error
    expect(whole, f"{place} are no list of names")
    expect(not unique or len(set(names)) == len(names), f"{place} hold a name twice")
    return names
