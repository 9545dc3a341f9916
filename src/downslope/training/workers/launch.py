"""Starting the workers of one machine, and what their end means: `--workers N`.

One process for each worker is forked once torch is loaded, so that N workers start as quickly as one. It is what
torchrun does for one machine without restarts, and no more: signals are handed on, and when one worker is lost the
others end too, with one message. Each is in a process group of its own, so that Ctrl-C reaches them through this
process alone, and once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import msgspec
from msgspec import Struct

from downslope.core.errors import DownslopeError
from downslope.core.files import open_regular, read_regular
from downslope.core.strict_json import decode_json
from downslope.training.run.signals import WATCHED, take_over
from downslope.training.workers.rendezvous import Rendezvous, gone_file

_POLL = 0.02
_GRACE = 5.0
"""Seconds that the others get to end by themselves once worker 0 has ended after a failure."""
_SAVING = 60.0
"""Seconds, beyond the timeout, that worker 0 gets to notice a failure and save."""
_TAIL = 10
_LONGEST_REPORT = 1 << 24
_LONGEST_END = 1 << 16
_BY_SIGNAL = tuple(128 + number for number in WATCHED)


class WorkerFailedError(DownslopeError):
    """A worker failed, died or hung, and all have ended."""

    def __init__(self, message: str, exit_code: int) -> None:
        """Take the message and what the command exits with."""
        super().__init__(message)
        self.exit_code = exit_code


class _Report(Struct, forbid_unknown_fields=True):
    """What a worker says of its failure.

    Attributes:
        message: The message.
        exit_code: What it exits with.
        silent: Numbers of the workers that it waited for in vain, where that is the failure.
        advice: What to do then.
    """

    message: str
    exit_code: int
    silent: tuple[int, ...] | None = None
    advice: str = ""


@dataclass
class _Worker:
    """A worker that was started.

    Attributes:
        rank: Its number.
        process: Its process id.
        code: Its exit code, negative for a signal; None while it runs.
        killed: Whether this process ended it.
        report: What it said of its failure.
    """

    rank: int
    process: int
    code: int | None = None
    killed: bool = False
    report: _Report | None = None

    @property
    def died(self) -> bool:
        """Whether something else than this process or a person's signal ended it without a word."""
        return self.code not in {None, 0, *_BY_SIGNAL} and self.report is None and not self.killed


class Launch:
    """The workers of one machine, from start to end.

    Args:
        work: What each does, in a process of its own: given its place, it returns the exit code.
        size: How many.
        timeout: Seconds that one waits for another.
        explain: Returns the message and exit code of an error.
    """

    def __init__(
        self,
        work: Callable[[Rendezvous], int],
        *,
        size: int,
        timeout: float,
        explain: Callable[[Exception], tuple[str, int]],
    ) -> None:
        """Take what to do."""
        self._work, self._size, self._timeout, self._explain = work, size, timeout, explain
        self._received: list[int] = []
        self._workers: list[_Worker] = []

    def go(self) -> int:
        """Start the workers, wait for them, and return the exit code of all.

        Raises:
            WorkerFailedError: If one of them failed, died or hung.
        """
        with tempfile.TemporaryDirectory(prefix="downslope-") as name:
            folder = Path(name)
            before = take_over(self._note)
            try:
                for rank in range(self._size):
                    self._workers.append(_Worker(rank, self._fork(rank, folder)))
                self._wait(folder)
            finally:
                for worker in self._workers:
                    self._kill(worker)
                for number, handler in before.items():
                    signal.signal(number, handler)
            return self._conclude(folder)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._received.append(number)

    def _fork(self, rank: int, folder: Path) -> int:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        process = os.fork()
        if process:
            with contextlib.suppress(OSError):  # whichever of the two comes first
                os.setpgid(process, process)
            return process
        code = 1
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
                signal.signal(signal.SIGHUP, signal.SIG_DFL)
            os.environ |= _variables(rank, self._size)
            if rank:
                _silence(folder / f"{rank}.out")
            code = self._run(
                Rendezvous(rank=rank, size=self._size, file=str(folder / "place"), started_by="--workers"), folder
            )
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            os._exit(code)  # never back into this process's own code

    def _run(self, place: Rendezvous, folder: Path) -> int:
        try:
            return self._work(place)
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        except Exception as error:  # noqa: BLE001  whatever it is, the launcher tells it
            message, code = self._explain(error)
            silent = getattr(error, "silent", None)
            report = _Report(message, code, None if silent is None else tuple(silent), getattr(error, "advice", ""))
            partial = folder / f"{place.rank}.partial"
            partial.write_bytes(msgspec.json.encode(report))
            partial.rename(folder / f"{place.rank}.json")
            return code

    def _wait(self, folder: Path) -> None:
        """Wait until all have ended, handing on signals, and after a failure see to it that they do."""
        sent, failed_at, first_ended_at = 0, None, None
        while any(worker.code is None for worker in self._workers):
            now = time.monotonic()
            for number in self._received[sent:]:
                sent += 1
                for worker in self._workers:
                    self._send(worker, number)
            for worker in self._workers:
                self._poll(worker, folder)
            if failed_at is None and any(worker.code not in {None, 0, *_BY_SIGNAL} for worker in self._workers):
                failed_at = now
            first = self._workers[0]
            if first_ended_at is None and first.code is not None:
                first_ended_at = now
            if len(self._received) > 1:
                first_ended_at = first_ended_at or now
            accused = not any(worker.died for worker in self._workers) and any(
                worker.report is not None and 0 in (worker.report.silent or ()) for worker in self._workers
            )
            late = failed_at is not None and now - failed_at > (_GRACE if accused else self._timeout + _SAVING)
            if late or (first_ended_at is not None and now - first_ended_at > _GRACE):
                for worker in self._workers:
                    self._kill(worker)
            time.sleep(_POLL)

    def _poll(self, worker: _Worker, folder: Path, options: int = os.WNOHANG) -> None:
        if worker.code is None:
            process, status = os.waitpid(worker.process, options)
            if process:
                worker.code = os.waitstatus_to_exitcode(status)
                worker.report = _read_report(folder / f"{worker.rank}.json")
                if worker.died:
                    gone_file(folder, worker.rank).touch()  # so that the others need not wait for it to answer

    def _send(self, worker: _Worker, number: int) -> None:
        if worker.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.process, number)

    def _kill(self, worker: _Worker) -> None:
        """End a worker that has not ended by itself, with all processes that it started."""
        if worker.code is None:
            worker.killed = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.process, signal.SIGKILL)
            worker.code = os.waitstatus_to_exitcode(os.waitpid(worker.process, 0)[1])

    def _conclude(self, folder: Path) -> int:
        died = [worker for worker in self._workers if worker.died]
        told = [worker for worker in self._workers if worker.report is not None]
        advice = next((text for worker in told if worker.report and (text := worker.report.advice)), "")
        failed = [(worker, worker.report) for worker in told if worker.report and worker.report.silent is None]
        if died and not self._received:
            message = "; ".join(_describe(worker, folder) for worker in died)
            raise WorkerFailedError(f"{message}.\n{advice}".rstrip(), 1)
        if failed:
            worker, report = failed[0]
            everywhere = len(failed) == self._size or worker.rank == 0
            message = report.message if everywhere else f"worker {worker.rank}: {report.message}"
            raise WorkerFailedError(f"{message}\n{advice}".rstrip(), report.exit_code)
        if told:
            raise WorkerFailedError(told[0].report.message if told[0].report else "", 1)
        hung = [worker for worker in self._workers if worker.killed]
        if hung and not self._received:
            ranks = ", ".join(str(worker.rank) for worker in hung)
            raise WorkerFailedError(f"worker {ranks} did not end when the others had, and was killed.", 1)
        return self._workers[0].code or 0 if not hung else 128 + (self._received or [signal.SIGKILL])[0]


def _read_report(path: Path) -> _Report | None:
    """Return what a worker said of its failure, or None if it said nothing that can be understood."""
    try:
        data = read_regular(path, limit=_LONGEST_REPORT, follow=False)
        return decode_json(data, _Report, path)
    except (OSError, DownslopeError):
        return None


def _variables(rank: int, size: int) -> dict[str, str]:
    """Return the variables by which a person's own functions know their worker, as under torchrun."""
    return {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": f"{size}", "LOCAL_WORLD_SIZE": f"{size}"}


def _describe(worker: _Worker, folder: Path) -> str:
    code = worker.code or 0
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = ", perhaps because memory ran out" if code == -signal.SIGKILL else ""
        what = f"worker {worker.rank} (process {worker.process}) was ended by {name}{hint}"
    else:
        what = f"worker {worker.rank} (process {worker.process}) ended with exit code {code} and no message"
    path = folder / f"{worker.rank}.out"
    lines = _end_of(path)
    return "\n    ".join([f"{what}; the last that it wrote:", *lines]) if lines else what


def _end_of(path: Path) -> list[str]:
    """Return the last lines that a worker wrote; a worker may write much, of which only the end is read."""
    try:
        with open_regular(path, follow=False) as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _LONGEST_END, 0))
            return file.read(_LONGEST_END).decode(errors="replace").splitlines()[-_TAIL:]
    except (OSError, DownslopeError):
        return []


def _silence(path: Path) -> None:
    """Let what this process writes go to a file, of which only the end is shown, and only if the process dies."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
