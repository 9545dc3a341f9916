"""`ScheduleFreeSGD`: a drop-in for the reference implementation, by the kernel, at two points, and what is saved."""

from __future__ import annotations

import copy
import io
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from downslope import Group, ScheduleFree, Settings
from downslope.core.errors import SettingsError, StateError
from downslope.kernel import load_native
from downslope.schedules import Cosine, Warmup
from downslope.torch import SGD, GradScaler, ScheduleFreeSGD, on_device

SHAPES = ((5, 3), (7,), (), (80, 60))
SETTINGS: list[dict[str, Any]] = [
    {},
    {"lr": 0.3, "weight_decay": 0.1, "warmup_steps": 5},
    {"momentum": 0.5, "r": 2.0, "weight_lr_power": 1.0},
    {"lr": 0.1, "momentum": 0.98, "warmup_steps": 3, "weight_lr_power": 0.0, "foreach": False},
]


def drawn(dtype: torch.dtype = torch.float64) -> list[Parameter]:
    """Return parameters of several shapes."""
    generator = torch.Generator().manual_seed(0)
    return [Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)) for shape in SHAPES]


def go(optimizer: Any, steps: range, *, missing: int = -1) -> None:
    """Step with gradients that depend on the step alone; at one of them a parameter has none."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    for step in steps:
        generator = torch.Generator().manual_seed(100 + step)
        for place, param in enumerate(params):
            drawn = torch.randn(param.shape, generator=generator, dtype=torch.float64)
            param.grad = None if step == missing and place == 1 else drawn.to(param.dtype)
        optimizer.step()


def copies(params: list[Parameter]) -> list[Tensor]:
    """Return what the parameters are now."""
    return [param.detach().clone() for param in params]


def made(dtype: torch.dtype = torch.float32, **given: Any) -> tuple[list[Parameter], ScheduleFreeSGD]:
    """Return parameters and their optimizer, which is training."""
    params = drawn(dtype)
    optimizer = ScheduleFreeSGD(params, **{"lr": 0.1, **given})
    optimizer.train()
    return params, optimizer


def assert_same(some: list[Any], others: list[Any]) -> None:
    """Assert that tensors have the same bits."""
    for one, other in zip(some, others, strict=True):
        assert torch.equal(one, other)


def assert_close(some: list[Any], others: list[Any], within: float = 1e-12) -> None:
    """Assert that tensors are the same but for rounding."""
    for one, other in zip(some, others, strict=True):
        torch.testing.assert_close(one.detach(), other.detach(), rtol=within, atol=within)


# Beside the reference implementation


@pytest.mark.parametrize("given", SETTINGS, ids=str)
def test_it_is_the_reference_implementation(given: dict[str, Any]) -> None:
    """y and x of 30 steps, a missing gradient and evaluations among them; z, weight_sum, k and lr_max in the state."""
    peer = pytest.importorskip("schedulefree").SGDScheduleFree
    mine, theirs = drawn(), drawn()
    ours, reference = ScheduleFreeSGD(mine, **given), peer(theirs, **given)
    for begin in (0, 10, 20):
        ours.train()
        reference.train()
        go(ours, range(begin, begin + 10), missing=14)
        go(reference, range(begin, begin + 10), missing=14)
        assert_close(mine, theirs)
        ours.eval()
        reference.eval()
        assert_close(mine, theirs)
    saved, state = ours.reference_state_dict(), reference.state_dict()
    for place, entry in state["state"].items():
        torch.testing.assert_close(saved["state"][place]["z"], entry["z"], rtol=1e-12, atol=1e-12)
    for name in ("k", "weight_sum", "lr_max", "scheduled_lr", "train_mode", "lr", "momentum", "r", "warmup_steps"):
        assert saved["param_groups"][0][name] == pytest.approx(state["param_groups"][0][name], rel=1e-14), name


@pytest.mark.parametrize("given", SETTINGS[:3], ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("model_first", [True, False])
def test_states_go_both_ways(given: dict[str, Any], *, training: bool, model_first: bool) -> None:
    """A run of either goes on in the other, saved at y or at x, the model loaded before or after the state."""
    peer = pytest.importorskip("schedulefree").SGDScheduleFree
    params = drawn()
    reference = peer(params, **given)
    reference.train()
    go(reference, range(8))
    if not training:
        reference.eval()
    state = copy.deepcopy(reference.state_dict())
    mine = [Parameter(torch.zeros_like(param)) for param in params]
    ours = ScheduleFreeSGD(mine, **given)
    for loads_model in (model_first, not model_first):
        if loads_model:
            with torch.no_grad():
                for own, saved in zip(mine, params, strict=True):
                    own.copy_(saved)
        else:
            ours.load_state_dict(state)
    assert ours.is_training == training
    back = [Parameter(param.detach().clone()) for param in mine]
    again = peer(back, **given)
    again.load_state_dict(ours.reference_state_dict())
    for one in (ours, reference, again):
        one.train()
        go(one, range(8, 14))
    assert_close(mine, params)
    assert_close(back, params)


# The kernel and its formats


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "compensated"])
@pytest.mark.parametrize("velocity_dtype", [None, torch.float32, "int8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_ways_agree_in_every_format(dtype: torch.dtype, velocity_dtype: Any, rounding: Any) -> None:
    """The compiled kernel and torch's operations: alike to a few roundings, of codes and random bits to the bit."""
    if rounding != "nearest" and dtype != torch.bfloat16:
        return
    results: list[list[Parameter]] = []
    for way in ({}, {"fused": False, "foreach": False}):
        params, optimizer = made(dtype, warmup_steps=3, velocity_dtype=velocity_dtype, rounding=rounding, **way)
        go(optimizer, range(6))
        assert optimizer._plan is not None
        assert optimizer._plan.has_kernel == (not way and load_native() is not None)
        results.append(params)
    within = {torch.float32: 1e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}[dtype]
    assert_close(*results, within=within)
    large = [params[3] for params in results]
    assert velocity_dtype != "int8" or torch.equal(*large)


@pytest.mark.parametrize("velocity_dtype", [None, "int8"])
def test_narrow_velocities_keep_the_average(velocity_dtype: Any) -> None:
    """bfloat16 and 8-bit differences end close to the float64 run: what is kept shrinks, and its roundings with it."""
    exact, reference = made(torch.float64)
    params, optimizer = made(torch.float32, velocity_dtype=velocity_dtype or torch.bfloat16)
    for step in range(60):  # a quadratic
        for some, one in ((exact, reference), (params, optimizer)):
            for param in some:
                param.grad = param.detach() * 0.5
            one.step()
        assert step or optimizer.param_groups[0]["weight_sum"] == 0.1**2
    assert_close([p.double() for p in params], exact, within=0.02)


@pytest.mark.parametrize("way", [{"step_in_backward": True}, {"clip_norm": 1e9}, {"on_nonfinite": "raise"}], ids=str)
def test_other_ways_have_the_same_bits(way: dict[str, Any]) -> None:
    """A step within the backward pass, in two groups, and one that asks for norms: the bits of the plain step."""
    models = [nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    groups = [Group(match="0.*", lr=0.5, weight_decay=0.0)]
    for model, own in zip(models, ({}, way), strict=True):
        optimizer = ScheduleFreeSGD(model, lr=0.2, weight_decay=0.01, warmup_steps=4, groups=groups, **own)
        optimizer.train()
        for step in range(8):
            inputs = torch.randn(9, 6, generator=torch.Generator().manual_seed(step))
            model(inputs).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        assert [group["weight_sum"] for group in optimizer.param_groups] == [
            pytest.approx(sum((lr * min(1, (k + 1) / 4)) ** 2 for k in range(8))) for lr in (0.5, 0.2)
        ]
        optimizer.eval()
    assert_same(list(models[0].parameters()), list(models[1].parameters()))


def test_compiled_step_has_the_same_bits() -> None:
    """Within a graph, one operation that reads the average when it runs."""
    from downslope.torch.compiled import step_tensors

    plain, one = made(warmup_steps=2)
    params, other = made(warmup_steps=2)
    for step in range(4):
        go(one, range(step, step + 1))
        grads = [param.grad for param in plain if param.grad is not None]
        step_tensors(other, range(len(params)), [param.detach() for param in params], grads)
    assert_same(plain, params)
    assert one.param_groups[0]["weight_sum"] == other.param_groups[0]["weight_sum"]


def test_skipped_steps_do_not_count() -> None:
    """A gradient of inf leaves parameters, count and average as they are, with torch's loss scaling too."""
    params, optimizer = made(on_nonfinite="skip")
    go(optimizer, range(3))
    before, total = copies(params), optimizer.param_groups[0]["weight_sum"]
    for param in params:
        param.grad = torch.full_like(param, torch.inf)
    optimizer.step()
    assert_same(params, before)
    assert optimizer.param_groups[0]["weight_sum"] == total == pytest.approx(0.03)
    scaler = GradScaler("cpu", init_scale=4.0)
    for factor in (torch.inf, 1.0):
        optimizer.zero_grad()
        loss = sum((param.sum() * factor for param in params), start=torch.zeros(()))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert optimizer.step_count == 4
    assert optimizer.param_groups[0]["weight_sum"] == pytest.approx(0.04)


# The two points


def test_evaluating_changes_no_bit() -> None:
    """As often as one looks, also into a copy or a state: y comes back to the bit, and the run with it."""
    plain, one = made(torch.bfloat16, rounding="stochastic")
    params, other = made(torch.bfloat16, rounding="stochastic")
    for step in range(6):
        go(one, range(step, step + 1))
        go(other, range(step, step + 1))
        weights = other.evaluation_weights()
        with other.evaluating():
            assert not other.is_training
            assert_same(params, weights)
            assert other.evaluation_weights()[0] is not params[0]
            assert_same(other.evaluation_weights(), weights)
            other.state_dict()
        assert other.is_training
        assert_same(params, list(plain))
    assert all("y" not in other.state[param] for param in params)


def test_x_that_was_changed_is_the_new_x() -> None:
    """Weights that are loaded at x are taken for x, and y is formed of them."""
    params, optimizer = made(torch.float64, momentum=0.5)
    go(optimizer, range(4))
    optimizer.eval()
    before = copies(params)
    with torch.no_grad():
        for param in params:
            param.add_(1.0)
    optimizer.train()
    optimizer.eval()
    assert_close(params, [x + 1.0 for x in before])


def test_steps_at_x_are_refused() -> None:
    """Before `train` and after `eval`, whichever way the step would have gone; nothing moves."""
    params = drawn()
    optimizer = ScheduleFreeSGD(params)
    for _ in range(2):
        with pytest.raises(StateError, match=r"at x, the average, where no step is taken\. Call optimizer\.train\(\)"):
            go(optimizer, range(1))
        optimizer.train()
        go(optimizer, range(3))  # by a plan that could be repeated
        optimizer.eval()


# States


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("how", ["load", "keep", "deepcopy", "pickle"])
@pytest.mark.parametrize("velocity_dtype", [None, "int8"])
def test_it_goes_on_bit_for_bit(velocity_dtype: Any, how: Any, *, training: bool) -> None:
    """From a state or a copy, taken at y or at x, through a file that torch reads without pickle."""
    params, optimizer = made(velocity_dtype=velocity_dtype, warmup_steps=4)
    go(optimizer, range(6))
    if not training:
        optimizer.eval()
    if how in {"deepcopy", "pickle"}:
        both: Any = (params, optimizer)
        mine, other = copy.deepcopy(both) if how == "deepcopy" else pickle.loads(pickle.dumps(both))
        other.add_param_group({"params": [Parameter(torch.zeros(2))]})  # as an optimizer that was never copied
        assert other.param_groups.pop()["r"] == 0.0
    else:
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        mine = [Parameter(param.detach().clone()) for param in params]
        other = ScheduleFreeSGD(mine, lr=0.1, velocity_dtype=velocity_dtype, warmup_steps=4)
        other.load_state_dict(torch.load(file, weights_only=True), hyperparameters=how)
    assert other.is_training == training
    for one in (optimizer, other):
        one.train()
        go(one, range(6, 10))
    assert_same(params, mine)
    assert_same(optimizer.evaluation_weights(), other.evaluation_weights())
    assert [g["weight_sum"] for g in optimizer.param_groups] == [g["weight_sum"] for g in other.param_groups]


def test_states_of_other_methods_are_refused() -> None:
    """Velocities of SGD are no differences of two points, nor the other way round; nothing is loaded."""
    params, optimizer = made()
    sgd = SGD(drawn(torch.float32), lr=0.1, momentum=0.9)
    go(sgd, range(1))
    go(optimizer, range(1))
    with pytest.raises(StateError, match="not one of schedule-free SGD"):
        optimizer.load_state_dict(sgd.state_dict())
    with pytest.raises(StateError, match="velocities are no velocities of SGD"):
        sgd.load_state_dict(optimizer.state_dict())
    other = ScheduleFreeSGD(params, lr=0.1, momentum=0.8)
    with pytest.raises(StateError, match=r"momentum of group 0 is 0\.8 here and 0\.9 in the state"):
        other.load_state_dict(optimizer.state_dict(), hyperparameters="keep")
    broken = optimizer.state_dict()
    broken["param_groups"][0]["weight_sum"] = float("nan")
    with pytest.raises(StateError, match="`weight_sum` in the state must be a finite number >= 0; got nan"):
        optimizer.load_state_dict(broken)
    broken = optimizer.state_dict()
    del broken["param_groups"][0]["train_mode"]
    with pytest.raises(StateError, match="`train_mode` in the state must be True or False; got None"):
        optimizer.load_state_dict(broken)


# What is given


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("r", -1, "`r` must be in [0, 16]"),
        ("warmup_steps", "3", "`warmup_steps` must be an integer >= 0"),
        ("nesterov", True, "`nesterov` and `schedule_free` do not go together"),
        ("dampening", -1, "`dampening` must be in [0, 1]"),
        ("k", "x", "`step` in the state must be an integer"),
        ("lr_max", None, "`lr_max` must be a number"),
    ],
)
def test_a_state_with_what_a_step_would_refuse_is_refused(name: str, value: Any, said: str) -> None:
    """Before anything changes, of our own states and of the reference's; not at the first step afterwards."""
    model = nn.Linear(2, 1)
    optimizer = ScheduleFreeSGD(model, lr=0.5)
    optimizer.train()
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    state = copy.deepcopy(optimizer.reference_state_dict() if name in ("k", "lr_max") else optimizer.state_dict())
    state["param_groups"][0][name] = value
    before = str(optimizer.state_dict())
    with pytest.raises(StateError, match=re.escape(said)):
        optimizer.load_state_dict(state)
    assert str(optimizer.state_dict()) == before


def test_settings_at_once() -> None:
    """A `ScheduleFree` has the bits of single numbers; a warmup in lr those of `warmup_steps` but for rounding."""
    settings = ScheduleFree(lr=0.5, momentum=0.8, weight_decay=0.1, warmup_steps=4, r=1.0)
    mine, ours = made(lr=0.5, momentum=0.8, weight_decay=0.1, warmup_steps=4, r=1.0)
    params = drawn(torch.float32)
    optimizer = ScheduleFreeSGD(params, settings=settings)
    optimizer.train()
    warm = drawn(torch.float32)
    by_schedule = ScheduleFreeSGD(
        warm, settings=ScheduleFree(lr=Warmup(3, 0.5, start=0.125), momentum=0.8, weight_decay=0.1, r=1.0)
    )
    by_schedule.train()
    for one in (ours, optimizer, by_schedule):
        go(one, range(6))
    assert_same(mine, params)
    assert_close(warm, params, within=1e-6)
    assert [settings.at(step).lr for step in (0, 5)] == [0.125, by_schedule.param_groups[0]["scheduled_lr"]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"momentum": 0}, r"`momentum` of schedule-free SGD must be a number in \(0, 1\)"),
        ({"momentum": 1.5}, "must be"),
        ({"lr": -1.0}, "`lr` must be finite and >= 0"),
        ({"lr": Cosine(initial=1.0, final=0.0, duration=5)}, "where lr falls"),
        ({"warmup_steps": -1}, "`warmup_steps` must be an integer >= 0"),
        ({"settings": ScheduleFree(), "lr": 0.5}, "do not also pass `lr`"),
        ({"groups": [Group(match="*", nesterov=True)]}, "`nesterov`"),
        ({"learning_rate": 0.1}, "unknown argument `learning_rate`. Here it is called `lr`"),
        ({"capturable": True}, "unknown argument `capturable`"),
    ],
    ids=str,
)
def test_refusals(given: dict[str, Any], said: str) -> None:
    """What the method does not have is refused when the optimizer is made."""
    params: Any = nn.Linear(2, 1) if "groups" in given else drawn()
    with pytest.raises(SettingsError, match=said):
        ScheduleFreeSGD(params, **given)


def test_sgd_takes_no_settings_of_it() -> None:
    """Each method has its optimizer."""
    with pytest.raises(SettingsError, match=r"another method\. downslope\.torch\.ScheduleFreeSGD"):
        SGD(drawn(), settings=ScheduleFree())
    with pytest.raises(SettingsError, match="must be a ScheduleFree; got a Settings"):
        ScheduleFreeSGD(drawn(), settings=Settings())  # type: ignore[arg-type]


def test_written_values_are_checked() -> None:
    """A value that somebody writes into a group counts from the next step, or is refused with the group's number."""
    params, optimizer = made()
    go(optimizer, range(2))
    optimizer.param_groups[0]["lr"] = 0.2  # its square is four times a step of before
    go(optimizer, range(2, 3))
    assert optimizer.param_groups[0]["weight_sum"] == pytest.approx(0.06)
    optimizer.param_groups[0]["r"] = -1.0
    before = copies(params)
    with pytest.raises(SettingsError, match=r"param group 0: `r` must be in \[0, 16\]; got -1.0"):
        go(optimizer, range(3, 4))
    optimizer.param_groups[0]["r"] = 0.0
    for name, value in (("nesterov", True), ("nu", 0.5), ("decay", "independent"), ("trust_coefficient", 0.1)):
        usual = optimizer.param_groups[0][name]
        optimizer.param_groups[0][name] = value
        with pytest.raises(SettingsError, match=f"param group 0: `{name}` and `schedule_free` do not go together"):
            go(optimizer, range(3, 4))
        optimizer.param_groups[0][name] = usual
    assert_same(params, before)
    go(optimizer, range(3, 4))


# Other ways of a step


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("given", [{}, {"clip_norm": 0.5, "weight_decay": 0.1}, {"on_nonfinite": "raise"}], ids=str)
def test_on_a_device(given: dict[str, Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of the processor taken for a device's: torch's multi-tensor operations take the same steps."""
    went: list[bool] = []
    whole = on_device.step_on_device

    def noted(*words: Any) -> bool:
        went.append(whole(*words))
        return went[-1]

    monkeypatch.setattr("downslope.torch.sgd.step_on_device", noted)
    results: list[list[Parameter]] = []
    for is_there in (False, True):
        for name in ("sgd", "grad_scaler"):
            monkeypatch.setattr(f"downslope.torch.{name}.is_elsewhere", lambda _, there=is_there: there)
        params, optimizer = made(dtype, warmup_steps=2, **given)
        go(optimizer, range(5))
        results.append(params)
    assert went == [True] * 5
    assert_close(*results, within=1e-6 if dtype == torch.float32 else 3e-2)


def test_parameters_that_share_memory() -> None:
    """One that is a piece of another is stepped after it, as two would be one after the other."""
    whole = Parameter(torch.ones(4))
    piece = Parameter(whole.detach()[:2])
    optimizer = ScheduleFreeSGD([whole, piece], lr=0.5)
    optimizer.train()
    whole.grad, piece.grad = torch.ones(4), torch.ones(2)
    optimizer.step()
    assert whole.tolist() == [0.0, 0.0, 0.5, 0.5]


def test_sharded_parameters(tmp_path: Path) -> None:
    """DTensors of one process have the bits of plain ones, at x and back at y, in 8 bits too."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        plain = [param for param in drawn(torch.float32) if param.ndim]
        parts: list[Any] = [Parameter(distribute_tensor(param.detach().clone(), mesh, [Shard(0)])) for param in plain]
        both = [ScheduleFreeSGD(params, lr=0.1, weight_decay=0.1, velocity_dtype="int8") for params in (plain, parts)]
        for optimizer in both:
            optimizer.train()
        for step in range(4):
            for place, (param, part) in enumerate(zip(plain, parts, strict=True)):
                param.grad = torch.randn(param.shape, generator=torch.Generator().manual_seed(10 * step + place))
                part.grad = distribute_tensor(param.grad.clone(), mesh, [Shard(0)])
            for optimizer in both:
                optimizer.step()
            for optimizer in both:
                optimizer.eval()
            assert_same(plain, [part.to_local() for part in parts])
            for optimizer in both:
                optimizer.train()
            assert_same(plain, [part.to_local() for part in parts])
    finally:
        dist.destroy_process_group()
