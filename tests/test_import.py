"""What importing the package brings along, each in a Python of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

import scminnet as mn


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_only_the_model_brings_what_takes_seconds() -> None:
    parts = [name for name in mn.__all__ if name not in ("MinNet", "MinNetAccessor", "model")]
    heavy = ("torch", "scvi", "lightning", "muon", "pynndescent", "umap")
    code = f"import sys, scminnet as mn; [getattr(mn, name) for name in {parts}]"
    assert said(f"{code}; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_muon_offers_the_steps_after_training() -> None:
    code = "import scminnet; from muon import tl; print([getattr(tl, n) is getattr(scminnet.tl, n) for n in {}])"
    assert said(code.format(("minnet_smooth", "minibulk", "cre_links"))) == "[True, True, True]"


def test_muons_own_functions_stay() -> None:
    code = (
        "import muon; muon.tl.minibulk = 'its own'; import scminnet; "
        "print(muon.tl.minibulk, callable(muon.tl.cre_links))"
    )
    assert said(code) == "its own True"


def test_parts_are_there_when_asked_for() -> None:
    assert all(getattr(mn, name) is not None for name in dir(mn))
    with pytest.raises(AttributeError, match="module 'scminnet' has no attribute 'no'"):
        _ = mn.no


def test_completion_offers_what_users_call_and_no_files() -> None:
    for room in (mn.datasets, mn.genomics, mn.metrics, mn.model, mn.motifs, mn.pl, mn.pp, mn.tl):
        assert sorted(dir(room)) == sorted(room.__all__)
