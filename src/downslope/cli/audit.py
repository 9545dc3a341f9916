"""``downslope audit``: what is probably wrong with a recipe, a sentence, a training script or a run."""

from __future__ import annotations

import json
from collections.abc import Sequence

from downslope.auditing import audit_words
from downslope.auditing.subject import Sizes
from downslope.cli.arguments import CommandParser, count
from downslope.cli.recipe_text import standard_input
from downslope.core.shown import printable


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code: 1 if there are errors."""
    parser = CommandParser(
        "audit",
        summary=(
            "Say what is probably wrong with a recipe, a sentence, a training script (which is read, never run) or a\n"
            "run folder: what, where, why with its source, what to do, and how sure. The exit code is 1 if there are\n"
            "errors; warnings and advice leave it 0."
        ),
        example="downslope audit train.py --examples 50000",
        overrides=True,
    )
    parser.add_argument(
        "thing",
        metavar="THING",
        help="a recipe, a sentence in quotes, a script, a run folder, or `-` for standard input",
    )
    parser.add_argument("--examples", metavar="N", type=count, help="training examples in an epoch")
    parser.add_argument("--batch-size", metavar="N", type=count, help="examples in a batch, where nothing says it")
    parser.add_argument("--steps-per-epoch", metavar="N", type=count, help="steps in an epoch, instead of the two")
    parser.add_argument("--steps", metavar="N", type=count, help="steps in all, where nothing says them")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    arguments = parser.read(words)
    sizes = Sizes(
        examples=arguments.examples,
        batch_size=arguments.batch_size,
        steps_per_epoch=arguments.steps_per_epoch,
        steps=arguments.steps,
    )
    if arguments.steps_per_epoch is not None and arguments.examples is not None:
        parser.error("give --steps-per-epoch or --examples, not both")
    thing = standard_input("audit") if arguments.thing == "-" else arguments.thing
    found = audit_words(thing, sizes, arguments.overrides)
    if arguments.json:
        print(json.dumps(found.to_table(), ensure_ascii=False, indent=2))
    else:
        print(printable(str(found)))
    return 1 if found.errors else 0
