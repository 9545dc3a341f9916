"""The events of a run by the clock: started, resumed, saved, interrupted, finished.

They stand apart from the log of record, which holds no times, so that the log of a run that was killed and resumed
equals that of one that was not.
"""

from __future__ import annotations

import datetime as dt
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from downslope.core.shown import shown
from downslope.training import durable
from downslope.training.log import is_count, read_lines

NAME = "events.jsonl"

_SIGNALS = frozenset(signal.Signals)


class Events:
    """Appends to a run's events.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        """Open the file, without a last line that a crash left incomplete."""
        self._path = folder / NAME
        _cut_torn_line(self._path)
        self._descriptor = durable.open_for_append(self._path)

    def add(self, event: str, step: int, **details: Any) -> None:
        """Append an event with the present time; not synced, since nothing depends on it.

        Args:
            event: "start", "resume", "checkpoint", "signal" or "finish".
            step: Steps done.
            **details: Further values, as JSON takes them.
        """
        time = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "event": event, "step": step, **details}) + "\n"
        durable.append(self._descriptor, line.encode(), self._path, sync=False)

    def close(self) -> None:
        """Close the file."""
        with durable.explained("close", self._path):
            durable.os.close(self._descriptor)


def read_events(folder: Path) -> list[dict[str, Any]]:
    """Return a run's events in order, without a last line that a crash left incomplete.

    Args:
        folder: The run folder.

    Raises:
        CheckpointError: If a line is damaged.
    """
    return read_lines(folder / NAME, required=("time", "event", "step"), check=check_event)


def check_event(event: Mapping[str, Any]) -> str | None:
    """Return what is wrong with an event: a value that is neither a word nor a number, or a signal that is none."""
    if type(event["time"]) is not str or type(event["event"]) is not str or not is_count(event["step"]):
        return "its time or event is no word, or its step no number"
    for name, value in event.items():
        if type(value) is not str and value is not None and not is_count(value):
            return f"its {shown(name)} is neither a word nor a number"
    number = event.get("signal", signal.SIGINT)
    return None if isinstance(number, int) and number in _SIGNALS else "it names no signal"


def _cut_torn_line(path: Path) -> None:
    try:
        data = durable.read_file(path)
    except FileNotFoundError:
        return
    durable.cut_file(path, data.rfind(b"\n") + 1)
