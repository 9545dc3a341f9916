"""`velocity_dtype="int8"`: the same bits with and without the kernel, what is saved and loaded, and what is refused."""

from __future__ import annotations

import copy
import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from downslope.core.blocks import decode, encode
from downslope.core.errors import SettingsError, StateError
from downslope.core.settings import Settings
from downslope.kernel import load_native
from downslope.kernel.coefficients import six_coefficients
from downslope.torch import SGD, decoded_state

SHAPES = ((100, 41), (5,), (8, 16, 6, 6), (4097,), (0, 3))
COMMON: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "velocity_dtype": "int8"}
RULES: list[dict[str, Any]] = [
    {},
    {"nesterov": True, "weight_decay": 0.01},
    {"weight_decay": 0.1, "decay": "decoupled", "lr_in_velocity": True},
    {"weight_decay": 0.1, "decay": "independent", "dampening": 0.3, "undampened_first_step": False},
    {"maximize": True, "dampening": 0.5, "nesterov": True},
]
FORMATS = [
    (torch.float32, "nearest"),
    (torch.float16, "nearest"),
    (torch.bfloat16, "nearest"),
    (torch.bfloat16, "stochastic"),
    (torch.bfloat16, "compensated"),
]


def drawn(dtype: torch.dtype, seed: int = 0) -> list[Parameter]:
    """Return parameters of all kinds of shapes."""
    generator = torch.Generator().manual_seed(seed)
    return [Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in SHAPES]


def go(params: list[Parameter], optimizer: SGD, steps: range) -> None:
    """Step with gradients that depend on the step alone."""
    for step in steps:
        generator = torch.Generator().manual_seed(100 + step)
        for param in params:
            param.grad = torch.randn(param.shape, generator=generator).to(param.dtype)
        optimizer.step()


def assert_same(mine: list[Parameter], ours: SGD, others: list[Parameter], theirs: SGD) -> None:
    """Assert that parameters and all of their state have the same bits."""
    for one, other in zip(mine, others, strict=True):
        assert torch.equal(one, other)
        assert ours.state[one].keys() == theirs.state[other].keys()
        for key, value in ours.state[one].items():
            assert torch.equal(value, theirs.state[other][key]), key


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize(("dtype", "rounding"), FORMATS, ids=str)
def test_torchs_operations_have_the_kernels_bits(dtype: torch.dtype, rounding: Any, rule: dict[str, Any]) -> None:
    """Every format and rounding, every kind of rule: large parameters, whose velocity is codes, bit for bit."""
    both: list[Any] = []
    ways: list[dict[str, Any]] = [{}, {"fused": False, "foreach": False}]
    for way in ways:
        params = [param for param in drawn(dtype) if param.numel() >= 4096]
        optimizer = SGD(params, rounding=rounding, **COMMON, **rule, **way)
        go(params, optimizer, range(4))
        assert optimizer._plan is not None
        assert optimizer._plan.has_kernel == (not way and load_native() is not None)
        both += [params, optimizer]
    assert_same(*both)
    assert sorted(both[1].state[both[0][0]])[-2:] == ["velocity_codes", "velocity_scales"]


def test_a_step_is_the_rules_in_numpy() -> None:
    """The six numbers of the rule on float32, codes by `core.blocks`: three steps of one parameter."""
    param = drawn(torch.float32)[0]
    optimizer = SGD([param], nesterov=True, weight_decay=0.01, **COMMON)
    values = param.detach().numpy().copy()
    velocity = np.zeros_like(values)
    rule = Settings(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    dp, dg, dv, vp, vg, vv = map(np.float32, six_coefficients(rule.at(0)))
    for step in range(3):
        go([param], optimizer, range(step, step + 1))
        grad = torch.randn(param.shape, generator=torch.Generator().manual_seed(100 + step)).numpy()
        delta = dp * values + dg * grad + dv * velocity
        velocity = decode(*encode(vp * values + vg * grad + vv * velocity))
        values = values + delta
        assert np.array_equal(param.detach().numpy(), values)


def test_small_parameters_keep_float32_and_that_is_said() -> None:
    """Below 4096 elements, and of any format, the velocity is float32; repr counts both kinds."""
    params = drawn(torch.bfloat16)
    optimizer = SGD(params, **COMMON)
    go(params, optimizer, range(1))
    assert [optimizer.state[p].get("momentum_buffer") is not None for p in params] == [False, True, False, False, True]
    assert optimizer.state[params[1]]["momentum_buffer"].dtype is torch.float32
    assert "velocities of 8 bits: of 3 of 5 parameters; of the others, which have fewer than 4096" in repr(optimizer)
    assert repr(SGD(params[:1], **COMMON)).endswith("velocities of 8 bits: of 1 of 1 parameters")
    exactly = [Parameter(torch.zeros(n)) for n in (4095, 4096)]
    optimizer = SGD(exactly, **COMMON)
    go(exactly, optimizer, range(1))
    assert ["velocity_codes" in optimizer.state[param] for param in exactly] == [False, True]


@pytest.mark.parametrize("layout", ["channels-last", "transposed", "gaps"])
def test_a_layout_changes_no_number(layout: str) -> None:
    """Blocks are counted in row-major order, whatever the memory's: the same numbers, by torch's operations."""
    plain = Parameter(torch.randn(8, 16, 6, 6, generator=torch.Generator().manual_seed(1)))
    other = plain.detach().clone()
    if layout == "gaps":
        other = torch.zeros(8, 16, 6, 12)[..., ::2].copy_(other)
    elif layout == "transposed":
        other = other.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    else:
        other = other.contiguous(memory_format=torch.channels_last)
    laid = Parameter(other)
    one, two = SGD([plain], **COMMON), SGD([laid], **COMMON)
    go([plain], one, range(3))
    go([laid], two, range(3))
    assert_same([plain], one, [laid], two)
    assert not laid.is_contiguous()
    again = SGD([laid], **COMMON)
    state = one.state_dict()  # of contiguous codes, as safetensors has them
    again.load_state_dict(state)
    assert torch.equal(again.state[laid]["velocity_codes"], one.state[plain]["velocity_codes"])


def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one() -> None:
    """Saved to bytes and loaded into a new optimizer, and through deepcopy: nothing is encoded twice."""
    whole = drawn(torch.float32)
    end = SGD(whole, **COMMON)
    go(whole, end, range(6))
    half = drawn(torch.float32)
    first = SGD(half, **COMMON)
    go(half, first, range(3))
    copied, copied_params = copy.deepcopy((first, half))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed = [Parameter(param.detach().clone()) for param in half]
    second = SGD(resumed, **COMMON)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second.load_state_dict(torch.load(file, weights_only=True))
    go(resumed, second, range(3, 6))
    go(copied_params, copied, range(3, 6))
    assert_same(whole, end, resumed, second)
    assert_same(whole, end, copied_params, copied)


def test_states_go_to_float32_and_back() -> None:
    """From float32 they are rounded, to float32 not; each is said; torch.optim.SGD takes what is decoded."""
    params = drawn(torch.float32)
    wide = SGD(params, lr=0.1, momentum=0.9)
    go(params, wide, range(2))
    ours = SGD(params, **COMMON)
    with pytest.warns(UserWarning, match="rounded 3 velocities to 8 bits .parameter 0 of group 0, .* 0.8 per cent"):
        ours.load_state_dict(wide.state_dict())
    codes, scales = encode(wide.state[params[0]]["momentum_buffer"].numpy())
    assert np.array_equal(ours.state[params[0]]["velocity_codes"].numpy(), codes)
    assert np.array_equal(ours.state[params[0]]["velocity_scales"].numpy(), scales)
    back = SGD(params, lr=0.1, momentum=0.9)
    with pytest.warns(UserWarning, match="turned 3 velocities of 8 bits into float32"):
        back.load_state_dict(ours.state_dict())
    assert np.array_equal(back.state[params[0]]["momentum_buffer"].numpy(), decode(codes, scales))
    theirs = torch.optim.SGD(params, lr=0.1, momentum=0.9)
    theirs.load_state_dict(decoded_state(ours.state_dict()))
    for param in params:
        assert torch.equal(theirs.state[param]["momentum_buffer"], back.state[param]["momentum_buffer"])
    with pytest.warns(UserWarning, match="rounded"):
        ours.load_state_dict(back.state_dict())  # to the same codes again
    assert np.array_equal(ours.state[params[0]]["velocity_codes"].numpy(), codes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_states_of_narrow_models_are_taken_up(dtype: torch.dtype) -> None:
    """Large velocities become codes, small ones float32, which has all of their numbers; and back they are kept."""
    params = drawn(dtype)
    narrow = SGD(params, lr=0.1, momentum=0.9)
    go(params, narrow, range(2))
    ours = SGD(params, **COMMON)
    with pytest.warns(UserWarning, match="rounded 3 velocities to 8 bits"):
        ours.load_state_dict(narrow.state_dict())
    small = narrow.state[params[1]]["momentum_buffer"]
    assert ours.state[params[1]]["momentum_buffer"].dtype is torch.float32
    assert torch.equal(ours.state[params[1]]["momentum_buffer"], small.float())
    codes, scales = encode(narrow.state[params[0]]["momentum_buffer"].float().numpy())
    assert np.array_equal(ours.state[params[0]]["velocity_codes"].numpy(), codes)
    assert np.array_equal(ours.state[params[0]]["velocity_scales"].numpy(), scales)
    go(params, ours, range(2, 3))


def test_a_state_that_does_not_fit_is_refused() -> None:
    """Codes without scales, of another shape or format: all listed, nothing loaded."""
    params = drawn(torch.float32)[:1]
    ours = SGD(params, **COMMON)
    go(params, ours, range(1))
    for change, message in (
        ({"velocity_scales": None}, "must be `velocity_codes` and `velocity_scales`, both tensors"),
        ({"velocity_scales": torch.zeros(3)}, r"has scales of shape \(3,\), expected are \(17,\)"),
        ({"velocity_codes": torch.zeros(4, dtype=torch.int8)}, r"has shape \(4,\)"),
        ({"velocity_codes": torch.zeros(100, 41)}, "must be codes of int8"),
    ):
        state = ours.state_dict()
        state["state"] = {0: {**state["state"][0], **change}}
        with pytest.raises(StateError, match=f"the 8-bit velocity of parameter 0 of group 0 {message}"):
            SGD(params, **COMMON).load_state_dict(state)
        with pytest.raises(StateError, match="the 8-bit velocity of parameter 0 "):
            decoded_state(state)
    with pytest.raises(StateError, match="must be a state with `state` in it"):
        decoded_state({"model": {}})
    doubles = [Parameter(param.detach().double()) for param in params]
    wide = SGD(doubles, lr=0.1, momentum=0.9)
    with pytest.warns(UserWarning, match="turned 1 velocities of 8 bits into float32"):
        wide.load_state_dict(ours.state_dict())  # the same numbers in float64, as a velocity of float32 is cast
    state = ours.state[params[0]]
    expected = decode(state["velocity_codes"].numpy(), state["velocity_scales"].numpy())
    assert np.array_equal(wide.state[doubles[0]]["momentum_buffer"].numpy(), expected.astype(np.float64))


@pytest.mark.parametrize(
    ("options", "dtype", "message"),
    [
        ({}, torch.float64, r'`velocity_dtype="int8"` is for .* and parameter 0 of group 0 is torch\.float64'),
        ({}, torch.complex64, r"parameter 0 of group 0 is torch\.complex64"),
        ({"differentiable": True}, torch.float32, "autograd cannot see through codes"),
        ({"velocity_dtype": "int4"}, torch.float32, '`velocity_dtype` must be None, "int8", or a floating'),
        ({"velocity_dtype": torch.uint8}, torch.float32, "`velocity_dtype` must be None"),
    ],
)
def test_what_does_not_combine_is_refused(options: dict[str, Any], dtype: torch.dtype, message: str) -> None:
    """With the reason, before anything is stepped."""
    with pytest.raises(SettingsError, match=message):
        SGD([Parameter(torch.zeros(100, 100, dtype=dtype))], **{**COMMON, **options})


def test_a_group_that_is_added_is_checked_too() -> None:
    """torch.int8 is another word for it; a float64 group is refused and an option set later holds."""
    optimizer = SGD([Parameter(torch.zeros(4096))], **{**COMMON, "velocity_dtype": torch.int8})
    assert optimizer.velocity_dtype == "int8"
    with pytest.raises(SettingsError, match="group 1 is torch.float64"):
        optimizer.add_param_group({"params": [torch.zeros(4096, dtype=torch.float64)]})
    later = drawn(torch.float32)
    other = SGD(later, lr=0.1, momentum=0.9)
    go(later[:1], other, range(1))
    other.velocity_dtype = "int8"
    go(later, other, range(1, 2))  # a velocity that is there keeps its form
    assert "momentum_buffer" in other.state[later[0]]
    assert "velocity_codes" in other.state[later[2]]


@pytest.mark.parametrize("way", [{}, {"fused": False}], ids=str)
def test_one_nan_is_one_nan(way: dict[str, Any]) -> None:
    """As with float32: an element whose gradient was not finite is lost, and none beside it."""
    params, wide = [Parameter(torch.zeros(5000))], [Parameter(torch.zeros(5000))]
    ours, theirs = SGD(params, **COMMON, **way), SGD(wide, lr=0.1, momentum=0.9)
    for step in range(3):
        grad = torch.full((5000,), 1.0)
        grad[300] = [float("inf"), 1.0, float("nan")][step]
        params[0].grad, wide[0].grad = grad, grad.clone()
        ours.step()
        theirs.step()
    lost = ~params[0].isfinite()
    assert lost.nonzero().flatten().tolist() == [300]
    assert torch.equal(lost, ~wide[0].isfinite())
    torch.testing.assert_close(params[0][~lost], wide[0][~lost])


def test_the_step_within_the_backward_pass_has_the_same_bits() -> None:
    """Codes and scales are made ahead, and gradients freed."""
    models = []
    for inside in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.Tanh(), torch.nn.Linear(96, 64))
        optimizer = SGD(model.named_parameters(), step_in_backward=inside, **COMMON)
        for step in range(3):
            optimizer.zero_grad()
            model(torch.randn(4, 64, generator=torch.Generator().manual_seed(step))).square().sum().backward()
            optimizer.step()
        models += [list(model.parameters()), optimizer]
        assert not optimizer.reserved
    assert_same(*models)


def test_tensors_that_share_memory_are_stepped_one_by_one() -> None:
    """Two parameters on one storage and one given twice: as if each were alone, in order."""
    memory = torch.zeros(6000)
    whole, part = Parameter(memory), Parameter(memory[:5000])
    optimizer = SGD([whole, part], **COMMON)
    for param in (whole, part):
        param.grad = torch.ones_like(param)
    optimizer.step()
    assert torch.allclose(memory[:5000], torch.tensor(-0.2))
    assert torch.allclose(memory[5000:], torch.tensor(-0.1))
    with pytest.warns(UserWarning, match="duplicate"):
        twice = SGD([part, part], **COMMON)
    twice.step()
    assert torch.allclose(part, torch.tensor(-0.4))


def test_an_option_and_a_compiled_step_see_the_codes() -> None:
    """Clipping, skipping and schedules go as with float32; a replaced tensor of state is found."""
    params = drawn(torch.float32)
    optimizer = SGD(params, clip_norm=1.0, on_nonfinite="skip", **COMMON)
    go(params, optimizer, range(3))
    kept = {key: value.clone() for key, value in optimizer.state[params[0]].items()}
    before = params[0].detach().clone()
    for param in params:
        param.grad = torch.full_like(param, float("nan"))
    optimizer.step()
    assert optimizer.skipped_steps == 1
    assert torch.equal(params[0], before)
    assert all(torch.equal(kept[key], value) for key, value in optimizer.state[params[0]].items())
    optimizer.state[params[0]]["velocity_scales"] = torch.zeros_like(kept["velocity_scales"])
    params[0].grad = torch.zeros_like(params[0])
    optimizer.step()
    assert torch.equal(params[0], before)  # a velocity of zeros, and no gradient
