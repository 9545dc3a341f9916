"""The text as the reader sees it: one alphabet, one kind of digit, one minus; and the way back to the original words.

What lives here: normalisation character by character, with the place of each in the original. What does not: any meaning.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", strict=True))
_ONE_FOR_ONE = {
    **dict.fromkeys("−‐‑‒–﹣", "-"),
    **dict.fromkeys("×✕✖∗⋅·∙⨯", "*"),
    **dict.fromkeys("“”„«»「」『』", '"'),
    **dict.fromkeys("‘’′`", "'"),
    **dict.fromkeys("。；！？•●▪", ";"),
    **dict.fromkeys("，﹐", ","),
    **dict.fromkeys("—…", ","),
    "：": ":",
    "÷": "/",
    "≈": "=",
    "$": " ",
    "\u3000": " ",
    "\t": " ",
    "\r": "\n",
}
_DROPPED = frozenset("\u200b\u200c\u200d\u2060\ufeff\u00ad")
_LATEX = re.compile(r"\\(times|cdot|%|,|;|!| |mathrm|text|left|right|,|eta|mu|lambda|epsilon|alpha|beta|gamma|rho|nu)(?![a-z])")
_LATEX_WORDS = {"times": "*", "cdot": "*", "%": "%"}
_GREEK = {"eta": "η", "mu": "μ", "lambda": "λ", "epsilon": "ε", "alpha": "α", "beta": "β", "gamma": "γ", "rho": "ρ"}


@dataclass(frozen=True)
class Text:
    """A text and its normalised form.

    Attributes:
        original: As given.
        plain: Lower case, half width, with `*`, `-` and `^` for their many forms.
        origin: For each character of `plain`, its place in `original`; one more for the end.
    """

    original: str
    plain: str
    origin: tuple[int, ...]

    def words(self, start: int, end: int) -> str:
        """Return the original words of a stretch of `plain`."""
        if end <= start:
            return ""
        first, last = self.origin[start], self.origin[end - 1]
        while last + 1 < self.origin[end] and unicodedata.combining(self.original[last + 1]):
            last += 1
        return self.original[first : last + 1].strip()

    @cached_property
    def chinese(self) -> bool:
        """Whether it is written in Chinese."""
        han = sum("\u4e00" <= character <= "\u9fff" for character in self.plain[:5000])
        return han * 4 > sum(character.isalpha() for character in self.plain[:5000])


def normalise(original: str) -> Text:
    """Return the text in its normalised form.

    Example:
        >>> normalise("权重衰减 ５×10⁻⁴，Batch").plain
        '权重衰减 5*10^-4,batch'
    """
    plain: list[str] = []
    origin: list[int] = []
    index, length = 0, len(original)

    def put(text: str, place: int) -> None:
        plain.extend(text)
        origin.extend([place] * len(text))

    raised = False
    while index < length:
        character = original[index]
        if character in _SUPERSCRIPTS:
            put("" if raised else "^", index)
            put(_SUPERSCRIPTS[character], index)
            raised = True
            index += 1
            continue
        raised = False
        if original.startswith("...", index):
            put(",", index)
            index += 3
            continue
        if character == "→" or original.startswith("->", index):
            put(" to ", index)
            index += 1 if character == "→" else 2
            continue
        if character == "\\" and (match := _LATEX.match(original, index)):
            word = match.group(1)
            put(_LATEX_WORDS.get(word, _GREEK.get(word, " ")), index)
            index = match.end()
            continue
        put(_one(character), index)
        index += 1
    return Text(original, "".join(plain), (*origin, length))


def _one(character: str) -> str:
    if character in _ONE_FOR_ONE:
        return _ONE_FOR_ONE[character]
    if character in _DROPPED:
        return ""
    if character == "\n" or " " <= character <= "~":
        return character.lower()
    if character in "\u00a0\u2009\u202f\u2007\u2008":
        return "\u00a0"
    code = ord(character)
    if 0xFF01 <= code <= 0xFF5E:
        return chr(code - 0xFEE0).lower()
    lower = character.lower()
    if not character.isprintable():
        return " "
    return lower if len(lower) == 1 else character
