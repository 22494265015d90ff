"""Data with indices outside of a matrix, whichever way they come: one clear error, and the process lives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from mudata import MuData

from scminnet import MinNet

from ..conftest import normalised

#: Each way from a file into the package that does not read it with a reader of ours. scipy and anndata check lengths
#: only.
USE = """
import json, sys
import mudata
import scminnet as mn
from scminnet import MinNet

path, model = sys.argv[1:]
loaded = MinNet.load(model, adata=False)
setup = {"modalities": ["rna", "atac"], "labels_key": "cell_type"}
ways = {
    "embed": lambda m: loaded.embed(m),
    "predict": lambda m: loaded.predict(m),
    "diagnose": lambda m: loaded.diagnose(m),
    "prepare_query_mudata": lambda m: MinNet.prepare_query_mudata(m, loaded),
    "load_query_data": lambda m: MinNet.load_query_data(m, loaded),
    "setup_mudata": lambda m: MinNet.setup_mudata(m, **setup),
    "margin_graph": lambda m: mn.pp.margin_graph(m),
    "normalize": lambda m: mn.pp.normalize(m),
    "select_features": lambda m: mn.pp.select_features(m, ["rna"], n_top_genes=20),
    "filter_cells": lambda m: mn.pp.filter_cells(m, "multiome"),
    "minibulk": lambda m: mn.tl.minibulk(m, 5, groupby="cell_type"),
}
found = {}
for name, use in ways.items():
    for backed in (False, "r"):
        try:
            use(mudata.read_h5mu(path, backed=backed))
            found[f"{name}, {backed}"] = "done"
        except Exception as error:
            found[f"{name}, {backed}"] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""


@pytest.mark.parametrize("damage", ["beyond", "decreasing"])
def test_no_way_into_the_package_crashes(trained: MinNet, tmp_path: Path, damage: str) -> None:
    mdata = normalised()
    for adata in mdata.mod.values():
        adata.obsm["X_minnet"] = trained.get_latent_representation()[: adata.n_obs]
    trained.save(tmp_path / "model")
    path = tmp_path / "m.h5mu"
    mdata.write(path)
    with h5py.File(path, "r+") as file:
        matrix = file["mod/rna/X"]
        if damage == "decreasing":
            matrix["indptr"][5] = 2 * 10**6
        else:
            matrix["indices"][10] = 10**9
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", USE, str(path), str(tmp_path / "model")],
        check=False, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    in_memory = {name: text for name, text in found.items() if name.endswith("False")}
    assert not {name: text for name, text in in_memory.items() if "is damaged" not in text}
    # preprocessing that does not read data on disk says so, and features in their order need no change
    wrong = {name: text for name, text in found.items() if "is damaged" not in text and "on disk" not in text}
    assert set(wrong) <= {"prepare_query_mudata, r"}


def test_a_saved_mudata_is_checked(trained: MinNet, tmp_path: Path) -> None:
    trained.save(tmp_path / "m", save_anndata=True)
    with h5py.File(tmp_path / "m" / "mdata.h5mu", "r+") as file:
        file["mod/atac/X/indices"][0] = 10**6
    with pytest.raises(ValueError, match=r"mdata\.h5mu: /mod/atac/X is damaged"):
        MinNet.load(tmp_path / "m")
    assert MinNet.load(tmp_path / "m", adata=False).is_trained


def test_a_stored_margin_graph_is_checked(reference: MuData) -> None:
    import scminnet as mn

    MinNet.setup_mudata(reference, ["rna", "atac"], labels_key="cell_type")
    mn.pp.margin_graph(reference)
    key = reference["rna"].uns["margin_graph"]["distances_key"]
    reference["rna"].obsp[key].indices[0] = 10**6
    with pytest.raises(ValueError, match="the margin graph 'margin_graph' is damaged"):
        MinNet(reference, n_hidden=16).train(max_epochs=1, enable_progress_bar=False)
