"""What others write into `param_groups`, and numbers at the edge: checked before anything moves."""

import io
import math
from copy import deepcopy

import numpy as np
import pytest
import torch

from downslope.core.errors import SettingsError
from downslope.schedules import Cosine
from downslope.torch import SGD


def test_momentum_of_zero_in_between_leaves_the_velocity_as_torch_does() -> None:
    """Momentum 0.9, then 0, then 0.9 again: torch neither reads nor writes its buffer in between."""
    params = [torch.nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2)]
    ours = SGD([params[0]], lr=0.1, momentum=0.9, dampening=0.5)
    theirs = torch.optim.SGD([params[1]], lr=0.1, momentum=0.9, dampening=0.5)
    for momentum, grad in ((0.9, 1.0), (0.0, 5.0), (0.9, 1.0)):
        for param, optimizer in zip(params, (ours, theirs), strict=True):
            optimizer.param_groups[0]["momentum"] = momentum
            param.grad = torch.full((1,), grad, dtype=torch.float64)
            optimizer.step()
        assert params[0].item() == pytest.approx(params[1].item(), rel=1e-12)


def test_coefficients_beyond_float32_are_refused_before_anything_moves() -> None:
    """An lr of 1e39 in the second group: the first has not moved either; in float64 it is allowed."""
    small, large = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = SGD([{"params": [small]}, {"params": [large], "lr": 1e39}], lr=0.1, momentum=0.9)
    small.grad, large.grad = torch.ones(2), torch.ones(2)
    with pytest.raises(SettingsError, match=r"param group 1: `lr` 1e\+39.*float32"):
        optimizer.step()
    assert (small == 1).all()
    assert not optimizer.state
    assert optimizer.step_count == 0
    wide = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    wide.grad = torch.ones(2, dtype=torch.float64)
    SGD([wide], lr=1e39).step()
    assert (wide == 1.0 - 1e39).all()


@pytest.mark.parametrize("foreach", [None, True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_an_infinite_parameter_does_not_become_nan(dtype, foreach) -> None:
    """Without weight decay nothing multiplies the parameter, so infinity stays infinity, as in torch."""
    param = torch.nn.Parameter(torch.tensor([1.0, -math.inf], dtype=dtype))
    optimizer = SGD([param], lr=0.5, momentum=0.5, foreach=foreach)
    for _ in range(3):
        param.grad = torch.tensor([1.0, 0.0], dtype=dtype)
        optimizer.step()
    assert param[1].item() == -math.inf
    assert math.isfinite(param[0].item())


def test_numbers_of_numpy_do_not_keep_a_state_from_being_read() -> None:
    """np.float64 is a float to Python but not to torch.load(weights_only=True)."""
    param = torch.nn.Parameter(torch.ones(2))
    optimizer = SGD(
        [{"params": [param], "weight_decay": np.float64(0.1)}], lr=np.float64(0.1), momentum=np.float32(0.5)
    )
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["param_groups"][0]["lr"] == 0.1


@pytest.mark.parametrize(
    ("value", "words"),
    [(Cosine(0.1, 0.0, 10), "`lr_schedule`"), ("0.1", "`lr` must be a number"), (None, "`lr` must be a number")],
)
def test_what_is_no_number_is_refused_by_name(value, words) -> None:
    """A schedule, text or None written to a group gets a message, not a bare TypeError."""
    param = torch.nn.Parameter(torch.ones(2))
    optimizer = SGD([param], lr=0.1)
    param.grad = torch.ones(2)
    optimizer.param_groups[0]["lr"] = value
    with pytest.raises(SettingsError, match=words):
        optimizer.step()
    assert (param == 1).all()


def _written(optimizer, param, key, value) -> None:
    """Write a value to the second group and step; nothing may have moved before it is refused."""
    before = param.detach().clone()
    optimizer.param_groups[1][key] = value
    param.grad = torch.ones_like(param)
    try:
        optimizer.step()
    finally:
        assert torch.equal(param, before)


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("value", ["x", None, 2, math.nan, [True], torch.ones(2), torch.tensor(1.0)], ids=repr)
@pytest.mark.parametrize(
    "key",
    ["nesterov", "maximize", "lr_in_velocity", "undampened_first_step", "trust_clip", "foreach", "fused", "rounding"],
)
def test_a_flag_that_is_none_is_refused_when_it_is_written_later(key, value, stepped) -> None:
    """As it is in a new group, by its name and group; a word that is true, such as "no", did what True does."""
    if value is None and key in {"trust_clip", "foreach", "fused"}:
        return  # which is one of their values
    params = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = SGD([{"params": [param]} for param in params], lr=0.1, momentum=0.9)
    if stepped:
        for param in params:
            param.grad = torch.ones(2)
        optimizer.step()
    with pytest.raises(SettingsError, match=f"param group 1: `{key}` must be "):
        _written(optimizer, params[1], key, value)
    with pytest.raises(SettingsError, match=f"param group 2: `{key}` must be "):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], key: value})


def test_a_flag_of_numpy_may_be_written_later() -> None:
    """np.bool_ is True or False, as in a new group: Nesterov's first step of gradient 1 goes 1.5 lr."""
    param = torch.nn.Parameter(torch.ones(2))
    optimizer = SGD([param], lr=0.5, momentum=0.5)
    optimizer.param_groups[0]["nesterov"] = np.bool_(True)
    param.grad = torch.ones(2)
    optimizer.step()
    assert (param == 0.25).all()


def test_an_lr_that_is_none_is_said_with_its_group() -> None:
    """At the first step, which asks for lr before anything else, as later."""
    params = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    for value, words in (("x", "must be a number"), (torch.ones(2), "must hold one real number")):
        optimizer = SGD([{"params": [params[0]], "lr": 0.0}, {"params": [params[1]]}], lr=0.1)
        with pytest.raises(SettingsError, match=f"param group 1: `lr` .*{words}"):
            _written(optimizer, params[1], "lr", value)


@pytest.mark.parametrize("key", ["lr_initial", "lr_max", "initial_lr", "max_lr", "lr_scale"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "x", True, torch.ones(2)], ids=repr)
def test_what_is_like_an_lr_is_checked_like_lr(key, value) -> None:
    """In a new group, whether or not its decay needs them; what a step reads of them also when it is written later."""
    for options in ({}, {"weight_decay": 0.1, "decay": "corrected"}):
        param = torch.nn.Parameter(torch.ones(2))
        with pytest.raises(SettingsError, match=f"param group 0: `{key}`"):
            SGD([{"params": [param], key: value}], lr=0.1, **options)
        if key in {"lr_initial", "lr_max", "max_lr"}:
            optimizer = SGD([param], lr=0.1, **options)
            optimizer.param_groups[0][key] = value
            param.grad = torch.ones(2)
            with pytest.raises(SettingsError, match=f"param group 0: `{key}`"):
                optimizer.step()
            assert (param == 1).all()


def test_what_is_like_an_lr_may_be_what_lr_may_be() -> None:
    """Numbers of Python, NumPy and torch, 0 among them; and the largest value of a schedule without bounds."""
    param = torch.nn.Parameter(torch.ones(2))
    for value in (0, 0.5, np.float32(0.5), torch.tensor(0.5)):
        group = {"params": [param], "lr_initial": value, "lr_max": value, "lr_scale": value}
        SGD([group], lr=0.1).step()


def test_the_name_of_a_group_is_text() -> None:
    """As loggers of learning rates read it."""
    params = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = SGD([{"params": params[:1], "name": "backbone"}], lr=0.1)
    for name in (3, b"head", ["head"]):
        with pytest.raises(SettingsError, match="param group 1: `name` must be text; got"):
            optimizer.add_param_group({"params": params[1:], "name": name})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("step_in_backward", [False, True])
@pytest.mark.parametrize("written_at", [0, 2])
@pytest.mark.parametrize("make", [lambda: np.zeros(()), lambda: torch.zeros(())], ids=["array", "tensor"])
@pytest.mark.parametrize(
    ("name", "lr"),
    [(name, lr) for name in ("momentum", "weight_decay") for lr in (0.1, Cosine(0.1, 0.01, 20))] + [("lr", 0.1)],
)
def test_a_value_in_a_group_may_change_in_place(name, lr, make, written_at, step_in_backward) -> None:
    """The next step reads the new number, as it reads that of a new object: the same bits."""
    params = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    optimizers = [SGD([param], lr=lr, step_in_backward=step_in_backward) for param in params]
    values = [make() for _ in params]
    for step in range(8):
        for param, optimizer, value in zip(params, optimizers, values, strict=True):
            if step == written_at:
                optimizer.param_groups[0][name] = value
            if step == 4:
                value[...] = 0.3
            (param * torch.tensor([1.0, -2.0, 0.5])).sum().backward()
            optimizer.step()
            param.grad = None
        if step >= written_at:
            optimizers[1].param_groups[0][name] = values[1] = deepcopy(values[1])
            optimizers[1]._forget_plans()
    assert torch.equal(*params)
    assert not torch.equal(params[0], torch.ones(3))
