"""``tl`` over dask arrays on a cluster: its workers compute the sums and correlations, the same as one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scminnet as mn
from scminnet._core import matrices

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two worker processes of one thread."""
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("workers")),
        silence_logs=40,
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


def embedded(mdata: MuData) -> MuData:
    """Near cells are of one type."""
    rng = np.random.default_rng(1)
    codes = mdata.obs["cell_type"].cat.codes.to_numpy()
    places = pd.DataFrame(rng.normal(size=(4, 5))[codes] + 0.3 * rng.normal(size=(len(codes), 5)), mdata.obs_names)
    for adata in mdata.mod.values():
        adata.obsm["X_minnet"] = places.loc[adata.obs_names].to_numpy(np.float32)
    return mdata


def results(mdata: MuData) -> dict[str, Any]:
    """Everything that reads values."""
    tss = mdata["rna"].var.rename_axis("gene").reset_index()
    mn.tl.minnet_smooth(mdata, n_neighbors=5, across=True)
    bulks = mn.tl.minibulk(mdata, 12, groupby="cell_type", layer="smoothed")
    mn.tl.cre_links(mdata, tss, n_background=40)
    mn.tl.differential_links(mdata, "condition", "control")
    mn.tl.transfer_labels(mdata, "rna", "atac", "cell_type", n_neighbors=5)
    mn.tl.match_cells(mdata, "rna", "atac", n_neighbors=5)
    return {
        "sums": [bulks[m].layers["counts"].toarray() for m in ("rna", "atac")],
        "tables": [mdata.uns["cre_links"], mdata.uns["differential_links"], mdata.uns["match"]["matches"]],
        "labels": mdata["atac"].obs["transferred_label"],
    }


@pytest.mark.parametrize("kind", ["h5mu", "zarr"])
def test_workers_compute_what_one_process_does(client: Any, kind: str, tmp_path: Path) -> None:
    simulated = mn.datasets.simulate_multiome(
        260, n_types=4, n_lineages=2, n_genes=60, n_peaks=240, n_conditions=2, paired=0.8
    )
    path = tmp_path / f"m.{kind}"
    simulated.write(path) if kind == "h5mu" else simulated.write_zarr(path)
    lazy = embedded(mn.read_lazy(path, dask=True, chunk_cells=50))
    found = results(lazy)
    assert matrices.is_dask(lazy["rna"].layers["smoothed"])
    expected = results(embedded(simulated))
    for ours, theirs in zip(found["sums"], expected["sums"], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(found["tables"], expected["tables"], strict=True):
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-12)
    assert found["labels"].astype(str).equals(expected["labels"].astype(str))


def test_the_work_is_done_by_the_workers(client: Any, tmp_path: Path) -> None:
    def process(block: Any) -> set[int]:
        import os

        return {os.getpid()}

    simulated = mn.datasets.simulate_multiome(200, n_genes=40, n_peaks=120)
    simulated.write(tmp_path / "m.h5mu")
    matrix = mn.read_lazy(tmp_path / "m.h5mu", dask=True, chunk_cells=20)["rna"].X
    workers = set(client.run(__import__("os").getpid).values())
    assert matrices.fold(process, set.union, matrix) <= workers
