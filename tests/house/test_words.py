"""The words of documents, comments and docstrings: what they name is there, and they are plain."""

from __future__ import annotations

import ast
import re

from house.documents import DOCUMENTS
from house.source_tree import MODULES, PACKAGE, ROOT, module_name, relative

WRITTEN = [
    *(path for path in DOCUMENTS if path.name != "CHANGELOG.md"),  # which tells of what was
    *(path for room in ("src", "tests", "benchmarks", "examples") for path in sorted((ROOT / room).rglob("*.py"))),
    *(path for suffix in ("cpp", "h") for path in sorted((ROOT / "csrc").rglob(f"*.{suffix}"))),
    *(ROOT / name for name in ("Makefile", "pyproject.toml", ".ci/run")),
]
ROOMS = [ROOT, PACKAGE, *(ROOT / room for room in ("tests", "csrc", "benchmarks", "docs"))]
FOREIGN = (
    *(
        "apex/",
        "bitsandbytes/",
        "composer/",
        "heavyball/",
        "mindspore/",
        "qhoptim/",
        "tensorflow/",
        "timm/",
        "tinygrad/",
    ),
    *(
        "python/mlx/",
        "python/paddle/",
        "Source/Math/",
        "src/caffe/",
        "src/operator/",
        "tensorflow_addons/",
        "tools/",
        "./",
    ),
)
"""Folders of other projects, whose files we name as the source of what we say, or in what is read."""

_PATH = re.compile(r"(?<![\w/.~{}<>-])((?:[\w*.-]+/)+[\w*-]+\.(?:py|cpp|h))\b")
_FILE = re.compile(r"[`(](\w+\.py)\b")
_FOLDER = re.compile(r"`((?:\w+/)+)`")
_MODULE = re.compile(r"(?<![\w/-])downslope(?:\.(?!png\b)\w+)+")


def exists(path, name):
    """Return whether there is such a file or folder, as seen from a room or from the file that names it."""
    around = [folder for folder in path.parents if folder == path.parent or folder.is_relative_to(PACKAGE)]
    return any(next(folder.glob(name), None) for folder in (*around, *ROOMS))


def test_files_that_are_named_exist():
    """Each file in a folder, and in the package each file alone and each folder, is there."""
    missing: dict[str, list[str]] = {}
    for path in WRITTEN:
        text = path.read_text(encoding="utf-8")
        named = [name for name in _PATH.findall(text) if not name.startswith(FOREIGN)]
        if path.is_relative_to(PACKAGE):
            named += [name if exists(path, name) else f"**/{name}" for name in _FILE.findall(text)]
        if path.is_relative_to(PACKAGE) or path.stem in {"CONTRIBUTING", "architecture"}:
            named += _FOLDER.findall(text)
        missing[relative(path)] = [name for name in named if not exists(path, name)]
    assert {path: names for path, names in missing.items() if names} == {}


def test_modules_that_are_named_exist():
    """Each `downslope.room.module.name` of a document leads to a module, and the name stands in it."""
    files = {module_name(path): path for path in MODULES}
    for path in (path for path in WRITTEN if path in DOCUMENTS):
        for name in _MODULE.findall(path.read_text(encoding="utf-8")):
            module, rest = name, ""
            while module not in files:
                module, _, rest = module.rpartition(".")
            assert re.search(rf"\b{rest}\b", files[module].read_text(encoding="utf-8")), f"{relative(path)}: {name}"


def test_words_are_plain():
    """A file says what it is, not what is elsewhere, and in no riddles."""
    riddles = re.compile(r"lives here|what does not:|\blooks on\b|those that are no\b", flags=re.IGNORECASE)
    found = {relative(path): riddles.findall(path.read_text(encoding="utf-8")) for path in MODULES}
    assert {path: words for path, words in found.items() if words} == {}


def test_percentages_are_formatted_by_one_function():
    """Python's own format `%` writes 40.0%; `percent_text` is the one place for a share."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                spec = ast.unparse(node.format_spec)
                assert "%" not in spec, f"{relative(path)}, line {node.lineno}: {spec}"


def test_percentages_in_documents_have_a_blank():
    """But for the words of somebody else, in quotation marks, and for code."""
    for path in DOCUMENTS:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = re.sub(r"`[^`]*`|\"[^\"]*\"", "", text)
        assert not re.findall(r".{0,40}\d%.{0,20}", text), path.name
