"""Loads a query into a trained model: brings its features into the reference's order and registers it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import pandas as pd
from mudata import MuData

from scminnet._core import compat
from scminnet._core.argument_types import check_types
from scminnet._core.mdata import check_mudata
from scminnet._core.sparse_structure import check_sparse_parts
from scminnet.model._scvi import find_device, loaded_data
from scminnet.model.data.query_alignment import align_query
from scminnet.model.data.registry import RegisteredModel
from scminnet.model.storage.save_load import SaveLoadMixin
from scminnet.model.storage.saved_format import SavedModel, read_saved_model


class QueryMixin(RegisteredModel, SaveLoadMixin):
    """``load_query_data`` and ``prepare_query_mudata`` of :class:`~scminnet.MinNet`."""

    if TYPE_CHECKING:

        @classmethod
        def setup_mudata(cls, *args: Any, **kwargs: Any) -> None:
            """Register a MuData; :class:`~scminnet.MinNet` has it."""

    @classmethod
    @check_types
    def load_query_data(
        cls,
        mdata: MuData,
        reference_model: str | Path | Self,
        *,
        accelerator: str = "auto",
        device: int | str = "auto",
    ) -> Self:
        """Load a query into a trained model, which then embeds it without further training.

        Parameters
        ----------
        mdata
            The query: cells measured in any of the model's modalities, with the model's features (see
            :meth:`prepare_query_mudata`). Labels and batches may be missing. Labels that the model does not know count
            as unlabelled; their column stays as it is. The query is registered.
        reference_model
            A trained model, or the folder of a saved one.
        accelerator, device
            Device of the model, as in :meth:`scvi.model.base.BaseModelClass.load`.

        Raises
        ------
        TypeError
            An argument is of the wrong type.
        FileNotFoundError, ValueError
            As in :meth:`load` and :meth:`setup_mudata`.
        """
        target = find_device(accelerator, device, "device", single=True)
        reference = cls._reference(reference_model)
        registry = reference.attributes["registry_"]
        cls.setup_mudata(
            mdata,
            source_registry=registry,
            extend_categories=True,
            allow_missing_labels=True,
            **registry["setup_args"],
        )
        # these index the reference's cells
        indices = {"train_indices_": None, "validation_indices_": None, "test_indices_": None}
        reference = reference._replace(attributes={**reference.attributes, **indices})
        return cls._from_saved(reference, mdata, target)

    @overload
    @classmethod
    def prepare_query_mudata(
        cls,
        mdata: MuData,
        reference_model: str | Path | Self,
        return_reference_var_names: Literal[False] = False,
        *,
        inplace: Literal[False],
    ) -> MuData: ...

    @overload
    @classmethod
    def prepare_query_mudata(
        cls,
        mdata: MuData,
        reference_model: str | Path | Self,
        return_reference_var_names: bool = False,
        inplace: bool = True,
    ) -> MuData | dict[str, pd.Index] | None: ...

    @classmethod
    @check_types
    def prepare_query_mudata(
        cls,
        mdata: MuData,
        reference_model: str | Path | Self,
        return_reference_var_names: bool = False,
        inplace: bool = True,
    ) -> MuData | dict[str, pd.Index] | None:
        """Bring a query's features into the model's order. Missing features become zeros.

        The number of the model's features that were found is logged. Modalities that the query lacks stay absent, and
        so do labels and other columns of ``obs`` as they are. The model need not be trained.

        Parameters
        ----------
        mdata
            The query.
        reference_model
            A model, or the folder of a saved one.
        return_reference_var_names
            Return the model's features by modality, and change nothing.
        inplace
            Change ``mdata``. Otherwise return a new MuData.

        Raises
        ------
        TypeError
            An argument is of the wrong type.
        FileNotFoundError
            There is no saved model.
        ValueError
            The query has none of the modalities, or one of them under another name. A modality has none of the model's
            features, or less than 5 % and more of them under names that are written otherwise. Or the saved model can
            not be used.

        Warns
        -----
        UserWarning
            More of the model's features would be found under names that are written otherwise, such as in another case,
            with versions of Ensembl ids, or with ``chr``.
        """
        if isinstance(reference_model, cls):
            names = reference_model.get_var_names()
        else:
            names = cls._reference(reference_model).names
        features = {m: pd.Index(n) for m, n in names.items()}
        if return_reference_var_names:
            return features
        check_mudata(mdata)
        check_sparse_parts(mdata)
        aligned = align_query(mdata, features)
        if not inplace:
            return aligned
        compat.replace_mudata(mdata, aligned)
        return None

    @classmethod
    def _reference(cls, reference_model: str | Path | Self) -> SavedModel:
        """Return what the model in a folder holds, or a copy of what a model holds."""
        if isinstance(reference_model, cls):
            reference_model._check_if_trained(warn=False, message="`reference_model` is not trained. Train it first.")
            attributes, names, state, _ = loaded_data(reference_model)
            return SavedModel(state, attributes, names)
        if not isinstance(reference_model, (str, Path)):
            raise TypeError(
                f"`reference_model` is a {type(reference_model).__name__}. "
                f"Give a {cls.__name__} or the folder of a saved one."
            )
        return read_saved_model(reference_model, cls)
