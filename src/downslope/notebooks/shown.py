"""From a thing to what a notebook shows of it: its page where it has one, else blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from downslope.auditing.finding import Audit
from downslope.comparing import Comparison, fields_shown
from downslope.core.errors import MissingDependencyError
from downslope.core.number_text import short_text
from downslope.explaining.explanation import Explanation
from downslope.notebooks.blocks import Block, Code, Points, Rows, Text, Title, as_html, as_markdown, as_text
from downslope.notebooks.fragment import fragment_of
from downslope.reading.order import in_order
from downslope.reading.reading import Reading, Readings
from downslope.reading.shown import describe, marks_of, quoted, shown, title_of
from downslope.recipe.load import to_toml
from downslope.recipe.schema import Recipe
from downslope.rescaling.rescaled import Rescaled

LONGEST = 20_000
"""Characters of the texts that a reading shows beside its values; of longer ones the values are shown alone."""


def show_html(thing: Any) -> str | None:
    """Return what a notebook shows of a thing; None where what draws it is not installed, or there is nothing yet."""
    try:
        page = _page_of(thing)
    except MissingDependencyError:
        return None
    if page is not None:
        return fragment_of(page)
    blocks = _blocks_of(thing)
    return as_html(blocks) if blocks else None


def show_markdown(thing: Any) -> str | None:
    """Return the same in short as Markdown; None for a thing whose page is pictures."""
    blocks = _blocks_of(thing)
    return as_markdown(blocks) if blocks else None


def show_text(thing: Any) -> str:
    """Return it as a terminal has it: as the command prints it where it is one's result."""
    match thing:
        case Reading():
            return describe([thing])
        case Readings():
            return describe(thing, texts=dict(thing.texts))
        case Explanation() | Audit():
            return str(thing)
        case _:
            blocks = _blocks_of(thing)
            return as_text(blocks) if blocks else repr(thing)


def _page_of(thing: Any) -> str | None:
    """Return the page of a thing, or None where it has none."""
    match thing:
        case Explanation():
            from downslope.explaining.page import render

            return render(thing)
        case Readings() | Reading():
            from downslope.reading.html_page import render

            readings, texts = ([thing], ()) if isinstance(thing, Reading) else (thing, thing.texts)
            return render(readings, texts if sum(len(text) for _, text in texts) <= LONGEST else ())
        case Recipe() | Comparison() | Audit() | Rescaled():
            return None
        case _:
            return _page_of_training(thing)


def _page_of_training(thing: Any) -> str | None:
    """Return the page of a run or a study as far as it has come: these alone need what trains."""
    from downslope.training.folder.run_folder import RunFolder

    if isinstance(thing, RunFolder):
        from downslope.training.report.data import read_runs
        from downslope.training.report.page import render

        return render(read_runs([thing.path]))
    from downslope.training.tuning.page import render_study
    from downslope.training.tuning.work import Design

    state = thing.state()
    begun = {job.trial for job in state.results}
    state = replace(state, points={number: point for number, point in state.points.items() if number in begun})
    return render_study(Design.of(thing.about), state) if begun else None


# What has no page, and everything in short


def _blocks_of(thing: Any) -> list[Block]:
    """Return what a thing is in short; nothing for a run or a study, whose pages are pictures."""
    return next((blocks(thing) for kind, blocks in _IN_SHORT.items() if isinstance(thing, kind)), [])


def _of_reading(one: Reading) -> list[Block]:
    rows = []
    for path in in_order(one.fields):
        found = one.fields[path]
        marks = marks_of(found, one.language)
        rows.append(
            (path, shown(found.value), found.provenance, f"look at this: {marks}. " * bool(marks) + quoted(found))
        )
    title = f"{title_of(one.optimizer)}{f': {one.reason}' if one.reason else ''}"
    return [Title(title), Rows(("value of", "is", "by the text", "words"), rows), Points("To know", one.remarks)]


def _of_readings(readings: Readings) -> list[Block]:
    return [block for one in readings for block in _of_reading(one)]


def _of_recipe(recipe: Recipe) -> list[Block]:
    return [Code(to_toml(recipe), "toml")]


def _of_rescaled(found: Rescaled) -> list[Block]:
    rows = [(one.path, _value(one.before), _value(one.after), f"{one.why} ({one.source})") for one in found.changes]
    return [Rows(("key", "before", "now", "why"), rows), Points("To know", found.remarks)]


def _value(value: Any) -> str:
    return "absent" if value is None else str(value)


def _of_comparison(found: Comparison) -> list[Block]:
    if found.same:
        verdict = f"The same rule, up to step {found.compared_until}"
    elif found.first_step is None:
        verdict = "Not the same training: one rule, for other parameters"
    else:
        verdict = f"Not the same rule: they part at step {found.first_step}"
    rows = [(f"{'* ' * (name in found.causes)}{name}", a, b) for name, a, b in fields_shown(found)]
    return [
        Title(verdict),
        Text(f"A: {found.a}"),
        Text(f"B: {found.b}"),
        *([Text(f"Because of: {', '.join(found.causes)}")] if found.causes else []),
        Rows(("setting", "A", "B"), rows),
        Points("To make them equal", found.suggestions),
        Points("To know", found.remarks),
    ]


def _of_audit(found: Audit) -> list[Block]:
    rows = [(one.level, one.what, one.where, f"{one.why} ({one.source})", one.do, one.sure) for one in found.findings]
    table = Rows(("", "what", "where", "why", "what to do", "sure"), rows)
    return [Title(f"{found.title}: {found.counted}"), table, Points("Not checked", found.not_checked)]


def _of_explanation(found: Explanation) -> list[Block]:
    rows = [
        (one.name.replace("_", " "), short_text(one.value), one.unit, one.equation)
        for one in found.items
        if one.value is not None and math.isfinite(one.value)
    ]
    rule = "\n".join(f"{left} = {right}" for left, right in found.equations)
    return [Title(found.title or "These settings"), Code(rule, "text"), Rows(("", "", "in", "equation"), rows)]


_IN_SHORT: Mapping[type, Callable[[Any], list[Block]]] = MappingProxyType(
    {
        Reading: _of_reading,
        Readings: _of_readings,
        Explanation: _of_explanation,
        Comparison: _of_comparison,
        Audit: _of_audit,
        Rescaled: _of_rescaled,
        Recipe: _of_recipe,
    }
)
