"""Hypothesis strategies for whole recipes: every schedule, nested ones, groups, options, every table."""

from hypothesis import assume
from hypothesis import strategies as st

from downslope import Group, Recipe, Settings
from downslope import schedules as s
from downslope.core.errors import DownslopeError
from downslope.recipe.schema import Checkpoint, Data, EarlyStop, Model, Plateau, Spike, Train

UNITS = st.sampled_from(["step", "epoch"])
# 0, or so large that no part of it vanishes: a schedule of a number that does is refused, which has its own tests
VALUES = st.one_of(st.just(0.0), st.floats(1e-290, 0.99))
POSITIVE = st.floats(1e-6, 1e6)
LENGTHS = st.one_of(st.integers(1, 10**9), st.floats(1e-3, 1e6))
FACTORS = st.floats(1e-3, 1)
TIMES = st.lists(LENGTHS, min_size=1, max_size=4, unique=True).map(sorted)
# what TOML can hold: any text but lone surrogates
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)

SIMPLE = st.one_of(
    st.builds(s.Constant, VALUES),
    st.builds(s.Exponential, VALUES, rate=FACTORS, every=LENGTHS, unit=UNITS, staircase=st.booleans()),
    st.builds(s.Exponential, st.just(0.5), rate=st.floats(1e-3, 0.999), every=LENGTHS, end=st.floats(0, 0.5)),
    st.builds(s.MultiStep, VALUES, factor=FACTORS, milestones=TIMES, unit=UNITS),
    st.builds(s.Linear, VALUES, VALUES, duration=LENGTHS, unit=UNITS),
    st.builds(s.Polynomial, VALUES, VALUES, duration=LENGTHS, unit=UNITS, power=st.floats(0.5, 3)),
    st.builds(s.Cosine, VALUES, VALUES, duration=LENGTHS, unit=UNITS),
    st.builds(s.Inverse, VALUES, gamma=st.floats(0, 10), power=st.floats(0.5, 3), unit=UNITS),
    st.builds(
        s.OneCycle,
        VALUES,
        duration=LENGTHS,
        unit=UNITS,
        pct_start=st.floats(0.01, 0.99),
        div_factor=st.floats(1, 100),
        shape=st.sampled_from(["cosine", "linear"]),
    ),
    st.builds(
        s.WarmupStableDecay,
        VALUES,
        warmup=LENGTHS,
        stable=LENGTHS,
        decay=LENGTHS,
        unit=UNITS,
        start=VALUES,
        final=VALUES,
        shape=st.sampled_from(["linear", "cosine", "sqrt"]),
    ),
)


@st.composite
def sequences(draw):
    """Draw a sequence of schedules and numbers."""
    boundaries = draw(TIMES)
    pieces = draw(st.lists(st.one_of(SIMPLE, VALUES), min_size=len(boundaries) + 1, max_size=len(boundaries) + 1))
    return s.Sequence(pieces, boundaries, unit=draw(UNITS))


SCHEDULES = st.one_of(
    SIMPLE,
    sequences(),
    st.builds(s.Warmup, LENGTHS, then=st.one_of(SIMPLE, sequences()), start=VALUES, unit=UNITS, restart=st.booleans()),
)
NUMBERS = st.one_of(VALUES, SCHEDULES)

SETTINGS = {
    "lr": NUMBERS,
    "momentum": NUMBERS,
    "dampening": st.floats(0, 1),
    "nesterov": st.booleans(),
    "nu": st.none() | st.floats(0, 1),
    "weight_decay": NUMBERS,
    "decay": st.sampled_from(["coupled", "decoupled", "independent", "relative", "corrected"]),
    "lr_in_velocity": st.booleans(),
    "undampened_first_step": st.booleans(),
    "maximize": st.booleans(),
}


def optional(strategy):
    """Return the strategy, or None."""
    return st.none() | strategy


@st.composite
def valid(draw, kind, **values):
    """Draw a `kind`; combinations that the checks refuse are drawn again."""
    drawn = {name: draw(value) for name, value in values.items()}
    try:
        return kind(**drawn)
    except DownslopeError:
        assume(False)


GROUPS = valid(
    Group,
    match=st.sampled_from(["*.bias", "@bias_and_norm", "layers.0.*"])
    | st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    weight_decay=NUMBERS,  # a group has to change something
    **{name: optional(value) for name, value in SETTINGS.items() if name != "weight_decay"},
)

OPTIONS = st.dictionaries(
    TEXTS,
    st.recursive(
        st.one_of(st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), TEXTS, st.dates()),
        lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXTS, inside, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
LENGTH = st.one_of(
    st.fixed_dictionaries({"epochs": POSITIVE}),
    st.fixed_dictionaries({"steps": st.integers(1, 10**9)}),
)


@st.composite
def trains(draw):
    """Draw the table `[train]`."""
    watch = {"patience": st.integers(1, 99), "metric": st.sampled_from(["loss", "accuracy"]), "min_delta": VALUES}
    optionals = {
        "clip_norm": POSITIVE,
        "ema": st.floats(0.01, 0.9999),
        "evaluate_every": st.integers(1, 10**6),
        "early_stop": st.builds(EarlyStop, **watch),
        "spike": st.builds(
            Spike, factor=st.floats(1.5, 99), window=st.integers(2, 99), action=st.sampled_from(["skip", "rewind"])
        ),
        "plateau": st.builds(Plateau, **watch, factor=st.floats(0.01, 0.99), min_lr=VALUES),
    }
    return Train(
        **draw(LENGTH),
        **draw(st.fixed_dictionaries({}, optional=optionals)),
        loss=draw(st.sampled_from(["cross_entropy", "mse", "my.losses:huber"])),
        accumulate=draw(st.integers(1, 64)),
        shards=draw(st.integers(1, 64)),
        log_every=draw(st.integers(1, 100)),
        on_nonfinite=draw(st.sampled_from(["raise", "skip", "ignore"])),
    )


RECIPES = valid(
    Recipe,
    title=TEXTS,
    source=TEXTS,
    seed=st.integers(0, 2**63 - 1),
    data=st.builds(
        Data,
        name=st.sampled_from(["digits", "my.data:load"]),
        batch_size=st.integers(1, 10**6),
        held_out=st.floats(0.01, 0.99),
        loaders=st.integers(0, 9),
        loader_timeout=st.floats(0, 1e4),
        in_memory=st.none() | st.booleans(),
        options=OPTIONS,
    ),
    model=st.builds(Model, hidden=optional(st.lists(st.integers(1, 4096), max_size=4).map(tuple)), options=OPTIONS),
    sgd=valid(Settings, **SETTINGS),
    groups=st.lists(GROUPS, max_size=2).map(tuple),
    train=trains(),
    checkpoint=st.builds(
        Checkpoint,
        every_steps=optional(st.integers(1, 10**6)),
        every_seconds=st.floats(0, 1e6),
        keep=st.integers(1, 100),
    ),
)
