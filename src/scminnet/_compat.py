"""Every private or version-dependent import, and nothing else."""

from __future__ import annotations

from scvi.model.base._save_load import _load_saved_files as load_saved_files
from scvi.utils import setup_anndata_dsp
from scvi.utils._docstrings import devices_dsp

__all__ = ["devices_dsp", "load_saved_files", "setup_anndata_dsp"]
