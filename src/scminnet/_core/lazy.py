"""Opens a MuData whose matrices stay in its file."""

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
from scminnet._core.arguments import check_count, shorten
from scminnet._core.matrices import ROWS, by_columns

#: What of an AnnData is small and read whole.
_TABLES = ("obs", "var", "obsm", "varm", "obsp", "varp", "uns")


def read_lazy(path: str | os.PathLike[str], *, dask: bool = False, chunk_cells: int = ROWS) -> MuData:
    """Open a MuData whose ``X`` and layers stay on disk; everything else is read.

    Training, :class:`scminnet.MinNet`'s other methods and ``tl`` then read them by blocks of cells. (``mudata.read_h5mu(path, backed="r")`` leaves ``X``
    alone on disk.) Results are written into the object, not into the file.

    Parameters
    ----------
    path
        An ``.h5mu`` file, or the folder of a zarr store, with matrices stored dense or by rows (CSR).
    dask
        Open the matrices as dask arrays, on which scanpy's preprocessing works as well, and which ``dask.distributed`` shares out among processes
        and machines. Needs ``pip install "scminnet[scale]"``.
    chunk_cells
        Cells of a chunk of these arrays.

    Returns
    -------
    MuData. ``raw`` of its modalities is left out.

    Raises
    ------
    FileNotFoundError
        There is nothing at ``path``.
    ImportError
        dask, or zarr for a zarr store, is not installed.
    ValueError
        It is no MuData, a matrix is stored by columns, or ``chunk_cells`` is below 1.

    Examples
    --------
    >>> import scminnet as mn
    >>> mn.datasets.simulate_multiome(100).write("cells.h5mu")  # doctest: +SKIP
    >>> mdata = mn.read_lazy("cells.h5mu")  # doctest: +SKIP
    """
    check_count(chunk_cells, "chunk_cells")
    # workers of a cluster may stand in another folder
    path = Path(path).resolve()
    if not path.exists():
        raise FileNotFoundError(f"`path`: there is nothing at {str(path)!r}. Give an .h5mu file or a zarr store.")
    store = _open(path)
    if "mod" not in store:
        raise ValueError(f"`path`: {path.name!r} holds no MuData. Give one that `MuData.write` or `write_zarr` wrote.")
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
    with compat.new_mudata_manner():
        mdata = MuData({name: modality(name) for name in names}, axis=int(store.attrs.get("axis", 0)))
    obs = read_elem(store["obs"])
    rows = obs.index.get_indexer(mdata.obs_names)
    if len(obs) != mdata.n_obs or (rows < 0).any():
        raise ValueError(
            f"`path`: the obs of {path.name!r} lacks cells of its modalities, or has others: {shorten(names)}. Call `mdata.update()` before writing."
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
    """Open the root of either kind of file for reading."""
    if path.is_dir():
        try:
            import zarr
        except ImportError as error:
            raise ImportError("zarr stores need zarr. Install it: `pip install 'scminnet[scale]'`.") from error
        return zarr.open_group(str(path), mode="r")
    if not h5py.is_hdf5(path):
        raise ValueError(f"`path`: {path.name!r} is neither an HDF5 file nor a zarr store. Give an .h5mu file.")
    return h5py.File(path, "r")
