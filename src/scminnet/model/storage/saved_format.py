"""Format of a saved model: the parts of a MinNet as plain data (``_core/plain_data.py``), in scvi-tools' ``model.pt``.

The file holds what scvi-tools puts there: ``model_state_dict``, ``var_names`` and ``attr_dict``. Arrays are tensors,
tables are lists, and long lists of names are JSON texts, which are read many times faster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from scminnet._core.plain_data import as_plain, read_plain
from scminnet._core.torch_archive import NotPlainError, TorchScriptError
from scminnet.model.storage.plain_forms import InconsistentError
from scminnet.model.storage.saved_checks import FORMAT, check_parts


class SavedModel(NamedTuple):
    """What a saved model holds, checked."""

    state: dict[str, torch.Tensor]
    """Weights."""
    attributes: dict[str, Any]
    """Attributes of the model whose names end with ``_``, as the model has them."""
    names: dict[str, np.ndarray]
    """Features of each modality."""


def written_by() -> dict[str, Any]:
    """Return the format and the version of scminnet, which are saved with a model."""
    return {"format": FORMAT, "scminnet": version("scminnet")}


def as_saved(state: Mapping[str, torch.Tensor], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a file from a model's weights and attributes.

    Raises
    ------
    TypeError
        An attribute holds something other than numbers, texts, arrays, lists and dictionaries.
    """
    attributes = dict(attributes)
    registry = dict(attributes["registry_"])
    registry["field_registries"] = {
        key: {**field, "state_registry": dict(field["state_registry"])}
        for key, field in registry["field_registries"].items()
    }
    names = {}
    for field in registry["field_registries"].values():
        if "column_names" in field["state_registry"]:
            features = _as_json(field["state_registry"]["column_names"])
            field["state_registry"]["column_names"] = names[field["data_registry"]["mod_key"]] = features
    attributes["registry_"] = registry
    attributes["written_by_"] = {**attributes["written_by_"], "format": FORMAT}
    if attributes.get("history_") is not None:
        attributes["history_"] = {
            name: [frame.index.name, frame.index.astype(int).tolist(), [float(v) for v in frame.iloc[:, 0]]]
            for name, frame in attributes["history_"].items()
        }
    if attributes.get("coupling_"):
        attributes["coupling_"] = {
            pair: {
                **summary,
                "sides": {m: {**side, "cells": _as_json(side["cells"])} for m, side in summary["sides"].items()},
            }
            for pair, summary in attributes["coupling_"].items()
        }
    return {
        "model_state_dict": as_plain(dict(state), "model_state_dict"),
        "var_names": names,
        "attr_dict": {name: as_plain(value, name) for name, value in attributes.items()},
    }


def from_saved(content: Any, model_class: type) -> SavedModel:
    """Return what a file holds, as a model has it. Check all of it first.

    Raises
    ------
    InconsistentError
        A part is missing or of another form, or contradicts another.
    """
    parts = check_parts(content, model_class)
    attributes = {name: _with_arrays(value) for name, value in content["attr_dict"].items()}
    for key, field in attributes["registry_"]["field_registries"].items():
        state = field["state_registry"]
        if key in parts.names:
            state["column_names"] = np.array(parts.names[key], dtype=object)
        else:
            state["categorical_mapping"] = np.array(state["categorical_mapping"], dtype=object)
    if attributes.get("history_") is not None:
        attributes["history_"] = {
            name: pd.DataFrame({name: values}, index=pd.Index(epochs, name=of, dtype=int), dtype=object)
            for name, (of, epochs, values) in attributes["history_"].items()
        }
    for pair, summary in (attributes.get("coupling_") or {}).items():
        for m, side in summary["sides"].items():
            side["cells"] = np.array(parts.cells[pair, m], dtype=object)
    registries = attributes["registry_"]["field_registries"]
    names = {registries[key]["data_registry"]["mod_key"]: registries[key]["state_registry"]["column_names"]
             for key in parts.names}  # fmt: skip
    return SavedModel(content["model_state_dict"], attributes, names)


def read_saved_model(
    folder: str | Path, model_class: type, prefix: str | None = None, *, trusted: bool = False
) -> SavedModel:
    """Read a saved model of this class, which runs no code from the file.

    Parameters
    ----------
    folder
        Folder that ``model.save`` wrote.
    model_class
        Expected class of the model.
    prefix
        As given to ``save``.
    trusted
        Also read a pickle, such as scminnet 0.1 saved. This runs any code in the file.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or no model in it.
    ValueError
        The file is damaged, holds more than plain data and is not ``trusted``, or its parts do not fit together. The
        model is of another class or from an incompatible version.
    """
    path = Path(folder) / f"{prefix or ''}model.pt"
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no saved model at {str(folder)!r}: {path.name} is missing. "
            "Give the folder that `model.save` wrote."
        )
    place = f"{path.name} in {str(folder)!r}"
    try:
        content = read_plain(path)
    except NotPlainError as error:
        # no version saved a program
        if not trusted or isinstance(error, TorchScriptError):
            raise ValueError(
                f"{place} can not be read: {error}. Save the model again, or copy the whole folder; load a model of "
                "another class with that class. If scminnet 0.1 saved it and you trust its author, load it once with "
                "`MinNet.load(..., trusted=True)`, which can run code from the file, and save it again."
            ) from error
        content = _read_pickle(path, place)
    try:
        return from_saved(content, model_class)
    except InconsistentError as error:
        raise ValueError(f"{place} can not be used: {error}.") from error
    # a stranger's file ends with one kind of error, whatever it puts where
    except (TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{place} can not be used ({type(error).__name__}: {str(error)[:200]}).") from error


def _read_pickle(path: Path, place: str) -> Any:
    """Read a pickle, and bring a model of scminnet 0.1 into the present format. This runs any code in the file."""
    remedy = "Save the model again, or copy the whole folder"
    try:
        found = torch.load(path, map_location="cpu", weights_only=False)
    # a pickle can raise anything
    except Exception as error:
        raise ValueError(f"{place} can not be read ({type(error).__name__}: {error}). {remedy}.") from error
    if not isinstance(found, dict) or not {"model_state_dict", "attr_dict"} <= set(found):
        raise ValueError(f"{place} is not a model that `model.save` wrote. {remedy}.")
    attributes = dict(found["attr_dict"])
    made_by = attributes.setdefault("written_by_", {})
    try:
        if made_by.get("format") != 1:
            return as_plain(found)
        # scvi-tools' parameters of pyro; and the first models had no linear part
        state = {name: v for name, v in found["model_state_dict"].items() if name != "pyro_param_store"}
        return as_saved({"linear_share": torch.zeros(()), **state}, attributes)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{place} can not be used ({type(error).__name__}: {error}). {remedy}.") from error


def _as_json(names: Any) -> str:
    return json.dumps(np.asarray(names).astype(str).tolist(), ensure_ascii=False)


def _with_arrays(value: Any) -> Any:
    """Return plain data with arrays in place of tensors."""
    if isinstance(value, torch.Tensor):
        return value.numpy()
    if isinstance(value, dict):
        return {key: _with_arrays(v) for key, v in value.items()}
    return [_with_arrays(v) for v in value] if isinstance(value, list) else value
