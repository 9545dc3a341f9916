"""A factor on all gradients within the step, and the loss scaling that rests on it."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from downslope.core.errors import NonFiniteGradientError, SettingsError
from downslope.torch import SGD, GradScaler
from draws import draws

SHAPES = ((5, 3), (7,), ())


def _train(
    scale: float, *, within: bool, dtype: torch.dtype = torch.float64, **options: Any
) -> tuple[list[Tensor], Any]:
    """Return parameters and norms after steps with scaled gradients: scaled within the step, or before it."""
    draw = torch.Generator().manual_seed(0)
    params = [torch.randn(shape, generator=draw).to(dtype).requires_grad_() for shape in SHAPES]
    optimizer = SGD(params, lr=0.1, **options)
    norms = []
    for _ in range(6):
        for param in params:
            grad = torch.randn(param.shape, generator=draw).to(dtype)
            param.grad = grad if within else grad * scale
        given_grads = [param.grad.clone() for param in params if param.grad is not None]
        optimizer.step(grad_scale=scale if within else 1.0)
        assert all(torch.equal(p.grad, g) for p, g in zip(params, given_grads, strict=True) if p.grad is not None)
        norms.append(optimizer.grad_norm)
    return [param.detach() for param in params], norms


@settings(max_examples=draws(30))
@given(
    scale=st.floats(1e-3, 1e3),
    options=st.fixed_dictionaries(
        {
            "momentum": st.sampled_from([0.5, 0.9]),
            "nesterov": st.booleans(),
            "weight_decay": st.sampled_from([0.0, 1e-2]),
            "clip_norm": st.sampled_from([None, 0.5, 4.0]),
            "foreach": st.sampled_from([None, True, False]),
        }
    ),
)
def test_a_factor_within_the_step_is_one_on_the_gradients(scale: float, options: dict[str, Any]) -> None:
    """Whatever else the step does, by the kernel and by torch's operations; norms are those of the scaled gradients."""
    within, norms = _train(scale, within=True, **options)
    before, expected = _train(scale, within=False, **options)
    torch.testing.assert_close(within, before, rtol=1e-12, atol=1e-12)
    if options["clip_norm"] is None:
        assert norms == expected == [None] * 6  # not asked for
    else:
        assert norms == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_power_of_two_changes_no_bit(dtype: torch.dtype) -> None:
    """1 / 1024 within the step has the bits of gradients that were divided before it."""
    within, _ = _train(2.0**-4, within=True, dtype=dtype, momentum=0.9, weight_decay=1e-2)
    before, _ = _train(2.0**-4, within=False, dtype=dtype, momentum=0.9, weight_decay=1e-2)
    assert all(map(torch.equal, within, before))


def test_the_mean_over_micro_batches() -> None:
    """The sum of four batches' gradients, times 1/4: by hand, lr 0.5 times the mean of 1, 2, 3 and 6."""
    param = torch.tensor([1.0], requires_grad=True)
    optimizer = SGD([param], lr=0.5)
    for value in (1.0, 2.0, 3.0, 6.0):
        (value * param).sum().backward()
    optimizer.step(grad_scale=1 / 4)
    assert param.item() == 1.0 - 0.5 * 3.0
    optimizer.step(grad_scale=1)  # a whole number will do, and a step without a factor follows one with it
    assert param.item() == -0.5 - 0.5 * 12.0


def test_steps_with_and_without_a_factor_take_turns() -> None:
    """No coefficient of a step stays behind for the next."""
    param = torch.tensor([0.0], requires_grad=True)
    optimizer = SGD([param], lr=1.0)
    param.grad = torch.ones(1)
    places = []
    for scale in (1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 0.25, 1.0):
        optimizer.step(grad_scale=scale)
        places.append(-param.item())
    assert places == [1.0, 2.0, 3.0, 3.5, 4.5, 5.5, 5.75, 6.75]


@pytest.mark.parametrize("scale", [0, -1.0, math.inf, math.nan, "1", None, True], ids=repr)
def test_other_factors_are_refused(scale: Any) -> None:
    """The message says what to give; nothing moves."""
    param = torch.ones(2, requires_grad=True)
    param.grad = torch.ones(2)
    optimizer = SGD([param], lr=0.1)
    with pytest.raises(SettingsError, match="`grad_scale` must be a finite number above 0"):
        optimizer.step(grad_scale=scale)
    assert param.tolist() == [1.0, 1.0]
    assert optimizer.step_count == 0


def test_a_factor_that_float32_cannot_hold_is_refused() -> None:
    """As one of lr would be; nothing moves."""
    param = torch.zeros(3, requires_grad=True)
    param.grad = torch.tensor([0.0, 1e-38, -1e-38])
    optimizer = SGD([param], lr=0.1)
    with pytest.raises(SettingsError, match="float32 cannot hold"):
        optimizer.step(grad_scale=1e40)
    assert param.tolist() == [0.0] * 3


def test_a_norm_beyond_float64_is_clipped_all_the_same() -> None:
    """Gradients times the factor have a norm of 1e350: their direction is kept, and their norm is 1."""
    param = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    param.grad = torch.full((4,), 1e200, dtype=torch.float64)
    optimizer = SGD([param], lr=1.0, clip_norm=1.0)
    optimizer.step(grad_scale=1e150)
    torch.testing.assert_close(param.detach(), torch.full((4,), -0.5, dtype=torch.float64))
    assert optimizer.grad_norm == math.inf


def test_a_closure_is_not_called_if_the_factor_comes_too_late() -> None:
    """Its backward pass would move the parameters."""
    param = torch.ones(2, requires_grad=True)
    optimizer = SGD([param], lr=0.1, step_in_backward=True)

    def closure() -> Tensor:
        loss = param.sum()
        loss.backward()
        return loss

    with pytest.raises(SettingsError, match="Multiply the loss"):
        optimizer.step(closure, grad_scale=0.5)
    assert param.tolist() == [1.0, 1.0]
    optimizer.step(closure)
    assert optimizer.step_count == 1


def test_a_step_within_the_backward_pass_comes_too_early_for_a_factor() -> None:
    """The message says to multiply the loss instead."""
    param = torch.ones(2, requires_grad=True)
    optimizer = SGD([param], lr=0.1, step_in_backward=True)
    param.sum().backward()
    with pytest.raises(SettingsError, match="Multiply the loss by it instead"):
        optimizer.step(grad_scale=0.5)


def test_hooks_and_profilers_see_a_step_with_a_factor() -> None:
    """The factor goes through torch's wrapping of steps."""
    param = torch.ones(1, requires_grad=True)
    param.grad = torch.ones(1)
    optimizer = SGD([param], lr=1.0)
    seen = []
    optimizer.register_step_pre_hook(lambda _, args, kwargs: seen.append((args, kwargs)))  # type: ignore[arg-type]
    optimizer.step(grad_scale=0.5)
    assert param.item() == 0.5
    assert seen[0][1] == {"grad_scale": 0.5}


def _scaled_runs(ours: bool, *, clip: bool = False, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """Return a model's parameters and the scaler after steps, one of them with an infinite loss."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 2).to(dtype)
    optimizer = SGD(
        model.named_parameters(), lr=0.1, momentum=0.9, clip_norm=0.05 if clip and ours else None, **options
    )
    scaler = (GradScaler if ours else torch.amp.GradScaler)("cpu", init_scale=2.0**10, growth_interval=2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    for step in range(8):
        optimizer.zero_grad()
        inputs = torch.full((3, 4), float("inf") if step == 3 else 0.1 * step, dtype=dtype)
        scaler.scale(model(inputs).square().mean()).backward()
        if clip and not ours:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
    return [param.detach() for param in model.parameters()], scaler, optimizer


@pytest.mark.parametrize("options", [{}, {"nesterov": True, "weight_decay": 1e-2}, {"foreach": True}])
@pytest.mark.parametrize("on_nonfinite", ["ignore", "raise", "skip"])
def test_a_scaled_training_has_the_bits_of_torchs(options: dict[str, Any], on_nonfinite: Any) -> None:
    """Parameters, scale and its growth, through a step that both leave out."""
    ours, scaler, optimizer = _scaled_runs(True, on_nonfinite=on_nonfinite, **options)
    theirs, expected, _ = _scaled_runs(False, on_nonfinite=on_nonfinite, **options)
    assert all(map(torch.equal, ours, theirs))
    assert scaler.state_dict() == expected.state_dict()
    assert (optimizer.step_count, optimizer.skipped_steps) == (7, 1)
    assert optimizer.on_nonfinite == on_nonfinite


def test_clipping_is_of_unscaled_gradients() -> None:
    """Within the step as after torch's `unscale_` and `clip_grad_norm_`."""
    ours, _, optimizer = _scaled_runs(True, clip=True)
    theirs, _, _ = _scaled_runs(False, clip=True)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)  # torch adds 1e-6 to the norm
    assert optimizer.grad_norm > 0.05


def test_float16_parameters_are_stepped() -> None:
    """Torch's scaler refuses their gradients; within the step they are unscaled in float32."""
    found, _, optimizer = _scaled_runs(True, dtype=torch.float16)
    wide, _, _ = _scaled_runs(True)
    torch.testing.assert_close([p.float() for p in found], wide, rtol=0.02, atol=2e-3)
    assert optimizer.skipped_steps == 1
    with pytest.raises(ValueError, match="unscale FP16"):
        _scaled_runs(False, dtype=torch.float16)


def test_gradients_unscaled_by_hand_are_not_unscaled_again() -> None:
    """After `unscale_` a step is an ordinary one."""
    param = torch.zeros(1, requires_grad=True)
    optimizer, scaler = SGD([param], lr=1.0), GradScaler("cpu", init_scale=8.0)
    scaler.scale(param.sum()).backward()
    scaler.unscale_(optimizer)
    assert param.grad is not None
    assert param.grad.item() == 1.0
    scaler.step(optimizer)
    scaler.update()
    assert param.item() == -1.0


def test_what_torchs_scaler_refuses_is_refused() -> None:
    """A second step before `update`, and a step before anything was scaled."""
    param = torch.zeros(1, requires_grad=True)
    optimizer, scaler = SGD([param], lr=1.0), GradScaler("cpu", init_scale=8.0)
    with pytest.raises(AssertionError, match="scale"):
        scaler.step(optimizer)
    scaler.scale(param.sum()).backward()
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(optimizer)


def test_a_step_without_gradients_is_refused_as_by_torch() -> None:
    """A loop that forgot `backward()` must not count steps."""
    param = torch.zeros(1, requires_grad=True)
    optimizer, scaler = SGD([param], lr=1.0), GradScaler("cpu", init_scale=8.0)
    scaler.scale(param.sum())
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.step(optimizer)
    assert optimizer.step_count == 0


def test_a_scale_that_has_become_zero_is_said() -> None:
    """Torch leaves out steps for ever."""
    param = torch.zeros(1, requires_grad=True)
    optimizer, scaler = SGD([param], lr=1.0), GradScaler("cpu", init_scale=1e-45)
    for _ in range(2):
        scaler.scale(param.sum() * math.nan).backward()
        if scaler.get_scale() == 0:
            break
        scaler.step(optimizer)
        scaler.update()
    with pytest.raises(NonFiniteGradientError, match="the loss scale has become 0"):
        scaler.step(optimizer)


def test_other_optimizers_and_a_scaler_that_is_off() -> None:
    """Both go torch's way."""
    param = torch.zeros(1, requires_grad=True)
    optimizer, scaler = torch.optim.SGD([param], lr=1.0), GradScaler("cpu", init_scale=8.0)
    scaler.scale(param.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert param.item() == -1.0
    assert param.grad is not None
    assert param.grad.item() == 1.0
    off, own = GradScaler("cpu", enabled=False), SGD([param], lr=1.0)
    off.scale(param.sum()).backward()  # adds to the gradient of 1
    off.step(own)
    assert param.item() == -3.0


def test_two_optimizers_of_one_scaler() -> None:
    """What one leaves out lowers the scale of both, as in torch."""
    good, bad = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizers, scaler = [SGD([good], lr=1.0), SGD([bad], lr=1.0)], GradScaler("cpu", init_scale=8.0)
    scaler.scale(good.sum() + (bad * math.inf).sum()).backward()
    for optimizer in optimizers:
        scaler.step(optimizer)
    scaler.update()
    assert (good.item(), bad.item(), scaler.get_scale()) == (-1.0, 0.0, 4.0)


def test_an_error_in_the_step_leaves_the_optimizer_as_it_was() -> None:
    """A group that holds a wrong value fails as ever, and `on_nonfinite` is the person's again."""
    param = torch.zeros(1, requires_grad=True)
    optimizer, scaler = SGD([param], lr=1.0, on_nonfinite="raise"), GradScaler("cpu", init_scale=8.0)
    scaler.scale(param.sum()).backward()
    optimizer.param_groups[0]["lr"] = -1.0
    with pytest.raises(SettingsError, match="`lr`"):
        scaler.step(optimizer)
    assert optimizer.on_nonfinite == "raise"
    optimizer.param_groups[0]["lr"] = 1.0
    param.grad = torch.full((1,), math.nan)
    with pytest.raises(NonFiniteGradientError):
        optimizer.step()


def test_in_a_compiled_function_a_factor_breaks_the_graph_and_holds() -> None:
    """The step is then an ordinary one."""
    param = torch.zeros(3, requires_grad=True)
    param.grad = torch.ones(3)
    optimizer = SGD([param], lr=1.0)
    torch.compile(lambda: optimizer.step(grad_scale=0.5), backend="eager")()
    assert param.tolist() == [-0.5] * 3


def test_a_scaler_that_is_idle_says_so_once():
    """Who unscales before every step, as Lightning does, gains nothing by ours; who does so now and then, may."""
    param = torch.nn.Parameter(torch.ones(2))
    optimizer = SGD([param], lr=0.1)

    def steps(scaler, unscales, *args):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for unscale in unscales:
                scaler.scale(param.sum()).backward()
                if unscale:
                    scaler.unscale_(optimizer)
                scaler.step(optimizer, *args)
                scaler.update()
                optimizer.zero_grad()
        return [str(one.message) for one in warned]

    (said,) = steps(GradScaler("cpu", init_scale=4.0), [True] * 9)
    assert "GradScaler is idle" in said
    assert steps(GradScaler("cpu", init_scale=4.0), [True, True, False] * 3) == []
    before = param.detach().clone()
    assert steps(GradScaler("cpu", init_scale=4.0), [False], None) == []  # Accelerate's closure of None
    assert torch.equal(param, before - 0.1)
