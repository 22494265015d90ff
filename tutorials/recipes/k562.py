"""Links of K562 against CRISPRi screens: from paired cells, and from the same cells as if unpaired.

scE2G was trained on the multiome of Xu et al. (Table S10 of Sheth et al. 2024, doi:10.1101/2024.11.23.624931). Give its
filtered feature-barcode matrix by Cell Ranger ARC (.h5) as ``--rna``. Any other multiome of K562 will do, and .h5ad
files of counts. ``--peaks`` is another file with the peaks. With ``--fragments``, the fragments in ``--regions`` are
counted instead, by default those in the elements that were silenced.

``--table`` and ``--genes`` are those of ``benchmarks/downstream/crispri.py``, from
https://github.com/EngreitzLab/CRISPR_comparison (``resources``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scanpy as sc
import steps
from anndata import AnnData, read_h5ad
from mudata import MuData

import scminnet as mn

# the benchmarks are no installed package
sys.path.append(str(Path(__file__).resolve().parents[2]))
from benchmarks.downstream import crispri
from benchmarks.downstream.crispri_table import CrisprTable, FormatError, read_genes, read_table
from benchmarks.shared.bootstrap import cluster_weights

#: Columns of the links that are compared.
COLUMNS = ("score", "abc", "r_conditional", "r")
#: AUPRC on the training pairs of K562 with this multiome, for orientation: quoted, and not checked in the papers.
PUBLISHED = {
    "Signac, ArchR, SCENIC+, FigR, Cicero, SCENT": "0.10 to 0.29",
    "distance": "0.44",
    "ABC (scATAC x power law)": "0.49",
    "ARC-E2G": "0.56",
    "scE2G": "0.63",
}
#: Screens test elements up to this far from a gene, in bases.
REACH = 1_000_000


def read_counts(path: Path, kind: str) -> AnnData:
    """Read cells x features of one kind from a 10x file, or all of an AnnData file."""
    adata = read_h5ad(path) if path.suffix == ".h5ad" else sc.read_10x_h5(path, gex_only=False)
    adata.var_names_make_unique()
    if "feature_types" in adata.var:
        adata = adata[:, (adata.var["feature_types"] == kind).to_numpy()].copy()
    return AnnData(adata.X, obs=pd.DataFrame(index=adata.obs_names), var=pd.DataFrame(index=adata.var_names))


def count_fragments(barcodes: pd.Index, fragments: Path, regions: pd.DataFrame) -> AnnData:
    """Count each cell's fragments in regions: those in "genes" whose bodies are the regions."""
    names = mn.genomics.interval_names(regions)
    cells = MuData({"atac": AnnData(np.zeros((len(barcodes), 1), np.float32), obs=pd.DataFrame(index=barcodes))})
    bodies = regions.assign(gene=names, tss=regions["start"], strand="+").drop_duplicates("gene")
    mn.pp.gene_activity(cells, bodies, fragments=fragments, upstream=0, gene_body=True)
    counted = cells["activity"]
    return AnnData(counted.X, obs=cells["atac"].obs, var=pd.DataFrame(index=counted.var_names))


def read_cells(
    rna: Path, peaks: Path | None, fragments: Path | None, regions: Path | None, elements: pd.DataFrame
) -> MuData:
    """Read the cells that have both modalities, with their counts in a layer."""
    genes = read_counts(rna, "Gene Expression")
    if fragments is None:
        atac = read_counts(rna if peaks is None else peaks, "Peaks")
    else:
        if regions is not None:
            elements = pd.read_csv(regions, sep="\t", comment="#", header=None, usecols=[0, 1, 2])
            elements = elements.set_axis(["chrom", "start", "end"], axis=1)
        atac = count_fragments(genes.obs_names, fragments, elements.drop_duplicates(ignore_index=True))
    both = genes.obs_names.intersection(atac.obs_names)
    if both.empty:
        raise SystemExit(f"no cell is in both modalities: {list(genes.obs_names[:2])}, {list(atac.obs_names[:2])}")
    cells = MuData({"rna": genes[both].copy(), "atac": atac[both].copy()})
    for adata in cells.mod.values():
        adata.layers["counts"] = adata.X.copy()
    return cells


def unpair(cells: MuData, seed: int) -> MuData:
    """Take the modalities for those of different cells, in another order."""
    parts = {}
    for name, adata in cells.mod.items():
        part = adata[np.random.default_rng(seed + len(parts)).permutation(adata.n_obs)].copy()
        part.obs_names = [f"{name}_{cell}" for cell in part.obs_names]
        parts[name] = part
    return MuData(parts)


def embed(cells: MuData, tss: pd.DataFrame, max_epochs: int | None, seed: int) -> None:
    """Train on the cells themselves: by their pairs, or without pairs by peaks near genes."""
    seen = cells.copy()
    mn.pp.normalize(seen)
    mn.pp.select_features(seen, ["rna", "atac"])
    if seen.n_obs > seen["rna"].n_obs:
        mn.pp.feature_links(seen, "rna", "atac", annotation=tss)
    # one cell line has no types
    mn.MinNet.setup_mudata(seen, ["rna", "atac"], labels_key=None)
    model = mn.MinNet(seen, seed=seed)
    model.train(max_epochs=max_epochs, seed=seed)
    print(model.evidence_["summary"])
    model.embed()
    for name, adata in cells.mod.items():
        adata.obsm["X_minnet"] = seen[name].obsm["X_minnet"]


def link(cells: MuData, tss: pd.DataFrame, genes: Sequence[str], n_bulks: int, seed: int) -> pd.DataFrame:
    """Link the tested genes with all peaks that a screen may have tested."""
    mn.tl.minnet_smooth(cells, n_neighbors=20, layer="counts", seed=seed)
    bulks = mn.tl.minibulk(cells, n_bulks, groupby=None, layer="smoothed", seed=seed)
    mn.tl.cre_links(bulks, tss, genes, upstream=REACH, downstream=REACH, seed=seed)
    return bulks.uns["cre_links"]


def of_tested(pairs: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """Give each tested pair the best link of its gene whose peak overlaps the element; NaN where there is none."""
    peaks = links[["peak", "chrom", "start", "end"]].drop_duplicates("peak", ignore_index=True)
    pair, peak = mn.genomics.overlaps(pairs, peaks)
    found = pd.DataFrame({"pair": pair, "gene": pairs["gene"].to_numpy()[pair], "peak": peaks["peak"].to_numpy()[peak]})
    found = found.merge(links[["gene", "peak", *COLUMNS]], on=["gene", "peak"])
    return found.groupby("pair")[list(COLUMNS)].max().reindex(range(len(pairs)))


def compare(read: CrisprTable, genes: pd.DataFrame, links: dict[str, pd.DataFrame], n_bootstraps: int) -> pd.DataFrame:
    """Measure every column of each table of links, and what needs no single cells, on the same pairs."""
    pairs = read.pairs
    weights = cluster_weights(pairs["gene_id"].to_numpy(), n_bootstraps, seed=0)
    bulk = crispri.scores(pairs, genes)
    values = {name: (bulk[name], len(pairs)) for name in (crispri.DISTANCE, "DHS x power law", crispri.SCORE)}
    for cells, table in links.items():
        tested = of_tested(pairs, table)
        covered = int(tested["score"].notna().sum())
        # no link is the worst
        lowest = tested.min() - 1
        values |= {f"{column}, {cells} cells": (tested[column].fillna(lowest[column]), covered) for column in COLUMNS}
    rows = []
    for name, (score, covered) in values.items():
        line = crispri.measure(name, np.asarray(score), pairs, weights)
        print(json.dumps(line), flush=True)
        low, high = line["interval"]
        far = line["distance"]["> 100 kb"]["auprc"]
        rows.append({"score": name, "auprc": line["auprc"], "low": low, "high": high, "beyond 100 kb": far})
        rows[-1]["pairs with a link"] = covered
    return pd.DataFrame(rows)


def main() -> None:
    """Run what the command line asks for."""
    parser = steps.parser(__doc__, downloads=False)
    parser.add_argument("--rna", type=Path, required=True, help="genes, or genes and peaks: 10x .h5 or .h5ad")
    parser.add_argument("--peaks", type=Path, help="peaks of the same cells (default: those in --rna)")
    parser.add_argument("--fragments", type=Path, help="fragments of the same cells, to be counted instead of peaks")
    parser.add_argument("--regions", type=Path, help="BED of where to count fragments (default: tested elements)")
    parser.add_argument("--table", type=Path, required=True, help="tested pairs of the CRISPR benchmark")
    parser.add_argument("--genes", type=Path, required=True, help="BED of genes: 6 columns and an Ensembl id")
    parser.add_argument("--max-epochs", type=int, help="default: the preset's")
    parser.add_argument("--bootstraps", type=int, default=1000, help="resamples of genes (default: 1000)")
    options = parser.parse_args()
    if options.fragments is not None and options.peaks is not None:
        parser.error("give --peaks or --fragments, not both")
    if options.regions is not None and options.fragments is None:
        parser.error("--regions needs --fragments")
    try:
        read, starts = read_table(options.table), read_genes(options.genes)
    except FormatError as error:
        parser.error(str(error))
    options.out.mkdir(parents=True, exist_ok=True)
    elements = read.pairs[["chrom", "start", "end"]]
    cells = read_cells(options.rna, options.peaks, options.fragments, options.regions, elements)
    tss = mn.genomics.read_annotation(options.genes)
    tested = read.pairs["gene"].unique()
    tested = [gene for gene in tested if gene in cells["rna"].var_names]
    print(f"{cells.n_obs:,} cells, {len(tested):,} of {read.pairs['gene'].nunique():,} tested genes")

    links = {}
    for name, part in (("paired", cells), ("unpaired", unpair(cells, options.seed))):
        print(f"== {name}")
        embed(part, tss, options.max_epochs, options.seed)
        links[name] = link(part, tss, tested, options.bulks, options.seed)
        links[name].to_csv(options.out / f"links_{name}.tsv.gz", sep="\t", index=False)
    table = compare(read, starts, links, options.bootstraps)
    table.to_csv(options.out / "crispri.csv", index=False)
    print(table.to_string(index=False))
    print("published: " + "; ".join(f"{name} {value}" for name, value in PUBLISHED.items()))


if __name__ == "__main__":
    main()
