"""Checks a MuData, resolves its labels and batches, and registers it with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mudata import MuData
from scvi import REGISTRY_KEYS

from scminnet._core.arguments import shorten
from scminnet._core.compat import without_warning
from scminnet._core.logging import logger
from scminnet._core.mdata import check_modalities, check_mudata, check_not_view, layer_matrix, layer_names
from scminnet._core.obs_text import unlabeled_names
from scminnet._core.user_warnings import warn
from scminnet._core.values import check_values, look_scaled
from scminnet.model._scvi import AnnDataManagerValidationCheck
from scminnet.model.data.cell_index import check_measured, rows_in_modalities, warn_of_alike_names
from scminnet.model.data.fields import (
    MuDataOptionalLayerField,
    MuDataResolvedBatchField,
    MuDataResolvedLabelsField,
    check_features,
    layer_field_key,
)
from scminnet.model.data.moments import feature_moments
from scminnet.model.data.obs_columns import check_batches, check_labels, query_labels, resolve_batches, resolve_labels
from scminnet.model.data.peaks_left_out import say_peaks_left_out
from scminnet.model.data.query_names import check_modality_names
from scminnet.model.data.setup_view import MuDataManager


def register(
    mdata: MuData,
    modalities: Sequence[str] | Mapping[str, str],
    layers: str | Mapping[str, str | None] | None,
    labels_key: str | None,
    batch_key: str | None,
    unlabeled_category: str | Sequence[str],
    setup_method_args: dict[str, Any],
    transfer_kwargs: dict[str, Any],
) -> MuDataManager:
    """Check all arguments and data, then register the fields.

    Parameters
    ----------
    mdata, modalities, layers, labels_key, batch_key, unlabeled_category
        As in :meth:`scminnet.MinNet.setup_mudata`.
    setup_method_args
        What scvi-tools keeps of the call. The resolved modalities and layers are written into it.
    transfer_kwargs
        ``source_registry`` and others if the setup of a saved model is repeated for a query.
    """
    source = transfer_kwargs.get("source_registry")
    check_mudata(mdata)
    check_not_view(mdata)
    names = _modality_names(modalities)
    layer_of = layer_names(layers, names)
    setup_method_args["setup_args"] |= {"modalities": {m: m for m in names}, "layers": layer_of}

    present, features = names, {}
    if source is not None:
        states = source["field_registries"]
        features = {m: states[layer_field_key(m)]["state_registry"]["column_names"] for m in names}
        check_modality_names(mdata, features)
        present = [m for m in names if m in mdata.mod]
    if not present:
        raise ValueError(f"`mdata` has modalities {shorten(mdata.mod)}, the model {shorten(names)}: none in common.")
    check_modalities(mdata, present)
    check_matrices(mdata, present, layer_of)
    positions = rows_in_modalities(mdata, names)
    check_measured(mdata, positions, names)
    warn_of_alike_names(mdata, present)
    unlabeled = unlabeled_names(unlabeled_category)
    batches = resolve_batches(mdata, batch_key, names, allow_missing=source is not None)
    if source is None:
        labels = resolve_labels(mdata, labels_key, names, unlabeled, allow_missing=False)
        if labels_key is not None:
            check_labels(labels, labels_key, unlabeled)
        check_batches(batches, batch_key)
        say_peaks_left_out(mdata, present)
    else:
        for m in present:
            check_features(mdata, m, features[m])
        known = source["field_registries"][REGISTRY_KEYS.LABELS_KEY]["state_registry"]["categorical_mapping"]
        _, not_used = query_labels(mdata, labels_key, names, known, unlabeled)
        if not_used:
            logger.info("labels of the query %s", not_used)

    manager = MuDataManager(
        fields=_fields(names, layer_of, labels_key, batch_key, unlabeled),
        setup_method_args=setup_method_args,
        # cells may lack modalities, because rows are matched by name
        validation_checks=AnnDataManagerValidationCheck(check_fully_paired_mudata=False),
    )
    # scvi-tools names rare types by code, also in a query; `check_labels` names those of a reference
    with without_warning("Category .* has fewer than 3 cells"):
        manager.register_fields(mdata, **transfer_kwargs)
    return manager


def _fields(
    modalities: Sequence[str],
    layers: Mapping[str, str | None],
    labels_key: str | None,
    batch_key: str | None,
    unlabeled: Sequence[str],
) -> list[Any]:
    """Return the fields of scvi-tools: a matrix per modality, labels and batches."""
    matrices = [
        MuDataOptionalLayerField(
            layer_field_key(m),
            layers[m],
            mod_key=m,
            is_count_data=False,
            correct_data_format=False,
            mod_required=True,
        )
        for m in modalities
    ]
    return [
        *matrices,
        MuDataResolvedLabelsField(REGISTRY_KEYS.LABELS_KEY, labels_key, modalities, unlabeled),
        MuDataResolvedBatchField(REGISTRY_KEYS.BATCH_KEY, batch_key, modalities),
    ]


def check_matrices(mdata: MuData, modalities: Sequence[str], layers: Mapping[str, str | None]) -> None:
    """Raise if values can not be used. Warn once if some look like counts, and once if some look z-scored."""
    counts, scaled = [], []
    for modality in modalities:
        matrix = layer_matrix(mdata, modality, layers[modality])
        adata = mdata.mod[modality]
        values = check_values(matrix, modality, (adata.obs_names, adata.var_names), stored=True)
        if values.look_like_counts:
            counts.append(modality)
        # values that are not negative have no mean of 0
        elif values.n_negative and look_scaled(matrix, *feature_moments(matrix)):
            scaled.append(modality)
    if counts:
        warn(
            f"the values of {shorten(counts)} are whole numbers, like raw counts. MinNet expects normalised values: "
            "log-normalise RNA and ATAC, CLR-transform proteins, or name the layer that holds them."
        )
    if scaled:
        warn(
            f"the features of {shorten(scaled)} look z-scored (mean 0, variance 1). MinNet standardises features "
            "itself, and can no longer compare the levels of a query with those of its reference. Give the values "
            "before scaling, e.g. by `layers`. If there are none, scale a query by the reference's mean and deviation."
        )


def _modality_names(modalities: Sequence[str] | Mapping[str, str]) -> list[str]:
    if isinstance(modalities, str):
        raise TypeError(f"`modalities` is the text {modalities!r}. Give a list of at least two names.")
    names = list(modalities.values()) if isinstance(modalities, Mapping) else list(modalities)
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise ValueError(f"`modalities` is {names}. Name at least two different modalities.")
    return names
