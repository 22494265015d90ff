"""A MuData as a folder that a short R script, shipped with it, reads into Seurat."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse
from scipy.io import mmwrite

from scminnet._core import matrices
from scminnet._core.argument_types import check_types
from scminnet._core.arguments import shorten
from scminnet._core.embeddings import modality_embedding
from scminnet._core.feature_names import INTERVAL_NAME
from scminnet._core.files import atomic_binary_file, atomic_path, atomic_text_file
from scminnet._core.keys import EMBEDDING_KEY, UMAP_KEY
from scminnet._core.mdata import check_modalities, check_mudata, layer_matrix, layer_names
from scminnet._core.obs_text import value_text
from scminnet._core.outputs import check_output
from scminnet._core.values import check_values
from scminnet.genomics import interval_names

#: The R script, in this package and in the folder.
READER = "read_seurat.R"

#: Largest integer of R.
_R_INTEGER = 2**31 - 1


class _Modality(NamedTuple):
    """What is written of a modality: in ``slot`` of an assay the values, their names, and the cells' columns."""

    folder: str
    slot: str
    matrix: Any
    features: pd.DataFrame
    obs: pd.DataFrame
    reductions: dict[str, np.ndarray]


@check_types
def export_seurat(
    mdata: MuData,
    path: str | os.PathLike[str],
    *,
    modalities: Sequence[str] | None = None,
    layer: str | Mapping[str, str | None] | None = None,
    reductions: Sequence[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write cells for Seurat and Signac: values, ``obs`` and embeddings, with an R script that reads them.

    The script makes a Seurat object of each modality, because an object's assays have the same cells, and modalities
    may not. In R::

        source("cells/read_seurat.R")
        cells <- read_seurat("cells")
        Seurat::DimPlot(cells$rna, reduction = "umap", group.by = "cell_type")

    Parameters
    ----------
    mdata
        Cells, or the bulks of :func:`minibulk`.
    path
        The folder to write. The folder that it belongs into must exist.
    modalities
        Modalities to write. ``None``: all.
    layer
        Layer of the values, for all modalities or each its own. ``None``: ``X``. Seurat expects raw counts, which
        :func:`scminnet.pp.normalize` keeps in ``"counts"``.
    reductions
        Keys in the modalities' ``obsm``, each an array (cells, d). ``None``: ``"X_minnet"`` and ``"X_umap"``, where a
        modality has them.
    overwrite
        Replace an earlier folder that this function wrote.

    Notes
    -----
    A modality's folder holds its values as Cell Ranger writes them (``matrix.mtx.gz``, ``features.tsv.gz``,
    ``barcodes.tsv.gz``), ``obs.csv.gz`` and a file for each reduction. In R:

    - An object has one assay, named as the modality. Values without negative or fractional numbers fill its slot
      ``counts``, others ``data``.
    - ``obs`` is the modality's, and columns of ``mdata.obs`` that it lacks. Categories are factors with their order.
      Empty text is missing. Columns whose names begin with ``_`` are left out.
    - Reductions are called as in ``obsm``, without ``X_``.
    - Seurat allows neither ``_`` nor ``|`` in names of features, so they become ``-``. Where all names are intervals,
      these become ``chr1-100-200``, as Signac spells them. Names as they were are in the assay's metadata, ``name``.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, or values are not numeric.
    KeyError
        No modality has one of ``reductions``.
    FileNotFoundError, NotADirectoryError
        The folder that ``path`` belongs into is not there, or ``path`` is a file.
    OSError
        The place is read-only or full.
    ValueError
        ``path`` exists, and ``overwrite`` is not set, or it holds something else. A modality is unknown or empty, or
        lacks the layer, or has cells that ``mdata.obs`` lacks. Values or reductions are not finite. Names of features,
        modalities or reductions are the same in R.

    Examples
    --------
    >>> import tempfile
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(200)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mn.tl.export_seurat(mdata, f"{folder}/cells", modalities=["rna", "atac"])
    """
    check_mudata(mdata)
    names = list(mdata.mod) if modalities is None else list(dict.fromkeys(modalities))
    if not names:
        raise ValueError("`modalities` is empty. Name at least one, or give None for all.")
    check_modalities(mdata, names)
    layers = layer_names(layer, names, "layer")
    keys = _reductions(mdata, names, reductions)
    folders = _r_names(names, r"[^A-Za-z0-9]+", "_", "`modalities`")
    target = check_output(path, "path", folder=True)
    _check_free(target, overwrite)
    written = {
        m: _modality(mdata, m, folder, layer_matrix(mdata, m, layers[m], "layer"), keys[m])
        for m, folder in zip(names, folders, strict=True)
    }
    with atomic_path(target) as partial:
        partial.mkdir()
        (partial / READER).write_bytes(files("scminnet.tl").joinpath(READER).read_bytes())
        table = pd.DataFrame(
            [(m, w.folder, w.slot) for m, w in written.items()], columns=["modality", "folder", "slot"]
        )
        _write_table(table, partial / "modalities.csv.gz", index=False)
        for modality in written.values():
            (partial / modality.folder).mkdir()
            _write_modality(modality, partial / modality.folder)


def _reductions(mdata: MuData, modalities: Sequence[str], keys: Sequence[str] | None) -> dict[str, list[str]]:
    """Return the keys of each modality's reductions. Raise if they are nowhere, or the same in R."""
    wanted = [EMBEDDING_KEY, UMAP_KEY] if keys is None else list(dict.fromkeys(keys))
    found = {m: [key for key in wanted if key in mdata.mod[m].obsm] for m in modalities}
    lacking = [key for key in wanted if not any(key in of_modality for of_modality in found.values())]
    if keys is not None and lacking:
        raise KeyError(
            f"`reductions` names {shorten(lacking)}, which no modality has in obsm. "
            f"Name some of {shorten(dict.fromkeys(key for m in modalities for key in mdata.mod[m].obsm), 10)}."
        )
    # Seurat makes a prefix of letters and digits for the columns of each
    _r_names(wanted, r"^X_|[^A-Za-z0-9]", "", "`reductions`")
    return found


def _modality(mdata: MuData, modality: str, folder: str, matrix: Any, keys: Sequence[str]) -> _Modality:
    """Collect and check what is written of a modality."""
    adata = mdata.mod[modality]
    values = check_values(matrix, modality, (adata.obs_names, adata.var_names), stored=True)
    return _Modality(
        folder=folder,
        slot="counts" if values.whole and not values.n_negative else "data",
        matrix=matrix,
        features=_features(adata.var, modality),
        obs=_obs(mdata, modality),
        reductions={key.removeprefix("X_"): modality_embedding(mdata, modality, key) for key in keys},
    )


def _features(var: pd.DataFrame, modality: str) -> pd.DataFrame:
    """Return the names of features as they are and as they are in R, and their types."""
    names = var.index.astype(str).tolist()
    spelled = interval_names(names, ("-", "-")).tolist() if all(map(INTERVAL_NAME.fullmatch, names)) else names
    return pd.DataFrame(
        {
            "name": names,
            "feature": _r_names(spelled, r"[_|\t\n]", "-", f"features of modality {modality!r}"),
            "type": var["feature_types"].to_numpy() if "feature_types" in var else modality,
        }
    )


def _r_names(names: Sequence[str], pattern: str, replacement: str, what: str) -> list[str]:
    """Return names with a pattern replaced. Raise if some are the same then."""
    changed = pd.Index([re.sub(pattern, replacement, name) for name in names], dtype=object)
    if not changed.is_unique:
        same = np.flatnonzero(changed == changed[changed.duplicated()][0]).tolist()
        raise ValueError(
            f"{what}: {shorten(names[i] for i in same)} would have the same name in R, {changed[same[0]]!r}. "
            "Rename them, or leave some out."
        )
    return changed.tolist()


def _obs(mdata: MuData, modality: str) -> pd.DataFrame:
    """Return the columns of a modality's cells: its own, and those of ``mdata.obs`` that it lacks."""
    own = mdata.mod[modality].obs
    unknown = ~own.index.isin(mdata.obs_names)
    if unknown.any():
        raise ValueError(
            f"modality {modality!r} has {int(unknown.sum()):,} cells that `mdata.obs` lacks. "
            "Call `mdata.update()` after changing a modality."
        )
    # mudata before 0.4 copies the modalities' columns, with their names before a colon
    copies = tuple(f"{m}:" for m in mdata.mod)
    shared = [column for column in mdata.obs if column not in own and not str(column).startswith(copies)]
    table = own.join(mdata.obs.loc[own.index, shared])
    return table.loc[:, [not str(column).startswith("_") for column in table]]


def _check_free(target: Path, overwrite: bool) -> None:
    """Raise if a folder is in the way that is not to be replaced."""
    if not target.is_dir():
        return
    if not overwrite:
        raise ValueError(f"`path`: {str(target)!r} already exists. Give another folder, or overwrite=True.")
    if any(target.iterdir()) and not (target / READER).is_file():
        raise ValueError(
            f"`path`: {str(target)!r} holds something else than this function wrote, which overwrite=True would "
            "remove. Give another folder."
        )


def _write_modality(modality: _Modality, folder: Path) -> None:
    obs = modality.obs
    with atomic_text_file(folder / "features.tsv.gz") as file:
        modality.features.to_csv(file, sep="\t", header=False, index=False, quoting=3, quotechar="\0")
    with atomic_text_file(folder / "barcodes.tsv.gz") as file:
        file.writelines(f"{name}\n" for name in obs.index)
    _write_matrix(modality.matrix, folder / "matrix.mtx.gz", whole=modality.slot == "counts")
    columns = [_as_r(obs[column]) for column in obs]
    _write_table(pd.DataFrame({c.name: c.values for c in columns}, index=obs.index), folder / "obs.csv.gz")
    kinds = [(c.name, c.kind, level) for c in columns for level in c.levels]
    _write_table(pd.DataFrame(kinds, columns=["column", "class", "level"]), folder / "obs_columns.csv.gz", index=False)
    for name, points in modality.reductions.items():
        table = pd.DataFrame(points, index=obs.index)
        _write_table(table, folder / f"reduction_{name}.csv.gz")


def _write_matrix(matrix: Any, path: Path, *, whole: bool) -> None:
    """Write cells x features as Cell Ranger does: features x cells, cell by cell."""
    cells = sparse.vstack([sparse.csr_matrix(block) for _, block in matrices.row_blocks(matrix)], format="csr")
    cells.sum_duplicates()
    if whole:
        cells.data = cells.data.astype(np.int64)
    # gzip's level 9 would take most of the time, and make the file a twelfth smaller
    with atomic_binary_file(path) as sink, gzip.GzipFile("", "wb", compresslevel=4, fileobj=sink, mtime=0) as file:
        mmwrite(file, cells.T, field="integer" if whole else "real", symmetry="general")


class _Column(NamedTuple):
    """A column of ``obs`` as text, its class in R, and the levels of a factor (else one empty level)."""

    name: str
    values: pd.Series
    kind: str
    levels: list[str]


def _as_r(column: pd.Series) -> _Column:
    """Write a column of ``obs`` as R reads it."""
    name, none = str(column.name), [""]
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = [value_text(level) for level in column.cat.categories]
        return _Column(name, _texts(column), "factor", [level for level in dict.fromkeys(levels) if level] or none)
    if pd.api.types.is_bool_dtype(column):
        return _Column(name, column.map({True: "TRUE", False: "FALSE"}), "logical", none)
    if pd.api.types.is_integer_dtype(column) and not (column.abs() > _R_INTEGER).any():
        return _Column(name, column, "integer", none)
    if pd.api.types.is_numeric_dtype(column):
        return _Column(name, column, "numeric", none)
    return _Column(name, _texts(column.astype(object).astype("category")), "character", none)


def _texts(column: pd.Series) -> pd.Series:
    """Return categories as texts, each as it is: ``"01"`` stays."""
    texts = np.array([*map(value_text, column.cat.categories), np.nan], dtype=object)
    # a missing value has the code -1
    return pd.Series(texts[column.cat.codes], index=column.index)


def _write_table(table: pd.DataFrame, path: Path, *, index: bool = True) -> None:
    with atomic_text_file(path) as file:
        table.to_csv(file, index=index, lineterminator="\n")
