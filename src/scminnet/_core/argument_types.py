"""Checks the arguments of a public function against its annotations, before anything else happens."""

from __future__ import annotations

import inspect
import math
import os
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from functools import cache, wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

#: Types that are paths.
_PATHS = (os.PathLike, Path)

#: numpy's seeds are below this.
_SEEDS = 2**32

#: Whole numbers are below this in size, because arrays hold no larger ones.
_LARGEST = 2**63


class _WrongType(Exception):
    """A value is not of the annotated type."""


class _WrongValue(_WrongType):
    """A value is a number, but not of the annotated kind, e.g. 2.5 where a whole number is needed."""


def check_types(function: Function) -> Function:
    """Decorate a public function so that arguments of a wrong type are refused before it begins.

    The annotations say what is accepted. numpy's numbers, texts and truth values, also arrays without dimension, become
    Python's. A truth value is no number, and a text is no list of texts. Annotations of classes such as MuData, tables
    and arrays are not checked: functions say themselves what they need of these.

    Raises
    ------
    TypeError
        An argument is of another type.
    ValueError
        A number is not whole or NaN; a seed is out of range; a name to write is empty; or a path is no path.
    """
    signature = inspect.signature(function)

    @cache
    def hints() -> dict[str, Any]:
        # not when decorating, because names may be imported later
        known: dict[str, Any] = {}
        while True:
            try:
                return get_type_hints(function, localns=known)
            except NameError as error:
                # a class that is imported for type checkers only
                known[str(error.name)] = Any

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            # Python's own text names the function
            return function(*args, **kwargs)
        for name, value in given.arguments.items():
            kind = signature.parameters[name].kind
            if name in hints() and kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
                given.arguments[name] = checked_argument(value, hints()[name], name)
        return function(*given.args, **given.kwargs)

    return cast(Function, checked)


def checked_argument(value: Any, hint: Any, argument: str) -> Any:
    """Return ``value`` in Python's own types if it fits an annotation. Raise otherwise, naming ``argument``."""
    try:
        converted = _convert(value, hint)
    except _WrongType as error:
        what = "the text " if isinstance(value, str) and "a list of texts" in _words(hint) else ""
        raise _refusal(error)(f"`{argument}` is {what}{shown(value)}. Give {_join(_words(hint))}.") from None
    if isinstance(converted, (str, os.PathLike)) and any(_is_path(part) for part in _parts(hint)):
        _check_path(converted, argument)
    if argument in _BY_NAME and converted is not None:
        _BY_NAME[argument](converted, argument)
    return converted


def shown(value: Any) -> str:
    """Show a value in a message: short ones as they are, others by their type."""
    if isinstance(value, (str, bytes, int, float, complex, np.generic, list, tuple, dict, set, NoneType, os.PathLike)):
        short = reprlib.Repr()
        short.maxstring = short.maxother = short.maxlong = 60
        return short.repr(value.item() if isinstance(value, np.generic) else value)
    return f"a {type(value).__name__}"


def check_seed(value: int, argument: str = "seed") -> None:
    """Raise unless a whole number is a seed that numpy takes."""
    if not 0 <= value < _SEEDS:
        raise ValueError(f"`{argument}` is {value}. Give a whole number from 0 to {_SEEDS - 1:,}.")


def check_name(value: str, argument: str) -> None:
    """Raise unless a text can name what is written, also in a file."""
    if not value.strip() or "/" in value or "\0" in value:
        raise ValueError(f"`{argument}` is {value!r}. Give a name that is not empty and has no '/'.")


#: Further checks by the name of the argument, the same in every function.
_BY_NAME: dict[str, Callable[[Any, str], None]] = {
    "seed": check_seed,
    "key_added": check_name,
    "label_added": check_name,
    "counts_layer": check_name,
}


def _check_path(path: str | os.PathLike[str], argument: str) -> None:
    text = os.fspath(path)
    if not text or "\0" in text:
        raise ValueError(f"`{argument}` is {text!r}, which is no path. Give the path of a file or folder.")


def _refusal(error: _WrongType) -> type[Exception]:
    return ValueError if isinstance(error, _WrongValue) else TypeError


def _parts(hint: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, or the annotation itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_path(hint: Any) -> bool:
    return (get_origin(hint) or hint) in _PATHS


def _convert(value: Any, hint: Any) -> Any:
    """Return a value in Python's own types. Raise if it does not fit the annotation."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    parts = _parts(hint)
    if len(parts) > 1:
        return _first_fit(value, parts)
    origin = get_origin(hint) or hint
    if origin in (Mapping, dict):
        return _mapping(value, *(get_args(hint) or (Any, Any)))
    if origin in (Sequence, Iterable, list):
        return _items(value, (get_args(hint) or (Any,))[0], any_iterable=origin is Iterable)
    convert = _SCALARS.get(origin)
    if convert is not None:
        return convert(value)
    if _is_path(hint) and not isinstance(value, os.PathLike):
        raise _WrongType
    return value


def _first_fit(value: Any, parts: tuple[Any, ...]) -> Any:
    errors: list[_WrongType] = []
    for part in parts:
        try:
            converted = _convert(value, part)
        except _WrongType as error:
            errors.append(error)
        else:
            if _is_checked(part):
                return converted
    if len(errors) < len(parts):
        # a class that is not checked here
        return value
    raise next((error for error in errors if isinstance(error, _WrongValue)), errors[0])


def _is_checked(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return origin in (*_SCALARS, Mapping, dict, Sequence, Iterable, list) or _is_path(hint)


def _mapping(value: Any, key: Any, item: Any) -> Any:
    if not isinstance(value, Mapping):
        raise _WrongType
    keys = [_convert(k, key) for k in value]
    return value if item is Any else {k: _convert(v, item) for k, v in zip(keys, value.values(), strict=True)}


def _items(value: Any, item: Any, *, any_iterable: bool) -> Any:
    is_array = isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "pandas"
    is_items = isinstance(value, Iterable if any_iterable else Collection) or is_array
    if not is_items or isinstance(value, (str, bytes, Mapping)) or (isinstance(value, Set) and not any_iterable):
        raise _WrongType
    if item is Any or not _is_checked(_parts(item)[0]):
        return value
    if getattr(value, "ndim", 1) != 1:
        raise _WrongType
    return [_convert(v, item) for v in value]


def _whole(value: Any) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise _WrongType
    if not isinstance(value, (int, np.integer)) or not -_LARGEST <= int(value) < _LARGEST:
        raise _WrongValue
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise _WrongType
    if isinstance(value, (int, np.integer)):
        return _whole(value)
    if math.isnan(value):
        raise _WrongValue
    return float(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise _WrongType
    return bool(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _WrongType
    return str(value)


def _none(value: Any) -> None:
    if value is not None:
        raise _WrongType


#: How a value becomes one of Python's own types.
_SCALARS: dict[Any, Callable[[Any], Any]] = {
    int: _whole,
    float: _number,
    bool: _truth,
    str: _text,
    # functions say which words they take
    Literal: _text,
    NoneType: _none,
}

_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", Literal: "a text"}

_SEVERAL = {int: "whole numbers", float: "numbers", str: "texts"}


def _words(hint: Any) -> list[str]:
    """Say what an annotation accepts."""
    parts = _parts(hint)
    # a text is a path where paths are accepted
    is_path = any(_is_path(part) for part in parts)
    words = ["a path"] if is_path else []
    for part in parts:
        origin = get_origin(part) or part
        if origin in (Mapping, dict):
            words.append("a mapping")
        elif origin in (Sequence, Iterable, list):
            item = (get_args(part) or (Any,))[0]
            words.append(f"a list of {_SEVERAL.get(_parts(item)[0], 'values')}")
        elif origin in _WORDS and not (is_path and origin is str):
            words.append(_WORDS[origin])
    return [*words, "None"] if NoneType in parts else words


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
