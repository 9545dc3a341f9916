"""SIGINT, SIGTERM and SIGHUP: the first asks for a checkpoint at the next step boundary, the second quits at once.

SIGHUP is what a terminal that closes or a connection that breaks sends; under nohup it is ignored, and stays so.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_HANGUP: int | None = getattr(signal, "SIGHUP", None)  # which Windows lacks
WATCHED = tuple(number for number in (signal.SIGINT, signal.SIGTERM, _HANGUP) if number is not None)


def take_over(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Have a function called at each of the signals; return the handlers there were, by number."""
    hangs_on = _HANGUP is not None and signal.getsignal(_HANGUP) == signal.SIG_IGN  # as nohup asks for
    return {number: signal.signal(number, handler) for number in WATCHED if not (number == _HANGUP and hangs_on)}


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
            self._before = take_over(self._note)
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
