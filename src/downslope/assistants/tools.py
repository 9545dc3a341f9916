"""The tools: each takes text and returns data for JSON, with what it rests on; none reads a file on its own.

Their docstrings and the descriptions of their arguments are what an assistant is told.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from downslope.assistants.given import Given, GivenError, fields_of, recipe_of, recipe_or_words, take
from downslope.core.errors import DownslopeError
from downslope.core.tables import to_json, to_table
from downslope.exporting import TARGETS
from downslope.reading import read
from downslope.reading.reading import Reading, write_toml
from downslope.recipe.schema import Recipe
from downslope.rescaling.batch import RULES
from downslope.systems.calls import find_call

LARGEST = 100_000
"""Characters of an answer as JSON."""

_MOST = 20
"""Unused phrases and remarks that are told; how many more there are is said."""


Text = Annotated[
    str,
    Field(
        description="The text itself: words of a paper or README in English or Chinese, a training script, a command "
        "line, a configuration, or a recipe as TOML. With --root, also file:PATH below that folder."
    ),
]
Thing = Annotated[
    str,
    Field(
        description="A recipe as TOML, the name of one that comes with Downslope such as digits, words, a script, or a "
        "framework's arguments such as torch: SGD(lr=0.1, momentum=0.9). With --root, also file:PATH."
    ),
]
Examples = Annotated[int | None, Field(description="Training examples in an epoch, where the text does not say.")]
BatchSize = Annotated[int | None, Field(description="Examples in a batch, where the text does not say.")]
StepsPerEpoch = Annotated[
    int | None, Field(description="Steps in an epoch, for schedules in epochs; or give examples.")
]
Steps = Annotated[int | None, Field(description="Steps of the whole training, where the text does not say.")]


class Tools:
    """The tools of a server.

    Args:
        root: The folder below which files may be read; None for no files at all.
    """

    def __init__(self, root: Path | None = None) -> None:
        """Note the root, links followed."""
        self._root = None if root is None else root.resolve()

    def read(
        self,
        text: Text,
        name: Annotated[str, Field(description="Name of the file it comes from, if any: its suffix helps.")] = "",
    ) -> dict[str, Any]:
        """Read what a text says about training with SGD, as a recipe.

        Each value comes with the words it came from, their place in the text, and whether it is stated, implied by a
        convention, or assumed because the text does not say. Values with look_at need a person's eye. There are
        several readings where the words have several meanings, the most plausible first. recipe_toml is a file that
        `downslope train` takes; where there is none, no_recipe says what is missing.
        """
        given = self._take(text)
        pairs = [(given.name or name, given.text)]
        return _bounded({"readings": [_reading(one, given.text) for one in read(pairs)]})

    def check(
        self, text: Text, recipe: Annotated[str, Field(description="The recipe to hold against the text, as TOML.")]
    ) -> dict[str, Any]:
        """Check a recipe that somebody filled in against the text it came from, value by value.

        A value is confirmed or contradicted by words, absent from the text, or marked as assumed by a comment
        `# assumed` behind it. all_hold is true if each is confirmed or so marked.
        """
        from downslope.reading.verdicts import check_reading

        given, wanted = self._take(text), self._take(recipe)
        known = recipe_or_words(wanted, "the recipe")
        if not isinstance(known, Recipe):
            raise GivenError('`recipe` must be TOML with a table [sgd], or the name of a recipe such as "digits".')
        held = wanted.text if len(wanted.text.split()) > 1 else known  # comments say what is assumed
        verdicts = check_reading([(given.name, given.text)], held, language="en")
        rows = [
            {
                "path": one.path,
                "value": one.value,
                "verdict": one.verdict,
                "written": one.written,
                **({} if one.field is None else {"reads": one.field.value, "words": one.field.words}),
            }
            for one in verdicts
        ]
        return _bounded({"all_hold": all(one.holds for one in verdicts), "verdicts": rows})

    def explain(
        self,
        recipe: Thing,
        examples: Examples = None,
        batch_size: BatchSize = None,
        steps: Steps = None,
        curvature: Annotated[
            float | None, Field(description="The largest curvature of the loss, if it was measured.")
        ] = None,
    ) -> dict[str, Any]:
        """Explain what a recipe's numbers mean: equations, effective lr, timescales, stability, other batch sizes.

        Each item has its equation, the condition under which it holds and its source; needs names what would have to
        be given for it. Infinite numbers are the string "infinity".
        """
        from downslope.explaining import explain_subject
        from downslope.explaining.subject import understand as subject_of

        given = self._take(recipe)
        explanation = explain_subject(
            subject_of(recipe_or_words(given, "the recipe")),
            examples=examples,
            batch_size=batch_size,
            steps=steps,
            curvature=curvature,
        )
        table = {key: value for key, value in explanation.to_table().items() if value not in ([], "", None)}
        return _bounded(_with_words(table, given))

    def compare(
        self, a: Thing, b: Thing, steps: Steps = None, steps_per_epoch: StepsPerEpoch = None, examples: Examples = None
    ) -> dict[str, Any]:
        """Say whether two ways of training are one update rule over the whole schedule, and if not, where they part.

        same is the verdict; causes are the fields at fault, first_step the first step (from 0) after which the
        parameters differ, suggestions what would make the two equal, with the numbers.
        """
        from downslope.comparing import compare

        _one_of(steps_per_epoch=steps_per_epoch, examples=examples)
        sides = [self._take(side) for side in (a, b)]
        one, two = (recipe_or_words(side, f"`{name}`") for side, name in zip(sides, "ab", strict=True))
        found = compare(one, two, steps=steps, steps_per_epoch=steps_per_epoch, examples=examples)
        table = to_json(found) | {name: to_table(getattr(found, name)) for name in ("settings_a", "settings_b")}
        for side, name in zip(sides, "ab", strict=True):
            table = _with_words(table, side, f"understood_{name}")
        return _bounded(table)

    def export(
        self,
        recipe: Thing,
        to: Annotated[
            str, Field(description="The framework whose code is written.", json_schema_extra={"enum": [*TARGETS]})
        ],
        steps_per_epoch: StepsPerEpoch = None,
        examples: Examples = None,
        *,
        with_model: Annotated[bool, Field(description="A whole program that trains a classifier on digits.")] = False,
    ) -> dict[str, Any]:
        """Write a recipe as code for a framework: optimizer, parameter groups, schedule.

        What the framework cannot do exactly has a comment in the code that says what was done instead.
        """
        from downslope.exporting import export

        _one_of(steps_per_epoch=steps_per_epoch, examples=examples)
        given = self._take(recipe)
        code = export(recipe_of(given), to, with_model=with_model, steps_per_epoch=steps_per_epoch, examples=examples)
        return _bounded(_with_words({"to": to, "code": code}, given))

    def audit(
        self,
        thing: Annotated[
            str,
            Field(
                description="A training script (read, never run), a recipe as TOML or its name, or words. With --root, "
                "also file:PATH of a script, a recipe or the folder of a run."
            ),
        ],
        examples: Examples = None,
        batch_size: BatchSize = None,
        steps_per_epoch: StepsPerEpoch = None,
        steps: Steps = None,
    ) -> dict[str, Any]:
        """Say what is probably wrong with a training script, a recipe, words or a run.

        Each finding has its level (error, warning, advice), what, where (the line, or the words), why with its source,
        what to do, and how sure it is. not_checked says what could not be looked at, and what to give for it.
        """
        from downslope.auditing import audit_subject
        from downslope.auditing.subject import Sizes, find_subject, subject_of_words

        _one_of(steps_per_epoch=steps_per_epoch, examples=examples)
        given = take(thing, self._root, folders=True)
        sizes = Sizes(examples=examples, batch_size=batch_size, steps=steps, steps_per_epoch=steps_per_epoch)
        if given.folder is not None:
            subject = find_subject(given.folder, sizes)
        else:
            found = recipe_or_words(given, "the recipe")
            words = isinstance(found, str)
            subject = subject_of_words(found, sizes, name=given.name) if words else find_subject(found, sizes)
        table = audit_subject(subject).to_table()
        return _bounded({"errors": sum(one["level"] == "error" for one in table["findings"]), **table})

    def rescale(
        self,
        recipe: Thing,
        batch_size: Annotated[int | None, Field(description="The new batch size.")] = None,
        devices: Annotated[
            int | None, Field(description="In its place: as many devices, each with the old batch.")
        ] = None,
        epochs: Annotated[float | None, Field(description="The new length; schedules are stretched alike.")] = None,
        rule: Annotated[
            str, Field(description="How lr goes with the batch.", json_schema_extra={"enum": [*RULES]})
        ] = "linear",
        warmup: Annotated[float | None, Field(description="Epochs of a warmup to add.")] = None,
        examples: Examples = None,
    ) -> dict[str, Any]:
        """Rescale a recipe to another batch size, number of devices or length.

        Every change comes with its reason and source; remarks say beyond which batch the rule is known to break.
        """
        from downslope.rescaling import rescale

        given = self._take(recipe)
        found = rescale(
            recipe_of(given),
            batch_size=batch_size,
            devices=devices,
            epochs=epochs,
            rule=rule,  # pyright: ignore[reportArgumentType]  # rescale itself says what it may be
            warmup=warmup,
            examples=examples,
        )
        changes = [to_json(one) for one in found.changes]
        table = {"recipe_toml": found.to_toml(), "changes": changes, "remarks": list(found.remarks)}
        return _bounded(_with_words(table, given))

    def _take(self, text: str) -> Given:
        return take(text, self._root)


def _reading(one: Reading, text: str) -> dict[str, Any]:
    """Return a reading as data, with the recipe file that it makes, or why it makes none."""
    table: dict[str, Any] = {
        "optimizer": one.optimizer,
        "optimizer_is": one.named,
        "fields": fields_of(one),
        "remarks": _first(one.remarks),
        "unused": _first(one.unread),
    }
    if one.reason:
        table["reason"] = one.reason
    try:
        table["recipe_toml"] = write_toml(one, text)
    except DownslopeError as error:
        table["no_recipe"] = str(error)
    return table


def _with_words(table: dict[str, Any], given: Given, name: str = "understood") -> dict[str, Any]:
    """Return an answer with which words gave which value, where words were given."""
    found = recipe_or_words(given, "the recipe")
    if isinstance(found, Recipe) or find_call(found) is not None:
        return table
    readings = read([(given.name, given.text)], language="en")
    words: dict[str, Any] = {"fields": fields_of(readings[0]), "remarks": _first(readings[0].remarks)}
    if len(readings) > 1:
        words["other_readings"] = [one.reason for one in readings[1:]]
    return {**table, name: words}


def _first(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _MOST
    return [*lines[:_MOST], *([f"... and {more} more"] if more > 0 else [])]


def _one_of(**given: int | None) -> None:
    """Raise if two arguments were given that say the same."""
    if all(value is not None for value in given.values()):
        raise GivenError(f"give {' or '.join(f'`{name}`' for name in given)}, not both.")


def _bounded(table: dict[str, Any]) -> dict[str, Any]:
    """Return an answer as JSON has it.

    Raises:
        GivenError: If it is longer than an assistant can use.
    """
    found = to_json(table)
    length = len(json.dumps(found, ensure_ascii=False, allow_nan=False))
    if length > LARGEST:
        raise GivenError(
            f"the answer has {length:,} characters, and at most {LARGEST:,} are given. Give a smaller part of the text."
        )
    return found
