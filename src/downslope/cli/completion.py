"""``downslope completion``: a script by which a shell completes commands, options, files and the keys of a recipe."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from downslope.cli import arguments
from downslope.cli.arguments import CommandParser
from downslope.core.errors import DownslopeError
from downslope.exporting import TARGETS
from downslope.recipe.json_schema import recipe_schema
from downslope.recipe.overrides import recipe_paths

SHELLS: Mapping[str, str] = MappingProxyType(
    {
        "bash": "downslope completion bash > ~/.local/share/bash-completion/completions/downslope",
        "zsh": "downslope completion zsh > ~/.zfunc/_downslope   # with ~/.zfunc in $fpath, before compinit",
        "fish": "downslope completion fish > ~/.config/fish/completions/downslope.fish",
    }
)
"""Each shell, and how its script is put where it looks."""

_WORDS: Mapping[str, Sequence[str]] = MappingProxyType({"TARGET": tuple(TARGETS), "LANG": ("en", "zh")})
_FOLDERS = frozenset({"RUN", "FOLDER", "DIR"})
_FILES = frozenset({"FILE", "RECIPE", "TEXT", "STATE", "A", "B", "PATH"})


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "completion",
        summary=(
            "Print the script by which a shell completes commands, options, files and the keys of a recipe.\n"
            + "\n".join(f"    {line}" for line in SHELLS.values())
        ),
        example="downslope completion bash > ~/.local/share/bash-completion/completions/downslope",
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    shell = parser.read(words).shell
    try:
        import shtab  # deferred: of an extra
    except ImportError:
        raise DownslopeError('completion: this needs shtab. Run: pip install "downslope[completion]"') from None
    sys.stdout.write(shtab.complete(_everything(shtab), shell))
    return 0


def _everything(shtab: Any) -> argparse.ArgumentParser:
    """Return one parser of all commands, as shtab reads it."""
    from downslope.cli.main import COMMANDS  # deferred: main imports the commands as they are asked for

    root = argparse.ArgumentParser(prog="downslope", add_help=False)
    root.add_argument("-V", "--version", action="store_true", help="the version")
    root.add_argument("-h", "--help", action="store_true", help="the commands")
    commands = root.add_subparsers()
    about = _sentences(recipe_schema())
    for name, summary in COMMANDS.items():
        own = arguments.parser_of(importlib.import_module(f"downslope.cli.{name}").execute)
        parser = commands.add_parser(name, help=summary, parents=[own], add_help=False)
        for action in parser._actions:  # noqa: SLF001 -- shtab reads a mark on each action
            kind = str(action.metavar or action.dest).upper()
            action.choices = action.choices or _WORDS.get(kind)
            where = shtab.DIRECTORY if kind in _FOLDERS else shtab.FILE if kind in _FILES else None
            if where is not None and not action.choices:
                action.complete = where  # type: ignore[attr-defined]
        if own.takes_overrides:
            for path in recipe_paths():
                text, choices = about.get(path, ("", None))
                parser.add_argument(f"--{path}", help=text.replace("%", "%%"), choices=choices)
    return root


def _sentences(schema: Mapping[str, Any]) -> dict[str, tuple[str, list[str] | None]]:
    """Return what each key of a recipe is, and the words that it may be, by its path."""
    found: dict[str, tuple[str, list[str] | None]] = {}

    def walk(table: Mapping[str, Any], path: str) -> None:
        while "$ref" in table:
            table = schema["definitions"][table["$ref"].rpartition("/")[2]]
        for name, one in table.get("properties", {}).items():
            inner = f"{path}.{name}" if path else name
            words = [word for word in one.get("enum", ()) if isinstance(word, str)]
            found[inner] = one.get("description", "").partition(". ")[0], words or None
            for part in (one, *one.get("anyOf", ())):
                if part.get("$ref", "/schedule") != "#/definitions/schedule" and part.get("$ref"):
                    walk(part, inner)

    walk(schema, "")
    return found
