"""Where a run trains and from which checkpoint, decided before anything is written.

Everything that a person should know about it becomes a sentence.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from downslope.core.errors import CheckpointError, RecipeError
from downslope.core.paths import expand_home, expansion_of
from downslope.core.shown import shown
from downslope.core.tables import to_table
from downslope.recipe.schema import Augment, Data, Recipe, Train, settle
from downslope.training.data.part_names import HUGGING_FACE
from downslope.training.folder.checkpoint import (
    FOLDER,
    Checkpoint,
    is_checkpoint_folder,
    list_checkpoints,
    newest_verifying,
    plain_recipe,
    read_checkpoint,
    verify_log,
    without_log,
)
from downslope.training.folder.names import ANEW, RECIPE, describe_no_checkpoint, run_around
from downslope.training.folder.run_folder import RunFolder, check_free, check_own, holds_run
from downslope.training.run.environment import describe_environment, differences

RUNS = Path("runs")

_FIXED = (
    "seed",
    "data",
    "model",
    "sgd.schedule_free",
    "train.loss",
    "train.start_from",
    "train.start_without",
    "train.class_weights",
    "train.accumulate",
    "train.shards",
)
"""Paths of a recipe that decide a run's numbers from its first step on."""

_FIXED_OF_SCHEDULE_FREE = frozenset({"sgd.momentum", "groups"})
"""With `sgd.schedule_free` also where the weights lie between the two points, and whose averages there are."""

_WHERE = frozenset({"data.path", "data.options.path", "data.options.held_out_path", "data.options.test_path"})
"""Where the data lie. They may be moved: whether they are still the same, their checksum says when they are read."""


_HOW = frozenset({"data.loaders", "data.loader_timeout", "data.options.scan"})
"""How the data are read, which changes none of their numbers."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What training is about to do.

    Attributes:
        folder: The run folder.
        checkpoint: Where it starts from, verified; None for the beginning. It lies in another run folder if this run
            is a fork of that one.
        notes: Sentences for the person.
        finished: Whether the run is finished already, so that there is nothing to do.
    """

    folder: Path
    checkpoint: Checkpoint | None = None
    notes: tuple[str, ...] = ()
    finished: bool = False


def plan_run(recipe: Recipe, *, name: str, out: str | Path | None = None, resume: str | Path = "auto") -> Plan:
    """Return where to train and from which checkpoint.

    Args:
        recipe: The recipe.
        name: What to call the run where no folder is given: it becomes runs/NAME, runs/NAME-2, ...
        out: The run folder, or None to choose one.
        resume: "auto" to go on with an unfinished run if there is one, "never" to start anew, or the path of a run
            folder or checkpoint to go on from; with another `out`, that run is forked.

    Raises:
        CheckpointError: If there is a run that cannot be resumed, or would be overwritten. It is never replaced by a
            new one silently.
    """
    out = None if out is None else expand_home(out, CheckpointError)
    if str(resume) == "never":
        if out is None:
            return Plan(folder=_next_free(name))
        _check_no_run(out)
        return Plan(folder=out)
    if str(resume) != "auto":
        return _plan_from(recipe, resume, out)
    if out is not None:
        if not holds_run(out):
            check_free(out)
            return Plan(folder=out)
        return _plan_in_place(recipe, out)
    return _find_unfinished(recipe, name) or Plan(folder=_next_free(name))


def _plan_in_place(recipe: Recipe, folder: Path) -> Plan:
    check_own(folder)
    found, passed_over = newest_verifying(folder)
    if found is None:
        if RunFolder(folder).checkpoints():
            raise CheckpointError(
                "\n  ".join([f"{folder}: none of its checkpoints can be used.", *passed_over])
                + f"\nNothing there is overwritten. {_way_out(folder)}"
            )
        return Plan(folder=folder, notes=tuple(passed_over))
    recipe = settle(recipe, found.manifest["recipe"])
    if _settled(found.manifest["recipe"], recipe) == plain_recipe(recipe) and RunFolder(folder).is_complete(found):
        note = f"{folder} is finished under this recipe: nothing to do. To train it again, {ANEW}."
        return Plan(folder=folder, checkpoint=found, notes=(*passed_over, note), finished=True)
    return Plan(folder=folder, checkpoint=found, notes=(*passed_over, *_compare(recipe, found)))


def _plan_from(recipe: Recipe, given: str | Path, out: Path | None) -> Plan:
    path = expand_home(given, CheckpointError)
    if not is_checkpoint_folder(path) and not holds_run(path):
        what = describe_no_checkpoint(path) if path.exists() else "no such folder."
        raise CheckpointError(f"--resume {given}{expansion_of(given)}: {what} {_allowed(path)}")
    if is_checkpoint_folder(path):
        path = _within_run(path)
        run = path.parent.parent
        elsewhere = out is not None and out.resolve() != run.resolve()
        chosen, notes = _read_chosen(path, elsewhere=elsewhere)
    else:
        run = RunFolder(given).path
        chosen, notes = newest_verifying(run)
        if chosen is None:
            raise CheckpointError("\n  ".join([f"{run}: has no checkpoint that can be used.", *notes]))
    if out is not None and out.resolve() != run.resolve():
        _check_no_run(out)
        note = f"starting from {chosen.folder}; what it holds is copied to {out}"
        return Plan(folder=out, checkpoint=chosen, notes=(*notes, note, *_compare(recipe, chosen)))
    newest, _ = newest_verifying(run)
    if newest is not None and newest.step > chosen.step:
        raise CheckpointError(
            f"{chosen.folder}: is not the newest checkpoint; {newest.folder.name} is. To train another way from "
            "there, give a new folder with --out; nothing is overwritten."
        )
    return _plan_in_place(recipe, run)


def _allowed(path: Path) -> str:
    """Return what --resume takes, with the run and the checkpoints that may have been meant."""
    run = run_around(path)
    if run is None:
        return "Give auto, never, a run folder such as runs/digits, or the folder of one checkpoint in it."
    among = ", ".join(str(folder) for folder in list_checkpoints(run)) or "none"
    return (
        f"Give the run, to go on from its newest checkpoint that can be used: --resume {shlex.quote(str(run))}. "
        f"Or give one checkpoint, of which it has {among}."
    )


def _within_run(checkpoint: Path) -> Path:
    """Return a checkpoint's folder by a path that leads through its run's folder.

    It may have been given from within it, by a link from elsewhere, or be a link itself, of which the run is the one
    that the link lies in.
    """
    ways = (checkpoint, Path(os.path.abspath(checkpoint)), checkpoint.resolve())  # noqa: PTH100  follows no link
    named = [way for way in ways if way.parent.name == FOLDER]
    return next((way for way in named if holds_run(way.parent.parent)), named[0] if named else ways[-1])


def _read_chosen(path: Path, *, elsewhere: bool) -> tuple[Checkpoint, list[str]]:
    """Return the checkpoint that a person named, and notes; in another folder it may go on without its log."""
    try:
        chosen = read_checkpoint(path)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: cannot be used: {error}.") from None
    try:
        verify_log(chosen)
    except CheckpointError as error:
        if not elsewhere:
            raise CheckpointError(
                f"{path}: cannot be used here: {error}. With another --out, training goes on from it with a log of its "
                "own."
            ) from None
        return without_log(chosen), [f"{path}: its log is lost: {error}. The new one begins at step {chosen.step:,}."]
    return chosen, []


def _way_out(run: Path) -> str:
    """Return what to do where no checkpoint of a run can be used."""
    for folder in reversed(list_checkpoints(run)):
        try:
            read_checkpoint(folder)
        except CheckpointError:
            continue
        words = ["downslope", "train", str(run / RECIPE), "--resume", str(folder), "--out"]
        return (
            "The newest whose weights are intact can go on in a new folder, with a log that begins there: "
            f"{shlex.join(words)} NEW"
        )
    return f"To train nevertheless, {ANEW}."


def _find_unfinished(recipe: Recipe, name: str) -> Plan | None:
    for folder in reversed(_existing(name)):
        if not holds_run(folder) or not _is_of(recipe, folder):
            continue
        plan = _plan_in_place(recipe, folder)
        if not plan.finished:
            return plan
    return None


def _is_of(recipe: Recipe, folder: Path) -> bool:
    try:
        begun = RunFolder(folder).recipe()
        return begun == settle(recipe, to_table(begun))
    except RecipeError:
        return False  # of another version, or edited: not this recipe's run


def _existing(name: str) -> list[Path]:
    pattern = re.compile(rf"{re.escape(name)}(-\d+)?")
    folders = [p for p in RUNS.iterdir() if pattern.fullmatch(p.name)] if RUNS.is_dir() else []
    return sorted(folders, key=lambda folder: _number(name, folder))


def _next_free(name: str) -> Path:
    existing = _existing(name)
    return RUNS / (f"{name}-{_number(name, existing[-1]) + 1}" if existing else name)


def _number(name: str, folder: Path) -> int:
    return int(folder.name[len(name) + 1 :] or 1)


def _check_no_run(out: Path) -> None:
    if holds_run(out):
        raise CheckpointError(
            f"{out}: holds a run already, and nothing is overwritten. Give another --out, or go on with it: "
            "--resume auto."
        )
    check_free(out)


def _compare(recipe: Recipe, checkpoint: Checkpoint) -> list[str]:
    """Return notes on what differs from the checkpoint's recipe and environment.

    Raises:
        CheckpointError: If something differs that decides a run's numbers from its first step on.
    """
    then = checkpoint.manifest["recipe"]
    changes = _changes(_stated(_settled(then, recipe)), _stated(plain_recipe(settle(recipe, then))))
    free = _WHERE | _HOW
    if all(name.startswith(HUGGING_FACE) for name in (then["data"]["name"], recipe.data.name)):
        free |= {"data.name"}  # which is where they lie
    also = _FIXED_OF_SCHEDULE_FREE if then["sgd"].get("schedule_free") else frozenset[str]()
    fixed = [
        f"{shown(path)} {change}"
        for path, change in changes.items()
        if (_is_fixed(path) or path in also) and path not in free
    ]
    if fixed:
        raise CheckpointError(
            f"{checkpoint.run_folder}: was trained under another recipe, and this decides all of a run's numbers: "
            f"{'; '.join(fixed)}. Use its own recipe, or {ANEW}."
        )
    notes = [f"resuming with a different recipe: {shown(path)} {change}" for path, change in changes.items()]
    # the device and the number of threads are decided, and compared, when training starts
    then, now = (
        {key: value for key, value in where.items() if key != "threads" and not key.startswith("device")}
        for where in (checkpoint.manifest["environment"], describe_environment())
    )
    return notes + differences(then, now)


def _settled(then: Mapping[str, Any], now: Recipe) -> Mapping[str, Any]:
    """Return a run's recipe with the options stated that the same recipe would have stated now."""
    data = then["data"]
    stated = settle(replace(now, data=replace(now.data, options=data["options"])), then).data.options
    # Of settings that are newer than the run, it had what is now the default; all others are stated.
    train = {key: value for key, value in to_table(Train(steps=1)).items() if key != "steps"}
    told = {**to_table(Data()), **data, "options": dict(stated)}
    if told.get("augment") is not None:
        told["augment"] = {**to_table(Augment()), **told["augment"]}
    return {**then, "data": told, "train": {**train, **then["train"]}}


def _stated(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a recipe that changes no image as one that says so key by key, beside one that changes some."""
    data = recipe["data"]
    return {**recipe, "data": {**data, "augment": data.get("augment") or to_table(Augment())}}


def _is_fixed(path: str) -> bool:
    return any(path == fixed or path.startswith(f"{fixed}.") for fixed in _FIXED)


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """Return "old -> new" by dotted path, for every path whose value differs."""
    old, new = flatten(then), flatten(now)
    return {
        path: f"{shown(old.get(path, 'off'))} -> {shown(new.get(path, 'off'))}"
        for path in dict.fromkeys([*old, *new])
        if old.get(path) != new.get(path)
    }


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a recipe's table with dotted paths for keys; a schedule is one value, and so is a list."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and value and "schedule" not in value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
