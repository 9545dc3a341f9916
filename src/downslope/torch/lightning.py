"""Inside Lightning: the callback `StepInBackward`, for accumulation where `SGD` steps within the backward pass.

from downslope.torch.lightning import StepInBackward
Trainer(accumulate_grad_batches=4, callbacks=[StepInBackward()])
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from typing import Any

from downslope.torch.sgd import SGD


class Accumulating:
    """Lets gradients add up over ``accumulate_grad_batches`` with ``SGD(..., step_in_backward=True)``.

    `StepInBackward` is this and Lightning's ``Callback``. Every backward pass but the last of a step runs within
    `SGD.accumulate`. It is for automatic optimization; in manual optimization write
    ``with self.optimizers().accumulate():`` around ``self.manual_backward``.
    """

    def __init__(self) -> None:
        """Have entered nothing."""
        self._entered = ExitStack()

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """Let the gradients of a backward pass that is not a step's last add up."""
        if pl_module.automatic_optimization and trainer.fit_loop._should_accumulate():
            for optimizer in trainer.optimizers:
                if isinstance(optimizer, SGD):
                    self._entered.enter_context(optimizer.accumulate())

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        """End that."""
        self._entered.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """End it if the backward pass failed."""
        self._entered.close()


def __getattr__(name: str) -> Any:
    """Return `StepInBackward`, made when it is first asked for: Lightning is loaded by whoever has it alone."""
    if name == "StepInBackward":
        return _callback()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _callback() -> type:
    """Return the class; there are two packages of one content, whose classes are not each other's."""
    old = "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules
    base = import_module("pytorch_lightning" if old else "lightning.pytorch").Callback
    return type("StepInBackward", (Accumulating, base), {"__doc__": Accumulating.__doc__, "__module__": __name__})
