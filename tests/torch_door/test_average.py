"""An average of the weights within the step: worked out beside it, in every format and with every other option."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import pytest
import torch
from in_backward_pairs import loss_of, mlp, pair
from torch_runs import assert_same_bits, make_params, set_grads

from downslope import Group, kernel
from downslope.core.errors import SettingsError, StateError
from downslope.schedules import Exponential
from downslope.torch import SGD, GradScaler, ScheduleFreeSGD, load_planner, param_groups
from downslope.torch.step import REPEATABLE

SHAPES = ((), (63,), (64,), (257,), (3, 5), (70, 61))
FORMATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class Beside:
    """The averages of parameters as three rounded operations give them, taken up after each step."""

    def __init__(self, ema: float = 0.9) -> None:
        self.ema, self.kept = ema, []

    def take(self, params: Any) -> None:
        """Take up what the parameters are now."""
        wide = [p.detach().to(torch.promote_types(p.dtype, torch.float32), copy=True) for p in params]
        if not self.kept:
            self.kept = wide
            return
        self.kept = [kept + (value - kept) * (1 - self.ema) for kept, value in zip(self.kept, wide, strict=True)]


def averages_of(optimizer: SGD) -> list[Any]:
    """Return the averages in the order of the groups, None where there is none."""
    return [optimizer.state.get(p, {}).get("average") for group in optimizer.param_groups for p in group["params"]]


def trained(params: list[Any], optimizer: SGD, steps: int = 5, beside: Beside | None = None) -> Beside:
    """Take steps, and the averages beside them."""
    beside = Beside() if beside is None else beside
    for step in range(optimizer.step_count, optimizer.step_count + steps):
        set_grads(params, step)
        optimizer.step()
        beside.take(params)
    return beside


WAYS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"momentum": 0.9, "velocity_dtype": "int8"},
    {"momentum": 0.9, "velocity_dtype": torch.bfloat16, "lr": Exponential(0.1, rate=0.5, every=2, staircase=True)},
    {"momentum": 0.9, "clip_norm": 0.5},
    {"momentum": 0.9, "foreach": True},
    {"momentum": 0.9, "foreach": False},
    {"momentum": 0.9, "trust_coefficient": 0.01},
    {"momentum": 0.9, "adaptive_clip": 0.1},
    {"momentum": 0.9, "nu": 0.7},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_every_way_gives_the_three_operations_bits(dtype: torch.dtype, way: dict[str, Any]) -> None:
    """Of vectors whole and cut short, in rows and channels last, at first steps and repeated ones."""
    if dtype == torch.float64 and way.get("velocity_dtype") == "int8":
        pytest.skip("there are no codes of it")
    params = make_params(SHAPES, dtype)
    params.append(torch.nn.Parameter(params[-1].detach()[:48, :60].reshape(6, 8, 6, 10).clone()))
    params[-1].data = params[-1].data.to(memory_format=torch.channels_last)
    optimizer = SGD(params, **({"lr": 0.1, "ema": 0.9} | way))
    beside = trained(params, optimizer)
    assert_same_bits(averages_of(optimizer), beside.kept)
    assert averages_of(optimizer)[-1].stride() == params[-1].stride()


@pytest.mark.parametrize("rounding", ["stochastic", "compensated"])
def test_the_average_is_of_what_narrow_weights_are(rounding: Any) -> None:
    """In float32, of the rounded weights."""
    params = make_params(SHAPES, torch.bfloat16)
    optimizer = SGD(params, lr=0.1, momentum=0.9, rounding=rounding, ema=0.9)
    beside = trained(params, optimizer)
    assert {average.dtype for average in averages_of(optimizer)} == {torch.float32}
    assert_same_bits(averages_of(optimizer), beside.kept)


def test_a_repeated_step_of_many_elements_is_one_call_on_all_threads() -> None:
    """Nothing is done besides; the same bits for any number of threads."""
    if not kernel.backend().startswith("compiled"):
        pytest.skip("there is no kernel")
    params = make_params(((280_007,), (3, 5)), torch.float32)
    optimizer = SGD(params, lr=0.1, momentum=0.9, ema=0.9)
    before = kernel.get_num_threads()
    try:
        kernel.set_num_threads(3)
        beside = trained(params, optimizer, 4)
    finally:
        kernel.set_num_threads(before)
        kernel._Threads.chosen = None
    assert_same_bits(averages_of(optimizer), beside.kept)
    assert optimizer._plan is not None
    assert optimizer._plan.state is REPEATABLE
    assert not optimizer._plan._has_other_averages


def test_worked_out_by_hand() -> None:
    """Weights 1, 2, 3: their average is 1, 1.5, 2.25; and NaN is as in any sum."""
    param = torch.nn.Parameter(torch.zeros(2))
    optimizer = SGD([param], lr=1.0, ema=0.5)
    for expected in (1.0, 1.5, 2.25):
        param.grad = torch.tensor([-1.0, -1.0])
        optimizer.step()
        assert averages_of(optimizer)[0].tolist() == [expected] * 2
    param.grad = torch.tensor([-1.0, math.nan])
    optimizer.step()
    assert averages_of(optimizer)[0][0] == 3.125
    assert averages_of(optimizer)[0][1].isnan()


def test_a_skipped_step_moves_no_average_and_begins_none() -> None:
    """Neither the first nor a later one; one of which the loss scale was too large is such a one."""
    for scaled in (False, True):
        params = make_params(((3, 5), (4,)), torch.float32)
        options: dict[str, Any] = {} if scaled else {"on_nonfinite": "skip"}
        optimizer, beside = SGD(params, lr=0.1, momentum=0.9, ema=0.9, **options), Beside()
        scaler = GradScaler("cpu", init_scale=4.0, enabled=scaled)
        scaler.scale(torch.ones(()))
        for step in range(5):
            set_grads(params, step)
            if step in (0, 3):
                params[1].grad[1] = math.inf
            scaler.step(optimizer)
            scaler.update()
            if step == 0:
                assert averages_of(optimizer) == [None, None]
            elif step != 3:
                beside.take(params)
        assert optimizer.skipped_steps == 2
        assert_same_bits(averages_of(optimizer), beside.kept)


def test_weights_without_a_gradient_and_frozen_ones() -> None:
    """The first are averaged all the same, in every step; the others from when they are learned."""
    for rest in (1, 2):  # one beside those of the kernel, and one in the place of all
        params = make_params(((3, 5), (4,), (2,)), torch.float32)
        params[2].requires_grad_(False)
        optimizer, beside = SGD(params, lr=0.1, momentum=0.9, ema=0.9), Beside()
        for step in range(6):
            set_grads(params[:2], step)
            if step in (0, 2, 3):
                for param in params[:rest]:
                    param.grad = None
            optimizer.step()
            beside.take(params[:2])
        assert averages_of(optimizer)[2] is None
        assert_same_bits(averages_of(optimizer)[:2], beside.kept)
        params[2].requires_grad_(True)
        optimizer.step()
        assert torch.equal(averages_of(optimizer)[2], params[2])


def test_a_group_may_have_its_own_or_none_and_change_it() -> None:
    """What is written to a group holds from the next step on; what is none is refused before anything moves."""
    params = make_params(((3, 5), (4,), (2,)), torch.float32)
    groups = [{"params": params[:1], "ema": 0.5}, {"params": params[1:2]}, {"params": params[2:], "ema": None}]
    optimizer = SGD(groups, lr=0.1, momentum=0.9, ema=0.9)
    half, tenth = Beside(0.5), Beside()
    for step in range(6):
        if step == 4:
            optimizer.param_groups[0]["ema"] = half.ema = 0.75
        set_grads(params, step)
        optimizer.step()
        half.take(params[:1])
        tenth.take(params[1:2])
    assert_same_bits(averages_of(optimizer)[:2], half.kept + tenth.kept)
    assert averages_of(optimizer)[2] is None
    before = params[0].detach().clone()
    optimizer.param_groups[0]["ema"] = 1.5
    with pytest.raises(SettingsError, match=r"param group 0: `ema` must be in \(0, 1\)"):
        optimizer.step()
    assert torch.equal(params[0], before)
    optimizer.param_groups[0]["ema"] = None
    kept = averages_of(optimizer)[0].clone()
    optimizer.step()
    assert torch.equal(averages_of(optimizer)[0], kept)


def test_groups_by_name_have_their_own_or_none() -> None:
    """As `Group`s, as dictionaries, and as the groups that `param_groups` gives to a trainer; 0 for none."""
    given: list[Any] = [Group(match="0.*", ema=0.5), Group(match="2.bias", ema=0)]
    tables = {"0.*": {"ema": 0.5}, "2.bias": {"ema": 0}}
    for way in (given, tables, None):
        model = mlp()
        params: Any = param_groups(model, given) if way is None else model
        optimizer = SGD(params, lr=0.1, momentum=0.9, ema=0.9, groups=() if way is None else way)
        half, tenth = Beside(0.5), Beside()
        for step in range(4):
            optimizer.zero_grad()
            loss_of(model, step).backward()
            optimizer.step()
            half.take(model[0].parameters())
            tenth.take([model[2].weight])
        state = optimizer.state
        averages = [state[param]["average"] for param in (*model[0].parameters(), model[2].weight)]
        assert_same_bits(averages, half.kept + tenth.kept)
        assert "average" not in state[model[2].bias]
        assert torch.equal(optimizer.averaged_state(model)["2.bias"], model[2].bias)
    with pytest.raises(SettingsError, match="schedule-free SGD keeps no `ema`"):
        ScheduleFreeSGD(mlp(), groups=given)


@pytest.mark.parametrize("ema", [0, 1, -0.5, 1.5, math.nan, "0.9", True, torch.tensor(0.9)], ids=repr)
def test_what_is_no_decay_is_refused(ema: Any) -> None:
    """As an argument and in a group."""
    param = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(SettingsError, match=r"`ema` must be in \(0, 1\) such as 0.999, or None"):
        SGD([param], lr=0.1, ema=ema)
    with pytest.raises(SettingsError, match="param group 0: `ema` must be"):
        SGD([{"params": [param], "ema": ema}], lr=0.1)


def test_what_is_given_twice_or_shares_memory_is_averaged_once() -> None:
    """A parameter listed twice steps twice, and two on one storage move each other."""
    param = torch.nn.Parameter(torch.ones(3))
    with pytest.warns(UserWarning, match="duplicate"):
        optimizer = SGD([param, param], lr=0.1, momentum=0.9, ema=0.9)
    beside = trained([param], optimizer)
    assert_same_bits([optimizer.state[param]["average"]], beside.kept)
    whole = torch.zeros(10)
    params = [torch.nn.Parameter(whole[:6]), torch.nn.Parameter(whole[4:])]
    optimizer = SGD(params, lr=0.1, momentum=0.9, ema=0.9)
    beside = trained(params, optimizer)
    assert_same_bits(averages_of(optimizer), beside.kept)


def test_an_average_that_somebody_replaced_is_the_one_that_moves() -> None:
    """A plan that knew another is not trusted; one that is the parameter itself stays that."""
    params = make_params(((3, 5), (4,)), torch.float32)
    optimizer = SGD(params, lr=0.1, momentum=0.9, ema=0.5)
    trained(params, optimizer)
    optimizer.state[params[0]]["average"] = torch.zeros(3, 5)
    set_grads(params, 9)
    optimizer.step()
    assert torch.equal(averages_of(optimizer)[0], params[0] * 0.5)
    optimizer.state[params[1]]["average"] = params[1].data
    set_grads(params, 10)
    optimizer.step()
    assert averages_of(optimizer)[1].data_ptr() == params[1].data_ptr()
    assert averages_of(optimizer)[1].isfinite().all()


def test_complex_numbers_tiny_factors_and_watched_steps_go_by_torchs_operations() -> None:
    """Each with the average that the weights have."""
    params = make_params(((3, 5), (4,)), torch.complex64)
    optimizer = SGD(params, lr=0.1, momentum=0.9, ema=0.9)
    beside = trained(params, optimizer)
    assert_same_bits(averages_of(optimizer), beside.kept)
    params = make_params(((3, 5), (4,)), torch.float32)
    optimizer, beside = SGD(params, lr=0.1, momentum=0.9, ema=0.9), Beside()
    for step in range(3):
        set_grads(params, step)
        optimizer.step(grad_scale=1e-30)
        beside.take(params)
    from torch.utils.flop_counter import FlopCounterMode

    for step in range(3, 5):
        set_grads(params, step)
        with FlopCounterMode(display=False):
            optimizer.step()
        beside.take(params)
    assert_same_bits(averages_of(optimizer), beside.kept)


def test_a_differentiable_step_is_averaged_beside_the_graph() -> None:
    """Autograd goes through the step to lr, and the average is no part of it."""
    lr = torch.tensor(0.1, requires_grad=True)
    start = torch.nn.Parameter(torch.ones(3))
    optimizer = SGD([start], lr=lr, ema=0.5, differentiable=True)
    seen = []
    for _ in range(2):
        param = optimizer.param_groups[0]["params"][0] = start.clone() if not seen else seen[-1].clone()
        if seen:
            optimizer.state[param] = optimizer.state.pop(seen[-1])
        param.grad = torch.ones(3)
        optimizer.step()
        seen.append(param)
    seen[-1].sum().backward()
    assert lr.grad is not None
    average = optimizer.state[seen[-1]]["average"]
    assert not average.requires_grad
    assert torch.allclose(average, (seen[0] + seen[1]).detach() / 2)


# Within the backward pass, in a graph, on a device


def test_within_the_backward_pass_the_bits_are_the_same() -> None:
    """Accumulated gradients and weights without one too; an ema written too late is refused."""
    both = pair(ema=0.9)
    for step in range(5):
        for model, optimizer in both:
            optimizer.zero_grad()
            with optimizer.accumulate():
                loss_of(model, step).backward()
            if step in (1, 3):
                model[2].requires_grad_(False)
            loss_of(model, step + 100).backward()
            model[2].requires_grad_(True)
            optimizer.step()
    averages = [averages_of(optimizer) for _, optimizer in both]
    assert None not in averages[0]
    assert_same_bits(*averages)
    model, optimizer = both[0]
    loss_of(model, 9).backward()
    with pytest.raises(StateError, match="cannot use the average while step 5 is half done"), optimizer.averaged():
        pass
    optimizer.param_groups[0]["ema"] = 0.5
    with pytest.raises(SettingsError, match="`ema` of param group 0 was changed from 0.9 to 0.5 after the backward"):
        optimizer.step()


def test_a_compiled_step_moves_the_same_averages() -> None:
    """A step in a graph of the compiler's, with a weight that has no gradient."""
    ends = []
    for compiled in (False, True):
        model = mlp()
        optimizer = SGD(model.named_parameters(), lr=0.1, momentum=0.9, ema=0.9)
        torch._dynamo.reset()
        step = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
        for seed in range(4):
            optimizer.zero_grad()
            loss_of(model, seed).backward()
            model[0].bias.grad = None
            step()
        ends.append(averages_of(optimizer))
    assert_same_bits(*ends)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("way", ["plain", "scaled", "held"])
def test_on_a_device_without_kernels_torchs_operations_follow(
    way: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not after a step of which the device alone knows that it moved nothing."""
    if way == "held" and dtype == torch.float64:
        pytest.skip("torch's fused kernel cannot be kept from moving float64")
    for name in ("sgd", "grad_scaler"):
        monkeypatch.setattr(f"downslope.torch.{name}.is_elsewhere", lambda _: True)
    monkeypatch.setattr("downslope.torch.on_device.kernels_for", lambda _: (None, "there are none"))
    params = make_params(((3, 5), (4,)), dtype)
    options = {"on_nonfinite": "raise"} if way == "held" else {}
    optimizer, beside = SGD(params, lr=0.1, momentum=0.9, ema=0.9, **options), Beside()
    if way == "held":
        optimizer.hold_nonfinite()
    scaler = GradScaler("cpu", init_scale=4.0, enabled=way == "scaled")
    scaler.scale(torch.ones(()))
    for step in range(6):
        set_grads(params, step)
        bad = {"plain": (), "scaled": (0, 3), "held": (4, 5)}[way]
        if step in bad:
            params[1].grad[1] = math.inf
        scaler.step(optimizer)
        scaler.update()
        if step not in bad:
            beside.take(params)
    assert_same_bits(averages_of(optimizer), beside.kept)


# Reading


def model_with_all() -> torch.nn.Module:
    """Return a model with buffers, a tied weight and a frozen one."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 3)
    )
    model[2].weight = model[0].weight
    model[3].bias.requires_grad_(False)
    return model


def test_the_model_at_its_average_and_back() -> None:
    """Within the context the weights are the average, whatever happens there; buffers and frozen ones stay."""
    model = model_with_all()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, ema=0.9)
    for seed in range(3):
        optimizer.zero_grad()
        loss_of(model, seed).backward()
        optimizer.step()
    before = copy.deepcopy(model.state_dict())
    expected = optimizer.averaged_state(model)
    assert list(expected) == list(before)

    def look() -> None:
        assert torch.is_grad_enabled()
        assert_same_bits(model.state_dict().values(), expected.values())
        assert torch.equal(model[0].weight, averages_of(optimizer)[0])
        assert torch.equal(model[1].running_mean, before["1.running_mean"])
        assert torch.equal(model[3].bias, before["3.bias"])
        with pytest.raises(StateError, match="hold their averages already"), optimizer.averaged():
            pass
        with pytest.raises(StateError, match="from which no step is taken"):
            optimizer.step()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), optimizer.averaged():
        look()
    assert_same_bits(model.state_dict().values(), before.values())
    optimizer.step()
    other = model_with_all()
    other.load_state_dict(expected)
    assert torch.equal(other[2].weight, expected["0.weight"])
    for tensor in expected.values():
        tensor.zero_()
    assert averages_of(optimizer)[0].any(), "they are copies"


def test_a_wrapper_that_is_a_copy_is_read_and_stepped_as_the_optimizer_is() -> None:
    """Fabric's has the optimizer's attributes as they were; no step is taken unseen by either."""
    model = mlp()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, ema=0.9)
    params = list(model.parameters())
    beside = trained(params, optimizer)
    wrapper = type("Wrapper", (SGD,), {})
    wrapped = wrapper.__new__(wrapper)
    wrapped.__dict__ = dict(vars(optimizer))
    with wrapped.averaged():
        assert_same_bits(params, beside.kept)
        for one in (optimizer, wrapped):
            with pytest.raises(StateError, match="from which no step is taken"):
                one.step()
    assert_same_bits(averages_of(optimizer), trained(params, optimizer, beside=beside).kept)


def test_reading_where_there_is_nothing_to_read() -> None:
    """Each with what to do."""
    model = mlp()
    plain = SGD(model.parameters(), lr=0.1)
    with pytest.raises(StateError, match=r"cannot use the average: none is kept. Pass ema=0.999"), plain.averaged():
        pass
    optimizer = SGD(model.parameters(), lr=0.1, ema=0.9)
    with optimizer.averaged():  # before the first step: the weights themselves
        pass
    assert_same_bits(optimizer.averaged_state(model).values(), model.state_dict().values())
    with pytest.raises(StateError, match="none of the model's parameters is this optimizer's"):
        optimizer.averaged_state(mlp())


def test_narrow_weights_are_read_in_their_format() -> None:
    """The average rounded to nearest, and afterwards their own bits again."""
    model = mlp().bfloat16()
    optimizer = SGD(model.parameters(), lr=0.1, ema=0.9)
    trained(list(model.parameters()), optimizer)
    before = [param.detach().clone() for param in model.parameters()]
    with optimizer.averaged():
        for param, average in zip(model.parameters(), averages_of(optimizer), strict=True):
            assert torch.equal(param, average.bfloat16())
    assert_same_bits(model.parameters(), before)


def test_schedule_free_sgd_has_its_own() -> None:
    """As an argument, in a group, written later, and read."""
    param = torch.nn.Parameter(torch.zeros(1))
    for make in (
        lambda: ScheduleFreeSGD([param], ema=0.9),
        lambda: ScheduleFreeSGD([{"params": [param], "ema": 0.9}]),
    ):
        with pytest.raises(SettingsError, match="schedule-free SGD keeps no `ema`"):
            make()
    optimizer = ScheduleFreeSGD([param])
    with pytest.raises(StateError, match="schedule-free SGD keeps no `ema`"), optimizer.averaged():
        pass
    optimizer.train()
    param.grad = torch.ones(1)
    optimizer.step()
    optimizer.param_groups[0]["ema"] = 0.9
    with pytest.raises(SettingsError, match="param group 0: schedule-free SGD keeps no `ema`"):
        optimizer.step()


# States


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@pytest.mark.parametrize("way", ["state_dict", "file", "deepcopy"])
def test_a_saved_average_goes_on_with_the_same_bits(dtype: torch.dtype, way: str) -> None:
    """Loaded, read from a file without pickle, or copied: as if nothing had happened."""
    params = make_params(SHAPES[1:], dtype)
    optimizer = SGD(params, lr=0.1, momentum=0.9, ema=0.9)
    trained(params, optimizer, 3)
    if way == "deepcopy":
        others, again = copy.deepcopy((params, optimizer))
    else:
        others = copy.deepcopy(params)
        again = SGD(others, lr=0.1, momentum=0.9, ema=0.9)
        state = optimizer.state_dict()
        if way == "file":
            file = io.BytesIO()
            torch.save(state, file)
            file.seek(0)
            state = torch.load(file, weights_only=True)
        again.load_state_dict(state)
    for some, one in ((params, optimizer), (others, again)):
        trained(some, one, 3)
    assert_same_bits(averages_of(optimizer), averages_of(again))


def changed(change: Any) -> tuple[dict[str, Any], SGD]:
    """Return a state with its first average changed, and an optimizer to load it."""
    params = make_params(((3, 5), (4,)), torch.float32)
    optimizer = SGD(params, lr=0.1, momentum=0.9, ema=0.9)
    trained(params, optimizer, 2)
    state = optimizer.state_dict()
    state["state"][0] = {**state["state"][0], "average": change(state["state"][0]["average"])}
    return state, SGD(make_params(((3, 5), (4,)), torch.float32), lr=0.1, momentum=0.9, ema=0.9)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t[:2], "has shape (2, 5), the parameter (3, 5)"),
        (lambda t: t.double(), "is torch.float64, and is kept in torch.float32 here"),
        (lambda t: t.to(torch.complex64), "is torch.complex64, and is kept in torch.float32 here"),
        (lambda t: t.long(), "is torch.int64, the parameter torch.float32"),
        (lambda _: [1.0], "must be a tensor; got list"),
    ],
)
def test_a_saved_average_that_does_not_fit_is_told(change: Any, problem: str) -> None:
    """And nothing is loaded; not strictly, the rest is."""
    state, optimizer = changed(change)
    with pytest.raises(StateError) as caught:
        optimizer.load_state_dict(state)
    assert f"the average of parameter 0 of group 0 {problem}" in str(caught.value)
    assert not optimizer.state
    with pytest.warns(UserWarning, match="the average of parameter 0 of group 0"):
        optimizer.load_state_dict(state, strict=False)
    assert averages_of(optimizer)[0] is None
    assert averages_of(optimizer)[1] is not None


def test_narrower_averages_are_widened_and_ones_without_a_place_refused() -> None:
    """A float32 average of weights that are float64 now; one where none is kept; and a state that has none."""
    state, optimizer = changed(lambda t: t.bfloat16())
    optimizer.load_state_dict(state)
    assert averages_of(optimizer)[0].dtype == torch.float32
    plain = SGD(make_params(((3, 5), (4,)), torch.float32), lr=0.1, momentum=0.9)
    with pytest.raises(StateError, match=r"the average of .* has no place here, where none is kept \(ema=None\)"):
        plain.load_state_dict(state)
    params = make_params(((3, 5), (4,)), torch.float32)
    theirs = torch.optim.SGD(params, lr=0.1, momentum=0.9)
    set_grads(params, 0)
    theirs.step()
    optimizer.load_state_dict(theirs.state_dict(), hyperparameters="keep")
    assert averages_of(optimizer) == [None, None]
    set_grads(params, 1)
    ours = optimizer.param_groups[0]["params"]
    set_grads(ours, 1)
    optimizer.step()
    assert_same_bits(averages_of(optimizer), ours)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_distributed_checkpoint_brings_it(tmp_path: Any) -> None:
    """Its state is allocated by a step that moves nothing, and filled."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    ends = []
    for again in (False, True):
        model = mlp()
        optimizer = SGD(model.named_parameters(), lr=0.1, momentum=0.9, ema=0.9)
        if not again:
            for seed in range(3):
                optimizer.zero_grad()
                loss_of(model, seed).backward()
                optimizer.step()
        state = {"optimizer": get_optimizer_state_dict(model, optimizer)}
        if again:
            dcp.load(state, checkpoint_id=tmp_path, planner=load_planner(), no_dist=True)
            set_optimizer_state_dict(model, optimizer, state["optimizer"])
        else:
            dcp.save(state, checkpoint_id=tmp_path, no_dist=True)
        ends.append(averages_of(optimizer))
    assert_same_bits(*ends)
