"""The step within the backward pass, as an optimizer has it: `accumulate`, what it refuses, and what a state carries.

What lives here: the part of `SGD` that a user sees of it. What does not: the hooks and the protocol of a step
(`backward_hooks.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from downslope.core.errors import SettingsError
from downslope.torch.backward_hooks import StepInBackward
from downslope.torch.tensors import without_compiler


class SteppingInBackward(Optimizer):
    """What an optimizer is besides, if its parameters can be stepped within the backward pass.

    Attributes:
        step_in_backward: Whether they are.
        reserved: Velocities made for first gradients to come in the present backward pass, by id of the parameter.
    """

    # No defaults on the class: a wrapper's class inherits from it, and would find those, not the optimizer's own.
    step_in_backward: bool
    reserved: dict[int, Tensor]
    _in_backward: StepInBackward | None

    def _have_no_hooks(self) -> None:
        """Be an optimizer whose parameters are not stepped within the backward pass."""
        self.step_in_backward, self.reserved, self._in_backward = False, {}, None

    @contextmanager
    def accumulate(self) -> Iterator[None]:
        """Let gradients add up: a backward pass within this context steps nothing.

        For all micro-batches but the last, whose backward pass stands outside. Without `step_in_backward` nothing is
        stepped within a backward pass anyway, and the same loop serves.

        Raises:
            StateError: If a backward pass has begun a step that ``step()`` has not closed.

        Example:
            >>> import torch
            >>> from downslope.torch import SGD
            >>> model = torch.nn.Linear(2, 1)
            >>> optimizer = SGD(model.named_parameters(), lr=0.1, step_in_backward=True)
            >>> with optimizer.accumulate():
            ...     model(torch.ones(2)).sum().backward()
            >>> model(torch.zeros(2)).sum().backward()  # steps with the sum of both gradients, and frees it
            >>> optimizer.step()
        """
        within = self._in_backward
        if within is None:
            yield
            return
        within.check_closed("accumulate gradients")
        within.accumulating += 1
        try:
            yield
        finally:
            within.accumulating -= 1

    def _begin_stepping_in_backward(self) -> None:
        """Put hooks on the parameters, or forget what a step that a loaded state replaces had begun."""
        if self._in_backward is None:
            self._in_backward = StepInBackward(self)
        else:
            self._in_backward.begin_anew()

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Raise if ``torch.amp.GradScaler`` asks: it does so within its `step`, before anything else."""
        if self._in_backward is None:
            raise AttributeError(name="_step_supports_amp_scaling", obj=self)  # as if it were not there
        raise SettingsError(
            "`step_in_backward=True` and torch.amp.GradScaler exclude each other: the backward pass has already "
            "stepped the parameters, with gradients that were still scaled and that nobody had checked for inf and "
            "NaN. Restore the parameters and this optimizer's state, and use one of the two: bfloat16 needs no scale."
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, and hooks on its parameters."""
        if self._in_backward is not None:
            self._in_backward.check_closed("add a group")
        without_compiler(super().add_param_group)(param_group)
        if self._in_backward is not None:
            self._in_backward.begin_anew()

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state dict, unless a step is half done."""
        if self._in_backward is not None:
            self._in_backward.check_closed("save the state")
        return without_compiler(super().state_dict)()

    def __getstate__(self) -> dict[str, Any]:
        """Return what deepcopy and pickle carry: that there are hooks, not the hooks."""
        if self._in_backward is not None:
            self._in_backward.check_closed("copy or pickle the optimizer")
        return {**super().__getstate__(), "step_in_backward": self.step_in_backward}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up a state: a copy gets hooks on its own parameters."""
        super().__setstate__(state)
        if self.step_in_backward:
            self._begin_stepping_in_backward()
