"""What the commands read: MuData, AnnData and 10x files, lists of names; and damaged or missing files."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scminnet.cli.inputs import read_cells, read_mudata, read_names, read_query

from .commands import COMMANDS, ENDINGS, QUICK

TYPES = {"rna": "Gene Expression", "atac": "Peaks", "adt": "Antibody Capture"}


def joint(cells: MuData, modalities=("rna", "atac")) -> AnnData:
    """Return modalities side by side, told apart by their feature types, as scanpy reads a 10x file."""
    parts = []
    for m in modalities:
        part = AnnData(
            cells[m].X.copy(), obs=pd.DataFrame(index=cells.obs_names), var=pd.DataFrame(index=cells[m].var_names)
        )
        part.var["feature_types"] = TYPES[m]
        parts.append(part)
    whole = ad.concat(parts, axis=1)
    for column in ("cell_type", "batch"):
        whole.obs[column] = cells.obs[column].to_numpy()
    return whole


def write_10x(adata: AnnData, path: Path) -> Path:
    """Write the layout of Cell Ranger 3 and newer."""
    X = sparse.csc_matrix(adata.X.T)
    with h5py.File(path, "w") as h5:
        matrix = h5.create_group("matrix")
        for name, values in (("data", X.data.astype(np.int32)), ("indices", X.indices), ("indptr", X.indptr)):
            matrix[name] = values
        matrix["shape"] = np.array(X.shape, dtype=np.int32)
        matrix["barcodes"] = adata.obs_names.to_numpy().astype("S")
        features = matrix.create_group("features")
        names = adata.var_names.to_numpy().astype("S")
        features["id"] = features["name"] = names
        features["feature_type"] = adata.var["feature_types"].to_numpy().astype("S")
        features["genome"] = np.repeat(b"GRCh38", adata.n_vars)
    return path


@pytest.fixture(scope="module")
def multiome(cells: MuData, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("multiome")
    whole = joint(cells)
    whole.write(folder / "multiome.h5ad")
    joint(cells, ["rna", "adt"]).write(folder / "cite.h5ad")
    write_10x(whole, folder / "multiome.h5")
    for m in ("rna", "atac"):
        part = whole[:, (whole.var["feature_types"] == TYPES[m]).to_numpy()].copy()
        part.write(folder / f"{m}.h5ad")
        write_10x(part, folder / f"{m}.h5")
        del part.var["feature_types"]
        part.write(folder / f"plain_{m}.h5ad")
    return folder


def same(a: AnnData, b: AnnData) -> None:
    assert list(a.obs_names) == list(b.obs_names)
    assert list(a.var_names) == list(b.var_names)
    assert (sparse.csr_matrix(a.X) != sparse.csr_matrix(b.X)).nnz == 0


@pytest.mark.parametrize("name", ["multiome.h5", "multiome.h5ad"])
def test_feature_types_tell_modalities_apart(cells: MuData, multiome: Path, name: str) -> None:
    for names in (["rna", "atac"], ["peaks", "gex"], None):
        read = read_mudata(multiome / name, names)
        rna, atac = (names[::-1] if names == ["peaks", "gex"] else names) or ["rna", "atac"]
        same(read[rna], cells["rna"])
        same(read[atac], cells["atac"])
    assert "prot" in read_mudata(multiome / "cite.h5ad").mod
    same(read_mudata(multiome / "cite.h5ad", ["rna", "adt"])["adt"], cells["adt"])
    # a name that tells nothing is explained
    kinds = {"x": "genes", "y": "peaks"}
    same(read_mudata(multiome / name, ["x", "y"], kinds)["y"], cells["atac"])
    with pytest.raises(ValueError, match=r"feature types 'genes', 'peaks', none of which is 'x'"):
        read_mudata(multiome / name, ["x", "y"])
    with pytest.raises(ValueError, match="none of which is 'activity'"):
        read_mudata(multiome / name, ["rna", "activity"])


def test_files_of_one_modality_each(cells: MuData, multiome: Path) -> None:
    for names in (
        ("rna.h5", "atac.h5"),
        ("rna.h5ad", "atac.h5"),
        ("multiome.h5", "multiome.h5"),
        ("cite.h5ad", "atac.h5ad"),
    ):
        read = read_cells([multiome / name for name in names], ["rna", "atac"])
        assert read.n_obs == cells.n_obs
        same(read["rna"], cells["rna"])
        same(read["atac"], cells["atac"])


def test_fit_and_embed_a_10x_file(tmp_path, multiome: Path, files: Path, run) -> None:
    model = tmp_path / "model"
    code, _, err = run("fit", multiome / "multiome.h5", "--modalities", "rna", "atac", "-o", model, *QUICK)
    assert code == 0
    assert "rna: counts, log-normalised; atac: counts, TF-IDF-transformed" in err
    code, out, _ = run("embed", model, multiome / "multiome.h5", "-o", tmp_path / "e.h5mu")
    assert code == 0
    assert json.loads(out)["cells"] == {"rna": 240, "atac": 240}
    assert json.loads(out)["predicted"] == {}
    embedded = mudata.read_h5mu(tmp_path / "e.h5mu").obsm["X_minnet"]
    # the same cells as one MuData
    assert run("embed", model, files / "cells.h5mu", "-o", tmp_path / "f.h5mu")[0] == 0
    np.testing.assert_array_equal(embedded, mudata.read_h5mu(tmp_path / "f.h5mu").obsm["X_minnet"])


def test_a_query_of_one_modality_is_known_by_its_features(cells: MuData, multiome: Path) -> None:
    features = {m: list(cells[m].var_names) for m in ("rna", "atac")}
    for name in ("rna.h5", "rna.h5ad", "plain_rna.h5ad", "cite.h5ad"):
        query = read_query(multiome / name, features)
        assert list(query.mod) == ["rna"]
        same(query["rna"], cells["rna"])
    assert set(read_query(multiome / "multiome.h5ad", features).mod) == {"rna", "atac"}
    activity = {**features, "activity": features["rna"]}
    with pytest.raises(ValueError, match=r"does not tell which of the model's modalities it holds: 'rna', 'activity'"):
        read_query(multiome / "plain_rna.h5ad", activity)
    with pytest.raises(ValueError, match="has none of the features"):
        read_query(multiome / "rna.h5ad", {"rna": ["x"]})


def test_genes_and_antibodies_in_one_modality_are_not_normalised_together(tmp_path, cells: MuData, run) -> None:
    mixed = MuData({"rna": joint(cells, ["rna", "adt"]), "atac": cells["atac"].copy()})
    mixed.write(tmp_path / "mixed.h5mu")
    words = (
        "modality 'rna' holds features of several types (var['feature_types']): 60 genes, 8 proteins. Split it first"
    )
    for command in ("fit", "integrate"):
        code, _, err = run(
            command, tmp_path / "mixed.h5mu", "--modalities", "rna", "atac", "-o", tmp_path / "o", *QUICK
        )
        assert (code, words in err.splitlines()[-1]) == (1, True)
    with pytest.raises(ValueError, match="holds features of several types"):
        read_query(tmp_path / "mixed.h5mu", {"rna": ["x"]})
    assert [p.name for p in tmp_path.iterdir()] == ["mixed.h5mu"]


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb\nc 1\n",
        b"\xef\xbb\xbfa\r\nb\r\nc 1",
        b"  a \n\n\tb\n\n\nc 1\n\n",
        b'"a"\n"b"\n"c 1"\n',
        b"'a'\nb\na\nb\nc 1\n",
        "a\r\nb\r\nc 1\r\n".encode("utf-16"),
        b"a\rb\rc 1\r",
    ],
)
def test_names_with_blanks_quotes_marks_and_repetitions(tmp_path, content: bytes) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    assert read_names(path) == ["a", "b", "c 1"]


def test_test_cells_that_are_all_or_none(tmp_path, files: Path, cells: MuData, run) -> None:
    path = tmp_path / "test.txt"
    given = ["demo", "--data", files / "cells.h5mu", "--modalities", "rna", "atac", "--labels-key", "cell_type"]
    for content, words in (
        ("\n".join(cells.obs_names).encode(), "names all cells of cells.h5mu"),
        (b"\n \n", "names 0 cells"),
        (b"\xff\xfe\xff", "is no text file in UTF-8"),
        (b"caf\xe9\n", "is no text file in UTF-8"),
        (b"barcode\n", "names 1 cells, 1 of which cells.h5mu lacks: 'barcode'"),
    ):
        path.write_bytes(content)
        code, _, err = run(*given, "--test", path, "--out", tmp_path / "out")
        assert (code, words in err) == (1, True)
    assert [p.name for p in tmp_path.iterdir()] == ["test.txt"]


def cut(whole: Path, path: Path) -> None:
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


def text(whole: Path, path: Path) -> None:
    path.write_text("gene\tcell\n")


def zipped(whole: Path, path: Path) -> None:
    path.write_bytes(gzip.compress(whole.read_bytes()[:10_000]))


def other_hdf5(whole: Path, path: Path) -> None:
    with h5py.File(path, "w") as h5:
        h5["loom"] = np.zeros(3)


def without_modalities(whole: Path, path: Path) -> None:
    shutil.copy(whole, path)
    with h5py.File(path, "a") as h5:
        del h5["mod"]
        h5.create_group("mod")


def one_broken(whole: Path, path: Path) -> None:
    shutil.copy(whole, path)
    with h5py.File(path, "a") as h5:
        del h5["mod/rna/var"]
        h5["mod/rna/var"] = np.zeros(3)


def short_indptr(whole: Path, path: Path) -> None:
    shutil.copy(whole, path)
    with h5py.File(path, "a") as h5:
        values = h5["mod/rna/X/indptr"][:10]
        del h5["mod/rna/X/indptr"]
        h5["mod/rna/X/indptr"] = values


def overwritten(whole: Path, path: Path) -> None:
    content = bytearray(whole.read_bytes())
    content[200:4000] = bytes(3800)
    path.write_bytes(content)


def broken_10x(whole: Path, path: Path) -> None:
    with h5py.File(path, "w") as h5:
        h5.create_group("matrix")["barcodes"] = np.array([b"a"])


def zarr_folder(whole: Path, path: Path) -> None:
    path.mkdir()
    (path / "zarr.json").write_text("{")


def empty_folder(whole: Path, path: Path) -> None:
    path.mkdir()


DAMAGE = [
    cut, text, zipped, other_hdf5, without_modalities, one_broken, short_indptr, overwritten, broken_10x, zarr_folder,
    empty_folder,
]  # fmt: skip
#: By command, the file of cells among its arguments.
CELLS = {
    "integrate": "cells.h5mu",
    "fit": "cells.h5mu",
    "embed": "cells.h5mu",
    "links": "embedded.h5mu",
    "demo": "cells.h5mu",
}


def assert_refused(result: tuple[int, str, str], codes: set[int], *words: str) -> None:
    """Raise unless a command ended with one line that says why."""
    code, out, err = result
    assert code in codes, err
    assert not out
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("scminnet")
    # beside progress and the usage of argparse, one line
    assert sum(line.startswith("scminnet") for line in err.splitlines()) == 1
    for word in words:
        assert word in last


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_cells_end_with_one_line(
    tmp_path, files: Path, run, snapshot, command: str, damage: Callable[[Path, Path], None]
) -> None:
    path = tmp_path / "damaged.h5mu"
    damage(files / CELLS[command], path)
    before = snapshot(tmp_path)
    given = [path if a == CELLS[command] else files / a if (files / a).exists() else a for a in COMMANDS[command]]
    result = run(*given, "--out", tmp_path / f"out{ENDINGS[command]}")
    assert_refused(result, {1}, "damaged.h5mu" if damage is not without_modalities else "")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_cells_that_are_not_there_or_empty_or_no_file(tmp_path, files: Path, run, command: str) -> None:
    (tmp_path / "empty.h5mu").touch()
    os.mkfifo(tmp_path / "pipe.h5mu")
    for name, codes, words in (
        ("none.h5mu", {2}, "there is no file"),
        ("empty.h5mu", {2}, "is empty"),
        ("empty.h5mu/cells.h5mu", {2}, "there is no file"),
        ("pipe.h5mu", {1}, "is no HDF5 file"),
    ):
        path = tmp_path / name
        given = [path if a == CELLS[command] else files / a if (files / a).exists() else a for a in COMMANDS[command]]
        assert_refused(run(*given, "--out", tmp_path / f"out{ENDINGS[command]}"), codes, path.name, words)
    assert {p.name for p in tmp_path.iterdir()} == {"empty.h5mu", "pipe.h5mu"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read anything")
def test_cells_that_may_not_be_read(tmp_path, files: Path, run) -> None:
    path = tmp_path / "secret.h5mu"
    shutil.copy(files / "cells.h5mu", path)
    path.chmod(0)
    assert_refused(run("embed", files / "model", path, "-o", tmp_path / "o.h5mu"), {2}, "permission denied")


@pytest.mark.parametrize("size", [0, 10, 0.5, 0.99])
def test_damaged_models_end_with_one_line(tmp_path, files: Path, run, size: float) -> None:
    model = tmp_path / "model"
    shutil.copytree(files / "model", model)
    for path in model.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            path.write_bytes(content[: int(size if size >= 1 else size * len(content))])
    assert_refused(run("embed", model, files / "cells.h5mu", "-o", tmp_path / "o.h5mu"), {1})
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_is_no_model(tmp_path, files: Path, run) -> None:
    (tmp_path / "empty").mkdir()
    out = ["-o", tmp_path / "o.h5mu"]
    assert_refused(run("embed", tmp_path / "empty", files / "cells.h5mu", *out), {1}, "empty")
    assert_refused(run("embed", files / "tss.bed", files / "cells.h5mu", *out), {2}, "MODEL", "is a file")
    assert_refused(run("embed", tmp_path / "none", files / "cells.h5mu", *out), {2}, "MODEL", "there is no file")


@pytest.mark.parametrize("command", ["integrate", "links"])
@pytest.mark.parametrize(
    "content", [b"\x1f\x8b\x08broken", b"\xff\xfe\x00", b"a b c\n", b"chr1\t1\n", b"chr1\tx\ty\tg\t0\t+\n"]
)
def test_bad_annotations_end_with_one_line(tmp_path, files: Path, run, command: str, content: bytes) -> None:
    for name in ("tss.bed", "tss.gtf", "tss.gtf.gz"):
        path = tmp_path / name
        path.write_bytes(content)
        given = [path if a == "tss.bed" else files / a if (files / a).exists() else a for a in COMMANDS[command]]
        assert_refused(run(*given, "--out", tmp_path / f"out{ENDINGS[command]}"), {1}, name)
        path.unlink()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "x\n", "rna\tatac\nno\tno\n", "\x00\x01", '"unclosed\n'])
def test_bad_tables_of_links_end_with_one_line(tmp_path, files: Path, run, content: str) -> None:
    table = tmp_path / "table.tsv"
    table.write_text(content)
    given = ["integrate", files / "cells.h5mu", "--modalities", "rna", "atac", "--links", table, *QUICK]
    assert_refused(run(*given, "-o", tmp_path / "out"), {1} if content else {2})
    assert [p.name for p in tmp_path.iterdir()] == ["table.tsv"]


@pytest.mark.parametrize(
    ("command", "given", "codes", "words"),
    [
        (command, given, codes, words)
        for command in ("integrate", "fit", "demo")
        for given, codes, words in (
            (["--modalities", "rna", "no"], {1}, "'no'"),
            (["--modalities", "rna"], {2}, "--modalities"),
            (["--modalities", "rna", "rna"], {2}, "--modalities"),
            (["--labels-key", "no"], {1}, "labels_key"),
            (["--batch-key", "no"], {1}, "batch_key"),
            (["--max-epochs", "0"], {2}, "--max-epochs"),
            (["--max-epochs", "1.5"], {2}, "--max-epochs"),
            (["--seed", "-1"], {2}, "--seed"),
            (["--threads", "0"], {2}, "--threads"),
            (["--no-such"], {2}, "--no-such"),
        )
    ]
    + [
        ("integrate", ["--couple-within", "no"], {1}, "couple_within"),
        ("integrate", ["--kinds", "rna"], {2}, "--kinds"),
        ("integrate", ["--pairs", "no"], {2}, "--pairs"),
        ("integrate", ["--organism", "rat"], {2}, "--organism"),
        ("integrate", ["--tss", "no.gtf"], {2}, "--tss"),
        ("integrate", ["--links", "no.tsv"], {2}, "--links"),
        ("fit", ["--query", "no.h5mu"], {2}, "--query"),
        ("fit", ["--preset", "no"], {2}, "--preset"),
        ("demo", ["--test", "no.txt"], {2}, "--test"),
        ("demo", ["--unpaired"], {2}, "--unpaired"),
        ("demo", ["--cells", "1"], {2}, "--cells"),
        ("embed", ["--seed", "x"], {2}, "--seed"),
        ("links", ["--rna", "no"], {1}, "'no'"),
        ("links", ["--atac", "no"], {1}, "'no'"),
        ("links", ["--groupby", "no"], {1}, "groupby"),
        ("links", ["--bulks", "2"], {2}, "--bulks"),
        ("links", ["--smooth", "-1"], {2}, "--smooth"),
        ("links", ["--upstream", "-5"], {2}, "--upstream"),
        ("links", ["--downstream", "x"], {2}, "--downstream"),
        ("links", ["--tss", "no.gtf"], {2}, "--tss"),
    ],
)
def test_wrong_arguments_end_with_one_line(
    tmp_path, files: Path, run, command: str, given: list[str], codes: set[int], words: str
) -> None:
    start = [files / a if (files / a).exists() else a for a in COMMANDS[command]]
    assert_refused(run(*start, *given, "--out", tmp_path / f"out{ENDINGS[command]}"), codes, words)
    assert not list(tmp_path.iterdir())


def test_names_with_dashes_blanks_and_other_letters(tmp_path, files: Path, run, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(files / "embedded.h5mu", "-my cells é.h5mu")
    code, out, _ = run(
        "links", f"--tss={files / 'tss.bed'}", "--out=-lïnks 1.tsv", "--bulks", "20", "--", "-my cells é.h5mu"
    )
    assert code == 0
    assert Path(json.loads(out)["out"]).name == "-lïnks 1.tsv"
    assert len(Path("-lïnks 1.tsv").read_text().splitlines()) > 1
