"""Findings on a training program's order of calls: schedulers, gradients, accumulation, clipping."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from downslope.auditing.finding import Finding
from downslope.auditing.program import Event, Program, last_name, line_not_parsed
from downslope.auditing.subject import Subject
from downslope.auditing.unseen_steps import unseen_step

_EPOCHS = frozenset({"epochs", "num_epochs", "n_epochs", "max_epochs", "max_epoch", "nepochs", "epoch", "total_epochs"})
_SCHEDULER_PAGE = "torch.optim: how to adjust learning rate"
_CLIP_PAGE = "torch.nn.utils.clip_grad_norm_: it changes the gradients in place"


def about_programs(subject: Subject) -> Iterator[Finding]:
    """Yield the findings on a program; none where there is none, or it cannot be parsed."""
    if subject.parsed is None:
        return
    for check in _CHECKS:
        yield from check(subject.parsed, subject)


def lines_not_read(subject: Subject) -> Iterator[str]:
    """Yield what is not checked of a program that cannot be parsed: all that its lines do."""
    if not subject.program or subject.parsed is not None:
        return
    line = line_not_parsed(subject.program)
    if line is None:
        yield "what the program's lines do: Python cannot parse it"
    else:
        yield f"what the program's lines do: Python cannot parse it at {subject.line(line)}"


# Schedulers


def steps_not_seen(subject: Subject) -> Iterator[str]:
    """Yield what is not checked of a program: a scheduler whose step() may be one of a name that does not tell."""
    program = subject.parsed
    line = unseen_step(program) if program is not None and _seems_never_stepped(program) else None
    if line is not None:
        yield f"whether the scheduler is stepped: it may be in {subject.line(line)}"


def _seems_never_stepped(program: Program) -> bool:
    return bool(program.all("new scheduler") and program.all("step") and not program.all("scheduler step"))


def _never_stepped(program: Program, subject: Subject) -> Iterator[Finding]:
    made = program.all("new scheduler")
    if _seems_never_stepped(program) and unseen_step(program) is None:
        yield Finding(
            name="scheduler_never_stepped",
            level="error",
            what="a scheduler is made, and its step() is never called",
            where=subject.line(made[-1].line),
            why="lr stays what it was at the beginning",
            source=_SCHEDULER_PAGE,
            do="call scheduler.step() after the optimizer's, once a batch or once an epoch as its lengths are meant",
        )


def _wrong_unit(program: Program, subject: Subject) -> Iterator[Finding]:
    """Find lengths in batches of a scheduler that is stepped once an epoch, and the other way round."""
    levels = {program.level(event) for event in program.all("scheduler step")}
    made = program.all("new scheduler")
    if levels not in ({"batch"}, {"epoch"}) or (len(made) > 1 and unseen_step(program) is not None):
        return
    for event in made:
        lengths = _lengths(event.node)
        if levels == {"epoch"} and any(_counts_batches(node) for node in lengths):
            said, instead = "once an epoch, and its length is in batches", "in the loop over batches"
        elif levels == {"batch"} and any(last_name(node).lower() in _EPOCHS for node in lengths):
            said, instead = "once a batch, and its length is in epochs", "after the loop over batches"
        else:
            continue
        yield Finding(
            name="schedule_in_the_wrong_unit",
            level="error",
            what=f"the scheduler is stepped {said}",
            where=subject.line(event.line),
            why="a scheduler counts the calls of its step(); so lr hardly moves, or is at its end within an epoch",
            source=_SCHEDULER_PAGE,
            do=f"call scheduler.step() {instead}, or give the length in the unit of its calls",
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
            yield Finding(
                name="scheduler_before_optimizer",
                level="error",
                what="scheduler.step() stands before the step of the optimizer",
                where=subject.line(event.line),
                why="the first value of the schedule is skipped, and every change comes one call early",
                source=_SCHEDULER_PAGE,
                do="call it after optimizer.step()",
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
        yield Finding(
            name="gradients_never_zeroed",
            level="error",
            what="backward() adds to the gradients, and nothing sets them to zero",
            where=subject.line(backward[0].line),
            why="every step moves by the sum of all gradients so far: a second, undamped momentum",
            source="torch.optim.Optimizer.zero_grad",
            do="call optimizer.zero_grad() before each backward pass",
        )
    for event in backward:
        zeros, steps = _in_one_body(program, event, "zero"), _in_one_body(program, event, "step")
        lost = [zero for zero in zeros if steps and event.at < zero.at < steps[0].at]
        if lost:
            yield Finding(
                name="gradients_zeroed_before_the_step",
                level="error",
                what="the gradients are set to zero between backward() and the step",
                where=subject.line(lost[0].line),
                why="the step has no gradient: only weight decay and momentum move the weights",
                source="torch.optim.Optimizer.zero_grad",
                do="call zero_grad() before backward(), or after the step",
            )


def _clipping(program: Program, subject: Subject) -> Iterator[Finding]:
    for event in program.all("clip"):
        steps, backward = _in_one_body(program, event, "step"), _in_one_body(program, event, "backward")
        if steps and event.at > steps[-1].at:
            yield Finding(
                name="clips_after_the_step",
                level="error",
                what="gradients are clipped after the step that used them",
                where=subject.line(event.line),
                why="the clipping has no effect",
                source=_CLIP_PAGE,
                do="clip between backward() and step()",
            )
        elif backward and event.at < backward[0].at:
            yield Finding(
                name="clips_before_backward",
                level="error",
                what="gradients are clipped before backward() makes them",
                where=subject.line(event.line),
                why="the clipping has no effect on this step's gradients",
                source=_CLIP_PAGE,
                do="clip between backward() and step()",
            )
        scaled = [step for step in steps if "scaler" in step.name.lower()]
        if scaled and not [other for other in program.all("unscale") if other.function == event.function]:
            yield Finding(
                name="clips_scaled_gradients",
                level="error",
                what="gradients are clipped while the loss's scale is still in them",
                where=subject.line(event.line),
                why="the threshold is compared with a norm some 65,536 times too large: every step is clipped",
                source="torch.amp: gradient clipping",
                do="call scaler.unscale_(optimizer) before clipping",
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
                count = ast.unparse(counts[0])
                yield Finding(
                    name="accumulated_gradients_are_summed",
                    level="warning",
                    what=f"gradients of {count} batches are added up, and the loss is not divided by it",
                    where=subject.line(backward[0].line),
                    why=(
                        "their sum is a step as many times as long; weight decay, in proportion, is as many times "
                        "weaker"
                    ),
                    source="Goyal et al. 2017, section 3: the mean over the whole batch",
                    do=f"divide the loss by {count} before backward()",
                    sure="likely",
                )


def _is_mod(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.Mod)


_CHECKS: tuple[Callable[[Program, Subject], Iterator[Finding]], ...] = (
    _never_stepped,
    _wrong_unit,
    _before_the_optimizer,
    _gradients_kept,
    _clipping,
    _accumulated,
)
