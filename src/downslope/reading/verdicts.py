"""A recipe that somebody else filled in, held against the text: confirmed, contradicted, or not in the text."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from downslope.core.columns import width_of, wrap
from downslope.core.errors import DownslopeError, RecipeError
from downslope.reading import read
from downslope.reading.combine import family_of
from downslope.reading.order import in_order
from downslope.reading.reading import Field, Reading
from downslope.reading.remarks import VERDICTS
from downslope.reading.shown import quoted, shown

_SAMPLES = 500
_NOT_TRAINING = frozenset({"title", "source"})
_ASSUMED = re.compile(r"#\s*(?:assumed\b|假定)")
_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\-\s]+?)\s*\]\]?")
_KEY = re.compile(r"\s*([\w.\-]+)\s*=")


@dataclass(frozen=True)
class Verdict:
    """What a text says of one value of a recipe.

    Attributes:
        path: Dotted path of the value; `optimizer` for SGD itself.
        value: The recipe's value; its default where the recipe leaves out what the text states.
        verdict: "confirmed" by the text, "contradicted" by it, "absent" from it, or absent and marked as "assumed" in
            the recipe's file.
        field: What was read, with the words that confirm or contradict; None where nothing was.
        written: Whether the recipe writes the value, and does not leave it at its default.
    """

    path: str
    value: Any
    verdict: Literal["confirmed", "contradicted", "absent", "assumed"]
    field: Field | None = None
    written: bool = True

    @property
    def holds(self) -> bool:
        """Whether the value is confirmed, or marked as assumed."""
        return self.verdict in {"confirmed", "assumed"}


def check_reading(
    text: str | os.PathLike[str] | Sequence[str | os.PathLike[str] | tuple[str, str]],
    recipe: Any,
    *,
    language: Literal["en", "zh"] | None = None,
    name: str = "",
) -> list[Verdict]:
    r"""Return what a text says of each value of a recipe, in the order of a recipe.

    A value that the text states and the recipe leaves at another default counts as contradicted.

    Args:
        text: As in `read`.
        recipe: A `Recipe`, the path of its file, or its TOML. In TOML, a value with a comment `# assumed` may be absent
            from the text.
        language: As in `read`, of the reasons.
        name: As in `read`.

    Raises:
        RecipeError: If the text or the recipe cannot be read.

    Example:
        >>> from downslope import check_reading
        >>> recipe = "sgd = {lr = 0.1, momentum = 0.9}\ntrain = {epochs = 9}"
        >>> verdicts = check_reading("SGD, lr 0.1, momentum 0.8, for 9 epochs", recipe)
        >>> [(verdict.path, verdict.verdict) for verdict in verdicts if not verdict.holds]
        [('sgd.momentum', 'contradicted')]
    """
    return compare_reading(read(text, language=language, name=name)[0], recipe)


def compare_reading(reading: Reading, recipe: Any) -> list[Verdict]:
    """Return what a reading says of each value of a recipe.

    Raises:
        RecipeError: If the recipe cannot be read.
    """
    given, values, assumed = _values_of(recipe)
    verdicts = {path: _judge(path, value, reading) for path, value in values.items()}
    _compare_schedules(reading, given, values, verdicts)
    verdicts = {
        path: Verdict(path, one.value, "assumed", one.field) if one.verdict == "absent" and path in assumed else one
        for path, one in verdicts.items()
    }
    verdicts |= _left_out(reading, given, values)
    return [_of_optimizer(reading), *(verdicts[path] for path in in_order(verdicts))]


def describe_verdicts(verdicts: Sequence[Verdict], language: str = "en", *, width: int = 100) -> str:
    """Return verdicts as text for a terminal, in English ("en") or Chinese ("zh")."""
    said = {key: pair[language == "zh"] for key, pair in VERDICTS.items()}
    rows = [(one.path, shown(one.value), said[one.verdict], _why(one, said)) for one in verdicts]
    widths = [min(40, max(width_of(row[column]) for row in rows)) for column in range(3)]
    lines: list[str] = []
    for row in rows:
        begin = (
            "  ".join(cell + " " * (size - width_of(cell)) for cell, size in zip(row[:3], widths, strict=True)) + "  "
        )
        hanging = " " * width_of(begin) if width - width_of(begin) >= 30 else " " * 4
        lines += wrap(row[3], max(width, width_of(begin) + 20), begin, hanging) if row[3] else [begin]
    failed = sum(not one.holds for one in verdicts)
    lines += ["", said["failed"].format(failed=failed, total=len(verdicts)) if failed else said["holds"]]
    return "\n".join(line.rstrip() for line in lines)


def _why(one: Verdict, said: dict[str, str]) -> str:
    if one.field is None:
        return ""
    words = quoted(one.field)
    if one.verdict == "contradicted":
        words = f"{said['reads'].format(value=shown(one.field.value))} {words}"
    return words if one.written else f"{said['left_out']} {words}"


# What a recipe writes


def _values_of(recipe: Any) -> tuple[Any, dict[str, Any], set[str]]:
    """Return the recipe, its values by path, and the paths marked as assumed."""
    from downslope.core.tables import expand_names, to_table
    from downslope.recipe.given import read_recipe
    from downslope.recipe.load import load_recipe, parse_recipe
    from downslope.recipe.schema import Recipe

    if isinstance(recipe, Recipe):
        defaults = _flat(to_table(Recipe(sgd=type(recipe.sgd)(lr=0.0), train=type(recipe.train)(epochs=1))))
        values = _flat(to_table(recipe))
        named = {
            path: value for path, value in values.items() if family_of(path) == "sgd.lr" or value != defaults.get(path)
        }
        return recipe, _canonical(named), set()
    if isinstance(recipe, os.PathLike) or (isinstance(recipe, str) and "\n" not in recipe and "=" not in recipe):
        given, text = load_recipe(recipe), read_recipe(recipe)
    elif isinstance(recipe, str):
        given, text = parse_recipe(recipe, "the recipe"), recipe
    else:
        kind = type(recipe).__name__
        raise RecipeError(f"`recipe` must be a Recipe, the path of its file or its TOML; got one of type {kind}.")
    import tomllib

    values = _flat(expand_names(Recipe, tomllib.loads(text)))
    marked = _assumed_in(text)
    assumed = {path for path in values if any(path == one or path.startswith(f"{one}.") for one in marked)}
    return given, _canonical(values), assumed


def _flat(table: Any, path: str = "") -> dict[str, Any]:
    """Return nested tables as dotted path -> value; the place of a table in a list is a part of the path."""
    if isinstance(table, Mapping):
        items = [(str(key), value) for key, value in table.items()]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    elif isinstance(table, list) and table and all(isinstance(one, Mapping) for one in table):  # pyright: ignore[reportUnknownVariableType]
        items = [(str(index), value) for index, value in enumerate(table)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    else:
        return {path: table} if path else {}
    found: dict[str, Any] = {}
    for key, value in items:
        found |= _flat(value, f"{path}.{key}" if path else key)
    return found


def _canonical(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that speak of training, a constant learning rate as `sgd.lr`."""
    found = {
        path: value
        for path, value in values.items()
        if path.split(".")[0] not in _NOT_TRAINING and value not in ([], {})
    }
    for root in ("sgd.lr", "sgd.lr.then"):
        if found.get(f"{root}.schedule") == "constant":
            del found[f"{root}.schedule"]
            found[root] = found.pop(f"{root}.value", None)
    return found


def _assumed_in(text: str) -> set[str]:
    """Return the paths of the keys of a TOML text that have a comment `# assumed`."""
    table, key = "", ""
    found: set[str] = set()
    arrays: dict[str, int] = {}
    for line in text.splitlines():
        plain = _STRING.sub('""', line)
        if header := _HEADER.fullmatch(plain.partition("#")[0].rstrip()):
            table, key = re.sub(r"\s", "", header[2]), ""
            if header[1] == "[[":
                arrays[table] = arrays.get(table, -1) + 1
                table = f"{table}.{arrays[table]}"
        elif match := _KEY.match(plain):
            key = match[1]
        if key and _ASSUMED.search(plain):
            found.add(f"{table}.{key}" if table else key)
    return found


# What the text says of it


def _judge(path: str, value: Any, reading: Reading) -> Verdict:
    found = reading.fields.get(path)
    for other in _spellings(path):
        found = found or reading.fields.get(other)
    if found is None or found.provenance == "assumed":
        return Verdict(path, value, "absent", _nearest_unread(value, reading))
    if same_value(found.value, value):
        return Verdict(path, value, "confirmed", found)
    return Verdict(path, value, "contradicted", found)


def _spellings(path: str) -> tuple[str, ...]:
    """Return other paths that say the same: of a schedule after a warmup or alone, and of a constant rate."""
    if family_of(path) != "sgd.lr" or path == "sgd.lr":
        return ()
    other = path.replace(".then.", ".") if ".then." in path else path.replace("sgd.lr.", "sgd.lr.then.")
    return (other, "sgd.lr") if path.endswith(".initial") else (other,)


def same_value(one: Any, other: Any) -> bool:
    """Whether two values are the same, numbers to nine digits.

    Example:
        >>> same_value([30, 60], [30.0, 60.0]), same_value(True, 1)
        (True, False)
    """
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_value, one, other))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(one, bool | str) or isinstance(other, bool | str):
        return type(one) is type(other) and one == other
    return isinstance(one, int | float) and isinstance(other, int | float) and math.isclose(one, other, rel_tol=1e-9)


def _nearest_unread(value: Any, reading: Reading) -> Field | None:
    """Return the unused phrase that has a value, for a person to look at."""
    if isinstance(value, bool | list) or not isinstance(value, int | float):
        return None
    pattern = re.compile(rf"(?<![\d.]){re.escape(shown(value))}(?![\d.]*\d)")
    words = next((phrase for phrase in reading.unread if pattern.search(phrase)), None)
    return None if words is None else Field(value, "assumed", words)


def _compare_schedules(reading: Reading, given: Any, values: dict[str, Any], verdicts: dict[str, Verdict]) -> None:
    """Decide the fields of the learning rate together: two spellings of the same course confirm one another."""
    own = [path for path in values if family_of(path) == "sgd.lr"]
    name = reading.fields.get("sgd.lr.schedule")
    if all(verdicts[path].verdict == "confirmed" for path in own) and not (name and "sgd.lr" in own):
        return
    first = name or reading.fields.get("sgd.lr")
    if first is None:
        return
    if _same_course(reading, given):
        for path in own:
            verdicts[path] = Verdict(path, values[path], "confirmed", verdicts[path].field or first)
    elif name is not None and values.get("sgd.lr.schedule") != name.value:
        path = "sgd.lr" if "sgd.lr" in own else "sgd.lr.schedule"
        verdicts[path] = Verdict(path, values[path], "contradicted", name)


def _same_course(reading: Reading, given: Any) -> bool:
    """Whether the learning rates of a reading and a recipe agree all through the recipe's run."""
    from downslope.core.schedules.composite import as_schedule

    try:
        rates = as_schedule("lr", reading.recipe().sgd.lr), as_schedule("lr", given.sgd.lr)
        steps = 1000 * (given.train.epochs or 0) if given.train.steps is None else given.train.steps
        step = max(1, int(steps) // _SAMPLES)
        per_epoch = None if {getattr(rate, "unit", "step") for rate in rates} == {"step"} else 1000
        courses = [[rate(at, steps_per_epoch=per_epoch) for at in range(0, max(1, int(steps)), step)] for rate in rates]
    except (DownslopeError, ArithmeticError, ValueError, TypeError):
        return False
    return all(math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12) for one, other in zip(*courses, strict=True))


def _left_out(reading: Reading, given: Any, values: dict[str, Any]) -> dict[str, Verdict]:
    """Return what the text states and the recipe leaves at another default."""
    from downslope.core.tables import to_table

    defaults = _flat(to_table(given))
    lengths = {"train.epochs", "train.steps"}
    found: dict[str, Verdict] = {}
    for path, field in reading.fields.items():
        table = path.split(".")[0]
        if (
            field.provenance != "stated"
            or path in values
            or table not in {"data", "sgd", "groups", "train"}
            or family_of(path) == "sgd.lr"
            or (path in lengths and lengths & values.keys())
            or (path.startswith("train.plateau.") and "sgd.lr.schedule" in reading.fields)
            or (path in defaults and same_value(field.value, defaults[path]))
        ):
            continue
        found[path] = Verdict(path, defaults.get(path, "-"), "contradicted", field, written=False)
    return found


def _of_optimizer(reading: Reading) -> Verdict:
    if reading.optimizer != "sgd":
        return Verdict("optimizer", "sgd", "contradicted", Field(reading.optimizer, "stated"))
    return Verdict("optimizer", "sgd", "assumed" if reading.named == "assumed" else "confirmed")
