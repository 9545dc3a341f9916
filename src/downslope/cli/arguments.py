"""The parser that every command builds on: its own options by argparse, and recipe overrides wherever they stand.

What an override's value means is decided by `recipe/overrides.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from downslope.cli import HelpShown
from downslope.cli.places import note_places
from downslope.core.columns import wrap
from downslope.core.errors import DownslopeError, nearest
from downslope.core.files import refuse_irregular
from downslope.core.paths import expand_home
from downslope.core.shown import shown
from downslope.language import LANGUAGES, VARIABLE, said, spoken
from downslope.recipe.overrides import Override, recipe_paths, top_level_keys


class UsageError(DownslopeError):
    """The words after a command cannot be understood."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """The help of a command in the language that is spoken, where a Chinese character takes two columns."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return super()._split_lines(text, width) if spoken() == "en" else wrap(said(text), width)

    def _format_text(self, text: str) -> str:
        return super()._format_text(said(text))

    def start_section(self, heading: str | None) -> None:
        super().start_section(None if heading is None else said(heading))


class CommandParser(argparse.ArgumentParser):
    """The parser of one command.

    It differs from argparse in four ways: mistakes raise instead of exiting, options are never abbreviated, a value
    may begin with a minus sign, and, if wanted, ``--table.key value`` anywhere is an override of the recipe.

    Args:
        command: Name of the command.
        summary: What the command does, one or more sentences.
        example: A command line to try.
        overrides: Whether recipe overrides are taken.
        repeatable: Options that may be given several times.
        needed: Options without which the command does nothing.
        language: The language of what it prints where none is asked for.
    """

    def __init__(
        self,
        command: str,
        *,
        summary: str,
        example: str,
        overrides: bool = False,
        repeatable: tuple[str, ...] = (),
        needed: tuple[str, ...] = (),
        language: str = "en",
    ) -> None:
        """Make the parser; the caller adds the command's own arguments."""
        epilog = f"example:\n  {example}"
        if overrides:
            epilog = (
                "recipe overrides:\n"
                "  --TABLE.KEY VALUE  any value of the recipe, as TOML: --sgd.lr 0.05, --train.epochs 20,\n"
                "                     --title '\"a title\"'; wins over the file wherever it stands.\n"
                "                     `downslope train --print-config` shows the tables and keys.\n\n"
                f"{epilog}"
            )
        super().__init__(
            prog=f"downslope {command}",
            description=summary,
            epilog=epilog,
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        self.command = command
        self.takes_overrides = overrides
        self.repeatable = repeatable
        self.needed = needed
        self.language = language

    def format_usage(self) -> str:
        """Return the usage line, made from the arguments, so that no option can be forgotten in it."""
        positional = [_usage_of(action) for action in self._actions if not action.option_strings]
        if self.takes_overrides:
            positional.append("[--TABLE.KEY VALUE ...]")
        options = [action for action in self._actions if action.option_strings and action.dest != "help"]
        parts = [*positional, *(self._option_usage(action) for action in options)]
        begin = f"usage: {self.prog} "
        lines = [begin]
        for word in parts:
            if len(lines[-1]) + len(word) > 100 and lines[-1].strip():
                lines.append(" " * len(begin))
            lines[-1] += f"{word} "
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _option_usage(self, action: argparse.Action) -> str:
        name = action.option_strings[-1]
        words = f"{_usage_of(action)}{' ...' if name in self.repeatable else ''}"
        return words if name in self.needed else f"[{words}]"

    def format_help(self) -> str:
        """Return the help, under our usage line."""
        self.usage = self.format_usage().removeprefix("usage: ").rstrip("\n").replace("%", "%%")
        return super().format_help().replace("usage: ", said("usage: "), 1)

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` where argparse would print its usage and exit."""
        raise UsageError(f"{self.command}: {message}. See {self.prog} --help.")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raise `HelpShown` where argparse would exit, which it does after --help alone: mistakes go to `error`."""
        raise HelpShown

    def read(self, words: Iterable[str]) -> argparse.Namespace:
        """Return the arguments; `overrides` among them, a list of (path, value), if they are taken.

        Raises:
            UsageError: If an option is unknown, repeated or without its value, or too much or too little is given.
        """
        self.add_argument(
            "--lang",
            metavar="LANG",
            choices=(*LANGUAGES, "auto"),
            help=f"language of what is printed: {', '.join(LANGUAGES)}, or auto for the locale's "
            f"(default: {VARIABLE}, else {self.language})",
        )
        if _gathering:
            raise _GatheredError(self)
        plain, overrides = self._split(self._with_values(words))
        arguments, left = self.parse_known_args(plain)
        if left:
            self.error(f"got {shown(repr(left[0]))} too, which is one argument too many")
        if self.takes_overrides:
            arguments.overrides = overrides
        note_places(
            (action.option_strings[-1] if action.option_strings else _usage_of(action), getattr(arguments, action.dest))
            for action in self._actions
            if action.type in {written_file, written_page} or (action.type is file_path and action.dest == "out")
        )
        return arguments

    def _with_values(self, words: Iterable[str]) -> list[str]:
        """Return the words, an option that may stand alone joined to its value: a word after it of its default's kind.

        So `--preview recipe.toml` leaves the recipe alone, and `--preview page.html` names the page.
        """
        given: list[str] = []
        for word in words:
            default = self._stands_alone(given[-1]) if given else None
            if default is not None and word.endswith(Path(default).suffix) and not word.startswith("-"):
                given[-1] += f"={word}"
            else:
                given.append(word)
        return [word if (default := self._stands_alone(word)) is None else f"{word}={default}" for word in given]

    def _stands_alone(self, word: str) -> str | None:
        """Return the value that an option has where none is given, or None if it is no such option."""
        action = self._option_string_actions.get(word)
        return None if action is None or action.nargs != "?" else str(action.const)

    def _split(self, words: list[str]) -> tuple[list[str], list[Override]]:
        """Return the words that are argparse's, every option joined to its value, and the overrides."""
        options: list[str] = []
        positional: list[str] = []
        overrides: list[Override] = []
        rest = iter(words)
        for word in rest:
            if word == "--":
                positional += rest
            elif not word.startswith("-") or word == "-":
                positional.append(word)
            elif (name := word.partition("=")[0]) in self._option_string_actions:
                options.append(self._own_option(word, rest, options))
            elif self._is_override(name):
                overrides.append((name[2:], self._text(name, self._value_of(word, rest))))
            else:
                self._refuse(name)
        if any(word.startswith("-") and word != "-" for word in positional):
            positional.insert(0, "--")
        return [*options, *positional], overrides

    def _own_option(self, word: str, rest: Iterator[str], earlier: list[str]) -> str:
        name, equals, value = word.partition("=")
        if self._option_string_actions[name].nargs == 0:
            if equals:
                self.error(f"{name} takes no value; got {shown(repr(value))}")
            return name
        if name not in self.repeatable and any(option.startswith(f"{name}=") for option in earlier):
            self.error(f"{name} is given more than once")
        return f"{name}={self._value_of(word, rest)}"  # joined, so that argparse takes a value that begins with a minus

    def _is_override(self, name: str) -> bool:
        path = name[2:]
        return self.takes_overrides and name.startswith("--") and ("." in path or path in top_level_keys())

    def _value_of(self, word: str, rest: Iterator[str]) -> str:
        name, equals, value = word.partition("=")
        if equals:
            return value
        following = next(rest, None)
        if following is None or (following.startswith("--") and following[2:3].isalpha()):
            found = (
                "" if following is None else f"; {following} follows. If that is the value, write {name}={following}"
            )
            self.error(f"the value of {name} is missing{found}")
        return following

    def _text(self, name: str, value: str) -> str:
        """Return an override's value as text: the bytes given are UTF-8, as in a recipe, whatever the locale says."""
        try:
            return value.encode("utf-8", "surrogateescape").decode("utf-8")
        except UnicodeDecodeError:
            self.error(f"the value of {name} is not UTF-8 text: {value!r}")

    def _refuse(self, name: str) -> NoReturn:
        if name.startswith("--") and ("." in name or name[2:] in top_level_keys()):
            self.error(
                f"{name} belongs to a recipe, and `{self.command}` takes none: a run keeps the recipe it began with"
            )
        paths = recipe_paths() if self.takes_overrides else ()
        near = suggest(name, (option for option in self._option_string_actions if option.startswith("--")), paths)
        hint = f". Did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"{self.command}: unknown option {name}{hint or '.'} See {self.prog} --help.")


_gathering: list[bool] = []
"""Whether parsers are asked for rather than read by; see `parser_of`."""


class _GatheredError(Exception):
    def __init__(self, parser: CommandParser) -> None:
        self.parser = parser


def parser_of(execute: Callable[[list[str]], int]) -> CommandParser:
    """Return the parser that a command makes, without running the command."""
    _gathering.append(True)
    try:
        execute([])
    except _GatheredError as gathered:
        return gathered.parser
    finally:
        _gathering.pop()
    raise TypeError(f"{execute} reads no arguments.")


def _usage_of(action: argparse.Action) -> str:
    value = str(action.metavar or "|".join(map(str, action.choices or [action.dest.upper()])))
    if action.option_strings:
        name = action.option_strings[-1]
        return name if action.nargs == 0 else f"{name} [{value}]" if action.nargs == "?" else f"{name} {value}"
    forms = {"?": "[{0}]", "*": "[{0} ...]", "+": "{0} [{0} ...]"}
    return forms.get(str(action.nargs), "{0}").format(value)


_OTHER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "learning_rate": "lr",
        "l2": "weight_decay",
        "output": "out",
        "output_dir": "out",
        "dir": "out",
        "batch": "batch_size",
    }
)
"""What people call an option elsewhere, for suggestions only."""


def suggest(name: str, options: Iterable[str], paths: Iterable[str]) -> list[str]:
    """Return what an unknown option may have meant, as it is to be written; empty if nothing is close.

    `options` are the command's own, which come first, `paths` the dotted paths of a recipe; the last part of one means
    the whole.

    Example:
        >>> suggest("--lr", ["--out"], ["sgd.lr", "train.epochs"])
        ['--sgd.lr']
    """
    meant: dict[str, list[str]] = {}
    for option in options:
        meant.setdefault(option.lstrip("-").replace("-", "_"), []).append(option)
    own = list(meant)
    for path in paths:
        meant.setdefault(path.rsplit(".", 1)[-1], []).append(f"--{path}")
    word = name.lstrip("-").replace("-", "_").lower()
    word = _OTHER_WORDS.get(word, word)
    close = nearest(word, own) or nearest(word, meant)
    return [] if close is None else meant[close]


_DIGITS = 18


def count(text: str) -> int:
    """Return an integer >= 1 from an option's value."""
    if not text.strip("0") or not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be an integer >= 1; got {shown(repr(text))}")
    return _countable(text)


def count_or_none(text: str) -> int:
    """Return an integer >= 0 from an option's value."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be an integer >= 0; got {shown(repr(text))}")
    return _countable(text)


def _countable(digits: str) -> int:
    """Return an integer of some digits; of thousands Python makes none, and nothing here is counted so far."""
    if len(digits.lstrip("0")) > _DIGITS:
        raise argparse.ArgumentTypeError(f"must be an integer below 10**{_DIGITS}; got {shown(repr(digits))}")
    return int(digits)


def seconds(text: str) -> float:
    """Return a number of seconds > 0 from an option's value."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds > 0; got {shown(repr(text))}")
    return value


def file_path(text: str) -> Path:
    """Return a path from an option's value, `~` expanded."""
    if not text:
        raise argparse.ArgumentTypeError("is empty. Give a path")
    try:
        return expand_home(text)
    except DownslopeError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None


def written_file(text: str) -> Path:
    """Return the path of a file that is to be written as a whole, and may replace one.

    A folder is refused, and so is a path in a folder that is not there, before any work is done. A device or a pipe is
    refused, or the page would lie where /dev/null was.
    """
    path = file_path(text)
    try:
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{shown(text)}: is a folder. Give the file to write")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(
                f"{shown(text)}: there is no folder {shown(path.parent)}. Make it first, or give another place"
            )
        refuse_irregular(path)
        _refuse_part_of_run(path)
    except DownslopeError as error:
        raise argparse.ArgumentTypeError(f"{str(error).rstrip('.')}, and would be replaced. Give a file") from None
    except PermissionError:  # of a folder that may not be looked into
        raise argparse.ArgumentTypeError(
            f"{shown(text)}: permission denied. Give another place, or change its permissions"
        ) from None
    except (OSError, ValueError) as error:  # a name too long, or with a byte that no name has
        why = getattr(error, "strerror", None) or error
        raise argparse.ArgumentTypeError(f"{shown(text)}: no file can be called so: {why}") from None
    return path


def _refuse_part_of_run(path: Path) -> None:
    """Raise if writing to a file would replace one that a run is made of."""
    if not path.exists():
        return
    from downslope.training.folder.names import CHECKPOINTS, OWN_FILES, run_around

    where = path.resolve()
    run = run_around(where)
    if run is not None and (where.name in OWN_FILES or CHECKPOINTS in where.relative_to(run).parts):
        raise argparse.ArgumentTypeError(f"{shown(path)}: is a file of the run {shown(run)}. Give another place")


def written_page(text: str) -> Path:
    """Return the path of a page that is to be written, as `written_file` does; it ends so that a browser opens it."""
    path = written_file(text)
    if path.suffix.lower() not in {".html", ".htm"}:
        raise argparse.ArgumentTypeError(f"{shown(text)}: a page ends in .html. Give such a name")
    return path
