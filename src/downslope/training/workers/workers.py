"""What training asks of the workers that share each step, and the answers of a process that trains alone.

`process_group.py` has the answers of several processes.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from torch import Tensor

from downslope.core.errors import DownslopeError
from downslope.training.run.tree_sum import Terms, TreeSum

if TYPE_CHECKING:
    from downslope.training.run.signals import Signals

Shared = TypeVar("Shared")


class LeafNote(NamedTuple):
    """What one leaf's forward pass gave, kept as tensors so that only those who ask wait for them.

    Attributes:
        weight: Its share in the step's mean loss; the weights of a step sum to 1.
        loss: Its mean loss, a 0-d tensor.
        correct: Number of right answers, a 0-d tensor; None where they are not counted.
        targets: Number of answers asked for; a 0-d tensor where a device tells it.
        terms: How many terms its mean loss is a mean of.
        norm: Norm of its mean gradient, if asked for.
    """

    weight: float
    loss: Tensor
    correct: Tensor | None
    targets: int | Tensor
    terms: int = 0
    norm: float | None = None


@dataclass(frozen=True)
class Sums:
    """What a step's leaves come to, over all workers.

    Attributes:
        terms: The sum of each thing; None where no leaf had it, or where nothing changed it.
        notes: One for each leaf, in order.
    """

    terms: Terms
    notes: tuple[LeafNote, ...]


class WorkersLostError(DownslopeError):
    """Another worker failed, died or does not answer, so that this one cannot go on.

    Attributes:
        failed: What the workers that failed said, by rank.
        silent: Ranks of those that said nothing and do not answer.
        advice: What to do, or "".
    """

    exit_code = 1

    def __init__(self, what: str, failed: Mapping[int, str], silent: Sequence[int], advice: str = "") -> None:
        """Take what happened and who is meant."""
        super().__init__(f"{what}.\n{advice}".rstrip())
        self._what = what
        self.failed = failed
        self.silent = silent
        self.advice = advice

    def at(self, step: int, folder: Path, *, saved: bool) -> WorkersLostError:
        """Return the error with what to do about it."""
        kept = "all before it is saved" if saved else "what was saved before remains"
        advice = (
            f"Training stopped at step {step:,}; {kept}. Go on, with any number of workers that share a step evenly: "
            f"downslope resume {shlex.quote(str(folder))}"
        )
        return WorkersLostError(self._what, self.failed, self.silent, advice)


class Workers:
    """A process that trains alone; `WorkerGroup` is one of several.

    Attributes:
        rank: This worker's number, 0-based.
        size: How many there are.
    """

    rank = 0
    size = 1
    _signals: Signals | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is worker 0, which alone writes the run folder and speaks."""
        return self.rank == 0

    @property
    def signal(self) -> int | None:
        """Number of the signal that is to end training at the present step boundary, the same for all workers."""
        return None if self._signals is None else self._signals.received

    def watch(self, signals: Signals) -> None:
        """Take note of the signals that this process receives."""
        self._signals = signals

    def indices(self, count: int, rank: int | None = None) -> range:
        """Return which of so many leaves a worker computes: consecutive ones, as many for each as can be.

        Args:
            count: Number of leaves in the step.
            rank: Which worker; None for this one.
        """
        rank = self.rank if rank is None else rank
        return range(count * rank // self.size, count * (rank + 1) // self.size)

    def start_sum(self, count: int) -> Callable[[], int]:
        """Begin to sum a whole number over all workers, and return what waits for the sum."""
        return lambda: count

    def all_reduce(
        self, tree: TreeSum, notes: Sequence[LeafNote], changed: Sequence[bool], *, leaves: int, like: Sequence[Tensor]
    ) -> Sums:
        """Return the sums over all leaves of a step, bit for bit those of one worker.

        Args:
            tree: The terms of this worker's leaves.
            notes: One for each of this worker's leaves.
            changed: For each of the last things that are summed, whether this worker's leaves have changed it; what
                none has changed is left out of the sums.
            leaves: Number of leaves in the step.
            like: For each thing that is summed, a tensor of its shape, format and strides.
        """
        terms = tree.total()
        kept = len(terms) - len(changed)
        return Sums(
            [*terms[:kept], *(t if c else None for t, c in zip(terms[kept:], changed, strict=True))], tuple(notes)
        )

    def broadcast(self, make: Callable[[], Shared]) -> Shared:
        """Return what worker 0 makes: plain values, as JSON holds them. It alone calls `make`."""
        return make()

    def broadcast_bytes(self, make: Callable[[], bytes]) -> bytes:
        """Return the bytes that worker 0 makes."""
        return make()

    def gather(self, value: Any) -> list[Any]:
        """Return a plain value of every worker, in order of rank."""
        return [value]


ALONE = Workers()
"""A process by itself, which listens for no signals."""


# What workers other than the first have instead of files and a terminal: each takes every call and does nothing.


class NullConsole:
    """Instead of a `Console`."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def progress(self, step: int, total: int, fields: Mapping[str, float | str]) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Have nothing to end."""


class NullLog:
    """Instead of a `Log`."""

    def add(self, kind: str, step: int, **values: Any) -> None:
        """Write nothing."""

    def flush(self) -> None:
        """Have nothing to write."""

    def sync(self) -> tuple[int, str]:
        """Return an empty log's length and no checksum; nothing asks for them."""
        return 0, ""

    def close(self) -> None:
        """Have nothing to close."""


class NullEvents:
    """Instead of `Events`."""

    def add(self, event: str, step: int, **details: Any) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Have nothing to close."""


class NullGuard:
    """Instead of a `Guard`."""

    def check(self) -> None:
        """Have nothing to guard."""
