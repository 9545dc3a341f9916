"""PyTorch: the default classifier on the digits, its data and its training, for `with_model`."""

from __future__ import annotations

from downslope.recipes.exporting import common
from downslope.recipes.exporting.plan import Plan


def torch_digits(plan: Plan) -> list[list[str]]:
    """Return the parts of a program that trains the default classifier.

    Args:
        plan: The plan; its `train` is defined already.
    """
    layers: list[str] = []
    features = 64
    for number, width in enumerate(common.widths(plan), start=1):
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
    return [common.digits(plan), model, main, ['if __name__ == "__main__":', "    main()"]]
