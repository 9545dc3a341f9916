"""Settings for the tests of conventions: every kind, as hypothesis draws them, and which steps tell two apart."""

from hypothesis import strategies as st

from downslope import Settings
from downslope.core.settings import DECAYS
from downslope.schedules import Constant, Cosine, Exponential, Inverse, Linear, MultiStep, Polynomial, Warmup

LR_SCHEDULES = (
    Constant(0.1),
    Exponential(0.1, 0.5, 7, staircase=True),
    Exponential(0.1, 0.5, 7),
    MultiStep(0.1, 0.1, (3, 11)),
    Inverse(0.1, 0.01, 0.75),
    Polynomial(0.1, 0.0, 20, power=2.0),
    Linear(0.1, 0.0, 20),
    Cosine(0.1, 0.0, 20),
    Warmup(5, Cosine(0.2, 0.0, 20), start=0.01),
)
STEPS = (0, 1, 3, 6, 7, 11, 12, 19)


@st.composite
def any_settings(draw):
    """Draw settings of every kind."""
    momentum = draw(st.sampled_from([0.0, 0.5, 0.9]))
    nesterov = bool(momentum) and draw(st.booleans())
    return Settings(
        lr=draw(st.one_of(st.floats(1e-4, 1.0), st.sampled_from(LR_SCHEDULES))),
        momentum=momentum,
        dampening=draw(st.sampled_from([0.0, 0.0, 0.3, momentum])) if momentum else 0.0,
        nesterov=nesterov,
        nu=draw(st.sampled_from([None, None, 0.0, 0.7])) if momentum and not nesterov else None,
        weight_decay=draw(st.sampled_from([0.0, 5e-4, 0.1, Linear(0.1, 0.0, 9)])),
        decay=draw(st.sampled_from(DECAYS)),
        lr_in_velocity=draw(st.booleans()),
        undampened_first_step=draw(st.booleans()),
        maximize=draw(st.booleans()),
    )
