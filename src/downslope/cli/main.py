"""The command `downslope`: finds the command's module, runs it, and turns every error into one message and a code.

This module imports nothing that a plain ``downslope --help`` does not need.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType

from downslope import __version__
from downslope.cli import HelpShown
from downslope.cli.places import tell_refusal
from downslope.cli.streams import prepare_streams
from downslope.core.errors import DownslopeError, did_you_mean
from downslope.core.shown import printable, shown
from downslope.language import VARIABLE, find_language, said, speaking

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "train": "train by a recipe; without one, on handwritten digits",
        "resume": "go on with a run that was stopped",
        "watch": "see from another terminal how a run goes on",
        "tune": "search for settings by trials, and say how far the winner can be trusted",
        "evaluate": "loss and accuracy of a run on its held-out examples",
        "predict": "what a run's model says about examples",
        "pack": "a trained run as an ONNX file or a torch.export program",
        "report": "lay one run or several over one another on a page",
        "list": "the runs in a folder: how each stands, and its best held-out value",
        "recipes": "list the recipes that come with Downslope, or print one",
        "read": "what the words of a paper, a command line or a solver mean as a recipe",
        "explain": "what a recipe means: equations, schedule, timescales, limits",
        "lab": "a page with sliders: what follows from the numbers of SGD",
        "export": "a recipe as code for PyTorch, Keras, TensorFlow, optax, timm or Caffe",
        "compare": "whether two ways of training are the same rule, and if not, where they part",
        "audit": "what is probably wrong with a recipe, a sentence, a training script or a run",
        "rescale": "a recipe for another batch size, number of devices or length",
        "convert": "carry optimizer state over to another framework",
        "mcp": "a server by which coding assistants use all that is about text",
        "schema": "the JSON Schema of a recipe, for editors",
        "completion": "a script by which bash, zsh or fish completes all this",
    }
)

TRACEBACK = "DOWNSLOPE_TRACEBACK"
"""The environment variable that, set to 1, lets tracebacks through."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: the words given, or those of this process.

    Returns:
        The exit code: 0 for success, 1 for a failure, 2 for a person's mistake, 130 or 143 after a signal.
    """
    prepare_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        lang = find_language(_asked_language(words)) or "en"
    except DownslopeError as error:
        return _complain(*explain(error))
    with speaking(lang):
        return _run(words)


def _asked_language(words: list[str]) -> str | None:
    """Return the last value of `--lang`: what cannot be understood in the words beside it is said in that language."""
    asked = None
    for word, following in zip_longest(words, words[1:]):
        if word == "--":
            break
        if word == "--lang":
            asked = following
        elif word.startswith("--lang="):
            asked = word.removeprefix("--lang=")
    return asked


def _run(words: list[str]) -> int:
    try:
        code = _dispatch(words)
    except BrokenPipeError:
        return _unread(0)  # `downslope ... | head`: nobody reads the rest
    except KeyboardInterrupt:
        return _complain("stopped.", 130)
    except SystemExit as stop:  # of code that is not ours, where nothing nearer caught it: no success, whatever it says
        return _complain(f"something called sys.exit({'' if stop.code is None else repr(stop.code)}).", 1)
    except Exception as error:
        if os.environ.get(TRACEBACK) == "1":
            raise
        return _complain(*explain(error))
    return _flushed(code)


def _flushed(code: int) -> int:
    """Write out what is left for standard output; return the exit code.

    A reader that has gone away is noticed here rather than at exit, where nothing would catch it. The stream is then
    pointed at nothing, or Python would complain again while exiting.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _unread(code)
    except OSError as error:
        return _unread(code or _complain(*explain(error)))
    return code


def _unread(code: int) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code or 141  # 128 + SIGPIPE, what a shell shows for a program that a closed pipe ends


def _language_last(words: list[str]) -> list[str]:
    """Return words with every `--lang` that stands before the command behind it, where its own options are."""
    option: list[str] = []
    while words and words[0].partition("=")[0] == "--lang":
        count = 1 if "=" in words[0] else 2
        option, words = option + words[:count], words[count:]
    return [*words[:1], *(option if words and words[0] in COMMANDS else ()), *words[1:]]


def _dispatch(words: list[str]) -> int:
    words = _language_last(words)
    if not words:
        print(_overview(), file=sys.stderr)
        return 2
    first, *rest = words
    if first == "help" and rest:
        return _dispatch([rest[0], "--help"])
    if first in {"-h", "--help", "help"}:
        print(_overview())
        return 0
    if first in {"-V", "--version"}:
        print(f"downslope {__version__}")
        return 0
    if first in COMMANDS:
        try:
            return importlib.import_module(f"downslope.cli.{first}").execute(rest)
        except HelpShown:
            return 0
    if first.startswith("-"):
        hint = f" Did you mean `downslope train {' '.join(words)}`?" if first.startswith("--") else ""
        raise DownslopeError(f"the command comes first; got the option {first}.{hint} See downslope --help.")
    if first.endswith(".toml"):
        raise DownslopeError(
            f"`{shown(first)}` is a recipe, not a command. Did you mean `downslope train {shown(first)}`?"
        )
    raise DownslopeError(
        f"unknown command `{shown(first)}`.{did_you_mean(first, COMMANDS)} The commands are {', '.join(COMMANDS)}."
    )


def _overview() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {said(summary)}" for name, summary in COMMANDS.items())
    return said(f"""\
usage: downslope COMMAND [...]

SGD with momentum and weight decay: train by a recipe, stop, resume exactly, look at what happened.

commands:
{commands}

options:
  -h, --help     this text; `downslope COMMAND --help` for a command's own
  -V, --version  the version
  --lang LANG    the language of what is printed: en, zh, or auto for the locale's; also as {VARIABLE}

example:
  downslope train --sgd.momentum 0.95 --out runs/first""")


_EXTRAS: Mapping[str, str] = MappingProxyType(
    {
        "torch": "torch",
        "safetensors": "safetensors",
        "sklearn": "scikit-learn",
        "matplotlib": "matplotlib",
        "jinja2": "Jinja2",
    }
)
"""Packages of the extra `train`, by the name they are imported under."""

_MEMORY = ("not enough memory", "can't allocate memory", "Storage size calculation overflowed")
"""How torch says that memory does not suffice; its errors are plain RuntimeErrors."""


def explain(error: Exception) -> tuple[str, int]:
    """Return the message and the exit code of an error."""
    if isinstance(error, DownslopeError | OSError) and (refused := tell_refusal(error)) is not None:
        return refused, 1
    if isinstance(error, DownslopeError):
        return str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError) and (package := _EXTRAS.get((error.name or "").split(".")[0])):
        return f'this needs {package}, which is not installed. Run: pip install "downslope[train]"', 2
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}.", 1
    if isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY):
        return "out of memory. Use a smaller model or batch, or a machine with more memory.", 1
    lines = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return f"{shown(what, 500)}\nThis is a bug in Downslope. Set {TRACEBACK}=1 to see where, and please report it.", 1


def _complain(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # nobody may be there to read it
        print(said(f"downslope: error: {printable(message)}"), file=sys.stderr)
    return code
