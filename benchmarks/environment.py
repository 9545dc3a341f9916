"""What a benchmark ran on (processor, versions, load), and running one process per number of threads."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PEERS = ("torch", "numpy", "jax", "optax", "keras", "scikit-learn")


def describe() -> dict[str, Any]:
    """Return the processor, its caches, the versions and the kernel in use."""
    from downslope import kernel

    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "processors": processors(),
        "caches": _caches(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "kernel": kernel.backend(),
        "versions": {name: _version(name) for name in ("downslope", *PEERS)},
    }


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Busy:
    """Measures how much of the machine's time went to other programs since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), _busy_seconds(), time.process_time()
        self._load = os.getloadavg()[0]

    def report(self) -> dict[str, float | None]:
        """Return the load average at the start, and the share of all processors that others took (None: unknown)."""
        elapsed = time.perf_counter() - self._start[0]
        before, now = self._start[1], _busy_seconds()
        if before is None or now is None:
            return {"load_at_start": self._load, "taken_by_others": None}
        others = (now - before) - (time.process_time() - self._start[2])
        share = max(0.0, others / (elapsed * (os.cpu_count() or 1)))
        return {"load_at_start": self._load, "taken_by_others": round(share, 3)}


def run_per_thread_count(script: str, threads: list[int], arguments: list[str]) -> list[dict[str, Any]]:
    """Run a script's worker in a process of its own per number of threads, each on as many processors.

    XLA sizes its thread pool once, by the processors that the process may use; hence processes, and hence processors.

    Args:
        script: The file of the benchmark, which understands ``--worker N --json FILE``.
        threads: Numbers of threads.
        arguments: What else to pass on.

    Returns:
        What each worker wrote.
    """
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in threads:
            file = Path(folder) / f"{count}.json"
            environment = os.environ | {"OMP_NUM_THREADS": str(count), "MKL_NUM_THREADS": str(count)}
            command = [sys.executable, script, "--worker", str(count), "--json", str(file), *arguments]
            subprocess.run(command, check=True, env=environment)  # noqa: S603 - this very script
            found.append(json.loads(file.read_text(encoding="utf-8")))
    return found


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what several workers wrote as one result."""
    # each saw only the processors that it was given; the machine has them all
    facts = parts[0]["environment"] | {"processors": processors()}
    return {"environment": facts, "results": [result for part in parts for result in part["results"]]}


def begin_worker(threads: int) -> None:
    """Confine this process to as many processors as threads; before any framework is loaded."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    import torch

    torch.set_num_threads(threads)


def common_arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks share."""
    first_line = (description or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=first_line)
    parser.add_argument("--rounds", type=positive, help="rounds per cell (default: what gives a steady median)")
    default = sorted({1, min(2, processors())})
    parser.add_argument(
        "--threads", type=positive, nargs="+", default=default, help=f"numbers of threads (default: {default})"
    )
    parser.add_argument("--json", type=Path, help="file for all samples")
    parser.add_argument("--worker", type=positive, help=argparse.SUPPRESS)
    return parser


def check_threads(parser: argparse.ArgumentParser, threads: list[int]) -> None:
    """End with a message if there are fewer processors than threads."""
    if max(threads) > processors():
        parser.error(f"--threads {max(threads)}: this process may use {processors()} processor(s).")


def positive(text: str) -> int:
    """Return an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {value}")
    return value


def write_json(path: Path, content: object) -> None:
    """Write a result, its folder made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def headline(facts: dict[str, Any]) -> str:
    """Return the environment as the lines above a table."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)
    return (
        f"{facts['date']}, {facts['processor']}, {facts['processors']} processors, caches {facts['caches']}\n"
        f"Python {facts['python']}, {versions}\nkernel: {facts['kernel']}"
    )


def busy_sentence(busy: dict[str, Any]) -> str:
    """Return how quiet it was."""
    share = busy["taken_by_others"]
    taken = "unknown" if share is None else f"{share:.1%} of the machine"
    return f"load average at the start {busy['load_at_start']:.2f}; taken by other programs meanwhile: {taken}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _caches() -> str:
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    found: list[str] = []
    for index in sorted(folder.glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "unknown"


def _busy_seconds() -> float | None:
    """Return the time that all processors have spent on anything, stolen time included; None where unknown."""
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
