"""``scminnet integrate``: from cells of two modalities to one embedding, with or without paired cells."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scminnet.cli._common import (
    add_common,
    add_output,
    add_unlabeled,
    at_least,
    check_inputs,
    check_names,
    new_command,
    quiet,
    say,
)
from scminnet.cli.outputs import MODEL, REPORT, Contents, claimed
from scminnet.cli.report import write_report

DESCRIPTION = """\
Integrate cells of two or more modalities. No paired cells are needed.

Counts are normalised, features of both modalities are linked, cells are coupled through the links,
and a model is trained. Cells measured in several modalities are used as pairs. Labels of one
modality are transferred to the other. A diagnosis says whether the result can be trusted.

Peaks are linked to genes by an annotation (--tss), proteins by a table of antibodies that ships
with scminnet. Give a table of your own with --links.

examples:
  scminnet integrate cells.h5mu --modalities rna atac --tss genes.gtf.gz -o out
  scminnet integrate cells.h5mu --modalities rna adt --labels-key cell_type --batch-key donor -o out
  scminnet integrate rna.h5ad atac.h5ad --modalities rna atac --tss genes.gtf.gz -o out

OUT holds report.html, integrated.h5mu, model, figures and result.json.
"""

KINDS = ("genes", "peaks", "proteins")

#: What the command writes.
CONTENTS: Contents = {
    REPORT: None,
    "integrated.h5mu": None,
    "model": MODEL,
    "figures": {f"{name}.{ending}": None for name in ("embedding", "history") for ending in ("png", "pdf")},
    "result.json": None,
}


def add(commands: Any) -> None:
    """Add the command."""
    parser = new_command(commands, "integrate", help="integrate modalities, without pairs too", description=DESCRIPTION)
    parser.add_argument(
        "cells",
        type=Path,
        nargs="+",
        metavar="CELLS",
        help="one file with all modalities, or one file per modality: .h5mu, .h5ad or 10x .h5",
    )
    add_output(parser, "OUT", "folder for the results")
    parser.add_argument(
        "--modalities",
        nargs="+",
        metavar="NAME",
        help="two or more, e.g. rna atac; with several files, one per file (default: those of a file that has two)",
    )
    parser.add_argument(
        "--labels-key", metavar="COLUMN", help="column of obs with cell types of any modality (default: no cell types)"
    )
    add_unlabeled(parser)
    parser.add_argument(
        "--batch-key", metavar="COLUMN", help="column of obs with donors, samples or sites (default: one batch)"
    )
    links = parser.add_argument_group("feature links")
    links.add_argument(
        "--tss",
        "--annotation",
        type=Path,
        metavar="FILE",
        help="genes on the genome, to link peaks: GTF, GFF3 or BED, also gzipped (needed for peaks without pairs)",
    )
    links.add_argument(
        "--links",
        type=Path,
        metavar="TABLE",
        help="your links: .tsv or .csv with a column of features per modality (default: scminnet makes the links)",
    )
    links.add_argument("--organism", choices=["human", "mouse"], help="organism of antibodies (default: by gene names)")
    links.add_argument(
        "--kinds",
        nargs="+",
        type=_kind,
        default=[],
        metavar="NAME=KIND",
        help="what a modality holds if its name does not tell: genes, peaks or proteins (default: by feature types or "
        "name)",
    )
    coupling = parser.add_argument_group("coupling and training")
    coupling.add_argument(
        "--pairs",
        choices=["auto", "names", "none"],
        default="auto",
        help="whether cells of one name are one cell (default: %(default)s: in one file yes, else by the share "
        "of equal names)",
    )
    coupling.add_argument(
        "--couple-within",
        metavar="COLUMN",
        help="couple cells within the values of this column (default: all cells together)",
    )
    coupling.add_argument(
        "--max-epochs", type=at_least(1), metavar="N", help="largest number of epochs (default: the preset's)"
    )
    coupling.add_argument("--no-progress", action="store_true", help="show no progress bar (default: show one)")
    add_common(parser, _integrate)


def _kind(text: str) -> tuple[str, str]:
    name, _, kind = text.partition("=")
    if not name or kind not in KINDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=KIND, with one of {', '.join(KINDS)} as KIND")
    return name, kind


def _check(given: argparse.Namespace) -> None:
    """Exit with 2 if the arguments do not fit together."""
    names, files = given.modalities, given.cells
    if names is None and len(files) > 1:
        given.parser.error("--modalities is missing: name what each file holds, e.g. --modalities rna atac")
    if names is not None:
        check_names(given)
    if len(files) > 1 and len(files) != len(names):
        given.parser.error(
            f"CELLS: {len(files)} files, but {len(names)} --modalities: give one file per modality, or one .h5mu"
        )
    if given.links is not None and names is not None and len(names) > 2:
        given.parser.error("--links joins two modalities: give two --modalities")
    unknown = sorted({name for name, _ in given.kinds} - set(names or [name for name, _ in given.kinds]))
    if unknown:
        given.parser.error(f"--kinds names {', '.join(unknown)}, which --modalities lacks")
    check_inputs(given, {"--tss": given.tss, "--links": given.links})
    for path in files:
        check_inputs(given, {"CELLS": path})


def _integrate(given: argparse.Namespace) -> dict[str, Any]:
    _check(given)
    inputs = [*given.cells, given.tss, given.links]
    with claimed(given, contents=CONTENTS, inputs=inputs) as out, quiet(given.threads):
        from scminnet.cli import integrate_steps as steps
        from scminnet.cli.inputs import read_cells, reading
        from scminnet.genomics import read_annotation

        say("reading ...")
        annotation = None
        if given.tss is not None:
            with reading(given.tss, explained=True):
                annotation = read_annotation(given.tss)
        cells = read_cells(given.cells, given.modalities, given.pairs, dict(given.kinds))
        names = given.modalities or list(cells.mod)
        with out.partial() as partial:
            done = steps.integrate(
                cells,
                names,
                partial,
                say,
                labels_key=given.labels_key,
                unlabeled_category=given.unlabeled_category,
                batch_key=given.batch_key,
                annotation=annotation,
                table=given.links,
                organism=given.organism,
                kinds=dict(given.kinds),
                couple_within=given.couple_within,
                max_epochs=given.max_epochs,
                progress=not given.no_progress,
                seed=given.seed,
            )
            result = steps.as_result(done, given.out.resolve())
            steps.write_result(result, partial)
        write_report(given, out, done.cells, model=done.model, diagnosis=done.diagnosis)
    return result
