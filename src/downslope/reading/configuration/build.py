"""Settings as the fields of a recipe, each with its words: all of them but the learning rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from downslope.reading.arithmetic import is_number
from downslope.reading.configuration.entries import Entry, holds_number, squeezed, words_of
from downslope.reading.configuration.keys import FOREIGN, NAMING, OPTIMIZERS, STRUCTURE
from downslope.reading.configuration.settings import Setting, Settings, format_of, meanings, schedules, selected
from downslope.reading.findings import Found, Part
from downslope.reading.order import tidy
from downslope.reading.reading import ADAMS, BY_UNIT, DAMPENED, Field, Provenance
from downslope.reading.remarks import shown

NORMS = "@bias_and_norm"
_UNKNOWN = ("auto", "none", "default", "custom", "optim", "build", "config", "wrapper", "make", "get")
_BASES = frozenset(["base", "baseconfig", "inheritfrom", "defaults"])
_SIZED = 1e6
"""The largest norm that gradients are clipped at; a larger one clips nothing."""


@dataclass
class Build:
    """A part's findings in the making.

    Attributes:
        settings: What it says.
        part: The part.
        found: Its findings so far.
    """

    settings: Settings
    part: Part
    found: Found

    def words(self, entry: Entry) -> str:
        """Return the words of an entry."""
        return self.part.text[entry.start : entry.end].strip()

    def field(self, value: Any, provenance: Provenance, words: str = "", entry: Entry | None = None) -> Field:
        """Return a field, whose words are those of an entry where none are given."""
        start = end = -1
        if entry is not None:
            written = self.part.text[entry.start : entry.end]
            start = self.part.start + entry.start + len(written) - len(written.lstrip())
            end = start + len(written.strip())
        return Field(_plain(value), provenance, words or (self.words(entry) if entry else ""), start, end)

    def stated(self, path: str, setting: Setting, value: Any = None, *marks: str) -> Field:
        """Return the field of a setting's value; what was worked out is implied, and one with rivals is marked."""
        entry = setting.entry
        marks = (*marks, *(("competing",) if self.contested(path, setting) else ()))
        found = self.field(setting.value if value is None else value, "stated", "", entry)
        return replace(found, provenance="implied" if entry.derived else "stated", marks=marks)

    def put(
        self, path: str, value: Any, provenance: Provenance, words: str, entry: Entry | None = None, *marks: str
    ) -> None:
        """Set a field, unless it has been set."""
        self.found.fields.setdefault(path, replace(self.field(value, provenance, words, entry), marks=marks))

    def state(self, path: str, setting: Setting, value: Any = None, *marks: str) -> None:
        """Set a field to a setting's value."""
        self.found.fields.setdefault(path, self.stated(path, setting, value, *marks))

    def imply(self, path: str, value: Any, setting: Setting | None, why: str = "", *marks: str) -> None:
        """Set a field that follows from a setting, or from a convention."""
        self.put(path, value, "implied", why, setting.entry if setting and not why else None, *marks)

    def say(self, what: str, **values: object) -> None:
        """Remark on something."""
        self.found.remarks.append((what, values))

    def contested(self, path: str, setting: Setting) -> bool:
        """Whether a loop, or another table, gives a setting another value; it is remarked on."""
        for rival in self.settings.rivals(setting):
            self.say("another", path=path, words=self.words(rival.entry))
        if setting.entry.others:
            self.say("another", path=path, words=", ".join(str(other) for other in setting.entry.others[:10]))
        return bool(self.settings.rivals(setting) or setting.entry.others)


def _plain(value: Any) -> Any:
    """Return whole numbers as integers, in lists too; others as they are."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) >= 1 else value


def put_values(build: Build) -> None:
    """Put everything but the learning rate and the groups."""
    _put_optimizer(build)
    settings = build.settings
    is_qhm = any(squeezed(one.value.rpartition(".")[2]) == "qhm" for one in settings.by_concept.get("optimizer", ()))
    inherits = [one for one in settings.entries if squeezed(one.path[0]) in _BASES and one.value]
    for concept, path in (
        ("momentum", "sgd.momentum"),
        ("weight_decay", "sgd.weight_decay"),
        ("nesterov", "sgd.nesterov"),
        ("dampening", "sgd.dampening"),
        *([("nu", "sgd.nu")] if is_qhm else []),
    ):
        setting = settings.by_concept.get(concept, [None])[0]
        default = None if inherits else settings.system.defaults.get(concept)
        if concept == "momentum" and build.found.optimizer.startswith(
            ("adam", "nadam", "radam", "lamb", "lion", "adafactor")
        ):
            continue  # of the SGD that is not used
        if setting is not None:
            build.state(path, setting, bool(setting.value) if concept == "nesterov" else _float(setting.value))
        elif default is not None and settings.by_concept.get("lr") and build.found.optimizer in {"", "sgd"}:
            build.imply(path, default, None, f"the default of {settings.system.name}")
    momentum = build.found.fields.get("sgd.momentum")
    if is_qhm and momentum is not None and "sgd.dampening" not in build.found.fields:
        build.imply("sgd.dampening", momentum.value, None, DAMPENED)
        build.imply("sgd.undampened_first_step", False, None, DAMPENED)
    _put_strength(build)
    clip = settings.first("clip")
    if clip is None and any(squeezed(one.path[-1]) == "cliptype" and one.value == "norm" for one in settings.entries):
        clip = settings.first("clip_of_type")  # Detectron2's, which may be by value
    modes = [one.value for one in settings.entries if squeezed(str(one.path[-1])) == "clipmode"]
    if clip is not None and "agc" in modes:
        build.imply("sgd.adaptive_clip", _float(clip.value), clip)  # by another word beside it
        build.imply("sgd.adaptive_clip_by", "unit", None, BY_UNIT)
    elif clip is not None and clip.value < _SIZED:
        build.state("train.clip_norm", clip, _float(clip.value))
    _put_batch(build)
    _put_beside(build)
    _put_length(build)
    decayed = build.found.fields.get("sgd.weight_decay")
    if decayed is not None and decayed.value and build.found.optimizer in {"", "sgd", "lars"}:
        build.imply("sgd.decay", "coupled", None, "weight decay with SGD is an L2 penalty unless said otherwise")
    if inherits:
        build.say("base", words=" ".join(build.words(inherits[0]).split()))


def put_conventions(build: Build) -> None:
    """Put what follows from whose configuration it is."""
    framework = {"caffe": "Caffe", "mxnet": "MXNet"}.get(build.settings.system.framework)
    if framework and build.found.optimizer in {"", "sgd"} and any(p.startswith("sgd.") for p in build.found.fields):
        build.imply("sgd.lr_in_velocity", True, None, f"{framework} puts lr inside the velocity")
        build.say("inside")


def _float(value: Any) -> Any:
    return value if isinstance(value, bool) else float(value)


def _put_optimizer(build: Build) -> None:
    settings, found = build.settings, build.found
    named = [one for one in settings.by_concept.get("optimizer", ()) if _optimizer_of(one.value)]
    for setting in named:
        settings.taken.add(setting.entry.place)
    blocks = [
        OPTIMIZERS.get(squeezed(key), "") for entry in settings.entries for key in entry.path if "ptimizer" in key
    ]
    if named:
        found.optimizer = _optimizer_of(named[0].value)
        last = squeezed(named[0].value.rpartition(".")[2])
        if found.optimizer == "sgd" and last in {"nag", "nesterov", "nesterovs", "nesterovsgd", "sgdnesterov"}:
            build.imply("sgd.nesterov", True, None, f"{named[0].value} is Nesterov's form")
        if OPTIMIZERS.get(squeezed(named[0].value.rpartition(".")[2])) == "sgdw":
            build.imply("sgd.decay", "decoupled", None, "SGDW decays apart from the gradient")
    elif any(blocks):
        found.optimizer = next(filter(None, blocks))
    elif settings.system.name in {"caffe", "darknet", "detectron2", "slowfast", "yolo"}:
        found.optimizer = "sgd"
    elif settings.system.name == "transformers":
        found.optimizer = "adamw"
    elif not settings.by_concept.get("momentum") and any(
        squeezed(one.entry.path[-1]).startswith("adam")
        for concept in ("beta1", "beta2", "betas")
        for one in settings.by_concept.get(concept, ())
    ):
        found.optimizer = "adam"
    trust = settings.first("trust")
    if found.optimizer == "lars" and trust is not None:
        found.optimizer = "sgd"
        build.state("sgd.trust_coefficient", trust, _float(trust.value))
    names = dict.fromkeys(_optimizer_of(one.value) for one in named)
    if len(names) > 1:
        build.say("two_optimizers", names=", ".join(names))
    if settings.system.name == "timm" and found.optimizer == "sgd" and settings.first("optimizer", "momentum"):
        if not (named and "momentum" in squeezed(named[0].value)):  # timm's own name for SGD without it
            build.imply("sgd.nesterov", True, None, "timm's name sgd means Nesterov momentum")
        if not settings.by_concept.get("momentum"):
            build.imply("sgd.momentum", 0.9, None, "timm's default")
    if found.optimizer == "":
        for name in ("beta1", "beta2"):
            setting = settings.first(name)
            if setting is not None and "adam" in squeezed(setting.entry.path[-1]):
                build.state(f"adam.{name}", setting, _float(setting.value))
    if found.optimizer in {"", "sgd"}:
        return
    table = "adam" if found.optimizer in ADAMS else found.optimizer
    for concept, name in (("beta1", "beta1"), ("beta2", "beta2"), ("eps", "eps"), ("rho", "decay")):
        setting = settings.first(concept)
        if setting is not None:
            build.state(f"{table}.{name}", setting, _float(setting.value))
    betas = settings.first("betas")
    if betas is not None:
        build.state(f"{table}.beta1", betas, betas.value[0])
        build.state(f"{table}.beta2", betas, betas.value[1])


def _optimizer_of(name: str) -> str:
    last = squeezed(name.rpartition(".")[2]).removesuffix("optimizer")
    known = OPTIMIZERS.get(last) or OPTIMIZERS.get(squeezed(name.rpartition(".")[2]), "")
    known = known.replace("sgdw", "sgd")
    return known or ("" if not last.isalpha() or len(last) > 10 or any(word in last for word in _UNKNOWN) else last)


def _put_strength(build: Build) -> None:
    """Put the weight decay that a bare decay of its size is, or a strength that a key beside it calls one."""
    settings = build.settings
    decay = settings.first("bare_decay") if settings.system.name != "keras" else None
    if decay is not None and "sgd.weight_decay" not in build.found.fields and settings.by_concept.get("lr"):
        build.imply("sgd.weight_decay", _float(decay.value), decay)
    strength = settings.first("strength")
    if strength is None or "sgd.weight_decay" in build.found.fields:
        return
    kinds = {squeezed(one.value) for one in settings.entries if isinstance(one.value, str) and len(one.value) < 20}
    if kinds & {"wdecay", "weightdecay", "l2", "l2norm", "wd"}:
        build.state("sgd.weight_decay", strength, _float(strength.value))
    else:
        settings.taken.discard(strength.entry.place)


def _put_batch(build: Build) -> None:
    settings = build.settings
    batch, device = settings.first("batch"), settings.first("device_batch")
    given = device or batch
    if given is None:
        return
    devices = _devices(settings)
    per_device = device is not None or settings.system.per_device
    if batch is not None and device is not None:
        build.state("data.batch_size", batch, int(batch.value))
    elif per_device and devices is not None:
        build.imply(
            "data.batch_size", int(given.value * devices[0]), given, f"{build.words(given.entry)}; {devices[1]}"
        )
    elif per_device:
        reference = settings.first("lr_batch")
        if reference is not None:
            why = f"{build.words(reference.entry)}: the batch that the learning rate is for"
            build.imply("data.batch_size", int(reference.value), None, why)
        elif device is not None:
            build.imply("data.batch_size", int(given.value), given, "", "per_device")
        else:
            build.state("data.batch_size", given, int(given.value), "per_device")
        build.say("per_device", value=shown(given.value))
    else:
        shared = devices is not None and devices[0] > 1 and "nproc" in devices[1]
        build.state("data.batch_size", given, int(given.value), *(("per_device",) if shared else ()))


def _put_beside(build: Build) -> None:
    """Put what is nearly, not always, what a recipe calls so."""
    settings = build.settings
    for concept, path in (
        ("accumulate", "train.accumulate"), ("smoothing", "train.label_smoothing"), ("mixup", "data.augment.mixup"),
        ("cutmix", "data.augment.cutmix"), ("erase", "data.augment.erase"),
        ("ema", "train.ema"),
    ):  # fmt: skip
        setting = settings.first(concept)
        if setting is not None and not (concept == "accumulate" and setting.value == 1):
            build.imply(path, setting.value, setting)
    precision = settings.first("precision")
    if precision is not None:
        key = squeezed(precision.entry.path[-1])
        told = key if precision.value is True else precision.value
        build.imply("train.precision", format_of("bf16" if "bf16" in key else told) or "float16", precision)


def _devices(settings: Settings) -> tuple[int, str] | None:
    """Return how many devices there are, and the words."""
    found = settings.first("devices")
    if found is not None:
        return int(found.value), f"{found.entry.path[-1].lstrip('-')} {found.value}"
    for entry in settings.entries:
        key = squeezed(entry.path[-1])
        if key in {"cudavisibledevices", "gpus", "gpuids", "devices"} and isinstance(entry.value, list):
            settings.taken.add(entry.place)
            return len(entry.value), f"{entry.path[-1].lstrip('-')} {','.join(map(str, entry.value))}"
    return None


def _put_length(build: Build) -> None:
    settings = build.settings
    for concepts, path in ((("epochs", "epochs_flag"), "train.epochs"), (("steps",), "train.steps")):
        setting = settings.first(*concepts)
        if setting is not None:
            build.state(path, setting)
    if {"train.epochs", "train.steps"} <= build.found.fields.keys():
        build.say("both_lengths")


def put_groups(build: Build, lr: float | None) -> None:
    """Put the groups: what decays less, and parts of the model with learning rates of their own."""
    settings, fields = build.settings, build.found.fields
    decay = fields["sgd.weight_decay"].value if "sgd.weight_decay" in fields else None
    groups: list[tuple[str, dict[str, tuple[Any, Setting]]]] = []

    def add(match: str, name: str, value: Any, setting: Setting) -> None:
        known = next((values for pattern, values in groups if pattern == match), None)
        if known is None:
            groups.append((match, known := {}))
        known.setdefault(name, (value, setting))

    for concept, match, name, base in (
        ("no_bias_and_norm_decay", NORMS, "weight_decay", 0.0),
        ("no_decay_names", NORMS, "weight_decay", 0.0),
        ("norm_decay", NORMS, "weight_decay", None),
        ("bias_decay", "*.bias", "weight_decay", None),
        ("norm_decay_mult", NORMS, "weight_decay", decay),
        ("bias_decay_mult", "*.bias", "weight_decay", decay),
        ("bias_lr_mult", "*.bias", "lr", lr),
        ("backbone_lr_mult", "backbone.*", "lr", lr),
        ("head_lr_mult", "*head*", "lr", lr),
        ("backbone_lr", "backbone.*", "lr", None),
        ("head_lr", "*head*", "lr", None),
    ):
        setting = settings.first(concept)
        usual = {"norm_decay": decay, "bias_decay": decay, "backbone_lr": lr, "head_lr": lr}
        if setting is None or (concept in usual and setting.value == usual[concept]):
            continue
        multiplied = concept.endswith("_mult")
        if multiplied and (setting.value == 1 or (base is None and setting.value)):
            continue
        value = (
            0.0
            if concept.startswith("no_")
            else (tidy(base * setting.value) if base else 0.0)
            if multiplied
            else setting.value
        )
        add(selected(setting.value) if concept == "no_decay_names" else match, name, float(value), setting)
    for key, name, setting in _custom_keys(settings):
        base = lr if name == "lr" else decay
        if base is not None and setting.value != 1:
            add(f"*{key}*", name, tidy(base * setting.value), setting)
    _add_caffe_biases(settings, add, lr)
    _merge_biases(groups)
    changes = "sgd.lr.schedule" in fields
    for index, (match, values) in enumerate(groups):
        setting = next(iter(values.values()))[1]
        build.put(f"groups.{index}.match", match, "implied", "", setting.entry)
        for name, (value, one) in values.items():
            marks = ("constant_group",) if name == "lr" and changes else ()
            build.put(
                f"groups.{index}.{name}", value, "stated" if value == one.value else "implied", "", one.entry, *marks
            )
        build.say("group", match=match)


def _add_caffe_biases(settings: Settings, add: Callable[..., None], lr: float | None) -> None:
    """Add what a Caffe net says of biases, the second parameters of its layers, where all layers say the same."""
    second = [one for one in settings.entries if len(one.path) > 2 and one.path[-2] == "param#1"]
    for key, name in (("lr_mult", "lr"), ("decay_mult", "weight_decay")):
        found = [one for one in second if one.path[-1] == key and is_number(one.value)]
        if not found or len({one.value for one in found}) > 1 or found[0].value == 1 or (name == "lr" and lr is None):
            continue
        if name == "lr" or found[0].value == 0:
            settings.taken |= {one.place for one in found}
            value = tidy((lr or 0.0) * found[0].value) if name == "lr" else 0.0
            add("*.bias", name, value, Setting("caffe", found[0].value, found[0]))


def _merge_biases(groups: list[tuple[str, dict[str, tuple[Any, Setting]]]]) -> None:
    """Leave out biases where they are treated as normalisation layers are: one pattern selects both."""
    by_match = dict(groups)
    norms, biases = by_match.get(NORMS), by_match.get("*.bias")
    if (
        norms is not None
        and biases is not None
        and {k: v[0] for k, v in norms.items()} == {k: v[0] for k, v in biases.items()}
    ):
        groups[:] = [one for one in groups if one[0] != "*.bias"]


_CUSTOM = frozenset({"custom_keys", "paramwise_options"})


def _custom_keys(settings: Settings) -> list[tuple[str, str, Setting]]:
    """Return (part of a parameter's name, "lr" or "weight_decay", its multiplier) of an OpenMMLab configuration."""
    found: list[tuple[str, str, Setting]] = []
    for entry in settings.entries:
        path = entry.path
        table = next((place for place, key in enumerate(path) if key in _CUSTOM), len(path))
        name = {"lr_mult": "lr", "decay_mult": "weight_decay"}.get(path[-1])
        if name and table < len(path) - 2 and is_number(entry.value):
            key = ".".join(path[table + 1 : -1]).replace("\\A", "").strip("^$.\\")
            settings.taken.add(entry.place)
            found.append((key, name, Setting("custom", entry.value, entry)))
    return found


def leave_unread(build: Build) -> None:
    """Note where the numbers stand that were not used, and where they stand in words: `scheduler: poly, power 0.9`."""
    silent = not build.found.fields
    for entry in build.settings.entries:
        if entry.place not in build.settings.taken and holds_number(entry.value) and not isinstance(entry.value, bool):
            place = build.part.start + entry.start, build.part.start + entry.end
            foreign = words_of(entry.path) & (FOREIGN | STRUCTURE)
            worded = isinstance(entry.value, str) and " " in entry.value.strip() and not foreign
            told = meanings(entry.path[-1])
            if squeezed(entry.path[-1]) in NAMING and any(schedules(squeezed(key)) for key in entry.path[-2:-1]):
                told = ["policy"]
            phrase = worded and (silent or _WORDED.intersection(told))
            if phrase and "policy" in told:  # its key names the rate, whose value stands elsewhere
                place = place[1] - len(entry.value.strip()) - 1, place[1]
            (build.found.phrases if phrase else build.found.unread).append(place)


_WORDED = frozenset({"optimizer", "policy", "lr", "times", "momentum", "weight_decay", "batch", "epochs"})
"""What a value may say in words."""
