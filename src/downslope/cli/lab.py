"""``downslope lab``: a page with sliders, where the numbers of SGD can be moved and everything else follows."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from downslope.cli.arguments import CommandParser, written_file
from downslope.cli.recipe_text import find_recipe
from downslope.cli.streams import print_notes
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.language import spoken, tell
from downslope.recipe.load import parse_recipe

_BEGIN = "[sgd]\nlr = 0.05\nmomentum = 0.9\n[train]\nepochs = 1\n"


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "lab",
        summary=(
            "Open a page with sliders for lr, momentum, weight decay, Nesterov, dampening and the curvatures of a\n"
            "valley: paths, losses, how directions settle and how long weights are remembered follow as they move.\n"
            "One file; it needs no network."
        ),
        example="downslope lab --out lab.html",
        overrides=True,
    )
    parser.add_argument(
        "recipe", metavar="RECIPE", nargs="?", help="a recipe or sentence whose numbers the sliders begin with"
    )
    parser.add_argument("--out", metavar="FILE", type=written_file, help="write the page to FILE, and open nothing")
    arguments = parser.read(words)
    if arguments.recipe is None:
        settings = parse_recipe(_BEGIN, "lab", arguments.overrides).sgd
    else:
        settings = find_recipe("lab", arguments.recipe, arguments.overrides).sgd
    settings, notes = _with_numbers(settings)
    print_notes(notes)
    from downslope.lab import page

    if arguments.out is not None:
        tell(f"page: {page.write_page(arguments.out, settings, lang=spoken())}")
        return 0
    path = page.write_page(Path(tempfile.mkdtemp(prefix="downslope-")) / "lab.html", settings, lang=spoken())
    tell(f"page: {path}")
    if not (sys.stdout.isatty() and webbrowser.open_new_tab(path.as_uri())):
        tell("open it in a browser")
    return 0


def _with_numbers(settings: Settings) -> tuple[Settings, list[str]]:
    """Return settings with a number for each schedule, the one that it starts from or warms up to, and say which."""
    numbers = {
        field.name: value.reference
        for field in fields(settings)
        if isinstance(value := getattr(settings, field.name), Schedule)
    }
    notes = [f"`sgd.{name}` is a schedule; its slider begins at {value:g}" for name, value in numbers.items()]
    return replace(settings, **numbers), notes
