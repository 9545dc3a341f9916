"""JAX: a chain of optax's transformations, which can express every rule but two forms of momentum."""

from __future__ import annotations

from dataclasses import replace

from downslope.core import schedules as s
from downslope.core.errors import ExportError
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.exporting.export_plan import Definition, Plan
from downslope.exporting.python_source import WIDTH, listed, match_source, nested
from downslope.exporting.same_rule import changes_with_time, in_simplest_decay
from downslope.exporting.schedule_source import JAX_WORDS, has_staircase, is_countable, stays_real, where_pieces
from downslope.exporting.template import write


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
        if form.nu is not None:
            raise ExportError(
                "optax has no quasi-hyperbolic momentum. Leave sgd.nu out, which is another rule, or export to torch, "
                "which writes the step out, or to downslope. In optax it takes a transformation of your own."
            )
        if form.trust_clip:
            raise ExportError(
                "optax: sgd.trust_clip bounds the trust ratio by 1 / lr (LARC), and optax.scale_by_trust_ratio has no "
                "bound. Export to timm or downslope, or leave it out."
            )
    masked = _is_mask(forms)
    chains = [_chain(program, form, mask=masked) for form in (forms[-1:] if masked else forms)]
    conditions = [match_source(group.patterns, is_flat="param.ndim <= 1") for group, _ in plan.groups]
    names = [f"group_{number}" for number in range(1, len(forms))]
    by_group = zip([*names, "others"], chains, map(_joined, chains), strict=True) if len(chains) > 1 else ()
    plan.check_length()
    layers = [f'"{layer.name}": ({layer.inputs}, {layer.outputs})' for layer in plan.layers]
    return write(
        "optax.py.txt",
        plan,
        "JAX and optax",
        where="jnp.where",
        schedules=[
            (one, name.replace("_", " "), has_staircase(schedule)) for (name, schedule), one in program.defined.items()
        ],
        is_decayed=_opposite(" or ".join(conditions)) if masked else "",
        groups=list(zip(conditions, names, strict=True)),
        remarks=list(dict.fromkeys(program.remarks)),
        chains=list(by_group),
        is_chain=len(chains[0]) > 1 or plan.recipe.train.clip_norm is not None,
        links=chains[0],
        layers=listed(layers, brackets="{}", room=WIDTH - len("LAYERS = ")),
    )


def _joined(links: list[str]) -> str:
    """Return several links as the arguments of optax.chain; "" for a single one."""
    if len(links) == 1:
        return ""
    return "\n".join(f"{link}," for link in links) if any("\n" in link for link in links) else ", ".join(links)


# Chains


class _Program:
    """The schedules and remarks of a program, as they are found to be needed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.defined: dict[tuple[str, Schedule], Definition] = {}
        self.remarks: list[str] = []

    def value(self, name: str, value: float | Schedule) -> str:
        """Return the source of a number or, defined above, of a schedule."""
        if not isinstance(value, Schedule):
            return repr(value)
        if (name, value) not in self.defined:
            taken = sum(one == name for one, _ in self.defined)
            unique = f"{name}_{taken + 1}" if taken else name
            self.defined[name, value] = _definition(unique, value, self.plan)
        return self.defined[name, value].name


def _is_mask(forms: list[Settings]) -> bool:
    """Return whether all that groups change is that some parameters are not decayed."""
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
    links += _on_the_gradient(program, form, masked, decays=decayed and form.decay == "coupled")
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
        momentum = [] if still else [f"momentum={form.momentum!r}"]
        nesterov = ["nesterov=True"] if form.nesterov and not still else []
        links.append(nested("optax.sgd", [lr, *momentum, *nesterov]))
    if decayed and form.decay != "coupled":
        links.append(nested("optax.add_decayed_weights", [_after(program, form), *masked]))
        program.remarks.append(
            f"{form.decay.capitalize()} weight decay comes last, with a minus sign, since nothing scales it any more."
        )
    return links


def _on_the_gradient(program: _Program, form: Settings, masked: list[str], *, decays: bool) -> list[str]:
    """Return what changes the gradient before momentum: clipping, coupled decay, a trust ratio."""
    links: list[str] = []
    if form.adaptive_clip is not None:
        links.append(f"optax.adaptive_grad_clip({form.adaptive_clip!r})")
        program.remarks.append("Adaptive clipping is of each unit: the weights of one output, which is the last axis.")
    if decays:
        links.append(nested("optax.add_decayed_weights", [program.value("weight_decay", form.weight_decay), *masked]))
        program.remarks.append("Weight decay stands before momentum, as in PyTorch: it goes through the velocity.")
    if form.trust_coefficient is not None:
        links.append(f"optax.scale_by_trust_ratio(trust_coefficient={form.trust_coefficient!r})")
        if decays:
            program.remarks.append(
                "The trust ratio divides by the norm of grad + weight_decay * param, as in optax.lars; the recipe's by "
                "the sum of both norms, which is never less: here the ratio is the larger one. Where grad alone is 0, "
                "the recipe's ratio is 1."
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


def _opposite(condition: str) -> str:
    """Return the source of the opposite of a condition."""
    is_one = " or " not in condition and condition.startswith("name == ")
    return condition.replace("==", "!=", 1) if is_one else f"not ({condition})"


# Schedules


def _definition(name: str, schedule: Schedule, plan: Plan) -> Definition:
    """Return how a schedule, in steps, is defined under a name: "learning_rate", "momentum_2", ..."""
    given = plan.recipe.sgd.lr if name == "learning_rate" else getattr(plan.recipe.sgd, name, None)
    remarks = plan.counted_remarks(given)
    own = _own(schedule)
    if own is not None:
        return Definition(name, *own, remarks)
    return Definition(name, "", [], remarks, *where_pieces(schedule, JAX_WORDS))


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
        top = schedule.then(0)
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
