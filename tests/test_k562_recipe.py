"""The recipe of K562, on simulated cells and a table of tested pairs in the formats of the public files."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import scminnet as mn

RECIPES = Path(__file__).parents[1] / "tutorials" / "recipes"

pytestmark = pytest.mark.skipif(not RECIPES.is_dir(), reason="the tutorials are not part of a source distribution")


def write_10x(mdata: MuData, path: Path) -> None:
    """Write a filtered feature-barcode matrix as Cell Ranger ARC does."""
    genes, peaks = mdata["rna"], mdata["atac"]
    matrix = sparse.csr_matrix(sparse.hstack([genes.X, peaks.X]), dtype=np.int32)
    names = np.array([*genes.var_names, *peaks.var_names], dtype="S")
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = mdata.obs_names.to_numpy().astype("S")
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"] = np.array(matrix.shape[::-1])
        features = group.create_group("features")
        features["name"], features["id"] = names, names
        features["feature_type"] = np.repeat(np.array(["Gene Expression", "Peaks"], "S"), [genes.n_vars, peaks.n_vars])
        features["genome"] = np.full(len(names), "GRCh38", dtype="S")


def pairs_of(mdata: MuData) -> pd.DataFrame:
    """Every gene with the elements around it, 100 bases off the peaks, and whether they regulate it."""
    genes, peaks = mdata["rna"].var, mdata["atac"].var
    dhs = np.asarray(mdata["atac"].X.sum(axis=0)).ravel()
    truth = set(mdata.uns["regulation"][["gene", "peak"]].itertuples(index=False, name=None))
    rows = []
    for gene, of_gene in genes.iterrows():
        away = np.abs((peaks["start"] + peaks["end"]) // 2 - of_gene["tss"])
        # screens leave promoters out
        for i in np.flatnonzero((peaks["chrom"] == of_gene["chrom"]) & (away > 2_000) & (away < 150_000)):
            peak = peaks.iloc[i]
            rows.append(
                {
                    "chrom": peak["chrom"],
                    "chromStart": peak["start"] + 100,
                    "chromEnd": peak["end"] + 100,
                    "chrTSS": of_gene["chrom"],
                    "startTSS": of_gene["tss"],
                    "endTSS": of_gene["tss"] + 1,
                    "measuredGeneSymbol": gene,
                    "measuredGeneEnsemblId": f"id_{gene}",
                    "CellType": "K562",
                    "Regulated": "TRUE" if (gene, peaks.index[i]) in truth else "FALSE",
                    "ValidConnection": "TRUE",
                    "distanceToTSS": away.iloc[i],
                    "DHS.RPM": dhs[i],
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("k562")
    mdata = mn.datasets.simulate_multiome(
        500, n_types=3, n_batches=1, n_genes=120, n_peaks=600, distance_decay=1, seed=2
    )
    write_10x(mdata, folder / "filtered_feature_bc_matrix.h5")
    mdata["rna"].write(folder / "rna.h5ad")
    genes = mdata["rna"].var.assign(name=mdata["rna"].var_names, score=0, id="id_" + mdata["rna"].var_names)
    genes = genes[["chrom", "start", "end", "name", "score", "strand", "id"]]
    genes.to_csv(folder / "genes.bed", sep="\t", header=False, index=False)
    table = pairs_of(mdata)
    # of a gene that was not measured
    table.loc[table["measuredGeneSymbol"] == table["measuredGeneSymbol"].iloc[0], "measuredGeneSymbol"] = "other"
    table.to_csv(folder / "table.tsv.gz", sep="\t", index=False)
    counts = mdata["atac"].X.tocoo()
    peaks = mdata["atac"].var.iloc[counts.col]
    fragments = pd.DataFrame({"chrom": peaks["chrom"].to_numpy(), "start": peaks["start"].to_numpy() + 150})
    fragments = fragments.assign(end=fragments["start"] + 60, barcode=mdata.obs_names[counts.row], reads=1)
    fragments.to_csv(folder / "atac_fragments.tsv.gz", sep="\t", header=False, index=False)
    return folder


def recipe(folder: Path, out: str, *arguments: object) -> Path:
    """Run the script as from the shell, and return the folder that it wrote."""
    target = folder / out
    given = ["--table", folder / "table.tsv.gz", "--genes", folder / "genes.bed", "--out", target, "--bulks", 30]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["k562.py", *map(str, [*given, "--bootstraps", 20, *arguments])])
        patch.syspath_prepend(str(RECIPES))
        runpy.run_path(str(RECIPES / "k562.py"), run_name="__main__")
    return target


def test_both_ways_are_compared_on_the_same_pairs(folder: Path, capsys) -> None:
    written = recipe(folder, "multiome", "--rna", folder / "filtered_feature_bc_matrix.h5", "--max-epochs", 5)
    said = capsys.readouterr().out
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert len({line["pairs"] for line in lines}) == 1
    area = pd.read_csv(written / "crispri.csv").set_index("score")["auprc"]
    assert set(area.index) == {line["score"] for line in lines}
    for cells in ("paired", "unpaired"):
        assert (written / f"links_{cells}.tsv.gz").exists()
        assert area[f"score, {cells} cells"] > 1.5 * area[f"r, {cells} cells"]
        assert area[f"r, {cells} cells"] > 1.2 * lines[0]["regulated"] / lines[0]["pairs"]
    assert "119 of 120 tested genes" in said
    assert "published: " in said


def test_fragments_in_the_tested_elements(folder: Path) -> None:
    given = ["--rna", folder / "rna.h5ad", "--fragments", folder / "atac_fragments.tsv.gz", "--max-epochs", 2]
    written = recipe(folder, "fragments", *given)
    table = pd.read_csv(written / "crispri.csv").set_index("score")
    n_pairs = len(pd.read_csv(folder / "table.tsv.gz", sep="\t"))
    covered = table["pairs with a link"]
    assert covered["distance"] == n_pairs
    # all but those of the gene that was not measured
    assert 0.9 * n_pairs < covered["score, paired cells"] < n_pairs


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--peaks", "a", "--fragments", "b"], "not both"),
        (["--regions", "a"], "--regions needs --fragments"),
        (["--table", "none.tsv"], "there is no file"),
    ],
)
def test_wrong_arguments(folder: Path, capsys, arguments: list[str], text: str) -> None:
    with pytest.raises(SystemExit):
        recipe(folder, "wrong", "--rna", folder / "rna.h5ad", *arguments)
    assert text in capsys.readouterr().err
