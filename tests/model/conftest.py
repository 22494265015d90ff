from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
from mudata import MuData

from scminnet import MinNet
from scminnet.datasets import simulate_multiome


def normalised(cells: slice = slice(240)) -> MuData:
    """Cells of one simulation: the reference by default."""
    mdata = simulate_multiome(360, n_types=4, n_lineages=2, n_batches=2, n_genes=80, n_peaks=400)
    for adata in mdata.mod.values():
        sc.pp.normalize_total(adata, target_sum=1e3)
        sc.pp.log1p(adata)
    return mdata[cells].copy()


def setup(mdata: MuData) -> MuData:
    MinNet.setup_mudata(mdata, ["rna", "atac"], labels_key="cell_type", batch_key="batch")
    return mdata


QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}


@pytest.fixture(scope="session")
def trained() -> MinNet:
    """A trained model; tests that use it change neither it nor its data."""
    model = MinNet(setup(normalised()), n_hidden=32, n_components=20, n_canonical=10)
    model.train(max_epochs=3, batch_size=64, **QUIET)
    return model


@pytest.fixture
def reference() -> MuData:
    return normalised()


@pytest.fixture(scope="session")
def query_source() -> MuData:
    return normalised(slice(240, None))


@pytest.fixture
def query(query_source: MuData) -> MuData:
    """Unpaired cells: the first half has RNA only, the others have ATAC only; without labels and batches."""
    half = query_source.n_obs // 2
    mdata = MuData({"rna": query_source["rna"][:half].copy(), "atac": query_source["atac"][half:].copy()})
    mdata.obs = mdata.obs[[]]
    return mdata


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
