"""The language in which a command speaks: `said` gives what was written in English in the language that was chosen.

English stands in the code, as it is read there, and errors stay English for programs that catch them, as JSON and the
files of a run do. What is printed for a person goes through `said`, which finds its sentences in the catalogue.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Literal

from downslope.core.errors import SettingsError, did_you_mean, one_of

Language = Literal["en", "zh"]
LANGUAGES: Mapping[Language, str] = MappingProxyType({"en": "english", "zh": "chinese"})
"""Languages by their code, with the names of their files."""

_CODES: Mapping[str, Language] = {lang: lang for lang in LANGUAGES}

VARIABLE = "DOWNSLOPE_LANG"
"""The environment variable that says the language where no option does."""

_LOCALE = "auto"
_spoken: list[Language] = ["en"]
"""The language now spoken, alone: of this process, whichever of its threads speaks."""


def find_language(given: str | None) -> Language | None:
    """Return the language that is asked for by an option's value, or else by `DOWNSLOPE_LANG`; None if by neither.

    "auto" is the language of the locale where we have it, and English elsewhere.

    Raises:
        SettingsError: If there is no such language.
    """
    asked, where = (given, "--lang") if given is not None else (os.environ.get(VARIABLE) or None, VARIABLE)
    if asked is None:
        return None
    if asked in _CODES:
        return _CODES[asked]
    if asked != _LOCALE:
        known = [*LANGUAGES, _LOCALE]
        raise SettingsError(f"{where} must be {one_of(known)}; got {asked!r}.{did_you_mean(asked, known)}")
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    name = locale.normalize(next((name for name in names if name), "C"))
    return _CODES.get(name[:2], "en")


@contextmanager
def speaking(lang: Language) -> Iterator[None]:
    """Speak a language until the end of a block."""
    before = _spoken[0]
    _spoken[0] = lang
    try:
        yield
    finally:
        _spoken[0] = before


def spoken() -> Language:
    """Return the code of the language that is spoken."""
    return _spoken[0]


def said(text: str) -> str:
    """Return a text of whole sentences or lines in the language that is spoken; what the catalogue lacks, as it is.

    Example:
        >>> with speaking("zh"):
        ...     said("convert: lstm.toml is there already. Give another name, or --force.")
        'convert: lstm.toml 已经存在。请换一个名称，或加 --force。'
    """
    if _spoken[0] == "en":
        return text
    from downslope.language.catalogue import catalogue_of

    return catalogue_of(LANGUAGES[_spoken[0]]).translate(text)


def said_within(text: str) -> str:
    """Return what `said` does, for a text that may be a name or a value: a word alone stays as it is."""
    return said(text) if " " in text else text


def tell(text: str) -> None:
    """Print a text for a person, in the language that is spoken, at once."""
    print(said(text), flush=True)
