"""Warnings that point at the user's line."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

#: Folder of the package. Frames in it are ours.
_PACKAGE = str(Path(__file__).resolve().parents[1])


def warn(text: str) -> None:
    """Warn the user. The warning points at the first line outside the package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)
