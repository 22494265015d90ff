from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from mudata import MuData
from scipy import sparse
from scipy.io import mmread

import scminnet as mn
from scminnet.tl.export_seurat import READER

TEXTS = ["01", "02", "NA", "é", 'with "quotes", a comma\nand a line', ""]


@pytest.fixture
def mdata() -> MuData:
    """RNA of some cells and ATAC of others, with columns of every kind."""
    both = mn.datasets.simulate_multiome(60, n_genes=30, n_peaks=40, n_proteins=5, seed=1)
    mdata = MuData({"rna": both["rna"][:40].copy(), "atac": both["atac"][20:].copy(), "adt": both["adt"][:40].copy()})
    rng = np.random.default_rng(0)
    for adata in mdata.mod.values():
        adata.obsm["X_minnet"] = rng.normal(size=(adata.n_obs, 4)).astype(np.float32)
    rna = mdata["rna"]
    rna.obsm["X_umap"] = rng.normal(size=(40, 2))
    rna.layers["log"] = rna.X.log1p().astype(np.float32)
    mdata["adt"].X = rng.normal(size=(40, 5)).astype(np.float32)  # negative and dense
    rna.obs["text"] = np.resize(np.array([*TEXTS, None], dtype=object), 40)
    rna.obs["whole"] = np.arange(40) - 5
    rna.obs["large"] = np.int64(2**40) + np.arange(40)
    rna.obs["number"] = np.where(np.arange(40) % 7, rng.normal(size=40), np.nan)
    rna.obs["truth"] = np.arange(40) % 3 == 0
    rna.obs["level"] = pd.Categorical.from_codes(np.arange(40) % 4 - 1, ["z", "a", "01"])
    rna.obs["answer"] = pd.Categorical.from_codes(np.arange(40) % 2, [True, False])
    rna.obs["_internal"] = 1
    mdata.obs["cell_type"] = both.obs["cell_type"].loc[mdata.obs_names]
    return mdata


def test_scanpy_reads_the_files(mdata: MuData, tmp_path: Path) -> None:
    mn.tl.export_seurat(mdata, tmp_path / "cells")
    for name in ("rna", "atac", "adt"):
        adata = mdata[name]
        found = sc.read_10x_mtx(tmp_path / "cells" / name, var_names="gene_ids", gex_only=False)
        assert found.obs_names.tolist() == adata.obs_names.tolist()
        assert found.var_names.tolist() == adata.var_names.tolist()
        expected = adata.X.toarray() if sparse.issparse(adata.X) else adata.X
        # shortest decimals, which are read back as the same float32
        assert np.array_equal(found.X.toarray().astype(np.float32), expected)


def test_layers_and_modalities(mdata: MuData, tmp_path: Path) -> None:
    mn.tl.export_seurat(mdata, tmp_path / "cells", modalities=["rna"], layer={"rna": "log"}, reductions=["X_umap"])
    assert {path.name for path in (tmp_path / "cells").iterdir()} == {READER, "modalities.csv.gz", "rna"}
    table = pd.read_csv(tmp_path / "cells" / "modalities.csv.gz")
    assert table.to_numpy().tolist() == [["rna", "rna", "data"]]
    written = mmread(tmp_path / "cells" / "rna" / "matrix.mtx.gz").T.toarray()
    assert np.array_equal(written.astype(np.float32), mdata["rna"].layers["log"].toarray())
    assert [path.name for path in (tmp_path / "cells" / "rna").glob("red*")] == ["reduction_umap.csv.gz"]


def test_names_of_modalities_stay_in_the_folder(mdata: MuData, tmp_path: Path) -> None:
    cells = MuData({"..": mdata["rna"].copy(), "gene activity/x": mdata["rna"].copy()})
    mn.tl.export_seurat(cells, tmp_path / "cells")
    table = pd.read_csv(tmp_path / "cells" / "modalities.csv.gz")
    assert table.to_numpy().tolist() == [["..", "_", "counts"], ["gene activity/x", "gene_activity_x", "counts"]]
    assert [path.name for path in tmp_path.iterdir()] == ["cells"]


def test_values_on_disk(mdata: MuData, tmp_path: Path) -> None:
    mdata.write(tmp_path / "cells.h5mu")
    mn.tl.export_seurat(mdata, tmp_path / "memory")
    mn.tl.export_seurat(mn.read_lazy(tmp_path / "cells.h5mu"), tmp_path / "disk")
    for name in ("matrix.mtx.gz", "obs.csv.gz"):
        for m in mdata.mod:
            assert (tmp_path / "memory" / m / name).read_bytes() == (tmp_path / "disk" / m / name).read_bytes()


def test_an_earlier_folder_is_replaced_only_if_asked_for(mdata: MuData, tmp_path: Path) -> None:
    path = tmp_path / "cells"
    mn.tl.export_seurat(mdata, path)
    with pytest.raises(ValueError, match=r"`path`: '.*cells' already exists. Give another folder, or overwrite=True"):
        mn.tl.export_seurat(mdata, path)
    mn.tl.export_seurat(mdata, path, modalities=["atac"], overwrite=True)
    assert {p.name for p in path.iterdir()} == {READER, "modalities.csv.gz", "atac"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(ValueError, match="holds something else than this function wrote"):
        mn.tl.export_seurat(mdata, tmp_path / "mine", overwrite=True)
    assert {p.name for p in tmp_path.iterdir()} == {"cells", "mine"}


def test_a_failure_leaves_the_earlier_folder(mdata: MuData, tmp_path: Path, monkeypatch) -> None:
    mn.tl.export_seurat(mdata, tmp_path / "cells")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    # by module, because the function in it has the same name
    monkeypatch.setattr(sys.modules["scminnet.tl.export_seurat"], "mmwrite", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mn.tl.export_seurat(mdata, tmp_path / "cells", overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("change", "arguments", "error", "words"),
    [
        (None, {"reductions": ["X_pca"]}, KeyError, "`reductions` names 'X_pca', which no modality has.*'X_minnet'"),
        (None, {"modalities": []}, ValueError, "`modalities` is empty"),
        (None, {"reductions": ["X_minnet", "X_min_net"]}, KeyError, "`reductions` names 'X_min_net'"),
        ("like", {"reductions": ["X_minnet", "X_min_net"]}, ValueError, "`reductions`: 'X_minnet', 'X_min_net' would"),
        ("gene", {}, ValueError, "features of modality 'rna': 'a_1', 'a-1' would have the same name in R, 'a-1'"),
        ("modality", {}, ValueError, "`modalities`: 'a b', 'a_b' would have the same name in R"),
        ("stale", {}, ValueError, r"modality 'rna' has 40 cells that `mdata.obs` lacks. Call `mdata.update\(\)`"),
        ("nan", {}, ValueError, "holds NaN or infinite values in 1 of 40 rows"),
    ],
)  # fmt: skip
def test_faults(mdata: MuData, tmp_path: Path, change, arguments, error, words: str) -> None:
    if change == "like":
        mdata["rna"].obsm["X_min_net"] = mdata["rna"].obsm["X_minnet"]
    if change == "gene":
        mdata["rna"].var_names = ["a_1", "a-1", *mdata["rna"].var_names[2:]]
    if change == "modality":
        mdata = MuData({"a b": mdata["rna"].copy(), "a_b": mdata["atac"].copy()})
    if change == "stale":
        mdata["rna"].obs_names = "new_" + mdata["rna"].obs_names
    if change == "nan":
        mdata["rna"].obsm["X_umap"][3, 1] = np.nan
    with pytest.raises(error, match=words):
        mn.tl.export_seurat(mdata, tmp_path / "cells", **arguments)
    assert not list(tmp_path.iterdir())


def test_places_that_can_not_be_written(mdata: MuData, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    mdata["rna"].X.data[0] = np.nan  # the place comes first, because all values are read
    with pytest.raises(NotADirectoryError, match="`path` is the file"):
        mn.tl.export_seurat(mdata, tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="`path`: there is no folder"):
        mn.tl.export_seurat(mdata, tmp_path / "none" / "cells")


#: What R finds, as files that are compared here. A class is that of the column in `meta.data`.
IN_R = """
suppressPackageStartupMessages(library(Seurat))
source("cells/read_seurat.R")
cells <- read_seurat("cells")
for (name in names(cells)) {
  object <- cells[[name]]
  slot <- if (name == "adt") "data" else "counts"
  values <- GetAssayData(object, slot)
  Matrix::writeMM(methods::as(values, "CsparseMatrix"), paste0(name, ".mtx"))
  writeLines(rownames(object), paste0(name, "_features"))
  writeLines(object[[name]][["name"]][, 1], paste0(name, "_names"))
  writeLines(colnames(object), paste0(name, "_cells"))
  for (key in Reductions(object)) write.csv(Embeddings(object, key), paste0(name, "_", key, ".csv"))
}
obs <- cells$rna@meta.data
write.csv(sapply(obs, class), "classes.csv")
writeLines(levels(obs$level), "levels")
obs$text <- ifelse(is.na(obs$text), "<NA>", obs$text)
obs$level <- ifelse(is.na(obs$level), -1, as.integer(obs$level) - 1)
write.csv(obs, "obs.csv", fileEncoding = "UTF-8")
writeLines(levels(cells$atac$cell_type), "types")
joint <- merge(cells$rna, cells$atac, add.cell.ids = c("rna", "atac"), merge.dr = "minnet")
write.csv(Embeddings(joint, "minnet"), "joint.csv")
"""


def has_seurat() -> bool:
    if shutil.which("Rscript") is None:
        return False
    asked = ["Rscript", "-e", 'quit(status = !requireNamespace("SeuratObject", quietly = TRUE))']
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def seurat() -> None:
    if not has_seurat():
        pytest.skip("needs R with Seurat, e.g. Debian's r-cran-seurat")


def obs_levels(folder: Path, column: str) -> list[str]:
    table = pd.read_csv(folder / "cells" / "rna" / "obs_columns.csv.gz", dtype=str)
    return table.loc[table["column"] == column, "level"].tolist()


@pytest.mark.usefixtures("seurat")
def test_seurat_reads_the_folder(mdata: MuData, tmp_path: Path) -> None:
    mn.tl.export_seurat(mdata, tmp_path / "cells")
    (tmp_path / "check.R").write_text(IN_R)
    done = subprocess.run(["Rscript", "check.R"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr

    def lines(name: str) -> list[str]:
        return (tmp_path / name).read_text().splitlines()

    for name, adata in mdata.mod.items():
        assert lines(f"{name}_cells") == adata.obs_names.tolist()
        assert lines(f"{name}_names") == adata.var_names.tolist()
        spelled = {"rna": "-", "adt": "-", "atac": "-"}[name]
        assert lines(f"{name}_features") == adata.var_names.str.replace("[_:]", spelled, regex=True).tolist()
        values = mmread(tmp_path / f"{name}.mtx")
        values = values.toarray() if sparse.issparse(values) else values
        expected = adata.X.toarray() if sparse.issparse(adata.X) else adata.X
        assert np.allclose(values.T, expected, rtol=1e-6, atol=0)
        points = pd.read_csv(tmp_path / f"{name}_minnet.csv", index_col=0)
        assert points.columns.tolist() == ["minnet_1", "minnet_2", "minnet_3", "minnet_4"]
        assert np.allclose(points, adata.obsm["X_minnet"], rtol=1e-6)
    umap = pd.read_csv(tmp_path / "rna_umap.csv", index_col=0)
    assert np.allclose(umap, mdata["rna"].obsm["X_umap"])

    own = mdata["rna"].obs
    classes = pd.read_csv(tmp_path / "classes.csv", index_col=0)["x"].to_dict()
    kinds = {
        "text": "character", "whole": "integer", "large": "numeric", "number": "numeric", "truth": "logical",
        "level": "factor", "answer": "factor", "cell_type": "factor",
    }  # fmt: skip
    assert {name: classes[name] for name in kinds} == kinds
    assert "_internal" not in classes
    assert lines("levels") == ["z", "a", "01"]
    assert obs_levels(tmp_path, "answer") == ["True", "False"]
    assert lines("types") == mdata.obs["cell_type"].cat.categories.tolist()
    obs = pd.read_csv(tmp_path / "obs.csv", index_col=0, dtype={"text": str, "cell_type": str}, keep_default_na=False)
    assert obs["text"].tolist() == ["<NA>" if pd.isna(text) or not text else text for text in own["text"]]
    assert (obs["whole"].to_numpy() == own["whole"].to_numpy()).all()
    assert (obs["large"].to_numpy() == own["large"].to_numpy()).all()
    assert np.allclose(pd.to_numeric(obs["number"], errors="coerce"), own["number"], equal_nan=True)
    assert (obs["truth"].to_numpy() == own["truth"].to_numpy()).all()
    assert obs["level"].tolist() == own["level"].cat.codes.tolist()
    assert obs["cell_type"].tolist() == mdata.obs["cell_type"].loc[own.index].tolist()

    # all cells of both modalities have the joint embedding
    joint = pd.read_csv(tmp_path / "joint.csv", index_col=0)
    assert np.allclose(joint, np.concatenate([mdata[m].obsm["X_minnet"] for m in ("rna", "atac")]), rtol=1e-6)
