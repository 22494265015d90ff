"""Training with few pairs or none: cells are coupled through feature links."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scminnet as mn
from scminnet import MinNet
from scminnet.model.inference.forward_pass import project_rows
from scminnet.model.training.coupled_cells import couple_parts

from .conftest import QUIET
from .test_bad_input import unchanged
from .training.test_checkpoint import Stop, assert_same_model
from .unpaired import SMALL, registered, simulated, split, true_partners_missed

EPOCHS = {"max_epochs": 15, "batch_size": 128, **QUIET}
SHORT = {"max_epochs": 2, "batch_size": 128, **QUIET}


@pytest.fixture(scope="module")
def full() -> MuData:
    return simulated()


def embeddings(model: MinNet, modalities: tuple[str, ...] = ("rna", "adt")) -> list[pd.DataFrame]:
    model.embed()
    mdata = model.adata
    return [pd.DataFrame(mdata[m].obsm["X_minnet"], mdata[m].obs_names) for m in modalities]


def trained(mdata: MuData, labels_key: str | None = None, **given: object) -> MinNet:
    model = MinNet(registered(mdata, labels_key), **SMALL)
    model.train(**{**SHORT, **given})
    return model


def only_rna_labelled(mdata: MuData) -> MuData:
    mdata.obs.loc[~mdata.obs_names.isin(mdata["rna"].obs_names), "cell_type"] = np.nan
    return mdata


@pytest.mark.parametrize(
    ("paired", "labels"), [(0, None), (0, "cell_type"), (30, None)], ids=["nothing", "RNA labelled", "some pairs"]
)
def test_true_partners_are_near(full: MuData, paired: int, labels: str | None) -> None:
    mdata = only_rna_labelled(split(full, paired=paired))
    model = trained(mdata, labels, **EPOCHS)
    names = list(full.obs_names[paired:])
    found = true_partners_missed(*embeddings(model), names)
    canonical = [pd.DataFrame(project_rows(model.module, mdata[m].X, m), mdata[m].obs_names) for m in ("rna", "adt")]
    linear = true_partners_missed(*canonical, names)
    assert found < 0.25
    assert found < linear + 0.03
    assert model.evidence_["labelled_cells"]["adt"] == 0
    if labels:
        types = full.obs.loc[mdata["adt"].obs_names.str.replace("_adt", ""), "cell_type"].astype(str)
        assert (model.predict(modality="adt") == types).mean() > 0.6


def test_a_query_is_coupled_to_a_paired_reference(full: MuData) -> None:
    reference = split(full[:40].copy(), paired=40)
    query = split(full[40:].copy(), links=False)
    names = list(full.obs_names[40:])
    missed = {}
    for links in ("feature_links", None):
        model = trained(reference.copy(), query=query.copy(), feature_links=links, **EPOCHS)
        embedded = query.copy()
        model.embed(embedded)
        missed[links] = true_partners_missed(
            *(pd.DataFrame(embedded[m].obsm["X_minnet"], embedded[m].obs_names) for m in ("rna", "adt")), names
        )
        assert bool(model.evidence_["coupled_cells"]) == bool(links)
    assert model.evidence_["pairs"]["rna, adt"] > 30
    assert missed["feature_links"] < 0.25
    assert missed["feature_links"] < missed[None] + 0.03


def test_the_same_seed_gives_the_same_embedding(full: MuData) -> None:
    first, again, other = (embeddings(trained(split(full), seed=seed)) for seed in (0, 0, 1))
    for a, b, c in zip(first, again, other, strict=True):
        assert a.equals(b)
        assert not a.equals(c)


def test_saved_models_embed_as_before(full: MuData, tmp_path: Path) -> None:
    mdata = split(full, paired=60)
    model = trained(mdata)
    expected = model.get_latent_representation()
    model.save(tmp_path / "m")
    with_data = MinNet.load(tmp_path / "m", split(full, paired=60))
    alone = MinNet.load(tmp_path / "m")
    for loaded in (with_data, alone):
        assert loaded.evidence_ == model.evidence_
    np.testing.assert_array_equal(with_data.get_latent_representation(), expected)
    query = simulated(80, seed=0)
    query = MuData({"rna": query["rna"][:40].copy(), "adt": query["adt"][40:].copy()})
    found = []
    for loaded in (model, alone):
        copy = query.copy()
        loaded.embed(copy)
        found.append(np.vstack([copy[m].obsm["X_minnet"] for m in ("rna", "adt")]))
    np.testing.assert_array_equal(*found)
    of_query = MinNet.load_query_data(query.copy(), tmp_path / "m")
    assert np.isfinite(of_query.get_latent_representation()).all()


def test_an_interrupted_training_ends_with_the_same_model(full: MuData, tmp_path: Path) -> None:
    given = {**SHORT, "max_epochs": 4}
    with pytest.raises(RuntimeError, match="stopped"):
        trained(split(full, paired=60), checkpoint=tmp_path / "c", callbacks=[Stop(2)], **given)
    resumed = trained(split(full, paired=60), checkpoint=tmp_path / "c", **given)
    whole = trained(split(full, paired=60), **given)
    assert_same_model(whole, resumed)
    assert resumed.evidence_ == whole.evidence_


def test_a_checkpoint_of_other_links_is_refused(full: MuData, tmp_path: Path) -> None:
    trained(split(full), checkpoint=tmp_path / "c")
    mdata = split(full)
    links = mdata.uns["feature_links"].copy()
    # the same weights between other features
    links["first_feature"] = links["first_feature"].to_numpy()[::-1].copy()
    mdata.uns["feature_links"] = links
    with pytest.raises(ValueError, match="`checkpoint`.*another training: feature_links"):
        trained(mdata, checkpoint=tmp_path / "c")


def test_a_second_training_goes_on(full: MuData) -> None:
    model = trained(split(full))
    before = model.module.encoder("rna").input.state_dict()
    before = {name: value.clone() for name, value in before.items()}
    model.train(**SHORT)
    for name, value in model.module.encoder("rna").input.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    assert np.isfinite(model.get_latent_representation()).all()


def test_lazily_stored_data_give_the_same_model(full: MuData, tmp_path: Path) -> None:
    mdata = split(full, paired=60)
    mdata.write(tmp_path / "m.h5mu")
    lazy = mn.read_lazy(tmp_path / "m.h5mu")
    found = [trained(data, "cell_type").get_latent_representation(mdata) for data in (mdata, lazy)]
    np.testing.assert_allclose(*found, atol=1e-5)


def test_couple_within_joins_cells_of_one_batch(full: MuData, monkeypatch) -> None:
    seen = []

    def spy(*parts, **given):
        seen.append(couple_parts(*parts, **given))
        return seen[-1]

    monkeypatch.setattr("scminnet.model.training.input_layers.couple_parts", spy)
    mdata = split(full)
    trained(mdata, couple_within="batch", max_epochs=1)
    batch = mdata.obs["batch"].to_numpy().astype(str)
    for own, partners in zip(seen[0].cells, seen[0].partners, strict=True):
        assert (batch[own][:, None] == batch[partners]).all()


def three(full: MuData, *, pairs: bool) -> MuData:
    """RNA and proteins are linked; RNA and ATAC share cells if ``pairs``."""
    mdata = split(full)
    atac = full["atac"].copy()
    atac.obs = atac.obs[[]]
    atac.obs_names = atac.obs_names + ("_rna" if pairs else "_atac")
    result = MuData({"rna": mdata["rna"].copy(), "atac": atac, "adt": mdata["adt"].copy()})
    result.uns["feature_links"] = mdata.uns["feature_links"]
    return result


def test_three_modalities_meet_through_pairs_and_links(full: MuData) -> None:
    model = trained(three(full, pairs=True), **EPOCHS)
    assert set(model.evidence_["coupled_cells"]) == {"rna, adt"}
    assert model.evidence_["pairs"]["rna, atac"] > 200
    rna, atac, adt = embeddings(model, ("rna", "atac", "adt"))
    names = list(full.obs_names)
    assert true_partners_missed(rna, adt, names) < 0.3
    # neither pairs nor links join these two
    assert true_partners_missed(atac, adt, names) < 0.4


@pytest.mark.parametrize("order", [["rna", "atac", "adt"], ["atac", "rna", "adt"]])
def test_a_modality_that_nothing_joins_to_others_is_refused(full: MuData, order: list[str]) -> None:
    mdata = three(full, pairs=False)
    MinNet.setup_mudata(mdata, order)
    model = MinNet(mdata, **SMALL)
    words = ("join 'atac' to another modality", "pp.feature_links(mdata, 'atac', 'rna')")
    unchanged(mdata, lambda: model.train(**SHORT), ValueError, *words)
