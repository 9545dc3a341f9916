r"""Text that came from outside, as it may be shown in a terminal or a message.

The name of a file, class, column, parameter or run may hold anything: an escape sequence that repaints the terminal, a
line break, a mark that turns the order of letters round, a hundred thousand characters. `shown` is for such a value
within a sentence, `printable` for a whole message on its way out. An escape is \u and four digits, which JSON, TOML and
Python read as the same character: a page of theirs says the same after it.
"""

from __future__ import annotations

import os
import re

_UNSAFE = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
"""Controls (C0, C1), marks and overrides of the direction, line separators."""

_IN_MESSAGES = re.compile(f"[{_UNSAFE}]")
_IN_VALUES = re.compile(f"[{_UNSAFE}\t\n]")
_BYTES = re.compile("[\udc80-\udcff]+")
"""Python's stand-ins for the bytes of a name that is no text in the locale's encoding."""
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def shown(value: object, limit: int = 200) -> str:
    r"""Return text from outside on one line, escaped and shortened in its middle.

    Example:
        >>> shown("cat\x1b[31m\n"), shown("x" * 1000, limit=20)
        ('cat\\u001b[31m\\n', 'xxxxxxxxxxxxx...xxxx (1,000 characters)')
    """
    try:
        text = os.fsdecode(value) if isinstance(value, bytes) else str(value)
    except ValueError:  # an integer of more digits than Python makes
        text = f"a {type(value).__name__} too long to be shown"
    count = len(text)
    if count > limit:
        tail = max(limit // 4 - 1, 1)
        text = f"{text[: max(limit - tail - 3, 1)]}...{text[-tail:]}"
    escaped = _IN_VALUES.sub(_escaped, _BYTES.sub(_bytes_escaped, text))
    return f"{escaped} ({count:,} characters)" if count > limit else escaped


def printable(message: str) -> str:
    r"""Return a whole message or page as a terminal may have it: its lines stay, other controls are escaped.

    Example:
        >>> printable("one\ntwo\x07")
        'one\ntwo\\u0007'
    """
    return _IN_MESSAGES.sub(_escaped, _BYTES.sub(_bytes_escaped, message))


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or f"\\u{code:04x}"


def _bytes_escaped(found: re.Match[str]) -> str:
    """Return bytes as they are, but for those that a terminal would obey.

    In UTF-8 the bytes 0x80 to 0x9f are parts of letters, and stay; alone they are controls.
    """
    rest = found[0].encode("ascii", "surrogateescape")
    pieces: list[str] = []
    while rest:
        try:
            text, bad, rest = rest.decode(), b"", b""
        except UnicodeDecodeError as error:
            text, bad, rest = rest[: error.start].decode(), rest[error.start : error.start + 1], rest[error.start + 1 :]
        pieces += [_escaped_letter(letter) for letter in text]
        pieces += [f"\\udc{byte:02x}" if byte < 0xA0 else _as_bytes(bytes([byte])) for byte in bad]
    return "".join(pieces)


def _escaped_letter(letter: str) -> str:
    found = _IN_MESSAGES.match(letter)
    return _escaped(found) if found else _as_bytes(letter.encode())


def _as_bytes(data: bytes) -> str:
    return data.decode("ascii", "surrogateescape")
