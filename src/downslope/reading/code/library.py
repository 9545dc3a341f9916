"""What is known of Python's own functions and methods, and of calls of other modules that only compute or pass on."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from downslope.reading.arithmetic import MOST_ITEMS, is_number
from downslope.reading.code import arithmetic
from downslope.reading.code.arithmetic import CASTS, NUMERIC, UNKNOWN, apply, concrete
from downslope.reading.code.options import PARSERS, call_parser, declare, make_namespace
from downslope.reading.code.values import (
    Builtin,
    Class,
    Function,
    Instance,
    Made,
    Namespace,
    PerEpoch,
    Ref,
    Span,
    Unknown,
    Value,
    find_in_class,
    is_known,
    join_sources,
    number,
    numbers,
    words_of,
)
from downslope.reading.code.written import from_words, items_of, number_in, wrapped

if TYPE_CHECKING:
    from downslope.reading.code.calling import Calls

_BUILTINS = words_of(
    "len range int float str bool min max sum abs round list tuple set sorted reversed dict zip map filter "
    "isinstance getattr "
    "setattr hasattr vars eval any all super type pow enumerate next iter"
)
_RUNS = words_of("run Fire main_wrapper spawn launch call_main")
_GIVES_FIRST = words_of(
    "tqdm iter DistributedOptimizer CrossShardOptimizer enable_mixed_precision_graph_rewrite LossScaleOptimizer "
    "jit pmap "
    "track list mit prefetch_to_device shard wraps inject_hyperparams to parallel prefetch shuffle repeat cache map "
    "learning_parameter_schedule momentum_schedule learning_rate_schedule "
    "MultiSteps Lookahead scale_loss create setup use_cleargrads take"
)
PARTIAL = frozenset({"partial", "LazyCall", "L"})
"""Calls that only remember a class, and arguments for it."""
_CLASSES = ("module", "_target_", "cls", "class_", "target", "type", "fn", "func", "optimizer_cls", "scheduler_cls")
_MAKES = re.compile(r"(?:^|\.)(?:SGD|Adam\w{0,4}|RMSprop|Momentum\w{0,9}|\w{1,30}LR|CosineAnnealingWarmRestarts)$")
_PLACES = {
    "bisect": "right",
    "bisect_right": "right",
    "bisect_left": "left",
    "searchsorted": "left",
    "digitize": "right",
}
_GIVES_ALL = frozenset({"prepare", "initialize"})


@dataclass(frozen=True)
class Call:
    """A call of one of Python's functions."""

    on: Calls
    args: list[Value]
    kwargs: dict[str, Value]
    place: tuple[int, int]

    def items(self) -> list[Value] | None:
        """Return the items of the first argument, or None."""
        return items_of(self.args[0], self.on.steps)


def is_builtin(name: str) -> bool:
    """Return whether a name is a function of Python's that is known here."""
    return name in _BUILTINS


def call_builtin(on: Calls, name: str, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int]) -> Value:
    """Call one of Python's functions."""
    if name in _NUMERIC:
        if name == "round" and len(args) == 2 and (number(args[1]) or 0) > 2:
            return args[0]  # its digits are all that matter
        return Value(UNKNOWN) if "key" in kwargs or not args else _number(on, name, args, place)
    method = _CALLS.get(name)
    if method is None or not (args or name == "dict"):
        return Value([], *place, sources={}) if name in {"list", "set"} and not args else Value(UNKNOWN)
    return method(Call(on, args, kwargs, place))


_NUMERIC: dict[str, Callable[..., Any]] = {
    **NUMERIC, "int": int, "float": float, "min": min, "max": max, "sum": lambda *items: sum(items),
}  # fmt: skip
_OVER_ITEMS = frozenset({"min", "max", "sum"})


def _number(on: Calls, name: str, args: list[Value], place: tuple[int, int]) -> Value:
    """Return what a function of numbers gives, of one list too; a number of steps, or a text, keeps its words."""
    first, sources = args[0], join_sources(arg.sources for arg in args)
    items = items_of(first, on.steps) if name in _OVER_ITEMS and len(args) == 1 else args
    data = [concrete(item.data, on.steps) for item in items or []]
    if name in {"int", "float"} and isinstance(first.data, str):
        data = [number_in(first.data)]
    if name == "sum":
        data = [int(one) if isinstance(one, bool) else one for one in data]
    counts = [item for item, one in zip(items or [first], data, strict=False) if isinstance(one, PerEpoch)]
    if counts and name not in _OVER_ITEMS and isinstance(data[0], PerEpoch):
        return counts[0]
    if name == "max" and len(data) == 2 and len(counts) == 1 and any(map(is_number, data)):
        return counts[0]  # at least one step
    made = next((item for item in items or [] if isinstance(item.data, Made | Function)), None)
    if made is not None and len(data) == 2 and name in {"min", "max"}:
        return made  # with a floor
    if not data or not all(map(is_number, data)):
        known = [item for item, one in zip(items or [], data, strict=False) if is_number(one)]
        known = known if on.sampled_rate is None else []
        one = known[0].but(doubt=True) if len(known) == 1 and len(data) == 2 else Value(UNKNOWN)
        return one if name in {"min", "max"} else Value(UNKNOWN)
    found = apply(_NUMERIC[name], data, on.steps)
    same = found == first.data or (isinstance(first.data, str) and first.literal)
    return first.but(found) if same and name in _KEEPS else Value(found, *place, sources=sources)


_KEEPS = frozenset({"int", "float", "round", "abs", "pow"})


def _range(call: Call) -> Value:
    first, *rest = call.args
    start, stop = (first, rest[0]) if rest else (Value(0), first)
    return Value(Span(start, stop, rest[1] if len(rest) > 1 else Value(1)))


def _sorted(call: Call) -> Value:
    of, items = call.args[0], call.items()
    if items is None or not all(is_number(item.data) for item in items):
        return of
    found = _in_order(items, call.kwargs)
    return Value(UNKNOWN if found is None else found, of.start, of.end, sources=of.sources)


def _in_order(items: list[Value], kwargs: dict[str, Value]) -> list[Value] | None:
    """Return numbers by size, or None where something else orders them."""
    falling = kwargs.get("reverse", Value(False)).data
    if kwargs.keys() - {"reverse"} or not isinstance(falling, bool):
        return None
    return sorted(items, key=lambda item: item.data, reverse=falling)


def _zip(call: Call) -> Value:
    many = [items_of(arg, call.on.steps) for arg in call.args]
    if any(items is None for items in many):
        return Value(Unknown("loader"))
    return Value([Value(list(row)) for row in zip(*many, strict=False)])  # type: ignore[arg-type]


def _map(call: Call) -> Value:
    function, *rest = call.args
    items = items_of(rest[0], call.on.steps) if rest else None
    if items is None:
        return Value(UNKNOWN)
    found = [call.on.call_value(function, [item], {}) for item in items[:200]]
    return Value(found, rest[0].start, rest[0].end, sources=rest[0].sources)


def _getattr(call: Call) -> Value:
    of, *rest = call.args
    if not rest or not isinstance(rest[0].data, str):
        return Value(Unknown("getattr"))
    found = call.on.get(of, rest[0].data)
    return rest[1] if len(rest) > 1 and isinstance(found.data, Unknown) else found


def _setattr(call: Call) -> Value:
    of, *rest = call.args
    if len(rest) == 2 and isinstance(rest[0].data, str) and isinstance(of.data, Instance | Namespace):
        of.data.attributes[rest[0].data] = rest[1]
    return Value(None)


def _hasattr(call: Call) -> Value:
    data = call.args[0].data
    known = isinstance(data, Namespace | Instance) and len(call.args) > 1 and call.args[1].data in data.attributes
    return Value(True if known else UNKNOWN)


def _vars(call: Call) -> Value:
    data = call.args[0].data
    return Value(data.attributes if isinstance(data, Namespace | Instance) else Unknown("call.args"))


def _dict(call: Call) -> Value:
    first = call.args[0].data if call.args else {}
    if not isinstance(first, dict | list | tuple):
        return Value(Unknown("dict"))
    pairs = [] if isinstance(first, dict) else [items_of(item) or [] for item in first[:MOST_ITEMS]]
    found = {pair[0].data: pair[1] for pair in pairs if len(pair) == 2 and _is_key(pair[0].data)}
    return Value({**(first if isinstance(first, dict) else found), **call.kwargs}, *call.place, sources={})


def _is_key(data: Any) -> bool:
    return isinstance(data, str | int | float | PerEpoch)


_TYPES = {"int": int, "float": float, "str": str, "list": list, "tuple": tuple, "dict": dict, "bool": bool}


def _next(call: Call) -> Value:
    first = call.args[0]
    items = first.data if isinstance(first.data, list) else [first]
    return next(iter([*items, *call.args[1:]]), Value(UNKNOWN)).also(first.sources)


def _isinstance(call: Call) -> Value:
    data, kind = call.args[0].data, call.args[1].data if len(call.args) > 1 else None
    if is_known(data) and isinstance(kind, Builtin):
        return Value(isinstance(data, _TYPES[kind.name]) if kind.name in _TYPES else UNKNOWN)
    return Value(False if is_known(data) and data is not None and isinstance(kind, Ref) else UNKNOWN)


def _quantified(*, stops: bool) -> Callable[[Call], Value]:
    """Return `any`, which the first that is true decides, or `all`."""

    def quantified(call: Call) -> Value:
        truths = [call.on.truth(item) for item in items_of(call.args[0]) or [Value(UNKNOWN)]]
        found = stops if stops in truths else UNKNOWN if None in truths else not stops
        return Value(found, sources=call.args[0].sources)

    return quantified


def _words(call: Call) -> Value:
    data = call.args[0].data
    return Value(str(data) if isinstance(data, int | float | str) else UNKNOWN, call.args[0].start, call.args[0].end)


def _flag(call: Call) -> Value:
    truth = call.on.truth(call.args[0])
    return call.args[0].but(UNKNOWN if truth is None else truth, sources={})


def _over(make: Callable[[list[Value]], list[Value]]) -> Callable[[Call], Value]:
    """Return a function of the items of its argument, which is itself where they are not known."""

    def over(call: Call) -> Value:
        of, items = call.args[0], call.items()
        return of if items is None else Value(make(items), of.start, of.end, sources=of.sources)

    return over


_listed = _over(lambda items: items)
_CALLS: dict[str, Callable[[Call], Value]] = {
    "len": lambda call: Value(concrete(arithmetic.length(call.args[0].data), call.on.steps)), "range": _range,
    "list": _listed, "tuple": _listed, "set": _listed, "sorted": _sorted, "zip": _zip, "map": _map,
    "enumerate": _over(lambda items: [Value([Value(i), item]) for i, item in enumerate(items)]),
    "reversed": _over(lambda items: items[::-1]), "filter": lambda call: (*call.args[1:2], Value(UNKNOWN))[0],
    "getattr": _getattr, "setattr": _setattr, "hasattr": _hasattr, "vars": _vars, "dict": _dict,
    "eval": lambda call: from_words(call.args[0]), "isinstance": _isinstance,
    "super": lambda _: Value(Unknown("super")), "iter": lambda call: call.args[0], "next": _next,
    "any": _quantified(stops=True), "all": _quantified(stops=False), "str": _words, "bool": _flag,
}  # fmt: skip


# methods of plain data


def call_method(on: Calls, of: Value, name: str, args: list[Value], kwargs: dict[str, Value]) -> Value:
    """Call a method of a number, text, list or dictionary."""
    data = of.data
    if isinstance(data, str):
        return _of_text(of, name, args)
    if isinstance(data, dict):
        return _of_dictionary(of, name, args, kwargs)
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
        elif name == "insert" and len(args) == 2 and isinstance(args[0].data, int) and len(data) < MOST_ITEMS:
            data.insert(args[0].data, args[1])
        elif name == "reverse":
            data.reverse()
        elif name == "sort" and all(is_number(item.data) for item in data):
            data[:] = _in_order(data, kwargs) or [Value(UNKNOWN)] * len(data)
        elif name == "copy":
            return of
        elif name == "sum":
            return _number(on, name, [of], (of.start, of.end))
        return Value(None)
    return of if name in CASTS else Value(UNKNOWN)


def _of_text(of: Value, name: str, args: list[Value]) -> Value:
    words: str = of.data
    given = [arg.data for arg in args]
    if not all(isinstance(one, str) for one in given[:1]):
        return Value(UNKNOWN)
    if name in {"lower", "upper", "strip", "lstrip", "rstrip", "title", "capitalize"}:
        return of.but(getattr(words, name)(*given[:1]))
    if name in {"startswith", "endswith"} and given:
        return Value(getattr(words, name)(given[0]))
    if name == "replace" and len(given) == 2 and isinstance(given[1], str) and given[0]:
        found = words.replace(given[0], given[1])
        return Value(found if len(found) < 10_000 else UNKNOWN, of.start, of.end, literal=of.literal)
    if name == "split":
        parts = words.split(given[0] or None if given else None)[:MOST_ITEMS]
        return of.but([wrapped(part, of) for part in parts])
    return Value(UNKNOWN)


def _of_dictionary(of: Value, name: str, args: list[Value], kwargs: dict[str, Value]) -> Value:
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
    on: Calls, path: str, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int], receiver: Value | None
) -> Value:
    """Call something of another module: what only computes is computed, what is made is noted."""
    name = path.rsplit(".", 1)[-1]
    sources = join_sources(arg.sources for arg in [*args, *kwargs.values()])
    if name in PARSERS:
        return call_parser(on, name, path, args, kwargs, place, receiver)
    if name.startswith("DEFINE_"):
        declare(on, name, args, kwargs)
        return Value(Unknown("flag"))
    computed = _computed(on, name, args, kwargs, place, sources)
    if computed is not None:
        return computed
    table = None if path.startswith(("tf.", "tensorflow.")) else make_namespace(name, args, kwargs)
    if table is not None:
        on.tables.append(table.data.attributes)
        return table
    if name in _RUNS:
        target = next((arg for arg in args if isinstance(arg.data, Function | Class)), None)
        if target is not None and isinstance(target.data, Function):
            more = items_of(kwargs["args"]) if "args" in kwargs else None
            return on.call_function(target.data, [Value(UNKNOWN), *more] if more else [], dict(on.flags))
    if receiver is not None and isinstance(receiver.data, Unknown) and receiver.data.hint == "super":
        return _call_super(on, name, args, kwargs)
    if name == "set_default" and len(args) == 2 and isinstance(args[0].data, str):
        on.options[args[0].data] = on.flags.get(args[0].data) or args[1].within(args[0].start, args[1].end)
    if name == "set_learning_rate" and args and receiver is not None:
        on.change(receiver, args[-1])
    if name == "set_value" and len(args) == 2:
        on.change(args[0] if isinstance(args[0].data, Made) else Value(Unknown("optimizer")), args[1])
    if name in {"OrderedDict", "defaultdict"} and args:
        return _dict(Call(on, args, kwargs, place))
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
    path, args, kwargs = _configured(path, args, kwargs)
    name = path.rsplit(".", 1)[-1]
    made = Made(path, name, args, kwargs, *place, receiver=receiver)
    if name in {"step", "backward"}:
        _note_step(on, name, receiver)
        return Value(UNKNOWN)
    value = on.make(made)
    if name == "multiply" and len(args) == 2:
        on.penalize(*args)
    if name == "merge_from_list" and args and isinstance(args[0].data, list):
        for key, item in zip(args[0].data[::2], args[0].data[1::2], strict=False):
            on.enter(tuple(str(key.data).split(".")), item)
    if name == "params":  # of a section of options
        for key, item in kwargs.items():
            if isinstance(item.data, Made) and "default" in item.data.kwargs:
                on.options[key] = item.data.kwargs["default"]
    if name in _GIVES_FIRST:
        return receiver if receiver is not None and isinstance(receiver.data, Made) else args[0] if args else value
    if name in _GIVES_ALL and args:
        return Value(list(args)) if len(args) > 1 else args[0]
    return value


def _configured(path: str, args: list[Value], kwargs: dict[str, Value]) -> tuple[str, list[Value], dict[str, Value]]:
    """Return what a call configures that is given a class: `Config(SGD, lr=0.1)`, `Config(module=SGD, lr=0.1)`."""
    key = next((key for key in _CLASSES if key in kwargs), "")
    given = kwargs.get(key) or next(iter(args), None)
    target = getattr(given.data, "path", given.data) if given is not None and isinstance(given.data, Ref | str) else ""
    if path.rsplit(".", 1)[-1] in PARTIAL or not kwargs.keys() - {key} or not _MAKES.search(str(target)):
        return path, args, kwargs
    return str(target), args if key else args[1:], {name: value for name, value in kwargs.items() if name != key}


def _computed(
    on: Calls, name: str, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int], sources: dict[int, Value]
) -> Value | None:
    """Return the result of a function of numbers, or None if it is none."""
    if name in {"maximum", "minimum"} and len(args) == 2:
        return _number(on, name[:3], args, place)
    if name in {"sum", "count_nonzero"} and args and isinstance(args[0].data, list):
        return _number(on, "sum", args[:1], place)
    if name == "take" and len(args) == 2 and isinstance(args[0].data, list) and isinstance(args[1].data, int):
        fits = 0 <= args[1].data < len(args[0].data)
        return args[0].data[args[1].data].also(sources) if fits else Value(UNKNOWN)
    if name in _PLACES and len(args) == 2:
        many, one = args if isinstance(args[0].data, list) else args[::-1]
        op = ast.Lt() if kwargs.get("side", Value(_PLACES[name])).data == "left" else ast.LtE()
        below = arithmetic.compare(op, many, one, on.steps) if isinstance(many.data, list) else UNKNOWN
        return Value(
            UNKNOWN if not isinstance(below, list) else sum(one.data for one in below), *place, sources=sources
        )
    if name == "interp" and len(args) == 3:
        return _interpolated(*args)
    if name in NUMERIC and args and all(is_number(concrete(arg.data, on.steps)) for arg in args):
        return Value(apply(NUMERIC[name], [arg.data for arg in args], on.steps), *place, sources=sources)
    if name in {"ceil", "floor"} and args and isinstance(args[0].data, PerEpoch):
        return args[0]
    if (name in CASTS or (name == "slice" and len(args) == 1)) and (args or "value" in kwargs):
        first = args[0] if args else kwargs["value"]
        if is_known(first.data) or isinstance(first.data, PerEpoch):
            return first.but(list(first.data)) if isinstance(first.data, tuple) else first
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


def _interpolated(at: Value, times: Value, values: Value) -> Value | None:
    """Return `np.interp(at, times, values)`, which is a line between two of the times."""
    one = at.data[0] if isinstance(at.data, list) and len(at.data) == 1 else at
    xs, ys, x = numbers(times), numbers(values), number(one)
    if xs is None or ys is None or x is None or len(xs) != len(ys) or sorted(xs) != xs:
        return None
    place = next((place for place, time in enumerate(xs) if time > x), len(xs))
    if place in {0, len(xs)}:
        data = ys[min(place, len(ys) - 1)]
    else:
        (a, b), (c, d) = xs[place - 1 : place + 1], ys[place - 1 : place + 1]
        data = c + (d - c) * (x - a) / (b - a)
    found = Value(data, sources=join_sources([at.sources, times.sources, values.sources]))
    return Value([found]) if isinstance(at.data, list) else found


def _call_super(on: Calls, name: str, args: list[Value], kwargs: dict[str, Value]) -> Value:
    """Call the method of a base class of the program, on the same object."""
    frame = on.calls[-1] if on.calls else None
    owner = frame.function.owner if frame is not None and frame.function is not None else None
    if owner is None or not isinstance(owner.data, Instance):
        return Value(UNKNOWN)
    for base in owner.data.of.bases:
        if isinstance(base.data, Ref) and name == "__init__" and (args or kwargs):
            return on.make(
                Made(base.data.path, base.data.path.rpartition(".")[2], args, kwargs, owner.start, owner.end)
            )
        found = find_in_class(base.data, name) if isinstance(base.data, Class) else None
        if found is not None and isinstance(found.data, Function):
            return on.call_function(found.data.bound_to(owner), args, kwargs)
    return Value(UNKNOWN)


def _note_step(on: Calls, name: str, receiver: Value | None) -> None:
    """Note in which loop something is stepped, and that training has gone on in it."""
    data = receiver.data if receiver is not None else None
    if isinstance(data, Instance):
        data = next((one for one in on.made[::-1] if getattr(one.notes.get("instance"), "data", None) is data), data)
    scheduler = isinstance(data, Made) and ("LR" in data.name or "chedul" in data.name or "warmup" in data.name.lower())
    if isinstance(data, Made) and name == "step" and on.loops:
        data.notes.setdefault("stepped", on.loops[-1].kind)
    hint = data.hint.lower() if isinstance(data, Unknown) else data.path.lower() if isinstance(data, Ref) else ""
    if not scheduler and "sched" not in hint:
        for loop in on.loops:
            loop.trained = True
