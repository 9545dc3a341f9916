"""``downslope explain``: what a recipe means, on a terminal, as JSON or as a page."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from downslope.cli.arguments import CommandParser, count, written_page
from downslope.cli.streams import terminal_width
from downslope.core.columns import wrap
from downslope.core.errors import DownslopeError, SettingsError
from downslope.core.shown import shown
from downslope.core.sparkline import blocks_for
from downslope.explaining.language import words_of
from downslope.explaining.schedule_free import AverageExplanation
from downslope.language import said, spoken, tell
from downslope.recipe.load import load_recipe

if TYPE_CHECKING:
    from downslope.explaining.explanation import Explanation


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "explain",
        summary=(
            "Say what a recipe means: its equations, schedule, effective learning rate, how long weights and velocity\n"
            "remember, limits of stability, other batch sizes, what groups do. --sources says it in sentences, each\n"
            "number with its formula, its condition and its source; --html makes a page with sliders of it."
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
    parser.add_argument("--sources", action="store_true", help="say it at length, with formulas and their sources")
    parser.add_argument(
        "--html", metavar="FILE", type=written_page, help="write it as a page, with plots and sliders, to FILE"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON, with every digit")
    arguments = parser.read(_sentence_last(words))
    if arguments.html is not None and arguments.json:
        parser.error("give either --html or --json, not both")
    if arguments.sources and (arguments.html is not None or arguments.json):
        parser.error("--sources is for the terminal: --html and --json have formulas and sources anyway. Leave it out")
    given = sys.stdin.read() if arguments.recipe == "-" else arguments.recipe
    explanation = _explain(given, arguments)
    if isinstance(explanation, AverageExplanation):
        return _show_average(explanation, arguments)
    if arguments.html is not None:
        from downslope.explaining.page import write_page

        tell(f"page: {write_page(explanation, arguments.html, lang=spoken())}")
    elif arguments.json:
        print(json.dumps(explanation.to_table(), ensure_ascii=False, indent=2, allow_nan=False))
    elif arguments.sources:
        from downslope.explaining.terminal import describe

        print(describe(explanation, spoken(), width=terminal_width()))
        _print_last(_wrong(given, arguments))
    else:
        from downslope.explaining.brief import describe_briefly

        blocks = blocks_for(getattr(sys.stdout, "encoding", None))
        print(describe_briefly(explanation, spoken(), width=terminal_width(), blocks=blocks))
        _print_last(words_of(spoken()).say("brief.more"), _wrong(given, arguments))
    return 0


def _print_last(*sentences: str) -> None:
    """Print the sentences that there are, below an empty line."""
    lines = [line for sentence in sentences if sentence for line in wrap(sentence, terminal_width(), "", "  ")]
    if lines:
        print("", *lines, sep="\n")


def _wrong(given: str | None, arguments: argparse.Namespace) -> str:
    """Return why the recipe looks wrong, in one sentence: the gravest error that `downslope audit` finds, or ""."""
    from downslope.auditing import audit_words
    from downslope.auditing.subject import Sizes

    sizes = Sizes(examples=arguments.examples, batch_size=arguments.batch_size, steps=arguments.steps)
    thing = given if given is not None else load_recipe(None, arguments.overrides)
    try:
        errors = list(audit_words(thing, sizes, arguments.overrides if given is not None else ()).errors)
    except DownslopeError:  # what cannot be audited can be explained all the same
        return ""
    if not errors:
        return ""
    more = {"more": len(errors) - 1} if len(errors) > 1 else {}
    name = "brief.wrong.more" if more else "brief.wrong"
    return words_of(spoken()).say(name, what=said(errors[0].what), where=said(errors[0].where), **more)


def _show_average(explanation: AverageExplanation, arguments: argparse.Namespace) -> int:
    """Print what is known of schedule-free SGD, for which there is no page and no other length."""
    for name in ("html", "sources"):
        if getattr(arguments, name):
            raise SettingsError(f"--{name}: what is known of schedule-free SGD is told in one way. Leave it out.")
    if arguments.json:
        print(json.dumps(explanation.to_table(), ensure_ascii=False, indent=2, allow_nan=False))
    else:
        print(explanation.text(terminal_width()))
    return 0


def _explain(given: str | None, arguments: argparse.Namespace) -> Explanation | AverageExplanation:
    from downslope.explaining import explain_subject
    from downslope.explaining.subject import understand

    return explain_subject(
        understand(given, arguments.overrides, lang="en" if arguments.json else spoken()),
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
            f"must be a number, or several separated by commas such as 0.5,20; got {shown(repr(text))}"
        ) from None
