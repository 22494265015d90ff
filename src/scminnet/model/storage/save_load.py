"""Saves a model atomically, and loads one only if it contains nothing but data."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from mudata import MuData
from scvi.model.base import BaseModelClass

from scminnet._core import compat
from scminnet._core.outputs import explained_if_full, target_of
from scminnet.model.storage.saved_format import check_saved_model


class SaveLoadMixin(BaseModelClass):
    """``save`` and ``load`` of :class:`~scminnet.MinNet`."""

    def save(
        self,
        dir_path: str | Path,
        prefix: str | None = None,
        overwrite: bool = False,
        save_anndata: bool = False,
        **kwargs: Any,
    ) -> None:
        """Save the model. Each file is complete, or as it was before.

        Parameters
        ----------
        dir_path
            Folder, created if it does not exist.
        prefix
            Prefix of the file names, so that a folder can hold several models.
        overwrite
            Allow an existing folder, and replace its files of the same names.
        save_anndata
            Save the data as well.
        **kwargs
            As in :meth:`scvi.model.base.BaseModelClass.save`.

        Raises
        ------
        ValueError
            The folder exists, and ``overwrite`` is not set.
        NotADirectoryError
            ``dir_path`` is a file.
        """
        folder = target_of(dir_path, "dir_path")
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"`dir_path` is the file {str(dir_path)!r}. Give the name of a folder.")
        if folder.exists() and not overwrite:
            raise ValueError(f"`dir_path`: {str(dir_path)!r} already exists. Give another folder, or overwrite=True.")
        made = not folder.exists()
        # of two that save a new model here, one fails
        folder.mkdir(parents=True, exist_ok=overwrite)
        try:
            with TemporaryDirectory(dir=folder, prefix=".saving-") as partial, explained_if_full(folder / "model"):
                super().save(partial, prefix, overwrite=True, save_anndata=save_anndata, **kwargs)
                # the model comes last, because an incomplete folder is then refused as having no model
                for file in sorted(Path(partial).iterdir()):
                    file.replace(folder / file.name)
        except BaseException:
            if made and not any(folder.iterdir()):
                folder.rmdir()
            raise

    @classmethod
    def load(
        cls, dir_path: str | Path, adata: MuData | bool | None = None, *, trusted: bool = False, **kwargs: Any
    ) -> Self:
        """Load a saved model.

        A saved model is a pickle, which can contain code. A file with anything but numbers, texts and tables is
        refused.

        Parameters
        ----------
        dir_path
            Folder that ``save`` wrote.
        adata
            MuData like the reference. ``None``: the data saved with the model, if any. ``False``: no data, which is
            enough to embed a query.
        trusted
            Load the file whatever it contains. This runs any code in the file.
        **kwargs
            ``accelerator``, ``device``, ``prefix`` and others of :meth:`scvi.model.base.BaseModelClass.load`.

        Raises
        ------
        FileNotFoundError
            There is no saved model.
        ValueError
            The file is truncated, of another class or from an incompatible version. Or it contains other objects and is
            not ``trusted``, or ``adata`` has other features.
        """
        check_saved_model(dir_path, cls.__name__, kwargs.get("prefix"), trusted=trusted)
        with compat.without_download_notes():
            return super().load(str(dir_path), adata=adata, **kwargs)
