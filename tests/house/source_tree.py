"""The project's files as the house tests see them: where they are, and what their syntax trees say."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "downslope"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def module_name(path: Path) -> str:
    """Return the name that a file of the package is imported by."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


NAMES = frozenset(map(module_name, MODULES))


def relative(path: Path) -> str:
    """Return the path below the project's root, for messages and test names."""
    return path.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Call:
    """A call in a file: the text of what is called, its line, and the texts of its keywords' values."""

    called: str
    line: int
    keywords: dict[str, str]


@dataclass(frozen=True)
class Facts:
    """What the tests ask of a file's syntax tree, which is parsed once and not kept.

    Attributes:
        imports: Every module that the file imports, in absolute form; `from a import b` gives "a" and "a.b".
        runs: Those of our modules that it imports when it runs, in functions too, but not for annotations alone.
        calls: Every call.
        names: Every name that the file gives: to classes, functions, arguments, variables and attributes.
        undocumented: Dotted names of public classes, functions and methods without a docstring; "" is the file.
    """

    imports: tuple[str, ...]
    runs: frozenset[str]
    calls: tuple[Call, ...]
    names: frozenset[str]
    undocumented: tuple[str, ...]


@cache
def facts(path: Path) -> Facts:
    """Return what a file's syntax tree says."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    nodes = list(ast.walk(tree))
    calls = (
        Call(ast.unparse(node.func), node.lineno, {word.arg or "**": ast.unparse(word.value) for word in node.keywords})
        for node in nodes
        if isinstance(node, ast.Call)
    )
    definitions = [("", tree), *_public(tree.body, "")]
    undocumented = tuple(name for name, node in definitions if not ast.get_docstring(node))
    imports = tuple(name for form in _imports(path, nodes) for name in form)
    runs = frozenset(form[-1] if form[-1] in NAMES else form[0] for form in _imports(path, _without_annotations(tree)))
    return Facts(imports, runs & NAMES - {module_name(path)}, tuple(calls), frozenset(_names(nodes)), undocumented)


def _imports(path: Path, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ...]]:
    """Yield (module,) of every import of a module, (module, module.name) of every name that is imported from one."""
    package = ("downslope", *path.relative_to(PACKAGE).parent.parts)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            yield from ((module, f"{module}.{alias.name}") for alias in node.names)


def _without_annotations(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node but those that only a type checker reads."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        nodes = tree.orelse
    else:
        yield tree
        nodes = ast.iter_child_nodes(tree)
    for node in nodes:
        yield from _without_annotations(node)


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


def _names(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
