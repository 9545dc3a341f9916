"""Rules compared: the pairs that frameworks' users meet, each equal or parting at the step worked out by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from downslope import Settings, compare, load_recipe, read
from downslope.core.equivalence import EVERY_STEP
from downslope.core.errors import DownslopeError, RecipeError, SettingsError
from downslope.core.rule import sgd_rule
from downslope.core.settings import DECAYS
from downslope.schedules import Constant, Cosine, Exponential, Inverse, Linear, MultiStep, Sequence, Warmup
from draws import draws

DROP = MultiStep(0.1, 0.1, (2,))
TORCH = "torch: SGD(lr=0.1, momentum=0.9)"
OUTSIDE, INSIDE = Settings(lr=DROP, momentum=0.9), Settings(lr=DROP, momentum=0.9, lr_in_velocity=True)
DAMPENED = Settings(lr=1.0, momentum=0.9, dampening=0.9)

SAME = [
    ("torch and Keras, constant lr", TORCH, "keras: SGD(learning_rate=0.1, momentum=0.9)", 0.1),
    ("torch and optax", TORCH, "optax: sgd(0.1, momentum=0.9)", 1.0),
    ("torch and Caffe, constant lr", "torch: SGD(lr=0.01, momentum=0.9, weight_decay=5e-4)",
     'base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0005', 0.01),
    ("weight decay of torch is twice the l of Keras's L2",
     "torch.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=5e-4)",
     "keras: SGD(learning_rate=0.1, momentum=0.9, kernel_regularizer=L2(2.5e-4))", 0.1),
    ("and the l of tf.nn.l2_loss", "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)",
     "tf1: MomentumOptimizer(learning_rate=0.1, momentum=0.9, l2_loss=5e-4)", 1.0),
    ("optax's chain", "torch: lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True",
     "optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(0.1, momentum=0.9, nesterov=True))", 1.0),
    ("coupled and decoupled without momentum", "torch: SGD(lr=0.1, weight_decay=5e-4)",
     "keras: SGD(learning_rate=0.1, weight_decay=5e-4)", None),
    ("lr inside and outside without momentum", Settings(lr=DROP), Settings(lr=DROP, lr_in_velocity=True), None),
    ("dampening as lr, with a dampened first step", replace(DAMPENED, undampened_first_step=False),
     Settings(lr=0.1, momentum=0.9), 10.0),
    ("MLX dampens its first step", "mlx: SGD(learning_rate=1.0, momentum=0.9, dampening=0.9)", TORCH, 10.0),
    ("timm's SGDW and Keras's weight_decay, constant lr", "timm: SGDW(lr=0.1, momentum=0.9, weight_decay=0.01)",
     "keras: SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.01)", 0.1),
    ("timm calls Nesterov `sgd`", "timm: create_optimizer_v2(opt='sgd', lr=0.1)",
     "torch: SGD(lr=0.1, momentum=0.9, nesterov=True)", 1.0),
    ("relative decay is decoupled decay over the initial lr",
     Settings(lr=DROP, momentum=0.9, weight_decay=0.001, decay="relative"),
     Settings(lr=DROP, momentum=0.9, weight_decay=0.01, decay="decoupled"), 1.0),
    ("independent decay at a constant lr", Settings(lr=0.1, momentum=0.9, weight_decay=0.001, decay="independent"),
     Settings(lr=0.1, momentum=0.9, weight_decay=0.01, decay="decoupled"), 1.0),
    ("Keras switches after its boundary",
     "keras: SGD(learning_rate=PiecewiseConstantDecay([1], [0.1, 0.01]), momentum=0.9)", INSIDE, 1.0),
    ("a schedule in other words", Settings(lr=Exponential(0.1, 0.1, 2, staircase=True)),
     Settings(lr=Sequence((0.1,
    0.01), (2,))), None),
    ("a constant is a constant", Settings(lr=Constant(0.1), momentum=0.9), TORCH, 1.0),
]  # fmt: skip
# The schedule in other words agrees up to its next stair, so it is compared up to there.
STEPS = {"a schedule in other words": 4}


@pytest.mark.parametrize(("name", "a", "b", "scale"), SAME, ids=[row[0] for row in SAME])
def test_the_same_rule(name, a, b, scale):
    """These are one rule, in both directions, by the scale of the velocity that is expected."""
    steps = STEPS.get(name)
    found = compare(a, b, steps=steps)
    assert (found.same, found.first_step, found.causes) == (True, None, ())
    assert found.scale == (scale if scale is None else pytest.approx(scale, rel=1e-12))
    assert compare(b, a, steps=steps).same


COUPLED = Settings(lr=0.1, momentum=0.9, weight_decay=0.01)
PART = [
    ("lr inside, once it drops at the third step", OUTSIDE, INSIDE, 2, ("lr_in_velocity",), (0.6829, 0.529)),
    ("coupled and decoupled with momentum, from the second step", COUPLED, replace(COUPLED, decay="decoupled"), 1,
     ("decay",), None),
    ("dampening, at the first step alone", DAMPENED, Settings(lr=0.1, momentum=0.9), 0, ("dampening", "lr"), (0.0,
    0.9)),
    ("Nesterov, at once", replace(COUPLED, nesterov=True), COUPLED, 0, ("nesterov",), None),
    ("momentum, from the second step", replace(COUPLED, momentum=0.8), COUPLED, 1, ("momentum",), None),
    ("lr", Settings(lr=0.1), Settings(lr=0.2), 0, ("lr",), (0.9, 0.8)),
    ("maximize", Settings(lr=0.1), Settings(lr=0.1, maximize=True), 0, ("maximize",), (0.9, 1.1)),
    ("a milestone one step later", OUTSIDE, replace(OUTSIDE, lr=MultiStep(0.1, 0.1, (3,))), 2, ("lr",), None),
    ("lr 0 at the first step: the gradient is lost inside", Settings(lr=Warmup(4, 0.1), momentum=0.9),
     Settings(lr=Warmup(4, 0.1), momentum=0.9, lr_in_velocity=True), 1, ("lr_in_velocity",), None),
    ("independent decay, when lr drops", Settings(lr=DROP, momentum=0.9, weight_decay=0.001, decay="independent"),
     Settings(lr=DROP, momentum=0.9, weight_decay=0.01, decay="decoupled"), 2, ("decay", "weight_decay"), None),
    ("corrected and decoupled decay, when lr drops", Settings(lr=DROP, momentum=0.9, weight_decay=0.01,
     decay="corrected"),
     Settings(lr=DROP, momentum=0.9, weight_decay=0.01, decay="decoupled"), 2, ("decay",), None),
    ("Caffe's inv outside, at the second step",
     'base_lr: 0.01 lr_policy: "inv" gamma: 0.0001 power: 0.75 momentum: 0.9',
     Settings(lr=Inverse(0.01, 1e-4, 0.75), momentum=0.9), 1, ("lr_in_velocity",), None),
    ("timm's SGDW and Keras, once lr drops", Settings(lr=DROP, momentum=0.9, weight_decay=0.01, decay="decoupled"),
     Settings(lr=DROP, momentum=0.9, weight_decay=0.01, decay="decoupled", lr_in_velocity=True), 2,
     ("lr_in_velocity",), None),
    ("a milestone far out", Settings(lr=MultiStep(0.1, 0.1, (300_000,))),
     Settings(lr=MultiStep(0.1, 0.1,
    (300_001,))), 300_000,
     ("lr",), None),
    ("cosines of two lengths", Settings(lr=Cosine(0.1, 0.0, 600_000)), Settings(lr=Cosine(0.1, 0.0, 600_001)), 2,
    ("lr",), None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "a", "b", "step", "causes", "params"), PART, ids=[row[0] for row in PART])
def test_where_two_rules_part(name, a, b, step, causes, params):
    """These part at this step, for these fields, and end there from param 1 with gradient 1."""
    found = compare(a, b)
    if name != "cosines of two lengths":
        assert found.first_step == step
    else:
        assert 0 < found.first_step < EVERY_STEP  # at which step the cosine leaves 1 is a matter of rounding
    assert not found.same
    assert set(found.causes) == set(causes)
    if params is not None:
        assert found.params == pytest.approx(params, rel=1e-12)


def test_the_whole_path_of_the_divergence_that_bites():
    """torch .9, .71, .6829, .6485 and Keras .9, .71, .529, .3561: the first difference is the third step's."""
    ends = []
    for settings in (OUTSIDE, INSIDE):
        param, velocity, path = 1.0, 0.0, []
        for step in range(4):
            delta, velocity = sgd_rule(param, 1.0, velocity, settings.at(step, first=step == 0))
            param += delta
            path.append(round(param, 4))
        ends.append(path)
    assert ends == [[0.9, 0.71, 0.6829, 0.6485], [0.9, 0.71, 0.529, 0.3561]]
    assert compare(OUTSIDE, INSIDE).first_step == next(i for i, (x, y) in enumerate(zip(*ends, strict=True)) if x != y)


def test_only_the_first_step_differs():
    """Dampening of the momentum's size is a tenth of lr from the second step on, and says so."""
    found = compare(DAMPENED, Settings(lr=0.1, momentum=0.9))
    assert found.only_first
    assert found.scale == pytest.approx(10.0)


def test_keras_is_told_its_regularizer():
    """The suggestion for torch's weight decay in Keras names L2 of half of it, and not weight_decay."""
    found = compare(
        "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)",
        "keras: SGD(learning_rate=0.1, momentum=0.9, weight_decay=5e-4)",
    )
    assert "use kernel_regularizer=L2(0.00025), not weight_decay=0.0005" in found.suggestions[0]
    assert compare(
        found.a, "keras: SGD(learning_rate=0.1, momentum=0.9, kernel_regularizer=L2(0.00025))"
    ).same  # the suggestion is true


def test_wide_resnet_in_keras():
    """A paper's sentence against Keras: the regularizer, and that lr stands inside and will part the two."""
    words = (
        "SGD with Nesterov momentum 0.9, initial learning rate 0.1, weight decay 0.0005, minibatch size 128; "
        "dropped by 0.2 at "
        "60, 120 and 160 epochs, total of 200 epochs"
    )
    found = compare(
        words, "keras: SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)", examples=50_000
    )
    said = " ".join(found.suggestions)
    assert "kernel_regularizer=L2(0.00025)" in said
    assert "part at step 23460" in said  # 60 epochs of 391 steps
    assert "downslope export" in said


def test_readings_recipes_and_files_are_taken():
    """Readings, recipes and paths are sides like any other."""
    sentence = "SGD, learning rate 0.1, momentum 0.9, weight decay 1e-4, 10 epochs"
    assert compare(read(sentence)[0], sentence).same
    assert compare("recipes/digits.toml", load_recipe("recipes/digits.toml")).same


def test_advice_that_cannot_be_followed_is_left_out_with_the_reason():
    """A recipe whose lr a plateau moves takes no schedule: the comparison comes, and says so for that side alone."""
    plateau, stairs = (load_recipe(f"recipes/{name}.toml") for name in ("digits-plateau-early-stop", "digits"))
    for one, other, side in ((plateau, stairs, "a"), (stairs, plateau, "b")):
        found = compare(one, other)
        assert (found.same, found.first_step, found.causes) == (False, 1000, ("lr",))
        refused, given = sorted(found.advice, key=lambda advice: advice.side != side)
        assert (refused.text, refused.same) == ("", False)
        assert refused.why.startswith("`train.plateau` needs a constant `sgd.lr`")
        assert given.text.startswith("sgd.lr = 0.")
        said = f"{side.upper()} alone cannot be made the same rule as {'BA'[side == 'b']}: `train.plateau` needs"
        assert any(sentence.startswith(said) for sentence in found.suggestions)


@pytest.mark.parametrize(
    ("option", "written", "off"),
    [
        ({"nu": 0.7}, "sgd.nu = 0.7", "sgd.nu = 1.0"),
        ({"trust_coefficient": 0.25}, "sgd.trust_coefficient = 0.25", "sgd.trust_coefficient = 0.0"),
        (
            {"trust_coefficient": 0.25, "trust_clip": True},
            "sgd.trust_coefficient = 0.25, sgd.trust_clip = true",
            "sgd.trust_coefficient = 0.0, sgd.trust_clip = false",
        ),
        ({"adaptive_clip": 0.01}, "sgd.adaptive_clip = 0.01", "sgd.adaptive_clip = 0.0"),
    ],
)
def test_an_option_of_recipes_is_switched_off_by_the_value_that_says_so(option, written, off):
    """TOML has no None: the recipe that has the option is told the number or flag that a recipe takes for none."""
    plain = load_recipe("recipes/digits.toml")
    found = compare(plain, replace(plain, sgd=replace(plain.sgd, **option)))
    texts = {advice.side: advice.text for advice in found.advice}
    assert all(advice.same for advice in found.advice)
    assert written in texts["a"]
    assert off in texts["b"]


def test_groups_are_compared():
    """The same groups with another value part; groups that match other parameters are another training."""
    one = load_recipe("recipes/digits-nesterov-decoupled.toml")
    assert compare(one, replace(one, title="other")).same
    group = replace(one.groups[0], weight_decay=1e-3)
    assert compare(one, replace(one, groups=(group,))).causes == ("weight_decay",)
    other = compare(one, replace(one, groups=()))
    assert (other.same, other.first_step, other.causes) == (False, None, ("groups",))


def test_long_schedules_are_quick_and_found():
    """Of a million steps, those are looked at where something can change, and the very first difference is found."""
    stairs = Exponential(0.1, 0.9, 30_000, staircase=True)
    later = Sequence((stairs, 0.05), (777_777,))
    found = compare(Settings(lr=stairs, momentum=0.9), Settings(lr=later, momentum=0.9), steps=1_000_000)
    assert found.first_step == 777_777
    smooth = Linear(0.1, 0.0, 1_000_000)
    kinked = Sequence((smooth, Linear(smooth(500_000), 0.01, 500_000)), (500_000,))
    assert compare(Settings(lr=smooth), Settings(lr=kinked), steps=1_000_000).first_step == 500_001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        ("torch: SGD(lr=0.1, momentun=0.9)", "Did you mean `momentum`"),
        ("torch: SGD(lr=0.1, weight_decay=f(1))", "is none of"),
        ("torch: SGD(lr=__import__('os').system('true'))", "is none of"),
        ("torch: SGD(lr=1/0)", "is no number"),
        ("torch: SGD(0.1, 0.9", "not a call"),
        ("keras: SGD(learning_rate=0.1, **rest)", "stands for arguments"),
        ("torch: SGD(model.parameters(), 0.1)", "must be named"),
        ("missing.toml", "no such file"),
        ("Adam with learning rate 1e-3", "the optimizer is adam"),
        ("hello", "the text does not say"),
        (3, "cannot be compared"),
        ("torch: Adam(lr=0.1)", "`Adam` is another optimizer than torch.optim.SGD"),
        ("optax: adamw(0.1)", "`adamw` is another optimizer than optax.sgd"),
        ("timm: create_optimizer_v2(opt='adam', lr=0.1)", "`opt` must be one of"),
    ],
)
def test_what_cannot_be_understood_is_said(text, message):
    """A side that is no way of training is refused with the reason, whichever side it is."""
    for sides in ((text, TORCH), (TORCH, text)):
        with pytest.raises(DownslopeError, match=message):
            compare(*sides)


def test_epochs_need_their_steps():
    """Settings in epochs cannot be laid beside settings in steps before somebody says how long an epoch is."""
    by_epoch = Settings(lr=MultiStep(0.1, 0.1, (3,), "epoch"))
    with pytest.raises(RecipeError, match="steps_per_epoch=N"):
        compare(by_epoch, TORCH)
    assert compare(by_epoch, Settings(lr=MultiStep(0.1, 0.1, (30,))), steps_per_epoch=10).same
    words = "SGD, learning rate 0.1, divided by 10 at epoch 3, batch size 100, for 9 epochs"
    assert compare(words, by_epoch, examples=1000).same  # the recipe knows: 10 steps an epoch
    assert compare(by_epoch, words, examples=1000).same


@st.composite
def some_settings(draw):
    """Return settings of every kind, with an lr that may drop."""
    number = st.floats(0.01, 0.5)
    momentum = draw(st.sampled_from([0.0, 0.5, 0.9]))
    return Settings(
        lr=draw(st.one_of(number, st.builds(MultiStep, number, st.just(0.5), st.just((3,))))),
        momentum=momentum,
        dampening=draw(st.sampled_from([0.0, 0.5])) if momentum else 0.0,
        nesterov=draw(st.booleans()) if momentum else False,
        weight_decay=draw(st.sampled_from([0.0, 0.01])),
        decay=draw(st.sampled_from(DECAYS)),
        lr_in_velocity=draw(st.booleans()),
        undampened_first_step=draw(st.booleans()),
    )


@hypothesis_settings(max_examples=draws(100))
@given(some_settings(), st.data())
def test_the_verdict_is_what_a_run_shows(a, data):
    """Whatever the two: they are called the same exactly where a run of random gradients stays the same."""
    import numpy as np

    names = data.draw(
        st.lists(st.sampled_from(["lr", "momentum", "decay", "lr_in_velocity", "undampened_first_step"]), max_size=2)
    )
    b, other = a, data.draw(some_settings())
    for name in names:
        try:
            b = replace(b, **{name: getattr(other, name)})
        except SettingsError:
            return
    found = compare(a, b, steps=12)
    grads = np.random.default_rng(1).normal(size=12)
    runs = []
    for settings in (a, b):
        param, velocity, path = 1.0, 0.0, []
        for step, grad in enumerate(grads):
            delta, velocity = sgd_rule(param, grad, velocity, settings.at(step, first=step == 0))
            param += delta
            path.append(param)
        runs.append(path)
    apart = [
        step for step, (x, y) in enumerate(zip(*runs, strict=True)) if not np.isclose(x, y, rtol=1e-11, atol=1e-13)
    ]
    assert found.first_step == (apart[0] if apart else None)


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("train.label_smoothing", "0.1", "train.label_smoothing is 0.0 in A, 0.1 in B"),
        ("data.augment.flip", "true", "data.augment is None in A, { crop = 0, "),
        ("data.normalize", '"measured"', "data.normalize is None in A, 'measured' in B"),
        ("train.freeze", '["dense1.*"]', "train.freeze is () in A, ('dense1.*',) in B"),
        ("train.start_from", '"run"', "train.start_from is None in A, 'run' in B"),
        ("train.loss", '"mse"', "train.loss is 'cross_entropy' in A, 'mse' in B"),
        ("train.velocity_dtype", '"int8"', "train.velocity_dtype is 'float32' in A, 'int8' in B"),
        ("train.shards", "4", "train.shards is 1 in A, 4 in B"),
        ("train.on_nonfinite", '"skip"', "train.on_nonfinite is 'raise' in A, 'skip' in B"),
        ("train.early_stop.patience", "3", "train.early_stop is None in A, { patience = 3, "),
        ("train.spike.factor", "3.0", "train.spike is None in A, { factor = 3.0, "),
        ("data.validation", "0.2", "data.validation is None in A, 0.2 in B"),
        ("data.options.missing", '"drop"', 'data.options is {} in A, { missing = "drop" } in B'),
        ("model.hidden", "[9]", "model.hidden is (128,) in A, (9,) in B"),
    ],
)
def test_what_else_differs_is_said(path, value, shown):
    """One rule, and yet not the same training."""
    digits = replace(load_recipe(), title="the digits")
    found = compare(digits, replace(load_recipe(overrides=[(path, value)]), title="the others"))
    assert found.same
    assert any(shown in remark for remark in found.remarks)


def test_what_changes_no_number_is_not_told():
    """Of keys that say how data are read or what is logged."""
    others = [("data.loaders", "2"), ("train.log_every", "7"), ("train.measure_every", "0"), ("train.compile", "true")]
    found = compare(load_recipe(), replace(load_recipe(overrides=others), title="the others"))
    assert found.same
    assert found.remarks == compare(load_recipe(), load_recipe()).remarks


def test_an_epoch_of_one_step_is_told_in_the_singular():
    """A batch as large as the 1437 examples is one step; one less, two."""
    for size, said in ((1437, "1 step an epoch"), (1436, "2 steps an epoch")):
        lr = Linear(0.1, 0.0, 10, "epoch")
        recipe = load_recipe(overrides=[("data.batch_size", str(size))])
        text = "\n".join(compare(replace(recipe, sgd=replace(recipe.sgd, lr=lr)), load_recipe()).remarks)
        assert said in text
