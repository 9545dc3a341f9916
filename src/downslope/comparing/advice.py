"""What would make two rules equal that part.

For either side, one complete list of arguments with which it is the same rule as the other: every argument that differs
from its system's default, and those of the side that have to return to theirs. Each list is read back by the reader of
what people write, and compared, before it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import combinations
from typing import Any, Literal

from downslope.comparing.sides import Side
from downslope.core.equivalence import Parting, find_parting
from downslope.core.errors import DownslopeError, RecipeError, SettingsError
from downslope.core.schedules.schedule import Schedule, constant_value
from downslope.core.settings import SAYING_NONE, Decay, Settings, is_zero
from downslope.core.tables import toml_line
from downslope.exporting.same_rule import without_dampening
from downslope.recipe.load import parse_recipe, to_toml
from downslope.systems.calls import find_call
from downslope.systems.convention import Convention
from downslope.systems.from_system import settings_from_convention
from downslope.systems.table import find_convention
from downslope.systems.to_system import ConventionArguments, arguments_for_convention
from downslope.theory.forgetting import decoupled_equivalent, memory


@dataclass(frozen=True)
class Advice:
    """How one side is written so that it is the same rule as the other, or as near as it comes.

    Attributes:
        side: "a" or "b": the side that is written anew.
        text: What to write in its place, complete: an argument list that `compare` reads, or for a recipe, a sentence
            or settings the fields of their table; "" where nothing comes near.
        same: Whether it then is the same rule.
        first_step: Where it is not, the first step after which the parameters differ.
        why: Where it is not, the reason.
        where: What is written elsewhere than with the optimizer, sentences.
        changes: Where it is little, what changes: "use ..., not ...".
        decay_is: Where it is not, what became of weight decay: "said", of the "other kind", coupled or not, with the
            number that forgets as fast in the long run, or "left out".
    """

    side: str
    text: str
    same: bool
    first_step: int | None = None
    why: str = ""
    where: tuple[str, ...] = ()
    changes: str = ""
    decay_is: Literal["said", "other kind", "left out"] = "said"


def advise(a: Side, b: Side, last: int) -> tuple[Advice, ...]:
    """Return how B is written to be A's rule, and how A is written to be B's, looking up to and with a step."""
    return _written_as("b", b, a, last), _written_as("a", a, b, last)


def sentences(a: Side, b: Side, given: tuple[Advice, ...]) -> tuple[str, ...]:
    """Return what `advise` returned for two sides as sentences, and what else helps."""
    found: list[str] = []
    for advice in given:
        changed, like = (b, a) if advice.side == "b" else (a, b)
        which, other = advice.side.upper(), "A" if advice.side == "b" else "B"
        verb = "set" if not changed.convention else "write"
        where = f" ({'; '.join(advice.where)})" if advice.where else ""
        if advice.same:
            short = f" (that is, {advice.changes})" if advice.changes else ""
            found.append(f"to make {which} the same rule as {other}, {verb} {advice.text}{short}{where}")
            continue
        whose = find_convention(changed.convention).title if changed.convention else which
        found.append(f"{whose} alone cannot be made the same rule as {other}: {advice.why}")
        if advice.text and advice.decay_is == "other kind":
            found.append(
                f"nearest in the long run comes {advice.text}{where}: its weight decay pulls as much, but goes another "
                f"way, and the two part at step {advice.first_step}"
            )
        elif advice.text and advice.decay_is == "left out":
            found.append(
                f"nearest but for weight decay, which is left out, comes {advice.text}{where}: the two part at step "
                f"{advice.first_step}"
            )
        elif advice.text:
            at = "" if advice.first_step is None else f": even then the two part at step {advice.first_step}"
            found.append(f"nearest comes {advice.text}{where}{at}")
        if _only_lr_moves_in(changed, like):
            found.append(
                f"lr stands inside the velocity in {whose} and changes: to follow {other}, multiply its velocity by "
                "lr_new / lr_old at each change"
            )
        if changed.convention in {"torch", "keras", "optax"}:
            found.append(
                f"`downslope export RECIPE --to {changed.convention}` writes code that is the same at every step"
            )
    if {a.settings.decay == "coupled", b.settings.decay == "coupled"} == {True, False}:
        found += _pulls_like(a.settings, b.settings.decay)
    return tuple(dict.fromkeys(found))


def _only_lr_moves_in(changed: Side, like: Side) -> bool:
    """Whether a system has lr inside the velocity, the other side outside, and its lr changes, by which they part."""
    inside = changed.convention and find_convention(changed.convention).lr_in_velocity
    moves = constant_value(like.settings.lr) is None or _has_plateau(like)
    return bool(inside) and moves and not like.settings.lr_in_velocity and not is_zero(like.settings.momentum)


def _has_plateau(side: Side) -> bool:
    return side.recipe is not None and side.recipe.train.plateau is not None


def _written_as(name: str, side: Side, like: Side, last: int) -> Advice:
    """Return how a side is written to be the rule of another."""
    if not side.convention:
        return _in_fields(name, side, like, last)
    row = find_convention(side.convention)
    size = side.arguments.get("batch_size", like.arguments.get("batch_size"))
    size = size if isinstance(size, int) and not isinstance(size, bool) else None
    why, nearest, given_up = "", None, 0
    for count, target in _ever_less_alike(like.settings, row):
        if nearest is not None and count > given_up:
            break  # what gives up less is nearer
        given_up = count
        try:
            arguments = arguments_for_convention(target, row.name, batch_size=size)
        except DownslopeError as error:
            why = why or str(error)
            continue
        text = write_call(row, arguments, side.arguments)
        parting = _parting_of(text, like.settings, last)
        if parting is None:
            continue
        if parting.step is None:
            found = _checked_groups(name, like, text, _where(text, arguments))
            return replace(found, changes=_changes(row, arguments, side.arguments))
        if nearest is None or (parting.step, parting.only_first) > (nearest[1].step or 0, nearest[1].only_first):
            nearest = (text, parting, _where(text, arguments), target)
    why = why or f"{row.name} has no argument for what they differ in"
    if nearest is None:
        return Advice(name, "", same=False, why=why)
    text, parting, where, target = nearest
    if like.groups:
        why = f"{why.rstrip('.')}; nor has an argument list groups"
    decay_is = _decay_of(target, like.settings)
    return Advice(name, text, same=False, first_step=parting.step, why=why, where=where, decay_is=decay_is)


def _decay_of(target: Settings, like: Settings) -> Literal["said", "other kind", "left out"]:
    """Return what became of the weight decay of settings in others that gave up something."""
    if is_zero(like.weight_decay):
        return "said"
    if is_zero(target.weight_decay):
        return "left out"
    return "said" if (target.decay == "coupled") == (like.decay == "coupled") else "other kind"


def _parting_of(text: str, settings: Settings, last: int) -> Parting | None:
    """Return where what a text says parts from settings; None where it cannot be read."""
    try:
        call = find_call(text)
        return None if call is None else find_parting(settings, settings_from_convention(*call[:2]), last)
    except DownslopeError:
        return None


def _checked_groups(name: str, like: Side, text: str, where: tuple[str, ...]) -> Advice:
    if not like.groups:
        return Advice(name, text, same=True, where=where)
    matched = ", ".join(str(group.match) for group in like.groups)
    why = f"an argument list has no groups, and the other has some ({matched}); give them to the optimizer in code"
    return Advice(name, text, same=False, why=why, where=where)


def _ever_less_alike(settings: Settings, row: Convention) -> Iterator[tuple[int, Settings]]:
    """Yield (how much is given up, settings that a system may be able to say), beginning with the rule itself."""
    yielded: list[Settings] = []
    for base in _in_other_words(settings):
        yielded.append(base)
        yield 0, base
    ways = list(_ways_out(settings, row))
    for count in range(1, len(ways) + 1):
        for chosen in combinations(ways, count):
            target = settings
            try:
                for change in chosen:
                    target = replace(target, **change)
            except SettingsError:
                continue
            for said in _in_other_words(target):
                if said not in yielded:
                    yielded.append(said)
                    yield count, said


def _in_other_words(settings: Settings) -> Iterator[Settings]:
    """Yield the settings, and the same rule in other words."""
    yield settings
    if (moved := without_dampening(settings)) != settings:  # an lr 1 - dampening times as large does the same
        yield moved


def _ways_out(  # noqa: C901 -- one branch for each thing that may be given up
    settings: Settings, row: Convention
) -> Iterator[dict[str, Any]]:
    """Yield what may be given up for a system that cannot say it, the least first."""
    if settings.dampening:
        yield {"undampened_first_step": not settings.undampened_first_step}
    if settings.lr_in_velocity != row.lr_in_velocity:
        yield {"lr_in_velocity": row.lr_in_velocity}
    decay: Decay = "coupled" if settings.decay != "coupled" else "decoupled"
    pulling = None if is_zero(settings.weight_decay) else pulls_like(settings, decay)
    if pulling is not None:
        yield {"decay": decay, "weight_decay": pulling}
    for name in ("weight_decay", "momentum", "lr"):
        value = getattr(settings, name)
        if isinstance(value, Schedule):
            yield {name: value(0)}
    if settings.dampening and not settings.nesterov and settings.nu is None and not isinstance(settings.lr, Schedule):
        yield {"dampening": 0.0, "lr": settings.lr * (1 - settings.dampening)}
    if settings.maximize:
        yield {"maximize": False}
    if settings.dampening:
        yield {"dampening": 0.0}
    if settings.nesterov:
        yield {"nesterov": False}
    if settings.nu is not None:
        yield {"nu": None}
    if not is_zero(settings.weight_decay):
        yield {"weight_decay": 0.0, "decay": "coupled"}


def pulls_like(settings: Settings, decay: Decay) -> float | None:
    """Return the weight decay of another kind that forgets as fast in the long run; None where none does.

    Args:
        settings: The settings, of constant numbers; lr may change where both kinds multiply by it.
        decay: The other kind: coupled where theirs is not, and any but coupled where theirs is. "relative" and
            "corrected" divide by the settings' own lr, which is the initial and the largest one.

    Example:
        >>> coupled = Settings(lr=0.01, momentum=0.9, weight_decay=1e-4)
        >>> pulls_like(coupled, "decoupled"), pulls_like(coupled, "independent")
        (0.001, 1e-05)
    """
    if isinstance(settings.momentum, Schedule) or isinstance(settings.weight_decay, Schedule):
        return None
    if is_zero(settings.momentum) or is_zero(settings.weight_decay):
        return None
    if isinstance(settings.lr, Schedule) and not {settings.decay, decay} <= _TIMES_LR:
        return None
    largest = settings.lr_max  # where a step forgets most, and closed forms hold least
    if not 0 < largest < math.inf or (decay == "relative" and not settings.lr_initial):
        return None
    now = settings.scalars_from(
        lr=largest, momentum=settings.momentum, weight_decay=settings.weight_decay, dampening=settings.dampening
    )
    found = memory(now)
    factor = decoupled_equivalent(1.0, now.momentum, now.dampening, nesterov=now.nesterov, nu=now.nu)
    if not (found.way == "fades" and found.closed and factor):
        return None
    # What each number of a kind takes away in a step is said in one place, `Settings.scalars_from`.
    other = replace(settings, decay=decay, weight_decay=1.0)
    of_one = other.scalars_from(lr=largest, momentum=other.momentum, weight_decay=1.0, dampening=other.dampening)
    if decay == "coupled":
        like = now.decoupled_decay / largest / factor
    else:
        like = now.coupled_decay * factor * largest / of_one.decoupled_decay
    return float(f"{like:.12g}")


_TIMES_LR = frozenset({"coupled", "decoupled", "relative"})
"""Kinds of decay that take away in proportion to lr."""


def _pulls_like(a: Settings, decay: Decay) -> list[str]:
    """Return what of B's kind of decay comes nearest in the long run, where it is coupled on one side alone."""
    if is_zero(a.weight_decay) or is_zero(a.momentum):
        return []
    like = pulls_like(a, decay)
    if like is None:
        return []
    other = a.decay if decay == "coupled" else decay
    coupled = "weight_decay_coupled * lr" if other in {"independent", "relative"} else "weight_decay_coupled"
    over = "1 - momentum" if not a.dampening else "1 - momentum, times what dampening leaves of it"
    sentence = (
        f"coupled decay goes through momentum, {other} decay does not, so no number makes them equal; with a constant "
        f"lr, in the long run, {a.decay} {a.weight_decay!r} pulls like {decay} {like!r} "
        f"(weight_decay_{other} = {coupled} / ({over}))"
    )
    if a.dampening or a.nu is not None:
        now = a.at(0)
        factor = decoupled_equivalent(1.0, now.momentum, now.dampening, nesterov=now.nesterov, nu=now.nu)
        passed = "1 - momentum dampening" if a.nesterov else "1 - dampening"
        if a.nu is not None:
            passed = "(1 - nu) (1 - momentum) + nu (1 - dampening)"
        sentence = sentence.replace(
            f"{coupled} / ({over})",
            f"{coupled} ({passed}) / (1 - momentum): {factor:.6g} times",
        )
    return [sentence]


def write_call(row: Convention, arguments: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Return a complete argument list as text that `find_call` reads.

    Args:
        row: The system.
        arguments: What differs from its defaults.
        given: The arguments of the side that is written anew: of these, what is not among `arguments` is written with
            its default, so that nothing of it is left over.

    Example:
        >>> write_call(find_convention("torch"), {"lr": 0.1, "momentum": 0.9}, {"lr": 1.0, "dampening": 0.9})
        'torch: SGD(lr=0.1, momentum=0.9, dampening=0.0)'
    """
    back = {
        argument.name: argument.default
        for argument in row.arguments
        if argument.name not in arguments
        and argument.default is not None  # what has no default is as good as its default where it is not written
        and not argument.required
        and any(argument.name == name or row.argument(name) == argument for name in given)
    }
    called = row.title.partition("(")[0].rpartition(".")[2]
    if "opt" in arguments:
        called = "create_optimizer_v2"
    elif not called.isidentifier():
        called = "SGD"
    complete = {**arguments, **back}
    chained = row.name == "optax" and complete.get("weight_decay") and not complete.get("decay_after_trace")
    if chained:
        decay = complete.pop("weight_decay")
        complete.pop("decay_after_trace", None)
        listed = ", ".join(f"{name}={_written(name, value)}" for name, value in complete.items())
        return f"optax.chain(optax.add_decayed_weights({decay!r}), optax.sgd({listed}))"
    listed = ", ".join(f"{name}={_written(name, value)}" for name, value in complete.items())
    return f"{row.name}: {called}({listed})"


_LITTLE = 2
"""Up to how many arguments a change is told by itself too."""


def _changes(row: Convention, arguments: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Return what changes of the given arguments, "use ..., not ..."; "" where it is much, or only added."""
    before = {found.name if (found := row.argument(name)) else name: value for name, value in given.items()}
    new = {name: value for name, value in arguments.items() if before.get(name) != value}
    old = {name: value for name, value in before.items() if name in new or name not in arguments}
    if not new or not old or len(new) > _LITTLE or len(old) > _LITTLE:
        return ""
    listed = [", ".join(f"{name}={_written(name, value)}" for name, value in part.items()) for part in (new, old)]
    return f"use {listed[0]}, not {listed[1]}"


def _written(name: str, value: Any) -> str:
    if isinstance(value, Schedule):
        shown = ", ".join(f"{one.name}={_written('', getattr(value, one.name))}" for one in fields(value))  # type: ignore[arg-type]
        return f"{type(value).__name__}({shown})"
    if isinstance(value, tuple | list):
        inner = ", ".join(_written("", one) for one in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return f"L2({value!r})" if name == "kernel_regularizer" and value is not None else repr(value)


def _where(text: str, arguments: ConventionArguments) -> tuple[str, ...]:
    """Return what is written elsewhere than with the optimizer, and does not stand in the text itself."""
    return () if text.startswith("optax.chain") else tuple(arguments.elsewhere.values())


_ADVICE = "the advice"


def _in_fields(name: str, side: Side, like: Side, last: int) -> Advice:
    """Return the fields with which settings, a recipe or a sentence are the rule of another: it can say any."""
    default = Settings()
    before, after = side.settings, like.settings
    named = [
        one.name
        for one in fields(Settings)
        if getattr(after, one.name) != getattr(default, one.name)
        or getattr(before, one.name) != getattr(after, one.name)
    ]
    named = named if "lr" in named else ["lr", *named]
    written = {field: getattr(after, field) for field in named}
    values = {f"sgd.{x}": toml_line(SAYING_NONE[x] if value is None else value) for x, value in written.items()}
    groups = like.groups != side.groups
    if side.recipe is None:
        if groups and like.groups:
            return _checked_groups(name, like, _settings_text(after, named), ())
        return Advice(name, _settings_text(after, named), same=True)
    if groups:
        values["groups"] = toml_line(like.groups)
    text = ", ".join(f"{path} = {value}" for path, value in values.items())
    try:
        again = parse_recipe(to_toml(side.recipe), _ADVICE, tuple(values.items()))
    except RecipeError as error:  # such as of a recipe whose lr a plateau moves, beside one with a schedule
        return Advice(name, "", same=False, why=str(error).removeprefix(f"{_ADVICE}: "))
    pairs = [(again.sgd, like.settings)]
    pairs += [(x.apply(again.sgd), y.apply(like.settings)) for x, y in zip(again.groups, like.groups, strict=False)]
    parted = [found.step for x, y in pairs if (found := find_parting(x, y, last)).step is not None]
    if parted:
        return Advice(name, text, same=False, first_step=min(parted), why="its fields cannot be written as TOML")
    return Advice(name, text, same=True)


def _settings_text(settings: Settings, named: list[str]) -> str:
    listed = ", ".join(f"{name}={_written(name, getattr(settings, name))}" for name in named)
    return f"downslope: Settings({listed})"
