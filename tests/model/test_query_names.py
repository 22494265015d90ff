"""Queries whose modalities, features or cells have other names than the model's: found, counted, the rename said."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scminnet import MinNet, pp
from scminnet.cli import main

from .conftest import normalised, setup


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(record.getMessage() for record in caplog.records)


@pytest.fixture(autouse=True)
def _see_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scminnet._core.logging.logger.propagate", True)


def renamed(query: MuData, **names: str) -> MuData:
    """The query with other names of modalities."""
    return MuData({names.get(m, m): query[m].copy() for m in query.mod})


def with_features(query: MuData, change: Callable[[pd.Series], pd.Series], share: float = 1) -> MuData:
    """The query, the first features of both modalities under other names."""
    mods = {}
    for m in query.mod:
        adata = query[m].copy()
        names = adata.var_names.to_series()
        n = round(share * adata.n_vars)
        adata.var_names = pd.Index([*change(names[:n].reset_index(drop=True)), *names[n:]], dtype=object)
        adata.var.index.name = None
        mods[m] = adata
    return MuData(mods)


@pytest.fixture(scope="module")
def paired() -> MuData:
    return normalised(slice(240, None))


@pytest.mark.parametrize("name", ["ATAC", "peaks", "chromatin", "a_t_a_c"])
@pytest.mark.parametrize("unpaired", [False, True], ids=["paired", "unpaired"])
def test_a_modality_under_another_name_is_an_error(
    trained: MinNet, query: MuData, paired: MuData, name: str, unpaired: bool
) -> None:
    cells = renamed(query if unpaired else paired, atac=name)
    message = rf"The model knows 'atac', the query has '{name}' with 400 of 400 of its features.*Rename the modality"
    for action in (
        lambda: MinNet.prepare_query_mudata(cells, trained),
        lambda: MinNet.load_query_data(cells, trained),
        lambda: trained.embed(cells),
        lambda: trained.predict(cells),
        lambda: trained.diagnose(cells),
        lambda: trained.get_latent_representation(cells),
    ):
        with pytest.raises(ValueError, match=message):
            action()
    assert list(cells.mod) == ["rna", name]
    assert not cells["rna"].obsm
    # the advice
    cells.mod["atac"] = cells.mod.pop(name)
    cells.update()
    trained.embed(cells)


def test_one_modality_asked_for_by_name_is_embedded(trained: MinNet, paired: MuData) -> None:
    cells = renamed(paired, atac="ATAC")
    assert len(trained.get_latent_representation(cells, modality="rna")) == paired.n_obs


def test_another_name_and_other_features(trained: MinNet, paired: MuData) -> None:
    cells = with_features(renamed(paired, atac="ATAC"), lambda names: names.str.replace(":", "-"))
    with pytest.raises(ValueError, match=r"'ATAC' with 0 of 400 of its features. 400 are there apart from the separ"):
        MinNet.prepare_query_mudata(cells, trained)
    # the same name is enough
    cells = renamed(paired, atac="Atac")
    cells["Atac"].var_names = [f"x{i}" for i in range(400)]
    with pytest.raises(ValueError, match="the query has 'Atac' with 0 of 400"):
        MinNet.prepare_query_mudata(cells, trained)


def test_modalities_exchanged(trained: MinNet, paired: MuData) -> None:
    with pytest.raises(ValueError, match="'rna' .* has none of the model's 80 features.*Those are in 'atac'"):
        MinNet.prepare_query_mudata(renamed(paired, rna="atac", atac="rna"), trained)


def test_other_modalities_are_left_alone_and_said(trained: MinNet, paired: MuData, caplog) -> None:
    cells = MuData({"rna": paired["rna"].copy(), "adt": paired["atac"][:, :9].copy(), "umap": paired["rna"].copy()})
    cells["adt"].var_names = [f"CD{i}" for i in range(9)]
    MinNet.prepare_query_mudata(cells, trained)
    assert "not used, because the model does not know them: 'adt', 'umap'" in logged(caplog)
    trained.embed(cells)
    assert trained.diagnose(cells).n_cells == {"rna": paired.n_obs}


def test_gene_activity_is_no_rna(trained: MinNet, paired: MuData) -> None:
    cells = MuData({"atac": paired["atac"].copy()})
    tss = paired["rna"].var.rename_axis("gene").reset_index()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pp.gene_activity(cells, tss)
    shared = paired["rna"].var_names.isin(cells["activity"].var_names).mean()
    assert shared > 0.5
    MinNet.prepare_query_mudata(cells, trained)
    trained.embed(cells)
    # of another source it may be one
    del cells.uns["activity"]
    with pytest.raises(ValueError, match="the query has 'activity'"):
        trained.embed(cells)


def test_counts_are_said_and_zeros_only_where_there_are_some(trained: MinNet, paired: MuData, caplog) -> None:
    cells = paired.copy()
    MinNet.prepare_query_mudata(cells, trained)
    assert "rna 80 of 80, atac 400 of 400" in logged(caplog)
    assert "zeros" not in logged(caplog)
    caplog.clear()
    cells = MuData({"rna": paired["rna"][:, 10:].copy(), "atac": paired["atac"].copy()})
    MinNet.prepare_query_mudata(cells, trained)
    assert "rna 70 of 80, atac 400 of 400; missing ones of 'rna' are filled with zeros" in logged(caplog)


def test_features_of_another_order_or_lacking_are_told_apart(trained: MinNet, paired: MuData) -> None:
    turned = MuData({"rna": paired["rna"][:, ::-1].copy()})
    fewer = MuData({"rna": paired["rna"][:, 10:].copy()})
    more = MuData({"rna": paired["rna"].copy()})
    more["rna"].var_names = ["new", *paired["rna"].var_names[1:]]
    for cells, message in (
        (turned, r"'rna' has the model's 80 features in another order\. Call"),
        (fewer, r"'rna' has 70 features, 70 of them among the model's 80; it lacks 10, e.g. .*'\S+' and 7 more\. Call"),
        (more, r"80 features, 79 of them .* 80; it lacks 1, e.g. '\S+'; the model does not know 1, e.g. 'new'\. Call"),
    ):
        # `embed` finds features by name; a query that is registered with the model must have them in its order
        with pytest.raises(ValueError, match=message):
            MinNet.load_query_data(cells, trained)


#: What a tool may have done to names, and what the message says.
WRITINGS = {
    "case": (lambda names: names.str.upper(), "letter case"),
    "10x": (lambda names: "GRCh38_" + names, "the genome before a name"),
    "dashes": (lambda names: names.str.replace(":", "-"), "the separators of positions"),
    "underscores": (lambda names: names.str.replace("[:-]", "_", regex=True), "the separators of positions"),
    "ensembl": (lambda names: names.str.replace("^chr", "", regex=True), "'chr' and the separators of positions"),
}


@pytest.mark.parametrize(("change", "told"), WRITINGS.values(), ids=WRITINGS)
@pytest.mark.parametrize("share", [1, 0.99, 0.8, 0.3])
def test_names_written_otherwise(trained: MinNet, paired: MuData, change: Callable, told: str, share: float) -> None:
    cells = with_features(paired, change, share)
    changed = [m for m in cells.mod if not cells[m].var_names.equals(paired[m].var_names)]
    assert changed
    message = rf"(only|none).* of the model's .* are there apart from {told}: '.*' seems to be the model's"
    if share > 0.95:
        with pytest.raises(ValueError, match=message):
            MinNet.prepare_query_mudata(cells, trained)
    else:
        with pytest.warns(UserWarning, match=message) as caught:
            MinNet.prepare_query_mudata(cells, trained)
        assert {str(w.message).split("'")[1] for w in caught if "seems" in str(w.message)} == set(changed)
        assert caught[0].filename == __file__


def test_names_of_another_column(trained: MinNet, paired: MuData) -> None:
    cells = paired.copy()
    rna = cells["rna"]
    rna.var["symbol"] = pd.Categorical(rna.var_names)
    rna.var_names = [f"ENSG{i:011d}.3" for i in range(rna.n_vars)]
    rna.var.index.name = None
    cells = MuData({"rna": rna, "atac": cells["atac"]})
    with pytest.raises(ValueError, match=r"80 are in var\['symbol'\].*`mdata\['rna'\].var_names = ") as caught:
        MinNet.prepare_query_mudata(cells, trained)
    mdata = cells
    exec(re.search(r"Name them so: `(.*?)`", str(caught.value))[1])
    mdata.update()
    MinNet.prepare_query_mudata(mdata, trained)


def test_versions_of_ids(paired: MuData) -> None:
    reference = paired.copy()
    ids = [f"ENSMUSG{i:011d}" for i in range(80)]
    reference["rna"].var_names = ids
    reference.update()
    model = MinNet(setup(reference))
    cells = paired.copy()
    cells["rna"].var_names = [f"{name}.{i}" for i, name in enumerate(ids)]
    cells.update()
    with pytest.raises(ValueError, match="80 are there apart from the version of Ensembl ids"):
        MinNet.prepare_query_mudata(cells, model)


def test_a_small_panel_is_no_mistake(trained: MinNet, paired: MuData) -> None:
    cells = MuData({"rna": paired["rna"][:, :20].copy()})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        MinNet.prepare_query_mudata(cells, trained)


def test_hardly_a_feature_is_a_warning(trained: MinNet, paired: MuData) -> None:
    adata = paired["atac"].copy()
    adata.var_names = [*adata.var_names[:3], *(f"x{i}" for i in range(397))]
    with pytest.warns(
        UserWarning, match="'atac' of `mdata` has only 3 of the model's 400 features. It has .* same kind"
    ):
        MinNet.prepare_query_mudata(MuData({"atac": adata}), trained)


def test_the_command_says_so_too(trained: MinNet, paired: MuData, tmp_path, capsys) -> None:
    trained.save(str(tmp_path / "model"))
    renamed(paired, atac="ATAC").write(tmp_path / "query.h5mu")
    arguments = ["embed", str(tmp_path / "model"), str(tmp_path / "query.h5mu"), "-o", str(tmp_path / "out.h5mu")]
    assert main(arguments) == 1
    assert "the query has 'ATAC' with 400 of 400 of its features" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out.h5mu").exists()


def test_cells_of_a_modality_that_is_no_part_of_the_model(trained: MinNet, query: MuData) -> None:
    other = query["atac"].copy()
    other.var_names = [f"x{i}" for i in range(other.n_vars)]
    cells = MuData({"rna": query["rna"].copy(), "methylation": other})
    with pytest.raises(ValueError, match="60 of 120 cells .* They are cells of 'methylation'"):
        trained.embed(cells)


BARCODES = ["".join(np.random.default_rng(i).choice(list("ACGT"), 16)) for i in range(360)]


@pytest.mark.parametrize(
    ("rna", "atac", "n"),
    [
        ("{}-1", "{}", 240),
        ("{}-1", "{}-2", 240),
        ("s1_{}-1", "{}-1", 240),
        ("sample#{}-1", "sample_{}", 240),
        ("{}-1", "{}-1", 0),
        ("rna {}", "atac {}x", 0),
    ],
)
def test_barcodes_that_differ_around_the_barcode(rna: str, atac: str, n: int) -> None:
    cells = normalised()
    for m, text in (("rna", rna), ("atac", atac)):
        cells[m].obs_names = [text.format(barcode) for barcode in BARCODES[: cells[m].n_obs]]
        cells[m].obs["cell_type"] = np.resize(["A", "B"], cells[m].n_obs)
        cells[m].obs["batch"] = "a"
    mdata = MuData({m: AnnData(cells[m].X, obs=cells[m].obs, var=cells[m].var) for m in ("rna", "atac")})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        setup(mdata)
    told = [str(w.message) for w in caught if "alike" in str(w.message)]
    assert len(told) == bool(n)
    if n:
        assert f"'rna' and 'atac' have 0 cells in common, but {n} names are alike" in told[0]


def test_unpaired_cells_are_no_mistake(query: MuData) -> None:
    query.obs["cell_type"], query.obs["batch"] = np.resize(["A", "B"], query.n_obs), "a"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        setup(query)
    assert not [w for w in caught if "alike" in str(w.message)]
