"""Changes of a saved model that leave plain data, but no model: by name, with words of the error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch

#: A change of a model's content.
Change = Callable[[dict[str, Any]], Any]


def _registry(content: dict[str, Any]) -> dict[str, Any]:
    return content["attr_dict"]["registry_"]


def _state(content: dict[str, Any], key: str) -> dict[str, Any]:
    return _registry(content)["field_registries"][key]["state_registry"]


def _set(find: Callable[[dict[str, Any]], Any], key: Any, value: Any) -> Change:
    def change(content: dict[str, Any]) -> None:
        place = find(content)
        place[key] = value(place.get(key)) if callable(value) else value

    return change


def _drop(find: Callable[[dict[str, Any]], Any], key: Any) -> Change:
    return lambda content: find(content).pop(key)


def _weights(content: dict[str, Any]) -> dict[str, Any]:
    return content["model_state_dict"]


def _attributes(content: dict[str, Any]) -> dict[str, Any]:
    return content["attr_dict"]


def _setup(content: dict[str, Any]) -> dict[str, Any]:
    return _registry(content)["setup_args"]


def _given(content: dict[str, Any]) -> dict[str, Any]:
    return _attributes(content)["init_params_"]["non_kwargs"]


def _range(content: dict[str, Any]) -> dict[str, Any]:
    return _attributes(content)["reference_range_"]


def _with(index: Any, value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        tensor[index] = value
        return tensor

    return change


def _features(change: Callable[[list[str]], Any]) -> Change:
    """Change the features of RNA at both of their places."""

    def apply(content: dict[str, Any]) -> None:
        names = json.dumps(change(json.loads(content["var_names"]["rna"])))
        content["var_names"]["rna"] = _state(content, "X_rna")["column_names"] = names

    return apply


NAN, WEIGHT, HEAD = float("nan"), "encoders.0.input.weight", "label_head.weight"

#: By name, a change that leaves plain data, and words of the error.
INCONSISTENT: dict[str, tuple[Change, str]] = {
    "NaN weights": (_set(_weights, HEAD, _with((0, 0), NAN)), "label_head.weight' hold NaN or infinite"),
    "infinite weights": (_set(_weights, WEIGHT, _with((0, 0), -float("inf"))), "hold NaN or infinite"),
    "NaN in batch norm": (_set(_weights, "encoders.1.layers.0.norm.running_mean", _with(0, NAN)), "hold NaN"),
    "negative variance": (_set(_weights, "encoders.0.layers.0.norm.running_var", _with(0, -1.0)), "negative values"),
    "negative deviation": (_set(_weights, "encoders.0.input.std", _with(0, -1.0)), "negative values"),
    "linear share of 7": (_set(_weights, "linear_share", torch.tensor(7.0)), "`linear_share` is above 1"),
    "weights of another shape": (_set(_weights, HEAD, lambda w: w[:2]), "'label_head.weight' have shape"),
    "weights of another type": (_set(_weights, HEAD, lambda w: w.double()), "float64"),
    "whole numbers as weights": (_set(_weights, HEAD, lambda w: w.long()), "int64"),
    "a text as weights": (_set(_weights, HEAD, "evil"), "are no tensor"),
    "a weight too few": (_drop(_weights, HEAD), "differ in 'label_head.weight'"),
    "a weight too many": (_set(_weights, "more", lambda _: torch.zeros(3)), "differ in 'more'"),
    "weights by number": (_set(_weights, 7, lambda _: torch.zeros(3)), "differ in '7'"),
    "no weights": (_set(lambda c: c, "model_state_dict", {}), "no weights for"),
    "a list of weights": (_set(lambda c: c, "model_state_dict", []), "model_state_dict is missing or no dictionary"),
    "no registry": (_drop(_attributes, "registry_"), "has no registry"),
    "no attributes": (_set(lambda c: c, "attr_dict", None), "attr_dict is missing"),
    "a list": (lambda content: [content], "not a model that `model.save` wrote"),
    "no init params": (_drop(_attributes, "init_params_"), "lacks 'init_params_'"),
    "other class": (_set(_registry, "model_name", "SCVI"), "is a SCVI, not a MinNet"),
    "class of many words": (_set(_registry, "model_name", "x" * 10**6), "is a xxx"),
    "no version of scvi-tools": (_set(_registry, "scvi_version", 3), "names no version of scvi-tools"),
    "a card in the version": (_set(_registry, "scvi_version", "1\n- tag"), "names no version of scvi-tools"),
    "other setup": (_set(_registry, "setup_method_name", "setup_anndata"), "not that of `setup_mudata`"),
    "format of tomorrow": (_set(_attributes, "written_by_", {"format": 9, "scminnet": "9.0"}), "saved by scminnet 9.0"),
    "format by a text": (_set(_attributes, "written_by_", {"format": "2", "scminnet": "9"}), "saved by scminnet 9"),
    "one modality": (_set(_setup, "modalities", {"rna": "rna"}), "`modalities` are not two names"),
    "modality of another name": (_set(_setup, "modalities", {"rna": "atac", "atac": "rna"}), "not two names"),
    "three modalities": (_set(_setup, "modalities", {m: m for m in ("rna", "atac", "adt")}), "`layers`"),
    "layer by number": (_set(_setup, "layers", {"rna": 1, "atac": None}), "`layers`"),
    "another source": (_set(_setup, "source_registry", {}), "not those of `setup_mudata`"),
    "label key by a list": (_set(_setup, "labels_key", ["a"]), "`labels_key` is not a name"),
    "features fewer than weights": (
        _features(lambda names: names[:-1]),
        "the registry says 80 features of 'rna', and names 79",
    ),
    "a feature twice": (_features(lambda names: [names[1], *names[1:]]), "hold a name twice"),
    "no features": (_features(lambda names: []), "no list of names"),
    "features by number": (_features(lambda names: list(range(80))), "no list of names"),
    "features nested": (_set(lambda c: c["var_names"], "rna", "[" * 10**5), "different features"),
    "features of half characters": (_features(lambda names: ["\ud800", *names[1:]]), "no list of names"),
    "other features in var_names": (_set(lambda c: c["var_names"], "rna", "[]"), "have different features"),
    "number of features": (_set(lambda c: _state(c, "X_rna"), "n_vars", 10**15), "the registry says 1000000000000000"),
    "negative cells": (_set(lambda c: _state(c, "X_rna"), "n_obs", -1), "number of cells of 'rna'"),
    "field of another modality": (
        _set(lambda c: _registry(c)["field_registries"]["X_rna"]["data_registry"], "mod_key", "atac"),
        "of another modality",
    ),
    "field too many": (
        _set(lambda c: _registry(c)["field_registries"], "X_adt", lambda _: {}),
        "the registry has the fields",
    ),
    "a type too few": (_set(lambda c: _state(c, "labels"), "categorical_mapping", lambda v: v[1:]), "have shape"),
    "a type twice": (
        _set(lambda c: _state(c, "labels"), "categorical_mapping", lambda v: [v[1], *v[1:]]),
        "name twice",
    ),
    "types by number": (_set(lambda c: _state(c, "labels"), "categorical_mapping", [1, 2]), "no list of texts"),
    "features by an array": (_set(lambda c: _state(c, "X_rna"), "n_vars", torch.ones(3)), "features of 'rna'"),
    "format by an array": (_set(lambda c: _attributes(c)["written_by_"], "format", torch.ones(3)), "saved by scminnet"),
    "no types": (_set(lambda c: _state(c, "labels"), "categorical_mapping", []), "are missing"),
    "unlabelled first": (
        _set(lambda c: _state(c, "labels"), "categorical_mapping", lambda v: v[::-1]),
        "last category",
    ),
    "unlabelled of another name": (_set(_setup, "unlabeled_category", "None"), "last category"),
    "batches by a text": (_set(lambda c: _state(c, "batch"), "categorical_mapping", "abc"), "no list of texts"),
    "n_latent of another network": (_set(_given, "n_latent", 16), "have shape"),
    "n_hidden of petabytes": (_set(_given, "n_hidden", 10**15), "no network has its sizes|have shape"),
    "n_hidden beyond 64 bits": (_set(_given, "n_hidden", 2**62), "no network has its sizes|have shape"),
    "a billion layers": (_set(_given, "n_layers", 10**9), "no weights for 1,000,000,000 layers"),
    "no layers": (_set(_given, "n_layers", 0), "hyperparameters of a MinNet"),
    "width by a text": (_set(_given, "n_hidden", "32"), "hyperparameters of a MinNet"),
    "activation by a list": (_set(_given, "activation", ["tanh"]), "hyperparameters of a MinNet"),
    "preset of nobody": (_set(_given, "preset", "evil"), "hyperparameters of a MinNet"),
    "normalise by a text": (_set(_given, "normalise", "yes"), "neither True nor False"),
    "data among the arguments": (_set(_given, "mdata", lambda _: "x"), "`init_params_` names"),
    "registry among the arguments": (_set(_given, "registry", lambda _: {}), "`init_params_` names"),
    "seed by a text": (_set(_given, "seed", "0"), "`seed`"),
    "more arguments": (_set(lambda c: _attributes(c)["init_params_"], "kwargs", {"a": {"b": 1}}), "by other names"),
    "is trained by a text": (_set(_attributes, "is_trained_", "yes"), "`is_trained_`"),
    "cells by a half": (_set(_attributes, "train_indices_", torch.tensor([0.5])), "not numbers of cells"),
    "negative cells to train": (_set(_attributes, "train_indices_", torch.tensor([-1])), "not numbers of cells"),
    "cells by a text": (_set(_attributes, "test_indices_", "all"), "no array of 1 dimensions"),
    "history by a text": (_set(_attributes, "history_", {"a": "b"}), "history of 'a'"),
    "history of other lengths": (_set(_attributes, "history_", {"a": ["epoch", [0, 1], [0.5]]}), "one value for each"),
    "recipe of another": (_set(_attributes, "recipe_", {"evil": 1}), "`recipe_`"),
    "evidence by a list": (_set(_attributes, "evidence_", [1]), "evidence_ is missing or no dictionary"),
    "a method as attribute": (_set(_attributes, "embed", lambda _: 1), "no model has"),
    "the network as attribute": (_set(_attributes, "module", lambda _: {}), "no model has"),
    "private attribute": (_set(_attributes, "__class__", lambda _: 1), "no model has"),
    "attribute by number": (_set(_attributes, 3, lambda _: 1), "no model has"),
    "landmarks of other dimensions": (
        _set(lambda c: _range(c)["landmarks"], "rna", lambda v: v[:, :3]),
        "landmarks of 'rna'",
    ),
    "NaN landmarks": (_set(lambda c: _range(c)["landmarks"], "rna", _with((0, 0), NAN)), "hold NaN"),
    "few landmarks": (_set(lambda c: _range(c)["landmarks"], "rna", lambda v: v[:3]), "landmarks of 'rna'"),
    "landmarks of nobody": (
        _set(lambda c: _range(c)["landmarks"], "adt", lambda _: torch.zeros(20, 32)),
        "in all parts",
    ),
    "types beyond the last": (
        _set(lambda c: _range(c)["held_out"]["rna"], "types", _with(0, 10**9)),
        "types of the held-out",
    ),
    "halves of three": (_set(lambda c: _range(c)["held_out"]["rna"], "half", _with(0, 2)), "half of the held-out"),
    "limit by a text": (
        _set(lambda c: _range(c)["held_out"]["rna"], "max_distance", "far"),
        "no number at 'max_distance'",
    ),
    "range without parts": (_set(_attributes, "reference_range_", {}), "reference_range_ landmarks"),
    "coupling of nobody": (_set(_attributes, "coupling_", {"rna, adt": {}}), "not one of two modalities"),
    "coupling without parts": (_set(_attributes, "coupling_", {"rna, atac": {}}), "has no verdict"),
}
