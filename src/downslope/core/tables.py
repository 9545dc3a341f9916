"""Frozen dataclasses as plain tables of TOML or JSON, and back, strictly: every key known, every value of its type.

The types come from the dataclasses themselves, so that a new field needs nothing here. Leaves are checked by msgspec;
tables, schedules and the words of every message are ours, since a message must name the file, the table, the key and
the nearest right key.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from downslope.core.errors import DownslopeError, RecipeError, did_you_mean, one_of
from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules import SCHEDULES, Schedule
from downslope.core.settings import Settings
from downslope.core.shown import shown

_KINDS: Mapping[Any, str] = {
    float: "a number",
    int: "an integer",
    bool: "true or false",
    str: "a string",
    types.NoneType: "",
}


def to_table(value: Any) -> Any:
    """Return a dataclass or schedule as plain dicts, lists and numbers, without what is None."""
    if is_dataclass(value) and not isinstance(value, type):
        table = {
            field.name: to_table(item) for field in fields(value) if (item := getattr(value, field.name)) is not None
        }
        return {"schedule": value.name, **table} if isinstance(value, Schedule) else table
    if isinstance(value, Mapping):
        return {key: to_table(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, tuple | list):
        return [to_table(item) for item in cast("list[Any]", value)]
    return value


def to_json(value: Any) -> Any:
    """Return it as `to_table` does, with None, and as JSON can hold it: inf and NaN are words, and all text Unicode."""
    if isinstance(value, Schedule):
        return to_table(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in cast("list[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def toml_line(value: Any) -> str:
    """Return a value as TOML on one line.

    Args:
        value: A number, word or flag; a table, schedule or other dataclass, whose keys are plain words; or a list.

    Example:
        >>> toml_line({"lr": 0.1, "nesterov": True})
        '{ lr = 0.1, nesterov = true }'
    """
    if is_dataclass(value):
        value = to_table(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        table = cast("Mapping[str, Any]", value)
        if not table:
            return "{}"
        return "{ " + ", ".join(f"{key} = {toml_line(item)}" for key, item in table.items()) + " }"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_line, cast('list[Any]', value)))}]"
    return str(value)


@dataclass(frozen=True)
class Source:
    """Where a table came from, for messages.

    Attributes:
        file: What to call the file.
        overrides: Dotted paths set on the command line.
        whole: The dataclass of the whole file, whose tables a key may belong to that is in another one; None where
            there is no such thing.
    """

    file: str
    overrides: tuple[str, ...] = ()
    whole: Any = None

    def sets(self, path: tuple[str, ...]) -> bool:
        """Return whether an override set exactly this path."""
        return ".".join(path) in self.overrides

    def place(self, path: tuple[str, ...], key: str | None = None) -> str:
        """Return "recipe.toml, [sgd]", or "command line, --sgd.lr" where an override set that key."""
        whole = (*path, key) if key is not None else path
        for override in self.overrides:
            parts = tuple(override.split("."))
            if parts == whole[: len(parts)] or (whole == parts[: len(whole)] and key is not None):
                return f"command line, --{shown(override)}"
        return f"{self.file}, [{shown('.'.join(path))}]" if path else self.file


def decode(kind: Any, table: Any, source: Source, path: tuple[str, ...] = ()) -> Any:
    """Return the dataclass `kind` made from a table.

    Args:
        kind: A dataclass whose fields are leaves, dataclasses, schedules, or tuples of these. It may have two
            attributes of its class: `NAMED`, fields for which a plain string stands for the table with this `name`
            alone; and `LEAST`, by field, the lines that a message proposes where the table is missing.
        table: The table.
        source: For messages.
        path: The table's own path.

    Raises:
        RecipeError: If a key is unknown or missing, or a value is of the wrong type or not allowed.
    """
    if not isinstance(table, dict):
        raise RecipeError(
            f"{source.place(path[:-1], path[-1])}: `{'.'.join(path)}` must be a table; got {shown(repr(table))}."
        )
    table = expand_names(kind, cast("dict[str, Any]", table))
    if kind is Settings:
        kind, table = _method(table, source, path)
    known = {field.name: field for field in fields(kind)}
    for key in table:
        if key not in known:
            raise RecipeError(_of_unknown_key(kind, known, source, path, key))
    hints = _hints(kind)
    values = {key: _value(hints[key], value, source, path, key) for key, value in table.items()}
    for name, field in known.items():
        # lr has a default in Python, but nobody is to train by it unawares
        required = field.default is MISSING and field.default_factory is MISSING
        if name not in table and (required or (issubclass(kind, Settings) and name == "lr")):
            what = "table" if is_dataclass(hints[name]) else "key"
            raise RecipeError(_of_missing_key(kind, what, table, source, (*path, name)))
    try:
        return kind(**values)
    except DownslopeError as error:
        blamed = next((key for key in values if f"`{key}`" in str(error)), None)
        raise RecipeError(f"{source.place(path, blamed)}: {error}") from None


def decode_schedule(table: Mapping[str, Any], source: Source, path: tuple[str, ...]) -> Schedule:
    """Return the schedule of a table such as ``{"schedule": "cosine", "initial": 0.1, ...}``.

    Raises:
        RecipeError: If it is no schedule.
    """
    return _schedule(dict(table), source, path[:-1], path[-1])


def expand_names(kind: Any, table: dict[str, Any]) -> dict[str, Any]:
    """Return a table of `kind` with a plain string for a field in `kind.NAMED` written out as a table with that name.

    Example:
        >>> from downslope import Recipe
        >>> expand_names(Recipe, {"model": "my_task:build", "seed": 1})
        {'model': {'name': 'my_task:build'}, 'seed': 1}
    """
    named: tuple[str, ...] = getattr(kind, "NAMED", ())
    return {key: {"name": value} if key in named and isinstance(value, str) else value for key, value in table.items()}


def _method(table: dict[str, Any], source: Source, path: tuple[str, ...]) -> tuple[type[Settings], dict[str, Any]]:
    """Return the settings that a table of the optimizer is of, those of SGD or of a relative, and the table for them.

    Raises:
        RecipeError: If it has a setting of the relative without its name.
    """
    switch = table.get("schedule_free", False)
    if not isinstance(switch, bool):
        raise RecipeError(
            f"{source.place(path, 'schedule_free')}: `schedule_free` must be true or false; got {shown(repr(switch))}."
        )
    if switch:
        return ScheduleFree, table
    own = next((key for key in OF_SCHEDULE_FREE if key in table), None)
    if own is not None:
        raise RecipeError(
            f"{source.place(path, own)}: `{own}` belongs to schedule-free SGD. Give schedule_free = true beside it, or "
            "remove it."
        )
    return Settings, {key: value for key, value in table.items() if key != "schedule_free"}


OF_SCHEDULE_FREE = ("warmup_steps", "r", "weight_lr_power")
"""Keys that settings have with `schedule_free` alone."""


def _value(hint: Any, value: Any, source: Source, path: tuple[str, ...], key: str) -> Any:
    alternatives: tuple[Any, ...] = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for kind in alternatives:
        if is_dataclass(kind):
            return _table(kind, value, source, path, key)
        item_kind: Any = get_args(kind)[0] if get_origin(kind) is tuple else None
        if item_kind is not None and is_dataclass(item_kind):
            if not isinstance(value, list):
                brackets = f" Write [[{key}]], with two brackets." if isinstance(value, dict) else ""
                got = shown(f"{value!r}")
                raise RecipeError(f"{source.place(path, key)}: `{key}` must be a list; got {got}.{brackets}")
            items = cast("list[Any]", value)
            return tuple(_table(item_kind, item, source, (*path, key), str(i)) for i, item in enumerate(items))
    return _leaf(hint, alternatives, value, source, path, key)


def _table(kind: Any, value: Any, source: Source, path: tuple[str, ...], key: str) -> Any:
    if kind is not Schedule:
        return decode(kind, value, source, (*path, key))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else _schedule(value, source, path, key)


def _schedule(value: Any, source: Source, path: tuple[str, ...], key: str) -> Any:
    if not isinstance(value, dict) or "schedule" not in value:
        label = f"{path[-1]}.{key}" if key.isdecimal() else key
        raise RecipeError(
            f"{source.place(path, key)}: `{label}` must be a number or a schedule such as "
            f'{{ schedule = "cosine", initial = 0.1, final = 0.0, duration = 20, unit = "epoch" }}; '
            f"got {shown(f'{value!r}')}."
        )
    table = cast("dict[str, Any]", value)
    name = table["schedule"]
    if not isinstance(name, str) or name not in SCHEDULES:
        raise RecipeError(
            f"{source.place((*path, key), 'schedule')}: unknown schedule {shown(repr(name))}."
            f"{did_you_mean(str(name), SCHEDULES)} Use {one_of(SCHEDULES)}."
        )
    rest = {field: item for field, item in table.items() if field != "schedule"}
    return decode(SCHEDULES[name], rest, source, (*path, key))


def _leaf(hint: Any, alternatives: tuple[Any, ...], value: Any, source: Source, path: tuple[str, ...], key: str) -> Any:
    import msgspec  # deferred: the frameworks' optimizers import this file, and seldom decode

    try:
        converted: Any = msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:
        wanted = " or ".join(text for kind in alternatives if (text := _describe(kind)))
        words = [word for kind in alternatives if get_origin(kind) is Literal for word in get_args(kind)]
        raise RecipeError(
            f"{source.place(path, key)}: `{key}` must be {wanted}; got {shown(repr(value))}."
            f"{did_you_mean(str(value), words)}"
        ) from None
    # TOML promises 64 bits, and torch counts in no more.
    items: tuple[Any, ...] = cast("Any", converted) if isinstance(converted, tuple) else (converted,)
    for item in items:
        if isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise RecipeError(
                f"{source.place(path, key)}: `{key}` must be an integer below 2**63, as TOML's all are; got {item}."
            )
    return cast("Any", converted)


def _describe(kind: Any) -> str:
    if kind in _KINDS:
        return _KINDS[kind]
    if get_origin(kind) is Literal:
        return one_of(get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list in which each is {_describe(get_args(kind)[0])}"
    return "a table"


def _of_unknown_key(kind: Any, known: Mapping[str, Field[Any]], source: Source, path: tuple[str, ...], key: str) -> str:
    is_schedule = issubclass(kind, Schedule)
    if is_schedule and source.sets((*path, "schedule")) and not source.sets((*path, key)):
        # --sgd.lr.schedule turned the file's table into one of another schedule
        whole = ".".join(path)
        needed = ", ".join(f"{name} = ..." for name, field in known.items() if field.default is MISSING)
        return (
            f"command line, --{whole}.schedule: the table `{whole}` in {source.file} belongs to another schedule: "
            f"`{kind.name}` has no `{key}`. Set the whole of it: "
            f"--{whole} '{{ schedule = \"{kind.name}\", {needed} }}'."
        )
    what = f" of the schedule `{kind.name}`" if is_schedule else ""
    hint = "" if is_schedule or source.whole is None else _where_it_belongs(source.whole, key)
    return (
        f"{source.place(path, key)}: unknown key `{shown(key)}`{what}.{hint or did_you_mean(key, known)} "
        f"Allowed here: {', '.join(known)}."
    )


_MOST_HOMES = 2
"""Tables that have a key, above which naming them says nothing."""


def _where_it_belongs(whole: type, key: str) -> str:
    """Return " It belongs in `[train]`." for a key that other tables of the file have, or ""."""
    hints = _hints(whole)
    if key in hints and _table_of(hints[key]) is None:
        return " It belongs at the top, before every table."
    homes = [key] if key in hints else _homes(hints, key)
    lists = {name for name, hint in hints.items() if get_origin(hint) is tuple}
    homes = homes or [name for name in lists if key in _hints(_table_of(hints[name]))]
    headers = [f"[[{home}]]" if home in lists else f"[{home}]" for home in homes]
    return f" It belongs in {one_of(headers)}." if 0 < len(homes) <= _MOST_HOMES else ""


def _homes(hints: Mapping[str, Any], key: str, path: str = "") -> list[str]:
    """Return the tables, in tables of these too, that have a key; not those that are in lists."""
    found = list[str]()
    for name, hint in hints.items():
        inner = None if get_origin(hint) is tuple else _table_of(hint)
        if inner is not None:
            found += [f"{path}{name}"] * (key in _hints(inner))
            found += _homes(_hints(inner), key, f"{path}{name}.")
    return found


def _table_of(hint: Any) -> Any:
    """Return the dataclass that a field holds, or a list of; None if it holds none, or a schedule."""
    kinds = (kind for kind in (hint, *get_args(hint)) if is_dataclass(kind))
    return next((kind for kind in kinds if not issubclass(cast("type", kind), Schedule)), None)


def _of_missing_key(kind: Any, what: str, table: Mapping[str, Any], source: Source, path: tuple[str, ...]) -> str:
    least: Mapping[str, tuple[str, ...]] = getattr(kind, "LEAST", {})
    lines = [line for name, own in least.items() if name not in table for line in own]
    return (
        f"{source.place(path[:-1])}: the {what} `{path[-1]}` is missing. "
        f"Add it, or give --{'.'.join(path)}{'.KEY' if what == 'table' else ''} on the command line."
    ) + ("\n".join([" For example:", *lines]) if least else "")


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
