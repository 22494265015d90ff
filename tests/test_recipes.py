"""The paper's recipes, on simulated cells that look like the downloads."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scminnet as mn

RECIPES = Path(__file__).parents[1] / "tutorials" / "recipes"

# genes and proteins of one name
CD = (2, 4, 5, 7, 14, 19, 22, 27, 28, 33, 34, 36, 38, 40, 44, 47, 48, 52, 69, 86)

pytestmark = pytest.mark.skipif(not RECIPES.is_dir(), reason="the tutorials are not part of a source distribution")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the downloads' form, the genes, and a model that the first recipe wrote."""
    folder = tmp_path_factory.mktemp("recipes")
    mdata = mn.datasets.simulate_multiome(900, n_types=3, n_genes=150, n_peaks=400, n_proteins=len(CD), n_conditions=2)
    # proteins are linked by their names
    names = dict(zip(mdata["adt"].var["gene"], (f"CD{number}" for number in CD), strict=True))
    mdata["rna"].var_names = [names.get(gene, gene) for gene in mdata["rna"].var_names]
    mdata["adt"].var_names = list(names.values())
    mdata.update_var()
    genes = mdata["rna"].var.assign(name=mdata["rna"].var_names, score=0)
    genes = genes[["chrom", "start", "end", "name", "score", "strand"]]
    genes.to_csv(folder / "genes.bed", sep="\t", header=False, index=False)
    batches = dict(zip(mdata.obs["batch"].cat.categories, ["s1d1", "s2d4", "s1d2", "s4d8"], strict=True))
    mdata.obs["batch"] = mdata.obs["batch"].astype(str).map(batches)
    mdata.obs["in_paper"] = mdata.obs["batch"] != "s2d4"
    mdata.uns.clear()
    for name, modalities in (("multiome", ["rna", "atac"]), ("cite", ["rna", "adt"])):
        part = MuData({m: mdata[m].copy() for m in modalities})
        part.obs = mdata.obs.copy()
        part.write(folder / f"{name}.h5mu")
        # SCMMIB's pairs and query
        pairs, query = {"multiome": ("s1d1", "s3d10"), "cite": ("s3d6", "s2d1")}[name]
        part.obs["batch"] = np.where(part.obs["batch"].isin(["s1d1", "s2d4"]), pairs, query)
        part.write(folder / f"{name}_scmmib.h5mu")

    of_rna = np.arange(mdata.n_obs) % 2 == 0
    rna = MuData({"rna": mdata["rna"][of_rna].copy()})
    sick = (mdata.obs["condition"] != "control").to_numpy()
    rna.obs["cell_type"] = mdata.obs["cell_type"].to_numpy()[of_rna].astype(str)
    rna.obs["batch"] = np.where(sick, "covid_1", "HIP1")[of_rna]
    rna.write(folder / "covid_rna.h5mu")
    atac = mdata["atac"][~of_rna].copy()
    atac.obs["condition"] = np.where(sick, "COVID", "healthy")[~of_rna]
    atac.write(folder / "covid_atac.h5ad")

    recipe("bmmc", folder, "multiome", "multiome", "--tss", folder / "genes.bed", "--max-epochs", 5)
    return folder


def recipe(name: str, folder: Path, data: str, *arguments: object, out: str | None = None) -> Path:
    """Run a script as from the shell, and return the folder that it wrote."""
    target = folder / (out or f"{name}_{data}")
    given = [*arguments, "--data", folder / f"{data}.h5mu", "--out", target]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{name}.py", *map(str, given)])
        patch.syspath_prepend(str(RECIPES))
        runpy.run_path(str(RECIPES / f"{name}.py"), run_name="__main__")
    return target


def test_bone_marrow_multiome(folder: Path) -> None:
    written = folder / "bmmc_multiome"
    for test in ("test1", "test2"):
        report = pd.read_csv(written / f"{test}_report.csv").set_index(["metric", "modalities"])["value"]
        assert report["foscttm_mean", "rna, activity"] < 0.4
        assert {f"{test}_labels.pdf", f"{test}_umap.pdf"} <= {path.name for path in written.iterdir()}
    model = mn.MinNet.load(str(written / "model"), adata=False)
    # batch s2d4 is not among the paper's cells
    assert model.modalities == ("rna", "activity")
    assert model.registry_["setup_args"]["batch_key"] == "batch"


def test_bone_marrow_proteins_by_the_papers_preset(folder: Path) -> None:
    written = recipe("bmmc", folder, "cite", "cite", "--preset", "paper", "--max-epochs", 2)
    assert (written / "test1_report.csv").exists()


@pytest.mark.parametrize("kind", ["multiome", "cite"])
def test_bone_marrow_by_the_split_of_an_independent_benchmark(folder: Path, kind: str) -> None:
    genes = ["--tss", folder / "genes.bed"] if kind == "multiome" else []
    written = recipe("bmmc", folder, f"{kind}_scmmib", kind, "--split", "scmmib", *genes)
    table = pd.read_csv(written / "scmmib.csv")
    own = table[table["method"] == "scminnet"].set_index("evidence")
    assert list(own.index) == ["links", "pairs", "pairs and links"]
    assert own["foscttm"].max() < 0.45
    assert own.loc["links", "pairs"] == 0
    assert own.loc["pairs", "pairs"] + own.loc["pairs", "cells"] == 900
    with pytest.raises(SystemExit, match="lacks"):
        recipe("bmmc", folder, kind, kind, "--split", "scmmib", *genes, out="lacks")


def test_blood(folder: Path) -> None:
    model, genes = folder / "bmmc_multiome" / "model", folder / "genes.bed"
    written = recipe("pbmc", folder, "multiome", "--model", model, "--tss", genes, "--no-brain", "--bulks", 20)
    assert {"links.tsv.gz", "LEF1.pdf", "pbmc_report.csv"} <= {path.name for path in written.iterdir()}
    assert (pd.read_csv(written / "links.tsv.gz", sep="\t")["n_bulks"] == 20).any()


def test_covid(folder: Path) -> None:
    given = ["--model", folder / "bmmc_multiome" / "model", "--tss", folder / "genes.bed", "--bulks", 12]
    written = recipe("covid", folder, "covid_rna", *given, "--atac", folder / "covid_atac.h5ad")
    changes = pd.read_csv(written / "differential_links.tsv.gz", sep="\t")
    assert set(changes["condition"]) == {"COVID"}
    assert (written / "COVID" / "LEF1.pdf").exists()
    alone = recipe("covid", folder, "covid_rna", *given, out="rna_alone")
    assert [path.name for path in alone.iterdir()] == ["types.pdf"]
