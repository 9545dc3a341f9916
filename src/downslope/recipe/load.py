"""From a TOML document to a recipe, strictly: every key known, every value of its type.

What lives here: one generic decoder from tables to dataclasses, and `load_recipe`. The types come from the dataclasses
themselves, so that a new field needs nothing here. Leaves are checked by msgspec; tables, schedules and the words of
every message are ours, since a message must name the file, the table, the key and the nearest right key.
"""

from __future__ import annotations

import os
import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec
import tomli_w

from downslope.core.errors import DownslopeError, RecipeError, did_you_mean, one_of
from downslope.core.files import read_text
from downslope.core.paths import expand_home, expansion_of
from downslope.core.schedules import SCHEDULES, Schedule
from downslope.recipe.data_instead import refuse_data
from downslope.recipe.known import DEFAULT, known_name, known_recipes, known_text
from downslope.recipe.overrides import HUGE, Override, apply_overrides, check_integers, expand_names, too_many_digits
from downslope.recipe.schema import Recipe

# From a recipe back to TOML.


def to_toml(recipe: Any) -> str:
    """Return the recipe as TOML, every default written out; what is None (off) is left out.

    Args:
        recipe: A `Recipe`, or any of its tables.
    """
    return tomli_w.dumps(to_table(recipe))


def to_table(value: Any) -> Any:
    """Return a recipe, table or schedule as plain dicts, lists and numbers, without what is None."""
    if is_dataclass(value) and not isinstance(value, type):
        table = {
            field.name: to_table(item) for field in fields(value) if (item := getattr(value, field.name)) is not None
        }
        return {"schedule": value.name, **table} if isinstance(value, Schedule) else table
    if isinstance(value, Mapping):
        return {key: to_table(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_table(item) for item in value]
    return value


_KINDS: Mapping[Any, str] = {
    float: "a number",
    int: "an integer",
    bool: "true or false",
    str: "a string",
    types.NoneType: "",
}

INHERITED = "settings inherited from"
"""How the source of a recipe begins whose data or model the command line has replaced."""

_REQUIRED = frozenset({("sgd", "lr")})
"""Keys that have a default in Python but that a recipe must state."""


_MINIMAL = {"sgd": ("[sgd]", "lr = 0.1", "momentum = 0.9"), "train": ("[train]", "epochs = 20")}
"""The least that a recipe must say, as lines to add."""


@dataclass(frozen=True)
class Source:
    """Where a table came from, for messages.

    Attributes:
        file: What to call the file.
        overrides: Dotted paths set on the command line.
    """

    file: str
    overrides: tuple[str, ...] = ()

    def sets(self, path: tuple[str, ...]) -> bool:
        """Return whether an override set exactly this path."""
        return ".".join(path) in self.overrides

    def place(self, path: tuple[str, ...], key: str | None = None) -> str:
        """Return "recipe.toml, [sgd]", or "command line, --sgd.lr" where an override set that key."""
        whole = (*path, key) if key is not None else path
        for override in self.overrides:
            parts = tuple(override.split("."))
            if parts == whole[: len(parts)] or (whole == parts[: len(whole)] and key is not None):
                return f"command line, --{override}"
        return f"{self.file}, [{'.'.join(path)}]" if path else self.file


def load_recipe(path: str | os.PathLike[str] | None = None, overrides: Iterable[Override] = ()) -> Recipe:
    """Return the recipe of a TOML file.

    Args:
        path: The file; or the name of a recipe that comes with the package, such as "digits-cosine-warmup" (see
            `downslope recipes`), where there is no such file; None for the default, "digits".
        overrides: Pairs of a dotted path and a TOML value as text, e.g. ``[("sgd.lr", "0.05")]``; they win over the
            file.

    Returns:
        The recipe, every default filled in.

    Raises:
        RecipeError: If the file cannot be read, is not TOML, or is no recipe; the message says where.

    Example:
        >>> from downslope import load_recipe
        >>> load_recipe(overrides=[("sgd.momentum", "0.95")]).sgd.momentum
        0.95
    """
    overrides = tuple(overrides)
    if path is None:
        name, text = "the default recipe", known_text(DEFAULT)
    elif (known := comes_with_package(path)) is not None:
        name, text = f"the recipe `{known}`", known_text(known)
    else:
        name, text = str(path), _read(path)
    return parse_recipe(text, name, overrides)


def comes_with_package(given: str | os.PathLike[str] | None) -> str | None:
    """Return the name of the recipe of the package that is meant, or None where a file is.

    Args:
        given: As in `load_recipe`.
    """
    if given is None:
        return DEFAULT
    written = os.fspath(given)
    is_path = any(mark in written for mark in (os.sep, "."))
    if "\0" in written or len(written) > 200:
        return None
    found = Path(written)
    there = found.exists() if is_path else found.is_file()  # a folder `digits` beside does not hide the recipe's name
    return None if there else known_name(written)


def parse_recipe(text: str, name: str = "recipe", overrides: Iterable[Override] = ()) -> Recipe:
    """Return the recipe of a TOML text.

    Args:
        text: TOML.
        name: What to call the text in messages.
        overrides: As in `load_recipe`.

    Raises:
        RecipeError: As in `load_recipe`.
    """
    overrides = tuple(overrides)
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib lets int()'s and the stack's own errors through
        if digits := too_many_digits(text):
            raise RecipeError(f"{name}: not valid TOML: {HUGE} got one of {digits:,} digits.") from None
        raise RecipeError(f"{name}: not valid TOML: {error}.") from None
    check_integers(table, lambda path: Source(name).place(path[:-1]), name)
    source = Source(name, tuple(path for path, _ in overrides))
    changed = apply_overrides(table, overrides)
    return decode(Recipe, _of_another_problem(expand_names(table), changed, source), source)


def _of_another_problem(before: dict[str, Any], after: dict[str, Any], source: Source) -> dict[str, Any]:
    """Return a recipe's table whose title and source are not those of another problem.

    A recipe's title and source speak of its data and model. Where the command line has replaced one of these, they are
    no longer true: the title goes, and the source says which settings were made for something else.
    """
    replaced = [
        f"{table}.name"
        for table in Recipe.NAMED
        if _name_in(after.get(table)) != (was := _name_in(before.get(table))) and was is not None
    ]
    if not replaced:
        return after
    kept = [key for key in ("sgd", "groups", "train", "model", "data") if key in before and key in after]
    inherited = [
        f"{table}.{key}" if isinstance(before[table], dict) else table
        for table in kept
        for key in (before[table] if isinstance(before[table], dict) else [table])
        if not (isinstance(before[table], dict) and (before[table][key] != _inside(after[table], key) or key == "name"))
    ]
    words = f"{INHERITED} {source.file}, made for {_made_for(before)}: "
    result = {key: value for key, value in after.items() if key not in {"title", "source"} or source.sets((key,))}
    return {"source": words + ", ".join(inherited), **result}


def _name_in(table: Any) -> Any:
    return table.get("name") if isinstance(table, dict) else table


def _inside(table: Any, key: str) -> Any:
    return table.get(key) if isinstance(table, dict) else None


def _made_for(table: dict[str, Any]) -> str:
    names = (_name_in(table.get(key)) for key in Recipe.NAMED)
    return " and ".join(f"{key} {name!r}" for key, name in zip(Recipe.NAMED, names, strict=True) if name is not None)


def decode(kind: Any, table: Any, source: Source, path: tuple[str, ...] = ()) -> Any:
    """Return the dataclass `kind` made from a table.

    Args:
        kind: A dataclass whose fields are leaves, dataclasses, schedules, or tuples of these.
        table: The table.
        source: For messages.
        path: The table's own path.

    Raises:
        RecipeError: If a key is unknown or missing, or a value is of the wrong type or not allowed.
    """
    if not isinstance(table, dict):
        raise RecipeError(f"{source.place(path[:-1], path[-1])}: `{'.'.join(path)}` must be a table; got {table!r}.")
    table = cast("dict[str, Any]", table)
    if kind is Recipe:
        table = expand_names(table)
    known = {field.name: field for field in fields(kind)}
    for key in table:
        if key not in known:
            if issubclass(kind, Schedule) and source.sets((*path, "schedule")) and not source.sets((*path, key)):
                raise RecipeError(_of_another_schedule(kind, source, path, key))
            what = f" of the schedule `{kind.name}`" if issubclass(kind, Schedule) else ""
            raise RecipeError(
                f"{source.place(path, key)}: unknown key `{key}`{what}.{did_you_mean(key, known)} "
                f"Allowed here: {', '.join(known)}."
            )
    hints = _hints(kind)
    values = {key: _value(hints[key], value, source, path, key) for key, value in table.items()}
    for name, field in known.items():
        required = field.default is MISSING and field.default_factory is MISSING
        if name not in table and (required or (*path, name) in _REQUIRED):
            what = "table" if is_dataclass(hints[name]) else "key"
            raise RecipeError(
                f"{source.place(path)}: the {what} `{name}` is missing. "
                f"Add it, or give --{'.'.join((*path, name))}{'.KEY' if what == 'table' else ''} on the command line."
                f"{_lines_to_add(known, table) if kind is Recipe else ''}"
            )
    try:
        return kind(**values)
    except DownslopeError as error:
        blamed = next((key for key in values if f"`{key}`" in str(error)), None)
        raise RecipeError(f"{source.place(path, blamed)}: {error}") from None


def _lines_to_add(known: Iterable[str], table: Mapping[str, Any]) -> str:
    """Return the lines of every table that a recipe lacks and must have, with usual values."""
    lines = [line for name in known if name in _MINIMAL and name not in table for line in _MINIMAL[name]]
    return "\n".join([" For example:", *lines])


def _value(hint: Any, value: Any, source: Source, path: tuple[str, ...], key: str) -> Any:
    alternatives = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    inside = (*path, key)
    for kind in alternatives:
        if kind is Schedule and (isinstance(value, dict) or not _is_number(value)):
            return _schedule(value, source, path, key)
        if is_dataclass(kind) and kind is not Schedule:
            return decode(kind, value, source, inside)
        item_kind = get_args(kind)[0] if get_origin(kind) is tuple else None
        if item_kind is not None and is_dataclass(item_kind):
            if not isinstance(value, list):
                hint = f" Write [[{key}]], with two brackets." if isinstance(value, dict) else ""
                raise RecipeError(f"{source.place(path, key)}: `{key}` must be a list; got {value!r}.{hint}")
            items = cast("list[Any]", value)
            return tuple(_item(item_kind, item, source, inside, str(i)) for i, item in enumerate(items))
    if Schedule in alternatives:
        return value
    try:
        converted: Any = msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:
        wanted = " or ".join(text for kind in alternatives if (text := _describe(kind)))
        words = [word for kind in alternatives if get_origin(kind) is Literal for word in get_args(kind)]
        raise RecipeError(
            f"{source.place(path, key)}: `{key}` must be {wanted}; got {value!r}.{did_you_mean(str(value), words)}"
        ) from None
    _check_size(converted, source, path, key)
    return converted


def _check_size(value: Any, source: Source, path: tuple[str, ...], key: str) -> None:
    """Raise `RecipeError` if an integer has more than the 64 bits that TOML promises and torch can count in."""
    if isinstance(value, tuple):
        for item in cast("tuple[Any, ...]", value):
            _check_size(item, source, path, key)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise RecipeError(
            f"{source.place(path, key)}: `{key}` must be an integer below 2**63, as TOML's all are; got {value}."
        )


def _of_another_schedule(kind: type[Schedule], source: Source, path: tuple[str, ...], key: str) -> str:
    """Return the message where ``--sgd.lr.schedule`` turned a file's table into one of another schedule."""
    whole = ".".join(path)
    needed = ", ".join(f"{field.name} = ..." for field in fields(kind) if field.default is MISSING)
    return (
        f"command line, --{whole}.schedule: the table `{whole}` in {source.file} belongs to another schedule: "
        f"`{kind.name}` has no `{key}`. Set the whole of it: "
        f"--{whole} '{{ schedule = \"{kind.name}\", {needed} }}'."
    )


def _item(kind: Any, item: Any, source: Source, path: tuple[str, ...], index: str) -> Any:
    if kind is Schedule:
        return item if _is_number(item) else _schedule(item, source, path, index)
    return decode(kind, item, source, (*path, index))


def decode_schedule(table: Mapping[str, Any], source: Source, path: tuple[str, ...]) -> Schedule:
    """Return the schedule of a table such as ``{"schedule": "cosine", "initial": 0.1, ...}``.

    Args:
        table: The table.
        source: For messages.
        path: The table's own path.

    Raises:
        RecipeError: If it is no schedule.
    """
    return _schedule(dict(table), source, path[:-1], path[-1])


def _schedule(value: Any, source: Source, path: tuple[str, ...], key: str) -> Any:
    if not isinstance(value, dict) or "schedule" not in value:
        label = f"{path[-1]}.{key}" if key.isdecimal() else key
        raise RecipeError(
            f"{source.place(path, key)}: `{label}` must be a number or a schedule such as "
            f'{{ schedule = "cosine", initial = 0.1, final = 0.0, duration = 20, unit = "epoch" }}; got {value!r}.'
        )
    table = cast("dict[str, Any]", value)
    name = table["schedule"]
    if not isinstance(name, str) or name not in SCHEDULES:
        raise RecipeError(
            f"{source.place((*path, key), 'schedule')}: unknown schedule {name!r}."
            f"{did_you_mean(str(name), SCHEDULES)} Use {one_of(SCHEDULES)}."
        )
    rest = {field: item for field, item in table.items() if field != "schedule"}
    return decode(SCHEDULES[name], rest, source, (*path, key))


def _describe(kind: Any) -> str:
    if kind in _KINDS:
        return _KINDS[kind]
    if get_origin(kind) is Literal:
        return one_of(get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list in which each is {_describe(get_args(kind)[0])}"
    return "a table"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(given: str | os.PathLike[str]) -> str:
    found = expand_home(given, RecipeError)
    path = f"{given}{expansion_of(given)}"
    try:
        refuse_data(given)
        return read_text(found, RecipeError)
    except FileNotFoundError:
        near = did_you_mean(os.fspath(given).removesuffix(".toml"), known_recipes())
        raise RecipeError(
            f"{path}: no such file.{near} Give the path of a recipe, or none for the default. Names that may "
            "stand for one are listed by `downslope recipes`."
        ) from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}).") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}.") from None
