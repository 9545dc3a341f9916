"""Inside Hugging Face Accelerate: steps that `SGD` skipped, told to its wrapper of an optimizer."""

from __future__ import annotations

from typing import Any

from downslope.torch.sgd import SGD


def report_skips(optimizer: Any) -> Any:
    """Have ``accelerator.prepare``'s optimizer say which steps were skipped, as it does for a loss scaler's.

    ``accelerator.optimizer_step_was_skipped`` is then true after a step that `SGD` skipped for its gradients, and
    prepared schedulers of torch stay where they are. `downslope.torch.scheduler` sees skips without this.

    Args:
        optimizer: What ``accelerator.prepare`` returned for an `SGD`.

    Returns:
        The same optimizer.

    Raises:
        TypeError: If it is anything else.
    """
    own = getattr(optimizer, "optimizer", None)
    if not isinstance(own, SGD) or not hasattr(optimizer, "_is_overflow"):
        raise TypeError(
            "report_skips() takes what accelerator.prepare(optimizer) returned for a downslope.torch.SGD; "
            f"got a {type(optimizer).__name__}."
        )

    def tell(own: Any, *_: Any) -> None:
        optimizer._is_overflow = own.step_was_skipped
        optimizer._accelerate_step_called = not own.step_was_skipped  # what it looks at where there is a scaler

    own.register_step_post_hook(tell)
    return optimizer
