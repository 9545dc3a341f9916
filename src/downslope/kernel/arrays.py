"""NumPy arrays for the compiled step: which it takes, what is done about the others, and memory that overlaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from downslope.core.blocks import decode, encode
from downslope.core.shown import shown
from downslope.core.tensor_factors import unit_norms
from downslope.kernel import use_threads
from downslope.kernel.coefficients import FORMATS, six_coefficients

if TYPE_CHECKING:
    from downslope.core.rule import StepScalars
    from downslope.core.settings import Settings

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]

CODES: dict[np.dtype[Any], int] = {np.dtype(name): code for name, code in FORMATS.items() if name != "bfloat16"}
"""Code of each format by dtype. NumPy itself has no bfloat16: the first one met is added by `is_bfloat16`."""

FLOAT32_MAX = float(np.finfo(np.float32).max)


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype is the bfloat16 of `ml_dtypes`, as JAX and TensorFlow use it; it need not be imported."""
    found = dtype.name == "bfloat16" and dtype.type.__module__.partition(".")[0] == "ml_dtypes"
    if found and dtype.isnative:
        CODES[dtype] = FORMATS["bfloat16"]
    return found


def check_objects(array: Array) -> None:
    """Raise TypeError if one of an array's objects is None, of which NumPy makes a NaN, or text, of which a number."""
    none = [item for item in array.flat if item is None or isinstance(item, str | bytes)]
    if none:
        raise TypeError(f"one of its elements is {shown(repr(none[0]))}.")


class Averages(NamedTuple):
    """Averages of parameters that a step moves with them, by name, and the weight of each new parameter in its own."""

    arrays: dict[str, Array]
    weights: dict[str, float]


NO_AVERAGES = Averages({}, {})


def collect(
    native: Any, grads: Any, params: Any, velocity: Any, fresh: Arrays, settings: Any, averages: Averages = NO_AVERAGES
) -> Any:
    """Return the compiled step of these arrays by name, which knows what it cannot take; nothing has moved yet.

    `fresh`: zeros as velocities of parameters that have had no gradient yet.
    """
    given = [each if type(each) is dict else dict(each) for each in (grads, params, velocity, fresh, settings)]
    return native.ArrayStep(*given, np.ndarray, CODES, *averages)


@dataclass(frozen=True)
class Prepared:
    """The arrays of one step, made ready.

    Attributes:
        by_kernel: The compiled step, or None where everything is for the rule.
        by_rule: Names of the parameters that are left to the rule, in order.
        grads: All gradients by name, copied or converted where that was needed.
        fresh: New velocities by name, for the kernel's parameters at their first gradient.
        obstacle: Why a parameter is left to the rule, or "" if none is.
    """

    by_kernel: Any
    by_rule: list[str]
    grads: dict[str, Array]
    fresh: dict[str, Array]
    obstacle: str


def prepare(
    native: Any,
    grads: Arrays,
    params: Arrays,
    velocity: Arrays,
    settings: Mapping[str, Settings],
    averages: Averages = NO_AVERAGES,
) -> Prepared:
    """Return the arrays of one step, as many as possible in a form that the kernel takes.

    A gradient is only read, so it may be copied into another format, layout or memory; parameters never are.
    """
    if native is None:
        copied = (
            _copies(grads)
            if find_overlaps(_written(grads, params, velocity, averages), grads.values())[0]
            else dict(grads)
        )
        return Prepared(None, list(grads), copied, {}, "there is no compiled kernel here")
    step = collect(native, grads, params, velocity, {}, settings, averages)
    fresh = {name: np.zeros_like(params[name]) for name in step.missing}
    grads = {**grads, **{name: _fitted(grads[name], params[name]) for name in step.unfit}}
    step = collect(native, grads, params, velocity, fresh, settings, averages)
    reads_what_it_writes, writes_twice = step.reads_what_it_writes, step.writes_twice
    if step.rest or step.unfit:  # which it did not look at
        reads_what_it_writes, writes_twice = find_overlaps(_written(grads, params, velocity, averages), grads.values())
    if reads_what_it_writes:
        grads = _copies(grads)
        step = collect(native, grads, params, velocity, fresh, settings, averages)
    if writes_twice:  # then their order counts
        return Prepared(None, list(grads), grads, {}, "it, or another one, shares memory with a parameter or velocity")
    outside = [name for name in grads if name in {*step.rest, *step.unfit}]
    obstacle = _obstacle(native, outside[0], grads, params, velocity, settings) if outside else ""
    return Prepared(step, outside, grads, fresh, obstacle)


CodedRow = tuple[Array, Array, Array, Array, "Array | None", float, int]
"""(param, grad of its format, codes, scales, average if it moves with them, weight of the parameter in it, kind)."""


def step_codes(native: Any, rows: list[CodedRow], numbers: list[float]) -> list[CodedRow]:
    """Step arrays whose velocity is codes, by the kernel where it can, and return those that it cannot take.

    Args:
        native: The compiled module, or None.
        rows: None of them sharing memory with another.
        numbers: Six coefficients for each kind.
    """
    if native is None:
        return rows
    known = [(*row[:6], CODES[row[0].dtype], row[6]) for row in rows if type(row[0]) is np.ndarray]
    left = [row for row in rows if type(row[0]) is not np.ndarray]
    plain = [row for row in rows if type(row[0]) is np.ndarray]
    return left + [plain[place] for place in native.step_codes(known, numbers)]


def step_codes_in_numpy(row: CodedRow, numbers: list[float]) -> None:
    """Step one row of `step_codes` by the operations of csrc/kernels.cpp in their order: the same bits.

    Its average is left as it is.
    """
    param, grad, codes, scales, *_, kind = row
    six = numbers[6 * kind : 6 * kind + 6]
    delta_param, delta_grad, delta_velocity, from_param, from_grad, from_velocity = map(np.float32, six)
    wide, grad, velocity = param.astype(np.float32), grad.astype(np.float32), decode(codes, scales)
    with np.errstate(all="ignore"):
        delta, after = delta_grad * grad, from_grad * grad
        if six[0] or six[3]:
            delta, after = delta_param * wide + delta, from_param * wide + after
        delta = delta + delta_velocity * velocity
        codes[...], scales[...] = encode(after + from_velocity * velocity)
        param[...] = (wide + delta).astype(param.dtype)


def unit_norms_of(native: Any, array: Array) -> Array:
    """Return the norm of each slice along the first axis, in float64: by the kernel where it can read the array.

    Its sums add up in one order, whichever optimizer asks for them.
    """
    if native is not None and type(array) is np.ndarray and array.dtype in CODES and array.size:
        norms = np.empty(len(array), np.float64)
        use_threads()
        if native.unit_norms_of_array(array, CODES[array.dtype], norms):
            return norms
    return unit_norms(array)


def coefficients(scalars: StepScalars) -> list[float]:
    """Return the six coefficients of one step, as the compiled step wants them."""
    return list(six_coefficients(scalars))


def leave_float32(numbers: Iterable[float]) -> bool:
    """Return whether a coefficient is too large for float32, which might hold the factors it is made of."""
    return any(not abs(number) <= FLOAT32_MAX for number in numbers)


def find_overlaps(written: Iterable[Array], read: Iterable[Array]) -> tuple[bool, bool]:
    """Return whether a read array shares memory with a written one, and whether two written ones do.

    Memory between the first and the last element counts as the array's, gaps included. The compiled step has the same.
    """
    written, read = list(written), list(read)
    if all(array.flags.owndata for array in (*written, *read)):  # what two arrays own is never the same
        known = set(map(id, written))
        return any(id(array) in known for array in read), len(known) < len(written)
    blocks = [(*_block(array), is_written) for is_written, part in ((True, written), (False, read)) for array in part]
    read_until = written_until = 0
    reads_what_it_writes = writes_twice = False
    for begin, end, is_written in sorted(block for block in blocks if block[0] < block[1]):
        if begin < written_until:
            writes_twice |= is_written
            reads_what_it_writes |= not is_written
        if is_written:
            reads_what_it_writes |= begin < read_until
            written_until = max(written_until, end)
        else:
            read_until = max(read_until, end)
    return reads_what_it_writes, writes_twice


def overlaps_itself(array: Array) -> bool:
    """Return whether two elements of an array lie in the same memory, as a view with steps of its own can have them.

    Example:
        >>> windows = np.lib.stride_tricks.sliding_window_view(np.ones(5), 2)
        >>> overlaps_itself(windows), overlaps_itself(np.ones((4, 6))[::2, ::-3].T)
        (True, False)
    """
    if array.flags.forc or array.flags.owndata or array.size < 2:
        return False
    axes = sorted(
        (abs(stride), extent) for extent, stride in zip(array.shape, array.strides, strict=True) if extent > 1
    )
    if array.size * array.itemsize > array.itemsize + sum((extent - 1) * stride for stride, extent in axes):
        return True  # more elements than their memory holds; so what is laid out below is no larger than that
    reached = array.itemsize
    for stride, extent in axes:
        if stride < reached:
            break
        reached += (extent - 1) * stride
    else:  # each axis steps over all that the finer ones reach
        return False
    offsets = np.zeros((), np.intp)
    for stride, extent in axes:
        offsets = np.add.outer(offsets, np.arange(extent, dtype=np.intp) * stride)
    found = np.sort(offsets, axis=None)
    return bool((np.diff(found) < array.itemsize).any())


def _block(array: Array) -> tuple[int, int]:
    """Return the first address of an array's memory and the one after the last."""
    if not array.size:
        return 0, 0
    begin = end = array.__array_interface__["data"][0]
    for extent, stride in zip(array.shape, array.strides, strict=True):
        begin += min(0, (extent - 1) * stride)
        end += max(0, (extent - 1) * stride)
    return begin, end + array.itemsize


def _fitted(grad: Array, param: Array) -> Array:
    """Return a gradient in its parameter's format and layout; as it is where the format would lose digits of it."""
    if grad.dtype != param.dtype and param.dtype.itemsize < 4:  # half precision: the rule reads it in float32
        return grad
    fitted = np.empty_like(param)
    fitted[...] = grad
    return fitted


def _written(grads: Arrays, params: Arrays, velocity: Arrays, averages: Averages) -> list[Array]:
    return [
        array
        for name in grads
        for array in (params[name], velocity.get(name), averages.arrays.get(name))
        if array is not None
    ]


def _copies(grads: Arrays) -> dict[str, Array]:
    """Return gradients that stay what they were when the step began, whatever it writes."""
    return {name: np.array(grad, order="K") for name, grad in grads.items()}


def _obstacle(
    native: Any, name: str, grads: Arrays, params: Arrays, velocity: Arrays, settings: Mapping[str, Settings]
) -> str:
    """Return what keeps the kernel from a parameter: its gradient, its velocity or itself."""
    alone = collect(native, {name: grads[name]}, params, {}, {}, settings)
    if alone.unfit:
        return f"its gradient is {_form(grads[name])}, whose digits {params[name].dtype.name} might not hold"
    return f"its velocity is {_form(velocity[name])}" if alone.missing else f"it is {_form(params[name])}"


def _form(param: Array) -> str:
    kind = "an array" if type(param) is np.ndarray else f"a {type(param).__name__}"
    order = "" if param.dtype.isnative else " in another byte order"
    aligned = "" if param.flags.aligned else ", not aligned"
    return f"{kind} of {param.dtype.name}{order}, shape {param.shape}, strides {param.strides}{aligned}"
