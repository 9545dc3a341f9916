"""What happened to a run by the clock, in words: its processes, how each ended, and the time they took.

What lives here: the sentences. What does not: which events make a process (`training/folder/events.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from downslope.training.folder.events import Session
from downslope.training.report.numbers import whole


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
        elif session.ending == "fail":
            end = f"and failed {_at(session.last_step)}: {(session.error or '').rstrip('.')}"
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


def _at(step: int | None) -> str:
    return "at a step unknown" if step is None else f"at step {whole(step)}"
