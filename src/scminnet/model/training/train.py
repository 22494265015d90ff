"""Training of the model: from the user's arguments to pairs, margins and a training run."""

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
from scminnet._core.arguments import check_count, shorten
from scminnet._core.keys import BATCH_COLUMN, MARGIN_GRAPH_KEY
from scminnet._core.logging import logger
from scminnet._core.matrices import read_rows
from scminnet._core.mdata import layer_matrix
from scminnet.coupling.couple import RHO, Pairs
from scminnet.coupling.feature_links import FEATURE_LINKS_KEY
from scminnet.graph.geodesic import GeodesicIndex
from scminnet.model.data.cell_index import rows_in_modalities
from scminnet.model.data.moments import feature_moments
from scminnet.model.data.registration import check_matrices
from scminnet.model.data.sparse_rows import as_row_matrix
from scminnet.model.diagnosis.coupling_trust import PairSummary
from scminnet.model.diagnosis.reference_range import fit_reference_range
from scminnet.model.inference.embed import EmbeddingMixin
from scminnet.model.inference.forward_pass import project_rows
from scminnet.model.network.canonical import Components, PairedCovariances, RowsAndMoments, fit_projections
from scminnet.model.recipe import Recipe
from scminnet.model.training.checkpoint import (
    TrainingCheckpoint,
    check_checkpoint_path,
    describe_run,
    digest,
    module_state,
    read_checkpoint,
)
from scminnet.model.training.coupled_cells import (
    CoupledCells,
    couple_parts,
    join_query,
    nodes_of_partners,
    partner_table,
)
from scminnet.model.training.coupling_summary import summarise_coupling
from scminnet.model.training.evidence import Evidence, coupling_groups, gather_evidence
from scminnet.model.training.pair_data import PairDataModule, PairDataset
from scminnet.model.training.training_plan import SiameseTrainingPlan
from scminnet.pp.margin_graph import build_margin_graph

#: Fields of a recipe that ``train`` takes in ``plan_kwargs``; the network's own are fixed when the model is made.
TRAINING_FIELDS = {
    "loss_form",
    "contrastive_weight",
    "m0",
    "c",
    "infonce_weight",
    "supervised_weight",
    "temperature",
    "coupled_temperature",
    "linear_share",
    "classification_weight",
    "positive_share",
    "lr",
    "weight_decay",
    "lr_schedule",
    "max_steps",
}

#: Arguments of :class:`scvi.train.TrainingPlan` that make sense for this model.
PLAN_ARGUMENTS = {
    "reduce_lr_on_plateau",
    "lr_factor",
    "lr_patience",
    "lr_threshold",
    "lr_scheduler_metric",
    "lr_min",
    "compile",
    "compile_kwargs",
}


def _check_names(plan_kwargs: Mapping[str, Any], trainer_kwargs: Mapping[str, Any]) -> None:
    """Raise on misspelt names, which would otherwise show only after the graph is built."""
    unknown = sorted(set(plan_kwargs) - TRAINING_FIELDS - PLAN_ARGUMENTS)
    if unknown:
        raise TypeError(
            f"`plan_kwargs` has {shorten(unknown)}. It takes {shorten(sorted(TRAINING_FIELDS | PLAN_ARGUMENTS), 30)}."
        )
    if trainer_kwargs.get("strategy") in ("between", "within"):
        raise TypeError(
            f"`strategy` is Lightning's, of training over processes. Give train(pair_strategy={trainer_kwargs['strategy']!r})."
        )
    misplaced = sorted(set(trainer_kwargs) & (TRAINING_FIELDS | PLAN_ARGUMENTS))
    if misplaced:
        raise TypeError(f"give {shorten(misplaced)} in `plan_kwargs`: train(plan_kwargs={{{misplaced[0]!r}: ...}}).")


class SiameseTrainingMixin(UnsupervisedTrainingMixin, EmbeddingMixin):
    """``train`` of :class:`~scminnet.MinNet`."""

    _training_plan_cls = SiameseTrainingPlan

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
        """Train the network.

        Parameters
        ----------
        max_epochs
            Passes over the cells. ``None``, here and below, takes the preset's value; the default preset asks for a number of steps,
            and for 60 passes at most.
        accelerator, devices
            Where to train, as in :class:`lightning.pytorch.Trainer`.
        train_size
            Share of cells to train on, in (0, 1]; the others are validated after each epoch.
        batch_size
            Cells a batch, at least 2.
        pairing
            ``"in_batch"``: all pairs of a batch's cells in different modalities. ``"sampled"``: one partner for each cell and modality,
            the same cell once in four times, redrawn each epoch (paper, "Training process").
        pair_strategy
            Of sampled pairs: different cells are drawn ``"between"`` modalities or ``"within"`` one.
        margin_graph
            Key of a graph made with :func:`scminnet.pp.margin_graph`. ``None``: the graph at ``uns["margin_graph"]`` where there is
            one, else one is built from the first modality with that function's defaults and not stored.
        query
            The cells to be embedded afterwards, over the model's features (see :meth:`prepare_query_mudata`), measured in any of its
            modalities. Their values, each modality standardised by itself, go into the principal components of the ``"canonical"`` input
            layer; labels and pairs that they may have are not looked at. The fewer cells the reference has, the more this brings.
        feature_links
            Key of the feature links in ``mdata.uns`` (see :func:`scminnet.pp.feature_links`). If they are there, the cells
            measured in one modality are coupled through them, those of the ``query`` too. Then the reference needs no pairs.
            ``None``: do not couple.
        couple_within
            Column (donor, batch) within whose values cells are coupled, where a value has at least 50 cells of both
            modalities. ``None``: all cells together, which is better where groups have only a few hundred cells.
        early_stopping
            Stop when ``validation_loss`` no longer falls; ``early_stopping_patience`` and others are taken as well. The default
            preset's learning rate comes down towards the last epoch, which is then not reached:
            ``plan_kwargs={"lr_schedule": "constant"}`` suits early stopping better.
        check_val_every_n_epoch
            How often to validate.
        checkpoint
            File that the state of the training is written to after each epoch. Where the file is there already, the training goes on from
            it: after an interruption the same call again ends with the same model. The file stays; remove it to train from the
            start.
        seed
            Seed of split, pairs, dropout and graph.
        plan_kwargs
            Changes to loss and optimisation: ``loss_form`` (``"code"`` or ``"text"``), ``contrastive_weight``, ``m0``, ``c``,
            ``infonce_weight``, ``supervised_weight``, ``temperature``, ``classification_weight``, ``positive_share``, ``lr``,
            ``weight_decay``, ``lr_schedule`` (``"one_cycle"`` or ``"constant"``), ``max_steps``; and those of
            :class:`~scminnet.model.SiameseTrainingPlan`.
        **trainer_kwargs
            Passed to :class:`scvi.train.Trainer` (``enable_progress_bar``, ``callbacks``, ``strategy``, ...). With ``strategy="ddp"`` each
            batch is spread over ``devices`` times ``num_nodes`` processes, and the loss is that of the whole batch; scvi-tools then
            leaves early stopping out.

        Raises
        ------
        TypeError
            ``plan_kwargs`` has an unknown name, or one of its names is given as an argument of its own; ``query`` is no MuData;
            ``checkpoint`` beside Lightning's ``ckpt_path``.
        ValueError
            The model has no data; ``query`` for a model that was trained before or whose input layer is learned, or a query that
            :meth:`embed` refuses; an argument is out of range; no cell of the training part was measured in two modalities, and
            features are not linked, hardly any linked feature varies, or a modality has fewer than 50 cells to couple;
            neither pairs nor links join a modality to others; ``couple_within`` has missing values or no value of two
            modalities; early stopping without validation cells; no such graph; a batch with a single cell, which ComBat can not correct; processes that
            are spawned (``strategy="ddp_spawn"``); ``checkpoint`` is unreadable or of a training with other data or arguments.
        FileNotFoundError, IsADirectoryError
            ``checkpoint`` has no folder to be written into, or is one.
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
        path = _check_checkpoint(checkpoint, trainer_kwargs)
        query_parts = {} if query is None else self._query_parts(query, recipe)
        positions = rows_in_modalities(mdata, self.modalities)
        datamodule = PairDataModule(positions >= 0, recipe, seed=seed)
        if early_stopping and datamodule.n_val == 0:
            raise ValueError(
                f"`early_stopping` needs validation cells, and train_size={recipe.train_size} leaves none. Lower "
                "`train_size`."
            )
        matrices = self._row_matrices(mdata)
        batches = mdata.obs[BATCH_COLUMN].astype(str).to_numpy()
        evidence = gather_evidence(
            mdata,
            self.modalities,
            matrices,
            positions,
            datamodule.train_idx,
            self._label_codes(mdata),
            len(self.labels),
            query_parts,
            coupling_groups(mdata, self.modalities, couple_within, positions),
            links_key=feature_links,
            can_couple=recipe.input_layer == "canonical" and recipe.pairing == "in_batch",
            seed=seed,
        )
        run, earlier = {}, None
        if path is not None:
            run = self._describe_run(
                mdata, query, recipe, margin_graph, early_stopping, seed, plan_kwargs, evidence, couple_within
            )
            earlier = read_checkpoint(path, run)
        # before anything is fitted: the graph's arguments and batches may be refused
        with compat.preserve_torch_threads():
            geodesics, graph_rows = self._geodesics(mdata, margin_graph, evidence, positions, seed)

        coupled = self._fit_input_layers(
            matrices, positions[datamodule.train_idx], recipe, seed, query_parts, evidence, earlier
        )
        datamodule.dataset = self._pair_dataset(
            mdata, matrices, positions, query_parts, recipe, coupled, datamodule, geodesics, graph_rows
        )
        self.module.hidden_dropout = recipe.dropout(datamodule.n_meeting)
        if not self.is_trained_:
            # a coupling is a guess that the network must not lose
            self.module.set_linear_share(recipe.linear_share if coupled else 0.0)

        # what an earlier training kept does not fit this one's checkpoints
        self.reference_range_ = self.coupling_ = None
        # Lightning trains a module in the mode it finds it in
        self.module.train()
        self._set_trainer_defaults(trainer_kwargs, path, run, earlier)
        # of torch, to Lightning; and of scvi-tools, that several processes do without what was not asked for
        unasked = () if early_stopping else ("early_stopping was automatically disabled",)
        with torch.random.fork_rng(), compat.without_warning(r"`isinstance\(treespec, LeafSpec\)`", *unasked):
            super().train(
                max_epochs=recipe.n_epochs(datamodule.n_train_batches),
                accelerator=accelerator,
                devices=devices,
                datamodule=datamodule,
                early_stopping=early_stopping,
                check_val_every_n_epoch=check_val_every_n_epoch if len(datamodule.val_cells) else None,
                plan_kwargs={"recipe": recipe, "seed": seed, **plan_kwargs},
                **trainer_kwargs,
            )
        self.recipe_ = recipe.as_dict()
        self.evidence_ = evidence.as_dict()
        self.coupling_ = self._coupling_summary(mdata, query, coupled, batches)
        self.reference_range_ = fit_reference_range(
            self.module, matrices, positions, datamodule.train_idx, datamodule.val_idx, batches, seed=seed
        )

    def _coupling_summary(
        self,
        mdata: MuData,
        query: MuData | None,
        coupled: Mapping[tuple[str, str], CoupledCells],
        batches: np.ndarray,
    ) -> dict[str, PairSummary]:
        """Summarise the couplings, and log how far each can be trusted."""
        names = mdata.obs_names.to_numpy(str)
        if query is not None:
            # numbered as by `join_query`
            names = np.concatenate(
                [names, *(query.mod[m].obs_names.to_numpy(str) for m in self.modalities if m in query.mod)]
            )
        known = np.array([*self.labels, ""], dtype=str)
        codes = self._label_codes(mdata)
        features = self.get_var_names()
        return {
            f"{a}, {b}": summarise_coupling(found, (a, b), features, names, known[codes], batches)
            for (a, b), found in coupled.items()
        }

    def _training_recipe(self, plan_kwargs: dict[str, Any], trainer_kwargs: Mapping[str, Any], **given: Any) -> Recipe:
        """Return the recipe with what the call changes; the changes are taken out of ``plan_kwargs``."""
        _check_names(plan_kwargs, trainer_kwargs)
        changes = {name: plan_kwargs.pop(name) for name in list(plan_kwargs) if name in TRAINING_FIELDS}
        if "spawn" in str(trainer_kwargs.get("strategy")):
            raise ValueError(
                f"`strategy` is {trainer_kwargs['strategy']!r}, but a model over a MuData can not be sent to spawned "
                "processes. Use 'ddp' in a script, or 'ddp_notebook'."
            )
        preset = self.init_params_["non_kwargs"]["preset"]
        return Recipe.named(preset, **self._recipe_changes(), **given, **changes)

    @staticmethod
    def _set_trainer_defaults(
        trainer_kwargs: dict[str, Any], path: Path | None, run: dict[str, str], earlier: dict[str, Any] | None
    ) -> None:
        trainer_kwargs.setdefault("early_stopping_monitor", "validation_loss")
        trainer_kwargs.setdefault("log_every_n_steps", 1)
        # the batches are spread over the processes as they are read
        trainer_kwargs["use_distributed_sampler"] = False
        if path is not None:
            callbacks = [*trainer_kwargs.get("callbacks", []), TrainingCheckpoint(path, run, earlier)]
            trainer_kwargs["callbacks"] = callbacks

    def _query_parts(self, query: MuData, recipe: Recipe) -> dict[str, RowsAndMoments]:
        """Matrix and moments of each modality that the query shares with the model."""
        if recipe.input_layer != "canonical":
            raise ValueError(
                f"`query` goes into principal components, which input_layer={recipe.input_layer!r} does not have. "
                "Leave out `query`, or make the model with input_layer='canonical'."
            )
        if self.is_trained_:
            raise ValueError(
                "`query` goes into the input layer, which this model has from an earlier training. Make a new model: `MinNet(mdata).train(query=query)`."
            )
        modalities = self._check_cells(query, None, "query", name="query")
        check_matrices(query, modalities, self._layers)
        matrices = self._row_matrices(query)
        return {m: RowsAndMoments(matrices[m], feature_moments(matrices[m])) for m in modalities}

    def _fit_input_layers(
        self,
        matrices: dict[str, Any],
        positions: np.ndarray,
        recipe: Recipe,
        seed: int,
        query: Mapping[str, RowsAndMoments],
        evidence: Evidence,
        earlier: dict[str, Any] | None,
    ) -> dict[tuple[str, str], CoupledCells]:
        """Fit the input layers, unless they are there from an earlier training; return the coupled cells."""
        coupled: dict[tuple[str, str], CoupledCells] = {}
        keep = self.is_trained_ or earlier is not None
        if keep and not evidence.coupled:
            if earlier is not None:
                # not only the weights: the input layers, through which all cells go
                self.module.load_state_dict(module_state(earlier))
            return coupled
        moments = {m: feature_moments(matrix) for m, matrix in matrices.items()}

        def couple(
            components: Mapping[str, Components], paired: PairedCovariances
        ) -> dict[tuple[str, str], np.ndarray]:
            for (a, b), found in evidence.coupled.items():
                fitted, pairs = (components[a], components[b]), Pairs(*paired[a, b]) if (a, b) in paired else None
                coupled[a, b] = couple_parts(
                    *found.parts, fitted, found.links, names=(a, b), pairs=pairs, rho=RHO, seed=seed
                )
            return {pair: found.coupling.covariance for pair, found in coupled.items()}

        fitted = {}
        if recipe.input_layer == "canonical":
            fitted = fit_projections(
                matrices,
                moments,
                positions,
                # a coupling of many cells tells more components than a small paired reference with its query
                n_components=recipe.components(with_query=bool(query) and not evidence.coupled),
                n_canonical=recipe.n_canonical,
                seed=seed,
                query=query,
                couple=couple if evidence.coupled else None,
            )
        if earlier is not None:
            self.module.load_state_dict(module_state(earlier))
        elif not keep:
            for modality, (mean, std) in moments.items():
                self.module.encoder(modality).input.set_moments(mean, std)
            for modality, (weight, bias) in fitted.items():
                self.module.encoder(modality).input.set_weights(weight, bias)
        return coupled

    def _pair_dataset(
        self,
        mdata: MuData,
        matrices: dict[str, Any],
        positions: np.ndarray,
        query: Mapping[str, RowsAndMoments],
        recipe: Recipe,
        coupled: dict[tuple[str, str], CoupledCells],
        datamodule: PairDataModule,
        geodesics: GeodesicIndex,
        graph_rows: np.ndarray,
    ) -> PairDataset:
        """Return what batches are read from: the reference's cells, and the query's if cells are coupled."""
        projected = recipe.input_layer == "canonical"
        labels = self._label_codes(mdata)
        if not coupled:
            rows = {m: project_rows(self.module, x, m) for m, x in matrices.items()} if projected else matrices
            return PairDataset(rows, positions, labels, geodesics, graph_rows, projected=projected)
        cells = join_query(positions, query, self.modalities, {m: x.shape[0] for m, x in matrices.items()})
        index = {pair: (self.modalities.index(pair[0]), self.modalities.index(pair[1])) for pair in coupled}
        partners = partner_table({index[pair]: found for pair, found in coupled.items()}, len(cells))
        datamodule.couple(cells >= 0, partners)
        needed = np.union1d(datamodule.train_cells, datamodule.val_cells)
        n_beyond = len(cells) - len(positions)
        nodes = nodes_of_partners(np.concatenate([graph_rows, np.full(n_beyond, -1)]), partners)
        rows, cells = self._project_needed(matrices, query, cells, needed)
        return PairDataset(
            rows,
            cells,
            np.concatenate([labels, np.full(n_beyond, -1)]),
            geodesics,
            nodes,
            projected=True,
            coupled=coupled,
        )

    def _project_needed(
        self,
        matrices: Mapping[str, Any],
        query: Mapping[str, RowsAndMoments],
        cells: np.ndarray,
        needed: np.ndarray,
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Send the needed cells through the input layers; return their rows and the positions of all cells in these."""
        rows, positions = {}, np.full_like(cells, -1)
        for i, (m, matrix) in enumerate(matrices.items()):
            at = cells[needed, i]
            own, beyond = (at >= 0) & (at < matrix.shape[0]), at >= matrix.shape[0]
            parts = [project_rows(self.module, read_rows(matrix, at[own]), m)]
            if beyond.any():
                of_query = read_rows(query[m].matrix, at[beyond] - matrix.shape[0])
                parts.append(project_rows(self.module, of_query, m, moments=query[m].moments))
            rows[m] = np.concatenate(parts)
            positions[needed[own], i] = np.arange(own.sum())
            positions[needed[beyond], i] = own.sum() + np.arange(beyond.sum())
        return rows, positions

    def _describe_run(
        self,
        mdata: MuData,
        query: MuData | None,
        recipe: Recipe,
        margin_graph: str | None,
        early_stopping: bool,
        seed: int,
        plan_kwargs: Mapping[str, Any],
        evidence: Evidence,
        couple_within: str | None,
    ) -> dict[str, str]:
        """Return what a training must have in common with an interrupted one; values are told by the names of their cells and features."""
        features = self.get_var_names()
        return describe_run(
            **recipe.as_dict(),
            plan_kwargs=sorted(plan_kwargs.items()),
            margin_graph=margin_graph,
            early_stopping=early_stopping,
            seed=seed,
            modalities=self.modalities,
            cells=digest(mdata.obs_names),
            **{f"cells of {m}": digest(mdata.mod[m].obs_names) for m in self.modalities if m in mdata.mod},
            **{f"features of {m}": digest(features[m]) for m in self.modalities},
            labels=digest(self._label_codes(mdata)),
            batches=digest(mdata.obs[BATCH_COLUMN]),
            query=None if query is None else digest(query.obs_names),
            feature_links=[
                digest([*links.indptr, *links.indices, *links.data])
                for links in (found.links for found in evidence.coupled.values())
            ],
            couple_within=couple_within,
        )

    def _recipe_changes(self) -> dict[str, Any]:
        return {name: v for name, v in self.init_params_["non_kwargs"].items() if name not in ("preset", "seed")}

    def _label_codes(self, mdata: MuData) -> np.ndarray:
        codes = self.get_from_registry(mdata, REGISTRY_KEYS.LABELS_KEY).ravel().astype(np.int64)
        return np.where(codes < len(self.labels), codes, -1)

    def _geodesics(
        self, mdata: MuData, key: str | None, evidence: Evidence, positions: np.ndarray, seed: int
    ) -> tuple[GeodesicIndex, np.ndarray]:
        """Distances on the margin graph, and the node of each cell of the MuData."""
        if key is not None and key not in mdata.uns:
            raise ValueError(
                f"`margin_graph` is {key!r}, which mdata.uns lacks. "
                f"Call `scminnet.pp.margin_graph(mdata, key_added={key!r})` first."
            )
        stored = key or MARGIN_GRAPH_KEY
        if stored in mdata.uns:
            modality = mdata.uns[stored]["modality"]
            adata = mdata.mod[modality]
            logger.info("taking the margin graph stored as %r, of modality %r", stored, modality)
            graph = adata.obsp[adata.uns[stored]["distances_key"]]
            return GeodesicIndex(graph, seed=seed), rows_in_modalities(mdata, [modality])[:, 0]
        modality = self.modalities[0]
        if modality not in mdata.mod:
            raise ValueError(f"the model's data lack modality {modality!r}, from which the margin graph is built.")
        logger.info("building the margin graph from modality %r", modality)
        matrix = layer_matrix(mdata, modality, self._layers[modality])
        nodes = positions[:, 0].copy()
        if evidence.coupled:
            # of many unpaired cells, only the coupled ones meet others
            kept = evidence.cells_in_training(positions) & (nodes >= 0)
            matrix = read_rows(as_row_matrix(matrix), np.sort(nodes[kept]))
            nodes = np.where(kept, np.searchsorted(np.sort(nodes[kept]), nodes), -1)
        measured = nodes >= 0
        batches = np.empty(matrix.shape[0], dtype=object)
        batches[nodes[measured]] = mdata.obs[BATCH_COLUMN].astype(str).to_numpy()[measured]
        graph = build_margin_graph(matrix, batches, seed=seed).distances
        return GeodesicIndex(graph, seed=seed), nodes


def _check_checkpoint(checkpoint: str | Path | None, trainer_kwargs: Mapping[str, Any]) -> Path | None:
    if checkpoint is None:
        return None
    path = check_checkpoint_path(checkpoint)
    if "ckpt_path" in trainer_kwargs:
        raise TypeError("`checkpoint` and `ckpt_path` both name a file to go on from. Give one.")
    return path
