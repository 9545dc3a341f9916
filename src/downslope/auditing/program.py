"""A training program as events: what is called, on which line, in which function, within which loops.

It is read as a syntax tree and never run. A loop is "batch" if a step of the optimizer is taken in it directly, or by a
function that takes one; "epoch" if it holds a batch loop, or calls a function that does.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal[
    "backward", "step", "zero", "clip", "unscale", "scheduler step", "new scheduler", "new optimizer", "load model",
    "load optimizer", "load scheduler", "load weights", "save", "eval", "train", "init", "fit", "call",
]  # fmt: skip

SCHEDULERS = frozenset(
    {
        *("StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "PolynomialLR", "LinearLR", "OneCycleLR"),
        *("LambdaLR", "SequentialLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ConstantLR", "ReduceLROnPlateau"),
    }
)
_OPTIMIZERS = frozenset(
    {"SGD", "SGDW", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "LARS", "Nadam", "make_optimizer"}
)
_CLIPS = frozenset({"clip_grad_norm_", "clip_grad_norm", "clip_grad_value_"})
_PLAIN: Mapping[str, Kind] = MappingProxyType(
    {"backward": "backward", "zero_grad": "zero", "unscale_": "unscale", "load_weights": "load weights", "fit": "fit"}
)


@dataclass(frozen=True)
class Event:
    """One call, or assignment, that matters to training.

    Attributes:
        kind: What it is.
        line: Its line.
        column: Its column.
        function: The function that it stands in, "" for none.
        loops: The lines of the loops around it within that function, the outermost first.
        name: What it is called on, or the function called.
        node: The call.
    """

    kind: Kind
    line: int
    column: int
    function: str
    loops: tuple[int, ...]
    name: str
    node: ast.AST

    @property
    def at(self) -> tuple[int, int]:
        """Its place."""
        return self.line, self.column


@dataclass(frozen=True)
class Program:
    """The events of a program, in the order of its text.

    Attributes:
        events: The events.
        tree: The syntax tree.
    """

    events: tuple[Event, ...]
    tree: ast.Module

    def all(self, *kinds: Kind) -> list[Event]:
        """Return the events of these kinds."""
        return [event for event in self.events if event.kind in kinds]

    def level(self, event: Event) -> Literal["batch", "epoch", ""]:
        """Return how often what stands there is done: once a batch, once an epoch, or unknown."""
        inside = self._of_function(event.function)
        if not event.loops:
            return "" if not event.function else {"step": "batch", "epoch": "epoch", "": ""}[inside]  # type: ignore[return-value]
        direct = [other for other in self.events if other.function == event.function and other.loops == event.loops]
        if any(self._steps(other) == "step" for other in direct):
            return "batch"
        deeper = [
            other
            for other in self.events
            if other.function == event.function and other.loops[: len(event.loops)] == event.loops
        ]
        depth = {len(other.loops) - len(event.loops) for other in deeper if self._steps(other) == "step"}
        if 1 in depth or any(self._steps(other) == "epoch" for other in direct):
            return "epoch"
        return ""

    def _steps(self, event: Event) -> str:
        """Return "step" for what takes a step, "epoch" for what takes an epoch of them, else ""."""
        if event.kind == "step":
            return "step"
        return self._of_function(event.name) if event.kind == "call" and event.name != event.function else ""

    def _of_function(self, name: str) -> str:
        loops = [event.loops for event in self.events if event.kind == "step" and event.function == name]
        if not loops or not name:
            return ""
        return "step" if () in loops else "epoch" if any(len(loop) == 1 for loop in loops) else ""


def read_program(text: str) -> Program | None:
    """Return a program's events; None if it cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = _Names.of(tree)
    try:
        found = list(_walk(tree, "", (), names))
    except RecursionError:
        return None
    return Program(tuple(sorted(found, key=lambda event: event.at)), tree)


def line_not_parsed(text: str) -> int | None:
    """Return the number of the line at which a program cannot be parsed; None if it can, or no line is to blame."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        return error.lineno if error.lineno and error.lineno <= len(text.splitlines()) else None
    except (ValueError, RecursionError, MemoryError):
        pass
    return None


@dataclass(frozen=True)
class _Names:
    """What the program calls its optimizers, schedulers and own functions."""

    optimizers: frozenset[str]
    schedulers: frozenset[str]
    functions: frozenset[str]

    @classmethod
    def of(cls, tree: ast.Module) -> _Names:
        nodes = list(ast.walk(tree))
        assigned = [
            (last_name(node.targets[0]), last_name(node.value.func))
            for node in nodes
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        ]
        functions = frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        return cls(
            frozenset(name for name, maker in assigned if maker in _OPTIMIZERS),
            frozenset(name for name, maker in assigned if maker in SCHEDULERS),
            functions,
        )

    def is_optimizer(self, name: str) -> bool:
        return name in self.optimizers or "optim" in name.lower() or name.lower() == "opt"

    def is_scheduler(self, name: str) -> bool:
        return name in self.schedulers or "sched" in name.lower()


def is_optimizer_class(name: str) -> bool:
    """Return whether a class of that dotted name is an optimizer."""
    *_, last = name.split(".")
    return last in _OPTIMIZERS or "optimizer" in last.lower()


def last_name(node: ast.AST) -> str:
    """Return the last name of a dotted expression: `step` of `self.optimizer.step`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    return last_name(node.value) if isinstance(node, ast.Subscript) else ""


def _walk(node: ast.AST, function: str, loops: tuple[int, ...], names: _Names) -> Iterator[Event]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _walk(child, child.name, (), names)
        elif isinstance(child, ast.For | ast.While | ast.AsyncFor):
            yield from _walk(child, function, (*loops, child.lineno), names)
        else:
            kind = _kind(child, names)
            if kind is not None and isinstance(child, ast.Call | ast.Assign):
                name = _receiver(child)
                yield Event(kind, child.lineno, child.end_col_offset or 0, function, loops, name, child)
            yield from _walk(child, function, loops, names)


def _receiver(node: ast.Call | ast.Assign) -> str:
    if isinstance(node, ast.Assign):
        return last_name(node.targets[0])
    return (
        last_name(node.func.value) if isinstance(node.func, ast.Attribute) and not _own(node) else last_name(node.func)
    )


def _own(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and last_name(node.func.value) in {"self", ""}


def _kind(node: ast.AST, names: _Names) -> Kind | None:
    if isinstance(node, ast.Assign):
        empties = isinstance(node.value, ast.Constant) and node.value.value is None
        return "zero" if empties and last_name(node.targets[0]) == "grad" else None
    if not isinstance(node, ast.Call):
        return None
    called = last_name(node.func)
    on = last_name(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    if called in names.functions and on in {"", "self"}:
        return "new optimizer" if called in _OPTIMIZERS else "call"
    if called in {"eval", "train"}:
        return _mode(called) if on and not node.keywords and len(node.args) <= 1 else None
    return _by_name(called, on, names)


def _mode(called: str) -> Kind:
    return "eval" if called == "eval" else "train"


def _step(on: str, names: _Names) -> Kind | None:
    if names.is_scheduler(on):
        return "scheduler step"
    return "step" if names.is_optimizer(on) or "scaler" in on.lower() else None


def _load(on: str, names: _Names) -> Kind | None:
    if names.is_scheduler(on):
        return "load scheduler"
    if names.is_optimizer(on):
        return "load optimizer"
    return None if "scaler" in on.lower() else "load model"


def _by_name(called: str, on: str, names: _Names) -> Kind | None:
    if called == "step" and on:
        return _step(on, names)
    if called == "load_state_dict":
        return _load(on, names)
    rows: tuple[tuple[bool, Kind], ...] = (
        (called in SCHEDULERS, "new scheduler"),
        (called in _OPTIMIZERS, "new optimizer"),
        (called in _CLIPS, "clip"),
        (called == "init" and names.is_optimizer(on), "init"),
        (called == "save" and on == "torch", "save"),
    )
    found: list[Kind] = [kind for holds, kind in rows if holds]
    return found[0] if found else _PLAIN.get(called)
