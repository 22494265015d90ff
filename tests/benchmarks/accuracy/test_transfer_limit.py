"""The first rule of the benchmark is that of the package."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

import scminnet as mn
from benchmarks.accuracy.transfer_limit import RULES, elections, measure
from benchmarks.accuracy.unseen_types import KNOWN, QUANTILES
from benchmarks.shared.development_sets import together


@pytest.fixture
def cells() -> MuData:
    """Types a, b and c of the target, of which the source lacks c. The target lies farther off."""
    rng = np.random.default_rng(0)
    parts, truths = {}, []
    for m, types, shift in (("rna", ["a", "b"], 0.0), ("adt", ["a", "b", "c"], 0.4)):
        truth = pd.Series(rng.choice(types, 300), index=[f"{m}{i}" for i in range(300)])
        centre = truth.map({"a": 0.0, "b": 3.0, "c": 9.0}).to_numpy()[:, None]
        parts[m] = AnnData(np.zeros((300, 1), np.float32), obs=pd.DataFrame(index=truth.index))
        parts[m].var_names = [m]
        parts[m].obsm["X_minnet"] = (centre + shift + rng.normal(0, 0.5, size=(300, 3))).astype(np.float32)
        truths.append(truth)
    mdata = together(parts)
    mdata.obs["truth"] = pd.concat(truths).loc[mdata.obs_names]
    mdata.obs[KNOWN] = mdata.obs["truth"].where(mdata.obs["truth"] != "c")
    return mdata


def test_the_first_rule_is_that_of_transfer_labels(cells: MuData) -> None:
    own, votes = elections(cells, "rna", "adt")
    name, rule = next(iter(RULES.items()))
    for quantile in QUANTILES:
        mn.tl.transfer_labels(cells, "rna", "adt", KNOWN, quantile=quantile)
        left = cells["adt"].obs["transferred_label"].to_numpy() == "unassigned"
        assert left.any()
        np.testing.assert_array_equal(rule(own, votes, quantile), left)
    assert not all(
        np.array_equal(RULES[other](own, votes, 0.95), rule(own, votes, 0.95)) for other in RULES if other != name
    )


def test_shares_are_of_known_and_of_unseen_cells(cells: MuData) -> None:
    found = measure(cells, "rna", "adt", "c").set_index(["rule", "quantile"])
    assert (found["unseen cells"] == (cells["adt"].obs_names.map(cells.obs["truth"]) == "c").sum()).all()
    assert (found["unseen cells"] + found["known cells"] == cells["adt"].n_obs).all()
    assert found.loc[("gap of lower quartiles", 0.95), "unseen found"] == 1
    # without the gap, cells are lost that lie farther off because the modalities differ
    lost = found["right but unassigned"].xs(0.95, level="quantile")
    assert lost["gap of lower quartiles"] < lost["no gap"]
