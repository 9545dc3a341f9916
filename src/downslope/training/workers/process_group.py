"""One of several workers: how it joins the others, what travels between them, and what happens when one is lost.

The process group is torch's: gloo between hosts, and what carries tensors between devices where there are some. Nothing
is pickled: plain values travel as JSON, tensors as bytes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from downslope.core.errors import DownslopeError
from downslope.training.device import backends
from downslope.training.run.tree_sum import TreeSum
from downslope.training.workers.ordered_sum import all_reduce
from downslope.training.workers.rendezvous import TIMEOUT, Rendezvous, gone_file
from downslope.training.workers.workers import LeafNote, Shared, Sums, Workers, WorkersLostError

_GRACE = 3.0
"""Seconds in which workers that are still there say so, once one of them has been lost."""


class WorkerGroup(Workers):
    """One of several workers that have joined; see `joined`."""

    def __init__(self, place: Rendezvous, store: dist.Store, timeout: float) -> None:
        """Take the place."""
        self.rank, self.size = place.rank, place.size
        self._store = store
        self._timeout = timeout
        self._signal = 0
        self._memory: dict[tuple[Hashable, torch.dtype, torch.device], Tensor] = {}
        self._folder = None if place.file is None else Path(place.file).parent
        self._parent = None if place.file is None else os.getppid()

    @property
    def signal(self) -> int | None:
        """Number of the signal that any worker had received when the last step was summed."""
        return self._signal or None

    def own_signal(self) -> int:
        """Return the number of the signal that this process received, or 0.

        A worker whose launcher was killed stops as if it had been asked to.
        """
        if self._parent is not None and os.getppid() != self._parent:
            return 15
        return 0 if self._signals is None else self._signals.received or 0

    def start_sum(self, count: int) -> Callable[[], int]:
        """Begin to add up a whole number over all workers, and return what waits for the sum."""
        got = torch.empty(self.size, dtype=torch.int64)
        wait = self.all_gather(torch.tensor([count]), got)

        def total() -> int:
            wait()
            return int(got.sum())

        return total

    def all_reduce(
        self, tree: TreeSum, notes: Sequence[LeafNote], changed: Sequence[bool], *, leaves: int, like: Sequence[Tensor]
    ) -> Sums:
        """Return the sums over all leaves of a step; see `Workers.all_reduce`."""
        sums, signal = all_reduce(self, tree, notes, changed, leaves=leaves, like=like)
        self.note_signal(signal)
        return sums

    def memory(self, use: Hashable, count: int, like: Tensor) -> Tensor:
        """Return memory for some numbers of a tensor's format, beside it: the same for each use while it suffices."""
        key = (use, like.dtype, like.device)
        held = self._memory.get(key)
        if held is None or held.numel() < count:
            held = self._memory[key] = torch.zeros(count, dtype=like.dtype, device=like.device)
        return held[:count]

    def broadcast(self, make: Callable[[], Shared]) -> Shared:
        """Return what worker 0 makes, by way of JSON."""
        return json.loads(self.broadcast_bytes(lambda: json.dumps(make()).encode()))

    def broadcast_bytes(self, make: Callable[[], bytes]) -> bytes:
        """Return the bytes that worker 0 makes."""
        data = make() if self.is_first else b""
        length = int.from_bytes(self.all_gather_bytes(len(data).to_bytes(8, "little"))[0], "little")
        tensor = (
            torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(length, dtype=torch.uint8)
        )
        if length:
            self._wait_for(lambda: dist.broadcast(tensor, 0, async_op=True))()
        return data or tensor.numpy().tobytes()

    def gather(self, value: Any) -> list[Any]:
        """Return a plain value of every worker, in order of rank."""
        data = json.dumps(value).encode()
        lengths = [int.from_bytes(told, "little") for told in self.all_gather_bytes(len(data).to_bytes(8, "little"))]
        told = self.all_gather_bytes(data.ljust(max(lengths), b" "))
        return [json.loads(text[:length]) for text, length in zip(told, lengths, strict=True)]

    def note_signal(self, signal: int) -> None:
        """Take note of a signal that some worker received, as all of them do at the same step."""
        self._signal = max(self._signal, signal)

    def all_gather_bytes(self, data: bytes) -> list[bytes]:
        """Return the bytes of every worker, in order of rank; all have the same length."""
        got = torch.empty(self.size * len(data), dtype=torch.uint8)
        self.all_gather(torch.frombuffer(bytearray(data), dtype=torch.uint8), got)()
        return [part.numpy().tobytes() for part in got.split(len(data))]

    def all_gather(self, sent: Tensor, got: Tensor) -> Callable[[], None]:
        """Begin to give every worker the bytes of all, and return what waits for them.

        Args:
            sent: Shape (n,): bytes, or numbers of any format.
            got: Shape (workers * n,), of the same format.
        """
        parts = list(got.split(len(sent)))
        return self._wait_for(lambda: dist.all_gather(parts, sent, async_op=True))

    def all_to_all(self, sent: Tensor, got: Tensor, sizes: list[int]) -> Callable[[], None]:
        """Begin to send each worker an equal part of some bytes, and return what waits for those of the others.

        Args:
            sent: uint8, shape (bytes,): one part for each worker, in order of rank.
            got: uint8, shape (sum of sizes,).
            sizes: How many bytes come from each worker.
        """
        parts = [len(sent) // self.size] * self.size
        return self._wait_for(lambda: dist.all_to_all_single(got, sent, sizes, parts, async_op=True))

    def _wait_for(self, begin: Callable[[], Any]) -> Callable[[], None]:
        try:
            work = begin()
        except RuntimeError as error:
            raise self.lost(error) from error

        def wait() -> None:
            try:
                work.wait()
            except RuntimeError as error:
                raise self.lost(error) from error

        return wait

    def report(self, error: BaseException) -> None:
        """Let the others know that this worker fails."""
        self._put("failed", str(error))

    def lost(self, error: RuntimeError) -> WorkersLostError:
        """Return what to raise when another worker did not answer: who failed, and who is silent."""
        timed_out = "imed out" in str(error) or "imeout" in str(error)
        self._put("waiting", "")
        others = [rank for rank in range(self.size) if rank != self.rank]
        end = time.monotonic() + _GRACE
        while True:
            failed = {rank: text for rank in others if (text := self._get("failed", rank)) is not None}
            silent = [rank for rank in others if rank not in failed and self._get("waiting", rank) is None]
            if all(self._is_gone(rank) for rank in silent) or time.monotonic() > end:
                break
            time.sleep(0.05)
        if failed:
            rank, text = next(iter(failed.items()))
            message = f"worker {rank} failed: {text}"
        elif silent:
            did = f"has not answered for {self._timeout:g} seconds" if timed_out else "is gone"
            message = f"worker {', '.join(map(str, silent))} of {self.size} {did}"
        else:
            lines = str(error).strip().splitlines() or [""]
            message = f"the connection between the workers was lost: {lines[0]}"
        return WorkersLostError(message, failed, silent)

    def _is_gone(self, rank: int) -> bool:
        """Whether the launcher has seen a worker die."""
        return self._folder is not None and gone_file(self._folder, rank).exists()

    def _put(self, key: str, text: str) -> None:
        with suppress(RuntimeError):  # raised where worker 0 kept the meeting place, and is the one that is lost
            self._store.set(f"{key}/{self.rank}", text)

    def _get(self, key: str, rank: int) -> str | None:
        try:
            name = f"{key}/{rank}"
            return self._store.get(name).decode() if self._store.check([name]) else None
        except RuntimeError:
            return None


@contextmanager
def joined(place: Rendezvous, timeout: float = TIMEOUT) -> Iterator[WorkerGroup]:
    """Within its ``with`` block, this process is one of several workers.

    Raises:
        DownslopeError: If not all of them come.
    """
    wait = timedelta(seconds=timeout)
    try:
        store = _meet(place, wait)
        dist.init_process_group(backends(), store=store, rank=place.rank, world_size=place.size, timeout=wait)
    except (RuntimeError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        where = place.file if place.address is None else f"{place.address}:{place.port}"
        raise DownslopeError(
            f"worker {place.rank} could not join the {place.size} workers at {where} within {timeout:g} seconds: "
            f"{lines[0]}. All of them must be started, and reach that machine; --timeout gives them longer."
        ) from error
    workers = WorkerGroup(place, store, timeout)
    try:
        yield workers
    except BaseException as error:
        if not isinstance(error, WorkersLostError):
            workers.report(error)
        raise
    finally:
        dist.destroy_process_group()


def _meet(place: Rendezvous, wait: timedelta) -> dist.Store:
    if place.file is not None:
        loopback = "lo0" if sys.platform == "darwin" else "lo"
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)  # one machine: nothing has to leave it
        return dist.FileStore(place.file, place.size)
    if place.started_by == "torchrun":
        store, _, _ = next(dist.rendezvous("env://", rank=place.rank, world_size=place.size, timeout=wait))
        return dist.PrefixStore("downslope", store)
    address = place.address or ""
    return dist.TCPStore(address, place.port, place.size, is_master=place.rank == 0, timeout=wait)
