"""The steps a dry run shows of a schedule: the first, each at which something changes, the last."""

import pytest

from downslope import Settings
from downslope import schedules as s
from downslope.cli.schedule_table import boundaries, effective_lr, schedule_table


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (s.Constant(0.1), []),
        (s.Exponential(0.1, rate=0.1, every=40), []),
        (s.Exponential(0.1, rate=0.1, every=40, staircase=True), [40, 80]),
        (s.Exponential(0.1, rate=0.1, every=33.5, staircase=True), [34, 67]),
        (s.Exponential(0.1, rate=0.9, every=0.4, staircase=True), list(range(1, 100))),
        (s.MultiStep(0.1, factor=0.1, milestones=[30, 60, 100]), [30, 60]),
        (s.Linear(0.1, 0.0, duration=50), [50]),
        (s.Cosine(0.1, 0.0, duration=200), []),
        (s.OneCycle(0.1, duration=80, pct_start=0.25), [20, 80]),
        (s.WarmupStableDecay(0.1, warmup=10, stable=20, decay=30), [10, 30, 60]),
        (s.Warmup(5, then=s.MultiStep(0.1, factor=0.1, milestones=[30])), [5, 35]),
        (s.Warmup(5, then=s.MultiStep(0.1, factor=0.1, milestones=[3, 30]), restart=False), [5, 30]),
        (s.Sequence([0.1, s.Cosine(0.1, 0.0, duration=20), 0.2], boundaries=[10, 50]), [10, 30, 50]),
        (s.Sequence([s.Cosine(0.1, 0.0, duration=20), 0.2], boundaries=[10]), [10]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_boundaries_are_where_the_course_changes(schedule, steps):
    """Worked out by hand for a run of 100 steps."""
    assert sorted(boundaries(schedule, 100)) == steps


def test_at_every_boundary_of_a_staircase_the_value_has_just_changed():
    """The table's steps are those of the schedule itself, fractions of a step included."""
    staircase = s.Exponential(0.1, rate=0.5, every=7.3, staircase=True)
    changed = {step for step in range(1, 100) if staircase(step) != staircase(step - 1)}
    assert boundaries(staircase, 100) == changed


def test_the_table_shows_first_changes_and_last():
    """What stays the same in between is left out."""
    settings = Settings(lr=s.Exponential(0.1, rate=0.1, every=40, staircase=True), momentum=0.9)
    assert schedule_table(settings, 100, 10).splitlines() == [
        "  step  epoch     lr  effective lr",
        "     0   0.00    0.1             1",
        "    40   4.00   0.01           0.1",
        "    80   8.00  0.001          0.01",
        "    99   9.90  0.001          0.01",
    ]


def test_momentum_and_weight_decay_get_columns_where_they_move():
    """A scheduled momentum changes the effective lr too."""
    settings = Settings(
        lr=0.1, momentum=s.MultiStep(0.5, factor=1.5, milestones=[50]), weight_decay=s.Linear(0.1, 0.0, 10)
    )
    lines = schedule_table(settings, 100, 10).splitlines()
    assert lines[0].split() == ["step", "epoch", "lr", "momentum", "weight", "decay", "effective", "lr"]
    assert lines[1].split() == ["0", "0.00", "0.1", "0.5", "0.1", "0.2"]
    assert [line.split() for line in lines if line.startswith("    50 ")] == [["50", "5.00", "0.1", "0.75", "0", "0.4"]]


def test_many_changes_are_shortened_in_the_middle():
    """A staircase of a thousand steps does not fill the screen."""
    settings = Settings(lr=s.Exponential(0.1, rate=0.99, every=1, staircase=True))
    lines = schedule_table(settings, 1000, 10).splitlines()
    assert len(lines) == 16
    assert set(lines[8].split()) == {"..."}
    assert lines[-1].split()[0] == "999"


def test_a_run_of_one_step_has_one_row():
    """First and last are the same."""
    assert len(schedule_table(Settings(lr=s.Cosine(0.1, 0.0, 5)), 1, 10).splitlines()) == 2


def test_effective_lr_counts_dampening():
    """lr (1 - dampening) / (1 - momentum), by hand."""
    assert effective_lr(Settings(lr=0.5, momentum=0.75, dampening=0.5), 3) == 1.0
