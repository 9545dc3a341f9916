"""A program's expressions, evaluated without running it: every value with the words it came from, within a budget."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from itertools import chain, islice
from typing import Any, ClassVar

from downslope.reading.arithmetic import MOST_ITEMS, is_number
from downslope.reading.code import arithmetic
from downslope.reading.code.arithmetic import UNKNOWN
from downslope.reading.code.calling import LAYER, OF_RATE, Calls, either
from downslope.reading.code.calls import field_of, is_foreign, optimizer_of
from downslope.reading.code.library import is_builtin
from downslope.reading.code.tree import RATE_KEYS, defaults_of
from downslope.reading.code.values import (
    NOWHERE,
    Builtin,
    Class,
    Function,
    Groups,
    Instance,
    Made,
    Namespace,
    PerEpoch,
    Ref,
    Scope,
    Unknown,
    Value,
    find_in_class,
    is_known,
    join_sources,
    words_of,
)
from downslope.reading.code.written import items_of
from downslope.reading.configuration.shapes import amount

MOST_INNER = 100
"""Functions inside of others that are gone through although nobody calls them."""
_DEEPEST = 90
_MOST_NAMES = 200
_CONFIGURATIONS = words_of(
    "args opt opts flags params hparams hps cfg config conf options arguments hyperparams hp parser flag argv "
    "training_args "
    "train_args model_args c p settings configs _c hyperparameters hyp parsed_args cmd_args cli_args param hyper_params"
)
_SETTINGS = re.compile(r"config|cfg|arg|option|param|setting", re.IGNORECASE)
_SCALES = re.compile(r"(?:lr|decay)_?(?:mult|scale|ratio|factor|multiplier)")
"""What groups of parameters hold that tells them apart: 1 of the main one."""
_CONSTANTS = {"pi": 3.141592653589793, "e": 2.718281828459045, "inf": 1e300, "Inf": 1e300, "infty": 1e300}


class Expressions(Calls):
    """What expressions are worth; statements are in `Interpreter`."""

    # expressions

    def evaluate(self, node: ast.expr | None, scope: Scope) -> Value:
        """Return what an expression is worth."""
        self.budget -= 1
        method = self._methods.get(type(node))
        if node is None or method is None or self.budget < 0 or self.depth > _DEEPEST:
            return Value(UNKNOWN)
        self.depth += 1
        try:
            return method(self, node, scope)
        finally:
            self.depth -= 1

    def _constant(self, node: ast.Constant, scope: Scope) -> Value:
        start, end = self.program.place(node)
        data = node.value
        if isinstance(data, complex | bytes) or data is Ellipsis:
            return Value(UNKNOWN)
        if isinstance(data, int) and not isinstance(data, bool) and abs(data) > 10**18:
            return Value(UNKNOWN)
        if isinstance(data, float) and (data != data or abs(data) == float("inf")):  # noqa: PLR0124
            return Value(UNKNOWN)
        return Value(data, start, end, literal=True, sources=None if is_number(data) or data is None else {})

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        found = scope.find(node.id)
        if found is not None:
            return found
        if is_builtin(node.id):
            return Value(Builtin(node.id))
        if node.id == "self":
            return self.itself
        hinted = arithmetic.hinted(node.id)
        return Value(Ref(node.id) if isinstance(hinted, Unknown) else hinted)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        return self.get(self.evaluate(node.value, scope), node.attr)

    def get(self, of: Value, name: str) -> Value:
        """Return an attribute of a value."""
        data = of.data
        if isinstance(data, Ref | Unknown):
            return self._get_unknown(data, name)
        if isinstance(data, Namespace):
            if name in {"__dict__", "_get_kwargs", "to_dict", "items"}:
                return Value(data.attributes)
            return data.attributes.get(name) or self._option(name) or Value(arithmetic.hinted(name))
        if isinstance(data, dict):
            return data.get(name) or Value(Unknown(name))
        if isinstance(data, Instance | Class):
            return self._get_of_class(of, name)
        if isinstance(data, Made):
            return self._get_made(of, data, name)
        return Value(Unknown(name))

    def _get_unknown(self, data: Any, name: str) -> Value:
        path = data.path if isinstance(data, Ref) else data.hint
        if isinstance(data, Ref) and name in _CONSTANTS:
            return Value(_CONSTANTS[name])
        if path.rsplit(".", 1)[-1].lower() in _CONFIGURATIONS:
            option = self._option(name)
            if option is not None:
                return option
            self.missed.add(name)
        if isinstance(data, Ref) and name in self.beside and not is_foreign(path):
            return self.beside[name]
        if self.current_rate is not None and name in RATE_KEYS and "optim" in path.lower():
            return self.current_rate
        if name == "param_groups":
            return Value(Groups(Value(data)))
        hinted = arithmetic.hinted(name)
        if not isinstance(hinted, Unknown):
            return Value(hinted)
        return Value(Ref(f"{path}.{name}") if isinstance(data, Ref) else Unknown(f"{path}.{name}"))

    def _option(self, name: str) -> Value | None:
        """Return a setting of a configuration that is not known here, from one that the program makes elsewhere."""
        if name in self.options:
            return self.options[name]
        named = (_settings(value) for value in islice(self.globals.names.values(), _MOST_NAMES))
        return next((table[name] for table in chain(named, self.tables[:50]) if table and name in table), None)

    def _get_of_class(self, of: Value, name: str) -> Value:
        data = of.data
        if isinstance(data, Instance) and name in data.attributes:
            return data.attributes[name]
        found = find_in_class(data.of if isinstance(data, Instance) else data, name)
        if found is None:
            if name == "hparams" and isinstance(data, Instance):
                return Value(
                    Namespace(
                        {**self.options, **data.attributes.get("__given__", Value(Namespace({}))).data.attributes}
                    )
                )
            return Value(arithmetic.hinted(name))
        if isinstance(found.data, Function):
            bound = found.data.bound_to(of)
            if any(
                isinstance(one, ast.Name) and one.id == "property" for one in getattr(bound.node, "decorator_list", [])
            ):
                return self.call_function(bound, [], {})
            return Value(bound)
        return found

    def _get_made(self, of: Value, data: Made, name: str) -> Value:
        if name in data.attributes:
            return data.attributes[name]
        if name == "param_groups":
            return Value(Groups(of))
        if name in {"lr", "learning_rate"}:
            return self.rate(of)
        if name == "defaults":
            return Value(Namespace(data.kwargs))
        return data.kwargs.get(name) or self._get_unknown(Unknown(data.bound or data.name), name)

    def note(self, name: str, value: Value, table: dict[str, Value] | None = None) -> None:
        """Note a literal that a telling name is given, for where nothing else says as much."""
        path = field_of(name)
        if self.aside or (self.timed and path == "sgd.lr"):
            return  # of one stretch of the run, or of something else
        if isinstance(value.data, str) and path in {"train.epochs", "train.steps"}:
            value = value.but(amount(value.data)[0])  # "90ep"
        if is_number(value.data) and value.data <= 0 and path.startswith(("data.", "train.")):
            return  # what is counted begins so
        listed = isinstance(value.data, list | tuple)
        fits = is_number(value.data) or isinstance(value.data, bool) or listed
        fits = fits and not (
            value.data == 0 and path == "sgd.weight_decay" and "w" not in name.lower()
        )  # l2 = 0, a sum
        if path and value.literal and not value.doubt and fits and listed == (path == "lr.milestones"):
            (self.named if table is None else table).setdefault(path, value)

    def rate(self, optimizer: Value) -> Value:
        """Return the learning rate that an optimizer has now."""
        data = optimizer.data
        if not isinstance(data, Made):
            made = [one for one in self.made if optimizer_of(one.name)] if self.loose_rate.start == NOWHERE else []
            only = self.rate(Value(made[0])) if len({one.start for one in made}) == 1 else self.loose_rate
            return only if is_number(only.data) else self.loose_rate  # it is made in a function that nobody calls
        tables = [data.kwargs, *(arg.data for arg in data.args if isinstance(arg.data, dict))]
        given = [table[name] for table in tables for name in ("lr", "learning_rate") if name in table]
        found = data.notes.get("lr") or next(iter(given), None)
        if found is None and data.args:
            found = next((one for one in data.args[:2] if is_number(one.data)), None)
        return found or Value(Unknown("lr"))

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        of, data = (found := self.evaluate(node.value, scope)), found.data
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            bounds = [self.evaluate(part, scope).data if part else None for part in parts]
            whole = all(bound is None or isinstance(bound, int) for bound in bounds) and bounds[2] != 0
            if isinstance(data, list | tuple | str) and whole:
                return Value(data[slice(*bounds)], sources=of.sources)
            return Value(data if isinstance(data, Groups) else UNKNOWN)
        key = self.evaluate(node.slice, scope).data
        if isinstance(data, Groups):
            if isinstance(key, str) and _SCALES.fullmatch(key):
                return Value(1)
            if isinstance(key, str):
                return self.rate(data.optimizer) if key in {"lr", "initial_lr"} else Value(Unknown(key))
            return Value(Groups(data.optimizer, key)) if isinstance(key, int) and key > 0 else of
        if isinstance(data, dict):
            return (data.get(key) if isinstance(key, str | int | float) else None) or Value(Unknown(str(key)))
        if isinstance(data, list | tuple) and isinstance(key, int) and -len(data) <= key < len(data):
            return data[key]
        if isinstance(key, str):
            return self.get(of, key)
        return Value(Unknown(getattr(data, "hint", "")))

    def binary(self, node: ast.BinOp, scope: Scope) -> Value:
        """Arithmetic."""
        left, right = self.evaluate(node.left, scope), self.evaluate(node.right, scope)
        return self.operate(node.op, left, right, node)

    def operate(self, op: ast.operator, left: Value, right: Value, node: ast.AST) -> Value:
        """Return the result of an operator, whose words are the whole expression."""
        left, right = self.loosened(left), self.loosened(right)
        start, end = self.program.place(node)
        many, one = (left, right) if isinstance(left.data, list) else (right, left)
        if isinstance(one.data, float) and isinstance(many.data, list):  # an array's, for Python's have no such
            items = [self.operate(op, *((item, one) if many is left else (one, item)), node) for item in many.data]
            return Value(items, start, end, sources=join_sources([left.sources, right.sources]))
        if isinstance(op, ast.Mult):
            self.penalize(left, right)
        data = arithmetic.binary(op, left.data, right.data, self.steps)
        if isinstance(data, Unknown) and (isinstance(left.data, Groups) or isinstance(right.data, Groups)):
            return Value(data)
        inside = all(side.literal and start <= side.start and side.end <= end for side in (left, right))
        found = Value(data, start, end, literal=inside, sources=join_sources([left.sources, right.sources]))
        found.doubt = left.doubt or right.doubt
        if isinstance(data, list | tuple | str):
            found.start, found.end = left.start, left.end
        if inside and is_number(data):
            found.sources = {start: found, **found.sources}
        elif is_number(data) and (arithmetic.is_devices(left.data) or arithmetic.is_devices(right.data)):
            found.doubt = True
        elif data == left.data and is_number(data) and left.literal:  # x * 1
            return left.also(right.sources)
        return found

    def penalize(self, one: Value, two: Value) -> None:
        """Note the weight decay that a penalty comes to by its factor: of TensorFlow's `l2_loss`, or Lasagne's `l2`."""
        number, other = (one, two) if is_number(one.data) else (two, one)
        if not is_number(number.data) or number.data <= 0 or not isinstance(other.data, Made):
            return
        if _holds(other, "l2_loss"):
            self.named.setdefault("sgd.weight_decay", number)
        elif other.data.name.startswith(("regularize_", "apply_penalty")) and any(
            isinstance(arg.data, Ref) and arg.data.path.rpartition(".")[2] == "l2" for arg in other.data.args
        ):  # Lasagne's is the whole squared norm
            self.named.setdefault("sgd.weight_decay", Value(2 * number.data, number.start, number.end))

    def loosened(self, value: Value) -> Value:
        """Return the rate that a function is sampled with for a learning rate that the program does not say."""
        data = value.data
        if self.sampled_rate is None or not isinstance(data, Unknown | Ref):
            return value
        name = (data.hint if isinstance(data, Unknown) else data.path).rsplit(".", 1)[-1].lower()
        return self.sampled_rate if field_of(name) == "sgd.lr" else value

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Value:
        operand = self.evaluate(node.operand, scope)
        if isinstance(node.op, ast.Not):
            truth = self.truth(operand)
            place = self.program.place(node)
            return Value(UNKNOWN if truth is None else not truth, *place, sources=operand.sources)
        if isinstance(node.op, ast.USub) and is_number(operand.data):
            start, end = self.program.place(node)
            found = Value(
                -operand.data, start, end, literal=operand.literal and operand.start >= start, sources=operand.sources
            )
            if found.literal:
                found.sources = {start: found}
            return found
        return operand if isinstance(node.op, ast.UAdd) else Value(UNKNOWN)

    def _boolean(self, node: ast.BoolOp, scope: Scope) -> Value:
        stops = isinstance(node.op, ast.Or)
        found = Value(UNKNOWN)
        unknown = False
        sources: list[dict[int, Value]] = []
        for operand in node.values:
            found = self.evaluate(operand, scope)
            sources.append(found.sources)
            truth = self.truth(found)
            if truth is stops:
                return found.also(join_sources(sources)) if not unknown or stops is False else Value(UNKNOWN)
            unknown = unknown or truth is None
        if unknown:
            return Value(UNKNOWN, sources=join_sources(sources))
        return found.also(join_sources(sources))

    def _comparison(self, node: ast.Compare, scope: Scope) -> Value:
        left = self.evaluate(node.left, scope)
        answers: list[Any] = []
        sources = [left.sources]
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(right_node, scope)
            sources.append(right.sources)
            answers.append(arithmetic.compare(op, left, right, self.steps))
            left = right
        if len(answers) == 1 and isinstance(answers[0], list):
            return Value(answers[0], sources=join_sources(sources))
        if any(answer is False for answer in answers):
            return Value(False, sources=join_sources(sources))
        return Value(all(answers) if all(a is True for a in answers) else UNKNOWN, sources=join_sources(sources))

    def truth(self, value: Value) -> bool | None:
        """Return whether a value counts as true, or None if that is unknown."""
        data = value.data
        if isinstance(data, Unknown | Ref):
            return None
        return bool(data) if is_known(data) else True

    def _choice(self, node: ast.IfExp, scope: Scope) -> Value:
        test = self.evaluate(node.test, scope)
        truth = self.truth(test)
        if truth is not None:
            return self.evaluate(node.body if truth else node.orelse, scope).also(test.sources)
        one, two = self.evaluate(node.body, scope), self.evaluate(node.orelse, scope)
        return either(one, two)

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> Value:
        items: list[Value] = []
        for one in node.elts[:MOST_ITEMS]:
            if isinstance(one, ast.Starred):
                data = self.evaluate(one.value, scope).data
                items += data if isinstance(data, list | tuple) else []
            else:
                items.append(self.evaluate(one, scope))
        start, end = self.program.place(node)
        literal = all(item.literal for item in items)
        found = Value(items, start, end, literal=literal, sources=join_sources(item.sources for item in items))
        if literal and items:
            found.sources = {start: found, **found.sources}
        return found

    def _dictionary(self, node: ast.Dict, scope: Scope) -> Value:
        found: dict[Any, Value] = {}
        for key_node, value_node in list(zip(node.keys, node.values, strict=True))[:MOST_ITEMS]:
            value = self.evaluate(value_node, scope)
            if key_node is None:
                found.update(value.data if isinstance(value.data, dict) else {})
                continue
            key = self.evaluate(key_node, scope)
            if isinstance(key.data, str | int | float | PerEpoch):
                found[key.data] = value.within(self.program.place(key_node)[0], self.program.place(value_node)[1])
                self.note(str(key.data), found[key.data])
            if isinstance(key.data, Made) and key.data.name.startswith("placeholder"):
                told = [key.data.bound, *(one.data for one in key.data.kwargs.values() if isinstance(one.data, str))]
                if self.loops and any(field_of(one) == "sgd.lr" for one in told):
                    self.change(Value(Unknown("optimizer")), value)
            if key.data == "params" and isinstance(value_node, ast.Name):
                found["params_name"] = Value(value_node.id)
        if self.tests and "params" in found:
            found["pattern"] = Value(self.tests[-1])
        return Value(found, *self.program.place(node), literal=all(v.literal for v in found.values()), sources={})

    def _text(self, node: ast.JoinedStr, scope: Scope) -> Value:
        parts = [self.evaluate(p.value if isinstance(p, ast.FormattedValue) else p, scope).data for p in node.values]
        return Value("".join(map(str, parts)) if all(isinstance(p, str | int) for p in parts) else UNKNOWN)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp, scope: Scope) -> Value:
        first = node.generators[0]
        source = self.evaluate(first.iter, scope)
        data = [source] if isinstance(source.data, Groups) else self.iterable(source)
        known = isinstance(data, list) and len(node.generators) == 1
        inner = Scope({}, scope)
        items: list[Value] = []
        pairs: dict[Any, Value] = {}
        for item in data[:MOST_ITEMS] if isinstance(data, list) and known else [Value(Unknown("item"))]:
            self.assign(first.target, item, inner)
            if any(self.truth(self.evaluate(test, inner)) is False for test in first.ifs):
                continue
            if isinstance(node, ast.DictComp):
                key = self.evaluate(node.key, inner).data
                if isinstance(key, str | int | float | PerEpoch):
                    pairs[key] = self.evaluate(node.value, inner)
            else:
                items.append(self.evaluate(node.elt, inner))
        if isinstance(node, ast.DictComp):
            written = self.evaluate(first.iter, scope)
            return Value(pairs, *self.program.place(node), sources=written.sources)
        if not known:
            norms = items and _holds(items[0], "l2_loss", 0)
            return Value(Unknown("l2_loss" if norms else names_in(first.ifs, scope) or "list"))
        sources = join_sources(item.sources for item in items)
        if items and all(item.literal and (item.start, item.end) == (items[0].start, items[0].end) for item in items):
            first = items[0]  # numbers out of one text
            return first.but(items, sources=sources)
        return Value(items, *self.program.place(node), sources=sources)

    def iterable(self, value: Value) -> list[Value] | None:
        """Return the items that a loop would go through, or None."""
        return items_of(value, self.steps)

    def function(self, node: ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> Value:
        """A function, with what its parameters default to."""
        defaults: dict[str, Value] = {}
        of_rate = self.of_rate or OF_RATE.search(getattr(node, "name", ""))
        for parameter, default in defaults_of(node.args):
            place = self.program.place(parameter)[0], self.program.place(default)[1]
            defaults[parameter.arg] = self.evaluate(default, scope).within(*place)
            if not (of_rate and field_of(parameter.arg).startswith("train.")):
                self.note(parameter.arg, defaults[parameter.arg], self.usual)
        found = Value(Function(node, scope, defaults))
        if isinstance(node, ast.Lambda) and isinstance(node.body, ast.Call) and len(self.inner) < MOST_INNER:
            self.inner.append(found)  # `"optimizer": lambda params: SGD(params, lr=0.1)`
        return found

    _methods: ClassVar[dict[type, Callable[[Any, Any, Scope], Value]]] = {
        ast.Constant: _constant, ast.Name: _name, ast.Attribute: _attribute, ast.Subscript: _subscript,
        ast.BinOp: binary, ast.UnaryOp: _unary, ast.BoolOp: _boolean, ast.Compare: _comparison, ast.IfExp: _choice,
        ast.List: _sequence, ast.Tuple: _sequence, ast.Set: _sequence, ast.Dict: _dictionary, ast.JoinedStr: _text,
        ast.ListComp: _comprehension, ast.GeneratorExp: _comprehension, ast.SetComp: _comprehension,
        ast.DictComp: _comprehension, ast.Lambda: function, ast.Call: Calls.call,
        ast.Await: lambda self, node, scope: self.evaluate(node.value, scope),
        ast.Starred: lambda self, node, scope: self.evaluate(node.value, scope),
    }  # fmt: skip


def _settings(value: Value) -> dict[str, Value] | None:
    """Return the settings that a global name holds, or None if it is no configuration."""
    data = value.data
    if isinstance(data, Namespace | Instance) or (isinstance(data, Class) and _SETTINGS.search(data.name)):
        return data.attributes
    return data if isinstance(data, dict) else None


def _holds(value: Value, name: str, depth: int = 4) -> bool:
    """Return whether a call, or one in its arguments, is of this name."""
    data = value.data
    if isinstance(data, Ref):
        return data.path.endswith(name)
    if isinstance(data, list | tuple):
        return depth > 0 and any(_holds(item, name, depth - 1) for item in data[:8])
    if not isinstance(data, Made):
        return isinstance(data, Unknown) and name in data.hint
    inner = [*data.args[:4], *data.kwargs.values()]
    return data.name == name or (depth > 0 and any(_holds(item, name, depth - 1) for item in inner))


def names_in(tests: list[ast.expr], scope: Scope) -> str:
    """Return a name for the parameters that conditions pick out: "no_decay", "bias", "decay" for the rest, or ""."""
    words: list[str] = []
    denied = False
    for node in (one for test in tests for one in ast.walk(test)):
        denied = denied or isinstance(node, ast.Not | ast.NotIn)
        value = scope.find(node.id) if isinstance(node, ast.Name) else None
        if isinstance(node, ast.Constant):
            words.append(str(node.value))
        elif value is not None and isinstance(value.data, list | tuple):
            words += [str(item.data) for item in value.data]
    if not any("bias" in word or LAYER.search(word) for word in words):
        return ""
    if denied:
        return "decay"
    return "no_decay" if any(LAYER.search(word) for word in words) else "bias"
