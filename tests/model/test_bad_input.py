"""What goes in wrong, which error comes out, that it names the argument and the remedy, and that nothing changed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData
from scipy import sparse

from scminnet import MinNet

from .conftest import QUIET, normalised, setup

KEYS = {"labels_key": "cell_type", "batch_key": "batch"}


def fingerprint(mdata: MuData) -> list:
    return [
        list(mdata.obs.columns),
        sorted(mdata.uns),
        *[
            (m, a.shape, list(a.obs.columns), list(a.var_names[:5]), float(np.nansum(a.X.sum() if a.n_obs else 0)))
            for m, a in mdata.mod.items()
        ],
    ]


def unchanged(mdata: MuData, action: Callable[[], object], error: type[Exception], *words: str) -> None:
    before = fingerprint(mdata)
    with pytest.raises(error) as caught:
        action()
    text = str(caught.value)
    for word in words:
        assert word in text, text
    assert fingerprint(mdata) == before


def set_value(value: float) -> Callable[[MuData], None]:
    def change(mdata: MuData) -> None:
        matrix = mdata["rna"].X.astype(np.float64).tolil()
        matrix[3, 4] = value
        mdata["rna"].X = matrix.tocsr()

    return change


def continuous_labels(mdata: MuData) -> None:
    mdata.obs["cell_type"] = np.linspace(0, 1, mdata.n_obs)


def one_label(mdata: MuData) -> None:
    mdata.obs["cell_type"] = "B"


def no_label(mdata: MuData) -> None:
    mdata.obs["cell_type"] = pd.Series(np.nan, index=mdata.obs_names, dtype=object)


def unknown_labels_only(mdata: MuData) -> None:
    mdata.obs["cell_type"] = "Unknown"


def batch_missing(mdata: MuData) -> None:
    batches = mdata.obs["batch"].astype(object)
    batches.iloc[:7] = np.nan
    mdata.obs["batch"] = batches


def labels_disagree(mdata: MuData) -> None:
    labels = mdata.obs["cell_type"].astype(object)
    labels.iloc[0] = "something else"
    mdata["rna"].obs["cell_type"] = labels


def duplicate_features(mdata: MuData) -> None:
    names = mdata["rna"].var_names.tolist()
    mdata["rna"].var_names = [names[0], *names[:-1]]


def text_values(mdata: MuData) -> None:
    mdata["rna"].X = np.full(mdata["rna"].shape, "a", dtype=object)


CASES: dict[str, tuple[Callable[[MuData], object], dict, type[Exception], tuple[str, ...]]] = {
    "one modality": (lambda m: None, {"modalities": ["rna"]}, ValueError, ("`modalities`", "two")),
    "the same modality twice": (
        lambda m: None, {"modalities": ["rna", "rna"]}, ValueError, ("`modalities`", "different"),
    ),
    "modalities as text": (lambda m: None, {"modalities": "rna"}, TypeError, ("`modalities`", "list")),
    "unknown modality": (
        lambda m: None, {"modalities": ["rna", "adt"]}, ValueError, ("`modalities`", "'adt'", "'atac'"),
    ),
    "unknown label key": (lambda m: None, {"labels_key": "type"}, KeyError, ("`labels_key`", "'type'", "cell_type")),
    "unknown batch key": (lambda m: None, {"batch_key": "donor"}, KeyError, ("`batch_key`", "'donor'")),
    "unknown layer": (lambda m: None, {"layers": "lognorm"}, ValueError, ("`layers`", "'lognorm'", "None for X")),
    "layer of another modality": (lambda m: None, {"layers": {"adt": "x"}}, ValueError, ("`layers`", "'adt'")),
    "no labels": (no_label, {}, ValueError, ("`labels_key`", "unlabelled", "leave `labels_key` out")),
    "only the unlabelled category": (unknown_labels_only, {}, ValueError, ("`labels_key`", "unlabelled")),
    "a single label": (one_label, {}, ValueError, ("`labels_key`", "'B'", "two types")),
    "labels that disagree": (labels_disagree, {}, ValueError, ("`labels_key`", "a different value", "agree")),
    "missing batches": (batch_missing, {}, ValueError, ("`batch_key`", "7 cells", "Give every cell")),
    "NaN": (set_value(np.nan), {}, ValueError, ("'rna'", "1 NaN", "'cell_3'", "'gene_4'", "Remove or fill")),
    "infinite": (set_value(np.inf), {}, ValueError, ("'rna'", "1 infinite", "'cell_3'", "'gene_4'", "Remove")),
    "beyond float32": (set_value(1e308), {}, ValueError, ("'rna'", "1 too large", "'cell_3'", "'gene_4'", "Correct")),
    "squares beyond float32": (set_value(-1e20), {}, ValueError, ("'rna'", "1 too large", "'cell_3'", "'gene_4'")),
    "a continuous label column": (continuous_labels, {}, ValueError, ("`labels_key`", "continuous", "categories")),
    "a mapping as unlabelled category": (
        lambda m: None, {"unlabeled_category": {"a": 1}}, TypeError, ("`unlabeled_category`", "list of texts"),
    ),
    "no unlabelled category": (
        lambda m: None, {"unlabeled_category": []}, ValueError, ("`unlabeled_category`", "empty"),
    ),
    "a list as label key": (lambda m: None, {"labels_key": [1]}, TypeError, ("`labels_key`", "[1]", "text")),
    "text for values": (text_values, {}, TypeError, ("'rna'", "numeric")),
    "duplicate features": (duplicate_features, {}, ValueError, ("'rna'", "var_names", "var_names_make_unique")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_setup_refuses(case: str) -> None:
    change, arguments, error, words = CASES[case]
    mdata = normalised()
    change(mdata)
    arguments = {"modalities": ["rna", "atac"], **KEYS, **arguments}
    if case == "text for values":  # has no sum to compare
        with pytest.raises(error, match="numeric"):
            MinNet.setup_mudata(mdata, **arguments)
        return
    unchanged(mdata, lambda: MinNet.setup_mudata(mdata, **arguments), error, *words)


def test_setup_refuses_an_anndata() -> None:
    with pytest.raises(TypeError, match=r"`mdata` must be a MuData, found AnnData.*mudata\.MuData"):
        MinNet.setup_mudata(normalised()["rna"], ["rna", "atac"], **KEYS)
    with pytest.raises(TypeError, match="setup_mudata"):
        MinNet.setup_anndata(normalised()["rna"])


def test_setup_refuses_modalities_that_do_not_share_observations(reference: MuData) -> None:
    sideways = MuData({"a": reference["rna"].copy(), "b": reference["rna"].copy()}, axis=1)
    with pytest.raises(ValueError, match=r"axis=1.*axis=0"):
        MinNet.setup_mudata(sideways, ["a", "b"], **KEYS)


def test_setup_refuses_an_empty_modality(reference: MuData) -> None:
    mdata = MuData({"rna": reference["rna"], "atac": reference["atac"][:, :0].copy()})
    mdata.obs = reference.obs
    unchanged(
        mdata,
        lambda: MinNet.setup_mudata(mdata, ["rna", "atac"], **KEYS),
        ValueError,
        "'atac'",
        "empty",
        "240 cells x 0",
    )


def test_setup_refuses_duplicate_cells(reference: MuData) -> None:
    rna = reference["rna"].copy()
    names = rna.obs_names.tolist()
    rna.obs_names = [names[1], *names[1:]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata = MuData({"rna": rna, "atac": reference["atac"].copy()})
    with pytest.raises(ValueError, match=r"'rna' has duplicate obs_names.*obs_names_make_unique"):
        MinNet.setup_mudata(mdata, ["rna", "atac"], **KEYS)


def test_setup_refuses_cells_of_no_registered_modality(reference: MuData) -> None:
    other = reference["rna"].copy()
    other.obs_names = "x" + other.obs_names
    mdata = MuData({"rna": reference["rna"], "atac": reference["atac"], "other": other})
    mdata.obs["cell_type"] = "B"
    with pytest.raises(ValueError, match=r"240 of 480 cells were measured in none.*Remove them"):
        MinNet.setup_mudata(mdata, ["rna", "atac"], labels_key="cell_type")


def test_counts_are_warned_of_once() -> None:
    mdata = normalised()
    for adata in mdata.mod.values():
        adata.X = sparse.csr_matrix(np.ceil(adata.X.toarray()))
    with pytest.warns(UserWarning, match="whole numbers") as caught:
        setup(mdata)
    assert sum("whole numbers" in str(w.message) for w in caught) == 1
    assert caught[0].filename == __file__ or "conftest" in caught[0].filename


def test_binarised_peaks_are_no_counts() -> None:
    mdata = normalised()
    mdata["atac"].X = (mdata["atac"].X > 0).astype(np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*whole numbers.*")
        setup(mdata)


def test_model_refuses_no_data() -> None:
    with pytest.raises(ValueError, match=r"`mdata` is None\. Give a MuData that `MinNet.setup_mudata` registered"):
        MinNet(None)


def test_model_refuses_unregistered_data(reference: MuData) -> None:
    with pytest.raises(ValueError, match=r"`mdata` is not registered.*setup_mudata"):
        MinNet(reference)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"preset": "best"}, "`preset`.*'default'"),
        ({"activation": "step"}, "`activation`.*'tanh'"),
        ({"n_hidden": 0}, "`n_hidden`"),
        ({"n_latent": 2.5}, "`n_latent`.*whole number"),
        ({"input_dropout": 1.0}, "`input_dropout`"),
        ({"input_layer": "pca"}, "`input_layer`.*'canonical'"),
    ],
)
def test_model_refuses(reference: MuData, arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MinNet(setup(reference), **arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"max_epochs": 0}, "`max_epochs`"),
        ({"batch_size": 1}, "`batch_size`.*at least 2"),
        ({"train_size": 0}, "`train_size`"),
        ({"train_size": 1.2}, "`train_size`"),
        ({"pairing": "all"}, "`pairing`.*'in_batch'"),
        ({"pair_strategy": "across"}, "`pair_strategy`.*'between'"),
        ({"margin_graph": "mine"}, r"`margin_graph`.*'mine'.*pp\.margin_graph"),
        ({"check_val_every_n_epoch": 0}, "`check_val_every_n_epoch`"),
        ({"early_stopping": True, "train_size": 1.0}, "`early_stopping`.*`train_size`"),
        ({"strategy": "ddp_spawn"}, "`strategy`.*spawned processes.*'ddp'"),
        ({"seed": -1}, "`seed`"),
        ({"plan_kwargs": {"loss_form": "hinge"}}, "`loss_form`.*'code'"),
        ({"plan_kwargs": {"lr": 0}}, "`lr`"),
        ({"plan_kwargs": {"contrastive_weight": -1}}, "`contrastive_weight`"),
        ({"plan_kwargs": {"temperature": 0}}, "`temperature`"),
        ({"plan_kwargs": {"reduce_lr_on_plateau": True}}, "`reduce_lr_on_plateau`.*constant"),
    ],
)
def test_train_refuses(reference: MuData, arguments: dict, words: str) -> None:
    model = MinNet(setup(reference))
    with pytest.raises(ValueError, match=words):
        model.train(**{**QUIET, **arguments})
    assert not model.is_trained


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"plan_kwargs": {"learning_rate": 1}}, "`plan_kwargs` has 'learning_rate'.*'lr'"),
        ({"lr": 1e-3}, "'lr' in `plan_kwargs`"),
        ({"strategy": "within"}, "pair_strategy='within'"),
    ],
)
def test_train_refuses_names_before_work_begins(reference: MuData, monkeypatch, arguments: dict, words: str) -> None:
    monkeypatch.setattr(
        "scminnet.model.training.margin_distances.build_margin_graph", lambda *_, **__: pytest.fail("work began")
    )
    with pytest.raises(TypeError, match=words):
        MinNet(setup(reference)).train(**{**QUIET, **arguments})


def test_setup_refuses_a_view(reference: MuData) -> None:
    with pytest.raises(ValueError, match=r"`mdata` is a view.*copy"):
        MinNet.setup_mudata(reference[:50], ["rna", "atac"], **KEYS)


def test_train_refuses_a_batch_of_one_cell(reference: MuData) -> None:
    reference.obs["batch"] = ["alone"] + ["others"] * (reference.n_obs - 1)
    model = MinNet(setup(reference))
    with pytest.raises(ValueError, match="alone"):
        model.train(**QUIET)


def test_untrained_models_say_so(reference: MuData, query: MuData) -> None:
    model = MinNet(setup(reference))
    for action in (model.get_latent_representation, model.predict, model.embed):
        with pytest.raises(RuntimeError, match=r"not trained.*train\(\)"):
            action()
    with pytest.raises(RuntimeError, match="not trained"):
        MinNet.load_query_data(query, model)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"modality": "adt"}, "`modality`.*'rna'"),
        ({"statistics": "own"}, "`statistics`.*'query'"),
        ({"batch_size": 0}, "`batch_size`"),
    ],
)
def test_embedding_refuses(trained: MinNet, arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        trained.get_latent_representation(**arguments)


def test_embedding_refuses_bad_queries(trained: MinNet, query: MuData) -> None:
    with pytest.raises(TypeError, match="`mdata` must be a MuData"):
        trained.get_latent_representation(query["rna"])
    with pytest.raises(ValueError, match=r"none in common"):
        trained.get_latent_representation(MuData({"adt": query["rna"].copy()}))
    query["rna"].X[0, :] = np.nan
    unchanged(query, lambda: trained.embed(query), ValueError, "'rna'", "NaN")


@pytest.mark.parametrize(
    "labels",
    [["monocyte", "A", "B"], np.arange(1000) / 7, ["x"], [None]],
    ids=["some unknown", "numbers", "all unknown", "missing"],
)
def test_queries_keep_labels_of_their_own(trained: MinNet, query: MuData, labels: list) -> None:
    own = query.copy()
    own.obs["cell_type"] = pd.Categorical(np.resize(np.array(labels, dtype=object), own.n_obs))
    # both modalities may have been annotated, and differ
    own["rna"].obs["cell_type"] = own.obs["cell_type"].to_numpy()[::-1][: own["rna"].n_obs]
    before = own.obs["cell_type"].copy()
    results = []
    for cells in (query, own):
        MinNet.prepare_query_mudata(cells, trained)
        model = MinNet.load_query_data(cells, trained)
        results.append((model.get_latent_representation(), model.predict(), model.diagnose().verdict))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert results[0][2] == results[1][2]
    pd.testing.assert_series_equal(own.obs["cell_type"], before)
    assert set(own.obs["_minnet_labels"]) <= {"Unknown", *trained.labels}


def test_queries_refuse_other_features(trained: MinNet, query: MuData) -> None:
    fewer = MuData({"rna": query["rna"][:, :30].copy()})
    unchanged(fewer, lambda: MinNet.load_query_data(fewer, trained), ValueError, "30 features", "prepare_query_mudata")
    renamed = query["rna"].copy()
    renamed.var_names = "ENSG" + renamed.var_names
    strangers = MuData({"rna": renamed})
    unchanged(
        strangers,
        lambda: MinNet.prepare_query_mudata(strangers, trained),
        ValueError,
        "none of the model's 80 features",
        "same kind of names",
    )
    with pytest.raises(ValueError, match="none in common"):
        MinNet.prepare_query_mudata(MuData({"adt": query["rna"].copy()}), trained)
    twice = query["rna"][:, [0, 0, 1]].copy()
    with pytest.raises(ValueError, match="duplicate var_names"):
        MinNet.prepare_query_mudata(MuData({"rna": twice}), trained)


def test_queries_refuse_what_is_no_model(query: MuData) -> None:
    with pytest.raises(TypeError, match="`reference_model` is a int"):
        MinNet.load_query_data(query, 3)


def test_loading_refuses_what_is_no_saved_model(trained: MinNet, query: MuData, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model\.pt is missing"):
        MinNet.load(tmp_path / "nothing")
    trained.save(str(tmp_path / "m"))
    file = tmp_path / "m" / "model.pt"
    whole = file.read_bytes()
    for cut in (0, 100, len(whole) // 2, len(whole) - 200):
        file.write_bytes(whole[:cut])
        for action in (lambda: MinNet.load(tmp_path / "m"), lambda: MinNet.load_query_data(query, tmp_path / "m")):
            with pytest.raises(ValueError, match=r"can not be read.*truncated"):
                action()
    torch.save({"weights": 1}, file)
    with pytest.raises(ValueError, match="not a model"):
        MinNet.load(tmp_path / "m")


class Stranger:
    """Runs a command when it is unpickled."""

    def __init__(self, target) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_loading_runs_no_code_from_the_file(trained: MinNet, query: MuData, tmp_path, zipped: bool) -> None:
    trained.save(str(tmp_path / "m"))
    file, mark = tmp_path / "m" / "model.pt", tmp_path / "mark"
    saved = torch.load(file, weights_only=False)
    saved["attr_dict"]["note_"] = Stranger(mark)
    torch.save(saved, file, _use_new_zipfile_serialization=zipped)
    for action in (
        lambda: MinNet.load(tmp_path / "m", adata=False),
        lambda: MinNet.load_query_data(query, tmp_path / "m"),
        lambda: MinNet.prepare_query_mudata(query, tmp_path / "m"),
    ):
        found = r"contains (posix|nt)\.system, which is not plain data" if zipped else "is a pickle"
        with pytest.raises(ValueError, match=rf"can not be read: it {found}.*could run code.*trusted=True"):
            action()
    assert not mark.exists()
    MinNet.load(tmp_path / "m", adata=False, trusted=True)
    assert mark.exists()


def test_loading_refuses_another_class(trained: MinNet, tmp_path) -> None:
    import scvi

    adata = ad.AnnData(np.random.default_rng(0).poisson(1.0, (50, 10)).astype(np.float32))
    scvi.model.SCVI.setup_anndata(adata)
    scvi.model.SCVI(adata).save(str(tmp_path / "scvi"))
    with pytest.raises(ValueError, match=r"can not be read.*a model of another class with that class"):
        MinNet.load(tmp_path / "scvi")
    with pytest.raises(ValueError, match="is a SCVI, not a MinNet"):
        MinNet.load(tmp_path / "scvi", trusted=True)


@pytest.mark.parametrize(("kind", "found"), [({"format": 99, "scminnet": "9.0"}, "9.0"), (None, "before 0.1.0")])
def test_loading_refuses_a_model_of_another_version(trained: MinNet, tmp_path, kind: dict | None, found: str) -> None:
    trained.save(tmp_path / "m")
    file = tmp_path / "m" / "model.pt"
    saved = torch.load(file, weights_only=False)
    if kind is None:
        del saved["attr_dict"]["written_by_"]
    else:
        saved["attr_dict"]["written_by_"] = kind
    torch.save(saved, file)
    with pytest.raises(ValueError, match=rf"saved by scminnet {found}.*train it again"):
        MinNet.load(tmp_path / "m")


@pytest.mark.parametrize("before", [True, False])
def test_a_full_disk_leaves_the_model_that_was_there(trained: MinNet, tmp_path, before: bool) -> None:
    resource = pytest.importorskip("resource")
    folder = tmp_path / "m"
    if before:
        trained.save(folder)
    files = {p.name: p.read_bytes() for p in tmp_path.rglob("*.*")}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises((OSError, RuntimeError)):
            trained.save(folder, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {p.name: p.read_bytes() for p in tmp_path.rglob("*.*")} == files
    assert folder.exists() == before


def test_saving_does_not_overwrite(trained: MinNet, tmp_path) -> None:
    trained.save(str(tmp_path / "m"))
    with pytest.raises(ValueError, match="already exists"):
        trained.save(str(tmp_path / "m"))
    trained.save(str(tmp_path / "m"), overwrite=True)
