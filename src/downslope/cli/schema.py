"""``downslope schema``: the JSON Schema of a recipe, by which editors complete and check."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from downslope.cli.arguments import CommandParser, written_file
from downslope.cli.streams import write_new
from downslope.core.errors import DownslopeError
from downslope.language import tell
from downslope.recipe.json_schema import recipe_schema


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "schema",
        summary=(
            "Print the JSON Schema of a recipe. Editors that know TOML (taplo, Even Better TOML in VS Code, tombi)\n"
            "complete and check a recipe whose first line is\n\n    #:schema ./recipe.schema.json"
        ),
        example="downslope schema --out recipe.schema.json",
    )
    parser.add_argument(
        "--out", metavar="FILE", type=written_file, help="write it to a new file, and say the line for a recipe"
    )
    out = parser.read(words).out
    text = json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        sys.stdout.write(text)
        return 0
    write_new(out, text, DownslopeError)
    tell(f"{out} written. The first line of a recipe beside it is then:\n#:schema ./{out.name}")
    return 0
