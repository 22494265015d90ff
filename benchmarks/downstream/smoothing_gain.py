"""Correlation of genes with the peaks at their starts, with and without smoothing, as in Fig. 4A of the paper.

Run from the root of the repository::

    python -m benchmarks.downstream.smoothing_gain --data FOLDER --seeds 3

It writes ``smoothing_gain.csv`` (one row a setting, seed and kind of pair), ``smoothing_gain.md`` and
``smoothing_gain.png`` (first seed). The model is trained on the training batches of SNARE-seq. The test cells are
embedded and used as unpaired. Each gene is correlated (Spearman) over mini-bulks with the peaks within 2 kb of a
transcript start: from raw counts, and smoothed over 5, 10, 15 and 20 neighbours. For comparison, there are mini-bulks
of the truly paired cells, and as a control as many random gene-peak pairs on different chromosomes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData, read_h5mu
from scipy.stats import rankdata

import scminnet as mn
from benchmarks.shared import command_line, development_sets
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.tables import mean_and_deviation

NAME = "snareseq_mouse_cortex"
NEIGHBORS = (5, 10, 15, 20)
WINDOW = 2000
TRUE_PAIR = "true pair"


def embedded_counts(folder: Path, seed: int) -> MuData:
    """Return the counts of the test cells, with the embedding of a model of the training cells."""
    data = development_sets.load(NAME, folder)
    mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(data.train, seed=seed)
    model.train(seed=seed, enable_progress_bar=False, accelerator="cpu")
    model.embed(data.test)
    counts = read_h5mu(folder / f"{NAME}.h5mu")[data.test.obs_names].copy()
    counts["rna"].obsm["X_minnet"] = data.test["rna"][counts["rna"].obs_names].obsm["X_minnet"]
    counts["atac"].obsm["X_minnet"] = data.test["activity"][counts["atac"].obs_names].obsm["X_minnet"]
    return counts


def unpaired(paired: MuData) -> MuData:
    """Rename the cells by modality, so that no cell has both."""
    parts: dict[str, AnnData] = {}
    for m, adata in paired.mod.items():
        part = adata.copy()
        part.obs["cell_type"] = paired.obs["cell_type"].loc[adata.obs_names].to_numpy()
        part.obs_names = [f"{name}-{m}" for name in adata.obs_names]
        parts[m] = part
    return MuData(parts)


def correlations(cells: MuData, tss: pd.DataFrame, n_bulks: int, layer: str | None, seed: int) -> pd.DataFrame:
    """Correlate genes with near and with random peaks over mini-bulks."""
    bulks = mn.tl.minibulk(cells, n_bulks, groupby="cell_type", layer=layer, seed=seed)
    mn.tl.cre_links(bulks, tss, upstream=WINDOW, downstream=WINDOW, null=None)
    links = bulks.uns["cre_links"]
    near = links[["gene", "peak", "r"]].assign(pairs="within 2 kb")
    return pd.concat([near, random_pairs(bulks, links)], ignore_index=True).assign(n_bulks=bulks.n_obs)


def random_pairs(bulks: MuData, links: pd.DataFrame) -> pd.DataFrame:
    """Correlate each linked gene with a linked peak of another chromosome, drawn once for all settings."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(links))
    other = (links["chrom"].to_numpy() != links["chrom"].to_numpy()[order]).nonzero()[0]
    genes, peaks = links["gene"].to_numpy()[other], links["peak"].to_numpy()[order][other]
    ranks = {}
    for m, names in (("rna", genes), ("atac", peaks)):
        values = bulks[m][:, list(names)].X
        ranked = rankdata(np.asarray(values.todense()), axis=0)
        ranked -= ranked.mean(axis=0)
        ranks[m] = ranked / np.maximum(np.linalg.norm(ranked, axis=0), 1e-12)
    r = (ranks["rna"] * ranks["atac"]).sum(axis=0)
    return pd.DataFrame({"gene": genes, "peak": peaks, "r": r, "pairs": "random"})


def settings(folder: Path, tss: pd.DataFrame, n_bulks: int, seed: int) -> pd.DataFrame:
    """Run all settings for one trained model."""
    paired = embedded_counts(folder, seed)
    cells = unpaired(paired)
    tables = {
        TRUE_PAIR: correlations(paired, tss, n_bulks, None, seed),
        "raw": correlations(cells, tss, n_bulks, None, seed),
    }
    for k in NEIGHBORS:
        mn.tl.minnet_smooth(cells, n_neighbors=k, key_added=f"smoothed_{k}", seed=seed)
        tables[str(k)] = correlations(cells, tss, n_bulks, f"smoothed_{k}", seed)
        for adata in cells.mod.values():
            del adata.layers[f"smoothed_{k}"]
    return pd.concat(tables, names=["setting"]).reset_index("setting").assign(seed=seed)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return correlations by setting and kind of pair, with mean ± standard deviation over seeds."""
    by_seed = table.groupby(["pairs", "setting", "seed"], sort=False)["r"].agg(["mean", "median", "size"])
    positive = table.assign(r=table["r"] > 0).groupby(["pairs", "setting", "seed"], sort=False)["r"].mean()
    by_seed["positive"] = positive
    grouped = by_seed.groupby(["pairs", "setting"], sort=False)
    result = mean_and_deviation(grouped[["mean", "median", "positive"]])
    result["number of pairs"] = grouped["size"].mean().round().astype(int)
    return result.rename(columns={"mean": "mean r", "median": "median r", "positive": "share with r > 0"}).reset_index()


def main() -> None:
    """Run all settings and seeds."""
    parser = command_line.parser(__doc__, data="required", seeds=3)
    parser.add_argument("--bulks", type=int, default=100)
    arguments = parser.parse_args()
    command_line.quiet()
    torch.set_num_threads(1)
    tss = mn.genomics.read_annotation(arguments.data / "tss_mm10.bed")
    table = pd.concat(
        [settings(arguments.data, tss, arguments.bulks, seed) for seed in command_line.seeds_of(arguments)],
        ignore_index=True,
    )

    rows = table.groupby(["pairs", "setting", "seed"], sort=False)
    rows = rows.agg(mean_r=("r", "mean"), median_r=("r", "median"), n=("r", "size"), n_bulks=("n_bulks", "first"))
    rows.round(5).reset_index().to_csv(RESULTS / "smoothing_gain.csv", index=False)
    (RESULTS / "smoothing_gain.md").write_text(
        "# Smoothing and the correlation of genes with peaks at their starts\n\n"
        f"SNARE-seq test cells, {arguments.bulks} mini-bulks, {arguments.seeds} seeds (of training and everything "
        "after it), mean ± standard "
        "deviation over\nseeds. Numbers are neighbours summed over. Written by `python -m "
        "benchmarks.downstream.smoothing_gain`.\n\n" + summary(table).to_markdown(index=False) + "\n"
    )
    first = table[(table["seed"] == arguments.first_seed) & (table["pairs"] == "within 2 kb")]
    mn.pl.smoothing_gain(first, reference=TRUE_PAIR, save=RESULTS / "smoothing_gain.png")


if __name__ == "__main__":
    main()
