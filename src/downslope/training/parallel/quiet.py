"""What the workers other than the first have in the place of files and a terminal: nothing is written, nothing said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SilentConsole:
    """In the place of a `Console`."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def progress(self, step: int, total: int, fields: Mapping[str, float]) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Have nothing to end."""


class QuietLog:
    """In the place of a `Log`."""

    def add(self, kind: str, step: int, **values: Any) -> None:
        """Write nothing."""

    def flush(self) -> None:
        """Have nothing to write."""

    def sync(self) -> tuple[int, str]:
        """Return an empty log's length and no checksum; nothing asks for them."""
        return 0, ""

    def close(self) -> None:
        """Have nothing to close."""


class QuietEvents:
    """In the place of `Events`."""

    def add(self, event: str, step: int, **details: Any) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Have nothing to close."""


class QuietGuard:
    """In the place of a `Guard`."""

    def check(self) -> None:
        """Have nothing to guard."""
