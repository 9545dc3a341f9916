"""`GradScaler`: torch's loss scaling, with the unscaling and the search for inf and NaN within the optimizer's step."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import OptState

from downslope.torch.group_values import has_schedule
from downslope.torch.on_device import is_elsewhere
from downslope.torch.options import LossScale, StepOptions
from downslope.torch.sgd import SGD


class GradScaler(torch.amp.GradScaler):
    """``torch.amp.GradScaler`` that leaves the unscaling to `SGD`: one pass over the gradients less.

    Torch's own divides every gradient by the scale, reading and writing it, before a step reads it again; with
    clipping there is another pass for the norm. Here a step is one pass that reads the gradients (their norm, and
    whether all are finite) and one that moves the parameters, with 1 / scale as a factor in the step's coefficients.
    Gradients stay as they are, scaled; whoever wants to see them calls ``unscale_`` first, and everything is then done
    torch's way, as it is for every other optimizer.

    A step that is left out because a gradient is not finite counts among the optimizer's `skipped_steps`, whatever its
    `on_nonfinite` (unless ``unscale_`` was called: torch then leaves the step uncalled), and the optimizer's hooks hear
    of it. The arguments are those of ``torch.amp.GradScaler``.

    Where parameters and scale are on a device and no schedule depends on whether a step counts, all of this stays there
    and the host waits for nothing: `skipped_steps` asks the device when it is asked.

    Example:
        >>> import torch
        >>> from downslope.torch import SGD, GradScaler
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = SGD(model.named_parameters(), lr=0.1, momentum=0.9, clip_norm=1.0)
        >>> scaler = GradScaler("cpu", init_scale=1024.0)
        >>> scaler.scale(model(torch.ones(2)).sum()).backward()
        >>> scaler.step(optimizer)
        >>> scaler.update()

    References:
        Micikevicius et al., "Mixed precision training" (2018), section 3.2.
    """

    def step(self, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> float | None:
        """Take the optimizer's step with unscaled gradients, unless one of them is not finite.

        Raises:
            RuntimeError: If ``step`` was called already since the last ``update``.
            AssertionError: If nothing was scaled, or no parameter has a gradient, as torch does.
            NonFiniteGradientError: If so many steps were left out that the scale has become 0.
            SettingsError: If the optimizer steps within the backward pass, which has moved the parameters already.
        """
        if args == (None,):  # Accelerate's closure
            args = ()
        if not self._enabled or not isinstance(optimizer, SGD) or optimizer.step_in_backward or args or kwargs:
            return super().step(optimizer, *args, **kwargs)
        state = self._per_optimizer_states[id(optimizer)]
        self._note_unscaled(state["stage"] is OptState.UNSCALED)
        if state["stage"] is not OptState.READY or not any(p.grad is not None for p in _params(optimizer)):
            return super().step(optimizer)
        scale, _ = self._check_scale_growth_tracker("step")
        waits = any(map(has_schedule, optimizer.param_groups)) and not optimizer.shared.get("capturable")
        may_wait = is_elsewhere(scale) and not waits
        # whether a step counts decides what schedules say next; without any, or there, nobody has to wait for that
        there = LossScale(scale)
        factor: Any = there if may_wait else there.on_host()
        shared, skipped = optimizer.shared, optimizer.param_groups[0]["skipped"]
        chosen: StepOptions = shared["options"]
        shared["options"] = skipping = _skipping(chosen)
        try:
            result = optimizer.step(grad_scale=factor)
        finally:
            if shared["options"] is skipping:
                shared["options"] = chosen
            else:  # a hook has set another option
                optimizer.on_nonfinite = chosen.on_nonfinite
        found = there.found
        if found is None:
            found = torch.full((), float(optimizer.param_groups[0]["skipped"] != skipped), device=scale.device)
        state["found_inf_per_device"] = {scale.device: found}
        state["stage"] = OptState.STEPPED
        return result

    def _note_unscaled(self, unscaled: bool) -> None:
        """Warn once if one step after the other finds its gradients unscaled: nobody looks at each of them."""
        self._unscaled = getattr(self, "_unscaled", 0) + 1 if unscaled else 0
        if self._unscaled == _IDLE_AFTER:
            warnings.warn(
                "downslope.torch.GradScaler is idle: unscale_() was called before every step, as Lightning does and "
                "clipping by a trainer needs, so that the step finds nothing to unscale. All is computed as "
                "torch.amp.GradScaler does, which will do here. To clip within the step, give SGD clip_norm and leave "
                "out unscale_().",
                UserWarning,
                stacklevel=3,
            )


_IDLE_AFTER = 3


@lru_cache(maxsize=16)
def _skipping(options: StepOptions) -> StepOptions:
    return replace(options, on_nonfinite="skip")


def _params(optimizer: SGD) -> Iterator[Tensor]:
    return chain.from_iterable(group["params"] for group in optimizer.param_groups)
