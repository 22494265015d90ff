"""Adds the steps after training to ``muon.tl``, under names that muon does not have.

muon takes seconds to import, so scminnet does not import it. wrapt calls :func:`offer` when muon is imported, or at
once if it is imported already.
"""

from __future__ import annotations

from types import ModuleType

from wrapt import when_imported

#: Functions of ``scminnet.tl`` that are added to ``muon.tl``.
OFFERED = ("minnet_smooth", "minibulk", "cre_links")


@when_imported("muon")
def offer(muon: ModuleType) -> None:
    """Add the functions to ``muon.tl``."""
    from scminnet import tl

    for name in OFFERED:
        if not hasattr(muon.tl, name):
            setattr(muon.tl, name, getattr(tl, name))
