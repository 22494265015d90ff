from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from scminnet import pl


@pytest.fixture
def pair() -> tuple[AnnData, AnnData]:
    """Imputed and measured values of 40 cells and 8 features, in another order; two cells are out of range."""
    rng = np.random.default_rng(0)
    names, genes = [f"c{i}" for i in range(40)], [f"g{i}" for i in range(8)]
    truth = rng.normal(size=(40, 8)) * np.arange(1, 9) + 3
    guess = truth + rng.normal(size=truth.shape)
    imputed = AnnData(guess.astype(np.float32), obs=pd.DataFrame(index=names), var=pd.DataFrame(index=genes))
    imputed.layers["lower"], imputed.layers["upper"] = imputed.X - 1.6, imputed.X + 1.6
    imputed.obs["in_range"] = np.arange(40) > 1
    imputed.uns["impute"] = {"params": {"interval": 0.9}}
    measured = AnnData(sparse.csr_matrix(truth), obs=pd.DataFrame(index=names), var=pd.DataFrame(index=genes))
    measured.obs["type"] = pd.Categorical(np.where(np.arange(40) % 2, "T cells", "B cells"))
    measured.layers["twice"] = measured.X * 2
    return imputed, measured[::-1].copy()


def test_each_feature_has_a_panel_of_its_cells_in_range(pair: tuple[AnnData, AnnData]) -> None:
    imputed, measured = pair
    axes = pl.imputed(imputed, measured, ["g7", "g2"])
    assert [axis.get_title().split("\n")[0] for axis in axes] == ["g7", "g2"]
    truth = measured[imputed.obs_names, "g7"].X.toarray()[2:, 0]
    dots = axes[0].collections[-1].get_offsets()
    np.testing.assert_allclose(dots, np.column_stack([imputed[2:, "g7"].X[:, 0], truth]), rtol=1e-5)
    r = np.corrcoef(dots.T)[0, 1]
    held = np.mean(np.abs(dots[:, 0] - dots[:, 1]) <= 1.6)
    assert axes[0].get_title() == f"g7\nr = {r:.2f}; 90% interval holds {held:.0%}"
    assert len(axes[0].collections[0].get_segments()) == 38


def test_the_six_that_vary_most_are_shown_and_cells_are_coloured(pair: tuple[AnnData, AnnData]) -> None:
    imputed, measured = pair
    del imputed.layers["lower"], imputed.layers["upper"]
    axes = pl.imputed(imputed, measured, layer="twice", color="type")
    assert {axis.get_title().split("\n")[0] for axis in axes} == {f"g{i}" for i in range(2, 8)}
    assert "interval" not in axes[0].get_title()
    assert len({tuple(c) for c in axes[0].collections[-1].get_facecolors()}) == 2
    assert [t.get_text() for t in axes[-1].get_legend().get_texts()] == ["B cells", "T cells"]


def test_a_constant_feature_has_no_correlation(pair: tuple[AnnData, AnnData]) -> None:
    imputed, measured = pair
    imputed.X[:, 0] = 1
    assert "r not defined" in pl.imputed(imputed, measured, ["g0"])[0].get_title()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"imputed": "file.h5ad"}, TypeError, "`imputed` must be an AnnData"),
        ({"features": ["no"]}, KeyError, "`features` names 'no', which `imputed` lacks"),
        ({"features": []}, ValueError, "`features` is empty"),
        ({"layer": "no"}, KeyError, "`layer` is 'no'"),
        ({"color": "no"}, KeyError, "`color` is 'no'"),
        ({"save": "figure.txt"}, ValueError, "`save`"),
        ({"palette": "no"}, ValueError, "`palette`"),
    ],
)
def test_bad_arguments(pair: tuple[AnnData, AnnData], change: dict, error: type[Exception], message: str) -> None:
    imputed, measured = pair
    before = plt.get_fignums()
    with pytest.raises(error, match=message):
        pl.imputed(**{"imputed": imputed, "measured": measured} | change)
    assert plt.get_fignums() == before


def test_other_cells_and_other_features(pair: tuple[AnnData, AnnData]) -> None:
    imputed, measured = pair
    measured.obs_names = [f"other-{name}" for name in measured.obs_names]
    with pytest.raises(ValueError, match="no cell in common"):
        pl.imputed(imputed, measured)
    imputed, measured = pair[0], pair[1].copy()
    measured.obs_names = [name.removeprefix("other-") for name in measured.obs_names]
    measured.var_names = [f"x{i}" for i in range(8)]
    with pytest.raises(ValueError, match="no feature in common"):
        pl.imputed(imputed, measured)
