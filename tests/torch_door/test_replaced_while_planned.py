"""A state that another thread replaces between a step's look at it and the step: it is taken, without an error."""

import torch
from torch.nn import Parameter

from downslope.torch import SGD, step


def test_a_buffer_replaced_while_a_plan_is_made(monkeypatch):
    """The step is that of the velocity it looked at; the next one has the new."""
    param = Parameter(torch.ones(5))
    optimizer = SGD([param], lr=0.5, momentum=0.5)
    param.grad = torch.ones(5)
    optimizer.step()  # velocity 1, param 0.5
    optimizer.state[param]["momentum_buffer"] = torch.full((5,), 2.0)  # so that a new plan is made
    mark = step.mark_shared_memory

    def replace_meanwhile(*arguments):
        found = mark(*arguments)
        optimizer.state[param]["momentum_buffer"] = torch.zeros(5)
        return found

    monkeypatch.setattr(step, "mark_shared_memory", replace_meanwhile)
    optimizer.step()  # velocity 2 / 2 + 1 = 2, param 0.5 - 1
    assert torch.equal(param, torch.full((5,), -0.5))
    monkeypatch.undo()
    optimizer.step()  # from the velocity 0 that was put in: 1, param -0.5 - 0.5
    assert torch.equal(param, torch.full((5,), -1.0))
