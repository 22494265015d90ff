"""The page on other tools: its code runs, and gives what these tools read.

A block that imports a library which is not installed is not run. What the library would read is checked then all the
same.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata as ad
import h5py
import matplotlib.pyplot as plt
import mudata as md
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import is_color_like
from scipy import sparse

import scminnet as mn
from scminnet.genomics import parse_intervals

PAGE = Path(__file__).parents[1] / "docs" / "user_guide" / "other_tools.md"

#: Libraries that must not be in scminnet's environment.
APART = {"vitessce"}

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not part of a source distribution")


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.*)$", PAGE.read_text(), flags=re.MULTILINE)
    return {"start": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", sections()[section], re.MULTILINE | re.DOTALL)


def imported(block: str) -> set[str]:
    return set(re.findall(r"^(?:import|from) (\w+)", block, re.MULTILINE))


def missing(block: str) -> list[str]:
    return sorted(name for name in imported(block) if name in APART or find_spec(name) is None)


@pytest.fixture(scope="module")
def made() -> SimpleNamespace:
    """What the pages on annotation and enhancers end with: embedded cells, and bulks with links."""
    both = mn.datasets.simulate_multiome(240, n_types=3, n_lineages=2, n_genes=60, n_peaks=200, n_batches=2, seed=0)
    tss = both["rna"].var.rename_axis("gene").reset_index()
    mdata = md.MuData({"rna": both["rna"][::2].copy(), "atac": both["atac"][1::2].copy()})
    mdata["rna"].obs["cell_type"] = both.obs["cell_type"][::2]
    mn.pp.normalize(mdata)
    rng = np.random.default_rng(0)
    place = np.eye(3, dtype=np.float32)[both.obs["cell_type"].cat.codes] + rng.normal(0, 0.1, (240, 3))
    for name, rows in (("rna", slice(0, None, 2)), ("atac", slice(1, None, 2))):
        mdata[name].obsm["X_minnet"] = place[rows].astype(np.float32)
    mn.tl.transfer_labels(mdata, "rna", "atac", "cell_type", unassigned=None)
    groupby = {"rna": "cell_type", "atac": "transferred_label"}
    bulks = mn.tl.minibulk(mdata, 20, groupby=groupby, layer="counts")
    mn.tl.cre_links(bulks, tss, n_background=30)
    return SimpleNamespace(mdata=mdata, bulks=bulks, tss=tss)


@pytest.fixture
def run(made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Return a function that runs the code of a section in an empty folder, and returns its names."""
    monkeypatch.chdir(tmp_path)

    def run(section: str, **given: Any) -> dict[str, Any]:
        names: dict[str, Any] = {"mdata": made.mdata.copy(), "bulks": made.bulks.copy(), **given}
        for block in blocks("start", "python") + blocks(section, "python"):
            if not missing(block):
                exec(compile(block, f"{PAGE.name}: {section}", "exec"), names)
        plt.close("all")
        return names

    return run


def dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def test_every_section_is_tested() -> None:
    tested = Path(__file__).read_text()
    without = {"start", "Genome browsers and Homer", "Snakemake"}
    assert [name for name in sections() if name not in without and f'run("{name}"' not in tested] == []


def test_names_of_peaks(run) -> None:
    names = run("Names of peaks")["bulks"]["atac"].var_names
    assert parse_intervals(names).notna().all(axis=None)


def test_partners(run) -> None:
    found = run("One partner for each cell")
    pairs, matches = found["pairs"], found["matches"]
    assert pairs.n_obs == pairs["rna"].n_obs == pairs["atac"].n_obs == len(matches) > 100
    assert pairs["rna"].obs_names.equals(pairs["atac"].obs_names)
    of = found["mdata"]["atac"].obs_names.get_indexer(matches["target"])
    assert np.array_equal(dense(pairs["atac"].layers["counts"]), dense(found["mdata"]["atac"].layers["counts"])[of])


def test_seurat(run, tmp_path: Path) -> None:
    run("Seurat and Signac")
    assert (tmp_path / "cells" / "rna" / "reduction_umap.csv.gz").is_file()
    if shutil.which("Rscript") is None:
        pytest.skip("needs R with Seurat, e.g. Debian's r-cran-seurat")
    read, joint, multiome, signac = blocks("Seurat and Signac", "r")
    assert "Signac::" in signac
    # two assays of the same cells
    same = "cells$atac <- RenameCells(cells$atac, new.names = colnames(cells$rna))\n"
    end = 'stopifnot(ncol(all) == 240, ncol(all[["umap"]]) == 2, Assays(multiome) == c("rna", "atac"))\n'
    (tmp_path / "page.R").write_text(f"{read}{joint}{same}{multiome}{end}")
    done = subprocess.run(["Rscript", "page.R"], capture_output=True, text=True, check=False)
    if "there is no package called" in done.stderr:
        pytest.skip("needs R with Seurat, e.g. Debian's r-cran-seurat")
    assert done.returncode == 0, done.stderr


def test_scenic_plus(run, tmp_path: Path) -> None:
    bulks = run("SCENIC+")["bulks"]
    found = md.read(tmp_path / "ACC_GEX.h5mu")
    assert set(found.mod) == {"scRNA", "scATAC"}
    expression, accessibility = found["scRNA"].to_df(), found["scATAC"].to_df()
    assert expression.index.equals(accessibility.index)
    assert expression.index.equals(bulks.obs_names)
    assert expression.columns.equals(bulks["rna"].var_names)
    assert accessibility.columns.str.fullmatch(r"\w+:\d+-\d+").all()
    assert np.array_equal(accessibility, dense(bulks["atac"].layers["counts"]))
    assert np.array_equal(expression, dense(bulks["rna"].layers["counts"]))
    assert found["scRNA"].obs["cell_type"].tolist() == bulks.obs["group"].tolist()
    regions = pd.read_csv(tmp_path / "region_sets" / "links" / "linked.bed", sep="\t", header=None)
    assert set(regions[3]) <= set(accessibility.columns)


def test_celloracle(run, tmp_path: Path) -> None:
    bulks = run("CellOracle")["bulks"]
    rna = ad.read_h5ad(tmp_path / "celloracle.h5ad")
    values = dense(rna.X)
    assert values.min() == 0
    assert np.array_equal(values, values.round())
    assert rna.obsm["X_umap"].shape == (120, 2)
    assert len(rna.uns["cell_type_colors"]) == len(rna.obs["cell_type"].cat.categories)
    base = pd.read_csv(tmp_path / "base_peaks.csv")
    assert list(base) == ["peak_id", "gene_short_name"]
    assert not base.duplicated().any()
    links = bulks.uns["cre_links"]
    # as CellOracle splits names
    ends = base["peak_id"].str.rsplit("_", n=2, expand=True).set_axis(["chrom", "start", "end"], axis=1)
    expected = links.loc[links["promoter"] | (links["r"] > 0), ["gene", "chrom", "start", "end"]].drop_duplicates()
    read = ends.astype({"start": int, "end": int}).assign(gene=base["gene_short_name"])[list(expected)]
    assert read.sort_values(list(read)).to_numpy().tolist() == expected.sort_values(list(read)).to_numpy().tolist()


def test_decoupler(run, made) -> None:
    genes = made.bulks["rna"].var_names
    net = pd.DataFrame({"source": np.repeat(["up", "other"], 10), "target": genes[:20], "weight": 1.0})
    bulks = made.bulks.copy()
    values = dense(bulks["rna"].X)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert 0 <= values.min() < values.max() < 20
    # expression that a factor drives in half of the bulks
    values[:10, :10] += 3
    bulks["rna"].X = values
    found = run("decoupler", bulks=bulks, net=net)
    if lacking := missing("import decoupler"):
        pytest.skip(f"needs {lacking[0]}; what it reads is right")
    activity = found["activity"]
    assert activity.obs_names.equals(bulks.obs_names)
    up = activity.to_df()["up"]
    assert up[:10].min() > up[10:].max()


def test_chromvar(run, made, tmp_path: Path) -> None:
    pytest.importorskip("pyfaidx", reason="needs the extra genome")
    site = "TGACGTCATT"
    mdata = made.mdata.copy()
    places = parse_intervals(mdata["atac"].var)
    rng = np.random.default_rng(0)
    holders = places.index[::4]
    with open(tmp_path / "genome.fa", "w") as file:
        for chrom, peaks in places.groupby("chrom"):
            bases = rng.choice(list("ACGT"), peaks["end"].max() + 10)
            for peak in peaks.index.intersection(holders):
                bases[peaks.loc[peak, "start"] + 5 : peaks.loc[peak, "start"] + 15] = list(site)
            file.write(f">{chrom}\n{''.join(bases)}\n")
    # chromatin with the motif is more open in half of the cells
    counts = mdata["atac"].layers["counts"].toarray()
    counts[:60, mdata["atac"].var_names.isin(holders)] += 2
    mdata["atac"].layers["counts"] = sparse.csr_matrix(counts)
    found = run("chromVAR", mdata=mdata)
    atac = found["atac"]
    assert found["found"].shape == (atac.n_vars, len(found["motifs"]))
    assert atac.var["gc_bias"].between(0.3, 0.7).all()
    (creb,) = [i for i, motif in enumerate(found["motifs"]) if motif.name == "CREB1"]
    holds = atac.var_names.isin(holders)
    assert found["found"][holds, creb].mean() > 0.9 > 0.2 > found["found"][~holds, creb].mean()
    if lacking := missing("import pychromvar"):
        pytest.skip(f"needs {lacking[0]}; what it reads is right")
    deviations = dense(found["deviations"].X)[:, creb]
    assert np.median(deviations[:60]) > np.median(deviations[60:]) + 1


def check_viewable(adata: ad.AnnData, *columns: str) -> None:
    """Check what cellxgene requires when it opens a file, and that colours are there."""
    assert adata.obs_names.is_unique
    assert adata.var_names.is_unique
    assert adata.X.dtype == np.float32
    layouts = {key: points for key, points in adata.obsm.items() if key.startswith("X_")}
    assert "X_umap" in layouts
    for points in layouts.values():
        assert type(points) is np.ndarray
        assert points.dtype == np.float32
        assert points.shape[0] == adata.n_obs
        assert points.shape[1] >= 2
        assert np.isfinite(points).all()
    for column in columns:
        colors = adata.uns[f"{column}_colors"]
        assert len(colors) == len(adata.obs[column].cat.categories)
        assert all(map(is_color_like, colors))


def test_cellxgene(run, tmp_path: Path) -> None:
    run("cellxgene")
    files = {name: ad.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("rna", "atac", "all")}
    check_viewable(files["rna"], "cell_type")
    check_viewable(files["atac"], "transferred_label")
    check_viewable(files["all"])
    assert files["rna"].X.format == files["atac"].X.format == "csc"
    # one colour for a type, in both files
    colors = [
        dict(zip(files[name].obs[column].cat.categories, files[name].uns[f"{column}_colors"], strict=True))
        for name, column in (("rna", "cell_type"), ("atac", "transferred_label"))
    ]
    assert colors[0] == colors[1]
    everyone = files["all"]
    assert everyone.obs["measured"].value_counts().to_dict() == {"rna": 120, "atac": 120}
    for name in ("rna", "atac"):
        rows = everyone.obs_names.get_indexer(files[name].obs_names)
        assert np.array_equal(everyone.obsm["X_umap"][rows], files[name].obsm["X_umap"])


def test_vitessce(run, tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="needs the extra scale")
    run("Vitessce")
    adata = ad.read_zarr(tmp_path / "rna.zarr")
    check_viewable(adata, "cell_type")
    (text,) = [block for block in blocks("Vitessce", "python") if "AnnDataWrapper" in block]
    paths = re.findall(r'"((?:obs|obsm)/\w+|X)"', text)
    assert paths == ["X", "obsm/X_umap", "obs/cell_type"]
    assert all((tmp_path / "rna.zarr" / path).is_dir() for path in paths)
    # format 2; the other has zarr.json in its place
    assert (tmp_path / "rna.zarr" / ".zgroup").is_file()


def write_genes(tss: pd.DataFrame) -> None:
    with gzip.open("genes.gtf.gz", "wt") as file:
        for gene in tss.itertuples():
            fields = [gene.chrom, "test", "gene", gene.start + 1, gene.end, ".", gene.strand, "."]
            name = f'gene_id "{gene.gene}"; gene_name "{gene.gene}";'
            file.write("\t".join(map(str, [*fields, name])) + "\n")


def write_fragments(path: str, barcodes: list[str], tss: pd.DataFrame, gene_of: dict[str, int]) -> None:
    """Write two fragments of each barcode, before the start of its gene."""
    rows = []
    for barcode in barcodes:
        gene = tss.iloc[gene_of[barcode]]
        start = gene["tss"] - 50 if gene["strand"] == "+" else gene["tss"] + 50
        rows += [(gene["chrom"], start + i, barcode) for i in (0, 5)]
    with gzip.open(path, "wt") as file:
        for chrom, start, barcode in sorted(rows):
            file.write(f"{chrom}\t{start}\t{start + 3}\t{barcode}\t1\n")


def write_10x(mdata: md.MuData, path: Path) -> None:
    """Write the layout of Cell Ranger 3 and newer."""
    values = sparse.hstack([mdata["rna"].X, mdata["atac"].X], format="csr")
    names = np.array([*mdata["rna"].var_names, *mdata["atac"].var_names]).astype("S")
    types = np.repeat([b"Gene Expression", b"Peaks"], [mdata["rna"].n_vars, mdata["atac"].n_vars])
    with h5py.File(path, "w") as h5:
        matrix = h5.create_group("matrix")
        matrix["data"], matrix["indices"], matrix["indptr"] = values.data.astype(int), values.indices, values.indptr
        matrix["shape"] = np.array(values.shape[::-1], dtype=np.int32)
        matrix["barcodes"] = mdata.obs_names.to_numpy().astype("S")
        features = matrix.create_group("features")
        features["id"] = features["name"] = names
        features["feature_type"] = types
        features["genome"] = np.repeat(b"GRCh38", len(names))


def test_10x_and_archr(run, tmp_path: Path) -> None:
    both = mn.datasets.simulate_multiome(40, n_genes=30, n_peaks=60)
    tss = both["rna"].var.rename_axis("gene").reset_index()
    barcodes = [f"{'ACGT'[i % 4] * 8}{i:03}-1" for i in range(40)]
    for adata in both.mod.values():
        adata.obs_names = barcodes
    whole = md.MuData({m: both[m].copy() for m in ("rna", "atac")})
    gene_of = {barcode: i % 30 for i, barcode in enumerate(barcodes)}
    write_genes(tss)
    write_10x(whole, tmp_path / "filtered_feature_bc_matrix.h5")
    write_fragments("atac_fragments.tsv.gz", barcodes, tss, gene_of)

    # ArchR's cells: the same barcodes in two samples, with other genes
    other_gene_of = {barcode: (i + 7) % 30 for i, barcode in enumerate(barcodes)}
    write_fragments("first_fragments.tsv.gz", barcodes[:20], tss, gene_of)
    write_fragments("second_fragments.tsv.gz", barcodes[:20], tss, other_gene_of)
    archr = whole.copy()
    cells = [f"{sample}#{barcode}" for sample in ("first", "second") for barcode in barcodes[:20]]
    for adata in archr.mod.values():
        adata.obs_names = cells
    archr.update()

    found = run("10x files and ArchR", archr=archr)
    read = found["cells"]
    assert set(read.mod) == {"rna", "atac", "activity"}
    for m in ("rna", "atac"):
        assert np.array_equal(dense(read[m].X), dense(whole[m].X))
    activity = read["activity"].to_df()
    assert all(activity.loc[barcode, tss["gene"][gene]] >= 2 for barcode, gene in gene_of.items())
    activity = found["archr"]["activity"].to_df()
    for sample, genes in (("first", gene_of), ("second", other_gene_of)):
        for barcode in barcodes[:20]:
            assert activity.loc[f"{sample}#{barcode}", tss["gene"][genes[barcode]]] >= 2
