r"""Tables of LaTeX and HTML as tables of bars, as long as they were: "lr & 0.1 \\" is "lr | 0.1"."""

from __future__ import annotations

import re

_LATEX = re.compile(r"\\(?P<what>begin|end)\{(?P<kind>tabular[*xy]?|longtable|array|tabu)\}")
_HTML = re.compile(r"<(?P<what>/?)(?P<kind>table)\b[^<>]{0,400}>", re.IGNORECASE)
_LONGEST = 20_000
"""Characters of a table, at most."""

_COLUMNS = re.compile(r"(?:\s?(?:\[[^\]\n]{0,9}\]|\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]*\})*\}){0,200}\})){0,3}")
_RULE = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|[chx]?(?:mid)?(?:line|rule))(?:\([a-z]+\))?(?:[\[{][^\]}\n]{0,20}[\]}])?"
)
_ROW_ENDS = re.compile(r"\\\\(?:\[[^\]\n]{0,9}\])?|\\tabularnewline")
_AROUND = re.compile(
    r"\\(?:text(?:bf|it|rm|tt|sc)?|emph|makecell|mathbf|multi(?:column|row)\{[^{}\n]{1,9}\}\{[^{}\n]{1,20}\})\{([^{}\n]*)\}"
)
_COMMENT = re.compile(r"(?<!\\)%[^\n]*")
_BAR = re.compile(r"(?<!\\)&")
_CELL_BEGINS = re.compile(r"<t[hd]\b[^<>]{0,200}>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]{0,200}>", re.IGNORECASE)
_HTML_ROW = re.compile(r"</tr\s?>(?:\s|</?(?:thead|tbody|tr)\b[^<>]{0,200}>){0,20}", re.IGNORECASE)
_RULER = "--|--"


def as_bars(text: str) -> str:
    r"""Return a text, its tables of LaTeX and HTML with bars between their cells and a rule below the first row.

    Example:
        >>> as_bars(r"\begin{tabular}{ll}lr & 0.1 \\ wd & 0 \\\end{tabular}").split("\n")[1].strip()
        'lr | 0.1'
    """
    for marks, rewrite in ((_LATEX, _of_latex), (_HTML, _of_html)):
        begun: re.Match[str] | None = None
        pieces, here = [], 0
        for mark in marks.finditer(text):
            if mark["what"] in {"begin", ""}:
                begun = mark
                continue
            if begun is not None and begun["kind"] == mark["kind"] and mark.start() - begun.end() < _LONGEST:
                body = rewrite(text[begun.end() : mark.start()])
                pieces += [text[here : begun.start()], "\n".rjust(begun.end() - begun.start()), body]
                pieces += ["\n".ljust(mark.end() - mark.start())]
                here = mark.end()
            begun = None
        text = "".join([*pieces, text[here:]])
    return text


def _of_latex(body: str) -> str:
    """Return the body of a tabular with bars, a row to a line, and a rule of bars for the first below a row."""
    columns = _COLUMNS.match(body)
    start = columns.end() if columns is not None else 0
    body = _COMMENT.sub(lambda match: " " * len(match[0]), body)
    body = " " * start + body[start:].replace("\n", " ")
    body = _AROUND.sub(lambda match: match[1].center(len(match[0])), body)
    body = _BAR.sub("|", body.replace("\\_", "_ "))
    first = _ROW_ENDS.search(body)
    if first is None:
        return body
    ruled = _RULE.search(body, first.end())
    if ruled is not None and not body[first.end() : ruled.start()].strip():
        rule = f"\n{_RULER}\n".ljust(ruled.end() - first.end()) if ruled.end() - first.end() > len(_RULER) + 1 else ""
        body = body[: first.end()] + (rule or body[first.end() : ruled.end()]) + body[ruled.end() :]
        body = body[: first.start()] + " " * (first.end() - first.start()) + body[first.end() :]
    body = _RULE.sub(lambda match: " " * len(match[0]), body)
    return _ROW_ENDS.sub(lambda match: "\n".rjust(len(match[0])), body)


def _of_html(body: str) -> str:
    """Return the rows of a table of HTML with bars, a row to a line, and a rule of bars below the first."""
    body = body.replace("\n", " ")
    first = _HTML_ROW.search(body)

    def ended(row: re.Match[str]) -> str:
        ruled = first is not None and row.start() == first.start() and row.end() < len(body)
        return (f"\n{_RULER}\n" if ruled and len(row[0]) > len(_RULER) + 2 else "\n").ljust(len(row[0]))

    body = _HTML_ROW.sub(ended, body)
    body = _CELL_BEGINS.sub(lambda match: "|".ljust(len(match[0])), body)
    return _TAG.sub(lambda match: " " * len(match[0]), body)
