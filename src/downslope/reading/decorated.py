"""Settings that stand in prose with more around them: in bullets, quotations, tables, or all on one line.

What is around them is blanked out, character by character, so that every word keeps its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby, pairwise

Run = tuple[int, str]
"""Where settings begin, and the text there, with blanks for all that is none of them."""

_NUMBER = r"[+-]?(?:\d[\d_]{0,20}\.?\d{0,20}|\.\d{1,20})(?:[eE][+-]?\d{1,3})?"
_VALUE = (
    rf"(?:{_NUMBER}(?:[ \t]?,[ \t]?{_NUMBER}){{0,40}}|\[[^\[\]\n]{{0,400}}\]|\"[^\"\n]{{0,80}}\"|'[^'\n]{{0,80}}'|"
    r"[A-Za-z_][\w.-]{0,60})"
)
_KEY = r"(?P<key>[\"']?[A-Za-z_][\w.\-/]{0,160}[\"']?)"
_BEFORE = re.compile(
    r"[ \t]*(?:(?:[>|│*•·‣+-]|(?:\d{1,4}|[a-z])[ \t]?[.):|]|\(\w{1,3}\))[ \t]+){0,2}(?:--(?=\w)|\+(?=\w))?"
)
_BEHIND = re.compile(r"(?:[ \t]*[|│\\]){1,5}[ \t]*$")
_PAIR = re.compile(
    rf"[ \t]*{_KEY}[ \t]*(?P<sign>[?:]?=|[:：]|\.{{2,}}|(?<=[ \t])|\t)[ \t]*(?P<value>{_VALUE})[ \t]*[,;，；。.]?[ \t]*"
    r"(?P<remark>[(（#][^\n]{0,400})?$"
)
_BRACKETS = re.compile(rf"[ \t]*(?:{_KEY}[ \t]*[:=][ \t]*)?[\[\]{{}}]+,?[ \t]*$")
_CODED = re.compile(r"[a-z][._][a-zA-Z]|[a-z][A-Z]|[\"']|[A-Z]_[A-Z]")
_CELL = re.compile(r"[ \t`*]*(?:-\w,?[ \t]+)?(?:--)?(?P<key>[A-Za-z_][\w.-]{1,60})[ \t`*]*$")
_PLAIN = re.compile(rf"[ \t`*\"']*(?P<value>{_NUMBER}(?:[ \t]?,[ \t]?{_NUMBER}){{0,40}}|[Tt]rue|[Ff]alse)[ \t`*\"']*$")
_TRUTHS = frozenset({"true", "false", "True", "False"})
_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-{2,}[-:| \t]*$")
_HEADED = re.compile(r"default|value|setting|默认|取值|设定|設定|设置|^\s*值\s*$", re.IGNORECASE)
_LISTED = re.compile(rf"(?<![\w.(,=\[{{])(?P<key>[A-Za-z_][\w.]{{0,60}})[ ]?=[ ]?(?:(?P<call>dict\()|{_VALUE})")
_GAP = re.compile(r"[ \t]+(?:#[^=\n]{0,200})?$")
_MOST_LINES = 5000


def find_runs(text: str) -> Iterator[Run]:
    r"""Yield the settings of a text that are written with something around them, in order.

    Example:
        >>> list(find_runs("With\n* train.batch_size: 8 (fits)\n* train.lr: 0.1\nit runs.\n"))
        [(5, '  train.batch_size: 8       \n  train.lr: 0.1\n')]
    """
    lines = text.splitlines(keepends=True)[:_MOST_LINES]
    made = [*_in_tables(lines)]
    for i in range(1, len(lines) - 1):  # a blank line between two settings
        if not lines[i].strip() and made[i - 1] is not None and made[i + 1] is not None:
            made[i] = lines[i]
    begun = place = 0
    for told, group in groupby(made, key=lambda one: one is not None):
        run = [one or "" for one in group]
        whole = "".join(run)
        length = sum(map(len, lines[place : place + len(run)]))
        if told and _is_said(run, lines[place : place + len(run)]):
            yield begun, whole
        elif not told:
            here = begun
            for line in lines[place : place + len(run)]:
                on_one = _on_one_line(line)
                if on_one:
                    yield here, on_one
                here += len(line)
        begun, place = begun + length, place + len(run)


def _is_said(run: list[str], lines: list[str]) -> bool:
    """Whether lines are settings of a training, and so written that no other reader takes them for that."""
    from downslope.reading.configuration.settings import meanings

    pairs = [match for line in run if (match := _PAIR.match(line.rstrip("\n")))]
    coded = any(one["sign"] == "=" or _CODED.search(one["key"]) or one["value"] in _TRUTHS for one in pairs)
    coded = coded or any(one[:1] == "+" or "`" in one for one in lines)
    decorated = any(one != line.replace("-", " ", 1) for one, line in zip(run, lines, strict=True))
    return coded and decorated and sum(bool(meanings(one["key"].strip("\"'"))) for one in pairs) > 1


def _bare(line: str) -> str | None:
    """Return a line that gives a key a plain value without what is around it; None for any other."""
    if len(line) > 600:
        return None
    kept = line.rstrip("\r\n")
    before, behind = _BEFORE.match(kept), _BEHIND.search(kept)
    first, last = before.end() if before else 0, behind.start() if behind else len(kept)
    middle = kept[first:last].replace("`", " ").replace("**", "  ").replace("：", ":") if first < last else ""
    match = _PAIR.match(middle)
    if match is None and not _BRACKETS.match(middle):
        return None
    if match is not None and not match["sign"].strip() and not re.search(r"[ \t]{2}|\t", match[0].strip()):
        return None  # two words
    if match is not None and match["sign"] not in {":", "="}:
        at = match.end("sign") - 1 if match["sign"] else match.end("key")
        middle = middle[: match.end("key")] + " " * (at - match.end("key")) + ":" + middle[at + 1 :]
    if match is not None and match["remark"]:
        from downslope.reading.configuration.entries import changes  # most texts have none

        if changes(match["key"], match["remark"]):
            return None
        middle = middle[: match.end("value")]
    return " " * first + middle.ljust(len(line.rstrip("\r\n")) - first) + line[len(kept) :]


def _in_tables(lines: list[str]) -> Iterator[str | None]:
    """Yield each line without what is around its setting, or None; the rows of tables among them."""
    place, value, columns = 0, -1, 0
    while place < len(lines):
        if _is_removed(lines, place):
            yield " " * (len(lines[place]) - 1) + "\n"
            place += 1
            continue
        if _RULE.match(lines[place]) and place and "|" in lines[place]:
            heads = lines[place - 1].strip().strip("|").split("|")
            value = next((i for i, head in enumerate(heads) if _HEADED.search(head)), -1)
            columns = len(heads)
            yield None
            place += 1
            continue
        stacked = lines[place : place + columns] if columns > 1 and _one_cell(lines[place]) else []
        if len(stacked) == columns > 1 and all(map(_one_cell, stacked)):
            row = _row("".join(stacked).replace("\n", " ")[:-1] + "\n", value)
            yield row
            yield from [""] * (columns - 1) if row is not None else [None] * (columns - 1)
            place += columns
            continue
        row = _row(lines[place], value) if lines[place].count("|") > 1 else None
        if lines[place].count("|") == 0:
            value, columns = -1, 0
        yield row if row is not None else _bare(lines[place])
        place += 1


def _is_removed(lines: list[str], place: int) -> bool:
    """Whether a line is one of a difference that others with the same key have replaced."""
    key = re.match(r"-[ \t]*([\w.\"'-]+)[ \t]*[:=]", lines[place])
    new = [f"+{one[1:].strip()}" for one in lines[place + 1 : place + 6] if one[:1] == "+"]
    return key is not None and any(one.startswith(f"+{key[1]}") for one in new)


def _one_cell(line: str) -> bool:
    return line.rstrip().endswith("|") and line.count("|") == 1


def _row(line: str, column: int) -> str | None:
    """Return a row of a table as its key, a colon and its value; None where it has none of these."""
    if len(line) > 2000:
        return None
    bounds = [-1, *(place for place, sign in enumerate(line) if sign == "|"), len(line.rstrip("\n"))]
    cells = [(start + 1, end) for start, end in pairwise(bounds)]
    cells = [one for one in cells if line[one[0] : one[1]].strip()]
    key = _CELL.match(line[slice(*cells[0])]) if cells else None
    if key is None:
        return None
    chosen = cells[column : column + 1] if column > 0 else cells[1:4]
    for start, end in chosen:
        value = _PLAIN.match(line[start:end])
        if value:
            first, last = cells[0][0] + key.start("key"), cells[0][0] + key.end("key")
            at = start + value.start("value"), start + value.end("value")
            made = " " * first + line[first:last] + " " * (start - 1 - last) + ":"
            return made + " " * (at[0] - start) + line[slice(*at)] + " " * (len(line) - at[1] - 1) + "\n"
    return None


def _on_one_line(line: str) -> str:
    """Return settings that follow one another on one line, a line each; "" where there are not several."""
    if line.count("=") < 3 or len(line) > 20_000:
        return ""
    from downslope.reading.configuration.literals import bracket_end

    found: list[tuple[int, int]] = []
    best: list[tuple[int, int]] = []
    for match in _LISTED.finditer(line):
        if found and match.start() < found[-1][1]:
            continue
        end = bracket_end(line, match.start("call") + 4, len(line)) if match["call"] else match.end()
        if found and not _GAP.match(line[found[-1][1] : match.start()]):
            best, found = max(best, found, key=len), []
        found.append((match.start(), end))
    best = max(best, found, key=len)
    if len(best) < 3:
        return ""
    made, here = "", 0
    for start, end in best:
        made += (" " * (start - here))[:-1] + "\n" * (start > here) + line[start:end]
        here = end
    return made + " " * (len(line) - here - 1) + "\n" * (here < len(line))
