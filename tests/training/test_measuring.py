"""What a run measures of itself: by hand, against float64, against whole Hessians, and without touching the run."""

from __future__ import annotations

import json
import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, hessian
from training_runs import fingerprints, run, tiny

from downslope.core.errors import DataError
from downslope.torch import SGD
from downslope.training.measuring.groups import look_at_groups
from downslope.training.measuring.noise import noise_and_signal
from downslope.training.measuring.sharpness import largest_eigenvalue, measure_sharpness
from downslope.training.run.task import build_task
from draws import draws


def rows(folder, kind):
    """Return the rows of a kind in a run's log."""
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def test_a_step_by_hand():
    """Weights (3, 4), gradient (4, -3), lr 0.5: the update is 2.5 long, the angle atan(1/2), and nothing forgets."""
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = SGD([("weight", weight)], lr=0.5)
    weight.grad = torch.tensor([4.0, -3.0])
    before = look_at_groups(optimizer)
    optimizer.step()
    found = before.compare()
    assert found["grad_norm"] == [5.0]
    assert found["alignment"] == [0.0]
    assert found["weight_norm"][0] == pytest.approx(math.hypot(5, 2.5))
    assert found["update_ratio"][0] == pytest.approx(0.5)
    assert found["rotation"][0] == pytest.approx(math.atan(0.5))
    assert found["forgotten"] == [0.0]
    assert found["rotation_predicted"] == found["weight_norm_predicted"] == [None]


def test_with_a_trust_ratio_nothing_is_foretold(tmp_path):
    """Each tensor then has an lr and a decay of its own, by norms: no equilibrium, no limit; the other has its own."""
    pair = [nn.Parameter(torch.full((2,), 1.0)) for _ in range(2)]
    groups = [{"params": [("a", pair[0])]}, {"params": [("b", pair[1])], "trust_coefficient": 0.0}]
    optimizer = SGD(groups, lr=0.5, weight_decay=0.01, trust_coefficient=0.25)
    for param in pair:
        param.grad = torch.tensor([0.5, -0.5])
    before = look_at_groups(optimizer)
    optimizer.step()
    found = before.compare()
    assert found["forgotten"] == [None, pytest.approx(0.005)]
    for name in ("rotation_predicted", "weight_norm_predicted"):
        assert [value is None for value in found[name]] == [True, False]
    run(tiny(train__sharpness_every="10"), tmp_path / "plain")
    run(tiny(train__sharpness_every="10", sgd__trust_coefficient="0.01"), tmp_path / "lars")
    assert [{"limit", "limit_mini_batch"} & row.keys() for row in rows(tmp_path / "lars", "sharpness")] == [set()] * 2
    assert {"limit", "limit_mini_batch"} <= rows(tmp_path / "plain", "sharpness")[0].keys()


def test_groups_are_measured_apart():
    """Each group has its own numbers, in the optimizer's order; a parameter without a gradient is weight alone."""
    first, second, idle = (nn.Parameter(torch.full((2,), value)) for value in (1.0, 2.0, 3.0))
    optimizer = SGD(
        [{"params": [("first", first)]}, {"params": [("second", second), ("idle", idle)], "lr": 0.25}], lr=1
    )
    first.grad, second.grad = torch.tensor([0.5, 0.5]), torch.tensor([2.0, 2.0])
    before = look_at_groups(optimizer)
    optimizer.step()
    found = before.compare()
    assert found["lr"] == [1, 0.25]
    assert found["grad_norm"] == pytest.approx([math.sqrt(0.5), math.sqrt(8)])
    assert found["weight_norm"] == pytest.approx([math.sqrt(0.5), math.sqrt(2 * 1.5**2 + 2 * 3**2)])
    assert found["alignment"][0] == pytest.approx(1.0)
    assert found["rotation"][0] == pytest.approx(0.0, abs=1e-6)


def test_weights_of_zero_have_no_angle():
    """A group that begins at zero has no direction to turn from, and a zero gradient none to compare."""
    weight = nn.Parameter(torch.zeros(3))
    optimizer = SGD([("weight", weight)], lr=0.5)
    weight.grad = torch.ones(3)
    before = look_at_groups(optimizer)
    optimizer.step()
    found = before.compare()
    assert found["rotation"] == found["update_ratio"] == found["alignment"] == [None]


@settings(max_examples=draws(40))
@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1.0))
def test_small_angles_keep_their_digits(seed, lr):
    """The angle agrees with float64's, down to angles whose cosine float32 rounds to 1."""
    generator = torch.Generator().manual_seed(seed)
    weight = nn.Parameter(torch.randn(50, generator=generator))
    weight.grad = torch.randn(50, generator=generator)
    optimizer = SGD([("weight", weight)], lr=lr)
    old = weight.detach().double().numpy().copy()
    before = look_at_groups(optimizer)
    optimizer.step()
    new = weight.detach().double().numpy()
    update = new - old
    across = update - old * (update @ old) / (old @ old)
    angle = math.atan2(np.linalg.norm(across) * np.linalg.norm(old), (old @ old) + update @ old)
    assert before.compare()["rotation"][0] == pytest.approx(angle, rel=2e-3)


@pytest.mark.parametrize("nesterov", [False, True])
def test_scale_free_weights_come_to_the_predicted_equilibrium(nesterov):
    """Weights whose scale does not matter, under random gradients, turn and settle as the log's predictions say."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(300))
    optimizer = SGD([("weight", weight)], lr=0.1, momentum=0.8, weight_decay=0.02, nesterov=nesterov)
    measured = []
    for step in range(1500):
        optimizer.zero_grad()
        (nn.functional.normalize(weight, dim=0) @ torch.randn(300)).backward()
        before = look_at_groups(optimizer) if step >= 700 else None
        optimizer.step()
        if before is not None:
            measured.append({name: value[0] for name, value in before.compare().items()})

    def mean(name):
        return statistics.fmean(row[name] for row in measured)

    turned = math.sqrt(statistics.fmean(row["rotation"] ** 2 for row in measured))
    assert turned == pytest.approx(mean("rotation_predicted"), rel=0.02)
    assert mean("weight_norm") == pytest.approx(mean("weight_norm_predicted"), rel=0.02)
    assert abs(mean("alignment")) < 0.005  # gradients stand at a right angle to such weights


def test_noise_of_equal_leaves_is_the_papers_formula():
    """With equal leaves, noise and signal are McCandlish's equations A.2 and A.3."""
    small, big, leaf_norms = 4, 12, [2.0, 3.0, 4.0]
    found = noise_and_signal([*((small, norm) for norm in leaf_norms), (big, 2.5)])
    square = statistics.fmean(norm * norm for norm in leaf_norms)
    assert found["signal"] == pytest.approx((big * 2.5**2 - small * square) / (big - small))
    assert found["noise"] == pytest.approx((square - 2.5**2) / (1 / small - 1 / big))


def test_noise_and_signal_are_unbiased():
    """Over many steps of uneven leaves, the means are the true covariance's trace and the true gradient's square."""
    rng = np.random.default_rng(0)
    truth, spread = np.array([1.0, -2.0, 0.5]), np.array([2.0, 1.0, 3.0])
    found = []
    for _ in range(4000):
        leaves = [truth + spread * rng.standard_normal((size, 3)) for size in (5, 4, 2)]
        norms = [(len(leaf), float(np.linalg.norm(leaf.mean(0)))) for leaf in leaves]
        whole = np.concatenate(leaves)
        found.append(noise_and_signal([*norms, (len(whole), float(np.linalg.norm(whole.mean(0))))]))
    assert statistics.fmean(f["noise"] for f in found) == pytest.approx(spread @ spread, rel=0.03)
    assert statistics.fmean(f["signal"] for f in found) == pytest.approx(truth @ truth, rel=0.05)


def test_one_gradient_tells_no_noise(tmp_path):
    """With one leaf there is no estimate, and the row does not pretend to one; with two there is."""
    assert noise_and_signal(()) == {}
    run(tiny(), tmp_path / "one")
    run(tiny(train__shards="2"), tmp_path / "two")
    assert "noise" not in rows(tmp_path / "one", "measure")[0]
    assert rows(tmp_path / "two", "measure")[0]["noise"] > 0


def whole_hessian(task):
    """Return the Hessian over all parameters of a task's training loss, as a float64 matrix."""
    model, data = task.state.model, task.dataset
    names, params = zip(*model.named_parameters(), strict=True)
    sizes = [p.numel() for p in params]

    def loss(flat):
        parts = [part.view_as(p) for part, p in zip(flat.split(sizes), params, strict=True)]
        outputs = functional_call(model, dict(zip(names, parts, strict=True)), (data.train_inputs,))
        return nn.functional.cross_entropy(outputs, data.train_targets)

    return hessian(loss)(torch.cat([p.detach().flatten() for p in params])).double().numpy()


def test_sharpness_is_the_largest_eigenvalue_of_the_hessian():
    """On the tiny classifier, all of whose examples are taken, it is what a whole eigendecomposition gives."""
    task = build_task(tiny())
    found = measure_sharpness(task, 0)
    assert found["sharpness"] == pytest.approx(np.linalg.eigvalsh(whole_hessian(task))[-1], rel=0.02)
    assert 0 < found["iterations"] <= 200


@settings(max_examples=draws(30))
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=6), st.integers(0, 99))
def test_largest_not_largest_in_size(values, seed):
    """Whatever the signs, the search comes close below the largest eigenvalue, as Rayleigh quotients must."""
    diagonal = torch.tensor(values, dtype=torch.float64)
    start = torch.randn(len(values), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found, _ = largest_eigenvalue(lambda v: [diagonal * v[0]], [start])
    spread = max(map(abs, values)) + 1e-9
    assert found <= max(values) + 1e-9 * spread
    assert found >= max(values) - 0.25 * spread


@pytest.mark.parametrize("model", ["batch_norm", "dropout", "noisy", "tied"])
def test_sharpness_leaves_no_trace(model):
    """Buffers, gradients and mode are as before, and measuring twice gives the same bits."""
    task = build_task(tiny(model=f'{{ name = "training_tasks:{model}" }}'))
    before = {name: value.clone() for name, value in task.state.model.state_dict().items()}
    first = measure_sharpness(task, 3)
    assert measure_sharpness(task, 3) == first
    assert all(torch.equal(value, before[name]) for name, value in task.state.model.state_dict().items())
    assert all(p.grad is None for p in task.state.model.parameters())
    assert task.state.model.training


def test_a_model_that_cannot_be_differentiated_twice_is_refused():
    """The message names the setting and what to do."""
    task = build_task(tiny(model='{ name = "training_tasks:differentiable_once" }'))
    with pytest.raises(DataError, match=r"train\.sharpness_every: the model.*Leave train\.sharpness_every out"):
        measure_sharpness(task, 0)


def test_measuring_changes_no_weight(tmp_path):
    """A run that measures everything ends with the same weights, bit for bit, as one that measures nothing."""
    run(tiny(train__measure_every="0", train__shards="2"), tmp_path / "blind")
    run(tiny(train__measure_every="1", train__sharpness_every="3", train__shards="2"), tmp_path / "seeing")
    assert not rows(tmp_path / "blind", "measure")
    assert len(rows(tmp_path / "seeing", "measure")) == 20
    assert [row["step"] for row in rows(tmp_path / "seeing", "sharpness")] == [0, 3, 6, 9, 12, 15, 18]
    blind, seeing = fingerprints(tmp_path / "blind"), fingerprints(tmp_path / "seeing")
    assert blind["model.safetensors"] == seeing["model.safetensors"]


def test_a_skipped_step_is_not_measured_as_one(tmp_path):
    """Where a step is skipped nothing moved, and no row says that something did."""
    recipe = tiny(train__loss="training_tasks:sometimes_infinite", train__on_nonfinite="skip", train__measure_every="1")
    run(recipe, tmp_path)
    skipped = {row["step"] for row in rows(tmp_path, "skip")}
    assert skipped
    assert {row["step"] for row in rows(tmp_path, "measure")} == set(range(20)) - skipped
