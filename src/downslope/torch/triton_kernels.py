"""The step on a device as Triton kernels: one launch for all tensors of one format, by a table of their addresses.

The same arithmetic as csrc/kernels.cpp, formats.h, rounding.h and blocks.h, operation by operation, so that a device
gives the processor's bits: every kernel here is launched by `launch`, which forbids contraction to fused multiply-add.
Imported where a step is on a device and Triton is there, and not before.
"""

# pyright: reportPossiblyUnboundVariable=false, reportAssignmentType=false, reportGeneralTypeIssues=false
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from downslope.core.blocks import BLOCK, LARGEST, NOT_FINITE, UNIT
from downslope.kernel.coefficients import FORMATS, NO_VELOCITY, ROUNDINGS

FLOAT32, BFLOAT16 = tl.constexpr(FORMATS["float32"]), tl.constexpr(FORMATS["bfloat16"])
FLOAT16, FLOAT64 = tl.constexpr(FORMATS["float16"]), tl.constexpr(FORMATS["float64"])
ABSENT, CODED = tl.constexpr(NO_VELOCITY), tl.constexpr(NO_VELOCITY + 1)
STOCHASTIC, COMPENSATED = tl.constexpr(ROUNDINGS["stochastic"]), tl.constexpr(ROUNDINGS["compensated"])
_BLOCK, _LARGEST = tl.constexpr(BLOCK), tl.constexpr(float(LARGEST))
_NOT_FINITE, _UNIT = tl.constexpr(NOT_FINITE), tl.constexpr(UNIT)

CHUNK = 1024
"""Elements that one program steps: a multiple of a block of codes."""
ABOUT_TENSOR = (
    *("param", "velocity", "compensation", "scales", "count", "row", "position", "first"),
    *("average", "weight"),
)
"""A row of the table of tensors, int64: four addresses, the number of elements, which coefficients, for random numbers
the tensor's index and that of its first element; the address of the average, and the bits of its weight in float64."""
_COLUMNS = tl.constexpr(len(ABOUT_TENSOR))


def launch(kernel: Any, programs: int, *arguments: Any, **constants: Any) -> None:
    """Start a kernel, whose products and sums are each rounded by themselves."""
    kernel[(programs,)](*arguments, **constants, num_warps=4, enable_fp_fusion=False)


@triton.jit
def step_chunks(
    chunks, tensors, grads, coefficients, key, stop,
    PARAM: tl.constexpr, VELOCITY: tl.constexpr, ROUNDING: tl.constexpr, IS_AVERAGED: tl.constexpr,
    IS_ALIGNED: tl.constexpr, MAY_STOP: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Step one chunk of one tensor in each program.

    `chunks`: for each program the tensor and which of its chunks, int32. `tensors`: `ABOUT_TENSOR`. `grads`: addresses,
    int64. `coefficients`: six for each row, float64. `key`: that of the step's random numbers, int64. `stop`: float32,
    above 0 where nothing is to move.
    """
    if MAY_STOP:
        if tl.load(stop) > 0:
            return
    program = tl.program_id(0)
    tensor = tl.load(chunks + 2 * program)
    start = tl.load(chunks + 2 * program + 1).to(tl.int64) * CHUNK
    about = tensors + tensor.to(tl.int64) * _COLUMNS
    grad = tl.load(grads + tensor)
    rest = tl.load(about + 4) - start
    # a whole chunk needs no mask, and only without one are 16 bytes read at a time
    if rest >= CHUNK:
        _step_chunk(
            about, grad, coefficients, key, start, rest,
            PARAM, VELOCITY, ROUNDING, IS_AVERAGED, IS_ALIGNED, True, CHUNK,
        )  # fmt: skip
    else:
        _step_chunk(
            about, grad, coefficients, key, start, rest,
            PARAM, VELOCITY, ROUNDING, IS_AVERAGED, IS_ALIGNED, False, CHUNK,
        )  # fmt: skip


@triton.jit
def _step_chunk(
    about, grad_address, coefficients, key, start, rest,
    PARAM: tl.constexpr, VELOCITY: tl.constexpr, ROUNDING: tl.constexpr, IS_AVERAGED: tl.constexpr,
    IS_ALIGNED: tl.constexpr, IS_WHOLE: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    COMPUTE: tl.constexpr = tl.float64 if PARAM == FLOAT64 else tl.float32
    if VELOCITY == CODED:  # a block of codes is a row
        at = tl.arange(0, CHUNK // _BLOCK)[:, None] * _BLOCK + tl.arange(0, _BLOCK)[None, :]
    else:
        at = tl.arange(0, CHUNK)
    inside = at < rest
    params = _elements(tl.load(about), start, PARAM, IS_ALIGNED)
    grads = _elements(grad_address, start, PARAM, IS_ALIGNED)
    param = _widen(_load(params, at, inside, IS_WHOLE), PARAM)
    grad = _widen(_load(grads, at, inside, IS_WHOLE), PARAM)

    row = coefficients + tl.load(about + 5) * 6
    delta_param, velocity_param = tl.load(row), tl.load(row + 3)
    # where nothing decays the terms of param are left out: 0 times a parameter of infinity would be NaN
    decays = (delta_param != 0) | (velocity_param != 0)
    delta = tl.load(row + 1).to(COMPUTE) * grad
    delta = tl.where(decays, delta_param.to(COMPUTE) * param + delta, delta)
    if VELOCITY != ABSENT:
        address = tl.load(about + 1)
        if VELOCITY == CODED:
            velocities = _elements(address, start, CODED, IS_ALIGNED)
            blocks = tl.arange(0, CHUNK // _BLOCK)
            scales = _elements(tl.load(about + 3), start // _BLOCK, FLOAT32, False)
            scale = _load(scales, blocks, blocks * _BLOCK < rest, IS_WHOLE)
            velocity = _decode(_load(velocities, at, inside, IS_WHOLE), scale[:, None])
        else:
            velocities = _elements(address, start, VELOCITY, IS_ALIGNED)
            velocity = _widen(_load(velocities, at, inside, IS_WHOLE), VELOCITY).to(COMPUTE)
        delta = delta + tl.load(row + 2).to(COMPUTE) * velocity
        after = tl.load(row + 4).to(COMPUTE) * grad
        after = tl.where(decays, velocity_param.to(COMPUTE) * param + after, after)
        after = after + tl.load(row + 5).to(COMPUTE) * velocity
        if VELOCITY == CODED:
            codes, scale = _encode(after, inside)
            _store(velocities, at, codes, inside, IS_WHOLE)
            _store(scales, blocks, scale, blocks * _BLOCK < rest, IS_WHOLE)
        else:
            _store(velocities, at, _narrow(after, VELOCITY, PARAM == FLOAT64), inside, IS_WHOLE)

    if ROUNDING == COMPENSATED:
        # what rounding dropped so far is added before rounding, and what it drops now is kept (Kahan 1965); beside an
        # infinity nothing is, since infinity less what was dropped on the way there would be NaN
        compensations = _elements(tl.load(about + 2), start, BFLOAT16, IS_ALIGNED)
        wanted = delta + _widen(_load(compensations, at, inside, IS_WHOLE), BFLOAT16)
        moved = _narrow(param + wanted, BFLOAT16, False)
        dropped = _narrow(wanted - (_widen(moved, BFLOAT16) - param), BFLOAT16, False)
        is_finite = (moved & 0x7F80) != 0x7F80
        _store(compensations, at, tl.where(is_finite, dropped, 0).to(tl.uint16), inside, IS_WHOLE)
    elif ROUNDING == STOCHASTIC:
        own_key = _random_bits(tl.load(key).to(tl.uint32), tl.load(about + 6).to(tl.uint32))
        element = (tl.load(about + 7) + start).to(tl.uint32) + at.to(tl.uint32)
        moved = _narrow_stochastically(param + delta, _random_bits(own_key, element))
    else:
        moved = _narrow(param + delta, PARAM, PARAM == FLOAT64)
    _store(params, at, moved, inside, IS_WHOLE)
    if IS_AVERAGED:
        _average(about, start, at, _widen(moved, PARAM), inside, PARAM == FLOAT64, IS_ALIGNED, IS_WHOLE)


@triton.jit
def _average(
    about, start, at, param, inside, IS_DOUBLE: tl.constexpr, IS_ALIGNED: tl.constexpr, IS_WHOLE: tl.constexpr
):
    averages = _elements(tl.load(about + 8), start, FLOAT64 if IS_DOUBLE else FLOAT32, IS_ALIGNED)
    average = _load(averages, at, inside, IS_WHOLE)
    weight = tl.load(about + 9).to(tl.float64, bitcast=True).to(tl.float64 if IS_DOUBLE else tl.float32)
    _store(averages, at, average + weight * (param - average), inside, IS_WHOLE)


# Memory: 16-bit formats are read and written as the integers that they lie as


@triton.jit
def _elements(address, start, FORMAT: tl.constexpr, IS_ALIGNED: tl.constexpr):
    """Return a pointer to an element of a tensor, by the tensor's address."""
    if IS_ALIGNED:
        address = tl.multiple_of(address, 16)
    if FORMAT == FLOAT64:
        pointer = address.to(tl.pointer_type(tl.float64)) + start
    elif FORMAT == FLOAT32:
        pointer = address.to(tl.pointer_type(tl.float32)) + start
    elif FORMAT == CODED:
        pointer = address.to(tl.pointer_type(tl.int8)) + start
    else:
        pointer = address.to(tl.pointer_type(tl.uint16)) + start
    if IS_ALIGNED:
        pointer = tl.multiple_of(pointer, 16)
    return pointer


@triton.jit
def _load(pointer, at, inside, IS_WHOLE: tl.constexpr):
    if IS_WHOLE:
        return tl.load(pointer + at)
    else:
        return tl.load(pointer + at, mask=inside, other=0)


@triton.jit
def _store(pointer, at, values, inside, IS_WHOLE: tl.constexpr):
    if IS_WHOLE:
        tl.store(pointer + at, values)
    else:
        tl.store(pointer + at, values, mask=inside)


# Formats, as csrc/formats.h has them: integers and sums, which every device rounds alike


@triton.jit
def _float32(bits):
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def _bits(x):
    return x.to(tl.uint32, bitcast=True)


@triton.jit
def _widen(x, FORMAT: tl.constexpr):
    if FORMAT == BFLOAT16:
        return _float32(x.to(tl.uint32) << 16)
    elif FORMAT == FLOAT16:
        magnitude = x.to(tl.uint32) & 0x7FFF
        subnormal = magnitude.to(tl.int32).to(tl.float32) * 5.9604644775390625e-08  # 2**-24
        normal = (magnitude << 13) + 0x38000000
        special = (magnitude << 13) | 0x7F800000
        large = tl.where(magnitude >= 0x7C00, special, normal)
        sign = (x.to(tl.uint32) & 0x8000) << 16
        return _float32(tl.where(magnitude < 0x400, _bits(subnormal), large) | sign)
    else:
        return x


@triton.jit
def _narrow(x, FORMAT: tl.constexpr, IS_DOUBLE: tl.constexpr):
    """Round to nearest, ties to even; of a 16-bit format, its bits."""
    if FORMAT == FLOAT64:
        return x.to(tl.float64)
    elif FORMAT == FLOAT32:
        return x.to(tl.float32)
    else:
        if IS_DOUBLE:
            x = _to_odd(x)
        bits = _bits(x)
        magnitude = bits & 0x7FFFFFFF
        if FORMAT == BFLOAT16:
            rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
            return tl.where(magnitude > 0x7F800000, (bits >> 16) | 0x40, rounded).to(tl.uint16)
        else:
            exponent = magnitude & 0x7F800000
            base = tl.where(exponent < 0x38800000, 0x38800000, exponent) + 0x06800000
            overflows = magnitude >= 0x477FF000
            power = tl.where(overflows, 0x38800000, base).to(tl.uint32)
            summed = _float32(tl.where(overflows, 0, magnitude).to(tl.uint32)) + _float32(power)
            biased = tl.where(exponent < 0x38800000, 0, (exponent - 0x38800000) >> 13).to(tl.uint32)
            finite = biased + (_bits(summed) - power)
            special = tl.where(magnitude > 0x7F800000, 0x7E00, 0x7C00).to(tl.uint32)
            return (tl.where(overflows, special, finite) | ((bits >> 16) & 0x8000)).to(tl.uint16)


@triton.jit
def _to_odd(x):
    nearest = x.to(tl.float32)
    bits = _bits(nearest)
    back = tl.abs(nearest.to(tl.float64))
    odd = tl.where(tl.abs(x) > back, bits + 1, bits - 1)
    return _float32(tl.where((tl.abs(x) != back) & ((bits & 1) == 0), odd, bits))


# Rounding, as csrc/rounding.h has it


@triton.jit
def _random_bits(key, element):
    x = element * 0x9E3779B9 + key
    x = (x ^ (x >> 16)) * 0x85EBCA6B
    x = (x ^ (x >> 13)) * 0xC2B2AE35
    x = (x ^ (x >> 16)) + key
    x = (x ^ (x >> 16)) * 0x85EBCA6B
    x = (x ^ (x >> 13)) * 0xC2B2AE35
    return x ^ (x >> 16)


@triton.jit
def _narrow_stochastically(x, random):
    bits = _bits(x)
    is_finite = (bits & 0x7F800000) != 0x7F800000
    return tl.where(is_finite, (bits + (random & 0xFFFF)) >> 16, _narrow(x, BFLOAT16, False)).to(tl.uint16)


# Velocities of 8 bits, as csrc/blocks.h has them


@triton.jit
def _decode(codes, scale):
    root = codes.to(tl.float32)
    value = root * tl.abs(root) * _UNIT * tl.abs(scale)
    is_special = (codes == _NOT_FINITE) & ((_bits(scale) >> 31) != 0)
    return tl.where(is_special, _float32(tl.full(value.shape, 0x7FC00000, tl.uint32)), value)


@triton.jit
def _encode(values, inside):
    """Return codes, and the scale of each row of them."""
    bits = _bits(values)
    magnitude = tl.where(inside, bits & 0x7FFFFFFF, 0).to(tl.uint32)
    is_finite = magnitude < 0x7F800000
    largest = tl.max(tl.where(is_finite, magnitude, 0).to(tl.int32), axis=1)
    scale = largest.to(tl.float32, bitcast=True)
    root = tl.sqrt_rn(scale)
    factor = tl.where(root > 0, tl.div_rn(tl.full(root.shape, _LARGEST, tl.float32), root), 0.0)
    number = _bits(tl.sqrt_rn(_float32(magnitude)) * factor[:, None]) | (bits & 0x80000000)
    # beside 1.5 * 2**23 the last place is 1: the adder rounds to an integer, ties to even, and the low bits are its own
    code = _bits(_float32(number) + 12582912.0).to(tl.int8)
    codes = tl.where(is_finite, code, _NOT_FINITE).to(tl.int8)
    specials = tl.max(tl.where(is_finite, 0, 1), axis=1).to(tl.uint32)
    return codes, _float32(_bits(scale) | (specials << 31))


# The numbers of a step, in float64: the rule of core/rule.py on its three basis vectors


@triton.jit
def _write_rule(
    momentum, dampening, nesterov, grad_scale, grad_in, velocity_out, coupled_decay, decoupled_decay, nu,
    coefficients, row, is_row,
):  # fmt: skip
    own = coefficients + row * 6
    for basis in tl.static_range(3):  # a parameter of 1, a gradient of 1, a velocity of 1, the others 0
        if basis == 0:
            grad = coupled_decay
        elif basis == 1:
            grad = grad_scale
        else:
            grad = tl.zeros_like(grad_scale)
        velocity = (1 - dampening) * grad_in * grad
        if basis == 2:
            velocity = momentum + velocity
        direction = tl.where(nesterov != 0, grad_in * grad + momentum * velocity, velocity)
        direction = tl.where(nu >= 0, (1 - nu) * grad_in * grad + nu * velocity, direction)
        delta = -velocity_out * direction
        if basis == 0:
            delta = delta - decoupled_decay
        tl.store(own + basis, delta, mask=is_row)
        tl.store(own + 3 + basis, velocity, mask=is_row)


NUMBERS = (
    *("lr", "momentum", "weight_decay", "dampening", "lr_initial", "lr_max", "grad_scale"),
    *("nesterov", "lr_in_velocity", "decay", "lr_table", "momentum_table", "weight_decay_table", "nu"),
)
"""A row of a group's numbers, float64: its values, flags, the way of decay as its place in `DECAYS`, and for each
number that a schedule drives which of the tables has its values, else -1; nu, or -1."""
COUNTS = ("step", "skipped", "beyond", "begin", "seed_key")
"""What a device counts, int64: steps, those skipped, those left out since a table had ended; beside it the step at
which the tables begin, and the key that the seed of random numbers gives."""
_NUMBERS = tl.constexpr(len(NUMBERS))


@triton.jit
def count_step(
    numbers, tables, counts, factor, found, stop, coefficients, key, rows, length,
    HAS_FACTOR: tl.constexpr, HAS_FOUND: tl.constexpr, COUNTS_SKIPPED: tl.constexpr,
    IS_ENDLESS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the coefficients and the key of the step that the device has come to, whether it stops, and count it.

    One program: nobody else may read a count that it changes. `tables`: `length` values of each schedule.
    """
    step = tl.load(counts)
    place = step - tl.load(counts + 3)
    stops = tl.full((), 0, tl.int64)
    if HAS_FOUND:
        stops = (tl.load(found) > 0).to(tl.int64)
        if COUNTS_SKIPPED:
            tl.store(counts + 1, tl.load(counts + 1) + stops)
    if IS_ENDLESS:  # without a value there is no step
        beyond = (place >= length).to(tl.int64)
        tl.store(counts + 2, tl.load(counts + 2) + beyond)
        stops = stops | beyond
    place = tl.minimum(place, length - 1)
    tl.store(stop, stops.to(tl.float32))
    tl.store(counts, step + 1 - stops)
    own_key = _random_bits(tl.load(counts + 4).to(tl.uint32), step.to(tl.uint32))
    tl.store(key, _random_bits(own_key, (step >> 32).to(tl.uint32)).to(tl.int64))
    for begin in range(0, rows, BLOCK):
        row = begin + tl.arange(0, BLOCK)
        is_row = row < rows
        own = numbers + row * _NUMBERS
        lr = _scheduled(own, 0, 10, tables, length, place, is_row)
        momentum = _scheduled(own, 1, 11, tables, length, place, is_row)
        weight_decay = _scheduled(own, 2, 12, tables, length, place, is_row)
        dampening, grad_scale = tl.load(own + 3, mask=is_row, other=0), tl.load(own + 6, mask=is_row, other=0)
        nesterov, inside = tl.load(own + 7, mask=is_row, other=0), tl.load(own + 8, mask=is_row, other=0) != 0
        way = tl.load(own + 9, mask=is_row, other=0)
        if HAS_FACTOR:
            grad_scale = grad_scale * tl.load(factor).to(tl.float64)
        # the ways of decay, as `scalars` in core/settings.py has them
        decoupled = tl.where(way == 1, lr * weight_decay, weight_decay)
        decoupled = tl.where(way == 3, lr / tl.load(own + 4, mask=is_row, other=1) * weight_decay, decoupled)
        decoupled = tl.where(way == 4, lr * lr / tl.load(own + 5, mask=is_row, other=1) * weight_decay, decoupled)
        _write_rule(
            momentum, dampening, nesterov, grad_scale, tl.where(inside, lr, 1.0), tl.where(inside, 1.0, lr),
            tl.where(way == 0, weight_decay, 0.0), tl.where((way == 0) | (weight_decay == 0), 0.0, decoupled),
            tl.load(own + 13, mask=is_row, other=-1), coefficients, row, is_row,
        )  # fmt: skip


@triton.jit
def _scheduled(own, NUMBER: tl.constexpr, TABLE: tl.constexpr, tables, length, place, is_row):
    """Return a number of each row: its own, or what the table of its schedule has for this step."""
    table = tl.load(own + TABLE, mask=is_row, other=-1).to(tl.int64)
    value = tl.load(tables + table * length + place, mask=table >= 0, other=0)
    return tl.where(table >= 0, value, tl.load(own + NUMBER, mask=is_row, other=0))
