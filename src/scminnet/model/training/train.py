"""The method ``train``: from the user's arguments to a trained model, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mudata import MuData
from scvi import REGISTRY_KEYS
from scvi.model.base import UnsupervisedTrainingMixin

from scminnet._core import compat
from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_count
from scminnet._core.keys import BATCH_COLUMN
from scminnet._core.logging import logger
from scminnet.coupling.feature_links import FEATURE_LINKS_KEY
from scminnet.model._scvi import find_device
from scminnet.model.data.cell_index import rows_in_modalities
from scminnet.model.data.moments import feature_moments
from scminnet.model.data.query_alignment import with_model_features
from scminnet.model.data.registration import check_matrices
from scminnet.model.diagnosis.reference_range import fit_reference_range
from scminnet.model.inference.embed import EmbeddingMixin
from scminnet.model.network.canonical import RowsAndMoments
from scminnet.model.recipe import Recipe, shows_defaults
from scminnet.model.training.cell_numbers import join_query_names
from scminnet.model.training.checkpoint import read_checkpoint
from scminnet.model.training.coupling_summary import summarise_couplings
from scminnet.model.training.evidence import coupling_groups, gather_evidence
from scminnet.model.training.input_layers import fit_input_layers, varying_moments
from scminnet.model.training.interruption import complete_or_unchanged
from scminnet.model.training.margin_distances import margin_distances
from scminnet.model.training.pair_data import PairDataModule
from scminnet.model.training.run_description import describe_training
from scminnet.model.training.train_arguments import (
    TRAINING_FIELDS,
    check_checkpoint_argument,
    check_training_arguments,
    set_trainer_defaults,
)
from scminnet.model.training.training_cells import set_training_cells
from scminnet.model.training.training_data import TrainingData
from scminnet.model.training.training_plan import SiameseTrainingPlan, check_weights


class SiameseTrainingMixin(UnsupervisedTrainingMixin, EmbeddingMixin):
    """``train`` of :class:`~scminnet.MinNet`."""

    _training_plan_cls = SiameseTrainingPlan

    @shows_defaults
    @check_types
    @complete_or_unchanged
    def train(
        self,
        max_epochs: int | None = None,
        *,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        train_size: float | None = None,
        batch_size: int | None = None,
        pairing: str | None = None,
        pair_strategy: str | None = None,
        margin_graph: str | None = None,
        query: MuData | None = None,
        feature_links: str | None = FEATURE_LINKS_KEY,
        couple_within: str | None = None,
        early_stopping: bool = False,
        check_val_every_n_epoch: int = 1,
        checkpoint: str | Path | None = None,
        seed: int = 0,
        plan_kwargs: Mapping[str, Any] | None = None,
        **trainer_kwargs: Any,
    ) -> None:
        """Train the network. If it fails or is interrupted (``KeyboardInterrupt``), the model stays as it was.

        Parameters
        ----------
        max_epochs
            Largest number of epochs. The signature shows the values of ``preset="default"``, here and below; another
            preset has its own. The default preset trains for 400 steps (``max_steps``) or five epochs of all pairs,
            whichever is more, and for 60 epochs at most.
        accelerator, devices
            Where to train, as in :class:`lightning.pytorch.Trainer`.
        train_size
            Share of cells to train on, in (0, 1]. The other cells are held out and validated after each epoch.
        batch_size
            Cells per batch, at least 2.
        pairing
            ``"in_batch"``: all pairs of a batch's cells in different modalities. ``"sampled"``: one partner for each
            cell and modality, drawn again each epoch. One partner in four is the same cell (paper, "Training process").
        pair_strategy
            Used with sampled pairs only. Pairs of different cells are drawn ``"between"`` modalities or ``"within"``
            one.
        margin_graph
            Key of a graph made with :func:`scminnet.pp.margin_graph`. ``None`` takes the graph at
            ``uns["margin_graph"]``. If there is none, a graph is built from the first modality with the defaults of
            that function, and not stored.
        query
            The cells to embed afterwards. The model is then trained with the query (semi-supervised). It has any of the
            model's modalities; features are found by name. Each modality is standardised by itself and enters the
            principal components of the ``"canonical"`` input layer. If feature links are there, the cells of the query
            are coupled too. Labels and pairs of the query are not used. The fewer cells the reference has, the more the
            query improves the result.
        feature_links
            Key of the feature links in ``mdata.uns`` (see :func:`scminnet.pp.feature_links`). If the links are there,
            the cells without a pair are coupled through them, and the reference needs no pairs. Two modalities with
            many pairs are not coupled, but with many links to genes, peaks learn from these (see the guide "The
            model"). Coupling needs ``input_layer="canonical"`` and ``pairing="in_batch"``, the
            defaults. ``None``: do not couple.
        couple_within
            Column, such as the donor or the batch. Cells are coupled within each of its values that has at least 50
            cells of both modalities. All other cells form one more group, or join the largest if they are fewer than
            50. ``None`` couples all cells together, which is better if groups have only a few hundred cells.
        early_stopping
            Stop when ``validation_loss`` no longer falls. Options such as ``early_stopping_patience`` are accepted too.
            Give ``plan_kwargs={"lr_schedule": "constant"}`` with it. The default preset lowers the learning rate
            towards the last epoch, which early stopping may not reach.
        check_val_every_n_epoch
            Number of epochs from one validation to the next.
        checkpoint
            File to which the state of the training is written after each epoch. After an interruption, repeat the same
            call: it resumes from the file and gives the same model. The file is kept. Remove it to train from the
            start.
        seed
            Seed of split, pairs, dropout, graph and coupling.
        plan_kwargs
            Changes to loss and optimisation: ``loss_form`` (``"code"`` or ``"text"``), ``contrastive_weight``, ``m0``,
            ``c``, ``infonce_weight``, ``supervised_weight``, ``temperature``, ``coupled_temperature``,
            ``linear_share``, ``classification_weight``, ``positive_share``, ``lr``, ``weight_decay``, ``lr_schedule``
            (``"one_cycle"`` or ``"constant"``), ``max_steps``. Arguments of
            :class:`~scminnet.model.SiameseTrainingPlan` are accepted too.
        **trainer_kwargs
            Passed to :class:`scvi.train.Trainer` (``enable_progress_bar``, ``callbacks``, ``strategy``, ...). With
            ``strategy="ddp"`` each batch is divided among ``devices`` times ``num_nodes`` processes, and the loss is
            that of the whole batch. scvi-tools then disables early stopping.

        Raises
        ------
        TypeError
            ``plan_kwargs`` has an unknown name, or a name is given in the wrong place; ``query`` is no MuData;
            ``checkpoint`` and Lightning's ``ckpt_path`` are both given.
        KeyError
            There is no column ``couple_within``.
        ValueError
            The model has no data, or an argument is out of range.

            ``query``: the model was trained before, its input layer is learned, or :meth:`embed` refuses the query.

            Pairs and links: no training cell was measured in two modalities, and features are not linked, fewer than 3
            links join features that vary, or a modality has fewer than 50 cells to couple. Neither pairs nor links join
            a modality to another.

            ``couple_within``: cells have no value, or no value has cells of two modalities.

            ``margin_graph``: there is no such graph, or a batch has a single cell, which ComBat can not correct.

            A modality has no feature that varies. The training diverges: its loss or weights are no longer finite.

            ``early_stopping`` without validation cells; ``strategy="ddp_spawn"``, which spawns processes.

            ``checkpoint`` is unreadable, or belongs to a training with other data or arguments.
        FileNotFoundError, IsADirectoryError
            ``checkpoint`` is in a folder that does not exist, or is a folder.
        """
        mdata = self._own_data()
        plan_kwargs = dict(plan_kwargs or {})
        recipe = self._training_recipe(
            plan_kwargs,
            trainer_kwargs,
            max_epochs=max_epochs,
            train_size=train_size,
            batch_size=batch_size,
            pairing=pairing,
            pair_strategy=pair_strategy,
        )
        check_count(check_val_every_n_epoch, "check_val_every_n_epoch")
        check_count(seed, "seed", minimum=0)
        device = find_device(accelerator, devices, "devices")
        path = check_checkpoint_argument(checkpoint, trainer_kwargs)
        query_parts = {} if query is None else self._query_parts(query, recipe)
        positions = rows_in_modalities(mdata, self.modalities)
        datamodule = PairDataModule(positions >= 0, recipe, seed=seed)
        if early_stopping and datamodule.n_val == 0:
            raise ValueError(
                f"`early_stopping` needs validation cells, but train_size={recipe.train_size} leaves none. Lower "
                "`train_size`."
            )
        data = TrainingData(
            modalities=self.modalities,
            features=self.get_var_names(),
            matrices=self._row_matrices(mdata),
            positions=positions,
            labels=self._label_codes(mdata),
            types=self.labels,
            batches=mdata.obs[BATCH_COLUMN].astype(str).to_numpy(),
            groups=coupling_groups(mdata, self.modalities, couple_within, positions),
            query=query_parts,
        )
        evidence = gather_evidence(
            mdata,
            data,
            datamodule.train_idx,
            links_key=feature_links,
            can_couple=recipe.input_layer == "canonical" and recipe.pairing == "in_batch",
            seed=seed,
        )
        moments = {} if self.is_trained_ and not evidence.coupled else varying_moments(data.matrices, evidence)
        run, earlier = {}, None
        if path is not None:
            run = describe_training(
                mdata,
                query,
                data,
                recipe,
                evidence,
                plan_kwargs=plan_kwargs,
                margin_graph=margin_graph,
                early_stopping=early_stopping,
                couple_within=couple_within,
                seed=seed,
            )
            earlier = read_checkpoint(path, run, self.module)
        # first the graph, which may refuse its arguments and batches
        with compat.preserve_torch_threads():
            geodesics, nodes = margin_distances(mdata, data, self._layers, margin_graph, evidence, seed=seed)
        coupled = fit_input_layers(
            self.module,
            data,
            moments,
            datamodule.train_idx,
            recipe,
            evidence,
            earlier,
            is_trained=self.is_trained_,
            seed=seed,
        )
        set_training_cells(datamodule, self.module, data, recipe, coupled, geodesics, nodes)
        self.module.hidden_dropout = recipe.dropout(datamodule.n_meeting)
        if not self.is_trained_:
            # the linear path keeps the coupling, which the network could lose. Pairs need none.
            by_coupling = max((1 - found.coupling.pairs_share for found in coupled.values()), default=0.0)
            self.module.set_linear_share(recipe.linear_share * by_coupling)

        # a checkpoint of this training must not hold results of an earlier one
        self.reference_range_ = self.coupling_ = None
        # Lightning keeps the mode of the module
        self.module.train()
        set_trainer_defaults(trainer_kwargs, path, run, earlier)
        if device.type != "cpu":
            logger.info("training on %s", device.type)
        # hides a deprecation in torch, and scvi-tools' note that early stopping is off if it was not asked for
        unasked = () if early_stopping else ("early_stopping was automatically disabled",)
        with (
            torch.random.fork_rng(),
            compat.without_warning(r"`isinstance\(treespec, LeafSpec\)`", *unasked),
            compat.without_notes(*compat.LIGHTNING_LOGGERS),
        ):
            super().train(
                max_epochs=recipe.n_epochs(datamodule.n_train_batches, max(evidence.n_pairs.values())),
                accelerator=accelerator,
                devices=devices,
                datamodule=datamodule,
                early_stopping=early_stopping,
                check_val_every_n_epoch=check_val_every_n_epoch if len(datamodule.val_cells) else None,
                plan_kwargs={"recipe": recipe, "seed": seed, **plan_kwargs},
                **trainer_kwargs,
            )
        check_weights(self.module)
        self.recipe_ = recipe.as_dict()
        self.evidence_ = evidence.as_dict()
        self.coupling_ = summarise_couplings(coupled, join_query_names(mdata, query, self.modalities), data)
        self.reference_range_ = fit_reference_range(
            self.module,
            data.matrices,
            positions,
            datamodule.train_idx,
            datamodule.val_idx,
            data.batches,
            seed=seed,
        )

    def _training_recipe(self, plan_kwargs: dict[str, Any], trainer_kwargs: Mapping[str, Any], **given: Any) -> Recipe:
        """Return the recipe with the changes of the call. Its fields are removed from ``plan_kwargs``."""
        check_training_arguments(plan_kwargs, trainer_kwargs)
        changes = {name: plan_kwargs.pop(name) for name in list(plan_kwargs) if name in TRAINING_FIELDS}
        made_with = {name: v for name, v in self.init_params_["non_kwargs"].items() if name != "seed"}
        return Recipe.named(made_with.pop("preset"), **made_with, **given, **changes)

    def _query_parts(self, query: MuData, recipe: Recipe) -> dict[str, RowsAndMoments]:
        """Return matrix and moments of each modality that the query shares with the model."""
        if recipe.input_layer != "canonical":
            raise ValueError(
                f"`query` was given, but input_layer={recipe.input_layer!r} has no principal components to fit. "
                "Leave out `query`, or make the model with input_layer='canonical'."
            )
        if self.is_trained_:
            raise ValueError(
                "`query` was given, but the input layer of this model was fitted in an earlier training. "
                "Make a new model: `MinNet(mdata).train(query=query)`."
            )
        modalities = self._check_cells(query, None, "query", name="query")
        check_matrices(query, modalities, self._layers)
        features = self.get_var_names()
        matrices = self._row_matrices(with_model_features(query, {m: features[m] for m in modalities}, self._layers))
        return {m: RowsAndMoments(matrices[m], feature_moments(matrices[m])) for m in modalities}

    def _label_codes(self, mdata: MuData) -> np.ndarray:
        codes = self.get_from_registry(mdata, REGISTRY_KEYS.LABELS_KEY).ravel().astype(np.int64)
        return np.where(codes < len(self.labels), codes, -1)
