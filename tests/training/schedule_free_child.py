"""Train in processes that are killed by SIGKILL, for `test_schedule_free_runs.py`; no test lives here.

Usage: schedule_free_child.py FOLDER OVERRIDES AT ...     overrides of the tiny recipe as JSON, and steps to die after
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from training_runs import Recorder, every_step_shown, tiny

from downslope.training.run import train
from downslope.training.run.plan import plan_run


class Killed(Recorder):
    """A console that ends the process by SIGKILL after so many steps."""

    def progress(self, step: int, total: int, fields: Any) -> None:
        """Kill at the step."""
        if step == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Train as the command line says, each time in a process forked of this one, which has loaded torch alone."""
    folder, overrides, *steps = sys.argv[1:]
    torch.set_num_threads(1)
    recipe = tiny(**json.loads(overrides))
    for at in map(int, steps):
        child = os.fork()
        if child == 0:
            try:
                with every_step_shown():
                    train.train(plan_run(recipe, name="tiny", out=Path(folder)), recipe, Killed(at), report=False)
            finally:
                os._exit(1)
        if os.WTERMSIG(os.waitpid(child, 0)[1]) != signal.SIGKILL:
            sys.exit(1)


if __name__ == "__main__":
    main()
