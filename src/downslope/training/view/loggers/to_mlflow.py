"""MLflow: a run of an experiment, wherever MLFLOW_TRACKING_URI points to (by default where MLflow itself would write).

Nothing can be taken back there, so on resume the store is asked which points of each metric it has, and only later ones
are sent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from downslope.training.view.loggers.logger import RunInfo, Scalars

BATCH = 1000
"""Metrics that the store takes at once, as its interface limits them."""

_LONGEST = 500
"""Characters of a parameter, which every store takes."""


class _MLflow:
    def __init__(self, info: RunInfo) -> None:
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports] -- installed by those who want it

        self._client = MlflowClient()
        self._last: dict[str, int] = {}
        run_id = info.known.get("run_id")
        if run_id is None:
            experiment = self._client.get_experiment_by_name(info.project)
            place = self._client.create_experiment(info.project) if experiment is None else experiment.experiment_id
            run_id = self._client.create_run(place, run_name=info.name).info.run_id
            for path, value in info.settings.items():
                self._client.log_param(run_id, path, str(value)[:_LONGEST])
        else:
            self._client.update_run(run_id, status="RUNNING")
            for name in self._client.get_run(run_id).data.metrics:
                self._last[name] = max(point.step for point in self._client.get_metric_history(run_id, name))
        self._run_id = run_id

    def identity(self) -> dict[str, str]:
        """Return the run's id."""
        return {"run_id": self._run_id}

    def position(self) -> int:
        """Return 0: each metric's own last step decides."""
        return 0

    def send(self, rows: Sequence[tuple[int, Scalars]]) -> None:
        """Send the points that the store has not."""
        from mlflow.entities import Metric  # pyright: ignore[reportMissingImports]

        now = int(time.time() * 1000)
        points = [
            Metric(_allowed(name), value if math.isfinite(value) else math.nan, now, step)
            for step, scalars in rows
            for name, value in scalars.items()
            if step > self._last.get(_allowed(name), -1)
        ]
        for start in range(0, len(points), BATCH):
            self._client.log_batch(self._run_id, metrics=points[start : start + BATCH])

    def close(self, *, finished: bool) -> None:
        """Say that the run is finished, or was stopped."""
        self._client.set_terminated(self._run_id, status="FINISHED" if finished else "KILLED")


def _allowed(name: str) -> str:
    """Return a name with only the characters that MLflow allows in one."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name)


def open_logger(info: RunInfo) -> _MLflow:
    """Return the logger of a run."""
    return _MLflow(info)
