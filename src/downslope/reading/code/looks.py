"""Whether a text is a program, or pieces of one."""

from __future__ import annotations

import ast
import re

from downslope.reading.code.pieces import LONGEST, parse_program

_TELLING = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.For | ast.While | ast.With | ast.Try
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
    telling = 0
    for node in program.body:
        value = node.value if isinstance(node, ast.Assign | ast.Expr | ast.Return) else None
        is_call = isinstance(value, ast.Call) and getattr(value.func, "id", "") not in {"dict", "list", "tuple"}
        telling += isinstance(node, _TELLING | ast.AugAssign) or is_call
    return telling > 0 and telling * 12 >= len(program.body)
