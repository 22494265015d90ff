"""The class MinNet. Its methods are in mixins: training, inference, queries, diagnosis, saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mudata import MuData
from scvi.model.base import BaseModelClass

from scminnet._core.argument_types import check_types
from scminnet._core.mdata import check_mudata
from scminnet.model.data.registration import register
from scminnet.model.data.setup_view import SetupViewMixin
from scminnet.model.diagnosis.diagnose import DiagnoseMixin
from scminnet.model.inference.embed import EmbeddingMixin
from scminnet.model.inference.impute import ImputationMixin
from scminnet.model.network.module import SiameseModule
from scminnet.model.recipe import Recipe, shows_defaults
from scminnet.model.storage.load_query import QueryMixin
from scminnet.model.storage.save_load import SaveLoadMixin
from scminnet.model.storage.saved_format import written_by
from scminnet.model.training.train import SiameseTrainingMixin


class MinNet(
    SiameseTrainingMixin,
    DiagnoseMixin,
    ImputationMixin,
    EmbeddingMixin,
    QueryMixin,
    SetupViewMixin,
    SaveLoadMixin,
    BaseModelClass,
):
    """Joint embedding of single-cell modalities that were measured in different cells :cite:p:`Liu23`.

    MinNet is a siamese network with one encoder per modality. It is trained on paired cells, or on cells that feature
    links couple. The heads for the embedding and for cell types are shared by all modalities. Two losses train it. A
    contrastive loss brings cells of different modalities together; its margin grows with their distance on a
    batch-corrected graph. A classification loss keeps cell types apart. The trained network embeds unpaired cells.

    Parameters
    ----------
    mdata
        MuData registered with :meth:`setup_mudata`.
    registry
        Registry of a saved model. :meth:`load` gives it if there are no data.
    preset
        ``"default"``, or ``"paper"`` for the published code's values for RNA + ATAC. For RNA + protein the authors used
        ``activation="sigmoid"`` and ``train(pair_strategy="within", max_epochs=90)``. The preset also sets the defaults
        of :meth:`train`.
    n_hidden
        Width of each modality's hidden layers. The signature shows the values of ``preset="default"``, here and below.
        Another preset has its own, which ``None`` always stands for.
    n_layers
        Hidden layers of each modality. The output of each layer after the first is added to its input.
    n_latent
        Dimensions of the embedding. If cells are coupled in training, ``n_canonical`` components stand beside them.
    activation
        ``"tanh"``, ``"sigmoid"``, ``"relu"`` or ``"gelu"``.
    hidden_dropout
        Share of hidden units dropped in training, in [0, 1). ``None`` with ``preset="default"``: 8 / √(number of
        paired cells used for training), at most 0.3.
    input_layer
        ``"canonical"``: a fixed projection comes before the hidden layer. Its components are correlated across the
        modalities of the paired training cells (principal components, then canonical correlations). ``"learned"``: the
        hidden layer takes the features themselves, as in the paper.
    n_components, n_canonical
        Principal components of each modality (at most), and canonical components, of the ``"canonical"`` input layer.
        ``None`` with ``preset="default"``: 100 principal components, or 30 if :meth:`train` is given the query; 30
        canonical components for two modalities, and 30 more for each further one.
    input_dropout
        Share of a modality's features that the ``"learned"`` input layer drops from a training batch, in [0, 1).
    adapt_norm
        If a query is standardised by its own statistics, its batch norm also uses the query's statistics.
    normalise
        Scale every embedded cell to length 1, so that only its direction matters.
    seed
        Seed of the initial weights.

    Examples
    --------
    >>> scminnet.MinNet.setup_mudata(ref, modalities=["rna", "adt"], labels_key="cell_type", batch_key="donor")
    >>> model = scminnet.MinNet(ref)
    >>> model.train()
    >>> model.embed()  # writes obsm["X_minnet"]
    """

    @shows_defaults
    @check_types
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
        if mdata is None and registry is None:
            raise ValueError("`mdata` is None. Give a MuData that `MinNet.setup_mudata` registered.")
        if mdata is not None:
            check_mudata(mdata)
            try:
                registered = self._get_most_recent_anndata_manager(mdata) is not None
            except ValueError:
                # a copy holds the number of the data that were registered
                registered = False
            if not registered:
                raise ValueError(
                    "`mdata` is not registered, and neither is a copy of registered data. "
                    "Call `MinNet.setup_mudata(mdata, ...)` first."
                )
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
            f"n_hidden: {recipe.n_layers} x {recipe.n_hidden}, n_latent: {recipe.n_latent}, "
            f"activation: {recipe.activation}"
        )

    @classmethod
    @check_types
    def setup_mudata(
        cls,
        mdata: MuData,
        modalities: Sequence[str] | Mapping[str, str],
        *,
        labels_key: str | None = None,
        batch_key: str | None = None,
        layers: str | Mapping[str, str | None] | None = None,
        unlabeled_category: str | Sequence[str] = "Unknown",
        **kwargs: Any,
    ) -> None:
        """Register a MuData with the model.

        Writes ``_minnet_labels``, ``_minnet_batch`` and the code columns of scvi-tools into ``mdata.obs``. Writes
        nothing on error.

        Parameters
        ----------
        mdata
            Cells may be measured in all modalities, in some or in one. Each modality may have its own order of cells. A
            reference needs cells that were measured in two modalities, or feature links (see
            :func:`scminnet.pp.feature_links`).
        modalities
            At least two modalities. The margins come from the graph of the first (see :meth:`train`).
        labels_key
            Cell types: a column of ``mdata.obs``, of the modalities' ``obs``, or of both if they agree. Some modalities
            may have no labels. ``None``: train without cell types.
        batch_key
            Batches (donors, samples, sites), searched likewise. ``None``: all cells are one batch.
        layers
            Layer of each modality, as a mapping or one name for all. ``None``: ``X``. Values are log-normalised,
            CLR- or DSB-normalised, residuals, measurements such as those of electrophysiology, or other real numbers,
            neither counts nor z-scored. The network standardises them.
        unlabeled_category
            Category of cells without a label, or several, e.g. ``["Unknown", "nan"]``.
        **kwargs
            Used by :meth:`load` and :meth:`load_query_data`.

        Raises
        ------
        TypeError
            ``mdata`` is not a MuData, a matrix holds no numbers, or an argument is of the wrong type.
        KeyError
            ``labels_key`` or ``batch_key`` is not a column.
        ValueError
            There are fewer than two modalities. A modality is absent or empty, has duplicate names, or has NaN,
            infinite or too large values. Cells were measured in no modality. ``labels_key`` has no labels or a single
            one, or is continuous. Batches are missing. In a query: features differ from the model's, or the model does
            not know a label.

        Warns
        -----
        UserWarning
            Values look like raw counts or z-scored. A cell type has fewer than 3 cells, or a name that looks like a
            missing value, such as ``"nan"`` or ``"unassigned"``. Or most cells of two modalities have names that differ
            around the barcode only (``AAACGAAAGCGCAATC`` and ``AAACGAAAGCGCAATC-1``), so they count as different cells.
        """
        setup_method_args = cls._get_setup_method_args(**locals())
        manager = register(
            mdata, modalities, layers, labels_key, batch_key, unlabeled_category, setup_method_args, kwargs
        )
        cls.register_manager(manager)

    @classmethod
    def setup_anndata(cls, *args: Any, **kwargs: Any) -> None:
        """Raise an error: the model needs several modalities. Use :meth:`setup_mudata`."""
        raise TypeError("MinNet needs several modalities. Put them in a MuData and use `MinNet.setup_mudata`.")
