"""Findings on what a training program keeps: the state it goes on from, what its optimizer holds, modes, penalties."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from downslope.auditing.finding import Finding
from downslope.auditing.program import Event, Program, last_name
from downslope.auditing.subject import Subject
from downslope.core.settings import is_zero


def about_states(subject: Subject) -> Iterator[Finding]:
    """Yield the findings on a program; none where there is none, or it cannot be parsed."""
    if subject.parsed is None:
        return
    for check in _CHECKS:
        yield from check(subject.parsed, subject)


def _momentum_lost(program: Program, subject: Subject) -> Iterator[Finding]:
    """Find a program that goes on from a checkpoint without the optimizer's state."""
    written = 'momentum"]' in subject.program or "momentum']" in subject.program
    if subject.settings is not None and is_zero(subject.settings.momentum) and not written:
        return
    loads, kept = program.all("load model"), program.all("load optimizer")
    counted = [
        node
        for node in ast.walk(program.tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and isinstance(node.slice, ast.Constant)
        and node.slice.value in {"epoch", "step", "iteration", "iter", "global_step", "start_epoch"}
    ]
    why = "the velocity is 0 again, so the first steps after each resume are short, and go another way"
    page = "torch: saving and loading a general checkpoint"
    if loads and counted and program.all("step") and not kept:
        yield Finding(
            name="momentum_lost_on_resume",
            level="error",
            what="the model and the epoch are loaded from a checkpoint, and the optimizer's state is not",
            where=subject.line(loads[0].line),
            why=why,
            source=page,
            do="save optimizer.state_dict() too, and load it",
        )
    for event in program.all("save"):
        keys = _keys(event.node)
        counts = any(key in {"epoch", "step", "iteration", "global_step"} for key in keys)
        if counts and len(keys) > 1 and not any("opt" in key.lower() for key in keys):
            yield Finding(
                name="momentum_not_saved",
                level="warning",
                what="a checkpoint is saved with its epoch and without the optimizer's state",
                where=subject.line(event.line),
                why=f"nobody can go on from it as if nothing had happened: {why}",
                source=page,
                do='add "optimizer": optimizer.state_dict()',
                sure="likely",
            )
    schedulers = [e for e in program.all("new scheduler") if not _has(e.node, "last_epoch")]
    if (
        loads
        and counted
        and kept
        and schedulers
        and program.all("scheduler step")
        and not program.all("load scheduler")
    ):
        yield Finding(
            name="schedule_begins_anew_on_resume",
            level="warning",
            what="the optimizer is loaded from a checkpoint, and its scheduler is not",
            where=subject.line(schedulers[0].line),
            why="the scheduler counts from 0 again: lr goes once more through what it has been through",
            source=page,
            do="save and load scheduler.state_dict() too, or give last_epoch=",
            sure="likely",
        )
    first = [e for e in program.all("fit") if _has(e.node, "initial_epoch")]
    if first and program.all("load weights"):
        yield Finding(
            name="momentum_lost_on_resume",
            level="error",
            what="fit() goes on from a later epoch with weights alone",
            where=subject.line(program.all("load weights")[0].line),
            why=why,
            source="Keras: load_weights loads no optimizer; load_model does",
            do="save the whole model, and load it by keras.saving.load_model",
        )


def _anew(program: Program, subject: Subject) -> Iterator[Finding]:
    """Find an optimizer, or its state, that is made within the loop in which it steps."""
    for event in program.all("new optimizer", "init"):
        level = program.level(event)
        if not event.loops or level == "":
            continue
        made = {last_name(node.targets[0]) for node in _assignments(program, event.loops[-1])}
        if made & {name.id for name in ast.walk(event.node) if isinstance(name, ast.Name)}:
            continue  # of a model that is made there too: another training each time round
        yield Finding(
            name="optimizer_made_anew",
            level="error",
            what=f"the optimizer is made anew in the loop, once {'a batch' if level == 'batch' else 'an epoch'}",
            where=subject.line(event.line),
            why="its velocity is lost each time, and a schedule begins again",
            source="docs/optimizer.md",
            do="make it once, before the loops",
        )


def _assignments(program: Program, loop: int) -> list[ast.Assign]:
    inside = [n for n in ast.walk(program.tree) if isinstance(n, ast.For | ast.While) and n.lineno == loop]
    return [n for node in inside for n in ast.walk(node) if isinstance(n, ast.Assign) and isinstance(n.value, ast.Call)]


def _keys(node: Any) -> list[str]:
    first: Any = node.args[0] if node.args else None
    if isinstance(first, ast.Dict):
        return [key.value for key in first.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return []


def _has(node: Any, name: str) -> bool:
    return any(keyword.arg == name for keyword in node.keywords)


# What the optimizer holds


def _after_the_optimizer(program: Program, subject: Subject) -> Iterator[Finding]:
    """Find layers that are replaced, and parameters that are frozen, once the optimizer has them."""
    for made in program.all("new optimizer"):
        held = {name.id for name in ast.walk(made.node) if isinstance(name, ast.Name)}
        for node in _later(program, made):
            target: Any = node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(target, ast.Attribute) and isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                owner = target
                while isinstance(owner, ast.Attribute | ast.Subscript):
                    owner = owner.value
                layer = ast.unparse(node.value.func)
                if isinstance(owner, ast.Name) and owner.id in held and layer.startswith(("nn.", "torch.nn.")):
                    yield Finding(
                        name="layer_not_in_the_optimizer",
                        level="error",
                        what="a layer is replaced after the optimizer was made",
                        where=subject.line(node.lineno),
                        why="the optimizer holds the old parameters: the new layer is never trained",
                        source="torch.optim: constructing it",
                        do="replace layers first, then make the optimizer",
                    )
            if _freezes(node):
                keeps = any(
                    _has(e.node, "set_to_none") and "set_to_none=False" in ast.unparse(e.node)
                    for e in program.all("zero")
                )
                yield Finding(
                    name="frozen_parameters_decay",
                    level="error" if keeps else "advice",
                    what="parameters are frozen after the optimizer was made, which holds them still",
                    where=subject.line(node.lineno),
                    why=(
                        "with a gradient of zeros they decay, and their velocity runs on; without a gradient they do "
                        "not"
                    ),
                    source="torch.optim.SGD passes over parameters whose grad is None",
                    do="freeze first, and give the optimizer those that learn",
                    sure="certain" if keeps else "possible",
                )


def _later(program: Program, made: Event) -> list[ast.stmt]:
    """Return the statements after the making of an optimizer in the same function, outside of inner ones."""
    scopes: list[Any] = [
        n for n in ast.walk(program.tree) if isinstance(n, ast.FunctionDef) and n.name == made.function
    ]
    scope: Any = scopes[0] if scopes else program.tree
    inner = [n for n in ast.walk(scope) if isinstance(n, ast.FunctionDef | ast.ClassDef) and n is not scope]
    within = {id(n) for function in inner for n in ast.walk(function)}
    return [n for n in ast.walk(scope) if isinstance(n, ast.stmt) and n.lineno > made.line and id(n) not in within]


def _freezes(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        value = node.value
        return (
            last_name(node.targets[0]) == "requires_grad" and isinstance(value, ast.Constant) and value.value is False
        )
    call = node.value if isinstance(node, ast.Expr) else None
    return (
        isinstance(call, ast.Call)
        and last_name(call.func) == "requires_grad_"
        and bool(call.args)
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value is False
    )


def _twice(program: Program, subject: Subject) -> Iterator[Finding]:
    """Find an L2 penalty besides the optimizer's weight decay."""
    if subject.settings is not None and is_zero(subject.settings.weight_decay):
        return
    written = any(_decays(event.node) for event in program.all("new optimizer"))
    penalties = [
        node
        for node in ast.walk(program.tree)
        if (isinstance(node, ast.keyword) and node.arg == "kernel_regularizer" and "l2" in ast.unparse(node).lower())
        or (isinstance(node, ast.AugAssign | ast.Assign) and _adds_a_penalty(node))
    ]
    if written and penalties:
        yield Finding(
            name="decays_twice",
            level="warning",
            what="an L2 penalty is added to the loss, and the optimizer has a weight decay besides",
            where=subject.line(penalties[0].value.lineno),
            why="both shrink the weights; a penalty l |w|^2 is a coupled weight decay of 2 l",
            source="docs/convert.md",
            do="keep one of the two",
            sure="likely",
        )


def _decays(node: Any) -> bool:
    given = [keyword.value for keyword in node.keywords if keyword.arg == "weight_decay"]
    return any(not (isinstance(value, ast.Constant) and not value.value) for value in given)


def _adds_a_penalty(node: ast.AugAssign | ast.Assign) -> bool:
    target = node.target if isinstance(node, ast.AugAssign) else node.targets[0]
    names = {last_name(n).lower() for n in ast.walk(node.value) if isinstance(n, ast.Name | ast.Attribute)}
    adds = isinstance(node, ast.AugAssign) or (isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.Add))
    return adds and "loss" in last_name(target).lower() and any(_names_a_penalty(name) for name in names)


def _names_a_penalty(name: str) -> bool:
    return name in {"l2", "l2_reg", "l2_loss", "l2_penalty", "l2_norm", "weight_penalty", "reg_loss"} or "l2" in name


def _stays_in_eval(program: Program, subject: Subject) -> Iterator[Finding]:
    modes = [event for event in program.all("eval") if event.loops or event.function]
    if modes and program.all("backward") and not program.all("train") and any(
        program.level(event) == "epoch" for event in modes
    ):  # fmt: skip
        yield Finding(
            name="trains_in_eval_mode",
            level="error",
            what="the model is set to eval() in the loop over epochs, and never back to train()",
            where=subject.line(modes[0].line),
            why="from the second epoch on dropout is off, and batch normalisation stands still",
            source="torch.nn.Module.eval",
            do="call model.train() at the beginning of each epoch",
        )


_CHECKS: tuple[Callable[[Program, Subject], Iterator[Finding]], ...] = (
    _momentum_lost,
    _anew,
    _after_the_optimizer,
    _twice,
    _stays_in_eval,
)
