from __future__ import annotations

import mudata
import numpy as np
import pytest
from scipy import sparse

import scminnet as mn


@pytest.fixture
def mdata() -> mudata.MuData:
    mdata = mn.datasets.simulate_multiome(60, n_genes=40, n_peaks=80)
    mn.pp.gene_activity(mdata, mdata["rna"].var.rename_axis("gene").reset_index())
    mn.pp.normalize(mdata)
    return mdata


def test_features_stand_side_by_side_and_cells_keep_their_order(mdata: mudata.MuData) -> None:
    mn.pp.join_modalities(mdata, ["activity", "atac"])
    joined, activity, atac = (mdata[m] for m in ("chromatin", "activity", "atac"))
    expected = np.hstack([activity.X.toarray(), atac.X.toarray()])
    np.testing.assert_array_equal(joined.X.toarray(), expected)
    assert sparse.isspmatrix_csr(joined.X)
    assert joined.X.dtype == np.float32
    assert list(joined.var_names) == [*activity.var_names, *atac.var_names]
    assert list(joined.obs_names) == list(activity.obs_names)
    assert (joined.var["modality"] == ["activity"] * activity.n_vars + ["atac"] * atac.n_vars).all()
    assert mdata.uns["chromatin"]["params"] == {"modalities": ["activity", "atac"]}


def test_cells_are_matched_by_name(mdata: mudata.MuData) -> None:
    mn.pp.join_modalities(mdata, ["activity", "atac"], key_added="expected")
    mdata.mod["atac"] = mdata["atac"][::-1].copy()
    mn.pp.join_modalities(mdata, ["activity", "atac"])
    np.testing.assert_array_equal(mdata["chromatin"].X.toarray(), mdata["expected"].X.toarray())


def test_layers_are_joined_and_dense_stays_dense(mdata: mudata.MuData) -> None:
    for m in ("activity", "atac"):
        mdata[m].layers["counts"] = mdata[m].layers["counts"].toarray()
    mn.pp.join_modalities(mdata, ["activity", "atac"], layers="counts", key_added="counts")
    assert isinstance(mdata["counts"].X, np.ndarray)
    np.testing.assert_array_equal(mdata["counts"].X[:, : mdata["activity"].n_vars], mdata["activity"].layers["counts"])
    mn.pp.join_modalities(mdata, ["activity", "atac"], layers={"atac": "counts"}, key_added="mixed")
    assert sparse.isspmatrix_csr(mdata["mixed"].X)
    np.testing.assert_array_equal(
        mdata["mixed"].X[:, mdata["activity"].n_vars :].toarray(), mdata["atac"].layers["counts"]
    )


def test_result_trains_a_model_and_survives_a_file(mdata: mudata.MuData, tmp_path) -> None:
    joined = mn.pp.join_modalities(mdata, ["activity", "atac"], copy=True)
    assert "chromatin" not in mdata.mod
    joined.write(tmp_path / "m.h5mu")
    back = mudata.read_h5mu(tmp_path / "m.h5mu")
    mn.MinNet.setup_mudata(back, ["rna", "chromatin"], labels_key="cell_type", batch_key="batch")
    assert list(mn.MinNet(back).get_var_names()["chromatin"]) == list(joined["chromatin"].var_names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modalities": ["atac"]}, "two different modalities"),
        ({"modalities": "atac"}, "`modalities` is the text 'atac'. Give a list"),
        ({"modalities": ["atac", "atac"]}, "two different modalities"),
        ({"modalities": ["atac", "adt"]}, "adt"),
        ({"modalities": ["activity", "atac"], "key_added": "rna"}, "`key_added` is 'rna', which is already a modality"),
        ({"modalities": ["activity", "atac"], "layers": "scaled"}, "`layers` names 'scaled'"),
        ({"modalities": ["rna", "activity"]}, "features have the same name.*'rna', 'activity'"),
        ({"modalities": ["activity", "few"]}, "same cells: 10 of 'activity' are not in 'few', and 0"),
    ],
)
def test_errors_name_the_argument_and_leave_the_data(mdata: mudata.MuData, arguments: dict, message: str) -> None:
    mdata.mod["few"] = mdata["atac"][:50].copy()
    before = set(mdata.mod)
    with pytest.raises((TypeError, ValueError), match=message):
        mn.pp.join_modalities(mdata, **arguments)
    assert set(mdata.mod) == before


def test_values_that_are_not_finite_are_refused(mdata: mudata.MuData) -> None:
    mdata["atac"].X.data[0] = np.nan
    with pytest.raises(ValueError, match="'atac'"):
        mn.pp.join_modalities(mdata, ["activity", "atac"])
