"""The parameters of a call, as ``uns`` keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def recorded(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as a file can hold them: without those that are ``None``, also within a mapping."""
    return {
        name: {key: inner for key, inner in value.items() if inner is not None} if isinstance(value, Mapping) else value
        for name, value in params.items()
        if value is not None
    }
