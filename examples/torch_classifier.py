"""A classifier of handwritten digits as a plain PyTorch loop, with `downslope.torch.SGD`, saved and restored mid-run.

The learning rate starts at 0.1 and falls by exponential decay (rate 0.1, a staircase with a step every 1000 updates),
with momentum 0.9 and weight decay 5e-4. Halfway, everything is saved by `state_dict`; a new model and a new optimizer
restored from it go on bit for bit as the first ones did.

Run it: python examples/torch_classifier.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import downslope.torch
from downslope.schedules import Exponential

BATCH_SIZE = 64
STEPS = 1380  # 60 passes over 1437 images
HALF = STEPS // 2


def load_data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return train images, train labels, test images, test labels; images as rows of 64 numbers from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    x = torch.tensor(images, dtype=torch.float32)[order] / 16
    y = torch.tensor(labels)[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def build() -> tuple[nn.Module, downslope.torch.SGD]:
    """Return a new model and its optimizer."""
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = downslope.torch.SGD(
        model.named_parameters(),  # names let a saved state find its parameter again
        lr=Exponential(0.1, rate=0.1, every=1000, staircase=True),
        momentum=0.9,
        weight_decay=5e-4,
    )
    return model, optimizer


def train(model: nn.Module, optimizer: downslope.torch.SGD, x: Tensor, y: Tensor, until: int) -> None:
    """Update the model until the optimizer has done `until` steps."""
    while optimizer.step_count < until:
        # The batch depends on the step alone, so a restored run sees the batches that it would have seen.
        batch = torch.randint(len(y), (BATCH_SIZE,), generator=torch.Generator().manual_seed(optimizer.step_count))
        optimizer.zero_grad()
        cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()


def main() -> float:
    """Train, restore a copy from the middle, check that both end the same; return the test accuracy."""
    x, y, x_test, y_test = load_data()
    torch.manual_seed(0)
    model, optimizer = build()
    train(model, optimizer, x, y, until=HALF)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "half.pt"
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
        saved = torch.load(path, weights_only=True)
    train(model, optimizer, x, y, until=STEPS)

    restored_model, restored_optimizer = build()  # other random weights, until they are overwritten here:
    restored_model.load_state_dict(saved["model"])
    restored_optimizer.load_state_dict(saved["optimizer"])
    assert restored_optimizer.step_count == HALF
    train(restored_model, restored_optimizer, x, y, until=STEPS)

    for name, weight in model.state_dict().items():
        assert torch.equal(weight, restored_model.state_dict()[name]), f"{name} differs"
    with torch.no_grad():
        accuracy = (model(x_test).argmax(dim=1) == y_test).float().mean().item()
    print(f"The restored run ended bit for bit the same. Test accuracy: {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
