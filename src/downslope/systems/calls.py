"""Argument lists in any convention, as text: "torch: SGD(lr=0.1, momentum=0.9)", "keras.optimizers.SGD(...)".

They are parsed, and nothing is run: literals, arithmetic on numbers, and the few calls that stand for numbers
(schedules, L2).
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable
from typing import Any

from downslope.core import schedules
from downslope.core.errors import RecipeError, SettingsError
from downslope.systems.schedules import counterparts
from downslope.systems.table import CONVENTIONS, find_convention

_OWN_SCHEDULES = {kind.__name__: kind for kind in schedules.SCHEDULES.values()}
_KERAS_SCHEDULES = counterparts("keras")
_BARE = "arguments"
"""What is called where arguments stand alone."""
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def find_call(text: str) -> tuple[str, dict[str, Any], str] | None:
    """Return the convention, the arguments and the shown form of an argument list, or None if the text is none.

    Args:
        text: The text.

    Raises:
        RecipeError: If it is one, but cannot be parsed.

    Example:
        >>> find_call("torch: SGD(lr=0.1, momentum=0.9)")[:2]
        ('torch', {'lr': 0.1, 'momentum': 0.9})
        >>> find_call("keras.optimizers.SGD(learning_rate=0.1)")[0]
        'keras'
    """
    plain = text.strip()
    prefixed = re.match(r"([A-Za-z][\w.\-]*)\s*:\s*(.+)\Z", plain, flags=re.DOTALL)
    if prefixed and (name := _convention(prefixed.group(1))) is not None:
        if name == "caffe" and not re.match(r"\w+\s*\(|\w+\s*=", prefixed.group(2)):
            return None  # a solver's own text, which the reader reads
        return name, _arguments(prefixed.group(2), text, name), plain
    called = re.match(r"([A-Za-z_][\w.]*)\s*\(.*\)\Z", plain, flags=re.DOTALL)
    if called and (name := _by_title(called.group(1))) is not None:
        return name, _arguments(plain, text, name), plain
    return None


def _convention(word: str) -> str | None:
    try:
        return find_convention(word).name
    except SettingsError:
        return None


def _by_title(function: str) -> str | None:
    if function in {"optax.chain", "chain"}:
        return "optax"
    titles = {row.title: row.name for row in CONVENTIONS.values()}
    short = function.removeprefix("tf.").removeprefix("optim.")
    return titles.get(function) or titles.get(short) or titles.get(f"downslope.{short}")


def _arguments(source: str, text: str, convention: str) -> dict[str, Any]:
    source = source.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of somebody's "1else" is no news to them
            tree = ast.parse(source if re.match(r"[\w.]+\s*\(", source) else f"{_BARE}({source})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise RecipeError(_unreadable(text, "it is not a call with named arguments")) from None
    if not isinstance(tree, ast.Call):
        raise RecipeError(_unreadable(text, "it is not a call with named arguments"))
    if _name(tree.func) == "chain":
        return _chain(tree, text)
    _check_function(tree, text, convention)
    return _of_call(tree, text, convention)


def _check_function(tree: ast.Call, text: str, convention: str) -> None:
    """Raise if what is called is another optimizer: "torch: Adam(lr=0.1)" is no SGD of torch's."""
    called, title = _name(tree.func), CONVENTIONS[convention].title
    own = title.partition("(")[0].rpartition(".")[2]
    is_factory = any(keyword.arg == "opt" for keyword in tree.keywords)  # timm's, whose `opt` the convention checks
    if not is_factory and called.lower() not in {_BARE, "sgd", own.lower()}:
        raise RecipeError(_unreadable(text, f"`{called}` is another optimizer than {title}, and only SGD is compared"))


def _of_call(tree: ast.Call, text: str, convention: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    places = ["learning_rate", "momentum", "nesterov"] if convention in {"optax", "keras"} else []
    for place, argument in enumerate(tree.args):
        if isinstance(argument, ast.Starred) or (place == 0 and not places and _is_parameters(argument)):
            continue
        if place >= len(places):
            raise RecipeError(_unreadable(text, "its arguments must be named, as in lr=0.1"))
        found[places[place]] = _value(argument, text)
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise RecipeError(_unreadable(text, "** stands for arguments that are not there"))
        if keyword.arg not in {"params", "parameters"}:
            found[keyword.arg] = _value(keyword.value, text)
    return found


def _is_parameters(tree: ast.expr) -> bool:
    """Return whether an argument is what is to be optimized: a name, an attribute or a call of a method."""
    return isinstance(tree, ast.Name | ast.Attribute | ast.Call)


def _chain(tree: ast.Call, text: str) -> dict[str, Any]:
    """Return optax's arguments of chain(add_decayed_weights(d), sgd(...)), the one chain that has a row."""
    names = [_name(link.func) if isinstance(link, ast.Call) else "" for link in tree.args]
    if names == ["add_decayed_weights", "sgd"]:
        decay, sgd = tree.args
        if isinstance(decay, ast.Call) and isinstance(sgd, ast.Call):
            given = [_value(one, text) for one in (*decay.args, *(keyword.value for keyword in decay.keywords))]
            if len(given) == 1:
                return {**_of_call(sgd, text, "optax"), "weight_decay": given[0]}
    raise RecipeError(
        _unreadable(text, "of chains, optax.chain(optax.add_decayed_weights(d), optax.sgd(...)) is understood")
    )


def _value(tree: ast.expr, text: str) -> Any:
    if isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATORS:
        left, right = _value(tree.left, text), _value(tree.right, text)
        if all(isinstance(one, int | float) for one in (left, right)):
            try:
                return _OPERATORS[type(tree.op)](left, right)
            except (ZeroDivisionError, OverflowError):
                raise RecipeError(_unreadable(text, f"{ast.unparse(tree)} is no number")) from None
    if isinstance(tree, ast.Call):
        return _named(tree, text)
    if isinstance(tree, ast.Tuple | ast.List):
        return tuple(_value(one, text) for one in tree.elts)
    try:
        return ast.literal_eval(tree)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise RecipeError(_unreadable(text, f"{ast.unparse(tree)} is neither a number nor a word")) from None


def _named(tree: ast.Call, text: str) -> Any:
    name = _name(tree.func)
    given = [_value(argument, text) for argument in tree.args]
    named = {keyword.arg: _value(keyword.value, text) for keyword in tree.keywords if keyword.arg}
    if name in {"L2", "l2"}:
        values = [*given, *named.values()]
        return values[0] if values else 0.01  # Keras's own default
    if name in _OWN_SCHEDULES:
        try:
            return _OWN_SCHEDULES[name](*given, **named)
        except TypeError as error:
            raise RecipeError(_unreadable(text, f"{name}: {error}")) from None
    if name in _KERAS_SCHEDULES:
        row = _KERAS_SCHEDULES[name]
        config = {**row.defaults, **dict(zip(row.arguments, given, strict=False)), **named}
        return {"class_name": name, "config": config}
    known = ", ".join(["L2", *_OWN_SCHEDULES, *_KERAS_SCHEDULES])
    raise RecipeError(_unreadable(text, f"{name}(...) is none of {known}"))


def _name(tree: ast.expr) -> str:
    return tree.attr if isinstance(tree, ast.Attribute) else tree.id if isinstance(tree, ast.Name) else ""


def _unreadable(text: str, why: str) -> str:
    shown = " ".join(text.split())
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return f'{shown!r}: {why}. Write it like "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)".'
