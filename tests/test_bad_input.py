"""Bad input to every public function that takes data.

Which error, that the docstring promises it, that it names the fault and the remedy, and that the data are as they were.
Faults special to a function are tested beside its other tests; those of the model in ``model/test_bad_input.py``.
"""

from __future__ import annotations

import inspect
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import scminnet as mn
from scminnet.datasets import simulate_multiome

from .fingerprint import fingerprint

TSS = pd.DataFrame({"gene": ["g"], "chrom": ["chr1"], "tss": [1], "strand": ["+"]})


class Given(NamedTuple):
    """A function with arguments that it takes."""

    function: Callable[..., Any]
    arguments: dict[str, Any]


#: Those that write into a MuData.
WRITERS = {
    "pp.feature_links": Given(mn.pp.feature_links, {"first": "rna", "second": "atac", "annotation": TSS}),
    "pp.filter_cells": Given(mn.pp.filter_cells, {"thresholds": {"rna": {"n_features": (0, 1e6)}}}),
    "pp.gene_activity": Given(mn.pp.gene_activity, {"tss": TSS}),
    "pp.join_modalities": Given(mn.pp.join_modalities, {"modalities": ["rna", "atac"]}),
    "pp.margin_graph": Given(mn.pp.margin_graph, {}),
    "pp.normalize": Given(mn.pp.normalize, {"modalities": ["rna", "atac"]}),
    "pp.select_features": Given(mn.pp.select_features, {"modalities": ["rna", "atac"], "layer": "log"}),
    "tl.cre_links": Given(mn.tl.cre_links, {"tss": TSS}),
    "tl.differential_links": Given(mn.tl.differential_links, {"condition": "condition", "reference": "a"}),
    "tl.match_cells": Given(mn.tl.match_cells, {"source": "rna", "target": "atac"}),
    "tl.minibulk": Given(mn.tl.minibulk, {"groupby": "cell_type", "n_bulks": 20}),
    "tl.minnet_smooth": Given(mn.tl.minnet_smooth, {}),
    "tl.transfer_labels": Given(
        mn.tl.transfer_labels, {"source": "rna", "target": "atac", "labels_key": "cell_type"}
    ),
}  # fmt: skip

#: Those that only read one.
READERS = {
    "tl.export_seurat": Given(mn.tl.export_seurat, {"path": Path(tempfile.gettempdir()) / "scminnet-never-written"}),
    "tl.impute": Given(mn.tl.impute, {"modality": "rna"}),
    "metrics.integration_report": Given(
        mn.metrics.integration_report, {"modalities": ["rna", "atac"], "labels_key": "cell_type"}
    ),
    "pl.embedding": Given(mn.pl.embedding, {"modalities": ["rna", "atac"], "color": "cell_type"}),
    "pl.pair_distances": Given(mn.pl.pair_distances, {"modalities": ["rna", "atac"]}),
    "pl.link_scatter": Given(mn.pl.link_scatter, {"gene": "g", "peak": "p"}),
    "pl.links": Given(mn.pl.links, {"gene": "g"}),
}

FUNCTIONS = WRITERS | READERS

#: By function, how an argument names a modality, and how it names a column.
MODALITY = {
    "pp.feature_links": {"first": "no"},
    "pp.filter_cells": {"thresholds": {"no": {"n_features": (0, 1)}}},
    "pp.gene_activity": {"atac": "no"},
    "pp.join_modalities": {"modalities": ["rna", "no"]},
    "pp.margin_graph": {"modality": "no"},
    "pp.normalize": {"modalities": ["no"]},
    "pp.select_features": {"modalities": ["rna", "no"]},
    "tl.cre_links": {"atac": "no"},
    "tl.differential_links": {"rna": "no"},
    "tl.export_seurat": {"modalities": ["no"]},
    "tl.impute": {"modality": "no"},
    "tl.match_cells": {"target": "no"},
    "tl.minibulk": {"modalities": ["no"]},
    "tl.minnet_smooth": {"modalities": ["no"]},
    "tl.transfer_labels": {"source": "no"},
    "metrics.integration_report": {"modalities": ["rna", "no"]},
    "pl.embedding": {"modalities": ["rna", "no"]},
    "pl.pair_distances": {"modalities": ["rna", "no"]},
    "pl.link_scatter": {"rna": "no"},
}
COLUMN = {
    "pp.margin_graph": {"batch_key": "no"},
    "pp.select_features": {"batch_key": "no"},
    "tl.cre_links": {"groupby": "no"},
    "tl.differential_links": {"condition": "no"},
    "tl.minibulk": {"groupby": "no"},
    "tl.minnet_smooth": {"condition": "no"},
    "tl.transfer_labels": {"labels_key": "no"},
    "metrics.integration_report": {"labels_key": "no"},
    "pl.embedding": {"color": "no"},
    "pl.pair_distances": {"labels_key": "no"},
}
LAYER = {
    "pp.filter_cells": {"layer": "no"},
    "pp.gene_activity": {"layer": "no"},
    "pp.join_modalities": {"layers": "no"},
    "pp.margin_graph": {"layer": "no"},
    "pp.select_features": {"layer": "no"},
    "tl.cre_links": {"layer": "no"},
    "tl.export_seurat": {"layer": "no"},
    "tl.impute": {"counts_layer": "no"},
    "tl.minibulk": {"layer": "no"},
    "tl.minnet_smooth": {"layer": {"rna": "no"}},
}
OUT_OF_RANGE = {
    "pp.feature_links": {"upstream": -1},
    "pp.gene_activity": {"upstream": -1},
    "pp.margin_graph": {"n_neighbors": 0},
    "pp.normalize": {"target_sum": float("inf")},
    "pp.select_features": {"n_top_genes": 0},
    "tl.cre_links": {"min_bulks": 0},
    "tl.differential_links": {"n_permutations": -1},
    "tl.impute": {"quantile": -1},
    "tl.match_cells": {"n_neighbors": 0},
    "tl.minibulk": {"n_bulks": 0},
    "tl.minnet_smooth": {"quantile": 1.5},
    "tl.transfer_labels": {"n_neighbors": 2.5},
    "metrics.integration_report": {"n_neighbors": 0},
    "pl.pair_distances": {"n_negatives": 0},
}
NO_CHOICE = {
    "pp.feature_links": {"method": "no"},
    "pp.margin_graph": {"batch_correction": "no"},
    "pp.normalize": {"methods": {"rna": "no"}},
    "pp.select_features": {"flavor": "no"},
    "tl.cre_links": {"method": "no"},
    "tl.differential_links": {"method": "no"},
    "tl.match_cells": {"method": "no"},
}
EMBEDDED = [
    "tl.impute", "tl.match_cells", "tl.minibulk", "tl.minnet_smooth", "tl.transfer_labels",
    "metrics.integration_report", "pl.embedding", "pl.pair_distances",
]  # fmt: skip
VALUES = [
    "pp.gene_activity", "pp.join_modalities", "pp.margin_graph", "pp.normalize", "tl.cre_links", "tl.export_seurat",
    "tl.minibulk", "tl.minnet_smooth",
]  # fmt: skip


def nothing(mdata: MuData) -> MuData:
    return mdata


def first_modality(mdata: MuData) -> Any:
    return mdata["rna"]


def view(mdata: MuData) -> MuData:
    return mdata[:50]


def without_embedding(mdata: MuData) -> MuData:
    for adata in mdata.mod.values():
        adata.obsm.clear()
    mdata.obsm.clear()
    return mdata


def nan_embedding(mdata: MuData) -> MuData:
    mdata["atac"].obsm["X_minnet"][3, 1] = np.nan
    return mdata


def nan_values(mdata: MuData) -> MuData:
    for adata in mdata.mod.values():
        adata.X.data[0] = np.nan
    return mdata


def text_values(mdata: MuData) -> MuData:
    for adata in mdata.mod.values():
        adata.X = np.full(adata.shape, "a", dtype=object)
    return mdata


class Case(NamedTuple):
    name: str
    change: Callable[[MuData], Any]
    arguments: Mapping[str, Any]
    error: type[Exception]
    words: str


def named(argument: Mapping[str, Any]) -> str:
    """Require that the text has the argument's name in backticks, with or without an s, or the value given."""
    return rf"`{next(iter(argument)).rstrip('s')}s?`|'no'"


NO_MUDATA = r"`(mdata|bulks)` must be a MuData, found AnnData.*MuData\("

CASES = {
    f"{name}: {what}": Case(name, change, arguments, error, words)
    for what, change, table, error, words in [
        ("no MuData", first_modality, dict.fromkeys(FUNCTIONS, {}), TypeError, NO_MUDATA),
        ("a view", view, dict.fromkeys(WRITERS, {}), ValueError, r"`mdata` is a view.*`mdata\.copy\(\)`"),
        ("unknown modality", nothing, MODALITY, ValueError, "'no'"),
        ("unknown column", nothing, COLUMN, KeyError, "'no'"),
        ("unknown layer", nothing, LAYER, ValueError, "'no'"),
        ("out of range", nothing, OUT_OF_RANGE, ValueError, ""),
        ("no choice", nothing, NO_CHOICE, ValueError, "'no'"),
        ("no embedding", without_embedding, dict.fromkeys(EMBEDDED, {}), KeyError, "X_minnet"),
        ("NaN in the embedding", nan_embedding, dict.fromkeys(EMBEDDED, {}), ValueError, "X_minnet"),
        ("NaN among values", nan_values, dict.fromkeys(VALUES, {}), ValueError, "NaN"),
        ("text for values", text_values, dict.fromkeys(VALUES, {}), TypeError, "numeric"),
    ]
    for name, arguments in table.items()
}  # fmt: skip


@pytest.fixture(scope="module")
def source() -> MuData:
    mdata = simulate_multiome(120, n_types=3, n_lineages=2, n_batches=2, n_genes=40, n_peaks=80)
    rng = np.random.default_rng(0)
    for adata in mdata.mod.values():
        adata.X = sparse.csr_matrix(adata.X, dtype=np.float32)
        adata.layers["log"] = adata.X.log1p()
        adata.obsm["X_minnet"] = rng.normal(size=(adata.n_obs, 4)).astype(np.float32)
    mdata.obs["condition"] = np.where(np.arange(mdata.n_obs) % 2, "a", "b")
    return mdata


def promised(function: Callable[..., Any], error: type[Exception]) -> bool:
    """Tell whether the docstring's section of errors has this one."""
    section = re.search(
        r"^Raises\n-+\n(.*?)(\n\w[\w ]*\n-+\n|\Z)", inspect.getdoc(function) or "", re.DOTALL | re.MULTILINE
    )
    return section is not None and any(base.__name__ in section[1] for base in error.__mro__[:-2])


def test_there_are_many_cases_and_no_public_function_of_data_is_left_out() -> None:
    assert len(CASES) >= 80
    taking = {
        f"{part.__name__.rpartition('.')[2]}.{name}"
        for part in (mn.pp, mn.tl, mn.pl, mn.metrics)
        for name in part.__all__
        if inspect.isfunction(function := getattr(part, name))
        and next(iter(inspect.signature(function).parameters)) in ("mdata", "bulks")
    }
    assert taking == set(FUNCTIONS)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused(case: str, source: MuData) -> None:
    name, change, arguments, error, words = CASES[case]
    function, valid = FUNCTIONS[name]
    data = change(source.copy())
    before = fingerprint(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(error) as caught:
            function(data, **{**valid, **arguments})
    text = str(caught.value.args[0])
    assert type(caught.value) is error
    assert re.search(words, text), text
    if arguments:
        assert re.search(named(arguments), text), text
    # what was found, and then what to do
    assert re.search(r"[.:] \S+", text), text
    assert text.endswith("."), text
    assert promised(function, error), function.__doc__
    assert fingerprint(data) == before
