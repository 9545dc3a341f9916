"""Which settings the next trial tries: Optuna's samplers, as pure functions of a seed, a number and what is known.

A sampler is made anew for each proposal, seeded by the trial's number and told what earlier trials gave. So nothing
of it needs saving, and nothing that a study holds is unpickled.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from downslope.core.errors import MissingDependencyError
from downslope.training.run.randomness import derive_seed
from downslope.training.tuning.space import Dimension, Value, grid

Point = dict[str, Value]

_FIRST = 10
"""Trials at random before a sampler has something to go by (Optuna's own default)."""


class Known(NamedTuple):
    """A trial as a sampler sees it.

    Attributes:
        point: What it tried.
        value: What it gave, the lower the better; infinite where it diverged, None while it trains.
        step: After so many steps.
        whole: Whether that is the whole run.
    """

    point: Point
    value: float | None
    step: int = 0
    whole: bool = True


def import_optuna() -> Any:
    """Return Optuna, silenced: what it would say is said by us.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        with (
            warnings.catch_warnings()
        ):  # in a notebook without widgets, its bar of progress, which is not used, complains
            warnings.filterwarnings("ignore", message="IProgress not found")
            import optuna
    except ImportError:
        raise MissingDependencyError('tune needs optuna. Install it with: pip install "downslope[tune]"') from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def propose(
    space: Sequence[Dimension], sampler: str, *, seed: int, number: int, known: Sequence[Known], trials: int
) -> Point:
    """Return what a trial tries.

    Args:
        space: What is searched.
        sampler: "tpe", "random", "grid" or "cmaes".
        seed: The study's.
        number: The trial's.
        known: What earlier trials gave, in a fixed order; those of the same batch without a value.
        trials: How many there will be: a grid is as fine as they allow.
    """
    if sampler == "grid":
        return grid(space, trials)[number]
    own = derive_seed(seed, "trial", number) % 2**32
    if sampler == "cmaes" and len(numbers := [one for one in space if one.kind != "choice"]) > 1:
        point = _ask(space, "random", own, [])
        return {**point, **_evolved(numbers, own, known)}
    return _ask(space, "random" if sampler == "random" else "tpe", own, known)


def _ask(space: Sequence[Dimension], sampler: str, seed: int, known: Sequence[Known]) -> Point:
    """Return what Optuna's sampler proposes for a study in memory that knows these trials."""
    optuna = import_optuna()
    samplers, state, values = optuna.samplers, optuna.trial.TrialState, _penalised(known)
    chosen = (
        samplers.RandomSampler(seed=seed)
        if sampler == "random"
        else samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=_FIRST)
    )
    distributions = {one.name: distribution_of(optuna, one) for one in space}
    study = optuna.create_study(sampler=chosen)
    for one, value in zip(known, values, strict=True):
        more: dict[str, Any] = {"state": state.RUNNING}
        if value is not None:
            more = {"state": state.COMPLETE, "value": value} if one.whole else {"state": state.PRUNED}
            more["intermediate_values"] = {one.step: value}
        study.add_trial(optuna.trial.create_trial(params=one.point, distributions=distributions, **more))
    found = study.ask(distributions).params
    return {one.name: _rounded(one, found[one.name]) for one in space}


def _rounded(dimension: Dimension, value: Any) -> Value:
    """Return a value with the six digits that a person can copy."""
    return value if dimension.kind in {"choice", "int"} else dimension.at(dimension.place(value))


def distribution_of(optuna: Any, one: Dimension) -> Any:
    """Return a dimension as Optuna has it."""
    if one.kind == "choice":
        return optuna.distributions.CategoricalDistribution(one.choices)
    if one.kind == "int":
        return optuna.distributions.IntDistribution(int(one.low), int(one.high))
    return optuna.distributions.FloatDistribution(one.low, one.high, log=one.kind == "log")


def _penalised(known: Sequence[Known]) -> list[float | None]:
    """Return the values, those of trials that diverged worse than all others by the whole spread."""
    finite = [one.value for one in known if one.value is not None and math.isfinite(one.value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    worst = high + (high - low or 1.0)
    return [None if one.value is None else one.value if math.isfinite(one.value) else worst for one in known]


def _evolved(space: Sequence[Dimension], seed: int, known: Sequence[Known]) -> Point:
    """Return what CMA-ES proposes: its generations so far are told anew, in order."""
    import numpy as np
    from cmaes import CMA

    count = len(space)
    strategy = CMA(mean=np.full(count, 0.5), sigma=0.25, bounds=np.array([[0.0, 1.0]] * count), seed=seed)
    values = _penalised(known)
    told = [
        (np.array([dimension.place(one.point[dimension.name]) for dimension in space]), value)
        for one, value in zip(known, values, strict=True)
        if value is not None
    ]
    size = strategy.population_size
    for begin in range(0, len(told) - size + 1, size):
        strategy.tell(told[begin : begin + size])
    return {dimension.name: dimension.at(float(x)) for dimension, x in zip(space, strategy.ask(), strict=True)}


def importances(space: Sequence[Dimension], known: Sequence[Known]) -> dict[str, float]:
    """Return which share of the variance each dimension explains, by fANOVA; empty of too few trials to say.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    values = _penalised(known)
    if len(known) < _FIRST or len(space) < 2 or len(set(values)) < 2:
        return {}
    optuna = import_optuna()
    distributions = {one.name: distribution_of(optuna, one) for one in space}
    study = optuna.create_study()
    for one, value in zip(known, values, strict=True):
        study.add_trial(optuna.trial.create_trial(params=one.point, distributions=distributions, value=value))
    judge = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=judge))
