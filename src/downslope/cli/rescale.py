"""``downslope rescale``: a recipe for another batch size, number of devices or length."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from downslope.cli.arguments import CommandParser, count, written_file
from downslope.cli.recipe_text import find_recipe
from downslope.cli.streams import write_new
from downslope.core.errors import RecipeError
from downslope.core.exact import exact, plain
from downslope.core.shown import shown
from downslope.rescaling import rescale
from downslope.rescaling.batch import RULES


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "rescale",
        summary=(
            "Print a recipe for another batch size, number of devices or length, with every change and its source as\n"
            "a comment: lr, warmup, schedules, momentum, weight decay, averages, and what is counted in steps."
        ),
        example="downslope rescale recipes/digits.toml --batch-size 256 --rule half-life --out large.toml",
        overrides=True,
    )
    parser.add_argument(
        "text", metavar="RECIPE", nargs="?", help="a TOML file, a sentence in quotes, or `-` for standard input"
    )
    parser.add_argument("--batch-size", metavar="N", type=count, help="the new data.batch_size")
    parser.add_argument("--devices", metavar="N", type=count, help="N devices, each with the recipe's batch, instead")
    parser.add_argument("--epochs", metavar="N", type=_number, help="the new length; schedules are stretched with it")
    parser.add_argument("--rule", choices=tuple(RULES), default="linear", help="how lr goes with the batch (linear)")
    parser.add_argument("--warmup", metavar="EPOCHS", type=_number, help="add a warmup from the old lr to the new")
    parser.add_argument("--examples", metavar="N", type=count, help="training examples, where the recipe does not say")
    parser.add_argument("--curvature", metavar="L", type=_number, help="the largest curvature, where it was measured")
    parser.add_argument("--out", metavar="FILE", type=written_file, help="write to a new file instead of printing")
    parser.add_argument("--reading", metavar="N", type=count, default=1, help="which reading of words (default: 1)")
    arguments = parser.read(words)
    if arguments.batch_size is None and arguments.devices is None and arguments.epochs is None:
        parser.error("nothing to rescale to: give --batch-size, --devices or --epochs")
    recipe = find_recipe("rescale", arguments.text, arguments.overrides, number=arguments.reading)
    found = rescale(
        recipe,
        batch_size=arguments.batch_size,
        devices=arguments.devices,
        epochs=arguments.epochs,
        rule=arguments.rule,
        warmup=arguments.warmup,
        examples=arguments.examples,
        curvature=arguments.curvature,
    )
    if arguments.out is None:
        sys.stdout.write(found.to_toml())
    else:
        write_new(arguments.out, found.to_toml(), RecipeError)
    return 0


def _number(text: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0; got {shown(repr(text))}")
    return plain(exact(value))
