"""The compiled kernel's step as one operation of a compiled JAX program; imported where JAX is loaded.

It is compiled for one CPU to the kernel, in place, and for anything else to the plain step that comes with it, as which
it is also vectorised and differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import jax
import numpy as np
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from downslope.kernel import load_native, use_threads
from downslope.kernel.coefficients import FORMATS, NO_VELOCITY, ROUNDINGS

TARGET: Final = "downslope_step"
"""Name of the kernel's entry, as it stands in compiled programs."""

TENSORS_PER_CALL: Final = 32
"""More tensors than this are stepped by several calls: XLA's time to compile one grows with the square of its results
(1000 tensors in one call: 13 s, in calls of 32: 0.8 s), while a step takes as long."""


@cache
def is_registered() -> bool:
    """Return whether XLA has taken the kernel: it was built, and for a version of the interface that XLA has."""
    native = load_native()
    if native is None or not hasattr(native, "xla_step"):
        return False
    try:
        # Before JAX has started on the CPU it would only take note of the entry, and not start if XLA then refuses it.
        jax.devices("cpu")
    except RuntimeError:
        return False
    for minor in range(native.XLA_NEWEST_MINOR, native.XLA_OLDEST_MINOR - 1, -1):
        try:
            jax.ffi.register_ffi_target(TARGET, native.xla_step(minor), platform="cpu")
        except RuntimeError:  # XLA has another version
            continue
        return True
    return False


def has_kernel(param: Any, grad: Any, velocity: Any) -> bool:
    """Return whether there is a kernel for the formats of these arrays."""
    native = load_native()
    formats = [FORMATS.get(array.dtype.name) for array in (param, grad) if array is not None]
    formats.append(NO_VELOCITY if velocity is None else FORMATS.get(velocity.dtype.name))
    if native is None or None in formats or formats[0] != formats[1]:
        return False
    return native.has_kernel(formats[0], formats[2], ROUNDINGS["nearest"])


def step_in_place(
    coefficients: Any, params: Sequence[Any], grads: Sequence[Any], velocities: Sequence[Any], plain: Any
) -> tuple[list[Any], list[Any]]:
    """Return (params, velocities) after a step, in the memory of those given wherever nothing else needs them.

    Args:
        coefficients: Six for each parameter, float64 of shape (parameters, 6), made in the 64-bit context.
        params: Parameters, at least one.
        grads: Gradients, each of its parameter's shape and format.
        velocities: Velocities of the first parameters; the others have none.
        plain: The same step as a function of (params, grads, velocities), for where the kernel cannot be used.
    """
    use_threads()
    # what `plain` reads besides its arguments, such as the step count, becomes an operand too
    traced = jax.make_jaxpr(lambda *arrays: plain(*_parted(arrays, len(params))))(*params, *grads, *velocities)
    operands = [coefficients, *params, *grads, *velocities, *traced.consts]
    results = _step.bind(*operands, plain=traced, parameters=len(params), velocities=len(velocities))
    return results[: len(params)], results[len(params) :]


def _parted(arrays: Sequence[Any], parameters: int) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """Return params, grads and velocities out of the three in a row."""
    return arrays[:parameters], arrays[parameters : 2 * parameters], arrays[2 * parameters :]


_step = Primitive("downslope_step")
_step.multiple_results = True


def _run_plain(*operands: Any, plain: Any, parameters: int, velocities: int) -> list[Any]:
    """Return the results of the operation, by the plain step."""
    arrays = 1 + 2 * parameters + velocities
    closed = plain.replace(consts=operands[arrays:])
    return jaxpr_as_fun(closed)(*operands[1:arrays])


def _results(*_: Any, plain: Any, **__: Any) -> Any:
    return plain.out_avals


def _lower_on_cpu(context: Any, *operands: Any, plain: Any, parameters: int, velocities: int) -> Any:
    """Compile for a CPU: the kernel's entry, results in the place of operands, or the plain step.

    The plain step for several devices, between which the entry cannot be divided; and for `jax.export`, whose programs
    run where the entry may not be registered.
    """
    module = context.module_context
    if devices_of(module.axis_context) != 1 or getattr(module.lowering_parameters, "for_export", True):
        return _lower_plain(context, *operands, plain=plain, parameters=parameters, velocities=velocities)
    aliases = {1 + i: i for i in range(parameters)}
    aliases |= {1 + 2 * parameters + i: parameters + i for i in range(velocities)}
    arrays = 1 + 2 * parameters + velocities
    lower: Any = jax.ffi.ffi_lowering(TARGET, operand_output_aliases=aliases)
    return lower(context.replace(avals_in=context.avals_in[:arrays]), *operands[:arrays])


def devices_of(axis_context: Any) -> int | None:
    """Return for how many devices a program is compiled; None if JAX does not say."""
    mesh = getattr(axis_context, "mesh", None)
    return getattr(axis_context, "num_devices", None) if mesh is None else mesh.size


def _vectorise(operands: Sequence[Any], axes: Sequence[Any], **parameters: Any) -> tuple[Any, list[int]]:
    results = jax.vmap(lambda *each: _run_plain(*each, **parameters), in_axes=tuple(axes))(*operands)
    return results, [0] * len(results)


def _differentiate(operands: Sequence[Any], tangents: Sequence[Any], **parameters: Any) -> Any:
    return jax.jvp(lambda *each: _run_plain(*each, **parameters), tuple(operands), tuple(map(_tangent, tangents)))


def _tangent(tangent: Any) -> Any:
    """Return a tangent as an array."""
    if not isinstance(tangent, ad.Zero):
        return tangent
    aval: Any = tangent.aval
    if aval.dtype == jax.dtypes.float0:  # of an integer, such as the step count
        return np.zeros(aval.shape, aval.dtype)
    return ad.instantiate_zeros(tangent)


_lower_plain: Any = mlir.lower_fun(_run_plain, multiple_results=True)
_step.def_impl(_run_plain)
_step.def_abstract_eval(_results)
mlir.register_lowering(_step, _lower_plain)
mlir.register_lowering(_step, _lower_on_cpu, platform="cpu")
batching.primitive_batchers[_step] = _vectorise
ad.primitive_jvps[_step] = _differentiate
