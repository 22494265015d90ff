"""Access to a model's registry: modalities, cell types, features and layers. Base of MinNet's mixins."""

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
    """A model whose modalities, cell types, features and layers are in its registry.

    The mixins of :class:`~scminnet.MinNet` inherit from it. Attributes declared here without a value come from
    ``BaseModelClass`` of scvi-tools and from ``MinNet``.
    """

    adata: MuData | None
    registry_: dict[str, Any]
    _check_if_trained: Callable[..., None]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Registered modalities. The margin graph is built from the first."""
        return tuple(self.registry_["setup_args"]["modalities"].values())

    @property
    def labels(self) -> np.ndarray:
        """Cell types of the model in the order of its probabilities, without the unlabelled category."""
        return self._label_state["categorical_mapping"][:-1]

    @property
    def _label_state(self) -> dict[str, Any]:
        return self.registry_["field_registries"][REGISTRY_KEYS.LABELS_KEY]["state_registry"]

    @overload
    def get_var_names(self, legacy_mudata_format: Literal[False] = False) -> dict[str, np.ndarray]: ...

    @overload
    def get_var_names(self, legacy_mudata_format: Literal[True]) -> np.ndarray: ...

    def get_var_names(self, legacy_mudata_format: bool = False) -> dict[str, np.ndarray] | np.ndarray:
        """Features of each registered modality, from the registry. The model needs no data for this."""
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
            raise ValueError("`mdata` is missing, and the model was loaded without data. Give `mdata`.")
        return self.adata

    def _data(self, mdata: MuData | None) -> MuData:
        if mdata is None:
            return self._own_data()
        check_mudata(mdata)
        return mdata
