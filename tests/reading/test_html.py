"""The page of a reading: the text itself, each value's words linked both ways, nothing asked for, in a real browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browser import CHROMIUM, measure
from downslope import read
from downslope.core.errors import DownslopeError
from downslope.reading.html_page import render, write_page
from draws import draws
from reading.first_corpus import FIRST, FOUNDING
from reading.second_corpus import SECOND

TEXT = "We use SGD with momentum 0.9; lr 15, divided by 10 every 30 epochs, dropout of 0.5 <b>&amp;</b>, for 90 epochs."
SCRIPT = """import torch
opt = torch.optim.SGD(net.parameters(), lr=0.0123, momentum=0.9, weight_decay=0.0001)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer=opt, step_size=30, gamma=0.1)
schedulers = torch.optim.lr_scheduler.LRScheduler(opt)
"""


class Page(HTMLParser):
    """A page taken apart.

    Attributes:
        ids: Every address on it.
        links: Every address that it leads to.
        text: What a person reads in the elements of class `text`.
        outside: What would be fetched.
    """

    def __init__(self, page):
        super().__init__()
        self.ids, self.links, self.outside, self.text = [], [], [], ""
        self._depth, self._raised = 0, False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if tag == "a" else []
        self.outside += [attributes[name] for name in ("src", "srcset", "data") if name in attributes]
        self.outside += [tag] if tag in {"link", "img", "iframe", "object"} else []
        if tag == "div":
            self._depth += "text" in attributes.get("class", "")
        self._raised = self._raised or tag == "sup"

    def handle_endtag(self, tag):
        self._depth -= tag == "div" and self._depth > 0
        self._raised = self._raised and tag != "sup"

    def handle_data(self, data):
        if self._depth and not self._raised:
            self.text += data


def page_of(text, **options):
    """Return the page of a text, or of named ones, taken apart."""
    return Page(render(read(text, **options), [("", text)] if isinstance(text, str) else text))


def test_the_text_is_there_as_it_is():
    """Every character of it, markup too, and nothing else."""
    for text in (TEXT, FOUNDING, "lr: 0.1\n\n  momentum: 0.9 # <script>alert(1)</script>\n"):
        assert page_of(text).text == text


def test_values_and_words_lead_to_one_another():
    """Every link leads to an address of the page, and no address stands twice; a value leads to words that lead back."""
    page = render(read(TEXT), [("", TEXT)])
    parts = Page(page)
    assert len(set(parts.ids)) == len(parts.ids)
    assert all(link.startswith("#") and link[1:] in parts.ids for link in parts.links)
    number, words = re.search(
        r'<tr id="v(\d+)"[^>]*><th[^>]*>sgd\.momentum .*?<a href="#(w\d+)">0\.9</a>', page
    ).groups()
    there = page[page.index(f'id="{words}"') :]
    assert re.match(rf'id="{words}"><mark data-v="{number}"><a href="#v{number}">momentum 0.9</a>', there)


def test_marks_stand_beside_values():
    """So do the reasons, and unused phrases lead into the text."""
    page = render(read(TEXT), [("", TEXT)])
    row = re.search(r"<tr[^>]*><th[^>]*>sgd\.lr\.initial .*?</tr>", page)[0]
    assert "! a learning rate above 10" in row
    words = re.search(r'<li id="u-(w\d+)"><a href="#\1">dropout of 0\.5', page)[1]
    assert f'<span id="{words}">' in page


def test_other_readings_stand_beside():
    """Each with its reason and values, those that differ told apart."""
    page = render(read(FOUNDING), [("", FOUNDING)])
    assert page.count("<details") == 3
    assert 'class="value other"' in page
    assert '<html lang="zh-CN">' in page
    assert "What the text says" not in page


def test_several_files():
    """Each has its heading, and words link into their own file."""
    texts = [("base.yaml", "lr: 0.1\nmomentum: 0.9\nepochs: 90\n"), ("run.sh", "python train.py --lr 0.4\n")]
    page = render(read(texts), texts)
    assert page.index(">base.yaml</h3>") < page.index(">run.sh</h3>") < page.index("--lr 0.4")
    assert page_of(texts).text == "".join(text for _, text in texts)


@pytest.mark.parametrize("row", [*FIRST, *SECOND], ids=lambda row: row.name)
def test_pages_of_the_corpora(row):
    """All links hold, nothing is fetched, and the text is whole."""
    parts = page_of(row.text)
    assert parts.text == row.text
    assert parts.outside == []
    assert len(set(parts.ids)) == len(parts.ids)
    assert all(link[1:] in parts.ids for link in parts.links)


@settings(max_examples=draws(100))
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_makes_a_page(before, after):
    """Whatever stands around the words, the page is well formed and in UTF-8."""
    text = f"{before} momentum 0.9, lr 0.1 {after}"
    page = render(read(text), [("", text)])
    assert page.encode()
    parts = Page(page)
    assert all(link[1:] in parts.ids for link in parts.links)


def test_a_folder_is_no_page(tmp_path):
    """A folder is refused with a place that would do."""
    with pytest.raises(DownslopeError, match="is a folder"):
        write_page(read(TEXT), [("", TEXT)], tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the page with")
@pytest.mark.parametrize(
    "text",
    [TEXT, FOUNDING, SECOND[0].text * 3, "lr: 0.1\n" + "x" * 300 + ": 7\nmomentum: 0.9\n", SCRIPT],
    ids=["short", "founding", "long", "wide", "script"],
)
def test_in_a_browser(text, tmp_path):
    """At 1280 and 360 pixels nothing is too wide, no value is broken, links take the focus, hovering shows both sides."""
    write_page(read(text), [("", text)], tmp_path / "page.html")
    measured = measure(
        tmp_path / "page.html",
        (1280, 360),
        "const link = page.querySelector('.values a');"
        "const outside = [...page.querySelectorAll('td, th, .text, h1, h2, li, summary')]"
        ".filter(e => e.getBoundingClientRect().right > f.width + 0.5).length;"
        "const broken = [...page.querySelectorAll('.value')].filter(e => {"
        "const words = page.createRange(); words.selectNodeContents(e);"
        "return !e.textContent.includes(' ') && new Set([...words.getClientRects()].map(r => r.top)).size > 1; }).length;"
        "link.focus(); const on = page.querySelectorAll('.on').length;"
        "const there = page.getElementById(link.getAttribute('href').slice(1)) ? 1 : 0;"
        "return [page.documentElement.scrollWidth, outside, broken, page.activeElement === link ? 1 : 0, on, there,"
        "f.contentWindow.performance.getEntriesByType('resource').length];",
    )
    assert [row[0] for row in measured] == [1280, 360]
    for width, scroll, outside, broken, focused, on, there, requests in measured:
        assert scroll <= width
        assert outside == broken == 0
        assert focused == there == 1
        assert on >= 2  # the row and its words
        assert requests == 0
