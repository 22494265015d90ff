"""Everything that depends on the version of a dependency, except scvi-tools (``model/_scvi.py``)."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import mudata
from anndata import AnnData
from mudata import MuData


def replace_mudata(mdata: MuData, other: MuData) -> None:
    """Replace the content of ``mdata`` by that of ``other``, in place. MuData has no public function for this."""
    mdata._init_as_actual(other)


def named_layers(adata: AnnData) -> dict[str, Any]:
    """Return the layers by name. anndata 0.13 counts X among them, under the name ``None``."""
    return {name: layer for name, layer in adata.layers.items() if name is not None}


@contextmanager
def mudata_0_4_behaviour() -> Iterator[None]:
    """Let mudata 0.3 behave like 0.4: no columns are pulled from the modalities.

    Two warnings of mudata are silenced: the one about this change, and the one about feature names shared by
    modalities. Expression and gene activity share theirs on purpose.
    """
    with without_warning("var_names (are|is) not unique"):
        if not hasattr(mudata, "set_options"):
            yield
            return
        # `with` would add a handler to the root logger, and Lightning's messages would be printed twice
        change = mudata.set_options(pull_on_update=False)
        try:
            yield
        finally:
            mudata.set_options(**change.opts)


def import_muon() -> ModuleType:
    """Import muon only when it is needed, because the import takes seconds.

    The warning is silenced that muon 0.1 causes by reading scanpy's version.
    """
    with without_warning("`__version__` is deprecated"):
        import muon
    return muon


def import_lazy_reader(what: str) -> Callable[..., Any]:
    """Import anndata's reader of dask arrays. Without dask, raise an error that ``what`` needs it."""
    try:
        import dask.array  # noqa: F401
        from anndata.experimental import read_elem_lazy
    except ImportError as error:
        raise ImportError(
            f"{what} needs dask and anndata 0.12. Install them: `pip install 'scminnet[scale]'`."
        ) from error
    return read_elem_lazy


def jaspar_folder() -> Path:
    """Return the folder of the JASPAR matrices in muon: ``_atac`` up to 0.1, ``atac`` from 0.2."""
    spec = find_spec("muon")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "`motifs`: the JASPAR matrices are part of muon, which is not installed. Install it: `pip install muon`."
        )
    package = Path(spec.submodule_search_locations[0])
    folders = [package / part / "_ref" / "jaspar" for part in ("atac", "_atac")]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


@contextmanager
def preserve_torch_threads() -> Iterator[None]:
    """Keep torch's number of threads.

    numba and torch share one OpenMP library. The first parallel numba function of a process sets the number of threads
    of both. More threads than free cores slow training down several times.
    """
    torch = sys.modules.get("torch")
    n_threads = torch.get_num_threads() if torch else None
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(n_threads)


@contextmanager
def without_warning(*messages: str) -> Iterator[None]:
    """Silence warnings of other packages that the user can not act on."""
    with warnings.catch_warnings():
        for message in messages:
            warnings.filterwarnings("ignore", message=message)
        yield


#: Loggers of Lightning's notes: devices found and not found, tips, and when a training ends.
LIGHTNING_LOGGERS = ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero")


@contextmanager
def without_notes(*names: str) -> Iterator[None]:
    """Silence other packages' loggers below warnings."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [notes.level for notes in loggers]
    for notes in loggers:
        notes.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for notes, level in zip(loggers, levels, strict=True):
            notes.setLevel(level)


def without_download_notes() -> AbstractContextManager[None]:
    """Silence the note of scvi-tools, at each loading, that the model is already downloaded.

    scvi-tools also prints it for a local folder.
    """
    return without_notes("scvi.data._download")
