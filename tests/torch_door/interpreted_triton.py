"""Steps by the Triton kernels, interpreted on the processor: run by `test_triton.py` in a process of its own.

Triton decides when it is imported whether kernels are interpreted:

    TRITON_INTERPRET=1 python -m pytest tests/torch_door/interpreted_triton.py
"""

from __future__ import annotations

import itertools

import pytest
import torch
from test_conformance_torch import CaseModel, set_case_grads

from cases import CASES
from downslope.kernel import load_native
from downslope.kernel.coefficients import ROUNDINGS
from downslope.torch import SGD, triton_kernels
from downslope.torch.blocks import encode
from downslope.torch.tensors import EXCHANGE
from downslope.torch.triton_plan import KernelPlan, kernels_for
from downslope.torch.update import Entry

interpreter = pytest.importorskip("triton.runtime.interpreter")

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

    for name in ("sgd", "grad_scaler"):
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
    return own, grad


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(part).removeprefix("torch.") for part in kind))
def test_every_format_has_the_bits_of_the_processors_kernel(kind):
    """Parameters, velocities, codes, scales and what rounding dropped; of whole chunks, and of blocks cut short."""
    counts = (3, triton_kernels.CHUNK, triton_kernels.CHUNK + 300)
    entries, grads = zip(*(entry_of(number, count, kind) for number, count in enumerate(counts)), strict=True)
    others, _ = zip(*(entry_of(number, count, kind) for number, count in enumerate(counts)), strict=True)
    six = [-1e-3, -0.1, -0.09, 0.01, 1.0, 0.9, 0.0, -0.1, -0.09, 0.0, 1.0, 0.9]  # with decay, and without
    rows = [
        (e.param, grad, e.velocity, e.compensation, e.group, ROUNDINGS[e.rounding], e.position, 0)
        + (() if e.scales is None else (e.scales,))
        for e, grad in zip(others, grads, strict=True)
    ]
    load_native().step_tensors(EXCHANGE, rows, six, 12345)
    plan = KernelPlan(triton_kernels, entries)
    plan.launch(plan.upload(grads, six, 12345), torch.zeros(()))
    for ours, theirs in zip(entries, others, strict=True):
        for name in ("param", "velocity", "compensation", "scales"):
            assert same(getattr(ours, name), getattr(theirs, name)), f"{name} of {ours.param.numel()} elements"
    plan.launch(plan.upload(grads, six, 12345), torch.ones(()))
    assert all(same(ours.param, theirs.param) for ours, theirs in zip(entries, others, strict=True)), "it was to stop"


WAYS = [
    (torch.float32, {}),
    (torch.bfloat16, {"rounding": "stochastic", "velocity_dtype": torch.float32}),
    (torch.float16, {"velocity_dtype": torch.float32}),
    (torch.float64, {}),
    (torch.bfloat16, {"rounding": "compensated"}),
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
            for step in (0, 43):
                optimizer.step_count = step
                set_case_grads(model, case, step)
                for param in (*model.parameters(),)[1::2] if step == 0 else ():
                    param.grad = None
                optimizer.step()
        models.append(model)
        optimizers.append(optimizer)
    assert len(on_device) == 2
    for (name, one), two in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        assert same(one.detach(), two.detach()), name
        ours, theirs = optimizers[0].state[one], optimizers[1].state[two]
        assert list(ours) == list(theirs)
        assert all(same(ours[key], theirs[key]) for key in ours), name


def test_the_kernel_is_tried_before_it_is_used():
    """It is interpreted here, and a device that Triton does not compile for has another way."""
    assert kernels_for(HOST) == (triton_kernels, "")
    assert kernels_for(torch.device("meta")) == (None, "triton compiles for cpu here")
