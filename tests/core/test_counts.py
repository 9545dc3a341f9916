"""Counts in Python: NumPy's integers are integers wherever one is taken, and what is none is refused by name."""

import numpy as np
import pytest
import torch

import downslope.torch
from downslope import ScheduleFree, Settings, compare, explain, export, load_recipe, set_num_threads
from downslope.core.checks import as_count
from downslope.core.errors import DownslopeError, ExportError
from downslope.kernel import _Threads

SGD = Settings(lr=0.1, momentum=0.9)


def parameter():
    """Return a parameter of 16 bits, for which roundings are drawn."""
    return [torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))]


def threads(count):
    """Set the number of threads, and return what was kept; as it was before, afterwards."""
    before = _Threads.chosen
    try:
        set_num_threads(count)
        return type(_Threads.chosen), _Threads.chosen
    finally:
        _Threads.chosen = before


TAKE_A_COUNT = {
    "compare": lambda count: str(compare(SGD, Settings(lr=0.1), steps=count)),
    "explain": lambda count: str(explain(SGD, steps=count, examples=count, batch_size=count)),
    "export": lambda count: export(load_recipe(), "torch", steps_per_epoch=count),
    "schedule-free": lambda count: repr(ScheduleFree(lr=0.1, warmup_steps=count)),
    "a convention": lambda count: Settings.from_convention("sklearn", learning_rate_init=0.1, batch_size=count),
    "threads": threads,
    "rounding_seed": lambda count: (
        downslope.torch.SGD(parameter(), lr=0.1, rounding="stochastic", rounding_seed=count).rounding_seed
    ),
}


@pytest.mark.parametrize("number", [np.int64(3), np.uint8(3), np.array(3)[()]], ids=repr)
@pytest.mark.parametrize("take", TAKE_A_COUNT.values(), ids=TAKE_A_COUNT)
def test_an_integer_of_numpy_is_an_integer(take, number):
    """The answer is that for Python's 3, to the letter."""
    assert take(number) == take(3)


@pytest.mark.parametrize("number", [True, np.True_, 2.0, np.float64(3.0), "3", -1, np.int64(-1)], ids=repr)
@pytest.mark.parametrize("take", TAKE_A_COUNT.values(), ids=TAKE_A_COUNT)
def test_what_is_no_count_is_refused(take, number):
    """A flag, a fraction, text and a number below the least."""
    with pytest.raises(DownslopeError, match="integer"):
        take(number)


def test_a_refusal_names_the_argument_and_shortens_what_was_got():
    """With the least that is allowed."""
    with pytest.raises(ExportError, match=r"^`steps` must be an integer >= 5; got 4\.$"):
        as_count("steps", 4, least=5, error=ExportError)
    with pytest.raises(DownslopeError) as caught:
        as_count("steps", "9" * 100_000)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("number", [np.float32(2.5), np.int64(2), np.float64(2.5)], ids=repr)
def test_clip_norm_is_any_real_number(number):
    """NumPy's as Python's; it is kept as a float."""
    kept = downslope.torch.SGD(parameter(), lr=0.1, clip_norm=number).clip_norm
    assert (type(kept), kept) == (float, float(number))


@pytest.mark.parametrize("number", [10**400, np.float32("inf"), np.int64(0), np.True_, "1"], ids=type)
def test_a_clip_norm_that_is_none_is_refused(number):
    """Beyond all floats, infinite, 0, a flag, text."""
    with pytest.raises(DownslopeError, match="`clip_norm` must be a finite number above 0"):
        downslope.torch.SGD(parameter(), lr=0.1, clip_norm=number)
