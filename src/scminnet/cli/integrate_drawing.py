"""Figures of ``scminnet integrate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet import pl
from scminnet._core.keys import EMBEDDING_KEY, UMAP_KEY
from scminnet._core.obs import obs_column
from scminnet.cli.figures import write_figures
from scminnet.cli.integrate_labels import JOINED
from scminnet.model import MinNet

#: Most cells of a modality in a figure.
MAX_DRAWN = 20_000


def draw(
    cells: MuData,
    modalities: Sequence[str],
    model: MinNet,
    labels_key: str | None,
    batch_key: str | None,
    folder: Path,
    *,
    seed: int,
) -> tuple[str, ...]:
    """Draw the embedding and the training history as ``.png`` and ``.pdf``. Return their names."""
    shown = _cells_to_draw(cells, modalities, labels_key, batch_key, seed)
    label = [str(labels_key)] if labels_key is not None else []
    batch = [str(batch_key)] if batch_key is not None else []
    drawn = {
        "embedding": pl.embedding(shown, modalities, [*label, "modality", *batch], seed=seed),
        "history": pl.history(model),
    }
    _keep_umap(shown, cells, modalities)
    return write_figures(drawn, folder)


def _cells_to_draw(
    cells: MuData, modalities: Sequence[str], labels_key: str | None, batch_key: str | None, seed: int
) -> MuData:
    """Return embeddings and columns of at most ``MAX_DRAWN`` cells of each modality."""
    rng = np.random.default_rng(seed)
    columns = {key: obs_column(cells, key, modalities, "batch_key") for key in (batch_key,) if key is not None}
    if labels_key is not None:
        columns[labels_key] = cells.obs[JOINED]
    shown = {}
    for m in modalities:
        adata = cells.mod[m]
        rows = np.sort(rng.permutation(adata.n_obs)[:MAX_DRAWN])
        obs = pd.DataFrame(index=adata.obs_names[rows])
        for key, column in columns.items():
            obs[key] = column.loc[obs.index].astype(object).to_numpy()
        shown[m] = embedded_only(obs, adata.obsm[EMBEDDING_KEY][rows])
    return MuData(shown)


def _keep_umap(shown: MuData, cells: MuData, modalities: Sequence[str]) -> None:
    """Copy the UMAP into the user's data, if all cells were drawn and there is no other."""
    if shown.n_obs < cells.n_obs or any(UMAP_KEY in table.obsm for table in (cells, *cells.mod.values())):
        return
    for m in modalities:
        cells.mod[m].obsm[UMAP_KEY] = shown.mod[m].obsm[UMAP_KEY]
    cells.obsm[UMAP_KEY] = shown.obsm[UMAP_KEY][shown.obs_names.get_indexer(cells.obs_names)]
    cells.uns[UMAP_KEY] = shown.uns[UMAP_KEY]


def embedded_only(obs: pd.DataFrame, embedding: np.ndarray) -> AnnData:
    """Return cells with an embedding and a single feature, because modalities can not be empty."""
    return AnnData(np.zeros((len(obs), 1), np.float32), obs=obs, obsm={EMBEDDING_KEY: embedding})
