"""`downslope mcp` as a coding assistant has it: a real process, asked by the official SDK's own client over stdio."""

import sys

import pytest

from downslope.cli.main import main

pytest.importorskip("mcp.server.mcpserver")

import anyio
from mcp import Client, StdioServerParameters, stdio_client

WORDS = "SGD with momentum 0.9; lr 0.1, divided by 10 every 30 epochs; 90 epochs"


def ask(calls, *options, cwd=None):
    """Return the server's tools, and what it answers to each call (name, arguments)."""

    async def talk():
        # src and the tests' packages are found as they are here
        paths = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
        started = StdioServerParameters(
            command=sys.executable, args=["-m", "downslope", "mcp", *options], env=paths, cwd=cwd
        )
        async with Client(stdio_client(started)) as client:
            tools = (await client.list_tools()).tools
            return tools, [await client.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(talk)


@pytest.fixture(scope="module")
def answers():
    """Return the tools, and one answer of each."""
    torch, keras = "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)", "keras: SGD(learning_rate=0.1, momentum=0.9)"
    calls = {
        "read": {"text": WORDS},
        "check": {"text": WORDS, "recipe": "sgd = {lr = 0.1, momentum = 0.8}\ntrain = {epochs = 90}"},
        "explain": {"recipe": WORDS, "examples": 50_000, "batch_size": 100},
        "compare": {"a": torch, "b": keras},
        "export": {"recipe": WORDS, "to": "keras", "steps_per_epoch": 10},
        "audit": {"thing": "SGD, lr 0.1, weight decay 0.98, 90 epochs"},
        "rescale": {"recipe": WORDS, "batch_size": 128},
    }
    tools, found = ask(list(calls.items()))
    return tools, dict(zip(calls, found, strict=True))


def test_the_tools_are_told(answers):
    """Seven tools, each argument described, all of them marked as changing nothing."""
    tools, _ = answers
    assert [tool.name for tool in tools] == ["read", "check", "explain", "compare", "export", "audit", "rescale"]
    for tool in tools:
        assert tool.annotations.read_only_hint
        assert not tool.annotations.open_world_hint
        assert all(one["description"] for one in tool.input_schema["properties"].values()), tool.name
        assert len(tool.description) > 100


def test_every_answer_is_data(answers):
    """No answer is an error; each is structured content, not text alone."""
    for name, answer in answers[1].items():
        assert not answer.is_error, (name, answer.content)
        assert isinstance(answer.structured_content, dict), name


def test_a_reading_says_which_words_gave_which_value(answers):
    """The place of the words cuts them out of the text; the recipe is one that loads."""
    from downslope.recipe.load import parse_recipe

    (reading,) = answers[1]["read"].structured_content["readings"]
    every = reading["fields"]["sgd.lr.every"]
    assert (every["value"], every["provenance"]) == (30, "stated")
    assert WORDS[every["start"] : every["end"]] == every["words"] == "divided by 10 every 30 epochs"
    assert reading["fields"]["sgd.lr.staircase"]["provenance"] == "implied"
    assert parse_recipe(reading["recipe_toml"]).sgd.lr.every == 30


def test_answers_by_hand(answers):
    """0.8 contradicts 0.9; 1/(1-0.9) steps; keras has no decay; 10 steps of 30 epochs; 256 became half; 0.98."""
    found = {name: answer.structured_content for name, answer in answers[1].items()}
    verdicts = {one["path"]: one for one in found["check"]["verdicts"]}
    assert not found["check"]["all_hold"]
    assert (verdicts["sgd.momentum"]["verdict"], verdicts["sgd.momentum"]["words"]) == ("contradicted", "momentum 0.9")
    assert verdicts["train.epochs"]["verdict"] == "confirmed"
    items = {one["name"]: one for one in found["explain"]["items"]}
    assert items["velocity_horizon"]["value"] == pytest.approx(10)
    assert items["velocity_horizon"]["equation"] == "1 / (1 - momentum)"
    assert found["explain"]["run"]["steps_per_epoch"] == 500
    assert found["explain"]["understood"]["fields"]["sgd.momentum"]["words"] == "momentum 0.9"
    assert (found["compare"]["same"], found["compare"]["first_step"]) == (False, 0)
    assert "weight_decay" in found["compare"]["causes"]
    assert "decay_steps=300" in found["export"]["code"]
    assert found["audit"]["findings"][0]["name"] == "decay_forgets_at_once"
    assert found["audit"]["errors"] == 1
    changed = {one["path"]: one["after"] for one in found["rescale"]["changes"]}
    assert changed == {"data.batch_size": 128, "sgd.lr.initial": pytest.approx(0.2)}  # recipes have 64 by default


def test_mistakes_are_tool_errors_in_our_words(tmp_path):
    """What a person can get wrong is an answer that says what to do; the server goes on."""
    (tmp_path / "notes.txt").write_text("SGD, lr 0.125, momentum 0.9, 10 epochs")
    calls = [
        ("read", {"text": " "}),
        ("export", {"recipe": WORDS, "to": "tensorflw"}),
        ("export", {"recipe": "torch: SGD(lr=0.1)", "to": "torch"}),
        ("rescale", {"recipe": "digits"}),
        ("explain", {"recipe": "[sgd]\nlrr = 0.1\n[train]\nepochs = 1"}),
        ("explain", {"recipe": "digts"}),
        ("read", {"text": "file:../notes.txt"}),
        ("read", {"text": "file:notes.txt"}),
    ]
    (tmp_path / "below").mkdir()
    _, answers = ask(calls, "--root", ".", cwd=tmp_path)
    said = [answer.content[0].text for answer in answers]
    assert [answer.is_error for answer in answers] == [True] * 7 + [False]
    expected = (
        "is empty",
        "Did you mean",
        "no length of training",
        "give `batch_size`",
        "lr",
        "Did you mean",
        "outside",
    )
    for text, words in zip(said, expected, strict=False):
        assert words in text
        assert "Traceback" not in text
    assert answers[-1].structured_content["readings"][0]["fields"]["sgd.lr"]["value"] == 0.125


def test_the_command_says_what_is_missing(monkeypatch, capsys, tmp_path):
    """Without the SDK, or with a folder that there is not, one message."""
    assert main(["mcp", "--root", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    assert main(["mcp"]) == 2
    assert 'pip install "downslope[mcp]"' in capsys.readouterr().err
