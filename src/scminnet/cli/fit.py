"""``scminnet fit``: trains a model on a paired reference."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scminnet.cli._common import add_common, add_output, at_least, check_paths, new_command, quiet, say
from scminnet.cli.report import write_report

DESCRIPTION = """\
Train a model on paired, annotated cells.

Modalities with counts are normalised: genes log-normalised, proteins CLR, peaks TF-IDF.
Other values are used unchanged.

examples:
  scminnet fit reference.h5mu --modalities rna adt --labels-key cell_type --batch-key donor -o model
  scminnet fit reference.h5mu --modalities rna activity --labels-key cell_type -o model --seed 1
  scminnet fit reference.h5mu --modalities rna adt --labels-key cell_type -o model --query query.h5mu
"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = new_command(commands, "fit", help="train a model on a paired reference", description=DESCRIPTION)
    parser.add_argument("reference", type=Path, metavar="REF.h5mu", help="paired cells")
    add_output(parser, "MODEL", "folder for the model")
    parser.add_argument("--modalities", nargs="+", required=True, metavar="NAME", help="two or more, e.g. rna adt")
    parser.add_argument(
        "--labels-key", metavar="COLUMN", help="column of obs with cell types (default: train without cell types)"
    )
    parser.add_argument("--batch-key", metavar="COLUMN", help="column of obs with donors, samples or sites")
    parser.add_argument("--query", type=Path, metavar="QUERY.h5mu", help="train with this query (semi-supervised)")
    parser.add_argument(
        "--preset", choices=["default", "paper"], default="default", help="hyperparameters (%(default)s)"
    )
    parser.add_argument("--max-epochs", type=at_least(1), help="training epochs (default: the preset's)")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="save the training state here; after an interruption, run the same command again to continue",
    )
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    add_common(parser, _fit)


def _fit(given: argparse.Namespace) -> dict[str, Any]:
    check_paths(given, given.reference, given.query)
    with quiet(given.threads):
        from mudata import read_h5mu

        from scminnet import MinNet
        from scminnet._core.files import atomic_path
        from scminnet._core.mdata import check_modalities
        from scminnet.cli.normalisation import normalise_counts
        from scminnet.model.storage.model_card import last_validation

        mdata = read_h5mu(given.reference)
        check_modalities(mdata, given.modalities)
        say("values: " + "; ".join(normalise_counts(mdata, given.modalities)))
        MinNet.setup_mudata(mdata, given.modalities, labels_key=given.labels_key, batch_key=given.batch_key)
        model = MinNet(mdata, preset=given.preset, seed=given.seed)
        query = None
        if given.query is not None:
            query = read_h5mu(given.query)
            MinNet.prepare_query_mudata(query, model)
            say(
                "values of the query: "
                + "; ".join(normalise_counts(query, [m for m in given.modalities if m in query.mod]))
            )
        say(f"training on {mdata.n_obs:,} cells ...")
        model.train(
            max_epochs=given.max_epochs,
            checkpoint=given.checkpoint,
            query=query,
            seed=given.seed,
            enable_progress_bar=not given.no_progress,
            accelerator="cpu",
        )
        with atomic_path(given.out) as partial:
            model.save(str(partial))
        if not given.no_report:
            model.embed()
            write_report(given, model)
    return {
        "model": str(given.out.resolve()),
        "cells": mdata.n_obs,
        "features": {m: mdata.mod[m].n_vars for m in given.modalities},
        "labels": model.labels.tolist(),
        "epochs": model.trainer.current_epoch,
        "last_validation": last_validation(model),
    }
