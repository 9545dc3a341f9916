"""Four processes at work on one study, some of them killed with SIGKILL at random moments and begun anew.

    python studying.py FOLDER URL|- KILLS SEED

The processes are forked, so that torch is loaded once; each opens the storage by itself, as one started anywhere does.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

from downslope import load_recipe
from downslope.recipe.schema import Tune
from downslope.training.tuning.study import Study
from downslope.training.tuning.work import Design, design, work

PROCESSES = 4
SMALL = [("model.hidden", "[8]"), ("data.batch_size", "256"), ("train.epochs", "4"), ("checkpoint.every_seconds", "0")]


def plan() -> Design:
    """Return the study: eight trials of four steps an epoch, of which half go on at each rung."""
    recipe = load_recipe(overrides=SMALL)
    return design(replace(recipe, tune=Tune(trials=8, halving=2, seeds=2)), PROCESSES)


def begin(folder: Path, url: str | None, what: Design) -> int:
    """Fork a process that works on the study, and return its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work(Study(folder, url, what.about()), what)
            code = 0
        except Exception:  # noqa: BLE001  the parent is told by the code
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def main() -> None:
    """Begin four, kill as often as asked, and wait for those that are left."""
    folder, url, kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    what, draw = plan(), random.Random(seed)
    storage = None if url == "-" else url
    alive = [begin(folder, storage, what) for _ in range(PROCESSES)]  # all at once, on a storage without a study
    for _ in range(kills):
        time.sleep(draw.uniform(0.05, 0.5))
        one = draw.choice(alive)
        os.kill(one, signal.SIGKILL)
        os.waitpid(one, 0)
        alive[alive.index(one)] = begin(folder, storage, what)
    ends = [os.waitpid(one, 0)[1] for one in alive]
    print(ends)
    sys.exit(any(ends))


if __name__ == "__main__":
    main()
