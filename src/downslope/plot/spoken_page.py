"""A page in the language that is spoken: the texts between its tags, said as everything else is."""

from __future__ import annotations

import re
from html import escape, unescape

from downslope.language import said, said_within, spoken

_TAGS = re.compile(r"(<(script|style|code|pre)\b.*?</\2>|<[^>]+>)", re.DOTALL | re.IGNORECASE)
"""What is no text: tags, and elements whose text is no language."""

_NAMED = re.compile(r'(?<= )(aria-label|title|alt)="([^"]*)"')
_VALUES = re.compile(r"<(td|data|var|span class=\"path\")\b|<th scope=\"row\"")
"""Elements that hold names and values: a word alone in them may be anybody's."""


def in_spoken_language(page: str) -> str:
    """Return a page with its texts in the language that is spoken; as it is in English."""
    if spoken() == "en":
        return page
    done: list[str] = []
    end, within = 0, ""
    for tag in _TAGS.finditer(page):
        done += [_text(page[end : tag.start()], within), _NAMED.sub(_named, tag[0])]
        end, within = tag.end(), tag[0]
    text = "".join([*done, _text(page[end:], within)])
    return text.replace('<html lang="en">', '<html lang="zh-Hans">', 1)


def _text(text: str, within: str) -> str:
    if not text.strip():
        return text
    say = said_within if _VALUES.match(within) else said
    words = " ".join(unescape(text).split())
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{escape(say(words), quote=False)}{after}"


def _named(found: re.Match[str]) -> str:
    return f'{found[1]}="{escape(said(unescape(found[2])))}"'
