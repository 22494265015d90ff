"""What the recipes have in common: options, data, an embedding with its measures and figures, links with a figure."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from mudata import MuData, read_h5mu

import scminnet as mn


def parser(description: str, *, downloads: bool = True) -> argparse.ArgumentParser:
    """Options of every recipe, and of those that download."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--out", type=Path, required=True, help="folder for everything that is written")
    if downloads:
        options.add_argument("--cache", type=Path, help="folder for downloads")
        options.add_argument("--data", type=Path, help="an .h5mu of the same form, instead of the download")
    options.add_argument("--bulks", type=int, default=100, help="mini-bulks (default: 100, as in the paper)")
    options.add_argument("--seed", type=int, default=0)
    return options


def read(options: argparse.Namespace, load: Callable[..., MuData]) -> MuData:
    """Read the given file, or download."""
    options.out.mkdir(parents=True, exist_ok=True)
    return load(options.cache) if options.data is None else read_h5mu(options.data)


def with_activity(mdata: MuData, tss: Path) -> None:
    """Put in the gene activity that all recipes compute alike, in place of one that the source may have."""
    if "activity" in mdata.mod:
        del mdata.mod["activity"]
        mdata.update()
    mn.pp.gene_activity(mdata, tss)


def embed(model: mn.MinNet, mdata: MuData) -> MuData:
    """Embed cells, put the embedding beside all of their features, and return what the model saw."""
    seen = mn.MinNet.prepare_query_mudata(mdata, model, inplace=False)
    print(model.diagnose(seen))
    model.embed(seen)
    for name in set(model.modalities) & set(seen.mod):
        mdata[name].obsm["X_minnet"] = seen[name].obsm["X_minnet"]
    return seen


def measure(mdata: MuData, modalities: Sequence[str], out: Path, name: str, batch_key: str | None, seed: int) -> None:
    """Measure paired, annotated cells whose modalities were embedded apart; write the table and figures."""
    source, target = modalities
    report = mn.metrics.integration_report(
        mdata, modalities=modalities, labels_key="cell_type", batch_key=batch_key, seed=seed
    )
    report.to_csv(out / f"{name}_report.csv", index=False)
    print(report.to_string(index=False))
    mn.tl.transfer_labels(mdata, source, target, "cell_type", seed=seed)
    truth = mdata.obs["cell_type"].loc[mdata[target].obs_names]
    mn.pl.transfer_heatmap(truth, mdata[target].obs["transferred_label"], save=out / f"{name}_labels.pdf")
    mn.pl.embedding(mdata, modalities, ["cell_type", "modality", "batch"], seed=seed, save=out / f"{name}_umap.pdf")
    plt.close("all")


def links(
    mdata: MuData,
    tss: Path,
    out: Path,
    *,
    n_bulks: int,
    groupby: str | Mapping[str, str],
    condition: str | None = None,
    layer: str = "counts",
    seed: int = 0,
) -> MuData:
    """Make mini-bulks of genes and peaks, correlate them, and write the table."""
    bulks = mn.tl.minibulk(
        mdata, n_bulks, groupby=groupby, condition=condition, modalities=["rna", "atac"], layer=layer, seed=seed
    )
    mn.tl.cre_links(bulks, tss, upstream=150_000)
    bulks.uns["cre_links"].to_csv(out / "links.tsv.gz", sep="\t", index=False)
    return bulks


def show_gene(bulks: MuData, gene: str, path: Path) -> None:
    """Draw the links of a gene, where it has any."""
    table = bulks.uns["cre_links"]
    if gene not in set(table["gene"]):
        print(f"{gene} has no link; of the genes that have, the best is drawn in its place")
        gene = str(table.loc[table["r"].idxmax(), "gene"])
    mn.pl.links(bulks, gene, save=path)
    plt.close("all")
