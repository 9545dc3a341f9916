"""``downslope train``: train by a recipe, or show what that would be."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from downslope.cli.arguments import CommandParser, file_path, written_page
from downslope.cli.run_folders import add_trust_option, check_resumed
from downslope.cli.training_run import add_training_options, add_watching, overrides_of, run_training
from downslope.core.paths import expand_home
from downslope.core.shown import shown
from downslope.language import tell
from downslope.recipe.known import DEFAULT
from downslope.recipe.load import load_recipe, to_toml
from downslope.training.workers.rendezvous import TIMEOUT

_PREVIEW = "downslope-preview.html"
"""Where a preview is written if not told otherwise."""


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "train",
        summary=(
            "Train by a recipe, writing checkpoints, a log and a report into a run folder. After Ctrl-C, a signal or\n"
            "a crash, the same command goes on where it was, to the same bits. Exit code 1 says that training\n"
            "failed, or that a number of its last evaluation is not finite."
        ),
        example="downslope train recipe.toml --sgd.lr 0.05 --train.epochs 20 --out runs/first",
        overrides=True,
        repeatable=("--sweep",),
    )
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        nargs="?",
        help="a TOML file, or a name that `downslope recipes` lists (default: digits, handwritten digits)",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=file_path, help="run folder (default: runs/ and the recipe's name)"
    )
    parser.add_argument(
        "--resume",
        metavar="auto|never|PATH",
        default="auto",
        help="auto (the default): go on with the run in the folder, if there is one; never: begin a new one; "
        "PATH: start from that run or checkpoint",
    )
    add_training_options(parser)
    parser.add_argument("--print-config", action="store_true", help="print the whole recipe as TOML, and stop")
    parser.add_argument(
        "--preview",
        metavar="FILE",
        nargs="?",
        const=_PREVIEW,
        type=written_page,
        help="write a page with the first sixteen examples as training will see them, each beside its original, and "
        f"stop (default: {_PREVIEW})",
    )
    parser.add_argument(
        "--sweep",
        metavar="LINE",
        action="append",
        help="train once for each value, such as 'sgd.lr = [0.01, 0.1, 1]' or 'seed = [0, 1, 2]'; of several lines, "
        "all combinations. The runs and a page that compares them lie in --out (default: sweeps/ and the recipe)",
    )
    add_watching(parser)
    add_trust_option(parser)
    arguments = parser.read(words)
    given = None if arguments.recipe is None else expand_home(arguments.recipe)
    if arguments.preview is not None:
        _refuse_with_preview(parser, arguments)
    if not arguments.print_config:
        check_resumed(given, arguments.resume, trust=arguments.trust)
    recipe = load_recipe(arguments.recipe, overrides_of(arguments))
    if arguments.print_config:
        sys.stdout.write(to_toml(recipe))
        return 0
    name = DEFAULT if arguments.recipe is None else Path(arguments.recipe).stem
    if arguments.preview is not None:
        from downslope.cli.loading import load_torch

        load_torch()
        from downslope.training.previewing.page import write_preview

        what = write_preview(recipe, name, arguments.preview)
        tell(f"preview     {shown(arguments.preview, 1000)}: {what}; nothing was trained")
        return 0
    if arguments.sweep is not None:
        from downslope.cli.sweep import run_sweep

        if arguments.resume != "auto":
            parser.error("--sweep goes on with each of its runs by itself, so that --resume says nothing. Leave it out")
        return run_sweep(recipe, name, arguments)
    return run_training(
        recipe,
        name=name,
        out=arguments.out,
        resume=arguments.resume,
        dry_run=arguments.dry_run,
        workers=arguments.workers,
        timeout=arguments.timeout,
        quiet=arguments.quiet,
    )


def _refuse_with_preview(parser: CommandParser, arguments: argparse.Namespace) -> None:
    """Raise if something is asked for besides a preview that only a run has, or another way of not training."""
    given = {
        "--out": arguments.out is not None,
        "--resume": arguments.resume != "auto",
        "--workers": arguments.workers is not None,
        "--timeout": arguments.timeout != TIMEOUT,
        "--device": arguments.device is not None,
        "--log": arguments.log is not None,
        "--quiet": arguments.quiet,
        "--dry-run": arguments.dry_run,
        "--print-config": arguments.print_config,
        "--sweep": arguments.sweep is not None,
    }
    if also := [option for option, there in given.items() if there]:
        parser.error(f"--preview writes a page and makes no run, so that {also[0]} says nothing. Leave one out")
