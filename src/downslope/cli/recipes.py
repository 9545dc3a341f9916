"""``downslope recipes``: the recipes that come with Downslope, or the text of one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from downslope.cli.arguments import CommandParser
from downslope.core.errors import RecipeError, did_you_mean
from downslope.core.shown import shown
from downslope.language import tell
from downslope.recipe.known import known_name, known_recipes, known_text
from downslope.recipe.load import parse_recipe


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "recipes",
        summary=(
            "List the recipes that come with Downslope, or print one as TOML, with the reason of each of its numbers.\n"
            "A name from the list stands for the recipe wherever a recipe file is taken."
        ),
        example="downslope recipes digits-cosine-warmup > mine.toml",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="print this recipe")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    arguments = parser.read(words)
    if arguments.name is not None:
        if arguments.json:
            parser.error("--json is for the list; a recipe is printed as TOML")
        sys.stdout.write(known_text(_checked(arguments.name)))
        return 0
    recipes = {name: parse_recipe(known_text(name), name) for name in known_recipes()}
    if arguments.json:
        table = [
            {"name": name, "title": recipe.title, "source": recipe.source, "data": recipe.data.name}
            for name, recipe in recipes.items()
        ]
        print(json.dumps(table, indent=2, ensure_ascii=False))
        return 0
    width = max(map(len, recipes))
    print("\n".join(f"{name:<{width}}  {recipe.title}" for name, recipe in recipes.items()))
    tell("\ntrain one: downslope train NAME    read one: downslope recipes NAME")
    return 0


def _checked(given: str) -> str:
    name = known_name(given)
    if name is None:
        known = known_recipes()
        raise RecipeError(
            f"recipes: `{shown(given)}` does not come with Downslope.{did_you_mean(given, known)} "
            f"There are {', '.join(known)}."
        )
    return name
