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
from typing import TYPE_CHECKING, Any

from downslope.core.errors import MissingDependencyError, StateError
from downslope.exchange.conventions import find_convention
from downslope.exchange.snapshot import Snapshot, damaged, replace_file

if TYPE_CHECKING:
    import numpy as np

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
    tensors, metadata = _load(path)
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
    library, _ = _safetensors()
    replace_file(path, library.save(tensors, metadata))


def _late(path: Path, metadata: Mapping[str, str]) -> list[str]:
    """Return the names of the parameters that have had no gradient."""
    try:
        names = json.loads(metadata.get("no_gradient_yet", "[]"))
    except ValueError as error:
        raise damaged(path, error) from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise damaged(path, "no_gradient_yet is no list of names")
    return names


def _load(path: Path) -> tuple[dict[str, Any], Mapping[str, str]]:
    data = path.read_bytes()
    library, broken = _safetensors()
    try:
        tensors = library.load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except (broken, ValueError, KeyError, TypeError) as error:
        if "bfloat16" in str(error) or "BF16" in str(error):
            raise StateError(f"{path}: holds bfloat16, which NumPy has not. Save it as float32.") from None
        raise damaged(path, error) from None
    return tensors, metadata


def _safetensors() -> tuple[Any, type[Exception]]:
    """Return the NumPy side of safetensors, and the error that it raises."""
    try:
        return importlib.import_module("safetensors.numpy"), importlib.import_module("safetensors").SafetensorError
    except ModuleNotFoundError:
        raise MissingDependencyError('this needs safetensors. Run: pip install "downslope[torch]"') from None
