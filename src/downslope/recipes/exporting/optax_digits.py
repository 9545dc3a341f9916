"""JAX: the default classifier on the digits, its data and its training, for `with_model`."""

from __future__ import annotations

from downslope.recipes.exporting import common
from downslope.recipes.exporting.plan import Plan


def optax_digits(plan: Plan) -> list[list[str]]:
    """Return the parts of a program that trains the default classifier.

    Args:
        plan: The plan; its `train` is defined already.
    """
    hidden = common.widths(plan)
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
    return [common.digits(plan), constants, make, model, loss, batches, main, ending]
