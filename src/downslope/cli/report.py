"""``downslope report``: one run on a page, or several laid over one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from downslope.cli.arguments import CommandParser, written_page
from downslope.cli.loading import load_torch
from downslope.cli.run_folders import add_trust_option, find_trusted_run
from downslope.cli.streams import print_notes
from downslope.language import tell

PAGE = "downslope-report.html"
"""Where several runs are reported on if not told otherwise."""


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "report",
        summary=(
            "Write a page with the curves, settings and environment of a run, or of several laid over one another.\n"
            "Exit code 1 says that the loss or another number of a run's last evaluation is not finite; the page is\n"
            "there all the same."
        ),
        example="downslope report runs/digits runs/nesterov --out compared.html",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folder, finished or not")
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=written_page,
        help=f"where to write it (default: RUN/report.html; for several, {PAGE})",
    )
    add_trust_option(parser)
    arguments = parser.read(words)
    runs = [find_trusted_run(run, trust=arguments.trust) for run in arguments.runs]
    out = arguments.out or (runs[0] / "report.html" if len(runs) == 1 else Path(PAGE))
    load_torch()
    from downslope.training.report import write_report

    notes: list[str] = []
    tell(f"report: {write_report(runs, out, notes=notes)}")
    print_notes(notes)
    return 1 if notes else 0
