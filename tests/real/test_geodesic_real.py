from __future__ import annotations

import mudata
import numpy as np
import pytest
import scanpy as sc
from scipy.sparse.csgraph import dijkstra
from scipy.stats import spearmanr

from scminnet.graph import neighbors
from scminnet.graph.geodesic import GeodesicIndex
from scminnet.graph.neighbors import nearest_neighbors
from scminnet.pp.margin_graph import MarginGraph, build_margin_graph

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def graph(real_data) -> MarginGraph:
    mdata = mudata.read_h5mu(real_data / "snareseq_mouse_cortex.h5mu")
    rna = mdata["rna"].copy()
    sc.pp.normalize_total(rna, target_sum=1e4)
    sc.pp.log1p(rna)
    return build_margin_graph(rna.X, mdata.obs["batch"])


def test_landmark_distances_agree_with_dijkstra(graph):
    index = GeodesicIndex(graph.distances)
    assert not index.is_exact
    assert index.nbytes < 4 * index.n**2 / 20  # of all pairs
    sources = np.random.default_rng(5).choice(index.n, 100, replace=False)
    exact = dijkstra(graph.distances.astype(float), indices=sources)
    found = index.block(sources, np.arange(index.n))
    pairs = np.isfinite(exact) & (exact > 0)
    assert (found[pairs] / exact[pairs] - 1).mean() < 0.01
    assert spearmanr(found[pairs], exact[pairs]).statistic > 0.99
    # among equally far cells at the edge of the nearest 40, any may be taken
    near = pairs & (exact < (1 - 1e-6) * np.sort(exact, axis=1)[:, 40:41])
    assert near.sum() > 1000
    np.testing.assert_allclose(found[near], exact[near], rtol=1e-5)


def test_approximate_query_finds_nearly_all(graph, monkeypatch):
    points, query = graph.pca[:-2000, :20], graph.pca[-2000:, :20]
    exact = nearest_neighbors(points, 10, query=query)
    monkeypatch.setattr(neighbors, "EXACT_PAIRS", 0)
    found = nearest_neighbors(points, 10, query=query)
    assert (found.indices[:, :, None] == exact.indices[:, None, :]).any(axis=1).mean() > 0.95
    assert (np.diff(found.distances, axis=1) >= 0).all()
