"""Row of each cell of a MuData in each modality, for any order of cells in the modalities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.cell_names import find_alike
from scminnet._core.user_warnings import warn


def rows_in_modalities(mdata: MuData, modalities: Sequence[str]) -> np.ndarray:
    """Find the row of each cell of a MuData in each modality.

    Rows are matched by cell name, because MuData's ``obsmap`` is outdated if a modality was changed without
    ``update()``.

    Returns
    -------
    Cells x modalities, int64: row of the cell in the modality. -1 if it was not measured or the modality is absent.
    """
    positions = np.full((mdata.n_obs, len(modalities)), -1, dtype=np.int64)
    for i, modality in enumerate(modalities):
        if modality in mdata.mod:
            positions[:, i] = mdata.mod[modality].obs_names.get_indexer(mdata.obs_names)
    return positions


def check_measured(mdata: MuData, positions: np.ndarray, modalities: Sequence[str]) -> None:
    """Raise if cells were measured in none of the modalities, or if the MuData lacks cells of a modality."""
    absent = ~(positions >= 0).any(axis=1)
    if absent.any():
        cells = mdata.obs_names[absent]
        others = [m for m in mdata.mod if m not in modalities and cells.isin(mdata.mod[m].obs_names).any()]
        known = f" They are cells of {shorten(others)}: name it as the model does." if others else ""
        raise ValueError(
            f"{int(absent.sum()):,} of {mdata.n_obs:,} cells were measured in none of the modalities "
            f"{list(modalities)}, e.g. {cells[0]!r}.{known} Remove them: `mdata[mask].copy()`."
        )
    for i, modality in enumerate(modalities):
        if modality in mdata.mod and (positions[:, i] >= 0).sum() != mdata.mod[modality].n_obs:
            raise ValueError(
                f"modality {modality!r} has cells that are not in the MuData's obs. "
                "Call `mdata.update()` after changing a modality."
            )


def warn_of_alike_names(mdata: MuData, modalities: Sequence[str]) -> None:
    """Warn if cells of two modalities seem to be the same under different names; to be called by ``register``."""
    for a, b in combinations((m for m in modalities if m in mdata.mod), 2):
        first, second = mdata.mod[a].obs_names, mdata.mod[b].obs_names
        alike = find_alike(first, second)
        if alike:
            warn(
                f"modalities {a!r} and {b!r} have {int(first.isin(second).sum()):,} cells in common, but "
                f"{alike.sentence()} Cells are matched by name. If these are the same cells, name them alike before "
                "the modalities go into a MuData."
            )
