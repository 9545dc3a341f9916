"""PyTorch: an optimizer of a few lines for the rules that torch.optim.SGD cannot be extended to.

A subclass of torch.optim.SGD can add to its step (`torch_subclass.py`); it cannot change how the gradient enters the
velocity. The lines of the step here are the rule's own text, run on symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from downslope.core.errors import ExportError
from downslope.core.rule_text import step_source
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.exporting.export_plan import without_dampening
from downslope.exporting.python_source import comment, docstring, short_call

# PyTorch

_NOT_TORCHS = {
    "decoupled": 'group["lr"] * group["decoupled_decay"]',
    "independent": 'group["decoupled_decay"]',
    "corrected": 'group["lr"] ** 2 / LR_MAX * group["decoupled_decay"]',
}


def write_subclass(decay: str, *, inside: bool) -> list[str]:
    """Return the subclass as source lines.

    Args:
        decay: The way of weight decay that it adds, or "".
        inside: Whether it moves lr into the velocity.
    """
    what = {
        "decoupled": "decoupled weight decay: param -= lr * weight_decay * param",
        "independent": "independent weight decay: param -= weight_decay * param, whatever lr is",
        "corrected": "corrected weight decay: param -= lr**2 / lr_max * weight_decay * param",
    }
    parts = [what[decay]] if decay else []
    if inside:
        parts.append("lr inside the velocity: v = momentum * v + lr * grad, and param -= v")
    lines = ["class SGD(torch.optim.SGD):", *docstring(f"PyTorch's SGD with {'; and '.join(parts)}.", depth=1), ""]
    lines += ["    @torch.no_grad()", "    def step(self):"]
    if inside:
        lines += ["        kept = []"]
    lines += ["        for group in self.param_groups:"]
    moves = []
    if decay:
        lines += [f"            decay = {_NOT_TORCHS[decay]}"]
        moves += ["param.mul_(1 - decay)"]
    if inside:
        moves += ['param.grad.mul_(group["lr"])']
    lines += ['            for param in group["params"]:', "                if param.grad is not None:"]
    lines += [f"                    {move}" for move in moves]
    if not inside:
        return [*lines, "        super().step()"]
    return [
        *lines,
        *comment("With lr in the gradients and in weight_decay, the step itself has lr 1.", 3),
        '            kept.append((group["lr"], group["weight_decay"]))',
        '            group["weight_decay"] *= group["lr"]',
        '            group["lr"] = 1.0',
        "        super().step()",
        "        for group, (lr, weight_decay) in zip(self.param_groups, kept):",
        '            group["lr"], group["weight_decay"] = lr, weight_decay',
    ]


def reasons_for_own_step(settings: Sequence[Settings]) -> list[str]:
    """Return what neither torch.optim.SGD nor a change of lr can do, in words; nothing where they do all.

    Args:
        settings: The settings of each group, and last of the others.
    """
    found: list[str] = []
    for form in map(without_dampening, settings):
        if form.nesterov and form.dampening:
            found.append("dampening together with Nesterov's momentum")
        elif form.dampening and not form.undampened_first_step:
            found.append("a dampening of 1 from the first step on")
        if isinstance(form.momentum, Schedule) and form.momentum.extremes()[0] == 0 and not is_zero(form.momentum):
            found.append("a momentum that is 0 at some steps, at which PyTorch's SGD leaves its velocity as it is")
    return list(dict.fromkeys(found))


def write_own_step(forms: list[Settings], reasons: list[str], framework: str) -> list[str]:
    """Return the optimizer as source lines.

    Args:
        forms: The settings of each group, and last of the others.
        reasons: What `reasons_for_own_step` returned.
        framework: What a message calls the target.

    Raises:
        ExportError: If groups need different steps.
    """
    form = _one_form(forms, framework)
    decays = not is_zero(form.weight_decay)
    names = {"param": "param", "grad": "grad", "velocity": "velocity", "lr": "lr", "momentum": "momentum"}
    changed: list[str] = []
    if form.decay == "coupled" and decays:
        grad = 'group["weight_decay"] * param - param.grad' if form.maximize else None
        grad = grad or 'param.grad + group["weight_decay"] * param'
        form = replace(form, weight_decay=0.0, maximize=False)
    else:
        grad = "param.grad"
    if form.dampening:
        names["dampening"] = "dampening"
    if not is_zero(form.weight_decay):
        names["weight_decay"] = "weight_decay"
        changed = ['            weight_decay = group["weight_decay"]']
    velocity, direction, decayed = step_source(form, names)
    lines = [
        "class SGD(torch.optim.Optimizer):",
        *docstring(f"SGD with {'; and '.join(reasons)}.", depth=1),
        "",
        "    def __init__(self, params, **defaults):",
        "        super().__init__(params, defaults)",
        "",
        "    @torch.no_grad()",
        "    def step(self):",
        "        for group in self.param_groups:",
        '            lr, momentum = group["lr"], group["momentum"]',
        *changed,
        '            for param in group["params"]:',
        "                if param.grad is None:",
        "                    continue",
        f"                grad = {grad}",
    ]
    if form.dampening and form.undampened_first_step:
        lines += ['                dampening = group["dampening"] if self.state[param] else 0.0']
    elif form.dampening:
        lines += ['                dampening = group["dampening"]']
    lines += [
        '                velocity = self.state[param].get("momentum_buffer", 0.0)',
        f"                velocity = {velocity}",
    ]
    delta = direction if decayed is None else f"{direction} - {decayed}"
    lines += short_call("param.add_", [delta], depth=4)
    return [*lines, '                self.state[param]["momentum_buffer"] = velocity']


def _one_form(forms: list[Settings], framework: str) -> Settings:
    """Return settings whose step is every group's, once a group's numbers stand in it.

    Raises:
        ExportError: If there are none.
    """
    moving = [form for form in forms if not is_zero(form.momentum)]
    decayed = [form for form in forms if not is_zero(form.weight_decay)]
    flags = {
        "nesterov": moving,
        "lr_in_velocity": moving,
        "undampened_first_step": [form for form in moving if form.dampening],
        "maximize": forms,
        "decay": decayed,
        "lr_max": [form for form in decayed if form.decay == "corrected"],
    }
    for name, those in flags.items():
        if len({getattr(form, name) for form in those}) > 1:
            raise ExportError(
                f"{framework}: the groups differ in `{name}`, and one step is written for all of them. Use one, or "
                "export to downslope."
            )
    form = (moving or forms)[-1]
    dampened = next((one for one in moving if one.dampening), form)
    return replace(
        form,
        dampening=dampened.dampening,
        undampened_first_step=dampened.undampened_first_step,
        weight_decay=decayed[-1].weight_decay if decayed else 0.0,
        decay=decayed[-1].decay if decayed else "coupled",
        lr=(decayed or [form])[-1].lr,
    )
