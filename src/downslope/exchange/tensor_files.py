"""safetensors files: velocities and parameters by name, of any framework that can write arrays.

What lives here: reading and writing them. What does not: the formats of one framework (`keras_files.py`; PyTorch's need
PyTorch, and are read by the command line).

    velocity.NAME    a velocity; or KEY.NAME, with the source's own word: momentum_buffer, trace, momentums, v, ...
    param.NAME       a parameter
    step             steps taken, an integer
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from downslope.core.errors import MissingDependencyError, StateError
from downslope.exchange.conventions import find_convention
from downslope.exchange.snapshot import Snapshot, damaged, replace_file

if TYPE_CHECKING:
    import numpy as np

_FORMATS: Mapping[str, str] = MappingProxyType(
    {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "C64": "<c8"}
    | {f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)}
    | {"BOOL": "?"}
)
"""The format's words for what numbers are stored as, and NumPy's."""

_VELOCITY, _PARAM, _STEP = "velocity.", ("param.", "params."), ("step", "count")


def read_tensors(path: Path, convention: str) -> Snapshot:
    """Return what a safetensors file holds.

    Args:
        path: The file.
        convention: Whose velocities they are.

    Raises:
        StateError: If it is damaged, or its names do not say what is what.
    """
    row = find_convention(convention)
    tensors, metadata, notes = _load(path)
    said = metadata.get("convention")
    if said is not None and find_convention(said) is not row:
        raise StateError(
            f"{path}: it says itself that its velocities are {said}'s, not {row.name}'s. Use --from {said}."
        )
    prefixes = (_VELOCITY, f"{row.state_key}.")
    velocity: dict[str, Any] = {}
    params: dict[str, Any] = {}
    step: int | None = None
    stray: list[str] = []
    for name in sorted(tensors):
        array = tensors[name]
        if name in _STEP and array.shape == () and array.dtype.kind in "iu":
            step = int(array)
        elif prefix := next((p for p in prefixes if name.startswith(p)), None):
            velocity[name.removeprefix(prefix)] = array
        elif prefix := next((p for p in _PARAM if name.startswith(p)), None):
            params[name.removeprefix(prefix)] = array
        else:
            stray.append(name)
    if stray:
        raise StateError(
            f"{path}: nothing says what {', '.join(f'`{name}`' for name in stray[:3])}"
            f"{' and others are' if len(stray) > 3 else ' is' if len(stray) == 1 else ' are'}. "
            f"Begin the names of velocities with {_VELOCITY} or {row.state_key}., and those of parameters with param."
        )
    if not velocity:
        raise StateError(f"{path}: holds no velocity. Its names begin with {_VELOCITY} or {row.state_key}.")
    return Snapshot(
        what=f"{path.name} ({row.title})",
        convention=row.name,
        velocity=velocity | dict.fromkeys(_late(path, metadata)),
        params=params,
        step=step,
        notes=notes,
    )


def write_tensors(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot as a safetensors file.

    Args:
        path: The file; its folder must exist.
        snapshot: What to write.
    """
    import numpy as np

    tensors: dict[str, np.ndarray[Any, Any]] = {
        f"{_VELOCITY}{name}": np.ascontiguousarray(array).reshape(array.shape)
        for name, array in snapshot.velocity.items()
        if array is not None
    }
    tensors |= {f"param.{n}": np.ascontiguousarray(a).reshape(a.shape) for n, a in snapshot.params.items()}
    if snapshot.step is not None:
        tensors["step"] = np.array(snapshot.step, np.int64)
    late = [name for name, array in snapshot.velocity.items() if array is None]
    metadata = {"convention": snapshot.convention} | ({"no_gradient_yet": json.dumps(late)} if late else {})
    _safetensors()
    replace_file(path, importlib.import_module("safetensors.numpy").save(tensors, metadata))


def _late(path: Path, metadata: Mapping[str, str]) -> list[str]:
    """Return the names of the parameters that have had no gradient."""
    try:
        names = json.loads(metadata.get("no_gradient_yet", "[]"))
    except ValueError as error:
        raise damaged(path, error) from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise damaged(path, "no_gradient_yet is no list of names")
    return names


def _load(path: Path) -> tuple[dict[str, Any], Mapping[str, str], tuple[str, ...]]:
    """Return the arrays of a file, its metadata, and what a person should know."""
    data = path.read_bytes()
    library, broken = _safetensors()
    try:
        parts = library.deserialize(data)  # which checks the layout; bfloat16, which NumPy has not, is left to us
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
        tensors = {name: _array(path, name, part) for name, part in parts}
    except (broken, ValueError, KeyError, TypeError) as error:
        if isinstance(error, StateError):
            raise
        raise damaged(path, error) from None
    narrow = any(part["dtype"] == "BF16" for _, part in parts)
    return tensors, metadata, ("bfloat16 became float32, which holds the same numbers",) if narrow else ()


def _array(path: Path, name: str, part: Mapping[str, Any]) -> Any:
    """Return a tensor of a file; bfloat16, the upper half of a float32, as float32."""
    import numpy as np

    dtype = _FORMATS.get(part["dtype"])
    if dtype is None:
        raise StateError(
            f"{path}: `{name}` is {part['dtype']}, which cannot be read here. Save it as float32 (F32); "
            f"read are {', '.join(_FORMATS)}."
        )
    array = np.frombuffer(part["data"], dtype)
    if part["dtype"] == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.reshape(part["shape"])


def _safetensors() -> tuple[Any, type[Exception]]:
    """Return safetensors, and the error that it raises."""
    try:
        library = importlib.import_module("safetensors")
    except ModuleNotFoundError:
        raise MissingDependencyError('this needs safetensors. Run: pip install "downslope[torch]"') from None
    return library, library.SafetensorError
