"""Sections of the device check: the Triton kernels' bits beside the processor's, and steps in CUDA graphs."""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from device_sections.check import Check, Found, say, section, waits_of
from device_sections.steps import resnet50_shapes

SHAPES = [(64, 96), (33, 5), (7,), (), (3, 1024)]
"""One that is worth codes of 8 bits, whole chunks of the kernels, and parts of one."""


def _missing(check: Check) -> str:
    """Return why there is nothing to try, if there is nothing."""
    from downslope.torch import device_backend

    steps = device_backend(check.device)
    if check.device.type == "cuda":
        check.expect(steps == "triton", f"kernels: steps run on {steps}")
    return "" if steps == "triton" else steps


@section
def bits(check: Check) -> Found:
    """Parameters, velocities, codes and what rounding dropped: the processor's bits, in every format."""
    if why := _missing(check):
        return {"not run": why}
    from downslope.schedules import Cosine
    from downslope.torch import SGD

    formats = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
    rounded = [{"rounding": "stochastic", "rounding_seed": 7}, {"rounding": "compensated"}]
    rules: list[dict[str, Any]] = [
        {"momentum": 0.9, "weight_decay": 1e-2, "nesterov": True},
        {"momentum": 0.9, "weight_decay": 1e-2, "decay": "decoupled", "dampening": 0.2},
        {"weight_decay": 1e-2},
        {"momentum": 0.9, "lr_in_velocity": True, "maximize": True},
    ]
    found: Found = {}
    for dtype, velocity, rule in itertools.product(formats, (None, *formats, "int8"), rules[: check.count(4, 1)]):
        if dtype == torch.float64 and velocity == "int8":
            continue
        for how in ({}, *rounded) if dtype == torch.bfloat16 else ({},):
            states: list[list[Tensor]] = []
            for device in (torch.device("cpu"), check.device):
                generator = torch.Generator().manual_seed(0)
                drawn = [torch.randn(shape, generator=generator) for shape in SHAPES]
                params = [nn.Parameter(one.to(device, dtype)) for one in drawn]
                optimizer = SGD(params, lr=Cosine(0.3, 0.01, 5), velocity_dtype=velocity, **rule, **how)
                for _ in range(4):
                    for param in params:
                        param.grad = torch.randn(param.shape, generator=generator).to(device, dtype)
                    optimizer.step()
                kept = [tensor for param in params for tensor in optimizer.state[param].values()]
                states.append([tensor.detach().cpu() for tensor in (*params, *kept)])
            unlike = sum(not torch.equal(one, two) for one, two in zip(*states, strict=True))
            name = f"{dtype}, velocity {velocity}, {rule | how}"
            found[name] = unlike
            check.expect(unlike == 0, f"bits: {name}: {unlike} of {len(states[0])} tensors are not the processor's")
    say(f"    {len(found)} settings, {sum(map(bool, found.values()))} with other bits")
    return {"settings": len(found), "unlike": {name: count for name, count in found.items() if count}}


class _Case:
    """A small model, its optimizer, and a training step that can be recorded."""

    def __init__(self, check: Check, optimizer: Callable[[nn.Module], Any], *, scaled: bool = False) -> None:
        from downslope.torch import GradScaler

        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
        self.model.to(check.device)
        self.inputs = torch.zeros(8, 16, device=check.device)
        self.optimizer = optimizer(self.model)
        self.scaler = GradScaler(check.device.type, init_scale=1024.0, growth_interval=3) if scaled else None

    def give(self, step: int) -> None:
        self.inputs.copy_(torch.randn(8, 16, generator=torch.Generator().manual_seed(step)))

    def train(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.model(self.inputs).square().mean()
        if self.scaler is None:
            loss.backward()
            self.optimizer.step()
        else:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """Work on another stream, as what comes before a recording has to."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream().wait_stream(stream)


def _recorded(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


@section
def graphs(check: Check) -> Found:
    """Training steps in a CUDA graph while lr, momentum and decay change: the bits of steps taken one by one."""
    if (why := _missing(check)) or check.device.type != "cuda":
        return {"not run": why or "no CUDA graphs"}
    from downslope.schedules import Cosine, Exponential, Linear, Warmup

    lr = Warmup(4, Cosine(0.2, 0.01, 30))
    options: dict[str, dict[str, Any]] = {
        "schedules": {"lr": lr, "momentum": Linear(0.5, 0.95, 20), "weight_decay": Cosine(0.01, 0.0, 25)},
        "without end": {"lr": Exponential(0.2, 0.9, 5), "momentum": 0.9, "nesterov": True},
        "clipped, skipping": {"lr": lr, "momentum": 0.9, "clip_norm": 0.05, "on_nonfinite": "skip"},
        "8-bit velocity": {"lr": lr, "momentum": 0.9, "velocity_dtype": "int8"},
        "scaled": {"lr": lr, "momentum": 0.9},
    }
    found: Found = {}
    for name, chosen in options.items():
        make = partial(_optimizer_of, chosen)
        recorded, usual = cases = [_Case(check, make, scaled=name == "scaled") for _ in range(2)]
        with _aside():
            for step in range(2):
                recorded.give(step)
                recorded.train()
        recorded.give(2)
        graph = _recorded(recorded.train)  # which takes no step
        bad = 7 if name in ("clipped, skipping", "scaled") else -1
        for step in range(2, 20):
            recorded.give(step)
            if step == bad:
                recorded.inputs[0, 0] = math.inf
            graph.replay()
        for step in range(20):
            usual.give(step)
            if step == bad:
                usual.inputs[0, 0] = math.inf
            usual.train()
        check.wait()
        pairs = zip(recorded.model.parameters(), usual.model.parameters(), strict=True)
        error = max(float((one - two).abs().max()) for one, two in pairs)
        counts = [(case.optimizer.step_count, case.optimizer.skipped_steps) for case in cases]
        rates = [case.optimizer.param_groups[0]["lr"] for case in cases]
        found[name] = {"largest_difference": error, "counts": counts, "lr": rates}
        right = (20 - (bad > 0), int(bad > 0))
        check.expect(error <= 1e-6, f"graphs: {name}: {error:.3g} beside steps one by one")
        check.expect(counts == [right, right], f"graphs: {name}: counted {counts}, {right} were taken")
        check.expect(rates[0] == rates[1], f"graphs: {name}: lr {rates}")
    found["by hand"] = _changed_by_hand(check)
    case = _Case(check, partial(_optimizer_of, options["clipped, skipping"]))
    for step in range(3):
        case.give(step)
        case.train()
    found["waits"] = places = waits_of(check, case.train)
    check.expect(not places, f"graphs: a capturable step waits: {places[:2]}")
    return found


def _optimizer_of(options: dict[str, Any], model: nn.Module) -> Any:
    from downslope.torch import SGD

    return SGD(model.named_parameters(), **options, capturable=True)


def _changed_by_hand(check: Check) -> Found:
    """A plain step in a graph whose lr, on the device, is halved, and whose momentum is written there."""
    from downslope.torch import SGD

    lr = torch.tensor(0.5, device=check.device)
    param = nn.Parameter(torch.zeros(3, device=check.device))
    param.grad = torch.ones_like(param)
    optimizer = SGD([param], lr=lr, momentum=0.5, capturable=True)
    with _aside():
        optimizer.step()  # velocity 1, param -0.5
    graph = _recorded(optimizer.step)
    graph.replay()  # velocity 1.5, param -1.25
    lr.fill_(0.25)
    graph.replay()  # velocity 1.75, param -1.6875
    optimizer.param_groups[0]["momentum"] = 0.0
    optimizer.write_to_device()
    graph.replay()  # velocity 1, param -1.9375
    check.wait()
    check.expect(param.tolist() == [-1.9375] * 3, f"graphs: changed by hand: {param.tolist()}, expected -1.9375")
    return {"param": param.tolist(), "steps": optimizer.step_count}


@section
def graph_speed(check: Check) -> Found:
    """A step replayed from a CUDA graph, beside torch's fused step replayed: milliseconds on the device."""
    if (why := _missing(check)) or check.device.type != "cuda":
        return {"not run": why or "no CUDA graphs"}
    from downslope.schedules import Cosine
    from downslope.torch import SGD

    sizes = {
        "ResNet-50": resnet50_shapes(),
        "1,000 of 4,096": [(64, 64)] * 1000,
        "one of 100 million": [(10_000, 10_000)],
    }
    if check.quick:
        sizes = {"small": [(64, 64)] * 20}
    rule: dict[str, Any] = {"momentum": 0.9, "weight_decay": 1e-4, "nesterov": True}
    makers: dict[str, Callable[[Any], Any]] = {
        "downslope": lambda ps: SGD(ps, lr=Cosine(0.1, 0.0, 1000), **rule, capturable=True),
        "downslope, 8-bit velocity": lambda ps: SGD(ps, lr=0.1, **rule, velocity_dtype="int8", capturable=True),
        "downslope, clip_norm": lambda ps: SGD(ps, lr=0.1, **rule, clip_norm=1.0, capturable=True),
        "torch fused": lambda ps: torch.optim.SGD(ps, lr=torch.tensor(0.1, device=check.device), **rule, fused=True),
    }
    found: Found = {}
    for size, shapes in sizes.items():
        found[size] = {name: _replayed(check, shapes, make) for name, make in makers.items()}
        say(f"    {size}: {', '.join(f'{name} {ms} ms' for name, ms in found[size].items())}")
    return found


@section
def chunk_sizes(check: Check) -> Found:
    """Elements that a program of the kernel steps: milliseconds of a replayed step for each choice."""
    if (why := _missing(check)) or check.device.type != "cuda":
        return {"not run": why or "no CUDA graphs"}
    from downslope.torch import SGD, triton_kernels

    sizes = {"ResNet-50": resnet50_shapes(), "one of 100 million": [(10_000, 10_000)]}
    if check.quick:
        sizes = {"small": [(64, 64)] * 20}
    found: Found = {}
    usual = triton_kernels.CHUNK
    for size, velocity in itertools.product(sizes, (None, "int8")):
        options = {"lr": 0.1, "momentum": 0.9, "velocity_dtype": velocity, "capturable": True}
        table: Found = {}
        try:
            for chunk in (512, 1024, 2048, 4096):
                triton_kernels.CHUNK = chunk
                table[str(chunk)] = _replayed(check, sizes[size], lambda ps, o=options: SGD(ps, **o))
        finally:
            triton_kernels.CHUNK = usual
        found[f"{size}, {velocity or 'float32'} velocity"] = table
        say(f"    {size}, {velocity or 'float32'} velocity: {table}")
    return found


def _replayed(check: Check, shapes: Sequence[tuple[int, ...]], make: Callable[[Any], Any]) -> float:
    params = [nn.Parameter(torch.zeros(shape, device=check.device)) for shape in shapes]
    for param in params:
        param.grad = torch.full_like(param, 1e-3)
    optimizer = make(params)
    with _aside():
        for _ in range(2):
            optimizer.step()
    graph = _recorded(optimizer.step)
    times = []
    for _ in range(check.count(30, 3)):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        check.wait()
        start.record()
        graph.replay()
        end.record()
        check.wait()
        times.append(start.elapsed_time(end))
    return round(statistics.median(times), 4)
