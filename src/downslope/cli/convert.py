"""``downslope convert``: the optimizer state of one framework, as another's."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from downslope.cli.arguments import CommandParser, UsageError, count, count_or_none, file_path, written_file
from downslope.cli.streams import print_notes
from downslope.cli.tables import count_of
from downslope.core.settings import Settings
from downslope.core.shown import shown
from downslope.language import tell

if TYPE_CHECKING:
    from downslope.converting.keras_files import KerasFile
    from downslope.converting.snapshot import Snapshot
    from downslope.converting.state import ConvertedState

_AVERAGING = ("downslope", "downslope.keras", "keras")
"""Systems whose optimizers keep averages of the weights."""
_NAMED = 5
"""So many parameters are named in a note."""
_KERAS_ENDINGS = (".keras", ".weights.h5")


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    arguments = _read(words)
    from downslope.cli.convert_sources import chosen_settings, read_source
    from downslope.converting.parameter_map import apply_table, read_table
    from downslope.converting.state import convert_state
    from downslope.systems.table import find_convention

    source, target = find_convention(arguments.source).name, find_convention(arguments.target).name
    table = read_table(arguments.map or ())
    like = _read_like(arguments.like, target)
    snapshot = read_source(arguments.input, source, arguments.optimizer, arguments.order)
    step = snapshot.step if arguments.step is None else arguments.step
    settings = chosen_settings(snapshot, arguments)
    before = replace(snapshot, settings=settings, step=step)
    sides = {"from_keras": _is_keras(source), "to_keras": _is_keras(target)}
    moved = apply_table(before, table, **sides, target=target)
    converted = convert_state(
        moved.velocity,
        source,
        target,
        settings=moved.settings,
        target_settings=None if like is None else like.snapshot.settings,
        step=step,
        until=arguments.until,
    )
    result = replace(moved, convention=target, velocity=converted.velocity, settings=None)
    notes = list(moved.notes)
    if moved.average and like is None and target not in _AVERAGING:
        result = replace(result, average={})
        notes.append(f"left out: averages of the weights (ema), which {target} does not keep in its optimizer")
    notes += _not_finite(result)
    notes += _write(arguments.output, result, like)
    _tell(arguments, before, moved, converted)
    print_notes(notes)
    return 0


def _not_finite(result: Snapshot) -> list[str]:
    """Return a note on the velocities that hold inf or NaN, since the first step by them spoils its parameter."""
    import numpy as np

    bad = [shown(name) for name, array in result.velocity.items() if array is not None and not np.isfinite(array).all()]
    if not bad:
        return []
    named = ", ".join(bad[:_NAMED]) + (", ..." if len(bad) > _NAMED else "")
    return [f"velocities hold inf or NaN, {len(bad):,} in all, and the next step spoils their parameters: {named}"]


def _read(words: Sequence[str]) -> argparse.Namespace:
    parser = CommandParser(
        "convert",
        needed=("--from", "--to"),
        summary=(
            "Carry velocities, and parameters where the file has them, from one framework to another, and say how\n"
            "long the two then stay together. IN is a file of PyTorch (.pt, .pth, .ckpt, .bin, ...), safetensors,\n"
            "flax's msgpack or Keras, whose content counts and not its name; a run folder or a folder of orbax.\n"
            "OUT is a .safetensors, .keras or .weights.h5 file."
        ),
        example="downslope convert run.pt run.safetensors --from torch --to optax --map names.toml",
        overrides=True,
        repeatable=("--map",),
    )
    parser.add_argument("input", metavar="IN", type=file_path, help="what to convert")
    parser.add_argument("output", metavar="OUT", type=written_file, help="the file to write")
    parser.add_argument("--from", dest="source", metavar="SYSTEM", help="whose state it is: torch, optax, keras, ...")
    parser.add_argument("--to", dest="target", metavar="SYSTEM", help="whose it shall be")
    parser.add_argument(
        "--map",
        metavar="ENTRY",
        action="append",
        help="a TOML file of names, or NAME=THERE, or NAME=THERE:LAYOUT with the layout dense, conv1d, conv2d, "
        "conv3d, lstm or lstm_bias; NAME= leaves it out; may be given several times (default: names stay as they are)",
    )
    parser.add_argument(
        "--like", metavar="FILE", type=file_path, help="a file that Keras wrote for this model, whose form OUT gets"
    )
    parser.add_argument(
        "--optimizer",
        metavar="WHICH",
        help="where IN holds several: its number, from 0, or where it is, such as optimizer_states.1",
    )
    parser.add_argument(
        "--order",
        choices=("model", "place"),
        metavar="model|place",
        help="of an optimizer of PyTorch that was made without names: model, if it was made of all parameters of the "
        "model beside it in their order; place, to call them 0, 1, ... (default: refused where there is a model)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=file_path,
        help="the source's settings: a recipe (.toml), a Caffe solver (.prototxt) or a Keras configuration (.json) "
        "(default: what IN says)",
    )
    parser.add_argument("--step", metavar="N", type=count_or_none, help="steps taken (default: what IN says)")
    parser.add_argument(
        "--until", metavar="N", type=count_or_none, help="the last step to look at (default: 100000 ahead)"
    )
    parser.add_argument(
        "--steps-per-epoch", metavar="N", type=count, help="needed where a recipe's schedule is in epochs"
    )
    parser.add_argument("--force", action="store_true", help="write over OUT if it is there")
    parser.epilog = (
        "settings of the source:\n"
        "  --sgd.KEY VALUE  as in a recipe: --sgd.lr 0.1, --sgd.momentum 0.9; wins over IN and --config.\n\n"
        "example:\n  downslope convert run.pt run.safetensors --from torch --to optax --map names.toml"
    )
    arguments = parser.read(words)
    _check(parser, arguments)
    return arguments


def _check(parser: CommandParser, arguments: argparse.Namespace) -> None:
    """Raise for what can be told before anything is read."""
    if arguments.source is None and arguments.input.is_dir():
        from downslope.cli.convert_sources import looks_like_orbax

        arguments.source = None if looks_like_orbax(arguments.input) else "downslope"
    for option, value in (("--from", arguments.source), ("--to", arguments.target)):
        if value is None:
            parser.error(f"{option} is missing; give a system, such as {option} torch")
    stray = next((path for path, _ in arguments.overrides if not path.startswith("sgd.")), None)
    if stray is not None:
        parser.error(f"--{stray} says nothing about the optimizer; only --sgd.KEY is taken here")
    name = arguments.output.name
    if name.endswith((".pt", ".pth")):
        raise UsageError(
            f"convert: {shown(name)} would be a pickle, and Downslope writes none. Write a .safetensors file; "
            "docs/convert.md shows the three lines that load it into torch.optim.SGD."
        )
    if not name.endswith((".safetensors", *_KERAS_ENDINGS)):
        raise UsageError(f"convert: OUT must end in .safetensors, .keras or .weights.h5; got {shown(name)}.")
    if name.endswith(_KERAS_ENDINGS) != (arguments.like is not None):
        raise UsageError(
            f"convert: {shown(name)} needs --like FILE: a file that Keras wrote for this model, whose form it gets, of "
            "the same ending. "
            f"{_how_to_be_like(next(ending for ending in _KERAS_ENDINGS if name.endswith(ending)))}"
            if arguments.like is None
            else "convert: --like is for a .keras or .weights.h5 file."
        )
    if arguments.like is not None and not arguments.like.exists():
        raise UsageError(f"convert: --like {shown(arguments.like)}: there is no such file.")
    if arguments.output.exists() and not arguments.force:
        raise UsageError(f"convert: {shown(arguments.output)} is there already. Give another name, or --force.")


_SAVED = {".keras": "model.save", ".weights.h5": "model.save_weights"}
"""How Keras writes a file of each ending."""


def _how_to_be_like(ending: str) -> str:
    """Return how a file is made whose form OUT may get: it must have OUT's own ending."""
    return (
        "To make one, in Keras: model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss=...); "
        f'model.optimizer.build(model.trainable_variables); {_SAVED[ending]}("like{ending}"). Or write a '
        ".safetensors file; docs/convert.md shows the lines that load it into a Keras model."
    )


def _read_like(path: Path | None, target: str) -> KerasFile | None:
    if path is None:
        return None
    if not _is_keras(target):
        raise UsageError(f"convert: a Keras file holds Keras's state; use --to keras, not --to {target}.")
    from downslope.converting.keras_files import read_keras

    return read_keras(path, target)


def _write(path: Path, snapshot: Snapshot, like: KerasFile | None) -> list[str]:
    if like is None:
        from downslope.converting.tensor_files import write_tensors

        write_tensors(path, snapshot)
        return []
    from downslope.converting.keras_files import write_keras

    return write_keras(path, snapshot, like)


def _tell(arguments: argparse.Namespace, before: Snapshot, after: Snapshot, converted: ConvertedState) -> None:
    velocities = sum(velocity is not None for velocity in before.velocity.values())
    held = [f"{velocities} velocit{'y' if velocities == 1 else 'ies'}"]
    if before.average:
        held.append(count_of(len(before.average), "average") + " of the weights")
    if before.params:
        held.append(count_of(len(before.params), "array") + " of the model")
    held.append("the step is not known" if before.step is None else f"after {count_of(before.step, 'step')}")
    tell(f"from {before.what}: {', '.join(held)}")
    for old, new in _names(before, after, arguments.map):
        shape = " -> ".join(dict.fromkeys(str(_shape(snapshot, n)) for snapshot, n in ((before, old), (after, new))))
        late = "" if before.velocity.get(old) is not None else ", no velocity"
        tell(f"  {shown(old)}{'' if old == new else f' -> {shown(new)}'}  {shape}{late}")
    tell(f"settings {_said(before.settings)}")
    for remark in converted.remarks:
        tell(remark)
    tell(converted.statement)
    tell(f"wrote {shown(arguments.output)}")


def _names(before: Snapshot, after: Snapshot, entries: list[str] | None) -> list[tuple[str, str]]:
    """Return the names before and after of all that was kept."""
    if not entries:
        return [(name, name) for name in {**before.velocity, **before.params}]
    from downslope.converting.parameter_map import read_table

    kept = {**after.velocity, **after.params}
    return [(name, place) for name, entry in read_table(entries).items() for place in entry.targets if place in kept]


def _shape(snapshot: Snapshot, name: str) -> tuple[int, ...] | str:
    found = next((held[name] for held in (snapshot.velocity, snapshot.params) if held.get(name) is not None), None)
    return "no gradient yet" if found is None else found.shape


def _said(settings: Any) -> str:
    chosen: list[Settings] = [settings] if isinstance(settings, Settings) else list(dict.fromkeys(settings.values()))
    return " | ".join(_short(one) for one in chosen)


def _short(settings: Settings) -> str:
    plain = Settings()
    parts = [f"lr={settings.lr!r}"]
    for field in fields(Settings):
        value = getattr(settings, field.name)
        if field.name not in {"lr", "decay"} and value != getattr(plain, field.name):
            parts.append(f"{field.name}={value!r}")
    if settings.weight_decay != 0:
        parts.append(f"decay={settings.decay!r}")
    return ", ".join(parts)


def _is_keras(convention: str) -> bool:
    return convention in {"keras", "downslope.keras", "tfa", "tf1"}
