"""From entries to settings: which concept of training each key means where it stands, and what stands there besides."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

from downslope.reading.arithmetic import is_number
from downslope.reading.configuration.entries import Entry, as_number, holds_number, listed, scalar, squeezed, words_of
from downslope.reading.configuration.keys import (
    ANY,
    BEFORE,
    FOREIGN,
    GENERIC,
    LEVELS,
    NAMING,
    OPTIMIZERS,
    OPTIMIZING,
    PASSED_OVER,
    POLICIES,
    ROW_LENGTHS,
    ROW_RATES,
    ROW_TIMES,
    SCHEDULING,
    SHORT_FLAGS,
    STRUCTURE,
    SYSTEMS,
    System,
)
from downslope.reading.configuration.names import concepts_of
from downslope.reading.configuration.shapes import amount, plain
from downslope.reading.items import find_items
from downslope.reading.text import normalise


@dataclass(frozen=True)
class Setting:
    """An entry with what it means.

    Attributes:
        concept: Such as "lr", a key of the tables.
        value: Its value, a number where a quoted one stands for it.
        entry: Where it stands.
        unit: "epoch" or "step" where the key says so, else "".
        rank: How near to the training's optimizer it stands: 0 is nearest.
        scheduler: The path of the list's table that it stands in, where schedules are listed.
    """

    concept: str
    value: Any
    entry: Entry
    unit: str = ""
    rank: int = 1
    scheduler: tuple[str, ...] = ()


@dataclass
class Settings:
    """All settings of one configuration.

    Attributes:
        system: Whose conventions hold.
        by_concept: Concept -> its settings, nearest first.
        entries: All entries.
        taken: Where those stand that were used.
    """

    system: System
    entries: list[Entry]
    by_concept: dict[str, list[Setting]] = field(default_factory=dict[str, list[Setting]])
    taken: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def first(self, *concepts: str) -> Setting | None:
        """Return the nearest setting of the first of these concepts that is there, and count it as used."""
        for concept in concepts:
            for setting in self.by_concept.get(concept, ()):
                self.taken.add(setting.entry.place)
                return setting
        return None

    def rivals(self, setting: Setting) -> list[Setting]:
        """Return the other settings of its concept that have another value."""
        same = [one for one in self.by_concept.get(setting.concept, ()) if one.scheduler == setting.scheduler]
        self.taken |= {one.entry.place for one in same}
        return [one for one in same if one.value != setting.value]

    def sub(self, scheduler: tuple[str, ...]) -> Settings:
        """Return the settings of one schedule of a list."""
        own = {
            concept: kept
            for concept, settings in self.by_concept.items()
            if (kept := [one for one in settings if one.scheduler == scheduler])
        }
        return Settings(self.system, self.entries, own, self.taken)


def _within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: is_number(value) and low <= value < high


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(is_number(one) and one >= 0 for one in value)


def _doubles(value: list[float]) -> bool:
    return len(value) > 3 and value[0] <= 16 and all(two == 2 * one for one, two in pairwise(value))


def _positive(value: Any) -> bool:
    return is_number(value) and 0 < value < 1e12


def _name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) < 80 and as_number(value) is None and "$" not in value


def _policy(value: str) -> str:
    return next((mark for mark, _ in POLICIES if mark in squeezed(value.rpartition(".")[2])), "")


def _said(value: str) -> bool:
    """Whether a value says in words what a name alone does not: "StepLR 30", "cosine, 5 epochs of warmup"."""
    return " " in value.strip() and holds_number(value)


def _count(value: Any) -> bool:
    return is_number(value) and 1 <= value < 1e8 and float(value).is_integer()


def selected(value: Any) -> str:
    """Return which parameters are named whose weights do not decay: a pattern, or ""."""
    words = words_of(value if isinstance(value, list) and all(isinstance(one, str) for one in value) else [str(value)])
    if words & {"bn", "norm", "batchnorm", "layernorm", "batch_norm"}:
        return "@bias_and_norm"
    return "*.bias" if words & {"bias", "biases"} else ""


def format_of(value: Any) -> str:
    """Return the format of numbers that a setting names, "" if it is none that a recipe has."""
    told = str(value).lower()
    if told in {"bf16", "bfloat16", "bf16-mixed", "bf16-true", "mixed_bfloat16", "amp_bf16"}:
        return "bfloat16"
    return (
        "float16" if told in {"fp16", "float16", "16", "16-mixed", "16-true", "mixed_float16", "o1", "amp_fp16"} else ""
    )


_FITS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        ["lr", "scaled_lr", "warmup_start", "warmup_end", "final"], lambda v: _within(0, 1e4)(v) or _numbers(v)
    ),
    **dict.fromkeys(["head_lr", "backbone_lr"], _within(0, 1e4)),
    **dict.fromkeys(["momentum", "beta1", "beta2", "rho"], _within(0, 1)),
    **dict.fromkeys(["weight_decay", "norm_decay", "bias_decay", "strength"], _within(0, 1)),
    **dict.fromkeys(["batch", "device_batch", "devices", "accumulate", "lr_batch"], _count),
    **dict.fromkeys(["epochs", "epochs_flag", "duration"], _positive),
    "steps": _within(10, 1e12),
    **dict.fromkeys(["every", "every_flag"], _within(1, 1e12)),
    **dict.fromkeys(["power", "patience", "div_factor", "final_div_factor", "clip", "clip_of_type"], _positive),
    **dict.fromkeys(["warmup_epochs", "warmup_steps"], lambda value: is_number(value) and 0 <= value < 1e12),
    **dict.fromkeys(["by_epoch", "staircase", "warmup_by_epoch"], lambda value: isinstance(value, bool)),
    "nesterov": lambda value: isinstance(value, bool) or value in (0, 1),
    **dict.fromkeys(["optimizer", "warmup_method"], _name),
    "policy": lambda value: _name(value) and not _said(value) and bool(_policy(value)),
    **dict.fromkeys(["times", "scales", "values"], _numbers),
    "bare_decay": _within(1e-5, 0.05),
    "milestones": lambda value: _numbers(value) or (_positive(value) and value > 1),
    "gamma": lambda value: is_number(value) and (1e-6 < value <= 1 or value in {2, 3, 4, 5, 10, 100}),
    "ema": _within(0.5, 1),
    "smoothing": lambda value: is_number(value) and 0 < value < 1,
    "precision": lambda value: value is True or (isinstance(value, str | int) and bool(format_of(value))),
    **dict.fromkeys(["mixup", "cutmix"], lambda value: is_number(value) and 0 < value < 100),
    "erase": lambda value: is_number(value) and 0 < value <= 1,
    "eps": _within(0, 1.0000001),
    "betas": lambda value: _numbers(value) and len(value) == 2 and max(value) < 1,
    "dampening": _within(0, 1.0000001),
    "nu": _within(0, 1.0000001),
    "trust": _within(1e-9, 1e6),
    "warmup": lambda value: is_number(value) and 0 < value < 1e12,
    "fraction": _within(0, 1),
    "cosine": lambda _: False,
    **dict.fromkeys(["final_fraction", "warmup_factor", "warmup_ratio", "pct_start"], _within(0, 1.0000001)),
    "no_decay_names": lambda value: isinstance(value, str | list) and bool(selected(value)),
    "no_bias_and_norm_decay": lambda value: value is True or value == 1,
    **dict.fromkeys(["norm_decay_mult", "bias_decay_mult"], _within(0, 1e4)),
    **dict.fromkeys(["bias_lr_mult", "backbone_lr_mult", "head_lr_mult"], _within(0, 1e4)),
}  # fmt: skip
"""Concept -> whether a value can be one of it."""


@cache
def _index(system: str) -> dict[str, list[tuple[tuple[str, ...], str, bool]]]:
    """Return, for the last word of a key pattern, (pattern, concept, whether it is the system's own), longest first."""
    found: dict[str, list[tuple[tuple[str, ...], str, bool]]] = {}
    rows = next((one.rows for one in SYSTEMS if one.name == system), {})
    for own, table in ((True, rows), (False, GENERIC)):
        for concept, patterns in table.items():
            for pattern in patterns.split():
                keys = tuple(pattern.split("."))
                found.setdefault(keys[-1], []).append((keys, concept, own))
        if own:
            for concept in [concept for concept, keys in rows.items() if not keys]:
                found.setdefault(f"-{concept}", [])
    for patterns in found.values():
        patterns.sort(key=lambda one: (-len(one[0]), not one[2]))
    return found


def bare_path(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return a path as the tables have it, without places in lists and tables that only hold arguments."""
    keys = [squeezed(key.partition("#")[0]) for key in path if not key.startswith("#")]
    return tuple(key for place, key in enumerate(keys) if key and (place == len(keys) - 1 or key not in PASSED_OVER))


def tell_system(entries: Iterable[Entry], program: str = "") -> System:
    """Return whose conventions some entries follow."""
    suffixes: set[str] = set()
    for entry in entries:
        keys = bare_path(entry.path)
        suffixes |= {".".join(keys[-length:]) for length in range(1, 4)}
        suffixes |= {".".join(keys[:2]), *keys[:-1]}
    words = set(program.replace("/", " ").split())
    for system in SYSTEMS:
        for sign in filter(None, system.signs.split("|")):
            if all((one[1:] in words if one.startswith("$") else one in suffixes) for one in sign.split()):
                return system
    return ANY


def meanings(key: str) -> list[str]:
    """Return what a key may mean wherever it stands, the likeliest first; nothing where it is none of a training's.

    Example:
        >>> meanings("opt.min_lr"), meanings("T_max"), meanings("colour")
        (['final'], ['duration'], [])
    """
    last = key.rpartition(".")[2]
    told = _patterns(_index(""), squeezed(last), last)
    return [concept for pattern, concept, _ in told if concept and len(pattern) == 1]


_IN_WORDS = {
    "lr": "lr", "momentum": "momentum", "weight_decay": "weight_decay", "l2": "weight_decay", "batch": "batch_size",
    "epochs_total": "epochs", "epoch": "epochs", "steps_total": "max_steps",
}  # fmt: skip
"""The keys of a configuration that names of settings in words stand for."""


def key_of(words: str) -> str:
    """Return the key that a name of a setting in words stands for, or the words.

    Example:
        >>> key_of("Momentum coefficient"), key_of("批大小"), key_of("colour")
        ('momentum', 'batch_size', 'colour')
    """
    if len(words) > 40 or meanings(words):
        return words
    items = find_items(normalise(words).plain)
    kinds = [item for item in items if not (item.is_a("mod", "initial", "base", "total") or item.is_a("verb", "train"))]
    if len(kinds) != 1 or not (kinds[0].is_a("concept") or (kinds[0].is_a("unit") and len(items) == 1)):
        return words  # 最小学习率 is no learning rate, "start epoch" no length
    return _IN_WORDS.get(kinds[0].key, words)


_WORDED = re.compile(r"[\u4e00-\u9fff]|\w \w")
_HELD_OUT = re.compile(r"测试|验证|评估|推理|教师|预训练|\b(?:test|val|eval)")
_FORMULA = re.compile(r"[\^×⁻·]|\$[^$]*\$")


def number_in(value: Any) -> Any:
    """Return the number that a value's words are as formulas write it, "2 × 10⁻²", or the value."""
    if not isinstance(value, str) or len(value) > 40 or not _FORMULA.search(value):
        return value
    items = find_items(normalise(value).plain)
    return items[0].value if [item.kind for item in items] == ["number"] else value


def _in_keys(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return a path whose last name is the key that its words stand for: `批大小: 64`, but `λ = 5e-4`."""
    if not path or not _WORDED.search(path[-1]) or any(_HELD_OUT.search(part) for part in path):
        return path
    return (*path[:-1], key_of(path[-1]))


def find_settings(entries: list[Entry], system: System) -> Settings:
    """Return what entries mean, those that mean nothing left out."""
    entries = plain(entries)
    settings = Settings(system, entries)
    index = _index(system.name)
    listed = _lists_ofschedules(entries)
    by_path = {entry.path: entry for entry in entries}
    log = any(is_number(one.value) and squeezed(one.path[-1]) in _MEASURED for one in entries)
    for own in entries:
        entry = _referred(own, by_path)
        if len(entry.path) > 1 and entry.path[-1] in {"value", "default"}:  # `lr: {value: 0.1, description: ...}`
            entry = replace(entry, path=entry.path[:-1])
        entry = replace(entry, path=_in_keys(entry.path), value=number_in(entry.value))
        keys = bare_path(entry.path)
        if not keys:
            continue
        setting = _named_by_key(entry, keys) or _setting(entry, keys, index, listed)
        if setting is not None and not (log and setting.concept == "epochs_flag"):
            settings.by_concept.setdefault(setting.concept, []).append(setting)
    if system.name == "tensorflow":
        _add_tensorflow(settings)
    _add_levels(settings)
    _drop_foreign_momentum(settings)
    _drop_tables_of_others(settings)
    _part_lengths(settings)
    for found in settings.by_concept.values():
        _last_wins(found)
        found.sort(key=lambda one: one.rank)
    return settings


_MEASURED = frozenset(
    ["loss", "trainloss", "valloss", "testloss", "acc", "accuracy", "trainacc", "valacc", "testacc", "top1", "bestacc"]
)
"""Keys of a row of a log, whose epoch is the one that it is of."""

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_DEFAULTED = re.compile(r"\$\{(?:oc\.env:)?\w+ ?(?::[-=]?|,) ?([^${}:,]+)\}")


def _referred(entry: Entry, by_path: dict[tuple[str, ...], Entry]) -> Entry:
    """Return what `${trainer.max_epochs}` refers to, or the default of `${LR:0.1}`, at the entry's path."""
    default = _DEFAULTED.fullmatch(entry.value) if isinstance(entry.value, str) else None
    if default:
        return replace(entry, value=scalar(default[1]), derived=True)
    match = _REFERENCE.fullmatch(entry.value) if isinstance(entry.value, str) else None
    target = by_path.get(tuple(match.group(1).split("."))) if match else None
    return entry if target is None else replace(target, path=entry.path)


_MOST_LEVELS = 60
"""Rates that a table of times is read with; a longer one is data."""


def _add_levels(settings: Settings) -> None:
    """Add `lr_schedule: [[0, 0.1], [30, 0.01]]` and `lr_schedule: {0: 0.1, 30: 0.01}` as lists of rates and times."""
    tables = _rows_of_levels(settings)
    for entry in settings.entries:
        key = squeezed(entry.path[-1])
        value: Any = entry.value
        if (
            key in LEVELS
            and isinstance(value, list)
            and value
            and all(_numbers(row) and len(row) == 2 for row in value)
        ):
            ends = [row[1] for row in value]
            if ends == sorted(ends) and ends[0] >= 1 > value[0][0]:  # each rate with its end
                value = [[time, row[0]] for time, row in zip([0, *ends], value, strict=False)]
            tables.setdefault(entry.path, []).extend((*row, entry) for row in value)
        elif len(entry.path) > 1 and key.isdigit() and squeezed(entry.path[-2]) in LEVELS and is_number(value):
            tables.setdefault(entry.path[:-1], []).append((float(key), entry.value, entry))
    for path, rows in tables.items():
        times, rates, entries = zip(*sorted(rows, key=lambda row: row[0]), strict=True)
        first = next((one for one in settings.by_concept.get("lr", []) if is_number(one.value)), None)
        if times[0] > 1 and first is not None:
            rates = (first.value, *rates)
        if not 2 <= len(rates) <= _MOST_LEVELS or words_of(path[:-1]) & (FOREIGN | STRUCTURE):
            continue
        start, end = min(one.start for one in entries), max(one.end for one in entries)
        for concept, found in (("values", rates), ("times", times[len(times) + 1 - len(rates) :])):
            joined = Setting(concept, list(found), Entry(path, list(found), start, end), rank=0)
            settings.by_concept.setdefault(concept, []).append(joined)
        settings.taken |= {one.place for one in entries}
    by_concept = settings.by_concept
    if (by_concept.get("times") or by_concept.get("milestones")) and not by_concept.get("values"):
        rates = [one for one in by_concept.get("lr", ()) if _numbers(one.value) and len(one.value) > 1]
        named = [one for one in by_concept.get("scales", ()) if squeezed(one.entry.path[-1]) in LEVELS]
        if rates or (named and not by_concept.get("lr")):  # each stage has its own
            by_concept["values"] = by_concept.pop("lr" if rates else "scales")


_STAGES = re.compile(r"phase|stage|sched|lr|segment|step", re.IGNORECASE)


def _rows_of_levels(settings: Settings) -> dict[tuple[str, ...], list[tuple[float, float, Entry]]]:
    """Return the tables whose rows each have a time and a rate: `[{epoch: 0, lr: 0.1}, {epoch: 30, lr: 0.01}]`."""
    rows: dict[tuple[str, ...], dict[str, Entry]] = {}
    told = (one for one in settings.entries if len(one.path) > 1)
    for entry in told:
        key = squeezed(entry.path[-1])
        kind = "rate" if key in ROW_RATES else "time" if key in ROW_TIMES or key in ROW_LENGTHS else ""
        if kind and entry.path[-2].startswith("#") and is_number(entry.value):
            rows.setdefault(entry.path[:-1], {})[kind] = entry
    tables: dict[tuple[str, ...], list[tuple[float, float, Entry]]] = {}
    for path, row in rows.items():
        if len(row) == 2:
            tables.setdefault(path[:-1] or path, []).append((row["time"].value, row["rate"].value, row["rate"]))
    lasting = {
        path[:-1] for path, row in rows.items() if len(row) == 2 and squeezed(row["time"].path[-1]) in ROW_LENGTHS
    }
    for path in filter(None, lasting & tables.keys()):
        lengths, found = [time for time, *_ in tables[path]], tables[path]
        if _STAGES.search(path[-1]) and lengths != sorted({*lengths}):  # where they rise, each may be an end
            ends = accumulate([0.0, *lengths[:-1]])
            tables[path] = [(begun, *one[1:]) for begun, one in zip(ends, found, strict=True)]
    tables = {path: found for path, found in tables.items() if len(found) > 1 and 0 <= found[0][0] <= 1}
    times = {row["time"].place for path, row in rows.items() if path[:-1] in tables}
    settings.taken |= times
    for found in settings.by_concept.values():  # a row's time is no length of the whole training, itself no schedule
        found[:] = [
            replace(one, scheduler=() if one.scheduler[:-1] in tables else one.scheduler)
            for one in found
            if one.entry.place not in times
        ]
    return tables


def _add_tensorflow(settings: Settings) -> None:
    """Add what the names of blocks say, and `schedule { step: 4 learning_rate: 0.1 }` and its like as lists."""
    levels: dict[str, list[Entry]] = {"step": [], "learning_rate": []}
    for entry in settings.entries:
        if entry.value is None and entry.path[-1].endswith("_learning_rate"):
            settings.by_concept.setdefault("policy", []).append(Setting("policy", entry.path[-1], entry))
        if (
            len(entry.path) > 2
            and entry.path[-2].startswith("schedule")
            and entry.path[-1] in levels
            and is_number(entry.value)
        ):
            levels[entry.path[-1]].append(entry)
    first = settings.by_concept.get("lr", [])
    if levels["step"] and len(levels["step"]) == len(levels["learning_rate"]) and first and is_number(first[0].value):
        start, end = first[0].entry.start, max(one.end for found in levels.values() for one in found)
        rates = [first[0].value, *(one.value for one in levels["learning_rate"])]
        for concept, value in (("values", rates), ("times", [one.value for one in levels["step"]])):
            joined = Entry((concept,), value, start, end)
            settings.by_concept.setdefault(concept, []).append(Setting(concept, value, joined))
            settings.taken |= {one.place for found in levels.values() for one in found}


def _drop_foreign_momentum(settings: Settings) -> None:
    """Drop the momentum of tables about something else: where the optimizer's own, or none beside it, gives a rate."""
    rates, found = settings.by_concept.get("lr", []), settings.by_concept.get("momentum", [])
    tables = {one.entry.path[:-1] for one in rates}
    kept = [one for one in found if one.rank < _OF_A_MODEL or one.entry.path[:-1] in tables]
    if any(one.rank == 0 for one in rates):
        kept = [one for one in found if one.rank == 0 or len(bare_path(one.entry.path)) == 1]
    settings.by_concept["momentum"] = kept
    if not kept:
        del settings.by_concept["momentum"]


def _drop_tables_of_others(settings: Settings) -> None:
    """Drop what tables of optimizers say that are not the one that is chosen: `optimizer: adam`, `sgd: {lr: 0.1}`."""
    named = sorted(settings.by_concept.get("optimizer", ()), key=lambda one: one.rank)
    chosen = OPTIMIZERS.get(squeezed(named[0].value.rpartition(".")[2]).removesuffix("optimizer"), "") if named else ""
    if not chosen:
        return
    for concept, found in list(settings.by_concept.items()):
        kept: list[Setting] = []
        for one in found:
            tables = {OPTIMIZERS[key] for key in map(squeezed, one.entry.path[:-1]) if key in OPTIMIZERS}
            if not tables or concept == "optimizer" or any(chosen[:4] == table[:4] for table in tables):
                kept.append(replace(one, rank=0) if tables else one)
        settings.by_concept[concept] = kept
        if not kept:
            del settings.by_concept[concept]


def _part_lengths(settings: Settings) -> None:
    """Let a schedule's own number of epochs be its length, where the training has another."""
    found = settings.by_concept.get("epochs", [])
    own = [one for one in found if any(schedules(squeezed(key)) for key in one.entry.path[:-1])]
    if 0 < len(own) < len(found):
        settings.by_concept["epochs"] = [one for one in found if one not in own]
        known = {one.value for one in settings.by_concept["epochs"]}
        durations = [replace(one, concept="duration", unit="epoch") for one in own if one.value not in known]
        if durations:
            settings.by_concept.setdefault("duration", durations)
        settings.taken |= {one.entry.place for one in own}


def _last_wins(found: list[Setting]) -> None:
    """Keep the last of the settings at one path: what is written twice was overwritten."""
    last = {setting.entry.path: setting for setting in found}
    found[:] = [setting for setting in found if last[setting.entry.path] is setting]


def _lists_ofschedules(entries: list[Entry]) -> set[tuple[str, ...]]:
    """Return the paths of lists with more than one table whose tables are schedules."""
    counts: dict[tuple[str, ...], set[str]] = {}
    for entry in entries:
        for place, key in enumerate(entry.path):
            if key.startswith("#") and place and schedules(squeezed(entry.path[place - 1])):
                counts.setdefault(entry.path[:place], set()).add(key)
    return set(counts)


def _named_by_key(entry: Entry, keys: tuple[str, ...]) -> Setting | None:
    """Return which optimizer or schedule a table's own key names: `optimizers: {decoupled_sgdw: {lr: 0.1}}`."""
    if entry.value is not None or len(keys) < 2 or words_of(entry.path[:-1]) & FOREIGN:
        return None
    optimizer = _optimizes(keys[-2]) and keys[-1].removeprefix("decoupled") in OPTIMIZERS
    policy = schedules(keys[-2]) and keys[-2].endswith("s") and any(mark in keys[-1] for mark, _ in POLICIES)
    concept = "optimizer" if optimizer else "policy" if policy else ""
    return Setting(concept, entry.path[-1], entry, "", 0) if concept else None


def _setting(
    entry: Entry,
    keys: tuple[str, ...],
    index: dict[str, list[tuple[tuple[str, ...], str, bool]]],
    listed: set[tuple[str, ...]],
) -> Setting | None:
    value, said = amount(_coerced(entry.value))
    written = entry.path[-1]
    if keys[-1] == "stepsize" and _numbers(value) and len(value) == 1:
        value = value[0]
    scheduler = next(
        (
            entry.path[: place + 1]
            for place, key in enumerate(entry.path)
            if key.startswith("#") and entry.path[:place] in listed
        ),
        (),
    )
    if written in SHORT_FLAGS:
        concept = SHORT_FLAGS[written]
        return Setting(concept, value, entry) if _FITS[concept](value) else None
    if written.startswith("-") and not written.startswith("--") and len(written) == 2:
        return None
    rank = _rank(entry.path[:-1], keys)
    for pattern, named, own in _patterns(index, keys[-1], written):
        if named == "" and own and keys[-len(pattern) :] == pattern:
            return None
        fits = pattern == (_own(written),) or keys[-len(pattern) :] == pattern
        concept = _OF_UNIT.get((named, said), named)
        if concept == "ema" and len(pattern) == 1 and pattern != keys[-1:]:
            continue  # the average of what was measured in training
        if not fits or f"-{concept}" in index or not _FITS.get(concept, _name)(value):
            continue
        if concept.endswith("_flag") and not (value >= 2 and (written.startswith("--") or concept == "epochs_flag")):
            continue
        outer = [one for parent in keys[-2:-1] for one in _patterns(index, parent, parent)]
        about_rate = any(schedules(key) or _optimizes(key) or "lr" in key for key in keys[:-1])
        if concept == "values" and pattern == ("values",) and not about_rate and keys[:-1]:
            continue  # of anything
        if concept == "values" and any(of == keys[-2:-1] and what not in _RATES for of, what, _ in outer):
            continue  # those that another setting is searched among
        if concept == "gamma" and value > 1 and pattern == ("gamma",) and not about_rate:
            continue  # a focal loss's
        if concept == "times" and len(pattern) == 1 and _doubles(value):
            continue  # strides of a network
        if concept == "bare_decay" and any(map(schedules, keys[:-1])):
            continue
        if concept == "steps" and any(map(schedules, keys[:-1])):
            continue  # a schedule's own length
        near = 0 if own and len(pattern) > 1 else rank(concept)
        if near is not None:
            return Setting(concept, value, entry, said or unit_of_key(entry.path[-1]), near, scheduler)
    if entry.value is True and "cosine" in concepts_of(written) and rank("policy") is not None:
        return Setting("policy", "cosine", entry)
    if keys[-1] in NAMING and len(keys) > 1 and _name(value):
        above = "".join(keys[-3:-2])
        listed_by_name = schedules(above) and above.endswith("s")
        parent = above if listed_by_name and not _optimizes(keys[-2]) else keys[-2]
        concept = "optimizer" if _optimizes(parent) else "policy" if schedules(parent) else ""
        if parent == "solver" and squeezed(value) not in OPTIMIZERS:
            concept = ""
        near = rank(concept)
        if concept and near is not None and _FITS[concept](value):
            return Setting(concept, value, entry, "", near, scheduler)
    return None


def _patterns(
    index: dict[str, list[tuple[tuple[str, ...], str, bool]]], key: str, written: str
) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """Yield what the tables say that a key means, and then what its words do."""
    own = _own(written)
    told = index.get(key) or index.get(own, ())
    yield from told
    if not any(concept == "" and len(pattern) == 1 for pattern, concept, _ in told):
        for concept in concepts_of(written) or concepts_of(own):
            yield (key,), concept, False


_RATES = frozenset({"lr", "policy", "times", "gamma"})
_OF_UNIT = {
    ("length", "epoch"): "epochs", ("length", "step"): "steps", ("warmup", "epoch"): "warmup_epochs",
    ("warmup", "step"): "warmup_steps", ("warmup", "part"): "warmup_ratio", ("steps", "epoch"): "epochs",
    ("epochs", "step"): "steps", ("warmup_steps", "epoch"): "warmup_epochs", ("warmup_epochs", "step"): "warmup_steps",
}  # fmt: skip
"""What a time means that is written with its unit."""


def _own(key: str) -> str:
    """Return a key without a first word that says that it is the trained model's own: "student_lr" is "lr"."""
    first, _, rest = key.lstrip("-").replace("-", "_").partition("_")
    return squeezed(rest) if first.lower() in BEFORE else ""


def _coerced(value: Any) -> Any:
    """Return quoted numbers as numbers, and quoted lists as lists."""
    if isinstance(value, str):
        found = listed(value) if value[:1].strip() in _LISTS else as_number(value.strip())
        return value if found is None else found
    if isinstance(value, list):
        return [_coerced(one) for one in value]
    return value


_LISTS = frozenset("([{0123456789.")
"""What a list of numbers that is quoted, or unquoted in a language without such lists, begins with."""


def _rank(ancestors: tuple[str, ...], keys: tuple[str, ...]) -> Callable[[str], int | None]:
    """Return how near a concept under these tables is to the training; None where it is about something else."""
    words = words_of(ancestors)
    inner = keys[:-1]
    last_structure = max((place for place, key in enumerate(inner) if _structural(key, ancestors)), default=-1)
    optimizing = any(_optimizes(key) or schedules(key) for key in inner[last_structure + 1 :])

    def rank(concept: str) -> int | None:
        foreign = words & FOREIGN - _AT_HOME.get(concept, frozenset())
        if (foreign and concept != "norm_decay") or any(map(_about_momentum, ancestors)):
            return None
        if last_structure >= 0 and not optimizing:
            if len(ancestors) == 1 and concept in _OF_MODEL and words <= _MODELS:
                return _OF_A_MODEL
            return 2 if concept in {"batch", "device_batch"} and words & _OF_DATA else None
        return 0 if optimizing else 1

    return rank


_OF_DATA = frozenset(["data", "dataset", "datasets", "dataloader", "dataloaders", "loader", "reader", "datamodule"])
_MODELS = frozenset({"model", "network", "net", "arch", "architecture", "config", "params"})
_OF_MODEL = frozenset(
    {"lr", "weight_decay", "momentum", "batch", "epochs", "optimizer", "policy", "warmup_epochs", "warmup_steps"}
)
_OF_A_MODEL = 3
"""What a table about the whole model may say of its training."""

_AT_HOME = {
    **dict.fromkeys(["batch", "device_batch"], frozenset({"sampler"})),
    "ema": frozenset({"ema"}),
    "smoothing": frozenset({"loss", "losses", "criterion"}),
    **dict.fromkeys(
        ["mixup", "cutmix", "erase"], frozenset({"aug", "augment", "augmentation", "augmentations", "mixup", "cutmix"})
    ),
}
"""Concepts that stand in tables which are foreign to others."""


def _about_momentum(key: str) -> bool:
    return "momentum" in key.lower() and bool(words_of([key]) & {"config", "scheduler", "schedule", "updater"})


def _optimizes(key: str) -> bool:
    return key in OPTIMIZING or (key.startswith("optim") and not key.endswith("wrapper"))


def schedules(key: str) -> bool:
    """Return whether a table of this name is about a schedule of the learning rate."""
    return key in SCHEDULING or key.startswith(("scheduler", "lrscheduler", "lrsched"))


def _structural(key: str, ancestors: tuple[str, ...]) -> bool:
    return any(squeezed(one.partition("#")[0]) == key and words_of([one]) & STRUCTURE for one in ancestors)


def unit_of_key(key: str) -> str:
    """Return what a key says that it counts: "epoch", "step" or ""."""
    words = words_of([key.replace("_", " ").replace("-", " ")])
    if words & {"epoch", "epochs"} or squeezed(key).endswith(("epoch", "epochs")):
        return "epoch"
    counted = words & {"iter", "iters", "iteration", "iterations"}
    return "step" if counted or (words & {"update", "updates"} and words & {"max", "num", "total", "warmup"}) else ""
