"""The compiled step: where it comes from, what it runs on, and how many threads it takes.

A framework's optimizer knows what lies behind an address, and falls back on the framework's operations without one.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from downslope.core.checks import is_integer, short_repr
from downslope.core.errors import SettingsError
from downslope.core.shown import printable, shown

DISABLE = "DOWNSLOPE_KERNEL"
"""Environment variable: "off" keeps the compiled module from being used."""


@lru_cache(maxsize=1)
def load_native() -> Any | None:
    """Return the compiled module, or None where there is none that can be loaded, or it is switched off.

    Raises:
        SettingsError: If the environment variable has a value that means nothing.
    """
    return _load()[0]


def _load() -> tuple[Any | None, str]:
    """Return the compiled module, or None and why there is none."""
    wish = os.environ.get(DISABLE, "on")
    if wish not in ("on", "off", ""):
        raise SettingsError(
            f"the environment variable {DISABLE} must be off, which keeps the compiled kernel out, or on, or not be "
            f"set; got {shown(wish)}."
        )
    if wish == "off":
        return None, f"switched off by {DISABLE}=off"
    try:
        from downslope.kernel import _native
    except (ImportError, OSError, SystemError) as error:
        return None, _why_not(error)
    return _native, ""


def _why_not(error: Exception) -> str:
    """Return why the compiled module does not load: it is not there, is another Python's, or is broken."""
    folder = Path(__file__).parent
    built = sorted(path.name for path in folder.glob("_native*") if path.suffix in (".so", ".pyd", ".dylib"))
    if not built:
        return (
            "the compiled kernel was not built: no C++ compiler at installation, or one that failed, which "
            "`pip install -v` shows"
        )
    suffixes = tuple(EXTENSION_SUFFIXES)
    if not any(name.endswith(suffixes) and name.removeprefix("_native") in suffixes for name in built):
        return (
            f"the compiled kernel was built for another Python: {shown(built[0])} is there, and this Python loads "
            f"_native{suffixes[0]}; install the package again with this one"
        )
    return f"the compiled kernel was built and does not load: {printable(str(error))}"


def backend() -> str:
    """Return what steps on the CPU run on.

    Returns:
        "compiled (avx512)", or another instruction set; or "fallback" and the reason.

    Example:
        >>> from downslope import kernel
        >>> kernel.backend().split()[0] in ("compiled", "fallback")
        True
    """
    native = load_native()
    return f"fallback ({_load()[1]})" if native is None else f"compiled ({native.instruction_set()})"


class _Threads:
    """How many threads were asked for; None while torch's number, or the processor's, is followed."""

    chosen: int | None = None


def set_num_threads(count: int) -> None:
    """Set how many threads the compiled step uses; results do not depend on it.

    Until this is called, it is torch's number where torch is loaded, else that of the processors this process may use.

    Raises:
        SettingsError: If it is no integer from 1 to 1024.
    """
    if not is_integer(count) or not 1 <= count <= 1024:
        raise SettingsError(f"the number of threads must be an integer from 1 to 1024; got {short_repr(count)}.")
    _Threads.chosen = int(count)
    use_threads()


def get_num_threads() -> int:
    """Return how many threads the compiled step uses."""
    if _Threads.chosen is not None:
        return _Threads.chosen
    of_torch = _torchs_number()
    if of_torch is not None:
        return of_torch
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads() -> None:
    """Tell the compiled module the present number of threads, and whether it is torch's; called before each step.

    Where it is, torch's own threads do the work: they spin for a while after each of its operations, and other threads
    would have to share the processors with them.
    """
    native = load_native()
    if native is not None:
        count = get_num_threads()
        native.set_thread_count(count, count == _torchs_number())


def _torchs_number() -> int | None:
    """Return how many threads torch uses; None where it is not loaded."""
    torch = sys.modules.get("torch")
    return None if torch is None else torch.get_num_threads()
