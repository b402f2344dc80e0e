"""Tensors out of PyTorch's files without running a line of them: archives of TorchScript, trainings, whole modules.

A pickle names functions and classes, and reading it calls them. Here a few names make tensors, dictionaries
and sets; every other name means a `Thing`, an object that does nothing and holds what it was given.
So a checkpoint's optimiser, configuration or NumPy number is no obstacle, and a hostile one calls nothing.

Formats, as PyTorch's own `torch.serialization` and `torch.jit` write them: a zip with `data.pkl` and one entry for
each storage; before that, pickles in a row and then the storages.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

__all__ = ["Thing", "is_script", "load", "tensors_in"]

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""What the format before the zip begins with (`torch.serialization.MAGIC_NUMBER`)."""


class Mapping(dict):  # type: ignore[type-arg]
    """An OrderedDict, whose attributes (a state dict's `_metadata`) are left aside."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None: ...


class Thing:
    """An object of a class that is not looked up: what it was given as its state, and nothing else."""

    name: str = ""
    state: object = None

    def __new__(cls, *args: object, **named: object) -> Thing:
        return object.__new__(cls)

    def __init__(self, *args: object, **named: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        object.__setattr__(self, "state", state)

    def __setitem__(self, key: object, value: object) -> None: ...

    def append(self, value: object) -> None: ...

    def extend(self, values: object) -> None: ...


class Reader(pickle.Unpickler):
    """A pickle in which names mean tensors, dictionaries, or nothing.

    Args:
        file: the pickle.
        storage: (dtype, key, number of elements) -> a one-dimensional tensor.
    """

    def __init__(self, file: BinaryIO | io.BytesIO, storage: Callable[[torch.dtype, str, int], Tensor]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """Never imports: a member of the list below, or a fresh class of `Thing`."""
        if module.partition(".")[0] == "torch" and name in DTYPES:
            return DTYPES[name]
        known = {
            "builtins.set": set,
            "__builtin__.set": set,
            "collections.OrderedDict": Mapping,
            "torch._utils._rebuild_tensor": _tensor,
            "torch._utils._rebuild_tensor_v2": _tensor,
            "torch._utils._rebuild_parameter": _parameter,
            "torch._utils._rebuild_parameter_with_state": _parameter,
        }
        full = f"{module}.{name}"
        return known[full] if full in known else type("Thing", (Thing,), {"name": full})

    def persistent_load(self, pid: Any) -> object:
        """A storage; whatever else is kept beside a pickle (the source of a class) is left there."""
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], torch.dtype):
            return None
        whole = self._storage(pid[1], str(pid[2]), int(pid[4]))
        if len(pid) > 5 and pid[5] is not None:  # before the zip: (key, offset, size) of a part
            return whole[int(pid[5][1]) :][: int(pid[5][2])]
        return whole


def is_script(path: Path) -> bool:
    """Whether a zip is an archive of TorchScript, which holds code beside its tensors."""
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def load(path: Path) -> object:
    """What a file of PyTorch's holds, with tensors on the CPU.

    Raises:
        Exception: of any kind, where the file is damaged or of another format.
    """
    return _from_zip(path) if zipfile.is_zipfile(path) else _from_pickles(path)


def tensors_in(value: object) -> dict[str, Tensor]:
    """The parameters and buffers of a module that `load` gave, by their dotted names; of a dictionary, its tensors."""
    if isinstance(value, dict):
        return {str(key): tensor for key, tensor in value.items() if isinstance(tensor, Tensor)}
    return dict(_walk(value, ""))


def _walk(value: object, prefix: str) -> Iterator[tuple[str, Tensor]]:
    state = value.state if isinstance(value, Thing) else value
    if not isinstance(state, dict):
        return
    if "_modules" in state:  # a module of PyTorch's, pickled whole
        named: dict[str, object] = {}
        for kind in ("_parameters", "_buffers", "_modules"):
            named |= state.get(kind) or {}
        for name in state.get("_non_persistent_buffers_set") or ():
            named.pop(name, None)
    else:  # a module of TorchScript: attributes, of which its class says which are tensors of the model
        named = state
    for name, held in named.items():
        if isinstance(held, Tensor):
            yield f"{prefix}{name}", held
        elif isinstance(held, Thing):
            yield from _walk(held, f"{prefix}{name}.")


# ------------------------------------------------------------------------------------------- formats


def _from_zip(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        root = next(name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl"))
        if archive.getinfo(f"{root}data.pkl").compress_type != zipfile.ZIP_STORED:
            raise ValueError("it is compressed, which PyTorch's own files never are")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("numbers are big-endian")

        @cache
        def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
            if archive.getinfo(f"{root}data/{key}").file_size != count * dtype.itemsize:
                raise EOFError(f"tensor {key} is shorter than it says")
            data = bytearray(archive.read(f"{root}data/{key}"))
            return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)

        value = Reader(io.BytesIO(archive.read(f"{root}data.pkl")), storage).load()
        if f"{root}constants.pkl" in names:
            _keep_declared(value, archive, root)
    return value


def _keep_declared(value: object, archive: zipfile.ZipFile, root: str) -> None:
    """Drop attributes of TorchScript's modules that are tensors but neither parameters nor buffers, as masks are.

    The classes' text, which is not run, lists both: `__parameters__ = ["weight", ]`.
    """

    @cache
    def declared(name: str) -> set[str] | None:
        module, _, of = name.rpartition(".")
        try:
            source = archive.read(f"{root}code/{module.replace('.', '/')}.py").decode()
        except KeyError:
            return None
        body = re.search(rf"^class {re.escape(of)}\(Module\):\n((?:  .*\n?|\n)*)", source, re.MULTILINE)
        lists = re.findall(r"^  __(?:parameters|buffers)__ = \[(.*)\]$", body[1] if body else "", re.MULTILINE)
        return set(re.findall(r'"([^"]*)"', " ".join(lists))) if lists else None

    todo, seen = [value], set()
    while todo:
        thing = todo.pop()
        if not isinstance(thing, Thing) or not isinstance(thing.state, dict) or id(thing) in seen:
            continue
        seen.add(id(thing))
        names = declared(thing.name)
        for name, held in list(thing.state.items()):
            if isinstance(held, Tensor) and names is not None and name not in names:
                del thing.state[name]
        todo += thing.state.values()


def _from_pickles(path: Path) -> object:
    """The format before the zip: magic number, version, system, value, keys, then each storage with its length."""
    left = path.stat().st_size
    storages: dict[str, tuple[Tensor, torch.dtype]] = {}

    def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
        nonlocal left
        if key not in storages:
            left -= count * dtype.itemsize
            if count < 0 or left < 0:
                raise EOFError("the file is shorter than its tensors")
            storages[key] = torch.empty(count, dtype=dtype), dtype
        return storages[key][0]

    with path.open("rb") as file:
        if Reader(file, storage).load() != LEGACY_MAGIC:
            raise ValueError("no file of PyTorch's")
        for _ in range(2):  # version and system
            Reader(file, storage).load()
        value = Reader(file, storage).load()
        for key in Reader(file, storage).load():
            held, dtype = storages[str(key)]
            (count,) = struct.unpack("<q", file.read(8))
            data = bytearray(file.read(count * dtype.itemsize))
            if count != len(held) or len(data) != count * dtype.itemsize:
                raise EOFError("the file is shorter than its tensors")
            if count:
                held.copy_(torch.frombuffer(data, dtype=dtype))
    return value


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: object) -> Tensor:
    """A view of a storage; PyTorch refuses one that reaches beyond it."""
    return torch.as_strided(storage, size, stride, offset)


def _parameter(data: Tensor, *rest: object) -> Tensor:
    return data
