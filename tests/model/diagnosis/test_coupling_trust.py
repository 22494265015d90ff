"""What a model says of its own coupling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import torch
from mudata import MuData

import scminnet as mn
from scminnet import MinNet
from scminnet.metrics import neighbor_mixing

from ..conftest import QUIET


def unpaired(*, right: bool = True) -> MuData:
    """RNA of some cells and proteins of others, linked to their genes or to other genes."""
    full = mn.datasets.simulate_multiome(
        600, n_types=4, n_lineages=2, n_batches=1, n_genes=120, n_peaks=200, n_proteins=30, seed=0
    )
    for adata in full.mod.values():
        sc.pp.normalize_total(adata, target_sum=1e3)
        sc.pp.log1p(adata)
    parts = {"rna": full["rna"][:300].copy(), "adt": full["adt"][300:].copy()}
    mdata = MuData(parts)
    mdata.obs = pd.DataFrame({"cell_type": full.obs["cell_type"].reindex(mdata.obs_names).astype(str)})
    genes = full["adt"].var["gene"].astype(str).to_numpy(str)
    table = pd.DataFrame({"rna": genes if right else np.roll(genes, 7), "adt": full["adt"].var_names})
    mn.pp.feature_links(mdata, "rna", "adt", table=table)
    MinNet.setup_mudata(mdata, ["rna", "adt"], labels_key="cell_type")
    return mdata


def fitted(mdata: MuData) -> MinNet:
    model = MinNet(mdata, n_hidden=16, n_components=15, n_canonical=10)
    model.train(max_epochs=2, **QUIET)
    return model


@pytest.fixture(scope="module")
def good() -> MinNet:
    return fitted(unpaired())


def test_right_links_hold(good: MinNet) -> None:
    found = good.coupling_["rna, adt"]
    assert found["verdict"] == "holds", found
    assert found["agreement"] > found["shuffled"].max()
    assert 25 < len(found["links"]) <= 30  # constant features are left out
    assert set(found["sides"]) == {"rna", "adt"}
    assert set(found["sides"]["rna"]["with_partner_by_type"]) == set(good.adata.obs["cell_type"])
    table = good.diagnose().table.set_index("check")
    assert table.loc["links", "verdict"] == "inside"
    assert set(table.loc["partners", "modality"]) == {"rna", "adt"}
    # as reports and the command line ask
    pd.testing.assert_frame_equal(good.diagnose(good.adata).table, good.diagnose().table)


def test_cells_without_a_partner_are_named(good: MinNet) -> None:
    cells = good.unmatched_cells()
    assert list(cells.columns) == ["modality", "other", "price", "p_value", "unmatched"]
    for m in ("rna", "adt"):
        assert set(cells.index[cells["modality"] == m]) == set(good.adata[m].obs_names)
    assert cells["unmatched"].dtype == bool


def test_modalities_that_lie_apart_are_outside(good: MinNet, tmp_path: Path) -> None:
    def found(model: MinNet) -> pd.Series:
        return model.diagnose().table.set_index("check").loc["neighbor_mixing"]

    together = found(good)
    assert together["verdict"] == "inside"
    assert together["modality"] == "rna, adt"
    embeddings = [good.get_latent_representation(modality=m) for m in ("rna", "adt")]
    names = np.repeat(["rna", "adt"], [len(e) for e in embeddings])
    # all cells are drawn, in another order
    assert together["value"] == pytest.approx(neighbor_mixing(np.concatenate(embeddings), names))

    good.save(tmp_path / "model")
    apart = MinNet.load(tmp_path / "model", good.adata, accelerator="cpu")
    apart.module.set_linear_share(0.01)  # the components stay together
    with torch.no_grad():
        apart.module.encoder("adt").layers[-1].norm.bias += torch.linspace(-5, 5, 16)
    diagnosis = apart.diagnose()
    assert found(apart)["verdict"] == diagnosis.verdict == "outside"
    assert "neighbor_mixing (rna, adt): the modalities lie apart" in repr(diagnosis)


def test_saved_models_keep_the_verdict(good: MinNet, tmp_path: Path) -> None:
    good.save(tmp_path / "model")
    loaded = MinNet.load(tmp_path / "model", good.adata, accelerator="cpu")
    assert loaded.coupling_["rna, adt"]["verdict"] == "holds"
    pd.testing.assert_frame_equal(loaded.diagnose().table, good.diagnose().table)
    pd.testing.assert_frame_equal(loaded.unmatched_cells(), good.unmatched_cells())


def test_links_to_other_genes_fail() -> None:
    model = fitted(unpaired(right=False))
    found = model.diagnose()
    assert found.verdict == "outside"
    assert "The coupling can not be trusted" in repr(found)
    table = found.table.set_index("check")
    assert table.loc["links", "verdict"] == "outside"
    assert "partners" not in table.index


def test_a_query_is_judged_as_before(good: MinNet) -> None:
    query = MuData({"rna": good.adata["rna"][:100].copy()})
    assert not {"links", "neighbor_mixing", "partners"} & set(good.diagnose(query).table["check"])


def test_without_a_coupling_there_is_nothing_to_name(trained: MinNet) -> None:
    assert not trained.coupling_
    assert "links" not in set(trained.diagnose().table["check"])
    with pytest.raises(ValueError, match="coupled no cells"):
        trained.unmatched_cells()
    with pytest.raises(RuntimeError, match="not trained"):
        MinNet(trained.adata).unmatched_cells()
