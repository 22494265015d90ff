"""``scminnet embed``: embeds a query with a trained model and predicts cell types."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scminnet.cli._common import add_common, add_output, check_inputs, new_command, quiet, say
from scminnet.cli.outputs import claimed, writing
from scminnet.cli.report import write_report

#: Column of ``obs`` for the predicted cell types.
PREDICTED = "predicted_label"

DESCRIPTION = """\
Embed cells measured in any of the model's modalities, and predict their cell types.

The query is written with the embedding in obsm["X_minnet"] of the MuData and of each modality,
and the cell types in obs["predicted_label"], if the model was trained with cell types. The
query's values do not change. Counts are normalised for the embedding, as in `scminnet fit`.
A diagnosis on stderr, and "verdict" in the result, say whether the query lies within the range
of the model's reference.

example:
  scminnet embed model query.h5mu -o embedded.h5mu
"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = new_command(commands, "embed", help="embed a query with a model", description=DESCRIPTION)
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder that `scminnet fit` or model.save wrote")
    parser.add_argument("query", type=Path, metavar="QUERY", help="cells of any modality: .h5mu, .h5ad or 10x .h5")
    add_output(parser, "OUT.h5mu", ".h5mu file for the query with its embedding")
    add_common(parser, _embed)


def _embed(given: argparse.Namespace) -> dict[str, Any]:
    check_inputs(given, {"MODEL": given.model, "QUERY": given.query})
    if not given.model.is_dir():
        given.parser.error(f"MODEL: {given.model} is a file; give the folder that `scminnet fit` wrote")
    with claimed(given, formats=["h5mu"]) as out, quiet(given.threads):
        from scminnet import MinNet
        from scminnet._core.keys import EMBEDDING_KEY
        from scminnet.cli.inputs import read_query, reading
        from scminnet.cli.normalisation import normalise_counts

        with reading(given.model, explained=True):
            model = MinNet.load(given.model, adata=False)
        query = read_query(given.query, model.get_var_names())
        embedded = MinNet.prepare_query_mudata(query, model, inplace=False)
        shared = [m for m in model.modalities if m in embedded.mod]
        say("values: " + "; ".join(normalise_counts(embedded, shared)))
        predicts = len(model.labels) > 0
        model.embed(embedded, label_added=PREDICTED if predicts else None)
        if predicts:
            query.obs[PREDICTED] = embedded.obs[PREDICTED]
        else:
            say("no cell types: the model was trained without")
        query.obsm[EMBEDDING_KEY] = embedded.obsm[EMBEDDING_KEY]
        for modality in shared:
            query.mod[modality].obsm[EMBEDDING_KEY] = embedded.mod[modality].obsm[EMBEDDING_KEY]
        # a model from a checkpoint has no range of the reference
        diagnosis = model.diagnose(embedded) if model.reference_range_ is not None else None
        say(str(diagnosis) if diagnosis else "no diagnosis: the model keeps nothing of its reference")
        say("writing ...")
        with out.partial() as partial, writing(given.out.name):
            query.write(partial)
        write_report(given, out, query, model=model, diagnosis=diagnosis, predicted_key=PREDICTED)
    return {
        "out": str(given.out.resolve()),
        "cells": {m: query.mod[m].n_obs for m in shared},
        "embedding": EMBEDDING_KEY,
        "verdict": diagnosis.verdict if diagnosis else "unknown",
        "predicted": query.obs[PREDICTED].value_counts().to_dict() if predicts else {},
    }
