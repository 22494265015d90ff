from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scminnet.metrics import (
    ari,
    foscttm,
    integration_report,
    label_transfer_accuracy,
    matching_score,
    neighbor_mixing,
    silhouette_batch,
    silhouette_label,
    silhouette_modality,
)

N = 120
NAMES = np.array([f"cell_{i}" for i in range(N)])
MODALITIES = ("rna", "atac")


def cells(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"cell_type": rng.choice(["a", "b", "c"], N), "batch": rng.choice(["p", "q"], N)}, index=NAMES)


def embeddings(*modalities: str) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(1)
    centre = pd.factorize(cells()["cell_type"], sort=True)[0][:, None] * 2.0 + rng.normal(size=(N, 3))
    return {m: pd.DataFrame(centre + 0.5 * rng.normal(size=(N, 3)), index=NAMES) for m in modalities}


def build(space: dict[str, pd.DataFrame], obs: pd.DataFrame | None = None) -> MuData:
    """Make a MuData of the cells and embeddings of ``space``, in the order they have there."""
    mod = {}
    for m, embedding in space.items():
        adata = AnnData(np.ones((len(embedding), 2), dtype=np.float32), obs=pd.DataFrame(index=embedding.index))
        adata.var_names = [f"{m}_{i}" for i in range(2)]
        adata.obsm["X_minnet"] = embedding.to_numpy()
        mod[m] = adata
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata = MuData(mod)
    for column, values in (cells() if obs is None else obs).items():
        mdata.obs[column] = values.reindex(mdata.obs_names)
    return mdata


def report(mdata: MuData, **arguments) -> pd.DataFrame:
    defaults = {"modalities": MODALITIES, "labels_key": "cell_type", "batch_key": "batch", "n_neighbors": (5, 10)}
    return integration_report(mdata, **(defaults | arguments))


def value(table: pd.DataFrame, metric: str, modalities: str = "rna, atac") -> float:
    rows = table[(table["metric"] == metric) & (table["modalities"] == modalities)]
    assert len(rows) == 1
    return rows["value"].iloc[0]


def test_every_value_is_that_of_its_measure():
    space, obs = embeddings(*MODALITIES), cells()
    table = report(build(space), seed=3)
    assert list(table.columns) == ["metric", "modalities", "value", "better"]
    rna, atac = space["rna"].to_numpy(), space["atac"].to_numpy()
    fos = foscttm(rna, atac)
    assert fos.x_to_y != fos.y_to_x
    assert value(table, "foscttm", "rna -> atac") == fos.x_to_y
    assert value(table, "foscttm", "atac -> rna") == fos.y_to_x
    assert value(table, "foscttm_mean") == fos.mean
    match = matching_score(rna, atac)
    assert match.x_to_y != match.y_to_x
    assert value(table, "matching_score", "rna -> atac") == match.x_to_y
    assert value(table, "matching_score", "atac -> rna") == match.y_to_x
    assert value(table, "matching_score_mean") == match.mean
    labels, batches = obs["cell_type"].to_numpy(), obs["batch"].to_numpy()
    for direction, source, target in (("rna -> atac", rna, atac), ("atac -> rna", atac, rna)):
        transfer = label_transfer_accuracy(source, labels, target, labels, n_neighbors=(5, 10))
        assert value(table, "label_transfer_accuracy", direction) == transfer.accuracy
        assert value(table, "label_transfer_macro_accuracy", direction) == transfer.macro_accuracy
        assert table.attrs["n_neighbors"][direction] == transfer.n_neighbors
    both, twice = np.concatenate([rna, atac]), np.tile(labels, 2)
    assert value(table, "silhouette_label") == silhouette_label(both, twice)
    assert value(table, "neighbor_mixing") == neighbor_mixing(both, np.repeat(MODALITIES, N))
    assert value(table, "silhouette_modality") == silhouette_modality(both, np.repeat(MODALITIES, N))
    assert value(table, "silhouette_batch") == silhouette_batch(both, np.tile(batches, 2))
    assert value(table, "ari") == ari(both, twice, seed=3)
    assert len(table) == 15
    assert table.attrs["left_out"] == {}
    lower = table["metric"].str.startswith("foscttm")
    assert (table["better"] == np.where(lower, "lower", "higher")).all()


def test_order_and_presence_of_cells_may_differ_between_modalities():
    space = embeddings(*MODALITIES)
    plain = report(build(space))
    rng = np.random.default_rng(5)
    shuffled = {m: frame.iloc[rng.permutation(N)] for m, frame in space.items()}
    table = report(build(shuffled))
    assert list(table["metric"]) == list(plain["metric"])
    compared = plain["metric"] != "ari"  # Leiden depends on the order of the cells
    np.testing.assert_allclose(table["value"][compared], plain["value"][compared], atol=1e-12)

    partly = {"rna": shuffled["rna"][:90], "atac": shuffled["atac"][20:]}
    shared = partly["rna"].index.intersection(partly["atac"].index)
    expected = foscttm(partly["rna"].loc[shared].to_numpy(), partly["atac"].loc[shared].to_numpy())
    assert 40 < len(shared) < 90
    assert value(report(build(partly)), "foscttm_mean") == expected.mean


def test_three_modalities_in_all_pairs():
    space = embeddings("rna", "adt", "atac")
    table = report(build(space), modalities=("rna", "adt", "atac"))
    pairs = {"rna, adt", "rna, atac", "adt, atac"}
    for metric in ("foscttm_mean", "matching_score_mean"):
        assert set(table.loc[table["metric"] == metric, "modalities"]) == pairs
    assert (table["metric"] == "label_transfer_accuracy").sum() == 6
    assert value(table, "silhouette_modality", "rna, adt, atac") > 0.9


def test_unlabelled_cells_are_left_out_of_measures_of_types_only():
    space, obs = embeddings(*MODALITIES), cells()
    unlabelled = NAMES[:30]
    obs.loc[unlabelled, "cell_type"] = np.nan
    table = report(build(space, obs))
    known = {m: frame.drop(unlabelled) for m, frame in space.items()}
    subset = report(build(known, obs))
    of_types = table["metric"].str.contains("label|ari")
    assert of_types.sum() == 6
    np.testing.assert_allclose(table["value"][of_types], subset["value"][of_types])
    assert value(table, "foscttm_mean") == value(report(build(space)), "foscttm_mean")


def test_labels_may_sit_in_the_modalities():
    mdata, obs = build(embeddings(*MODALITIES)), cells()
    expected = report(mdata)
    del mdata.obs["cell_type"]
    mdata["rna"].obs["cell_type"] = pd.Categorical(obs["cell_type"])
    pd.testing.assert_frame_equal(report(mdata), expected)


def test_what_cannot_be_computed_is_left_out_with_the_reason():
    space, obs = embeddings(*MODALITIES), cells()
    unpaired = {"rna": space["rna"][:60], "atac": space["atac"][60:]}
    table = report(build(unpaired, obs.assign(batch="p")))
    reasons = table.attrs["left_out"]
    assert set(reasons) == {"foscttm (rna, atac)", "matching_score (rna, atac)", "silhouette_batch (rna, atac)"}
    for metric in ("foscttm", "matching_score"):
        assert "two or more cells measured in both" in reasons[f"{metric} (rna, atac)"]
    assert "`batches` has 1 groups" in reasons["silhouette_batch (rna, atac)"]
    assert not table["metric"].str.contains("foscttm|matching|batch").any()
    assert value(table, "label_transfer_accuracy", "rna -> atac") > 0.5

    reasons = report(build(space, obs.assign(cell_type=None)), batch_key=None).attrs["left_out"]
    assert set(reasons) == {
        "label_transfer_accuracy (rna -> atac)",
        "label_transfer_accuracy (atac -> rna)",
        "silhouette_label (rna, atac)",
        "silhouette_batch (rna, atac)",
        "ari (rna, atac)",
    }
    assert reasons["silhouette_batch (rna, atac)"] == "`batch_key` is None."


def test_nothing_is_written():
    mdata = build(embeddings(*MODALITIES))
    obs, space = mdata.obs.copy(), {m: mdata[m].obsm["X_minnet"].copy() for m in MODALITIES}
    report(mdata)
    pd.testing.assert_frame_equal(mdata.obs, obs)
    assert not mdata.uns
    for m in MODALITIES:
        assert list(mdata[m].obsm) == ["X_minnet"]
        np.testing.assert_array_equal(mdata[m].obsm["X_minnet"], space[m])
        assert not len(mdata[m].obs.columns)
        assert not mdata[m].uns
        assert not mdata[m].obsp


def test_another_embedding_can_be_named():
    mdata = build(embeddings(*MODALITIES))
    for m in MODALITIES:
        mdata[m].obsm["X_other"] = np.tile(np.arange(N, dtype=float)[:, None], (1, 2))
    assert value(report(mdata, use_rep="X_other"), "foscttm_mean") == 0


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"modalities": "rna"}, TypeError, "`modalities` is the text 'rna'"),
        ({"modalities": ("rna",)}, ValueError, "`modalities` is"),
        ({"modalities": ("rna", "rna")}, ValueError, "`modalities` is"),
        ({"modalities": ("rna", "adt")}, ValueError, "`modalities` names 'adt'"),
        ({"labels_key": "absent"}, KeyError, "`labels_key` is 'absent'"),
        ({"batch_key": "absent"}, KeyError, "`batch_key` is 'absent'"),
        ({"use_rep": "X_absent"}, KeyError, "`use_rep` is 'X_absent'"),
        ({"n_neighbors": (0, 5)}, ValueError, "`n_neighbors` is 0"),
    ],
)
def test_bad_input_is_named(arguments, error, named):
    with pytest.raises(error, match=named):
        report(build(embeddings(*MODALITIES)), **arguments)


def test_bad_embeddings_are_named():
    with pytest.raises(TypeError, match="`mdata` must be a MuData"):
        report(AnnData(np.ones((3, 2))))
    space = embeddings(*MODALITIES)
    with pytest.raises(ValueError, match="`use_rep`='X_minnet' has a different number of dimensions"):
        report(build({"rna": space["rna"], "atac": space["atac"].iloc[:, :2]}))
    space["atac"].iloc[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"`mdata\['atac'\].obsm\['X_minnet'\]` holds NaN"):
        report(build(space))
