"""``downslope export``: a recipe as code for another framework."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from downslope.cli.arguments import CommandParser, count, written_file
from downslope.cli.recipe_text import find_recipe
from downslope.cli.streams import write_new
from downslope.core.errors import ExportError
from downslope.exporting import TARGETS, export


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "export",
        needed=("--to",),
        summary=(
            "Print a recipe as the code that somebody of another framework's community would write: optimizer, "
            "schedule,\n"
            "groups, clipping, weight decay where that framework puts it; with a comment wherever it cannot do "
            "exactly the\n"
            f"same. TARGET is {', '.join(TARGETS)}."
        ),
        example="downslope export recipes/digits.toml --to keras --with-model --out digits_keras.py",
        overrides=True,
    )
    parser.add_argument(
        "text", metavar="RECIPE", nargs="?", help="a TOML file, a sentence in quotes, or `-` for standard input"
    )
    parser.add_argument("--to", metavar="TARGET", help="whose code to write")
    parser.add_argument("--with-model", action="store_true", help="with the default classifier, its data and training")
    parser.add_argument("--out", metavar="FILE", type=written_file, help="write to a new file instead of printing")
    parser.add_argument(
        "--steps-per-epoch", metavar="N", type=count, help="for schedules in epochs (default: as the digits have)"
    )
    parser.add_argument("--examples", metavar="N", type=count, help="training examples, from which it follows")
    parser.add_argument("--reading", metavar="N", type=count, default=1, help="which reading of words (default: 1)")
    arguments = parser.read(words)
    if arguments.to is None:
        parser.error(f"--to is missing: give one of {', '.join(TARGETS)}")
    recipe = find_recipe("export", arguments.text, arguments.overrides, number=arguments.reading)
    program = export(
        recipe,
        to=arguments.to,
        with_model=arguments.with_model,
        steps_per_epoch=arguments.steps_per_epoch,
        examples=arguments.examples,
    )
    if arguments.out is None:
        sys.stdout.write(program)
        return 0
    write_new(arguments.out, program, ExportError)
    return 0
