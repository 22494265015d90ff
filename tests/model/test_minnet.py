from __future__ import annotations

import inspect

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
import scvi
import torch
from mudata import MuData
from scvi.train._callbacks import SaveCheckpoint

import scminnet
from scminnet import MinNet
from scminnet.model import PRESETS, Recipe

from .conftest import QUIET, normalised, setup

SMALL = {"n_hidden": 16, "n_components": 10, "n_canonical": 5}


def fit(mdata: MuData, **kwargs) -> MinNet:
    model = MinNet(mdata, **SMALL)
    model.train(max_epochs=2, batch_size=64, **QUIET, **kwargs)
    return model


# ---- training


def test_history_has_every_loss_and_accuracy_of_both_parts(trained: MinNet) -> None:
    expected = {f"{part}_loss" for part in ("train", "validation")}
    for part in ("train", "validation"):
        expected |= {
            f"{name}_{part}" for name in ("classification_loss", "contrastive_loss", "infonce_loss", "supervised_loss")
        }
        expected |= {f"{name}_{m}_{part}" for name in ("accuracy", "pair_accuracy") for m in ("rna", "atac")}
        expected |= {f"chance_{name}_{part}" for name in ("accuracy", "pair_accuracy")}
    assert expected == set(trained.history)
    for name, column in trained.history.items():
        assert len(column) == 3, name
        assert np.isfinite(column.to_numpy(dtype=float)).all(), name


def test_training_learns(reference: MuData) -> None:
    model = MinNet(setup(reference), **SMALL)
    model.train(max_epochs=60, batch_size=64, plan_kwargs={"lr": 3e-3}, **QUIET)
    losses = model.history["classification_loss_train"].to_numpy(dtype=float).ravel()
    assert losses[-1] < 0.7 * losses[0]
    predicted = model.predict()
    assert np.mean(predicted == reference.obs["cell_type"].to_numpy()) > 0.6


def test_the_same_seed_gives_the_same_model(trained: MinNet) -> None:
    first, second = (fit(setup(normalised())).get_latent_representation() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = MinNet(setup(normalised()), **SMALL)
    other.train(max_epochs=2, batch_size=64, seed=1, **QUIET)
    assert not np.array_equal(first, other.get_latent_representation())


def test_training_leaves_the_global_random_state_alone(reference: MuData) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fit(setup(reference))
    assert torch.equal(torch.rand(2), expected)


def test_training_leaves_the_number_of_threads_alone(reference: MuData) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        fit(setup(reference))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


# ---- training with the query (semi-supervised)


def test_query_changes_the_input_layer_of_its_modalities(query: MuData) -> None:
    before = [(m, a.X.sum(), list(a.obs), list(a.obsm)) for m, a in query.mod.items()]
    models = {}
    for name, given in (("alone", None), ("together", query), ("rna", MuData({"rna": query["rna"].copy()}))):
        # as many canonical components: they span the principal ones
        models[name] = MinNet(setup(normalised()), n_hidden=16, n_components=10, n_canonical=10)
        models[name].train(max_epochs=1, query=given, **QUIET)
    assert [(m, a.X.sum(), list(a.obs), list(a.obsm)) for m, a in query.mod.items()] == before
    weights = {
        name: {m: model.module.encoder(m).input.weight.numpy() for m in ("rna", "atac")}
        for name, model in models.items()
    }
    spans = {name: {m: np.linalg.qr(w[m])[0] for m in w} for name, w in weights.items()}

    def same(m: str, first: str, second: str) -> bool:
        return bool(np.allclose(np.linalg.svd(spans[first][m].T @ spans[second][m])[1], 1, atol=1e-2))

    assert same("rna", "together", "rna")
    assert same("atac", "alone", "rna")
    assert not same("rna", "alone", "together")
    assert not same("atac", "alone", "together")
    assert models["together"].get_latent_representation(query).shape == (query.n_obs, 32)


def test_query_has_fewer_components_unless_told() -> None:
    assert Recipe().components(with_query=False) == 100
    assert Recipe().components(with_query=True) == 30
    assert Recipe(n_components=7).components(with_query=True) == 7


def test_labels_and_pairs_of_the_query_are_not_looked_at(query_source: MuData) -> None:
    shuffled = query_source.copy()
    shuffled.mod["rna"].obs_names = [f"other_{name}" for name in shuffled["rna"].obs_names]
    unpaired = MuData({m: shuffled[m].copy() for m in ("rna", "atac")})
    unpaired.obs = unpaired.obs[[]]
    first, second = (fit(setup(normalised()), query=q).get_latent_representation() for q in (query_source, unpaired))
    np.testing.assert_array_equal(first, second)


def test_query_for_a_model_that_cannot_take_it(trained: MinNet, reference: MuData, query: MuData) -> None:
    with pytest.raises(ValueError, match="`query`.*earlier training.*new model"):
        trained.train(max_epochs=1, query=query, **QUIET)
    setup(reference)
    with pytest.raises(ValueError, match="`query`.*input_layer='learned'"):
        MinNet(reference, input_layer="learned").train(max_epochs=1, query=query, **QUIET)
    with pytest.raises(TypeError, match="`query` must be a MuData"):
        MinNet(reference, **SMALL).train(query=query["rna"])
    few = MuData({"rna": query["rna"][:10].copy()})
    with pytest.raises(ValueError, match="`query` has 10 cells.*Train without `query`"):
        MinNet(reference, **SMALL).train(query=few)
    other = MuData({"rna": query["rna"].copy()})
    other["rna"].var_names = [f"x{i}" for i in range(other["rna"].n_vars)]
    with pytest.raises(ValueError, match="none of the model's 80 features"):
        MinNet(reference, **SMALL).train(query=other)


def test_query_is_prepared_for_a_model_that_is_not_trained(reference: MuData, query: MuData) -> None:
    model = MinNet(setup(reference), **SMALL)
    turned = MuData({"rna": query["rna"][:, ::-1].copy()})
    MinNet.prepare_query_mudata(turned, model)
    assert list(turned["rna"].var_names) == list(reference["rna"].var_names)


@pytest.mark.parametrize("strategy", ["between", "within"])
@pytest.mark.parametrize("loss_form", ["code", "text"])
def test_sampled_pairs_and_both_losses_train(reference: MuData, strategy: str, loss_form: str) -> None:
    model = fit(setup(reference), pairing="sampled", pair_strategy=strategy, plan_kwargs={"loss_form": loss_form})
    assert np.isfinite(model.history["train_loss"].to_numpy(dtype=float)).all()
    assert model.recipe_["loss_form"] == loss_form


def test_paper_preset_has_the_published_values(reference: MuData) -> None:
    model = MinNet(setup(reference), preset="paper", activation="sigmoid")
    model.train(max_epochs=1, **QUIET)
    published = {
        "n_hidden": 768, "n_latent": 32, "activation": "sigmoid", "pairing": "sampled", "positive_share": 0.25,
        "batch_size": 30, "lr": 1e-4, "weight_decay": 1e-6, "contrastive_weight": 0.5, "m0": 10.0, "c": 3.0,
        "infonce_weight": 0.0, "supervised_weight": 0.0, "loss_form": "code", "train_size": 0.8,
    }  # fmt: skip
    assert {name: model.recipe_[name] for name in published} == published
    assert not {"infonce_loss_train", "supervised_loss_train"} & set(model.history)


def test_early_stopping_stops(reference: MuData) -> None:
    model = MinNet(setup(reference), **SMALL)
    model.train(
        max_epochs=50,
        batch_size=64,
        early_stopping=True,
        early_stopping_patience=1,
        early_stopping_min_delta=1e3,
        **QUIET,
    )
    assert len(model.history["train_loss"]) < 50


def test_checkpoints_are_models(reference: MuData, tmp_path) -> None:
    callback = SaveCheckpoint(dirpath=str(tmp_path), monitor="validation_loss", load_best_on_end=True)
    model = fit(setup(reference), enable_checkpointing=True, callbacks=[callback])
    saved = MinNet.load(callback.best_model_path, adata=reference)
    assert saved.is_trained
    assert model.is_trained


def test_training_goes_on_with_the_same_statistics(reference: MuData) -> None:
    model = fit(setup(reference))
    weights = model.module.encoders[0].input.weight.clone()
    model.train(max_epochs=1, batch_size=64, seed=1, **QUIET)  # another split, on which a fit would differ
    assert (model.module.encoders[0].input.weight == weights).all()
    assert len(model.history["train_loss"]) == 3


def test_a_stored_margin_graph_is_used(reference: MuData, monkeypatch) -> None:
    setup(reference)
    scminnet.pp.margin_graph(reference, n_neighbors=8, key_added="mine")
    monkeypatch.setattr(
        "scminnet.model.training.margin_distances.build_margin_graph", lambda *_, **__: pytest.fail("a graph was built")
    )
    fit(reference, margin_graph="mine")


# ---- cells in any order, in some modalities, labels anywhere


def test_order_of_cells_in_a_modality_does_not_matter() -> None:
    straight = normalised()
    shuffled = MuData({"rna": straight["rna"].copy(), "atac": straight["atac"][::-1].copy()})
    shuffled.obs = straight.obs.loc[shuffled.obs_names]
    a, b = fit(setup(straight)), fit(setup(shuffled))
    np.testing.assert_allclose(a.get_latent_representation(), b.get_latent_representation(), atol=2e-3)
    own = b.get_latent_representation(modality="atac")
    np.testing.assert_allclose(a.get_latent_representation(modality="atac"), own[::-1], atol=2e-3)


def test_cells_may_be_paired_in_part() -> None:
    full = normalised(slice(300))
    mdata = MuData({"rna": full["rna"][:220].copy(), "atac": full["atac"][80:].copy()})
    mdata.obs = full.obs.loc[mdata.obs_names]
    model = fit(setup(mdata))
    joint = model.get_latent_representation()
    assert joint.shape == (300, 32)
    rna, atac = (model.get_latent_representation(modality=m) for m in ("rna", "atac"))
    at = mdata.obs_names.get_indexer(full.obs_names)
    np.testing.assert_array_equal(joint[at[:80]], rna[:80])
    np.testing.assert_array_equal(joint[at[220:]], atac[140:])
    np.testing.assert_allclose(joint[at[80:220]], (rna[80:] + atac[:140]) / 2, atol=1e-6)


def test_three_modalities(reference: MuData) -> None:
    third = reference["rna"][:, :40].copy()
    third.var_names = "p" + third.var_names
    mdata = MuData({"rna": reference["rna"], "atac": reference["atac"], "adt": third})
    mdata.obs = reference.obs
    MinNet.setup_mudata(mdata, ["atac", "rna", "adt"], labels_key="cell_type")
    for pairing in ("in_batch", "sampled"):
        model = fit(mdata, pairing=pairing)
        assert model.modalities == ("atac", "rna", "adt")
        assert model.get_latent_representation(modality="adt").shape == (240, 32)


def test_labels_and_batches_may_sit_in_the_modalities(reference: MuData) -> None:
    expected = fit(setup(normalised()))
    obs = reference.obs
    reference["rna"].obs["cell_type"] = obs["cell_type"].where(np.arange(len(obs)) % 2 == 0)
    reference["atac"].obs["cell_type"] = obs["cell_type"].where(np.arange(len(obs)) % 2 == 1)
    reference["atac"].obs["batch"] = obs["batch"]
    reference.obs = obs[[]]
    model = fit(setup(reference))
    np.testing.assert_array_equal(model.get_latent_representation(), expected.get_latent_representation())


def test_unlabelled_cells_take_part_without_a_type(reference: MuData) -> None:
    labels = reference.obs["cell_type"].astype(object)
    labels[:50] = np.nan
    labels[50:60] = "Unknown"
    reference.obs["cell_type"] = labels
    model = fit(setup(reference))
    assert "Unknown" not in model.labels
    assert len(model.labels) == 4
    assert set(model.predict()) <= set(model.labels)


def test_layers_are_read(reference: MuData) -> None:
    expected = fit(setup(normalised())).get_latent_representation()
    for adata in reference.mod.values():
        adata.layers["lognorm"] = adata.X.copy()
        adata.X = adata.X * 0
    MinNet.setup_mudata(
        reference,
        ["rna", "atac"],
        labels_key="cell_type",
        batch_key="batch",
        layers={"rna": "lognorm", "atac": "lognorm"},
    )
    np.testing.assert_array_equal(fit(reference).get_latent_representation(), expected)


def test_dense_and_sparse_input_agree(reference: MuData) -> None:
    embeddings = []
    for mdata in (normalised(), reference):
        if mdata is reference:
            for adata in mdata.mod.values():
                adata.X = adata.X.toarray()
        model = MinNet(setup(mdata), input_layer="learned", n_hidden=16)
        model.train(max_epochs=2, batch_size=64, **QUIET)
        embeddings.append(model.get_latent_representation())
    np.testing.assert_allclose(*embeddings, atol=5e-3)


# ---- what a model says


def test_predict_gives_labels_and_probabilities(trained: MinNet) -> None:
    soft = trained.predict(soft=True)
    assert isinstance(soft, pd.DataFrame)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-5)
    assert list(soft.index) == list(trained.adata.obs_names)
    np.testing.assert_array_equal(soft.columns.to_numpy()[soft.to_numpy().argmax(1)], trained.predict())
    assert len(trained.predict(modality="rna")) == trained.adata["rna"].n_obs


def test_embed_writes_the_joint_and_each_modality_s_own(trained: MinNet) -> None:
    result = trained.embed(copy=True)
    assert "X_minnet" not in trained.adata.obsm
    np.testing.assert_array_equal(result.obsm["X_minnet"], trained.get_latent_representation())
    for m in ("rna", "atac"):
        np.testing.assert_array_equal(result[m].obsm["X_minnet"], trained.get_latent_representation(modality=m))
    assert result.uns["X_minnet"]["params"]["statistics"] == "query"


def test_embed_writes_the_types_that_predict_gives(trained: MinNet, query: MuData) -> None:
    embedded = trained.embed(query, label_added="type", copy=True)
    np.testing.assert_array_equal(embedded.obs["type"], trained.predict(query))
    assert "type" not in query.obs


def test_accessor_embeds_and_reports(trained: MinNet, query: MuData) -> None:
    query.minnet.embed(trained, key_added="X_mine")
    assert query.obsm["X_mine"].shape == (query.n_obs, 32)
    data = trained.embed(copy=True)
    report = data.minnet.integration_report(["rna", "atac"], "cell_type")
    assert {"metric", "value"} <= set(report.columns)


def test_a_query_needs_no_registration_and_is_not_changed(trained: MinNet, query: MuData) -> None:
    before = query.copy()
    embedding = trained.get_latent_representation(query)
    assert embedding.shape == (query.n_obs, 32)
    assert list(query.obs.columns) == list(before.obs.columns)
    assert dict(query.uns) == dict(before.uns)


def test_reference_statistics_embed_each_cell_by_itself(trained: MinNet, query: MuData) -> None:
    whole = trained.get_latent_representation(query, modality="rna", statistics="reference")
    few = MuData({"rna": query["rna"][:5].copy()})
    np.testing.assert_allclose(trained.get_latent_representation(few, statistics="reference"), whole[:5], atol=1e-5)
    with pytest.raises(ValueError, match="statistics='reference'"):
        trained.get_latent_representation(few)


def test_query_statistics_take_the_scale_of_a_platform_away(trained: MinNet, query: MuData) -> None:
    scaled = query.copy()
    for adata in scaled.mod.values():
        adata.X = adata.X * 1.7
    for statistics, alike in (("query", True), ("reference", False)):
        plain, other = (trained.get_latent_representation(m, statistics=statistics) for m in (query, scaled))
        assert np.allclose(plain, other, atol=1e-3) == alike


def test_batch_norm_goes_by_the_query_s_cells_with_the_query_s_statistics_only(query: MuData) -> None:
    adapted, fixed = (MinNet(setup(normalised()), **SMALL, adapt_norm=adapt) for adapt in (True, False))
    for model in (adapted, fixed):
        model.train(max_epochs=2, batch_size=64, **QUIET)
    for statistics, alike in (("query", False), ("reference", True)):
        one, other = (m.get_latent_representation(query, statistics=statistics) for m in (adapted, fixed))
        assert np.allclose(one, other) == alike
    # a cell's place then depends on its company: the same cells twice are the same company
    twice = query["rna"].copy()
    twice.obs_names = twice.obs_names + "-2"
    double = MuData({"rna": ad.concat([query["rna"], twice])})
    n_cells = query["rna"].n_obs
    expected = adapted.get_latent_representation(query, modality="rna")
    np.testing.assert_allclose(adapted.get_latent_representation(double)[:n_cells], expected, atol=2e-2)


def test_hidden_dropout_follows_the_pairs_of_the_training_part(reference: MuData) -> None:
    assert fit(setup(reference)).module.hidden_dropout == pytest.approx(0.3)  # 216 pairs
    model = MinNet(reference, **SMALL, hidden_dropout=0.1)
    model.train(max_epochs=1, batch_size=64, **QUIET)
    assert model.module.hidden_dropout == 0.1


def test_batch_size_does_not_matter(trained: MinNet) -> None:
    np.testing.assert_allclose(
        trained.get_latent_representation(batch_size=7), trained.get_latent_representation(), atol=1e-5
    )


# ---- save, load, query


@pytest.mark.parametrize("with_data", [True, False])
def test_round_trip_gives_the_same_embedding_bit_for_bit(
    trained: MinNet, tmp_path, query: MuData, with_data: bool
) -> None:
    folder = tmp_path / "model"
    trained.save(str(folder), save_anndata=with_data)
    loaded = MinNet.load(folder, adata=None if with_data else False)
    expected = trained.get_latent_representation(query)
    np.testing.assert_array_equal(loaded.get_latent_representation(query), expected)
    np.testing.assert_array_equal(loaded.predict(query), trained.predict(query))
    if with_data:
        np.testing.assert_array_equal(loaded.get_latent_representation(), trained.get_latent_representation())
    else:
        with pytest.raises(ValueError, match="without data"):
            loaded.get_latent_representation()
    assert loaded.history.keys() == trained.history.keys()


def test_a_model_loaded_without_data_can_be_saved_again(trained: MinNet, tmp_path, query: MuData) -> None:
    trained.save(str(tmp_path / "a"))
    MinNet.load(tmp_path / "a", adata=False).save(str(tmp_path / "b"))
    again = MinNet.load(tmp_path / "b", adata=False)
    np.testing.assert_array_equal(again.get_latent_representation(query), trained.get_latent_representation(query))


@pytest.mark.parametrize("saved", [True, False])
def test_load_query_data_embeds_at_once(trained: MinNet, query: MuData, tmp_path, saved: bool) -> None:
    source = trained
    if saved:
        trained.save(str(tmp_path / "model"))
        source = tmp_path / "model"
    model = MinNet.load_query_data(query, source)
    np.testing.assert_array_equal(model.get_latent_representation(), trained.get_latent_representation(query))
    assert model.is_trained
    model.save(str(tmp_path / "query_model"), save_anndata=True)
    again = MinNet.load(tmp_path / "query_model")
    np.testing.assert_array_equal(again.get_latent_representation(), model.get_latent_representation())


def test_query_with_one_modality_only(trained: MinNet, query: MuData) -> None:
    alone = MuData({"atac": query["atac"].copy()})
    model = MinNet.load_query_data(alone, trained)
    assert model.get_latent_representation().shape == (alone.n_obs, 32)
    np.testing.assert_array_equal(
        model.get_latent_representation(modality="atac"), trained.get_latent_representation(query, modality="atac")
    )


def test_query_with_labels_and_new_batches(trained: MinNet, query: MuData) -> None:
    query.obs["cell_type"] = trained.labels[0]
    query.obs["batch"] = "new donor"
    assert MinNet.load_query_data(query, trained).is_trained


def test_prepare_query_orders_features_and_fills_with_zeros(trained: MinNet, query: MuData, monkeypatch) -> None:
    full = trained.get_latent_representation(query, modality="atac")
    rna = query["rna"][:, ::-1][:, 10:].copy()  # another order, ten features missing
    extra = query["rna"][:, :3].copy()
    extra.var_names = ["x1", "x2", "x3"]
    rna = ad.concat([rna, extra], axis=1, merge="same")
    rna.layers["raw"] = rna.X.copy()
    changed = MuData({"rna": rna, "atac": query["atac"][:, ::-1].copy(), "other": query["rna"][:, :2].copy()})
    changed.obs["donor"] = "d1"
    with pytest.raises(ValueError, match="prepare_query_mudata"):
        MinNet.load_query_data(changed, trained)

    said = []
    monkeypatch.setattr(
        "scminnet.model.data.query_alignment.logger.info", lambda text, *values: said.append(text % values)
    )
    result = MinNet.prepare_query_mudata(changed, trained, inplace=False)
    assert len(said) == 1
    assert "rna 70 of 80" in said[0]
    assert "atac 400 of 400" in said[0]

    assert list(result["rna"].var_names) == list(trained.get_var_names()["rna"])
    missing = ~result["rna"].var_names.isin(rna.var_names)
    assert missing.sum() == 10
    assert result["rna"].X[:, missing].nnz == 0
    assert result["rna"].layers["raw"].shape == (query["rna"].n_obs, 80)
    known = result["rna"].var_names[~missing]
    np.testing.assert_array_equal(result["rna"][:, known].X.toarray(), rna[:, known].X.toarray())
    assert (result.obs["donor"] == "d1").all()
    assert result["other"].n_vars == 2
    np.testing.assert_allclose(trained.get_latent_representation(result, modality="atac"), full, atol=1e-6)
    assert changed["rna"].n_vars == 73  # unchanged

    MinNet.prepare_query_mudata(changed, trained)
    assert changed["rna"].shape == result["rna"].shape
    assert MinNet.load_query_data(changed, trained).get_latent_representation().shape == (changed.n_obs, 32)


def test_prepare_query_keeps_dense_dense(trained: MinNet, query: MuData) -> None:
    query["rna"].X = query["rna"].X.toarray()
    result = MinNet.prepare_query_mudata(MuData({"rna": query["rna"][:, ::-1].copy()}), trained, inplace=False)
    np.testing.assert_array_equal(result["rna"].X, query["rna"].X)


def test_a_query_with_other_features_needs_one_call_and_keeps_them(trained: MinNet, query: MuData, monkeypatch) -> None:
    said = []
    monkeypatch.setattr(
        "scminnet.model.data.query_alignment.logger.info", lambda text, *values: said.append(text % values)
    )
    more = query["rna"][:, :3].copy()
    more.var_names = ["x1", "x2", "x3"]
    rna = ad.concat([query["rna"][:, ::-1], more], axis=1, merge="same")
    changed = MuData({"atac": query["atac"][:, ::-1].copy(), "rna": rna})
    for cells in (query, changed):
        trained.embed(cells)
        cells.obs["predicted"] = trained.predict(cells)
    assert said == []
    assert changed["rna"].n_vars == 83
    for name in ("rna", "atac"):
        np.testing.assert_allclose(changed[name].obsm["X_minnet"], query[name].obsm["X_minnet"], atol=1e-5)
    assert (changed.obs["predicted"] == query.obs["predicted"].loc[changed.obs_names]).all()
    given, bare = trained.diagnose(query).table, trained.diagnose(changed).table
    assert list(given["verdict"]) == list(bare["verdict"])

    lacking = MuData({"rna": changed["rna"][:, 10:].copy()})
    trained.embed(lacking)
    assert said == ["features of the model that the cells lack, filled with zeros: 10 of 80 rna"]
    prepared = MinNet.prepare_query_mudata(lacking, trained, inplace=False)
    np.testing.assert_allclose(trained.get_latent_representation(prepared), lacking.obsm["X_minnet"], atol=1e-6)


def test_a_query_in_training_may_have_other_features(reference: MuData, query: MuData) -> None:
    setup(reference)
    turned = MuData({name: query[name][:, ::-1].copy() for name in ("rna", "atac")})
    found = []
    for cells in (query, turned):
        model = MinNet(reference, **SMALL)
        model.train(max_epochs=1, query=cells, **QUIET)
        found.append(model.get_latent_representation(query))
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)


def test_reference_names_on_request(trained: MinNet, query: MuData) -> None:
    names = MinNet.prepare_query_mudata(query, trained, return_reference_var_names=True)
    assert list(names["atac"]) == list(trained.get_var_names()["atac"])


def test_model_works_after_writing_and_reading_the_data(trained: MinNet, tmp_path) -> None:
    result = trained.embed(copy=True)
    result.write(tmp_path / "data.h5mu")
    back = mudata.read(tmp_path / "data.h5mu")
    np.testing.assert_array_equal(trained.get_latent_representation(back), result.obsm["X_minnet"])


def test_the_reference_holds_with_scvi_models(reference: MuData) -> None:
    """Another model's setup of the same MuData does not disturb ours."""
    model = fit(setup(reference))
    before = model.get_latent_representation()
    scvi.model.TOTALVI  # noqa: B018
    scvi.model.SCVI.setup_anndata(reference["rna"])
    np.testing.assert_array_equal(model.get_latent_representation(), before)


def test_docstrings_leave_no_template_behind() -> None:
    for name in dir(MinNet):
        if not name.startswith("_"):
            assert "%(" not in (getattr(MinNet, name).__doc__ or ""), name


def test_signatures_show_the_defaults_and_calls_take_the_presets() -> None:
    shown = inspect.signature(MinNet).parameters
    assert (shown["n_hidden"].default, shown["activation"].default, shown["normalise"].default) == (256, "gelu", True)
    assert shown["hidden_dropout"].default is None  # depends on the number of pairs
    assert inspect.signature(MinNet.train).parameters["batch_size"].default == 256


def test_the_paper_s_preset_is_not_changed_by_the_shown_defaults(reference: MuData) -> None:
    model = MinNet(setup(reference), preset="paper")
    assert model._recipe == PRESETS["paper"]


def test_what_a_generative_model_would_have_is_hidden_and_says_what_to_use(trained: MinNet) -> None:
    absent = {"get_normalized_expression", "differential_abundance", "get_normalized_function_name", "setup_anndata"}
    assert absent & set(dir(trained)) == set()
    assert {"embed", "train", "history"} <= set(dir(trained))
    with pytest.raises(NotImplementedError, match="minnet_smooth"):
        trained.get_normalized_expression()
    with pytest.raises(NotImplementedError, match="no distribution"):
        trained.differential_abundance()


def test_the_view_of_the_setup_names_the_right_method(trained: MinNet, capsys) -> None:
    trained.view_anndata_setup()
    trained.view_registry(hide_state_registries=True)
    trained.view_setup_method_args()
    said = capsys.readouterr().out
    assert said.count("MinNet.setup_mudata") == 3
    assert "setup_anndata" not in said
