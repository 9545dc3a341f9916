r"""A configuration that a program writes, string by string: `f.write("base_lr: %f" % lr)`, `"[net]\\nbatch=64"`."""

from __future__ import annotations

import ast
import re

from downslope.reading.code.pieces import Program
from downslope.reading.code.tree import defaults_of

_LINE = re.compile(r"[ \t]*(?:\[\w+\]|[A-Za-z_][\w.]{0,60}[ \t]*[:=](?![:=])[ \t]*\S|[{}])")
_PLACEHOLDER = re.compile(r"%[-+.\d]*[dfgs]|\{[\w:.]*\}")
_FEWEST = 4


def written_lines(program: Program) -> str:
    """Return the text of a program with all blank but the lines of a configuration in its strings, each in its place.

    A placeholder that is filled with a number, or with a parameter whose default is one, has that number in its place,
    as far as there is room. "" is returned where there are fewer than four such lines.
    """
    nodes = [node for statement in program.body for node in ast.walk(statement)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    known = {arg.arg: value for function in functions for arg, value in defaults_of(function.args)}
    filled = {
        id(node.left): node.right for node in nodes if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod)
    }
    text = [character if character == "\n" else " " for character in program.text]
    count = 0
    for node in nodes:
        if (
            not isinstance(node, ast.Constant)
            or not isinstance(node.value, str)
            or not _LINE.match(node.value.lstrip())
        ):
            continue
        start, end = program.place(node)
        source = program.text[start:end]
        mark = re.match(r"[A-Za-z]{0,2}(\"{3}|'{3}|\"|')", source)
        if mark is None:
            continue
        words = source[mark.end() : len(source) - len(mark[1])].replace("\\n", " \n")
        given = filled.get(id(node))
        given = known.get(given.id) if isinstance(given, ast.Name) else given
        place = _PLACEHOLDER.search(words)
        if place is not None:
            value = given.value if isinstance(given, ast.Constant) else ""
            words = words[: place.start()] + str(value)
        if words.count('"') % 2:  # of a word put together from several strings
            words = words[: words.rindex('"')]
        count += len([line for line in words.splitlines() if _LINE.match(line)])
        text[start : start + mark.end()] = [*" " * (mark.end() - 1), "\n"]
        text[start + mark.end() : start + mark.end() + len(words)] = words
    return "".join(text) if count >= _FEWEST else ""
