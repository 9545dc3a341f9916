"""``downslope tune``: search for settings by trials that are ordinary runs; say how far the winner can be trusted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from downslope.cli.arguments import CommandParser, count, file_path
from downslope.cli.loading import load_torch
from downslope.core.columns import padded
from downslope.core.errors import MissingDependencyError
from downslope.core.number_text import short_text
from downslope.core.posix import need_posix
from downslope.core.shown import shown
from downslope.language import find_language, said, speaking, tell
from downslope.recipe.known import DEFAULT
from downslope.recipe.load import load_recipe
from downslope.recipe.schema import Recipe, Tune

if TYPE_CHECKING:
    from downslope.training.tuning.study import State
    from downslope.training.tuning.work import Design


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "tune",
        summary=(
            "Search for settings. Trials are runs, judged on a validation part of the examples to learn from; the\n"
            "held-out examples are used once, for the winner over several seeds. Leaves best.toml in the folder.\n"
            "Killed anywhere, the same command goes on, and ends as it would have."
        ),
        example="downslope tune digits --trials 40 --out studies/digits",
        overrides=True,
        repeatable=("--search",),
    )
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        nargs="?",
        help="a TOML file, or a name that `downslope recipes` lists (default: digits)",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=file_path, help="folder of the study (default: studies/ and the recipe's name)"
    )
    parser.add_argument("--trials", metavar="N", type=count, help="how many settings are tried (tune.trials)")
    parser.add_argument(
        "--search",
        metavar="LINE",
        action="append",
        help="what is searched, such as 'sgd.lr = log(1e-3, 1)' or 'model.hidden = choice([64], [128])' (tune.search; "
        "default: effective_lr, decay_epochs and velocity_examples around the recipe's own)",
    )
    parser.add_argument("--coordinates", choices=("decoupled", "raw"), help="what is searched by default")
    parser.add_argument("--sampler", choices=("tpe", "random", "grid", "cmaes"), help="who proposes (tune.sampler)")
    parser.add_argument(
        "--halving", metavar="N", type=count, help="at each rung one trial of N goes on (tune.halving; default: all)"
    )
    parser.add_argument("--seeds", metavar="N", type=count, help="runs of the winner on the held-out examples")
    parser.add_argument(
        "--jobs", metavar="N", type=count, default=1, help="processes; so many trials are proposed at once (default: 1)"
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="Optuna's storage, such as postgresql+psycopg://HOST/NAME (extra postgres), for machines that share DIR "
        "(default: a journal file in DIR)",
    )
    parser.add_argument(
        "--range-test",
        action="store_true",
        help="instead of a study one short run whose lr rises, and the lr that it suggests, as a page in DIR",
    )
    parser.add_argument("--quiet", action="store_true", help="show only the last lines")
    arguments = parser.read(words)
    need_posix("a search")
    recipe = _with_options(load_recipe(arguments.recipe, arguments.overrides), arguments)
    name = DEFAULT if arguments.recipe is None else Path(arguments.recipe).stem
    if arguments.range_test:
        return _test_range(parser, recipe, name, arguments)
    return _tune(recipe, arguments.out or Path("studies") / name, arguments)


def _with_options(recipe: Recipe, arguments: argparse.Namespace) -> Recipe:
    """Return the recipe with the command's options in its table ``[tune]``."""
    given: dict[str, Any] = {
        name: value
        for name in ("trials", "coordinates", "sampler", "halving", "seeds")
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.search is not None:
        from downslope.training.tuning.space import split_line

        given["search"] = dict(split_line(line) for line in arguments.search)
    return replace(recipe, tune=replace(recipe.tune or Tune(), **given))


def _test_range(parser: CommandParser, recipe: Recipe, name: str, arguments: argparse.Namespace) -> int:
    """Run the lr range test, and say what it suggests."""
    plain = {"out", "recipe", "overrides", "range_test", "quiet", "jobs", "lang"}
    also = [key for key, value in vars(arguments).items() if key not in plain and value is not None]
    if also or arguments.jobs != 1:
        parser.error(f"--range-test is one run and no study, so that --{(also or ['jobs'])[0]} says nothing")
    load_torch()
    from downslope.training.tuning.range_test import PAGE, run_range_test

    out = arguments.out or Path("studies") / f"{name}-range-test"
    found = run_range_test(recipe, out)
    if isinstance(found, int):
        tell(f"stopped     by signal {found}; the same command goes on")
        return 128 + found
    tell("\n".join(f"{'found' if at == 0 else '':<12}{line}" for at, line in enumerate(found.sentences())))
    tell(f"page        {shown(out / PAGE)}")
    return 0


def _tune(recipe: Recipe, out: Path, arguments: argparse.Namespace) -> int:
    load_torch()
    from downslope.training.tuning.page import write_pages
    from downslope.training.tuning.result import BEST, sentences, write_result
    from downslope.training.tuning.study import Study
    from downslope.training.tuning.work import Interrupted, design, work_together

    plan = design(recipe, arguments.jobs)
    study = Study(out, arguments.storage, plan.about())
    follow = _ignore if arguments.quiet else _Lines(plan)
    try:
        if not arguments.quiet:
            tell(f"study       {shown(out)}: {plan.trials} trials by {plan.tune.sampler}, judged by {plan.metric}")
            tell("\n".join(f"searched    {one}" for one in plan.space))
        work_together(study, plan, arguments.jobs, arguments.storage, follow)
        state = study.state()
    except Interrupted as stop:
        tell(f"stopped     by signal {stop.number}; all of it is saved. The same command goes on")
        return 128 + stop.number
    write_result(plan, state, out)
    tell("\n".join(f"{'found' if at == 0 else '':<12}{line}" for at, line in enumerate(sentences(plan, state))))
    try:
        page, curves = write_pages(plan, state, out)
    except MissingDependencyError as error:
        tell(f"no page     {error}")
    else:
        tell(f"page        {shown(page)}")
        if curves is not None:
            tell(f"curves      {shown(curves)}, of the best trials")
    tell(f"recipe      {shown(out / BEST)}: train it with downslope train {shown(out / BEST)}")
    return 0


def _ignore(_: State) -> None:
    """Tell nothing."""


class _Lines:
    """A line for each thing that a study has got to know."""

    def __init__(self, plan: Design) -> None:
        self._plan, self._told = plan, set[Any]()

    def __call__(self, state: State) -> None:
        from downslope.training.tuning.result import measured

        for key, result in [*sorted(state.results.items()), *sorted(state.finals.items())]:
            if key in self._told:
                continue
            self._told.add(key)
            value = "diverged" if result.outcome == "diverged" else short_text(measured(self._plan, result.value))
            slow = ", still falling" if result.outcome == "falling" else ""
            if isinstance(key, int):
                tell(f"held out    seed {self._plan.recipe.seed + key}: {value}")
                continue
            point = ", ".join(f"{name} {one}" for name, one in state.points[key.trial].items())
            begin = padded(said(f"trial {key.trial}"), 12) + padded(said(value), 11)
            print(f"{begin}{said(f'step {result.step:,}{slow}')}: {point}", flush=True)


def help_out() -> None:
    """Work on a study that another process began, and exit."""
    from downslope.cli.main import explain

    load_torch()
    from downslope.training.tuning import work

    try:
        work.help_out(sys.argv[1:])
    except work.Interrupted as stop:
        sys.exit(128 + stop.number)
    except Exception as error:  # noqa: BLE001  one message, as of any command
        message, code = explain(error)
        with speaking(find_language(None) or "en"):
            print(said(f"downslope: error: {message}"), file=sys.stderr)
        sys.exit(code)
