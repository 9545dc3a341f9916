"""What schedule-free SGD's numbers mean: what follows from them, and plainly what is not known of the method.

It has no effective learning rate and no timescale: its average holds all steps alike, so that nothing fades at a rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isinf
from typing import Any

from downslope.core.columns import width_of, wrap
from downslope.core.number_text import short_text
from downslope.core.rule_text import equations
from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules.schedule import Schedule, value_at
from downslope.core.tables import to_json, toml_line
from downslope.explaining.explanation import RunSize
from downslope.language import said
from downslope.theory.schedule_free import largest_curvature

UNKNOWN = (
    "not computed, since nothing here fades at a rate of its own: an effective learning rate, a timescale of weight "
    "decay, an equilibrium, and what another batch would ask for"
)


@dataclass(frozen=True, kw_only=True)
class AverageRow:
    """One step.

    Attributes:
        step: Step, 0-based.
        epoch: Epochs done before it; None where that is not known.
        lr: Learning rate, warmup included.
        average: c, the share of the newest z in x.
        largest_curvature: Curvature above which such a step, repeated, diverges.
    """

    step: int
    epoch: float | None
    lr: float
    average: float
    largest_curvature: float


@dataclass(frozen=True, kw_only=True, repr=False)
class AverageExplanation:
    """What a recipe of schedule-free SGD means; `print` shows it as text.

    Attributes:
        title: Title of the recipe, or "".
        settings: The settings.
        run: How large the run is.
        equations: The update rule: pairs (what is set, to what).
        schedule: The steps at which it is looked at; none where lr is in epochs whose steps are not known.
        half: Steps at the end that x is half made of; None where the length of the run is not known.
        curvatures: Curvatures that were asked about, and the largest lr at each once the average has settled.
        groups: By pattern, what is otherwise for some parameters.
        notes: What a person should know about how it was understood.
    """

    title: str
    settings: ScheduleFree
    run: RunSize
    equations: Sequence[tuple[str, str]]
    schedule: Sequence[AverageRow] = ()
    half: int | None = None
    curvatures: Mapping[float, float] = field(default_factory=dict[float, float])
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    notes: Sequence[str] = ()

    def to_table(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "title": self.title,
            "settings": to_json(self.settings),
            "run": to_json(self.run),
            "equations": [list(pair) for pair in self.equations],
            "schedule": to_json(list(self.schedule)),
            "half": self.half,
            "largest_lr": {repr(curvature): to_json(lr) for curvature, lr in self.curvatures.items()},
            "groups": to_json(self.groups),
            "unknown": UNKNOWN,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        """Return the text."""
        return self.text()

    __repr__ = __str__

    def text(self, width: int = 100) -> str:
        """Return the text in the language that is spoken, in so many columns."""
        lines = [self.title, ""] if self.title else []
        widest = max(len(left) for left, _ in self.equations)
        lines += [f"  {left:<{widest}} = {right}" for left, right in self.equations]
        lines += ["", *self._table(), ""] if self.schedule else [""]
        for sentence in self._sentences():
            lines += wrap(said(sentence), width, "  - ", "    ")
        return "\n".join(lines)

    def _table(self) -> Iterator[str]:
        heads = zip(("step", "epoch", "lr", "c", "largest curvature"), (12, 9, 12, 12, 18), strict=True)
        yield f"  {' '.join(_to_the_right(said(head), columns) for head, columns in heads)}"
        for row in self.schedule:
            epoch = "" if row.epoch is None else f"{row.epoch:.2f}"
            bound = "∞" if isinf(row.largest_curvature) else f"{row.largest_curvature:.6g}"  # where lr is 0
            numbers = f"{row.lr:>12.6g} {row.average:>12.6g} {bound:>18}"
            yield f"  {row.step:>12} {epoch:>9} {numbers}"

    def _sentences(self) -> Iterator[str]:
        yield (
            "gradients are taken at y, which the weights are while training; x, the average, is evaluated and kept, "
            "and c is the share of the newest z in it"
        )
        if self.half is not None:
            yield f"half of x at the end comes from the last {self.half:,} of {self.run.total_steps:,} steps"
        else:
            yield "give the length of the run (--steps N, or --examples N) for what x is made of at its end"
        if self.schedule:
            first, last = self.schedule[0], self.schedule[-1]
            yield (
                f"as a momentum, it is 1 - c: {short_text(1 - first.average)} at the first step, "
                f"{short_text(1 - last.average)} at the last that is shown; so lr needs no fall"
            )
            yield (
                "it diverges along directions above the largest curvature, 2 / lr at the first step and 2 / ((1 - b) "
                "lr) once c is small, decay aside: lr may be larger than SGD's"
            )
        for curvature, lr in self.curvatures.items():
            yield f"at a curvature of {short_text(curvature)}, lr may be up to {short_text(lr)} once c is small"
        for match, changes in self.groups.items():
            listed = ", ".join(f"{name} {toml_line(value)}" for name, value in changes.items())
            yield f"otherwise for {match}: {listed}"
        yield UNKNOWN
        yield from self.notes


def _to_the_right(text: str, columns: int) -> str:
    return f"{' ' * (columns - width_of(text))}{text}"


def explain_schedule_free(
    settings: ScheduleFree,
    run: RunSize,
    *,
    title: str = "",
    curvatures: Sequence[float] = (),
    groups: Mapping[str, Mapping[str, Any]] | None = None,
    notes: Sequence[str] = (),
) -> AverageExplanation:
    """Return what settings of schedule-free SGD mean in a run."""
    counted: Any = settings if run.steps_per_epoch is None else settings.in_steps(run.steps_per_epoch)
    in_epochs = any(isinstance(one, Schedule) and one.in_epochs() for one in (counted.lr, counted.weight_decay))
    b, decay = counted.momentum, value_at(counted.weight_decay, 0) if not in_epochs else 0.0
    half = None
    if run.total_steps is not None:
        half = max(1, round(run.total_steps * (1 - 0.5 ** (1 / (counted.r + 1)))))
    return AverageExplanation(
        title=title,
        settings=settings,
        run=run,
        equations=equations(settings),
        schedule=() if in_epochs else tuple(_rows(counted, run)),
        half=half,
        curvatures={one: 2 / ((1 - b) * (one + decay)) for one in curvatures if one + decay > 0},
        groups=groups or {},
        notes=notes,
    )


_FAR = 10**5
"""The last step that is looked at where the run is longer, or nobody says how long it is."""


def _rows(settings: ScheduleFree, run: RunSize) -> Iterator[AverageRow]:
    last = min((run.total_steps or 10_001) - 1, _FAR)
    turn = settings.warmup_steps
    for step in sorted({0, max(turn - 1, 0), turn, *(10**power for power in range(1, 6)), last}):
        if step <= last:
            now = settings.at(step)
            epoch = None if run.steps_per_epoch is None else step / run.steps_per_epoch
            limit = largest_curvature(now)
            yield AverageRow(step=step, epoch=epoch, lr=now.lr, average=now.average, largest_curvature=limit)
