"""The model users hold. What it can do is in its parts: registration, training, inference, queries. No mathematics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, overload

import pandas as pd
import torch
from mudata import MuData
from scvi.model.base import BaseModelClass

from scminnet._core import compat
from scminnet._core.mdata import check_mudata
from scminnet.model._scvi import initialize_model, loaded_data, parse_device_args
from scminnet.model.data.query_alignment import align_query
from scminnet.model.data.registration import register
from scminnet.model.diagnosis.diagnose import DiagnoseMixin
from scminnet.model.inference.embed import EmbeddingMixin
from scminnet.model.network.module import SiameseModule
from scminnet.model.recipe import Recipe
from scminnet.model.storage.saved_format import check_saved_model, written_by
from scminnet.model.training.train import SiameseTrainingMixin


class MinNet(SiameseTrainingMixin, DiagnoseMixin, EmbeddingMixin, BaseModelClass):
    """Joint embedding of single-cell modalities, learnt from a paired, annotated reference :cite:p:`Liu23`.

    A siamese network with one encoder a modality, and embedding and type heads shared by all. Cells of different modalities meet
    in a contrastive loss whose margin grows with their distance on a batch-corrected graph; a classification loss keeps types
    apart. The trained network embeds data in which no cell was measured twice.

    Parameters
    ----------
    mdata
        MuData registered with :meth:`setup_mudata`.
    registry
        Registry of a saved model, given by :meth:`load` when there are no data.
    preset
        ``"default"`` or ``"paper"`` (the published code's values for RNA + ATAC; for RNA + protein the authors used
        ``activation="sigmoid"`` and ``train(pair_strategy="within", max_epochs=90)``). The preset also sets the defaults of :meth:`train`.
    n_hidden
        Width of each modality's hidden layers. ``None``, here and below, takes the preset's value.
    n_layers
        Hidden layers of each modality; each beyond the first is added to what it was given.
    n_latent
        Dimensions of the embedding.
    activation
        ``"tanh"``, ``"sigmoid"``, ``"relu"`` or ``"gelu"``.
    hidden_dropout
        Share of hidden units left out in training, in [0, 1). ``None`` with ``preset="default"``: 8 / √(paired cells of the training part),
        at most 0.3.
    input_layer
        ``"canonical"``: a fixed projection on the components that the training part's paired cells share across modalities
        (principal components, then canonical correlations) comes before the hidden layer. ``"learned"``: the hidden layer
        sees the features themselves, as in the paper.
    n_components, n_canonical
        Principal components of each modality (at most), and canonical components, of the ``"canonical"`` input layer. ``n_components=None`` with
        ``preset="default"``: 100, or 30 where :meth:`train` is given the query.
    input_dropout
        Share of a modality's features left out of a training batch by the ``"learned"`` input layer, in [0, 1).
    adapt_norm
        Where a query is standardised by its own statistics, its batch norm goes by its own cells as well.
    normalise
        Give every embedded cell length 1: its direction is what counts.
    seed
        Seed of the initial weights.

    Examples
    --------
    >>> scminnet.MinNet.setup_mudata(ref, modalities=["rna", "adt"], labels_key="cell_type", batch_key="donor")
    >>> model = scminnet.MinNet(ref)
    >>> model.train()
    >>> model.embed()  # writes obsm["X_minnet"]
    """

    def __init__(
        self,
        mdata: MuData | None = None,
        registry: dict[str, Any] | None = None,
        *,
        preset: str = "default",
        n_hidden: int | None = None,
        n_layers: int | None = None,
        n_latent: int | None = None,
        activation: str | None = None,
        hidden_dropout: float | None = None,
        input_layer: str | None = None,
        n_components: int | None = None,
        n_canonical: int | None = None,
        input_dropout: float | None = None,
        adapt_norm: bool | None = None,
        normalise: bool | None = None,
        seed: int = 0,
    ) -> None:
        recipe = Recipe.named(
            preset,
            n_hidden=n_hidden,
            n_layers=n_layers,
            n_latent=n_latent,
            activation=activation,
            hidden_dropout=hidden_dropout,
            input_dropout=input_dropout,
            input_layer=input_layer,
            n_components=n_components,
            n_canonical=n_canonical,
            adapt_norm=adapt_norm,
            normalise=normalise,
        )
        if mdata is not None:
            check_mudata(mdata)
            if self._get_most_recent_anndata_manager(mdata) is None:
                raise ValueError("`mdata` is not registered. Call `MinNet.setup_mudata(mdata, ...)` first.")
        super().__init__(mdata, registry)
        self.init_params_ = self._get_init_params(locals())
        # scvi-tools passes the data by position when it loads a model
        self.init_params_["non_kwargs"].pop("mdata", None)
        self.written_by_ = written_by()
        self._recipe = recipe
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.module = SiameseModule(
                {m: len(names) for m, names in self.get_var_names().items()}, len(self.labels), recipe
            )
        self._model_summary_string = (
            f"MinNet model with modalities {', '.join(self.modalities)}; {len(self.labels)} types; "
            f"n_hidden: {recipe.n_layers} x {recipe.n_hidden}, n_latent: {recipe.n_latent}, activation: {recipe.activation}"
        )

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        modalities: Sequence[str] | Mapping[str, str],
        *,
        labels_key: str | None = None,
        batch_key: str | None = None,
        layers: str | Mapping[str, str | None] | None = None,
        unlabeled_category: str = "Unknown",
        **kwargs: Any,
    ) -> None:
        """Register a MuData with the model.

        Writes ``_minnet_labels``, ``_minnet_batch`` and scvi-tools' code columns into ``mdata.obs``, and nothing on error.

        Parameters
        ----------
        mdata
            Cells may be measured in all modalities, in some or in one, and stand in any order in each modality. A
            reference needs some that were measured in two.
        modalities
            Two modalities or more; margins come from the graph of the first (see :meth:`train`).
        labels_key
            Cell types: a column of ``mdata.obs``, of modalities' ``obs``, or of both where they agree.
            Cells of one modality may be labelled and others not. ``None``: the model learns without cell types.
        batch_key
            Batches (donors, samples, sites), found likewise. ``None``: all cells are one batch.
        layers
            Layer of each modality, a mapping or one name for all; ``None`` is ``X``. Values are log-normalised (CLR for proteins):
            neither counts nor scaled. They are standardised inside the network.
        unlabeled_category
            Name of the category of cells without a label; missing labels count as this.
        **kwargs
            Used by :meth:`load` and :meth:`load_query_data`.

        Raises
        ------
        TypeError
            ``mdata`` is no MuData, or a matrix holds no numbers.
        KeyError
            ``labels_key`` or ``batch_key`` is nowhere.
        ValueError
            Fewer than two modalities; a modality that is absent, empty, has duplicate names, or NaN, infinite or negative
            values; cells measured in no modality; no labels in ``labels_key`` or a single one; missing batches; in a
            query: other features than the model's, or labels the model does not know.

        Warns
        -----
        UserWarning
            Values look like raw counts.
        """
        setup_method_args = cls._get_setup_method_args(**locals())
        manager = register(
            mdata, modalities, layers, labels_key, batch_key, unlabeled_category, setup_method_args, kwargs
        )
        cls.register_manager(manager)

    @classmethod
    def setup_anndata(cls, *args: Any, **kwargs: Any) -> None:
        """Raise: the model needs several modalities; use :meth:`setup_mudata`."""
        raise TypeError("MinNet learns from several modalities. Put them in a MuData and use `MinNet.setup_mudata`.")

    def save(
        self,
        dir_path: str | Path,
        prefix: str | None = None,
        overwrite: bool = False,
        save_anndata: bool = False,
        **kwargs: Any,
    ) -> None:
        """Save the model; every file is there as a whole, or as it was before.

        Parameters
        ----------
        dir_path
            Folder, which is made.
        prefix
            Put before the names of the files, so that a folder can hold several models.
        overwrite
            Allow a folder that is there, and replace its files of the same names.
        save_anndata
            Save the data as well.
        **kwargs
            As in :meth:`scvi.model.base.BaseModelClass.save`.

        Raises
        ------
        ValueError
            The folder is there, and ``overwrite`` is not given.
        """
        folder = Path(dir_path)
        if folder.exists() and not overwrite:
            raise ValueError(f"`dir_path`: {str(dir_path)!r} already exists. Give another folder, or overwrite=True.")
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with TemporaryDirectory(dir=folder, prefix=".saving-") as partial:
                super().save(partial, prefix, overwrite=True, save_anndata=save_anndata, **kwargs)
                # the model last: a folder without one is refused as such
                for file in sorted(Path(partial).iterdir()):
                    file.replace(folder / file.name)
        except BaseException:
            if made and not any(folder.iterdir()):
                folder.rmdir()
            raise

    @classmethod
    def load(
        cls, dir_path: str | Path, adata: MuData | bool | None = None, *, trusted: bool = False, **kwargs: Any
    ) -> MinNet:
        """Load a saved model.

        A saved model is a pickle, which may hold code; one that holds anything but the numbers, texts and tables that a MinNet is made of is
        refused.

        Parameters
        ----------
        dir_path
            Folder that ``save`` wrote.
        adata
            MuData like the reference. ``None``: the data saved with the model, if any; ``False``: no data, which is enough to
            embed a query.
        trusted
            Load the file whatever it holds. This runs code that whoever made the file put there.
        **kwargs
            ``accelerator``, ``device``, ``prefix`` and others of :meth:`scvi.model.base.BaseModelClass.load`.

        Raises
        ------
        FileNotFoundError
            There is no saved model.
        ValueError
            It is truncated, of another class or another version's making, or holds other objects and is not ``trusted``; or ``adata`` has other features.
        """
        check_saved_model(dir_path, cls.__name__, kwargs.get("prefix"), trusted=trusted)
        with compat.without_download_notes():
            return super().load(str(dir_path), adata=adata, **kwargs)

    @classmethod
    def load_query_data(
        cls,
        mdata: MuData,
        reference_model: str | Path | MinNet,
        *,
        accelerator: str = "auto",
        device: int | str = "auto",
    ) -> MinNet:
        """Put a query into a trained model, which then embeds it without further training.

        Parameters
        ----------
        mdata
            Cells measured in any of the model's modalities, over the model's features (see :meth:`prepare_query_mudata`). It may
            lack labels and batches; labels it has must be the model's or the unlabelled category. It is registered.
        reference_model
            A trained model, or the folder of a saved one.
        accelerator, device
            Where the model shall work, as in :meth:`scvi.model.base.BaseModelClass.load`.

        Raises
        ------
        FileNotFoundError, ValueError
            As in :meth:`load` and :meth:`setup_mudata`.
        """
        reference = cls._reference(reference_model)
        _, _, target = parse_device_args(
            accelerator=accelerator, devices=device, return_device="torch", validate_single_device=True
        )
        attributes, _, state, _ = loaded_data(reference, device=target)
        registry = attributes.pop("registry_")
        cls.setup_mudata(
            mdata,
            source_registry=registry,
            extend_categories=True,
            allow_missing_labels=True,
            **registry["setup_args"],
        )
        # the parts of the reference's cells say nothing about the query's
        attributes |= {"train_indices_": None, "validation_indices_": None, "test_indices_": None}
        model = initialize_model(cls, mdata, registry, attributes, None)
        model.module.load_state_dict(state)
        model.to_device(target)
        model.module.eval()
        return model

    @overload
    @classmethod
    def prepare_query_mudata(
        cls,
        mdata: MuData,
        reference_model: str | Path | MinNet,
        return_reference_var_names: Literal[False] = False,
        *,
        inplace: Literal[False],
    ) -> MuData: ...

    @overload
    @classmethod
    def prepare_query_mudata(
        cls,
        mdata: MuData,
        reference_model: str | Path | MinNet,
        return_reference_var_names: bool = False,
        inplace: bool = True,
    ) -> MuData | dict[str, pd.Index] | None: ...

    @classmethod
    def prepare_query_mudata(
        cls,
        mdata: MuData,
        reference_model: str | Path | MinNet,
        return_reference_var_names: bool = False,
        inplace: bool = True,
    ) -> MuData | dict[str, pd.Index] | None:
        """Bring a query's features into the model's order; missing ones become zeros.

        Says once how many of the model's features were found. Modalities that the query lacks stay away. The model need not be trained.

        Parameters
        ----------
        mdata
            The query.
        reference_model
            A model, or the folder of a saved one.
        return_reference_var_names
            Return the model's features by modality and change nothing.
        inplace
            Change ``mdata``; otherwise return a new MuData.

        Raises
        ------
        FileNotFoundError
            There is no saved model.
        ValueError
            The query has none of the modalities, or a modality none of the model's features; the saved model is unusable.
        """
        if isinstance(reference_model, cls):
            names = reference_model.get_var_names()
        else:
            _, names, _, _ = loaded_data(cls._reference(reference_model), device="cpu")
        features = {m: pd.Index(n) for m, n in names.items()}
        if return_reference_var_names:
            return features
        check_mudata(mdata)
        aligned = align_query(mdata, features)
        if not inplace:
            return aligned
        compat.replace_mudata(mdata, aligned)
        return None

    @classmethod
    def _reference(cls, reference_model: str | Path | MinNet) -> str | MinNet:
        if isinstance(reference_model, cls):
            reference_model._check_if_trained(warn=False, message="`reference_model` is not trained. Train it first.")
            return reference_model
        if not isinstance(reference_model, (str, Path)):
            raise TypeError(
                f"`reference_model` is a {type(reference_model).__name__}. Give a {cls.__name__} or the folder of a saved one."
            )
        check_saved_model(reference_model, cls.__name__)
        return str(reference_model)
