"""Files that a stranger could send in place of a model. Each that runs anything leaves a mark."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def archive(path: Path, instructions: bytes, records: dict[str, bytes] | None = None, **given: Any) -> None:
    """Write an archive like one of ``torch.save`` with these instructions of pickle."""
    with zipfile.ZipFile(path, "w", **given) as file:
        file.writestr("model/data.pkl", instructions)
        file.writestr("model/byteorder", "little")
        file.writestr("model/version", "3\n")
        for name, content in (records or {}).items():
            file.writestr(name, content)


def called(module: str, name: str, *arguments: Any) -> bytes:
    """Return a pickle that calls a function."""
    given = pickle.dumps(arguments, protocol=2)[2:-1]
    return b"\x80\x02" + f"c{module}\n{name}\n".encode() + given + b"R."


class Scripted(torch.nn.Module):
    """Writes a file while it is loaded from a TorchScript archive."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.mark: str = str(mark)

    @torch.jit.export
    def __getstate__(self) -> tuple[bool, str]:
        return (self.training, self.mark)

    @torch.jit.export
    def __setstate__(self, state: tuple[bool, str]) -> None:
        self.training, self.mark = state
        torch.save(torch.ones(1), self.mark)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def torchscript(path: Path, mark: Path) -> None:
    torch.jit.script(Scripted(mark)).save(str(path))


def lambda_of(instructions: bytes) -> Callable[[Path, Path], None]:
    return lambda path, mark: archive(path, instructions)


def legacy_pickle(path: Path, mark: Path) -> None:
    torch.save({"a": Touch(mark)}, path, _use_new_zipfile_serialization=False)


def bare_pickle(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps(Touch(mark)))


def protocol_0(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps(Touch(mark), protocol=0))


def legacy_tar(path: Path, mark: Path) -> None:
    with tarfile.open(path, "w") as file:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            content = pickle.dumps(Touch(mark))
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))


def zipped_touch(path: Path, mark: Path) -> None:
    torch.save({"model_state_dict": {}, "var_names": {}, "attr_dict": {"registry_": Touch(mark)}}, path)


def packed(path: Path, mark: Path) -> None:
    archive(path, b"\x80\x02}." + bytes(50_000_000), compression=zipfile.ZIP_DEFLATED)


def packed_values(path: Path, mark: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model/data.pkl", tensor_pickle((10**7,), 10**7))
        file.writestr("model/data/0", bytes(4 * 10**7))


def tensor_pickle(
    size: tuple[int, ...],
    length: int,
    *,
    kind: bytes = b"ctorch\nFloatStorage\n",
    stride: tuple[int, ...] | None = None,
    offset: int = 0,
) -> bytes:
    """Return a pickle of a dictionary with one tensor, as declared."""
    plain = lambda value: pickle.dumps(value, protocol=2)[2:-1]  # noqa: E731
    stride = (1,) * len(size) if stride is None else stride
    stored = b"(" + plain("storage") + kind + plain("0") + plain("cpu") + plain(length) + b"tQ"
    return (
        b"\x80\x02}" + plain("a") + b"ctorch._utils\n_rebuild_tensor_v2\n("
        + stored + plain(offset) + plain(size) + plain(stride) + b"\x89ccollections\nOrderedDict\n)R" + b"tRs."
    )  # fmt: skip


def declared(size: tuple[int, ...], length: int, stored: int = 16, **given: Any) -> Callable[[Path, Path], None]:
    """Write a tensor that is said to have this size and length, with so many bytes of values."""
    return lambda path, mark: archive(path, tensor_pickle(size, length, **given), {"model/data/0": bytes(stored)})


def with_records(records: dict[str, bytes], instructions: bytes = b"\x80\x02}.") -> Callable[[Path, Path], None]:
    return lambda path, mark: archive(path, instructions, records)


def lying_directory(path: Path, mark: Path) -> None:
    archive(path, b"\x80\x02}.")
    content = bytearray(path.read_bytes())
    content[-22 + 12 : -22 + 16] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(content)


def lying_size(path: Path, mark: Path) -> None:
    archive(path, b"\x80\x02}.")
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\x01\x02")
    content[start + 20 : start + 28] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(content)


def encrypted(path: Path, mark: Path) -> None:
    archive(path, b"\x80\x02}.")
    content = bytearray(path.read_bytes())
    start = content.index(b"PK\x01\x02")
    content[start + 8] |= 1
    path.write_bytes(content)


def wrong_checksum(path: Path, mark: Path) -> None:
    archive(path, b"\x80\x02}X\x01\x00\x00\x00aK\x01s.")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"aK\x01s", b"bK\x01s"))


def comment_behind(path: Path, mark: Path) -> None:
    archive(path, b"\x80\x02}.")
    with zipfile.ZipFile(path, "a") as file:
        file.comment = b"PK\x05\x06" + bytes(20)


def nested(depth: int) -> bytes:
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def doubled(levels: int) -> bytes:
    """Return lists of which each holds the one before it twice: 2**levels when written out."""
    parts = b"]q\x00."[:-1]
    for level in range(1, levels):
        parts += b"](h" + bytes([level - 1]) + b"h" + bytes([level - 1]) + b"eq" + bytes([level])
    return b"\x80\x02" + parts + b"."


#: By name, what writes a file of this kind. None of them is plain data.
NOT_PLAIN: dict[str, Callable[[Path, Path], None]] = {
    "TorchScript": torchscript,
    "TorchScript by its records only": with_records({"model/constants.pkl": b"\x80\x02).", "model/code/a.py": b"x"}),
    "pickle": bare_pickle,
    "pickle, protocol 0": protocol_0,
    "pickle of torch before 1.6": legacy_pickle,
    "tar of torch before 0.2": legacy_tar,
    "function in a torch archive": zipped_touch,
    "empty": lambda path, mark: path.write_bytes(b""),
    "text": lambda path, mark: path.write_text("import os; os.system('true')"),
    "one magic number only": lambda path, mark: path.write_bytes(b"PK\x03\x04"),
    "zip without content": lambda path, mark: path.write_bytes(b"PK\x05\x06" + bytes(18)),
    "zip of something else": lambda path, mark: zipfile.ZipFile(path, "w").writestr("a/b", "c"),
    "path traversal": with_records({"../../evil": b"x"}),
    "path traversal of values": with_records({"model/data/../../evil": b"x"}),
    "absolute path": with_records({"/etc/passwd": b"x"}),
    "second folder": with_records({"other/version": b"3"}),
    "record twice": with_records({"model/version": b"4"}),
    "compressed bomb": packed,
    "compressed values": packed_values,
    "list of records of 4 GB": lying_directory,
    "record of 2 GB": lying_size,
    "encrypted": encrypted,
    "wrong checksum": wrong_checksum,
    "comment with an end in it": comment_behind,
    "os.system": lambda path, mark: archive(path, called("posix", "system", f"touch {mark}")),
    "builtins.eval": lambda path, mark: archive(path, called("builtins", "eval", f"open({str(mark)!r}, 'w')")),
    "numpy.ndarray of objects over bytes": lambda_of(called("numpy", "ndarray", (4,), "O", b"A" * 32)),
    "numpy.dtype with a state": lambda_of(b"\x80\x02cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R}b."),
    "slot state of pandas.Index": lambda_of(b"\x80\x02cpandas\nIndex\nN}X\x01\x00\x00\x00a\x4b\x01s\x86b."),
    "state of a function": lambda_of(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__name__K\x01sb."),
    "state of a dictionary": lambda_of(b"\x80\x02}}b."),
    "OBJ": lambda_of(b"(cos\nsystem\nX\x04\x00\x00\x00trueo."),
    "INST": lambda_of(b"(X\x04\x00\x00\x00trueios\nsystem\n."),
    "NEWOBJ": lambda_of(b"\x80\x02ccollections\nOrderedDict\n)\x81."),
    "STACK_GLOBAL": lambda_of(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."),
    "EXT": lambda_of(b"\x80\x02\x82\x01."),
    "DUP": lambda_of(b"\x80\x02]2a."),
    "reduce of a text": lambda_of(b"\x80\x02X\x01\x00\x00\x00a)R."),
    "reduce of a type of values": lambda_of(b"\x80\x02ctorch\nFloatStorage\nK\x04\x85R."),
    "a name as a value": lambda_of(b"\x80\x02ctorch\nFloatStorage\n."),
    "a list that holds itself": lambda_of(b"\x80\x02]q\x00h\x00a."),
    "lists that double 60 times": lambda_of(doubled(60)),
    "100,000 nested lists": lambda_of(nested(100_000)),
    "nested tuples": lambda_of(b"\x80\x02)" + b"\x85" * 100_000 + b"."),
    "item into a tensor": lambda path, mark: archive(
        path, tensor_pickle((4,), 4)[:-2] + b"K\x00K\x01ss.", {"model/data/0": bytes(16)}
    ),
    "list as a key": lambda_of(b"\x80\x02}]K\x01s."),
    "no instructions": lambda_of(b""),
    "empty stack": lambda_of(b"\x80\x02."),
    "pops too much": lambda_of(b"\x80\x02]aaa."),
    "unknown instruction": lambda_of(b"\x80\x02\xff."),
    "memo that is not there": lambda_of(b"\x80\x02h\x07."),
    "a number of 2,000 bits": lambda_of(b"\x80\x02\x8a\xfa" + b"\x7f" * 250 + b"."),
    "half a character": lambda_of(b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80."),
    "text longer than the file": lambda_of(b"\x80\x02X\xff\xff\xff\x7fa."),
    "tensor of petabytes": declared((10**15,), 10**15),
    "shape of petabytes over 4 values": declared((10**15,), 4),
    "shape of petabytes by a stride of 0": declared((10**15,), 4, stride=(0,)),
    "negative size": declared((-4,), 4),
    "two negative sizes": declared((-2, -2), 4, stride=(-2, 1)),
    "size of truth": declared((True, 4), 4, stride=(4, 1)),
    "offset beyond the end": declared((3,), 4, offset=2),
    "negative offset": declared((3,), 4, offset=-1),
    "stride beyond the end": declared((2,), 4, stride=(4,)),
    "negative stride": declared((2,), 4, stride=(-1,)),
    "stride beyond 64 bits": declared((2,), 4, stride=(2**63,)),
    "more values than bytes": declared((8,), 8),
    "wider type than bytes": declared((4,), 4, kind=b"ctorch\nDoubleStorage\n"),
    "untyped storage": declared((4,), 4, kind=b"ctorch.storage\nUntypedStorage\n"),
    "truth values of 7": lambda path, mark: archive(
        path, tensor_pickle((4,), 4, kind=b"ctorch\nBoolStorage\n"), {"model/data/0": b"\x07" * 4}
    ),
    "missing values": lambda path, mark: archive(path, tensor_pickle((4,), 4)),
    "values by a path": lambda path, mark: archive(
        path,
        tensor_pickle((4,), 4).replace(b"X\x01\x00\x00\x000", b"X\x05\x00\x00\x00../.."),
        {"model/data/0": bytes(16)},
    ),
    "other byte order": lambda path, mark: _big_endian(path),
}


def _big_endian(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/data.pkl", b"\x80\x02}.")
        file.writestr("model/byteorder", "big")
