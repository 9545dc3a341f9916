"""The project's files as the house tests see them: where they are, and what their syntax trees say.

What lives here: reading. What does not: any rule about what is read; those are the tests.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "downslope"
MODULES = sorted(PACKAGE.rglob("*.py"))


def relative(path: Path) -> str:
    """Return the path below the project's root, for messages and test names."""
    return path.relative_to(ROOT).as_posix()


@lru_cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path, *, deferred: bool = True) -> Iterator[str]:
    """Yield every module that a file imports, in absolute form; `from a import b` yields "a" and "a.b".

    Args:
        path: A file of the package.
        deferred: Whether to count imports inside functions and under `if TYPE_CHECKING`.
    """
    package = ("downslope", *path.relative_to(PACKAGE).parent.parts)
    nodes = ast.walk(tree(path)) if deferred else _at_import_time(tree(path).body)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _at_import_time(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _at_import_time(node.orelse)
            continue
        yield node
        for name in ("body", "orelse", "finalbody", "handlers"):
            inner = getattr(node, name, None)
            yield from _at_import_time(inner if isinstance(inner, list) else [])


def public_definitions(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield (dotted name, node) of the module, its public classes and functions, and their public methods."""
    yield "", tree(path)
    yield from _public(tree(path).body, "")


def _is_another_form(node: ast.AST) -> bool:
    """Whether this is an overload or a property's setter: the first form has the docstring of all."""
    decorators = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", ())]
    return any(decorator.endswith(("overload", ".setter", ".deleter")) for decorator in decorators)


def _public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not node.name.startswith("_") and not _is_another_form(node):
            name = f"{prefix}{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body, f"{name}.")


def defined_names(path: Path) -> set[str]:
    """Return every name that a file gives: to classes, functions, arguments, variables and attributes."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names
