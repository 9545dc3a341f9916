"""JAX: a chain of optax's transformations, which can express every rule but dampened Nesterov.

What lives here: the program. What does not: schedules (`optax_schedules.py`).
"""

from __future__ import annotations

from typing import Any

from downslope.core import schedules as s
from downslope.core.errors import ExportError
from downslope.core.schedules.schedule import PYTHON, Schedule
from downslope.core.settings import Settings, is_zero
from downslope.exporting import python_source
from downslope.exporting.digits_programs import optax_digits
from downslope.exporting.export_plan import Plan, changes_with_time, in_simplest_decay, match_source
from downslope.exporting.python_source import call, comment, docstring, imports, module, nested, short_call, statement
from downslope.exporting.schedule_source import JAX_WORDS, has_staircase, is_countable, stays_real, where_function

# Schedules in optax's words


def write_schedule(name: str, schedule: Schedule, plan: Plan) -> list[str]:
    """Return the definition of a schedule under a name.

    Args:
        name: The name.
        schedule: The schedule, in steps.
        plan: The plan, which knows how many steps an epoch has.
    """
    given = getattr(plan.recipe.sgd, name, None) if name != "learning_rate" else plan.recipe.sgd.lr
    epochs = isinstance(given, Schedule) and given.in_epochs()
    lines = comment(f"Counted in steps; {plan.counted}.") if epochs else []
    own = _own(schedule)
    if own is not None:
        return [*lines, *call(own[0], own[1], before=f"{name} = ")]
    doc = f"Return the {name.rstrip('_0123456789').replace('_', ' ')} of a step, counted from 0."
    found = where_function(name, schedule, doc=doc, where="jnp.where", words=JAX_WORDS)
    if has_staircase(schedule):
        head, described, *body = found
        remark = comment(
            "Whole periods are counted in integers: a floor of step / period, as in optax.exponential_decay, drops one "
            "step late for some periods once it is compiled.",
            1,
        )
        found = [head, described, *remark, *body]
    return [*lines, *found]


def _own(schedule: Schedule) -> tuple[str, list[str]] | None:  # noqa: PLR0911 -- one for each kind of schedule
    """Return optax's own function for a schedule and its arguments, or None."""
    if not is_countable(schedule):
        return None
    if isinstance(schedule, s.MultiStep) and all(isinstance(m, int) for m in schedule.milestones):
        scales = ", ".join(f"{milestone}: {schedule.factor!r}" for milestone in schedule.milestones)
        return "optax.piecewise_constant_schedule", [repr(schedule.initial), f"{{{scales}}}"]
    if isinstance(schedule, s.Exponential) and not schedule.staircase and schedule.end is None:
        return "optax.exponential_decay", [repr(schedule.initial), repr(schedule.every), repr(schedule.rate)]
    if not isinstance(getattr(schedule, "duration", None), int):
        return None
    if isinstance(schedule, s.Cosine) and schedule.initial:
        alpha = [f"alpha={schedule.final!r} / {schedule.initial!r}"] if schedule.final else []
        return "optax.cosine_decay_schedule", [repr(schedule.initial), repr(schedule.duration), *alpha]
    if isinstance(schedule, s.Linear):
        return "optax.linear_schedule", [repr(schedule.initial), repr(schedule.final), repr(schedule.duration)]
    if isinstance(schedule, s.Polynomial) and stays_real(schedule):
        values = (schedule.initial, schedule.final, schedule.power, schedule.duration)
        return "optax.polynomial_schedule", [repr(value) for value in values]
    if isinstance(schedule, s.Warmup) and schedule.restart and schedule.duration:
        top = schedule.then.closed_form(0, _PLAIN)
        then = [f"optax.constant_schedule({top!r})"] if isinstance(schedule.then, s.Constant) else _inner(schedule.then)
        if not then:
            return None
        rise = f"optax.linear_schedule({schedule.start!r}, {top!r}, {schedule.duration!r})"
        return "optax.join_schedules", [f"[\n    {rise},\n    {then[0]},\n]", f"[{schedule.duration!r}]"]
    return None


def _inner(schedule: Schedule) -> list[str]:
    own = _own(schedule)
    if own is None:
        return []
    line = f"{own[0]}({', '.join(own[1])})"
    return [line] if len(line) < 72 and "\n" not in line else []


_PLAIN = PYTHON


class _Program:
    """The parts of a program as they are found to be needed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.functions: list[list[str]] = []
        self.remarks: list[str] = []
        self._names: dict[tuple[str, Any], str] = {}

    def value(self, name: str, value: float | Schedule) -> str:
        """Return the source of a number or, defined above, of a schedule."""
        if not isinstance(value, Schedule) or value.extremes()[0] == value.extremes()[1]:
            return repr(value.extremes()[0] if isinstance(value, Schedule) else value)
        if (name, value) not in self._names:
            taken = sum(one == name for one, _ in self._names)
            unique = f"{name}_{taken + 1}" if taken else name
            self._names[name, value] = unique
            self.functions.append(write_schedule(unique, value, self.plan))
        return self._names[name, value]


def write_optax(plan: Plan) -> str:
    """Return the program of a plan in JAX and optax.

    Raises:
        ExportError: If it cannot be expressed.
    """
    program = _Program(plan)
    forms = [in_simplest_decay(settings) for settings in plan.everyone]
    for form in forms:
        if form.nesterov and form.dampening:
            raise ExportError(
                "optax has no dampening. Without Nesterov's momentum another lr does the same; with it the step adds "
                "the gradient itself, undampened, and no other numbers are the same. Set sgd.dampening = 0, which is "
                "another rule, or export to torch, which writes the step out, or to downslope. In optax it takes a "
                "transformation of your own."
            )
    masked = _is_mask(forms)
    chains = [_chain(program, form, mask=masked) for form in (forms[-1:] if masked else forms)]
    if plan.recipe.train.plateau is not None:
        program.remarks.append(
            "The recipe reduces lr on a plateau of the held-out metric. optax.contrib.reduce_on_plateau looks at the "
            "training loss instead, so lr stays as it is here: where the metric has not improved for "
            f"{plan.recipe.train.plateau.patience} evaluations, go on with an lr of "
            f"{plan.recipe.train.plateau.factor!r} times as much and the same state."
        )
    made = _make_optimizer(plan, chains, program)
    parts = [
        [
            *python_source.constants(plan),
            *([f"CLIP_NORM = {plan.recipe.train.clip_norm!r}"] if plan.recipe.train.clip_norm else []),
        ],
        *program.functions,
        *_names(plan, masked=masked),
        made,
        _make_train_step(),
        [] if python_source.by_epochs(plan) else _repeated(),
        _train(plan),
        *(optax_digits(plan) if plan.with_model else []),
    ]
    return module(python_source.opening(plan, "JAX and optax"), imports(parts, *_IMPORTS), *parts)


_IMPORTS = (
    "import math",
    "from fnmatch import fnmatchcase",
    "import jax",
    "import jax.numpy as jnp",
    "import numpy as np",
    "import optax",
    "import sklearn.datasets",
)


def _is_mask(forms: list[Settings]) -> bool:
    """Return whether all that groups change is that some parameters are not decayed."""
    from dataclasses import replace

    base = forms[-1]
    return len(forms) > 1 and all(
        is_zero(form.weight_decay) and replace(base, weight_decay=0.0, decay="coupled") == form for form in forms[:-1]
    )


def _chain(program: _Program, form: Settings, *, mask: bool) -> list[str]:
    """Return the transformations of some settings, in their order."""
    masked = ["mask=is_decayed"] if mask else []
    lr = program.value("learning_rate", form.lr)
    still = is_zero(form.momentum)
    inside = form.lr_in_velocity and not still and changes_with_time(form)
    links = ["optax.scale(-1.0)"] if form.maximize else []
    if form.maximize:
        program.remarks.append("It maximizes: the gradient's sign is turned first, and not that of weight decay.")
    decayed = not is_zero(form.weight_decay)
    if decayed and form.decay == "coupled":
        links.append(nested("optax.add_decayed_weights", [program.value("weight_decay", form.weight_decay), *masked]))
        program.remarks.append("Weight decay stands before momentum, as in PyTorch: it goes through the velocity.")
    if form.dampening:
        kept = f"1 - {form.dampening!r}"
        links.append(
            f"optax.scale_by_schedule(lambda count: jnp.where(count == 0, 1.0, {kept}))"
            if form.undampened_first_step
            else f"optax.scale({kept})"
        )
        program.remarks.append("optax has no dampening: the gradient is scaled on its way into the velocity.")
    scale = f"optax.scale_by_learning_rate({lr})"
    if inside:
        links += [scale, _trace(program, form)]
        program.remarks.append("lr stands before momentum, inside the velocity, as the recipe has it.")
    elif decayed and form.decay == "decoupled" and not still:
        decay = program.value("weight_decay", form.weight_decay)
        links += [_trace(program, form), nested("optax.add_decayed_weights", [decay, *masked]), scale]
        program.remarks.append("Weight decay stands after momentum and before lr: param -= lr * weight_decay * param.")
        return links
    elif isinstance(form.momentum, Schedule) or form.dampening:
        links += [_trace(program, form), scale] if not still else [scale]
    else:
        momentum = (
            [] if still else [f"momentum={_number(form.momentum)!r}", *(["nesterov=True"] if form.nesterov else [])]
        )
        links.append(nested("optax.sgd", [lr, *momentum]))
    if decayed and form.decay != "coupled":
        links.append(nested("optax.add_decayed_weights", [_after(program, form), *masked]))
        program.remarks.append(
            f"{form.decay.capitalize()} weight decay comes last, with a minus sign, since nothing scales it any more."
        )
    return links


def _after(program: _Program, form: Settings) -> str:
    """Return the source of what weight decay adds, where it stands last in the chain."""
    decay = program.value("weight_decay", form.weight_decay)
    lr = program.value("learning_rate", form.lr)
    moving = isinstance(form.weight_decay, Schedule)
    if form.decay == "independent":
        return f"lambda count: -{decay}(count)" if moving else f"-{decay}"
    strength = f"{decay}(count)" if moving else decay
    rate = f"{lr}(count)" if changes_with_time(form) else lr
    if form.decay == "corrected":
        return f"lambda count: -({rate} ** 2) / {form.lr_max!r} * {strength}"
    return f"lambda count: -{rate} * {strength}"


def _trace(program: _Program, form: Settings) -> str:
    nesterov = ["nesterov=True"] if form.nesterov else []
    if isinstance(form.momentum, Schedule):
        made = nested("optax.inject_hyperparams", ["optax.trace", 'static_args="nesterov"'])
        return nested(made, [f"decay={program.value('momentum', form.momentum)}", f"nesterov={form.nesterov}"])
    return nested("optax.trace", [f"decay={form.momentum!r}", *nesterov])


def _number(value: float | Schedule) -> float:
    return value.extremes()[0] if isinstance(value, Schedule) else value


def _opposite(condition: str) -> str:
    """Return the source of the opposite of a condition."""
    is_one = " or " not in condition and condition.startswith("name == ")
    return condition.replace("==", "!=", 1) if is_one else f"not ({condition})"


def _names(plan: Plan, *, masked: bool) -> list[list[str]]:
    if not plan.groups:
        return []
    conditions = [match_source(group.patterns, name="name", is_flat="param.ndim <= 1") for group, _ in plan.groups]
    name_of = [
        "def name_of(path):",
        *docstring('Return a parameter\'s name, "dense1.weight", whatever its last part is called.', depth=1),
        '    words = {"kernel": "weight", "scale": "weight"}',
        '    keys = [str(getattr(key, "key", getattr(key, "name", key))) for key in path]',
        '    return ".".join([*keys[:-1], words.get(keys[-1], keys[-1])])',
    ]
    if masked:
        condition = " or ".join(conditions)
        body = [
            "def is_decayed(params):",
            '    """Return for each parameter whether it is decayed."""',
            "",
            "    def decide(path, param):",
            "        name = name_of(path)" if "name" in condition.replace("param.ndim", "") else "",
            statement(f"        return {_opposite(condition)}"),
            "",
            "    return jax.tree_util.tree_map_with_path(decide, params)",
        ]
        return [name_of, body]
    body = [
        "def group_of(params):",
        '    """Return for each parameter the name of its group."""',
        "",
        "    def decide(path, param):",
    ]
    body += ["        name = name_of(path)"]
    for number, condition in enumerate(conditions, start=1):
        body += [statement(f"        if {condition}:"), f'            return "group_{number}"']
    body += ['        return "others"', "", "    return jax.tree_util.tree_map_with_path(decide, params)"]
    return [name_of, body]


def _make_optimizer(plan: Plan, chains: list[list[str]], program: _Program) -> list[str]:
    lines = ["def make_optimizer():", '    """Return the optimizer as a gradient transformation."""']
    for remark in dict.fromkeys(program.remarks):
        lines += comment(remark, 1)
    before = ["optax.clip_by_global_norm(CLIP_NORM)"] if plan.recipe.train.clip_norm else []
    if len(chains) == 1:
        links = [*before, *chains[0]]
        if len(links) == 1:
            return [*lines, *_returned(links[0])]
        return [*lines, *call("optax.chain", links, before="return ", depth=1)]
    names = [*(f"group_{number}" for number in range(1, len(chains))), "others"]
    lines += ["    groups = {"]
    for name, links in zip(names, chains, strict=True):
        before_it = f'"{name}": '
        made = [f"        {before_it}{links[0]}"] if len(links) == 1 else []
        made = made or short_call("optax.chain", links, before=before_it, depth=2)
        lines += [*made[:-1], f"{made[-1]},"]
    lines += ["    }"]
    if not before:
        return [*lines, "    return optax.partition(groups, group_of)"]
    return [*lines, *call("optax.chain", [*before, "optax.partition(groups, group_of)"], before="return ", depth=1)]


def _returned(link: str) -> list[str]:
    first, *rest = link.splitlines()
    return [f"    return {first}", *(f"    {line}" for line in rest)]


def _make_train_step() -> list[str]:
    return [
        "def make_train_step(optimizer, loss_function):",
        *docstring(
            "Return one step of training, compiled.",
            "`loss_function(params, inputs, targets)` returns the loss of one batch.",
            depth=1,
        ),
        "",
        "    @jax.jit",
        "    def train_step(params, state, inputs, targets):",
        "        grads = jax.grad(loss_function)(params, inputs, targets)",
        "        updates, state = optimizer.update(grads, state, params)",
        "        return optax.apply_updates(params, updates), state",
        "",
        "    return train_step",
    ]


def _repeated() -> list[str]:
    return [
        "def repeated(batches):",
        '    """Yield the batches of one epoch after another, without end."""',
        "    while True:",
        "        yield from batches",
    ]


def _train(plan: Plan) -> list[str]:
    lines = ["def train(params, batches, loss_function):"]
    lines += docstring(
        "Return the trained parameters.", "Going through `batches` once is an epoch of (inputs, targets).", depth=1
    )
    lines += [f"    {line}" for line in python_source.not_exported(plan)]
    lines += [
        "    optimizer = make_optimizer()",
        "    state = optimizer.init(params)",
        "    train_step = make_train_step(optimizer, loss_function)",
    ]
    step = "params, state = train_step(params, state, inputs, targets)"
    if python_source.by_epochs(plan):
        lines += ["    for _ in range(EPOCHS):", "        for inputs, targets in batches:", f"            {step}"]
    else:
        lines += ["    for _, (inputs, targets) in zip(range(STEPS), repeated(batches)):", f"        {step}"]
    return [*lines, "    return params"]
