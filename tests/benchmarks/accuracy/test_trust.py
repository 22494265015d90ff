"""Cells of a case are prepared as a training prepares them."""

from __future__ import annotations

import numpy as np

import scminnet as mn
from benchmarks.accuracy.trust import Case, prepare
from scminnet.coupling.trust import link_agreement


def test_links_of_simulated_cells_hold() -> None:
    cells = mn.datasets.simulate_multiome(600, n_batches=1)
    mn.pp.normalize(cells)
    genes = {"annotation": cells["rna"].var.rename_axis("gene").reset_index()}
    prepared = prepare(Case("simulated", True, cells["rna"], cells["atac"], genes, True), seed=0)
    assert [len(side.scores) for side in prepared.sides] == [300, 300]
    assert np.isfinite(prepared.sides[1].scores).all()
    assert link_agreement(*prepared.sides, prepared.weights).verdict == "holds"
