"""timm's models and transformers' from a configuration, by the real libraries: trained, stopped, resumed, used."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_models import dataset, message_of

from cli.command_line import fail, succeed
from downslope.core.errors import DataError
from torchvision_operators import declare

declare()
transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")

TASK = """
import numpy as np
def images():
    draw = np.random.default_rng(0)
    return draw.random((24, 3, 32, 32), dtype=np.float32), np.arange(24) % 3
def tokens():
    draw = np.random.default_rng(0)
    return draw.integers(1, 20, (24, 7)), np.arange(24) % 3
"""
RECIPE = """
[data]
name = "library_task:{data}"
batch_size = 4
[model]
name = "{model}"
{options}
[sgd]
lr = 0.01
momentum = 0.9
[train]
steps = {steps}
"""
VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}
BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 20,
    "max_position_embeddings": 16,
}


@pytest.fixture
def here(tmp_path, monkeypatch, no_report):
    """Work in a folder with a data set and two configurations."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])
    Path("library_task.py").write_text(TASK, encoding="utf-8")
    transformers.ViTConfig(**VIT).save_pretrained("vit")
    transformers.BertConfig(**BERT).save_pretrained("bert")


def train(capsys, *more, data, model, options="", steps=4, out="run"):
    """Train a model by the command line."""
    text = RECIPE.format(data=data, model=model, options=options and f"options = {{ {options} }}", steps=steps)
    Path("recipe.toml").write_text(text, encoding="utf-8")
    return succeed(["train", "recipe.toml", "--out", out, *more], capsys)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("data", "model"), [("images", "timm:resnet18"), ("images", "hf:vit"), ("tokens", "hf:bert")])
def test_a_model_is_trained_resumed_and_used(capsys, data, model):
    """Two steps and two more are the bits of four; evaluate rates it."""
    train(capsys, data=data, model=model)
    train(capsys, data=data, model=model, steps=2, out="other")
    succeed(["train", "recipe.toml", "--out", "other", "--train.steps", "4"], capsys)
    one, two = (Path(out, "model.safetensors").read_bytes() for out in ("run", "other"))
    assert one == two
    assert "accuracy" in succeed(["evaluate", "run"], capsys)


@pytest.mark.usefixtures("here")
def test_a_run_needs_its_configuration_no_more(capsys):
    """The run keeps the text; where the folder is gone or has changed, answers stay."""
    train(capsys, data="tokens", model="hf:bert", steps=1)
    before = json.loads(succeed(["evaluate", "run", "--json"], capsys))
    changed = json.loads(Path("bert/config.json").read_text(encoding="utf-8"))
    Path("bert/config.json").write_text(json.dumps({**changed, "hidden_size": 8}), encoding="utf-8")
    assert json.loads(succeed(["evaluate", "run", "--json"], capsys)) == before
    shutil.rmtree("bert")
    assert json.loads(succeed(["evaluate", "run", "--json"], capsys)) == before
    assert "bert/config.json" in fail(["train", "recipe.toml", "--out", "new"], capsys)


@pytest.mark.usefixtures("here")
def test_padding_is_masked():
    """Tokens after an example's end change nothing in its logits."""
    from test_models import build

    data = dataset(7, dtype=torch.int64)
    model = build("hf:bert", data).eval()
    tokens = torch.tensor([[3, 4, 5, 0, 0, 0, 0]])
    assert torch.allclose(model(tokens), model(tokens[:, :3]), atol=1e-6)


@pytest.mark.usefixtures("here")
def test_weights_of_a_file_are_taken():
    """All of timm's but the classifier's, which the data give another size, by either key; transformers' own names."""
    from downslope.recipe.load import parse_recipe
    from downslope.training.run.task import build_task

    def begun(data, model, options="", **changes):
        text = RECIPE.format(data=data, model=model, options=options and f"options = {{ {options} }}", steps=1)
        return build_task(parse_recipe(text, overrides=[(f"train.{name}", value) for name, value in changes.items()]))

    torch.manual_seed(1)
    theirs = timm.create_model("resnet18", num_classes=5)
    save_file(theirs.state_dict(), "theirs.safetensors")
    for way in ({"options": 'weights = "theirs.safetensors"'}, {"start_from": '"theirs.safetensors"'}):
        task = begun("images", "timm:resnet18", **way)
        assert list(task.start.other) == ["fc.weight", "fc.bias"]
        assert task.state.model.fc.weight.shape == (3, 512)
        assert torch.equal(task.state.model.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)
    with pytest.raises(DataError, match="model.options.weights = 'nowhere.safetensors': there is no such file"):
        begun("images", "timm:resnet18", 'weights = "nowhere.safetensors"')
    with pytest.raises(DataError, match="both give the weights"):
        begun("images", "timm:resnet18", 'weights = "a"', start_from='"b"')
    bert = transformers.BertForSequenceClassification(transformers.BertConfig(**BERT, num_labels=5))
    bert.save_pretrained("trained")
    task = begun("tokens", "hf:bert", start_from='"trained/model.safetensors"')
    assert list(task.start.other) == ["network.classifier.weight", "network.classifier.bias"]
    assert (task.start.new, task.start.names) == ([], "follow `network.` here")
    own = dict(task.state.model.named_parameters())["network.bert.pooler.dense.weight"]
    assert torch.equal(own, bert.bert.pooler.dense.weight)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "cannot be imported: RuntimeError: operator",
        ),
        ("import absent_package", "cannot be imported: ModuleNotFoundError: No module named 'absent_package'"),
    ],
)
def test_a_library_that_cannot_be_imported(monkeypatch, code, message):
    """It is not called missing; the message says what often is the cause, and what shows the rest."""
    Path("timm.py").write_text(code, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "timm")
    found = message_of("timm:resnet18", dataset(3, 32, 32))
    assert message in found
    assert "torchvision" in found
    assert 'python -c "import timm"' in found


@pytest.mark.usefixtures("here")
def test_a_library_that_is_not_installed(monkeypatch):
    """The command that installs it is given."""
    monkeypatch.setitem(sys.modules, "timm", None)
    assert 'pip install "downslope[timm]"' in message_of("timm:resnet18", dataset(3, 32, 32))


@pytest.mark.usefixtures("here")
def test_what_is_refused():
    """Unknown models, downloads, code of a configuration, other data."""
    images, tokens = dataset(3, 32, 32), dataset(7, dtype=torch.int64)
    assert "Did you mean `resnet18`" in message_of("timm:resnt18", images)
    assert "would download" in message_of("timm:resnet18", images, "pretrained = true")
    assert "needs floating-point inputs" in message_of("timm:resnet18", tokens)
    assert "the library raised TypeError" in message_of("timm:resnet18", images, "widht = 3")
    assert "nothing is downloaded" in message_of("hf:bert-base-uncased", tokens)
    Path("bert/config.json").write_text('{"model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}}', "utf-8")
    assert "is not run" in message_of("hf:bert", tokens)
    Path("bert/config.json").write_text('{"model_type": "resnett"}', "utf-8")
    assert "Did you mean `resnet`" in message_of("hf:bert", tokens)
    Path("bert/config.json").write_text("{", "utf-8")
    assert "is no JSON" in message_of("hf:bert", tokens)
    Path("bert/config.json").write_text("[1]", "utf-8")
    assert "names no `model_type`" in message_of("hf:bert", tokens)
