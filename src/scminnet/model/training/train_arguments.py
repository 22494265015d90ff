"""Checks and completes the arguments of ``train`` that are passed on to the training plan and to Lightning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ProgressBar as LightningProgressBar

from scminnet._core.arguments import shorten
from scminnet.model._scvi import ProgressBar
from scminnet.model.training.checkpoint import TrainingCheckpoint, check_checkpoint_path

#: Fields of a recipe that ``train`` takes in ``plan_kwargs``. Those of the network are fixed when the model is made.
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


def check_training_arguments(plan_kwargs: Mapping[str, Any], trainer_kwargs: Mapping[str, Any]) -> None:
    """Raise on unknown or misplaced names and on spawned processes, before any work begins.

    Raises
    ------
    TypeError
        ``plan_kwargs`` has an unknown name, or a name is given in the wrong place.
    ValueError
        ``strategy`` spawns processes.
    """
    unknown = sorted(set(plan_kwargs) - TRAINING_FIELDS - PLAN_ARGUMENTS)
    if unknown:
        raise TypeError(
            f"`plan_kwargs` has {shorten(unknown)}. It takes {shorten(sorted(TRAINING_FIELDS | PLAN_ARGUMENTS), 30)}."
        )
    strategy = trainer_kwargs.get("strategy")
    if strategy in ("between", "within"):
        raise TypeError(
            f"`strategy` is {strategy!r}, but it is Lightning's argument for several processes. "
            f"Give train(pair_strategy={strategy!r})."
        )
    misplaced = sorted(set(trainer_kwargs) & (TRAINING_FIELDS | PLAN_ARGUMENTS))
    if misplaced:
        raise TypeError(f"give {shorten(misplaced)} in `plan_kwargs`: train(plan_kwargs={{{misplaced[0]!r}: ...}}).")
    if "spawn" in str(strategy):
        raise ValueError(
            f"`strategy` is {strategy!r}, but a model over a MuData can not be sent to spawned "
            "processes. Use 'ddp' in a script, or 'ddp_notebook'."
        )


def check_checkpoint_argument(checkpoint: str | Path | None, trainer_kwargs: Mapping[str, Any]) -> Path | None:
    """Return the path of the checkpoint. Raise if it can not be written, or ``ckpt_path`` is given too."""
    if checkpoint is None:
        return None
    path = check_checkpoint_path(checkpoint)
    if "ckpt_path" in trainer_kwargs:
        raise TypeError("`checkpoint` and `ckpt_path` both name a file to resume from. Give one.")
    return path


def set_trainer_defaults(
    trainer_kwargs: dict[str, Any], path: Path | None, run: dict[str, str], earlier: dict[str, Any] | None
) -> None:
    """Complete the arguments of :class:`scvi.train.Trainer` in place: the checkpoint if there is a path, and the bar.

    Parameters
    ----------
    trainer_kwargs
        The arguments.
    path, run, earlier
        As in :class:`~scminnet.model.training.checkpoint.TrainingCheckpoint`.
    """
    trainer_kwargs.setdefault("early_stopping_monitor", "validation_loss")
    trainer_kwargs.setdefault("log_every_n_steps", 1)
    # batches are divided among the processes when they are read
    trainer_kwargs["use_distributed_sampler"] = False
    callbacks = list(trainer_kwargs.get("callbacks") or [])
    if path is not None:
        callbacks.append(TrainingCheckpoint(path, run, earlier))
    own = any(isinstance(callback, LightningProgressBar) for callback in callbacks)
    if trainer_kwargs.get("enable_progress_bar", True) and trainer_kwargs.pop("simple_progress_bar", True) and not own:
        callbacks.append(ProgressBar(trainer_kwargs.pop("progress_bar_refresh_rate", 1)))
    # scvi-tools adds a bar of its own if it is asked for a simple one
    trainer_kwargs["simple_progress_bar"] = False
    trainer_kwargs["callbacks"] = callbacks
