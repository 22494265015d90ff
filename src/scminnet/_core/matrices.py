"""Matrices of cells x features in memory, on disk or as dask arrays, read in blocks of rows.

On disk are anndata's sparse datasets stored by rows (``.h5mu``, ``.h5ad``, zarr), and dense HDF5 or zarr arrays. Each
computation is one of these: a sum over blocks of rows (:func:`fold`), a selection of rows (:func:`read_rows`) or
columns (:func:`read_columns`), or a product of blocks (:func:`left_product`, :func:`right_product`). dask computes its
own arrays, on the scheduler or cluster that the user has started.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple, TypeAlias, TypeVar

import h5py
import numpy as np
from anndata.abc import CSCDataset, CSRDataset
from scipy import sparse

from scminnet._core import compat
from scminnet._core.sparse_structure import check_sparse

#: Type of a block of rows in memory.
Block: TypeAlias = sparse.csr_matrix | np.ndarray

Result = TypeVar("Result")

#: Rows read at a time. With 10,000 non-zeros per cell they take half a gigabyte, with 200 ten megabytes.
ROWS = 8192

#: Rows of a lazy product computed at a time. Each such block reads the whole matrix, so they are large.
PRODUCT_ROWS = 32_768

#: Attribute of a lazy product that holds its factors. Arrays derived from the product do not have it.
_FACTORS = "_scminnet_factors"


class Factors(NamedTuple):
    """The two factors of a lazy product."""

    weights: sparse.csr_matrix
    matrix: Any


#: Types with which scipy or numba can not compute, and what they are computed as.
_CONVERTED = {
    np.dtype(np.float16): np.float32,
    np.dtype(bool): np.float32,
    np.dtype(np.longdouble): np.float64,
}

#: Gaps of up to this many unwanted rows are read too, because another request costs as much.
_GAP = 32


def in_memory(matrix: Any) -> bool:
    """Tell whether a matrix is in memory, sparse or dense."""
    return sparse.issparse(matrix) or isinstance(matrix, np.ndarray)


def is_dask(matrix: Any) -> bool:
    """Tell whether a matrix is a dask array, without importing dask."""
    dask = sys.modules.get("dask.array")
    return dask is not None and isinstance(matrix, dask.Array)


def on_disk(matrix: Any) -> bool:
    """Tell whether a matrix is stored by rows in a file and can be read in parts."""
    zarr = sys.modules.get("zarr")
    return isinstance(matrix, (CSRDataset, h5py.Dataset)) or (zarr is not None and isinstance(matrix, zarr.Array))


def by_columns(matrix: Any) -> bool:
    """Tell whether a matrix on disk is stored by columns, so that its rows can not be read separately."""
    return isinstance(matrix, CSCDataset)


def computable(matrix: Any) -> Any:
    """Return a matrix of a type that scipy and numba compute with, without a copy if it has one.

    float16 and truth values become float32, long doubles float64, foreign byte orders the machine's, and scipy's sparse
    arrays matrices. Others are as they were. Blocks of matrices on disk and of dask arrays are converted when they are
    read.
    """
    if not in_memory(matrix):
        return matrix
    if sparse.issparse(matrix) and not isinstance(matrix, sparse.spmatrix):
        matrix = sparse.csc_matrix(matrix) if matrix.format == "csc" else sparse.csr_matrix(matrix)
    if matrix.dtype.isnative and matrix.dtype not in _CONVERTED:
        return matrix
    dtype = _CONVERTED.get(matrix.dtype.newbyteorder("="), matrix.dtype.newbyteorder("="))
    if not sparse.issparse(matrix):
        return matrix.astype(dtype)
    # scipy does not even copy a matrix of float16
    values = matrix.data.astype(dtype)
    if matrix.format in ("csr", "csc"):
        return type(matrix)((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    return sparse.csr_matrix((values, matrix.nonzero()), shape=matrix.shape)


def row_blocks(matrix: Any, size: int | None = None) -> Iterator[tuple[slice, Block]]:
    """Read a matrix in blocks of rows.

    Parameters
    ----------
    matrix
        Cells x features.
    size
        Largest number of rows in a block. ``None``: all rows of a matrix in memory. Blocks from disk have at most
        ``ROWS`` rows. A dask array is read in its own chunks, whatever the size.

    Yields
    ------
    The slice of the rows, and their values: CSR or a dense array.
    """
    if is_dask(matrix):
        for rows, chunk in _chunks(matrix):
            yield rows, _read_block(chunk.compute())
        return
    n, whole = matrix.shape[0], in_memory(matrix)
    step = min(size or n, n if whole else ROWS)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        yield rows, (_block if whole else _read_block)(matrix if whole and step == n else matrix[rows])


def fold(
    function: Callable[..., Result],
    combine: Callable[[Result, Result], Result],
    matrix: Any,
    *along: np.ndarray,
    size: int | None = None,
) -> Result:
    """Apply a function to each block of rows, and combine the results.

    Parameters
    ----------
    function
        Takes a block, and the same rows of each array in ``along``.
    combine
        Takes two results. It must be associative, because dask combines results as a tree.
    matrix
        Cells x features, with at least one cell.
    along
        Arrays or CSR matrices with one row per cell.
    size
        As in :func:`row_blocks`.
    """
    if not is_dask(matrix):
        return reduce(combine, (function(block, *(a[rows] for a in along)) for rows, block in row_blocks(matrix, size)))
    from dask import delayed

    def of_chunk(chunk: Any, *parts: np.ndarray) -> Result:
        return function(_read_block(chunk), *parts)

    results = [delayed(of_chunk)(chunk, *(a[rows] for a in along)) for rows, chunk in _chunks(matrix)]
    while len(results) > 1:
        results = [
            delayed(combine)(*results[i : i + 2]) if i + 1 < len(results) else results[i]
            for i in range(0, len(results), 2)
        ]
    return results[0].compute()


def group_sums(matrix: Any, groups: np.ndarray, n: int, dtype: Any) -> Block:
    """Sum the rows of each group.

    Parameters
    ----------
    matrix
        Cells x features.
    groups
        Group of each row, int array. Negative: no group.
    n
        Number of groups.
    dtype
        Type in which to sum.

    Returns
    -------
    Groups x features. CSR if the blocks are sparse.
    """

    def members(groups: np.ndarray) -> sparse.csr_matrix:
        rows = np.flatnonzero(groups >= 0)
        return sparse.csr_matrix((np.ones(len(rows), dtype=dtype), (groups[rows], rows)), shape=(n, len(groups)))

    def of_block(block: Block, groups: np.ndarray) -> Block:
        return members(groups) @ block.astype(dtype, copy=False)

    def of_weighted(block: Block, weights: sparse.csr_matrix) -> Block:
        return weights.T @ block.astype(dtype, copy=False)

    factors = getattr(matrix, _FACTORS, None)
    if factors is None:
        return fold(of_block, operator.add, matrix, groups)
    # sums of a product's rows follow from sums of its weights, without computing the product
    return fold(of_weighted, operator.add, factors.matrix, (members(groups) @ factors.weights).T.tocsr())


def read_rows(matrix: Any, rows: np.ndarray | slice) -> Block:
    """Read some rows, in the order given.

    Rows on disk are read in runs of nearby rows, because a request for each random row would be slow.
    """
    if in_memory(matrix):
        return _block(matrix[rows])
    if isinstance(rows, slice):
        return _read_block(matrix[rows].compute() if is_dask(matrix) else matrix[rows])
    wanted, back = np.unique(np.asarray(rows, dtype=np.int64), return_inverse=True)
    if is_dask(matrix):
        return _read_block(matrix[wanted].compute())[back]
    # a run stays within a block, which bounds the unwanted rows
    breaks = np.flatnonzero((np.diff(wanted) > _GAP) | (np.diff(wanted // ROWS) > 0)) + 1
    runs = np.split(wanted, breaks) if len(wanted) else []
    parts = [_read_block(matrix[run[0] : run[-1] + 1])[run - run[0]] for run in runs]
    return _stack(parts or [_block(matrix[:0])])[back]


def dense(block: Block) -> np.ndarray:
    """Return a block as an array."""
    return block if isinstance(block, np.ndarray) else np.asarray(block.toarray())


def read_columns(matrix: Any, chosen: np.ndarray) -> Block:
    """Read some columns of all rows into memory."""
    if in_memory(matrix):
        return matrix[:, chosen]

    def of_block(block: Block) -> list[Block]:
        return [block[:, chosen]]

    return _stack(fold(of_block, operator.add, matrix))


def left_product(weights: sparse.csr_matrix, matrix: Any) -> Any:
    """Multiply ``weights`` (m, cells) with a matrix of cells x features, lazily if it is not in memory.

    A lazy product is a dask array of the weights' type. Each block of its rows reads the whole matrix, but holds only
    one of its blocks in memory.
    """
    if in_memory(matrix):
        return weights @ matrix
    source = _OpaqueArray(as_dask(matrix, "smoothing data that are not in memory"))
    import dask.array as da
    from dask import delayed

    meta = _meta(source.array, weights.dtype)
    starts = range(0, weights.shape[0], PRODUCT_ROWS)
    parts = [weights[start : start + PRODUCT_ROWS] for start in starts]
    shapes = [(part.shape[0], matrix.shape[1]) for part in parts]
    made = [delayed(_sum_products)(part, source) for part in parts]
    product = da.concatenate([da.from_delayed(m, shape, meta=meta) for m, shape in zip(made, shapes, strict=True)])
    setattr(product, _FACTORS, Factors(weights, matrix))
    return product


def product_source(matrix: Any) -> Any:
    """Return the matrix whose rows a lazy product adds up, or the matrix itself if it is not a product."""
    factors = getattr(matrix, _FACTORS, None)
    return matrix if factors is None else factors.matrix


def right_product(matrix: Any, weights: sparse.csr_matrix) -> Any:
    """Multiply a matrix of cells x features with ``weights`` (features, k), lazily if it is not in memory."""
    if in_memory(matrix):
        return matrix @ weights
    source = as_dask(matrix, "bringing features that are not in memory into another order")
    chunks = source.chunks[0], (weights.shape[1],)
    return source.map_blocks(_times, weights.astype(source.dtype), chunks=chunks, meta=_meta(source, source.dtype))


def stack(first: Any, second: Any) -> Any:
    """Put the rows of one matrix above those of another. The result is lazy if one of them is a dask array."""
    if is_dask(first) or is_dask(second):
        import dask.array as da

        return da.concatenate([first, second])
    return _stack([first, second])


def as_dask(matrix: Any, what: str) -> Any:
    """Return a matrix that is not in memory as a dask array whose chunks are blocks of whole rows."""
    if is_dask(matrix):
        return matrix.rechunk({1: -1})
    read_lazily = compat.import_lazy_reader(what)
    return read_lazily(matrix.group if isinstance(matrix, CSRDataset) else matrix, chunks=(ROWS, matrix.shape[1]))


def _chunks(matrix: Any) -> Iterator[tuple[slice, Any]]:
    """Yield the rows of each chunk of a dask array, and the chunk itself, not yet computed."""
    matrix = matrix.rechunk({1: -1})
    ends = np.cumsum(matrix.chunks[0])
    for end, n, chunk in zip(ends, matrix.chunks[0], matrix.to_delayed().ravel(), strict=True):
        yield slice(int(end - n), int(end)), chunk


def _read_block(values: Any) -> Block:
    """Return values that were read from a file, as CSR or a plain array. Raise if their indices point outside."""
    check_sparse(values, "a block of rows")
    return _block(values)


def _block(values: Any) -> Block:
    """Return values as CSR or a plain array that can be computed with, without a copy if they are that already."""
    values = computable(values) if sparse.issparse(values) else computable(np.asarray(values))
    return sparse.csr_matrix(values) if sparse.issparse(values) else values


def _meta(source: Any, dtype: np.dtype) -> Block:
    """Return an empty block, from which dask knows the type of a result."""
    return sparse.csr_matrix((0, 0), dtype=dtype) if sparse.issparse(source._meta) else np.empty((0, 0), dtype)


class _OpaqueArray:
    """A dask array that dask treats as a plain value, to be read inside a task.

    If its chunks were tasks of their own, all of them would stay in memory until every block of a product is computed.
    """

    def __init__(self, array: Any) -> None:
        self.array = array


def _sum_products(weights: sparse.csr_matrix, source: _OpaqueArray) -> Block:
    weights = weights.tocsc()
    shape = weights.shape[0], source.array.shape[1]
    is_sparse = sparse.issparse(source.array._meta)
    total = sparse.csr_matrix(shape, dtype=weights.dtype) if is_sparse else np.zeros(shape, weights.dtype)
    for rows, chunk in _chunks(source.array):
        part = weights[:, rows].tocsr()
        # cells are often stored by donor and smoothed within donors, so many parts are empty
        if part.nnz:
            total = total + part @ _read_block(chunk.compute(scheduler="synchronous")).astype(weights.dtype, copy=False)
    return total


def _times(block: Any, weights: sparse.csr_matrix) -> Block:
    return _block(_read_block(block) @ weights)


def _stack(parts: Sequence[Block]) -> Block:
    return sparse.vstack(parts, format="csr") if sparse.issparse(parts[0]) else np.concatenate(parts)
