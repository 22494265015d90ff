from __future__ import annotations

import numpy as np

from benchmarks.accuracy import many_pairs


def test_cells_are_sparse_the_same_for_a_seed_and_of_one_world() -> None:
    first, again, other = (many_pairs.simulate(200, seed) for seed in (0, 0, 1))
    for m, (stretch, _) in many_pairs.MODALITIES.items():
        assert first[m].layers["counts"].getnnz(axis=1).tolist() == [many_pairs.N_FEATURES // stretch] * 200
        assert (first[m].X != again[m].X).nnz == 0
        assert (first[m].X != other[m].X).nnz > 0
        # features of a type are the same whatever the seed
        means = [
            np.asarray(x[m][(x.obs["type"] == "type 0").to_numpy()].X.mean(axis=0)).ravel() for x in (first, other)
        ]
        assert np.corrcoef(*means)[0, 1] > 0.1
