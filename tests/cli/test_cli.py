from __future__ import annotations

import json
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest

from scminnet import MinNet, datasets, pp
from scminnet.cli import main
from scminnet.cli.demo_steps import user_job
from scminnet.cli.normalisation import normalise_counts

QUICK = ["--max-epochs", "2", "--no-progress"]
RESULTS = {"report.html", "report.csv", "query.h5mu", "model"} | {
    f"{n}.{e}" for n in ("umap", "confusion", "history") for e in ("png", "pdf")
}


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def paired_file(tmp_path_factory) -> Path:
    mdata = datasets.simulate_multiome(400, n_types=3, n_lineages=2, n_genes=60, n_peaks=200, n_batches=5)
    path = tmp_path_factory.mktemp("data") / "cells.h5mu"
    mdata.write(path)
    return path


def test_demo_runs_all_steps(tmp_path, capsys) -> None:
    out = tmp_path / "results"
    assert run("demo", "--cells", 400, "--out", out, *QUICK) == 0
    assert {p.name for p in out.iterdir()} == RESULTS
    printed = capsys.readouterr().out
    assert "foscttm_mean" in printed
    assert printed.splitlines()[-1].startswith(f"results are in {out}")
    report = pd.read_csv(out / "report.csv")
    assert np.isfinite(report["value"]).all()
    query = mudata.read_h5mu(out / "query.h5mu")
    assert query.obsm["X_minnet"].shape == (query.n_obs, 32)
    assert query["atac"].obs["transferred_label"].notna().all()
    loaded = MinNet.load(out / "model", adata=False)
    np.testing.assert_allclose(loaded.get_latent_representation(query), query.obsm["X_minnet"], atol=1e-6)


def test_demo_on_own_data_with_names_of_test_cells(tmp_path, capsys, paired_file: Path) -> None:
    names = mudata.read_h5mu(paired_file).obs_names[:100]
    test = tmp_path / "test.txt"
    test.write_text("\n".join(names))
    out = tmp_path / "out"
    code = run(
        "demo", "--data", paired_file, "--modalities", "rna", "atac", "--labels-key", "cell_type",
        "--batch-key", "batch", "--test", test, "--out", out, *QUICK,
    )  # fmt: skip
    assert code == 0
    assert sorted(mudata.read_h5mu(out / "query.h5mu").obs_names) == sorted(names)


def job(paired_file: Path, **changes):
    given = {"modalities": ["rna", "atac"], "labels_key": "cell_type", "batch_key": "batch", "test": None, "seed": 0}
    return user_job(paired_file, **{**given, **changes})


def test_whole_batches_are_held_out(paired_file: Path) -> None:
    split = job(paired_file)
    assert not set(split.reference.obs["batch"]) & set(split.query.obs["batch"])
    assert split.reference.n_obs + split.query.n_obs == 400


def test_without_batches_a_share_of_the_cells_is_held_out(paired_file: Path) -> None:
    split = job(paired_file, batch_key=None)
    assert 0.2 < split.query.n_obs / 400 < 0.4
    assert list(split.query.obs_names) == list(job(paired_file, batch_key=None).query.obs_names)
    assert list(split.query.obs_names) != list(job(paired_file, batch_key=None, seed=1).query.obs_names)


def test_the_query_may_be_a_file_of_its_own(paired_file: Path) -> None:
    split = job(paired_file, test=paired_file)
    assert split.reference.n_obs == split.query.n_obs == 400


def test_only_counts_are_normalised(paired_file: Path) -> None:
    mdata = mudata.read_h5mu(paired_file)
    mdata.mod["rna"].X = mdata["rna"].X * 0.5
    before = mdata["rna"].X.copy()
    mdata.mod["other"] = mdata["atac"].copy()
    assert normalise_counts(mdata, ["rna", "atac", "other"]) == [
        "rna: treated as normalised",
        "atac: counts, TF-IDF-transformed",
        "other: counts, treated as genes, log-normalised",
    ]
    assert (mdata["rna"].X != before).nnz == 0
    assert mdata["other"].X.max() <= np.float32(np.log1p(1e4)) * 1.001


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--labels-key", "type"], "--data, which is missing"),
        (["--data", "nothing.h5mu", "--modalities", "rna", "adt", "--labels-key", "x"], "no file nothing.h5mu"),
        (["--cells", "10"], "less than 200"),
        (["--max-epochs", "many"], "whole number"),
    ],
)
def test_wrong_arguments_exit_with_2(arguments: list[str], words: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("demo", *arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_data_need_modalities_and_labels(paired_file: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        run("demo", "--data", paired_file, "--modalities", "rna")
    assert "--modalities (two names or more)" in capsys.readouterr().err


def test_wrong_data_exit_with_1_and_write_nothing(tmp_path, paired_file: Path, capsys) -> None:
    out = tmp_path / "out"
    common = ["demo", "--data", paired_file, "--out", out, *QUICK]
    assert run(*common, "--modalities", "rna", "adt", "--labels-key", "cell_type") == 1
    assert "'adt'" in capsys.readouterr().err
    assert run(*common, "--modalities", "rna", "atac", "--labels-key", "nothing") == 1
    assert "`labels_key` is 'nothing'" in capsys.readouterr().err
    test = tmp_path / "t.txt"
    test.write_text("cell_x")
    assert run(*common, "--modalities", "rna", "atac", "--labels-key", "cell_type", "--test", test) == 1
    assert "names 1 cells, 1 of which" in capsys.readouterr().err
    assert not out.exists()


def test_help_has_examples(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("demo", "--help")
    assert stopped.value.code == 0
    assert "scminnet demo --data cells.h5mu" in capsys.readouterr().out


@pytest.fixture(scope="module")
def fitted(paired_file: Path, tmp_path_factory) -> Path:
    model = tmp_path_factory.mktemp("fit") / "model"
    assert fit(paired_file, model, "--checkpoint", model.with_name("checkpoint")) == 0
    assert model.with_name("checkpoint").is_file()
    return model


def fit(data: Path, model: Path, *more: object) -> int:
    columns = ["--labels-key", "cell_type", "--batch-key", "batch"]
    return run("fit", data, "-o", model, "--modalities", "rna", "atac", *columns, *QUICK, *more)


def test_fit_with_a_query_in_view(tmp_path, paired_file: Path, fitted: Path, capsys) -> None:
    query = tmp_path / "query.h5mu"
    mudata.MuData({"rna": mudata.read_h5mu(paired_file)["rna"][:200, ::-1].copy()}).write(query)
    model = tmp_path / "model"
    assert fit(paired_file, model, "--query", query) == 0
    assert "values of the query: rna: counts, log-normalised" in capsys.readouterr().err
    with_query, without = (MinNet.load(path, adata=False).module for path in (model, fitted))
    assert not np.allclose(with_query.encoder("rna").input.weight, without.encoder("rna").input.weight)


def test_labels_that_look_missing_are_warned_of_once_and_can_be_named(tmp_path, paired_file: Path, capsys) -> None:
    mdata = mudata.read_h5mu(paired_file)
    labels = mdata.obs["cell_type"].astype(object).to_numpy().copy()
    labels[:10], labels[10:20] = "nan", "unassigned"
    mdata.obs["cell_type"] = labels
    path = tmp_path / "nan.h5mu"
    mdata.write(path)
    assert fit(path, tmp_path / "model") == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "look like missing" in line]
    assert len(warned) == 1
    assert "'nan' (10 cells), 'unassigned' (10 cells)" in warned[0]
    assert fit(path, tmp_path / "other", "--unlabeled-category", "nan", "unassigned") == 0
    said = capsys.readouterr()
    assert "look like missing" not in said.err
    assert {"nan", "unassigned"}.isdisjoint(json.loads(said.out)["labels"])


def test_a_warning_is_told_by_its_text_alone(tmp_path, paired_file: Path, capsys) -> None:
    mdata = mudata.read_h5mu(paired_file)
    mdata.obs["cell_type"] = ["rare", *mdata.obs["cell_type"].astype(str)[1:]]
    path = tmp_path / "one_rare.h5mu"
    mdata.write(path)
    assert fit(path, tmp_path / "model") == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "arning:" in line]
    assert len(warned) == 1
    assert warned[0].startswith("warning: `labels_key`: cell types with fewer than 3 cells")


def test_fit_embed_links_from_file_to_file(tmp_path, paired_file: Path, fitted: Path, capsys) -> None:
    out = tmp_path / "embedded.h5mu"
    assert run("embed", fitted, paired_file, "-o", out) == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert said["cells"] == {"rna": 400, "atac": 400}
    assert said["verdict"] in {"inside", "borderline", "outside"}
    assert "The query (400 cells of rna, 400 cells of atac) lies" in printed.err
    assert sum(said["predicted"].values()) == 400
    embedded, before = mudata.read_h5mu(out), mudata.read_h5mu(paired_file)
    assert (embedded["rna"].X != before["rna"].X).nnz == 0
    model, prepared = MinNet.load(fitted, adata=False), before.copy()
    pp.normalize(prepared)
    np.testing.assert_allclose(model.get_latent_representation(prepared), embedded.obsm["X_minnet"], atol=1e-6)
    assert list(model.predict(prepared)) == list(embedded.obs["predicted_label"])

    tss = tmp_path / "tss.bed"
    var = before["rna"].var
    rows = zip(var["chrom"], var["tss"], var["tss"] + 1, var.index, ["0"] * len(var), var["strand"], strict=True)
    tss.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    table, bedpe = tmp_path / "links.tsv", tmp_path / "links.bedpe"
    for path, more in ((table, ()), (bedpe, ("--smooth", "5"))):
        assert run("links", out, "--tss", tss, "-o", path, "--bulks", 20, *more) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["bulks"] == 20
    links = pd.read_csv(table, sep="\t")
    assert set(links["gene"]) <= set(var.index)
    assert len(bedpe.read_text().splitlines()) == len(links) + 1 == said["links"] + 1
    # the same seed gives the same bytes
    again = tmp_path / "again.tsv"
    run("links", out, "--tss", tss, "-o", again, "--bulks", 20, "--no-report")
    assert again.read_bytes() == table.read_bytes()
    # a report beside each output, unless it is switched off
    for name, section in (("embedded.h5mu", "diagnosis"), ("links.tsv", "links"), ("links.bedpe", "links")):
        assert f'<section id="{section}">' in (tmp_path / f"{name}.report.html").read_text()
    assert f"scminnet embed {fitted}" in (tmp_path / "embedded.h5mu.report.html").read_text()
    assert '<section id="training">' in fitted.with_name(f"{fitted.name}.report.html").read_text()
    assert not (tmp_path / "again.tsv.report.html").exists()


def test_nothing_is_overwritten_unasked(paired_file: Path, fitted: Path, capsys) -> None:
    before = (fitted / "model.pt").read_bytes()
    with pytest.raises(SystemExit) as stopped:
        fit(paired_file, fitted)
    assert stopped.value.code == 2
    assert "exists; give another --out, or --overwrite" in capsys.readouterr().err
    # a failure in the middle leaves the old model
    assert run("fit", paired_file, "-o", fitted, "--overwrite", "--modalities", "rna", "no", "--labels-key", "x") == 1
    assert (fitted / "model.pt").read_bytes() == before
    assert fit(paired_file, fitted, "--overwrite") == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("No space left on device")])
def test_nothing_half_written_stays(tmp_path, paired_file: Path, fitted: Path, monkeypatch, error) -> None:
    def half_written(self, path, *args, **kwargs):
        Path(path).write_bytes(b"half")
        raise error

    out = tmp_path / "out.h5mu"
    out.write_bytes(b"old")
    monkeypatch.setattr(mudata.MuData, "write", half_written)
    code = run("embed", fitted, paired_file, "-o", out, "--overwrite")
    assert code == (130 if error is KeyboardInterrupt else 1)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_links_need_counts(tmp_path, paired_file: Path, fitted: Path, capsys) -> None:
    out, tss = tmp_path / "out.h5mu", tmp_path / "tss.bed"
    run("embed", fitted, paired_file, "-o", out)
    mdata = mudata.read_h5mu(out)
    mdata["atac"].X = mdata["atac"].X * 0.5
    mdata.write(out)
    tss.write_text("chr1\t1\t2\tgene\t0\t+\n")
    capsys.readouterr()
    assert run("links", out, "--tss", tss, "-o", tmp_path / "l.tsv") == 1
    assert "modality 'atac' has no counts" in capsys.readouterr().err
    assert not (tmp_path / "l.tsv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "no.h5mu", "-o", "m", "--modalities", "a", "b", "--labels-key", "x"], "no file no.h5mu"),
        (["fit", "no.h5mu", "-o", "m"], "--modalities"),
        (["embed", "no", "no.h5mu", "-o", "o.h5mu"], "no file no"),
        (["links", "no.h5mu", "--tss", "t", "-o", "no/folder/l.tsv"], "no file no.h5mu"),
        ([], "COMMAND"),
    ],
)
def test_wrong_arguments_of_the_commands_exit_with_2(arguments: list[str], words: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", ["integrate", "fit", "embed", "links"])
def test_help_of_each_command_has_an_example(command: str, capsys) -> None:
    with pytest.raises(SystemExit):
        run(command, "--help")
    assert f"  scminnet {command} " in capsys.readouterr().out
