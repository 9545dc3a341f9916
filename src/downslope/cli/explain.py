"""``downslope explain``: what a recipe means, on a terminal, as JSON or as a page."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from downslope.cli.arguments import CommandParser, count, written_file
from downslope.language import spoken, tell

if TYPE_CHECKING:
    from downslope.explaining.explanation import Explanation


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "explain",
        summary=(
            "Say what a recipe means: its equations, schedule, effective learning rate, how long weights and velocity\n"
            "remember, limits of stability, other batch sizes, what groups do; each with its condition and source."
        ),
        example="downslope explain recipes/digits.toml --curvature 20 --html explained.html",
        overrides=True,
    )
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        nargs="?",
        help="recipe file, or a sentence such as a paper's; - for standard input (default: the embedded recipe)",
    )
    parser.add_argument(
        "--curvature",
        metavar="L",
        type=_curvatures,
        help="largest curvature of the loss, or several, separated by commas: 0.5,20",
    )
    parser.add_argument("--examples", metavar="N", type=count, help="training examples in an epoch")
    parser.add_argument("--batch-size", metavar="N", type=count, help="examples in a batch")
    parser.add_argument("--steps", metavar="N", type=count, help="steps of the run")
    parser.add_argument("--html", metavar="FILE", type=written_file, help="write it as a page, with plots, to FILE")
    parser.add_argument("--json", action="store_true", help="print it as JSON, with every digit")
    arguments = parser.read(_sentence_last(words))
    if arguments.html is not None and arguments.json:
        parser.error("give either --html or --json, not both")
    explanation = _explain(arguments)
    if arguments.html is not None:
        from downslope.explaining.page import write_page

        tell(f"page: {write_page(explanation, arguments.html, lang=spoken())}")
    elif arguments.json:
        print(json.dumps(explanation.to_table(), ensure_ascii=False, indent=2, allow_nan=False))
    else:
        from downslope.explaining.terminal import describe

        print(describe(explanation, spoken()))
    return 0


def _explain(arguments: argparse.Namespace) -> Explanation:
    from downslope.explaining import explain_subject
    from downslope.explaining.subject import understand

    given = sys.stdin.read() if arguments.recipe == "-" else arguments.recipe
    return explain_subject(
        understand(given, arguments.overrides, lang=spoken()),
        examples=arguments.examples,
        batch_size=arguments.batch_size,
        steps=arguments.steps,
        curvature=arguments.curvature,
    )


def _sentence_last(words: Sequence[str]) -> list[str]:
    """Return the words with one that is a whole command line, such as '--lr 0.1 --momentum 0.9', set apart as text."""
    words = list(words)
    if "--" in words:
        return words
    previous = ""
    for index, word in enumerate(words):
        if word.startswith("-") and " " in word.strip() and "=" not in word.split(" ")[0] and not _is_option(previous):
            return [*words[:index], *words[index + 1 :], "--", word]
        previous = word
    return words


def _is_option(word: str) -> bool:
    return word.startswith("--") and "=" not in word and " " not in word and word not in {"--json", "--help"}


def _curvatures(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a number, or several separated by commas such as 0.5,20; got {text!r}"
        ) from None
