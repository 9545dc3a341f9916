"""Read images from a folder of JPEGs, ours and torch's DataLoader in turns: images a second, peak memory, equal bits.

    python benchmarks/loading.py --json loading.json > loading.txt

The JPEGs are made first, 20,000 of 256x256 pixels unless told otherwise, and removed again (--folder keeps them). All
contenders decode with the same function and take the same batches in the same order, which a hash of them shows. Then
whole runs of `downslope train`: with 0, 1, 2 and 4 loaders, with ten SIGKILLs, and with two workers, whose weights are
compared, and one epoch whose peak memory is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import environment
import tables
from memory import peak_bytes

BATCH, SIDE, CLASSES = 64, 256, 10
OURS, TORCH = "downslope", "DataLoader"
CONTENDERS = ((OURS, 0), (OURS, 1), (OURS, 2), (OURS, 4), (TORCH, 0), (TORCH, 2))
HASHED = 3
"""So many batches are hashed, after the clock has stopped."""

RECIPE = """
[data]
name = "images"
batch_size = {batch}
loaders = {loaders}
in_memory = false
options = {{ path = "{folder}", size = [{size}, {size}], scan = "{scan}" }}
[model]
name = "mlp"
hidden = []
[sgd]
lr = 0.001
[train]
{length}
shards = 2
evaluate_every = 1000000
[checkpoint]
every_seconds = 1.0
"""


def make_images(folder: Path, count: int) -> None:
    """Write JPEGs: smooth colours with a little noise, which compress as photographs do."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(CLASSES):
        (folder / f"class{number}").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (17, 17, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(np.int16)
        pixels = (smooth + rng.integers(-12, 13, (SIDE, SIDE, 1))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"class{number % CLASSES}" / f"{number:06}.jpg", quality=90)


def recipe_text(folder: Path, size: int, loaders: int, length: str, scan: str = "off") -> str:
    """Return the recipe of a run on the images."""
    return RECIPE.format(batch=BATCH, loaders=loaders, folder=folder, size=size, length=length, scan=scan)


def read_ours(folder: Path, size: int, loaders: int, steps: int) -> Iterator[Any]:
    """Yield the inputs of each step as `downslope train` gets them."""
    from downslope.recipe.load import parse_recipe
    from downslope.training.run.ahead import Ahead
    from downslope.training.run.task import build_task
    from downslope.training.workers.workers import ALONE

    text = recipe_text(folder, size, loaders, f"steps = {steps}").replace("shards = 2\n", "")
    task = build_task(parse_recipe(text))
    ahead = Ahead(task, ALONE)
    yield None
    for step in range(steps):
        for leaf in ahead.leaves(step):
            yield task.dataset.take(leaf.examples, leaf.epoch)[0]
    task.dataset.close()


def read_torch(folder: Path, size: int, loaders: int, steps: int) -> Iterator[Any]:
    """Yield the same from a DataLoader over a Dataset of the same files, in the same order."""
    import torch

    from downslope.recipe.load import parse_recipe
    from downslope.training.run.task import build_task

    text = recipe_text(folder, size, 0, f"steps = {steps}").replace("shards = 2\n", "")
    task = build_task(parse_recipe(text))
    rows: Any = task.dataset.train_inputs
    labels = task.dataset.train_targets
    order = [leaf.examples.tolist() for step in range(steps) for leaf in task.batches.leaves(step)]

    class Images(torch.utils.data.Dataset[Any]):
        """One file an item, as people write it."""

        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, place: int) -> Any:
            import numpy as np

            from downslope.training.data.image_files import as_picture, opened_image

            with opened_image(Path(rows.loaders.describe("images", rows.indices[place]))) as opened:
                pixels = np.array(as_picture(opened, "rgb", (size, size), reduced=True))
            return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().div(255), labels[place]

    yield None
    for inputs, _ in torch.utils.data.DataLoader(Images(), batch_sampler=order, num_workers=loaders):
        yield inputs


def measure(kind: str, folder: Path, size: int, loaders: int, steps: int) -> dict[str, Any]:
    """Return how fast one contender reads, alone in this process, with the peak of its memory and a hash."""
    read: Callable[..., Iterator[Any]] = read_ours if kind == OURS else read_torch
    batches = read(folder, size, loaders, steps)
    next(batches)  # files are listed; what follows is reading
    count, kept = 0, []
    began, spent, busy = time.perf_counter(), processor_seconds(), environment.Busy()
    for inputs in batches:
        count += len(inputs)
        if len(kept) < HASHED:
            kept.append(inputs.clone())
    seconds = time.perf_counter() - began
    spent = processor_seconds() - spent  # that of workers, too, which have ended
    digest = hashlib.blake2b(b"".join(inputs.numpy().tobytes() for inputs in kept), digest_size=8).hexdigest()
    speeds = {"images_a_second": count / seconds, "processor_ms_an_image": 1e3 * spent / count}
    return {**speeds, "peak_bytes": peak_bytes(), "hash": digest, **busy.report()}


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def run_train(recipe: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start `downslope train` in a folder, or go on there."""
    command = [sys.executable, "-m", "downslope", "train", str(recipe), "--out", str(out), "--quiet", *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command


def hash_of(out: Path) -> str:
    """Return a hash of a run's weights."""
    return hashlib.blake2b((out / "model.safetensors").read_bytes(), digest_size=8).hexdigest()


def wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a run, and return the peak of its memory in bytes."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"a run ended with {process.returncode}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def train_all(folder: Path, work: Path, size: int, steps: int, kills: int) -> dict[str, str]:
    """Return a hash of the weights of runs that must be equal."""
    found: dict[str, str] = {}
    for loaders in (0, 1, 2, 4):
        recipe = work / f"loaders{loaders}.toml"
        recipe.write_text(recipe_text(folder, size, loaders, f"steps = {steps}"), encoding="utf-8")
        wait(run_train(recipe, work / f"run{loaders}"))
        found[f"{loaders} loaders"] = hash_of(work / f"run{loaders}")
    recipe, out = work / "loaders2.toml", work / "killed"
    done = 0
    while done < kills:
        process = run_train(recipe, out)
        before = set(out.glob("checkpoints/*"))
        until = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < until and not set(out.glob("checkpoints/*")) - before:
            time.sleep(0.02)  # until it has saved something: killed earlier, it would begin where it was
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        done += 1
    wait(run_train(recipe, out))
    found[f"2 loaders, {done} SIGKILLs"] = hash_of(out)
    wait(run_train(recipe, work / "workers", "--workers", "2"))
    found["2 loaders, 2 workers"] = hash_of(work / "workers")
    return found


def reading(arguments: argparse.Namespace, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what each contender does in each round, in turns, each in a process of its own."""
    results: dict[str, list[dict[str, Any]]] = {}
    for _ in range(arguments.rounds):
        for kind, loaders in CONTENDERS:
            command = [sys.executable, __file__, "--worker", kind, str(loaders), "--folder", str(folder)]
            command += ["--size", str(arguments.size), "--steps", str(arguments.steps)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this very script
            results.setdefault(f"{kind}, {loaders}", []).append(json.loads(done.stdout))
    return results


def rows_of(results: dict[str, list[dict[str, Any]]]) -> tables.Table:
    """Return the table of what was read."""
    rows = []
    for name, rounds in results.items():
        speeds = [one["images_a_second"] for one in rounds]
        row = [name, f"{statistics.median(speeds):.0f}", f"{max(speeds):.0f}"]
        row += [f"{statistics.median(one['processor_ms_an_image'] for one in rounds):.2f}"]
        theirs = results.get(name.replace(OURS, TORCH)) if name.startswith(OURS) else None
        for key in ("images_a_second", "processor_ms_an_image"):
            ratios = [one[key] / other[key] for one, other in zip(rounds, theirs or (), strict=False)]
            row.append(f"{statistics.median(ratios):.2f}" if ratios else "")
        rows.append([*row, f"{max(one['peak_bytes'] for one in rounds) / 2**20:.0f}", rounds[0]["hash"]])
    beside = ["images/s over DataLoader's", "processor over DataLoader's"]
    return ["", "images/s, median", "best", "processor ms", *beside, "peak MiB", "hash of the batches"], rows


def show(content: dict[str, Any], size: int) -> None:
    """Print what was measured."""
    results, epoch = content["reading"], content["epoch"]
    alone = results[f"{OURS}, 0"]
    load = statistics.median(one["load_at_start"] for one in alone)
    taken = statistics.median(one["taken_by_others"] for one in alone)
    print(environment.headline(content["environment"]))
    print(f"load average {load:.0f}; other programs took {100 * taken:.0f} % of the machine")
    print(f"\n{content['images']:,} JPEGs of {SIDE}x{SIDE}, scaled to {size}x{size}, batches of {BATCH}")
    print("after the comma: loaders, or workers of the DataLoader; rounds in turns, each in a process of its own")
    print(tables.as_text(rows_of(results)))
    print("\nweights after 120 steps of `downslope train`, 64x64")
    print(tables.as_text((["", "hash"], [[name, value] for name, value in content["weights"].items()])))
    print(
        f"\none epoch of `downslope train` with 2 loaders at {SIDE}x{SIDE}, the evaluation and the scan included: "
        f"{epoch['seconds']:.0f} s, peak {epoch['peak_bytes'] / 2**20:.0f} MiB"
    )


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--folder", type=Path, help="where the images are, or are to be made and kept")
    parser.add_argument("--count", type=environment.positive, default=20_000, help="how many images (default 20,000)")
    parser.add_argument("--size", type=environment.positive, default=128, help="what they are scaled to (default 128)")
    parser.add_argument("--steps", type=environment.positive, default=100, help="batches read in a round (default 100)")
    parser.add_argument("--rounds", type=environment.positive, default=3, help="rounds (default 3)")
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs (default 10)")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main() -> None:
    """Make images, measure, print and write."""
    arguments = parse()
    if arguments.worker:
        import torch

        torch.set_num_threads(1)
        kind, loaders = arguments.worker
        print(json.dumps(measure(kind, arguments.folder, arguments.size, int(loaders), arguments.steps)))
        return
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = (arguments.folder or work / "images").resolve()
        if not folder.is_dir():
            make_images(folder, arguments.count)
        results = reading(arguments, folder)
        equal = train_all(folder, work, 64, 120, arguments.kills)
        recipe = work / "epoch.toml"
        recipe.write_text(recipe_text(folder, SIDE, 2, "epochs = 1", "headers"), encoding="utf-8")
        began = time.perf_counter()
        peak = wait(run_train(recipe, work / "epoch"))
        epoch = {"seconds": time.perf_counter() - began, "peak_bytes": peak}
        content = {
            "environment": environment.describe(),
            "images": len(list(folder.glob("*/*.jpg"))),
            "reading": results,
            "weights": equal,
            "epoch": epoch,
        }
    show(content, arguments.size)
    if arguments.json:
        environment.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
