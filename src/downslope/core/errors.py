"""Every error a person can cause, as one small family.

A message says where the mistake is, what was got, what is allowed and what to do about it. What lives here: the
exception types and the "did you mean" helper. What does not: any check; those stand beside what they check.
"""

from __future__ import annotations

import difflib
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


class NonFiniteGradientError(DownslopeError, ArithmeticError):
    """A gradient holds inf or NaN and the optimizer was told to raise."""

    exit_code = 1


class DivergenceError(DownslopeError, ArithmeticError):
    """Training went wrong more often than its recipe allows."""

    exit_code = 1


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return " Did you mean `x`?" for the closest allowed word, or "" if nothing is close."""
    close = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean `{close[0]}`?" if close else ""


def one_of(words: Iterable[str]) -> str:
    """Return the words as a readable list: "`a`, `b` or `c`"."""
    quoted = [f"`{word}`" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"
