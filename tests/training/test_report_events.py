"""What a report makes of the wall-clock events of a run."""

from __future__ import annotations

from downslope.training.folder.events import sessions
from downslope.training.report.tables import story, wall_time
from training.report_runs import at

KILLED_AND_RESUMED = [
    at(0, "start", 0),
    at(2, "checkpoint", 50),
    at(3.5, "signal", 80, signal=15),
    at(60, "resume", 80),
    at(61, "checkpoint", 120),
    at(90, "resume", 120),
    at(95, "finish", 200),
]


def test_processes_are_told_apart():
    """Each start or resume begins a process; only what it ended with itself counts as its end."""
    found = sessions(KILLED_AND_RESUMED)
    assert [(s.opening, s.ending, s.seconds, s.last_step) for s in found] == [
        ("start", "signal", 3.5, 80),
        ("resume", None, 1.0, 120),
        ("resume", "finish", 5.0, 200),
    ]


def test_the_story_says_killed_and_resumed():
    """A person reads what happened, in order."""
    assert story(sessions(KILLED_AND_RESUMED)) == [
        "Started and stopped by a signal at step 80, with a checkpoint.",
        "Resumed at step 80 and killed without a word, last heard of at step 120.",
        "Resumed at step 120 and finished at step 200.",
    ]


def test_wall_time_is_that_of_the_processes():
    """The time between processes is not counted, and what is not known is said."""
    assert wall_time(sessions(KILLED_AND_RESUMED)) == (9.5, False)
    assert wall_time(sessions([at(0, "start", 0), at(4, "finish", 9)])) == (4.0, True)
    assert wall_time(sessions([])) is None


def test_times_in_other_zones_and_broken_times():
    """Offsets are understood, and an event without a readable time is no reason to fail."""
    events = [
        {"time": "2024-01-01T12:00:00+02:00", "event": "start", "step": 0},
        {"time": "yesterday", "event": "checkpoint", "step": 5},
        {"time": "2024-01-01T10:00:03Z", "event": "finish", "step": 9},
    ]
    assert wall_time(sessions(events)) == (3.0, True)
