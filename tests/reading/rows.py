"""What a row of a corpus is: a sentence, and what every field of its reading must be.

A field's expectation is (value, provenance). Lists compare as lists, numbers to nine digits.
"""

from dataclasses import dataclass, field

from downslope import read


@dataclass(frozen=True)
class Row:
    """A sentence and its meaning.

    Attributes:
        name: Where it comes from.
        text: As written.
        fields: Dotted path -> (value, provenance), of the first reading.
        optimizer: What the first reading's optimizer must be.
        absent: Paths that must not be stated.
        remarks: Words, each of which must stand in some remark.
    """

    name: str
    text: str
    fields: dict
    optimizer: str = "sgd"
    absent: tuple = ()
    remarks: tuple = field(default=())


def stated(**values):
    """Return expectations for stated values; `__` stands for the dot of a path."""
    return {path.replace("__", "."): (value, "stated") for path, value in values.items()}


def implied(**values):
    """Return the same for what a convention implies, or two statements together."""
    return {path.replace("__", "."): (value, "implied") for path, value in values.items()}


def assumed(**values):
    """Return the same for what had to be assumed."""
    return {path.replace("__", "."): (value, "assumed") for path, value in values.items()}


def same(got, wanted):
    """Whether a value is the wanted one."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and got.keys() == wanted.keys() and all(same(got[key], wanted[key]) for key in got)
    if isinstance(wanted, list | tuple):
        return (
            isinstance(got, list | tuple)
            and len(got) == len(wanted)
            and all(same(one, other) for one, other in zip(got, wanted, strict=True))
        )
    if isinstance(wanted, bool) or isinstance(got, bool) or isinstance(wanted, str) or isinstance(got, str):
        return got == wanted and type(got) is type(wanted)
    return got is not None and abs(got - wanted) <= 1e-9 * max(1e-9, abs(wanted))


def unlike(text, expected):
    """Return which fields of a text's first reading are not as expected; None means absent, "optimizer" is that."""
    reading = read(text)[0]
    got = {"optimizer": reading.optimizer, **{path: found.value for path, found in reading.fields.items()}}
    return [
        f"{path}: {got.get(path)!r} instead of {value!r}"
        for path, value in expected.items()
        if (path in got if value is None else not same(got.get(path), value))
    ]
