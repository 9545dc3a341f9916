"""An explanation as a document: sections of sentences and tables, in a language.

What lives here: which sections there are, in which order. What does not: what is in them (`sections_*.py`), the
sentences themselves (`english.toml`, `chinese.toml`), and how a document looks (`describe.py` on a terminal; the page).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from downslope.explaining import sections as numbers
from downslope.explaining import sections as rest
from downslope.explaining import sections as rule
from downslope.explaining.explanation import Explanation
from downslope.explaining.language import Words, whole, words_of
from downslope.explaining.parts import Note, Section, Sentence, Table

_SECTIONS: tuple[tuple[str, Callable[[Explanation, Words], Iterator[Sentence | Table]]], ...] = (
    ("rule", rule.rule_section),
    ("schedule", rule.schedule_section),
    ("velocity", numbers.velocity_section),
    ("decay", numbers.decay_section),
    ("stability", numbers.stability_section),
    ("damping", numbers.damping_section),
    ("rotation", numbers.rotation_section),
    ("batch", rest.batch_section),
    ("groups", rest.groups_section),
    ("remarks", rest.remarks_section),
    ("unknown", rest.unknown_section),
    ("notes", rest.notes_section),
)


@dataclass(frozen=True)
class Document:
    """An explanation in words.

    Attributes:
        title: Its title.
        run: How large the run is, a phrase; "" if nothing is known.
        sections: Its sections.
        notes: What sentences rest on, each once; a sentence's `note` counts them from 1.
    """

    title: str
    run: str
    sections: tuple[Section, ...]
    notes: tuple[Note, ...] = ()


def write_document(explanation: Explanation, lang: str = "en") -> Document:
    """Return an explanation in words.

    Args:
        explanation: The explanation.
        lang: "en" or "zh".

    Raises:
        SettingsError: If there is no such language.
    """
    words = words_of(lang)
    sections: list[Section] = []
    notes: dict[Note, int] = {}
    for name, make in _SECTIONS:
        parts = tuple(_noted(part, notes) for part in make(explanation, words))
        if parts:
            sections.append(Section(name, words.say(f"section.{name}"), parts))
    return Document(
        title=explanation.title or words.say("untitled"),
        run=_run(explanation, words),
        sections=tuple(sections),
        notes=tuple(notes),
    )


def _noted(part: Sentence | Table, notes: dict[Note, int]) -> Sentence | Table:
    """Return the part with the number of its note, which is added if it is new."""
    if isinstance(part, Table) or not part.equation:
        return part
    note = Note(part.equation, part.valid, part.source)
    return replace(part, note=notes.setdefault(note, len(notes) + 1))


def _run(explanation: Explanation, words: Words) -> str:
    known = [
        words.say(f"run.{name}", n=whole(value))
        for name in ("batch_size", "steps_per_epoch", "epochs", "total_steps")
        if (value := getattr(explanation.run, name)) is not None
    ]
    return words.say("comma").join(known)
