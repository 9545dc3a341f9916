"""Loaders: threads that read examples ahead, in bounded number, each by a reader of its own.

With none of them the training process reads for itself. A thread reads files itself, since decoders let other threads
run; code of a person's own may hold the interpreter and draws from its global generators, so that a thread has a
process of its own read for it (`loader_child.py`). What is read is the same in each case.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any, Protocol, TypeVar

from downslope.core.errors import DataError
from downslope.training.data.rows import Indices, Read, Source, Watch
from downslope.training.run.randomness import keep_generators

_LOOK_SECONDS = 1.0
"""How often one looks whether a loader hangs."""


_JOIN_SECONDS = 5.0
"""How long one waits for a thread to end what it is reading; one that hangs is left."""


class Reader(Protocol):
    """What one loader reads by."""

    def read(self, key: str, indices: Indices, epoch: int, watch: Watch) -> Read:
        """Return examples of the source of a key."""
        ...

    def close(self) -> None:
        """End what was started; a read that is going on fails."""
        ...


class Here:
    """Reads from sources in this process."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        """Take the sources."""
        self._sources = sources

    def read(self, key: str, indices: Indices, epoch: int, watch: Watch) -> Read:
        """Return examples of the source of a key."""
        return self._sources[key].read(indices.tolist(), epoch, watch)

    def close(self) -> None:
        """Nothing was started."""


class _Since(Watch):
    """Which example is being read, and since when."""

    def __init__(self) -> None:
        self.key, self.index, self.since = "", -1, time.monotonic()

    def __call__(self, index: int) -> None:
        self.index, self.since = index, time.monotonic()


class Reading:
    """Examples that are being read, or wait for it."""

    def __init__(self, key: str, indices: Indices, epoch: int) -> None:
        """Take what is to be read."""
        self.key, self.indices, self.epoch = key, indices, epoch
        self.result: Future[Read] = Future()
        self.watch: _Since | None = None

    def cancel(self) -> None:
        """Nobody waits for it any more; if it has not begun, it never will."""
        self.result.cancel()


class Loaders:
    """The loaders of a data set.

    Args:
        count: How many; 0 reads in the training process.
        sources: What is read, by key.
        timeout: Seconds after which an example that is still not read is an error; 0 for never.
        make_reader: Makes the reader of one loader; None for threads that read the sources here.
    """

    def __init__(
        self,
        count: int,
        sources: Mapping[str, Source],
        *,
        timeout: float = 0.0,
        make_reader: Callable[[], Reader] | None = None,
    ) -> None:
        """Start nothing yet."""
        self.count = count
        self.depth = count + 2  # what is taken now, one for each loader, and one more that is ready
        self._sources = sources
        self._here = Here(sources)
        self._timeout = timeout
        self._make_reader = make_reader
        self._jobs: queue.SimpleQueue[Reading | None] = queue.SimpleQueue()
        self._readers: list[Reader] = []
        self._watches: list[_Since] = []
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._finalizer = weakref.finalize(self, _end, self._jobs, self._readers, self._threads, self._stopping)

    def read(self, key: str, indices: Indices, epoch: int) -> Read:
        """Return examples, read now and here."""
        with keep_generators():
            return self._here.read(key, indices, epoch, Watch())

    def begin(self, key: str, indices: Indices, epoch: int) -> Reading:
        """Let a loader read examples; the first call starts the loaders."""
        if len(self._readers) < self.count:
            self._start()
        reading = Reading(key, indices, epoch)
        self._jobs.put(reading)
        return reading

    def wait(self, reading: Reading) -> Read:
        """Return examples that were begun, once they are there.

        Raises:
            DataError: If they cannot be read, or a loader has died or hangs; the message names the example.
        """
        while True:
            try:
                return reading.result.result(_LOOK_SECONDS if self._timeout else None)
            except CancelledError:
                return self.read(reading.key, reading.indices, reading.epoch)
            except NotYet:
                self._look()

    def describe(self, key: str, index: int) -> str:
        """Return what messages call an example."""
        return self._sources[key].describe(index)

    def close(self) -> None:
        """End all loaders."""
        self._finalizer()

    def _start(self) -> None:
        for _ in range(self.count):
            reader = self._here if self._make_reader is None else self._make_reader()
            watch = _Since()
            self._readers.append(reader)
            self._watches.append(watch)
            work = threading.Thread(target=_work, args=(self._jobs, reader, watch, self._stopping), daemon=True)
            work.start()
            self._threads.append(work)

    def _look(self) -> None:
        """Raise if every loader that could help has been at one example for too long."""
        for watch in self._watches:
            if watch.index >= 0 and time.monotonic() - watch.since > self._timeout:
                place = self.describe(watch.key, watch.index)
                self.close()
                raise DataError(
                    f"{place}: was not read within {self._timeout:g} seconds by a "
                    "loader. If it only takes that long, set data.loader_timeout higher, or 0 to wait for ever."
                )


Part = TypeVar("Part")
Made = TypeVar("Made")


def in_order(parts: Iterable[Part], make: Callable[[Part], Made], count: int) -> Iterator[Made]:
    """Yield what is made of parts, in their order, by so many threads; as many as these and two are in memory."""
    if not count:
        yield from map(make, parts)
        return
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(make, part))
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


def _work(jobs: queue.SimpleQueue[Reading | None], reader: Reader, watch: _Since, stopping: threading.Event) -> None:
    """Read what is asked for, until there is None."""
    while (job := jobs.get()) is not None:
        if stopping.is_set() or not job.result.set_running_or_notify_cancel():
            continue
        watch.key, watch.since = job.key, time.monotonic()
        watch(int(job.indices[0]))
        try:
            found: Any = reader.read(job.key, job.indices, job.epoch, watch)
        except BaseException as error:  # noqa: BLE001  it is raised where the examples are waited for
            job.result.set_exception(error)
        else:
            job.result.set_result(found)
        watch.index = -1
        del job


def _end(
    jobs: queue.SimpleQueue[Reading | None],
    readers: list[Reader],
    threads: list[threading.Thread],
    stopping: threading.Event,
) -> None:
    stopping.set()
    for _ in threads:
        jobs.put(None)
    for reader in readers:
        reader.close()
    for thread in threads:  # one that is at work within torch when Python ends would end it by an abort
        if thread is not threading.current_thread():
            thread.join(_JOIN_SECONDS)
