"""Matrices of cells x features wherever they are stored, read by blocks of rows: in memory, on disk, or as dask arrays.

On disk are anndata's sparse datasets stored by rows (``.h5mu``, ``.h5ad``, zarr) and dense HDF5 or zarr arrays. What is computed of a matrix is a sum over
blocks of its rows (:func:`fold`), some of its rows (:func:`take`), some of its columns (:func:`columns`), or products of blocks (:func:`left_product`,
:func:`right_product`). Of a dask array, dask does the work, on whatever scheduler or cluster the user has started.
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

#: What a block of rows is once it is read.
Block: TypeAlias = sparse.csr_matrix | np.ndarray

Result = TypeVar("Result")

#: Rows read at a time: at 10,000 non-zeros a cell half a gigabyte, at 200 ten megabytes.
ROWS = 8192

#: Rows of a lazy product that are made at a time. Each such block reads the whole matrix once, so they are large.
PRODUCT_ROWS = 32_768

#: Attribute of a lazy product that tells what it is the product of. What is derived from the array has it no more.
_FACTORS = "_scminnet_factors"


class Factors(NamedTuple):
    """What a lazy product is the product of."""

    weights: sparse.csr_matrix
    matrix: Any


#: Unwanted rows that are read along rather than asked around: a further request costs as much.
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
    """Tell whether a matrix on disk is stored by columns, so that rows can not be read without reading all of it."""
    return isinstance(matrix, CSCDataset)


def row_blocks(matrix: Any, size: int | None = None) -> Iterator[tuple[slice, Block]]:
    """Read a matrix by blocks of rows.

    Parameters
    ----------
    matrix
        Cells x features.
    size
        Most rows of a block. ``None``: all at once in memory. From disk they are ``ROWS`` at most; a dask array comes in its own chunks whatever the size.

    Yields
    ------
    The rows' slice, and their values: CSR or a dense array.
    """
    if is_dask(matrix):
        for rows, chunk in _chunks(matrix):
            yield rows, _block(chunk.compute())
        return
    n, whole = matrix.shape[0], in_memory(matrix)
    step = min(size or n, n if whole else ROWS)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        yield rows, _block(matrix if whole and step == n else matrix[rows])


def fold(
    function: Callable[..., Result],
    combine: Callable[[Result, Result], Result],
    matrix: Any,
    *along: np.ndarray,
    size: int | None = None,
) -> Result:
    """Compute something of each block of rows, and combine the results of all.

    Parameters
    ----------
    function
        Of a block, and of the same rows of each of ``along``.
    combine
        Of two results; associative, for a dask array is combined as a tree.
    matrix
        Cells x features, with one cell or more.
    along
        Arrays, or CSR matrices, with a row a cell.
    size
        As in :func:`row_blocks`.
    """
    if not is_dask(matrix):
        return reduce(combine, (function(block, *(a[rows] for a in along)) for rows, block in row_blocks(matrix, size)))
    from dask import delayed

    def of_chunk(chunk: Any, *parts: np.ndarray) -> Result:
        return function(_block(chunk), *parts)

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
        Group of each row, int array, negative for none.
    n
        Number of groups.
    dtype
        In which to sum.

    Returns
    -------
    Groups x features; CSR for sparse blocks.
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
    # rows of a product, summed: sum the weights, and the product need never be made
    return fold(of_weighted, operator.add, factors.matrix, (members(groups) @ factors.weights).T.tocsr())


def take(matrix: Any, rows: np.ndarray | slice) -> Block:
    """Read some rows, in the order given.

    From disk they are read in ascending order and by runs of near rows: the rows of a training batch, drawn at random, cost a request each.
    """
    if in_memory(matrix) or isinstance(rows, slice):
        return _block(matrix[rows].compute() if is_dask(matrix) else matrix[rows])
    wanted, back = np.unique(np.asarray(rows, dtype=np.int64), return_inverse=True)
    if is_dask(matrix):
        return _block(matrix[wanted].compute())[back]
    # no run goes beyond a block, so that what is read along is never much
    breaks = np.flatnonzero((np.diff(wanted) > _GAP) | (np.diff(wanted // ROWS) > 0)) + 1
    runs = np.split(wanted, breaks) if len(wanted) else []
    parts = [_block(matrix[run[0] : run[-1] + 1])[run - run[0]] for run in runs]
    return _stack(parts or [_block(matrix[:0])])[back]


def columns(matrix: Any, chosen: np.ndarray) -> Block:
    """Read some columns of all rows into memory."""
    if in_memory(matrix):
        return matrix[:, chosen]

    def of_block(block: Block) -> list[Block]:
        return [block[:, chosen]]

    return _stack(fold(of_block, operator.add, matrix))


def left_product(weights: sparse.csr_matrix, matrix: Any) -> Any:
    """Multiply ``weights`` (m, cells) with a matrix of cells x features.

    Returns
    -------
    CSR or a dense array for a matrix in memory. For others a dask array, in the type of the weights, which is computed by blocks of rows when it is
    used: each reads the whole matrix, and holds one of its blocks at a time.
    """
    if in_memory(matrix):
        return weights @ matrix
    source = _Held(as_dask(matrix, "smoothing data that are not in memory"))
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


def source(matrix: Any) -> Any:
    """Return the matrix whose rows a lazy product adds up, or the matrix itself where it is none."""
    factors = getattr(matrix, _FACTORS, None)
    return matrix if factors is None else factors.matrix


def right_product(matrix: Any, weights: sparse.csr_matrix) -> Any:
    """Multiply a matrix of cells x features with ``weights`` (features, k); a dask array where the matrix is not in memory."""
    if in_memory(matrix):
        return matrix @ weights
    source = as_dask(matrix, "bringing features that are not in memory into another order")
    chunks = source.chunks[0], (weights.shape[1],)
    return source.map_blocks(_times, weights.astype(source.dtype), chunks=chunks, meta=_meta(source, source.dtype))


def stack(first: Any, second: Any) -> Any:
    """Put the rows of one matrix above those of another; lazily where they are dask arrays."""
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
    """Rows of each chunk of a dask array, and the chunk, not yet computed."""
    matrix = matrix.rechunk({1: -1})
    ends = np.cumsum(matrix.chunks[0])
    for end, n, chunk in zip(ends, matrix.chunks[0], matrix.to_delayed().ravel(), strict=True):
        yield slice(int(end - n), int(end)), chunk


def _block(values: Any) -> Block:
    """Return what was read as CSR or a plain array; no copy where it is that."""
    return sparse.csr_matrix(values) if sparse.issparse(values) else np.asarray(values)


def _meta(source: Any, dtype: np.dtype) -> Block:
    """An empty block, by which dask knows what the blocks of a result will be."""
    return sparse.csr_matrix((0, 0), dtype=dtype) if sparse.issparse(source._meta) else np.empty((0, 0), dtype)


class _Held:
    """A dask array that dask takes for a mere value, and leaves to the task that reads it.

    Were its chunks tasks of their own, each would wait in memory for all blocks of a product, and together they would be the whole matrix.
    """

    def __init__(self, array: Any) -> None:
        self.array = array


def _sum_products(weights: sparse.csr_matrix, source: _Held) -> Block:
    weights = weights.tocsc()
    shape = weights.shape[0], source.array.shape[1]
    is_sparse = sparse.issparse(source.array._meta)
    total = sparse.csr_matrix(shape, dtype=weights.dtype) if is_sparse else np.zeros(shape, weights.dtype)
    for rows, chunk in _chunks(source.array):
        part = weights[:, rows].tocsr()
        # cells are often stored by donor, and smoothed within donors
        if part.nnz:
            total = total + part @ _block(chunk.compute(scheduler="synchronous")).astype(weights.dtype, copy=False)
    return total


def _times(block: Any, weights: sparse.csr_matrix) -> Block:
    return _block(_block(block) @ weights)


def _stack(parts: Sequence[Block]) -> Block:
    return sparse.vstack(parts, format="csr") if sparse.issparse(parts[0]) else np.concatenate(parts)
