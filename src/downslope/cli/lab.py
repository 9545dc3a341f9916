"""``downslope lab``: a page with sliders, where the numbers of SGD can be moved and everything else follows."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from downslope.cli.arguments import CommandParser, written_page
from downslope.cli.recipe_text import standard_input
from downslope.cli.streams import print_notes
from downslope.core.errors import SettingsError
from downslope.core.schedule_free import refuse_schedule_free
from downslope.core.schedules import Schedule
from downslope.language import spoken, tell
from downslope.recipe.load import parse_recipe

if TYPE_CHECKING:
    from downslope.explaining.explanation import Explanation
    from downslope.lab.begin import Beginning

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
    parser.add_argument("--out", metavar="FILE", type=written_page, help="write the page to FILE, and open nothing")
    arguments = parser.read(words)
    begin = _begin(arguments)
    from downslope.lab import page

    if arguments.out is not None:
        tell(f"page: {page.write_page(arguments.out, begin, lang=spoken())}")
        return 0
    path = page.write_page(Path(tempfile.mkdtemp(prefix="downslope-")) / "lab.html", begin, lang=spoken())
    tell(f"page: {path}")
    if not (sys.stdout.isatty() and webbrowser.open_new_tab(path.as_uri())):
        tell("open it in a browser")
    return 0


def _begin(arguments: Namespace) -> Beginning:
    """Return what the sliders begin with; what they show of a recipe is noted where it is not all of it."""
    from downslope.explaining import explain_subject
    from downslope.explaining.sliders import beginning_of
    from downslope.explaining.subject import Subject, understand

    if arguments.recipe is None:
        subject = Subject(settings=parse_recipe(_BEGIN, "lab", arguments.overrides).sgd)
    else:
        given = standard_input("lab") if arguments.recipe == "-" else arguments.recipe
        subject = understand(given, arguments.overrides, lang=spoken())
        print_notes(subject.notes)
    refuse_schedule_free(subject.settings, "the page has sliders for SGD, whose velocity fades at one rate.")
    for name in ("lr_in_velocity", "maximize"):
        if getattr(subject.settings, name):
            raise SettingsError(
                f"`{name}` = true has no slider here. Leave it out; with constant numbers it is the same."
            )
    begin = beginning_of(cast("Explanation", explain_subject(subject)))
    driven = [
        name for name in ("lr", "momentum", "weight_decay") if isinstance(getattr(subject.settings, name), Schedule)
    ]
    print_notes([f"`sgd.{name}` is a schedule; its slider begins at {getattr(begin, name):g}" for name in driven])
    return begin
