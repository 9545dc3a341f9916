"""The backward pass of a loss: what ``loss.backward()`` computes, without what it takes of a small model's step.

What lives here: one call of torch's autograd engine. What does not: what is summed (`gradients.py`).

``Tensor.backward`` checks and prepares for cases that a step of training does not have: several roots, gradients given
from outside, function transforms. On a model of ten thousand parameters that is a tenth of the whole step. The engine's
entry is not public, so wherever it is not as it was in the torch this was written for, the public way is taken.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_engine: Any = getattr(getattr(torch.autograd, "Variable", None), "_execution_engine", None)
_run_backward: Any = getattr(_engine, "run_backward", None)


def backward(loss: Tensor) -> None:
    """Add the gradient of a loss to each parameter's ``grad``, bit for bit as ``loss.backward()`` does.

    Args:
        loss: A scalar with its graph, which is freed.

    Raises:
        RuntimeError: If the loss has no graph, or something within it fails.
    """
    is_plain = type(loss) is Tensor and loss.ndim == 0 and loss.device.type == "cpu" and not loss.is_complex()
    if _run_backward is None or not is_plain:
        loss.backward()
        return
    one = torch.ones((), dtype=loss.dtype, device="cpu")  # new each time: a person's own code may write to it
    _run_backward((loss,), (one,), False, False, (), allow_unreachable=True, accumulate_grad=True)  # noqa: FBT003
