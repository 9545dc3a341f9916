"""Methods of torch's optimizer, called without the wrapper that loads torch's compiler at their first call.

That takes 0.7 s, to keep the compiler from tracing them. Where it is not loaded it traces nothing.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any


def without_compiler(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a bound method of torch's ``Optimizer`` as it is written, unless the compiler is loaded already.

    Args:
        method: The bound method.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
        >>> without_compiler(optimizer.state_dict)() == optimizer.state_dict()
        True
    """
    plain = getattr(method, "__wrapped__", None)
    if plain is None or "torch._dynamo" in sys.modules:
        return method
    return functools.partial(plain, getattr(method, "__self__", None))
