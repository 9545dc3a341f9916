"""``downslope mcp``: a server of the Model Context Protocol, by which coding assistants read, explain and check."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from downslope.cli.arguments import CommandParser, file_path
from downslope.core.shown import shown
from downslope.language import said


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "mcp",
        summary=(
            "Answer a coding assistant over standard input and output, by the Model Context Protocol: read, check,\n"
            "explain, compare, export, audit and rescale as tools, whose answers are data with what they rest on.\n"
            "Assistants start it themselves. It trains nothing, runs and writes nothing, needs no network, and reads\n"
            "no files but those below --root."
        ),
        example="downslope mcp --root .",
    )
    parser.add_argument(
        "--root", metavar="DIR", type=file_path, help="let tools read files below DIR (default: none at all)"
    )
    arguments = parser.read(words)
    if arguments.root is not None and not arguments.root.is_dir():
        parser.error(f"--root {shown(arguments.root)}: no such folder")
    from downslope.assistants.server import serve

    if sys.stdin is not None and sys.stdin.isatty():
        print(
            said("waiting for an assistant on standard input, which starts this itself; Ctrl-C ends it"),
            file=sys.stderr,
        )
    serve(arguments.root)
    return 0
