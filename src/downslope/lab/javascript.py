"""The update rule as JavaScript: `sgd_rule` and the ways of weight decay run on symbols, nothing repeated."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from downslope.core.rule import StepScalars, sgd_rule
from downslope.core.settings import Decay, scalars
from downslope.core.symbols import PYTHON, Term

NUMBERS = ("lr", "momentum", "weight_decay", "dampening")


def rule_source() -> str:
    """Return two JavaScript functions: `scalars(settings)` of a step, and `step(param, grad, velocity, s)`.

    `settings` has lr, momentum, weight_decay, dampening, nesterov, nu (1 for plain momentum) and decay; where a
    schedule moves lr, also lr_initial and lr_max, which some ways of decay divide by. `step` returns [delta, velocity].
    Operations and their order are those of Python, so the numbers are the same doubles.
    """
    given = {name: Term("name", (f"settings.{name}",)) for name in NUMBERS}
    cases: list[str] = []
    for way in get_args(Decay):
        found = scalars(
            **given,  # type: ignore[arg-type] -- symbols in the place of numbers
            nesterov=False,
            decay=way,
            lr_in_velocity=False,
            maximize=False,
            lr_initial=Term("name", ("initial",)),  # type: ignore[arg-type]
            lr_max=Term("name", ("largest",)),  # type: ignore[arg-type]
            decays=True,
        )
        forms = {"nesterov", "nu"}
        parts = {field.name: getattr(found, field.name) for field in fields(found) if field.name not in forms}
        inside = ", ".join(f"{name}: {_text(value)}" for name, value in parts.items())
        cases.append(f'    case "{way}": return {{ nesterov: settings.nesterov, nu: settings.nu ?? 1, {inside} }};')
    return "\n".join(
        [
            "function scalars(settings) {",
            "  const initial = settings.lr_initial ?? settings.lr, largest = settings.lr_max ?? settings.lr;",
            "  switch (settings.decay) {",
            *cases,
            "  }",
            "  throw new Error(`no such decay: ${settings.decay}`);",
            "}",
            "function step(param, grad, velocity, s) {",
            f"  if (s.nesterov) {{ {_body(nesterov=True, nu=None)} }}",
            f"  if (s.nu !== 1) {{ {_body(nesterov=False)} }}",
            f"  {_body(nesterov=False, nu=None)}",
            "}",
        ]
    )


def _body(**form: bool | None) -> str:
    param, grad, velocity = (Term("name", (name,)) for name in ("param", "grad", "velocity"))
    symbols = {field.name: Term("name", (f"s.{field.name}",)) for field in fields(StepScalars)}
    delta, new = sgd_rule(param, grad, velocity, StepScalars(**{**symbols, **form}))  # type: ignore[arg-type]
    return f"const v = {new.text({}, PYTHON)}; return [{delta.text({id(new): 'v'}, PYTHON)}, v];"


def _text(value: Term | float) -> str:
    return value.text({}, PYTHON) if isinstance(value, Term) else repr(float(value))
