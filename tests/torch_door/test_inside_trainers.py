"""Inside trainers that are not installed here: small classes that wrap, clip and step as theirs do."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.nn.utils import clip_grad_norm_ as taken_before  # as skorch's callback has it
from torch_runs import assert_same_bits, make_params, run, set_grads

from downslope.core.errors import SettingsError
from downslope.torch import SGD


class FabricLike:
    """Wraps as Lightning Fabric does: the attributes copied once, the class inheriting from the optimizer's."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        """Become an optimizer of a class made on the spot."""
        left_out = ("state_dict", "step", "zero_grad", "__del__")
        self.__dict__ = {name: value for name, value in optimizer.__dict__.items() if name not in left_out}
        self.__class__ = type("Fabric" + type(optimizer).__name__, (type(self), type(optimizer)), {})
        self._optimizer = optimizer

    def state_dict(self) -> Any:
        """Return the optimizer's."""
        return self._optimizer.state_dict()

    def step(self, closure: Any = None) -> Any:
        """Step the optimizer."""
        return self._optimizer.step(closure)


class LightningLike:
    """Wraps as Lightning's trainer does: the class inherits from the optimizer's, attributes are looked up in it."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        """Become an optimizer of a class made on the spot."""
        self._optimizer = optimizer
        self.__class__ = type("Lightning" + type(optimizer).__name__, (type(self), type(optimizer)), {})

    def __getattr__(self, name: str) -> Any:
        """Return what only the optimizer has."""
        return getattr(self._optimizer, name)

    def step(self, closure: Any = None, **kwargs: Any) -> Any:
        """Step the optimizer."""
        return self._optimizer.step(closure, **kwargs)


WRAPPERS = [FabricLike, LightningLike]


def model_and_optimizer(**options: Any) -> tuple[torch.nn.Module, SGD]:
    """Return a small model and its optimizer."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    return model, SGD(model, lr=0.1, momentum=0.9, **options)


def backward(model: torch.nn.Module, seed: int) -> None:
    """Take a backward pass on data of its own."""
    model(torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))).square().sum().backward()


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("within", [True, False])
def test_accumulation_through_a_wrapper(wrap: Any, within: bool) -> None:
    """`accumulate` of the wrapper is the optimizer's: the micro-batches add up, with the bits of the bare optimizer."""
    bare, bare_optimizer = model_and_optimizer()
    model, optimizer = model_and_optimizer(step_in_backward=within)
    wrapped = wrap(optimizer)
    for step in range(3):
        with wrapped.accumulate():
            backward(model, 2 * step)
        assert all(param.grad is not None for param in model.parameters())
        backward(model, 2 * step + 1)
        wrapped.step()
        bare_optimizer.zero_grad()
        backward(bare, 2 * step)
        backward(bare, 2 * step + 1)
        bare_optimizer.step()
        optimizer.zero_grad()
    assert_same_bits(model.parameters(), bare.parameters())
    assert wrapped.step_in_backward is within
    assert wrapped.step_count == optimizer.step_count == 3


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_what_is_seen_and_set_through_a_wrapper_is_the_optimizers(wrap: Any) -> None:
    """The norm of the last step, counts, and the choices that a person may change between steps."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, clip_norm=1.0, on_nonfinite="raise")
    wrapped = wrap(optimizer)
    run(wrapped, params, 2)
    assert wrapped.grad_norm == optimizer.grad_norm > 1
    assert wrapped.clip_norm == 1.0
    wrapped.clip_norm, wrapped.on_nonfinite = 0.5, "skip"
    assert (optimizer.clip_norm, optimizer.on_nonfinite) == (0.5, "skip")
    before = [param.detach().clone() for param in params]
    set_grads(params, 2)
    wrapped.step()
    moved = torch.cat([(new - old).flatten() for new, old in zip(params, before, strict=True)])
    assert moved.norm().item() == pytest.approx(0.05)  # lr 0.1 times the norm 0.5
    params[0].grad = torch.full_like(params[0], torch.inf)
    wrapped.step()
    assert wrapped.skipped_steps == optimizer.skipped_steps == 1
    wrapped.step_count = 7
    assert optimizer.step_count == 7
    with pytest.raises(SettingsError, match="`clip_norm` must be a finite number above 0"):
        wrapped.clip_norm = -1.0


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_group_added_through_a_wrapper_is_the_optimizers(wrap: Any) -> None:
    """Its parameter is stepped, by an ordinary step and within the backward pass."""
    for within in (True, False):
        model, optimizer = model_and_optimizer(step_in_backward=within)
        late = torch.nn.Parameter(torch.ones(2))
        wrap(optimizer).add_param_group({"params": [("late", late)], "lr": 0.5})
        (late.sum() + model(torch.ones(3)).sum()).backward()
        optimizer.step()
        assert late.tolist() == [0.5, 0.5]
        assert sum(map(len, optimizer._param_lists)) == 5


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_shares_nothing(copied: Callable[[Any], Any]) -> None:
    """What wrappers share, copies do not."""
    model, optimizer = model_and_optimizer(clip_norm=1.0, on_nonfinite="skip")
    _, other = copied((model, optimizer))
    other.clip_norm = 2.0
    assert (optimizer.clip_norm, other.clip_norm, other.on_nonfinite) == (1.0, 2.0, "skip")


class AccelerateLike:
    """Clips and steps as Accelerate and Hugging Face's Trainer do: torch's function, looked up when it is called."""

    max_grad_norm = 1.0

    def train(self, model: torch.nn.Module, optimizer: Any) -> None:
        """Take one step."""
        backward(model, 0)
        if self.max_grad_norm > 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), self.max_grad_norm, norm_type=2)
        optimizer.step()
        optimizer.zero_grad()


class LightningClips(AccelerateLike):
    """Clips as Lightning's precision plugin does, within the closure that the optimizer's step calls."""

    def __init__(self, by: str = "norm") -> None:
        """Choose what is clipped."""
        self.by = by

    def train(self, model: torch.nn.Module, optimizer: Any) -> None:
        """Take one step."""

        def closure() -> None:
            optimizer.zero_grad()
            backward(model, 0)
            params = [param for group in optimizer.param_groups for param in group["params"]]
            if self.by == "norm":
                torch.nn.utils.clip_grad_norm_(params, 1.0)
            else:
                torch.nn.utils.clip_grad_value_(params, clip_value=1.0)

        optimizer.step(closure)


class SkorchClips(AccelerateLike):
    """Clips as skorch's callback does: a function taken when the module was imported, given a generator."""

    def train(self, model: torch.nn.Module, optimizer: Any) -> None:
        """Take one step."""
        backward(model, 0)
        taken_before((param for _, param in model.named_parameters()), max_norm=1.0)
        optimizer.step()


TRAINERS = [AccelerateLike(), LightningClips(), LightningClips("value"), SkorchClips()]


@pytest.mark.parametrize("trainer", TRAINERS, ids=lambda t: type(t).__name__ + getattr(t, "by", ""))
@pytest.mark.parametrize("wrap", [lambda o: o, *WRAPPERS], ids=["bare", "Fabric", "Lightning"])
def test_clipping_by_the_trainer_is_refused_where_the_gradients_are_gone(trainer: Any, wrap: Any) -> None:
    """Not dropped in silence; and the message says what to do instead."""
    model, optimizer = model_and_optimizer(step_in_backward=True)
    with pytest.raises(SettingsError, match=r"4 of 4 parameters were stepped.*clip_norm=.*gradient_clip_val.*max_grad"):
        trainer.train(model, wrap(optimizer))
    optimizer.step()  # closes the step, as the message says
    assert optimizer.step_count == 1


@pytest.mark.parametrize("trainer", TRAINERS, ids=lambda t: type(t).__name__ + getattr(t, "by", ""))
def test_clipping_by_the_trainer_works_with_every_other_optimizer(trainer: Any) -> None:
    """Of other models too, while one that steps within the backward pass is alive."""
    other, within = model_and_optimizer(step_in_backward=True)
    backward(other, 1)  # its step is open
    model, optimizer = model_and_optimizer()
    reference, theirs = model_and_optimizer()
    trainer.train(model, optimizer)
    del within
    trainer.train(reference, torch.optim.SGD(reference.parameters(), lr=0.1, momentum=0.9))
    torch.testing.assert_close(list(model.parameters()), list(reference.parameters()))
    assert theirs.step_count == 0


@contextmanager
def clean() -> Iterator[None]:
    """Collect what earlier tests left, so that no optimizer of theirs is alive."""
    gc.collect()
    yield
    gc.collect()


@pytest.mark.usefixtures("what_lives_is_not_searched")
def test_torchs_functions_are_its_own_again_when_the_optimizer_is_gone() -> None:
    """They are replaced only as long as somebody needs it; before, after and between steps they work."""
    clip_grad = torch.nn.utils.clip_grad
    names = ("clip_grad_norm_", "clip_grad_value_", "_clip_grads_with_norm_")
    with clean():
        own = [getattr(clip_grad, name) for name in names]
        model, optimizer = model_and_optimizer(step_in_backward=True)
        assert torch.nn.utils.clip_grad_norm_ is not own[0]
        assert torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) == 0  # nothing was stepped yet
        with optimizer.accumulate():
            backward(model, 0)
        assert torch.nn.utils.clip_grad_norm_(iter(model.parameters()), 1.0) > 0  # these gradients are there
        optimizer.zero_grad()
        backward(model, 0)
        optimizer.step()
        assert torch.nn.utils.clip_grad_norm_(parameters=model.parameters(), max_norm=1.0) == 0
        del optimizer
    assert [getattr(clip_grad, name) for name in names] == own
    assert torch.nn.utils.clip_grad_norm_ is own[0]


def test_a_norm_that_is_only_measured_is_not_known() -> None:
    """Hugging Face's Trainer asks for it with an infinite largest norm, for its log: NaN, and nothing is lost."""
    model, optimizer = model_and_optimizer(step_in_backward=True)
    backward(model, 0)
    assert torch.nn.utils.clip_grad_norm_(list(model.parameters()), float("inf")).isnan()
    optimizer.step()
    plain, _ = model_and_optimizer()
    backward(plain, 0)
    assert torch.nn.utils.clip_grad_norm_(list(plain.parameters()), float("inf")) > 0


def test_gradients_that_are_to_be_made_by_example_are_not_stepped_before() -> None:
    """Opacus marks its parameters with `grad_sample`; the error comes before anything moves."""
    model, _optimizer = model_and_optimizer(step_in_backward=True)
    before = [param.detach().clone() for param in model.parameters()]
    model[0].weight.grad_sample = None
    with pytest.raises(SettingsError, match="under Opacus"):
        backward(model, 0)
    assert_same_bits(model.parameters(), before)
