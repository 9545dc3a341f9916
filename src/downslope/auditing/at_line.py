"""A finding at a line of a program."""

from __future__ import annotations

from downslope.auditing.finding import Finding, Level, Sure
from downslope.auditing.program import Event
from downslope.auditing.subject import Subject


def at_line(
    subject: Subject, event: Event | int, name: str, what: str, why: str, source: str, do: str,
    level: Level = "error", sure: Sure = "certain",
) -> Finding:  # fmt: skip
    """Return a finding; where it stands is the line of an event, or a line."""
    line = event if isinstance(event, int) else event.line
    text = subject.program.splitlines()[line - 1].strip()[:80]
    where = f"{subject.name + ', ' if subject.name else ''}line {line}: {text}"
    return Finding(name=name, level=level, what=what, where=where, why=why, source=source, do=do, sure=sure)
