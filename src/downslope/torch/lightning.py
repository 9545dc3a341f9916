"""Inside Lightning: accumulation where `SGD` steps within the backward pass."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from downslope.torch.sgd import SGD

if TYPE_CHECKING or "lightning.pytorch" in sys.modules or "pytorch_lightning" not in sys.modules:
    from lightning.pytorch import Callback
else:  # two packages of one content, whose classes are not each other's
    from pytorch_lightning import Callback


class StepInBackward(Callback):
    """Lets gradients add up over ``accumulate_grad_batches`` with ``SGD(..., step_in_backward=True)``.

    Every backward pass but the last of a step runs within `SGD.accumulate`. For Lightning's automatic optimization; in
    manual optimization write ``with self.optimizers().accumulate():`` around ``self.manual_backward``.

    Example:
        Trainer(accumulate_grad_batches=4, callbacks=[StepInBackward()])
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
