"""Sparse matrices that point outside of themselves are refused before compiled code meets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import mudata
import numpy as np
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse

import scminnet as mn
from scminnet._core.sparse_structure import check_sparse, check_sparse_parts, check_stored, read_mudata


def small() -> sparse.csr_matrix:
    return sparse.random(12, 7, 0.3, format="csr", rng=np.random.default_rng(0), dtype=np.float32)


def data() -> MuData:
    rna, atac = (AnnData(small()) for _ in range(2))
    atac.var_names = [f"peak{i}" for i in range(7)]
    rna.layers["counts"] = small()
    rna.obsp["distances"] = (small() @ small().T).tocsr()
    rna.varm["csc"] = sparse.csc_matrix(small()[:7])
    return MuData({"rna": rna, "atac": atac})


@given(st.integers(0, 10**6), st.sampled_from(["indices", "indptr"]), st.integers(-(2**31), 2**31 - 1))
@settings(max_examples=60, deadline=None)
def test_a_changed_index_is_refused_exactly_if_scipy_would_refuse_it(place: int, part: str, value: int) -> None:
    for kind in (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array):
        matrix = kind(small())
        values = getattr(matrix, part)
        values[place % len(values)] = value
        sound = True
        try:
            # scipy's own full check also accepts an indptr that ends before the last value
            matrix.copy().check_format(full_check=True)
        except ValueError:
            sound = False
        if sound and matrix.indptr[-1] == len(matrix.indices):
            check_sparse(matrix, "x")
        else:
            with pytest.raises(ValueError, match=r"^x is damaged: .*Write the data again"):
                check_sparse(matrix, "x")


def test_sound_and_dense_matrices_pass() -> None:
    for matrix in (
        small(),
        small().tocsc(),
        small().tocoo(),
        small().toarray(),
        None,
        sparse.csr_matrix((0, 5)),
        sparse.csr_matrix((5, 0)),
    ):
        check_sparse(matrix, "x")
    check_sparse_parts(data())


@pytest.mark.parametrize(("place", "key"), [("X", None), ("layers", "counts"), ("obsp", "distances"), ("varm", "csc")])
def test_all_matrices_of_a_mudata_are_checked(place: str, key: str | None) -> None:
    mdata = data()
    part = getattr(mdata["rna"], place)
    (part if key is None else part[key]).indices[0] = 1000
    with pytest.raises(ValueError, match=rf"mdata.mod\['rna'\]\.{place}.*index of 1,000"):
        check_sparse_parts(mdata)


Damage = Callable[[Any], None]


def replaced(group: Any, name: str, values: Any) -> None:
    del group[name]
    group.create_dataset(name, data=values)


def shape(*values: int) -> Damage:
    return lambda group: group.attrs.__setitem__("shape", np.array(values))


def unwritten(group: Any) -> None:
    """Say that there are petabytes, of which nothing is in the file."""
    for name in ("indices", "data"):
        del group[name]
        group.create_dataset(name, shape=(2**50,), dtype="i4", chunks=(2**20,))
    replaced(group, "indptr", np.r_[np.zeros(12, np.int64), 2**50])


def first(name: str, value: int, at: int = 0) -> Damage:
    return lambda group: group[name].__setitem__(at, value)


DAMAGE: dict[str, tuple[Damage, str]] = {
    "index beyond": (first("indices", 10**6), "index of 1,000,000, outside of its 7 columns"),
    "index one beyond": (first("indices", 7), "index of 7"),
    "negative index": (first("indices", -1), "index of -1"),
    "indptr decreases": (first("indptr", 10**6, 3), "indptr decreases"),
    "negative indptr": (first("indptr", -5, 3), "indptr decreases"),
    "indptr from 2": (first("indptr", 2), "does not start at 0"),
    "indptr ends beyond": (first("indptr", 10**9, -1), "indptr ends at 1,000,000,000"),
    "indptr ends before": (first("indptr", 20, -1), "indptr ends at 20"),
    "rows of petabytes": (shape(10**15, 7), "said to have 1,000,000,000,000,000 rows"),
    "negative rows": (shape(-1, 7), "said to have -1 rows"),
    "no columns": (shape(12, 0), "outside of its 0 columns"),
    "three dimensions": (shape(12, 7, 1), "kind or shape is missing"),
    "no shape": (lambda group: group.attrs.__delitem__("shape"), "kind or shape is missing"),
    "no kind": (lambda group: group.attrs.__setitem__("encoding-type", "coo_matrix"), "kind or shape is missing"),
    "rows for columns": (lambda group: group.attrs.__setitem__("encoding-type", "csc_matrix"), "said to have 7 rows"),
    "fewer indices": (lambda group: replaced(group, "indices", group["indices"][:-1]), "with 24 indices and 25 values"),
    "fewer values": (lambda group: replaced(group, "data", group["data"][:-1]), "with 25 indices and 24 values"),
    "indices with a point": (
        lambda group: replaced(group, "indices", group["indices"][:].astype(float)), "not lists of numbers",
    ),
    "values in a table": (lambda group: replaced(group, "data", group["data"][:][:, None]), "not lists of numbers"),
    "petabytes that are not there": (unwritten, "which are not in the file"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "slot"),
    [*((name, "X") for name in DAMAGE), ("index beyond", "layers/counts"), ("index beyond", "obsp/distances")],
)
def test_damaged_files_are_refused_when_they_are_read(tmp_path: Path, name: str, slot: str) -> None:
    damage, words = DAMAGE[name]
    path = tmp_path / "m.h5mu"
    data().write(path)
    with h5py.File(path, "r+") as file:
        damage(file[f"mod/rna/{slot}"])
    words = words if slot == "X" else "index of 1,000,000"
    for read in (mn.read_lazy, read_mudata):
        with pytest.raises(
            ValueError, match=rf"`path`: m\.h5mu: /mod/rna/{slot} is damaged: .*{words}|/{slot}/.*{words}"
        ):
            read(path)


def test_damaged_zarr_is_refused(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    data().write_zarr(tmp_path / "m.zarr")
    mn.read_lazy(tmp_path / "m.zarr")
    zarr.open_group(str(tmp_path / "m.zarr"), mode="r+")["mod/rna/X/indices"][0] = 99
    with pytest.raises(ValueError, match=r"/mod/rna/X is damaged: .*index of 99"):
        mn.read_lazy(tmp_path / "m.zarr")


def test_links_in_a_file_are_refused(tmp_path: Path) -> None:
    for name, link in {
        "soft": h5py.SoftLink("/mod"),
        "external": h5py.ExternalLink("/etc/passwd", "/"),
        "itself": None,
    }.items():
        path = tmp_path / f"{name}.h5mu"
        data().write(path)
        with h5py.File(path, "r+") as file:
            file["mod/rna/uns/evil"] = link if link is not None else file["mod"]
        with pytest.raises(ValueError, match=r"'evil' is a link|contains itself"):
            read_mudata(path)


def test_indices_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scminnet._core.sparse_structure._BLOCK", 4)
    data().write(tmp_path / "m.h5mu")
    with h5py.File(tmp_path / "m.h5mu", "r+") as file:
        check_stored(file, "x")
        file["mod/atac/X/indices"][-1] = 70
        with pytest.raises(ValueError, match="x: /mod/atac/X is damaged"):
            check_stored(file, "x")


def test_what_is_no_mudata_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "text.h5mu").write_text("no")
    AnnData(small()).write_h5ad(tmp_path / "one.h5ad")
    data().write(tmp_path / "cut.h5mu")
    (tmp_path / "cut.h5mu").write_bytes((tmp_path / "cut.h5mu").read_bytes()[:3000])
    for name in ("text.h5mu", "one.h5ad", "cut.h5mu"):
        with pytest.raises(ValueError, match=rf"`path`: {name} can not be read.*Write it again"):
            read_mudata(tmp_path / name)


def test_blocks_of_backed_data_are_checked(tmp_path: Path) -> None:
    """mudata opens a file without any check, so that each block is checked when it is read."""
    data().write(tmp_path / "m.h5mu")
    with h5py.File(tmp_path / "m.h5mu", "r+") as file:
        file["mod/rna/X/indices"][3] = 10**6
    backed = mudata.read_h5mu(tmp_path / "m.h5mu", backed="r")
    with pytest.raises(ValueError, match="a block of rows is damaged: .*index of 1,000,000"):
        mn.MinNet.setup_mudata(backed, ["rna", "atac"])
