"""Settings: what a person chooses, validated; and how that becomes the scalars of one step.

The five ways of weight decay differ here, in `scalars`, and nowhere else.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from downslope.core.checks import RANGES, as_float, check_flag, check_range, check_step
from downslope.core.errors import SettingsError, did_you_mean, one_of
from downslope.core.rule import StepScalars, step_matrix
from downslope.core.schedules.schedule import Schedule, constant_value, value_at
from downslope.core.synonyms import refuses_unknown_fields

if TYPE_CHECKING:
    import numpy as np

Decay = Literal["coupled", "decoupled", "independent", "relative", "corrected"]
DECAYS: tuple[Decay, ...] = get_args(Decay)
ClipBy = Literal["tensor", "unit"]
CLIPS_BY: tuple[ClipBy, ...] = get_args(ClipBy)
FLAGS = ("nesterov", "lr_in_velocity", "undampened_first_step", "maximize")
"""Settings that are True or False."""


@refuses_unknown_fields
@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings of SGD with momentum and weight decay, the same for every framework.

    `lr`, `momentum` and `weight_decay` each take a number or a schedule.

    Attributes:
        lr: Learning rate, >= 0.
        momentum: Factor on the velocity, in [0, 1).
        dampening: The gradient enters the velocity with weight 1 - dampening; in [0, 1], needs momentum.
        nesterov: Nesterov's form of momentum; needs momentum.
        nu: Quasi-hyperbolic momentum: the step is nu times the velocity and 1 - nu times the gradient; in [0, 1], None
            or 1 for plain momentum. Needs momentum, and not together with nesterov. The paper's (QHM) has dampening =
            momentum and undampened_first_step = False.
        weight_decay: Strength of weight decay, >= 0; what it multiplies is `decay`.
        decay: Where weight decay enters:
            "coupled": grad += weight_decay * param (torch SGD, Caffe, MXNet);
            "decoupled": param -= lr * weight_decay * param (Keras `weight_decay`, timm SGDW);
            "independent": param -= weight_decay * param (TensorFlow Addons SGDW);
            "relative": param -= lr / lr_initial * weight_decay * param (Composer);
            "corrected": param -= lr**2 / lr_max * weight_decay * param (timm's corrected, SGDC).
            lr_initial is the schedule's `reference`, lr_max its upper bound, the larger of its `extremes`.
        lr_in_velocity: Whether lr multiplies the gradient as it enters the velocity (Keras, Caffe) rather than the
            velocity as it leaves (torch, optax). The two part when lr changes.
        undampened_first_step: Whether a parameter's first gradient enters the velocity undampened, as in torch.
        maximize: Whether to ascend: the gradient's sign is flipped, weight decay's is not.
        trust_coefficient: LARS: the decayed gradient of each tensor is multiplied by its trust ratio, trust_coefficient
            |param| / (|grad| + weight_decay |param|) with coupled decay; 1 where a norm is 0. None or 0 for none.
        trust_clip: LARC: the trust ratio is divided by lr and at most 1, so that it only lowers lr. None for False.
        adaptive_clip: The gradient of each tensor is scaled down to a norm of at most adaptive_clip times that of the
            parameter, or 0.001 where this is less. None or 0 for none.
        adaptive_clip_by: Of what these norms are: "tensor" (None), or "unit" for each slice of one output, as in the
            paper: along the first axis (rows of a matrix, filters of a convolution), in JAX as optax has it, for whom
            outputs are the last axis. Of tensors of one dimension at most it is the tensor.

    Raises:
        SettingsError: If a value is of the wrong kind, outside its range, or needs another that is missing.

    Example:
        >>> from downslope import Settings
        >>> Settings(lr=0.1, momentum=0.9, weight_decay=5e-4).at(0).coupled_decay
        0.0005
    """

    lr: float | Schedule = 1e-3
    momentum: float | Schedule = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    nu: float | None = None
    weight_decay: float | Schedule = 0.0
    decay: Decay = "coupled"
    lr_in_velocity: bool = False
    undampened_first_step: bool = True
    maximize: bool = False
    trust_coefficient: float | None = None
    trust_clip: bool | None = None
    adaptive_clip: float | None = None
    adaptive_clip_by: ClipBy | None = None

    def __post_init__(self) -> None:
        """Check every value; numbers of any kind become Python floats."""
        for name in ("lr", "momentum", "weight_decay"):
            value = getattr(self, name)
            if isinstance(value, Schedule):
                _check_schedule(name, value)
            else:
                object.__setattr__(self, name, check_range(name, as_float(name, value, or_schedule=True)))
        if isinstance(self.dampening, Schedule):
            raise SettingsError("`dampening` must be a number; got a schedule. Schedule `momentum` instead.")
        object.__setattr__(self, "dampening", check_range("dampening", as_float("dampening", self.dampening)))
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        for name in FLAGS:
            check_flag(name, getattr(self, name))
        if self.trust_clip is not None:
            check_flag("trust_clip", self.trust_clip)
        object.__setattr__(self, "trust_clip", self.trust_clip or None)
        object.__setattr__(self, "adaptive_clip_by", checked_clip_by("adaptive_clip_by", self.adaptive_clip_by))
        check_decay(self.decay)
        self._check_together()

    def _check_together(self) -> None:
        """Check what needs something else, or excludes it."""
        if is_zero(self.momentum):
            if self.nesterov:
                raise SettingsError(
                    "`nesterov` needs momentum; got nesterov=True with momentum=0. "
                    "Set momentum to a value such as 0.9, or nesterov to False."
                )
            if self.dampening:
                raise SettingsError(
                    f"`dampening` needs momentum; got dampening={self.dampening!r} with momentum=0. "
                    "Set momentum to a value such as 0.9, or dampening to 0."
                )
            if self.nu is not None:
                raise SettingsError(
                    f"`nu` needs momentum; got nu={self.nu!r} with momentum=0. "
                    "Set momentum to a value such as 0.9, or leave nu out."
                )
        check_one_direction(self.nesterov, self.nu)
        if self.trust_clip and self.trust_coefficient is None:
            raise SettingsError(
                "`trust_clip` bounds the trust ratio, and there is none; got trust_clip=True without "
                "trust_coefficient. Set trust_coefficient to a value such as 0.001, or trust_clip to False."
            )
        if self.adaptive_clip_by is not None and self.adaptive_clip is None:
            raise SettingsError(
                "`adaptive_clip_by` says of what gradients are clipped, and there is no clipping; got "
                'adaptive_clip_by="unit" without adaptive_clip. Set adaptive_clip to a value such as 0.01, or '
                'adaptive_clip_by to "tensor".'
            )
        if self.decay in {"relative", "corrected"} and not is_zero(self.weight_decay):
            check_decay_reference(self.decay, self.lr_initial, self.lr_max)

    @property
    def lr_initial(self) -> float:
        """The lr that "relative" decay divides by: the constant, or the schedule's `reference`."""
        return self.lr.reference if isinstance(self.lr, Schedule) else self.lr

    @property
    def lr_max(self) -> float:
        """The lr that "corrected" decay divides by: the constant, or the schedule's upper bound (its `extremes`)."""
        return self.lr.extremes()[1] if isinstance(self.lr, Schedule) else self.lr

    def at(self, step: int, *, first: bool = False) -> StepScalars:
        """Return the scalars of one step.

        Args:
            step: Step, 0-based.
            first: Whether this is a parameter's first gradient.

        Returns:
            The scalars that `sgd_rule` reads.

        Raises:
            SettingsError: If the step is not an integer >= 0, or a schedule is in epochs (use `in_steps` first).
        """
        step = check_step(step)
        return self.scalars_from(
            lr=value_at(self.lr, step),
            momentum=value_at(self.momentum, step),
            weight_decay=value_at(self.weight_decay, step),
            dampening=0.0 if first and self.undampened_first_step else self.dampening,
        )

    def scalars_from(
        self, *, lr: Any, momentum: Any, weight_decay: Any, dampening: Any, nu: Any = None, decays: bool | None = None
    ) -> StepScalars:
        """Return the scalars of a step whose numbers are given: floats, a framework's, or symbols; see `scalars`.

        Without nu, it is the settings' own.
        """
        return scalars(
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            dampening=dampening,
            nesterov=self.nesterov,
            nu=self.nu if nu is None else nu,
            decay=self.decay,
            lr_in_velocity=self.lr_in_velocity,
            maximize=self.maximize,
            lr_initial=self.lr_initial,
            lr_max=self.lr_max,
            decays=decays,
        )

    @classmethod
    def from_convention(cls, convention: str, /, **arguments: Any) -> Settings:
        """Return the settings under which the rule is what another system computes with these arguments.

        Args:
            convention: Name of the system: "torch", "optax", "keras", "caffe", ... (docs/convert.md lists them).
            **arguments: That system's own arguments. What is not given has that system's default.

        Raises:
            SettingsError: If the system or an argument is unknown, or settings cannot hold what it does.

        Example:
            >>> from downslope import Settings
            >>> Settings.from_convention("keras", learning_rate=0.1, kernel_regularizer=2.5e-4).weight_decay
            0.0005
        """
        return provided("settings_from_convention")(convention, arguments)

    def to_convention(self, convention: str, /, *, batch_size: int | None = None) -> dict[str, Any]:
        """Return the arguments with which another system computes these settings.

        Args:
            convention: Name of the system.
            batch_size: Examples in a batch, where the system's values are per sample (CNTK, scikit-learn).

        Returns:
            The arguments by the system's names, in a dict that also has `remarks`: sentences on what was translated,
            and `elsewhere`: where to write those that the optimizer itself does not take.

        Raises:
            SettingsError: If the system cannot express the settings; the message says what.

        Example:
            >>> from downslope import Settings
            >>> Settings(lr=0.1, momentum=0.9, weight_decay=5e-4).to_convention("torch")
            {'lr': 0.1, 'momentum': 0.9, 'weight_decay': 0.0005}
        """
        return provided("arguments_for_convention")(self, convention, batch_size=batch_size)

    def in_steps(self, steps_per_epoch: int) -> Settings:
        """Return the same settings with every schedule in epochs rewritten in steps.

        Args:
            steps_per_epoch: Steps in one epoch, >= 1.
        """
        return replace(
            self,
            **{
                field.name: value.in_steps(steps_per_epoch)
                for field in fields(self)
                if isinstance(value := getattr(self, field.name), Schedule)
            },
        )


def provided(name: str) -> Callable[..., Any]:
    """Return a public function of the package, such as "settings_from_convention".

    Core imports none of the rooms that build on it. The package, which loads its public names when they are first used,
    knows them all, and is asked when the call is made.
    """
    return getattr(sys.modules[__name__.partition(".")[0]], name)


def update_matrix(
    settings: Settings, step: int = 0, *, first: bool = False
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the 2x3 update matrix of `settings` at `step`; the factors of single tensors, such as trust ratios, are 1.

    Two settings are the same rule exactly when their matrices agree up to a scale of the velocity. Without momentum,
    where delta's coefficient on velocity is 0, the velocity is never read and its row does not count.

    Args:
        settings: The settings; schedules in epochs must have been resolved with `Settings.in_steps`.
        step: Step, 0-based.
        first: Whether this is a parameter's first gradient, when dampening may not apply
            (see `Settings.undampened_first_step`).

    Returns:
        float64 array M of shape (2, 3) with ``[delta, velocity'] = M @ [param, grad, velocity]``.

    Example:
        >>> from downslope import Settings, update_matrix
        >>> update_matrix(Settings(lr=0.5, momentum=0.75))
        array([[ 0.   , -0.5  , -0.375],
               [ 0.   ,  1.   ,  0.75 ]])
    """
    return step_matrix(settings.at(step, first=first))


def scalars(
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    dampening: float,
    nesterov: bool,
    decay: str,
    lr_in_velocity: bool,
    maximize: bool,
    lr_initial: float,
    lr_max: float,
    nu: float | None = None,
    decays: bool | None = None,
) -> StepScalars:
    """Return one step's scalars from numbers; the only place where the ways of weight decay differ.

    `decays` says whether there is any decay, where `weight_decay` is traced and cannot be asked.

    Every number is multiplied, added or divided only, so that it may also be a 0-d array of a framework: a tensor lr
    (torch's ``differentiable=True``), or what JAX traces.
    """
    coupled = decoupled = 0.0
    if not (weight_decay != 0 if decays is None else decays):
        pass  # lr_initial and lr_max may then be 0 or infinite
    elif decay == "coupled":
        coupled = weight_decay
    elif decay == "decoupled":
        decoupled = lr * weight_decay
    elif decay == "independent":
        decoupled = weight_decay
    elif decay == "relative":
        decoupled = lr / lr_initial * weight_decay
    else:
        decoupled = lr * lr / lr_max * weight_decay
    return StepScalars(
        lr=lr,
        momentum=momentum,
        dampening=dampening,
        nesterov=nesterov,
        grad_scale=-1.0 if maximize else 1.0,
        grad_in=lr if lr_in_velocity else 1.0,
        velocity_out=1.0 if lr_in_velocity else lr,
        coupled_decay=coupled,
        decoupled_decay=decoupled,
        nu=nu,
    )


def check_alone(settings: Any, given: Iterable[str], *, relatives: bool = False) -> None:
    """Raise `SettingsError` unless `settings` are `Settings`, and no hyperparameter is given besides.

    `relatives`: whether settings of a relative, such as schedule-free SGD, are taken too.
    """
    if not isinstance(settings, Settings):
        raise SettingsError(f"`settings` must be a Settings; got a {type(settings).__name__}.")
    if type(settings) is not Settings and not relatives:
        raise SettingsError(
            f"`settings` are a {type(settings).__name__}, which is another method. downslope.torch.ScheduleFreeSGD, "
            "downslope.jax.schedule_free_sgd and downslope.numpy.SGD take it; Keras has none."
        )
    if given := list(given):
        raise SettingsError(f"`settings` already holds all hyperparameters; do not also pass {one_of(given)}.")


def checked_nu(name: str, nu: Any) -> float | None:
    """Return quasi-hyperbolic momentum's nu as a float; None where it is plain momentum, which 1 says too.

    Raises:
        SettingsError: If it is no number in [0, 1].
    """
    if isinstance(nu, Schedule):
        raise SettingsError("`nu` must be a number; got a schedule. Schedule `lr` or `momentum` instead.")
    number = None if nu is None else check_range(name, as_float(name, nu))
    return None if number == 1 else number


def checked_factor(name: str, value: Any) -> float | None:
    """Return a factor on gradients that each tensor has of its own, as a float; None where it is off, which 0 says too.

    Raises:
        SettingsError: If it is no number >= 0.
    """
    if isinstance(value, Schedule):
        raise SettingsError(f"`{name}` must be a number; got a schedule. Schedule `lr` instead.")
    return None if value is None else check_range(name, as_float(name, value)) or None


def checked_clip_by(name: str, value: Any) -> ClipBy | None:
    """Return of what adaptive clipping takes norms; None where it is the whole tensor, which "tensor" says too.

    Raises:
        SettingsError: If it is another word.
    """
    if value is not None and (not isinstance(value, str) or value not in CLIPS_BY):
        raise SettingsError(f"`{name}` must be {one_of(CLIPS_BY)}; got {value!r}.{did_you_mean(str(value), CLIPS_BY)}")
    return "unit" if value == "unit" else None


_CHECKS: Mapping[str, Callable[[str, Any], float | None]] = {
    "nu": checked_nu,
    "trust_coefficient": checked_factor,
    "adaptive_clip": checked_factor,
}

SAYING_NONE: Mapping[str, float | bool | str] = {
    "nu": 1.0,
    "trust_coefficient": 0.0,
    "trust_clip": False,
    "adaptive_clip": 0.0,
    "adaptive_clip_by": "tensor",
}
"""What says None, by field, where None cannot be written."""


def check_one_direction(nesterov: bool, nu: float | None) -> None:  # noqa: FBT001 -- as in settings
    """Raise `SettingsError` if a step would go by Nesterov's form and by quasi-hyperbolic momentum's at once."""
    if nesterov and nu is not None:
        raise SettingsError(
            f"`nu` and `nesterov` are two forms of momentum, and a step has one; got nu={nu!r} with nesterov=True. "
            "Set nesterov to False: with dampening = momentum, nu = momentum is Nesterov's form."
        )


def check_decay(decay: Any) -> None:
    """Raise `SettingsError` unless `decay` is one of the five ways of weight decay."""
    if decay not in DECAYS:
        raise SettingsError(
            f"`decay` must be {one_of(DECAYS)}; got {decay!r}.{did_you_mean(str(decay), DECAYS)} "
            'Use "coupled" for what torch.optim.SGD does.'
        )


def check_decay_reference(decay: str, lr_initial: float, lr_max: float) -> None:
    """Raise `SettingsError` if `decay` divides by an lr that is zero or unbounded."""
    if decay == "relative" and lr_initial == 0:
        raise SettingsError(
            'decay="relative" divides by the initial lr, which is 0. Give an lr above 0, or use decay="decoupled".'
        )
    if decay == "corrected" and not 0 < lr_max < math.inf:
        raise SettingsError(
            f'decay="corrected" divides by the largest lr, which must be above 0 and finite; got {lr_max!r}. '
            'Bound the schedule (for example with `end`), or use decay="decoupled".'
        )


def is_zero(number_or_schedule: float | Schedule) -> bool:
    """Return whether a number, or a schedule at every step, is 0."""
    return constant_value(number_or_schedule) == 0


def _check_schedule(name: str, schedule: Schedule) -> None:
    low, high = schedule.extremes()
    allowed = RANGES[name]
    if low < allowed.low or high > allowed.high:
        raise SettingsError(
            f"`{name}` must stay {allowed.allowed}; its schedule {schedule!r} takes values from {low!r} to {high!r}."
        )
