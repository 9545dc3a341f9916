"""What a program says, read by its syntax tree alone."""

from __future__ import annotations

from downslope.reading.code import read_python
from downslope.reading.findings import Found, Part
from downslope.reading.reading import Field


def found_in(text: str, **flags: object) -> Found:
    """Return what a program says, with options that a command line sets."""
    given = {name: Field(value, "stated", f"--{name} {value}", 7, 12, "run.sh") for name, value in flags.items()}
    return read_python(Part("code", "python", text), given)


def values_of(text: str, **flags: object) -> dict[str, object]:
    """Return the values of its fields."""
    return {path: field.value for path, field in found_in(text, **flags).fields.items()}


def remarks_of(text: str) -> set[str]:
    """Return the names of its remarks."""
    return {name for name, _ in found_in(text).remarks}
