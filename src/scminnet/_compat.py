"""Every private or version-dependent import, and nothing else."""

from __future__ import annotations

from mudata import MuData
from scvi.data._manager import AnnDataManagerValidationCheck
from scvi.model._utils import parse_device_args
from scvi.model.base._archesmixin import _get_loaded_data as loaded_data
from scvi.model.base._save_load import _initialize_model as initialize_model

__all__ = ["AnnDataManagerValidationCheck", "initialize_model", "loaded_data", "parse_device_args", "replace_mudata"]


def replace_mudata(mdata: MuData, other: MuData) -> None:
    """Make ``mdata`` be what ``other`` is, in place; MuData has no public way."""
    mdata._init_as_actual(other)
