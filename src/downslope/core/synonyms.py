"""What other systems call our arguments, so that a message can say the word that is meant.

Every optimizer, and every parameter group of torch, asks here when it meets a name that is not its own. A name that
another system uses for something else of ours is in the table; one that trainers and schedulers keep beside our
arguments (``lr_scale``, ``initial_lr``, ``max_lr``, ``name``, ``betas``) is not.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from downslope.core.errors import UnknownArgumentError, did_you_mean, one_of

Kind = TypeVar("Kind", bound=type)
Given = ParamSpec("Given")
Result = TypeVar("Result")

_WORDS: Mapping[str, str] = MappingProxyType(
    {
        # Keras, optax and TensorFlow; scikit-learn; papers; JAX's examples
        "lr": (
            "learning_rate learn_rate lrate learning_rate_init eta eta0 step_size alpha learning_rate_schedule "
            "initial_learning_rate"
        ),
        # fastai; papers; JAX's examples; LARS and Lion as others write them
        "momentum": "mom mu mass beta beta1 momentum_factor momentum_coefficient momentum_rate momentum_term",
        # fastai and MXNet; TensorFlow Addons and Google's optimizers; Caffe and Paddle; scikit-learn; papers
        "weight_decay": (
            "wd weight_decay_rate weight_decay_factor weight_decay_coefficient weight_decay_coeff wdecay l2 l2_reg "
            "l2_regularization l2_penalty l2_decay l2_weight l2_coefficient regularization regularization_coeff "
            "alpha lambda lambd lambda_l2"
        ),
        "dampening": "damping momentum_dampening",
        "trust_coefficient": "trust_coeff trust_ratio lars_coefficient lars_coeff lars_eta lars_trust_coefficient",
        "trust_clip": "larc_clip larc",
        "adaptive_clip": "agc agc_clip agc_clip_factor agc_clipping agc_lambda adaptive_clipping adaptive_grad_clip",
        "nu": "qhm_nu nus immediate_discount",
        "nesterov": "use_nesterov nesterovs_momentum nesterov_momentum nag is_nesterov",
        "decay": "decay_mode decay_type decoupled decoupled_decay decouple weight_decouple",
        "maximize": "maximise ascend ascent",
        "clip_norm": (
            "max_grad_norm grad_clip clipnorm global_clipnorm gradient_clip_val grad_clip_norm clip_grad_norm "
            "gradient_clip_norm max_norm clip_gradient clip_gradients gradient_clipping clip"
        ),
        "velocity_dtype": "accumulator_dtype momentum_dtype buffer_dtype",
        "params": "parameters param_groups model_params parameter_list",
    }
)
"""Our word, and what others call it; a name that means one thing here and another there stands at both."""


def _plain(name: str) -> str:
    """Return a name without what words are parted by, in small letters: "weight-decay" and "weightDecay" are one."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _by_plain_name() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for word, names in _WORDS.items():
        for name in (word, *names.split()):
            table[_plain(name)] = (*table.get(_plain(name), ()), word)
    return table


_OURS = MappingProxyType(_by_plain_name())


def our_words(name: str, known: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return our words for what another system calls `name`: none, one or, where systems differ, several.

    Example:
        >>> our_words("learning_rate"), our_words("weightDecay"), our_words("alpha"), our_words("lr_scale")
        (('lr',), ('weight_decay',), ('lr', 'weight_decay'), ())
    """
    words = _OURS.get(_plain(name), ())
    allowed = None if known is None else set(known)
    return tuple(word for word in words if word != name and (allowed is None or word in allowed))


def say_our_word(
    name: str, known: Iterable[str] | None = None, instead: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return " Here it is called `lr`." for another system's name, " Did you mean ...?" for a near one, or "".

    `instead` has sentences for names that are not there: by the name itself, or by our word for it elsewhere.

    Example:
        >>> say_our_word("learning_rate", ["lr", "momentum"])
        ' Here it is called `lr`.'
        >>> say_our_word("momentun", ["lr", "momentum"])
        ' Did you mean `momentum`?'
        >>> say_our_word("max_grad_norm", ["lr", "momentum"], {"clip_norm": "Clip the gradients before."})
        ' Clip the gradients before.'
    """
    known = list(_WORDS if known is None else known)
    words = our_words(name, known)
    if words and name not in instead:
        return f" Here it is called {one_of(words)}."
    told = next((instead[word] for word in (name, *our_words(name)) if word in instead), "")
    return f" {told}" if told else did_you_mean(name, known)


IN_STEPS = "A schedule in epochs is resolved first, with .in_steps(steps_per_epoch)."
"""What every optimizer says of an argument `steps_per_epoch`, which none has."""


def refuse_unknown(
    given: Iterable[str], known: Iterable[str], where: str = "", instead: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Raise if an argument is not one of those that there are.

    `where` is what has been called, and `instead` has sentences for what it has not, as `say_our_word` takes them.

    Raises:
        UnknownArgumentError: A `SettingsError`, and a TypeError, as Python's own is; says our word for each.
    """
    known = list(known)
    unknown = [name for name in given if name not in known]
    if unknown:
        said = " ".join(f"unknown argument `{name}`.{say_our_word(name, known, instead)}" for name in unknown)
        raise UnknownArgumentError(f"{where}: {said}" if where else said)


def refuses_unknown_fields(kind: Kind) -> Kind:
    """Have a dataclass refuse an argument that it has not with our word for it, instead of Python's bare TypeError.

    Example:
        >>> from dataclasses import dataclass
        >>> @refuses_unknown_fields
        ... @dataclass
        ... class Choices:
        ...     lr: float = 0.1
        >>> Choices(learning_rate=0.1)
        Traceback (most recent call last):
        downslope.core.errors.UnknownArgumentError: Choices: unknown argument `learning_rate`. Here it is called `lr`.
    """
    initialize: Any = kind.__init__
    known = [field.name for field in fields(kind)]

    @functools.wraps(initialize)
    def checked(self: Any, *args: Any, **given: Any) -> None:
        refuse_unknown(given, known, kind.__name__)
        initialize(self, *args, **given)

    kind.__init__ = checked
    return kind


def says_our_words(
    where: str, instead: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Return a decorator under which an unknown argument is an error that says our word for it.

    `instead` has sentences for what the function has not, as `say_our_word` takes them.

    Its signature stays what it was, for those who look: `optax.inject_hyperparams` and Keras do.

    Raises:
        UnknownArgumentError: When the function is called so; a TypeError too, as Python's own is.

    Example:
        >>> @says_our_words("here")
        ... def step(lr, momentum=0.0):
        ...     return lr
        >>> step(learning_rate=0.1)
        Traceback (most recent call last):
            ...
        downslope.core.errors.UnknownArgumentError: here: unknown argument `learning_rate`. Here it is called `lr`.
    """

    def decorate(function: Callable[Given, Result]) -> Callable[Given, Result]:
        known = [name for name in inspect.signature(function).parameters if name != "self"]

        @functools.wraps(function)
        def checked(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            if kwargs.keys() - known:
                refuse_unknown(kwargs, known, where, instead)
            return function(*args, **kwargs)

        return checked

    return decorate
