"""A plugin of pytest: another project's tests with our SGD in the place of its own; docs/guests/peers.md has the runs.

`PYTHONPATH=tests/peers pytest -p inject_downslope --ours torch TESTS`. A run that never stepped with ours fails.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

COUNTS = pytest.StashKey[Counter[str]]()
THEIRS = {"torch": ("torch.optim", "SGD"), "jax": ("optax", "sgd"), "keras": ("keras.optimizers", "SGD")}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Ask whose SGD to replace."""
    parser.addoption("--ours", choices=sorted(THEIRS), help="whose SGD to replace; jax: that of optax")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Replace it before any file of the tests is imported, so that `from torch.optim import SGD` gets ours."""
    chosen = early_config.known_args_namespace.ours
    if chosen is None:
        raise pytest.UsageError(f"inject_downslope: say whose SGD to replace, --ours with one of {', '.join(THEIRS)}")
    module, name = THEIRS[chosen]
    theirs = getattr(importlib.import_module(module), name)
    counts = early_config.stash[COUNTS] = Counter()
    door = importlib.import_module(f"downslope.{chosen}")
    ours = _of_optax(door.sgd, counts) if chosen == "jax" else _counted(door.SGD, counts)
    put_in_place(theirs, ours)


def put_in_place(theirs: Any, ours: Any) -> None:
    """Replace an object under every name that a loaded module has for it, and in every table of a module."""
    for module in [module for name, module in sys.modules.items() if not name.startswith("downslope")]:
        for name, value in list(vars(module).items()) if isinstance(module, ModuleType) else ():
            if value is theirs:
                setattr(module, name, ours)
            elif type(value) is dict:
                value.update({key: ours for key, one in value.items() if one is theirs})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Count the tests, with their fixtures, that made or stepped ours."""
    counts = item.config.stash[COUNTS]
    before = counts["made"] + counts["stepped"]
    result = yield
    counts["tests"] += counts["made"] + counts["stepped"] > before
    return result


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run in which ours took no step."""
    if exitstatus == pytest.ExitCode.OK and not session.config.stash[COUNTS]["stepped"]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how often ours was made and stepped."""
    counts = config.stash[COUNTS]
    place = ".".join(THEIRS[config.option.ours])
    used = f"made {counts['made']} times, stepped {counts['stepped']} times, in {counts['tests']} tests"
    terminalreporter.write_line(f"downslope in the place of {place}: {used}")
    if not counts["stepped"]:
        terminalreporter.write_line("These tests never stepped with ours: they say nothing about it.", red=True)


def _counted(cls: Any, counts: Counter[str]) -> Any:
    """Count what is made of a class and its steps; nothing else about it changes."""
    step = "step" if "step" in vars(cls) else "apply"  # Keras's trainers call `apply`, in programs once for each trace

    def counting(method: Any, what: str) -> Any:
        @functools.wraps(method)
        def counted(*args: Any, **kwargs: Any) -> Any:
            counts[what] += 1
            return method(*args, **kwargs)

        return counted

    cls.__init__ = counting(cls.__init__, "made")
    setattr(cls, step, counting(getattr(cls, step), "stepped"))
    return cls


def _of_optax(sgd: Any, counts: Counter[str]) -> Any:
    """Return ours under optax's words for the arguments; a step in a compiled program counts once for each trace."""

    def in_optax_words(
        learning_rate: Any,
        momentum: Any = None,
        nesterov: bool = False,
        accumulator_dtype: Any = None,
    ) -> Any:
        counts["made"] += 1
        transformation = sgd(learning_rate, momentum, nesterov=nesterov, velocity_dtype=accumulator_dtype)

        def update(*args: Any, **kwargs: Any) -> Any:
            counts["stepped"] += 1
            return transformation.update(*args, **kwargs)

        return transformation._replace(update=update)

    return in_optax_words
