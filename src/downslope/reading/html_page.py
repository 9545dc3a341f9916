"""The page of a reading: the text with the words of each value highlighted, linked both ways; it needs no network."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from downslope import __version__
from downslope.core.errors import DownslopeError
from downslope.core.files import read_text
from downslope.reading.order import in_order
from downslope.reading.reading import Reading, marks_of, title_of
from downslope.reading.remarks import WORDS
from downslope.reading.shown import named, quoted, shown

_SHORT = 1500
"""Characters of a text that stands above its values on a narrow screen; a longer one stands below."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_SCRIPT = """
for (const one of document.querySelectorAll('[data-v]')) {
  const all = one.dataset.v.split(' ').flatMap(n => [...document.querySelectorAll(`[data-v~="${n}"]`)]);
  for (const [event, on] of [['mouseenter', true], ['mouseleave', false], ['focusin', true], ['focusout', false]])
    one.addEventListener(event, () => all.forEach(other => other.classList.toggle('on', on)));
}
"""
"""Shows on the way over a value or its words where the other stands; links do the same without it."""


@dataclass
class _Place:
    """Words of a text that something links to.

    Attributes:
        start: Place of the first character in its text.
        end: Place after the last.
        name: What an address calls them.
        values: Numbers of the values that they give; none for what was not used.
    """

    start: int
    end: int
    name: str
    values: list[int] = field(default_factory=list[int])


def write_page(readings: Sequence[Reading], texts: Sequence[tuple[str, str]], out: Path | str) -> Path:
    """Write the page of readings to an HTML file, in the language of their remarks, and return its path.

    Args:
        readings: What `read` returned.
        texts: (name, text) of what was read; the name of words without one is "".
        out: The file.

    Raises:
        DownslopeError: If `out` is a folder.
    """
    out = Path(out)
    if out.is_dir():
        raise DownslopeError(f"{out}: is a folder. Give the file to write, such as {out / 'reading.html'}.")
    out.write_bytes(render(readings, texts).encode())
    return out


def render(readings: Sequence[Reading], texts: Sequence[tuple[str, str]]) -> str:
    """Return the page of readings as HTML."""
    language = readings[0].language
    words = {key: pair[language == "zh"] for key, pair in WORDS.items()}
    places = [list[_Place]() for _ in texts]
    names = [name for name, _ in texts]
    numbers: dict[tuple[int, str], int] = {}
    links: dict[int, str] = {}
    for index, reading in enumerate(readings):
        for path in in_order(reading.fields):
            number = numbers[index, path] = len(numbers) + 1
            found = reading.fields[path]
            if found.start >= 0 and found.file in names:
                place = _place_at(places, names.index(found.file), found.start, found.end)
                links[number] = place.name
                if index == 0 or readings[0].fields.get(path) != found:
                    place.values.append(number)
    left = [_find_left(phrase, texts, places) for phrase in readings[0].unread]
    style = "".join(_resource(name) for name in ("plot/page.css", "reading/page.css"))
    title = f"{title_of(readings[0].optimizer)}{named(readings[0], words)}"
    kind = "long" if sum(len(text) for _, text in texts) > _SHORT else "short"
    body = [
        f"<h1>{words['page_title']}</h1><main class={kind}><section class=words aria-label='{words['text']}'>",
        *(_text_of(name, text, there) for (name, text), there in zip(texts, places, strict=True)),
        "</section><section>",
    ]
    for index, reading in enumerate(readings):
        heading = words["reading"].format(number=index + 1, total=len(readings)) + words["colon"]
        inner = _values_of(index, readings, numbers, links, words)
        name = _escaped(heading + f"{title_of(reading.optimizer)}{named(reading, words)}")
        opened = f"<h2>{name}</h2>" if index == 0 else f"<details open><summary>{name}</summary>"
        reason = f"<p class=note>{_escaped(reading.reason)}</p>" if reading.reason else ""
        body += [opened, reason, inner, "" if index == 0 else "</details>"]
        if index == 0:
            body += [_list(words["remarks"], ((remark, "") for remark in reading.remarks if remark != reading.reason))]
            body += [_list(words["unread"], zip(reading.unread, left, strict=True), "u")]
    return (
        f'<!doctype html><html lang="{"zh-CN" if language == "zh" else "en"}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_escaped(title)} – Downslope</title><style>{style}</style><body>{''.join(body)}</section></main>"
        f"<footer>Downslope {__version__}</footer><script>{_SCRIPT}</script></body></html>\n"
    )


def _resource(name: str) -> str:
    return read_text(Path(__file__).parents[1] / name)


def _escaped(text: str) -> str:
    return html.escape(_CONTROL.sub("\ufffd", text))


def _place_at(places: list[list[_Place]], index: int, start: int, end: int) -> _Place:
    known = next((place for place in places[index] if (place.start, place.end) == (start, end)), None)
    if known is None:
        known = _Place(start, end, f"w{sum(map(len, places)) + 1}")
        places[index].append(known)
    return known


def _find_left(phrase: str, texts: Sequence[tuple[str, str]], places: list[list[_Place]]) -> str:
    """Return the address of an unused phrase; "" if it cannot be found as it is."""
    for index, (_, text) in enumerate(texts):
        start = text.find(phrase)
        if start >= 0:
            return _place_at(places, index, start, start + len(phrase)).name
    return ""


def _text_of(name: str, text: str, places: list[_Place]) -> str:
    """Return a text with its places marked: cut where any of them begins or ends."""
    kind = " code" if name and not name.endswith((".txt", ".md", ".pdf", ".tex", ".rst")) else ""
    bounds = sorted({0, len(text), *(p.start for p in places), *(p.end for p in places)})
    ordered = sorted(places, key=lambda place: (place.start, -place.end))
    pieces: list[str] = []
    over: list[_Place] = []
    nearest = iter(ordered)
    upcoming = next(nearest, None)
    for start, end in pairwise(bounds):
        over = [place for place in over if place.end > start]
        begun: list[_Place] = []
        while upcoming is not None and upcoming.start <= start:
            begun.append(upcoming)
            upcoming = next(nearest, None)
        over += begun
        inner = _escaped(text[start:end])
        if over:
            values = [number for place in over for number in place.values]
            target = f"v{values[0]}" if values else f"u-{over[0].name}"
            tag = f'<mark data-v="{" ".join(map(str, values))}">' if values else "<mark class=left>"
            inner = f'{tag}<a href="#{target}">{inner}</a></mark>'
        for place in reversed(begun):
            inner = f'<span id="{place.name}">{inner}</span>'
        ended = [number for place in over if place.end == end for number in place.values]
        notes = " ".join(f'<a href="#v{number}">{number}</a>' for number in ended)
        pieces.append(inner + (f"<sup>{notes}</sup>" if notes else ""))
    title = f"<h3 class=path>{_escaped(name)}</h3>" if name else ""
    return f'{title}<div class="text{kind}">{"".join(pieces)}</div>'


def _values_of(
    index: int,
    readings: Sequence[Reading],
    numbers: dict[tuple[int, str], int],
    links: dict[int, str],
    words: dict[str, str],
) -> str:
    """Return the table of a reading's values, each linked to its words; of a further reading, what differs in color."""
    reading = readings[index]
    if not reading.fields:
        return f"<p>{words['none']}</p>"
    rows: list[str] = []
    alone = len({one.file for one in reading.fields.values()}) == 1
    for path in in_order(reading.fields):
        found, number = reading.fields[path], numbers[index, path]
        first = readings[0].fields.get(path)
        other = " other" if index and (first is None or first.value != found.value) else ""
        value = _escaped(shown(found.value))
        linked = f'<a href="#{links[number]}">{value}</a>' if number in links else value
        marks = marks_of(found, reading.language)
        warning = f"<span class=mark>! {_escaped(marks)}</span>" if marks else ""
        rows.append(
            f'<tr id="v{number}" data-v="{number}"><th scope=row>{_escaped(path)} <small>{number}</small></th>'
            f'<td class="value{other}">{linked}{warning}</td>'
            f"<td class=why>{words[found.provenance]}{words['colon']}{_escaped(quoted(found, bare=alone))}</td></tr>"
        )
    return f"<table class=values><tbody>{''.join(rows)}</tbody></table>"


def _list(heading: str, items: Iterable[tuple[str, str]], prefix: str = "") -> str:
    rows = [
        f'<li id="{prefix}-{name}"><a href="#{name}">{_escaped(text)}</a>' if name else f"<li>{_escaped(text)}"
        for text, name in items
    ]
    return f"<h3>{heading}</h3><ul class=lists>{''.join(rows)}</ul>" if rows else ""
