"""One optimizer stepped from several threads at once: each step is whole, and none uses what another lets go of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from native_plans import make_plan, restored_settings
from torch.nn import Parameter

from downslope import kernel
from downslope.kernel.rows import Row
from downslope.torch import SGD

LARGE = 600_000  # elements, so that a step lasts


def at_once(work: Callable[[int], Any], count: int = 3) -> list[BaseException]:
    """Run work(0), work(1), ... in threads that begin together; return what they raised."""
    raised: list[BaseException] = []
    begin = threading.Barrier(count)

    def run(place: int) -> None:
        begin.wait()
        try:
            work(place)
        except BaseException as error:  # noqa: BLE001 -- a thread has no other way to tell
            raised.append(error)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.mark.parametrize("options", [{}, {"clip_norm": 1e9}, {"on_nonfinite": "skip"}], ids=str)
def test_every_step_counts_once(options: dict[str, Any]) -> None:
    """Steps of three threads, which also exchange the gradient for another of the same numbers: the sum of all."""
    with restored_settings():
        kernel.set_num_threads(2)
        param, small = Parameter(torch.zeros(LARGE)), Parameter(torch.zeros(3))
        optimizer = SGD([param, small], lr=1.0, **options)
        param.grad, small.grad = torch.ones(LARGE), torch.ones(3)
        for _ in range(2):
            optimizer.step()

        def work(place: int) -> None:
            for _ in range(6):
                param.grad = torch.ones(LARGE)
                optimizer.step()

        assert at_once(work) == []
        assert optimizer.step_count == 20
        assert (param == -20).all()
        assert (small == -20).all()


def test_groups_and_states_that_change_meanwhile_harm_nothing() -> None:
    """One thread steps, others load the state and forget the plan."""
    with restored_settings():
        kernel.set_num_threads(2)
        param = Parameter(torch.zeros(LARGE))
        optimizer = SGD([param], lr=0.5, momentum=0.5)
        param.grad = torch.ones(LARGE)
        optimizer.step()

        def work(place: int) -> None:
            for _ in range(8):
                param.grad = torch.ones(LARGE)
                if place == 1:
                    optimizer.state[param]["momentum_buffer"] = torch.zeros(LARGE)
                optimizer.step()

        assert at_once(work) == []
        assert torch.isfinite(param).all()
        assert param.unique().numel() == 1


def test_a_plan_itself_is_used_by_one_thread_at_a_time() -> None:
    """The compiled plan, without the optimizer's care: a whole step, or an error that says so; never a crash."""
    with restored_settings() as module:
        module.set_thread_count(2)
        param = Parameter(torch.zeros(LARGE))
        param.grad = torch.ones(LARGE)
        plan = make_plan([param], [torch.zeros(LARGE)])

        def work(place: int) -> None:
            for _ in range(10):
                param.grad = torch.ones(LARGE)
                if place == 0:
                    plan.let_go()
                plan.refresh()
                try:
                    plan.sum_of_squares()
                    plan.step([0.0, -1.0, 0.0, 0.0, 1.0, 0.0], 0)
                except RuntimeError as error:
                    assert "by one thread at a time" in str(error)  # noqa: PT017 -- it may or may not be raised

        assert at_once(work) == []
        assert param.unique().numel() <= 3 * 10


def test_a_list_that_is_emptied_meanwhile_keeps_its_tensors_for_the_step() -> None:
    """Tensors that are given as they are live until the step over them has ended."""
    from downslope.torch.tensors import EXCHANGE

    with restored_settings() as module:
        module.set_thread_count(2)
        wrong = []

        def work(place: int) -> None:
            for _ in range(8):
                param = torch.zeros(LARGE)
                rows = [Row(param, torch.ones(LARGE), velocity=torch.zeros(LARGE), kind=0)]
                tensors = [torch.ones(LARGE)]
                clear = threading.Thread(target=lambda rows=rows, tensors=tensors: (rows.clear(), tensors.clear()))
                clear.start()
                module.step_tensors(EXCHANGE, rows, [0.0, -1.0, 0.0, 0.0, 1.0, 0.0], 0)
                squares, finite = module.sum_of_squares(EXCHANGE, tensors)
                clear.join()
                wrong.append(not finite or squares not in (0.0, LARGE) or param.unique().tolist() not in ([-1], [0]))

        assert at_once(work, count=2) == []
        assert not any(wrong)
