"""Steps of parameters on a device: the same rule, few launches, and decisions that stay there.

Where there is no device, tensors of the processor are taken for such: torch's fused kernel and its multi-tensor
operations are there, too.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from test_conformance_torch import DTYPES, PARAM_BOUND_ULP, run_ours
from torch_runs import assert_close, make_params, run, values, velocities

from cases import CASES
from downslope import Settings
from downslope.core.errors import NonFiniteGradientError
from downslope.schedules import Cosine
from downslope.torch import SGD, GradScaler, on_device
from downslope.torch.on_device import FusedForm, fused_form
from downslope.torch.update import in_place_step
from reference import reference_of, ulp_error

RULES = [
    {"momentum": momentum, "dampening": dampening, "nesterov": nesterov, "weight_decay": decay, "decay": way,
     "lr_in_velocity": inside, "maximize": inside}
    for momentum, dampening, nesterov, (decay, way), inside in itertools.product(
        (0.0, 0.9), (0.0, 0.3), (False, True), ((0.0, "coupled"), (0.01, "coupled"), (0.01, "decoupled")), (False, True)
    )
    if momentum or not (dampening or nesterov)
]  # fmt: skip
BOUNDS = {torch.float32: 1e-6, torch.float64: 1e-13, torch.bfloat16: 2e-2, torch.float16: 2e-3}


@pytest.fixture
def steps(monkeypatch):
    """Take the processor's tensors for a device's; return whether each step went that way."""
    went = []
    whole = on_device.step_on_device

    def noted(*words):
        went.append(whole(*words))
        return went[-1]

    for name in ("sgd", "grad_scaler"):
        monkeypatch.setattr(f"downslope.torch.{name}.is_elsewhere", lambda _: True)
    monkeypatch.setattr("downslope.torch.sgd.step_on_device", noted)
    return went


def trained(dtype, count=5, **options):
    """Return parameters after some steps, and their optimizer."""
    params = make_params(((3, 4), (5,), (), (2, 1, 3)), dtype)
    optimizer = SGD([(f"p{index}", param) for index, param in enumerate(params)], lr=0.1, **options)
    run(optimizer, params, count)
    return params, optimizer


@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
@pytest.mark.parametrize("clip", [None, 0.5])
def test_every_form_of_the_rule(dtype, clip, steps, monkeypatch):
    """As the usual way has it, velocities too, within the format's precision; and no gradient is written to."""
    for rule in RULES:
        steps.clear()
        ours, optimizer = trained(dtype, **rule, clip_norm=clip)
        assert steps == [True] * 5, rule
        with monkeypatch.context() as patch:
            patch.setattr("downslope.torch.sgd.is_elsewhere", lambda _: False)
            theirs, usual = trained(dtype, **rule, clip_norm=clip)
        for one, two in ((ours, theirs), (velocities(optimizer), velocities(usual))):
            pairs = [(a, b) for a, b in zip(one, two, strict=True) if b is not None]
            assert_close([a.double() for a, _ in pairs], [b.double() for _, b in pairs], BOUNDS[dtype])
        if clip is not None:
            assert optimizer.grad_norm == pytest.approx(usual.grad_norm, rel=1e-6)


@pytest.mark.parametrize("dtype", PARAM_BOUND_ULP)
def test_the_cases_of_the_table(dtype, steps):
    """Within the bound that the usual way has, against the rule in float64; no case needs another way."""
    for case in [case for case in CASES if not case.has_factors][::4]:  # for norms, torch's operations step
        model, _ = run_ours(case, DTYPES[dtype])
        answer = reference_of(case.name)
        for name, param in model.named_parameters():
            value, right = param.detach().numpy(), answer.params[-1][name]
            error = ulp_error(value, right, magnitude=answer.magnitudes[name])
            assert error <= PARAM_BOUND_ULP[dtype], f"{case}: {name} is {error:.1f} ulp away"
    assert all(steps)


@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
def test_gradients_are_never_written_to(dtype, steps):
    """Not where they are clipped, nor where the loss was scaled."""
    params, optimizer = trained(dtype, momentum=0.9, clip_norm=0.1)
    before = [param.grad.clone() for param in params]
    optimizer.step()
    assert all(torch.equal(param.grad, grad) for param, grad in zip(params, before, strict=True))
    assert all(steps)


def test_most_settings_are_one_pass():
    """Torch's kernel takes them; what it cannot say goes by multi-tensor operations."""

    def form(dtype=torch.float32, **settings):
        step = in_place_step(Settings(lr=0.1, **settings).at(0))
        return fused_form(step, dtype, has_velocity=bool(settings.get("momentum")))

    plain = form(momentum=0.9, weight_decay=0.01)
    assert plain == FusedForm(pytest.approx(0.1), 0.9, 0.0, pytest.approx(0.01), nesterov=False)
    assert form(momentum=0.9, weight_decay=0.01, decay="decoupled").beside == pytest.approx(-0.001)
    assert form(momentum=0.9, weight_decay=1e-5, decay="decoupled") is None  # rounded by itself it would be another
    assert form(momentum=0.9, nesterov=True, weight_decay=0.01).nesterov
    assert form(momentum=0.9, nesterov=True, lr_in_velocity=True) is None
    assert form(torch.bfloat16, momentum=0.9, weight_decay=0.01, decay="decoupled") is None
    assert form() == FusedForm(pytest.approx(0.1), 0.0, 0.0, -0.0, nesterov=False)


def test_a_gradient_that_is_not_finite_is_told_later_and_nothing_has_moved_since(steps):
    """With the step and the parameter at which it was, however many came after."""
    params, optimizer = trained(torch.float32, 3, momentum=0.9, weight_decay=0.1, decay="decoupled",
                                on_nonfinite="raise")  # fmt: skip
    optimizer.hold_nonfinite()
    run(optimizer, params, 2, start=3)
    optimizer.raise_held()
    kept, kept_velocities = values(params), values(velocities(optimizer))
    for number in range(4):
        for param in params:
            param.grad = torch.ones_like(param)
        params[1 if number == 0 else 2].grad.fill_(math.inf if number < 2 else math.nan)
        optimizer.step()
    with pytest.raises(
        NonFiniteGradientError, match=r"the gradient of `p1` holds inf or NaN at step 5; nothing was moved"
    ):
        optimizer.raise_held()
    assert all(torch.equal(one, two) for one, two in zip(params, kept, strict=True))
    assert all(torch.equal(one, two) for one, two in zip(velocities(optimizer), kept_velocities, strict=True))
    assert all(steps)


def test_what_is_held_follows_the_parameters(steps):
    """A parameter that has no gradient in some steps changes nothing."""
    params, optimizer = trained(torch.float32, 2, momentum=0.9, on_nonfinite="raise")
    optimizer.hold_nonfinite()
    for number in range(4):
        for param in params:
            param.grad = torch.ones_like(param)
        params[2].grad = None if number % 2 else params[2].grad
        optimizer.step()
    optimizer.raise_held()
    params[0].grad.fill_(math.nan)
    optimizer.step()
    with pytest.raises(NonFiniteGradientError, match="`p0` holds inf or NaN at step 6"):
        optimizer.raise_held()


def test_a_name_is_right_though_parameters_are_stepped_together_that_were_not(steps):
    """One that has no velocity yet is stepped apart from the others, and with them from the next step on."""
    params, optimizer = trained(torch.float32, 2, momentum=0.9, on_nonfinite="raise")
    del optimizer.state[params[1]]["momentum_buffer"]
    optimizer.hold_nonfinite()
    run(optimizer, params, 2)
    params[1].grad.fill_(math.nan)
    optimizer.step()
    with pytest.raises(NonFiniteGradientError, match="the gradient of `p1` holds inf or NaN at step 4"):
        optimizer.raise_held()
    assert all(steps)


def test_another_way_for_one_step(steps):
    """Gradients in another order are stepped by another way, and only they; not past one that is not finite."""
    params, optimizer = trained(torch.float32, 2, momentum=0.9, on_nonfinite="raise")
    optimizer.hold_nonfinite()
    for number in range(4):
        params[0].grad = torch.ones(4, 3).t() if number == 1 else torch.ones(3, 4)
        optimizer.step()
    assert steps == [True, True, True, False, True, True]
    params[1].grad.fill_(math.nan)
    optimizer.step()
    kept = values(params)
    params[0].grad, params[1].grad = torch.ones(4, 3).t(), torch.ones(5)
    with pytest.raises(NonFiniteGradientError, match="`p1` holds inf or NaN at step 6"):
        optimizer.step()
    assert all(torch.equal(one, two) for one, two in zip(params, kept, strict=True))


def test_a_loaded_state_has_nothing_of_what_was_before_it(steps):
    """Neither a gradient that is not finite, nor a step that only the device knows to be skipped."""
    params, optimizer = trained(torch.float32, 2, momentum=0.9, on_nonfinite="raise")
    saved = optimizer.state_dict()
    optimizer.hold_nonfinite()
    params[1].grad.fill_(math.nan)
    optimizer.step()
    optimizer.load_state_dict(saved)
    optimizer.raise_held()
    scaler = GradScaler("cpu")
    scaler.scale(torch.ones(()))
    scaler.step(optimizer)
    optimizer.load_state_dict(saved)
    assert (optimizer.step_count, optimizer.skipped_steps) == (2, 0)
    assert all(steps)


@pytest.mark.parametrize("on_nonfinite", ["raise", "skip"])
def test_at_once_where_it_is_not_held(on_nonfinite, steps):
    """Whether the step counts is then known when it returns."""
    params, optimizer = trained(torch.float32, 2, momentum=0.9, on_nonfinite=on_nonfinite)
    kept = values(params)
    params[0].grad.fill_(math.inf)
    if on_nonfinite == "raise":
        with pytest.raises(NonFiniteGradientError, match="`p0` holds inf or NaN at step 2"):
            optimizer.step()
    else:
        optimizer.step()
        assert (optimizer.skipped_steps, optimizer.step_count) == (1, 2)
    assert all(torch.equal(one, two) for one, two in zip(params, kept, strict=True))


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("schedule", [False, True])
def test_scaled_losses(clip, schedule, steps):
    """As torch's GradScaler with torch's SGD: the same steps left out, the same scale; counted when it is asked for."""
    ends = []
    for ours in (True, False):
        params = make_params(((3, 4), (5,)), torch.float32)
        if ours:
            lr = Cosine(0.1, 0.1, 10) if schedule else 0.1
            optimizer = SGD([("a", params[0]), ("b", params[1])], lr=lr, momentum=0.9, clip_norm=clip)
        else:
            optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)
        scaler = (GradScaler if ours else torch.amp.GradScaler)("cpu", init_scale=8.0, growth_interval=2)
        for number in range(6):
            scaler.scale(torch.ones(()))
            scale = scaler.get_scale()
            generator = torch.Generator().manual_seed(number)
            for param in params:
                param.grad = torch.randn(param.shape, generator=generator) * scale
            if number == 3:
                params[0].grad[0, 0] = math.inf
            if not ours and clip is not None:
                scaler.unscale_(optimizer)
                if number != 3:
                    torch.nn.utils.clip_grad_norm_(params, clip)
            scaler.step(optimizer)
            scaler.update()
        ends.append((params, scaler.get_scale()))
        if ours:
            assert (optimizer.skipped_steps, optimizer.step_count) == (1, 5)
            assert optimizer.state_dict()["param_groups"][0]["skipped"] == 1
    assert ends[0][1] == ends[1][1]
    assert_close(ends[0][0], ends[1][0], 1e-5)


def test_a_loss_scale_of_0_is_said_where_the_host_comes_to_know_it(steps):
    """As for parameters on the host; those in float64 need its way for a scaled loss."""
    for dtype in (torch.float32, torch.float64):
        params = make_params(((3, 4),), dtype)
        optimizer, scaler = SGD(params, lr=0.1), GradScaler("cpu")
        before = values(params)
        scaler.scale(torch.ones(()))
        scaler._scale.fill_(0.0)
        params[0].grad = torch.full_like(params[0], math.nan)
        if dtype == torch.float64:
            with pytest.raises(NonFiniteGradientError, match="the loss scale has become 0"):
                scaler.step(optimizer)
        else:
            scaler.step(optimizer)
            assert optimizer.skipped_steps == 1
        assert torch.equal(params[0], before[0])


def test_a_gradient_clipped_to_nothing(steps):
    """A factor of 1e-200 / 1e130 is 0 in float64; it is not taken for none, by which the step would be one of 1e130."""
    param = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = SGD([param], lr=1.0, clip_norm=1e-200, on_nonfinite="skip")
    param.grad = torch.full_like(param, 1e130)
    optimizer.step()
    assert param.item() == 0
    assert steps == [False]


def test_what_needs_another_way_goes_it(steps):
    """One tensor at a time where that is asked for, a velocity of another format, or a rounding of its own."""
    for options in ({"foreach": False}, {"velocity_dtype": torch.float64}):
        steps.clear()
        ours, _ = trained(torch.float32, momentum=0.9, dampening=0.5, **options)
        usual, _ = trained(torch.float32, momentum=0.9, dampening=0.5)
        assert_close(ours, usual, 1e-5)
    for options in ({"foreach": True}, {"fused": False}, {"fused": True}):  # by multi-tensor operations, or insisting
        steps.clear()
        ours, _ = trained(torch.float32, momentum=0.9, dampening=0.5, **options)
        assert_close(ours, usual, 1e-5)
        assert all(steps), options
    steps.clear()
    trained(torch.bfloat16, momentum=0.9, rounding="stochastic")
    assert steps == []


def test_a_parameter_without_elements_is_no_hindrance(steps):
    """It has nothing to step, and nothing in it that could not be finite."""
    params = make_params(((0, 3), (2,)), torch.float32)
    optimizer = SGD([("empty", params[0]), ("full", params[1])], lr=0.1, momentum=0.9, on_nonfinite="raise")
    optimizer.hold_nonfinite()
    run(optimizer, params, 3)
    params[1].grad.fill_(math.nan)
    optimizer.step()
    with pytest.raises(NonFiniteGradientError, match="`full` holds inf or NaN at step 3"):
        optimizer.raise_held()
    assert all(steps)


def test_strides_of_dimensions_of_one_mean_nothing(steps):
    """Autograd gives a 1x1 convolution with channels last gradients with other numbers for the same order."""
    ends = []
    for stride in (None, (4, 1, 1, 1), (4, 1, 4, 4)):
        param = torch.nn.Parameter(torch.ones(8, 4, 1, 1).contiguous(memory_format=torch.channels_last))
        optimizer = SGD([param], lr=0.1, momentum=0.9)
        for _ in range(3):
            grad = torch.arange(32.0)
            param.grad = grad.view(8, 4, 1, 1) if stride is None else grad.as_strided((8, 4, 1, 1), stride)
            optimizer.step()
        ends.append(param.detach().flatten())
    assert all(torch.equal(end, ends[0]) for end in ends)
    assert all(steps)


def test_a_plan_is_made_anew_when_something_is_another(steps):
    """Other memory, another momentum, a loaded state: each step is that of the rule."""
    params, optimizer = trained(torch.float32, 2, momentum=0.9)
    twins, twin = trained(torch.float32, 2, momentum=0.9, foreach=False)
    optimizer.param_groups[0]["momentum"] = twin.param_groups[0]["momentum"] = 0.5
    params[0].data = params[0].data.clone()
    optimizer.load_state_dict(optimizer.state_dict())
    run(optimizer, params, 2, start=2)
    run(twin, twins, 2, start=2)
    assert_close(params, twins, 1e-6)
    assert steps[:4] == [True] * 4
