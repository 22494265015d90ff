"""The state of a training on disk. An interrupted training continues from it with the same result."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from mudata import MuData

from scminnet._core.files import atomic_path
from scminnet._core.keys import BATCH_COLUMN
from scminnet.model.recipe import Recipe
from scminnet.model.training.evidence import Evidence

#: Key of scminnet's part in Lightning's checkpoint.
KEY = "scminnet"


def describe_training(
    mdata: MuData,
    modalities: Sequence[str],
    features: Mapping[str, Iterable[str]],
    labels: np.ndarray,
    query: MuData | None,
    recipe: Recipe,
    evidence: Evidence,
    *,
    plan_kwargs: Mapping[str, Any],
    margin_graph: str | None,
    early_stopping: bool,
    couple_within: str | None,
    seed: int,
) -> dict[str, str]:
    """Return what a training must share with the interrupted one. Cells and features are compared by name.

    Parameters
    ----------
    mdata, query
        The reference, and the query if there is one.
    modalities
        The model's modalities.
    features
        By modality, names of the features.
    labels
        Code of each cell's type, -1 if unlabelled.
    recipe
        The hyperparameters.
    evidence
        Its feature links are compared.
    plan_kwargs, margin_graph, early_stopping, couple_within, seed
        Arguments of ``train``.
    """
    parts = {
        **recipe.as_dict(),
        "plan_kwargs": sorted(plan_kwargs.items()),
        "margin_graph": margin_graph,
        "early_stopping": early_stopping,
        "seed": seed,
        "modalities": modalities,
        "cells": digest(mdata.obs_names),
        **{f"cells of {m}": digest(mdata.mod[m].obs_names) for m in modalities if m in mdata.mod},
        **{f"features of {m}": digest(features[m]) for m in modalities},
        "labels": digest(labels),
        "batches": digest(mdata.obs[BATCH_COLUMN]),
        "query": None if query is None else digest(query.obs_names),
        "feature_links": [
            digest([*links.indptr, *links.indices, *links.data])
            for links in (found.links for found in evidence.coupled.values())
        ],
        "couple_within": couple_within,
    }
    return {"scminnet": version("scminnet")} | {name: str(part) for name, part in parts.items()}


def digest(texts: Iterable[Any]) -> str:
    """Return a short hash of a long list."""
    return hashlib.blake2b("\n".join(map(str, texts)).encode(), digest_size=8).hexdigest()


class TrainingCheckpoint(pl.Callback):
    """Writes the state of a training to a file, whole or not at all, before each epoch but the first.

    Between epochs the state is complete. Means are logged, and schedules and early stopping are up to date. All draws
    follow from seed and epoch.

    Parameters
    ----------
    path
        The file.
    run
        Result of :func:`describe_training`.
    earlier
        Result of :func:`read_checkpoint`: the state to continue from.
    """

    def __init__(self, path: Path, run: Mapping[str, str], earlier: Mapping[str, Any] | None) -> None:
        self.path = path
        self.run = dict(run)
        self.earlier = earlier

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the state of the interrupted training."""
        # by hand, because Lightning's ckpt_path takes this file for one from the end of an epoch, and skips the next
        saved, loop = self.earlier, trainer.fit_loop
        if saved is None:
            return
        trainer.strategy.load_optimizer_state_dict(saved)
        for config, state in zip(trainer.lr_scheduler_configs, saved["lr_schedulers"], strict=True):
            config.scheduler.load_state_dict(state)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by one of Lightning's connectors
            if callback.state_key in saved["callbacks"]:
                callback.load_state_dict(saved["callbacks"][callback.state_key])
        counts = saved["loops"]["fit_loop"]
        loop.epoch_progress.load_state_dict(counts["epoch_progress"])
        loop.epoch_progress.reset_on_restart()
        loop.epoch_loop.on_load_checkpoint(counts["epoch_loop.state_dict"])
        loop.epoch_loop.automatic_optimization.optim_progress.load_state_dict(
            counts["epoch_loop.automatic_optimization.optim_progress"]
        )
        history = _history(trainer)
        for name, (of, index, values) in saved[KEY]["history"].items():
            history[name] = pd.DataFrame({name: values}, index=pd.Index(index, name=of), dtype=object)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file. The first of several processes writes for all."""
        if trainer.current_epoch == 0:
            return
        with atomic_path(self.path) if trainer.is_global_zero else nullcontext(self.path) as partial:
            # set explicitly, because otherwise Lightning logs its default each time
            trainer.save_checkpoint(partial, weights_only=False)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the description of the run and its history, as plain texts and numbers."""
        checkpoint[KEY] = {
            "run": self.run,
            "history": {
                name: (frame.index.name, frame.index.astype(int).tolist(), [float(v) for v in frame[name]])
                for name, frame in _history(trainer).items()
            },
        }


def _history(trainer: pl.Trainer) -> dict[str, pd.DataFrame]:
    """Return the history that scvi-tools' logger keeps, to be changed in place.

    It is empty with another logger, and in all processes but the first.
    """
    history = getattr(trainer.logger, "history", None) if trainer.is_global_zero else None
    return {} if history is None else history


def check_checkpoint_path(path: str | Path) -> Path:
    """Return the path. Raise an error if no file can be written there."""
    if not isinstance(path, (str, Path)):
        raise TypeError(f"`checkpoint` is a {type(path).__name__}. Give the name of a file.")
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"`checkpoint` is the folder {str(path)!r}. Give the name of a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`checkpoint`: there is no folder {str(path.parent)!r}. Make it first.")
    return path


def read_checkpoint(path: Path, run: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the state that an interrupted training wrote, or ``None`` if there is no file.

    Parameters
    ----------
    path
        The file.
    run
        Result of :func:`describe_training` for the new training.

    Raises
    ------
    ValueError
        The file can not be read, or is of another run.
    """
    if not path.exists():
        return None
    remedy = "Give another file, or remove this one to train from the start."
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise ValueError(
            f"`checkpoint` {str(path)!r} can not be read ({type(error).__name__}): it is truncated or no checkpoint. "
            f"{remedy}"
        ) from error
    if not isinstance(saved, dict) or KEY not in saved:
        raise ValueError(f"`checkpoint` {str(path)!r} was not written by `MinNet.train`. {remedy}")
    found = saved[KEY]["run"]
    differing = [
        f"{name} {found.get(name)}, now {run.get(name)}"
        for name in {**found, **run}
        if found.get(name) != run.get(name)
    ]
    if differing:
        raise ValueError(f"`checkpoint` {str(path)!r} is of another training: {'; '.join(differing)}. {remedy}")
    return saved


def module_state(saved: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return the network's state, a part of the result of :func:`read_checkpoint`."""
    prefix = "module."
    return {name.removeprefix(prefix): v for name, v in saved["state_dict"].items() if name.startswith(prefix)}
