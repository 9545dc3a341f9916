"""Velocities of 8 bits for torch: codes and scales as in `core/blocks.py`, on any device, and of parts of DTensors.

Beside a parameter they are two tensors of its state. Blocks are counted within the part of a parameter that lies in a
process, so that none straddles two shards.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from downslope.core.blocks import BLOCK, LARGEST, NOT_FINITE, UNIT, WORTH_CODES, blocks_of
from downslope.core.errors import SettingsError, StateError
from downslope.core.shown import shown
from downslope.torch.tensors import SPEC, is_distributed, local_part

INT8 = "int8"
"""The `velocity_dtype` that asks for codes."""
VELOCITY = "momentum_buffer"
"""The velocity's key in a parameter's state: torch.optim.SGD's own, so that states are exchanged as they are."""
CODES, SCALES = "velocity_codes", "velocity_scales"
"""The same of a velocity of codes: int8 of the parameter's shape, and float32 in one row."""

_COMPUTED_IN_FLOAT32 = frozenset({torch.float32, torch.bfloat16, torch.float16})


def check_can_be_coded(param: Tensor, name: str) -> None:
    """Raise `SettingsError` if a parameter is of a format, or on a device, whose velocity cannot be codes."""
    if param.dtype not in _COMPUTED_IN_FLOAT32 and (param.is_floating_point() or param.is_complex()):
        raise SettingsError(
            f'`velocity_dtype="int8"` is for parameters of float32, bfloat16 and float16, and {name} is {param.dtype}: '
            "it is stepped in another precision, of which codes would keep nothing. Leave velocity_dtype None, or "
            "convert the model (model.float())."
        )
    if not _has_float64(param.device):
        raise SettingsError(
            f'`velocity_dtype="int8"`: {name} is on a device without float64, in which roots are formed so that every '
            "processor rounds them alike. Leave velocity_dtype None there."
        )


@functools.cache
def _has_float64(device: torch.device) -> bool:
    """Whether a device computes in float64, which Apple's do not."""
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):
        return False
    return True


def is_worth_codes(param: Tensor) -> bool:
    """Whether a parameter has elements enough, those of all processes together, for its velocity to be codes."""
    return param.numel() >= WORTH_CODES


def zero_codes(param: Tensor) -> tuple[Tensor, Tensor]:
    """Return the codes and scales of a velocity of zeros."""
    with torch.inference_mode(False):  # noqa: FBT003 -- one made in inference mode could not be written to later
        return torch.zeros_like(param, dtype=torch.int8, requires_grad=False), _zero_scales(param)


def _zero_scales(param: Tensor) -> Tensor:
    if not is_distributed(param):
        return torch.zeros(blocks_of(param.numel()), device=param.device)
    from torch.distributed.tensor import DTensor, Replicate, Shard

    spec = getattr(param, SPEC)
    shape = list(param.shape)
    for size, placement in zip(spec.mesh.shape, spec.placements, strict=True):
        if isinstance(placement, Shard):
            shape[placement.dim] = -(-shape[placement.dim] // size)
    # as many for every process as the largest part needs, so that they are laid out like any other DTensor; and one
    # more of parts, so that those gathered from all are never as many as a whole has, whose blocks are others
    count = blocks_of(math.prod(shape)) + any(isinstance(placement, Shard) for placement in spec.placements)
    own = torch.zeros(count, device=local_part(param).device)
    placements = [Shard(0) if isinstance(p, Shard) else Replicate() for p in spec.placements]
    return DTensor.from_local(own, spec.mesh, placements, run_check=False)


def encode(values: Tensor, codes: Tensor, scales: Tensor) -> None:
    """Write float32 values of any layout to codes of their shape and to their scales; see `core.blocks.encode`."""
    count = values.numel()
    rows = torch.nn.functional.pad(values.reshape(-1), (0, blocks_of(count) * BLOCK - count)).view(-1, BLOCK)
    is_finite = rows.isfinite()
    magnitudes = torch.where(is_finite, rows.abs(), 0.0)
    largest = magnitudes.amax(1) if count else magnitudes.new_zeros(0)
    roots = _sqrt(largest)
    # a quotient of two tensors: of a number and a tensor torch makes a product with the reciprocal, rounded twice
    factors = torch.where(roots > 0, torch.full_like(roots, LARGEST) / roots, 0.0)
    numbers = (_sqrt(magnitudes) * factors[:, None]).copysign(rows).round()
    numbers = torch.where(is_finite, numbers, float(NOT_FINITE)).to(torch.int8)
    codes.copy_(numbers.view(-1)[:count].view(codes.shape))
    scales[: len(largest)].copy_(torch.where(is_finite.all(1), largest, -largest))


def _sqrt(values: Tensor) -> Tensor:
    """Return roots rounded correctly: torch's own of float32 are off by a last place on some processors."""
    return values.to(torch.float64).sqrt().to(torch.float32)


def decode(codes: Tensor, scales: Tensor) -> Tensor:
    """Return the float32 values of codes and scales, in the codes' layout; see `core.blocks.decode`."""
    numbers = codes.to(torch.float32)
    own = scales.repeat_interleave(BLOCK)[: codes.numel()].view(codes.shape)
    values = numbers * numbers.abs() * UNIT * own.abs()
    return torch.where((codes == NOT_FINITE) & own.signbit(), torch.nan, values)


def encoded(velocity: Tensor, param: Tensor) -> tuple[Tensor, Tensor]:
    """Return a velocity of any floating format, laid out over processes as its parameter, as codes and scales."""
    codes, scales = zero_codes(param)
    encode(local_part(velocity).detach().to(torch.float32), local_part(codes), local_part(scales))
    return codes, scales


def decoded(codes: Tensor, scales: Tensor) -> Tensor:
    """Return the float32 velocity that codes and scales stand for; of DTensors, a DTensor like the codes."""
    velocity = torch.zeros_like(codes, dtype=torch.float32)
    local_part(velocity).copy_(decode(local_part(codes), local_part(scales)))
    return velocity


def misfit_of_codes(entry: Mapping[str, Any], param: Tensor) -> str | None:
    """Return why the codes of a saved state cannot be this parameter's, or None."""
    codes, scales = entry.get(CODES), entry.get(SCALES)
    if not isinstance(codes, Tensor) or not isinstance(scales, Tensor):
        return f"must be `{CODES}` and `{SCALES}`, both tensors; got {type(codes).__name__} and {type(scales).__name__}"
    if codes.shape != param.shape:
        return f"has shape {tuple(codes.shape)}, the parameter {tuple(param.shape)}"
    if codes.dtype != torch.int8 or scales.dtype != torch.float32:
        return f"must be codes of int8 and scales of float32; got {codes.dtype} and {scales.dtype}"
    if is_distributed(codes) != is_distributed(param):
        return "lies whole in one process on one side, and in parts on the other. Load `decoded_state` of it instead"
    expected = _zero_scales(param).shape
    if scales.shape != expected:
        return (
            f"has scales of shape {tuple(scales.shape)}, expected are {tuple(expected)}, one for each {BLOCK} elements "
            "of what lies in a process. Of another number of processes load `decoded_state`, taken before gathering"
        )
    return None


def decoded_state(state_dict: dict[str, Any]) -> dict[str, Any]:
    """Return a state with every 8-bit velocity as float32 under `momentum_buffer`, which torch.optim.SGD loads.

    The numbers are those that the codes stand for, exactly. What the codes had lost before is not brought back: up to
    0.8 per cent of a block's largest magnitude, less for small ones.

    Args:
        state_dict: What `SGD.state_dict` returned; it is left as it is.

    Raises:
        StateError: If it is no optimizer's state, or codes and scales in it do not belong together.

    Example:
        >>> import torch
        >>> from downslope.torch import SGD, decoded_state
        >>> param = torch.nn.Parameter(torch.zeros(64, 64))
        >>> ours = SGD([param], lr=0.1, momentum=0.9, velocity_dtype="int8")
        >>> param.grad = torch.full((64, 64), 2.0)
        >>> ours.step()
        >>> sorted(ours.state_dict()["state"][0])
        ['velocity_codes', 'velocity_scales']
        >>> torch.optim.SGD([param], lr=0.1, momentum=0.9).load_state_dict(decoded_state(ours.state_dict()))
    """
    if not isinstance(state_dict, Mapping) or not isinstance(state_dict.get("state"), Mapping):
        raise StateError("`state_dict` must be a state with `state` in it, as SGD.state_dict() returns.")
    state = {}
    for key, entry in state_dict["state"].items():
        own = entry
        if isinstance(entry, Mapping) and (CODES in entry or SCALES in entry):
            codes = entry.get(CODES)
            problem = misfit_of_codes(entry, codes if isinstance(codes, Tensor) else torch.empty(0))
            if problem is not None:
                raise StateError(f"the 8-bit velocity of parameter {shown(repr(key))} {problem}")
            own = {word: value for word, value in entry.items() if word not in (CODES, SCALES)}
            own[VELOCITY] = decoded(entry[CODES], entry[SCALES])
        state[key] = own
    return {**state_dict, "state": state}
