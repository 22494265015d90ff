"""The cells that a report shows: at most so many of each modality, with the columns and embeddings that are needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet._core import compat
from scminnet._core.keys import UMAP_KEY
from scminnet._core.obs import obs_column
from scminnet._core.obs_text import without
from scminnet.pl._colors import is_not_named

#: Most cells of a modality that are drawn and measured.
MAX_CELLS = 20_000


def shown_cells(
    mdata: MuData,
    modalities: Sequence[str],
    columns: Iterable[str],
    use_rep: str,
    *,
    known: str | None,
    unlabeled: Sequence[str] = (),
    numbers: Iterable[str] = (),
    seed: int,
) -> MuData:
    """Return a MuData of its own with the embeddings, the UMAP if there is one, and some columns of ``obs``.

    Parameters
    ----------
    mdata
        The cells.
    modalities
        Modalities with the embedding.
    columns
        Columns of ``obs`` with categories, of the MuData or of modalities.
    use_rep
        Key of the embeddings.
    known
        Column of known types, see :func:`known_types`.
    unlabeled
        Categories of cells without a type.
    numbers
        Columns of the modalities' ``obs`` with numbers.
    seed
        Seed of the draw, where a modality has more than ``MAX_CELLS`` cells.
    """
    rng = np.random.default_rng(seed)
    values = {key: obs_column(mdata, key, modalities, "color") for key in columns}
    if known in values:
        values[known] = known_types(values[known], unlabeled)
    parts = {}
    for m in modalities:
        adata = mdata.mod[m]
        rows = np.sort(rng.permutation(adata.n_obs)[:MAX_CELLS])
        obs = pd.DataFrame(index=adata.obs_names[rows])
        for key, column in values.items():
            obs[key] = column.loc[obs.index].to_numpy()
        for key in numbers:
            if key in adata.obs:
                obs[key] = adata.obs[key].loc[obs.index].to_numpy(float)
        obsm = {key: np.asarray(adata.obsm[key])[rows] for key in (use_rep, UMAP_KEY) if key in adata.obsm}
        # a feature, because modalities can not be empty
        parts[m] = AnnData(np.zeros((len(rows), 1), np.float32), obs=obs, obsm=obsm)
        parts[m].var_names = [m]
    with compat.mudata_0_4_behaviour():
        shown = MuData(parts)
    if UMAP_KEY in mdata.uns:
        shown.uns[UMAP_KEY] = mdata.uns[UMAP_KEY]
    return shown


def known_types(types: pd.Series, unlabeled: Sequence[str]) -> pd.Series:
    """Return cell types with missing values for those of ``unlabeled``, and for words such as "Unknown"."""
    named = without(types, unlabeled)
    return named.mask(named.map(is_not_named, na_action="ignore").eq(True))


def transfers_of(mdata: MuData) -> dict[str, Mapping[str, Any]]:
    """Return what :func:`scminnet.tl.transfer_labels` wrote into ``uns``, by the name of its column."""
    return {
        key: entry
        for key, entry in mdata.uns.items()
        if isinstance(entry, Mapping)
        and {"source", "target", "params"} <= set(entry)
        and "labels_key" in entry["params"]
        and entry["target"] in mdata.mod
        and key in mdata.mod[entry["target"]].obs
    }
