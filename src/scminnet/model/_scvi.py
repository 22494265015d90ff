"""All private imports from scvi-tools."""

from __future__ import annotations

from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from scvi.data._manager import AnnDataManagerValidationCheck
from scvi.model._utils import parse_device_args
from scvi.model.base._archesmixin import _get_loaded_data
from scvi.model.base._save_load import _initialize_model as initialize_model
from scvi.train._progress import ProgressBar as _ProgressBar

from scminnet._core.compat import without_download_notes

__all__ = ["AnnDataManagerValidationCheck", "ProgressBar", "find_device", "initialize_model", "loaded_data"]


def loaded_data(reference_model: Any) -> Any:
    """Return what a trained model holds."""
    with without_download_notes():
        return _get_loaded_data(reference_model)


class ProgressBar(_ProgressBar):
    """The bar of scvi-tools with the losses of each finished epoch, and without the number of the logger."""

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        """Return what stands beside the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the last epoch's losses. At its end, the training plan has not logged them yet."""
        super().on_train_epoch_start(trainer, pl_module)
        self._show_losses(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Show the losses of the last epoch, and close the bar."""
        self._show_losses(trainer, pl_module)
        super().on_train_end(trainer, pl_module)

    def _show_losses(self, trainer: Any, pl_module: Any) -> None:
        if self.is_enabled:
            self.main_progress_bar.set_postfix(self.get_metrics(trainer, pl_module))


def find_device(accelerator: str, devices: int | list[int] | str, argument: str, *, single: bool = False) -> Any:
    """Return the (first) device for torch. Raise if Lightning knows no such device.

    Parameters
    ----------
    accelerator, devices
        As in :class:`lightning.pytorch.Trainer`.
    argument
        Name of the user's argument of ``devices``, for error messages.
    single
        Whether several devices are an error.
    """
    try:
        return parse_device_args(
            accelerator=accelerator, devices=devices, return_device="torch", validate_single_device=single
        )[2]
    except (ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
        raise ValueError(
            f"`accelerator` is {accelerator!r} and `{argument}` {devices!r}, which can not be used ({error}). "
            "Give 'cpu' or 'gpu', or leave both out."
        ) from error
