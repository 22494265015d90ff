"""All private imports from scvi-tools."""

from __future__ import annotations

from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from scvi.data._manager import AnnDataManagerValidationCheck
from scvi.model._utils import parse_device_args
from scvi.model.base._archesmixin import _get_loaded_data
from scvi.model.base._save_load import _initialize_model as initialize_model

from scminnet._core.compat import without_download_notes

__all__ = ["AnnDataManagerValidationCheck", "find_device", "initialize_model", "loaded_data"]

loaded_data = without_download_notes()(_get_loaded_data)


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
