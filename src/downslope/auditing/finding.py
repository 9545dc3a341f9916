"""What an audit says: findings, each with what, where, why, what to do, and how sure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from downslope.core.columns import padded, wrap
from downslope.core.notebook import ShownInNotebooks
from downslope.language import said

Level = Literal["error", "warning", "advice"]
Sure = Literal["certain", "likely", "possible"]
LEVELS: tuple[Level, ...] = ("error", "warning", "advice")
_WIDTH = 100


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that an audit found.

    Attributes:
        name: What it is, for programs: "milestone_after_the_end".
        level: "error" (training does not do what it says), "warning" (probably a mistake) or "advice".
        what: What was found, with its numbers.
        where: The key of the recipe, the line of the script, the group of the optimizer, or the rows of the log.
        why: Why it matters.
        source: Where that comes from.
        do: What to do.
        sure: "certain" (it follows), "likely" or "possible".
    """

    name: str
    level: Level
    what: str
    where: str
    why: str
    source: str
    do: str
    sure: Sure = "certain"


@dataclass(frozen=True)
class Audit(ShownInNotebooks):
    """All findings on one thing, the gravest first.

    Attributes:
        title: What was looked at.
        findings: What was found.
        not_checked: What could not be looked at, each with what has to be given for it.
    """

    title: str
    findings: tuple[Finding, ...]
    not_checked: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    @property
    def counted(self) -> str:
        """How many findings there are of each level, in words."""
        counts = {level: sum(finding.level == level for finding in self.findings) for level in LEVELS}
        return (
            f"{_count(counts['error'], 'error')}, {_count(counts['warning'], 'warning')}, {counts['advice']} of advice"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all findings."""
        return tuple(finding.name for finding in self.findings)

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON would have it."""
        return asdict(self)

    def __str__(self) -> str:
        """Return it as text for a terminal."""
        return "\n".join(_lines(self))


def _lines(found: Audit) -> Iterator[str]:
    yield f"{found.title}: {said(found.counted)}"
    for finding in found.findings:
        yield ""
        yield from wrap(said(f"{finding.level}: {finding.what}"), _WIDTH, "", "  ")
        for label, text in (
            ("where", said(finding.where)),
            ("why", f"{said(finding.why)} ({said(finding.source)})"),
            ("do", said(finding.do)),
            ("sure", f"{said(finding.sure)}; {finding.name}"),
        ):
            yield from wrap(text, _WIDTH, f"  {padded(said(label), 8)}", " " * 10)
    if found.not_checked:
        yield ""
        yield said("not checked:")
        for line in found.not_checked:
            yield from wrap(said(line), _WIDTH, "  - ", "    ")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
