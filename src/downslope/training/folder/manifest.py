"""What a checkpoint's manifest is: its fields, their types, and the names of the files that it may vouch for.

A manifest that was damaged shows it by its checksum. One whose checksum fits may still be wrong, since anybody can work
a checksum out: so it is decoded strictly as well, and nothing in it is used before. A name of a file is one of the few
that checkpoints have, never a path.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct

from downslope.core.errors import CheckpointError
from downslope.core.shown import shown

MANIFEST = "manifest.json"
FORMAT = 1
PARTS = ("model", "optimizer", "ema")
LARGEST = 256 << 20
"""Bytes that a manifest may have; it names every parameter, and no more."""

_FILE = re.compile(r"(model|optimizer|ema)(?:\.(0|[1-9][0-9]{0,5})-of-([1-9][0-9]{0,5}))?\.safetensors", re.ASCII)
_DEEPEST = 64

Count = Annotated[int, Meta(ge=0, le=2**53)]
Checksum = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]


class Content(Struct, forbid_unknown_fields=True):
    """Size and checksum of a file, or of the first bytes of the log."""

    bytes: Count
    checksum: Checksum


class Scheduled(Struct):
    """A schedule, of which only the name is needed here."""

    schedule: str


class Settings(Struct):
    """The optimizer's settings in a recipe."""

    lr: float | Scheduled


class GroupSettings(Struct):
    """Those of a group."""

    lr: float | Scheduled | None = None


class DataTable(Struct):
    """Its data; what the options are is the data set's affair."""

    name: str
    options: dict[str, Any]
    augment: dict[str, Any] | None = None


class RecipeTable(Struct):
    """A recipe, as far as it is compared with another; its options may be anything."""

    data: DataTable
    sgd: Settings
    groups: list[GroupSettings]
    train: dict[str, Any]


class ParameterGroup(Struct):
    """A group of the optimizer's state; the optimizer looks at the values, once their types are right."""

    step: Count
    skipped: Count
    lr: float
    momentum: float
    weight_decay: float
    params: list[Count]
    param_names: list[str]
    lr_initial: float | None = None
    lr_max: float | None = None
    dampening: float = 0.0
    nesterov: bool = False
    nu: float | None = None
    trust_coefficient: float | None = None
    trust_clip: bool | None = None
    adaptive_clip: float | None = None
    adaptive_clip_by: str | None = None
    decay: str = ""
    lr_in_velocity: bool = False
    undampened_first_step: bool = True
    maximize: bool = False
    lr_schedule: dict[str, Any] | None = None
    momentum_schedule: dict[str, Any] | None = None
    weight_decay_schedule: dict[str, Any] | None = None


class Waiting(Struct):
    """State of a `Patience`."""

    metric: str
    min_delta: float
    best: float | None
    best_step: Count | None
    waited: Count


class Mishaps(Struct, forbid_unknown_fields=True):
    """State of a `BadStepRecord`; a checkpoint of an earlier version has none."""

    spikes: Count = 0
    nonfinite: Count = 0
    rewinds: list[tuple[Count, Count]] = []
    targets: list[Count] = []
    used: bool = False


class State(Struct):
    """What training has come to, without its tensors."""

    optimizer: Annotated[list[ParameterGroup], Meta(min_length=1)]
    ema_updates: Count | None
    best: Waiting
    early_stop: Waiting | None
    plateau: Waiting | None
    held_out: dict[str, float]
    stopped: str | None
    spikes: list[float] | None = None
    mishaps: Mishaps = msgspec.field(default_factory=Mishaps)


class Start(Struct, forbid_unknown_fields=True):
    """What a run took of other weights before its first step.

    Attributes:
        origin: Where they were read.
        step: Updates that they had had, if that is known.
        checksum: Of the file, as `b2sum -l 128` prints it.
        names: How its names are read: "" as they are, or in words.
        taken: How many of the model's tensors were taken.
        parameters: How many of its numbers that are learned.
        of: How many tensors and numbers it has.
        other: Tensors that have another form there: name -> [there, here].
        new: Tensors that are not there.
        without: Tensors that were not to be taken.
        left: Names there that the model has not.
        notes: What a person should know besides.
    """

    origin: str
    step: Count | None
    checksum: Checksum
    names: str
    taken: Count
    parameters: Count
    of: tuple[Count, Count]
    other: dict[str, tuple[str, str]]
    new: list[str]
    without: list[str]
    left: list[str]
    notes: list[str]


class Manifest(Struct):
    """A whole manifest, without its own checksum."""

    format: int
    step: Count
    finished: bool
    log: Content
    data: str
    recipe: RecipeTable
    environment: dict[str, str | int | None]
    state: State
    files: dict[str, Content]
    shapes: dict[str, dict[str, list[Count]]] | None = None
    start: Start | None = None


def is_file_of_a_checkpoint(name: str) -> bool:
    """Return whether a name is one that a checkpoint's files have: the manifest, or tensors.

    Example:
        >>> is_file_of_a_checkpoint("model.0-of-2.safetensors"), is_file_of_a_checkpoint("../model.safetensors")
        (True, False)
    """
    return name == MANIFEST or _FILE.fullmatch(name) is not None


def part_of(name: str) -> str | None:
    """Return which part of a checkpoint a file of that name holds; None for any other name.

    Example:
        >>> part_of("optimizer.0-of-2.safetensors"), part_of("resnet18.safetensors")
        ('optimizer', None)
    """
    found = _FILE.fullmatch(name)
    return None if found is None else found[1]


def part_files(manifest: Mapping[str, Any], part: str) -> list[str]:
    """Return the names of the files that hold a part, in the order of the workers that wrote them.

    Example:
        >>> part_files({"files": {"model.1-of-2.safetensors": {}, "model.0-of-2.safetensors": {}}}, "model")
        ['model.0-of-2.safetensors', 'model.1-of-2.safetensors']
    """
    names = [name for name in manifest["files"] if name.split(".")[0] == part]
    return sorted(names, key=lambda name: int(name.split(".")[1].partition("-of-")[0]) if "-of-" in name else 0)


def decode_manifest(data: bytes) -> dict[str, Any]:
    """Return what the bytes of a manifest say, once all of it is known to be a manifest's.

    Raises:
        CheckpointError: If they are damaged, or no manifest; the message is the reason alone.
    """
    try:
        return _decode(data)
    except RecursionError:
        raise CheckpointError(f"{MANIFEST} is damaged: it is nested too deep") from None


def _decode(data: bytes) -> dict[str, Any]:
    try:
        # A loss may be NaN or infinite, and Python's json writes and reads that; strict JSON has no such numbers.
        parsed = json.loads(data)
    except ValueError:
        raise CheckpointError(f"{MANIFEST} is damaged: it is not JSON") from None
    if not isinstance(parsed, dict) or "format" not in parsed:
        raise CheckpointError(f"{MANIFEST} is damaged: it is no manifest")
    table = cast("dict[str, Any]", parsed)
    if type(table["format"]) is not int or table["format"] != FORMAT:
        raise CheckpointError(
            f"{MANIFEST} has format {shown(repr(table['format']))}; this version of Downslope reads {FORMAT}"
        )
    if _depth_exceeds(table, _DEEPEST):
        raise RecursionError
    table.pop("checksum", None)
    if render_manifest(table) != data:
        raise CheckpointError(f"{MANIFEST} is damaged: its checksum does not fit")
    try:
        manifest = msgspec.convert(table, Manifest)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"{MANIFEST} is no manifest: {shown(error)}") from None
    if problem := _contradiction(manifest):
        raise CheckpointError(f"{MANIFEST} is no manifest: {problem}")
    return table


def render_manifest(table: Mapping[str, Any]) -> bytes:
    """Return a manifest's bytes, its own checksum added. A table has one rendering only, so any flipped bit shows."""
    text = _in_lines(json.dumps(table))
    ending = _in_lines(json.dumps({"checksum": checksum_of(text)}))
    return text.removesuffix(b"\n}") + b"," + ending.removeprefix(b"{") + b"\n"


def _in_lines(text: str) -> bytes:
    """Return JSON as Python's own encoder writes it with an indent of 1, which takes it three times as long."""
    try:
        return msgspec.json.format(text.encode(), indent=1)
    except msgspec.DecodeError:  # a loss that is no finite number, or half of a character: strict JSON has neither
        return json.dumps(json.loads(text), indent=1).encode()


def describe_bytes(data: bytes) -> dict[str, Any]:
    """Return the size and checksum of a file's content."""
    return {"bytes": len(data), "checksum": checksum_of(data)}


def checksum_of(data: bytes) -> str:
    """Return the checksum of bytes, as manifests hold it."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _contradiction(manifest: Manifest) -> str | None:
    """Return what in a manifest does not fit together, or None."""
    written: defaultdict[str, list[str]] = defaultdict(list)
    for name in manifest.files:
        found = _FILE.fullmatch(name)
        if found is None:
            return f"it names the file {shown(repr(name))}, and a checkpoint has no such file"
        written[found[1]].append(name)
    state, shapes = manifest.state, manifest.shapes
    contradictions = {
        "it names no file of the model": "model" not in written,
        "it names no file of the optimizer": "optimizer" not in written,
        "its files are not one of each part, or one of each worker": not all(
            set(names) == _expected(part, None if shapes is None else len(names)) for part, names in written.items()
        ),
        "its shapes are not those of its files": shapes is not None and shapes.keys() != written.keys(),
        "it does not say of how many weights its average is": "ema" in written and state.ema_updates is None,
        "it has more parameter groups than its recipe": len(state.optimizer) > len(manifest.recipe.groups) + 1,
        "its parameters are not as many as their names": any(
            len(group.params) != len(group.param_names) for group in state.optimizer
        ),
        "it does not say how many threads there were": not isinstance(manifest.environment.get("threads"), int),
    }
    return next((words for words, holds in contradictions.items() if holds), None)


def _expected(part: str, workers: int | None) -> set[str]:
    """Return the names of the files of a part, written by so many workers; None for one that is not sharded."""
    if workers is None:
        return {f"{part}.safetensors"}
    return {f"{part}.{rank}-of-{workers}.safetensors" for rank in range(workers)}


def _depth_exceeds(table: Mapping[str, Any], most: int) -> bool:
    """Return whether tables and lists lie more than so deep in one another, found without recursion."""
    level: list[Any] = [table]
    for _ in range(most):
        inner: list[Any] = []
        for value in level:
            inner += value.values() if isinstance(value, dict) else value
        level = [value for value in inner if isinstance(value, dict | list)]
        if not level:
            return False
    return True
