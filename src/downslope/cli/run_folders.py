"""A run folder named on the command line: the recipe it holds, or why it is none. Loads no framework.

What lives here: what a command checks before it loads one. What does not: everything else in a run folder
(`training/run_folder.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from downslope.core.errors import CheckpointError, did_you_mean
from downslope.recipes.decode import load_recipe
from downslope.recipes.overrides import Override
from downslope.recipes.schema import Recipe

_RECIPE = "recipe.toml"


def load_run_recipe(folder: Path, overrides: Iterable[Override] = ()) -> Recipe:
    """Return the recipe of a run.

    Args:
        folder: The run folder.
        overrides: As in `load_recipe`.

    Raises:
        CheckpointError: If the folder is missing or holds no run.
        RecipeError: If its recipe has been damaged, or an override is wrong.
    """
    check_run_folder(folder)
    return load_recipe(folder / _RECIPE, overrides)


def check_run_folder(folder: Path) -> None:
    """Raise unless a folder is a run folder.

    Raises:
        CheckpointError: With what was found instead, and which run may have been meant.
    """
    try:
        if _holds_run(folder):
            return
        exists, is_folder = folder.exists(), folder.is_dir()
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read: {error.strerror}.") from None
    beside = _runs_in(folder.parent)
    hint = did_you_mean(str(folder), beside) or _listed("Beside it:", beside) or " Start one with downslope train."
    if not exists:
        raise CheckpointError(f"{folder}: there is no such run folder.{hint}")
    if not is_folder:
        raise CheckpointError(f"{folder}: is a file; give a run folder, such as runs/digits.{hint}")
    inside = _listed("It holds runs; give one:", _runs_in(folder))
    raise CheckpointError(f"{folder}: is no run folder: it has no {_RECIPE}.{inside or hint}")


def _holds_run(folder: Path) -> bool:
    return (folder / _RECIPE).is_file()


def _runs_in(folder: Path) -> list[str]:
    try:
        return sorted(str(path) for path in folder.iterdir() if _holds_run(path))
    except OSError:
        return []


def _listed(words: str, runs: list[str]) -> str:
    more = ", ..." if len(runs) > 8 else ""
    return f" {words} {', '.join(runs[:8])}{more}." if runs else ""
