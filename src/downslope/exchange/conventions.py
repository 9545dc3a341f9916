"""The conventions: one row for each system, with where its facts come from.

What lives here: facts. What does not: what a row is made of (`convention.py`), what is no product of numbers, such as
Caffe's lr policies (`own_words.py`), and the translation (`reading.py`, `writing.py`).

A source that says "run" was checked by running the release named, most of them by the project's own tests; one that
says "read" was read in the file named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType

from downslope.core.errors import SettingsError, did_you_mean
from downslope.core.settings import Settings
from downslope.exchange import rows_elsewhere, rows_on_tensorflow_and_jax, rows_on_torch
from downslope.exchange.convention import Argument, Convention

_OWN = Convention(
    name="downslope",
    title="downslope.Settings",
    arguments=tuple(
        Argument(name=f.name, sets=f.name, default=f.default, scheduled=f.name in {"lr", "momentum", "weight_decay"})
        for f in fields(Settings)
    ),
    undampened_first_step=True,
    state_key="velocity",
    nesterov_with_dampening=True,
    source="this package",
)
_OWN_IN_KERAS = replace(
    _OWN,
    name="downslope.keras",
    title="downslope.keras.SGD",
    velocity_sign=-1,
    state_key="momentums",
    remarks=("its variables hold the velocity with its sign turned, as Keras's own do",),
)

CONVENTIONS: Mapping[str, Convention] = MappingProxyType(
    {
        row.name: row
        for row in (_OWN, _OWN_IN_KERAS, *rows_on_torch.ROWS, *rows_on_tensorflow_and_jax.ROWS, *rows_elsewhere.ROWS)
    }
)
"""The table, by name."""

_OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "pytorch": "torch",
        "jax": "optax",
        "tensorflow": "keras",
        "tf": "keras",
        "tf.keras": "keras",
        "tensorflow1": "tf1",
        "tensorflow_addons": "tfa",
        "paddlepaddle": "paddle",
        "scikit-learn": "sklearn",
        "numpy": "downslope",
        "downslope.numpy": "downslope",
        "downslope.torch": "downslope",
        "downslope.jax": "downslope",
    }
)


def find_convention(name: str) -> Convention:
    """Return the row of a system.

    Args:
        name: Its name in the table, or what else it is called: "pytorch" for "torch".

    Raises:
        SettingsError: If there is none; the message lists those there are.

    Example:
        >>> find_convention("keras").lr_in_velocity
        True
    """
    word = _OTHER_NAMES.get(str(name).lower(), str(name).lower())
    if word not in CONVENTIONS:
        known = ", ".join(CONVENTIONS)
        raise SettingsError(
            f"there is no convention {name!r}.{did_you_mean(str(name), CONVENTIONS)} Those there are: {known}."
        )
    return CONVENTIONS[word]
