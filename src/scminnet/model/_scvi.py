"""All private imports from scvi-tools."""

from scvi.data._manager import AnnDataManagerValidationCheck
from scvi.model._utils import parse_device_args
from scvi.model.base._archesmixin import _get_loaded_data
from scvi.model.base._save_load import _initialize_model as initialize_model

from scminnet._core.compat import without_download_notes

__all__ = ["AnnDataManagerValidationCheck", "initialize_model", "loaded_data", "parse_device_args"]

loaded_data = without_download_notes()(_get_loaded_data)
