"""``scminnet integrate``: from cells of two modalities to one embedding, with or without paired cells."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scminnet.cli._common import add_common, add_output, at_least, check_paths, new_command, quiet, say
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


def add(commands: Any) -> None:
    """Add the command."""
    parser = new_command(commands, "integrate", help="integrate modalities, without pairs too", description=DESCRIPTION)
    parser.add_argument(
        "cells", type=Path, nargs="+", metavar="CELLS", help="one .h5mu file, or one .h5ad or .h5mu file per modality"
    )
    add_output(parser, "OUT", "folder for the results")
    parser.add_argument(
        "--modalities",
        nargs="+",
        metavar="NAME",
        help="two or more, e.g. rna atac; with several files, one per file (default: those of a file that has two)",
    )
    parser.add_argument("--labels-key", metavar="COLUMN", help="column of obs with cell types, of any modality")
    parser.add_argument("--batch-key", metavar="COLUMN", help="column of obs with donors, samples or sites")
    links = parser.add_argument_group("feature links")
    links.add_argument(
        "--tss", "--annotation", type=Path, metavar="FILE", help="annotation for peaks: GTF, GFF3 or BED, also gzipped"
    )
    links.add_argument(
        "--links", type=Path, metavar="TABLE", help="your links: .tsv or .csv with a column of features per modality"
    )
    links.add_argument("--organism", choices=["human", "mouse"], help="organism of antibodies (default: by gene names)")
    links.add_argument(
        "--kinds",
        nargs="+",
        type=_kind,
        default=[],
        metavar="NAME=KIND",
        help="what a modality holds if its name does not tell: genes, peaks or proteins",
    )
    coupling = parser.add_argument_group("coupling and training")
    coupling.add_argument(
        "--pairs",
        choices=["auto", "names", "none"],
        default="auto",
        help="whether cells of one name are one cell (%(default)s: yes in one file, else by the share of equal names)",
    )
    coupling.add_argument(
        "--couple-within",
        metavar="COLUMN",
        help="couple cells within the values of this column (default: all cells together)",
    )
    coupling.add_argument("--max-epochs", type=at_least(1), help="training epochs (default: the preset's)")
    coupling.add_argument("--no-progress", action="store_true", help="no progress bar")
    add_common(parser, _integrate)


def _kind(text: str) -> tuple[str, str]:
    name, _, kind = text.partition("=")
    if not name or kind not in KINDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=KIND, with one of {', '.join(KINDS)} as KIND")
    return name, kind


def _check(given: argparse.Namespace) -> None:
    """Exit with 2 if the arguments do not fit together."""
    names, files = given.modalities, given.cells
    if names is None and (len(files) > 1 or files[0].suffix == ".h5ad"):
        given.parser.error("--modalities is missing: name what each file holds, e.g. --modalities rna atac")
    if names is not None and len(names) < 2:
        given.parser.error("--modalities needs two names or more, e.g. --modalities rna atac")
    if names is not None and len(set(names)) < len(names):
        given.parser.error(f"--modalities names one modality twice: {' '.join(names)}")
    if len(files) > 1 and len(files) != len(names):
        given.parser.error(
            f"{len(files)} files, but {len(names)} --modalities: give one file per modality, or one .h5mu"
        )
    if len(files) == 1 and files[0].suffix == ".h5ad":
        given.parser.error(f"{files[0]} holds one modality: give one file per modality, or one .h5mu file")
    if given.links is not None and names is not None and len(names) > 2:
        given.parser.error("--links joins two modalities: give two --modalities")
    unknown = sorted({name for name, _ in given.kinds} - set(names or [name for name, _ in given.kinds]))
    if unknown:
        given.parser.error(f"--kinds names {', '.join(unknown)}, which --modalities lacks")
    check_paths(given, *files, given.tss, given.links)


def _integrate(given: argparse.Namespace) -> dict[str, Any]:
    _check(given)
    with quiet(given.threads):
        from scminnet._core.files import atomic_path
        from scminnet.cli import integrate_steps as steps
        from scminnet.cli.inputs import read_cells

        names = given.modalities or steps.modalities_of(given.cells[0])
        say("reading ...")
        cells = read_cells(given.cells, names, given.pairs)
        with atomic_path(given.out) as partial:
            done = steps.integrate(
                cells,
                names,
                partial,
                say,
                labels_key=given.labels_key,
                batch_key=given.batch_key,
                annotation=given.tss,
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
        write_report(given, done.cells, model=done.model, diagnosis=done.diagnosis)
    return result
