"""Opens a MuData whose matrices stay on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset
from mudata import MuData

from scminnet._core import compat
from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count, shorten
from scminnet._core.matrices import ROWS, by_columns
from scminnet._core.sparse_structure import check_stored

#: Parts of an AnnData that are small and read into memory.
_TABLES = ("obs", "var", "obsm", "varm", "obsp", "varp", "uns")


@check_types
def read_lazy(path: str | os.PathLike[str], *, dask: bool = False, chunk_cells: int = ROWS) -> MuData:
    """Open a MuData whose ``X`` and layers stay on disk. Everything else is read into memory.

    The indices of sparse matrices are read once, in blocks, because indices outside of a matrix crash the process.

    Training, the other methods of :class:`scminnet.MinNet` and ``tl`` then read the matrices in blocks of cells.
    Results are written into the object, not into the file. (``mudata.read_h5mu(path, backed="r")`` keeps only ``X`` on
    disk.)

    Parameters
    ----------
    path
        An ``.h5mu`` file, or the folder of a zarr store. Matrices must be dense or stored by rows (CSR).
    dask
        Open the matrices as dask arrays. scanpy's preprocessing then works on them, and ``dask.distributed`` spreads
        the work over processes and machines. Needs ``pip install "scminnet[scale]"``.
    chunk_cells
        Cells in a chunk of the dask arrays.

    Returns
    -------
    MuData. ``raw`` of the modalities is not read.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    FileNotFoundError
        ``path`` does not exist.
    ImportError
        dask, or zarr for a zarr store, is not installed.
    ValueError
        The file holds no MuData, a matrix is stored by columns or has indices outside of its shape, or ``chunk_cells``
        is below 1.

    Examples
    --------
    >>> import scminnet as mn
    >>> mn.datasets.simulate_multiome(100).write("cells.h5mu")  # doctest: +SKIP
    >>> mdata = mn.read_lazy("cells.h5mu")  # doctest: +SKIP
    """
    check_count(chunk_cells, "chunk_cells")
    # workers of a cluster may run in another folder
    path = Path(path).resolve()
    if not path.exists():
        raise FileNotFoundError(f"`path`: there is nothing at {str(path)!r}. Give an .h5mu file or a zarr store.")
    store = _open(path)
    if "mod" not in store:
        raise ValueError(f"`path`: {path.name!r} holds no MuData. Give one that `MuData.write` or `write_zarr` wrote.")
    check_stored(store, f"`path`: {path.name}")
    reader = compat.import_lazy_reader("`dask`") if dask else None

    def matrix(element: Any, name: str) -> Any:
        is_array = isinstance(element, h5py.Dataset) or hasattr(element, "chunks")
        stored = element if is_array else sparse_dataset(element)
        if by_columns(stored):
            raise ValueError(f"`path`: {name} is stored by columns (CSC). Store it by rows: `.tocsr()` before writing.")
        return reader(element, chunks=(chunk_cells, stored.shape[1])) if reader else stored

    def modality(name: str) -> AnnData:
        group = store["mod"][name]
        tables = {key: read_elem(group[key]) for key in _TABLES if key in group}
        layers = group["layers"] if "layers" in group else {}
        return AnnData(
            X=matrix(group["X"], f"X of {name!r}") if "X" in group else None,
            layers={key: matrix(layers[key], f"layer {key!r} of {name!r}") for key in layers},
            **tables,
        )

    names = [str(m) for m in store["mod"].attrs.get("mod-order", list(store["mod"]))]
    with compat.mudata_0_4_behaviour():
        mdata = MuData({name: modality(name) for name in names}, axis=int(store.attrs.get("axis", 0)))
    obs = read_elem(store["obs"])
    rows = obs.index.get_indexer(mdata.obs_names)
    if len(obs) != mdata.n_obs or (rows < 0).any():
        raise ValueError(
            f"`path`: the obs of {path.name!r} and its modalities ({shorten(names)}) have different cells. "
            "Call `mdata.update()` before writing."
        )
    mdata.obs = obs.iloc[rows]
    for key, values in read_elem(store["obsm"]).items() if "obsm" in store else ():
        if key not in names:
            mdata.obsm[key] = np.asarray(values)[rows] if isinstance(values, np.ndarray) else values.iloc[rows]
    for key, values in read_elem(store["obsp"]).items() if "obsp" in store else ():
        mdata.obsp[key] = values[rows][:, rows]
    mdata.uns.update(read_elem(store["uns"]) if "uns" in store else {})
    return mdata


def _open(path: Path) -> Any:
    """Open the root of an HDF5 file or zarr store for reading."""
    if path.is_dir():
        try:
            import zarr
        except ImportError as error:
            raise ImportError("zarr stores need zarr. Install it: `pip install 'scminnet[scale]'`.") from error
        if not any((path / name).exists() for name in (".zgroup", "zarr.json")):
            raise ValueError(f"`path`: the folder {path.name!r} is no zarr store. Give an .h5mu file or a zarr store.")
        return zarr.open_group(str(path), mode="r")
    if not h5py.is_hdf5(path):
        raise ValueError(f"`path`: {path.name!r} is neither an HDF5 file nor a zarr store. Give an .h5mu file.")
    return h5py.File(path, "r")
