"""Plain data in the file format of ``torch.save``: numbers, texts, lists, dictionaries and tensors, nothing else.

``torch.load`` reads such a file, also with ``weights_only=True``. :func:`read_plain` reads it without an unpickler, so
that a file from a stranger neither runs code nor takes more memory than its size accounts for. A few instructions of
pickle are followed here (``pickletools`` decodes them), and no name in the file is looked up.
"""

from __future__ import annotations

import math
import os
import pickletools
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from scminnet._core.torch_archive import VALUES, NotPlainError, check_archive, records_of

#: Most instructions of pickle in a file. Each name takes two: 10 million names, in about 20 seconds.
MAX_INSTRUCTIONS = 20_000_000

#: Deepest nesting of lists and dictionaries.
MAX_DEPTH = 20

_TYPES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}
_TENSOR, _EMPTY = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"


class _Name(NamedTuple):
    """A name in a file. It stands for itself and is not imported."""

    text: str


def as_plain(value: Any, place: str = "value") -> Any:
    """Return a copy that consists of plain data.

    Arrays of numbers become tensors on the CPU, arrays of texts and tuples become lists.

    Raises
    ------
    TypeError
        There is something else, at the ``place`` that the message names.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.dtype not in _TYPES.values():
            raise TypeError(f"`{place}` is a tensor of {value.dtype}, {value.layout}, which can not be saved.")
        # a copy, because a view would be saved with all that it is a view of
        return value.detach().cpu().clone(memory_format=torch.contiguous_format)
    if isinstance(value, np.ndarray) and value.dtype.kind in "bif":
        native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
        return as_plain(torch.from_numpy(native), place)
    if isinstance(value, np.ndarray):
        return as_plain(value.tolist(), place)
    if isinstance(value, list | tuple):
        return [as_plain(v, f"{place}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str | int):
                raise TypeError(f"`{place}` has the key {key!r}. Only texts and whole numbers can be saved as keys.")
        return {as_plain(k): as_plain(v, f"{place}[{k!r}]") for k, v in value.items()}
    if isinstance(value, str):
        return "".join(value)
    for kind, numbers in ((bool, np.bool_), (int, int | np.integer), (float, float | np.floating)):
        if isinstance(value, numbers):
            return kind(value)
    raise TypeError(
        f"`{place}` is a {type(value).__name__}. Only numbers, texts, arrays, lists and dictionaries can be saved."
    )


def read_plain(path: str | os.PathLike[str]) -> Any:
    """Read a file of plain data. Nothing in it is run, imported or unpickled.

    Raises
    ------
    NotPlainError
        The file is not an archive of ``torch.save``, is damaged, or holds anything but plain data.
    """
    with Path(path).open("rb") as file:
        check_archive(file)
        try:
            with zipfile.ZipFile(file) as archive:
                return _Reader(archive, records_of(archive, os.fstat(file.fileno()).st_size)).read()
        except NotPlainError:
            raise
        # all that zipfile and pickletools raise on damaged input
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, struct.error, RuntimeError, IndexError, KeyError,
                OverflowError, MemoryError) as error:  # fmt: skip
            raise NotPlainError(f"it is damaged or truncated ({type(error).__name__}: {str(error)[:200]})") from error


class _Reader:
    """Follows the instructions of ``data.pkl``, of which only those for plain data are known."""

    def __init__(self, archive: zipfile.ZipFile, records: Mapping[str, zipfile.ZipInfo]) -> None:
        self.archive = archive
        self.records = records
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.loaded: dict[str, torch.Tensor] = {}

    def read(self) -> Any:
        """Return the data."""
        order = self._bytes("byteorder").decode("ascii") if "byteorder" in self.records else "little"
        if order != sys.byteorder:
            raise NotPlainError(f"it was written on a machine of another byte order ({order[:10]!r})")
        for n, (opcode, argument, _) in enumerate(pickletools.genops(self._bytes("data.pkl"))):
            if n > MAX_INSTRUCTIONS:
                raise NotPlainError(f"it has more than {MAX_INSTRUCTIONS:,} instructions")
            self._follow(opcode.name, argument)
        if len(self.stack) != 1 or self.marks:
            raise NotPlainError("its instructions leave parts over")
        _check_depth(self.stack[0])
        return self.stack[0]

    def _follow(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                # raises on half a character, which could not be printed
                if not argument.isascii():
                    argument.encode()
                stack.append(argument)
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                # a container that is there twice could contain itself, or double in size with each level
                if isinstance(self.memo[argument], list | dict | tuple) and type(self.memo[argument]) is not _Name:
                    raise NotPlainError("it has a list or dictionary twice")
                stack.append(self.memo[argument])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                if abs(argument) >= 2**63 and not isinstance(argument, float):
                    raise NotPlainError("it has a whole number of more than 64 bits")
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_TUPLE":
                stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}[name]())
            case "MARK":
                self.marks.append(len(stack))
            case "APPEND" | "APPENDS":
                values = self._since_mark() if name == "APPENDS" else [stack.pop()]
                self._container(list).extend(map(_value, values))
            case "SETITEM" | "SETITEMS":
                pairs = self._since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
                self._container(dict).update(_items(pairs))
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                n = int(name[-1])
                stack[-n:] = [tuple(stack[-n:])]
            case "GLOBAL" | "STACK_GLOBAL":
                text = argument if name == "GLOBAL" else f"{stack.pop(-2)} {stack.pop()}"
                if text not in _TYPES and text not in (_TENSOR, _EMPTY):
                    raise NotPlainError(
                        f"it contains {text.replace(' ', '.')[:120]}, which is not plain data and could run code"
                    )
                stack.append(_Name(text))
            case "BINPERSID":
                stack.append(self._stored(stack.pop()))
            case "REDUCE":
                arguments, called = stack.pop(), stack.pop()
                stack.append(_made(called, arguments))
            case "PROTO" | "FRAME" | "STOP":
                pass
            case _:
                raise NotPlainError(f"it contains the instruction {name} of pickle, which plain data do not need")
        if self.marks and self.marks[-1] > len(stack):
            raise NotPlainError("its instructions are out of order")

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def _container(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise NotPlainError(f"it puts an item into a {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def _stored(self, described: Any) -> torch.Tensor:
        """Return the values that ``("storage", type, record, device, length)`` describes."""
        match described:
            case ("storage", _Name(text), str(key), str(), int(length)) if text in _TYPES:
                dtype, name = _TYPES[text], f"{VALUES}{key}"
            case _:
                raise NotPlainError("it has a reference to values that is not one of `torch.save`")
        if name not in self.records or self.records[name].file_size != length * dtype.itemsize:
            raise NotPlainError(f"its record {name[:40]!r} is missing or has not the {length:,} values it should have")
        if name not in self.loaded:
            content = bytearray(self._bytes(name))
            if dtype is torch.bool and not set(content) <= {0, 1}:
                raise NotPlainError(f"its record {name!r} holds truth values that are neither 0 nor 1")
            self.loaded[name] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        if self.loaded[name].dtype != dtype:
            raise NotPlainError(f"its record {name!r} has two types")
        return self.loaded[name]

    def _bytes(self, name: str) -> bytes:
        # reading to the end compares the checksum
        return self.archive.read(self.records[name])


def _made(called: Any, arguments: Any) -> Any:
    """Return what a call in the file stands for: a tensor, or an empty dictionary."""
    match called, arguments:
        case _Name(text), () if text == _EMPTY:
            return {}
        case (_Name(text), (torch.Tensor() as values, int(offset), tuple(size), tuple(stride), False, {})) if (
            text == _TENSOR
        ):
            return _tensor(values, offset, size, stride)
    raise NotPlainError("it calls a function, which could run code")


def _tensor(values: torch.Tensor, offset: Any, size: tuple[Any, ...], stride: tuple[Any, ...]) -> torch.Tensor:
    """Return a tensor over some of the values. It has no more elements than there are values, and none outside."""
    numbers = (offset, *size, *stride)
    if len(size) == len(stride) and all(type(n) is int and n >= 0 for n in numbers) and max(numbers) < 2**62:
        n_elements = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if n_elements == 0 and not len(values):
            return values.new_empty(size)
        if 0 < n_elements <= len(values) and last < len(values):
            return torch.as_strided(values, size, stride, offset).contiguous()
    raise NotPlainError(f"it has a tensor of shape {str(size)[:80]}, which does not fit its {len(values):,} values")


def _value(value: Any) -> Any:
    """Return a value of a list or dictionary, which no part of a tensor's description may be."""
    if isinstance(value, tuple):
        raise NotPlainError("it has a tuple or name where a value should be")
    return value


def _items(pairs: list[Any]) -> Iterator[tuple[str | int, Any]]:
    if len(pairs) % 2:
        raise NotPlainError("it has a key without a value")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if type(key) not in (str, int):
            raise NotPlainError(f"it has a key that is a {type(key).__name__}")
        yield key, _value(value)


def _check_depth(whole: Any) -> None:
    level, depth = [_value(whole)], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise NotPlainError(f"its lists and dictionaries are nested more than {MAX_DEPTH} deep")
        containers = (v for v in level if isinstance(v, list | dict))
        level = [inner for v in containers for inner in (v.values() if isinstance(v, dict) else v)]
