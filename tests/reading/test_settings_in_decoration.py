"""Settings with something around them: bullets, quotations, tables, remarks, columns, lost line ends, other commands."""

from __future__ import annotations

import pytest

from downslope import read

ALL = {"sgd.lr": 0.05, "sgd.momentum": 0.8, "train.epochs": 12}
WAYS = {
    "bullets": "* train.lr: 0.05\n* train.momentum: 0.8 (as usual)\n* train.epochs: 12\n",
    "backticks": "- `lr`: 0.05\n- `momentum`: 0.8\n- `epochs`: 12\n",
    "numbers": "1. base_lr=0.05 (to begin with)\n2. momentum=0.8\n3. max_epochs=12\n",
    "quoted": '> "lr": 0.05,\n> "momentum": 0.8,\n> "epochs": 12\n',
    "numbered lines": '1 | {\n2 |   "lr": 0.05,\n3 |   "momentum": 0.8,\n4 |   "epochs": 12\n5 | }\n',
    "a page's table": '| { | |\n| "lr": 0.05, | |\n| "momentum": 0.8, | |\n| "epochs": 12 | |\n| } | |\n',
    "options": "| option | type | default | what |\n|---|---|---|---|\n| `--lr` | float | 0.05 | rate |\n"
    "| `--momentum` | float | 0.8 | of 0.5 to 1 |\n| `--epochs` | int | 12 | length |\n",
    "cells on lines": "Key | Type | Default |\n---|---|---|\nlr |\nfloat |\n0.05 |\nmomentum |\nfloat |\n0.8 |\nmax_epochs |\nint |\n12 |\n",
    "columns": "lr                0.05\nmomentum          0.8\nnum_epochs        12\n",
    "dots": "  lr ............ 0.05\n  momentum ...... 0.8\n  train_epochs .. 12\n  num_epochs .... 12\n",
    "a difference": "-lr: 0.1\n+lr: 0.05\n momentum: 0.8\n-epochs: 90\n+epochs: 12\n",
    "one line": "# training settings: lr = 0.05 momentum = 0.8 epochs = 12",
    "dictionaries on one line": "# sgd optimizer = dict(type='SGD', lr=0.05, momentum=0.8) # the end total_epochs = 12 gpus = 1",
    "an open dictionary": "cfg = {\n  # the rate\n  'opt': {'lr': 0.05, 'momentum': 0.8,},\n  'epochs': 12,\n  'on': DEVICE,\n",
    "the rest of one": "    'lr': 0.05,\n    'momentum': 0.8,\n    'epochs': 12,\n}\n",
    "the inside of a call": "    lr=0.1 / 2, imgsz=640,\n    momentum=0.8,   # heavy\n    epochs=12,\n",
    "an outer command": "sbatch --time 1:00:00 --wrap 'python t.py --lr 0.05 --momentum 0.8 --epochs 12'",
    "a container": 'docker run img bash -c "python t.py --lr 0.05 --momentum 0.8 --epochs 12"',
    "a list of words": "subprocess.run(['python', 't.py', '--lr', '0.05', '--momentum', '0.8', '--epochs', '12'])\n",
    "a program's text": "os.system('python t.py --lr 0.05 --momentum 0.8 --epochs 12')\n",
    "variables": "export lr=0.05\nexport momentum=0.8\nexport max_epoch=12\nth main.lua\n",
    "what a program writes": "doc.add('We use SGD at a learning rate of 0.05, a momentum of 0.8, for 12 epochs in all.')\n",
    "truths": "It prints SGD (lr: 0.05, momentum: 0.8, nesterov: False, epochs: 12)",
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_value_is_found(way):
    """Whatever is around it."""
    fields = read(WAYS[way])[0].fields
    assert {path: fields[path].value for path in ALL if path in fields} == ALL


@pytest.mark.parametrize("way", ["backticks", "a page's table", "options", "columns"])
def test_words_are_those_of_the_text(way):
    """As written, at their place."""
    for field in read(WAYS[way])[0].fields.values():
        if field.start >= 0:
            assert WAYS[way][field.start : field.end] == field.words


@pytest.mark.parametrize(
    "text",
    [
        "* lr: 0.1 (divided by 10 at epochs 30 and 60)\n* batch_size: 256 (32 for each of 8 GPUs)\n",
        "class SGD(params, lr, momentum=0.0, nesterov=False)",
        "print('we train the model with a learning rate of 0.5 for 10 epochs now')\n",
        "lr: 0.1\nax.set_title('This is what a learning rate of 0.5 does to the loss in the end')\n",
    ],
)
def test_what_may_be_changed_or_is_none_is_not_taken_for_a_setting(text):
    """A remark that says more, a signature, what is printed or drawn."""
    fields = read(text)[0].fields
    values = {path: field.value for path, field in fields.items() if field.provenance == "stated"}
    assert values.get("sgd.lr") in {None, 0.1}
    assert not {"sgd.momentum", "train.epochs"} & values.keys()
    assert "sgd.lr" not in values or "divided" not in text


def test_a_list_of_flags_in_a_sentence_has_all_its_values():
    """Also where the next word follows at once."""
    fields = read("例如 `--lr_decay_step 50 100`表示在第50和100个epoch时学习率×0.1")[0].fields
    assert fields["sgd.lr.milestones"].value == [50, 100]
