from __future__ import annotations

import numpy as np
import pytest
from mudata import MuData

from scminnet import MinNet
from scminnet.model.data.peak_features import are_peaks

from ..conftest import QUIET, setup


def test_peaks_are_known_by_their_names() -> None:
    names = ["chr1:100-200", "chr1-100-200", "GL000219.1_5_90", "HLA-A", "MT-ND1", "Nkx2-1", 5, "RP11-34P13.7"]
    assert are_peaks(names).tolist() == [True, True, True, False, False, False, False, False]


@pytest.mark.parametrize("input_layer", ["canonical", "learned"])
def test_only_canonical_input_layers_scale_peaks(reference: MuData, input_layer: str) -> None:
    model = MinNet(setup(reference), input_layer=input_layer)
    model.train(max_epochs=1, **QUIET)
    found = {m: model.module.encoder(m).input.peaks.numpy() for m in ("rna", "atac")}
    assert not found["rna"].any()
    assert found["atac"].all() == (input_layer == "canonical")
    assert np.unique(found["atac"]).size == 1
