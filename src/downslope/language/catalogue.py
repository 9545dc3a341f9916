"""The catalogue of a language: sentences in English, by which they are found, each with its translation beside it.

A sentence has named places, `{path}: is a folder.`, where the code puts in its values. A text is matched with the
sentences of the catalogue, the one with the most letters first; what stands at its places is translated in the same
way where it is a sentence itself, and else stays as it is. `{n:#}` is a place for a number alone, `{x:w}` for a word,
`{x:i}` for an item of a list, `{x:s}` for sentences, `{x:m}` for lines; `{_}` is not said in the other language.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from itertools import islice
from string import Formatter

_PLACES = {
    "": r"(?!\s)(?:(?![.?!] [A-Z]).)+?",
    "s": r"(?!\s).+?",
    "m": r"(?!\s)(?:.|\n)+?",
    "i": r"(?!\s)(?:[^,;()]|\([^()]*\))+?",
    "w": r"[^\s]+?",
    "#": r"[-+]?\d(?:[\d,.]*\d)?(?:e[-+]?\d+)?",
}
"""What may stand at a place, by the letter behind its colon; without one, anything within a sentence."""

_LONGEST = 4000
"""Characters of a line beyond which no sentence is looked for: it is data."""

_BETWEEN = re.compile(r", (?![^()]*\))")
"""What is between the items of a list."""
_MOST = 6
"""Sentences together, and colons within one, beyond which none of the catalogue goes."""

_END = re.compile(r"(?<=[.?!;:])\s+")
_AFTER_END = re.compile(r"[.?!;]\s")
_MARKS = {".": "。", ";": "；", ":": "：", ",": "，"}
"""The marks at the end of a sentence or a part of one, and the other language's."""
_INDENT = re.compile(r"(\s*(?:[-*] )?)(.*?)(\s*)", re.DOTALL)
_COLON = re.compile(r": +(?=\S)")
"""Behind what a message is about: a command, a file, an option with its value."""
_QUOTES = ("'", '"', "`")
_VALUES = frozenset({"True", "False", "None"})
"""Values of Python, which are no words of a sentence."""
_WORDS = re.compile(r"`[^`]*`(?:, `[^`]*`)*,? (or|and) `[^`]*`")


@dataclass(frozen=True)
class Sentence:
    """A sentence of the catalogue.

    Attributes:
        english: As the code writes it, without a full stop at its end.
        translation: The same in the other language.
    """

    english: str
    translation: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern of the texts that are this sentence."""
        return re.compile(
            "".join(
                re.escape(text) + ("" if name is None else f"(?P<{name}>{_PLACES[form or '']})")
                for text, name, form, _ in Formatter().parse(self.english)
            )
        )

    @cached_property
    def places(self) -> tuple[str, ...]:
        """The names of its places, in their order in English."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.english) if name is not None)

    @cached_property
    def quoted(self) -> frozenset[str]:
        """The names of the places that stand in quotation marks, where somebody else's words stay as they are."""
        return frozenset(re.findall(r"[`'\"]\{(\w+)", self.english))

    @cached_property
    def literal(self) -> tuple[int, str]:
        """How many characters it says itself, and the longest of its parts, which any text of it holds."""
        parts = [text for text, _, _, _ in Formatter().parse(self.english)]
        return sum(map(len, parts)), max(parts, key=len, default="")


class Catalogue:
    """The sentences of one language, and texts translated by them."""

    def __init__(self, sentences: Mapping[str, str]) -> None:
        """Take English sentences with their translations."""
        made = [Sentence(_bare(english), _bare(other)) for english, other in sentences.items()]
        self._whole = {_plain(one.english): _plain(one.translation) for one in made if not one.places}
        self._patterns = sorted((one for one in made if one.places), key=lambda one: -one.literal[0])
        self.translate = lru_cache(2048)(self._translate)

    def find(self, text: str) -> tuple[Sentence, dict[str, str]] | None:
        """Return the sentence with places that a text is, and what stands at them."""
        for one in self._patterns:
            if one.literal[1] in text and (match := one.pattern.fullmatch(text)):
                return one, match.groupdict()
        return None

    def _translate(self, text: str) -> str:
        """Return a text translated: as a whole, or line by line and sentence by sentence; a quotation as it is."""
        if text[:1] in _QUOTES and text.count(text[0]) == 2 and text.endswith(text[0]):
            return text
        if "\n" in text and self._sentence(text) is None:
            return "\n".join(self.translate(line) for line in text.split("\n"))
        match = _INDENT.fullmatch(text)
        if match is None or not match[2] or len(text) > _LONGEST:
            return text
        return f"{match[1]}{self._line(match[2])}{match[3]}"

    def _line(self, text: str) -> str:
        found = self._sentence(text)
        if found is not None:
            return found
        items = [self._sentence(item) for item in _BETWEEN.split(text)]
        if None not in items:
            return "，".join(item or "" for item in items)
        if _WORDS.fullmatch(text):
            return text.replace(", `", "、`").replace(" or `", " 或 `").replace(" and `", " 和 `")
        return "".join(self._parts(text))

    def _parts(self, text: str) -> Iterator[str]:
        """Yield a text of several sentences, the longest that are known first."""
        ends = [match.end() for match in _END.finditer(text)] + [len(text)]
        begin = 0
        while begin < len(text):
            later = [end for end in ends if end > begin][:_MOST]
            for end in reversed(later):
                if (found := self._known(text[begin:end].rstrip())) is not None:
                    yield found
                    break
            else:
                end = later[0]
                yield text[begin:end]
            begin = end

    def _known(self, text: str) -> str | None:
        """Return what is known, or of something that is named before a colon is known to be said."""
        found = self._sentence(text)
        colons = islice(_COLON.finditer(text), _MOST)
        while found is None and (colon := next(colons, None)) is not None:
            if _AFTER_END.search(text, 0, colon.start()):  # what is named is a part of a sentence
                break
            rest = self._sentence(text[colon.end() :])
            if rest is not None and " " in text[colon.end() :]:  # a word alone may be anybody's
                head = text[: colon.start()]
                found = f"{self._part(head)}：{rest}"
        return found

    def _part(self, text: str) -> str:
        """Return what stands within a sentence translated; a word alone may be anybody's, and stays."""
        return self.translate(text) if " " in text else text

    def _sentence(self, text: str) -> str | None:
        """Return a text that is one sentence of the catalogue, or None; the mark at its end is the language's own."""
        if text in self._whole:
            return self._whole[text]
        mark = text[-1:]
        if mark in _MARKS and text[-2:-1] != "." and (found := self._exactly(text[:-1])) is not None:
            return found + _MARKS[mark]
        return self._exactly(text)

    def _exactly(self, text: str) -> str | None:
        if text in self._whole:
            return self._whole[text]
        found = self.find(text)
        if found is None:
            small = text[:1].lower() + text[1:]  # a sentence that begins with a capital is the same sentence
            return None if small == text or text in _VALUES else self._exactly(small)
        sentence, values = found
        return sentence.translation.format(
            **{name: value if name in sentence.quoted else self._part(value) for name, value in values.items()}
        )


def _bare(text: str) -> str:
    """Return a sentence without its full stop."""
    return text.removesuffix("。") if text.endswith("。") else text[:-1] if re.search(r"[^.]\.$", text) else text


def _plain(text: str) -> str:
    """Return a sentence without places as it is printed, its braces single."""
    return text.replace("{{", "{").replace("}}", "}")


def sentences_of(language: str) -> dict[str, dict[str, str]]:
    """Return the sentences in a language's folder by the names of their files, each by its English."""
    folder = resources.files("downslope.language").joinpath(language)
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return {file.name: tomllib.loads(file.read_text(encoding="utf-8")) for file in files}


@lru_cache
def catalogue_of(language: str) -> Catalogue:
    """Return the catalogue in a language's folder."""
    return Catalogue({english: other for table in sentences_of(language).values() for english, other in table.items()})
