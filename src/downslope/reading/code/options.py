"""Options that a program declares (argparse, click, typer, absl), with their defaults or the flags given."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from downslope.reading.arithmetic import is_number
from downslope.reading.code.tree import defaults_of, name_of
from downslope.reading.code.values import Builtin, Class, Function, Made, Namespace, Scope, Unknown, Value, words_of
from downslope.reading.code.written import from_words, items_of, number_in, wrapped

if TYPE_CHECKING:
    from downslope.reading.code.calling import Calls

PARSERS = words_of(
    "ArgumentParser HfArgumentParser add_argument add_argument_group add_mutually_exclusive_group parse_args "
    "parse_known_args "
    "set_defaults add_subparsers add_parser parse_args_into_dataclasses add_bool_arg cli"
)
_TABLES = words_of(
    "EasyDict edict ConfigDict Namespace SimpleNamespace CfgNode CN AttrDict DotMap Dict Munch HParams "
    "FrozenConfigDict "
    "OmegaConf create Box ConfigParser config_dict placeholder HParam"
)


def make_namespace(name: str, args: list[Value], kwargs: dict[str, Value]) -> Value | None:
    """Return a table of settings that a call makes, or None if it makes none."""
    if name not in _TABLES or name in {"create", "Dict"}:
        return None
    table = dict(args[0].data) if args and isinstance(args[0].data, dict) else {}
    return Value(Namespace({**{str(key): value for key, value in table.items()}, **kwargs}))


def call_parser(
    on: Calls,
    name: str,
    path: str,
    args: list[Value],
    kwargs: dict[str, Value],
    place: tuple[int, int],
    receiver: Value | None,
) -> Value:
    """Call a parser of options, or one of its methods."""
    if name in {"ArgumentParser", "HfArgumentParser"}:
        return Value(Made(path, name, args, kwargs, *place))
    if name == "add_argument":
        _add_argument(on, args, kwargs)
    elif name == "add_bool_arg" and len(args) >= 2 and isinstance(args[1].data, str):
        on.options[args[1].data.lstrip("-").replace("-", "_")] = args[2] if len(args) > 2 else Value(False)
    elif name == "set_defaults":
        on.options.update(kwargs)
    elif name in {"parse_args", "parse_known_args"}:
        on.options.update(_given(on, args[0].data) if args and isinstance(args[0].data, list) else {})
        table = Value(Namespace(dict(on.options)))
        on.parsed = table.data
        return table if name == "parse_args" else Value([table, Value([])])
    elif name in {"parse_args_into_dataclasses", "cli"}:
        given = receiver.data.args[:1] if receiver is not None and isinstance(receiver.data, Made) else []
        kinds = args if name == "cli" else [kind for one in given for kind in items_of(one) or [one]]
        made = [on.instantiate(kind, [], {}) for kind in kinds if isinstance(kind.data, Class)]
        found = made[0] if name == "cli" and made else Value(made)
        if name == "cli" and args and isinstance(args[0].data, Function):
            return on.call_function(args[0].data, [], dict(on.flags))
        return found
    return receiver if receiver is not None else Value(Unknown("parser"))


def _add_argument(on: Calls, args: list[Value], kwargs: dict[str, Value]) -> None:
    names = [arg.data for arg in args if isinstance(arg.data, str)]
    if not names:
        return
    long = next((name for name in names if name.startswith("--")), names[0])
    target = kwargs.get("dest")
    name = str(target.data) if target is not None and isinstance(target.data, str) else plain_name(long)
    value = kwargs.get("default") or Value(None)
    action = kwargs["action"].data if "action" in kwargs else None
    if "default" not in kwargs and action in {"store_true", "store_false"}:
        value = Value(action == "store_false")
    first = next((arg for arg in args if arg.start >= 0), None)
    if first is not None and value.literal:
        value = value.within(first.start, max(value.end, first.end))
    given = next((on.flags[plain_name(one)] for one in [*names, name] if plain_name(one) in on.flags), None)
    if given is not None:
        value = given
        if action in {"store_true", "store_false"} and not isinstance(given.data, bool):
            value = Value(
                action == "store_true", given.start, given.end, literal=True, file=given.file, words=given.words
            )
    on.options[name] = _typed(on, value, kwargs.get("type"), kwargs.get("nargs"))
    on.aliases.update(dict.fromkeys(map(plain_name, names), name))


def _given(on: Calls, words: list[Value]) -> dict[str, Value]:
    """Return the options that a list of a command's words sets: `parse_args(["--lr", "0.1", "-e", "90"])`."""
    found: dict[str, Value] = {}
    name = ""
    for word in words:
        told = on.aliases.get(plain_name(word.data), "") if isinstance(word.data, str) and word.data[:1] == "-" else ""
        if told:
            name, found[told] = told, word.but(True)
        elif name and isinstance(word.data, str):
            number = number_in(word.data)
            found[name] = word if number is None else word.but(number)
    return found


def plain_name(flag: str) -> str:
    """Return an option's name as a name of the program: "--batch-size" is `batch_size`."""
    return flag.lstrip("-").replace("-", "_")


def _typed(on: Calls, value: Value, kind: Value | None, many: Value | None) -> Value:
    """Return a default or flag as the option's type makes it; argparse applies it to texts alone."""
    data = value.data
    if many is not None and str(many.data) in {"+", "*"} and is_number(data) and value.file:
        return Value([value], value.start, value.end, literal=True, file=value.file, words=value.words)
    if kind is None or data is None or isinstance(data, bool):
        return value
    name = kind.data.name if isinstance(kind.data, Builtin) else ""
    if isinstance(data, str):
        if name in {"int", "float"}:
            found = number_in(data)
            found = int(found) if name == "int" and found is not None else found
            return Value(None) if found is None else wrapped(found, value)
        if name == "eval":
            return from_words(value)
        if isinstance(kind.data, Function):
            found = on.call_function(kind.data, [value], {})
            return wrapped(_bare(found), value) if not isinstance(found.data, Unknown) else found
        return value
    if value.file and isinstance(kind.data, Function):  # a flag that was read as a list or number already
        listed = on.call_function(kind.data, [Value(_text(data))], {})
        return wrapped(_bare(listed), value) if not isinstance(listed.data, Unknown) else value
    return value


def _bare(value: Value) -> Any:
    return [_bare(item) for item in value.data] if isinstance(value.data, list | tuple) else value.data


def _text(data: Any) -> str:
    return ",".join(f"{getattr(item, 'data', item)}" for item in data) if isinstance(data, list | tuple) else f"{data}"


def declare(on: Calls, name: str, args: list[Value], kwargs: dict[str, Value]) -> None:
    """Note an option of absl's or TensorFlow's flags: its name, its default."""
    title = kwargs.get("name") or (args[0] if args else None)
    default = kwargs.get("default") or (args[1] if len(args) > 1 else Value(None))
    if title is None or not isinstance(title.data, str):
        return
    value = default.within(title.start, max(default.end, title.end)) if default.literal else default
    if name in {"DEFINE_list", "DEFINE_multi_integer", "DEFINE_multi_float"} and isinstance(value.data, str):
        value = from_words(value)
    on.options[title.data] = on.flags.get(plain_name(title.data)) or value


def declared_defaults(on: Calls, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> dict[str, Value]:
    """Return the defaults that decorators or calls in a function's signature give its parameters: click's, typer's."""
    found: dict[str, Value] = {}
    for decorator in node.decorator_list:
        if not isinstance(decorator, ast.Call):
            continue
        if name_of(decorator.func) not in {"option", "argument"}:
            continue
        args, kwargs = on.arguments(decorator, scope)
        names = [arg.data for arg in args if isinstance(arg.data, str)]
        long = next((one for one in names if not one.startswith("-")), None)
        long = long or next((one for one in names if one.startswith("--")), names[0] if names else "")
        value = kwargs.get("default") or Value(None)
        if args and value.literal:
            value = value.within(args[0].start, value.end)
        key = plain_name(long.partition("/")[0])
        found[key] = on.flags.get(key) or value
        on.options.setdefault(key, found[key])
    for parameter, default in defaults_of(node.args):
        if isinstance(default, ast.Call) and name_of(default.func) in {"Option", "Argument"}:
            args, kwargs = on.arguments(default, scope)
            first = kwargs.get("default") or (args[0] if args else None)
            if first is not None:
                value = first.within(on.program.place(parameter)[0], first.end)
                found[parameter.arg] = on.flags.get(parameter.arg) or value
    return found
