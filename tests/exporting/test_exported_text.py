"""Exported text: clean by ruff, complete, honest in comments; timm and Caffe, which cannot run here, are read back."""

import ast
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from downslope import Settings, explain, export, load_recipe, read
from downslope.core.errors import ExportError
from downslope.core.groups import Group
from downslope.core.schedules.schedule import Schedule
from downslope.exporting import TARGETS
from downslope.recipe.schema import Plateau, Recipe, Train
from downslope.schedules import Constant, Cosine, Exponential, Inverse, Linear, MultiStep, Polynomial, Sequence, Warmup
from draws import draws
from exporting.exported_cases import CASES
from exporting.problem import same_rule
from exporting.running import program, solver_settings
from recipe.recipe_strategies import RECIPES

PYTHON = [target for target in TARGETS if target != "caffe"]


def exported(target, **options):
    """Yield (case, text) of every case that a target can express."""
    for case in CASES:
        try:
            yield case, export(case.recipe, to=target, steps_per_epoch=case.steps_per_epoch, **options)
        except ExportError:
            continue


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with every program of every target, with the model and without."""
    folder = tmp_path_factory.mktemp("exported")
    for target in PYTHON:
        for with_model in (False, True):
            for number, (_, text) in enumerate(exported(target, with_model=with_model)):
                (folder / f"{target}_{number}{'_model' if with_model else ''}.py").write_text(text, encoding="utf-8")
    return folder


def ruff(*words, cwd):
    """Run ruff by its own defaults, as somebody who never saw this project would."""
    command = [sys.executable, "-m", "ruff", *words, "--isolated", "."]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("epochs", "steps"), [(1.01, 45), (1.02, 46), (2.5, 112)])
def test_a_broken_number_of_epochs_is_the_steps_that_training_takes(epochs, steps):
    """Of 45 steps an epoch: 45.45, 45.9 and 112.5 are rounded as `downslope train` and `explain` round them."""
    recipe = load_recipe(None, [("train.epochs", str(epochs)), ("data.batch_size", "32")])
    assert explain(recipe).run.total_steps == steps
    for target in PYTHON:
        assert f"\nSTEPS = {steps}\n" in export(recipe, to=target)


def test_every_program_is_clean(folder):
    """Ruff finds nothing by its default rules, unused or unsorted imports included."""
    assert len(list(folder.iterdir())) > 500
    done = ruff("check", "--extend-select", "I,F,E4,E7,E9,W", cwd=folder)
    assert done.returncode == 0, done.stdout[:3000]


def test_every_program_is_formatted(folder):
    """Ruff's formatter would change nothing."""
    done = ruff("format", "--diff", cwd=folder)
    assert done.returncode == 0, done.stdout[:3000]


def arguments_of(text, function):
    """Return the keyword arguments of the call of a function in a program."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function:
            return {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    raise AssertionError(f"no {function} in\n{text}")


def test_timm_read_back_is_the_same_rule():
    """timm's arguments, read by the conventions, are the recipe's rule with its lr at the first step."""
    count = 0
    for case, text in exported("timm"):
        if case.recipe.groups or any(
            isinstance(getattr(case.recipe.sgd, n), Schedule) for n in ("momentum", "weight_decay")
        ):
            continue
        factory = "timm.optim.create_optimizer_v2"
        function = factory if factory in text else "timm.optim.SGDW"
        given = arguments_of(text, function)
        given.pop("filter_bias_and_bn", None)
        settings = Settings.from_convention("timm", **given)
        sgd = case.recipe.sgd.in_steps(case.steps_per_epoch)
        if isinstance(sgd.lr, Schedule):
            kept = 1 if sgd.undampened_first_step else 1 - sgd.dampening
            # What a scheduler writes: the recipe's lr at a step, as a number, in both.
            for step in (1, 5, 30):
                lr = sgd.lr(step)
                if lr == 0 or sgd.decay == "corrected":
                    continue
                then = replace(sgd, lr=lr)
                if sgd.decay == "relative":
                    then = replace(then, decay="decoupled", weight_decay=then.weight_decay / sgd.lr_initial)
                assert same_rule(replace(settings, lr=lr * kept), then, (1, 2)), case
        else:
            assert same_rule(settings, sgd, (1, 2)), case
        count += 1
    assert count > 40


def test_caffe_read_back_is_the_same_rule():
    """A Caffe solver, read back by the conventions and by `read`, is the recipe's rule at every step."""
    count = 0
    for case, text in exported("caffe"):
        if case.recipe.groups:
            continue
        sgd = case.recipe.sgd.in_steps(case.steps_per_epoch)
        settings, others = solver_settings(text)
        assert others["clip_gradients"] == case.recipe.train.clip_norm
        assert same_rule(settings, sgd, range(1, 60)), (case, text)
        if sgd.weight_decay < 0.5:  # which no reader believes
            solver = "\n".join(line for line in text.splitlines() if not line.startswith(("#", "net:")))
            assert same_rule(read(solver)[0].recipe().sgd, sgd, range(1, 60)), (case, text)
        count += 1
    assert count >= 10


def test_caffe_multiplies_blob_by_blob():
    """A group without decay is a decay_mult of 0 in the network."""
    recipe = load_recipe("recipes/digits.toml", [("sgd.lr_in_velocity", "true")])
    text = export(replace(recipe, groups=load_recipe("recipes/digits-nesterov-decoupled.toml").groups), to="caffe")
    assert "param { lr_mult: 1 decay_mult: 0 }" in text
    assert "stepsize: 1000" in text


def test_caffe_poly_ends_with_the_training():
    """Caffe's poly policy has no length of its own, so a schedule of another length is refused."""
    sgd = Settings(lr=Polynomial(0.1, 0.0, 100), momentum=0.9, lr_in_velocity=True)
    assert "max_iter: 100" in export(Recipe(sgd=sgd, train=Train(steps=100)), to="caffe")
    with pytest.raises(ExportError, match="lasts 100 steps and the training 150"):
        export(Recipe(sgd=sgd, train=Train(steps=150)), to="caffe")


WIDE_RESNET = next(case.recipe for case in CASES if case.name == "Wide ResNet")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            "torch",
            ["milestones=[60, 120, 160]", "gamma=0.2", "weight_decay=0.0005", "nesterov=True", "after each epoch"],
        ),
        ("timm", ['opt="sgd"', "filter_bias_and_bn=False", "milestones=[60, 120, 160]"]),
        ("optax", ["optax.add_decayed_weights(0.0005)", "{23460: 0.2, 46920: 0.2, 62560: 0.2}", "391 steps an epoch"]),
        (
            "keras",
            ["kernel_regularizer=keras.regularizers.L2(0.00025)", "boundaries=[23459, 46919, 62559]", "one less"],
        ),
        ("tensorflow", ["tf.keras.regularizers.L2(0.00025)", "tf.GradientTape", "@tf.function"]),
        ("downslope", ["milestones=(23460, 46920, 62560)", "downslope.torch.SGD"]),
    ],
)
def test_wide_resnet_as_each_community_writes_it(target, words):
    """The recipe that everybody trains, in each framework's own words and unit."""
    text = export(WIDE_RESNET, to=target, examples=50_000)
    joined = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    assert not [word for word in words if word not in joined], text


def test_keras_layers_have_the_regularizer():
    """With the model, coupled decay stands in its layers, as a Keras user writes it: half of the recipe's."""
    text = export("recipes/digits-keras-l2.toml", to="keras", with_model=True)
    assert text.count("kernel_regularizer=keras.regularizers.L2(0.02)") == 1
    assert "bias_regularizer" not in text
    assert "weight_decay=" not in text.replace("No weight_decay= here", "")


def test_an_epoch_must_be_known():
    """Data of one's own has no known epoch: a schedule in epochs asks for it, unless PyTorch steps it by epochs."""
    own = load_recipe("recipes/digits-own-model.toml")
    with pytest.raises(ExportError, match="--steps-per-epoch N or --examples N"):
        export(own, to="optax")
    by_epoch = replace(own, sgd=Settings(lr=MultiStep(0.1, 0.1, (3,), "epoch"), momentum=0.9), groups=())
    assert "milestones=[3]" in export(by_epoch, to="torch")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "torhc"}, "Did you mean `torch`"),
        ({"to": 3}, "`to` must be"),
        ({"to": "torch", "steps_per_epoch": 0}, "`steps_per_epoch` must be an integer >= 1; got 0"),
        ({"to": "torch", "examples": True}, "`examples` must be an integer"),
        ({"to": "torch", "examples": 5, "steps_per_epoch": 5}, "not both"),
        ({"to": "torch", "with_model": 1}, "`with_model` must be True or False"),
        ({"to": "caffe", "with_model": True}, "the solver alone"),
    ],
)
def test_mistakes_are_refused(options, message):
    """What a person gets wrong is said."""
    with pytest.raises(ExportError, match=message):
        export(load_recipe(), **options)


def test_a_schedule_never_overwrites_a_group():
    """Where momentum or weight decay is scheduled and a group has a number, PyTorch's one loop is refused."""
    group = Group(match="*.bias", weight_decay=0.0)
    sgd = Settings(lr=0.1, momentum=0.9, weight_decay=MultiStep(0.01, 0.5, (3,)))
    with pytest.raises(ExportError, match="`weight_decay` has a schedule in some groups"):
        export(Recipe(sgd=sgd, groups=(group,), train=Train(steps=9)), to="torch")


def test_averages_of_groups_are_not_exported():
    """As `train.ema` is not; a group of one alone still comes first, and takes its names from those behind it."""
    groups = (Group(match="head.*", ema=0.5), Group(match="*.weight", ema=0.5, lr=0.01))
    program = export(Recipe(sgd=Settings(lr=0.1), groups=groups, train=Train(steps=9, ema=0.9)), to="downslope")
    assert str(program).count("ema") == 1
    assert "averages the weights over steps (train.ema = 0.9)" in " ".join(str(program).split())
    assert "Group(match='head.*', lr_factor=1.0)" in str(program).replace('"', "'")
    assert "Group(match='*.weight', lr=0.01)" in str(program).replace('"', "'")
    for target in ("torch", "optax", "caffe"):
        plain = replace(groups[1], ema=None)
        with_average, without = (
            export(Recipe(sgd=Settings(lr=0.1), groups=(group,), train=Train(steps=9, ema=0.9)), to=target)
            for group in (groups[1], plain)
        )
        assert str(with_average) == str(without)


@pytest.mark.parametrize("target", ["torch", "optax", "keras", "tensorflow", "timm", "downslope"])
def test_a_schedule_that_never_changes_is_its_number(target):
    """A constant schedule of lr, momentum or weight decay is exported as the number it always has."""
    lr, momentum, weight_decay = Constant(0.1), Linear(0.9, 0.9, 5), MultiStep(0.01, 1.0, (3,))
    schedules = Settings(lr=lr, momentum=momentum, weight_decay=weight_decay)
    numbers = Settings(lr=0.1, momentum=0.9, weight_decay=0.01)
    one, other = (export(Recipe(sgd=sgd, train=Train(steps=9)), to=target) for sgd in (schedules, numbers))
    code = [[line for line in text.splitlines() if "#" not in line] for text in (one, other)]
    assert code[0] == code[1]


@pytest.mark.parametrize(
    ("lr", "words"),
    [
        (Exponential(0.5, 0.5, 41, staircase=True), "drops one step late for many periods"),
        (Exponential(0.5, 0.5, 7, staircase=True, end=0.1), "ExponentialDecay has no value at which it stops."),
        (Polynomial(0.5, 0.0, 40, power=0.9), "of 0.9 is NaN."),
        (Polynomial(0.5, 0.0, 2**31, power=2.0), "It has a length of 2**31 steps or more"),
        (Inverse(0.5, 0.01, power=0.5), "InverseTimeDecay has no power."),
        (Cosine(0.0, 0.5, 30), "CosineDecay ends at a multiple of its first value, which is 0 here."),
        (Warmup(2.5, Cosine(0.5, 0.0, 30)), "CosineDecay warms up for a whole number of steps, at least 1."),
        (Warmup(5, Exponential(0.5, 0.5, 41, staircase=True)), "Keras has no schedule like it."),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
@pytest.mark.parametrize("target", ["keras", "tensorflow"])
def test_a_learning_rate_of_ones_own_says_why(target, lr, words):
    """The class says what is wrong with Keras's own schedule, the one reason and no other."""
    reasons = [
        "one step late",
        "at which it stops",
        "is NaN",
        "2**31",
        "no power",
        "multiple",
        "warms up",
        "no schedule",
    ]
    program = ast.parse(export(Recipe(sgd=Settings(lr=lr), train=Train(steps=500)), to=target))
    own = next(one for one in program.body if isinstance(one, ast.ClassDef) and one.name == "LearningRate")
    doc = " ".join(ast.get_docstring(own).split())
    assert words in doc
    assert sum(reason in doc for reason in reasons) == 1


def test_numbers_in_a_row_are_keras_piecewise_constant():
    """Ours changes at steps 3 and 20, which Keras's does one step after its boundaries 2 and 19."""
    row = Sequence((0.5, 0.1, 0.2), (2.4, 20))
    assert [row(step) for step in (2, 3, 19, 20)] == [0.5, 0.1, 0.1, 0.2]
    text = export(Recipe(sgd=Settings(lr=row), train=Train(steps=50)), to="keras")
    assert "schedules.PiecewiseConstantDecay(" in text
    assert "boundaries=[2, 19]" in text
    assert "values=[0.5, 0.1, 0.2]" in text


def test_a_plateau_is_stepped_beside_a_schedule_of_momentum():
    """With both, the loop counts steps for one and looks at the metric for the other."""
    sgd = Settings(lr=0.1, momentum=MultiStep(0.5, 1.5, (3,)))
    text = export(Recipe(sgd=sgd, train=Train(epochs=9.0, plateau=Plateau(patience=2))), to="torch")
    assert "scheduler.step(evaluate(model))" in text
    assert 'group["momentum"] = momentum(step)' in text


def test_timm_decays_by_its_own_key_and_own_lr():
    """SGDW's scheduled decay has its own key; corrected decay is refused where timm divides by another lr."""
    sgd = Settings(lr=0.1, momentum=0.9, weight_decay=MultiStep(0.01, 0.5, (3,)), decay="decoupled")
    text = export(Recipe(sgd=sgd, train=Train(steps=9)), to="timm")
    assert 'group["weight_decay"] = weight_decay(step)' in text
    corrected = Settings(lr=Warmup(3, 0.1), momentum=0.9, weight_decay=0.01, decay="corrected")
    with pytest.raises(ExportError, match="divides by the lr that the optimizer is made with"):
        export(Recipe(sgd=corrected, train=Train(steps=9)), to="timm")


def test_a_title_cannot_break_the_program():
    """Quotes, backslashes and line ends of a title or source stay words in a comment or docstring."""
    recipe = replace(load_recipe(), title='a """ b \\N{x} \\', source='ends in "quotes"\nimport os')
    for target in PYTHON:
        text = export(recipe, to=target)
        assert "import os" not in [line.strip() for line in text.splitlines()]
        ast.parse(text)


def test_patterns_are_quoted():
    """A group's pattern is data, never code."""
    recipe = replace(load_recipe(), groups=(Group(match='x") or exec("1', weight_decay=0.0),))
    for target in PYTHON:
        calls = [ast.unparse(n.func) for n in ast.walk(ast.parse(export(recipe, to=target))) if isinstance(n, ast.Call)]
        assert "exec" not in calls


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "epochs"), [("torch", 8), ("optax", 8), ("downslope", 8), ("keras", 4), ("tensorflow", 4)]
)
def test_the_default_classifier_learns(target, epochs, capsys):
    """With the model, the program is run as it is, and reads digits it never saw."""
    recipe = load_recipe("recipes/digits.toml", [("train.epochs", str(epochs))])
    case = replace(CASES[0], recipe=recipe, steps_per_epoch=45)
    program(case, target, with_model=True).main()
    assert float(capsys.readouterr().out.split("held-out accuracy:")[1]) > 0.9


def test_staircase_of_jax_counts_in_integers():
    """The program for JAX does not divide to count periods, and says why."""
    sgd = Settings(lr=Exponential(0.1, 0.5, 41, staircase=True))
    text = export(Recipe(sgd=sgd, train=Train(steps=100)), to="optax")
    assert "step // 41" in text
    assert "counted in integers" in text


def test_exported_json_free_text_is_deterministic():
    """The same recipe gives the same text."""
    texts = {json.dumps([text for _, text in exported("keras")]) for _ in range(2)}
    assert len(texts) == 1


@hypothesis_settings(max_examples=draws(80))
@given(RECIPES, st.sampled_from(list(TARGETS)), st.booleans())
def test_any_recipe_is_a_program_or_is_refused(recipe, target, with_model):
    """Whatever the recipe: a text that Python (or Caffe) takes, or an error that says what cannot be expressed."""
    try:
        text = export(recipe, to=target, with_model=with_model, steps_per_epoch=7)
    except ExportError:
        return
    if target == "caffe":
        assert "base_lr: " in text
    else:
        ast.parse(text)


def test_the_comma_behind_a_chain_counts():
    """A group's chain whose line would have 89 columns with its comma is broken, as a formatter breaks it."""
    sgd = Settings(lr=Warmup(2, Cosine(0.1, 0.0, 9)), weight_decay=0.02)
    recipe = Recipe(sgd=sgd, groups=(Group(match="*.bias", lr=0.05, weight_decay=0.0),), train=Train(steps=9))
    text = export(recipe, to="optax")
    assert (
        '"others": optax.chain(\n            optax.add_decayed_weights(0.02), optax.sgd(learning_rate)\n        ),'
        in text
    )


@pytest.mark.parametrize("target", ["torch", "keras", "optax"])
def test_a_program_says_what_it_does_not_do_to_images_and_labels(target):
    """It has the model and the data, and so would be taken for the whole of the recipe."""
    paths = ("train.label_smoothing", "data.augment", "data.normalize")
    given = [("train.label_smoothing", "0.1"), ("data.augment.flip", "true"), ("data.normalize", '"measured"')]
    whole = export(load_recipe(overrides=given), to=target, with_model=True)
    plain = export(load_recipe(), to=target, with_model=True)
    assert [(path in whole, path in plain) for path in paths] == [(True, False)] * 3
