"""``scminnet fit``: trains a model on a paired reference."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scminnet._core.outputs import check_output
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
from scminnet.cli.outputs import MODEL, claimed, writing
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
    parser.add_argument(
        "reference", type=Path, metavar="REF", help="paired cells: .h5mu, or .h5ad or 10x .h5 with feature types"
    )
    add_output(parser, "MODEL", "folder for the model")
    parser.add_argument(
        "--modalities", nargs="+", required=True, metavar="NAME", help="modalities to train on, two or more: rna adt"
    )
    parser.add_argument(
        "--labels-key", metavar="COLUMN", help="column of obs with cell types (default: train without cell types)"
    )
    add_unlabeled(parser)
    parser.add_argument(
        "--batch-key", metavar="COLUMN", help="column of obs with donors, samples or sites (default: one batch)"
    )
    parser.add_argument(
        "--query", type=Path, metavar="QUERY", help="train with this query, semi-supervised (default: without)"
    )
    parser.add_argument(
        "--preset", choices=["default", "paper"], default="default", help="hyperparameters (default: %(default)s)"
    )
    parser.add_argument(
        "--max-epochs", type=at_least(1), metavar="N", help="largest number of epochs (default: the preset's)"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="save the training state here after each epoch; after an interruption, run the same command again to "
        "continue (default: save none)",
    )
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar (default: show one)")
    add_common(parser, _fit)


def _fit(given: argparse.Namespace) -> dict[str, Any]:
    check_inputs(given, {"REF": given.reference, "--query": given.query})
    check_names(given)
    _check_checkpoint(given)
    inputs = [given.reference, given.query, given.checkpoint]
    with claimed(given, contents=MODEL, inputs=inputs) as out, quiet(given.threads):
        from scminnet import MinNet
        from scminnet.cli.inputs import read_mudata, read_query
        from scminnet.cli.normalisation import normalise_counts
        from scminnet.model.storage.model_card import last_validation

        mdata = read_mudata(given.reference, given.modalities)
        say("values: " + "; ".join(normalise_counts(mdata, given.modalities)))
        MinNet.setup_mudata(
            mdata,
            given.modalities,
            labels_key=given.labels_key,
            batch_key=given.batch_key,
            unlabeled_category=given.unlabeled_category,
        )
        model = MinNet(mdata, preset=given.preset, seed=given.seed)
        query = None
        if given.query is not None:
            query = read_query(given.query, model.get_var_names())
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
        with out.partial() as partial, writing(given.out.name):
            model.save(str(partial))
        write_report(given, out, model)
    return {
        "model": str(given.out.resolve()),
        "cells": mdata.n_obs,
        "features": {m: mdata.mod[m].n_vars for m in given.modalities},
        "labels": model.labels.tolist(),
        "epochs": model.trainer.current_epoch,
        "last_validation": last_validation(model),
    }


def _check_checkpoint(given: argparse.Namespace) -> None:
    """Exit with 2 unless the checkpoint can be written."""
    if given.checkpoint is None:
        return
    try:
        check_output(given.checkpoint, "--checkpoint")
    except OSError as error:
        given.parser.error(str(error))
    if given.out.resolve() in (given.checkpoint.resolve(), *given.checkpoint.resolve().parents):
        given.parser.error("--checkpoint lies in --out, which is replaced as a whole; give another --checkpoint")
