"""The paper's transfer to other data: a model of bone marrow on blood (10x multiome, 10k cells), with links.

Then on brain, where its diagnosis should say no.
"""

from __future__ import annotations

from pathlib import Path

import steps

import scminnet as mn


def main() -> None:
    """Run what the command line asks for."""
    parser = steps.parser(__doc__)
    parser.add_argument("--model", required=True, help="folder of the model that `bmmc.py multiome` wrote")
    parser.add_argument("--tss", type=Path, required=True, help="genes of hg38 (GTF, GFF3, BED)")
    parser.add_argument("--gene", default="LEF1", help="gene to show (default: LEF1)")
    parser.add_argument("--no-brain", action="store_true", help="leave out the test on another tissue")
    options = parser.parse_args()
    model = mn.MinNet.load(options.model, adata=False)

    pbmc = steps.read(options, mn.datasets.pbmc_10k_multiome)
    if "in_paper" in pbmc.obs:
        pbmc = pbmc[pbmc.obs["in_paper"].to_numpy(bool)].copy()
    steps.with_activity(pbmc, options.tss)
    mn.pp.normalize(pbmc)
    seen = steps.embed(model, pbmc)
    steps.measure(seen, ["rna", "activity"], options.out, "pbmc", None, options.seed)

    # the paper sums raw counts over near cells before it makes bulks
    mn.tl.minnet_smooth(pbmc, n_neighbors=20, modalities=["rna", "atac"], layer="counts", seed=options.seed)
    bulks = steps.links(
        pbmc,
        options.tss,
        options.out,
        n_bulks=options.bulks,
        groupby="cell_type",
        layer="smoothed",
        seed=options.seed,
    )
    mn.pl.correlation_by_distance(bulks, save=options.out / "correlation_by_distance.pdf")
    steps.show_gene(bulks, options.gene, options.out / f"{options.gene}.pdf")

    if not options.no_brain:
        print("== brain: another tissue")
        brain = mn.datasets.brain_3k_multiome(options.cache)
        brain = brain[brain.obs["in_paper"].to_numpy(bool)].copy()
        steps.with_activity(brain, options.tss)
        mn.pp.normalize(brain)
        print(model.diagnose(mn.MinNet.prepare_query_mudata(brain, model, inplace=False)))


if __name__ == "__main__":
    main()
