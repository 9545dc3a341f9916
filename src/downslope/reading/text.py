"""The text as the reader sees it: one alphabet, one kind of digit, one minus; and the way back to the original."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from downslope.reading.lexicon.chinese import TRADITIONAL

LONGEST = 12_000
"""Characters that are read; a longer text is cut down to as many, so that reading takes a bounded time."""

_PIECE = 1500
_END = re.compile(r"(?<=[.。;；!！?？])\s+|\n+")
_TELLING = re.compile(
    r"learning.rate|momentum|weight.decay|\bsgd\b|\blr\b|batch|epoch|iteration|nesterov|warm.?up|cosine|optimizer|decay|"
    r"学习率|动量|权重衰减|权值衰减|批|轮|迭代|预热|余弦|优化器|梯度下降|衰减"
)


def choose_passages(text: str) -> list[tuple[int, int]]:
    """Return where the passages stand that speak of training, at most `LONGEST` characters; a short text is one.

    Example:
        >>> choose_passages("SGD with momentum 0.9.")
        [(0, 22)]
    """
    if len(text) <= LONGEST:
        return [(0, len(text))]
    pieces: list[tuple[int, int, int]] = []
    lower = text.lower() if len(text.lower()) == len(text) else text
    ends = [(match.start(), match.end()) for match in _END.finditer(text)]
    for first, last in zip([0, *(end for _, end in ends)], [*(start for start, _ in ends), len(text)], strict=True):
        for start in range(first, last, _PIECE):
            piece = lower[start : min(start + _PIECE, last)]
            telling = len(set(_TELLING.findall(piece)))
            if telling:
                pieces.append((telling + bool(re.search(r"\d", piece)), start, start + len(piece)))
    chosen: list[tuple[int, int]] = []
    room = LONGEST
    for _, start, end in sorted(pieces, key=lambda one: (-one[0], one[1])):
        if end - start + 2 <= room:
            chosen.append((start, end))
            room -= end - start + 2
    return sorted(chosen)


_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", strict=True))
_ONE_FOR_ONE = {
    **dict.fromkeys("−‐‑‒–﹣", "-"),
    **dict.fromkeys("×✕✖∗⋅·∙⨯", "*"),
    **dict.fromkeys("“”„«»「」『』", '"'),
    **dict.fromkeys("‘’′", "'"),
    "`": " ",
    **dict.fromkeys("。；！？•●▪", ";"),
    **dict.fromkeys("，﹐", ","),
    **dict.fromkeys("—…", ","),
    "：": ":",
    "÷": "/",
    "≈": "=",
    **_SUBSCRIPTS,
    **TRADITIONAL,
    **dict.fromkeys("ˆ∧", "^"),
    **dict.fromkeys("∼～", "~"),
    "ϵ": "ε",
    "$": " ",
    "\u3000": " ",
    "\t": "  ",
    "\r": "\n",
}
_SIMPLIFIED = str.maketrans(TRADITIONAL)
_DROPPED = frozenset("\u200b\u200c\u200d\u2060\ufeff\u00ad")
_LATEX = re.compile(
    r"\\(times|cdot|to|rightarrow|[%,;! ()\[\]]|mathrm|text|left|right|eta|mu|lambda|epsilon|alpha|beta|gamma|rho|nu)"
    r"(?![a-z])"
)
_RAISED = re.compile(
    r"(?:\\(?:text|mathrm|mbox|hbox|rm|textrm|mathbf)\s?\{|\{\\(?:rm|bf)\s)\s?((?:e\s?)?\$?[-+\u2212\u2013]\$?(?:\s?\d{1,2}(?=\s?\}))?|e)\s?\}"
    r"|(<sup>\s?[-\u2212\u2013]\s?</sup>\s?(?:<sup>)?|(?<=10)\s?[-\u2212\u2013]\s?<sup>)"
    r"|(\\textsuperscript\{|<sup>)|(</sup>)|\{\s?([-+\u2212\u2013,])\s?\}",
    re.IGNORECASE,
)
"""What a formula writes around a sign, an e or a power: \\text{-}, <sup>, {-}."""
_FONT = re.compile(
    r"\\(?:math(?:rm|bf|sf|it|tt)|bar|check|overline|hat|tilde|breve|dot|boldsymbol|bm)\s?\{\s?(?=\d)(?!\d{1,3}\s?\})"
)
"""The beginning of a number in a font or under an accent, as scanners have it: \\mathrm { 1 0 ^ { - 6 } }."""

_BRACKETED = re.compile(r"(?<=10)\s?_?\[\s?[-\u2212\u2013]\s?\]_?\s?\[(\d{1,2})\]")
"""A power as some readers of PDFs write it: 10 _[-]_[3]."""

_PICTURED = re.compile(r"!\[[^\]\n]{0,80}\]\(https?://[^)\s?]{1,200}\?(?:tex=)?([^)\s]{1,200})\)")
_ENTITY = re.compile(r"&#?\w{2,8};")
_FORMULA_ENDS = re.compile(r"(?<=\d)\$\.(?=\s)")
_APART = re.compile(r"(?<=[\d.,{}()^_\-+e])[ ](?=[\d.,{}()^\-+ekm])|[ ](?=[_^])")
"""A formula whose characters a scanner set apart, $1 0 ^ { - 3 }$: no two digits of it touch; and the blanks in it."""

_TWICE = [
    re.compile(r"(?<![\d.])(?P<one>(?P<times>(?:(?P<digits>\d(?:\.\d{1,3})?) ?\* ?)?)10-(?P<power>\d))"
               r"(?P<again>(?:(?(digits)(?P=digits) ?\* ?)10(?:-|\^\{?-)(?P=power)\}?){1,2})(?![\d.])"),
    re.compile(r"(?<![A-Za-z\d_.])(?P<one>\d{0,3}\.\d{1,8}?)(?P<again>(?P=one){1,2})(?!\d|\.\d)"),
    re.compile(r"(?<![\w.])(?P<one>\d{1,9}(?:\.\d{1,9})?)(?P<again>(?: (?P=one)){3})(?![\d.]\d)"),
    re.compile(
        r"(?<!\S)(?:\S{1,12} (?:\S{1,12} )?)?superscript [^.]{0,40}?(?P<one>(?:[\d.]{1,9} ?\* ?)?10\^\{-?\d{1,2}\})"
        r"(?P<again>[^.;]{0,40}?end_?postsuperscript)"
    ),
]  # fmt: skip
"""A number that a page writes once for the eye and once more for the screen reader: 10-210-2, 0.90.9, 40 40 40 40."""
_TWICE_WHOLE = re.compile(r"(?<![\w.])(?P<one>\d{1,4}[km]?)(?P<again>(?P=one))(?!\w|\.\d)")
"""The same of a whole number, which may be just such a one: 1212."""

_SUBSCRIPT = re.compile(r"_ ?\{ ?([^{}\s]{1,12}) ?\}")
_EMPHASISED = re.compile(r"(?<!\w)\*[^\W\d][\w ]*$")
_STAR_POWER = re.compile(r"\d\*\*[({]?[-+\u2212]?\d| \*\* [-+\u2212]?\d")
_LATEX_WORDS = {
    "times": "*", "cdot": "*", "%": "%", "to": " to ", "rightarrow": " to ", "eta": "η", "mu": "μ", "lambda": "λ",
    "epsilon": "ε", "alpha": "α", "beta": "β", "gamma": "γ", "rho": "ρ",
}  # fmt: skip


class Words(str):
    """Words of a text that know where they stand there.

    Attributes:
        start: Place of the first character; -1 if they are put together.
        end: Place after the last.
    """

    __slots__ = ("end", "start")

    def __new__(cls, words: str = "", start: int = -1, end: int = -1) -> Self:
        """Return words that stand at a place."""
        made = super().__new__(cls, words)
        made.start, made.end = start, end
        return made


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

    def words(self, start: int, end: int) -> Words:
        """Return the original words of a stretch of `plain`."""
        if end <= start:
            return Words()
        first, last = self.origin[start], self.origin[end - 1]
        while last + 1 < self.origin[end] and unicodedata.combining(self.original[last + 1]):
            last += 1
        return cut_words(self.original, first, last + 1)

    @cached_property
    def chinese(self) -> bool:
        """Whether it is written in Chinese."""
        han = sum("\u4e00" <= character <= "\u9fff" for character in self.plain[:5000])
        return han * 4 > sum(character.isalpha() for character in self.plain[:5000])


def cut_words(text: str, start: int, end: int) -> Words:
    """Return the words of a stretch of a text, without the blanks around them."""
    piece = text[start:end]
    first = start + len(piece) - len(piece.lstrip())
    words = piece.strip()
    return Words(words, first, first + len(words))


def normalise(original: str, passages: Iterable[tuple[int, int]] | None = None) -> Text:
    """Return the text in its normalised form; of several passages, one after another with an empty line between.

    Example:
        >>> normalise("权重衰减 ５×10⁻⁴，Batch").plain
        '权重衰减 5*10^-4,batch'
    """
    plain: list[str] = []
    origin: list[int] = []
    apart = _blanks_of_formulas(original)
    for start, end in [(0, len(original))] if passages is None else passages:
        if plain:
            plain.extend("\n\n")
            origin.extend([start] * 2)
        _normalise(original, start, end, plain, origin, apart)
    told = "".join(plain)
    times = 0
    for pattern in _TWICE:
        told, found = pattern.subn(_once, told)
        times += found
    if times > 1:
        told = _TWICE_WHOLE.sub(_once, told)
    return Text(original, told, (*origin, len(original)))


def _blanks_of_formulas(original: str) -> frozenset[int]:
    """Return the places of the blanks that stand within the numbers of a formula."""
    found: set[int] = set()
    place, formulas = 0, original.split("$")
    for index, inner in enumerate(formulas):
        spaced = len(inner) <= 200 and re.search(r"\d [\d.]|\. \d", inner) and not re.search(r"\d\d", inner)
        if spaced and (index % 2 or len(formulas) == 2):
            found.update(place + match.start() for match in _APART.finditer(inner))
        place += len(inner) + 1
    return frozenset(found)


def _once(match: re.Match[str]) -> str:
    """Return what is written twice once, and as long as it was."""
    one = f"{match['times']}10^-{match['power']}" if "power" in match.groupdict() else match["one"]
    return one.ljust(len(match.group()))


def _normalise(
    original: str, index: int, length: int, plain: list[str], origin: list[int], apart: frozenset[int]
) -> None:
    """Append the normalised characters of a stretch, and where each stands."""

    def put(text: str, place: int) -> None:
        plain.extend(text)
        origin.extend([place] * len(text))

    raised = False
    while index < length:
        if (run := _UNCHANGED.match(original, index, length)) and not apart:
            plain.extend(run[0].lower().translate(_SIMPLIFIED))
            origin.extend(range(index, run.end()))
            index, raised = run.end(), False
            continue
        character = original[index]
        if character in _SUPERSCRIPTS:
            put("" if raised else "^", index)
            put(_SUPERSCRIPTS[character], index)
            raised = True
            index += 1
            continue
        raised = False
        rewritten = next((m for first, way in _REWRITTEN if character in first and (m := way(original, index))), None)
        if rewritten is not None:
            put(rewritten[0], index)
            index = rewritten[1]
            continue
        if character == "!" and (match := _PICTURED.match(original, index)):
            from urllib.parse import unquote_plus  # few texts have pictures, or entities, as numbers

            written = normalise(unquote_plus(match[1])).plain
            plain.extend(written)
            origin.extend(match.start(1) + len(match[1]) * place // len(written) for place in range(len(written)))
            index = match.end()
            continue
        if skipped := _skipped(original, index) or int(index in apart):
            put(" " * (skipped > 1), index)
            index += skipped
            continue
        if character == "_" and (match := _SUBSCRIPT.match(original, index)):
            lowered = match.group(1)[0] in "-\u2212\u2013" and original[index - 2 : index] == "10"
            put("^" if lowered else "_", index)  # 10_{-4} is a power
            for place in range(*match.span(1)):
                put(_one(original[place]), place)
            index = match.end()
            continue
        if character in "*-+\u2013" and (skip := _markup(original, index)):
            put(";" if skip < 0 else " ", index)
            index += abs(skip)
            continue
        between = (
            character == "，" and original[index - 1 : index].isdigit() and original[index + 1 : index + 2].isdigit()
        )
        put(", " if between else _one(character), index)  # not 4,300
        index += 1


def _rewriting(
    pattern: re.Pattern[str], write: Callable[[re.Match[str]], str]
) -> Callable[..., tuple[str, int] | None]:
    """Return a function that gives what stands for a match at a place, and the place after it; None without one."""

    def at(original: str, index: int) -> tuple[str, int] | None:
        match = pattern.match(original, index)
        return None if match is None else (write(match), match.end())

    return at


def _raised(match: re.Match[str]) -> str:
    inner, minus, begins, ends, sign = match.groups()
    written = "".join(map(_one, inner or sign or "")).replace(" ", "")
    return written or ("^-" if minus else "^{" if begins else "}" if ends else "")


def _named(match: re.Match[str]) -> str:
    import html

    return "".join(map(_one, html.unescape(match[0])))


_ORDINAL = re.compile(
    r"(?<=\d)\$?(?:\^|<sup>|\\textsuperscript)\s?\{?\s?(?:\\(?:text|mathrm|rm|textrm|mathit|mbox)\s?\{?\s?)?"
    r"(?P<end>s ?t|n ?d|r ?d|t ?h)\s?(?:\}\s?){0,2}(?:</sup>)?(?![a-z])",
    re.IGNORECASE,
)
"""How formulas write an ordinal: 150^{th}."""

_REWRITTEN = (
    ("$^<\\", _rewriting(_ORDINAL, lambda match: match["end"].replace(" ", "").lower())),
    (".", _rewriting(re.compile(r"\.\.\."), lambda _: ",")),
    ("\\", _rewriting(re.compile(r"\\([.+~=*])"), lambda match: match[1])),
    ("→-", _rewriting(re.compile(r"→|->"), lambda _: " to ")),
    (" _[", _rewriting(_BRACKETED, lambda match: f"^-{match[1]}")),
    ("&", _rewriting(_ENTITY, _named)),
    ("{", _rewriting(re.compile(r"\{\s?\\(?:times|cdot)\s?\}"), lambda _: "*")),
    ("\\<{-\u2212\u2013 ", _rewriting(_RAISED, _raised)),
    ("\\", _rewriting(re.compile(r"\\math(?:rm|it|bf)\s?\{\s?l\s?r\s?\}", re.IGNORECASE), lambda _: " lr ")),
    ("\\", _rewriting(_FONT, lambda _: " ")),
    ("\\", _rewriting(_LATEX, lambda match: _LATEX_WORDS.get(match[1], " "))),
)
"""The first characters of what is written otherwise, and how; the first that matches counts."""


_UNCHANGED = re.compile(r"(?:[A-Za-z0-9\n\u4e00-\u9fff,;:/='\"#%@|?()\]}>~]| (?=[A-Za-z0-9(\u4e00-\u9fff]))+")
"""What is only made lower case and simplified: nearly all of a text, of which few characters are looked at alone."""


def _skipped(original: str, index: int) -> int:
    """Return how many characters at a place are a fence around prose or a formula, or an underscore of emphasis."""
    if original[index] == "$":
        return int(_FORMULA_ENDS.match(original, index) is not None)  # "$40,000$. 30" is not 40,000 . 30
    if original[index] == "\\" and original[index + 1 : index + 2] in {"(", ")", "[", "]"}:
        return 2
    if original.startswith("\\_", index):
        return 1
    if original.startswith("```", index):
        return 4 if original[index + 3 : index + 4] == "\n" else 3
    return int(original[index] == "_" and _is_emphasis(original, index))


def _is_emphasis(original: str, index: int) -> bool:
    """Whether an underscore begins or ends emphasis, as in "_beta_ 1" and "0 _._ 9", and is no part of a name."""
    before, after = original[index - 1 : index] if index else " ", original[index + 1 : index + 2]
    if before == "\\":
        return False
    opens = not before.isalnum() and before not in ")}]_" and bool(after.strip()) and after != "_"
    closes = bool(before.strip()) and not after.isalnum() and after not in {"{", "(", "_"} and before not in ")}_"
    return opens or closes or before in "\u2212-\u00d7"


def _markup(original: str, index: int) -> int:
    """Return how many characters of markup stand at a place: 1 or 2 stars of emphasis, -1 for the mark of a list."""
    before, after = original[index - 1 : index] if index else "", original[index + 1 : index + 2]
    begun = original[index + 1 : index + 5].lstrip(" ")[:1]
    if after == " " and (begun.isalnum() or (begun and begun in "*`")):
        begun = index - 1
        while begun >= 0 and original[begun] in " \t":
            begun -= 1
        if begun < 0 or original[begun] in "\n:：":
            return -1
    if original[index] != "*":
        return 0
    if after == "*":
        return 0 if _STAR_POWER.match(original, index - 1 if index else 0) or _is_power(original, index) else 2
    opens = not before.isalnum() and after.isalpha()
    closes = before.isalnum() and not (after.isalnum() or after in {" ", "(", "["})
    closes = closes or (after == " " and _EMPHASISED.search(original, max(0, index - 30), index) is not None)
    return 1 if opens or closes else 0


def _is_power(original: str, index: int) -> bool:
    """Whether two stars raise what is before them, as in "0.1 * 0.5 ** (epoch // 30)", and end no emphasis."""
    line = original.rfind("\n", max(0, index - 200), index) + 1 or max(0, index - 200)
    before, after = original[line:index], original[index + 2 : index + 4]
    raised = before.rstrip(" ")[-1:]
    if before.endswith(" ") and not after.startswith((" ", "(")):
        return False  # 30 **epochs**
    closes = before.count("**") % 2
    return not closes and (raised.isdecimal() or raised == ")") and after.lstrip(" ")[:1] in {"(", *"etin"}


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
    if 0x1D400 <= code <= 0x1D7FF or code == 0xB5 or 0xFB00 <= code <= 0xFB06:  # of formulas, and ligatures
        character = unicodedata.normalize("NFKC", character)
    if 0xFF01 <= code <= 0xFF5E:
        return chr(code - 0xFEE0).lower()
    lower = character.lower()
    if not character.isprintable():
        return " "
    return lower if len(lower) == 1 or 0xFB00 <= code <= 0xFB06 else character
