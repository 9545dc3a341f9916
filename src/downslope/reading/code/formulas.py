"""A formula of the learning rate whose names nothing says more of: `base_lr * (1 - epoch / max_epoch) ** 0.9`."""

from __future__ import annotations

import ast
from copy import deepcopy

from downslope.reading.arithmetic import is_number
from downslope.reading.code.calls import field_of
from downslope.reading.code.interpreter import Interpreter, telling_times
from downslope.reading.code.recognise import recognise
from downslope.reading.code.sampling import alike, relative, with_words
from downslope.reading.code.tree import RATE_KEYS, formulas, key_of, unit_of
from downslope.reading.code.values import NOWHERE, Scope, Value, join_sources, pretended_rate
from downslope.reading.configuration.settings import meanings
from downslope.reading.plan import Plan

_LENGTHS = (97, 61)
"""Epochs or steps of a run that are pretended, where a program does not say how many there are."""

_WHOLE = frozenset({"epochs", "steps", "duration"})


def plan_of_formulas(on: Interpreter) -> Plan | None:
    """Return the schedule of the first formula that a program sets a learning rate by and that can be told."""
    return next((plan for node in formulas(on.program.body) if (plan := plan_of_formula(on, node)) is not None), None)


def plan_of_formula(on: Interpreter, node: ast.expr, time: str = "", around: Scope | None = None) -> Plan | None:
    """Return the schedule of a formula; `time` is the name that counts epochs or steps, where it is known."""
    around = around or on.globals
    roles = _Roles(on, time, around)
    formula = roles.put(deepcopy(node))
    on.program.kept.append(formula)  # its place is known by its identity
    if not roles.unit or roles.unknown:
        return None
    place = on.program.place(node)
    shapes: list[Plan] = []
    sources: dict[int, Value] = {}
    for length in [roles.length] if roles.length > 1 else _LENGTHS:
        samples: list[tuple[float, float]] = []
        long = range(length + length // 2 if not roles.whole else length)
        for moment in [time for time in telling_times(length, on) if time < length] if roles.length > 1 else long:
            scope = Scope({"_time": Value(moment), "_whole": Value(length), "_rate": pretended_rate()}, around)
            found = on.evaluate(formula, scope)
            if not is_number(found.data):
                return None
            samples.append((moment, found.data))
            sources = join_sources([sources, found.sources])
        shape = recognise(samples, length)
        if shape is None or shape.kind in {"constant", "levels"}:
            return None
        if roles.whole:
            shape.fields.pop("duration", None)
        shapes.append(shape)
    if len(shapes) > 1 and not alike(*shapes):
        return None
    plan = with_words(shapes[0], roles.unit, sources, None, place)
    return relative(plan) if NOWHERE in sources else plan


class _Roles:
    """Puts names for what counts time, for the length of the run and for the rate that it begins with."""

    def __init__(self, on: Interpreter, time: str, around: Scope) -> None:
        self.on, self.time, self.around = on, time, around
        self.unit, self.whole, self.unknown, self.length = "", False, False, 0

    def put(self, node: ast.expr) -> ast.expr:
        """Return a formula with these names in it; a function that is called keeps its own."""
        if isinstance(node, ast.BinOp):
            divisor = self.on.evaluate(node.right, self.around).data
            known = is_number(divisor)
            over = isinstance(node.op, ast.Div) and self._counts(node.left) and not self._counts(node.right)
            self.whole |= over and not known
            self.length = int(divisor) if over and known and isinstance(node.op, ast.Div) else self.length
            node.left = self.put(node.left)  # what the time is divided by is all of it
            node.right = self._as("_whole", node.right) if over and not known else self.put(node.right)
        elif isinstance(node, ast.UnaryOp):
            node.operand = self.put(node.operand)
        elif isinstance(node, ast.Call):
            node.args = [self.put(one) for one in node.args]
        elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            return self._named(node)
        else:
            self.unknown |= not isinstance(node, ast.Constant)
        return node

    def _as(self, name: str, node: ast.expr) -> ast.expr:
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def _counts(self, node: ast.AST) -> bool:
        names = [key_of(one) for one in ast.walk(node)]
        return any((name == self.time and name) or (unit_of(name) and not self._is_whole(name)) for name in names)

    def _is_whole(self, name: str) -> bool:
        return bool(_WHOLE.intersection(meanings(name))) or field_of(name).startswith("train.")

    def _named(self, node: ast.expr) -> ast.expr:
        value = self.on.evaluate(node, self.around)
        if is_number(value.data):
            return node
        name = key_of(node)
        if self._is_whole(name):
            self.whole = True
            return self._as("_whole", node)
        if "lr" in meanings(name) or name.lower() in RATE_KEYS:
            return self._as("_rate", node)
        unit = unit_of(name) or ("epoch" if name and name == self.time else "")
        self.unknown |= not unit
        self.unit = self.unit or unit
        return self._as("_time", node)
