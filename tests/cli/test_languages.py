"""`--lang`: whatever a command prints for a person is in the language that is asked for; what programs read is not."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest
from command_line import SHORT, fail, succeed

from downslope.cli.main import COMMANDS, main
from downslope.core.columns import width_of
from downslope.language import speaking
from downslope.language.catalogue import catalogue_of
from downslope.recipe.known import known_recipes
from downslope.recipe.load import load_recipe
from downslope.training.view.live_view import LABEL, View

SCRIPT = """\
import torch
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.98)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 30)
for epoch in range(90):
    for x, y in loader:
        scheduler.step()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
"""

NOT_OURS = re.compile(
    r"`[^`]*`|\"[^\"]*\"|'[^']*'"  # somebody's words
    r"|(pip install|downslope) .*"  # commands
    r"|--[\w.-]+( \S+)?|[\w.*/-]*[./_=][\w./=*-]*|\{[^}]*\}|\([^()]*\)|\[[^\]]*\]"  # options, paths, names, values
    r"|arXiv|et al\.|SGD, lr.*|torch: .*|keras: .*"
)
"""What stays as it is in every language."""
TITLES = [text for name in known_recipes() for text in (load_recipe(name).title, load_recipe(name).source) if text]
"""The titles and sources of recipes are those of their files."""


def english_in(text):
    """Return the lines with three English words in a row that nobody declared."""
    for title in TITLES:
        text = text.replace(title, "")
    return [line for line in text.splitlines() if re.search(r"(?:\b[a-z]{2,} ){2,}[a-z]{2,}", NOT_OURS.sub("", line))]


def in_chinese(words, capsys, codes=(0, 1)):
    """Run a command with --lang zh and return all that it printed, on both streams."""
    code = main([*map(str, words), "--lang", "zh"])
    out, err = capsys.readouterr()
    assert code in codes, err
    return out + err


@pytest.mark.parametrize(
    "words",
    [
        ["recipes"],
        ["list", "{runs}"],
        ["watch", "{run}", "--once"],
        ["evaluate", "{run}"],
        ["predict", "{run}", "--count", "2"],
        ["audit", "{run}"],
        ["audit", "train.py", "--examples", "50000", "--batch-size", "128"],
        ["compare", "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)", "keras: SGD(lr=0.1, momentum=0.9)"],
        ["compare", "digits", "digits-cosine-warmup"],
        ["convert", "{run}", "state.safetensors", "--to", "optax"],
        ["rescale", "digits", "--batch-size", "256"],
        ["read", "SGD, lr 0.1, momentum 0.9, weight decay 5e-4, 90 epochs of batches of 256"],
        ["schema", "--out", "schema.json"],
        ["lab", "--out", "lab.html"],
        ["train", "--dry-run"],
        ["resume", "{run}"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_no_english_is_left(words, trained, capsys, in_an_empty_folder):
    """For each command that takes no minutes; sentences and labels, numbers beside them as they are."""
    Path("train.py").write_text(SCRIPT, encoding="utf-8")
    places = {"{run}": str(trained[0]), "{runs}": str(trained[0].parent)}
    text = in_chinese([places.get(word, word) for word in words], capsys)
    assert re.search("[一-鿿]", text), text
    assert english_in(text) == []


def test_data_without_a_test_part_are_told_in_it(trained, capsys):
    """Data that bring none, whichever they are, and what to rate by instead."""
    text = in_chinese(["evaluate", trained[0], "--split", "test"], capsys, codes=(2,))
    assert "没有测试部分" in text
    assert "`--split held_out` 在留出样本上评估" in text
    assert english_in(text) == []


def test_values_of_python_stay(capsys, in_an_empty_folder):
    """True is a value, also where "true" is the head of a column."""
    text = in_chinese(["compare", "torch: SGD(lr=0.1, weight_decay=5e-4)", "keras: SGD(0.1, momentum=0.9)"], capsys)
    assert re.search(r"lr_in_velocity +A: False +B: True", text), text


def test_what_is_predicted_stays(trained, capsys):
    """A row of predictions is data, but for the word that says it is wrong: it is not looked up, however many come."""
    english = succeed(["predict", str(trained[0]), "--count", "360"], capsys).splitlines()
    known = catalogue_of("chinese").translate.cache_info
    before = known().misses
    chinese = in_chinese(["predict", trained[0], "--count", "360"], capsys).splitlines()
    assert known().misses - before < 20
    rows = [
        [line.replace(word, "").split() for line in found[2:-1]]
        for found, word in ((english, "wrong"), (chinese, "错"))
    ]
    assert rows[0] == rows[1]
    assert any("错" in line for line in chinese)


def test_a_training_speaks_it(capsys, in_an_empty_folder):
    """From its first line to its last, and the run's own files stay as they are."""
    text = in_chinese(["train", *SHORT, "--out", "run"], capsys)
    assert re.search(r"^数据 +digits：1,437 个学习样本，360 个留出样本，10 类$", text, flags=re.MULTILINE), text
    assert re.search(r"^完成 +60 / 60 步，用时 ", text, flags=re.MULTILINE), text
    assert english_in(text) == []
    for name in ("log.jsonl", "events.jsonl", "run.json", "recipe.toml"):
        assert not re.search("[一-鿿]", Path("run", name).read_text(encoding="utf-8")), name


def test_the_report_speaks_it(trained, capsys, in_an_empty_folder):
    """What stands between its tags, and what is read out of them; names and values stay."""
    pytest.importorskip("matplotlib")
    in_chinese(["report", trained[0], "--out", "report.html"], capsys)
    page = Path("report.html").read_text(encoding="utf-8")
    assert '<html lang="zh-Hans">' in page
    text = re.sub(r"<(style|script|code|pre|desc)\b.*?</\1>|<[^>]*>", "\n", page, flags=re.DOTALL)
    assert english_in(unescape(text)) == []
    assert '<h2 id="settings">设置</h2>' in page
    assert '<th scope="row">weight_decay</th>' in page


def test_the_language_is_no_option_of_a_study(capsys, in_an_empty_folder):
    """An lr range test takes nothing that only a study has; the language is of either."""
    assert main(["tune", "digits", "--range-test", "--lang", "zh", "--trials", "3"]) == 2
    assert "--range-test 是一次训练，不是搜索，--trials 没有意义。" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_speaks_it(name, capsys):
    """Summary, arguments and options of every command."""
    text = in_chinese([name, "--help"], capsys)
    assert text.startswith(f"用法： downslope {name}")
    assert english_in(text) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "没有命令 `trian`。是不是想写 `train`？"),
        (["train", "--stps", "3"], "train：没有选项 --stps。是不是想写 --train.steps？见 downslope train --help。"),
        (["explain", "--steps", "a"], "参数 --steps：须为不小于 1 的整数；给的是 'a'。"),
        (["evaluate"], "evaluate：缺少参数 RUN。"),
        (["evaluate", "none"], "none：没有这个运行文件夹。"),
        (["train", "no.toml"], "no.toml：没有这个文件。请给出配方的路径"),
        (["train", "--sgd.momentm", "0.9"], "命令行 --sgd.momentm：没有键 `momentm`。是不是想写 `momentum`？"),
        (["train", "--sgd.momentum", "1.5"], "命令行 --sgd.momentum：`momentum` 须在 [0, 1) 内；给的是 1.5。"),
        (["train", "--data.held_out", "2"], "`held_out` 须为 (0, 1) 内的比例，例如 0.2；给的是 2"),
        (["train", "--workers", "3"], "3 个工作进程无法平分一步"),
        (["convert", "a", "b.pt", "--from", "torch", "--to", "keras"], "b.pt 会是 pickle，而 Downslope 不写 pickle。"),
        (["export", "digits", "--to", "foo"], "给的是 'foo'"),
        (["export", "digits", "--to", "caffe", "--with-model"], "Caffe 只有 solver。请不带它导出"),
        (
            ["export", "g2p", "--to", "torch", "--with-model"],
            "这份配方是 model.name = 'seq2seq'，data.name = 'cmudict'。",
        ),
        (["explain", "digits", "--curvature=-3"], "`curvature` 须大于 0，或为几个不小于 0 的数；给的是 [-3.0]。"),
        (["audit", "nothere"], "nothere：没有这个文件或配方。当作文字来读也没有内容：文字没有说明 `sgd.lr` 是多少。"),
        (["--lang", "en", "--lang", "en", "explain", "digits"], "explain：--lang 给了不止一次。"),
        (["rescale", "digits"], "没有说明要换成什么：请给出 --batch-size、--devices 或 --epochs。"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_mistakes_are_told_in_it(words, said, capsys, in_an_empty_folder):
    """Where, what, what is allowed and what to do; names and values as they were given."""
    assert main([*words, "--lang", "zh"]) == 2
    out, err = capsys.readouterr()
    assert (out, err[:16]) == ("", "downslope：错误：" + err[13:16])
    assert said in err


@pytest.mark.parametrize(
    "words",
    [
        ["list", "{runs}", "--json"],
        ["evaluate", "{run}", "--json"],
        ["predict", "{run}", "--count", "2", "--json"],
        ["audit", "SGD, lr 0.1, weight decay 0.98, 90 epochs", "--json"],
        ["compare", "digits", "digits-cosine-warmup", "--json"],
        ["recipes", "--json"],
        ["explain", "digits", "--json"],
        ["explain", "SGD, lr 0.1", "--json"],
        ["export", "digits", "--to", "torch"],
        ["train", "--print-config"],
        ["schema"],
    ],
    ids=lambda words: words[0],
)
def test_what_programs_read_is_the_same(words, trained, capsys, monkeypatch):
    """JSON, TOML and code, whichever way the language is asked for."""
    places = {"{run}": str(trained[0]), "{runs}": str(trained[0].parent)}
    words = [places.get(word, word) for word in words]
    codes = {main(words)}
    english = capsys.readouterr().out
    codes.add(main([*words, "--lang", "zh"]))
    assert capsys.readouterr().out == english
    monkeypatch.setenv("DOWNSLOPE_LANG", "zh")
    codes.add(main(words))
    assert capsys.readouterr().out == english
    assert len(codes) == 1


def test_where_the_language_is_asked_for(capsys, monkeypatch):
    """An option wins over the variable, before the command or after it; a locale counts where it is asked for."""
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    assert "no folder" in fail(["list", "nowhere"], capsys)
    for words in (["--lang", "zh", "list"], ["--lang=zh", "list"], ["list", "--lang=auto"]):
        assert main([*words, "nowhere"]) == 2
        assert "nowhere 不是文件夹" in capsys.readouterr().err
    monkeypatch.setenv("DOWNSLOPE_LANG", "zh")
    assert main(["list", "nowhere"]) == 2
    assert "nowhere 不是文件夹" in capsys.readouterr().err
    assert "no folder" in fail(["list", "nowhere", "--lang", "en"], capsys)
    monkeypatch.setenv("DOWNSLOPE_LANG", "fr")
    assert fail(["recipes"], capsys) == "DOWNSLOPE_LANG must be `en`, `zh` or `auto`; got 'fr'."


def test_a_reading_keeps_the_language_of_its_text(capsys, monkeypatch):
    """As long as nobody asks for another; its JSON does not change with the environment."""
    text = "SGD, lr 0.1, 90 epochs"
    english = json.loads(succeed(["read", text, "--json"], capsys))
    monkeypatch.setenv("DOWNSLOPE_LANG", "zh")
    assert json.loads(succeed(["read", text, "--json"], capsys)) == english
    assert "没有给出批大小" in succeed(["read", text], capsys)
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert json.loads(succeed(["read", text, "--json", "--lang", "auto"], capsys)) == english


def test_the_overview_speaks_it(capsys):
    """As a whole, with the commands within it."""
    assert main(["--lang", "zh", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("用法： downslope COMMAND [...]\n\n带动量和权重衰减的 SGD")
    assert english_in(out) == []


def test_labels_take_the_columns_they_have():
    """A Chinese character takes two, so that what follows begins where it does in English."""
    view = View(total=10, examples=32, step=2, now=0.0)
    view.row("step", {"loss": 0.5, "lr": 0.1})
    with speaking("zh"):
        lines = view.lines(80, 1.0)
    assert [line.split(" ")[0] for line in lines] == ["步", "损失", "lr", "速度"]
    for line in lines:
        label = line.split(" ")[0]
        rest = line.removeprefix(label)
        assert width_of(label) + len(rest) - len(rest.lstrip()) == LABEL


@pytest.mark.parametrize("rule", ["linear", "sqrt", "half-life"])
def test_reasons_of_a_rescaled_recipe_are_chinese(rule, capsys):
    """Every comment, with its source: names of authors and settings alone are left in English."""
    groups = "[{ match = '*.bias', lr = 0.02, momentum = 0.5, weight_decay = 1e-3 }]"
    words = ["rescale", "digits", "--batch-size", "100", "--rule", rule, "--train.ema", "0.99", "--groups", groups]
    comments = [line for line in in_chinese([*words, "--sgd.decay", "decoupled"], capsys).splitlines() if "#" in line]
    assert comments
    assert not [line for line in comments if re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{3,}|absent", line)]


def test_what_dampened_decay_pulls_like_is_chinese(capsys):
    """The sentence that has another formula in it where there is dampening."""
    settings = "lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.001"
    words = ["compare", f"torch: SGD({settings})", f"downslope: Settings({settings}, decay='decoupled')"]
    assert "weight_decay_coupled (1 - dampening) / (1 - momentum)，即 5 倍" in in_chinese(words, capsys)


@pytest.mark.parametrize(
    ("arguments", "system"),
    [
        ("lr=Linear(0.1, 0, 9), momentum=0.9, lr_in_velocity=True", "torch"),
        ("lr=Linear(0.1, 0, 9), momentum=0.9", "keras"),
        ("lr=0.1, momentum=0.9, nu=0.5", "keras"),
        ("lr=0.1, momentum=0.9, trust_coefficient=0.01", "torch"),
        ("lr=0.1, momentum=Linear(0.5, 0.9, 9)", "torch"),
        ("lr=0.1, momentum=0.9, dampening=0.5, nesterov=True", "keras"),
        ("lr=0.1, momentum=0.9, adaptive_clip=0.01", "keras"),
    ],
)
def test_why_a_system_cannot_is_chinese(arguments, system, capsys):
    """Each reason for which an advised list of arguments is none."""
    text = in_chinese(["compare", f"downslope: Settings({arguments})", f"{system}: SGD(lr=0.2)"], capsys)
    assert f"{system} 无法表示" in text
    assert not english_in(text)
