"""A run folder named on the command line: the recipe it holds, or why it is none. Loads no framework.

What lives here: what a command checks before it loads one. What does not: everything else in a run folder
(`training/run_folder.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from downslope.core.errors import CheckpointError, did_you_mean
from downslope.core.paths import expand_home, expansion_of, from_here
from downslope.recipes.decode import load_recipe
from downslope.recipes.earlier_defaults import settle
from downslope.recipes.overrides import Override
from downslope.recipes.schema import Recipe

_RECIPE = "recipe.toml"


def load_run_recipe(folder: str | Path, overrides: Iterable[Override] = ()) -> tuple[Path, Recipe]:
    """Return a run's folder, `~` expanded, and its recipe.

    Args:
        folder: The run folder.
        overrides: As in `load_recipe`.

    Raises:
        CheckpointError: If the folder is missing or holds no run.
        RecipeError: If its recipe has been damaged, or an override is wrong.
    """
    path = find_run_folder(folder)
    return path, settle(load_recipe(path / _RECIPE, overrides), {})


def find_run_folder(given: str | Path) -> Path:
    """Return a run folder, `~` expanded.

    Args:
        given: The folder as it was written.

    Raises:
        CheckpointError: With what was found instead, and which run may have been meant.
    """
    folder = expand_home(given, CheckpointError)
    name = f"{given}{expansion_of(given)}"
    try:
        if _holds_run(folder):
            return folder
        exists, is_folder = folder.exists(), folder.is_dir()
    except OSError as error:
        raise CheckpointError(f"{name}: cannot be read: {error.strerror}.") from None
    beside = _runs_in(folder.parent)
    near = did_you_mean(str(folder), beside) or _listed("Beside it:", beside)
    hint = near or " Start one with downslope train."
    if not exists:
        raise CheckpointError(f"{name}: there is no such run folder.{near or from_here(folder) + hint}")
    if not is_folder:
        raise CheckpointError(f"{name}: is a file; give a run folder, such as runs/digits.{hint}")
    inside = _listed("It holds runs; give one:", _runs_in(folder))
    raise CheckpointError(f"{name}: is no run folder: it has no {_RECIPE}.{inside or hint}")


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
