"""``downslope watch``: a run as it goes on, seen from another terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from downslope.cli.arguments import CommandParser
from downslope.cli.run_folders import find_run_folder
from downslope.language import tell
from downslope.training.view.terminal import Screen, can_redraw
from downslope.training.view.watch import Status, WatchedRun

_SECONDS = 0.5


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code.

    It is 0 if the run finished or was looked at once, 1 if it ended before, 130 after Ctrl-C.
    """
    parser = CommandParser(
        "watch",
        summary=(
            "Watch a run that goes on in another process: its step, curves, held-out metrics, speed. It ends when the\n"
            "run does: with exit code 0 if the run is finished, 1 if it was stopped or killed. It only reads the run\n"
            "folder. Where the output is no terminal, it writes a line whenever the run has come further."
        ),
        example="downslope watch runs/digits",
    )
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument("--once", action="store_true", help="show how the run stands, and end with exit code 0")
    parser.add_argument(
        "--wait",
        action="store_true",
        help="watch on through stops and kills, until the run is resumed and finishes",
    )
    arguments = parser.read(words)
    if arguments.once and arguments.wait:
        parser.error("--once shows the run as it is now, and --wait waits; give one of them")
    watched = WatchedRun(find_run_folder(arguments.run))
    screen = Screen(sys.stdout)
    watched.look()
    if arguments.once:
        _tell(watched, screen)
        return 0
    shown = _Drawn(screen, watched) if can_redraw(sys.stdout) else _Lines(watched)
    try:
        status = _watch_on(watched, shown, waits=arguments.wait)
    except KeyboardInterrupt:
        return 130  # the way to leave; what is drawn stays
    finally:
        screen.leave()
    _tell(watched, screen)
    return 0 if status.finished else 1


class _Drawn:
    """Shows a run on a terminal, drawn over."""

    def __init__(self, screen: Screen, watched: WatchedRun) -> None:
        self._screen, self._watched = screen, watched

    def show(self, *, changed: bool) -> None:
        """Draw it, changed or not, since it tells how long ago something was."""
        screen = self._screen
        screen.draw(self._watched.lines(screen.width(), time.time(), blocks=screen.blocks))

    def end(self) -> None:
        """Take the view away."""
        self._screen.clear()


class _Lines:
    """Writes a line when a run has come further, and one when it stands otherwise than before."""

    def __init__(self, watched: WatchedRun) -> None:
        self._watched, self._word, self._line = watched, "", ""

    def show(self, *, changed: bool) -> None:
        """Write what is new."""
        status = self._watched.status(time.time())
        if status.word != self._word:
            self._word = status.word
            tell(status.line())
        line = self._watched.line()
        if (changed or not self._line) and line != self._line and status.goes_on:
            self._line = line
            tell(line)

    def end(self) -> None:
        """Do nothing: every line is complete."""


def _watch_on(watched: WatchedRun, shown: _Drawn | _Lines, *, waits: bool) -> Status:
    """Show a run until it ends, and return how it stands then."""
    ended, changed = 0, True
    while True:
        status = watched.status(time.time())
        ended = 0 if status.goes_on else ended + 1
        # Not by one look alone: of a folder that is just being removed, the lock may go first.
        if status.finished or (ended > 1 and not waits):
            shown.end()
            return status
        if not ended or (waits and ended > 1):
            shown.show(changed=changed)
        time.sleep(_SECONDS if ended != 1 else _SECONDS / 2)
        changed = watched.look()


def _tell(watched: WatchedRun, screen: Screen) -> None:
    print("\n".join(watched.last_lines(screen.width(), time.time(), blocks=screen.blocks)), flush=True)
