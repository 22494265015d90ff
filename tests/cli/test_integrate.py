"""``scminnet integrate`` and ``scminnet demo --unpaired``."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest

from scminnet import MinNet, datasets
from scminnet.cli import main
from scminnet.cli.demo_unpaired import simulate_unpaired
from scminnet.cli.inputs import read_cells

QUICK = ["--max-epochs", "2", "--no-progress"]
FIGURES = {f"{name}.{ending}" for name in ("embedding", "history") for ending in ("png", "pdf")}


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Files of unpaired cells: together, one per modality, and what links their features."""
    folder = tmp_path_factory.mktemp("unpaired")
    truth = datasets.simulate_multiome(240, n_types=3, n_lineages=2, n_genes=60, n_peaks=200, n_proteins=8, n_batches=2)
    parts = {m: truth[m].copy() for m in ("rna", "atac", "adt")}
    for m, adata in parts.items():
        adata.obs["batch"] = truth.obs["batch"].to_numpy()
        adata.obs_names = [f"{m}_{i}" for i in range(240)]
    parts["rna"].obs["cell_type"] = truth.obs["cell_type"].astype(str).to_numpy()
    for m, adata in parts.items():
        adata.write(folder / f"{m}.h5ad")
    mudata.MuData({m: parts[m] for m in ("rna", "atac")}).write(folder / "cells.h5mu")
    truth.write(folder / "paired.h5mu")
    var = truth["rna"].var
    rows = zip(var["chrom"], var["tss"], var["tss"] + 1, var.index, ["0"] * len(var), var["strand"], strict=True)
    (folder / "tss.bed").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    links = pd.DataFrame({"adt": truth["adt"].var_names, "rna": truth["adt"].var["gene"].to_numpy()})
    links.to_csv(folder / "links.tsv", sep="\t", index=False)
    return folder


def integrate(folder: Path, out: Path, *arguments: object, cells: tuple[str, ...] = ("cells.h5mu",)) -> int:
    return run("integrate", *(folder / name for name in cells), "-o", out, *QUICK, *arguments)


def test_from_one_file_to_embedding_labels_and_figures(tmp_path, folder: Path, capsys) -> None:
    out = tmp_path / "out"
    more = ["--tss", folder / "tss.bed", "--labels-key", "cell_type", "--batch-key", "batch"]
    assert integrate(folder, out, "--modalities", "rna", "atac", *more) == 0
    said = json.loads(capsys.readouterr().out)
    assert {p.name for p in out.iterdir()} == {"report.html", "integrated.h5mu", "model", "figures", "result.json"}
    assert {p.name for p in (out / "figures").iterdir()} == FIGURES
    assert json.loads((out / "result.json").read_text()) == said
    assert said["integrated"] == str(out / "integrated.h5mu")
    assert said["cells"] == {"rna": 240, "atac": 240}
    assert said["evidence"]["coupled_cells"] == {"rna, atac": [240, 240]}
    assert said["evidence"]["pairs"] == {"rna, atac": 0}
    assert isinstance(said["verdict"], str)
    assert sum(said["transferred"]["rna to atac"].values()) == 240

    written, before = mudata.read_h5mu(out / "integrated.h5mu"), mudata.read_h5mu(folder / "cells.h5mu")
    assert (written["atac"].X != before["atac"].X).nnz == 0
    assert list(written.obs_names) == list(before.obs_names)
    assert written.obsm["X_minnet"].shape == (480, 62)
    assert "transferred_label" not in written["rna"].obs
    labels = written.obs["label_or_transferred"]
    assert list(labels[before["rna"].obs_names]) == list(before["rna"].obs["cell_type"])
    assert list(labels[before["atac"].obs_names]) == list(written["atac"].obs["transferred_label"])
    assert MinNet.load(out / "model", adata=False).evidence_["summary"] == said["evidence"]["summary"]


def test_two_files_give_what_one_gives(tmp_path, folder: Path, capsys) -> None:
    embedded = []
    for name, cells in (("one", ("cells.h5mu",)), ("two", ("rna.h5ad", "atac.h5ad"))):
        more = ["--modalities", "rna", "atac", "--tss", folder / "tss.bed"]
        assert integrate(folder, tmp_path / name, *more, cells=cells) == 0
        assert json.loads(capsys.readouterr().out)["transferred"] == {}
        embedded.append(mudata.read_h5mu(tmp_path / name / "integrated.h5mu")["atac"].obsm["X_minnet"])
    np.testing.assert_array_equal(*embedded)


def test_a_table_of_links_and_two_modalities_by_default(tmp_path, folder: Path, capsys) -> None:
    cells = ("rna.h5ad", "adt.h5ad")
    more = ["--modalities", "rna", "adt", "--links", folder / "links.tsv", "--couple-within", "batch"]
    assert integrate(folder, tmp_path / "out", *more, cells=cells) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["evidence"]["feature_links"] == {"rna, adt": 8}
    assert integrate(folder, tmp_path / "all", "--tss", folder / "tss.bed") == 0
    assert json.loads(capsys.readouterr().out)["cells"] == {"rna": 240, "atac": 240}


def test_paired_cells_are_used_and_need_no_links(tmp_path, folder: Path, capsys) -> None:
    assert integrate(folder, tmp_path / "out", "--modalities", "rna", "atac", cells=("paired.h5mu",)) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["evidence"]["pairs"]["rna, atac"] > 200
    assert "240 measured in rna and atac" in printed.err
    assert "not linked, because an annotation of genes is not given" in printed.err


def test_partly_labelled_modalities_are_labelled_both_ways(tmp_path, folder: Path, capsys) -> None:
    mdata = mudata.read_h5mu(folder / "cells.h5mu")
    for m in ("rna", "atac"):
        types = mdata["rna"].obs["cell_type"].astype(object).to_numpy()
        mdata.mod[m].obs["cell_type"] = np.where(np.arange(240) % 2, types, "Unknown")
    mdata.write(tmp_path / "cells.h5mu")
    more = ["--tss", folder / "tss.bed", "--labels-key", "cell_type"]
    assert integrate(tmp_path, tmp_path / "out", *more) == 0
    transferred = json.loads(capsys.readouterr().out)["transferred"]
    assert set(transferred) == {"rna to atac", "atac to rna"}
    # cells without a label have no vote
    assert "Unknown" not in {label for counts in transferred.values() for label in counts}


def test_equal_names_in_two_files(tmp_path, folder: Path, capsys) -> None:
    rna, atac = (anndata.read_h5ad(folder / f"{m}.h5ad") for m in ("rna", "atac"))
    atac.obs_names = [*rna.obs_names[:10], *atac.obs_names[10:]]
    paths = [tmp_path / "rna.h5ad", tmp_path / "atac.h5ad"]
    rna.write(paths[0])
    atac.write(paths[1])
    with pytest.raises(ValueError, match=r"10 of 240 cells have the same name in 'rna' and 'atac'.*--pairs none"):
        read_cells(paths, ["rna", "atac"])
    assert read_cells(paths, ["rna", "atac"], "names").n_obs == 470
    apart = read_cells(paths, ["rna", "atac"], "none")
    assert apart.n_obs == 480
    assert apart["atac"].obs_names[0] == "rna_0-atac"
    atac.obs_names = rna.obs_names
    atac.write(paths[1])
    assert read_cells(paths, ["rna", "atac"]).n_obs == 240


def test_columns_of_the_mudata_stay_with_cells_that_are_named_apart(folder: Path) -> None:
    apart = read_cells([folder / "paired.h5mu"], ["rna", "atac"], "none")
    assert apart.n_obs == 480
    assert apart["atac"].obs["cell_type"].notna().all()


@pytest.mark.parametrize(
    ("cells", "arguments", "words"),
    [
        (("rna.h5ad", "atac.h5ad"), [], "--modalities is missing"),
        (("rna.h5ad", "atac.h5ad"), ["--modalities", "rna", "atac", "adt"], "2 files, but 3 --modalities"),
        (("cells.h5mu",), ["--modalities", "rna"], "two names or more"),
        (("cells.h5mu",), ["--modalities", "rna", "rna"], "one modality twice"),
        (("nothing.h5mu",), ["--modalities", "rna", "atac"], "there is no file"),
        (("cells.h5mu",), ["--modalities", "rna", "atac", "--tss", "no.gtf"], "there is no file no.gtf"),
        (("cells.h5mu",), ["--kinds", "atac=chromatin"], "is not NAME=KIND"),
        (("cells.h5mu",), ["--modalities", "rna", "atac", "--kinds", "adt=proteins"], "which --modalities lacks"),
    ],
)
def test_wrong_arguments_exit_with_2(tmp_path, folder: Path, cells, arguments, words: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        integrate(folder, tmp_path / "out", *arguments, cells=cells)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--modalities", "rna", "atac"], "Give --tss genes.gtf.gz, or your own table with --links."),
        (["--modalities", "rna", "adt"], "'adt'"),
        (["--tss", "tss.bed", "--labels-key", "type"], "`labels_key` is 'type'"),
        (["--tss", "tss.bed", "--batch-key", "donor"], "`batch_key` is 'donor'"),
        (["--tss", "tss.bed", "--couple-within", "donor"], "`couple_within` is 'donor'"),
        (["--links", "links.tsv"], "links.tsv"),
    ],
)
def test_unusable_data_exit_with_1_and_write_nothing(tmp_path, folder: Path, arguments, words: str, capsys) -> None:
    given = [folder / word if word in ("tss.bed", "links.tsv") else word for word in arguments]
    assert integrate(folder, tmp_path / "out", *given) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("scminnet: ")
    assert words in last or words == "links.tsv"
    assert list(tmp_path.iterdir()) == []


def test_labels_of_the_modalities_need_a_common_word(tmp_path, folder: Path, capsys) -> None:
    mdata = mudata.read_h5mu(folder / "cells.h5mu")
    mdata.mod["atac"].obs["cell_type"] = "T cell"
    mdata.write(tmp_path / "cells.h5mu")
    more = ["--tss", folder / "tss.bed", "--labels-key", "cell_type"]
    assert integrate(tmp_path, tmp_path / "out", *more) == 1
    assert "'rna' and 'atac' have no label in common" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_output_is_replaced_only_when_asked(tmp_path, folder: Path, capsys) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.json").write_text("old")
    with pytest.raises(SystemExit) as stopped:
        integrate(folder, out, "--tss", folder / "tss.bed")
    assert stopped.value.code == 2
    assert "exists; give another --out, or --overwrite" in capsys.readouterr().err
    # a failure in the middle leaves the old folder
    assert integrate(folder, out, "--overwrite", "--modalities", "rna", "atac") == 1
    assert [p.name for p in out.iterdir()] == ["result.json"]
    assert (out / "result.json").read_text() == "old"
    assert integrate(folder, out, "--overwrite", "--tss", folder / "tss.bed") == 0
    assert (out / "result.json").read_text() != "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_demo_without_pairs(tmp_path, capsys) -> None:
    out = tmp_path / "results"
    assert run("demo", "--unpaired", "--cells", 400, "--out", out, *QUICK) == 0
    printed = capsys.readouterr().out
    assert "foscttm_mean" in printed
    assert printed.splitlines()[-1].startswith(f"results are in {out}")
    assert np.isfinite(pd.read_csv(out / "report.csv")["value"]).all()
    assert {p.name for p in (out / "figures").iterdir()} == FIGURES | {"confusion.png", "confusion.pdf"}
    cells = mudata.read_h5mu(out / "integrated.h5mu")
    assert cells.n_obs == 400
    assert cells["rna"].obs_names.intersection(cells["atac"].obs_names).empty


def test_the_demo_hides_pairs_and_types_of_the_second_modality() -> None:
    cells, truth = simulate_unpaired(200, 0)
    assert cells["rna"].obs_names.intersection(cells["atac"].obs_names).empty
    assert "cell_type" not in cells["atac"].obs
    assert "cell_type" not in cells.obs
    own = cells["atac"].obs_names.str.removesuffix("-atac")
    assert list(own) != list(truth.obs_names)
    assert (cells["atac"].X != truth["atac"][own].X).nnz == 0


@pytest.mark.parametrize(
    "more", [["--data", "x.h5mu", "--modalities", "a", "b", "--labels-key", "c"], ["--preset", "paper"]]
)
def test_demo_without_pairs_is_simulated(more, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("demo", "--unpaired", *more)
    assert stopped.value.code == 2
    assert "Run `scminnet integrate` on your data" in capsys.readouterr().err
