"""The compiled module called wrongly, by whoever gets at it: an error of Python's, and never the end of the process."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_plans import ASK, native

from downslope.kernel.arrays import CODES
from downslope.kernel.marks import examples
from downslope.kernel.rows import Row
from downslope.torch.tensors import EXCHANGE
from draws import draws


def param() -> Any:
    """Return a parameter with a gradient."""
    made = torch.nn.Parameter(torch.ones(3))
    made.grad = torch.ones(3)
    return made


def plan() -> Any:
    """Return a plan of one parameter with a velocity, refreshed."""
    velocity = torch.zeros(3)
    made = native().Plan([Row(param(), state={"momentum_buffer": velocity}, velocity=velocity, kind=0)], *ASK)
    assert made.refresh()
    return made


def averaged_plan(row: Any, names: Any) -> Any:
    """Return a plan of one parameter with an average, refreshed."""
    made = native().Plan([row], *ASK[:-1], names)
    assert made.refresh()
    return made


def array_step(module: Any) -> Any:
    """Return a compiled step of one array."""
    arrays = [{"w": np.ones(3)} for _ in range(3)]
    return module.ArrayStep(*arrays, {}, {"w": 0}, np.ndarray, CODES)


def good_calls() -> dict[str, tuple[Callable[..., Any], list[Any]]]:
    """Return every entry of the module with arguments that are right."""
    module = native()
    tensors = (torch.ones(3), torch.ones(3), torch.zeros(3), None)
    row = tuple(Row(*tensors[:2], velocity=tensors[2], kind=0))
    group = {"params": [], "lr": 1.0}
    array = [{"w": np.ones(3)} for _ in range(3)]
    made = plan()
    average = torch.zeros(3)
    averaged = tuple(Row(param(), state={"average": average}, average=average, kind=0, weight=0.1))
    names = (*ASK[-1], "velocity_codes", "velocity_scales", "average")
    return {
        "Plan": (module.Plan, [[tuple(Row(param(), kind=0))], *ASK]),
        "Plan with an average": (module.Plan, [[averaged], *ASK[:-1], names]),
        "step of a plan with an average": (averaged_plan(averaged, names).step, [[0.0] * 6, 0]),
        "watch": (made.watch, [[group], {}, [("lr", None)], len, []]),
        "groups_hold": (made.groups_hold, [[group], {}]),
        "values_hold": (made.values_hold, []),
        "take_values": (made.take_values, []),
        "refresh": (made.refresh, []),
        "step": (plan().step, [[0.0] * 6, 0]),
        "repeat": (made.repeat, [[group], {}, 0, [0.0] * 6, False, 1.0, None]),
        "repeat, clipped": (made.repeat, [[group], {}, 0, None, True, 1e-9, lambda factor: [factor] * 6]),
        "sum_of_squares of a plan": (plan().sum_of_squares, []),
        "let_go": (made.let_go, []),
        "elements": (made.elements, []),
        "fit": (module.fit, [EXCHANGE, row]),
        "fit an average": (module.fit, [EXCHANGE, tuple(Row(*row)._replace(average=average))]),
        "step_tensors with an average": (
            module.step_tensors,
            [EXCHANGE, [tuple(Row(*row)._replace(average=torch.zeros(3), weight=0.1))], [0.0] * 6, 0],
        ),
        "step_tensors": (module.step_tensors, [EXCHANGE, [row], [0.0] * 6, 0]),
        "step_tensors by unit": (
            module.step_tensors,
            [EXCHANGE, [tuple(Row(*row)._replace(factors=torch.ones(3, dtype=torch.float64)))], [0.0] * 6, 0],
        ),
        "unit_norms": (module.unit_norms, [EXCHANGE, torch.ones(3, 2), torch.zeros(3, dtype=torch.float64)]),
        "unit_norms_of_array": (module.unit_norms_of_array, [np.ones((3, 2)), CODES[np.dtype(float)], np.zeros(3)]),
        "sum_of_squares": (module.sum_of_squares, [EXCHANGE, [torch.ones(3)]]),
        "learn_marks": (module.learn_marks, [EXCHANGE, examples()]),
        "is_marked": (module.is_marked, [EXCHANGE, torch.ones(3)]),
        "has_kernel": (module.has_kernel, [0, 0, 0]),
        "set_thread_count": (module.set_thread_count, [1, False]),
        "set_instruction_set": (module.set_instruction_set, [module.instruction_set()]),
        "xla_step": (module.xla_step, [1]),
        "ArrayStep": (module.ArrayStep, [*array, {}, {"w": 0}, np.ndarray, CODES]),
        "run": (array_step(module).run, [[0.0] * 6]),
    }


WRONG: tuple[Any, ...] = (
    None,
    -1,
    2**40,
    1.5,
    float("nan"),
    "x",
    b"x",
    (),
    [],
    {},
    [None],
    (None,) * 9,
    [()],
    [(1, 2)],
    [[(torch.ones(3), 5)]],
    [{"params": None}],
    [{"params": 3}],
    {"w": 1},
    {"w": None},
    {1: np.ones(2)},
    {"w": np.ones(2, np.int8)},
    {"w": np.ones((3, 2))[:, ::2]},
    object(),
    object,
    len,
    np.ones(3),
    torch.ones(0),
    torch.ones(3, device="meta"),
    torch.ones(3).to_sparse(),
    torch.ones(3, dtype=torch.int32),
    torch.ones(2, 3).t(),
    [torch.ones(3, device="meta")],
    [torch.ones(6)[::2]],
    [0.0] * 5,
    [0.0] * 12,
)


def changed(value: Any, draw: random.Random) -> Any:
    """Return an argument with one thing in it replaced, left out or added."""
    if isinstance(value, (list, tuple)) and value and draw.random() < 0.75:
        items = list(value)
        place = draw.randrange(len(items))
        kind = draw.random()
        if kind < 0.15:
            del items[place]
        elif kind < 0.3:
            items.insert(place, draw.choice(WRONG))
        else:
            items[place] = changed(items[place], draw)
        return type(value)(items)
    if isinstance(value, dict) and value and draw.random() < 0.5:
        return {key: changed(item, draw) for key, item in value.items()}
    return draw.choice(WRONG)


def test_the_right_calls_are_right() -> None:
    """All of them, so that what the others refuse is what was changed."""
    for function, arguments in good_calls().values():
        function(*arguments)


@settings(max_examples=draws(60), deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_wrong_call_raises_or_does_nothing_worse(seed: int) -> None:
    """One argument, or something within it, replaced by what does not belong there: for every entry."""
    draw = random.Random(seed)
    threads, chosen = native().thread_count(), native().instruction_set()
    try:
        for function, arguments in good_calls().values():
            given_arguments = list(arguments)
            kind = draw.random()
            if given_arguments and kind < 0.9:
                place = draw.randrange(len(given_arguments))
                given_arguments[place] = changed(given_arguments[place], draw)
            elif given_arguments and kind < 0.95:
                given_arguments.pop()
            else:
                given_arguments.append(draw.choice(WRONG))
            try:
                function(*given_arguments)
            except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, OverflowError):
                continue
    finally:
        native().set_thread_count(threads)
        native().set_instruction_set(chosen)
        native().learn_marks(EXCHANGE, examples())


def test_a_row_has_the_same_fields_on_both_sides() -> None:
    """In the same order; a row of more or fewer is refused."""
    assert Row._fields == native().ROW
    for wrong in (tuple(Row(param(), kind=0))[:-1], (*Row(param(), kind=0), None), [*Row(param(), kind=0)]):
        with pytest.raises(ValueError, match="a tuple of all fields"):
            native().Plan([wrong], *ASK)


def test_averages_that_do_not_fit() -> None:
    """Of another shape, layout, format or memory: refused, as is a name too few for one."""
    names = (*ASK[-1], "velocity_codes", "velocity_scales", "average")
    made = param()
    own = made.data
    for average in (
        torch.zeros(4),
        torch.zeros(6)[::2],
        torch.zeros(3, dtype=torch.float64),
        torch.zeros(3, dtype=torch.int32),
        own,
        torch.zeros(3, device="meta"),
    ):
        row = Row(made, state={"average": average}, average=average, kind=0, weight=0.1)
        with pytest.raises(ValueError, match="average|layout|overlap|memory"):
            native().Plan([row], *ASK[:-1], names)
        assert native().fit(EXCHANGE, Row(made, made.grad, average=average)) == (average is own)
        rows = [Row(made, made.grad, average=average, kind=0, weight=0.1)]
        with pytest.raises(ValueError, match="average|layout|share|memory"):
            native().step_tensors(EXCHANGE, rows, [0.0] * 6, 0)
    kept = torch.zeros(3)
    with pytest.raises(ValueError, match="scales and an average need the names"):
        native().Plan([Row(made, state={"average": kept}, average=kept, kind=0, weight=0.1)], *ASK)
    with pytest.raises(ValueError, match="in a dict"):
        native().Plan([Row(made, average=kept, kind=0, weight=0.1)], *ASK[:-1], names)


def test_calls_that_ended_the_process() -> None:
    """Names that are too few or none, a plan that was never made, and kinds that were taken out of their list."""
    module = native()
    for names in ((), ("a",), ("a", "b", "c"), (1, 2, 3, 4), (None,) * 4, ("a",) * 5):
        with pytest.raises(ValueError, match="name"):
            module.Plan([], EXCHANGE, torch.Tensor, names)
    for kind in (module.Plan, module.ArrayStep):
        with pytest.raises((TypeError, RuntimeError)):
            kind.__new__(kind).run() if kind is module.ArrayStep else kind.__new__(kind).refresh()
    step = array_step(module)
    step.kinds.clear()
    with pytest.raises(ValueError, match="six coefficients per kind"):
        step.run([])
    with pytest.raises(ValueError, match="six coefficients"):
        module.step_tensors(EXCHANGE, [], [0.0] * 7, 0)
    with pytest.raises(RuntimeError, match="refreshed"):
        native().Plan([Row(param(), kind=0)], *ASK).step([0.0] * 6, 0)
    module.set_thread_count(2**31 - 1)
    assert module.thread_count() == 1024
    module.set_thread_count(1)


def test_tensors_that_share_memory_are_refused() -> None:
    """By a plan, and without one."""
    module = native()
    memory = torch.ones(8)
    for one, grad in ((memory[:4], memory[2:6]), (memory[:4], memory[:4]), (memory[1:5], memory[:4])):
        with pytest.raises(ValueError, match="share memory"):
            module.step_tensors(EXCHANGE, [Row(one, grad, kind=0)], [0.0] * 6, 0)
        made = torch.nn.Parameter(one)
        made.grad = grad
        assert module.Plan([Row(made, kind=0)], *ASK).refresh() is False
    rows = []
    for part in (memory[:4], memory[3:7]):
        made = torch.nn.Parameter(part)
        made.grad = torch.ones(4)
        rows.append(Row(made, kind=0))
    with pytest.raises(ValueError, match="overlap"):
        module.Plan(rows, *ASK)
    with pytest.raises(ValueError, match="share memory"):
        module.step_tensors(EXCHANGE, [Row(row.param.detach(), torch.ones(4), kind=0) for row in rows], [0.0] * 6, 0)
    assert (memory == 1).all()
