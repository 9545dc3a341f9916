"""Inside Opacus, which computes the gradients within its own step. Tried where it is installed."""

from __future__ import annotations

import pytest
import torch
from guest_problem import BASE, Net, Way, distance, loader, loss_of

from downslope.core.errors import SettingsError
from downslope.torch import SGD

opacus = pytest.importorskip("opacus", reason="Opacus is not installed")


def train(kind, **options):
    """Train without noise, clipped by example."""
    model = Net()
    optimizer = kind(model.named_parameters(), **(BASE | options))
    engine = opacus.PrivacyEngine()
    model, optimizer, batches = engine.make_private(
        module=model,
        optimizer=optimizer,
        data_loader=loader(Way()),
        noise_multiplier=0.0,
        max_grad_norm=0.5,
        poisson_sampling=False,
    )
    for x, y in batches:
        optimizer.zero_grad()
        loss_of(model, x, y).backward()
        optimizer.step()
    return model


@pytest.mark.filterwarnings("ignore")
def test_the_same_and_what_is_refused():
    """As torch's; a step within the backward pass would be one without privacy."""
    torch.manual_seed(0)
    assert distance(train(SGD), train(torch.optim.SGD)) < 2e-6
    with pytest.raises(SettingsError, match="under Opacus"):
        train(SGD, step_in_backward=True)
