"""A reading: what a text means, field by field, with where each value comes from; its recipe, and the file of that.

The file has a comment on every field that the text does not state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from downslope.core.columns import wrap
from downslope.core.errors import RecipeError, SettingsError
from downslope.core.notebook import ShownInNotebooks
from downslope.core.tables import toml_line
from downslope.reading.order import RATES, in_order, tidy, whole
from downslope.reading.remarks import MARKS, WORDS, explain

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe


Provenance = Literal["stated", "implied", "assumed"]
DAMPENED = "QHM dampens its velocity by momentum, from the first step on"
APEX = "Apex's LARC has a trust coefficient of 0.02"
ONLY_LOWER = "LARC lets the trust ratio only lower lr"
BY_UNIT = "adaptive gradient clipping is of each unit in its paper, in timm and in optax"
ADAMS = frozenset({"adam", "adamw", "nadam", "radam", "adamax"})
"""Optimizers whose settings stand in a recipe's table `adam`."""


@dataclass(frozen=True)
class Field:
    """The value of one field.

    Attributes:
        value: A number, a word, True or False, or a list of numbers.
        provenance: "stated" (the text says so), "implied" (it follows from a convention or from several statements)
            or "assumed" (the text does not say).
        words: The words that it came from, or why it was implied or assumed.
        start: Place of the words' first character in the input; -1 where they do not stand there as one piece.
        end: Place after their last.
        file: Name of the file that they stand in, or "".
        marks: Why the value should be looked at before it is used: names of sentences in `remarks.py`.
    """

    value: Any
    provenance: Provenance
    words: str = ""
    start: int = -1
    end: int = -1
    file: str = ""
    marks: tuple[str, ...] = ()


@dataclass
class Reading(ShownInNotebooks):
    """One way to understand a text.

    Attributes:
        optimizer: "sgd", "rmsprop", "adam", "adamw", "lars", ..., as far as it is known.
        fields: Dotted path of a recipe -> its field. A constant learning rate is `sgd.lr`, a schedule is
            `sgd.lr.schedule`, `sgd.lr.initial` and so on, with the names of the recipe file.
        remarks: Sentences on what is missing, contradictory or implausible.
        unread: The numbers that were not used, each with the words around it.
        reason: Why the text is read like this, where there are several readings.
        named: Whether the optimizer is stated, implied (a momentum is SGD's) or assumed.
        language: Of the remarks: "en" or "zh".
    """

    optimizer: str
    fields: dict[str, Field] = field(default_factory=dict[str, Field])
    remarks: list[str] = field(default_factory=list[str])
    unread: list[str] = field(default_factory=list[str])
    reason: str = ""
    named: Provenance = "stated"
    language: str = "en"

    def recipe(self) -> Recipe:
        """Return the recipe of this reading; its length is assumed where the text leaves it open.

        Raises:
            RecipeError: If the optimizer is not SGD, or something essential is missing; the message says what.

        Example:
            >>> from downslope import read
            >>> read("SGD with learning rate 0.1 and momentum 0.9 for 20 epochs")[0].recipe().sgd.momentum
            0.9
        """
        return make_recipe(self)

    def to_toml(self) -> str:
        """Return the recipe file of this reading, with a comment on every field that the text does not state.

        Raises:
            RecipeError: As `recipe`.
        """
        return write_toml(self)


def marks_of(found: Field, language: str) -> str:
    """Return why a value should be looked at, as words; "" if there is no reason."""
    return "; ".join(MARKS[mark][language == "zh"] for mark in found.marks if mark in MARKS)


def title_of(optimizer: str) -> str:
    """Return an optimizer's name as people write it."""
    names = {"rmsprop": "RMSProp", "adam": "Adam", "adamw": "AdamW", "adagrad": "Adagrad", "nadam": "NAdam"}
    return names.get(optimizer, optimizer.upper() if len(optimizer) <= 4 else optimizer.capitalize())


class Readings(list[Reading], ShownInNotebooks):
    """All readings of a text, the most plausible first, and in a notebook the text beside them.

    Attributes:
        texts: (name, text) of what was read; the name of words without one is "".
    """

    def __init__(self, readings: Iterable[Reading], texts: Iterable[tuple[str, str]]) -> None:
        """Take readings, and what they are of."""
        super().__init__(readings)
        self.texts = tuple(texts)


_TABLES = ("seed", "data", "model", "sgd", "groups", "train")
_WIDEST_COMMENT = 90


def make_recipe(reading: Reading) -> Recipe:
    """Return the recipe of a reading.

    Raises:
        RecipeError: If the optimizer is not SGD, something essential is missing, or the values are not allowed or grow
            beyond all numbers before the training ends.
    """
    from downslope.core.tables import Source, decode
    from downslope.recipe.schema import Recipe

    recipe = decode(Recipe, nest(complete(reading)), Source("the reading"))
    _check_growth(recipe)
    return recipe


def _check_growth(recipe: Recipe) -> None:
    """Raise `RecipeError` if lr is too large for a float at the end, an epoch being as long as the digits'."""
    from downslope.core.schedules import Schedule
    from downslope.exporting.export_plan import make_plan

    if not isinstance(recipe.sgd.lr, Schedule) or math.isfinite(recipe.sgd.lr.extremes()[1]):
        return
    plan = make_plan(recipe, with_model=False, steps_per_epoch=None, examples=None)
    try:
        recipe.sgd.lr(max((plan.total_steps or 1) - 1, 0), steps_per_epoch=plan.steps_per_epoch)
    except SettingsError as error:
        raise RecipeError(f"the reading: {error} Or correct the factor in the sentence.") from None


def complete(reading: Reading) -> dict[str, Field]:
    """Return a reading's fields as a recipe needs them: one length of training, and one where none is stated.

    Without a stated length the end of the schedule is taken, else the length of the embedded default recipe, and called
    assumed. Nothing else is filled in: what is absent has the recipe's own defaults.

    Raises:
        RecipeError: If the optimizer is not SGD, or the learning rate or a part of its schedule is missing.
    """
    if reading.optimizer == "lars":
        raise RecipeError(
            "the optimizer is lars, and its trust coefficient is not stated, without which it is no recipe. State it "
            "beside the other numbers: trust coefficient 0.001, say, as in LARS's paper."
        )
    if reading.optimizer != "sgd":
        raise RecipeError(
            f"the optimizer is {reading.optimizer}, and a recipe is for SGD. Its numbers do not carry over: choose lr "
            "and weight_decay for SGD anew."
        )
    known = {path: found for path, found in reading.fields.items() if path.split(".")[0] in _TABLES}
    _check_lr(known)
    if "sgd.lr.schedule" in known:
        known = {path: found for path, found in known.items() if not path.startswith("train.plateau.")}
    elif any(path.startswith("train.plateau.") for path in known) and "train.plateau.patience" not in known:
        known["train.plateau.patience"] = Field(10, "assumed", "not stated")
    known |= _in_proportion(known)
    if "train.epochs" in known:
        known.pop("train.steps", None)
    elif "train.steps" not in known:
        path, value, why = _length(known)
        known[path] = Field(value, "assumed", why)
    return known


_RATES = frozenset({"initial", "final", "start", "end", "peak", "value"})
"""Arguments of schedules that are learning rates."""


def _in_proportion(known: dict[str, Field]) -> dict[str, Field]:
    """Return the learning rates of groups as the schedule of all the others, in proportion."""
    rates = {path: found for path, found in known.items() if path.startswith("sgd.lr.")}
    base = next((known[path].value for path in RATES if path in known and isinstance(known[path].value, float)), 0)
    found: dict[str, Field] = {}
    for path, own in known.items():
        if path.startswith("groups.") and path.endswith(".lr") and isinstance(own.value, float) and rates and base:
            schedule = _scaled(nest(rates)["sgd"]["lr"], own.value / base)
            found[path] = replace(own, value=schedule, provenance="implied")
    return found


def _scaled(schedule: dict[str, Any], ratio: float) -> dict[str, Any]:
    """Return a schedule with its learning rates times a ratio."""

    def scaled(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _scaled(cast("dict[str, Any]", value), ratio)
        if isinstance(value, list):
            return [scaled("value", one) for one in cast("list[Any]", value)] if name == "schedules" else value
        return tidy(value * ratio) if name in _RATES or (name == "then" and value is not None) else value

    return {name: scaled(name, value) for name, value in schedule.items()}


def marked_fields(reading: Reading) -> dict[str, Field]:
    """Return the fields that should be looked at before they are used, and that go into a recipe.

    Where SGD is assumed because no optimizer is named, `optimizer` is among them.
    """
    marked = {path: found for path, found in reading.fields.items() if found.marks and path.split(".")[0] in _TABLES}
    if reading.optimizer == "sgd" and reading.named == "assumed":
        marked["optimizer"] = Field("sgd", "assumed", marks=("unnamed",))
    return marked


def nest(known: dict[str, Field]) -> dict[str, Any]:
    """Return fields as nested tables, groups as a list.

    Example:
        >>> nest({"sgd.lr.schedule": Field("cosine", "stated"), "groups.0.match": Field("*.bias", "implied")})
        {'sgd': {'lr': {'schedule': 'cosine'}}, 'groups': [{'match': '*.bias'}]}
    """
    table: dict[str, Any] = {}
    for path, found in known.items():
        place = table
        *parents, key = path.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = found.value
    if "groups" in table:
        table["groups"] = list(table["groups"].values())
    return table


def _check_lr(known: dict[str, Field]) -> None:
    from downslope.core.schedules import SCHEDULES

    missing: list[str] = []
    root = "sgd.lr"
    if root not in known and f"{root}.schedule" not in known:
        missing = ["sgd.lr"]
    while f"{root}.schedule" in known:
        schedule = SCHEDULES[known[f"{root}.schedule"].value]
        needed = [field.name for field in fields(schedule) if field.default is MISSING and field.name != "then"]
        missing += [f"{root}.{name}" for name in needed if f"{root}.{name}" not in known]
        if known[f"{root}.schedule"].value != "warmup":
            break
        root = f"{root}.then"
        if root not in known and f"{root}.schedule" not in known:
            missing.append(root)
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise RecipeError(
            f"the text does not say what {_and(missing)} {verb}. Add it to the sentence, or write the recipe and set "
            f"{'it' if len(missing) == 1 else 'them'} there."
        )


def _and(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _length(known: dict[str, Field]) -> tuple[str, Any, str]:
    """Return the path, value and reason of a length of training where none is stated."""

    def value(path: str) -> Any:
        return known[path].value if path in known else None

    root = "sgd.lr.then" if value("sgd.lr.schedule") == "warmup" else "sgd.lr"
    unit = value(f"{root}.unit") or value("sgd.lr.unit")
    path = "train.epochs" if unit == "epoch" else "train.steps"
    milestones = value(f"{root}.milestones") or value(f"{root}.boundaries")
    if milestones and unit:
        before = milestones[-2] if len(milestones) > 1 else 0
        return path, whole(2 * milestones[-1] - before), "not stated; one period after the last milestone"
    duration = value(f"{root}.duration")
    if duration and unit:
        warm = value("sgd.lr.duration") if root != "sgd.lr" and value("sgd.lr.unit") == unit else 0
        return path, whole(duration + (warm or 0)), "not stated; to the end of the schedule"
    if value(f"{root}.every") and unit == "epoch" and value(f"{root}.rate") and value(f"{root}.rate") <= 0.5:
        return path, whole(3 * value(f"{root}.every")), "not stated; three periods of the schedule"
    from downslope.recipe.load import load_recipe

    return "train.epochs", whole(load_recipe().train.epochs or 50), "not stated; as in the embedded default recipe"


def write_toml(reading: Reading, source: str = "") -> str:
    """Return the recipe file of a reading, with the text it was read from in a comment at the top.

    Raises:
        RecipeError: As `make_recipe`.
    """
    known = complete(reading)
    make_recipe(reading)
    words = {key: pair[reading.language == "zh"] for key, pair in WORDS.items()}
    files = list(dict.fromkeys(found.file for found in reading.fields.values() if found.file))
    lines = [
        f"# {words['from_files'].format(files=_one_line(', '.join(files)))}" if files else f"# {words['from_words']}"
    ]
    if source and not files:
        shortened = _one_line(source[:4000])
        shortened = f"{shortened[:600]} ..." if len(source) > 600 else shortened
        lines = [f"# {words['from_these']}", *wrap(shortened, 106, "#     ")]
    lines += ["#", f"# {words['legend']}"]
    for remark in reading.remarks:
        lines += wrap(_one_line(remark), 104, "# - ", "#   ")
    lines.append("")
    if "data.batch_size" not in known:
        lines += [f"# {words['usual_batch']}"]
    lines += _tables(known, reading.language)
    return "\n".join(lines) + "\n"


def _tables(known: dict[str, Field], language: str) -> list[str]:
    rows: dict[str, list[str]] = {}
    for path in in_order(known):
        found = known[path]
        table, _, key = path.rpartition(".")
        rows.setdefault(table, []).append(f"{key} = {toml_line(found.value)}  # {_comment(found, language)}")
    lines: list[str] = []
    order = [
        *("", "data", "data.augment", "data.normalize", "sgd", "sgd.lr", "sgd.lr.then"),
        *sorted(t for t in rows if t.startswith("groups")),
        "train",
        "train.plateau",
    ]
    for table in order:
        if table in rows:
            header = ["[[groups]]"] if table.startswith("groups") else [f"[{table}]"] if table else []
            lines += [*header, *rows[table], ""]
    return lines[:-1]


def _comment(found: Field, language: str) -> str:
    words = _one_line(found.words if found.provenance == "stated" else explain(found.words, language))
    if len(words) > _WIDEST_COMMENT:
        words = words[: _WIDEST_COMMENT - 3] + "..."
    marks, comment = marks_of(found, language), WORDS[found.provenance][language == "zh"]
    if words:
        comment += WORDS["colon"][language == "zh"] + (f'"{words}"' if found.provenance == "stated" else words)
    return f"{comment} ! {marks}" if marks else comment


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
