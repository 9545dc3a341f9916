"""The recipe: everything that decides a training run, as frozen tables.

A new option of training is one field here; its dotted path (``train.clip_norm``) is its name everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from downslope.core.errors import RecipeError
from downslope.core.groups import Group
from downslope.core.notebook import ShownInNotebooks
from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.recipe.measures import Metric

FITTING = frozenset({"mse", "mae", "huber"})
"""Built-in losses of targets that are numbers."""

BINARY = "binary_cross_entropy"
"""The built-in loss of two classes by one output, and of labels of which an example may have several or none."""

TELLING = frozenset({"cross_entropy", BINARY})
"""Built-in losses of targets that name classes or labels."""


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How images are changed at random before a step learns from them: the table ``[data.augment]``.

    An example's own random numbers are a function of seed, epoch and its index. In this order:

    Attributes:
        crop: Places of zeros on each side, out of which a window of the image's own size is taken (He et al. 2016: 4).
        resized_crop: Smallest and largest part of the image's area that a window covers, such as [0.08, 1.0], brought
            to `size` (Szegedy et al. 2015).
        size: Side of what `resized_crop` gives; evaluation sees the middle window of this size. None for the images'
            own size.
        flip: Whether left and right are exchanged in half of the images.
        trivial: Whether each image is changed in one of fourteen ways (TrivialAugment, Müller & Hutter 2021).
        jitter: Brightness, contrast and saturation are each multiplied by a number in [1 - jitter, 1 + jitter].
        erase: Probability that a rectangle is replaced by the image's mean (Zhong et al. 2020).
        cutout: Side of a square, somewhere within each image, that is replaced by the image's mean (DeVries & Taylor
            2017); 0 for none.
        mixup: Two images and their labels are mixed, the share drawn from Beta(mixup, mixup) (Zhang et al. 2018); 0 for
            never.
        cutmix: A rectangle of another image is put in, and the labels are mixed by area, the area's share drawn from
            Beta(cutmix, cutmix) (Yun et al. 2019); 0 for never. With `mixup`, each step draws one of the two.
        tta: Test-time augmentation, in evaluation and prediction alone: with "flip", outputs are the mean of those for
            an image and for its mirror image (Krizhevsky et al. 2012); None for the image alone.
    """

    crop: int = 0
    resized_crop: tuple[float, ...] | None = None
    size: int | None = None
    flip: bool = False
    trivial: bool = False
    jitter: float = 0.0
    erase: float = 0.0
    cutout: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0
    tta: Literal["flip"] | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("crop", "cutout", "mixup", "cutmix"):
            _at_least(name, getattr(self, name), 0)
        for name in ("jitter", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"`{name}` must be in [0, 1]; got {getattr(self, name)!r}.")
        if self.size is not None:
            _at_least("size", self.size, 1)
            if self.resized_crop is None:
                raise RecipeError("`size` is what `resized_crop` gives. Give for example resized_crop = [0.08, 1.0].")
        area = self.resized_crop
        if area is not None and (len(area) != 2 or not 0 < area[0] <= area[1] <= 1):
            raise RecipeError(f"`resized_crop` must be two parts of an image's area such as [0.08, 1.0]; got {area!r}.")
        if area is not None and self.crop:
            raise RecipeError("`crop` and `resized_crop` both take a window. Give one of the two.")


@dataclass(frozen=True, kw_only=True)
class Data:
    """What is learned from: the table ``[data]``.

    Attributes:
        name: A built-in data set such as "digits" (scikit-learn's 1797 scanned digits) or "cmudict", or
            "package.module:function" of your own.
        path: The file or folder of a data set that lies in one; short for `options.path`. Your own function gets it as
            the keyword argument `path`.
        batch_size: Examples per batch; the last batch of an epoch may be smaller.
        held_out: Fraction of the examples held out for evaluation, where the data does not bring its own split.
        split_seed: Seed by which examples are held out and the validation part is chosen; None for the recipe's `seed`.
        validation: Fraction of the examples to learn from that takes the place of those held out, of which the run then
            sees nothing; None for none.
        sampling: How often an example of each class is drawn, with replacement: "balanced" (each class as often as
            every other), a list in the order of the classes or a table by their names; None for each example once an
            epoch.
        loaders: How many threads or processes read examples ahead, where they are read when needed; 0 to read them in
            the training process. Changes no bit.
        loader_timeout: Seconds after which an example that a loader has not read ends the run; 0 for never.
        in_memory: Whether all examples are read at the start and held in memory, or each is read when it is needed;
            None for what the data set does with data of this size.
        normalize: How images are shifted and scaled by channel as the model's first act: "measured" (by the mean and
            deviation of those to learn from), a table of `mean` and `deviation`, or None for not at all.
        augment: How images are changed at random before each step, or None.
        options: What the data set lets one choose, or keyword arguments for your own function.
    """

    PATHS: ClassVar[tuple[str, str]] = ("path", "options.path")
    """The two keys of one thing: of those in a file and on a command line, the latter replaces both."""

    name: str = "digits"
    path: str | None = None
    batch_size: int = 64
    held_out: float = 0.2
    split_seed: int | None = None
    validation: float | None = None
    sampling: Literal["balanced"] | tuple[float, ...] | Mapping[str, float] | None = None
    loaders: int = 0
    loader_timeout: float = 300.0
    in_memory: bool | None = None
    normalize: Literal["measured"] | Mapping[str, tuple[float, ...]] | None = None
    augment: Augment | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        """Check the ranges, and that there is one path."""
        _at_least("batch_size", self.batch_size, 1)
        _at_least("loaders", self.loaders, 0)
        _at_least("loader_timeout", self.loader_timeout, 0)
        if not 0 < self.held_out < 1:
            raise RecipeError(f"`held_out` must be a fraction in (0, 1) such as 0.2; got {self.held_out!r}.")
        if self.split_seed is not None:
            _at_least("split_seed", self.split_seed, 0)
        if self.validation is not None and not 0 < self.validation < 1:
            raise RecipeError(f"`validation` must be a fraction in (0, 1) such as 0.2; got {self.validation!r}.")
        if self.path is not None and (other := self.options.get("path", self.path)) != self.path:
            raise RecipeError(f"`path` is {self.path!r}, and options.path is {other!r}: they are one thing. Give one.")
        _check_weights("sampling", self.sampling)
        if isinstance(self.normalize, Mapping):
            self._check_normalize(self.normalize)

    def with_path(self) -> Data:
        """Return the same with its path among the options, where data sets look for it."""
        return self if self.path is None else replace(self, path=None, options={**self.options, "path": self.path})

    def _check_normalize(self, given: Mapping[str, tuple[float, ...]]) -> None:
        """Raise `RecipeError` unless there are as many means as deviations, one or one for each channel."""
        mean, deviation = given.get("mean", ()), given.get("deviation", ())
        if set(given) != {"mean", "deviation"} or len(mean) != len(deviation) or not mean:
            raise RecipeError(
                '`normalize` must be "measured", or a table of a mean and a deviation for each channel, such as '
                f"{{ mean = [0.5], deviation = [0.25] }}; got {dict(given)!r}."
            )
        if not all(math.isfinite(number) for number in mean) or not all(0 < number < math.inf for number in deviation):
            raise RecipeError("`normalize`: means must be finite, and deviations above 0 and finite.")


@dataclass(frozen=True, kw_only=True)
class Model:
    """What learns: the table ``[model]``.

    Attributes:
        name: A built-in model such as "mlp" (dense layers with ReLU between them, logits out) or "seq2seq", or
            "package.module:function" of your own.
        hidden: Widths of the hidden layers of "mlp"; empty for a linear model.
        options: What the model lets one choose, or keyword arguments for your own function.
    """

    name: str = "mlp"
    hidden: tuple[int, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        """Check that what is given fits the model."""
        for width in self.hidden or ():
            _at_least("hidden", width, 1)
        if self.hidden is not None and ":" in self.name:
            raise RecipeError(f"`hidden` belongs to the model `mlp`; got it with {self.name!r}. Use model.options.")


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """Stop when the watched metric has not improved: the table ``[train.early_stop]``.

    Attributes:
        patience: Evaluations without improvement after which training stops.
        metric: What is watched on the held-out examples, a name in `measures.Metric`. Of accuracies, recall, F1, exact
            matches and R2 larger is better, of all others smaller.
        min_delta: Smallest change that counts as an improvement.
    """

    patience: int
    metric: Metric = "loss"
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        _at_least("patience", self.patience, 1)
        _at_least("min_delta", self.min_delta, 0)


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """Reduce lr when the watched metric has not improved: the table ``[train.plateau]``; needs a constant lr.

    Attributes:
        patience: Evaluations without improvement after which lr is reduced.
        factor: Factor on lr, in (0, 1).
        metric: As in `EarlyStop`.
        min_delta: Smallest change that counts as an improvement.
        min_lr: lr is not reduced below this.
    """

    patience: int
    factor: float = 0.1
    metric: Metric = "loss"
    min_delta: float = 0.0
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        _at_least("patience", self.patience, 1)
        _at_least("min_delta", self.min_delta, 0)
        _at_least("min_lr", self.min_lr, 0)
        if not 0 < self.factor < 1:
            raise RecipeError(f"`factor` must be in (0, 1) such as 0.1; got {self.factor!r}.")


@dataclass(frozen=True, kw_only=True)
class Spike:
    """What to do about a loss that leaps up: the table ``[train.spike]``.

    Attributes:
        factor: A logged loss above this many times the median of those before it is a spike.
        window: How many logged losses that median is of; the first so many of a run are only watched.
        action: "skip" the step, or "rewind" to the last checkpoint of `checkpoint.every_steps` and go on after the
            spike.
        limit: How many spikes are dealt with; at one more the run ends with an error.

    References:
        Chowdhery et al. 2022, PaLM, section 5.1.
    """

    factor: float
    window: int = 50
    action: Literal["skip", "rewind"] = "skip"
    limit: int = 10

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 < self.factor < float("inf"):
            raise RecipeError(f"`factor` must be above 1 and finite, such as 3.0; got {self.factor!r}.")
        _at_least("window", self.window, 2)
        _at_least("limit", self.limit, 1)


@dataclass(frozen=True, kw_only=True)
class Train:
    """How long and how to train: the table ``[train]``.

    Attributes:
        epochs: Passes over the training examples; may be fractional. Either this or `steps`.
        steps: Optimizer steps.
        loss: "cross_entropy" (sparse categorical, on logits), or "binary_cross_entropy" (of two classes on one logit,
            or of labels, of which an example may have several, on one logit each); for targets that are numbers "mse"
            (squared errors), "mae" (absolute errors) or "huber" (squared up to 1, then absolute; Huber 1964); "output"
            (what the model returns is its loss), or "package.module:function" of your own.
        start_from: Whose weights the run begins with: a run folder (its best checkpoint, or the last where none is), a
            checkpoint's folder, or a .safetensors file of any model. None to begin with new ones.
        start_without: Patterns of the model's names that are not taken from there, such as a head for other classes.
        freeze: Patterns of parameters that are not learned.
        label_smoothing: Share of each target in "cross_entropy" that is spread over all classes alike, in [0, 1)
            (Szegedy et al. 2016: 0.1). Evaluations are without.
        class_weights: What an example of each class counts in "cross_entropy" and "binary_cross_entropy": "balanced"
            (each class counts as much as every other in all), a list in the order of the classes, a table by their
            names, or None for all alike. Of labels, what having one counts beside not having it.
        threshold: Probability above which "binary_cross_entropy" answers with the second class or a label; None for
            0.5.
        accumulate: Batches whose gradients are averaged into one step.
        shards: Parts that every batch is split into; fixes the arithmetic whatever runs the parts.
        teacher_forcing: Probability in [0, 1] that a decoder is shown the true symbol before each place, a number or a
            schedule; None for always. For sequences alone.
        compile: Whether torch.compile turns the model into one program first, which takes tens of seconds.
        device: What computes: "auto" for torch's accelerator where there is one and else "cpu"; or "cpu", "cuda",
            "cuda:1", "mps", "xpu". Random numbers, data and what is saved are the same on any.
        precision: Format in which forward passes compute where that is safe: "float32", or "bfloat16" or "float16" by
            torch's autocast, the latter with the loss scaled. Weights, gradients, sums and evaluation stay float32.
        velocity_dtype: What velocities are kept in: "float32", or "int8": codes of 8 bits with a scale for each 256, a
            quarter of the memory; of parameters with fewer than 4096 elements float32 all the same.
        tf32: Whether a device may form float32 products of factors rounded to 10 bits, which is faster where it can.
        channels_last: Whether images and convolutions lie in memory with their channels last; None for a built-in model
            on a device that is faster so.
        parallel: What several processes hold: each all of the model ("replicated"), or each a part of its weights,
            gradients and velocities ("sharded").
        clip_norm: Largest global gradient norm, or None.
        ema: Decay of the moving average of the weights, in (0, 1), or None for no average.
        evaluate_every: Steps between evaluations on the held-out examples; None for once an epoch.
        log_every: Steps between lines of the log.
        measure_every: Steps between measurements of weights and gradients by group; 0 for never.
        sharpness_every: Steps between measurements of the largest curvature, or None for never.
        on_nonfinite: What a gradient with inf or NaN does: "raise", "skip" the step, "rewind" as after a spike, or
            "ignore".
        nonfinite_limit: How many such steps are skipped or rewound; None for as many as there are when they are
            skipped, 10 when rewound.
        spike: What to do about a loss that leaps up, or None.
        early_stop: When to stop early, or None.
        plateau: When to reduce lr, or None.
    """

    EXCLUSIVE: ClassVar[tuple[str, str]] = ("epochs", "steps")
    epochs: float | None = None
    steps: int | None = None
    loss: str = "cross_entropy"
    start_from: str | None = None
    start_without: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    label_smoothing: float = 0.0
    class_weights: Literal["balanced"] | tuple[float, ...] | Mapping[str, float] | None = None
    threshold: float | None = None
    accumulate: int = 1
    shards: int = 1
    teacher_forcing: float | Schedule | None = None
    compile: bool = False
    device: str = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    velocity_dtype: Literal["float32", "int8"] = "float32"
    tf32: bool = False
    channels_last: bool | None = None
    parallel: Literal["replicated", "sharded"] = "replicated"
    clip_norm: float | None = None
    ema: float | None = None
    evaluate_every: int | None = None
    log_every: int = 1
    measure_every: int = 50
    sharpness_every: int | None = None
    on_nonfinite: Literal["raise", "skip", "rewind", "ignore"] = "raise"
    nonfinite_limit: int | None = None
    spike: Spike | None = None
    early_stop: EarlyStop | None = None
    plateau: Plateau | None = None

    def __post_init__(self) -> None:
        """Check the ranges, and that exactly one length is given."""
        if (self.epochs is None) == (self.steps is None):
            got = "neither" if self.epochs is None else "both"
            raise RecipeError(f"give either `epochs` or `steps`; got {got}. Use for example epochs = 20.")
        for name in (
            "steps",
            "accumulate",
            "shards",
            "evaluate_every",
            "log_every",
            "sharpness_every",
            "nonfinite_limit",
        ):
            if (value := getattr(self, name)) is not None:
                _at_least(name, value, 1)
        _at_least("measure_every", self.measure_every, 0)
        self._check_patterns()
        _check_weights("class_weights", self.class_weights)
        self._check_device()
        for name in ("epochs", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise RecipeError(f"`{name}` must be above 0 and finite; got {value!r}.")
        if self.nonfinite_limit is not None and self.on_nonfinite not in {"skip", "rewind"}:
            raise RecipeError(
                '`nonfinite_limit` counts steps that are skipped or rewound. Give it with on_nonfinite = "skip" or '
                f'"rewind"; got on_nonfinite = "{self.on_nonfinite}".'
            )
        if isinstance(self.teacher_forcing, int | float) and not 0 <= self.teacher_forcing <= 1:
            raise RecipeError(f"`teacher_forcing` must be in [0, 1]; got {self.teacher_forcing!r}.")
        if self.parallel == "sharded":
            self._check_sharded()
        self._check_smoothing()
        if self.ema is not None and not 0 < self.ema < 1:
            raise RecipeError(f"`ema` must be in (0, 1) such as 0.999; got {self.ema!r}.")

    def _check_patterns(self) -> None:
        """Raise `RecipeError` if a pattern or a path is empty."""
        for name in ("start_without", "freeze"):
            if "" in getattr(self, name):
                raise RecipeError(f'`{name}` must hold name patterns such as "logits.*"; got an empty one.')
        if self.start_from == "":
            raise RecipeError('`start_from` must be a run folder or a .safetensors file; got "". Leave it out.')

    def _check_smoothing(self) -> None:
        """Raise `RecipeError` for a smoothing or a threshold out of range, or with a loss that has none."""
        if self.threshold is not None and (not 0 < self.threshold < 1 or self.loss != BINARY):
            raise RecipeError(
                f'`threshold` must be in (0, 1) such as 0.3, and is for loss = "{BINARY}"; got {self.threshold!r} with '
                f'loss = "{self.loss}".'
            )
        if not 0 <= self.label_smoothing < 1:
            raise RecipeError(f"`label_smoothing` must be in [0, 1) such as 0.1; got {self.label_smoothing!r}.")
        if self.label_smoothing and self.loss != "cross_entropy":
            raise RecipeError(f'`label_smoothing` is for loss = "cross_entropy"; got loss = "{self.loss}". Remove it.')

    def _check_device(self) -> None:
        """Raise `RecipeError` if no device is called so, or a precision does not go with the rest."""
        if not re.fullmatch(r"[a-z_]+(:[0-9]{1,4})?", self.device) or self.device.startswith(("auto:", "cpu:")):
            raise RecipeError(
                f'`device` must be "auto", "cpu", or a kind of device with or without a number, such as "cuda" or '
                f'"cuda:1"; got {self.device!r}.'
            )
        if self.precision == "float16" and self.on_nonfinite == "ignore":
            raise RecipeError(
                '`precision` = "float16" leaves out steps whose scaled gradients are not finite, and on_nonfinite = '
                '"ignore" would not. Use "raise" or "skip", which then are the same.'
            )

    def _check_sharded(self) -> None:
        """Raise `RecipeError` if something is asked for that needs the whole model in each process."""
        if self.velocity_dtype == "int8":
            raise RecipeError(
                '`velocity_dtype` = "int8" needs `parallel = "replicated"`: a block of 256 would end '
                "where a worker's part does, and the numbers would depend on how many workers there are. Remove one."
            )
        reasons = {
            "ema": "the average of a sharded model is not kept",
            "compile": "a sharded model is not compiled",
            "sharpness_every": "the curvature of a sharded model is not measured",
        }
        for name, reason in reasons.items():
            if getattr(self, name):
                raise RecipeError(
                    f'`{name}` = {getattr(self, name)!r} needs `parallel = "replicated"`: {reason}. Remove one.'
                )

    def in_steps(self, steps_per_epoch: int) -> Train:
        """Return the same with every schedule in steps."""
        if not isinstance(self.teacher_forcing, Schedule):
            return self
        return replace(self, teacher_forcing=self.teacher_forcing.in_steps(steps_per_epoch))

    @property
    def rewinds(self) -> str | None:
        """The path and value of the setting by which training may rewind, or None."""
        if self.spike is not None and self.spike.action == "rewind":
            return 'train.spike.action = "rewind"'
        return 'train.on_nonfinite = "rewind"' if self.on_nonfinite == "rewind" else None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """When to save: the table ``[checkpoint]``. One is always written at the end and on a signal.

    Attributes:
        every_steps: Steps between checkpoints, or None.
        every_seconds: Seconds between checkpoints; 0 for never by the clock.
        keep: How many of the newest are kept; the best is kept besides.
        metric: By what the best is told, a name in `measures.Metric`; None for what an early stop or a plateau watches,
            and otherwise the most telling measure that there is.
    """

    every_steps: int | None = None
    every_seconds: float = 30.0
    keep: int = 3
    metric: Metric | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.every_steps is not None:
            _at_least("every_steps", self.every_steps, 1)
        _at_least("every_seconds", self.every_seconds, 0)
        _at_least("keep", self.keep, 1)


LoggerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]


@dataclass(frozen=True, kw_only=True)
class Log:
    """Where the log goes besides the run folder: the table ``[log]``. It changes no number of the run.

    Attributes:
        to: Tools to log to: "tensorboard", "wandb", "mlflow", "trackio".
        project: What they file the run under, where they have projects.
    """

    to: tuple[LoggerName, ...] = ()
    project: str = "downslope"

    def __post_init__(self) -> None:
        """Check that no tool stands there twice."""
        if len(set(self.to)) < len(self.to):
            raise RecipeError(f"`to` must name each tool once; got {', '.join(self.to)}.")


@dataclass(frozen=True, kw_only=True)
class Tune:
    """What `downslope tune` searches, and how: the table ``[tune]``. It changes no number of a run.

    Attributes:
        search: What is searched, a path of the recipe or a coordinate, and within what: "log(1e-3, 1)",
            "uniform(0, 0.99)", "int(1, 4)" or "choice([64], [128])"; empty for what `coordinates` names.
        coordinates: What is searched where `search` is empty: "decoupled" for effective lr, timescale of the decay and
            horizon of the velocity; "raw" for lr, weight_decay and momentum.
        sampler: Who proposes: "tpe", "random", "grid" or "cmaes".
        trials: How many settings are tried.
        halving: Successive halving: of so many trials one goes on at each rung; None for all to the end.
        validation: Fraction of the examples to learn from that trials are judged by.
        metric: What they are judged by; None for the first that an evaluation gives.
        seeds: How many runs of the winner, each with a seed of its own, see the held-out examples.
    """

    search: Mapping[str, str] = field(default_factory=dict[str, str])
    coordinates: Literal["decoupled", "raw"] = "decoupled"
    sampler: Literal["tpe", "random", "grid", "cmaes"] = "tpe"
    trials: int = 40
    halving: int | None = None
    validation: float = 0.2
    metric: Metric | None = None
    seeds: int = 5

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, low in (("trials", 1), ("seeds", 1), ("halving", 2)):
            if (value := getattr(self, name)) is not None:
                _at_least(name, value, low)
        if not 0 < self.validation < 1:
            raise RecipeError(f"`validation` must be a fraction in (0, 1) such as 0.2; got {self.validation!r}.")


@dataclass(frozen=True, kw_only=True)
class Recipe(ShownInNotebooks):
    """A complete training recipe.

    For `data` and `model` a plain string stands for the table with this `name` alone: ``model = "my_task:build"``.

    Attributes:
        title: One line for people.
        source: Where the recipe comes from.
        seed: Seed of everything random, >= 0.
        data: What is learned from.
        model: What learns.
        sgd: The optimizer's settings.
        groups: Settings that differ for some parameters.
        train: How long and how to train.
        checkpoint: When to save.
        log: Where the log goes besides the run folder.
        tune: What `downslope tune` searches, or None for its defaults.
    """

    NAMED: ClassVar[tuple[str, ...]] = ("data", "model")
    LEAST: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {"sgd": ("[sgd]", "lr = 0.1", "momentum = 0.9"), "train": ("[train]", "epochs = 20")}
    )
    """The least that a recipe must say, as lines to add."""

    title: str = ""
    source: str = ""
    seed: int = 0
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    sgd: Settings
    groups: tuple[Group, ...] = ()
    train: Train
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    log: Log = field(default_factory=Log)
    tune: Tune | None = None

    def __post_init__(self) -> None:
        """Check what no table can check alone."""
        _at_least("seed", self.seed, 0)
        lrs = [self.sgd.lr, *(group.lr for group in self.groups if group.lr is not None)]
        if self.train.plateau is not None and any(isinstance(lr, Schedule) for lr in lrs):
            raise RecipeError(
                "`train.plateau` needs a constant `sgd.lr`: a schedule and a plateau would both move it. "
                "Remove one of the two."
            )
        everyone = [self.sgd, *(group.apply(self.sgd) for group in self.groups)]
        if self.train.parallel == "sharded" and any(one.trust_coefficient or one.adaptive_clip for one in everyone):
            raise RecipeError(
                '`sgd.trust_coefficient` and `sgd.adaptive_clip` need `train.parallel = "replicated"`: the norm of a '
                "tensor would be added up of as many parts as there are workers, and its last bits depend on that. "
                "Remove one."
            )
        if isinstance(self.sgd, ScheduleFree):
            self._check_schedule_free()
        if self.train.ema is None and any(group.ema is not None for group in self.groups):
            raise RecipeError(
                "`groups.ema` is of an average of the weights, and the recipe keeps none. Give train.ema = 0.999, say, "
                "or remove `groups.ema`."
            )
        if self.train.rewinds is not None and self.checkpoint.every_steps is None:
            raise RecipeError(
                f"`{self.train.rewinds}` needs `checkpoint.every_steps`: where a rewind leads must not depend on the "
                "clock, or no two runs would be the same. Give for example checkpoint.every_steps = 100."
            )
        if self.data.sampling is not None and self.train.class_weights is not None:
            raise RecipeError(
                "`data.sampling` and `train.class_weights` both make rare classes count for more, and together twice "
                "over. Give one of the two."
            )
        if self.train.shards > self.data.batch_size:
            raise RecipeError(
                f"`train.shards` must be at most `data.batch_size`, here {self.data.batch_size}, so that each part of "
                f"a batch has an example; got {self.train.shards}."
            )

    def _check_schedule_free(self) -> None:
        """Raise `RecipeError` if something is asked for that does not go with an average that the optimizer keeps."""
        reasons = {
            "plateau": (self.train.plateau, "the average takes the place of a falling lr"),
            "ema": (self.train.ema, "what is evaluated and kept is an average of the weights already"),
            "parallel": (
                self.train.parallel if self.train.parallel == "sharded" else None,
                "the average of a sharded model is not kept",
            ),
        }
        for name, (value, reason) in reasons.items():
            if value is not None:
                raise RecipeError(
                    f"`sgd.schedule_free` and `train.{name}` do not go together: {reason}. Remove one of the two."
                )

    @property
    def watched(self) -> dict[str, Metric]:
        """The measures of the held-out examples that something goes by, by the key that names each."""
        early, plateau = self.train.early_stop, self.train.plateau
        found: dict[str, Metric | None] = {
            "checkpoint.metric": self.checkpoint.metric,
            "train.early_stop.metric": None if early is None else early.metric,
            "train.plateau.metric": None if plateau is None else plateau.metric,
        }
        return {key: metric for key, metric in found.items() if metric is not None}

    def in_steps(self, steps_per_epoch: int) -> Recipe:
        """Return the same recipe with every schedule in steps."""
        return replace(
            self,
            sgd=self.sgd.in_steps(steps_per_epoch),
            groups=tuple(group.in_steps(steps_per_epoch) for group in self.groups),
            train=self.train.in_steps(steps_per_epoch),
        )


def _check_weights(name: str, weights: str | tuple[float, ...] | Mapping[str, float] | None) -> None:
    """Raise `RecipeError` if a weight of a class is not above 0 and finite, or there is none."""
    if weights is None or isinstance(weights, str):
        return
    numbers = list(weights.values()) if isinstance(weights, Mapping) else list(weights)
    if not numbers:
        raise RecipeError(f'`{name}` must hold a weight for each class; got none. Or use "balanced".')
    for number in numbers:
        if not 0 < number < float("inf"):
            raise RecipeError(f"`{name}` must be above 0 and finite; got {number!r}.")
    if max(numbers) > 1e30 or min(numbers) < 1e-30 or max(numbers) > 1e9 * min(numbers):
        raise RecipeError(
            f"`{name}` must be from 1e-30 to 1e30, the largest at most 1e9 times the smallest; got "
            f"{min(numbers):g} to {max(numbers):g}."
        )


def _at_least(name: str, value: float, low: float) -> None:
    if not low <= value < float("inf"):
        finite = " and finite" if isinstance(value, float) else ""
        raise RecipeError(f"`{name}` must be >= {low}{finite}; got {value!r}.")


# Defaults that have changed

_SCALED = "standardize_target"
"""Of a table whose target is a number: it was false, and is true with the losses of numbers."""


def settle(recipe: Recipe, begun: Mapping[str, Any] | None = None) -> Recipe:
    r"""Return a recipe with the options stated whose default has changed.

    Args:
        recipe: The recipe.
        begun: The recipe that the run began with, as a table, if it has begun.

    Example:
        >>> from downslope.recipe.load import parse_recipe
        >>> text = '[data]\nname = "table"\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\nloss = "mse"\n'
        >>> new, old = settle(parse_recipe(text)), settle(parse_recipe(text), {"data": {"name": "table"}})
        >>> new.data.options["standardize_target"], old.data.options["standardize_target"]
        (True, False)
    """
    data = recipe.data
    if data.name != "table" or recipe.train.loss not in FITTING or _SCALED in data.options:
        return recipe
    if begun is None:
        value: Any = True
    else:
        table = begun.get("data", {})
        value = table.get("options", {}).get(_SCALED, False) if isinstance(table, Mapping) else False
    return replace(recipe, data=replace(data, options={**data.options, _SCALED: value}))
