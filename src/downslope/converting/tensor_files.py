"""safetensors files: velocities and parameters by name, of any framework that can write arrays.

velocity.NAME    a velocity; or KEY.NAME, with the source's own word: momentum_buffer, trace, momentums, v, ...
param.NAME       a parameter
average.NAME     the average of one, as optimizers keep it with ema
step             steps taken, an integer
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from downslope.converting.snapshot import Snapshot, damaged, replace_file
from downslope.converting.which_optimizer import OTHER_WORDS, optax_optimizer, refusal, torch_optimizer
from downslope.core.bounds import read_whole
from downslope.core.errors import MissingDependencyError, StateError
from downslope.core.shown import shown
from downslope.core.strict_json import decode_json
from downslope.systems.convention import Convention
from downslope.systems.table import find_convention

if TYPE_CHECKING:
    import numpy as np

_FORMATS: Mapping[str, str] = MappingProxyType(
    {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "C64": "<c8"}
    | {f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)}
    | {"BOOL": "?"}
)
"""The format's words for what numbers are stored as, and NumPy's."""

_VELOCITY, _PARAM, _AVERAGE, _STEP = "velocity.", ("param.", "params."), "average.", ("step", "count")


def read_tensors(path: Path, convention: str) -> Snapshot:
    """Return what a safetensors file holds.

    Raises:
        StateError: If it is damaged, or its names do not say what is what.
    """
    row = find_convention(convention)
    tensors, metadata, notes = _load(path)
    said = metadata.get("convention")
    if said is not None and find_convention(said) is not row:
        raise StateError(
            f"{path}: it says itself that its velocities are {shown(said)}'s, not {row.name}'s. "
            f"Use --from {shown(said)}."
        )
    prefixes = (_VELOCITY, f"{row.state_key}.")
    velocity: dict[str, Any] = {}
    params: dict[str, Any] = {}
    average: dict[str, Any] = {}
    steps: set[int] = set()
    stray: list[str] = []
    for name in sorted(tensors):
        array = tensors[name]
        if name in _STEP and array.shape == () and array.dtype.kind in "iu":
            steps.add(int(array))
        elif prefix := next((p for p in prefixes if name.startswith(p)), None):
            _put(path, velocity, name.removeprefix(prefix), array, "velocity")
        elif prefix := next((p for p in _PARAM if name.startswith(p)), None):
            _put(path, params, name.removeprefix(prefix), array, "parameter")
        elif name.startswith(_AVERAGE):
            _put(path, average, name.removeprefix(_AVERAGE), array, "average")
        else:
            stray.append(name)
    if stray:
        raise StateError(_why_stray(path, stray, row))
    _take_up_late(path, metadata, velocity, row, has_averages=bool(average))
    if len(steps) > 1:
        raise StateError(f"{path}: says {' and '.join(map(str, sorted(steps)))} steps. Leave `step` or `count` out.")
    return Snapshot(
        what=f"{shown(path.name)} ({row.title})",
        convention=row.name,
        velocity=velocity,
        params=params,
        step=steps.pop() if steps else None,
        notes=notes,
        average=average,
    )


def _why_stray(path: Path, stray: list[str], row: Convention) -> str:
    """Return the message for names that begin with no word that is known here."""
    words = {word for name in stray for word in name.split(".")}
    if other := torch_optimizer(words, ()) or optax_optimizer(words):
        return refusal(shown(path), other, words & OTHER_WORDS)
    return (
        f"{shown(path)}: nothing says what {', '.join(f'`{shown(name)}`' for name in stray[:3])}"
        f"{' and others are' if len(stray) > 3 else ' is' if len(stray) == 1 else ' are'}. "
        f"Begin the names of velocities with {_VELOCITY} or {row.state_key}., and those of parameters with param."
    )


def _put(path: Path, held: dict[str, Any], name: str, array: Any, what: str) -> None:
    if name in held:
        raise StateError(f"{path}: has two entries for the {what} of `{shown(name)}`. Leave one out.")
    held[name] = array


def write_tensors(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot as a safetensors file."""
    import numpy as np

    tensors: dict[str, np.ndarray[Any, Any]] = {
        f"{_VELOCITY}{name}": np.ascontiguousarray(array).reshape(array.shape)
        for name, array in snapshot.velocity.items()
        if array is not None
    }
    for prefix, arrays in ((_PARAM[0], snapshot.params), (_AVERAGE, snapshot.average)):
        tensors |= {prefix + n: np.ascontiguousarray(a).reshape(a.shape) for n, a in arrays.items()}
    if snapshot.step is not None:
        tensors["step"] = np.array(snapshot.step, np.int64)
    late = [name for name, array in snapshot.velocity.items() if array is None]
    metadata = {"convention": snapshot.convention} | ({"no_gradient_yet": json.dumps(late)} if late else {})
    _safetensors()
    replace_file(path, importlib.import_module("safetensors.numpy").save(tensors, metadata))


def _take_up_late(
    path: Path, metadata: Mapping[str, str], velocity: dict[str, Any], row: Convention, *, has_averages: bool
) -> None:
    """Add the parameters that have had no gradient; without momentum these and averages may be all there is."""
    late = decode_json(metadata.get("no_gradient_yet", "[]"), list[str], f"{path}, no_gradient_yet", StateError)
    if not velocity and not (has_averages and late):
        raise StateError(f"{path}: holds no velocity. Its names begin with {_VELOCITY} or {row.state_key}.")
    for name in late:
        _put(path, velocity, name, None, "velocity")


def _load(path: Path) -> tuple[dict[str, Any], Mapping[str, str], tuple[str, ...]]:
    """Return the arrays of a file, its metadata, and what a person should know."""
    library, broken = _safetensors()
    data = read_whole(path, StateError)
    try:
        parts = library.deserialize(data)  # which checks the layout; bfloat16, which NumPy has not, is left to us
        length = int.from_bytes(data[:8], "little")
        metadata = decode_json(data[8 : 8 + length], dict[str, Any], path, StateError).get("__metadata__") or {}
        tensors = {name: _array(path, name, part) for name, part in parts}
    except (broken, ValueError, KeyError, TypeError, OverflowError) as error:
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
            f"{path}: `{shown(name)}` is {part['dtype']}, which cannot be read here. Save it as float32 (F32); "
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
