"""``downslope resume``: go on with a run that was stopped."""

from __future__ import annotations

from collections.abc import Sequence

from downslope.cli.arguments import CommandParser
from downslope.cli.run_folders import add_trust_option, load_run_recipe
from downslope.cli.training_run import add_training_options, add_watching, overrides_of, run_training


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "resume",
        summary=(
            "Go on with a run from its newest intact checkpoint, by its own recipe. A finished run goes on where an\n"
            "override lets it, such as more epochs."
        ),
        example="downslope resume runs/digits --train.epochs 80",
        overrides=True,
    )
    parser.add_argument("run", metavar="RUN", help="run folder")
    add_training_options(parser)
    add_watching(parser)
    add_trust_option(parser)
    arguments = parser.read(words)
    run, recipe = load_run_recipe(arguments.run, overrides_of(arguments), trust=arguments.trust)
    return run_training(
        recipe,
        name=run.name,
        out=run,
        resume="auto",
        dry_run=arguments.dry_run,
        workers=arguments.workers,
        timeout=arguments.timeout,
        quiet=arguments.quiet,
    )
