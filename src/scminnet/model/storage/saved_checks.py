"""Checks a saved model before anything is made of it: each part's form, and the parts against each other."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import torch
from scvi import REGISTRY_KEYS

from scminnet._core.arguments import shorten
from scminnet.model.data.fields import layer_field_key
from scminnet.model.diagnosis.reference_range import MIN_HELD_OUT, N_NEIGHBORS
from scminnet.model.network.module import SiameseModule
from scminnet.model.recipe import Recipe

#: Version of the format. Raise it when earlier models can no longer be loaded. 1 was a pickle.
FORMAT = 2

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


class InconsistentError(ValueError):
    """A saved model can not be used. The text says why, as the end of a sentence."""


class Parts(NamedTuple):
    """Names that are JSON texts in the file."""

    names: dict[str, list[str]]
    """Features by key of the field."""
    cells: dict[tuple[str, str], list[str]]
    """Coupled cells by pair of modalities and modality."""


def check_parts(content: Any, model_class: type) -> Parts:
    """Raise unless a file's content is a whole and consistent model of this class. Return its names."""
    _expect(
        isinstance(content, dict) and {"model_state_dict", "var_names", "attr_dict"} <= set(content),
        "it is not a model that `model.save` wrote",
    )
    state, found = content["model_state_dict"], _dictionary(content["attr_dict"], "attr_dict")
    _expect("registry_" in found, "it is not a model that `model.save` wrote: it has no registry")
    registry = _dictionary(found["registry_"], "registry_")
    name = registry.get("model_name")
    _expect(name == model_class.__name__, f"it is a {name}, not a {model_class.__name__}. Load it with its own class")
    made_by = _dictionary(found.get("written_by_", {}), "written_by_")
    maker = made_by.get("scminnet", "before 0.1.0")
    _expect(isinstance(maker, str) and _VERSION.fullmatch(maker.replace(" ", "-")), "`written_by_` names no version")
    _expect(
        made_by.get("format") == FORMAT,
        f"it was saved by scminnet {maker}, which this version ({version('scminnet')}) can not read. Load it with that "
        "version, or train it again",
    )
    _check_attribute_names(found, model_class)

    names = _check_registry(registry, model_class)
    modalities = list(registry["setup_args"]["modalities"])
    _expect(
        content["var_names"] == {m: _state(registry, layer_field_key(m))["column_names"] for m in modalities},
        "`var_names` and the registry have different features",
    )
    n_labels = len(_state(registry, REGISTRY_KEYS.LABELS_KEY)["categorical_mapping"]) - 1
    recipe = _check_init_params(found["init_params_"], model_class)
    _check_weights(state, {m: len(names[layer_field_key(m)]) for m in modalities}, n_labels, recipe)
    _expect(type(found["is_trained_"]) is bool, "`is_trained_` is neither True nor False")
    for key in ("train_indices_", "validation_indices_", "test_indices_"):
        if found.get(key) is not None:
            cells = _tensor(found[key], key, 1)
            _expect(not cells.is_floating_point() and bool((cells >= 0).all()), f"`{key}` are not numbers of cells")
    _check_history(found.get("history_"))
    if found.get("recipe_") is not None:
        _made_recipe(lambda: Recipe(**_dictionary(found["recipe_"], "recipe_")), "recipe_")
    if found.get("evidence_") is not None:
        _dictionary(found["evidence_"], "evidence_")
    n_embedding = recipe.n_latent
    if state["linear_share"] > 0:
        n_embedding += state["encoders.0.input.weight"].shape[1]
    _check_reference_range(found.get("reference_range_"), modalities, n_embedding, n_labels)
    return Parts(names, _check_coupling(found.get("coupling_"), modalities))


def _check_attribute_names(found: Mapping[str, Any], model_class: type) -> None:
    missing = [name for name in _ALWAYS if name not in found]
    _expect(not missing, f"it lacks {shorten(missing)}")
    # another attribute is kept as it is, but must not replace anything of the class
    strange = [
        name
        for name in found
        if name not in (*_ALWAYS, *_SOMETIMES) and (not _ATTRIBUTE.fullmatch(str(name)) or hasattr(model_class, name))
    ]
    _expect(not strange, f"it has the attributes {shorten(strange)}, which no model has")


def _check_registry(registry: Mapping[str, Any], model_class: type) -> dict[str, list[str]]:
    """Return the features of each modality by key of its field."""
    scvi_version = registry.get("scvi_version")
    _expect(
        isinstance(scvi_version, str) and _VERSION.fullmatch(scvi_version), "the registry names no version of scvi-tools"
    )
    _expect(registry.get("setup_method_name") == "setup_mudata", "the registry is not that of `setup_mudata`")
    setup = _dictionary(registry.get("setup_args"), "setup_args")
    known = set(inspect.signature(model_class.setup_mudata).parameters) - {"mdata", "kwargs"}  # type: ignore[attr-defined]
    _expect(
        {"modalities", "layers", "labels_key", "batch_key", "unlabeled_category"} <= set(setup) <= known,
        f"`setup_args` are {shorten(setup, 20)}, not those of `setup_mudata`",
    )
    modalities = _dictionary(setup["modalities"], "modalities")
    _expect(
        len(modalities) > 1 and all(isinstance(m, str) and m and m == own for m, own in modalities.items()),
        "`modalities` are not two names or more",
    )
    layers = _dictionary(setup["layers"], "layers")
    _expect(
        list(layers) == list(modalities) and all(v is None or isinstance(v, str) for v in layers.values()),
        "`layers` do not name one layer for each modality",
    )
    for key in ("labels_key", "batch_key"):
        _expect(setup[key] is None or isinstance(setup[key], str), f"`{key}` is not a name")
    _expect(isinstance(setup["unlabeled_category"], str), "`unlabeled_category` is not a name")

    fields = _dictionary(registry.get("field_registries"), "field_registries")
    keys = [layer_field_key(m) for m in modalities]
    _expect(
        set(fields) == {*keys, REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.BATCH_KEY},
        f"the registry has the fields {shorten(fields)}, not those of the modalities {shorten(modalities)}",
    )
    for key, field in fields.items():
        for part in ("data_registry", "state_registry", "summary_stats"):
            _dictionary(_dictionary(field, key).get(part), f"{part} of {key}")
    names = {}
    for m, key in zip(modalities, keys, strict=True):
        state = fields[key]["state_registry"]
        names[key] = _names(state.get("column_names"), f"the features of {m!r}")
        _expect(state.get("n_vars") == len(names[key]), f"the registry says {state.get('n_vars')} features of {m!r}, "
                f"and names {len(names[key]):,}")  # fmt: skip
        _expect(type(state.get("n_obs")) is int and state["n_obs"] >= 0, f"the number of cells of {m!r} is missing")
        _expect(fields[key]["data_registry"].get("mod_key") == m, f"the field {key!r} is of another modality")
    for key, least in ((REGISTRY_KEYS.LABELS_KEY, "unlabeled_category"), (REGISTRY_KEYS.BATCH_KEY, None)):
        categories = _texts(_state(registry, key).get("categorical_mapping"), f"the categories of {key!r}")
        _expect(len(categories) > 0, f"the categories of {key!r} are missing")
        if least:
            last = (categories[-1], _state(registry, key).get("unlabeled_category"))
            _expect(
                last == (setup[least], setup[least]),
                f"the last category of {key!r} is {shorten(last[:1])}, not the unlabelled {setup[least]!r}",
            )
    return names


def _check_init_params(found: Any, model_class: type) -> Recipe:
    """Return the recipe that a model of these arguments has."""
    given = _dictionary(_dictionary(found, "init_params_").get("non_kwargs"), "init_params_")
    _expect(found.get("kwargs") == {}, "`init_params_` has arguments by other names")
    known = set(inspect.signature(model_class).parameters) - {"mdata", "registry"}
    _expect(
        {"preset", "seed"} <= set(given) <= known, f"`init_params_` names {shorten(set(given) ^ known)}"
    )
    changes = {name: v for name, v in given.items() if name not in ("preset", "seed")}
    _expect(type(given["seed"]) is int and 0 <= given["seed"], "`seed` is not a whole number")
    _expect(isinstance(given["preset"], str), "`preset` is not a name")
    return _made_recipe(lambda: Recipe.named(given["preset"], **changes), "init_params_")


def _made_recipe(make: Any, place: str) -> Recipe:
    try:
        recipe = make()
    except (TypeError, ValueError) as error:
        raise InconsistentError(f"`{place}` are not the hyperparameters of a MinNet ({error})") from error
    flags = [name for name in ("adapt_norm", "normalise") if type(getattr(recipe, name)) is not bool]
    _expect(not flags, f"{shorten(flags)} of `{place}` is neither True nor False")
    return recipe


def _check_weights(state: Any, n_features: Mapping[str, int], n_labels: int, recipe: Recipe) -> None:
    """Raise unless the weights are those of a network of these sizes, and finite."""
    weights = _dictionary(state, "model_state_dict")
    # each layer of each modality has tensors of its own, so more layers than tensors need not be made
    _expect(recipe.n_layers * len(n_features) <= len(weights), f"it has no weights for {recipe.n_layers:,} layers")
    try:
        # on this device, tensors have shapes and no memory
        with torch.device("meta"):
            network = SiameseModule(n_features, n_labels, recipe).state_dict()
    except (RuntimeError, TypeError, ValueError) as error:
        raise InconsistentError(f"no network has its sizes ({str(error)[:200]})") from error
    differing = set(network) ^ set(weights)
    _expect(not differing, f"its weights and hyperparameters differ in {shorten(sorted(map(str, differing)))}")
    for name, expected in network.items():
        values = weights[name]
        _expect(isinstance(values, torch.Tensor), f"the weights {name!r} are no tensor")
        _expect(
            values.shape == expected.shape and values.dtype == expected.dtype,
            f"the weights {name!r} have shape {tuple(values.shape)} ({values.dtype}), and the features, cell types and "
            f"hyperparameters need {tuple(expected.shape)} ({expected.dtype})",
        )
        _expect(bool(torch.isfinite(values).all()), f"the weights {name!r} hold NaN or infinite values. Train it again")
        if name.endswith((".std", ".running_var", ".num_batches_tracked", "linear_share")):
            _expect(bool((values >= 0).all()), f"the weights {name!r} hold negative values")
    _expect(float(weights["linear_share"]) <= 1, "`linear_share` is above 1")


def _check_history(found: Any) -> None:
    for name, frame in _dictionary({} if found is None else found, "history_").items():
        _expect(isinstance(name, str) and isinstance(frame, list) and len(frame) == 3, f"the history of {name!r} is none")
        of, epochs, values = frame
        _expect(of is None or isinstance(of, str), f"the history of {name!r} counts nothing")
        _expect(
            isinstance(epochs, list) and isinstance(values, list) and len(epochs) == len(values),
            f"the history of {name!r} has not one value for each epoch",
        )
        _expect(
            all(type(n) is int for n in epochs) and all(type(v) is float for v in values),
            f"the history of {name!r} holds more than numbers",
        )


def _check_reference_range(found: Any, modalities: Sequence[str], n_embedding: int, n_labels: int) -> None:
    if found is None:
        return
    kept = {key: _dictionary(_dictionary(found, "reference_range_").get(key), f"reference_range_ {key}")
            for key in ("landmarks", "levels", "held_out", "foscttm")}  # fmt: skip
    _expect(set(kept["landmarks"]) == set(kept["held_out"]), "`reference_range_` has not the same modalities in all parts")
    for key, part in kept.items():
        _expect(set(part) <= set(modalities), f"`reference_range_` {key} has other modalities than the model")
    _floats(kept["levels"], "reference_range_ levels")
    for m, others in kept["foscttm"].items():
        _floats(_dictionary(others, f"reference_range_ foscttm of {m!r}"), f"reference_range_ foscttm of {m!r}")
    for m, landmarks in kept["landmarks"].items():
        held_out = _dictionary(kept["held_out"][m], f"the held-out cells of {m!r}")
        _check_embedding(landmarks, f"the landmarks of {m!r}", n_embedding, N_NEIGHBORS)
        _check_embedding(held_out.get("embedding"), f"the held-out cells of {m!r}", n_embedding, MIN_HELD_OUT)
        for key, most in (("types", max(n_labels, 1)), ("half", 2)):
            codes = _tensor(held_out.get(key), f"{key} of the held-out cells of {m!r}", 1)
            _expect(
                codes.dtype == torch.int64
                and len(codes) == len(held_out["embedding"])
                and bool(((codes >= 0) & (codes < most)).all()),
                f"{key} of the held-out cells of {m!r} are not {len(held_out['embedding']):,} numbers below {most}",
            )
        limits = ("max_distance", "min_confidence", "signal", "features")
        _floats({key: held_out.get(key) for key in limits}, f"the held-out cells of {m!r}")


def _check_embedding(found: Any, place: str, n_embedding: int, at_least: int) -> None:
    cells = _tensor(found, place, 2)
    _expect(
        cells.dtype == torch.float32 and cells.shape[1] == n_embedding and len(cells) >= at_least,
        f"{place} have shape {tuple(cells.shape)}, not at least {at_least} x {n_embedding}",
    )
    _expect(bool(torch.isfinite(cells).all()), f"{place} hold NaN or infinite values")


def _check_coupling(found: Any, modalities: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Return the coupled cells by pair of modalities and modality."""
    pairs = {f"{a}, {b}": {a, b} for i, a in enumerate(modalities) for b in modalities[i + 1 :]}
    cells = {}
    for pair, summary in _dictionary({} if found is None else found, "coupling_").items():
        place = f"the coupling of {pair}"
        _expect(pair in pairs, f"{place!s:.200} is not one of two modalities")
        summary = _dictionary(summary, place)
        _expect(summary.get("verdict") in ("holds", "uncertain", "fails"), f"{place} has no verdict")
        _floats({key: summary.get(key) for key in ("agreement", "p_value")}, place)
        _floats(_dictionary(summary.get("links"), place), f"{place}, links,")
        shuffled = _tensor(summary.get("shuffled"), f"{place}, shuffled,", 1)
        _expect(shuffled.is_floating_point() and len(shuffled) > 0, f"{place} has no shuffled links")
        sides = _dictionary(summary.get("sides"), place)
        _expect(set(sides) == pairs[pair], f"{place} has other sides")
        for m, side in sides.items():
            side = _dictionary(side, place)
            cells[pair, m] = _names(side.get("cells"), f"the cells of {m!r} in {place}", unique=False)
            for key in ("price", "unmatched"):
                values = _tensor(side.get(key), f"{key} of {m!r} in {place}", 1)
                _expect(
                    len(values) == len(cells[pair, m]) and (values.dtype == torch.bool) == (key == "unmatched"),
                    f"{place} has not one {key} for each cell of {m!r}",
                )
            _floats({"with_partner": side.get("with_partner")}, place)
            for key in ("with_partner_by_type", "with_partner_by_batch"):
                _floats(_dictionary(side.get(key), f"{key} in {place}"), f"{key} in {place}")
    return cells


def _expect(condition: Any, text: str) -> None:
    if not condition:
        raise InconsistentError(text if len(text) < 500 else f"{text[:500]}...")


def _dictionary(value: Any, place: str) -> dict[Any, Any]:
    _expect(isinstance(value, dict), f"{place} is missing or no dictionary")
    return value


def _tensor(value: Any, place: str, ndim: int) -> torch.Tensor:
    _expect(isinstance(value, torch.Tensor) and value.ndim == ndim, f"{place} is missing or no array of {ndim} dimensions")
    return value


def _floats(values: Mapping[Any, Any], place: str) -> None:
    wrong = [key for key, v in values.items() if not isinstance(key, str) or type(v) is not float]
    _expect(not wrong, f"{place} holds no number at {shorten(wrong)}")


def _texts(values: Any, place: str) -> list[str]:
    _expect(isinstance(values, list) and all(isinstance(v, str) for v in values), f"{place} are no list of texts")
    _expect(len(set(values)) == len(values), f"{place} hold a name twice")
    return values


def _names(text: Any, place: str, *, unique: bool = True) -> list[str]:
    """Return the names in a JSON text."""
    _expect(isinstance(text, str), f"{place} are missing")
    try:
        names = json.loads(text)
        # raises on half a character, which could not be printed
        whole = isinstance(names, list) and "".join(names).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InconsistentError(f"{place} are no list of names") from error
    _expect(whole, f"{place} are no list of names")
    _expect(not unique or len(set(names)) == len(names), f"{place} hold a name twice")
    return names


def _state(registry: Mapping[str, Any], key: str) -> dict[str, Any]:
    return registry["field_registries"][key]["state_registry"]
