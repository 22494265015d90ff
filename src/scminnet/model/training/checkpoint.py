"""The state of a training on disk. An interrupted training continues from it with the same result."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch

from scminnet._core.arguments import shorten
from scminnet._core.files import atomic_path
from scminnet._core.plain_data import as_plain, read_plain
from scminnet._core.torch_archive import NotPlainError

#: Key of scminnet's part in Lightning's checkpoint.
KEY = "scminnet"

#: Keys of the parts that are restored.
_USED = {KEY, "state_dict", "optimizer_states", "lr_schedulers", "callbacks", "loops"}

_REMEDY = "Give another file, or remove this one to train from the start."


class TrainingCheckpoint(pl.Callback):
    """Writes the state of a training to a file, whole or not at all, before each epoch but the first.

    Between epochs the state is complete. Means are logged, and schedules and early stopping are up to date. All draws
    follow from seed and epoch.

    Parameters
    ----------
    path
        The file.
    run
        Result of :func:`~scminnet.model.training.run_description.describe_training`.
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
        _check_state(saved, trainer, self.path)
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
        """Add the description of the run and its history, and make all of the state plain data."""
        checkpoint[KEY] = {
            "run": self.run,
            "history": {
                name: (frame.index.name, frame.index.astype(int).tolist(), [float(v) for v in frame[name]])
                for name, frame in _history(trainer).items()
            },
        }
        checkpoint.update(as_plain(checkpoint, "checkpoint"))


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


def read_checkpoint(path: Path, run: Mapping[str, str], module: torch.nn.Module) -> dict[str, Any] | None:
    """Return the state that an interrupted training wrote, or ``None`` if there is no file. No code in it runs.

    Parameters
    ----------
    path
        The file.
    run
        Result of :func:`~scminnet.model.training.run_description.describe_training` for the new training.
    module
        The network, which the state must fit.

    Raises
    ------
    ValueError
        The file can not be read, holds more than plain data, is of another run, or its weights do not fit.
    """
    if not path.exists():
        return None
    try:
        saved = read_plain(path)
    except NotPlainError as error:
        raise ValueError(f"`checkpoint` {str(path)!r} can not be read: {error}. {_REMEDY}") from error
    if not isinstance(saved, dict) or not isinstance(saved.get(KEY), dict) or not set(saved) >= _USED:
        raise ValueError(f"`checkpoint` {str(path)!r} was not written by `MinNet.train`. {_REMEDY}")
    found, history = saved[KEY].get("run"), saved[KEY].get("history")
    if not isinstance(found, dict) or not _is_history(history):
        raise ValueError(f"`checkpoint` {str(path)!r} was not written by `MinNet.train`. {_REMEDY}")
    differing = [
        f"{name} {found.get(name)!s:.80}, now {run.get(name)}"
        for name in {**found, **run}
        if found.get(name) != run.get(name)
    ]
    if differing:
        listed = "; ".join(differing[:10])
        raise ValueError(f"`checkpoint` {str(path)!r} is of another training: {listed}. {_REMEDY}")
    weights, expected = module_state(saved), module.state_dict()
    _expect(weights.keys() == expected.keys(), path, f"differ in {shorten(sorted(set(weights) ^ set(expected)))}")
    for name, values in expected.items():
        own = weights[name]
        fits = isinstance(own, torch.Tensor) and own.shape == values.shape and own.dtype == values.dtype
        _expect(fits and bool(torch.isfinite(own).all()), path, f"{name!r} has another shape, or holds NaN")
    return saved


def _is_history(found: Any) -> bool:
    """Tell whether there is a list of epochs and one of values for each name."""
    return isinstance(found, dict) and all(
        isinstance(part, list)
        and len(part) == 3
        and all(isinstance(values, list) for values in part[1:])
        and len(part[1]) == len(part[2])
        and all(type(n) is int for n in part[1])
        and all(type(v) is float for v in part[2])
        for part in found.values()
    )


def _check_state(saved: Mapping[str, Any], trainer: pl.Trainer, path: Path) -> None:
    """Raise unless the state of optimiser, schedules, callbacks and counters has the form of this training's own."""
    optimizers, schedules = saved["optimizer_states"], saved["lr_schedulers"]
    configs = trainer.lr_scheduler_configs
    for found, own in ((optimizers, trainer.optimizers), (schedules, configs)):
        _expect(isinstance(found, list) and len(found) == len(own), path, "has other optimisers or schedules")
    for found, optimizer in zip(optimizers, trainer.optimizers, strict=True):
        _expect(isinstance(found, dict) and set(found) == {"state", "param_groups"}, path, "has no optimiser")
        _check_like(found["param_groups"], as_plain(optimizer.state_dict()["param_groups"]), path)
        sizes = [p.shape for group in optimizer.param_groups for p in group["params"]]
        _expect(isinstance(found["state"], dict), path, "has no optimiser")
        for number, tensors in found["state"].items():
            _expect(
                type(number) is int and 0 <= number < len(sizes) and isinstance(tensors, dict), path, "has no moments"
            )
            for values in tensors.values():
                fits = isinstance(values, torch.Tensor) and values.shape in (torch.Size(), sizes[number])
                _expect(fits and bool(torch.isfinite(values).all()), path, "has moments of another shape, or NaN")
    for found, config in zip(schedules, configs, strict=True):
        own = as_plain(config.scheduler.state_dict())
        _check_like(found, own, path)
        _expect(found.get("total_steps") == own.get("total_steps"), path, "has a schedule of another length")
    loop = trainer.fit_loop
    counts = saved["loops"].get("fit_loop") if isinstance(saved["loops"], dict) else None
    counts = counts if isinstance(counts, dict) else {}
    for key, part in (
        ("epoch_progress", loop.epoch_progress.state_dict()),
        ("epoch_loop.state_dict", loop.epoch_loop.on_save_checkpoint()),
        ("epoch_loop.automatic_optimization.optim_progress",
         loop.epoch_loop.automatic_optimization.optim_progress.state_dict()),
    ):  # fmt: skip
        _check_like(counts.get(key), as_plain(part), path)
    _expect(isinstance(saved["callbacks"], dict), path, "has no callbacks")
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by one of Lightning's connectors
        if callback.state_key in saved["callbacks"]:
            found = saved["callbacks"][callback.state_key]
            _expect(isinstance(found, dict) and set(found) == set(callback.state_dict()), path, "has other callbacks")


def _check_like(found: Any, own: Any, path: Path) -> None:
    """Raise unless plain data have the keys, lengths and types of ``own``, and no NaN."""
    if isinstance(own, dict):
        _expect(isinstance(found, dict) and set(found) == set(own), path, f"lacks one of {shorten(own)}")
        for key, value in own.items():
            _check_like(found[key], value, path)
    elif isinstance(own, list):
        _expect(isinstance(found, list) and len(found) == len(own), path, "has lists of another length")
        for part, value in zip(found, own, strict=True):
            _check_like(part, value, path)
    elif isinstance(own, torch.Tensor):
        _expect(isinstance(found, torch.Tensor) and found.shape == own.shape, path, "has values of another shape")
    else:
        numbers = (int, float)
        alike = type(found) is type(own) or (type(found) in numbers and type(own) in numbers)
        _expect(alike and found == found, path, "holds a value of another type, or NaN")


def _expect(condition: bool, path: Path, problem: str) -> None:
    if not condition:
        raise ValueError(f"`checkpoint` {str(path)!r} does not fit this training: its state {problem}. {_REMEDY}")


def module_state(saved: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return the network's state, a part of the result of :func:`read_checkpoint`."""
    prefix = "module."
    state = saved["state_dict"] if isinstance(saved["state_dict"], dict) else {}
    return {name.removeprefix(prefix): v for name, v in state.items() if str(name).startswith(prefix)}
