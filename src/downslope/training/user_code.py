"""A person's own functions, named "package.module:function" in a recipe: found and called. And tables of options.

Every way in which a person's code can fail gets a message. Data, models and losses check what they got back; whether a
function may be called at all, `folder/trust.py` says.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from downslope.core.errors import DataError, RecipeError, did_you_mean
from downslope.core.shown import shown
from downslope.core.tables import Source, decode
from downslope.recipe.schema import Recipe

Options = TypeVar("Options")

FAILURES = (Exception, SystemExit)
"""What a person's own code may raise; SystemExit too, or their sys.exit() would end the run as if it were done."""


LIBRARIES = ("timm:", "hf:")
"""How names begin that mean something of another library, and no module of a person's own."""


def is_import_path(name: str) -> bool:
    """Return whether a name in a recipe means a person's own function."""
    return ":" in name and not name.startswith(LIBRARIES)


def functions_named(recipe: Recipe) -> dict[str, str]:
    """Return the functions that a recipe names: dotted path of the key -> name. Using the recipe imports them."""
    named = {"data.name": recipe.data.name, "model.name": recipe.model.name, "train.loss": recipe.train.loss}
    return {path: name for path, name in named.items() if is_import_path(name)}


def import_function(path: str, what: str) -> Callable[..., Any]:
    """Return the function, or class, that "package.module:function" names.

    Args:
        path: The name.
        what: The recipe's key, for messages, such as "data.name".

    Raises:
        DataError: As in `import_object`, or if it cannot be called.

    Example:
        >>> import_function("os.path:basename", "data.name")("a/b")
        'b'
    """
    target = import_object(path, what)
    if not callable(target):
        raise DataError(f"{_place(path, what)}: is {type(target).__name__}, not a function. Name a function.")
    return target


def import_object(path: str, what: str) -> Any:
    """Return what "package.module:function" names, whatever it is; the current directory is searched first.

    Args:
        path: The name.
        what: The recipe's key, for messages, such as "data.name".

    Raises:
        DataError: If there is no such module or function, or importing the module fails.

    Example:
        >>> import_object("os.path:sep", "data.name")
        '/'
    """
    module_name, _, function_name = path.partition(":")
    place = _place(path, what)
    if not all(part.isidentifier() for part in (*module_name.split("."), *function_name.split("."))):
        raise DataError(f'{place}: must be "package.module:function", such as "my_task:load_data".')
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        target: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise DataError(f"{place}: {_no_module(module_name, error.name, here)}") from None
        raise DataError(f"{place}: importing `{module_name}` failed: {describe(error)}") from error
    except FAILURES as error:
        raise DataError(f"{place}: importing `{module_name}` failed: {describe(error)}") from error
    for name in function_name.split("."):
        if not hasattr(target, name):
            public = [word for word in vars(target) if not word.startswith("_")] if hasattr(target, "__dict__") else []
            raise DataError(
                f"{place}: `{module_name}` has no function `{function_name}`.{did_you_mean(name, public)}"
                f" It is {getattr(target, '__file__', 'a built-in module')}."
            )
        target = getattr(target, name)
    return target


def call_function(path: str, what: str, *arguments: Any, options: Mapping[str, Any]) -> Any:
    """Return what the function that `path` names returns.

    Args:
        path: As in `import_function`.
        what: As in `import_function`.
        *arguments: Positional arguments.
        options: Keyword arguments, from the recipe.

    Raises:
        DataError: If it cannot be found, does not take these arguments, or raises.
    """
    return call(import_function(path, what), path, what, *arguments, options=options)


def call(
    function: Callable[..., Any],
    path: str,
    what: str,
    *arguments: Any,
    options: Mapping[str, Any],
    named: tuple[str, ...] = (),
    hint: str = "",
) -> Any:
    """Return what a person's function returns.

    Args:
        function: The function, or class.
        path: What names it.
        what: As in `import_function`.
        *arguments: Positional arguments.
        options: Keyword arguments, from the recipe.
        named: What to call the positional arguments in messages.
        hint: A sentence, after a space, on what to do if it raises a TypeError.

    Raises:
        DataError: If it does not take these arguments, or raises.
    """
    table, _, _ = what.partition(".")
    name = path.rpartition(":")[2]
    words = [
        *(named or ["..."] * len(arguments)),
        *(f"{key}={shown(repr(value), 60)}" for key, value in options.items()),
    ]
    called = f"{name}({', '.join(words)})"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = None  # a built-in without one: the call itself will tell
    if signature is not None:
        try:
            signature.bind(*arguments, **options)
        except TypeError as error:
            raise DataError(
                f"{_place(path, what)}: cannot be called as {called}: {error}. It is {name}{shown(signature)}; "
                f"keywords come from {table}.options."
            ) from None
    try:
        return function(*arguments, **options)
    except DataError:
        raise
    except FAILURES as error:
        more = hint if isinstance(error, TypeError) else ""
        raise DataError(f"{_place(path, what)}: raised {describe(error)}. It was called as {called}.{more}") from error


def describe(error: BaseException) -> str:
    """Return an error's type, message and where it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _place(path: str, what: str) -> str:
    return f"{what} = '{shown(path)}'"


def _no_module(module: str, missing: str, here: str) -> str:
    parent, _, last = missing.rpartition(".")
    if parent:
        places = getattr(sys.modules.get(parent), "__path__", [])
        siblings = [info.name for info in pkgutil.iter_modules(places)]
        return f"there is no module `{missing}`.{did_you_mean(last, siblings)}"
    known = [info.name for info in pkgutil.iter_modules([here])]
    return (
        f"there is no module `{module}`.{did_you_mean(missing, known)} "
        f"Modules are looked for in the current directory ({here}) and among installed packages."
    )


def read_options(kind: type[Options], options: Mapping[str, Any], table: str) -> Options:
    """Return the frozen dataclass `kind` made from a table of options.

    Args:
        kind: A dataclass; its fields, types and defaults are what is allowed.
        options: The table.
        table: "data" or "model": whose options they are.

    Raises:
        RecipeError: If a key is unknown or missing, or a value is of the wrong type or not allowed.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Noise:
        ...     level: float = 0.1
        >>> read_options(Noise, {"level": 0.5}, "data")
        Noise(level=0.5)
    """
    try:
        return decode(kind, dict(options), Source("recipe"), (table, "options"))
    except RecipeError as error:
        raise RecipeError(str(error).replace("--data.options.path", "--data.path")) from None  # the short way to say it


def refuse_hidden(name: str, hidden: tuple[int, ...] | None, instead: str) -> None:
    """Raise if a recipe gives `model.hidden` to a model other than `mlp`, which would ignore it.

    Args:
        name: The model.
        hidden: The recipe's `model.hidden`.
        instead: Which of its options to use.

    Raises:
        DataError: If it is given.
    """
    if hidden is not None:
        raise DataError(f"model.hidden: belongs to the model `mlp`; `{name}` takes model.options instead: {instead}.")


def refuse_options(name: str, options: Mapping[str, Any], table: str, hint: str = "") -> None:
    """Raise unless there are no options.

    Args:
        name: The data set or model that takes none.
        options: The table of options.
        table: "data" or "model".
        hint: A sentence on what to do instead.

    Raises:
        DataError: If there is one.
    """
    if options:
        raise DataError(f"{table}.options: `{name}` takes none; got {', '.join(options)}.{hint and ' ' + hint}")
