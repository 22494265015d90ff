"""Random calls of all public functions with right and wrong values: documented errors, nothing changed, no silent NaN.

Each call starts from arguments that the function takes. One to three of them are replaced, by a right value of that
argument or by a wrong one of any. The seed is fixed, so a failure can be repeated.
"""

from __future__ import annotations

import inspect
import itertools
import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import scminnet as mn
from scminnet import MinNet
from scminnet._core.mdata import computable_matrices

from .fingerprint import fingerprint

SOURCE = str(Path(mn.__file__).parent)

#: Calls in all, and their seed.
N_CALLS, SEED = 1000, 17

#: Errors that docstrings promise. Those of files are OSErrors.
DOCUMENTED = (ValueError, TypeError, KeyError, OSError, RuntimeError)

#: Columns of tables in which NaN is documented.
MAY_BE_MISSING = {
    "z",
    "p",
    "fdr",
    "share",
    "r_supported",
    "r_unsupported",
    "auprc",
    "auprc_distance",
    "value",
    "expected",
}

RIGHT: dict[str, list[Any]] = {
    "accelerator": ["cpu"],
    "across": [True, False],
    "adata": [False, None],
    "alternative": ["two-sided", "greater"],
    "annotation": [None],
    "ax": [None],
    "background": [None],
    "batch_correction": ["combat", None],
    "batch_key": ["batch", None],
    "batch_size": [20, np.int64(64)],
    "bins": [(0, 1000, 20_000)],
    "chunk_size": [7, np.int64(100)],
    "color": ["cell_type", ["modality"]],
    "condition": [None, "condition"],
    "copy": [False, True],
    "couple_within": [None, "batch"],
    "counts_layer": ["raw"],
    "decay": [None, 500, np.float32(300)],
    "early_stopping": [False],
    "edges": [(0, 10_000, 150_000)],
    "flavor": ["seurat", "cell_ranger"],
    "genes": [None],
    "groupby": ["cell_type", "lineage"],
    "group": [None],
    "hidden_dropout": [0.1, np.float64(0.2)],
    "key_added": ["mine", "other"],
    "label_added": [None, "called"],
    "labels_key": ["cell_type", "cluster", "lineage"],
    "layer": [None, "counts"],
    "layers": [None, "log"],
    "links": [None],
    "margin_graph": [None],
    "max_cells": [50, np.int32(1000)],
    "max_epochs": [1, np.int64(1), np.array(1)],
    "method": ["spearman", "pearson", "mutual", "nearest", "assignment"],
    "min_batches": [1, np.int64(2)],
    "min_bulks": [4, 10],
    "min_cells": [1, np.int64(2)],
    "modalities": [["rna", "atac"], ("atac", "rna"), np.array(["rna", "atac"])],
    "modality": ["rna", "atac", None],
    "n_background": [30, np.int64(40)],
    "n_bulks": [20, np.int64(25)],
    "n_latent": [4, np.int64(8)],
    "n_neighbors": [5, np.int64(7), np.array(6)],
    "n_pcs": [10, np.int64(5)],
    "n_permutations": [0, np.int64(5)],
    "n_top_genes": [20, np.int64(10)],
    "n_top_peaks": [50],
    "null": ["matched", "theoretical", None],
    "overwrite": [True, False],
    "pair_strategy": ["between", "within"],
    "pairing": ["in_batch", "sampled"],
    "paired": [True, 0.5],
    "plan_kwargs": [None, {"lr": 1e-3}, {"max_steps": np.int64(20)}],
    "point_size": [None, 3],
    "preset": ["default"],
    "prefix": [None, "a_"],
    "quantile": [0.9, np.float64(1.0)],
    "query": [None],
    "resolutions": [(0.5, 1.0)],
    "save": [None],
    "save_anndata": [False],
    "score": ["r", "z", "p"],
    "seed": [0, np.int64(5), np.array(3), 2**32 - 1],
    "slack": [0, np.int64(1000)],
    "soft": [True, False],
    "source": ["rna"],
    "statistics": ["query", "reference"],
    "subset": [True, False],
    "target": ["atac"],
    "target_sum": [1e4, 1000, np.float32(500)],
    "tss": [],
    "train_size": [0.8, 1.0],
    "unassigned": ["unassigned", None],
    "unlabeled_category": ["Unknown", ["nan", "none"], "type_1"],
    "upstream": [2000, np.int64(150_000)],
    "use_rep": ["X_minnet"],
}  # fmt: skip

WRONG: list[Any] = [
    None,
    "no",
    "",
    " ",
    "a/b",
    "nul\0",
    b"rna",
    -1,
    0,
    1,
    2.5,
    10**30,
    float("nan"),
    float("inf"),
    True,
    [1],
    [],
    ["rna"],
    ["rna", 3],
    "rna",
    ("rna", "rna"),
    {},
    {"rna": 3},
    {1: "rna"},
    {"rna": "no"},
    {"no": "log"},
    np.array([1, 2]),
    np.float64(2.5),
    np.array("rna", dtype=object),
    np.bool_(True),
    object(),
    len,
    Path("/no/such/folder/file"),
    pd.NA,
    pd.DataFrame({"a": [1]}),
    np.zeros((3, 2)),
    complex(1, 2),
]


#: Values of the right type, some of them right, by the type that an annotation begins with.
NEAR: dict[str, list[Any]] = {
    "str": ["no", "", "rna", "atac", "cell_type", "state", "doubtful", "cluster", "counts", "log", "minibulk", "name"],
    "int": [-1, 0, 1, 2, 3, 89, 90, 91, 1000],
    "float": [-0.5, 0, 0.0, 1e-9, 0.5, 1, 1.0, 1e300, float("inf"), 5e-324],
    "bool": [True, False],
    "Sequence[str]": [[], ["rna"], ["rna", "rna"], ["atac", "rna"], ["no", "rna"], ["log"]],
    "Mapping": [{}, {"rna": "log"}, {"rna": None}, {"atac": "peaks"}, {"rna": "cell_type", "atac": "cell_type"}],
}  # fmt: skip


#: Values of arguments for which others would take too long: each device is a process.
ONLY: dict[str, list[Any]] = {
    "devices": [1, "auto", "no", "", 0, True, 2.5, [], {}, [1.5], None],
    "device": [1, "auto", "no", "", 0, True, 2.5, [], {}, None],
    "max_epochs": [1, -1, 0, 2, 1.5, "1", np.int64(1), np.array(1), True, [1], {}],
    "n_permutations": [-1, 0, 1, 3, 1.5, "1", np.int64(2), True, [1]],
}  # fmt: skip


def float16(matrix: Any) -> Any:
    matrix = sparse.csr_matrix(matrix)
    matrix.data = matrix.data.astype(np.float16)
    return matrix


#: Other forms of the cells' values.
FORMS: dict[str, Callable[[Any], Any]] = {
    "cells": lambda matrix: matrix,
    "dense": lambda matrix: matrix.toarray(),
    "float16": float16,
    "longdouble": lambda matrix: matrix.toarray().astype(np.longdouble),
    "uint8": lambda matrix: matrix.astype(np.uint8),
    "int64": lambda matrix: matrix.astype(np.int64),
    "bool": lambda matrix: matrix.astype(bool),
    "csc": lambda matrix: matrix.tocsc(),
    "array": sparse.csr_array,
    "signed": lambda matrix: matrix.toarray() - 1.5,
    "constant": lambda matrix: np.ones(matrix.shape, dtype=np.float32),
    "tiny": lambda matrix: matrix * np.float32(1e-30),
    "large": lambda matrix: matrix * np.float32(1e10),
}


class World(NamedTuple):
    """What functions are called with."""

    cells: MuData
    bulks: MuData
    model: MinNet
    folder: Path


class Call(NamedTuple):
    """A function, which arguments it takes, and how often it is called."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    weight: float = 1.0


def make_world(folder: Path) -> World:
    cells = mn.datasets.simulate_multiome(
        90, n_types=3, n_lineages=2, n_batches=2, n_genes=40, n_peaks=90, n_conditions=2, batch_effect=0.1, seed=1
    )
    rng = np.random.default_rng(0)
    mn.pp.normalize(cells)
    for adata in cells.mod.values():
        adata.layers["log"] = adata.X.copy()
        adata.obsm["X_minnet"] = (
            rng.normal(size=(90, 3)) + cells.obs["cell_type"].cat.codes.to_numpy()[:, None]
        ).astype(np.float32)
    cells.obs["cluster"] = cells.obs["cell_type"].cat.codes.astype(float)
    cells.obs["doubtful"] = np.where(np.arange(90) < 5, "nan", cells.obs["cell_type"].astype(str))
    bulks = mn.tl.minibulk(cells, 30, groupby="lineage", condition="condition", layer="counts")
    mn.tl.cre_links(bulks, tss_of(cells), min_bulks=4, n_background=30)
    MinNet.setup_mudata(cells, ["rna", "atac"], labels_key="cell_type", batch_key="batch")
    model = MinNet(cells, n_hidden=8, n_latent=4, n_components=5, n_canonical=4)
    model.train(max_epochs=1, enable_progress_bar=False)
    model.save(folder / "model")
    return World(cells, bulks, model, folder)


def tss_of(mdata: MuData) -> pd.DataFrame:
    return mdata["rna"].var.rename_axis("gene").reset_index()


def half_without_rna(mdata: MuData) -> MuData:
    """Cells of which the second half lack RNA."""
    # scipy can not select rows of float16
    with computable_matrices(mdata):
        result = MuData({"rna": mdata["rna"][:45].copy(), "atac": mdata["atac"].copy()})
    result.obs = mdata.obs.loc[result.obs_names].copy()
    return result


def calls_of(world: World, new: Callable[[str], MuData], numbers: Iterator[int]) -> dict[str, Callable[[], Call]]:
    """Each function with arguments that it takes. Data are made when a call is, because calls change them."""
    tss = tss_of(world.cells)
    points, labels = world.cells["rna"].obsm["X_minnet"], world.cells.obs["cell_type"].astype(str).to_numpy()
    gene, peak = world.bulks.uns["cre_links"].loc[0, ["gene", "peak"]]
    path = lambda: world.folder / f"file_{next(numbers)}"  # noqa: E731
    table = pd.DataFrame({"gene": ["a", "b"] * 4, "group": ["x", "y"] * 4, "r": np.linspace(0, 1, 8)})
    train = {"max_epochs": 1, "batch_size": 64, "enable_progress_bar": False, "enable_model_summary": False}

    def of_model(name: str) -> Callable[..., Any]:
        return getattr(world.model, name)

    return {
        "pp.normalize": lambda: Call(mn.pp.normalize, {"mdata": new("raw"), "modalities": ["rna"]}),
        "pp.filter_cells": lambda: Call(
            mn.pp.filter_cells,
            {"mdata": new("cells"), "thresholds": {"rna": {"n_features": (0, 1e6)}}, "layer": "counts"},
        ),
        "pp.select_features": lambda: Call(
            mn.pp.select_features, {"mdata": new("cells"), "modalities": ["rna", "atac"], "n_top_genes": 20}
        ),
        "pp.gene_activity": lambda: Call(mn.pp.gene_activity, {"mdata": new("cells"), "tss": tss, "layer": "counts"}),
        "pp.join_modalities": lambda: Call(
            mn.pp.join_modalities, {"mdata": new("cells"), "modalities": ["rna", "atac"]}
        ),
        "pp.margin_graph": lambda: Call(
            mn.pp.margin_graph, {"mdata": new("cells"), "batch_key": "batch", "n_pcs": 5, "n_neighbors": 5}
        ),
        "pp.feature_links": lambda: Call(
            mn.pp.feature_links, {"mdata": new("cells"), "first": "rna", "second": "atac", "annotation": tss}
        ),
        "tl.transfer_labels": lambda: Call(
            mn.tl.transfer_labels,
            {"mdata": new("cells"), "source": "rna", "target": "atac", "labels_key": "cell_type", "n_neighbors": 5},
        ),
        "tl.impute": lambda: Call(mn.tl.impute, {"mdata": half_without_rna(new("cells")), "modality": "rna"}),
        "tl.match_cells": lambda: Call(
            mn.tl.match_cells, {"mdata": new("cells"), "source": "rna", "target": "atac", "n_neighbors": 5}
        ),
        "tl.minibulk": lambda: Call(
            mn.tl.minibulk, {"mdata": new("cells"), "n_bulks": 20, "groupby": "cell_type", "layer": "counts"}
        ),
        "tl.minnet_smooth": lambda: Call(
            mn.tl.minnet_smooth, {"mdata": new("cells"), "n_neighbors": 5, "layer": "counts"}
        ),
        "tl.cre_links": lambda: Call(
            mn.tl.cre_links, {"mdata": new("bulks"), "tss": tss, "min_bulks": 4, "n_background": 30}
        ),
        "tl.differential_links": lambda: Call(
            mn.tl.differential_links, {"mdata": new("bulks"), "condition": "condition", "reference": "control"}
        ),
        "tl.link_support": lambda: Call(
            mn.tl.link_support,
            {
                "links": new("bulks"),
                "evidence": pd.DataFrame({"gene": [gene], "chrom": ["chr1"], "start": [0], "end": [10_000_000]}),
            },
        ),
        "tl.export_links": lambda: Call(
            mn.tl.export_links, {"links": new("bulks"), "path": path().with_suffix(".bed"), "format": "bed"}
        ),
        "tl.export_peaks": lambda: Call(
            mn.tl.export_peaks, {"peaks": new("bulks"), "path": path().with_suffix(".bed")}
        ),
        "tl.export_seurat": lambda: Call(
            mn.tl.export_seurat, {"mdata": new("cells"), "path": path(), "reductions": ["X_minnet"]}
        ),
        "tl.region_enrichment": lambda: Call(
            mn.tl.region_enrichment,
            {
                "links": new("bulks"),
                "regions": new("bulks").uns["cre_links"][["chrom", "start", "end"]][:9],
                "n_top": 9,
            },
        ),
        "tl.summarise_genes": lambda: Call(mn.tl.summarise_genes, {"links": new("bulks")}),
        "tl.motif_enrichment": lambda: Call(
            mn.tl.motif_enrichment, {"links": new("bulks"), "genome": "/no/such/genome.fa", "max_fdr": 0.5}
        ),
        "metrics.foscttm": lambda: Call(mn.metrics.foscttm, {"x": points, "y": points[::-1]}),
        "metrics.matching_score": lambda: Call(mn.metrics.matching_score, {"x": points, "y": points[::-1]}),
        "metrics.ari": lambda: Call(
            mn.metrics.ari, {"embedding": points, "labels": labels, "resolutions": (0.5,)}, weight=0.3
        ),
        "metrics.ari_curve": lambda: Call(
            mn.metrics.ari_curve, {"embedding": points, "labels": labels, "resolutions": (0.5,)}, weight=0.3
        ),
        "metrics.label_transfer_accuracy": lambda: Call(
            mn.metrics.label_transfer_accuracy,
            {"source": points, "source_labels": labels, "target": points[::-1], "target_labels": labels[::-1]},
        ),
        "metrics.neighbor_mixing": lambda: Call(
            mn.metrics.neighbor_mixing, {"embedding": points, "groups": labels, "n_neighbors": 5}
        ),
        "metrics.silhouette_label": lambda: Call(mn.metrics.silhouette_label, {"embedding": points, "labels": labels}),
        "metrics.silhouette_batch": lambda: Call(mn.metrics.silhouette_batch, {"embedding": points, "batches": labels}),
        "metrics.silhouette_modality": lambda: Call(
            mn.metrics.silhouette_modality, {"embedding": points, "modalities": labels}
        ),
        "metrics.integration_report": lambda: Call(
            mn.metrics.integration_report,
            {"mdata": new("cells"), "modalities": ["rna", "atac"], "labels_key": "cell_type", "n_neighbors": 5},
            weight=0.2,
        ),
        "pl.embedding": lambda: Call(
            mn.pl.embedding, {"mdata": new("cells"), "modalities": ["rna", "atac"], "color": "cell_type"}, weight=0.3
        ),
        "pl.pair_distances": lambda: Call(
            mn.pl.pair_distances, {"mdata": new("cells"), "modalities": ["rna", "atac"]}, weight=0.5
        ),
        "pl.transfer_heatmap": lambda: Call(
            mn.pl.transfer_heatmap, {"true": labels, "predicted": labels[::-1]}, weight=0.5
        ),
        "pl.imputed": lambda: Call(
            mn.pl.imputed, {"imputed": new("cells")["rna"], "measured": new("cells")["rna"]}, weight=0.5
        ),
        "pl.history": lambda: Call(mn.pl.history, {"model": world.model}, weight=0.5),
        "pl.links": lambda: Call(mn.pl.links, {"bulks": new("bulks"), "gene": gene}, weight=0.5),
        "pl.link_scatter": lambda: Call(
            mn.pl.link_scatter, {"bulks": new("bulks"), "gene": gene, "peak": peak}, weight=0.5
        ),
        "pl.correlation_by_distance": lambda: Call(mn.pl.correlation_by_distance, {"links": new("bulks")}, weight=0.5),
        "pl.smoothing_gain": lambda: Call(mn.pl.smoothing_gain, {"table": table}, weight=0.5),
        "datasets.simulate_multiome": lambda: Call(
            mn.datasets.simulate_multiome,
            {"n_cells": 30, "n_types": 2, "n_lineages": 1, "n_batches": 2, "n_genes": 20, "n_peaks": 40},
        ),
        "read_lazy": lambda: Call(mn.read_lazy, {"path": world.folder / "no.h5mu"}, weight=0.5),
        "MinNet": lambda: Call(MinNet, {"mdata": new("cells")}),
        "MinNet.setup_mudata": lambda: Call(
            MinNet.setup_mudata,
            {"mdata": new("cells"), "modalities": ["rna", "atac"], "labels_key": "cell_type"},
            weight=2,
        ),
        "MinNet.train": lambda: Call(
            MinNet(new("cells"), n_hidden=8, n_latent=4, n_components=5).train, train, weight=1.5
        ),
        "MinNet.embed": lambda: Call(of_model("embed"), {"mdata": new("cells")}, weight=2),
        "MinNet.get_latent_representation": lambda: Call(
            of_model("get_latent_representation"), {"mdata": new("cells")}
        ),
        "MinNet.impute": lambda: Call(of_model("impute"), {"mdata": half_without_rna(new("cells")), "modality": "rna"}),
        "MinNet.predict": lambda: Call(of_model("predict"), {"mdata": new("cells")}),
        "MinNet.diagnose": lambda: Call(of_model("diagnose"), {"mdata": new("cells")}, weight=0.5),
        "MinNet.save": lambda: Call(of_model("save"), {"dir_path": path()}),
        "MinNet.load": lambda: Call(MinNet.load, {"dir_path": world.folder / "model", "adata": False}),
        "MinNet.load_registry": lambda: Call(MinNet.load_registry, {"dir_path": world.folder / "model"}),
        "MinNet.view_setup_args": lambda: Call(MinNet.view_setup_args, {"dir_path": world.folder / "model"}),
        "MinNet.load_query_data": lambda: Call(
            MinNet.load_query_data, {"mdata": new("cells"), "reference_model": world.model}
        ),
        "MinNet.prepare_query_mudata": lambda: Call(
            MinNet.prepare_query_mudata, {"mdata": new("cells"), "reference_model": world.model}
        ),
    }


def missing_in(thing: Any, where: str = "result") -> list[str]:
    """Name the places of values that are not finite, where none is documented."""
    if isinstance(thing, MuData) or hasattr(thing, "obs_names"):
        if "impute" in thing.uns:
            # values of cells out of range are unknown, and say so
            thing = thing[thing.obs["in_range"].to_numpy()]
        found = []
        for name in ("obsm", "layers", "mod", "obsp", "uns"):
            for key, value in dict(getattr(thing, name, None) or {}).items():
                found += missing_in(value, f"{where}.{name}[{key!r}]")
        return found + missing_in(thing.obs, f"{where}.obs") + missing_in(getattr(thing, "X", None), f"{where}.X")
    if isinstance(thing, Mapping):
        return [text for key, value in thing.items() for text in missing_in(value, f"{where}[{key!r}]")]
    if isinstance(thing, pd.DataFrame):
        columns = thing.select_dtypes("floating")
        return [f"{where}[{c!r}]" for c in columns if c not in MAY_BE_MISSING and not np.isfinite(columns[c]).all()]
    if sparse.issparse(thing):
        thing = thing.data
    if isinstance(thing, np.ndarray) and thing.dtype.kind == "f":
        return [] if np.isfinite(thing).all() else [where]
    if isinstance(thing, float):
        return [] if np.isfinite(thing) else [where]
    return []


def is_ours(error: BaseException, names: list[str]) -> bool:
    """Tell whether an error was raised in the package, or names an argument of the call."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error.args[0]) if error.args else ""
    return last.filename.startswith(SOURCE) or any(f"`{name}`" in text for name in names)


def random_calls(world: World, n_calls: int, seed: int) -> list[str]:
    """Make random calls, and describe each that ends in a way that is not documented."""
    rng = np.random.default_rng(seed)
    raw = world.cells.copy()
    for adata in raw.mod.values():
        adata.X = adata.layers.pop("counts")
        del adata.uns["normalize"]
    masters = {"cells": world.cells, "bulks": world.bulks, "raw": raw}
    current: dict[str, MuData] = {}
    prints: dict[str, Any] = {}

    def renew(name: str) -> None:
        current[name] = masters[name if name in masters else "cells"].copy()
        if name in FORMS:
            for adata in current[name].mod.values():
                adata.X = FORMS[name](adata.X)
                # anndata 0.13 counts X among the layers, under the name None
                for layer in filter(None, list(adata.layers)):
                    adata.layers[layer] = FORMS[name](adata.layers[layer])
            # a copy is registered no longer, but under the same number
            current[name].uns.pop("_scvi_uuid", None)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                MinNet.setup_mudata(current[name], ["rna", "atac"], labels_key="cell_type", batch_key="batch")
        prints[name] = fingerprint(current[name])

    forms = list(FORMS)
    used: list[str] = []

    def new(name: str) -> MuData:
        if name == "cells" and rng.random() < 0.4:
            name = forms[rng.integers(len(forms))]
        if name not in current:
            renew(name)
        used.append(name)
        return current[name]

    makers = calls_of(world, new, itertools.count())
    names = list(makers)
    weights = np.array([makers[name]().weight for name in names])
    faults = []
    for i in range(n_calls):
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        used.clear()
        function, arguments, _ = makers[name]()
        parameters = inspect.signature(function).parameters
        takes = [p.name for p in parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        given = dict(arguments)
        for argument in rng.choice(takes, min(len(takes), rng.integers(1, 4)), replace=False):
            pool = RIGHT.get(argument) or []
            if argument in ONLY:
                given[argument] = ONLY[argument][rng.integers(len(ONLY[argument]))]
            elif pool and rng.random() < 0.5:
                given[argument] = pool[rng.integers(len(pool))]
            else:
                near = next((v for k, v in NEAR.items() if str(parameters[argument].annotation).startswith(k)), WRONG)
                wrong = near if rng.random() < 0.6 else WRONG
                given[argument] = wrong[rng.integers(len(wrong))]
        changes = [f"{k}={short(v)}" for k, v in given.items() if v is not arguments.get(k)]
        text = f"call {i}: {name}({', '.join([*used, ''])}{', '.join(changes)})"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = function(**given)
        except DOCUMENTED as error:
            if not is_ours(error, takes):
                faults.append(f"{text}: foreign {type(error).__name__}: {error}")
            changed = [m for m in used if fingerprint(current[m]) != prints[m]]
            faults += [f"{text}: {m} changed before {type(error).__name__}: {error}" for m in changed]
        except Exception as error:  # noqa: BLE001
            faults.append(f"{text}: {type(error).__name__}: {error}")
            changed = used
        else:
            faults += [f"{text}: NaN in {where}" for where in missing_in(result)]
            changed = [m for m in used if fingerprint(current[m]) != prints[m]]
            for m in changed:
                faults += [f"{text}: NaN in {where}" for where in missing_in(current[m], m)]
        finally:
            plt.close("all")
        for m in set(changed):
            renew(m)
    return faults


def short(value: Any) -> str:
    return re.sub(r"\s+", " ", repr(value))[:80]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_world(tmp_path_factory.mktemp("random"))


def test_no_public_function_is_left_out(world: World) -> None:
    public = {
        f"{part.__name__.rpartition('.')[2]}.{name}"
        for part in (mn.pp, mn.tl, mn.pl, mn.metrics)
        for name in part.__all__
        if inspect.isfunction(getattr(part, name))
    }
    public |= {
        f"MinNet.{name}"
        for name, method in inspect.getmembers(MinNet, callable)
        if not name.startswith("_") and (getattr(method, "__module__", None) or "").startswith("scminnet")
    }
    assert public - set(calls_of(world, world.cells.copy, itertools.count())) == {
        # these take no data and no other argument
        "MinNet.convert_legacy_save",
        "MinNet.get_var_names",
        "MinNet.setup_anndata",
        "MinNet.unmatched_cells",
        "MinNet.view_anndata_setup",
        "MinNet.view_registry",
        "MinNet.view_setup_method_args",
        # these say that MinNet can not have them
        "MinNet.differential_abundance",
        "MinNet.get_normalized_expression",
    }


@pytest.mark.parametrize("part", range(10))
def test_random_calls_end_as_documented(world: World, part: int, monkeypatch) -> None:
    # some calls write files by relative paths
    monkeypatch.chdir(world.folder)
    faults = random_calls(world, N_CALLS // 10, SEED + part)
    assert not faults, "\n".join(faults)
