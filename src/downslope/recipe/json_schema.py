"""The JSON Schema of a recipe, out of the dataclasses that decode it: for editors, which complete and check by it."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from inspect import cleandoc
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules import SCHEDULES, Schedule
from downslope.core.settings import Settings
from downslope.core.tables import to_table
from downslope.recipe.schema import Recipe

_LEAVES: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Any: {},
}


_NEEDED = frozenset({(Settings, "lr")})
"""Fields with a default in Python that a recipe has to state."""


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7, which editors read) of a recipe.

    It knows every table and key, its type, the words that it may be and its default, with the sentences of the
    reference. What no schema can say (that one number is at most another) is checked when a recipe is loaded.
    """
    definitions: dict[str, Any] = {}
    schema = _table(Recipe, definitions)
    for name in Recipe.NAMED:
        table, text = schema["properties"][name], schema["properties"][name].get("description", "")
        table.pop("description", None)
        schema["properties"][name] = {"description": text, "anyOf": [table, {"type": "string"}]}
    definitions["schedule"] = {"oneOf": [_schedule(kind, definitions) for kind in SCHEDULES.values()]}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A recipe of Downslope",
        **schema,
        "definitions": dict(sorted(definitions.items())),
    }


def _table(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a dataclass's table."""
    hints, texts = get_type_hints(kind), _attributes(kind)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in fields(kind):
        one = _of_type(hints[field.name], definitions)
        if text := texts.get(field.name):
            one = {"description": text, **one}
        if field.default not in (MISSING, None):
            one["default"] = to_table(field.default)
        if (field.default is MISSING and field.default_factory is MISSING) or (kind, field.name) in _NEEDED:
            required.append(field.name)
        properties[field.name] = one
    if kind is Settings:  # or, where `schedule_free` says so, those of schedule-free SGD
        known = _table(ScheduleFree, definitions)["properties"]
        own = {key: one for key, one in known.items() if key not in properties}
        properties |= {**own, "schedule_free": {**own["schedule_free"], "default": False}}
    exclusive = getattr(kind, "EXCLUSIVE", ())
    return {
        "type": "object",
        "description": cleandoc(kind.__doc__ or "").partition("\n")[0],
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **({"oneOf": [{"required": [name]} for name in exclusive]} if exclusive else {}),
    }


def _schedule(kind: type[Schedule], definitions: dict[str, Any]) -> dict[str, Any]:
    table = _table(kind, definitions)
    return {
        **table,
        "properties": {"schedule": {"const": kind.name}, **table["properties"]},
        "required": ["schedule", *table.get("required", ())],
    }


def _of_type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field's type; None is for leaving the key out, since TOML has no null."""
    if hint in _LEAVES:
        return {**_LEAVES[hint]}
    if isinstance(hint, type) and is_dataclass(hint):
        name = "schedule" if hint is Schedule else hint.__name__
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = {} if hint is Schedule else _table(hint, definitions)
        return {"$ref": f"#/definitions/{name}"}
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        found = [_of_type(one, definitions) for one in inner if one is not types.NoneType]
        return found[0] if len(found) == 1 else {"anyOf": found}
    if origin in (tuple, list):
        return {"type": "array", "items": _of_type(inner[0], definitions)}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of_type(inner[1], definitions)}
    raise TypeError(f"no JSON Schema is known for {hint!r}.")


def _attributes(kind: type) -> dict[str, str]:
    """Return what a class's docstring says of its attributes, by name."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        block = re.search(r"^Attributes:\n((?:    .*\n|\n)*)", f"{cleandoc(base.__doc__ or '')}\n", re.MULTILINE)
        for name, text in re.findall(r"^    (\w+): ((?:.*)(?:\n {5,}.*)*)", block[1] if block else "", re.MULTILINE):
            texts[name] = " ".join(text.split())
    return texts
