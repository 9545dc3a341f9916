"""What is audited, and as much of it as is known: settings, recipe, sizes of the run, program, log, optimizer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any

from downslope.auditing.program import Program, read_program
from downslope.core.errors import DownslopeError, RecipeError
from downslope.core.rule import StepScalars
from downslope.core.settings import Settings
from downslope.core.shown import shown
from downslope.explaining.explanation import RunSize
from downslope.explaining.run_course import Course, run_size
from downslope.explaining.subject import understand
from downslope.recipe.given import first_recipe, names_a_file, names_a_folder, refuse_data, words_of_file
from downslope.recipe.known import comes_with_package
from downslope.recipe.load import parse_recipe, to_toml
from downslope.recipe.overrides import Override
from downslope.recipe.schema import Recipe


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a person knows of the run besides: None for what is not given."""

    examples: int | None = None
    batch_size: int | None = None
    steps: int | None = None
    steps_per_epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is audited.

    Attributes:
        title: What to call it.
        settings: The optimizer's settings; None where nothing says them.
        recipe: The recipe; None where there is none.
        run: The sizes of the run.
        program: The text of a program, or "".
        name: The name of its file, or "".
        rows: The rows of a run's log by kind.
        places: Dotted path -> where its value stands.
        unknown: Why there are no settings, or "".
        unsure: Dotted paths whose values may be others, by what the words say.
    """

    title: str
    settings: Settings | None = None
    recipe: Recipe | None = None
    run: RunSize = field(default_factory=RunSize)
    program: str = ""
    name: str = ""
    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict[str, Sequence[Mapping[str, Any]]])
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    unknown: str = ""
    unsure: tuple[str, ...] = ()

    @cached_property
    def course(self) -> Course:
        """The settings over time."""
        return Course.of(self.settings or Settings(lr=0.0), self.run)

    @cached_property
    def peak(self) -> StepScalars:
        """The scalars of the step with the largest effective lr."""
        return self.course.peak()

    @cached_property
    def parsed(self) -> Program | None:
        """The program as events; None where there is none, or it cannot be parsed."""
        return read_program(self.program) if self.program else None

    def where(self, path: str) -> str:
        """Return where the value of a dotted path stands."""
        place = next((text for key, text in self.places.items() if key == path or key.startswith(f"{path}.")), "")
        return f"{path}, {place}" if place else path

    def line(self, number: int) -> str:
        """Return where a line of the program stands: its file, number and words."""
        words = self.program.splitlines()[number - 1].strip()[:80]
        return f"{self.name + ', ' if self.name else ''}line {number}: {words}"


def find_subject(thing: Any, sizes: Sizes, overrides: Iterable[Override] = ()) -> Subject:
    """Return what is to be audited: a recipe, settings, a path, the text of a program, or a sentence.

    Raises:
        DownslopeError: If it cannot be read, or says nothing.
    """
    overrides = tuple(overrides)
    if not isinstance(thing, str | os.PathLike):
        return _of_recipe(thing, sizes, overrides)
    text = os.fspath(thing)
    if names_a_folder(text):
        return _of_run(text, sizes, overrides)
    if text.endswith(".toml") or comes_with_package(text) is not None:
        return _of_recipe(text, sizes, overrides)
    refuse_data(text)
    if isinstance(thing, os.PathLike) or names_a_file(text):
        return subject_of_words(words_of_file(text), sizes, overrides, text)
    return subject_of_words(text, sizes, overrides)


def _of_recipe(thing: Any, sizes: Sizes, overrides: tuple[Override, ...]) -> Subject:
    given = understand(thing, overrides)
    run = run_size(
        examples=sizes.examples or given.examples,
        batch_size=sizes.batch_size or given.batch_size,
        accumulate=given.accumulate,
        epochs=None if sizes.steps else given.epochs,
        steps=sizes.steps or given.steps,
    )
    title = thing if isinstance(thing, str) else given.title or type(thing).__name__
    return Subject(
        title=shown(title), settings=given.settings, recipe=given.recipe, run=with_epoch(run, sizes.steps_per_epoch)
    )


def with_epoch(run: RunSize, steps_per_epoch: int | None) -> RunSize:
    """Return the sizes of a run whose steps in an epoch are given."""
    if steps_per_epoch is None or run.steps_per_epoch is not None:
        return run
    total, epochs = run.total_steps, run.epochs
    if total is None and epochs is not None:
        total = max(1, round(epochs * steps_per_epoch))
    elif total is not None:
        epochs = total / steps_per_epoch
    return replace(run, steps_per_epoch=steps_per_epoch, total_steps=total, epochs=epochs)


def subject_of_words(text: str, sizes: Sizes, overrides: tuple[Override, ...] = (), name: str = "") -> Subject:
    """Return what a sentence, a program or a configuration says, and of its sizes only what it says; no file is read.

    Args:
        text: The text.
        sizes: What is known besides.
        overrides: Pairs of a dotted path and a TOML value as text.
        name: The name of its file, or "".

    Raises:
        DownslopeError: If it says nothing.
    """
    if "[sgd]" in text:
        return replace(_of_recipe(text, sizes, overrides), title=shown(name) or "the text")
    from downslope.reading import read  # its word lists are loaded for words only
    from downslope.reading.code.looks import looks_like_python

    program = text if name.endswith(".py") or looks_like_python(text) else ""
    title = shown(name) if name else shorten(" ".join(text.split()), 90, placeholder=" ...")
    reading = read(text, language="en", name=name)[0]
    places = {path: _place(text, found.start, found.words) for path, found in reading.fields.items()}
    places = {path: place for path, place in places.items() if place}
    try:
        recipe: Recipe = first_recipe(text, [reading])
    except DownslopeError as error:
        if not program:
            raise
        return Subject(title=title, program=program, name=name, places=places, unknown=str(error))
    if overrides:
        recipe = parse_recipe(to_toml(recipe), "the words", overrides)
    said = {*reading.fields, *(path for path, _ in overrides)}
    if any("rate_unrecognised" in found.marks for found in reading.fields.values()) and "sgd.lr" not in dict(overrides):
        why = next(
            (remark for remark in reading.remarks if "not recognised" in remark), "its course was not recognised"
        )
        return Subject(title=title, program=program, name=name, places=places, unknown=f"{why} Give --sgd.lr")
    run = run_size(
        examples=sizes.examples,
        batch_size=sizes.batch_size or (recipe.data.batch_size if "data.batch_size" in said else None),
        accumulate=recipe.train.accumulate,
        epochs=None if sizes.steps else recipe.train.epochs if "train.epochs" in said else None,
        steps=sizes.steps or (recipe.train.steps if "train.steps" in said else None),
    )
    return Subject(
        title=title,
        settings=recipe.sgd,
        recipe=recipe,
        run=with_epoch(run, sizes.steps_per_epoch),
        program=program,
        name=name,
        places=places,
        unsure=tuple(path for path, found in reading.fields.items() if _UNSURE & {*found.marks}),
    )


_UNSURE = frozenset({"conditional", "competing", "two_optimizers"})
"""Marks of values that may be others."""


def _place(text: str, start: int, words: str) -> str:
    if start < 0:
        return ""
    line = text.count("\n", 0, start) + 1
    said = f'"{" ".join(words.split())[:60]}"'
    return f"line {line}: {said}" if "\n" in text.strip() else said


def _of_run(folder: str, sizes: Sizes, overrides: tuple[Override, ...]) -> Subject:
    from downslope.training.folder.run_folder import RunFolder  # a run's own reader, for runs only

    if overrides or any(vars(sizes).values()):
        raise RecipeError(f"{shown(folder)}: is a run, which knows its recipe and sizes. Give no options with it.")
    run = RunFolder(Path(folder))
    recipe, facts = run.recipe(), run.facts()
    size = run_size(
        examples=facts.get("data", {}).get("train_examples"),
        batch_size=recipe.data.batch_size,
        accumulate=recipe.train.accumulate,
        epochs=recipe.train.epochs,
        steps=recipe.train.steps,
    )
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in run.rows():
        rows.setdefault(row["kind"], []).append(row)
    return Subject(
        title=shown(folder),
        settings=recipe.sgd,
        recipe=recipe,
        run=with_epoch(size, facts.get("steps_per_epoch")),
        rows=rows,
    )
