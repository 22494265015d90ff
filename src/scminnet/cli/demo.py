"""``scminnet demo``: training, embedding, label transfer and accuracy in one run."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from scminnet.cli._common import add_common, at_least, check_paths, new_command, quiet, say
from scminnet.cli.report import write_report

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
    data.add_argument("--data", type=Path, metavar="FILE.h5mu", help="your paired cells")
    data.add_argument("--modalities", nargs="+", metavar="NAME", help="modalities of --data, e.g. rna adt")
    data.add_argument("--labels-key", metavar="COLUMN", help="column of obs with cell types")
    data.add_argument("--batch-key", metavar="COLUMN", help="column of obs with donors, samples or sites")
    data.add_argument(
        "--test",
        type=Path,
        metavar="FILE",
        help="the query: .h5mu with other cells, or a text file with the names of cells of --data to hold out; "
        "default: 30 %% of the cells, in whole batches if there are at least four",
    )
    demo.add_argument("--unpaired", action="store_true", help="simulate cells without pairs and without a reference")
    demo.add_argument("--out", type=Path, default=Path("minnet-demo"), help="folder for the results (%(default)s)")
    demo.add_argument("--cells", type=at_least(200), default=4000, help="cells to simulate (%(default)s)")
    demo.add_argument("--preset", choices=["default", "paper"], default="default", help="hyperparameters (%(default)s)")
    demo.add_argument("--max-epochs", type=at_least(1), help="training epochs (default: the preset's)")
    demo.add_argument("--no-progress", action="store_true", help="no progress bars")
    add_common(demo, _demo)


def _demo(given: argparse.Namespace) -> None:
    of_data = {name: getattr(given, name) for name in ("modalities", "labels_key", "batch_key", "test")}
    if given.data is None and any(value is not None for value in of_data.values()):
        given.parser.error("--modalities, --labels-key, --batch-key and --test describe --data, which is missing")
    if given.data is not None and (len(given.modalities or []) < 2 or given.labels_key is None):
        given.parser.error("--data needs --modalities (two names or more) and --labels-key")
    if given.unpaired and (given.data is not None or given.preset != "default"):
        given.parser.error("--unpaired simulates cells, with the default preset. Run `scminnet integrate` on your data")
    check_paths(given, given.data, given.test)
    if given.unpaired:
        return _demo_unpaired(given)
    with quiet(given.threads):
        from scminnet.cli import demo_steps as job

        if given.data is None:
            work = job.simulated_job(given.cells, given.seed)
        else:
            work = job.user_job(given.data, **of_data, seed=given.seed)
        report = job.run(
            work,
            given.out,
            say,
            max_epochs=given.max_epochs,
            preset=given.preset,
            progress=not given.no_progress,
            seed=given.seed,
            page=partial(write_report, given),
        )
    print(report.to_string(index=False, float_format="{:.3f}".format))
    print(
        f"results are in {given.out.resolve()}: {'' if given.no_report else 'report.html, '}report.csv, query.h5mu, "
        "model, and umap, confusion and history as .png and .pdf"
    )


def _demo_unpaired(given: argparse.Namespace) -> None:
    with quiet(given.threads):
        from scminnet.cli import demo_unpaired

        report = demo_unpaired.run(
            given.cells,
            given.out,
            say,
            max_epochs=given.max_epochs,
            progress=not given.no_progress,
            seed=given.seed,
            page=partial(write_report, given),
        )
    print(report.to_string(index=False, float_format="{:.3f}".format))
    print(
        f"results are in {given.out.resolve()}: {'' if given.no_report else 'report.html, '}report.csv, "
        "integrated.h5mu, model, and figures: "
        "embedding, confusion and history as .png and .pdf"
    )
