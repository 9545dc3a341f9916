"""What is known of Python's own functions and methods, and of calls of other modules that only compute or pass on."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from downslope.reading.code import arithmetic
from downslope.reading.code.arithmetic import CASTS, NUMERIC, UNKNOWN, apply, concrete
from downslope.reading.code.options import PARSERS, call_parser, declare, make_namespace
from downslope.reading.code.values import (
    MOST_ITEMS,
    Builtin,
    Class,
    Function,
    Groups,
    Instance,
    Made,
    Namespace,
    PerEpoch,
    Ref,
    Span,
    Unknown,
    Value,
    is_known,
    is_number,
    join_sources,
)

if TYPE_CHECKING:
    from downslope.reading.code.expressions import Expressions

_BUILTINS = frozenset(
    "len range int float str bool min max sum abs round list tuple set sorted reversed dict zip map filter isinstance getattr "
    "setattr hasattr vars eval any all super type pow enumerate next iter".split()
)
_RUNS = frozenset("run Fire main_wrapper spawn launch call_main".split())
_GIVES_FIRST = frozenset(
    "tqdm iter DistributedOptimizer CrossShardOptimizer enable_mixed_precision_graph_rewrite LossScaleOptimizer jit pmap "
    "track list mit prefetch_to_device shard wraps inject_hyperparams to parallel prefetch shuffle repeat cache map "
    "MultiSteps Lookahead scale_loss create setup use_cleargrads take".split()
)
_GIVES_ALL = frozenset({"prepare", "initialize"})
_FILTERED = frozenset({"filter", "compress"})


def is_builtin(name: str) -> bool:
    """Return whether a name is a function of Python's that is known here."""
    return name in _BUILTINS


def items_of(value: Value, steps: int | None = None) -> list[Value] | None:
    """Return the items of something that can be gone through, or None if they are not known or too many."""
    data = value.data
    if isinstance(data, list | tuple):
        return list(data[:MOST_ITEMS])
    if isinstance(data, dict):
        return [Value(key) for key in data]
    if isinstance(data, Namespace):
        return [Value(key) for key in data.attributes]
    if isinstance(data, Span):
        bounds = [concrete(one.data, steps) for one in (data.start, data.stop, data.step)]
        if all(isinstance(bound, int) for bound in bounds) and bounds[2]:
            return [Value(i) for i in range(*bounds)] if len(range(*bounds)) <= 400 else None  # type: ignore[arg-type]
    return None


def call_builtin(
    on: Expressions, name: str, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]
) -> Value:
    """Call one of Python's functions."""
    sources = join_sources(arg.sources for arg in args)
    first = args[0] if args else Value(UNKNOWN)
    if name in {"int", "float", "round", "abs", "pow"} and args:
        return _number(on, name, args, sources, place)
    if name in {"min", "max", "sum"}:
        items = items_of(first, on.steps) if len(args) == 1 else args
        return _extreme(on, name, items, sources, place)
    method = _CALLS.get(name)
    if method is None or not (args or name == "dict"):
        return Value([], *place, sources={}) if name in {"list", "set"} and not args else Value(UNKNOWN)
    return method(on, args, kwargs, place)


def _number(on: Expressions, name: str, args: list[Value], sources: dict[int, Value], place: tuple[int, int]) -> Value:
    first = args[0]
    data = concrete(first.data, on.steps)
    if isinstance(data, PerEpoch):
        return first
    if isinstance(data, str) and name in {"int", "float"}:
        data = number_in(data)
    if not is_number(data):
        return Value(UNKNOWN)
    function = {"int": int, "float": float, "round": round, "abs": abs, "pow": NUMERIC["pow"]}[name]
    found = apply(function, [data, *(arg.data for arg in args[1:])], on.steps)
    if found == first.data or (isinstance(first.data, str) and first.literal):
        return Value(
            found,
            first.start,
            first.end,
            literal=first.literal,
            sources=first.sources,
            file=first.file,
            words=first.words,
        )
    return Value(found, *place, sources=sources)


def number_in(words: str) -> float | None:
    """Return the number that a text is, or None."""
    try:
        found = ast.literal_eval(words.strip()[:60])
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None
    return found if is_number(found) and abs(found) < 1e18 else None


def _extreme(
    on: Expressions, name: str, items: list[Value] | None, sources: dict[int, Value], place: tuple[int, int]
) -> Value:
    data = [concrete(item.data, on.steps) for item in items or []]
    if not data or not all(is_number(one) for one in data):
        known = [one for one, item in zip(items or [], data, strict=False) if is_number(item)]
        return known[0] if name != "sum" and len(known) == 1 and len(data) == 2 else Value(UNKNOWN)
    found = apply(lambda *all_of: {"min": min, "max": max, "sum": sum}[name](all_of), data, on.steps)
    return Value(found, *place, sources=sources)


def _len(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    return Value(concrete(arithmetic.length(args[0].data), on.steps))


def _range(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    zero, one = Value(0), Value(1)
    start, stop = (zero, args[0]) if len(args) == 1 else (args[0], args[1])
    return Value(Span(start, stop, args[2] if len(args) > 2 else one))


def _listed(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    items = items_of(args[0], on.steps)
    return args[0] if items is None or isinstance(args[0].data, list | tuple) else Value(items, sources=args[0].sources)


def _sorted(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    items = items_of(args[0], on.steps)
    if items is None or kwargs or not all(is_number(item.data) for item in items):
        return args[0]
    return Value(sorted(items, key=lambda item: item.data), args[0].start, args[0].end, sources=args[0].sources)


def _zip(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    many = [items_of(arg, on.steps) for arg in args]
    if any(items is None for items in many):
        return Value(Unknown("loader"))
    return Value([Value(list(row)) for row in zip(*many, strict=False)])  # type: ignore[arg-type]


def _enumerate(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    items = items_of(args[0], on.steps)
    return args[0] if items is None else Value([Value([Value(i), item]) for i, item in enumerate(items)])


def _map(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    items = items_of(args[1], on.steps) if len(args) > 1 else None
    if items is None:
        return Value(UNKNOWN)
    return Value(
        [on.call_value(args[0], [item], {}) for item in items[:200]],
        args[1].start,
        args[1].end,
        sources=args[1].sources,
    )


def _filter(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    return args[1] if len(args) > 1 else Value(UNKNOWN)


def _getattr(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    if len(args) < 2 or not isinstance(args[1].data, str):
        return Value(Unknown("getattr"))
    found = on.get(args[0], args[1].data)
    return args[2] if len(args) > 2 and isinstance(found.data, Unknown) else found


def _setattr(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    if len(args) == 3 and isinstance(args[1].data, str) and isinstance(args[0].data, Instance | Namespace):
        args[0].data.attributes[args[1].data] = args[2]
    return Value(None)


def _hasattr(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    data = args[0].data
    known = isinstance(data, Namespace | Instance) and len(args) > 1 and args[1].data in data.attributes
    return Value(True if known else UNKNOWN)


def _vars(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    data = args[0].data
    return Value(data.attributes if isinstance(data, Namespace | Instance) else Unknown("args"))


def _evaluated(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    return from_words(args[0])


def from_words(value: Value) -> Value:
    """Return the number or list that a text is: "[30, 60]", "30,60"."""
    if not isinstance(value.data, str) or len(value.data) > 400:
        return value if not isinstance(value.data, str) else Value(UNKNOWN)
    try:
        found = ast.literal_eval(value.data.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return Value(UNKNOWN)
    return wrapped(found, value)


def wrapped(data: Any, value: Value) -> Value:
    """Return plain data as a value with the words of another."""
    if isinstance(data, list | tuple):
        data = [wrapped(item, value) for item in data[:MOST_ITEMS]]
    elif isinstance(data, dict):
        data = {key: wrapped(item, value) for key, item in data.items() if isinstance(key, str | int | float)}
    elif not isinstance(data, str | int | float | None):
        data = UNKNOWN
    return Value(
        data, value.start, value.end, literal=value.literal, file=value.file, words=value.words, doubt=value.doubt
    )


def _dict(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    if args and not isinstance(args[0].data, dict | list | tuple):
        return Value(Unknown("dict"))
    found = dict(args[0].data) if args and isinstance(args[0].data, dict) else {}
    for item in (items_of(args[0]) or []) if args and not found else []:
        pair = items_of(item) or []
        if len(pair) == 2 and isinstance(pair[0].data, str):
            found[pair[0].data] = pair[1]
    return Value({**found, **kwargs}, *place, sources={})


def _isinstance(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    data, kind = args[0].data, args[1].data if len(args) > 1 else None
    if is_known(data) and isinstance(kind, Builtin):
        types = {"int": int, "float": float, "str": str, "list": list, "tuple": tuple, "dict": dict, "bool": bool}
        return Value(isinstance(data, types[kind.name]) if kind.name in types else UNKNOWN)
    return Value(False if is_known(data) and data is not None and isinstance(kind, Ref) else UNKNOWN)


def _super(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    return Value(Unknown("super"))


def _first(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    return args[0]


def _any(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    truths = [on.truth(item) for item in items_of(args[0]) or [Value(UNKNOWN)]]
    return Value(True if True in truths else UNKNOWN if None in truths else False, sources=args[0].sources)


def _all(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    truths = [on.truth(item) for item in items_of(args[0]) or [Value(UNKNOWN)]]
    return Value(False if False in truths else UNKNOWN if None in truths else True, sources=args[0].sources)


def _words(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    data = args[0].data
    return Value(str(data) if isinstance(data, int | float | str) else UNKNOWN, args[0].start, args[0].end)


def _flag(on: Expressions, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    truth = on.truth(args[0])
    return Value(UNKNOWN if truth is None else truth, args[0].start, args[0].end, literal=args[0].literal)


_CALLS = {
    "len": _len, "range": _range, "list": _listed, "tuple": _listed, "set": _listed, "sorted": _sorted, "zip": _zip,
    "enumerate": _enumerate, "map": _map, "filter": _filter, "getattr": _getattr, "setattr": _setattr,
    "hasattr": _hasattr, "vars": _vars, "eval": _evaluated, "dict": _dict, "isinstance": _isinstance, "super": _super,
    "reversed": _first, "iter": _first, "next": _first, "any": _any, "all": _all, "str": _words, "bool": _flag,
}  # fmt: skip


# methods of plain data


def call_method(on: Expressions, of: Value, name: str, args: list[Value], kwargs: dict[str, Value]) -> Value:
    """Call a method of a number, text, list or dictionary."""
    data = of.data
    if isinstance(data, str):
        return _of_text(of, name, args)
    if isinstance(data, dict):
        return _of_dictionary(on, of, name, args, kwargs)
    if isinstance(data, list):
        if name == "append" and args and len(data) < MOST_ITEMS:
            item = args[0]
            same = not data or (of.start, of.end) == (item.start, item.end)
            of.start, of.end, of.literal = item.start, item.end, item.literal and same
            of.file, of.words, of.sources = item.file, item.words, join_sources([of.sources, item.sources])
            data.append(item)
        elif name == "extend" and args and len(data) < MOST_ITEMS:
            data += items_of(args[0], on.steps) or []
        elif name == "index" and args:
            places = [i for i, item in enumerate(data) if is_known(item.data) and item.data == args[0].data]
            return Value(places[0] if places else UNKNOWN)
        elif name in {"copy", "sort"}:
            return of
        return Value(None)
    return of if name in CASTS else Value(UNKNOWN)


def _of_text(of: Value, name: str, args: list[Value]) -> Value:
    words: str = of.data
    given = [arg.data for arg in args]
    if not all(isinstance(one, str) for one in given[:1]):
        return Value(UNKNOWN)
    if name in {"lower", "upper", "strip", "lstrip", "rstrip", "title", "capitalize"}:
        return Value(
            getattr(words, name)(*given[:1]), of.start, of.end, literal=of.literal, file=of.file, words=of.words
        )
    if name in {"startswith", "endswith"} and given:
        return Value(getattr(words, name)(given[0]))
    if name == "replace" and len(given) == 2 and isinstance(given[1], str) and given[0]:
        found = words.replace(given[0], given[1])
        return Value(found if len(found) < 10_000 else UNKNOWN, of.start, of.end, literal=of.literal)
    if name == "split":
        parts = words.split(given[0] or None if given else None)[:MOST_ITEMS]
        return Value(
            [wrapped(part, of) for part in parts], of.start, of.end, literal=of.literal, file=of.file, words=of.words
        )
    return Value(UNKNOWN)


def _of_dictionary(on: Expressions, of: Value, name: str, args: list[Value], kwargs: dict[str, Value]) -> Value:
    table: dict[Any, Value] = of.data
    if name in {"get", "pop", "setdefault"} and args:
        key = args[0].data
        found = table.get(key) if isinstance(key, str | int | float) else None
        return found or (args[1] if len(args) > 1 else Value(None if isinstance(key, str | int) else UNKNOWN))
    if name == "update":
        table.update(args[0].data if args and isinstance(args[0].data, dict) else {})
        table.update(kwargs)
    if name == "items":
        return Value([Value([Value(key), item]) for key, item in table.items()])
    if name == "keys":
        return Value([Value(key) for key in table])
    if name == "values":
        return Value(list(table.values()))
    return of if name == "copy" else Value(None)


# calls of other modules


def call_outside(
    on: Expressions,
    path: str,
    args: list[Value],
    kwargs: dict[str, Value],
    place: tuple[int, int],
    receiver: Value | None,
) -> Value:
    """Call something of another module: what only computes is computed, what is made is noted."""
    name = path.rsplit(".", 1)[-1]
    sources = join_sources(arg.sources for arg in [*args, *kwargs.values()])
    if name in PARSERS:
        return call_parser(on, name, path, args, kwargs, place, receiver)
    if name.startswith("DEFINE_"):
        declare(on, name, args, kwargs, place)
        return Value(Unknown("flag"))
    computed = _computed(on, name, path, args, kwargs, place, sources)
    if computed is not None:
        return computed
    table = make_namespace(name, args, kwargs)
    if table is not None:
        return table
    if name in _RUNS:
        target = next((arg for arg in args if isinstance(arg.data, Function | Class)), None)
        if target is not None and isinstance(target.data, Function):
            more = items_of(kwargs["args"]) if "args" in kwargs else None
            return on.call_function(target.data, [Value(UNKNOWN), *more] if more else [], dict(on.flags))
    if receiver is not None and isinstance(receiver.data, Unknown) and receiver.data.hint == "super":
        return _call_super(on, name, args, kwargs)
    if name == "set_learning_rate" and args and receiver is not None:
        on.change(receiver, args[-1])
    if name == "set_value" and len(args) == 2:
        _set_rate(on, args)
    if name in {"field", "Field"} and (args or kwargs.keys() & {"default", "default_factory"}):
        factory = kwargs.get("default_factory")
        return on.call_value(factory, [], {}) if factory is not None else kwargs.get("default") or args[0]
    if (
        not args
        and arithmetic.is_devices(Ref(path))
        and (name != "size" or path.startswith(("hvd", "horovod", "dist", "bps")))
    ):
        return Value(Unknown(name))
    if name == "get_variable" and "initializer" in kwargs:
        return kwargs["initializer"]
    if name == "assign" and args and receiver is not None:
        return args[0]
    made = Made(path, name, args, kwargs, *place, receiver=receiver)
    if name in {"step", "backward"}:
        _note_step(on, name, receiver)
        return Value(UNKNOWN)
    value = on.make(made)
    if name in _GIVES_FIRST:
        return receiver if receiver is not None and isinstance(receiver.data, Made) else args[0] if args else value
    if name in _GIVES_ALL and args:
        return Value(list(args)) if len(args) > 1 else args[0]
    if name in {"apply", "minimize"}:
        return value
    return value


def _set_rate(on: Expressions, args: list[Value]) -> None:
    """Note `K.set_value(optimizer.lr, x)`."""
    if not isinstance(args[0].data, Made):
        on.change(Value(Unknown("optimizer")), args[1])
    else:
        on.change(args[0], args[1])


def _computed(
    on: Expressions,
    name: str,
    path: str,
    args: list[Value],
    kwargs: dict[str, Value],
    place: tuple[int, int],
    sources: dict[int, Value],
) -> Value | None:
    """Return the result of a function of numbers, or None if it is none."""
    if name in {"maximum", "minimum"} and len(args) == 2:
        return _extreme(on, name[:3], args, sources, place)
    if name in NUMERIC and args and all(is_number(concrete(arg.data, on.steps)) for arg in args):
        return Value(apply(NUMERIC[name], [arg.data for arg in args], on.steps), *place, sources=sources)
    if name in {"ceil", "floor"} and args and isinstance(args[0].data, PerEpoch):
        return args[0]
    if name in CASTS and (args or "value" in kwargs):
        first = args[0] if args else kwargs["value"]
        if is_known(first.data) or isinstance(first.data, PerEpoch):
            return first
    if name in {"loads", "literal_eval", "safe_load"} and args:
        return from_words(args[0])
    if name == "where" and len(args) == 3:
        truth = on.truth(args[0])
        return None if truth is None else args[1 if truth else 2].also(args[0].sources)
    if name == "cond" and len(args) >= 3 and all(isinstance(arg.data, Function) for arg in args[1:3]):
        truth = on.truth(args[0])
        return None if truth is None else on.call_function(args[1 if truth else 2].data, args[3:], {})
    if name in {"less", "greater", "less_equal", "greater_equal", "equal"} and len(args) == 2:
        op = {"less": ast.Lt, "greater": ast.Gt, "less_equal": ast.LtE, "greater_equal": ast.GtE, "equal": ast.Eq}[
            name
        ]()
        return Value(arithmetic.compare(op, args[0], args[1], on.steps), sources=sources)
    return None


def _call_super(on: Expressions, name: str, args: list[Value], kwargs: dict[str, Value]) -> Value:
    """Call the method of a base class of the program, on the same object."""
    from downslope.reading.code.expressions import find_in_class

    frame = on.calls[-1] if on.calls else None
    owner = frame.function.owner if frame is not None and frame.function is not None else None
    if owner is None or not isinstance(owner.data, Instance):
        return Value(UNKNOWN)
    for base in owner.data.of.bases:
        found = find_in_class(base.data, name) if isinstance(base.data, Class) else None
        if found is not None and isinstance(found.data, Function):
            return on.call_function(
                Function(found.data.node, found.data.scope, found.data.defaults, owner), args, kwargs
            )
    return Value(UNKNOWN)


def _note_step(on: Expressions, name: str, receiver: Value | None) -> None:
    """Note in which loop something is stepped, and that training has gone on in it."""
    data = receiver.data if receiver is not None else None
    scheduler = isinstance(data, Made) and ("LR" in data.name or "chedul" in data.name or "warmup" in data.name.lower())
    if isinstance(data, Made) and name == "step" and on.loops:
        data.notes.setdefault("stepped", on.loops[-1].kind)
    hint = data.hint.lower() if isinstance(data, Unknown) else data.path.lower() if isinstance(data, Ref) else ""
    if not scheduler and "sched" not in hint:
        for loop in on.loops:
            loop.trained = True


__all__ = ["Groups", "call_builtin", "call_method", "call_outside", "from_words", "is_builtin", "items_of", "wrapped"]
