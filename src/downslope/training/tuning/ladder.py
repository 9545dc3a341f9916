"""Which trial trains next, and how far: all to the end, or by successive halving, whose promoted trials go on.

What comes next is a function of the results so far and of nothing else: neither of the clock nor of who computed what.
Jobs come in batches of a fixed width, and each batch is chosen by the results of those before it. So a study that was
killed anywhere ends as it would have, with any number of processes.

References:
    Li et al. 2020, "A system for massively parallel hyperparameter tuning" (ASHA): promote where possible, else begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Job(NamedTuple):
    """Training one trial up to a rung.

    Attributes:
        trial: Its number, 0-based.
        rung: The rung, 0-based; training goes on from the one below.
    """

    trial: int
    rung: int


class Turn(NamedTuple):
    """What is to do now.

    Attributes:
        done: The jobs of all batches before, in the order they were chosen: what proposals go by.
        batch: The jobs of this batch, done or not; empty at the end.
    """

    done: tuple[Job, ...]
    batch: tuple[Job, ...]


def rungs_of(steps: int, every: int, trials: int, halving: int | None) -> tuple[int, ...]:
    """Return after how many steps a trial may pause: multiples of the steps between evaluations, and the end.

    Args:
        steps: Of a whole run.
        every: Steps between evaluations.
        trials: How many there are; so many rungs that the best of them can reach the top.
        halving: At each rung one of so many goes on; None for no rung but the top.

    Example:
        >>> rungs_of(900, 10, 40, 3), rungs_of(900, 10, 40, None)
        ((30, 100, 300, 900), (900,))
    """
    found = [steps]
    while halving is not None and trials >= halving ** len(found):
        below = found[0] // halving // every * every
        if below < every:
            break
        found.insert(0, below)
    return tuple(found)


def next_turn(results: Mapping[Job, float], *, trials: int, width: int, rungs: int, halving: int | None) -> Turn:
    """Return the batch that is to be worked on.

    Args:
        results: What is known: the lower the better, infinite where training diverged.
        trials: How many trials are begun in all.
        width: Jobs in a batch.
        rungs: How many rungs there are.
        halving: At each rung one of so many goes on.

    Example:
        >>> known = {Job(0, 0): 0.3, Job(1, 0): 0.1}
        >>> next_turn(known, trials=3, width=1, rungs=2, halving=2).batch
        (Job(trial=1, rung=1),)
    """
    done: list[Job] = []
    promoted: set[Job] = set()
    begun = 0
    while True:
        batch: list[Job] = []
        while len(batch) < width:
            job = _promotable(done, promoted, results, rungs, halving or 0)
            if job is not None:
                promoted.add(Job(job.trial, job.rung - 1))
            elif begun < trials:
                job = Job(begun, 0)
                begun += 1
            else:
                break
            batch.append(job)
        if not batch or any(job not in results for job in batch):
            return Turn(tuple(done), tuple(batch))
        done += batch


def _promotable(
    done: list[Job], promoted: set[Job], results: Mapping[Job, float], rungs: int, halving: int
) -> Job | None:
    """Return the best job that has earned the next rung, from the top down, or None."""
    for rung in reversed(range(rungs - 1)):
        there = sorted((job for job in done if job.rung == rung), key=lambda job: (results[job], job.trial))
        for job in there[: len(there) // halving]:
            if job not in promoted and results[job] < float("inf"):
                return Job(job.trial, rung + 1)
    return None
