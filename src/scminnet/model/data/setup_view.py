"""Shows how a model's data were set up. The text of scvi-tools names ``setup_anndata``, which MinNet does not have."""

from __future__ import annotations

from typing import Any

import rich
import rich.pretty
from mudata import MuData
from scvi.data import AnnDataManager

from scminnet.model.data.registry import RegisteredModel


class MuDataManager(AnnDataManager):
    """Manager of the data of :class:`~scminnet.MinNet`."""

    @staticmethod
    def view_setup_method_args(registry: dict[str, Any]) -> None:
        """Print the arguments of ``setup_mudata`` that made a registry."""
        rich.print(f"Set up by `{registry['model_name']}.setup_mudata` with arguments:")
        rich.pretty.pprint(registry["setup_args"])
        rich.print()


class SetupViewMixin(RegisteredModel):
    """``view_setup_method_args`` and ``view_registry`` of :class:`~scminnet.MinNet`."""

    #: Methods of scvi-tools that MinNet can not have, because it is not a generative model, or that concern AnnData.
    _NOT_MINNETS = {
        "convert_legacy_save",
        "differential_abundance",
        "get_normalized_expression",
        "get_normalized_function_name",
        "setup_anndata",
    }

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in self._NOT_MINNETS]

    def view_setup_method_args(self) -> None:
        """Print the arguments of :meth:`setup_mudata` that the model was made with."""
        MuDataManager.view_setup_method_args(self.registry_)

    def view_registry(self, hide_state_registries: bool = False) -> None:
        """Print how the model's own data were set up, as :meth:`view_anndata_setup` does.

        Parameters
        ----------
        hide_state_registries
            Leave out the tables of labels and batches.
        """
        self.view_anndata_setup(hide_state_registries=hide_state_registries)

    def view_anndata_setup(self, adata: MuData | None = None, hide_state_registries: bool = False) -> None:
        """Print how data were set up: arguments, modalities, labels and batches.

        Parameters
        ----------
        adata
            A registered MuData. ``None``: the model's own data.
        hide_state_registries
            Leave out the tables of labels and batches.

        Raises
        ------
        ValueError
            There are no data, or they are not registered.
        """
        data = self._data(adata)
        super().view_anndata_setup(data, hide_state_registries)  # type: ignore[misc]

    def get_normalized_expression(self, *args: Any, **kwargs: Any) -> None:
        """Raise an error: MinNet is not a generative model."""
        raise NotImplementedError(
            "MinNet is not a generative model and denoises no values. Impute or smooth measured values with "
            "`scminnet.tl.minnet_smooth`, or use a model such as MultiVI or totalVI."
        )

    def differential_abundance(self, *args: Any, **kwargs: Any) -> None:
        """Raise an error: MinNet has no posterior of a cell's place in the embedding."""
        raise NotImplementedError(
            "MinNet gives no distribution of a cell's embedding. Compare the cell types of samples by their numbers of "
            "cells, or use a method for neighbourhoods such as Milo on obsm['X_minnet']."
        )
