"""Where a program may call a scheduler's step() without being seen to: on what its text does not say the kind of.

A scheduler out of a factory, a container or a call bears any name, and one that is handed on is stepped elsewhere.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from downslope.auditing.program import SCHEDULERS, Program, is_optimizer_class, last_name

_NO_STEPS = frozenset({*dir(builtins), *SCHEDULERS, "prepare", "append", "extend", "insert"})
"""Calls that take a scheduler and do not step it: those that keep it, and those whose result is stepped instead."""


def unseen_step(program: Program) -> int | None:
    """Return the first line on which a scheduler may be stepped by a name that does not tell; None if there is none."""
    lines = [*_on_unknown(program), *_handed_on(program)]
    return min(lines, default=None)


def _on_unknown(program: Program) -> Iterator[int]:
    """Yield the lines of `.step`, called or handed on, on what is no optimizer, no scaler and no class of its own."""
    told = {id(event.node.func) for event in program.all("step", "scheduler step") if isinstance(event.node, ast.Call)}
    own = [event.node.func for event in program.all("call") if isinstance(event.node, ast.Call)]
    told |= {id(func) for func in own if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name)}
    told |= set(_of_own_optimizers(program.tree))
    nodes = [n for n in ast.walk(program.tree) if isinstance(n, ast.Attribute) and n.attr == "step"]
    counters = {last_name(node.value) for node in nodes if not isinstance(node.ctx, ast.Load)}
    others = {*counters, *_with_steps_of_their_own(program.tree)}
    for node in nodes:
        if id(node) not in told and (last_name(node.value) or ".") not in others:
            yield node.lineno


def _of_own_optimizers(tree: ast.Module) -> Iterator[int]:
    """Yield the identities of `super().step` in classes that are optimizers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(is_optimizer_class(ast.unparse(base)) for base in node.bases):
            yield from (id(one) for one in ast.walk(node) if isinstance(one, ast.Attribute) and _of_super(one))


def _of_super(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Call) and last_name(node.value.func) == "super"


def _with_steps_of_their_own(tree: ast.Module) -> Iterator[str]:
    """Yield names of what has a step() that is no scheduler's: profilers, and instances of the program's classes."""
    classes = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(one, ast.FunctionDef) and one.name == "step" for one in node.body)
        and not any(last_name(base) in SCHEDULERS or "sched" in last_name(base).lower() for base in node.bases)
    }
    for node in ast.walk(tree):
        pairs: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.withitem):
            pairs = [(node.optional_vars, node.context_expr)]
        for target, value in pairs:
            made = last_name(value.func) if isinstance(value, ast.Call) else ""
            if target is not None and (made in classes or made == "profile"):
                yield last_name(target)


def _handed_on(program: Program) -> Iterator[int]:
    """Yield the lines on which a scheduler is given to a function that is not in this program."""
    nodes = list(ast.walk(program.tree))
    seen = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    made = {id(event.node) for event in program.all("new scheduler")}
    names = {
        last_name(target)
        for node in nodes
        if isinstance(node, ast.Assign) and id(node.value) in made
        for target in node.targets
    }
    for node in nodes:
        if not isinstance(node, ast.Call) or last_name(node.func) in seen | _NO_STEPS:
            continue
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        parts = [part for value in given for part in _parts(value)]
        if any(id(part) in made or last_name(part) in names for part in parts):
            yield node.lineno


def _parts(value: ast.expr) -> Iterator[ast.expr]:
    """Yield what an argument is, or holds where it is written as a list, a tuple or a dictionary."""
    inner: list[ast.expr] = []
    if isinstance(value, ast.List | ast.Tuple):
        inner = value.elts
    elif isinstance(value, ast.Dict):
        inner = value.values
    else:
        yield value.value if isinstance(value, ast.Starred) else value
    for one in inner:
        yield from _parts(one)
