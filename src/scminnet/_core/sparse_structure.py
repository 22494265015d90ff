"""Checks that a sparse matrix points only at its own values. Compiled code crashes the process on others.

scipy and anndata check lengths and no more. A file may hold anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import mudata
import numpy as np
from mudata import MuData
from scipy import sparse

#: Index values of a file that are read at a time.
_BLOCK = 2**24

_COMPRESSED = {"data", "indices", "indptr"}

#: Deepest nesting of groups, and the highest ratio of compression that is taken for real.
_DEPTH, _MOST_COMPRESSED = 30, 10_000


def check_sparse(matrix: Any, name: str) -> None:
    """Raise unless a matrix in memory is sound. Does nothing for one that is not sparse.

    Parameters
    ----------
    matrix
        Any matrix. Compressed ones are checked: one pass over the indices.
    name
        Its name, for the error message.

    Raises
    ------
    ValueError
        ``indptr`` or ``indices`` points outside of the matrix.
    """
    if not sparse.issparse(matrix) or matrix.format not in ("csr", "csc"):
        return
    n_rows, n_columns = matrix.shape if matrix.format == "csr" else matrix.shape[::-1]
    _check_structure(matrix.indptr, [matrix.indices], len(matrix.indices), len(matrix.data), n_rows, n_columns, name)


def check_sparse_parts(mdata: MuData) -> None:
    """Raise unless all sparse matrices of a MuData that are in memory are sound: values, layers, graphs."""
    for place, part in {"": mdata, **{f"mod[{m!r}].": a for m, a in mdata.mod.items()}}.items():
        matrices = {"X": part.X} if part is not mdata else {}
        for slot in ("layers", "obsm", "varm", "obsp", "varp"):
            matrices |= {f"{slot}[{key!r}]": values for key, values in (getattr(part, slot, None) or {}).items()}
        for key, matrix in matrices.items():
            check_sparse(matrix, f"mdata.{place}{key}")


def check_stored(group: Any, place: str) -> None:
    """Raise unless all sparse matrices in an HDF5 file or a zarr store are sound.

    Parameters
    ----------
    group
        The root, or a group. Its indices are read once, in blocks.
    place
        Name of the file, for the error message.

    Raises
    ------
    ValueError
        A matrix lacks a part, its parts have other lengths than its shape says, or point outside of it.
    """
    for name, matrix in _stored_matrices(group, place):
        where = f"{place}: {name}"
        encoding = str(matrix.attrs.get("encoding-type", matrix.attrs.get("h5sparse_format", "")))
        shape = np.asarray(matrix.attrs.get("shape", matrix.attrs.get("h5sparse_shape", ())))
        parts = [matrix[part] for part in ("data", "indices", "indptr")]
        if not encoding.startswith(("csr", "csc")) or shape.shape != (2,) or shape.dtype.kind not in "iu":
            _refuse(where, "its kind or shape is missing")
        if not all(getattr(part, "ndim", 0) == 1 for part in parts) or any(p.dtype.kind not in "iu" for p in parts[1:]):
            _refuse(where, "its parts are not lists of numbers")
        data, indices, indptr = parts
        n_data, n_indices, n_starts = (int(part.shape[0]) for part in parts)
        n_rows, n_columns = map(int, shape if encoding.startswith("csr") else shape[::-1])
        if n_starts != n_rows + 1:
            _refuse(where, f"it is said to have {n_rows:,} rows, and its indptr has {n_starts:,} values")
        blocks = (indices[start : start + _BLOCK] for start in range(0, n_indices, _BLOCK))
        _check_structure(indptr[:], blocks, n_indices, n_data, n_rows, n_columns, where)


def read_mudata(path: str | os.PathLike[str], argument: str = "path") -> MuData:
    """Read an ``.h5mu`` file into memory, with sound sparse matrices.

    Raises
    ------
    ValueError
        The file holds no MuData, is damaged, or a sparse matrix points outside of itself.
    """
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            if "mod" not in file:
                raise KeyError("mod")
            check_stored(file, f"`{argument}`: {path.name}")
        return mudata.read_h5mu(path)
    except ValueError:
        raise
    # anndata raises errors of many kinds on what is no table or array of its own
    except Exception as error:
        raise ValueError(
            f"`{argument}`: {path.name} can not be read ({type(error).__name__}: {str(error)[:200]}). It is damaged or "
            "holds no MuData. Write it again."
        ) from error


def _stored_matrices(group: Any, place: str, name: str = "", above: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield name and group of each compressed matrix in a store. Raise if the store can not be walked."""
    if not hasattr(group, "keys"):
        _check_size(group, f"{place}: {name}")
        return
    keys = set(group.keys())
    if isinstance(group, h5py.Group):
        # a link to another file is not part of the data; one to a group above never ends
        linked = [key for key in keys if not isinstance(group.get(key, getlink=True), h5py.HardLink)]
        if linked or any(group == other for other in above):
            _refuse(f"{place}: {name}", f"{linked[0]!r} is a link" if linked else "it contains itself")
    if len(above) > _DEPTH:
        _refuse(f"{place}: {name}", f"groups are nested more than {_DEPTH} deep")
    # first the sizes of its parts
    for key in sorted(keys):
        yield from _stored_matrices(group[key], place, f"{name}/{key}", (*above, group))
    if keys >= _COMPRESSED:
        yield name or "/", group


def _check_size(values: Any, name: str) -> None:
    """Raise if an array in an HDF5 file is said to be far larger than what is stored of it."""
    if isinstance(values, h5py.Dataset) and values.nbytes > 2**30:
        if values.nbytes > _MOST_COMPRESSED * values.id.get_storage_size():
            _refuse(name, f"it is said to have {values.nbytes:,} bytes, which are not in the file")


def _check_structure(
    indptr: np.ndarray, indices: Any, n_indices: int, n_data: int, n_rows: int, n_columns: int, name: str
) -> None:
    if len(indptr) != n_rows + 1 or indptr[0] != 0:
        _refuse(name, "its indptr does not start at 0 or has not one value for each row")
    if n_indices != n_data or indptr[-1] != n_indices:
        _refuse(name, f"its indptr ends at {indptr[-1]:,}, with {n_indices:,} indices and {n_data:,} values")
    if (indptr[1:] < indptr[:-1]).any():
        _refuse(name, "its indptr decreases")
    for block in indices:
        if len(block) and (block.min() < 0 or block.max() >= n_columns):
            outside = int(block.min()) if block.min() < 0 else int(block.max())
            _refuse(name, f"it has an index of {outside:,}, outside of its {n_columns:,} columns")


def _refuse(name: str, problem: str) -> None:
    raise ValueError(f"{name} is damaged: {problem}. Write the data again from their source.")
