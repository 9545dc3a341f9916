"""A run folder named on the command line: the recipe it holds, or why it is none. Loads no framework.

It is what a command checks before it loads one, or runs anything that the run names: whether there is a run, and
whether it may be trusted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from downslope.cli.arguments import CommandParser
from downslope.core.errors import CheckpointError, did_you_mean
from downslope.core.files import why_closed
from downslope.core.paths import expand_home, expansion_of, from_here
from downslope.core.shown import shown
from downslope.recipe.overrides import Override
from downslope.recipe.schema import Recipe
from downslope.training.folder.names import CHECKPOINTS, FACTS, RECIPE, is_run_folder, read_recipe, run_around
from downslope.training.folder.trust import check_trust
from downslope.training.workers.rendezvous import RendezvousError, find_rendezvous

_BESIDE = (FACTS, CHECKPOINTS, "log.jsonl", "events.jsonl")
"""What lies beside a recipe that is a run's."""


def add_trust_option(parser: CommandParser) -> None:
    """Add ``--trust`` to a command that uses what a run's recipe names."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run the functions that the recipe of a run folder from elsewhere names; it is noted, and asked for once",
    )


def load_run_recipe(
    folder: str | Path, overrides: Iterable[Override] = (), *, trust: bool = False
) -> tuple[Path, Recipe]:
    """Return a run's folder, `~` expanded, and its recipe, once it may be used.

    Raises:
        CheckpointError: If the folder is missing or holds no run.
        RecipeError: If its recipe has been damaged, or an override is wrong.
        TrustError: If it came from elsewhere and names functions.
    """
    path = find_trusted_run(folder, trust=trust)
    return path, read_recipe(path, overrides)


def find_trusted_run(given: str | Path, *, trust: bool) -> Path:
    """Return a run folder, `~` expanded, whose functions may be run.

    Raises:
        CheckpointError: As in `find_run_folder`.
        TrustError: If it came from elsewhere and names functions.
    """
    folder = find_run_folder(given)
    if _is_first():
        check_trust(folder, trust=trust)
    return folder


def _is_first() -> bool:
    """Return whether this process is to ask: of several workers the first, since the others' homes may be elsewhere."""
    try:
        place = find_rendezvous()
    except RendezvousError:
        return True
    return place is None or place.rank == 0


def check_resumed(recipe: Path | None, resume: str, *, trust: bool) -> None:
    """Raise if `train` was given the recipe or the checkpoint of a run from elsewhere that names functions.

    Args:
        recipe: The recipe's file, or None.
        resume: What `--resume` says.
        trust: As in `check_trust`.

    Raises:
        TrustError: With the functions, and what to do.
    """
    runs: list[Path] = []
    if recipe is not None and recipe.name == RECIPE and any(os.path.lexists(recipe.parent / name) for name in _BESIDE):
        runs.append(recipe.parent)
    if resume not in {"auto", "never"}:
        path = expand_home(resume, CheckpointError, "--resume")
        runs += [path, path.parent.parent, Path(os.path.abspath(path)).parent.parent, path.resolve().parent.parent]  # noqa: PTH100
    for run in runs:
        if is_run_folder(run):
            find_trusted_run(run, trust=trust)


def find_run_folder(given: str | Path) -> Path:
    """Return a run folder, `~` expanded.

    Raises:
        CheckpointError: With what was found instead, and which run may have been meant.
    """
    if not os.fspath(given):
        raise CheckpointError("the name of the run folder is empty. Give one, such as runs/digits.")
    folder = expand_home(given, CheckpointError)
    name = f"{given}{expansion_of(given)}"
    try:
        if is_run_folder(folder):
            return folder
        exists, is_folder = folder.exists(), folder.is_dir()
    except OSError as error:
        raise CheckpointError(f"{name}: cannot be read: {error.strerror}.") from None
    if is_folder and (why := why_closed(folder)):
        raise CheckpointError(f"{name}: cannot be read: {why}.")
    beside = _runs_in(folder.parent)
    near = did_you_mean(str(folder), beside) or _listed("Beside it:", beside)
    around = run_around(folder)
    hint = near or " Start one with downslope train."
    if exists and around is not None:
        what = "a file" if not is_folder else "no run folder"
        raise CheckpointError(f"{name}: is {what}; it lies in the run {around}. Give that: {around}.")
    if not exists:
        raise CheckpointError(f"{name}: there is no such run folder.{near or from_here(folder) + hint}")
    if not is_folder:
        raise CheckpointError(f"{name}: is a file; give a run folder, such as runs/digits.{hint}")
    inside = _listed("It holds runs; give one:", _runs_in(folder))
    raise CheckpointError(f"{name}: is no run folder: it has no {RECIPE}.{inside or hint}")


def _runs_in(folder: Path) -> list[str]:
    try:
        return sorted(str(path) for path in folder.iterdir() if is_run_folder(path))
    except OSError:
        return []


def _listed(words: str, runs: list[str]) -> str:
    more = ", ..." if len(runs) > 8 else ""
    return f" {words} {', '.join(map(shown, runs[:8]))}{more}." if runs else ""
