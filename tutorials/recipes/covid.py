"""The paper's application: RNA and ATAC of COVID-19 patients and healthy donors, of different cells.

A model of bone marrow embeds them. Then the links that differ between conditions.
"""

from __future__ import annotations

from pathlib import Path

import steps
from anndata import AnnData, read_h5ad
from mudata import MuData

import scminnet as mn


def together(rna: AnnData, atac: AnnData, tss: Path) -> MuData:
    """Put RNA and ATAC of different cells into one MuData, with gene activity of the latter."""
    for name, part in (("rna", rna), ("atac", atac)):
        part.obs_names = [f"{name}_{cell}" for cell in part.obs_names]
    mdata = MuData({"rna": rna, "atac": atac})
    mn.pp.gene_activity(mdata, tss)
    mn.pp.normalize(mdata)
    return mdata


def main() -> None:
    """Run what the command line asks for."""
    parser = steps.parser(__doc__)
    parser.add_argument("--model", required=True, help="folder of the model that `bmmc.py multiome` wrote")
    parser.add_argument("--tss", type=Path, required=True, help="genes of hg38 (GTF, GFF3, BED)")
    parser.add_argument("--atac", type=Path, help="cells x peaks, counts, obs['condition'] COVID or healthy (.h5ad)")
    parser.add_argument("--gene", default="LEF1", help="gene to show (default: LEF1)")
    options = parser.parse_args()
    model = mn.MinNet.load(options.model, adata=False)

    source = steps.read(options, mn.datasets.covid_pbmc)
    if "in_paper" in source.obs:
        source = source[source.obs["in_paper"].to_numpy(bool)].copy()
    rna = source["rna"].copy()
    rna.obs["cell_type"] = source.obs.get("cell_type_paper", source.obs["cell_type"]).astype(str).to_numpy()
    # samples of patients are called covid_..., of healthy donors HIP...
    patient = source.obs["batch"].astype(str).str.startswith("covid")
    rna.obs["condition"] = patient.map({True: "COVID", False: "healthy"}).to_numpy()

    if options.atac is None:
        print("no --atac: RNA only")
        cells = MuData({"rna": rna})
        mn.pp.normalize(cells)
        seen = steps.embed(model, cells)
        rna.obs["predicted"] = model.predict(seen)
        mn.pl.transfer_heatmap(rna.obs["cell_type"], rna.obs["predicted"], save=options.out / "types.pdf")
        return

    cells = together(rna, read_h5ad(options.atac), options.tss)
    steps.embed(model, cells)
    mn.tl.transfer_labels(cells, "rna", "activity", "cell_type", seed=options.seed)
    cells["atac"].obs["transferred_label"] = cells["activity"].obs["transferred_label"]
    cells.obs["condition"] = None
    for name in ("rna", "atac"):
        cells.obs.loc[cells[name].obs_names, "condition"] = cells[name].obs["condition"].astype(str).to_numpy()
    mn.pl.embedding(
        cells, ["rna", "activity"], ["modality", "condition"], seed=options.seed, save=options.out / "umap.pdf"
    )
    groupby = {"rna": "cell_type", "atac": "transferred_label"}

    # of unsmoothed counts, for these are tested
    bulks = steps.links(
        cells,
        options.tss,
        options.out,
        n_bulks=2 * options.bulks,
        groupby=groupby,
        condition="condition",
        seed=options.seed,
    )
    mn.tl.differential_links(bulks, "condition", reference="healthy")
    changes = bulks.uns["differential_links"]
    changes.to_csv(options.out / "differential_links.tsv.gz", sep="\t", index=False)
    print(changes.sort_values("p").head(10).to_string(index=False))

    # to show one gene: each condition by itself, smoothed within it
    mn.tl.minnet_smooth(
        cells, n_neighbors=20, modalities=["rna", "atac"], layer="counts", condition="condition", seed=options.seed
    )
    for condition in ("healthy", "COVID"):
        part = cells[(cells.obs["condition"] == condition).to_numpy()].copy()
        folder = options.out / condition
        folder.mkdir(exist_ok=True)
        shown = steps.links(
            part,
            options.tss,
            folder,
            n_bulks=options.bulks,
            groupby=groupby,
            layer="smoothed",
            seed=options.seed,
        )
        steps.show_gene(shown, options.gene, folder / f"{options.gene}.pdf")


if __name__ == "__main__":
    main()
