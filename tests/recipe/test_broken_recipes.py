"""Every way a recipe can be wrong gets one message: where, what was got, what is allowed, what to do."""

import os

import pytest

from downslope.core.errors import RecipeError
from downslope.recipe.load import load_recipe, parse_recipe

SGD = "[sgd]\nlr = 0.1\n"
TRAIN = "[train]\nepochs = 2\n"
GOOD = SGD + TRAIN
EXAMPLE = '{ schedule = "cosine", initial = 0.1, final = 0.0, duration = 20, unit = "epoch" }'


def lr(schedule):
    """Return a recipe with this lr."""
    return f"[sgd]\nlr = {schedule}\n{TRAIN}"


# what is broken, the recipe, and the whole message
BROKEN = [
    (
        "no TOML",
        "[sgd\n",
        "my.toml: not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 5).",
    ),
    ("empty", "", "my.toml: the table `sgd` is missing. Add it, or give --sgd.KEY on the command line."),
    ("no train", SGD, "my.toml: the table `train` is missing. Add it, or give --train.KEY on the command line."),
    (
        "no lr",
        "[sgd]\n" + TRAIN,
        "my.toml, [sgd]: the key `lr` is missing. Add it, or give --sgd.lr on the command line.",
    ),
    (
        "misspelt table",
        "[sdg]\nlr = 0.1\n" + TRAIN,
        (
            "my.toml: unknown key `sdg`. Did you mean `sgd`? "
            "Allowed here: title, source, seed, data, model, sgd, groups, train, checkpoint, log, tune."
        ),
    ),
    (
        "misspelt key",
        "[sgd]\nlr = 0.1\nmomentun = 0.9\n" + TRAIN,
        (
            "my.toml, [sgd]: unknown key `momentun`. Did you mean `momentum`? Allowed here: lr, momentum, dampening, "
            "nesterov, nu, weight_decay, decay, lr_in_velocity, undampened_first_step, maximize, trust_coefficient, "
            "trust_clip, adaptive_clip, adaptive_clip_by."
        ),
    ),
    (
        "key of another table",
        "[sgd]\nlr = 0.1\nclip_norm = 1.0\n" + TRAIN,
        "my.toml, [sgd]: unknown key `clip_norm`. It belongs in `[train]`. Allowed here: lr, momentum, dampening, ",
    ),
    ("key before its table", "lr = 0.1\n" + GOOD, "my.toml: unknown key `lr`. It belongs in `[sgd]`. Allowed here: ti"),
    (
        "key of the top in a table",
        GOOD + "seed = 3\n",
        "my.toml, [train]: unknown key `seed`. It belongs at the top, before every table. Allowed here: epochs, ",
    ),
    (
        "list of tables in a table",
        SGD + '[[sgd.groups]]\nmatch = "*.bias"\nweight_decay = 0.0\n' + TRAIN,
        "my.toml, [sgd]: unknown key `groups`. It belongs in `[[groups]]`. Allowed here: lr, ",
    ),
    (
        "key of a group in a table",
        "[sgd]\nlr = 0.1\nlr_factor = 10.0\n" + TRAIN,
        "my.toml, [sgd]: unknown key `lr_factor`. It belongs in `[[groups]]`. Allowed here: lr, ",
    ),
    (
        "key of tables in the table",
        GOOD + "patience = 3\n",
        "my.toml, [train]: unknown key `patience`. It belongs in `[train.early_stop]` or `[train.plateau]`. Allowed ",
    ),
    (
        "key of a schedule",
        "[sgd]\nlr = 0.1\nevery = 30\n" + TRAIN,
        "my.toml, [sgd]: unknown key `every`. Allowed here: lr, ",
    ),
    (
        "misspelt key of a nested table",
        GOOD + "[train.early_stop]\npatiense = 3\n",
        (
            "my.toml, [train.early_stop]: unknown key `patiense`. Did you mean `patience`? "
            "Allowed here: patience, metric, min_delta."
        ),
    ),
    (
        "key missing in a nested table",
        GOOD + "[train.plateau]\n",
        (
            "my.toml, [train.plateau]: the key `patience` is missing. "
            "Add it, or give --train.plateau.patience on the command line."
        ),
    ),
    ("number for a table", "data = 3\n" + GOOD, "my.toml: `data` must be a table; got 3."),
    (
        "string for a table without a name",
        'checkpoint = "often"\n' + GOOD,
        "my.toml: `checkpoint` must be a table; got",
    ),
    (
        "string for a number",
        GOOD + "[data]\nbatch_size = '64'\n",
        "my.toml, [data]: `batch_size` must be an integer; got '64'.",
    ),
    (
        "fraction for an integer",
        SGD + "[train]\nsteps = 1.5\n",
        "my.toml, [train]: `steps` must be an integer; got 1.5.",
    ),
    (
        "number for a flag",
        "[sgd]\nlr = 0.1\nnesterov = 1\n" + TRAIN,
        "my.toml, [sgd]: `nesterov` must be true or false; got 1.",
    ),
    ("true for lr", lr("true"), f"my.toml, [sgd]: `lr` must be a number or a schedule such as {EXAMPLE}; got True."),
    (
        "date for lr",
        lr("2020-01-01"),
        f"my.toml, [sgd]: `lr` must be a number or a schedule such as {EXAMPLE}; got datetime.date(2020, 1, 1).",
    ),
    ("nan", lr("nan"), "my.toml, [sgd]: `lr` must be finite; got nan."),
    ("beyond floats", lr("1" + "0" * 400), "my.toml, [sgd]: `lr` must be finite; got inf."),
    (
        "negative lr",
        lr("-0.1"),
        "my.toml, [sgd]: `lr` must be finite and >= 0; got -0.1. Use a number >= 0 such as 0.1.",
    ),
    (
        "momentum 1.5",
        "[sgd]\nlr = 0.1\nmomentum = 1.5\n" + TRAIN,
        "my.toml, [sgd]: `momentum` must be in [0, 1); got 1.5. Use a value such as 0.9, or 0 to switch momentum off.",
    ),
    (
        "nesterov without momentum",
        "[sgd]\nlr = 0.1\nnesterov = true\n" + TRAIN,
        (
            "my.toml, [sgd]: `nesterov` needs momentum; got nesterov=True with momentum=0. "
            "Set momentum to a value such as 0.9, or nesterov to False."
        ),
    ),
    (
        "misspelt decay",
        "[sgd]\nlr = 0.1\ndecay = 'couple'\n" + TRAIN,
        (
            "my.toml, [sgd]: `decay` must be `coupled`, `decoupled`, `independent`, `relative` or `corrected`; "
            "got 'couple'. Did you mean `coupled`?"
        ),
    ),
    (
        "misspelt schedule",
        lr('{ schedule = "cosin" }'),
        (
            "my.toml, [sgd.lr]: unknown schedule 'cosin'. Did you mean `cosine`? Use `constant`, `exponential`, "
            "`multistep`, "
            "`linear`, `polynomial`, `cosine`, `inverse`, `onecycle`, `warmup-stable-decay`, `warmup` or `sequence`."
        ),
    ),
    (
        "list for a schedule's name",
        lr('{ schedule = ["cosine"] }'),
        "my.toml, [sgd.lr]: unknown schedule ['cosine']. Did you mean",
    ),
    (
        "schedule without a name",
        lr("{ initial = 0.1 }"),
        f"my.toml, [sgd]: `lr` must be a number or a schedule such as {EXAMPLE}; got {{'initial': 0.1}}.",
    ),
    (
        "another schedule's key",
        lr('{ schedule = "exponential", initial = 0.1, rate = 0.1, every = 5, final = 0 }'),
        (
            "my.toml, [sgd.lr]: unknown key `final` of the schedule `exponential`. "
            "Allowed here: initial, rate, every, unit, staircase, end."
        ),
    ),
    (
        "misspelt unit",
        lr('{ schedule = "cosine", initial = 1, final = 0, duration = 5, unit = "epochs" }'),
        "my.toml, [sgd.lr]: `unit` must be `step` or `epoch`; got 'epochs'. Did you mean `epoch`?",
    ),
    (
        "rate 0",
        lr('{ schedule = "exponential", initial = 0.1, rate = 0, every = 5 }'),
        "my.toml, [sgd.lr]: `rate` must be above 0; got 0.0.",
    ),
    (
        "word in a sequence",
        lr('{ schedule = "sequence", schedules = [0.1, "x"], boundaries = [5] }'),
        f"my.toml, [sgd.lr.schedules]: `schedules.1` must be a number or a schedule such as {EXAMPLE}; got 'x'.",
    ),
    (
        "key missing deep inside",
        lr(
            '{ schedule = "sequence", schedules = [0.1, { schedule = "cosine", initial = 1, duration = 2 }], '
            "boundaries = [5] }"
        ),
        (
            "my.toml, [sgd.lr.schedules.1]: the key `final` is missing. "
            "Add it, or give --sgd.lr.schedules.1.final on the command line."
        ),
    ),
    (
        "momentum's schedule leaves its range",
        '[sgd]\nlr = 1\nmomentum = { schedule = "linear", initial = 0.5, final = 1.5, duration = 3 }\n' + TRAIN,
        (
            "my.toml, [sgd]: `momentum` must stay in [0, 1); its schedule Linear(initial=0.5, final=1.5, duration=3, "
            "unit='step') takes values from 0.5 to 1.5."
        ),
    ),
    (
        "groups as one table",
        GOOD + '[groups]\nmatch = "*"\n',
        "my.toml: `groups` must be a list; got {'match': '*'}. Write [[groups]], with two brackets.",
    ),
    ("number for a group", "groups = [1]\n" + GOOD, "my.toml, [groups]: `groups.0` must be a table; got 1."),
    ("group without a match", GOOD + "[[groups]]\nlr = 1\n", "my.toml, [groups.0]: the key `match` is missing."),
    (
        "group that changes nothing",
        GOOD + '[[groups]]\nmatch = "*.bias"\n',
        "my.toml, [groups.0]: the group '*.bias' changes nothing. Give it a setting such as weight_decay=0.",
    ),
    (
        "second group misspelt",
        GOOD + '[[groups]]\nmatch = "a"\nlr = 1\n[[groups]]\nmatch = "b"\nlearning = 1\n',
        "my.toml, [groups.1]: unknown key `learning`.",
    ),
    (
        "group that does not fit the settings",
        GOOD + '[[groups]]\nmatch = "*.bias"\nnesterov = true\n',
        "my.toml: group '*.bias': `nesterov` needs momentum; got nesterov=True with momentum=0.",
    ),
    (
        "unknown selector",
        GOOD + '[[groups]]\nmatch = "@biases"\nlr = 1\n',
        "my.toml, [groups.0]: `match` has one built-in selector, \"@bias_and_norm\"; got '@biases'.",
    ),
    (
        "no length",
        SGD + "[train]\n",
        "my.toml, [train]: give either `epochs` or `steps`; got neither. Use for example epochs = 20.",
    ),
    (
        "two lengths",
        SGD + "[train]\nepochs = 2\nsteps = 5\n",
        "my.toml, [train]: give either `epochs` or `steps`; got both. Use for example epochs = 20.",
    ),
    ("0 steps", SGD + "[train]\nsteps = 0\n", "my.toml, [train]: `steps` must be >= 1; got 0."),
    (
        "endless epochs",
        SGD + "[train]\nepochs = inf\n",
        "my.toml, [train]: `epochs` must be above 0 and finite; got inf.",
    ),
    (
        "a group's average beside none",
        GOOD + "[[groups]]\nmatch = '*.bias'\nema = 0.5\n",
        (
            "my.toml: `groups.ema` is of an average of the weights, and the recipe keeps none. Give train.ema = 0.999, "
            "say, or remove `groups.ema`."
        ),
    ),
    ("ema 1", GOOD + "ema = 1\n", "my.toml, [train]: `ema` must be in (0, 1) such as 0.999; got 1.0."),
    ("clip 0", GOOD + "clip_norm = 0\n", "my.toml, [train]: `clip_norm` must be above 0 and finite; got 0.0."),
    (
        "misspelt on_nonfinite",
        GOOD + "on_nonfinite = 'rais'\n",
        (
            "my.toml, [train]: `on_nonfinite` must be `raise`, `skip`, `rewind` or `ignore`; got 'rais'. "
            "Did you mean `raise`?"
        ),
    ),
    (
        "nothing held out",
        GOOD + "[data]\nheld_out = 0\n",
        "my.toml, [data]: `held_out` must be a fraction in (0, 1) such as 0.2; got 0.0.",
    ),
    (
        "hidden no list",
        GOOD + "[model]\nhidden = 64\n",
        "my.toml, [model]: `hidden` must be a list in which each is an integer; got 64.",
    ),
    ("hidden 0", GOOD + "[model]\nhidden = [0]\n", "my.toml, [model]: `hidden` must be >= 1; got 0."),
    (
        "hidden for a model of one's own",
        GOOD + '[model]\nname = "my:net"\nhidden = [5]\n',
        "my.toml, [model]: `hidden` belongs to the model `mlp`; got it with 'my:net'. Use model.options.",
    ),
    ("seed -1", "seed = -1\n" + GOOD, "my.toml: `seed` must be >= 0; got -1."),
    (
        "more shards than examples",
        GOOD + "shards = 65\n",
        (
            "my.toml: `train.shards` must be at most `data.batch_size`, here 64, so that each part of a batch has an "
            "example; got 65."
        ),
    ),
    (
        "integer of more than 64 bits",
        GOOD + f"[data]\nbatch_size = {10**20}\n",
        f"my.toml, [data]: `batch_size` must be an integer below 2**63, as TOML's all are; got {10**20}.",
    ),
    (
        "integer of more than 64 bits in a list",
        GOOD + f"[model]\nhidden = [8, {2**63}]\n",
        f"my.toml, [model]: `hidden` must be an integer below 2**63, as TOML's all are; got {2**63}.",
    ),
    ("keep 0", GOOD + "[checkpoint]\nkeep = 0\n", "my.toml, [checkpoint]: `keep` must be >= 1; got 0."),
    (
        "two movers of lr",
        lr('{ schedule = "cosine", initial = 1, final = 0, duration = 5 }') + "[train.plateau]\npatience = 1\n",
        (
            "my.toml: `train.plateau` needs a constant `sgd.lr`: a schedule and a plateau would both move it. "
            "Remove one of the two."
        ),
    ),
    ("brackets without end", "x = " + "[" * 5000, "my.toml: not valid TOML: "),
    ("number without end", "x = " + "1" * 5000, "my.toml: not valid TOML: "),
]


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_recipe_says_where_what_and_what_to_do(text, message):
    """The message is the one in the table, whole where the table gives it whole, on one line but for lines to add."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "my.toml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value).partition(" For example:\n")[0]
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("given", ["", SGD, TRAIN, 'data = "digits"\n'])
def test_the_lines_to_add_are_all_that_is_lacking(given):
    """A recipe without its tables is told which lines to add, three for [sgd], and with them it is one."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(given, "my.toml")
    lines = str(caught.value).partition(" For example:\n")[2].splitlines()
    assert ("[sgd]" in lines) == (given != SGD)
    assert lines[:3] == ["[sgd]", "lr = 0.1", "momentum = 0.9"] or given == SGD
    parse_recipe(given + "\n".join(lines))


def test_the_table_of_broken_recipes_is_sound():
    """What the table breaks is otherwise a recipe, and no two rows share a name."""
    parse_recipe(GOOD)
    assert len({row[0] for row in BROKEN}) == len(BROKEN) >= 50


def test_files_that_cannot_be_read_are_named(tmp_path):
    """A missing file, a folder and a file that is no text each say so."""
    with pytest.raises(RecipeError, match=r"missing\.toml: no such file\. Give the path of a recipe, or none"):
        load_recipe(tmp_path / "missing.toml")
    with pytest.raises(RecipeError, match="is a folder, not a recipe file"):
        load_recipe(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"binary\.toml: not UTF-8 text \(invalid start byte at byte 0\)"):
        load_recipe(tmp_path / "binary.toml")
    with pytest.raises(RecipeError, match=r"binary\.toml.deeper: cannot be read: Not a directory"):
        load_recipe(tmp_path / "binary.toml" / "deeper")
    with pytest.raises(RecipeError, match="cannot be read: File name too long"):
        load_recipe("x" * 5000)
    if os.geteuid() != 0:
        (tmp_path / "secret.toml").write_text(GOOD)
        (tmp_path / "secret.toml").chmod(0)
        with pytest.raises(RecipeError, match="cannot be read: Permission denied"):
            load_recipe(tmp_path / "secret.toml")


@pytest.mark.parametrize("digits", ["9" * 100_000, "-" + "1_0" * 50_000, "0x" + "F" * 100_000, "0b" + "1" * 100_000])
@pytest.mark.parametrize("path", ["seed", "sgd.lr", "train.loss", "data.options.rows", "model.hidden", "nosuch"])
def test_an_integer_without_end_has_one_short_message(path, digits):
    """Wherever it stands, in a file or an override, alone or within: Python could not even show such an integer."""
    for value in (digits, f"[{digits}]", f"{{ schedule = 'cosine', initial = {digits} }}"):
        with pytest.raises(RecipeError, match="below 2\\*\\*63") as caught:
            parse_recipe(f"{path} = {value}", "my.toml")
        assert str(caught.value).startswith("my.toml")
        assert len(str(caught.value)) < 200
        with pytest.raises(RecipeError, match="below 2\\*\\*63") as caught:
            parse_recipe(GOOD, "my.toml", [(path, value)])
        assert str(caught.value).startswith(f"command line, --{path}: ")
        assert len(str(caught.value)) < 200
