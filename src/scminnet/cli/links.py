"""``scminnet links``: links genes and regulatory elements, over mini-bulks of an embedded query."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scminnet._core.outputs import format_of, is_stream
from scminnet.cli._common import add_common, add_output, at_least, check_inputs, new_command, quiet, say
from scminnet.cli.embed import PREDICTED
from scminnet.cli.outputs import claimed
from scminnet.cli.report import write_report

if TYPE_CHECKING:
    import pandas as pd

#: Layer that is used instead of X if a modality has it.
COUNTS = "counts"

#: Formats of the whole table, with the separator of their columns.
TABLES = {"tsv": "\t", "csv": ","}

#: Formats of genome browsers, see :func:`scminnet.tl.export_links`.
BROWSERS = ("bed", "bedpe", "interact", "biginteract", "longrange")

DESCRIPTION = f"""\
Link genes with the peaks near their transcription starts, over mini-bulks of similar cells, the best first.

Needs counts, in the layer "{COUNTS}" or in X, and an embedding of the cells of both modalities
(`scminnet embed`). The ending of the output tells its format: {", ".join(f".{name}" for name in TABLES)} for a table
sorted by score, {", ".join(f".{name}" for name in BROWSERS)} for a genome browser. With .gz behind
it, the file is compressed. A pipe or /dev/stdout gets the table as TSV.

examples:
  scminnet links embedded.h5mu --tss genes.gtf.gz -o links.tsv
  scminnet links embedded.h5mu --tss tss.bed -o links.bedpe --bulks 200 --smooth 10 --upstream 100000
"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = new_command(commands, "links", help="link genes and peaks of an embedded query", description=DESCRIPTION)
    parser.add_argument("embedded", type=Path, metavar="EMBEDDED.h5mu", help="what `scminnet embed` wrote")
    parser.add_argument(
        "--tss",
        type=Path,
        required=True,
        metavar="FILE",
        help="genes on the genome: GTF, GFF3 or BED, plain or gzipped",
    )
    add_output(parser, "LINKS.tsv", "file for the links; its ending tells the format")
    parser.add_argument("--rna", default="rna", metavar="NAME", help="modality of the genes (default: %(default)s)")
    parser.add_argument("--atac", default="atac", metavar="NAME", help="modality of the peaks (default: %(default)s)")
    parser.add_argument(
        "--groupby",
        default=PREDICTED,
        metavar="COLUMN",
        help="column of obs with cell types; each mini-bulk has cells of one type (default: %(default)s)",
    )
    parser.add_argument(
        "--bulks", type=at_least(10), default=100, metavar="N", help="number of mini-bulks (default: %(default)s)"
    )
    parser.add_argument(
        "--unlabeled-category",
        nargs="+",
        metavar="NAME",
        help="types of cells without a type, e.g. unassigned (default: none)",
    )
    parser.add_argument(
        "--smooth",
        type=at_least(0),
        default=20,
        metavar="N",
        help="sum counts over this many nearest neighbours first; 0: do not (default: %(default)s)",
    )
    parser.add_argument(
        "--upstream",
        type=at_least(0),
        default=150_000,
        metavar="BASES",
        help="correlate peaks up to this far before a gene's start (default: %(default)s)",
    )
    parser.add_argument(
        "--downstream",
        type=at_least(0),
        default=0,
        metavar="BASES",
        help="correlate peaks up to this far behind a gene's start (default: %(default)s)",
    )
    parser.add_argument(
        "--contacts",
        type=Path,
        metavar="FILE",
        help="Hi-C or capture Hi-C: BEDPE with the strength in field 8 (default: a power law of the distance)",
    )
    add_common(parser, _links)


def _links(given: argparse.Namespace) -> dict[str, Any]:
    check_inputs(given, {"EMBEDDED.h5mu": given.embedded, "--tss": given.tss, "--contacts": given.contacts})
    inputs = [given.embedded, given.tss, given.contacts]
    with claimed(given, formats=[*TABLES, *BROWSERS], stream=True, inputs=inputs) as out, quiet(given.threads):
        from scminnet import genomics, tl
        from scminnet._core.values import looks_like_counts
        from scminnet.cli.inputs import read_mudata, reading

        with reading(given.tss, explained=True):
            tss = genomics.read_annotation(given.tss)
        modalities = [given.rna, given.atac]
        mdata = read_mudata(given.embedded, modalities)
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
            mdata,
            given.bulks,
            groupby=given.groupby,
            unlabeled_category=given.unlabeled_category,
            modalities=modalities,
            layer=layer,
            seed=given.seed,
        )
        say("linking ...")
        window = {"upstream": given.upstream, "downstream": given.downstream}
        tl.cre_links(bulks, tss, contacts=given.contacts, rna=given.rna, atac=given.atac, seed=given.seed, **window)
        links = bulks.uns["cre_links"]
        out.check_free()
        _write(links, given.out)
        write_report(given, out, mdata, bulks=bulks, modalities=modalities, predicted_key=given.groupby)
    return {
        "out": str(given.out.resolve()),
        "links": len(links),
        "genes": int(links["gene"].nunique()),
        "genes_left_out": len(bulks.uns["cre_links_info"]["genes_left_out"]),
        "bulks": bulks.n_obs,
        "fdr_below_0.05": int((links["fdr"] < 0.05).sum()),
    }


def _write(links: pd.DataFrame, path: Path) -> None:
    """Write the links in the format that the name tells; into a pipe or device as TSV."""
    from scminnet import tl
    from scminnet._core.files import atomic_text_file

    format = "tsv" if is_stream(path) else format_of(path, [*TABLES, *BROWSERS], "--out")
    if format in BROWSERS:
        tl.export_links(links, path, format=format)
        return
    with atomic_text_file(path) as file:
        links.to_csv(file, sep=TABLES[format], index=False, lineterminator="\n")
