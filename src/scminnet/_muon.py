"""Adds the steps after training to ``muon.tl``, under names that muon does not have itself.

muon takes longer to import than scvi-tools, so it is not imported here: the functions are added as soon as somebody imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

#: Functions of ``scminnet.tl`` that muon offers as well.
OFFERED = ("minnet_smooth", "minibulk", "cre_links")


def offer(muon: ModuleType) -> None:
    """Add the functions to ``muon.tl``."""
    from scminnet import tl

    for name in OFFERED:
        if not hasattr(muon.tl, name):
            setattr(muon.tl, name, getattr(tl, name))


class OfferOnImport(MetaPathFinder):
    """Finds muon as the other finders do, and has :func:`offer` called when it is loaded."""

    def __init__(self) -> None:
        self._is_asking_the_others = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return muon's spec; nothing for other modules."""
        if fullname != "muon" or self._is_asking_the_others:
            return None
        self._is_asking_the_others = True
        try:
            spec = find_spec(fullname)
        finally:
            self._is_asking_the_others = False
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_offer(module: ModuleType) -> None:
            execute(module)
            offer(module)

        spec.loader.exec_module = execute_and_offer  # type: ignore[method-assign]
        return spec


if "muon" in sys.modules:
    offer(sys.modules["muon"])
else:
    sys.meta_path.insert(0, OfferOnImport())
