"""What kind an input is, and where mixed input is cut."""

import time

import pytest

from downslope import read
from downslope.reading.parts import split

WHOLE = {
    "code, python": ["import torch\noptimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n", "optim.SGD(p, lr=0.1)",
                     "def f(epoch):\n    return 0.1 ** epoch\n", "for e in range(90):\n    train(e)\n"],
    "code, notebook": ['{"cells": [{"cell_type": "code", "source": ["lr = 0.1"]}], "nbformat": 4}'],
    "configuration, dictionary": ["optimizer = dict(type='SGD', lr=0.1)\n", "lr = 0.1\nsteps = [30, 60]\nx = dict()\n",
                                  "base = {'lr': 0.1}\n", "_base_ = './a.py'\nlr_config = dict(step=[8, 11])\n"],
    "configuration, yaml": ["lr: 0.1\nmomentum: 0.9\n", "optimizer:\n  name: sgd\n  lr: 0.1\n", "- lr: 0.1\n  epochs: 3\n- lr: 0.2\n",
                            "# comment\nlr: 0.1 # we divide it by ten at the end of all\nx: y\n", "---\na: 1\nb:\n  - 1\n  - 2\n"],
    "configuration, json": ['{"lr": 0.1}', '{\n  // so\n  "a": {"b": 1},\n}', '[{"lr": 0.1}]', "{lr: 0.1, momentum: 0.9}"],
    "configuration, toml": ['[optimizer]\nlr = 0.1\nname = "SGD"\n'],
    "configuration, ini": ["[train]\nlr: 0.1\nmomentum: 0.9\n"],
    "configuration, darknet": ["[net]\nbatch=64\nsubdivisions=16\n", "learning_rate=0.001\nburn_in=1000\nmax_batches = 9\npolicy=steps\n"],
    "configuration, prototxt": ['base_lr: 0.1\nlr_policy: "step"\nstepsize: 9\n', "train_config {\n  batch_size: 2\n}\n"],
    "command, shell": ["python main.py --lr 0.1", "#!/bin/bash\necho hi\n", "--lr 0.1 --momentum 0.9", "$ ./train --lr 0.1",
                       "for lr in 1 2\ndo\n  python a.py --lr $lr\ndone\n", "CUDA_VISIBLE_DEVICES=0 python a.py \\\n  --lr 0.1\n",
                       "LR=0.1\npython a.py --lr $LR\n", "fairseq-train data --lr 0.1\n", "python -m pkg.train model=resnet lr=0.1"],
    "prose, ": ["We use SGD with momentum 0.9.", "SGD, lr=0.1, momentum=0.9", "lr: 0.1", "学习率为0.1，动量0.9。",
                "Learning rate: we start at 0.1 and divide it by ten twice.\nMomentum: it is 0.9 for all of the layers.\n",
                "python is a language with many users", "v := 0.9 v - 0.0005 eps w - eps grad", "lr 0.1\nmomentum 0.9\n",
                "* lr 0.1\n* 90 epochs\n"],
}  # fmt: skip

NAMED = {
    "a.py": "code, python", "b.ipynb": "code, notebook", "c.yaml": "configuration, yaml", "d.yml": "configuration, yaml",
    "e.toml": "configuration, toml", "f.json": "configuration, json", "g.ini": "configuration, ini",
    "h.prototxt": "configuration, prototxt", "i.sh": "command, shell", "j.txt": "prose, ", "k.md": "prose, ",
}  # fmt: skip


def kinds(text, name=""):
    """Kind and format of each part."""
    return [f"{part.kind}, {part.format}" for part in split(text, name)]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in WHOLE.items() for text in texts])
def test_a_whole_input_is_told_by_its_content(kind, text):
    """Without a name."""
    assert kinds(text) == [kind]


@pytest.mark.parametrize("name", NAMED)
def test_a_name_tells(name):
    """Whatever stands in the file."""
    assert kinds("we say nothing of it", name) == [NAMED[name]]


def test_a_python_file_that_only_assigns_is_a_configuration():
    """As those of OpenMMLab are."""
    assert kinds("lr = 0.1\n", "a.py") == ["configuration, dictionary"]
    assert kinds("[net]\nbatch=64\n", "a.cfg") == ["configuration, darknet"]


MIXED = {
    "a README": (
        "# Model\n\nTrain it:\n\n```bash\npython a.py --lr 0.1\n```\n\nOr with\n\n```yaml\nlr: 0.2\nepochs: 3\n```\nThen wait for the end.\n",
        ["prose, ", "command, shell", "prose, ", "configuration, yaml", "prose, "],
    ),
    "a fence without a language": (
        "so:\n```\noptimizer = SGD(p, lr=0.1)\nstep(optimizer)\n```\n", ["prose, ", "code, python"]
    ),
    "a fence that does not end": ("so:\n```python\nimport a\nb = a.f(1)\n", ["prose, ", "code, python"]),
    "a command in a line": ("We ran `python a.py --lr 0.1 --wd 3` and it worked.", ["prose, ", "command, shell", "prose, "]),
    "flags in a line": ("Use `--lr 0.1 --wd 3` for that.", ["prose, ", "command, shell", "prose, "]),
    "a name in a line": ("The `learning_rate` is 0.1 in all of these runs.", ["prose, "]),
    "a pasted command": (
        "Hi, I run this on two cards of mine:\n\n    CUDA_VISIBLE_DEVICES=0,1 python a.py --lr 0.1 \\\n        --epochs 3\n\nand get nan.\n",
        ["prose, ", "command, shell", "prose, "],
    ),
    "a command after a prompt": ("To train the model, do:\n$ train --lr 0.1\nand wait for it.\n", ["prose, ", "command, shell", "prose, "]),
    "prose and YAML": (
        "This is my whole configuration, what is wrong with it?\n\noptimizer:\n  name: sgd\n  lr: 0.1\nepochs: 3\n\nThank you very much for any help!\n",
        ["prose, ", "configuration, yaml", "prose, "],
    ),
    "prose and code": (
        "Here is what I have written so far:\n\nopt = SGD(p, lr=0.1)\nfor e in range(9):\n    opt.step()\n\nWhy does it not learn anything?\n",
        ["prose, ", "code, python", "prose, "],
    ),
    "a file in a script": (
        "#!/bin/bash\ncat > hyp.yaml <<EOF\nlr0: 0.01\nlrf: 0.1\nEOF\npython a.py --hyp hyp.yaml\n",
        ["command, shell", "configuration, yaml", "command, shell"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MIXED)
def test_mixed_input_is_cut_where_the_kind_changes(case):
    """In order, each part at its place."""
    text, expected = MIXED[case]
    assert kinds(text) == expected
    for part in split(text):
        assert text[part.start : part.start + len(part.text)] == part.text


@pytest.mark.parametrize("case", MIXED)
def test_no_number_is_lost_between_parts(case):
    """What is between the parts is fences and quotes alone."""
    text, _ = MIXED[case]
    left = list(text)
    for part in split(text):
        left[part.start : part.start + len(part.text)] = " " * len(part.text)
    assert not any(character.isdigit() for character in left)


def test_nothing_is_no_part():
    """Nor are blanks."""
    assert split("") == split(" \n\t\n") == []


@pytest.mark.parametrize("unit", ["[", "{", "(", "'", "a", "\\\n", "```\n", "~~~a\n", "`--a 1` ", "a:\n", "- ", "# ", "$ a --b\n", "a = [\n",
                                  "cat <<A\n", "we train.\nlr: 1\n", "a b c d e f ", "x=1;", "\x00", "\ud800", "if a:\n", "-" , "=" , "1 "])  # fmt: skip
def test_a_long_input_takes_no_longer_than_its_length(unit):
    """200,000 characters in a second or two, of whatever kind."""
    began = time.process_time()
    split(unit * (200_000 // len(unit)))
    assert time.process_time() - began < 4


IN_SENTENCES = {
    "We ran it with --lr 0.1 --wd 5e-4 and got 76%.": ["--lr 0.1 --wd 5e-4"],
    "pass -b 256 to it": ["-b 256"],
    "--lr 0.1 -b 8, StepLR(30, 0.1), 90 epochs": ["--lr 0.1 -b 8", "StepLR(30, 0.1)"],
    "with --opt sgd, a momentum of 0.9 and --epochs=90.": ["--opt sgd", "--epochs=90"],
    "use --nesterov and --cos for 90 epochs": ["--nesterov ", "--cos "],
    "we use optim.SGD(p, lr=0.1) here, for (3) times": ["optim.SGD(p, lr=0.1)"],
    "the lr_step_size=30, batch_size=128, lr=1e-3. Then": ["lr_step_size=30, batch_size=128, lr=1e-3"],
    "the weight_decay=5e-4, batch_size=128, lr=1e-3. Then": [],
    "learning_rate 0.01, num_epochs_per_decay 2.0 and momentum 0.9": [
        "learning_rate 0.01, num_epochs_per_decay 2.0 and momentum 0.9"
    ],
    "lr=0.1, momentum=0.9": [],
    "a state-of-the-art -- but slow -- method, from -1 to -0.5, MultiStepLR and SGD (0.9)": [],
    "SGD (momentum 0.9) and Adam(": [],
}


@pytest.mark.parametrize("text", IN_SENTENCES)
def test_what_stands_in_a_sentence_and_is_none(text):
    """Flags, calls and pairs whose names no sentence has."""
    assert [part.text for part in split(text) if part.kind != "prose"] == IN_SENTENCES[text]


def test_a_script_and_a_program_in_one_input_are_two_parts():
    """Whichever comes first."""
    script, program = "#!/bin/sh\npython train.py --lr 0.5\n", "import torch\nopt = torch.optim.SGD(p, lr=0.1)\n"
    for text, formats in ((script + program, ["shell", "python"]), (program + script, ["python", "shell"])):
        parts = split(text)
        assert [part.format for part in parts] == formats
        assert "".join(part.text for part in parts) == text
        assert all(text[part.start :].startswith(part.text) for part in parts)


def test_a_rate_that_a_call_has_is_not_missed_beside_its_change():
    """The call has the base, the sentence behind it the change."""
    reading = read("SGD(lr=0.1, momentum=0.9); the learning rate is divided by 10 at epoch 30, 90 epochs")[0]
    assert reading.fields["sgd.lr.initial"].value == 0.1
    assert reading.remarks == ["The batch size is not stated."]
