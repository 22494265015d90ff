"""Saves a model atomically as plain data, and loads one without running anything in its file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn, Self

import torch
from mudata import MuData
from rich.pretty import pprint
from scvi.model.base import BaseModelClass

from scminnet._core.argument_types import check_types
from scminnet._core.mdata import check_mudata
from scminnet._core.outputs import explained_if_full, target_of
from scminnet._core.sparse_structure import read_mudata
from scminnet._core.user_warnings import warn
from scminnet.model._scvi import find_device, initialize_model
from scminnet.model.storage.saved_format import SavedModel, as_saved, from_saved, read_saved_model


class SaveLoadMixin(BaseModelClass):
    """``save`` and ``load`` of :class:`~scminnet.MinNet`."""

    @check_types
    def save(
        self,
        dir_path: str | Path,
        prefix: str | None = None,
        overwrite: bool = False,
        save_anndata: bool = False,
        **anndata_write_kwargs: Any,
    ) -> None:
        """Save the model. Each file is complete, or as it was before.

        The model is saved as numbers, texts, lists and tensors, so that :meth:`load` runs no code from the file.

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
        **anndata_write_kwargs
            Passed to ``mdata.write`` when the data are saved.

        Raises
        ------
        TypeError
            An argument is of the wrong type, or an attribute that you gave the model, with a name that ends with ``_``,
            can not be saved as plain data.
        ValueError
            The folder exists, and ``overwrite`` is not set. The model has no data to save, or its weights hold NaN.
        NotADirectoryError
            ``dir_path`` is a file.
        """
        folder = target_of(dir_path, "dir_path")
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"`dir_path` is the file {str(dir_path)!r}. Give the name of a folder.")
        if folder.exists() and not overwrite:
            raise ValueError(f"`dir_path`: {str(dir_path)!r} already exists. Give another folder, or overwrite=True.")
        if save_anndata and self.adata is None:
            raise ValueError("`save_anndata` is set, but the model was loaded without data. Leave it out.")
        attributes = {name: value for name, value in self._get_user_attributes() if name.endswith("_")}
        content = as_saved(self.module.state_dict(), attributes)
        # what could not be loaded is not written
        from_saved(content, type(self))
        made = not folder.exists()
        # of two that save a new model here, one fails
        folder.mkdir(parents=True, exist_ok=overwrite)
        try:
            with TemporaryDirectory(dir=folder, prefix=".saving-") as partial, explained_if_full(folder / "model"):
                if save_anndata:
                    self.adata.write(Path(partial) / f"{prefix or ''}mdata.h5mu", **anndata_write_kwargs)
                torch.save(content, Path(partial) / f"{prefix or ''}model.pt")
                # the model comes last, because an incomplete folder is then refused as having no model
                for file in sorted(Path(partial).iterdir()):
                    file.replace(folder / file.name)
        except BaseException:
            if made and not any(folder.iterdir()):
                folder.rmdir()
            raise

    @classmethod
    @check_types
    def load(
        cls,
        dir_path: str | Path,
        adata: MuData | bool | None = None,
        accelerator: str = "auto",
        device: int | str = "auto",
        prefix: str | None = None,
        *,
        trusted: bool = False,
    ) -> Self:
        """Load a saved model. No code from its file runs.

        Parameters
        ----------
        dir_path
            Folder that ``save`` wrote.
        adata
            MuData like the reference. ``None``: the data saved with the model, if any. ``False``: no data, which is
            enough to embed a query.
        accelerator, device
            Device of the model, as in :meth:`scvi.model.base.BaseModelClass.load`.
        prefix
            As given to :meth:`save`.
        trusted
            Also load a model that scminnet 0.1 saved. Such a file can contain code, which this runs. Save the model
            again to have it in the present format.

        Raises
        ------
        TypeError
            An argument is of the wrong type.
        FileNotFoundError
            There is no saved model.
        ValueError
            The file is truncated, holds more than plain data and is not ``trusted``, or its parts do not fit together.
            The model is of another class or from an incompatible version. Or ``adata`` has other features.

        Warns
        -----
        UserWarning
            ``adata`` is ``None``, and no data were saved with the model. It is loaded without data.
        """
        if adata is not None and adata is not False:
            check_mudata(adata, "adata")
        target = find_device(accelerator, device, "device", single=True)
        saved = read_saved_model(dir_path, cls, prefix, trusted=trusted)
        if adata is None:
            path = Path(dir_path) / f"{prefix or ''}mdata.h5mu"
            adata = path.is_file() and read_mudata(path)
            if not isinstance(adata, MuData):
                warn(
                    f"no data were saved with the model in {str(dir_path)!r}, so it is loaded without data. "
                    "Give `adata`, or adata=False if this is what you want."
                )
        if isinstance(adata, MuData):
            registry = saved.attributes["registry_"]
            cls.setup_mudata(adata, source_registry=registry, **registry["setup_args"])
        return cls._from_saved(saved, adata or None, target)

    @classmethod
    def _from_saved(cls, saved: SavedModel, mdata: MuData | None, device: torch.device) -> Self:
        """Make a model from what a file holds, and from registered data if there are any."""
        attributes = dict(saved.attributes)
        model = initialize_model(cls, mdata, attributes.pop("registry_"), attributes, None)
        model.module.load_state_dict(saved.state)
        model.to_device(device)
        model.module.eval()
        return model

    @classmethod
    @check_types
    def load_registry(cls, dir_path: str | Path, prefix: str | None = None) -> dict[str, Any]:
        """Return the registry of a saved model: its arguments of :meth:`setup_mudata`, features and categories.

        Parameters
        ----------
        dir_path, prefix
            As in :meth:`load`, which also says what is refused.
        """
        return read_saved_model(dir_path, cls, prefix).attributes["registry_"]

    @classmethod
    @check_types
    def view_setup_args(cls, dir_path: str | Path, prefix: str | None = None) -> None:
        """Print a saved model's arguments of :meth:`setup_mudata`.

        Parameters
        ----------
        dir_path, prefix
            As in :meth:`load`, which also says what is refused.
        """
        arguments = cls.load_registry(dir_path, prefix)["setup_args"]
        # scvi-tools' own text names `setup_anndata`
        print(f"Set up by `{cls.__name__}.setup_mudata` with arguments:")
        pprint(arguments)

    @classmethod
    def convert_legacy_save(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise an error: no MinNet was saved in the format of scvi-tools before 0.15, which can contain code."""
        raise TypeError("no MinNet was saved in the format of scvi-tools before 0.15. Load it with `MinNet.load`.")
