"""One space for single-cell modalities that were measured in different cells."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from scminnet import _muon as _muon
from scminnet._accessor import MinNetAccessor
from scminnet._core.lazy import read_lazy
from scminnet._core.versions import print_versions

if TYPE_CHECKING:
    from scminnet import datasets, genomics, graph, metrics, model, pl, pp, tl
    from scminnet.genomics import motifs
    from scminnet.model import MinNet
    from scminnet.reporting import report

__all__ = [
    "MinNet",
    "MinNetAccessor",
    "datasets",
    "genomics",
    "graph",
    "metrics",
    "model",
    "motifs",
    "pl",
    "pp",
    "print_versions",
    "read_lazy",
    "report",
    "tl",
]

__version__ = version("scminnet")


def __getattr__(name: str) -> Any:
    """Import a part when it is first asked for: scvi-tools takes seconds, and the steps after training do without."""
    if name == "MinNet":
        return import_module("scminnet.model").MinNet
    if name == "report":
        return import_module("scminnet.reporting").report
    if name in __all__:
        return import_module(f"scminnet.{name}")
    raise AttributeError(f"module 'scminnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
