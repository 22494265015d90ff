"""``scminnet links``: links genes and regulatory elements, over mini-bulks of an embedded query."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scminnet.cli._common import add_common, add_output, at_least, check_paths, new_command, quiet, say
from scminnet.cli.embed import PREDICTED
from scminnet.cli.report import write_report

#: Layer that is used instead of X if a modality has it.
COUNTS = "counts"

#: Endings of output files in a format of genome browsers.
BROWSER_ENDINGS = (".bed", ".bedpe", ".interact", ".longrange")

DESCRIPTION = f"""\
Correlate genes with the peaks near their transcription starts, over mini-bulks of similar cells.

Needs counts, in the layer "{COUNTS}" or in X, and an embedding of the cells of both modalities
(`scminnet embed`). The table is written as TSV, or in a browser's format if the name ends in
{", ".join(BROWSER_ENDINGS)}.

examples:
  scminnet links embedded.h5mu --tss genes.gtf.gz -o links.tsv
  scminnet links embedded.h5mu --tss tss.bed -o links.bedpe --bulks 200 --smooth 10 --upstream 100000
"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = new_command(commands, "links", help="link genes and peaks of an embedded query", description=DESCRIPTION)
    parser.add_argument("embedded", type=Path, metavar="OUT.h5mu", help="what `scminnet embed` wrote")
    parser.add_argument(
        "--tss", type=Path, required=True, metavar="FILE", help="annotation: GTF, GFF3 or BED, plain or gzipped"
    )
    add_output(parser, "LINKS.tsv", "where to write the links")
    parser.add_argument("--rna", default="rna", metavar="NAME", help="modality of the genes (%(default)s)")
    parser.add_argument("--atac", default="atac", metavar="NAME", help="modality of the peaks (%(default)s)")
    parser.add_argument(
        "--groupby", default=PREDICTED, metavar="COLUMN", help="cell types, which no bulk mixes (%(default)s)"
    )
    parser.add_argument("--bulks", type=at_least(10), default=100, help="(%(default)s)")
    parser.add_argument(
        "--smooth",
        type=at_least(0),
        default=0,
        metavar="N",
        help="smooth over this many neighbours first (%(default)s)",
    )
    parser.add_argument("--upstream", type=at_least(0), default=150_000, metavar="BASES", help="(%(default)s)")
    parser.add_argument("--downstream", type=at_least(0), default=0, metavar="BASES", help="(%(default)s)")
    add_common(parser, _links)


def _links(given: argparse.Namespace) -> dict[str, Any]:
    check_paths(given, given.embedded, given.tss)
    with quiet(given.threads):
        from mudata import read_h5mu

        from scminnet import genomics, tl
        from scminnet._core.files import atomic_text_file
        from scminnet._core.mdata import check_modalities
        from scminnet._core.values import looks_like_counts

        tss = genomics.read_annotation(given.tss)
        mdata = read_h5mu(given.embedded)
        modalities = [given.rna, given.atac]
        check_modalities(mdata, modalities)
        layer: dict[str, str | None] = {}
        for m in modalities:
            layer[m] = COUNTS if COUNTS in mdata.mod[m].layers else None
            if layer[m] is None and not looks_like_counts(mdata.mod[m].X):
                raise ValueError(
                    f"modality {m!r} has no counts in layer {COUNTS!r} or in X. Put counts into one of them."
                )
        if given.smooth:
            say(f"smoothing over {given.smooth} neighbours ...")
            tl.minnet_smooth(mdata, n_neighbors=given.smooth, layer=layer, modalities=modalities, seed=given.seed)
            layer = dict.fromkeys(modalities, "smoothed")
        say("making mini-bulks ...")
        bulks = tl.minibulk(
            mdata, given.bulks, groupby=given.groupby, modalities=modalities, layer=layer, seed=given.seed
        )
        say("correlating ...")
        window = {"upstream": given.upstream, "downstream": given.downstream}
        tl.cre_links(bulks, tss, rna=given.rna, atac=given.atac, seed=given.seed, **window)
        links = bulks.uns["cre_links"]
        if given.out.suffix in BROWSER_ENDINGS:
            tl.export_links(links, given.out)
        else:
            with atomic_text_file(given.out) as file:
                links.to_csv(file, sep="\t", index=False)
        write_report(given, mdata, bulks=bulks, modalities=modalities, predicted_key=given.groupby)
    return {
        "out": str(given.out.resolve()),
        "links": len(links),
        "genes": int(links["gene"].nunique()),
        "genes_left_out": len(bulks.uns["cre_links_info"]["genes_left_out"]),
        "bulks": bulks.n_obs,
        "fdr_below_0.05": int((links["fdr"] < 0.05).sum()),
    }
