"""Reading the cells of ``scminnet integrate``: one MuData file, or one file per modality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from anndata import AnnData, read_h5ad
from mudata import MuData, read_h5mu

from scminnet._core.arguments import shorten
from scminnet._core.mdata import check_modalities

#: Share of the smaller file's cells from which on equal names mean that cells were measured twice.
PAIRED_SHARE = 0.5


def read_cells(paths: Sequence[Path], modalities: Sequence[str], pairs: str = "auto") -> MuData:
    """Read the modalities.

    Parameters
    ----------
    paths
        One ``.h5mu`` file with all modalities, or one ``.h5mu`` or ``.h5ad`` file per modality, in their order.
    modalities
        Names of the modalities.
    pairs
        ``"names"``: cells of one name are one cell. ``"none"``: they are different cells, and the name of the modality
        is appended to their names. ``"auto"``: as ``"names"`` in one file, otherwise decided by the share of equal
        names.

    Raises
    ------
    ValueError
        A modality is missing, a file can not be read, or ``"auto"`` can not decide.
    """
    if len(paths) == 1:
        mdata = _read_mudata(paths[0])
        check_modalities(mdata, modalities)
        return mdata if pairs != "none" else _apart({m: _with_columns(mdata, m) for m in modalities})
    cells = {m: _read_modality(path, m) for path, m in zip(paths, modalities, strict=True)}
    for m, adata in cells.items():
        if not adata.obs_names.is_unique:
            raise ValueError(f"two cells of modality {m!r} have the same obs_names. Make the names unique.")
    if pairs == "none" or (pairs == "auto" and not _equal_names_are_pairs(cells)):
        return _apart(cells)
    return MuData(cells)


def _read_mudata(path: Path) -> MuData:
    if path.suffix == ".h5ad":
        raise ValueError(
            f"{path.name} holds one modality. Give one file per modality, or one .h5mu file with all modalities."
        )
    return read_h5mu(path)


def _read_modality(path: Path, modality: str) -> AnnData:
    if path.suffix == ".h5ad":
        return read_h5ad(path)
    mdata = read_h5mu(path)
    if modality not in mdata.mod:
        raise ValueError(f"{path.name} has no modality {modality!r}. It has {shorten(mdata.mod)}. Name one of these.")
    return _with_columns(mdata, modality)


def _with_columns(mdata: MuData, modality: str) -> AnnData:
    """Return a modality with the columns of ``mdata.obs`` that it lacks."""
    adata = mdata.mod[modality]
    missing = [column for column in mdata.obs if column not in adata.obs and ":" not in column]
    adata.obs = pd.concat([adata.obs, mdata.obs.loc[adata.obs_names, missing]], axis=1)
    return adata


def _equal_names_are_pairs(cells: dict[str, AnnData]) -> bool:
    """Say whether cells of one name are one cell. Raise if it is unclear."""
    names = list(cells)
    answers = set()
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            shared = cells[a].obs_names.intersection(cells[b].obs_names)
            smaller = min(cells[a].n_obs, cells[b].n_obs)
            if len(shared) == 0:
                continue
            if len(shared) < PAIRED_SHARE * smaller:
                raise ValueError(
                    f"{len(shared):,} of {smaller:,} cells have the same name in {a!r} and {b!r}, e.g. "
                    f"{shorten(shared, 2)}. Barcodes of different samples can be equal. Give `--pairs names` if these "
                    "are the same cells, or `--pairs none` if not."
                )
            answers.add(True)
    return bool(answers)


def _apart(cells: dict[str, AnnData]) -> MuData:
    """Put modalities of different cells together. The modality is appended to names that occur twice."""
    names = pd.Index([]).append([adata.obs_names for adata in cells.values()])
    if not names.is_unique:
        for m, adata in cells.items():
            adata.obs_names = adata.obs_names + f"-{m}"
    return MuData(cells)
