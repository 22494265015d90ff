"""Training over two processes (gloo, on the CPU), held against one process with the whole batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mudata import MuData
from scipy import sparse

from scminnet import MinNet
from scminnet.model.network.processes import Processes
from scminnet.pp import feature_links

from ..conftest import QUIET, normalised, setup

#: Data, network and training: all pairs behind the projection; sampled pairs behind a learned layer; hardly any cells
#: of a modality; few pairs beside coupled cells.
CASES = {
    "all pairs": ("paired", {}, {}),
    "sampled pairs": ("paired", {"input_layer": "learned"}, {"pairing": "sampled", "pair_strategy": "within"}),
    "few cells": ("partly", {}, {"batch_size": 9}),
    "coupled cells": ("unpaired", {}, {}),
}
SMALL = {"n_hidden": 16, "n_components": 5, "n_canonical": 5, "hidden_dropout": 0.0}

SCRIPT = """
import sys, torch
from mudata import read_h5mu
from scminnet import MinNet

folder, cases, small, quiet = sys.argv[1], *map(eval, sys.argv[2:])
for case, (data, network, training) in cases.items():
    mdata = read_h5mu(f"{folder}/{data}.h5mu")
    MinNet.setup_mudata(mdata, ["rna", "atac"], labels_key="cell_type", batch_key="batch")
    model = MinNet(mdata, **small, **network)
    given = {"max_epochs": 2, "batch_size": 64, "devices": 2, "strategy": "ddp", **training, **quiet}
    given["checkpoint"] = f"{folder}/{case}.ckpt"
    model.train(**given)
    rank = torch.distributed.get_rank()
    losses = {name: frame[name].astype(float).tolist() for name, frame in model.history.items()}
    torch.save({"weights": model.module.state_dict(), "losses": losses}, f"{folder}/{case}.{rank}")
if rank == 0:  # alone, with nobody to wait for
    model.train(1, devices=1, **quiet)
    model.get_latent_representation(statistics="reference")
"""


def partly_paired() -> MuData:
    """Few cells have ATAC, so that of a batch one process has one of them or none."""
    full = normalised()
    atac = sparse.csr_matrix(full["atac"].X)
    few = full["atac"][::12].copy()
    few.X = atac[::12]
    mdata = MuData({"rna": full["rna"].copy(), "atac": few})
    mdata.obs = full.obs.loc[mdata.obs_names]
    return mdata


def unpaired() -> MuData:
    """Most cells have RNA or ATAC, whose features are linked."""
    full = normalised()
    mdata = MuData({"rna": full["rna"][:110].copy(), "atac": full["atac"][100:].copy()})
    mdata.obs = full.obs.loc[mdata.obs_names]
    feature_links(mdata, "rna", "atac", annotation=full["rna"].var.rename_axis("gene").reset_index())
    return mdata


DATA = {"paired": normalised, "partly": partly_paired, "unpaired": unpaired}


@pytest.fixture(scope="module")
def of_two(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for name, make in DATA.items():
        make().write(folder / f"{name}.h5mu")
    (folder / "script.py").write_text(SCRIPT)
    start = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    given = [str(folder / "script.py"), str(folder), *map(repr, (CASES, SMALL, QUIET))]
    subprocess.run([*start, *given], check=True, cwd=folder, timeout=500)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one_does(of_two: Path, case: str) -> None:
    data, network, training = CASES[case]
    one = MinNet(setup(DATA[data]()), **SMALL, **network)
    one.train(**{"max_epochs": 2, "batch_size": 64, **training, **QUIET})
    first, second = (torch.load(of_two / f"{case}.{rank}") for rank in (0, 1))
    for name, weights in one.module.state_dict().items():
        assert torch.equal(first["weights"][name], second["weights"][name]), name
        torch.testing.assert_close(first["weights"][name], weights, rtol=1e-3, atol=2e-4, msg=name)
    assert bool(one.evidence_["coupled_cells"]) == (data == "unpaired")
    assert one.history.keys() == first["losses"].keys()
    for name, frame in one.history.items():
        np.testing.assert_allclose(
            first["losses"][name], frame[name].to_numpy(float), rtol=1e-3, atol=1e-3, err_msg=name
        )
    assert (of_two / f"{case}.ckpt").is_file()


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_row_is_one_processes_own(n: int, size: int) -> None:
    rows = np.arange(n)
    parts = [rows[Processes(rank, size).own(n)] for rank in range(size)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert [len(p) for p in parts] == Processes(0, size).sizes(n)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert len(parts[0]) == max(map(len, parts))  # what the exchange pads to
