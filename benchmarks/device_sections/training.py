"""Sections of the device check: whole runs, their bits, their speed, what uses them, and several workers."""

# ruff: noqa: S603, SLF001

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from device_sections.check import ROOT, Check, Found, say, section, waits_of
from device_sections.runs import fingerprint, image_recipe, last_row, mlp_recipe, parsed, trained, trainer_of


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
