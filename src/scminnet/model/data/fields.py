"""scvi-tools fields that register a MuData across modalities. A query may lack some modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from scvi.data.fields import MuDataCategoricalObsField, MuDataLabelsWithUnlabeledObsField, MuDataLayerField

from scminnet._core.arguments import shorten
from scminnet._core.keys import BATCH_COLUMN, LABELS_COLUMN
from scminnet.model.data.obs_columns import query_labels, resolve_batches, resolve_labels


def layer_field_key(modality: str) -> str:
    """Return the registry key of a modality's matrix."""
    return f"X_{modality}"


class MuDataOptionalLayerField(MuDataLayerField):
    """A modality's matrix, which a query may lack. Its features must be the reference's, in the same order."""

    def transfer_field(self, state_registry: dict[str, Any], mdata_target: MuData, **kwargs: Any) -> dict[str, Any]:
        """Transfer the field. A modality that the query lacks is registered with no cells."""
        if self.mod_key not in mdata_target.mod:
            return {**state_registry, "n_obs": 0}
        check_features(mdata_target, self.mod_key, state_registry["column_names"])
        return super().transfer_field(state_registry, mdata_target, **kwargs)


class MuDataResolvedLabelsField(MuDataLabelsWithUnlabeledObsField):
    """Labels of the cells of all modalities, with one code map. The unlabelled category is last."""

    def __init__(
        self, registry_key: str, labels_key: str | None, modalities: Sequence[str], unlabeled: Sequence[str]
    ) -> None:
        super().__init__(registry_key, LABELS_COLUMN, unlabeled_category=unlabeled[0])
        self._preregister = lambda _self, mdata: _write_column(
            mdata, LABELS_COLUMN, resolve_labels(mdata, labels_key, modalities, unlabeled, allow_missing=True)
        )
        self._labels_of = lambda mdata, known: query_labels(mdata, labels_key, modalities, known, unlabeled)[0]

    def transfer_field(self, state_registry: dict[str, Any], mdata_target: MuData, **kwargs: Any) -> dict[str, Any]:
        """Transfer the field. Labels that the model does not know count as unlabelled."""
        known = state_registry["categorical_mapping"]
        self._preregister = lambda _self, mdata: _write_column(mdata, LABELS_COLUMN, self._labels_of(mdata, known))
        return super().transfer_field(state_registry, mdata_target, **kwargs)


class MuDataResolvedBatchField(MuDataCategoricalObsField):
    """Batches of the cells of all modalities, with one code map."""

    def __init__(self, registry_key: str, batch_key: str | None, modalities: Sequence[str]) -> None:
        super().__init__(registry_key, BATCH_COLUMN)
        self._preregister = lambda _self, mdata: _write_column(
            mdata, BATCH_COLUMN, resolve_batches(mdata, batch_key, modalities, allow_missing=True)
        )


def _write_column(mdata: MuData, column: str, values: pd.Series) -> None:
    # a new table, because pandas warns when writing into a slice of another table
    mdata.obs = mdata.obs.assign(**{column: pd.Categorical(values)})


def check_features(mdata: MuData, modality: str, reference: Sequence[str] | np.ndarray) -> None:
    """Raise unless the modality has the reference's features in the reference's order."""
    names = mdata.mod[modality].var_names
    if not np.array_equal(names.astype(str), np.asarray(reference, dtype=str)):
        wanted = pd.Index(reference)
        known = names.isin(wanted)
        lacking, more = wanted[~wanted.isin(names)], names[~known]
        found = f"has the model's {len(wanted):,} features in another order"
        if len(lacking) or len(more):
            found = f"has {len(names):,} features, {int(known.sum()):,} of them among the model's {len(wanted):,}"
            found += f"; it lacks {len(lacking):,}, e.g. {shorten(lacking, 3)}" if len(lacking) else ""
            found += f"; the model does not know {len(more):,}, e.g. {shorten(more, 3)}" if len(more) else ""
        raise ValueError(f"modality {modality!r} {found}. Call `MinNet.prepare_query_mudata(mdata, model)` first.")
