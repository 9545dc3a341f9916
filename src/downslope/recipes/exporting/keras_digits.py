"""Keras and TensorFlow: the default classifier on the digits, its data and its training, for `with_model`."""

from __future__ import annotations

from collections.abc import Mapping

from downslope.recipes.exporting import common
from downslope.recipes.exporting.plan import Plan
from downslope.recipes.exporting.source import call, comment


def keras_digits(plan: Plan, keras: str, l2: Mapping[str, float] | None) -> list[list[str]]:
    """Return the parts of a program that trains the default classifier.

    Args:
        plan: The plan.
        keras: What Keras is imported as.
        l2: The l of L2(l) by parameter, which the layers are given; None without a penalty.
    """
    hidden = common.widths(plan)
    model = ["def make_model():", '    """Return a classifier of 8x8 images: dense layers with ReLU between them."""']
    if l2:
        model += comment("L2(l) adds 2 * l * w to the gradient: l is half of the recipe's weight_decay.", 1)
    model += [f"    return {keras}.Sequential(", "        ["]
    layers = [[f"{keras}.Input((64,))"]]
    names = [*(f"dense{number}" for number in range(1, len(hidden) + 1)), "logits"]
    for name, width in zip(names, [*hidden, 10], strict=True):
        arguments = [repr(width), *(['activation="relu"'] if name != "logits" else []), f'name="{name}"']
        for ours, theirs in (("weight", "kernel"), ("bias", "bias")):
            if l2 and l2[f"{name}.{ours}"]:
                arguments.append(f"{theirs}_regularizer={keras}.regularizers.L2({l2[f'{name}.{ours}']!r})")
        layers.append(call(f"{keras}.layers.Dense", arguments, depth=3))
    model += [f"            {layers[0][0]},"]
    for layer in layers[1:]:
        model += [*layer[:-1], f"{layer[-1]},"]
    model += ["        ]", "    )"]
    ending = ['if __name__ == "__main__":', "    main()"]
    return [common.digits(plan), model, _main_keras(plan) if keras == "keras" else _main_tensorflow(plan), ending]


def _main_keras(plan: Plan) -> list[str]:
    fit = ["inputs", "targets", "batch_size=BATCH_SIZE"]
    before: list[str] = []
    if common.by_epochs(plan):
        fit.append("epochs=EPOCHS")
    else:
        before = [
            "    steps_per_epoch = math.ceil(len(inputs) / BATCH_SIZE)",
            "    epochs = math.ceil(STEPS / steps_per_epoch)",
        ]
        fit.append("epochs=epochs")
    if plan.recipe.train.plateau is not None:
        fit.append("callbacks=make_callbacks()")
    return [
        "def main():",
        '    """Train on the digits and print the accuracy on those held out."""',
        f"    keras.utils.set_random_seed({plan.recipe.seed})",
        "    inputs, targets, *held_out = load_digits()",
        "    model = make_model()",
        "    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
        '    compile_model(model, loss, metrics=["accuracy"])',
        *before,
        *(["    # Whole epochs: the last may go beyond the recipe's steps."] if before else []),
        *call("model.fit", [*fit, "validation_data=tuple(held_out)", "verbose=2"], depth=1),
        "    _, accuracy = model.evaluate(*held_out, verbose=0)",
        '    print(f"held-out accuracy: {accuracy:.3f}")',
    ]


def _main_tensorflow(plan: Plan) -> list[str]:
    return [
        "def main():",
        '    """Train on the digits and print the accuracy on those held out."""',
        f"    tf.keras.utils.set_random_seed({plan.recipe.seed})",
        "    inputs, targets, *held_out = load_digits()",
        "    dataset = tf.data.Dataset.from_tensor_slices((inputs, targets))",
        "    dataset = dataset.shuffle(len(inputs)).batch(BATCH_SIZE)",
        "    model = make_model()",
        "    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
        "    train(model, dataset, loss)",
        "    correct = np.argmax(model(held_out[0]), axis=1) == held_out[1]",
        '    print(f"held-out accuracy: {correct.mean():.3f}")',
    ]
