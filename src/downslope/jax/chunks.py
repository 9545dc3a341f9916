"""The step of a velocity of 8 bits as one operation of a JAX program: chunk by chunk and in place for one CPU.

Of a step of all blocks at once XLA makes several passes, with two temporary arrays as large as the parameter. That is
what it is for several devices, which XLA divides it among, and elsewhere. The bits are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from downslope.core.blocks import BLOCK
from downslope.core.errors import SettingsError
from downslope.jax.blocks import CodedVelocity, step_codes
from downslope.kernel.xla import devices_of

CHUNK = 1024
"""Blocks of a chunk, some MiB with what XLA makes of them. A quarter and four times as many took 1.3 times as long."""
_MOST_INDEXED = 2**31 - 1
"""Elements that JAX's indices of 32 bits reach."""
_NO_SCALE = 0x7FFFFFFF
"""Bits of a NaN that no scale is."""


def take_coded_step(
    grad: Any, param: Any, velocity: CodedVelocity, six: Sequence[Any], *, is_read: bool, moves: bool
) -> tuple[Any, CodedVelocity]:
    """Return the parameter, or what is to be added to it, and the velocity after a step.

    Args:
        grad: Gradient.
        param: Parameter; it may be None where it neither is read nor moves.
        velocity: Velocity.
        six: The six coefficients, float32 scalars, possibly traced.
        is_read: Whether the parameter decays.
        moves: Whether to return the parameter, rounded once, rather than what is to be added, rounded to its format.

    Raises:
        SettingsError: If a derivative of it is asked for.
    """
    arrays = [jnp.asarray(array) for array in (grad, velocity.codes, velocity.scales, *six)]
    arrays += [] if param is None else [jnp.asarray(param)]
    result, codes, scales = _compiled(*arrays, is_read=is_read, moves=moves)
    return result, CodedVelocity(codes, scales)


def _bind(*arrays: Any, **options: bool) -> list[Any]:
    plain = jax.make_jaxpr(lambda *arrays: _at_once(*arrays, **options))(*arrays)
    return _step.bind(*arrays, plain=plain, **options)


_compiled: Any = jax.jit(_bind, static_argnames=("is_read", "moves"))  # so that without `jit` too it is one call


def _at_once(grad: Any, codes: Any, scales: Any, *rest: Any, is_read: bool, moves: bool) -> tuple[Any, Any, Any]:
    """Return result, codes and scales of the step, all blocks at once; rest is the six coefficients and the parameter.

    The result has the parameter's format, without one the gradient's.
    """
    six, param = rest[:6], rest[6] if len(rest) > 6 else None
    delta, velocity = step_codes(grad, param if is_read else None, CodedVelocity(codes, scales), six)
    if moves and param is not None:
        delta = param.astype(jnp.float32) + delta
    return delta.astype((grad if param is None else param).dtype), velocity.codes, velocity.scales


def _in_chunks(grad: Any, codes: Any, scales: Any, *rest: Any, is_read: bool, moves: bool) -> tuple[Any, Any, Any]:
    """Return the same, each chunk written to its place before the next is read."""
    chunks, shapes = codes.size // (CHUNK * BLOCK), (codes.shape, scales.shape)
    if not chunks or codes.size > _MOST_INDEXED:
        return _at_once(grad, codes, scales, *rest, is_read=is_read, moves=moves)
    six, grad = rest[:6], grad.reshape(-1)
    param = rest[6].reshape(-1) if len(rest) > 6 else None
    result = param if moves and param is not None else grad if param is None else grad.astype(param.dtype)
    in_place_of_grad = not moves and result.dtype == grad.dtype

    def step(start: Any, blocks: int, count: int, held: Any, is_there: Any) -> Any:
        """Return what is held after a step of some blocks, from block `start` on."""
        places = start * BLOCK, start * BLOCK, start
        sizes = count, count, blocks

        def part(array: Any) -> Any:
            return jax.lax.dynamic_slice(array, places[:1], sizes[:1])

        def stepped(own: Any) -> Any:
            beside = [] if param is None else [own[0] if moves else part(param)]
            return _at_once(own[0] if in_place_of_grad else part(grad), *own[1:], *six, *beside, **options)

        # A branch that is always taken, though XLA cannot know: what goes into it is copied first. Where XLA sees it
        # all, either the parameter or the codes would be written first and read for the other, and it copies the whole.
        own = [jax.lax.dynamic_slice(*each) for each in zip(held, zip(places), zip(sizes), strict=True)]
        own = jax.lax.cond(is_there, stepped, tuple, own)
        return tuple(jax.lax.dynamic_update_slice(*each) for each in zip(held, own, zip(places), strict=True))

    options = {"is_read": is_read, "moves": moves}
    held = result, codes.reshape(-1), scales.reshape(-1)
    held = jax.lax.fori_loop(0, chunks, lambda i, held: step(i * CHUNK, CHUNK, CHUNK * BLOCK, held, i >= 0), held)
    begun = chunks * CHUNK
    if begun < scales.size:
        bits = jax.lax.bitcast_convert_type(held[2][-1], jnp.int32)
        held = step(begun, scales.size - begun, codes.size - begun * BLOCK, held, bits != _NO_SCALE)
    return held[0].reshape(shapes[0]), held[1].reshape(shapes[0]), held[2].reshape(shapes[1])


_step = Primitive("downslope_step_codes")
_step.multiple_results = True


def _run_plain(*arrays: Any, plain: Any, **_: Any) -> list[Any]:
    return jaxpr_as_fun(plain)(*arrays)


def _results(*_: Any, plain: Any, **__: Any) -> Any:
    return plain.out_avals


def _lower_on_cpu(context: Any, *arrays: Any, plain: Any, **options: bool) -> Any:
    is_one = devices_of(context.module_context.axis_context) == 1
    return _lower_in_chunks(context, *arrays, **options) if is_one else _lower_plain(context, *arrays, plain=plain)


def _vectorise(arrays: Sequence[Any], axes: Sequence[Any], **parameters: Any) -> tuple[Any, list[int]]:
    results = jax.vmap(lambda *each: _run_plain(*each, **parameters), in_axes=tuple(axes))(*arrays)
    return results, [0] * len(results)


def _refuse_derivative(*_: Any, **__: Any) -> Any:
    raise SettingsError(
        'a derivative of a step with `velocity_dtype="int8"` was asked for, and none goes through codes: they are '
        "integers. Leave velocity_dtype None for this optimizer."
    )


_lower_plain: Any = mlir.lower_fun(_run_plain, multiple_results=True)
_lower_in_chunks: Any = mlir.lower_fun(_in_chunks, multiple_results=True)
_step.def_impl(_run_plain)
_step.def_abstract_eval(_results)
mlir.register_lowering(_step, _lower_plain)
mlir.register_lowering(_step, _lower_on_cpu, platform="cpu")
batching.primitive_batchers[_step] = _vectorise
ad.primitive_jvps[_step] = _refuse_derivative
