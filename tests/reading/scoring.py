"""Scoring a corpus: which expected fields were read, with which provenance, and what was stated that should not be.

The tables of docs/reading.md are made of these counts.
"""

from dataclasses import dataclass, field

from downslope import read
from reading.rows import same


@dataclass
class Score:
    """What a corpus comes to.

    Attributes:
        rows: Sentences.
        perfect: Sentences with every field and provenance right, and nothing stated that should not be.
        expected: Expected fields.
        right: Those with the right value.
        sourced: Those with the right value and provenance.
        invented: Fields called stated that no row expects.
        optimizers: Sentences whose optimizer was recognised.
        by_field: Path -> [expected, right].
        faults: One line for each fault.
    """

    rows: int = 0
    perfect: int = 0
    expected: int = 0
    right: int = 0
    sourced: int = 0
    invented: int = 0
    optimizers: int = 0
    by_field: dict = field(default_factory=dict)
    faults: list = field(default_factory=list)


def score(corpus):
    """Return the score of a corpus."""
    total = Score()
    for row in corpus:
        reading = read(row.text, language="en")[0]
        faults = []
        if reading.optimizer == row.optimizer:
            total.optimizers += 1
        else:
            faults.append(f"optimizer {reading.optimizer} instead of {row.optimizer}")
        for path, (value, provenance) in row.fields.items():
            got = reading.fields.get(path)
            counts = total.by_field.setdefault(path.replace(".then", ""), [0, 0])
            counts[0] += 1
            total.expected += 1
            if got is None or not same(got.value, value):
                faults.append(f"{path} = {None if got is None else got.value} instead of {value}")
                continue
            counts[1] += 1
            total.right += 1
            if got.provenance == provenance:
                total.sourced += 1
            else:
                faults.append(f"{path} is {got.provenance} instead of {provenance}")
        for path, got in reading.fields.items():
            if got.provenance == "stated" and (path not in row.fields or path in row.absent):
                total.invented += 1
                faults.append(f"{path} = {got.value} is stated by nobody ({got.words})")
        unsaid = [words for words in row.remarks if not any(words in remark for remark in reading.remarks)]
        faults += [f"no remark with {words!r}" for words in unsaid]
        total.rows += 1
        total.perfect += not faults
        total.faults += [f"{row.name}: {fault}" for fault in faults]
    return total


def summary(total):
    """Return one row of the documentation's table, without the name."""
    return (
        f"{total.rows} | {total.perfect} | {total.optimizers} / {total.rows} | {total.right} / {total.expected} "
        f"| {total.sourced} / {total.expected} | {total.invented}"
    )


def by_field(total):
    """Return the rows of the documentation's table by field."""
    return [f"| `{path}` | {right} / {expected} |" for path, (expected, right) in sorted(total.by_field.items())]
