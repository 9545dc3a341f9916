"""The lock of a step: a process that forks off while another thread steps can step itself."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import torch

from downslope.torch import SGD


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("in_backward", [False, True])
def test_a_fork_in_the_middle_of_a_step_leaves_the_child_able_to_step(in_backward: bool) -> None:
    """It has a copy of the lock, but not the thread that would open it."""
    param = torch.nn.Parameter(torch.ones(3))
    optimizer = SGD([param], lr=0.5, step_in_backward=in_backward)
    lock = optimizer._in_backward._opening if optimizer._in_backward is not None else optimizer._stepping
    is_held, is_over = threading.Event(), threading.Event()

    def step_for_long() -> None:
        with lock:
            is_held.set()
            is_over.wait()

    thread = threading.Thread(target=step_for_long)
    thread.start()
    is_held.wait()
    try:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            param.sum().backward()
            optimizer.step()
            os._exit(0 if torch.equal(param.detach(), torch.full((3,), 0.5)) else 1)
        _, status = os.waitpid(child, 0)
    finally:
        is_over.set()
        thread.join()
    assert status == 0
