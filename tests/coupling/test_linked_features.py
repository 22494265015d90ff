"""The linked features: sums of peaks of a gene, or of genes of a protein complex."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from scminnet.coupling.linked_features import LinkedFeatures

from .conftest import links_of


def test_peaks_of_a_gene_are_summed_by_weight() -> None:
    # two genes, of 4; five peaks, of 6
    links = links_of({(1, 0): 1.0, (1, 2): 0.5, (3, 3): 0.2, (3, 4): 0.1, (3, 5): 0.1}, (4, 6))
    found = LinkedFeatures.of(links)
    np.testing.assert_allclose(found.weights, [1.0, 0.2])
    genes, peaks = np.arange(8.0).reshape(2, 4), np.arange(12.0).reshape(2, 6)
    np.testing.assert_allclose(genes @ found.of_side(0), genes[:, [1, 3]])
    expected = np.stack([peaks[:, 0] + 0.5 * peaks[:, 2], 0.2 * peaks[:, 3] + 0.1 * peaks[:, 4] + 0.1 * peaks[:, 5]], 1)
    np.testing.assert_allclose(peaks @ found.of_side(1), expected, rtol=1e-6)


def test_genes_of_a_complex_are_summed_by_weight() -> None:
    # three genes make one protein, a fourth gene the other
    links = links_of({(0, 1): 1.0, (1, 1): 1.0, (2, 1): 0.5, (4, 0): 0.1}, (5, 3))
    found = LinkedFeatures.of(links)
    np.testing.assert_allclose(found.weights, [0.1, 1.0])
    genes, proteins = np.arange(10.0).reshape(2, 5), np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(proteins @ found.of_side(1), proteins[:, :2])
    np.testing.assert_allclose(
        genes @ found.of_side(0), np.stack([0.1 * genes[:, 4], genes[:, 0] + genes[:, 1] + 0.5 * genes[:, 2]], 1)
    )


def test_either_order_of_the_modalities_compares_the_same_values() -> None:
    rng = np.random.default_rng(0)
    links = sparse.random(7, 12, density=0.2, format="csr", random_state=0, dtype=np.float32)
    found, turned = LinkedFeatures.of(links), LinkedFeatures.of(links.T.tocsr())
    x, y = rng.random((3, 7)), rng.random((3, 12))
    np.testing.assert_allclose(x @ found.first, x @ turned.second)
    np.testing.assert_allclose(y @ found.second, y @ turned.first)
    np.testing.assert_array_equal(found.weights, turned.weights)
