"""A page read back: what the tests of the report ask of its HTML, with the standard library's parser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}
_INLINE = {"a", "b", "code", "data", "i", "span", "strong", "time", "var"}
_FETCHING = {"src", "href", "srcset", "poster", "action", "data", "xlink:href"}


def _even(text):
    """Return text with its spaces evened out, narrow ones left as they are."""
    return re.sub(r"[ \n]+", " ", text).strip()


class Page(HTMLParser):
    """The text, numbers, ids, addresses, tables and plots of a page.

    Attributes:
        text: All text outside style sheets, spaces evened out.
        numbers: The exact values of all ``<data>`` elements.
        ids: Every id, in order.
        addresses: Every address that a browser could follow or fetch.
        tables: Every table, as rows of cell texts.
        plots: The drawn paths of each plot by its title, with a semicolon after each.
        captions: What stands below each plot, by its title.
        scripts: The page's scripts, as pairs of their type and text.
        policy: The page's policy on what it may load and run.
        descriptions: What the plots say to those who cannot see them.
        tags: Every tag with its attributes.
        unbalanced: Tags that were closed out of order or never.
    """

    def __init__(self, html):
        """Read the page."""
        super().__init__(convert_charrefs=True)
        self.numbers, self.ids, self.addresses, self.tables, self.plots, self.unbalanced = [], [], [], [], {}, []
        self.descriptions, self.tags, self.captions, self.scripts, self.policy = [], [], {}, [], ""
        self._caption = None
        self._words, self._open, self._cell = [], [], None
        self.feed(html)
        self.unbalanced += self._open
        self.text = _even("".join(self._words))

    def handle_starttag(self, tag, attrs):
        """Note what the tag tells."""
        self._note(tag, dict(attrs))
        if tag == "br":
            self._words.append(" ")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note what a tag without content tells."""
        self._note(tag, dict(attrs))

    def handle_endtag(self, tag):
        """Close the tag, which must be the last that was opened."""
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(f"/{tag}")
        if tag not in _INLINE:
            self._words.append(" ")
        if tag == "figcaption":
            self.captions[list(self.plots)[-1] if self.plots else ""] = _even("".join(self._caption))
            self._caption = None
        if tag in {"td", "th"} and self._cell is not None:
            self.tables[-1][-1].append(_even("".join(self._cell)))
            self._cell = None

    def handle_data(self, data):
        """Keep text."""
        inside = self._open[-1] if self._open else ""
        if inside == "style":
            return
        if inside == "script":
            self.scripts[-1][1] += data
            return
        if inside == "title" and "svg" in self._open:
            self.plots[data] = ""
        elif inside == "desc":
            self.descriptions.append(data)
        else:
            self._words.append(data)
        if self._cell is not None:
            self._cell.append(data)
        if self._caption is not None:
            self._caption.append(data)

    def _note(self, tag, attributes):
        self.tags.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "script":
            self.scripts.append([attributes.get("type", ""), ""])
        elif attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        elif tag == "figcaption":
            self._caption = []
        elif tag == "data":
            self.numbers.append(float(attributes["value"]))
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self._cell = []
        elif tag == "path" and self.plots:
            self.plots[list(self.plots)[-1]] += f"{attributes.get('d') or ''};"
        self.addresses += [value for name, value in attributes.items() if name in _FETCHING and value]

    def table(self, heading):
        """Return the first table whose first cell is `heading`, as a dict of rows by their first cell."""
        found = next(table for table in self.tables if table and table[0] and table[0][0] == heading)
        return {row[0]: row[1:] for row in found}
