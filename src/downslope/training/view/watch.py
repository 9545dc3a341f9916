"""A run as it looks from outside its process: how it stands, and the lines that its own live view would show.

It is put together from what the run writes anyway: its log, its events, who holds its lock. Nothing is written, and the
lock is never taken.
"""

from __future__ import annotations

import shlex
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downslope.core.columns import cut
from downslope.core.errors import CheckpointError, DownslopeError
from downslope.core.sparkline import BLOCKS
from downslope.language import said
from downslope.training.folder import events, log
from downslope.training.folder.durable import StorageError
from downslope.training.folder.events import OPENING, sessions, time_of
from downslope.training.folder.guard import identify
from downslope.training.folder.lock import Holder, holder_of
from downslope.training.folder.log import Tail
from downslope.training.folder.names import FACTS, RECIPE, read_facts, read_recipe
from downslope.training.view.console import progress_line
from downslope.training.view.live_view import LABEL, View, duration
from downslope.training.view.usage import Usage


@dataclass(frozen=True)
class Status:
    """How a run stands.

    Attributes:
        word: "training", "finished", "stopped", "failed" or "ended".
        text: The rest of the sentence.
    """

    word: str
    text: str

    @property
    def goes_on(self) -> bool:
        """Whether a process trains it, as far as can be known."""
        return self.word == "training"

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return self.word == "finished"

    def line(self) -> str:
        """Return it as a line."""
        return f"{self.word:<{LABEL}}{self.text}"


class WatchedRun:
    """A run that is looked at."""

    def __init__(self, folder: Path) -> None:
        """Note which folder it is; nothing is read yet."""
        self._folder = folder
        self._identity = identify(folder)
        self._log = Tail(folder / log.NAME, required=("kind", "step"), check=log.check_row)
        self._happened = Tail(folder / events.NAME, required=("time", "event", "step"), check=events.check_event)
        self._events: list[dict[str, Any]] = []
        self._holder: Holder | None = None
        self._heard: float | None = None
        self._begin_anew()

    def look(self) -> bool:
        """Take in what the run has written since, and return whether it was anything.

        Raises:
            StorageError: If the folder is no longer there, or is another.
            CheckpointError: If a line of the log or the events is damaged.
        """
        before = holder_of(self._folder)
        try:
            changed = self._take_events() | self._take_rows()
        except DownslopeError:
            self._check_there()  # a folder that is gone explains any other failure
            raise
        self._check_there()
        self._heard = max(
            filter(None, (_written(self._folder / name) for name in (log.NAME, events.NAME))), default=None
        )
        # Looked at twice: a process may have ended, or begun, between the lock and the files.
        self._holder = holder_of(self._folder) or before
        return changed

    @property
    def step(self) -> int:
        """Steps done, as far as the run has told."""
        return self._view.step

    @property
    def steps(self) -> int | None:
        """Steps in all, or None where that is not known."""
        return self._total

    @property
    def heard(self) -> float | None:
        """When the run last wrote something, in seconds since 1970, or None."""
        return self._heard

    def status(self, now: float) -> Status:
        """Return how the run stands."""
        found = sessions(self._events)
        ending = found[-1].ending if found else None
        ago = "" if self._heard is None else f"{duration(now - self._heard)} ago"
        if self._holder is not None and not (self._holder.elsewhere and ending):
            unseen = ", which cannot be seen from here" if self._holder.elsewhere else ""
            heard = f"; last heard of {ago}" if ago else ""
            return Status("training", f"{self._folder}, by {self._holder}{unseen}{heard}")
        when = f", {ago}" if ago else ""
        if ending == "finish":
            why = f"; stopped early: {self._stop}" if self._stop else ""
            return Status("finished", f"{self._folder}, {self._at()}{when}{why}")
        if ending == "signal":
            return Status("stopped", f"{self._folder}, {self._at()}, by {self._signal()}{when}; all of it is saved")
        error = found[-1].error if found and ending == "fail" else None
        if error is not None:
            return Status("failed", f"{self._folder}, {self._at()}{when}: {error}")
        saved = next((event["step"] for event in reversed(self._events) if event["event"] == "checkpoint"), None)
        told = "nothing is saved" if saved is None else f"saved up to step {saved:,}"
        return Status(
            "ended", f"{self._folder}, {self._at()}{when}, without a word: killed, or failed where it ran; {told}"
        )

    def lines(self, width: int, now: float, *, blocks: str = BLOCKS) -> list[str]:
        """Return how the run stands and its numbers, each line shorter than the terminal is wide."""
        status = self.status(now)
        shown = self._view.lines(width, now, blocks=blocks, goes_on=status.goes_on)
        return [cut(said(status.line()), max(width - 1, 10)).rstrip(), *shown]

    def last_lines(self, width: int, now: float, *, blocks: str = BLOCKS) -> list[str]:
        """Return the same as lines that stay: the first is whole, and the last says how to go on, if one can."""
        status = self.status(now)
        found = [said(status.line()), *self.lines(width, now, blocks=blocks)[1:]]
        if not (status.goes_on or status.finished):
            found.append(said(f"{'continue':<{LABEL}}with: downslope resume {shlex.quote(str(self._folder))}"))
        return found

    def line(self) -> str:
        """Return how far the run has come, in one line."""
        return progress_line(self._view.step, self._total, self._view.fields(), self._view)

    def _check_there(self) -> None:
        if identify(self._folder) != self._identity or identify(self._folder / RECIPE, follow=False) is None:
            raise StorageError(
                f"{self._folder}: was removed, moved or replaced while it was watched; it was {self._at()}. If it was "
                "only moved, watch it where it is now."
            )

    def _begin_anew(self) -> None:
        """Forget the numbers; the last process's events, read before, are what a view begins with."""
        self._stop: str | None = None
        begun = next((i for i in range(len(self._events) - 1, -1, -1) if self._events[i]["event"] in OPENING), 0)
        told = [(event, time.timestamp()) for event in self._events[begun:] if (time := time_of(event)) is not None]
        facts: dict[str, Any] = {}
        try:
            facts = read_facts(self._folder)
        except CheckpointError:
            if identify(self._folder / FACTS, follow=False) is not None:
                raise  # one that is lost, a run that goes on writes again
        self._total: int | None = facts.get("total_steps")
        recipe = read_recipe(self._folder)
        first, when = (told[0][0]["step"], told[0][1]) if told else (0, _written(self._folder / log.NAME) or 0.0)
        learned = facts["data"].get("train_examples", 0) / facts["steps_per_epoch"] if facts else 0.0
        examples = learned or recipe.data.batch_size * recipe.train.accumulate
        self._view = View(total=self._total, examples=examples, step=first, now=when, watched=recipe.watched.values())
        for event, time in told:
            self._take_event(event, time)

    def _take_events(self) -> bool:
        """Take in new events; a process that has begun since may have other facts, and has cut the log."""
        anew, new = False, list[dict[str, Any]]()
        while True:
            rows, is_first = self._happened.read()
            if is_first:
                self._events, new, anew = [], [], True
            if not rows:
                break
            new += rows
        self._events += new
        if anew or any(event["event"] in OPENING for event in new):
            self._log.rewind()
            self._begin_anew()
            return True
        for event in new:
            if (time := time_of(event)) is not None:
                self._take_event(event, time.timestamp())
        return bool(new)

    def _take_event(self, event: dict[str, Any], time: float) -> None:
        if event["event"] == "checkpoint":
            self._view.saved(event["step"], time)
            usage = Usage.of_event(event)
            self._view.device = "" if usage is None else f"{usage.text()}, when it was saved"
        self._advance(event["step"], time)

    def _take_rows(self) -> bool:
        changed = False
        while True:
            rows, is_first = self._log.read()
            if is_first:
                self._begin_anew()
                changed = True
            if not rows:
                return changed
            changed = True
            for row in rows:
                self._view.row(row["kind"], row)
                if row["kind"] == "stop":
                    self._stop = str(row.get("reason"))
            done = max(row["step"] + (row["kind"] != "sharpness") for row in rows)  # which is measured before its step
            written = _written(self._folder / log.NAME)
            self._advance(done, written or 0.0)

    def _advance(self, step: int, time: float) -> None:
        if step > self._view.step:
            self._view.tick(step, time)

    def _at(self) -> str:
        return f"at step {self._view.step:,}" + (f" of {self._total:,}" if self._total else "")

    def _signal(self) -> str:
        number = next((event.get("signal") for event in reversed(self._events) if event["event"] == "signal"), None)
        try:
            return signal.Signals(number).name
        except ValueError:
            return "a signal"


def _written(path: Path) -> float | None:
    try:
        return path.lstat().st_mtime
    except OSError:
        return None
