"""Calls in a program, of its own functions and classes and of others', evaluated without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from downslope.reading.arithmetic import MOST_ITEMS, is_number
from downslope.reading.code import arithmetic
from downslope.reading.code.arithmetic import UNKNOWN
from downslope.reading.code.calls import field_of, optimizer_of
from downslope.reading.code.library import PARTIAL, call_builtin, call_method, call_outside
from downslope.reading.code.pieces import Program
from downslope.reading.code.tree import name_of, unit_of
from downslope.reading.code.values import (
    Builtin,
    Class,
    Function,
    Groups,
    Instance,
    Made,
    Namespace,
    Ref,
    Scope,
    Unknown,
    Value,
    all_fields,
    find_in_class,
    is_known,
    pretended_rate,
    words_of,
)
from downslope.reading.configuration.entries import Entry
from downslope.reading.configuration.entries import words_of as words_in

BUDGET = 120_000
"""Expressions and statements that are looked at, all loops and calls together."""
_MOST_CALLS_INSIDE = 14
_MOST_MADE = 4000
_LETTERS = {"γ": "gamma", "μ": "momentum", "λ": "weight_decay", "η": "lr"}
"""Keywords that notes write as letters: MultiStepLR([60, 120], γ=0.2)."""

_SILENT = words_of(
    "print info debug warning warn error write add_scalar log_metric add_graph flush zero_grad train eval cuda "
    "manual_seed "
    "backward_hook save makedirs"
)


LAYER = re.compile(r"norm|bn|ema|moco|meter|option|add_argument|average", re.IGNORECASE)
"""Names of layers, averages and options, whose settings are not the optimizer's."""


_BESIDE = words_of("warmup pretrain pretraining find finder test eval evaluate validate")
"""Words of functions that train for something else than the training itself."""

OF_RATE = re.compile(r"LR$|lr_|_lr|learning_?rate|sched|decay|warmup", re.IGNORECASE)
"""Calls and functions about a learning rate, whose lengths need not be the training's."""


@dataclass
class Change:
    """A new learning rate of an optimizer, with where in the run it was set."""

    optimizer: Value
    value: Value
    epoch: float | None
    batch: int | None
    beyond: bool
    unsure: bool = False
    late: bool = False
    inside: bool = False
    key: str = "lr"
    group: int = 0


@dataclass
class Loop:
    """A loop over epochs or batches that is being gone through."""

    kind: str
    index: float | None = None
    trained: bool = False
    beyond: bool = False
    unsure: int = 0
    first: bool = True


@dataclass
class Frame:
    """A call that is being evaluated."""

    function: Function | None = None
    result: Value | None = None
    maybe: list[Value] = field(default_factory=list[Value])
    yields: list[Value] = field(default_factory=list[Value])


@dataclass
class Length:
    """How long a loop goes on."""

    unit: str
    value: Value
    doubt: float
    start: float = 0


class _Rest(Protocol):
    """What calls need of expressions and of statements."""

    def passes_over(self, function: Function) -> bool: ...
    def run(self, body: list[ast.stmt], scope: Scope, frame: Frame) -> str: ...
    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None: ...
    def enter(self, path: tuple[str, ...], value: Value) -> None: ...
    def penalize(self, one: Value, two: Value) -> None: ...
    def change(self, optimizer: Value, value: Value, key: str = "lr", group: int = 0) -> None: ...
    def evaluate(self, node: ast.expr | None, scope: Scope) -> Value: ...
    def truth(self, value: Value) -> bool | None: ...
    def get(self, of: Value, name: str) -> Value: ...
    def rate(self, optimizer: Value) -> Value: ...
    def note(self, name: str, value: Value, table: dict[str, Value] | None = None) -> None: ...


class Calls(_Rest):
    """What is known of a program so far, and what its calls are worth; expressions are in `Expressions`.

    Attributes:
        program: The program.
        flags: Options that a command line sets, by name.
        steps: Steps of an epoch, where they are pretended to be known; else None.
        beside: What other modules that are given, or the end of this text, name.
        options: Options that the program declares, by name, with their defaults or flags.
        missed: Options that were asked for before they were declared.
        made: What calls of other modules returned, in order.
        changes: New learning rates, in order.
        lengths: How long loops go on, in order.
    """

    def __init__(
        self,
        program: Program,
        flags: Mapping[str, Value],
        steps: int | None = None,
        beside: Mapping[str, Value] | None = None,
        known: Mapping[str, Value] | None = None,
    ) -> None:
        """Begin with nothing known but options that are declared further down."""
        self.program, self.flags, self.steps, self.beside = program, flags, steps, beside or {}
        self.known = known or {}
        self.options: dict[str, Value] = dict(self.known)
        self.missed: set[str] = set()
        self.aliases: dict[str, str] = {}
        self.made: list[Made] = []
        self.changes: list[Change] = []
        self.called_changes = 0
        self.loose_rate = pretended_rate()
        self.sampled_rate: Value | None = None
        self.current_rate: Value | None = None
        self.reach: dict[str, float] = {}
        self.rounds: dict[str, int] = {}
        self.lengths: list[Length] = []
        self.skipped: dict[int, ast.If] = {}
        self.budget = BUDGET
        self.depth = 0
        self.doubt = 0
        self.unsure = 0
        self.timed = self.aside = 0
        self.of_rate = False
        self.called: set[int] = set()
        self.chosen: set[int] = set()
        self.inner: list[Value] = []
        self.tests: list[str] = []
        self.named: dict[str, Value] = {}
        self.usual: dict[str, Value] = {}
        self.parsed = Namespace({})
        self.entries: list[Entry] = []
        self.tables: list[dict[str, Value]] = []
        self.calls: list[Frame] = []
        self.control: list[dict[int, Value]] = []
        self.loops: list[Loop] = []
        self.globals = Scope({"__name__": Value("__main__")})
        self.itself = Value(Instance(Class("", self.globals.names, [], [])))  # of methods whose class is cut off

    # calls

    def call(self, node: ast.Call, scope: Scope) -> Value:
        """A call: of a function of the program, of one that is known, or of another module's."""
        func = node.func
        last = name_of(func)
        if last in _SILENT and not (last == "train" and (node.args or node.keywords)):
            return Value(None) if last == "print" else self._silent(func, scope)
        receiver = None
        if isinstance(func, ast.Attribute):
            receiver = self.evaluate(func.value, scope)
            callee = self.get(receiver, last) if not is_known(receiver.data) else Value(Unknown(last))
        else:
            callee = self.evaluate(func, scope)
        args, kwargs = self.arguments(node, scope)
        place = self.program.place(node)
        if receiver is not None and isinstance(receiver.data, Groups) and last == "update":
            given = args[0].data if args and isinstance(args[0].data, dict) else {}
            for key, value in {**given, **kwargs}.items():
                self.change(receiver.data.optimizer, value, str(key), receiver.data.place)
        shared = receiver is not None and is_number(receiver.data) and last == "set_value" and len(args) == 1
        if shared and isinstance(func, ast.Attribute) and field_of(name_of(func.value)) == "sgd.lr":  # of Theano
            self.change(Value(Unknown("optimizer")), args[0])
            self.assign(func.value, args[0], scope)
        if isinstance(callee.data, Made) and args and optimizer_of(callee.data.name) and not receiver:
            self.change(callee, args[0])  # of objax: `optimizer(lr, gradients)`
        if receiver is not None and isinstance(receiver.data, Namespace) and last in {"_get_kwargs", "items"}:
            receiver, last = Value(receiver.data.attributes), "items"
        if receiver is not None and (is_known(receiver.data) or isinstance(receiver.data, Builtin)):
            return call_method(self, receiver, last, args, kwargs)
        return self.call_value(callee, args, kwargs, place, receiver, last)

    def _silent(self, func: ast.expr, scope: Scope) -> Value:
        """Return what a call that only acts is worth: its receiver, as in `model.cuda()`."""
        return self.evaluate(func.value, scope) if isinstance(func, ast.Attribute) else Value(UNKNOWN)

    def arguments(self, node: ast.Call, scope: Scope) -> tuple[list[Value], dict[str, Value]]:
        """Return the arguments of a call, those behind `*` and `**` among them where they are known."""
        args: list[Value] = []
        kwargs: dict[str, Value] = {}
        kind = next((one.value for one in node.keywords if one.arg == "type"), None)
        last = str(getattr(kind, "value", "")) if isinstance(kind, ast.Constant) else name_of(kind or node.func)
        for argument in node.args[:MOST_ITEMS]:
            if isinstance(argument, ast.Starred):
                data = self.evaluate(argument.value, scope).data
                args += data if isinstance(data, list | tuple) else []
            else:
                args.append(self.evaluate(argument, scope))
        for keyword in node.keywords:
            value = self.evaluate(keyword.value, scope)
            if keyword.arg is not None:
                kwargs[name := _LETTERS.get(keyword.arg, keyword.arg)] = value.within(*self.program.place(keyword))
                of_loader = value.literal and field_of(name) == "data.batch_size"
                if (
                    not of_loader
                    and not LAYER.search(last)
                    and not (OF_RATE.search(last) and field_of(name).startswith("train."))
                ):
                    self.note(name, kwargs[name])
            elif isinstance(value.data, dict):
                kwargs.update({key: item for key, item in value.data.items() if isinstance(key, str)})
            elif isinstance(value.data, Namespace):
                kwargs.update(value.data.attributes)
            elif isinstance(value.data, Made):
                kwargs["**"] = value
        return args, kwargs

    def call_value(
        self,
        callee: Value,
        args: list[Value],
        kwargs: dict[str, Value],
        place: tuple[int, int] = (-1, -1),
        receiver: Value | None = None,
        last: str = "",
    ) -> Value:
        """Call a value with arguments."""
        data = callee.data
        if isinstance(data, Function):
            return self.call_function(data, args, kwargs)
        if isinstance(data, Class):
            return self.instantiate(callee, args, kwargs, place)
        method = find_in_class(data.of, "__call__") if isinstance(data, Instance) else None
        if method is not None and isinstance(method.data, Function):
            return self.call_function(method.data.bound_to(callee), args, kwargs)
        if isinstance(data, Builtin):
            return call_builtin(self, data.name, args, kwargs, place)
        if isinstance(data, Made) and data.name in PARTIAL and data.args:
            return self.call_value(data.args[0], [*data.args[1:], *args], {**data.kwargs, **kwargs}, place)
        path = data.path if isinstance(data, Ref) else data.hint if isinstance(data, Unknown) else ""
        if isinstance(receiver and receiver.data, Made) and last:
            path = f"{receiver.data.path}.{last}"  # pyright: ignore[reportOptionalMemberAccess]
        if not path:
            return Value(UNKNOWN)
        return call_outside(self, path, args, kwargs, place, receiver)

    def make(self, made: Made) -> Value:
        """Note what a call of another module returned."""
        made.doubt = self.doubt
        made.inside = self.loops[-1].kind if self.loops else ""
        beyond = any(loop.beyond for loop in self.loops)
        if self.tests:
            made.notes["pattern"] = self.tests[-1]
        if len(self.made) < _MOST_MADE and not beyond:
            self.made.append(made)
        value = Value(made, made.start, made.end)
        if self.loops and optimizer_of(made.name) and is_number(self.rate(value).data):
            self.change(value, self.rate(value))  # an optimizer that is made anew each epoch
        return value

    def call_function(self, function: Function, args: list[Value], kwargs: dict[str, Value]) -> Value:
        """Evaluate a function of the program for these arguments; what is missing is its default or unknown."""
        active = sum(frame.function is not None and frame.function.node is function.node for frame in self.calls)
        self.called.add(id(function.node))
        if self.passes_over(function):
            return Value(UNKNOWN)
        if len(self.calls) > _MOST_CALLS_INSIDE or active > 1 or self.budget < 0:
            return Value(UNKNOWN)
        scope = Scope(self._bind(function, args, kwargs), function.scope)
        frame = Frame(function)
        self.calls.append(frame)
        control, self.control = self.control, []
        beside = bool(words_in([function.name]) & _BESIDE)
        self.doubt += beside
        try:
            if isinstance(function.node, ast.Lambda):
                return self.evaluate(function.node.body, scope)
            self.run(function.node.body, scope, frame)
        finally:
            self.calls.pop()
            self.control = control
            self.doubt -= beside
        if frame.yields:
            return Value(frame.yields)
        candidates = [*frame.maybe, *([frame.result] if frame.result is not None else [])]
        if not candidates:
            return Value(None)
        if OF_RATE.search(function.name) and isinstance(candidates[-1].data, Unknown):
            bound = self._bind(function, args, kwargs)
            times = [name for name, one in bound.items() if isinstance(one.data, Unknown | Ref) and unit_of(name)]
            if len(times) == 1:  # a rate by the step of a graph
                del bound[times[0]]
                return Value(Function(function.node, function.scope, bound, function.owner))
        found = candidates[-1]
        for other in reversed(candidates[:-1]):
            found = either(other, found)
        return found

    def _bind(self, function: Function, args: list[Value], kwargs: dict[str, Value]) -> dict[str, Value]:
        parameters = function.node.args
        placed = [one.arg for one in [*parameters.posonlyargs, *parameters.args]]
        decorators = {one.id for one in getattr(function.node, "decorator_list", []) if isinstance(one, ast.Name)}
        if function.owner is not None and "staticmethod" not in decorators:
            args = [function.owner, *args]
        names = dict(function.defaults)
        for parameter in [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]:
            if parameter.arg not in names:
                names[parameter.arg] = self._annotated(parameter, function.scope)
        names.update(zip(placed, args, strict=False))
        known = {*placed, *(one.arg for one in parameters.kwonlyargs)}
        names.update({key: value for key, value in kwargs.items() if key in known})
        if parameters.vararg:
            names[parameters.vararg.arg] = Value(args[len(placed) :])
        if parameters.kwarg:
            names[parameters.kwarg.arg] = Value({key: value for key, value in kwargs.items() if key not in known})
        return names

    def _annotated(self, parameter: ast.arg, scope: Scope) -> Value:
        """Return what an argument that is not given is worth: an object of the program's class that annotates it."""
        if isinstance(parameter.annotation, ast.Name | ast.Attribute) and parameter.arg != "self":
            kind = self.evaluate(parameter.annotation, scope)
            if isinstance(kind.data, Class) and kind.data.fields:
                return self.instantiate(kind, [], {})
        return self.itself if parameter.arg == "self" else Value(arithmetic.hinted(parameter.arg))

    def instantiate(
        self, of: Value, args: list[Value], kwargs: dict[str, Value], place: tuple[int, int] = (-1, -1)
    ) -> Value:
        """Make an object of a class of the program; the arguments of a plain table of fields are its attributes."""
        kind: Class = of.data
        value = Value(Instance(kind), *place)
        kind.instance = kind.instance or value
        if any(isinstance(base.data, Ref) and "Scheduler" in base.data.path for base in kind.bases):
            self.make(Made(kind.name, kind.name, args, kwargs, *place, notes={"instance": value}))
        elif any(isinstance(base.data, Ref) and base.data.path.endswith("Callback") for base in kind.bases):
            self.make(Made(kind.name, kind.name, args, kwargs, *place, notes={"callback": value}))
        elif optimizer_of(kind.name) and place[0] >= 0:
            init = find_in_class(kind, "__init__")
            if init is not None and isinstance(init.data, Function):
                told = self._bind(init.data.bound_to(value), args, kwargs)
                self.make(Made(kind.name, kind.name, [], {k: v for k, v in told.items() if v is not value}, *place))
        fields = all_fields(kind)
        for name in fields:
            default = find_in_class(kind, name)
            if default is not None:
                value.data.attributes[name] = self.flags.get(name) or default
        value.data.attributes.update(zip(fields, args, strict=False))
        value.data.attributes.update({key: item for key, item in kwargs.items() if key in fields})
        for name in ("__init__", "__post_init__"):
            found = find_in_class(kind, name)
            if found is not None and isinstance(found.data, Function):
                function = found.data.bound_to(value)
                if name == "__init__":
                    given = self._bind(function, args, kwargs)
                    value.data.attributes["__given__"] = Value(Namespace(given))
                self.call_function(function, args if name == "__init__" else [], kwargs if name == "__init__" else {})
        return value


def either(one: Value, two: Value) -> Value:
    """Return what is known of a value that is one or the other: the first, in doubt, where both are known."""
    if isinstance(one.data, Unknown | Ref) or one.data is None:
        return two if not isinstance(two.data, Unknown) or one.data is not None else one
    if isinstance(two.data, Unknown | Ref) or two.data is None:
        return one
    if (
        isinstance(one.data, list)
        and isinstance(two.data, list)
        and any(isinstance(item.data, dict) for item in [*one.data, *two.data])
    ):
        more = [item for item in two.data if not any(item is other for other in one.data)]
        return Value([*one.data, *more], one.start, one.end)
    if is_known(one.data) and is_known(two.data) and arithmetic.compare(ast.Eq(), one, two, None) is True:
        return one
    return one.but(doubt=True)
