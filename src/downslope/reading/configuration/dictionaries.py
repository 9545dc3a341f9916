"""Python that assigns dictionaries, as configurations of OpenMMLab and many others do: read as a tree, never run."""

from __future__ import annotations

import ast
import re
import warnings
from itertools import accumulate
from typing import Any

from downslope.reading.arithmetic import is_number, operate
from downslope.reading.configuration.entries import DEEPEST, MOST, Entry
from downslope.reading.configuration.literals import read_literals

_BUILDERS = frozenset({"dict", "list", "tuple", "float", "int", "set"})
_ROUNDED = {"float": float, "int": int, "round": round, "abs": abs, "min": min, "max": max}


def read_dictionaries(text: str) -> list[Entry]:
    r"""Return the entries of a Python text's assignments.

    Example:
        >>> [(one.path, one.value) for one in read_dictionaries("n = 2\nsgd = dict(lr=0.1 * n, steps=[3, 6])")]
        [(('n',), 2), (('sgd', 'lr'), 0.2), (('sgd', 'steps'), [3, 6])]
    """
    whole = text.lstrip("\n")[:1] in {" ", "\t"}
    piece = _piece(text) if ends_in_comma(text) else None
    found = piece or _parsed("if 1:\n" if whole else "", text, "") or _piece(text)
    before, tree, source = found or ("", None, "")
    if tree is None:
        return [one for one in read_literals(text) if not (one.path[-1] == "type" and one.value == "dict")]
    reader = _Walk(source)
    for statement in tree.body:
        reader.statement(statement)
    return [one.moved(-len(before)) for one in reader.entries if one.end <= len(before) + len(text)]


def is_piece(text: str) -> bool:
    r"""Return whether a text is the inside of a dictionary or of a call, or one that is not closed.

    Example:
        >>> is_piece("lr=0.1, wd=1e-4,\nsteps=[3, 6],"), is_piece("t = {\n  'lr': 0.1,\n"), is_piece("f(3), 4")
        (True, True, False)
    """
    found = _piece(text) if len(text) < _LONGEST_PIECE else None
    calls = [one.func for one in ast.walk(found[1]) if isinstance(one, ast.Call)] if found else []
    named = [one for one in ast.walk(found[1]) if isinstance(one, ast.Dict | ast.keyword)] if found else []
    return bool(named) and all(isinstance(one, ast.Name) and one.id in {*_BUILDERS, *_ROUNDED} for one in calls)


def ends_in_comma(text: str) -> bool:
    """Return whether something should follow: `a=1, b=2,` is no pair of tuples."""
    last = text.rstrip().rpartition("\n")[2].partition("#")[0].rstrip()
    return last.endswith(",") or len(_LISTED.findall(text)) > 1


_LISTED = re.compile(r"^\w[\w.]{0,60} ?=[^=\n(\[{][^\n(\[{]{0,80},[ \t]{0,9}(?:#[^\n]{0,200})?$", re.MULTILINE)


_LONGEST_PIECE = 20_000
_OPENED = {")": "dict(", "}": "{", "]": "["}
_SIGN = re.compile(r"#[^\n]*|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[()\[\]{}]")


def _piece(text: str) -> tuple[str, ast.Module, str] | None:
    """Return what must stand before a piece of a dictionary so that it is one, its tree, and the whole."""
    opened: list[str] = []
    missing = ""
    for match in _SIGN.finditer(text):
        sign = match.group()
        if sign in "([{":
            opened.append({"(": ")", "[": "]", "{": "}"}[sign])
        elif sign in _OPENED and opened and opened[-1] == sign:
            opened.pop()
        elif sign in _OPENED:
            missing = _OPENED[sign] + missing
            opened.clear()
    kept = text.rstrip().rpartition("\n")[0]
    closed = "\n" + "".join(reversed(opened))
    ways = [(missing, text, closed), (missing, kept, closed)] if missing or opened else []
    ways += [("dict(", text, "\n)"), ("{", text, "\n}")] if not missing and not opened else []
    return next((found for before, inner, after in ways if (found := _parsed(before, inner, after))), None)


def _parsed(before: str, text: str, after: str) -> tuple[str, ast.Module, str] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return before, ast.parse(before + text + after), before + text + after
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Walk:
    def __init__(self, text: str) -> None:
        self.text = text
        lines = text.encode("utf-8", "replace").split(b"\n")
        self.lines = lines
        self.starts = [0, *accumulate(len(line.decode("utf-8", "replace")) + 1 for line in lines)]
        self.entries: list[Entry] = []
        self.names: dict[str, tuple[ast.expr, int, int]] = {}

    def place(self, line: int, column: int) -> int:
        head = self.lines[line - 1][:column]
        return self.starts[line - 1] + (column if head.isascii() else len(head.decode("utf-8", "replace")))

    def span(self, node: ast.AST) -> tuple[int, int]:
        found: Any = node
        return self.place(found.lineno, found.col_offset), self.place(found.end_lineno, found.end_col_offset)

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.With | ast.If):
            for one in node.body:
                self.statement(one)
        elif isinstance(node, ast.Expr):
            self.value(node.value, (), self.span(node)[0], 0)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            start, end = self.span(node)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                path = path_of(target)
                if path:
                    self.value(node.value, path, start, 0)
                if len(path) == 1:
                    self.names[path[0]] = (node.value, start, end)

    def value(self, node: ast.expr, path: tuple[str, ...], start: int, depth: int) -> None:
        """Add the entries of a value whose key starts at `start`."""
        if depth > DEEPEST or len(self.entries) >= MOST:
            return
        if isinstance(node, ast.Call):
            name = path_of(node.func)
            if name and name[-1] not in {*_BUILDERS, *_ROUNDED}:
                self.entries.append(Entry((*path, "type"), ".".join(name), *self.span(node.func)))
            for keyword in node.keywords:
                if keyword.arg:
                    self.value(keyword.value, (*path, keyword.arg), self.span(keyword)[0], depth + 1)
            if not node.args or (name and name[-1] not in {*_BUILDERS, *_ROUNDED}):
                return
            if not (name and name[-1] in _ROUNDED):
                self.value(node.args[0], path, start, depth + 1)
                return
        if isinstance(node, ast.Dict):
            for key, inner in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant):
                    self.value(inner, (*path, *str(key.value).split(".")), self.span(key)[0], depth + 1)
            return
        tables = [one for one in getattr(node, "elts", ()) if isinstance(one, ast.Dict | ast.Call)]
        for place, one in enumerate(tables):
            self.value(one, (*path, f"#{place}"), self.span(one)[0], depth + 1)
        if tables or not path:
            return
        end = self.span(node)[1]
        if isinstance(node, ast.Name) and node.id in self.names:
            bound, first, last = self.names[node.id]
            found = self.evaluate(bound, 0)
            if found is not None and not isinstance(bound, ast.Dict | ast.Call):
                self.entries.append(Entry(path, found, first, last, derived=_works(bound)))
            return
        found = self.evaluate(node, 0)
        if found is not None or isinstance(node, ast.Constant):
            self.entries.append(Entry(path, found, start, end, derived=_works(node)))

    def evaluate(self, node: ast.expr, depth: int) -> Any:
        """Return what a node is worth: a constant, a list of such, a name's value, arithmetic; else None."""
        if depth > DEEPEST:
            return None
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str | int | float | bool) else None
        if isinstance(node, ast.List | ast.Tuple):
            return [self.evaluate(one, depth + 1) for one in node.elts[:10_000]]
        if isinstance(node, ast.Name) and node.id in self.names:
            return self.evaluate(self.names[node.id][0], depth + 1)
        if isinstance(node, ast.Name):
            return {"true": True, "false": False, "null": None}.get(node.id, node.id)
        if isinstance(node, ast.Call) and node.args and (name := path_of(node.func)) and name[0] in _ROUNDED:
            return _as(name[0], [self.evaluate(one, depth + 1) for one in node.args])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            found = self.evaluate(node.operand, depth + 1)
            return (-found if isinstance(node.op, ast.USub) else found) if isinstance(found, int | float) else None
        if isinstance(node, ast.BinOp):
            return _combine(node.op, self.evaluate(node.left, depth + 1), self.evaluate(node.right, depth + 1))
        return None


def _as(name: str, values: list[Any]) -> Any:
    try:
        return _ROUNDED[name](*values)
    except (TypeError, ValueError, OverflowError):
        return None


def _combine(sign: ast.operator, left: Any, right: Any) -> Any:
    return operate(sign, left, right) if is_number(left) and is_number(right) else None


def _works(node: ast.expr) -> bool:
    worked = isinstance(node, ast.Call) and path_of(node.func)[-1:] in {("round",), ("min",), ("max",), ("abs",)}
    return worked or isinstance(node, ast.BinOp) or any(isinstance(one, ast.BinOp) for one in getattr(node, "elts", ()))


def path_of(node: ast.expr) -> tuple[str, ...]:
    """Return `cfg.SOLVER.BASE_LR` and `cfg["lr"]` as their keys; () for what is no such thing."""
    parts: list[str] = []
    while len(parts) < DEEPEST:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            parts.append(str(node.slice.value))
            node = node.value
        else:
            break
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()
