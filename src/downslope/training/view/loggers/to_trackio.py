"""Trackio: a run of a local project, for ``trackio show``.

A run is continued by its name. Names are one for a project, so the folder's is followed by a few letters.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from downslope.training.view.loggers.logger import RunInfo, Scalars, merged


class _Trackio:
    def __init__(self, info: RunInfo) -> None:
        import trackio  # pyright: ignore[reportMissingImports] -- installed by those who want it

        self._name = info.known.get("name") or f"{info.name}-{secrets.token_hex(3)}"
        last = trackio.SQLiteStorage.get_max_step_for_run(info.project, self._name)
        self._position = 0 if last is None else int(last) + 1
        self._run: Any = trackio.init(
            project=info.project,
            name=self._name,
            resume="allow",
            config=dict(info.settings),
        )

    def identity(self) -> dict[str, str]:
        """Return the run's name."""
        return {"name": self._name}

    def position(self) -> int:
        """Return the step after the last that is stored: rows wait in a queue, which a kill loses."""
        return self._position

    def send(self, rows: Sequence[tuple[int, Scalars]]) -> None:
        """Log each step whole."""
        for step, scalars in merged(rows):
            self._run.log(scalars, step=step)

    def close(self, *, finished: bool) -> None:
        """Finish the run."""
        self._run.finish()


def open_logger(info: RunInfo) -> _Trackio:
    """Return the logger of a run."""
    return _Trackio(info)
