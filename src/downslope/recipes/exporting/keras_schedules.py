"""Schedules in Keras's words: its own where they are the same, else a LearningRateSchedule of the program's own.

What lives here: the source of one schedule, and of what stands before it. What does not: the optimizer.
"""

from __future__ import annotations

import math
from array import array

from downslope.core import schedules as s
from downslope.core.schedules.base import PYTHON, Schedule, exact
from downslope.recipes.exporting.pieces import Words, has_staircase, is_countable, levels, stays_real, where_function
from downslope.recipes.exporting.plan import Plan
from downslope.recipes.exporting.source import call, comment, docstring, indented, listed


def write_learning_rate(lr: float | Schedule, plan: Plan, keras: str) -> list[str]:
    """Return the definition of `learning_rate`, as source lines.

    Args:
        lr: The learning rate, in steps.
        plan: The plan.
        keras: What Keras is imported as: "keras" or "tf.keras".
    """
    if not isinstance(lr, Schedule):
        return [f"learning_rate = {lr!r}"]
    if lr.extremes()[0] == lr.extremes()[1]:
        return [f"learning_rate = {lr.extremes()[0]!r}"]
    given = plan.recipe.sgd.lr
    epochs = isinstance(given, Schedule) and given.in_epochs()
    before = comment(f"Counted in steps; {plan.counted}.") if epochs else []
    own = _own(lr, plan.total_steps)
    if own is None:
        return [*_schedule_class(lr, keras), "", "", *before, "learning_rate = LearningRate()"]
    name, arguments, remark = own
    made = call(f"{keras}.optimizers.schedules.{name}", arguments, before="learning_rate = ")
    return [*before, *(comment(remark) if remark else []), *made]


def _own(lr: Schedule, total: int | None) -> tuple[str, list[str], str] | None:  # noqa: PLR0911 -- one for each kind of schedule
    """Return Keras's own schedule, its arguments and a remark, or None."""
    if not is_countable(lr):
        return None
    if isinstance(lr, s.Exponential) and lr.end is None:
        return _exponential(lr, total)
    if isinstance(lr, s.MultiStep):
        boundaries = [str(math.ceil(exact(milestone)) - 1) for milestone in lr.milestones]
        values = [repr(value) for value in levels(lr)]
        remark = "PiecewiseConstantDecay changes one step after its boundary, so each is one less here."
        return "PiecewiseConstantDecay", [f"boundaries={listed(boundaries)}", f"values={listed(values)}"], remark
    if isinstance(lr, s.Linear) or (isinstance(lr, s.Polynomial) and stays_real(lr)):
        power = [f"power={lr.power!r}"] if isinstance(lr, s.Polynomial) else []
        return (
            "PolynomialDecay",
            [repr(lr.initial), f"decay_steps={lr.duration!r}", f"end_learning_rate={lr.final!r}", *power],
            "",
        )
    if isinstance(lr, s.Cosine) and lr.initial:
        return "CosineDecay", [repr(lr.initial), f"decay_steps={lr.duration!r}", *_alpha(lr)], ""
    if isinstance(lr, s.Warmup) and lr.restart and isinstance(lr.then, s.Cosine) and lr.then.initial:
        if not isinstance(lr.duration, int) or not lr.duration:
            return None
        arguments = [
            repr(lr.start),
            f"decay_steps={lr.then.duration!r}",
            *_alpha(lr.then),
            f"warmup_target={lr.then.closed_form(0, PYTHON)!r}",
            f"warmup_steps={lr.duration}",
        ]
        return "CosineDecay", arguments, ""
    if isinstance(lr, s.Inverse) and lr.power == 1:
        return "InverseTimeDecay", [repr(lr.initial), "decay_steps=1", f"decay_rate={lr.gamma!r}"], ""
    return None


def _exponential(lr: s.Exponential, total: int | None) -> tuple[str, list[str], str] | None:
    arguments = [repr(lr.initial), f"decay_steps={lr.every!r}", f"decay_rate={lr.rate!r}"]
    remark = "Counted in steps, not epochs."
    if not lr.staircase:
        return "ExponentialDecay", arguments, remark
    if total is None or not _divides_right(lr.every, total):
        return None
    remark += (
        " Keras counts periods by a division in floating point, by which compiled programs drop one step late for "
        f"many periods (41, 4690, 46900, ...); for this one they are right up to the last of these {total} steps."
    )
    return "ExponentialDecay", [*arguments, "staircase=True"], remark


def _divides_right(period: float, total: int) -> bool:
    """Return whether floor(step / period) is right at every step of a training, compiled or not.

    Compilers multiply by the rounded inverse in place of dividing, in Keras's default precision, float32 or float64.

    Args:
        period: The period, in steps.
        total: Steps of the training.
    """
    if total // period > MOST_PERIODS:
        return False
    ratio = exact(period)
    periods = range(1, int(total // period) + 2)
    boundaries = [-(-n * ratio.numerator // ratio.denominator) for n in periods]
    for precision in ("f", "d"):  # rounding to it after float64 gives what computing in it gives
        length = array(precision, [period])[0]
        inverse = array(precision, [1 / length])[0]
        for before in (0, 1):
            steps = array(precision, [boundary - before for boundary in boundaries])
            divided = array(precision, [step / length for step in steps])
            multiplied = array(precision, [step * inverse for step in steps])
            right = [n - before for n in periods]
            if [math.floor(q) for q in divided] != right or [math.floor(q) for q in multiplied] != right:
                return False
    return True


MOST_PERIODS = 100_000
"""How many drops are looked at one by one."""


def _alpha(lr: s.Cosine) -> list[str]:
    return [f"alpha={lr.final!r} / {lr.initial!r}"] if lr.final else []


def ops_of(keras: str) -> str:
    """Return the module of array operations: Keras's own, or TensorFlow itself."""
    return "tf" if keras == "tf.keras" else "ops"


def _schedule_class(lr: Schedule, keras: str) -> list[str]:
    ops = ops_of(keras)
    words = Words(f"{ops}.cos", f"{ops}.sqrt", "math.pi", f"{ops}.maximum", f"{ops}.minimum", "as_float({})")
    doc = "Return the learning rate of a step, counted from 0."
    function = where_function("__call__", lr, doc=doc, where=f"{ops}.where", words=words, depth=1)
    text = "\n".join(function)
    doc = "The learning rate as a function of the step"
    if has_staircase(lr):
        about = docstring(
            f"{doc}, whole periods counted in integers.",
            "ExponentialDecay(staircase=True) takes the floor of a division in Keras's default precision: compiled, by "
            "tf.function or by XLA, that drops one step late for many periods (41, 4690, 46900, ...).",
            depth=1,
        )
    elif isinstance(lr, s.Polynomial):
        about = docstring(
            f"{doc}, a number at its end too.",
            "PolynomialDecay is (1 - decay_steps / decay_steps) ** power there: compiled, that may be rounded below 0, "
            f"whose power of {lr.power!r} is NaN.",
            depth=1,
        )
    else:
        about = [f'    """{doc}; Keras has no schedule like it."""']
    head = ["def __call__(self, step):", *function[1:2], f"    step = {ops}.convert_to_tensor(step)", *function[2:]]
    dtype = f"{keras}.config.floatx()"
    if ops == "tf":  # tf.cast would take a Python number through float32
        convert = [
            f"    dtype = {dtype}",
            "    if isinstance(number, float):",
            "        return tf.constant(number, dtype)",
        ]
        convert += ["    return tf.cast(number, dtype)"]
    else:
        convert = [f"    return ops.convert_to_tensor(number, {dtype})"]
    as_float = ["def as_float(number):", '    """Return a number in Keras\'s default precision."""', *convert, "", ""]
    return [
        *(as_float if "as_float(" in text else []),
        f"class LearningRate({keras}.optimizers.schedules.LearningRateSchedule):",
        *about,
        "",
        *indented(head),
        "",
        "    def get_config(self):",
        '        """Return its arguments: it has none."""',
        "        return {}",
    ]
