"""The events of a run by the clock: started, resumed, saved, interrupted, finished.

They stand apart from the log of record, which holds no times, so that the log of a run that was killed and resumed
equals that of one that was not.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from downslope.training import durable
from downslope.training.log import read_lines

NAME = "events.jsonl"


class Events:
    """Appends to a run's events.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        """Open the file, without a last line that a crash left incomplete."""
        self._path = folder / NAME
        if self._path.exists():
            _cut_torn_line(self._path)
        self._descriptor = durable.open_for_append(self._path)

    def add(self, event: str, step: int, **details: Any) -> None:
        """Append an event with the present time; not synced, since nothing depends on it.

        Args:
            event: "start", "resume", "checkpoint", "signal", "fail" or "finish".
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
    return read_lines(folder / NAME, required=("time", "event", "step"))


def _cut_torn_line(path: Path) -> None:
    data = durable.read_file(path)
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        durable.cut_file(path, whole)
