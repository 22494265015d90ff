from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from benchmarks.shared.development_sets import DevelopmentSet, together


def _cells(prefix: str, n: int, batches: list[str], rng: np.random.Generator) -> MuData:
    types = rng.choice(["A", "B", "C"], n, p=[0.6, 0.3, 0.1])
    names = [f"{prefix}{i}" for i in range(n)]
    mean = 1 + 3 * (types[:, None] == np.array(["A", "B", "C", "A", "B", "C"]))
    parts = {}
    for modality, kinds, genes in (
        ("rna", ["gene"] * 6, ["a", "b", "c", "d", "e", "f"]),
        ("chromatin", ["activity"] * 3 + ["peak"] * 3, ["c", "a", "z", "a", "a", "b"]),
    ):
        counts = sparse.csr_matrix(rng.poisson(mean).astype(np.float32))
        features = genes if modality == "rna" else [f"{kind}{i}" for i, kind in enumerate(kinds)]
        var = pd.DataFrame({"kind": kinds, "gene": genes}, index=features)
        obs = pd.DataFrame(index=names)
        parts[modality] = AnnData(counts.log1p(), obs=obs, var=var, layers={"counts": counts})
    mdata = together(parts)
    mdata.obs = pd.DataFrame(
        {"kind_of_cell": pd.Categorical(types), "donor": pd.Categorical(rng.choice(batches, n))}, index=names
    )
    return mdata


@pytest.fixture
def data() -> DevelopmentSet:
    """Paired cells with counts, types and batches, as ``development_sets.load`` returns them."""
    rng = np.random.default_rng(0)
    train, test = _cells("train", 400, ["x", "y"], rng), _cells("test", 120, ["p", "q"], rng)
    return DevelopmentSet(train, test, ("rna", "chromatin"), "kind_of_cell", "donor")
