"""SGD for JAX: ``sgd``, an ``optax.GradientTransformation``, and ``take_step``, a step in place."""

from downslope.core.errors import MissingDependencyError

try:
    import jax as _jax  # noqa: F401 - only to say what is missing
    import optax as _optax  # noqa: F401
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"jax", "jaxlib", "optax"}:
        raise
    raise MissingDependencyError(
        f'downslope.jax needs {error.name}, which is not installed. Install it with: pip install "downslope[jax]"'
    ) from None

from downslope.jax.average import averaged_params
from downslope.jax.blocks import CodedVelocity
from downslope.jax.coded_states import decoded_state, encoded_state
from downslope.jax.schedule_free import ScheduleFreeState, schedule_free_eval_params, schedule_free_sgd
from downslope.jax.sgd import AveragingSGDState, SGDState, sgd
from downslope.jax.take_step import take_step

__all__ = [
    "AveragingSGDState",
    "CodedVelocity",
    "SGDState",
    "ScheduleFreeState",
    "averaged_params",
    "decoded_state",
    "encoded_state",
    "schedule_free_eval_params",
    "schedule_free_sgd",
    "sgd",
    "take_step",
]
