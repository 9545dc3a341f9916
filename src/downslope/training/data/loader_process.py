"""The process of a loader: reads what it is asked for until its socket ends, and ends with it.

Started by `loader_child.py`. Signals are for the training process, which saves first; this one waits for it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import queue
import signal
import struct
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import numpy as np
import torch

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data.loader_child import HEAD, Answer, Array, Begin, Request
from downslope.training.data.own import open_sources
from downslope.training.data.rows import Read, Source, Watch
from downslope.training.user_code import FAILURES, describe

_ALIGNED = 64
_PR_SET_PDEATHSIG = 1


class _Memory(Watch):
    """The memory that both processes see."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._map = mmap.mmap(file, HEAD)
        self._begun = 0

    def __call__(self, index: int) -> None:
        self._begun += 1
        struct.pack_into("<QQ", self._map, 0, self._begun, index)

    def put(self, read: Read) -> list[Array]:
        """Write arrays, and return where they lie."""
        arrays: list[Array] = []
        begin = HEAD
        tensors = [tensor.contiguous() for tensor in read if tensor is not None]
        for tensor in tensors:
            arrays.append(Array(str(tensor.dtype).removeprefix("torch."), list(tensor.shape), begin))
            begin += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
        if len(self._map) < begin:
            os.ftruncate(self._file, begin)
            self._map = mmap.mmap(self._file, begin)
        for tensor, array in zip(tensors, arrays, strict=True):
            if tensor.nbytes:
                place: Any = np.frombuffer(self._map, np.uint8, tensor.nbytes, array.begin)
                place[:] = tensor.flatten().view(torch.uint8).numpy()
        return arrays


def main(connection_file: int, memory_file: int, parent: int) -> None:
    """Answer requests until there are none.

    Args:
        connection_file: Descriptor of the socket.
        memory_file: Descriptor of the shared memory.
        parent: The training process.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _end_with(parent)
    torch.set_num_threads(1)
    connection, memory = Connection(connection_file), _Memory(memory_file)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests), daemon=True).start()
    sources: Mapping[str, Source] | Exception
    try:
        begin = msgspec.json.decode(requests.get(), type=Begin)
        sys.path[:] = begin.path
        sources = open_sources(parse_recipe(begin.recipe))
    except DownslopeError as error:
        sources = error
    connection.send_bytes(b"ready")
    while True:
        request = msgspec.json.decode(requests.get(), type=Request)
        connection.send_bytes(msgspec.json.encode(_answer(sources, request, memory)))


def _answer(sources: Mapping[str, Source] | Exception, request: Request, memory: _Memory) -> Answer:
    if isinstance(sources, Exception):
        return Answer(error=str(sources))
    try:
        return Answer(memory.put(sources[request.key].read(request.indices, request.epoch, memory)))
    except DownslopeError as error:
        return Answer(error=str(error))
    except FAILURES as error:
        return Answer(error=f"a loader raised {describe(error)}")


def _listen(connection: Connection, requests: queue.SimpleQueue[bytes]) -> None:
    """Pass requests on; when there can be no more, the process ends, whatever it is doing."""
    try:
        while True:
            requests.put(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)


def _end_with(parent: int) -> None:
    """Let the system end this process with its parent, even while it hangs, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
