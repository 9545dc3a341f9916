"""Steps by the Triton kernels, interpreted on the processor: run by `test_triton.py` in a process of its own.

Triton decides when it is imported whether kernels are interpreted:

    TRITON_INTERPRET=1 python -m pytest tests/torch_door/triton_interpreted.py
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from test_conformance_torch import CaseModel, set_case_grads
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch_runs import assert_close, make_params

from cases import CASES
from downslope.core.errors import ImplementationError, NonFiniteGradientError, SettingsError, StateError
from downslope.kernel import load_native
from downslope.kernel.coefficients import ROUNDINGS, six_coefficients
from downslope.kernel.random_bits import step_key
from downslope.schedules import Cosine, Exponential, Linear, Warmup
from downslope.torch import SGD, GradScaler, ScheduleFreeSGD, triton_kernels
from downslope.torch.average import average_dtype
from downslope.torch.blocks import encode
from downslope.torch.device_numbers import DeviceNumbers
from downslope.torch.step import row_of, scaled
from downslope.torch.tensors import EXCHANGE
from downslope.torch.triton_plan import KernelPlan, kernels_for
from downslope.torch.update import Entry

interpreter = import_module("triton.runtime.interpreter")

HOST = torch.device("cpu")
FORMATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
KINDS = [
    (param, velocity, rounding)
    for param, velocity, rounding in itertools.product(FORMATS, (*FORMATS, None, "int8"), ROUNDINGS)
    if (rounding == "nearest" or param == torch.bfloat16) and not (velocity == "int8" and param == torch.float64)
]
SPECIAL = torch.tensor(
    [*map(float, ("inf", "-inf", "nan")), 0.0, -0.0, 1e-40, -3e-42, 6e-8, 1e-6, 65504, 65520, 3e38], dtype=torch.float64
)


@pytest.fixture(autouse=True)
def patched_once(monkeypatch):
    """Have the interpreter put itself in the place of Triton's language once a launch, not at every call within it."""
    whole, patched = interpreter._patch_lang, []
    run = interpreter.GridExecutor.__call__

    def begun(self, *arguments, **options):
        patched.clear()
        return run(self, *arguments, **options)

    def once(function):
        own = function.__module__
        if own == triton_kernels.__name__ and own in patched:
            return None
        patched.append(own)
        return whole(function)

    monkeypatch.setattr(interpreter.GridExecutor, "__call__", begun)
    monkeypatch.setattr(interpreter, "_patch_lang", once)


@pytest.fixture
def on_device(monkeypatch):
    """Take the processor's tensors for a device's; return how many tensors each launch stepped."""
    assert kernels_for(HOST)[0] is not None
    launches = []
    whole = KernelPlan.launch

    def noted(plan, *words):
        launches.append(sum(len(launch.places) for launch in plan.launches))
        whole(plan, *words)

    for name in ("sgd", "grad_scaler", "on_device"):
        monkeypatch.setattr(f"downslope.torch.{name}.is_elsewhere", lambda _: True)
    monkeypatch.setattr(KernelPlan, "launch", noted)
    return launches


def same(one, two):
    """Whether two tensors have the same bits, but that one NaN is as good as another."""
    if one is None or two is None:
        return one is two
    if not one.is_floating_point():
        return torch.equal(one, two)
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[one.itemsize]
    return bool(((one.view(bits) == two.view(bits)) | (one.isnan() & two.isnan())).all())


def numbers(count, dtype, generator, *, special):
    """Return numbers of many sizes, some of them those that formats treat apart."""
    sizes = torch.exp2(torch.randint(-30, 3, (count,), generator=generator).double())
    found = torch.randn(count, generator=generator, dtype=torch.float64) * sizes
    if special:
        places = torch.randint(0, count, (count // 8 + 1,), generator=generator)
        found[places] = SPECIAL[torch.randint(0, len(SPECIAL), (len(places),), generator=generator)]
    return found.to(dtype)


def entry_of(number, count, kind):
    """Return a parameter of a kind, and its gradient."""
    dtype, velocity_dtype, rounding = kind
    generator, special = torch.Generator().manual_seed(number), number > 0
    param, grad = (numbers(count, dtype, generator, special=special) for _ in range(2))
    velocity = scales = None
    if velocity_dtype == "int8":
        velocity, scales = torch.zeros(count, dtype=torch.int8), torch.zeros(-(-count // 256))
        encode(numbers(count, torch.float32, generator, special=special), velocity, scales)
    elif velocity_dtype is not None:
        velocity = numbers(count, velocity_dtype, generator, special=special)
    lost = numbers(count, torch.bfloat16, generator, special=False) * 1e-3 if rounding == "compensated" else None
    own = Entry(number % 2, number, False, param, velocity, lost, rounding, scales=scales)
    if number > 0:
        average = numbers(count, average_dtype(dtype), generator, special=special)
        own = replace(own, average=average, weight=0.1 * number)
    return own, grad


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(part).removeprefix("torch.") for part in kind))
def test_every_format_has_the_bits_of_the_processors_kernel(kind):
    """Parameters, velocities, codes, scales, averages, what rounding dropped; whole chunks, and blocks cut short."""
    counts = (3, triton_kernels.CHUNK, triton_kernels.CHUNK + 300)
    entries, grads = zip(*(entry_of(number, count, kind) for number, count in enumerate(counts)), strict=True)
    others, _ = zip(*(entry_of(number, count, kind) for number, count in enumerate(counts)), strict=True)
    six = [-1e-3, -0.1, -0.09, 0.01, 1.0, 0.9, 0.0, -0.1, -0.09, 0.0, 1.0, 0.9]  # with decay, and without
    rows = [row_of(entry, entry.group, grad) for entry, grad in zip(others, grads, strict=True)]
    load_native().step_tensors(EXCHANGE, rows, six, 12345)
    plan = KernelPlan(triton_kernels, entries)
    plan.launch(plan.upload(grads, six, 12345), torch.zeros(()))
    for ours, theirs in zip(entries, others, strict=True):
        for name in ("param", "velocity", "compensation", "scales", "average"):
            assert same(getattr(ours, name), getattr(theirs, name)), f"{name} of {ours.param.numel()} elements"
    plan.launch(plan.upload(grads, six, 12345), torch.ones(()))
    assert all(same(ours.param, theirs.param) for ours, theirs in zip(entries, others, strict=True)), "it was to stop"


WAYS = [
    (torch.float32, {}),
    (torch.bfloat16, {"rounding": "stochastic", "velocity_dtype": torch.float32}),
    (torch.float16, {"velocity_dtype": torch.float32}),
    (torch.float64, {"ema": 0.75}),
    (torch.bfloat16, {"rounding": "compensated", "ema": 0.9}),
    (torch.float32, {"velocity_dtype": torch.bfloat16}),
]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: str(CASES[number]))
def test_every_case_has_the_bits_of_the_processors_kernel(number, on_device, monkeypatch):
    """At first gradients and late in a schedule, beside other first ones: all parameters of a step in one launch."""
    case, (dtype, options) = CASES[number], WAYS[number % len(WAYS)]
    models, optimizers = [], []
    for is_ours in (True, False):
        model = CaseModel(dtype)
        optimizer = SGD(model, settings=case.settings, groups=case.groups, **options)
        with monkeypatch.context() as patch:
            if not is_ours:
                patch.setattr("downslope.torch.sgd.is_elsewhere", lambda _: False)
            for step, every in ((0, 4), (43, 2)):  # a program is interpreted in milliseconds
                optimizer.step_count = step
                set_case_grads(dict(model.named_parameters()), case, step)
                for place, param in enumerate(model.parameters(), number):
                    param.grad = None if place % every else param.grad
                optimizer.step()
        models.append(model)
        optimizers.append(optimizer)
    groups = optimizers[0].param_groups
    asks = any(group["trust_coefficient"] or group["adaptive_clip"] for group in groups)  # for norms: not the kernels'
    assert len(on_device) == 2 or asks
    for (name, one), two in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        assert same(one.detach(), two.detach()), name
        ours, theirs = optimizers[0].state[one], optimizers[1].state[two]
        assert set(ours) == set(theirs)
        assert all(same(ours[key], theirs[key]) for key in ours), name


def test_the_kernel_is_tried_before_it_is_used():
    """It is interpreted here, and a device that Triton does not compile for has another way."""
    assert kernels_for(HOST) == (triton_kernels, "")
    assert kernels_for(torch.device("meta")) == (None, "triton compiles for cpu here")


# Numbers on the device, and steps that are recorded


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: str(CASES[number]))
def test_the_device_makes_the_coefficients_that_the_host_makes(number, monkeypatch):
    """Every case's: six for each group's parameters, with and at their first gradient, at steps on and on."""
    monkeypatch.setattr("downslope.torch.device_numbers.LONGEST_TABLE", 64)
    optimizer = SGD(CaseModel(torch.float32), settings=CASES[number].settings, groups=CASES[number].groups)
    there = DeviceNumbers(triton_kernels, HOST, optimizer.param_groups)
    there.write(optimizer.param_groups, seed=2**40 + 3)
    for step in (43, 300):
        optimizer.step_count = step
        there.set_step(step)
        rows, key, stop = there.next_step(None, None, counts_skipped=True)
        assert there.counts[:3].tolist() == [step + 1, 0, 0]
        assert (int(key), float(stop)) == (step_key(2**40 + 3, step), 0)
        both = scaled(optimizer.param_groups, optimizer.step_scalars(), 1.0)
        right = [n for group, first in there.kinds for n in six_coefficients(both[first][group])]
        assert rows.tolist() == right
    plan = KernelPlan(triton_kernels, [Entry(0, 0, False, torch.zeros(1), None)], there.kinds)
    numbers = plan.upload([torch.zeros(1)], plan.coefficients(both), 0)
    half = scaled(optimizer.param_groups, optimizer.step_scalars(), 0.5)
    assert numbers.with_factor(torch.tensor(0.5)).rows.tolist() == plan.coefficients(half)


class Recording(TorchDispatchMode):
    """What is launched within, to be done again in the same memory, as a CUDA graph does it; nothing in it may wait."""

    def __init__(self):
        super().__init__()
        self.tape, self.patch = [], pytest.MonkeyPatch()

    def __enter__(self):
        whole = triton_kernels.launch

        def launched(*words, **named):
            with _disable_current_modes():
                whole(*words, **named)
            self.tape.append((whole, words, named, ()))

        def waited(*_):
            raise AssertionError("it waits for the device")

        self.patch.setattr(triton_kernels, "launch", launched)
        self.patch.setattr("downslope.torch.sgd.is_watched", lambda: False)
        for name in ("tolist", "item", "numpy", "__bool__", "__float__", "__int__"):
            self.patch.setattr(torch.Tensor, name, waited)
        for name in ("on_device", "device_numbers"):
            self.patch.setattr(f"downslope.torch.{name}.is_recording", lambda _: self.records)
        return super().__enter__()

    records = True

    def __exit__(self, *error):
        super().__exit__(*error)
        self.patch.undo()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert "_local_scalar_dense" not in str(function), "it waits for the device"
        done = function(*args, **(kwargs or {}))
        self.tape.append((function, args, kwargs or {}, tree_leaves(done)))
        return done

    def replay(self):
        for function, args, kwargs, kept in self.tape:
            for old, new in zip(kept, tree_leaves(function(*args, **kwargs)), strict=False):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Watching(Recording):
    """The same of steps that are not recorded: whether they wait."""

    records = False


def made(schedules, dtype=torch.float32, **options):
    """Return three parameters and their optimizer: one of the groups has numbers of its own."""
    params = make_params(((5, 7), (3,), (2, 2)), dtype)
    groups = [{"params": params[:2]}, {"params": params[2:], "weight_decay": 0.02, "decay": "independent"}]
    return params, SGD(groups, **schedules, **options)


def give(params, step, factor=1.0):
    """Write a step's gradients into those that are there."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for param in params:
            grad = torch.randn(param.shape, generator=generator).to(param.dtype) * factor
            param.grad = grad if param.grad is None else param.grad.copy_(grad)


SCHEDULED = {
    "lr": Warmup(3, Cosine(0.4, 0.01, 12)),
    "momentum": Linear(0.5, 0.95, 9),
    "weight_decay": Cosine(0.01, 0.0, 8),
    "decay": "relative",
    "dampening": 0.1,
}


@pytest.mark.parametrize(
    ("dtype", "options"),
    [(torch.float32, {"nesterov": True}), (torch.bfloat16, {"rounding": "stochastic", "rounding_seed": 5, "ema": 0.9})],
    ids=str,
)
def test_a_recorded_step_goes_on_by_itself(dtype, options, on_device, monkeypatch):
    """Each run of it is the next step of the schedules, with the processor's bits, as is what is saved."""
    params, ours = made(SCHEDULED, dtype, **options, capturable=True)
    others, usual = made(SCHEDULED, dtype, **options)
    give(params, 0)
    ours.step()  # one step before the first is recorded
    give(params, 1)
    recording = Recording()
    with recording:
        ours.step()
    for step in range(2, 7):
        give(params, step)
        recording.replay()
    monkeypatch.setattr("downslope.torch.sgd.is_elsewhere", lambda _: False)
    for step in range(7):
        give(others, step)
        usual.step()
    assert all(same(one.detach(), two.detach()) for one, two in zip(params, others, strict=True))
    one, two = ours.state_dict(), usual.state_dict()
    assert [group["step"] for group in one["param_groups"]] == [7, 7]
    plain = ("lr", "momentum", "weight_decay", "step", "skipped")
    for group, other in zip(one["param_groups"], two["param_groups"], strict=True):
        assert [group[name] for name in plain] == [other[name] for name in plain]
    assert all(
        same(one["state"][key][word], two["state"][key][word]) for key in one["state"] for word in one["state"][key]
    )


def test_what_is_changed_by_hand_is_seen_by_recorded_steps(on_device, monkeypatch):
    """An lr on the device at once, another number once it is written there, and none while a step is recorded."""
    lr = torch.tensor(0.1)
    params, ours = made({"lr": lr, "momentum": 0.9}, capturable=True)
    others, usual = made({"lr": 0.1, "momentum": 0.9})
    give(params, 0)
    ours.step()
    recording = Recording()
    with recording:
        ours.step()
    lr.fill_(0.25)
    for group in ours.param_groups:
        group["momentum"] = 0.8
    with pytest.raises(ImplementationError, match="write_to_device"), Recording():
        ours.step()
    ours.write_to_device()
    recording.replay()
    ours.param_groups[0]["lr"] = 0.5
    with pytest.raises(SettingsError, match="Write to the tensor itself"):
        ours.write_to_device()
    monkeypatch.setattr("downslope.torch.sgd.is_elsewhere", lambda _: False)
    for group in usual.param_groups:
        group.update(lr=float(torch.tensor(0.1)), momentum=0.9)
    for step in range(3):
        give(others, 0)
        if step == 2:
            for group in usual.param_groups:
                group.update(lr=0.25, momentum=0.8)
        usual.step()
    assert all(same(one.detach(), two.detach()) for one, two in zip(params, others, strict=True))


@pytest.mark.parametrize("way", ["clipped", "skipped", "scaled"])
def test_norms_and_what_is_not_finite_stay_on_the_device(way, on_device, monkeypatch):
    """Clipping, steps that do not count, and loss scales, which a scaler changes in the recorded step too."""
    options = {"clip_norm": 0.5} if way == "clipped" else {"on_nonfinite": "skip"} if way == "skipped" else {}
    options |= {} if way == "clipped" else {"ema": 0.9}
    factor = 1024.0 if way == "scaled" else 1.0
    params, ours = made(SCHEDULED, **options, capturable=True)
    others, usual = made(SCHEDULED, **options)
    scalers = [GradScaler("cpu", init_scale=factor, enabled=way == "scaled") for _ in range(2)]
    for scaler in scalers:
        scaler.scale(torch.ones(()))

    def take(optimizer, scaler):
        scaler.step(optimizer)
        scaler.update()

    give(params, 0, factor)
    take(ours, scalers[0])
    recording = Recording()
    give(params, 1, factor)
    with recording:
        take(ours, scalers[0])
    bad = 3 if way != "clipped" else None
    for step in range(2, 6):
        give(params, step, float(scalers[0]._scale) if way == "scaled" else 1.0)
        if step == bad:
            params[1].grad[1] = math.inf
        recording.replay()
        assert ours.step_was_skipped == (step == bad)
    for name in ("sgd", "grad_scaler"):
        monkeypatch.setattr(f"downslope.torch.{name}.is_elsewhere", lambda _: False)
    for step in range(6):
        give(others, step, float(scalers[1]._scale) if way == "scaled" else 1.0)
        if step == bad:
            others[1].grad[1] = math.inf
        take(usual, scalers[1])
    assert (
        (ours.step_count, ours.skipped_steps) == (usual.step_count, usual.skipped_steps) == (6 - bool(bad), bool(bad))
    )
    if way == "clipped":  # norms are summed in another order
        assert_close(params, others, 1e-6)
        assert ours.grad_norm == pytest.approx(usual.grad_norm)
    else:
        assert all(same(one.detach(), two.detach()) for one, two in zip(params, others, strict=True))
        averages = [
            (ours.state[one]["average"], usual.state[two]["average"]) for one, two in zip(params, others, strict=True)
        ]
        assert all(same(*pair) for pair in averages)


def test_recorded_steps_keep_the_decay_of_their_average(on_device):
    """Another one written since is refused, and not ignored."""
    params, ours = made({"lr": 0.1}, capturable=True, ema=0.9)
    give(params, 0)
    ours.step()
    with Recording():
        ours.step()
    ours.param_groups[1]["ema"] = 0.5
    with pytest.raises(SettingsError, match="`ema` of the param_groups was changed since a step was recorded"):
        ours.write_to_device()


def test_a_gradient_that_is_not_finite_stops_recorded_steps_until_somebody_asks(on_device, monkeypatch):
    """With the step at which it was, and the parameter."""
    params, ours = made(SCHEDULED, on_nonfinite="raise", capturable=True)
    give(params, 0)
    ours.step()
    recording = Recording()
    with recording:
        ours.step()
    give(params, 2)
    params[2].grad[0] = math.nan
    kept = [param.detach().clone() for param in params]
    recording.replay()
    give(params, 3)
    recording.replay()
    assert all(torch.equal(one, two) for one, two in zip(params, kept, strict=True))
    with pytest.raises(
        NonFiniteGradientError, match="the gradient of parameter 0 of group 1 holds inf or NaN at step 2"
    ):
        ours.raise_held()
    assert ours.step_count == 2


def test_ordinary_steps_wait_for_nothing(on_device, monkeypatch):
    """Neither with schedules nor with norms, nor where a number is changed."""
    params, ours = made(SCHEDULED | {"clip_norm": 1.0, "on_nonfinite": "skip"}, capturable=True)
    for step in range(2):
        give(params, step)
        ours.step()
    give(params, 2)
    with Watching():
        ours.step()
        ours.param_groups[0]["dampening"] = 0.2
        ours.step()
    assert ours.step_count == 4


def test_a_schedule_without_end_has_a_table_that_moves_on(on_device, monkeypatch):
    """Beyond it nothing moves, which is said; asked in time, the next values are there."""
    monkeypatch.setattr("downslope.torch.device_numbers.LONGEST_TABLE", 4)
    schedule = Exponential(0.5, 0.5, 2)
    params, ours = made({"lr": schedule}, capturable=True)
    give(params, 0)
    for _ in range(3):
        ours.step()
    assert ours.step_count == 3  # and from here on there are four more
    for _ in range(4):
        ours.step()
    kept = [param.detach().clone() for param in params]
    ours.step()
    assert all(torch.equal(one, two) for one, two in zip(params, kept, strict=True))
    with pytest.raises(StateError, match="1 recorded steps were left out from step 7 on"):
        ours.step_count  # noqa: B018
    assert ours.step_count == 7
    assert ours.param_groups[0]["lr"] == schedule(6)  # the last step's, as it is without a device
    ours.step()
    assert ours.step_count == 8


def test_what_a_recorded_step_cannot_do_is_refused(on_device, monkeypatch):
    """With the reason, before anything moves."""
    params, ours = made({"lr": 0.1, "momentum": 0.9}, capturable=True)
    give(params, 0)
    with pytest.raises(ImplementationError, match="Take a step with the same parameters before"), Recording():
        ours.step()
    assert all(param not in ours.state for param in params)
    usual = made({"lr": 0.1})
    give(usual[0], 0)
    usual[1].step()
    with (
        pytest.raises(ImplementationError, match="the same step at every run of it.* Pass capturable=True"),
        Recording(),
    ):
        usual[1].step()
    wide, other = made({"lr": 0.1}, torch.complex64, capturable=True)
    give(wide, 0)
    with pytest.raises(ImplementationError, match="they do not take these parameters"):
        other.step()
    group = ours.param_groups[0]
    group["momentum"] = torch.tensor(0.9)
    with pytest.raises(SettingsError, match=r"param group 0: `momentum` is a tensor of shape \(\) on cpu"):
        ours.step()
    group["momentum"] = -1.0
    with pytest.raises(SettingsError, match="param group 0: `momentum` must be"):
        ours.write_to_device()


def test_states_and_copies_take_their_counts_along(on_device):
    """A loaded state, a copy and a new group go on where the device was."""
    params, ours = made(SCHEDULED, capturable=True)
    give(params, 0)
    for _ in range(3):
        ours.step()
    twin = copy.deepcopy(ours)
    assert twin.step_count == 3
    _, other = made(SCHEDULED, capturable=True)
    other.load_state_dict(ours.state_dict())
    assert other.step_count == 3
    extra = torch.nn.Parameter(torch.ones(3))
    extra.grad = torch.ones(3)
    ours.add_param_group({"params": [extra]})
    ours.step()
    ours.step_count = 9
    ours.step()
    assert (ours.step_count, twin.step_count) == (10, 3)


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("velocity_dtype", [None, "int8"])
def test_schedule_free_sgd(velocity_dtype, clip_norm, on_device, monkeypatch):
    """Its coefficients, and its clipping by a norm that the device alone knows, as on the processor."""
    results = []
    for is_there in (True, False):
        for name in ("sgd", "grad_scaler", "on_device"):
            monkeypatch.setattr(f"downslope.torch.{name}.is_elsewhere", lambda _, there=is_there: there)
        params = make_params(((80, 60), (5,)), torch.float32)
        options = {"weight_decay": 0.1, "warmup_steps": 3, "velocity_dtype": velocity_dtype, "clip_norm": clip_norm}
        optimizer = ScheduleFreeSGD(params, lr=0.5, **options)
        optimizer.train()
        for step in range(4):
            generator = torch.Generator().manual_seed(step)
            for param in params:
                param.grad = torch.randn(param.shape, generator=generator)
            optimizer.step()
        results.append([param.detach() for param in params])
    assert len(on_device) == 4
    assert_close([a.double() for a in results[0]], [b.double() for b in results[1]], 1e-5 if velocity_dtype else 1e-6)
    assert clip_norm is not None or all(map(same, *results))
