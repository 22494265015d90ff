"""``scminnet demo``: training, embedding, label transfer and accuracy in one run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scminnet.cli._common import add_common, add_unlabeled, at_least, check_inputs, check_names, new_command, quiet, say
from scminnet.cli.integrate import CONTENTS as INTEGRATED
from scminnet.cli.outputs import Contents, claimed
from scminnet.cli.report import write_report

#: Figures of the demo with a reference.
FIGURES = ("umap", "confusion", "history")

#: What a demo writes, with or without a reference.
CONTENTS: Contents = {
    **INTEGRATED,
    "report.csv": None,
    "query.h5mu": None,
    "figures": {**INTEGRATED["figures"], "confusion.png": None, "confusion.pdf": None},
    **{f"{name}.{ending}": None for name in FIGURES for ending in ("png", "pdf")},
}

DESCRIPTION = """\
Train on a reference, embed a query, transfer labels between its modalities, and report accuracy.

Without --data, a paired reference (RNA + ATAC) and a query from other batches are simulated.
The model is trained with the query (semi-supervised, without the query's labels and pairs). Each
modality of the query is embedded separately. With --data, your own paired cells are used.

With --unpaired, no cell is measured twice and there is no reference: cells are coupled through
linked features, as in `scminnet integrate`. Only the RNA has cell types. Accuracy is measured
against the simulated truth.

examples:
  scminnet demo
  scminnet demo --unpaired
  scminnet demo --data cells.h5mu --modalities rna adt --labels-key cell_type --batch-key donor
"""


def add(commands: Any) -> None:
    """Add the command."""
    demo = new_command(
        commands, "demo", help="train, embed and measure on simulated or your own data", description=DESCRIPTION
    )
    data = demo.add_argument_group("your data")
    data.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="your paired cells: .h5mu, or .h5ad or 10x .h5 with feature types (default: simulate cells)",
    )
    data.add_argument(
        "--modalities", nargs="+", metavar="NAME", help="modalities of --data, e.g. rna adt (needed with --data)"
    )
    data.add_argument("--labels-key", metavar="COLUMN", help="column of obs with cell types (needed with --data)")
    add_unlabeled(data)
    data.add_argument(
        "--batch-key", metavar="COLUMN", help="column of obs with donors, samples or sites (default: one batch)"
    )
    data.add_argument(
        "--test",
        type=Path,
        metavar="FILE",
        help="the query: a file with other cells, or a text file with the names of cells of --data to hold out, one "
        "per line (default: 30 %% of the cells, in whole batches if there are at least four)",
    )
    demo.add_argument(
        "--unpaired",
        action="store_true",
        help="simulate cells without pairs and without a reference (default: paired reference)",
    )
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("minnet-demo"),
        metavar="FOLDER",
        help="folder for the results; what an earlier demo wrote there is replaced (default: %(default)s)",
    )
    demo.add_argument(
        "--cells",
        type=at_least(200),
        default=4000,
        metavar="N",
        help="number of cells to simulate, at least 200 (default: %(default)s)",
    )
    demo.add_argument(
        "--preset", choices=["default", "paper"], default="default", help="hyperparameters (default: %(default)s)"
    )
    demo.add_argument(
        "--max-epochs", type=at_least(1), metavar="N", help="largest number of epochs (default: the preset's)"
    )
    demo.add_argument("--no-progress", action="store_true", help="show no progress bars (default: show them)")
    add_common(demo, _demo)


def _demo(given: argparse.Namespace) -> str:
    of_data = {name: getattr(given, name) for name in ("modalities", "labels_key", "batch_key", "test")}
    if given.data is None and any(value is not None for value in of_data.values()):
        given.parser.error("--modalities, --labels-key, --batch-key and --test describe --data, which is missing")
    if given.data is not None and (len(given.modalities or []) < 2 or given.labels_key is None):
        given.parser.error("--data needs --modalities (two names or more) and --labels-key")
    if given.modalities is not None:
        check_names(given)
    if given.unpaired and (given.data is not None or given.preset != "default"):
        given.parser.error("--unpaired simulates cells, with the default preset. Run `scminnet integrate` on your data")
    check_inputs(given, {"--data": given.data, "--test": given.test})
    inputs = [given.data, given.test]
    with claimed(given, contents=CONTENTS, overwrite=True, inputs=inputs) as out, quiet(given.threads):
        common = {"max_epochs": given.max_epochs, "progress": not given.no_progress, "seed": given.seed}
        with out.partial() as partial:
            if given.unpaired:
                from scminnet.cli import demo_unpaired

                measured = demo_unpaired.run(given.cells, partial, say, **common)
                written = "report.csv, integrated.h5mu, model, and figures: embedding, confusion and history"
            else:
                from scminnet.cli import demo_steps as job

                if given.data is None:
                    work = job.simulated_job(given.cells, given.seed)
                else:
                    work = job.user_job(given.data, **of_data, seed=given.seed)
                measured = job.run(
                    work,
                    partial,
                    say,
                    unlabeled_category=given.unlabeled_category,
                    preset=given.preset,
                    **common,
                )
                written = "report.csv, query.h5mu, model, and umap, confusion and history"
        if write_report(given, out, measured.cells, **measured.known):
            written = f"report.html, {written}"
    table = measured.report.to_string(index=False, float_format="{:.3f}".format)
    return f"{table}\nresults are in {given.out.resolve()}: {written} as .png and .pdf"
