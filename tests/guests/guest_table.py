"""What our options do inside a guest: found by training, and held against the table of docs/guests/index.md.

    DOWNSLOPE_GUESTS_TABLE=write python -m pytest tests/guests       writes the cells that it found

"works" is a training that ends where the bare loop with the option ends, "useless" one that ends where the bare loop
without it ends, and "refused" one of our errors. Anything else fails.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from guest_problem import BASE, Way, bare, distance
from torch import nn

from downslope.core.errors import DownslopeError
from downslope.schedules import Cosine, Warmup
from downslope.torch import SGD, GradScaler

PAGE = Path(__file__).parents[2] / "docs" / "guests" / "index.md"
SCHEDULE = Warmup(3, Cosine(0.2, 0.01, 16), start=0.01)
GROUPS = {"@bias_and_norm": {"weight_decay": 0.5}}
NEAR, FAR = 2e-6, 1e-4
PLAIN = Way()
NOTHING = "\N{EN DASH}"
"""What stands where a guest has no such thing."""


@dataclass(frozen=True)
class Cell:
    """An option, and a training that tells whether it does something.

    Attributes:
        title: Its name in the table.
        options: What the optimizer is given, beside `BASE`.
        way: How the guest trains.
        without: The same as a training without the option, as (options, way); None where there is no such thing.
        expected: Where the training has to end if the option works, if not where the bare loop ends with the same.
    """

    title: str
    options: dict[str, Any] = field(default_factory=dict)
    way: Way = PLAIN
    without: tuple[dict[str, Any], Way] | None = ({}, PLAIN)
    expected: tuple[dict[str, Any], Way] | None = None


CELLS = {
    cell.title: cell
    for cell in (
        Cell("`lr=` a schedule", {"lr": SCHEDULE}),
        Cell("`scheduler()`", {}, Way(schedule=SCHEDULE)),
        Cell("`groups`", {"groups": GROUPS}),
        Cell("`clip_norm`", {"clip_norm": 0.05}),
        Cell('`on_nonfinite="skip"`', {"on_nonfinite": "skip"}, Way(poison=3, schedule=SCHEDULE), None),
        Cell("its clipping", {}, Way(clip=0.05)),
        Cell("its accumulation", {}, Way(accumulate=2)),
        Cell("its bfloat16", {}, Way(bf16=True), None),
        Cell("`step_in_backward`", {"step_in_backward": True}, without=None),
        Cell("… and its clipping", {"step_in_backward": True}, Way(clip=0.05), expected=({}, Way(clip=0.05))),
        Cell("… and its accumulation", {"step_in_backward": True}, Way(accumulate=2)),
    )
}
SAME, RESUME, SCALER, SCALED_IN_BACKWARD = (
    "as `torch.optim.SGD`",
    "its checkpoint",
    "`GradScaler`",
    "… and a scaler",
)
ROWS = [SAME, RESUME, *list(CELLS)[:8], SCALER, *list(CELLS)[8:], SCALED_IN_BACKWARD]


class Guest:
    """A trainer of others, as the tests drive it.

    Attributes:
        name: As the table has it.
        lacks: Titles for which the guest has nothing.
        drives_lr: Whether it writes the lr in any case, so that the optimizer can hold no schedule.
        saves_schedulers: Whether its checkpoint has the scheduler's state.
    """

    name: str
    drives_lr: bool = False
    saves_schedulers: bool = True
    lacks: frozenset[str] = frozenset()

    def train(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> nn.Module:
        """Train `Net` by an optimizer of a kind; return the model."""
        raise NotImplementedError

    def resumed(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> nn.Module:
        """The same, in two trainings of half the epochs, the second of which loads the guest's checkpoint."""
        raise NotImplementedError


def found_in(guest: Guest, title: str, folder: Path) -> str:
    """Return what the table says of an option inside a guest, found by training."""
    if title in guest.lacks:
        return NOTHING
    special: dict[str, Callable[[Guest, Path], str]] = {
        SAME: _same,
        RESUME: _resume,
        SCALER: _scaler,
        SCALED_IN_BACKWARD: _scaled_in_backward,
    }
    return special[title](guest, folder) if title in special else _trained(guest, CELLS[title], folder)


def _trained(guest: Guest, cell: Cell, folder: Path) -> str:
    try:
        model = guest.train(SGD, BASE | cell.options, cell.way, folder)
    except DownslopeError:
        return "refused"
    options, way = cell.expected or (cell.options, cell.way)
    if distance(model, bare(BASE | options, way)) < NEAR:
        return "works"
    if cell.without is not None:
        options, way = cell.without
        plain = bare(BASE | options, way)
        if distance(model, plain) < NEAR:
            return "useless"
    pytest.fail(f"{guest.name}, {cell.title}: neither what the option does nor what happens without it")


def _same(guest: Guest, folder: Path) -> str:
    """The guest's training with torch's optimizer ends where the one with ours ends, and where the bare loop ends."""
    ours, theirs = guest.train(SGD, BASE, Way(), folder), guest.train(torch.optim.SGD, BASE, Way(), folder)
    assert distance(ours, bare(BASE, Way())) == 0
    assert distance(ours, theirs) < NEAR
    return "works"


def _resume(guest: Guest, folder: Path) -> str:
    """To the same bits: momentum, and a schedule in the optimizer or beside it."""
    held = {} if guest.drives_lr else {"lr": SCHEDULE}
    ways = [({}, Way(schedule=SCHEDULE)), (held, Way())]
    for number, (options, way) in enumerate(ways):
        if way.schedule is not None and not guest.saves_schedulers:
            continue
        own = folder / str(number)
        own.mkdir(exist_ok=True)
        through = guest.train(SGD, BASE | options, way, own)
        assert distance(through, bare(BASE | options, way)) == 0
        if distance(guest.resumed(SGD, BASE | options, way, own), through) > 0:
            return "useless"
    return "works"


class _Watched(SGD):
    """Notes by what factor each step was asked to scale the gradients."""

    factors: list[float]

    def _step(self, grad_scale: Any = 1.0) -> None:
        type(self).factors.append(float(grad_scale))
        super()._step(grad_scale)


def _scaler(guest: Guest, folder: Path) -> str:
    """Whether our scaler's step is one pass; the bits of torch's scaler, and of none; where it is idle it says so.

    Where the scaler finds a gradient that is not finite, the step is skipped and the scale halved.
    """
    _Watched.factors = []
    plain, skipping = (GradScaler("cpu", init_scale=1024.0) for _ in range(2))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        model = guest.train(_Watched, BASE, Way(scaler=plain), folder)
    works = set(_Watched.factors) == {1 / 1024}
    said = [message for one in warned if "GradScaler is idle" in (message := str(one.message))]
    assert len(said) == (0 if works else 1), f"{guest.name}: works {works}, and said {said}"
    assert distance(model, bare(BASE, Way())) == 0
    schedule = SCHEDULE if works and "`scheduler()`" not in guest.lacks else None
    model = guest.train(SGD, BASE, Way(scaler=skipping, poison=3, schedule=schedule), folder)
    assert distance(model, bare(BASE | {"on_nonfinite": "skip"}, Way(poison=3, schedule=schedule))) == 0
    assert skipping.get_scale() == 256.0
    return "works" if works else "useless"


def _scaled_in_backward(guest: Guest, folder: Path) -> str:
    way = Way(scaler=torch.amp.GradScaler("cpu", init_scale=1024.0))
    with pytest.raises(DownslopeError, match="exclude each other|replicas would drift apart"):
        guest.train(SGD, BASE | {"step_in_backward": True}, way, folder)
    return "refused"


# The page: rows are options, columns guests

found: dict[tuple[str, str], str] = {}
"""What was found in this run: (guest, title) -> verdict."""


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _guests(line: str) -> list[str]:
    return [match.group(1) if (match := re.match(r"\[(.*)\]", cell)) else cell for cell in _cells(line)[1:]]


def documented(text: str) -> dict[tuple[str, str], str]:
    """Return what the page's tables say: (guest, title) -> verdict."""
    guests: list[str] = []
    said: dict[tuple[str, str], str] = {}
    for line in text.splitlines():
        if line.startswith("| option |"):
            guests = _guests(line)
        elif line.startswith("| ") and guests:
            title, *verdicts = _cells(line)
            said |= {(guest, title): verdict for guest, verdict in zip(guests, verdicts, strict=True)}
    return said


def judge(name: str, title: str, verdict: str) -> None:
    """Note a verdict, and hold it against the page, unless that is being written."""
    found[name, title] = verdict
    if os.environ.get("DOWNSLOPE_GUESTS_TABLE") != "write":
        said = documented(PAGE.read_text(encoding="utf-8")).get((name, title))
        assert verdict == said, f"{name}, {title}: {verdict}; the page says {said}. Write it again: make guests-table"


def write() -> None:
    """Put what was found into the page's tables; what was not tried stays."""
    guests: list[str] = []
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    said = documented("\n".join(lines)) | found
    for place, line in enumerate(lines):
        if line.startswith("| option |"):
            guests = _guests(line)
        elif line.startswith("| ") and guests:
            title = _cells(line)[0]
            lines[place] = f"| {title} | " + " | ".join(said.get((guest, title)) or "?" for guest in guests) + " |"
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
