"""Without pairs, the embeddings of two modalities lie in one place, so that neighbours are found across them."""

from __future__ import annotations

import mudata
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from scminnet import MinNet, datasets, pp


@pytest.mark.parametrize("labels_key", [None, "cell_type"])
def test_coupled_cells_are_near(labels_key: str | None) -> None:
    truth = datasets.simulate_multiome(500, n_types=4, n_lineages=2, n_genes=150, n_peaks=400, paired=False, seed=2)
    cells = mudata.MuData({m: truth[m].copy() for m in ("rna", "atac")})
    cells.mod["rna"].obs["cell_type"] = truth.obs["cell_type"].astype(str).loc[cells["rna"].obs_names]
    pp.normalize(cells)
    pp.feature_links(cells, "rna", "atac", annotation=truth["rna"].var.rename_axis("gene").reset_index())
    MinNet.setup_mudata(cells, ["rna", "atac"], labels_key=labels_key)
    model = MinNet(cells)
    model.train(max_epochs=30, accelerator="cpu", enable_progress_bar=False)
    model.embed()
    rna, atac = (cells[m].obsm["X_minnet"] for m in ("rna", "atac"))

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.median(NearestNeighbors(n_neighbors=10).fit(b).kneighbors(a)[0][:, -1]))

    # a gap between modalities leaves all cells of one far from all of the other
    assert distance(atac, rna) < 1.3 * distance(atac, atac)
    assert distance(rna, atac) < 1.3 * distance(rna, rna)
