"""SGD for Keras: ``downslope.keras.SGD``, a drop-in for ``keras.optimizers.SGD`` on every backend of Keras 3."""

from downslope.core.errors import MissingDependencyError

try:
    import keras
except ImportError as error:
    raise MissingDependencyError(
        f"downslope.keras needs Keras 3 and the backend that it is told to use ({error}). "
        'Install both with: pip install "downslope[keras]"'
    ) from error
if int(keras.__version__.split(".", 1)[0]) < 3:
    raise MissingDependencyError(
        f'downslope.keras needs Keras 3; this is {keras.__version__}. Install it with: pip install "downslope[keras]"'
    )

from downslope.keras.schedules import Scheduled
from downslope.keras.sgd import SGD

__all__ = ["SGD", "Scheduled"]
