"""Every error a person can cause, as one small family.

A message says where the mistake is, what was got, what is allowed and what to do about it. Checks stand beside what
they check; here are the types of exceptions, and the suggestion of the word that was meant.
"""

from __future__ import annotations

from collections.abc import Iterable


class DownslopeError(Exception):
    """Base of every error raised on purpose.

    Attributes:
        exit_code: What the command line exits with: 2 where a person made a mistake, 1 where the work itself failed.
    """

    exit_code = 2


class SettingsError(DownslopeError, ValueError):
    """A setting, schedule or optimizer argument is outside what is allowed."""


class UnknownArgumentError(SettingsError, TypeError):
    """An argument that there is not; also the TypeError that Python raises for one."""


class ImplementationError(SettingsError, RuntimeError):
    """A way of taking steps that is not there, or not for these tensors; also the RuntimeError that torch raises."""


class GroupError(DownslopeError, ValueError):
    """A parameter group does not fit the parameters."""


class UnorderedError(GroupError, TypeError):
    """Parameters or groups in a set, whose order is another in every run; also the TypeError that torch raises."""


class RecipeError(DownslopeError, ValueError):
    """A recipe or a command-line override cannot be understood."""


class ExportError(DownslopeError, ValueError):
    """What another framework is asked to compute, it cannot."""


class StateError(DownslopeError, ValueError):
    """An optimizer state does not fit the optimizer that is to load it."""


class CheckpointError(DownslopeError):
    """A checkpoint or run folder is missing, damaged or belongs to something else."""


class DataError(DownslopeError, ValueError):
    """Data or a model given by the user is missing, malformed or inconsistent."""


class MissingDependencyError(DownslopeError, ImportError):
    """A feature needs a package that is not installed."""


class MissingSystemError(DownslopeError, OSError):
    """A feature needs what the operating system does not have."""

    exit_code = 1


class NonFiniteGradientError(DownslopeError, ArithmeticError):
    """A gradient holds inf or NaN and the optimizer was told to raise.

    Args:
        found: What was found, where and when.
        advice: What to do about it, in the words of whoever raises.

    Attributes:
        found: As given, for those who have words of their own for what to do.
    """

    exit_code = 1

    def __init__(self, found: str, advice: str = "") -> None:
        """Make the message of both."""
        super().__init__(f"{found} {advice}" if advice else found)
        self.found = found


class DivergenceError(DownslopeError, ArithmeticError):
    """Training went wrong more often than its recipe allows."""

    exit_code = 1


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return " Did you mean `x`?" for the allowed word that a slip of the fingers makes of it, or "" if there is none.

    Example:
        >>> did_you_mean("nestrov", ["nesterov", "momentum"]), did_you_mean("iris", ["digits"])
        (' Did you mean `nesterov`?', '')
    """
    near = nearest(word, allowed)
    return "" if near is None else f" Did you mean `{near}`?"


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed word that was surely meant, or None: no suggestion is better than a silly one.

    Capitals and punctuation aside, it is one that begins with the whole word, or that one mistake (a letter too many,
    missing, wrong, or two exchanged) makes of it, two in a word of five letters or more, three in one of nine.
    """
    given = _letters(word)[:100]
    if not given:
        return None
    most = 1 if len(given) < 5 else 2 if len(given) < 9 else 3
    scored = [
        (mistakes, other)
        for other in allowed
        if abs(len(letters := _letters(other)) - len(given)) <= most
        and (mistakes := _mistakes(given, letters)) <= min(most, max(len(letters) - 2, 0))
    ]
    if scored:
        return min(scored)[1]
    longer = [other for other in allowed if len(given) >= 3 and _letters(other).startswith(given)]
    return longer[0] if len(longer) == 1 else None


def _letters(word: str) -> str:
    return "".join(character for character in word.lower() if character.isalnum())


def _mistakes(a: str, b: str) -> int:
    """Return how many letters must be added, removed, replaced or exchanged with their neighbour to make b of a."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(b, 1):
            best = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                best = min(best, last[j - 2] + 1)
            row.append(best)
    return row[-1]


def one_of(words: Iterable[str]) -> str:
    """Return the words as a readable list: "`a`, `b` or `c`"."""
    quoted = [f"`{word}`" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"
