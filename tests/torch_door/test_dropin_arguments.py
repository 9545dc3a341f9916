"""The arguments of `downslope.torch.SGD`: the names and defaults of torch.optim.SGD, and errors that say what to do."""

from __future__ import annotations

import inspect
import re
import weakref

import pytest
import torch
from torch_runs import assert_close, copy_params, make_params, run

import downslope
from downslope.core.errors import DownslopeError, GroupError, SettingsError
from downslope.torch import SGD, ScheduleFreeSGD


def message_of(call: object) -> str:
    """Return the message of the `DownslopeError` that the call raises."""
    with pytest.raises(DownslopeError) as caught:
        call()  # type: ignore[operator]
    return str(caught.value)


def test_it_is_a_torch_optimizer() -> None:
    """Everything that asks isinstance(..., torch.optim.Optimizer) accepts it."""
    assert isinstance(SGD(make_params()), torch.optim.Optimizer)
    assert downslope.torch.SGD is SGD


def test_positional_arguments_are_torchs_in_order_with_torchs_defaults() -> None:
    """Every parameter of torch.optim.SGD exists here, in the same order and kind, with the same default."""
    ours = inspect.signature(SGD.__init__).parameters
    theirs = inspect.signature(torch.optim.SGD.__init__).parameters
    for name, parameter in theirs.items():
        assert name in ours, name
        assert ours[name].kind is parameter.kind, name
        if parameter.default is not inspect.Parameter.empty:
            assert ours[name].default == parameter.default, name
    positional = [name for name, p in theirs.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert list(ours)[: len(positional)] == positional


def test_positional_call_as_in_old_code() -> None:
    """SGD(params, 0.1, 0.9, 0.1, 5e-4, False) means the same as in torch."""
    ours, theirs = make_params(), make_params()
    run(SGD(ours, 0.1, 0.9, 0.1, 5e-4, False), ours, 5)
    run(torch.optim.SGD(theirs, 0.1, 0.9, 0.1, 5e-4, False), theirs, 5)
    assert_close(ours, theirs)


def test_defaults_hold_everything_torchs_hold() -> None:
    """Schedulers and frameworks read `defaults`: every key of torch's is there with the same value."""
    ours, theirs = SGD(make_params()).defaults, torch.optim.SGD(make_params()).defaults
    for key, value in theirs.items():
        if key not in {"foreach", "fused"}:
            assert ours[key] == value, key
        assert key in ours


def test_groups_hold_every_key_of_torchs() -> None:
    """Every key of torch's parameter groups is in ours."""
    ours = SGD(make_params()).param_groups[0]
    assert set(torch.optim.SGD(make_params()).param_groups[0]) <= set(ours)


@pytest.mark.parametrize("foreach", [None, True, False])
def test_foreach_chooses_the_path_not_the_numbers(foreach: bool | None) -> None:
    """Multi-tensor and per-tensor steps agree with torch."""
    ours, theirs = make_params(), make_params()
    run(SGD(ours, lr=0.1, momentum=0.9, weight_decay=1e-2, nesterov=True, foreach=foreach), ours, 10)
    run(torch.optim.SGD(theirs, lr=0.1, momentum=0.9, weight_decay=1e-2, nesterov=True, foreach=False), theirs, 10)
    assert_close(ours, theirs)


def test_capturable_is_refused_where_it_cannot_be() -> None:
    """By name, not accepted and ignored; and the message says what to do."""
    params = make_params()
    optimizer = SGD(params, capturable=True)
    before = [param.detach().clone() for param in params]
    for param in params:
        param.grad = torch.ones_like(param)
    text = message_of(optimizer.step)
    assert "`capturable=True` needs a step by Triton's kernels, on a device, and the parameters are on cpu" in text
    assert all(torch.equal(one, two) for one, two in zip(params, before, strict=True))
    for other in ({"foreach": True}, {"fused": False}, {"differentiable": True}, {"step_in_backward": True}):
        assert "`capturable=True`" in message_of(lambda other=other: SGD(make_params(), capturable=True, **other))
    text = message_of(lambda: SGD([{"params": make_params(), "capturable": True}]))
    assert "`capturable` belongs to the whole optimizer" in text
    assert "capturable=True" in message_of(SGD(make_params()).write_to_device)
    assert "True or False" in message_of(lambda: SGD(make_params(), capturable=1))


def test_fused_insists_on_the_kernel() -> None:
    """The numbers are the default's; a parameter that the kernel cannot take is refused rather than sent elsewhere."""
    ours, default = make_params(), make_params()
    run(SGD(ours, lr=0.1, momentum=0.9, fused=True), ours, 3)
    run(SGD(default, lr=0.1, momentum=0.9), default, 3)
    assert all(torch.equal(a, b) for a, b in zip(ours, default, strict=True))
    param = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    param.grad = torch.ones(2, dtype=torch.complex64)
    text = message_of(SGD([param], lr=0.1, fused=True).step)
    assert "complex64" in text
    assert (param == 1).all()


def test_fused_without_a_kernel_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was not built, or is switched off, the message says which."""
    monkeypatch.setattr("downslope.torch.options.load_native", lambda: None)
    text = message_of(lambda: SGD(make_params(), fused=True))
    assert "`fused=True` needs the compiled kernel" in text


@pytest.mark.parametrize("other", ["foreach", "differentiable"])
def test_fused_and_another_way_together_are_refused(other: str) -> None:
    """As in torch: only one of them can be meant."""
    assert "choose one" in message_of(lambda: SGD(make_params(), fused=True, **{other: True}))


@pytest.mark.parametrize("options", [{"fused": False}, {"capturable": False}, {"fused": False, "foreach": True}])
def test_false_is_accepted(options: dict[str, bool]) -> None:
    """Old code that says fused=False or capturable=False runs."""
    params = make_params()
    run(SGD(params, lr=0.1, **options), params, 1)  # type: ignore[arg-type]


def test_foreach_with_differentiable_is_refused() -> None:
    """The multi-tensor step works in place, so that autograd could not flow through it."""
    text = message_of(lambda: SGD(make_params(), foreach=True, differentiable=True))
    assert "foreach" in text
    assert "differentiable" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": -0.1}, ["`lr`", "-0.1", ">= 0"]),
        ({"lr": float("nan")}, ["`lr`", "nan", "finite"]),
        ({"lr": float("inf")}, ["`lr`", "inf", "finite"]),
        ({"lr": "0.1"}, ["`lr`", "'0.1'"]),
        ({"lr": None}, ["`lr`", "None"]),
        ({"lr": torch.tensor(-0.5)}, ["`lr`", "-0.5", ">= 0"]),
        ({"momentum": -0.9}, ["`momentum`", "-0.9", "[0, 1)"]),
        ({"momentum": float("inf")}, ["`momentum`", "inf", "finite"]),
        ({"momentum": True}, ["`momentum`", "True"]),
        ({"weight_decay": -1e-4}, ["`weight_decay`", "-0.0001", ">= 0"]),
        ({"momentum": 0.9, "dampening": float("nan")}, ["`dampening`", "nan", "finite"]),
        ({"momentum": 0.9, "dampening": "0.5"}, ["`dampening`", "'0.5'"]),
        ({"nesterov": True}, ["`nesterov`", "momentum"]),
        ({"momentum": 0.9, "nesterov": 1}, ["`nesterov`", "True or False"]),
        ({"maximize": "yes"}, ["`maximize`", "True or False"]),
        ({"foreach": "no"}, ["`foreach`", "'no'"]),
        ({"differentiable": 1}, ["`differentiable`", "True or False"]),
        ({"decay": "couppled"}, ["`decay`", "Did you mean `coupled`?"]),
        ({"lr_in_velocity": 1}, ["`lr_in_velocity`", "True or False"]),
        ({"undampened_first_step": None}, ["`undampened_first_step`", "True or False"]),
        ({"clip_norm": 0.0}, ["`clip_norm`", "0"]),
        ({"clip_norm": -1.0}, ["`clip_norm`", "-1"]),
        ({"clip_norm": float("nan")}, ["`clip_norm`", "nan"]),
        ({"clip_norm": "1"}, ["`clip_norm`", "'1'"]),
        ({"on_nonfinite": "skp"}, ["`on_nonfinite`", "'skp'", "Did you mean `skip`?"]),
        ({"velocity_dtype": "float32"}, ["`velocity_dtype`", "'float32'", "torch.float32"]),
        ({"velocity_dtype": torch.int32}, ["`velocity_dtype`", "int32"]),
    ],
    ids=lambda value: ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_bad_arguments_say_what_was_got_and_what_is_allowed(options: dict[str, object], words: list[str]) -> None:
    """One clear message for each mistake; a SettingsError, so also the ValueError that torch's users catch."""
    with pytest.raises(SettingsError) as caught:
        SGD(make_params(), **options)  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("kind", [SGD, ScheduleFreeSGD])
def test_what_other_optimizers_mean_by_an_argument(kind) -> None:
    """Keras's clipnorm is of one variable, so clip_norm is no other name of it; lengths in epochs are told here too."""
    param = torch.nn.Parameter(torch.ones(2))
    for name, told in (
        ("clipnorm", "Keras's is of each parameter by itself"),
        ("steps_per_epoch", "A schedule in epo"),
    ):
        with pytest.raises(SettingsError, match=f"^downslope.torch.{kind.__name__}: unknown argument `{name}`. {told}"):
            kind([param], **{name: 1.0})


def test_an_unknown_argument_is_a_type_error() -> None:
    """As any Python function; and a SettingsError that knows what is meant."""
    with pytest.raises(TypeError, match="`momentun`. Did you mean `momentum`?"):
        SGD(make_params(), momentun=0.9)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("learning_rate", "lr"),
        ("wd", "weight_decay"),
        ("mom", "momentum"),
        ("max_grad_norm", "clip_norm"),
        ("weightDecay", "weight_decay"),
    ],
)
def test_what_others_call_an_argument_is_answered_with_our_word(name: str, ours: str) -> None:
    """No bare TypeError: the message says what it is called here."""
    with pytest.raises(SettingsError, match=f"`{name}`. Here it is called `{ours}`"):
        SGD(make_params(), **{name: 0.1})


def test_a_tensor_lr_of_several_elements_is_refused() -> None:
    """As in torch: a tensor lr has one element."""
    with pytest.raises(ValueError, match=r"`lr`|1-element"):
        SGD(make_params(), lr=torch.tensor([0.1, 0.2]))


def test_nesterov_with_dampening_is_allowed_and_follows_the_rule() -> None:
    """Torch refuses it; the rule defines it: v = 0.9 * 2 + 0.5 * 4 = 3.8, direction = 4 + 0.9 * 3.8."""
    param = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = SGD([param], lr=0.1, momentum=0.9, dampening=0.5, nesterov=True)
    param.grad = torch.tensor([2.0], dtype=torch.float64)
    optimizer.step()  # first step undampened: v = 2, direction = 2 + 1.8 = 3.8
    assert param.item() == pytest.approx(1 - 0.38, rel=1e-15)
    param.grad = torch.tensor([4.0], dtype=torch.float64)
    optimizer.step()
    assert param.item() == pytest.approx(1 - 0.38 - 0.1 * (4 + 0.9 * 3.8), rel=1e-15)


@pytest.mark.parametrize("kind", [dict, list])
def test_an_empty_parameter_list_is_refused_as_in_torch(kind: type) -> None:
    """A model without parameters is a mistake that torch reports too."""
    with pytest.raises(ValueError, match="empty parameter list|no parameter"):
        SGD(kind())


def test_a_single_tensor_is_refused_as_in_torch() -> None:
    """SGD(tensor) would iterate over its rows."""
    with pytest.raises(TypeError, match="iterable"):
        SGD(torch.zeros(3, requires_grad=True))  # type: ignore[arg-type]


def test_something_else_than_tensors_is_refused_as_in_torch() -> None:
    """Numbers are no parameters."""
    with pytest.raises(TypeError, match="can only optimize Tensors"):
        SGD([1.0, 2.0])  # type: ignore[list-item]


@pytest.mark.parametrize("unordered", [set, frozenset, weakref.WeakSet])
def test_a_set_is_refused_wherever_parameters_may_stand(unordered: type) -> None:
    """A set has no order that is the same in the next run: torch's reason, which it gives for groups alone."""
    reason = "the ordering of tensors in sets will change between runs"
    params = make_params()
    with pytest.raises(TypeError, match=reason):
        SGD(unordered(params))
    with pytest.raises(TypeError, match=reason):
        SGD([{"params": unordered(params)}])
    optimizer = SGD(params[:1])
    with pytest.raises(TypeError, match=reason):
        optimizer.add_param_group({"params": unordered(params[1:])})
    assert len(optimizer.param_groups) == 1


def test_what_has_an_order_is_no_set() -> None:
    """Views of dictionaries and generators are taken in their order."""
    table = {str(i): param for i, param in enumerate(make_params())}
    for ordered in (table.values(), iter(table.values()), (p for p in table.values()), tuple(table.values())):
        assert list(map(id, SGD(ordered).param_groups[0]["params"])) == list(map(id, table.values()))
    assert SGD(table.items()).param_groups[0]["param_names"] == list(table)


def test_a_non_leaf_tensor_is_refused_as_in_torch() -> None:
    """The gradient of a non-leaf tensor is not kept, so it could never be stepped."""
    with pytest.raises(ValueError, match="non-leaf"):
        SGD([torch.zeros(3, requires_grad=True) * 2])


def test_settings_say_everything() -> None:
    """settings= gives the same run as the same values written as arguments."""
    by_settings, by_arguments = make_params(), make_params()
    settings = downslope.Settings(lr=0.1, momentum=0.9, weight_decay=1e-2, decay="decoupled", lr_in_velocity=True)
    run(SGD(by_settings, settings=settings), by_settings, 5)
    run(
        SGD(by_arguments, lr=0.1, momentum=0.9, weight_decay=1e-2, decay="decoupled", lr_in_velocity=True),
        by_arguments,
        5,
    )
    for one, other in zip(by_settings, by_arguments, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"momentum": 0.9},
        {"weight_decay": 1e-4},
        {"nesterov": True},
        {"maximize": True},
        {"decay": "decoupled"},
        {"undampened_first_step": False},
        {"lr": 0.5, "momentum": 0.5},
    ],
    ids=str,
)
def test_settings_and_arguments_together_are_refused(options: dict[str, object]) -> None:
    """Which of the two should win nobody can guess, so the message names the argument that is too many."""
    settings = downslope.Settings(lr=0.5, momentum=0.5)
    text = message_of(lambda: SGD(make_params(), settings=settings, **options))  # type: ignore[arg-type]
    assert "`settings`" in text
    for name in options:
        assert name in text


def test_settings_go_with_what_is_no_setting() -> None:
    """foreach, clip_norm, on_nonfinite and groups are no part of the settings and stand beside them."""
    model = torch.nn.Linear(3, 2)
    optimizer = SGD(
        model,
        settings=downslope.Settings(lr=0.5, momentum=0.5, weight_decay=0.1),
        groups=[downslope.Group(match="bias", weight_decay=0.0)],
        foreach=False,
        clip_norm=1.0,
        on_nonfinite="skip",
    )
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.1]


def test_settings_of_another_type_are_refused() -> None:
    """A dictionary is no Settings, and the message says which type is wanted."""
    text = message_of(lambda: SGD(make_params(), settings={"lr": 0.1}))  # type: ignore[arg-type]
    assert "Settings" in text


def test_epoch_schedules_are_refused_at_construction_or_first_step() -> None:
    """Here nobody knows how many steps an epoch has; the message says to resolve it."""
    from downslope.schedules import Exponential

    params = make_params()

    def build_and_step() -> None:
        run(SGD(params, lr=Exponential(0.1, 0.5, 1, unit="epoch")), params, 1)

    assert "in_steps" in message_of(build_and_step)


def test_repr_tells_the_settings() -> None:
    """What a person prints shows the class and each group's numbers, as torch's does."""
    text = repr(SGD(make_params(), lr=0.25, momentum=0.5, decay="decoupled", weight_decay=0.125))
    assert text.startswith("SGD (")
    for line in ("lr: 0.25", "momentum: 0.5", "weight_decay: 0.125", "decay: decoupled"):
        assert re.search(rf"^\s+{line}$", text, re.MULTILINE), line


@pytest.mark.parametrize("lr", [torch.tensor(0.125), torch.tensor([0.125])], ids=["0-d", "1 element"])
@pytest.mark.parametrize("foreach", [True, False])
def test_a_tensor_lr_is_read_at_every_step(lr: torch.Tensor, foreach: bool) -> None:
    """A tensor lr filled in place by the user takes effect, as in torch (0.125 and 0.5 are exact)."""
    ours, theirs = make_params(), make_params()
    our_lr, their_lr = lr.clone(), lr.clone()
    optimizer = SGD(ours, lr=our_lr, momentum=0.9, weight_decay=1e-2, foreach=foreach)
    reference = torch.optim.SGD(theirs, lr=their_lr, momentum=0.9, weight_decay=1e-2, foreach=False)
    for step in range(6):
        run(optimizer, ours, 1, start=step)
        run(reference, theirs, 1, start=step)
        if step == 2:
            our_lr.fill_(0.5)
            their_lr.fill_(0.5)
    assert_close(ours, theirs)
    assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)


def test_a_tensor_weight_decay_is_the_same_number() -> None:
    """Torch takes a tensor weight_decay too (0.125 is exact)."""
    ours, theirs = make_params(), make_params()
    run(SGD(ours, lr=0.1, weight_decay=torch.tensor(0.125)), ours, 4)  # type: ignore[arg-type]
    run(torch.optim.SGD(theirs, lr=0.1, weight_decay=torch.tensor(0.125), foreach=False), theirs, 4)
    assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("key", "value"),
    [("lr", -0.1), ("lr", float("nan")), ("momentum", -0.5), ("weight_decay", -1.0), ("momentum", float("nan"))],
)
def test_a_bad_number_written_into_a_group_is_refused_before_anything_moves(key: str, value: float) -> None:
    """Groups are open to everybody; what stands there is checked at the step that would use it."""
    params = make_params()
    optimizer = SGD([{"params": params[:2]}, {"params": params[2:]}], lr=0.1, momentum=0.9)
    run(optimizer, params, 1)
    before = copy_params(params)
    optimizer.param_groups[1][key] = value
    with pytest.raises(SettingsError, match=f"`{key}`"):
        run(optimizer, params, 1, start=1)
    for param, old in zip(params, before, strict=True):
        assert torch.equal(param, old)
    assert optimizer.step_count == 1


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay", "dampening"])
def test_none_is_no_number(name: str) -> None:
    """Of the optimizer and of a group it is refused by its name, and so are groups that are None."""
    param = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(SettingsError, match=f"^`{name}` must be a number.*; got None"):
        SGD([param], **{name: None})
    with pytest.raises(SettingsError, match=f"^param group 0: `{name}` must be a number.*; got None"):
        SGD([{"params": [param], name: None}], lr=0.1)
    with pytest.raises(GroupError, match="`groups` must be a list of downslope.Group; got None"):
        SGD([param], groups=None)
