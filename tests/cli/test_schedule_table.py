"""The steps a dry run shows of a schedule: the first, each at which something changes, the last."""

from downslope import Settings
from downslope import schedules as s
from downslope.cli.schedule_table import effective_lr, schedule_table


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


def test_a_staircase_over_an_endless_run_is_shown_at_once():
    """10**18 steps, a change at each: seven rows from the beginning, the last ones, and no list of them all."""
    settings = Settings(lr=s.Exponential(0.5, rate=1.01, every=1, end=0.6, staircase=True))
    lines = schedule_table(settings, 10**18, 10).splitlines()
    assert [line.split()[0] for line in lines[1:9]] == ["0", "1", "2", "3", "4", "5", "6", "..."]
    assert lines[-1].split()[0] == str(10**18 - 1)
    assert len(lines) <= 16


def test_a_run_of_one_step_has_one_row():
    """First and last are the same."""
    assert len(schedule_table(Settings(lr=s.Cosine(0.1, 0.0, 5)), 1, 10).splitlines()) == 2


def test_effective_lr_counts_dampening():
    """lr (1 - dampening) / (1 - momentum), by hand."""
    assert effective_lr(Settings(lr=0.5, momentum=0.75, dampening=0.5), 3) == 1.0
