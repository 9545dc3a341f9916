"""The events of a run by the clock, started, resumed, saved, interrupted, finished, and its processes made from them.

They stand apart from the log of record, which holds no times, so that the log of a run that was killed and resumed
equals that of one that was not.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from downslope.core.shown import shown
from downslope.training.folder import durable
from downslope.training.folder.log import is_count, read_lines

NAME = "events.jsonl"

OPENING = frozenset({"start", "resume"})
"""Events that a process begins with."""
_CLOSING = frozenset({"signal", "finish", "fail"})

_SIGNALS = frozenset(signal.Signals)


class Events:
    """Appends to a run's events."""

    def __init__(self, folder: Path) -> None:
        """Open the file, without a last line that a crash left incomplete."""
        self._path = folder / NAME
        _cut_torn_line(self._path)
        self._descriptor = durable.open_for_append(self._path)

    def add(self, event: str, step: int, **details: Any) -> None:
        """Append an event with the present time; not synced, since nothing depends on it."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "event": event, "step": step, **details}) + "\n"
        durable.append(self._descriptor, line.encode(), self._path, sync=False)

    def close(self) -> None:
        """Close the file."""
        with durable.explained("close", self._path):
            durable.os.close(self._descriptor)


def read_events(folder: Path) -> list[dict[str, Any]]:
    """Return a run's events in order, without a last line that a crash left incomplete.

    Raises:
        CheckpointError: If a line is damaged.
    """
    return read_lines(folder / NAME, required=("time", "event", "step"), check=check_event)


def check_event(event: Mapping[str, Any]) -> str | None:
    """Return what is wrong with an event: a value that is neither a word nor a number, or a signal that is none."""
    if type(event["time"]) is not str or type(event["event"]) is not str or not is_count(event["step"]):
        return "its time or event is no word, or its step no number"
    for name, value in event.items():
        is_number = is_count(value) or (type(value) is float and 0 <= value < math.inf)  # how far a device is in use
        if type(value) is not str and value is not None and not is_number:
            return f"its {shown(name)} is neither a word nor a number"
    number = event.get("signal", signal.SIGINT)
    return None if isinstance(number, int) and number in _SIGNALS else "it names no signal"


def _cut_torn_line(path: Path) -> None:
    try:
        data = durable.read_file(path)
    except FileNotFoundError:
        return
    durable.cut_file(path, data.rfind(b"\n") + 1)


@dataclass(frozen=True)
class Session:
    """One process that worked on the run.

    Attributes:
        times: Seconds since the run's first event, of each event that carries a time.
        steps: Steps done by then, of the same events; None where an event does not say.
        opening: The event it began with: "start" or "resume".
        ending: The event it ended with: "finish", "signal", "fail", or None if it ended without a word.
        error: The error that it failed with, or None.
    """

    times: tuple[float, ...]
    steps: tuple[int | None, ...]
    opening: str
    ending: str | None
    error: str | None = None

    @property
    def seconds(self) -> float:
        """Wall time from its first to its last event: all of it, or at least so much if it ended without a word."""
        return max(0.0, self.times[-1] - self.times[0]) if self.times else 0.0  # a clock may have been set back

    @property
    def last_step(self) -> int | None:
        """The last step that an event tells of."""
        return next((step for step in reversed(self.steps) if step is not None), None)


def sessions(events: Sequence[Mapping[str, Any]]) -> list[Session]:
    """Return the processes that worked on a run, in order.

    Example:
        >>> found = sessions([
        ...     {"time": "2024-01-01T12:00:00+00:00", "event": "start", "step": 0},
        ...     {"time": "2024-01-01T12:00:07+00:00", "event": "checkpoint", "step": 50},
        ...     {"time": "2024-01-01T12:01:00+00:00", "event": "resume", "step": 50},
        ...     {"time": "2024-01-01T12:01:05+00:00", "event": "finish", "step": 90},
        ... ])
        >>> [(session.opening, session.ending, session.seconds) for session in found]
        [('start', None, 7.0), ('resume', 'finish', 5.0)]
    """
    parts: list[list[Mapping[str, Any]]] = []
    for event in events:
        if event.get("event") in OPENING or not parts:
            parts.append([])
        parts[-1].append(event)
    first = next((time for event in events if (time := time_of(event)) is not None), None)
    return [_session(part, first) for part in parts]


def _session(part: Sequence[Mapping[str, Any]], first: datetime | None) -> Session:
    timed = [(time, event) for event in part if (time := time_of(event)) is not None]
    named = [event.get("event") for event in part]
    return Session(
        times=tuple((time - first).total_seconds() if first else 0.0 for time, _ in timed),
        steps=tuple(event.get("step") for _, event in timed),
        opening="resume" if named[0] == "resume" else "start",
        ending=next((str(name) for name in reversed(named) if name in _CLOSING), None),
        error=next((str(event.get("error", "")) for event in reversed(part) if event.get("event") == "fail"), None),
    )


def time_of(event: Mapping[str, Any]) -> datetime | None:
    """Return when an event was, or None if it does not say.

    Args:
        event: A row of events.jsonl.
    """
    try:
        time = datetime.fromisoformat(str(event.get("time")))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
