"""What torch.optim.SGD accepts and computes is accepted and computed here, with a warning where it is a trap."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR
from torch_runs import assert_close, make_params, run

from downslope.core.errors import DownslopeError, SettingsError
from downslope.torch import SGD
from draws import draws


def both(*args: Any, message: str | None = None, **options: Any) -> None:
    """Run both optimizers with the same arguments for 5 steps, and compare; ours warns of `message`."""
    ours, theirs = make_params(), make_params()
    if message is None:
        optimizer = SGD(ours, *args, **options)
    else:
        with pytest.warns(UserWarning, match=message):
            optimizer = SGD(ours, *args, **options)
    run(optimizer, ours, 5)
    run(torch.optim.SGD(theirs, *args, **options, foreach=False), theirs, 5)
    assert_close(ours, theirs)


@pytest.mark.parametrize("momentum", [1, 1.0, 1.5])
@pytest.mark.parametrize("nesterov", [False, True])
def test_a_momentum_of_one_or_more(momentum: float, nesterov: bool) -> None:
    """Velocities add up or grow, and so they do in torch."""
    both(0.1, momentum, nesterov=nesterov, weight_decay=0.1, message="velocities never fade")


@pytest.mark.parametrize("dampening", [1.5, -0.5])
def test_dampening_that_amplifies(dampening: float) -> None:
    """Torch does not look at it."""
    both(0.1, 0.9, dampening, message=r"in \[0, 1\]")


def test_dampening_without_momentum_does_nothing() -> None:
    """As in torch, which says nothing."""
    both(0.1, 0.0, 0.5, message="without momentum it does nothing")


def test_a_group_without_momentum_beside_nesterovs() -> None:
    """Torch checks the arguments alone; the group then steps plainly."""
    ours, theirs = make_params(), make_params()
    groups = [[{"params": p[:2], "momentum": 0.0}, {"params": p[2:]}] for p in (ours, theirs)]
    with pytest.warns(UserWarning, match="param group 0: `nesterov` is True, and without momentum"):
        optimizer = SGD(groups[0], lr=0.1, momentum=0.9, nesterov=True)
    run(optimizer, ours, 4)
    run(torch.optim.SGD(groups[1], lr=0.1, momentum=0.9, nesterov=True, foreach=False), theirs, 4)
    assert_close(ours, theirs)


def test_nesterov_with_dampening_in_a_group_is_computed() -> None:
    """Torch refuses it as arguments and computes it in a group."""
    ours, theirs = make_params(), make_params()
    groups = [[{"params": p, "dampening": 0.25}] for p in (ours, theirs)]
    run(SGD(groups[0], lr=0.1, momentum=0.9, nesterov=True), ours, 4)
    run(torch.optim.SGD(groups[1], lr=0.1, momentum=0.9, nesterov=True, foreach=False), theirs, 4)
    assert_close(ours, theirs)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: OneCycleLR(o, max_lr=0.2, total_steps=6, base_momentum=0.5, max_momentum=1.0),
        lambda o: CyclicLR(o, 0.01, 0.2, step_size_up=2, base_momentum=1.0, max_momentum=5.0),
        lambda o: CyclicLR(o, 0.01, 0.2, step_size_up=2, base_momentum=0.0, max_momentum=1.0),
    ],
    ids=["one cycle", "cyclic from 1", "cyclic from 0"],
)
def test_cycles_that_pass_through_a_momentum_of_one(make: Any) -> None:
    """A scheduler writes it into the groups, and the step computes with it."""
    ours, theirs = make_params(), make_params()
    optimizer, reference = SGD(ours, 0.1, 0.9), torch.optim.SGD(theirs, 0.1, 0.9, foreach=False)
    mine, other = make(optimizer), make(reference)
    run(optimizer, ours, 5, after=lambda _: mine.step())
    run(reference, theirs, 5, after=lambda _: other.step())
    assert_close(ours, theirs)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "weight_decay": 0.1}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("foreach", [None, False])
def test_a_parameter_given_twice_is_stepped_twice(options: dict[str, Any], foreach: bool | None) -> None:
    """A tied weight in a list: torch warns, and takes one step after the other."""
    ours, theirs = make_params(dtype=torch.float32), make_params(dtype=torch.float32)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optimizer = SGD([*ours, ours[0]], lr=0.1, foreach=foreach, **options)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        reference = torch.optim.SGD([*theirs, theirs[0]], lr=0.1, foreach=False, **options)
    run(optimizer, ours, 4)
    run(reference, theirs, 4)
    assert_close(ours, theirs, rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = SGD([*ours, ours[0]], lr=0.1, foreach=foreach, **options)
        back = torch.optim.SGD([*theirs, theirs[0]], lr=0.1, foreach=False, **options)
    again.load_state_dict(copy.deepcopy(reference.state_dict()))
    back.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(again, ours, 2, start=4)
    run(back, theirs, 2, start=4)
    assert_close(ours, theirs, rtol=1e-6)


def test_a_tied_weight_of_two_names_is_stepped_twice() -> None:
    """Two names for one tensor are no mistake of names."""
    ours, theirs = make_params([(3,)]), make_params([(3,)])
    with pytest.warns(UserWarning, match="duplicate"):
        optimizer = SGD([("encoder", ours[0]), ("decoder", ours[0])], lr=0.1)
    with pytest.warns(UserWarning, match="duplicate"):
        reference = torch.optim.SGD([theirs[0], theirs[0]], lr=0.1)
    run(optimizer, ours, 3)
    run(reference, theirs, 3)
    assert_close(ours, theirs)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_a_parameter_given_twice_has_one_gradient_in_the_norm(is_compiled: bool) -> None:
    """As in torch's clip_grad_norm_ of model.parameters(), which gives each parameter once."""
    ours, theirs = make_params([(3,), (2,)]), make_params([(3,), (2,)])
    with pytest.warns(UserWarning, match="duplicate"):
        optimizer = SGD([ours[0], ours[1], ours[0]], lr=0.1, momentum=0.9, clip_norm=1.0)
    step = torch.compile(optimizer.step, backend="eager") if is_compiled else optimizer.step
    with pytest.warns(UserWarning, match="duplicate"):
        reference = torch.optim.SGD([theirs[0], theirs[1], theirs[0]], lr=0.1, momentum=0.9, foreach=False)
    for size in (3.0, 0.01, 5.0):
        for params in (ours, theirs):
            for param in params:
                param.grad = torch.full_like(param, size)
        norm = torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        step()
        reference.step()
        assert optimizer.grad_norm == pytest.approx(norm.item(), rel=1e-6)
    torch.testing.assert_close(ours, theirs)
    optimizer.on_nonfinite = "raise"
    ours[0].grad = torch.full_like(ours[0], torch.inf)
    with pytest.raises(DownslopeError, match="parameter 0 of group 0"):
        optimizer.step()


def test_a_state_that_lists_other_parameters_twice_is_refused() -> None:
    """Which of ours the second entry belongs to cannot be known."""
    params = make_params([(3,), (3,)])
    state = SGD(params, momentum=0.9).state_dict()
    state["param_groups"][0]["params"] = [0, 0]
    with pytest.raises(DownslopeError, match="twice"):
        SGD(params, momentum=0.9).load_state_dict(state)


def test_a_parameter_given_twice_cannot_step_within_the_backward_pass() -> None:
    """Its hook runs once, and half of what torch does would be lost."""
    params = make_params()
    with pytest.warns(UserWarning, match="duplicate"), pytest.raises(SettingsError, match="given twice"):
        SGD([*params, params[0]], step_in_backward=True)


@pytest.mark.parametrize("options", [{"foreach": True}, {"differentiable": True}])
def test_two_ways_at_once_are_the_runtime_error_that_torch_raises(options: dict[str, bool]) -> None:
    """Code that catches torch's error catches ours; and it is a SettingsError as well."""
    for optimizer in (SGD, torch.optim.SGD):
        with pytest.raises(RuntimeError):
            optimizer(make_params(), fused=True, **options)


def test_fused_on_the_meta_device_is_the_runtime_error_that_torch_raises() -> None:
    """Tensors without memory are not for a kernel that insists; without `fused` the step does nothing."""
    for optimizer in (SGD, torch.optim.SGD):
        param = torch.nn.Parameter(torch.ones(3, device="meta"))
        param.grad = torch.ones_like(param)
        with pytest.raises(RuntimeError, match="fused"):
            optimizer([param], lr=0.1, momentum=0.9, fused=True).step()
        optimizer([param], lr=0.1, momentum=0.9).step()
        optimizer([param], lr=0.0, momentum=0.9).step()


@pytest.mark.parametrize("how", ["parameter", "gradient", "both", "negative parameter", "negative gradient"])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}], ids=str)
def test_conjugated_and_negated_views_step_as_in_torch(how: str, options: dict[str, Any]) -> None:
    """torch.conj and torch._neg_view set a bit and compute nothing: the values behind it are those that count."""

    def outcome(optimizer: type) -> torch.Tensor:
        number, grad = (p.detach() for p in make_params([(4,), (4,)], dtype=torch.complex128))
        param = {
            "parameter": number.conj(),
            "both": number.conj(),
            "negative parameter": torch._neg_view(number.real.clone()),
            "negative gradient": number.real.clone(),
        }.get(how, number)
        param.requires_grad_()
        stepping = optimizer([param], lr=0.1, foreach=False if optimizer is torch.optim.SGD else None, **options)
        for _ in range(3):
            real = {"negative parameter": grad.real.clone(), "negative gradient": grad.conj().imag}
            param.grad = real.get(how, grad.conj() if how in ("gradient", "both") else grad)
            stepping.step()
        return param.detach().resolve_conj().resolve_neg()

    torch.testing.assert_close(outcome(SGD), outcome(torch.optim.SGD), rtol=1e-14, atol=0)


def test_the_norm_of_a_conjugated_gradient() -> None:
    """|3 + 4i| = 5, whichever way it is stored: clipped to 1 at lr 1 the step is (3 - 4i) / 5."""
    param = torch.zeros(1, dtype=torch.complex128, requires_grad=True)
    param.grad = torch.tensor([3 + 4j], dtype=torch.complex128).conj()
    optimizer = SGD([param], lr=1.0, clip_norm=1.0)
    optimizer.step()
    assert optimizer.grad_norm == 5
    assert param.item() == pytest.approx(-0.6 + 0.8j)


@pytest.mark.parametrize("lr", [0.1, 0.0])
def test_a_first_step_of_zeros_moves_and_counts_as_torchs_does(lr: float) -> None:
    """DeepSpeed allocates state so at the lr that is set: decay takes 0.1 * 0.5. At lr 0 nothing moves or counts."""
    ours, theirs = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    for optimizer, param in ((SGD, ours), (torch.optim.SGD, theirs)):
        param.grad = torch.zeros(2)
        stepping = optimizer([param], lr=lr, momentum=0.9, weight_decay=0.5)
        stepping.step()
        assert stepping.state[param]["momentum_buffer"].shape == (2,)
        if optimizer is SGD:
            assert stepping.step_count == (1 if lr else 0)
    assert torch.equal(ours, theirs)
    assert ours.tolist() == pytest.approx([1 - lr * 0.5] * 2)


INPUTS: dict[str, dict[str, Any]] = {
    "default": {},
    "lr": {"lr": 1e-2},
    "tensor lr": {"lr": torch.tensor(0.001)},
    "weight decay": {"weight_decay": 0.5},
    "momentum": {"momentum": 0.9},
    "maximize": {"weight_decay": 0.1, "maximize": True},
    "dampening": {"momentum": 0.9, "dampening": 0.5},
    "weight decay with momentum": {"momentum": 0.9, "weight_decay": 0.1},
    "nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
}
"""The configurations of SGD in torch's own suite (torch.testing._internal.common_optimizers)."""


@pytest.mark.parametrize("configuration", INPUTS.values(), ids=INPUTS.keys())
@pytest.mark.parametrize("kind", ["params", "groups", "named", "closure"])
def test_torchs_own_inputs_give_torchs_numbers(configuration: dict[str, Any], kind: str) -> None:
    """The configurations of torch's own test-suite, in each form in which it passes parameters."""
    ours, theirs = make_params(), make_params()
    for optimizer, params in ((SGD, ours), (torch.optim.SGD, theirs)):
        options = copy.deepcopy(configuration)
        passed: Any = params
        if kind == "groups":
            passed = [{"params": params[:2]}, {"params": params[2:], "lr": 0.03}]
        elif kind == "named":
            passed = [(str(i), p) for i, p in enumerate(params)]
        stepping = optimizer(passed, **options, foreach=False)
        if kind == "closure":

            def closure(stepping: Any = stepping, params: Any = params) -> Any:
                stepping.zero_grad()
                loss = sum((p * p).sum() for p in params)
                loss.backward()
                return loss

            results = [stepping.step(closure).item() for _ in range(4)]
            assert len(set(results)) == 4
        else:
            run(stepping, params, 4)
    assert_close(ours, theirs)


NUMBERS = st.sampled_from([0.0, 0.0, 0.1, 0.5, 0.9, 1.0, 1.25])


@settings(max_examples=draws(60), deadline=None)
@given(
    arguments=st.fixed_dictionaries(
        {"lr": st.sampled_from([0.0, 0.01, 0.3]), "momentum": NUMBERS, "dampening": NUMBERS, "weight_decay": NUMBERS},
        optional={"nesterov": st.booleans(), "maximize": st.booleans()},
    ),
    own=st.dictionaries(st.sampled_from(["lr", "momentum", "dampening", "weight_decay"]), NUMBERS),
    flag=st.sampled_from([{}, {"nesterov": True}, {"maximize": True}]),
    twice=st.booleans(),
    written=st.dictionaries(st.sampled_from(["lr", "momentum", "dampening"]), NUMBERS),
    seed=st.integers(0, 2**16),
)
def test_whatever_torch_accepts_is_accepted_and_computed(
    arguments: dict[str, Any],
    own: dict[str, float],
    flag: dict[str, bool],
    twice: bool,
    written: dict[str, float],
    seed: int,
) -> None:
    """Arguments, a group's own, a parameter given twice, numbers written later: both refuse them, or both agree."""
    ours, theirs = make_params(seed=seed), make_params(seed=seed)
    optimizers: list[torch.optim.Optimizer] = []
    errors = []
    for make, params in ((SGD, ours), (torch.optim.SGD, theirs)):
        again = params[:1] if twice else []
        groups = [{"params": [*params[:2], *again], **own, **flag}, {"params": params[2:]}]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                optimizers.append(make(groups, **arguments, foreach=None if make is SGD else False))
            except ValueError as error:
                errors.append(error)
    if arguments.get("nesterov") and arguments["momentum"] and arguments["dampening"]:
        assert len(errors) == 1  # torch's, which refuses here what it computes in a group
        return
    assert len(errors) in (0, 2), errors
    if errors:
        return
    for optimizer, params in zip(optimizers, (ours, theirs), strict=True):
        run(optimizer, params, 2)
        optimizer.param_groups[0].update(written)
        run(optimizer, params, 2, start=2)
    assert_close(ours, theirs, rtol=1e-11)
