"""What a person sees of a run on a terminal: the lines, and how they are drawn over."""

import io
import os
import re
import sys
from pathlib import Path

import pexpect
import pytest

from downslope.core.sparkline import BLOCKS, PLAIN_BLOCKS, sparkline
from downslope.recipe.load import parse_recipe
from downslope.training.run.task import build_task
from downslope.training.view.console import PlainConsole
from downslope.training.view.live_view import Thinned, View, speed_text
from downslope.training.view.terminal import Screen, can_redraw


class Terminal(io.StringIO):
    """A stream that says it is a terminal, in a chosen encoding."""

    encoding = "utf-8"

    def isatty(self):
        return True


def seen():
    """Return a view of a run of 100 steps, 40 done in 4 seconds."""
    view = View(total=100, examples=32, step=0, now=0.0)
    for step in range(40):
        view.row("step", {"loss": 1 / (step + 1), "lr": 0.1})
    view.row("evaluation", {"loss": 0.5, "accuracy": 0.75})
    view.row("evaluation", {"loss": 0.4, "accuracy": 0.70})
    view.row("skip", {})
    view.saved(30, 3.0)
    view.tick(40, 4.0)
    return view


def test_every_line_says_what_was_logged():
    """Steps, last losses, accuracy with the best so far, lr, examples a second, time left, age of the checkpoint."""
    lines = seen().lines(100, 5.0)
    assert lines[0].startswith("step        40 of 100  40 %  ━")
    assert lines[1].startswith("loss        0.025 ")
    assert lines[2].startswith("held out    0.4 ")
    assert lines[3:] == [
        "accuracy    70.00 %, best 75.00 %",
        "lr          0.1",
        "speed       320 examples/s, 6 s left, saved 2 s ago, 1 skipped",
    ]


def test_speed_is_that_of_late_and_steady():
    """Of the last 15 seconds; where steps take long, of the last seven; a step more or less does not matter much."""
    view = View(total=None, examples=10, step=0, now=0.0)
    for number in range(1, 400):
        view.tick(number, 0.1 * number if number <= 200 else 20 + 0.2 * (number - 200))
    assert view.rate() == pytest.approx(5, rel=0.02)
    assert "speed       50 examples/s" in view.lines(90, 60.0)
    slow = View(total=None, examples=2, step=0, now=0.0)
    rates = []
    for number in range(1, 30):
        slow.tick(number, 20.0 * number + (10.0 if number % 2 else 0.0))
        rates.append(slow.rate())
    assert all(rate == pytest.approx(0.05, rel=0.1) for rate in rates[10:])
    assert speed_text(0.05, "steps") == "0.05 steps/s"


def test_a_line_of_a_pipe_tells_speed_too():
    """In steps and examples a second; an epoch's last batch is smaller, and a batch is no larger than all there is."""
    for batch, examples in ((1000, 718.5), (10000, 1437.0)):
        task = build_task(parse_recipe(f"[data]\nbatch_size = {batch}\n[sgd]\nlr = 0.1\n[train]\nsteps = 1\n"))
        stream = io.StringIO()
        console = PlainConsole(err=stream, seconds=0.0)
        console.begin(task, Path("run"), 0)
        assert console._view is not None
        assert console._view.examples == examples
        console.progress(1, 10, {"loss": 0.5})
        assert re.fullmatch(
            r"step 1 of 10 \(10 %\): loss 0.5, [\d,.e+]+ steps/s, [\d,.e+]+ examples/s\n", stream.getvalue()
        )


def test_a_run_that_writes_sequences_shows_its_rate_of_errors():
    """The first rate in the place of accuracy, the smallest being the best."""
    view = View(total=10, examples=1, step=0, now=0.0)
    for rate in (0.5, 0.25, 0.3):
        view.row("evaluation", {"loss": 1.0, "accuracy": 0.9, "phoneme_error_rate": rate, "word_error_rate": 0.9})
    assert "errors      30.00 %, best 25.00 % (phoneme error rate)" in view.lines(90, 0.0)


def test_a_regression_shows_its_error_in_the_targets_own_unit():
    """The last root mean square error, and the best that was a finite number."""
    view = View(total=10, examples=1, step=0, now=0.0)
    for rmse in (float("nan"), 150.25, 200.5):
        view.row("evaluation", {"loss": 0.5, "rmse": rmse, "mae": 1.0})
    assert any(line.split() == ["RMSE", "200.5,", "best", "150.2"] for line in view.lines(80, 1.0))


@pytest.mark.parametrize("width", [1, 12, 20, 33, 60, 200])
def test_no_line_is_wider_than_the_terminal(width):
    """At any width each line leaves the last column free, and nothing fails."""
    assert all(len(line) < max(width, 11) for line in seen().lines(width, 5.0))


def test_a_long_run_keeps_few_numbers():
    """A million losses are kept as at most so many, whose mean is theirs."""
    values = Thinned()
    for value in range(2**17):
        values.add(float(value))
    values.add(float("nan"))
    assert len(values.values) < Thinned.MOST
    assert sum(values.values) / len(values.values) == pytest.approx((2**17 - 1) / 2, rel=1e-2)


def test_curves_rise_and_are_flat_where_nothing_changes():
    """Lowest and highest blocks at the ends of a rise; the lowest alone for a constant; else by logarithms."""
    assert sparkline([0.0, 7.0], 8) == "▁█"
    assert sparkline([2.0, 2.0, 2.0], 8) == "▁▁▁"
    assert sparkline([1.0, 10.0, 100.0, 1000.0], 4, PLAIN_BLOCKS)[1] in PLAIN_BLOCKS[2:4]
    assert len(BLOCKS) == len(PLAIN_BLOCKS) == 8


def test_lines_are_drawn_over_and_taken_away():
    """The cursor goes up by the lines drawn before, everything below is erased; cleared, nothing is left."""
    terminal = Terminal()
    screen = Screen(terminal, {"NO_COLOR": "1"})
    screen.draw(["one", "two"])
    screen.draw(["three"])
    screen.clear()
    screen.clear()
    assert terminal.getvalue() == "one\ntwo\r\x1b[A\x1b[Jthree\r\x1b[J"


def test_colour_goes_with_no_color():
    """NO_COLOR leaves the words alone."""
    plain, coloured = Terminal(), Terminal()
    Screen(plain, {"NO_COLOR": "1"}).draw(["loss        1"])
    Screen(coloured, {}).draw(["loss        1"])
    assert plain.getvalue() == "loss        1"
    assert "\x1b[2m" in coloured.getvalue()


def test_what_cannot_be_drawn_over_is_not():
    """A pipe and a dumb terminal get plain lines."""
    assert can_redraw(Terminal(), {"TERM": "xterm"})
    assert not can_redraw(Terminal(), {"TERM": "dumb"})
    assert not can_redraw(Terminal(), {})
    assert not can_redraw(io.StringIO(), {"TERM": "xterm"})


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [False, True])
def test_a_real_terminal_shows_it(quiet, tmp_path):
    """On a pseudo-terminal the view is drawn over itself and taken away; with --quiet there is none."""
    words = ["-m", "downslope", "train", "--train.epochs", "30", "--out", str(tmp_path / "run")]
    child = pexpect.spawn(
        sys.executable,
        words + (["--quiet"] if quiet else []),
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"},
        dimensions=(30, 90),
        encoding="utf-8",
        timeout=600,
    )
    shown = child.read()
    child.close()
    assert child.exitstatus == 0
    assert "held out    accuracy" in shown.split("\x1b[J")[-1]
    frames = re.findall(r"step        [\d,]+ of 1,350  \d+ %", shown)
    assert bool(frames) != quiet
    assert ("\x1b[A" in shown) != quiet
