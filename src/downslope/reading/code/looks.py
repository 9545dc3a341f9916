"""Whether a text is a program, or pieces of one, and whether one only holds what people are told."""

from __future__ import annotations

import ast
import re

from downslope.reading.arithmetic import is_number
from downslope.reading.code.calls import field_of, optimizer_of
from downslope.reading.code.pieces import LONGEST, STRING, parse_program
from downslope.reading.code.tree import name_of

_TELLING = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.For | ast.While | ast.With | ast.Try
_SURE = ast.FunctionDef | ast.ClassDef
_WORDS = re.compile(r"[=(\[]|\b(?:import|def|class|for|return)\b")


def looks_like_python(text: str) -> bool:
    """Return whether a text is a program, or a piece of one, rather than prose or a configuration.

    Example:
        >>> looks_like_python("opt = SGD(net.parameters(), lr=0.1)"), looks_like_python("SGD with lr = 0.1")
        (True, False)
    """
    if not _WORDS.search(text[:LONGEST]):
        return False
    program = parse_program(text)
    lost = sum(end - start for start, end in program.lost)
    if lost * 5 > len(text.strip()):
        return False
    if lost * 50 < len(text) and any(isinstance(node, _SURE) for node in program.body):
        return True
    telling = 0
    for node in program.body:
        value = node.value if isinstance(node, ast.Assign | ast.Expr | ast.Return) else None
        is_call = isinstance(value, ast.Call) and getattr(value.func, "id", "") not in {"dict", "list", "tuple"}
        telling += isinstance(node, _TELLING | ast.AugAssign) or is_call
    return telling > 0 and telling * 12 >= len(program.body)


_PRINTS = re.compile(r"print|log|debug|info|warn|error|assert|raise|argument|option|parser|help|desc", re.IGNORECASE)
_SENTENCE = re.compile(r"(?:[A-Za-z][A-Za-z,'-]{0,40}\s{1,4}){6}|(?:[\u4e00-\u9fff][^\u4e00-\u9fff\n]{0,12}){8}")
_MOST_SENTENCES = 100
_ON_TRAINING = re.compile(r"\bSGD\b|\blr\b|learning rate|学习率", re.IGNORECASE)


def sentences_in(text: str) -> list[tuple[int, int]]:
    r"""Return where the sentences stand that a program writes down, which itself sets nothing of a training.

    Example:
        >>> text = "doc.add('We train with SGD at a rate of 0.1.')"
        >>> [text[start:end] for start, end in sentences_in(text)], sentences_in(f"lr = 0.1\n{text}")
        (['We train with SGD at a rate of 0.1.'], [])
    """
    if not (_SENTENCE.search(text[:LONGEST]) or _ON_TRAINING.search(text[:LONGEST])):
        return []
    found: list[tuple[int, int]] = []
    program = parse_program(text)
    for node in (one for statement in program.body for one in _parts_of(statement)):
        named = node.arg if isinstance(node, ast.keyword) else node.id if isinstance(node, ast.Name) else ""
        called = name_of(node.func) if isinstance(node, ast.Call) else ""
        if field_of(named or "") or optimizer_of(called):
            return []
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SENTENCE.search(node.value):
            found += _inside(*program.place(node), text)
    numbers = (
        isinstance(node, ast.Constant) and is_number(node.value) for one in program.body for node in ast.walk(one)
    )
    if program.body and not program.lost and not any(numbers):
        comments = [match.span() for match in STRING.finditer(text, 0, LONGEST) if match[0][0] == "#"]
        if any(_ON_TRAINING.search(text, *span) for span in comments):
            found += [(start + 1, end) for start, end in comments]
    return sorted(found)[:_MOST_SENTENCES]


def _parts_of(node: ast.AST) -> list[ast.AST]:
    """Return the nodes of a statement but those of calls that print or explain, and of texts that stand alone."""
    found: list[ast.AST] = []
    left = [node]
    while left:
        one = left.pop()
        alone = isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
        if alone or (isinstance(one, ast.Call) and _PRINTS.search(name_of(one.func))):
            continue
        found.append(one)
        left += ast.iter_child_nodes(one)
    return found


_QUOTES = re.compile(r"[rRuUbB]{0,2}(\"{3}|'{3}|[\"'])")


def _inside(start: int, end: int, text: str) -> list[tuple[int, int]]:
    """Return where what is quoted stands, piece by piece where quotations follow one another."""
    found: list[tuple[int, int]] = []
    while start < end and (match := _QUOTES.match(text, start)):
        closing = text.find(match[1], match.end(), end)
        if closing < 0:
            break
        found.append((match.end(), closing))
        start = closing + len(match[1])
        start += len(text[start:end]) - len(text[start:end].lstrip())
    return found
