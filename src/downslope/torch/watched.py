"""Whether somebody watches operations on tensors: a mode, a graph being made, a transform, forward differentiation.

The compiled kernel writes to memory behind torch's back. Whoever records operations (``make_fx``), counts them, gives
tensors no memory (``FakeTensorMode``), maps them (``torch.func.vmap``) or carries tangents along would not see a step.
"""

from __future__ import annotations

from torch._C import _get_function_stack_at, _len_torch_dispatch_stack, _len_torch_function_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.utils._device import DeviceContext


def is_watched() -> bool:
    """Whether operations on tensors are recorded, counted, mapped or otherwise not simply carried out."""
    return bool(
        _len_torch_dispatch_stack()
        or peek_interpreter_stack() is not None
        or (_len_torch_function_stack() and _has_function_mode())
        or forward_ad._current_level >= 0
    )


def _has_function_mode() -> bool:
    """Whether there is a TorchFunctionMode that does more than to choose the device of new tensors."""
    modes = map(_get_function_stack_at, range(_len_torch_function_stack()))
    return any(type(mode) is not DeviceContext for mode in modes)
