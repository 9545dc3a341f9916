"""What all sections of the device check share: what is tried, what did not hold, and where work waits for a device."""

# ruff: noqa: E402

from __future__ import annotations

import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "src", ROOT / "tests", ROOT / "tests" / "torch_door"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when it is first used

import torch

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
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


BEGAN = time.monotonic()


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
