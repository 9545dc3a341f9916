"""Findings on batch, warmup, momentum, averages and waiting times: numbers that do not go with the run's size."""

from __future__ import annotations

from collections.abc import Iterator

from downslope.auditing.finding import Finding
from downslope.auditing.subject import Subject
from downslope.core.number_text import counted
from downslope.core.schedules import Schedule
from downslope.theory.velocity import gain_of, velocity_horizon

_LARGE, _STRONG = 2048, 4.0
"""From which batch, and from which effective lr on, large-batch recipes warm up."""


def about_training(subject: Subject) -> Iterator[Finding]:
    """Yield the findings on batch, velocity, averages and patience."""
    if subject.settings is None:
        return
    yield from _no_warmup(subject)
    yield from _velocity(subject)
    yield from _inside(subject)
    if subject.recipe is None:
        return
    yield from _batch(subject)
    yield from _average(subject)
    yield from _patience(subject)


def _no_warmup(subject: Subject) -> Iterator[Finding]:
    course, size = subject.course, subject.run.batch_size
    if course.settings is None or size is None or size < _LARGE or course.settings.trust_coefficient is not None:
        return
    first, peak = gain_of(course.settings.at(0)), gain_of(subject.peak)
    if first >= 0.5 * peak and peak >= _STRONG:
        yield Finding(
            name="no_warmup_for_a_large_batch",
            level="warning",
            what=f"a batch of {size:,} begins with lr {course.settings.at(0).lr:g} at the first step",
            where=subject.where("sgd.lr"),
            why="early on the gradient changes fast, and a large lr diverges or never recovers",
            source="Goyal et al. 2017, section 2.2: from 256's lr up over 5 epochs",
            do='add a warmup: downslope rescale --warmup 5, or schedule = "warmup"',
            sure="likely",
        )


def _velocity(subject: Subject) -> Iterator[Finding]:
    now, run = subject.peak, subject.run
    horizon = velocity_horizon(now.momentum)
    limit = run.steps_per_epoch if run.total_steps is None else min(run.total_steps / 2, run.steps_per_epoch or 2**63)
    if now.momentum and limit is not None and horizon > max(limit, 10):
        yield Finding(
            name="velocity_outlives_an_epoch",
            level="warning",
            what=f"momentum {now.momentum:g} adds up {horizon:,.0f} gradients, more than an epoch or half the run has",
            where=subject.where("sgd.momentum"),
            why="the velocity is then made of gradients of weights long gone, and lr acts late",
            source="Sutskever et al. 2013; theory: velocity_horizon",
            do="lower momentum, or keep its horizon in examples: downslope rescale --rule half-life",
            sure="likely",
        )
    dampening = subject.settings.dampening if subject.settings else 0.0
    if dampening >= 0.5 and subject.settings and subject.settings.undampened_first_step and dampening < 1:
        yield Finding(
            name="first_step_undampened",
            level="advice",
            what=f"the first gradient counts {1 / (1 - dampening):.3g} times as much in the velocity as all later ones",
            where=subject.where("sgd.dampening"),
            why="torch dampens from the second step on; with momentum the first batch is felt for its whole horizon",
            source="torch.optim.SGD; docs/optimizer.md",
            do="set undampened_first_step = false, or leave dampening out and divide lr",
        )


def _inside(subject: Subject) -> Iterator[Finding]:
    settings = subject.settings
    if settings and settings.lr_in_velocity and isinstance(settings.lr, Schedule) and subject.peak.momentum:
        yield Finding(
            name="lr_inside_the_velocity",
            level="advice",
            what="lr is inside the velocity: after a change, old gradients still move weights at the old lr",
            where=subject.where("sgd.lr"),
            why="a recipe of torch, where lr is outside, goes another way here from the first change on",
            source="Goyal et al. 2017, section 2.4 (momentum correction)",
            do="nothing, if the recipe was made for Keras or Caffe; else downslope convert or compare",
            sure="possible",
        )


def _batch(subject: Subject) -> Iterator[Finding]:
    recipe, run = subject.recipe, subject.run
    if recipe and run.examples and recipe.data.batch_size > run.examples:
        yield Finding(
            name="batch_larger_than_the_data",
            level="error",
            what=(
                f"batches of {recipe.data.batch_size:,} of {counted(f'{run.examples:,}', 'example')}: "
                "every one is all of them"
            ),
            where=subject.where("data.batch_size"),
            why="an epoch is one step, and nothing is stochastic",
            source="docs/training.md",
            do="give a smaller batch",
        )


def _average(subject: Subject) -> Iterator[Finding]:
    ema = subject.recipe.train.ema if subject.recipe else None
    total = subject.run.total_steps
    if ema and total and 1 / (1 - ema) > total:
        yield Finding(
            name="average_outlives_the_run",
            level="error",
            what=(
                f"the average of the weights remembers {counted(f'{1 / (1 - ema):,.0f}', 'step')}, "
                f"and the training has {total:,}"
            ),
            where=subject.where("train.ema"),
            why="what is averaged, and evaluated, is mostly the weights that it began with",
            source="Polyak & Juditsky 1992; Busbridge et al. 2023 (arXiv 2307.13813)",
            do=f"give an ema whose horizon is a tenth of the run, such as {max(0.5, 1 - 10 / total):.4g}",
        )


def _patience(subject: Subject) -> Iterator[Finding]:
    train = subject.recipe.train if subject.recipe else None
    if train is None or train.plateau is None:
        return
    stop, plateau, run = train.early_stop, train.plateau, subject.run
    if stop is not None and stop.metric == plateau.metric and stop.patience <= plateau.patience:
        yield Finding(
            name="stops_before_lr_falls",
            level="error",
            what=f"training stops after {stop.patience} evaluations that are no better, lr falls at {plateau.patience}",
            where=subject.where("train.early_stop.patience"),
            why="so the plateau never lowers lr",
            source="docs/recipe.md",
            do="give early_stop more patience than plateau, at least twice as much",
        )
    count = None
    if train.evaluate_every and run.total_steps:
        count = run.total_steps / train.evaluate_every
    elif train.evaluate_every is None and run.epochs:
        count = run.epochs
    if count is not None and plateau.patience >= count:
        yield Finding(
            name="plateau_never_acts",
            level="warning",
            what=f"lr falls after {plateau.patience} evaluations without improvement, and there are {count:.3g} in all",
            where=subject.where("train.plateau.patience"),
            why="so it never falls",
            source="docs/recipe.md",
            do="give less patience, or evaluate more often",
        )
