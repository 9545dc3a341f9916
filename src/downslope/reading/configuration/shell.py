"""Command lines and shell scripts: words with places, variables resolved, and the flags that programs are given."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from downslope.reading.configuration.entries import MOST, Entry, as_number, holds_number, listed
from downslope.reading.configuration.names import concepts_of
from downslope.reading.configuration.yaml_files import read_yaml

_WORD = re.compile(
    r"(?P<blank>[ \t]+|[\\^`][ \t]*\r?\n[ \t]*)|(?P<end>\n|;;?|&&?|\|\|?)|(?P<comment>#[^\n]*)|"
    r"(?P<word>(?:\"(?:[^\"\\]|\\.|\\\n)*\"|'[^']*'|\$\([^()\n]*\)|\$\{[^}\n]{0,2000}+\}|\\.|[^\s\"';|&\\])+|[\"'\\])",
    re.DOTALL,
)
"""What is within `${...}` has an end: of thousands that are never closed, each would be read to the end of the text."""
_ALIVE = re.compile(r"^[ \t]*[^\s#]", re.MULTILINE)
_HASHES = re.compile(r"^[ \t]*#+", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::?[-=](?P<default>[^}]*))?\}|\$(?P<bare>\w+)|%(?P<batch>\w+)%")
_MARKED = re.compile(r"[\"'$%\\]")
_QUOTED = re.compile(r"([\"'])(.*?)\1", re.DOTALL)
_ASSIGNS = re.compile(r"(?P<name>[A-Za-z_]\w*)\+?=(?P<value>.*)", re.DOTALL)
_FLAG = re.compile(r"(?P<flag>--?[A-Za-z](?:[\w.\-]|\[\w*\])*|/[A-Za-z]\w+(?==|$))(?:=(?P<value>.*))?", re.DOTALL)
_OVERRIDE = re.compile(r"[+~]{0,2}(?P<key>[A-Za-z_][\w.@/\-]*)=(?P<value>.+)", re.DOTALL)
_DOTTED = re.compile(r"[A-Z][A-Z0-9_]*(?:\.[A-Za-z0-9_]+)+")
_NAMING = frozenset({"policy", "optimizer"})
_INNER = re.compile(r"\s--?[A-Za-z]")
_FLAGS = re.compile(r"--?[A-Za-z][\w-]*(?: \S|=\S+\s+-)")
_OUTPUT = re.compile(r"\$\([^()]*\)|`[^`]*`")
_DEEPEST = 3
_OPENERS = frozenset(
    ["do", "then", "else", "elif", "export", "local", "declare", "readonly", "env", "set", "time", "$", ">", "%", "!"]
)


@dataclass
class _Value:
    """What a variable holds: its word, where it was set, and the other values of a loop."""

    word: str
    start: int
    end: int
    others: tuple[str, ...] = ()
    used: bool = False

    def flags(self, text: str) -> list[Entry]:
        """Return the flags that it is made of: `ARGS="--lr 0.1 --wd=1e-4"`."""
        place = text.find(self.word, self.start, self.end) if _FLAGS.match(self.word) else -1
        return (
            [one.moved(place) for inner in read_commands(self.word, _DEEPEST) for one in inner.entries]
            if place >= 0
            else []
        )


@dataclass
class Command:
    """One command of a script.

    Attributes:
        program: Its words up to the first flag.
        entries: Its flags and overrides, a flag given twice with its last value.
    """

    program: list[str] = field(default_factory=list[str])
    entries: list[Entry] = field(default_factory=list[Entry])


@dataclass(frozen=True)
class _Word:
    text: str
    start: int
    end: int
    source: tuple[int, int] | None = None
    others: tuple[str, ...] = ()
    derived: bool = False
    unknown: bool = False


def read_commands(text: str, depth: int = 0) -> list[Command]:
    r"""Return the commands of a text that are given anything; variables that none of them uses come as one more.

    `depth`: how many commands this one is a word of, as in `bash -c "..."`.

    Example:
        >>> [one.path + (one.value,) for one in read_commands("LR=0.1\nrun --lr ${LR} --wd=5e-4 -b 64")[0].entries]
        [('--lr', 0.1), ('--wd', 0.0005), ('-b', 64)]
    """
    variables: dict[str, _Value] = {}
    commands: list[Command] = []
    if not _ALIVE.search(text):  # nothing but comments: a command that is noted in one
        text = _HASHES.sub(lambda match: " " * len(match.group()), text)
    for words in _lines(text):
        plain = _after_variables(words, variables)
        if plain and len(commands) < 2000:
            held = {word: flags for word in plain if word.text[0] == "$" and (flags := _held(word, variables, text))}
            rest = [word for word in plain if word not in held] if held else plain
            command = _command([_resolve(word, variables) for word in rest], depth)
            command.entries = [*(one for flags in held.values() for one in flags), *command.entries]
            if command.entries:
                commands.append(command)
    flags = [one for value in variables.values() if not value.used for one in value.flags(text)]
    unused = [
        Entry((name,), listed(value.word), value.start, value.end, others=value.others)
        for name, value in variables.items()
        if not value.used
        and not _FLAGS.match(value.word)
        and (holds_number(told := listed(value.word)) or told is True or _NAMING & {*concepts_of(name)})
    ]
    return [*commands, Command([], [*flags, *unused])] if flags or unused else commands


def _lines(text: str) -> list[list[_Word]]:
    lines: list[list[_Word]] = [[]]
    place, count = 0, 0
    while place < len(text) and count < MOST:
        match = _WORD.match(text, place)
        if match is None:
            place += 1
            continue
        place = match.end()
        if match.lastgroup == "end":
            if lines[-1] and not _goes_on(text, match):
                lines.append([])
        elif match.lastgroup == "word":
            count += 1
            lines[-1].append(_Word(match.group(), match.start(), match.end()))
        elif match.lastgroup == "comment" and match.start() and text[match.start() - 1] not in " \t\n;":
            lines[-1].append(_Word(match.group(), match.start(), match.end()))
    return lines


def _goes_on(text: str, match: re.Match[str]) -> bool:
    """Whether a new line only begins with a flag: a command pasted without its backslashes."""
    return match.group() == "\n" and re.compile(r"[ \t]*--?[A-Za-z][\w-]*[ =]").match(text, match.end()) is not None


def _bare(word: str) -> str:
    if '"' in word or "'" in word:
        word = _QUOTED.sub(r"\2", word)
    return word.replace("\\\n", " ")


def _after_variables(words: list[_Word], variables: dict[str, _Value]) -> list[_Word]:
    """Set the variables that a line assigns or loops over, and return the rest of its words."""
    if len(words) > 3 and words[0].text == "for" and words[2].text == "in":
        values = [_bare(word.text) for word in words[3:] if word.text not in {"do", "{"}]
        if len(values) == 1 and values[0][:1] in {"(", "{"}:
            values = re.split(r"[,\s]+", values[0].strip("(){}"))
        if values:
            variables[words[1].text] = _Value(values[0], words[1].start, words[-1].end, tuple(values[1:50]))
        return []
    place = 0
    if words and words[0].text == ":":  # : "${LR:=0.1}" gives a variable what it lacks
        for word in words[1:]:
            match = _VARIABLE.fullmatch(_bare(word.text))
            if match and match["name"] and match["default"] is not None:
                variables.setdefault(match["name"], _Value(_bare(match["default"]), word.start, word.end))
        return []
    while place < len(words):
        match = _ASSIGNS.fullmatch(words[place].text)
        if match is not None and "." not in match["name"]:
            word = words[place]
            inner = _resolve(_Word(match["value"], word.start, word.end), variables)
            start, end = inner.source or (word.start, word.end)
            variables[match["name"]] = _Value(inner.text, start, end, inner.others)
        elif words[place].text not in _OPENERS and not re.fullmatch(r"[\w@:~.\-\[\]()]*[$%#❯]", words[place].text):
            break
        place += 1
    return words[place:]


def _resolve(word: _Word, variables: dict[str, _Value]) -> _Word:
    """Return a word with its variables' values, and its quotes removed; what is not known stays as it is."""
    if not _MARKED.search(word.text):
        return word
    bare = _bare(word.text)
    match = _VARIABLE.search(bare)
    if match is None or word.text[:1] == "'":
        return _Word(bare, word.start, word.end)
    whole = match.group() == bare or bare.endswith(f"={match.group()}")
    source: tuple[int, int] | None = None
    others: tuple[str, ...] = ()
    derived = unknown = False

    def put(found: re.Match[str]) -> str:
        nonlocal source, others, derived, unknown
        known = variables.get(found["name"] or found["bare"] or found["batch"] or "")
        if known is not None:
            known.used = True
            source, others = (known.start, known.end), known.others
            return known.word
        unknown = unknown or found["default"] is None
        derived = derived or found["default"] is not None
        return found["default"] if found["default"] is not None else found.group()

    text = _VARIABLE.sub(put, bare)
    return _Word(text, word.start, word.end, source if whole else None, others, derived, unknown)


def _command(words: list[_Word], depth: int) -> Command:
    command = Command()
    found: dict[tuple[str, ...], Entry] = {}
    place = 0
    while place < len(words):
        word = words[place]
        flag = _FLAG.fullmatch(word.text)
        override = _OVERRIDE.fullmatch(word.text)
        place += 1
        if flag and as_number(word.text) is None:
            place = _flag(words, place, flag, found, depth)
        elif override:
            path = tuple(part for part in re.split(r"[./]", override["key"]) if part)
            found[path] = _entry(path, listed(override["value"]), word, word)
            for one in _table(override["value"]) if override["value"][0] in "[{" else ():
                found[*path, *one.path] = _entry((*path, *one.path), one.value, word, word)
        elif _DOTTED.fullmatch(word.text) and place < len(words):
            path = tuple(word.text.split("."))
            found[path] = _entry(path, listed(words[place].text), word, words[place])
            place += 1
        elif inner_commands := _inner(word.text, depth):
            for inner in inner_commands:
                command.program += inner.program
                shift = word.start + 1
                found |= {one.path: one.moved(shift) for one in inner.entries if one.path not in found}
        elif not found and len(command.program) < 10:
            command.program.append(word.text)
    command.entries = list(found.values())
    return command


def _held(word: _Word, variables: dict[str, _Value], text: str) -> list[Entry]:
    """Return the flags that a word brings which is a variable without quotes."""
    match = _VARIABLE.fullmatch(word.text)
    value = variables.get(match["name"] or match["bare"] or "") if match else None
    flags = value.flags(text) if value is not None else []
    if value is not None and flags:
        value.used = True
    return flags


def _inner(word: str, depth: int) -> list[Command]:
    """Return the commands that one word holds: `bash -c "python train.py --lr 0.1"`.

    What another command writes, `$(date --utc)`, is none. A word may be all of its text, with nothing to take off, and
    quotes may be nested without end: so far and no further.
    """
    if depth >= _DEEPEST or len(word) <= 20 or _OUTPUT.fullmatch(word) or not _INNER.search(word):
        return []
    return read_commands(word, depth + 1)


def _flag(words: list[_Word], place: int, match: re.Match[str], found: dict[tuple[str, ...], Entry], depth: int) -> int:
    """Add the entry of a flag, whose values begin at `place`, and return the place after them."""
    name, word = match["flag"], words[place - 1]
    keys = name.lstrip("-").split(".")
    path = (f"{'--' if name.startswith('--') else name[0]}{keys[0]}", *keys[1:])
    if match["value"] is not None:
        found[path] = _entry(path, listed(match["value"]), word, word)
        return place
    if place < len(words) and (inner := _table(words[place].text)):
        for one in inner:
            found[*path, *one.path] = _entry((*path, *one.path), one.value, word, words[place])
        return place + 1
    if place < len(words) and (inner_commands := _inner(words[place].text, depth)):
        for inner in inner_commands:
            found |= {one.path: one.moved(words[place].start + 1) for one in inner.entries}
        return place + 1
    values: list[Any] = []
    last = place
    while last < len(words) and not _starts_flag(words[last].text):
        value = listed(words[last].text.rstrip(",") if values else words[last].text)
        if values and not (_numeric(value) and _numeric(values[-1])):
            break
        values.append(value)
        last += 1
    if not values:
        found[path] = _entry(path, True, word, word)
    elif len(values) == 1:
        found[path] = _entry(path, values[0], word, words[place])
    else:
        flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
        found[path] = _entry(path, flat, word, words[last - 1])
    return last


def _table(word: str) -> list[Entry]:
    """Return the entries of a flag's value that is a table: `'{"momentum": 0.9}'`, `"momentum=0.9 nesterov=True"`."""
    if ":" in word and word[0] + word[-1] in {"{}", "[]"}:
        return read_yaml(word)
    pairs = [_ASSIGNS.fullmatch(one) for one in re.split(r"[,\s]+", word.strip()) if one]
    if not all(pairs) or len(word) > 400 or word.count("=") < 2:
        return []
    return [Entry((one["name"],), listed(one["value"]), 0, 0) for one in pairs if one]


def _numeric(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, int | float) and not isinstance(value, bool))


def _starts_flag(word: str) -> bool:
    known = _FLAG.fullmatch(word) or _OVERRIDE.fullmatch(word) or _DOTTED.fullmatch(word)
    return known is not None and as_number(word) is None and "'" not in word and not word.startswith("/")


def _entry(path: tuple[str, ...], value: Any, first: _Word, last: _Word) -> Entry:
    if last.unknown:
        value = None
    others = tuple(listed(other) for other in last.others)
    start, end = last.source or (first.start, last.end)
    return Entry(path, value, start, end, derived=last.derived, others=others)
