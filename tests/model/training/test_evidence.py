"""What a training learns from, and what it refuses before any work begins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scminnet as mn
from scminnet import MinNet
from scminnet.coupling.feature_links import FEATURE_LINKS_KEY
from scminnet.model.training.evidence import coupling_groups

from ..conftest import QUIET
from ..test_bad_input import unchanged
from ..unpaired import SMALL, protein_links, registered, simulated, split


@pytest.fixture(scope="module")
def full() -> MuData:
    return simulated()


#: What a training computes after its checks.
WORK = ("margin_distances.build_margin_graph", "input_layers.fit_projections")
READING = ("input_layers.feature_moments", "train.feature_moments")


def no_work(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setattr(f"scminnet.model.training.{name}", lambda *_, **__: pytest.fail("work began"))


def set_weights(mdata: MuData, value: float) -> None:
    links = mdata.uns[FEATURE_LINKS_KEY].copy()
    links.loc[3, "weight"] = value
    mdata.uns[FEATURE_LINKS_KEY] = links


def without_links(mdata: MuData) -> None:
    del mdata.uns[FEATURE_LINKS_KEY]


def unknown_features(mdata: MuData) -> None:
    links = mdata.uns[FEATURE_LINKS_KEY].copy()
    links["first_feature"] = [f"unknown_{i}" for i in range(len(links))]
    mdata.uns[FEATURE_LINKS_KEY] = links


def donors(mdata: MuData) -> None:
    """Each modality has donors of its own; one column has no value for some cells."""
    in_rna = mdata.obs_names.isin(mdata["rna"].obs_names)
    mdata.obs["donor"] = np.where(in_rna, "a", "b")
    column = pd.Series("x", index=mdata.obs_names, dtype=object)
    column.iloc[:7] = np.nan
    mdata.obs["partly"] = column


def nothing(mdata: MuData) -> None:
    """Leave the data as they are."""


#: Change of the data, arguments of the model, of the training, error, and what it says.
CASES: dict[str, tuple[Callable[[MuData], object], dict, dict, type[Exception], tuple[str, ...]]] = {
    "neither pairs nor links": (
        without_links,
        {},
        {},
        ValueError,
        ("no cell", "pp.feature_links(mdata, 'rna', 'adt')"),
    ),
    "links not used": (nothing, {}, {"feature_links": None}, ValueError, ("`feature_links` is None",)),
    "no such key": (
        nothing,
        {},
        {"feature_links": "mine"},
        ValueError,
        ("`feature_links` is 'mine'", "key_added='mine'"),
    ),
    "learned input layer": (
        nothing,
        {"input_layer": "learned"},
        {},
        ValueError,
        ("input_layer='canonical'", "obs_names"),
    ),
    "sampled pairs": (nothing, {}, {"pairing": "sampled"}, ValueError, ("pairing='in_batch'", "obs_names")),
    "negative weight": (lambda m: set_weights(m, -1), {}, {}, ValueError, ("1 of 40 weights", "negative", "0 or more")),
    "NaN for a weight": (lambda m: set_weights(m, np.nan), {}, {}, ValueError, ("1 of 40 weights", "no numbers")),
    "unknown features": (unknown_features, {}, {}, ValueError, ("no link between 'rna' and 'adt' is left", "unknown")),
    "disjoint donors": (
        donors,
        {},
        {"couple_within": "donor"},
        ValueError,
        ("`couple_within` is 'donor'", "rna: 'a'; adt: 'b'"),
    ),
    "missing donors": (
        donors,
        {},
        {"couple_within": "partly"},
        ValueError,
        ("`couple_within`='partly'", "7 cells", "Give every cell"),
    ),
    "unknown column": (nothing, {}, {"couple_within": "site"}, KeyError, ("`couple_within`", "'site'")),
}


@pytest.mark.parametrize("case", CASES)
def test_training_refuses_before_work_begins(full: MuData, monkeypatch, case: str) -> None:
    change, network, training, error, words = CASES[case]
    mdata = split(full)
    change(mdata)
    model = MinNet(registered(mdata), **SMALL, **network)
    no_work(monkeypatch, *WORK, *READING)
    unchanged(mdata, lambda: model.train(**QUIET, **training), error, *words)
    assert not model.is_trained
    assert not hasattr(model, "evidence_")


@pytest.mark.parametrize("n", [1, 49])
def test_too_few_cells_to_couple_are_refused(full: MuData, monkeypatch, n: int) -> None:
    mdata = split(full)
    few = MuData({"rna": mdata["rna"].copy(), "adt": mdata["adt"][:n].copy()})
    few.uns[FEATURE_LINKS_KEY] = mdata.uns[FEATURE_LINKS_KEY]
    model = MinNet(registered(few), **SMALL)
    no_work(monkeypatch, *WORK, *READING)
    unchanged(few, lambda: model.train(**QUIET), ValueError, f"adt has {n}", "at least 50", "Add cells")


def with_constant_proteins(mdata: MuData) -> MuData:
    """Let only two proteins vary."""
    adt = mdata["adt"].copy()
    values = adt.X.toarray()
    values[:, 2:] = 1
    adt.X = values
    result = MuData({"rna": mdata["rna"].copy(), "adt": adt})
    result.uns.update(mdata.uns)
    return result


@pytest.mark.parametrize("constant", ["reference", "query"])
def test_links_between_constant_features_are_refused(full: MuData, monkeypatch, constant: str) -> None:
    mdata, query = with_constant_proteins(split(full)), None
    if constant == "query":
        mdata, query = split(full[:40].copy(), paired=40), with_constant_proteins(split(full[40:].copy(), links=False))
    model = MinNet(registered(mdata), **SMALL)
    no_work(monkeypatch, *WORK)
    words = ("2 of 40 links between 'rna' and 'adt'", "vary", "Link more features")
    unchanged(mdata if query is None else query, lambda: model.train(query=query, **QUIET), ValueError, *words)
    assert not model.is_trained


def test_linked_features_need_to_vary_in_one_part(full: MuData) -> None:
    """Proteins that are constant in the reference vary in the query."""
    reference = with_constant_proteins(split(full[:100].copy()))
    model = MinNet(registered(reference), **SMALL)
    model.train(1, query=split(full[100:].copy(), links=False), **QUIET)
    assert model.evidence_["coupled_cells"] == {"rna, adt": [260, 260]}


def test_links_of_negative_or_missing_weight_are_refused_where_they_are_made(full: MuData) -> None:
    mdata = split(full, links=False)
    for value in (-1, np.nan):
        table = protein_links(full)
        table.loc[0, "weight"] = value
        unchanged(mdata, lambda t=table: mn.pp.feature_links(mdata, "rna", "adt", table=t), ValueError, "weight")


def test_evidence_is_told_and_counted(full: MuData, caplog) -> None:
    mdata = split(full, paired=20)
    mdata.obs.loc[~mdata.obs_names.isin(mdata["rna"].obs_names), "cell_type"] = np.nan
    model = MinNet(registered(mdata, labels_key="cell_type"), **SMALL)
    with caplog.at_level("INFO", logger="scminnet"):
        model.train(1, train_size=1.0, **QUIET)
    found = model.evidence_
    assert found["pairs"] == {"rna, adt": 20}
    assert found["coupled_cells"] == {"rna, adt": [240, 240]}
    assert found["feature_links"] == {"rna, adt": 40}
    assert found["labelled_cells"] == {"rna": 260, "adt": 20}
    assert found["cell_types"] == 4
    line = (
        "20 cells measured in rna and adt; 240 cells of rna and 240 of adt, coupled by 40 feature links; "
        "4 cell types of 260 cells of rna and 20 cells of adt"
    )
    assert found["summary"] == line


@pytest.mark.parametrize("n_pairs", [60, 170])
def test_many_pairs_switch_the_coupling_off(full: MuData, n_pairs: int) -> None:
    """With about 200 unpaired cells of each modality, a coupling is worth about 30 pairs; four times 30 rule."""
    model = MinNet(registered(split(full, paired=n_pairs)), **SMALL)
    model.train(1, train_size=1.0, **QUIET)
    assert bool(model.evidence_["coupled_cells"]) == (n_pairs == 60)


def test_pairs_rule_where_few_cells_are_unpaired(full: MuData) -> None:
    model = MinNet(registered(split(full, paired=230)), **SMALL)
    model.train(1, **QUIET)
    assert model.evidence_["coupled_cells"] == {}
    assert model.evidence_["pairs"]["rna, adt"] > 200


def test_peaks_of_pairs_borrow_components_through_links(caplog: pytest.LogCaptureFixture) -> None:
    cells = mn.datasets.simulate_multiome(300, n_genes=150)
    genes = cells["rna"].var.rename_axis("gene").reset_index()
    mn.pp.normalize(cells)
    mn.pp.feature_links(cells, "rna", "atac", annotation=genes)
    weights = {}
    for key in (FEATURE_LINKS_KEY, None):
        caplog.clear()
        MinNet.setup_mudata(cells, ["rna", "atac"])
        model = MinNet(cells, **SMALL)
        with caplog.at_level("INFO", logger="scminnet"):
            model.train(1, feature_links=key, **QUIET)
        assert ("atac borrows components of rna" in caplog.text) == (key is not None)
        assert "rna borrows" not in caplog.text
        assert model.evidence_["coupled_cells"] == {}
        assert set(model.evidence_["feature_links"]) == ({"rna, atac"} if key else set())
        weights[key] = model.module.encoder("atac").input.weight.numpy()
    assert not np.allclose(*weights.values())


def test_groups_are_those_of_the_column(full: MuData) -> None:
    mdata = registered(split(full, paired=10), batch_key="batch")
    positions = np.stack([mdata.obsmap[m].astype(np.int64) - 1 for m in ("rna", "adt")], axis=1)
    assert (coupling_groups(mdata, ["rna", "adt"], None, positions) == 0).all()
    table = pd.crosstab(coupling_groups(mdata, ["rna", "adt"], "cell_type", positions), mdata.obs["cell_type"])
    assert ((table > 0).sum(axis=0) == 1).all()
    assert ((table > 0).sum(axis=1) == 1).all()
