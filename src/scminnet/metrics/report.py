"""All measures of an integration in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.compat import without_warning
from scminnet._core.embeddings import joint_embeddings
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.mdata import check_modalities, check_mudata
from scminnet._core.obs import BATCH_REMEDY, label_column, obs_column
from scminnet._core.obs_text import SAID_OF_TEXTS, warn_of_missing_texts
from scminnet.metrics._checks import NotDefinedError, check_counts
from scminnet.metrics.ari import ari
from scminnet.metrics.foscttm import Foscttm, foscttm
from scminnet.metrics.label_transfer import label_transfer_accuracy
from scminnet.metrics.matching_score import MatchingScore, matching_score
from scminnet.metrics.mixing import neighbor_mixing
from scminnet.metrics.silhouette import silhouette_batch, silhouette_label, silhouette_modality


@check_types
def integration_report(
    mdata: MuData,
    *,
    modalities: Sequence[str],
    labels_key: str,
    unlabeled_category: str | Sequence[str] | None = None,
    batch_key: str | None = None,
    use_rep: str = EMBEDDING_KEY,
    n_neighbors: int | Sequence[int] = (5, 10, 20, 30, 50),
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how well a joint embedding mixes modalities and batches, and separates cell types.

    Any embedding of the modalities into one space will do. Nothing is written into ``mdata``.

    Parameters
    ----------
    mdata
        MuData whose modalities each hold their cells' embedding in ``mdata[m].obsm[use_rep]``. The modalities may hold
        different cells, or the same in another order: cells are matched by ``obs_names``.
    modalities
        Two or more modalities to compare.
    labels_key
        Column of cell types, in ``mdata.obs`` or in the modalities' ``obs``. Cells without a type (missing value) are
        left out of the measures that use types.
    unlabeled_category
        Category of cells without a label, or several, e.g. ``"nan"`` or ``["Unknown", "nan"]``. Missing values have
        none either.
    batch_key
        Column of batches, likewise. ``None``: batch mixing is not measured.
    use_rep
        Key of the embeddings in the modalities' ``obsm``, arrays (cells of the modality, d).
    n_neighbors
        Neighbours that vote in label transfer, or several to choose the best from, as in
        :func:`~scminnet.metrics.label_transfer_accuracy`.
    seed
        Seed of the neighbour searches, of Leiden, and of the samples of large data.

    Returns
    -------
    One row a measure with ``metric``, ``modalities`` (``"rna -> atac"`` from cells of the one to cells of the other,
    ``"rna, atac"`` all together), ``value``, and ``better``, which says whether "lower" or "higher" values are better.

    The metrics are ``foscttm`` and ``foscttm_mean``, ``matching_score`` and ``matching_score_mean`` (cells present in
    both modalities), ``label_transfer_accuracy`` and ``label_transfer_macro_accuracy`` (from all labelled cells of the
    one modality to all of the other), ``neighbor_mixing`` of the modalities, ``silhouette_label``,
    ``silhouette_modality``, ``silhouette_batch`` and ``ari``.

    ``attrs["left_out"]`` maps the measures that could not be computed, as ``"metric (modalities)"``, to the reason;
    ``attrs["n_neighbors"]`` maps ``"rna -> atac"`` and so on to the number of neighbours chosen for label transfer.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData.
    KeyError
        A column or an embedding is missing.
    ValueError
        Fewer than two modalities are named, or unknown or empty ones; embeddings are not finite or differ in width; or
        ``n_neighbors`` is not made of whole numbers.
    """
    check_mudata(mdata)
    if isinstance(modalities, str) or len(set(modalities)) < max(2, len(modalities)):
        raise ValueError(f"`modalities` is {modalities!r}. Give a sequence of two or more different modalities.")
    check_modalities(mdata, modalities)
    n_neighbors = check_counts(n_neighbors, "n_neighbors")
    labels = label_column(mdata, labels_key, modalities, "labels_key", unlabeled_category)
    batches = None if batch_key is None else obs_column(mdata, batch_key, modalities, "batch_key")
    if batches is not None:
        warn_of_missing_texts(batches, f"`batch_key`={batch_key!r}", BATCH_REMEDY)
    names = {m: mdata.mod[m].obs_names for m in modalities}
    embeddings = joint_embeddings(mdata, modalities, use_rep)
    embedded = {
        m: _Cells(names[m], embedding, labels.loc[names[m]].to_numpy())
        for m, embedding in zip(modalities, embeddings, strict=True)
    }

    table = _Table([], {}, {})
    for a, b in combinations(modalities, 2):
        _add_pairs(table, a, b, embedded[a], embedded[b], seed)
    # said above, once for all measures
    with without_warning(*SAID_OF_TEXTS):
        for a, b in permutations(modalities, 2):
            _add_label_transfer(table, f"{a} -> {b}", embedded[a].labelled(), embedded[b].labelled(), n_neighbors, seed)
        _add_joint(table, embedded, batches, seed)
    report = pd.DataFrame(table.rows, columns=["metric", "modalities", "value", "better"])
    report.attrs = {"left_out": table.left_out, "n_neighbors": table.n_neighbors}
    return report


class _Cells(NamedTuple):
    """The cells of one modality."""

    names: pd.Index
    embedding: np.ndarray
    labels: np.ndarray

    def labelled(self) -> _Cells:
        has_label = pd.notna(self.labels)
        return _Cells(self.names[has_label], self.embedding[has_label], self.labels[has_label])


class _Table(NamedTuple):
    """The report as it grows."""

    rows: list[tuple[str, str, float, str]]
    left_out: dict[str, str]
    n_neighbors: dict[str, int]

    def add(self, metric: str, modalities: str, measure: Callable[[], float], better: str) -> None:
        """Add the value of ``measure``, or the reason why it has none."""
        try:
            self.rows.append((metric, modalities, measure(), better))
        except NotDefinedError as reason:
            self.left_out[f"{metric} ({modalities})"] = str(reason)


def _add_pairs(table: _Table, a: str, b: str, x: _Cells, y: _Cells, seed: int) -> None:
    """Add the measures of cells that are in both modalities."""
    shared = x.names[x.names.isin(y.names)]
    pairs = x.embedding[x.names.get_indexer(shared)], y.embedding[y.names.get_indexer(shared)]
    result: Foscttm | MatchingScore
    for metric, better in (("foscttm", "lower"), ("matching_score", "higher")):
        try:
            result = foscttm(*pairs) if metric == "foscttm" else matching_score(*pairs, seed=seed)
        except NotDefinedError as reason:
            table.left_out[f"{metric} ({a}, {b})"] = str(reason)
            continue
        table.rows.append((metric, f"{a} -> {b}", result.x_to_y, better))
        table.rows.append((metric, f"{b} -> {a}", result.y_to_x, better))
        table.rows.append((f"{metric}_mean", f"{a}, {b}", result.mean, better))


def _add_label_transfer(
    table: _Table, direction: str, source: _Cells, target: _Cells, n_neighbors: tuple[int, ...], seed: int
) -> None:
    try:
        result = label_transfer_accuracy(
            source.embedding, source.labels, target.embedding, target.labels, n_neighbors=n_neighbors, seed=seed
        )
    except NotDefinedError as reason:
        table.left_out[f"label_transfer_accuracy ({direction})"] = str(reason)
        return
    table.rows.append(("label_transfer_accuracy", direction, result.accuracy, "higher"))
    table.rows.append(("label_transfer_macro_accuracy", direction, result.macro_accuracy, "higher"))
    table.n_neighbors[direction] = result.n_neighbors


def _add_joint(table: _Table, embedded: dict[str, _Cells], batches: pd.Series | None, seed: int) -> None:
    """Add the measures of all modalities' cells together, each cell once a modality."""
    together = ", ".join(embedded)
    embedding = np.concatenate([cells.embedding for cells in embedded.values()])
    labels = np.concatenate([cells.labels for cells in embedded.values()])
    modality = np.repeat(list(embedded), [len(cells.names) for cells in embedded.values()])
    labelled = pd.notna(labels)

    def add(metric: str, measure: Callable[..., float], rows: np.ndarray, groups: np.ndarray) -> None:
        table.add(metric, together, lambda: measure(embedding[rows], groups[rows], seed=seed), "higher")

    add("silhouette_label", silhouette_label, labelled, labels)
    everything = np.ones(len(modality), dtype=bool)
    add("neighbor_mixing", neighbor_mixing, everything, modality)
    add("silhouette_modality", silhouette_modality, everything, modality)
    if batches is None:
        table.left_out[f"silhouette_batch ({together})"] = "`batch_key` is None."
    else:
        batch = np.concatenate([batches.loc[cells.names].to_numpy() for cells in embedded.values()])
        add("silhouette_batch", silhouette_batch, pd.notna(batch), batch)
    add("ari", ari, labelled, labels)
