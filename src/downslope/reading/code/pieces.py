"""A text as a program: the largest pieces of it that are Python, with the places of their words in the text."""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

LONGEST = 200_000
"""Characters of a program that are read."""
_LONGEST_REPAIRED = 20_000
_REPAIRS = 6
_WORK = 1_500_000
"""Characters that are parsed in all, piece by piece, of a text that is no Python as a whole."""
_DEEPEST = 6
_LONGEST_STATEMENT = 400

_PROMPT = re.compile(r"^(\s*)(>>> ?|\.\.\. (?=\s*\S)|In \[\d{1,5}\]: ?|   \.\.\.: ?)")
_NO_CODE = re.compile(
    r"^(\s*)(?:[%!]\S.*|print\s+[^(=\s].*|print\s*>>.*|exec\s+[\"'].*|raise\s+\w+\s*,.*|\.\.\.\S.*|…+)$"
)
_OLD_EXCEPT = re.compile(r"^(\s*except\s+[\w.()]+)(\s*,\s*\w+)(\s*:.*)$")
_OLD_ASYNC = re.compile(r"\basync(?=\s?=)")
_CONTINUES = re.compile(r"[)\]}]|(?:elif|else|except|finally)\b")
STRING = re.compile(r"#[^\n]*|\"\"\"|'''|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[()\[\]{}]")
_OPENS = re.compile(r":[ \t]{0,20}(?:#.*)?$")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass
class Program:
    """The statements of a text.

    Attributes:
        text: The text.
        body: Its statements; `place` says where they stand.
        lost: (first place, place after the last) of the lines that are no Python.
    """

    text: str
    body: list[ast.stmt] = field(default_factory=list[ast.stmt])
    lost: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def __post_init__(self) -> None:
        """Find the lines."""
        self.work = _WORK
        self.places: dict[int, tuple[int, int]] = {}
        self.kept: list[ast.AST] = []
        self.lines = self.text.split("\n")
        self.starts = list(accumulate((len(line) + 1 for line in self.lines), initial=0))

    def place(self, node: ast.AST) -> tuple[int, int]:
        """Return where a node begins in the text, and the place after it."""
        known = self.places.get(id(node))
        if known is not None:
            return known
        line, end = getattr(node, "lineno", 1), getattr(node, "end_lineno", None) or getattr(node, "lineno", 1)
        last = getattr(node, "end_col_offset", None) or 0
        found = self._at(line, getattr(node, "col_offset", 0)), self._at(end, last)
        self.places[id(node)] = found
        return found

    def _at(self, line: int, column: int) -> int:
        if line > len(self.lines):
            return len(self.text)
        words = self.lines[line - 1]
        if not words.isascii():  # columns are counted in bytes
            column = len(words.encode("utf-8", "replace")[:column].decode("utf-8", "ignore"))
        return self.starts[line - 1] + column


def parse_program(text: str) -> Program:
    r"""Return the largest pieces of a text that are Python; prompts, magics and statements of Python 2 are passed over.

    Example:
        >>> program = parse_program("We train so:\n\n    opt = SGD(lr=0.1)\n    print 'ok'")
        >>> [ast.unparse(statement) for statement in program.body], program.lost
        (['opt = SGD(lr=0.1)', 'pass'], [(0, 12)])
    """
    end = len(text) if len(text) <= LONGEST else text.rfind("\n", 0, LONGEST) + 1 or LONGEST
    program = Program(text[:end])
    tree = _parse(program.text)
    if tree is None:
        lines = [_python(line) for line in _without_prompts(program.lines)]
        tree = _parse("\n".join(lines))
        if tree is None:
            lines = _without_loose_ends(lines)
            first = _add_tail(program, lines)
            if first < len(lines):
                _add_pieces(program, lines, _inner_lines(lines), (first, len(lines)), _DEEPEST)
    program.body = [one for statement in [*program.body, *(tree or [])] for one in _with_what_follows(statement)]
    return program


def _with_what_follows(statement: ast.stmt) -> list[ast.stmt]:
    """Return a definition, and behind it what stands after its last word: of a piece, from further down in a file."""
    if isinstance(statement, ast.ClassDef):
        return [statement, *(one for inner in statement.body for one in _with_what_follows(inner)[1:])]
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        body = statement.body
        ends = next((place for place, one in enumerate(body, 1) if isinstance(one, ast.Return)), len(body))
        statement.body, later = body[:ends], body[ends:]
        return [statement, *later]
    return [statement]


def _without_loose_ends(lines: list[str]) -> list[str]:
    """Return lines with what blocks lack that were cut: an `if` before `else`, a body, the end of a text."""
    found = list(lines)
    blocks: list[int] = []  # indentations of statements that an `else` may go on
    opened, bare = -1, (-1, -1)
    for place, line in enumerate(lines):
        words = line.lstrip()
        if line.count('"""') == 1:
            opens = words.startswith('"""') and len(words.rstrip()) > 3  # one that ends has its words before it
            if opens and opened >= 0:
                found[opened] = ""
            opened = place if opens else -1
        if not words or words[0] in ")]}#":
            continue
        indent = len(line) - len(words)
        while blocks and blocks[-1] > indent:
            blocks.pop()
        if bare[0] >= 0 and indent <= bare[1]:
            found[bare[0]] = f"{found[bare[0]].rstrip()} pass"
        bare = (place, indent) if words.rstrip()[-1] == ":" and _BLOCK.match(words) else (-1, -1)
        goes_on = _GOES_ON.match(words)
        if goes_on and blocks[-1:] != [indent]:
            test = "if  " if goes_on[0] == "elif" else "if _".ljust(len(goes_on[0]))
            found[place] = line[:indent] + test + words[goes_on.end() :]
        if blocks[-1:] == [indent]:
            blocks.pop()
        if goes_on or _BEGINS.match(words):
            blocks.append(indent)
    if opened >= 0:
        found[opened] = ""
    return found


_GOES_ON = re.compile(r"elif\b|(?:else|except\b[^:\n]{0,80}|finally)(?=\s{0,9}:)")
_BEGINS = re.compile(r"(?:if|for|while|try)\b")
_BLOCK = re.compile(r"(?:if|elif|else|for|while|with|try|except|finally|def|class)\b")


def _add_tail(program: Program, lines: list[str]) -> int:
    """Add the rest of a call's arguments, or of a function's parameters, that a text begins with; return its length."""
    depth = 0
    for place, line in enumerate(lines[:_LONGEST_STATEMENT]):
        for sign in STRING.findall(line):
            depth += (sign in _CLOSING) - (sign in ")]}")
        if depth < 0:
            ends = line.rstrip().endswith(":")
            tree = _parse("\n".join(["def _(" if ends else "_(", *lines[: place + 1]]) + (" pass" if ends else ""))
            for statement in tree or []:
                ast.increment_lineno(statement, -1)
            program.body += tree or []
            return place + 1 if tree else 0
    return 0


def _inner_lines(lines: list[str]) -> frozenset[int]:
    """Return the lines that begin inside of a text of several lines, or of brackets that are closed later."""
    text = "\n".join(lines)
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    found: set[int] = set()
    quotes, opened, depth = "", 0, 0
    for match in STRING.finditer(text):
        sign = match.group()
        if quotes:
            if sign != quotes:
                continue
            quotes = ""
        elif sign in {'"""', "'''"}:
            quotes, opened = sign, match.start()
            continue
        elif sign in _CLOSING:
            opened = match.start() if not depth else opened
            depth += 1
            continue
        elif depth and sign in ")]}":
            depth -= 1
            if depth:
                continue
        else:
            continue
        first, last = bisect_right(starts, opened), bisect_right(starts, match.start())
        if last - first <= _LONGEST_STATEMENT:
            found.update(range(first, last))
    return frozenset(found)


def _without_prompts(lines: list[str]) -> list[str]:
    """Return lines with blanks for their prompts; where there are any, what has none was printed."""
    if not any(line.lstrip().startswith((">>>", "In [")) for line in lines):
        return lines
    found: list[str] = []
    for line in lines:
        match = _PROMPT.match(line)
        found.append(" " * match.end() + line[match.end() :] if match else "")
    return found


def _python(line: str) -> str:
    """Return a line as today's Python of the same width, `pass` where it is none of that."""
    match = _NO_CODE.match(line[:500])
    if match:
        return f"{match.group(1)}pass"
    if "async" in line:
        line = _OLD_ASYNC.sub("asynk", line)  # a keyword argument before Python 3.7
    match = _OLD_EXCEPT.match(line[:500])
    return f"{match.group(1)}{' ' * len(match.group(2))}{match.group(3)}" if match else line


def _parse(source: str) -> list[ast.stmt] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parse_lines(lines: list[str], first: int, last: int, closing: str = "") -> list[ast.stmt] | None:
    """Return the statements of some lines, whatever their indentation, with their line numbers in the text."""
    chunk = lines[first:last]
    indented = next((line[:1] in {" ", "\t"} for line in chunk if line.strip()), False)
    tree = _parse("\n".join(["if 1:", *chunk] if indented else chunk) + closing)
    if tree is None:
        return None
    shift = first - indented
    for statement in tree:
        ast.increment_lineno(statement, shift)
    return [*getattr(tree[0], "body", []), *tree[1:]] if indented and tree else tree


def _add_pieces(program: Program, lines: list[str], inner: frozenset[int], span: tuple[int, int], depth: int) -> None:
    """Add what parses of some lines; a piece begins at each line of the least indentation."""
    _add_chunks(program, lines, inner, list(_chunks(lines, inner, *span)), depth)


def _add_chunks(
    program: Program, lines: list[str], inner: frozenset[int], chunks: list[tuple[int, int]], depth: int
) -> None:
    """Add pieces that lie beside each other: together where they parse together, else each half of them."""
    start, end = chunks[0][0], chunks[-1][1]
    program.work -= sum(map(len, lines[start:end])) + 400
    if program.work < 0:
        program.lost.append((program.starts[start], program.starts[end] - 1))
        return
    tree = _parse_lines(lines, start, end)
    if tree is None and len(chunks) > 1:
        middle = len(chunks) // 2
        _add_chunks(program, lines, inner, chunks[:middle], depth)
        _add_chunks(program, lines, inner, chunks[middle:], depth)
        return
    if tree is None and sum(map(len, lines[start:end])) < _LONGEST_REPAIRED:
        tree = _repaired(lines, start, end) or _patched(program, lines, start, end)
    if tree is not None:
        program.body += tree
    elif end - start > 1 and depth > 0:
        smaller = list(_chunks(lines, inner, start, end))
        if len(smaller) > 1:  # each of the indentation that is the least here
            _add_chunks(program, lines, inner, smaller, depth - 1)
            return
        first = next((place for place in range(start + 1, end) if place not in inner), end)
        if first == end or _parse_lines(lines, start, first) is None:
            first, inner = start + 1, frozenset()
        _add_pieces(program, lines, inner, (start, first), 0)
        _add_pieces(program, lines, inner, (first, end), depth - 1)
    elif any(line.strip() for line in lines[start:end]):
        program.lost.append((program.starts[start], program.starts[end] - 1))


def _chunks(lines: list[str], inner: frozenset[int], first: int, last: int) -> Iterator[tuple[int, int]]:
    indents = [len(line) - len(line.lstrip()) if line.strip() else -1 for line in lines[first:last]]
    outer = [indent for place, indent in enumerate(indents, first) if indent >= 0 and place not in inner]
    least = min(outer, default=0)
    begin, decorated = first, False
    for place in range(first, last):
        line = lines[place].strip()
        if indents[place - first] == least and place not in inner and not _CONTINUES.match(line):
            if place > begin and not decorated:
                yield begin, place
                begin = place
            decorated = line.startswith("@")
    yield begin, last


def _patched(program: Program, lines: list[str], first: int, last: int) -> list[ast.stmt] | None:
    """Return the statements of a piece without the few lines that are no Python."""
    lines = list(lines)
    lost: list[int] = []
    for _ in range(_REPAIRS):
        program.work -= 2 * sum(map(len, lines[first:last]))
        if program.work < 0:
            return None
        line = _error_line(lines, first, last)
        if line is None or not first < line < last or lines[line].rstrip().endswith(":"):
            return None
        lost.append(line)
        lines[line] = lines[line][: len(lines[line]) - len(lines[line].lstrip())] + "pass"
        tree = _parse_lines(lines, first, last)
        if tree is not None:
            program.lost += [(program.starts[place], program.starts[place + 1] - 1) for place in lost]
            return tree
    return None


def _error_line(lines: list[str], first: int, last: int) -> int | None:
    chunk = lines[first:last]
    indented = next((line[:1] in {" ", "\t"} for line in chunk if line.strip()), False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse("\n".join(["if 1:", *chunk] if indented else chunk))
    except SyntaxError as error:
        return first + (error.lineno or 1) - 1 - indented
    except (ValueError, RecursionError, MemoryError):
        return None
    return None


def _repaired(lines: list[str], first: int, last: int) -> list[ast.stmt] | None:
    """Return the statements of a piece that lacks its closing brackets, or has a block without a body."""
    text = "\n".join(lines[first:last])
    found: list[str] = []
    quotes = ""
    for match in STRING.finditer(text):
        sign = match.group()
        if quotes or sign in {'"""', "'''"}:
            quotes = ("" if sign == quotes else quotes) if quotes else sign
        elif sign in _CLOSING:
            found.append(_CLOSING[sign])
        elif found and sign == found[-1]:
            found.pop()
    if 0 < len(found) <= 8:
        return _parse_lines(lines, first, last, "\n" + "".join(reversed(found)))
    end = next((line for line in reversed(lines[first:last]) if line.strip() and not line.lstrip().startswith("#")), "")
    if _OPENS.search(end):
        return _parse_lines(lines, first, last, f"\n{end[: len(end) - len(end.lstrip())]} pass")
    return None
