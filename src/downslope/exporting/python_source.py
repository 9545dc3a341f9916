"""Python source, laid out as a formatter would: calls, comments, docstrings.

What lives here: layout. What does not: any framework's words.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterable, Sequence

from downslope.exporting.export_plan import Plan

WIDTH = 88
"""Columns of the code that is written: the default of ruff and black."""

_STEP = "    "


def call(function: str, arguments: Iterable[str], *, before: str = "", after: str = "", depth: int = 0) -> list[str]:
    """Return a call as one line or, where that is too long, with one argument to a line.

    Args:
        function: What is called.
        arguments: Source of each argument.
        before: What stands before it on its line, such as "return ".
        after: What follows the closing bracket.
        depth: Levels of indentation.

    Example:
        >>> call("f", ["x", "y=1"], before="return ", depth=1)
        ['    return f(x, y=1)']
    """
    given = list(arguments)
    line = f"{_STEP * depth}{before}{function}({', '.join(given)}){after}"
    if (len(line) <= WIDTH and not any("\n" in one for one in given)) or not given:
        return [line]
    inner = [line for one in given for line in textwrap.indent(f"{one},", _STEP * (depth + 1)).splitlines()]
    return [f"{_STEP * depth}{before}{function}(", *inner, f"{_STEP * depth}){after}"]


def short_call(function: str, arguments: Iterable[str], *, before: str = "", depth: int = 0) -> list[str]:
    """Return a call as one line, as three with its arguments on their own line, or with one argument to a line."""
    given = list(arguments)
    inner = f"{_STEP * (depth + 1)}{', '.join(given)}"
    if len(f"{_STEP * depth}{before}{function}({', '.join(given)})") <= WIDTH or len(inner) > WIDTH:
        return call(function, given, before=before, depth=depth)
    return [f"{_STEP * depth}{before}{function}(", inner, f"{_STEP * depth})"]


def nested(function: str, arguments: Iterable[str]) -> str:
    """Return a call as the argument of another: one line, or several joined by newlines."""
    given = list(arguments)
    line = f"{function}({', '.join(given)})"
    if len(line) <= WIDTH - 13 and "\n" not in line:
        return line
    return listed(given, brackets="()", before=function)


def listed(items: Iterable[str], *, brackets: str = "[]", before: str = "", room: int = WIDTH - 30) -> str:
    """Return a list as an argument: one line, or one item to a line where there is no room for that."""
    given = list(items)
    line = f"{before}{brackets[0]}{', '.join(given)}{brackets[1]}"
    if len(line) <= room and "\n" not in line:
        return line
    inner = textwrap.indent("\n".join(f"{item}," for item in given), _STEP)
    return f"{before}{brackets[0]}\n{inner}\n{brackets[1]}"


def comment(text: str, depth: int = 0) -> list[str]:
    """Return a sentence as comment lines."""
    lead = f"{_STEP * depth}# "
    return textwrap.wrap(
        " ".join(text.split()), WIDTH, initial_indent=lead, subsequent_indent=lead, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def docstring(first: str, *rest: str, depth: int = 0) -> list[str]:
    """Return a docstring: its first line, and paragraphs."""
    lead = _STEP * depth
    plain = [_harmless(text) for text in (first, *rest)]
    if not rest and len(plain[0]) + len(lead) + 6 <= WIDTH:
        return [f'{lead}"""{plain[0]}"""']
    head, *more = textwrap.wrap(plain[0], WIDTH - len(lead) - 3, break_on_hyphens=False) or [""]
    lines = [f'{lead}"""{head}', *(f"{lead}{line}" for line in more)]
    for paragraph in plain[1:]:
        lines += [
            "",
            *(f"{lead}{line}" for line in textwrap.wrap(paragraph, WIDTH - len(lead), break_on_hyphens=False)),
        ]
    return [*lines, f'{lead}"""']


def indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    """Return lines further to the right."""
    return [f"{_STEP * depth}{line}" if line else "" for block in lines for line in block.split("\n")]


def statement(line: str, depth: int = 0) -> str:
    """Return a line that is not to be broken, marked so if it is too long once it is indented by `depth`."""
    return line if len(line) + 4 * depth <= WIDTH else f"{line}  # fmt: skip"


def module(*parts: Sequence[str]) -> str:
    """Return a module's text: its parts, two empty lines between them; empty parts are left out.

    A part that begins with a constant, import or comment stands one line below the one before it.
    """
    text = ""
    before: Sequence[str] = ()
    for part in filter(None, parts):
        lines = 0 if not text else 3 if _defines(part) or _defined(before) else 2
        text += "\n" * lines + "\n".join(part)
        before = part
    return f"{text}\n"


def imports(parts: Iterable[Sequence[str]], *known: str) -> list[str]:
    """Return those import statements that the parts of a program need, by the names that their code reads.

    The standard library's stand first, an empty line after them. An import of several names is kept for those needed.

    Args:
        parts: The program without its imports.
        *known: Statements of one line, each "import a", "import a.b", "import a as b" or "from a import b, c", in the
            order in which they are to stand.

    Example:
        >>> imports([["x = math.pi"]], "import math", "from fnmatch import fnmatchcase", "import torch")
        ['import math']
    """
    tree = ast.parse(module(*parts))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    sections: tuple[list[str], list[str]] = ([], [])
    for line in known:
        statement = ast.parse(line).body[0]
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            raise TypeError(line)
        needed = [alias for alias in statement.names if (alias.asname or alias.name.split(".")[0]) in used]
        if needed:
            statement.names = needed
            home = statement.module or "" if isinstance(statement, ast.ImportFrom) else needed[0].name
            lines = [ast.unparse(statement)]
            if len(lines[0]) > WIDTH:
                before, names = lines[0].split(" import ")
                lines = [f"{before} import (", *(f"{_STEP}{name}," for name in names.split(", ")), ")"]
            sections[home.split(".")[0] not in sys.stdlib_module_names].extend(lines)
    standard, others = sections
    return [*standard, *([""] if standard and others else []), *others]


def _defines(part: Sequence[str]) -> bool:
    first = next((line for line in part if not line.startswith("#")), "")
    return first.startswith(("def ", "class ", "@", "if __name__"))


def _defined(part: Sequence[str]) -> bool:
    imports = any(line.startswith(("import ", "from ")) for line in part)
    return not imports and part[-1].rsplit("\n", 1)[-1].startswith((" ", ")"))


def _harmless(text: str) -> str:
    """Return text that cannot end a docstring or begin an escape."""
    plain = " ".join(text.split()).replace("\\", "/").replace('"""', "'''")
    plain = "".join(character if character.isprintable() else " " for character in plain)
    return f"{plain[:-1]}'" if plain.endswith('"') else plain


# What every exported Python program has


def opening(plan: Plan, framework: str) -> list[str]:
    """Return the module's docstring."""
    recipe = plan.recipe
    rest = [f"Source: {recipe.source}."] if recipe.source else []
    return docstring(f"{recipe.title or 'SGD by a recipe'}. For {framework}.", *rest)


def by_epochs(plan: Plan) -> bool:
    """Return whether the training is a whole number of epochs, and not a number of steps."""
    epochs = plan.recipe.train.epochs
    return epochs is not None and float(epochs).is_integer()


def constants(plan: Plan) -> list[str]:
    """Return the length of training and the size of a batch as constants."""
    train = plan.recipe.train
    lines = [f"BATCH_SIZE = {plan.batch_size}"]
    if train.accumulate > 1:
        lines = [
            *comment(
                f"The recipe averages {train.accumulate} batches of {plan.recipe.data.batch_size} into one step: the "
                "same step as one batch of all of them, unless layers look at the whole batch, as batch norm does."
            ),
            *lines,
        ]
    if by_epochs(plan):
        return [*lines, f"EPOCHS = {int(train.epochs or 0)}"]
    if train.steps is None:
        plan.needed_steps_per_epoch(f"a training of {train.epochs!r} epochs is counted in steps")
        lines += comment(f"{train.epochs!r} epochs; {plan.counted}.")
    return [*lines, f"STEPS = {plan.total_steps}"]


def not_exported(plan: Plan) -> list[str]:
    """Return comments on what the recipe has and the program has not."""
    train = plan.recipe.train
    lines: list[str] = []
    if train.ema is not None:
        lines += comment(f"Not here: the recipe also averages the weights over steps (train.ema = {train.ema!r}).")
    if train.early_stop is not None:
        lines += comment(
            f"Not here: the recipe stops once the held-out {train.early_stop.metric} has not improved by more than "
            f"{train.early_stop.min_delta!r} for {train.early_stop.patience} evaluations (train.early_stop)."
        )
    if train.spike is not None:
        lines += comment(
            f"Not here: what the recipe does about a loss above {train.spike.factor!r} times the median of the last "
            f"{train.spike.window} (train.spike)."
        )
    if train.on_nonfinite != "ignore" and plan.with_model:
        lines += comment(
            f"Not here: what a gradient with inf or NaN does (train.on_nonfinite = {train.on_nonfinite!r})."
        )
    if train.precision != "float32" and plan.with_model:
        lines += comment(f"Not here: forward passes in {train.precision} (train.precision).")
    return lines


def digits(plan: Plan) -> list[str]:
    """Return the loading of the data set in NumPy, split as shares and not example by example as Downslope does."""
    recipe = plan.recipe
    return [
        "def load_digits():",
        '    """Return training inputs and targets, and held-out ones."""',
        "    inputs, targets = sklearn.datasets.load_digits(return_X_y=True)",
        f"    order = np.random.default_rng({recipe.seed}).permutation(len(inputs))",
        '    inputs = (inputs[order] / 16).astype("float32")',
        '    targets = targets[order].astype("int64")',
        f"    held_out = math.ceil(len(inputs) * {recipe.data.held_out!r})",
        "    return inputs[held_out:], targets[held_out:], inputs[:held_out], targets[:held_out]",
    ]


def widths(plan: Plan) -> tuple[int, ...]:
    """Return the widths of the hidden layers of the default classifier."""
    hidden = plan.recipe.model.hidden
    return (64,) if hidden is None else hidden
