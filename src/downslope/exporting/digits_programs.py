"""PyTorch: the default classifier on the digits, its data and its training, for `with_model`."""

from __future__ import annotations

from collections.abc import Mapping

from downslope.exporting import python_source
from downslope.exporting.export_plan import Plan
from downslope.exporting.python_source import call, comment

# Keras and TensorFlow


def keras_digits(plan: Plan, keras: str, l2: Mapping[str, float] | None) -> list[list[str]]:
    """Return the parts of a program that trains the default classifier.

    Args:
        plan: The plan.
        keras: What Keras is imported as.
        l2: The l of L2(l) by parameter, which the layers are given; None without a penalty.
    """
    hidden = python_source.widths(plan)
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
    return [
        python_source.digits(plan),
        model,
        _main_keras(plan) if keras == "keras" else _main_tensorflow(plan),
        ending,
    ]


def _main_keras(plan: Plan) -> list[str]:
    fit = ["inputs", "targets", "batch_size=BATCH_SIZE"]
    before: list[str] = []
    if python_source.by_epochs(plan):
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


# JAX


def optax_digits(plan: Plan) -> list[list[str]]:
    """Return the parts of a program that trains the default classifier.

    Args:
        plan: The plan; its `train` is defined already.
    """
    hidden = python_source.widths(plan)
    names = [*(f"dense{number}" for number in range(1, len(hidden) + 1)), "logits"]
    sizes = [64, *hidden, 10]
    layers = ", ".join(f'"{name}": ({a}, {b})' for name, a, b in zip(names, sizes, sizes[1:], strict=False))
    constants = [f"LAYERS = {{{layers}}}"]
    if len(constants[0]) > 88:
        pairs = [f'    "{name}": ({a}, {b}),' for name, a, b in zip(names, sizes, sizes[1:], strict=False)]
        constants = ["LAYERS = {", *pairs, "}"]
    make = [
        "def make_params(key):",
        '    """Return the initial parameters: uniform, within one over the root of the inputs."""',
        "    params = {}",
        "    for name, (inputs, outputs) in LAYERS.items():",
        "        key, for_kernel, for_bias = jax.random.split(key, 3)",
        "        bound = inputs**-0.5",
        "        params[name] = {",
        '            "kernel": jax.random.uniform(',
        "                for_kernel, (inputs, outputs), minval=-bound, maxval=bound",
        "            ),",
        '            "bias": jax.random.uniform(',
        "                for_bias, (outputs,), minval=-bound, maxval=bound",
        "            ),",
        "        }",
        "    return params",
    ]
    model = [
        "def model(params, inputs):",
        '    """Return the logits of 8x8 images: dense layers with ReLU between them."""',
        "    for name in LAYERS:",
        '        inputs = inputs @ params[name]["kernel"] + params[name]["bias"]',
        '        inputs = jnp.maximum(inputs, 0) if name != "logits" else inputs',
        "    return inputs",
    ]
    loss = [
        "def loss_function(params, inputs, targets):",
        '    """Return the mean cross-entropy of a batch."""',
        "    logits = model(params, inputs)",
        "    losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)",
        "    return losses.mean()",
    ]
    batches = [
        "class Batches:",
        '    """The training examples in batches, in another order each epoch."""',
        "",
        "    def __init__(self, inputs, targets):",
        "        self.inputs, self.targets = inputs, targets",
        f"        self.random = np.random.default_rng({plan.recipe.seed})",
        "",
        "    def __iter__(self):",
        "        order = self.random.permutation(len(self.inputs))",
        "        for start in range(0, len(order), BATCH_SIZE):",
        "            chosen = order[start : start + BATCH_SIZE]",
        "            yield self.inputs[chosen], self.targets[chosen]",
    ]
    main = [
        "def main():",
        '    """Train on the digits and print the accuracy on those held out."""',
        "    inputs, targets, *held_out = load_digits()",
        f"    params = make_params(jax.random.key({plan.recipe.seed}))",
        "    params = train(params, Batches(inputs, targets), loss_function)",
        "    correct = (model(params, held_out[0]).argmax(1) == held_out[1]).mean()",
        '    print(f"held-out accuracy: {correct:.3f}")',
    ]
    ending = ['if __name__ == "__main__":', "    main()"]
    return [python_source.digits(plan), constants, make, model, loss, batches, main, ending]


def torch_digits(plan: Plan) -> list[list[str]]:
    """Return the parts of a program that trains the default classifier.

    Args:
        plan: The plan; its `train` is defined already.
    """
    layers: list[str] = []
    features = 64
    for number, width in enumerate(python_source.widths(plan), start=1):
        layers += [f'("dense{number}", nn.Linear({features}, {width})),', f'("relu{number}", nn.ReLU()),']
        features = width
    layers.append(f'("logits", nn.Linear({features}, 10)),')
    model = [
        "def make_model():",
        '    """Return a classifier of 8x8 images: dense layers with ReLU between them."""',
        "    layers = [",
        *(f"        {layer}" for layer in layers),
        "    ]",
        "    model = nn.Sequential()",
        "    for name, layer in layers:",
        "        model.add_module(name, layer)",
        "    return model",
    ]
    plateau = plan.recipe.train.plateau
    evaluate = []
    if plateau is not None:
        loss = plateau.metric == "loss"
        value = "nn.functional.cross_entropy(model(inputs), targets).item()"
        accuracy = "(model(inputs).argmax(1) == targets).float().mean().item()"
        evaluate = ["", "    @torch.no_grad()", "    def evaluate(model):", "        inputs, targets = held_out"]
        evaluate += [f"        return {value if loss else accuracy}", ""]
    main = [
        "def main():",
        '    """Train on the digits and print the accuracy on those held out."""',
        f"    torch.manual_seed({plan.recipe.seed})",
        "    inputs, targets, *held_out = map(torch.from_numpy, load_digits())",
        "    dataset = torch.utils.data.TensorDataset(inputs, targets)",
        "    batches = torch.utils.data.DataLoader(dataset, BATCH_SIZE, shuffle=True)",
        "    model = make_model()",
        *evaluate,
        f"    train(model, batches, nn.CrossEntropyLoss(){', evaluate' if plateau else ''})",
        "    with torch.no_grad():",
        "        correct = (model(held_out[0]).argmax(1) == held_out[1]).float().mean()",
        '    print(f"held-out accuracy: {correct:.3f}")',
    ]
    return [python_source.digits(plan), model, main, ['if __name__ == "__main__":', "    main()"]]
