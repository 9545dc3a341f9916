"""What happened to a run by the clock: its processes, how each ended, and the time they took.

What lives here: sense made of the wall-clock events. What does not: the log of record, which knows no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from downslope.training.report.numbers import whole

_OPENING = frozenset({"start", "resume"})
_CLOSING = frozenset({"signal", "finish"})


@dataclass(frozen=True)
class Session:
    """One process that worked on the run.

    Attributes:
        times: Seconds since the run's first event, of each event that carries a time.
        steps: Steps done by then, of the same events; None where an event does not say.
        opening: The event it began with: "start" or "resume".
        ending: The event it ended with: "finish", "signal", or None if it ended without a word.
    """

    times: tuple[float, ...]
    steps: tuple[int | None, ...]
    opening: str
    ending: str | None

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

    Args:
        events: Rows of events.jsonl, in order.

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
        if event.get("event") in _OPENING or not parts:
            parts.append([])
        parts[-1].append(event)
    first = next((time for event in events if (time := _time(event)) is not None), None)
    return [_session(part, first) for part in parts]


def story(found: Sequence[Session]) -> list[str]:
    """Return what happened, a sentence for each process.

    Args:
        found: The processes, in order.
    """
    sentences: list[str] = []
    for index, session in enumerate(found):
        anew = " anew" if index else ""
        begin = f"Started{anew}" if session.opening == "start" else f"Resumed {_at(session.steps[0])}"
        if session.ending == "finish":
            end = f"and finished {_at(session.last_step)}"
        elif session.ending == "signal":
            end = f"and stopped by a signal {_at(session.last_step)}, with a checkpoint"
        elif index == len(found) - 1:
            end = f"and last heard of {_at(session.last_step)}: still running, or killed"
        else:
            end = f"and killed without a word, last heard of {_at(session.last_step)}"
        sentences.append(f"{begin} {end}.")
    return sentences


def wall_time(found: Sequence[Session]) -> tuple[float, bool] | None:
    """Return the wall time of all processes together, or None if no event carries a time.

    Args:
        found: The processes, in order.

    Returns:
        Seconds, and whether that is all: of a process that ended without a word only a part is known.
    """
    if not any(session.times for session in found):
        return None
    return sum(session.seconds for session in found), all(session.ending for session in found)


def _session(part: Sequence[Mapping[str, Any]], first: datetime | None) -> Session:
    timed = [(time, event) for event in part if (time := _time(event)) is not None]
    named = [event.get("event") for event in part]
    return Session(
        times=tuple((time - first).total_seconds() if first else 0.0 for time, _ in timed),
        steps=tuple(event.get("step") for _, event in timed),
        opening="resume" if named[0] == "resume" else "start",
        ending=next((str(name) for name in reversed(named) if name in _CLOSING), None),
    )


def _time(event: Mapping[str, Any]) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(event.get("time")))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _at(step: int | None) -> str:
    return "at a step unknown" if step is None else f"at step {whole(step)}"
