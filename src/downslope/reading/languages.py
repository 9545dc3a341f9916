"""Which language a program is in, where it is none of Python, by what only that language has."""

from __future__ import annotations

import re

_C_CALLS = (
    r"^[ \t]*(?:std|torch)::|^[ \t]*[\w.:<>]{3,60}\([^()\n]{0,80}\);[ \t]*$|"
    r"\bnew \w+[(\[<]|^#(?:define|include)\b|^DEFINE_\w+\("
)
_LUA = (
    r"^[ \t]*local [\w, ]+=|^[ \t]*for \w+ ?= ?[\w.#]+, ?\S+ do\b|~=|^[ \t]*(?:else)?if\b[^;\n]*\bthen\b|"
    r":option\(\s*[\"']-|\blapp\s?\[\[|^require\b"
)
LANGUAGES = {
    "lua": ("--", _LUA),
    "matlab": ("%", r"\.\.\.[ \t]*$|trainingOptions\(|vl_argparse|^[ \t]*%[^\n]*\n[ \t]*\w+ ?= ?[^=\n]*;"),
    "julia": ("#", r"^using \w|\w::(?:Float|Int|Bool)\w*|@kwdef|\bFlux\.|\bOptimiser\(|train!\("),
    "r": ("#", r"\w\s?<-\s?\S|%>%|\|>"),
    "c": (
        "//",
        r"^[ \t]*(?:public|private|static|final|const|constexpr|let|var|auto|double|float|int)\b.*[;{(,][ \t]*$|"
        + _C_CALLS,
    ),
}
"""A language, or several alike -> what begins a comment in it, and what only it has."""

_COMMENT = re.compile(r"\s(?:%|//|--)\s.*$")
_ENDS = (";", "{", "}", ",", "(", ")", "[[", "]]", "...", "end", "then", "do")
_ANYWHERE = ("=", "<- ", "#define ", "(default ")


def tell_language(text: str) -> str:
    """Return which language a text is in, or is alike; "" if it is none of these."""
    lines = [_COMMENT.sub("", line).rstrip() for line in text.splitlines() if line.strip()]
    code = sum(line.endswith(_ENDS) or any(mark in line for mark in _ANYWHERE) for line in lines)
    if code * 5 < len(lines) * 2:
        return ""
    return next((name for name, (_, sign) in LANGUAGES.items() if re.search(sign, text, re.MULTILINE)), "")
