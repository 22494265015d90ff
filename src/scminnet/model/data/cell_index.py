"""Where each cell of a MuData stands in each modality, whatever the modalities' order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mudata import MuData


def modality_positions(mdata: MuData, modalities: Sequence[str]) -> np.ndarray:
    """Rows of the MuData's cells in its modalities.

    By names: MuData's own ``obsmap`` is stale when a modality was changed without an ``update()``.

    Returns
    -------
    Cells x modalities, int64: the cell's row in the modality, -1 where it was not measured or the modality is absent.
    """
    positions = np.full((mdata.n_obs, len(modalities)), -1, dtype=np.int64)
    for i, modality in enumerate(modalities):
        if modality in mdata.mod:
            positions[:, i] = mdata.mod[modality].obs_names.get_indexer(mdata.obs_names)
    return positions


def check_measured(mdata: MuData, positions: np.ndarray, modalities: Sequence[str]) -> None:
    """Raise when cells of the MuData were measured in none of the modalities, or cells of a modality are not its own."""
    absent = ~(positions >= 0).any(axis=1)
    if absent.any():
        raise ValueError(
            f"{int(absent.sum()):,} of {mdata.n_obs:,} cells were measured in none of the modalities "
            f"{list(modalities)}, e.g. {mdata.obs_names[absent][0]!r}. Leave them out: `mdata[mask].copy()`."
        )
    for i, modality in enumerate(modalities):
        if modality in mdata.mod and (positions[:, i] >= 0).sum() != mdata.mod[modality].n_obs:
            raise ValueError(
                f"modality {modality!r} has cells that the MuData's obs lacks. Call `mdata.update()` after changing a modality."
            )


def check_paired(positions: np.ndarray, modalities: Sequence[str], where: str) -> None:
    """Raise unless some cell was measured in two modalities."""
    if not ((positions >= 0).sum(axis=1) > 1).any():
        raise ValueError(
            f"no cell of {where} was measured in two of the modalities {list(modalities)}. The reference must be paired: "
            "the same obs_names in the modalities of one cell."
        )
