"""Python source, laid out as a formatter would: calls, comments, docstrings, imports, empty lines."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Sequence

from downslope.core.groups import BIAS_AND_NORM

WIDTH = 88
"""Columns of the code that is written: the default of ruff and black."""

_STEP = "    "


def nested(function: str, arguments: Iterable[str]) -> str:
    """Return a call as the argument of another: one line, or several joined by newlines."""
    given = list(arguments)
    line = f"{function}({', '.join(given)})"
    if len(line) <= WIDTH - 13 and "\n" not in line:
        return line
    return listed(given, brackets="()", before=function)


def listed(items: Iterable[str], *, brackets: str = "[]", before: str = "", room: int = WIDTH - 30) -> str:
    """Return a list as an argument: one line, or one item to a line where there is no room for that."""
    given = list(items)
    line = f"{before}{brackets[0]}{', '.join(given)}{brackets[1]}"
    if len(line) <= room and "\n" not in line:
        return line
    inner = textwrap.indent("\n".join(f"{item}," for item in given), _STEP)
    return f"{before}{brackets[0]}\n{inner}\n{brackets[1]}"


def comment(text: str, depth: int = 0) -> list[str]:
    """Return a sentence as comment lines."""
    lead = f"{_STEP * depth}# "
    return textwrap.wrap(
        " ".join(text.split()), WIDTH, initial_indent=lead, subsequent_indent=lead, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def docstring(first: str, *rest: str, depth: int = 0) -> list[str]:
    """Return a docstring: its first line, and paragraphs."""
    lead = _STEP * depth
    if not rest and len(first) + len(lead) + 6 <= WIDTH:
        return [f'{lead}"""{first}"""']
    head, *more = textwrap.wrap(first, WIDTH - len(lead) - 3, break_on_hyphens=False) or [""]
    lines = [f'{lead}"""{head}', *(f"{lead}{line}" for line in more)]
    for paragraph in rest:
        lines += [
            "",
            *(f"{lead}{line}" for line in textwrap.wrap(paragraph, WIDTH - len(lead), break_on_hyphens=False)),
        ]
    return [*lines, f'{lead}"""']


def statement(line: str) -> str:
    """Return a line that is not to be broken, marked so if it is too long."""
    return line if len(line) <= WIDTH else f"{line}  # fmt: skip"


def match_source(patterns: Iterable[str], *, is_flat: str) -> str:
    """Return the source of whether the parameter called `name` matches one of the patterns of a group.

    Args:
        patterns: The patterns.
        is_flat: Source of whether the parameter has at most one dimension.
    """
    conditions: list[str] = []
    for pattern in patterns:
        if pattern == BIAS_AND_NORM:
            conditions += [is_flat, 'name.split(".")[-1] == "bias"']
        elif not any(mark in pattern for mark in "*?["):
            conditions.append(f"name == {quoted(pattern)}")
        else:
            conditions.append(f"fnmatchcase(name, {quoted(pattern)})")
    return " or ".join(conditions)


def quoted(text: str) -> str:
    """Return a string's Python source in double quotes."""
    import json  # only programs with groups need it

    return json.dumps(text, ensure_ascii=False)


def harmless(text: str) -> str:
    """Return text that cannot end a docstring or begin an escape."""
    plain = re.sub(r"\s+", " ", text).lstrip().replace("\\", "/").replace('"""', "'''")
    return "".join(character if character.isprintable() else " " for character in plain)


def laid_out(lines: Sequence[str]) -> str:
    """Return a program's text: imports that it needs, docstrings wrapped, empty lines as a formatter has them."""
    return "\n".join(_with_needed_imports(_with_wrapped_docstrings(_spaced(lines)))) + "\n"


def _spaced(lines: Sequence[str]) -> list[str]:
    """Return lines with two empty ones around each definition at the top, and never two elsewhere."""
    found: list[str] = []
    for number, line in enumerate(lines):
        if line:
            found.append(line)
        elif found[-1]:
            following = [one for one in lines[number:] if one]
            code = next((one for one in following if not one.startswith("#")), "")
            defined = found[-1].startswith((" ", ")")) or code.startswith(("def ", "class ", "@", "if __name__"))
            found += ["", ""] if defined and following and not following[0].startswith(" ") else [""]
    while not found[-1]:
        found.pop()
    return found


def _with_wrapped_docstrings(lines: Sequence[str]) -> list[str]:
    """Return lines with those docstrings wrapped that have several lines."""
    found: list[str] = []
    rest = iter(lines)
    for line in rest:
        text = line.lstrip()
        if not text.startswith('"""') or text.endswith('."""'):
            found.append(line)
            continue
        inside = text[3:]
        while not inside.endswith('"""'):
            inside += f"\n{next(rest).strip()}"
        paragraphs = [one.replace("\n", " ") for one in inside[:-3].strip().split("\n\n")]
        found += docstring(*paragraphs, depth=(len(line) - len(text)) // 4)
    return found


def _with_needed_imports(lines: list[str]) -> list[str]:
    """Return a program with those of its imports whose names its code reads."""
    tree = ast.parse("\n".join(lines))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    given = {node.lineno - 1: node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    needed: list[str] = []
    for number in range(min(given), max(given) + 1):
        if number in given:
            needed += _needed(given[number], used)
        elif needed:  # the empty line after the standard library's
            needed.append("")
    while needed and not needed[-1]:
        needed.pop()
    return [*lines[: min(given)], *needed, *lines[max(given) + (1 if needed else 2) :]]


def _needed(statement: ast.Import | ast.ImportFrom, used: set[str]) -> list[str]:
    statement.names = [alias for alias in statement.names if (alias.asname or alias.name.split(".")[0]) in used]
    if not statement.names:
        return []
    line = ast.unparse(statement)
    if len(line) <= WIDTH:
        return [line]
    before, names = line.split(" import ")
    return [f"{before} import (", *(f"{_STEP}{name}," for name in names.split(", ")), ")"]
