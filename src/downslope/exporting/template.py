"""Programs from the templates in templates/: lines of the program, and lines for this module that begin with %.

    % if groups and not masked     the lines up to `elif`, `else` or `end`, if the values are true; also `name == word`
    % for name, width in layers    the lines up to `end`, for each item of a value
    % include repeated.py.txt      another template, indented as this line is

$name, $name.attribute and ${name} stand for values: a text, a list of lines, or anything else as Python writes it.

Why not Jinja2: it comes with an extra, for pages, and `export` needs no extra.

The lines of a comment are one paragraph, which is wrapped. A call whose arguments have a line each is joined to one
where that fits; one whose arguments share a line is joined, left, or split into a line each.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from downslope.exporting.export_plan import Plan
from downslope.exporting.python_source import WIDTH, comment, harmless, laid_out, statement

Values = Mapping[str, Any]
Node = Callable[[Values, str], list[str]]
"""(values, what every line is indented by) -> lines."""

_UNBROKEN = ("if ", "elif ", "return ", "value = ", "piece = ")
"""What a line begins with that is not to be broken."""


def write(template: str, plan: Plan, framework: str, **values: Any) -> str:
    """Return a Python program: a template filled with a plan's values and others.

    Args:
        template: The template's file.
        plan: The plan.
        framework: What the program's docstring calls its frameworks.
        **values: What else the template needs.
    """
    title, source = harmless(plan.recipe.title or "SGD by a recipe"), harmless(plan.recipe.source)
    described = {"framework": framework, "title": title, "source": source}
    return laid_out(fill(template, {**known(plan), **described, **values}))


def known(plan: Plan) -> dict[str, Any]:
    """Return the values that every template has."""
    train = plan.recipe.train
    values = {"plan": plan, "recipe": plan.recipe, "train": train}
    widens = train.velocity_dtype == "int8"  # which no other framework has
    return {**values, "plateau": train.plateau, "clip_norm": train.clip_norm, "widens_velocities": widens}


def fill(template: str, values: Values, indent: str = "") -> list[str]:
    """Return the lines of a template with the values in their places.

    Raises:
        KeyError: If the template needs a value that is not given.
    """
    return filled(_read(template), values, indent)


def filled(nodes: list[Node], values: Values, indent: str = "") -> list[str]:
    """Return the lines of a parsed template."""
    return [line for node in nodes for line in node(values, indent)]


@lru_cache
def _read(template: str) -> list[Node]:
    return parse(resources.files("downslope.exporting").joinpath("templates", template).read_text(encoding="utf-8"))


def parse(text: str) -> list[Node]:
    """Return what each part of a template's text becomes, given the values.

    Raises:
        ValueError: If a line with % is unknown, ends no block, or a block or a call has no end.
    """
    return _block(iter(_paragraphs(text.splitlines())))[0]


def _paragraphs(lines: list[str]) -> list[str]:
    """Join the lines of each comment into one; a comment of more than one space is kept as it is."""
    found: list[str] = []
    for line in lines:
        lead, sign, text = line.partition("# ")
        begun = f"{lead}# " if sign and not lead.strip() and not text.startswith(" ") else None
        if begun and found and found[-1].startswith(begun):
            found[-1] += f" {text}"
        else:
            found.append(line)
    return found


def _block(lines: Iterator[str], *words: str, closing: str | None = None) -> tuple[list[Node], str]:
    """Return the nodes up to the line that ends them, by one of these words or as `closing` begins, and that line."""
    nodes: list[Node] = []
    for line in lines:
        text = line.lstrip()
        indent = line[: len(line) - len(text)]
        word, _, rest = text[2:].partition(" ") if text.startswith("% ") else ("", "", "")
        if word == "if":
            nodes.append(_condition(lines, rest))
        elif word == "for":
            nodes.append(_loop(lines, *rest.split(" in ")))
        elif word == "include":
            nodes.append(_inclusion(rest, indent))
        elif word in words or (closing and line.startswith(closing)):
            return nodes, line
        elif word:
            raise ValueError(f"`{text}` in a template is unknown, or ends no block.")
        elif text.endswith("("):
            nodes.append(_call(line, *_block(lines, closing=f"{indent})")))
        else:
            nodes.append(_line(line))
    if words or closing:
        raise ValueError(f"A template ends before `{closing or '% end'}`.")
    return nodes, ""


def _condition(lines: Iterator[str], condition: str) -> Node:
    branches: list[tuple[str, list[Node]]] = []
    word = "if"
    while word != "end":
        block, end = _block(lines, *(("end",) if word == "else" else ("elif", "else", "end")))
        branches.append((condition, block))
        word, _, condition = end.lstrip().removeprefix("% ").partition(" ")

    def node(values: Values, indent: str) -> list[str]:
        chosen = (block for condition, block in branches if not condition or _is_true(condition, values))
        return filled(next(chosen, list[Node]()), values, indent)

    return node


def _loop(lines: Iterator[str], names: str, items: str) -> Node:
    block, _ = _block(lines, "end")

    def node(values: Values, indent: str) -> list[str]:
        found: list[str] = []
        for item in _value(items, values):
            inner = dict(zip(names.split(", "), item, strict=True)) if ", " in names else {names: item}
            found += filled(block, {**values, **inner}, indent)
        return found

    return node


def _inclusion(template: str, further: str) -> Node:
    return lambda values, indent: fill(template, values, indent + further)


def _line(line: str) -> Node:
    text = line.lstrip()
    further = line[: len(line) - len(text)]

    def node(values: Values, indent: str) -> list[str]:
        shown = _placed(text, values)
        if (
            text.startswith("# ") and len(further + shown) > WIDTH
        ):  # as wide as in the template, wherever it is included
            return [f"{indent}{one}" for one in comment(shown[2:], len(further) // 4)]
        lines = [f"{indent}{further}{one}" if one else "" for one in shown.split("\n")]
        if shown.startswith(_UNBROKEN) and len(lines) == 1 and "# fmt" not in shown:
            lines = [statement(lines[0])]
        return lines

    return node


def _call(first: str, inner: list[Node], last: str) -> Node:
    """Return a call whose arguments stand on lines of their own, if it is too long for one line."""

    def node(values: Values, indent: str) -> list[str]:
        begin, end = indent + _placed(first, values), indent + _placed(last, values)
        deeper = f"{begin[: len(begin) - len(begin.lstrip())]}    "
        lines = filled(inner, values, indent)
        parts = [line.removeprefix(deeper) for line in lines]
        if any(part.startswith((" ", ")", "]")) for part in parts):
            return [begin, *lines, end]
        joined = " ".join(parts).removesuffix(",")
        if len(line := f"{begin}{joined}{end.lstrip()}") <= WIDTH:
            return [line]
        if len(parts) == 1 and len(lines[0]) > WIDTH and not parts[0].endswith(","):
            lines = [f"{deeper}{argument}," for argument in _arguments(joined)]
        return [begin, *lines, end]

    return node


def _arguments(source: str) -> list[str]:
    whole = f"f({source})"
    call: Any = ast.parse(whole, mode="eval").body
    return [ast.get_source_segment(whole, one) or "" for one in (*call.args, *call.keywords)]


def _is_true(condition: str, values: Values) -> bool:
    def holds(part: str) -> bool:
        name, _, other = part.removeprefix("not ").partition(" == ")
        value = _value(name, values)
        return bool(str(value) == other if other else value) != part.startswith("not ")

    return any(all(map(holds, some.split(" and "))) for some in condition.split(" or "))


def _value(name: str, values: Values) -> Any:
    first, *attributes = name.split(".")
    value = values[first]
    for attribute in attributes:
        value = getattr(value, attribute)
    return value


def _placed(text: str, values: Values) -> str:
    def shown(found: re.Match[str]) -> str:
        value = _value(found[1] or found[2], values)
        return "\n".join(value) if isinstance(value, list) else value if isinstance(value, str) else repr(value)

    return re.sub(r"\$(?:\{([\w.]+)\}|(\w+(?:\.\w+)*))", shown, text)
