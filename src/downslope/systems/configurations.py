"""Configurations of other systems as text: a Caffe solver, an optimizer's configuration as Keras writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from downslope.core.errors import SettingsError
from downslope.core.files import read_text
from downslope.core.settings import Settings
from downslope.core.shown import shown
from downslope.core.strict_json import decode_json
from downslope.systems.from_system import settings_from_convention

_LONGEST_NUMBER = 400
"""Digits of a number; Python itself reads no integer of more than 4,300."""

_TOKEN = re.compile(
    r"""\s+ | \#[^\n]* | (?P<word>[A-Za-z_][\w.]*) | (?P<string>"[^"\n]*"|'[^'\n]*') |
    (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?) | (?P<sign>[:{}\[\],;])""",
    re.VERBOSE,
)


def read_configuration(path: Path) -> Settings:
    """Return the settings of another system's configuration.

    Args:
        path: A Caffe solver (`.prototxt`), or a Keras optimizer's configuration (`.json`): what ``get_config()`` or
            ``keras.optimizers.serialize`` returns.

    Raises:
        SettingsError: If it is neither, or says what settings cannot hold.
    """
    try:
        text = read_text(path, SettingsError)
    except UnicodeDecodeError:
        raise SettingsError(f"{shown(path)}: is no text.") from None
    except OSError as error:
        raise SettingsError(f"{shown(path)}: cannot be read: {error.strerror or error}.") from None
    try:
        if path.suffix == ".prototxt":
            return settings_from_solver(text)
        if path.suffix == ".json":
            return settings_from_keras_config(decode_json(text, dict[str, Any], "its JSON", SettingsError))
    except (SettingsError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise SettingsError(f"{shown(path)}: {shown(error, 1000)}") from None
    raise SettingsError(
        f"{shown(path)}: must be a Caffe solver (.prototxt), a Keras configuration (.json) or a recipe (.toml)."
    )


def settings_from_solver(text: str) -> Settings:
    """Return the settings of a Caffe solver's text.

    Args:
        text: In protocol buffers' text format.

    Raises:
        SettingsError: If it cannot be read, or asks for what settings cannot hold.

    Example:
        >>> settings_from_solver('base_lr: 0.01 momentum: 0.9 weight_decay: 0.0005 lr_policy: "fixed"').momentum
        0.9
    """
    return settings_from_convention("caffe", parse_solver(text))


def settings_from_keras_config(config: Any) -> Settings:
    """Return the settings of a Keras optimizer's configuration.

    Args:
        config: What ``optimizer.get_config()`` returns, or the table with "class_name" and "config" around it.

    Raises:
        SettingsError: If it is no configuration of SGD.

    Example:
        >>> settings_from_keras_config({"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}).nesterov
        True
    """
    if not isinstance(config, Mapping):
        raise SettingsError(f"the configuration must be a table; got {type(config).__name__}.")
    table = cast("Mapping[str, Any]", config)
    if "class_name" in table:
        if table["class_name"] != "SGD":
            raise SettingsError(f"the configuration is of {table['class_name']!r}, not of SGD.")
        table = table.get("config", {})
    return settings_from_convention("keras", table)


def parse_solver(text: str) -> dict[str, Any]:
    """Return the fields of a Caffe solver: numbers, strings and truth values; lists of those given several times.

    Messages inside it, such as a net, are left out.

    Args:
        text: In protocol buffers' text format.

    Raises:
        SettingsError: If it is not in that format.
    """
    found: dict[str, Any] = {}
    tokens = _tokens(text)
    place = 0
    while place < len(tokens):
        kind, name, line = tokens[place]
        if kind == "sign" and name in ",;":
            place += 1
            continue
        if kind != "word":
            raise SettingsError(f"line {line}: a field's name is expected; got {name!r}.")
        place += 1
        if place < len(tokens) and tokens[place][1] == ":":
            place += 1
        if place >= len(tokens):
            raise SettingsError(f"line {line}: `{name}` has no value.")
        if tokens[place][1] == "{":
            place = _after_message(tokens, place)
            continue
        values, place = _values(tokens, place)
        if name in found:
            values = [*(found[name] if isinstance(found[name], list) else [found[name]]), *values]
        found[name] = values if len(values) > 1 or name == "stepvalue" else values[0]
    return found


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    place, line = 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise SettingsError(f"line {line}: {text[place : place + 20].splitlines()[0]!r} cannot be read.")
        if match.lastgroup is not None:
            found.append((match.lastgroup, match.group(), line))
        line += text.count("\n", place, match.end())
        place = match.end()
    return found


def _values(tokens: list[tuple[str, str, int]], place: int) -> tuple[list[Any], int]:
    if tokens[place][1] != "[":
        return [_value(tokens[place])], place + 1
    values: list[Any] = []
    place += 1
    while place < len(tokens) and tokens[place][1] != "]":
        if tokens[place][1] != ",":
            values.append(_value(tokens[place]))
        place += 1
    return values, place + 1


def _value(token: tuple[str, str, int]) -> Any:
    kind, text, line = token
    if kind == "string":
        return text[1:-1]
    if kind == "word":
        return {"true": True, "false": False}.get(text, text)
    if kind == "number":
        if len(text) > _LONGEST_NUMBER:
            raise SettingsError(f"line {line}: {shown(text, 40)} is no number that a solver has.")
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    raise SettingsError(f"line {line}: a value is expected; got {text!r}.")


def _after_message(tokens: list[tuple[str, str, int]], place: int) -> int:
    depth = 0
    for later in range(place, len(tokens)):
        depth += {"{": 1, "}": -1}.get(tokens[later][1], 0)
        if depth == 0:
            return later + 1
    raise SettingsError(f"line {tokens[place][2]}: a brace is never closed.")
