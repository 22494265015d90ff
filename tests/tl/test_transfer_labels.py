from __future__ import annotations

import logging

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

import scminnet as mn

K = 5


def points(seed: int, n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Cells of three overlapping types on the corners of a triangle."""
    rng = np.random.default_rng(seed)
    types = rng.integers(3, size=n)
    corners = np.array([[0.0, 0], [3, 0], [0, 3]])
    return (corners[types] + rng.normal(size=(n, 2))).astype(np.float32), np.array(list("abc"))[types]


def modality(embedding: np.ndarray, names: list[str], labels: np.ndarray | None = None) -> AnnData:
    adata = AnnData(np.ones((len(names), 2), dtype=np.float32), obs=pd.DataFrame(index=names))
    adata.obsm["X_minnet"] = embedding
    if labels is not None:
        adata.obs["type"] = labels
    return adata


def make(seed: int = 0) -> mudata.MuData:
    """Cells of RNA 0 to 89, of ATAC 60 to 149 in reverse order: 30 are in both; types are known of RNA's but for 4."""
    (x, labels), (y, _) = points(seed), points(seed + 1)
    labels = labels.astype(object)
    labels[:4] = None
    rna = modality(x, [f"r{i}" for i in range(90)], labels)
    atac = modality(y, [f"r{i}" for i in range(149, 59, -1)])
    atac.var_names = ["p0", "p1"]
    return mudata.MuData({"rna": rna, "atac": atac})


def naive(mdata: mudata.MuData, quantile: float) -> tuple[list[str], list[float], list[float]]:
    """The same by loops over cells."""
    labelled = mdata["rna"].obs["type"].notna().to_numpy()
    source = mdata["rna"].obsm["X_minnet"][labelled].astype(float)
    labels = mdata["rna"].obs["type"][labelled].to_numpy()

    def elect(point: np.ndarray, among: np.ndarray) -> tuple[float, str, float]:
        distance = np.linalg.norm(source - point, axis=1)
        nearest = sorted(among, key=lambda i: distance[i])[:K]
        votes: dict[str, float] = {}
        for i in nearest:
            votes[labels[i]] = votes.get(labels[i], 0) + 1 / distance[i]
        best = max(sorted(votes), key=votes.get)
        return np.mean(distance[nearest]), best, votes[best] / sum(votes.values())

    everyone = np.arange(len(source))
    own = [elect(point, np.delete(everyone, i)) for i, point in enumerate(source)]
    farthest = np.quantile([d for d, _, _ in own], quantile)
    lowest = np.quantile([share for _, _, share in own], 1 - quantile)
    found = [elect(point, everyone) for point in mdata["atac"].obsm["X_minnet"].astype(float)]
    farthest *= max(1, np.quantile([d for d, _, _ in found], 0.25) / np.quantile([d for d, _, _ in own], 0.25))
    names = [n if d <= farthest and c >= lowest else "unassigned" for d, n, c in found]
    return names, [c for _, _, c in found], [d for d, _, _ in found]


@given(seed=st.integers(0, 1000), quantile=st.sampled_from([0.7, 0.83, 0.93]))
@settings(max_examples=10, deadline=None)
def test_equals_loops(seed: int, quantile: float) -> None:
    mdata = make(seed)
    mn.tl.transfer_labels(mdata, "rna", "atac", "type", n_neighbors=K, quantile=quantile)
    obs = mdata["atac"].obs
    labels, shares, distances = naive(mdata, quantile)
    np.testing.assert_allclose(obs["transferred_label_confidence"], shares, rtol=1e-4)
    np.testing.assert_allclose(obs["transferred_label_distance"], distances, rtol=1e-4)
    # a cell on the very limit may fall to either side by rounding
    assert (obs["transferred_label"].astype(str) != labels).sum() <= 1
    assert "unassigned" in labels


def test_what_is_written_survives_a_file(tmp_path) -> None:
    mdata = make()
    copied = mn.tl.transfer_labels(mdata, "rna", "atac", "type", n_neighbors=K, key_added="found", copy=True)
    assert "found" not in mdata["atac"].obs
    assert "found" not in mdata.uns
    assert mdata.minnet.transfer_labels("rna", "atac", "type", n_neighbors=K, key_added="found") is None
    pd.testing.assert_frame_equal(mdata["atac"].obs, copied["atac"].obs)
    assert list(mdata["atac"].obs["found"].cat.categories) == ["a", "b", "c", "unassigned"]
    assert mdata["atac"].obs["found_confidence"].dtype == np.float32
    assert mdata["atac"].obs["found_distance"].dtype == np.float32
    assert mdata["rna"].obs["type"].isna().sum() == 4
    mdata.write(tmp_path / "m.h5mu")
    again = mudata.read_h5mu(tmp_path / "m.h5mu")
    assert (again["atac"].obs["found"].astype(str) == copied["atac"].obs["found"].astype(str)).all()
    assert again.uns["found"]["params"]["n_neighbors"] == K
    assert again.uns["found"]["max_distance"] == mdata.uns["found"]["max_distance"]


def test_order_of_cells_and_place_of_labels_do_not_matter() -> None:
    mdata = make()
    mn.tl.transfer_labels(mdata, "rna", "atac", "type", n_neighbors=K)
    rng = np.random.default_rng(0)
    rna = mdata["rna"][rng.permutation(90)].copy()
    atac = mdata["atac"][rng.permutation(90)].copy()
    moved = mudata.MuData({"rna": rna, "atac": atac})
    moved.obs["where"] = rna.obs["type"].reindex(moved.obs_names)
    mn.tl.transfer_labels(moved, "rna", "atac", "where", n_neighbors=K)
    expected = mdata["atac"].obs["transferred_label"].loc[atac.obs_names]
    assert (moved["atac"].obs["transferred_label"].astype(str) == expected.astype(str)).all()


def test_a_gap_between_the_modalities_does_not_leave_known_cells_out() -> None:
    rng = np.random.default_rng(0)
    corners = np.array([[0.0, 0, 0], [12, 12, 0]])[np.repeat([0, 1], 100)]
    # both types of the target lie aside, by more than the source's cells from each other
    source, target = (corners + rng.normal(size=(200, 3)) * [1, 1, 0.1] for _ in range(2))
    target = np.vstack([target + [0, 0, 3], np.full((20, 3), -30.0)])
    rna = modality(source, [f"r{i}" for i in range(200)], np.repeat(["a", "b"], 100))
    mdata = mudata.MuData({"rna": rna, "atac": modality(target, [f"a{i}" for i in range(220)])})
    mn.tl.transfer_labels(mdata, "rna", "atac", "type")
    found = mdata["atac"].obs["transferred_label"].to_numpy()
    assert mdata.uns["transferred_label"]["gap"] > 2
    assert (found[:200] == "unassigned").mean() < 0.05
    assert (found[200:] == "unassigned").all()


def test_it_is_said_how_many_cells_are_unassigned_and_how_to_name_them(caplog, monkeypatch) -> None:
    monkeypatch.setattr(logging.getLogger("scminnet"), "propagate", True)
    mdata = make()
    mn.tl.transfer_labels(mdata, "rna", "atac", "type", n_neighbors=K, quantile=0.8)
    n = (mdata["atac"].obs["transferred_label"] == "unassigned").sum()
    assert n
    (line,) = set(caplog.messages)
    assert line.startswith(f"{n} of 90 cells of 'atac' ({100 * n / 90:.0f} %) are 'unassigned'")
    for word in ("`quantile`", "`unassigned=None`", "`model.predict`"):
        assert word in line
    caplog.clear()
    mn.tl.transfer_labels(mdata, "rna", "atac", "type", n_neighbors=K, unassigned=None)
    assert not caplog.messages


def test_an_unseen_type_far_off_and_one_amid_known_types_stay_unassigned() -> None:
    rng = np.random.default_rng(0)
    far, between = np.full((20, 2), -30.0), np.array([[6.0, 6]])
    corners = np.array([[0.0, 0], [12, 12]])[np.repeat([0, 1], 100)]
    source = corners + rng.normal(size=(200, 2))
    target = np.vstack([corners + rng.normal(size=(200, 2)), far, np.repeat(between, 20, axis=0)])
    rna = modality(source, [f"r{i}" for i in range(200)], np.repeat(["a", "b"], 100))
    atac = modality(target, [f"a{i}" for i in range(240)])
    mdata = mudata.MuData({"rna": rna, "atac": atac})
    mn.tl.transfer_labels(mdata, "rna", "atac", "type")
    found = mdata["atac"].obs["transferred_label"].to_numpy()
    assert (found[200:] == "unassigned").all()
    assert (found[:200] == "unassigned").mean() < 0.2
    # its vote is unanimous: only the distance tells the far type
    assert (mdata["atac"].obs["transferred_label_confidence"].to_numpy()[200:220] == 1).all()
    mn.tl.transfer_labels(mdata, "rna", "atac", "type", unassigned=None)
    assert list(mdata["atac"].obs["transferred_label"].cat.categories) == ["a", "b"]
    assert mdata["atac"].obs["transferred_label"].notna().all()
    assert "unassigned" not in mdata.uns["transferred_label"]["params"]


def test_types_held_out_of_a_space_of_types_are_found_better_than_known_ones_are_lost() -> None:
    rng = np.random.default_rng(1)
    centres = 4 * rng.normal(size=(8, 8))
    types = rng.integers(8, size=800)
    cells = centres[types] + rng.normal(size=(800, 8))
    names = np.array([f"t{i}" for i in types])
    rna = modality(cells[:400], [f"r{i}" for i in range(400)], np.where(types[:400] == 0, None, names[:400]))
    mdata = mudata.MuData({"rna": rna, "atac": modality(cells[400:], [f"a{i}" for i in range(400)])})
    mn.tl.transfer_labels(mdata, "rna", "atac", "type")
    lost = (mdata["atac"].obs["transferred_label"] == "unassigned").to_numpy()
    assert lost[types[400:] == 0].mean() > 0.9
    assert lost[types[400:] != 0].mean() < 0.15


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"target": "adt"}, ValueError, "`target` names 'adt'"),
        ({"target": "rna"}, ValueError, "`target` is 'rna', as is `source`"),
        ({"n_neighbors": 0}, ValueError, "`n_neighbors` is 0"),
        ({"n_neighbors": 86}, ValueError, "`n_neighbors` is 86, but .* only 86 cells"),
        ({"quantile": 1.1}, ValueError, "`quantile` is 1.1"),
        ({"unassigned": "a"}, ValueError, "`unassigned` is 'a'"),
        ({"key_added": "type"}, ValueError, "`key_added` is 'type', so that column 'type'"),
        ({"key_added": "a", "labels_key": "a_distance"}, ValueError, "`key_added` is 'a', so that column 'a_distance'"),
        ({"use_rep": "X_wide"}, ValueError, "`use_rep`='X_wide' has a different number"),
    ],
)
def test_bad_input_changes_nothing(change: dict, error: type[Exception], words: str) -> None:
    mdata = make()
    for i, m in enumerate(("rna", "atac")):
        mdata[m].obsm["X_wide"] = np.ones((90, 2 + i))
    before = mdata["atac"].obs.copy()
    arguments = {"source": "rna", "target": "atac", "labels_key": "type", "n_neighbors": K} | change
    with pytest.raises(error, match=words):
        mn.tl.transfer_labels(mdata, **arguments)
    pd.testing.assert_frame_equal(mdata["atac"].obs, before)
    assert not mdata.uns
