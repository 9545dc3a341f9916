"""Mistakes that people make, planted in an exported PyTorch program: each a function from its text to a wrong one."""

from __future__ import annotations

import re

STEP, BACKWARD, ZERO, SCHEDULE = "optimizer.step()", ").backward()", "optimizer.zero_grad()", "scheduler.step()"
CLIP = "nn.utils.clip_grad_norm_("


def lines_with(text, words):
    """Return the numbers of the lines of the loop that have these words."""
    return [number for number, line in enumerate(text.split("\n")) if words in line]


def without(text, words):
    """Return the text without the lines that have these words."""
    return "\n".join(line for line in text.split("\n") if words not in line)


def moved(text, words, beside, *, after):
    """Return the text with the one line that has these words moved before or behind the one that has others."""
    lines = text.split("\n")
    (line,) = [line for line in lines if words in line]
    lines.remove(line)
    place = next(number for number, other in enumerate(lines) if beside in other) + after
    indent = re.match(" *", lines[place - after]).group()
    return "\n".join([*lines[:place], indent + line.strip(), *lines[place:]])


def never_zeroed(text):
    """Nothing sets the gradients to zero."""
    return without(text, ZERO)


def zeroed_late(text):
    """Gradients are set to zero just before the step."""
    return moved(text, ZERO, STEP, after=False)


def never_scheduled(text):
    """The scheduler is never stepped."""
    return without(text, SCHEDULE)


def scheduled_first(text):
    """The scheduler is stepped before the optimizer."""
    return moved(text, SCHEDULE, STEP, after=False)


def clipped_late(text):
    """Gradients are clipped after the step."""
    return moved(text, CLIP, STEP, after=True)


def clipped_early(text):
    """Gradients are clipped before they are there."""
    return moved(text, CLIP, ").backward()", after=False)


def made_anew(text):
    """The optimizer is made once an epoch."""
    return moved(text, "    optimizer = make_optimizer(", "for inputs, targets in", after=False)


def resumed(text):
    """The model goes on from a checkpoint, the optimizer does not."""
    lines = text.split("\n")
    place = lines_with(text, "    optimizer = make_optimizer(")[0]
    load = [
        'checkpoint = torch.load("last.pt")',
        'model.load_state_dict(checkpoint["model"])',
        'print(checkpoint["epoch"])',
    ]
    return "\n".join([*lines[:place], *(f"    {line}" for line in load), *lines[place:]])


PLANTS = {
    never_zeroed: "gradients_never_zeroed",
    zeroed_late: "gradients_zeroed_before_the_step",
    never_scheduled: "scheduler_never_stepped",
    scheduled_first: "scheduler_before_optimizer",
    clipped_late: "clips_after_the_step",
    clipped_early: "clips_before_backward",
    made_anew: "optimizer_made_anew",
    resumed: "momentum_lost_on_resume",
}
"""Mistake -> the finding that it is."""
