"""Builds the MuData of a public set from its modalities and the annotation of its cells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.compat import mudata_0_4_behaviour
from scminnet.datasets._sources import SOURCES


def check_columns(obs: pd.DataFrame, needed: tuple[str, ...], file: Path) -> None:
    missing = [column for column in needed if column not in obs]
    if missing:
        raise ValueError(
            f"{str(file)!r} has no columns {shorten(missing)} in obs, so it is not the published file. "
            "Delete it and call again to download it anew."
        )


def assemble(modalities: Mapping[str, AnnData], cells: pd.DataFrame, files: Mapping[str, Path]) -> MuData:
    # RNA and activity share names of genes on purpose
    with mudata_0_4_behaviour():
        mdata = MuData(dict(modalities))
    first = [c for c in ("cell_type", "cell_type_paper", "batch", "donor", "site", "split", "in_paper") if c in cells]
    for column in [*first, *cells.columns.drop(first)]:
        values = cells[column]
        mdata.obs[column] = values.astype("category") if column in ("cell_type", "batch", "donor", "site") else values
    mdata.uns["source"] = [SOURCES[name].url for name in files]
    return mdata
