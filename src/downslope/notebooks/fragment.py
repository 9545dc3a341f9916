"""A page as a part of a notebook: its style kept to itself, its ids its own, without scripts.

A notebook shows many outputs in one document. What stands alone in a file of its own (`:root`, `body`, ids that its
plots and notes refer to) would there be everybody's.
"""

from __future__ import annotations

import hashlib
import re

_STYLE = re.compile(r"<style[^>]*>(.*?)</style>", flags=re.DOTALL | re.IGNORECASE)
_BODY = re.compile(r"<body[^>]*>(.*?)(?:</body>|\Z)", flags=re.DOTALL | re.IGNORECASE)
_DROPPED = re.compile(r"<(script|footer|noscript)\b.*?</\1\s*>", flags=re.DOTALL | re.IGNORECASE)
_HIDDEN = re.compile(
    r"<(div|section|form|p|span|button|details|figure)\b[^<>]*\shidden(?=[\s>])[^<>]*>", flags=re.IGNORECASE
)
_TAG = re.compile(r"<[A-Za-z][^<>]*>")
_HANDLER = re.compile(r"\son[a-z]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+)", flags=re.IGNORECASE)
_IDS = re.compile(r"(\s(?:id|for|name|aria-labelledby|aria-describedby|aria-controls))=(\"[^\"]*\"|[^\s>\"']+)")
_REFERENCE = re.compile(r"((?:href=\"?|url\())#")
_WHOLE = re.compile(r"(?<![\w.#-])(?::root|html|body)(?![\w-])")
_COMMENT = re.compile(r"/\*.*?\*/", flags=re.DOTALL)
_LANGUAGE = re.compile(r"<html[^>]*\slang=\"?([A-Za-z-]+)", flags=re.IGNORECASE)

# What notebooks and sites lay over tables and figures, and what a page does that fills a window.
_BEFORE = """tr, th, td, thead { background: none; text-align: left; max-width: none; border: 0; }
table { margin: 0; border: 0; }
figure { display: block; width: auto; max-width: none; text-align: left; }
figcaption { margin: 0; max-width: none; font-style: normal; }"""
_AFTER = """& { max-width: none; margin: 0; padding: .9rem 1.1rem 1.1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 var(--serif); max-height: 46rem; overflow: auto; resize: vertical; }
@media print { & { max-height: none; } }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin: 1.4rem 0 .5rem; }
.words { position: static; max-height: none; }
.words:empty { display: none; } main:has(> .words:empty) { grid-template-columns: minmax(0, 1fr); }
a { color: inherit; }"""


def fragment_of(page: str) -> str:
    """Return what a page shows as one element, for a document that shows others beside it.

    Args:
        page: A page of ours. Its texts are escaped, so that what looks like a tag is one.
    """
    styles = "\n".join(_STYLE.findall(page))
    found, language = _BODY.search(page), _LANGUAGE.search(page)
    body = _DROPPED.sub("", _STYLE.sub("", page if found is None else found[1]))
    own = f"d{hashlib.sha256(page.encode('utf-8', 'surrogateescape')).hexdigest()[:10]}"
    body = _TAG.sub(lambda tag: _owned(tag[0], own), _without_hidden(body)).strip()
    spoken = "" if language is None else f' lang="{language[1]}"'
    # Three times its class: more than a notebook's own rules for tables weigh.
    style = f"<style>.{own}.{own}.{own} {{\n{_BEFORE}\n{_scoped(styles)}\n{_AFTER}\n}}</style>"
    return f'<div class="{own}"{spoken}>{style}\n{body}\n</div>'


def _without_hidden(body: str) -> str:
    """Return HTML without the elements that are hidden until a script shows them."""
    pieces: list[str] = []
    here = 0
    while (begun := _HIDDEN.search(body, here)) is not None:
        pieces.append(body[here : begun.start()])
        depth, here = 1, begun.end()
        for tag in re.compile(rf"<(/?){begun[1]}\b[^<>]*>", flags=re.IGNORECASE).finditer(body, here):
            depth += -1 if tag[1] else 1
            if depth == 0:
                here = tag.end()
                break
    return "".join([*pieces, body[here:]])


def _owned(tag: str, own: str) -> str:
    """Return a tag whose ids, and references to ids, are this output's, and which runs nothing."""

    def named(found: re.Match[str]) -> str:
        names = found[2].strip('"').split()
        return f'{found[1]}="{" ".join(f"{own}-{name}" for name in names)}"'

    return _REFERENCE.sub(rf"\1#{own}-", _IDS.sub(named, _HANDLER.sub("", tag)))


def _scoped(styles: str) -> str:
    """Return rules as they stand nested in a rule of the output's own element, which is what they call the page."""
    return _WHOLE.sub("&", _COMMENT.sub("", styles))
