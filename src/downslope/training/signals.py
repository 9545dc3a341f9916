"""SIGINT and SIGTERM: the first asks for a checkpoint at the next step boundary, the second quits at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

WATCHED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Within its ``with`` block, a first signal is only noted.

    Quitting at the second is safe at any moment, since whatever is half written is not yet committed.

    Attributes:
        received: Number of the first signal, or None.
    """

    def __init__(self) -> None:
        """Start with none received."""
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take over the signals; Python allows that in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in WATCHED}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self.received = number
