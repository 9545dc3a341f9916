"""What a program's syntax tree says by itself: what counts time, what trains, what sets a learning rate."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any

from downslope.reading.code.calls import optimizer_of
from downslope.reading.code.values import words_of

EPOCH = re.compile(r"epochs?$|epoch_?|^ep$|^e$|^t$")
STEP = re.compile(
    r"(?:^|_)(?:steps?|iters?|iteration|batch_idx|batch_i|it|idx|num_updates?|global_step|n_iter|i)(?:$|_)"
)
_PASSED = words_of("tqdm track progress_bar iter cycle islice log_every prange list mit master_bar")
_SETS = words_of("set_learning_rate set_value assign set_lr")
ADJUSTS = re.compile(
    r"(?:adjust|set|update|change|step|decay|warmup)_?(?:learning_?rate|lr)|^lr_sched|^get_(?:learning_?rate|lr)$",
    re.IGNORECASE,
)
"""Functions that change a learning rate, by their names."""
_OPTIMIZER = re.compile(r"optimizer|opt")
"""What is called as an optimizer is: `optimizer(lr, gradients)`."""
RATE_KEYS = frozenset({"lr", "learning_rate", "learningrate"})


def unit_of(name: str) -> str:
    """Return "epoch" or "step" if a name counts these, else ""."""
    name = name.lower()
    if "epoch" in name or EPOCH.search(name):
        return "epoch"
    return "step" if STEP.search(name) else ""


def name_of(node: Any) -> str:
    """Return the last name of a name or attribute, or ""."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def defaults_of(parameters: ast.arguments) -> list[tuple[ast.arg, ast.expr]]:
    """Return the parameters that have a default, each with it."""
    placed = [*parameters.posonlyargs, *parameters.args]
    found = list(zip(placed[len(placed) - len(parameters.defaults) :], parameters.defaults, strict=True))
    return [*found, *((one, d) for one, d in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True) if d)]


def pattern_of(test: ast.expr) -> str:
    """Return which names a condition on a parameter's name picks out, or "".

    Example:
        >>> pattern_of(ast.parse("'bias' in name", mode="eval").body)
        '*.bias'
    """
    words = [node.value for node in ast.walk(test) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    norm = any(re.search(r"bn|norm|gamma|beta", word, re.IGNORECASE) for word in words)
    flat = any(isinstance(node, ast.Attribute) and node.attr in {"ndim", "shape"} for node in ast.walk(test))
    if norm or flat:
        return "@bias_and_norm"
    if any("bias" in word.lower() for word in words):
        return "*.bias"
    return f"*.{words[0]}" if words and re.fullmatch(r"\w{1,30}", words[0]) else ""


def unwrapped(node: ast.expr) -> tuple[ast.expr, bool]:
    """Return what a loop goes over without progress bars around it, and whether it counts."""
    counted = False
    for _ in range(4):
        if not (isinstance(node, ast.Call) and node.args):
            break
        name = name_of(node.func)
        if name == "enumerate":
            counted = True
        elif name == "trange":
            return ast.copy_location(ast.Call(ast.Name("range", ast.Load()), node.args[:2], []), node), counted
        elif name not in _PASSED:
            break
        node = node.args[0]
    return node, counted


def trains(body: Iterable[ast.stmt]) -> bool:
    """Return whether statements make a step of training."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                name = name_of(node.func).lower()
                if (
                    name in {"backward", "step", "train_on_batch", "minimize", "apply_gradients", "run", "fit"}
                    or "train" in name
                ):
                    return True
    return False


def holds_loop(body: Iterable[ast.stmt]) -> bool:
    """Return whether statements hold a loop, or call a function that trains."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.For | ast.While) or (
                isinstance(node, ast.Call) and "train" in name_of(node.func).lower()
            ):
                return True
    return False


def repeats(body: Iterable[ast.stmt]) -> bool:
    """Return whether statements hold a loop over epochs: then they are a whole training, and not one epoch of it."""
    loops = [node for one in body for node in ast.walk(one) if isinstance(node, ast.For)]
    return any(unit_of(name_of(loop.target)) == "epoch" for loop in loops)


def tells_time(test: ast.expr) -> bool:
    """Return whether a condition is about epochs or steps."""
    return any(unit_of(name_of(node)) for node in ast.walk(test))


def changes_rate(node: Any, changing: frozenset[str]) -> bool:
    """Return whether statements set a learning rate, or call a function of the program that does."""
    nodes = node if isinstance(node, tuple) else (node,)
    return any(_sets_rate(one) or _called(one) & changing for top in nodes for one in ast.walk(top))


def _called(node: ast.AST) -> frozenset[str]:
    return frozenset({name_of(node.func)}) if isinstance(node, ast.Call) else frozenset()


def _sets_rate(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
        key = (
            node.slice.value
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
            else name_of(node)
        )
        return str(key) in RATE_KEYS
    if isinstance(node, ast.Dict):  # what a graph is fed with
        return any(isinstance(key, ast.Name | ast.Attribute) and _RATE.fullmatch(name_of(key)) for key in node.keys)
    if isinstance(node, ast.Call):
        name = name_of(node.func)
        if name == "update":
            return any(keyword.arg in RATE_KEYS for keyword in node.keywords)
        if _OPTIMIZER.fullmatch(name) and node.args:
            return True
        return name in _SETS or bool(optimizer_of(name)) or bool(ADJUSTS.search(name))
    return False


def changing_functions(body: list[ast.stmt]) -> frozenset[str]:
    """Return the names of functions that set a learning rate, themselves or by another."""
    calls: dict[str, set[str]] = {}
    found: set[str] = set()
    for top in body:
        for node in ast.walk(top):
            if isinstance(node, ast.FunctionDef):
                inner = list(ast.walk(node))
                calls.setdefault(node.name, set()).update(name for one in inner for name in _called(one))
                if any(_sets_rate(one) for one in inner):
                    found.add(node.name)
    for _ in range(6):
        more = {name for name, called in calls.items() if called & found} - found
        if not more:
            break
        found |= more
    if "__call__" in found:  # an object that is called: `scheduler(epoch)`
        classes = {top.name for top in body if isinstance(top, ast.ClassDef)}
        made = [node for top in body for node in ast.walk(top) if isinstance(node, ast.Assign)]
        found |= {name_of(node.targets[0]) for node in made if _called(node.value) & classes}
    return frozenset(found)


_MEASURED = re.compile(r"best|val|loss|acc|score|ppl|perplexity|improve|patience|plateau|wait|bad", re.IGNORECASE)
_RATE = re.compile(r"(?:cur(?:rent)?_|new_|old_)?(?:lr|learning_?rate)", re.IGNORECASE)


def falls_if_measured(body: Iterable[ast.stmt]) -> tuple[ast.BinOp | ast.AugAssign, str] | None:
    """Return what lowers the rate under a condition on a measure, and the measure: "loss", "accuracy" or ""."""
    for top in body:
        for node in ast.walk(top):
            if not isinstance(node, ast.If) or tells_time(node.test):
                continue
            names = " ".join(name_of(one) for one in ast.walk(node.test))
            if not _MEASURED.search(names):
                continue
            metric = "accuracy" if "acc" in names else "loss" if re.search(r"loss|ppl|perplexity", names) else ""
            for one in ast.walk(ast.Module([*node.body, *node.orelse], [])):
                target = one.targets[0] if isinstance(one, ast.Assign) else getattr(one, "target", None)
                change = one if isinstance(one, ast.AugAssign) else getattr(one, "value", None)
                told = isinstance(change, ast.BinOp | ast.AugAssign) and _RATE.fullmatch(key_of(target)) is not None
                if told and isinstance(change, ast.BinOp | ast.AugAssign) and isinstance(change.op, ast.Mult | ast.Div):
                    return change, metric
    return None


def key_of(node: Any) -> str:
    """Return the last name of a name, an attribute or an item: of `group["lr"]`, lr."""
    key = node.slice if isinstance(node, ast.Subscript) else None
    return str(key.value) if isinstance(key, ast.Constant) else name_of(node)


def formulas(body: Iterable[ast.stmt]) -> list[ast.expr]:
    """Return what a learning rate is set to where that depends on the time: `lr = lr0 * 0.95 ** epoch`."""
    assigned = [node for top in body for node in ast.walk(top) if isinstance(node, ast.Assign)]
    found = [one.value for one in assigned if _RATE.fullmatch(key_of(one.targets[0])) or _sets_rate(one.targets[0])]
    return [
        one for one in found if isinstance(one, ast.BinOp | ast.Call) and any(unit_of(key_of(n)) for n in ast.walk(one))
    ]


_GRADIENT = re.compile(r"grad|^d_?[a-zA-Z]|^g_?[a-zA-Z]?\d*$|^g_|derivative|delta", re.IGNORECASE)


def written_rates(body: Iterable[ast.stmt]) -> list[ast.expr]:
    """Return by what gradients are multiplied where a step is written out: `w -= 0.1 * dw`, `(w, w - 0.1 * gw)`."""
    found: list[ast.expr] = []
    for node in (one for top in body for one in ast.walk(top)):
        taken: ast.expr | None = None
        pair = node.elts if isinstance(node, ast.Tuple) and len(node.elts) == 2 else ()
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Sub):
            taken = node.value
        elif isinstance(node, ast.Assign):
            pair = (node.targets[0], node.value)
        if pair and isinstance(pair[1], ast.BinOp) and isinstance(pair[1].op, ast.Sub):
            taken = pair[1].right if ast.unparse(pair[0]) == ast.unparse(pair[1].left) else None
        if isinstance(taken, ast.BinOp) and isinstance(taken.op, ast.Mult):
            sides = [taken.left, taken.right]
            found += [rate for rate, other in (sides, sides[::-1]) if _is_gradient(other) and not _is_gradient(rate)]
    return found


def _is_gradient(node: ast.expr) -> bool:
    inner = node.value if isinstance(node, ast.Subscript) else node
    return _GRADIENT.search(name_of(inner)) is not None
