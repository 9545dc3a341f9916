"""Try everything that computes on a device, on one that is there, in some minutes: what holds, and how fast it is.

    PYTHONPATH=src python3 benchmarks/device_check.py
    PYTHONPATH=src python3 benchmarks/device_check.py --device cpu --quick      # the script itself, anywhere
    PYTHONPATH=src python3 benchmarks/device_check.py --only step loops         # some sections

It needs no network. Each section is on its own: one that fails is reported with its traceback, and the others still
run. `device_check.json` and `device_check.md` in the folder of --out are written after each section, so that nothing is
lost where the time runs out. Exit code 1 says that a section failed.
"""

# ruff: noqa: S603, SLF001

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import json
import math
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT / "src", ROOT / "tests", ROOT / "tests" / "torch_door", ROOT / "benchmarks"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when it is first used

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

Found = dict[str, Any]
SECTIONS: dict[str, Callable[[Check], Found]] = {}


@dataclass
class Check:
    """What all sections share.

    Attributes:
        device: What is tried.
        quick: Whether only to see that the script runs.
        scratch: A folder for runs.
        failures: What did not hold, beside sections that raised.
    """

    device: torch.device
    quick: bool
    scratch: Path
    failures: list[str] = field(default_factory=list[str])

    @property
    def is_host(self) -> bool:
        """Whether the device is the processor."""
        return self.device.type == "cpu"

    @property
    def module(self) -> Any:
        """Torch's module of this kind of device."""
        return torch.get_device_module(self.device.type)

    def wait(self) -> None:
        """Wait for the device."""
        if not self.is_host:
            self.module.synchronize(self.device)

    def expect(self, holds: bool, what: str) -> bool:  # noqa: FBT001
        """Note what does not hold, and go on."""
        if not holds:
            self.failures.append(what)
            say(f"    DOES NOT HOLD: {what}")
        return holds

    def count(self, usual: int, quick: int) -> int:
        """Return how many of something are done."""
        return quick if self.quick else usual


def section(function: Callable[[Check], Found]) -> Callable[[Check], Found]:
    """Have a function run as a section, in the order in which they stand here."""
    SECTIONS[function.__name__] = function
    return function


def say(text: str) -> None:
    """Print a line at once, with the time since the start."""
    print(f"[{time.monotonic() - _BEGAN:6.1f} s] {text}", flush=True)


_BEGAN = time.monotonic()
QUICK = "--quick" in sys.argv


# What is there


@section
def machine(check: Check) -> Found:
    """Versions, the device, the compiled kernel."""
    from downslope import kernel
    from downslope.training.device import backends, describe_device, find_device, usage_of

    found: Found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "kernel": kernel.backend(),
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


# The front door: the rule's cases, and steps without waiting


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


def waits_of(check: Check, work: Callable[[], object]) -> list[str]:
    """Return the lines of code at which work waits for the device, each with the calls that led there."""
    if check.device.type != "cuda":
        work()
        return []
    places: list[str] = []

    def note(message: Any, *_: Any, **__: Any) -> None:
        if "synchroniz" not in str(message) or "prototype" in str(message):  # what turning it on says
            return
        frames = [f for f in traceback.extract_stack()[:-1] if "warnings.py" not in f.filename]
        places.append(" < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames[-7:])))

    torch.cuda.synchronize()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        before, warnings.showwarning = warnings.showwarning, note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
            warnings.showwarning = before
    return list(dict.fromkeys(places))


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
        check.expect(bool(may or not places), f"waiting: the door, {name}: {places[:2]}")

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


# Training


def random_images(count: int = 2048, size: int = 32, classes: int = 10) -> Found:
    """Return random images that can be told apart: one's own data of the recipes here."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, count)
    means = rng.standard_normal((classes, 3, size, size), dtype=np.float32)
    images = means[targets] * 0.3 + rng.standard_normal((count, 3, size, size), dtype=np.float32)
    cut = count - min(count // 4, 1024)
    parts = {"train": slice(0, cut), "held_out": slice(cut, count)}
    found: Found = {f"{part}_inputs": images[where] for part, where in parts.items()}
    return found | {f"{part}_targets": targets[where] for part, where in parts.items()} | {"classes": classes}


def mlp_recipe(steps: int = 60, **train: Any) -> str:
    """Return the recipe of digits, as TOML."""
    return _recipe(["[data]", 'name = "digits"', "batch_size = 32", "[model]", 'name = "mlp"', "hidden = [128]"],
                   steps, train)  # fmt: skip


def image_recipe(steps: int = 60, *, batch: int = 128, channels: Any = (16, 32, 64), **train: Any) -> str:
    """Return the recipe of a convolutional network on random images, as TOML."""
    lines = ["[data]", 'name = "device_check:random_images"', f"batch_size = {min(batch, 16) if QUICK else batch}"]
    lines += ["[data.options]", "count = 128", "size = 8"] if QUICK else []
    lines += ["[model]", 'name = "convnet"', "[model.options]"]
    lines += [f"channels = {[4, 8] if QUICK else list(channels)}", f"blocks = {1 if QUICK else 3}"]
    return _recipe(lines, steps, train)


def _recipe(lines: list[str], steps: int, train: dict[str, Any]) -> str:
    lines = [*lines, "[sgd]", "lr = 0.05", "momentum = 0.9", "weight_decay = 5e-4", "[checkpoint]"]
    lines += [f"every_steps = {train.pop('every_steps', 10_000)}", "every_seconds = 0", "[train]", f"steps = {steps}"]
    return "\n".join([*lines, *(f"{name} = {json.dumps(value)}" for name, value in train.items())]) + "\n"


class Silent:
    """A console that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)

    def progress(self, step: int, total: int, fields: Any) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Have nothing to end."""


def parsed(check: Check, text: str, device: torch.device | None = None) -> Any:
    """Return a recipe for the device."""
    from downslope.recipe.load import parse_recipe

    device = check.device if device is None else device
    return parse_recipe(text, "device_check", [("train.device", json.dumps(str(device)))])


def trained(check: Check, text: str, name: str, device: torch.device | None = None) -> tuple[Any, list[str]]:
    """Train a recipe in a folder of its own, and return how it ended and what was said."""
    from downslope.training.run.plan import plan_run
    from downslope.training.run.train import train

    recipe, console = parsed(check, text, device), Silent()
    plan = plan_run(recipe, name=name, out=check.scratch / name)
    return train(plan, recipe, console, report=False), console.said


@contextlib.contextmanager
def trainer_of(check: Check, text: str, *, exact: bool = True) -> Iterator[Any]:
    """Within its ``with`` block, a trainer at its first step; `exact` says whether bits must repeat."""
    from downslope.training.device import find_device
    from downslope.training.folder import run_folder
    from downslope.training.run.environment import deterministic, unfilled
    from downslope.training.run.plan import plan_run
    from downslope.training.run.task import build_task
    from downslope.training.run.train import Trainer
    from downslope.training.workers.workers import Workers

    recipe = parsed(check, text)
    folder = Path(tempfile.mkdtemp(dir=check.scratch))
    with contextlib.ExitStack() as stack:
        device = find_device(recipe.train.device)
        stack.enter_context(deterministic(device, tf32=recipe.train.tf32))
        if not exact:
            torch.set_deterministic_debug_mode("default")
            torch.backends.cudnn.deterministic = False
        task = build_task(recipe, device=device)
        plan = plan_run(recipe, name="x", out=folder / "run")
        from downslope.recipe.load import to_toml

        (folder / "run").mkdir()
        (folder / "run" / "lock").touch()
        run_folder.make_ready(folder / "run", None, to_toml(recipe), task.facts(), keep=1)
        stack.enter_context(unfilled())
        trainer = Trainer(task, plan, Silent(), Workers())
        try:
            yield trainer
        finally:
            trainer._close()
            shutil.rmtree(folder, ignore_errors=True)


def fingerprint(check: Check, name: str) -> dict[str, str]:
    """Return the checksums of what a run must give again: final weights and log."""
    files = ("model.safetensors", "ema.safetensors", "log.jsonl")
    paths = {file: check.scratch / name / file for file in files}
    return {file: hashlib.sha256(p.read_bytes()).hexdigest()[:16] for file, p in paths.items() if p.exists()}


def last_row(check: Check, name: str, kind: str) -> Found:
    """Return the last row of a kind in a run's log."""
    lines = (check.scratch / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["kind"] == kind]
    return rows[-1] if rows else {}


@section
def training(check: Check) -> Found:
    """Runs twice on the device, to the same bits; and on the processor, to nearly the same numbers."""
    found: Found = {}
    steps = check.count(30, 4)
    shared = {"measure_every": 20, "evaluate_every": max(steps // 2, 1)}
    kinds = {
        "mlp": mlp_recipe(steps, **shared),
        "convnet": image_recipe(steps, **shared),
        "convnet, 4 shards, ema, clip": image_recipe(steps, **shared, shards=4, ema=0.9, clip_norm=1.0),
        "mlp, weights, skip, log 7": mlp_recipe(
            steps, class_weights="balanced", on_nonfinite="skip", log_every=7, sharpness_every=25
        ),
    }
    for number, (name, text) in enumerate(kinds.items()):
        began = time.perf_counter()
        outcome, said = trained(check, text, f"train{number}a")
        seconds = time.perf_counter() - began
        trained(check, text, f"train{number}b")
        one, two = fingerprint(check, f"train{number}a"), fingerprint(check, f"train{number}b")
        same = check.expect(one == two, f"training: {name}: two runs of one recipe differ: {one} {two}")
        short = text.replace(f"steps = {steps}\n", f"steps = {steps if name.startswith('mlp') else 2}\n")
        cpu, _ = trained(check, short, f"train{number}c", torch.device("cpu"))  # whose shards are one thread's
        first, there = (_first_loss(check, f"train{number}{x}") for x in "ac")
        check.expect(abs(first - there) <= 1e-4 * abs(there), f"training: {name}: first loss {first}, cpu {there}")
        found[name] = {
            "same_bits_twice": same,
            "seconds": round(seconds, 2),
            "first_loss": first,
            "first_loss_cpu": there,
            "held_out": outcome.held_out,
            "held_out_cpu": cpu.held_out,
            "runs_on": next((line for text in said for line in text.splitlines() if line.startswith("runs on")), ""),
        }
        say(f"    {name}: {outcome.held_out.get('accuracy')} on the device, {cpu.held_out.get('accuracy')} on the cpu")
    return found


def _first_loss(check: Check, name: str) -> float:
    lines = (check.scratch / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return next(row["loss"] for row in map(json.loads, lines) if row["kind"] == "step")


@section
def resuming(check: Check) -> Found:
    """A run that is killed by SIGKILL and resumed ends with the bits of one that was not; so does float16."""
    found: Found = {}
    steps = check.count(400, 30)
    for name, precision in (("float32", "float32"), ("float16", "float16")):
        text = image_recipe(steps, batch=64, precision=precision, every_steps=max(steps // 10, 2), evaluate_every=steps)
        outcome, _ = trained(check, text, f"whole-{name}")
        recipe = check.scratch / f"{name}.toml"
        device = json.dumps(str(check.device))
        recipe.write_text(f"{text}device = {device}\n", encoding="utf-8")
        run = check.scratch / f"killed-{name}"
        words = [sys.executable, "-m", "downslope", "train", str(recipe), "--out", str(run), "--quiet"]
        kills = 0
        for _ in range(check.count(2, 1)):
            began_at = _newest(run)
            process = subprocess.Popen(
                words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_child(), cwd=ROOT
            )
            limit = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < limit and _newest(run) <= began_at + steps // 10:
                time.sleep(0.002)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait()
        done = subprocess.run(words, capture_output=True, text=True, env=_child(), timeout=120, check=False, cwd=ROOT)
        check.expect(done.returncode == 0, f"resuming: {name}: exit code {done.returncode}: {done.stderr[-2000:]}")
        one, two = fingerprint(check, f"whole-{name}"), fingerprint(check, f"killed-{name}")
        same = check.expect(one == two, f"resuming: {name}: after {kills} kills {two}, uninterrupted {one}")
        found[name] = {"kills": kills, "same_bits": same, "held_out": outcome.held_out, "said": done.stdout[-1500:]}
        skips = last_row(check, f"whole-{name}", "skip")
        found[name] |= {"last_skip": skips}
    return found


def _child() -> dict[str, str]:
    paths = [str(ROOT / "src"), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _newest(run: Path) -> int:
    names = [path.parent.name for path in run.glob("checkpoints/step-*/manifest.json")]
    return max((int(name.removeprefix("step-")) for name in names), default=0)


@section
def precision(check: Check) -> Found:
    """A convolutional network in each precision, with channels last and without: time, memory, loss."""
    found: Found = {}
    steps = check.count(40, 3)
    names = [("float32", {}), ("tf32", {"tf32": True}), ("bfloat16", {"precision": "bfloat16"}),
             ("float16", {"precision": "float16"})]  # fmt: skip
    channels = (16, 32, 64) if check.quick else (64, 128, 256)
    for name, options in names:
        for last in (True, False):
            text = image_recipe(10_000, batch=check.count(256, 16), channels=channels, log_every=10_000,
                                measure_every=0, channels_last=last, **options)  # fmt: skip
            try:
                found[f"{name}, channels {'last' if last else 'first'}"] = _speed(check, text, steps)
            except Exception as error:  # noqa: BLE001
                check.expect(False, f"precision: {name}, {last}: {type(error).__name__}: {error}"[:500])  # noqa: FBT003
    for name, row in found.items():
        say(f"    {name}: {row['step_ms']} ms a step, loss {row['loss']:.4f}")
    losses = [row["loss"] for row in found.values()]
    check.expect(all(map(math.isfinite, losses)), f"precision: losses {losses}")
    return found


def _speed(check: Check, text: str, steps: int, *, exact: bool = True) -> Found:
    if not check.is_host:
        check.module.empty_cache()
    with trainer_of(check, text, exact=exact) as trainer:
        for _ in range(check.count(8, 1)):
            trainer.train_step()
        check.wait()
        if not check.is_host:
            check.module.reset_peak_memory_stats(check.device)
        began = time.perf_counter()
        for _ in range(steps):
            trainer.train_step()
        queued = time.perf_counter() - began
        check.wait()
        seconds = time.perf_counter() - began
        task = trainer._task
        loss = _loss_now(trainer)
        batch = task.recipe.data.batch_size
        peak = None if check.is_host else round(check.module.max_memory_allocated(check.device) / 2**20)
    return {
        "step_ms": round(seconds / steps * 1e3, 3),
        "host_ms": round(queued / steps * 1e3, 3),
        "examples_per_s": round(steps * batch / seconds),
        "peak_MiB": peak,
        "loss": loss,
    }


def _loss_now(trainer: Any) -> float:
    from downslope.training.run.held_out import measure

    task = trainer._task
    data = task.dataset
    inputs, targets = data.train_inputs[:512], data.train_targets[:512]
    return measure(task.state.model, task.objective, inputs, targets).metrics["loss"]


@section
def loops(check: Check) -> Found:
    """Whole training steps beside torch's plain loop with the same model and batches; and what repeatable bits cost."""
    from downslope.training.data import load_data
    from downslope.training.models import build_model

    found: Found = {}
    steps = check.count(60, 3)
    batch = check.count(128, 16)
    kinds = {
        "convnet 3x32x32": image_recipe(10_000, batch=batch, log_every=10_000, measure_every=0),
        "mlp digits": mlp_recipe(10_000, log_every=10_000, measure_every=0),
    }
    for kind, text in kinds.items():
        recipe = parsed(check, text)
        data = load_data(recipe)
        table: Found = {
            "downslope train": _speed(check, text, steps),
            "downslope train, log_every 1": _speed(check, text.replace("log_every = 10000", "log_every = 1"), steps),
            "downslope train, bits need not repeat": _speed(check, text, steps, exact=False),
        }
        for name, options in (
            ("torch loop, foreach", {"foreach": True}),
            ("torch loop, fused", {"fused": True}),
            ("torch loop, fused, data on the device", {"fused": True, "resident": True}),
            ("torch loop, fused, deterministic", {"fused": True, "exact": True}),
            ("torch loop, fused, TF32 in convolutions (torch's default)", {"fused": True, "tf32": True}),
            ("torch loop, fused, cuDNN's benchmark", {"fused": True, "benchmark": True}),
        ):
            last = kind.startswith("convnet") and not check.is_host
            with contextlib.suppress(NotImplementedError):
                table[name] = _plain_loop(check, build_model(recipe, data), data, recipe, steps, last=last, **options)
        ratio = table["downslope train"]["step_ms"] / table["torch loop, fused"]["step_ms"]
        table["ratio to torch loop, fused"] = round(ratio, 3)
        found[kind] = table
        ours, theirs = (table[name]["step_ms"] for name in ("downslope train", "torch loop, fused"))
        say(f"    {kind}: {ours} ms, torch's loop {theirs}")
    return found


def _plain_loop(
    check: Check, model: nn.Module, data: Any, recipe: Any, steps: int, *, last: bool, resident: bool = False,
    exact: bool = False, tf32: bool = False, benchmark: bool = False, **options: Any,
) -> Found:  # fmt: skip
    from downslope.training.run.environment import deterministic

    form = torch.channels_last if last else torch.contiguous_format
    model = model.to(check.device, memory_format=form)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, **options)
    inputs, targets = data.train_inputs, data.train_targets
    if resident:
        inputs, targets = inputs.to(check.device), targets.to(check.device)
    elif not check.is_host:
        inputs, targets = inputs.pin_memory(), targets.pin_memory()
    batch = recipe.data.batch_size
    order = torch.randperm(len(inputs))

    def once(number: int) -> None:
        start = number * batch % (len(inputs) - batch)
        rows = order[start : start + batch]
        if resident:
            rows = rows.to(check.device, non_blocking=True)
        x, y = inputs[rows], targets[rows]
        x, y = x.to(check.device, non_blocking=True), y.to(check.device, non_blocking=True)
        if last:
            x = x.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    with deterministic(check.device, tf32=tf32):
        if not exact:
            torch.set_deterministic_debug_mode("default")
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, benchmark
        for number in range(check.count(8, 1)):
            once(number)
        check.wait()
        began = time.perf_counter()
        for number in range(steps):
            once(number)
        queued = time.perf_counter() - began
        check.wait()
        seconds = time.perf_counter() - began
    return {"step_ms": round(seconds / steps * 1e3, 3), "host_ms": round(queued / steps * 1e3, 3)}


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


@section
def using(check: Check) -> Found:
    """`evaluate` and `predict` on the device and on the processor; and a run that goes on elsewhere, which is said."""
    from downslope.training.use.evaluate import evaluate_run
    from downslope.training.use.predict import predict_run

    found: Found = {}
    text = image_recipe(check.count(30, 4))
    trained(check, text, "used")
    run = check.scratch / "used"
    (run / "lock").unlink(missing_ok=True)
    names = [str(check.device), "cpu"]
    there, here = (evaluate_run(run, device=name) for name in names)
    found["evaluate"] = {
        name: {k: r[k] for k in ("loss", "accuracy")} for name, r in zip(names, (there, here), strict=True)
    }
    check.expect(abs(there["loss"] - here["loss"]) <= 1e-3 * abs(here["loss"]), f"using: {found['evaluate']}")
    one, two = (predict_run(run, count=5, device=name)["predictions"] for name in names)
    differences = [abs(a["probability"] - b["probability"]) for a, b in zip(one, two, strict=True)]
    found["predict"] = {"largest difference of a probability": max(differences)}
    check.expect(max(differences) < 1e-2, f"using: predictions differ by {max(differences)}")
    longer = text.replace(f"steps = {check.count(30, 4)}", f"steps = {check.count(40, 6)}")
    _, said = trained(check, longer, "used", torch.device("cpu"))
    found["goes on elsewhere"] = [line for line in said if "device" in line or "resuming" in line]
    if not check.is_host:
        check.expect(any("device was" in line for line in said), f"using: another device is not said: {said}")
    return found


@section
def sequences(check: Check) -> Found:
    """Some steps of encoder and decoder, teacher forcing and search."""
    from downslope.training.sequences.objective import answer_all

    lines = ["[data]", 'name = "rearranged"', "batch_size = 64", "[data.options]", "examples = 2000", "[model]"]
    lines += ['name = "seq2seq"', "[model.options]", "hidden = 64", "[sgd]", "lr = 0.5", "momentum = 0.9", "[train]"]
    lines += ["steps = 10000", "clip_norm = 1.0", "teacher_forcing = 0.7", "log_every = 10000"]
    text = "\n".join(lines)
    with trainer_of(check, text) as trainer:
        for _ in range(check.count(5, 1)):
            trainer.train_step()
        check.wait()
        began = time.perf_counter()
        for _ in range(check.count(30, 2)):
            trainer.train_step()
        check.wait()
        seconds = (time.perf_counter() - began) / check.count(30, 2)
        model = trainer._task.state.model.eval()
        answers = answer_all(model, trainer._task.dataset.held_out_inputs[:64])
        places = waits_of(check, model.train() and trainer.train_step)
    return {"step_ms": round(seconds * 1e3, 2), "answers": len(answers), "waits": places}


@section
def workers(check: Check) -> Found:
    """Two workers on two devices if there are two; else what is said. And one worker by the same collectives."""
    found: Found = {"devices": 0 if check.is_host else check.module.device_count()}
    steps = check.count(20, 3)
    kind = check.device.type
    recipe = check.scratch / "shared.toml"
    for parallel in ("replicated", "sharded"):
        norm = '[model.options]\nchannels = [16, 32]\nnorm = "group"\n'
        text = image_recipe(steps, batch=32, shards=2, parallel=parallel, evaluate_every=steps)
        text = re.sub(r"\[model.options\]\nchannels = .*\n", norm, text)
        recipe.write_text(f'{text}device = "{kind}"\n', encoding="utf-8")
        for count in (2, 1):
            name = f"{parallel}-{count}"
            words = [sys.executable, "-m", "downslope", "train", str(recipe), "--quiet", "--timeout", "60"]
            words += ["--out", str(check.scratch / name)]
            environment = _child()
            if count == 2:
                words += ["--workers", "2"]
            else:  # a group of one: every collective of several, between nobody
                environment |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
                                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}  # fmt: skip
            done = subprocess.run(
                words, capture_output=True, text=True, env=environment, timeout=100, check=False, cwd=ROOT
            )
            told = {"code": done.returncode, "said": done.stdout[-600:], "error": done.stderr[-3000:]}
            found[name] = told | fingerprint(check, name)
            fits = count == 1 or check.is_host or found["devices"] >= 2
            if fits:
                check.expect(done.returncode == 0, f"workers: {name}: {done.stderr[-800:]}")
            else:
                clear = done.returncode != 0 and "--device cpu" in done.stderr and "Traceback" not in done.stderr
                check.expect(clear, f"workers: {name}: {done.stderr[-800:]}")
        if "model.safetensors" in found[f"{parallel}-2"]:
            one, two = (found[f"{parallel}-{count}"]["model.safetensors"] for count in (1, 2))
            check.expect(one == two, f"workers: {parallel}: one worker and two differ")
    return found


# Putting it together


def table_of(results: Found) -> str:
    """Return what was measured as a page of Markdown."""
    about = results.get("machine", {}).get("found", {})
    name = about.get("describes", {}).get("device_name", about.get("processor", ""))
    software = about.get("describes", {}).get("device_software", "")
    lines = [f"{name}; torch {about.get('torch')}, {software}; Python {about.get('python')}.", ""]
    timed = results.get("step", {}).get("found") or {}
    if timed:
        contenders = list(dict.fromkeys(name for table in timed.values() for name in table))
        lines += ["A step alone: milliseconds on the device (and until the host is free), MiB beside the tensors:", ""]
        lines += [f"| | {' | '.join(timed)} |", "|---|" + "---:|" * len(timed)]
        for contender in contenders:
            cells = [_step_cell(timed[size].get(contender, {})) for size in timed]
            lines.append(f"| {contender} | {' | '.join(cells)} |")
        lines.append("")
    speeds = results.get("precision", {}).get("found") or {}
    if speeds:
        lines += ["A convolutional network, by precision:", ""]
        lines += ["| | ms a step | examples/s | peak MiB | loss |", "|---|---:|---:|---:|---:|"]
        lines += [
            f"| {name} | {row['step_ms']} | {row['examples_per_s']:,} | {row['peak_MiB']} | {row['loss']:.4f} |"
            for name, row in speeds.items()
        ]
        lines.append("")
    for kind, table in (results.get("loops", {}).get("found") or {}).items():
        lines += [f"Whole steps, {kind}:", "", "| | ms a step | ms until the host is free |", "|---|---:|---:|"]
        rows = [(name, row) for name, row in table.items() if isinstance(row, dict)]
        lines += [f"| {name} | {row['step_ms']} | {row['host_ms']} |" for name, row in rows]
        lines.append("")
    lines += ["| section | outcome | seconds |", "|---|---|---:|"]
    lines += [f"| {name} | {row['outcome']} | {row['seconds']} |" for name, row in results.items() if "outcome" in row]
    return "\n".join(lines) + "\n"


def _step_cell(row: Found) -> str:
    if "device_ms" not in row:
        return "failed" if row else ""
    extra = "" if row["extra_MiB"] is None else f", {row['extra_MiB']:g}"
    return f"{row['device_ms']:g} ({row['host_ms']:g}){extra}"


def main() -> int:
    """Run the sections, and return the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--device", default="auto", help="what is tried (default: torch's accelerator)")
    parser.add_argument("--quick", action="store_true", help="few steps of little: to see that the script runs")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="these sections alone")
    parser.add_argument("--seconds", type=float, default=450.0, help="after so many no further section begins")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="where the results go")
    arguments = parser.parse_args()
    faulthandler.enable()
    faulthandler.dump_traceback_later(arguments.seconds + 60, exit=False)
    arguments.out.mkdir(parents=True, exist_ok=True)
    from downslope.training.device import find_device

    results: Found = {}
    with tempfile.TemporaryDirectory(prefix="device-check-") as scratch:
        check = Check(find_device(arguments.device), arguments.quick, Path(scratch))
        say(f"device {check.device}, torch {torch.__version__}")
        for name in arguments.only or SECTIONS:
            if time.monotonic() - _BEGAN > arguments.seconds:
                results[name] = {"outcome": "not run: the time was up", "seconds": 0}
                check.failures.append(f"{name}: not run, the time was up")
                continue
            say(f"{name}: {(SECTIONS[name].__doc__ or '').strip()}")
            began, before = time.monotonic(), len(check.failures)
            found: Found | None = None
            trace = ""
            try:
                found = SECTIONS[name](check)
            except Exception:  # noqa: BLE001  whatever it is, it is reported, and the others still run
                trace = traceback.format_exc()
                check.failures.append(f"{name}: {trace.strip().splitlines()[-1]}")
                print(trace, flush=True)
            failed = check.failures[before:]
            outcome = "raised" if trace else f"{len(failed)} did not hold" if failed else "held"
            seconds = round(time.monotonic() - began, 1)
            results[name] = {"outcome": outcome, "seconds": seconds, "failures": failed, "trace": trace, "found": found}
            say(f"{name}: {outcome}, {seconds} s")
            with contextlib.suppress(Exception):
                if not check.is_host:
                    check.wait()
            _write(arguments.out, results, check.failures)
    faulthandler.cancel_dump_traceback_later()
    say(f"{len(check.failures)} failures" if check.failures else "all of it holds")
    for failure in check.failures:
        print(f"  - {failure[:1000]}", flush=True)
    return 1 if check.failures else 0


def _write(out: Path, results: Found, failures: Sequence[str]) -> None:
    text = json.dumps({"failures": list(failures), **results}, indent=1, default=str)
    (out / "device_check.json").write_text(text + "\n", encoding="utf-8")
    try:
        (out / "device_check.md").write_text(table_of(results), encoding="utf-8")
    except Exception:  # noqa: BLE001  the table is made from the JSON, which has all
        print(traceback.format_exc(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
