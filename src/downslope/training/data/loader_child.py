"""A loader that is a process: started, asked, and looked after by the thread that it reads for.

Requests and answers go over a socket, arrays through memory that both processes see: a file that has no name, so that
nothing is left of it whoever is killed. The process ends when its socket does, however the training process ends.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from socket import socketpair
from typing import Any

import msgspec
import torch

from downslope.core.errors import DataError
from downslope.core.posix import need_posix
from downslope.recipe.load import to_toml
from downslope.recipe.schema import Recipe
from downslope.training.data.rows import Indices, Read, Source, Watch

_LOOK_SECONDS = 0.25
HEAD = 64
"""Bytes at the beginning of the memory: 8 count the examples begun, 8 are the index of the last, the rest is free."""


class Begin(msgspec.Struct):
    """What a loader begins with: the recipe as TOML, and where modules are looked for."""

    recipe: str
    path: list[str]


class Request(msgspec.Struct):
    """What a loader is asked for: examples of one source, in an epoch."""

    key: str
    indices: list[int]
    epoch: int


class Array(msgspec.Struct):
    """Where an array lies in the memory."""

    dtype: str
    shape: list[int]
    begin: int


class Answer(msgspec.Struct):
    """What a loader answers: inputs and perhaps targets, or an error."""

    arrays: list[Array] = []
    error: str = ""


class ChildReader:
    """Reads by a process of its own, which calls the person's function for itself.

    Args:
        recipe: The recipe, by which it finds the sources.
        sources: The same sources in this process, for messages.
    """

    def __init__(self, recipe: Recipe, sources: Mapping[str, Source]) -> None:
        """Start the process."""
        need_posix("reading by loaders of their own")
        self._sources = sources
        ours, theirs = socketpair()
        self._memory = make_memory()
        self._map: mmap.mmap | None = None
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  this program itself
                [sys.executable, "-m", "downslope.training.data.loader_process", str(theirs.fileno()),
                 str(self._memory), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._memory),
                env=environment,
                start_new_session=True,  # a terminal's Ctrl-C is for the training process
            )  # fmt: skip
        self._is_ready = False
        self._connection = Connection(ours.detach())
        with contextlib.suppress(OSError):  # it has ended already, which the first read will say
            self._connection.send_bytes(msgspec.json.encode(Begin(to_toml(recipe), sys.path)))

    def read(self, key: str, indices: Indices, epoch: int, watch: Watch) -> Read:
        """Return examples of the source of a key.

        Raises:
            DataError: If they cannot be read, or the process has ended.
        """
        begun = self._progress()[0]
        try:
            while not self._is_ready:  # it loads its packages and calls the function: no example takes so long
                watch(int(indices[0]))
                if self._connection.poll(_LOOK_SECONDS):
                    self._connection.recv_bytes()
                    self._is_ready = True
            self._connection.send_bytes(msgspec.json.encode(Request(key, indices.tolist(), epoch)))
            while not self._connection.poll(_LOOK_SECONDS):
                if self._progress()[0] != begun:
                    begun, index = self._progress()
                    watch(index)
            answer = msgspec.json.decode(self._connection.recv_bytes(), type=Answer)
        except (EOFError, OSError):
            raise DataError(self._tell_end(key, indices, begun)) from None
        if answer.error:
            raise DataError(answer.error)
        return Read(*(self._copy(array) for array in answer.arrays))

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._connection.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1

    def _progress(self) -> tuple[int, int]:
        """Return how many examples it has begun, and the index of the last."""
        head = self._mapped(HEAD)
        return int.from_bytes(head[:8], "little"), int.from_bytes(head[8:16], "little")

    def _mapped(self, size: int) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self._memory, max(size, os.fstat(self._memory).st_size))
        return self._map

    def _copy(self, array: Array) -> torch.Tensor:
        dtype = getattr(torch, array.dtype)
        count = 1
        for size in array.shape:
            count *= size
        memory: Any = self._mapped(array.begin + count * dtype.itemsize)
        if not count:
            return torch.empty(array.shape, dtype=dtype)
        # a copy: the process writes the next examples to the same place
        return torch.frombuffer(memory, dtype=dtype, count=count, offset=array.begin).reshape(array.shape).clone()

    def _tell_end(self, key: str, indices: Indices, begun: int) -> str:
        count, index = self._progress()
        source = self._sources[key]
        place = source.describe(index if count != begun or index in indices.tolist() else int(indices[0]))
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            code = 0
        how = f"exit code {code}"
        if code < 0:
            how = f"signal {-code}, {signal.strsignal(-code)}"
            how += "; perhaps for want of memory" if -code == signal.SIGKILL else ""
        return f"{place}: the loader process that read it has ended ({how}). Training can be resumed."


def make_memory() -> int:
    """Return a file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("downslope loader")
    else:
        with tempfile.TemporaryFile() as opened:
            file = os.dup(opened.fileno())
    os.ftruncate(file, HEAD)
    return file
