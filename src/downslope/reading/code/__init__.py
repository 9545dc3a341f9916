"""Python, read by its syntax tree and never run: `read_python`, and what tells whether a text is Python."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from downslope.reading.code.calls import FRAMEWORKS
from downslope.reading.code.gather import FITTING, Gathering
from downslope.reading.code.interpreter import Interpreter, constants
from downslope.reading.code.looks import looks_like_python
from downslope.reading.code.notebook import Notebook, is_notebook
from downslope.reading.code.options import plain_name
from downslope.reading.code.pieces import LONGEST, Program, parse_program
from downslope.reading.code.unused import contradictions, find_unused
from downslope.reading.code.values import Class, Instance, Namespace, Value
from downslope.reading.code.written_files import written_lines
from downslope.reading.configuration import build_from, read_configuration
from downslope.reading.findings import Found, Part
from downslope.reading.parts import tell
from downslope.reading.reading import Field

__all__ = ["Notebook", "is_notebook", "looks_like_python", "read_python"]


def read_python(part: Part, flags: Mapping[str, Field] | None = None, beside: Sequence[Part] = ()) -> Found:
    """Return what a program, or a notebook, says of a training run.

    Args:
        part: Its text.
        flags: Options that a command line sets, by their names without dashes: they stand for the program's defaults.
        beside: Other modules, whose names the program may import.

    Example:
        >>> found = read_python(Part("code", "python", "opt = SGD(model.parameters(), lr=0.1, momentum=0.9)"))
        >>> {path: field.value for path, field in found.fields.items()}
        {'sgd.momentum': 0.9, 'sgd.lr': 0.1}
    """
    notebook = Notebook(part) if is_notebook(part.text) else None
    program = parse_program(part.text if notebook is None else notebook.code)
    named = {name: value for name, value in constants(program).items() if name.isupper()}
    for other in beside:
        text = parse_program(other.text)
        named.update({name: _moved(value, text, other) for name, value in constants(text).items()})
    interpreter = Interpreter(program, given := _values(flags or {}), beside=named)
    interpreter.go()
    if interpreter.missed & interpreter.options.keys():  # declared further down, or in what nobody calls
        interpreter = Interpreter(program, given, beside=named, known=interpreter.options)
        interpreter.go()
    found = Gathering(interpreter, _framework(program)).go()
    told = [(field.start, field.end) for field in found.fields.values() if field.start >= 0 and not field.file]
    found.unread = find_unused(program, told)
    found.remarks += contradictions(program, found.fields)
    found.remarks = [remark for i, remark in enumerate(found.remarks) if remark not in found.remarks[:i]]
    if len(part.text) > LONGEST:
        found.remarks.append(("long", {"length": len(part.text), "read": LONGEST}))

    def place(offset: int) -> int:
        return part.start + offset if notebook is None else notebook.place(offset)

    for path, field in found.fields.items():
        if field.start >= 0 and not field.file:
            found.fields[path] = replace(field, start=place(field.start), end=place(field.end), file=part.name)
    if not found.optimizer and notebook is None:
        _configured(part, interpreter, found)
        _written(part, program, found)
    found.unread = [(place(start), place(end)) for start, end in found.unread]
    return found


def _configured(part: Part, on: Interpreter, found: Found) -> None:
    """Take what a program that makes no optimizer sets: `cfg.SOLVER.BASE_LR = 0.1`, `self.max_epoch = 90`, options."""
    told = [made.kwargs for made in on.made if made.name in FITTING]
    for table in (on.options, *told):
        for name, value in table.items():
            on.enter((name,), value)
    build = build_from(part, on.entries)
    rate, told = (
        {p: f for p, f in one.items() if p.startswith("sgd.lr")} for one in (found.fields, build.found.fields)
    )
    placed = {one.start for one in on.entries}
    for path in ("sgd.momentum", "sgd.weight_decay") if build.found.optimizer else ():
        field = found.fields.get(path)
        if field is not None and field.start - part.start in placed and path not in build.found.fields:
            del found.fields[path]  # of a table of another optimizer
        elif field is not None and path in build.found.fields:
            found.fields[path] = build.found.fields[path]
    known = build.settings.system.name and told
    flat = all(f.value == "warmup" for p, f in rate.items() if p.endswith("schedule"))
    base = rate.get("sgd.lr") or rate.get("sgd.lr.then")
    same = base is None or any(base.value == field.value for field in told.values())
    if known or (flat and same and "sgd.lr.schedule" in told):
        found.fields = {path: field for path, field in found.fields.items() if path not in rate}
    elif rate:
        build.found.fields = {path: field for path, field in build.found.fields.items() if path not in told}
        build.found.remarks = [one for one in build.found.remarks if not _about_rate(*one)]
    first, second = (build.found, found) if known else (found, build.found)
    found.fields = {**second.fields, **first.fields}
    found.optimizer = found.optimizer or build.found.optimizer
    found.remarks += [one for one in build.found.remarks if one not in found.remarks]


def _about_rate(name: str, values: dict[str, object]) -> bool:
    """Return whether a remark is about a schedule, and not about what else is set."""
    return name in _OF_RATES or str(values.get("path", "")).startswith("sgd.lr")


_OF_RATES = frozenset({"usual_factor", "no_milestones", "no_total", "no_word", "constant_lr", "warmup_shape"})


def _written(part: Part, program: Program, found: Found) -> None:
    """Take what the configuration says that a program only writes."""
    lines = written_lines(program)
    if form := tell(lines):
        told = read_configuration(Part("configuration", form, lines, part.start, part.name))
        rated = any(path.startswith("sgd.lr") for path in told.fields)
        kept = {path: f for path, f in found.fields.items() if not (rated and path.startswith("sgd.lr"))}
        found.fields = {**kept, **told.fields}
        found.optimizer = found.optimizer or told.optimizer
        found.framework = found.framework or told.framework
        found.remarks += told.remarks


def _moved(value: Value, program: Program, part: Part) -> Value:
    """Return a value of another module, with its words and their place in the whole input."""
    data = value.data
    if isinstance(data, list | tuple):
        data = [_moved(item, program, part) for item in data]
    elif isinstance(data, dict):
        data = {key: _moved(item, program, part) for key, item in data.items()}
    elif isinstance(data, Namespace | Instance | Class):
        data.attributes.update({key: _moved(item, program, part) for key, item in data.attributes.items()})
    if value.start < 0:
        return Value(data)
    start, end = part.start + value.start, part.start + value.end
    words = program.text[value.start : value.end]
    return Value(data, start, end, literal=value.literal, file=part.name or "-", words=words)


def _values(flags: Mapping[str, Field]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, field in flags.items():
        data = field.value
        if isinstance(data, list | tuple):
            data = [
                Value(item, field.start, field.end, literal=True, file=field.file or "-", words=field.words)
                for item in data
            ]
        found[plain_name(name)] = Value(
            data, field.start, field.end, literal=True, file=field.file or "-", words=field.words
        )
    return found


def _framework(program: Program) -> str:
    """Return the framework that a program imports, or else names most often."""
    modules: list[str] = []
    for node in program.body:
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules += [f"{node.module or ''}.{alias.name}" for alias in node.names]
    text = " ".join(modules).lower() or program.text[:20_000].lower()
    counts = Counter({name: sum(text.count(mark) for mark in marks) for name, marks in FRAMEWORKS})
    best, times = counts.most_common(1)[0]
    return best if times else ""
