"""Checks a saved model before anything is made of it: each part's form, and the parts against each other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import torch
from scvi import REGISTRY_KEYS

from scminnet._core.arguments import shorten
from scminnet._core.obs_text import unlabeled_names
from scminnet.model.data.fields import layer_field_key
from scminnet.model.network.module import SiameseModule
from scminnet.model.recipe import Recipe
from scminnet.model.storage.plain_forms import InconsistentError, dictionary, expect, names_of, tensor_of, texts
from scminnet.model.storage.saved_results import check_coupling, check_history, check_reference_range

#: Version of the format. Raise it when earlier models can no longer be loaded. 1 was a pickle.
FORMAT = 3

#: Attributes of every model, and those that only some have.
_ALWAYS = ("registry_", "init_params_", "written_by_", "is_trained_")
_SOMETIMES = (
    "train_indices_",
    "validation_indices_",
    "test_indices_",
    "history_",
    "recipe_",
    "evidence_",
    "coupling_",
    "reference_range_",
)

_VERSION = re.compile(r"[\w.+!-]{1,60}")
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*_")


class Parts(NamedTuple):
    """Names that are JSON texts in the file."""

    names: dict[str, list[str]]
    """Features by key of the field."""
    cells: dict[tuple[str, str], list[str]]
    """Coupled cells by pair of modalities and modality."""


def check_parts(content: Any, model_class: type) -> Parts:
    """Raise unless a file's content is a whole and consistent model of this class. Return its names."""
    expect(
        isinstance(content, dict) and {"model_state_dict", "var_names", "attr_dict"} <= set(content),
        "it is not a model that `model.save` wrote",
    )
    state, found = content["model_state_dict"], dictionary(content["attr_dict"], "attr_dict")
    expect("registry_" in found, "it is not a model that `model.save` wrote: it has no registry")
    registry = dictionary(found["registry_"], "registry_")
    name = registry.get("model_name")
    expect(name == model_class.__name__, f"it is a {name}, not a {model_class.__name__}. Load it with its own class")
    made_by = dictionary(found.get("written_by_", {}), "written_by_")
    maker = made_by.get("scminnet", "before 0.1.0")
    expect(isinstance(maker, str) and _VERSION.fullmatch(maker.replace(" ", "-")), "`written_by_` names no version")
    expect(
        type(made_by.get("format")) is int and made_by["format"] == FORMAT,
        f"it was saved by scminnet {maker}, which this version ({version('scminnet')}) can not read. Load it with that "
        "version, or train it again",
    )
    _check_attribute_names(found, model_class)

    names = _check_registry(registry, model_class)
    modalities = list(registry["setup_args"]["modalities"])
    expect(
        content["var_names"] == {m: _state(registry, layer_field_key(m))["column_names"] for m in modalities},
        "`var_names` and the registry have different features",
    )
    n_labels = len(_state(registry, REGISTRY_KEYS.LABELS_KEY)["categorical_mapping"]) - 1
    recipe = _check_init_params(found["init_params_"], model_class)
    _check_weights(state, {m: len(names[layer_field_key(m)]) for m in modalities}, n_labels, recipe)
    expect(type(found["is_trained_"]) is bool, "`is_trained_` is neither True nor False")
    for key in ("train_indices_", "validation_indices_", "test_indices_"):
        if found.get(key) is not None:
            cells = tensor_of(found[key], key, 1)
            expect(not cells.is_floating_point() and bool((cells >= 0).all()), f"`{key}` are not numbers of cells")
    check_history(found.get("history_"))
    if found.get("recipe_") is not None:
        _made_recipe(lambda: Recipe(**dictionary(found["recipe_"], "recipe_")), "recipe_")
    if found.get("evidence_") is not None:
        dictionary(found["evidence_"], "evidence_")
    n_embedding = recipe.n_latent
    if state["linear_share"] > 0:
        n_embedding += state["encoders.0.input.weight"].shape[1]
    check_reference_range(found.get("reference_range_"), modalities, n_embedding, n_labels)
    return Parts(names, check_coupling(found.get("coupling_"), modalities))


def _check_attribute_names(found: Mapping[str, Any], model_class: type) -> None:
    missing = [name for name in _ALWAYS if name not in found]
    expect(not missing, f"it lacks {shorten(missing)}")
    # another attribute is kept as it is, but must not replace anything of the class
    strange = [
        name
        for name in found
        if name not in (*_ALWAYS, *_SOMETIMES) and (not _ATTRIBUTE.fullmatch(str(name)) or hasattr(model_class, name))
    ]
    expect(not strange, f"it has the attributes {shorten(strange)}, which no model has")


def _check_registry(registry: Mapping[str, Any], model_class: type) -> dict[str, list[str]]:
    """Return the features of each modality by key of its field."""
    scvi_version = registry.get("scvi_version")
    expect(
        isinstance(scvi_version, str) and _VERSION.fullmatch(scvi_version),
        "the registry names no version of scvi-tools",
    )
    expect(registry.get("setup_method_name") == "setup_mudata", "the registry is not that of `setup_mudata`")
    setup = dictionary(registry.get("setup_args"), "setup_args")
    known = set(inspect.signature(model_class.setup_mudata).parameters) - {"mdata", "kwargs"}  # type: ignore[attr-defined]
    expect(
        {"modalities", "layers", "labels_key", "batch_key", "unlabeled_category"} <= set(setup) <= known,
        f"`setup_args` are {shorten(setup, 20)}, not those of `setup_mudata`",
    )
    modalities = dictionary(setup["modalities"], "modalities")
    expect(
        len(modalities) > 1 and all(isinstance(m, str) and m and m == own for m, own in modalities.items()),
        "`modalities` are not two names or more",
    )
    layers = dictionary(setup["layers"], "layers")
    expect(
        list(layers) == list(modalities) and all(v is None or isinstance(v, str) for v in layers.values()),
        "`layers` do not name one layer for each modality",
    )
    for key in ("labels_key", "batch_key"):
        expect(setup[key] is None or isinstance(setup[key], str), f"`{key}` is not a name")
    named = setup["unlabeled_category"]
    named = [named] if isinstance(named, str) else named
    expect(
        isinstance(named, list | tuple) and len(named) > 0 and all(isinstance(name, str) for name in named),
        "`unlabeled_category` is neither a name nor a list of names",
    )

    fields = dictionary(registry.get("field_registries"), "field_registries")
    keys = [layer_field_key(m) for m in modalities]
    expect(
        set(fields) == {*keys, REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.BATCH_KEY},
        f"the registry has the fields {shorten(fields)}, not those of the modalities {shorten(modalities)}",
    )
    for key, field in fields.items():
        for part in ("data_registry", "state_registry", "summary_stats"):
            dictionary(dictionary(field, key).get(part), f"{part} of {key}")
    names = {}
    for m, key in zip(modalities, keys, strict=True):
        state = fields[key]["state_registry"]
        names[key] = names_of(state.get("column_names"), f"the features of {m!r}")
        n_vars = state.get("n_vars")
        expect(
            type(n_vars) is int and n_vars == len(names[key]),
            f"the registry says {n_vars} features of {m!r}, and names {len(names[key]):,}",
        )
        expect(type(state.get("n_obs")) is int and state["n_obs"] >= 0, f"the number of cells of {m!r} is missing")
        expect(fields[key]["data_registry"].get("mod_key") == m, f"the field {key!r} is of another modality")
    for key, least in ((REGISTRY_KEYS.LABELS_KEY, "unlabeled_category"), (REGISTRY_KEYS.BATCH_KEY, None)):
        categories = texts(_state(registry, key).get("categorical_mapping"), f"the categories of {key!r}")
        expect(len(categories) > 0, f"the categories of {key!r} are missing")
        if least:
            unlabeled = unlabeled_names(setup[least])[0]
            last = (categories[-1], _state(registry, key).get("unlabeled_category"))
            expect(
                last == (unlabeled, unlabeled),
                f"the last category of {key!r} is {shorten(last[:1])}, not the unlabelled {unlabeled!r}",
            )
    return names


def _check_init_params(found: Any, model_class: type) -> Recipe:
    """Return the recipe that a model of these arguments has."""
    given = dictionary(dictionary(found, "init_params_").get("non_kwargs"), "init_params_")
    expect(found.get("kwargs") == {}, "`init_params_` has arguments by other names")
    known = set(inspect.signature(model_class).parameters) - {"mdata", "registry"}
    expect({"preset", "seed"} <= set(given) <= known, f"`init_params_` names {shorten(set(given) ^ known)}")
    changes = {name: v for name, v in given.items() if name not in ("preset", "seed")}
    expect(type(given["seed"]) is int and 0 <= given["seed"], "`seed` is not a whole number")
    expect(isinstance(given["preset"], str), "`preset` is not a name")
    return _made_recipe(lambda: Recipe.named(given["preset"], **changes), "init_params_")


def _made_recipe(make: Any, place: str) -> Recipe:
    try:
        recipe = make()
    except (TypeError, ValueError) as error:
        raise InconsistentError(f"`{place}` are not the hyperparameters of a MinNet ({error})") from error
    flags = [name for name in ("adapt_norm", "normalise") if type(getattr(recipe, name)) is not bool]
    expect(not flags, f"{shorten(flags)} of `{place}` is neither True nor False")
    return recipe


def _check_weights(state: Any, n_features: Mapping[str, int], n_labels: int, recipe: Recipe) -> None:
    """Raise unless the weights are those of a network of these sizes, and finite."""
    weights = dictionary(state, "model_state_dict")
    # each layer of each modality has tensors of its own, so more layers than tensors need not be made
    expect(recipe.n_layers * len(n_features) <= len(weights), f"it has no weights for {recipe.n_layers:,} layers")
    try:
        # on this device, tensors have shapes and no memory
        with torch.device("meta"):
            network = SiameseModule(n_features, n_labels, recipe).state_dict()
    except (RuntimeError, TypeError, ValueError) as error:
        raise InconsistentError(f"no network has its sizes ({str(error)[:200]})") from error
    differing = set(network) ^ set(weights)
    expect(not differing, f"its weights and hyperparameters differ in {shorten(sorted(map(str, differing)))}")
    for name, expected in network.items():
        values = weights[name]
        expect(isinstance(values, torch.Tensor), f"the weights {name!r} are no tensor")
        expect(
            values.shape == expected.shape and values.dtype == expected.dtype,
            f"the weights {name!r} have shape {tuple(values.shape)} ({values.dtype}), and the features, cell types and "
            f"hyperparameters need {tuple(expected.shape)} ({expected.dtype})",
        )
        expect(bool(torch.isfinite(values).all()), f"the weights {name!r} hold NaN or infinite values. Train it again")
        if name.endswith((".std", ".running_var", ".num_batches_tracked", "linear_share")):
            expect(bool((values >= 0).all()), f"the weights {name!r} hold negative values")
    expect(float(weights["linear_share"]) <= 1, "`linear_share` is above 1")


def _state(registry: Mapping[str, Any], key: str) -> dict[str, Any]:
    return registry["field_registries"][key]["state_registry"]
