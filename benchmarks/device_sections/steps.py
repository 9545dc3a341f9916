"""Sections of the device check: what is there, and an optimizer's steps, right, without waiting, and fast."""

# ruff: noqa: S603

from __future__ import annotations

import contextlib
import math
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from device_sections.check import Check, Found, say, section, waits_of
from device_sections.runs import image_recipe, mlp_recipe, trained, trainer_of


@section
def machine(check: Check) -> Found:
    """Versions, the device, the compiled kernel."""
    from downslope import kernel
    from downslope.torch import device_backend
    from downslope.training.device import backends, describe_device, find_device, usage_of

    found: Found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "kernel": kernel.backend(),
        "steps": device_backend(check.device),
        "auto": str(find_device("auto")),
        "device": str(check.device),
        "describes": describe_device(check.device),
        "backends": backends(),
        "usage": None if (usage := usage_of(check.device)) is None else usage.fields(),
    }
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        words = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit", "--format=csv"]
        found["nvidia_smi"] = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False).stdout
    if check.device.type == "cuda":
        found["capability"] = list(torch.cuda.get_device_capability(check.device))
        found["devices"] = torch.cuda.device_count()
    return found


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


# The optimizer: the rule's cases, and steps without waiting


@section
def cases(check: Check) -> Found:
    """Every case of the rule's table, on the device, against the rule in float64; and which way its steps went."""
    from cases import CASES, STEPS, gradients, initial_params
    from downslope.torch import SGD, on_device
    from reference import reference_of, ulp_error

    counts = {"device": 0, "other": 0}
    whole = on_device.step_on_device

    def counted(*words: Any, **named: Any) -> bool:
        done = whole(*words, **named)
        counts["device" if done else "other"] += 1
        return done

    found: Found = {}
    import downslope.torch.sgd as door

    chosen = CASES[:: check.count(1, 12)]
    steps = check.count(STEPS, 10)
    for name, dtype, bound in (("float32", torch.float32, 32.0), ("float64", torch.float64, 24.0)):
        worst, worst_case = 0.0, ""
        for case in chosen:
            params = {
                key: nn.Parameter(torch.from_numpy(np.array(value)).to(check.device, dtype))
                for key, value in initial_params(np.float64).items()
            }
            optimizer = SGD(list(params.items()), settings=case.settings, groups=case.groups)
            door.step_on_device = counted
            try:
                for step in range(steps):
                    given = gradients(case, step, np.float64)
                    for key, param in params.items():
                        ready = key in given
                        grad = torch.from_numpy(np.array(given[key])).to(check.device, dtype) if ready else None
                        param.grad = grad
                    optimizer.step()
            finally:
                door.step_on_device = whole
            reference = reference_of(case.name)
            for key, param in params.items():
                if param.numel():
                    value = param.detach().cpu().double().numpy()
                    right, scale = reference.params[steps - 1][key], reference.magnitudes[key]
                    error = ulp_error(value, right, dtype=dtype, magnitude=scale)
                    if error > worst:
                        worst, worst_case = error, case.name
        found[name] = {"cases": len(chosen), "worst_ulp": worst, "worst_case": worst_case, "bound_ulp": bound}
        check.expect(worst <= bound, f"cases in {name}: {worst:.1f} ulp in {worst_case}")
        say(f"    {name}: {len(chosen)} cases, at most {worst:.1f} ulp ({worst_case})")
    fused = on_device.fused_kernel(torch.ones((), device=check.device).device, (torch.float32,))
    check.expect(check.device.type != "cuda" or fused is not None, "cases: torch's fused kernel was refused")
    found["steps"] = counts
    check.expect(check.is_host or counts["device"] > counts["other"], f"cases: steps went {counts}")
    return found


@section
def formats(check: Check) -> Found:
    """bfloat16 and float16 parameters, roundings, clipping, maximizing: against the same steps on the processor."""
    from downslope.torch import SGD

    found: Found = {}
    shapes = [(64, 32), (32,), (8, 4, 3, 3), ()]
    options: list[tuple[str, dict[str, Any]]] = [
        ("plain", {"momentum": 0.9}),
        ("coupled nesterov", {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-2}),
        ("decoupled", {"momentum": 0.9, "weight_decay": 1e-2, "decay": "decoupled"}),
        ("dampened", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 1e-2}),
        ("no momentum", {"weight_decay": 1e-2}),
        ("maximize", {"momentum": 0.9, "maximize": True, "weight_decay": 1e-2}),
        ("lr inside", {"momentum": 0.9, "lr_in_velocity": True, "nesterov": True}),
        ("clipped", {"momentum": 0.9, "clip_norm": 1.0}),
        ("clipped, raise", {"momentum": 0.9, "clip_norm": 1.0, "on_nonfinite": "raise"}),
        ("clipped nesterov", {"momentum": 0.9, "clip_norm": 1.0, "nesterov": True}),
        ("one by one", {"momentum": 0.9, "foreach": False}),
        ("float32 velocity", {"momentum": 0.9, "velocity_dtype": torch.float32}),
        ("stochastic", {"momentum": 0.9, "rounding": "stochastic"}),
        ("compensated", {"momentum": 0.9, "rounding": "compensated"}),
    ]
    bounds = {torch.float32: 2e-6, torch.float64: 1e-12, torch.bfloat16: 3e-2, torch.float16: 4e-3}
    for dtype, bound in bounds.items():
        worst, which = 0.0, ""
        for name, chosen in options:
            if "rounding" in chosen and dtype != torch.bfloat16:
                continue
            ends: list[list[Tensor]] = []
            for device in (torch.device("cpu"), check.device):
                generator = torch.Generator().manual_seed(0)
                drawn = [torch.randn(shape, generator=generator) for shape in shapes]
                params = [nn.Parameter(one.to(device, dtype)) for one in drawn]
                optimizer = SGD([(f"p{i}", p) for i, p in enumerate(params)], lr=0.05, **chosen)
                for _ in range(5):
                    for param in params:
                        param.grad = torch.randn(param.shape, generator=generator).to(device, dtype)
                    optimizer.step()
                ends.append([param.detach().cpu().double() for param in params])
            error = max(float((a - b).abs().max()) for a, b in zip(*ends, strict=True))
            if error >= worst:
                worst, which = error, name
            check.expect(error <= bound, f"formats: {dtype}, {name}: {error:.3g} beside the processor")
        found[str(dtype).removeprefix("torch.")] = {"worst": worst, "in": which, "bound": bound}
    return found


@section
def waiting(check: Check) -> Found:
    """Where a step waits for the device: nowhere, unless it is asked for."""
    from downslope.torch import SGD, GradScaler

    found: Found = {}

    def door(name: str, *, scaled: bool = False, may: bool = False, **options: Any) -> None:
        params = [nn.Parameter(torch.randn(shape, device=check.device)) for shape in ((64, 64), (64,))]
        grads = [torch.randn_like(param) for param in params]
        optimizer = SGD([(f"p{i}", p) for i, p in enumerate(params)], lr=0.1, **options)
        scaler = GradScaler(check.device.type, init_scale=1024.0) if scaled else None
        if options.get("on_nonfinite") == "raise" and not may:
            optimizer.hold_nonfinite()

        def step() -> None:
            for param, grad in zip(params, grads, strict=True):
                param.grad = grad
            if scaler is None:
                optimizer.step()
            else:
                scaler.scale(params[1].sum())
                scaler.step(optimizer)
                scaler.update()

        for _ in range(3):
            step()
        places = waits_of(check, step)
        found[name] = places
        check.expect(bool(may or not places), f"waiting: the optimizer, {name}: {places[:2]}")

    door("momentum", momentum=0.9)
    door("decoupled nesterov", momentum=0.9, nesterov=True, weight_decay=1e-2, decay="decoupled")
    door("clip_norm", momentum=0.9, clip_norm=1.0)
    door("held back", momentum=0.9, on_nonfinite="raise")
    door("GradScaler", scaled=True, momentum=0.9, clip_norm=1.0)
    door("on_nonfinite raise, at once (one wait)", may=True, momentum=0.9, on_nonfinite="raise")

    for name, recipe, may in (
        ("mlp", mlp_recipe(log_every=1000), False),
        ("convnet, ema, clip_norm", image_recipe(log_every=1000, ema=0.99, clip_norm=1.0), False),
        ("convnet, bfloat16, 2 accumulated", image_recipe(log_every=1000, precision="bfloat16", accumulate=2), False),
        ("convnet, float16", image_recipe(log_every=1000, precision="float16"), True),
    ):
        with trainer_of(check, recipe) as trainer:
            for _ in range(3):
                trainer.train_step()
            places = waits_of(check, trainer.train_step)
        found[f"train {name}"] = places
        check.expect(may or not places, f"waiting: a training step, {name}: {places[:3]}")
    return found


# Steps alone


def resnet50_shapes() -> list[tuple[int, ...]]:
    """Return the shapes of the 161 parameters of a ResNet-50 for 1,000 classes."""
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    width = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner = 64 * 2**stage
        for block in range(blocks):
            for shape in ((inner, width, 1, 1), (inner, inner, 3, 3), (4 * inner, inner, 1, 1)):
                shapes += [shape, (shape[0],), (shape[0],)]
            if block == 0:
                shapes += [(4 * inner, width, 1, 1), (4 * inner,), (4 * inner,)]
            width = 4 * inner
    return [*shapes, (1000, 2048), (1000,)]


@section
def step(check: Check) -> Found:
    """A step alone, beside torch's: time on the device, time until the host is free again, and memory."""
    from downslope.torch import SGD

    sizes: dict[str, tuple[list[tuple[int, ...]], torch.dtype]] = {
        "ResNet-50": (resnet50_shapes(), torch.float32),
        "1,000 of 4,096": ([(64, 64)] * 1000, torch.float32),
        "one of 100 million": ([(10_000, 10_000)], torch.float32),
        "ResNet-50, bfloat16": (resnet50_shapes(), torch.bfloat16),
    }
    if check.quick:
        sizes = {"small": ([(64, 64)] * 20, torch.float32)}
    rule: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4}
    found: Found = {}
    for size, (shapes, dtype) in sizes.items():
        makers: dict[str, Callable[[list[nn.Parameter]], tuple[Any, Any]]] = {
            "downslope": lambda ps: (SGD(ps, **rule), None),
            "downslope, Nesterov": lambda ps: (SGD(ps, **rule, nesterov=True), None),
            "downslope, decoupled": lambda ps: (SGD(ps, **rule, decay="decoupled"), None),
            "downslope, clip_norm": lambda ps: (SGD(ps, **rule, clip_norm=1.0), None),
            "downslope, 8-bit velocity": lambda ps: (SGD(ps, **rule, velocity_dtype="int8"), None),
            "downslope, fused=False": lambda ps: (SGD(ps, **rule, fused=False), None),
            "torch for-loop": lambda ps: (torch.optim.SGD(ps, **rule, foreach=False), None),
            "torch foreach": lambda ps: (torch.optim.SGD(ps, **rule, foreach=True), None),
            "torch fused": lambda ps: (torch.optim.SGD(ps, **rule, fused=True), None),
            "torch fused, clip_grad_norm_": lambda ps: (
                torch.optim.SGD(ps, **rule, fused=True),
                lambda: torch.nn.utils.clip_grad_norm_(ps, 1.0, foreach=True),
            ),
        }
        table: Found = {}
        for name, make in makers.items():
            try:
                table[name] = _time_step(check, shapes, dtype, make)
            except Exception as error:  # noqa: BLE001  one contender's failure is its own
                table[name] = {"error": f"{type(error).__name__}: {error}"[:400]}
                check.expect(not name.startswith("downslope"), f"step: {size}, {name}: {table[name]['error']}")
        found[size] = table
        ours, theirs = (table[name].get("device_ms") for name in ("downslope", "torch fused"))
        say(f"    {size}: downslope {ours} ms, torch fused {theirs} ms")
    return found


def _time_step(check: Check, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype, make: Any) -> Found:
    params = [nn.Parameter(torch.zeros(shape, dtype=dtype, device=check.device)) for shape in shapes]
    for param in params:
        param.grad = torch.full_like(param, 1e-3)
    optimizer, before = make(params)

    def once() -> None:
        if before is not None:
            before()
        optimizer.step()

    for _ in range(3):
        once()
    check.wait()
    memory = None
    if not check.is_host:
        held = check.module.memory_allocated(check.device)
        check.module.reset_peak_memory_stats(check.device)
        once()
        check.wait()
        memory = (check.module.max_memory_allocated(check.device) - held) / 2**20
    rounds = check.count(30, 3)
    device_times, host_times = [], []
    for _ in range(rounds):
        check.wait()
        if check.is_host:
            began = time.perf_counter()
            once()
            device_times.append((time.perf_counter() - began) * 1e3)
            host_times.append(device_times[-1])
            continue
        start, end = (check.module.Event(enable_timing=True) for _ in range(2))
        began = time.perf_counter()
        start.record()
        once()
        end.record()
        host_times.append((time.perf_counter() - began) * 1e3)
        check.wait()
        device_times.append(start.elapsed_time(end))
    numbers = sum(math.prod(shape) for shape in shapes)
    middle = statistics.median(device_times)
    item = torch.empty((), dtype=dtype).element_size()
    return {
        "device_ms": round(middle, 4),
        "host_ms": round(statistics.median(host_times), 4),
        "GB_per_s_of_5_passes": round(5 * item * numbers / middle / 1e6, 1),
        "extra_MiB": None if memory is None else round(memory, 1),
    }


@section
def mishaps(check: Check) -> Found:
    """A gradient that is not finite: found late on a device, and yet nothing has moved since; skipped; rewound."""
    from downslope.core.errors import NonFiniteGradientError
    from downslope.torch import SGD

    found: Found = {}
    for clip in (None, 1.0):
        params = [nn.Parameter(torch.ones(8, 8, device=check.device)), nn.Parameter(torch.ones(8, device=check.device))]
        named = [("weight", params[0]), ("bias", params[1])]
        optimizer = SGD(named, lr=0.1, momentum=0.9, weight_decay=0.01, decay="decoupled", clip_norm=clip,
                        on_nonfinite="raise")  # fmt: skip
        if not check.is_host:
            optimizer.hold_nonfinite()
        kept: list[Tensor] = []
        said = "nothing was raised"
        try:
            for number in range(6):
                for param in params:
                    param.grad = torch.full_like(param, 0.5)
                if number == 3:
                    kept = [param.detach().clone() for param in params]
                    params[1].grad = torch.full_like(params[1], math.inf)
                optimizer.step()
            optimizer.raise_held()
        except NonFiniteGradientError as error:
            said = str(error)
        still = all(torch.equal(one, two) for one, two in zip(kept, params, strict=True))
        found[f"raise, clip_norm {clip}"] = {"said": said, "nothing_moved": still}
        check.expect("bias" in said and "weight" not in said and "step 3" in said, f"mishaps: {clip}: {said}")
        check.expect(still, f"mishaps: clip_norm {clip}: something moved at or after the gradient that is not finite")
    outcome, _ = trained(check, mlp_recipe(check.count(40, 6), on_nonfinite="rewind", every_steps=5), "rewinds")
    found["a run that may rewind"] = outcome.held_out
    return found
