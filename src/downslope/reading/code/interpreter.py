"""A program's statements, gone through without running it: both sides of what is unknown, loops epoch by epoch."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from functools import cache
from itertools import islice
from typing import Any, ClassVar

from downslope.reading.arithmetic import MOST_ITEMS, is_number
from downslope.reading.code.arithmetic import compare, concrete, length
from downslope.reading.code.calling import OF_RATE, Change, Frame, Length, Loop, either
from downslope.reading.code.calls import field_of, is_foreign, optimizer_of
from downslope.reading.code.expressions import MOST_INNER, Expressions
from downslope.reading.code.options import declared_defaults
from downslope.reading.code.pieces import Program
from downslope.reading.code.tree import (
    RATE_KEYS,
    changes_rate,
    changing_functions,
    holds_loop,
    name_of,
    pattern_of,
    repeats,
    tells_time,
    trains,
    unit_of,
    unwrapped,
)
from downslope.reading.code.values import (
    Class,
    Function,
    Groups,
    Instance,
    Made,
    Namespace,
    PerEpoch,
    Ref,
    Scope,
    Span,
    Unknown,
    Value,
    is_known,
    join_sources,
    numbers,
)
from downslope.reading.configuration.dictionaries import path_of
from downslope.reading.configuration.entries import Entry
from downslope.reading.configuration.entries import words_of as words_in
from downslope.reading.configuration.keys import FOREIGN, STRUCTURE

_MOST_ROUNDS = 80
_MOST_EPOCHS = 400
_GROWTH = 1.5
_COUNTED = {"epoch": "epochs", "EPOCH": "epochs", "STEPS": "max_steps", "ITERATIONS": "max_steps"}
_DEEPEST = 8
_NO_RATE = re.compile(r"test|valid|eval|save|checkpoint|accura|load|log|plot", re.IGNORECASE)
_TABLE = re.compile(r"^[A-Z]{1,2}$|(?:Config|Cfg|Args|[Pp]arams|Options|Settings|Dict)$")
"""Names of classes that only hold settings."""

_ASIDE = frozenset({"warmup", "early", "stopping", "ema", "test", "eval", "evaluation", "validation", "teacher"})
"""Words of classes whose settings are of something beside the training itself."""

_LISTED = re.compile(r"\d{1,4}(?:, ?\d{1,4})+")


class Interpreter(Expressions):
    """Goes through a program."""

    def __init__(
        self,
        program: Program,
        flags: Mapping[str, Value],
        steps: int | None = None,
        beside: Mapping[str, Value] | None = None,
        known: Mapping[str, Value] | None = None,
    ) -> None:
        """Find which functions change a learning rate."""
        super().__init__(program, flags, steps, beside, known)
        self.changing = changing_functions(program.body)
        self.trains = cache(lambda node: trains([node]))
        self.changes_rate = cache(lambda node: changes_rate(node, self.changing))

    def go(self) -> None:
        """Go through the whole program, then through what it never calls, as if it were called without arguments."""
        frame = Frame()
        self.calls.append(frame)
        try:
            for statement in self.program.body:  # a piece may call what stands further down in it
                if isinstance(statement, ast.FunctionDef):
                    self.globals.put(statement.name, self.function(statement, self.globals))
            for statement in self.program.body:  # of a piece, also behind the end of the function that it begins in
                self.run([statement], self.globals, frame)
                if self.budget < 0:
                    break
            self.doubt += 1
            self.called_changes = len(self.changes)
            named = sorted(self.globals.names.items(), key=lambda item: "config" not in item[0].lower())
            told = sorted((value for _, value in named), key=lambda one: id(_node(one)) not in self.chosen)
            for value in [*told, *self.inner]:
                if isinstance(value.data, Function) and id(value.data.node) not in self.called:
                    self.call_function(value.data, [], self._flags_for(value.data))
                elif isinstance(value.data, Class) and value.data.name:
                    self._go_through_class(value)
        except RecursionError:
            return

    def _flags_for(self, function: Function) -> dict[str, Value]:
        return {name: value for name, value in self.flags.items() if name in function.defaults}

    def _go_through_class(self, value: Value) -> None:
        kind: Class = value.data
        made = kind.instance or self.instantiate(value, [], {})
        for method in list(kind.attributes.values()):
            if isinstance(method.data, Function) and id(method.data.node) not in self.called and self._matters(method):
                self.call_function(method.data.bound_to(made), [], {})

    def _matters(self, method: Value) -> bool:
        return not method.data.name.startswith("__") and method.data.name not in {"forward", "call"}

    # statements

    def run(self, body: list[ast.stmt], scope: Scope, frame: Frame) -> str:
        """Go through statements; return "" at the end, or "return", "raise", "break", "continue"."""
        for statement in body:
            self.budget -= 1
            method = self._statements.get(type(statement))
            if self.budget < 0:
                return "raise"
            if method is None or self.depth > 80:
                continue
            self.depth += 1
            try:
                signal = method(self, statement, scope, frame)
            finally:
                self.depth -= 1
            if signal:
                return signal
        return ""

    def _expression(self, node: ast.Expr, scope: Scope, frame: Frame) -> str:
        if isinstance(node.value, ast.Yield):
            frame.yields.append(self.evaluate(node.value.value, scope))
        elif isinstance(node.value, ast.YieldFrom):
            frame.yields += self.iterable(self.evaluate(node.value.value, scope)) or []
        else:
            value = self.evaluate(node.value, scope)
            if isinstance(value.data, Namespace | dict):
                self.enter((), value)
        return ""

    def _assignment(self, node: ast.Assign | ast.AnnAssign, scope: Scope, frame: Frame) -> str:
        if node.value is None:
            return ""
        value = self.evaluate(node.value, scope)
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            start = self.program.place(target)[0]
            counted = _COUNTED.get(name_of(target))
            if counted and is_number(value.data) and value.data > 1 and not self.loops:  # a counter begins at 0 or 1
                self.note(counted, value.within(start, self.program.place(node.value)[1]))
            self.assign(target, value.within(start, self.program.place(node.value)[1]), scope)
        return ""

    def _update(self, node: ast.AugAssign, scope: Scope, frame: Frame) -> str:
        old = self.evaluate(node.target, scope)
        value = self.operate(node.op, old, self.evaluate(node.value, scope), node)
        self.assign(node.target, value, scope)
        path = field_of(name_of(node.target))
        if path in self.named and self.named[path].data == old.data and is_number(value.data) and not self.loops:
            self.named[path] = value
        return ""

    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Bind a name, an attribute, an item, or several of these."""
        if self.control:
            value = value.also(join_sources(self.control))
        if isinstance(target, ast.Name):
            if isinstance(value.data, Function) and "optim" in target.id.lower():
                self.chosen.add(id(value.data.node))
            if isinstance(value.data, Made) and not value.data.bound:
                value.data.bound = target.id
            self.note(target.id, value)
            self.enter((target.id,), value)
            if isinstance(value.data, Unknown) and value.data.hint in {"", "list"}:
                value = Value(Unknown(target.id), value.start, value.end, sources=value.sources)
            scope.put(target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            items = self.iterable(value) if not isinstance(value.data, Groups) else None
            for place, one in enumerate(target.elts):
                if isinstance(one, ast.Starred):
                    break
                item = (
                    items[place] if items is not None and place < len(items) else Value(Unknown(getattr(one, "id", "")))
                )
                self.assign(one, item, scope)
        elif isinstance(target, ast.Attribute):
            path = path_of(target)
            foreign = bool(words_in(path[:1]) & FOREIGN)  # loss.triplet.lr = 0.05
            self.enter(path if foreign else path[1:], value)
            if not foreign and not words_in(path[1:-1]) & (FOREIGN | STRUCTURE):
                self.note(target.attr, value)
            self._set(self.evaluate(target.value, scope), target.attr, value)
        elif isinstance(target, ast.Subscript):
            self.enter(path_of(target)[1:], value)
            of = self.evaluate(target.value, scope)
            self._set_item(of, self.evaluate(target.slice, scope).data, value)

    def enter(self, path: tuple[str, ...], value: Value) -> None:
        """Note an entry that a configuration is given: `cfg.SOLVER.BASE_LR = 0.1`, or a table of such."""
        table = value.data.attributes if isinstance(value.data, Namespace) else value.data
        if isinstance(table, Made) and not table.args and _TABLE.search(table.name):
            table = table.kwargs
        if len(self.entries) >= MOST_ITEMS or len(path) > _DEEPEST or self.unsure or self.loops or self.aside:
            return
        if self.sampled_rate is not None:
            return
        if isinstance(table, dict):
            for key, item in islice(table.items(), MOST_ITEMS):
                self.enter((*path, str(key)), item)
            return
        told = value.literal or is_number(table) or isinstance(table, bool) or numbers(value)
        if path and value.start >= 0 and not value.file and told:
            data = [item.data for item in table] if isinstance(table, list | tuple) else table
            self.entries.append(Entry(path, data, value.start, value.end, derived=not value.literal))

    def _set(self, of: Value, name: str, value: Value) -> None:
        data = of.data
        if isinstance(data, Instance | Namespace | Class):
            data.attributes[name] = value
        elif isinstance(data, dict):
            data[name] = value
        elif isinstance(data, Made):
            if name in RATE_KEYS and _is_optimizer(data):
                self.change(of, value)
            else:
                data.attributes[name] = value
        elif isinstance(data, Unknown | Ref):
            path = (data.hint if isinstance(data, Unknown) else data.path).lower()
            if name in RATE_KEYS and "optim" in path:
                self.change(of, value)
            elif path.rsplit(".", 1)[-1] in {"args", "opt", "cfg", "config", "flags", "hparams", "params"}:
                self.options[name] = value
        if isinstance(value.data, Made) and not value.data.bound:
            value.data.bound = name

    def _set_item(self, of: Value, key: Any, value: Value) -> None:
        data = of.data
        if isinstance(data, Groups):
            if isinstance(key, str):
                self.change(data.optimizer, value, key, data.place)
        elif isinstance(data, dict):
            if isinstance(key, str | int | float):
                data[key] = value
        elif isinstance(data, list):
            if isinstance(key, int) and -len(data) <= key < len(data):
                data[key] = value
        elif isinstance(data, Made | Namespace | Instance) and isinstance(key, str):
            self._set(of, key, value)
        elif isinstance(data, Unknown | Ref) and str(key) in RATE_KEYS:
            path = (data.hint if isinstance(data, Unknown) else data.path).lower()
            if "group" in path or "optim" in path:
                self.change(of, value)

    def change(self, optimizer: Value, value: Value, key: str = "lr", group: int = 0) -> None:
        """Note that something sets the learning rate, or another setting, of an optimizer."""
        value = self.loosened(value)
        value = value.also(join_sources(self.control)) if self.control else value
        epoch = next((loop for loop in reversed(self.loops) if loop.kind == "epoch"), None)
        batch = next((loop for loop in reversed(self.loops) if loop.kind == "step"), None)
        at = epoch.index if epoch else None
        beyond = any(loop.beyond for loop in self.loops)
        index = int(batch.index) if batch is not None and batch.index is not None else None
        unsure = bool(self.loops) and self.unsure > self.loops[0].unsure
        late = epoch is not None and epoch.trained
        key = "lr" if key in RATE_KEYS else key
        self.changes.append(Change(optimizer, value, at, index, beyond, unsure, late, bool(self.loops), key, group))
        if isinstance(optimizer.data, Made) and key in RATE_KEYS and not unsure and not group:
            optimizer.data.notes["lr"] = value
        elif key in RATE_KEYS and not unsure and self.loops and not group:
            self.loose_rate = value

    def _condition(self, node: ast.If, scope: Scope, frame: Frame) -> str:
        test = self.evaluate(node.test, scope)
        truth = self.truth(test)
        self.control.append(test.sources)
        timed = tells_time(node.test)
        self.timed += timed
        try:
            if truth is not None:
                small = not self.loops or _is_setting(node)
                if not truth and small and not timed and self.changes_rate(tuple(node.body)):
                    self.skipped.setdefault(node.lineno, node)
                signal = self.run(node.body if truth else node.orelse, scope, frame)
                return "" if signal == "raise" else signal  # another setting than the default is asked for
            return self._both(node.body, node.orelse, scope, frame, pattern_of(node.test))
        finally:
            self.timed -= timed
            self.control.pop()

    def _both(self, one: list[ast.stmt], two: list[ast.stmt], scope: Scope, frame: Frame, pattern: str = "") -> str:
        """Go through both sides of an unknown condition; afterwards a name holds what is known of it."""
        before = dict(scope.names)
        self.doubt += 1
        self.unsure += 1
        try:
            self.tests.append(pattern)
            signal = self._side(one, scope, frame)
            self.tests.pop()
            after = scope.names
            if signal == "raise":
                after = before
            scope.names = dict(before)
            self.tests.append(f"!{pattern}" if pattern else "")
            other = self._side(two, scope, frame)
            self.tests.pop()
        finally:
            self.doubt -= 1
            self.unsure -= 1
        if other == "raise":
            scope.names = after
            return signal if signal != "raise" else ""
        if signal == "return" and not two:
            return ""
        if signal != "raise":
            changed_in_one_alone = not two
            for name, value in after.items():
                old = scope.names.get(name)
                if old is None:
                    scope.names[name] = value
                elif old is not value and not (signal and signal != "raise"):
                    scope.names[name] = either(old, value) if changed_in_one_alone else either(value, old)
        return signal if signal and signal == other else ""

    def _side(self, body: list[ast.stmt], scope: Scope, frame: Frame) -> str:
        signal = self.run(body, scope, frame)
        if signal == "return" and frame.result is not None:
            frame.maybe.append(frame.result)
            frame.result = None
        return "" if signal in {"break", "continue"} else signal

    def _returning(self, node: ast.Return, scope: Scope, frame: Frame) -> str:
        value = self.evaluate(node.value, scope) if node.value is not None else Value(None)
        frame.result = value.also(join_sources(self.control)) if self.control else value
        return "return"

    def _stopping(self, node: ast.stmt, scope: Scope, frame: Frame) -> str:
        return type(node).__name__.lower()

    def _trying(self, node: ast.Try, scope: Scope, frame: Frame) -> str:
        signal = self.run(node.body, scope, frame)
        if signal == "raise" and node.handlers:
            signal = self.run(node.handlers[0].body, scope, frame)
        signal = signal or self.run(node.orelse, scope, frame)
        return self.run(node.finalbody, scope, frame) or signal

    def _context(self, node: ast.With | ast.AsyncWith, scope: Scope, frame: Frame) -> str:
        for item in node.items:
            value = self.evaluate(item.context_expr, scope)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value, scope)
        return self.run(node.body, scope, frame)

    def _matching(self, node: ast.Match, scope: Scope, frame: Frame) -> str:
        subject = self.evaluate(node.subject, scope)
        for place, case in enumerate(node.cases, 1):
            patterns = case.pattern.patterns if isinstance(case.pattern, ast.MatchOr) else [case.pattern]
            wild = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
            same = [
                compare(ast.Eq(), subject, self.evaluate(pattern.value, scope), self.steps)
                for pattern in patterns
                if isinstance(pattern, ast.MatchValue)
            ]
            if wild or True in same:
                return self.run(case.body, scope, frame)
            if not is_known(subject.data):
                rest = [ast.Match(node.subject, node.cases[place:])] if node.cases[place:] else []
                return self._both(case.body, list[ast.stmt](rest), scope, frame)
        return ""

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope, frame: Frame) -> str:
        value = self.function(node, scope)
        value.data.defaults.update(declared_defaults(self, node, scope))
        if self.calls and self.calls[-1].function is not None and len(self.inner) < MOST_INNER:
            self.inner.append(value)
        scope.put(node.name, value)
        return ""

    def _class_definition(self, node: ast.ClassDef, scope: Scope, frame: Frame) -> str:
        inner = Scope({}, scope)
        aside = bool(words_in([node.name]) & _ASIDE)
        self.aside, self.of_rate = self.aside + aside, OF_RATE.search(node.name) is not None
        self.run(node.body, inner, Frame())
        self.aside, self.of_rate = self.aside - aside, False
        fields = [
            one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        ]
        bases = [self.evaluate(base, scope) for base in node.bases[:8]]
        init = inner.names.get("__init__")
        if init is not None and isinstance(init.data, Function) and _TABLE.search(node.name):
            self.enter((), Value(init.data.defaults))
        scope.put(node.name, Value(Class(node.name, inner.names, bases, fields)))
        return ""

    def _importing(self, node: ast.Import | ast.ImportFrom, scope: Scope, frame: Frame) -> str:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                known = None if is_foreign(node.module or "") else self.beside.get(alias.name)
                scope.put(alias.asname or alias.name, known or Value(Ref(f"{node.module or ''}.{alias.name}")))
                if alias.name == "*" and not is_foreign(node.module or ""):
                    scope.names.update(self.beside)
            else:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                scope.put(alias.asname or name, Value(Ref(name)))
        return ""

    def _sharing(self, node: ast.Global | ast.Nonlocal, scope: Scope, frame: Frame) -> str:
        scope.shared.update(node.names)
        return ""

    # loops

    def passes_over(self, function: Function) -> bool:
        """Return whether a call trains, evaluates or saves in a later round of a loop, and changes no learning rate."""
        loop = self.loops[-1] if self.loops else None
        if loop is None or loop.first or not function.name or function.name in self.changing:
            return False
        if self.trains(function.node):
            for one in self.loops:
                one.trained = True
            return True
        return bool(_NO_RATE.search(function.name))

    def _loop(self, node: ast.For | ast.AsyncFor, scope: Scope, frame: Frame) -> str:
        source, counted = unwrapped(node.iter)
        target, index_target = node.target, None
        if counted and isinstance(target, ast.Tuple | ast.List) and len(target.elts) == 2:
            index_target, target = target.elts
        value = self.evaluate(source, scope)
        if isinstance(value.data, Groups):
            self.assign(target, value, scope)
            return self._round(node, scope, frame)
        items = None if isinstance(value.data, Span) else self.iterable(value)
        if items is not None:
            known, several = len(self.lengths), len(items) > 1 and _begins_anew(node.body)
            for place, item in enumerate(items[: 1 if several else _MOST_ROUNDS]):
                if index_target is not None:
                    self.assign(index_target, Value(place), scope)
                self.assign(target, item.but(doubt=True) if several else item, scope)
                signal = self._round(node, scope, frame)
                if signal:
                    return signal if signal != "break" else ""
            self._add_up(known)
            return ""
        rounds = _Rounds(self, node, value, name_of(target) or name_of(index_target))
        self._bind_batch(target if not isinstance(value.data, Span) else None, scope)
        return rounds.go(index_target if not isinstance(value.data, Span) else target, scope, frame)

    def _add_up(self, known: int) -> None:
        """Let loops over epochs that one after the other stand in a loop count together."""
        inner = self.lengths[known:]
        if len(inner) > 1 and all(one.unit == "epoch" and is_number(one.value.data) for one in inner):
            total = Value(sum(one.value.data for one in inner), inner[0].value.start, inner[-1].value.end)
            self.lengths[known:] = [Length("epoch", total, inner[0].doubt)]

    def _bind_batch(self, target: ast.expr | None, scope: Scope) -> None:
        if target is not None:
            self.assign(target, Value(Unknown("batch")), scope)

    def _round(self, node: ast.For | ast.AsyncFor | ast.While, scope: Scope, frame: Frame) -> str:
        signal = self.run(node.body, scope, frame)
        return "" if signal == "continue" else signal

    def _while_loop(self, node: ast.While, scope: Scope, frame: Frame) -> str:
        test = node.test
        if (
            isinstance(test, ast.Compare)
            and len(test.ops) == 1
            and isinstance(test.ops[0], ast.Lt | ast.LtE | ast.NotEq)
        ):
            name, limit = name_of(test.left), self.evaluate(test.comparators[0], scope)
            unit = unit_of(name)
            if unit and (is_number(limit.data) or isinstance(limit.data, PerEpoch)):
                self.lengths.append(Length(unit, limit, self.doubt))
        if self.truth(self.evaluate(test, scope)) is False:
            return ""
        self.loops.append(
            Loop(
                "epoch" if unit_of(name_of(getattr(test, "left", None))) == "epoch" else "step",
                None,
                unsure=self.unsure,
            )
        )
        signal = self._round(node, scope, frame)
        self.loops.pop()
        return signal if signal == "return" else ""

    _statements: ClassVar[dict[type, Callable[[Any, Any, Scope, Frame], str]]] = {
        ast.Expr: _expression, ast.Assign: _assignment, ast.AnnAssign: _assignment, ast.AugAssign: _update,
        ast.If: _condition, ast.Return: _returning, ast.Try: _trying, ast.With: _context, ast.AsyncWith: _context,
        ast.Match: _matching, ast.FunctionDef: _definition, ast.AsyncFunctionDef: _definition,
        ast.ClassDef: _class_definition, ast.Import: _importing, ast.ImportFrom: _importing, ast.Global: _sharing,
        ast.Nonlocal: _sharing, ast.For: _loop, ast.AsyncFor: _loop, ast.While: _while_loop, ast.Raise: _stopping,
        ast.Break: _stopping, ast.Continue: _stopping,
    }  # fmt: skip


class _Rounds:
    """A loop over epochs or batches: how long it goes on, and what is gone through of it."""

    def __init__(self, on: Interpreter, node: ast.For | ast.AsyncFor, value: Value, name: str) -> None:
        self.on, self.node, self.value = on, node, value
        self.changes = on.changes_rate(node)
        span = value.data if isinstance(value.data, Span) else None
        self.kind, self.start, self.count = "step", 0.0, None
        if span is None:
            return
        start, stop = concrete(span.start.data, None), span.stop.data
        self.start = start if is_number(start) else 0.0
        self.count = self._count(span, start, stop)
        per_epoch = isinstance(stop, PerEpoch) and stop.epochs == 1
        training = trains(node.body)
        named = unit_of(name) == "epoch"
        outer = training and (_goes_over_data(node.body) or (holds_loop(node.body) and unit_of(name) != "step"))
        if named or (outer and not repeats(node.body)):
            self.kind = "epoch"
        elif not training or per_epoch or repeats(node.body):
            self.kind = "step" if per_epoch else "other"
        if (
            self.kind != "other"
            and not per_epoch
            and self.count is not None
            and not any(loop.beyond for loop in on.loops)
        ):
            doubt = on.doubt + (0.5 if self.kind == "epoch" and not named else 0)
            on.lengths.append(Length(self.kind, self.count, doubt, self.start))

    def _count(self, span: Span, start: Any, stop: Any) -> Value | None:
        """Return how many rounds a range has, by the literal that says it where there is one."""
        if isinstance(stop, PerEpoch):
            return span.stop
        if not (is_number(stop) and span.step.data == 1):
            return None
        count = stop - (start if is_number(start) else 0)
        if count == stop and span.stop.literal:
            return span.stop
        sources = {**span.stop.sources, **span.start.sources}
        exact = [source for source in sources.values() if source.data == count and not isinstance(source.data, bool)]
        return exact[0] if exact else Value(count, span.stop.start, span.stop.end, sources=sources)

    def indices(self) -> list[tuple[float, bool]]:
        """Return the rounds that are gone through, each with whether it lies beyond the end."""
        count = self.count.data if self.count is not None and is_number(self.count.data) else None
        if not self.changes or self.kind == "other":
            return [(self.start, False)]
        if self.kind == "step":
            if isinstance(self.value.data, Span) and count is not None and self.on.steps is None:
                return [(t, t >= count) for t in telling_times(count, self.on)]
            return [(i, False) for i in range(self.on.steps or 1)]
        count = count if count is not None else 100
        last = min(max(int(count * _GROWTH), _latest(self.on)) + 2, _MOST_EPOCHS) if count <= _MOST_EPOCHS else 0
        if last:
            return [(self.start + i, i >= count) for i in range(last)]
        return [(t, t >= count) for t in telling_times(count, self.on)]

    def go(self, target: ast.expr | None, scope: Scope, frame: Frame) -> str:
        """Go through the rounds."""
        on, signal = self.on, ""
        if self.kind != "epoch" and not self.changes and any(not loop.first for loop in on.loops):
            for loop in on.loops:
                loop.trained = loop.trained or self.kind == "step"
            return ""  # as in the first round
        indices, left = self.indices(), on.budget
        stride, known = 1, len(on.changes)
        for place, (index, beyond) in enumerate(indices):
            if (
                place == 3 and (left - on.budget) / 3 * len(indices) > on.budget > 0
            ):  # too dear to go through one by one
                stride = int((left - on.budget) / 3 * len(indices) / on.budget) + 1
            if place % stride:
                continue
            on.reach[self.kind] = max(on.reach.get(self.kind, -1), index)
            on.rounds[self.kind] = on.rounds.get(self.kind, 0) + 1
            if self.kind != "other":
                on.loops.append(Loop(self.kind, index, beyond=beyond, unsure=on.unsure, first=place == 0))
            if target is not None:
                on.assign(target, Value(int(index)), scope)
            signal = on.run(self.node.body, scope, frame)
            if self.kind != "other":
                on.loops.pop()
            if self.kind == "step":
                for loop in on.loops:
                    loop.trained = loop.trained or trains(self.node.body)
            if signal in {"break", "return", "raise"} or on.budget < 0:
                break
            if place == 0 and on.changes[known:] and not any(is_number(one.value.data) for one in on.changes[known:]):
                break  # what is set cannot be known
        if signal == "return" and self.kind != "other":
            return ""  # an early end, under a condition on what was measured
        return signal if signal in {"return", "raise"} else ""


def _begins_anew(body: list[ast.stmt]) -> bool:
    """Return whether statements make a model: each round of their loop is a training of its own."""
    made = [one for one in body if isinstance(one, ast.Assign) and isinstance(one.value, ast.Call)]
    return any(name_of(target) in _MODELS for one in made for target in one.targets)


_MODELS = frozenset({"model", "net", "network", "clf", "classifier"})


def _goes_over_data(body: list[ast.stmt]) -> bool:
    """Return whether statements hold a loop that trains on all batches."""
    loops = [node for one in body for node in ast.walk(one) if isinstance(node, ast.For) and trains(node.body)]
    return any(isinstance(length(Unknown(name_of(unwrapped(loop.iter)[0]))), PerEpoch) for loop in loops)


def constants(program: Program) -> dict[str, Value]:
    """Return what a module's own assignments and classes name."""
    on = Interpreter(program, {})
    kinds = ast.Assign | ast.AnnAssign | ast.AugAssign | ast.ClassDef | ast.Import | ast.ImportFrom
    on.run([one for one in program.body if isinstance(one, kinds)], on.globals, Frame())
    names = {name: value for name, value in on.globals.names.items() if not isinstance(value.data, Unknown | Ref)}
    return {name: value for name, value in names.items() if name != "__name__" and not isinstance(value.data, Made)}


def _node(value: Value) -> ast.AST | None:
    return value.data.node if isinstance(value.data, Function) else None


def _is_optimizer(made: Made) -> bool:
    """Return whether what a call made has a learning rate to set."""
    words = f"{made.name} {made.bound}".lower()
    return bool(optimizer_of(made.name)) or "optim" in words or "trainer" in words or made.bound == "opt"


def _latest(on: Interpreter) -> int:
    """Return the largest number in a list of the program's options: a milestone may lie after the end."""
    told = [value for name, value in on.globals.names.items() if field_of(name) == "lr.milestones"]
    lists = [value.data for value in [*on.options.values(), *told] if isinstance(value.data, list | tuple)]
    listed = [item.data for many in lists for item in many]
    texts = [
        value.data
        for value in on.options.values()
        if isinstance(value.data, str) and _LISTED.fullmatch(value.data[:99])
    ]
    listed += [int(word) for text in texts for word in text.split(",")]
    return int(max((number for number in listed if is_number(number) and number < _MOST_EPOCHS), default=0))


def telling_times(count: float, on: Interpreter) -> list[int]:
    """Return rounds of a long loop at which something can change: around each number of the program, and a grid."""
    seen = {
        one.value
        for one in ast.walk(ast.Module(on.program.body, []))
        if isinstance(one, ast.Constant) and is_number(one.value)
    }
    seen |= {round(value.data) for value in on.options.values() if is_number(value.data) and abs(value.data) < 1e12}
    for value in on.options.values():
        seen |= {item.data for item in value.data if is_number(item.data)} if isinstance(value.data, list) else set()
    times = set(range(20)) | {int(count * k / 97) for k in range(130)}
    for number in list(seen)[:200]:
        if isinstance(number, int | float) and 10 <= number < 1e9 and float(number).is_integer():
            multiples = [int(number) * k for k in range(1, 13) if number * k <= count * _GROWTH]
            times |= {t + shift for t in multiples for shift in (-1, 0, 1)}
    return sorted(t for t in times if t >= 0)[:1500]


def _is_setting(node: ast.If) -> bool:
    """Return whether an `if` without an `else` does nothing but set something."""
    return not node.orelse and len(node.body) <= 6
