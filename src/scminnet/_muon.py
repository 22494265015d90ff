"""Adds the steps after training to ``muon.tl``, under names that muon does not have itself."""

from __future__ import annotations

import muon

from scminnet import tl

for _function in (tl.minnet_smooth, tl.minibulk, tl.cre_links):
    if not hasattr(muon.tl, _function.__name__):
        setattr(muon.tl, _function.__name__, _function)
