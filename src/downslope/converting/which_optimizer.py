"""Which optimizer a file's state is of: the one to take of several, and other optimizers, told by the words they use.

A velocity is a sum of gradients. What Adam and its like keep are averages of gradients and of their squares, from which
no velocity can be made; so their files are refused, by the name of the optimizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from downslope.core.errors import StateError
from downslope.core.shown import shown

_TORCH_STATE = (
    ({"exp_avg", "exp_inf"}, "Adamax"),
    ({"exp_avg", "exp_avg_sq"}, "Adam"),
    ({"exp_avg_sq_row"}, "Adafactor"),
    ({"square_avg", "acc_delta"}, "Adadelta"),
    ({"square_avg"}, "RMSprop"),
    ({"prev", "step_size"}, "Rprop"),
    ({"ax", "mu", "eta"}, "ASGD"),
    ({"d", "t", "old_dirs"}, "LBFGS"),
    ({"sum"}, "Adagrad"),
    ({"exp_avg"}, "Lion"),
)
_TORCH_GROUP = (
    ({"betas", "amsgrad"}, "Adam"),
    ({"betas"}, "an Adam-like optimizer"),
    ({"alpha", "centered"}, "RMSprop"),
    ({"rho", "eps"}, "Adadelta"),
    ({"lr_decay", "initial_accumulator_value"}, "Adagrad"),
    ({"etas", "step_sizes"}, "Rprop"),
    ({"lambd", "t0"}, "ASGD"),
    ({"max_iter", "history_size"}, "LBFGS"),
    ({"ns_steps"}, "Muon"),
)
_OPTAX_STATE = (
    ({"mu", "nu"}, "Adam"),
    ({"v_row", "v_col"}, "Adafactor"),
    ({"e_g", "e_x"}, "Adadelta"),
    ({"sum_of_squares"}, "Adagrad"),
    ({"nu"}, "RMSprop"),
    ({"mu"}, "Lion"),
)

OPTAX_WORDS = frozenset[str]().union(*(words for words, _ in _OPTAX_STATE))
"""Names that optax's other optimizers give to what they keep."""

OTHER_WORDS = OPTAX_WORDS.union(*(words for words, _ in _TORCH_STATE))
"""The same, and torch's."""

KERAS_NAMES = frozenset(
    {"adam", "adamw", "adamax", "nadam", "rmsprop", "rm_sprop", "adagrad", "adadelta", "ftrl", "lion", "adafactor"}
    | {"lamb", "muon", "schedule_free_adam_w"}
)
"""What Keras calls its other optimizers in files, by themselves."""


def choose(found: Sequence[str], chosen: str | None, what: object, needed: str) -> int:
    """Return the place of the optimizer to take.

    Args:
        found: Where each one is in the file, such as "optimizer_states.0"; at least one.
        chosen: Its number in that order, or where it is; None where there is only one.
        what: The file, for messages.
        needed: What there must be one of, for the message: "one optimizer's state_dict".

    Raises:
        StateError: If there are several and none was chosen, or the choice is none of them. The message lists them.

    Example:
        >>> choose(["first", "second"], "1", "run.pt", "one optimizer's state_dict")
        1
    """
    if chosen is None and len(found) == 1:
        return 0
    if chosen in found:
        return found.index(chosen)
    is_number = chosen is not None and chosen.isascii() and chosen.isdecimal() and len(chosen) < 9
    if chosen is not None and is_number and int(chosen) < len(found):
        return int(chosen)
    listed = "".join(f"\n  - {shown(name)}" for name in found)
    if chosen is None:
        raise StateError(
            f"{shown(what)}: must hold {needed}; got {len(found)}:{listed}\n"
            "Choose one with --optimizer: its number in this list, from 0, or what stands there."
        )
    raise StateError(
        f"{shown(what)}: has no optimizer {shown(chosen)!r}; give a number from 0, or what is listed:{listed}"
    )


def torch_optimizer(state_keys: Iterable[str], group_keys: Iterable[str]) -> str:
    """Return the name of the optimizer that a state_dict is of, by its words, or "" if that may be SGD.

    Example:
        >>> torch_optimizer({"step", "exp_avg", "exp_avg_sq"}, {"params", "lr", "betas"})
        'Adam'
        >>> torch_optimizer({"momentum_buffer"}, {"params", "lr", "momentum"})
        ''
    """
    return _first(_TORCH_STATE, state_keys) or _first(_TORCH_GROUP, group_keys)


def optax_optimizer(keys: Iterable[str]) -> str:
    """Return the same of a state of optax."""
    return _first(_OPTAX_STATE, keys)


def refusal(path: object, name: str, words: Iterable[str]) -> str:
    """Return the message for another optimizer's state.

    `words` are those of the state by which it was told.
    """
    kept = ", ".join(sorted(words))
    return (
        f"{path}: this is {name}'s state{f' ({kept})' if kept else ''}, and only SGD's can be carried over: a velocity "
        "is a sum of gradients, which cannot be had from what other optimizers keep. Begin SGD anew there, without one."
    )


def _first(table: tuple[tuple[set[str], str], ...], keys: Iterable[str]) -> str:
    found = set(keys)
    return next((name for words, name in table if words <= found), "")
