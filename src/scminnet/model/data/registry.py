"""What a model knows from its registry: modalities, types, features, layers. The base of MinNet's parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np
from mudata import MuData
from scvi import REGISTRY_KEYS

from scminnet._core.mdata import check_mudata, layer_matrix
from scminnet.model.data.fields import layer_field_key
from scminnet.model.data.sparse_rows import as_row_matrix


class RegisteredModel:
    """A model whose modalities, types, features and layers are in its registry.

    The parts of :class:`~scminnet.MinNet` build on it. What is declared here without a value comes from scvi-tools' ``BaseModelClass`` and
    ``MinNet``, which brings them together.
    """

    adata: MuData | None
    registry_: dict[str, Any]
    _check_if_trained: Callable[..., None]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Registered modalities, the margin graph's first."""
        return tuple(self.registry_["setup_args"]["modalities"].values())

    @property
    def labels(self) -> np.ndarray:
        """Types that the model tells apart, in the order of its probabilities; the unlabelled category is none."""
        return self._label_state["categorical_mapping"][:-1]

    @property
    def _label_state(self) -> dict[str, Any]:
        return self.registry_["field_registries"][REGISTRY_KEYS.LABELS_KEY]["state_registry"]

    @overload
    def get_var_names(self, legacy_mudata_format: Literal[False] = False) -> dict[str, np.ndarray]: ...

    @overload
    def get_var_names(self, legacy_mudata_format: Literal[True]) -> np.ndarray: ...

    def get_var_names(self, legacy_mudata_format: bool = False) -> dict[str, np.ndarray] | np.ndarray:
        """Features of each registered modality; read from the registry, which a model without data has as well."""
        registries = self.registry_["field_registries"]
        names = {
            m: np.asarray(registries[layer_field_key(m)]["state_registry"]["column_names"]) for m in self.modalities
        }
        return np.concatenate(list(names.values())) if legacy_mudata_format else names

    @property
    def _layers(self) -> dict[str, str | None]:
        return self.registry_["setup_args"]["layers"]

    def _row_matrices(self, mdata: MuData) -> dict[str, Any]:
        return {m: as_row_matrix(layer_matrix(mdata, m, self._layers[m])) for m in self.modalities if m in mdata.mod}

    def _own_data(self) -> MuData:
        if self.adata is None:
            raise ValueError("the model was loaded without data. Pass `mdata`, or load it with data.")
        return self.adata

    def _data(self, mdata: MuData | None) -> MuData:
        if mdata is None:
            return self._own_data()
        check_mudata(mdata)
        return mdata
