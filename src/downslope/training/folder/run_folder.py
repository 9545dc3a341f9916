"""A run folder: where everything of one run lies. Here it is read, and made ready to train in.

The folder itself may be a symbolic link; what has one of a run's names in it must be the run's own, and no link to
anything else.
"""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path
from typing import Any

from downslope.core.errors import CheckpointError
from downslope.core.files import kind_of, why_closed
from downslope.core.notebook import ShownInNotebooks
from downslope.core.paths import expand_home, expansion_of
from downslope.core.shown import shown
from downslope.recipe.schema import Recipe
from downslope.training.data.kept import read_inputs_kept
from downslope.training.folder import checkpoint as checkpoints
from downslope.training.folder import durable, events, log
from downslope.training.folder.checkpoint import Checkpoint
from downslope.training.folder.guard import Guard
from downslope.training.folder.manifest import describe_bytes
from downslope.training.folder.names import (
    EMA,
    FACTS,
    INPUTS,
    LOCK,
    LOGGERS,
    MODEL,
    RECIPE,
    REPORT,
    TENSORBOARD,
    WANDB,
    is_run_folder,
    read_facts,
    read_recipe,
)

_FOLDERS = (checkpoints.FOLDER, TENSORBOARD, WANDB)
_WRITTEN_ANEW = (MODEL, EMA, REPORT)
"""Files that say nothing to a run that goes on, and are removed before it does."""
_FILES = (RECIPE, FACTS, INPUTS, LOCK, log.NAME, events.NAME, LOGGERS, *_WRITTEN_ANEW)
_OWN = frozenset({*_FILES, *_FOLDERS})


class RunFolder(ShownInNotebooks):
    """A run, as it lies on the disk.

    Raises:
        CheckpointError: If it is no run folder; the message says what is missing.
    """

    def __init__(self, path: str | Path) -> None:
        """Check that the folder holds a run."""
        self.path = expand_home(path, CheckpointError)
        if not self.path.is_dir():
            raise CheckpointError(
                f"{path}{expansion_of(path)}: no such folder. Give a run folder, such as runs/digits."
            )
        if not is_run_folder(self.path) and (why := why_closed(self.path)):
            raise CheckpointError(f"{path}: cannot be read: {why}.")
        if not holds_run(self.path):
            raise CheckpointError(f"{path}: is no run folder; it has no {RECIPE}. Give one, such as runs/digits.")

    def __repr__(self) -> str:
        """Return how it is opened."""
        return f"RunFolder({str(self.path)!r})"

    def recipe(self) -> Recipe:
        """Return the resolved recipe."""
        return read_recipe(self.path)

    def facts(self) -> dict[str, Any]:
        """Return the facts written at the start.

        Raises:
            CheckpointError: If they are missing or damaged.
        """
        return read_facts(self.path)

    def rows(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of the log, all or of one kind."""
        return log.read_rows(self.path, kind)

    def events(self) -> list[dict[str, Any]]:
        """Return the events by the clock."""
        return events.read_events(self.path)

    def checkpoints(self) -> list[Path]:
        """Return the folders of the committed checkpoints, oldest first; damaged ones too."""
        return checkpoints.list_checkpoints(self.path)

    def last(self) -> Checkpoint:
        """Return the newest checkpoint that verifies.

        Raises:
            CheckpointError: If there is none; the message says why those there are were passed over.
        """
        found, passed_over = checkpoints.newest_verifying(self.path)
        if found is None:
            raise CheckpointError("\n  ".join([f"{self.path}: has no checkpoint that can be used.", *passed_over]))
        return found

    def best(self) -> Checkpoint:
        """Return the checkpoint of the best evaluation.

        Raises:
            CheckpointError: If there is none, or it is damaged.
        """
        step = self.last().manifest["state"]["best"]["best_step"]
        if step is None:
            raise CheckpointError(f"{self.path}: has no best checkpoint; the run was stopped before an evaluation.")
        folder = checkpoints.checkpoint_folder(self.path, step)
        try:
            return checkpoints.read_checkpoint(folder)
        except CheckpointError as error:
            raise CheckpointError(f"{folder}, the best checkpoint, cannot be used: {error}.") from None

    def is_complete(self, last: Checkpoint) -> bool:
        """Return whether the run is finished, has its facts, and its final weights are those of its last checkpoint."""
        try:
            self.facts()
            if read_inputs_kept(self.path) is None:
                return False
        except CheckpointError:
            return False
        if "shapes" in last.manifest:  # several workers wrote it, and the final file was put together from theirs
            return bool(last.manifest["finished"]) and durable.is_file(self.path / MODEL)
        return bool(last.manifest["finished"]) and all(
            self._final_file_is(last, name) for name in (MODEL, EMA) if name in last.manifest["files"]
        )

    def _final_file_is(self, last: Checkpoint, name: str) -> bool:
        path = self.path / name
        return durable.is_file(path) and describe_bytes(durable.read_file(path)) == last.manifest["files"][name]


def holds_run(folder: Path) -> bool:
    """Return whether a run was begun in a folder; its recipe may have become something that cannot be read."""
    mode = durable.mode_of(folder / RECIPE)
    return mode is not None and not stat.S_ISDIR(mode)


def check_own(folder: Path) -> None:
    """Raise unless everything with one of a run's names in a folder is what a run makes: no link, and of its kind.

    Training would otherwise write, cut or remove what lies elsewhere and is somebody's. A link in the place of what is
    written anew at the end is removed itself, by `make_ready`.

    Raises:
        CheckpointError: With what is what, and what to do.
    """
    wrong: list[str] = []
    for name in (*_FILES, *_FOLDERS):
        mode = durable.mode_of(folder / name)
        is_right = stat.S_ISDIR if name in _FOLDERS else stat.S_ISREG
        if mode is not None and not is_right(mode) and not (stat.S_ISLNK(mode) and name in _WRITTEN_ANEW):
            wrong.append(f"{name} is {kind_of(mode)}")
    if wrong:
        raise CheckpointError(
            f"{folder}: {', '.join(wrong)}. In a run folder nothing is read or written through a link, nor through "
            "anything but files and folders of the run's own. Put the file or folder itself there, or remove it; the "
            "run folder as a whole may be a link."
        )


def check_free(folder: Path) -> None:
    """Raise unless a run may begin in a folder: it is absent, empty, or holds only what a crash left of a beginning.

    Raises:
        CheckpointError: If something else lies there.
    """
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder}: is a file, not a folder. Give another --out.")
    around = next((parent for parent in folder.parents if parent.exists()), folder.parent)
    if around.exists() and not around.is_dir():
        raise CheckpointError(f"{folder}: {around} is a file, in which no folder can be. Give another --out.")
    foreign = (
        sorted(p.name for p in folder.iterdir() if (durable.whole_name(p.name) or p.name) not in _OWN)
        if (folder.is_dir())
        else []
    )
    committed = checkpoints.list_checkpoints(folder)
    if (
        committed and durable.mode_of(folder / events.NAME) is not None and not foreign
    ):  # a crash before the recipe leaves no events
        words = ["--resume", str(committed[-1]), "--out"]
        raise CheckpointError(
            f"{folder}: is a run that has lost its {RECIPE}. Put it back, or go on from a checkpoint in a new folder: "
            f"downslope train RECIPE {shlex.join(words)} NEW. Nothing is overwritten."
        )
    if foreign:
        names = ", ".join(map(shown, foreign[:3]))
        raise CheckpointError(f"{folder}: is no run folder, and is not empty; it holds {names}. Give another --out.")
    check_own(folder)


def make_ready(
    folder: Path, checkpoint: Checkpoint | None, recipe_text: str, facts: dict[str, Any], *, keep: int
) -> list[str]:
    """Make a locked run folder ready to train in: what a crash left is removed, a fork copied, the recipe written.

    Args:
        folder: The run folder.
        checkpoint: Where to start from, in this or another run folder; None to start from the beginning.
        recipe_text: The recipe as TOML.
        facts: For `run.json`.
        keep: How many of the newest checkpoints are kept.

    Returns:
        Sentences for the person, on what is not the run's own.

    Raises:
        CheckpointError: If another process has trained here since the plan was made, or something here is a link.
    """
    notes: list[str] = []
    check_own(folder)
    durable.remove_partial_files(folder, _OWN.__contains__)
    if checkpoint is None:
        if checkpoints.list_checkpoints(folder) and holds_run(folder):
            raise CheckpointError(f"{folder}: another process has trained here just now. Start again.")
        checkpoints.remove_all(folder, notes.append)  # of a fork that crashed before it was one
    elif checkpoint.run_folder.resolve() == folder.resolve():
        newest, _ = checkpoints.newest_verifying(folder)
        if newest is None or newest.step != checkpoint.step:
            raise CheckpointError(f"{folder}: another process has trained here just now. Start again.")
        checkpoints.remove_uncommitted(folder, notes.append)
        # A crash may have come before older ones were removed.
        state = checkpoint.manifest["state"]
        needed = {state["best"]["best_step"], *state.get("mishaps", {}).get("targets", [])}
        checkpoints.prune(folder, step=checkpoint.step, keep=keep, needed=needed, say=notes.append)
        notes += [
            f"{linked}: is a symbolic link; the checkpoint there may be gone on from, and is never changed or removed"
            for linked in checkpoints.linked_checkpoints(folder)
        ]
    else:
        checkpoints.remove_all(folder, notes.append)
        length = checkpoint.manifest["log"]["bytes"]  # 0 where the log is lost
        kept = durable.read_file(checkpoint.run_folder / log.NAME)[:length] if length else b""
        durable.write_file(folder / log.NAME, kept)
        durable.make_folder(folder / checkpoints.FOLDER)
        checkpoints.copy_checkpoint(checkpoint, folder)
    for name in _WRITTEN_ANEW:
        if (folder / name).is_symlink():
            notes.append(f"{folder / name}: was a symbolic link; the link is removed, and what it led to stays")
        durable.remove_file(folder / name)  # of a run that was finished and goes on
    _write_if_changed(folder / FACTS, json.dumps(facts, indent=1).encode() + b"\n")
    _write_if_changed(folder / RECIPE, recipe_text.encode())  # last: it makes the folder a run
    return notes


def guard_of(folder: Path) -> Guard:
    """Return what notices that a run folder in which training goes on is removed or replaced, or something in it."""
    return Guard(folder, kept=(LOCK, log.NAME, events.NAME), needed=(RECIPE, FACTS))


def _write_if_changed(path: Path, data: bytes) -> None:
    if not durable.is_file(path) or durable.read_file(path) != data:
        durable.write_file(path, data)
