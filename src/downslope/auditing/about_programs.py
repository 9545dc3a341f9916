"""Findings on a training program's order of calls: schedulers, gradients, clipping, resuming, what is frozen when."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from downslope.auditing.finding import Finding, Level, Sure
from downslope.auditing.program import Event, Program, last_name, read_program
from downslope.auditing.subject import Subject
from downslope.core.settings import is_zero

_EPOCHS = frozenset({"epochs", "num_epochs", "n_epochs", "max_epochs", "max_epoch", "nepochs", "epoch", "total_epochs"})
_SCHEDULER_PAGE = "torch.optim: how to adjust learning rate"
_CLIP_PAGE = "torch.nn.utils.clip_grad_norm_: it changes the gradients in place"


def about_programs(subject: Subject) -> Iterator[Finding]:
    """Yield the findings on a program; none where there is none, or it cannot be parsed."""
    program = read_program(subject.program) if subject.program else None
    if program is None:
        return
    for check in _CHECKS:
        yield from check(program, subject)


def _found(
    subject: Subject, event: Event | int, name: str, what: str, why: str, source: str, do: str,
    level: Level = "error", sure: Sure = "certain",
) -> Finding:  # fmt: skip
    line = event if isinstance(event, int) else event.line
    text = subject.program.splitlines()[line - 1].strip()[:80]
    where = f"{subject.name + ', ' if subject.name else ''}line {line}: {text}"
    return Finding(name=name, level=level, what=what, where=where, why=why, source=source, do=do, sure=sure)


# Schedulers


def _never_stepped(program: Program, subject: Subject) -> Iterator[Finding]:
    made = program.all("new scheduler")
    if made and program.all("step") and not program.all("scheduler step"):
        yield _found(
            subject,
            made[-1],
            "scheduler_never_stepped",
            "a scheduler is made, and its step() is never called",
            "lr stays what it was at the beginning",
            _SCHEDULER_PAGE,
            "call scheduler.step() after the optimizer's, once a batch or once an epoch as its lengths are meant",
        )


def _wrong_unit(program: Program, subject: Subject) -> Iterator[Finding]:
    """Find lengths in batches of a scheduler that is stepped once an epoch, and the other way round."""
    levels = {program.level(event) for event in program.all("scheduler step")}
    if levels not in ({"batch"}, {"epoch"}):
        return
    for event in program.all("new scheduler"):
        lengths = _lengths(event.node)
        if levels == {"epoch"} and any(_counts_batches(node) for node in lengths):
            said, instead = "once an epoch, and its length is in batches", "in the loop over batches"
        elif levels == {"batch"} and any(last_name(node).lower() in _EPOCHS for node in lengths):
            said, instead = "once a batch, and its length is in epochs", "after the loop over batches"
        else:
            continue
        yield _found(
            subject,
            event,
            "schedule_in_the_wrong_unit",
            f"the scheduler is stepped {said}",
            "a scheduler counts the calls of its step(); so lr hardly moves, or is at its end within an epoch",
            _SCHEDULER_PAGE,
            f"call scheduler.step() {instead}, or give the length in the unit of its calls",
        )


def _lengths(node: Any) -> list[ast.expr]:
    """Return the arguments of a scheduler that are lengths."""
    name = last_name(node.func)
    words = {"T_max", "total_steps", "step_size", "total_iters", "steps_per_epoch", "T_0", "milestones"}
    found = [keyword.value for keyword in node.keywords if keyword.arg in words]
    if name in {"CosineAnnealingLR", "StepLR", "CosineAnnealingWarmRestarts", "PolynomialLR"} and len(node.args) > 1:
        found.append(node.args[1])
    return found


def _counts_batches(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return "len(" in text or any(word in text for word in ("steps_per_epoch", "num_batches", "iters_per_epoch"))


def _before_the_optimizer(program: Program, subject: Subject) -> Iterator[Finding]:
    """Find a scheduler whose step stands before the optimizer's in the same loop."""
    for event in program.all("scheduler step"):
        node: Any = event.node
        if node.args or node.keywords or not event.loops:
            continue
        same = [other for other in program.all("step", "call") if other.function == event.function]
        inside = [other for other in same if other.loops[: len(event.loops)] == event.loops and _takes(program, other)]
        if inside and all(other.at > event.at for other in inside):
            yield _found(
                subject,
                event,
                "scheduler_before_optimizer",
                "scheduler.step() stands before the step of the optimizer",
                "the first value of the schedule is skipped, and every change comes one call early",
                _SCHEDULER_PAGE,
                "call it after optimizer.step()",
            )


def _takes(program: Program, event: Event) -> bool:
    names = {other.function for other in program.all("step")}
    return event.kind == "step" or event.name in names - {""}


# Gradients


def _in_one_body(program: Program, event: Event, *kinds: Any) -> list[Event]:
    """Return the events of these kinds in the same function and loop."""
    return [o for o in program.all(*kinds) if o.function == event.function and o.loops == event.loops]


def _gradients_kept(program: Program, subject: Subject) -> Iterator[Finding]:
    backward = program.all("backward")
    if backward and program.all("step") and not program.all("zero"):
        yield _found(
            subject,
            backward[0],
            "gradients_never_zeroed",
            "backward() adds to the gradients, and nothing sets them to zero",
            "every step moves by the sum of all gradients so far: a second, undamped momentum",
            "torch.optim.Optimizer.zero_grad",
            "call optimizer.zero_grad() before each backward pass",
        )
    for event in backward:
        zeros, steps = _in_one_body(program, event, "zero"), _in_one_body(program, event, "step")
        lost = [zero for zero in zeros if steps and event.at < zero.at < steps[0].at]
        if lost:
            yield _found(
                subject,
                lost[0],
                "gradients_zeroed_before_the_step",
                "the gradients are set to zero between backward() and the step",
                "the step has no gradient: only weight decay and momentum move the weights",
                "torch.optim.Optimizer.zero_grad",
                "call zero_grad() before backward(), or after the step",
            )


def _clipping(program: Program, subject: Subject) -> Iterator[Finding]:
    for event in program.all("clip"):
        steps, backward = _in_one_body(program, event, "step"), _in_one_body(program, event, "backward")
        if steps and event.at > steps[-1].at:
            yield _found(
                subject,
                event,
                "clips_after_the_step",
                "gradients are clipped after the step that used them",
                "the clipping has no effect",
                _CLIP_PAGE,
                "clip between backward() and step()",
            )
        elif backward and event.at < backward[0].at:
            yield _found(
                subject,
                event,
                "clips_before_backward",
                "gradients are clipped before backward() makes them",
                "the clipping has no effect on this step's gradients",
                _CLIP_PAGE,
                "clip between backward() and step()",
            )
        scaled = [step for step in steps if "scaler" in step.name.lower()]
        if scaled and not [other for other in program.all("unscale") if other.function == event.function]:
            yield _found(
                subject,
                event,
                "clips_scaled_gradients",
                "gradients are clipped while the loss's scale is still in them",
                "the threshold is compared with a norm some 65,536 times too large: every step is clipped",
                "torch.amp: gradient clipping",
                "call scaler.unscale_(optimizer) before clipping",
            )


def _accumulated(program: Program, subject: Subject) -> Iterator[Finding]:
    """Find gradients summed over several batches without a division by their number."""
    for loop in ast.walk(program.tree):
        if not isinstance(loop, ast.For):
            continue
        for branch in (node for node in loop.body if isinstance(node, ast.If)):
            counts = [node.right for node in ast.walk(branch.test) if isinstance(node, ast.BinOp) and _is_mod(node)]
            steps = [e for e in program.all("step") if branch.lineno < e.line <= (branch.end_lineno or 0)]
            divided = any(isinstance(node, ast.Div) for node in ast.walk(loop))
            backward = [e for e in program.all("backward") if loop.lineno < e.line < branch.lineno]
            if counts and steps and backward and not divided:
                yield _found(
                    subject,
                    backward[0],
                    "accumulated_gradients_are_summed",
                    f"gradients of {ast.unparse(counts[0])} batches are added up, and the loss is not divided by it",
                    "their sum is a step as many times as long; weight decay, in proportion, is as many times weaker",
                    "Goyal et al. 2017, section 3: the mean over the whole batch",
                    f"divide the loss by {ast.unparse(counts[0])} before backward()",
                    "warning",
                    "likely",
                )


def _is_mod(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.Mod)


# State


def _momentum_lost(program: Program, subject: Subject) -> Iterator[Finding]:
    """Find a program that goes on from a checkpoint without the optimizer's state."""
    if subject.settings is not None and is_zero(subject.settings.momentum):
        return
    yield from _anew(program, subject)
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
        yield _found(
            subject,
            loads[0],
            "momentum_lost_on_resume",
            "the model and the epoch are loaded from a checkpoint, and the optimizer's state is not",
            why,
            page,
            "save optimizer.state_dict() too, and load it",
        )
    for event in program.all("save"):
        keys = _keys(event.node)
        counts = any(key in {"epoch", "step", "iteration", "global_step"} for key in keys)
        if counts and len(keys) > 1 and not any("opt" in key.lower() for key in keys):
            yield _found(
                subject,
                event,
                "momentum_not_saved",
                "a checkpoint is saved with its epoch and without the optimizer's state",
                f"nobody can go on from it as if nothing had happened: {why}",
                page,
                'add "optimizer": optimizer.state_dict()',
                "warning",
                "likely",
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
        yield _found(
            subject,
            schedulers[0],
            "schedule_begins_anew_on_resume",
            "the optimizer is loaded from a checkpoint, and its scheduler is not",
            "the scheduler counts from 0 again: lr goes once more through what it has been through",
            page,
            "save and load scheduler.state_dict() too, or give last_epoch=",
            "warning",
            "likely",
        )
    first = [e for e in program.all("fit") if _has(e.node, "initial_epoch")]
    if first and program.all("load weights"):
        yield _found(
            subject,
            program.all("load weights")[0],
            "momentum_lost_on_resume",
            "fit() goes on from a later epoch with weights alone",
            why,
            "Keras: load_weights loads no optimizer; load_model does",
            "save the whole model, and load it by keras.saving.load_model",
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
        yield _found(
            subject,
            event,
            "optimizer_made_anew",
            f"the optimizer is made anew in the loop, once {'a batch' if level == 'batch' else 'an epoch'}",
            "its velocity is lost each time, and a schedule begins again",
            "docs/optimizer.md",
            "make it once, before the loops",
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
                    yield _found(
                        subject,
                        node.lineno,
                        "layer_not_in_the_optimizer",
                        "a layer is replaced after the optimizer was made",
                        "the optimizer holds the old parameters: the new layer is never trained",
                        "torch.optim: constructing it",
                        "replace layers first, then make the optimizer",
                    )
            if _freezes(node):
                keeps = any(
                    _has(e.node, "set_to_none") and "set_to_none=False" in ast.unparse(e.node)
                    for e in program.all("zero")
                )
                yield _found(
                    subject,
                    node.lineno,
                    "frozen_parameters_decay",
                    "parameters are frozen after the optimizer was made, which holds them still",
                    "with a gradient of zeros they decay, and their velocity runs on; without a gradient they do not",
                    "torch.optim.SGD passes over parameters whose grad is None",
                    "freeze first, and give the optimizer those that learn",
                    "error" if keeps else "advice",
                    "certain" if keeps else "possible",
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
    if subject.settings is None or is_zero(subject.settings.weight_decay):
        return
    written = any("weight_decay" in ast.unparse(event.node) for event in program.all("new optimizer"))
    penalties = [
        node
        for node in ast.walk(program.tree)
        if (isinstance(node, ast.keyword) and node.arg == "kernel_regularizer" and "l2" in ast.unparse(node).lower())
        or (isinstance(node, ast.AugAssign | ast.Assign) and _adds_a_penalty(node))
    ]
    if written and penalties:
        yield _found(
            subject,
            penalties[0].value.lineno,
            "decays_twice",
            "an L2 penalty is added to the loss, and the optimizer has a weight decay besides",
            "both shrink the weights; a penalty l |w|^2 is a coupled weight decay of 2 l",
            "docs/convert.md",
            "keep one of the two",
            "warning",
            "likely",
        )


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
        yield _found(
            subject,
            modes[0],
            "trains_in_eval_mode",
            "the model is set to eval() in the loop over epochs, and never back to train()",
            "from the second epoch on dropout is off, and batch normalisation stands still",
            "torch.nn.Module.eval",
            "call model.train() at the beginning of each epoch",
        )


_CHECKS: tuple[Callable[[Program, Subject], Iterator[Finding]], ...] = (
    _never_stepped,
    _wrong_unit,
    _before_the_optimizer,
    _gradients_kept,
    _clipping,
    _accumulated,
    _momentum_lost,
    _after_the_optimizer,
    _twice,
    _stays_in_eval,
)
