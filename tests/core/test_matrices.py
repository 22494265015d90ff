"""Blocks, rows, columns, sums and products of matrices, wherever they are stored, against numpy on the dense matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from anndata.io import sparse_dataset, write_elem
from scipy import sparse

from scminnet._core import matrices

dask_array = pytest.importorskip("dask.array")

STORES: dict[str, Callable[[sparse.csr_matrix, Path], Any]] = {}


def store(function: Callable[[sparse.csr_matrix, Path], Any]) -> Callable[[sparse.csr_matrix, Path], Any]:
    STORES[function.__name__] = function
    return function


def group(kind: str, values: Any, folder: Path) -> Any:
    root = h5py.File(folder / "m.h5", "w") if kind == "hdf5" else zarr.open_group(str(folder / "m.zarr"), mode="w")
    write_elem(root, "m", values)
    return root["m"]


@store
def csr(values: sparse.csr_matrix, folder: Path) -> Any:
    return values


@store
def array(values: sparse.csr_matrix, folder: Path) -> Any:
    return values.toarray()


@store
def hdf5(values: sparse.csr_matrix, folder: Path) -> Any:
    return sparse_dataset(group("hdf5", values, folder))


@store
def zarr_store(values: sparse.csr_matrix, folder: Path) -> Any:
    return sparse_dataset(group("zarr", values, folder))


@store
def dense_hdf5(values: sparse.csr_matrix, folder: Path) -> Any:
    return group("hdf5", values.toarray(), folder)


@store
def dense_zarr(values: sparse.csr_matrix, folder: Path) -> Any:
    return group("zarr", values.toarray(), folder)


@store
def dask_of_sparse(values: sparse.csr_matrix, folder: Path) -> Any:
    return dask_array.from_array(values, chunks=(70, -1), asarray=False)


@store
def dask_of_dense(values: sparse.csr_matrix, folder: Path) -> Any:
    # features in chunks as well
    return dask_array.from_array(values.toarray(), chunks=(64, 5))


@pytest.fixture(params=list(STORES))
def stored(request: pytest.FixtureRequest, values: sparse.csr_matrix, tmp_path: Path) -> Any:
    return STORES[request.param](values, tmp_path)


@pytest.fixture(scope="module")
def values() -> sparse.csr_matrix:
    rng = np.random.default_rng(0)
    matrix = sparse.random(200, 12, 0.3, format="csr", dtype=np.float32, random_state=1)
    matrix.data[:] = rng.integers(1, 9, matrix.nnz)
    return matrix


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "ROWS", 32)
    monkeypatch.setattr(matrices, "PRODUCT_ROWS", 50)
    monkeypatch.setattr(matrices, "_GAP", 3)


def dense(block: Any) -> np.ndarray:
    block = block.compute() if matrices.is_dask(block) else block
    return block.toarray() if sparse.issparse(block) else np.asarray(block)


def test_blocks_make_up_the_matrix(stored: Any, values: sparse.csr_matrix) -> None:
    for size in (None, 48):
        blocks = list(matrices.row_blocks(stored, size))
        np.testing.assert_array_equal(np.concatenate([dense(block) for _, block in blocks]), values.toarray())
        assert np.concatenate([np.arange(200)[rows] for rows, _ in blocks]).tolist() == list(range(200))
        assert size is None or len(blocks) > 1


@pytest.mark.parametrize(
    "rows",
    [[5, 3, 199, 3, 0, 100], list(range(200)), [7], [], list(range(199, -1, -3))],
    ids=["any order", "all", "one", "none", "backwards"],
)
def test_rows_come_in_the_order_asked_for(stored: Any, values: sparse.csr_matrix, rows: list[int]) -> None:
    found = matrices.read_rows(stored, np.array(rows, dtype=np.int64))
    np.testing.assert_array_equal(dense(found), values.toarray()[np.array(rows, dtype=int)])
    np.testing.assert_array_equal(dense(matrices.read_rows(stored, slice(20, 60))), values.toarray()[20:60])


def test_rows_far_apart_are_not_read_along(values: sparse.csr_matrix, tmp_path: Path, monkeypatch: Any) -> None:
    stored = hdf5(values, tmp_path)
    read, kind = [], type(stored)
    original = kind.__getitem__
    monkeypatch.setattr(kind, "__getitem__", lambda self, rows: read.append(rows) or original(self, rows))
    matrices.read_rows(stored, np.array([30, 1, 2, 5, 64, 150]))
    assert [(rows.start, rows.stop) for rows in read] == [(1, 6), (30, 31), (64, 65), (150, 151)]


def test_columns_are_read(stored: Any, values: sparse.csr_matrix) -> None:
    np.testing.assert_array_equal(
        dense(matrices.read_columns(stored, np.array([4, 1, 11]))), values.toarray()[:, [4, 1, 11]]
    )


def test_groups_are_summed(stored: Any, values: sparse.csr_matrix) -> None:
    groups = np.random.default_rng(0).integers(-1, 4, 200)
    expected = np.stack([values.toarray()[groups == g].sum(axis=0) for g in range(4)])
    found = matrices.group_sums(stored, groups, 4, np.float32)
    np.testing.assert_array_equal(dense(found), expected)
    assert found.dtype == np.float32


def test_products(stored: Any, values: sparse.csr_matrix) -> None:
    left = sparse.random(120, 200, 0.05, format="csr", dtype=np.float32, random_state=2)
    product = matrices.left_product(left, stored)
    np.testing.assert_allclose(dense(product), left.toarray() @ values.toarray(), rtol=1e-5)
    assert matrices.is_dask(product) is not matrices.in_memory(stored)
    assert product.dtype == np.float32
    right = sparse.random(12, 7, 0.4, format="csr", dtype=np.float32, random_state=3)
    product = matrices.right_product(stored, right)
    np.testing.assert_allclose(dense(product), values.toarray() @ right.toarray(), rtol=1e-5)
    assert product.shape == (200, 7)


def test_a_lazy_product_holds_one_block_of_its_source_at_a_time(values: sparse.csr_matrix) -> None:
    held, most = [0], [0]

    class Counted:
        """Counts how many of its kind live."""

        def __init__(self) -> None:
            held[0] += 1
            most[0] = max(most[0], held[0])

        def __del__(self) -> None:
            held[0] -= 1

    def read(block: sparse.csr_matrix) -> sparse.csr_matrix:
        block = block.copy()
        block.counted = Counted()
        return block

    source = dask_array.from_array(values, chunks=(10, -1), asarray=False).map_blocks(read, meta=values[:0])
    left = sparse.random(200, 200, 0.5, format="csr", dtype=np.float32, random_state=2)
    product = matrices.left_product(left, source)
    assert held[0] == 0
    product.compute(scheduler="synchronous")
    assert most[0] <= 3, "of 20 blocks of the source"


def test_sums_of_a_lazy_product_never_make_it(
    stored: Any, values: sparse.csr_matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = sparse.random(120, 200, 0.05, format="csr", dtype=np.float32, random_state=2)
    product = matrices.left_product(left, stored)
    groups = np.random.default_rng(0).integers(-1, 4, 120)
    rows = left.toarray() @ values.toarray()
    expected = np.stack([rows[groups == g].sum(axis=0) for g in range(4)])
    if matrices.is_dask(product):
        # what is derived from it is no product
        changed = matrices.group_sums(product[:, ::-1], groups, 4, np.float32)
        np.testing.assert_allclose(dense(changed)[:, ::-1], expected, rtol=1e-5)
    # the product would be made by what it was defined with
    monkeypatch.setattr(matrices, "_sum_products", lambda *_: pytest.fail("the product is made"))
    product = matrices.left_product(left, stored)
    np.testing.assert_allclose(dense(matrices.group_sums(product, groups, 4, np.float32)), expected, rtol=1e-5)


def test_blocks_without_weight_are_not_read(values: sparse.csr_matrix) -> None:
    read = []

    def count(block: sparse.csr_matrix) -> sparse.csr_matrix:
        read.append(len(read))
        return block

    lazy = dask_array.from_array(values, chunks=(50, -1), asarray=False).map_blocks(count, meta=values[:0])
    product = matrices.left_product(sparse.identity(200, dtype=np.float32, format="csr"), lazy)
    np.testing.assert_array_equal(dense(product), values.toarray())
    assert len(read) == 4
    nothing = matrices.left_product(sparse.csr_matrix((3, 200), dtype=np.float32), lazy)
    assert dense(nothing).shape == (3, 12)
    assert not dense(nothing).any()


def test_two_matrices_are_stacked(values: sparse.csr_matrix) -> None:
    for make in (csr, array, dask_of_sparse, dask_of_dense):
        both = matrices.stack(make(values, Path()), make(values, Path()))
        np.testing.assert_array_equal(dense(both), np.concatenate([values.toarray()] * 2))


def test_what_is_on_disk_by_columns(values: sparse.csr_matrix, tmp_path: Path) -> None:
    by_columns = sparse_dataset(group("hdf5", values.tocsc(), tmp_path))
    assert matrices.by_columns(by_columns)
    assert not matrices.on_disk(by_columns)
