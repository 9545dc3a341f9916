"""The project's documents as the house tests see them: fenced blocks, links and headings."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from house.source_tree import ROOT, relative

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        path: The document.
        line: Line of its opening fence, 1-based.
        language: The word after the fence.
        text: What is inside.
    """

    path: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Where it is, for test names."""
        return f"{relative(self.path)}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Return all blocks of a language in all documents."""
    found: list[Block] = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        found += [
            Block(path, text[: match.start()].count("\n") + 1, language, match.group(2))
            for match in _FENCE.finditer(text)
            if match.group(1) == language
        ]
    return found


def shell_lines() -> list[tuple[str, list[str]]]:
    """Return (place, words) of every command in a shell block, and of every `downslope` line in a recipe's comment."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks("sh"):
        for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
            words = shlex.split(line, comments=True)
            if words:
                found.append((f"{relative(block.path)}:{number}", words))
    for path in sorted((ROOT / "recipes").glob("*.toml")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if match := re.match(r"#.*?\b(downslope train .*)$", line):
                found.append((f"{relative(path)}:{number}", shlex.split(match.group(1))))
    return found


def links(path: Path) -> list[str]:
    """Return the targets of a document's links and pictures, code left out."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    return _LINK.findall(re.sub(r"`[^`]*`", "", text))


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", path.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
