"""A study: what was proposed, by whom it is worked on and what it gave, in Optuna's storage.

The storage is a memory of facts: what comes next follows from them (`ladder.py`). Who works on what is told by locks in
the study's folder, which all processes see. Results are JSON; nothing is unpickled.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downslope.core.errors import DownslopeError
from downslope.core.notebook import ShownInNotebooks
from downslope.core.posix import locks
from downslope.core.shown import shown
from downslope.training.folder import durable
from downslope.training.tuning.ladder import Job
from downslope.training.tuning.propose import Point, distribution_of, import_optuna
from downslope.training.tuning.space import Dimension

JOURNAL = "study.journal"
_LOCKS = "locks"
_ABOUT = "downslope"
_ADVICE = (
    ". It takes an address as SQLAlchemy does, such as sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME (extra "
    "postgres); a journal file in the folder needs none."
)
_PROBLEM = "it is the folder of another study. Give another --out, or the study's own settings"


@dataclass(frozen=True)
class Result:
    """What a job gave.

    Attributes:
        value: By what it is judged, the lower the better; infinite where that is no finite number.
        metrics: The last evaluation.
        step: Updates done.
        outcome: "settled", "falling" (its loss was still falling at the end: slow) or "diverged" (it or the gradient
            became infinite or NaN, or it rose far above where it began and stayed).
    """

    value: float
    metrics: Mapping[str, float]
    step: int
    outcome: str


@dataclass(frozen=True)
class State:
    """All that is known of a study.

    Attributes:
        points: What each trial tries, by its number.
        results: What each job gave.
        finals: What each run of the winner gave, by its number.
    """

    points: Mapping[int, Point]
    results: Mapping[Job, Result]
    finals: Mapping[int, Result]


class StorageError(DownslopeError):
    """The storage of a study was there, and is not now."""

    exit_code = 1


class Study(ShownInNotebooks):
    """A study in a storage, as one process sees it.

    Args:
        folder: Where its runs lie; all processes see it.
        url: Optuna's storage, or None for a journal file in the folder.
        about: What decides all of it; a study that is there already must have the same. None to take what is there.

    Raises:
        DownslopeError: If the storage cannot be used, or holds another study.
    """

    def __init__(self, folder: Path, url: str | None, about: Mapping[str, Any] | None = None) -> None:
        """Open it, or begin it."""
        optuna = import_optuna()
        self.folder, self._optuna = folder, optuna
        durable.make_folder(folder / _LOCKS)
        with (
            self.holding(),
            self._reaching(DownslopeError, ImportError, ValueError, advice=_ADVICE),
        ):  # of several that begin at once, one makes tables and study
            storage = _journal(optuna, folder / JOURNAL) if url is None else optuna.storages.RDBStorage(url)
            self._study = optuna.create_study(
                storage=storage,
                study_name=folder.name,
                sampler=optuna.samplers.RandomSampler(seed=0),
                direction="minimize",
                load_if_exists=True,
            )
            there = self._study.user_attrs.get(_ABOUT)
            if there is None and about is not None:
                self._study.set_user_attr(_ABOUT, dict(about))
                there = dict(about)
        if there is None:
            raise DownslopeError(f"{folder}: holds no study.")
        if about is not None and (parts := [key for key in about if there.get(key) != about[key]]):
            changes = "; ".join(_change(key, there.get(key), about[key]) for key in parts)
            raise DownslopeError(f"{folder}: {_PROBLEM}. What differs: {changes}.")
        self.about: Mapping[str, Any] = there

    def __repr__(self) -> str:
        """Return where it lies; not its storage, whose address may hold a password."""
        return f"Study({str(self.folder)!r})"

    @contextmanager
    def holding(self, job: Job | int | None = None) -> Iterator[bool]:
        """Hold a job, a run of the winner, or with None the study itself, for which others wait; yield whether it is.

        The system gives the lock back when a process dies, however it dies.
        """
        name = "study" if job is None else f"seed-{job}" if isinstance(job, int) else f"{job.trial:04d}-{job.rung}"
        descriptor = durable.open_for_append(self.folder / _LOCKS / name)
        try:
            try:
                locks().flock(descriptor, locks().LOCK_EX | (0 if job is None else locks().LOCK_NB))
                held = True
            except BlockingIOError:
                held = False
            yield held
        finally:
            os.close(descriptor)

    def state(self) -> State:
        """Return all that is known now."""
        points: dict[int, Point] = {}
        results: dict[Job, Result] = {}
        with self._reaching():
            trials, attributes = self._trials(), self._study.user_attrs
        for one in trials.values():
            number = one.user_attrs["trial"]
            points[number] = one.params
            for key, value in one.user_attrs.items():
                if key.startswith("rung "):
                    results[Job(number, int(key.split()[1]))] = _decoded(value)
        finals = {int(key.split()[1]): _decoded(v) for key, v in attributes.items() if key[:5] == "seed "}
        return State(points, results, finals)

    def add(self, number: int, point: Point, space: tuple[Dimension, ...]) -> None:
        """Note what a trial tries, while holding the study."""
        frozen = self._optuna.trial.create_trial(
            state=self._optuna.trial.TrialState.RUNNING,
            params=point,
            distributions={one.name: distribution_of(self._optuna, one) for one in space},
            user_attrs={"trial": number},
        )
        with self._reaching():
            self._study.add_trial(frozen)

    def record(self, job: Job | int, result: Result, *, whole: bool = True) -> None:
        """Note what a job gave; the last of a trial also as Optuna's other tools read it."""
        value = {
            "value": result.value if math.isfinite(result.value) else None,
            "metrics": {name: number if math.isfinite(number) else None for name, number in result.metrics.items()},
            "step": result.step,
            "outcome": result.outcome,
        }
        with self._reaching():
            if isinstance(job, int):
                self._study.set_user_attr(f"seed {job}", value)
            else:
                self._record(job, result, value, whole=whole)

    def _record(self, job: Job, result: Result, value: dict[str, Any], *, whole: bool) -> None:
        frozen = self._trials()[job.trial]
        trial = self._optuna.trial.Trial(self._study, frozen._trial_id)  # noqa: SLF001  the one way to report on it
        trial.set_user_attr(f"rung {job.rung}", value)
        if math.isfinite(result.value):
            trial.report(result.value, result.step)
        if whole:
            state = self._optuna.trial.TrialState
            told = {"values": result.value} if math.isfinite(result.value) else {"state": state.FAIL}
            self._study.tell(frozen.number, skip_if_finished=True, **told)

    def end(self, top: int) -> None:
        """Tell Optuna's other tools which trials stopped below the top rung, while holding the study."""
        states = self._optuna.trial.TrialState
        with self._reaching():
            for one in self._study.get_trials(deepcopy=False, states=(states.RUNNING,)):
                last = one.user_attrs.get(f"rung {top}")  # of one that was killed before it had told the whole
                value = None if last is None else last["value"]
                told = {"state": states.PRUNED if one.intermediate_values else states.FAIL}
                self._study.tell(one.number, skip_if_finished=True, **(told if value is None else {"values": value}))

    @contextmanager
    def _reaching(
        self, kind: type[DownslopeError] = StorageError, *more: type[Exception], advice: str = ""
    ) -> Iterator[None]:
        """Say of a storage that fails what it says: a server may be gone at any time."""
        try:
            yield
        except Exception as error:
            ours = isinstance(error, (self._optuna.exceptions.OptunaError, *more))
            if not ours and type(error).__module__.partition(".")[0] != "sqlalchemy":
                raise
            cause = error.__cause__ if ours and error.__cause__ is not None else error
            said = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
            raise kind(f"--storage: {shown(said, 300)}{advice}") from None

    def _trials(self) -> dict[int, Any]:
        """Return Optuna's trials by our number."""
        found: dict[int, Any] = {}
        for one in self._study.get_trials(deepcopy=False):
            if "trial" in one.user_attrs:
                found.setdefault(one.user_attrs["trial"], one)
        return found


def _change(key: str, then: Any, now: Any) -> str:
    """Return what differs of a part of a study; of a text the first line that does."""
    old, new = (str(one).splitlines() if isinstance(one, str) else [str(one)] for one in (then, now))
    first, second = next(((a, b) for a, b in zip(old, new, strict=False) if a != b), ("fewer lines", "more lines"))
    return f"{key}: {shown(first, 200)} -> {shown(second, 200)}"


def _decoded(value: Mapping[str, Any]) -> Result:
    number = value["value"]
    metrics = {name: math.nan if one is None else one for name, one in value["metrics"].items()}
    return Result(math.inf if number is None else number, metrics, value["step"], value["outcome"])


def _journal(optuna: Any, path: Path) -> Any:
    """Return Optuna's storage in a journal file."""
    journal = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=_Lock(path))
    return optuna.storages.JournalStorage(journal)


class _Lock:
    """Optuna's lock of a journal, as a lock of the system, which a process that was killed does not keep."""

    def __init__(self, path: Path) -> None:
        self._path, self._descriptor = path, -1

    def acquire(self) -> bool:
        """Wait for the lock, and have it."""
        self._descriptor = durable.open_for_append(self._path)
        locks().flock(self._descriptor, locks().LOCK_EX)
        # A line that a power cut left half written would spoil the one that is appended to it.
        data = durable.read_file(self._path)
        if data and not data.endswith(b"\n"):
            durable.cut_file(self._path, data.rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        """Give it back."""
        os.close(self._descriptor)
