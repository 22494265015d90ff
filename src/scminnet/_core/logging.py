"""The package's logger. Messages go to stderr, like those of scvi-tools."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.logging import RichHandler

logger = logging.getLogger("scminnet")
if not logger.handlers:
    handler = RichHandler(show_path=False, show_time=False, console=Console(stderr=True))
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
