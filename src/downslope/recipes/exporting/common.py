"""What every exported Python program has: its first lines, its length, the digits, what it leaves out.

What lives here: text that no framework changes. What does not: any framework's words.
"""

from __future__ import annotations

from downslope.recipes.exporting.plan import Plan
from downslope.recipes.exporting.source import comment, docstring


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
