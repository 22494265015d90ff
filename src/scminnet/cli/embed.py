"""``scminnet embed``: a query in the space of a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scminnet.cli._common import add_common, add_output, check_paths, new_command, quiet, say

#: Column of ``obs`` for the types that the model calls.
PREDICTED = "predicted_label"

DESCRIPTION = """\
Embed cells, measured in any of the model's modalities, and call their types.

The query is written with the embedding in obsm["X_minnet"] of each modality and of the whole,
and the types in obs["predicted_label"]; its values stay as they are. Counts are normalised
for the embedding, as in `scminnet fit`. Whether the query lies inside the range of the model's
reference is told on stderr, and in short as "verdict".

example:
  scminnet embed model query.h5mu -o embedded.h5mu
"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = new_command(commands, "embed", help="embed a query with a model", description=DESCRIPTION)
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder that `scminnet fit` or model.save wrote")
    parser.add_argument("query", type=Path, metavar="QUERY.h5mu", help="cells measured in any of the modalities")
    add_output(parser, "OUT.h5mu", "where to write the query with its embedding")
    add_common(parser, _embed)


def _embed(given: argparse.Namespace) -> dict[str, Any]:
    check_paths(given, given.model, given.query)
    with quiet(given.threads):
        from mudata import read_h5mu

        from scminnet import MinNet
        from scminnet._core.files import replacing_path
        from scminnet._core.keys import EMBEDDING_KEY
        from scminnet.cli.normalisation import normalise_counts

        model = MinNet.load(given.model, adata=False)
        query = read_h5mu(given.query)
        embedded = MinNet.prepare_query_mudata(query, model, inplace=False)
        shared = [m for m in model.modalities if m in embedded.mod]
        say("values: " + "; ".join(normalise_counts(embedded, shared)))
        model.embed(embedded, label_added=PREDICTED)
        query.obs[PREDICTED] = embedded.obs[PREDICTED]
        query.obsm[EMBEDDING_KEY] = embedded.obsm[EMBEDDING_KEY]
        for modality in shared:
            query.mod[modality].obsm[EMBEDDING_KEY] = embedded.mod[modality].obsm[EMBEDDING_KEY]
        # a checkpoint keeps nothing of its reference
        diagnosis = model.diagnose(embedded) if model.reference_range_ is not None else None
        say(str(diagnosis) if diagnosis else "the model keeps nothing to hold the query against")
        say("writing ...")
        with replacing_path(given.out) as partial:
            query.write(partial)
    return {
        "out": str(given.out.resolve()),
        "cells": {m: query.mod[m].n_obs for m in shared},
        "embedding": EMBEDDING_KEY,
        "verdict": diagnosis.verdict if diagnosis else "unknown",
        "predicted": query.obs[PREDICTED].value_counts().to_dict(),
    }
