"""A few texts that identify a training, so that a checkpoint of another training is recognised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from mudata import MuData
from scipy import sparse

from scminnet._core.matrices import ROWS, row_blocks
from scminnet.model.recipe import Recipe
from scminnet.model.training.evidence import Evidence
from scminnet.model.training.margin_distances import stored_margin_graph
from scminnet.model.training.training_data import TrainingData


def describe_training(
    mdata: MuData,
    query: MuData | None,
    data: TrainingData,
    recipe: Recipe,
    evidence: Evidence,
    *,
    plan_kwargs: Mapping[str, Any],
    margin_graph: str | None,
    **arguments: Any,
) -> dict[str, str]:
    """Return what a training must share with the interrupted one: arguments, cells, features and values.

    Parameters
    ----------
    mdata, query
        The reference, and the query if there is one.
    data
        Their cells. Each matrix is read once.
    recipe
        The hyperparameters.
    evidence
        Its feature links are compared.
    plan_kwargs, margin_graph, **arguments
        Arguments of ``train``.
    """
    graph = stored_margin_graph(mdata, margin_graph)
    parts = {
        **recipe.as_dict(),
        "plan_kwargs": sorted(plan_kwargs.items()),
        "margin_graph": margin_graph,
        **arguments,
        "modalities": list(data.modalities),
        "cells": digest(mdata.obs_names),
        **{f"cells of {m}": digest(mdata.mod[m].obs_names) for m in data.modalities if m in mdata.mod},
        **{f"features of {m}": digest(data.features[m]) for m in data.modalities},
        **{f"values of {m}": digest_values(matrix) for m, matrix in data.matrices.items()},
        "labels": digest(data.labels),
        "batches": digest(data.batches),
        "query": None if query is None else digest(query.obs_names),
        **{f"values of {m} in the query": digest_values(part.matrix) for m, part in data.query.items()},
        "values of the margin graph": None if graph is None else digest_values(graph[1]),
        "feature_links": [digest([*links.indptr, *links.indices, *links.data]) for links in evidence.links.values()],
        "groups of cells": digest(data.groups),
    }
    return {"scminnet": version("scminnet")} | {name: str(part) for name, part in parts.items()}


def digest(texts: Iterable[Any]) -> str:
    """Return a short hash of a long list."""
    return hashlib.blake2b("\n".join(map(str, texts)).encode(), digest_size=8).hexdigest()


def digest_values(matrix: Any) -> str:
    """Return a short hash of a matrix's values, the same in memory, on disk and as a dask array, sparse or dense."""
    hashes = [hashlib.blake2b(digest_size=8) for _ in range(3)]
    for _, block in row_blocks(matrix, ROWS):
        # a copy, because the order of a block's values is changed
        rows = sparse.csr_matrix(block, copy=True)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        parts = np.diff(rows.indptr).astype(np.int64), rows.indices.astype(np.int64), rows.data.astype(np.float32)
        for part, made in zip(parts, hashes, strict=True):
            made.update(part)
    return hashlib.blake2b(b"".join(made.digest() for made in hashes), digest_size=8).hexdigest()
