"""Format of a saved model, and its checks before loading, which run no code from the file.

scvi-tools saves a model as a pickle, and a pickle can call any function on loading. The unpickler here accepts only
what a MinNet contains: numbers, texts, containers, arrays, tensors and pandas tables.
"""

from __future__ import annotations

import pickle
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from scminnet._core.compat import PICKLED_PARTS


class ForeignObject(Exception):
    """A saved model contains an object that no MinNet contains."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PICKLED_PARTS:
            raise ForeignObject(f"{module}.{name}")
        return super().find_class(module, name)


#: Version of the format. Raise it when earlier models can no longer be loaded.
FORMAT = 1


def written_by() -> dict[str, Any]:
    """Return the format and the version of scminnet, which are saved with a model."""
    return {"format": FORMAT, "scminnet": version("scminnet")}


#: Stands in for the module pickle in torch.load.
_DATA_ONLY = ModuleType("pickle_of_data_only")
_DATA_ONLY.__dict__.update(Unpickler=_Unpickler, load=lambda file, **kwargs: _Unpickler(file, **kwargs).load())


def check_saved_model(folder: str | Path, class_name: str, prefix: str | None = None, *, trusted: bool = False) -> None:
    """Raise unless ``folder`` holds a complete saved model of this class that contains only data.

    Parameters
    ----------
    folder
        Folder that ``model.save`` wrote.
    class_name
        Expected class of the model.
    prefix
        As given to ``save``.
    trusted
        Allow any object in the file. This may run code from it.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or no model in it.
    ValueError
        The file is truncated or not a model; the model is of another class or from an incompatible version; or it
        contains more than data and is not ``trusted``.
    """
    path = Path(folder) / f"{prefix or ''}model.pt"
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no saved model at {str(folder)!r}: {path.name} is missing. "
            "Give the folder that `model.save` wrote."
        )
    try:
        saved = torch.load(
            path, map_location="cpu", weights_only=False, pickle_module=pickle if trusted else _DATA_ONLY
        )
    except ForeignObject as error:
        raise ValueError(
            f"{path.name} in {str(folder)!r} contains {error}, which is not part of a MinNet and could run code. "
            "If you trust its author, load it with `MinNet.load(..., trusted=True)`."
        ) from error
    except (
        RuntimeError,
        OSError,
        EOFError,
        pickle.UnpicklingError,
        ValueError,
        KeyError,
        AttributeError,
        ImportError,
    ) as error:
        raise ValueError(
            f"{path.name} in {str(folder)!r} can not be read ({type(error).__name__}: {error}): it is truncated or not "
            "a saved model. Save the model again, or copy the whole folder."
        ) from error
    parts = {"model_state_dict", "var_names", "attr_dict"}
    if not isinstance(saved, dict) or not parts <= set(saved) or "registry_" not in saved["attr_dict"]:
        raise ValueError(
            f"{path.name} in {str(folder)!r} is not a model that `model.save` wrote. Save the model again."
        )
    found = saved["attr_dict"]["registry_"].get("model_name")
    if found != class_name:
        raise ValueError(f"the model in {str(folder)!r} is a {found}, not a {class_name}. Load it with its own class.")
    kind = saved["attr_dict"].get("written_by_", {})
    if kind.get("format") != FORMAT:
        raise ValueError(
            f"the model in {str(folder)!r} was saved by scminnet {kind.get('scminnet', 'before 0.1.0')}. This version "
            f"({version('scminnet')}) can not read it. Load it with that version, or train it again."
        )
