from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from scminnet import datasets
from scminnet.datasets import _read, bmmc
from scminnet.datasets._sources import SOURCES

MULTIOME_BATCHES = "s1d1 s1d2 s1d3 s2d1 s2d4 s2d5 s3d3 s3d6 s3d7 s3d10 s4d1 s4d8 s4d9".split()
CITE_TYPES = [
    "B1 B IGKC+",
    "CD4+ T naive",
    "CD4+ T activated",
    "CD8+ T CD57+ CD45RO+",
    "ILC1",
    "NK CD158e1+",
    "Naive CD20+ B IGKC-",
    "Plasma cell IGKC+",
    "Plasmablast IGKC+",
    "cDC1",
    "gdT CD158b+",
    "CD14+ Mono",
    "T prog cycling",
]


def counts(n_cells: int, n_features: int, seed: int = 0, high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(high, size=(n_cells, n_features))


def barcodes(batches: list[str]) -> list[str]:
    return [f"ACGT{i}-1-{batch}" for i, batch in enumerate(batches)]


def competition_file(folder: Path, kind: str, batches: list[str], types: list[str]) -> tuple[Path, np.ndarray]:
    """Two cells a batch, as GEO's files have them: normalised X, both modalities in one matrix, counts in a layer."""
    batches = [batch for batch in batches for _ in range(2)]
    n = len(batches)
    obs = pd.DataFrame(
        {
            "GEX_n_genes": np.arange(n),
            f"{kind}_n": np.arange(n) / 2,
            "cell_type": pd.Categorical((types * n)[:n]),
            "batch": pd.Categorical(batches),
            "DonorAge": 30,
            "is_train": pd.Categorical(["train"] * n),
        },
        index=barcodes(batches),
    )
    # the modalities' features alternate, so that nothing can rely on their order
    feature_types = ["GEX", kind] * 3
    ids = [f"ENSG{i}" if feature == "GEX" else np.nan for i, feature in enumerate(feature_types)]
    var = pd.DataFrame(
        {"feature_types": pd.Categorical(feature_types), "gene_id": pd.Categorical(ids)},
        index=[f"chr1-{i}0-{i}5" if feature == "ATAC" else f"F{i}" for i, feature in enumerate(feature_types)],
    )
    raw = counts(n, 6)
    adata = AnnData(sparse.csr_matrix(np.log1p(raw)), obs=obs, var=var)
    adata.layers["counts"] = sparse.csr_matrix(raw.astype(float))
    adata.obsm["GEX_X_pca"] = np.zeros((n, 2))
    if kind == "ATAC":
        adata.obsm["ATAC_gene_activity"] = sparse.csc_matrix(raw[:, :2] / 2)
        adata.uns["ATAC_gene_activity_var_names"] = np.array(["F0", "F9"], dtype=object)
    file = folder / f"{kind}.h5ad"
    adata.write(file)
    return file, raw


def as_anndata_07(file: Path) -> None:
    """Write tables and names as AnnData 0.7 did, which made the published files."""
    with h5py.File(file, "r+") as h5:
        for table in (h5["obs"], h5["var"]):
            table.attrs["encoding-version"] = "0.1.0"
            for column in [c for c in table if table[c].attrs.get("encoding-type") == "categorical"]:
                codes, categories = table[column]["codes"][()], table[column]["categories"].asstr()[()]
                del table[column]
                table[f"__categories/{column}"] = categories.astype(h5py.string_dtype())
                table[column] = codes
                table[column].attrs["categories"] = table[f"__categories/{column}"].ref
        for group in ("obs", "var", "uns", "layers", "obsm"):
            for element in h5[group].values():
                for attribute in {"encoding-type", "encoding-version"} & set(element.attrs):
                    if not isinstance(element, h5py.Group):
                        del element.attrs[attribute]


@pytest.fixture
def multiome(publish, tmp_path):
    file, raw = competition_file(tmp_path, "ATAC", MULTIOME_BATCHES, ["HSC", "NK"])
    publish("bmmc_multiome", gzip.compress(file.read_bytes()), ending=".gz")
    # the paper keeps the first training cell of two
    kept = barcodes([batch for batch in MULTIOME_BATCHES for _ in range(2)])[::2]
    publish("bmmc_multiome_training_cells", "\n".join(kept).encode())
    return file, raw


def cells_10x(n: int) -> list[str]:
    return [f"AAAC{i}-1" for i in range(n)]


def file_10x(folder: Path, raw: np.ndarray, genes: list[str]) -> Path:
    """Write a feature-barcode matrix as Cell Ranger ARC does: genes, then peaks."""
    n_cells, n_features = raw.shape
    peaks = [f"chr1:{i}0-{i}5" for i in range(n_features - len(genes))]
    matrix = sparse.csr_matrix(raw.astype(np.int32))
    file = folder / "matrix.h5"
    with h5py.File(file, "w") as h5:
        group = h5.create_group("matrix")
        group["barcodes"] = np.array(cells_10x(n_cells), dtype="S")
        group["data"] = matrix.data
        group["indices"] = matrix.indices.astype(np.int64)
        group["indptr"] = matrix.indptr.astype(np.int64)
        group["shape"] = np.array([n_features, n_cells], dtype=np.int32)
        features = group.create_group("features")
        features["_all_tag_keys"] = np.array(["genome", "interval"], dtype="S")
        features["id"] = np.array([f"ENSG{i}" for i in range(len(genes))] + peaks, dtype="S")
        features["name"] = np.array(genes + peaks, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * len(genes) + ["Peaks"] * len(peaks), dtype="S")
        features["genome"] = np.array(["GRCh38"] * n_features, dtype="S")
        features["interval"] = np.array(["NA"] * n_features, dtype="S")
    return file


def covid_file(folder: Path, matrix: np.ndarray | sparse.spmatrix | None = None) -> Path:
    obs = pd.DataFrame(
        {
            "Donor_full": pd.Categorical(["C1 A", "C1 B", "C2", "H1", "H4", "H4"]),
            "Status": pd.Categorical(["COVID"] * 3 + ["Healthy"] * 3),
            "cell_type_fine": pd.Categorical(["CD8m T", "IgG PB", "NK", "NK", "CD8eff T", "RBC"]),
        },
        index=["covid_555_1.1", "covid_555_2.1", "covid_557.1", "HIP002.1", "HIP043.1", "HIP043.2"],
    )
    adata = AnnData(np.log1p(counts(6, 4)), obs=obs, var=pd.DataFrame(index=list("abcd")))
    adata.layers["matrix"] = counts(6, 4).astype(float) if matrix is None else matrix
    file = folder / "covid.h5ad"
    adata.write(file)
    return file


def check(mdata: mudata.MuData, modality: str, expected: np.ndarray) -> None:
    X = mdata[modality].X
    assert X.format == "csr"
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X.toarray(), expected)
    for column in ("batch", "donor", "site", "split"):
        assert isinstance(mdata.obs[column].dtype, pd.CategoricalDtype)
        assert mdata.obs[column].notna().all()
    assert mdata.obs["in_paper"].dtype == bool


@pytest.mark.parametrize("age", ["today", "0.7"])
def test_multiome(age, multiome, publish, server, tmp_path):
    file, raw = multiome
    if age == "0.7":
        as_anndata_07(file)
        publish("bmmc_multiome", gzip.compress(file.read_bytes()), ending=".gz")
    mdata = datasets.bmmc_multiome(tmp_path / "cache", progress=False)
    assert list(mdata.mod) == ["rna", "atac", "activity"]
    check(mdata, "rna", raw[:, ::2])
    check(mdata, "atac", raw[:, 1::2])
    check(mdata, "activity", raw[:, :2] / 2)
    assert mdata["activity"].var_names.tolist() == ["F0", "F9"]
    assert mdata["rna"].var["gene_id"].tolist() == ["ENSG0", "ENSG2", "ENSG4"]
    assert mdata["atac"].var.columns.tolist() == []
    assert mdata["rna"].obs.columns.tolist() == ["GEX_n_genes"]
    assert mdata["atac"].obs.columns.tolist() == ["ATAC_n"]

    assert mdata.obs.columns.tolist() == "cell_type batch donor site split in_paper DonorAge is_train".split()
    assert mdata.obs["split"].cat.categories.tolist() == ["train", "test1", "test2"]
    by_batch = mdata.obs.drop_duplicates("batch").set_index("batch")
    assert by_batch.index[by_batch["split"] == "test1"].tolist() == ["s1d2", "s3d7"]
    assert by_batch.index[by_batch["split"] == "test2"].tolist() == ["s4d1", "s4d8", "s4d9"]
    assert by_batch.loc["s3d10", ["donor", "site"]].tolist() == ["donor10", "site3"]
    train = mdata.obs["split"] == "train"
    assert mdata.obs.loc[train, "in_paper"].tolist() == [True, False] * 8
    assert mdata.obs.loc[~train, "in_paper"].all()

    again = datasets.bmmc_multiome(tmp_path / "cache", progress=False)
    assert sorted(server.requests) == ["bmmc_multiome.gz", "bmmc_multiome_training_cells"]
    pd.testing.assert_frame_equal(again.obs, mdata.obs)


def test_cite(publish, tmp_path, monkeypatch):
    file, raw = competition_file(tmp_path, "ADT", ["s1d1", "s1d2", "s1d3", "s2d1", "s3d6", "s3d7", "s4d9"], CITE_TYPES)
    publish("bmmc_cite", gzip.compress(file.read_bytes()), ending=".gz")
    publish("bmmc_cite_training_cells", b"ACGT0-1-s1d1\nnot-there-s1d1")
    said = []
    monkeypatch.setattr(bmmc.logger, "info", lambda text, *values: said.append(text % values))
    mdata = datasets.bmmc_cite(tmp_path / "cache", progress=False)
    assert said == ["1 of the paper's 2 training cells are not in bmmc_cite.h5ad"]
    assert list(mdata.mod) == ["rna", "adt"]
    check(mdata, "rna", raw[:, ::2])
    check(mdata, "adt", raw[:, 1::2])
    merged = mdata.obs.groupby("cell_type", observed=True)["cell_type_paper"].first().astype(str)
    assert merged.loc[CITE_TYPES].tolist() == [
        *("B1 B", "CD4+ T", "CD4+ T", "CD8+ T", "ILC", "NK", "Naive CD20+ B", "Plasma", "Plasma", "cDC", "gdT"),
        *("CD14+ Mono", "T prog cycling"),
    ]
    assert mdata.obs.loc[mdata.obs["split"] == "train", "in_paper"].tolist() == [True] + [False] * 7


def test_pbmc(publish, tmp_path):
    raw = counts(5, 7)
    publish("pbmc_10k_multiome", file_10x(tmp_path, raw, ["A", "B", "A"]))
    # as R writes tables: no name over the first column
    table = "orig.ident\tseurat_annotations\nAAAC3-1\tx\tNK\nAAAC0-1\tx\tCD14 Mono\n"
    publish("pbmc_10k_multiome_types", table.encode())
    mdata = datasets.pbmc_10k_multiome(tmp_path / "cache", progress=False)
    check(mdata, "rna", raw[:, :3])
    check(mdata, "atac", raw[:, 3:])
    assert mdata["rna"].var_names.tolist() == ["A", "B", "A-1"]
    assert mdata["atac"].var_names[1] == "chr1:10-15"
    assert mdata.obs["cell_type"].tolist() == ["CD14 Mono", np.nan, np.nan, "NK", np.nan]
    assert mdata.obs["in_paper"].tolist() == [True, False, False, True, False]
    assert set(mdata.obs["split"]) == {"test"}


def test_brain_marks_the_cells_that_pass_the_papers_filter(publish, tmp_path):
    #             genes   MT-ND1  peaks
    raw = np.array(
        [
            [2_000, 100, 6_000],
            [1_000, 0, 6_000],
            [24_999, 0, 6_000],
            [25_000, 0, 6_000],
            [1_800, 200, 6_000],
            [2_000, 100, 5_000],
            [2_000, 100, 99_999],
            [2_000, 100, 100_000],
        ]
    )
    publish("brain_3k_multiome", file_10x(tmp_path, raw, ["A", "MT-ND1"]))
    mdata = datasets.brain_3k_multiome(tmp_path / "cache", progress=False)
    check(mdata, "rna", raw[:, :2])
    assert mdata.obs["in_paper"].tolist() == [True, False, True, False, False, False, True, False]
    assert "cell_type" not in mdata.obs
    assert set(mdata.obs["split"]) == {"test"}


@pytest.mark.parametrize("stored", ["dense", "sparse"])
def test_covid(stored, publish, tmp_path, monkeypatch):
    monkeypatch.setattr(_read, "BLOCK_ROWS", 4)
    raw = counts(6, 4).astype(float)
    file = covid_file(tmp_path, raw if stored == "dense" else sparse.csc_matrix(raw))
    publish("covid_pbmc", file, known_hash=None)
    mdata = datasets.covid_pbmc(tmp_path / "cache", progress=False)
    assert list(mdata.mod) == ["rna"]
    check(mdata, "rna", raw)
    obs = mdata.obs
    assert obs["cell_type"].tolist() == ["CD8m T", "IgG PB", "NK", "NK", "CD8eff T", "RBC"]
    assert obs["cell_type_paper"].tolist() == ["CD8 T", "Plasmablast", "NK", "NK", "CD8 T", np.nan]
    assert obs["batch"].tolist() == ["covid_555_1", "covid_555_2", "covid_557", "HIP002", "HIP043", "HIP043"]
    assert obs["donor"].tolist() == ["C1", "C1", "C2", "H1", "H4", "H4"]
    assert obs["in_paper"].tolist() == [True, True, False, False, True, False]
    assert obs["Status"].tolist() == ["COVID"] * 3 + ["Healthy"] * 3


def test_the_folder_may_be_given_by_the_environment(multiome, tmp_path, monkeypatch):
    monkeypatch.setenv("SCMINNET_CACHE", str(tmp_path / "cache"))
    datasets.bmmc_multiome(progress=False)
    files = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert files == ["bmmc_multiome.h5ad", "bmmc_multiome_training_cells.txt"]


def test_survives_writing_and_reading(multiome, tmp_path):
    mdata = datasets.bmmc_multiome(tmp_path / "cache", progress=False)
    mdata.write(tmp_path / "written.h5mu")
    read = mudata.read(tmp_path / "written.h5mu")
    assert list(read.uns["source"]) == [SOURCES[n].url for n in ("bmmc_multiome_training_cells", "bmmc_multiome")]
    assert read.obs["split"].tolist() == mdata.obs["split"].tolist()
    assert (read["atac"].X != mdata["atac"].X).nnz == 0


@pytest.mark.filterwarnings("error::FutureWarning", "error::UserWarning")
def test_no_warning_reaches_the_user(multiome, publish, tmp_path):
    datasets.bmmc_multiome(tmp_path / "cache", progress=False)
    publish("brain_3k_multiome", file_10x(tmp_path, counts(4, 6), ["A", "B", "A"]))
    datasets.brain_3k_multiome(tmp_path / "cache", progress=False)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda h5: h5.__delitem__("layers"), "can not be read as the published file: it lacks 'layers/counts'"),
        (lambda h5: h5.__delitem__("uns/ATAC_gene_activity_var_names"), "it lacks 'uns/ATAC_gene_activity_var_names'"),
        (lambda h5: h5["layers/counts/data"].__setitem__(0, 0.5), "holds 0.5 where counts should be"),
        (lambda h5: h5["layers/counts/data"].__setitem__(0, np.nan), "holds nan where counts should be"),
        (lambda h5: h5["layers/counts/data"].__setitem__(0, -1), "holds -1 where counts should be"),
        (lambda h5: h5["obs/batch/categories"].__setitem__(0, "one"), "has batches such as 'one'"),
    ],
)
def test_a_file_that_is_not_the_published_one_is_named(spoil, match, multiome, publish, tmp_path):
    file, _ = multiome
    with h5py.File(file, "r+") as h5:
        spoil(h5)
    publish("bmmc_multiome", gzip.compress(file.read_bytes()), ending=".gz")
    with pytest.raises(ValueError, match=match) as caught:
        datasets.bmmc_multiome(tmp_path / "cache", progress=False)
    assert str(tmp_path / "cache" / "bmmc_multiome.h5ad") in str(caught.value)
    assert "Delete it" in str(caught.value)


def test_a_file_without_known_checksum_is_checked_in_reading(publish, tmp_path):
    whole = covid_file(tmp_path).read_bytes()
    publish("covid_pbmc", whole[:-100], known_hash=None)
    with pytest.raises(ValueError, match="covid_pbmc.h5ad' can not be read as the published file: .*truncated"):
        datasets.covid_pbmc(tmp_path / "cache", progress=False)


@pytest.mark.parametrize(
    "loader", ["bmmc_multiome", "bmmc_cite", "pbmc_10k_multiome", "brain_3k_multiome", "covid_pbmc"]
)
def test_without_a_network_every_loader_names_the_first_file(loader, server, tmp_path):
    with pytest.raises(ConnectionError, match="could not be downloaded.*put it at"):
        getattr(datasets, loader)(tmp_path / "cache", progress=False)
    assert list((tmp_path / "cache").iterdir()) == []
