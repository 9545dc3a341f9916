"""Operators and functions of numbers on values, with bounds: no power, product or list that could grow without end."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from downslope.reading.arithmetic import LONGEST_INTEGER, MOST_ITEMS, bounded, is_number, operate, power
from downslope.reading.code.values import Groups, PerEpoch, Ref, Unknown, Value, is_known, words_of

UNKNOWN = Unknown()
"""What an operation gives that cannot be done."""

_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    **dict.fromkeys([ast.Eq, ast.Is], operator.eq),
    **dict.fromkeys([ast.NotEq, ast.IsNot], operator.ne),
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SMALLEST_BATCH = 8
_WHAT = r"(?:train(?:ing)?_?)?(?:data(?:set)?|ds|examples?|samples?|images?|imgs?|instances?|train(?:ing)?|set)"
_EXAMPLES = re.compile(
    rf"(?:n|num|number|nb|total|len)_?(?:of_)?{_WHAT}(?:_?(?:set|data|examples|samples|images))?(?:_per_epoch)?|"
    r"(?:train(?:ing)?_?)?(?:data(?:set)?|ds|train|trainset|samples|examples|images)_?(?:num|size|len|length|count|number)"
)
"""Names of the examples of an epoch."""
_FIRST = re.compile(r"(?:start|begin|resume|initial|init|first)_?epoch")
"""Names of the epoch that a run begins with: 0, unless it goes on with another."""
_STEPS = words_of("num_batches epoch_size n_batches epoch_iters niter_per_ep batch_num nbatch nbatches spe")
_OF_EPOCH = re.compile(
    r"(?:n|num|max|train)?_?n?(?:steps?|it|iters?|iterations|batch(?:es)?|updates?)_(?:per|in|an|each|every)_?(?:train_)?ep(?:ochs?)?|"
    r"epoch_(?:steps?|len|length|iterations|batches)"
)
"""Names of the steps of an epoch."""
_LOADER = ("loader", "iter", "dataloader", "train_ds", "batches", "train_dl", "train_data", "generator", "_gen")
_DATA = ("dataset", "x_train", "train_set", "trainset", "train_x", "data", "images", "labels", "examples", "y_train")
_WORLD = words_of(
    "world_size get_world_size num_gpus n_gpu ngpu device_count num_replicas num_workers_total num_devices gpu_num "
    "ngpus_per_node n_gpus local_device_count process_count gpus size"
)


def is_devices(data: Any) -> bool:
    """Return whether this stands for a number of devices or processes."""
    hint = data.hint if isinstance(data, Unknown) else data.path.rsplit(".", 1)[-1] if isinstance(data, Ref) else ""
    return hint.lower() in _WORLD


def hinted(name: str) -> Any:
    """Return what a name that is bound nowhere stands for: an epoch's steps or examples, or something unknown."""
    lowered = name.lower()
    if lowered in _STEPS or _OF_EPOCH.fullmatch(lowered):
        return PerEpoch(1)
    if _EXAMPLES.fullmatch(lowered):
        return PerEpoch(1, examples=True)
    return 0 if _FIRST.fullmatch(lowered) else Unknown(name)


def length(data: Any) -> Any:
    """Return the length of something."""
    if isinstance(data, str | list | tuple | dict):
        return len(data)
    hint = _hint(data).lower()
    if hint in {"ds", "train"}:
        return PerEpoch(1, examples=True)
    for part in (hint.rpartition(".")[2], hint):  # of a loader's own data set the examples count
        if any(word in part for word in _LOADER):
            return PerEpoch(1)
        if any(word in part for word in _DATA):
            return PerEpoch(1, examples=True)
    return Unknown("len")


def _hint(data: Any) -> str:
    if isinstance(data, Unknown):
        return data.hint
    return getattr(data, "bound", "") or getattr(data, "name", "") if not isinstance(data, Ref) else data.path


def binary(op: ast.operator, left: Any, right: Any, steps: int | None) -> Any:
    """Return `left op right`; with `steps` given, an epoch has so many.

    Example:
        >>> binary(ast.Mult(), 30, PerEpoch(1), None)
        PerEpoch(epochs=30, steps=0.0, examples=False)
        >>> binary(ast.Pow(), 10, 10**10, None)
        Unknown(hint='')
    """
    left, right = concrete(left, steps), concrete(right, steps)
    if isinstance(left, PerEpoch) or isinstance(right, PerEpoch):
        found = _per_epoch(op, left, right)
        fits = not isinstance(found, PerEpoch) or max(abs(found.epochs), abs(found.steps)) < LONGEST_INTEGER
        return concrete(found, steps) if fits else UNKNOWN
    if not (is_known(left) and is_known(right)):
        return _unknown(op, left, right)
    return _known(operate(op, left, right))


def _known(found: Any) -> Any:
    return UNKNOWN if found is None else found


def _unknown(op: ast.operator, left: Any, right: Any) -> Any:
    """Return the known side of a product or quotient with a number of devices, which counts as one."""
    if isinstance(op, ast.Mult | ast.Div | ast.FloorDiv) and is_devices(right) and is_number(left):
        return left
    if isinstance(op, ast.Mult) and is_devices(left) and is_number(right):
        return right
    return UNKNOWN


def concrete(data: Any, steps: int | None) -> Any:
    """Return a number of steps for an epoch of so many; anything else as it is."""
    if isinstance(data, PerEpoch) and steps is not None and not data.examples:
        found = data.epochs * steps + data.steps
        return int(found) if float(found).is_integer() else found
    return data


def _per_epoch(op: ast.operator, left: Any, right: Any) -> Any:
    one = left if isinstance(left, PerEpoch) else PerEpoch(0, left) if is_number(left) else None
    two = right if isinstance(right, PerEpoch) else PerEpoch(0, right) if is_number(right) else None
    divides = isinstance(op, ast.Div | ast.FloorDiv)
    examples = isinstance(left, PerEpoch) and left.examples
    if one is None or two is None:
        if is_devices(left) or is_devices(right):
            return one or two
        if examples and one is not None and isinstance(op, ast.Div | ast.FloorDiv | ast.Add | ast.Sub):
            return replace(one, steps=0.0, examples=not divides)  # (n + batch - 1) // batch
        return UNKNOWN
    examples = examples or two.examples
    if isinstance(op, ast.Add | ast.Sub):
        found = PerEpoch(operate(op, one.epochs, two.epochs), operate(op, one.steps, two.steps), examples)
        return found if found.epochs else found.steps
    if isinstance(op, ast.Mult) and not (one.epochs and two.epochs):
        many, times = (one, two.steps) if one.epochs else (two, one.steps)
        return PerEpoch(_whole(many.epochs * times), many.steps * times, examples)
    if divides and not two.epochs and two.steps:
        if two.steps >= _SMALLEST_BATCH and (examples or one == PerEpoch(1)):
            return PerEpoch(one.epochs)  # it was the number of examples, and this is a batch
        return PerEpoch(_whole(one.epochs / two.steps), one.steps / two.steps, examples)
    if divides and two.epochs and one.epochs and not (one.steps or two.steps) and one.examples == two.examples:
        return _whole(one.epochs / two.epochs)
    return UNKNOWN


def _whole(value: float) -> float:
    return int(value) if abs(value) < LONGEST_INTEGER and float(value).is_integer() else value


def compare(op: ast.cmpop, left: Value, right: Value, steps: int | None) -> Any:
    """Return whether a comparison holds, or that it is unknown; of a list with a number, 1 or 0 for each item."""
    if isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) and isinstance(left.data, list) != isinstance(
        right.data, list
    ):
        items = left.data if isinstance(left.data, list) else right.data
        pairs = [(item, right) if items is left.data else (left, item) for item in items]
        answers = [compare(op, *pair, steps) for pair in pairs]
        return [Value(int(one)) for one in answers] if all(isinstance(one, bool) for one in answers) else UNKNOWN
    one, two = concrete(left.data, steps), concrete(right.data, steps)
    if isinstance(op, ast.In | ast.NotIn):
        found = _contains(one, two, steps)
        return found if isinstance(found, Unknown) or isinstance(op, ast.In) else not found
    if not (is_known(one) and is_known(two)):
        if isinstance(op, ast.Is | ast.IsNot) and two is None and not isinstance(one, Unknown):
            return isinstance(op, ast.IsNot)  # an object is not None
        return UNKNOWN
    try:
        return bool(_COMPARE[type(op)](*(_bare(side) for side in (one, two))))
    except (TypeError, KeyError):
        return UNKNOWN


def _bare(data: Any) -> Any:
    if isinstance(data, list | tuple):
        return [_bare(item.data) for item in data[:MOST_ITEMS]]
    return data


def _contains(one: Any, many: Any, steps: int | None) -> bool | Unknown:
    if isinstance(many, str) and isinstance(one, str):
        return one in many
    if isinstance(many, dict) and isinstance(one, str | int | float):
        return one in many
    if isinstance(many, Groups) and isinstance(one, str):
        return one in {"lr", "initial_lr", "momentum", "weight_decay", "params"}
    if not (isinstance(many, list | tuple) and is_known(one)):
        return UNKNOWN
    items = [concrete(item.data, steps) for item in many[:MOST_ITEMS]]
    if any(is_known(item) and _bare(item) == _bare(one) for item in items):
        return True
    return False if all(is_known(item) for item in items) else UNKNOWN


NUMERIC: dict[str, Callable[..., Any]] = {
    **{name: getattr(math, name) for name in words_of("cos sin tanh exp sqrt log log2 log10 floor ceil fabs")},
    **dict.fromkeys(["pow", "power"], power),
    "abs": abs,
    "round": round,
    "minimum": min,
    "maximum": max,
    "add": operator.add,
    "subtract": operator.sub,
    **dict.fromkeys(["multiply", "scalar_mul"], operator.mul),
    "divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "clip": lambda x, low, high: min(max(x, low), high),
}
"""Functions of numbers alone: Python's, and those of math, NumPy, TensorFlow and JAX, by their last name."""

CASTS = words_of(
    "float32 float64 int32 int64 array asarray tensor Tensor as_tensor FloatTensor cast convert_to_tensor identity "
    "copy deepcopy "
    "Variable variable shared constant get_value no_op stop_gradient squeeze item astype to_float to_int32 DeviceArray"
)
"""Calls that return their first argument's number."""


def apply(function: Callable[..., Any], arguments: list[Any], steps: int | None) -> Any:
    """Return a function of numbers, or what is unknown."""
    given = [concrete(data, steps) for data in arguments]
    if not all(is_number(data) for data in given):
        return UNKNOWN
    return _known(bounded(function, *given))
